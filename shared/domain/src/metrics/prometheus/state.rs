//! `state/prometheus.json`: every series as Prometheus shall see it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::metrics::flush::Delta;
use crate::metrics::registry::{Definition, Kind, find};
use crate::metrics::series::{Aggregate, SeriesKey};
use crate::ports::Object;

use super::exposition;

/// Label names and values.
pub type Labels = BTreeMap<String, String>;

/// Series that are kept, a histogram as one. A new one beyond them is counted in the series of its metric whose labels
/// all have the value [`FOLDED`].
pub const MAX_SERIES: usize = 10_000;

/// The value of labels that there was no room for.
pub const FOLDED: &str = "other";

/// Minutes after which a series that does not grow ends. Longer than the windows that panels and rules look at; what
/// it costs is a sample a minute.
pub const IDLE_MINUTES: i64 = 60;

/// Minutes for which a series that was refused is not sent again.
pub const REFUSED_MINUTES: i64 = 60;

/// A zero comes this long before the first value, in milliseconds: after the tick before, at which an earlier series of
/// the same labels may have ended.
const ZERO_BEFORE: i64 = 30_000;

/// The only version there is.
const VERSION: u32 = 1;

/// What Prometheus is to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// Raised at every write, so that no two states have the same bytes (see [`crate::metrics::flush::FlushState`]).
    generation: u64,
    /// The last sweep that is in it. Sweeps come one after another, so that any before it are as well.
    applied: Option<u64>,
    /// The time of the samples of the last decision, in milliseconds since the Unix epoch.
    at: i64,
    /// The time of its zeros: before it, and after that of the decision before.
    zero_at: i64,
    /// By the metric's name in the registry.
    families: BTreeMap<String, Family>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    /// Of its histograms: where others stand in the registry, it begins anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bounds: Vec<f64>,
    #[serde(with = "as_list")]
    series: BTreeMap<Labels, Held>,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    pub(super) value: Value,
    #[serde(default, skip_serializing_if = "Phase::is_active")]
    phase: Phase,
    /// The tick at which all that it has was taken, and since which it has not grown. `None`: there is something new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Minute>,
    /// The tick at which it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Minute>,
}

/// In the unit of the registry: sums of whole milliseconds are exact, and of their thousandths would not be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Value {
    /// The sum so far.
    Counter(f64),
    /// The last value, with its event time in epoch milliseconds.
    Gauge(i64, f64),
    /// How many values fell into each bucket and not into a lower one, the last above all bounds; and their sum.
    Histogram(Vec<u64>, f64),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// Its zero has not been taken yet.
    New,
    /// It is sent at each tick.
    #[default]
    Active,
    /// Its end is to be told; then it is forgotten.
    Ending,
}

impl Phase {
    fn is_active(&self) -> bool {
        *self == Phase::Active
    }
}

/// What tells a series from all others: the metric's name in the registry and its labels (not those that all series of
/// a stack have).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The metric.
    pub metric: String,
    /// The labels.
    pub labels: Labels,
}

/// What a sweep has brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Series of a minute that were added.
    pub series: usize,
    /// Those of them that were counted as [`FOLDED`], since there are too many.
    pub folded: usize,
    /// What has no place in Prometheus and was left out: metrics that nobody registered, counters that went down, and
    /// gauges that are too old or too many.
    pub left_out: usize,
}

/// A stored state that can not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not the JSON of this format.
    #[error("not a state of Prometheus' counters")]
    Json(#[from] serde_json::Error),
    /// Written by another version.
    #[error("a state of version {0}, this is version {VERSION}")]
    Version(u32),
}

impl Default for State {
    /// Nothing has been counted yet.
    fn default() -> State {
        State { version: VERSION, generation: 0, applied: None, at: 0, zero_at: 0, families: BTreeMap::new() }
    }
}

impl State {
    /// Reads the stored state. Metrics that the registry has no more, or with other buckets, are left out: they begin
    /// anew, and Prometheus stops to show their old series after five minutes.
    ///
    /// # Errors
    ///
    /// Where the bytes are none, or another version's.
    pub fn parse(body: &[u8]) -> Result<State, StateError> {
        let mut state: State = serde_json::from_slice(body)?;
        if state.version != VERSION {
            return Err(StateError::Version(state.version));
        }
        state.families.retain(|metric, family| {
            find(metric).is_some_and(|definition| {
                family.bounds == definition.buckets() && family.series.values().all(|held| held.value.is_of(definition))
            })
        });
        Ok(state)
    }

    /// The object to be written. No two that are written have the same bytes.
    pub fn to_object(&mut self) -> Object {
        self.generation += 1;
        Object::json(keys::PROMETHEUS_STATE, self)
    }

