//! What a message about an alert brings along, so that nobody has to look it up first.

use serde_json::Value;

use super::pattern::Pattern;

/// What a message brings along beside value, condition and runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Lines of the archive, of the alert's service and window.
    pub logs: Option<LogEvidence>,
    /// How many ids of traces of such lines; 0 to 5.
    pub traces: usize,
    /// How many minutes the chart shows; `None`: no chart.
    pub chart: Option<i64>,
}

/// Lines of the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEvidence {
    /// Which lines.
    pub filter: LogFilter,
    /// How many at most; 1 to 5.
    pub limit: usize,
}

/// Which lines: all terms have to hold. Without terms every line passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// The terms.
    pub terms: Vec<Term>,
}

/// `category="business_logic"`, `details.reason!="timeout"`, `message=~"Payment*"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The field; dots lead into objects.
    pub field: Vec<String>,
    /// What its value has to be, or must not be.
    pub pattern: Pattern,
    /// Whether it must not be. A line without the field passes then.
    pub negated: bool,
}

impl LogFilter {
    /// Whether an archived line (schema v1) passes. Numbers and booleans are compared as they are written.
    pub fn matches(&self, line: &Value) -> bool {
        self.terms.iter().all(|term| term.matches(line))
    }
}

impl Term {
    fn matches(&self, line: &Value) -> bool {
        let value = self.field.iter().try_fold(line, |value, name| value.get(name));
        let is_so = value.is_some_and(|value| match value {
            Value::String(text) => self.pattern.matches(text),
            Value::Number(_) | Value::Bool(_) => self.pattern.matches(&value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        });
        is_so != self.negated
    }
}
