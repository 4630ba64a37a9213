//! The rule language: YAML in, typed rules out, and every mistake refused at load.
//!
//! A mistake that is only found while evaluating is an alert that silently never fires (defects 2, 6,
//! 9, 10, 11 and 12 of the source document), so whatever can be known from the file and the metric
//! registry is checked here: once a [`RuleSet`] exists, evaluating it can't fail.

pub mod check;
pub mod chosen;
pub mod file;
pub mod problem;
pub mod scenario;
pub mod summary;

mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alerting::condition::Condition;
use crate::alerting::expression::Expression;
use crate::metrics::registry::Definition;
use crate::ports::MetricQuery;

use scenario::Scenario;
use summary::Summary;

/// Labels of a group: the values of the rule's `group_by` dimensions.
pub type Labels = BTreeMap<String, String>;

/// Values for the `${NAME}` placeholders of a rule file.
pub type Variables = BTreeMap<String, String>;

/// A rule file that has passed all checks.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    /// How long after its end a minute is evaluated: by then its metrics have arrived.
    pub evaluation_delay: Duration,
    /// The rules, in the order of the file, with distinct ids.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Name of the rule and of its alerts.
    pub id: String,
    /// What it is about, for routing: `business`, `performance`, ...
    pub class: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it reads, by name.
    pub queries: BTreeMap<String, Query>,
    /// What it computes of that.
    pub expression: Expression,
    /// Over how many minutes each query's statistic is taken; at least 1.
    pub window: i64,
    /// When a minute breaches.
    pub when: Condition,
    /// When a minute of a firing alert is fine again.
    pub clear: Condition,
    /// How many of the last `n` minutes have to breach.
    pub m: usize,
    /// Of how many minutes.
    pub n: usize,
    /// Minutes that the breach has to last before the alert fires.
    pub hold: i64,
    /// Minutes that the alert keeps firing after the breach is over.
    pub keep_firing_for: i64,
    /// What a minute without a value means.
    pub missing: Missing,
    /// Dimensions that make an alert of their own for each of their values.
    pub group_by: Vec<String>,
    /// What it says.
    pub summary: Summary,
    /// Where to read what to do.
    pub runbook_url: Option<String>,
    /// Its own tests.
    pub tests: Vec<Scenario>,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at today.
    Warning,
    /// To be looked at now.
    Error,
    /// To be looked at now, even at night.
    Critical,
}

impl Severity {
    /// Its name in rule files.
    pub const NAMES: &[(&str, Severity)] = &[
        ("info", Severity::Info),
        ("warning", Severity::Warning),
        ("error", Severity::Error),
        ("critical", Severity::Critical),
    ];

    /// Its name in rule files, messages and the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

/// What a minute without a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is fine.
    NotBreaching,
    /// It breaches.
    Breaching,
    /// Nothing: the alert stays what it is.
    Ignore,
    /// The same, and the alert's health says so.
    NoData,
}

impl Missing {
    /// Its name in rule files.
    pub const NAMES: &[(&str, Missing)] = &[
        ("not_breaching", Missing::NotBreaching),
        ("breaching", Missing::Breaching),
        ("ignore", Missing::Ignore),
        ("nodata", Missing::NoData),
    ];
}

/// A number to be had of the metrics, for each window.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Where its values come from.
    pub source: Source,
    /// What is taken of the values of a window.
    pub statistic: Statistic,
    /// Dimensions that have to have certain values. With the rule's `group_by` they are exactly a
    /// dimension set of the metric. Empty for a foreign metric, whose series is named completely.
    pub filters: BTreeMap<String, Filter>,
    /// Whether a window without values counts as 0.
    pub fill_zero: bool,
    /// How much has to be in the window for the query to have a value: values, or of a counter what it
    /// counted. 0 asks for nothing.
    pub min_samples: u64,
}

/// Where the values of a query come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A metric of ours, from the minute rollups.
    Own(&'static Definition),
    /// A metric of AWS, from CloudWatch.
    Foreign(MetricQuery),
}

/// What is taken of the values of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// Their sum.
    Sum,
    /// Sum divided by count.
    Average,
    /// The least.
    Minimum,
    /// The greatest.
    Maximum,
    /// How many they are.
    SampleCount,
    /// The value below which that many percent of them lie; above 0, at most 100.
    Percentile(f64),
}

/// What a dimension's value has to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// Exactly this.
    Exact(String),
    /// A three-digit status code that begins with this digit (`5xx`).
    StatusClass(char),
}

impl Filter {
    /// Whether `value` passes.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Filter::Exact(expected) => value == expected,
            Filter::StatusClass(digit) => {
                value.len() == 3 && value.starts_with(*digit) && value.bytes().all(|byte| byte.is_ascii_digit())
            }
        }
    }
}

impl Rule {
    /// The service that an alert of the group `labels` concerns, for routing: the group's own, or the one
    /// that all its queries ask for, or `all`.
    pub fn service(&self, labels: &Labels) -> String {
        if let Some(service) = labels.get("service") {
            return service.clone();
        }
        let asked: BTreeSet<Option<&Filter>> =
            self.queries.values().map(|query| query.filters.get("service")).collect();
        match asked.first() {
            Some(Some(Filter::Exact(service))) if asked.len() == 1 => service.clone(),
            _ => "all".to_owned(),
        }
    }

    /// The foreign series that it reads.
    pub fn foreign(&self) -> impl Iterator<Item = &MetricQuery> {
        self.queries.values().filter_map(|query| match &query.source {
            Source::Foreign(series) => Some(series),
            Source::Own(_) => None,
        })
    }

    /// How many minutes up to the evaluated one it looks at.
    pub fn reach(&self) -> i64 {
        self.window + self.n as i64 - 1
    }
}

#[cfg(test)]
mod tests;
