//! The second door on sample triggers, with a bucket in memory.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws::lambda::BatchResponse;
use domain::logs::quarantine::Quarantined;
use domain::ports::{BusEvent, PortError, PutEvents};
use log_processor::{Pipelines, StreamEvent, handle, handle_stream};
use serde_json::json;
use testkit::memory_bucket::Moment;
use testkit::pipeline::settings;
use testkit::{InMemoryBucket, Operation, RecordedEvents, event_file};

fn event(name: &str) -> StreamEvent {
    serde_json::from_slice(&event_file(&format!("log-processor-kinesis/{name}.json"))).unwrap()
}

async fn run(event: &StreamEvent, bucket: &InMemoryBucket) -> BatchResponse {
    handle_stream(event, bucket, &RecordedEvents::new(), &Pipelines::new(settings())).await
}

fn objects(bucket: &InMemoryBucket) -> BTreeMap<String, Vec<u8>> {
    bucket.keys().into_iter().map(|key| (key.clone(), bucket.body(&key).unwrap())).collect()
}

/// What the first door makes of these sample deliveries.
async fn by_the_first_door(names: &[&str]) -> InMemoryBucket {
    let bucket = InMemoryBucket::new();
    for name in names {
        let event = String::from_utf8(event_file(&format!("log-processor/{name}.json"))).unwrap();
        handle(&event, &bucket, &RecordedEvents::new(), &Pipelines::new(settings())).await.unwrap();
    }
    bucket
}

/// The sequence numbers that are answered as failed, as Lambda reads them.
fn failed(response: &BatchResponse) -> Vec<String> {
    let answer = serde_json::to_value(response).unwrap();
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

fn sequence_number(event: &StreamEvent, at: usize) -> String {
    event.records[at].kinesis.sequence_number.clone()
}

#[tokio::test]
async fn a_message_comes_to_the_same_objects_by_either_door() {
    let bucket = InMemoryBucket::new();
    let response = run(&event("messages"), &bucket).await;
    assert_eq!(serde_json::to_value(response).unwrap(), json!({ "batchItemFailures": [] }));
    let first = by_the_first_door(&["schema-v1", "control-message", "postgresql-short-prefix"]).await;
    assert_eq!(first.keys_under("metrics/pending/").len(), 2);
    assert_eq!(objects(&bucket), objects(&first));
    // Through both doors, or again: still once.
    run(&event("messages"), &first).await;
    assert_eq!(objects(&first), objects(&bucket));
}

#[tokio::test]
async fn a_record_that_can_not_be_opened_is_kept_with_the_reason_and_does_not_take_the_others_along() {
    for (name, reason, says) in [
        ("truncated-gzip", "gzip", "are not a whole gzip member"),
        ("bad-base64", "base64", "is not base64: Invalid symbol 37"),
    ] {
        let bucket = InMemoryBucket::new();
        assert_eq!(run(&event(name), &bucket).await, BatchResponse::default(), "{name}: trying again would not help");
        let keys = bucket.keys_under("quarantine/");
        let [key] = &keys[..] else { panic!("one object: {keys:?}") };
        let kept: Quarantined = serde_json::from_slice(&bucket.body(key).unwrap()).unwrap();
        assert_eq!(kept.reason, reason, "{name}");
        assert!(kept.items[0].error.contains(says), "{name}: {}", kept.items[0].error);
        let others = by_the_first_door(&["schema-v1", "raw-text"]).await;
        let rest: BTreeMap<_, _> = objects(&bucket).into_iter().filter(|(other, _)| other != key).collect();
        assert_eq!(rest, objects(&others), "{name}");
    }
}

#[tokio::test]
async fn the_pipelines_own_logs_are_refused_at_this_door_too() {
    let bucket = InMemoryBucket::new();
    assert_eq!(run(&event("own-log-group"), &bucket).await, BatchResponse::default());
    assert_eq!(objects(&bucket), objects(&by_the_first_door(&["raw-text"]).await));
}

#[tokio::test]
async fn a_write_that_fails_fails_its_record_alone_and_the_retry_completes_it() {
    let event = event("messages");
    let done = by_the_first_door(&["schema-v1", "postgresql-short-prefix"]).await;
    let of_last = by_the_first_door(&["postgresql-short-prefix"]).await;
    for failing in of_last.keys() {
        for moment in [Moment::Before, Moment::After] {
            let (bucket, failing) = (InMemoryBucket::new(), failing.clone());
            bucket.inject(move |operation, key| (operation == Operation::Put && key == failing).then_some(moment));
            assert_eq!(failed(&run(&event, &bucket).await), [sequence_number(&event, 2)]);
            for key in by_the_first_door(&["schema-v1"]).await.keys() {
                assert!(bucket.body(&key).is_some(), "{key} is of another record");
            }
            bucket.heal();
            assert_eq!(run(&event, &bucket).await, BatchResponse::default());
            assert_eq!(objects(&bucket), objects(&done));
        }
    }
}

#[tokio::test]
async fn every_record_that_failed_is_reported_and_in_order() {
    let (event, bucket) = (event("messages"), InMemoryBucket::new());
    bucket.inject(|_, _| Some(Moment::Before));
    // The control message writes nothing that could fail.
    assert_eq!(failed(&run(&event, &bucket).await), [0, 2].map(|at| sequence_number(&event, at)));
}

#[tokio::test]
async fn a_quarantine_that_can_not_be_written_is_a_failure_not_a_loss() {
    let (event, bucket) = (event("truncated-gzip"), InMemoryBucket::new());
    bucket.inject(|_, key| key.starts_with("quarantine/").then_some(Moment::Before));
    assert_eq!(failed(&run(&event, &bucket).await), [sequence_number(&event, 1)]);
}

/// A bus that never answers, and counts who asks.
#[derive(Default)]
struct Hanging(AtomicUsize);

impl PutEvents for Hanging {
    async fn put_events(&self, _: &[BusEvent]) -> Result<(), PortError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_does_not_answer_stops_no_shard() {
    // 25 seconds a record, and the run was killed before it was through.
    let record = |number: usize| {
        let line = json!({"level": "CRITICAL", "category": "security", "message": "m", "details": {"event_type": "t"}});
        let (line, stream) = (line.to_string(), format!("task/{number}"));
        let delivery = testkit::subscription::delivery("/aws/ecs/production/user", &stream, &[(1_000, line.as_str())]);
        json!({"kinesis": {"sequenceNumber": number.to_string(), "data": delivery["awslogs"]["data"]}})
    };
    let records: Vec<_> = (0..40).map(record).collect();
    let event: StreamEvent = serde_json::from_value(json!({ "Records": records })).unwrap();
    let (bucket, bus) = (InMemoryBucket::new(), Hanging::default());
    let began = tokio::time::Instant::now();
    let response = handle_stream(&event, &bucket, &bus, &Pipelines::new(settings())).await;
    assert_eq!(response, BatchResponse::default());
    assert_eq!((bucket.keys_under("archive/").len(), bucket.keys_under("alerts/inbox/").len()), (40, 40));
    // By the paused clock, which only the waiting for the bus moves on.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(bus.0.load(Ordering::Relaxed), 4, "those at work when it was found out");
}
