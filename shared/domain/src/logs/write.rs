//! A record into a line of the archive. It is redacted as it is written: nothing of it exists as bytes
//! before. On the way the details that metrics speak of are noted, as they are archived.

mod clean;
mod fill;
mod names;
mod piece;
mod template;
mod timed;

use std::io::Write as _;
use std::ops::Range;

use crate::logs::derive::{Detail, Details, Facts};
use crate::logs::envelope::{Batch, LogEvent};
use crate::logs::json::{self, Kind, Token};
use crate::logs::origin::Origin;
use crate::logs::parse::postgres::{Entry, Masked};
use crate::logs::parse::{instant, sql};
use crate::logs::record::{
    CONTEXT, CORRELATING, Category, ENVIRONMENT, Format, Json, Level, Message, Record, SERVICE_NAME, Time,
};
use crate::logs::redact::{self, Naming, Redactor};
use schema::trace::{SpanId, TraceId};

use clean::Clean;
use names::{Meaning, Names, Scope};
use piece::{Piece, append, close};
pub use template::Template;
use template::{Trace, Treatment};
use timed::TimedEntries;

/// Where a record came from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Log events of the batch: the one that the record begins in, and those that were joined to it.
    Events {
        /// CloudWatch's id of the event.
        id: &'a str,
        /// Event time in epoch milliseconds.
        millis: i64,
        /// The others.
        joined: &'a [&'a LogEvent<'a>],
    },
    /// The archive: its `source` stays as it is.
    Archived {
        /// The JSON object.
        json: &'a str,
        /// Event time in epoch milliseconds.
        millis: i64,
        /// Whether it was put together from several log events.
        is_joined: bool,
    },
}

impl Source<'_> {
    /// Event time in epoch milliseconds.
    pub fn millis(&self) -> i64 {
        match self {
            Source::Events { millis, .. } | Source::Archived { millis, .. } => *millis,
        }
    }

    /// Whether it was put together from several log events.
    fn is_joined(&self) -> bool {
        match self {
            Source::Events { joined, .. } => !joined.is_empty(),
            Source::Archived { is_joined, .. } => *is_joined,
        }
    }
}

/// What the names above a value tell of it.
#[derive(Debug, Clone, Copy)]
struct Told {
    naming: Naming,
    /// Whether it is that of a person, whose `name` is a name.
    is_person: bool,
    /// Whether its numbers are amounts.
    is_amount: bool,
    /// Whether it lies in a span, which has ids and statements.
    is_span: bool,
    /// Whether it lies in `_aws`, whose names are those of CloudWatch's format.
    is_emf: bool,
}

impl Told {
    const NOTHING: Told = Told::of(Naming::Plain);
    const SPAN: Told = Told { is_span: true, ..Told::NOTHING };
    const EMF: Told = Told { is_emf: true, ..Told::NOTHING };

    const fn of(naming: Naming) -> Told {
        Told { naming, is_person: false, is_amount: false, is_span: false, is_emf: false }
    }
}

const PERSONS_NAME: Naming = Naming::Personal(redact::Kind::Name);

/// The place of a value in the bytes written.
type Place = Range<u32>;

/// Between the time and the category, by level.
const LEVELS: [Piece; 5] = {
    const fn piece(level: Level) -> Piece {
        Piece::of(["\",\"level\":\"", level.as_str(), "\",\"category\":\""])
    }
    [piece(Level::Debug), piece(Level::Info), piece(Level::Warning), piece(Level::Error), piece(Level::Critical)]
};

/// Between the level and the message, by category.
const CATEGORIES: [Piece; Category::NAMES.len()] = {
    let mut pieces = [const { Piece::of(["", "", ""]) }; Category::NAMES.len()];
    let mut place = 0;
    while place < pieces.len() {
        pieces[place] = Piece::of([Category::NAMES[place].0, "\",\"message\":", ""]);
        place += 1;
    }
    pieces
};

/// What stands before the ids in `context`.
const IDS: [Piece; CONTEXT.len()] = {
    let mut pieces = [const { Piece::of(["", "", ""]) }; CONTEXT.len()];
    let mut place = 0;
    while place < pieces.len() {
        pieces[place] = Piece::of([",\"", CONTEXT[place], "\":\""]);
        place += 1;
    }
    pieces
};

