//! What a rule watches: one struct for each kind, already checked and in minutes.

use std::collections::{BTreeMap, BTreeSet};

use crate::alerting::condition::Condition;
use crate::alerting::expression::Expression;

use super::logic::Logic;
use super::pattern::Pattern;
use super::{Labels, Missing, Query, Severity};

/// What a rule watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A number computed of metrics, against a threshold.
    Metric(Threshold),
    /// A service level objective: how fast its error budget burns.
    Slo(Slo),
    /// A metric that came and comes no more.
    Absence(Absence),
    /// Something that has to be heard of every so often.
    Heartbeat(Heartbeat),
    /// What other rules say together.
    Composite(Composite),
    /// Events of type `security`, counted as they come.
    Event(Event),
}

impl Kind {
    /// Names of the kinds in rule files.
    pub const NAMES: &[&str] = &["metric", "slo", "absence", "heartbeat", "composite", "event"];

    /// Its name in rule files.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Metric(_) => "metric",
            Kind::Slo(_) => "slo",
            Kind::Absence(_) => "absence",
            Kind::Heartbeat(_) => "heartbeat",
            Kind::Composite(_) => "composite",
            Kind::Event(_) => "event",
        }
    }
}

/// A number computed of metrics, against a threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
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
    /// What a minute without a value means.
    pub missing: Missing,
}

/// A service level objective. Each of `alerts` is an alert of its own, with the label [`BURN`] beside those of the
/// group.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    /// Share that has to be good; above 0, below 1: 0.999.
    pub objective: f64,
    /// What is good, of what.
    pub indicator: Indicator,
    /// The alerts, the gravest first; at least one, each with another label.
    pub alerts: Vec<BurnAlert>,
    /// How many (requests, say) the long window has to hold for its burn rate to count.
    pub min_samples: u64,
    /// For how many minutes the error budget is.
    pub period: i64,
}

/// The label that tells the alerts of one [`Slo`] apart: `page` or `ticket`.
pub const BURN: &str = "burn";

impl Slo {
    /// Share that may be bad: 0.001 of an objective of 99.9 %.
    pub fn budget(&self) -> f64 {
        1.0 - self.objective
    }

    /// Names and queries that it reads.
    pub fn queries(&self) -> Vec<(&'static str, &Query)> {
        match &self.indicator {
            Indicator::Good { good, total } => vec![("good", good), ("total", total)],
            Indicator::Bad { bad, total } => vec![("bad", bad), ("total", total)],
            Indicator::Within { query, .. } => vec![("duration", query)],
        }
    }
}

/// What is good, of what. Where there is no `total`, nothing burns.
#[derive(Debug, Clone, PartialEq)]
pub enum Indicator {
    /// Two counters: good ones and all.
    Good {
        /// Counts the good ones; its silence is 0.
        good: Query,
        /// Counts all.
        total: Query,
    },
    /// Two counters: bad ones and all.
    Bad {
        /// Counts the bad ones; its silence is 0.
        bad: Query,
        /// Counts all.
        total: Query,
    },
    /// The values of a timer or histogram: good ones are at most `limit`.
    Within {
        /// What it reads; its statistic is `SampleCount`.
        query: Query,
        /// In the metric's unit.
        limit: f64,
    },
}

/// One alert of an [`Slo`].
#[derive(Debug, Clone, PartialEq)]
pub struct BurnAlert {
    /// Value of its label [`BURN`]: `page` of severities error and critical, `ticket` of info and warning.
    pub label: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// It fires where any of these does; at least one.
    pub burns: Vec<Burn>,
}

/// A pair of windows: both have to burn `factor` times as fast as what would use up the budget in exactly its period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burn {
    /// Above 0, and below 1 / budget, which is what a total failure burns.
    pub factor: f64,
    /// The long window, in minutes: at most 3 days, and whole 5 minutes where it is over an hour.
    pub long: i64,
    /// The short one, so that the alert ends soon after the trouble does; shorter than the long one.
    pub short: i64,
}

/// A metric that came and comes no more. A group that was never seen is not missed.
#[derive(Debug, Clone, PartialEq)]
pub struct Absence {
    /// What has to come; its statistic is `SampleCount`.
    pub query: Query,
    /// After how many minutes without a value it fires; at least 1.
    pub after: i64,
    /// After how many minutes without a value a group counts as gone for good: its alert resolves. More than `after`.
    pub forget_after: i64,
}

/// Something that has to be heard of every so often. What was never heard of is missed from the evaluator's first
/// minute on (`AlertState::history_from`). A rule of this kind has no `group_by`.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// What has to come; its statistic is `SampleCount`.
    pub query: Query,
    /// How often, in minutes; at least 1, with `grace` at most 8 days.
    pub every: i64,
    /// What it may be late by, in minutes.
    pub grace: i64,
}

/// What other rules say together. It fires for a group where the expression holds of it; a firing alert of another
/// rule counts for a group if the two have the same value for each label that both have.
#[derive(Debug, Clone, PartialEq)]
pub struct Composite {
    /// Over ids of other rules, none of which comes back to this one. False where nothing fires.
    pub logic: Logic,
}

/// Events of type `security`, counted as they come.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Fields that have to have one of some values. Empty takes every event.
    pub filters: BTreeMap<String, Vec<Pattern>>,
    /// How many of a window make it fire: always upward.
    pub when: Condition,
    /// Over how many minutes they are counted; at least 1.
    pub window: i64,
    /// It resolves after so many minutes without a further one; at least `window`.
    pub resolve_after: i64,
}

impl Event {
    /// Fields of a security event, which filters and `group_by` may name.
    pub const FIELDS: &[&str] = &["event_type", "service", "level"];

    /// Whether an event with these fields counts.
    pub fn matches(&self, fields: &Labels) -> bool {
        self.filters.iter().all(|(name, patterns)| {
            fields.get(name).is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value)))
        })
    }
}

/// Ids of the rules that `kind` rests on.
pub(super) fn references(kind: &Kind) -> BTreeSet<&str> {
    match kind {
        Kind::Composite(composite) => composite.logic.rules(),
        _ => BTreeSet::new(),
    }
}
