//! Ids of traces and spans, what a span is and how it ended, and the two headers by which one service tells
//! the next: W3C's `traceparent` and AWS's `X-Amzn-Trace-Id`.
//!
//! Both ways of writing a trace id mean the same 16 bytes. X-Ray's shows its first four apart, which are the
//! second in which the trace began (`1-5759e988-bd862e3fe1be46a994272793`); X-Ray takes W3C's random ones too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Id of a trace, never all zeros. Shown as X-Ray writes it, which logs and the archive have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// Id of a span, never all zeros: 16 hexadecimal digits everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}")]
pub struct IdError {
    text: String,
    what: &'static str,
}

impl IdError {
    fn new(text: &str, what: &'static str) -> IdError {
        IdError { text: text.chars().take(80).collect(), what }
    }
}

impl TraceId {
    /// Of its bytes; `None` of zeros only.
    pub fn of(bytes: [u8; 16]) -> Option<TraceId> {
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    /// Of a trace that begins at `epoch_seconds`, with 96 random bits.
    pub fn begun(epoch_seconds: u32, random: [u8; 12]) -> TraceId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&epoch_seconds.to_be_bytes());
        bytes[4..].copy_from_slice(&random);
        TraceId::of(bytes).unwrap_or(TraceId([1; 16]))
    }

    /// Its bytes, as OTLP sends them.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// As W3C writes it: 32 hexadecimal digits.
    pub fn w3c(self) -> String {
        let digits = hex(&self.0);
        String::from_utf8_lossy(&digits[..32]).into_owned()
    }

    /// As X-Ray writes it, in ASCII.
    pub fn xray(self) -> [u8; 35] {
        let digits = hex(&self.0);
        let mut text = *b"1-00000000-000000000000000000000000";
        text[2..10].copy_from_slice(&digits[..8]);
        text[11..].copy_from_slice(&digits[8..32]);
        text
    }
}

impl SpanId {
    /// Of its bytes; `None` of zeros only.
    pub fn of(bytes: [u8; 8]) -> Option<SpanId> {
        (bytes != [0; 8]).then_some(SpanId(bytes))
    }

    /// Its bytes, as OTLP sends them.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// Its digits, in ASCII.
    pub fn digits(self) -> [u8; 16] {
        let mut text = [0; 16];
        text.copy_from_slice(&hex(&self.0)[..16]);
        text
    }
}

/// The lower-case digits of up to 16 bytes.
fn hex(bytes: &[u8]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// The bytes that `text`, of exactly twice as many hexadecimal digits, stands for.
fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(bytes)
}

impl FromStr for TraceId {
    type Err = IdError;

    /// Reads both ways of writing.
    fn from_str(text: &str) -> Result<TraceId, IdError> {
        let digits = match text.as_bytes() {
            [b'1', b'-', first @ .., b'-', _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]
                if first.len() == 8 =>
            {
                [first, &text.as_bytes()[11..]].concat()
            }
            other => other.to_vec(),
        };
        unhex(&digits).and_then(TraceId::of).ok_or_else(|| IdError::new(text, "trace id"))
    }
}

impl FromStr for SpanId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<SpanId, IdError> {
        unhex(text.as_bytes()).and_then(SpanId::of).ok_or_else(|| IdError::new(text, "span id"))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.xray()))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.digits()))
    }
}

macro_rules! as_text {
    ($id:ty) => {
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(TraceId);
as_text!(SpanId);

/// What part a span has in a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpanKind {
    /// Work within a service.
    #[default]
    Internal,
    /// A request answered.
    Server,
    /// A call to another service.
    Client,
    /// A message sent.
    Producer,
    /// A message received.
    Consumer,
}

/// How the work of a span ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpanStatus {
    /// As it should.
    #[default]
    Ok,
    /// It failed.
    Error,
    /// It took too long.
    Timeout,
    /// Nobody waits for it any more.
    Cancelled,
}

