//! The points of a batch, counted by minute and series.
//!
//! A point costs a few nanoseconds: a series is known by a number, made of its minute, its metric and
//! the places of its dimension values. Names, dimensions and distributions are made once a series, at
//! the end.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::dimension::{DimensionValue, Known};
use super::metric::{LOG_ENTRIES, MAX_DIMENSIONS, Metric, PIPELINE_SERIES_OVERFLOW, PIPELINE_VALUES_REFUSED};
use crate::Minute;
use crate::logs::record::Level;
use crate::metrics::registry::Kind;
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};
use crate::metrics::sketch::Sketch;

/// The greatest magnitude that CloudWatch takes, 2^360. No number of such values adds up to infinity,
/// which JSON could not hold.
pub(super) const MAX_MAGNITUDE: f64 = 2.348_542_582_773_833_4e108;

/// All levels, in their order.
const LEVELS: [Level; 5] = [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical];

/// When a line was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    millis: i64,
    /// Place of its minute among those of the batch.
    minute: u32,
}

/// Points so far.
pub(super) struct Tally {
    minutes: Vec<MinuteTally>,
    places: BTreeMap<Minute, u32>,
    /// Place of the minute that was asked for last: lines come in the order of time, or nearly.
    last_minute: u32,
    /// Values of each dimension of each metric.
    known: Vec<Known>,
    /// Places in `series`. Keys are small numbers given in order of appearance; were they made to
    /// collide, a batch of ten thousand lines would still cost milliseconds.
    index: HashMap<u64, u32, FixedState>,
    series: Vec<Series>,
    /// Place of the series and value, for each point of a series that is not just counted.
    values: Vec<(u32, f64)>,
}

/// One minute. Its lines are counted here, and not as points, since every line is one.
struct MinuteTally {
    minute: Minute,
    levels: [LevelTally; LEVELS.len()],
}

/// Lines of one level in one minute.
#[derive(Clone, Copy)]
struct LevelTally {
    count: u64,
    last_millis: i64,
}

/// One series of one minute: an [`Aggregate`] without its distribution.
struct Series {
    key: Key,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    last: (i64, f64),
}

/// What tells one series from another within a batch.
#[derive(Clone, Copy)]
struct Key {
    minute: u32,
    metric: Metric,
    /// Places of the values of its dimensions.
    values: [u8; MAX_DIMENSIONS],
}

