//! One sweep of the metric flusher, as decisions: what the journal says, what is left of it.
//!
//! The journal is written before anything it speaks of is done, and cleared when all of it is done. Everything is
//! decided when it is written, down to the metrics of each call: a flusher that finds one left behind does what it says,
//! whatever its own configuration, registry or version would have made of it. Doing it again does no harm: merging into
//! rollups is idempotent (they hold the batch ids), so are quarantining and deleting, and a call leaves the journal as
//! soon as it is acknowledged; of a call that CloudWatch refuses, its halves take its place. (A journal of another form is
//! an error: whoever changes the form sees to it that it can be read.)
//!
//! Only a put of which no acknowledgement was noted is put again, and may then count twice, if CloudWatch had taken it
//! and the answer, or the note, was lost. [`FlushState::repeated_puts`] says how often that came up: it is never too low.
//! A call that was throttled is counted there as well, since a note that it was not taken may be lost, too.
//!
//! Metrics that lines have brought along ([`PendingMetrics::extracted`](super::pending::PendingMetrics)) are counted in
//! rollups like all others. Who puts them to CloudWatch is decided when the journal is written ([`Extraction`]).

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::metrics::put::{self, Datum, Plan, Refused};
use crate::metrics::rollup::Rollup;
use crate::metrics::series::SeriesSet;
use crate::ports::Object;

/// `state/metric-flusher.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlushState {
    /// The sweep that is under way, or that was when its flusher ended.
    pub journal: Option<Journal>,
    /// Raised at every write. S3 tells versions apart by their bytes (an ETag is a hash), so that no two
    /// states may be the same: a flusher that slept through another's whole sweep must not go on.
    pub generation: u64,
    /// Calls put again because no acknowledgement was noted. CloudWatch may have taken the first try.
    pub repeated_puts: u64,
}

/// A sweep that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Which sweep it is: the state's generation when this journal was first written, so that no two sweeps ever share
    /// one, and a sweep that is resumed keeps its own.
    pub sweep: u64,
    /// Until then its flusher may be alive, and another one keeps away.
    pub lease_until: Timestamp,
    /// Keys of the pending objects it takes in.
    pub pending: Vec<String>,
    /// What is new, by minute.
    pub minutes: BTreeMap<Minute, Delta>,
    /// What CloudWatch would not take: it goes to quarantine.
    pub refused: Vec<Refused>,
    /// Calls of `PutMetricData` (see [`put::plan`]) that CloudWatch has not acknowledged yet.
    pub calls: Vec<Vec<Datum>>,
}

/// Who puts the metrics that lines have brought along (CloudWatch's embedded metric format) to CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extraction {
    /// It does so itself: it extracts them from its logs. To put them as well would count them twice.
    CloudWatch,
    /// The flusher, with all others: there is nothing that extracts them.
    Flusher,
}

/// A text that names nobody who puts metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is neither `cloudwatch` nor `flusher`")]
pub struct UnknownExtraction;

impl FromStr for Extraction {
    type Err = UnknownExtraction;

    /// Reads `cloudwatch` or `flusher`.
    fn from_str(text: &str) -> Result<Extraction, UnknownExtraction> {
        match text {
            "cloudwatch" => Ok(Extraction::CloudWatch),
            "flusher" => Ok(Extraction::Flusher),
            _ => Err(UnknownExtraction),
        }
    }
}

/// What a sweep adds to one minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// Batches that were not counted in it before.
    pub batches: BTreeSet<String>,
    /// What they add.
    pub series: SeriesSet,
    /// What they add besides and CloudWatch has by itself: it is not put.
    #[serde(default, skip_serializing_if = "SeriesSet::is_empty")]
    pub extracted: SeriesSet,
}

