//! The one sentence of an alert, with the value and the group's labels in it.

use crate::alerting::condition::display_value;

use super::Labels;

/// Longest summary, in characters, before anything is filled in.
const MAX_LENGTH: usize = 1_000;

/// A text with placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value,
    Label(String),
}

/// A summary that can't be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSummary {
    /// `{{` without `}}`.
    #[error("`{{{{` without `}}}}` in the summary")]
    Open,
    /// A placeholder that nobody fills.
    #[error("unknown placeholder `{{{{{0}}}}}` in the summary")]
    Placeholder(String),
    /// Longer than a message has room for: each transition and the state carry it.
    #[error("the summary is longer than {MAX_LENGTH} characters")]
    Long,
    /// Nothing in it.
    #[error("the summary is empty")]
    Empty,
}

impl Summary {
    /// Parses a text with `{{value}}` and, for the dimensions of `group_by`, `{{labels.<name>}}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, group_by: &[String]) -> Result<Summary, InvalidSummary> {
        if text.chars().count() > MAX_LENGTH {
            return Err(InvalidSummary::Long);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(InvalidSummary::Open)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name.trim() {
                "value" => Part::Value,
                other => match other.strip_prefix("labels.") {
                    Some(label) if group_by.iter().any(|name| name == label) => Part::Label(label.to_owned()),
                    _ => return Err(InvalidSummary::Placeholder(name.to_owned())),
                },
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if text.trim().is_empty() { Err(InvalidSummary::Empty) } else { Ok(Summary(parts)) }
    }

    /// Whether the value is in it.
    pub fn says_value(&self) -> bool {
        self.0.contains(&Part::Value)
    }

    /// The sentence.
    pub fn render(&self, value: Option<f64>, labels: &Labels) -> String {
        let value = value.map_or_else(|| "no data".to_owned(), display_value);
        self.filled(&value, |name| labels.get(name).cloned().unwrap_or_default())
    }

    /// The sentence with `value` for the value, and for each label what `label` makes of its name.
    pub fn filled(&self, value: &str, label: impl Fn(&str) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value => value.to_owned(),
            Part::Label(name) => label(name),
        };
        self.0.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_the_value_and_the_labels() {
        let group_by = ["service".to_owned()];
        let labels = Labels::from([("service".to_owned(), "контракт".to_owned())]);
        let summary = Summary::parse("{{value}} failures in {{ labels.service }}", &group_by).unwrap();
        assert_eq!(summary.render(Some(4.0), &labels), "4 failures in контракт");
        assert_eq!(summary.render(None, &labels), "no data failures in контракт");
    }

    #[test]
    fn a_placeholder_that_nobody_fills_is_refused() {
        for (text, expected) in [
            ("{{values}}", "unknown placeholder `{{values}}` in the summary"),
            ("{{labels.service}}", "unknown placeholder `{{labels.service}}` in the summary"),
            ("{{value", "`{{` without `}}` in the summary"),
            (" ", "the summary is empty"),
            (&"é".repeat(1_001), "the summary is longer than 1000 characters"),
        ] {
            assert_eq!(Summary::parse(text, &[]).unwrap_err().to_string(), expected);
        }
        assert!(Summary::parse(&"é".repeat(1_000), &[]).is_ok());
    }
}
