//! What a message brings along, looked for in a bucket in memory.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::{Duration, Instant};

use alert_evaluator::{Known, gather};
use domain::Minute;
use domain::alerting::episode::{Episode, Origin};
use domain::alerting::notification::{Group, Notification, Reason};
use domain::alerting::rules::evidence::Evidence as Wanted;
use domain::alerting::rules::{RuleSet, Severity, Variables};
use domain::alerting::samples::ForeignValues;
use domain::keys;
use domain::logs::archive::Hours;
use domain::metrics::recent::RecentRollups;
use domain::metrics::series::{Aggregate, Dimensions, SeriesKey};
use domain::notifying::evidence::{AlertEvidence, Evidence};
use serde_json::json;
use testkit::memory_bucket::Moment;
use testkit::{InMemoryBucket, Operation};

fn minute(offset: i64) -> Minute {
    "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
}

/// A rule that asks for errors of its service, traces and a chart.
fn rules() -> RuleSet {
    let text = r#"{version: 1, rules: [{id: failures, class: business, severity: error, expr: q, group_by: [service],
        queries: {q: {metric: contract_creation_errors, stat: Sum, fill: zero}}, window: {over: 10m}, when: {gt: 3},
        annotations: {summary: s}, evidence: {logs: {filter: 'level="ERROR"', limit: 2}, traces: 2, chart: 30m}}]}"#;
    RuleSet::load("rules.yaml", text, &Variables::new()).unwrap_or_else(|error| panic!("{error}"))
}

fn notification() -> Notification {
    let episode = Episode {
        rule: "failures".to_owned(),
        fingerprint: "f1".to_owned(),
        class: "business".to_owned(),
        severity: Severity::Error,
        service: "contract".to_owned(),
        labels: [("service".to_owned(), "contract".to_owned())].into(),
        condition: "> 3".to_owned(),
        summary: "s".to_owned(),
        value: Some(4.0),
        runbook_url: None,
        breaching_since: minute(62),
        since: minute(62),
        fired_before: 0,
        origin: Origin::Rule {},
        ended: None,
    };
    let (group, at) = (Group::of(&episode), minute(64).start());
    let (firing, resolved) = (vec![episode], Vec::new());
    Notification { id: "n1".to_owned(), at, reason: Reason::First, group, firing, resolved, digest: None }
}

fn recent() -> RecentRollups {
    let mut recent = RecentRollups::default();
    let dimensions = Dimensions::from([("service".to_owned(), "contract".to_owned())]);
    let key = SeriesKey { name: "contract_creation_errors".to_owned(), dimensions };
    let aggregate = Aggregate::of(4.0, minute(61).start().as_millisecond());
    recent.minutes.entry(minute(61)).or_default().add(key, &aggregate);
    recent.flushed(minute(64));
    recent
}

/// Puts lines of a service, `(minute, level, message)`, into the archive.
fn archived(bucket: &InMemoryBucket, service: &str, batch: &str, lines: &[(i64, &str, &str)]) {
    let line = |(at, level, message): &(i64, &str, &str)| {
        let at = minute(*at).start().to_string();
        let line = json!({
            "timestamp": at, "level": level, "message": message,
            "context": {"service_name": service, "trace_id": "1-5759e988-bd862e3fe1be46a994272793"},
            "source": {"event_time": at},
        });
        format!("{line}\n")
    };
    let text: String = lines.iter().map(line).collect();
    let key = keys::archive("production", service, minute(lines[0].0), batch);
    let object = Hours::default().object(key, text.as_bytes());
    bucket.place(&object.key, object.body);
}

fn filled() -> InMemoryBucket {
    let bucket = InMemoryBucket::new();
    archived(&bucket, "contract", "b1", &[(58, "ERROR", "before the full hour"), (59, "INFO", "not asked for")]);
    archived(&bucket, "contract", "b2", &[(63, "ERROR", "the newest"), (62, "ERROR", "one before")]);
    archived(&bucket, "web", "b3", &[(63, "ERROR", "of another service")]);
    bucket
}

async fn gathered(bucket: &InMemoryBucket, rules: &RuleSet) -> Option<AlertEvidence> {
    let (recent, foreign) = (recent(), ForeignValues::new());
    let known = Known {
        environment: "production",
        rules,
        recent: &recent,
        foreign: &foreign,
        history_from: minute(0),
        now: minute(65).start(),
    };
    let until = Instant::now() + Duration::from_secs(60);
    gather(bucket, known, &notification(), until).await.of("f1").cloned()
}

#[tokio::test]
async fn a_message_brings_the_newest_lines_their_traces_and_a_chart() {
    let bucket = filled();
    let found = gathered(&bucket, &rules()).await.unwrap();
    let lines: Vec<&str> = found.lines.iter().map(|line| line.message.as_str()).collect();
    assert_eq!((lines, found.matched), (vec!["the newest", "one before"], 3));
    assert_eq!(found.traces, ["1-5759e988-bd862e3fe1be46a994272793"]);
    assert_eq!(found.problems, Vec::<String>::new());
    let chart = "alerts/charts/dt=2026-11-21/n1-f1.svg";
    assert_eq!(found.chart_url.unwrap(), format!("https://bucket.example.com/{chart}?X-Amz-Expires=43200"));
    let svg = String::from_utf8(bucket.body(chart).unwrap()).unwrap();
    assert!(svg.contains("failures (contract)") && svg.contains("<polyline"), "{svg}");
    // Found once more, it is the same, at the same key.
    gathered(&bucket, &rules()).await.unwrap();
    assert_eq!(bucket.body(chart).unwrap(), svg.as_bytes());
}

