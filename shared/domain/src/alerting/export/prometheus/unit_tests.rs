//! The rules' own tests as a file for `promtool test rules`.
//!
//! A minute of a test is a sample a minute later, at the end of it: counters begin with the zero that remote write sends
//! before the first value, so what a minute counted is in any window that has both its ends. What `ALERTS` says another
//! minute later, when the rules look at it, is what the test expects of that minute.

use std::collections::BTreeMap;

use crate::alerting::rules::kind::{BURN, Event, Kind};
use crate::alerting::rules::scenario::{EVENTS, GROUP, Scenario, series_of};
use crate::alerting::rules::{Labels, Missing, Query, Rule, RuleSet, Source};
use crate::metrics::prometheus::scaled;
use crate::metrics::registry::{self, Definition, Kind as MetricKind};
use crate::metrics::series::{Dimensions, SeriesKey};

use super::super::Note;
use super::{RuleFile, label_names, quoted};

/// A file for promtool, and what is not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitTests {
    /// The YAML. The notes stand in it as comments.
    pub text: String,
    /// Tests that are left out.
    pub notes: Vec<Note>,
}

/// The tests of the rules that `exported` has, for the rule file that is called `rule_file`. Those of more than `longest`
/// minutes are left out, which is told: promtool evaluates all rules of the file in each of them, and windows of days
/// take it minutes.
pub fn unit_tests(
    rules: &RuleSet,
    exported: &RuleFile,
    rule_file: &str,
    environment: Option<&str>,
    longest: i64,
) -> UnitTests {
    let mut notes = Vec::new();
    let mut text = format!(
        "# Made by `cargo ops rules export prometheus --tests`: the tests that the rules carry.\n\
         rule_files:\n- {}\nevaluation_interval: 1m\ntests:",
        quoted(rule_file)
    );
    let mut any = false;
    for rule in rules.rules.iter().filter(|rule| exported.exported.contains(&rule.id)) {
        for (number, scenario) in rule.tests.iter().enumerate() {
            let written = Written { rules, rule, scenario, environment };
            let by_itself =
                written.fires_by_itself().map(|other| format!("{other} fires where the test gives it no series"));
            let minutes = written.minutes();
            let long = (minutes > longest).then(|| format!("it plays {}", super::super::duration(minutes)));
            if let Some(why) = by_itself.or(long) {
                let what = format!("test {}: {why}", number + 1);
                text.push_str(&format!("\n# Not here: {}, {what}.\n", rule.id));
                notes.push(Note::left_out(&rule.id, what));
                continue;
            }
            text.push_str(&written.test(number + 1));
            any = true;
        }
    }
    text.push_str(if any { "" } else { " []\n" });
    UnitTests { text, notes }
}

struct Written<'a> {
    rules: &'a RuleSet,
    rule: &'a Rule,
    scenario: &'a Scenario,
    environment: Option<&'a str>,
}

/// Samples of a series; `None` is none, and `stale` its end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sample {
    Value(f64),
    None,
    Stale,
}

