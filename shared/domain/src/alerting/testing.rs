//! Builders for the tests of this folder.

use crate::Minute;

use super::history::{Transition, Turned};
use super::notification::Notification;
use super::rules::Labels;
use super::state::fingerprint;

/// Minutes after 2026-11-21T10:00Z.
pub fn minute(offset: i64) -> Minute {
    "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
}

/// FIRING of a rule without labels.
pub fn notification(rule: &str, at: i64) -> Notification {
    let transition = Transition {
        version: 1,
        at: minute(at),
        rule: rule.to_owned(),
        fingerprint: fingerprint(rule, &Labels::new()),
        class: "business".to_owned(),
        severity: "error".to_owned(),
        labels: Labels::new(),
        turned: Turned::Firing,
        value: Some(4.0),
        condition: "> 3".to_owned(),
        summary: "4 failures".to_owned(),
        since: minute(at),
    };
    Notification { transition, breaching_since: minute(at), service: "all".to_owned(), runbook_url: None, reason: None }
}
