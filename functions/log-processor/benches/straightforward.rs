//! The same job as one writes it on a normal day, with the usual crates: `serde_json::Value` for the
//! envelope and every line, flate2 for gzip in and out, `regex` for what is personal, a `HashMap` of
//! metrics. Nothing in it is slow on purpose: regexes are compiled once, and their word boundaries are
//! those of ASCII, since the crate is slow with Unicode's.

mod lines;
mod metrics;
mod redaction;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::whole_path::Archived;
use lines::Lines;
use metrics::Metrics;
use redaction::Redaction;

/// Bytes that a delivery may decompress to.
const MAX_DECODED_BYTES: u64 = 64 * 1024 * 1024;

/// What is made once.
pub struct Straightforward {
    redaction: Redaction,
    lines: Lines,
    metrics: metrics::Patterns,
}

impl Straightforward {
    /// Compiles the regexes.
    pub fn new() -> Straightforward {
        Straightforward { redaction: Redaction::new(), lines: Lines::new(), metrics: metrics::Patterns::new() }
    }

    /// Processes a Lambda event.
    ///
    /// # Panics
    ///
    /// If it is no delivery of log events.
    pub fn run(&mut self, event: &str) -> Archived {
        let delivery = open(event).expect("the corpus has deliveries only");
        let events = delivery["logEvents"].as_array().expect("a delivery has events");
        let service = service(text(&delivery["logGroup"]));
        let mut metrics = Metrics::new(service, &self.metrics);
        let mut records: Vec<(String, Value)> = Vec::with_capacity(events.len());
        let mut last_of_process: HashMap<u64, usize> = HashMap::new();
        for event in events {
            let (mut record, continues) = self.lines.read(event, &delivery, service);
            self.redaction.redact_record(&mut record);
            metrics.add_line(&record);
            let pid = record["details"]["pid"].as_u64();
            if let (true, Some(first)) = (continues, pid.and_then(|pid| last_of_process.get(&pid))) {
                stitch(&mut records[*first].1, &record);
                continue;
            }
            last_of_process.extend(pid.map(|pid| (pid, records.len())));
            let hour = text(&record["source"]["event_time"])[..13].to_owned();
            records.push((hour, record));
        }
        records.iter().for_each(|(_, record)| metrics.add(record));
        let pending = json!({ "version": 1, "batch_id": batch_id(&delivery, events), "minutes": metrics.finish() });
        std::hint::black_box(pending.to_string());
        Archived { lines: events.len(), bodies: compress(&records) }
    }
}

/// Base64, gzip, JSON.
fn open(event: &str) -> Option<Value> {
    let event: Value = serde_json::from_str(event).ok()?;
    let compressed = STANDARD.decode(event["awslogs"]["data"].as_str()?).ok()?;
    let mut decoded = Vec::new();
    GzDecoder::new(compressed.as_slice()).take(MAX_DECODED_BYTES).read_to_end(&mut decoded).ok()?;
    let delivery: Value = serde_json::from_slice(&decoded).ok()?;
    (delivery["messageType"] == "DATA_MESSAGE").then_some(delivery)
}

/// `api` of `/aws/ecs/production/api`, `contract` of `/aws/rds/instance/production-contract-db/postgresql`.
fn service(log_group: &str) -> &str {
    let parts: Vec<&str> = log_group.split('/').collect();
    match parts.as_slice() {
        [.., instance, "postgresql"] => instance.trim_start_matches("production-").trim_end_matches("-db"),
        [.., last] => last,
        [] => "unknown",
    }
}

/// Adds what a DETAIL or STATEMENT line says to the record that it belongs to.
fn stitch(record: &mut Value, continuation: &Value) {
    let name = text(&continuation["details"]["severity"]).to_lowercase();
    record["details"][name] = continuation["message"].clone();
}

fn batch_id(delivery: &Value, events: &[Value]) -> String {
    let mut hash = Sha256::new();
    for name in ["owner", "logGroup", "logStream"] {
        hash.update(text(&delivery[name]));
    }
    for event in events.first().into_iter().chain(events.last()) {
        hash.update(text(&event["id"]));
    }
    hash.update(events.len().to_string());
    hex::encode(hash.finalize())
}

/// One gzip object an hour.
fn compress(records: &[(String, Value)]) -> Vec<Vec<u8>> {
    let mut hours: HashMap<&str, String> = HashMap::new();
    for (hour, record) in records {
        let lines = hours.entry(hour).or_default();
        lines.push_str(&serde_json::to_string(record).expect("a value has text keys"));
        lines.push('\n');
    }
    let gzip = |lines: String| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(lines.as_bytes()).expect("a vector takes every write");
        encoder.finish().expect("a vector takes every write")
    };
    hours.into_values().map(gzip).collect()
}

/// A text, or nothing.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The event time as RFC 3339.
fn event_time(event: &Value) -> String {
    let millis = event["timestamp"].as_i64().unwrap_or_default();
    Timestamp::from_millisecond(millis).map(|time| time.to_string()).unwrap_or_default()
}
