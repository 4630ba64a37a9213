//! What is read as an event, as which line, and what is said of the rest.

use serde_json::{Value, json};

use super::*;
use crate::logs::filter::Filters;
use crate::logs::pipeline::{Pipeline, Processed, Settings};
use crate::logs::quarantine::Quarantined;
use crate::logs::redact::PseudonymKey;
use crate::logs::{archive, replay};
use crate::metrics::pending::PendingMetrics;

/// 2026-11-21T10:05:03Z.
const AT: i64 = 1_795_255_503_000;
/// When its message was sent: a minute later.
const SENT: i64 = AT + 60_000;

fn event_of(detail_type: &str, detail: Value) -> Value {
    json!({
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": detail_type,
        "source": "land-contracts.contract",
        "account": "123456789012",
        "time": "2026-11-21T10:05:03Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    })
}

fn created(change: impl FnOnce(&mut Value)) -> String {
    let mut event = event_of("ContractCreated", json!({ "user_role": "buyer", "contract_value": 2.5e6 }));
    change(&mut event);
    event.to_string()
}

fn error(body: &str) -> EventError {
    read(body, SENT).line.unwrap_err()
}

fn pipeline(filters: &str) -> Pipeline {
    Pipeline::new(Settings {
        own_log_groups: "/own".to_owned(),
        environment: "production".to_owned(),
        pseudonym_key: PseudonymKey::from_secret("made up for tests, 0123456789abcdef").unwrap(),
        personal_fields: Vec::new(),
        filters: Filters::parse(filters).unwrap(),
        metric_namespace: String::new(),
    })
}

fn process(body: &str) -> Processed {
    pipeline("").process_event(body, SENT)
}

fn record(body: &str) -> Value {
    let processed = process(body);
    let lines = archive::lines(&processed.archive[0].body).unwrap();
    assert_eq!((lines.len(), processed.archive.len(), processed.lines.archived), (1, 1, 1));
    serde_json::from_str(&lines[0]).unwrap()
}

/// The metrics of an event, as `name sum`, in the minute that they are of.
fn counted(processed: &Processed) -> Vec<String> {
    let pending = PendingMetrics::parse(&processed.pending.as_ref().unwrap().body).unwrap();
    assert_eq!(pending.minutes.len(), 1, "an event is of one minute");
    let (minute, series) = pending.minutes.first_key_value().unwrap();
    let texts = series.iter().filter(|(key, _)| key.name != "pipeline_bytes_received");
    texts.map(|(key, held)| format!("{minute} {} {}", key.name, held.sum)).collect()
}

#[test]
fn an_event_is_archived_as_the_line_that_a_service_would_have_logged() {
    let body = created(|event| {
        event["resources"] = json!(["arn:aws:ecs:eu-west-1:123456789012:task/x"]);
        event["detail"] = json!({
            "user_role": "buyer", "contract_value": 2_500_000, "contract_id": 7, "nested": { "a": [1] },
            "request_id": "req-1", "session_id": "s-1", "trace_id": "1-6741a2b3-0123456789abcdef01234567",
        });
    });
    assert_eq!(
        record(&body),
        json!({
            "timestamp": "2026-11-21T10:05:03.000Z", "level": "INFO", "category": "business_logic",
            "message": "Contract created",
            "context": {
                "request_id": "req-1", "session_id": "s-1", "service_name": "contract", "environment": "production",
                "trace_id": "1-6741a2b3-0123456789abcdef01234567",
            },
            "details": {
                "event": "contract_created", "user_role": "buyer", "contract_value": 2_500_000, "contract_id": 7,
                "nested": { "a": [1] },
            },
            "extra": { "resources": ["arn:aws:ecs:eu-west-1:123456789012:task/x"] },
            "source": {
                "owner": "123456789012", "log_group": "events:land-contracts.contract",
                "log_stream": "ContractCreated", "format": "schema_v1", "event_time": "2026-11-21T10:05:03Z",
                "event_id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            },
        })
    );
    assert_eq!(
        process(&body).archive[0].key.rsplit_once('/').unwrap().0,
        "archive/env=production/service=contract/dt=2026-11-21/hour=10"
    );
}

#[test]
fn each_type_becomes_the_metrics_of_the_table() {
    for (detail_type, detail, metrics) in [
        ("UserRegistered", json!({ "user_role": "buyer" }), &["log_entries 1", "user_registrations 1"][..]),
        (
            "ContractCreated",
            json!({ "user_role": "buyer", "contract_value": 2.5e6 }),
            &["contract_value 2500000", "contracts_created 1", "log_entries 1"],
        ),
        (
            "ContractSigned",
            json!({ "user_role": "buyer", "signing_duration_ms": 184_000 }),
            &["contract_signing_duration 184000", "contracts_signed 1", "log_entries 1"],
        ),
        ("ContractCreationFailed", json!({ "reason": "timeout" }), &["contract_creation_errors 1", "log_entries 1"]),
        (
            "DocumentUploaded",
            json!({ "document_type": "passport", "file_size_mb": 2.5 }),
            &["document_size 2.5", "documents_uploaded 1", "log_entries 1"],
        ),
        // A type of tomorrow, whatever it calls its fields.
        (
            "ContractArchived",
            json!({ "event": "contract_created", "active_users": 5, "method": "GET", "endpoint": "/", "status_code": 1,
                    "unread": 1, "service": "x" }),
            &["log_entries 1"],
        ),
        ("contract_created", json!({}), &["log_entries 1"]),
    ] {
        let processed = process(&event_of(detail_type, detail).to_string());
        let minute = "2026-11-21T10:05Z";
        let own = ["pipeline_lines_archived 1", "pipeline_lines_received 1"];
        let mut expected: Vec<String> = metrics.iter().chain(&own).map(|text| format!("{minute} {text}")).collect();
        expected.sort();
        assert_eq!(counted(&processed), expected, "{detail_type}");
    }
}

#[test]
fn a_failure_is_an_error_and_every_other_event_is_none() {
    let level = |detail_type, detail| record(&event_of(detail_type, detail).to_string())["level"].clone();
    assert_eq!(level("ContractCreationFailed", json!({ "reason": "timeout" })), "ERROR");
    assert_eq!(level("Unheard", json!({})), "INFO");
}

#[test]
fn a_field_of_no_schema_is_kept_and_counts_for_nothing() {
    let body = created(|event| {
        event["detail"]["event"] = json!("document_uploaded");
        event["detail"]["file_size_mb"] = json!(1e300);
        event["detail"]["user_id"] = json!(12);
    });
    let details = record(&body)["details"].clone();
    assert_eq!(details["event"], "contract_created");
    assert_eq!(details["unread"], json!({ "event": "document_uploaded", "file_size_mb": 1e300 }));
}

#[test]
fn an_id_that_is_null_is_absent_and_what_can_be_no_id_does_not_lose_the_event() {
    let right = json!({ "user_role": "buyer", "contract_value": 1 });
    for detail_type in ["ContractCreated", "Unheard"] {
        let detail_with = |name: &str, value: &Value| {
            let mut detail = right.clone();
            detail[name] = value.clone();
            event_of(detail_type, detail).to_string()
        };
        let plain = record(&event_of(detail_type, right.clone()).to_string());
        for Field { name, kind } in COMMON {
            assert_eq!(record(&detail_with(name, &Value::Null)), plain, "{detail_type} {name}");
            if name == "event_id" {
                continue;
            }
            let number = if kind == FieldKind::Id { json!(true) } else { json!(7) };
            for value in [json!({ "not": "an id" }), json!(["x"]), json!(" "), json!("x".repeat(257)), number] {
                let record = record(&detail_with(name, &value));
                assert!(record["context"].get(name).is_none(), "{detail_type} {name} {value}");
                assert!(!record["details"]["unread"][name].is_null(), "{detail_type} {name} {value}");
            }
        }
    }
    // What decides whether an event counts twice is not guessed at.
    let bad = created(|event| event["detail"]["event_id"] = json!("x".repeat(257)));
    assert!(matches!(error(&bad), EventError::Detail { .. }));
}

#[test]
fn fields_of_the_business_are_not_taken_for_the_place_that_a_line_comes_from() {
    let own = json!({ "user_role": "buyer", "contract_value": 1, "version": 3, "environment": "flat",
                      "service_name": "valuation" });
    let record = record(&event_of("ContractCreated", own).to_string());
    assert_eq!(record["context"], json!({ "service_name": "contract", "environment": "production" }));
    for (name, value) in [("version", json!(3)), ("environment", json!("flat")), ("service_name", json!("valuation"))] {
        assert_eq!(record["details"][name], value);
    }
}

#[test]
fn nothing_personal_is_in_the_names_that_a_record_is_archived_under() {
    let with_id = |id: &str| created(|event| event["detail"]["event_id"] = json!(id));
    let event_id = |body: &str| record(body)["source"]["event_id"].as_str().unwrap().to_owned();
    for id in ["c-18/signed", "0192f0c4-7c1e-7a52-9d7e-2f6a1b3c4d5e", "1"] {
        assert_eq!(event_id(&with_id(id)), id);
    }
    for id in [
        "registered:anna.petrova@example.com",
        "registered:+79161234567",
        "\u{43f}\u{435}\u{442}\u{440}\u{43e}\u{432}\u{430}",
        "anna petrova",
        "\u{a0}",
        &"x".repeat(129),
    ] {
        let processed = process(&with_id(id));
        assert_eq!(event_id(&with_id(id)), keys::fingerprint([id.as_bytes()]), "{id}");
        assert_eq!(processed, process(&with_id(id)));
    }
    for id in ["registered:anna.petrova@example.com", "registered:+79161234567"] {
        assert!(!record(&with_id(id)).to_string().contains(&id[11..]), "{}", record(&with_id(id)));
        // It is still the id that tells one event from another.
        assert_ne!(process(&with_id(id)).batch_id, process(&with_id(&format!("{id}0"))).batch_id);
    }
    // EventBridge's own id, and the names of its envelope.
    let body = created(|event| event["id"] = json!("anna.petrova@example.com"));
    assert!(!record(&body).to_string().contains("anna.petrova"));
    for (name, text) in [("detail-type", "Signed by 8 916 123 45 67"), ("source", "land.8-916-123-45-67")] {
        let body = created(|event| event[name] = json!(text));
        let processed = process(&body);
        assert!(!record(&body).to_string().contains("916"), "{}", record(&body));
        assert!(!processed.archive[0].key.contains("123-45"), "{}", processed.archive[0].key);
        let pending = String::from_utf8(processed.pending.unwrap().body).unwrap();
        assert!(!pending.contains("123-45"), "{pending}");
        assert_eq!(processed.archive, process(&body).archive);
    }
}

#[test]
fn a_name_of_another_shape_is_refused_and_stands_nowhere_but_in_the_message_that_is_kept() {
    for (name, text) in [
        ("detail-type", "Registered anna.petrova@example.com"),
        ("detail-type", "a/b"),
        ("detail-type", "a\nb"),
        ("source", "anna.petrova@example.com"),
        ("source", &"x".repeat(257)),
        ("account", "anna.petrova"),
        ("account", "1234567890123"),
    ] {
        let body = created(|event| {
            event[name] = json!(text);
            event["detail"]["event_id"] = json!("7");
        });
        assert_eq!(error(&body).reason(), "event-envelope", "{name} {text}");
        let processed = process(&body);
        let held: Quarantined = serde_json::from_slice(&processed.quarantine[0].body).unwrap();
        let origin = serde_json::to_string(&held.items[0].origin).unwrap();
        assert!(!origin.contains(text) && !held.items[0].error.contains(text), "{origin}");
        // Two of them are two, though they are given the same name.
        let other = created(|event| {
            event[name] = json!(format!("{text}!"));
            event["detail"]["event_id"] = json!("7");
        });
        assert_ne!(processed.quarantine[0].key, process(&other).quarantine[0].key);
    }
    assert!(
        read(
            &created(|event| event["detail-type"] = json!("\u{414}\u{43e}\u{433}\u{43e}\u{432}\u{43e}\u{440} 1.0_a-b")),
            SENT
        )
        .line
        .is_ok()
    );
}

#[test]
fn a_blank_is_one_of_the_four_that_json_has_everywhere() {
    for detail_type in ["ContractCreated", "Unheard"] {
        let id = |event_id: &str| {
            let detail = json!({ "user_role": "buyer", "contract_value": 1, "event_id": event_id });
            process(&event_of(detail_type, detail).to_string()).batch_id
        };
        assert_ne!(id("\u{a0}"), id("\u{2003}"), "each is an id");
    }
    let blank = |event_id: &str, own: &str| {
        let mut event = event_of("Unheard", json!({ "event_id": event_id }));
        event["id"] = json!(own);
        process(&event.to_string()).batch_id
    };
    assert_ne!(blank(" \t", "a"), blank(" \t", "b"), "that is none");
    assert_eq!(blank("\u{a0}", "a"), blank("\u{a0}", "b"));
}

#[test]
fn what_is_personal_is_redacted_as_in_any_line() {
    let body = created(|event| event["detail"]["comment"] = json!("call ivan@example.com"));
    assert!(!record(&body).to_string().contains("ivan@example.com"));
}

#[test]
fn what_is_wrong_is_told_by_field_all_at_once() {
    for (change, says) in [
        (
            json!({ "user_role": "buyer" }),
            "`detail.contract_value` is missing, expected a number from 0 to 1000000000000",
        ),
        (
            json!({ "user_role": "b", "contract_value": "7" }),
            "`detail.contract_value` is a text of 1 characters, expected",
        ),
        (json!({ "user_role": "b", "contract_value": -0.5 }), "`detail.contract_value` is -0.5, expected a number"),
        (json!({ "user_role": "b", "contract_value": 1.1e12 }), "`detail.contract_value` is 1100000000000.0, expected"),
        (json!({ "user_role": "b", "contract_value": true }), "`detail.contract_value` is true, expected"),
        (
            json!({ "user_role": " ", "contract_value": null }),
            "`detail.user_role` is a blank text, expected a text of 1 to 64 characters that is not blank; \
             `detail.contract_value` is null, expected",
        ),
        (json!({ "user_role": 7, "contract_value": [] }), "`detail.user_role` is 7, expected a text of 1"),
        (
            json!({ "user_role": "я".repeat(65), "contract_value": 1 }),
            "is a text of 65 characters, expected a text of 1 to 64",
        ),
        (
            json!({ "user_role": "b", "contract_value": 1, "event_id": 7 }),
            "`detail.event_id` is 7, expected a text of 1",
        ),
    ] {
        let told = error(&created(|event| event["detail"] = change)).to_string();
        assert!(told.starts_with("not a ContractCreated event: ") && told.contains(says), "{told}");
    }
}

#[test]
fn what_is_no_event_is_told_with_its_place() {
    let without = |name: &str| created(|event| drop(event.as_object_mut().unwrap().remove(name)));
    let long = created(|event| event["detail"]["x"] = json!("x".repeat(MAX_LINE_BYTES)));
    let deep = |name: &str, levels: usize| {
        let value = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        created(|event| event["detail"][name] = json!("deep")).replace("\"deep\"", &value)
    };
    assert!(read(&deep("x", 126), SENT).line.is_ok());
    let half = created(|_| ()).replace("buyer", r"\ud800");
    for (body, reason, says) in [
        ("", "event-json", "not JSON: "),
        ("{", "event-json", "not JSON: "),
        ("[]", "event-envelope", "not an event of EventBridge: `id` is missing"),
        ("42", "event-envelope", "`detail` is missing, expected an object"),
        (&without("id"), "event-envelope", "`id` is missing, expected a text that is not blank"),
        (&without("detail-type"), "event-envelope", "`detail-type` is missing"),
        (&without("account"), "event-envelope", "`account` is missing"),
        (&without("detail"), "event-envelope", "`detail` is missing, expected an object"),
        (&created(|event| event["detail"] = json!([1])), "event-envelope", "`detail` is a list, expected an object"),
        (
            &created(|event| event["source"] = json!(" ")),
            "event-envelope",
            "`source` is a blank text, expected a text of up to 256 letters",
        ),
        (
            &created(|event| event["time"] = json!("now")),
            "event-envelope",
            "`time` is a text of 3 characters, expected a",
        ),
        (&long, "oversize", "at most 262144 are taken"),
        (&deep("x", 127), "event-json", "no deeper nesting expected"),
        // As a line it lies deeper, under `unread`.
        (&deep("method", 126), "event-json", "no deeper nesting expected"),
        (&half, "event-json", "not JSON"),
    ] {
        let error = error(body);
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn what_can_not_be_read_is_kept_as_it_came_counted_and_replayed_once_it_can_be() {
    let bad = created(|event| event["detail"]["contract_value"] = json!("a lot"));
    let processed = process(&bad);
    assert_eq!((processed.lines.received, processed.lines.quarantined, processed.archive.len()), (1, 1, 0));
    let minute = "2026-11-21T10:05Z";
    assert_eq!(
        counted(&processed),
        [format!("{minute} pipeline_lines_quarantined 1"), format!("{minute} pipeline_lines_received 1")]
    );
    let [object] = &processed.quarantine[..] else { panic!("one object") };
    assert!(object.key.starts_with("quarantine/event-schema/dt=2026-11-21/"), "{}", object.key);
    let held: Quarantined = serde_json::from_slice(&object.body).unwrap();
    assert_eq!(held.items[0].original.bytes().unwrap(), bad.as_bytes());
    let origin = held.items[0].origin.clone().unwrap();
    assert_eq!((origin.log_group.as_str(), origin.timestamp_millis), ("events:land-contracts.contract", AT));
    // As long as it can not be read, it stays.
    let again = replay::object(&mut pipeline(""), &object.key, &object.body).unwrap();
    assert!(again.is_left && !again.deletes && again.writes.is_empty(), "{}", again.told);
    // Another version of the code takes it: here, what it holds has been mended. No filter of log lines drops it.
    let mended = String::from_utf8(object.body.clone()).unwrap().replace(r#"\"a lot\""#, "7");
    let replayed =
        replay::object(&mut pipeline("category=business_logic keep=0"), &object.key, mended.as_bytes()).unwrap();
    assert!(replayed.deletes && !replayed.is_left, "{}", replayed.told);
    // It is the event now, and not another: the same batch as if it had come so.
    let direct = process(&created(|event| event["detail"]["contract_value"] = json!(7)));
    assert_eq!(replayed.writes[0], direct.archive[0]);
    assert_eq!(replayed.writes[1].key, direct.pending.unwrap().key);
    assert_ne!(processed.batch_id, direct.batch_id, "what was quarantined has been counted already");
    assert!(String::from_utf8_lossy(&replayed.writes[1].body).contains("pipeline_lines_replayed"));
}

#[test]
fn a_message_that_tells_no_time_is_of_the_minute_in_which_it_was_sent() {
    let processed = process("no JSON");
    assert!(processed.quarantine[0].key.starts_with("quarantine/event-json/dt=2026-11-21/"));
    assert_eq!(processed.origin.service, "unknown");
    assert!(counted(&processed)[0].starts_with("2026-11-21T10:06Z "));
}

#[test]
fn the_same_event_is_the_same_objects_whatever_brings_it() {
    let objects = |body: &str, sent| {
        let processed = pipeline("").process_event(body, sent);
        processed.objects().cloned().collect::<Vec<_>>()
    };
    let first = created(|_| ());
    // EventBridge delivers it again, in another message: by itself, or from an archive of its own.
    assert_eq!(objects(&first, SENT), objects(&first, SENT + 3_600_000));
    let from_archive = created(|event| event["replay-name"] = json!("r"));
    assert_eq!(objects(&first, SENT), objects(&from_archive, SENT));
    // Its publisher publishes it again: EventBridge gives it another id.
    let published = |id: &str, event_id: &str| {
        created(|event| {
            event["id"] = json!(id);
            event["detail"]["event_id"] = json!(event_id);
        })
    };
    assert_eq!(objects(&published("a", "7"), SENT), objects(&published("b", "7"), SENT));
    assert_ne!(objects(&published("a", "7"), SENT)[0].key, objects(&published("a", "8"), SENT)[0].key);
    assert_ne!(objects(&created(|event| event["id"] = json!("a")), SENT)[0].key, objects(&first, SENT)[0].key);
    // The order of its fields, and white space, are no part of it.
    let (start, end) = first.split_once(r#""contract_value":2500000.0,"user_role":"buyer""#).unwrap();
    let turned = format!("{start}\n  \"user_role\" : \"buyer\",\n\"contract_value\":2500000.0\n{end}");
    assert_eq!(objects(&first, SENT)[0], objects(&turned, SENT)[0]);
}

#[test]
fn an_event_and_a_quarantined_one_of_the_same_id_are_two() {
    let bad = created(|event| event["detail"] = json!({ "event_id": "7", "user_role": "b" }));
    let good = created(|event| event["detail"] = json!({ "event_id": "7", "user_role": "b", "contract_value": 1 }));
    assert_ne!(process(&bad).pending.unwrap().key, process(&good).pending.unwrap().key);
    // Published again it is the same, as long as it says the same.
    let again = bad.replace("6a7e8feb", "00000000");
    assert_eq!(process(&bad).pending, process(&again).pending);
    let other = bad.replace(r#""user_role":"b""#, r#""user_role":"c""#);
    assert_ne!(process(&bad).pending.unwrap().key, process(&other).pending.unwrap().key);
}

#[test]
fn the_schemas_for_publishers_say_what_the_tables_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/events");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), TYPES.len());
    for known in &TYPES {
        let file = format!("{folder}/{}.schema.json", known.event.replace('_', "-"));
        let schema: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!((schema["title"].as_str(), schema["type"].as_str()), (Some(known.detail_type), Some("object")));
        let required: Vec<&str> = known.fields.iter().map(|field| field.name).collect();
        assert_eq!(schema["required"], json!(required), "{file}");
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(properties.len(), known.fields.len() + COMMON.len(), "{file}");
        for field in known.fields.iter().chain(&COMMON) {
            let mut property = properties[field.name].clone();
            for described in ["description", "examples"] {
                assert!(!property.as_object_mut().unwrap().remove(described).unwrap().is_null(), "{file}");
            }
            // The ids of a context are whatever they are: what can be none is kept apart.
            let is_common = COMMON.contains(field);
            if is_common && field.name != "event_id" {
                assert_eq!(property, json!({}), "{file}: {}", field.name);
                continue;
            }
            let kind = if is_common { json!(["string", "null"]) } else { json!("string") };
            let text = |kind: Value, max: usize| json!({ "type": kind, "minLength": 1, "maxLength": max, "pattern": "[^ \\t\\r\\n]" });
            let expected = match field.kind {
                FieldKind::Text { max_chars } => text(kind, max_chars),
                FieldKind::Amount { max } => json!({ "type": "number", "minimum": 0, "maximum": max as u64 }),
                FieldKind::Id => panic!("{file}: no type has an id of its own"),
            };
            assert_eq!(property, expected, "{file}: {}", field.name);
        }
        for example in schema["examples"].as_array().unwrap() {
            assert_eq!(
                record(&event_of(known.detail_type, example.clone()).to_string())["details"]["event"],
                known.event
            );
        }
    }
}
