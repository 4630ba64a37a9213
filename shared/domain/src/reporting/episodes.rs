//! From transitions of alerts to episodes: from when to when each alert fired.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::day::LocalDay;
use crate::Minute;
use crate::alerting::history::{Transition, Turned};

/// One stretch of time in which an alert fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episode {
    /// When it began, which may be on an earlier day.
    pub from: Minute,
    /// When it was over; absent while it still fires at the end of the day.
    pub to: Option<Minute>,
    /// Whether it still fires at the end of the day.
    pub still_firing: bool,
    /// How long it fired, until the end of the day at most.
    pub minutes: u64,
    /// Id of the rule.
    pub rule: String,
    /// `business`, `performance`, ...
    pub class: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// Labels of the group that it speaks of.
    pub labels: BTreeMap<String, String>,
    /// The value that it fired on; absent where that is not known.
    pub value: Option<f64>,
    /// The rule's condition, `> 3`.
    pub condition: String,
    /// The rule's summary when it fired.
    pub summary: String,
    /// Which alert it was: the same one has the same fingerprint for ever.
    pub fingerprint: String,
}

/// How grave a severity is, the gravest the greatest. One that is not known counts as the gravest, so
/// that it can not be overlooked.
pub fn gravity(severity: &str) -> u8 {
    match severity {
        "info" => 0,
        "warning" => 1,
        "error" => 2,
        _ => 3,
    }
}

/// The episodes that have a part in `day`, by beginning, then rule, then fingerprint. What happened
/// after the day is left out, so that the report is the same whenever it is made.
pub fn of_day(mut transitions: Vec<Transition>, day: &LocalDay) -> Vec<Episode> {
    transitions.retain(|transition| transition.at < day.until());
    transitions
        .sort_by(|a, b| (a.at, order_in_minute(a), &a.fingerprint).cmp(&(b.at, order_in_minute(b), &b.fingerprint)));
    let mut open: BTreeMap<String, Transition> = BTreeMap::new();
    let mut episodes = Vec::new();
    for transition in transitions {
        match transition.turned {
            // It fires already: the older one is its beginning.
            Turned::Firing if open.contains_key(&transition.fingerprint) => {}
            Turned::Firing => {
                open.insert(transition.fingerprint.clone(), transition);
            }
            Turned::Resolved => episodes.push(ended(open.remove(&transition.fingerprint), transition)),
        }
    }
    episodes.extend(open.into_values().map(|began| still_firing(began, day)));
    episodes.retain(|episode| episode.to.is_none_or(|to| to > day.from() || episode.from >= day.from()));
    episodes.sort_by(|a, b| (a.from, &a.rule, &a.fingerprint).cmp(&(b.from, &b.rule, &b.fingerprint)));
    episodes
}

/// In one minute, an older episode ends before a new one begins; that one may end at once, and another one begin.
fn order_in_minute(transition: &Transition) -> (bool, Option<Timestamp>, u32, Turned) {
    let Transition { at, instant, turned, since, fired_before, .. } = transition;
    let is_of_older = *turned == Turned::Resolved && since < at;
    // Alarms tell when it was; of other alerts, each episode has had one more before it.
    let number = if instant.is_some() { 0 } else { *fired_before };
    (!is_of_older, *instant, number, *turned)
}

/// `began` is `None` where the beginning lies before what was read; the end says when it was.
fn ended(began: Option<Transition>, ended: Transition) -> Episode {
    let to = ended.at;
    let value = began.as_ref().and_then(|began| began.value);
    let told = began.unwrap_or(ended);
    Episode { to: Some(to), value, ..episode(told.since.min(to), to, told) }
}

fn still_firing(began: Transition, day: &LocalDay) -> Episode {
    Episode { still_firing: true, value: began.value, ..episode(began.since, day.until(), began) }
}

