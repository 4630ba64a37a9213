//! What comes in from outside, on ports in memory: alarms of CloudWatch by both doors, security events, and what is
//! neither.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alert_evaluator::{Config, Evaluator, Ports, Summary};
use domain::Minute;
use domain::alerting::alarms::Ours;
use domain::alerting::history::{Record, Transition, Turned};
use domain::alerting::inbox::Incoming;
use domain::alerting::state::AlertState;
use domain::keys;
use domain::logs::pipeline::{Outcome, Pipeline};
use domain::logs::quarantine::Quarantined;
use domain::logs::{archive, replay};
use domain::ports::{Object, Retry};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::memory_bucket::Moment;
use testkit::{FixedMetrics, InMemoryBucket, Operation, RecordedLog, RecordedPublications, event_file, subscription};

const POLICY: &str = "\
version: 1
severities:
  critical: {group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
  error: {group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
  warning: {group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
  info: {group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
inhibit_rules: []
mute_calendars: []
";

const ESCALATION: &str = "\
version: 1
rules:
- id: escalation
  class: security
  severity: critical
  kind: event
  where: {event_type: permission_escalation}
  when: {gt: 0}
  resolve_after: 1h
  window: {over: 5m}
  group_by: [service]
  annotations: {summary: \"{{value}} escalations\"}
";

struct Setup {
    evaluator: Evaluator<InMemoryBucket, FixedMetrics, RecordedPublications, RecordedLog>,
    bucket: InMemoryBucket,
    topic: RecordedPublications,
    log: RecordedLog,
}

fn setup() -> Setup {
    let (bucket, topic, log) = (InMemoryBucket::new(), RecordedPublications::new(), RecordedLog::new());
    let metrics = FixedMetrics { series: BTreeMap::new(), ..FixedMetrics::default() };
    let ports = Ports { bucket: bucket.clone(), metrics, topic: topic.clone(), log: log.clone() };
    let config = Config {
        bucket_name: "bucket".into(),
        alert_topic_arn: "arn:aws:sns:eu-west-1:123456789012:alerts".into(),
        history_log_group: "/land-contracts/observability/alert-history".into(),
        database_instance: "production-contract-db".into(),
        environment: "production".into(),
        region: "eu-west-1".into(),
        amazon_q: false,
        ours: Ours { stack: "production".into(), prefixes: Vec::new() },
    };
    bucket.place(keys::POLICY, POLICY);
    Setup { evaluator: Evaluator::new(ports, &config).unwrap(), bucket, topic, log }
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn sample(name: &str) -> String {
    String::from_utf8(event_file(&format!("alert-evaluator-events/{name}.json"))).unwrap()
}

impl Setup {
    async fn receive(&self, name: &str) -> anyhow::Result<Summary> {
        self.evaluator.receive(&sample(name), at("12:00:00"), soon()).await
    }

    fn subjects(&self) -> Vec<String> {
        self.topic.taken().into_iter().map(|publication| publication.subject).collect()
    }

    fn transitions(&self) -> Vec<(String, Turned)> {
        let keys = self.bucket.keys_under(keys::ALERT_HISTORY);
        let read = keys.iter().map(|key| Transition::parse(&self.bucket.body(key).unwrap()).unwrap());
        read.map(|transition| (transition.rule, transition.turned)).collect()
    }

    /// The records of the archive, in no order.
    fn archived(&self) -> Vec<Record> {
        let keys = self.bucket.keys_under("archive/env=production/service=alert-evaluator/");
        let lines = keys.iter().flat_map(|key| archive::lines(&self.bucket.body(key).unwrap()).unwrap());
        let records = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
        records.map(|line| serde_json::from_value(line["details"].clone()).unwrap()).collect()
    }

    fn state(&self) -> AlertState {
        AlertState::parse(&self.bucket.body(keys::ALERT_STATE).unwrap()).unwrap()
    }
}

const ALARM: &str = "database-memory-low";

#[tokio::test]
async fn an_alarm_goes_the_way_of_all_alerts_and_by_both_doors_it_counts_once() {
    let setup = setup();
    let summary = setup.receive("alarm").await.unwrap();
    assert_eq!((summary.taken_in, summary.transitions, summary.sent), (1, 1, 1));
    for name in ["alarm-direct", "alarm"] {
        let summary = setup.receive(name).await.unwrap();
        assert_eq!((summary.taken_in, summary.transitions, summary.sent), (0, 0, 0), "{name}");
    }
    for name in ["ok-direct", "ok"] {
        setup.receive(name).await.unwrap();
    }
    let told = ["FIRING", "RESOLVED"].map(|what| format!("[ERROR] {what} {ALARM} (production-contract-db)"));
    assert_eq!(setup.subjects(), told);
    assert_eq!(setup.transitions(), [(ALARM.to_owned(), Turned::Firing), (ALARM.to_owned(), Turned::Resolved)]);
    assert_eq!(setup.bucket.keys_under(keys::ALERT_INBOX), Vec::<String>::new());
}

#[tokio::test]
async fn what_fires_is_repeated_and_what_comes_late_undoes_nothing() {
    let setup = setup();
    setup.receive("ok").await.unwrap();
    setup.receive("alarm").await.unwrap();
    assert_eq!(setup.subjects(), Vec::<String>::new(), "by now it is over");

    setup.receive("composite-suppressed").await.unwrap();
    assert_eq!(setup.subjects(), Vec::<String>::new(), "its actions are suppressed");
    setup.receive("composite-unsuppressed").await.unwrap();
    assert_eq!(setup.subjects().len(), 1);
    setup.evaluator.tick(at("11:30:00"), soon()).await.unwrap();
    assert_eq!(setup.subjects().len(), 2, "after an hour it is told again");
    setup.evaluator.tick(at("10:59:00"), soon()).await.unwrap();
    assert_eq!((setup.subjects().len(), setup.state().ticked_at), (2, Some(at("11:30:00"))), "no time goes back");
}

#[tokio::test]
async fn an_event_that_claims_to_be_of_later_is_of_now() {
    let setup = setup();
    let event = sample("alarm").replace("2026-11-21T10:05:14", "2026-11-22T10:05:14");
    setup.evaluator.receive(&event, at("12:00:00"), soon()).await.unwrap();
    assert_eq!(setup.state().ticked_at, Some(at("12:00:00")));
}

#[tokio::test]
async fn a_security_event_is_told_as_rules_say_and_once() {
    let setup = setup();
    setup.bucket.place(keys::RULES, ESCALATION);
    for _ in 0..2 {
        setup.receive("security").await.unwrap();
    }
    assert_eq!(setup.subjects(), ["[CRITICAL] FIRING escalation (user)"]);
    let text = setup.topic.taken()[0].bodies["default"].clone();
    assert!(text.contains("2 escalations"), "{text}");
}

/// The objects for the inbox that a replay of the object at `key` comes to.
fn replayed(key: &str, body: &[u8]) -> Vec<Object> {
    let replay = replay::object(&mut Pipeline::new(testkit::pipeline::settings()), key, body).unwrap();
    replay.writes.into_iter().filter(|object| object.key.starts_with(keys::ALERT_INBOX)).collect()
}

#[tokio::test]
async fn lines_that_are_replayed_raise_no_second_alert_within_the_day_nor_after_it() {
    let line = json!({"timestamp": "2026-11-21T10:00:00.000Z", "level": "WARNING", "category": "security",
        "message": "m", "context": {"service_name": "user"}, "details": {"event_type": "permission_escalation"}});
    let millis = at("10:00:00").as_millisecond();
    let delivery = subscription::delivery("/aws/ecs/production/user", "s", &[(millis, &line.to_string())]).to_string();
    let mut pipeline = Pipeline::new(testkit::pipeline::settings());
    let Outcome::Batch(processed) = pipeline.process(&delivery) else { panic!("lines") };
    let bus = processed.security[0].to_bus();
    let event = json!({"detail-type": bus.detail_type, "source": bus.source,
        "detail": serde_json::from_str::<Value>(&bus.detail).unwrap()});
    // As if it had not been read at first.
    let kept = Quarantined::kept("envelope", vec![("?".to_owned(), delivery.into_bytes())]);
    let kept = replayed("quarantine/envelope/dt=2026-11-21/a.json", &serde_json::to_vec(&kept).unwrap());
    assert_eq!(kept.len(), 1);
    // Of the archive nothing is told again.
    let archived = &processed.archive[0];
    assert_eq!(replayed(&archived.key, &archived.body), []);

    let later = |hours: i64| at("10:00:00") + SignedDuration::from_hours(hours);
    let firing = |setup: &Setup| setup.subjects().iter().filter(|subject| subject.contains("FIRING")).count();
    let setup = setup();
    setup.bucket.place(keys::RULES, ESCALATION);
    setup.evaluator.receive(&event.to_string(), at("10:00:30"), soon()).await.unwrap();
    for hours in [1, 2, 23, 24, 25, 47, 49, 24 * 30] {
        kept.iter().for_each(|object| setup.bucket.place(&object.key, object.body.clone()));
        let summary = setup.evaluator.tick(later(hours), soon()).await.unwrap();
        assert_eq!(
            (firing(&setup), setup.bucket.keys_under(keys::ALERT_INBOX).len()),
            (1, 0),
            "{hours} h: {summary:?}"
        );
    }
    assert_eq!(setup.subjects().len(), 2, "it began once and ended once");

    // What was never told is, while it is not older than a day.
    for (hours, told) in [(23, 1), (25, 0)] {
        let setup = self::setup();
        setup.bucket.place(keys::RULES, ESCALATION);
        for _ in 0..2 {
            kept.iter().for_each(|object| setup.bucket.place(&object.key, object.body.clone()));
            setup.evaluator.tick(later(hours), soon()).await.unwrap();
        }
        assert_eq!(firing(&setup), told, "{hours} h");
    }
}

#[tokio::test]
async fn alarms_do_not_wait_behind_an_attack() {
    let setup = setup();
    let attack = |number: usize| {
        let event = sample("security").replace(&security_id(), &format!("{number}"));
        Incoming::read(&event).unwrap().to_object()
    };
    for object in (0..3_000).map(attack) {
        setup.bucket.place(&object.key, object.body);
    }
    let alarm = Incoming::read(&sample("alarm")).unwrap().to_object();
    setup.bucket.place(&alarm.key, alarm.body);
    let summary = setup.evaluator.tick(at("12:00:00"), soon()).await.unwrap();
    assert_eq!(summary.taken_in, domain::alerting::inbox::MAX_TAKEN);
    assert!(setup.subjects().contains(&format!("[ERROR] FIRING {ALARM} (production-contract-db)")));
    // What comes again is known by its id, and taken away.
    let again = Incoming::read(&sample("alarm")).unwrap().to_object();
    setup.bucket.place(&again.key, again.body);
    let left = setup.bucket.keys_under(keys::ALERT_INBOX).len();
    setup.evaluator.tick(at("12:01:00"), soon()).await.unwrap();
    let cleared = left - setup.bucket.keys_under(keys::ALERT_INBOX).len();
    assert_eq!(cleared, domain::alerting::inbox::MAX_TAKEN + 1);
    assert_eq!(setup.transitions().iter().filter(|(rule, _)| rule == ALARM).count(), 1);
}

/// The id of the security event of the samples.
fn security_id() -> String {
    let event: Value = serde_json::from_str(&sample("security")).unwrap();
    event["detail"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_can_not_be_read_is_in_quarantine_and_stops_nothing() {
    let setup = setup();
    for name in ["unknown-state", "missing-arn", "configuration-change"] {
        let summary = setup.receive(name).await.unwrap();
        assert_eq!(summary, Summary { quarantined: true, ..Summary::default() }, "{name}");
    }
    let kept = setup.bucket.keys_under("quarantine/alert-events/dt=2026-11-21/");
    assert_eq!((kept.len(), setup.bucket.keys().len()), (3, 4));
    // So is what somebody has put into the inbox.
    setup.bucket.place(&format!("{}x.json", keys::ALERT_INBOX), "{}");
    setup.receive("alarm").await.unwrap();
    assert_eq!(setup.subjects().len(), 1);
    assert_eq!(setup.bucket.keys_under("quarantine/alert-events/").len(), 4);
    assert_eq!(setup.bucket.keys_under(keys::ALERT_INBOX), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_in_quarantine_can_be_sent_again_in_either_form() {
    let setup = setup();
    let kept = Incoming::read(&sample("alarm")).unwrap().to_object();
    setup.evaluator.receive(std::str::from_utf8(&kept.body).unwrap(), at("12:00:00"), soon()).await.unwrap();
    assert_eq!(setup.subjects().len(), 1);
    setup.bucket.place(&format!("{}ok.json", keys::ALERT_INBOX), sample("ok"));
    setup.evaluator.tick(at("12:01:00"), soon()).await.unwrap();
    assert_eq!(setup.subjects().len(), 2);
    assert_eq!(setup.bucket.keys_under("quarantine/"), Vec::<String>::new());
}

#[tokio::test]
async fn an_alarm_that_is_deleted_is_over() {
    let setup = setup();
    setup.receive("alarm").await.unwrap();
    let deleted = sample("configuration-change").replace("\"detail\": {", "\"detail\": {\"operation\": \"delete\",");
    setup.evaluator.receive(&deleted, at("12:00:00"), soon()).await.unwrap();
    setup.evaluator.tick(at("10:06:00"), soon()).await.unwrap();
    let told = ["FIRING", "RESOLVED"].map(|what| format!("[ERROR] {what} {ALARM} (production-contract-db)"));
    assert_eq!(setup.subjects(), told);
}

#[tokio::test]
async fn of_a_flood_of_events_few_bring_about_ticks_and_the_scheduled_one_takes_in_all() {
    let setup = setup();
    let mut kept = 0;
    for number in 0..40 {
        let event = sample("alarm").replace("database-memory-low", &format!("alarm-{number:02}"));
        kept += usize::from(setup.evaluator.receive(&event, at("12:00:00"), soon()).await.unwrap().kept);
    }
    assert_eq!((kept, setup.bucket.keys_under(keys::ALERT_INBOX).len()), (30, 30));
    let summary = setup.evaluator.tick(at("12:01:00"), soon()).await.unwrap();
    assert_eq!((summary.taken_in, setup.transitions().len()), (30, 40));
    let event = sample("ok").replace("database-memory-low", "alarm-00");
    assert!(!setup.evaluator.receive(&event, at("12:01:01"), soon()).await.unwrap().kept);
}

#[tokio::test]
async fn events_that_nobody_is_told_of_bring_about_no_ticks() {
    let setup = setup();
    let rules = "version: 1\nrules:\n- id: escalation\n  class: security\n  severity: critical\n  kind: event\n  \
                 where: {event_type: permission_escalation}\n  when: {gt: 0}\n  resolve_after: 1h\n  window: {over: 5m}\n  group_by: [service]\n  \
                 annotations: {summary: \"{{value}} escalations\"}\n";
    setup.bucket.place(keys::RULES, rules);
    let receive = async |event: String| setup.evaluator.receive(&event, at("12:00:00"), soon()).await.unwrap();
    // A busy minute: logins that no rule asks for, alarms that are fine as they were, and those of others.
    let mut kept = 0;
    for number in 0..20 {
        let login = sample("security").replace("permission_escalation", "login_succeeded");
        kept += usize::from(receive(login.replace("\"id\": \"", &format!("\"id\": \"{number}-"))).await.kept);
        kept += usize::from(receive(sample("ok").replace(ALARM, &format!("alarm-{number}"))).await.kept);
        let scaling = sample("alarm").replace("severity=error class=performance service=contract runbook=", "see ");
        kept += usize::from(receive(scaling.replace(ALARM, &format!("TargetTracking-{number}"))).await.kept);
        let others = sample("alarm").replace("severity=error", "told-by=staging").replace(ALARM, "lines-late");
        kept += usize::from(receive(others.replace(":14Z", &format!(":{:02}Z", 20 + number))).await.kept);
    }
    assert_eq!(kept, 80);
    assert_eq!(setup.bucket.body(keys::ALERT_STATE), None, "no state is written");
    let summary = receive(sample("security")).await;
    assert_eq!((summary.kept, summary.sent), (false, 1));
    assert_eq!(setup.subjects(), ["[CRITICAL] FIRING escalation (user)"]);
    assert_eq!(setup.bucket.keys_under(keys::ALERT_INBOX), Vec::<String>::new(), "that one took them all in");
}

#[tokio::test]
async fn what_does_not_pass_by_itself_is_an_error_and_the_event_is_kept() {
    for stored in ["{}", "{\"version\": 1}"] {
        let setup = setup();
        setup.bucket.place(keys::ALERT_STATE, stored);
        let error = setup.receive("alarm").await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.starts_with("the event is kept, but its tick failed: state/alert-evaluator.json: "), "{text}");
        assert_eq!(setup.bucket.keys_under(keys::ALERT_INBOX).len(), 1);
        assert_eq!(setup.bucket.body(keys::ALERT_STATE).unwrap(), stored.as_bytes(), "it is left as it is");
    }
    let setup = setup();
    setup.topic.fail_next([Retry::Denied]);
    setup.receive("alarm").await.unwrap_err();
    setup.evaluator.tick(at("10:06:00"), soon()).await.unwrap();
    assert_eq!(setup.subjects().len(), 1);
}

#[tokio::test]
async fn what_the_log_refuses_for_good_holds_nothing_back() {
    let setup = setup();
    setup.log.fail_next([Retry::Permanent]);
    setup.receive("alarm").await.unwrap();
    assert!(setup.state().outbox.is_empty());
    assert_eq!(setup.archived().len(), 3);
}

#[tokio::test]
async fn the_claim_of_an_event_that_came_late_lasts_from_now_on() {
    let setup = setup();
    // It is sent, but that is not noted.
    let mut writes = 0;
    setup.bucket.inject(move |what, _| {
        writes += usize::from(what == Operation::Replace);
        (what == Operation::Replace && writes > 1).then_some(Moment::Denied)
    });
    setup.evaluator.receive(&sample("alarm"), at("10:50:00"), soon()).await.unwrap_err();
    setup.bucket.heal();
    setup.evaluator.tick(at("10:52:00"), soon()).await.unwrap();
    assert_eq!(setup.subjects().len(), 1, "whoever sends may be at it still");
    setup.evaluator.tick(at("10:53:00"), soon()).await.unwrap();
    assert_eq!(setup.subjects().len(), 2);
}

#[tokio::test]
async fn what_could_not_be_taken_in_is_by_the_next_tick_and_what_could_not_be_deleted_counts_once() {
    let setup = setup();
    setup.bucket.inject(|what, _| (what == Operation::Replace).then_some(Moment::Before));
    assert!(setup.receive("alarm").await.unwrap().kept, "it is no failure: a retry would do nothing else");
    setup.bucket.inject(|what, _| (what == Operation::Delete).then_some(Moment::Before));
    let error = setup.evaluator.tick(at("10:06:00"), soon()).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("what was taken in still lies in the inbox"), "{error:#}");
    assert_eq!((setup.subjects().len(), setup.bucket.keys_under(keys::ALERT_INBOX).len()), (1, 1));
    setup.bucket.heal();
    setup.evaluator.tick(at("10:07:00"), soon()).await.unwrap();
    assert_eq!((setup.subjects().len(), setup.bucket.keys_under(keys::ALERT_INBOX).len()), (1, 0));
}

#[tokio::test]
async fn a_crash_between_any_two_effects_loses_no_event_and_counts_none_twice() {
    let (operations, settled_at) = {
        let setup = setup();
        setup.receive("alarm").await.unwrap();
        let operations = setup.bucket.operations();
        let settled_at = operations.iter().rposition(|(what, _)| *what == Operation::Replace).unwrap();
        (operations.len(), settled_at)
    };
    let decided_at = {
        let setup = setup();
        setup.receive("alarm").await.unwrap();
        setup.bucket.operations().iter().position(|(what, _)| *what == Operation::Replace).unwrap()
    };
    for crash_at in 0..operations {
        for moment in [Moment::Before, Moment::After] {
            let setup = setup();
            let mut seen = 0;
            setup.bucket.inject(move |_, _| {
                seen += 1;
                match seen - 1 {
                    at if at == crash_at => Some(moment),
                    at if at > crash_at => Some(Moment::Denied),
                    _ => None,
                }
            });
            // Whoever sent it sends it again where it failed; a deletion that fails is no failure.
            let wall = at("10:06:00");
            let failed = setup.evaluator.receive(&sample("alarm"), wall, soon()).await.is_err();
            setup.bucket.heal();
            if failed {
                setup.evaluator.receive(&sample("alarm"), wall, soon()).await.unwrap();
            }
            setup.evaluator.tick(at("10:30:00"), soon()).await.unwrap();
            let (told, name) = (setup.subjects().len(), format!("crash {moment:?} operation {crash_at}"));
            // Only what was sent while the note of it was lost can be sent twice.
            let was_decided = crash_at > decided_at;
            let was_noted = crash_at > settled_at || (crash_at == settled_at && moment == Moment::After);
            assert_eq!(told, if was_decided && !was_noted { 2 } else { 1 }, "{name}");
            assert_eq!(setup.transitions().len(), 1, "{name}");
            let fired = setup.archived().into_iter().filter(|record| matches!(record, Record::Transition(_))).count();
            assert_eq!(fired, 1, "{name}");
            assert!(setup.state().outbox.is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn the_history_is_in_the_archive_once_and_in_the_log_at_least_once() {
    let setup = setup();
    setup.log.fail_next([Retry::Transient]);
    assert!(setup.receive("alarm").await.unwrap().kept);
    assert!(!setup.state().outbox.is_empty());
    assert_eq!(setup.subjects().len(), 1, "people are told first");
    setup.evaluator.tick(at("10:06:00"), soon()).await.unwrap();
    let records = setup.archived();
    let kinds: Vec<&str> = records
        .iter()
        .map(|record| match record {
            Record::Transition(_) => "transition",
            Record::Notified(_) => "notified",
            Record::Configured(_) => "configured",
            Record::Muted(_) => "muted",
            Record::Silence(_) => "silence",
        })
        .collect();
    assert_eq!(kinds, ["configured", "transition", "notified"]);
    let logged = setup.log.taken();
    let ids: Vec<String> = logged
        .iter()
        .flat_map(|(_, lines)| lines)
        .map(|line| {
            serde_json::from_str::<Value>(&line.message).unwrap()["source"]["event_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids, records.iter().map(Record::id).collect::<Vec<_>>());
    assert_eq!(logged[0].0, "2026-11-21");
    assert_eq!(Minute::of(at("10:06:00")).start().as_millisecond(), logged[0].1[0].timestamp_millis);
}
