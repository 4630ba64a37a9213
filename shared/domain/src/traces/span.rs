//! A span as the archive has it: read, checked, or refused with what is wrong with it.

use jiff::Timestamp;
use schema::trace::{IdError, SpanId, SpanKind, SpanStatus, TraceId};
use serde::Deserialize;
use serde_json::{Map, Value};

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
    /// Why it failed.
    pub error: Option<SpanFailure>,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SpanLog {
    /// When; where it does not say, nobody knows.
    pub timestamp: Option<Timestamp>,
    /// How grave it was.
    pub level: Option<String>,
    /// What.
    #[serde(default)]
    pub message: String,
    /// What else is known of it.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// Why a span failed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct SpanFailure {
    /// Type of the error.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its text.
    pub message: Option<String>,
    /// Where it came from.
    pub traceback: Option<String>,
}

/// Why a line is no span.
#[derive(Debug, thiserror::Error)]
pub enum SpanError {
    /// Not the JSON of a span line.
    #[error("not a line with a span: {0}")]
    Json(#[from] serde_json::Error),
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

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    context: Context,
    error: Option<SpanFailure>,
    span: Body,
}

#[derive(Default, Deserialize)]
struct Context {
    request_id: Option<String>,
    user_id: Option<String>,
    session_id: Option<String>,
    service_name: Option<String>,
    environment: Option<String>,
    version: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    operation_name: String,
    parent_span_id: Option<String>,
    start_time: Timestamp,
    end_time: Option<Timestamp>,
    kind: Option<String>,
    status: Option<String>,
    resource: Option<String>,
    #[serde(default)]
    tags: Map<String, Value>,
    #[serde(default)]
    logs: Vec<SpanLog>,
}

impl Span {
    /// Reads a line of the archive.
    ///
    /// # Errors
    ///
    /// Where it tells of no span, or of one that can not be.
    pub fn parse(line: &str) -> Result<Span, SpanError> {
        let Line { context, error, span } = serde_json::from_str(line)?;
        let trace_id: TraceId = context.trace_id.ok_or(SpanError::Missing("trace_id"))?.parse()?;
        let span_id: SpanId = context.span_id.ok_or(SpanError::Missing("span_id"))?.parse()?;
        let parent_id: Option<SpanId> = span.parent_span_id.map(|id| id.parse()).transpose()?;
        if parent_id == Some(span_id) {
            return Err(SpanError::OwnParent(span_id));
        }
        if span.operation_name.is_empty() {
            return Err(SpanError::Missing("operation_name"));
        }
        let (start, end) = (within(span.start_time)?, span.end_time.map(within).transpose()?);
        if let Some(end) = end.filter(|end| *end < start) {
            return Err(SpanError::Backwards { start, end });
        }
        Ok(Span {
            trace_id,
            span_id,
            parent_id,
            operation: span.operation_name,
            service: context.service_name.unwrap_or_else(|| "unknown".to_owned()),
            environment: context.environment,
            version: context.version,
            request_id: context.request_id,
            session_id: context.session_id,
            user_id: context.user_id,
            kind: word(span.kind, "kind", SpanKind::parse)?,
            status: word(span.status, "status", SpanStatus::parse)?,
            start,
            end,
            resource: span.resource,
            tags: span.tags,
            logs: span.logs,
            error,
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

fn word<T: Default>(
    text: Option<String>,
    what: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, SpanError> {
    let Some(text) = text else { return Ok(T::default()) };
    parse(&text).ok_or_else(|| SpanError::Word { text: text.chars().take(40).collect(), what })
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
            ("2026-11-22T10:05:03.123456Z", "yesterday", "not a line with a span"),
            ("\"span\":", "\"spin\":", "missing field `span`"),
            ("\"operation_name\":\"POST /contracts\"", "\"operation_name\":\"\"", "without operation_name"),
        ] {
            let line = LINE.replacen(from, to, 1);
            assert_ne!(line, LINE, "{from}");
            let error = Span::parse(&line).unwrap_err().to_string();
            assert!(error.contains(says), "{from} > {to}: {error}");
        }
        assert!(Span::parse("42").is_err());
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
