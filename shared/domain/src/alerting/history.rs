//! The record of what alerts did and of what was told: for the daily report and for audits.
//!
//! Each record becomes a line of schema v1 (category `audit`), which is kept twice: in the archive, an object a tick and
//! hour, and in a log group of CloudWatch, where people search. Transitions have an object each besides
//! (`alerts/history/`), which the daily report reads.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Minute;
use crate::keys;
use crate::logs::archive::Hours;
use crate::logs::origin::Origin;
use crate::logs::put_events::NewEvent;
use crate::ports::Object;

/// The service that these lines are of.
pub const SERVICE: &str = "alert-evaluator";

use super::notification::{Group, Named, Notification, Reason};

/// One thing that the history notes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// An alert fires, or is over.
    Transition(Transition),
    /// It was decided that something is to be told. That it went out, the evaluator's own log tells, by the same id.
    Notified(Notified),
    /// An alert that would have been told is not.
    Muted(Muted),
    /// A silence began, or is over.
    Silence(SilenceTurned),
    /// One of the operators' files is in force from now on, or is refused, or is gone.
    Configured(Configured),
}

/// What became of one of the operators' files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configured {
    /// The moment that found it so.
    pub at: Timestamp,
    /// Its key in the bucket.
    pub file: String,
    /// Hash of its bytes; `None` where there is none, and what is built in holds.
    pub hash: Option<String>,
    /// What is wrong with it, where it is refused: the last good one stays in force, or what is built in where none
    /// was ever accepted.
    pub refused: Option<String>,
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
    /// Fingerprints of what fires, up to [`MAX_NAMED`](super::notification::MAX_NAMED); of a digest, in all its groups.
    pub firing: Vec<String>,
    /// Fingerprints of what is over, up to as many.
    pub resolved: Vec<String>,
    /// How many more it tells: a line has to fit into a log event.
    #[serde(default)]
    pub beyond: usize,
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
            Record::Transition(transition) => {
                let Transition { at, fingerprint, turned, .. } = transition;
                format!("{at}-{fingerprint}-{}{}", turned.as_str(), transition.which())
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
            Record::Configured(Configured { at, file, hash, .. }) => {
                let hash = hash.as_deref().unwrap_or_default();
                let parts = [file.as_bytes(), hash.as_bytes(), &at.as_millisecond().to_be_bytes()];
                format!("configured-{}", keys::fingerprint(parts))
            }
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Record::Transition(transition) => transition.at.start(),
            Record::Notified(Notified { at, .. })
            | Record::Muted(Muted { at, .. })
            | Record::Silence(SilenceTurned { at, .. })
            | Record::Configured(Configured { at, .. }) => *at,
        }
    }

    /// What happened, in a few words.
    fn message(&self) -> String {
        match self {
            Record::Transition(Transition { rule, turned, .. }) => format!("alert {rule} {}", turned.as_str()),
            Record::Notified(Notified { group, reason, .. }) => format!("to be told of {group}: {}", reason.text()),
            Record::Muted(Muted { rule, by, .. }) => format!("alert {rule} not told: {by}"),
            Record::Silence(SilenceTurned { silence, began: true, .. }) => format!("silence {silence} in force"),
            Record::Silence(SilenceTurned { silence, .. }) => format!("silence {silence} over"),
            Record::Configured(Configured { file, refused: Some(_), .. }) => format!("{file} refused"),
            Record::Configured(Configured { file, hash: Some(_), .. }) => format!("{file} in force"),
            Record::Configured(Configured { file, .. }) => format!("{file} is gone, what is built in is in force"),
        }
    }

    /// The record as a line of schema v1.
    pub fn line(&self, environment: &str) -> String {
        let (id, at) = (self.id(), format!("{:.3}", self.at()));
        let line = json!({
            "timestamp": at,
            "level": "INFO",
            "category": "audit",
            "message": self.message(),
            "context": { "service_name": SERVICE, "environment": environment },
            "details": self,
            "source": {
                "owner": "", "log_group": "", "log_stream": SERVICE, "format": "schema_v1",
                "event_id": id, "event_time": at,
            },
        });
        line.to_string()
    }
}

