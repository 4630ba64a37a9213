//! The notification policy as the configuration of an Alertmanager, and silences as its API takes them.
//!
//! Alerts have to come with the labels `alertname` (the rule's id), `severity`, `class`, `service`, and those of their
//! groups. What Alertmanager has no word for, the storm cap, is left out; and no alert of another source has the label
//! `fingerprint`.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::alerting::policy::calendar::{Calendar, Interval, MONTHS, Range, WEEKDAYS};
use crate::alerting::policy::matcher::{Matcher, Operator, SECURITY};
use crate::alerting::policy::silences::{Silence, Silences, Stage};
use crate::alerting::policy::{Inhibition, Policy, Timing};
use crate::alerting::rules::Severity;

/// Name of the receiver, and of nothing else.
const RECEIVER: &str = "land-contracts";

/// How many routes a severity may have.
const MAX_ROUTES: usize = 200;

/// A policy that can't be said in routes: in Alertmanager a calendar belongs to a route, so each combination of
/// calendars that an alert may be in is a route of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the calendars can be combined in more than {MAX_ROUTES} ways; give them the same matchers, or ones that exclude \
     each other"
)]
pub struct TooManyRoutes;

/// What Alertmanager takes, and what it does otherwise than the policy or the silences say.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported<T> {
    /// For Alertmanager.
    pub body: T,
    /// Sentences for the operator.
    pub notes: Vec<String>,
}

/// `alertmanager.yml` of a policy: what is told goes to a webhook. The notes stand in it as comments.
///
/// # Errors
/// The calendars need too many routes.
pub fn config(policy: &Policy, webhook_url: &str) -> Result<Exported<String>, TooManyRoutes> {
    let mut text =
        String::from("# Made of the notification policy (docs/notifications.md). Needs Alertmanager 0.25.\n");
    let notes = differences(policy);
    notes.iter().for_each(|note| line(&mut text, 0, &format!("# {}", note.escape_debug())));
    let timings = &policy.timings;
    text.push_str("route:\n");
    // No alert of ours is without a severity.
    line(&mut text, 2, &format!("receiver: {RECEIVER}"));
    line(&mut text, 2, "group_by: [class, service]");
    timing(&mut text, 2, timings.error);
    line(&mut text, 2, "routes:");
    for (name, severity) in Severity::NAMES.iter().rev() {
        // The first route that matches takes the alert, so these are never muted by a calendar.
        let security = [equal("class", SECURITY), equal("severity", name)];
        line(&mut text, 2, &format!("- matchers: {}", list(security.iter().map(said))));
        timing(&mut text, 4, timings.of(*severity));
        line(&mut text, 2, &format!("- matchers: {}", list([said(&equal("severity", name))])));
        timing(&mut text, 4, timings.of(*severity));
        let muted = muted_routes(&policy.calendars, name)?;
        if !muted.is_empty() {
            line(&mut text, 4, "routes:");
        }
        for Muted { matchers, calendars } in muted {
            line(&mut text, 4, &format!("- matchers: {}", list(matchers.iter().map(|matcher| said(matcher)))));
            let names = calendars.iter().map(|calendar| quoted(&calendar.name));
            line(&mut text, 6, &format!("mute_time_intervals: {}", list(names)));
        }
    }
    inhibit_rules(&mut text, &policy.inhibitions);
    time_intervals(&mut text, &policy.calendars);
    let _ = write!(
        text,
        "receivers:\n- name: {RECEIVER}\n  webhook_configs:\n  - url: {}\n    send_resolved: true\n",
        quoted(webhook_url)
    );
    Ok(Exported { body: text, notes })
}

fn differences(policy: &Policy) -> Vec<String> {
    let storm =
        policy.storm.is_some().then(|| "left out: the storm cap, for which Alertmanager has no word".to_owned());
    let calendars = policy.calendars.iter().filter(|calendar| asks_for_fingerprint(&calendar.matchers));
    let calendars = calendars.map(|calendar| format!("differs: the calendar {} asks for {ABSENT}", calendar.name));
    let inhibits = |rule: &&Inhibition| {
        let equal = rule.equal.iter().any(|label| label == FINGERPRINT);
        equal || asks_for_fingerprint(&rule.source) || asks_for_fingerprint(&rule.target)
    };
    let inhibits =
        policy.inhibitions.iter().filter(inhibits).map(|_| format!("differs: an inhibition asks for {ABSENT}"));
    storm.into_iter().chain(calendars).chain(inhibits).collect()
}

