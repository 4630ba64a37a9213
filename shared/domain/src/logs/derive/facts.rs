//! What derivation looks at in a line: borrowed from the text in which the line is archived.

use std::borrow::Cow;

use serde_json::Number;

use crate::logs::json;
use crate::logs::record::{Category, Level};

/// The details (fields of a record's `details`) that metrics are derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Detail {
    /// HTTP method of a request.
    Method,
    /// Path of a request.
    Endpoint,
    /// URL of a request, where it has no endpoint.
    Url,
    /// HTTP status of the answer.
    StatusCode,
    /// The service outside that was called.
    Service,
    /// First word of a statement.
    QueryType,
    /// Table of a statement.
    Table,
    /// Rows that a statement returned or changed.
    RowsAffected,
    /// What happened in the business.
    Event,
    /// Role of who did it.
    UserRole,
    /// Price in a contract, in roubles.
    ContractValue,
    /// Why it failed.
    Reason,
    /// How long a signature took, in milliseconds.
    SigningDurationMs,
    /// Type of a document.
    DocumentType,
    /// Size of a document, in megabytes.
    FileSizeMb,
    /// Length of a session, in minutes.
    SessionDurationMinutes,
    /// CPU in use, in percent.
    CpuUsage,
    /// Memory in use, in percent.
    MemoryUsage,
    /// Disk in use, in percent.
    DiskUsage,
    /// Users active now.
    ActiveUsers,
    /// Contracts created since midnight.
    DailyContracts,
    /// Visitors who end up with a contract, in percent.
    ConversionRate,
    /// What happened to security.
    EventType,
    /// How long it took, in milliseconds, where the record itself does not say.
    DurationMs,
}

impl Detail {
    /// How many there are.
    pub const COUNT: usize = Detail::DurationMs as usize + 1;

    /// The detail that schema v1 calls `name`. By length first: most names of a line are none of these,
    /// and no length is shared by more than three.
    pub fn named(name: &str) -> Option<Detail> {
        Some(match (name.len(), name) {
            (3, "url") => Detail::Url,
            (5, "event") => Detail::Event,
            (5, "table") => Detail::Table,
            (6, "method") => Detail::Method,
            (6, "reason") => Detail::Reason,
            (7, "service") => Detail::Service,
            (8, "endpoint") => Detail::Endpoint,
            (9, "cpu_usage") => Detail::CpuUsage,
            (9, "user_role") => Detail::UserRole,
            (10, "disk_usage") => Detail::DiskUsage,
            (10, "event_type") => Detail::EventType,
            (10, "query_type") => Detail::QueryType,
            (11, "duration_ms") => Detail::DurationMs,
            (11, "status_code") => Detail::StatusCode,
            (12, "active_users") => Detail::ActiveUsers,
            (12, "file_size_mb") => Detail::FileSizeMb,
            (12, "memory_usage") => Detail::MemoryUsage,
            (13, "document_type") => Detail::DocumentType,
            (13, "rows_affected") => Detail::RowsAffected,
            (14, "contract_value") => Detail::ContractValue,
            (15, "conversion_rate") => Detail::ConversionRate,
            (15, "daily_contracts") => Detail::DailyContracts,
            (19, "signing_duration_ms") => Detail::SigningDurationMs,
            (24, "session_duration_minutes") => Detail::SessionDurationMinutes,
            _ => return None,
        })
    }

    /// Whether it is a number of something.
    pub fn is_amount(self) -> bool {
        use Detail::*;
        matches!(
            self,
            RowsAffected
                | ContractValue
                | SigningDurationMs
                | FileSizeMb
                | SessionDurationMinutes
                | CpuUsage
                | MemoryUsage
                | DiskUsage
                | ActiveUsers
                | DailyContracts
                | ConversionRate
                | DurationMs
        )
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// The details of one line, each as the JSON text of its value, redacted already: what is archived is
/// what is counted.
#[derive(Debug, Clone, Copy)]
pub struct Details<'a> {
    /// Which of them there are, one bit each, so that "none of these" is one test.
    present: u32,
    /// Which of them are texts without quotes around them, nor escapes in them.
    bare: u32,
    json: [&'a str; Detail::COUNT],
}

impl Default for Details<'_> {
    fn default() -> Self {
        Details { present: 0, bare: 0, json: [""; Detail::COUNT] }
    }
}

impl<'a> Details<'a> {
    /// Sets a detail to the JSON text of its value, with quotes where that is a text. Of a name that comes
    /// twice the last one counts, as in any JSON object.
    pub fn set(&mut self, detail: Detail, json: &'a str) {
        self.present |= detail.bit();
        self.bare &= !detail.bit();
        self.json[detail as usize] = json;
    }

