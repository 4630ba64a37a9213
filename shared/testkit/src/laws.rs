//! What holds for the log pipeline whatever comes in. Each law is a function that panics where it is
//! broken; the property tests of this crate and the fuzz targets in `fuzz/` call the same ones.
//!
//! That nothing here panics by itself is the first law.

use std::collections::BTreeMap;

use domain::events::EventType;
use domain::logs::archive;
use domain::logs::pipeline::{Outcome, Processed};
use domain::logs::quarantine::Quarantined;
use domain::metrics::pending::PendingMetrics;
use domain::ports::Object;
use serde_json::Value;

use crate::pipeline;
use crate::subscription;

/// The log group that [`lines`] delivers from.
pub const LOG_GROUP: &str = "/aws/ecs/production/api";

/// The log group that [`postgres`] delivers from.
pub const POSTGRES_LOG_GROUP: &str = "/aws/rds/instance/production-contract-db/postgresql";

/// Stands in the literals that [`postgres`] plants.
const PLANTED: &str = "zq7planted";

/// Any text as a Lambda event: it is decided upon the same way each time, what is written can be read,
/// and received = archived + quarantined + filtered.
pub fn event(event: &str) {
    let outcome = pipeline::process(event);
    // A redelivery writes the same bytes at the same keys.
    assert_eq!(written(&outcome), written(&pipeline::process(event)), "a redelivery writes something else");
    after(&[], event);
    match &outcome {
        Outcome::Batch(processed) => {
            batch(processed);
        }
        Outcome::Unreadable { object, .. } => {
            assert_eq!(quarantined(object).items.len(), 1, "a delivery is kept whole");
        }
        Outcome::Control | Outcome::OwnLogs { .. } => {}
    }
}

/// Any text as a Lambda event, after others: the same is written for it as if it came first, and as if it came
/// again, and as if no line was known by its shape.
pub fn after(others: &[String], event: &str) {
    let in_full = pipeline::process_in_full(event);
    let mut warm = pipeline::warm(others);
    for times in ["came after others", "came again"] {
        assert_eq!(written(&in_full), written(&warm.process(event)), "something else is written where it {times}");
    }
}

/// Any bytes as log lines of a delivery that is well-formed but for them: beside the laws of [`event`],
/// each line is found again, once, by its event id.
pub fn lines(log_group: &str, lines: &[(i64, &[u8])]) {
    let delivery = subscription::delivery_of_bytes(log_group, "s", lines).to_string();
    event(&delivery);
    let Outcome::Batch(processed) = pipeline::process(&delivery) else { panic!("a well-formed delivery has lines") };
    assert_eq!(processed.lines.received, lines.len());
    let found = batch(&processed);
    for (at, (_, line)) in lines.iter().enumerate() {
        let times = found.get(&subscription::event_id(at)).copied().unwrap_or(0);
        assert_eq!(times, 1, "line {at} is kept {times} times: {:?}", String::from_utf8_lossy(line));
    }
}

/// Any text as a literal of a statement in PostgreSQL's log, and as lines after it: the literal is kept
/// nowhere, and the laws of [`lines`] hold.
pub fn postgres(text: &str) {
    const MILLIS: i64 = 1_795_255_503_000;
    let prefix = "2026-11-21 10:05:03 UTC:10.0.1.23(41234):app_user@contracts:[12345]:";
    let literal = format!("{PLANTED}{}{PLANTED}", text.replace('\'', "''"));
    let statement = format!("{prefix}LOG:  duration: 12.5 ms  statement: SELECT * FROM t WHERE a = '{literal}'");
    let mut delivered = vec![(MILLIS, statement.as_bytes())];
    delivered.extend(text.split('\n').map(|line| (MILLIS, line.as_bytes())));
    lines(POSTGRES_LOG_GROUP, &delivered);
    // The statement in one event, and as the server writes its lines: each further one after a tab.
    let indented = statement.replace('\n', "\n\t");
    let apart: Vec<(i64, &[u8])> = indented.split('\n').map(|line| (MILLIS, line.as_bytes())).collect();
    for events in [&delivered[..1], &apart] {
        let delivery = subscription::delivery_of_bytes(POSTGRES_LOG_GROUP, "s", events).to_string();
        let Outcome::Batch(processed) = pipeline::process(&delivery) else {
            panic!("a well-formed delivery has lines")
        };
        for line in processed.archive.iter().flat_map(ndjson) {
            assert!(!line.contains(PLANTED), "a literal is archived: {line}");
        }
    }
}

/// Any lines under `filters`: what is neither archived nor quarantined was filtered, and nothing else.
pub fn filtered(filters: &str, log_group: &str, lines: &[(i64, &[u8])]) {
    let delivery = subscription::delivery_of_bytes(log_group, "s", lines).to_string();
    let Outcome::Batch(processed) = pipeline::process_filtered(filters, &delivery) else {
        panic!("a well-formed delivery has lines")
    };
    let found = batch(&processed);
    assert!(found.values().all(|times| *times == 1), "{found:?}");
    assert_eq!(found.len() + processed.lines.filtered, lines.len());
}

/// Any bytes as the data of a Kinesis record: the same as in a Lambda event.
pub fn message(compressed: &[u8]) {
    let streamed = pipeline::process_message(compressed);
    let direct = pipeline::process(&subscription::wrap_compressed(compressed).to_string());
    match (&streamed, &direct) {
        (Outcome::Unreadable { error, .. }, Outcome::Unreadable { error: other, .. }) => {
            assert_eq!(error.reason(), other.reason());
        }
        _ => assert_eq!(written(&streamed), written(&direct)),
    }
}

