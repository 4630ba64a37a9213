//! Backtests over a bucket in memory.

use super::*;
use crate::rules::tests::{Scratch, scratch};
use domain::metrics::series::{Aggregate, Dimensions, SeriesKey};
use domain::ports::{MetricQuery, MinuteValues, Unanswered};
use testkit::{FixedMetrics, InMemoryBucket, Operation};

const ERRORS: &str = "\
version: 1
rules:
- {id: errors, class: business, severity: error, queries: {e: {metric: contract_creation_errors, stat: Sum, fill: zero}}, \
expr: e, window: {over: 1m}, when: {gt: 3}, group_by: [service], annotations: {summary: \"{{value}} errors\"}}
";

fn minute(offset: i64) -> Minute {
    "2026-11-21T22:00Z".parse::<Minute>().unwrap().plus(offset)
}

fn rollup(at: Minute, errors: f64) -> Rollup {
    let dimensions =
        Dimensions::from([("service".to_owned(), "api".to_owned()), ("reason".to_owned(), "x".to_owned())]);
    let key = SeriesKey { name: "contract_creation_errors".to_owned(), dimensions };
    let mut rollup = Rollup::empty(at);
    rollup.series.add(key, &Aggregate::of(errors, at.start().as_millisecond()));
    rollup
}

/// Rollups of four hours over midnight, with errors from 22:30 for ten minutes and from 00:30 for five; half an hour is
/// missing.
fn bucket() -> InMemoryBucket {
    let bucket = InMemoryBucket::new();
    for at in (0..240).filter(|at| !(170..200).contains(at)) {
        let errors = if (30..40).contains(&at) || (150..155).contains(&at) { 5.0 } else { 0.0 };
        let rollup = rollup(minute(at), errors).to_object();
        bucket.place(&rollup.key, rollup.body);
    }
    let mut recent = RecentRollups::default();
    recent.flushed(minute(240));
    bucket.place(keys::RECENT_ROLLUPS, recent.to_object().body);
    bucket
}

fn asked(file: &Scratch) -> Arguments {
    Arguments {
        rules: RuleFile { file: file.0.file.clone(), variables: file.0.variables.clone() },
        bucket: None,
        days: 1,
        against: None,
        policy: None,
        flaps: 30,
        episodes: false,
        json: false,
    }
}

fn now() -> Timestamp {
    minute(245).start()
}

async fn played(asked: &Arguments, bucket: &InMemoryBucket, metrics: &impl ReadMetrics) -> (bool, String) {
    let mut out = Vec::new();
    let complete = run(asked, bucket, metrics, now(), &mut out).await.unwrap();
    (complete, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn the_past_is_played_over_midnight_and_gaps_are_told() {
    let (file, bucket) = (scratch(ERRORS, "played.yaml"), bucket());
    let asked = Arguments { episodes: true, ..asked(&file) };
    let (complete, told) = played(&asked, &bucket, &FixedMetrics::default()).await;
    assert!(complete, "{told}");
    for line in [
        "played from 2026-11-21T22:00Z to 2026-11-22T02:00Z: 240 minutes, 210 with metrics",
        "nothing at all is stored from 2026-11-22T00:50Z to 2026-11-22T01:20Z (30 minutes): played as silence",
        "history begins at 2026-11-21T22:00Z: before it nothing is stored",
        "errors  error         2      15m      10m      0",
        "errors: 2026-11-21T22:30Z to 2026-11-21T22:40Z (10m) service=api: 5 errors",
        "errors: 2026-11-22T00:30Z to 2026-11-22T00:35Z (5m) service=api: 5 errors",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(told.lines().skip(1).all(|line| line.len() <= 120), "{told}");
}

#[tokio::test]
async fn only_the_days_that_are_asked_for_count_and_only_what_the_flusher_has_taken_in() {
    let (file, bucket) = (scratch(ERRORS, "counted.yaml"), bucket());
    let mut recent = RecentRollups::default();
    // A day later the first errors are more than a day ago, and what came last is not complete.
    recent.flushed(minute(1_440 + 60));
    bucket.place(keys::RECENT_ROLLUPS, recent.to_object().body);
    let late = rollup(minute(1_440 + 60), 9.0).to_object();
    bucket.place(&late.key, late.body);
    let mut out = Vec::new();
    let later = minute(1_440 + 70).start();
    assert!(run(&asked(&file), &bucket, &FixedMetrics::default(), later, &mut out).await.unwrap());
    let told = String::from_utf8(out).unwrap();
    assert!(told.contains("played from 2026-11-21T23:00Z to 2026-11-22T23:00Z: 1440 minutes"), "{told}");
    assert!(told.contains("errors  error         1       5m       5m      0"), "{told}");
}

#[tokio::test]
async fn another_file_is_played_beside_it_and_read_once() {
    let (file, bucket) = (scratch(&ERRORS.replace("gt: 3", "gt: 7"), "candidate.yaml"), bucket());
    let other = scratch(ERRORS, "other.yaml");
    let both = Arguments { against: Some(other.0.file.clone()), ..asked(&file) };
    let (_, told) = played(&both, &bucket, &FixedMetrics::default()).await;
    assert!(told.contains("changed - errors"), "{told}");
    assert!(told.contains("-   2026-11-21T22:30Z to 2026-11-21T22:40Z (10m) service=api"), "{told}");
    let reads = |prefix: &str| {
        let operations = bucket.operations();
        operations.iter().filter(|(operation, key)| *operation == Operation::Get && key.starts_with(prefix)).count()
    };
    assert_eq!(reads("rollups/dt="), 210);
    let json = Arguments { json: true, ..both };
    let (_, told) = played(&json, &bucket, &FixedMetrics::default()).await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["diff"]["rules"][0]["change"], "changed");
    assert_eq!(told["diff"]["rules"][0]["before"]["fired"], 2);
    assert_eq!(told["report"]["rules"][0]["fired"], 0);
    assert_eq!(told["coverage"]["gaps"][0]["from"], "2026-11-22T00:50Z");
}

#[tokio::test]
async fn a_rollup_that_can_not_be_read_is_told_and_the_rest_is_played() {
    let (file, bucket) = (scratch(ERRORS, "unreadable.yaml"), bucket());
    bucket.place(&keys::rollup(minute(35)), "not JSON");
    let (complete, told) = played(&asked(&file), &bucket, &FixedMetrics::default()).await;
    assert!(!complete && told.contains("rollups/dt=2026-11-21/hour=22/35.json can't be read"), "{told}");
    assert!(told.contains("errors  error         3      14m       5m      1"), "{told}");
}

#[tokio::test]
async fn nothing_stored_is_no_report() {
    let file = scratch(ERRORS, "nothing.yaml");
    let nothing =
        run(&asked(&file), &InMemoryBucket::new(), &FixedMetrics::default(), now(), &mut Vec::new()).await.unwrap_err();
    assert!(nothing.to_string().contains("nothing to play"), "{nothing:#}");
}

/// Connections that are high from 00:00 to 00:09; the first day can't be answered.
struct Connections;

impl ReadMetrics for Connections {
    async fn read_metrics(
        &self,
        queries: &[MetricQuery],
        from: Minute,
        until: Minute,
    ) -> Vec<Result<MinuteValues, Unanswered>> {
        assert!(until.since(from) <= DAY + 120, "{from} {until}");
        let high = minute(120)..minute(130);
        let value = |minute: Minute| if high.contains(&minute) { 90.0 } else { 30.0 };
        let values = (0..until.since(from)).map(|at| from.plus(at)).map(|minute| (minute, value(minute))).collect();
        let answer =
            if until <= minute(120) { Err(Unanswered { reason: "InternalError".to_owned() }) } else { Ok(values) };
        queries.iter().map(|_| answer.clone()).collect()
    }
}

#[tokio::test]
async fn metrics_of_aws_are_asked_for_by_the_day() {
    let text = "\
version: 1
rules:
- {id: connections, class: database, severity: warning, queries: {c: {metric: database_connections, stat: Average, \
where: {DBInstanceIdentifier: \"${DATABASE_INSTANCE}\"}}}, expr: c, window: {over: 1m}, when: {gt: 75}, annotations: {summary: x}}
";
    let (file, bucket) = (scratch(text, "foreign.yaml"), bucket());
    let (complete, told) = played(&asked(&file), &bucket, &Connections).await;
    assert!(!complete && told.contains("2026-11-21T22:00Z to 2026-11-22T00:00Z: InternalError"), "{told}");
    assert!(told.contains("connections       warning       1      10m      10m      0"), "{told}");
    assert!(told.contains("2h\n"), "two hours of the rule are in error: {told}");
}

#[tokio::test]
async fn rules_on_events_are_told_to_be_left_out() {
    let text = "\
version: 1
rules:
- {id: logins, kind: event, class: security, severity: critical, where: {event_type: login_failed}, when: {gte: 5}, \
window: {over: 5m}, resolve_after: 10m, annotations: {summary: x}}
";
    let (file, bucket) = (scratch(text, "events.yaml"), bucket());
    let (_, told) = played(&asked(&file), &bucket, &FixedMetrics::default()).await;
    assert!(told.contains("rules on events are not played, since rollups have no events: logins"), "{told}");
}
