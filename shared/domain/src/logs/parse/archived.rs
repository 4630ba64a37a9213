//! A record of the archive, read again: what a replay of the archive works on.

use super::json;
use crate::logs::json::NotJson;
use crate::logs::record::{Field, Format, Json, Record};

/// Where an archived record came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedSource<'a> {
    /// All of it, as it stands in the record.
    pub json: Json<'a>,
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
    record.clear();
    json::read(line, record)?;
    let mut take = |name: &str| {
        let field = record.fields.iter_mut().find(|field| field.name == name && field.value.is_object())?;
        field.taken = true;
        Some(field.value)
    };
    let (extra, source) = (take("extra"), take("source"));
    if let Some(extra) = extra {
        json::append_fields(extra.0, &mut record.fields)?;
    }
    let source = source.ok_or(ArchivedError::Source("fields"))?;
    let mut fields: Vec<Field<'a>> = Vec::new();
    json::append_fields(source.0, &mut fields)?;
    let field = |name: &'static str| {
        let found = fields.iter().find(|field| field.name == name);
        found.map(|field| field.value).ok_or(ArchivedError::Source(name))
    };
    let format = field("format")?.plain().and_then(Format::parse).ok_or(ArchivedError::Source("known format"))?;
    let time: Option<jiff::Timestamp> = field("event_time")?.plain().and_then(|time| time.parse().ok());
    let event_millis = time.ok_or(ArchivedError::Source("event_time in RFC 3339"))?.as_millisecond();
    record.format = format;
    let joined = field("joined").ok().map_or(0, |ids| ids.0.split(',').count());
    Ok(ArchivedSource { json: source, event_millis, lines: 1 + joined })
}