/// Records that were decided together, and are written together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Batch(Vec<Record>);

/// How many records a batch holds at most.
pub const MAX_BATCH: usize = 1_000;

impl Batch {
    /// Batches of `records`, in their order.
    pub fn of(records: Vec<Record>) -> Vec<Batch> {
        records.chunks(MAX_BATCH).map(|chunk| Batch(chunk.to_vec())).collect()
    }

    /// What it holds.
    pub fn records(&self) -> &[Record] {
        &self.0
    }

    /// A name of its own, which depends on the records alone.
    pub fn id(&self) -> String {
        let ids: Vec<String> = self.0.iter().map(Record::id).collect();
        keys::fingerprint(ids.iter().map(String::as_bytes))
    }

    /// The objects of the archive with its lines, one an hour. Written again, they are the same.
    pub fn archived(&self, environment: &str) -> Vec<Object> {
        let mut hours = Hours::default();
        for record in &self.0 {
            let lines = hours.lines_of(Minute::of(record.at()));
            lines.extend_from_slice(record.line(environment).as_bytes());
            lines.push(b'\n');
        }
        let (environment, service) = (environment.to_owned(), SERVICE.to_owned());
        hours.finish(&Origin { environment, service, is_database: false }, &self.id())
    }

    /// The objects of its transitions, which the daily report reads.
    pub fn transitions(&self) -> impl Iterator<Item = Object> {
        self.0.iter().filter_map(|record| match record {
            Record::Transition(transition) => Some(transition.to_object()),
            Record::Notified(_) | Record::Muted(_) | Record::Silence(_) | Record::Configured(_) => None,
        })
    }

    /// Its lines for CloudWatch, put at `now`: CloudWatch refuses what is too old, and a record may be of long ago. What
    /// is put twice is told apart by `source.event_id`.
    pub fn logged(&self, environment: &str, now: Timestamp) -> Vec<NewEvent> {
        let event =
            |record: &Record| NewEvent { timestamp_millis: now.as_millisecond(), message: record.line(environment) };
        self.0.iter().map(event).collect()
    }
}

/// The stream of the log group that lines put at `now` go to: one a day.
pub fn log_stream(now: Timestamp) -> String {
    Minute::of(now).day()
}

impl Notified {
    /// What the history notes of `notification`.
    pub fn of(notification: &Notification) -> Notified {
        let Notification { id, at, group, reason, digest, .. } = notification;
        let alerts = digest.as_ref().map_or_else(|| Named::of([notification]), |digest| digest.alerts.clone());
        let Named { firing, resolved, beyond } = alerts;
        Notified { id: id.clone(), at: *at, group: group.clone(), reason: *reason, firing, resolved, beyond }
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
    /// When exactly it was, of what may turn several times in a minute: alarms of CloudWatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant: Option<Timestamp>,
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
    /// How often it had fired in the 30 days before.
    #[serde(default)]
    pub fired_before: u32,
}

impl Transition {
    /// The object to be written; a transition decided twice is written to the same key.
    pub fn to_object(&self) -> Object {
        let (time, turned) = (self.at.to_string().replace(':', ""), self.turned.as_str());
        let (day, which) = (history_day(&self.at.day()), self.which());
        Object::json(format!("{day}{time}-{}-{turned}{which}.json", self.fingerprint), self)
    }

