//! Documents against the limits that X-Ray publishes, for spans as they are and for any.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::traces::testing::{TRACE, any_span, failure, id, log_of, span, tags};

/// Checks `document` by what X-Ray's guide says of segment documents. Answers the ids of all (sub)segments in it.
fn check(document: &Document) -> Vec<String> {
    assert!(document.json.len() <= 64_000, "{} bytes", document.json.len());
    let root: Value = serde_json::from_str(&document.json).unwrap_or_else(|error| panic!("{error}: {}", document.json));
    let trace_id = root["trace_id"].as_str().unwrap();
    assert!(trace_id.parse::<TraceId>().is_ok() && trace_id.len() == 35, "{trace_id}");
    assert_eq!(root["id"], document.id.to_string());
    match root.get("type") {
        None => assert!(root.get("namespace").is_none() && root.get("sql").is_none(), "a segment is no call: {root}"),
        Some(kind) => {
            assert_eq!(kind, "subsegment");
            assert!(root["parent_id"].as_str().unwrap().parse::<SpanId>().is_ok());
        }
    }
    let (mut ids, mut annotations) = (Vec::new(), 0);
    check_one(&root, root.get("type").is_some(), 0, &mut ids, &mut annotations);
    assert!(annotations <= 50, "{annotations} annotations");
    assert_eq!(ids.len(), document.spans.len());
    ids
}

fn check_one(segment: &Value, is_subsegment: bool, depth: usize, ids: &mut Vec<String>, annotations: &mut usize) {
    let known = [
        "id",
        "name",
        "start_time",
        "end_time",
        "in_progress",
        "trace_id",
        "parent_id",
        "type",
        "error",
        "throttle",
        "fault",
        "http",
        "annotations",
        "metadata",
        "subsegments",
        "cause",
        "namespace",
        "sql",
        "aws",
        "service",
        "user",
    ];
    let fields = segment.as_object().unwrap();
    for name in fields.keys() {
        assert!(known.contains(&name.as_str()), "X-Ray knows no {name}");
    }
    let own = segment["id"].as_str().unwrap();
    assert!(own.len() == 16 && own.bytes().all(|b| b.is_ascii_hexdigit()), "{own}");
    ids.push(own.to_owned());
    let name = segment["name"].as_str().unwrap();
    assert!((1..=200).contains(&name.chars().count()), "{name}");
    assert!(name.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/%&#=+\\-@".contains(c)), "{name:?}");
    let start = segment["start_time"].as_f64().unwrap();
    match (fields.get("end_time"), fields.get("in_progress")) {
        (Some(end), None) => assert!(end.as_f64().unwrap() >= start),
        (None, Some(in_progress)) => assert_eq!(in_progress, true),
        other => panic!("{other:?}"),
    }
    for flag in ["error", "throttle", "fault"] {
        assert!(fields.get(flag).is_none_or(|set| set == true), "{flag}");
    }
    assert!(fields.get("throttle").is_none() || fields.contains_key("error"));
    if let Some(namespace) = fields.get("namespace") {
        assert!(is_subsegment && (namespace == "remote" || namespace == "aws"), "{namespace}");
    }
    assert!(is_subsegment || (fields.get("sql").is_none() && fields.get("namespace").is_none()));
    assert!(!is_subsegment || (fields.get("user").is_none() && fields.get("service").is_none()));
    for (name, value) in fields.get("annotations").and_then(Value::as_object).into_iter().flatten() {
        *annotations += 1;
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && name.len() <= 500, "{name}");
        assert!(
            value.as_str().is_some_and(|text| text.chars().count() <= 1_000) || value.is_number() || value.is_boolean()
        );
    }
    if let Some(http) = fields.get("http") {
        let url = http["request"]["url"].as_str().unwrap_or_default();
        assert!(!url.contains(['?', '#']), "{url}");
        let status = &http["response"]["status"];
        assert!(status.is_null() || (100..600).contains(&status.as_i64().unwrap()));
    }
    for exception in segment["cause"]["exceptions"].as_array().into_iter().flatten() {
        assert!(exception["id"].as_str().unwrap().parse::<SpanId>().is_ok(), "{exception}");
        assert!(exception["message"].is_string());
    }
    assert!(depth <= 20, "nested too deep");
    for nested in fields.get("subsegments").and_then(Value::as_array).into_iter().flatten() {
        for outer in ["trace_id", "parent_id", "type"] {
            assert!(nested.get(outer).is_none(), "{outer} in a nested subsegment");
        }
        check_one(nested, true, depth + 1, ids, annotations);
    }
}

