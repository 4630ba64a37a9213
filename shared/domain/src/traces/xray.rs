//! Segment documents of AWS X-Ray.
//!
//! A service's entry span is a segment; what it did then are subsegments, nested in the document of their parent
//! where both came together and have room in it, and otherwise sent alone. X-Ray puts a trace together by the ids,
//! so that the same document sent twice is one, and a span may come before its parent.

use std::collections::HashMap;
use std::ops::Range;

use jiff::Timestamp;
use schema::trace::{SpanId, SpanKind, SpanStatus, TraceId};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Span;
use crate::keys;

/// Bytes a document may have. X-Ray says 64 kB, and not whether these are 64,000 or 65,536.
pub const MAX_DOCUMENT_BYTES: usize = 64_000;

/// Documents of one call.
pub const MAX_DOCUMENTS: usize = 50;

/// Bytes of the documents of one call. X-Ray names no limit; this is ours.
pub const MAX_CALL_BYTES: usize = 512 * 1024;

/// Characters a name may have.
pub const MAX_NAME: usize = 200;

/// Annotations that X-Ray indexes of a trace.
pub const MAX_ANNOTATIONS: usize = 50;

/// Characters of the text of an annotation.
const MAX_ANNOTATION: usize = 1_000;

/// Characters of a user.
const MAX_USER: usize = 250;

/// Bytes that texts are cut to which can be long: an address, a message, a statement.
const MAX_URL: usize = 2_048;
const MAX_MESSAGE: usize = 2_048;
const MAX_STATEMENT: usize = 8_192;

/// Exceptions told of one span.
const MAX_EXCEPTIONS: usize = 10;

/// Subsegments that are nested in each other. What lies deeper begins a document of its own.
const MAX_DEPTH: usize = 16;

/// Room for what only the outermost part of a document has: `{"trace_id":...,"parent_id":...,"type":"subsegment",`, and
/// for the brackets of its subsegments.
const HEAD_BYTES: usize = 160;

/// Room for telling that something was left out.
const NOTE_BYTES: usize = 160;

/// A document to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Id of its segment or subsegment, by which X-Ray speaks of it.
    pub id: SpanId,
    /// The JSON, at most [`MAX_DOCUMENT_BYTES`].
    pub json: String,
    /// The spans in it, by their places in the list that it was made from.
    pub spans: Vec<usize>,
}

/// The documents of `spans`. A span that is there twice, by trace and id, is put once: as it ended, or as it was told
/// last.
pub fn documents(spans: &[Span]) -> Vec<Document> {
    let mut forest = Forest::of(spans);
    for place in 0..forest.tops.len() {
        forest.write_document(forest.tops[place]);
    }
    forest.documents
}

/// The documents of each call.
pub fn calls(documents: &[Document]) -> Vec<Range<usize>> {
    let mut calls: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (place, document) in documents.iter().enumerate() {
        bytes += document.json.len();
        match calls.last_mut() {
            Some(call) if call.len() < MAX_DOCUMENTS && bytes <= MAX_CALL_BYTES => call.end = place + 1,
            _ => {
                calls.push(place..place + 1);
                bytes = document.json.len();
            }
        }
    }
    calls
}

/// Whether X-Ray may take a document later that it did not process for the reason `code`. Its codes are not
/// documented; those of a document that is wrong speak of the document.
pub fn is_passing(code: &str) -> bool {
    ["Throttl", "Internal", "Unavailable", "Timeout", "Busy", "Limit"].iter().any(|part| code.contains(part))
}

/// Spans by what is nested in what.
struct Forest<'s> {
    spans: &'s [Span],
    /// By span: those that are parts of it, in their order.
    children: Vec<Vec<usize>>,
    /// Spans that begin a document.
    tops: Vec<usize>,
    /// By span: whether a service was entered by it.
    is_entry: Vec<bool>,
    /// Annotations that a trace has so far.
    annotations: HashMap<TraceId, usize>,
    documents: Vec<Document>,
}

/// What a span and those nested in it are written as, without the outermost brackets.
struct Written {
    fields: String,
    spans: Vec<usize>,
}