impl Written<'_> {
    /// A rule that a composite rule speaks of, and that would fire beside what the test says: in Prometheus all rules of
    /// the file are at work, and this one takes silence for a breach.
    fn fires_by_itself(&self) -> Option<&str> {
        let Kind::Composite(composite) = &self.rule.kind else { return None };
        let fires = |rule: &&Rule| match &rule.kind {
            Kind::Heartbeat(_) | Kind::Composite(_) => true,
            Kind::Metric(threshold) => {
                let is_zero = threshold.queries.values().any(|query| query.fill_zero);
                threshold.missing == Missing::Breaching || is_zero && !threshold.when.is_upward()
            }
            Kind::Slo(_) | Kind::Absence(_) | Kind::Event(_) => false,
        };
        let ids = composite.logic.rules();
        let rules = self.rules.rules.iter().filter(|rule| ids.contains(rule.id.as_str()));
        rules.filter(fires).map(|rule| rule.id.as_str()).next()
    }

    /// How long the test is.
    fn minutes(&self) -> i64 {
        self.scenario.expected().keys().next_back().map_or(0, |last| last + 1)
    }

    fn test(&self, number: usize) -> String {
        let mut text = format!("\n- name: {}\n  interval: 1m\n", quoted(&format!("{}, test {number}", self.rule.id)));
        let series: Vec<(String, Vec<Sample>)> = self.series();
        text.push_str(if series.is_empty() { "  input_series: []\n" } else { "  input_series:\n" });
        for (name, samples) in series {
            text.push_str(&format!("  - series: {}\n    values: {}\n", quoted(&name), quoted(&notation(&samples))));
        }
        text.push_str("  promql_expr_test:");
        let mut any = false;
        for (minute, expected) in self.scenario.expected().range(self.first_known()..) {
            for (burn, phase) in expected {
                text.push_str(&self.expectation(*minute, burn.as_deref(), phase));
                any = true;
            }
        }
        text.push_str(if any { "\n" } else { " []\n" });
        text
    }

    /// `ALERTS` of the rule when it has looked at the minute: firing or pending, or nothing.
    fn expectation(&self, minute: i64, burn: Option<&str>, phase: &str) -> String {
        let burn = burn.map(|burn| format!(", {BURN}={}", quoted(burn))).unwrap_or_default();
        let expression = format!("group by (alertstate) (ALERTS{{alertname={}{burn}}})", quoted(&self.rule.id));
        let samples = match phase {
            "firing" | "pending" => {
                let labels = quoted(&format!("{{alertstate={}}}", quoted(phase)));
                format!("[{{labels: {labels}, value: 1}}]")
            }
            _ => "[]".to_owned(),
        };
        let expression = quoted(&expression);
        // Samples are looked at a minute after their time, other alerts at once.
        let later = if matches!(self.rule.kind, Kind::Composite(_)) { 1 } else { 2 };
        format!("\n  - expr: {expression}\n    eval_time: {}m\n    exp_samples: {samples}", minute + later)
    }

    /// The first minute of which Prometheus can say what the rule does. Before it, the engine knows that it does not know
    /// what was; Prometheus takes what it never saw for silence.
    fn first_known(&self) -> i64 {
        match &self.rule.kind {
            Kind::Metric(threshold) if !threshold.when.is_upward() || threshold.missing == Missing::Breaching => {
                self.rule.reach() - 1
            }
            Kind::Heartbeat(heartbeat) => heartbeat.every + heartbeat.grace - 1,
            _ => 0,
        }
    }

    fn series(&self) -> Vec<(String, Vec<Sample>)> {
        let last = self.minutes() - 1;
        let queries = self.rule.queries();
        let own: Vec<(&str, &'static Definition, SeriesKey)> = queries
            .iter()
            .filter_map(|(name, query)| Some((*name, own(query)?, series_of(query, self.rule))))
            .collect();
        let mut series = Vec::new();
        for (name, metric, key) in &own {
            // What is counted by more dimensions is among what is counted by fewer, and there it is another series.
            let parts: Vec<&str> = own
                .iter()
                .filter(|(_, _, other)| metric.kind == MetricKind::Counter && is_part(&other.dimensions, key, other))
                .map(|(name, _, _)| *name)
                .collect();
            let value = |minute: i64| self.rest(name, &parts, minute);
            series.extend(self.exposed(metric, &key.dimensions, last, value));
        }
        if let Kind::Composite(composite) = &self.rule.kind {
            composite.logic.rules().iter().for_each(|id| series.extend(self.alerts_of(id, last)));
        }
        if let Kind::Event(event) = &self.rule.kind
            && let Some(metric) = registry::find("security_events")
        {
            let value = |minute: i64| self.scenario.value(EVENTS, minute);
            series.extend(self.exposed(metric, &self.event_labels(event), last, value));
        }
        series
    }

    /// The value of a query without those of others that are parts of it.
    fn rest(&self, name: &str, parts: &[&str], minute: i64) -> Option<(f64, u64)> {
        let (value, samples) = self.scenario.value(name, minute)?;
        let total = |(value, samples): (f64, u64)| value * samples as f64;
        let counted: f64 = parts.iter().filter_map(|part| self.scenario.value(part, minute)).map(total).sum();
        if counted == 0.0 { Some((value, samples)) } else { Some(((total((value, samples)) - counted).max(0.0), 1)) }
    }

    fn event_labels(&self, event: &Event) -> Dimensions {
        let mut labels: Dimensions = self.rule.group_by.iter().map(|name| (name.clone(), GROUP.to_owned())).collect();
        for (name, patterns) in &event.filters {
            let value = patterns.first().map(|pattern| pattern.to_string().replace('*', GROUP)).unwrap_or_default();
            labels.insert(name.clone(), value);
        }
        labels
    }

    /// `ALERTS` of another rule: as many as the test says fire, the first for the test's own group.
    fn alerts_of(&self, id: &str, last: i64) -> Vec<(String, Vec<Sample>)> {
        let names = self.rules.rules.iter().find(|rule| rule.id == id).map(label_names).unwrap_or_default();
        let firing = |minute: i64| self.scenario.value(id, minute).map_or(0, |(value, _)| value as u64);
        let most = (0..=last).map(firing).max().unwrap_or(0);
        let mut series = Vec::new();
        for number in 1..=most {
            let value = if number == 1 { GROUP.to_owned() } else { format!("{GROUP}-{number}") };
            let mut labels: Labels = names.iter().map(|name| (name.clone(), value.clone())).collect();
            labels.insert("alertname".to_owned(), id.to_owned());
            labels.insert("alertstate".to_owned(), "firing".to_owned());
            labels.extend(self.environment.map(|value| ("environment".to_owned(), value.to_owned())));
            let sample = |minute: i64| if firing(minute) >= number { Sample::Value(1.0) } else { Sample::Stale };
            let samples = std::iter::once(Sample::None).chain((0..=last).map(sample)).collect();
            series.push((named("ALERTS", &labels), samples));
        }
        series
    }

    /// The series of Prometheus of one of ours.
    fn exposed(
        &self,
        metric: &Definition,
        dimensions: &Dimensions,
        last: i64,
        value: impl Fn(i64) -> Option<(f64, u64)>,
    ) -> Vec<(String, Vec<Sample>)> {
        if (0..=last).all(|minute| value(minute).is_none()) {
            return Vec::new();
        }
        let mut labels = dimensions.clone();
        labels.extend(self.environment.map(|value| ("environment".to_owned(), value.to_owned())));
        let family = metric.prometheus_name();
        let total = |of: &dyn Fn(f64, u64) -> f64| {
            let mut sum = 0.0;
            let grown = (0..=last).map(|minute| {
                sum += value(minute).map_or(0.0, |(value, samples)| of(value, samples));
                Sample::Value(sum)
            });
            std::iter::once(Sample::Value(0.0)).chain(grown).collect::<Vec<_>>()
        };
        match metric.kind {
            MetricKind::Gauge => {
                let sample =
                    |minute| value(minute).map_or(Sample::None, |(value, _)| Sample::Value(scaled(metric, value)));
                vec![(named(&family, &labels), std::iter::once(Sample::None).chain((0..=last).map(sample)).collect())]
            }
            MetricKind::Counter => {
                vec![(named(&family, &labels), total(&|value, samples| scaled(metric, value) * samples as f64))]
            }
            MetricKind::Histogram | MetricKind::Timer => {
                let bounds = metric.buckets().iter().copied().chain([f64::INFINITY]);
                let mut series: Vec<_> = bounds
                    .map(|bound| {
                        let le = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
                        let mut labels = labels.clone();
                        labels.insert("le".to_owned(), le);
                        let count = |value: f64, samples: u64| {
                            if scaled(metric, value) <= bound { samples as f64 } else { 0.0 }
                        };
                        (named(&format!("{family}_bucket"), &labels), total(&count))
                    })
                    .collect();
                let sum = total(&|value, samples| scaled(metric, value) * samples as f64);
                series.push((named(&format!("{family}_sum"), &labels), sum));
                series.push((named(&format!("{family}_count"), &labels), total(&|_, samples| samples as f64)));
                series
            }
        }
    }
}

