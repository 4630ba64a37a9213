//! A record into a line of the archive. It is redacted as it is written: nothing of it exists as bytes
//! before. On the way the details that metrics speak of are noted, as they are archived.

use std::collections::HashSet;
use std::io::Write as _;
use std::ops::Range;

use crate::logs::derive::{Detail, Details, Facts};
use crate::logs::envelope::Batch;
use crate::logs::json::{self, Kind};
use crate::logs::origin::Origin;
use crate::logs::parse::postgres::{Entry, Masked};
use crate::logs::parse::{instant, sql};
use crate::logs::record::{
    CONTEXT, CORRELATING, ENVIRONMENT, Field, Format, Json, Message, Record, SERVICE_NAME, Time,
};
use crate::logs::redact::{self, Naming, Redactor};

/// Where a record came from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Log events of the batch: the one that the record begins in, and those that were joined to it.
    Events {
        /// CloudWatch's id of the event.
        id: &'a str,
        /// Event time in epoch milliseconds.
        millis: i64,
        /// Ids of the others.
        joined: &'a [&'a str],
    },
    /// The archive: its `source` stays as it is.
    Archived {
        /// The JSON object.
        json: &'a str,
        /// Event time in epoch milliseconds.
        millis: i64,
    },
}

impl Source<'_> {
    /// Event time in epoch milliseconds.
    pub fn millis(&self) -> i64 {
        match self {
            Source::Events { millis, .. } | Source::Archived { millis, .. } => *millis,
        }
    }
}

/// The place of a value in the bytes written.
type Place = Range<u32>;

/// Writes the records of one batch.
pub struct Writer<'r> {
    redactor: &'r Redactor,
    /// `"source":{"owner":...,"log_stream":...,` of every record of the batch.
    source: Vec<u8>,
    /// What a line that does not say it is given: service and environment, as JSON strings.
    defaults: [Vec<u8>; 2],
    /// Names of the objects that are being written, by their places and what begins them.
    names: Vec<(u64, Place)>,
    details: Vec<(Detail, Place)>,
    decoded: Vec<u8>,
    text: Vec<u8>,
    sql: String,
    fingerprint: String,
}

impl<'r> Writer<'r> {
    /// For the records of `batch`.
    pub fn new(redactor: &'r Redactor, batch: &Batch<'_>, origin: &Origin) -> Writer<'r> {
        let mut source = b"\"source\":{".to_vec();
        for (name, value) in
            [("owner", &batch.owner), ("log_group", &batch.log_group), ("log_stream", &batch.log_stream)]
        {
            source.extend_from_slice(format!("\"{name}\":\"").as_bytes());
            json::escape(value, &mut source);
            source.extend_from_slice(b"\",");
        }
        let mut writer = Writer {
            redactor,
            source,
            defaults: [Vec::new(), Vec::new()],
            names: Vec::new(),
            details: Vec::new(),
            decoded: Vec::new(),
            text: Vec::new(),
            sql: String::new(),
            fingerprint: String::new(),
        };
        for (place, text) in [&origin.service, &origin.environment].into_iter().enumerate() {
            let mut default = Vec::new();
            writer.plain_text(text, &mut default);
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
        time(record.time, source.millis(), out);
        out.extend_from_slice(b"\",\"level\":\"");
        out.extend_from_slice(record.level.as_str().as_bytes());
        out.extend_from_slice(b"\",\"category\":\"");
        out.extend_from_slice(record.category.as_str().as_bytes());
        out.extend_from_slice(b"\",\"message\":");
        match record.message {
            Message::Plain(text) => self.plain_text(text, out),
            Message::Json(value) => self.message(record, value, out),
            Message::Server => self.server_message(out),
        }
        self.context(&record.context, out);
        match (record.details, &said) {
            (_, Some((entry, masked))) => self.server_details(entry, masked, &record.entries[1..], out),
            (Some(details), _) => self.object_field("details", record, details, true, out),
            (None, None) => {}
        }
        match record.error {
            Some(error) if error.kind == Kind::Object => self.object_field("error", record, error, false, out),
            Some(error) => {
                out.extend_from_slice(b",\"error\":{\"message\":");
                self.value(record, error.token, Naming::Plain, out);
                out.push(b'}');
            }
            None => {}
        }
        if let Some(duration) = duration_ms {
            out.extend_from_slice(b",\"duration_ms\":");
            out.extend_from_slice(duration.as_bytes());
        }
        self.extra(record, out);
        out.push(b',');
        self.source(record.format, source, out);
        out.extend_from_slice(b"}\n");
        Facts {
            level: record.level,
            category: record.category,
            at_millis: source.millis(),
            counted_by_cloudwatch: record.format == Format::Emf,
            duration_ms: duration_ms.and_then(|number| number.parse().ok()),
            details: self.noted(out),
        }
    }

