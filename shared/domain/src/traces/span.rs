//! A span as the archive has it: read, checked, or refused with what is wrong with it.

use jiff::Timestamp;
use schema::Level;
use schema::trace::{IdError, SpanId, SpanKind, SpanStatus, TraceId};
use serde_json::{Map, Value};

use crate::logs::parse::json::{seconds_of_epoch, time_of_text};

/// Values within values that are kept as such. What lies deeper is its JSON as a text: readers of JSON and messages of
/// OpenTelemetry's protocol may be nested a hundred times, and what is sent nests them further.
pub(super) const MAX_DEPTH: usize = 8;

/// One piece of work of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that it is a part of; the first of a trace has none.
    pub parent_id: Option<SpanId>,
    /// What was done, `POST /contracts` say.
    pub operation: String,
    /// Who did it.
    pub service: String,
    /// Where.
    pub environment: Option<String>,
    /// What version of the service.
    pub version: Option<String>,
    /// The request that it was done for.
    pub request_id: Option<String>,
    /// The session of the request.
    pub session_id: Option<String>,
    /// Who asked; a pseudonym.
    pub user_id: Option<String>,
    /// What part it has in a call.
    pub kind: SpanKind,
    /// How it ended.
    pub status: SpanStatus,
    /// Whether its parent is another service's: the service was entered by it, whatever its kind is.
    pub has_remote_parent: bool,
    /// When it began. Not before 1970, and not after [`Span::end`].
    pub start: Timestamp,
    /// When it ended; `None` while it goes on.
    pub end: Option<Timestamp>,
    /// What it was done to.
    pub resource: Option<String>,
    /// What else is known of it, by OpenTelemetry's names.
    pub tags: Map<String, Value>,
    /// What happened meanwhile.
    pub logs: Vec<SpanLog>,
    /// How much more happened, which the service had no room for.
    pub logs_cut: u32,
    /// Why it failed: the error of the line, or else what its tags and logs say of one.
    pub error: Option<SpanFailure>,
}

/// Something that happened during a span.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpanLog {
    /// When; where it does not say, nobody knows.
    pub timestamp: Option<Timestamp>,
    /// How grave it was.
    pub level: Option<String>,
    /// What.
    pub message: String,
    /// What else is known of it.
    pub fields: Map<String, Value>,
}

/// Why a span failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpanFailure {
    /// Type of the error.
    pub kind: Option<String>,
    /// Its text.
    pub message: Option<String>,
    /// Where it came from.
    pub traceback: Option<String>,
}

/// Why a line is no span.
#[derive(Debug, thiserror::Error)]
pub enum SpanError {
    /// Not the JSON of a line.
    #[error("not a line with a span: {0}")]
    Json(#[from] serde_json::Error),
    /// Something else than a text, where nothing else can stand.
    #[error("a span whose {0} is no text")]
    NoText(&'static str),
    /// Nobody could tell where it belongs.
    #[error("a span without {0}")]
    Missing(&'static str),
    /// Not an id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A word that is none of the known ones.
    #[error("`{text}` is no {what} of a span")]
    Word {
        /// The word.
        text: String,
        /// What it should be.
        what: &'static str,
    },
    /// Its own parent.
    #[error("span {0} is its own parent")]
    OwnParent(SpanId),
    /// Ends before it begins.
    #[error("a span that ends at {end}, before it begins at {start}")]
    Backwards {
        /// Its beginning.
        start: Timestamp,
        /// Its end.
        end: Timestamp,
    },
    /// A time that neither X-Ray nor OpenTelemetry can write.
    #[error("a span at {0}, which lies before 1970 or after 2262")]
    Time(Timestamp),
}

impl Span {
    /// Reads a line of the archive. What is odd in it but not needed, of the logs, tags, resource or error, is kept as a
    /// text.
    ///
    /// # Errors
    ///
    /// Where it tells of no span, or of one that can not be: its ids, operation, times, kind or status are not there,
    /// or are none.
    pub fn parse(line: &str) -> Result<Span, SpanError> {
        let mut line: Map<String, Value> = serde_json::from_str(line)?;
        let Some(Value::Object(mut span)) = line.remove("span") else { return Err(SpanError::Missing("span")) };
        let mut context = match line.remove("context") {
            Some(Value::Object(context)) => context,
            _ => Map::new(),
        };
        let trace_id: TraceId = needed(&mut context, "trace_id")?.parse()?;
        let span_id: SpanId = needed(&mut context, "span_id")?.parse()?;
        let parent_id: Option<SpanId> = word(&mut span, "parent_span_id")?.map(|id| id.parse()).transpose()?;
        if parent_id == Some(span_id) {
            return Err(SpanError::OwnParent(span_id));
        }
        let operation = needed(&mut span, "operation_name")?;
        let start = instant(&mut span, "start_time")?.ok_or(SpanError::Missing("start_time"))?;
        let end = instant(&mut span, "end_time")?;
        if let Some(end) = end.filter(|end| *end < start) {
            return Err(SpanError::Backwards { start, end });
        }
        let kind = known(&mut span, "kind", SpanKind::parse)?;
        let status = known(&mut span, "status", SpanStatus::parse)?;
        let tags = fields(span.remove("tags"), "tags");
        let logs: Vec<SpanLog> = match span.remove("logs") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(logs)) => logs.into_iter().map(SpanLog::of).collect(),
            Some(other) => vec![SpanLog::of(other)],
        };
        let failure = SpanFailure::of(line.remove("error")).or_else(|| SpanFailure::of_tags(&tags));
        let failure = failure.or_else(|| SpanFailure::of_logs(&logs).filter(|_| status != SpanStatus::Ok));
        let mut about = |name: &str| context.remove(name).and_then(text);
        Ok(Span {
            trace_id,
            span_id,
            parent_id,
            operation,
            service: about("service_name").unwrap_or_else(|| "unknown".to_owned()),
            environment: about("environment"),
            version: about("version"),
            request_id: about("request_id"),
            session_id: about("session_id"),
            user_id: about("user_id"),
            kind,
            status,
            has_remote_parent: span.get("remote_parent") == Some(&Value::Bool(true)),
            start,
            end,
            resource: span.remove("resource").and_then(text),
            tags,
            logs,
            logs_cut: span.get("logs_cut").and_then(Value::as_u64).unwrap_or_default().try_into().unwrap_or(u32::MAX),
            error: failure,
        })
    }

    /// A tag that is a text and not empty.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The first of `names` that is a tag with a text.
    pub fn first_tag(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.tag(name))
    }

