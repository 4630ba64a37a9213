//! What functions tell of their runs, found by running their handlers on ports in memory.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alert_evaluator::{Evaluator, Ports};
use aws::pipelines::Pipelines;
use domain::Minute;
use domain::keys;
use domain::logs::archive::Hours;
use domain::metrics::flush::Extraction;
use domain::metrics::pending::{PendingMetrics, VERSION};
use domain::metrics::recent::RecentRollups;
use domain::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};
use domain::ports::Retry;
use jiff::Timestamp;
use metric_flusher::{Exporter, Flusher, LEASE, TAKING_IN};
use serde_json::{Value, json};
use testkit::memory_bucket::Moment;
use testkit::{
    FixedMetrics, InMemoryBucket, InMemoryPrometheus, Operation, RecordedEvents, RecordedLog, RecordedMetrics,
    RecordedPublications, RecordedSegments, RecordedSpans, pipeline, subscription,
};
use trace_forwarder::Forwarder;

use super::lines_of;

/// A run of a function, and what it has to tell.
pub struct Run {
    /// The function's name in this repository.
    pub function: &'static str,
    /// Which run.
    pub run: &'static str,
    /// The lines that it wrote.
    pub lines: Vec<String>,
    /// What is expected of it: of what is counted by the piece, the number as well.
    pub expected: &'static [&'static str],
    /// Between these milliseconds is the age of [`NEWEST`].
    pub age: (i64, i64),
}

/// When the newest of what a run works on was written: long ago, so that no clock makes it new.
const NEWEST: &str = "2020-02-02T10:05:00Z";

fn newest() -> Timestamp {
    NEWEST.parse().unwrap()
}

/// The newest and an older one, in epoch milliseconds.
fn millis() -> [i64; 2] {
    [newest().as_millisecond() - 86_400_000, newest().as_millisecond()]
}

fn run(
    function: &'static str,
    run: &'static str,
    expected: &'static [&'static str],
    work: impl Future<Output = ()>,
) -> Run {
    let age = || Timestamp::now().as_millisecond() - newest().as_millisecond();
    let before = age();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lines = lines_of(|| runtime.block_on(work), || ());
    Run { function, run, lines, expected, age: (before, age()) }
}

/// The runs: of each function whatever an alarm watches, and what it tells where something fails.
pub fn runs() -> Vec<Run> {
    [log_processor(), event_recorder(), trace_forwarder(), metric_flusher(), alert_evaluator()]
        .into_iter()
        .flatten()
        .collect()
}

/// A bucket whose first object is not written.
fn failing() -> InMemoryBucket {
    let bucket = InMemoryBucket::new();
    bucket.inject(|operation, _| (operation == Operation::Put).then_some(Moment::Before));
    bucket
}

