//! The evaluation: rules, metrics and the last state in; the next state, with what has changed, out.
//!
//! Every whole minute is evaluated once, in order, when its metrics have had time to arrive and the
//! flusher has taken them in: while it is stopped or late nothing is evaluated, because no metrics are
//! not the same as nothing happening. Minutes that were missed, for whatever reason, are caught up by the
//! next tick, as far as the recent rollups reach.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;

use crate::Minute;
use crate::keys;
use crate::metrics::recent::RecentRollups;
use crate::ports::{MetricQuery, Unanswered};

use super::absence::Heard;
use super::board::{Board, Held, HeldAlert};
use super::datapoints::Verdict;
use super::episode::{Episode, Origin};
use super::evaluation::{Finding, Past, Told, advance, end, forget_firings, has_alert, told};
use super::event::{self, SecurityEvent};
use super::lifecycle::Phase;
use super::rules::kind::{Absence, Heartbeat, Kind};
use super::rules::{Labels, Rule, RuleSet, Severity};
use super::samples::{ForeignValues, Samples, oldest_kept};
use super::slo::Budget;
use super::state::{Alert, AlertState, Health};
use super::{absence, composite, heartbeat, slo, threshold};

/// Id of the alert about the operators' rule file.
pub const RULES_INVALID: &str = "rules_invalid";
/// Id of the alert about their notification policy.
pub const POLICY_INVALID: &str = "policy_invalid";
/// Id of the alert about their silences.
pub const SILENCES_INVALID: &str = "silences_invalid";
/// Id of alerts that say that a rule has no data.
pub const NO_DATA: &str = "no_data";
/// Id of alerts that say that what a rule reads could not be read.
pub const EVALUATION_ERROR: &str = "evaluation_error";

/// Files of the operators, by the ids of the alerts about them.
pub const FILES: [(&str, &str); 3] =
    [(RULES_INVALID, "rule file"), (POLICY_INVALID, "notification policy"), (SILENCES_INVALID, "file of silences")];

/// The label of [`NO_DATA`] and [`EVALUATION_ERROR`] that names the rule, beside those of its alert. Not `rule`: that is
/// what every alert's own rule is called where alerts are matched.
pub const RULE: &str = "of_rule";

/// Class of alerts about the evaluation itself.
const SYSTEM: &str = "system";

/// For how many minutes an alert has to be unwell before that is told: what passes is not worth a message.
const UNWELL_FOR: i64 = 5;

/// How long a resolved alert stays in the state, in minutes, for people who look at it.
const RESOLVED_KEPT: i64 = 24 * 60;

/// How many of them stay at most, the newest.
const MAX_RESOLVED: usize = 1_000;

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

impl Due {
    /// The minutes, in order.
    fn minutes(self) -> impl Iterator<Item = Minute> {
        (0..=self.to.since(self.from)).map(move |offset| self.from.plus(offset))
    }
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
    let evaluated = state.filter(|state| state.has_evaluated()).map(|state| state.evaluated_until);
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
    /// The moment that the tick stands for.
    pub now: Timestamp,
    /// The minutes whose metrics are to be evaluated; `None` where none are due.
    pub due: Option<Due>,
    /// The rules in force.
    pub rules: &'a RuleSet,
    /// Our metrics.
    pub recent: &'a RecentRollups,
    /// Those of AWS.
    pub foreign: &'a ForeignValues,
    /// Why series of AWS are not among them, for whoever is told that rules can't be evaluated.
    pub unanswered: &'a BTreeMap<MetricQuery, Unanswered>,
    /// Security events that no tick has taken in before.
    pub events: &'a [SecurityEvent],
    /// What is wrong with the operators' files; of a file that is in order there is none.
    pub problems: &'a [FileProblem],
}

impl<'a> Tick<'a> {
    /// Without events and problems.
    pub fn new(
        now: Timestamp,
        due: Option<Due>,
        rules: &'a RuleSet,
        recent: &'a RecentRollups,
        foreign: &'a ForeignValues,
    ) -> Tick<'a> {
        static ALL_ANSWERED: BTreeMap<MetricQuery, Unanswered> = BTreeMap::new();
        Tick { now, due, rules, recent, foreign, unanswered: &ALL_ANSWERED, events: &[], problems: &[] }
    }
}

