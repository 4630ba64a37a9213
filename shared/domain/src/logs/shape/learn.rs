//! A line's shape: which of it are values, and which the same in every line of the shape.

use super::tree::{Segment, Then};
use super::{MAX_LINE_BYTES, MAX_TEXT_BYTES, MAX_VALUES};
use crate::logs::json::{self, Kind};
use crate::logs::record::{Format, Record, Time};

/// Names at the top of a line that are no part of schema v1, and change what becomes of other fields, or of
/// the line.
const CHANGING: [&str; 8] = ["ts", "time", "@timestamp", "severity", "lvl", "loglevel", "_aws", "span"];

/// Names at the top of a line whose value decides something: it is part of the shape.
const DECIDING: [&str; 2] = ["level", "category"];

/// Names in the context of a line whose value seldom changes: it is part of the shape, as long as that does not
/// make too many of them.
const STEADY: [&str; 3] = ["service_name", "environment", "version"];

/// A line's shape.
pub(super) struct Path {
    /// The texts that are the same; between them, and after none but the last, the values.
    pub(super) segments: Vec<Segment>,
    /// The tokens of the values.
    pub(super) values: Vec<u32>,
}

/// Whether a line may have a shape.
pub(super) fn is_regular(record: &Record<'_>) -> bool {
    record.format == Format::SchemaV1
        && matches!(record.time, Time::Written(_) | Time::Unknown)
        && record.line.len() <= MAX_LINE_BYTES
        // It would not be found again.
        && !record.tokens.iter().any(|token| token.kind == Kind::Escaped)
}

/// The shape of the line of `record`, where it is all names, structure, and values of which any other of
/// their kind would be treated in the same way.
pub(super) fn path(record: &Record<'_>, is_steady: bool) -> Option<Path> {
    let mut path = Path { segments: Vec::new(), values: Vec::new() };
    let mut from = 0;
    let mut has_time = false;
    for name in json::fields(&record.tokens, 0) {
        let (name, value) = (record.json(name).text, name + 1);
        if CHANGING.contains(&name) {
            return None;
        }
        if DECIDING.contains(&name) {
            continue;
        }
        if name == "timestamp" && !has_time {
            has_time = true;
            let text = record.json(value).text;
            let is_taken = matches!(record.time, Time::Written(time) if std::ptr::eq(time, text));
            if !is_taken {
                return None;
            }
            path.add(record, value, Then::Time, &mut from);
        } else if name == "context" && is_steady && record.json(value).kind == Kind::Object {
            for name in json::fields(&record.tokens, value) {
                if !STEADY.contains(&record.json(name).text) || record.json(name + 1).kind != Kind::Plain {
                    path.add_all(record, name + 1, &mut from)?;
                }
            }
        } else {
            path.add_all(record, value, &mut from)?;
        }
    }
    path.segments.push(Segment { text: from..record.line.len(), then: Then::End });
    let fits = |segment: &Segment| {
        let text = &record.line[segment.text.clone()];
        // In a delivery, escapes have escapes.
        text.len() <= MAX_TEXT_BYTES && !text.bytes().any(|byte| byte == b'\\' || byte < b' ')
    };
    (path.segments.iter().all(fits) && path.values.len() <= MAX_VALUES).then_some(path)
}

impl Path {
    /// Adds the value at the token `place`, or the values in it.
    fn add_all(&mut self, record: &Record<'_>, place: u32, from: &mut usize) -> Option<()> {
        let value = record.json(place);
        match value.kind {
            Kind::Escaped => return None,
            Kind::Plain => {
                // A number that no double can hold is a text, too, but none in quotes.
                let is_quoted = record.line.as_bytes()[..record.tokens[place as usize].start as usize].ends_with(b"\"");
                is_quoted.then(|| self.add(record, place, Then::Text, from))?;
            }
            Kind::Number => {
                let length = json::short_number_length(value.text.as_bytes());
                (length == Some(value.text.len())).then(|| self.add(record, place, Then::Number, from))?;
            }
            Kind::True | Kind::False => self.add(record, place, Then::Truth, from),
            Kind::Null => {}
            Kind::Object => {
                for name in json::fields(&record.tokens, place) {
                    self.add_all(record, name + 1, from)?;
                }
            }
            Kind::Array => {
                let end = record.tokens[place as usize].next;
                let mut inner = place + 1;
                while inner < end {
                    self.add_all(record, inner, from)?;
                    inner = record.tokens[inner as usize].next;
                }
            }
        }
        Some(())
    }

    fn add(&mut self, record: &Record<'_>, place: u32, then: Then, from: &mut usize) {
        let token = record.tokens[place as usize];
        self.segments.push(Segment { text: *from..token.start as usize, then });
        self.values.push(place);
        *from = token.end as usize;
    }
}
