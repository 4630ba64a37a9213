//! Lines of a kind, with the fields by which the pipeline knows them and derives their metrics.
//!
//! Fields go to `details` under the names of the table in the pipeline's `logs/derive.rs`.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use schema::Category;

use crate::metrics::millis;

/// An event of a level that is known at run time only.
macro_rules! at_level {
    ($level:expr, $($fields:tt)+) => {
        match $level {
            schema::Level::Error | schema::Level::Critical => error!($($fields)+),
            schema::Level::Warning => warn!($($fields)+),
            schema::Level::Info => info!($($fields)+),
            schema::Level::Debug => debug!($($fields)+),
        }
    };
}

/// An ERROR that is a CRITICAL: the service can not do its work. Takes fields and message like `tracing::error!`.
///
/// ```
/// telemetry::critical!(category = "database", "no connection left");
/// ```
#[macro_export]
macro_rules! critical {
    (target: $target:expr, parent: $parent:expr, $($fields:tt)+) => {
        $crate::tracing::error!(target: $target, parent: $parent, critical = true, $($fields)+)
    };
    (target: $target:expr, $($fields:tt)+) => {
        $crate::tracing::error!(target: $target, critical = true, $($fields)+)
    };
    (parent: $parent:expr, $($fields:tt)+) => {
        $crate::tracing::error!(parent: $parent, critical = true, $($fields)+)
    };
    ($($fields:tt)+) => {
        $crate::tracing::error!(critical = true, $($fields)+)
    };
}

/// Logs how long an operation took: INFO, category `performance`.
pub fn log_performance(operation: &str, duration: Duration) {
    info!(category = Category::Performance.as_str(), operation, duration_ms = millis(duration), "operation");
}

/// Whose call it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction<'a> {
    /// Somebody called this service.
    Inbound,
    /// This service called another, outside of the platform.
    Outbound {
        /// Which: a short name, that becomes a dimension of metrics.
        service: &'a str,
    },
}

/// A request that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiCall<'a> {
    /// Who called whom.
    pub direction: Direction<'a>,
    /// HTTP method.
    pub method: &'a str,
    /// The template of the route where that is known (`/contracts/{id}`), or a path, or a URL. Of a URL only the path
    /// is logged: never a query, a fragment, or who signs in.
    pub endpoint: &'a str,
    /// HTTP status.
    pub status_code: u16,
    /// From the request to its answer.
    pub duration: Duration,
}

impl ApiCall<'_> {
    /// 5xx is an ERROR, 4xx a WARNING.
    pub fn level(&self) -> schema::Level {
        match self.status_code {
            500.. => schema::Level::Error,
            400.. => schema::Level::Warning,
            _ => schema::Level::Info,
        }
    }

    /// `external_api` of a call to others. Of a call that was answered: `authentication` where the caller was
    /// unknown (401), `authorization` where it was not allowed (403), `system` otherwise.
    pub fn category(&self) -> Category {
        match (self.direction, self.status_code) {
            (Direction::Outbound { .. }, _) => Category::ExternalApi,
            (Direction::Inbound, 401) => Category::Authentication,
            (Direction::Inbound, 403) => Category::Authorization,
            (Direction::Inbound, _) => Category::System,
        }
    }

    /// The path, as it is logged.
    pub fn path(&self) -> &str {
        path_of(self.endpoint)
    }
}

/// Logs a request, with level and category by its direction and status.
pub fn log_api_call(call: &ApiCall<'_>) {
    let ApiCall { direction, method, endpoint: _, status_code, duration } = *call;
    let service = match direction {
        Direction::Inbound => None,
        Direction::Outbound { service } => Some(service),
    };
    at_level!(
        call.level(),
        category = call.category().as_str(),
        service,
        method,
        endpoint = call.path(),
        status_code,
        duration_ms = millis(duration),
        "api call"
    );
}

/// A URL without what may be secret in it, and without its host.
fn path_of(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    if scheme.contains('/') {
        // A path that has a URL in it.
        return url;
    }
    rest.find('/').map_or("/", |path| &rest[path..])
}

/// A query that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseQuery<'a> {
    /// SELECT, INSERT, ...
    pub query_type: &'a str,
    /// The table, where it is one.
    pub table: &'a str,
    /// Until the last row was read.
    pub duration: Duration,
    /// Rows returned or changed, where that is known.
    pub rows_affected: Option<u64>,
}

/// Logs a query: DEBUG, category `database`.
pub fn log_database_query(query: &DatabaseQuery<'_>) {
    let DatabaseQuery { query_type, table, duration, rows_affected } = *query;
    let category = Category::Database.as_str();
    debug!(category, query_type, table, rows_affected, duration_ms = millis(duration), "database query");
}

/// Something that may be an attack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecurityEvent<'a> {
    /// What: `failed_login`, `permission_denied`, ...; a dimension of metrics.
    pub event_type: &'a str,
    /// Of whom; the scope's user where it is `None`.
    pub user_id: Option<&'a str>,
    /// From where.
    pub ip_address: Option<&'a str>,
    /// With what.
    pub user_agent: Option<&'a str>,
}

/// Logs a security event: WARNING, category `security`.
pub fn log_security_event(event: &SecurityEvent<'_>) {
    let SecurityEvent { event_type, user_id, ip_address, user_agent } = *event;
    let category = Category::Security.as_str();
    warn!(category, event_type, user_id, ip_address, user_agent, "security event");
}

/// How it ended, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It could not be done.
    Failure,
    /// It was not allowed.
    Denied,
}