/// The only document of `spans`.
fn only(spans: &[Span]) -> Value {
    let documents = documents(spans);
    assert_eq!(documents.len(), 1, "{documents:?}");
    check(&documents[0]);
    serde_json::from_str(&documents[0].json).unwrap()
}

#[test]
fn the_entry_of_a_service_is_a_segment_and_what_it_did_are_its_subsegments() {
    let mut root = span(1, None);
    root.operation = "POST /contracts".to_owned();
    root.tags = tags(json!({"http.method": "POST", "http.url": "https://a:b@api.example.com/contracts?token=x#y",
        "http.status_code": 201, "http.client_ip": "10.0.0.1", "http.user_agent": "curl", "n": 7}));
    let mut query = span(3, Some(2));
    query.kind = SpanKind::Client;
    query.tags = tags(json!({"db.system": "postgresql", "db.statement": "SELECT 1", "db.name": "contracts"}));
    let document = only(&[query, span(2, Some(1)), root]);
    assert_eq!((&document["name"], &document["annotations"]["operation"]), (&json!("api"), &json!("POST /contracts")));
    let http = json!({"request": {"method": "POST", "url": "https://api.example.com/contracts", "client_ip": "10.0.0.1",
        "user_agent": "curl"}, "response": {"status": 201}});
    assert_eq!(document["http"], http);
    assert_eq!((&document["trace_id"], &document["user"]), (&json!(TRACE), &json!("u-1")));
    assert_eq!(
        (&document["start_time"], &document["end_time"]),
        (&json!(1795341903.000125), &json!(1795341903.100125))
    );
    assert_eq!(document["metadata"]["span"]["tags"]["n"], 7);
    let middle = &document["subsegments"][0];
    assert_eq!(middle["name"], "operation 2");
    let query = &middle["subsegments"][0];
    assert_eq!((&query["name"], &query["namespace"]), (&json!("contracts"), &json!("remote")));
    assert_eq!(query["sql"], json!({"database_type": "postgresql", "sanitized_query": "SELECT 1"}));
}

#[test]
fn defect_46_ids_times_and_outcomes_are_what_x_ray_takes() {
    // Defect 46: UUID ids, a null end_time, `duration`, untyped children, no error, fault and throttle.
    let unfinished = Span { end: None, ..span(1, None) };
    let document = only(&[unfinished]);
    assert_eq!(
        (&document["in_progress"], document.get("end_time"), document.get("duration")),
        (&json!(true), None, None)
    );
    let child = only(&[span(2, Some(1))]);
    assert_eq!((&child["type"], &child["parent_id"]), (&json!("subsegment"), &json!(id(1).to_string())));
    for (status, http, flags) in [
        (SpanStatus::Ok, json!(200), &[][..]),
        (SpanStatus::Ok, json!(404), &["error"]),
        (SpanStatus::Error, json!(409), &["error"]),
        (SpanStatus::Ok, json!("429"), &["error", "throttle"]),
        (SpanStatus::Ok, json!(503), &["fault"]),
        (SpanStatus::Error, json!(200), &["fault"]),
        (SpanStatus::Timeout, Value::Null, &["fault"]),
        (SpanStatus::Cancelled, Value::Null, &["error"]),
    ] {
        let span = Span { status, tags: tags(json!({"http.status_code": http})), ..span(1, None) };
        let document = only(&[span]);
        let set: Vec<&str> =
            ["error", "throttle", "fault"].into_iter().filter(|flag| document[*flag] == true).collect();
        assert_eq!(set, flags, "{status:?} {http}");
    }
}