impl<'s> Forest<'s> {
    fn of(spans: &'s [Span]) -> Forest<'s> {
        let mut known: HashMap<(TraceId, SpanId), usize> = HashMap::new();
        for (place, span) in spans.iter().enumerate() {
            let held = known.entry((span.trace_id, span.span_id)).or_insert(place);
            if span.end.is_some() || spans[*held].end.is_none() {
                *held = place;
            }
        }
        let chosen: Vec<usize> = (0..spans.len()).filter(|place| known[&id_of(&spans[*place])] == *place).collect();
        let parent = |place: usize| {
            let span: &Span = &spans[place];
            span.parent_id.and_then(|id| known.get(&(span.trace_id, id)).copied())
        };
        let mut children = vec![Vec::new(); spans.len()];
        let mut entries = vec![false; spans.len()];
        let mut roots = Vec::new();
        for &place in &chosen {
            let caller = parent(place);
            let other = caller.filter(|caller| spans[*caller].service != spans[place].service);
            // A parent that came with a context may be a span of the same service: of another thread, say.
            let is_called = other.is_some() || (caller.is_none() && spans[place].has_remote_parent);
            entries[place] = is_entry(&spans[place]) || is_called;
            match caller.filter(|_| !entries[place]) {
                Some(caller) => children[caller].push(place),
                None => roots.push(place),
            }
        }
        let mut forest = Forest {
            spans,
            children,
            tops: Vec::new(),
            is_entry: entries,
            annotations: HashMap::new(),
            documents: Vec::new(),
        };
        forest.find_tops(&chosen, roots);
        forest
    }

    /// Notes where documents begin: at the roots, where it gets too deep, somewhere in each circle, and below what
    /// still goes on: the document of that is written over when it ends, and what was nested in it would be lost.
    fn find_tops(&mut self, chosen: &[usize], roots: Vec<usize>) {
        let mut seen = vec![false; self.spans.len()];
        for root in roots.into_iter().chain(chosen.iter().copied()) {
            if seen[root] {
                continue;
            }
            let mut todo = vec![(root, 0)];
            while let Some((place, depth)) = todo.pop() {
                seen[place] = true;
                if depth == 0 {
                    self.tops.push(place);
                }
                let further = std::mem::take(&mut self.children[place]);
                let kept: Vec<usize> = further.into_iter().filter(|child| !seen[*child]).collect();
                let goes_on = self.spans[place].end.is_none();
                let next = if goes_on || depth + 1 == MAX_DEPTH { 0 } else { depth + 1 };
                todo.extend(kept.iter().rev().map(|child| (*child, next)));
                self.children[place] = if next == 0 { Vec::new() } else { kept };
            }
        }
    }

    fn write_document(&mut self, place: usize) {
        let written = self.write(place);
        self.add(place, written);
    }

    /// Writes a span and what is nested in it; what has no room becomes a document of its own.
    fn write(&mut self, place: usize) -> Written {
        let mut fields = self.fields(place);
        let mut spans = vec![place];
        let mut nested = String::new();
        for child in std::mem::take(&mut self.children[place]) {
            let written = self.write(child);
            if fields.len() + nested.len() + written.fields.len() + 3 + HEAD_BYTES > MAX_DOCUMENT_BYTES {
                self.add(child, written);
                continue;
            }
            nested.push_str(if nested.is_empty() { "{" } else { ",{" });
            nested.push_str(&written.fields);
            nested.push('}');
            spans.extend(written.spans);
        }
        if !nested.is_empty() {
            fields.push_str(",\"subsegments\":[");
            fields.push_str(&nested);
            fields.push(']');
        }
        Written { fields, spans }
    }

    fn add(&mut self, place: usize, written: Written) {
        let span = &self.spans[place];
        let trace_id = span.trace_id;
        let mut json = format!("{{\"trace_id\":\"{trace_id}\"");
        if let Some(parent) = span.parent_id {
            json.push_str(&format!(",\"parent_id\":\"{parent}\""));
        }
        if !self.is_entry[place] {
            json.push_str(",\"type\":\"subsegment\"");
        }
        json.push(',');
        json.push_str(&written.fields);
        json.push('}');
        self.documents.push(Document { id: span.span_id, json, spans: written.spans });
    }

    /// The fields of one span.
    fn fields(&mut self, place: usize) -> String {
        let (span, is_segment) = (&self.spans[place], self.is_entry[place]);
        let mut fields = Fields::new(MAX_DOCUMENT_BYTES - HEAD_BYTES);
        fields.must("id", &span.span_id);
        fields.must("name", &name(if is_segment { &span.service } else { name_of_subsegment(span) }));
        fields.must("start_time", &seconds(span.start));
        match span.end {
            Some(end) => fields.must("end_time", &seconds(end)),
            None => fields.must("in_progress", &true),
        }
        let outcome = Outcome::of(span);
        for (flag, is_set) in [("error", outcome.error), ("throttle", outcome.throttle), ("fault", outcome.fault)] {
            if is_set {
                fields.must(flag, &true);
            }
        }
        if !is_segment && let Some(namespace) = namespace(span) {
            fields.must("namespace", &namespace);
        }
        if is_segment {
            if let Some(user) = &span.user_id {
                fields.may("user", &cut_chars(user, MAX_USER));
            }
            if let Some(version) = &span.version {
                fields.may("service", &json!({ "version": cut(version, 200) }));
            }
        }
        if let Some(http) = http(span) {
            fields.may("http", &http);
        }
        let annotations = self.annotations.entry(span.trace_id).or_default();
        fields.annotations(span, is_segment, annotations);
        if outcome.error || outcome.fault {
            fields.cause(span);
        }
        if !is_segment && let Some(sql) = sql(span) {
            fields.may("sql", &sql);
        }
        if let Some(operation) = span.tag("rpc.method").filter(|_| namespace(span) == Some("aws") && !is_segment) {
            fields.may("aws", &json!({ "operation": cut(operation, 200) }));
        }
        fields.metadata(span, is_segment);
        fields.text
    }
}

fn id_of(span: &Span) -> (TraceId, SpanId) {
    (span.trace_id, span.span_id)
}

/// Whether a span is where a service was entered, whatever its parent is.
fn is_entry(span: &Span) -> bool {
    span.parent_id.is_none() || matches!(span.kind, SpanKind::Server | SpanKind::Consumer)
}

/// What X-Ray calls trouble: the caller's, too much of it, or the service's own.
struct Outcome {
    error: bool,
    throttle: bool,
    fault: bool,
}

impl Outcome {
    fn of(span: &Span) -> Outcome {
        match (span.http_status(), span.status) {
            (Some(429), _) => Outcome { error: true, throttle: true, fault: false },
            (Some(400..=499), _) => Outcome { error: true, throttle: false, fault: false },
            (Some(500..), _) | (_, SpanStatus::Error | SpanStatus::Timeout) => {
                Outcome { error: false, throttle: false, fault: true }
            }
            (_, SpanStatus::Cancelled) => Outcome { error: true, throttle: false, fault: false },
            (_, SpanStatus::Ok) => Outcome { error: false, throttle: false, fault: false },
        }
    }
}

/// Fields of a document, as long as there is room for them.
struct Fields {
    text: String,
    limit: usize,
}

impl Fields {
    fn new(limit: usize) -> Fields {
        Fields { text: String::new(), limit: limit - NOTE_BYTES }
    }

