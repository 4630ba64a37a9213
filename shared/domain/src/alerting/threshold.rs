//! Rules of kind metric: a number computed of metrics, against a threshold.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::Minute;

use super::board::Held;
use super::datapoints::{self, Datapoint, Verdict};
use super::evaluation::{Finding, add_overflow, is_firing, other};
use super::expression::Expression;
use super::lifecycle::Phase;
use super::rules::kind::Threshold;
use super::rules::{Labels, Missing, Query, Rule, Statistic};
use super::samples::{Reading, Samples, Selection, Window};
use super::state::{Alert, Health};

/// How many groups of a rule are looked at. What comes beyond is not, and the rule's health says so.
pub const MAX_GROUPS: usize = 1_000;

/// A query and what it has selected.
type Selected<'a> = (&'a str, &'a Query, Rc<Selection<'a>>);

/// What one minute shows of one group.
#[derive(Debug, Clone, Copy)]
struct Observation {
    /// The value of the expression.
    value: Option<f64>,
    /// Whether all metrics of the window could be read.
    answered: bool,
    /// Whether the window lies in what is known, so that silence means something.
    known: bool,
}

/// What `minute` says of each group: those that came up to now, and those of which an alert is held, since a group
/// whose series have vanished is still there as long as its alert is.
pub(super) fn findings<'a>(
    rule: &'a Rule,
    threshold: &'a Threshold,
    minute: Minute,
    samples: &Samples<'a>,
    held: &Held,
) -> Vec<Finding> {
    let select = |(name, query): (&'a String, &'a Query)| (name.as_str(), query, samples.select(query, &rule.group_by));
    let selected: Vec<Selected> = threshold.queries.iter().map(select).collect();
    let groups: Vec<Rc<Labels>> = match selected.as_slice() {
        [(_, _, selection)] if held.is_empty() => selection.groups(minute),
        several => {
            let came = several.iter().flat_map(|(_, _, selection)| selection.groups(minute));
            let groups: BTreeSet<Rc<Labels>> = came.chain(groups_of(rule, held)).collect();
            groups.into_iter().collect()
        }
    };
    let are_too_many = groups.len() > MAX_GROUPS;
    let groups = if are_too_many { watched(groups, held) } else { groups };
    let finding = |labels: Rc<Labels>| {
        let firing = is_firing(held, &labels);
        finding(threshold, &selected, labels, minute, firing)
    };
    let mut findings: Vec<Finding> = groups.into_iter().map(finding).collect();
    if are_too_many {
        add_overflow(&mut findings, other(rule));
    }
    findings
}

/// The groups of alerts that are held, but for the one that only says that there are too many: it is no group.
fn groups_of(rule: &Rule, held: &Held) -> impl Iterator<Item = Rc<Labels>> {
    let other = other(rule);
    let is_group = move |labels: &Labels, alert: &Alert| {
        *labels != other || alert.health != Health::Error || alert.phase != (Phase::Inactive {})
    };
    let groups = held.iter().filter(move |(labels, held)| is_group(labels, &held.alert));
    groups.map(|(labels, _)| Rc::new(labels.clone()))
}

/// As many of too many groups as are looked at. Those with an alert that is not over come first, so that what fires is
/// seen to its end; then it goes by the labels, so that they are the same from minute to minute.
fn watched(groups: Vec<Rc<Labels>>, held: &Held) -> Vec<Rc<Labels>> {
    let is_held = |labels: &Rc<Labels>| {
        let alert = held.get(&**labels).map(|held| &held.alert);
        alert.is_some_and(|alert| alert.health != Health::Ok || !alert.phase.is_over())
    };
    let (mut watched, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(is_held);
    let room = MAX_GROUPS.saturating_sub(watched.len());
    watched.extend(others.into_iter().take(room));
    watched
}

/// The value that the rule's condition is asked of for the group `labels`, by minute: for charts.
pub(crate) fn value_at<'a>(
    rule: &'a Rule,
    threshold: &'a Threshold,
    labels: &Labels,
    samples: &Samples<'a>,
) -> impl Fn(Minute) -> Option<f64> {
    let select = |(name, query): (&'a String, &'a Query)| (name.as_str(), query, samples.select(query, &rule.group_by));
    let selected: Vec<Selected> = threshold.queries.iter().map(select).collect();
    move |minute| observe(threshold, &selected, labels, minute).value
}

fn finding(threshold: &Threshold, selected: &[Selected], labels: Rc<Labels>, minute: Minute, firing: bool) -> Finding {
    let observe = |back: usize| observe(threshold, selected, &labels, minute.plus(-(back as i64)));
    let newest = observe(0);
    let verdict = if threshold.n == 1 {
        datapoints::judge(&[datapoint(threshold, newest, firing)], 1, 1, threshold.missing)
    } else {
        let earlier = (1..datapoints::range(threshold.n)).rev().map(observe);
        let range: Vec<Datapoint> =
            earlier.chain([newest]).map(|observation| datapoint(threshold, observation, firing)).collect();
        datapoints::judge(&range, threshold.m, threshold.n, threshold.missing)
    };
    let health = match newest {
        Observation { answered: false, .. } => Health::Error,
        Observation { value: None, known: true, .. } if threshold.missing == Missing::NoData => Health::NoData,
        _ if verdict == Verdict::NoData => Health::NoData,
        _ => Health::Ok,
    };
    Finding { labels, verdict, value: newest.value, health, ends: None }
}

fn observe(threshold: &Threshold, selected: &[Selected], labels: &Labels, minute: Minute) -> Observation {
    let window = Window::ending(minute, threshold.window);
    let known = selected.iter().all(|(_, _, selection)| selection.knows(window));
    let mut answered = true;
    let mut values: Vec<(&str, Option<f64>)> = Vec::with_capacity(selected.len());
    for (name, query, selection) in selected {
        let value = match selection.read(query, labels, window) {
            Reading::Value(value) => Some(value),
            Reading::Nothing if query.fill_zero && known => Some(0.0),
            Reading::Nothing => None,
            Reading::Unanswered => {
                answered = false;
                None
            }
        };
        values.push((name, value));
    }
    let value = threshold.expression.evaluate(&|name| values.iter().find(|(known, _)| *known == name)?.1);
    Observation { value, answered, known }
}

/// Whether the value of a window is no less than that of any part of it.
fn only_grows(threshold: &Threshold) -> bool {
    let Expression::Query(name) = &threshold.expression else { return false };
    threshold.queries.get(name).is_some_and(|query| query.is_counted() || query.statistic == Statistic::Maximum)
}

/// What an observation says. A firing alert stays in breach until `clear` holds.
fn datapoint(threshold: &Threshold, observation: Observation, firing: bool) -> Datapoint {
    let breaches = |value| if firing { !threshold.clear.holds(value) } else { threshold.when.holds(value) };
    match observation {
        Observation { answered: false, .. } => Datapoint::Unknown,
        Observation { value: Some(value), known: true, .. } if breaches(value) => Datapoint::Breaching,
        Observation { value: Some(_), known: true, .. } => Datapoint::Fine,
        Observation { value: None, known: true, .. } => Datapoint::Missing,
        // Of a window that began before the history does, only a part is known. Of what can only grow by the rest,
        // too much already is too much; that too little came, nobody can say.
        Observation { value: Some(value), known: false, .. }
            if threshold.when.is_upward() && only_grows(threshold) && breaches(value) =>
        {
            Datapoint::Breaching
        }
        Observation { known: false, .. } => Datapoint::Unknown,
    }
}
