//! What is known of the metrics at a tick, laid out so that a query's statistic over a window of
//! minutes is quickly had.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::Minute;
use crate::alerting::rules::{Filter, Labels, Query, Source, Statistic};
use crate::metrics::recent::{RecentRollups, SPAN_MINUTES};
use crate::metrics::registry::Kind;
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey};
use crate::metrics::sketch::Sketch;
use crate::ports::{MetricQuery, MinuteValues};

/// What CloudWatch answered, by query. A query that is not in it could not be answered.
pub type ForeignValues = BTreeMap<MetricQuery, MinuteValues>;

/// How many windows of a group are remembered: those that the rules of a minute share, and those of the minutes
/// before that M of N looks at.
const REMEMBERED: usize = 16;

/// Everything that rules may look at, indexed once a tick.
#[derive(Debug)]
pub struct Samples<'a> {
    /// Series by the name of their metric and the names of their dimensions.
    own: BTreeMap<(&'a str, Vec<&'a str>), Vec<Rc<Series<'a>>>>,
    /// Where an absent minute means that nothing came; nowhere before the flusher's first tick.
    known: Option<Window>,
    foreign: &'a ForeignValues,
    /// What was selected so far: rules that ask for the same share it, with all that was computed of it.
    selections: RefCell<BTreeMap<Asked<'a>, Rc<Selection<'a>>>>,
}

/// One series and its minutes, in ascending order.
#[derive(Debug)]
struct Series<'a> {
    dimensions: &'a Dimensions,
    minutes: Vec<(Minute, &'a Aggregate)>,
}

/// Minutes from the first up to and with the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First minute.
    pub from: Minute,
    /// Last minute.
    pub to: Minute,
}

impl Window {
    /// The `minutes` that end with `to`.
    pub fn ending(to: Minute, minutes: i64) -> Window {
        Window { from: to.plus(1 - minutes), to }
    }

    /// How many minutes of it lie in `other`.
    pub fn minutes_in(self, other: Window) -> i64 {
        (self.to.min(other.to).since(self.from.max(other.from)) + 1).max(0)
    }
}

/// What a query has to say of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// The statistic.
    Value(f64),
    /// Nothing came, or less than `min_samples`.
    Nothing,
    /// The metrics of the window could not be read.
    Unanswered,
}

/// The oldest minute that the recent rollups keep after the flusher's tick `flushed`.
pub(super) fn oldest_kept(flushed: Minute) -> Minute {
    flushed.plus(1 - SPAN_MINUTES)
}

impl<'a> Samples<'a> {
    /// `history_from` is the first minute that the evaluator has ever seen.
    pub fn new(recent: &'a RecentRollups, foreign: &'a ForeignValues, history_from: Minute) -> Samples<'a> {
        // By the flusher's tick and not by the newest key, which may be that of a line ahead of its time.
        let known = |flushed: Minute| Window { from: oldest_kept(flushed).max(history_from), to: flushed.plus(-1) };
        let known = recent.flushed_until.map(known);
        Samples { own: index(recent), known, foreign, selections: RefCell::default() }
    }

    /// What `query` reads, apart for each value of the labels `group_by`. A rule that does not group has the one group
    /// without labels, whether anything came or not.
    pub fn select(&self, query: &'a Query, group_by: &'a [String]) -> Rc<Selection<'a>> {
        let asked = match &query.source {
            Source::Own(metric) => Asked::Own(metric.name, &query.filters, group_by),
            Source::Foreign(series) => Asked::Foreign(series),
        };
        let mut selections = self.selections.borrow_mut();
        selections.entry(asked).or_insert_with_key(|asked| Rc::new(self.resolve(asked))).clone()
    }

    fn resolve(&self, asked: &Asked<'a>) -> Selection<'a> {
        let &(metric, filters, group_by) = match asked {
            Asked::Own(metric, filters, group_by) => &(*metric, *filters, *group_by),
            // CloudWatch has its own history.
            Asked::Foreign(series) => return Selection::Foreign(self.foreign.get(series)),
        };
        let mut groups: BTreeMap<Rc<Labels>, Group<'a>> = BTreeMap::new();
        if group_by.is_empty() {
            groups.insert(Rc::default(), Group::default());
        }
        // A set of dimensions has series of its own, so that nothing is counted twice (defect 8).
        let dimensions: BTreeSet<&str> = filters.keys().chain(group_by).map(String::as_str).collect();
        for series in self.own.get(&(metric, dimensions.into_iter().collect())).into_iter().flatten() {
            if filters.iter().all(|(name, filter)| filter.matches(&series.dimensions[name])) {
                let labels = group_by.iter().map(|name| (name.clone(), series.dimensions[name].clone()));
                groups.entry(Rc::new(labels.collect())).or_default().series.push(Rc::clone(series));
            }
        }
        Selection::Own { groups, known: self.known }
    }
}

