//! The handler on sample triggers, with a bucket in memory.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};

use aws::lambda::BatchResponse;
use aws::pipelines::Pipelines;
use domain::logs::archive;
use domain::logs::quarantine::Quarantined;
use domain::metrics::pending::PendingMetrics;
use event_recorder::{Config, QueueEvent, handle};
use serde_json::{Value, json};
use testkit::memory_bucket::Moment;
use testkit::pipeline::settings;
use testkit::{InMemoryBucket, Operation, event_file};

fn event(name: &str) -> QueueEvent {
    serde_json::from_slice(&event_file(&format!("event-recorder/{name}.json"))).unwrap()
}

async fn run(event: &QueueEvent, bucket: &InMemoryBucket) -> BatchResponse {
    handle(event, bucket, &Pipelines::new(settings())).await
}

async fn done(event: &QueueEvent) -> InMemoryBucket {
    let bucket = InMemoryBucket::new();
    assert_eq!(run(event, &bucket).await, BatchResponse::default());
    bucket
}

fn objects(bucket: &InMemoryBucket) -> BTreeMap<String, Vec<u8>> {
    bucket.keys().into_iter().map(|key| (key.clone(), bucket.body(&key).unwrap())).collect()
}

/// Only the messages at these places.
fn only(event: &QueueEvent, places: &[usize]) -> QueueEvent {
    QueueEvent { records: places.iter().map(|&at| event.records[at].clone()).collect() }
}

fn records(bucket: &InMemoryBucket) -> Vec<Value> {
    let bodies = bucket.keys_under("archive/").into_iter().map(|key| bucket.body(&key).unwrap());
    let lines = bodies.flat_map(|body| archive::lines(&body).unwrap());
    lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
}

fn quarantined(bucket: &InMemoryBucket) -> Vec<Quarantined> {
    let bodies = bucket.keys_under("quarantine/").into_iter().map(|key| bucket.body(&key).unwrap());
    bodies.map(|body| serde_json::from_slice(&body).unwrap()).collect()
}

/// The sum of a metric in everything that is to be flushed.
fn sum(bucket: &InMemoryBucket, name: &str) -> f64 {
    let bodies = bucket.keys_under("metrics/pending/").into_iter().map(|key| bucket.body(&key).unwrap());
    let pending: Vec<_> = bodies.map(|body| PendingMetrics::parse(&body).unwrap()).collect();
    let series = pending.iter().flat_map(|pending| pending.minutes.values()).flat_map(|set| set.iter());
    series.filter(|(key, _)| key.name == name).map(|(_, held)| held.sum).sum()
}

#[tokio::test]
async fn each_event_is_archived_with_its_service_and_counted() {
    let bucket = done(&event("all-types")).await;
    let records = records(&bucket);
    let told: BTreeSet<(&str, &str)> = records
        .iter()
        .map(|record| (record["context"]["service_name"].as_str().unwrap(), record["message"].as_str().unwrap()))
        .collect();
    let expected = [
        ("contract", "Contract created"),
        ("contract", "Contract creation failed"),
        ("contract", "Contract signed"),
        ("document", "Document uploaded"),
        ("user", "User registered"),
    ];
    assert_eq!(told, expected.into());
    for (metric, total) in [
        ("user_registrations", 1.0),
        ("contracts_created", 1.0),
        ("contract_value", 2_500_000.0),
        ("contracts_signed", 1.0),
        ("contract_signing_duration", 184_000.0),
        ("contract_creation_errors", 1.0),
        ("documents_uploaded", 1.0),
        ("document_size", 2.4),
        ("log_entries", 5.0),
        ("pipeline_lines_received", 5.0),
        ("pipeline_lines_archived", 5.0),
    ] {
        assert_eq!(sum(&bucket, metric), total, "{metric}");
    }
    assert!(records.iter().all(|record| !record.to_string().contains("anna.petrova")), "an address is redacted");
}

#[tokio::test]
async fn an_event_of_a_type_that_nobody_knows_is_archived_with_all_its_fields() {
    let bucket = done(&event("unknown-type")).await;
    let record = &records(&bucket)[0];
    assert_eq!(record["message"], "ContractArchived");
    assert_eq!(
        record["details"],
        json!({ "contract_id": "c-17", "archived_by": { "department": "registry" }, "unread": { "active_users": 7 } })
    );
    assert_eq!((sum(&bucket, "log_entries"), sum(&bucket, "active_users")), (1.0, 0.0));
}

