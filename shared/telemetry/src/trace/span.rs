//! What a span of `tracing` carries for us, and the line that it becomes.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::field::{Field, Visit};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use schema::trace::{Parent, SpanId, SpanKind, SpanStatus, TraceId};
use schema::{Category, Level};

use crate::handle::Telemetry;
use crate::json;
use crate::line::{self, ErrorParts, MAX_LINE_BYTES, Place, Record, Text, with_record};
use crate::metrics::millis;
use crate::scope::{Ids, SharedIds};
use crate::secret::{MASK, MaskedNames};

/// How many entries of `logs` a span keeps. Later ones are counted in `logs_cut`.
const MAX_LOGS: u32 = 32;

/// How many bytes of `logs`.
const MAX_LOG_BYTES: usize = 64 * 1024;

/// What is around the tags of a line: `,"tags":{` and `"truncated":true}`.
const TAGS_AROUND: usize = 32;

/// How many tags a span keeps. Later ones are let go.
const MAX_TAGS: usize = 64;

/// What a span hands on to what is in it, and its line where its trace is kept. A span that would only hand on what
/// it is handed has none: the nearest around it is looked at.
#[derive(Debug, Default)]
pub(crate) struct SpanState {
    pub(crate) ids: Option<Arc<SharedIds>>,
    pub(crate) place: Option<Place>,
    /// Of a span of a kept trace.
    pub(crate) open: Option<Box<OpenSpan>>,
}

/// A span that will be a line.
#[derive(Debug)]
pub(crate) struct OpenSpan {
    pub(crate) parent: Option<SpanId>,
    /// Whether that is a span of another service.
    has_remote_parent: bool,
    pub(crate) name: Option<String>,
    pub(crate) kind: SpanKind,
    pub(crate) status: Option<SpanStatus>,
    pub(crate) resource: Option<String>,
    pub(crate) tags: Tags,
    started_at: SystemTime,
    /// The wall clock may be set meanwhile.
    started: Instant,
    /// Entries of `logs`, a comma before each.
    logs: Vec<u8>,
    logs_kept: u32,
    logs_cut: u64,
}