fn log_processor() -> Vec<Run> {
    const DOOR: &str = "log-processor";
    const STREAM: &str = "log-processor-kinesis";
    const ALL: &[&str] = &["batch_age", "bytes", "lines 2", "quarantined 1"];
    const UNDONE: &[&str] = &["batch_age", "bytes", "lines 2"];
    const NO_BUS: &[&str] = &["batch_age", "bytes", "events_refused 1", "lines 1"];
    let [older, newer] = millis();
    let lines: [(i64, &[u8]); 2] = [(newer, b"no \xff text"), (older, b"a line")];
    let delivery = subscription::delivery_of_bytes("/aws/ecs/production/web", "s", &lines);
    let by_subscription = async |event: &Value, bucket: InMemoryBucket| {
        log_processor::handle(
            &event.to_string(),
            &bucket,
            &RecordedEvents::new(),
            &Pipelines::new(pipeline::settings()),
        )
        .await
        .is_ok()
    };
    let by_stream = async |data: &Value, bucket: InMemoryBucket| {
        let event = json!({ "Records": [{ "kinesis": { "sequenceNumber": "1", "data": data } }] });
        let event = serde_json::from_value(event).unwrap();
        let answer = log_processor::handle_stream(
            &event,
            &bucket,
            &RecordedEvents::new(),
            &Pipelines::new(pipeline::settings()),
        )
        .await;
        answer.batch_item_failures.is_empty()
    };
    let data = &delivery["awslogs"]["data"];
    let line = json!({"category": "security", "message": "m", "details": {"event_type": "login_failed"}});
    let about_security = subscription::delivery("/aws/ecs/production/user", "s", &[(newer, &line.to_string())]);
    let pipelines = || Pipelines::new(pipeline::settings());
    let no_bus = || {
        let bus = RecordedEvents::new();
        bus.fail_next([Retry::Permanent]);
        bus
    };
    vec![
        run(DOOR, "lines, one of them unreadable", ALL, async {
            assert!(by_subscription(&delivery, InMemoryBucket::new()).await);
        }),
        run(DOOR, "an unreadable delivery", &["quarantined 1"], async {
            assert!(by_subscription(&json!({ "awslogs": { "data": "?" } }), InMemoryBucket::new()).await);
        }),
        run(DOOR, "a line about security, and no bus", NO_BUS, async {
            log_processor::handle(&about_security.to_string(), &InMemoryBucket::new(), &no_bus(), &pipelines())
                .await
                .unwrap();
        }),
        run(STREAM, "a line about security, and no bus", NO_BUS, async {
            let data = &about_security["awslogs"]["data"];
            let event = json!({ "Records": [{ "kinesis": { "sequenceNumber": "1", "data": data } }] });
            let event = serde_json::from_value(event).unwrap();
            let answer = log_processor::handle_stream(&event, &InMemoryBucket::new(), &no_bus(), &pipelines()).await;
            assert!(answer.batch_item_failures.is_empty());
        }),
        // It is done again, and told again; what is not kept yet is not in quarantine.
        run(DOOR, "lines that can not be kept", UNDONE, async {
            assert!(!by_subscription(&delivery, failing()).await);
        }),
        run(STREAM, "lines, one of them unreadable", ALL, async {
            assert!(by_stream(data, InMemoryBucket::new()).await);
        }),
        run(STREAM, "lines that can not be kept", UNDONE, async {
            assert!(!by_stream(data, failing()).await);
        }),
    ]
}

fn event_recorder() -> Vec<Run> {
    const ALL: &[&str] = &["batch_age", "bytes", "lines 2", "quarantined 1", "retries 1"];
    const UNDONE: &[&str] = &["batch_age", "bytes", "lines 2", "retries 1"];
    let record = async |bucket: InMemoryBucket| {
        let [older, newer] = millis();
        let message = |id: &str, sent: i64, received: u8, body: &str| {
            json!({ "messageId": id, "body": body, "attributes": {
                "SentTimestamp": sent.to_string(), "ApproximateReceiveCount": received.to_string() } })
        };
        let event = r#"{"id":"1","account":"123456789012","time":"2020-02-02T10:05:00Z","source":"land-contracts.user",
            "detail-type":"UserRegistered","detail":{"user_role":"buyer"}}"#;
        let event = json!({ "Records": [message("a", newer, 1, event), message("b", older, 2, "no event")] });
        let event = serde_json::from_value(event).unwrap();
        let answer = event_recorder::handle(&event, &bucket, &Pipelines::new(pipeline::settings())).await;
        answer.batch_item_failures.len()
    };
    vec![
        run("event-recorder", "an event and what is none, for the second time", ALL, async {
            assert_eq!(record(InMemoryBucket::new()).await, 0);
        }),
        run("event-recorder", "events that can not be kept", UNDONE, async {
            assert_eq!(record(failing()).await, 2);
        }),
    ]
}

