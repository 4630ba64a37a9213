//! The envelope of a delivery: base64, gzip, and the outer JSON of CloudWatch Logs.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libdeflater::{DecompressionError, Decompressor};
use serde::de::{Deserialize, Deserializer, Visitor};

/// Bytes a delivery may decompress to. Lambda takes events of up to 6 MB, so that a real delivery is
/// far below it; whatever claims more is refused before memory is taken for it.
pub const MAX_DECODED_BYTES: usize = 64 * 1024 * 1024;

/// Deflate never compresses better than this (the zlib technical details give 1032:1).
const MAX_DEFLATE_RATIO: usize = 1_032;

/// What CloudWatch Logs sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Log events.
    Data(Batch),
    /// CloudWatch asks whether the destination can be reached; there is nothing to be kept.
    Control,
}

/// Log events of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Account id.
    pub owner: String,
    /// Log group.
    pub log_group: String,
    /// Log stream.
    pub log_stream: String,
    /// Its events, in the order of the delivery.
    pub events: Vec<LogEvent>,
}

/// One log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// CloudWatch's id of the event, unique and the same in every redelivery.
    pub id: String,
    /// Event time in epoch milliseconds.
    pub timestamp_millis: i64,
    /// The line. Not always UTF-8.
    pub message: Vec<u8>,
}

/// Why an envelope could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The Lambda event itself.
    #[error("the event is not a CloudWatch Logs delivery: no text at `awslogs.data`")]
    Event(#[source] serde_json::Error),
    /// `awslogs.data`.
    #[error("`awslogs.data` is not base64")]
    Base64(#[from] base64::DecodeError),
    /// What it encodes.
    #[error("the {compressed} decoded bytes of `awslogs.data` are not a whole gzip member: {reason}")]
    Gzip {
        /// How many bytes were tried.
        compressed: usize,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The size that the gzip member claims.
    #[error("`awslogs.data` claims to decompress to {claimed} bytes, at most {MAX_DECODED_BYTES} are taken")]
    TooLarge {
        /// The size claimed.
        claimed: usize,
    },
    /// What it decompresses to.
    #[error("the decompressed data is not the JSON of a CloudWatch Logs message")]
    Json(#[source] serde_json::Error),
    /// A kind of message nobody documented.
    #[error("unknown messageType `{0}`")]
    MessageType(String),
}

impl EnvelopeError {
    /// Name of its folder under `quarantine/`.
    pub fn reason(&self) -> &'static str {
        match self {
            EnvelopeError::Event(_) => "event",
            EnvelopeError::Base64(_) => "base64",
            EnvelopeError::Gzip { .. } => "gzip",
            EnvelopeError::TooLarge { .. } => "too-large",
            EnvelopeError::Json(_) => "json",
            EnvelopeError::MessageType(_) => "message-type",
        }
    }
}

/// Opens the envelope of a Lambda event `{"awslogs":{"data":"..."}}`.
pub fn open(event: &str) -> Result<Delivery, EnvelopeError> {
    let event: Event<'_> = serde_json::from_str(event).map_err(EnvelopeError::Event)?;
    open_data(&STANDARD.decode(event.awslogs.data.as_bytes())?)
}

/// Opens the gzip member that an envelope holds.
pub fn open_data(compressed: &[u8]) -> Result<Delivery, EnvelopeError> {
    let decoded = gunzip(compressed)?;
    let message: Message = serde_json::from_slice(&decoded).map_err(EnvelopeError::Json)?;
    match message.message_type.as_str() {
        "CONTROL_MESSAGE" => Ok(Delivery::Control),
        "DATA_MESSAGE" => Ok(Delivery::Data(Batch {
            owner: message.owner,
            log_group: message.log_group,
            log_stream: message.log_stream,
            events: message.log_events.into_iter().map(LogEvent::from).collect(),
        })),
        other => Err(EnvelopeError::MessageType(other.to_owned())),
    }
}

fn gunzip(compressed: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let gzip = |reason| EnvelopeError::Gzip { compressed: compressed.len(), reason };
    // A gzip member ends in the size of its contents (RFC 1952), modulo 2^32.
    let Some(trailer) = compressed.last_chunk::<4>().filter(|_| compressed.len() >= 18) else {
        return Err(gzip("shorter than the smallest member"));
    };
    let claimed = u32::from_le_bytes(*trailer) as usize;
    if !compressed.starts_with(&[0x1f, 0x8b]) {
        return Err(gzip("no gzip header"));
    }
    // Of a member that was cut off, any four bytes come last: they mostly claim more than fits.
    if claimed > compressed.len().saturating_mul(MAX_DEFLATE_RATIO) {
        return Err(gzip("corrupt or cut off: it claims more than it can hold"));
    }
    if claimed > MAX_DECODED_BYTES {
        return Err(EnvelopeError::TooLarge { claimed });
    }
    let mut decoded = vec![0; claimed];
    let size = Decompressor::new().gzip_decompress(compressed, &mut decoded).map_err(|error| match error {
        DecompressionError::BadData => gzip("corrupt or cut off"),
        DecompressionError::InsufficientSpace => gzip("longer than it claims, or cut off"),
    })?;
    decoded.truncate(size);
    Ok(decoded)
}

#[derive(serde::Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    awslogs: Data<'a>,
}

#[derive(serde::Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_type: String,
    owner: String,
    log_group: String,
    log_stream: String,
    log_events: Vec<Entry>,
}

