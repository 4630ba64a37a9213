//! What happens in the business, and what it is made of: each call is one record with its metrics.
//!
//! The pipeline counts events that are published to its bus, too. What is published there is not tracked here, and what
//! is tracked here is not published: either counts it, and both would count it twice.
//!
//! | source document | here | metrics |
//! |---|---|---|
//! | `MetricsCollector.increment_counter`, `set_gauge`, `record_histogram`, `record_timer` | the same in [`metrics`](crate::metrics) | any |
//! | `MetricsCollector.flush_metrics` | [`metrics::flush`](crate::metrics::flush), [`telemetry::flush`](crate::flush), and by itself every minute | |
//! | `BusinessMetricsCollector.track_user_registration` | [`track_user_registration`] | `user_registrations` |
//! | `track_contract_creation` | [`track_contract_creation`] | `contracts_created`, `contract_value` |
//! | (its rule needs it) | [`track_contract_creation_failed`] | `contract_creation_errors` |
//! | `track_contract_signing` | [`track_contract_signing`] | `contracts_signed`, `contract_signing_duration` |
//! | `track_document_upload` | [`track_document_upload`] | `documents_uploaded`, `document_size` |
//! | `track_api_request` | [`track_api_request`]; [`web::layer`](crate::web::layer) calls it | `api_requests`, `api_request_duration` |
//! | `track_database_query` | [`track_database_query`], [`database_query`](crate::database_query) | `database_query_duration`, `database_rows_affected` |
//! | `track_external_api_call` | [`track_external_api_call`], [`external_call`](crate::external_call) | `external_api_calls`, `external_api_duration` |
//! | `track_user_session` | [`track_user_session`] | `user_session_duration` |
//! | `track_system_resources` | [`track_system_resources`], and of another service [`track_system_resources_of`] | `cpu_usage_percent`, `memory_usage_percent`, `disk_usage_percent` |
//! | `track_business_kpi` | [`track_business_kpi`] | `active_users`, `daily_contracts`, `conversion_rate` |
//! | `generate_metrics_report` | the daily report of the pipeline | |
//! | `@track_performance` | [`operation`](crate::operation()) | `operations`, `operation_duration` |

use std::time::Duration;

use schema::endpoint;
use tracing::{error, info};

use crate::calls::{ApiCall, DatabaseQuery, Direction, log_api_call, log_database_query};
use crate::metrics::{Point, count_beside_record, count_with_record, millis};

const CATEGORY: &str = "business_logic";

/// As whom somebody acts. Made from any text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// Who buys land.
    Buyer,
    /// Who sells it.
    Seller,
    /// Who mediates.
    Agent,
    /// Who certifies.
    Notary,
    /// Somebody else.
    Other(&'a str),
}

impl<'a> Role<'a> {
    /// Its name, a dimension of metrics.
    pub const fn as_str(self) -> &'a str {
        match self {
            Role::Buyer => "buyer",
            Role::Seller => "seller",
            Role::Agent => "agent",
            Role::Notary => "notary",
            Role::Other(name) => name,
        }
    }
}

impl<'a> From<&'a str> for Role<'a> {
    fn from(name: &'a str) -> Role<'a> {
        let known = [Role::Buyer, Role::Seller, Role::Agent, Role::Notary].into_iter();
        known.into_iter().find(|role| role.as_str() == name).unwrap_or(Role::Other(name))
    }
}

/// Somebody registered.
pub fn track_user_registration<'a>(role: impl Into<Role<'a>>) {
    let role = role.into().as_str();
    let labels = [("role", role)];
    count_with_record(&[Point::count("user_registrations", &labels)], || {
        info!(category = CATEGORY, event = "user_registered", user_role = role, "user registered");
    });
}

/// A contract was created. `value` is its price, in roubles.
pub fn track_contract_creation<'a>(value: f64, role: impl Into<Role<'a>>) {
    let role = role.into().as_str();
    let labels = [("role", role)];
    let points = [Point::count("contracts_created", &labels), Point::value("contract_value", value, &labels)];
    count_with_record(&points, || {
        info!(
            category = CATEGORY,
            event = "contract_created",
            user_role = role,
            contract_value = value,
            "contract created"
        );
    });
}