/// The label of ours that no alert has which comes from elsewhere, a rule of Prometheus say.
const FINGERPRINT: &str = "fingerprint";
const ABSENT: &str = "the label fingerprint, which alerts of Prometheus do not have";

fn asks_for_fingerprint(matchers: &[Matcher]) -> bool {
    matchers.iter().any(|matcher| matcher.label == FINGERPRINT)
}

/// What an Alertmanager's `POST /api/v2/silences` takes, for each silence that is not over at `now`. Those that ask for a
/// fingerprint are left out: they would mute nothing there, or too much.
pub fn silences(silences: &Silences, now: Timestamp) -> Exported<Vec<Value>> {
    let coming = silences.list().iter().filter(|silence| silence.stage(now) != Stage::Expired);
    let (absent, said): (Vec<_>, Vec<_>) = coming.partition(|silence| asks_for_fingerprint(&silence.matchers));
    let notes = absent.iter().map(|silence| format!("left out: the silence {} asks for {ABSENT}", silence.id));
    Exported { body: said.into_iter().map(silence).collect(), notes: notes.collect() }
}

fn silence(silence: &Silence) -> Value {
    let asks = silence.matchers.iter().any(Matcher::asks_for_security);
    let but_security = (!asks).then(|| matcher("class", Operator::NotEqual, SECURITY));
    let matchers = silence.matchers.iter().map(|one| matcher(&one.label, one.operator, &one.value));
    json!({
        "matchers": matchers.chain(but_security).collect::<Vec<_>>(),
        "startsAt": silence.starts.to_string(),
        "endsAt": silence.ends.to_string(),
        "createdBy": silence.author,
        "comment": silence.comment,
    })
}

fn matcher(label: &str, operator: Operator, value: &str) -> Value {
    json!({
        "name": label_name(label),
        "value": value,
        "isRegex": operator.is_pattern(),
        "isEqual": !operator.is_negative(),
    })
}

/// A route of some calendars.
struct Muted<'a> {
    matchers: Vec<&'a Matcher>,
    calendars: Vec<&'a Calendar>,
}

/// A route for each set of calendars that one alert of the severity can be in, the larger ones first: the first that
/// matches is then that of all the calendars that the alert is in.
fn muted_routes<'a>(calendars: &'a [Calendar], severity: &str) -> Result<Vec<Muted<'a>>, TooManyRoutes> {
    let severity = equal("severity", severity);
    let mut routes = vec![Muted { matchers: Vec::new(), calendars: Vec::new() }];
    let mut alike: Vec<Vec<&Calendar>> = Vec::new();
    for calendar in calendars {
        match alike.iter_mut().find(|some| some[0].matchers == calendar.matchers) {
            Some(some) => some.push(calendar),
            None => alike.push(vec![calendar]),
        }
    }
    for some in &alike {
        let with = |route: &Muted<'a>| Muted {
            matchers: route.matchers.iter().copied().chain(&some[0].matchers).collect(),
            calendars: route.calendars.iter().chain(some).copied().collect(),
        };
        let more: Vec<Muted> = routes.iter().map(with).filter(|route| can_match(route, &severity)).collect();
        routes.extend(more);
        if routes.len() > MAX_ROUTES {
            return Err(TooManyRoutes);
        }
    }
    routes.retain(|route| !route.calendars.is_empty());
    routes.sort_by_key(|route| std::cmp::Reverse(route.calendars.len()));
    Ok(routes)
}

/// Whether there may be an alert that it matches: it is not asked for two values of one label.
fn can_match(route: &Muted, severity: &Matcher) -> bool {
    let asked = || route.matchers.iter().copied().chain([severity]);
    let exact = |matcher: &&Matcher| matcher.operator == Operator::Equal;
    asked()
        .filter(exact)
        .all(|one| asked().filter(|other| other.label == one.label).all(|other| other.matches_value(&one.value)))
}

fn inhibit_rules(text: &mut String, inhibitions: &[Inhibition]) {
    text.push_str(if inhibitions.is_empty() { "inhibit_rules: []\n" } else { "inhibit_rules:\n" });
    for Inhibition { source, target, equal } in inhibitions {
        line(text, 0, &format!("- source_matchers: {}", list(source.iter().map(said))));
        line(text, 2, &format!("target_matchers: {}", list(target.iter().map(said))));
        line(text, 2, &format!("equal: {}", list(equal.iter().map(|label| label_name(label).to_owned()))));
    }
}