impl FlushState {
    /// Reads the stored state.
    pub fn parse(body: &[u8]) -> Result<FlushState, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// The same with a generation that is later than any before `now`: should the state have been lost, or an old one put
    /// in its place, sweeps are still told apart from all earlier ones, which Prometheus' counters go by.
    pub fn not_before(mut self, now: Timestamp) -> FlushState {
        self.generation = self.generation.max(u64::try_from(now.as_millisecond()).unwrap_or_default());
        self
    }

    /// The object to be written.
    pub fn to_object(&self) -> Object {
        Object::json(keys::FLUSH_STATE, self)
    }
}

impl Journal {
    /// Of a sweep that takes in the objects `pending`, which add `minutes`. `now` decides what is too old, or too far
    /// ahead, to be put.
    pub fn new(
        sweep: u64,
        lease_until: Timestamp,
        pending: Vec<String>,
        minutes: BTreeMap<Minute, Delta>,
        now: Minute,
    ) -> Journal {
        let Plan { calls, refused } = put::plan(minutes.iter().map(|(&minute, delta)| (minute, &delta.series)), now);
        Journal { sweep, lease_until, pending, minutes, refused, calls }
    }

    /// The next call was acknowledged, or lies in quarantine.
    pub fn done(&mut self) {
        if !self.calls.is_empty() {
            self.calls.remove(0);
        }
    }

    /// The next call was refused, and nothing of it taken: its halves take its place, so that one metric of it does not
    /// hold up the others.
    pub fn halve(&mut self) {
        if let Some(call) = self.calls.first_mut() {
            let rest = call.split_off(call.len() / 2);
            self.calls.insert(1, rest);
        }
    }
}

