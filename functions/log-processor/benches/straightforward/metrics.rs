//! What records say in numbers, in a `HashMap` by minute, name and dimensions.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Value, json};

use super::text;

/// Ids in paths.
pub struct Patterns {
    id: Regex,
}

impl Patterns {
    /// Compiles the regex.
    pub fn new() -> Patterns {
        let id = "/(?:[0-9]+|[0-9a-f]{8}-[0-9a-f-]{27})(/|$)";
        Patterns { id: Regex::new(id).expect("the pattern is a constant") }
    }
}

#[derive(Default)]
struct Series {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    values: Vec<f64>,
}

/// The series of one batch.
pub struct Metrics<'a> {
    service: &'a str,
    patterns: &'a Patterns,
    series: HashMap<String, Series>,
}

impl<'a> Metrics<'a> {
    /// For the lines of `service`.
    pub fn new(service: &'a str, patterns: &'a Patterns) -> Metrics<'a> {
        Metrics { service, patterns, series: HashMap::new() }
    }

    /// Counts a line of the delivery.
    pub fn add_line(&mut self, record: &Value) {
        self.point(record, "pipeline_lines_received", 1.0, &[]);
        self.point(record, "log_entries", 1.0, &[("level", text(&record["level"]))]);
    }

    /// Adds what `record` says.
    pub fn add(&mut self, record: &Value) {
        let details = &record["details"];
        if record["duration_ms"].as_f64().is_some_and(|ms| ms > 5_000.0) {
            self.point(record, "performance_issues", 1.0, &[]);
        }
        self.add_request(record, details);
        if record["category"] == "database" && details["query_type"].is_string() {
            let table = details["table"].as_str().unwrap_or("none");
            let named = [("query_type", text(&details["query_type"])), ("table", table)];
            self.value(record, "database_query_duration", &record["duration_ms"], &named);
            self.value(record, "database_rows_affected", &details["rows_affected"], &named);
        }
        self.add_business_event(record, details);
        for (name, field) in [
            ("cpu_usage_percent", "cpu_usage"),
            ("memory_usage_percent", "memory_usage"),
            ("disk_usage_percent", "disk_usage"),
            ("active_users", "active_users"),
            ("daily_contracts", "daily_contracts"),
            ("conversion_rate", "conversion_rate"),
        ] {
            self.value(record, name, &details[field], &[]);
        }
        if record["category"] == "security" {
            self.point(record, "security_events", 1.0, &[("event_type", text(&details["event_type"]))]);
        }
    }

    fn add_request(&mut self, record: &Value, details: &Value) {
        let Some(status) = details["status_code"].as_u64().map(|status| status.to_string()) else { return };
        let Some(target) = details["endpoint"].as_str() else { return };
        let path = target.split('?').next().unwrap_or_default();
        let endpoint = self.patterns.id.replace_all(path, "/{id}$1");
        let duration = &record["duration_ms"];
        if record["category"] == "external_api" {
            let named = [("external_service", text(&details["service"])), ("endpoint", &*endpoint)];
            self.point(record, "external_api_calls", 1.0, &[named[0], named[1], ("status_code", &status)]);
            self.value(record, "external_api_duration", duration, &named);
        } else {
            let named = [("method", text(&details["method"])), ("endpoint", &*endpoint)];
            self.point(record, "api_requests", 1.0, &[named[0], named[1], ("status_code", &status)]);
            self.value(record, "api_request_duration", duration, &named);
        }
    }

    fn add_business_event(&mut self, record: &Value, details: &Value) {
        let role = [("role", details["user_role"].as_str().unwrap_or("unknown"))];
        let kind = [("type", details["document_type"].as_str().unwrap_or("unknown"))];
        match text(&details["event"]) {
            "user_registered" => self.point(record, "user_registrations", 1.0, &role),
            "contract_created" => {
                self.point(record, "contracts_created", 1.0, &role);
                self.value(record, "contract_value", &details["contract_value"], &role);
            }
            "contract_creation_failed" => {
                self.point(record, "contract_creation_errors", 1.0, &[("reason", text(&details["reason"]))]);
            }
            "contract_signed" => {
                self.point(record, "contracts_signed", 1.0, &role);
                self.value(record, "contract_signing_duration", &details["signing_duration_ms"], &role);
            }
            "document_uploaded" => {
                self.point(record, "documents_uploaded", 1.0, &kind);
                self.value(record, "document_size", &details["file_size_mb"], &kind);
            }
            "session_ended" => {
                self.value(record, "user_session_duration", &details["session_duration_minutes"], &[]);
            }
            _ => {}
        }
    }

    fn value(&mut self, record: &Value, name: &str, value: &Value, dimensions: &[(&str, &str)]) {
        if let Some(value) = value.as_f64() {
            self.point(record, name, value, dimensions);
        }
    }

    fn point(&mut self, record: &Value, name: &str, value: f64, dimensions: &[(&str, &str)]) {
        let minute = &text(&record["source"]["event_time"])[..16];
        let named: Vec<String> = dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let key = format!("{minute}Z|{name}|service={},{}", self.service, named.join(","));
        let series = self.series.entry(key).or_insert_with(|| Series { min: value, max: value, ..Series::default() });
        series.count += 1;
        series.sum += value;
        series.min = series.min.min(value);
        series.max = series.max.max(value);
        series.values.push(value);
    }

    /// The series as JSON.
    pub fn finish(self) -> Value {
        let written = |series: Series| {
            let Series { count, sum, min, max, values } = series;
            json!({ "count": count, "sum": sum, "min": min, "max": max, "values": values })
        };
        self.series.into_iter().map(|(key, series)| (key, written(series))).collect()
    }
}
