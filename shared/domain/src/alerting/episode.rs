//! One alert from its firing to its end: what the engine decides, and what people are told about.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Minute;

use super::history::{Transition, Turned};
use super::rules::{Labels, Severity};

/// One firing of one alert. Class, severity and service stay what they were when it began, whatever the rule says by
/// now, so that RESOLVED is routed to exactly those whom FIRING was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episode {
    /// Id of the rule; of an alarm of CloudWatch, its name.
    pub rule: String,
    /// Hash of the rule's id and the group's labels: the same alert has the same one for ever.
    pub fingerprint: String,
    /// `business`, `performance`, ...
    pub class: String,
    /// How bad it is.
    pub severity: Severity,
    /// The service concerned, or `all`.
    pub service: String,
    /// Labels of the group that it speaks of.
    pub labels: Labels,
    /// When the rule fires, as text: `> 3`.
    pub condition: String,
    /// The rule's summary, with the value in it.
    pub summary: String,
    /// The value that decided it; `None` where there was none.
    pub value: Option<f64>,
    /// Where to read what to do.
    pub runbook_url: Option<String>,
    /// The minute in which the breach began; before `since` if the rule has a `for`.
    pub breaching_since: Minute,
    /// The minute in which it began to fire.
    pub since: Minute,
    /// How often it had fired in the 30 days before.
    pub fired_before: u32,
    /// Who says so.
    pub origin: Origin,
    /// How it ended; `None` as long as it fires.
    pub ended: Option<Ended>,
}

/// Who says that an alert fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// A rule of ours, on metrics.
    Rule {},
    /// An alarm of CloudWatch.
    Alarm {
        /// Where it is shown.
        url: Option<String>,
        /// When it changed its state: it may do so several times in a minute.
        #[serde(default)]
        changed: Option<Timestamp>,
    },
    /// A rule of ours, on events.
    Event {
        /// How many had come when it fired.
        count: u64,
    },
}

impl Origin {
    /// Whether it is a rule on events.
    pub fn is_event(&self) -> bool {
        matches!(self, Origin::Event { .. })
    }
}

/// How an episode ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// The minute that ended it.
    pub at: Minute,
    /// The value then; `None` where there was none.
    pub value: Option<f64>,
    /// The rule's summary, with that value in it.
    pub summary: String,
    /// Why, where it was not the value that ended it.
    pub reason: Option<String>,
}

impl Episode {
    /// Whether it has not ended.
    pub fn is_firing(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether it is an alarm of CloudWatch. Its name is whatever its owner has called it, also like a rule of ours.
    pub fn is_alarm(&self) -> bool {
        matches!(self.origin, Origin::Alarm { .. })
    }

    /// The same, ended.
    pub fn ended(self, ended: Ended) -> Episode {
        Episode { ended: Some(ended), ..self }
    }

    /// The minute that decided what it is now: that of its end, or of its beginning.
    pub fn at(&self) -> Minute {
        self.ended.as_ref().map_or(self.since, |ended| ended.at)
    }

    /// What the history notes of it: that it fires or, where it has ended, that it is over.
    pub fn transition(&self) -> Transition {
        let (turned, value, summary) = match &self.ended {
            None => (Turned::Firing, self.value, &self.summary),
            Some(ended) => (Turned::Resolved, ended.value, &ended.summary),
        };
        let instant = match self.origin {
            Origin::Alarm { changed, .. } => changed,
            Origin::Rule {} | Origin::Event { .. } => None,
        };
        Transition {
            version: 1,
            at: self.at(),
            instant,
            rule: self.rule.clone(),
            fingerprint: self.fingerprint.clone(),
            class: self.class.clone(),
            severity: self.severity.as_str().to_owned(),
            labels: self.labels.clone(),
            turned,
            value,
            condition: self.condition.clone(),
            summary: summary.clone(),
            since: self.since,
            fired_before: self.fired_before,
        }
    }
}
