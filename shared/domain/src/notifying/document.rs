//! The alert as programs get it: the JSON body for Lambda, SQS and HTTPS subscribers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::alerting::condition::display_value;
use crate::alerting::episode::Episode;
use crate::alerting::history::{Transition, Turned};

use super::wording::{clip, span};

/// The only version of this format. Fields may be added to it; readers skip those they don't know.
pub const VERSION: u32 = 1;

/// One thing to tell about one alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertDocument {
    /// Version of this format.
    pub version: u32,
    /// The same transition, told again, has the same id.
    pub id: String,
    /// What happened.
    pub status: Turned,
    /// Id of the rule.
    pub rule: String,
    /// `business`, `performance`, ...
    pub class: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// The service concerned, or `all`.
    pub service: String,
    /// The environment, `production` say.
    pub environment: String,
    /// Labels of the group that it speaks of.
    pub labels: BTreeMap<String, String>,
    /// The rule's summary, with the value in it.
    pub summary: String,
    /// The value that decided it; `None` where there was none.
    pub value: Option<f64>,
    /// When the rule fires: `> 3`.
    pub condition: String,
    /// The minute in which the breach began.
    pub breaching_since: Minute,
    /// The minute in which it began to fire.
    pub since: Minute,
    /// The minute that decided what happened.
    pub at: Minute,
    /// Where to read what to do.
    pub runbook_url: Option<String>,
    /// Why it ended, where it was not the value that ended it.
    pub reason: Option<String>,
    /// The same alert has the same one for ever.
    pub fingerprint: String,
}

/// A text that is not an alert document of this version.
#[derive(Debug, thiserror::Error)]
pub enum NotADocument {
    /// Not JSON, or not of this format.
    #[error("not an alert document")]
    Json(#[from] serde_json::Error),
    /// Of another version.
    #[error("alert document of version {0}, this is version {VERSION}")]
    Version(u32),
}

impl AlertDocument {
    /// The document of one alert, with its texts cut to `max_text` bytes each.
    pub fn new(episode: &Episode, environment: &str, max_text: usize) -> AlertDocument {
        let Transition {
            at, rule, fingerprint, class, severity, labels, turned, value, condition, summary, since, ..
        } = episode.transition();
        let cut = |text: &str| clip(text, max_text);
        AlertDocument {
            version: VERSION,
            id: format!("{at}-{fingerprint}-{}", turned.as_str()),
            status: turned,
            rule,
            class,
            severity,
            service: cut(&episode.service),
            environment: environment.to_owned(),
            labels: labels.iter().map(|(name, value)| (cut(name), cut(value))).collect(),
            summary: cut(&summary),
            value,
            condition,
            breaching_since: episode.breaching_since,
            since,
            at,
            // Half a link leads nowhere.
            runbook_url: episode.runbook_url.clone().filter(|url| url.len() <= max_text),
            reason: episode.ended.as_ref().and_then(|ended| ended.reason.as_deref()).map(cut),
            fingerprint,
        }
    }

    /// Reads a document back.
    pub fn parse(text: &str) -> Result<AlertDocument, NotADocument> {
        let document: AlertDocument = serde_json::from_str(text)?;
        if document.version == VERSION { Ok(document) } else { Err(NotADocument::Version(document.version)) }
    }

    /// `FIRING` or `RESOLVED`.
    pub fn status_word(&self) -> &'static str {
        match self.status {
            Turned::Firing => "FIRING",
            Turned::Resolved => "RESOLVED",
        }
    }

    /// The group in a few words: `contract`, or nothing for a rule without groups.
    pub fn group(&self) -> Option<String> {
        let values: Vec<&str> = self.labels.values().map(String::as_str).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The value against the threshold: `4 (fires when > 3)`.
    pub fn value_text(&self) -> String {
        let value = self.value.map_or_else(|| "no data".to_owned(), display_value);
        format!("{value} (fires when {})", self.condition)
    }

    /// How long it fired: `27 min`; `None` while it does.
    pub fn fired_for(&self) -> Option<String> {
        (self.status == Turned::Resolved).then(|| span(self.at.since(self.since)))
    }
}
