//! What holds whatever happens, in whatever order, with ticks of whatever distance.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::decide::decide;
use super::matcher::{Matcher, all_match, label_of};
use super::silences::Silence;
use super::tests::{alert, at, ended, policy};
use super::*;
use crate::alerting::episode::Episode;
use crate::alerting::notification::{Notification, Reason};

const ALERTS: [&str; 8] = [
    "web.a",
    "web.b",
    "web.c",
    "contract.a",
    "warning.web.a",
    "critical.web.a",
    "error.web.security.a",
    "critical.contract.system.b",
];

/// One tick: seconds since the last one, and which alerts turn (begin or end).
type Step = (i64, Vec<usize>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![Just(1), Just(10), Just(30), Just(60), Just(61), Just(700)];
    prop::collection::vec((pause, prop::collection::vec(0..ALERTS.len(), 0..4)), 1..40)
}

/// Silences by start, length and matcher.
fn silences() -> impl Strategy<Value = Silences> {
    let texts = ["rule=a", "service=web", "class=security", "severity=~critical|error", "service!=web"];
    let one = (0..2_000_i64, 1..3_000_i64, 0..texts.len());
    prop::collection::vec(one, 0..4).prop_map(move |made| {
        let mut silences = Silences::default();
        for (number, (starts, length, text)) in made.into_iter().enumerate() {
            let mut matchers = vec![Matcher::parse(texts[text]).unwrap()];
            matchers.push(Matcher::parse("service=~.+").unwrap());
            let (author, comment) = ("a".to_owned(), "b".to_owned());
            let (starts, ends) = (at(starts), at(starts + length));
            silences.add(Silence { id: format!("s{number}"), matchers, author, comment, starts, ends }, at(0)).unwrap();
        }
        silences
    })
}

fn inhibitions() -> impl Strategy<Value = Vec<Inhibition>> {
    let rule = |source: &str, target: &str, equal: &str| Inhibition {
        source: vec![Matcher::parse(source).unwrap()],
        target: vec![Matcher::parse(target).unwrap()],
        equal: vec![equal.to_owned()],
    };
    let all = vec![
        rule("severity=critical", "severity=warning", "service"),
        rule("severity=~critical|error", "severity=~error|warning", "service"),
        rule("rule=~a|b", "rule=~b|c", "class"),
        rule("service=contract", "service=web", "endpoint"),
    ];
    prop::sample::subsequence(all, 0..3)
}

/// What is muted, worked out for each alert and each other one.
fn is_muted(policy: &Policy, silences: &Silences, firing: &[Episode], alert: &Episode, now: Timestamp) -> bool {
    let inhibited = policy.inhibitions.iter().any(|rule| {
        let both = |episode: &Episode| all_match(&rule.source, episode) && all_match(&rule.target, episode);
        let equal = |source: &Episode| rule.equal.iter().all(|name| label_of(source, name) == label_of(alert, name));
        let inhibits = |source: &&Episode| {
            all_match(&rule.source, source) && equal(source) && !(both(source) && all_match(&rule.source, alert))
        };
        all_match(&rule.target, alert) && firing.iter().find(inhibits).is_some()
    });
    inhibited || silences.active(now).any(|silence| silence.covers(alert))
}

/// One tick of a play.
struct Seen {
    now: Timestamp,
    firing: Vec<Episode>,
    told: Vec<Notification>,
}

fn play(policy: &Policy, silences: &Silences, steps: &[Step]) -> (Vec<Seen>, PolicyState) {
    let (mut state, mut seconds, mut seen) = (PolicyState::default(), 0, Vec::new());
    let mut firing: BTreeMap<&str, Episode> = BTreeMap::new();
    // Each episode has a value of its own.
    let mut episodes = 0.0;
    for (pause, turns) in steps {
        seconds += pause;
        let mut changes = Vec::new();
        for name in turns.iter().map(|turn| ALERTS[*turn]) {
            if firing.remove(name).is_some() {
                changes.push(ended(name, seconds));
            } else {
                episodes += 1.0;
                let episode = Episode { value: Some(episodes), ..alert(name, seconds) };
                firing.insert(name, episode.clone());
                changes.push(episode);
            }
        }
        let decision = decide(policy, silences, state, &changes, at(seconds));
        state = serde_json::from_value(serde_json::to_value(&decision.state).unwrap()).unwrap();
        assert_eq!(state, decision.state);
        let firing = firing.values().cloned().collect();
        seen.push(Seen { now: at(seconds), firing, told: decision.notifications });
    }
    (seen, state)
}

fn is_capped(told: &Notification) -> bool {
    told.group.severity != Severity::Critical && told.group.class != "security"
}

