//! A log record: schema v1 (the source document's `LogEntry`), with what is unknown kept beside.
//!
//! A record is a view: its parts are pieces of the line, told apart and checked, but neither decoded nor
//! copied. It becomes bytes in one place, [`write`](super::write), which redacts as it goes.

use jiff::Timestamp;
pub use schema::{CONTEXT, Category, Level};

use crate::logs::json::{self, Kind, Token};
use crate::logs::parse::postgres::Entry;

/// How a line was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON of schema v1.
    SchemaV1,
    /// The source document's own Python output.
    Python,
    /// CloudWatch's embedded metric format.
    Emf,
    /// Any other JSON object.
    Json,
    /// PostgreSQL's server log with the prefix of RDS.
    Postgresql,
    /// Anything else.
    #[default]
    Raw,
}

impl Format {
    /// All formats with their names in the archive.
    pub const NAMES: [(&str, Format); 6] = [
        ("schema_v1", Format::SchemaV1),
        ("python", Format::Python),
        ("emf", Format::Emf),
        ("json", Format::Json),
        ("postgresql", Format::Postgresql),
        ("raw", Format::Raw),
    ];

    /// Reads its name in the archive.
    pub fn parse(name: &str) -> Option<Format> {
        Format::NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// Its name in the archive.
    pub const fn as_str(self) -> &'static str {
        // They are listed in their order.
        Format::NAMES[self as usize].0
    }
}

/// A JSON value, as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a> {
    /// Its text; of a string, what stands between the quotes.
    pub text: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Its place among the tokens of the line.
    pub token: u32,
}

impl<'a> Json<'a> {
    /// The value that the token at `place` of `line` is.
    #[inline]
    pub fn at(line: &'a str, tokens: &[Token], place: u32) -> Json<'a> {
        let token = tokens[place as usize];
        Json { text: &line[token.start as usize..token.end as usize], kind: token.kind, token: place }
    }

    /// What stands between the quotes, where it is a string.
    pub fn quoted(self) -> Option<&'a str> {
        matches!(self.kind, Kind::Plain | Kind::Escaped).then_some(self.text)
    }

    /// The text of a string without escapes. Names, levels and times have none.
    pub fn plain(self) -> Option<&'a str> {
        (self.kind == Kind::Plain).then_some(self.text)
    }

    /// Whether it is a string or a number.
    pub fn is_scalar(self) -> bool {
        matches!(self.kind, Kind::Plain | Kind::Escaped | Kind::Number)
    }

    /// Itself, where it is an object.
    pub fn object(self) -> Option<Json<'a>> {
        (self.kind == Kind::Object).then_some(self)
    }

    /// Its value, where it is a number that a double can hold.
    pub fn number(self) -> Option<f64> {
        let number = (self.kind == Kind::Number).then(|| json::number(self.text))?;
        number.filter(|number: &f64| number.is_finite())
    }
}

/// When a line was written, by its writer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Time<'a> {
    /// It does not say: the event time holds.
    #[default]
    Unknown,
    /// RFC 3339 in UTC already.
    Written(&'a str),
    /// Date and time apart, in UTC.
    Parts(&'a str, &'a str),
    /// Read from something else.
    At(Timestamp),
}

/// The text of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text as it is.
    Plain(&'a str),
    /// A JSON value: a string, or anything else, which is archived as the text that it is written as.
    Json(Json<'a>),
    /// What the database server said.
    Server,
}

/// Places in [`CONTEXT`].
pub const REQUEST_ID: usize = 0;
/// The service that writes.
pub const SERVICE_NAME: usize = 3;
/// Where it runs.
pub const ENVIRONMENT: usize = 4;
/// Ids that correlate lines, and are archived as they are.
pub const CORRELATING: [usize; 3] = [REQUEST_ID, 6, 7];

/// One log record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    /// How the line was written.
    pub format: Format,
    /// When.
    pub time: Time<'a>,
    /// How grave it is.
    pub level: Level,
    /// What it is about.
    pub category: Category,
    /// The text.
    pub message: Message<'a>,
    /// The request it belongs to, by the names of [`CONTEXT`]: strings and numbers.
    pub context: [Option<Json<'a>>; 8],
    /// Whatever else its writer knew: an object.
    pub details: Option<Json<'a>>,
    /// `type`, `message` and `traceback` of an error: an object, or a string that is the message.
    pub error: Option<Json<'a>>,
    /// How long what it speaks of took, in milliseconds: a number.
    pub duration_ms: Option<&'a str>,
    /// What was done and how long it took, where the line tells of a span: an object with `operation_name`.
    pub span: Option<Json<'a>>,
    /// The line.
    pub line: &'a str,
    /// The tokens of the line, where it is JSON.
    pub tokens: Vec<Token>,
    /// The fields of the line that are nowhere above, by the tokens of their names, in order: unknown, or of
    /// values that schema v1 does not allow. `null` says nothing, so it is no field.
    pub left: Vec<u32>,
    /// The fields of its `context`, likewise.
    pub left_of_context: Vec<u32>,
    /// Entries of the database server's log: what it said, and what continues that.
    pub entries: Vec<Entry<'a>>,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Record {
            format: Format::Raw,
            time: Time::Unknown,
            level: Level::Info,
            category: Category::System,
            message: Message::Plain(""),
            context: [None; 8],
            details: None,
            error: None,
            duration_ms: None,
            span: None,
            line: "",
            tokens: Vec::new(),
            left: Vec::new(),
            left_of_context: Vec::new(),
            entries: Vec::new(),
        }
    }
}

impl<'a> Record<'a> {
    /// Forgets the record, and keeps the room that it took, for `line`.
    pub fn begin(&mut self, line: &'a str) {
        // One by one: to build a new record and to move it here takes longer than to read many a line.
        self.format = Format::Raw;
        self.time = Time::Unknown;
        self.level = Level::Info;
        self.category = Category::System;
        self.message = Message::Plain("");
        self.context = [None; 8];
        self.details = None;
        self.error = None;
        self.duration_ms = None;
        self.span = None;
        self.line = line;
        self.tokens.clear();
        self.left.clear();
        self.left_of_context.clear();
        self.entries.clear();
    }

    /// The value that the token at `place` is.
    #[inline]
    pub fn json(&self, place: u32) -> Json<'a> {
        Json::at(self.line, &self.tokens, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_in_the_order_of_what_they_name() {
        for (place, (name, format)) in Format::NAMES.into_iter().enumerate() {
            assert_eq!((format as usize, format.as_str()), (place, name));
        }
    }
}