    /// HTTP status of the answer, a number or the text of one.
    pub fn http_status(&self) -> Option<u16> {
        let tag = self.tags.get("http.status_code").or_else(|| self.tags.get("http.response.status_code"))?;
        let number = tag.as_u64().and_then(|number| u16::try_from(number).ok());
        number.or_else(|| tag.as_str()?.parse().ok()).filter(|status| (100..600).contains(status))
    }
}

impl SpanLog {
    fn of(entry: Value) -> SpanLog {
        let Value::Object(mut entry) = entry else {
            return SpanLog { message: text(entry).unwrap_or_default(), ..SpanLog::default() };
        };
        let mut fields = fields(entry.remove("fields"), "fields");
        let written = entry.remove("timestamp").filter(|time| !time.is_null());
        let timestamp = written.as_ref().and_then(time).filter(|time| within(*time).is_ok());
        if let Some(odd) = written.filter(|_| timestamp.is_none()).and_then(text) {
            fields.insert("timestamp".to_owned(), odd.into());
        }
        let level = entry.remove("level");
        let number = level.as_ref().and_then(Value::as_f64).and_then(Level::of_number);
        SpanLog {
            timestamp,
            level: number.map(|level| level.as_str().to_owned()).or_else(|| level.and_then(text)),
            message: entry.remove("message").and_then(text).unwrap_or_default(),
            fields,
        }
    }

    /// Whether it tells of something that failed.
    pub fn is_grave(&self) -> bool {
        matches!(self.level.as_deref(), Some("ERROR" | "CRITICAL"))
    }

    /// The type of the error that it tells of.
    pub fn error_type(&self) -> Option<&str> {
        let names = ["exception.type", "exception_type", "error.type", "error.kind", "error_type"];
        names.iter().find_map(|name| self.fields.get(*name)?.as_str())
    }

    /// The text of the error that it tells of, where that is not its message.
    pub fn error_message(&self) -> Option<&str> {
        let names = ["exception.message", "exception_message", "error.message", "error_message"];
        names.iter().find_map(|name| self.fields.get(*name)?.as_str())
    }

    /// Whether it tells of nothing but `failure`: that something failed, and of no error that is another one.
    pub fn repeats(&self, failure: &SpanFailure) -> bool {
        let is_same = |own: Option<&str>, known: &Option<String>| own.is_none() || own == known.as_deref();
        (self.is_grave() || self.error_type().is_some())
            && is_same(self.error_type(), &failure.kind)
            && is_same(self.error_message(), &failure.message)
    }
}