fn own(query: &Query) -> Option<&'static Definition> {
    if let Source::Own(metric) = &query.source { Some(metric) } else { None }
}

/// Whether `other` counts some of what `key` counts.
fn is_part(dimensions: &Dimensions, key: &SeriesKey, other: &SeriesKey) -> bool {
    key.name == other.name
        && dimensions.len() > key.dimensions.len()
        && key.dimensions.iter().all(|(name, value)| dimensions.get(name) == Some(value))
}

/// `name{label="value"}`
fn named(name: &str, labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    format!("{name}{{{}}}", labels.join(", "))
}

/// Samples as promtool writes them: `0 1+1x8 _x5 7 stale`, where `a+bxn` is `a` and n more, and `_xn` n times none.
fn notation(samples: &[Sample]) -> String {
    let mut tokens = Vec::new();
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let length = match first {
            Sample::Value(value) => {
                let (length, token) = run_of(*value, rest);
                tokens.push(token);
                length
            }
            same => {
                let length = rest.iter().take_while(|sample| *sample == same).count();
                // (Once an end is told, there is nothing after it.)
                let told = if *same == Sample::Stale { 1 } else { 0 };
                tokens.extend((told == 1).then(|| "stale".to_owned()));
                tokens.extend((length > told).then(|| format!("_x{}", length - told)));
                length
            }
        };
        rest = &rest[length..];
    }
    tokens.join(" ")
}

/// How many samples from the first on grow by the same, and what stands for them.
fn run_of(first: f64, samples: &[Sample]) -> (usize, String) {
    let Some(Sample::Value(second)) = samples.get(1) else { return (1, first.to_string()) };
    let step = second - first;
    let mut next = first;
    let length = samples
        .iter()
        .take_while(|sample| {
            let is_next = **sample == Sample::Value(next);
            next += step;
            is_next
        })
        .count();
    if length < 3 {
        return (1, first.to_string());
    }
    let sign = if step < 0.0 { "" } else { "+" };
    (length, format!("{first}{sign}{step}x{}", length - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_short_where_they_repeat() {
        let values = |values: &[f64]| values.iter().map(|value| Sample::Value(*value)).collect::<Vec<_>>();
        for (samples, expected) in [
            (values(&[0.0, 0.0, 0.0, 1.0, 2.0, 3.0]), "0+0x2 1+1x2"),
            (values(&[5.0, 4.0, 3.0, 3.0]), "5-1x2 3"),
            (values(&[1.0, 2.0]), "1 2"),
            ([vec![Sample::None; 3], values(&[1.5]), vec![Sample::Stale; 3]].concat(), "_x3 1.5 stale _x2"),
            (vec![Sample::Stale], "stale"),
        ] {
            assert_eq!(notation(&samples), expected);
        }
    }
}
