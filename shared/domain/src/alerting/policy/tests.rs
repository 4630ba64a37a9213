//! What is told in which case: the documented ones of Alertmanager, and ours.

use jiff::{SignedDuration, Timestamp};

use super::matcher::Matcher;
use super::silences::Silence;
use super::*;
use crate::Minute;
use crate::alerting::episode::{Ended, Episode, Origin};
use crate::alerting::history::{Notified, Record};
use crate::alerting::notification::{MAX_NAMED, Notification};
use crate::alerting::testing::episode;

/// Seconds after 2026-11-23T10:00Z, a Monday.
pub(super) fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    start.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// An alert `name`, `service.name`, `severity.service.name` or `severity.service.class.name`.
pub(super) fn alert(text: &str, seconds: i64) -> Episode {
    let parts: Vec<&str> = text.split('.').collect();
    let (severity, service, class, name) = match parts[..] {
        [name] => ("error", "contract", "business", name),
        [service, name] => ("error", service, "business", name),
        [severity, service, name] => (severity, service, "business", name),
        [severity, service, class, name] => (severity, service, class, name),
        _ => panic!("{text}"),
    };
    let (_, severity) = Severity::NAMES.iter().find(|(known, _)| *known == severity).unwrap();
    let since = Minute::of(at(seconds));
    let (service, class) = (service.to_owned(), class.to_owned());
    Episode { fingerprint: text.to_owned(), severity: *severity, service, class, since, ..episode(name, 0) }
}

pub(super) fn ended(text: &str, seconds: i64) -> Episode {
    let at = Minute::of(at(seconds));
    alert(text, 0).ended(Ended { at, value: None, summary: String::new(), reason: None })
}

/// A policy, silences, and what is remembered.
pub(super) struct Play {
    pub policy: Policy,
    pub silences: Silences,
    pub state: PolicyState,
    pub records: Vec<Record>,
}

impl Play {
    pub fn of(policy: Policy) -> Play {
        Play { policy, silences: Silences::default(), state: PolicyState::default(), records: Vec::new() }
    }

    /// One tick, with changes like `+a -web.b`.
    pub fn tick(&mut self, seconds: i64, changes: &str) -> Vec<Notification> {
        let changes: Vec<Episode> = changes.split_whitespace().map(|change| change_of(change, seconds)).collect();
        let state = std::mem::take(&mut self.state);
        // What is stored and read again is the same.
        let state: PolicyState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        let decision = decide(&self.policy, &self.silences, state, &changes, at(seconds));
        self.state = decision.state;
        self.records.extend(decision.records);
        decision.notifications
    }

    /// A tick every `step` seconds, with the changes of its second, and what was told: `30 first contract +a -b`.
    pub fn run(&mut self, step: i64, until: i64, changes: &[(i64, &str)]) -> Vec<String> {
        assert!(changes.iter().all(|(seconds, _)| seconds % step == 0), "{changes:?}");
        let mut told = Vec::new();
        for seconds in (0..=until).step_by(step as usize) {
            let now: Vec<&str> = changes.iter().filter(|(at, _)| *at == seconds).map(|(_, text)| *text).collect();
            told.extend(self.tick(seconds, &now.join(" ")).iter().map(|told| format!("{seconds} {}", shown(told))));
        }
        told
    }

    /// What was muted, and which silences turned.
    fn noted(&self) -> Vec<String> {
        let show = |record: &Record| match record {
            Record::Muted(muted) => format!("{}: {}", muted.fingerprint, muted.by),
            Record::Silence(turned) => format!("{} {}", turned.silence, if turned.began { "began" } else { "ended" }),
            other => panic!("{other:?}"),
        };
        self.records.iter().map(show).collect()
    }
}

fn change_of(change: &str, seconds: i64) -> Episode {
    match change.split_at(1) {
        ("+", name) => alert(name, seconds),
        ("-", name) => ended(name, seconds),
        _ => panic!("{change}"),
    }
}