/// Any text as a message that brings a business event: it is one line, archived or kept as it came; what is archived
/// is JSON that no dialect has to guess at, and what is no known type counts as a line and as nothing else.
pub fn business_event(body: &str) {
    const SENT: i64 = 1_795_255_503_000;
    let processed = pipeline::process_event(body, SENT);
    assert_eq!(processed, pipeline::process_event(body, SENT), "a message that comes again writes something else");
    assert_eq!(processed.lines.received, 1);
    let found = batch(&processed);
    assert!(found.len() == 1 && found.values().all(|times| *times == 1), "{found:?}");
    for item in processed.quarantine.iter().flat_map(|object| quarantined(object).items) {
        assert_eq!(item.original.bytes().ok().as_deref(), Some(body.as_bytes()), "the message is kept as it came");
    }
    for record in records(&processed) {
        assert_eq!(record["source"]["format"], "schema_v1", "{record}");
        let is_known = EventType::named(record["source"]["log_stream"].as_str().unwrap_or_default()).is_some();
        assert_eq!(record["details"].get("event").is_some(), is_known, "{record}");
        let pending = processed.pending.as_ref().map(|object| PendingMetrics::parse(&object.body));
        let Some(Ok(pending)) = pending else { panic!("an event has metrics that can be read") };
        let counts = |name: &str| name == "log_entries" || name.starts_with("pipeline_");
        let series = pending.minutes.values().flat_map(|series| series.iter());
        let others = series.filter(|(key, _)| !counts(&key.name)).count();
        assert_eq!(others > 0, is_known, "{record}");
    }
}

/// Any text: redacted twice it is the same as redacted once.
pub fn redaction(text: &str) {
    let once = pipeline::redact_text(text);
    let twice = pipeline::redact_text(&once);
    assert_eq!(once, twice, "redaction of {text:?} is not idempotent");
}

/// The objects that an outcome asks to be written.
pub fn written(outcome: &Outcome) -> Vec<Object> {
    match outcome {
        Outcome::Batch(batch) => batch.objects().cloned().collect(),
        Outcome::Unreadable { object, .. } => vec![object.clone()],
        Outcome::Control | Outcome::OwnLogs { .. } => vec![],
    }
}

/// Every archived record of `batch`, in the order of the objects.
pub fn records(batch: &Processed) -> Vec<Value> {
    let lines = batch.archive.iter().flat_map(ndjson);
    lines.map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}"))).collect()
}

/// Ids of the log events that a record stands for: its own, and those whose lines were joined to it.
pub fn event_ids(record: &Value) -> Vec<String> {
    let joined = record["source"]["joined"].as_array().into_iter().flatten();
    let ids = std::iter::once(&record["source"]["event_id"]).chain(joined);
    ids.map(|id| id.as_str().unwrap_or_else(|| panic!("an event id is a text: {record}")).to_owned()).collect()
}

/// Conservation, by number, and the form of everything that is written. Answers how many times each
/// event id was found.
fn batch(processed: &Processed) -> BTreeMap<String, usize> {
    let lines = &processed.lines;
    assert_eq!(lines.received, pipeline::accounted(lines), "lines are lost or doubled: {lines:?}");
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut archived = 0;
    for object in &processed.archive {
        for line in ndjson(object) {
            let record: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("not JSON: {e}: {line}"));
            well_formed(&record, &object.key);
            for id in event_ids(&record) {
                archived += 1;
                *found.entry(id).or_default() += 1;
            }
        }
    }
    assert_eq!(archived, lines.archived, "the archive has as many lines as it is said to have");
    let mut kept_aside = 0;
    for item in processed.quarantine.iter().flat_map(|object| quarantined(object).items) {
        kept_aside += 1;
        let origin = item.origin.unwrap_or_else(|| panic!("a quarantined line says where it came from"));
        *found.entry(origin.event_id).or_default() += 1;
    }
    assert_eq!(kept_aside, lines.quarantined, "the quarantine has as many lines as it is said to have");
    found
}

/// The lines of an archive object; it is not empty, and each line ends.
fn ndjson(object: &Object) -> Vec<String> {
    let lines = archive::lines(&object.body).unwrap_or_else(|error| panic!("{}: {error}", object.key));
    assert!(!lines.is_empty(), "{} is empty", object.key);
    lines
}

fn well_formed(record: &Value, key: &str) {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("not a text: {value} in {record}")).to_owned();
    let level = text(&record["level"]);
    assert!(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"].contains(&level.as_str()), "level {level}");
    for name in ["timestamp", "category", "message"] {
        text(&record[name]);
    }
    // Of what is archived, nothing is left that would be replaced.
    redaction_found_all(&text(&record["message"]));
    assert!(record["context"].is_object(), "{record}");
    for name in ["details", "error", "span", "extra"] {
        assert!(record.get(name).is_none_or(Value::is_object), "{name} of {record}");
    }
    let time = text(&record["source"]["event_time"]);
    // Event times before the year 1000 are put under its first day.
    if time.as_bytes()[0].is_ascii_digit() && time.as_bytes()[0] != b'0' {
        assert!(key.contains(&format!("/dt={}/hour={}/", &time[..10], &time[11..13])), "{time} lies in {key}");
    }
}

fn redaction_found_all(archived: &str) {
    assert_eq!(pipeline::redact_text(archived), archived, "what redaction looks for is archived");
}

fn quarantined(object: &Object) -> Quarantined {
    serde_json::from_slice(&object.body).unwrap_or_else(|error| panic!("{}: {error}", object.key))
}
