//! A platform of ten services with its metrics of two hours, and thousands of rules on them. A hundredth of all alerts
//! breaches.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use domain::Minute;
use domain::alerting::engine::{Due, Tick, evaluate, foreign_read};
use domain::alerting::event::SecurityEvent;
use domain::alerting::inbox::MAX_TAKEN;
use domain::alerting::rules::{RuleSet, Variables};
use domain::alerting::samples::ForeignValues;
use domain::alerting::slo::Bucket;
use domain::alerting::state::AlertState;
use domain::metrics::recent::{RecentRollups, SPAN_MINUTES};
use domain::metrics::series::{Aggregate, SeriesKey, SeriesSet};
use jiff::Timestamp;

const SERVICES: usize = 10;

/// Rules of a file.
pub const FILE: usize = 5_000;

/// What the rules read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Our metrics, an alert for each service.
    ByService,
    /// Our metrics, over all services.
    Whole,
    /// Our metrics, by service, three of five minutes.
    MOfN,
    /// Metrics of AWS; ten rules share a series.
    Foreign,
    /// Rules of all kinds, as many of each: metric, slo (over an hour), absence, heartbeat, composite and event.
    AllKinds,
    /// Objectives by service, over windows of up to three days.
    Objectives,
}

/// All that a tick has to evaluate.
pub struct World {
    /// The last file of them.
    pub text: String,
    pub rules: RuleSet,
    pub recent: RecentRollups,
    pub foreign: ForeignValues,
    pub events: Vec<SecurityEvent>,
    pub state: AlertState,
    pub now: Timestamp,
    pub due: Due,
}

impl World {
    /// With `count` rules; the same at every call.
    pub fn new(reads: Reads, count: usize) -> World {
        let now = Timestamp::from_second(1_795_255_620).expect("a time in 2026");
        let flushed = Minute::of(now);
        let mut rules =
            RuleSet { evaluation_delay: Duration::from_secs(90), namespace: "n".to_owned(), rules: Vec::new() };
        let mut text = String::new();
        // A file of that many nodes is refused as a bomb would be.
        for from in (0..count).step_by(FILE) {
            text = rule_file(reads, from..count.min(from + FILE), count);
            let loaded = RuleSet::load("rules.yaml", &text, &Variables::new());
            rules.rules.extend(loaded.unwrap_or_else(|error| panic!("{error}")).rules);
        }
        let mut recent = RecentRollups::default();
        for back in 1..SPAN_MINUTES {
            let minute = flushed.plus(-back);
            let mut set = metrics(minute);
            if reads == Reads::AllKinds {
                log_entries(&mut set, minute, back);
            }
            recent.minutes.insert(minute, set.roll_up());
        }
        recent.flushed(flushed);
        let to = flushed.plus(-2);
        let due = Due { from: to, to, skipped: 0 };
        let mut state = AlertState::starting(flushed.plus(1 - SPAN_MINUTES));
        state.evaluated_until = to.plus(-1);
        let read = foreign_read(&rules, due);
        let minutes = read.until.since(read.from);
        let values = |database: &str| -> BTreeMap<Minute, f64> {
            let is_busy = database
                .strip_prefix("db-")
                .and_then(|number| number.parse().ok())
                .is_some_and(|at: usize| at.is_multiple_of(100));
            (0..minutes).map(|at| (read.from.plus(at), if is_busy { 90.0 } else { 20.0 })).collect()
        };
        let foreign =
            read.queries.iter().map(|query| (query.clone(), values(&query.dimensions["DBInstanceIdentifier"])));
        let events = if reads == Reads::AllKinds { events(now) } else { Vec::new() };
        World { text, rules, foreign: foreign.collect(), recent, events, state, now, due }
    }

    /// The tick that is due.
    pub fn tick(&self) -> Tick<'_> {
        let tick = Tick::new(self.now, Some(self.due), &self.rules, &self.recent, &self.foreign);
        Tick { events: &self.events, ..tick }
    }

    /// The same a minute later, when objectives have been known for three days.
    #[must_use]
    pub fn three_days_later(mut self) -> World {
        self.state = evaluate(&self.tick(), Some(self.state.clone())).state;
        for track in self.state.budgets.values_mut().flat_map(|budget| budget.groups.values_mut()) {
            while track.buckets.len() < 3 * 24 * 12 {
                track.buckets.push_front(Bucket(5, 0.5, 5_150.0));
                track.from = track.from.plus(-5);
            }
        }
        let to = self.due.to.plus(1);
        self.due = Due { from: to, to, skipped: 0 };
        self
    }
}

