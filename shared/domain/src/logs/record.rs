//! A log record: schema v1 (the source document's `LogEntry`), with what is unknown kept beside.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// For developers.
    Debug,
    /// Normal work.
    Info,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
    /// The service can not do its work.
    Critical,
}

impl Level {
    /// Reads any of the usual names, in any case, also as Python prints the source document's enum
    /// (`LogLevel.ERROR`).
    pub fn parse(text: &str) -> Option<Level> {
        let name = text.trim();
        let name = name.strip_prefix("LogLevel.").unwrap_or(name);
        const NAMES: [(&str, Level); 15] = [
            ("TRACE", Level::Debug),
            ("DEBUG", Level::Debug),
            ("INFO", Level::Info),
            ("INFORMATION", Level::Info),
            ("NOTICE", Level::Info),
            ("LOG", Level::Info),
            ("WARN", Level::Warning),
            ("WARNING", Level::Warning),
            ("ERR", Level::Error),
            ("ERROR", Level::Error),
            ("CRIT", Level::Critical),
            ("CRITICAL", Level::Critical),
            ("FATAL", Level::Critical),
            ("PANIC", Level::Critical),
            ("EMERG", Level::Critical),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// Reads the numbers of Bunyan and Pino: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal.
    pub fn of_number(number: f64) -> Option<Level> {
        match number {
            10.0 | 20.0 => Some(Level::Debug),
            30.0 => Some(Level::Info),
            40.0 => Some(Level::Warning),
            50.0 => Some(Level::Error),
            60.0 => Some(Level::Critical),
            _ => None,
        }
    }

    /// Its name in schema v1.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Critical => "CRITICAL",
        }
    }
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Who somebody is.
    Authentication,
    /// What somebody may do.
    Authorization,
    /// Contracts, documents, users.
    BusinessLogic,
    /// Queries.
    Database,
    /// Calls to others.
    ExternalApi,
    /// Durations.
    Performance,
    /// Attacks and what looks like them.
    Security,
    /// Everything else.
    System,
    /// Who did what, for the record.
    Audit,
}

impl Category {
    /// Reads the names of schema v1, also as Python prints the source document's enum
    /// (`LogCategory.EXTERNAL_API`).
    pub fn parse(text: &str) -> Option<Category> {
        let name = text.strip_prefix("LogCategory.").unwrap_or(text).to_ascii_lowercase();
        Some(match name.as_str() {
            "authentication" => Category::Authentication,
            "authorization" => Category::Authorization,
            "business_logic" => Category::BusinessLogic,
            "database" => Category::Database,
            "external_api" => Category::ExternalApi,
            "performance" => Category::Performance,
            "security" => Category::Security,
            "system" => Category::System,
            "audit" => Category::Audit,
            _ => return None,
        })
    }
}

/// The request that a line belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Context {
    /// Id of the request.
    pub request_id: Option<String>,
    /// Who asked.
    pub user_id: Option<String>,
    /// In which session.
    pub session_id: Option<String>,
    /// Which service writes.
    pub service_name: Option<String>,
    /// Where it runs.
    pub environment: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Trace, as X-Ray writes it.
    pub trace_id: Option<String>,
    /// Span in the trace.
    pub span_id: Option<String>,
}

/// How a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON of schema v1.
    SchemaV1,
    /// The source document's own Python output.
    Python,
    /// CloudWatch's embedded metric format.
    Emf,
    /// Any other JSON object.
    Json,
    /// PostgreSQL's server log with the prefix of RDS.
    Postgresql,
    /// Anything else.
    Raw,
}

/// Where a line came from: with the event id, enough to find it again in CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Account id.
    pub owner: String,
    /// Log group.
    pub log_group: String,
    /// Log stream.
    pub log_stream: String,
    /// CloudWatch's id of the log event.
    pub event_id: String,
    /// CloudWatch's time of it.
    pub event_time: Timestamp,
    /// How the line was written.
    pub format: Format,
}

/// One log record, in the order in which it is archived.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// When it was written, by its writer; the event time where it does not say.
    pub timestamp: Timestamp,
    /// How grave it is.
    pub level: Level,
    /// What it is about.
    pub category: Category,
    /// The text.
    pub message: String,
    /// The request it belongs to.
    pub context: Context,
    /// Whatever else its writer knew.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// `type`, `message` and `traceback` of an error.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub error: Map<String, Value>,
    /// How long what it speaks of took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Fields that schema v1 does not know, and values that it does not allow.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Where it came from.
    pub source: Source,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_every_dialect_writes_them() {
        for (text, level) in [
            ("ERROR", Some(Level::Error)),
            ("LogLevel.ERROR", Some(Level::Error)),
            ("warn", Some(Level::Warning)),
            ("Fatal", Some(Level::Critical)),
            ("trace", Some(Level::Debug)),
            ("LogLevel.", None),
            ("loud", None),
        ] {
            assert_eq!(Level::parse(text), level, "{text}");
        }
        assert_eq!(Level::of_number(50.0), Some(Level::Error));
        assert_eq!(Level::of_number(35.0), None);
    }

    #[test]
    fn categories_are_read_by_value_and_by_enum_name() {
        assert_eq!(Category::parse("external_api"), Some(Category::ExternalApi));
        assert_eq!(Category::parse("LogCategory.EXTERNAL_API"), Some(Category::ExternalApi));
        assert_eq!(Category::parse("gossip"), None);
    }
}
