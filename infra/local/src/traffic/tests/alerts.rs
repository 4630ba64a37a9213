//! The built-in rules, played over the day by the engine itself: each incident makes the rules fire that it is meant
//! to, and nothing else does.

use std::collections::BTreeMap;

use domain::alerting::DEFAULT_RULES;
use domain::alerting::engine::{Due, Tick, evaluate};
use domain::alerting::episode::Episode;
use domain::alerting::event::SecurityEvent;
use domain::alerting::rules::{RuleSet, Variables};
use domain::alerting::samples::ForeignValues;
use domain::logs::pipeline::Outcome;
use domain::metrics::pending::PendingMetrics;
use domain::metrics::recent::RecentRollups;
use domain::metrics::series::{Aggregate, SeriesKey, SeriesSet};
use domain::minute::Minute;
use serde_json::Value;
use testkit::{pipeline, subscription};

use super::day;
use crate::traffic::incidents::{INCIDENTS, Incident};
use crate::traffic::{Day, Line};

/// How long after an incident its alerts may begin, in minutes.
const AFTERMATH_MINUTES: i64 = 15;

/// Minutes that a tick evaluates: what it answers does not depend on it.
const TICK_MINUTES: usize = 10;

/// What comes of the day's lines and events, by minute.
#[derive(Default)]
struct Derived {
    /// Series by the registry's dimension sets.
    metrics: BTreeMap<Minute, SeriesSet>,
    /// Security events, one for each service, type and level.
    security: BTreeMap<Minute, Vec<SecurityEvent>>,
}

fn derived(day: &Day) -> Derived {
    let mut derived = Derived::default();
    let minutes: Vec<Minute> = day.minutes().collect();
    for hour in minutes.chunks(60) {
        let mut streams: BTreeMap<(String, String), Vec<(i64, String)>> = BTreeMap::new();
        for &minute in hour {
            let written = day.written(minute);
            derived.security.insert(minute, security_events(minute, &written.lines));
            for event in &written.events {
                let key = SeriesKey { name: "user_registrations".to_owned(), dimensions: BTreeMap::new() };
                let one = Aggregate::of(1.0, event.epoch_seconds * 1_000);
                derived.metrics.entry(minute).or_default().add(key, &one);
            }
            for line in written.lines {
                let stream = (line.log_group, line.log_stream);
                streams.entry(stream).or_default().push((line.timestamp_ms, line.message));
            }
        }
        for ((log_group, log_stream), lines) in streams {
            let lines: Vec<(i64, &str)> = lines.iter().map(|(at, line)| (*at, line.as_str())).collect();
            let event = subscription::delivery(&log_group, &log_stream, &lines).to_string();
            let Outcome::Batch(processed) = pipeline::process(&event) else { panic!("{log_stream}") };
            let pending = PendingMetrics::parse(&processed.pending.unwrap().body).unwrap();
            for (minute, set) in pending.minutes.into_iter().chain(pending.extracted) {
                derived.metrics.entry(minute).or_default().merge(&set.roll_up());
            }
        }
    }
    derived
}

fn security_events(minute: Minute, lines: &[Line]) -> Vec<SecurityEvent> {
    let mut counts: BTreeMap<[String; 3], u64> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.message.contains("security")) {
        let Ok(json) = serde_json::from_str::<Value>(&line.message) else { continue };
        let named = [&json["context"]["service_name"], &json["details"]["event_type"], &json["level"]];
        if json["category"] == "security" {
            *counts.entry(named.map(|text| text.as_str().unwrap().to_owned())).or_default() += 1;
        }
    }
    let event = |([service, event_type, level], count): ([String; 3], u64)| SecurityEvent {
        id: format!("{minute} {service} {event_type} {level}"),
        at: minute.start(),
        event_type,
        service,
        level,
        count,
    };
    counts.into_iter().map(event).collect()
}

/// Every episode that began or ended.
fn changes(day: &Day) -> Vec<Episode> {
    let variables = Variables::from([("DATABASE_INSTANCE".to_owned(), "db".to_owned())]);
    let rules = RuleSet::load("default.yaml", DEFAULT_RULES, &variables).unwrap();
    let connections: BTreeMap<Minute, f64> =
        day.minutes().map(|minute| (minute, day.database_connections(minute))).collect();
    let foreign: ForeignValues = rules
        .rules
        .iter()
        .flat_map(|rule| rule.foreign())
        .map(|series| (series.clone(), connections.clone()))
        .collect();
    let derived = derived(day);
    let mut recent = RecentRollups::default();
    let mut state = None;
    let mut changes = Vec::new();
    let minutes: Vec<Minute> = day.minutes().collect();
    for ticked in minutes.chunks(TICK_MINUTES) {
        let (from, to) = (ticked[0], ticked[ticked.len() - 1]);
        recent.minutes.extend(derived.metrics.range(from..=to).map(|(minute, set)| (*minute, set.clone())));
        recent.flushed(to.plus(1));
        recent.forget(to.plus(1));
        let events: Vec<SecurityEvent> =
            derived.security.range(from..=to).flat_map(|(_, events)| events.clone()).collect();
        let tick = Tick::new(to.start(), Some(Due { from, to, skipped: 0 }), &rules, &recent, &foreign);
        let outcome = evaluate(&Tick { events: &events, ..tick }, state.take());
        changes.extend(outcome.changes);
        state = Some(outcome.state);
    }
    changes
}

/// At a tenth: where few come, rules that take too little for a lot would fire.
#[test]
fn each_incident_makes_its_rules_fire_and_nothing_else_does() {
    let day = day(0.1);
    let changes = changes(&day);
    let offset = |minute: Minute| minute.since(day.start());
    for change in &changes {
        let explains = |incident: &&Incident| {
            (incident.expects == change.rule || incident.also.contains(&change.rule.as_str()))
                && (incident.from..incident.until + AFTERMATH_MINUTES).contains(&offset(change.since))
        };
        let explained = INCIDENTS.iter().find(explains);
        assert!(explained.is_some(), "{} {:?} at {}", change.rule, change.labels, offset(change.since));
    }
    for incident in &INCIDENTS {
        let of = |rule: &str| changes.iter().filter(|change| change.rule == rule).collect::<Vec<_>>();
        let ends: Vec<Option<i64>> =
            of(incident.expects).iter().map(|change| change.ended.as_ref().map(|ended| offset(ended.at))).collect();
        let [None, Some(end)] = ends[..] else { panic!("{}: {ends:?}", incident.expects) };
        assert!(end < incident.until + 60, "{} ends at {end}", incident.expects);
        for rule in incident.also {
            let of_rule = of(rule);
            let ended = of_rule.iter().filter(|change| change.ended.is_some()).count();
            assert!(ended > 0 && ended * 2 == of_rule.len(), "{rule}: {ended} of {}", of_rule.len());
        }
    }
}