#[tokio::test]
async fn what_is_no_event_is_kept_as_it_came_and_does_not_take_the_others_along() {
    let event = event("unreadable");
    let bucket = done(&event).await;
    assert_eq!((sum(&bucket, "pipeline_lines_received"), sum(&bucket, "pipeline_lines_archived")), (5.0, 1.0));
    assert_eq!((sum(&bucket, "pipeline_lines_quarantined"), sum(&bucket, "contracts_created")), (4.0, 0.0));
    let held = quarantined(&bucket);
    let kept: BTreeSet<Vec<u8>> =
        held.iter().flat_map(|held| &held.items).map(|item| item.original.bytes().unwrap()).collect();
    let sent = event.records[1..].iter().map(|message| message.body.clone().into_bytes());
    assert_eq!(kept, sent.collect());
    let told: BTreeMap<&str, Vec<&str>> = held.iter().fold(BTreeMap::new(), |mut told, held| {
        told.entry(held.reason.as_str()).or_default().push(&held.items[0].error);
        told
    });
    assert_eq!(told["event-json"].len(), 1);
    assert_eq!(
        told["event-envelope"],
        ["the message is not an event of EventBridge: `detail` is a list, expected an object"]
    );
    let mut of_schema = told["event-schema"].clone();
    of_schema.sort_unstable();
    assert_eq!(
        of_schema,
        [
            "not a ContractCreated event: `detail.contract_value` is a text of 7 characters, expected a number from 0 \
             to 1000000000000",
            "not a DocumentUploaded event: `detail.file_size_mb` is -1, expected a number from 0 to 1000000",
        ]
    );
}

#[tokio::test]
async fn an_event_that_comes_again_counts_once_whatever_it_comes_with() {
    let again = event("again");
    let bucket = done(&again).await;
    assert_eq!(
        (records(&bucket).len(), sum(&bucket, "contracts_created"), sum(&bucket, "contracts_signed")),
        (2, 1.0, 1.0)
    );
    let before = objects(&bucket);
    // In another batch, with others, and in another order.
    let mut other = event("all-types");
    other.records.extend(only(&again, &[3, 0]).records);
    run(&other, &bucket).await;
    let mut expected = objects(&done(&event("all-types")).await);
    expected.extend(before);
    assert_eq!(objects(&bucket), expected);
}

#[tokio::test]
async fn a_write_that_fails_fails_its_message_alone_and_the_retry_completes_it() {
    let event = event("all-types");
    let whole = objects(&done(&event).await);
    for at in 0..event.records.len() {
        for failing in done(&only(&event, &[at])).await.keys() {
            for moment in [Moment::Before, Moment::After] {
                let (bucket, key) = (InMemoryBucket::new(), failing.clone());
                bucket.inject(move |operation, put| (operation == Operation::Put && put == key).then_some(moment));
                let answer = serde_json::to_value(run(&event, &bucket).await).unwrap();
                let message_id = &event.records[at].message_id;
                assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": message_id }] }));
                if failing.starts_with("archive/") {
                    let pending = bucket.keys_under("metrics/").len();
                    assert_eq!(pending, event.records.len() - 1, "metrics never speak of an event that is not kept");
                }
                bucket.heal();
                // The queue brings again only what failed.
                assert_eq!(run(&only(&event, &[at]), &bucket).await, BatchResponse::default());
                assert_eq!(objects(&bucket), whole);
            }
        }
    }
}

#[tokio::test]
async fn where_nothing_can_be_written_every_message_is_reported_and_in_order() {
    let (event, bucket) = (event("unreadable"), InMemoryBucket::new());
    bucket.inject(|_, _| Some(Moment::Before));
    let failed: Vec<String> =
        run(&event, &bucket).await.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    let sent: Vec<String> = event.records.into_iter().map(|message| message.message_id).collect();
    assert_eq!(failed, sent, "a quarantine that can not be written is a failure, not a loss");
}

#[test]
fn a_missing_variable_is_named() {
    let error = Config::from_lookup(|_| None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: BUCKET_NAME is not set; ENVIRONMENT is not set; PSEUDONYM_KEY_SECRET is not set"
    );
}
