//! One record of schema v1: its parts as they are visited, and the line that they make.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};

use schema::trace::{SpanId, TraceId};
use schema::{CONTEXT, Category, Level};

use crate::clock::Clock;
use crate::json;
use crate::metrics::now_millis;
use crate::scope::Ids;
use crate::secret::{MASK, MaskedNames};

/// The longest line, in bytes: what CloudWatch takes as one event, less its own 26.
pub(crate) const MAX_LINE_BYTES: usize = 256 * 1024 - 26;

/// What a thread keeps of its buffers between two lines.
const KEPT_BYTES: usize = 64 * 1024;

/// What an id may take that a record itself has.
const MAX_ID_BYTES: usize = 1024;

/// What the message and each part of the error may take in a record that is too long without its details, too.
const SHORT_TEXT_BYTES: usize = 8 * 1024;

/// How many causes of an error are followed.
pub(crate) const MAX_CAUSES: usize = 16;

/// The parts of a record, as JSON already. A thread has one, and uses its buffers again for each record.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) line: Vec<u8>,
    pub(crate) clock: Clock,
    pub(crate) category: Option<Category>,
    /// Without quotes.
    pub(crate) message: Option<Vec<u8>>,
    /// `,"name":value` for each.
    pub(crate) details: Vec<u8>,
    pub(crate) error: ErrorParts,
    pub(crate) duration_ms: Option<f64>,
    /// An ERROR that is a CRITICAL.
    pub(crate) critical: bool,
    /// Whether the record is kept with the span it happens in; `None` where its level decides.
    pub(crate) span_log: Option<bool>,
    /// Ids that the record itself has, without quotes, in the order of [`IDS`].
    ids: [Option<String>; 5],
    has_ids: bool,
    spare_message: Vec<u8>,
}

/// The ids of `context` that are not the service's own.
const IDS: [&str; 5] = [CONTEXT[0], CONTEXT[1], CONTEXT[2], CONTEXT[6], CONTEXT[7]];

/// Parts of `error`, without quotes. None of them empty means that there is an error.
#[derive(Default)]
pub(crate) struct ErrorParts {
    pub(crate) kind: Vec<u8>,
    pub(crate) message: Vec<u8>,
    pub(crate) traceback: Vec<u8>,
}

impl ErrorParts {
    pub(crate) fn is_some(&self) -> bool {
        !(self.kind.is_empty() && self.message.is_empty() && self.traceback.is_empty())
    }
}

/// In which trace and span something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: Option<SpanId>,
    /// Whether the trace is kept.
    pub(crate) sampled: bool,
    /// Whether the span is not ours: a header named it.
    pub(crate) is_remote: bool,
}

