//! The record of what alerts did and of what was told: for the daily report and for audits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::ports::Object;

use super::notification::{Group, Notification, Reason};

/// One thing that the history notes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// An alert fires, or is over.
    Transition(Transition),
    /// It was decided that something is to be told.
    Notified(Notified),
    /// An alert that would have been told is not.
    Muted(Muted),
    /// A silence began, or is over.
    Silence(SilenceTurned),
}

/// A notification, for the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notified {
    /// Id of the notification.
    pub id: String,
    /// The moment that decided it.
    pub at: Timestamp,
    /// Whom it concerns.
    pub group: Group,
    /// Why it is sent.
    pub reason: Reason,
    /// Fingerprints of what fires.
    pub firing: Vec<String>,
    /// Fingerprints of what is over.
    pub resolved: Vec<String>,
}

/// An alert that is not told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Muted {
    /// The moment that decided it.
    pub at: Timestamp,
    /// Id of the rule.
    pub rule: String,
    /// The alert.
    pub fingerprint: String,
    /// What keeps it from being told: `silence 42`, `calendar nightly-maintenance`, `inhibited by ...`.
    pub by: String,
}

/// A silence that began or is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceTurned {
    /// The moment that noticed it.
    pub at: Timestamp,
    /// Id of the silence.
    pub silence: String,
    /// Whether it is in force from now on, or no longer.
    pub began: bool,
    /// What it matches, as people write it.
    pub matchers: String,
    /// Who wanted it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// When it is to end; of one that is over, when it was to.
    pub ends: Timestamp,
}

impl Record {
    /// A name of its own: the same record, made again, has the same one.
    pub fn id(&self) -> String {
        match self {
            Record::Transition(Transition { at, fingerprint, turned, .. }) => {
                format!("{at}-{fingerprint}-{}", turned.as_str())
            }
            Record::Notified(notified) => format!("notified-{}", notified.id),
            Record::Muted(Muted { at, fingerprint, by, .. }) => {
                let parts = [fingerprint.as_bytes(), by.as_bytes(), &at.as_millisecond().to_be_bytes()];
                format!("muted-{}", keys::fingerprint(parts))
            }
            Record::Silence(SilenceTurned { at, silence, began, .. }) => {
                let parts = [silence.as_bytes(), &[u8::from(*began)], &at.as_millisecond().to_be_bytes()];
                format!("silence-{}", keys::fingerprint(parts))
            }
        }
    }
}

impl Notified {
    /// What the history notes of `notification`.
    pub fn of(notification: &Notification) -> Notified {
        let fingerprints = |episodes: &[super::episode::Episode]| -> Vec<String> {
            episodes.iter().map(|episode| episode.fingerprint.clone()).collect()
        };
        Notified {
            id: notification.id.clone(),
            at: notification.at,
            group: notification.group.clone(),
            reason: notification.reason,
            firing: fingerprints(&notification.firing),
            resolved: fingerprints(&notification.resolved),
        }
    }
}

/// What an alert turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turned {
    /// It began to fire.
    Firing,
    /// It is over.
    Resolved,
}

impl Turned {
    /// Its name in keys and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Turned::Firing => "firing",
            Turned::Resolved => "resolved",
        }
    }
}

/// One transition of one alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// Version of this format, 1.
    pub version: u32,
    /// The minute that decided it.
    pub at: Minute,
    /// Id of the rule.
    pub rule: String,
    /// Hash of the rule's id and the group's labels: the same alert has the same one for ever.
    pub fingerprint: String,
    /// `business`, `performance`, ...
    pub class: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// Labels of the group that it speaks of.
    pub labels: BTreeMap<String, String>,
    /// What it turned into.
    pub turned: Turned,
    /// The value that decided it; `None` where there was none.
    pub value: Option<f64>,
    /// The rule's condition, as text: `> 3`.
    pub condition: String,
    /// The rule's summary, with the value in it.
    pub summary: String,
    /// Since when it had been firing (equal to `at` when it begins).
    pub since: Minute,
}

impl Transition {
    /// The object to be written; a transition decided twice is written to the same key.
    pub fn to_object(&self) -> Object {
        let (time, turned) = (self.at.to_string().replace(':', ""), self.turned.as_str());
        let key = format!("{}{time}-{}-{turned}.json", history_day(&self.at.day()), self.fingerprint);
        Object::json(key, self)
    }

    /// Reads such an object back.
    pub fn parse(body: &[u8]) -> Result<Transition, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

/// Folder of the transitions of one UTC day.
pub fn history_day(day: &str) -> String {
    format!("{}dt={day}/", keys::ALERT_HISTORY)
}