impl SpanFailure {
    /// That of a line.
    fn of(error: Option<Value>) -> Option<SpanFailure> {
        match error? {
            Value::Object(mut error) => {
                let mut part = |name: &str| error.remove(name).and_then(text);
                let (kind, message) = (part("type"), part("message"));
                let traceback = match error.remove("traceback") {
                    Some(Value::Array(lines)) => {
                        Some(lines.into_iter().filter_map(text).collect::<Vec<_>>().join("\n"))
                    }
                    other => other.and_then(text),
                };
                let rest = || (!error.is_empty()).then(|| Value::Object(error.clone()).to_string());
                Some(SpanFailure { message: message.or_else(rest), kind, traceback })
            }
            other => text(other).map(|message| SpanFailure { message: Some(message), ..SpanFailure::default() }),
        }
    }

    /// What OpenTelemetry's names for errors say: services know of their spans' errors by tags.
    fn of_tags(tags: &Map<String, Value>) -> Option<SpanFailure> {
        let first = |names: &[&str]| {
            let texts = names.iter().filter_map(|name| tags.get(*name)?.as_str());
            // Whether there was one is told by some as a text.
            texts.into_iter().find(|text| !matches!(*text, "" | "true" | "false")).map(str::to_owned)
        };
        let kind = first(&["error.type", "exception.type", "error.kind"]);
        let message = first(&["error.message", "exception.message", "error"]);
        let is_told = kind.is_some() || message.is_some();
        is_told.then(|| SpanFailure { kind, message, traceback: first(&["exception.stacktrace", "error.stack"]) })
    }

    /// The last error that was logged with its type.
    fn of_logs(logs: &[SpanLog]) -> Option<SpanFailure> {
        let last = logs.iter().rev().find(|log| log.is_grave() && log.error_type().is_some())?;
        let message = last.error_message().unwrap_or(&last.message).to_owned();
        Some(SpanFailure { kind: last.error_type().map(str::to_owned), message: Some(message), traceback: None })
    }
}

/// A value as a text; `null` is none.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Fields, none of them too deep; what are none is a field called `name`.
fn fields(value: Option<Value>, name: &str) -> Map<String, Value> {
    match value {
        Some(Value::Object(fields)) => {
            fields.into_iter().map(|(name, value)| (name, shallow(value, MAX_DEPTH))).collect()
        }
        other => other.and_then(text).map(|text| (name.to_owned(), Value::String(text))).into_iter().collect(),
    }
}

/// `value`, in which what lies deeper than `depth` is its JSON as a text.
fn shallow(value: Value, depth: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => Value::String(value.to_string()),
        Value::Array(items) => items.into_iter().map(|item| shallow(item, depth - 1)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, shallow(value, depth - 1))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

/// A field that is a text, or not there.
fn word(fields: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, SpanError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(SpanError::NoText(name)),
    }
}

/// A field that is a text and says something.
fn needed(fields: &mut Map<String, Value>, name: &'static str) -> Result<String, SpanError> {
    word(fields, name)?.filter(|text| !text.is_empty()).ok_or(SpanError::Missing(name))
}

