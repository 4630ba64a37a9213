//! What people are to be told: a transition, with what is needed to word and route it.

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::alerting::history::{Transition, Turned};

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// What happened.
    pub transition: Transition,
    /// The minute in which the breach began; before `transition.since` if the rule has a `for`.
    pub breaching_since: Minute,
    /// The service concerned, or `all`.
    pub service: String,
    /// Where to read what to do.
    pub runbook_url: Option<String>,
    /// Why it ended, where it was not the value that ended it.
    pub reason: Option<String>,
}

impl Notification {
    /// A name of its own: the same transition, decided twice, has the same one.
    pub fn id(&self) -> String {
        let Transition { at, fingerprint, turned, .. } = &self.transition;
        let turned = match turned {
            Turned::Firing => "firing",
            Turned::Resolved => "resolved",
        };
        format!("{at}-{fingerprint}-{turned}")
    }

    /// The end of what this one began. Class, severity and service stay what they were, whatever the rule
    /// says by now, so that RESOLVED is routed to exactly those whom FIRING was.
    pub fn resolved(&self, at: Minute, value: Option<f64>, summary: String, reason: Option<String>) -> Notification {
        let transition = Transition { at, turned: Turned::Resolved, value, summary, ..self.transition.clone() };
        Notification { transition, reason, ..self.clone() }
    }
}