    /// A field that every document has. All of them together are short.
    fn must(&mut self, name: &str, value: &impl Serialize) {
        self.push(name, &json_of(value));
    }

    fn push(&mut self, name: &str, json: &str) {
        self.text.push_str(if self.text.is_empty() { "\"" } else { ",\"" });
        self.text.push_str(name);
        self.text.push_str("\":");
        self.text.push_str(json);
    }

    /// A field, if there is room for it.
    fn may(&mut self, name: &str, value: &impl Serialize) {
        let value = json_of(value);
        if self.text.len() + name.len() + value.len() + 4 <= self.limit {
            self.push(name, &value);
        }
    }

    /// What a trace can be searched by. `used` counts those of the trace.
    fn annotations(&mut self, span: &Span, is_segment: bool, used: &mut usize) {
        let status = Some(span.status.as_str()).filter(|_| is_segment || span.status != SpanStatus::Ok);
        let of_segment = |value| if is_segment { value } else { None };
        let named = [
            ("operation", of_segment(Some(span.operation.as_str()))),
            ("status", status),
            ("request_id", of_segment(span.request_id.as_deref())),
            ("session_id", of_segment(span.session_id.as_deref())),
            ("environment", of_segment(span.environment.as_deref())),
            ("version", of_segment(span.version.as_deref())),
            ("http_route", of_segment(span.tag("http.route"))),
            ("error_type", span.error.as_ref().and_then(|error| error.kind.as_deref())),
        ];
        let mut annotations = Map::new();
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            if *used < MAX_ANNOTATIONS {
                annotations.insert(name.to_owned(), cut_chars(value, MAX_ANNOTATION).into());
                *used += 1;
            }
        }
        if !annotations.is_empty() {
            self.may("annotations", &annotations);
        }
    }