fn time_intervals(text: &mut String, calendars: &[Calendar]) {
    text.push_str(if calendars.is_empty() { "time_intervals: []\n" } else { "time_intervals:\n" });
    for Calendar { name, zone, intervals, .. } in calendars {
        line(text, 0, &format!("- name: {}", quoted(name)));
        line(text, 2, "time_intervals:");
        for Interval { times, weekdays, days_of_month, months, years } in intervals {
            // Calendars are only made with zones that have a name.
            line(text, 2, &format!("- location: {}", quoted(zone.iana_name().unwrap_or("UTC"))));
            let clock = |minute: i16| quoted(&format!("{:02}:{:02}", minute / 60, minute % 60));
            let time = |range: &Range| format!("{{start_time: {}, end_time: {}}}", clock(range.from), clock(range.to));
            let weekday = |day: i16| WEEKDAYS[day as usize].to_owned();
            let month = |month: i16| MONTHS[month as usize - 1].to_owned();
            for (field, values) in [
                ("times", times.iter().map(time).collect::<Vec<_>>()),
                ("weekdays", ranges(weekdays, weekday)),
                ("days_of_month", ranges(days_of_month, |day| day.to_string())),
                ("months", ranges(months, month)),
                ("years", ranges(years, |year| year.to_string())),
            ] {
                if !values.is_empty() {
                    line(text, 4, &format!("{field}: {}", list(values)));
                }
            }
        }
    }
}

fn ranges(ranges: &[Range], show: impl Fn(i16) -> String) -> Vec<String> {
    let range = |range: &Range| match (show(range.from), show(range.to)) {
        (from, to) if from == to => quoted(&from),
        (from, to) => quoted(&format!("{from}:{to}")),
    };
    ranges.iter().map(range).collect()
}

