//! Builders for the tests of this folder.

use crate::Minute;

use super::episode::{Episode, Origin};
use super::notification::{Group, Notification, Reason};
use super::rules::{Labels, Severity};
use super::state::fingerprint;

/// Minutes after 2026-11-21T10:00Z.
pub fn minute(offset: i64) -> Minute {
    "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
}

/// One that fires, of a rule without labels.
pub fn episode(rule: &str, at: i64) -> Episode {
    Episode {
        rule: rule.to_owned(),
        fingerprint: fingerprint(rule, &Labels::new()),
        class: "business".to_owned(),
        severity: Severity::Error,
        service: "all".to_owned(),
        labels: Labels::new(),
        condition: "> 3".to_owned(),
        summary: "4 failures".to_owned(),
        value: Some(4.0),
        runbook_url: None,
        breaching_since: minute(at),
        since: minute(at),
        fired_before: 0,
        origin: Origin::Rule {},
        ended: None,
    }
}

/// FIRING of the rule, in a group of its own that is called like it.
pub fn notification(rule: &str, at: i64) -> Notification {
    let episode = Episode { service: rule.to_owned(), ..episode(rule, at) };
    let (group, at) = (Group::of(&episode), minute(at).start());
    let id = Notification::id_of(&group, at);
    Notification { id, at, reason: Reason::First, group, firing: vec![episode], resolved: Vec::new(), digest: None }
}
