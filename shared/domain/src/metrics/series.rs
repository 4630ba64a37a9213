//! A series (a metric with its dimensions) and what is known of it in one minute.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::registry::{Kind, Unit, find};
use super::sketch::Sketch;

/// Dimension names and values.
pub type Dimensions = BTreeMap<String, String>;

/// A metric with its dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// Name, as in the registry.
    pub name: String,
    /// Dimensions of the points.
    pub dimensions: Dimensions,
}

/// What the values of a series in a minute come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// How many values.
    pub count: u64,
    /// Their exact sum.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The value with the latest event time, in epoch milliseconds, with that time: what a gauge shows.
    pub last: (i64, f64),
    /// How the values are distributed.
    pub sketch: Sketch,
}

impl Aggregate {
    /// Of a single value at an event time in epoch milliseconds.
    pub fn of(value: f64, at_millis: i64) -> Aggregate {
        Aggregate {
            count: 1,
            sum: value,
            min: value,
            max: value,
            last: (at_millis, value),
            sketch: Sketch::of(value, 1),
        }
    }

    /// Adds what `other` holds. The order of merging does not matter, but for rounding of the sum.
    pub fn merge(&mut self, other: &Aggregate) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        // Two values of the same millisecond: the greater, so that the order does not matter.
        if (other.last.0, other.last.1).partial_cmp(&self.last).is_some_and(|order| order.is_gt()) {
            self.last = other.last;
        }
        self.sketch.merge(&other.sketch);
    }
}

/// Series of one minute, in a stable order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeriesSet(BTreeMap<SeriesKey, Aggregate>);

impl SeriesSet {
    /// Of series of which no two have the same key.
    pub fn of_unique(series: Vec<(SeriesKey, Aggregate)>) -> SeriesSet {
        let count = series.len();
        let set = BTreeMap::from_iter(series);
        debug_assert_eq!(set.len(), count, "a key came twice");
        SeriesSet(set)
    }

    /// Adds an aggregate to the series `key`.
    pub fn add(&mut self, key: SeriesKey, aggregate: &Aggregate) {
        match self.0.get_mut(&key) {
            Some(held) => held.merge(aggregate),
            None => {
                self.0.insert(key, aggregate.clone());
            }
        }
    }

    /// Adds every series of `other`.
    pub fn merge(&mut self, other: &SeriesSet) {
        for (key, aggregate) in &other.0 {
            self.add(key.clone(), aggregate);
        }
    }

    /// Moves the series `key` into the series `to`. Answers how many values that were.
    pub fn rename(&mut self, key: &SeriesKey, to: SeriesKey) -> u64 {
        let Some(aggregate) = self.0.remove(key) else { return 0 };
        let count = aggregate.count;
        self.add(to, &aggregate);
        count
    }

    /// The series called `name`, with their dimensions.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Dimensions, &'a Aggregate)> + 'a {
        self.0.iter().filter(move |(key, _)| key.name == name).map(|(key, aggregate)| (&key.dimensions, aggregate))
    }

    /// The series `key`.
    pub fn get(&self, key: &SeriesKey) -> Option<&Aggregate> {
        self.0.get(key)
    }

    /// All series, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&SeriesKey, &Aggregate)> {
        self.0.iter()
    }

    /// How many series.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same values by the dimension sets of the registry: what CloudWatch gets and rules read.
    /// A series the registry does not know keeps its own dimensions.
    pub fn roll_up(&self) -> SeriesSet {
        let mut rolled = SeriesSet::default();
        for (key, aggregate) in &self.0 {
            let Some(definition) = find(&key.name) else {
                rolled.add(key.clone(), aggregate);
                continue;
            };
            for set in definition.sets {
                // A point that lacks a dimension of the set has no place in it: CloudWatch refuses empty values.
                let dimensions: Option<Dimensions> = set
                    .iter()
                    .map(|&name| key.dimensions.get(name).map(|value| (name.to_owned(), value.clone())))
                    .collect();
                if let Some(dimensions) = dimensions {
                    rolled.add(SeriesKey { name: key.name.clone(), dimensions }, aggregate);
                }
            }
        }
        rolled
    }
}

impl FromIterator<(SeriesKey, Aggregate)> for SeriesSet {
    fn from_iter<I: IntoIterator<Item = (SeriesKey, Aggregate)>>(series: I) -> SeriesSet {
        let mut set = SeriesSet::default();
        for (key, aggregate) in series {
            set.add(key, &aggregate);
        }
        set
    }
}

/// A text as it stands in an object; a copy only where it has escapes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// Dimensions as they stand in an object, in the order of their names.
#[derive(Debug)]
struct Pairs<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Pairs<'a>, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dimensions")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs: Vec<(Text<'de>, Text<'de>)> = Vec::with_capacity(4);
                while let Some(pair) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    // As a map would: in order, and of two with the same name the later one.
                    match pairs.binary_search_by(|held| held.0.cmp(&pair.0)) {
                        Ok(at) => pairs[at] = pair,
                        Err(at) => pairs.insert(at, pair),
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A series of pending metrics, with its texts where they are in the object.
#[derive(Debug)]
pub struct SeriesView<'a> {
    name: Text<'a>,
    dimensions: Pairs<'a>,
    aggregate: Aggregate,
}

impl<'de: 'a, 'a> Deserialize<'de> for SeriesView<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SeriesView<'a>, D::Error> {
        let entry = Entry::<Text<'a>, Pairs<'a>, Sketch>::deserialize(deserializer)?;
        let Entry { name, dimensions, count, sum, min, max, last, sketch, unit: _ } = entry;
        Ok(SeriesView { name, dimensions, aggregate: Aggregate { count, sum, min, max, last, sketch } })
    }
}

