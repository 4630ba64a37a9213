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
//! A line in CloudWatch's embedded metric format that has a directive of our namespace brings its metrics along
//! ([`emf`]); of the table only the last row holds for it. They are kept apart, since CloudWatch may have extracted
//! them already. The same holds for a line with an empty list of directives: it says that its metrics are told
//! elsewhere. What has directives of other namespaces only, or none that can be read, is a line like any other.

mod dimension;
mod emf;
mod facts;
mod metric;
mod tally;

pub use facts::{Detail, Details, Facts};

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::Minute;
use crate::logs::record::Category;
use crate::metrics::registry;
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};
use dimension::DimensionValue;
use emf::Extracted;
use metric::Metric;
use tally::{Moment, Tally};

/// A duration from which on a record counts as a performance issue, in milliseconds (the source
/// document's figure).
pub const PERFORMANCE_ISSUE_MS: f64 = 5_000.0;

/// Series of one batch, by event minute.
///
/// The values of a dimension of a metric are bounded: what comes after the first hundred different ones
/// is folded into `other`, and counted.
pub struct Derivation {
    service: String,
    tally: Tally,
    extracted: Extracted,
    /// What the values of a line's dimensions are written to, where they are not as the line has them.
    scratch: Scratch,
    own: Vec<(&'static str, Minute, usize)>,
}

/// The series of a batch, by event minute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Derived {
    /// What its lines speak of, and what those have brought along that CloudWatch can not have extracted.
    pub minutes: BTreeMap<Minute, SeriesSet>,
    /// What its lines have brought along in CloudWatch's embedded metric format.
    pub extracted: BTreeMap<Minute, SeriesSet>,
}

#[derive(Default)]
struct Scratch {
    template: String,
    first: String,
    second: String,
    third: String,
}

impl Derivation {
    /// For the lines of `service`. Metrics that lines bring along are taken where they are in `namespace`.
    pub fn of(service: &str, namespace: &str) -> Derivation {
        let service = schema::dimension::sanitised(service, &mut String::new()).to_owned();
        let extracted = Extracted::new(namespace);
        Derivation { service, tally: Tally::new(), extracted, scratch: Scratch::default(), own: Vec::new() }
    }

    /// Adds what a line says.
    pub fn add(&mut self, facts: &Facts<'_>) {
        let at = self.tally.moment(facts.at_millis);
        self.tally.line(at, facts.level);
        if facts.duration_ms.is_some_and(|ms| ms > PERFORMANCE_ISSUE_MS) {
            self.tally.count(at, metric::PERFORMANCE_ISSUES, &[]);
        }
        if let Some(members) = facts.emf
            && self.add_brought(at, members, facts)
        {
            return;
        }
        if facts.details.is_empty() {
            return;
        }
        self.add_request(at, facts);
        self.add_query(at, facts);
        self.add_business_event(at, facts);
        self.add_levels(at, facts);
        self.add_security_event(at, facts);
    }

    /// Adds a count of the pipeline's own (`pipeline_...`) for a minute, where there is something to count.
    pub fn add_own(&mut self, name: &'static str, minute: Minute, value: usize) {
        if value > 0 {
            self.own.push((name, minute, value));
        }
    }

    /// The series by minute.
    pub fn finish(self) -> Derived {
        let mut minutes = self.tally.finish(&self.service);
        for (name, minute, value) in self.own {
            let has_service = registry::find(name).is_some_and(|metric| metric.dimensions.contains(&"service"));
            let service = has_service.then(|| ("service".to_owned(), self.service.clone()));
            let key = SeriesKey { name: name.to_owned(), dimensions: Dimensions::from_iter(service) };
            let aggregate = Aggregate::of(value as f64, minute.start().as_millisecond());
            minutes.entry(minute).or_default().add(key, &aggregate);
        }
        let extracted = self.extracted.finish(&mut minutes);
        Derived { minutes, extracted }
    }

    /// Adds what a line brings along, and says whether nothing else is to be derived from it.
    fn add_brought(&mut self, at: Moment, members: &str, facts: &Facts<'_>) -> bool {
        let line = emf::Event { json: members, millis: facts.at_millis, is_joined: facts.is_joined };
        let emf::Told { refused, folded, is_told } = self.extracted.add(line, &self.service);
        for (metric, times) in [(metric::PIPELINE_VALUES_REFUSED, refused), (metric::PIPELINE_SERIES_OVERFLOW, folded)]
        {
            (0..times).for_each(|_| self.tally.count(at, metric, &[]));
        }
        is_told
    }

