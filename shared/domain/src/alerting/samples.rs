//! What is known of the metrics at a tick, laid out so that a query's statistic over a window of
//! minutes is quickly had.

use std::collections::{BTreeMap, BTreeSet};

use crate::Minute;
use crate::alerting::rules::{Labels, Query, Rule, Source, Statistic};
use crate::metrics::recent::{RecentRollups, SPAN_MINUTES};
use crate::metrics::registry::Kind;
use crate::metrics::series::{Aggregate, Dimensions};
use crate::metrics::sketch::Sketch;
use crate::ports::{MetricQuery, MinuteValues};

/// What CloudWatch answered, by query. A query that is not in it could not be answered.
pub type ForeignValues = BTreeMap<MetricQuery, MinuteValues>;

/// Everything that rules may look at.
#[derive(Debug)]
pub struct Samples<'a> {
    own: BTreeMap<&'a str, BTreeMap<&'a Dimensions, BTreeMap<Minute, &'a Aggregate>>>,
    /// Where an absent minute means that nothing came; nowhere before the flusher's first tick.
    known: Option<Window>,
    foreign: &'a ForeignValues,
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
        let mut own: BTreeMap<_, BTreeMap<_, BTreeMap<_, _>>> = BTreeMap::new();
        for (&minute, set) in &recent.minutes {
            for (key, aggregate) in set.iter() {
                let series = own.entry(key.name.as_str()).or_default();
                series.entry(&key.dimensions).or_default().insert(minute, aggregate);
            }
        }
        // By the flusher's tick and not by the newest key, which may be that of a line ahead of its time.
        let known = |flushed: Minute| Window { from: oldest_kept(flushed).max(history_from), to: flushed.plus(-1) };
        Samples { own, known: recent.flushed_until.map(known), foreign }
    }

    /// Whether an absent minute of the window means that nothing came. CloudWatch keeps its own history.
    pub fn knows(&self, query: &Query, window: Window) -> bool {
        let own = |known: Window| known.from <= window.from && window.to <= known.to;
        matches!(query.source, Source::Foreign(_)) || self.known.is_some_and(own)
    }

    /// The groups of `rule` that had a value up to and with `until`. A rule that does not group has the
    /// one group without labels, whether anything came or not.
    pub fn groups(&self, rule: &Rule, until: Minute) -> BTreeSet<Labels> {
        if rule.group_by.is_empty() {
            return BTreeSet::from([Labels::new()]);
        }
        let mut groups = BTreeSet::new();
        for (_, query) in rule.queries() {
            for (dimensions, minutes) in self.series(query) {
                let labels: Labels = rule
                    .group_by
                    .iter()
                    .filter_map(|name| dimensions.get(name).map(|value| (name.clone(), value.clone())))
                    .collect();
                let belongs = labels.len() == rule.group_by.len() && belongs(query, &labels, dimensions);
                if belongs && minutes.range(..=until).next().is_some() {
                    groups.insert(labels);
                }
            }
        }
        groups
    }

    /// The statistic of `query` for the group `labels` over `window`.
    pub fn read(&self, query: &Query, labels: &Labels, window: Window) -> Reading {
        let value = match &query.source {
            Source::Own(metric) => {
                let series = self.series(query).filter(|(dimensions, _)| belongs(query, labels, dimensions));
                let minutes = series.flat_map(|(_, minutes)| minutes.range(window.from..=window.to));
                let held: Vec<&Aggregate> = minutes.map(|(_, aggregate)| *aggregate).collect();
                statistic_of(query, metric.kind, &held)
            }
            Source::Foreign(series) => {
                let Some(values) = self.foreign.get(series) else { return Reading::Unanswered };
                let held: Vec<f64> = values.range(window.from..=window.to).map(|(_, value)| *value).collect();
                combined(query.statistic, &held)
            }
        };
        value.map_or(Reading::Nothing, Reading::Value)
    }

    fn series(&self, query: &Query) -> impl Iterator<Item = (&'a Dimensions, &BTreeMap<Minute, &'a Aggregate>)> {
        let series = match &query.source {
            Source::Own(metric) => self.own.get(metric.name),
            Source::Foreign(_) => None,
        };
        series.into_iter().flatten().map(|(dimensions, minutes)| (*dimensions, minutes))
    }
}

