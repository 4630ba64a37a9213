//! Our policy and a real Alertmanager with the same configuration are given the same alerts and silences at the same
//! times: both have to tell the same, group by group, in the same order.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod alertmanager_server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use domain::Minute;
use domain::alerting::episode::{Ended, Episode, Origin};
use domain::alerting::export::alertmanager;
use domain::alerting::policy::matcher::Matcher;
use domain::alerting::policy::silences::{Silence, Silences};
use domain::alerting::policy::{Policy, PolicyState, decide};
use domain::alerting::rules::{Labels, Severity};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local::workspace;
use serde_json::{Value, json};

use alertmanager_server::{Alertmanager, Webhook, is_installed};

/// Groups of `error` and most others are looked at 3, 7, 11, ... seconds after their first alert, what is critical 1, 5,
/// 9, ... seconds after. Things happen in the middle between, so that neither has to be punctual.
const POLICY: &str = r#"
version: 1
severities:
  critical: {group_wait: 1s, group_interval: 4s, repeat_interval: 13s}
  error: {group_wait: 3s, group_interval: 4s, repeat_interval: 13s}
  warning: {group_wait: 3s, group_interval: 4s, repeat_interval: 13s}
  info: {group_wait: 3s, group_interval: 4s, repeat_interval: 1h}
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning", class!="security"]
  equal: [service]
mute_calendars:
- {name: there, time_zone: Asia/Vladivostok, matchers: [service="calendar"], time_intervals: [{times: [HOURS], weekdays: [DAYS]}]}
- {name: here, time_zone: UTC, matchers: [rule="other_zone"], time_intervals: [{times: [HOURS], weekdays: [DAYS]}]}
- {name: always, time_zone: UTC, matchers: ['rule=~"mu.+"'], time_intervals: [{years: ["1970:9999"]}]}
"#;

/// What happens, by second: `+` begins and `-` ends an alert `severity/class/service/rule`.
const SCRIPT: &[(u64, &str)] = &[
    // The wait gathers two; some end, then all.
    (0, "+error/business/wait/a"),
    (1, "+error/business/wait/b"),
    (5, "-error/business/wait/a"),
    (9, "-error/business/wait/b"),
    // Another one in a group that was told, and both end at once.
    (0, "+error/business/more/a"),
    (5, "+error/business/more/b"),
    (9, "-error/business/more/a -error/business/more/b"),
    // Over within the wait.
    (0, "+error/business/short/a"),
    (1, "-error/business/short/a"),
    // Over and begun again before anybody heard of it; then told to be over, and begun again.
    (0, "+error/business/flapping/a"),
    (4, "-error/business/flapping/a"),
    (5, "+error/business/flapping/a"),
    (9, "-error/business/flapping/a"),
    (13, "+error/business/flapping/a"),
    (21, "-error/business/flapping/a"),
    // Nothing new for long.
    (0, "+error/business/repeat/a +error/business/repeat/b"),
    (37, "-error/business/repeat/a -error/business/repeat/b"),
    // The same name in other groups: by class, and by severity.
    (0, "+error/system/groups/a +error/business/groups/a +warning/business/groups/a +critical/business/others/a"),
    (7, "-critical/business/others/a"),
    (9, "-error/system/groups/a -error/business/groups/a"),
    (13, "-warning/business/groups/a"),
    // An inhibiting alert that comes later than what it inhibits; what it inhibits is told when it is over.
    (0, "+warning/business/inhibited/w"),
    (2, "+critical/system/inhibited/c"),
    (9, "-critical/system/inhibited/c"),
    (13, "-warning/business/inhibited/w"),
    // Over while it is inhibited: never told. What concerns security is not inhibited.
    (0, "+warning/business/inhibited2/w +warning/security/inhibited2/w"),
    (2, "+critical/business/inhibited2/c"),
    (5, "-warning/business/inhibited2/w"),
    (9, "-critical/business/inhibited2/c -warning/security/inhibited2/w"),
    // Told, then inhibited: its end is not told.
    (0, "+warning/business/inhibited3/w"),
    (6, "+critical/business/inhibited3/c"),
    (9, "-warning/business/inhibited3/w"),
    (17, "-critical/business/inhibited3/c"),
    // Silenced from the beginning until 9: told then.
    (0, "+error/business/silenced/a"),
    (13, "-error/business/silenced/a"),
    // Silenced from 5 to 13, and over meanwhile: its end is not told.
    (0, "+error/business/silenced2/a"),
    (9, "-error/business/silenced2/a"),
    // The same, over after the silence: told.
    (0, "+error/business/silenced3/a"),
    (17, "-error/business/silenced3/a"),
    // One of two is silenced until 17.
    (0, "+error/business/silenced4/a +error/business/silenced4/b"),
    (5, "-error/business/silenced4/b"),
    (21, "-error/business/silenced4/a"),
    // Silenced while another one is told, and still there after it.
    (0, "+error/business/silenced5/a"),
    (5, "+error/business/silenced5/b"),
    (17, "-error/business/silenced5/a -error/business/silenced5/b"),
    // Security is silenced only by who asks for it.
    (0, "+error/security/secure/a +error/business/secure/a +error/security/secure2/a +error/business/secure2/a"),
    (9, "-error/security/secure/a -error/business/secure/a -error/security/secure2/a -error/business/secure2/a"),
    // Calendars: the hour of the one's zone, not of the other's; security at any time; one rule of a group.
    (0, "+error/business/calendar/a +error/security/calendar/a +critical/business/calendar/a"),
    (0, "+error/business/open/other_zone +error/business/rules/muted"),
    (9, "-error/business/calendar/a -error/security/calendar/a -critical/business/calendar/a"),
    (9, "-error/business/open/other_zone -error/business/rules/muted"),
    // Here both differ, as docs/notifications.md says.
    (0, "+error/business/differs/a"),
    (5, "+error/business/differs/b"),
    (6, "-error/business/differs/b"),
    (9, "-error/business/differs/a"),
    (0, "+info/business/differs/a"),
    (5, "-info/business/differs/a"),
    (13, "+info/business/differs/a"),
    (21, "-info/business/differs/a"),
];