#[derive(serde::Deserialize)]
struct Entry {
    id: String,
    timestamp: i64,
    message: Bytes,
}

impl From<Entry> for LogEvent {
    fn from(entry: Entry) -> LogEvent {
        LogEvent { id: entry.id, timestamp_millis: entry.timestamp, message: entry.message.0 }
    }
}

/// The bytes of a JSON text, UTF-8 or not, so that one broken line does not take its batch along.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(text.as_bytes().to_vec()))
            }
        }

        deserializer.deserialize_bytes(Text)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor};

    pub(in crate::logs) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::default());
        let mut compressed = vec![0; compressor.gzip_compress_bound(bytes.len())];
        let size = compressor.gzip_compress(bytes, &mut compressed).unwrap();
        compressed.truncate(size);
        compressed
    }

    pub(in crate::logs) fn event(data: &[u8]) -> String {
        format!(r#"{{"awslogs":{{"data":"{}"}}}}"#, STANDARD.encode(data))
    }

    const MESSAGE: &str = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/ecs/production/api",
        "logStream":"s","subscriptionFilters":["f"],"logEvents":[{"id":"1","timestamp":1795000000000,"message":"MSG"}]}"#;

    #[test]
    fn a_delivery_is_opened() {
        let Delivery::Data(batch) = open(&event(&gzip(MESSAGE.as_bytes()))).unwrap() else { panic!("it has data") };
        assert_eq!(batch.log_group, "/aws/ecs/production/api");
        assert_eq!(
            batch.events,
            [LogEvent { id: "1".into(), timestamp_millis: 1_795_000_000_000, message: b"MSG".to_vec() }]
        );
    }

    #[test]
    fn a_control_message_is_told_apart() {
        let message = MESSAGE.replace("DATA_", "CONTROL_");
        assert_eq!(open(&event(&gzip(message.as_bytes()))).unwrap(), Delivery::Control);
    }

    #[test]
    fn a_line_that_is_not_utf_8_keeps_its_bytes() {
        let mut message = MESSAGE.as_bytes().to_vec();
        let at = MESSAGE.find("MSG").unwrap();
        message[at] = 0xff;
        let Delivery::Data(batch) = open(&event(&gzip(&message))).unwrap() else { panic!("it has data") };
        assert_eq!(batch.events[0].message, [0xff, b'S', b'G']);
    }

    #[test]
    fn what_can_not_be_opened_says_what_and_where() {
        let whole = gzip(MESSAGE.as_bytes());
        let bomb = gzip(&vec![0; MAX_DECODED_BYTES + 1]);
        let mut boast = whole.clone();
        let end = boast.len() - 4;
        boast[end..].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut corrupt = whole.clone();
        corrupt[20] ^= 0xff;
        for (input, reason, says) in [
            ("{}".to_owned(), "event", "`awslogs.data`"),
            ("null".to_owned(), "event", "`awslogs.data`"),
            (r#"{"awslogs":{"data":42}}"#.to_owned(), "event", "`awslogs.data`"),
            (r#"{"awslogs":{"data":"%%%"}}"#.to_owned(), "base64", "not base64"),
            (event(b""), "gzip", "the 0 decoded bytes"),
            (event(b"plain text, no gzip"), "gzip", "no gzip header"),
            (event(&whole[..whole.len() / 2]), "gzip", "cut off"),
            (event(&boast), "gzip", "it claims more than it can hold"),
            (event(&corrupt), "gzip", "corrupt or cut off"),
            (event(&bomb), "too-large", "claims to decompress to 67108865 bytes"),
            (event(&gzip(b"not json")), "json", "not the JSON"),
            (event(&gzip(br#"{"messageType":"DATA_MESSAGE"}"#)), "json", "not the JSON"),
            (event(&gzip(MESSAGE.replace("DATA_", "NEW_").as_bytes())), "message-type", "`NEW_MESSAGE`"),
        ] {
            let error = open(&input).unwrap_err();
            assert_eq!(error.reason(), reason, "{error}");
            assert!(error.to_string().contains(says), "{reason}: {error}");
        }
    }
}
