//! Alarms as CloudWatch tells of them: the samples in `events/alert-evaluator-events/`, and what becomes of them.

use super::*;
use serde_json::json;

fn sample(name: &str) -> Value {
    let file = format!("{}/../../events/alert-evaluator-events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn change(name: &str) -> AlarmChange {
    AlarmChange::read(&sample(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn minute(text: &str) -> Minute {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

#[test]
fn an_alarm_is_read_with_what_its_description_says() {
    let change = change("alarm");
    assert_eq!(change.at, "2026-11-21T10:05:14.120Z".parse().unwrap(), "`+0000` is an offset");
    let About { severity, class, service, labels, condition, summary, value, runbook_url, url, .. } = &change.about;
    assert_eq!((*severity, class.as_str(), service.as_str()), (Severity::Error, "performance", "contract"));
    assert_eq!(labels["DBInstanceIdentifier"], "production-contract-db");
    assert_eq!((condition.as_str(), *value), ("< 100000000", Some(98_000_000.0)));
    let (first, reason) = summary.split_once('\n').unwrap();
    assert_eq!(first, "The database is short of memory.");
    assert!(reason.starts_with("Threshold Crossed: 2 out of the last 2 datapoints"), "{reason}");
    assert_eq!(runbook_url.as_deref(), Some("https://wiki.company.com/runbooks/database"));
    assert_eq!(
        url.as_deref(),
        Some(
            "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/database-memory-low"
        )
    );
}

#[test]
fn both_doors_tell_of_the_same_change() {
    for (bridged, direct) in [("alarm", "alarm-direct"), ("ok", "ok-direct")] {
        let (bridged, direct) = (change(bridged), change(direct));
        assert_eq!(bridged.id(), direct.id());
        assert_eq!(AlarmChange { said_at: bridged.said_at, ..direct }, bridged);
    }
    assert_ne!(change("alarm").id(), change("ok").id());
}

#[test]
fn without_a_word_an_alarm_is_a_warning_of_the_system() {
    let mut event = sample("alarm");
    event["detail"]["configuration"] = json!({"description": null, "metrics": []});
    event["detail"]["state"].as_object_mut().unwrap().remove("reasonData");
    let About { severity, class, service, condition, summary, value, .. } = AlarmChange::read(&event).unwrap().about;
    assert_eq!((severity, class.as_str(), service.as_str()), (Severity::Warning, "system", "all"));
    assert_eq!((condition.as_str(), value), ("ALARM", None));
    assert!(summary.starts_with("Threshold Crossed"), "{summary}");
    // Metrics of ours name the service; several that differ name none.
    let metric = |service: &str| json!({"metricStat": {"metric": {"dimensions": {"service": service}}}});
    for (metrics, expected) in [(vec!["api"], "api"), (vec!["api", "api"], "api"), (vec!["api", "web", "api"], "all")] {
        event["detail"]["configuration"]["metrics"] = metrics.into_iter().map(metric).collect();
        assert_eq!(AlarmChange::read(&event).unwrap().about.service, expected);
    }
    // What can't be read stays where somebody sees it.
    event["detail"]["configuration"]["description"] = json!("severity=catastrophic nodata=ignore is bad");
    let about = AlarmChange::read(&event).unwrap().about;
    assert_eq!((about.severity, about.ignores_no_data), (Severity::Warning, true));
    assert!(about.summary.starts_with("severity=catastrophic is bad\n"), "{}", about.summary);
}

#[test]
fn a_composite_alarm_has_its_rule_for_a_condition() {
    let change = change("composite");
    assert_eq!(change.name, "database (composite): память");
    assert_eq!(change.about.condition, r#"ALARM("database-memory-low") AND ALARM("database-connections-high")"#);
    assert_eq!((change.about.severity, change.about.service.as_str()), (Severity::Critical, "contract"));
    let url = change.about.url.unwrap();
    assert!(url.ends_with("alarm/database%20%28composite%29%3A%20%D0%BF%D0%B0%D0%BC%D1%8F%D1%82%D1%8C"), "{url}");
}

#[test]
fn what_cloudwatch_would_not_write_is_refused() {
    for (name, says) in
        [("unknown-state", "`BROKEN` is no state of an alarm"), ("missing-arn", "the ARN of the alarm is missing")]
    {
        assert_eq!(AlarmChange::read(&sample(name)).unwrap_err().to_string(), says);
    }
    let mut event = sample("alarm");
    event["detail"]["state"]["timestamp"] = json!("yesterday");
    assert_eq!(AlarmChange::read(&event).unwrap_err().to_string(), "`yesterday` is no time");
    for time in ["2026-11-21T10:05:14.120+0000", "2026-11-21T13:05:14.120+0300", "2026-11-21T10:05:14.120Z"] {
        assert_eq!(moment(time).unwrap(), "2026-11-21T10:05:14.120Z".parse().unwrap(), "{time}");
    }
    for text in ["", "0000", "+0000", "я+0000", "2026-11-21T10:05:14.120+0ю"] {
        assert!(moment(text).is_err(), "{text}");
    }
}

#[test]
fn alarm_begins_an_episode_and_ok_ends_it() {
    let mut alarms = Alarms::default();
    let [fired] = &alarms.take(&change("alarm"))[..] else { panic!("one begins") };
    assert_eq!((fired.rule.as_str(), fired.since, fired.is_firing()), ("database-memory-low", minute("10:05"), true));
    assert_eq!(alarms.take(&change("alarm-direct")), [], "the same once more");
    let [ended] = &alarms.take(&change("ok"))[..] else { panic!("one ends") };
    assert_eq!((&ended.fingerprint, ended.severity, ended.at()), (&fired.fingerprint, fired.severity, minute("10:15")));
    assert_eq!(ended.ended.as_ref().and_then(|ended| ended.value), Some(150_000_000.0));
    assert_eq!(alarms.take(&change("ok-direct")), []);
    let text = serde_json::to_string(&alarms).unwrap();
    assert_eq!(serde_json::from_str::<Alarms>(&text).unwrap(), alarms);
}

#[test]
fn an_older_change_that_comes_late_undoes_nothing() {
    let mut alarms = Alarms::default();
    assert_eq!(alarms.take(&change("ok")), []);
    assert_eq!(alarms.take(&change("alarm")), [], "it is over by now");
    let mut newer = change("alarm");
    newer.at = change("ok").at + SignedDuration::from_mins(1);
    assert_eq!(alarms.take(&newer).len(), 1);
    assert_eq!(alarms.take(&change("ok")), [], "it fires again by now");
}

#[test]
fn missing_data_ends_nothing_and_is_an_alert_of_its_own() {
    let mut alarms = Alarms::default();
    alarms.take(&change("alarm"));
    let without = change("insufficient-data");
    assert_eq!(alarms.take(&without), [], "metrics come late");
    assert_eq!(alarms.overdue(without.at + SignedDuration::from_mins(4)), []);
    let [no_data] = &alarms.overdue(without.at + SignedDuration::from_mins(5))[..] else { panic!("one begins") };
    assert_eq!(no_data.since, Minute::of(without.at).plus(5));
    assert_eq!(alarms.overdue(without.at + SignedDuration::from_mins(9)), [], "once");
    assert_eq!((no_data.rule.as_str(), no_data.labels["of_rule"].as_str()), ("no_data", "database-memory-low"));
    assert!(no_data.is_firing() && no_data.class == "system");
    let mut fine = change("ok");
    fine.at = change("insufficient-data").at + SignedDuration::from_mins(1);
    let ended = alarms.take(&fine);
    let told: Vec<_> = ended.iter().map(|episode| (episode.rule.as_str(), episode.is_firing())).collect();
    assert_eq!(told, [("no_data", false), ("database-memory-low", false)]);

    // A new alarm begins without data, and some are without for most of the time.
    let new = AlarmChange { is_new: true, ..change("insufficient-data") };
    let much_later = without.at + SignedDuration::from_hours(1);
    let mut ignored = change("insufficient-data");
    ignored.about.ignores_no_data = true;
    for change in [new, ignored] {
        let mut alarms = Alarms::default();
        assert_eq!((alarms.take(&change), alarms.overdue(much_later)), (Vec::new(), Vec::new()));
    }
    let mut at_once = change("insufficient-data");
    at_once.about.tells_no_data_at_once = true;
    assert_eq!(Alarms::default().take(&at_once).len(), 1);
    let mut alarms = Alarms::default();
    alarms.take(&without);
    alarms.take(&fine);
    assert_eq!(alarms.overdue(much_later), [], "it had data again in time");
}

#[test]
fn an_alarm_that_is_deleted_ends_all_that_it_began() {
    let mut event = sample("configuration-change");
    event["detail"]["operation"] = json!("delete");
    let deleted = AlarmDeleted::read(&event).unwrap();
    let mut alarms = Alarms::default();
    // In the second of its deletion, and before it.
    alarms.take(&change("alarm"));
    let ended = alarms.delete(&deleted);
    let told: Vec<_> =
        ended.iter().map(|one| (one.rule.as_str(), one.ended.clone().unwrap().reason.unwrap())).collect();
    assert_eq!(told, [("database-memory-low", "the alarm was deleted".to_owned())]);
    assert_eq!(alarms.delete(&deleted), [], "once");
    assert_eq!(alarms.take(&change("alarm")), [], "what comes late begins nothing");

    let mut alarms = Alarms::default();
    alarms.take(&change("alarm"));
    let without = change("insufficient-data");
    alarms.take(&without);
    alarms.overdue(without.at + SignedDuration::from_mins(5));
    assert_eq!(alarms.delete(&deleted), [], "it was made anew since");
    let deleted = AlarmDeleted { at: without.at + SignedDuration::from_hours(1), ..deleted };
    let rules: Vec<String> = alarms.delete(&deleted).into_iter().map(|one| one.rule).collect();
    assert_eq!(rules, ["no_data", "database-memory-low"]);
    alarms.take(&without);
    assert_eq!(alarms.overdue(deleted.at + SignedDuration::from_hours(1)), []);

    // Of one that nobody knows it is remembered, as its ALARM may come late; not of those of Auto Scaling.
    for (name, known) in [("database-memory-low", 1), ("TargetTracking-service/contract-AlarmHigh-1", 0)] {
        let mut alarms = Alarms::default();
        let arn = deleted.arn.replace("database-memory-low", name);
        assert_eq!(alarms.delete(&AlarmDeleted { arn, ..deleted }), []);
        assert_eq!(alarms.0.len(), known, "{name}");
    }

    for operation in ["update", "create", ""] {
        event["detail"]["operation"] = json!(operation);
        let error = AlarmDeleted::read(&event).unwrap_err().to_string();
        assert_eq!(error, format!("an alarm's configuration is changed by `{operation}`, which is no news"));
    }
}

#[test]
fn alarms_that_scale_something_are_not_told_unless_they_say_so() {
    let mut event = sample("alarm");
    event["detail"]["alarmName"] = json!("TargetTracking-service/contract-AlarmHigh-1");
    assert_eq!(Alarms::default().take(&AlarmChange::read(&event).unwrap()).len(), 1, "its description has our words");
    event["detail"]["configuration"]["description"] = json!("DO NOT EDIT OR DELETE. For TargetTrackingScaling policy");
    assert_eq!(Alarms::default().take(&AlarmChange::read(&event).unwrap()), []);
}

#[test]
fn an_alarm_that_is_told_no_longer_ends_what_it_began_and_begins_nothing() {
    let quiet = |name: &str, about: fn(&mut About)| {
        let mut change = change(name);
        about(&mut change.about);
        change
    };
    // Auto Scaling's alarm lost its words; the alarm's name left the prefixes.
    for about in [|about: &mut About| about.is_scaling = true, |about: &mut About| about.is_of_others = true] {
        let mut alarms = Alarms::default();
        assert_eq!(alarms.take(&quiet("alarm", about)), []);
        assert_eq!(alarms, Alarms::default(), "nothing is remembered of it");
        alarms.take(&change("alarm"));
        let ended = alarms.take(&quiet("ok", about));
        assert!(matches!(&ended[..], [episode] if !episode.is_firing()), "{ended:?}");

        let mut alarms = Alarms::default();
        alarms.take(&change("alarm"));
        let without = quiet("insufficient-data", about);
        assert_eq!(alarms.take(&without), []);
        assert_eq!(alarms.overdue(without.at + SignedDuration::from_hours(1)), [], "it is told no longer");
    }
}

#[test]
fn of_two_stacks_in_an_account_each_tells_its_own_alarms() {
    let of = |name: &str, description: &str| {
        let mut event = sample("alarm");
        event["detail"]["alarmName"] = json!(name);
        event["detail"]["configuration"]["description"] = json!(description);
        AlarmChange::read(&event).unwrap()
    };
    let ours = |prefixes: &[&str]| Ours {
        stack: "production".to_owned(),
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
    };
    for (name, description, prefixes, is_ours) in [
        ("database-memory-low", "", &[][..], true),
        ("database-memory-low", "", &["web-", "database-"], true),
        ("database-memory-low", "", &["web-"], false),
        ("staging-lines-late", "severity=error told-by=staging", &[], false),
        ("staging-lines-late", "told-by=staging", &["staging-"], false),
        ("production-lines-late", "told-by=production severity=error", &["web-"], true),
        ("production-lines-late", "told-by=", &["web-"], false),
    ] {
        let change = of(name, description);
        assert_eq!(ours(prefixes).has(&change), is_ours, "{name} {description} {prefixes:?}");
    }
    assert!(!of("x", "Lines are late. told-by=staging").about.summary.contains("told-by"));
}

#[test]
fn the_id_of_a_change_is_made_of_what_cloudwatch_says() {
    // It is a stored key: it may not change with our names for things.
    let change = change("alarm");
    let parts: [&[u8]; 5] = [b"alarm", change.arn.as_bytes(), b"ALARM", b"", &change.at.as_millisecond().to_be_bytes()];
    assert_eq!(change.id(), keys::fingerprint(parts));
    for state in [State::Ok, State::Alarm, State::InsufficientData] {
        assert_eq!(json!(state), state.as_str());
    }
}

#[test]
fn what_an_alarm_does_within_a_minute_is_in_the_history_each_time() {
    let mut alarms = Alarms::default();
    let mut keys = std::collections::BTreeSet::new();
    for millis in 0..6 {
        let name = if millis % 2 == 0 { "alarm" } else { "ok" };
        let mut change = change(name);
        change.at = minute("10:05").start() + SignedDuration::from_millis(millis);
        change.said_at = change.at;
        let [episode] = &alarms.take(&change)[..] else { panic!("it begins, or ends") };
        keys.insert(episode.transition().to_object().key);
    }
    assert_eq!(keys.len(), 6, "{keys:?}");
}

#[test]
fn suppressed_actions_begin_nothing_until_they_are_no_longer() {
    let mut alarms = Alarms::default();
    let (suppressed, free) = (change("composite-suppressed"), change("composite-unsuppressed"));
    assert_eq!(suppressed.suppressed_by.as_deref(), Some("WaitPeriod"));
    assert_ne!(suppressed.id(), free.id(), "the same state, told twice");
    assert_eq!(alarms.take(&suppressed), []);
    assert_eq!(alarms.take(&free).len(), 1);
    assert_eq!(alarms.take(&suppressed), [], "it comes late");
    let mut again = suppressed;
    again.said_at = free.said_at + SignedDuration::from_mins(1);
    assert_eq!(alarms.take(&again), [], "what was told is not taken back");
}

#[test]
fn the_state_of_an_alarm_is_remembered_for_longer_than_a_queue_keeps_old_ones() {
    let mut alarms = Alarms::default();
    alarms.take(&change("alarm"));
    alarms.forget(change("alarm").at + REMEMBERED * 10);
    assert_eq!(alarms.take(&change("ok")).len(), 1, "what fires is never forgotten");
    alarms.forget(change("ok").at + REMEMBERED);
    assert_eq!(alarms.take(&change("alarm")), []);
    alarms.forget(change("ok").at + REMEMBERED + SignedDuration::from_secs(1));
    assert_eq!(alarms.take(&change("alarm")).len(), 1);
}
