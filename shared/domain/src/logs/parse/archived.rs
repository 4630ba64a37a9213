//! A record of the archive, read again: what a replay of the archive works on.

use jiff::Timestamp;

use super::json;
use crate::logs::json::{Kind, NotJson};
use crate::logs::record::{Field, Format, Record};

/// Where an archived record came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedSource<'a> {
    /// All of it, as it stands in the record: a JSON object.
    pub json: &'a str,
    /// Event time in epoch milliseconds.
    pub event_millis: i64,
    /// How many lines the record stands for.
    pub lines: usize,
}

/// Why a line of an archive object is no archived record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchivedError {
    /// Not a JSON object.
    #[error(transparent)]
    Json(#[from] NotJson),
    /// An object without the source that every archived record has.
    #[error("no archived record: its `source` has no {0}")]
    Source(&'static str),
}

/// Reads a line of an archive object into `record`, which is overwritten.
pub fn parse_archived<'a>(line: &'a str, record: &mut Record<'a>) -> Result<ArchivedSource<'a>, ArchivedError> {
    record.begin(line);
    json::read(record, None)?;
    let mut take = |name: &str| {
        let field =
            record.fields.iter_mut().find(|field| field.name.text == name && field.value.kind == Kind::Object)?;
        field.taken = true;
        Some(field.value)
    };
    let (extra, source) = (take("extra"), take("source"));
    if let Some(extra) = extra {
        let mut fields = std::mem::take(&mut record.fields);
        json::append_fields(record, extra.token, &mut fields);
        record.fields = fields;
    }
    let source = source.ok_or(ArchivedError::Source("fields"))?;
    let mut fields: Vec<Field<'a>> = Vec::new();
    json::append_fields(record, source.token, &mut fields);
    let field = |name: &'static str| {
        let found = fields.iter().find(|field| field.name.text == name);
        found.map(|field| field.value).ok_or(ArchivedError::Source(name))
    };
    record.format = field("format")?.plain().and_then(Format::parse).ok_or(ArchivedError::Source("known format"))?;
    let time: Option<Timestamp> = field("event_time")?.plain().and_then(|time| time.parse().ok());
    let event_millis = time.ok_or(ArchivedError::Source("event_time in RFC 3339"))?.as_millisecond();
    let joined = field("joined").map_or(0, |ids| record.tokens[ids.token as usize].next - ids.token - 1);
    Ok(ArchivedSource { json: source.text, event_millis, lines: 1 + joined as usize })
}