impl SeriesView<'_> {
    /// Its name and dimensions as bytes that are the same for the same series only, into `identity`.
    fn identify(&self, identity: &mut Vec<u8>) {
        identity.clear();
        let pairs = self.dimensions.0.iter().flat_map(|(name, value)| [name, value]);
        for Text(text) in [&self.name].into_iter().chain(pairs) {
            identity.extend((text.len() as u32).to_le_bytes());
            identity.extend(text.as_bytes());
        }
    }

    fn key(&self) -> SeriesKey {
        let dimensions = self.dimensions.0.iter().map(|(name, value)| (name.0.to_string(), value.0.to_string()));
        SeriesKey { name: self.name.0.to_string(), dimensions: dimensions.collect() }
    }
}

/// Series that are being merged, found by the bytes of their name and dimensions: a series that is known costs no
/// allocation. A tree, since whoever writes logs could make the hashes of a table collide.
#[derive(Default)]
pub(super) struct SeriesTable {
    places: BTreeMap<Box<[u8]>, usize>,
    series: Vec<(SeriesKey, Aggregate)>,
    /// The identity of the series that is looked for.
    wanted: Vec<u8>,
}

impl SeriesTable {
    /// Adds a series.
    pub(super) fn add(&mut self, series: &SeriesView<'_>) {
        series.identify(&mut self.wanted);
        match self.places.get(self.wanted.as_slice()) {
            Some(&place) => self.series[place].1.merge(&series.aggregate),
            None => {
                self.places.insert(self.wanted.as_slice().into(), self.series.len());
                self.series.push((series.key(), series.aggregate.clone()));
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// All of them.
    pub(super) fn into_set(self) -> SeriesSet {
        SeriesSet::of_unique(self.series)
    }
}

/// One series as it stands in an object.
#[derive(Serialize, Deserialize)]
struct Entry<N, D, S> {
    name: N,
    unit: Unit,
    dimensions: D,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    last: (i64, f64),
    sketch: S,
}

impl Serialize for SeriesSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(key, held)| Entry {
            name: &key.name,
            unit: unit_of(&key.name),
            dimensions: &key.dimensions,
            count: held.count,
            sum: held.sum,
            min: held.min,
            max: held.max,
            last: held.last,
            sketch: &held.sketch,
        }))
    }
}

impl<'de> Deserialize<'de> for SeriesSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SeriesSet, D::Error> {
        let entries = Vec::<Entry<String, Dimensions, Sketch>>::deserialize(deserializer)?;
        Ok(entries
            .into_iter()
            .map(|entry| {
                let Entry { name, dimensions, count, sum, min, max, last, sketch, unit: _ } = entry;
                (SeriesKey { name, dimensions }, Aggregate { count, sum, min, max, last, sketch })
            })
            .collect())
    }
}

/// The registered unit of a metric.
pub fn unit_of(name: &str) -> Unit {
    find(name).map_or(Unit::None, |definition| definition.unit)
}

/// The registered kind of a metric; what nobody registered is treated as a distribution.
pub fn kind_of(name: &str) -> Kind {
    find(name).map_or(Kind::Histogram, |definition| definition.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, dimensions: &[(&str, &str)]) -> SeriesKey {
        SeriesKey {
            name: name.to_owned(),
            dimensions: dimensions.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        }
    }

    #[test]
    fn a_gauge_keeps_the_value_with_the_latest_event_time() {
        let mut held = Aggregate::of(10.0, 2_000);
        held.merge(&Aggregate::of(99.0, 1_000));
        assert_eq!(held.last, (2_000, 10.0));
        assert_eq!((held.min, held.max, held.count), (10.0, 99.0, 2));
    }

    #[test]
    fn roll_ups_add_up_over_the_dimensions_that_they_leave_out() {
        let request = |service: &str, status: &str| {
            let dimensions =
                [("service", service), ("endpoint", "/contracts"), ("method", "GET"), ("status_code", status)];
            (key("api_requests", &dimensions), Aggregate::of(1.0, 0))
        };
        let set: SeriesSet =
            [request("api", "200"), request("api", "500"), request("web", "200")].into_iter().collect();
        let rolled = set.roll_up();
        let sum = |dimensions: &[(&str, &str)]| rolled.get(&key("api_requests", dimensions)).map(|a| a.sum);
        assert_eq!(sum(&[]), Some(3.0));
        assert_eq!(sum(&[("service", "api")]), Some(2.0));
        assert_eq!(sum(&[("service", "api"), ("status_code", "500")]), Some(1.0));
        assert_eq!(sum(&[("status_code", "200")]), Some(2.0));
        assert_eq!(rolled.len(), 1 + 2 + 2 + 3);
    }

    #[test]
    fn a_series_set_reads_back_as_it_was_written() {
        let set: SeriesSet = [
            (key("cpu_usage_percent", &[("service", "api")]), Aggregate::of(12.5, 7)),
            (key("active_users", &[]), Aggregate::of(3.0, 9)),
        ]
        .into_iter()
        .collect();
        let text = serde_json::to_string(&set).unwrap();
        assert!(text.contains(r#""unit":"Percent""#), "{text}");
        assert_eq!(serde_json::from_str::<SeriesSet>(&text).unwrap(), set);
    }

    #[test]
    fn a_dimension_may_be_called_name_or_value() {
        // Defect 41: keyword arguments called `name` or `value` collided.
        let set: SeriesSet =
            [(key("custom", &[("name", "a"), ("value", "b")]), Aggregate::of(1.0, 0))].into_iter().collect();
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<SeriesSet>(&text).unwrap(), set);
    }
}
