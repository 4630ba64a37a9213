//! `docs/python/landlog.py`, which Python services copy: a made-up service logs with it, and its lines go
//! through the pipeline and the flusher.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use domain::Minute;
use domain::logs::envelope::Decoder;
use domain::logs::pipeline::{Outcome, Processed};
use domain::metrics::flush::Extraction;
use domain::metrics::pending::PendingMetrics;
use domain::metrics::rollup::Rollup;
use domain::metrics::series::{Aggregate, SeriesKey};
use jiff::Timestamp;
use local::workspace;
use metric_flusher::{Exporter, Flusher, TAKING_IN};
use schema::{dimension, endpoint, registry};
use serde_json::{Map, Value, json};
use testkit::{InMemoryBucket, InMemoryPrometheus, RecordedMetrics, laws, pipeline, subscription};

/// What a program of `tests/python_service` prints, with no environment that could change it.
fn printed(program: &str) -> String {
    let root = workspace::root();
    let output = Command::new("python3")
        .args(["-W", "error", "-B"]) // No byte code is to be left here.
        .arg(root.join("tests/python_service").join(program))
        .env("PYTHONPATH", root.join("docs/python"))
        .env("PYTHONIOENCODING", "ascii") // What a container without a locale comes to.
        .env("TZ", "Asia/Vladivostok")
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{printed}{errors}");
    printed
}

fn lines() -> &'static [String] {
    static LINES: OnceLock<Vec<String>> = OnceLock::new();
    LINES.get_or_init(|| printed("service.py").lines().map(str::to_owned).collect())
}

#[test]
fn it_takes_what_it_should_not_be_given() {
    printed("landlog_test.py");
}

#[test]
fn its_metrics_and_dimensions_are_those_of_the_registry() {
    let told: Value = serde_json::from_str(&printed("table.py")).unwrap();
    // What the pipeline and the library of Rust services count themselves is not for it.
    let metrics: Map<String, Value> = registry::METRICS
        .iter()
        .filter(|metric| metric.source == registry::Source::Services)
        .map(|metric| (metric.name.to_owned(), json!([metric.unit.as_str(), metric.dimensions, metric.sets])))
        .collect();
    assert_eq!(told["metrics"], Value::Object(metrics));
    for case in told["values"].as_array().unwrap() {
        let [given, value, endpoint] = [0, 1, 2].map(|at| case[at].as_str().unwrap());
        let (mut template, mut scratch) = (String::new(), String::new());
        assert_eq!(value, dimension::sanitised(given, &mut scratch), "{given:?}");
        let expected = dimension::sanitised(endpoint::template(given, &mut template), &mut scratch).to_owned();
        assert_eq!(endpoint, expected, "{given:?}");
    }
}

/// A sample of the log processor, and of the page of dialects, is what the module writes: of a clock and ids that
/// do not change. `UPDATE_SNAPSHOTS=1` writes it anew.
#[test]
fn the_sample_is_what_it_writes() {
    const AT: i64 = 1_795_255_503_123;
    let printed = printed("sample.py");
    let events: Vec<(i64, &str)> = (AT..).zip(printed.lines()).collect();
    let stream = "ecs/contract/0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let delivery = subscription::delivery("/aws/ecs/production/contract", stream, &events);
    let path = workspace::root().join("events/log-processor/python-logging.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, format!("{delivery:#}\n")).unwrap();
    }
    let opened = |event: &str| format!("{:?}", Decoder::default().open(event).unwrap());
    let kept = std::fs::read_to_string(&path).unwrap();
    // However it is compressed.
    assert!(
        opened(&kept) == opened(&delivery.to_string()),
        "the sample differs; look at what has changed with UPDATE_SNAPSHOTS=1:\n{printed}"
    );
}

/// As the log driver delivers them: each at the time that it says, or a little later.
fn processed() -> Processed {
    let millis = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond()
    };
    let events: Vec<(i64, &str)> = lines().iter().map(|line| (millis(line), line.as_str())).collect();
    let delivery = subscription::delivery("/aws/ecs/production/contract", "s", &events).to_string();
    let Outcome::Batch(processed) = pipeline::process(&delivery) else { panic!("it has lines") };
    assert_eq!((processed.lines.archived, processed.lines.received), (events.len(), events.len()));
    processed
}

fn records() -> Vec<Value> {
    laws::records(&processed())
}