    /// The same for a JSON text without escapes, by what stands between its quotes.
    pub fn set_text(&mut self, detail: Detail, text: &'a str) {
        self.present |= detail.bit();
        self.bare |= detail.bit();
        self.json[detail as usize] = text;
    }

    /// Forgets all of them, for the next line.
    pub fn clear(&mut self) {
        self.present = 0;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// Whether there is one of `details`.
    pub(super) fn has_any(&self, details: &[Detail]) -> bool {
        let wanted = details.iter().fold(0, |bits, detail| bits | detail.bit());
        self.present & wanted != 0
    }

    /// A detail as text: a text that is not blank, or a number as JSON writes it. Borrowed, but for
    /// texts with escapes and numbers that are not plain integers.
    pub fn text(&self, detail: Detail) -> Option<Cow<'a, str>> {
        let json = self.json(detail)?;
        if self.bare & detail.bit() != 0 {
            return Some(Cow::Borrowed(json)).filter(|text| !is_blank(text));
        }
        scalar_text(json)
    }

    /// A detail as a number; `None` where it is something else, or too large for one.
    pub fn number(&self, detail: Detail) -> Option<f64> {
        let json = self.json(detail).filter(|_| self.bare & detail.bit() == 0)?;
        if !matches!(json.as_bytes().first()?, b'-' | b'0'..=b'9') {
            return None;
        }
        json::number(json).filter(|number: &f64| number.is_finite())
    }

    fn json(&self, detail: Detail) -> Option<&'a str> {
        (self.present & detail.bit() != 0).then(|| self.json[detail as usize])
    }
}

fn is_blank(text: &str) -> bool {
    // Mostly the first byte tells.
    !text.as_bytes().first().is_some_and(u8::is_ascii_graphic) && text.chars().all(char::is_whitespace)
}

/// The text of a JSON value that is a text which is not blank, or a number.
pub(super) fn scalar_text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => text(json).filter(|text| !is_blank(text)),
        b'-' | b'0'..=b'9' => number_text(json),
        _ => None,
    }
}

/// The text of a JSON text. `None` where it holds half a surrogate pair, which is no text.
fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.as_bytes().contains(&b'\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// A JSON number in its one spelling: `2e2` and `200.0` are the same value of a dimension.
fn number_text(json: &str) -> Option<Cow<'_, str>> {
    // 18 digits fit an i64; zero with a sign is a float to serde_json.
    let plain = json.len() <= 18 && json.bytes().all(|b| b.is_ascii_digit());
    if plain {
        return Some(Cow::Borrowed(json));
    }
    serde_json::from_str::<Number>(json).ok().map(|number| Cow::Owned(number.to_string()))
}