    fn add_request(&mut self, at: Moment, facts: &Facts<'_>) {
        let details = &facts.details;
        let Some(status) = details.text(Detail::StatusCode) else { return };
        let Some(target) = details.text(Detail::Endpoint).or_else(|| details.text(Detail::Url)) else { return };
        let external = || details.text(Detail::Service).filter(|_| facts.category == Category::ExternalApi);
        let (of_whom, calls, duration) = if let Some(external) = external() {
            (external, metric::EXTERNAL_API_CALLS, metric::EXTERNAL_API_DURATION)
        } else if let Some(method) = details.text(Detail::Method) {
            (method, metric::API_REQUESTS, metric::API_REQUEST_DURATION)
        } else {
            return;
        };
        let Scratch { template, first, second, third } = &mut self.scratch;
        let endpoint = DimensionValue::of(schema::endpoint::template(&target, template), first);
        let of_whom = DimensionValue::of(&of_whom, second);
        let status = DimensionValue::of(&status, third);
        // In the registry's order of their dimensions.
        let named = if calls == metric::EXTERNAL_API_CALLS { [of_whom, endpoint] } else { [endpoint, of_whom] };
        self.tally.count(at, calls, &[named[0], named[1], status]);
        add_duration(&mut self.tally, at, facts, duration, &named);
    }

    fn add_query(&mut self, at: Moment, facts: &Facts<'_>) {
        if facts.category != Category::Database {
            return;
        }
        let Some(query_type) = facts.details.text(Detail::QueryType) else { return };
        let table = facts.details.text(Detail::Table).unwrap_or(Cow::Borrowed("none"));
        let named = [
            DimensionValue::of(&query_type, &mut self.scratch.first),
            DimensionValue::of(&table, &mut self.scratch.second),
        ];
        add_duration(&mut self.tally, at, facts, metric::DATABASE_QUERY_DURATION, &named);
        add_detail(&mut self.tally, at, facts, metric::DATABASE_ROWS_AFFECTED, Detail::RowsAffected, &named);
    }

    fn add_business_event(&mut self, at: Moment, facts: &Facts<'_>) {
        let Some(event) = facts.details.text(Detail::Event) else { return };
        let Some(event) = BusinessEvent::named(&event) else { return };
        let BusinessEvent { counter, by, value } = event;
        let named = by.map(|detail| facts.details.text(detail).unwrap_or(Cow::Borrowed("unknown")));
        let named = named.as_ref().map(|text| DimensionValue::of(text, &mut self.scratch.first));
        if let Some(counter) = counter {
            self.tally.count(at, counter, named.as_slice());
        }
        if let Some((metric, detail)) = value {
            add_detail(&mut self.tally, at, facts, metric, detail, named.as_slice());
        }
    }

    fn add_levels(&mut self, at: Moment, facts: &Facts<'_>) {
        const LEVELS: [(Metric, Detail); 6] = [
            (metric::CPU_USAGE_PERCENT, Detail::CpuUsage),
            (metric::MEMORY_USAGE_PERCENT, Detail::MemoryUsage),
            (metric::DISK_USAGE_PERCENT, Detail::DiskUsage),
            (metric::ACTIVE_USERS, Detail::ActiveUsers),
            (metric::DAILY_CONTRACTS, Detail::DailyContracts),
            (metric::CONVERSION_RATE, Detail::ConversionRate),
        ];
        if facts.details.has_any(&LEVELS.map(|(_, detail)| detail)) {
            for (metric, detail) in LEVELS {
                add_detail(&mut self.tally, at, facts, metric, detail, &[]);
            }
        }
    }

    fn add_security_event(&mut self, at: Moment, facts: &Facts<'_>) {
        if facts.category != Category::Security {
            return;
        }
        let Some(event_type) = facts.details.text(Detail::EventType) else { return };
        let event_type = DimensionValue::of(&event_type, &mut self.scratch.first);
        self.tally.count(at, metric::SECURITY_EVENTS, &[event_type]);
    }
}

/// The metrics of something that happened in the business.
struct BusinessEvent {
    /// What counts it.
    counter: Option<Metric>,
    /// The detail that is the metrics' dimension; `unknown` where the line does not tell it.
    by: Option<Detail>,
    /// What a detail of it is a value of.
    value: Option<(Metric, Detail)>,
}