/// Whether a series is of the dimension set that the query and the group ask for, and passes both.
fn belongs(query: &Query, labels: &Labels, dimensions: &Dimensions) -> bool {
    let asked = query.filters.keys().chain(labels.keys()).collect::<BTreeSet<_>>().len();
    dimensions.len() == asked
        && labels.iter().all(|(name, value)| dimensions.get(name) == Some(value))
        && query.filters.iter().all(|(name, filter)| dimensions.get(name).is_some_and(|value| filter.matches(value)))
}

/// The statistic over the aggregates of all minutes and series, as if their values lay side by side.
fn statistic_of(query: &Query, kind: Kind, held: &[&Aggregate]) -> Option<f64> {
    let count: u64 = held.iter().map(|aggregate| aggregate.count).sum();
    let sum: f64 = held.iter().map(|aggregate| aggregate.sum).sum();
    let samples = if kind == Kind::Counter { sum } else { count as f64 };
    if count == 0 || samples < query.min_samples as f64 {
        return None;
    }
    match query.statistic {
        Statistic::Sum => Some(sum),
        Statistic::Average => Some(sum / count as f64),
        Statistic::Minimum => held.iter().map(|aggregate| aggregate.min).reduce(f64::min),
        Statistic::Maximum => held.iter().map(|aggregate| aggregate.max).reduce(f64::max),
        Statistic::SampleCount => Some(count as f64),
        Statistic::Percentile(percent) => {
            let mut merged = Sketch::Values(Vec::new());
            for aggregate in held {
                merged.merge(&aggregate.sketch);
            }
            merged.percentile(percent)
        }
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
    use crate::alerting::rules::{RuleSet, Variables};
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
        Samples::new(recent, &foreign, minute(0)).read(&rule.threshold().unwrap().queries["q"], &labels, window)
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
        let groups = Samples::new(&recent, &foreign, minute(0)).groups(&failed, minute(1));
        let services: Vec<_> = groups.iter().map(|labels| labels["service"].as_str()).collect();
        assert_eq!(services, ["api", "web"]);
        assert!(Samples::new(&recent, &foreign, minute(0)).groups(&failed, minute(0)).is_empty(), "not yet");
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
            let query =
                format!("{{metric: database_connections, stat: {statistic}, where: {{DBInstanceIdentifier: db}}}}");
            let rule = rule(&query, "[]");
            let series = rule.foreign().next().unwrap().clone();
            let values = (0..4).map(|at| (minute(at), at as f64 * 10.0)).collect();
            let recent = RecentRollups::default();
            let foreign = ForeignValues::from([(series, values)]);
            let samples = Samples::new(&recent, &foreign, minute(0));
            let read = |from, to| {
                samples.read(
                    &rule.threshold().unwrap().queries["q"],
                    &Labels::new(),
                    Window { from: minute(from), to: minute(to) },
                )
            };
            assert_eq!(read(1, 3), Reading::Value(expected), "{statistic}");
            assert_eq!(read(7, 9), Reading::Nothing);
            let nothing = ForeignValues::new();
            let unanswered = Samples::new(&recent, &nothing, minute(0));
            let window = Window::ending(minute(3), 3);
            assert_eq!(
                unanswered.read(&rule.threshold().unwrap().queries["q"], &Labels::new(), window),
                Reading::Unanswered
            );
            assert!(
                samples.knows(&rule.threshold().unwrap().queries["q"], Window::ending(minute(0), 60)),
                "CloudWatch has its own history"
            );
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
            assert_eq!(samples.knows(&rule.threshold().unwrap().queries["q"], window), expected, "{why}");
        }
    }
}