pub(super) fn shown(told: &Notification) -> String {
    let reason = serde_json::to_value(told.reason).unwrap();
    let mut text = format!("{} {}", reason.as_str().unwrap(), told.group.service);
    told.firing.iter().for_each(|episode| text.push_str(&format!(" +{}", episode.fingerprint)));
    told.resolved.iter().for_each(|episode| text.push_str(&format!(" -{}", episode.fingerprint)));
    for line in told.digest.iter().flat_map(|digest| &digest.lines) {
        text.push_str(&format!(" [{} {} {}]", line.group, line.firing, line.resolved));
    }
    text
}

/// Group wait 30 s, group interval 60 s, repeat interval 300 s for all; no inhibition, no calendars, no storm cap.
pub(super) fn policy() -> Policy {
    let timing = Timing {
        group_wait: Duration::from_secs(30),
        group_interval: Duration::from_secs(60),
        repeat_interval: Duration::from_secs(300),
    };
    let timings = Timings { info: timing, warning: timing, error: timing, critical: timing };
    Policy { timings, ..Policy::at_once() }
}

fn check(why: &str, until: i64, changes: &[(i64, &str)], expected: &[&str]) {
    assert_eq!(Play::of(policy()).run(10, until, changes), expected, "{why}");
}

fn matchers(texts: &[&str]) -> Vec<Matcher> {
    texts.iter().map(|text| Matcher::parse(text).unwrap()).collect()
}

fn silence(id: &str, starts: i64, ends: i64, texts: &[&str]) -> Silence {
    let (author, comment) = ("ivanov".to_owned(), "deploy".to_owned());
    Silence { id: id.to_owned(), matchers: matchers(texts), author, comment, starts: at(starts), ends: at(ends) }
}

fn silenced(silences: &[Silence]) -> Play {
    let mut play = Play::of(policy());
    silences.iter().for_each(|silence| play.silences.add(silence.clone(), at(0)).unwrap());
    play
}

#[test]
fn a_group_is_told_after_its_wait_and_then_in_its_intervals() {
    check("one alert", 200, &[(0, "+a")], &["30 first contract +a"]);
    check("others gather in the wait", 200, &[(0, "+a"), (20, "+b")], &["30 first contract +a +b"]);
    check(
        "another one waits for the interval",
        200,
        &[(0, "+a"), (40, "+b")],
        &["30 first contract +a", "90 new_alerts contract +a +b"],
    );
    check(
        "some of them are over, then all",
        300,
        &[(0, "+a +b"), (100, "-a"), (160, "-b")],
        &["30 first contract +a +b", "150 some_resolved contract +b -a", "210 all_resolved contract -b"],
    );
    check("over within the wait: nobody is told", 300, &[(0, "+a"), (20, "-a")], &[]);
    check(
        "begun again before anybody was told of the end: no news",
        300,
        &[(0, "+a"), (40, "-a"), (50, "+a")],
        &["30 first contract +a"],
    );
    check(
        "over and begun again in one tick: no news either",
        300,
        &[(0, "+a"), (40, "-a +a")],
        &["30 first contract +a"],
    );
    check(
        "begun again after the end was told: it gathers again",
        300,
        &[(0, "+a"), (40, "-a"), (100, "+a")],
        &["30 first contract +a", "90 all_resolved contract -a", "130 first contract +a"],
    );
    check(
        "each severity, class and service is a group of its own",
        100,
        &[(0, "+warning.contract.a +a +error.contract.system.a"), (10, "+web.a")],
        &[
            "30 first contract +error.contract.system.a",
            "30 first contract +a",
            "30 first contract +warning.contract.a",
            "40 first web +web.a",
        ],
    );
    check("the end of what never began", 300, &[(0, "-a")], &[]);
}

#[test]
fn resolved_is_told_only_where_firing_was() {
    // Alertmanager tells the end of b, of which nobody knew.
    check("b comes and goes between two looks", 200, &[(0, "+a"), (40, "+b"), (60, "-b")], &["30 first contract +a"]);
    check(
        "and beside a, which is over too",
        200,
        &[(0, "+a"), (40, "+b"), (60, "-b -a")],
        &["30 first contract +a", "90 all_resolved contract -a"],
    );
}