#[tokio::test]
async fn nothing_is_read_that_the_rule_does_not_ask_for() {
    let mut silent = rules();
    silent.rules[0].evidence = None;
    let bucket = filled();
    assert_eq!(gathered(&bucket, &silent).await, None);
    assert_eq!(bucket.operations(), []);
    silent.rules[0].evidence = Some(Wanted { logs: None, traces: 0, chart: None });
    assert_eq!(gathered(&bucket, &silent).await, Some(AlertEvidence::default()));
    assert_eq!(bucket.operations(), []);
    gathered(&bucket, &rules()).await.unwrap();
    let other = bucket.operations().into_iter().find(|(_, key)| key.contains("service=web"));
    assert_eq!(other, None);
}

#[tokio::test]
async fn what_fails_is_said_and_the_rest_is_found() {
    for (operation, lines, chart, expected) in [
        (Operation::List, 0, true, "log lines could not be read: List archive/"),
        (Operation::Get, 0, true, "log lines could not be read: Get archive/"),
        (Operation::Put, 2, false, "the chart could not be put: Put alerts/charts/"),
        (Operation::Presign, 2, false, "the chart could not be put: Presign alerts/charts/"),
    ] {
        let bucket = filled();
        bucket.inject(move |found, _| (found == operation).then_some(Moment::Before));
        let found = gathered(&bucket, &rules()).await.unwrap();
        assert_eq!((found.lines.len(), found.chart_url.is_some()), (lines, chart), "{operation:?}");
        let [problem] = &found.problems[..] else { panic!("{operation:?}: {:?}", found.problems) };
        // What AWS says names accounts and roles: it is for the log.
        assert!(problem.starts_with(expected) && problem.ends_with(" (there was no answer)"), "{problem}");
    }
}

#[tokio::test]
async fn an_object_that_can_not_be_read_does_not_hide_the_others() {
    let bucket = filled();
    let broken = keys::archive("production", "contract", minute(63), "b0");
    bucket.place(&broken, b"not zstd".to_vec());
    let found = gathered(&bucket, &rules()).await.unwrap();
    assert_eq!(found.lines.len(), 2);
    assert_eq!(found.problems, [format!("log lines could not be read: {broken} is damaged")]);
}

#[tokio::test]
async fn of_too_many_objects_the_newest_are_read() {
    let bucket = InMemoryBucket::new();
    for number in 0..100 {
        let message = format!("{number}");
        archived(&bucket, "contract", &format!("b{number:02}"), &[(63, "ERROR", &message)]);
    }
    let found = gathered(&bucket, &rules()).await.unwrap();
    assert_eq!(found.matched, 32);
    assert_eq!(found.problems, ["not all log lines were looked at, only the newest"]);
    let reads = bucket.operations().into_iter().filter(|(operation, _)| *operation == Operation::Get);
    assert!(reads.map(|(_, key)| key).all(|key| key >= keys::archive("production", "contract", minute(63), "b68")));
}

#[tokio::test]
async fn a_folder_with_more_objects_than_are_listed_is_said_to_be_one() {
    // Its objects are listed in the order of their names: the newest may be among those that are not.
    let bucket = InMemoryBucket::new();
    archived(&bucket, "contract", "a", &[(63, "ERROR", "listed")]);
    let key = |name: String| keys::archive("production", "contract", minute(63), &name);
    let body = bucket.body(&key("a".to_owned())).unwrap();
    for number in 1..10_001 {
        bucket.place(&key(format!("b{number:05}")), body.clone());
    }
    let found = gathered(&bucket, &rules()).await.unwrap();
    assert_eq!((found.matched, found.problems), (32, vec!["not all log lines were looked at".to_owned()]));
}

#[tokio::test]
async fn a_folder_that_can_not_be_listed_does_not_hide_the_others() {
    let bucket = filled();
    bucket.inject(|found, key| (found == Operation::List && key.contains("hour=10")).then_some(Moment::Before));
    let found = gathered(&bucket, &rules()).await.unwrap();
    assert_eq!((found.lines.len(), found.matched, found.problems.len()), (2, 2, 1));
}

#[tokio::test]
async fn of_lines_that_pack_well_only_so_many_are_unpacked() {
    // A few kilobytes of objects were gigabytes of lines, and unpacking them did not look at the time.
    let bucket = InMemoryBucket::new();
    let long = " ".repeat(15 << 20);
    for number in 0..4 {
        archived(&bucket, "contract", &format!("b{number}"), &[(63, "ERROR", &long)]);
    }
    let found = gathered(&bucket, &rules()).await.unwrap();
    assert_eq!((found.matched, found.problems), (2, vec!["not all log lines were looked at".to_owned()]));
}

#[tokio::test]
async fn without_time_nothing_is_looked_for() {
    let (bucket, rules) = (filled(), rules());
    let (recent, foreign) = (recent(), ForeignValues::new());
    let known = Known {
        environment: "production",
        rules: &rules,
        recent: &recent,
        foreign: &foreign,
        history_from: minute(0),
        now: minute(65).start(),
    };
    let evidence: Evidence = gather(&bucket, known, &notification(), Instant::now()).await;
    let problems = &evidence.of("f1").unwrap().problems;
    assert_eq!(problems, &["there was no time to look for log lines"]);
    assert_eq!(bucket.operations(), []);
}