impl SpanKind {
    /// All kinds with their names.
    pub const NAMES: [(&str, SpanKind); 5] = [
        ("internal", SpanKind::Internal),
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
    ];

    /// Its name in a span line.
    pub const fn as_str(self) -> &'static str {
        // They are listed in their order.
        SpanKind::NAMES[self as usize].0
    }

    /// Reads its name.
    pub fn parse(name: &str) -> Option<SpanKind> {
        SpanKind::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

impl SpanStatus {
    /// All states with their names.
    pub const NAMES: [(&str, SpanStatus); 4] = [
        ("ok", SpanStatus::Ok),
        ("error", SpanStatus::Error),
        ("timeout", SpanStatus::Timeout),
        ("cancelled", SpanStatus::Cancelled),
    ];

    /// Its name in a span line.
    pub const fn as_str(self) -> &'static str {
        // They are listed in their order.
        SpanStatus::NAMES[self as usize].0
    }

    /// Reads its name.
    pub fn parse(name: &str) -> Option<SpanStatus> {
        SpanStatus::NAMES.iter().find(|(known, _)| *known == name).map(|(_, status)| *status)
    }
}

/// What one service tells the next of the trace that both work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace_id: TraceId,
    /// The caller's span; a load balancer may only name the trace.
    pub span_id: Option<SpanId>,
    /// Whether the trace is kept; `None` where that is for the one who is told to decide.
    pub sampled: Option<bool>,
}

impl Parent {
    /// Reads W3C's `traceparent`, of this version or a later one. `None` of a header that the standard says to
    /// ignore.
    pub fn of_traceparent(header: &str) -> Option<Parent> {
        let header = header.trim();
        let mut parts = header.splitn(5, '-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if ![version, trace, span, flags].into_iter().all(lower) || trace.len() != 32 {
            return None;
        }
        let [version] = unhex::<1>(version.as_bytes())?;
        let [flags] = unhex::<1>(flags.as_bytes())?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        Some(Parent { trace_id: trace.parse().ok()?, span_id: Some(span.parse().ok()?), sampled: Some(flags & 1 == 1) })
    }

