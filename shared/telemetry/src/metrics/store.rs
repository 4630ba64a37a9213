//! All series of a process: found by what a call says, told at a flush.
//!
//! A call that was seen before is found by its hash under a shared lock. A new one is resolved once: the registry
//! gives its unit, dimensions and sets, and values beyond the bounds are folded into `other`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use foldhash::fast::RandomState;
use schema::dimension::sanitised;
use schema::registry::{self, Definition};

use super::series::{Dimension, Kind, Metric, Series, Value};

/// Different values that a dimension of a metric may have; further ones become `other`.
pub(crate) const MAX_VALUES: usize = 100;

/// Series that a metric may have; in further ones every dimension becomes `other`.
const MAX_SERIES: usize = 1_000;

/// Names outside the registry that are taken.
const MAX_NAMES: usize = 200;

/// Labels that a metric outside the registry may have.
const MAX_LABELS: usize = 10;

/// Calls that are remembered. Others are resolved each time.
const MAX_CALLS: usize = 8_192;

/// What the name and the labels of a call may take that is remembered.
const MAX_CALL_BYTES: usize = 256;

const SHARDS: usize = 16;

/// What values beyond [`MAX_VALUES`] become.
const OTHER: &str = "other";

/// The greatest magnitude that CloudWatch takes: 2^360.
const LARGEST: f64 = f64::from_bits((1023 + 360) << 52);

/// Names of root members of a line that no metric or dimension may take.
const RESERVED: [&str; 10] =
    ["timestamp", "level", "category", "message", "context", "details", "error", "duration_ms", "span", "_aws"];

/// The dimension that nearly every metric has.
const SERVICE: &str = "service";

/// All series of a process.
pub(crate) struct Store {
    hasher: RandomState,
    shards: [RwLock<HashMap<u64, Vec<Call>, RandomState>>; SHARDS],
    catalog: Mutex<Catalog>,
    flushing: Mutex<()>,
    own: Arc<Own>,
}

/// A call as it was made, and what it means.
struct Call {
    kind: Kind,
    name: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    handle: Arc<Handle>,
}

impl Call {
    fn is<'a>(&self, kind: Kind, name: &str, mut labels: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
        let known = |(name, value): &(Box<str>, Box<str>)| {
            labels.next().is_some_and(|(given, with)| *given == **name && *with == **value)
        };
        self.kind == kind && *self.name == *name && self.labels.iter().all(known) && labels.next().is_none()
    }
}

/// What the store counts of itself.
#[derive(Debug)]
struct Own {
    overflow: Arc<Series>,
    refused: Arc<Series>,
}

/// Where the values of a call go.
#[derive(Debug)]
pub(crate) struct Handle {
    /// `None` where there were too many names: its values are counted, and that is all.
    series: Option<Arc<Series>>,
    folded: bool,
    own: Arc<Own>,
}

/// What a flush took of a series.
#[derive(Debug)]
pub(crate) struct Taken {
    pub series: Arc<Series>,
    pub value: Value,
}

impl Taken {
    /// Puts it back, for the next flush.
    pub(crate) fn put_back(&self) {
        self.series.put_back(&self.value);
    }
}

/// Something to tell whoever wrote the call, once for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub metric: String,
    pub about: &'static str,
}

