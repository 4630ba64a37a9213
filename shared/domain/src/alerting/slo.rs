//! Rules of kind slo: how fast an error budget burns, over pairs of windows.
//!
//! Windows of up to an hour are read from the recent rollups. For longer ones the evaluator keeps what was bad and what
//! there was at all in buckets of five minutes: each evaluated minute is added once, as it was known then. A window that
//! begins within a bucket takes in the whole of it, so it may be up to four minutes longer.
//!
//! Of a window that is only known in part, what is unknown is neither good nor bad: it burns where what is known is
//! enough even if nothing bad came in the rest (at the same traffic); that it does not burn, nobody can say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;

use super::datapoints::Verdict;
use super::evaluation::{Finding, span};
use super::rules::kind::{BURN, Burn, BurnAlert, Indicator, Slo};
use super::rules::{Labels, Query, Rule};
use super::samples::{Reading, Samples, Selection, Window};
use super::state::{Health, fingerprint};

/// How many groups of a rule have long windows. Those of further ones are unknown, and the rule's health says so.
pub const MAX_GROUPS: usize = 100;

/// The longest window that the recent rollups are read for, in minutes.
const RECENT: i64 = 60;

/// Minutes of a bucket.
const BUCKET: i64 = 5;

/// By how much two equal ratios may differ for rounding.
const ROUNDING: f64 = 1e-9;

/// What is kept of a rule for its long windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Hash of what the rule counts, and how it groups that: where it changes, the history begins anew.
    pub indicator: String,
    /// By fingerprint.
    pub groups: BTreeMap<String, Track>,
}

/// What is kept of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// Labels of the group.
    pub labels: Labels,
    /// The first minute of the first bucket.
    pub from: Minute,
    /// Buckets that follow each other.
    pub buckets: VecDeque<Bucket>,
}

/// Five minutes: how many of them were read, what was bad in them, and what there was at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bucket(pub u8, pub f64, pub f64);

/// What a window holds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Burned {
    bad: f64,
    total: f64,
    /// How many of its minutes are known.
    known: i64,
    /// How many it has.
    minutes: i64,
}

/// What the queries of an indicator have selected.
struct Selected<'a> {
    indicator: &'a Indicator,
    /// All that there is.
    total: (&'a Query, Rc<Selection<'a>>),
    /// What is good or bad of it, where two queries tell it.
    part: Option<(&'a Query, Rc<Selection<'a>>)>,
}

/// What `minute` says of each alert of each group.
pub(super) fn findings<'a>(
    rule: &'a Rule,
    slo: &'a Slo,
    minute: Minute,
    samples: &Samples<'a>,
    budget: &mut Budget,
) -> Vec<Finding> {
    let selected = Selected::of(rule, slo, samples);
    let indicator = keys::fingerprint([format!("{:?} {:?}", slo.indicator, rule.group_by).as_bytes()]);
    if budget.indicator != indicator {
        *budget = Budget { indicator, groups: BTreeMap::new() };
    }
    let known = budget.groups.values().map(|track| Rc::new(track.labels.clone()));
    let groups: BTreeSet<Rc<Labels>> = selected.total.1.groups(minute).into_iter().chain(known).collect();
    let mut findings = Vec::new();
    for labels in groups {
        let health = record(rule, slo, minute, &selected, &labels, budget);
        let track = budget.groups.get(&fingerprint(&rule.id, &labels));
        let burned = |minutes: i64| selected.burned(track, &labels, minute, minutes);
        for alert in &slo.alerts {
            let mut with_burn = (*labels).clone();
            with_burn.insert(BURN.to_owned(), alert.label.to_owned());
            let (verdict, value) = judge(slo, alert, &burned);
            findings.push(Finding { labels: Rc::new(with_burn), verdict, value, health, ends: None });
        }
    }
    findings
}

/// How many times as fast as it may the budget burned over the `minutes` up to a minute (an hour at most), by minute: for
/// charts. `labels` are those of an alert.
pub(crate) fn rate_at<'a>(
    rule: &'a Rule,
    slo: &'a Slo,
    labels: &Labels,
    minutes: i64,
    samples: &Samples<'a>,
) -> impl Fn(Minute) -> Option<f64> {
    let (selected, mut group, minutes) = (Selected::of(rule, slo, samples), labels.clone(), minutes.min(RECENT));
    group.remove(BURN);
    move |minute| selected.burned(None, &group, minute, minutes)?.rate(slo.budget())
}