#[test]
fn what_began_and_ended_while_nobody_looked_is_never_told() {
    // Minutes that are made up for come in one decision.
    let mut play = Play::of(Policy { timings: Policy::at_once().timings, ..policy() });
    assert!(play.run(60, 300, &[(0, "+a -a +b -b")]).is_empty());
    assert_eq!(play.run(60, 300, &[(0, "+a -a +c")]), ["0 first contract +c"]);
}

#[test]
fn other_mistakes_of_a_file_are_news() {
    let mut play = Play::of(policy());
    let rules = |text: &str, seconds| Episode { summary: text.to_owned(), ..alert("rules_invalid", seconds) };
    let mut decided = |changes: &[Episode], seconds| {
        let decision = decide(&play.policy, &play.silences, std::mem::take(&mut play.state), changes, at(seconds));
        play.state = decision.state;
        decision.notifications.iter().map(shown).collect::<Vec<_>>()
    };
    assert!(decided(&[rules("one", 0)], 0).is_empty());
    assert_eq!(decided(&[], 30), ["first contract +rules_invalid"]);
    assert!(decided(&[ended("rules_invalid", 60), rules("two", 60)], 60).is_empty());
    assert_eq!(decided(&[], 90), ["new_alerts contract +rules_invalid"]);
    assert!(decided(&[], 150).is_empty());
    // An alarm of CloudWatch that is called so speaks of no file: it tells other values with every change.
    let alarm = |text: &str| Episode { origin: Origin::Alarm { url: None, changed: None }, ..rules(text, 0) };
    let mut play = Play::of(policy());
    let mut decided = |changes: &[Episode], seconds| {
        let decision = decide(&play.policy, &play.silences, std::mem::take(&mut play.state), changes, at(seconds));
        play.state = decision.state;
        decision.notifications.len()
    };
    assert_eq!((decided(&[alarm("1.9")], 0), decided(&[], 30)), (0, 1));
    assert_eq!((decided(&[alarm("1.8")], 60), decided(&[], 90)), (0, 0));
}

#[test]
fn what_does_not_change_is_repeated() {
    check(
        "at the first look after the repeat interval",
        1_000,
        &[(0, "+a")],
        &["30 first contract +a", "330 repeat contract +a", "630 repeat contract +a", "930 repeat contract +a"],
    );
    check(
        "which counts from what was told last",
        700,
        &[(0, "+a"), (200, "+b")],
        &["30 first contract +a", "210 new_alerts contract +a +b", "510 repeat contract +a +b"],
    );
}

#[test]
fn a_late_tick_tells_once() {
    let mut play = Play::of(policy());
    let told = |told: Vec<Notification>| told.iter().map(shown).collect::<Vec<_>>();
    assert_eq!(told(play.tick(0, "+a")), [""; 0]);
    assert_eq!(told(play.tick(3_000, "")), ["first contract +a"]);
    assert_eq!(told(play.tick(90_000, "")), ["repeat contract +a"]);
    assert_eq!(told(play.tick(90_000, "")), [""; 0], "the same moment again");
    assert_eq!(told(play.tick(80_000, "")), [""; 0], "a clock that was put back");
    let changes = "-a +b -b +a +c -c";
    assert_eq!(told(play.tick(90_050, changes)), [""; 0]);
    assert_eq!(told(play.tick(90_060, "")), [""; 0], "what is over by now is not told");
    assert_eq!(told(play.tick(181_000, "-a")), ["all_resolved contract -a"]);
    assert!(play.state.is_empty());
    play.tick(300_000, "");
    assert_eq!(play.state, PolicyState::default(), "nothing is left of it");
}

#[test]
fn a_group_never_waits_longer_than_the_policy_of_now_says() {
    let mut play = Play::of(policy());
    play.policy.timings.error.group_wait = Duration::from_secs(86_400);
    assert_eq!(play.run(10, 100, &[(0, "+a")]), [""; 0]);
    play.policy = policy();
    assert!(play.tick(110, "").is_empty(), "a whole interval from the change");
    assert_eq!(play.tick(170, "").len(), 1);
}