/// A contract could not be created. `reason` is one of few (`validation`, `registry_timeout`), a dimension of metrics.
pub fn track_contract_creation_failed(reason: &str) {
    let labels = [("reason", reason)];
    count_with_record(&[Point::count("contract_creation_errors", &labels)], || {
        error!(category = CATEGORY, event = "contract_creation_failed", reason, "contract creation failed");
    });
}

/// A contract was signed. `took` is the time from opening it to the signature.
pub fn track_contract_signing<'a>(took: Duration, role: impl Into<Role<'a>>) {
    let (role, took) = (role.into().as_str(), millis(took));
    let labels = [("role", role)];
    let points = [Point::count("contracts_signed", &labels), Point::value("contract_signing_duration", took, &labels)];
    count_with_record(&points, || {
        info!(
            category = CATEGORY,
            event = "contract_signed",
            user_role = role,
            signing_duration_ms = took,
            "contract signed"
        );
    });
}

/// A document of a type (`passport`, `cadastral_plan`) was uploaded.
pub fn track_document_upload(size_megabytes: f64, document_type: &str) {
    let labels = [("type", document_type)];
    let points = [Point::count("documents_uploaded", &labels), Point::value("document_size", size_megabytes, &labels)];
    count_with_record(&points, || {
        info!(
            category = CATEGORY,
            event = "document_uploaded",
            document_type,
            file_size_mb = size_megabytes,
            "document uploaded"
        );
    });
}

/// A request was answered, or a service outside of the platform was called: [`log_api_call`] with its metrics.
pub fn track_api_request(call: &ApiCall<'_>) {
    let mut scratch = String::new();
    let endpoint = endpoint::template(call.path(), &mut scratch);
    let (status, took) = (call.status_code.to_string(), millis(call.duration));
    let record = || log_api_call(call);
    match call.direction {
        Direction::Inbound => {
            let labels = [("endpoint", endpoint), ("method", call.method), ("status_code", &*status)];
            let points =
                [Point::count("api_requests", &labels), Point::value("api_request_duration", took, &labels[..2])];
            count_with_record(&points, record);
        }
        Direction::Outbound { service } => {
            let labels = [("external_service", service), ("endpoint", endpoint), ("status_code", &*status)];
            let points = [
                Point::count("external_api_calls", &labels),
                Point::value("external_api_duration", took, &labels[..2]),
            ];
            count_with_record(&points, record);
        }
    }
}

/// A service outside of the platform was called, and has answered: [`track_api_request`] in this direction. Of
/// `target`, a path or URL, only the path without its ids is told.
pub fn track_external_api_call(service: &str, method: &str, target: &str, status_code: u16, duration: Duration) {
    let direction = Direction::Outbound { service };
    track_api_request(&ApiCall { direction, method, endpoint: target, status_code, duration });
}

/// A query was made: [`log_database_query`] with its metrics.
pub fn track_database_query(query: &DatabaseQuery<'_>) {
    let DatabaseQuery { query_type, table, duration, rows_affected } = *query;
    count_query(query_type, table, duration, rows_affected, || log_database_query(query));
}

/// Counts a query whose record `emit` writes.
pub(crate) fn count_query(
    query_type: &str,
    table: &str,
    duration: Duration,
    rows_affected: Option<u64>,
    emit: impl FnOnce(),
) {
    // As the pipeline calls a query of no table.
    let table = if table.trim().is_empty() { "none" } else { table };
    let labels = [("query_type", query_type), ("table", table)];
    let mut points = vec![Point::value("database_query_duration", millis(duration), &labels)];
    points.extend(rows_affected.map(|rows| Point::value("database_rows_affected", rows as f64, &labels)));
    count_with_record(&points, emit);
}

/// A user's session ended. The user is named in the record only.
pub fn track_user_session(user_id: &str, length: Duration) {
    let minutes = length.as_secs_f64() / 60.0;
    count_with_record(&[Point::value("user_session_duration", minutes, &[])], || {
        info!(
            category = CATEGORY,
            event = "session_ended",
            user_id,
            session_duration_minutes = minutes,
            "session ended"
        );
    });
}