thread_local! {
    static RECORD: Cell<Option<Box<Record>>> = const { Cell::new(None) };
    // Those that need no destructor are there until the thread is gone, the buffer is not.
    static WAITING: Cell<Waiting> = const { Cell::new(Waiting::Nothing) };
    static WRITTEN: Cell<bool> = const { Cell::new(false) };
    static MEMBERS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's record. A value that logs while it is written gets another one.
pub(crate) fn with_record<R>(work: impl FnOnce(&mut Record) -> R) -> R {
    // A thread that is ending may have none any more.
    let mut record = RECORD.try_with(Cell::take).ok().flatten().unwrap_or_default();
    record.clear();
    let result = work(&mut record);
    let _ = RECORD.try_with(|place| place.set(Some(record)));
    result
}

impl Record {
    fn clear(&mut self) {
        if let Some(message) = self.message.take() {
            self.spare_message = message;
        }
        for buffer in [
            &mut self.line,
            &mut self.spare_message,
            &mut self.details,
            &mut self.error.kind,
            &mut self.error.message,
            &mut self.error.traceback,
        ] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
        }
        self.category = None;
        self.duration_ms = None;
        self.critical = false;
        self.span_log = None;
        if self.has_ids {
            self.ids = Default::default();
            self.has_ids = false;
        }
    }

    /// The message's buffer, empty.
    fn message_buffer(&mut self) -> &mut Vec<u8> {
        let mut buffer = self.message.take().unwrap_or_else(|| std::mem::take(&mut self.spare_message));
        buffer.clear();
        self.message.insert(buffer)
    }

    /// Makes the line but for its closing brace, so that members can follow, which take `more` bytes. A line that
    /// would be too long has no details, and if need be shorter texts.
    pub(crate) fn make_line(
        &mut self,
        at: SystemTime,
        level: Level,
        identity: &[u8],
        ids: Option<&Ids>,
        place: Option<&Place>,
        more: usize,
    ) {
        let most = MAX_LINE_BYTES.saturating_sub(more + 1);
        let before_details = self.begin(at, level, identity, ids, place);
        self.details_to_duration(false);
        if self.line.len() <= most {
            return;
        }
        self.line.truncate(before_details);
        self.details_to_duration(true);
        if self.line.len() <= most {
            return;
        }
        let ErrorParts { kind, message, traceback } = &mut self.error;
        for text in [kind, message, traceback].into_iter().chain(&mut self.message) {
            json::cut(text, SHORT_TEXT_BYTES);
        }
        self.line.clear();
        self.begin(at, level, identity, ids, place);
        self.details_to_duration(true);
    }

    /// Everything before the details, and how much that is.
    fn begin(
        &mut self,
        at: SystemTime,
        level: Level,
        identity: &[u8],
        ids: Option<&Ids>,
        place: Option<&Place>,
    ) -> usize {
        self.head(at, level, self.category.unwrap_or(Category::System));
        if let Some(message) = &self.message {
            member_text(&mut self.line, "message", message);
        }
        self.line.extend_from_slice(b",\"context\":{");
        if self.has_ids {
            self.own_context(identity, ids, place);
        } else {
            context(&mut self.line, identity, ids, place);
        }
        self.line.push(b'}');
        self.line.len()
    }

    /// `{"timestamp":...,"level":...,"category":...`
    pub(crate) fn head(&mut self, at: SystemTime, level: Level, category: Category) {
        let line = &mut self.line;
        line.extend_from_slice(b"{\"timestamp\":\"");
        self.clock.millis(line, at);
        for part in ["\",\"level\":\"", level.as_str(), "\",\"category\":\"", category.as_str(), "\""] {
            line.extend_from_slice(part.as_bytes());
        }
    }

    fn details_to_duration(&mut self, too_long: bool) {
        let line = &mut self.line;
        if too_long {
            line.extend_from_slice(b",\"details\":{\"truncated\":true,\"details_bytes\":");
            json::unsigned(line, self.details.len() as u64);
            line.push(b'}');
        } else if let Some(details) = self.details.get(1..) {
            line.extend_from_slice(b",\"details\":{");
            line.extend_from_slice(details);
            line.push(b'}');
        }
        if self.error.is_some() {
            let ErrorParts { kind, message, traceback } = &self.error;
            let said = self.message.as_deref().unwrap_or_default();
            line.extend_from_slice(b",\"error\":{\"type\":\"");
            line.extend_from_slice(if kind.is_empty() { b"Error" } else { kind });
            line.push(b'"');
            member_text(line, "message", if message.is_empty() { said } else { message });
            if !traceback.is_empty() {
                member_text(line, "traceback", traceback);
            }
            line.push(b'}');
        }
        if let Some(ms) = self.duration_ms {
            line.extend_from_slice(b",\"duration_ms\":");
            json::float(line, ms);
        }
    }

    /// The context of a record that names ids of its own, which hold for it alone.
    fn own_context(&mut self, identity: &[u8], ids: Option<&Ids>, place: Option<&Place>) {
        let line = &mut self.line;
        let begin = line.len();
        let of_request = [0, 1, 2].map(|at| ids.and_then(|ids| ids.get(at)));
        for (at, of_request) in of_request.into_iter().enumerate() {
            if let Some(id) = self.ids[at].as_deref().or(of_request) {
                json::name(line, IDS[at]);
                json::text(line, id);
            }
        }
        line.push(b',');
        line.extend_from_slice(identity);
        let of_trace =
            [place.map(|place| place.trace_id.to_string()), place.and_then(|p| p.span_id).map(|id| id.to_string())];
        for (at, of_trace) in of_trace.iter().enumerate() {
            if let Some(id) = self.ids[at + 3].as_ref().or(of_trace.as_ref()) {
                json::name(line, IDS[at + 3]);
                json::text(line, id);
            }
        }
        // Every member came with a comma before it.
        line.remove(begin);
    }
}