#[test]
fn what_is_inhibited_is_not_told_until_nothing_inhibits_it() {
    let mut policy = policy();
    policy.inhibitions = vec![Inhibition {
        source: matchers(&["severity=critical"]),
        target: matchers(&["severity=warning", "class!=security"]),
        equal: vec!["service".to_owned()],
    }];
    let check = |why: &str, changes: &[(i64, &str)], expected: &[&str]| {
        assert_eq!(Play::of(policy.clone()).run(10, 400, changes), expected, "{why}");
    };
    let (w, c) = ("warning.contract.w", "critical.contract.c");
    let first_c = format!("30 first contract +{c}");
    check(
        "told when the other one is over",
        &[(0, "+warning.contract.w +critical.contract.c"), (100, "-critical.contract.c")],
        &[&first_c, &format!("150 all_resolved contract -{c}"), &format!("150 first contract +{w}")],
    );
    check(
        "over before: never told",
        &[(0, "+warning.contract.w +critical.contract.c"), (100, "-warning.contract.w")],
        &[&first_c, &format!("330 repeat contract +{c}")],
    );
    check(
        "over with it: never told",
        &[(0, "+warning.contract.w +critical.contract.c"), (100, "-warning.contract.w -critical.contract.c")],
        &[&first_c, &format!("150 all_resolved contract -{c}")],
    );
    check(
        "of another service",
        &[(0, "+warning.web.w +critical.contract.c"), (300, "-warning.web.w -critical.contract.c")],
        &[
            &first_c,
            "30 first web +warning.web.w",
            &format!("330 all_resolved contract -{c}"),
            "330 all_resolved web -warning.web.w",
        ],
    );
    check(
        "an attack is told beside an outage",
        &[(0, "+warning.contract.security.w +critical.contract.c"), (40, "-warning.contract.security.w")],
        &[
            &first_c,
            "30 first contract +warning.contract.security.w",
            "90 all_resolved contract -warning.contract.security.w",
            &format!("330 repeat contract +{c}"),
        ],
    );
    let mut play = Play::of(policy);
    play.run(10, 200, &[(0, "+warning.contract.w +critical.contract.c")]);
    assert_eq!(play.noted(), ["warning.contract.w: inhibited by c (critical/business/contract)"], "once");
}

#[test]
fn what_matches_both_sides_inhibits_only_what_does_not() {
    // As Alertmanager documents it, so that two alerts do not silence each other.
    let mut policy = policy();
    policy.inhibitions =
        vec![Inhibition { source: matchers(&["rule=~s|b|d"]), target: matchers(&["rule=~t|b|d"]), equal: Vec::new() }];
    let check = |changes: &str, expected: &[&str]| {
        assert_eq!(Play::of(policy.clone()).run(10, 100, &[(0, changes)]), expected, "{changes}");
    };
    check("+b", &["30 first contract +b"]);
    check("+b +d", &["30 first contract +b +d"]);
    check("+b +t", &["30 first contract +b"]);
    check("+b +s", &["30 first contract +s"]);
}

