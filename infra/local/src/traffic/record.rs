//! Log records as services write them: schema v1, and the source document's own Python logger.

use std::borrow::Cow;

pub use schema::{Category, Level};

use super::json::{Object, Style, Value};
use super::service::Service;
use super::visit::Visit;

/// An error with its traceback.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// Its class.
    pub kind: &'static str,
    /// What it says.
    pub message: &'static str,
    /// Where it was, over several lines.
    pub traceback: &'static str,
}

/// One record, before it is written in a dialect.
pub struct Record {
    level: Level,
    category: Category,
    message: Cow<'static, str>,
    details: Vec<(&'static str, Value)>,
    error: Option<Failure>,
    duration_ms: Option<Value>,
}

impl Record {
    /// A record without details.
    pub fn new(level: Level, category: Category, message: impl Into<Cow<'static, str>>) -> Record {
        Record { level, category, message: message.into(), details: Vec::new(), error: None, duration_ms: None }
    }

    /// With one more detail.
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Record {
        self.details.push((key, value.into()));
        self
    }

    /// With the error that caused it.
    pub fn because(mut self, failure: Failure) -> Record {
        self.error = Some(failure);
        self
    }

    /// With the time that it took.
    pub fn took(mut self, duration_ms: f64) -> Record {
        self.duration_ms = Some(duration_ms.into());
        self
    }

    /// The line as `service` writes it at `timestamp`.
    pub fn line(&self, service: Service, version: &str, visit: &Visit, timestamp: &str) -> String {
        let style = if service == Service::Document { Style::Python } else { Style::Compact };
        // `str()` of a Python enum member is `Class.MEMBER`: the name, not the value.
        let (level, category) = match style {
            Style::Compact => (self.level.as_str().to_owned(), self.category.as_str().to_owned()),
            Style::Python => {
                let member = self.category.as_str().to_uppercase();
                (format!("LogLevel.{}", self.level.as_str()), format!("LogCategory.{member}"))
            }
        };
        let object = Object::new(style)
            .text("timestamp", timestamp)
            .text("level", &level)
            .text("category", &category)
            .text("message", &self.message)
            .object("context", context(style, service, version, visit));
        self.close(object, style)
    }

    fn close(&self, mut object: Object, style: Style) -> String {
        object = if self.details.is_empty() {
            object.absent("details")
        } else {
            let details =
                self.details.iter().fold(Object::new(style), |details, (key, value)| details.value(key, value));
            object.object("details", details)
        };
        object = match self.error {
            Some(error) => object.object("error", failure(style, error)),
            None => object.absent("error"),
        };
        object = match &self.duration_ms {
            Some(duration) => object.value("duration_ms", duration),
            None => object.absent("duration_ms"),
        };
        object.close()
    }
}

fn context(style: Style, service: Service, version: &str, visit: &Visit) -> Object {
    let user_id = visit.user.map(|number| format!("user-{number}"));
    Object::new(style)
        .text("request_id", &visit.request_id)
        .optional("user_id", user_id.as_deref())
        .optional("session_id", visit.session_id.as_deref())
        .text("service_name", service.name())
        .text("environment", "production")
        .text("version", version)
        .optional("trace_id", visit.trace_id.as_deref())
        .optional("span_id", visit.span_id(service).as_deref())
}

fn failure(style: Style, failure: Failure) -> Object {
    Object::new(style).text("type", failure.kind).text("message", failure.message).text("traceback", failure.traceback)
}