fn member_text(line: &mut Vec<u8>, name: &str, inner: &[u8]) {
    json::name(line, name);
    line.push(b'"');
    line.extend_from_slice(inner);
    line.push(b'"');
}

/// The members of `context`.
pub(crate) fn context(line: &mut Vec<u8>, identity: &[u8], ids: Option<&Ids>, place: Option<&Place>) {
    if let Some(ids) = ids {
        line.extend_from_slice(ids.json());
    }
    line.extend_from_slice(identity);
    if let Some(place) = place {
        line.extend_from_slice(b",\"trace_id\":\"");
        line.extend_from_slice(&place.trace_id.xray());
        line.push(b'"');
        if let Some(span_id) = place.span_id {
            line.extend_from_slice(b",\"span_id\":\"");
            line.extend_from_slice(&span_id.digits());
            line.push(b'"');
        }
    }
}

/// What a field says as text.
#[derive(Clone, Copy)]
pub(crate) enum Text<'a> {
    /// As it is.
    Plain(&'a str),
    /// As it formats itself.
    Formatted(fmt::Arguments<'a>),
}

impl Text<'_> {
    /// Without quotes.
    pub(crate) fn write_inner(self, out: &mut Vec<u8>) {
        match self {
            Text::Plain(text) => json::inner_text(out, text),
            Text::Formatted(value) => json::inner_formatted(out, value),
        }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.write_inner(out);
        out.push(b'"');
    }

    pub(crate) fn owned(self) -> String {
        match self {
            Text::Plain(text) => text.to_owned(),
            Text::Formatted(value) => formatted(value),
        }
    }
}

/// What a value formats itself as. One that can't leaves what it has written until then, where `to_string` panics.
fn formatted(value: fmt::Arguments<'_>) -> String {
    let mut text = String::new();
    let _ = text.write_fmt(value);
    text
}

/// Sorts the fields of an event into a record.
pub(crate) struct Fields<'a> {
    pub(crate) record: &'a mut Record,
    pub(crate) masked: &'a MaskedNames,
}

impl Fields<'_> {
    /// Writes a detail, or says that it is secret.
    fn detail(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>)) {
        let details = &mut self.record.details;
        json::name(details, field.name());
        if self.masked.contains(field.name()) { json::text(details, MASK) } else { write(details) }
    }

    fn text(&mut self, field: &Field, value: Text<'_>) {
        let record = &mut *self.record;
        match field.name() {
            "message" => value.write_inner(record.message_buffer()),
            "category" => self.category(field, value),
            "error" | "error.message" => {
                record.error.message.clear();
                value.write_inner(&mut record.error.message);
                if record.error.message.is_empty() {
                    record.error.message.extend_from_slice(b"unknown");
                }
            }
            "error.type" => {
                record.error.kind.clear();
                value.write_inner(&mut record.error.kind);
            }
            "error.traceback" => {
                record.error.traceback.clear();
                value.write_inner(&mut record.error.traceback);
            }
            name => match id_at(name) {
                Some(at) => {
                    let mut id = value.owned();
                    id.truncate(id.floor_char_boundary(MAX_ID_BYTES));
                    record.ids[at] = Some(id);
                    record.has_ids = true;
                }
                None => self.detail(field, |out| value.write(out)),
            },
        }
    }

    fn category(&mut self, field: &Field, value: Text<'_>) {
        let known = match value {
            Text::Plain(name) => Category::parse(name),
            Text::Formatted(value) => Category::parse(&formatted(value)),
        };
        match known {
            Some(category) => self.record.category = Some(category),
            // A category that is none is kept, where it can do no harm.
            None => self.detail(field, |out| value.write(out)),
        }
    }

    fn number(&mut self, field: &Field, value: f64, write: impl FnOnce(&mut Vec<u8>)) {
        if field.name() == "duration_ms" && value.is_finite() {
            self.record.duration_ms = Some(value);
        } else if let Some(at) = id_at(field.name()) {
            // Ids are texts, also those that look like numbers.
            let mut digits = Vec::new();
            write(&mut digits);
            self.record.ids[at] = Some(String::from_utf8_lossy(&digits).trim_matches('"').to_owned());
            self.record.has_ids = true;
        } else {
            self.detail(field, write);
        }
    }
}