#[test]
fn what_is_silenced_is_not_told_until_the_silence_is_over() {
    let mut play = silenced(&[silence("s", 0, 100, &["rule=a"])]);
    let told = play.run(10, 300, &[(0, "+a +b"), (200, "-a")]);
    assert_eq!(told, ["30 first contract +b", "150 new_alerts contract +a +b", "210 some_resolved contract +b -a"]);
    assert_eq!(play.noted(), ["s began", "a: silence s", "s ended"]);

    let mut play = silenced(&[silence("s", 0, 100, &["rule=a"])]);
    assert_eq!(play.run(10, 300, &[(0, "+a"), (90, "-a")]), [""; 0], "over in the silence");

    // As in Alertmanager: the end of what is silenced is not told, neither then nor later.
    let mut play = silenced(&[silence("s", 60, 200, &["rule=a"])]);
    assert_eq!(play.run(10, 500, &[(0, "+a"), (60, "-a")]), ["30 first contract +a"]);
    assert_eq!(play.noted(), ["s began", "a: silence s", "s ended"], "also that the end was not told");
    // Unlike in Alertmanager: what fires again afterwards is told. There it would wait for the repeat interval.
    let mut play = silenced(&[silence("s", 60, 200, &["rule=a"])]);
    let told = play.run(10, 300, &[(0, "+a"), (100, "-a"), (200, "+a")]);
    assert_eq!(told, ["30 first contract +a", "230 first contract +a"]);

    // Still firing when the silence is over: known already, so only repeated.
    let mut play = silenced(&[silence("s", 60, 200, &["rule=a"])]);
    assert_eq!(play.run(10, 400, &[(0, "+a")]), ["30 first contract +a", "330 repeat contract +a"]);

    // Known, silenced while another one was told, and over after the silence: its end is told all the same.
    let mut play = silenced(&[silence("s", 60, 180, &["rule=a"])]);
    let told = play.run(10, 400, &[(0, "+a"), (70, "+b"), (190, "-a")]);
    assert_eq!(
        told,
        ["30 first contract +a", "90 new_alerts contract +b", "210 some_resolved contract +b -a"],
        "of a, which is known"
    );

    // All that can be heard is over, but a silenced one is not.
    let mut play = silenced(&[silence("s", 60, 500, &["rule=a"])]);
    let told = play.run(10, 200, &[(0, "+a +b"), (70, "-b")]);
    assert_eq!(told, ["30 first contract +a +b", "90 some_resolved contract -b"]);
}

#[test]
fn a_silence_that_is_taken_away_is_over() {
    let mut play = silenced(&[silence("s", 0, 1_000, &["rule=a"])]);
    assert!(play.run(10, 100, &[(0, "+a")]).is_empty());
    play.silences = Silences::default();
    play.tick(110, "");
    assert_eq!(play.noted(), ["s began", "a: silence s", "s ended"]);
    assert_eq!(play.tick(160, "").len(), 1);
}

#[test]
fn the_cause_is_noted_once_for_an_episode_and_a_cause() {
    let silences = [silence("s", 0, 100, &["rule=a"]), silence("t", 50, 150, &["service=contract"])];
    let mut play = silenced(&silences);
    play.run(10, 140, &[(0, "+a"), (130, "-a +a")]);
    // The same minute is the same episode; a later one is another.
    assert_eq!(play.noted(), ["s began", "a: silence s", "t began", "s ended", "a: silence t", "a: silence t"]);
}

#[test]
fn a_calendar_mutes_what_it_matches_but_never_security() {
    let text = DEFAULT_POLICY.replace(
        "mute_calendars: []",
        "mute_calendars:\n- name: lunch\n  time_zone: Europe/Moscow\n  matchers: [severity!=\"critical\"]\n  \
         time_intervals: [{times: [{start_time: \"13:00\", end_time: \"13:10\"}], weekdays: [\"monday\"]}]\n",
    );
    let calendars = Policy::load("policy.yaml", &text).unwrap_or_else(|error| panic!("{error}")).calendars;
    let mut play = Play::of(Policy { calendars, ..policy() });
    let told = play.run(
        10,
        700,
        &[
            (0, "+a +critical.contract.c +error.contract.security.a"),
            (620, "-critical.contract.c -error.contract.security.a"),
        ],
    );
    assert_eq!(
        told,
        [
            "30 first contract +critical.contract.c",
            "30 first contract +error.contract.security.a",
            "330 repeat contract +critical.contract.c",
            "330 repeat contract +error.contract.security.a",
            "630 all_resolved contract -critical.contract.c",
            "630 all_resolved contract -error.contract.security.a",
            "630 first contract +a",
        ]
    );
    assert_eq!(play.noted(), ["a: calendar lunch"]);
}

#[test]
fn security_is_silenced_only_where_a_silence_asks_for_it() {
    let of_security = "error.contract.security.a";
    let changes = [(0, "+error.contract.security.a +a")];
    let mut play = silenced(&[silence("s", 0, 100, &["service=contract"])]);
    assert_eq!(play.run(10, 60, &changes), [format!("30 first contract +{of_security}")]);
    let mut play = silenced(&[silence("s", 0, 100, &["service=contract", "class=security"])]);
    assert_eq!(play.run(10, 60, &changes), ["30 first contract +a"]);
}

