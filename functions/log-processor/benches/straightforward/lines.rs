//! A line into a record with its source: JSON, PostgreSQL by one regex, or raw text.

use regex::{Captures, Regex};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{event_time, text};

/// Fields of the request that a line belongs to.
const CONTEXT: [&str; 8] =
    ["request_id", "user_id", "session_id", "service_name", "environment", "version", "trace_id", "span_id"];

/// The regexes of PostgreSQL's server log.
pub struct Lines {
    prefix: Regex,
    timed: Regex,
    literal: Regex,
    quoted: Regex,
    row: Regex,
    input: Regex,
    verb: Regex,
    table: Regex,
}

impl Lines {
    /// Compiles them.
    pub fn new() -> Lines {
        let regex = |pattern: &str| Regex::new(pattern).expect("the pattern is a constant");
        Lines {
            prefix: regex(concat!(
                r"(?s)^([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9:]{8}(?:\.[0-9]+)?) UTC:(.*?):([^:@]*)@([^:]*):\[([0-9]+)\]:",
                r"(?:[0-9]+:([0-9A-Z]{5}):.*?:)?([A-Z]+[1-5]?):\s+(.*)$"
            )),
            timed: regex(
                r"(?s)^(duration: ([0-9.]+) ms)(?:\s+(statement|execute [^:]+|parse [^:]+|bind [^:]+): (.*))?$",
            ),
            literal: regex(r"(?s)(\$[0-9]+)|'(?:[^']|'')*'|(?-u:\b)[0-9]+(?:\.[0-9]+)?(?-u:\b)"),
            quoted: regex(r"(?s)'(?:[^']|'')*'"),
            row: regex(r"(?s)=\(.*\)"),
            input: regex(r#"(?s)(invalid input (?:syntax|value) for [^:]+): ".*""#),
            verb: regex(r"^\s*([A-Za-z]+)"),
            table: regex(r#"(?i)(?-u:\b)(?:from|into|update|table)\s+(?:only\s+)?"?([A-Za-z0-9_.]+)"#),
        }
    }

    /// The record of a log event, and whether it continues the one before it of the same process.
    pub fn read(&self, event: &Value, delivery: &Value, service: &str) -> (Value, bool) {
        let line = text(&event["message"]);
        let time = event_time(event);
        let mut continues = false;
        let (mut record, format) = if let Ok(Value::Object(fields)) = serde_json::from_str(line) {
            (json_record(fields, &time), "schema_v1")
        } else if let Some(found) = self.prefix.captures(line) {
            continues = matches!(&found[8], "DETAIL" | "HINT" | "CONTEXT" | "STATEMENT" | "QUERY" | "LOCATION");
            (self.database_record(&found), "postgresql")
        } else {
            let record = json!({ "timestamp": time, "level": "INFO", "category": "system", "message": line });
            (record, "raw")
        };
        for (name, default) in [("service_name", service), ("environment", "production")] {
            if record["context"][name].is_null() {
                record["context"][name] = json!(default);
            }
        }
        record["source"] = json!({
            "owner": delivery["owner"],
            "log_group": delivery["logGroup"],
            "log_stream": delivery["logStream"],
            "event_id": event["id"],
            "event_time": time,
            "format": format,
        });
        (record, continues)
    }

    fn database_record(&self, found: &Captures<'_>) -> Value {
        let level = match &found[8] {
            "WARNING" => "WARNING",
            "ERROR" => "ERROR",
            "FATAL" | "PANIC" => "CRITICAL",
            severity if severity.starts_with("DEBUG") => "DEBUG",
            _ => "INFO",
        };
        let mut details = json!({ "severity": &found[8], "pid": found[6].parse::<u64>().unwrap_or_default() });
        for (name, value) in [("user", &found[4]), ("database", &found[5]), ("remote", &found[3])] {
            if !value.is_empty() && value != "[unknown]" {
                details[name] = json!(value);
            }
        }
        if let Some(code) = found.get(7) {
            details["sqlstate"] = json!(code.as_str());
        }
        let (message, duration_ms) = self.database_message(&found[8], &found[9], &mut details);
        json!({
            "timestamp": format!("{}T{}Z", &found[1], &found[2]),
            "level": level,
            "category": "database",
            "message": message,
            "details": details,
            "duration_ms": duration_ms,
        })
    }

    /// The message without the users' values, and the duration that it tells.
    fn database_message(&self, severity: &str, message: &str, details: &mut Value) -> (String, Option<f64>) {
        if let Some(timed) = self.timed.captures(message) {
            let duration = timed[2].parse().ok();
            let message = match (timed.get(3), timed.get(4)) {
                (Some(kind), Some(statement)) => {
                    format!("{}  {}: {}", &timed[1], kind.as_str(), self.statement(statement.as_str(), details))
                }
                _ => message.to_owned(),
            };
            return (message, duration);
        }
        match severity {
            "STATEMENT" | "QUERY" => (self.statement(message, details), None),
            "DETAIL" | "CONTEXT" => {
                (self.quoted.replace_all(&self.row.replace(message, "=(?)"), "?").into_owned(), None)
            }
            _ => (self.quoted.replace_all(&self.input.replace(message, "$1: \"?\""), "?").into_owned(), None),
        }
    }

    /// A statement without its literals; what it does to which table goes to `details`.
    fn statement(&self, statement: &str, details: &mut Value) -> String {
        let keep_parameters =
            |found: &Captures<'_>| found.get(1).map_or("?", |parameter| parameter.as_str()).to_owned();
        let masked = self.literal.replace_all(statement, keep_parameters).into_owned();
        if let Some(verb) = self.verb.captures(&masked) {
            details["query_type"] = json!(verb[1].to_uppercase());
        }
        if let Some(table) = self.table.captures(&masked) {
            details["table"] = json!(table[1].to_lowercase());
        }
        details["fingerprint"] = json!(hex::encode(&Sha256::digest(&masked)[..8]));
        masked
    }
}

/// A JSON line in the shape of the archive: known fields at their places, unknown ones under `extra`.
fn json_record(mut fields: Map<String, Value>, event_time: &str) -> Value {
    let timestamp = match fields.remove("timestamp") {
        Some(Value::String(text)) => text.parse().map_or(text, |time: jiff::Timestamp| time.to_string()),
        _ => event_time.to_owned(),
    };
    let level = fields.remove("level").map_or("INFO".to_owned(), |level| text(&level).to_uppercase());
    let category = fields.remove("category").unwrap_or_else(|| json!("system"));
    let message = fields.remove("message").unwrap_or_else(|| json!(""));
    let mut context = match fields.remove("context") {
        Some(Value::Object(context)) => context,
        _ => Map::new(),
    };
    for name in CONTEXT {
        let value = fields.remove(name);
        context.entry(name).or_insert_with(|| value.unwrap_or_default());
    }
    let mut record = json!({
        "timestamp": timestamp,
        "level": level,
        "category": category,
        "message": message,
        "context": context,
    });
    for name in ["details", "error", "duration_ms"] {
        if let Some(value) = fields.remove(name).filter(|value| !value.is_null()) {
            record[name] = value;
        }
    }
    if !fields.is_empty() {
        record["extra"] = Value::Object(fields);
    }
    record
}