/// Writes the records of one batch.
pub struct Writer<'r> {
    redactor: &'r Redactor,
    /// `,"source":{"owner":...,"log_stream":...,"format":"` of every record of the batch.
    source: Vec<u8>,
    /// The same up to the event time, by format; empty where no record had it so far.
    source_of: [Vec<u8>; Format::NAMES.len()],
    /// What a line that does not say it is given: service and environment, as JSON strings but for the
    /// quote that they begin with.
    defaults: [Vec<u8>; 2],
    /// What was written last for each of the ids.
    last: [Repeated; CONTEXT.len()],
    names: Names,
    clean: Clean,
    details: Vec<(Detail, Place)>,
    decoded: Vec<u8>,
    text: Vec<u8>,
    sql: String,
    /// What is known of the statements so far.
    statements: sql::Statements,
    /// What is known of entries that say how long a statement took.
    timed: TimedEntries,
    /// Where the values of a line are written, for the shape of it.
    trace: Trace,
    clock: instant::Clock,
}

/// A value as it was read and written last. Most lines of a service say the same in some places, and to
/// compare is less work than to look for what is personal.
#[derive(Default)]
struct Repeated {
    read: Vec<u8>,
    /// A JSON string, but for the quote that it begins with.
    written: Vec<u8>,
}