/// Silences, from and to which second.
const SILENCES: &[(u64, u64, &[&str])] = &[
    (0, 9, &["service=silenced"]),
    (5, 13, &["service=silenced2", "rule=a"]),
    (5, 13, &["service=~silenced3|other"]),
    (0, 17, &["service=silenced4", "rule!=b"]),
    (5, 13, &["service=silenced5", "rule!=b"]),
    (0, 60, &["service=secure"]),
    (0, 60, &["service=secure2", "class=security"]),
    (4, 12, &["service=differs", "severity=info"]),
];

/// When the last group is looked at for the last time.
const END: u64 = 41;

/// What was told of a group, one after the other: fingerprints of what fires, and of what is over.
type Told = BTreeMap<String, Vec<Message>>;

/// Of one message.
type Message = (BTreeSet<String>, BTreeSet<String>);

fn policy(now: Timestamp) -> Policy {
    let there = now.to_zoned(TimeZone::get("Asia/Vladivostok").unwrap());
    // From the hour before to the one after next, and yesterday to tomorrow: whatever the hour turns into meanwhile.
    let hours = (-1..3).map(|later| (there.hour() + 24 + later) % 24);
    let hours: Vec<String> =
        hours.map(|hour| format!("{{start_time: \"{hour:02}:00\", end_time: \"{:02}:00\"}}", hour + 1)).collect();
    let names = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let today = there.weekday().to_sunday_zero_offset() as usize;
    let days: Vec<&str> = [6, 0, 1].into_iter().map(|later| names[(today + later) % 7]).collect();
    let text = POLICY.replace("HOURS", &hours.join(", ")).replace("DAYS", &days.join(", "));
    Policy::load("policy.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn silences(start: Timestamp) -> Silences {
    let mut silences = Silences::default();
    for (number, (starts, ends, texts)) in SILENCES.iter().enumerate() {
        let silence = Silence {
            id: format!("s{number}"),
            matchers: texts.iter().map(|text| Matcher::parse(text).unwrap()).collect(),
            author: "test".to_owned(),
            comment: "test".to_owned(),
            starts: after(start, *starts),
            ends: after(start, *ends),
        };
        silences.add(silence, start).unwrap();
    }
    silences
}

fn after(start: Timestamp, seconds: u64) -> Timestamp {
    start.checked_add(SignedDuration::from_secs(seconds as i64)).unwrap()
}

/// An alert named by its group and rule, which is also its fingerprint.
fn episode(name: &str, now: Timestamp) -> Episode {
    let [severity, class, service, rule] = name.split('/').collect::<Vec<_>>()[..] else { panic!("{name}") };
    let (_, severity) = Severity::NAMES.iter().find(|(known, _)| *known == severity).unwrap();
    Episode {
        rule: rule.to_owned(),
        fingerprint: name.to_owned(),
        class: class.to_owned(),
        severity: *severity,
        service: service.to_owned(),
        labels: Labels::new(),
        condition: "> 3".to_owned(),
        summary: String::new(),
        value: None,
        runbook_url: None,
        breaching_since: Minute::of(now),
        since: Minute::of(now),
        fired_before: 0,
        origin: Origin::Rule {},
        ended: None,
    }
}

/// What happens in a second, in order: whether it begins, and which alert.
fn changes_of(second: u64) -> Vec<(bool, &'static str)> {
    let now = SCRIPT.iter().filter(|(at, _)| *at == second).flat_map(|(_, text)| text.split(' '));
    now.map(|change| (change.starts_with('+'), &change[1..])).collect()
}

/// What our policy tells, with a tick a second.
fn ours(policy: &Policy, silences: &Silences, start: Timestamp) -> Told {
    let (mut state, mut told) = (PolicyState::default(), Told::new());
    for second in 0..=END {
        let now = after(start, second);
        let change = |(begins, name): (bool, &str)| match begins {
            true => episode(name, now),
            false => {
                let ended = Ended { at: Minute::of(now), value: None, summary: String::new(), reason: None };
                episode(name, now).ended(ended)
            }
        };
        let changes: Vec<Episode> = changes_of(second).into_iter().map(change).collect();
        let decision = decide(policy, silences, state, &changes, now);
        state = decision.state;
        for notification in decision.notifications {
            let names = |some: &[Episode]| some.iter().map(|episode| episode.fingerprint.clone()).collect();
            let both = (names(&notification.firing), names(&notification.resolved));
            told.entry(notification.group.to_string()).or_default().push(both);
        }
    }
    assert!(state.is_empty(), "the script ends all that it begins");
    told
}

/// What the webhook was sent.
fn theirs(webhook: &Webhook) -> Told {
    let mut told = Told::new();
    for message in webhook.told() {
        let alerts = message["alerts"].as_array().unwrap();
        let names = |status: &str| -> BTreeSet<String> {
            let some = alerts.iter().filter(|alert| alert["status"] == status);
            some.map(|alert| alert["labels"]["fingerprint"].as_str().unwrap().to_owned()).collect()
        };
        let label = |name: &str| alerts[0]["labels"][name].as_str().unwrap();
        let group = format!("{}/{}/{}", label("severity"), label("class"), label("service"));
        told.entry(group).or_default().push((names("firing"), names("resolved")));
    }
    told
}

/// An alert as Alertmanager's API takes it.
fn posted(name: &str, starts: Timestamp, ends: Option<Timestamp>) -> Value {
    let Episode { rule, severity, class, service, fingerprint, .. } = episode(name, starts);
    let mut alert = json!({
        "labels": {"alertname": rule, "severity": severity.as_str(), "class": class, "service": service,
            "fingerprint": fingerprint},
        "startsAt": starts.to_string(),
    });
    if let Some(ends) = ends {
        alert["endsAt"] = json!(ends.to_string());
    }
    alert
}

/// Plays the script to an Alertmanager, and answers by how much this test was late at worst.
async fn play(server: &Alertmanager, began: Instant) -> Duration {
    let mut started: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut late = Duration::ZERO;
    for second in 0..=END {
        let due = began + Duration::from_secs(second);
        tokio::time::sleep_until(due.into()).await;
        let mut alerts = Vec::new();
        for (begins, name) in changes_of(second) {
            let now = Timestamp::now();
            let starts = if begins { now } else { started[name] };
            started.insert(name, starts);
            alerts.push(posted(name, starts, (!begins).then_some(now)));
        }
        if !alerts.is_empty() {
            server.post("/api/v2/alerts", &Value::from(alerts)).await;
        }
        late = late.max(due.elapsed());
    }
    late
}

/// Where both are known to differ: what Alertmanager tells there, and what ours does.
fn known_differences() -> BTreeMap<&'static str, [Vec<Message>; 2]> {
    let names = |group: &str, rules: &str| rules.chars().map(|rule| format!("{group}/{rule}")).collect();
    let told = |group: &str, told: &[(&str, &str)]| {
        told.iter().map(|(firing, resolved)| (names(group, firing), names(group, resolved))).collect()
    };
    let (end, again) = ("error/business/differs", "info/business/differs");
    BTreeMap::from([
        // Alertmanager tells the end of b, of whose beginning nobody was told.
        (end, [told(end, &[("a", ""), ("a", "b"), ("", "a")]), told(end, &[("a", ""), ("", "a")])]),
        // It does not tell that a fires again, as its end was silenced; only the repeat interval would.
        (again, [told(again, &[("a", ""), ("", "a")]), told(again, &[("a", ""), ("a", ""), ("", "a")])]),
    ])
}