/// Looks at the state that holds in a span: its own, or that of the nearest span around it.
pub(crate) fn nearest<S, R>(span: &SpanRef<'_, S>, look: impl FnOnce(&SpanState) -> R) -> Option<R>
where
    S: for<'a> LookupSpan<'a>,
{
    if let Some(state) = span.extensions().get::<SpanState>() {
        return Some(look(state));
    }
    let mut next = span.parent();
    while let Some(span) = next {
        if let Some(state) = span.extensions().get::<SpanState>() {
            return Some(look(state));
        }
        next = span.parent();
    }
    None
}

impl SpanState {
    /// Whether a span within may be a line, or begin a trace. That never changes.
    pub(crate) fn is_watched(&self) -> bool {
        self.place.is_none_or(|place| place.sampled)
    }

    /// What a child elsewhere is told.
    pub(crate) fn parent(&self) -> Option<Parent> {
        let Place { trace_id, span_id, sampled, .. } = self.place?;
        Some(Parent { trace_id, span_id, sampled: Some(sampled) })
    }

    /// Writes the span's line, if it is to have one: whether the sink took it.
    pub(crate) fn write(&self, telemetry: &Telemetry, span_name: &str, in_progress: bool) -> Option<bool> {
        let (open, place) = (self.open.as_deref()?, self.place.as_ref()?);
        Some(with_record(|record| {
            let ids = self.ids.as_ref().map(|ids| ids.read());
            open.make_line(record, telemetry.identity_json(), ids.as_deref(), place, span_name, in_progress);
            drop(ids);
            telemetry.sink().write_line(&record.line)
        }))
    }
}

impl OpenSpan {
    pub(crate) fn begin(
        now: SystemTime,
        (parent, has_remote_parent): (Option<SpanId>, bool),
        found: Found,
        tags: Tags,
    ) -> OpenSpan {
        OpenSpan {
            parent,
            has_remote_parent,
            name: found.name,
            kind: found.kind.unwrap_or_default(),
            status: found.status,
            resource: found.resource,
            tags,
            started_at: now,
            started: Instant::now(),
            logs: Vec::new(),
            logs_kept: 0,
            logs_cut: 0,
        }
    }

    /// Takes in what was recorded later.
    pub(crate) fn update(&mut self, found: Found, tags: &Tags) {
        self.name = found.name.or(self.name.take());
        self.kind = found.kind.unwrap_or(self.kind);
        self.status = found.status.or(self.status);
        self.resource = found.resource.or(self.resource.take());
        self.tags.merge(tags);
    }

    /// Adds an event that happened in the span.
    pub(crate) fn add_event(&mut self, record: &mut Record, at: SystemTime, level: Level) {
        let fields = record.details.get(1..).unwrap_or_default();
        if level >= Level::Error && record.error.is_some() {
            self.status = self.status.or(Some(SpanStatus::Error));
            self.tags.set("error", |out| json::boolean(out, true));
            let ErrorParts { kind, message, .. } = &record.error;
            for (name, inner) in [("error.type", kind), ("error.message", message)] {
                if !inner.is_empty() {
                    self.tags.set(name, |out| quoted(out, inner));
                }
            }
        }
        let message = record.message.as_deref().unwrap_or_default();
        if self.has_room(message.len() + fields.len()) {
            self.begin_log(&mut record.clock, at, level, message);
            self.logs.extend_from_slice(fields);
            self.logs.extend_from_slice(b"}}");
        } else {
            self.logs_cut += 1;
        }
    }

    pub(crate) fn add_log(&mut self, level: Level, message: &str, fields: &[(&str, &str)], masked: &MaskedNames) {
        with_record(|record| {
            json::inner_text(&mut record.line, message);
            for (name, value) in fields {
                json::name(&mut record.details, name);
                json::text(&mut record.details, if masked.contains(name) { MASK } else { value });
            }
            if !self.has_room(record.line.len() + record.details.len()) {
                self.logs_cut += 1;
                return;
            }
            self.begin_log(&mut record.clock, SystemTime::now(), level, &record.line);
            self.logs.extend_from_slice(record.details.get(1..).unwrap_or_default());
            self.logs.extend_from_slice(b"}}");
        });
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.logs_kept < MAX_LOGS && self.logs.len() + bytes <= MAX_LOG_BYTES
    }

    fn begin_log(&mut self, clock: &mut crate::clock::Clock, at: SystemTime, level: Level, message: &[u8]) {
        self.logs_kept += 1;
        let out = &mut self.logs;
        out.extend_from_slice(b",{\"timestamp\":\"");
        clock.micros(out, at);
        out.extend_from_slice(b"\",\"level\":\"");
        out.extend_from_slice(level.as_str().as_bytes());
        out.extend_from_slice(b"\",\"message\":\"");
        out.extend_from_slice(message);
        out.extend_from_slice(b"\",\"fields\":{");
    }

    fn make_line(
        &self,
        record: &mut Record,
        identity: &[u8],
        ids: Option<&Ids>,
        place: &Place,
        span_name: &str,
        in_progress: bool,
    ) {
        let took = self.started.elapsed();
        let ended_at = self.started_at + took;
        let name = self.name.as_deref().unwrap_or(span_name);
        record.head(ended_at, Level::Info, Category::Performance);
        let Record { line, clock, .. } = record;
        member(line, "message", name);
        line.extend_from_slice(b",\"context\":{");
        line::context(line, identity, ids, Some(place));
        line.push(b'}');
        if !in_progress {
            json::name(line, "duration_ms");
            json::float(line, millis(took));
        }
        line.extend_from_slice(b",\"span\":{\"operation_name\":");
        json::text(line, name);
        if let Some(parent) = self.parent {
            json::name(line, "parent_span_id");
            quoted(line, &parent.digits());
        }
        if self.has_remote_parent {
            line.extend_from_slice(b",\"remote_parent\":true");
        }
        line.extend_from_slice(b",\"start_time\":\"");
        clock.micros(line, self.started_at);
        line.push(b'"');
        if in_progress {
            line.extend_from_slice(b",\"in_progress\":true");
        } else {
            line.extend_from_slice(b",\"end_time\":\"");
            clock.micros(line, ended_at);
            line.push(b'"');
        }
        member(line, "kind", self.kind.as_str());
        member(line, "status", self.status.unwrap_or_default().as_str());
        member(line, "resource", self.resource.as_deref().unwrap_or(name));
        self.tags.write(line, (MAX_LINE_BYTES - 64).saturating_sub(line.len() + self.logs.len()));
        if let Some(logs) = self.logs.get(1..) {
            line.extend_from_slice(b",\"logs\":[");
            line.extend_from_slice(logs);
            line.push(b']');
        }
        if self.logs_cut > 0 {
            json::name(line, "logs_cut");
            json::unsigned(line, self.logs_cut);
        }
        line.extend_from_slice(b"}}");
    }
}

fn member(line: &mut Vec<u8>, name: &str, value: &str) {
    json::name(line, name);
    json::text(line, value);
}

fn quoted(line: &mut Vec<u8>, inner: &[u8]) {
    line.push(b'"');
    line.extend_from_slice(inner);
    line.push(b'"');
}

/// The tags of a span: names, and where the JSON of the value is.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    named: Vec<(Cow<'static, str>, Range<usize>)>,
    json: Vec<u8>,
}