/// What is wrong with a file of the operators, so that it is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// Id of the alert about it: one of [`FILES`].
    pub alert: &'static str,
    /// How many mistakes there are; at least 1.
    pub mistakes: usize,
    /// All of them, in words.
    pub text: String,
}

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The next state.
    pub state: AlertState,
    /// Episodes that began or ended, in order.
    pub changes: Vec<Episode>,
}

/// Evaluates the events that have come, then the minutes that are due, one after the other.
pub fn evaluate(tick: &Tick, state: Option<AlertState>) -> Outcome {
    let now = Minute::of(tick.now);
    let mut state = state.unwrap_or_else(|| AlertState::starting(tick.due.map_or(now, |due| due.from)));
    if let Some(due) = tick.due {
        if !state.has_evaluated() {
            state.history_from = due.from;
        }
        if due.skipped > 0 {
            forget_waits(&mut state);
        }
    }
    let samples = Samples::new(tick.recent, tick.foreign, state.history_from);
    let rules = tick.rules.in_order();
    let board = Board::of(std::mem::take(&mut state.alerts));
    let mut work = Work { unanswered: tick.unanswered, board, state, changes: Vec::new() };
    let next = work.state.evaluated_until.plus(1);
    work.let_go(&rules, tick.due.map_or(next, |due| due.from), now);
    work.take_in(&rules, tick.events, now);
    for minute in tick.due.into_iter().flat_map(Due::minutes) {
        for rule in &rules {
            work.evaluate(rule, minute, &samples);
        }
        work.end_watches(minute);
        work.state.evaluated_until = minute;
    }
    for (id, file) in FILES {
        work.evaluate_file(id, file, tick.problems, now);
    }
    work.forget(tick.due.map_or(now, |due| due.to));
    let Work { board, mut state, changes, .. } = work;
    state.alerts = board.into_alerts();
    Outcome { state, changes }
}

/// After minutes that nobody will ever see every wait begins again: whether it went on through them is not known. What
/// fires goes on firing.
fn forget_waits(state: &mut AlertState) {
    for alert in state.alerts.values_mut() {
        alert.phase = alert.phase.after_gap();
    }
    let alerts = &state.alerts;
    let fires = |fingerprint: &String| alerts.get(fingerprint).is_some_and(|alert| alert.phase.is_firing());
    for (fingerprint, silence) in state.heard.values_mut().flat_map(|heard| &mut heard.groups) {
        if !fires(fingerprint) {
            silence.minutes = 0;
        }
    }
}

/// A tick at work.
struct Work<'t> {
    unanswered: &'t BTreeMap<MetricQuery, Unanswered>,
    board: Board,
    /// All of it but the alerts, which are on the board.
    state: AlertState,
    changes: Vec<Episode>,
}

