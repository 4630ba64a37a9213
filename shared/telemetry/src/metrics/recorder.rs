//! The recorder of the `metrics` facade: what libraries and existing code count goes where our own counts go.

use std::sync::Arc;

use ::metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata, SharedString, Unit,
};

use super::series::Kind;
use super::store::{Handle, Store};

/// Records what is counted through the `metrics` facade. [`telemetry::init`](crate::init) installs it.
///
/// Values are taken in the unit of the registry. The facade turns a `Duration` into seconds: give a timer of the
/// registry milliseconds, or use [`record_timer`](super::record_timer).
pub struct Recorder {
    store: Arc<Store>,
}

impl Recorder {
    pub(crate) fn new(store: Arc<Store>) -> Recorder {
        Recorder { store }
    }

    fn handle(&self, kind: Kind, key: &Key) -> Arc<Handle> {
        let labels = key.labels().map(|label: &Label| (label.key(), label.value()));
        self.store.with(kind, key.name(), labels, Arc::clone)
    }

    fn describe(&self, key: &KeyName, unit: Option<Unit>) {
        if let Some(unit) = unit {
            self.store.describe(key.as_str(), cloudwatch_unit(unit));
        }
    }
}

/// What CloudWatch calls a unit. `None` where it means another thing: its kilobytes are of 1,000 bytes.
fn cloudwatch_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "Count",
        Unit::Percent => "Percent",
        Unit::Seconds => "Seconds",
        Unit::Milliseconds => "Milliseconds",
        Unit::Microseconds => "Microseconds",
        Unit::Bytes => "Bytes",
        Unit::TerabitsPerSecond => "Terabits/Second",
        Unit::GigabitsPerSecond => "Gigabits/Second",
        Unit::MegabitsPerSecond => "Megabits/Second",
        Unit::KilobitsPerSecond => "Kilobits/Second",
        Unit::BitsPerSecond => "Bits/Second",
        Unit::CountPerSecond => "Count/Second",
        Unit::Nanoseconds | Unit::Tebibytes | Unit::Gibibytes | Unit::Mebibytes | Unit::Kibibytes => "None",
    }
}

impl ::metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(Kind::Counter, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(Kind::Gauge, key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(Kind::Distribution, key))
    }
}

impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        self.record(value as f64, 1);
    }

    fn absolute(&self, value: u64) {
        self.raise(value);
    }
}

impl GaugeFn for Handle {
    fn increment(&self, value: f64) {
        self.change(value);
    }

    fn decrement(&self, value: f64) {
        self.change(-value);
    }

    fn set(&self, value: f64) {
        self.record(value, 1);
    }
}

impl HistogramFn for Handle {
    fn record(&self, value: f64) {
        Handle::record(self, value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        Handle::record(self, value, count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::series::Value;
    use std::collections::BTreeMap;

    fn taken(store: &Store) -> BTreeMap<String, Value> {
        store.take(false).into_iter().map(|one| (one.series.metric.name.clone(), one.value)).collect()
    }

    #[test]
    fn units_are_the_registrys_or_what_was_described() {
        let store = Arc::<Store>::default();
        ::metrics::with_local_recorder(&Recorder::new(Arc::clone(&store)), || {
            ::metrics::gauge!("conversion_rate").set(3.5);
            ::metrics::histogram!("document_size", "type" => "pdf").record(1.5);
            ::metrics::describe_histogram!("pause", Unit::Seconds, "");
            ::metrics::histogram!("pause").record_many(2.0, 3);
        });
        let taken = store.take(false);
        let units: BTreeMap<_, _> =
            taken.iter().map(|one| (&*one.series.metric.name, one.series.metric.unit)).collect();
        assert_eq!(
            units,
            [("conversion_rate", "Percent"), ("document_size", "Megabytes"), ("pause", "Seconds")].into()
        );
    }

    #[test]
    fn what_is_counted_through_it_is_what_a_flush_takes() {
        let store = Arc::<Store>::default();
        ::metrics::with_local_recorder(&Recorder::new(Arc::clone(&store)), || {
            let contracts = ::metrics::counter!("contracts_created", "role" => "seller");
            (0..5).for_each(|_| contracts.increment(1));
            ::metrics::counter!("seen").absolute(7);
            ::metrics::gauge!("open").increment(3.0);
            ::metrics::gauge!("open").decrement(1.0);
        });
        let told = taken(&store);
        let expected = [("contracts_created", 5.0), ("open", 2.0), ("seen", 7.0)];
        assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), Value::Number(value))).into());
    }
}
