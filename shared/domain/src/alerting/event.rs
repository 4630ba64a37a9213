//! Rules of kind event: security events, counted as they come.
//!
//! They do not wait for the flusher: they are evaluated up to the minute of the tick that has taken them in, which may
//! not be over. An event counts in the minute in which it happened; one that comes so late that its minute is done
//! counts in the first that is not, since a late alert is better than none.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Minute;

use super::board::Held;
use super::datapoints::Verdict;
use super::evaluation::{Finding, OTHER, is_firing, span};
use super::rules::kind::{Event, Kind};
use super::rules::{Labels, Rule, RuleSet};
use super::state::{Health, fingerprint};

/// How many groups a rule counts apart. Events of further ones are counted together, as `other`.
pub const MAX_GROUPS: usize = 500;

/// Security events of one kind that came together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityEvent {
    /// Name of its own: whoever takes events in knows by it that one comes again.
    pub id: String,
    /// When they happened.
    pub at: Timestamp,
    /// `login_failed`, ...
    pub event_type: String,
    /// The service that tells it.
    pub service: String,
    /// `WARNING`, ...
    pub level: String,
    /// How many they are; at least 1.
    pub count: u64,
}

impl SecurityEvent {
    /// What rules may ask for.
    pub(super) fn fields(&self) -> Labels {
        let own = [("event_type", &self.event_type), ("service", &self.service), ("level", &self.level)];
        own.map(|(name, value)| (name.to_owned(), value.clone())).into()
    }

    /// Whether any of `rules` counts it.
    pub fn is_asked_for(&self, rules: &RuleSet) -> bool {
        let fields = self.fields();
        rules.rules.iter().any(|rule| matches!(&rule.kind, Kind::Event(event) if event.matches(&fields)))
    }
}

/// What is remembered of a rule's groups, by fingerprint.
pub type Counts = BTreeMap<String, Counted>;

/// What was counted of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Labels of the group.
    pub labels: Labels,
    /// How many, by minute: those of the rule's window, and the newest.
    pub minutes: BTreeMap<Minute, u64>,
}

/// Counts what the rule wants of `events`, of which none counts before `first` or after `last`.
pub(super) fn count(
    rule: &Rule,
    event: &Event,
    events: &[(&SecurityEvent, Labels)],
    (first, last): (Minute, Minute),
    counts: &mut Counts,
) {
    for (happened, fields) in events {
        if !event.matches(fields) {
            continue;
        }
        let value = |name: &String| fields.get(name).cloned().unwrap_or_else(|| OTHER.to_owned());
        let mut labels: Labels = rule.group_by.iter().map(|name| (name.clone(), value(name))).collect();
        if counts.len() >= MAX_GROUPS && !counts.contains_key(&fingerprint(&rule.id, &labels)) {
            labels.values_mut().for_each(|value| OTHER.clone_into(value));
        }
        let minute = Minute::of(happened.at).clamp(first, last);
        let fingerprint = fingerprint(&rule.id, &labels);
        let counted = counts.entry(fingerprint).or_insert_with(|| Counted { labels, minutes: BTreeMap::new() });
        let count = counted.minutes.entry(minute).or_default();
        *count = count.saturating_add(happened.count); // Whoever may publish could say any number.
    }
}

/// What `minute` says of each group.
pub(super) fn findings(rule: &Rule, event: &Event, minute: Minute, counts: &mut Counts, held: &Held) -> Vec<Finding> {
    let known = counts.values().map(|counted| Rc::new(counted.labels.clone()));
    let groups: BTreeSet<Rc<Labels>> = known.chain(held.keys().cloned().map(Rc::new)).collect();
    let mut findings = Vec::new();
    for labels in groups {
        let fingerprint = fingerprint(&rule.id, &labels);
        let empty = BTreeMap::new();
        let minutes = counts.get(&fingerprint).map_or(&empty, |counted| &counted.minutes);
        let counted = minutes.range(minute.plus(1 - event.window)..=minute).map(|(_, count)| *count);
        let in_window = counted.fold(0, u64::saturating_add);
        let newest = minutes.range(..=minute).next_back().map(|(newest, _)| *newest);
        let quiet = newest.is_none_or(|newest| minute.since(newest) >= event.resolve_after);
        let breaching = event.when.holds(in_window as f64) || (is_firing(held, &labels) && !quiet);
        let verdict = if breaching { Verdict::Breaching } else { Verdict::Fine };
        findings.push(Finding { labels, verdict, value: Some(in_window as f64), health: Health::Ok, ends: None });
    }
    forget(event, minute, counts);
    findings
}

/// Forgets what no window will hold any more, but the newest as long as an alert may hang on it.
fn forget(event: &Event, minute: Minute, counts: &mut Counts) {
    counts.retain(|_, counted| {
        let newest = counted.minutes.range(..=minute).next_back().map(|(newest, _)| *newest);
        counted.minutes.retain(|at, _| minute.since(*at) < event.window || Some(*at) == newest);
        // Where minutes are made up for, there are later ones already.
        let last = counted.minutes.keys().next_back();
        last.is_some_and(|last| minute.since(*last) < event.resolve_after.max(event.window))
    });
}

/// When it fires, as text.
pub(super) fn condition(event: &Event) -> String {
    format!("{} in {}", event.when, span(event.window))
}
