//! The record of what alerts did: one object a transition, for the daily report and for audits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::ports::Object;

/// What an alert turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turned {
    /// It began to fire.
    Firing,
    /// It is over.
    Resolved,
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
        let turned = match self.turned {
            Turned::Firing => "firing",
            Turned::Resolved => "resolved",
        };
        let time = self.at.to_string().replace(':', "");
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
