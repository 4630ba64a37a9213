//! What the evaluator remembers from tick to tick: `state/alert-evaluator.json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::ports::Object;

use super::absence::Heard;
use super::episode::Episode;
use super::evaluation::remember;
use super::event::{Counts, SecurityEvent};
use super::files::Files;
use super::inbox::{Inbox, Incoming};
use super::lifecycle::Phase;
use super::outbox::Outbox;
use super::policy::PolicyState;
use super::rules::Labels;
use super::slo::Budget;

/// The only version of this format.
pub const VERSION: u32 = 2;

/// All of it, in one object, changed by compare-and-swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertState {
    /// Version of this format.
    pub version: u32,
    /// The first minute that was ever evaluated. What was before is not known, so its silence says nothing.
    pub history_from: Minute,
    /// The last minute that was.
    pub evaluated_until: Minute,
    /// Alerts that are not plainly inactive, by fingerprint.
    pub alerts: BTreeMap<String, Alert>,
    /// What rules of kind slo keep for their long windows, by rule.
    pub budgets: BTreeMap<String, Budget>,
    /// What rules of kind absence and heartbeat have heard, by rule.
    pub heard: BTreeMap<String, Heard>,
    /// What rules of kind event have counted.
    pub events: EventCounts,
    /// When alerts fired in the last 30 days, by fingerprint, in ascending order.
    pub past: BTreeMap<String, Vec<Minute>>,
    /// What came in from outside.
    pub inbox: Inbox,
    /// The operators' files, as they were found.
    pub files: Files,
    /// The latest time that a tick stood for: no later one decides as if it were before.
    pub ticked_at: Option<Timestamp>,
    /// What was told of them, and what is held back.
    pub policy: PolicyState,
    /// What is decided but not yet told.
    pub outbox: Outbox,
    /// The last rule file of the operators that passed its checks; `None` while the built-in one holds.
    pub accepted_rules: Option<String>,
    /// The same for the notification policy.
    pub accepted_policy: Option<String>,
    /// The same for silences.
    pub accepted_silences: Option<String>,
}

/// What rules of kind event have counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventCounts {
    /// The last minute that they were evaluated in, which may not have been over.
    pub until: Option<Minute>,
    /// By rule.
    pub counts: BTreeMap<String, Counts>,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Id of its rule.
    pub rule: String,
    /// Labels of its group.
    pub labels: Labels,
    /// Where it stands.
    pub phase: Phase,
    /// Whether that can be relied on.
    pub health: Health,
    /// The value of the last minute.
    pub value: Option<f64>,
    /// What it was when it began to fire; `Some` as long as it fires.
    pub fired: Option<Episode>,
}

/// Whether the last minute could be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It could.
    Ok,
    /// There was no value, and the rule calls that a fault.
    NoData,
    /// The metrics could not be read.
    Error,
}

/// A stored state that can't be used. It is never taken for an empty one: that would forget what
/// fires, and tell it all again.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not JSON, or not of this format.
    #[error("not an alert state")]
    Json(#[from] serde_json::Error),
    /// Written by another version.
    #[error(
        "alert state of version {0}, this is version {VERSION}: nothing is evaluated until it is moved away, see \
         \"Update\" in docs/operating-alerts.md"
    )]
    Version(u32),
}

impl AlertState {
    /// The state before the first tick, which evaluates `first`.
    pub fn starting(first: Minute) -> AlertState {
        AlertState {
            version: VERSION,
            history_from: first,
            evaluated_until: first.plus(-1),
            alerts: BTreeMap::new(),
            budgets: BTreeMap::new(),
            heard: BTreeMap::new(),
            events: EventCounts::default(),
            past: BTreeMap::new(),
            inbox: Inbox::default(),
            files: Files::default(),
            ticked_at: None,
            policy: PolicyState::default(),
            outbox: Outbox::default(),
            accepted_rules: None,
            accepted_policy: None,
            accepted_silences: None,
        }
    }