impl Work<'_> {
    /// Evaluates the rules on events up to the minute `now`.
    fn take_in(&mut self, rules: &[&Rule], events: &[SecurityEvent], now: Minute) {
        let first = self.state.events.until.unwrap_or(now);
        let last = now.max(first);
        // Once for all rules.
        let events: Vec<(&SecurityEvent, Labels)> = events.iter().map(|event| (event, event.fields())).collect();
        for rule in rules {
            let Kind::Event(kind) = &rule.kind else { continue };
            let mut counts = self.state.events.counts.remove(&rule.id).unwrap_or_default();
            event::count(rule, kind, &events, (first, last), &mut counts);
            let mut held = self.board.take(&rule.id);
            let foregone = foregone(rule, &mut held);
            let mut minute = first;
            while minute <= last && !(counts.is_empty() && held.is_empty()) {
                for finding in event::findings(rule, kind, minute, &mut counts, &held) {
                    self.changes.extend(advance_rule(rule, finding, minute, &mut held, &mut self.state.past));
                }
                held.retain(|_, held| !is_forgotten(&held.alert, minute));
                minute = minute.plus(1);
            }
            held.extend(foregone);
            self.board.put(&rule.id, held);
            if !counts.is_empty() {
                self.state.events.counts.insert(rule.id.clone(), counts);
            }
        }
        self.state.events.until = Some(last);
    }

    /// Evaluates one rule in one minute.
    fn evaluate<'a>(&mut self, rule: &'a Rule, minute: Minute, samples: &Samples<'a>) {
        let mut held = self.board.take(&rule.id);
        let foregone = foregone(rule, &mut held);
        let findings = match &rule.kind {
            Kind::Metric(threshold) => threshold::findings(rule, threshold, minute, samples, &held),
            Kind::Slo(slo) => {
                let budget = remembered(&mut self.state.budgets, &rule.id);
                slo::findings(rule, slo, minute, samples, budget)
            }
            Kind::Absence(absence) => {
                let heard = remembered(&mut self.state.heard, &rule.id);
                absence::findings(rule, absence, minute, samples, heard)
            }
            Kind::Heartbeat(heartbeat) => {
                let heard = remembered(&mut self.state.heard, &rule.id);
                heartbeat::findings(rule, heartbeat, minute, samples, heard)
            }
            Kind::Composite(composite) => composite::findings(rule, composite, &self.board, &held),
            Kind::Event(_) => return self.board.put(&rule.id, held.into_iter().chain(foregone).collect()), // As they come, and not by minutes of metrics.
        };
        let mut unknown = BTreeSet::new();
        let mut left: BTreeSet<Labels> = held.keys().cloned().collect();
        for finding in findings {
            let (labels, health) = (Rc::clone(&finding.labels), finding.health);
            let was_held = left.remove(&*labels);
            if health != Health::Ok || matches!(finding.verdict, Verdict::Open | Verdict::NoData) {
                unknown.insert(Rc::clone(&labels));
            }
            self.changes.extend(advance_rule(rule, finding, minute, &mut held, &mut self.state.past));
            // An alert that is not well is held, so that it was held where it is well again.
            if was_held || health != Health::Ok {
                self.watch(rule, &labels, health, minute);
            }
        }
        for labels in left {
            match held.get_mut(&labels).map(|held| &mut held.alert) {
                Some(alert) if matches!(alert.phase, Phase::Resolved { .. }) => alert.health = Health::Ok,
                Some(alert) => {
                    self.changes.extend(end(alert, minute, None, "nothing is known of its group any more"));
                }
                None => {}
            }
            self.watch(rule, &labels, Health::Ok, minute);
        }
        self.board.set_unknown(&rule.id, unknown);
        held.extend(foregone);
        held.retain(|_, held| !is_forgotten(&held.alert, minute));
        self.board.put(&rule.id, held);
    }

    /// Moves the alerts on which say that the alert of `rule` with these labels can't be evaluated.
    fn watch(&mut self, rule: &Rule, labels: &Labels, health: Health, minute: Minute) {
        for (id, watched) in [(NO_DATA, Health::NoData), (EVALUATION_ERROR, Health::Error)] {
            if health != watched && self.board.alerts_of(id).next().is_none() {
                continue;
            }
            let mut of_rule = labels.clone();
            of_rule.insert(RULE.to_owned(), rule.id.clone());
            let verdict = match health {
                _ if health == watched => Verdict::Breaching,
                Health::Error => Verdict::Open, // Whether there are data, nobody knows then.
                Health::Ok | Health::NoData => Verdict::Fine,
            };
            let finding = Finding { labels: Rc::new(of_rule), verdict, value: None, health: Health::Ok, ends: None };
            let unanswered = self.unanswered;
            let told = |_: &Labels, _: Option<f64>| told_of_health(rule, labels, id, health, unanswered);
            let mut held = self.board.take(id);
            self.changes.extend(advance(id, finding, minute, (UNWELL_FOR, 0), &mut held, &mut self.state.past, told));
            self.board.put(id, held);
        }
    }

    /// Ends what tells of alerts that they can't be evaluated, where these can, or are held no more: nothing would move it
    /// on again.
    fn end_watches(&mut self, minute: Minute) {
        for id in [NO_DATA, EVALUATION_ERROR] {
            let mut held = self.board.take(id);
            for HeldAlert { alert, .. } in held.values_mut() {
                let mut labels = alert.labels.clone();
                let watched = labels.remove(RULE).and_then(|rule| self.board.alert(&rule, &labels));
                if watched.is_none_or(|watched| watched.health == Health::Ok) && !alert.phase.is_over() {
                    self.changes.extend(end(
                        alert,
                        minute,
                        None,
                        "it is not true any more of the alert that it speaks of",
                    ));
                }
            }
            self.board.put(id, held);
        }
    }

    /// Moves the alert about one of the operators' files on.
    fn evaluate_file(&mut self, id: &'static str, file: &str, problems: &[FileProblem], now: Minute) {
        let problem = problems.iter().find(|problem| problem.alert == id);
        let mistakes = problem.map_or(0, |problem| problem.mistakes);
        let verdict = if problem.is_some() { Verdict::Breaching } else { Verdict::Fine };
        let value = Some(mistakes as f64);
        let finding = Finding { labels: Rc::default(), verdict, value, health: Health::Ok, ends: None };
        let summary = match problem {
            Some(FileProblem { text, .. }) => format!("The {file} has mistakes; {}.\n{text}", self.in_force(id)),
            None => format!("The {file} is in order again."),
        };
        let told = |_: &Labels, _: Option<f64>| Told {
            class: SYSTEM.to_owned(),
            severity: Severity::Error,
            service: "all".to_owned(),
            condition: "> 0".to_owned(),
            summary: summary.clone(),
            runbook_url: None,
            origin: Origin::Rule {},
        };
        let mut held = self.board.take(id);
        // Other mistakes are another episode: whoever mends the file reads what is wrong with it now.
        let is_other = |alert: &Alert| alert.fired.as_ref().is_some_and(|fired| fired.summary != summary);
        if let (Some(_), Some(held)) = (problem, held.values_mut().find(|held| is_other(&held.alert))) {
            self.changes.extend(end(&mut held.alert, now, value, "its mistakes are others now"));
        }
        self.changes.extend(advance(id, finding, now, (0, 0), &mut held, &mut self.state.past, told));
        self.board.put(id, held);
    }

    /// What holds instead of a file of the operators that has mistakes.
    fn in_force(&self, id: &str) -> &'static str {
        let (accepted, otherwise) = match id {
            RULES_INVALID => (&self.state.accepted_rules, "the built-in one is in force"),
            POLICY_INVALID => (&self.state.accepted_policy, "the built-in one is in force"),
            _ => (&self.state.accepted_silences, "none is in force"),
        };
        if accepted.is_some() { "the last good one stays in force" } else { otherwise }
    }

    /// Ends alerts whose rule, or whose group, is no longer in the rule file, and forgets what was remembered for them:
    /// nothing else ever would. Alerts on metrics end at `next`, the next minute to be evaluated, since one whose rule is put
    /// back fires from there on; those on events at `now`.
    fn let_go(&mut self, rules: &[&Rule], next: Minute, now: Minute) {
        let rules: BTreeMap<&str, &Rule> = rules.iter().map(|rule| (rule.id.as_str(), *rule)).collect();
        let is_owned = |id: &str, labels: &Labels| rules.get(id).is_some_and(|rule| has_alert(rule, labels));
        for held in self.board.all_mut().filter(|held| !matches!(held.alert.phase, Phase::Resolved { .. })) {
            let Alert { rule, labels, .. } = &held.alert;
            let is_owned = match rule.as_str() {
                NO_DATA | EVALUATION_ERROR => {
                    let mut labels = labels.clone();
                    labels.remove(RULE).is_some_and(|id| is_owned(&id, &labels))
                }
                id => FILES.iter().any(|(file, _)| *file == id) || is_owned(id, labels),
            };
            if !is_owned {
                let is_of_event = held.alert.fired.as_ref().is_some_and(|fired| fired.origin.is_event());
                let at = if is_of_event { now } else { next };
                self.changes.extend(end(&mut held.alert, at, None, "the rule was changed or removed"));
            }
        }
        let is_kind = |id: &str, name: &str| rules.get(id).is_some_and(|rule| rule.kind.name() == name);
        let state = &mut self.state;
        state.budgets.retain(|id, _| is_kind(id, "slo"));
        state.heard.retain(|id, heard| {
            heard.groups.retain(|_, silence| is_owned(id, &silence.labels));
            is_kind(id, "absence") || is_kind(id, "heartbeat")
        });
        state.events.counts.retain(|id, counts| {
            counts.retain(|_, counted| is_owned(id, &counted.labels));
            is_kind(id, "event")
        });
        // What was remembered of something else says nothing of what a rule asks for now.
        for rule in rules.values() {
            match &rule.kind {
                Kind::Slo(slo) => {
                    let indicator = slo::identity(rule, slo);
                    let budget = remembered(&mut state.budgets, &rule.id);
                    if budget.indicator != indicator {
                        *budget = Budget { indicator, ..Budget::default() };
                    }
                }
                Kind::Absence(Absence { query, .. }) | Kind::Heartbeat(Heartbeat { query, .. }) => {
                    let query = keys::fingerprint([query.identity().as_bytes()]);
                    let heard = remembered(&mut state.heard, &rule.id);
                    if heard.query != query {
                        *heard = Heard { query, ..Heard::default() };
                    }
                }
                Kind::Metric(_) | Kind::Composite(_) | Kind::Event(_) => {}
            }
        }
    }

    /// Drops what nobody needs to remember.
    fn forget(&mut self, minute: Minute) {
        self.board.retain(|held| !is_forgotten(&held.alert, minute));
        self.forget_resolved();
        self.state.heard.retain(|_, heard| !heard.groups.is_empty());
        forget_firings(&mut self.state.past, minute);
    }

    /// Drops those that resolved the longest ago where more are kept than there is room for.
    fn forget_resolved(&mut self) {
        let resolved = |held: &HeldAlert| match held.alert.phase {
            Phase::Resolved { at } if held.alert.health == Health::Ok => Some((at, held.fingerprint.clone())),
            _ => None,
        };
        let mut resolved: Vec<(Minute, String)> = self.board.all_mut().filter_map(|held| resolved(held)).collect();
        let beyond = resolved.len().saturating_sub(MAX_RESOLVED);
        if beyond > 0 {
            resolved.sort_unstable();
            let dropped: BTreeSet<String> = resolved.drain(..beyond).map(|(_, fingerprint)| fingerprint).collect();
            self.board.retain(|held| !dropped.contains(&held.fingerprint));
        }
    }
}