impl<'r> Writer<'r> {
    /// For the records of `batch`.
    pub fn new(redactor: &'r Redactor, batch: &Batch<'_>, origin: &Origin) -> Writer<'r> {
        let mut source = b",\"source\":{".to_vec();
        for (name, value) in
            [("owner", &batch.owner), ("log_group", &batch.log_group), ("log_stream", &batch.log_stream)]
        {
            source.extend_from_slice(format!("\"{name}\":\"").as_bytes());
            json::escape(value, &mut source);
            source.extend_from_slice(b"\",");
        }
        source.extend_from_slice(b"\"format\":\"");
        let mut writer = Writer {
            redactor,
            source,
            source_of: Default::default(),
            defaults: Default::default(),
            last: Default::default(),
            names: Names::default(),
            clean: Clean::default(),
            details: Vec::new(),
            decoded: Vec::new(),
            text: Vec::new(),
            sql: String::new(),
            statements: sql::Statements::default(),
            timed: TimedEntries::default(),
            trace: Trace::default(),
            clock: instant::Clock::default(),
        };
        for (place, text) in [&origin.service, &origin.environment].into_iter().enumerate() {
            let mut default = Vec::new();
            writer.plain_text(text, &mut default);
            default.remove(0);
            writer.defaults[place] = default;
        }
        writer
    }

    /// Appends `record` to `out` as a line, and returns what metrics are derived from.
    pub fn write<'o>(&mut self, record: &Record<'_>, source: Source<'_>, out: &'o mut Vec<u8>) -> Facts<'o> {
        self.details.clear();
        self.sql.clear();
        let said = record.entries.first().map(|entry| (*entry, entry.mask(&mut self.sql)));
        let told = said.as_ref().and_then(|(_, masked)| masked.duration_ms);
        let duration_ms = record.duration_ms.or(told);
        out.extend_from_slice(b"{\"timestamp\":\"");
        let start = out.len();
        time(record.time, source.millis(), out);
        match record.time {
            Time::Written(text) => self.trace.note_text(text, record, start, out),
            _ => self.trace.note(Treatment::EventTime, 0, start, out),
        }
        LEVELS[record.level as usize].append(out);
        CATEGORIES[record.category as usize].append(out);
        let extra = match &said {
            Some((entry, masked)) if self.timed_entry(record, entry, masked, out) => 0..0,
            _ => self.fields(record, said.as_ref(), duration_ms, out),
        };
        self.source(record.format, source, out);
        let mut details = Details::default();
        if record.span.is_none() {
            self.add_noted(&mut details, out);
        }
        Facts {
            level: record.level,
            category: record.category,
            at_millis: source.millis(),
            is_joined: source.is_joined(),
            emf: Some(extra)
                .filter(|_| record.format == Format::Emf)
                .and_then(|extra| str::from_utf8(out.get(extra)?).ok()),
            // A span says how long something took that has lines, and metrics, of its own.
            duration_ms: duration_ms.filter(|_| record.span.is_none()).and_then(json::number),
            details,
        }
    }

    /// The fields of `record` from its message on, for which the database server `said` something, up to `source`.
    /// Answers where `extra` is.
    fn fields(
        &mut self,
        record: &Record<'_>,
        said: Option<&(Entry<'_>, Masked<'_>)>,
        duration_ms: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Range<usize> {
        match record.message {
            Message::Plain(text) => self.plain_text(text, out),
            Message::Json(value) => self.message(record, value, out),
            Message::Server => self.server_message(out),
        }
        self.context(record, out);
        match (record.details, said) {
            (_, Some((entry, masked))) => self.server_details(entry, masked, &record.entries[1..], out),
            (Some(details), _) => self.object_field("details", record, details, Told::NOTHING, true, out),
            (None, None) => {}
        }
        match record.error {
            Some(error) if error.kind == Kind::Object => {
                self.object_field("error", record, error, Told::NOTHING, false, out);
            }
            Some(error) => {
                out.extend_from_slice(b",\"error\":{\"message\":");
                self.value(record, error.token, Told::NOTHING, out);
                out.push(b'}');
            }
            None => {}
        }
        if let Some(duration) = duration_ms {
            out.extend_from_slice(b",\"duration_ms\":");
            let start = out.len();
            out.extend_from_slice(duration.as_bytes());
            self.trace.note_text(duration, record, start, out);
        }
        if let Some(span) = record.span {
            self.object_field("span", record, span, Told::SPAN, false, out);
        }
        let extra = out.len() + ",\"extra\":".len();
        self.extra(record, out);
        self.trace.stop(out);
        extra..out.len()
    }

    /// Adds the details noted, as they stand in `out`.
    fn add_noted<'o>(&self, details: &mut Details<'o>, out: &'o [u8]) {
        // The last that is set stays; of a detail that comes twice it is to be the first, which has its name in
        // the archive.
        for (detail, place) in self.details.iter().rev() {
            if let Ok(json) = std::str::from_utf8(&out[place.start as usize..place.end as usize]) {
                details.set(*detail, json);
            }
        }
    }

    fn note(&mut self, detail: Detail, start: usize, out: &[u8]) {
        self.details.push((detail, start as u32..out.len() as u32));
    }

    /// A text as a JSON string.
    fn plain_text(&mut self, text: &str, out: &mut Vec<u8>) {
        out.push(b'"');
        match self.clean.has(text.as_bytes(), 0, text.len()) {
            Ok(()) => append(text.as_bytes(), 0, text.len(), out),
            Err(suspect) => {
                let start = out.len();
                let found = self.redactor.append(text, out, json::escape);
                // Longer, where something was escaped.
                if !found && out.len() - start == text.len() {
                    self.clean.add(suspect, text.as_bytes());
                }
            }
        }
        out.push(b'"');
    }

    /// A JSON string of `line`.
    fn string(&mut self, line: &str, token: Token, out: &mut Vec<u8>) {
        out.push(b'"');
        self.contents(line, token, out);
        out.push(b'"');
    }

    /// What stands between the quotes of a JSON string of `line`; or a number as that.
    /// Says whether it was changed.
    fn contents(&mut self, line: &str, token: Token, out: &mut Vec<u8>) -> bool {
        let (start, end) = (token.start as usize, token.end as usize);
        let quoted = &line[start..end];
        if token.kind != Kind::Escaped {
            let suspect = match self.clean.has(line.as_bytes(), start, end) {
                Ok(()) => {
                    append(line.as_bytes(), start, end, out);
                    return false;
                }
                Err(suspect) => suspect,
            };
            // Without escapes there is nothing to escape in it either, but for the quotes that the redactor puts
            // around what stood bare.
            let found = self.redactor.append(quoted, out, |clean, out| match clean {
                "\"" => out.extend_from_slice(b"\\\""),
                clean if clean.len() == quoted.len() => append(line.as_bytes(), start, end, out),
                clean => out.extend_from_slice(clean.as_bytes()),
            });
            if !found {
                self.clean.add(suspect, quoted.as_bytes());
            }
            return found;
        }
        if let Some(text) = json::unescape_text(quoted, &mut self.decoded) {
            self.redactor.append(text, out, json::escape);
        }
        true
    }

    /// A message. What is no string is archived as its text; it loses its field names by that, which tell
    /// what is a secret, and so is redacted first.
    fn message(&mut self, record: &Record<'_>, value: Json<'_>, out: &mut Vec<u8>) {
        if value.quoted().is_some() {
            return self.value(record, value.token, Told::NOTHING, out);
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        self.value(record, value.token, Told::NOTHING, &mut text);
        let redacted = std::str::from_utf8(&text).unwrap_or_default();
        // A number that has become a pseudonym has quotes of its own.
        self.plain_text(redacted.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(redacted), out);
        self.text = text;
    }

    fn context(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"context\":");
        let begin = out.len();
        for (place, id) in record.context.iter().enumerate() {
            match (id, place) {
                (Some(id), _) => {
                    IDS[place].append(out);
                    let start = out.len();
                    self.id(record.line, record.tokens[id.token as usize], place, out);
                    self.trace.note(Treatment::Id(place as u8), id.token, start, out);
                }
                (None, SERVICE_NAME | ENVIRONMENT) => {
                    IDS[place].append(out);
                    let (start, default) = (out.len(), u8::from(place == ENVIRONMENT));
                    out.extend_from_slice(&self.defaults[usize::from(default)]);
                    self.trace.note(Treatment::Default(default), 0, start, out);
                }
                (None, _) => {}
            }
        }
        close(begin, *b"{}", out);
    }

    /// An id after its opening quote.
    fn id(&mut self, line: &str, token: Token, place: usize, out: &mut Vec<u8>) {
        let (bytes, start, end) = (line.as_bytes(), token.start as usize, token.end as usize);
        if CORRELATING.contains(&place) && is_id(&bytes[start..end]) {
            append(bytes, start, end, out);
            return out.push(b'"');
        }
        let last = &self.last[place];
        if last.read != bytes[start..end] || last.written.is_empty() {
            self.read_id(line, token, place);
        }
        out.extend_from_slice(&self.last[place].written);
    }

    fn read_id(&mut self, line: &str, token: Token, place: usize) {
        let Repeated { mut read, mut written } = std::mem::take(&mut self.last[place]);
        read.clear();
        read.extend_from_slice(&line.as_bytes()[token.start as usize..token.end as usize]);
        written.clear();
        self.contents(line, token, &mut written);
        written.push(b'"');
        self.last[place] = Repeated { read, written };
    }

    fn object_field(
        &mut self,
        name: &str,
        record: &Record<'_>,
        value: Json<'_>,
        told: Told,
        are_details: bool,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        let begin = out.len();
        self.object(record, value.token, told, are_details, out);
        if out.len() == begin + 2 {
            out.truncate(start); // `{}` says nothing.
        }
    }

    fn extra(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        if record.left.is_empty() && record.left_of_context.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"extra\":");
        let begin = out.len();
        let mut scope = self.names.scope();
        for &name in &record.left {
            let is_emf = record.format == Format::Emf && record.json(name).text == "_aws";
            self.field(record, name, if is_emf { Told::EMF } else { Told::NOTHING }, &mut scope, out);
        }
        if !record.left_of_context.is_empty() {
            self.unusual_name("context", false, &mut scope, out);
            let (begin, mut scope) = (out.len(), self.names.scope());
            for &name in &record.left_of_context {
                self.field(record, name, Told::NOTHING, &mut scope, out);
            }
            self.names.end(&scope);
            close(begin, *b"{}", out);
        }
        self.names.end(&scope);
        close(begin, *b"{}", out);
    }

    /// Where the record came from, and the end of the line.
    fn source(&mut self, format: Format, source: Source<'_>, out: &mut Vec<u8>) {
        let (id, millis, joined) = match source {
            Source::Events { id, millis, joined } => (id, millis, joined),
            Source::Archived { json, .. } => {
                out.extend_from_slice(b",\"source\":");
                out.extend_from_slice(json.as_bytes());
                return out.extend_from_slice(b"}\n");
            }
        };
        let head = &mut self.source_of[format as usize];
        if head.is_empty() {
            *head = [&self.source, format.as_str().as_bytes(), b"\",\"event_time\":\""].concat();
        }
        out.extend_from_slice(head);
        self.clock.append(millis, out);
        out.extend_from_slice(b"\",\"event_id\":\"");
        json::escape(id, out);
        if joined.is_empty() {
            return out.extend_from_slice(b"\"}}\n");
        }
        out.extend_from_slice(b"\",\"joined\":");
        let begin = out.len();
        for event in joined {
            out.extend_from_slice(b",\"");
            json::escape(event.id, out);
            out.push(b'"');
        }
        close(begin, *b"[]", out);
        out.extend_from_slice(b"}}\n");
    }
}