/// The place of an id in [`IDS`].
fn id_at(name: &str) -> Option<usize> {
    // By length first: most names are no id.
    if !matches!(name.len(), 7..=10) {
        return None;
    }
    IDS.iter().position(|id| *id == name)
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value, |out| json::float(out, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value as f64, |out| json::signed(out, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value as f64, |out| json::unsigned(out, value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.text(field, Text::Formatted(format_args!("{value}")));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.text(field, Text::Formatted(format_args!("{value}")));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "critical" => self.record.critical = value,
            "span.log" => self.record.span_log = Some(value),
            _ => self.detail(field, |out| json::boolean(out, value)),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, Text::Plain(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if field.name() == "error" {
            let parts = &mut self.record.error;
            parts.message.clear();
            chain(&mut parts.message, value);
            if parts.kind.is_empty() {
                type_of(&mut parts.kind, value);
            }
        } else {
            self.detail(field, |out| {
                out.push(b'"');
                chain(out, value);
                out.push(b'"');
            });
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, Text::Formatted(format_args!("{value:?}")));
    }
}

/// `a: b: c`, of an error and what caused it: all of it is one text, and cut as one. A cause that an error's own text
/// ends with is not said again.
pub(crate) fn chain(out: &mut Vec<u8>, error: &(dyn Error + 'static)) {
    let begin = out.len();
    let most = begin + json::MAX_TEXT_BYTES;
    let mut is_cut = json::formatted_until(out, most, format_args!("{error}"));
    let mut next = error.source();
    for _ in 0..MAX_CAUSES {
        let (Some(cause), false) = (next, is_cut) else { return };
        next = cause.source();
        let end = out.len();
        out.extend_from_slice(b": ");
        let cause_begin = out.len();
        is_cut = json::formatted_until(out, most, format_args!("{cause}"));
        let (before, said) = out.split_at(cause_begin);
        if said.is_empty() || before[begin..end].ends_with(said) {
            out.truncate(end);
        }
    }
}

/// The name that an error's `Debug` begins with, as derived: of a struct, or of an enum's case. `Error` where it
/// begins with something else.
fn type_of(out: &mut Vec<u8>, error: &(dyn Error + 'static)) {
    struct Name<'a> {
        out: &'a mut Vec<u8>,
        /// Up to two characters that come after the name.
        after: [Option<char>; 2],
    }
    impl fmt::Write for Name<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                match self.after {
                    [None, _] if character.is_ascii_alphanumeric() || character == '_' => {
                        self.out.push(character as u8);
                    }
                    [None, _] => self.after[0] = Some(character),
                    [Some(_), _] => self.after[1] = Some(character),
                }
                if self.after[1].is_some() || self.out.len() > 100 {
                    return Err(fmt::Error);
                }
            }
            Ok(())
        }
    }
    let mut name = Name { out, after: [None; 2] };
    let _ = fmt::write(&mut name, format_args!("{error:?}"));
    // `Name`, `Name(..)`, `Name { .. }`. A sentence may begin with a capital, too.
    let is_name = matches!(name.after, [None | Some('('), _] | [Some(' '), Some('{')]);
    if !is_name || !out.first().is_some_and(u8::is_ascii_uppercase) {
        out.clear();
    }
}

/// The name of an error's type, without its path and parameters, for a field `error.type`: where an error is at hand
/// as what it is, this says more than its `Debug`, from which the name is taken otherwise.
///
/// ```
/// let error = "x".parse::<u8>().unwrap_err();
/// tracing::error!(%error, error.type = telemetry::type_name(&error), "no port");
/// # assert_eq!(telemetry::type_name(&error), "ParseIntError");
/// ```
pub fn type_name<E: ?Sized>(_: &E) -> &'static str {
    let name = std::any::type_name::<E>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// What the next line of a thread is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// Members, which somebody waits for.
    Members,
    /// A sign that its metrics are told elsewhere: there is no buffer any more that could hold them.
    Sign,
}