/// What of its machine this service uses, each in percent (0 to 100).
pub fn track_system_resources(cpu_percent: f64, memory_percent: f64, disk_percent: f64) {
    count_with_record(&resources(cpu_percent, memory_percent, disk_percent, &[]), || {
        info!(
            category = "performance",
            cpu_usage = cpu_percent,
            memory_usage = memory_percent,
            disk_usage = disk_percent,
            "system resources"
        );
    });
}

/// The same of another service, which this one watches.
pub fn track_system_resources_of(service: &str, cpu_percent: f64, memory_percent: f64, disk_percent: f64) {
    let labels = [("service", service)];
    // The pipeline would take them for this service's own.
    count_beside_record(&resources(cpu_percent, memory_percent, disk_percent, &labels), || {
        info!(
            category = "performance",
            service,
            cpu_usage = cpu_percent,
            memory_usage = memory_percent,
            disk_usage = disk_percent,
            "system resources"
        );
    });
}

fn resources<'a>(cpu: f64, memory: f64, disk: f64, labels: &'a [(&'a str, &'a str)]) -> [Point<'a>; 3] {
    [("cpu_usage_percent", cpu), ("memory_usage_percent", memory), ("disk_usage_percent", disk)]
        .map(|(name, percent)| Point::level(name, percent, labels))
}

