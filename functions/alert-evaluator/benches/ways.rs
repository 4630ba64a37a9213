//! The ways to evaluate rules that are compared. Each tells how many alerts fire.

use std::collections::{BTreeMap, BTreeSet};

use domain::Minute;
use domain::alerting::engine::{self, Tick};
use domain::alerting::rules::kind::Threshold;
use domain::alerting::rules::{Labels, Query, Rule, Source, Statistic};
use domain::metrics::series::{Aggregate, Dimensions};

use crate::world::World;

/// One way.
pub type Way = fn(&World) -> usize;

/// All of them, with their names.
pub const WAYS: [(&str, Way); 2] = [("tick", tick), ("rule by rule", rule_by_rule)];

/// The engine, and the state as it is written.
pub fn tick(world: &World) -> usize {
    let tick = Tick::new(world.now, Some(world.due), &world.rules, &world.recent, &world.foreign);
    let outcome = engine::evaluate(&tick, Some(world.state.clone()));
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
    let mut firing = 0;
    for rule in &world.rules.rules {
        let Some(threshold) = rule.threshold() else { continue };
        for labels in groups(world, rule, threshold) {
            let breaches = |back: usize| {
                let minute = world.due.to.plus(-(back as i64));
                value(world, threshold, &labels, minute).is_some_and(|value| threshold.when.holds(value))
            };
            firing += usize::from((0..threshold.n).filter(|back| breaches(*back)).count() >= threshold.m);
        }
    }
    firing
}

fn groups(world: &World, rule: &Rule, threshold: &Threshold) -> BTreeSet<Labels> {
    if rule.group_by.is_empty() {
        return BTreeSet::from([Labels::new()]);
    }
    let mut groups = BTreeSet::new();
    for query in threshold.queries.values() {
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
            Source::Own(_) => {
                let mut merged: Option<Aggregate> = None;
                for (_, set) in world.recent.minutes.range(from..=minute) {
                    for (key, held) in set.iter().filter(|(key, _)| belongs(query, labels, &key.name, &key.dimensions))
                    {
                        let _ = key;
                        match &mut merged {
                            Some(merged) => merged.merge(held),
                            None => merged = Some(held.clone()),
                        }
                    }
                }
                merged.and_then(|merged| match query.statistic {
                    Statistic::Percentile(percent) => merged.sketch.percentile(percent),
                    Statistic::Maximum => Some(merged.max),
                    _ => Some(merged.sum),
                })
            }
        };
        values.insert(name, value.or(query.fill_zero.then_some(0.0)));
    }
    threshold.expression.evaluate(&|name| values.get(name).copied().flatten())
}
