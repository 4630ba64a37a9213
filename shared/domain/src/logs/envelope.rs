//! The envelope of a delivery: base64, gzip, and the outer JSON of CloudWatch Logs.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::PAD;
use libdeflater::{Crc, DecompressionError, Decompressor};

use crate::logs::json::{self, NotJson, Quoted, Reader};
use crate::logs::shape::{Shape, Shaped, Shapes, Value};

/// Bytes a delivery may decompress to. CloudWatch Logs sends some MB at most. A delivery of nothing but tiny
/// events takes ten times its size as it is processed, which has to fit into the function's memory; whatever
/// claims more is kept unopened before memory is taken for it.
pub const MAX_DECODED_BYTES: usize = 24 * 1024 * 1024;

/// Deflate never compresses better than this (the zlib technical details give 1032:1).
const MAX_DEFLATE_RATIO: usize = 1_032;

/// Buffers that have grown beyond this by an unusual delivery are given back after it.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// What CloudWatch Logs sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// Log events.
    Data(Batch<'a>),
    /// CloudWatch asks whether the destination can be reached; there is nothing to be kept.
    Control,
}

/// Log events of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Account id.
    pub owner: Cow<'a, str>,
    /// Log group.
    pub log_group: Cow<'a, str>,
    /// Log stream.
    pub log_stream: Cow<'a, str>,
    /// Its events, in the order of the delivery.
    pub events: Vec<LogEvent<'a>>,
}

/// One log event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEvent<'a> {
    /// CloudWatch's id of the event, unique and the same in every redelivery.
    pub id: &'a str,
    /// Event time in epoch milliseconds.
    pub timestamp_millis: i64,
    /// The line. Not always UTF-8.
    pub message: &'a [u8],
    /// The same as a text, if it is known to be one.
    pub text: Option<&'a str>,
    /// Where quotes, backslashes and control characters are in it, if that is known.
    pub specials: Option<Specials<'a>>,
    /// The line, if it has a shape that is known: then `message` is empty.
    pub shaped: Option<Shaped<'a>>,
}

impl LogEvent<'_> {
    /// Bytes of the line.
    pub fn bytes(&self) -> usize {
        self.shaped.map_or(self.message.len(), |shaped| shaped.bytes)
    }
}

/// Positions of quotes, backslashes and control characters, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Specials<'a> {
    /// Counted from `base`.
    pub positions: &'a [u32],
    /// The position of the line's first byte.
    pub base: u32,
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
    #[error("the {compressed} bytes of compressed data are not a whole gzip member: {reason}")]
    Gzip {
        /// How many bytes were tried.
        compressed: usize,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The size that the gzip member claims.
    #[error("the compressed data claims to decompress to {claimed} bytes, at most {MAX_DECODED_BYTES} are taken")]
    TooLarge {
        /// The size claimed.
        claimed: usize,
    },
    /// What it decompresses to.
    #[error("the decompressed data is not the JSON of a CloudWatch Logs message")]
    Json(#[from] NotJson),
    /// JSON of something else.
    #[error("the decompressed data is not a CloudWatch Logs message: {0}")]
    Message(&'static str),
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
            EnvelopeError::Json(_) | EnvelopeError::Message(_) => "json",
            EnvelopeError::MessageType(_) => "message-type",
        }
    }
}

/// Opens envelopes. Its buffers are used again from delivery to delivery; a delivery is read only as far
/// as it has written them itself.
pub struct Decoder {
    base64: Simd,
    inflate: Decompressor,
    compressed: Vec<u8>,
    message: Vec<u8>,
    texts: Vec<u8>,
    specials: Vec<u32>,
    values: Vec<Value>,
    events: Vec<EventPlace>,
}

/// An event by the places of its parts: the id in the message, the line among the texts.
struct EventPlace {
    id: Range<usize>,
    timestamp_millis: i64,
    line: Range<usize>,
    specials: Range<usize>,
    shaped: Option<ShapedPlace>,
}

/// A line of a known shape by its values, and how many bytes it has.
struct ShapedPlace {
    shape: Shape,
    values: Range<u32>,
    bytes: u32,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            base64: Simd::standard(PAD),
            inflate: Decompressor::new(),
            compressed: Vec::new(),
            message: Vec::new(),
            texts: Vec::new(),
            specials: Vec::new(),
            values: Vec::new(),
            events: Vec::new(),
        }
    }
}

