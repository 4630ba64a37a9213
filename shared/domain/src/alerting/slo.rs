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
use super::evaluation::{Finding, add_overflow, other, span};
use super::rules::kind::{BURN, Burn, BurnAlert, Indicator, Slo};
use super::rules::{Labels, Query, Rule};
use super::samples::{Reading, Samples, Selection, Window};
use super::state::{Health, fingerprint};

/// How many groups of a rule are looked at. What comes beyond is not, and the rule's health says so.
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

/// Five minutes: how many of them were read, what was counted in them of the part that the rule asks for (good, or bad),
/// and what there was at all. As it was counted: two counters do not come in the same minute, so that only of a whole
/// window it can be said what was bad.
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

/// Hash of what the rule counts, and how it groups that.
pub(super) fn identity(rule: &Rule, slo: &Slo) -> String {
    let indicator = match &slo.indicator {
        Indicator::Good { good, total } => format!("good {} of {}", good.identity(), total.identity()),
        Indicator::Bad { bad, total } => format!("bad {} of {}", bad.identity(), total.identity()),
        Indicator::Within { query, limit } => format!("{} within {limit}", query.identity()),
    };
    keys::fingerprint([indicator.as_bytes(), rule.group_by.join(",").as_bytes()])
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
    let known = budget.groups.values().map(|track| Rc::new(track.labels.clone()));
    let groups: BTreeSet<Rc<Labels>> = selected.total.1.groups(minute).into_iter().chain(known).collect();
    let mut findings = Vec::new();
    let (mut new, mut are_too_many) = (0, false);
    for labels in groups {
        if !budget.groups.contains_key(&fingerprint(&rule.id, &labels)) {
            // Where there are no long windows none is remembered: all of them are new then.
            if budget.groups.len().max(new) >= MAX_GROUPS {
                are_too_many = true;
                continue;
            }
            new += 1;
        }
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
    for alert in slo.alerts.iter().filter(|_| are_too_many) {
        let mut with_burn = other(rule);
        with_burn.insert(BURN.to_owned(), alert.label.to_owned());
        add_overflow(&mut findings, with_burn);
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

/// What was bad of a window, given what was counted in it. More good ones than all, or more bad ones: the counters came
/// apart at its ends. Neither is below nothing.
fn bad_of(indicator: &Indicator, part: f64, total: f64) -> f64 {
    match indicator {
        Indicator::Good { .. } => (total - part).max(0.0),
        Indicator::Bad { .. } => part.min(total),
        Indicator::Within { .. } => part,
    }
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

    /// What was counted of the part in the window, and what there was at all. `None` where the metrics could not be read.
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
            Indicator::Good { .. } | Indicator::Bad { .. } => part.zip(read(&self.total)),
        }
    }

    /// What the `minutes` that end with `minute` hold. `None` where they could not be read.
    fn burned(&self, track: Option<&Track>, labels: &Labels, minute: Minute, minutes: i64) -> Option<Burned> {
        if minutes > RECENT {
            return Some(track?.burned(minute, minutes, self.indicator));
        }
        let window = Window::ending(minute, minutes);
        let (part, total) = self.counted(labels, window)?;
        let bad = bad_of(self.indicator, part, total);
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
        if let (Some(Bucket(known, part, total)), Some(counted)) = (self.buckets.get_mut(at), counted) {
            *known = known.saturating_add(1);
            *part += counted.0;
            *total += counted.1;
        }
    }

    /// Forgets the buckets before the one that begins with `from`.
    fn forget(&mut self, from: Minute) {
        while self.from < from && self.buckets.pop_front().is_some() {
            self.from = self.from.plus(BUCKET);
        }
    }

    fn burned(&self, minute: Minute, minutes: i64, indicator: &Indicator) -> Burned {
        let first = bucket_of(minute.plus(1 - minutes)).since(self.from) / BUCKET;
        let taken = self.buckets.iter().skip(usize::try_from(first).unwrap_or(0));
        let (known, part, total) = taken.fold((0, 0.0, 0.0), |sum, Bucket(known, part, total)| {
            (sum.0 + i64::from(*known), sum.1 + part, sum.2 + total)
        });
        Burned { bad: bad_of(indicator, part, total), total, known: known.min(minutes), minutes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alerting::rules::{Source, Statistic};
    use crate::alerting::testing::minute;
    use crate::metrics::registry;

    fn indicator(is_of_good: bool) -> Indicator {
        let metric = registry::find("api_requests").unwrap();
        let (source, statistic, filters) = (Source::Own(metric), Statistic::Sum, BTreeMap::new());
        let total = Query { source, statistic, filters, fill_zero: false, min_samples: 0 };
        let part = total.clone();
        if is_of_good { Indicator::Good { good: part, total } } else { Indicator::Bad { bad: part, total } }
    }

    proptest! {
        /// However the two counters jitter, what the buckets say of a window is what its sums say.
        #[test]
        fn buckets_say_of_a_window_what_its_sums_say(
            minutes in prop::collection::vec((0..20u8, 0..20u8), 5..200),
            is_of_good: bool,
        ) {
            let indicator = indicator(is_of_good);
            let mut track = Track { labels: Labels::new(), from: minute(0), buckets: VecDeque::new() };
            let (mut part, mut total) = (0.0, 0.0);
            for (at, counted) in (0..).zip(&minutes) {
                let counted = (f64::from(counted.0), f64::from(counted.1));
                (part, total) = (part + counted.0, total + counted.1);
                track.add(minute(at), Some(counted));
            }
            let length = minutes.len() as i64;
            let burned = track.burned(minute(length - 1), length, &indicator);
            let bad = if is_of_good { (total - part).max(0.0) } else { part.min(total) };
            prop_assert_eq!(burned, Burned { bad, total, known: length, minutes: length });
        }
    }

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
        let bad = indicator(false);
        // 10:00 begins a bucket.
        let mut track = Track { labels: Labels::new(), from: minute(0), buckets: VecDeque::new() };
        for at in 3..=130 {
            track.add(minute(at), (at != 100).then_some((1.0, 10.0)));
            track.forget(bucket_of(minute(at - 119)));
        }
        // 120 minutes that end at 130 begin at 11, in the bucket of 10 to 14.
        assert_eq!((track.from, track.buckets.len()), (minute(10), 25));
        let burned = track.burned(minute(130), 120, &bad);
        assert_eq!(burned, Burned { bad: 120.0, total: 1_200.0, known: 120, minutes: 120 });
        assert_eq!(track.burned(minute(130), 65, &bad).total, 650.0, "from 65 on, without 100");
        // After a gap the minutes between are there, and unknown.
        track.add(minute(200), Some((0.0, 10.0)));
        assert_eq!(track.burned(minute(200), 70, &bad), Burned { bad: 1.0, total: 20.0, known: 2, minutes: 70 });
    }
}