fn advance_rule(rule: &Rule, finding: Finding, minute: Minute, held: &mut Held, past: &mut Past) -> Option<Episode> {
    let waits = (rule.hold, rule.keep_firing_for);
    advance(&rule.id, finding, minute, waits, held, past, |labels, value| told(rule, labels, value))
}

/// Takes out alerts of groups that the rule had when it was another. They have ended, and are only there for people to
/// look at: nothing is to be evaluated for them.
fn foregone(rule: &Rule, held: &mut Held) -> Held {
    if held.keys().all(|labels| has_alert(rule, labels)) {
        return Held::new();
    }
    let (held_still, foregone) = std::mem::take(held).into_iter().partition(|(labels, _)| has_alert(rule, labels));
    *held = held_still;
    foregone
}

/// What is remembered of a rule.
fn remembered<'m, T: Default>(memory: &'m mut BTreeMap<String, T>, rule: &str) -> &'m mut T {
    memory.entry(rule.to_owned()).or_default()
}

fn is_forgotten(alert: &Alert, minute: Minute) -> bool {
    match alert.phase {
        Phase::Inactive {} => alert.health == Health::Ok,
        // One that is unwell is held, so that it was held where it is well again.
        Phase::Resolved { at } => alert.health == Health::Ok && minute.since(at) > RESOLVED_KEPT,
        Phase::Pending { .. } | Phase::Firing { .. } => false,
    }
}

