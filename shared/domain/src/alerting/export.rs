//! The same rules and policy as files of other systems, for whoever runs one beside this or instead of it.
//!
//! What a system can't say is never dropped silently: each export answers [`Note`]s, and writes them into its file.

pub mod alertmanager;
pub mod cloudwatch;
pub mod prometheus;

use serde::Serialize;

use super::rules::Filter;
use super::rules::pattern::Pattern;

/// What an export says otherwise than the rule does, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// Id of the rule.
    pub rule: String,
    /// Whether the rule is not in the file at all.
    pub left_out: bool,
    /// What is otherwise, or why it is left out.
    pub what: String,
}

impl Note {
    fn left_out(rule: &str, why: impl Into<String>) -> Note {
        Note { rule: rule.to_owned(), left_out: true, what: why.into() }
    }

    fn differs(rule: &str, what: impl Into<String>) -> Note {
        Note { rule: rule.to_owned(), left_out: false, what: what.into() }
    }
}

/// Minutes in the longest units that say them exactly: `90m`, `2h`, `3d`.
fn duration(minutes: i64) -> String {
    match minutes {
        0 => "0m".to_owned(),
        days if days % 1_440 == 0 => format!("{}d", days / 1_440),
        hours if hours % 60 == 0 => format!("{}h", hours / 60),
        minutes => format!("{minutes}m"),
    }
}

/// A number without the noise of binary fractions: 0.001 and not 0.0010000000000000009.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    rounded.to_string()
}

/// Patterns of events as a filter of the metric that counts them.
fn one_of(patterns: &[Pattern]) -> Filter {
    let filter = |pattern: &Pattern| match pattern {
        Pattern::Exact(word) => Filter::Exact(word.clone()),
        Pattern::Prefix(prefix) => Filter::Prefix(prefix.clone()),
    };
    match patterns {
        [one] => filter(one),
        several => Filter::OneOf(several.iter().map(filter).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_numbers_are_short() {
        for (minutes, expected) in [(0, "0m"), (5, "5m"), (60, "1h"), (90, "90m"), (4_320, "3d")] {
            assert_eq!(duration(minutes), expected);
        }
        for (value, expected) in [(1.0 - 0.999, "0.001"), (14.4, "14.4"), (5_000.0, "5000"), (-0.5, "-0.5")] {
            assert_eq!(number(value), expected);
        }
    }
}
