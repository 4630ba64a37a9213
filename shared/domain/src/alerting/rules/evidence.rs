//! What a message about an alert brings along, so that nobody has to look it up first.

use serde_json::Value;

use super::pattern::Pattern;
use super::words::{InvalidText, Words};

/// Fields of an archived line. What is in `details`, `error`, `span` and `extra` is each writer's own.
pub const FIELDS: &[&str] = &[
    "timestamp",
    "level",
    "category",
    "message",
    "context",
    "details",
    "error",
    "duration_ms",
    "span",
    "extra",
    "source",
];

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
    /// Parses terms joined by `and`: `field="value"`, `field!="value"`, and `=~` or `!~` with `"prefix*"`.
    pub fn parse(text: &str) -> Result<LogFilter, InvalidText> {
        let mut words = Words::new(text, "a filter of lines");
        let mut terms = Vec::new();
        loop {
            terms.push(Term::take(&mut words)?);
            if words.is_at_end() {
                return Ok(LogFilter { terms });
            }
            if !words.take_word("and") {
                return Err(words.expected("`and` or the end"));
            }
        }
    }

    /// Whether an archived line (schema v1) passes. Numbers and booleans are compared as they are written.
    pub fn matches(&self, line: &Value) -> bool {
        self.terms.iter().all(|term| term.matches(line))
    }
}

impl Term {
    fn take(words: &mut Words) -> Result<Term, InvalidText> {
        let mut field = Vec::new();
        loop {
            let Some(name) = words.take_name() else { return Err(words.expected("the name of a field")) };
            field.push(name.to_owned());
            if !words.take_sign(".") {
                break;
            }
        }
        // The longer signs first.
        let signs = [("=~", true, false), ("!~", true, true), ("!=", false, true), ("=", false, false)];
        let Some((_, is_prefix, negated)) = signs.into_iter().find(|(sign, ..)| words.take_sign(sign)) else {
            return Err(words.expected("one of = != =~ !~"));
        };
        let before = words.clone();
        let Some(text) = words.take_quoted() else { return Err(before.expected("a value in double quotes")) };
        let pattern = match Pattern::parse(&text) {
            _ if !is_prefix => Pattern::Exact(text),
            Some(prefix @ Pattern::Prefix(_)) => prefix,
            _ => return Err(before.expected("a beginning with `*` after it (\"Payment*\")")),
        };
        Ok(Term { field, pattern, negated })
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn line() -> Value {
        json!({
            "level": "ERROR", "category": "business_logic", "message": "Payment \"A\" failed",
            "context": {"service_name": "contract"}, "details": {"attempts": 3, "final": true, "none": null},
        })
    }

    #[test]
    fn a_line_passes_where_all_terms_hold() {
        for (filter, expected) in [
            (r#"level="ERROR""#, true),
            (r#"level = "ERROR" and category="business_logic""#, true),
            (r#"level="ERROR" and category="database""#, false),
            (r#"level!="ERROR""#, false),
            (r#"message=~"Payment*""#, true),
            (r#"message=~"payment*""#, false),
            (r#"message!~"Refund*""#, true),
            (r#"message="Payment \"A\" failed""#, true),
            (r#"context.service_name="contract""#, true),
            (r#"details.attempts="3" and details.final="true""#, true),
            ("details.none=\"null\"", false),
            (r#"details.reason="timeout""#, false),
            (r#"details.reason!="timeout""#, true),
            // A star is only a star where `=` stands.
            (r#"message="Payment*""#, false),
        ] {
            let parsed = LogFilter::parse(filter).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(parsed.matches(&line()), expected, "{filter}");
        }
        assert!(LogFilter::default().matches(&json!(42)));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (text, expected) in [
            ("", "the name of a field at character 1"),
            ("level", "one of = != =~ !~ at character 6"),
            ("level=ERROR", "a value in double quotes at character 7"),
            (r#"level="ERROR"#, "a value in double quotes at character 7"),
            (r#"level="ERROR" or level="WARNING""#, "`and` or the end at character 15"),
            (r#"level="ERROR" and"#, "the name of a field at character 18"),
            (r#"details.="x""#, "the name of a field at character 9"),
            (r#"message=~"Payment""#, "a beginning with `*` after it (\"Payment*\") at character 10"),
        ] {
            let error = LogFilter::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is not a filter of lines: {expected}"));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-c.=~!\"* é]{0,60}|.{0,60}") {
            let _ = LogFilter::parse(&text);
        }
    }
}
