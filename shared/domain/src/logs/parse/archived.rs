//! A record of the archive, read again: what a replay of the archive works on.

use jiff::Timestamp;

use super::json;
use crate::logs::json::{Kind, MAX_DEPTH, NotJson, fields};
use crate::logs::record::{Format, Record};

/// How deep an archived record may lie: what a line had at its root or in its `context` lies deeper by one in
/// `extra`, and what was archived must be readable.
const MAX_ARCHIVED_DEPTH: usize = MAX_DEPTH + 2;

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
    json::read(record, None, MAX_ARCHIVED_DEPTH)?;
    let (extra, source) = (take(record, "extra"), take(record, "source"));
    if let Some(extra) = extra {
        let Record { tokens, left, .. } = record;
        left.extend(fields(tokens, extra).filter(|name| tokens[*name as usize + 1].kind != Kind::Null));
    }
    let source = source.ok_or(ArchivedError::Source("fields"))?;
    let field = |name: &'static str| {
        let found = fields(&record.tokens, source).find(|place| record.json(*place).text == name);
        found.map(|place| record.json(place + 1)).ok_or(ArchivedError::Source(name))
    };
    let format = field("format")?.plain().and_then(Format::parse).ok_or(ArchivedError::Source("known format"))?;
    let time: Option<Timestamp> = field("event_time")?.plain().and_then(|time| time.parse().ok());
    let event_millis = time.ok_or(ArchivedError::Source("event_time in RFC 3339"))?.as_millisecond();
    let joined = field("joined").map_or(0, |ids| record.tokens[ids.token as usize].next - ids.token - 1);
    let json = record.json(source).text;
    record.format = format;
    Ok(ArchivedSource { json, event_millis, lines: 1 + joined as usize })
}

/// Takes the field `name` from those that are left, where it is an object: returns the token of that.
fn take(record: &mut Record<'_>, name: &str) -> Option<u32> {
    let is_it = |place: &u32| record.json(*place).text == name && record.json(*place + 1).kind == Kind::Object;
    let at = record.left.iter().position(is_it)?;
    Some(record.left.remove(at) + 1)
}
