//! The evaluation: rules, metrics and the last state in; the next state, with what has changed, out.
//!
//! Every whole minute is evaluated once, in order, when its metrics have had time to arrive and the
//! flusher has taken them in: while it is stopped or late nothing is evaluated, because no metrics are
//! not the same as nothing happening. Minutes that were missed, for whatever reason, are caught up by the
//! next tick, as far as the recent rollups reach.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::Minute;
use crate::metrics::recent::RecentRollups;
use crate::ports::MetricQuery;

use super::episode::Episode;
use super::evaluation::{evaluate_alert, resolve_without_value, rules_alert};
use super::lifecycle::Phase;
use super::rules::problem::InvalidRules;
use super::rules::{Labels, Rule, RuleSet};
use super::samples::{ForeignValues, Samples, oldest_kept};
use super::state::{Alert, AlertState, Health, fingerprint};

/// Id of the alert about the rule file itself.
pub const RULES_INVALID: &str = "rules_invalid";

/// How long a resolved alert stays in the state, in minutes, for people who look at it.
const RESOLVED_KEPT: i64 = 24 * 60;

/// Minutes that a tick has to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The first.
    pub from: Minute,
    /// The last; not before the first.
    pub to: Minute,
    /// How many minutes before the first were never evaluated and never will be: the evaluator was away
    /// for longer than the recent rollups reach.
    pub skipped: i64,
}

/// Why a tick has nothing to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDue {
    /// All minutes that are over for long enough were evaluated before.
    UpToDate,
    /// Minutes are over, but the flusher has not yet taken in what came in them.
    WaitingForMetrics,
}

/// Which minutes are due at `now`: those after the last evaluated one that ended `delay` before both
/// `now` and the flusher's tick `flushed_until`. The first tick ever has one.
pub fn due(
    state: Option<&AlertState>,
    now: Timestamp,
    flushed_until: Option<Minute>,
    delay: Duration,
) -> Result<Due, NotDue> {
    let evaluated = state.map(|state| state.evaluated_until);
    let over = last_over(now, delay).filter(|&over| evaluated.is_none_or(|until| until < over));
    let Some(over) = over else { return Err(NotDue::UpToDate) };
    let flushed = flushed_until.ok_or(NotDue::WaitingForMetrics)?;
    let known = last_over(flushed.start(), delay).ok_or(NotDue::WaitingForMetrics)?;
    let to = over.min(known);
    let next = evaluated.map_or(to, |until| until.plus(1));
    if next > to {
        return Err(NotDue::WaitingForMetrics);
    }
    // Behind it the rollups have been forgotten.
    let from = next.max(oldest_kept(flushed));
    if from <= to { Ok(Due { from, to, skipped: from.since(next) }) } else { Err(NotDue::UpToDate) }
}

/// The last minute that ended at least `delay` before `now`: the one that `now - delay` lies in is not
/// over yet (defect 5).
fn last_over(now: Timestamp, delay: Duration) -> Option<Minute> {
    Some(Minute::of(now.checked_sub(delay).ok()?).plus(-1))
}

/// What to ask CloudWatch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignRead {
    /// Each series once, in order, however many rules read it.
    pub queries: Vec<MetricQuery>,
    /// First minute.
    pub from: Minute,
    /// The minute after the last.
    pub until: Minute,
}

/// What the rules need of CloudWatch to evaluate the minutes that are due.
pub fn foreign_read(rules: &RuleSet, due: Due) -> ForeignRead {
    let queries: BTreeSet<&MetricQuery> = rules.rules.iter().flat_map(Rule::foreign).collect();
    let reach = rules.rules.iter().filter(|rule| rule.foreign().next().is_some()).map(Rule::reach).max();
    ForeignRead {
        queries: queries.into_iter().cloned().collect(),
        from: due.from.plus(1 - reach.unwrap_or(1)),
        until: due.to.plus(1),
    }
}

/// All that an evaluation looks at, but for the state.
#[derive(Debug)]
pub struct Tick<'a> {
    /// The minutes.
    pub due: Due,
    /// The rules in force.
    pub rules: &'a RuleSet,
    /// Our metrics.
    pub recent: &'a RecentRollups,
    /// Those of AWS.
    pub foreign: &'a ForeignValues,
    /// What is wrong with the operators' rule file, if it is not the one in force.
    pub rules_problem: Option<&'a InvalidRules>,
}

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The next state.
    pub state: AlertState,
    /// Episodes that began or ended, in order.
    pub changes: Vec<Episode>,
}