/// One comparison; where the machine kept this test from being punctual there may be none.
async fn compare() -> Result<(), String> {
    let webhook = Webhook::start().await;
    let policy = policy(Timestamp::now());
    let server = Alertmanager::start(&alertmanager::config(&policy, &webhook.url).unwrap().body).await;
    // A moment later, so that a silence from the very beginning is not in the past.
    let (start, began) = (after(Timestamp::now(), 1), Instant::now() + Duration::from_secs(1));
    let silences = silences(start);
    for silence in alertmanager::silences(&silences, start).body {
        server.post("/api/v2/silences", &silence).await;
    }
    let mut expected = ours(&policy, &silences, start);
    for (group, [theirs, ours]) in known_differences() {
        assert_eq!(expected.insert(group.to_owned(), theirs), Some(ours), "{group}");
    }
    let late = play(&server, began).await;

    // All is over by now: what is still to come comes with the next look at a group, and after it nothing more does.
    let deadline = Instant::now() + Duration::from_secs(8);
    while theirs(&webhook) != expected && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let found = theirs(&webhook);
    if found == expected {
        return Ok(());
    }
    let groups: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let different = groups.into_iter().filter(|group| expected.get(*group) != found.get(*group));
    let lines = different
        .map(|group| format!("{group}:\n  ours   {:?}\n  theirs {:?}\n", expected.get(group), found.get(group)));
    let text = lines.collect::<String>();
    assert!(late > Duration::from_millis(700), "late by {late:?} at most, and yet\n{text}");
    Err(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alertmanager_and_our_policy_tell_the_same() {
    if !is_installed("prometheus-alertmanager") {
        return;
    }
    let mut last = String::new();
    for _ in 0..3 {
        match compare().await {
            Ok(()) => return,
            Err(different) => last = different,
        }
        eprintln!("the machine was too busy for a comparison; it is made again");
    }
    panic!("{last}");
}

#[test]
fn amtool_takes_the_exported_configuration() {
    if !is_installed("amtool") {
        return;
    }
    fs::create_dir_all(workspace::scratch()).unwrap();
    let check = |name: &str, policy: &Policy| {
        let file = workspace::scratch().join(format!("alertmanager-{}-{name}.yml", std::process::id()));
        fs::write(&file, alertmanager::config(policy, "http://127.0.0.1:9/hook").unwrap().body).unwrap();
        let output = Command::new("amtool").arg("check-config").arg(&file).output().unwrap();
        let config = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{config}");
        assert!(said.contains("SUCCESS") && said.contains("1 inhibit rules"), "{said}");
    };
    check("built-in", &Policy::built_in());
    check("test", &policy(Timestamp::now()));
    let everything = "mute_calendars:\n- name: everything\n  time_zone: America/Argentina/Buenos_Aires\n  \
        matchers: ['rule=~\"a\\\\d{1,2}|\\\"ё\\\"\"', endpoint!=\"/x y\"]\n  time_intervals:\n  \
        - {times: [{start_time: \"00:00\", end_time: \"24:00\"}], weekdays: [sunday, \"monday:saturday\"], \
        days_of_month: [1, \"1:31\", \"-31:-1\", \"25:-2\", -1], months: [1, \"march:december\"], years: [2026, \"2026:2030\"]}\n";
    let text = domain::alerting::policy::DEFAULT_POLICY.replace("mute_calendars: []\n", everything);
    check("everything", &Policy::load("policy.yaml", &text).unwrap_or_else(|error| panic!("{error}")));
}
