//! Spans for tests: one that is as it should be, and any.

use proptest::prelude::*;
use schema::trace::{SpanId, SpanKind, SpanStatus, TraceId};
use serde_json::{Map, Value, json};

use super::span::{Span, SpanFailure, SpanLog};

pub(super) const TRACE: &str = "1-5759e988-bd862e3fe1be46a994272793";

pub(super) fn id(number: u64) -> SpanId {
    SpanId::of(number.to_be_bytes()).unwrap()
}

/// A span of the service `api` that took 100 ms from 2026-11-22T10:05:03Z on, with the id `number`, below `parent`.
pub(super) fn span(number: u64, parent: Option<u64>) -> Span {
    let start = "2026-11-22T10:05:03.000125Z".parse().unwrap();
    Span {
        trace_id: TRACE.parse().unwrap(),
        span_id: id(number),
        parent_id: parent.map(id),
        operation: format!("operation {number}"),
        service: "api".to_owned(),
        environment: Some("production".to_owned()),
        version: Some("1.2.3".to_owned()),
        request_id: Some("r-1".to_owned()),
        session_id: None,
        user_id: Some("u-1".to_owned()),
        kind: if parent.is_none() { SpanKind::Server } else { SpanKind::Internal },
        status: SpanStatus::Ok,
        has_remote_parent: false,
        start,
        end: Some(start + jiff::SignedDuration::from_millis(100)),
        resource: None,
        tags: Map::new(),
        logs: Vec::new(),
        logs_cut: 0,
        error: None,
    }
}

pub(super) fn log_of(level: &str, message: &str, fields: Value) -> SpanLog {
    let (level, message) = (Some(level.to_owned()), message.to_owned());
    SpanLog { timestamp: None, level, message, fields: tags(fields) }
}

pub(super) fn failure(kind: &str, message: &str) -> SpanFailure {
    SpanFailure { kind: Some(kind.to_owned()), message: Some(message.to_owned()), traceback: None }
}

pub(super) fn tags(tags: Value) -> Map<String, Value> {
    tags.as_object().unwrap().clone()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => ".{0,12}",
        4 => Just("имя (с) \"кавычками\"\n\u{1f}".to_owned()),
        1 => (1_usize..90_000).prop_map(|length| "ы\u{1}".repeat(length / 3 + 1)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn tag_names() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 12] = [
        "http.method",
        "http.url",
        "http.route",
        "http.status_code",
        "http.client_ip",
        "http.user_agent",
        "db.system",
        "db.statement",
        "error",
        "peer.service",
        "rpc.system",
        "rpc.method",
    ];
    prop_oneof![prop::sample::select(&KNOWN[..]).prop_map(str::to_owned), ".{0,8}"]
}

fn map() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(tag_names(), value(), 0..6).prop_map(Map::from_iter)
}

fn log() -> impl Strategy<Value = SpanLog> {
    let time = prop::option::of((0_i64..4_000_000_000).prop_map(|at| jiff::Timestamp::from_second(at).unwrap()));
    let level = prop::option::of(prop::sample::select(&["INFO", "ERROR", "odd"][..]).prop_map(str::to_owned));
    (time, level, text(), map()).prop_map(|(timestamp, level, message, fields)| SpanLog {
        timestamp,
        level,
        message,
        fields,
    })
}

/// Any span: few ids, so that there are parents, circles and repetitions.
pub(super) fn any_span() -> impl Strategy<Value = Span> {
    let ids = (1_u8..3, 1_u64..9, prop::option::of(1_u64..9));
    let words = (0_usize..5, 0_usize..4, prop::option::weighted(0.9, 0_i64..5_000_000));
    let texts = (text(), prop::sample::select(&["api", "web", "", "имя"][..]), prop::option::of(text()));
    let rest = (map(), prop::collection::vec(log(), 0..3), prop::option::of((text(), prop::option::of(text()))));
    (ids, words, texts, rest).prop_map(
        |((trace, own, parent), (kind, status, micros), (operation, service, other), (tags, logs, error))| {
            let base = span(own, parent.filter(|parent| *parent != own));
            Span {
                trace_id: TraceId::of([trace; 16]).unwrap(),
                operation: if operation.is_empty() { "x".to_owned() } else { operation },
                service: service.to_owned(),
                user_id: other.clone(),
                request_id: other.clone(),
                resource: other,
                kind: SpanKind::NAMES[kind].1,
                status: SpanStatus::NAMES[status].1,
                end: micros.map(|micros| base.start + jiff::SignedDuration::from_micros(micros)),
                tags,
                logs,
                error: error.map(|(message, traceback)| SpanFailure {
                    kind: traceback.clone(),
                    message: Some(message),
                    traceback,
                }),
                ..base
            }
        },
    )
}
