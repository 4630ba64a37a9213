//! One log line of schema v1.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::Level;

use crate::Service;

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
pub(crate) fn render(at: Timestamp, level: Level, service: &Service<'_>, scope: &Scope, fields: &Fields) -> String {
    let line = Line {
        timestamp: at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        level: level_name(level),
        category: fields.category.as_deref().unwrap_or("system"),
        message: &fields.message,
        context: Context {
            request_id: scope.request_id.as_deref(),
            user_id: scope.user_id.as_deref(),
            session_id: scope.session_id.as_deref(),
            service_name: service.name,
            environment: service.environment,
            version: service.version,
            trace_id: scope.trace_id.as_deref(),
            span_id: scope.span_id.as_deref(),
        },
        details: &fields.details,
        error: fields.error.as_ref(),
        duration_ms: fields.duration_ms,
    };
    let mut text = serde_json::to_string(&line).expect("texts, numbers and maps with text keys always serialise");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    category: &'a str,
    message: &'a str,
    context: Context<'a>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
}

#[derive(Serialize)]
struct Context<'a> {
    request_id: Option<&'a str>,
    user_id: Option<&'a str>,
    session_id: Option<&'a str>,
    service_name: &'a str,
    environment: &'a str,
    version: &'a str,
    trace_id: Option<&'a str>,
    span_id: Option<&'a str>,
}
