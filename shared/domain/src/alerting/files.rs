//! The operators' files as the evaluator finds them: what is noted when one changes, and the alert about one that can
//! not be used; and which silences are in force.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;

use super::episode::{Ended, Episode, Origin};
use super::history::{Configured, Record, Silenced};
use super::rules::problem::InvalidRules;
use super::rules::{Labels, Severity};
use super::state::fingerprint;

/// Id of the alert about the notification policy.
pub const POLICY_INVALID: &str = "policy_invalid";

/// Id of the alert about the silences.
pub const SILENCES_INVALID: &str = "silences_invalid";

/// What is known of the files, by key, and of silences.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    seen: BTreeMap<String, Seen>,
    /// The silences in force, by id.
    silences: BTreeMap<String, Silenced>,
}

/// A file as it was last seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    /// Hash of its bytes; `None` where there was none.
    hash: Option<String>,
    /// As long as it can not be used.
    refused: Option<Episode>,
}

/// One of the files as it is found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its bytes; `None` where there is none.
    pub body: Option<&'a [u8]>,
    /// What is wrong with it.
    pub problem: Option<&'a InvalidRules>,
    /// The alert about it; `None` where somebody else raises that.
    pub alert: Option<&'a str>,
}

impl Files {
    /// What the history notes of a file as it is found at `now`, and the alert that begins or ends with that. Nothing
    /// where it is as it was.
    pub fn find(&mut self, found: Found<'_>, now: Timestamp) -> (Option<Record>, Option<Episode>) {
        let seen = self.seen.entry(found.key.to_owned()).or_default();
        let hash = found.body.map(|body| keys::fingerprint([body]));
        let record = (seen.hash != hash).then(|| {
            seen.hash.clone_from(&hash);
            let refused = found.problem.map(ToString::to_string);
            Record::Configured(Configured { at: now, file: found.key.to_owned(), hash, refused })
        });
        let episode = match (found.alert, found.problem, seen.refused.take()) {
            (Some(_), Some(_), Some(refused)) => {
                seen.refused = Some(refused);
                None
            }
            (Some(rule), Some(problem), None) => {
                let episode = invalid(rule, found.key, problem, Minute::of(now));
                seen.refused = Some(episode.clone());
                Some(episode)
            }
            (_, _, refused) => refused.map(|refused| {
                let summary = format!("{} is in order again.", found.key);
                refused.ended(Ended { at: Minute::of(now), value: Some(0.0), summary, reason: None })
            }),
        };
        (record, episode)
    }

    /// What the history notes of silences, `active` being those in force at `now`: which have begun, and which are over.
    pub fn silences(&mut self, active: impl Iterator<Item = Silenced>, now: Timestamp) -> Vec<Record> {
        let active: BTreeMap<String, Silenced> = active.map(|silence| (silence.id.clone(), silence)).collect();
        let former = std::mem::replace(&mut self.silences, active);
        let over = former.iter().filter(|(id, _)| !self.silences.contains_key(*id));
        let over = over.map(|(_, silence)| Silenced { at: now, is_over: true, ..silence.clone() });
        let begun = self.silences.iter().filter(|(id, _)| !former.contains_key(*id)).map(|(_, silence)| silence.clone());
        over.chain(begun).map(Record::Silenced).collect()
    }
}

fn invalid(rule: &str, file: &str, problem: &InvalidRules, at: Minute) -> Episode {
    Episode {
        rule: rule.to_owned(),
        fingerprint: fingerprint(rule, &Labels::new()),
        class: "system".to_owned(),
        severity: Severity::Error,
        service: "all".to_owned(),
        labels: Labels::new(),
        condition: "> 0".to_owned(),
        summary: format!("{file} has mistakes; what was in force before stays in force.\n{problem}"),
        value: Some(problem.problems.len() as f64),
        runbook_url: None,
        breaching_since: at,
        since: at,
        fired_before: 0,
        origin: Origin::Rule {},
        ended: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::rules::problem::Problem;
    use crate::alerting::testing::minute;

    #[test]
    fn a_file_is_noted_when_it_changes_and_told_of_when_it_can_not_be_used() {
        let mut files = Files::default();
        let problem = InvalidRules {
            file: keys::POLICY.to_owned(),
            problems: vec![Problem { place: None, rule: None, message: "unknown field".to_owned(), hint: None }],
        };
        let mut find = |at: i64, body: Option<&str>, is_wrong: bool| {
            let problem = is_wrong.then_some(&problem);
            let body = body.map(str::as_bytes);
            let found = Found { key: keys::POLICY, body, problem, alert: Some(POLICY_INVALID) };
            let (record, episode) = files.find(found, minute(at).start());
            let refused = record.map(|record| match record {
                Record::Configured(Configured { refused, hash, .. }) => (hash.is_some(), refused.is_some()),
                other => panic!("{other:?}"),
            });
            (refused, episode.map(|episode| (episode.rule.clone(), episode.is_firing(), episode.fingerprint)))
        };
        assert_eq!(find(0, None, false), (None, None), "what is built in is no news");
        assert_eq!(find(1, Some("good"), false), (Some((true, false)), None));
        assert_eq!(find(2, Some("good"), false), (None, None));
        let (record, fired) = find(3, Some("bad"), true);
        let (rule, is_firing, fingerprint) = fired.unwrap();
        assert_eq!((record, rule.as_str(), is_firing), (Some((true, true)), POLICY_INVALID, true));
        assert_eq!(find(4, Some("bad"), true), (None, None), "told once");
        assert_eq!(find(5, Some("worse"), true), (Some((true, true)), None), "noted, but it fires already");
        let over = Some((POLICY_INVALID.to_owned(), false, fingerprint));
        assert_eq!(find(6, None, false), (Some((false, false)), over));
        assert_eq!(find(7, None, false), (None, None));
    }

    #[test]
    fn silences_are_noted_when_they_begin_and_when_they_are_over() {
        let mut files = Files::default();
        let silence = |id: &str, at: i64| Silenced {
            at: minute(at).start(),
            id: id.to_owned(),
            what: "service=\"api\"".to_owned(),
            author: "ivanov".to_owned(),
            comment: "LC-17".to_owned(),
            is_over: false,
        };
        let mut note = |at: i64, ids: &[&str]| -> Vec<(String, bool)> {
            let records = files.silences(ids.iter().map(|id| silence(id, at)), minute(at).start());
            let told = records.into_iter().map(|record| match record {
                Record::Silenced(silenced) => (silenced.id, silenced.is_over),
                other => panic!("{other:?}"),
            });
            told.collect()
        };
        assert_eq!(note(0, &["a"]), [("a".to_owned(), false)]);
        assert_eq!(note(1, &["a", "b"]), [("b".to_owned(), false)]);
        assert_eq!(note(2, &["b"]), [("a".to_owned(), true)]);
        assert_eq!(note(3, &["b"]), []);
    }
}