proptest! {
    // Each case is a play of many ticks.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn resolved_is_told_only_of_what_was_told_to_fire(
        steps in steps(), silences in silences(), inhibitions in inhibitions(),
    ) {
        let policy = Policy { inhibitions, ..policy() };
        let mut known = BTreeSet::new();
        for told in play(&policy, &silences, &steps).0.into_iter().flat_map(|seen| seen.told) {
            prop_assert!(!told.firing.is_empty() || !told.resolved.is_empty());
            for resolved in &told.resolved {
                prop_assert!(!resolved.is_firing() && known.remove(&resolved.fingerprint), "{told:?}");
            }
            for firing in &told.firing {
                prop_assert!(firing.is_firing());
                known.insert(firing.fingerprint.clone());
            }
        }
    }

    #[test]
    fn nothing_is_told_twice_but_to_repeat_it(steps in steps(), silences in silences(), inhibitions in inhibitions()) {
        let policy = Policy { inhibitions, ..policy() };
        let fingerprints = |told: &Notification| -> BTreeSet<String> {
            told.firing.iter().map(|episode| episode.fingerprint.clone()).collect()
        };
        let mut last: BTreeMap<_, Notification> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for told in play(&policy, &silences, &steps).0.into_iter().flat_map(|seen| seen.told) {
            prop_assert!(ids.insert(told.id.clone()), "two of the same name");
            let before = last.insert(told.group.clone(), told.clone());
            let same = before.as_ref().is_some_and(|before| before.firing == told.firing) && told.resolved.is_empty();
            prop_assert!(!same || told.reason == Reason::Repeat, "{before:?} {told:?}");
            if told.reason == Reason::Repeat {
                // Some may be muted by now; others came and went, or ended and began again: nobody was told of that.
                let before = before.unwrap();
                prop_assert!(fingerprints(&told).is_subset(&fingerprints(&before)));
                prop_assert!(told.at.duration_since(before.at).as_secs() >= 300);
            }
        }
    }

    #[test]
    fn what_fires_and_is_not_muted_is_told_within_the_interval_and_what_is_muted_is_not(
        steps in steps(), silences in silences(), inhibitions in inhibitions(),
    ) {
        let policy = Policy { inhibitions, ..policy() };
        let mut heard_since: BTreeMap<String, Timestamp> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for Seen { now, firing, told } in play(&policy, &silences, &steps).0 {
            for told in &told {
                for episode in told.firing.iter().chain(&told.resolved) {
                    prop_assert!(!is_muted(&policy, &silences, &firing, episode, now), "{episode:?}");
                }
                known.extend(told.firing.iter().map(|episode| episode.fingerprint.clone()));
                for resolved in &told.resolved {
                    known.remove(&resolved.fingerprint);
                }
            }
            let heard = firing.iter().filter(|alert| !is_muted(&policy, &silences, &firing, alert, now));
            let heard: BTreeSet<String> = heard.map(|alert| alert.fingerprint.clone()).collect();
            heard_since.retain(|fingerprint, _| heard.contains(fingerprint));
            for fingerprint in heard {
                let since = *heard_since.entry(fingerprint.clone()).or_insert(now);
                let waited = now.duration_since(since).as_secs();
                prop_assert!(known.contains(&fingerprint) || waited < 60, "{fingerprint} waits for {waited} s");
            }
        }
    }

    #[test]
    fn the_same_is_decided_again_and_nothing_is_left_of_what_is_over(
        steps in steps(), silences in silences(), inhibitions in inhibitions(),
    ) {
        let policy = Policy { inhibitions, ..policy() };
        let (mut seen, state) = play(&policy, &silences, &steps);
        let (again, state_again) = play(&policy, &silences, &steps);
        prop_assert_eq!(&state, &state_again);
        prop_assert!(seen.iter().zip(&again).all(|(one, other)| one.told == other.told));

        let last = seen.pop().unwrap();
        let ends: Vec<Episode> = last.firing.iter().map(|alert| ended(&alert.fingerprint, 0)).collect();
        let later = |days: i64| last.now.checked_add(Duration::from_secs(days as u64 * 86_400)).unwrap();
        let state = decide(&policy, &silences, state, &ends, later(1)).state;
        let state = decide(&policy, &silences, state, &[], later(2)).state;
        prop_assert_eq!(state, PolicyState::default());
    }

    #[test]
    fn no_more_is_told_than_the_cap_allows(steps in steps(), silences in silences(), notifications in 1..4_usize) {
        let within = 120;
        let storm = StormCap { notifications, within: Duration::from_secs(within) };
        let policy = Policy { storm: Some(storm), ..policy() };
        let told: Vec<Notification> =
            play(&policy, &silences, &steps).0.into_iter().flat_map(|seen| seen.told).filter(is_capped).collect();
        let (digests, single): (Vec<_>, Vec<_>) = told.iter().partition(|told| told.digest.is_some());
        let apart = |one: &Notification, other: &Notification| other.at.duration_since(one.at).as_secs() as u64;
        for pair in digests.windows(2) {
            prop_assert!(apart(pair[0], pair[1]) >= within);
        }
        for some in single.windows(notifications + 1) {
            prop_assert!(apart(some[0], some[notifications]) >= within, "{some:?}");
        }
        for digest in digests.iter().filter_map(|told| told.digest.as_ref()) {
            let exempt = |line: &&crate::alerting::notification::DigestLine| {
                line.group.severity == Severity::Critical || line.group.class == "security"
            };
            prop_assert_eq!(digest.lines.iter().find(exempt), None);
        }
    }
}