/// Values and names of JSON, redacted.
impl Writer<'_> {
    /// The field whose name is the token `place`, with a comma before it. What lies below a personal name is
    /// personal, which `told` says. Returns what the name means, and where the value begins.
    fn field(
        &mut self,
        record: &Record<'_>,
        place: u32,
        told: Told,
        scope: &mut Scope,
        out: &mut Vec<u8>,
    ) -> (Meaning, usize) {
        let meaning = self.name(record, record.tokens[place as usize], scope, out);
        let start = out.len();
        if told.is_span && self.value_of_span(record, place, out) {
            return (meaning, start);
        }
        let told = match meaning.naming {
            _ if told.is_emf && is_of_emf(record.json(place).text) => told,
            Naming::Plain if told.is_person && record.json(place).text == "name" => Told::of(PERSONS_NAME),
            Naming::Plain => {
                Told { is_person: meaning.is_person, is_amount: told.is_amount || meaning.is_amount, ..told }
            }
            own => Told::of(own),
        };
        self.value(record, place + 1, told, out);
        (meaning, start)
    }

    /// The value of the field at `place` of a span, where it is not written like any other: an id as it is, since
    /// spans are put together by it, and a statement without its literals, which nobody else knows for what they
    /// are. Answers whether it is one of these.
    fn value_of_span(&mut self, record: &Record<'_>, place: u32, out: &mut Vec<u8>) -> bool {
        let (name, value) = (record.json(place).text, record.json(place + 1));
        match name {
            "trace_id" | "span_id" | "parent_span_id" => {
                let Some(id) = value.plain().filter(|id| is_trace_or_span_id(id)) else { return false };
                out.push(b'"');
                out.extend_from_slice(id.as_bytes());
                out.push(b'"');
            }
            "db.statement" | "db.query.text" => {
                let Some(quoted) = value.quoted() else { return false };
                let mut masked = String::new();
                let text = json::unescape_text(quoted, &mut self.decoded).unwrap_or_default();
                if let Some(doubtful) = sql::mask_literals(text, &mut masked) {
                    masked.truncate(doubtful);
                    masked.push('?');
                }
                self.plain_text(&masked, out);
            }
            _ => return false,
        }
        true
    }

    /// The value at the token `place`.
    fn value(&mut self, record: &Record<'_>, place: u32, told: Told, out: &mut Vec<u8>) {
        let token = record.tokens[place as usize];
        let (start, line) = (out.len(), record.line);
        let treatment = match (token.kind, told.naming) {
            (Kind::Null, _) => return out.extend_from_slice(b"null"),
            (_, Naming::Secret) => {
                out.extend_from_slice(b"\"[secret]\"");
                Treatment::Secret
            }
            (Kind::Object, _) => return self.object(record, place, told, false, out),
            (Kind::Array, _) => return self.array(record, place, told, out),
            (Kind::Plain | Kind::Escaped, Naming::Personal(kind)) => {
                self.personal(kind, line, token, out);
                Treatment::Personal(kind)
            }
            (Kind::Plain | Kind::Escaped, Naming::Plain) => {
                self.string(line, token, out);
                Treatment::Text
            }
            (Kind::Number, Naming::Plain) if told.is_amount => {
                out.extend_from_slice(record.json(place).text.as_bytes());
                Treatment::Same
            }
            (Kind::Number, naming) => {
                self.number(record.json(place).text, naming, out);
                match naming {
                    Naming::Personal(kind) => Treatment::PersonalNumber(kind),
                    _ => Treatment::Number,
                }
            }
            (Kind::True | Kind::False, _) => {
                let word: &[u8] = if token.kind == Kind::True { b"true" } else { b"false" };
                out.extend_from_slice(word);
                Treatment::Same
            }
        };
        self.trace.note(treatment, place, start, out);
    }

    /// Says whether something else stands for it.
    fn number(&mut self, number: &str, naming: Naming, out: &mut Vec<u8>) -> bool {
        let kind = match naming {
            Naming::Personal(kind) => Some(kind).filter(|kind| self.redactor.is_personal(*kind, number)),
            _ => self.redactor.number(number),
        };
        match kind {
            // What replaces it is a text, so the JSON stays valid.
            Some(kind) => {
                out.push(b'"');
                self.redactor.replace(kind, number, out);
                out.push(b'"');
            }
            None => out.extend_from_slice(number.as_bytes()),
        }
        kind.is_some()
    }

    /// A string under a personal name: personal as a whole.
    fn personal(&mut self, kind: redact::Kind, line: &str, token: Token, out: &mut Vec<u8>) {
        let quoted = &line[token.start as usize..token.end as usize];
        let text = match token.kind {
            Kind::Escaped => json::unescape_text(quoted, &mut self.decoded).unwrap_or_default(),
            _ => quoted,
        };
        if !self.redactor.is_personal(kind, text) {
            return self.string(line, token, out);
        }
        out.push(b'"');
        self.redactor.replace(kind, text, out);
        out.push(b'"');
    }

    fn array(&mut self, record: &Record<'_>, array: u32, told: Told, out: &mut Vec<u8>) {
        let begin = out.len();
        let mut place = array + 1;
        while place < record.tokens[array as usize].next {
            out.push(b',');
            self.value(record, place, told, out);
            place = record.tokens[place as usize].next;
        }
        close(begin, *b"[]", out);
    }

    fn object(&mut self, record: &Record<'_>, object: u32, told: Told, are_details: bool, out: &mut Vec<u8>) {
        let (begin, mut scope) = (out.len(), self.names.scope());
        for name in json::fields(&record.tokens, object) {
            let (meaning, start) = self.field(record, name, told, &mut scope, out);
            if are_details && let Some(detail) = meaning.detail {
                self.note(detail, start, out);
            }
        }
        self.names.end(&scope);
        close(begin, *b"{}", out);
    }

    /// The name of a field between a comma and a colon.
    fn name(&mut self, record: &Record<'_>, name: Token, scope: &mut Scope, out: &mut Vec<u8>) -> Meaning {
        let (start, end) = (name.start as usize, name.end as usize);
        let usual = match name.kind {
            Kind::Plain => self.names.usual(record.line, start, end, self.redactor),
            _ => None,
        };
        let Some(found) = usual else {
            return self.unusual_name(&record.line[start..end], name.kind == Kind::Escaped, scope, out);
        };
        out.extend_from_slice(b",\"");
        let begin = out.len();
        append(record.line.as_bytes(), start, end, out);
        self.names.add_usual(found, scope, begin, out);
        out.extend_from_slice(b"\":");
        found.meaning
    }

    /// The same, by what stands between the quotes of the name.
    fn unusual_name(&mut self, quoted: &str, escaped: bool, scope: &mut Scope, out: &mut Vec<u8>) -> Meaning {
        let name = match escaped {
            true => json::unescape_text(quoted, &mut self.decoded).unwrap_or_default(),
            false => quoted,
        };
        out.extend_from_slice(b",\"");
        let start = out.len();
        self.redactor.append(name, out, json::escape);
        self.names.add(scope, start, out);
        out.extend_from_slice(b"\":");
        Meaning::of(name, self.redactor)
    }
}