impl Decoder {
    /// Opens the envelope of a Lambda event `{"awslogs":{"data":"..."}}`.
    pub fn open(&mut self, event: &str) -> Result<Delivery<'_>, EnvelopeError> {
        self.open_shaped(event, None)
    }

    /// The same, but for lines that have one of the `shapes`: these are not decoded.
    pub fn open_shaped(&mut self, event: &str, shapes: Option<&mut Shapes>) -> Result<Delivery<'_>, EnvelopeError> {
        let mut compressed = std::mem::take(&mut self.compressed);
        let inflated = decode(&self.base64, event, &mut compressed).and_then(|()| self.inflate(&compressed));
        self.compressed = compressed;
        inflated?;
        self.read(shapes)
    }

    /// Opens what a Kinesis record holds: the gzip member itself. Lines that have one of the `shapes` are not
    /// decoded.
    pub fn open_compressed(
        &mut self,
        compressed: &[u8],
        shapes: Option<&mut Shapes>,
    ) -> Result<Delivery<'_>, EnvelopeError> {
        self.inflate(compressed)?;
        self.read(shapes)
    }

    fn inflate(&mut self, compressed: &[u8]) -> Result<(), EnvelopeError> {
        let claimed = claimed_size(compressed)?;
        let gzip = |reason| EnvelopeError::Gzip { compressed: compressed.len(), reason };
        for buffer in [&mut self.message, &mut self.texts] {
            if buffer.len() > MAX_KEPT_BYTES && claimed < MAX_KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
        self.message.resize(claimed, 0);
        let size = self.inflate.gzip_decompress(compressed, &mut self.message).map_err(|error| match error {
            DecompressionError::BadData => gzip("corrupt or cut off"),
            DecompressionError::InsufficientSpace => gzip("longer than it claims, or cut off"),
        })?;
        // Of several members only the first is inflated: what follows it must not be lost with success.
        let crc = compressed[compressed.len() - 8..].first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
        let is_followed = || has_second_member(compressed) && crc != Some(crc_of(&self.message[..size]));
        if size != claimed || is_followed() {
            return Err(gzip("more than one member"));
        }
        Ok(())
    }

    fn read(&mut self, shapes: Option<&mut Shapes>) -> Result<Delivery<'_>, EnvelopeError> {
        if self.texts.len() < self.message.len() + json::ROOM {
            self.texts.resize(self.message.len() + json::ROOM, 0);
        }
        // Where a message is no text, each line has to be looked at.
        let message = simdutf8::basic::from_utf8(&self.message).ok();
        self.events.clear();
        self.specials.clear();
        self.values.clear();
        let lines = Lines {
            texts: &mut self.texts,
            filled: 0,
            specials: &mut self.specials,
            values: &mut self.values,
            shapes: shapes.filter(|_| message.is_some()),
            events: &mut self.events,
        };
        let head = read_message(&self.message, lines)?;
        let texts = |text: Option<Text>, missing| match text {
            Some(text) => text.read(&self.message).ok_or(EnvelopeError::Message("a name that is no text")),
            None => Err(EnvelopeError::Message(missing)),
        };
        match &*texts(head.message_type, "no messageType")? {
            "CONTROL_MESSAGE" => return Ok(Delivery::Control),
            "DATA_MESSAGE" => {}
            other => return Err(EnvelopeError::MessageType(other.to_owned())),
        }
        if !head.has_events {
            return Err(EnvelopeError::Message("no logEvents"));
        }
        let mut events = Vec::with_capacity(self.events.len());
        // All lines at once take a fraction of the time that they take one by one.
        let end = self.events.last().map_or(0, |last| last.line.end);
        let text = simdutf8::basic::from_utf8(&self.texts[..end]).ok();
        for place in &self.events {
            let shaped = place.shaped.as_ref().zip(message).map(|(shaped, message)| {
                let values = &self.values[shaped.values.start as usize..shaped.values.end as usize];
                Shaped { message, values, shape: shaped.shape, bytes: shaped.bytes as usize }
            });
            // Whose message is a text, has ids that are texts.
            let id = match message {
                Some(message) => message.get(place.id.clone()),
                None => std::str::from_utf8(&self.message[place.id.clone()]).ok(),
            };
            events.push(LogEvent {
                id: id.ok_or(EnvelopeError::Message("an id that is no text"))?,
                timestamp_millis: place.timestamp_millis,
                message: &self.texts[place.line.clone()],
                text: text.and_then(|text| text.get(place.line.clone())),
                specials: Some(Specials {
                    positions: &self.specials[place.specials.clone()],
                    base: place.line.start as u32,
                }),
                shaped,
            });
        }
        Ok(Delivery::Data(Batch {
            owner: texts(head.owner, "no owner")?,
            log_group: texts(head.log_group, "no logGroup")?,
            log_stream: texts(head.log_stream, "no logStream")?,
            events,
        }))
    }
}