impl Outcome {
    /// Its name in a line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Denied => "denied",
        }
    }
}

/// Who did what, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditEvent<'a> {
    /// Who: the id of a user or a service.
    pub actor: &'a str,
    /// What: `contract.sign`, `user.export`, ...
    pub action: &'a str,
    /// On what: the kind and id of it (`contract/4711`).
    pub object: &'a str,
    /// How it ended.
    pub outcome: Outcome,
}

/// Logs an audit event: INFO, category `audit`; WARNING where it was not allowed. Sampling and buffering never touch
/// it, but the level does: a service that keeps a record of what is done must log at `info` or below.
pub fn log_audit_event(event: &AuditEvent<'_>) {
    let AuditEvent { actor, action, object, outcome } = *event;
    let level = if outcome == Outcome::Denied { schema::Level::Warning } else { schema::Level::Info };
    let (category, outcome) = (Category::Audit.as_str(), outcome.as_str());
    at_level!(level, category, user_id = actor, actor, action, object, outcome, "audit event");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{events_of, settings};
    use crate::{Settings, parse_levels};
    use serde_json::{Value, json};

    fn all(work: impl FnOnce()) -> Vec<Value> {
        events_of(Settings { levels: parse_levels("debug").unwrap(), ..settings() }, |_| work())
    }

    const TOOK: Duration = Duration::from_micros(12_345);

    #[test]
    fn a_call_has_level_and_category_by_direction_and_status_and_never_its_query() {
        // Defect 28: calls were EXTERNAL_API at INFO whoever called and whatever came of it, with the query.
        let outbound = Direction::Outbound { service: "egrn" };
        for (direction, status_code, level, category) in [
            (Direction::Inbound, 200, "INFO", "system"),
            (Direction::Inbound, 404, "WARNING", "system"),
            (Direction::Inbound, 401, "WARNING", "authentication"),
            (Direction::Inbound, 403, "WARNING", "authorization"),
            (Direction::Inbound, 503, "ERROR", "system"),
            (outbound, 201, "INFO", "external_api"),
            (outbound, 403, "WARNING", "external_api"),
            (outbound, 500, "ERROR", "external_api"),
        ] {
            let endpoint = "https://user:pass@host/contracts/4711?token=x#y";
            let line =
                &all(|| log_api_call(&ApiCall { direction, method: "GET", endpoint, status_code, duration: TOOK }))[0];
            assert_eq!((&line["level"], &line["category"]), (&json!(level), &json!(category)), "{status_code}");
            let mut details = json!({ "method": "GET", "endpoint": "/contracts/4711", "status_code": status_code });
            if let Direction::Outbound { service } = direction {
                details["service"] = json!(service);
            }
            assert_eq!((&line["details"], &line["duration_ms"]), (&details, &json!(12.345)));
        }
    }

    #[test]
    fn of_a_url_only_the_path_is_left() {
        for (url, path) in [
            ("/a/b?c=d", "/a/b"),
            ("/a#b?c", "/a"),
            ("https://h:1?x", "/"),
            ("http://u@h/a", "/a"),
            ("/go/https://h/a?b", "/go/https://h/a"),
            ("", ""),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }

    #[test]
    fn the_other_kinds_have_the_fields_that_metrics_are_derived_from() {
        let lines = all(|| {
            log_performance("export", TOOK);
            log_database_query(&DatabaseQuery {
                query_type: "SELECT",
                table: "plots",
                duration: TOOK,
                rows_affected: Some(3),
            });
            log_database_query(&DatabaseQuery { query_type: "BEGIN", table: "", duration: TOOK, rows_affected: None });
            log_security_event(&SecurityEvent {
                event_type: "failed_login",
                user_id: Some("u-1"),
                ip_address: Some("10.0.0.1"),
                user_agent: None,
            });
            critical!(category = "database", free = 0, "no {}", "connection");
        });
        let seen = |line: &Value| {
            json!([line["level"], line["category"], line["details"], line["duration_ms"], line["context"]["user_id"]])
        };
        for (line, expected) in lines.iter().zip([
            json!(["INFO", "performance", { "operation": "export" }, 12.345, null]),
            json!(["DEBUG", "database", { "query_type": "SELECT", "table": "plots", "rows_affected": 3 }, 12.345, null]),
            json!(["DEBUG", "database", { "query_type": "BEGIN", "table": "" }, 12.345, null]),
            json!(["WARNING", "security", { "event_type": "failed_login", "ip_address": "10.0.0.1" }, null, "u-1"]),
            json!(["CRITICAL", "database", { "free": 0 }, null, null]),
        ]) {
            assert_eq!(seen(line), expected);
        }
        assert_eq!(lines[4]["message"], "no connection");
    }

    #[test]
    fn who_did_what_is_an_audit_event() {
        // Defect 29: there was no audit category, and security events were INFO.
        for (outcome, name, level) in [
            (Outcome::Success, "success", "INFO"),
            (Outcome::Failure, "failure", "INFO"),
            (Outcome::Denied, "denied", "WARNING"),
        ] {
            let event = AuditEvent { actor: "u-1", action: "contract.sign", object: "contract/4711", outcome };
            let line = &all(|| log_audit_event(&event))[0];
            assert_eq!((&line["level"], &line["category"]), (&json!(level), &json!("audit")));
            let details =
                json!({ "actor": "u-1", "action": "contract.sign", "object": "contract/4711", "outcome": name });
            assert_eq!((&line["details"], &line["context"]["user_id"]), (&details, &json!("u-1")));
        }
    }
}