fn record<'a>(records: &'a [Value], message: &str) -> &'a Value {
    let found: Vec<&Value> = records.iter().filter(|record| record["message"] == message).collect();
    assert_eq!(found.len(), 1, "{message}");
    found[0]
}

#[test]
fn lines_of_eight_threads_and_twenty_tasks_are_whole_and_carry_their_own_ids() {
    let records = records();
    let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
    for record in &records {
        let message = record["message"].as_str().unwrap();
        if let Some((kind @ ("thread" | "task"), rest)) = message.split_once(' ') {
            let number = rest.split(' ').next().unwrap();
            let id = record["context"]["request_id"].as_str().unwrap().to_owned();
            *counted.entry((format!("{kind}-{number}"), id)).or_default() += 1;
        }
    }
    let threads = (0..8).map(|number| (format!("thread-{number}"), 50));
    let tasks = (0..20).map(|number| (format!("task-{number}"), 1));
    let expected: BTreeMap<_, usize> = threads.chain(tasks).map(|(id, count)| ((id.clone(), id), count)).collect();
    assert_eq!(counted, expected);
    assert_eq!(record(&records, "queued")["context"]["request_id"], "queued-1");
    assert_eq!(record(&records, "done: contract")["context"].get("request_id"), None, "a context ends");
    assert!(!records.iter().any(|record| record["level"] == "DEBUG"));
}

#[test]
fn a_record_says_all_that_was_meant() {
    let records = records();
    let created = record(&records, "Договор «Участок № 7» создан");
    assert_eq!(
        ["level", "category", "duration_ms"].map(|name| &created[name]),
        [&json!("INFO"), &json!("business_logic"), &json!(12.5)]
    );
    let context = created["context"].as_object().unwrap();
    let given = ["request_id", "service_name", "environment", "version", "trace_id", "span_id"];
    assert!(given.iter().all(|name| context[*name].is_string()) && !context.contains_key("session_id"), "{context:?}");
    assert_eq!(created["source"]["format"], "emf");
    let failed = record(&records, "done: contract");
    assert_eq!(failed["source"]["format"], "schema_v1");
    let failed = records.iter().find(|record| record["level"] == "ERROR").unwrap();
    assert_eq!(failed["category"], "external_api");
    assert_eq!(failed["error"]["type"], "TimeoutError");
    assert!(failed["error"]["traceback"].as_str().unwrap().starts_with("Traceback (most recent call last)"));
    // A QueueHandler takes the exception from the record, and puts its traceback into the message.
    let queued = record(&records, "queued, and not signed");
    assert_eq!((&queued["error"]["type"], &queued["error"]["message"]), (&json!("TimeoutError"), &json!("no answer")));
    assert!(queued["error"]["traceback"].as_str().unwrap().contains("service.py"), "{queued}");
    assert!(queued["details"]["stack"].as_str().unwrap().starts_with("Stack (most recent call last)"), "{queued}");
    let odd = record(&records, "odd values");
    let circle = json!({ "name": "x", "self": "...", "again": "..." });
    assert_eq!(
        odd["details"],
        json!({ "nan": "nan", "half": "?", "set": [1], "7": "<class 'object'>", "circle": circle })
    );
}

#[test]
fn spans_nest_and_lines_inside_carry_their_ids() {
    let lines: Vec<Value> = lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let span = |name: &str| lines.iter().find(|line| line["span"]["operation_name"] == name).unwrap();
    let (outer, inner, failed) = (span("POST /contracts"), span("insert"), span("sign"));
    assert_eq!(inner["span"]["parent_span_id"], outer["context"]["span_id"]);
    assert_eq!(inner["context"]["trace_id"], outer["context"]["trace_id"]);
    assert_eq!(outer["span"].get("parent_span_id"), None);
    assert_eq!(outer["span"]["tags"], json!({ "http.url": "/contracts", "http.status_code": 201 }));
    assert_eq!((&failed["span"]["status"], &failed["span"]["tags"]["error"]), (&json!("timeout"), &json!(true)));
    assert_eq!(failed["span"]["tags"]["error.type"], "TimeoutError");
    let created = lines.iter().find(|line| line["contracts_created"] == 1).unwrap();
    assert_eq!(created["context"]["span_id"], outer["context"]["span_id"]);
    for line in [outer, inner, failed] {
        let at = |name: &str| line["span"][name].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert!(at("start_time") <= at("end_time"));
        let trace_id = line["context"]["trace_id"].as_str().unwrap();
        let parts: Vec<usize> = trace_id.split('-').map(str::len).collect();
        assert_eq!(parts, [1, 8, 24], "{trace_id}");
    }
}