impl Tags {
    /// Sets a tag to what `write` writes. One of the same name is replaced.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'static, str>>, write: impl FnOnce(&mut Vec<u8>)) {
        let (name, begin) = (name.into(), self.json.len());
        let at = self.named.iter().position(|(known, _)| *known == name);
        if at.is_none() && self.named.len() == MAX_TAGS {
            return;
        }
        write(&mut self.json);
        let range = begin..self.json.len();
        match at {
            Some(at) => {
                self.named[at].1 = range;
                self.forget_replaced();
            }
            None => self.named.push((name, range)),
        }
    }

    /// A tag that is set again and again leaves nothing behind for long.
    fn forget_replaced(&mut self) {
        let live: usize = self.named.iter().map(|(_, range)| range.len()).sum();
        if self.json.len() > 1024 + 2 * live {
            let mut json = Vec::with_capacity(live);
            for (_, range) in &mut self.named {
                let begin = json.len();
                json.extend_from_slice(&self.json[range.clone()]);
                *range = begin..json.len();
            }
            self.json = json;
        }
    }

    pub(crate) fn set_named(&mut self, name: &str, value: Tag<'_>, masked: &MaskedNames) {
        self.set(name.to_owned(), |out| match value {
            _ if masked.contains(name) => json::text(out, MASK),
            Tag::Text(text) => json::text(out, text),
            Tag::Integer(number) => json::signed(out, number),
            Tag::Number(number) => json::float(out, number),
            Tag::Boolean(boolean) => json::boolean(out, boolean),
        });
    }

    fn merge(&mut self, later: &Tags) {
        for (name, range) in &later.named {
            self.set(name.clone(), |out| out.extend_from_slice(&later.json[range.clone()]));
        }
    }

    /// Writes them in `room` bytes. What is too long is left out, the longest first, and `truncated` tells it.
    fn write(&self, line: &mut Vec<u8>, room: usize) {
        if self.named.is_empty() {
            return;
        }
        // Names take no more room than this when they are written, and a comma, a colon and quotes.
        let length = |(name, range): &(Cow<'_, str>, Range<usize>)| 6 * name.len() + 4 + range.len();
        let mut longest = usize::MAX;
        let mut all: usize = self.named.iter().map(length).sum();
        if all + TAGS_AROUND > room {
            let mut lengths: Vec<usize> = self.named.iter().map(length).collect();
            lengths.sort_unstable();
            while all + TAGS_AROUND > room
                && let Some(length) = lengths.pop()
            {
                (all, longest) = (all - length, length);
            }
            // Of several that are as long as each other all are left out.
        }
        line.extend_from_slice(b",\"tags\":");
        let open = line.len();
        for (name, range) in self.named.iter().filter(|tag| length(tag) < longest) {
            json::name(line, name);
            line.extend_from_slice(&self.json[range.clone()]);
        }
        if longest < usize::MAX {
            json::name(line, "truncated");
            json::boolean(line, true);
        }
        // Over the first comma.
        line[open] = b'{';
        line.push(b'}');
    }
}

/// The value of a tag.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tag<'a> {
    /// A text.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A number; one that is not finite becomes a text.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
}

macro_rules! tag_of {
    ($($from:ty => $tag:ident),*) => {
        $(impl<'a> From<$from> for Tag<'a> {
            fn from(value: $from) -> Tag<'a> {
                Tag::$tag(value.into())
            }
        })*
    };
}

tag_of!(&'a str => Text, i64 => Integer, i32 => Integer, u32 => Integer, u16 => Integer, f64 => Number, bool => Boolean);

/// Whether a field of this name is an id of a request.
pub(crate) fn is_id(name: &str) -> bool {
    matches!(name, "request_id" | "requestId" | "user_id" | "session_id")
}

/// Whether a field of this name changes what is inherited by what is in the span.
pub(crate) fn is_inherited(name: &str) -> bool {
    match name.len() {
        7 => name == "user_id",
        8 => name == "trace_id",
        9 => name == "requestId",
        10 => name == "request_id" || name == "session_id",
        11 => name == "traceparent" || name == "xrayTraceId",
        _ => false,
    }
}

/// What the fields of a span say beside its tags.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Whether the span is there already: then it is too late for another trace.
    pub(crate) is_late: bool,
    /// Request, user and session id.
    pub(crate) ids: [Option<String>; 3],
    pub(crate) remote: Option<Parent>,
    /// Whether that is of somebody who is not trusted.
    pub(crate) is_foreign: bool,
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<SpanKind>,
    pub(crate) status: Option<SpanStatus>,
    pub(crate) resource: Option<String>,
}