impl Tally {
    /// No points.
    pub(super) fn new() -> Tally {
        Tally {
            minutes: Vec::new(),
            places: BTreeMap::new(),
            last_minute: 0,
            known: vec![Known::new(); Metric::COUNT * MAX_DIMENSIONS],
            index: HashMap::default(),
            series: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The moment of a line, from its event time in epoch milliseconds.
    pub(super) fn moment(&mut self, millis: i64) -> Moment {
        Moment { millis, minute: self.minute(Minute::of_epoch_millis(millis)) }
    }

    /// Counts a line of `level`.
    pub(super) fn line(&mut self, at: Moment, level: Level) {
        let held = &mut self.minutes[at.minute as usize].levels[level as usize];
        held.count += 1;
        held.last_millis = held.last_millis.max(at.millis);
    }

    /// Adds 1 to a counter. `values` are those of the metric's dimensions, in the registry's order.
    pub(super) fn count(&mut self, at: Moment, metric: Metric, values: &[DimensionValue<'_>]) {
        debug_assert_eq!(metric.definition().kind, Kind::Counter);
        self.point(at, metric, 1.0, values);
    }

    /// Adds a value, which must be finite, to anything but a counter. `values` as for [`Tally::count`].
    pub(super) fn value(&mut self, at: Moment, metric: Metric, value: f64, values: &[DimensionValue<'_>]) {
        debug_assert_ne!(metric.definition().kind, Kind::Counter);
        if value.abs() > MAX_MAGNITUDE {
            return self.count(at, PIPELINE_VALUES_REFUSED, &[]);
        }
        let series = self.point(at, metric, value, values);
        self.values.push((series, value));
    }

    fn minute(&mut self, minute: Minute) -> u32 {
        if self.minutes.get(self.last_minute as usize).is_some_and(|last| last.minute == minute) {
            return self.last_minute;
        }
        let next = self.minutes.len() as u32;
        self.last_minute = *self.places.entry(minute).or_insert(next);
        if self.last_minute == next {
            let none = LevelTally { count: 0, last_millis: i64::MIN };
            self.minutes.push(MinuteTally { minute, levels: [none; LEVELS.len()] });
        }
        self.last_minute
    }

    /// Adds a point and says to which series.
    fn point(&mut self, at: Moment, metric: Metric, value: f64, values: &[DimensionValue<'_>]) -> u32 {
        let mut key = Key { minute: at.minute, metric, values: [0; MAX_DIMENSIONS] };
        let mut overflowed = false;
        for (dimension, &value) in values.iter().enumerate() {
            let (place, folded) = self.known[slot(metric, dimension)].place(value);
            key.values[dimension] = place;
            overflowed |= folded;
        }
        if overflowed {
            self.count(at, PIPELINE_SERIES_OVERFLOW, &[]);
        }
        let next = self.series.len() as u32;
        let series = *self.index.entry(key.packed()).or_insert(next);
        match self.series.get_mut(series as usize) {
            Some(held) => held.add(value, at.millis),
            None => self.series.push(Series::of(key, value, at.millis)),
        }
        series
    }

    /// The series by minute, with `service` as the dimension of that name.
    pub(super) fn finish(mut self, service: &str) -> BTreeMap<Minute, SeriesSet> {
        self.add_lines();
        let (mut values, ends) = self.values_by_series();
        let mut minutes = BTreeMap::new();
        for places in self.places_in_order().chunk_by(|&left, &right| self.minute_of(left) == self.minute_of(right)) {
            let series = places.iter().map(|&place| {
                let held = &self.series[place as usize];
                let end = ends[place as usize];
                (self.series_key(held.key, service), held.aggregate(&mut values[end - held.values()..end]))
            });
            minutes.insert(self.minute_of(places[0]), SeriesSet::of_unique(series.collect()));
        }
        minutes
    }

    /// Makes series of the counted lines.
    fn add_lines(&mut self) {
        for (minute, tally) in self.minutes.iter().enumerate() {
            for (level, held) in LEVELS.iter().zip(&tally.levels).filter(|(_, held)| held.count > 0) {
                let mut scratch = String::new();
                let level = DimensionValue::of(level.as_str(), &mut scratch);
                let (place, _) = self.known[slot(LOG_ENTRIES, 0)].place(level);
                let key = Key { minute: minute as u32, metric: LOG_ENTRIES, values: [place, 0, 0] };
                let one = Series::of(key, 1.0, held.last_millis);
                self.series.push(Series { count: held.count, sum: held.count as f64, ..one });
            }
        }
    }

    /// The values of the first series, then those of the second, and so on; and where those of each end.
    fn values_by_series(&self) -> (Vec<f64>, Vec<usize>) {
        let mut next = 0;
        let mut ends = Vec::with_capacity(self.series.len());
        for series in &self.series {
            ends.push(next);
            next += series.values();
        }
        let mut values = vec![0.0; next];
        for &(series, value) in &self.values {
            let end = &mut ends[series as usize];
            values[*end] = value;
            *end += 1;
        }
        (values, ends)
    }

    /// Places of all series, by minute and then as in a [`SeriesSet`] (where dimensions are in the order
    /// of their names): to sort numbers here is cheaper than to sort whole series there.
    fn places_in_order(&self) -> Vec<u32> {
        let mut places: Vec<u32> = (0..self.series.len() as u32).collect();
        places.sort_unstable_by(|&left, &right| {
            let (left, right) = (self.series[left as usize].key, self.series[right as usize].key);
            let minutes = left.minute.cmp(&right.minute);
            minutes.then_with(|| match left.metric == right.metric {
                true => self.texts(left).cmp(self.texts(right)),
                false => left.metric.definition().name.cmp(right.metric.definition().name),
            })
        });
        places
    }

    fn minute_of(&self, place: u32) -> Minute {
        self.minutes[self.series[place as usize].key.minute as usize].minute
    }

    /// The values of a series' dimensions, without its service.
    fn texts(&self, key: Key) -> impl Iterator<Item = &str> {
        let given = key.values.into_iter().enumerate().filter(|(_, place)| *place > 0);
        given.map(move |(dimension, place)| self.known[slot(key.metric, dimension)].text(place))
    }

    fn series_key(&self, key: Key, service: &str) -> SeriesKey {
        let definition = key.metric.definition();
        let service = definition.dimensions.contains(&"service").then_some(("service", service));
        let mut dimensions = Dimensions::new();
        for (name, value) in key.metric.named_dimensions().zip(self.texts(key)).chain(service) {
            dimensions.insert(name.to_owned(), value.to_owned());
        }
        SeriesKey { name: definition.name.to_owned(), dimensions }
    }
}

impl Series {
    fn of(key: Key, value: f64, at_millis: i64) -> Series {
        Series { key, count: 1, sum: value, min: value, max: value, last: (at_millis, value) }
    }

    /// The same, in the same order, as merging aggregates of single values.
    fn add(&mut self, value: f64, at_millis: i64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if (at_millis, value) > self.last {
            self.last = (at_millis, value);
        }
    }

    fn is_counter(&self) -> bool {
        self.key.metric.definition().kind == Kind::Counter
    }

    /// How many values are kept for its distribution.
    fn values(&self) -> usize {
        if self.is_counter() { 0 } else { self.count as usize }
    }

    /// With its distribution: that of `values`, or of as many ones as a counter has counted.
    fn aggregate(&self, values: &mut [f64]) -> Aggregate {
        let sketch = if self.is_counter() { Sketch::of(1.0, self.count) } else { Sketch::of_values(values) };
        Aggregate { count: self.count, sum: self.sum, min: self.min, max: self.max, last: self.last, sketch }
    }
}

impl Key {
    fn packed(self) -> u64 {
        let [first, second, third] = self.values;
        u64::from(self.minute) << 32 | u64::from(u32::from_le_bytes([self.metric.place(), first, second, third]))
    }
}

/// Place of the values of a metric's dimension.
fn slot(metric: Metric, dimension: usize) -> usize {
    usize::from(metric.place()) * MAX_DIMENSIONS + dimension
}
