//! One series: a metric with values of its dimensions, and what was recorded since the last flush.
//!
//! Recording and taking are single steps on the same cell, so what is recorded while a flush runs is taken by it
//! or by the next one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schema::registry;
use serde_json::json;

use super::distribution::{Bins, Distribution};

/// How values of a series are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Increments are added up.
    Counter,
    /// The last value counts.
    Gauge,
    /// Values with their counts.
    Distribution,
}

impl Kind {
    /// How values of a metric of the registry are held together.
    pub(crate) fn of(kind: registry::Kind) -> Kind {
        match kind {
            registry::Kind::Counter => Kind::Counter,
            registry::Kind::Gauge => Kind::Gauge,
            registry::Kind::Histogram | registry::Kind::Timer => Kind::Distribution,
        }
    }
}

/// What series of one name have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub name: String,
    pub kind: Kind,
    /// As CloudWatch calls it.
    pub unit: &'static str,
    /// The dimension sets that CloudWatch is told.
    pub sets: &'static [&'static [&'static str]],
    /// The sets as they are written.
    pub sets_json: String,
    /// Name and unit, likewise.
    pub entry_json: String,
}

impl Metric {
    pub(crate) fn new(name: &str, kind: Kind, unit: &'static str, sets: &'static [&'static [&'static str]]) -> Metric {
        let entry_json = json!({ "Name": name, "Unit": unit }).to_string();
        Metric { name: name.to_owned(), kind, unit, sets, sets_json: json!(sets).to_string(), entry_json }
    }
}

/// A dimension with its value; `None` stands for the name of the service that writes.
pub(crate) type Dimension = (String, Option<String>);

/// A series of this process.
#[derive(Debug)]
pub(crate) struct Series {
    pub metric: Arc<Metric>,
    pub dimensions: Vec<Dimension>,
    cell: Cell,
}

#[derive(Debug)]
enum Cell {
    /// `seen` is what an absolute value has been counted up to.
    Counter {
        sum: AtomicF64,
        seen: AtomicU64,
    },
    /// `set` says whether there is something to tell, `kept` whether the level is known at all times, since it
    /// is what is added and taken away here.
    Gauge {
        level: AtomicF64,
        set: AtomicBool,
        kept: AtomicBool,
    },
    Distribution(Mutex<Distribution>),
}

/// What a flush takes of a series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Bins(Bins),
}

impl Series {
    pub(crate) fn new(metric: Arc<Metric>, dimensions: Vec<Dimension>) -> Series {
        let cell = match metric.kind {
            Kind::Counter => Cell::Counter { sum: AtomicF64::default(), seen: AtomicU64::new(0) },
            Kind::Gauge => {
                Cell::Gauge { level: AtomicF64::default(), set: AtomicBool::new(false), kept: AtomicBool::new(false) }
            }
            Kind::Distribution => Cell::Distribution(Mutex::default()),
        };
        Series { metric, dimensions, cell }
    }

    /// Records a finite value that came `count` times: adds it to a counter, sets a gauge.
    pub(crate) fn record(&self, value: f64, count: u64) {
        match &self.cell {
            Cell::Counter { sum, .. } => sum.add(value * count as f64),
            Cell::Gauge { level, set, .. } => {
                level.set(value);
                // After the level: a flush that sees the mark sees the level too, or marks again.
                set.store(true, std::sync::atomic::Ordering::Release);
            }
            Cell::Distribution(held) => lock(held).record(value, count),
        }
    }

    /// Raises a counter to `value`, where it is below.
    pub(crate) fn raise(&self, value: u64) {
        if let Cell::Counter { sum, seen } = &self.cell {
            let before = seen.fetch_max(value, Relaxed);
            if value > before {
                sum.add((value - before) as f64);
            }
        }
    }

    /// Changes a gauge by a finite amount. From now on it is told at every interval.
    pub(crate) fn change(&self, by: f64) {
        if let Cell::Gauge { level, set, kept } = &self.cell {
            level.add(by);
            kept.store(true, Relaxed);
            set.store(true, std::sync::atomic::Ordering::Release);
        }
    }

