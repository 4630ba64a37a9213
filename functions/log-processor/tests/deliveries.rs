//! The handler on sample triggers, with a bucket in memory.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use domain::alerting::inbox::Incoming;
use domain::logs::archive;
use domain::logs::quarantine::Quarantined;
use log_processor::{Pipelines, Summary, handle};
use serde_json::Value;
use testkit::memory_bucket::Moment;
use testkit::{InMemoryBucket, Operation, RecordedEvents, event_file};

fn pipelines() -> Pipelines {
    Pipelines::new(testkit::pipeline::settings())
}

fn event(name: &str) -> String {
    String::from_utf8(event_file(&format!("log-processor/{name}.json"))).unwrap()
}

async fn run(name: &str) -> (InMemoryBucket, Summary) {
    let bucket = InMemoryBucket::new();
    let summary = handle(&event(name), &bucket, &RecordedEvents::new(), &pipelines()).await.unwrap();
    (bucket, summary)
}

fn archived(bucket: &InMemoryBucket) -> Vec<Value> {
    let keys = bucket.keys_under("archive/");
    let lines = keys.iter().flat_map(|key| archive::lines(&bucket.body(key).unwrap()).unwrap());
    lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
}

fn quarantined(bucket: &InMemoryBucket) -> Quarantined {
    let keys = bucket.keys_under("quarantine/");
    assert_eq!(keys.len(), 1, "{keys:?}");
    serde_json::from_slice(&bucket.body(&keys[0]).unwrap()).unwrap()
}

#[tokio::test]
async fn every_dialect_is_archived_whole() {
    for (name, lines, formats) in [
        ("schema-v1", 4, vec!["schema_v1"; 4]),
        ("python-source-document", 2, vec!["python"; 2]),
        // What `docs/python/landlog.py` writes.
        ("python-logging", 4, vec!["emf", "schema_v1", "emf", "schema_v1"]),
        // A statement belongs to the error before it.
        ("postgresql-short-prefix", 4, vec!["postgresql"; 3]),
        ("postgresql-values", 5, vec!["postgresql"; 2]),
        ("secrets-by-name", 3, vec!["json", "raw", "raw"]),
        ("raw-text", 7, vec!["raw"; 7]),
        ("null-fields", 1, vec!["json"]),
    ] {
        let (bucket, summary) = run(name).await;
        let records = archived(&bucket);
        let found: Vec<&str> = records.iter().map(|record| record["source"]["format"].as_str().unwrap()).collect();
        assert_eq!(found, formats, "{name}");
        assert_eq!((summary.received, summary.archived), (lines, lines), "{name}");
        assert_eq!(bucket.keys_under("metrics/pending/").len(), 1, "{name}");
    }
}

#[tokio::test]
async fn nothing_personal_reaches_the_bucket() {
    for name in ["schema-v1", "python-logging", "postgresql-short-prefix", "postgresql-values", "secrets-by-name"] {
        let (bucket, _) = run(name).await;
        let everything: String = archived(&bucket).iter().map(Value::to_string).collect();
        for planted in ["anna", "4509", "79123456789"] {
            assert!(!everything.contains(planted), "{name}: {everything}");
        }
        for key in bucket.keys_under("metrics/") {
            assert!(!String::from_utf8(bucket.body(&key).unwrap()).unwrap().contains("anna"), "{name}");
        }
    }
}

#[tokio::test]
async fn a_redelivery_rewrites_the_same_bytes_at_the_same_keys() {
    let (bucket, first) = run("schema-v1").await;
    let before: Vec<_> = bucket.keys().into_iter().map(|key| (bucket.body(&key), key)).collect();
    let again = handle(&event("schema-v1"), &bucket, &RecordedEvents::new(), &pipelines()).await.unwrap();
    let after: Vec<_> = bucket.keys().into_iter().map(|key| (bucket.body(&key), key)).collect();
    assert_eq!((again, after), (first, before));
}

#[tokio::test]
async fn nothing_to_keep_writes_nothing() {
    for name in ["control-message", "empty-batch", "own-log-group"] {
        let (bucket, summary) = run(name).await;
        assert_eq!((bucket.keys(), summary), (vec![], Summary::default()), "{name}");
    }
}

#[tokio::test]
async fn a_delivery_that_can_not_be_read_is_kept_with_what_is_wrong_with_it() {
    for (name, reason, says) in [
        ("truncated-gzip", "gzip", "are not a whole gzip member"),
        ("bad-base64", "base64", "`awslogs.data` is not base64: Invalid symbol 37"),
        ("not-json", "json", "not the JSON of a CloudWatch Logs message: not JSON: an object expected at byte 0"),
        ("log-events-not-a-list", "json", "not JSON: an array expected at byte"),
        ("no-awslogs", "event", "no text at `awslogs.data`: missing field `awslogs`"),
    ] {
        let (bucket, summary) = run(name).await;
        let kept = quarantined(&bucket);
        assert_eq!((summary.quarantined_deliveries, kept.reason.as_str()), (1, reason), "{name}");
        assert!(kept.items[0].error.contains(says), "{name}: {}", kept.items[0].error);
        let original = serde_json::to_value(&kept.items[0].original).unwrap();
        assert_eq!(original["text"], event(name), "{name}: the original is kept as it came");
    }
}