    /// The details noted, as they stand in `out`.
    fn noted<'o>(&self, out: &'o [u8]) -> Details<'o> {
        let mut details = Details::default();
        for (detail, place) in &self.details {
            if let Ok(json) = std::str::from_utf8(&out[place.start as usize..place.end as usize]) {
                details.set(*detail, json);
            }
        }
        details
    }

    fn note(&mut self, detail: Detail, start: usize, out: &[u8]) {
        self.details.push((detail, start as u32..out.len() as u32));
    }

    /// A text as a JSON string.
    fn plain_text(&mut self, text: &str, out: &mut Vec<u8>) {
        out.push(b'"');
        self.redactor.append(text, out, json::escape);
        out.push(b'"');
    }

    /// A JSON string, by what stands between its quotes.
    fn string(&mut self, quoted: &str, escaped: bool, out: &mut Vec<u8>) {
        out.push(b'"');
        if !escaped {
            // Without escapes there is nothing to escape in it either.
            self.redactor.append(quoted, out, |clean, out| out.extend_from_slice(clean.as_bytes()));
        } else if let Some(text) = json::unescape_text(quoted, &mut self.decoded) {
            self.redactor.append(text, out, json::escape);
        }
        out.push(b'"');
    }

    /// A message. What is no string is archived as its text; it loses its field names by that, which tell
    /// what is a secret, and so is redacted first.
    fn message(&mut self, record: &Record<'_>, value: Json<'_>, out: &mut Vec<u8>) {
        if value.quoted().is_some() {
            return self.value(record, value.token, Naming::Plain, out);
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        self.value(record, value.token, Naming::Plain, &mut text);
        let redacted = std::str::from_utf8(&text).unwrap_or_default();
        // A number that has become a pseudonym has quotes of its own.
        self.plain_text(redacted.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(redacted), out);
        self.text = text;
    }

    fn context(&mut self, context: &[Option<Json<'_>>; 8], out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"context\":{");
        let begin = out.len();
        for (place, (name, id)) in CONTEXT.iter().zip(context).enumerate() {
            let default = [SERVICE_NAME, ENVIRONMENT].iter().position(|&defaulted| defaulted == place);
            if id.is_none() && default.is_none() {
                continue;
            }
            separate(begin, out);
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            match (id, default) {
                (Some(id), _) if CORRELATING.contains(&place) => as_string(*id, out),
                (Some(id), _) => match id.quoted() {
                    Some(text) => self.string(text, id.kind == Kind::Escaped, out),
                    None => self.plain_text(id.text, out),
                },
                (None, Some(default)) => out.extend_from_slice(&self.defaults[default]),
                (None, None) => {}
            }
        }
        out.push(b'}');
    }

    fn object_field(&mut self, name: &str, record: &Record<'_>, value: Json<'_>, are_details: bool, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        let begin = out.len();
        self.object(record, value.token, Naming::Plain, are_details, out);
        if out.len() == begin + 2 {
            out.truncate(start); // `{}` says nothing.
        }
    }

    fn extra(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let is_left = |field: &&Field<'_>| !field.taken && field.value.kind != Kind::Null;
        let start = out.len();
        out.extend_from_slice(b",\"extra\":{");
        let begin = out.len();
        let first_name = self.names.len();
        let mut known = None;
        for field in record.fields.iter().filter(is_left) {
            separate(begin, out);
            self.field(record, *field, first_name, &mut known, out);
        }
        if record.context_fields.iter().any(|field| is_left(&field)) {
            separate(begin, out);
            self.name("context", false, first_name, &mut known, out);
            out.push(b'{');
            let (inner, first_inner, mut inner_known) = (out.len(), self.names.len(), None);
            for field in record.context_fields.iter().filter(is_left) {
                separate(inner, out);
                self.field(record, *field, first_inner, &mut inner_known, out);
            }
            self.names.truncate(first_inner);
            out.push(b'}');
        }
        self.names.truncate(first_name);
        match out.len() == begin {
            true => out.truncate(start),
            false => out.push(b'}'),
        }
    }

    fn source(&self, format: Format, source: Source<'_>, out: &mut Vec<u8>) {
        let (id, millis, joined) = match source {
            Source::Events { id, millis, joined } => (id, millis, joined),
            Source::Archived { json, .. } => {
                out.extend_from_slice(b"\"source\":");
                return out.extend_from_slice(json.as_bytes());
            }
        };
        out.extend_from_slice(&self.source);
        out.extend_from_slice(b"\"format\":\"");
        out.extend_from_slice(format.as_str().as_bytes());
        out.extend_from_slice(b"\",\"event_time\":\"");
        instant::append_millis(millis, out);
        out.extend_from_slice(b"\",\"event_id\":\"");
        json::escape(id, out);
        out.push(b'"');
        for (number, id) in joined.iter().enumerate() {
            out.extend_from_slice(if number == 0 { b",\"joined\":[\"" } else { b",\"" });
            json::escape(id, out);
            out.push(b'"');
        }
        out.extend_from_slice(if joined.is_empty() { b"}" } else { b"]}" });
    }
}

/// Values and names of JSON, redacted.
impl Writer<'_> {
    /// A field of an object whose names begin at `first_name`.
    fn field(
        &mut self,
        record: &Record<'_>,
        field: Field<'_>,
        first_name: usize,
        known: &mut Names,
        out: &mut Vec<u8>,
    ) {
        let naming = self.name(field.name.text, field.name.kind == Kind::Escaped, first_name, known, out);
        self.value(record, field.value.token, naming, out);
    }

    /// The value at the token `place`.
    fn value(&mut self, record: &Record<'_>, place: u32, naming: Naming, out: &mut Vec<u8>) {
        let value = record.json(place);
        match (value.kind, naming) {
            (Kind::Null, _) => out.extend_from_slice(b"null"),
            (_, Naming::Secret) => out.extend_from_slice(b"\"[secret]\""),
            (Kind::Object, _) => self.object(record, place, naming, false, out),
            (Kind::Array, _) => self.array(record, place, naming, out),
            (Kind::Plain | Kind::Escaped, Naming::Personal(kind)) => {
                self.personal(kind, value.text, value.kind == Kind::Escaped, out);
            }
            (Kind::Plain | Kind::Escaped, _) => self.string(value.text, value.kind == Kind::Escaped, out),
            (Kind::Number, _) => self.number(value.text, naming, out),
            (Kind::True | Kind::False, _) => out.extend_from_slice(value.text.as_bytes()),
        }
    }

    fn number(&mut self, number: &str, naming: Naming, out: &mut Vec<u8>) {
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
    }

    /// A string under a personal name, by what stands between its quotes: personal as a whole.
    fn personal(&mut self, kind: redact::Kind, quoted: &str, escaped: bool, out: &mut Vec<u8>) {
        let text = match escaped {
            true => json::unescape_text(quoted, &mut self.decoded).unwrap_or_default(),
            false => quoted,
        };
        if !self.redactor.is_personal(kind, text) {
            return self.string(quoted, escaped, out);
        }
        out.push(b'"');
        self.redactor.replace(kind, text, out);
        out.push(b'"');
    }

    fn array(&mut self, record: &Record<'_>, array: u32, naming: Naming, out: &mut Vec<u8>) {
        out.push(b'[');
        let begin = out.len();
        let mut place = array + 1;
        while place < record.tokens[array as usize].next {
            separate(begin, out);
            self.value(record, place, naming, out);
            place = record.tokens[place as usize].next;
        }
        out.push(b']');
    }

    /// An object. What lies below a personal name is personal.
    fn object(&mut self, record: &Record<'_>, object: u32, naming: Naming, are_details: bool, out: &mut Vec<u8>) {
        out.push(b'{');
        let (begin, first_name, mut known) = (out.len(), self.names.len(), None);
        let mut place = object + 1;
        while place < record.tokens[object as usize].next {
            separate(begin, out);
            let name = record.json(place);
            let own = self.name(name.text, name.kind == Kind::Escaped, first_name, &mut known, out);
            let start = out.len();
            self.value(record, place + 1, if own == Naming::Plain { naming } else { own }, out);
            if are_details && let Some(detail) = Detail::named(name.text) {
                self.note(detail, start, out);
            }
            place = record.tokens[place as usize + 1].next;
        }
        self.names.truncate(first_name);
        out.push(b'}');
    }

    /// The name of a field and its colon; says what its value is by it. Two fields never have one name:
    /// of two addresses, say, that were names.
    fn name(&mut self, name: &str, escaped: bool, first_name: usize, known: &mut Names, out: &mut Vec<u8>) -> Naming {
        let start = out.len() + 1;
        self.string(name, escaped, out);
        out.pop();
        let naming = match escaped {
            true => {
                json::unescape_text(name, &mut self.decoded).map_or(Naming::Plain, |name| self.redactor.naming(name))
            }
            false => self.redactor.naming(name),
        };
        self.make_unique(start, first_name, known, out);
        out.extend_from_slice(b"\":");
        naming
    }

    /// Numbers the name that begins at `start` and ends `out`, where a field before it has it already.
    fn make_unique(&mut self, start: usize, first_name: usize, known: &mut Names, out: &mut Vec<u8>) {
        let length = out.len();
        let mut number = self.names.len() - first_name;
        while self.is_taken(start, first_name, known, out) {
            number += 1;
            out.truncate(length);
            let _ = write!(out, " {number}");
        }
        self.names.push((beginning(&out[start..]), start as u32..out.len() as u32));
        if let Some(known) = known {
            known.insert(out[start..].to_vec());
        } else if self.names.len() - first_name > MANY_NAMES {
            let places = self.names[first_name..].iter();
            *known = Some(places.map(|(_, place)| out[place.start as usize..place.end as usize].to_vec()).collect());
        }
    }

    fn is_taken(&self, start: usize, first_name: usize, known: &Names, out: &[u8]) -> bool {
        let name = &out[start..];
        if let Some(known) = known {
            return known.contains(name);
        }
        let begins = beginning(name);
        let same =
            |(other, place): &(u64, Place)| *other == begins && &out[place.start as usize..place.end as usize] == name;
        self.names[first_name..].iter().any(same)
    }
}

