//! The tests that a rule carries: series in a short notation, and what the alert is at which time.
//!
//! `0x10 1x4 _x5 7` is ten minutes of 0, four of 1, five without a value, and one of 7; `6000*30x5`
//! is five minutes of thirty values of 6000 each. A series that the test does not give has no values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::Minute;
use crate::alerting::duration::{InvalidDuration, parse_minutes};
use crate::alerting::engine::{Due, Tick, evaluate};
use crate::alerting::samples::ForeignValues;
use crate::alerting::state::{AlertState, fingerprint};
use crate::metrics::recent::{RecentRollups, SPAN_MINUTES};
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};

use super::file::RawTest;
use super::{Filter, Labels, Query, Rule, RuleSet, Source};

/// The longest test, in minutes.
const MAX_MINUTES: usize = 1_440;

/// Value of every `group_by` dimension in a test.
const GROUP: &str = "test";

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Points by minute, by query.
    series: BTreeMap<String, Vec<Option<Point>>>,
    /// Name of the phase by minute, counted from 0.
    expect: BTreeMap<i64, String>,
}

/// What a series has in a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    value: f64,
    samples: u64,
}

/// A test that can't be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScenario {
    /// No such query in the rule.
    #[error("the test gives a series for `{0}`, which is no query of the rule")]
    Query(String),
    /// Two queries read the same series, and both are given.
    #[error("the queries of the test read the same series twice (`{0}`): give it once")]
    Twice(String),
    /// Not the notation.
    #[error("`{0}` in the test's series is not like 5, 0x10, _x5 or 6000*30x5")]
    Token(String),
    /// Longer than a day.
    #[error("the test is longer than a day")]
    Long,
    /// Not a duration.
    #[error(transparent)]
    Time(#[from] InvalidDuration),
    /// No such phase.
    #[error("the test expects `{0}`; there is inactive, pending, firing, resolved")]
    Phase(String),
    /// Nothing is expected.
    #[error("the test expects nothing")]
    Empty,
}

/// An expectation that did not come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Minute of the test.
    pub minute: i64,
    /// Phase that was expected.
    pub expected: String,
    /// Phase that it was.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {}m: expected {}, found {}", self.minute, self.expected, self.found)
    }
}

impl Scenario {
    pub(super) fn parse(raw: &RawTest, rule: &Rule) -> Result<Scenario, InvalidScenario> {
        let mut series = BTreeMap::new();
        let mut read = BTreeSet::new();
        for (name, text) in &raw.series {
            let query = rule.queries.get(name).ok_or_else(|| InvalidScenario::Query(name.clone()))?;
            if !read.insert(series_of(query, rule)) {
                return Err(InvalidScenario::Twice(name.clone()));
            }
            series.insert(name.clone(), points(&text.value)?);
        }
        let mut expect = BTreeMap::new();
        for (time, phase) in &raw.expect {
            if !["inactive", "pending", "firing", "resolved"].contains(&phase.value.as_str()) {
                return Err(InvalidScenario::Phase(phase.value.clone()));
            }
            let minute = parse_minutes(time)?;
            if minute >= MAX_MINUTES as i64 {
                return Err(InvalidScenario::Long);
            }
            expect.insert(minute, phase.value.clone());
        }
        if expect.is_empty() { Err(InvalidScenario::Empty) } else { Ok(Scenario { series, expect }) }
    }

    /// Phases that it expects somewhere.
    pub fn expected_phases(&self) -> BTreeSet<&str> {
        self.expect.values().map(String::as_str).collect()
    }