/// The series of the rollups. Those of a minute and those known so far are both in order, and mostly the same: so they
/// are gone through side by side.
fn index(recent: &RecentRollups) -> BTreeMap<(&str, Vec<&str>), Vec<Rc<Series<'_>>>> {
    let mut known: Vec<(&SeriesKey, Series)> = Vec::new();
    for (&minute, set) in &recent.minutes {
        let mut added = Vec::new();
        let mut at = 0;
        for (key, aggregate) in set.iter() {
            while known.get(at).is_some_and(|(other, _)| *other < key) {
                at += 1;
            }
            match known.get_mut(at).filter(|(other, _)| *other == key) {
                Some((_, series)) => series.minutes.push((minute, aggregate)),
                None => added.push((key, Series { dimensions: &key.dimensions, minutes: vec![(minute, aggregate)] })),
            }
        }
        if !added.is_empty() {
            known.extend(added);
            known.sort_by_key(|(key, _)| *key);
        }
    }
    let mut own: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, series) in known {
        let names = key.dimensions.keys().map(String::as_str).collect();
        own.entry((key.name.as_str(), names)).or_default().push(Rc::new(series));
    }
    own
}

/// What a query and the grouping of its rule ask for, but for what is computed of it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked<'a> {
    Own(&'a str, &'a BTreeMap<String, Filter>, &'a [String]),
    Foreign(&'a MetricQuery),
}

/// What a query reads, with what was computed of it.
#[derive(Debug)]
pub enum Selection<'a> {
    /// Of our metrics.
    Own {
        /// By their labels.
        groups: BTreeMap<Rc<Labels>, Group<'a>>,
        /// Where an absent minute means that nothing came.
        known: Option<Window>,
    },
    /// Of AWS: the values, if the query was answered. There is one group, without labels.
    Foreign(Option<&'a MinuteValues>),
}

/// The series of one group.
#[derive(Debug, Default)]
pub struct Group<'a> {
    series: Vec<Rc<Series<'a>>>,
    totals: Remembered<Totals>,
    percentiles: Remembered<(f64, Option<f64>)>,
}

/// The newest windows of a group, with what was computed of each.
type Remembered<T> = RefCell<VecDeque<(Window, T)>>;

impl Selection<'_> {
    /// The groups that had a value up to and with `until`; the one without labels always.
    pub fn groups(&self, until: Minute) -> Vec<Rc<Labels>> {
        match self {
            Selection::Own { groups, .. } => {
                let seen = groups.iter().filter(|(labels, group)| labels.is_empty() || group.came_by(until));
                seen.map(|(labels, _)| Rc::clone(labels)).collect()
            }
            Selection::Foreign(_) => vec![Rc::default()],
        }
    }

    /// Whether an absent minute of the window means that nothing came. CloudWatch keeps its own history.
    pub fn knows(&self, window: Window) -> bool {
        match self {
            Selection::Own { known, .. } => {
                known.is_some_and(|known| known.from <= window.from && window.to <= known.to)
            }
            Selection::Foreign(_) => true,
        }
    }

    /// How many minutes of the window are known.
    pub fn known_minutes(&self, window: Window) -> i64 {
        match self {
            Selection::Own { known, .. } => known.map_or(0, |known| window.minutes_in(known)),
            Selection::Foreign(_) => window.minutes_in(window),
        }
    }

    /// The statistic of `query`, which has selected this, for the group `labels` over `window`.
    pub fn read(&self, query: &Query, labels: &Labels, window: Window) -> Reading {
        let value = match self {
            Selection::Own { groups, .. } => groups.get(labels).and_then(|group| group.statistic(query, window)),
            Selection::Foreign(None) => return Reading::Unanswered,
            Selection::Foreign(Some(values)) => {
                let held: Vec<f64> = values.range(window.from..=window.to).map(|(_, value)| *value).collect();
                combined(query.statistic, &held)
            }
        };
        value.map_or(Reading::Nothing, Reading::Value)
    }

    /// How many values of the group `labels` over `window` are at most `limit`, and how many there are. `None` where
    /// the metrics could not be read, or hold no distribution (those of AWS).
    pub fn within(&self, labels: &Labels, window: Window, limit: f64) -> Option<(f64, f64)> {
        let Selection::Own { groups, .. } = self else { return None };
        let mut counted = (0, 0);
        for aggregate in groups.get(labels).into_iter().flat_map(|group| group.held(window)) {
            let points = aggregate.sketch.points();
            counted.0 += points.iter().filter(|(value, _)| *value <= limit).map(|(_, count)| count).sum::<u64>();
            counted.1 += aggregate.count;
        }
        Some((counted.0 as f64, counted.1 as f64))
    }

    /// The newest minute of the window in which the group `labels` had a value, if it had. `None` where the metrics
    /// could not be read.
    pub fn newest(&self, labels: &Labels, window: Window) -> Option<Option<Minute>> {
        match self {
            Selection::Own { groups, .. } => {
                let series = groups.get(labels).into_iter().flat_map(|group| &group.series);
                let newest = |series: &Rc<Series>| series.between(window).last().map(|(minute, _)| *minute);
                Some(series.filter_map(newest).max())
            }
            Selection::Foreign(values) => {
                values.map(|values| values.range(window.from..=window.to).next_back().map(|(minute, _)| *minute))
            }
        }
    }
}