    /// Reads AWS's `X-Amzn-Trace-Id`: `Root=1-...;Parent=...;Sampled=1`, in any order and with further fields.
    pub fn of_amzn(header: &str) -> Option<Parent> {
        let mut parent = Parent { trace_id: TraceId([0; 16]), span_id: None, sampled: None };
        for field in header.split(';') {
            let Some((name, value)) = field.split_once('=') else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "root" => parent.trace_id = value.trim().parse().ok()?,
                "parent" => parent.span_id = value.trim().parse().ok(),
                "sampled" => {
                    parent.sampled = match value.trim() {
                        "1" => Some(true),
                        "0" => Some(false),
                        _ => None, // `?`: the one who is told decides.
                    }
                }
                _ => {}
            }
        }
        (parent.trace_id.0 != [0; 16]).then_some(parent)
    }

    /// As `traceparent`; `None` where no span is known, which that header must name.
    pub fn traceparent(&self) -> Option<String> {
        let flags = if self.sampled == Some(true) { "01" } else { "00" };
        self.span_id.map(|span| format!("00-{}-{span}-{flags}", self.trace_id.w3c()))
    }

    /// As `X-Amzn-Trace-Id`.
    pub fn amzn(&self) -> String {
        let mut header = format!("Root={}", self.trace_id);
        if let Some(span) = self.span_id {
            header.push_str(&format!(";Parent={span}"));
        }
        if let Some(sampled) = self.sampled {
            header.push_str(if sampled { ";Sampled=1" } else { ";Sampled=0" });
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const XRAY: &str = "1-5759e988-bd862e3fe1be46a994272793";
    const W3C: &str = "5759e988bd862e3fe1be46a994272793";

    #[test]
    fn both_ways_of_writing_a_trace_id_are_the_same_id() {
        let id: TraceId = XRAY.parse().unwrap();
        assert_eq!(W3C.parse(), Ok(id));
        assert_eq!((id.to_string(), id.w3c()), (XRAY.to_owned(), W3C.to_owned()));
        assert_eq!(TraceId::begun(0x5759_e988, id.bytes()[4..].try_into().unwrap()), id);
    }

    #[test]
    fn what_is_no_id_is_refused_with_its_text() {
        // Defect 46: UUIDs are no ids of X-Ray.
        for text in [
            "",
            "1-5759e988-bd862e3fe1be46a99427279",
            "2-5759e988-bd862e3fe1be46a994272793",
            "123e4567-e89b-12d3-a456-426614174000",
            "00000000000000000000000000000000",
            "1-5759e988-bd862e3fe1be46a99427279ж",
            "5759e988bd862e3fe1be46a99427279g",
        ] {
            assert_eq!(text.parse::<TraceId>(), Err(IdError::new(text, "trace id")));
        }
        assert!("53995c3f42cd8ad8".parse::<SpanId>().is_ok());
        assert_eq!("0000000000000000".parse::<SpanId>().unwrap_err().to_string(), "`0000000000000000` is no span id");
    }

    #[test]
    fn traceparent_is_read_as_the_standard_says() {
        let read = |header: &str| Parent::of_traceparent(header);
        let parent = Parent {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap(),
            span_id: Some("00f067aa0ba902b7".parse().unwrap()),
            sampled: Some(true),
        };
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(read(header), Some(parent));
        assert_eq!(parent.traceparent().as_deref(), Some(header));
        let not_sampled = header.replace("-01", "-02");
        assert_eq!(read(&not_sampled), Some(Parent { sampled: Some(false), ..parent }));
        assert_eq!(read(&header.replacen("00", "cc", 1).replace("-01", "-01-what-comes")), Some(parent));
        for refused in [
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "",
        ] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }

    #[test]
    fn the_amazon_header_is_read_in_any_order() {
        let parent = Parent {
            trace_id: XRAY.parse().unwrap(),
            span_id: Some("53995c3f42cd8ad8".parse().unwrap()),
            sampled: Some(true),
        };
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        assert_eq!((Parent::of_amzn(header), parent.amzn().as_str()), (Some(parent), header));
        let root = Parent { span_id: None, sampled: None, ..parent };
        assert_eq!(
            Parent::of_amzn(
                "Self=1-67891234-12456789abcdef012345678; root=1-5759e988-bd862e3fe1be46a994272793; Sampled=?"
            ),
            Some(root)
        );
        assert_eq!((root.amzn(), root.traceparent()), (format!("Root={XRAY}"), None));
        assert_eq!((Parent::of_amzn("Parent=53995c3f42cd8ad8"), Parent::of_amzn("Root=1")), (None, None));
    }

    #[test]
    fn names_are_listed_in_the_order_of_what_they_name() {
        for (place, (name, kind)) in SpanKind::NAMES.into_iter().enumerate() {
            assert_eq!((kind as usize, kind.as_str(), SpanKind::parse(name)), (place, name, Some(kind)));
        }
        for (place, (name, status)) in SpanStatus::NAMES.into_iter().enumerate() {
            assert_eq!((status as usize, status.as_str(), SpanStatus::parse(name)), (place, name, Some(status)));
        }
    }

    proptest! {
        #[test]
        fn headers_read_back_what_they_were_written_from(trace: [u8; 16], span: [u8; 8], sampled: bool) {
            prop_assume!(trace != [0; 16] && span != [0; 8]);
            let (trace_id, span_id) = (TraceId::of(trace).unwrap(), SpanId::of(span));
            let parent = Parent { trace_id, span_id, sampled: Some(sampled) };
            prop_assert_eq!(Parent::of_traceparent(&parent.traceparent().unwrap()), Some(parent));
            prop_assert_eq!(Parent::of_amzn(&parent.amzn()), Some(parent));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = (text.parse::<TraceId>(), text.parse::<SpanId>(), Parent::of_amzn(&text), Parent::of_traceparent(&text));
        }
    }
}
