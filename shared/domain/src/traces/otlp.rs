//! Messages of OpenTelemetry's protocol (OTLP): what Jaeger and every collector take.
//!
//! A span that still goes on is not sent: the protocol knows spans that have ended, and a collector would show both.

use std::collections::BTreeMap;

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind as Kind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, Status};
use prost::Message as _;
use schema::trace::{SpanKind, SpanStatus};
use serde_json::{Map, Value};

use super::Span;
use super::span::{MAX_DEPTH, SpanFailure};

/// Spans of one request.
pub const MAX_SPANS: usize = 512;

/// Bytes of the spans of one request, but for one that is longer by itself. Collectors take 4 MB at least.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// An `ExportTraceServiceRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As protobuf.
    pub body: Vec<u8>,
    /// The spans in it, by their places in the list that it was made from.
    pub spans: Vec<usize>,
}

/// What a collector says to a request that it has taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Spans that it has refused all the same. It does not say which.
    pub rejected: u64,
    /// Why, or a warning.
    pub message: String,
}

impl Answer {
    /// Reads the body of an answer. What is no such message says nothing: that the request was taken is known by the
    /// status.
    pub fn of(body: &[u8]) -> Answer {
        let response = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        let partial = response.partial_success.unwrap_or_default();
        Answer { rejected: u64::try_from(partial.rejected_spans).unwrap_or_default(), message: partial.error_message }
    }
}

/// The requests that send those of `spans` that have ended.
pub fn requests(spans: &[Span]) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut chosen: Vec<(usize, Message)> = Vec::new();
    let mut bytes = 0;
    for (place, span) in spans.iter().enumerate() {
        let Some(end) = span.end else { continue };
        let message = message(span, end);
        let size = message.encoded_len();
        if chosen.len() == MAX_SPANS || (!chosen.is_empty() && bytes + size > MAX_REQUEST_BYTES) {
            requests.push(request(spans, std::mem::take(&mut chosen)));
            bytes = 0;
        }
        bytes += size;
        chosen.push((place, message));
    }
    if !chosen.is_empty() {
        requests.push(request(spans, chosen));
    }
    requests
}

/// The two requests that send a half each of the spans of `request`, which was made of `spans`.
pub fn halves(spans: &[Span], request: &Request) -> [Request; 2] {
    let (first, second) = request.spans.split_at(request.spans.len() / 2);
    [first, second].map(|places| {
        let chosen = places.iter().filter_map(|place| Some((*place, message(&spans[*place], spans[*place].end?))));
        self::request(spans, chosen.collect())
    })
}

fn request(spans: &[Span], chosen: Vec<(usize, Message)>) -> Request {
    let places = chosen.iter().map(|(place, _)| *place).collect();
    let mut by_resource: BTreeMap<[Option<&str>; 3], Vec<Message>> = BTreeMap::new();
    for (place, message) in chosen {
        let span = &spans[place];
        let resource = [Some(span.service.as_str()), span.environment.as_deref(), span.version.as_deref()];
        by_resource.entry(resource).or_default().push(message);
    }
    let scope = InstrumentationScope { name: "land-contracts".to_owned(), ..Default::default() };
    let resource_spans = by_resource.into_iter().map(|(resource, spans)| ResourceSpans {
        resource: Some(Resource {
            attributes: texts(["service.name", "deployment.environment", "service.version"].into_iter().zip(resource)),
            ..Default::default()
        }),
        scope_spans: vec![ScopeSpans { scope: Some(scope.clone()), spans, ..Default::default() }],
        ..Default::default()
    });
    let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
    Request { body: request.encode_to_vec(), spans: places }
}