    /// How many series it holds, a histogram as one.
    pub fn len(&self) -> usize {
        self.families.values().map(|family| family.series.len()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.families.values().all(|family| family.series.is_empty())
    }

    /// The time of the samples that it speaks of, in milliseconds since the Unix epoch.
    pub fn at(&self) -> i64 {
        self.at
    }

    /// The time of its zeros.
    pub(super) fn zero_at(&self) -> i64 {
        self.zero_at
    }

    /// Adds what the sweep numbered `sweep` has found, in the tick `tick`, unless it is in it already: `None`.
    pub fn apply(&mut self, sweep: u64, tick: Minute, minutes: &BTreeMap<Minute, Delta>) -> Option<Counted> {
        if self.applied.is_some_and(|applied| applied >= sweep) {
            return None;
        }
        self.applied = Some(sweep);
        let mut counted = Counted::default();
        let mut room = MAX_SERIES.saturating_sub(self.len());
        for delta in minutes.values() {
            for (key, aggregate) in delta.series.iter().chain(delta.extracted.iter()) {
                match self.add(key, aggregate, tick, &mut room) {
                    Some(is_folded) => {
                        counted.series += 1;
                        counted.folded += usize::from(is_folded);
                    }
                    None => counted.left_out += 1,
                }
            }
        }
        Some(counted)
    }

    /// Answers whether it was folded, or `None` where it was left out.
    fn add(&mut self, key: &SeriesKey, aggregate: &Aggregate, tick: Minute, room: &mut usize) -> Option<bool> {
        let definition = find(&key.name)?;
        let is_late = |event: i64| tick.since(Minute::of_epoch_millis(event)) >= IDLE_MINUTES;
        match definition.kind {
            Kind::Counter if aggregate.sum < 0.0 => return None,
            Kind::Gauge if is_late(aggregate.last.0) => return None,
            _ => {}
        }
        let new = || Family { bounds: definition.buckets().to_vec(), series: BTreeMap::new() };
        let family = self.families.entry(key.name.clone()).or_insert_with(new);
        let mut labels = exposition::labels(&key.dimensions);
        let is_folded = *room == 0 && !family.series.contains_key(&labels);
        if is_folded {
            // What several gauges say does not add up.
            if definition.kind == Kind::Gauge {
                return None;
            }
            labels.values_mut().for_each(|value| FOLDED.clone_into(value));
        }
        let held = family.series.entry(labels).or_insert_with(|| {
            *room = room.saturating_sub(1);
            Held::new(definition)
        });
        // A line may be stamped hours ahead of its time, and would hide what others say until then.
        held.add(definition, aggregate, tick.plus(1).start().as_millisecond());
        Some(is_folded)
    }

    /// Decides about the tick `tick`: when its samples are, and which series end. To be stored before anything of it is
    /// sent.
    pub fn decide(&mut self, tick: Minute) {
        let before = self.at;
        self.at = tick.start().as_millisecond().max(before + 2);
        self.zero_at = (self.at - ZERO_BEFORE).max(before + 1);
        for family in self.families.values_mut() {
            family.series.retain(|_, held| held.decide(tick));
        }
    }

    /// Whether the last decision is for `tick` or a later one.
    pub fn is_decided(&self, tick: Minute) -> bool {
        self.at >= tick.start().as_millisecond()
    }

    /// The series whose zero is to be sent.
    pub(super) fn new_series(&self) -> impl Iterator<Item = (&'static Definition, &Labels, &Held)> {
        self.series().filter(|(_, _, held)| held.phase == Phase::New)
    }

    /// The series whose value, or end, is to be sent.
    pub(super) fn known_series(&self) -> impl Iterator<Item = (&'static Definition, &Labels, &Held)> {
        self.series().filter(|(_, _, held)| held.phase != Phase::New)
    }

    fn series(&self) -> impl Iterator<Item = (&'static Definition, &Labels, &Held)> {
        let families = self.families.iter().filter_map(|(metric, family)| Some((find(metric)?, family)));
        families
            .flat_map(|(definition, family)| family.series.iter().map(move |(labels, held)| (definition, labels, held)))
            .filter(|(_, _, held)| held.refused.is_none())
    }

    /// Notes that the zeros were taken, but those that were `refused` for good, and those that came too `late` and are
    /// sent again. To be stored before any value is sent.
    pub fn announced(&mut self, refused: &BTreeSet<Name>, late: &BTreeSet<Name>, tick: Minute) {
        self.answered(refused, late, tick, |held| {
            if held.phase == Phase::New {
                held.phase = Phase::Active;
            }
            true
        });
    }

    /// Notes that values and ends were taken, but those that were `refused` for good, and those that came too `late`.
    /// It need not be stored at once: what is not noted is sent again.
    pub fn delivered(&mut self, refused: &BTreeSet<Name>, late: &BTreeSet<Name>, tick: Minute) {
        self.answered(refused, late, tick, |held| {
            if held.phase != Phase::New {
                held.told = held.told.or(Some(tick));
            }
            held.phase != Phase::Ending
        });
        self.families.retain(|_, family| !family.series.is_empty());
    }

    /// Notes what was refused; of the others that were sent and did not come late, those stay for which `taken` says so.
    fn answered(
        &mut self,
        refused: &BTreeSet<Name>,
        late: &BTreeSet<Name>,
        tick: Minute,
        taken: impl Fn(&mut Held) -> bool,
    ) {
        for (metric, family) in &mut self.families {
            family.series.retain(|labels, held| {
                if held.refused.is_some() {
                    return true;
                }
                let is_in = |names: &BTreeSet<Name>| {
                    // Hardly ever is there any: no name is copied then.
                    !names.is_empty() && names.contains(&Name { metric: metric.clone(), labels: labels.clone() })
                };
                if is_in(refused) {
                    held.refused = Some(tick);
                    // An answer for good, so that it may end as well.
                    held.told = held.told.or(Some(tick));
                    return !held.is_ending();
                }
                is_in(late) || taken(held)
            });
        }
    }
}

impl Held {
    fn new(definition: &Definition) -> Held {
        let (value, phase) = match definition.kind {
            Kind::Counter => (Value::Counter(0.0), Phase::New),
            Kind::Gauge => (Value::Gauge(i64::MIN, 0.0), Phase::Active),
            Kind::Histogram | Kind::Timer => {
                (Value::Histogram(vec![0; definition.buckets().len() + 1], 0.0), Phase::New)
            }
        };
        Held { value, phase, told: None, refused: None }
    }