fn rule_file(reads: Reads, places: Range<usize>, count: usize) -> String {
    let mut text = "version: 1\nrules:\n".to_owned();
    let first = places.start;
    for at in places {
        let kind = match reads {
            Reads::AllKinds => (at - first) % 6,
            Reads::Objectives => 1,
            Reads::ByService | Reads::Whole | Reads::MOfN | Reads::Foreign => 0,
        };
        if kind > 0 {
            text.push_str(&rule_of_another_kind(at, kind, reads == Reads::Objectives));
            continue;
        }
        let over = 1 + at / 4 % 15;
        // Of ten services one is in trouble, and a tenth of the rules sees it.
        let fires = at % if reads == Reads::Whole { 100 } else { 10 } == 0;
        let metric = |text: &str| text.to_owned();
        let (queries, expr, threshold) = match (reads, at % 4) {
            (Reads::Foreign, _) => {
                let database = at % (count / 10).max(1);
                let query = "q: {metric: database_connections, stat: Average, where: {DBInstanceIdentifier: db-";
                (format!("{query}{database}}}}}"), "q", 75)
            }
            (_, 0) => {
                let query = "q: {metric: api_requests, stat: Sum, where: {status_code: 5xx}, fill: zero}";
                (metric(query), "q", if fires { 10 * over } else { 1_000_000 })
            }
            (_, 1) => (metric("q: {metric: cpu_usage_percent, stat: Maximum}"), "q", if fires { 80 } else { 95 }),
            (_, 2) => (metric("q: {metric: api_request_duration, stat: p95}"), "q", if fires { 500 } else { 5_000 }),
            (_, _) => {
                let errors = "errors: {metric: api_requests, stat: Sum, where: {status_code: 5xx}, fill: zero}";
                let requests = "requests: {metric: api_requests, stat: Sum, min_samples: 10}";
                (format!("{errors}, {requests}"), "100 * errors / requests", if fires { 1 } else { 50 })
            }
        };
        let group_by =
            if matches!(reads, Reads::ByService | Reads::MOfN | Reads::AllKinds) { "[service]" } else { "[]" };
        let datapoints = if reads == Reads::MOfN { ", datapoints: {m: 3, n: 5}" } else { "" };
        writeln!(
            text,
            "- {{id: rule_{at}, class: performance, severity: warning, queries: {{{queries}}}, expr: {expr}, \
             window: {{over: {over}m}}, when: {{gt: {threshold}}}, group_by: {group_by}{datapoints}, \
             annotations: {{summary: \"{{{{value}}}}\"}}}}"
        )
        .expect("a text takes all that is written to it");
    }
    text
}

/// A rule of the kind `kind` (1 to 5); a tenth of them sees something. A composite rule rests on those before it.
fn rule_of_another_kind(at: usize, kind: usize, over_days: bool) -> String {
    let fires = at.is_multiple_of(10);
    let what = match kind {
        1 => {
            let factor = if fires { 1.5 } else { 14.4 };
            let burn = format!("burn: [{{severity: error, factor: {factor}, long: 1h, short: 5m}}], ");
            let burn = if over_days { String::new() } else { burn };
            format!(
                "kind: slo, objective: 99, bad: {{metric: api_requests, where: {{status_code: 5xx}}}}, \
                 total: {{metric: api_requests}}, {burn}min_samples: 10, group_by: [service]"
            )
        }
        2 => {
            let after = if fires { "10m" } else { "100m" };
            format!(
                "kind: absence, severity: warning, metric: log_entries, for: {after}, forget_after: 1d, group_by: [service]"
            )
        }
        3 => {
            let metric = if fires { "pipeline_lines_received" } else { "log_entries" };
            format!("kind: heartbeat, severity: warning, metric: {metric}, every: 10m, grace: 5m")
        }
        4 => format!(
            "kind: composite, severity: warning, expr: rule_{} and not rule_{}, group_by: [service]",
            at - 4,
            at - 1
        ),
        _ => {
            let (event, many) = (at % 7, if fires { 1 } else { 1_000_000 });
            format!(
                "kind: event, severity: warning, where: {{event_type: type_{event}}}, when: {{gte: {many}}}, \
                 window: {{over: 15m}}, resolve_after: 1h, group_by: [service]"
            )
        }
    };
    format!("- {{id: rule_{at}, class: performance, {what}, annotations: {{summary: \"{{{{value}}}}\"}}}}\n")
}

/// How many lines services log in the minute that was so long ago; one of them has been silent for an hour.
fn log_entries(set: &mut SeriesSet, minute: Minute, back: i64) {
    for service in usize::from(back < 60)..SERVICES {
        let dimensions = [("service", format!("service-{service}")), ("level", "INFO".to_owned())];
        let dimensions = dimensions.map(|(name, value)| (name.to_owned(), value)).into();
        let key = SeriesKey { name: "log_entries".to_owned(), dimensions };
        set.add(key, &Aggregate::of(1.0, minute.start().as_millisecond()));
    }
}

/// As many as a tick takes in.
fn events(now: Timestamp) -> Vec<SecurityEvent> {
    let event = |at: usize| SecurityEvent {
        id: at.to_string(),
        at: now,
        event_type: format!("type_{}", at % 7),
        service: format!("service-{}", at % SERVICES),
        level: "WARNING".to_owned(),
        count: 3,
    };
    (0..MAX_TAKEN).map(event).collect()
}

/// What the services tell in a minute.
fn metrics(minute: Minute) -> SeriesSet {
    let at = minute.start().as_millisecond();
    let mut set = SeriesSet::default();
    for service in 0..SERVICES {
        let in_trouble = service == 0;
        let name = format!("service-{service}");
        let mut add = |metric: &str, dimensions: &[(&str, &str)], value: f64| {
            let service = [("service", name.as_str())];
            let dimensions = dimensions.iter().chain(&service);
            let dimensions = dimensions.map(|(name, value)| (name.to_string(), value.to_string())).collect();
            set.add(SeriesKey { name: metric.to_owned(), dimensions }, &Aggregate::of(value, at));
        };
        add("cpu_usage_percent", &[], if in_trouble { 90.0 } else { 50.0 });
        for endpoint in 0..10 {
            let path = format!("/api/v1/contracts/{{id}}/section-{endpoint}");
            let requests = [("200", 100.0), ("404", 3.0), ("500", if in_trouble { 2.0 } else { 0.01 })];
            for (status, count) in requests {
                add("api_requests", &[("endpoint", &path), ("method", "GET"), ("status_code", status)], count);
            }
            for value in 0..10 {
                let slow = if in_trouble { 900.0 } else { 100.0 };
                add("api_request_duration", &[("endpoint", &path), ("method", "GET")], slow + f64::from(value));
            }
        }
    }
    set
}
