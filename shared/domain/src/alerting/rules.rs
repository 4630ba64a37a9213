//! The rule language: YAML in, typed rules out, and every mistake refused at load.
//!
//! A mistake that is only found while evaluating is an alert that silently never fires (defects 2, 6,
//! 9, 10, 11 and 12 of the source document), so whatever can be known from the file and the metric
//! registry is checked here: once a [`RuleSet`] exists, evaluating it can't fail.

pub mod kind;

pub mod check;
pub mod evidence;
pub mod file;
pub mod logic;
pub mod pattern;
pub mod problem;
pub mod scenario;
pub mod summary;

mod closed;
mod query;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alerting::datapoints;
use crate::metrics::registry::{self, Definition};
use crate::ports::MetricQuery;

use evidence::Evidence;
use kind::{Absence, Kind, Threshold};
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
    /// The namespace of CloudWatch that our metrics are put to, for exports. The evaluation reads rollups.
    pub namespace: String,
    /// The rules, in the order of the file, with distinct ids.
    pub rules: Vec<Rule>,
}

/// One rule: what all kinds have in common, and what it watches.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Name of the rule and of its alerts.
    pub id: String,
    /// What it is about, for routing: `business`, `performance`, ...
    pub class: String,
    /// How bad it is. The alerts of an SLO have their own ([`kind::BurnAlert`]); this is the gravest of them.
    pub severity: Severity,
    /// The service that it is about, where the file says so; see [`Rule::service`].
    pub concerns: Option<String>,
    /// Labels that make an alert of their own for each of their values: dimensions of metrics, fields of events,
    /// labels of other rules' alerts.
    pub group_by: Vec<String>,
    /// Minutes that the breach has to last before the alert fires; 0 for absence, heartbeat and event, which have
    /// waits of their own.
    pub hold: i64,
    /// Minutes that the alert keeps firing after the breach is over; 0 for absence, heartbeat and event.
    pub keep_firing_for: i64,
    /// What it says.
    pub summary: Summary,
    /// Where to read what to do.
    pub runbook_url: Option<String>,
    /// What a message about it brings along.
    pub evidence: Option<Evidence>,
    /// What it watches.
    pub kind: Kind,
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
    /// As CloudWatch's `missing`: it is left out where other minutes decide; where all that are looked at are missing,
    /// the alert stays what it is, and its health says so.
    Missing,
}

impl Missing {
    /// Its name in rule files.
    pub const NAMES: &[(&str, Missing)] = &[
        ("not_breaching", Missing::NotBreaching),
        ("breaching", Missing::Breaching),
        ("ignore", Missing::Ignore),
        ("nodata", Missing::NoData),
        ("missing", Missing::Missing),
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
    /// It begins so (`login_*`).
    Prefix(String),
    /// A three-digit status code that begins with this digit (`5xx`).
    StatusClass(char),
    /// One of these, at least two, none of which is such a list.
    OneOf(Vec<Filter>),
}

impl Filter {
    /// Whether `value` passes.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Filter::Exact(expected) => value == expected,
            Filter::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Filter::OneOf(filters) => filters.iter().any(|filter| filter.matches(value)),
            Filter::StatusClass(digit) => {
                value.len() == 3 && value.starts_with(*digit) && value.bytes().all(|byte| byte.is_ascii_digit())
            }
        }
    }
}

impl Query {
    /// Whether it tells how many came.
    pub fn is_counted(&self) -> bool {
        match (&self.source, self.statistic) {
            (Source::Own(_), Statistic::SampleCount) => true,
            (Source::Own(metric), Statistic::Sum) => metric.kind == registry::Kind::Counter,
            _ => false,
        }
    }

    /// What it asks for, in words that are the same as long as it asks for the same; however the metric is described.
    pub fn identity(&self) -> String {
        let metric = match &self.source {
            Source::Own(metric) => metric.name.to_owned(),
            Source::Foreign(series) => format!("{series:?}"),
        };
        format!("{metric} {:?} {:?}", self.statistic, self.filters)
    }
}

impl Rule {
    /// The service that an alert of the group `labels` concerns, for routing: the group's own, the one that the file
    /// says, the one that all its queries ask for, or `all`.
    pub fn service(&self, labels: &Labels) -> String {
        if let Some(service) = labels.get("service").or(self.concerns.as_ref()) {
            return service.clone();
        }
        let asked: BTreeSet<Option<&Filter>> =
            self.queries().iter().map(|(_, query)| query.filters.get("service")).collect();
        match asked.first() {
            Some(Some(Filter::Exact(service))) if asked.len() == 1 => service.clone(),
            _ => "all".to_owned(),
        }
    }

    /// What it watches, if that is a threshold.
    pub fn threshold(&self) -> Option<&Threshold> {
        if let Kind::Metric(threshold) = &self.kind { Some(threshold) } else { None }
    }

    /// All that it reads of metrics, by the names that its tests call them.
    pub fn queries(&self) -> Vec<(&str, &Query)> {
        match &self.kind {
            Kind::Metric(threshold) => threshold.queries.iter().map(|(name, query)| (name.as_str(), query)).collect(),
            Kind::Slo(slo) => slo.queries(),
            Kind::Absence(absence) => vec![("metric", &absence.query)],
            Kind::Heartbeat(heartbeat) => vec![("metric", &heartbeat.query)],
            Kind::Composite(_) | Kind::Event(_) => Vec::new(),
        }
    }

    /// The foreign series that it reads.
    pub fn foreign(&self) -> impl Iterator<Item = &MetricQuery> {
        self.queries().into_iter().filter_map(|(_, query)| match &query.source {
            Source::Foreign(series) => Some(series),
            Source::Own(_) => None,
        })
    }

    /// How many minutes up to the evaluated one it looks at in the recent rollups and in CloudWatch.
    pub fn reach(&self) -> i64 {
        match &self.kind {
            Kind::Metric(threshold) => threshold.window + datapoints::range(threshold.n) as i64 - 1,
            Kind::Slo(slo) => {
                let windows = slo.alerts.iter().flat_map(|alert| &alert.burns).flat_map(|burn| [burn.long, burn.short]);
                windows.filter(|&window| window <= 60).max().unwrap_or(1)
            }
            Kind::Absence(Absence { query: Query { source: Source::Foreign(_), .. }, after, .. }) => *after,
            // What was heard is remembered; but the newest minutes of some metrics come late.
            Kind::Absence(_) | Kind::Heartbeat(_) => 15,
            Kind::Composite(_) | Kind::Event(_) => 1,
        }
    }
}

impl RuleSet {
    /// The rules in the order of the file, but that each composite one comes after those that it speaks of.
    pub fn in_order(&self) -> Vec<&Rule> {
        let ids: BTreeMap<&str, &Rule> = self.rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
        let mut ordered = Vec::with_capacity(self.rules.len());
        let mut placed = BTreeSet::new();
        for rule in &self.rules {
            place(rule, &ids, &mut placed, &mut ordered);
        }
        ordered
    }
}

/// Places what `rule` rests on, then itself. That terminates on a cycle as well, which the checks refuse.
fn place<'a>(
    rule: &'a Rule,
    ids: &BTreeMap<&str, &'a Rule>,
    placed: &mut BTreeSet<&'a str>,
    ordered: &mut Vec<&'a Rule>,
) {
    if !placed.insert(&rule.id) {
        return;
    }
    for id in kind::references(&rule.kind) {
        if let Some(other) = ids.get(id) {
            place(other, ids, placed, ordered);
        }
    }
    ordered.push(rule);
}

#[cfg(test)]
mod tests;
