//! What rules would have done: the same engine and policy as the evaluator's, played minute by minute over stored
//! metrics.
//!
//! A [`Backtest`] plays the rules of one file; several can be played over the same [`PastMetrics`], which hold no more
//! than the engine looks at. What is played is what is known today: lines that came late are in the rollups now, and the
//! evaluator had decided without them. Silences are not played, since they were for what happened then.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::Minute;
use crate::metrics::recent::{RecentRollups, SPAN_MINUTES};
use crate::metrics::rollup::Rollup;

use super::engine::{Due, ForeignRead, Tick, evaluate, foreign_read};
use super::episode::Episode;
use super::notification::Notification;
use super::policy::{self, Policy, PolicyState, Silences};
use super::rules::kind::Kind;
use super::rules::{Labels, Rule, RuleSet};
use super::samples::ForeignValues;
use super::state::{AlertState, Health};

mod diff;
mod table;

pub use diff::{Change, Diff, RuleDiff};

/// Minutes without any rollup that are told: a platform at work tells something every minute, so this long a silence
/// rather means that nothing was recorded.
pub const TOLD_GAP: i64 = 15;

/// The metrics around the minute that is played.
#[derive(Debug, Default)]
pub struct PastMetrics {
    recent: RecentRollups,
    foreign: ForeignValues,
}

impl PastMetrics {
    /// Takes in the next minute, in order; `None` where there is no rollup of it, which is nothing recorded. What the
    /// engine no longer looks at is forgotten.
    pub fn take_in(&mut self, minute: Minute, rollup: Option<&Rollup>) {
        if let Some(rollup) = rollup {
            self.recent.update(rollup);
        }
        // As if the flusher had just been there: what comes after the minute is of no account for it.
        self.recent.flushed(minute.plus(1));
        self.recent.forget(minute.plus(1));
    }

    /// What CloudWatch says of the minutes that are played next, and of those before that rules look back at
    /// ([`foreign_read_of`]). It takes the place of what it said before.
    pub fn answered(&mut self, values: ForeignValues) {
        self.foreign = values;
    }
}

/// What `rules` need of CloudWatch for the minutes from `from` to `to`.
pub fn foreign_read_of(rules: &RuleSet, from: Minute, to: Minute) -> ForeignRead {
    foreign_read(rules, Due { from, to, skipped: 0 })
}

/// How many minutes have to be played before those that count, so that each rule knows by then what it would have
/// known: what it looks back at, and what it waits for.
pub fn warm_up(rules: &RuleSet) -> i64 {
    let of_rule = |rule: &Rule| {
        let looks_back = match &rule.kind {
            Kind::Slo(slo) => slo.alerts.iter().flat_map(|alert| &alert.burns).map(|burn| burn.long).max().unwrap_or(0),
            Kind::Absence(absence) => absence.forget_after,
            Kind::Heartbeat(heartbeat) => heartbeat.every + heartbeat.grace,
            Kind::Metric(_) | Kind::Composite(_) | Kind::Event(_) => rule.reach(),
        };
        looks_back + rule.hold.max(rule.keep_firing_for)
    };
    rules.rules.iter().map(of_rule).max().unwrap_or(0).max(SPAN_MINUTES)
}

/// The rules of one file at play.
#[derive(Debug)]
pub struct Backtest<'a> {
    rules: &'a RuleSet,
    policy: &'a Policy,
    silences: Silences,
    counted_from: Minute,
    flap_within: i64,
    state: Option<AlertState>,
    told: PolicyState,
    episodes: Vec<Played>,
    /// Episodes that have not ended, by fingerprint, as places in `episodes`.
    open: BTreeMap<String, usize>,
    ended: BTreeMap<String, Minute>,
    tallies: BTreeMap<String, Tally>,
    notifications: usize,
}

/// What is counted of a rule while it is played.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    flaps: usize,
    notifications: usize,
    nodata_minutes: i64,
    error_minutes: i64,
}