fn message(span: &Span, end: Timestamp) -> Message {
    let mut attributes = attributes(&span.tags);
    attributes.extend(texts([
        ("resource.name", span.resource.as_deref()),
        ("request_id", span.request_id.as_deref()),
        ("session.id", span.session_id.as_deref()),
        ("enduser.id", span.user_id.as_deref()),
    ]));
    Message {
        trace_id: span.trace_id.bytes().to_vec(),
        span_id: span.span_id.bytes().to_vec(),
        parent_span_id: span.parent_id.map(|id| id.bytes().to_vec()).unwrap_or_default(),
        name: span.operation.clone(),
        kind: kind(span.kind) as i32,
        start_time_unix_nano: nanoseconds(span.start),
        end_time_unix_nano: nanoseconds(end),
        attributes,
        events: events(span),
        dropped_events_count: span.logs_cut,
        status: status(span),
        // Sampled: of others there is no line.
        flags: 1,
        ..Default::default()
    }
}

/// Not negative: spans before 1970 are refused when they are read.
fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}

fn kind(kind: SpanKind) -> Kind {
    match kind {
        SpanKind::Internal => Kind::Internal,
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
        SpanKind::Producer => Kind::Producer,
        SpanKind::Consumer => Kind::Consumer,
    }
}

/// Unset where all went well: OpenTelemetry leaves "ok" to people who want to say that an error is none.
fn status(span: &Span) -> Option<Status> {
    let told = span.error.as_ref().and_then(|error| error.message.clone().or_else(|| error.kind.clone()));
    match span.status {
        SpanStatus::Ok => None,
        SpanStatus::Error => {
            Some(Status { code: StatusCode::Error.into(), message: told.unwrap_or_else(|| "error".to_owned()) })
        }
        other => Some(Status { code: StatusCode::Error.into(), message: other.as_str().to_owned() }),
    }
}

/// What was logged, and the error as OpenTelemetry tells of exceptions: by the last entry that tells of it, if any.
fn events(span: &Span) -> Vec<Event> {
    let told = span.error.as_ref().and_then(|error| span.logs.iter().rposition(|log| log.repeats(error)));
    let logged = span.logs.iter().enumerate().map(|(place, log)| {
        let mut attributes = attributes(&log.fields);
        attributes.extend(texts([("level", log.level.as_deref())]));
        let mut name = log.message.clone();
        if let Some(error) = span.error.as_ref().filter(|_| told == Some(place)) {
            attributes.retain(|attribute| !attribute.key.starts_with("exception."));
            attributes.extend(texts([("message", Some(name.as_str()))]));
            attributes.extend(exception(error));
            name = EXCEPTION.to_owned();
        }
        let time = log.timestamp.unwrap_or(span.start);
        Event { time_unix_nano: nanoseconds(time), name, attributes, ..Default::default() }
    });
    let failure = span.error.as_ref().filter(|_| told.is_none()).map(|error| Event {
        time_unix_nano: nanoseconds(span.end.unwrap_or(span.start)),
        name: EXCEPTION.to_owned(),
        attributes: exception(error),
        ..Default::default()
    });
    logged.chain(failure).collect()
}

/// What OpenTelemetry calls the event of an error.
const EXCEPTION: &str = "exception";

fn exception(error: &SpanFailure) -> Vec<KeyValue> {
    texts([
        ("exception.type", error.kind.as_deref()),
        ("exception.message", error.message.as_deref()),
        ("exception.stacktrace", error.traceback.as_deref()),
    ])
}

fn texts<'a>(named: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Vec<KeyValue> {
    let named = named.into_iter().filter_map(|(name, text)| Some((name, text?)));
    named.map(|(name, text)| key_value(name, Any::StringValue(text.to_owned()))).collect()
}

fn attributes(fields: &Map<String, Value>) -> Vec<KeyValue> {
    let known = fields.iter().filter_map(|(name, value)| Some((name, any(value, MAX_DEPTH)?)));
    known.map(|(name, value)| key_value(name, value)).collect()
}