    /// Which of those of its minute it is: the alert about a file may fire and end with each tick, of which there are
    /// several in a minute, and at one moment.
    fn which(&self) -> String {
        self.instant.map_or_else(|| format!("-{}", self.fired_before), |at| format!("-{}", at.as_millisecond()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::episode::Ended;
    use crate::alerting::notification::MAX_NAMED;
    use crate::alerting::testing::{episode, minute, notification};
    use crate::logs::archive;
    use serde_json::Value;

    fn records() -> Vec<Record> {
        let fired = episode("a", 59);
        let ended = Ended { at: minute(61), value: None, summary: "over".to_owned(), reason: None };
        let at = minute(60).start();
        let configured = |hash: Option<&str>, refused: Option<&str>| {
            let (file, hash) = (keys::RULES.to_owned(), hash.map(str::to_owned));
            Record::Configured(Configured { at, file, hash, refused: refused.map(str::to_owned) })
        };
        vec![
            Record::Transition(fired.transition()),
            Record::Notified(Notified::of(&notification("a", 59))),
            Record::Muted(Muted {
                at,
                rule: "a".to_owned(),
                fingerprint: fired.fingerprint.clone(),
                by: "silence 1".to_owned(),
            }),
            configured(Some("h"), None),
            configured(Some("x"), Some("9:9: unknown comparison")),
            configured(None, None),
            Record::Transition(fired.ended(ended).transition()),
        ]
    }

    #[test]
    fn each_record_is_a_line_of_schema_v1_in_the_archive_once_and_at_the_same_place_again() {
        let [batch] = &Batch::of(records())[..] else { panic!("one batch") };
        let objects = batch.archived("production");
        let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
        let id = batch.id();
        assert_eq!(
            keys,
            [10, 11].map(|hour| {
                format!("archive/env=production/service=alert-evaluator/dt=2026-11-21/hour={hour}/{id}.ndjson.zst")
            })
        );
        assert_eq!(objects, batch.archived("production"));
        let lines: Vec<String> = objects.iter().flat_map(|object| archive::lines(&object.body).unwrap()).collect();
        let mut ids = std::collections::BTreeSet::new();
        let mut messages = Vec::new();
        for line in &lines {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&line["category"], &line["context"]["environment"]), (&json!("audit"), &json!("production")));
            let record: Record = serde_json::from_value(line["details"].clone()).unwrap();
            assert_eq!(line["source"]["event_id"], record.id());
            ids.insert(record.id());
            messages.push(line["message"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids.len(), 7);
        messages.sort();
        assert_eq!(
            messages,
            [
                "alert a firing",
                "alert a not told: silence 1",
                "alert a resolved",
                "config/rules.yaml in force",
                "config/rules.yaml is gone, what is built in is in force",
                "config/rules.yaml refused",
                "to be told of error/business/a: it began to fire",
            ]
        );
    }

    #[test]
    fn a_line_for_cloudwatch_has_the_time_at_which_it_is_put_and_that_of_the_record() {
        let batch = &Batch::of(records())[0];
        let now = minute(20_000).start();
        let logged = batch.logged("production", now);
        assert_eq!(logged.len(), 7);
        assert!(logged.iter().all(|event| event.timestamp_millis == now.as_millisecond()));
        assert!(logged[0].message.contains(r#""timestamp":"2026-11-21T10:59:00.000Z""#), "{}", logged[0].message);
        assert_eq!(log_stream(now), now.to_string()[..10]);
    }

    #[test]
    fn no_line_is_too_long_for_the_log() {
        let mut notification = notification("a", 0);
        notification.firing = (0..20_000).map(|number| episode(&format!("rule_{number}"), 0)).collect();
        let notified = Notified::of(&notification);
        assert_eq!((notified.firing.len(), notified.beyond), (MAX_NAMED, 20_000 - MAX_NAMED));
        let line = Record::Notified(notified).line("production");
        assert!(line.len() < 256 * 1024, "{}", line.len());
    }

    #[test]
    fn many_records_are_batches_and_none_is_none() {
        let many: Vec<Record> = std::iter::repeat_n(records(), 300).flatten().collect();
        let batches = Batch::of(many.clone());
        assert_eq!(batches.iter().map(|batch| batch.records().len()).collect::<Vec<_>>(), [1_000, 1_000, 100]);
        assert_eq!(batches.iter().flat_map(Batch::records).cloned().collect::<Vec<_>>(), many);
        assert!(Batch::of(Vec::new()).is_empty());
        assert_eq!(batches[0].transitions().count(), 285);
    }
}