/// A field that is one of the words that `parse` knows; the usual one where it is not there.
fn known<T: Default>(
    fields: &mut Map<String, Value>,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, SpanError> {
    let Some(text) = word(fields, name)? else { return Ok(T::default()) };
    parse(&text).ok_or_else(|| no(name, &text))
}

fn no(what: &'static str, text: &str) -> SpanError {
    SpanError::Word { text: text.chars().take(40).collect(), what }
}

/// A field that is a time, or not there.
fn instant(fields: &mut Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, SpanError> {
    let Some(written) = fields.remove(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let time = time(&written).ok_or_else(|| no(name, &text(written).unwrap_or_default()))?;
    within(time).map(Some)
}

/// A time as lines have it: RFC 3339, the same without an offset (UTC), or the number of seconds, or of parts of
/// seconds, since 1970, to the microsecond.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => time_of_text(text),
        other => Timestamp::from_microsecond((seconds_of_epoch(other.as_f64()?)? * 1e6).round() as i64).ok(),
    }
}

/// Nanoseconds since 1970 have 63 bits in OpenTelemetry's tools.
fn within(time: Timestamp) -> Result<Timestamp, SpanError> {
    match i64::try_from(time.as_nanosecond()) {
        Ok(0..) => Ok(time),
        _ => Err(SpanError::Time(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LINE: &str = r#"{"timestamp":"2026-11-22T10:05:03.135Z","level":"INFO","category":"performance","message":"POST /contracts",
        "context":{"request_id":"r-1","user_id":"u-1","service_name":"api","environment":"production","version":"1.2",
        "trace_id":"1-5759e988-bd862e3fe1be46a994272793","span_id":"53995c3f42cd8ad8"},"duration_ms":12.345,
        "span":{"operation_name":"POST /contracts","parent_span_id":"00f067aa0ba902b7",
        "start_time":"2026-11-22T10:05:03.123456Z","end_time":"2026-11-22T10:05:03.135801Z","kind":"server","status":"timeout",
        "resource":"POST /contracts","tags":{"http.status_code":504,"http.method":"POST"},
        "logs":[{"timestamp":"2026-11-22T10:05:03.130Z","level":"INFO","message":"asked","fields":{"n":1}},{"message":"x"}]},
        "error":{"type":"Timeout","message":"rosreestr"},"source":{"format":"schema_v1"}}"#;

    #[test]
    fn a_line_is_read() {
        let span = Span::parse(LINE).unwrap();
        assert_eq!(span.trace_id.to_string(), "1-5759e988-bd862e3fe1be46a994272793");
        assert_eq!(span.parent_id.unwrap().to_string(), "00f067aa0ba902b7");
        assert_eq!((span.kind, span.status, span.http_status()), (SpanKind::Server, SpanStatus::Timeout, Some(504)));
        assert_eq!((span.service.as_str(), span.user_id.as_deref()), ("api", Some("u-1")));
        assert_eq!((span.logs.len(), span.logs[1].timestamp), (2, None));
        assert_eq!(span.error.unwrap().kind.as_deref(), Some("Timeout"));
        assert_eq!(span.end.unwrap().duration_since(span.start).as_micros(), 12_345);
    }

    #[test]
    fn an_unfinished_span_has_no_end() {
        let line = LINE.replace(r#""end_time":"2026-11-22T10:05:03.135801Z""#, r#""in_progress":true"#);
        assert_eq!(Span::parse(&line).unwrap().end, None);
    }

    #[test]
    fn what_can_not_be_a_span_is_refused_and_says_why() {
        // Defect 46: UUIDs for ids.
        for (from, to, says) in [
            ("1-5759e988-bd862e3fe1be46a994272793", "123e4567-e89b-12d3-a456-426614174000", "is no trace id"),
            ("53995c3f42cd8ad8", "0000000000000000", "is no span id"),
            ("00f067aa0ba902b7", "x", "`x` is no span id"),
            ("00f067aa0ba902b7", "53995c3f42cd8ad8", "is its own parent"),
            ("\"trace_id\"", "\"other\"", "without trace_id"),
            ("\"span_id\"", "\"other\"", "without span_id"),
            ("\"kind\":\"server\"", "\"kind\":\"SpanKind.SERVER\"", "`SpanKind.SERVER` is no kind"),
            ("\"timeout\"", "\"late\"", "`late` is no status"),
            ("03.135801Z", "03.100000Z", "before it begins"),
            ("2026-11-22T10:05:03.123456Z", "1969-11-22T10:05:03Z", "before 1970"),
            ("2026-11-22T10:05:03.135801Z", "2300-11-22T10:05:03Z", "after 2262"),
            ("2026-11-22T10:05:03.123456Z", "yesterday", "`yesterday` is no start_time"),
            ("\"span\":", "\"spin\":", "without span"),
            ("\"kind\":\"server\"", "\"kind\":7", "whose kind is no text"),
            ("\"start_time\":", "\"began\":", "without start_time"),
            ("\"2026-11-22T10:05:03.135801Z\"", "[]", "is no end_time"),
            ("\"operation_name\":\"POST /contracts\"", "\"operation_name\":\"\"", "without operation_name"),
        ] {
            let line = LINE.replacen(from, to, 1);
            assert_ne!(line, LINE, "{from}");
            let error = Span::parse(&line).unwrap_err().to_string();
            assert!(error.contains(says), "{from} > {to}: {error}");
        }
        assert!(Span::parse("42").is_err());
    }

    fn with(more: Value) -> String {
        let mut line: Value = serde_json::from_str(LINE).unwrap();
        line.as_object_mut().unwrap().remove("error");
        for (name, value) in more.as_object().unwrap() {
            match name.as_str() {
                "error" => line["error"] = value.clone(),
                _ => line["span"][name] = value.clone(),
            }
        }
        line.to_string()
    }

    #[test]
    fn what_is_odd_but_not_needed_is_kept_as_a_text() {
        let read = |more: Value| Span::parse(&with(more.clone())).unwrap_or_else(|error| panic!("{more}: {error}"));
        for nothing in ["tags", "logs", "resource", "error", "end_time", "kind", "status", "parent_span_id", "logs_cut"]
        {
            read(json!({ nothing: null }));
        }
        assert_eq!(read(json!({"tags": [1]})).tags, *json!({"tags": "[1]"}).as_object().unwrap());
        assert_eq!(read(json!({"resource": 5})).resource.as_deref(), Some("5"));
        let log = |log: Value| read(json!({"logs": [log]})).logs.remove(0);
        let said = |message: &str| SpanLog { message: message.to_owned(), ..SpanLog::default() };
        assert_eq!(log(json!("text")), said("text"));
        assert_eq!(log(json!({"message": null, "fields": null})), said(""));
        assert_eq!(log(json!({"message": {"a": 1}})), said("{\"a\":1}"));
        assert_eq!(log(json!({"level": 30, "message": "m"})).level.as_deref(), Some("INFO"));
        assert_eq!(log(json!({"fields": "f"})).fields["fields"], "f");
        assert_eq!(log(json!({"timestamp": "late"})).fields["timestamp"], "late");
        for time in [json!("2026-11-22T10:05:03.130"), json!(1_795_341_903.13), json!(1_795_341_903_130_i64)] {
            let time = log(json!({"timestamp": time})).timestamp.unwrap();
            assert_eq!(time.to_string(), "2026-11-22T10:05:03.13Z");
        }
        let span = read(json!({"start_time": "2026-11-22T10:05:03.100001", "end_time": 1_795_341_903.100_002}));
        assert_eq!(span.end.unwrap().duration_since(span.start).as_micros(), 1);
        assert_eq!(read(json!({"logs_cut": 68, "remote_parent": true})).logs_cut, 68);
        for (error, kind, message, traceback) in [
            (json!({"type": "T", "message": "m", "traceback": ["a", "b"]}), Some("T"), Some("m"), Some("a\nb")),
            (json!({"code": 500, "type": 7}), Some("7"), Some("{\"code\":500}"), None),
            (json!("text"), None, Some("text"), None),
            (json!({"message": {"a": 1}}), None, Some("{\"a\":1}"), None),
        ] {
            let failure = read(json!({ "error": error })).error.unwrap();
            let parts = (failure.kind.as_deref(), failure.message.as_deref(), failure.traceback.as_deref());
            assert_eq!(parts, (kind, message, traceback), "{error}");
        }
    }

    #[test]
    fn the_error_is_told_by_tags_and_logs_where_the_line_has_none() {
        for (more, kind, message) in [
            (json!({"tags": {"error": true, "error.type": "T", "error.message": "m"}}), Some("T"), Some("m")),
            (json!({"tags": {"exception.type": "T", "exception.message": "m"}}), Some("T"), Some("m")),
            (json!({"tags": {"error": "m"}}), None, Some("m")),
            (
                json!({"logs": [{"level": "ERROR", "message": "m", "fields": {"exception_type": "T"}}]}),
                Some("T"),
                Some("m"),
            ),
            (json!({"error": {"type": "U"}, "tags": {"error.type": "T"}}), Some("U"), None),
        ] {
            let failure = Span::parse(&with(more.clone())).unwrap().error.unwrap();
            assert_eq!((failure.kind.as_deref(), failure.message.as_deref()), (kind, message), "{more}");
        }
        for more in [
            json!({"tags": {"error": true}}),
            json!({"tags": {"error": "false"}}),
            json!({"logs": [{"level": "INFO", "message": "m", "fields": {"exception_type": "T"}}]}),
            json!({"status": "ok", "logs": [{"level": "ERROR", "message": "m", "fields": {"exception_type": "T"}}]}),
        ] {
            assert_eq!(Span::parse(&with(more.clone())).unwrap().error, None, "{more}");
        }
    }

    #[test]
    fn what_lies_too_deep_is_its_json() {
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let span = Span::parse(&with(json!({"tags": {"d": deep}, "logs": [{"fields": {"d": {"a": deep}}}]}))).unwrap();
        for value in [&span.tags["d"], &span.logs[0].fields["d"]] {
            let mut value = value;
            let mut depth = 0;
            while let Some(inner) = value.get(0).or_else(|| value.get("a")) {
                (value, depth) = (inner, depth + 1);
            }
            assert_eq!(depth, MAX_DEPTH);
            assert!(value.as_str().unwrap().contains("[[1]]"));
        }
    }

    #[test]
    fn a_status_of_http_is_a_number_or_the_text_of_one() {
        for (tag, status) in [("504", Some(504)), ("\"404\"", Some(404)), ("\"no\"", None), ("99", None), ("1e9", None)]
        {
            let line = LINE.replace("\"http.status_code\":504", &format!("\"http.status_code\":{tag}"));
            assert_eq!(Span::parse(&line).unwrap().http_status(), status, "{tag}");
        }
    }
}
