//! Business events that services publish with EventBridge's `PutEvents`: from a message of the queue to a line of
//! schema v1, which goes through the stages of any log line.
//!
//! | detail-type | line: `details.event`, level | fields of `detail` that metrics are derived from |
//! |---|---|---|
//! | `UserRegistered` | `user_registered`, INFO | `user_role` |
//! | `ContractCreated` | `contract_created`, INFO | `user_role`, `contract_value` |
//! | `ContractSigned` | `contract_signed`, INFO | `user_role`, `signing_duration_ms` |
//! | `ContractCreationFailed` | `contract_creation_failed`, ERROR | `reason` |
//! | `DocumentUploaded` | `document_uploaded`, INFO | `document_type`, `file_size_mb` |
//! | any other | none, INFO | none: it is archived and counted as a line, without a deployment |
//!
//! The `shared/schema/events/*.schema.json` say the same for publishers; a test has both judge the same events. Of the
//! envelope, `source` (`land-contracts.contract`) names the service by its last part, `account` is the owner, and
//! `time` the event time. `detail` holds the ids of a line's context beside its own fields. A field that nobody knows
//! is kept in `details`; where it is called as something that metrics are derived from, in `details.unread`, so that
//! nothing is counted that no schema speaks of.
//!
//! # Identity
//!
//! An event is a batch of its own, known by owner, source, detail-type and id: whatever message brings it again, the
//! same bytes are written at the same keys, and it counts once. The id is `detail.event_id`, which a publisher sets
//! who may publish an event twice; else EventBridge's own, which is the same only in what EventBridge delivers twice.
//! Metrics are kept by minute, so whoever publishes an event again gives it the `Time` of the first (an outbox that
//! keeps the event keeps both).

mod fields;
mod line;

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::keys;
use crate::logs::json::{NotJson, Reader};
use crate::logs::quarantine::MAX_LINE_BYTES;
pub use fields::{COMMON, EventType, Field, FieldKind, Problem, TYPES};

/// What the name of a log group begins with that is none: `events:<source>`. CloudWatch allows no colon there.
pub const LOG_GROUP: &str = "events:";

/// Stands for a name that the message does not tell.
const UNKNOWN: &str = "unknown";

/// Fields of an event by name, in one order whatever order its publisher writes them in. Of a name that comes twice
/// the last one counts, as for most readers of JSON.
type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// A message of the queue: where it belongs, and the line that it is archived as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Account id of its publisher.
    pub owner: String,
    /// [`LOG_GROUP`] and its source.
    pub log_group: String,
    /// Its detail-type.
    pub log_stream: String,
    /// What it is known by. Of one that can not be read, a fingerprint of what it says: it is not to be taken for the
    /// event that it fails to be, which may still come.
    pub id: String,
    /// Event time in epoch milliseconds; where it tells none, when the message was sent.
    pub millis: i64,
    /// The line, or why it can not be read.
    pub line: Result<String, EventError>,
}

/// Why a message is not read as an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Over [`MAX_LINE_BYTES`].
    #[error("the event has {bytes} bytes, at most {MAX_LINE_BYTES} are taken")]
    Oversize {
        /// How long it is.
        bytes: usize,
    },
    /// No JSON.
    #[error("the message is {0}")]
    Json(NotJson),
    /// JSON of something else than an event.
    #[error("the message is not an event of EventBridge: {}", list(.0))]
    Envelope(Vec<Problem>),
    /// An event that is not what its type has to be.
    #[error("not a {detail_type} event: {}", list(.problems))]
    Detail {
        /// Its type.
        detail_type: &'static str,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl EventError {
    /// Name of its folder under `quarantine/`.
    pub fn reason(&self) -> &'static str {
        match self {
            EventError::Oversize { .. } => "oversize",
            EventError::Json(_) => "event-json",
            EventError::Envelope(_) => "event-envelope",
            EventError::Detail { .. } => "event-schema",
        }
    }
}

/// What EventBridge puts around the publisher's `detail`. Its `version`, `id` and `region`, and `replay-name` of an
/// EventBridge archive, are not archived: they tell of the delivery, and may differ from one to the next.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Envelope<'a>(#[serde(borrow)] Fields<'a>);