fn trace_forwarder() -> Vec<Run> {
    const ALL: &[&str] = &["batch_age", "bytes", "lines 2", "quarantined 1"];
    let forward = async |xray: RecordedSegments| {
        let line = |number: u64, end: i64| {
            let end = Timestamp::from_millisecond(end).unwrap().to_string();
            json!({"timestamp": end, "level": "INFO", "category": "performance", "message": "x",
                "context": {"service_name": "api", "trace_id": format!("1-5759e988-{number:024x}"),
                    "span_id": format!("{number:016x}")},
                "span": {"operation_name": "o", "kind": "server", "status": "ok", "start_time": end, "end_time": end,
                    "tags": {}, "logs": []},
                "source": {"format": "schema_v1"}})
        };
        let [older, newer] = millis();
        let text = format!("{}\nno span\n{}\n", line(1, newer), line(2, older));
        let (key, bucket) = (keys::spans(None, "2020-02-02", &"0".repeat(32)), InMemoryBucket::new());
        bucket.place(&key, Hours::default().object(key.clone(), text.as_bytes()).body);
        let event = json!({ "Records": [{ "s3": { "bucket": { "name": "b" }, "object": { "key": key.replace('=', "%3D") } } }] });
        let event = serde_json::from_value(event).unwrap();
        let forwarder = Forwarder { xray: Some(xray), otlp: None::<RecordedSpans>, pause: Duration::ZERO };
        forwarder.handle(&event, &bucket).await.is_ok()
    };
    vec![
        run("trace-forwarder", "spans, and what is none", ALL, async {
            assert!(forward(RecordedSegments::new()).await);
        }),
        run("trace-forwarder", "spans that are not taken now", ALL, async {
            let xray = RecordedSegments::new();
            xray.fail_next([domain::ports::Retry::Denied]);
            assert!(!forward(xray).await);
        }),
    ]
}

/// Pending metrics of a batch: a contract a minute.
fn pending(id: &str, minutes: &[Minute]) -> PendingMetrics {
    let dimensions = Dimensions::from([("service".into(), "contract".into()), ("role".into(), "buyer".into())]);
    let key = SeriesKey { name: "contracts_created".into(), dimensions };
    let mut series: BTreeMap<Minute, SeriesSet> = BTreeMap::new();
    for minute in minutes {
        series.entry(*minute).or_default().add(key.clone(), &Aggregate::of(1.0, 0));
    }
    PendingMetrics { version: VERSION, batch_id: id.into(), minutes: series, extracted: BTreeMap::new() }
}

fn metric_flusher() -> Vec<Run> {
    const FLUSHER: &str = "metric-flusher";
    let minute = Minute::of(newest());
    let place = |bucket: &InMemoryBucket| {
        for batch in [pending("a", &[minute.plus(-1), minute]), pending("b", &[minute.plus(-60)])] {
            let object = batch.to_object();
            bucket.place(&object.key, object.body);
        }
    };
    let flush = async |bucket: &InMemoryBucket, metrics: RecordedMetrics, remote: Option<InMemoryPrometheus>, late| {
        let prometheus = remote.map(|remote| Exporter::new(remote, domain::metrics::prometheus::Labels::new()));
        let (bucket, namespace, extraction) = (bucket.clone(), "Shop".to_owned(), Extraction::CloudWatch);
        let flusher = Flusher { bucket, metrics, namespace, extraction, prometheus, taking_in: TAKING_IN };
        let now = newest() + late;
        flusher.flush(Minute::of(now), now).await.is_ok()
    };
    let soon = jiff::SignedDuration::from_mins(2);
    let taken_in: &[&str] = &["batch_age", "bytes", "lines 2"];
    vec![
        run(
            FLUSHER,
            "pending metrics, and an object that is none",
            &["batch_age", "bytes", "lines 2", "quarantined 1"],
            async {
                let bucket = InMemoryBucket::new();
                place(&bucket);
                bucket.place(&format!("{}x.json", keys::PENDING_METRICS), "no metrics");
                assert!(flush(&bucket, RecordedMetrics::new(), None, soon).await);
            },
        ),
        run(FLUSHER, "nothing", &[], async {
            assert!(flush(&InMemoryBucket::new(), RecordedMetrics::new(), None, soon).await);
        }),
        run(FLUSHER, "rollups that can not be read", taken_in, async {
            let bucket = InMemoryBucket::new();
            place(&bucket);
            bucket.inject(|operation, key| {
                (operation == Operation::Get && key.starts_with("rollups/")).then_some(Moment::Before)
            });
            assert!(!flush(&bucket, RecordedMetrics::new(), None, soon).await);
        }),
        // Each of the three minutes with its three sets of dimensions.
        run(FLUSHER, "metrics that CloudWatch refuses", &["batch_age", "bytes", "lines 2", "quarantined 9"], async {
            let bucket = InMemoryBucket::new();
            place(&bucket);
            assert!(flush(&bucket, RecordedMetrics::refusing("contracts_created"), None, soon).await);
        }),
        run(FLUSHER, "a series that Prometheus refuses", &["batch_age", "bytes", "lines 2", "quarantined 1"], async {
            let (bucket, remote) = (InMemoryBucket::new(), InMemoryPrometheus::new());
            place(&bucket);
            remote.refuse("service", "contract");
            assert!(flush(&bucket, RecordedMetrics::new(), Some(remote), soon).await);
        }),
        run(FLUSHER, "counters of Prometheus that can not be read", &["quarantined 1"], async {
            let (bucket, remote) = (InMemoryBucket::new(), InMemoryPrometheus::new());
            bucket.place(keys::PROMETHEUS_STATE, "{}x");
            assert!(flush(&bucket, RecordedMetrics::new(), Some(remote), soon).await);
        }),
        run(FLUSHER, "a sweep that fails and is finished", &["batch_age", "bytes", "lines 2", "retries 1"], async {
            let (bucket, metrics) = (InMemoryBucket::new(), RecordedMetrics::new());
            place(&bucket);
            metrics.fail_next([domain::ports::Retry::Transient]);
            assert!(!flush(&bucket, metrics.clone(), None, soon).await);
            assert!(flush(&bucket, metrics, None, soon + LEASE).await);
        }),
    ]
}