#[derive(Default)]
struct Catalog {
    metrics: HashMap<(Kind, String), Entry>,
    units: HashMap<String, &'static str>,
    unregistered: usize,
    doubted: HashSet<(String, &'static str)>,
    doubts: Vec<Doubt>,
}

struct Entry {
    metric: Arc<Metric>,
    definition: Option<&'static Definition>,
    /// The names of the dimensions of a metric outside the registry, and the values of any.
    values: HashMap<String, HashSet<String>>,
    series: HashMap<Vec<Dimension>, Arc<Series>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Default for Store {
    fn default() -> Store {
        let mut catalog = Catalog::default();
        let mut own = |name: &str| {
            let (series, _) = catalog.resolve(Kind::Counter, name, std::iter::empty());
            series.unwrap_or_else(|| unreachable!("the first names are taken"))
        };
        let own = Own { overflow: own("telemetry_series_overflow"), refused: own("telemetry_values_refused") };
        Store {
            hasher: RandomState::default(),
            shards: Default::default(),
            catalog: Mutex::new(catalog),
            flushing: Mutex::default(),
            own: Arc::new(own),
        }
    }
}

impl Store {
    /// Does something with where the values of a call go.
    pub(crate) fn with<'a, R>(
        &self,
        kind: Kind,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        act: impl FnOnce(&Arc<Handle>) -> R,
    ) -> R {
        let mut hasher = self.hasher.build_hasher();
        (kind, name).hash(&mut hasher);
        labels.clone().for_each(|label| label.hash(&mut hasher));
        let hash = hasher.finish();
        let shard = &self.shards[hash as usize % SHARDS];
        {
            let known = shard.read().unwrap_or_else(PoisonError::into_inner);
            let is_it = |call: &&Call| call.is(kind, name, labels.clone());
            if let Some(call) = known.get(&hash).and_then(|calls| calls.iter().find(is_it)) {
                return act(&call.handle);
            }
        }
        let (series, folded) = self.catalog().resolve(kind, name, labels.clone());
        let handle = Arc::new(Handle { series, folded, own: Arc::clone(&self.own) });
        let mut known = shard.write().unwrap_or_else(PoisonError::into_inner);
        let bytes = labels.clone().fold(name.len(), |bytes, (name, value)| bytes + name.len() + value.len());
        if bytes <= MAX_CALL_BYTES {
            if known.len() >= MAX_CALLS / SHARDS {
                // Calls that come again are remembered again; those that came once only would be in their way for ever.
                known.clear();
            }
            let labels = labels.map(|(name, value)| (name.into(), value.into())).collect();
            // Two threads may both have resolved it: to the same series, so one of the calls is never found.
            known.entry(hash).or_default().push(Call { kind, name: name.into(), labels, handle: Arc::clone(&handle) });
        }
        drop(known);
        act(&handle)
    }

    /// Takes what was recorded since the last time, of every series. What is recorded meanwhile is in it or is
    /// left for the next time.
    pub(crate) fn take(&self, at_interval: bool) -> Vec<Taken> {
        let all: Vec<Arc<Series>> =
            self.catalog().metrics.values().flat_map(|entry| entry.series.values().cloned()).collect();
        all.into_iter()
            .flat_map(|series| {
                let values = series.take(at_interval);
                values.into_iter().map(move |value| Taken { series: Arc::clone(&series), value })
            })
            .collect()
    }

    /// What there is to tell of calls that are not as the registry has them, each thing once.
    pub(crate) fn doubts(&self) -> Vec<Doubt> {
        std::mem::take(&mut self.catalog().doubts)
    }

    /// Puts one back that could not be told, for the next flush.
    pub(crate) fn put_back(&self, doubt: Doubt) {
        self.catalog().doubts.push(doubt);
    }

    /// Held as long as a flush takes values and may put them back.
    pub(crate) fn flushing(&self) -> MutexGuard<'_, ()> {
        self.flushing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the unit of a metric outside the registry, which holds for series that are made from now on.
    pub(crate) fn describe(&self, name: &str, unit: &'static str) {
        let mut catalog = self.catalog();
        if catalog.units.len() < MAX_NAMES {
            catalog.units.insert(name.to_owned(), unit);
        }
    }

    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// Records a value that came `count` times.
    pub(crate) fn record(&self, value: f64, count: u64) {
        if let Some(series) = self.for_value(value, count) {
            series.record(value, count);
        }
    }

    /// Raises a counter to `value`.
    pub(crate) fn raise(&self, value: u64) {
        if let Some(series) = self.for_value(0.0, 1) {
            series.raise(value);
        }
    }

    /// Changes a gauge.
    pub(crate) fn change(&self, by: f64) {
        if let Some(series) = self.for_value(by, 1) {
            series.change(by);
        }
    }