    /// Why it failed: its error, and what was logged of other errors meanwhile.
    fn cause(&mut self, span: &Span) {
        let mut told: Vec<(Option<&str>, &str)> = Vec::new();
        if let Some(error) = &span.error {
            told.push((error.kind.as_deref(), error.message.as_deref().unwrap_or_default()));
        }
        for log in &span.logs {
            let is_told = span.error.as_ref().is_some_and(|error| log.repeats(error));
            if !is_told && (log.is_grave() || log.error_type().is_some()) {
                told.push((log.error_type(), log.error_message().unwrap_or(&log.message)));
            }
        }
        let mut exceptions = Vec::new();
        let mut room = self.limit.saturating_sub(self.text.len() + 40);
        for (place, (kind, message)) in told.into_iter().take(MAX_EXCEPTIONS).enumerate() {
            let id = keys::fingerprint([&span.trace_id.bytes()[..], &span.span_id.bytes(), &place.to_be_bytes()]);
            let mut exception = json!({ "id": &id[..16], "message": cut(message, MAX_MESSAGE) });
            if let Some(kind) = kind {
                exception["type"] = cut(kind, 200).into();
            }
            let bytes = json_of(&exception).len() + 1;
            if bytes > room {
                break;
            }
            room -= bytes;
            exceptions.push(exception);
        }
        if !exceptions.is_empty() {
            self.may("cause", &json!({ "exceptions": exceptions }));
        }
    }

    /// Everything else that is known, as far as there is room; and how much was left out.
    fn metadata(&mut self, span: &Span, is_segment: bool) {
        let mut room = self.limit.saturating_sub(self.text.len() + 60);
        let mut left_out = 0;
        let mut fits = |bytes: usize| {
            let fits = bytes <= room;
            room -= if fits { bytes } else { 0 };
            left_out += usize::from(!fits);
            fits
        };
        let mut about = Map::new();
        about.insert("kind".to_owned(), span.kind.as_str().into());
        about.insert("operation".to_owned(), name(&span.operation).into());
        if !is_segment {
            // A segment says them itself, and a subsegment may be sent without it.
            about.insert("service".to_owned(), name(&span.service).into());
            about.extend(span.request_id.iter().map(|id| ("request_id".to_owned(), cut(id, 200).into())));
        }
        if span.logs_cut > 0 {
            about.insert("logs_cut".to_owned(), span.logs_cut.into());
        }
        fits(json_of(&about).len() + 60);
        let traceback = span.error.as_ref().and_then(|error| error.traceback.as_ref());
        for (name, value) in [("resource", span.resource.as_ref()), ("traceback", traceback)] {
            if let Some(value) = value
                && fits(json_of(value).len() + name.len() + 4)
            {
                about.insert(name.to_owned(), value.as_str().into());
            }
        }
        let mut tags = Map::new();
        for (tag, value) in &span.tags {
            if fits(json_of(tag).len() + json_of(value).len() + 2) {
                tags.insert(tag.clone(), value.clone());
            }
        }
        let mut logs = Vec::new();
        for log in &span.logs {
            let mut entry = json!({ "message": log.message });
            for (name, value) in [("time", log.timestamp.map(|time| time.to_string())), ("level", log.level.clone())] {
                if let Some(value) = value {
                    entry[name] = value.into();
                }
            }
            if !log.fields.is_empty() {
                entry["fields"] = Value::Object(log.fields.clone());
            }
            if fits(json_of(&entry).len() + 1) {
                logs.push(entry);
            }
        }
        if !tags.is_empty() {
            about.insert("tags".to_owned(), tags.into());
        }
        if !logs.is_empty() {
            about.insert("logs".to_owned(), logs.into());
        }
        if left_out > 0 {
            about
                .insert("left_out".to_owned(), format!("{left_out} entries, for want of room: see the archive").into());
        }
        self.limit += NOTE_BYTES;
        self.may("metadata", &json!({ "span": about }));
    }
}