/// An episode that was played.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Played {
    /// Id of the rule.
    pub rule: String,
    /// Labels of the group.
    pub labels: Labels,
    /// The minute in which it began to fire.
    pub since: Minute,
    /// The minute that ended it; `None` where it still fired at the end.
    pub until: Option<Minute>,
    /// What it said when it began.
    pub summary: String,
    #[serde(skip)]
    fingerprint: String,
}

impl<'a> Backtest<'a> {
    /// Of `rules` under `policy`. What happens from `counted_from` on counts; that an alert fires again within
    /// `flap_within` minutes of its end is a flap.
    pub fn new(rules: &'a RuleSet, policy: &'a Policy, counted_from: Minute, flap_within: i64) -> Backtest<'a> {
        Backtest {
            rules,
            policy,
            silences: Silences::default(),
            counted_from,
            flap_within,
            state: None,
            told: PolicyState::default(),
            episodes: Vec::new(),
            open: BTreeMap::new(),
            ended: BTreeMap::new(),
            tallies: BTreeMap::new(),
            notifications: 0,
        }
    }

    /// Plays `minute`, which `metrics` have taken in last. Minutes are played in order and without gaps.
    pub fn play(&mut self, minute: Minute, metrics: &PastMetrics) {
        let now = self.tick_of(minute);
        let due = Due { from: minute, to: minute, skipped: 0 };
        let tick = Tick::new(now, Some(due), self.rules, &metrics.recent, &metrics.foreign);
        let outcome = evaluate(&tick, self.state.take());
        for episode in &outcome.changes {
            self.note(episode);
        }
        let told = std::mem::take(&mut self.told);
        let decision = policy::decide(self.policy, &self.silences, told, &outcome.changes, now);
        self.told = decision.state;
        if minute >= self.counted_from {
            decision.notifications.iter().for_each(|notification| self.count(notification));
            self.count_health(&outcome.state);
        }
        self.state = Some(outcome.state);
    }

    /// When the evaluator, which comes every minute, evaluates `minute`.
    fn tick_of(&self, minute: Minute) -> Timestamp {
        let delay = self.rules.evaluation_delay.as_secs().div_ceil(60);
        minute.plus(1 + i64::try_from(delay).unwrap_or(0)).start()
    }

    fn note(&mut self, episode: &Episode) {
        let fingerprint = &episode.fingerprint;
        if let Some(ended) = &episode.ended {
            if let Some(at) = self.open.remove(fingerprint) {
                self.episodes[at].until = Some(ended.at);
            }
            self.ended.insert(fingerprint.clone(), ended.at);
            return;
        }
        let again = self.ended.get(fingerprint).is_some_and(|&end| episode.since.since(end) <= self.flap_within);
        if again && episode.since >= self.counted_from {
            self.tallies.entry(episode.rule.clone()).or_default().flaps += 1;
        }
        self.open.insert(fingerprint.clone(), self.episodes.len());
        self.episodes.push(Played {
            rule: episode.rule.clone(),
            labels: episode.labels.clone(),
            since: episode.since,
            until: None,
            summary: episode.summary.clone(),
            fingerprint: fingerprint.clone(),
        });
    }

    fn count(&mut self, notification: &Notification) {
        self.notifications += 1;
        let about = notification.firing.iter().chain(&notification.resolved);
        let rules: BTreeSet<&String> = about.map(|episode| &episode.rule).collect();
        for rule in rules {
            self.tallies.entry(rule.clone()).or_default().notifications += 1;
        }
    }

    fn count_health(&mut self, state: &AlertState) {
        let with = |health: Health| -> BTreeSet<String> {
            let alerts = state.alerts.values().filter(|alert| alert.health == health);
            alerts.map(|alert| alert.rule.clone()).collect()
        };
        for rule in with(Health::NoData) {
            self.tallies.entry(rule).or_default().nodata_minutes += 1;
        }
        for rule in with(Health::Error) {
            self.tallies.entry(rule).or_default().error_minutes += 1;
        }
    }

    /// What it came to, the minute before `until` being the last that was played.
    pub fn report(self, until: Minute) -> Report {
        let from = self.counted_from;
        let mut names: Vec<(String, &'static str)> =
            self.rules.rules.iter().map(|rule| (rule.id.clone(), rule.severity.as_str())).collect();
        // Alerts about the evaluation itself are of no rule of the file.
        let others: BTreeSet<&String> = self.episodes.iter().map(|played| &played.rule).collect();
        let others = others.into_iter().filter(|rule| self.rules.rules.iter().all(|known| known.id != **rule));
        names.extend(others.map(|rule| (rule.clone(), "-")));
        let rules = names.into_iter().map(|(rule, severity)| {
            let tally = self.tallies.get(&rule).copied().unwrap_or_default();
            let episodes = self.episodes.iter().filter(|played| played.rule == rule);
            let episodes = episodes.filter(|played| played.until.is_none_or(|end| end > from)).cloned();
            RuleReport::of(rule.clone(), severity, episodes.collect(), tally, (from, until))
        });
        Report { from, until, notifications: self.notifications, rules: rules.collect() }
    }
}