impl Found {
    pub(crate) fn has_ids(&self) -> bool {
        self.ids.iter().any(Option::is_some)
    }

    /// Takes what has a place of its own; `false` of what is a tag.
    fn take(&mut self, name: &str, value: Text<'_>) -> bool {
        match name {
            // The Lambda runtime's own span says `requestId` and `xrayTraceId`.
            "request_id" | "requestId" => self.ids[0] = Some(value.owned()),
            "user_id" => self.ids[1] = Some(value.owned()),
            "session_id" => self.ids[2] = Some(value.owned()),
            "span.name" | "otel.name" => self.name = Some(value.owned()),
            "span.resource" => self.resource = Some(value.owned()),
            "span.kind" | "otel.kind" => {
                return set(&mut self.kind, SpanKind::parse(&value.owned().to_ascii_lowercase()));
            }
            "span.status" | "otel.status_code" => {
                return set(&mut self.status, SpanStatus::parse(&value.owned().to_ascii_lowercase()));
            }
            // Seen as a tag at least.
            "traceparent" | "xrayTraceId" | "trace_id" if self.is_late => return false,
            "traceparent" => return set(&mut self.remote, Parent::of_traceparent(&value.owned())),
            "xrayTraceId" => return set(&mut self.remote, Parent::of_amzn(&value.owned())),
            "trace_id" => {
                let of_trace = |trace_id: TraceId| Parent { trace_id, span_id: None, sampled: None };
                return set(&mut self.remote, value.owned().parse().ok().map(of_trace));
            }
            _ => return false,
        }
        true
    }
}

/// What can't be read is a tag: it is seen, and does no harm.
fn set<T>(place: &mut Option<T>, read: Option<T>) -> bool {
    let is_read = read.is_some();
    if is_read {
        *place = read;
    }
    is_read
}

/// Sorts the fields of a span: what has a place goes there, the rest is tags, where someone wants them.
pub(crate) struct SpanFields<'a> {
    pub(crate) found: &'a mut Found,
    pub(crate) tags: Option<&'a mut Tags>,
    pub(crate) masked: &'a MaskedNames,
}

impl SpanFields<'_> {
    fn tag(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(tags) = &mut self.tags {
            let masked = self.masked.contains(field.name());
            tags.set(field.name(), |out| if masked { json::text(out, MASK) } else { write(out) });
        }
    }

    fn text(&mut self, field: &Field, value: Text<'_>) {
        if !self.found.take(field.name(), value) {
            self.tag(field, |out| value.write(out));
        }
    }
}

impl Visit for SpanFields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.tag(field, |out| json::float(out, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        // Ids are texts, also those that look like numbers.
        if !self.found.take(field.name(), Text::Formatted(format_args!("{value}"))) {
            self.tag(field, |out| json::signed(out, value));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !self.found.take(field.name(), Text::Formatted(format_args!("{value}"))) {
            self.tag(field, |out| json::unsigned(out, value));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.tag(field, |out| json::boolean(out, value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, Text::Plain(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.tag(field, |out| {
            out.push(b'"');
            line::chain(out, value);
            out.push(b'"');
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, Text::Formatted(format_args!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_tag_that_is_set_again_and_again_takes_no_more_room() {
        let mut tags = Tags::default();
        tags.set("first", |out| json::text(out, "stays"));
        for number in 0..10_000 {
            tags.set("progress", |out| json::unsigned(out, number));
        }
        assert!(tags.json.len() < 2_000, "{}", tags.json.len());
        let mut line = b"{\"a\":1".to_vec();
        tags.write(&mut line, 1_000);
        line.push(b'}');
        let read: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read["tags"], json!({ "first": "stays", "progress": 9_999 }));
    }

    #[test]
    fn the_longest_tags_give_way() {
        let mut tags = Tags::default();
        tags.set("http.status_code", |out| json::unsigned(out, 500));
        tags.set("db.statement", |out| json::text(out, &"x".repeat(3_000)));
        tags.set("longer", |out| json::text(out, &"x".repeat(3_100)));
        tags.set("error", |out| json::boolean(out, true));
        for (room, names) in [
            (10_000, &["db.statement", "error", "http.status_code", "longer"][..]),
            (5_000, &["db.statement", "error", "http.status_code", "truncated"]),
            (2_000, &["error", "http.status_code", "truncated"]),
            (0, &["truncated"]),
        ] {
            let mut line = b"{\"a\":1".to_vec();
            tags.write(&mut line, room);
            line.push(b'}');
            assert!(line.len() <= room.max(32) + 8, "{} of {room}", line.len());
            let read: Value = serde_json::from_slice(&line).unwrap();
            let seen: Vec<&str> = read["tags"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(seen, names, "{room}");
        }
    }
}