#[test]
fn a_storm_is_told_in_digests() {
    let cap = StormCap { notifications: 2, within: Duration::from_secs(120) };
    let mut play = Play::of(Policy { storm: Some(cap), ..policy() });
    let told = play.run(
        10,
        400,
        &[
            (0, "+s1.a +s2.a"),
            (10, "+s3.a +warning.s4.a"),
            (20, "+s5.a +critical.s6.a +error.s7.security.a"),
            (40, "-s5.a"),
            (100, "-s1.a"),
            (200, "-s2.a"),
        ],
    );
    assert_eq!(
        told,
        [
            // Two are told by themselves.
            "30 first s2 +s2.a",
            "30 first s1 +s1.a",
            // The third and the fourth are too much.
            "40 digest all [error/business/s3 1 0] [warning/business/s4 1 0]",
            // What is critical or an attack is told by itself.
            "50 first s6 +critical.s6.a",
            "50 first s7 +error.s7.security.a",
            // One digest in two minutes; s5 came and went meanwhile. It is the only notification: the storm is over.
            "160 all_resolved s1 -s1.a",
            "220 all_resolved s2 -s2.a",
            "340 repeat s3 +s3.a",
            "340 repeat s4 +warning.s4.a",
            "350 repeat s6 +critical.s6.a",
            "350 repeat s7 +error.s7.security.a",
        ]
    );
}

#[test]
fn a_storm_goes_on_as_long_as_there_is_too_much() {
    let cap = StormCap { notifications: 1, within: Duration::from_secs(120) };
    let mut play = Play::of(Policy { storm: Some(cap), ..policy() });
    let told = play.run(
        10,
        400,
        &[
            (0, "+s1.a +s2.a"),
            (40, "+s1.b +s2.b"),
            (60, "-s1.a"),
            (160, "-s2.a -s2.b"),
            (270, "-s1.b +s2.c"),
            (300, "+s2.d"),
        ],
    );
    assert_eq!(
        told,
        [
            "30 digest all [error/business/s1 1 0] [error/business/s2 1 0]",
            "150 digest all [error/business/s2 2 0] [error/business/s1 1 1]",
            // It goes on: two groups have news once more.
            "270 digest all [error/business/s2 1 2] [error/business/s1 0 1]",
            // Only one has: it is told by itself, and the storm is over.
            "390 new_alerts s2 +s2.c +s2.d",
        ]
    );
}

#[test]
fn the_history_names_what_a_digest_counts_the_worst_first_and_as_much_as_it_has_room_for() {
    let cap = StormCap { notifications: 1, within: Duration::from_secs(120) };
    let mut play = Play::of(Policy { storm: Some(cap), ..policy() });
    play.tick(0, "+warning.s1.a +s2.a +s2.b");
    let [digest] = &play.tick(30, "")[..] else { panic!("one digest") };
    let Notified { firing, resolved, beyond, .. } = Notified::of(digest);
    assert_eq!(
        (&firing[..], &resolved[..], beyond),
        (&["s2.a", "s2.b", "warning.s1.a"].map(str::to_owned)[..], &[][..], 0)
    );
    play.tick(40, "-s2.a -warning.s1.a");
    let [digest] = &play.tick(160, "")[..] else { panic!("another one") };
    let Notified { firing, resolved, .. } = Notified::of(digest);
    assert_eq!(
        (&firing[..], &resolved[..]),
        (&["s2.b".to_owned()][..], &["s2.a", "warning.s1.a"].map(str::to_owned)[..])
    );

    let many: Vec<String> = (0..3 * MAX_NAMED).map(|at| format!("+s{}.{at}", at % 2)).collect();
    let mut play = Play::of(Policy { storm: Some(cap), ..policy() });
    play.tick(0, &many.join(" "));
    let notified = Notified::of(&play.tick(30, "")[0]);
    assert_eq!((notified.firing.len(), notified.beyond), (MAX_NAMED, 2 * MAX_NAMED));
}