#[test]
fn another_services_span_is_a_segment_below_the_call_that_it_answers() {
    let mut call = span(2, Some(1));
    call.kind = SpanKind::Client;
    call.tags = tags(json!({"http.url": "http://contract:8080/x", "http.method": "GET"}));
    // A service that does not say that it answers is another one all the same.
    let answer = Span { service: "contract".to_owned(), kind: SpanKind::Internal, ..span(3, Some(2)) };
    let documents = documents(&[span(1, None), call, answer]);
    let parsed: Vec<Value> = documents.iter().map(|document| serde_json::from_str(&document.json).unwrap()).collect();
    assert_eq!(documents.iter().map(|document| check(document).len()).collect::<Vec<_>>(), [2, 1]);
    let call = &parsed[0]["subsegments"][0];
    assert_eq!(call["name"], "contract:8080");
    assert_eq!((&parsed[1]["name"], &parsed[1]["parent_id"]), (&json!("contract"), &json!(id(2).to_string())));
    assert!(parsed[1].get("type").is_none());
}

#[test]
fn a_span_that_comes_twice_is_put_once_as_it_ended() {
    let unfinished = Span { end: None, ..span(1, None) };
    let failed = Span { status: SpanStatus::Error, ..span(1, None) };
    for spans in [[unfinished.clone(), failed.clone()], [failed, unfinished]] {
        let document = only(&spans);
        assert_eq!((&document["fault"], document.get("in_progress")), (&json!(true), None));
    }
}

#[test]
fn a_circle_of_parents_is_put_and_a_long_chain_is_cut_into_documents() {
    let circle = documents(&[span(1, Some(2)), span(2, Some(3)), span(3, Some(1))]);
    assert_eq!(circle.iter().flat_map(check).count(), 3);
    let chain: Vec<Span> = (1..=20_000).map(|at| span(at, (at > 1).then(|| at - 1))).collect();
    let documents = documents(&chain);
    let ids: BTreeSet<String> = documents.iter().flat_map(check).collect();
    assert_eq!(ids.len(), chain.len());
}

#[test]
fn a_document_is_never_too_long_and_says_what_is_left_out() {
    let mut long = span(1, None);
    long.tags = tags(json!({"a": "x".repeat(40_000), "b": "y".repeat(40_000), "http.url": "\u{1}".repeat(9_000)}));
    long.error = Some(crate::traces::span::SpanFailure {
        kind: Some("Timeout".to_owned()),
        message: Some("ы".repeat(90_000)),
        traceback: Some("z".repeat(90_000)),
    });
    long.status = SpanStatus::Error;
    let document = only(&[long]);
    let metadata = &document["metadata"]["span"];
    assert_eq!(metadata["left_out"], "3 entries, for want of room: see the archive");
    assert!(metadata["tags"]["a"].is_string() && metadata["tags"].get("b").is_none());
    assert_eq!(document["cause"]["exceptions"][0]["type"], "Timeout");
    // Children that have no room in the document of their parent have one of their own.
    let child = |at| Span { tags: tags(json!({"a": "x".repeat(40_000)})), ..span(at, Some(1)) };
    let documents = documents(&[span(1, None), child(2), child(3), child(4)]);
    assert_eq!(documents.iter().map(|document| check(document).len()).collect::<Vec<_>>(), [1, 1, 2]);
    let alone: Value = serde_json::from_str(&documents[0].json).unwrap();
    assert_eq!((&alone["type"], &alone["parent_id"]), (&json!("subsegment"), &json!(id(1).to_string())));
}

