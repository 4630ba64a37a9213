//! What could not be read, kept with its reason and its original bytes, so that it can be replayed
//! once it can be read. Quarantined text is *not* redacted: it could not be, so the folder is for few eyes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::events::EventError;
use crate::keys;
use crate::logs::envelope::{Batch, EnvelopeError, LogEvent};
use crate::ports::Object;

/// Bytes a line may have. CloudWatch Logs took no longer ones for years, and what is longer is a dump,
/// not a line.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// `quarantine/<reason>/dt=<day>/<id>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Version of this format, 1.
    pub version: u32,
    /// The folder's name.
    pub reason: String,
    /// What is kept.
    pub items: Vec<Item>,
}

/// What is wrong, with all its causes, as an item says it.
pub fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl Quarantined {
    /// Things that came without an origin in a log stream, each with what is wrong with it.
    pub fn kept(reason: &str, things: Vec<(String, Vec<u8>)>) -> Quarantined {
        let item =
            |(error, original): (String, Vec<u8>)| Item { error, origin: None, original: Original::of(&original) };
        Quarantined { version: 1, reason: reason.to_owned(), items: things.into_iter().map(item).collect() }
    }

    /// The object to be written.
    pub fn to_object(&self, day: &str, id: &str) -> Object {
        Object::json(keys::quarantine(&self.reason, Some(day), id), self)
    }
}

/// One thing that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What is wrong, and where.
    pub error: String,
    /// Where it came from; `None` for a whole delivery, which could not be opened, and for spans.
    pub origin: Option<LineOrigin>,
    /// The original.
    pub original: Original,
}

/// Where a quarantined line came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineOrigin {
    /// Account id.
    pub owner: String,
    /// Log group.
    pub log_group: String,
    /// Log stream.
    pub log_stream: String,
    /// CloudWatch's id of the log event.
    pub event_id: String,
    /// Event time in epoch milliseconds.
    pub timestamp_millis: i64,
}

/// The original bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Original {
    /// Valid UTF-8.
    Text(String),
    /// Anything else, in base64.
    Base64(String),
}

impl Original {
    /// The bytes again.
    ///
    /// # Errors
    ///
    /// Where somebody has changed the base64.
    pub fn bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        match self {
            Original::Text(text) => Ok(text.clone().into_bytes()),
            Original::Base64(encoded) => STANDARD.decode(encoded),
        }
    }

    fn of(bytes: &[u8]) -> Original {
        match std::str::from_utf8(bytes) {
            Ok(text) => Original::Text(text.to_owned()),
            Err(_) => Original::Base64(STANDARD.encode(bytes)),
        }
    }
}

/// Why a line is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Over [`MAX_LINE_BYTES`].
    #[error("line of log event {event_id} has {bytes} bytes, at most {MAX_LINE_BYTES} are taken")]
    Oversize {
        /// The log event.
        event_id: String,
        /// How long it is.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("line of log event {event_id} is not UTF-8 from byte {valid_up_to} on")]
    NotUtf8 {
        /// The log event.
        event_id: String,
        /// Where the first invalid byte is.
        valid_up_to: usize,
    },
    /// A line of a database's log that is none of its entries, but goes on with one in another delivery: it
    /// may begin in the middle of a literal, so that nobody can tell what of it are the users' values.
    #[error("line of log event {event_id} is no entry of the database's log, and may be the rest of one")]
    Fragment {
        /// The log event.
        event_id: String,
    },
    /// A business event that is none.
    #[error(transparent)]
    Event(EventError),
}

impl LineError {
    /// Name of its folder under `quarantine/`.
    pub fn reason(&self) -> &'static str {
        match self {
            LineError::Oversize { .. } => "oversize",
            LineError::NotUtf8 { .. } => "not-utf-8",
            LineError::Fragment { .. } => "fragment",
            LineError::Event(error) => error.reason(),
        }
    }
}

/// The text of a line, or why it is not read.
pub fn line_text<'a>(event: &LogEvent<'a>) -> Result<&'a str, LineError> {
    let event_id = || event.id.to_owned();
    if event.message.len() > MAX_LINE_BYTES {
        return Err(LineError::Oversize { event_id: event_id(), bytes: event.message.len() });
    }
    if let Some(text) = event.text {
        return Ok(text);
    }
    // Quicker, but it does not say where the mistake is.
    simdutf8::basic::from_utf8(event.message).or_else(|_| {
        std::str::from_utf8(event.message)
            .map_err(|error| LineError::NotUtf8 { event_id: event_id(), valid_up_to: error.valid_up_to() })
    })
}

/// The object that keeps a whole delivery (a Lambda event, or the gzip member of a Kinesis record), named
/// by its bytes: it tells no time of its own.
pub fn delivery(delivery: &[u8], error: &EnvelopeError) -> Object {
    let chain = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let item = Item { error: chain, origin: None, original: Original::of(delivery) };
    object(error.reason(), None, &keys::fingerprint([delivery]), vec![item])
}

/// The object that keeps `lines` of `batch` which share a reason and a day.
pub fn lines(
    batch: &Batch<'_>,
    batch_id: &str,
    reason: &str,
    day: &str,
    lines: &[(LogEvent<'_>, LineError)],
) -> Object {
    let items = lines
        .iter()
        .map(|(event, error)| Item {
            error: error.to_string(),
            origin: Some(LineOrigin {
                owner: batch.owner.to_string(),
                log_group: batch.log_group.to_string(),
                log_stream: batch.log_stream.to_string(),
                event_id: event.id.to_owned(),
                timestamp_millis: event.timestamp_millis,
            }),
            original: Original::of(event.message),
        })
        .collect();
    object(reason, Some(day), batch_id, items)
}

/// The UTC day of a log event.
pub fn day_of(event: &LogEvent<'_>) -> String {
    Minute::of_epoch_millis(event.timestamp_millis).day()
}

fn object(reason: &str, day: Option<&str>, id: &str, items: Vec<Item>) -> Object {
    let quarantined = Quarantined { version: 1, reason: reason.to_owned(), items };
    Object::json(keys::quarantine(reason, day, id), &quarantined)
}
