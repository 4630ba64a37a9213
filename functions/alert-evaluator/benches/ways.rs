//! The ways to evaluate rules that are compared. Each tells how many alerts fire.

use std::collections::{BTreeMap, BTreeSet};

use domain::Minute;
use domain::alerting::engine;
use domain::alerting::rules::kind::{BURN, Burn, Indicator, Kind, Threshold};
use domain::alerting::rules::{Labels, Query, Rule, Source, Statistic};
use domain::metrics::series::{Aggregate, Dimensions};

use crate::world::World;

/// One way.
pub type Way = fn(&World) -> usize;

/// All of them, with their names.
pub const WAYS: [(&str, Way); 2] = [("tick", tick), ("rule by rule", rule_by_rule)];

/// The engine, and the state as it is written.
pub fn tick(world: &World) -> usize {
    let outcome = engine::evaluate(&world.tick(), Some(world.state.clone()));
    std::hint::black_box(outcome.state.to_object());
    outcome.changes.len()
}

/// How many calls of `GetMetricData` the engine asks for.
pub fn calls(world: &World) -> usize {
    engine::foreign_read(&world.rules, world.due).queries.len().div_ceil(500)
}

/// How many there are where every rule asks for itself.
pub fn calls_rule_by_rule(world: &World) -> usize {
    world.rules.rules.iter().filter(|rule| rule.foreign().next().is_some()).count()
}

/// As it is done first: every rule goes through all that there is, for its groups and then for each window of each of
/// them. It has no phases, no state and no policies.
fn rule_by_rule(world: &World) -> usize {
    let rules = world.rules.rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    world.rules.rules.iter().map(|rule| firing(world, &rules, rule).len()).sum()
}

/// The groups of the rule that fire.
fn firing(world: &World, rules: &BTreeMap<&str, &Rule>, rule: &Rule) -> BTreeSet<Labels> {
    let to = world.due.to;
    match &rule.kind {
        Kind::Metric(threshold) => {
            let breaches = |labels: &Labels, back: usize| {
                let value = value(world, threshold, labels, to.plus(-(back as i64)));
                value.is_some_and(|value| threshold.when.holds(value))
            };
            let fires =
                |labels: &Labels| (0..threshold.n).filter(|back| breaches(labels, *back)).count() >= threshold.m;
            let queries: Vec<&Query> = threshold.queries.values().collect();
            groups(world, rule, &queries).into_iter().filter(fires).collect()
        }
        Kind::Slo(slo) => {
            let Indicator::Bad { bad, total } = &slo.indicator else { return BTreeSet::new() };
            let sum = |query, labels: &Labels, minutes: i64| {
                merged(world, query, labels, to.plus(1 - minutes), to).map_or(0.0, |merged| merged.sum)
            };
            let burns = |labels: &Labels, burn: &Burn| {
                let rate = |minutes| sum(bad, labels, minutes) / sum(total, labels, minutes) / slo.budget();
                sum(total, labels, burn.long) >= slo.min_samples as f64
                    && rate(burn.long) >= burn.factor
                    && rate(burn.short) >= burn.factor
            };
            let mut firing = BTreeSet::new();
            for labels in groups(world, rule, &[total]) {
                for alert in slo.alerts.iter().filter(|alert| alert.burns.iter().any(|burn| burns(&labels, burn))) {
                    let mut labels = labels.clone();
                    labels.insert(BURN.to_owned(), alert.label.to_owned());
                    firing.insert(labels);
                }
            }
            firing
        }
        Kind::Absence(absence) => {
            let silent =
                |labels: &Labels| merged(world, &absence.query, labels, to.plus(1 - absence.after), to).is_none();
            groups(world, rule, &[&absence.query]).into_iter().filter(silent).collect()
        }
        Kind::Heartbeat(heartbeat) => {
            let from = to.plus(1 - heartbeat.every - heartbeat.grace);
            let silent = |labels: &Labels| merged(world, &heartbeat.query, labels, from, to).is_none();
            BTreeSet::from([Labels::new()]).into_iter().filter(silent).collect()
        }
        Kind::Composite(composite) => {
            let others: BTreeMap<&str, BTreeSet<Labels>> =
                composite.logic.rules().into_iter().map(|id| (id, firing(world, rules, rules[id]))).collect();
            let group = |labels: &Labels| -> Option<Labels> {
                rule.group_by.iter().map(|name| Some((name.clone(), labels.get(name)?.clone()))).collect()
            };
            let groups: BTreeSet<Labels> = others.values().flatten().filter_map(group).collect();
            let agree = |one: &Labels, other: &Labels| {
                one.iter().all(|(name, value)| other.get(name).is_none_or(|other| other == value))
            };
            let counted = |labels: &Labels, id: &str| others[id].iter().filter(|other| agree(labels, other)).count();
            groups.into_iter().filter(|labels| composite.logic.holds(&|id| counted(labels, id))).collect()
        }
        Kind::Event(event) => {
            let mut counts: BTreeMap<Labels, u64> = BTreeMap::new();
            for happened in &world.events {
                let fields = Labels::from([
                    ("event_type".to_owned(), happened.event_type.clone()),
                    ("service".to_owned(), happened.service.clone()),
                    ("level".to_owned(), happened.level.clone()),
                ]);
                if event.matches(&fields) {
                    let labels = rule.group_by.iter().map(|name| (name.clone(), fields[name].clone())).collect();
                    *counts.entry(labels).or_default() += happened.count;
                }
            }
            let fires = |count: u64| event.when.holds(count as f64);
            counts.into_iter().filter(|(_, count)| fires(*count)).map(|(labels, _)| labels).collect()
        }
    }
}

