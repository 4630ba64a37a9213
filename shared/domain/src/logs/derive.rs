//! Metrics that a record speaks of.
//!
//! A record says what happened by its fields, not by its wording:
//!
//! | record | metrics |
//! |---|---|
//! | `details` {`method`, `endpoint` or `url`, `status_code`}, `duration_ms` | `api_requests`, `api_request_duration` |
//! | category `external_api`, `details` {`service`, `endpoint`, `status_code`} | `external_api_calls`, `external_api_duration` |
//! | category `database`, `details` {`query_type`, `table`, `rows_affected`} | `database_query_duration`, `database_rows_affected` |
//! | `details.event` `user_registered` {`user_role`} | `user_registrations` |
//! | `details.event` `contract_created` {`user_role`, `contract_value`} | `contracts_created`, `contract_value` |
//! | `details.event` `contract_creation_failed` {`reason`} | `contract_creation_errors` |
//! | `details.event` `contract_signed` {`user_role`, `signing_duration_ms`} | `contracts_signed`, `contract_signing_duration` |
//! | `details.event` `document_uploaded` {`document_type`, `file_size_mb`} | `documents_uploaded`, `document_size` |
//! | `details.event` `session_ended` {`session_duration_minutes`} | `user_session_duration` |
//! | `details` {`cpu_usage`, `memory_usage`, `disk_usage`} | `cpu_usage_percent`, ... |
//! | `details` {`active_users`, `daily_contracts`, `conversion_rate`} | the same |
//! | category `security`, `details.event_type` | `security_events` |
//! | every record | `log_entries`; over 5 s also `performance_issues` |
//!
//! A line in CloudWatch's embedded metric format is not derived from: CloudWatch has counted it already.

mod endpoint;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Minute;
use crate::logs::record::{Category, Format, Record};
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};

/// A duration from which on a record counts as a performance issue, in milliseconds (the source
/// document's figure).
pub const PERFORMANCE_ISSUE_MS: f64 = 5_000.0;

/// Different values that a dimension of a metric may have in one batch; further ones become `other`.
const MAX_VALUES: usize = 100;

/// The greatest magnitude that CloudWatch takes, 2^360. No number of such values adds up to infinity,
/// which JSON could not hold.
const MAX_MAGNITUDE: f64 = 2.348_542_582_773_833_4e108;