/// Evaluates the minutes that are due.
pub fn evaluate(tick: &Tick, state: Option<AlertState>) -> Outcome {
    let mut state = state.unwrap_or_else(|| AlertState::starting(tick.due.from));
    if tick.due.skipped > 0 {
        for alert in state.alerts.values_mut() {
            alert.phase = alert.phase.after_gap();
        }
    }
    let samples = Samples::new(tick.recent, tick.foreign, state.history_from);
    let mut changes = Vec::new();
    for offset in 0..=tick.due.to.since(tick.due.from) {
        let minute = tick.due.from.plus(offset);
        for rule in &tick.rules.rules {
            changes.extend(evaluate_rule(rule, minute, &samples, &mut state));
        }
    }
    changes.extend(evaluate_rule_file(tick.rules_problem, tick.due.to, &mut state));
    changes.extend(resolve_orphans(tick.rules, tick.due.to, &mut state));
    forget(tick.due.to, &mut state);
    state.evaluated_until = tick.due.to;
    Outcome { state, changes }
}

fn evaluate_rule(rule: &Rule, minute: Minute, samples: &Samples, state: &mut AlertState) -> Vec<Episode> {
    let Some(threshold) = rule.threshold() else { return Vec::new() };
    let mut groups = samples.groups(rule, minute);
    // A group whose series have vanished is still there as long as its alert is.
    groups.extend(state.alerts.values().filter(|alert| is_group_of(alert, rule)).map(|alert| alert.labels.clone()));
    let mut told = Vec::new();
    for labels in groups {
        let fingerprint = fingerprint(&rule.id, &labels);
        let mut alert = state.alerts.remove(&fingerprint).unwrap_or_else(|| inactive(&rule.id, labels));
        told.extend(evaluate_alert(rule, threshold, &fingerprint, &mut alert, minute, samples));
        if alert.phase != (Phase::Inactive {}) || alert.health != Health::Ok {
            state.alerts.insert(fingerprint, alert);
        }
    }
    told
}

fn inactive(rule: &str, labels: Labels) -> Alert {
    Alert { rule: rule.to_owned(), labels, phase: Phase::Inactive {}, health: Health::Ok, value: None, fired: None }
}

fn is_group_of(alert: &Alert, rule: &Rule) -> bool {
    alert.rule == rule.id
        && alert.labels.len() == rule.group_by.len()
        && rule.group_by.iter().all(|name| alert.labels.contains_key(name))
}

fn evaluate_rule_file(problem: Option<&InvalidRules>, minute: Minute, state: &mut AlertState) -> Option<Episode> {
    let fingerprint = fingerprint(RULES_INVALID, &Labels::new());
    let mut alert = state.alerts.remove(&fingerprint).unwrap_or_else(|| inactive(RULES_INVALID, Labels::new()));
    let told = rules_alert(problem, &fingerprint, &mut alert, minute);
    if alert.phase != (Phase::Inactive {}) {
        state.alerts.insert(fingerprint, alert);
    }
    told
}

/// Ends alerts whose rule, or whose group, is no longer in the rule file: nothing else ever would.
fn resolve_orphans(rules: &RuleSet, minute: Minute, state: &mut AlertState) -> Vec<Episode> {
    let mut told = Vec::new();
    for alert in state.alerts.values_mut() {
        let owned = alert.rule == RULES_INVALID || rules.rules.iter().any(|rule| is_group_of(alert, rule));
        if !owned {
            told.extend(resolve_without_value(alert, minute, "the rule was changed or removed"));
        }
    }
    told
}

/// Drops what nobody needs to remember.
fn forget(minute: Minute, state: &mut AlertState) {
    state.alerts.retain(|_, alert| match alert.phase {
        Phase::Inactive {} => alert.health != Health::Ok,
        Phase::Resolved { at } => minute.since(at) <= RESOLVED_KEPT,
        Phase::Pending { .. } | Phase::Firing { .. } => true,
    });
}

#[cfg(test)]
mod tests;
