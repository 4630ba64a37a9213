//! One log line of schema v1.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::Level;

/// Where a request's ids go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub request_id: Option<String>,
    pub user_id: Option<String>,
    pub session_id: Option<String>,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
}

/// What an event said.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub message: String,
    pub category: Option<String>,
    pub error: Option<Value>,
    pub duration_ms: Option<f64>,
    pub details: Map<String, Value>,
}

/// The level's name in schema v1, which has no TRACE.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// The line, with its line feed. Fields come in the order of the schema; text is UTF-8, not escapes.
pub(crate) fn render(
    at: Timestamp,
    level: Level,
    service: (&str, &str, &str),
    scope: &Scope,
    fields: Fields,
) -> String {
    let (name, environment, version) = service;
    let mut line = String::with_capacity(512);
    let mut field = |name: &str, value: Value| {
        line.push(if line.is_empty() { '{' } else { ',' });
        line.push_str(&format!("\"{name}\":{value}"));
    };
    field("timestamp", json!(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()));
    field("level", json!(level_name(level)));
    field("category", json!(fields.category.as_deref().unwrap_or("system")));
    field("message", json!(fields.message));
    field(
        "context",
        json!({
            "request_id": scope.request_id,
            "user_id": scope.user_id,
            "session_id": scope.session_id,
            "service_name": name,
            "environment": environment,
            "version": version,
            "trace_id": scope.trace_id,
            "span_id": scope.span_id,
        }),
    );
    if !fields.details.is_empty() {
        field("details", Value::Object(fields.details));
    }
    if let Some(error) = fields.error {
        field("error", error);
    }
    if let Some(duration) = fields.duration_ms {
        field("duration_ms", json!(duration));
    }
    line.push_str("}\n");
    line
}
