//! A backtest says of a day what the evaluator really did: the lines of some hours of the demo's traffic go through
//! log-processor, metric-flusher and alert-evaluator, a tick a minute, and what became of the alerts is what the backtest
//! finds in the rollups afterwards.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use alert_evaluator::{Config, Evaluator, Ports};
use domain::Minute;
use domain::alerting::DEFAULT_RULES;
use domain::alerting::backtest::{Backtest, PastMetrics, Report};
use domain::alerting::lifecycle::Phase;
use domain::alerting::policy::Policy;
use domain::alerting::rules::{Labels, RuleSet, Variables};
use domain::alerting::samples::ForeignValues;
use domain::alerting::state::AlertState;
use domain::keys;
use domain::metrics::flush::Extraction;
use domain::metrics::rollup::Rollup;
use local::traffic::Day;
use local::traffic::incidents::{SLOW_API, SLOW_QUERIES};
use log_processor::{Pipelines, handle};
use metric_flusher::{Flusher, TAKING_IN};
use testkit::pipeline::settings;
use testkit::{
    FixedMetrics, InMemoryBucket, InMemoryPrometheus, RecordedEvents, RecordedLog, RecordedMetrics,
    RecordedPublications, subscription,
};

/// What is played of the day, in minutes after its start: from before an incident until its alerts are over.
const FROM: i64 = SLOW_API.from - 20;
const UNTIL: i64 = SLOW_API.until + 40;

/// What an alert turned into, and in which minute.
type Turned = BTreeSet<(String, Labels, Minute, bool)>;

fn rules() -> RuleSet {
    let variables = Variables::from([("DATABASE_INSTANCE".to_owned(), "db".to_owned())]);
    RuleSet::load("default.yaml", DEFAULT_RULES, &variables).unwrap()
}

fn config() -> Config {
    Config {
        bucket_name: "bucket".into(),
        alert_topic_arn: "arn:aws:sns:eu-west-1:123456789012:alerts".into(),
        history_log_group: "/land-contracts/observability/alert-history".into(),
        database_instance: "db".into(),
        environment: "production".into(),
        region: "eu-west-1".into(),
        amazon_q: false,
        ours: Default::default(),
    }
}

/// Plays the traffic through the functions. Answers the bucket, the last state, and what became of the alerts.
async fn lived(day: &Day, foreign: &ForeignValues) -> (InMemoryBucket, AlertState, Turned) {
    let bucket = InMemoryBucket::new();
    let pipelines = Pipelines::new(settings());
    let flusher: Flusher<_, _, InMemoryPrometheus> = Flusher {
        bucket: bucket.clone(),
        metrics: RecordedMetrics::new(),
        namespace: "n".into(),
        extraction: Extraction::Flusher,
        prometheus: None,
        taking_in: TAKING_IN,
    };
    let metrics = FixedMetrics { series: foreign.clone(), ..FixedMetrics::default() };
    let (topic, log) = (RecordedPublications::new(), RecordedLog::new());
    let evaluator = Evaluator::new(Ports { bucket: bucket.clone(), metrics, topic, log }, &config()).unwrap();
    let mut turned = Turned::new();
    for offset in FROM..UNTIL {
        let minute = day.start().plus(offset);
        for event in deliveries(day, minute) {
            handle(&event, &bucket, &RecordedEvents::new(), &pipelines).await.unwrap();
        }
        let now = minute.plus(1).start();
        flusher.flush(Minute::of(now), now).await.unwrap();
        evaluator.tick(now, Instant::now() + Duration::from_secs(60)).await.unwrap();
        if let Some(body) = bucket.body(keys::ALERT_STATE) {
            note(&AlertState::parse(&body).unwrap(), &mut turned);
        }
    }
    let state = AlertState::parse(&bucket.body(keys::ALERT_STATE).unwrap()).unwrap();
    (bucket, state, turned)
}

/// The lines of a minute, stream by stream.
fn deliveries(day: &Day, minute: Minute) -> Vec<String> {
    let mut streams: BTreeMap<(String, String), Vec<(i64, String)>> = BTreeMap::new();
    for line in day.minute(minute) {
        streams.entry((line.log_group, line.log_stream)).or_default().push((line.timestamp_ms, line.message));
    }
    let delivery = |((log_group, log_stream), lines): ((String, String), Vec<(i64, String)>)| {
        let lines: Vec<(i64, &str)> = lines.iter().map(|(at, line)| (*at, line.as_str())).collect();
        subscription::delivery(&log_group, &log_stream, &lines).to_string()
    };
    streams.into_iter().map(delivery).collect()
}

/// What a state says of when alerts began and ended. A resolved one stays in it for a day.
fn note(state: &AlertState, turned: &mut Turned) {
    for alert in state.alerts.values() {
        let (at, firing) = match alert.phase {
            Phase::Firing { since, .. } => (since, true),
            Phase::Resolved { at } => (at, false),
            Phase::Inactive {} | Phase::Pending { .. } => continue,
        };
        turned.insert((alert.rule.clone(), alert.labels.clone(), at, firing));
    }
}

/// Plays the rollups that lie in the bucket.
fn backtested(bucket: &InMemoryBucket, foreign: ForeignValues, (from, to): (Minute, Minute)) -> Report {
    let (rules, policy) = (rules(), Policy::built_in());
    let mut past = PastMetrics::default();
    past.answered(foreign);
    let mut backtest = Backtest::new(&rules, &policy, from, 30);
    // The evaluator has not seen the minutes before its first either, but in the recent rollups.
    for offset in 0..=to.since(from.plus(-2)) {
        let minute = from.plus(-2 + offset);
        let rollup = bucket.body(&keys::rollup(minute)).map(|body| Rollup::parse(&body).unwrap());
        past.take_in(minute, rollup.as_ref());
        if minute >= from {
            backtest.play(minute, &past);
        }
    }
    backtest.report(to.plus(1))
}

#[tokio::test]
async fn a_backtest_of_the_rollups_finds_what_the_evaluator_did() {
    let start: Minute = "2026-11-20T21:00Z".parse().unwrap();
    let day = Day::new(start, 1_440, 7, 0.05);
    let rules = rules();
    let connections: BTreeMap<Minute, f64> =
        day.minutes().map(|minute| (minute, day.database_connections(minute))).collect();
    let foreign: ForeignValues = rules
        .rules
        .iter()
        .flat_map(|rule| rule.foreign())
        .map(|series| (series.clone(), connections.clone()))
        .collect();
    let (bucket, state, turned) = lived(&day, &foreign).await;
    let (from, to) = (state.history_from, state.evaluated_until);
    let report = backtested(&bucket, foreign, (from, to));
    let played: Turned = report
        .rules
        .iter()
        .flat_map(|rule| &rule.episodes)
        .flat_map(|one| {
            let turned = |at, firing| (one.rule.clone(), one.labels.clone(), at, firing);
            [Some(turned(one.since, true)), one.until.map(|end| turned(end, false))]
        })
        .flatten()
        .collect();
    assert_eq!(played, turned);
    for incident in [SLOW_API, SLOW_QUERIES] {
        let rule = report.rules.iter().find(|rule| rule.rule == incident.expects).unwrap();
        assert!(rule.fired == 1 && rule.notifications >= 2, "{}: {rule:?}", incident.name);
    }
}