/// The first line that `emit` begins on this thread gets `members`: JSON members as text, a comma before each.
/// `false` where it writes none: filtered, sampled out, held back or dropped; or where the thread is ending and has
/// no place for them: then the line says that nothing is to be derived from it.
pub(crate) fn with_members(members: &[u8], emit: impl FnOnce()) -> bool {
    /// Also where `emit` panics, the next line is not to get them.
    struct Restore {
        bytes: Vec<u8>,
        waiting: Waiting,
        written: bool,
    }
    impl Drop for Restore {
        fn drop(&mut self) {
            let bytes = std::mem::take(&mut self.bytes);
            let _ = MEMBERS.try_with(|place| place.set(bytes));
            WAITING.set(self.waiting);
            WRITTEN.set(self.written);
        }
    }
    let outer = MEMBERS.try_with(Cell::take);
    let waiting = if outer.is_ok() || members.is_empty() { Waiting::Members } else { Waiting::Sign };
    let mut outer = outer.unwrap_or_default();
    let outer_waiting = WAITING.replace(waiting);
    // A thread has one buffer, unless calls are nested.
    let is_outermost = outer_waiting == Waiting::Nothing;
    let mut bytes = if is_outermost { std::mem::take(&mut outer) } else { Vec::new() };
    bytes.clear();
    if waiting == Waiting::Members {
        bytes.extend_from_slice(members);
    }
    let _ = MEMBERS.try_with(|place| place.set(bytes));
    let mut restore = Restore { bytes: outer, waiting: outer_waiting, written: WRITTEN.replace(false) };
    emit();
    let written = WRITTEN.get();
    if is_outermost {
        restore.bytes = MEMBERS.try_with(Cell::take).unwrap_or_default();
    }
    written
}

/// Takes what waits for the next line of this thread, before its values are asked what they are: they may log
/// themselves, and those lines are not the one that it waits for.
pub(crate) fn take_members() -> Members {
    let waiting = WAITING.replace(Waiting::Nothing);
    let bytes = match waiting {
        Waiting::Members => MEMBERS.try_with(Cell::take).unwrap_or_default(),
        Waiting::Nothing | Waiting::Sign => Vec::new(),
    };
    Members { waiting, bytes }
}

/// What a line gets at its end.
pub(crate) struct Members {
    waiting: Waiting,
    bytes: Vec<u8>,
}

impl Members {
    /// Bytes that they take.
    pub(crate) fn len(&self) -> usize {
        if self.waiting == Waiting::Sign { SIGN_BYTES } else { self.bytes.len() }
    }

    /// Ends a line that is to be written.
    pub(crate) fn end(&self, line: &mut Vec<u8>) {
        match self.waiting {
            Waiting::Nothing => {}
            Waiting::Members => line.extend_from_slice(&self.bytes),
            Waiting::Sign => sign(line),
        }
        line.push(b'}');
    }

    /// Ends a line that is held back. What waits for a line are metrics, which are told elsewhere then: if it is
    /// written after all, nothing is to be derived from it.
    pub(crate) fn end_held(&self, line: &mut Vec<u8>) {
        if self.waiting != Waiting::Nothing {
            sign(line);
        }
        line.push(b'}');
    }

    /// Says what became of the line.
    pub(crate) fn written(self, written: bool) {
        if self.waiting == Waiting::Members {
            // The thread gets its buffer back.
            let _ = MEMBERS.try_with(|place| place.set(self.bytes));
            WRITTEN.set(written);
        }
    }
}

/// More than [`sign`] writes.
const SIGN_BYTES: usize = 80;

/// Metrics, of which there are none: the pipeline derives nothing from such a line.
fn sign(line: &mut Vec<u8>) {
    line.extend_from_slice(b",\"_aws\":{\"Timestamp\":");
    json::signed(line, now_millis());
    line.extend_from_slice(b",\"CloudWatchMetrics\":[]}");
}