    /// The series that a value may be told of, in whatever way. Counts a value that can't be, and one of a series
    /// that was folded.
    pub(crate) fn for_value(&self, value: f64, count: u64) -> Option<&Arc<Series>> {
        let Some(series) = &self.series else {
            self.own.overflow.record(1.0, count);
            return None;
        };
        let downwards = series.metric.kind == Kind::Counter && value < 0.0;
        if value.is_nan() || value.abs() > LARGEST || downwards {
            self.own.refused.record(1.0, count);
            return None;
        }
        if self.folded {
            self.own.overflow.record(1.0, count);
        }
        Some(series)
    }
}

impl Catalog {
    /// The series of a call, and whether its dimensions had to be folded.
    fn resolve<'a>(
        &mut self,
        kind: Kind,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> (Option<Arc<Series>>, bool) {
        let mut name = member_name(name);
        if name == SERVICE {
            name.push('_');
        }
        if !self.metrics.contains_key(&(kind, name.clone())) {
            let Some(entry) = self.entry(kind, &name) else { return (None, true) };
            self.metrics.insert((kind, name.clone()), entry);
        }
        let Some(entry) = self.metrics.get_mut(&(kind, name.clone())) else { return (None, true) };
        let given = labels.map(|(label, value)| {
            let mut label = member_name(label);
            if label == name {
                label.push('_');
            }
            (label, sanitised(value, &mut String::new()).to_owned())
        });
        let (dimensions, strange) = match entry.definition {
            Some(definition) => registered(definition, given),
            None => entry.unregistered(given),
        };
        let (series, folded) = entry.series(dimensions, strange && entry.definition.is_none());
        if strange {
            self.doubt(&name, "has labels that are not its dimensions: they are left out");
        }
        if folded {
            self.doubt(&name, "has too many series: further ones are folded into `other`");
        }
        (Some(series), folded)
    }

    fn entry(&mut self, kind: Kind, name: &str) -> Option<Entry> {
        let definition = registry::find(name);
        match definition {
            Some(definition) if Kind::of(definition.kind) != kind => {
                self.doubt(name, "is of another kind in the registry");
            }
            Some(_) => {}
            None if self.unregistered == MAX_NAMES => {
                self.doubt("", "are too many names outside the registry: further ones are counted only");
                return None;
            }
            None => {
                self.unregistered += 1;
                self.doubt(
                    name,
                    "is not in the registry: its labels are its dimensions, without roll-ups but by service",
                );
            }
        }
        let unit = definition.map(|definition| definition.unit.as_str());
        let unit = unit.or_else(|| self.units.get(name).copied()).unwrap_or("None");
        let sets = definition.map_or(BY_SERVICE, |definition| definition.sets);
        let metric = Arc::new(Metric::new(name, kind, unit, sets));
        Some(Entry { metric, definition, values: HashMap::new(), series: HashMap::new() })
    }

    fn doubt(&mut self, name: &str, about: &'static str) {
        if self.doubted.insert((name.to_owned(), about)) {
            self.doubts.push(Doubt { metric: name.to_owned(), about });
        }
    }
}

const BY_SERVICE: &[&[&str]] = &[&[], &[SERVICE]];

/// The dimensions of the registry, in its order, and whether other labels were given.
fn registered(definition: &Definition, given: impl Iterator<Item = (String, String)>) -> (Vec<Dimension>, bool) {
    let mut dimensions: Vec<Dimension> = definition
        .dimensions
        .iter()
        .map(|name| ((*name).to_owned(), (*name != SERVICE).then(|| "unknown".to_owned())))
        .collect();
    let mut strange = false;
    for (name, value) in given {
        match dimensions.iter_mut().find(|(dimension, _)| *dimension == name) {
            Some((_, known)) => *known = Some(value),
            None => strange = true,
        }
    }
    (dimensions, strange)
}

impl Entry {
    /// The service and the labels, as far as there is room for their names; whether there was not.
    fn unregistered(&mut self, given: impl Iterator<Item = (String, String)>) -> (Vec<Dimension>, bool) {
        let mut dimensions: Vec<Dimension> = vec![(SERVICE.to_owned(), None)];
        let mut left_out = false;
        for (name, value) in given {
            if let Some((_, known)) = dimensions.iter_mut().find(|(dimension, _)| *dimension == name) {
                *known = Some(value);
            } else if self.values.contains_key(&name) || self.values.len() < MAX_LABELS {
                self.values.entry(name.clone()).or_default();
                dimensions.push((name, Some(value)));
            } else {
                left_out = true;
            }
        }
        (dimensions, left_out)
    }