    /// Takes what was recorded since the last time. `at_interval` also tells the levels that are kept here.
    pub(crate) fn take(&self, at_interval: bool) -> Vec<Value> {
        match &self.cell {
            Cell::Counter { sum, .. } => match sum.take() {
                0.0 => Vec::new(),
                sum => vec![Value::Number(sum)],
            },
            Cell::Gauge { level, set, kept } => {
                let set = set.swap(false, std::sync::atomic::Ordering::Acquire);
                let tell = set || (at_interval && kept.load(Relaxed));
                tell.then(|| Value::Number(level.get())).into_iter().collect()
            }
            Cell::Distribution(held) => lock(held).take().into_iter().map(Value::Bins).collect(),
        }
    }

    /// Puts back what was taken and could not be told. A gauge that was set meanwhile keeps its new level.
    pub(crate) fn put_back(&self, taken: &Value) {
        match (&self.cell, taken) {
            (Cell::Counter { sum, .. }, Value::Number(value)) => sum.add(*value),
            (Cell::Gauge { set, .. }, _) => set.store(true, std::sync::atomic::Ordering::Release),
            (Cell::Distribution(held), Value::Bins(bins)) => lock(held).put_back(bins),
            _ => {}
        }
    }
}

/// A panic elsewhere leaves whole values behind: they are counted still.
fn lock(held: &Mutex<Distribution>) -> MutexGuard<'_, Distribution> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that several threads add to.
#[derive(Debug, Default)]
struct AtomicF64(AtomicU64);

impl AtomicF64 {
    fn add(&self, amount: f64) {
        let add = |bits| Some((f64::from_bits(bits) + amount).to_bits());
        // It never refuses, so it always succeeds.
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn take(&self) -> f64 {
        f64::from_bits(self.0.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(kind: Kind) -> Series {
        Series::new(Arc::new(Metric::new("x", kind, "None", &[&[]])), Vec::new())
    }

    #[test]
    fn a_counter_is_added_up_and_begins_anew_after_a_flush() {
        let counter = series(Kind::Counter);
        counter.record(2.0, 3);
        counter.record(0.5, 1);
        assert_eq!(counter.take(true), [Value::Number(6.5)]);
        assert_eq!(counter.take(true), []);
    }

    #[test]
    fn an_absolute_count_is_counted_as_far_as_it_has_grown() {
        let counter = series(Kind::Counter);
        counter.raise(10);
        counter.raise(7);
        assert_eq!(counter.take(false), [Value::Number(10.0)]);
        counter.raise(12);
        assert_eq!(counter.take(false), [Value::Number(2.0)]);
    }

    #[test]
    fn a_gauge_tells_its_last_value_once() {
        // Defect 41: the last value was lost among those before.
        let gauge = series(Kind::Gauge);
        gauge.record(5.0, 1);
        gauge.record(0.0, 1);
        assert_eq!(gauge.take(true), [Value::Number(0.0)]);
        assert_eq!(gauge.take(true), []);
    }

    #[test]
    fn a_level_that_is_kept_here_is_told_at_every_interval() {
        let gauge = series(Kind::Gauge);
        gauge.change(3.0);
        gauge.change(-1.0);
        assert_eq!(gauge.take(false), [Value::Number(2.0)]);
        assert_eq!(gauge.take(true), [Value::Number(2.0)]);
        assert_eq!(gauge.take(false), []);
    }

    #[test]
    fn what_could_not_be_told_is_told_next_time() {
        for (kind, told) in [(Kind::Counter, 5.0), (Kind::Gauge, 3.0)] {
            let series = series(kind);
            series.record(2.0, 1);
            let taken = series.take(false);
            series.record(3.0, 1);
            series.put_back(&taken[0]);
            assert_eq!(series.take(false), [Value::Number(told)], "{kind:?}");
        }
    }
}