impl<'a> Series<'a> {
    fn between(&self, window: Window) -> &[(Minute, &'a Aggregate)] {
        let from = self.minutes.partition_point(|(minute, _)| *minute < window.from);
        let until = self.minutes.partition_point(|(minute, _)| *minute <= window.to);
        self.minutes.get(from..until).unwrap_or_default()
    }
}

impl<'a> Group<'a> {
    fn came_by(&self, until: Minute) -> bool {
        self.series.iter().any(|series| series.minutes.first().is_some_and(|(first, _)| *first <= until))
    }

    fn held(&self, window: Window) -> impl Iterator<Item = &'a Aggregate> {
        self.series.iter().flat_map(move |series| series.between(window)).map(|(_, aggregate)| *aggregate)
    }

    /// The statistic over the values of all minutes and series, as if they lay side by side.
    fn statistic(&self, query: &Query, window: Window) -> Option<f64> {
        let totals = remembered(&self.totals, window, |_| true, || Totals::of(self.held(window)));
        let is_counter = matches!(&query.source, Source::Own(metric) if metric.kind == Kind::Counter);
        let samples = if is_counter { totals.sum } else { totals.count as f64 };
        if totals.count == 0 || samples < query.min_samples as f64 {
            return None;
        }
        match query.statistic {
            Statistic::Sum => Some(totals.sum),
            Statistic::Average => Some(totals.sum / totals.count as f64),
            Statistic::Minimum => Some(totals.min),
            Statistic::Maximum => Some(totals.max),
            Statistic::SampleCount => Some(totals.count as f64),
            Statistic::Percentile(percent) => {
                let is_it = |(other, _): &(f64, Option<f64>)| *other == percent;
                remembered(&self.percentiles, window, is_it, || (percent, self.percentile(percent, window))).1
            }
        }
    }

    fn percentile(&self, percent: f64, window: Window) -> Option<f64> {
        let mut merged = Sketch::Values(Vec::new());
        self.held(window).for_each(|aggregate| merged.merge(&aggregate.sketch));
        merged.percentile(percent)
    }
}

/// What was computed of `window` before and `is_it`, or else is computed now.
fn remembered<T: Copy>(
    known: &Remembered<T>,
    window: Window,
    is_it: impl Fn(&T) -> bool,
    compute: impl FnOnce() -> T,
) -> T {
    let found =
        known.borrow().iter().rev().find(|(other, held)| *other == window && is_it(held)).map(|(_, held)| *held);
    found.unwrap_or_else(|| {
        let computed = compute();
        let mut known = known.borrow_mut();
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back((window, computed));
        computed
    })
}

/// All but the distribution of a window's values.
#[derive(Debug, Clone, Copy)]
struct Totals {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Totals {
    fn of<'a>(held: impl Iterator<Item = &'a Aggregate>) -> Totals {
        let nothing = Totals { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };
        held.fold(nothing, |totals, held| Totals {
            count: totals.count + held.count,
            sum: totals.sum + held.sum,
            min: totals.min.min(held.min),
            max: totals.max.max(held.max),
        })
    }
}

/// Whether the statistic of a window follows from those of its minutes.
pub fn combines(statistic: Statistic) -> bool {
    !matches!(statistic, Statistic::Percentile(_))
}

