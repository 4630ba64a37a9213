//! The ways to take in pending metrics that are compared. Each ends with the rollups as JSON, and tells how many values
//! are in them.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Minute;
use domain::metrics::flush::Extraction;
use domain::metrics::pending::PendingMetrics;
use domain::metrics::put;
use domain::metrics::rollup::Rollup;
use domain::metrics::series::SeriesSet;
use metric_flusher::Flusher;
use serde_json::{Value, json};

use crate::pending::{Calls, Pending, PendingBucket, now};

/// One way.
pub type Way = fn(&Pending, usize) -> u64;

/// All of them, with their names.
pub const WAYS: [(&str, Way); 3] = [("tick", tick), ("typed, held", typed), ("values, held", values)];

/// Ticks of the flusher until all is done, with all that belongs to them but the network.
pub fn tick(pending: &Pending, count: usize) -> u64 {
    let calls = Calls::default();
    let flusher = Flusher {
        bucket: PendingBucket::new(pending.clone(), count),
        metrics: &calls,
        namespace: "n".into(),
        extraction: Extraction::CloudWatch,
        taking_in: Duration::MAX / 4,
        prometheus: None::<metric_flusher::Exporter<testkit::InMemoryPrometheus>>,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime on this thread");
    // What one tick does not take in, the next does.
    while runtime.block_on(flusher.flush(Minute::of(now()), now())).is_err() {}
    let written = &flusher.bucket.written;
    let rollups = written.keys_under("rollups/dt=").into_iter().filter_map(|key| written.body(&key));
    rollups.map(|body| counted(&Rollup::parse(&body).expect("a rollup"))).sum()
}

fn counted(rollup: &Rollup) -> u64 {
    rollup.series.iter().map(|(_, held)| held.count).sum()
}

/// Every object read into its type, all of them held, then merged series by series: without journal, recent rollups
/// or bounds.
fn typed(pending: &Pending, count: usize) -> u64 {
    let batches: Vec<PendingMetrics> =
        (0..count).map(|number| PendingMetrics::parse(&pending.body(number)).expect("pending metrics")).collect();
    let mut rollups: BTreeMap<Minute, Rollup> = BTreeMap::new();
    for batch in &batches {
        for (minute, series) in &batch.minutes {
            let rollup = rollups.entry(*minute).or_insert_with(|| Rollup::empty(*minute));
            rollup.batches.insert(batch.batch_id.clone());
            rollup.series.merge(series);
        }
    }
    let series: Vec<(Minute, &SeriesSet)> = rollups.iter().map(|(&minute, rollup)| (minute, &rollup.series)).collect();
    std::hint::black_box(put::plan(series, Minute::of(now())));
    rollups.values().for_each(|rollup| drop(std::hint::black_box(rollup.to_object())));
    rollups.values().map(counted).sum()
}

/// As a script would do it: every object a JSON value, all of them held, then merged under the text of what names a
/// series. Every value is kept with its count; there is no sketch.
fn values(pending: &Pending, count: usize) -> u64 {
    let batches: Vec<Value> =
        (0..count).map(|number| serde_json::from_slice(&pending.body(number)).expect("JSON")).collect();
    let mut minutes: BTreeMap<String, BTreeMap<String, Merged>> = BTreeMap::new();
    for batch in &batches {
        for (minute, series) in batch["minutes"].as_object().expect("minutes") {
            let merged = minutes.entry(minute.clone()).or_default();
            for series in series.as_array().expect("series") {
                let key = format!("{} {}", series["name"], series["dimensions"]);
                merged.entry(key).or_default().add(series);
            }
        }
    }
    let told = |merged: &Merged| json!({ "count": merged.count, "sum": merged.sum, "values": merged.values });
    for merged in minutes.values() {
        let rollup: BTreeMap<&String, Value> = merged.iter().map(|(key, merged)| (key, told(merged))).collect();
        std::hint::black_box(serde_json::to_vec(&rollup).expect("JSON"));
    }
    minutes.values().flat_map(BTreeMap::values).map(|merged| merged.count).sum()
}

#[derive(Default)]
struct Merged {
    count: u64,
    sum: f64,
    values: BTreeMap<String, u64>,
}

impl Merged {
    fn add(&mut self, series: &Value) {
        self.count += series["count"].as_u64().expect("a count");
        self.sum += series["sum"].as_f64().expect("a sum");
        for pair in series["sketch"]["values"].as_array().into_iter().flatten() {
            *self.values.entry(pair[0].to_string()).or_default() += pair[1].as_u64().expect("a count");
        }
    }
}
