//! Pending metrics of many batches into what they add to each minute, object by object: none is kept longer than it
//! takes to merge it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Minute;
use crate::metrics::flush::{Delta, Extraction};
use crate::metrics::pending::PendingView;
use crate::metrics::series::{SeriesTable, SeriesView};

/// What the batches of a sweep add so far.
pub struct Merge {
    extraction: Extraction,
    minutes: BTreeMap<Minute, Part>,
}

#[derive(Default)]
struct Part {
    batches: BTreeSet<String>,
    series: SeriesTable,
    extracted: SeriesTable,
}

impl Merge {
    /// Of no batch. `extraction` decides what is to be put.
    pub fn new(extraction: Extraction) -> Merge {
        Merge { extraction, minutes: BTreeMap::new() }
    }

    /// Adds what `batch` says, and answers whether any of it is new: a batch that came before, or that a rollup has
    /// `counted` in its minute already, adds nothing to that minute.
    pub fn add(&mut self, batch: &PendingView<'_>, counted: impl Fn(Minute, &str) -> bool) -> bool {
        let mut is_new = false;
        for minute in batch.all_minutes() {
            if counted(minute, batch.batch_id()) {
                continue;
            }
            let part = self.minutes.entry(minute).or_default();
            if part.batches.contains(batch.batch_id()) {
                continue;
            }
            part.batches.insert(batch.batch_id().to_owned());
            is_new = true;
            part.series.add_all(batch.series(minute));
            match self.extraction {
                Extraction::CloudWatch => part.extracted.add_all(batch.extracted(minute)),
                Extraction::Flusher => part.series.add_all(batch.extracted(minute)),
            }
        }
        is_new
    }

    /// How many series there are so far, those of each minute.
    pub fn len(&self) -> usize {
        self.minutes.values().map(|part| part.series.len() + part.extracted.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they add, by minute.
    pub fn finish(self) -> BTreeMap<Minute, Delta> {
        let delta = |part: Part| Delta {
            batches: part.batches,
            series: part.series.into_set(),
            extracted: part.extracted.into_set(),
        };
        self.minutes.into_iter().map(|(minute, part)| (minute, delta(part))).collect()
    }
}

impl SeriesTable {
    fn add_all(&mut self, series: &[SeriesView<'_>]) {
        series.iter().for_each(|series| self.add(series));
    }
}