#[test]
fn what_was_logged_of_errors_is_the_cause() {
    let mut failed = span(1, None);
    failed.status = SpanStatus::Error;
    failed.logs =
        vec![log_of("INFO", "asked", json!({})), log_of("ERROR", "no answer", json!({"exception.type": "Timeout"}))];
    let exceptions = |span: &Span| {
        let document = only(std::slice::from_ref(span));
        let all = document["cause"]["exceptions"].as_array().unwrap();
        all.iter().map(|one| format!("{} {}", one["type"], one["message"])).collect::<Vec<_>>()
    };
    assert_eq!(exceptions(&failed), [r#""Timeout" "no answer""#]);
    // What tells of the span's own error is not told twice, whether it names it or not; another error is.
    failed.error = Some(failure("Timeout", "rosreestr"));
    failed.logs.push(log_of("ERROR", "save failed", json!({})));
    assert_eq!(exceptions(&failed), [r#""Timeout" "rosreestr""#]);
    failed.logs.push(log_of("ERROR", "x", json!({"error.type": "Refused", "error.message": "no"})));
    assert_eq!(exceptions(&failed), [r#""Timeout" "rosreestr""#, r#""Refused" "no""#]);
    assert_eq!(only(&[failed])["annotations"]["error_type"], "Timeout");
}

#[test]
fn nothing_is_nested_in_what_goes_on() {
    // When it ends, its document is written over, and what was nested in it would be gone.
    let first = documents(&[span(2, Some(1)), Span { end: None, ..span(1, None) }, span(3, Some(2))]);
    assert_eq!(first.iter().map(|document| check(document).len()).collect::<Vec<_>>(), [1, 2]);
    let below: Value = serde_json::from_str(&first[1].json).unwrap();
    assert_eq!((&below["type"], &below["parent_id"]), (&json!("subsegment"), &json!(id(1).to_string())));
    // Alone it still says who did it, and for what.
    let about = &below["metadata"]["span"];
    assert_eq!((&about["service"], &about["request_id"]), (&json!("api"), &json!("r-1")));
}

#[test]
fn a_service_that_was_called_is_a_segment_whatever_kind_its_span_says() {
    let entered = Span { has_remote_parent: true, ..span(2, Some(1)) };
    assert_eq!(entered.kind, SpanKind::Internal);
    let document = only(&[entered]);
    assert_eq!((&document["name"], document.get("type")), (&json!("api"), None));
    assert_eq!(
        (&document["annotations"]["request_id"], &document["parent_id"]),
        (&json!("r-1"), &json!(id(1).to_string()))
    );
}

#[test]
fn a_query_names_its_database_and_what_is_not_known_is_left_out() {
    for (said, name, sql) in [
        (json!({"db.operation": "SELECT", "db.sql.table": "contracts"}), "database", Value::Null),
        (json!({"db.query.text": "SELECT 1"}), "database", json!({"sanitized_query": "SELECT 1"})),
        (json!({"db.system.name": "mysql", "db.namespace": "c"}), "c", json!({"database_type": "mysql"})),
        (json!({}), "operation 2", Value::Null),
    ] {
        let query = Span { kind: SpanKind::Client, tags: tags(said.clone()), ..span(2, Some(1)) };
        let document = only(&[query]);
        assert_eq!((&document["name"], &document["sql"]), (&json!(name), &sql), "{said}");
    }
}

#[test]
fn how_much_was_not_logged_is_told() {
    assert_eq!(only(&[Span { logs_cut: 68, ..span(1, None) }])["metadata"]["span"]["logs_cut"], 68);
}

#[test]
fn a_call_has_fifty_documents_and_half_a_megabyte_at_most() {
    let document = |bytes: usize| Document { id: id(1), json: "x".repeat(bytes), spans: vec![] };
    assert!(calls(&[]).is_empty());
    let small: Vec<Document> = (0..101).map(|_| document(10)).collect();
    assert_eq!(calls(&small), [0..50, 50..100, 100..101]);
    let large: Vec<Document> = (0..20).map(|_| document(64_000)).collect();
    assert_eq!(calls(&large), [0..8, 8..16, 16..20]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_spans_give_documents_that_x_ray_takes(spans in prop::collection::vec(any_span(), 0..24)) {
        let documents = documents(&spans);
        let mut put: Vec<(TraceId, String)> = Vec::new();
        for document in &documents {
            let trace_id = spans[document.spans[0]].trace_id;
            put.extend(check(document).into_iter().map(|id| (trace_id, id)));
        }
        let all: BTreeSet<(TraceId, String)> = spans.iter().map(|span| (span.trace_id, span.span_id.to_string())).collect();
        // Each once.
        prop_assert_eq!(put.len(), all.len());
        prop_assert_eq!(put.into_iter().collect::<BTreeSet<_>>(), all);
        let mut annotations: HashMap<String, usize> = HashMap::new();
        for document in &documents {
            let value: Value = serde_json::from_str(&document.json).unwrap();
            *annotations.entry(value["trace_id"].to_string()).or_default() += count(&value);
        }
        prop_assert!(annotations.values().all(|count| *count <= MAX_ANNOTATIONS));
    }
}

fn count(segment: &Value) -> usize {
    let own = segment["annotations"].as_object().map_or(0, Map::len);
    own + segment["subsegments"].as_array().into_iter().flatten().map(count).sum::<usize>()
}