fn json_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("values of JSON, texts and numbers always serialise")
}

/// Seconds since 1970, to the microsecond, which is what a double has room for.
fn seconds(time: Timestamp) -> f64 {
    time.as_microsecond() as f64 / 1e6
}

/// `text` with those characters that a name of X-Ray may have, and no more of them than it may have.
fn name(text: &str) -> String {
    let allowed = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if c.is_alphanumeric() || "_.:/%&#=+\\-@".contains(c) => c,
        _ => '_',
    };
    let name: String = text.trim().chars().take(MAX_NAME).map(allowed).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// What is called, where it is something outside; else what is done.
fn name_of_subsegment(span: &Span) -> &str {
    if namespace(span).is_none() {
        return &span.operation;
    }
    let named = ["aws.service", "rpc.service", "peer.service", "net.peer.name", "server.address"];
    let named = span.first_tag(&named).or_else(|| Some(address(span.first_tag(&["http.url", "url.full"])?).0?.1));
    let named = named.filter(|host| !host.is_empty());
    let databases = ["db.name", "db.namespace", "db.system", "db.system.name", "messaging.destination"];
    let named = named.or_else(|| span.first_tag(&databases));
    // telemetry's `database_query` says what is asked, and not whom.
    let database = || span.tags.keys().any(|tag| tag.starts_with("db.")).then_some("database");
    named.or_else(database).unwrap_or(&span.operation)
}

/// Whom a call goes to.
fn namespace(span: &Span) -> Option<&'static str> {
    match span.kind {
        SpanKind::Client | SpanKind::Producer => {
            let is_aws = span.tag("rpc.system") == Some("aws-api") || span.tag("aws.service").is_some();
            Some(if is_aws { "aws" } else { "remote" })
        }
        _ => None,
    }
}

/// An address in its parts, without what may be secret or personal in it (who asks, the query, the fragment): scheme
/// and host, where it names them, and the path.
fn address(url: &str) -> (Option<(&str, &str)>, &str) {
    let url = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let Some((scheme, rest)) = url.split_once("://") else { return (None, url) };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (Some((scheme, host)), path)
}

fn http(span: &Span) -> Option<Value> {
    let mut request = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            request.insert(name.to_owned(), value.into());
        }
    };
    put("method", span.first_tag(&["http.method", "http.request.method"]).map(|method| cut(method, 40)));
    let url = span.first_tag(&["http.url", "url.full", "http.target", "url.path", "http.route"]);
    let url = url.map(|url| match address(url) {
        (Some((scheme, host)), path) => format!("{scheme}://{host}{path}"),
        (None, path) => path.to_owned(),
    });
    put("url", url.map(|url| cut(&url, MAX_URL)));
    put("user_agent", span.first_tag(&["http.user_agent", "user_agent.original"]).map(|agent| cut(agent, 500)));
    let client = span.first_tag(&["http.client_ip", "client.address"]);
    let is_address = |client: &&str| client.parse::<core::net::IpAddr>().is_ok();
    put("client_ip", client.filter(is_address).map(str::to_owned));
    let mut http = Map::new();
    if !request.is_empty() {
        http.insert("request".to_owned(), request.into());
    }
    if let Some(status) = span.http_status() {
        http.insert("response".to_owned(), json!({ "status": status }));
    }
    (!http.is_empty()).then(|| http.into())
}

/// What was asked of a database, where it says its kind or the statement.
fn sql(span: &Span) -> Option<Value> {
    let system = span.first_tag(&["db.system", "db.system.name"]).map(|system| cut(system, 100));
    let statement = span.first_tag(&["db.statement", "db.query.text"]).map(|text| cut(text, MAX_STATEMENT));
    if system.is_none() && statement.is_none() {
        return None;
    }
    let user = span.tag("db.user").map(|user| cut(user, 200));
    let named = [("database_type", system), ("sanitized_query", statement), ("user", user)];
    Some(
        named
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?.into())))
            .collect::<Map<_, _>>()
            .into(),
    )
}

/// `text`, cut at a character's end where it has more than `bytes`, and marked so.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes.saturating_sub(3)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

fn cut_chars(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests;
