//! The derivation as it was first written, plain and slow: the measure for the fast one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Facts, PERFORMANCE_ISSUE_MS};
use crate::Minute;
use crate::logs::record::Category;
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};

/// Different values that a dimension of a metric may have in one batch; further ones become `other`.
const MAX_VALUES: usize = 100;

/// The greatest magnitude that CloudWatch takes, 2^360. No number of such values adds up to infinity,
/// which JSON could not hold.
const MAX_MAGNITUDE: f64 = 2.348_542_582_773_833_4e108;

/// Characters a dimension value is cut to.
const MAX_VALUE_CHARS: usize = 200;

/// The details of a line as values.
pub fn details(texts: &[(&'static str, String)]) -> Map<String, Value> {
    texts.iter().filter_map(|(name, json)| Some(((*name).to_owned(), serde_json::from_str(json).ok()?))).collect()
}

/// What the plain derivation reads.
struct Record<'a> {
    facts: &'a Facts<'a>,
    details: &'a Map<String, Value>,
}

/// Series of one batch, by event minute.
pub struct Derivation {
    service: String,
    minutes: BTreeMap<Minute, SeriesSet>,
    values: BTreeMap<(&'static str, &'static str), BTreeSet<String>>,
}

impl Derivation {
    /// For the lines of `service`.
    pub fn of(service: &str) -> Derivation {
        Derivation { service: dimension_value(service), minutes: BTreeMap::new(), values: BTreeMap::new() }
    }

    /// Adds what a line says; `details` stands for those of `facts`.
    pub fn add(&mut self, facts: &Facts<'_>, details: &Map<String, Value>) {
        let record = &Record { facts, details };
        self.count(record, "log_entries", &[("level", facts.level.as_str())]);
        if facts.duration_ms.is_some_and(|ms| ms > PERFORMANCE_ISSUE_MS) {
            self.count(record, "performance_issues", &[]);
        }
        if facts.emf.is_some() {
            return;
        }
        self.add_request(record);
        self.add_query(record);
        self.add_business_event(record);
        self.add_levels(record);
        if record.facts.category == Category::Security
            && let Some(event_type) = text(record, "event_type")
        {
            self.count(record, "security_events", &[("event_type", &event_type)]);
        }
    }

    /// Adds a count of the pipeline's own (`pipeline_...`) for a minute, where there is something to count.
    pub fn add_own(&mut self, name: &'static str, minute: Minute, value: usize) {
        if value > 0 {
            self.point(name, minute.start().as_millisecond(), value as f64, &[]);
        }
    }

    /// The series by minute.
    pub fn finish(self) -> BTreeMap<Minute, SeriesSet> {
        self.minutes
    }

    fn add_request(&mut self, record: &Record<'_>) {
        let Some(status) = text(record, "status_code") else { return };
        let Some(target) = text(record, "endpoint").or_else(|| text(record, "url")) else { return };
        let endpoint = template(&target);
        if record.facts.category == Category::ExternalApi
            && let Some(external) = text(record, "service")
        {
            let named = [("external_service", external.as_str()), ("endpoint", &endpoint)];
            self.count(record, "external_api_calls", &[named[0], named[1], ("status_code", &status)]);
            self.duration(record, "external_api_duration", &named);
        } else if let Some(method) = text(record, "method") {
            let named = [("endpoint", endpoint.as_str()), ("method", &method)];
            self.count(record, "api_requests", &[named[0], named[1], ("status_code", &status)]);
            self.duration(record, "api_request_duration", &named);
        }
    }

    fn add_query(&mut self, record: &Record<'_>) {
        if record.facts.category != Category::Database {
            return;
        }
        let Some(query_type) = text(record, "query_type") else { return };
        let table = text(record, "table").unwrap_or_else(|| "none".to_owned());
        let named = [("query_type", query_type.as_str()), ("table", &table)];
        self.duration(record, "database_query_duration", &named);
        self.value(record, "database_rows_affected", "rows_affected", &named);
    }

    fn add_business_event(&mut self, record: &Record<'_>) {
        let role = text(record, "user_role").unwrap_or_else(|| "unknown".to_owned());
        let role = [("role", role.as_str())];
        match record.details.get("event").and_then(Value::as_str) {
            Some("user_registered") => self.count(record, "user_registrations", &role),
            Some("contract_created") => {
                self.count(record, "contracts_created", &role);
                self.value(record, "contract_value", "contract_value", &role);
            }
            Some("contract_creation_failed") => {
                let reason = text(record, "reason").unwrap_or_else(|| "unknown".to_owned());
                self.count(record, "contract_creation_errors", &[("reason", &reason)]);
            }
            Some("contract_signed") => {
                self.count(record, "contracts_signed", &role);
                self.value(record, "contract_signing_duration", "signing_duration_ms", &role);
            }
            Some("document_uploaded") => {
                let kind = text(record, "document_type").unwrap_or_else(|| "unknown".to_owned());
                self.count(record, "documents_uploaded", &[("type", &kind)]);
                self.value(record, "document_size", "file_size_mb", &[("type", &kind)]);
            }
            Some("session_ended") => self.value(record, "user_session_duration", "session_duration_minutes", &[]),
            _ => {}
        }
    }

    fn add_levels(&mut self, record: &Record<'_>) {
        const LEVELS: [(&str, &str); 6] = [
            ("cpu_usage_percent", "cpu_usage"),
            ("memory_usage_percent", "memory_usage"),
            ("disk_usage_percent", "disk_usage"),
            ("active_users", "active_users"),
            ("daily_contracts", "daily_contracts"),
            ("conversion_rate", "conversion_rate"),
        ];
        for (name, field) in LEVELS {
            self.value(record, name, field, &[]);
        }
    }

    fn count(&mut self, record: &Record<'_>, name: &'static str, dimensions: &[(&'static str, &str)]) {
        self.point(name, record.facts.at_millis, 1.0, dimensions);
    }

    fn duration(&mut self, record: &Record<'_>, name: &'static str, dimensions: &[(&'static str, &str)]) {
        let own = || record.details.get("duration_ms").and_then(Value::as_f64);
        if let Some(ms) = record.facts.duration_ms.or_else(own).filter(|ms| ms.is_finite() && *ms >= 0.0) {
            self.point(name, record.facts.at_millis, ms, dimensions);
        }
    }

    fn value(&mut self, record: &Record<'_>, name: &'static str, field: &str, dimensions: &[(&'static str, &str)]) {
        if let Some(value) = record.details.get(field).and_then(Value::as_f64).filter(|value| value.is_finite()) {
            self.point(name, record.facts.at_millis, value, dimensions);
        }
    }

    fn point(&mut self, name: &'static str, at_millis: i64, value: f64, named: &[(&'static str, &str)]) {
        if value.abs() > MAX_MAGNITUDE {
            return self.point("pipeline_values_refused", at_millis, 1.0, &[]);
        }
        let mut dimensions = Dimensions::new();
        if has_service(name) {
            dimensions.insert("service".to_owned(), self.service.clone());
        }
        let mut overflowed = false;
        for (dimension, value) in named {
            let value = self.bounded(name, dimension, dimension_value(value), &mut overflowed);
            dimensions.insert((*dimension).to_owned(), value);
        }
        let series = self.minutes.entry(Minute::of_epoch_millis(at_millis)).or_default();
        series.add(SeriesKey { name: name.to_owned(), dimensions }, &Aggregate::of(value, at_millis));
        if overflowed {
            self.point("pipeline_series_overflow", at_millis, 1.0, &[]);
        }
    }

    /// `value`, or `other` where the dimension has too many different ones in this batch already.
    fn bounded(&mut self, name: &'static str, dimension: &'static str, value: String, overflowed: &mut bool) -> String {
        let known = self.values.entry((name, dimension)).or_default();
        if known.contains(&value) {
            return value;
        }
        if known.len() >= MAX_VALUES {
            *overflowed = true;
            return "other".to_owned();
        }
        known.insert(value.clone());
        value
    }
}

/// Whether the registry gives the metric a `service` dimension.
fn has_service(name: &str) -> bool {
    crate::metrics::registry::find(name).is_some_and(|metric| metric.dimensions.contains(&"service"))
}

/// A detail as text: a text or a number.
fn text(record: &Record<'_>, name: &str) -> Option<String> {
    match record.details.get(name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `text` as CloudWatch takes it: printable ASCII, not empty, not beginning with a colon, not too long.
fn dimension_value(text: &str) -> String {
    let ascii = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '_' };
    let text = text.trim_start_matches(|c: char| c == ':' || c.is_whitespace()).trim_end();
    let value: String = text.chars().take(MAX_VALUE_CHARS).map(ascii).collect();
    if value.trim_end().is_empty() { "unknown".to_owned() } else { value.trim_end().to_owned() }
}

/// The path of `target` (a path or a URL, with or without a query) with ids replaced by `{id}`.
fn template(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    };
    let segments: Vec<&str> =
        path.split('/').map(|segment| if schema::endpoint::is_id(segment) { "{id}" } else { segment }).collect();
    let template = segments.join("/");
    if template.is_empty() { "/".to_owned() } else { template }
}