/// How the business does: users active now, contracts since midnight, and visitors who end up with a contract, in
/// percent (0 to 100).
pub fn track_business_kpi(active_users: u64, daily_contracts: u64, conversion_percent: f64) {
    let points = [
        Point::level("active_users", active_users as f64, &[]),
        Point::level("daily_contracts", daily_contracts as f64, &[]),
        Point::level("conversion_rate", conversion_percent, &[]),
    ];
    count_with_record(&points, || {
        info!(
            category = CATEGORY,
            active_users,
            daily_contracts,
            conversion_rate = conversion_percent,
            "business figures"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Source;
    use crate::testing::{lines_of, settings, text_of};
    use crate::{Settings, parse_levels};
    use domain::logs::pipeline::Outcome;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    const TOOK: Duration = Duration::from_micros(12_500);

    /// One of each.
    fn everything() {
        track_user_registration(Role::Seller);
        track_contract_creation(2.5e6, "buyer");
        track_contract_creation_failed("registry_timeout");
        track_contract_signing(Duration::from_secs(90), "surveyor");
        track_document_upload(1.5, "passport");
        let call = ApiCall {
            direction: Direction::Inbound,
            method: "GET",
            endpoint: "/contracts/4711?token=x",
            status_code: 200,
            duration: TOOK,
        };
        track_api_request(&call);
        track_external_api_call("rosreestr", "GET", "https://host/v1/parcels", 503, TOOK);
        let query = DatabaseQuery { query_type: "SELECT", table: "contracts", duration: TOOK, rows_affected: Some(3) };
        track_database_query(&query);
        track_database_query(&DatabaseQuery { query_type: "BEGIN", table: "", rows_affected: None, ..query });
        track_user_session("u-7", Duration::from_secs(90));
        track_system_resources(7.5, 50.0, 80.0);
        track_system_resources_of("database", 10.0, 20.0, 30.0);
        track_business_kpi(12, 3, 3.5);
    }

    /// What is told by them, as `name{dimension=value,...}` of the registry's dimensions, with counts and sums.
    fn expected() -> BTreeMap<String, (u64, f64)> {
        let of = |name: &str, dimensions: &str, count: u64, sum: f64| {
            let service = if name.starts_with("active") || name.starts_with("daily") || name.starts_with("conversion") {
                ""
            } else {
                "service=contract"
            };
            let all: Vec<&str> = [dimensions, service].into_iter().filter(|part| !part.is_empty()).collect();
            (format!("{name}{{{}}}", all.join(",")), (count, sum))
        };
        [
            of("user_registrations", "role=seller", 1, 1.0),
            of("contracts_created", "role=buyer", 1, 1.0),
            of("contract_value", "role=buyer", 1, 2.5e6),
            of("contract_creation_errors", "reason=registry_timeout", 1, 1.0),
            of("contracts_signed", "role=surveyor", 1, 1.0),
            of("contract_signing_duration", "role=surveyor", 1, 90_000.0),
            ("documents_uploaded{service=contract,type=passport}".to_owned(), (1, 1.0)),
            ("document_size{service=contract,type=passport}".to_owned(), (1, 1.5)),
            ("api_requests{endpoint=/contracts/{id},method=GET,service=contract,status_code=200}".to_owned(), (1, 1.0)),
            of("api_request_duration", "endpoint=/contracts/{id},method=GET", 1, 12.5),
            (
                "external_api_calls{endpoint=/v1/parcels,external_service=rosreestr,service=contract,status_code=503}"
                    .to_owned(),
                (1, 1.0),
            ),
            of("external_api_duration", "endpoint=/v1/parcels,external_service=rosreestr", 1, 12.5),
            ("database_query_duration{query_type=SELECT,service=contract,table=contracts}".to_owned(), (1, 12.5)),
            ("database_rows_affected{query_type=SELECT,service=contract,table=contracts}".to_owned(), (1, 3.0)),
            ("database_query_duration{query_type=BEGIN,service=contract,table=none}".to_owned(), (1, 12.5)),
            of("user_session_duration", "", 1, 1.5),
            of("cpu_usage_percent", "", 1, 7.5),
            of("memory_usage_percent", "", 1, 50.0),
            of("disk_usage_percent", "", 1, 80.0),
            ("cpu_usage_percent{service=database}".to_owned(), (1, 10.0)),
            ("memory_usage_percent{service=database}".to_owned(), (1, 20.0)),
            ("disk_usage_percent{service=database}".to_owned(), (1, 30.0)),
            of("active_users", "", 1, 12.0),
            of("daily_contracts", "", 1, 3.0),
            of("conversion_rate", "", 1, 3.5),
        ]
        .into()
    }

    /// What lines tell in the embedded metric format.
    fn told(lines: &[Value]) -> BTreeMap<String, (u64, f64)> {
        let mut told = BTreeMap::<String, (u64, f64)>::new();
        for line in lines {
            let directives = line["_aws"]["CloudWatchMetrics"].as_array().cloned().unwrap_or_default();
            for directive in directives {
                for metric in directive["Metrics"].as_array().unwrap() {
                    let name = metric["Name"].as_str().unwrap();
                    let definition = schema::registry::find(name).unwrap();
                    assert_eq!(metric["Unit"], definition.unit.as_str());
                    assert_eq!(directive["Dimensions"], json!(definition.sets), "{name}");
                    let mut dimensions: Vec<String> = definition
                        .dimensions
                        .iter()
                        .map(|name| format!("{name}={}", line[*name].as_str().unwrap()))
                        .collect();
                    dimensions.sort();
                    let entry = told.entry(format!("{name}{{{}}}", dimensions.join(","))).or_default();
                    entry.0 += 1;
                    entry.1 += line[name].as_f64().unwrap();
                }
            }
        }
        told
    }

    /// What the pipeline counts of lines: what it derives, and what they bring along.
    fn counted(lines: &[Value]) -> BTreeMap<String, (u64, f64)> {
        let texts: Vec<String> = lines.iter().map(Value::to_string).collect();
        let at =
            |line: &Value| line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let events: Vec<(i64, &str)> = lines.iter().zip(&texts).map(|(line, text)| (at(line), text.as_str())).collect();
        let event = testkit::subscription::delivery("/aws/ecs/production/contract", "stream", &events);
        let Outcome::Batch(processed) = testkit::pipeline::process(&event.to_string()) else { panic!("no batch") };
        assert!(processed.quarantine.is_empty());
        let pending: Value = serde_json::from_slice(&processed.pending.unwrap().body).unwrap();
        let mut counted = BTreeMap::<String, (u64, f64)>::new();
        let sets = ["minutes", "extracted"].into_iter().filter_map(|kind| pending[kind].as_object());
        for series in sets.flat_map(|minutes| minutes.values()).flat_map(|set| set.as_array().unwrap()) {
            let name = series["name"].as_str().unwrap();
            let dimensions: Vec<String> = series["dimensions"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
                .collect();
            let entry = counted.entry(format!("{name}{{{}}}", dimensions.join(","))).or_default();
            entry.0 += series["count"].as_u64().unwrap();
            entry.1 += series["sum"].as_f64().unwrap();
        }
        counted.retain(|name, _| {
            !name.starts_with("pipeline_lines")
                && !name.starts_with("pipeline_bytes")
                && !name.starts_with("log_entries")
        });
        counted
    }

    /// In every way of counting, and whatever is written of the records.
    fn configurations() -> Vec<(&'static str, Settings)> {
        let mut all = Vec::new();
        for (name, source) in [("emf", Source::Emf), ("derived", Source::Derived)] {
            for (levels, hold_bytes) in [("debug", 0), ("info", 0), ("info", 100_000), ("error", 0), ("off", 0)] {
                let mut settings = Settings { levels: parse_levels(levels).unwrap(), metrics: source, ..settings() };
                settings.debug.hold_bytes = hold_bytes;
                all.push((name, settings));
            }
        }
        all
    }

    #[test]
    fn a_call_is_counted_once_whoever_counts_and_whatever_is_logged() {
        for (name, settings) in configurations() {
            let case = format!("{name}, {}, {} held", settings.levels, settings.debug.hold_bytes);
            // In a request, so that its DEBUG lines can be held back and, since an error comes last, are written.
            let lines = lines_of(settings, |_| {
                crate::RequestScope::new("r-1").in_scope(|| {
                    everything();
                    tracing::error!("the end");
                });
            });
            assert_eq!(counted(&lines), expected(), "{case}");
        }
    }

    #[test]
    fn a_record_and_its_metrics_are_one_line_with_the_sets_of_the_registry() {
        let lines = lines_of(Settings { levels: parse_levels("debug").unwrap(), ..settings() }, |_| everything());
        assert_eq!(lines.len(), 13, "no line but those of the records");
        assert_eq!(told(&lines), expected());
        let line = &lines[1];
        assert_eq!((&line["details"]["event"], &line["contracts_created"]), (&json!("contract_created"), &json!(1)));
        assert_eq!(line["message"], "contract created");
    }

    #[test]
    fn where_the_pipeline_counts_lines_bring_nothing_along() {
        let settings = Settings { levels: parse_levels("debug").unwrap(), metrics: Source::Derived, ..settings() };
        let text = text_of(settings, |_| everything());
        // But for what it would take for this service's own.
        let brought = text.lines().filter(|line| line.contains("_aws")).collect::<Vec<_>>();
        assert_eq!((text.lines().count(), brought.len()), (13, 1));
        assert!(brought[0].contains("\"service\":\"database\""));
    }

    #[test]
    fn a_failure_is_an_error_of_the_business() {
        let lines = lines_of(settings(), |_| track_contract_creation_failed("validation"));
        assert_eq!((&lines[0]["level"], &lines[0]["category"]), (&json!("ERROR"), &json!("business_logic")));
    }

    #[test]
    fn a_session_names_its_user_in_the_record_only() {
        // Defect 43: the user was given and not used.
        let line = &lines_of(settings(), |_| track_user_session("u-7", Duration::from_secs(60)))[0];
        assert_eq!((&line["context"]["user_id"], &line["user_session_duration"]), (&json!("u-7"), &json!(1)));
        assert!(line.get("user_id").is_none());
    }

    #[test]
    fn a_value_that_is_none_is_refused_and_the_rest_is_counted() {
        let lines = lines_of(settings(), |_| track_contract_creation(f64::NAN, "buyer"));
        assert_eq!((&lines[0]["contracts_created"], lines[0].get("contract_value")), (&json!(1), None));
        assert_eq!(lines[1]["telemetry_values_refused"], 1);
    }
}