/// From so many fields on, the names of an object are looked up in a set.
const MANY_NAMES: usize = 48;

/// The names of an object with many fields.
type Names = Option<HashSet<Vec<u8>>>;

/// The length and the beginning of a name: two that differ in it differ.
fn beginning(name: &[u8]) -> u64 {
    let mut eight = [0; 8];
    let length = name.len().min(7);
    eight[..length].copy_from_slice(&name[..length]);
    eight[7] = name.len() as u8;
    u64::from_le_bytes(eight)
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
        out.extend_from_slice(b",\"details\":{\"severity\":\"");
        out.extend_from_slice(entry.severity.as_bytes());
        let _ = write!(out, "\",\"pid\":{}", entry.pid);
        let named = [("user", entry.user), ("database", entry.database), ("remote", entry.remote)];
        let said = named.into_iter().filter(|(_, value)| !value.is_empty() && *value != "[unknown]");
        let sqlstate = masked.sqlstate.or(entry.sqlstate).map(|code| ("sqlstate", code));
        for (name, value) in said.chain(sqlstate) {
            self.server_detail(name, value, out);
        }
        let mut sql = std::mem::take(&mut self.sql);
        let mut has_statement = masked.statement.is_some();
        if let Some(place) = &masked.statement {
            self.statement(&sql[place.clone()], out);
        }
        let first_name = self.names.len();
        for entry in further {
            sql.clear();
            let masked = entry.mask(&mut sql);
            out.push(b',');
            self.name(&entry.severity.to_ascii_lowercase(), false, first_name, &mut None, out);
            self.plain_text(&sql, out);
            if let Some(place) = masked.statement.filter(|_| !has_statement) {
                has_statement = true;
                self.statement(&sql[place], out);
            }
        }
        self.names.truncate(first_name);
        out.push(b'}');
        self.sql = sql;
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
        if let Some(shape) = sql::shape(statement) {
            let verb = self.server_detail("query_type", &shape.verb, out);
            self.note(Detail::QueryType, verb, out);
            if let Some(table) = shape.table {
                let table = self.server_detail("table", &table.to_ascii_lowercase(), out);
                self.note(Detail::Table, table, out);
            }
        }
        let mut fingerprint = std::mem::take(&mut self.fingerprint);
        fingerprint.clear();
        sql::fingerprint(statement, &mut fingerprint);
        self.server_detail("fingerprint", &fingerprint, out);
        self.fingerprint = fingerprint;
    }
}

/// A comma, where something was written since `begin`.
fn separate(begin: usize, out: &mut Vec<u8>) {
    if out.len() > begin {
        out.push(b',');
    }
}

/// A string or a number as a string, as it is.
fn as_string(value: Json<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(value.text.as_bytes());
    out.push(b'"');
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