/// What the rules of a file would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The first minute that counts.
    pub from: Minute,
    /// The minute after the last.
    pub until: Minute,
    /// Notifications that would have been sent. One that speaks of several rules is one.
    pub notifications: usize,
    /// The rules in the order of the file; then the alerts about the evaluation itself, where any fired.
    pub rules: Vec<RuleReport>,
}

/// What a rule would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleReport {
    /// Its id.
    pub rule: String,
    /// Its severity.
    pub severity: &'static str,
    /// How often an alert of it began to fire.
    pub fired: usize,
    /// For how many minutes its alerts fired, added up.
    pub firing_minutes: i64,
    /// For how many minutes the longest did.
    pub longest_minutes: i64,
    /// How often an alert fired again soon after its end.
    pub flaps: usize,
    /// Notifications that speak of it.
    pub notifications: usize,
    /// Minutes in which it lacked data and called that a fault.
    pub nodata_minutes: i64,
    /// Minutes in which its metrics could not be read.
    pub error_minutes: i64,
    /// When it fired, in order; an episode that began before the first minute that counts among them.
    pub episodes: Vec<Played>,
}

impl RuleReport {
    fn of(
        rule: String,
        severity: &'static str,
        episodes: Vec<Played>,
        tally: Tally,
        (from, until): (Minute, Minute),
    ) -> RuleReport {
        let lasted = |played: &Played| played.until.unwrap_or(until).since(played.since.max(from));
        RuleReport {
            rule,
            severity,
            fired: episodes.iter().filter(|played| played.since >= from).count(),
            firing_minutes: episodes.iter().map(lasted).sum(),
            longest_minutes: episodes.iter().map(lasted).max().unwrap_or(0),
            flaps: tally.flaps,
            notifications: tally.notifications,
            nodata_minutes: tally.nodata_minutes,
            error_minutes: tally.error_minutes,
            episodes,
        }
    }
}

/// Minutes of which there is no rollup at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first.
    pub from: Minute,
    /// The minute after the last.
    pub until: Minute,
}

/// What is found in storage while minutes are played.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Minutes that there is a rollup of.
    pub recorded: i64,
    /// Minutes played.
    pub played: i64,
    /// Silences of [`TOLD_GAP`] minutes and more.
    pub gaps: Vec<Gap>,
    #[serde(skip)]
    silent_since: Option<Minute>,
}

impl Coverage {
    /// Notes `minute`, in order.
    pub fn note(&mut self, minute: Minute, is_recorded: bool) {
        self.played += 1;
        if is_recorded {
            self.recorded += 1;
            self.end_silence(minute);
        } else {
            self.silent_since.get_or_insert(minute);
        }
    }

    /// Ends it before `until`.
    pub fn end(&mut self, until: Minute) {
        self.end_silence(until);
    }

    fn end_silence(&mut self, until: Minute) {
        let gap = self.silent_since.take().map(|from| Gap { from, until });
        self.gaps.extend(gap.filter(|gap| gap.until.since(gap.from) >= TOLD_GAP));
    }
}

#[cfg(test)]
mod tests;