#[test]
fn a_digest_is_for_those_whom_all_of_it_concerns() {
    let cap = StormCap { notifications: 1, within: Duration::from_secs(120) };
    let group = |changes: &str| {
        let mut play = Play::of(Policy { storm: Some(cap), ..policy() });
        play.tick(0, changes);
        let [told] = &play.tick(30, "")[..] else { panic!("{changes}") };
        let digest = told.digest.clone().unwrap();
        assert_eq!((digest.from, told.firing.len(), told.resolved.len()), (at(30), 0, 0));
        told.group.to_string()
    };
    assert_eq!(group("+a +web.a"), "error/business/all");
    assert_eq!(group("+a +warning.contract.a"), "error/business/contract");
    assert_eq!(group("+info.web.system.a +warning.contract.a"), "warning/all/all");
}

#[test]
fn the_same_decision_has_the_same_names() {
    let play = |(): ()| {
        let mut play = Play::of(policy());
        play.tick(0, "+a +web.a");
        play.tick(30, "")
    };
    let told = play(());
    assert_eq!(told, play(()));
    assert_ne!(told[0].id, told[1].id);
}

mod file {
    use super::*;

    fn said(text: &str) -> String {
        Policy::load("policy.yaml", text).expect_err(text).to_string()
    }

    #[test]
    fn the_built_in_policy_is_read() {
        let policy = Policy::built_in();
        let seconds = |timing: Timing| {
            [timing.group_wait, timing.group_interval, timing.repeat_interval].map(|duration| duration.as_secs())
        };
        assert_eq!(seconds(policy.timings.of(Severity::Critical)), [0, 60, 3_600]);
        assert_eq!(seconds(policy.timings.of(Severity::Error)), [30, 300, 4 * 3_600]);
        assert_eq!(seconds(policy.timings.of(Severity::Warning)), [60, 300, 12 * 3_600]);
        assert_eq!(seconds(policy.timings.of(Severity::Info)), [300, 1_800, 24 * 3_600]);
        assert_eq!(policy.storm, Some(StormCap { notifications: 20, within: Duration::from_secs(600) }));
        assert_eq!((policy.inhibitions.len(), policy.calendars.len()), (1, 0));
        let rule = &policy.inhibitions[0];
        let (warning, critical) = (alert("warning.web.w", 0), alert("critical.web.c", 0));
        assert!(matcher::all_match(&rule.source, &critical) && !matcher::all_match(&rule.source, &warning));
        assert!(matcher::all_match(&rule.target, &warning) && !matcher::all_match(&rule.target, &critical));
        assert!(!matcher::all_match(&rule.target, &alert("warning.web.security.w", 0)));
    }

    #[test]
    fn neither_an_attack_nor_what_concerns_the_whole_keeps_a_warning_back() {
        for (critical, is_told) in [
            ("critical.contract.business.down", false),
            ("critical.contract.security.attack", true),
            ("critical.web.business.down", true),
            ("critical.all.availability.down", true),
        ] {
            let warning = if critical.contains(".all.") { "warning.all.slow" } else { "warning.contract.slow" };
            let mut play = Play::of(Policy::built_in());
            let told = play.run(60, 300, &[(0, &format!("+{critical} +{warning}"))]);
            assert_eq!(told.iter().any(|line| line.contains(&format!("+{warning}"))), is_told, "{critical}: {told:?}");
        }
    }