fn groups(world: &World, rule: &Rule, queries: &[&Query]) -> BTreeSet<Labels> {
    if rule.group_by.is_empty() {
        return BTreeSet::from([Labels::new()]);
    }
    let mut groups = BTreeSet::new();
    for query in queries {
        for set in world.recent.minutes.values() {
            for (key, _) in set.iter() {
                let label = |name: &String| Some((name.clone(), key.dimensions.get(name)?.clone()));
                let labels: Option<Labels> = rule.group_by.iter().map(label).collect();
                groups.extend(labels.filter(|labels| belongs(query, labels, &key.name, &key.dimensions)));
            }
        }
    }
    groups
}

fn belongs(query: &Query, labels: &Labels, name: &str, dimensions: &Dimensions) -> bool {
    matches!(&query.source, Source::Own(metric) if metric.name == name)
        && dimensions.len() == query.filters.keys().chain(labels.keys()).collect::<BTreeSet<_>>().len()
        && labels.iter().all(|(name, value)| dimensions.get(name) == Some(value))
        && query.filters.iter().all(|(name, filter)| dimensions.get(name).is_some_and(|value| filter.matches(value)))
}

fn value(world: &World, threshold: &Threshold, labels: &Labels, minute: Minute) -> Option<f64> {
    let from = minute.plus(1 - threshold.window);
    let mut values: BTreeMap<&str, Option<f64>> = BTreeMap::new();
    for (name, query) in &threshold.queries {
        let value = match &query.source {
            Source::Foreign(series) => {
                let values = world.foreign.get(series)?.range(from..=minute).map(|(_, value)| *value);
                let values: Vec<f64> = values.collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            }
            Source::Own(_) => merged(world, query, labels, from, minute).and_then(|merged| match query.statistic {
                Statistic::Percentile(percent) => merged.sketch.percentile(percent),
                Statistic::Maximum => Some(merged.max),
                _ => Some(merged.sum),
            }),
        };
        values.insert(name, value.or(query.fill_zero.then_some(0.0)));
    }
    threshold.expression.evaluate(&|name| values.get(name).copied().flatten())
}

/// All that there is of the query's series in these minutes.
fn merged(world: &World, query: &Query, labels: &Labels, from: Minute, to: Minute) -> Option<Aggregate> {
    let mut merged: Option<Aggregate> = None;
    for (_, set) in world.recent.minutes.range(from..=to) {
        for (_, held) in set.iter().filter(|(key, _)| belongs(query, labels, &key.name, &key.dimensions)) {
            match &mut merged {
                Some(merged) => merged.merge(held),
                None => merged = Some(held.clone()),
            }
        }
    }
    merged
}