fn episode(from: Minute, until: Minute, told: Transition) -> Episode {
    Episode {
        from,
        to: None,
        still_firing: false,
        minutes: until.since(from).max(0).unsigned_abs(),
        rule: told.rule,
        class: told.class,
        severity: told.severity,
        labels: told.labels,
        value: None,
        condition: told.condition,
        summary: told.summary,
        fingerprint: told.fingerprint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn day() -> LocalDay {
        LocalDay::named("2026-11-20", &TimeZone::UTC, "2026-12-01T00:00:00Z".parse().unwrap()).unwrap()
    }

    /// `"a firing 2026-11-20T10:00Z 7"` or `"a resolved 2026-11-20T10:30Z since 2026-11-20T10:00Z"`.
    fn transition(story: &str) -> Transition {
        let words: Vec<&str> = story.split(' ').collect();
        let at: Minute = words[2].parse().unwrap();
        let firing = words[1] == "firing";
        Transition {
            version: 1,
            instant: None,
            at,
            rule: "contract_creation_failure".to_owned(),
            fingerprint: words[0].to_owned(),
            class: "business".to_owned(),
            severity: "error".to_owned(),
            labels: BTreeMap::new(),
            turned: if firing { Turned::Firing } else { Turned::Resolved },
            value: words.get(3).and_then(|word| word.parse().ok()),
            condition: "> 3".to_owned(),
            summary: format!("{} {}", words[0], words[1]),
            since: if firing { at } else { words[4].parse().unwrap() },
            fired_before: 0,
        }
    }

    fn told(episode: &Episode) -> String {
        let to = episode.to.map_or("end of day".to_owned(), |to| to.to_string());
        let value = episode.value.map_or("?".to_owned(), |value| value.to_string());
        format!(
            "{} {}..{to} {} min, value {value}, {}",
            episode.fingerprint, episode.from, episode.minutes, episode.summary
        )
    }

    #[test]
    fn transitions_become_episodes() {
        let stories: &[(&str, &[&str], &[&str])] = &[
            ("nothing happened", &[], &[]),
            (
                "fired and resolved",
                &["a firing 2026-11-20T10:00Z 7", "a resolved 2026-11-20T10:30Z since 2026-11-20T10:00Z"],
                &["a 2026-11-20T10:00Z..2026-11-20T10:30Z 30 min, value 7, a firing"],
            ),
            (
                "in the wrong order, among others",
                &[
                    "a resolved 2026-11-20T10:30Z since 2026-11-20T10:00Z",
                    "b firing 2026-11-20T10:10Z 2",
                    "a firing 2026-11-20T10:00Z 7",
                    "b resolved 2026-11-20T10:11Z since 2026-11-20T10:10Z",
                ],
                &[
                    "a 2026-11-20T10:00Z..2026-11-20T10:30Z 30 min, value 7, a firing",
                    "b 2026-11-20T10:10Z..2026-11-20T10:11Z 1 min, value 2, b firing",
                ],
            ),
            (
                "began the day before",
                &["a firing 2026-11-19T23:50Z 7", "a resolved 2026-11-20T00:20Z since 2026-11-19T23:50Z"],
                &["a 2026-11-19T23:50Z..2026-11-20T00:20Z 30 min, value 7, a firing"],
            ),
            (
                "began so long ago that only the end is known",
                &["a resolved 2026-11-20T00:20Z since 2026-10-20T00:20Z"],
                &["a 2026-10-20T00:20Z..2026-11-20T00:20Z 44640 min, value ?, a resolved"],
            ),
            (
                "still fires at the end of the day; its end tomorrow is not known today",
                &["a firing 2026-11-20T23:00Z 7", "a resolved 2026-11-21T01:00Z since 2026-11-20T23:00Z"],
                &["a 2026-11-20T23:00Z..end of day 60 min, value 7, a firing"],
            ),
            (
                "was over before the day began, to the minute",
                &["a firing 2026-11-19T23:00Z 7", "a resolved 2026-11-20T00:00Z since 2026-11-19T23:00Z"],
                &[],
            ),
            ("began tomorrow", &["a firing 2026-11-21T00:00Z 7"], &[]),
            (
                "fires again in the minute in which it resolved",
                &[
                    "a firing 2026-11-20T10:00Z 7",
                    "a firing 2026-11-20T10:30Z 9",
                    "a resolved 2026-11-20T10:30Z since 2026-11-20T10:00Z",
                ],
                &[
                    "a 2026-11-20T10:00Z..2026-11-20T10:30Z 30 min, value 7, a firing",
                    "a 2026-11-20T10:30Z..end of day 810 min, value 9, a firing",
                ],
            ),
            (
                "over in the minute in which it began",
                &["a resolved 2026-11-20T10:00Z since 2026-11-20T10:00Z", "a firing 2026-11-20T10:00Z 7"],
                &["a 2026-11-20T10:00Z..2026-11-20T10:00Z 0 min, value 7, a firing"],
            ),
            (
                "a beginning told twice counts once",
                &["a firing 2026-11-20T10:00Z 7", "a firing 2026-11-20T10:05Z 8"],
                &["a 2026-11-20T10:00Z..end of day 840 min, value 7, a firing"],
            ),
        ];
        for (what, stories, expected) in stories {
            let transitions = stories.iter().map(|story| transition(story)).collect();
            let episodes: Vec<String> = of_day(transitions, &day()).iter().map(told).collect();
            assert_eq!(episodes, *expected, "{what}");
        }
    }

    #[test]
    fn what_fires_again_in_the_minute_in_which_it_began_still_fires() {
        let story = ["a firing 2026-11-20T10:00Z 7", "a resolved 2026-11-20T10:00Z since 2026-11-20T10:00Z"];
        let [began, ended] = story.map(transition);
        let second = |second: i64| Some(began.at.start() + jiff::SignedDuration::from_secs(second));
        let of_rule =
            vec![Transition { fired_before: 1, value: Some(8.0), ..began.clone() }, ended.clone(), began.clone()];
        let of_alarm = vec![
            Transition { instant: second(40), fired_before: 1, value: Some(8.0), ..began.clone() },
            // The end of an alarm does not tell how often it had fired.
            Transition { instant: second(20), ..ended },
            Transition { instant: second(5), ..began.clone() },
        ];
        for transitions in [of_rule, of_alarm] {
            let episodes: Vec<String> = of_day(transitions, &day()).iter().map(told).collect();
            let expected = [
                "a 2026-11-20T10:00Z..2026-11-20T10:00Z 0 min, value 7, a firing",
                "a 2026-11-20T10:00Z..end of day 840 min, value 8, a firing",
            ];
            assert_eq!(episodes, expected);
        }
    }

    #[test]
    fn an_unknown_severity_is_not_overlooked() {
        assert!(gravity("info") < gravity("warning") && gravity("warning") < gravity("error"));
        assert!(gravity("error") < gravity("critical"));
        assert_eq!(gravity("catastrophe"), gravity("critical"));
    }
}