/// What the database server said.
impl Writer<'_> {
    /// The message, which `self.sql` has without the users' values.
    fn server_message(&mut self, out: &mut Vec<u8>) {
        let sql = std::mem::take(&mut self.sql);
        self.plain_text(&sql, out);
        self.sql = sql;
    }

    fn server_details(&mut self, entry: &Entry<'_>, masked: &Masked<'_>, further: &[Entry<'_>], out: &mut Vec<u8>) {
        open_server_details(entry.severity, out);
        self.session(entry, out);
        if let Some(code) = masked.sqlstate.or(entry.sqlstate) {
            self.server_detail("sqlstate", code, out);
        }
        let mut sql = std::mem::take(&mut self.sql);
        let mut has_statement = masked.statement.is_some();
        if let Some(place) = &masked.statement {
            self.statement(&sql[place.clone()], out);
        }
        let mut scope = self.names.scope();
        for entry in further {
            sql.clear();
            let masked = entry.mask(&mut sql);
            self.unusual_name(entry.field(), false, &mut scope, out);
            self.plain_text(&sql, out);
            if let Some(place) = masked.statement.filter(|_| !has_statement) {
                has_statement = true;
                self.statement(&sql[place], out);
            }
        }
        self.names.end(&scope);
        out.push(b'}');
        self.sql = sql;
    }

    /// Who was served by which process.
    fn session(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let _ = write!(out, "{}", entry.pid);
        for (name, value) in [("user", entry.user), ("database", entry.database), ("remote", entry.remote)] {
            if !value.is_empty() && value != "[unknown]" {
                self.server_detail(name, value, out);
            }
        }
    }

    fn server_detail(&mut self, name: &str, value: &str, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        let start = out.len();
        self.plain_text(value, out);
        start
    }

    /// What a statement does to which table, and what it has in common with others of its kind.
    fn statement(&mut self, statement: &str, out: &mut Vec<u8>) {
        let mut statements = std::mem::take(&mut self.statements);
        let known = statements.of(statement);
        for (name, detail, text) in
            [("query_type", Detail::QueryType, &known.verb), ("table", Detail::Table, &known.table)]
        {
            if let Some(text) = text {
                let start = self.server_detail(name, text, out);
                self.note(detail, start, out);
            }
        }
        self.server_detail("fingerprint", &known.fingerprint, out);
        self.statements = statements;
    }
}