    #[test]
    fn the_example_in_the_built_in_policy_is_one() {
        let (before, after) = DEFAULT_POLICY.split_once("For example:\n#\n").unwrap();
        let (example, _) = after.split_once("mute_calendars: []").unwrap();
        let example: String = example.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        let (_, end) = DEFAULT_POLICY.split_once("mute_calendars: []\n").unwrap();
        let text = format!("{before}\nmute_calendars:\n{example}{end}");
        let policy = Policy::load("policy.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(policy.calendars[0].intervals.len(), 2);
    }

    #[test]
    fn a_mistake_is_refused_with_its_place_and_a_hint() {
        let calendar =
            "mute_calendars:\n- name: a\n  time_zone: UTC\n  matchers: []\n  time_intervals: [{years: [2026]}]\n";
        let base = DEFAULT_POLICY.replace("mute_calendars: []\n", calendar);
        assert!(Policy::load("policy.yaml", &base).is_ok(), "{base}");
        for (old, new, expected) in [
            ("version: 1", "version: 3", "version 3, this is version 1"),
            ("group_wait: 30s", "group_wait: 30", "`30` is not a duration like 90s, 10m or 1h"),
            ("group_wait: 30s", "group_wiat: 30s", "unknown field `group_wiat` (did you mean `group_wait`?)"),
            ("group_interval: 30m", "group_interval: 0m", "a group_interval of nothing (at least 1s)"),
            (
                "repeat_interval: 4h",
                "repeat_interval: 4m",
                "repeat_interval is shorter than group_interval (a group is looked at once in a group_interval, so it \
                 can't be repeated more often)",
            ),
            (
                "[severity=\"critical\", class!=\"security\", service!=\"all\"]",
                "[severity=\"crit\"]",
                "no alert has the severity `crit` (there is info, warning, error, critical)",
            ),
            (
                "[severity=\"critical\", class!=\"security\", service!=\"all\"]",
                "[]",
                "without matchers every alert would be meant (say which alerts: [severity=\"critical\"])",
            ),
            (
                "equal: [service]",
                "equal: [a-b]",
                "`a-b` can't be the name of a label (rule, class, service, endpoint, ...)",
            ),
            (
                "- name: a",
                "- name: a b",
                "`a b` can't be the name of a calendar (letters, digits, `_` and `-`, at most 48)",
            ),
            ("zone: UTC", "zone: Mars/Base", "there is no time zone `Mars/Base` (Europe/Moscow, UTC, ...)"),
            (
                "matchers: []",
                "matchers: [class=security]",
                "no calendar mutes security (a silence can, if it asks for class=\"security\")",
            ),
            ("[{years: [2026]}]", "[]", "without intervals it would never mute"),
            (
                "{years: [2026]}",
                "{}",
                "an interval that says nothing would be always (times, weekdays, days_of_month, months or years)",
            ),
            ("[2026]", "[26]", "`26` is not a year like 2026, or 2026:2027"),
            (
                "years: [2026]",
                "times: [{start_time: \"22:00\", end_time: \"06:00\"}]",
                "`22:00 to 06:00` ends before it begins (a day begins at 00:00, a week on sunday: give two of them)",
            ),
            (
                "notifications: 20",
                "notifications: 0",
                "a storm of more than 0 notifications (from 1 to 200; leave `storm` out for no cap)",
            ),
            ("within: 10m", "within: 0s", "within no time (at least 1s)"),
        ] {
            let text = base.replacen(old, new, 1);
            assert_ne!(text, base, "{old}");
            let said = said(&text);
            // Where it stands in the text.
            let line = text.lines().position(|line| !base.lines().any(|other| other == line)).unwrap() + 1;
            let place = said.strip_prefix(&format!("policy.yaml:{line}:")).unwrap_or_else(|| panic!("{line}: {said}"));
            let (column, message) = place.split_once(": ").unwrap();
            assert!(column.parse::<usize>().unwrap() >= 1);
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn all_mistakes_are_said_at_once() {
        let calendar = "mute_calendars:\n- {name: a, time_zone: X, matchers: [b], time_intervals: [{months: [mai], years: [0]}]}\n\
                        - {name: a, time_zone: UTC, matchers: [], time_intervals: []}\n";
        let text = DEFAULT_POLICY
            .replace("mute_calendars: []\n", calendar)
            .replace("group_wait: 30s", "group_wait: x")
            .replace("within: 10m", "within: x");
        let said = said(&text);
        assert_eq!(said.lines().count(), 8, "{said}");
        let places: Vec<u32> = said.lines().map(|line| line.split(':').nth(1).unwrap().parse().unwrap()).collect();
        assert!(places.is_sorted(), "{said}");
    }
}