impl<'a> Envelope<'a> {
    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        fields::text_of(self.0.get(name)?.get()).filter(|text| !text.trim().is_empty())
    }

    fn time(&self) -> Option<Timestamp> {
        self.text("time")?.parse().ok()
    }

    fn detail(&self) -> Option<Fields<'a>> {
        serde_json::from_str(self.0.get("detail")?.get()).ok()
    }

    /// The publisher's own id of it.
    fn event_id(&self) -> Option<String> {
        let detail = self.detail()?;
        let id = fields::text_of(detail.get(fields::EVENT_ID)?.get())?;
        Some(id.into_owned()).filter(|id| !id.trim().is_empty())
    }

    fn problems(&self) -> Vec<Problem> {
        let texts = ["id", "source", "detail-type", "account"].into_iter();
        let mut problems: Vec<Problem> = texts
            .filter(|name| self.text(name).is_none())
            .map(|name| Problem::of(name, self.0.get(name).map(|raw| raw.get()), "a text that is not blank"))
            .collect();
        let mut expect = |is_there: bool, name: &str, expected: &str| {
            if !is_there {
                problems.push(Problem::of(name, self.0.get(name).map(|raw| raw.get()), expected));
            }
        };
        expect(self.time().is_some(), "time", "a time as 2026-11-21T10:05:03Z");
        expect(self.detail().is_some(), "detail", "an object");
        problems
    }
}

/// Reads the body of a message, which was sent at `sent_millis` (epoch milliseconds). Nothing is refused: what can
/// not be read has a line that says why.
pub fn read(body: &str, sent_millis: i64) -> Event {
    let envelope = match check(body) {
        Ok(()) => serde_json::from_str::<Envelope<'_>>(body).unwrap_or_default(),
        Err(error) => return unreadable(body, &Envelope::default(), sent_millis, error),
    };
    match line_of(&envelope) {
        Ok((id, millis, line)) => Event { id, line: Ok(line), ..event(&envelope, millis) },
        Err(error) => unreadable(body, &envelope, sent_millis, error),
    }
}

fn event(envelope: &Envelope<'_>, millis: i64) -> Event {
    let text = |name| envelope.text(name).unwrap_or(Cow::Borrowed(UNKNOWN)).into_owned();
    Event {
        owner: text("account"),
        log_group: format!("{LOG_GROUP}{}", text("source")),
        log_stream: text("detail-type"),
        id: String::new(),
        millis,
        line: Ok(String::new()),
    }
}

fn unreadable(body: &str, envelope: &Envelope<'_>, sent_millis: i64, error: EventError) -> Event {
    let millis = envelope.time().map_or(sent_millis, Timestamp::as_millisecond);
    // With the publisher's id, it is known whatever EventBridge calls it.
    let says = match (envelope.event_id(), envelope.0.get("detail")) {
        (Some(_), Some(detail)) => detail.get(),
        _ => body,
    };
    Event { id: keys::fingerprint([says.as_bytes()]), line: Err(error), ..event(envelope, millis) }
}

/// Whether `text` is JSON that every stage can read, and not too much of it.
fn check(text: &str) -> Result<(), EventError> {
    if text.len() > MAX_LINE_BYTES {
        return Err(EventError::Oversize { bytes: text.len() });
    }
    let mut reader = Reader::new(text.as_bytes());
    reader.value().and_then(|_| reader.end()).map_err(EventError::Json)
}

/// Id, event time and line of the event.
fn line_of(envelope: &Envelope<'_>) -> Result<(String, i64, String), EventError> {
    let problems = || EventError::Envelope(envelope.problems());
    let (Some(id), Some(_), Some(detail_type), Some(_), Some(time), Some(detail)) = (
        envelope.text("id"),
        envelope.text("source"),
        envelope.text("detail-type"),
        envelope.text("account"),
        envelope.time(),
        envelope.detail(),
    ) else {
        return Err(problems());
    };
    let known = EventType::named(&detail_type);
    if let Some(known) = known {
        let problems = known.problems(&detail);
        if !problems.is_empty() {
            return Err(EventError::Detail { detail_type: known.detail_type, problems });
        }
    }
    let id = envelope.event_id().unwrap_or_else(|| id.into_owned());
    let resources = envelope.0.get("resources").filter(|raw| !fields::is_empty_list(raw.get()));
    let line = line::of(known, &detail_type, time, &detail, resources.copied());
    check(&line)?;
    Ok((id, time.as_millisecond(), line))
}

#[cfg(test)]
mod tests;