    /// The series of these dimensions, folded where there are too many; whether it is.
    fn series(&mut self, mut dimensions: Vec<Dimension>, mut folded: bool) -> (Arc<Series>, bool) {
        for (name, value) in &mut dimensions {
            let Some(value) = value else { continue };
            let known = self.values.entry(name.clone()).or_default();
            if known.len() < MAX_VALUES {
                known.insert(value.clone());
            } else if !known.contains(value) {
                OTHER.clone_into(value);
                folded = true;
            }
        }
        if self.series.len() >= MAX_SERIES && !self.series.contains_key(&dimensions) {
            dimensions.iter_mut().filter_map(|(_, value)| value.as_mut()).for_each(|value| OTHER.clone_into(value));
            folded = true;
        }
        let metric = &self.metric;
        let new = |dimensions: &Vec<Dimension>| Arc::new(Series::new(Arc::clone(metric), dimensions.clone()));
        let series = self.series.entry(dimensions).or_insert_with_key(new);
        (Arc::clone(series), folded)
    }
}

/// A name as a root member of a line may have it.
fn member_name(name: &str) -> String {
    let name = sanitised(name, &mut String::new()).to_owned();
    // Defect 41: a dimension called as something else in the line took its place.
    if RESERVED.contains(&name.as_str()) { name + "_" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [(&str, &str); 0] = [];

    /// What a flush takes, as `name{dimension=value,...} value`, sorted. `~` is the service's own name.
    fn taken(store: &Store) -> Vec<String> {
        let describe = |Taken { series, value }: &Taken| {
            let dimensions: Vec<String> = series
                .dimensions
                .iter()
                .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("~")))
                .collect();
            let value = match value {
                Value::Number(number) => *number,
                Value::Bins(bins) => bins.sum(),
            };
            format!("{}{{{}}} {value}", series.metric.name, dimensions.join(","))
        };
        let mut all: Vec<String> = store.take(false).iter().map(describe).collect();
        all.sort();
        all
    }

    fn count(store: &Store, name: &str, labels: &[(&str, &str)]) {
        store.with(Kind::Counter, name, labels.iter().copied(), |handle| handle.record(1.0, 1));
    }

    #[test]
    fn a_metric_of_the_registry_has_its_dimensions_in_its_order() {
        let store = Store::default();
        let labels = [("status_code", "200"), ("method", "GET"), ("endpoint", "/contracts")];
        count(&store, "api_requests", &labels);
        count(&store, "api_requests", &[("method", "GET")]);
        count(&store, "api_requests", &[("colour", "red")]);
        assert_eq!(
            taken(&store),
            [
                "api_requests{service=~,endpoint=/contracts,method=GET,status_code=200} 1",
                "api_requests{service=~,endpoint=unknown,method=GET,status_code=unknown} 1",
                "api_requests{service=~,endpoint=unknown,method=unknown,status_code=unknown} 1",
            ]
        );
        let about = "has labels that are not its dimensions: they are left out";
        assert_eq!(store.doubts(), [Doubt { metric: "api_requests".into(), about }]);
    }

    #[test]
    fn a_name_outside_the_registry_is_taken_and_told_once() {
        let store = Store::default();
        for _ in 0..3 {
            count(&store, "parcels_checked", &[("region", "77"), ("level", "deep"), ("имя", "да")]);
        }
        assert_eq!(taken(&store), ["parcels_checked{service=~,region=77,level_=deep,___=__} 3"]);
        assert_eq!(store.doubts().len(), 1);
        assert!(store.doubts().is_empty());
    }

    #[test]
    fn a_given_service_is_told_instead_of_the_own_one() {
        let store = Store::default();
        store.with(Kind::Gauge, "cpu_usage_percent", [("service", "user")].into_iter(), |handle| handle.record(7.5, 1));
        assert_eq!(taken(&store), ["cpu_usage_percent{service=user} 7.5"]);
    }

    #[test]
    fn values_beyond_a_hundred_are_folded_and_counted() {
        let store = Store::default();
        for round in 0..2 {
            for n in 0..150 {
                count(&store, "contract_creation_errors", &[("reason", &format!("r{n}"))]);
            }
            let all = taken(&store);
            assert_eq!(all.len(), 102, "{round}");
            assert!(all.contains(&"contract_creation_errors{service=~,reason=other} 50".to_owned()));
            assert!(all.contains(&"telemetry_series_overflow{service=~} 50".to_owned()));
        }
        assert_eq!(store.doubts().len(), 1);
    }