/// Adds `minute` to the group's buckets, if the rule has long windows.
fn record(
    rule: &Rule,
    slo: &Slo,
    minute: Minute,
    selected: &Selected,
    labels: &Rc<Labels>,
    budget: &mut Budget,
) -> Health {
    let counted = selected.counted(labels, Window::ending(minute, 1));
    let health = if counted.is_some() { Health::Ok } else { Health::Error };
    let longest = windows(slo).max().unwrap_or(0);
    if longest <= RECENT {
        return health;
    }
    let fingerprint = fingerprint(&rule.id, labels);
    if !budget.groups.contains_key(&fingerprint) && budget.groups.len() >= MAX_GROUPS {
        return Health::Error;
    }
    let track = budget.groups.entry(fingerprint.clone()).or_insert_with(|| Track {
        labels: (**labels).clone(),
        from: bucket_of(minute),
        buckets: VecDeque::new(),
    });
    track.add(minute, counted);
    track.forget(bucket_of(minute.plus(1 - longest)));
    if track.buckets.iter().all(|Bucket(_, _, total)| *total == 0.0) && !labels.is_empty() {
        budget.groups.remove(&fingerprint); // A group that is long gone. One that comes back begins anew.
    }
    health
}

/// Whether the alert burns, and how fast: over the long window of the pair that does, or else of the first.
fn judge(slo: &Slo, alert: &BurnAlert, burned: &impl Fn(i64) -> Option<Burned>) -> (Verdict, Option<f64>) {
    let mut verdict = Verdict::Fine;
    let mut value = None;
    for burn in &alert.burns {
        let (long, short) = (burned(burn.long), burned(burn.short));
        let rate = long.and_then(|long| long.rate(slo.budget()));
        value = value.or(rate);
        // Of few, one is soon too much.
        let of_long = long.and_then(|long| match long.burns(burn.factor, slo.budget()) {
            Some(true) if long.total < slo.min_samples as f64 => (long.known >= long.minutes).then_some(false),
            answer => answer,
        });
        let of_short = short.and_then(|short| short.burns(burn.factor, slo.budget()));
        match (of_long, of_short) {
            (Some(true), Some(true)) => return (Verdict::Breaching, rate),
            (Some(false), _) | (_, Some(false)) => {}
            (None, _) | (_, None) => verdict = Verdict::Open,
        }
    }
    (verdict, value)
}

/// When the alert fires, as text.
pub(super) fn condition(alert: &BurnAlert) -> String {
    let pair = |burn: &Burn| format!("{}x over {} and {}", burn.factor, span(burn.long), span(burn.short));
    let pairs: Vec<String> = alert.burns.iter().map(pair).collect();
    format!("burns >= {}", pairs.join(", or "))
}

fn windows(slo: &Slo) -> impl Iterator<Item = i64> {
    slo.alerts.iter().flat_map(|alert| &alert.burns).flat_map(|burn| [burn.long, burn.short])
}

/// The first minute of the bucket that `minute` lies in.
fn bucket_of(minute: Minute) -> Minute {
    let epoch = Minute::of(jiff::Timestamp::UNIX_EPOCH);
    minute.plus(-minute.since(epoch).rem_euclid(BUCKET))
}

impl Burned {
    /// How many times as fast as what would use up the budget in exactly its period. `None` where nothing came.
    fn rate(self, budget: f64) -> Option<f64> {
        (self.total > 0.0).then(|| self.bad / self.total / budget)
    }

    /// Whether it burns at least `factor` times so fast. `None` where nobody can say.
    fn burns(self, factor: f64, budget: f64) -> Option<bool> {
        let rate = self.rate(budget).unwrap_or(0.0);
        let enough = factor * (1.0 - ROUNDING);
        if self.known >= self.minutes {
            return Some(rate >= enough);
        }
        let at_least = rate * self.known as f64 / self.minutes as f64;
        (at_least >= enough).then_some(true)
    }
}