    /// Whether any minute was evaluated. Until then the state holds only what events have come to.
    pub fn has_evaluated(&self) -> bool {
        self.evaluated_until >= self.history_from
    }

    /// Takes in what has come from outside, at `now` (see [`Inbox::take`]). Alarms that fire know how often they did.
    pub fn take_in(&mut self, incoming: Vec<Incoming>, now: Timestamp) -> (Vec<Episode>, Vec<SecurityEvent>) {
        let (mut episodes, events) = self.inbox.take(incoming, now);
        for episode in episodes.iter_mut().filter(|episode| episode.is_firing()) {
            episode.fired_before = remember(&mut self.past, &episode.fingerprint, episode.since);
        }
        self.inbox.forget(now);
        (episodes, events)
    }

    /// Reads the stored state.
    pub fn parse(body: &[u8]) -> Result<AlertState, StateError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // The version first: another one may have other fields.
        match serde_json::from_slice::<Versioned>(body)?.version {
            VERSION => Ok(serde_json::from_slice(body)?),
            other => Err(StateError::Version(other)),
        }
    }

    /// The object to be written.
    pub fn to_object(&self) -> Object {
        Object::json(keys::ALERT_STATE, self)
    }
}

/// The name of the alert of `rule` for the group `labels`: the same for ever.
pub fn fingerprint(rule: &str, labels: &Labels) -> String {
    let labels = labels.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    keys::fingerprint(std::iter::once(rule.as_bytes()).chain(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::testing::{episode, minute, notification};

    #[test]
    fn a_state_reads_back_as_it_was_written() {
        let mut state = AlertState::starting(minute(0));
        for (number, (phase, health)) in [
            (Phase::Pending { since: minute(1), unseen: 2 }, Health::Ok),
            (Phase::Firing { since: minute(2), fine_since: Some(minute(3)) }, Health::NoData),
            (Phase::Resolved { at: minute(4) }, Health::Ok),
            (Phase::Inactive {}, Health::Error),
        ]
        .into_iter()
        .enumerate()
        {
            let labels = Labels::from([("service".to_owned(), number.to_string())]);
            let fired = phase.is_firing().then(|| episode("high_cpu_usage", 2));
            let alert = Alert { rule: "high_cpu_usage".to_owned(), labels, phase, health, value: Some(81.5), fired };
            state.alerts.insert(fingerprint(&alert.rule, &alert.labels), alert);
        }
        state.outbox.notify(notification("high_cpu_usage", 2));
        state.accepted_rules = Some("version: 1".to_owned());
        assert_eq!(AlertState::parse(&state.to_object().body).unwrap(), state);
    }

    #[test]
    fn a_state_that_can_not_be_read_is_an_error_and_not_an_empty_state() {
        for (body, expected) in [
            ("", "not an alert state"),
            ("{}", "not an alert state"),
            (r#"{"version": 2}"#, "not an alert state"),
            (
                r#"{"version": 1, "old": true}"#,
                "alert state of version 1, this is version 2: nothing is evaluated until",
            ),
            (
                r#"{"version": 3, "new": true}"#,
                "alert state of version 3, this is version 2: nothing is evaluated until",
            ),
        ] {
            let error = AlertState::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{body}: {error}");
        }
        // The step that the error names is there.
        let operating = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating-alerts.md");
        assert!(std::fs::read_to_string(operating).unwrap().contains("\n## Update\n"));
    }

    #[test]
    fn a_fingerprint_is_of_the_rule_and_its_labels() {
        let labels = |service: &str| Labels::from([("service".to_owned(), service.to_owned())]);
        assert_eq!(fingerprint("a", &labels("api")), fingerprint("a", &labels("api")));
        assert_ne!(fingerprint("a", &labels("api")), fingerprint("a", &labels("web")));
        assert_ne!(fingerprint("a", &labels("api")), fingerprint("b", &labels("api")));
        assert_ne!(fingerprint("a", &labels("api")), fingerprint("a", &Labels::new()));
    }
}
