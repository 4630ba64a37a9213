//! The tests that a rule carries: series in a short notation, and what its alerts are at which time.
//!
//! `0x10 1x4 _x5 7` is ten minutes of 0, four of 1, five without a value, and one of 7; `6000*30x5` is five minutes of
//! thirty values of 6000 each. A series that the test does not give has no values. With `step: 5m` each of these
//! minutes is five, so that days are short to write and quick to run.
//!
//! The series are those of the rule's queries by their names; of a rule of kind absence or heartbeat its `metric`; of
//! an slo `good`, `bad`, `total` or `duration`; of a composite rule the other rules, with the number of their alerts
//! that fire; of an event rule `events`, with the number of those that its `where` takes.

mod points;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::Minute;
use crate::alerting::condition::{Comparison, Condition};
use crate::alerting::duration::{InvalidDuration, parse_minutes};
use crate::alerting::engine::{Due, Tick, evaluate};
use crate::alerting::event::SecurityEvent;
use crate::alerting::expression::Expression;
use crate::alerting::lifecycle::Phase;
use crate::alerting::samples::ForeignValues;
use crate::alerting::state::{AlertState, fingerprint};
use crate::metrics::recent::{RecentRollups, SPAN_MINUTES};
use crate::metrics::registry::METRICS;
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};

use super::file::{Expected, RawTest};
use super::kind::{BURN, Event, Kind, Threshold};
use super::pattern::Pattern;
use super::summary::Summary;
use super::{Filter, Labels, Missing, Query, Rule, RuleSet, Severity, Source, Statistic};

use points::{Points, points};

/// The longest test, in minutes: a weekly job that is missed, and comes again.
const MAX_MINUTES: usize = 10 * 24 * 60;

/// How many ticks a test may take.
const MAX_TICKS: usize = 4_000;

/// Value of every `group_by` dimension in a test.
pub const GROUP: &str = "test";

/// Name of the series of a rule of kind event.
pub const EVENTS: &str = "events";

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// How many minutes each point stands for, and each tick evaluates.
    step: i64,
    /// Points by step, by query.
    series: BTreeMap<String, Points>,
    /// Names of phases by the minute, counted from 0, and by the value of the label `burn`; `None`: of all alerts.
    expect: BTreeMap<i64, Vec<(Option<String>, String)>>,
    /// Labels of the alerts of the rules that a composite rule speaks of, by id.
    others: BTreeMap<String, Vec<String>>,
}