    /// A gauge's event time is not after `latest`.
    fn add(&mut self, definition: &Definition, aggregate: &Aggregate, latest: i64) {
        match &mut self.value {
            Value::Counter(sum) => *sum = finite(*sum + aggregate.sum),
            Value::Gauge(event, value) => {
                // Of two values of the same millisecond the greater, as everywhere (see `Aggregate::merge`).
                let (at, last) = (aggregate.last.0.min(latest), aggregate.last.1);
                if at > *event || (at == *event && last > *value) {
                    (*event, *value) = (at, last);
                }
            }
            Value::Histogram(counts, sum) => {
                for (held, new) in counts.iter_mut().zip(exposition::bucketed(definition, aggregate)) {
                    *held = held.saturating_add(new);
                }
                *sum = finite(*sum + aggregate.sum);
            }
        }
        self.told = None;
    }

    /// Ends it where it is idle, and goes on where it is not any more. Answers whether it is kept.
    fn decide(&mut self, tick: Minute) -> bool {
        let is_idle = match self.value {
            Value::Gauge(event, _) => tick.since(Minute::of_epoch_millis(event)) >= IDLE_MINUTES,
            _ => self.told.is_some_and(|told| tick.since(told) >= IDLE_MINUTES),
        };
        let was_refused = self.refused.is_some();
        self.refused = self.refused.filter(|refused| tick.since(*refused) < REFUSED_MINUTES);
        let is_tried_again = was_refused && self.refused.is_none();
        self.phase = match (self.phase, is_idle) {
            // Its zero was refused again, so that nobody knows of it.
            (Phase::New, true) if !is_tried_again => return false,
            (Phase::New, _) => Phase::New,
            (_, true) => Phase::Ending,
            (_, false) => Phase::Active,
        };
        true
    }

    /// Whether it ends.
    pub(super) fn is_ending(&self) -> bool {
        self.phase == Phase::Ending
    }

    /// Whether its zero is to be sent.
    pub(super) fn is_new(&self) -> bool {
        self.phase == Phase::New
    }
}

impl Value {
    fn is_of(&self, definition: &Definition) -> bool {
        match (self, definition.kind) {
            (Value::Counter(_), Kind::Counter) | (Value::Gauge(..), Kind::Gauge) => true,
            (Value::Histogram(counts, _), Kind::Histogram | Kind::Timer) => {
                counts.len() == definition.buckets().len() + 1
            }
            _ => false,
        }
    }
}

/// JSON knows no infinity: a sum that grows beyond all numbers stays at the greatest.
fn finite(sum: f64) -> f64 {
    sum.clamp(f64::MIN, f64::MAX)
}

/// A map whose keys are no texts, as a list of pairs.
mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Held, Labels};

    pub(super) fn serialize<S: Serializer>(series: &BTreeMap<Labels, Held>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(series)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Labels, Held>, D::Error> {
        Ok(Vec::<(Labels, Held)>::deserialize(deserializer)?.into_iter().collect())
    }
}