fn alert_evaluator() -> Vec<Run> {
    const EVENTS: &str = "alert-evaluator-events";
    let config = alert_evaluator::Config {
        bucket_name: "bucket".into(),
        alert_topic_arn: "arn:aws:sns:eu-west-1:123456789012:alerts".into(),
        history_log_group: "/land-contracts/observability/alert-history".into(),
        database_instance: "db".into(),
        environment: "test".into(),
        region: "eu-west-1".into(),
        amazon_q: false,
        ours: Default::default(),
    };
    let made_on = |bucket: InMemoryBucket, recent: Option<RecentRollups>| {
        recent.into_iter().for_each(|recent| bucket.place(keys::RECENT_ROLLUPS, recent.to_object().body));
        let (metrics, topic, log) = (FixedMetrics::default(), RecordedPublications::new(), RecordedLog::new());
        Evaluator::new(Ports { bucket, metrics, topic, log }, &config).unwrap()
    };
    let made = |recent| made_on(InMemoryBucket::new(), recent);
    let soon = || Instant::now() + Duration::from_secs(60);
    let tick = async |recent| {
        made(recent).tick(newest(), soon()).await.unwrap();
    };
    let receive = async |event: &str, recent| {
        made(recent).receive(event, newest(), soon()).await.unwrap();
    };
    let flushed = || {
        let mut recent = RecentRollups::default();
        recent.flushed(Minute::of(newest()));
        Some(recent)
    };
    let alarm = String::from_utf8(testkit::event_file("alert-evaluator-events/alarm.json")).unwrap();
    vec![
        run("alert-evaluator", "a tick", &["batch_age"], async {
            tick(flushed()).await;
        }),
        run("alert-evaluator", "a tick before the flusher was there", &[], tick(None)),
        run("alert-evaluator", "what is nothing in the inbox", &["quarantined 1"], async {
            let bucket = InMemoryBucket::new();
            bucket.place(&format!("{}x.json", keys::ALERT_INBOX), "{}");
            made_on(bucket, None).tick(newest(), soon()).await.unwrap();
        }),
        run(EVENTS, "an alarm", &["batch_age"], receive(&alarm, flushed())),
        run(EVENTS, "what is no event", &["quarantined 1"], receive("{}", None)),
    ]
}