/// A test that can't be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScenario {
    /// No such query in the rule.
    #[error("the test gives a series for `{0}`, which is no query of the rule{1}")]
    Query(String, String),
    /// Two queries read the same series, and both are given.
    #[error("the queries of the test read the same series twice (`{0}`): give it once")]
    Twice(String),
    /// Not the notation.
    #[error("`{0}` in the test's series is not like 5, 0x10, _x5 or 6000*30x5")]
    Token(String),
    /// A number of alerts or events that is none.
    #[error("`{0}` is a number of {1}, so it is not negative, and whole")]
    Number(String, &'static str),
    /// Longer than is played.
    #[error("the test is longer than {MAX_TICKS} steps, or than 10 days (`step: 5m` makes each five minutes)")]
    Long,
    /// Steps over which the evaluation does not see.
    #[error("a step of {0} minutes is not taken (from 1m to {1}m for this rule)")]
    Step(i64, i64),
    /// Not a duration.
    #[error(transparent)]
    Time(#[from] InvalidDuration),
    /// No such phase.
    #[error("the test expects `{0}`; there is inactive, pending, firing, resolved")]
    Phase(String),
    /// No such alert.
    #[error("the test expects something of `{0}`{1}")]
    Alert(String, String),
    /// Two expectations of one moment, of which one would not be looked at.
    #[error("the test expects something after {0} twice")]
    Moment(String),
    /// Nothing is expected.
    #[error("the test expects nothing")]
    Empty,
}

/// An expectation that did not come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Minute of the test.
    pub minute: i64,
    /// Which of the rule's alerts, by its label `burn`; `None` where there is only one.
    pub alert: Option<String>,
    /// Phase that was expected.
    pub expected: String,
    /// Phase that it was.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {}m: ", self.minute)?;
        if let Some(alert) = &self.alert {
            write!(f, "{alert}: ")?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl Scenario {
    /// `others` are the rules of the file by their ids.
    pub(super) fn parse(
        raw: &RawTest,
        rule: &Rule,
        others: &BTreeMap<&str, &Rule>,
    ) -> Result<Scenario, InvalidScenario> {
        let step = match &raw.step {
            Some(step) => parse_minutes(&step.value)?,
            None => 1,
        };
        // What a tick evaluates has to be in the rollups with all that it looks at.
        let longest = (SPAN_MINUTES - rule.reach()).min(30);
        if !(1..=longest).contains(&step) {
            return Err(InvalidScenario::Step(step, longest));
        }
        let series = series(raw, rule, step)?;
        let expect = expectations(raw, rule, step)?;
        Ok(Scenario { step, series, expect, others: labels_of_others(rule, others) })
    }

    /// What it expects: phases by the minute, counted from 0, and by the value of the label `burn` (`None`: of all alerts
    /// of the rule).
    pub fn expected(&self) -> &BTreeMap<i64, Vec<(Option<String>, String)>> {
        &self.expect
    }

    /// The value that the series `name` has in `minute`, and how often.
    pub fn value(&self, name: &str, minute: i64) -> Option<(f64, u64)> {
        self.point(name, minute).map(|point| (point.value, point.samples))
    }

    /// Phases that it expects somewhere.
    pub fn expected_phases(&self) -> BTreeSet<&str> {
        self.expect.values().flatten().map(|(_, phase)| phase.as_str()).collect()
    }

    /// Plays the test through the engine, a tick a step, and answers what came otherwise.
    pub fn run(&self, rule: &Rule) -> Vec<Mismatch> {
        let start = Minute::of(jiff::Timestamp::UNIX_EPOCH).plus(SPAN_MINUTES);
        let rules = self.rules(rule);
        let foreign = self.foreign(rule, start);
        let mut recent = RecentRollups::default();
        let mut state: Option<AlertState> = None;
        let mut mismatches = Vec::new();
        let mut from = 0;
        for last in self.ticks() {
            for offset in from..=last {
                let set = self.own(rule, offset, start.plus(offset));
                if !set.is_empty() {
                    recent.minutes.insert(start.plus(offset), set);
                }
            }
            recent.flushed(start.plus(last + 1));
            recent.forget(start.plus(last + 1));
            let events: Vec<SecurityEvent> =
                (from..=last).filter_map(|offset| self.events(rule, offset, start.plus(offset))).collect();
            let due = Due { from: start.plus(from), to: start.plus(last), skipped: 0 };
            // Events are evaluated up to the minute of the tick, which here is the last that is expected something of.
            let tick = Tick::new(start.plus(last).start(), Some(due), &rules, &recent, &foreign);
            let next = evaluate(&Tick { events: &events, ..tick }, state.take()).state;
            mismatches.extend(self.mismatches(rule, last, &next));
            state = Some(next);
            from = last + 1;
        }
        mismatches
    }

    /// The last minute of each tick: each step's, and those of which something is expected.
    fn ticks(&self) -> BTreeSet<i64> {
        let last = self.expect.keys().next_back().copied().unwrap_or(0);
        let steps = (1..).map(|step| step * self.step - 1).take_while(|&end| end < last);
        steps.chain(self.expect.keys().copied()).collect()
    }

    /// The rule, and stand-ins for those that it speaks of.
    fn rules(&self, rule: &Rule) -> RuleSet {
        let mut rules: Vec<Rule> = self.others.iter().map(|(id, labels)| stand_in(id, labels)).collect();
        rules.push(rule.clone());
        RuleSet { evaluation_delay: std::time::Duration::ZERO, namespace: String::new(), rules }
    }

    fn mismatches(&self, rule: &Rule, minute: i64, state: &AlertState) -> Vec<Mismatch> {
        let mut mismatches = Vec::new();
        for (label, expected) in self.expect.get(&minute).into_iter().flatten() {
            let labels: Vec<Option<&str>> = match (label, &rule.kind) {
                (Some(label), _) => vec![Some(label)],
                (None, Kind::Slo(slo)) => slo.alerts.iter().map(|alert| Some(alert.label)).collect(),
                (None, _) => vec![None],
            };
            for label in labels {
                let found = phase(rule, label, state).name();
                if found != expected {
                    let alert = label.map(str::to_owned);
                    mismatches.push(Mismatch { minute, alert, expected: expected.clone(), found: found.to_owned() });
                }
            }
        }
        mismatches
    }

    fn own(&self, rule: &Rule, offset: i64, minute: Minute) -> SeriesSet {
        let mut set = SeriesSet::default();
        let at = minute.start().as_millisecond();
        for (name, query) in rule.queries() {
            let (Source::Own(_), Some(point)) = (&query.source, self.point(name, offset)) else { continue };
            for _ in 0..point.samples {
                set.add(series_of(query, rule), &Aggregate::of(point.value, at));
            }
        }
        for (id, labels) in &self.others {
            let firing = self.point(id, offset).map_or(0, |point| point.value as u64);
            for number in 1..=firing {
                set.add(
                    SeriesKey { name: stand_in_metric().to_owned(), dimensions: stand_in_labels(id, labels, number) },
                    &Aggregate::of(1.0, at),
                );
            }
        }
        set
    }

    fn foreign(&self, rule: &Rule, start: Minute) -> ForeignValues {
        let mut values: ForeignValues = rule.foreign().map(|series| (series.clone(), BTreeMap::new())).collect();
        for (name, query) in rule.queries() {
            let Source::Foreign(series) = &query.source else { continue };
            let length = self.series.get(name).map_or(0, |points| points.len() as i64 * self.step);
            let minutes = (0..length).filter_map(|at| Some((start.plus(at), self.point(name, at)?.value)));
            values.entry(series.clone()).or_default().extend(minutes);
        }
        values
    }

    /// What a rule on events is told of the minute.
    fn events(&self, rule: &Rule, offset: i64, minute: Minute) -> Option<SecurityEvent> {
        let Kind::Event(event) = &rule.kind else { return None };
        let count = self.point(EVENTS, offset)?.value as u64;
        let value = |name: &str| event_field(event, name);
        (count > 0).then(|| SecurityEvent {
            id: minute.to_string(),
            at: minute.start(),
            event_type: value("event_type"),
            service: value("service"),
            level: value("level"),
            count,
        })
    }

    fn point(&self, name: &str, minute: i64) -> Option<points::Point> {
        *self.series.get(name)?.get((minute / self.step) as usize)?
    }
}

fn series(raw: &RawTest, rule: &Rule, step: i64) -> Result<BTreeMap<String, Points>, InvalidScenario> {
    let queries: BTreeMap<&str, &Query> = rule.queries().into_iter().collect();
    let numbers: Vec<&str> = match &rule.kind {
        Kind::Composite(composite) => composite.logic.rules().into_iter().collect(),
        Kind::Event(_) => vec![EVENTS],
        _ => Vec::new(),
    };
    let mut series = BTreeMap::new();
    let mut read = BTreeSet::new();
    for (name, text) in &raw.series {
        let points = points(&text.value, MAX_MINUTES / step as usize)?;
        if numbers.contains(&name.as_str()) {
            let of = if name == EVENTS { "events" } else { "alerts that fire" };
            let is_number = |value: f64| value.fract() == 0.0 && (0.0..=10_000.0).contains(&value);
            if points.iter().flatten().any(|point| point.samples > 1 || !is_number(point.value)) {
                return Err(InvalidScenario::Number(text.value.clone(), of));
            }
        } else {
            let Some(query) = queries.get(name.as_str()) else {
                let known: Vec<&str> = queries.keys().copied().chain(numbers.iter().copied()).collect();
                let known = if known.is_empty() { String::new() } else { format!(" (there is {})", known.join(", ")) };
                return Err(InvalidScenario::Query(name.clone(), known));
            };
            if !read.insert(series_of(query, rule)) {
                return Err(InvalidScenario::Twice(name.clone()));
            }
        }
        series.insert(name.clone(), points);
    }
    Ok(series)
}

type Expectations = BTreeMap<i64, Vec<(Option<String>, String)>>;

fn expectations(raw: &RawTest, rule: &Rule, step: i64) -> Result<Expectations, InvalidScenario> {
    let alerts: Vec<&str> = match &rule.kind {
        Kind::Slo(slo) => slo.alerts.iter().map(|alert| alert.label).collect(),
        _ => Vec::new(),
    };
    let mut expect = BTreeMap::new();
    for (time, expected) in &raw.expect {
        let minute = parse_minutes(time)?;
        if minute >= MAX_MINUTES as i64 || minute / step >= MAX_TICKS as i64 {
            return Err(InvalidScenario::Long);
        }
        let phases: Vec<(Option<String>, String)> = match &expected.value {
            Expected::All(phase) => vec![(None, phase.clone())],
            Expected::Each(phases) => {
                phases.iter().map(|(label, phase)| (Some(label.clone()), phase.clone())).collect()
            }
        };
        for (label, phase) in &phases {
            if ![Phase::Inactive {}.name(), "pending", "firing", "resolved"].contains(&phase.as_str()) {
                return Err(InvalidScenario::Phase(phase.clone()));
            }
            if let Some(label) = label.as_ref().filter(|label| !alerts.contains(&label.as_str())) {
                let known = match alerts[..] {
                    [] => ", but the rule has one alert: write the phase alone".to_owned(),
                    _ => format!(", but the rule has {}", alerts.join(", ")),
                };
                return Err(InvalidScenario::Alert(label.clone(), known));
            }
        }
        if expect.insert(minute, phases).is_some() {
            return Err(InvalidScenario::Moment(time.clone()));
        }
    }
    if expect.values().all(Vec::is_empty) { Err(InvalidScenario::Empty) } else { Ok(expect) }
}

fn labels_of_others(rule: &Rule, others: &BTreeMap<&str, &Rule>) -> BTreeMap<String, Vec<String>> {
    let Kind::Composite(composite) = &rule.kind else { return BTreeMap::new() };
    let labels = |id: &str| {
        let other = others.get(id)?;
        let burn = matches!(other.kind, Kind::Slo(_)).then(|| BURN.to_owned());
        Some(other.group_by.iter().cloned().chain(burn).collect())
    };
    let ids = composite.logic.rules().into_iter();
    ids.map(|id| (id.to_owned(), labels(id).unwrap_or_default())).collect()
}

/// What the alert of the test's group is; of an slo, that of `label`.
fn phase(rule: &Rule, label: Option<&str>, state: &AlertState) -> Phase {
    let mut labels: Labels = rule.group_by.iter().map(|name| (name.clone(), group_label(rule, name))).collect();
    labels.extend(label.map(|label| (BURN.to_owned(), label.to_owned())));
    state.alerts.get(&fingerprint(&rule.id, &labels)).map_or(Phase::Inactive {}, |alert| alert.phase)
}

/// What a label of the test's group is: `test`, if the rule leaves it open.
fn group_label(rule: &Rule, name: &str) -> String {
    if let Kind::Event(event) = &rule.kind {
        return event_field(event, name);
    }
    let filter = rule.queries().into_iter().find_map(|(_, query)| query.filters.get(name));
    filter.map_or_else(|| GROUP.to_owned(), example)
}

/// What the test's events have as a field.
fn event_field(event: &Event, name: &str) -> String {
    match event.filters.get(name).and_then(|patterns| patterns.first()) {
        Some(Pattern::Exact(value)) => value.clone(),
        Some(Pattern::Prefix(prefix)) => format!("{prefix}{GROUP}"),
        None => GROUP.to_owned(),
    }
}

/// A rule that fires for each of its groups that has a value.
fn stand_in(id: &str, labels: &[String]) -> Rule {
    let query = Query {
        source: Source::Own(&METRICS[0]),
        statistic: Statistic::SampleCount,
        filters: BTreeMap::from([("rule".to_owned(), Filter::Exact(id.to_owned()))]),
        fill_zero: true,
        min_samples: 0,
    };
    let threshold = Threshold {
        queries: BTreeMap::from([("firing".to_owned(), query)]),
        expression: Expression::Query("firing".to_owned()),
        window: 1,
        when: Condition { comparison: Comparison::Gt, threshold: 0.0 },
        clear: Condition { comparison: Comparison::Lte, threshold: 0.0 },
        m: 1,
        n: 1,
        missing: Missing::NotBreaching,
    };
    Rule {
        id: id.to_owned(),
        class: "test".to_owned(),
        severity: Severity::Info,
        concerns: None,
        group_by: labels.to_vec(),
        hold: 0,
        keep_firing_for: 0,
        summary: Summary::default(),
        runbook_url: None,
        evidence: None,
        kind: Kind::Metric(threshold),
        tests: Vec::new(),
    }
}

/// Any metric: that its dimensions are others than the registry's does not matter to the engine.
fn stand_in_metric() -> &'static str {
    METRICS[0].name
}

/// Dimensions by which the stand-in of the rule `id` fires for the `number`th time, counted from 1: the first time for
/// the test's own group.
fn stand_in_labels(id: &str, labels: &[String], number: u64) -> Dimensions {
    let value = if number == 1 { GROUP.to_owned() } else { format!("{GROUP}-{number}") };
    let labels = labels.iter().map(|name| (name.clone(), value.clone()));
    labels.chain([("rule".to_owned(), id.to_owned())]).collect()
}

/// The series of the test's group that the query reads.
pub fn series_of(query: &Query, rule: &Rule) -> SeriesKey {
    let (name, dimensions) = match &query.source {
        Source::Own(metric) => {
            let mut dimensions: Dimensions =
                rule.group_by.iter().map(|name| (name.clone(), GROUP.to_owned())).collect();
            dimensions.extend(query.filters.iter().map(|(name, filter)| (name.clone(), example(filter))));
            (metric.name, dimensions)
        }
        Source::Foreign(series) => (series.name.as_str(), series.dimensions.clone()),
    };
    SeriesKey { name: name.to_owned(), dimensions }
}

/// A value that passes.
fn example(filter: &Filter) -> String {
    match filter {
        Filter::Exact(value) => value.clone(),
        Filter::Prefix(prefix) => format!("{prefix}{GROUP}"),
        Filter::StatusClass(digit) => format!("{digit}00"),
        Filter::OneOf(filters) => filters.first().map(example).unwrap_or_default(),
    }
}