impl<'a> Selected<'a> {
    fn of(rule: &'a Rule, slo: &'a Slo, samples: &Samples<'a>) -> Selected<'a> {
        let select = |query: &'a Query| (query, samples.select(query, &rule.group_by));
        let (total, part) = match &slo.indicator {
            Indicator::Good { good: part, total } | Indicator::Bad { bad: part, total } => (total, Some(part)),
            Indicator::Within { query, .. } => (query, None),
        };
        Selected { indicator: &slo.indicator, total: select(total), part: part.map(select) }
    }

    /// What was bad in the window, and what there was at all. `None` where the metrics could not be read.
    fn counted(&self, labels: &Labels, window: Window) -> Option<(f64, f64)> {
        let read = |(query, selection): &(&Query, Rc<Selection>)| match selection.read(query, labels, window) {
            Reading::Value(value) => Some(value),
            Reading::Nothing => Some(0.0),
            Reading::Unanswered => None,
        };
        let part = self.part.as_ref().map_or(Some(0.0), read);
        match self.indicator {
            Indicator::Within { limit, .. } => {
                let (good, total) = self.total.1.within(labels, window, *limit)?;
                Some((total - good, total))
            }
            // More good ones than all, or more bad ones: the counters came apart. Neither is below nothing.
            Indicator::Good { .. } => read(&self.total).zip(part).map(|(total, good)| ((total - good).max(0.0), total)),
            Indicator::Bad { .. } => read(&self.total).zip(part).map(|(total, bad)| (bad.min(total), total)),
        }
    }

    /// What the `minutes` that end with `minute` hold. `None` where they could not be read.
    fn burned(&self, track: Option<&Track>, labels: &Labels, minute: Minute, minutes: i64) -> Option<Burned> {
        if minutes > RECENT {
            return Some(track?.burned(minute, minutes));
        }
        let window = Window::ending(minute, minutes);
        let (bad, total) = self.counted(labels, window)?;
        Some(Burned { bad, total, known: self.total.1.known_minutes(window), minutes })
    }
}

impl Track {
    /// Adds a minute after all that were added; `None` where it could not be read.
    fn add(&mut self, minute: Minute, counted: Option<(f64, f64)>) {
        if self.buckets.is_empty() {
            self.from = bucket_of(minute);
        }
        let at = usize::try_from(minute.since(self.from) / BUCKET).unwrap_or(0);
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, Bucket::default());
        }
        if let (Some(Bucket(known, bad, total)), Some(counted)) = (self.buckets.get_mut(at), counted) {
            *known = known.saturating_add(1);
            *bad += counted.0;
            *total += counted.1;
        }
    }

    /// Forgets the buckets before the one that begins with `from`.
    fn forget(&mut self, from: Minute) {
        while self.from < from && self.buckets.pop_front().is_some() {
            self.from = self.from.plus(BUCKET);
        }
    }

    fn burned(&self, minute: Minute, minutes: i64) -> Burned {
        let first = bucket_of(minute.plus(1 - minutes)).since(self.from) / BUCKET;
        let taken = self.buckets.iter().skip(usize::try_from(first).unwrap_or(0));
        let nothing = Burned { bad: 0.0, total: 0.0, known: 0, minutes };
        taken.fold(nothing, |sum, Bucket(known, bad, total)| Burned {
            bad: sum.bad + bad,
            total: sum.total + total,
            known: (sum.known + i64::from(*known)).min(minutes),
            ..sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::testing::minute;

    #[test]
    fn a_window_burns_or_does_not_or_nobody_can_say() {
        for (why, bad, total, known, expected) in [
            ("exactly ten times too fast", 10.0, 100.0, 60, Some(true)),
            ("a little slower", 9.9, 100.0, 60, Some(false)),
            ("nothing came", 0.0, 0.0, 60, Some(false)),
            ("everything fails", 5.0, 5.0, 60, Some(true)),
            ("half is known, and enough for the whole", 20.0, 100.0, 30, Some(true)),
            ("half is known, and not enough for the whole", 19.0, 100.0, 30, None),
            ("nothing is known", 0.0, 0.0, 0, None),
        ] {
            let burned = Burned { bad, total, known, minutes: 60 };
            assert_eq!(burned.burns(10.0, 1.0 - 0.99), expected, "{why}");
        }
    }

    #[test]
    fn a_total_failure_burns_as_fast_as_can_be_whatever_the_rounding() {
        for objective in [0.9, 0.99, 0.995, 0.999, 0.9999] {
            let budget = 1.0 - objective;
            let burned = Burned { bad: 7.0, total: 7.0, known: 5, minutes: 5 };
            assert_eq!(burned.burns(1.0 / budget, budget), Some(true), "{objective}");
        }
    }

    #[test]
    fn buckets_hold_what_was_added_as_long_as_a_window_needs_it() {
        // 10:00 begins a bucket.
        let mut track = Track { labels: Labels::new(), from: minute(0), buckets: VecDeque::new() };
        for at in 3..=130 {
            track.add(minute(at), (at != 100).then_some((1.0, 10.0)));
            track.forget(bucket_of(minute(at - 119)));
        }
        // 120 minutes that end at 130 begin at 11, in the bucket of 10 to 14.
        assert_eq!((track.from, track.buckets.len()), (minute(10), 25));
        let burned = track.burned(minute(130), 120);
        assert_eq!(burned, Burned { bad: 120.0, total: 1_200.0, known: 120, minutes: 120 });
        assert_eq!(track.burned(minute(130), 65).total, 650.0, "from 65 on, without 100");
        // After a gap the minutes between are there, and unknown.
        track.add(minute(200), Some((0.0, 10.0)));
        assert_eq!(track.burned(minute(200), 70), Burned { bad: 1.0, total: 20.0, known: 2, minutes: 70 });
    }
}