/// Adds `delta` to `rollup`, unless an earlier try of the same sweep has done so. Says whether it did.
pub fn apply(rollup: &mut Rollup, delta: &Delta) -> bool {
    // A sweep's batches enter a rollup in one write, so either all of them are in it or none.
    if delta.batches.iter().any(|batch| rollup.batches.contains(batch)) {
        return false;
    }
    rollup.batches.extend(delta.batches.iter().cloned());
    rollup.series.merge(&delta.series);
    rollup.series.merge(&delta.extracted);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::merge::Merge;
    use crate::metrics::pending::{PendingMetrics, PendingView, VERSION};
    use crate::metrics::series::{Aggregate, Dimensions, SeriesKey};

    fn minute() -> Minute {
        "2026-11-21T10:05Z".parse().unwrap()
    }

    fn key() -> SeriesKey {
        SeriesKey { name: "contracts_created".to_owned(), dimensions: Dimensions::new() }
    }

    fn series(value: f64) -> BTreeMap<Minute, SeriesSet> {
        BTreeMap::from([(minute(), SeriesSet::from_iter([(key(), Aggregate::of(value, 0))]))])
    }

    fn batch(id: &str, value: f64) -> PendingMetrics {
        let batch_id = id.to_owned();
        PendingMetrics { version: VERSION, batch_id, minutes: series(value), extracted: BTreeMap::new() }
    }

    /// What is new in `pending`, each read as it lies in its object.
    fn deltas<'a>(
        pending: impl IntoIterator<Item = &'a PendingMetrics>,
        extraction: Extraction,
        counted: impl Fn(Minute, &str) -> bool,
    ) -> BTreeMap<Minute, Delta> {
        let mut merge = Merge::new(extraction);
        for pending in pending {
            let object = pending.to_object();
            merge.add(&PendingView::parse(&object.body).unwrap(), &counted);
        }
        merge.finish()
    }

    #[test]
    fn a_batch_counts_once_however_often_it_comes() {
        let mut rollup = Rollup::empty(minute());
        let first =
            deltas([&batch("a", 1.0), &batch("b", 2.0), &batch("a", 1.0)], Extraction::CloudWatch, |_, _| false);
        assert!(apply(&mut rollup, &first[&minute()]));
        assert!(!apply(&mut rollup, &first[&minute()]), "a repeated try of the same sweep adds nothing");
        let counted = |rollup: &Rollup, at: Minute, id: &str| at == rollup.minute && rollup.batches.contains(id);
        let again =
            deltas([&batch("a", 1.0), &batch("c", 4.0)], Extraction::CloudWatch, |at, id| counted(&rollup, at, id));
        assert_eq!(again[&minute()].batches, BTreeSet::from(["c".to_owned()]));
        assert!(apply(&mut rollup, &again[&minute()]));
        assert_eq!(rollup.series.get(&key()).map(|a| a.sum), Some(7.0));
        assert!(deltas([&batch("b", 2.0)], Extraction::CloudWatch, |at, id| counted(&rollup, at, id)).is_empty());
    }

    /// What the calls of a sweep put, summed.
    fn put(minutes: BTreeMap<Minute, Delta>) -> f64 {
        let journal = Journal::new(1, Timestamp::UNIX_EPOCH, Vec::new(), minutes, minute());
        let total = |datum: &&Datum| datum.dimensions.is_empty();
        let sum = |datum: &Datum| match &datum.values {
            put::Values::Counts(values) => values.iter().map(|(value, count)| value * *count as f64).sum::<f64>(),
            put::Values::Statistics { sum, .. } => *sum,
        };
        journal.calls.iter().flatten().filter(total).map(sum).sum()
    }

    #[test]
    fn what_cloudwatch_extracts_is_rolled_up_and_not_put() {
        let both = PendingMetrics { extracted: series(10.0), ..batch("both", 1.0) };
        let alone = PendingMetrics { minutes: BTreeMap::new(), extracted: series(100.0), ..batch("alone", 0.0) };
        for (extraction, expected) in [(Extraction::CloudWatch, 1.0), (Extraction::Flusher, 111.0)] {
            let mut rollup = Rollup::empty(minute());
            let new = deltas([&both, &alone, &both], extraction, |_, _| false);
            assert!(apply(&mut rollup, &new[&minute()]) && !apply(&mut rollup, &new[&minute()]));
            assert_eq!(rollup.series.get(&key()).map(|held| (held.count, held.sum)), Some((3, 111.0)));
            assert_eq!(put(new), expected, "{extraction:?}");
            let counted = |_, id: &str| rollup.batches.contains(id);
            assert!(deltas([&alone, &both], extraction, counted).is_empty());
        }
    }

    #[test]
    fn a_journal_of_before_reads_as_one_without_extracted_metrics() {
        let delta: Delta = serde_json::from_str(r#"{"batches":["a"],"series":[]}"#).unwrap();
        assert_eq!(delta.extracted, SeriesSet::default());
        assert_eq!(serde_json::to_string(&delta).unwrap(), r#"{"batches":["a"],"series":[]}"#);
    }

    #[test]
    fn who_puts_metrics_is_said_in_one_of_two_words() {
        assert_eq!("cloudwatch".parse(), Ok(Extraction::CloudWatch));
        assert_eq!("flusher".parse(), Ok(Extraction::Flusher));
        assert_eq!("CloudWatch".parse::<Extraction>(), Err(UnknownExtraction));
    }

    #[test]
    fn the_state_reads_back_as_it_was_written() {
        let new = [&PendingMetrics { extracted: series(2.0), ..batch("a", 1.0) }];
        let new = deltas(new, Extraction::CloudWatch, |_, _| false);
        let lease_until = "2026-11-21T10:06:30Z".parse().unwrap();
        let journal = Journal::new(6, lease_until, vec![keys::pending("a")], new.clone(), minute());
        let too_late = Journal::new(6, lease_until, vec![], new, minute().plus(put::OLDEST_MINUTES + 1));
        assert_eq!((journal.calls.len(), journal.refused.len()), (1, 0));
        assert_eq!((too_late.calls.len(), too_late.refused.len()), (0, 1));
        let journal = Journal { refused: too_late.refused, ..journal };
        let state = FlushState { journal: Some(journal), generation: 7, repeated_puts: 2 };
        assert_eq!(FlushState::parse(&state.to_object().body).unwrap(), state);
    }
}