    /// Plays the test through the engine, a tick a minute, and answers what came otherwise.
    pub fn run(&self, rule: &Rule) -> Vec<Mismatch> {
        let start = Minute::of(jiff::Timestamp::UNIX_EPOCH).plus(SPAN_MINUTES);
        let rules = RuleSet { evaluation_delay: std::time::Duration::ZERO, rules: vec![rule.clone()] };
        let labels: Labels = rule.group_by.iter().map(|name| (name.clone(), GROUP.to_owned())).collect();
        let fingerprint = fingerprint(&rule.id, &labels);
        let foreign = self.foreign(rule, start);
        let mut recent = RecentRollups::default();
        let mut state = None;
        let mut mismatches = Vec::new();
        for offset in 0..=self.expect.keys().next_back().copied().unwrap_or(0) {
            let minute = start.plus(offset);
            let set = self.own(rule, offset, minute);
            if !set.is_empty() {
                recent.minutes.insert(minute, set);
            }
            recent.flushed(minute.plus(1));
            recent.forget(minute.plus(1));
            let due = Due { from: minute, to: minute, skipped: 0 };
            let tick = Tick::new(minute.plus(1).start(), Some(due), &rules, &recent, &foreign);
            let next: AlertState = evaluate(&tick, state.take()).state;
            let found = next.alerts.get(&fingerprint).map_or("inactive", |alert| alert.phase.name());
            if let Some(expected) = self.expect.get(&offset)
                && expected != found
            {
                mismatches.push(Mismatch { minute: offset, expected: expected.clone(), found: found.to_owned() });
            }
            state = Some(next);
        }
        mismatches
    }

    fn own(&self, rule: &Rule, offset: i64, minute: Minute) -> SeriesSet {
        let mut set = SeriesSet::default();
        for (name, points) in &self.series {
            let query = &rule.queries[name];
            let (Source::Own(_), Some(Some(point))) = (&query.source, points.get(offset as usize)) else { continue };
            let aggregate = Aggregate::of(point.value, minute.start().as_millisecond());
            for _ in 0..point.samples {
                set.add(series_of(query, rule), &aggregate);
            }
        }
        set
    }

    fn foreign(&self, rule: &Rule, start: Minute) -> ForeignValues {
        let mut values: ForeignValues = rule.foreign().map(|series| (series.clone(), BTreeMap::new())).collect();
        for (name, points) in &self.series {
            let Source::Foreign(series) = &rule.queries[name].source else { continue };
            let points = points.iter().enumerate();
            let minutes = points.filter_map(|(at, point)| Some((start.plus(at as i64), point.as_ref()?.value)));
            values.insert(series.clone(), minutes.collect());
        }
        values
    }
}

/// A series that the query reads.
fn series_of(query: &Query, rule: &Rule) -> SeriesKey {
    let (name, dimensions) = match &query.source {
        Source::Own(metric) => {
            let mut dimensions: Dimensions =
                rule.group_by.iter().map(|name| (name.clone(), GROUP.to_owned())).collect();
            for (name, filter) in &query.filters {
                let value = match filter {
                    Filter::Exact(value) => value.clone(),
                    Filter::StatusClass(digit) => format!("{digit}00"),
                };
                dimensions.insert(name.clone(), value);
            }
            (metric.name, dimensions)
        }
        Source::Foreign(series) => (series.name.as_str(), series.dimensions.clone()),
    };
    SeriesKey { name: name.to_owned(), dimensions }
}

fn points(text: &str) -> Result<Vec<Option<Point>>, InvalidScenario> {
    let mut points = Vec::new();
    for token in text.split_whitespace() {
        let (point, minutes) = point(token).ok_or_else(|| InvalidScenario::Token(token.to_owned()))?;
        if minutes > MAX_MINUTES - points.len() {
            return Err(InvalidScenario::Long);
        }
        points.extend(std::iter::repeat_n(point, minutes));
    }
    Ok(points)
}

/// `<value or _>[*<samples>][x<minutes>]`
fn point(token: &str) -> Option<(Option<Point>, usize)> {
    let (point, minutes) = match token.split_once('x') {
        Some((point, minutes)) => (point, minutes.parse().ok()?),
        None => (token, 1),
    };
    if point == "_" {
        return Some((None, minutes));
    }
    let (value, samples) = match point.split_once('*') {
        Some((value, samples)) => (value, samples.parse().ok().filter(|samples| (1..=1_000).contains(samples))?),
        None => (point, 1),
    };
    let value: f64 = value.parse().ok()?;
    value.is_finite().then_some((Some(Point { value, samples }), minutes))
}