/// Characters a dimension value is cut to.
const MAX_VALUE_CHARS: usize = 200;

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

    /// Adds what `record` says.
    pub fn add(&mut self, record: &Record) {
        self.count(record, "log_entries", &[("level", record.level.as_str())]);
        if record.duration_ms.is_some_and(|ms| ms > PERFORMANCE_ISSUE_MS) {
            self.count(record, "performance_issues", &[]);
        }
        if record.source.format == Format::Emf {
            return;
        }
        self.add_request(record);
        self.add_query(record);
        self.add_business_event(record);
        self.add_levels(record);
        if record.category == Category::Security
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

    fn add_request(&mut self, record: &Record) {
        let Some(status) = text(record, "status_code") else { return };
        let Some(target) = text(record, "endpoint").or_else(|| text(record, "url")) else { return };
        let endpoint = endpoint::template(&target);
        if record.category == Category::ExternalApi
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

    fn add_query(&mut self, record: &Record) {
        if record.category != Category::Database {
            return;
        }
        let Some(query_type) = text(record, "query_type") else { return };
        let table = text(record, "table").unwrap_or_else(|| "none".to_owned());
        let named = [("query_type", query_type.as_str()), ("table", &table)];
        self.duration(record, "database_query_duration", &named);
        self.value(record, "database_rows_affected", "rows_affected", &named);
    }

    fn add_business_event(&mut self, record: &Record) {
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

    fn add_levels(&mut self, record: &Record) {
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

    fn count(&mut self, record: &Record, name: &'static str, dimensions: &[(&'static str, &str)]) {
        self.point(name, record.source.event_time.as_millisecond(), 1.0, dimensions);
    }

    fn duration(&mut self, record: &Record, name: &'static str, dimensions: &[(&'static str, &str)]) {
        let own = || record.details.get("duration_ms").and_then(Value::as_f64);
        if let Some(ms) = record.duration_ms.or_else(own).filter(|ms| ms.is_finite() && *ms >= 0.0) {
            self.point(name, record.source.event_time.as_millisecond(), ms, dimensions);
        }
    }

    fn value(&mut self, record: &Record, name: &'static str, field: &str, dimensions: &[(&'static str, &str)]) {
        if let Some(value) = record.details.get(field).and_then(Value::as_f64).filter(|value| value.is_finite()) {
            self.point(name, record.source.event_time.as_millisecond(), value, dimensions);
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
fn text(record: &Record, name: &str) -> Option<String> {
    match record.details.get(name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `text` as CloudWatch takes it: printable ASCII, not empty, not beginning with a colon, not too long.
fn dimension_value(text: &str) -> String {
    let ascii = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '_' };
    let value: String = text.trim().trim_start_matches(':').chars().take(MAX_VALUE_CHARS).map(ascii).collect();
    if value.trim().is_empty() { "unknown".to_owned() } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::parse::parse;
    use crate::logs::record::Source;
    use serde_json::json;

    fn source() -> Source {
        Source {
            owner: "123456789012".into(),
            log_group: "/aws/ecs/production/api".into(),
            log_stream: "s".into(),
            event_id: "1".into(),
            event_time: "2026-11-21T10:05:30Z".parse().unwrap(),
            format: Format::Raw,
        }
    }

    /// Every series of a line as `name{dimension=value,...} sum`.
    fn derived(lines: &[Value]) -> Vec<String> {
        let mut derivation = Derivation::of("api");
        for line in lines {
            let line = line.as_str().map_or_else(|| line.to_string(), str::to_owned);
            derivation.add(&parse(&line, source()));
        }
        let minutes = derivation.finish();
        let describe = |(key, aggregate): (&SeriesKey, &Aggregate)| {
            let dimensions: Vec<String> = key.dimensions.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{}{{{}}} {}", key.name, dimensions.join(","), aggregate.sum)
        };
        minutes.values().flat_map(|set| set.iter().map(describe)).collect()
    }

    fn line(level: &str, category: &str, details: &Value, duration_ms: Option<f64>) -> Value {
        json!({ "level": level, "category": category, "message": "m", "details": details, "duration_ms": duration_ms })
    }

    #[test]
    fn what_a_record_says_becomes_the_metrics_of_the_table() {
        let entry = |level: &str| format!("log_entries{{level={level},service=api}} 1");
        for (record, expected) in [
            (
                line(
                    "INFO",
                    "system",
                    &json!({ "method": "GET", "endpoint": "/contracts/4711?x=1", "status_code": 200 }),
                    Some(12.0),
                ),
                vec![
                    "api_request_duration{endpoint=/contracts/{id},method=GET,service=api} 12".to_owned(),
                    "api_requests{endpoint=/contracts/{id},method=GET,service=api,status_code=200} 1".to_owned(),
                    entry("INFO"),
                ],
            ),
            (
                line(
                    "WARNING",
                    "external_api",
                    &json!({ "service": "rosreestr", "endpoint": "/v1/parcels", "status_code": 503 }),
                    Some(6_000.0),
                ),
                vec![
                    "external_api_calls{endpoint=/v1/parcels,external_service=rosreestr,service=api,status_code=503} 1"
                        .to_owned(),
                    "external_api_duration{endpoint=/v1/parcels,external_service=rosreestr,service=api} 6000"
                        .to_owned(),
                    entry("WARNING"),
                    "performance_issues{service=api} 1".to_owned(),
                ],
            ),
            (
                line(
                    "ERROR",
                    "business_logic",
                    &json!({ "event": "contract_creation_failed", "reason": "Таймаут" }),
                    None,
                ),
                vec!["contract_creation_errors{reason=_______,service=api} 1".to_owned(), entry("ERROR")],
            ),
            (
                line(
                    "INFO",
                    "business_logic",
                    &json!({ "event": "contract_created", "user_role": "buyer", "contract_value": 2.5e6 }),
                    None,
                ),
                vec![
                    "contract_value{role=buyer,service=api} 2500000".to_owned(),
                    "contracts_created{role=buyer,service=api} 1".to_owned(),
                    entry("INFO"),
                ],
            ),
            (
                line("INFO", "business_logic", &json!({ "active_users": 12, "conversion_rate": 3.5 }), None),
                vec!["active_users{} 12".to_owned(), "conversion_rate{} 3.5".to_owned(), entry("INFO")],
            ),
            (
                line("WARNING", "security", &json!({ "event_type": "login_failed" }), None),
                vec![entry("WARNING"), "security_events{event_type=login_failed,service=api} 1".to_owned()],
            ),
            (json!("plain text"), vec![entry("INFO")]),
        ] {
            assert_eq!(derived(std::slice::from_ref(&record)), expected, "{record}");
        }
    }

    #[test]
    fn a_slow_statement_in_the_server_log_is_a_query_and_a_performance_issue() {
        let line = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:LOG:  duration: 6123.4 ms  statement: SELECT * FROM contracts";
        assert_eq!(
            derived(&[json!(line)]),
            [
                "database_query_duration{query_type=SELECT,service=api,table=contracts} 6123.4",
                "log_entries{level=INFO,service=api} 1",
                "performance_issues{service=api} 1"
            ]
        );
    }

    #[test]
    fn what_cloudwatch_has_counted_is_not_counted_again() {
        let emf =
            json!({ "_aws": { "Timestamp": 1 }, "level": "INFO", "message": "m", "details": { "active_users": 3 } });
        assert_eq!(derived(&[emf]), ["log_entries{level=INFO,service=api} 1"]);
    }

    #[test]
    fn dimension_values_are_bounded_and_the_overflow_is_counted() {
        // Defect 41: raw paths made a series each.
        let lines: Vec<Value> = (0..150)
            .map(|n| {
                let name = format!("/page-{}", (b'a' + (n % 26) as u8) as char).repeat(n / 26 + 1);
                line("INFO", "system", &json!({ "method": "GET", "endpoint": name, "status_code": 200 }), None)
            })
            .collect();
        let series = derived(&lines);
        assert_eq!(series.iter().filter(|s| s.starts_with("api_requests{")).count(), MAX_VALUES + 1);
        assert!(series.contains(&"api_requests{endpoint=other,method=GET,service=api,status_code=200} 50".to_owned()));
        assert!(series.contains(&"pipeline_series_overflow{service=api} 50".to_owned()));
    }

    #[test]
    fn a_value_that_no_metric_can_hold_is_left_out_and_counted() {
        let details = json!({ "active_users": 1.7e308, "daily_contracts": -1e200, "conversion_rate": 3.5 });
        assert_eq!(
            derived(&[line("INFO", "business_logic", &details, None)]),
            [
                "conversion_rate{} 3.5",
                "log_entries{level=INFO,service=api} 1",
                "pipeline_values_refused{service=api} 2"
            ]
        );
        assert_eq!(MAX_MAGNITUDE, 2f64.powi(360));
    }
}
