//! The promise that nothing is lost and nothing counts twice, under chance: deliveries come again and out
//! of order, any write or put may fail before or after it is done, flushers end in the middle. Every run is
//! decided by its seed; a failure names it.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::HashSet;

use domain::Minute;
use domain::keys;
use domain::logs::archive;
use domain::metrics::flush::{Extraction, FlushState};
use domain::metrics::rollup::Rollup;
use domain::ports::Retry;
use jiff::{SignedDuration, Timestamp};
use log_processor::{Pipelines, handle};
use metric_flusher::{Flusher, LEASE, TAKING_IN};
use serde_json::{Value, json};
use testkit::memory_bucket::Moment;
use testkit::pipeline::{NAMESPACE, settings};
use testkit::{InMemoryBucket, InMemoryPrometheus, RecordedEvents, RecordedMetrics, subscription};

const RUNS: u64 = 100;
const DELIVERIES: u64 = 8;

/// SplitMix64: small, and the same everywhere.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn one_in(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }
}

fn start() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// A delivery of some lines, spread over a few minutes and sometimes over an hour's end.
struct Delivery {
    event: String,
    lines: usize,
    /// What its lines bring along of a metric in CloudWatch's embedded format.
    brought: f64,
}

fn delivery(number: u64, chance: &mut Chance) -> Delivery {
    let (mut lines, mut brought) = (Vec::new(), 0.0);
    for _ in 0..1 + chance.below(20) {
        let millis = start().as_millisecond() + chance.below(4_000_000) as i64;
        let mut line = json!({ "level": "ERROR", "msg": "x" });
        if chance.one_in(3) {
            let value = 1 + chance.below(9);
            brought += value as f64;
            line["contracts_created"] = value.into();
            // Written down up to a minute later: now and then that is in the minute before, or the hour.
            line["_aws"] = json!({ "Timestamp": millis - chance.below(60_000) as i64, "CloudWatchMetrics": [
                { "Namespace": NAMESPACE, "Dimensions": [[]], "Metrics": [{ "Name": "contracts_created" }] }
            ] });
        }
        lines.push((millis, line.to_string()));
    }
    let events: Vec<(i64, &str)> = lines.iter().map(|(millis, line)| (*millis, line.as_str())).collect();
    let stream = format!("stream-{number}");
    let event = subscription::delivery("/aws/ecs/production/api", &stream, &events).to_string();
    Delivery { event, lines: lines.len(), brought }
}

struct World {
    bucket: InMemoryBucket,
    flusher: Flusher<InMemoryBucket, RecordedMetrics, InMemoryPrometheus>,
    now: Timestamp,
}

impl World {
    async fn tick(&mut self) -> bool {
        self.now += LEASE + SignedDuration::from_secs(5);
        self.flusher.flush(Minute::of(self.now), self.now).await.is_ok()
    }
}

async fn simulate(seed: u64, extraction: Extraction) {
    let mut chance = Chance(seed);
    let pipelines = Pipelines::new(settings());
    let bucket = InMemoryBucket::new();
    let metrics = RecordedMetrics::new();
    let (namespace, prometheus) = ("n".into(), None);
    let flusher = Flusher {
        bucket: bucket.clone(),
        metrics: metrics.clone(),
        namespace,
        extraction,
        prometheus,
        taking_in: TAKING_IN,
    };
    let mut world = World { bucket, flusher, now: start() };
    let deliveries: Vec<Delivery> = (0..DELIVERIES).map(|number| delivery(number, &mut chance)).collect();

    let mut faults = chance.clone();
    world.bucket.inject(move |_, _| match faults.below(20) {
        0 => Some(Moment::Before),
        1 => Some(Moment::After),
        _ => None,
    });
    let mut put_faults = Chance(!seed);
    metrics.inject(move |_| match put_faults.below(6) {
        0 => Some(Moment::Before),
        1 => Some(Moment::After),
        _ => None,
    });
    for _ in 0..40 {
        if chance.one_in(4) {
            if chance.one_in(3) {
                metrics.fail_next([Retry::Transient]);
            }
            world.tick().await;
        } else {
            let delivery = &deliveries[chance.below(DELIVERIES) as usize];
            // What fails is delivered again, sooner or later.
            let _ = handle(&delivery.event, &world.bucket, &RecordedEvents::new(), &pipelines).await;
        }
    }
    world.bucket.heal();
    metrics.heal();
    for delivery in &deliveries {
        handle(&delivery.event, &world.bucket, &RecordedEvents::new(), &pipelines).await.unwrap();
    }
    // A refused put may still be left over: one tick to refuse it, one to do it.
    while !world.tick().await {}

    check(&world, &metrics, &deliveries, seed);
}

fn check(world: &World, metrics: &RecordedMetrics, deliveries: &[Delivery], seed: u64) {
    let lines: usize = deliveries.iter().map(|delivery| delivery.lines).sum();
    let brought: f64 = deliveries.iter().map(|delivery| delivery.brought).sum();
    let bucket = &world.bucket;
    let bodies = |prefix: &str| bucket.keys_under(prefix).into_iter().map(|key| bucket.body(&key).unwrap());
    let records = bodies("archive/").flat_map(|body| archive::lines(&body).unwrap());
    let identity = |line: String| {
        let record: Value = serde_json::from_str(&line).unwrap();
        format!("{} {}", record["source"]["log_stream"], record["source"]["event_id"])
    };
    let archived: Vec<String> = records.map(identity).collect();
    let distinct: HashSet<&String> = archived.iter().collect();
    assert_eq!((archived.len(), distinct.len()), (lines, lines), "seed {seed}: the archive");

    let rollups: Vec<Rollup> = bodies("rollups/dt=").map(|body| Rollup::parse(&body).unwrap()).collect();
    let counted = |name: &str| -> f64 {
        rollups.iter().flat_map(|rollup| rollup.series.named(name)).map(|(_, held)| held.sum).sum()
    };
    assert_eq!(
        (counted("log_entries"), counted("contracts_created")),
        (lines as f64, brought),
        "seed {seed}: the rollups"
    );

    let state = FlushState::parse(&bucket.body(keys::FLUSH_STATE).unwrap()).unwrap();
    assert_eq!((state.journal, bucket.keys_under(keys::PENDING_METRICS).len()), (None, 0), "seed {seed}: work left");
    let to_put = match world.flusher.extraction {
        Extraction::CloudWatch => 0.0,
        Extraction::Flusher => brought,
    };
    for (name, expected) in [("log_entries", lines as f64), ("contracts_created", to_put)] {
        let put = metrics.sum(name);
        assert!(put >= expected, "seed {seed}: {put} {name} put of {expected}");
        assert!(put == expected || state.repeated_puts > 0, "seed {seed}: {put} {name} of {expected}, and nobody told");
        assert!(expected > 0.0 || put == 0.0, "seed {seed}: {put} {name} put that CloudWatch has by itself");
    }
}

#[tokio::test]
async fn whatever_fails_and_however_often_it_comes_each_line_is_kept_once_and_counted_once() {
    for seed in 0..RUNS {
        let extraction = if seed % 2 == 0 { Extraction::CloudWatch } else { Extraction::Flusher };
        simulate(seed, extraction).await;
    }
}