    #[test]
    fn series_and_names_are_bounded_whatever_comes() {
        let store = Store::default();
        for n in 0..20_000 {
            let (a, b) = ((n % 90).to_string(), (n / 90 % 90).to_string());
            count(&store, "api_requests", &[("endpoint", &a), ("method", &b)]);
        }
        let total = |all: &[String], name: &str| -> f64 {
            let of_it = all.iter().filter(|line| line.starts_with(&format!("{name}{{")));
            of_it.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
        };
        let all = taken(&store);
        assert_eq!((all.len(), total(&all, "api_requests")), (MAX_SERIES + 2, 20_000.0));
        for n in 0..500 {
            count(&store, &format!("name_{n}"), &NONE);
        }
        let all = taken(&store);
        assert_eq!((all.len(), total(&all, "telemetry_series_overflow")), (MAX_NAMES + 1, 300.0));
        let known: usize = store.shards.iter().map(|shard| shard.read().unwrap().len()).sum();
        assert!(known <= MAX_CALLS);
    }

    #[test]
    fn calls_that_are_remembered_take_a_bounded_room_and_give_way() {
        let store = Store::default();
        let is_remembered = |reason: &str| {
            let known = |call: &Call| call.labels.iter().any(|(_, value)| **value == *reason);
            store.shards.iter().any(|shard| shard.read().unwrap().values().flatten().any(known))
        };
        let long = "x".repeat(MAX_CALL_BYTES);
        for reason in ["first", &long] {
            count(&store, "contract_creation_errors", &[("reason", reason)]);
        }
        assert!(is_remembered("first") && !is_remembered(&long));
        for n in 0..4 * MAX_CALLS {
            count(&store, "contract_creation_errors", &[("reason", &n.to_string())]);
        }
        // One that comes after so many others is remembered as well as the first.
        count(&store, "contract_creation_errors", &[("reason", "last")]);
        assert!(is_remembered("last"));
        let known: usize = store.shards.iter().map(|shard| shard.read().unwrap().len()).sum();
        assert!(known <= MAX_CALLS);
    }

    #[test]
    fn labels_are_bounded() {
        let store = Store::default();
        let names: Vec<String> = (0..20).map(|n| format!("l{n}")).collect();
        let labels: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        count(&store, "strange", &labels);
        let all = taken(&store);
        assert_eq!(
            (all[0].matches("=x").count(), all[1].as_str()),
            (MAX_LABELS, "telemetry_series_overflow{service=~} 1")
        );
    }

    #[test]
    fn values_that_no_metric_can_hold_are_refused_and_counted() {
        let store = Store::default();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e200, -1.0] {
            store.with(Kind::Counter, "contracts_created", NONE.into_iter(), |handle| handle.record(value, 1));
        }
        store.with(Kind::Distribution, "document_size", NONE.into_iter(), |handle| handle.record(f64::NAN, 3));
        assert_eq!(taken(&store), ["telemetry_values_refused{service=~} 8"]);
    }

    #[test]
    fn a_kind_other_than_the_registrys_is_told_and_taken() {
        let store = Store::default();
        count(&store, "document_size", &NONE);
        assert_eq!(taken(&store), ["document_size{service=~,type=unknown} 1"]);
        assert_eq!(store.doubts()[0].about, "is of another kind in the registry");
    }

    #[test]
    fn calls_whose_hashes_collide_are_told_apart() {
        let store = Store::default();
        let at = |name: &str| store.with(Kind::Counter, name, NONE.into_iter(), Arc::clone);
        let (a, b) = (at("a"), at("b"));
        assert!(Arc::ptr_eq(&a, &at("a")) && !Arc::ptr_eq(&a, &b));
        let shard = &store.shards[0];
        let call = |name: &str, handle: &Arc<Handle>| Call {
            kind: Kind::Counter,
            name: name.into(),
            labels: Box::default(),
            handle: Arc::clone(handle),
        };
        let calls = vec![call("a", &a), call("b", &b)];
        shard.write().unwrap().insert(1, calls);
        let known = shard.read().unwrap();
        assert_eq!(known[&1].iter().map(|call| &*call.name).collect::<Vec<_>>(), ["a", "b"]);
    }
}
