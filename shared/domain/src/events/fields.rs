//! What each type of event has to have in its `detail`, and what is said of one that has not. The JSON Schemas in
//! `shared/schema/events/` are the same tables for publishers.

use std::borrow::Cow;
use std::fmt;

use schema::Level;

use super::Fields;

/// A type of event.
#[derive(Debug, PartialEq)]
pub struct EventType {
    /// EventBridge's detail-type.
    pub detail_type: &'static str,
    /// `details.event` of its line, by which metrics are derived.
    pub event: &'static str,
    /// The text of its line.
    pub message: &'static str,
    /// How grave it is.
    pub level: Level,
    /// What it has to have, besides what it may have by [`COMMON`].
    pub fields: &'static [Field],
}

/// A field of an event's `detail`.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: FieldKind,
}

/// What the value of a field has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldKind {
    /// A text with something else in it than blanks.
    Text {
        /// Unicode characters that it has at most.
        max_chars: usize,
    },
    /// A number that is not negative, in the field's unit.
    Amount {
        /// The largest there is. What is larger is a mistake, and would hide every other value in a sum.
        max: f64,
    },
    /// An id: such a text of up to 256 characters, or a number.
    Id,
}

/// Characters of an id at most.
pub const MAX_ID_CHARS: usize = 256;

const fn text(name: &'static str, max_chars: usize) -> Field {
    Field { name, kind: FieldKind::Text { max_chars } }
}

const fn amount(name: &'static str, max: f64) -> Field {
    Field { name, kind: FieldKind::Amount { max } }
}

const fn id(name: &'static str) -> Field {
    Field { name, kind: FieldKind::Id }
}

/// What identifies an event. The only one of [`COMMON`] that has to be what it is called, where it is there.
const IDENTITY: Field = text("event_id", MAX_ID_CHARS);

/// What an event of any type may have: what identifies it, and the ids of its line's context. One that is null says
/// no more than one that is absent.
pub const COMMON: [Field; 6] = [
    IDENTITY,
    id("request_id"),
    id("user_id"),
    id("session_id"),
    text("trace_id", MAX_ID_CHARS),
    text("span_id", MAX_ID_CHARS),
];

/// The types that metrics are derived from. The largest contract is of a trillion roubles, the longest signature
/// takes three years, the largest document is of a terabyte.
pub const TYPES: [EventType; 5] = [
    EventType {
        detail_type: "UserRegistered",
        event: "user_registered",
        message: "User registered",
        level: Level::Info,
        fields: &[text("user_role", 64)],
    },
    EventType {
        detail_type: "ContractCreated",
        event: "contract_created",
        message: "Contract created",
        level: Level::Info,
        fields: &[text("user_role", 64), amount("contract_value", 1e12)],
    },
    EventType {
        detail_type: "ContractSigned",
        event: "contract_signed",
        message: "Contract signed",
        level: Level::Info,
        fields: &[text("user_role", 64), amount("signing_duration_ms", 1e11)],
    },
    EventType {
        detail_type: "ContractCreationFailed",
        event: "contract_creation_failed",
        message: "Contract creation failed",
        level: Level::Error,
        fields: &[text("reason", 256)],
    },
    EventType {
        detail_type: "DocumentUploaded",
        event: "document_uploaded",
        message: "Document uploaded",
        level: Level::Info,
        fields: &[text("document_type", 64), amount("file_size_mb", 1e6)],
    },
];

impl EventType {
    /// The one that EventBridge calls `detail_type`.
    pub fn named(detail_type: &str) -> Option<&'static EventType> {
        TYPES.iter().find(|known| known.detail_type == detail_type)
    }

    /// Whether the schema of the type speaks of the field `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// Everything that is wrong with `detail`, in the order of the fields.
    pub(super) fn problems(&self, detail: &Fields<'_>) -> Vec<Problem> {
        let required = self.fields.iter().map(|field| (field, true));
        required
            .chain([(&IDENTITY, false)])
            .filter_map(|(field, is_required)| {
                let json = detail.get(field.name).map(|raw| raw.get()).filter(|json| is_required || !is_null(json));
                let is_right = json.map_or(!is_required, |json| field.kind.takes(json));
                let name = || format!("detail.{}", field.name);
                (!is_right).then(|| Problem::of(&name(), json, &field.kind.to_string()))
            })
            .collect()
    }
}

/// What the publisher identifies an event by; `None` where nothing is there that can be an id.
pub(super) fn event_id<'a>(detail: &Fields<'a>) -> Option<Cow<'a, str>> {
    let json = detail.get(IDENTITY.name)?.get();
    IDENTITY.kind.takes(json).then(|| text_of(json))?
}

impl FieldKind {
    /// Whether the JSON text `json` is such a value.
    pub(super) fn takes(self, json: &str) -> bool {
        match self {
            FieldKind::Text { max_chars } => text_within(json, max_chars),
            FieldKind::Amount { max } => number(json).is_some_and(|number| (0.0..=max).contains(&number)),
            FieldKind::Id => is_number(json) || text_within(json, MAX_ID_CHARS),
        }
    }
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldKind::Text { max_chars } => write!(f, "a text of 1 to {max_chars} characters that is not blank"),
            FieldKind::Amount { max } => write!(f, "a number from 0 to {max}"),
            FieldKind::Id => write!(f, "a number, or a text of 1 to {MAX_ID_CHARS} characters that is not blank"),
        }
    }
}

/// What is wrong with one field. It does not quote a text: that may be personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    field: String,
    found: String,
    expected: String,
}

impl Problem {
    /// The field `name`, whose JSON text is `json`, if it is there, is not `expected`.
    pub(super) fn of(name: &str, json: Option<&str>, expected: &str) -> Problem {
        let found = match json {
            None => "missing".to_owned(),
            Some(json) => describe(json),
        };
        Problem { field: name.to_owned(), found, expected: expected.to_owned() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}, expected {}", self.field, self.found, self.expected)
    }
}

/// Digits of a number that are told; longer ones tell nobody anything.
const MAX_TOLD: usize = 24;

fn describe(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'"') => match text_of(json) {
            Some(text) if is_blank(&text) => "a blank text".to_owned(),
            Some(text) => format!("a text of {} characters", text.chars().count()),
            None => "a text that is no Unicode".to_owned(),
        },
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "a list".to_owned(),
        Some(b'-' | b'0'..=b'9') if json.len() > MAX_TOLD => "a number of many digits".to_owned(),
        _ => json.to_owned(),
    }
}

fn text_within(json: &str, max_chars: usize) -> bool {
    text_of(json).is_some_and(|text| !is_blank(&text) && text.chars().count() <= max_chars)
}

/// The four blanks that JSON has, as in the pattern of the schemas: what else is blank differs from one engine of
/// regular expressions to the next.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'))
}

/// The text that the JSON text `json` is.
pub(super) fn text_of(json: &str) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    json.starts_with('"').then(|| serde_json::from_str::<Text<'_>>(json).ok())?.map(|text| text.0)
}

/// Whether a JSON text is `null`.
pub(super) fn is_null(json: &str) -> bool {
    json == "null"
}

fn is_number(json: &str) -> bool {
    json.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

fn number(json: &str) -> Option<f64> {
    is_number(json).then(|| json.parse().ok())?
}

/// Whether a JSON text is `[]`, or nothing at all.
pub(super) fn is_empty_list(json: &str) -> bool {
    is_null(json) || json.strip_prefix('[').is_some_and(|rest| rest.trim_ascii_start() == "]")
}