fn timing(text: &mut String, indent: usize, timing: Timing) {
    let Timing { group_wait, group_interval, repeat_interval } = timing;
    line(text, indent, &format!("group_wait: {}", duration(group_wait)));
    line(text, indent, &format!("group_interval: {}", duration(group_interval)));
    line(text, indent, &format!("repeat_interval: {}", duration(repeat_interval)));
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

fn equal(label: &str, value: &str) -> Matcher {
    Matcher::new(label, Operator::Equal, value).expect("a label and a value of ours, and no pattern")
}

/// A matcher in the words of Alertmanager.
fn said(matcher: &Matcher) -> String {
    let Matcher { label, .. } = matcher;
    let text = matcher.to_string();
    quoted(&format!("{}{}", label_name(label), &text[label.len()..]))
}

/// What a label is called there.
fn label_name(label: &str) -> &str {
    if label == "rule" { "alertname" } else { label }
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// A text of YAML, in quotation marks: YAML reads texts of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn line(text: &mut String, indent: usize, what: &str) {
    // Writing into a text can't fail.
    let _ = writeln!(text, "{:indent$}{what}", "");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::policy::DEFAULT_POLICY;

    fn policy(calendars: &str) -> Policy {
        let text = DEFAULT_POLICY.replace("mute_calendars: []", &format!("mute_calendars:\n{calendars}"));
        Policy::load("policy.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn calendar(name: &str, matchers: &str) -> String {
        format!("- {{name: {name}, time_zone: UTC, matchers: [{matchers}], time_intervals: [{{years: [2026]}}]}}\n")
    }

    #[test]
    fn the_policy_is_said_in_alertmanagers_words() {
        let policy = policy(
            "- name: nights\n  time_zone: Europe/Moscow\n  matchers: ['rule=~\"low_.+\"', severity!=\"critical\"]\n  \
             time_intervals:\n  - times: [{start_time: \"22:00\", end_time: \"24:00\"}]\n  \
             - {weekdays: [saturday, \"monday:friday\"], days_of_month: [\"1:7\", \"-1\"], months: [\"may:august\", 1], \
             years: [\"2026:2027\"]}\n",
        );
        let text = config(&policy, "http://127.0.0.1:9/x").unwrap().body;
        let (_, text) = text.split_once("- matchers: [\"severity=\\\"info\\\"\"]\n").unwrap();
        assert_eq!(
            text,
            r#"    group_wait: 5m
    group_interval: 30m
    repeat_interval: 1d
    routes:
    - matchers: ["alertname=~\"low_.+\"", "severity!=\"critical\""]
      mute_time_intervals: ["nights"]
inhibit_rules:
- source_matchers: ["severity=\"critical\"", "class!=\"security\"", "service!=\"all\""]
  target_matchers: ["severity=\"warning\"", "class!=\"security\""]
  equal: [service]
time_intervals:
- name: "nights"
  time_intervals:
  - location: "Europe/Moscow"
    times: [{start_time: "22:00", end_time: "24:00"}]
  - location: "Europe/Moscow"
    weekdays: ["saturday", "monday:friday"]
    days_of_month: ["1:7", "-1"]
    months: ["may:august", "january"]
    years: ["2026:2027"]
receivers:
- name: land-contracts
  webhook_configs:
  - url: "http://127.0.0.1:9/x"
    send_resolved: true
"#
        );
    }

    #[test]
    fn each_set_of_calendars_that_an_alert_can_be_in_is_a_route() {
        let routes = |calendars: &[(&str, &str)]| -> Vec<String> {
            let calendars: String = calendars.iter().map(|(name, matchers)| calendar(name, matchers)).collect();
            let calendars = policy(&calendars).calendars;
            let names =
                |route: &Muted| route.calendars.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join("+");
            muted_routes(&calendars, "error").unwrap().iter().map(names).collect()
        };
        assert_eq!(routes(&[("a", "service=x"), ("b", "rule=y")]), ["a+b", "a", "b"]);
        assert_eq!(routes(&[("a", "service=x"), ("b", "service=y")]), ["a", "b"], "no alert is of both");
        assert_eq!(routes(&[("a", "service=x"), ("b", "'service=~\"y|z\"'")]), ["a", "b"]);
        assert_eq!(routes(&[("a", "service=x"), ("b", "service=x")]), ["a+b"], "every one is of both");
        assert_eq!(routes(&[("a", "service=x"), ("b", "severity=info")]), ["a"], "no alert of the severity");
        assert_eq!(routes(&[("a", "x=x"), ("b", "y=y"), ("c", "z=z")]).len(), 7);

        let many: String = (0..8).map(|number| calendar(&format!("c{number}"), &format!("l{number}=x"))).collect();
        assert_eq!(config(&policy(&many), "http://127.0.0.1:9/"), Err(TooManyRoutes));
        let many: String = (0..99).map(|number| calendar(&format!("c{number}"), &format!("rule=x{number}"))).collect();
        assert!(config(&policy(&many), "http://127.0.0.1:9/").is_ok());
    }

    #[test]
    fn what_asks_for_a_fingerprint_is_told() {
        let policy = policy(&calendar("nights", "fingerprint=x"));
        let Exported { body, notes } = config(&policy, "http://127.0.0.1:9/").unwrap();
        let expected =
            "differs: the calendar nights asks for the label fingerprint, which alerts of Prometheus do not have";
        assert!(notes.contains(&expected.to_owned()) && body.contains(&format!("# {expected}\n")), "{body}");
        assert!(!config(&Policy::built_in(), "http://127.0.0.1:9/").unwrap().body.contains("fingerprint"));
        let text = "version: 1\nsilences:\n\
            - {id: a, matchers: [service=api, fingerprint!=x], author: me, comment: why, starts: '2026-11-21T10:00:00Z', ends: '2026-11-21T11:00:00Z'}\n";
        let all = Silences::load("silences.yaml", text).unwrap();
        let made = silences(&all, "2026-11-21T09:00:00Z".parse().unwrap());
        assert_eq!((made.body.len(), made.notes.len()), (0, 1), "it would mute x as well: {:?}", made.notes);
    }

    #[test]
    fn silences_are_as_the_api_takes_them() {
        let text = "version: 1\nsilences:\n\
            - {id: a, matchers: [rule=x, 'service!~\"a|b\"'], author: me, comment: why, starts: '2026-11-21T10:00:00Z', ends: '2026-11-21T11:00:00Z'}\n\
            - {id: b, matchers: [class=security], author: me, comment: why, starts: '2026-11-21T10:00:00Z', ends: '2026-11-21T12:00:00Z'}\n";
        let all = Silences::load("silences.yaml", text).unwrap();
        let made = silences(&all, "2026-11-21T09:00:00Z".parse().unwrap()).body;
        assert_eq!(
            made[0],
            json!({
                "matchers": [
                    {"name": "alertname", "value": "x", "isRegex": false, "isEqual": true},
                    {"name": "service", "value": "a|b", "isRegex": true, "isEqual": false},
                    {"name": "class", "value": "security", "isRegex": false, "isEqual": false},
                ],
                "startsAt": "2026-11-21T10:00:00Z",
                "endsAt": "2026-11-21T11:00:00Z",
                "createdBy": "me",
                "comment": "why",
            })
        );
        assert_eq!(made[1]["matchers"].as_array().unwrap().len(), 1);
        assert_eq!(silences(&all, "2026-11-21T11:00:00Z".parse().unwrap()).body.len(), 1);
    }
}