/// The details of an entry, up to its process.
fn open_server_details(severity: &str, out: &mut Vec<u8>) {
    for part in [",\"details\":{\"severity\":\"", severity, "\",\"pid\":"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Whether CloudWatch's embedded metric format has a member of this name in `_aws`, or it is that itself. What such
/// a member is called tells nothing of a person: with `name` a name of personal data, a metric's name is none still.
fn is_of_emf(name: &str) -> bool {
    [
        "_aws",
        "Timestamp",
        "CloudWatchMetrics",
        "Namespace",
        "Dimensions",
        "Metrics",
        "Name",
        "Unit",
        "StorageResolution",
    ]
    .contains(&name)
}

/// Whether a text that is called an id looks like one. It is the client's choice what stands there.
pub(super) fn is_id(text: &[u8]) -> bool {
    // Without a branch, so that many bytes are looked at at once. `-`, `.`, `/`, digits and `:` come one after
    // the other.
    let fits = |byte: u8| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_digit_or_sign = byte.wrapping_sub(b'-') <= b':' - b'-';
        is_letter | is_digit_or_sign | (byte == b'_') | (byte == b'=') | (byte == b'+')
    };
    let all = |bytes: &[u8; 16]| bytes.iter().fold(true, |all, &byte| all & fits(byte));
    let (chunks, rest) = text.as_chunks();
    text.len() <= 128
        && chunks.iter().all(all)
        && match text.last_chunk() {
            Some(last) => rest.is_empty() || all(last),
            None => rest.iter().all(|&byte| fits(byte)),
        }
}

/// Whether `text` is an id as X-Ray or W3C writes it. Nothing that is personal has letters up to f among 16 digits, but
/// a number of a card may have 16 digits.
fn is_trace_or_span_id(text: &str) -> bool {
    text.parse::<SpanId>().is_ok() || text.parse::<TraceId>().is_ok()
}

fn time(time: Time<'_>, event_millis: i64, out: &mut Vec<u8>) {
    match time {
        Time::Unknown => instant::append_millis(event_millis, out),
        Time::Written(text) => out.extend_from_slice(text.as_bytes()),
        Time::Parts(date, time) => {
            for part in [date, "T", time, "Z"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        Time::At(timestamp) => {
            let _ = write!(out, "{timestamp}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_has_letters_digits_and_a_few_signs(text in "[-a-zA-Z0-9_.:=+/]{0,140}|[ -~]{0,3}|[a-z0-9-]{0,40}[ -~я][a-z]{0,20}") {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
            prop_assert_eq!(is_id(text.as_bytes()), text.len() <= 128 && text.bytes().all(fits));
        }
    }
}
