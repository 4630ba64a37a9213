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
//! `time` the event time. `detail` holds the ids of a line's context ([`COMMON`]) beside its own fields; one that is
//! null is as good as absent. A field that nobody knows is kept in `details`; where it is called as something that
//! metrics are derived from, or as an id that it can not be, in `details.unread`: nothing is counted that no schema
//! speaks of, and no event is refused for an id that its metrics do not need. Only an `event_id` that can be none is
//! refused where a schema speaks of it, since without it the event might count twice.
//!
//! # Identity
//!
//! An event is a batch of its own, known by owner, source, detail-type and id: whatever message brings it again, the
//! same bytes are written at the same keys, and it counts once. The id is `detail.event_id`, which a publisher sets
//! who may publish an event twice; else EventBridge's own, which is the same only in what EventBridge delivers twice.
//!
//! - The same id means the same event. A second one that says something else replaces the first in the archive, where
//!   it is of the same hour, and is not counted where the first has been: a correction is an event of its own, with an
//!   id of its own.
//! - Metrics are kept by minute and the archive by hour, so whoever publishes an event again gives it the `Time` of
//!   the first (an outbox that keeps the event keeps both): in another minute it counts again, and in another hour it
//!   is archived again.
//! - `detail.event_id` is archived redacted, like any field. What the record's `source` calls the event by is the id
//!   only where it looks like one and nothing personal is found in it, else a fingerprint of it.
//!
//! # Cost
//!
//! An event is two PUTs (a record, its metrics; one object of quarantine instead of the record), and a GET and a
//! DELETE of the flusher; with EventBridge and SQS (it is sent, received and deleted, the latter two in batches).
//! At the prices of us-east-1 a million events come to $10 for the PUTs, $0.40 for the GETs, $1 for EventBridge and
//! about $0.50 for SQS. Lines of a log group share their objects and cost a fraction of that: what happens thousands
//! of times a minute is better logged.

mod fields;
mod line;

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

/// Characters of a source or a detail-type at most.
const MAX_NAME_CHARS: usize = 256;

/// Digits of an account id.
const ACCOUNT_DIGITS: usize = 12;

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
    /// [`LOG_GROUP`] and its source. Like the detail-type and the id it is the publisher's choice, and may hold
    /// personal data.
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
#[derive(Debug, Default)]
struct Envelope<'a> {
    fields: Fields<'a>,
    /// `None` where it is no object.
    detail: Option<Fields<'a>>,
}

impl<'a> Envelope<'a> {
    /// Of JSON that is no object, one without fields.
    fn parse(body: &'a str) -> Envelope<'a> {
        let fields: Fields<'a> = serde_json::from_str(body).unwrap_or_default();
        let detail = fields.get("detail").and_then(|detail| serde_json::from_str(detail.get()).ok());
        Envelope { fields, detail }
    }

    fn json(&self, name: &str) -> Option<&'a str> {
        self.fields.get(name).map(|raw| raw.get())
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        fields::text_of(self.json(name)?).filter(|text| !fields::is_blank(text))
    }

    /// A text that may stand for a log group or a log stream.
    fn name(&self, name: &str) -> Option<Cow<'a, str>> {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
        self.text(name).filter(|text| text.chars().all(fits) && text.chars().count() <= MAX_NAME_CHARS)
    }

    fn account(&self) -> Option<Cow<'a, str>> {
        self.text("account").filter(|text| text.len() == ACCOUNT_DIGITS && text.bytes().all(|b| b.is_ascii_digit()))
    }

    fn time(&self) -> Option<Timestamp> {
        self.text("time")?.parse().ok()
    }

    /// The publisher's own id of it.
    fn event_id(&self) -> Option<Cow<'a, str>> {
        fields::event_id(self.detail.as_ref()?)
    }

    fn problems(&self) -> Vec<Problem> {
        let name = format!("a text of up to {MAX_NAME_CHARS} letters, digits, spaces, `.`, `-` and `_`");
        let account = format!("a text of {ACCOUNT_DIGITS} digits");
        [
            ("id", self.text("id").is_some(), "a text that is not blank"),
            ("source", self.name("source").is_some(), &name),
            ("detail-type", self.name("detail-type").is_some(), &name),
            ("account", self.account().is_some(), &account),
            ("time", self.time().is_some(), "a time as 2026-11-21T10:05:03Z"),
            ("detail", self.detail.is_some(), "an object"),
        ]
        .into_iter()
        .filter(|(_, is_right, _)| !is_right)
        .map(|(name, _, expected)| Problem::of(name, self.json(name), expected))
        .collect()
    }
}

/// Reads the body of a message, which was sent at `sent_millis` (epoch milliseconds). Nothing is refused: what can
/// not be read has a line that says why.
pub fn read(body: &str, sent_millis: i64) -> Event {
    let envelope = match check(body) {
        Ok(()) => Envelope::parse(body),
        Err(error) => return unreadable(body, &Envelope::default(), sent_millis, error),
    };
    match line_of(&envelope) {
        Ok((id, millis, line)) => Event { id, line: Ok(line), ..event(&envelope, millis) },
        Err(error) => unreadable(body, &envelope, sent_millis, error),
    }
}

fn event(envelope: &Envelope<'_>, millis: i64) -> Event {
    let or_unknown = |text: Option<Cow<'_, str>>| text.unwrap_or(Cow::Borrowed(UNKNOWN)).into_owned();
    Event {
        owner: or_unknown(envelope.account()),
        log_group: format!("{LOG_GROUP}{}", or_unknown(envelope.name("source"))),
        log_stream: or_unknown(envelope.name("detail-type")),
        id: String::new(),
        millis,
        line: Ok(String::new()),
    }
}

fn unreadable(body: &str, envelope: &Envelope<'_>, sent_millis: i64, error: EventError) -> Event {
    let millis = envelope.time().map_or(sent_millis, Timestamp::as_millisecond);
    // With the publisher's id, it is known whatever EventBridge calls it.
    let id = match envelope.event_id() {
        Some(_) => {
            let says = ["account", "source", "detail-type", "detail"].map(|name| envelope.json(name).unwrap_or(""));
            keys::fingerprint(says.map(str::as_bytes))
        }
        None => keys::fingerprint([body.as_bytes()]),
    };
    Event { id, line: Err(error), ..event(envelope, millis) }
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
    let (Some(id), Some(_), Some(detail_type), Some(_), Some(time), Some(detail)) = (
        envelope.text("id"),
        envelope.name("source"),
        envelope.name("detail-type"),
        envelope.account(),
        envelope.time(),
        &envelope.detail,
    ) else {
        return Err(EventError::Envelope(envelope.problems()));
    };
    let known = EventType::named(&detail_type);
    if let Some(known) = known {
        let problems = known.problems(detail);
        if !problems.is_empty() {
            return Err(EventError::Detail { detail_type: known.detail_type, problems });
        }
    }
    let id = envelope.event_id().unwrap_or(id).into_owned();
    let resources = envelope.fields.get("resources").filter(|raw| !fields::is_empty_list(raw.get()));
    let line = line::of(known, &detail_type, time, detail, resources.copied());
    check(&line)?;
    Ok((id, time.as_millisecond(), line))
}

#[cfg(test)]
mod tests;