/// How it is told that an alert can't be evaluated. That is never worse than what it would tell itself, and nobody is
/// woken for it.
fn told_of_health(
    rule: &Rule,
    labels: &Labels,
    id: &str,
    health: Health,
    unanswered: &BTreeMap<MetricQuery, Unanswered>,
) -> Told {
    let group: Vec<String> = labels.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let group = if group.is_empty() { String::new() } else { format!(" ({})", group.join(", ")) };
    let summary = match health {
        Health::Ok => format!("{}{group} is evaluated again", rule.id),
        Health::NoData => format!("{}{group} has no data to be evaluated on", rule.id),
        Health::Error => format!("{}{group} can't be evaluated: {}", rule.id, reason(rule, unanswered)),
    };
    let (condition, most) = match id {
        NO_DATA => (format!("no data for {UNWELL_FOR}m"), Severity::Warning),
        _ => (format!("not evaluated for {UNWELL_FOR}m"), Severity::Error),
    };
    Told {
        class: SYSTEM.to_owned(),
        severity: told(rule, labels, None).severity.min(most),
        service: rule.service(labels),
        condition,
        summary,
        runbook_url: None,
        origin: Origin::Rule {},
    }
}

/// Why an alert of the rule is in error.
fn reason(rule: &Rule, unanswered: &BTreeMap<MetricQuery, Unanswered>) -> String {
    let mut foreign = rule.foreign().peekable();
    if foreign.peek().is_none() {
        // Our metrics can always be read.
        return "it has more groups than are watched".to_owned();
    }
    let told = foreign.find_map(|series| unanswered.get(series));
    told.map_or_else(|| "its metrics could not be read".to_owned(), |unanswered| unanswered.reason.clone())
}

#[cfg(test)]
mod tests;