/// The statistic over minutes of which CloudWatch tells only the statistic. An average weighs each
/// minute the same.
fn combined(statistic: Statistic, minutes: &[f64]) -> Option<f64> {
    if minutes.is_empty() {
        return None;
    }
    let sum: f64 = minutes.iter().sum();
    match statistic {
        Statistic::Sum | Statistic::SampleCount => Some(sum),
        Statistic::Average => Some(sum / minutes.len() as f64),
        Statistic::Minimum => minutes.iter().copied().reduce(f64::min),
        Statistic::Maximum => minutes.iter().copied().reduce(f64::max),
        Statistic::Percentile(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::rules::{Rule, RuleSet, Variables};
    use crate::alerting::testing::minute;
    use crate::metrics::series::{SeriesKey, SeriesSet};

    /// A rule with the query `q`.
    fn rule(query: &str, group_by: &str) -> Rule {
        let text = format!(
            "{{version: 1, rules: [{{id: r, class: c, severity: info, queries: {{q: {query}}}, expr: q, \
             window: {{over: 3m}}, when: {{gt: 1}}, group_by: {group_by}, annotations: {{summary: s}}}}]}}"
        );
        RuleSet::load("rules.yaml", &text, &Variables::new()).unwrap_or_else(|error| panic!("{error}")).rules.remove(0)
    }

    type Point<'a> = (i64, &'a str, &'a [(&'a str, &'a str)], f64);

    fn recent(points: &[Point]) -> RecentRollups {
        let mut recent = RecentRollups::default();
        for &(at, name, dimensions, value) in points {
            let dimensions = dimensions.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let key = SeriesKey { name: name.to_owned(), dimensions };
            let millis = minute(at).start().as_millisecond();
            let set: SeriesSet = [(key, Aggregate::of(value, millis))].into_iter().collect();
            recent.minutes.entry(minute(at)).or_default().merge(&set.roll_up());
        }
        recent
    }

    fn read(recent: &RecentRollups, rule: &Rule, labels: &[(&str, &str)], from: i64, to: i64) -> Reading {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let foreign = ForeignValues::new();
        let window = Window { from: minute(from), to: minute(to) };
        let samples = Samples::new(recent, &foreign, minute(0));
        samples.select(query(rule), &rule.group_by).read(query(rule), &labels, window)
    }

    fn query(rule: &Rule) -> &Query {
        &rule.threshold().unwrap().queries["q"]
    }

    #[test]
    fn each_statistic_is_of_all_values_of_the_window() {
        let points = [10.0, 40.0, 20.0, 30.0].iter().enumerate();
        let points: Vec<_> = points.map(|(at, &v)| (at as i64, "api_request_duration", &[][..], v)).collect();
        let recent = recent(&points);
        for (statistic, expected) in [
            ("Sum", 90.0),
            ("Average", 30.0),
            ("Minimum", 20.0),
            ("Maximum", 40.0),
            ("SampleCount", 3.0),
            ("p50", 30.0),
            ("p95", 40.0),
        ] {
            // Defect 2: whatever the rule said, the source document took the average.
            let rule = rule(&format!("{{metric: api_request_duration, stat: {statistic}}}"), "[]");
            assert_eq!(read(&recent, &rule, &[], 1, 3), Reading::Value(expected), "{statistic}");
        }
    }

    #[test]
    fn a_window_is_by_time_whatever_the_order_of_arrival() {
        // Defect 1: the last of an unordered list was taken for the newest.
        let recent = recent(&[(5, "active_users", &[], 10.0), (1, "active_users", &[], 99.0)]);
        let rule = rule("{metric: active_users, stat: Maximum}", "[]");
        assert_eq!(read(&recent, &rule, &[], 3, 5), Reading::Value(10.0));
        assert_eq!(read(&recent, &rule, &[], 2, 4), Reading::Nothing);
    }

    #[test]
    fn a_pattern_adds_up_the_series_that_match_and_a_group_takes_its_own() {
        let request = |service: &'static str, status: &'static str| {
            [("service", service), ("endpoint", "/"), ("method", "GET"), ("status_code", status)]
        };
        let points = [request("api", "500"), request("api", "503"), request("api", "200"), request("web", "500")];
        let points: Vec<_> = points.iter().map(|dimensions| (1, "api_requests", &dimensions[..], 1.0)).collect();
        let recent = recent(&points);
        let failed = rule("{metric: api_requests, stat: Sum, where: {status_code: 5xx}}", "[service]");
        assert_eq!(read(&recent, &failed, &[("service", "api")], 1, 1), Reading::Value(2.0));
        assert_eq!(read(&recent, &failed, &[("service", "web")], 1, 1), Reading::Value(1.0));
        assert_eq!(read(&recent, &failed, &[("service", "user")], 1, 1), Reading::Nothing);
        // Defect 8: a rule without dimensions reads the roll-up without dimensions, and nothing twice.
        let all = rule("{metric: api_requests, stat: Sum}", "[]");
        assert_eq!(read(&recent, &all, &[], 1, 1), Reading::Value(4.0));
        let foreign = ForeignValues::new();
        let samples = Samples::new(&recent, &foreign, minute(0));
        let selected = samples.select(query(&failed), &failed.group_by);
        let groups = selected.groups(minute(1));
        let services: Vec<_> = groups.iter().map(|labels| labels["service"].as_str()).collect();
        assert_eq!(services, ["api", "web"]);
        assert!(selected.groups(minute(0)).is_empty(), "not yet");
    }

    #[test]
    fn too_few_samples_are_no_value() {
        let dimensions = [("service", "api"), ("endpoint", "/"), ("method", "GET"), ("status_code", "200")];
        let recent = recent(&[
            (1, "api_requests", &dimensions, 30.0),
            (1, "cpu_usage_percent", &[("service", "api")], 90.0),
            (2, "cpu_usage_percent", &[("service", "api")], 90.0),
        ]);
        for (query, expected) in [
            // Of a counter its increments count, however many of them came in one.
            ("{metric: api_requests, stat: Sum, min_samples: 30}", Reading::Value(30.0)),
            ("{metric: api_requests, stat: Sum, min_samples: 31}", Reading::Nothing),
            ("{metric: cpu_usage_percent, stat: Average, min_samples: 2}", Reading::Value(90.0)),
            ("{metric: cpu_usage_percent, stat: Average, min_samples: 3}", Reading::Nothing),
        ] {
            assert_eq!(read(&recent, &rule(query, "[]"), &[], 0, 2), expected, "{query}");
        }
    }

    #[test]
    fn what_cloudwatch_tells_by_minute_is_combined_over_the_window() {
        for (statistic, expected) in [("Sum", 60.0), ("Average", 20.0), ("Minimum", 10.0), ("Maximum", 30.0)] {
            let text =
                format!("{{metric: database_connections, stat: {statistic}, where: {{DBInstanceIdentifier: db}}}}");
            let rule = rule(&text, "[]");
            let series = rule.foreign().next().unwrap().clone();
            let values = (0..4).map(|at| (minute(at), at as f64 * 10.0)).collect();
            let recent = RecentRollups::default();
            let foreign = ForeignValues::from([(series, values)]);
            let samples = Samples::new(&recent, &foreign, minute(0));
            let selected = samples.select(query(&rule), &[]);
            let read =
                |from, to| selected.read(query(&rule), &Labels::new(), Window { from: minute(from), to: minute(to) });
            assert_eq!(read(1, 3), Reading::Value(expected), "{statistic}");
            assert_eq!(read(7, 9), Reading::Nothing);
            let nothing = ForeignValues::new();
            let unanswered = Samples::new(&recent, &nothing, minute(0));
            let window = Window::ending(minute(3), 3);
            let unanswered = unanswered.select(query(&rule), &[]);
            assert_eq!(unanswered.read(query(&rule), &Labels::new(), window), Reading::Unanswered);
            assert!(selected.knows(Window::ending(minute(0), 60)), "CloudWatch has its own history");
        }
    }

    #[test]
    fn silence_says_something_only_where_the_rollups_reach() {
        let rule = rule("{metric: active_users, stat: Maximum}", "[]");
        let foreign = ForeignValues::new();
        // What stands there is of no account: a line may be stamped with a time ahead of its own.
        let mut recent = recent(&[(130, "active_users", &[], 1.0), (250, "active_users", &[], 1.0)]);
        for (why, flushed, history_from, from, to, expected) in [
            ("the oldest that is kept", Some(130), 0, 11, 16, true),
            ("older than what is kept", Some(130), 0, 10, 15, false),
            ("the evaluator's first minute", Some(130), 50, 50, 55, true),
            ("before the evaluator's first minute", Some(130), 50, 49, 54, false),
            ("up to the flusher's tick", Some(130), 0, 120, 129, true),
            ("what the flusher has still to take in", Some(130), 0, 121, 130, false),
            ("before the flusher's first tick", None, 0, 120, 129, false),
        ] {
            recent.flushed_until = flushed.map(minute);
            let samples = Samples::new(&recent, &foreign, minute(history_from));
            let window = Window { from: minute(from), to: minute(to) };
            assert_eq!(samples.select(query(&rule), &[]).knows(window), expected, "{why}");
        }
    }
}