impl BusinessEvent {
    /// The one that `details.event` names.
    fn named(name: &str) -> Option<BusinessEvent> {
        let (counter, by, value) = match name {
            "user_registered" => (Some(metric::USER_REGISTRATIONS), Some(Detail::UserRole), None),
            "contract_created" => (
                Some(metric::CONTRACTS_CREATED),
                Some(Detail::UserRole),
                Some((metric::CONTRACT_VALUE, Detail::ContractValue)),
            ),
            "contract_creation_failed" => (Some(metric::CONTRACT_CREATION_ERRORS), Some(Detail::Reason), None),
            "contract_signed" => (
                Some(metric::CONTRACTS_SIGNED),
                Some(Detail::UserRole),
                Some((metric::CONTRACT_SIGNING_DURATION, Detail::SigningDurationMs)),
            ),
            "document_uploaded" => (
                Some(metric::DOCUMENTS_UPLOADED),
                Some(Detail::DocumentType),
                Some((metric::DOCUMENT_SIZE, Detail::FileSizeMb)),
            ),
            "session_ended" => (None, None, Some((metric::USER_SESSION_DURATION, Detail::SessionDurationMinutes))),
            _ => return None,
        };
        Some(BusinessEvent { counter, by, value })
    }
}

/// Adds the line's duration: its own or, where it has none, that of its details.
fn add_duration(tally: &mut Tally, at: Moment, facts: &Facts<'_>, metric: Metric, named: &[DimensionValue<'_>]) {
    let duration = facts.duration_ms.or_else(|| facts.details.number(Detail::DurationMs));
    if let Some(ms) = duration.filter(|ms| ms.is_finite() && *ms >= 0.0) {
        tally.value(at, metric, ms, named);
    }
}