/// The compressed data of a Lambda event, in `compressed`, which is overwritten.
fn decode(base64: &Simd, event: &str, compressed: &mut Vec<u8>) -> Result<(), EnvelopeError> {
    // No look at the data but the one of decoding it: what is base64, has no end of a string in it.
    if let Some(data) = data_as_lambda_writes_it(event) {
        compressed.clear();
        if base64.decode_vec(data, compressed).is_ok() {
            return Ok(());
        }
    }
    let event: Event<'_> = serde_json::from_str(event).map_err(EnvelopeError::Event)?;
    compressed.clear();
    Ok(base64.decode_vec(event.awslogs.data.as_bytes(), compressed)?)
}

/// What stands between the first and the last quote of the data, if `event` is `{"awslogs":{"data":"..."}}`,
/// with any white space: the data, if it is base64.
fn data_as_lambda_writes_it(event: &str) -> Option<&str> {
    let mut rest = event;
    for token in ["{", "\"awslogs\"", ":", "{", "\"data\"", ":", "\""] {
        rest = rest.trim_ascii_start().strip_prefix(token)?;
    }
    for token in ["}", "}", "\""] {
        rest = rest.trim_ascii_end().strip_suffix(token)?;
    }
    Some(rest)
}

/// Whether another member may begin in `compressed`: its first three bytes are there, perhaps by chance.
fn has_second_member(compressed: &[u8]) -> bool {
    memchr::memmem::find(&compressed[3..], &[0x1f, 0x8b, 0x08]).is_some()
}

fn crc_of(message: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(message);
    crc.sum()
}

/// The size that a gzip member says it decompresses to, if that can be.
fn claimed_size(compressed: &[u8]) -> Result<usize, EnvelopeError> {
    let gzip = |reason| Err(EnvelopeError::Gzip { compressed: compressed.len(), reason });
    // A gzip member ends in the size of its contents (RFC 1952), modulo 2^32.
    let Some(trailer) = compressed.last_chunk::<4>().filter(|_| compressed.len() >= 18) else {
        return gzip("shorter than the smallest member");
    };
    let claimed = u32::from_le_bytes(*trailer) as usize;
    if !compressed.starts_with(&[0x1f, 0x8b]) {
        return gzip("no gzip header");
    }
    // Of a member that was cut off, any four bytes come last: they mostly claim more than fits.
    if claimed > compressed.len().saturating_mul(MAX_DEFLATE_RATIO) {
        return gzip("corrupt or cut off: it claims more than it can hold");
    }
    if claimed > MAX_DECODED_BYTES {
        return Err(EnvelopeError::TooLarge { claimed });
    }
    Ok(claimed)
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

/// The fields of a message beside its events.
#[derive(Default)]
struct Head {
    message_type: Option<Text>,
    owner: Option<Text>,
    log_group: Option<Text>,
    log_stream: Option<Text>,
    has_events: bool,
}

/// A text of the message that is wanted as it is mostly written: without escapes.
#[derive(Clone, Copy)]
struct Text(Quoted);

impl Text {
    fn read(self, message: &[u8]) -> Option<Cow<'_, str>> {
        let text = std::str::from_utf8(&message[self.0.start..self.0.end]).ok()?;
        if !self.0.escaped {
            return Some(Cow::Borrowed(text));
        }
        json::unescape_text(text, &mut Vec::new()).map(|text| Cow::Owned(text.to_owned()))
    }
}

/// Lines as they are decoded, one after the other.
struct Lines<'a> {
    texts: &'a mut [u8],
    filled: usize,
    specials: &'a mut Vec<u32>,
    values: &'a mut Vec<Value>,
    shapes: Option<&'a mut Shapes>,
    events: &'a mut Vec<EventPlace>,
}