/// What a line says, for [`Derivation::add`](super::Derivation::add).
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// How grave it is.
    pub level: Level,
    /// What it is about.
    pub category: Category,
    /// CloudWatch's time of it, in epoch milliseconds: decides to which minute it belongs.
    pub at_millis: i64,
    /// Of a line in CloudWatch's embedded metric format: an object with its root members, as they are archived.
    /// Where it brings metrics of ours along, nothing else is derived from it.
    pub emf: Option<&'a str>,
    /// Whether it was put together from several log events. None of these is a line that CloudWatch can read.
    pub is_joined: bool,
    /// How long what it speaks of took, in milliseconds.
    pub duration_ms: Option<f64>,
    /// What else it says.
    pub details: Details<'a>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::Value;

    /// Every detail with its name.
    pub(in crate::logs::derive) const ALL: [(&str, Detail); Detail::COUNT] = [
        ("method", Detail::Method),
        ("endpoint", Detail::Endpoint),
        ("url", Detail::Url),
        ("status_code", Detail::StatusCode),
        ("service", Detail::Service),
        ("query_type", Detail::QueryType),
        ("table", Detail::Table),
        ("rows_affected", Detail::RowsAffected),
        ("event", Detail::Event),
        ("user_role", Detail::UserRole),
        ("contract_value", Detail::ContractValue),
        ("reason", Detail::Reason),
        ("signing_duration_ms", Detail::SigningDurationMs),
        ("document_type", Detail::DocumentType),
        ("file_size_mb", Detail::FileSizeMb),
        ("session_duration_minutes", Detail::SessionDurationMinutes),
        ("cpu_usage", Detail::CpuUsage),
        ("memory_usage", Detail::MemoryUsage),
        ("disk_usage", Detail::DiskUsage),
        ("active_users", Detail::ActiveUsers),
        ("daily_contracts", Detail::DailyContracts),
        ("conversion_rate", Detail::ConversionRate),
        ("event_type", Detail::EventType),
        ("duration_ms", Detail::DurationMs),
    ];

    #[test]
    fn every_detail_is_found_by_its_name_and_by_no_other() {
        for (at, (name, detail)) in ALL.into_iter().enumerate() {
            assert_eq!(detail as usize, at, "{name}");
            assert_eq!(Detail::named(name), Some(detail), "{name}");
            assert_eq!(Detail::named(&name.to_uppercase()), None, "{name}");
            assert_eq!(Detail::named(&name[1..]), None, "{name}");
        }
        assert_eq!(Detail::named(""), None);
    }

    #[test]
    fn texts_and_numbers_are_read_as_serde_json_reads_them() {
        for (json, text, number) in [
            (r#""GET""#, Some("GET"), None),
            (r#""a\/b\u0041\"""#, Some("a/bA\""), None),
            (r#"" ""#, None, None),
            (r#""\u00a0\t""#, None, None),
            (r#""""#, None, None),
            (r#""\ud800""#, None, None),
            (r#""7""#, Some("7"), None),
            ("200", Some("200"), Some(200.0)),
            ("-200", Some("-200"), Some(-200.0)),
            ("0", Some("0"), Some(0.0)),
            ("-0", Some("-0.0"), Some(-0.0)),
            ("2e2", Some("200.0"), Some(200.0)),
            ("0.10", Some("0.1"), Some(0.1)),
            ("18446744073709551615", Some("18446744073709551615"), Some(18446744073709551615.0)),
            ("18446744073709551616", Some("1.8446744073709552e+19"), Some(18446744073709551616.0)),
            ("1e400", None, None),
            ("null", None, None),
            ("true", None, None),
            ("[1]", None, None),
            (r#"{"a":1}"#, None, None),
        ] {
            let mut details = Details::default();
            details.set(Detail::Reason, json);
            assert_eq!(details.text(Detail::Reason).as_deref(), text, "{json}");
            assert_eq!(details.number(Detail::Reason), number, "{json}");
            // The same by way of a `Value`, where there is one.
            let value: Option<Value> = serde_json::from_str(json).ok();
            assert_eq!(value.as_ref().and_then(Value::as_f64), number, "{json}");
            if let Some(Value::Number(spelt)) = value {
                assert_eq!(Some(spelt.to_string().as_str()), text, "{json}");
            }
        }
    }

    #[test]
    fn the_last_of_two_counts_and_clearing_forgets_them_all() {
        let mut details = Details::default();
        assert!(details.is_empty());
        details.set(Detail::Event, r#""a""#);
        details.set(Detail::Event, "null");
        assert_eq!(details.text(Detail::Event), None);
        assert!(!details.is_empty() && details.has_any(&[Detail::Table, Detail::Event]));
        assert!(!details.has_any(&[Detail::Table]));
        details.clear();
        assert!(details.is_empty() && !details.has_any(&[Detail::Event]));
        assert_eq!((details.text(Detail::Event), details.number(Detail::Event)), (None, None));
    }

    #[test]
    fn a_text_without_its_quotes_is_the_same_and_never_a_number() {
        for text in ["GET", "", " ", "\u{a0}", "200", "-", "null"] {
            let (mut bare, mut quoted) = (Details::default(), Details::default());
            let json = format!("\"{text}\"");
            bare.set_text(Detail::Reason, text);
            quoted.set(Detail::Reason, &json);
            assert_eq!(bare.text(Detail::Reason), quoted.text(Detail::Reason), "{text}");
            assert_eq!((bare.number(Detail::Reason), quoted.number(Detail::Reason)), (None, None), "{text}");
            bare.set(Detail::Reason, "7");
            assert_eq!(bare.number(Detail::Reason), Some(7.0));
        }
    }
}