/// Adds a detail that is a number.
fn add_detail(
    tally: &mut Tally,
    at: Moment,
    facts: &Facts<'_>,
    metric: Metric,
    detail: Detail,
    named: &[DimensionValue<'_>],
) {
    if let Some(value) = facts.details.number(detail) {
        tally.value(at, metric, value, named);
    }
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::facts::tests::ALL;
    use super::*;
    use crate::logs::record::Level;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    const AT: i64 = 1_795_000_000_000;

    /// A line as the archive has it.
    #[derive(Debug, Clone)]
    struct Line {
        level: Level,
        category: Category,
        at_millis: i64,
        emf: Option<String>,
        duration_ms: Option<f64>,
        /// The JSON text of each.
        details: Vec<(&'static str, String)>,
    }

    impl Line {
        /// Of a JSON line of schema v1, or of a plain text.
        fn of(line: &Value) -> Line {
            let text = |name: &str| line.get(name).and_then(Value::as_str);
            let detail = |name: &'static str| Some((name, line.get("details")?.get(name)?.to_string()));
            Line {
                level: text("level").and_then(Level::parse).unwrap_or(Level::Info),
                category: text("category").and_then(Category::parse).unwrap_or(Category::System),
                at_millis: AT,
                emf: line.get("_aws").map(|_| line.to_string()),
                duration_ms: line.get("duration_ms").and_then(Value::as_f64),
                details: ALL.iter().filter_map(|(name, _)| detail(name)).collect(),
            }
        }

        fn facts(&self) -> Facts<'_> {
            let mut details = Details::default();
            for (name, json) in &self.details {
                details.set(Detail::named(name).expect("tests use known names"), json);
            }
            let Line { level, category, at_millis, duration_ms, .. } = *self;
            let emf = self.emf.as_deref();
            Facts { level, category, at_millis, emf, is_joined: false, duration_ms, details }
        }
    }

    /// Every series of a line as `name{dimension=value,...} sum`.
    fn derived(lines: &[Value]) -> Vec<String> {
        let mut derivation = Derivation::of("api", "Ours");
        for line in lines {
            derivation.add(&Line::of(line).facts());
        }
        let Derived { minutes, extracted } = derivation.finish();
        let describe = |(key, aggregate): (&SeriesKey, &Aggregate)| {
            let dimensions: Vec<String> = key.dimensions.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{}{{{}}} {}", key.name, dimensions.join(","), aggregate.sum)
        };
        let set_apart = |series: String| format!("extracted {series}");
        let all = |minutes: &BTreeMap<Minute, SeriesSet>| -> Vec<String> {
            minutes.values().flat_map(|set| set.iter().map(describe)).collect()
        };
        all(&minutes).into_iter().chain(all(&extracted).into_iter().map(set_apart)).collect()
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
    fn a_slow_statement_of_the_server_log_is_a_query_and_a_performance_issue() {
        let line = line("INFO", "database", &json!({ "query_type": "SELECT", "table": "contracts" }), Some(6_123.4));
        assert_eq!(
            derived(&[line]),
            [
                "database_query_duration{query_type=SELECT,service=api,table=contracts} 6123.4",
                "log_entries{level=INFO,service=api} 1",
                "performance_issues{service=api} 1"
            ]
        );
    }

    #[test]
    fn what_a_line_brings_along_is_not_derived_from_it_again() {
        let emf = json!({
            "_aws": { "Timestamp": AT, "CloudWatchMetrics": [
                { "Namespace": "Ours", "Dimensions": [[]], "Metrics": [{ "Name": "active_users" }] },
                { "Namespace": "Theirs", "Dimensions": [[]], "Metrics": [{ "Name": "conversion_rate" }] },
                "junk"
            ] },
            "level": "INFO", "message": "m", "active_users": 3, "conversion_rate": 5, "duration_ms": 6_000,
            "details": { "active_users": 3, "daily_contracts": 7 }
        });
        assert_eq!(
            derived(&[emf]),
            [
                "log_entries{level=INFO,service=api} 1",
                "performance_issues{service=api} 1",
                "pipeline_values_refused{service=api} 1",
                "extracted active_users{} 3"
            ]
        );
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
        assert_eq!(series.iter().filter(|s| s.starts_with("api_requests{")).count(), dimension::MAX_VALUES + 1);
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
        assert_eq!(tally::MAX_MAGNITUDE, 2f64.powi(360));
    }

    fn any_json() -> impl Strategy<Value = String> {
        let written = [
            "null",
            "true",
            "[1]",
            r#"{"a":1}"#,
            "200",
            "-0",
            "2e2",
            "200.0",
            "12345678901234567890123",
            "1.5e300",
            "-1e200",
            "0.1",
            "404",
            "503",
            r#""""#,
            r#"" ""#,
            r#""GET""#,
            r#"" GET""#,
            r#""other""#,
            r#""::a""#,
            r#""\u0041\n""#,
            r#""\/contracts\/4711""#,
            r#""Таймаут""#,
            r#""/contracts/4711?x=1""#,
            r#""https://example.com/v1/x#y""#,
            r#""buyer""#,
            r#""SELECT""#,
            r#""contract_created""#,
        ];
        prop_oneof![
            4 => prop::sample::select(written.to_vec()).prop_map(str::to_owned),
            1 => any::<f64>().prop_map(|number| json!(number).to_string()),
            1 => any::<i32>().prop_map(|number| number.to_string()),
            1 => ".{0,5}".prop_map(|text| json!(text).to_string()),
            // More than the values that a dimension may have.
            2 => (0..250u32).prop_map(|n| {
                let letter = |n: u32| char::from(b'a' + (n % 16) as u8);
                format!("\"/{}{}\"", letter(n / 16), letter(n))
            }),
        ]
    }

    fn any_details() -> impl Strategy<Value = Vec<(&'static str, String)>> {
        let all = || (0..ALL.len()).prop_map(|at| ALL[at].0);
        let events = [
            "user_registered",
            "contract_created",
            "contract_creation_failed",
            "contract_signed",
            "document_uploaded",
            "session_ended",
        ];
        let event = prop::sample::select(events.to_vec()).prop_map(|event| ("event", json!(event).to_string()));
        let of = |names: &'static [&'static str]| {
            names.iter().map(|name| any_json().prop_map(move |json| (*name, json))).collect::<Vec<_>>()
        };
        // Whole requests, queries and events among them: few draws of single names make one.
        prop_oneof![
            prop::collection::vec((all(), any_json()), 0..6),
            of(&["endpoint", "method", "status_code", "duration_ms", "service"]),
            of(&["url", "service", "status_code"]),
            of(&["query_type", "table", "rows_affected"]),
            of(&["cpu_usage", "active_users", "event_type"]),
            (
                event,
                of(&[
                    "user_role",
                    "contract_value",
                    "reason",
                    "signing_duration_ms",
                    "document_type",
                    "file_size_mb",
                    "session_duration_minutes"
                ])
            )
                .prop_map(|(event, mut rest)| {
                    rest.push(event);
                    rest
                }),
        ]
    }

    fn any_line() -> impl Strategy<Value = Line> {
        let levels = [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical];
        let categories = [Category::System, Category::ExternalApi, Category::Database, Category::Security];
        let at_millis = prop_oneof![8 => (0..150i64).prop_map(|second| AT + second * 1_000), 1 => any::<i64>()];
        let duration = prop_oneof![0.0..9_000.0, Just(-1.0), Just(-0.0), Just(1e300), any::<f64>()];
        (
            prop::sample::select(levels.to_vec()),
            prop::sample::select(categories.to_vec()),
            at_millis,
            prop::option::weighted(0.05, Just(r#"{"_aws":{"CloudWatchMetrics":[]}}"#.to_owned())),
            prop::option::of(duration),
            any_details(),
        )
            .prop_map(|(level, category, at_millis, emf, duration_ms, details)| Line {
                level,
                category,
                at_millis,
                emf,
                duration_ms,
                details,
            })
    }

    /// Of one minute and one dimension, so that `other` is both a value and what is folded into it.
    fn security_event() -> impl Strategy<Value = Line> {
        any_json().prop_map(|json| Line {
            level: Level::Warning,
            category: Category::Security,
            at_millis: AT,
            emf: None,
            duration_ms: None,
            details: vec![("event_type", json)],
        })
    }

    const OWN: [&str; 4] =
        ["pipeline_lines_received", "pipeline_series_overflow", "active_users", "not_in_the_registry"];

    fn same_as_the_reference(lines: &[Line], own: &[(usize, i64, usize)]) -> Result<(), TestCaseError> {
        let (mut fast, mut plain) = (Derivation::of(" апи", "Ours"), reference::Derivation::of(" апи"));
        for line in lines {
            fast.add(&line.facts());
            plain.add(&line.facts(), &reference::details(&line.details));
        }
        for &(name, at_millis, value) in own {
            fast.add_own(OWN[name], Minute::of_epoch_millis(at_millis), value);
            plain.add_own(OWN[name], Minute::of_epoch_millis(at_millis), value);
        }
        let (Derived { minutes: fast, extracted }, plain) = (fast.finish(), plain.finish());
        prop_assert!(extracted.is_empty());
        // As texts: numbers differ in them by a bit, and zero by its sign.
        let texts = |minutes: &BTreeMap<Minute, SeriesSet>| -> BTreeSet<String> {
            let series = minutes.iter().flat_map(|(minute, set)| set.iter().map(move |series| (minute, series)));
            series.map(|(minute, (key, held))| format!("{minute} {key:?} {held:?}")).collect()
        };
        let (ours, theirs) = (texts(&fast), texts(&plain));
        let difference: Vec<&String> = ours.symmetric_difference(&theirs).take(4).collect();
        prop_assert!(difference.is_empty(), "{:#?}", difference);
        prop_assert!(fast == plain);
        Ok(())
    }

    #[test]
    fn a_line_without_metrics_in_our_namespace_is_derived_from() {
        let created =
            line("INFO", "business_logic", &json!({ "event": "contract_created", "user_role": "buyer" }), None);
        let with = |aws: Value| {
            let mut line = created.clone();
            line["_aws"] = aws;
            derived(&[line])
        };
        let counts = |series: &[String]| series.iter().any(|series| series.starts_with("contracts_created{"));
        let refused = |series: &[String]| series.iter().any(|series| series.starts_with("pipeline_values_refused"));
        let of = |namespace: &str| json!([{ "Namespace": namespace, "Metrics": [{ "Name": "cart_size" }] }]);
        for (aws, is_derived, is_refused) in [
            (json!({ "CloudWatchMetrics": of("Shop") }), true, false),
            (json!({ "region": "eu-north-1" }), true, true),
            (json!({ "CloudWatchMetrics": of("Ours") }), false, true),
            (json!({ "CloudWatchMetrics": [] }), false, false),
        ] {
            let series = with(aws.clone());
            assert_eq!((counts(&series), refused(&series)), (is_derived, is_refused), "{aws}");
        }
    }

    proptest! {
        #[test]
        fn series_are_those_of_the_plain_derivation(
            lines in prop::collection::vec(any_line(), 0..60),
            own in prop::collection::vec((0..OWN.len(), AT..AT + 150_000, 0..5usize), 0..5),
        ) {
            same_as_the_reference(&lines, &own)?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn series_are_those_of_the_plain_derivation_where_there_are_too_many(
            lines in prop::collection::vec(prop_oneof![any_line(), security_event()], 1_500..2_000),
        ) {
            same_as_the_reference(&lines, &[])?;
        }
    }
}