/// Reads the outer JSON.
fn read_message(message: &[u8], mut lines: Lines<'_>) -> Result<Head, EnvelopeError> {
    let mut reader = Reader::new(message);
    let mut head = Head::default();
    let mut more = reader.open(b'{', b'}')?;
    while more {
        let name = reader.name()?;
        let text = match &message[name.start..name.end] {
            b"messageType" => Some(&mut head.message_type),
            b"owner" => Some(&mut head.owner),
            b"logGroup" => Some(&mut head.log_group),
            b"logStream" => Some(&mut head.log_stream),
            _ => None,
        };
        match text {
            Some(text) => *text = Some(Text(reader.string()?)),
            None if &message[name.start..name.end] == b"logEvents" => {
                head.has_events = true;
                lines.read_all(&mut reader, message)?;
            }
            None => {
                reader.value()?;
            }
        }
        more = reader.more(b'}')?;
    }
    reader.end()?;
    Ok(head)
}

impl Lines<'_> {
    fn read_all(&mut self, reader: &mut Reader<'_>, message: &[u8]) -> Result<(), EnvelopeError> {
        let mut more = reader.open(b'[', b']')?;
        while more {
            let event = self.read(reader, message)?;
            self.events.push(event);
            more = reader.more(b']')?;
        }
        Ok(())
    }

    fn read(&mut self, reader: &mut Reader<'_>, message: &[u8]) -> Result<EventPlace, EnvelopeError> {
        let start = reader.clone();
        if let Some(event) = self.read_as_written(reader, message) {
            return Ok(event);
        }
        *reader = start;
        self.read_in_any_order(reader, message)
    }

    /// An event as CloudWatch writes it: three fields in this order and no white space. `None` for any
    /// other, and for a mistake; then nothing has been read.
    fn read_as_written(&mut self, reader: &mut Reader<'_>, message: &[u8]) -> Option<EventPlace> {
        let (start, first) = (self.filled, self.specials.len());
        let head = |reader: &mut Reader<'_>| {
            let id = reader.take_if(b"{\"id\":").then(|| reader.string().ok()).flatten()?;
            let timestamp = reader.take_if(b",\"timestamp\":").then(|| reader.integer().ok()).flatten()??;
            (!id.escaped && reader.take_if(b",\"message\":")).then_some((id, timestamp))
        };
        let (id, timestamp_millis) = head(reader)?;
        if let Some((shaped, behind)) = self.shaped(message, reader.at())
            && let mut behind = reader.moved_to(behind)
            && behind.take_if(b"\"}")
        {
            *reader = behind;
            let (line, specials) = (start..start, first..first);
            return Some(EventPlace { id: id.start..id.end, timestamp_millis, line, specials, shaped: Some(shaped) });
        }
        match reader.unescaped_string(self.texts, start, self.specials) {
            Ok(filled) if reader.take_if(b"}") => self.filled = filled,
            _ => {
                self.specials.truncate(first);
                return None;
            }
        }
        let specials = first..self.specials.len();
        Some(EventPlace { id: id.start..id.end, timestamp_millis, line: start..self.filled, specials, shaped: None })
    }

    /// The line that is the text at `at` of `message`, if it has a shape that is known, and where it ends.
    #[inline]
    fn shaped(&mut self, message: &[u8], at: usize) -> Option<(ShapedPlace, usize)> {
        let (shapes, first) = (self.shapes.as_mut()?, self.values.len());
        let start = at + usize::from(message.get(at) == Some(&b'"'));
        let (shape, end, bytes) = shapes.find(message, start, self.values).filter(|_| start > at)?;
        Some((ShapedPlace { shape, values: first as u32..self.values.len() as u32, bytes: bytes as u32 }, end))
    }

    fn read_in_any_order(&mut self, reader: &mut Reader<'_>, message: &[u8]) -> Result<EventPlace, EnvelopeError> {
        let (mut id, mut timestamp, mut line) = (None, None, None);
        let mut more = reader.open(b'{', b'}')?;
        while more {
            let name = reader.name()?;
            match &message[name.start..name.end] {
                b"id" => {
                    let text = reader.string()?;
                    if text.escaped {
                        return Err(EnvelopeError::Message("an id with escapes in it"));
                    }
                    id = Some(text.start..text.end);
                }
                b"timestamp" => {
                    let millis = reader.integer()?;
                    timestamp = Some(millis.ok_or(EnvelopeError::Message("a timestamp that is no integer"))?);
                }
                b"message" => {
                    let (start, first) = (self.filled, self.specials.len());
                    self.filled = reader.unescaped_string(self.texts, start, self.specials)?;
                    line = Some((start..self.filled, first..self.specials.len()));
                }
                _ => {
                    reader.value()?;
                }
            }
            more = reader.more(b'}')?;
        }
        match (id, timestamp, line) {
            (Some(id), Some(timestamp_millis), Some((line, specials))) => {
                Ok(EventPlace { id, timestamp_millis, line, specials, shaped: None })
            }
            _ => Err(EnvelopeError::Message("a log event without id, timestamp or message")),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
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
        let mut decoder = Decoder::default();
        let event = event(&gzip(MESSAGE.as_bytes()));
        let Delivery::Data(batch) = decoder.open(&event).unwrap() else { panic!("it has data") };
        assert_eq!(batch.log_group, "/aws/ecs/production/api");
        let event = batch.events[0];
        assert_eq!((event.id, event.timestamp_millis, event.message), ("1", 1_795_000_000_000, b"MSG".as_slice()));
    }

    #[test]
    fn the_fields_of_a_message_may_come_in_any_order_and_with_others() {
        let message = r#" { "logEvents" : [ { "message" : "a\"\u0434\ud83d\ude00\n" , "extractedFields": {"x": [1, {}]}, "timestamp":-1,"id":"7" } ],
            "x": null, "logStream":"s\u002f1","logGroup":"g","owner":"o","messageType":"DATA_MESSAGE" } "#;
        let (mut decoder, compressed) = (Decoder::default(), gzip(message.as_bytes()));
        let Delivery::Data(batch) = decoder.open_compressed(&compressed, None).unwrap() else { panic!("it has data") };
        assert_eq!((&*batch.log_stream, batch.events[0].id, batch.events[0].timestamp_millis), ("s/1", "7", -1));
        assert_eq!(std::str::from_utf8(batch.events[0].message).unwrap(), "a\"д😀\n");
    }

    #[test]
    fn nothing_of_a_delivery_is_left_for_the_next() {
        let mut decoder = Decoder::default();
        let long = MESSAGE.replace("MSG", &"secret ".repeat(10_000));
        decoder.open_compressed(&gzip(long.as_bytes()), None).unwrap();
        decoder.open_compressed(&gzip(b"not json"), None).unwrap_err();
        let compressed = gzip(MESSAGE.as_bytes());
        let again = format!("{:?}", decoder.open_compressed(&compressed, None).unwrap());
        assert_eq!(again, format!("{:?}", Decoder::default().open_compressed(&compressed, None).unwrap()));
    }

    #[test]
    fn an_event_may_be_written_as_any_json() {
        let data = STANDARD.encode(gzip(MESSAGE.as_bytes()));
        for event in [
            format!(" {{ \"awslogs\" : {{\n\"data\": \"{data}\" }} }} "),
            format!(r#"{{"x":1,"awslogs":{{"data":"{data}","y":[]}}}}"#),
            format!(r#"{{"awslogs":{{"data":"{}"}}}}"#, data.replace('/', "\\/").replace('A', "\\u0041")),
        ] {
            assert!(matches!(Decoder::default().open(&event), Ok(Delivery::Data(_))), "{event}");
        }
    }

    #[test]
    fn events_are_read_in_the_usual_order_and_in_others_alike() {
        let usual = r#"{"id":"1","timestamp":1795000000000,"message":"MSG"}"#;
        let read = |events: &str| {
            let (mut decoder, compressed) = (Decoder::default(), gzip(MESSAGE.replace(usual, events).as_bytes()));
            match decoder.open_compressed(&compressed, None) {
                Ok(Delivery::Data(batch)) => {
                    let of =
                        |event: &LogEvent<'_>| (event.id.to_owned(), event.timestamp_millis, event.message.to_vec());
                    let positions = |event: &LogEvent<'_>| event.specials.map(|specials| specials.positions.len());
                    Ok(batch.events.iter().map(|event| (of(event), positions(event))).collect::<Vec<_>>())
                }
                other => Err(format!("{other:?}")),
            }
        };
        let expected = vec![(("7".to_owned(), 5, b"\"a\"".to_vec()), Some(2)); 2];
        let written = r#"{"id":"7","timestamp":5,"message":"\"a\""}"#;
        for other in [
            r#"{"id":"7","timestamp":5,"message":"\"a\"","x":"\"\""}"#,
            r#"{"id":"7","timestamp":5,"message":"\"a\"" }"#,
            r#"{"message":"\"a\"","id":"7","timestamp":5}"#,
            r#"{"id": "7","timestamp":5,"message":"\"a\""}"#,
        ] {
            assert_eq!(read(&format!("{written},{other}")).as_ref(), Ok(&expected), "{other}");
            assert_eq!(read(&format!("{other},{written}")).as_ref(), Ok(&expected), "{other}");
        }
        for (wrong, says) in [
            (r#"{"id":"\u0037","timestamp":5,"message":""}"#, "an id with escapes"),
            (r#"{"id":"7","timestamp":5.5,"message":""}"#, "a timestamp that is no integer"),
            (r#"{"id":"7","timestamp":05,"message":""}"#, "no zero before a number"),
            (r#"{"id":"7","timestamp":5,"message":"\x"}"#, "an escape"),
            (r#"{"id":"7","timestamp":5,"message":""]"#, "a comma or the end"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_control_message_is_told_apart() {
        let message = MESSAGE.replace("DATA_", "CONTROL_");
        assert_eq!(Decoder::default().open_compressed(&gzip(message.as_bytes()), None).unwrap(), Delivery::Control);
    }

    #[test]
    fn a_line_that_is_not_utf_8_keeps_its_bytes() {
        let mut message = MESSAGE.as_bytes().to_vec();
        let at = MESSAGE.find("MSG").unwrap();
        message[at] = 0xff;
        let (mut decoder, compressed) = (Decoder::default(), gzip(&message));
        let Delivery::Data(batch) = decoder.open_compressed(&compressed, None).unwrap() else { panic!("it has data") };
        assert_eq!(batch.events[0].message, [0xff, b'S', b'G']);
    }

    #[test]
    fn a_second_member_is_not_lost_with_success() {
        let (one, other) = (gzip(MESSAGE.as_bytes()), gzip(MESSAGE.replace("MSG", "GSM").as_bytes()));
        for second in [other, gzip(b"another message, of another length")] {
            let error = Decoder::default().open_compressed(&[one.clone(), second].concat(), None).unwrap_err();
            assert_eq!(error.reason(), "gzip", "{error}");
        }
    }

    #[test]
    fn a_bomb_takes_no_more_memory_than_deflate_can_blow_it_up_to() {
        let bomb = gzip(&vec![b' '; 1024 * 1000]);
        assert!(bomb.len() < 1100, "{}", bomb.len());
        assert!(matches!(Decoder::default().open_compressed(&bomb, None), Err(EnvelopeError::Json(_))));
        let forged = [&bomb[..bomb.len() - 4], &(20 * 1024 * 1024_u32).to_le_bytes()].concat();
        let mut decoder = Decoder::default();
        let error = decoder.open_compressed(&forged, None).unwrap_err();
        assert!(error.to_string().contains("it claims more than it can hold"), "{error}");
        assert_eq!(decoder.message.capacity(), 0, "refused before any memory was taken");
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
            (event(b""), "gzip", "the 0 bytes"),
            (event(b"plain text, no gzip"), "gzip", "no gzip header"),
            (event(&whole[..whole.len() / 2]), "gzip", "cut off"),
            (event(&boast), "gzip", "it claims more than it can hold"),
            (event(&corrupt), "gzip", "corrupt or cut off"),
            (event(&bomb), "too-large", "claims to decompress to 25165825 bytes"),
            (event(&gzip(b"not json")), "json", "not the JSON"),
            (event(&gzip(br#"{"messageType":"DATA_MESSAGE"}"#)), "json", "no logEvents"),
            (event(&gzip(br#"{"messageType":"DATA_MESSAGE","logEvents":[]}"#)), "json", "no owner"),
            (event(&gzip(br#"{"logEvents":[{"id":"1"}]}"#)), "json", "a log event without"),
            (event(&gzip(br#"{"logEvents":{}}"#)), "json", "not the JSON"),
            (event(&gzip(MESSAGE.replace("DATA_", "NEW_").as_bytes())), "message-type", "`NEW_MESSAGE`"),
        ] {
            let error = Decoder::default().open(&input).unwrap_err();
            assert_eq!(error.reason(), reason, "{error}");
            assert!(error.to_string().contains(says), "{reason}: {error}");
        }
    }
}