fn key_value(name: &str, value: Any) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// A value by its type. `null` says nothing.
fn any(value: &Value, depth: usize) -> Option<Any> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => Any::BoolValue(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Any::IntValue(integer),
            (None, Some(double)) => Any::DoubleValue(double),
            (None, None) => Any::StringValue(number.to_string()),
        },
        Value::String(text) => Any::StringValue(text.clone()),
        Value::Array(_) | Value::Object(_) if depth == 0 => Any::StringValue(value.to_string()),
        Value::Array(items) => {
            let values = items.iter().map(|item| AnyValue { value: any(item, depth - 1) });
            Any::ArrayValue(ArrayValue { values: values.collect() })
        }
        Value::Object(fields) => {
            let known = fields.iter().filter_map(|(name, value)| Some((name, any(value, depth - 1)?)));
            Any::KvlistValue(KeyValueList { values: known.map(|(name, value)| key_value(name, value)).collect() })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::{any_span, failure, log_of, span, tags};
    use proptest::prelude::*;
    use serde_json::json;

    fn decoded(request: &Request) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap()
    }

    fn attribute<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Any> {
        attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?.value.as_ref()
    }

    #[test]
    fn a_span_is_sent_with_w3c_ids_typed_attributes_events_and_the_resource() {
        let mut sent = span(2, Some(1));
        sent.kind = SpanKind::Client;
        sent.status = SpanStatus::Timeout;
        sent.tags = tags(
            json!({"n": 7, "x": 1.5, "b": true, "s": "text", "l": [1, "a"], "o": {"k": null, "i": 1}, "none": null}),
        );
        sent.logs = vec![log_of("INFO", "asked", json!({"try": 1}))];
        sent.error = Some(SpanFailure { kind: Some("Timeout".to_owned()), message: None, traceback: None });
        let requests = requests(&[sent]);
        let message = decoded(&requests[0]).resource_spans.remove(0);
        let resource = message.resource.unwrap().attributes;
        let text = |text: &str| Any::StringValue(text.to_owned());
        assert_eq!(attribute(&resource, "service.name"), Some(&text("api")));
        assert_eq!(attribute(&resource, "deployment.environment"), Some(&text("production")));
        assert_eq!(attribute(&resource, "service.version"), Some(&text("1.2.3")));
        let span = &message.scope_spans[0].spans[0];
        assert_eq!(hex::encode(&span.trace_id), "5759e988bd862e3fe1be46a994272793");
        assert_eq!(
            (hex::encode(&span.span_id), hex::encode(&span.parent_span_id)),
            ("0000000000000002".to_owned(), "0000000000000001".to_owned())
        );
        assert_eq!(
            (span.start_time_unix_nano, span.end_time_unix_nano),
            (1_795_341_903_000_125_000, 1_795_341_903_100_125_000)
        );
        assert_eq!((span.kind(), span.name.as_str()), (Kind::Client, "operation 2"));
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "timeout"));
        let attributes = &span.attributes;
        assert_eq!(attribute(attributes, "n"), Some(&Any::IntValue(7)));
        assert_eq!(attribute(attributes, "x"), Some(&Any::DoubleValue(1.5)));
        assert_eq!(attribute(attributes, "b"), Some(&Any::BoolValue(true)));
        assert_eq!(attribute(attributes, "none"), None);
        let Some(Any::ArrayValue(list)) = attribute(attributes, "l") else { panic!("{attributes:?}") };
        assert_eq!(list.values[0].value, Some(Any::IntValue(1)));
        let Some(Any::KvlistValue(object)) = attribute(attributes, "o") else { panic!("{attributes:?}") };
        assert_eq!(object.values.len(), 1);
        assert_eq!(attribute(attributes, "enduser.id"), Some(&text("u-1")));
        assert_eq!(
            (span.events.len(), span.events[0].name.as_str(), span.events[1].name.as_str()),
            (2, "asked", "exception")
        );
        assert_eq!(attribute(&span.events[0].attributes, "try"), Some(&Any::IntValue(1)));
    }

    #[test]
    fn an_error_is_the_status_and_one_event_and_what_was_cut_is_counted() {
        let mut failed = span(1, None);
        (failed.status, failed.error, failed.logs_cut) = (SpanStatus::Error, Some(failure("Io", "refused")), 68);
        let sent = |span: &Span| {
            decoded(&requests(std::slice::from_ref(span))[0])
                .resource_spans
                .remove(0)
                .scope_spans
                .remove(0)
                .spans
                .remove(0)
        };
        let alone = sent(&failed);
        assert_eq!((alone.status.unwrap().message.as_str(), alone.dropped_events_count), ("refused", 68));
        assert_eq!(alone.events.len(), 1);
        failed.logs = vec![log_of("WARNING", "slow", json!({})), log_of("ERROR", "save failed", json!({"n": 1}))];
        let told = sent(&failed);
        assert_eq!(told.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["slow", "exception"]);
        for (name, value) in [("exception.type", "Io"), ("exception.message", "refused"), ("message", "save failed")] {
            let value = Any::StringValue(value.to_owned());
            assert_eq!(attribute(&told.events[1].attributes, name), Some(&value), "{name}");
        }
        assert_eq!(attribute(&told.events[1].attributes, "n"), Some(&Any::IntValue(1)));
    }

    #[test]
    fn spans_are_grouped_by_resource_and_unfinished_ones_wait() {
        let other = Span { service: "web".to_owned(), ..span(2, Some(1)) };
        let unfinished = Span { end: None, ..span(3, Some(1)) };
        let requests = requests(&[span(1, None), unfinished, other, span(4, Some(1))]);
        assert_eq!((requests.len(), &requests[0].spans), (1, &vec![0, 2, 3]));
        let counts =
            decoded(&requests[0]).resource_spans.iter().map(|r| r.scope_spans[0].spans.len()).collect::<Vec<_>>();
        assert_eq!(counts, [2, 1]);
    }

    #[test]
    fn a_request_has_a_bound() {
        let many: Vec<Span> = (1..=1_025).map(|at| span(at, None)).collect();
        assert_eq!(requests(&many).iter().map(|request| request.spans.len()).collect::<Vec<_>>(), [512, 512, 1]);
        let large: Vec<Span> =
            (1..=5).map(|at| Span { tags: tags(json!({"a": "x".repeat(400_000)})), ..span(at, None) }).collect();
        assert_eq!(requests(&large).iter().map(|request| request.spans.len()).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn a_request_has_two_halves() {
        let spans: Vec<Span> =
            (1..=4).map(|at| Span { end: span(at, None).end.filter(|_| at != 2), ..span(at, None) }).collect();
        let whole = &requests(&spans)[0];
        let halves = halves(&spans, whole);
        assert_eq!((&whole.spans, &halves[0].spans, &halves[1].spans), (&vec![0, 2, 3], &vec![0], &vec![2, 3]));
        assert_eq!(halves[0], requests(&spans[..2])[0]);
    }

    #[test]
    fn an_answer_tells_how_many_were_refused() {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
        let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "too old".to_owned() };
        let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        assert_eq!(Answer::of(&body), Answer { rejected: 3, message: "too old".to_owned() });
        for body in [&b""[..], b"{}", b"\xff"] {
            assert_eq!(Answer::of(body), Answer::default());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_spans_that_have_ended_are_sent_once(spans in prop::collection::vec(any_span(), 0..12)) {
            let requests = requests(&spans);
            let sent: Vec<usize> = requests.iter().flat_map(|request| request.spans.clone()).collect();
            let ended: Vec<usize> = (0..spans.len()).filter(|place| spans[*place].end.is_some()).collect();
            prop_assert_eq!(sent, ended);
            for request in &requests {
                let decoded = decoded(request);
                let spans: usize = decoded.resource_spans.iter().map(|r| r.scope_spans[0].spans.len()).sum();
                prop_assert_eq!(spans, request.spans.len());
            }
        }

        #[test]
        fn values_nested_deep_can_be_read_by_a_collector(depth in 1_usize..60) {
            let value = (0..depth).fold(json!(1), |inner, _| json!({ "k": [inner] }));
            let sent = Span { tags: tags(json!({ "deep": value })), ..span(1, None) };
            prop_assert_eq!(decoded(&requests(&[sent])[0]).resource_spans.len(), 1);
        }
    }
}