#[tokio::test]
async fn a_line_that_can_not_be_read_does_not_take_its_batch_along() {
    for (name, reason) in [("oversize-line", "oversize"), ("invalid-utf-8", "not-utf-8")] {
        let (bucket, summary) = run(name).await;
        assert_eq!((summary.received, summary.archived, summary.quarantined), (3, 2, 1), "{name}");
        assert_eq!(quarantined(&bucket).reason, reason);
        assert_eq!(archived(&bucket).len(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_write_that_fails_is_an_error_and_the_retry_completes_the_batch() {
    for failing in ["archive/", "metrics/"] {
        for moment in [Moment::Before, Moment::After] {
            let bucket = InMemoryBucket::new();
            bucket.inject(move |operation, key| {
                (operation == Operation::Put && key.starts_with(failing)).then_some(moment)
            });
            let error = handle(&event("schema-v1"), &bucket, &RecordedEvents::new(), &pipelines()).await.unwrap_err();
            assert!(format!("{error:#}").contains("is not stored completely: Put "), "{error:#}");
            if failing == "archive/" {
                assert!(bucket.keys_under("metrics/").is_empty(), "metrics never speak of lines that are not kept");
            }
            bucket.heal();
            handle(&event("schema-v1"), &bucket, &RecordedEvents::new(), &pipelines()).await.unwrap();
            let (undisturbed, _) = run("schema-v1").await;
            assert_eq!(bucket.keys(), undisturbed.keys());
        }
    }
}

#[tokio::test]
async fn a_quarantine_that_can_not_be_written_is_an_error_not_a_loss() {
    let bucket = InMemoryBucket::new();
    bucket.inject(|_, _| Some(Moment::Before));
    let error = handle(&event("truncated-gzip"), &bucket, &RecordedEvents::new(), &pipelines()).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("a delivery that can not be read could not be kept"), "{error:#}");
}

#[tokio::test]
async fn one_pipeline_for_many_deliveries_does_as_a_new_one_for_each() {
    let (shared, bucket) = (pipelines(), InMemoryBucket::new());
    for name in ["schema-v1", "truncated-gzip", "own-log-group", "postgresql-values", "raw-text", "schema-v1"] {
        let summary = handle(&event(name), &bucket, &RecordedEvents::new(), &shared).await.unwrap();
        let (alone, expected) = run(name).await;
        assert_eq!(summary, expected, "{name}");
        for key in alone.keys() {
            assert_eq!(bucket.body(&key), alone.body(&key), "{name}: {key}");
        }
    }
}

#[tokio::test]
async fn a_panic_ends_one_delivery_and_not_the_next() {
    let (shared, bucket) = (pipelines(), InMemoryBucket::new());
    let panics = || shared.run(|_| panic!("a bug"));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
    let summary = handle(&event("schema-v1"), &bucket, &RecordedEvents::new(), &shared).await.unwrap();
    assert_eq!(summary.archived, 4);
}

/// A line about security.
fn security(event_type: &str, reason: &str) -> String {
    serde_json::json!({"level": "WARNING", "category": "security", "message": "security event",
        "details": {"event_type": event_type, "reason": reason, "ip_address": "93.184.216.34", "email": "anna@example.com"}})
    .to_string()
}

#[tokio::test]
async fn what_lines_say_of_security_is_told_once_a_type_and_without_anything_personal() {
    // Defect 22: three events, three mails, with user and address in them.
    let lines = [
        security("login_failed", "bad_password"),
        r#"{"level":"INFO","category":"system","message":"security"}"#.to_owned(),
        security("login_failed", "bad_password"),
        security("permission_escalation", "role"),
    ];
    let lines: Vec<(i64, &str)> =
        lines.iter().enumerate().map(|(at, line)| (1_000 + at as i64, line.as_str())).collect();
    let event = testkit::subscription::delivery("/aws/ecs/production/user", "s", &lines).to_string();
    let (bucket, bus) = (InMemoryBucket::new(), RecordedEvents::new());
    // What EventBridge does not take waits for the evaluator: a batch that comes again and again stops its shard.
    for failure in [domain::ports::Retry::Transient, domain::ports::Retry::Permanent] {
        bus.fail_next([failure]);
        handle(&event, &bucket, &bus, &pipelines()).await.unwrap();
        assert_eq!(bucket.keys_under("archive/").len(), 1, "that the bus is away keeps nothing from the archive");
    }
    let waiting: Vec<_> = bucket.keys_under("alerts/inbox/").iter().map(|key| bucket.body(key).unwrap()).collect();
    handle(&event, &bucket, &bus, &pipelines()).await.unwrap();
    // With the second delivery the lines have a known shape.
    let shared = pipelines();
    for _ in 0..3 {
        handle(&event, &bucket, &bus, &shared).await.unwrap();
    }
    let calls = bus.taken();
    assert_eq!(calls.len(), 4);
    assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
    let told: Vec<domain::logs::security::SecurityEvent> =
        calls[0].iter().map(|event| serde_json::from_str(&event.detail).unwrap()).collect();
    let summary: Vec<_> = told.iter().map(|event| (event.event_type.as_str(), event.count, &*event.service)).collect();
    assert_eq!(summary, [("login_failed", 2, "user"), ("permission_escalation", 1, "user")]);
    let mut waited: Vec<Incoming> =
        waiting.into_iter().map(|body| Incoming::read(&String::from_utf8(body).unwrap()).unwrap()).collect();
    waited.sort_by_key(|event| event.at());
    assert_eq!(waited.len(), 2);
    assert!(
        told.iter().all(|event| waited.contains(&Incoming::Security(event.clone()))),
        "the same, so that it counts once"
    );
    let text = calls[0].iter().map(|event| event.detail.as_str()).collect::<String>();
    assert!(!["anna", "93.184.216.34", "bad_password"].iter().any(|told| text.contains(told)), "{text}");

    // Most batches say nothing of it, and cost no call.
    handle(&self::event("schema-v1"), &bucket, &RecordedEvents::new(), &pipelines()).await.unwrap();
}