#[test]
fn metrics_are_read_once_and_wrong_ones_are_told() {
    let pending = PendingMetrics::parse(&processed().pending.unwrap().body).unwrap();
    // The run may have begun in one minute and ended in the next.
    let merged = |minutes: &BTreeMap<Minute, _>| {
        let mut all: BTreeMap<SeriesKey, Aggregate> = BTreeMap::new();
        for (key, held) in minutes.values().flat_map(|set: &domain::metrics::series::SeriesSet| set.iter()) {
            all.entry(key.clone()).and_modify(|mine| mine.merge(held)).or_insert_with(|| held.clone());
        }
        all
    };
    let show = |(key, held): (&SeriesKey, &Aggregate)| {
        let dimensions: Vec<String> = key.dimensions.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{}{{{}}} {} {}", key.name, dimensions.join(","), held.count, held.sum)
    };
    let extracted: Vec<String> = merged(&pending.extracted).iter().map(show).collect();
    let sizes: f64 = (0..250).map(|number| f64::from(number % 7)).sum();
    let expected = [
        "active_users{} 1 5".to_owned(),
        "api_request_duration{endpoint=/contracts,method=POST,service=contract} 1 31.25".to_owned(),
        "api_requests{endpoint=/contracts,method=POST,service=contract,status_code=201} 1 1".to_owned(),
        "contract_value{role=buyer,service=contract} 1 2500000.5".to_owned(),
        "contracts_created{role=buyer,service=contract} 1 1".to_owned(),
        format!("document_size{{service=contract,type=unknown}} 250 {sizes}"),
    ];
    assert_eq!(extracted, expected);
    let derived = merged(&pending.minutes);
    let of = |name: &str| derived.iter().filter(|(key, _)| key.name == name).map(|(_, held)| held.sum).sum::<f64>();
    assert_eq!(of("log_entries"), lines().len() as f64);
    assert_eq!(of("pipeline_values_refused"), 1.0, "one of no registry");
    let records = records();
    let told = &record(&records, "wrong metrics")["details"]["unwritable"];
    assert_eq!(told, &json!({ "active_users": "inf", "message": 3 }));
    let names: BTreeSet<&str> = derived.keys().map(|key| key.name.as_str()).collect();
    assert!(!names.contains("contracts_created"), "a line with metrics is not derived from: {names:?}");
}

#[tokio::test]
async fn they_are_rolled_up_and_put_by_whom_the_setting_says() {
    for (extraction, put) in [(Extraction::CloudWatch, 0.0), (Extraction::Flusher, 1.0)] {
        let bucket = InMemoryBucket::new();
        let pending = processed().pending.unwrap();
        bucket.place(&pending.key, pending.body);
        let metrics = RecordedMetrics::new();
        let namespace = pipeline::NAMESPACE.to_owned();
        let prometheus = None::<Exporter<InMemoryPrometheus>>;
        let flusher = Flusher {
            bucket: bucket.clone(),
            metrics: metrics.clone(),
            namespace,
            extraction,
            prometheus,
            taking_in: TAKING_IN,
        };
        // Its lines are of now, and CloudWatch takes none that are far ahead.
        let now = Timestamp::now();
        flusher.flush(Minute::of(now), now).await.unwrap();
        let rollups = bucket.keys_under("rollups/dt=").into_iter().map(|key| bucket.body(&key).unwrap());
        let rolled_up: f64 = rollups
            .map(|body| Rollup::parse(&body).unwrap())
            .flat_map(|rollup| rollup.series.named("contracts_created").map(|(_, held)| held.sum).collect::<Vec<_>>())
            .sum();
        assert_eq!((rolled_up, metrics.sum("contracts_created")), (1.0, put), "{extraction:?}");
        assert_eq!(metrics.sum("log_entries"), lines().len() as f64);
    }
}

#[test]
fn nothing_personal_of_it_is_archived_and_query_strings_are_not_even_written() {
    let lines = lines();
    for (planted, is_written) in [
        ("email\":\"a.petrova@example.com", true),
        ("hunter-2-hunter", true),
        ("?email=", false),
        ("?notify=", false),
        ("t0p-s3cret", false),
    ] {
        assert_eq!(lines.iter().any(|line| line.contains(planted)), is_written, "{planted}");
    }
    for record in records() {
        let text = record.to_string();
        assert!(!text.contains("a.petrova") && !text.contains("hunter-2-hunter"), "{text}");
    }
}
