//! Rules of kind absence: a metric that came and comes no more.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::metrics::recent::SPAN_MINUTES;

use super::datapoints::Verdict;
use super::evaluation::{Finding, add_overflow, other, span};
use super::rules::kind::Absence;
use super::rules::{Labels, Query, Rule, Source};
use super::samples::{Samples, Selection, Window};
use super::state::{Health, fingerprint};

/// How many groups a rule remembers. What comes beyond is not watched, and the rule's health says so.
pub const MAX_GROUPS: usize = 1_000;

/// What a rule remembers of its groups: the recent rollups have forgotten what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// Hash of what has to come: where it changes, what was heard before says nothing.
    pub query: String,
    /// By fingerprint.
    pub groups: BTreeMap<String, Silence>,
}

/// For how long nothing was heard of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Labels of the group.
    pub labels: Labels,
    /// The newest minute in which it had a value; `None`: never.
    pub newest: Option<Minute>,
    /// For how many minutes somebody saw that there was none. A minute that could not be read, or that nobody
    /// evaluated, is none of them: a value may have come in it.
    pub minutes: i64,
}

impl Silence {
    /// Looks at `minute`, and at what came late before it; `before` is what was remembered. `None` where the metrics
    /// could not be read.
    pub(super) fn after(
        before: Option<&Silence>,
        rule: &Rule,
        query: &Query,
        labels: &Labels,
        selection: &Selection,
        minute: Minute,
    ) -> Option<Silence> {
        let looked_at = if matches!(query.source, Source::Own(_)) { SPAN_MINUTES } else { rule.reach() };
        let window = Window::ending(minute, looked_at);
        let newest = selection.newest(labels, window)?;
        // Of what was before the history, silence says nothing.
        let seen = selection.known_minutes(Window { from: newest.map_or(window.from, |at| at.plus(1)), to: minute });
        let (newest, minutes) = match before {
            None => (newest, seen),
            Some(before) if newest > before.newest => (newest, seen.min(before.minutes + 1)),
            Some(before) => (before.newest, before.minutes + 1),
        };
        Some(Silence { labels: labels.clone(), newest, minutes })
    }

    /// Whether at `minute` nothing has come for `limit` minutes. Where the last that came is longer ago than that, and
    /// not all minutes since then were seen, nobody can say.
    pub(super) fn verdict(&self, minute: Minute, limit: i64) -> Verdict {
        match self.newest {
            _ if self.minutes >= limit => Verdict::Breaching,
            Some(newest) if minute.since(newest) < limit => Verdict::Fine,
            _ => Verdict::Open,
        }
    }
}

/// What `minute` says of each group that was ever heard of.
pub(super) fn findings<'a>(
    rule: &'a Rule,
    absence: &'a Absence,
    minute: Minute,
    samples: &Samples<'a>,
    heard: &mut Heard,
) -> Vec<Finding> {
    let selection = samples.select(&absence.query, &rule.group_by);
    let known = heard.groups.values().map(|silence| Rc::new(silence.labels.clone()));
    let groups: BTreeSet<Rc<Labels>> = selection.groups(minute).into_iter().chain(known).collect();
    let mut findings = Vec::with_capacity(groups.len().min(MAX_GROUPS));
    let mut are_too_many = false;
    for labels in groups {
        if heard.groups.len() >= MAX_GROUPS && !heard.groups.contains_key(&fingerprint(&rule.id, &labels)) {
            are_too_many = true;
        } else {
            findings.extend(finding(rule, absence, minute, &selection, labels, heard));
        }
    }
    if are_too_many {
        add_overflow(&mut findings, other(rule));
    }
    findings
}

fn finding(
    rule: &Rule,
    absence: &Absence,
    minute: Minute,
    selection: &Selection,
    labels: Rc<Labels>,
    heard: &mut Heard,
) -> Option<Finding> {
    let heard = &mut heard.groups;
    let fingerprint = fingerprint(&rule.id, &labels);
    let before = heard.get(&fingerprint);
    let is_new = before.is_none();
    let after = Silence::after(before, rule, &absence.query, &labels, selection, minute);
    let Some(silence) = after else {
        return Some(Finding { labels, verdict: Verdict::Open, value: None, health: Health::Error, ends: None });
    };
    let minutes = silence.minutes;
    if is_new && (silence.newest.is_none() || minutes >= absence.forget_after) {
        return None; // What never came is not missed, nor what is gone for good.
    }
    let verdict = silence.verdict(minute, absence.after);
    let ends = (minutes >= absence.forget_after)
        .then(|| format!("nothing came for {}: it counts as gone for good", span(absence.forget_after)));
    if ends.is_some() {
        heard.remove(&fingerprint);
    } else {
        heard.insert(fingerprint, silence);
    }
    Some(Finding { labels, verdict, value: Some(minutes as f64), health: Health::Ok, ends })
}

/// When it fires, as text.
pub(super) fn condition(absence: &Absence) -> String {
    format!("no value for {}", span(absence.after))
}
