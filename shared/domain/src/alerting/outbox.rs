//! Notifications that are decided but not yet told.
//!
//! They are committed together with the state that decided them, before anything is sent, and taken out
//! after. Whoever sends claims them in that commit, so that a second evaluator that comes meanwhile
//! leaves them alone; a claim ends by itself, so that a crash only delays.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::notification::Notification;

/// How long a claim holds, from the time that a tick stands for. Its function is surely over by then: the
/// schedule hands a tick over at most 60 s late, Lambda starts it at most 60 s later, and it may run for 50 s.
pub const CLAIM: SignedDuration = SignedDuration::from_secs(180);

/// How many one tick sends. What is beyond waits for the next one: a function that ran out of time in the
/// middle would not have noted what it had sent.
pub const MAX_CLAIMED: usize = 200;

/// Notifications in the order in which they were decided.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outbox(Vec<Outgoing>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outgoing {
    /// What to tell.
    pub notification: Notification,
    /// Whether it stands in the history.
    pub recorded: bool,
    /// Whether it was published.
    pub published: bool,
    /// Until then its sender may be at work.
    pub claimed_until: Option<Timestamp>,
}

impl Outbox {
    /// Adds what was decided.
    pub fn push(&mut self, notification: Notification) {
        self.0.push(Outgoing { notification, recorded: false, published: false, claimed_until: None });
    }

    /// Claims what nobody else is sending, up to [`MAX_CLAIMED`], and answers it. What concerns an alert of
    /// which an earlier notification is being sent stays: RESOLVED must not overtake FIRING.
    pub fn claim(&mut self, now: Timestamp) -> Vec<Outgoing> {
        let mut in_flight = BTreeSet::new();
        let mut claimed = Vec::new();
        for outgoing in &mut self.0 {
            let fingerprint = outgoing.notification.transition.fingerprint.clone();
            let others = outgoing.claimed_until.is_some_and(|until| until > now);
            if others || in_flight.contains(&fingerprint) || claimed.len() == MAX_CLAIMED {
                in_flight.insert(fingerprint);
                continue;
            }
            // A moment that no calendar can show can't be waited for.
            outgoing.claimed_until = now.checked_add(CLAIM).ok();
            claimed.push(outgoing.clone());
        }
        claimed
    }

    /// Notes what became of claimed ones. Those that are recorded and published leave; the others can be
    /// claimed again at once.
    pub fn settle(&mut self, tried: &[Outgoing]) {
        for outcome in tried {
            let id = outcome.notification.id();
            if let Some(held) = self.0.iter_mut().find(|held| held.notification.id() == id) {
                held.recorded |= outcome.recorded;
                held.published |= outcome.published;
                held.claimed_until = None;
            }
        }
        self.0.retain(|held| !(held.recorded && held.published));
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::testing::notification;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    fn ids(outgoing: &[Outgoing]) -> Vec<String> {
        outgoing.iter().map(|one| one.notification.transition.rule.clone()).collect()
    }

    fn outbox(rules: &[&str]) -> Outbox {
        let mut outbox = Outbox::default();
        for (minute, rule) in rules.iter().enumerate() {
            outbox.push(notification(rule, minute as i64));
        }
        outbox
    }

    #[test]
    fn what_one_evaluator_sends_another_leaves_alone_until_the_claim_ends() {
        let mut outbox = outbox(&["a", "b"]);
        assert_eq!(ids(&outbox.claim(at("10:00:00"))), ["a", "b"]);
        assert!(outbox.claim(at("10:00:00")).is_empty());
        assert!(outbox.claim(at("10:02:59")).is_empty());
        assert_eq!(ids(&outbox.claim(at("10:03:00"))), ["a", "b"], "after a crash");
    }

    #[test]
    fn what_is_done_leaves_and_what_failed_may_be_tried_at_once() {
        // Defect 17: a failed send was swallowed.
        let mut outbox = outbox(&["a", "b", "c"]);
        let mut tried = outbox.claim(at("10:00:00"));
        (tried[0].recorded, tried[0].published) = (true, true);
        tried[1].recorded = true;
        tried[2].published = true;
        outbox.settle(&tried);
        let again = outbox.claim(at("10:00:01"));
        assert_eq!(ids(&again), ["b", "c"]);
        assert!(again[0].recorded && !again[0].published);
        assert!(!again[1].recorded && again[1].published);
    }

    #[test]
    fn a_storm_is_sent_over_several_ticks_in_order() {
        let names: Vec<String> = (0..MAX_CLAIMED + 1).map(|number| format!("rule_{number}")).collect();
        let mut outbox = outbox(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ids(&outbox.claim(at("10:00:00"))), names[..MAX_CLAIMED]);
        assert_eq!(ids(&outbox.claim(at("10:01:00"))), names[MAX_CLAIMED..]);
    }

    #[test]
    fn a_later_notification_of_the_same_alert_does_not_overtake() {
        let mut outbox = outbox(&["a"]);
        outbox.claim(at("10:00:00"));
        outbox.push(notification("a", 5));
        outbox.push(notification("b", 5));
        assert_eq!(ids(&outbox.claim(at("10:01:00"))), ["b"]);
    }
}
