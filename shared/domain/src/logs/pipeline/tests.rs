//! Whole deliveries through all stages.

use super::*;
use crate::logs::archive;
use crate::logs::envelope::tests::{event, gzip};
use crate::logs::json::MAX_DEPTH;
use crate::metrics::registry;
use crate::metrics::series::{Dimensions, SeriesKey, SeriesSet};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const GROUP: &str = "/aws/ecs/production/api";
const TIME: i64 = 1_795_000_000_000; // 2026-11-18T11:06:40Z

fn settings(filters: &str) -> Settings {
    Settings {
        own_log_groups: "/aws/lambda/obs-".into(),
        environment: "production".into(),
        pseudonym_key: PseudonymKey::from_secret("made up for tests, 0123456789abcdef").unwrap(),
        personal_fields: vec!["nick_name".into()],
        filters: Filters::parse(filters).unwrap(),
        metric_namespace: "Shop".into(),
    }
}

fn pipeline(filters: &str) -> Pipeline {
    Pipeline::new(settings(filters))
}

fn delivery(group: &str, lines: &[(i64, Value)]) -> String {
    let events: Vec<Value> = (0..)
        .zip(lines)
        .map(|(id, (at, line))| json!({"id": format!("{id:056}"), "timestamp": at, "message": line}))
        .collect();
    let message = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": group, "logStream": "s",
        "subscriptionFilters": ["f"], "logEvents": events
    });
    event(&gzip(message.to_string().as_bytes()))
}

fn processed(pipeline: &mut Pipeline, group: &str, lines: &[(i64, Value)]) -> Processed {
    match pipeline.process(&delivery(group, lines)) {
        Outcome::Batch(processed) => processed,
        other => panic!("{other:?}"),
    }
}

fn process(lines: &[&str]) -> Processed {
    let lines: Vec<(i64, Value)> = lines.iter().map(|line| (TIME, json!(line))).collect();
    processed(&mut pipeline(""), GROUP, &lines)
}

/// What the delivery with the `line` alone is archived as.
fn archived_as(line: &str) -> Value {
    archived(&process(&[line])).remove(0)
}

fn archived(processed: &Processed) -> Vec<Value> {
    let lines = processed.archive.iter().flat_map(|object| archive::lines(&object.body).unwrap());
    lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
}

fn own(processed: &Processed, name: &str) -> f64 {
    let pending = PendingMetrics::parse(&processed.pending.as_ref().unwrap().body).unwrap();
    let dimensions = Dimensions::from([("service".to_owned(), "api".to_owned())]);
    let key = SeriesKey { name: name.to_owned(), dimensions };
    pending.minutes.values().filter_map(|series| series.get(&key)).map(|held| held.sum).sum()
}

#[test]
fn a_line_is_archived_redacted_with_its_source() {
    let processed = process(&["{\"level\":\"error\",\"msg\":\"mail a@example.com\"}"]);
    assert_eq!(
        processed.archive[0].key,
        format!("archive/env=production/service=api/dt=2026-11-18/hour=11/{}.ndjson.zst", processed.batch_id)
    );
    let record = &archived(&processed)[0];
    let message = record["message"].as_str().unwrap();
    assert!(message.starts_with("mail [email:") && !message.contains('@'), "{message}");
    assert_eq!(record["level"], "ERROR");
    assert_eq!(record["context"], json!({"service_name": "api", "environment": "production"}));
    // Defect 30: event id, stream and event time were lost.
    assert_eq!(
        record["source"],
        json!({"owner": "123456789012", "log_group": GROUP, "log_stream": "s", "format": "json",
               "event_time": "2026-11-18T11:06:40Z", "event_id": format!("{:056}", 0)})
    );
    assert_eq!(record["timestamp"], "2026-11-18T11:06:40Z");
}

#[test]
fn every_field_of_schema_v1_is_archived_as_it_was_in_a_fixed_order() {
    let line = r#"{"duration_ms":1.50,"error":{"type":"T","message":"m","traceback":"a\nb"},"build":"abc","details":{"n":12345678901234567890123,"d":-0.10,"list":[1,{"x":null},"\u0414"],"empty":{}},"message":"\"q\" \\ я","category":"database","context":{"trace_id":"1-5759e988-bd862e3fe1be46a994272793","request_id":"r","user_id":42,"tenant":"north"},"level":"WARNING","timestamp":"2026-11-21T10:05:03.120Z"}"#;
    let processed = process(&[line]);
    let text = archive::lines(&processed.archive[0].body).unwrap().remove(0);
    let until_source = text.split(",\"source\":").next().unwrap();
    assert_eq!(
        until_source,
        r#"{"timestamp":"2026-11-21T10:05:03.120Z","level":"WARNING","category":"database","message":"\"q\" \\ я","context":{"request_id":"r","user_id":"42","service_name":"api","environment":"production","trace_id":"1-5759e988-bd862e3fe1be46a994272793"},"details":{"n":12345678901234567890123,"d":-0.10,"list":[1,{"x":null},"Д"],"empty":{}},"error":{"type":"T","message":"m","traceback":"a\nb"},"duration_ms":1.50,"extra":{"build":"abc","context":{"tenant":"north"}}"#
    );
}

#[test]
fn a_field_that_comes_twice_is_kept_twice_under_two_names() {
    let record = archived_as(r#"{"level":"ERROR","level":"INFO","a":1,"a":2,"details":{"x":1,"x":2,"x":3}}"#);
    assert_eq!(record["extra"], json!({"level": "INFO", "a": 1, "a 3": 2}));
    assert_eq!(record["details"], json!({"x": 1, "x 2": 2, "x 3": 3}));
    let many: Vec<String> = (0..500).map(|n| format!("\"f{}\":{n}", n % 250)).collect();
    let record = archived_as(&format!("{{\"details\":{{{}}}}}", many.join(",")));
    assert_eq!(record["details"].as_object().unwrap().len(), 500);
}

#[test]
fn fields_that_are_called_secret_or_personal_are_replaced_whatever_they_hold() {
    let record = archived_as(
        r#"{"details":{"password":["x",{"y":1}],"token_count":3,"full_name":{"first":"Анна","n":7,"ok":true,"none":null},"phone":79123456789,"nick_name":"Ann\u0430"},"secret":null}"#,
    );
    let details = &record["details"];
    assert_eq!((&details["password"], &details["token_count"]), (&json!("[secret]"), &json!(3)));
    let is_name = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("[name:"));
    assert!(is_name(&details["full_name"]["first"]) && is_name(&details["full_name"]["n"]), "{details}");
    assert_eq!((&details["full_name"]["ok"], &details["full_name"]["none"]), (&json!(true), &Value::Null));
    assert!(details["phone"].as_str().unwrap().starts_with("[phone:"), "{details}");
    assert!(!details["nick_name"].as_str().unwrap().contains("Ann"), "{details}");
    assert_eq!(record.get("extra"), None);
}

#[test]
fn the_name_of_a_person_is_one_and_the_name_of_anything_else_is_not() {
    let record = archived_as(
        r#"{"details":{"buyer":{"name":"Анна","company":{"name":"Рога"}},"sellers":[{"name":"Анна"}],"file":{"name":"a.pdf"},"name":"sign"}}"#,
    );
    let details = &record["details"];
    assert!(details["buyer"]["name"].as_str().unwrap().starts_with("[name:"), "{details}");
    assert_eq!(details["sellers"][0]["name"], details["buyer"]["name"]);
    let others = [&details["buyer"]["company"]["name"], &details["file"]["name"], &details["name"]];
    assert_eq!(others, ["Рога", "a.pdf", "sign"]);
}

#[test]
fn names_of_fields_are_texts_too() {
    let record = archived_as(r#"{"details":{"anna@example.com":1,"Anna@example.com":2,"n":3}}"#);
    let details = record["details"].as_object().unwrap();
    let names: Vec<&str> = details.keys().map(String::as_str).collect();
    assert!(details.len() == 3 && names.iter().all(|name| !name.contains('@')), "{names:?}");
}

#[test]
fn the_ids_that_correlate_are_left_and_everything_else_in_a_context_is_redacted() {
    let record = archived_as(
        r#"{"context":{"service_name":"a@example.com","user_id":"a@example.com","request_id":"r-1/a","x":"a@example.com"}}"#,
    );
    let context = &record["context"];
    assert_eq!(context["request_id"], "r-1/a");
    assert_eq!(context["user_id"], context["service_name"]);
    assert!(!context["user_id"].as_str().unwrap().contains('@'));
    assert_eq!(record["extra"]["context"]["x"], context["user_id"]);
}

#[test]
fn a_message_that_is_no_text_is_archived_as_the_text_of_what_it_is() {
    for (line, message) in [
        (r#"{"message":{"password":"x","n":[1]}}"#, r#"{"password":"[secret]","n":[1]}"#),
        (r#"{"msg":12.50}"#, "12.50"),
        (r#"{"msg":true}"#, "true"),
        (r#"{"msg":null}"#, ""),
    ] {
        assert_eq!(archived_as(line)["message"], message, "{line}");
    }
}

#[test]
fn what_the_database_says_of_an_error_is_one_record() {
    let entry = |text: &str| json!(format!("2026-11-21 10:05:03 UTC:10.0.1.23(41234):app@contracts:[77]:{text}"));
    let group = "/aws/rds/instance/production-contract-db/postgresql";
    let lines = [
        (TIME, entry("ERROR:  duplicate key value violates unique constraint \"users_email_key\"")),
        (TIME, entry("DETAIL:  Key (email)=(anna@example.com) already exists.")),
        (TIME + 1, entry("STATEMENT:  INSERT INTO users (email) VALUES ('anna@example.com')")),
        (TIME + 2, json!("\tRETURNING id")),
    ];
    let processed = processed(&mut pipeline(""), group, &lines);
    let records = archived(&processed);
    assert_eq!((records.len(), processed.lines.archived), (1, 4));
    let (record, details) = (&records[0], &records[0]["details"]);
    assert_eq!((&record["level"], &record["context"]["service_name"]), (&json!("ERROR"), &json!("contract")));
    assert_eq!(record["timestamp"], "2026-11-21T10:05:03Z");
    assert_eq!(details["detail"], "Key (email)=(?) already exists.");
    assert_eq!(details["statement"], "INSERT INTO users (email) VALUES (?)\n\tRETURNING id");
    assert_eq!((&details["query_type"], &details["table"]), (&json!("INSERT"), &json!("users")));
    assert_eq!(details["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(record["source"]["joined"].as_array().unwrap().len(), 3);
}

#[test]
fn quotes_that_redaction_puts_around_a_value_are_escaped() {
    let record = archived_as(
        r#"{"message":"payload {'password': hunter2, 'phone': 79123456789}","details":{"m":"{'password': hunter2}"}}"#,
    );
    assert_eq!(record["details"]["m"], r#"{'password': "[secret]"}"#);
    assert!(!record.to_string().contains("hunter2") && !record.to_string().contains("79123456789"), "{record}");
}

#[test]
fn an_id_that_looks_like_none_is_a_text_as_any_other() {
    let record = archived_as(
        r#"{"request_id":"anna@example.com","trace_id":"Root=1-5759e988-bd862e3fe1be46a994272793","span_id":"+7 912 345-67-89"}"#,
    );
    assert_eq!(record["context"]["trace_id"], "Root=1-5759e988-bd862e3fe1be46a994272793");
    assert!(record["context"]["request_id"].as_str().unwrap().starts_with("[email:"), "{record}");
    assert!(record["context"]["span_id"].as_str().unwrap().starts_with("[phone:"), "{record}");
}

/// A price of 79.5 billion roubles is no phone number, whoever tells it: a log line, an array or aggregate of metrics.
#[test]
fn an_amount_that_has_the_digits_of_a_phone_number_is_kept_and_counted() {
    const AMOUNT: u64 = 79_500_000_000;
    let line = json!({ "timestamp": "2026-11-18T11:06:40.000Z", "level": "INFO", "category": "business_logic", "message": "m",
        "details": { "event": "contract_created", "user_role": "buyer", "contract_value": AMOUNT, "other": AMOUNT } });
    let mut warm = pipeline("");
    for round in 0..3 {
        let processed = processed(&mut warm, GROUP, &[(TIME, json!(line.to_string()))]);
        let archived = archived(&processed).remove(0);
        assert_eq!(archived["details"]["contract_value"], AMOUNT, "{archived}");
        assert!(archived["details"]["other"].is_string(), "{archived}");
        let pending = PendingMetrics::parse(&processed.pending.unwrap().body).unwrap();
        let sum: f64 =
            pending.minutes.values().flat_map(|set| set.named("contract_value")).map(|(_, held)| held.sum).sum();
        assert_eq!(sum, AMOUNT as f64, "round {round}");
    }
    let aggregate =
        json!({ "Values": [AMOUNT], "Counts": [1], "Count": 1, "Sum": AMOUNT, "Min": AMOUNT, "Max": AMOUNT });
    for told in [json!(AMOUNT), json!([AMOUNT]), aggregate] {
        let line = json!({ "contract_value": told, "_aws": { "Timestamp": TIME, "CloudWatchMetrics": [{
            "Namespace": "Shop", "Dimensions": [[]], "Metrics": [{ "Name": "contract_value" }] }] } });
        let pending = PendingMetrics::parse(&process(&[&line.to_string()]).pending.unwrap().body).unwrap();
        let held = pending.extracted.values().flat_map(|set| set.named("contract_value")).map(|(_, held)| held.sum);
        assert_eq!(held.sum::<f64>(), AMOUNT as f64, "{line}");
    }
}

#[test]
fn of_a_detail_that_comes_twice_the_first_is_counted() {
    let line = r#"{"details":{"method":"GET","endpoint":"/a","status_code":200,"status_code":500}}"#;
    let pending = PendingMetrics::parse(&process(&[line]).pending.unwrap().body).unwrap();
    let requests: Vec<String> = pending
        .minutes
        .values()
        .flat_map(|set| set.named("api_requests"))
        .map(|(dimensions, _)| dimensions["status_code"].clone())
        .collect();
    assert_eq!(requests, ["200"]);
}

#[test]
fn many_equal_names_and_many_continuations_of_a_long_entry_take_no_more_than_their_share() {
    // Each of these took seconds when the work for one field or line grew with those before it.
    let fields: Vec<String> =
        (0..8_000).map(|n| format!("\"x {}\":0", n + 8_000)).chain((0..8_000).map(|_| "\"x\":0".to_owned())).collect();
    let line = format!("{{\"details\":{{{}}}}}", fields.join(","));
    assert_eq!(archived_as(&line)["details"].as_object().unwrap().len(), 16_000);
    let long = format!("2026-11-21 10:05:03 UTC:h(1):{}u@d:[1]:ERROR:  x", "A:".repeat(50_000));
    let mut lines = vec![(TIME, json!(long))];
    lines.extend((0..4_000).map(|_| (TIME, json!("2026-11-21 10:05:03 UTC:h(1):u@d:[1]:DETAIL:  y"))));
    assert_eq!(processed(&mut pipeline(""), GROUP, &lines).lines.received, 4_001);
}

#[test]
fn what_goes_on_with_an_entry_of_another_delivery_is_kept_aside_for_it_may_begin_in_a_literal() {
    let lines = [(TIME, json!("\tна'); DROP TABLE x")), (TIME, json!("2026-11-21 10:05:03 UTC::@:[390]:LOG:  ready"))];
    let group = "/aws/rds/instance/production-contract-db/postgresql";
    let of_database = processed(&mut pipeline(""), group, &lines);
    assert_eq!((of_database.lines.archived, of_database.lines.quarantined), (1, 1));
    assert!(of_database.quarantine[0].key.starts_with("quarantine/fragment/"), "{}", of_database.quarantine[0].key);
    // Of a service it is a line that begins with a tab.
    assert_eq!(processed(&mut pipeline(""), GROUP, &lines).lines.archived, 2);
}

#[test]
fn the_statement_of_an_entry_is_read_once_the_slow_query_is_counted_and_has_a_fingerprint() {
    let line = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:LOG:  duration: 6123.40 ms  statement: SELECT * FROM contracts WHERE id = 7";
    let record = archived_as(line);
    assert_eq!(record["message"], "duration: 6123.40 ms  statement: SELECT * FROM contracts WHERE id = ?");
    assert_eq!((&record["duration_ms"], &record["details"]["table"]), (&json!(6123.40), &json!("contracts")));
    let other = archived_as(&line.replace("id = 7", "id = 8"));
    assert_eq!(record["details"]["fingerprint"], other["details"]["fingerprint"]);
}

#[test]
fn a_batch_that_spans_hours_is_split_by_event_time() {
    let next_hour = TIME + 3_600_000;
    let lines = [(TIME, json!("a")), (next_hour, json!("b")), (TIME, json!("c"))];
    let processed = processed(&mut pipeline(""), GROUP, &lines);
    let keys: Vec<&str> = processed.archive.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].contains("hour=11/") && keys[1].contains("hour=12/"), "{keys:?}");
    assert_eq!(archive::lines(&processed.archive[0].body).unwrap().len(), 2);
}

#[test]
fn an_empty_batch_writes_nothing() {
    let processed = process(&[]);
    assert_eq!((processed.archive.len(), processed.pending, processed.lines), (0, None, Lines::default()));
}

#[test]
fn a_line_that_can_not_be_read_is_kept_and_the_rest_goes_on() {
    let long = "x".repeat(300 * 1024);
    // Half a surrogate pair is nothing that UTF-8 has.
    let delivery = delivery(GROUP, &[(TIME, json!("good")), (TIME, json!("SURROGATE")), (TIME, json!(long))]);
    let Delivery::Data(_) = Decoder::default().open(&delivery).unwrap() else { panic!("it has data") };
    let message = json!({
        "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": GROUP, "logStream": "s",
        "logEvents": [{"id": "0", "timestamp": TIME, "message": "good"}, {"id": "1", "timestamp": TIME, "message": "HALF"},
                      {"id": "2", "timestamp": TIME, "message": long}]
    });
    let event = event(&gzip(message.to_string().replace("HALF", "a\\ud800").as_bytes()));
    let Outcome::Batch(processed) = pipeline("").process(&event) else { panic!("it can be opened") };
    assert_eq!(processed.lines, Lines { received: 3, archived: 1, quarantined: 2, filtered: 0 });
    let kept: Vec<quarantine::Quarantined> =
        processed.quarantine.iter().map(|object| serde_json::from_slice(&object.body).unwrap()).collect();
    assert_eq!(kept[0].reason, "not-utf-8");
    assert_eq!(kept[0].items[0].error, "line of log event 1 is not UTF-8 from byte 1 on");
    assert_eq!(kept[0].items[0].original.bytes().unwrap(), [b'a', 0xed, 0xa0, 0x80]);
    assert_eq!(kept[1].reason, "oversize");
    assert_eq!(kept[1].items[0].error, "line of log event 2 has 307200 bytes, at most 262144 are taken");
    assert_eq!(processed.quarantine[1].key, format!("quarantine/oversize/dt=2026-11-18/{}.json", processed.batch_id));
    assert_eq!(own(&processed, "pipeline_lines_quarantined"), 2.0);
}

#[test]
fn the_pipelines_own_logs_are_not_processed() {
    let event = delivery("/aws/lambda/obs-log-processor", &[]);
    let outcome = pipeline("").process(&event);
    assert!(matches!(outcome, Outcome::OwnLogs { log_group } if log_group == "/aws/lambda/obs-log-processor"));
    assert!(matches!(pipeline("").process(&delivery("/aws/lambda/other", &[])), Outcome::Batch(_)));
}

#[test]
fn a_delivery_that_can_not_be_opened_is_kept_whole() {
    let event = r#"{"awslogs":{"data":"%%%"}}"#;
    let Outcome::Unreadable { object, .. } = pipeline("").process(event) else { panic!("it can not be opened") };
    assert!(object.key.starts_with("quarantine/base64/dt=unknown/"), "{}", object.key);
    let kept: quarantine::Quarantined = serde_json::from_slice(&object.body).unwrap();
    assert_eq!(kept.items[0].original, quarantine::Original::Text(event.to_owned()));
    assert!(kept.items[0].error.starts_with("`awslogs.data` is not base64: "), "{}", kept.items[0].error);
}

#[test]
fn a_kinesis_record_and_a_lambda_event_with_the_same_message_are_the_same_batch() {
    let message = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/g","logStream":"s","logEvents":[{"id":"1","timestamp":1795000000000,"message":"m"}]}"#;
    let compressed = gzip(message.as_bytes());
    let (mut one, mut other) = (pipeline(""), pipeline(""));
    let (Outcome::Batch(direct), Outcome::Batch(streamed)) =
        (one.process(&event(&compressed)), other.process_message(&compressed))
    else {
        panic!("both can be opened")
    };
    assert_eq!(direct, streamed);
}

#[test]
fn what_is_filtered_is_counted_and_its_metrics_are_kept() {
    let lines = [r#"{"level":"DEBUG","msg":"a"}"#, r#"{"level":"ERROR","msg":"b"}"#].map(|line| (TIME, json!(line)));
    let processed = processed(&mut pipeline("level=DEBUG keep=0"), GROUP, &lines);
    assert_eq!(processed.lines, Lines { received: 2, archived: 1, quarantined: 0, filtered: 1 });
    assert_eq!(archived(&processed)[0]["message"], "b");
    assert_eq!(own(&processed, "pipeline_lines_filtered"), 1.0);
    let pending = PendingMetrics::parse(&processed.pending.unwrap().body).unwrap();
    let entries: f64 =
        pending.minutes.values().flat_map(|set| set.named("log_entries")).map(|(_, held)| held.sum).sum();
    assert_eq!(entries, 2.0);
}

#[test]
fn the_archive_processed_again_is_the_same_byte_for_byte() {
    let lines: Vec<&str> = vec![
        r#"{"timestamp":"2026-11-21T10:05:03Z","level":"ERROR","category":"database","message":"a@example.com \"x\"","context":{"request_id":"r","t":1},"details":{"query_type":"SELECT","a":1,"a":2,"password":"x","full_name":"Анна"},"error":"broken","duration_ms":7e3,"build":1}"#,
        "raw text, phone +79123456789",
        "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:LOG:  duration: 6123.4 ms  statement: SELECT * FROM contracts WHERE id = 7",
        r#"{"_aws":{"Timestamp":1},"latency":3}"#,
        r#"{"_aws":{"Timestamp":1794999990000,"CloudWatchMetrics":[{"Namespace":"Shop","Metrics":[{"Name":"active_users"},{"Name":"contracts_created"}]}]},"active_users":{"Values":[1,2],"Counts":[3,4]},"contracts_created":[1,2,"x"],"role":"anna@example.com"}"#,
        r#"{"timestamp": "2026-11-21T10:05:03.123456", "level": "LogLevel.ERROR", "message": "x", "category": "LogCategory.DATABASE"}"#,
    ];
    let first = process(&lines);
    let object = &first.archive[0];
    let again = pipeline("").reprocess(&object.key, &archive::lines(&object.body).unwrap()).unwrap();
    assert_eq!(archive::lines(&again.archive.body).unwrap(), archive::lines(&object.body).unwrap());
    assert_eq!((&again.archive, again.lines), (object, 6));
    let metrics = |object: &Object| {
        let mut pending = PendingMetrics::parse(&object.body).unwrap();
        // Only the delivery knew how many bytes came.
        for series in pending.minutes.values_mut() {
            *series = series
                .iter()
                .filter(|(key, _)| key.name != "pipeline_bytes_received")
                .map(|(key, held)| (key.clone(), held.clone()))
                .collect();
        }
        pending
    };
    assert_eq!(metrics(&again.pending), metrics(first.pending.as_ref().unwrap()));
    assert!(again.pending.key.ends_with(".2026-11-18T11.json"), "{}", again.pending.key);
    assert_eq!(metrics(&again.pending).extracted.values().map(SeriesSet::len).sum::<usize>(), 2);
}

#[test]
fn hours_of_a_batch_that_are_counted_again_share_no_minute_with_each_other() {
    // Were it so, the second of them would be taken for what was counted already.
    let hour_end = TIME.div_euclid(3_600_000) * 3_600_000 + 3_600_000;
    let line = |at: i64| {
        let aws = json!({ "Timestamp": at - 45_000, "CloudWatchMetrics": [
            { "Namespace": "Shop", "Metrics": [{ "Name": "active_users" }] }
        ] });
        (at, json!(json!({ "_aws": aws, "active_users": 1 }).to_string()))
    };
    let first = processed(&mut pipeline(""), GROUP, &[line(hour_end - 5_000), line(hour_end + 5_000)]);
    let pending = |object: &Object| PendingMetrics::parse(&object.body).unwrap();
    let mut again = BTreeMap::new();
    for object in &first.archive {
        let hour = pipeline("").reprocess(&object.key, &archive::lines(&object.body).unwrap()).unwrap();
        for (minute, series) in pending(&hour.pending).extracted {
            assert!(again.insert(minute, series).is_none(), "{minute} is of two hours");
        }
    }
    assert_eq!((first.archive.len(), again.len()), (2, 2));
    assert_eq!(again, pending(first.pending.as_ref().unwrap()).extracted);
}

#[test]
fn every_metric_that_lines_may_bring_along_comes_through_redaction_as_it_was_written() {
    for metric in registry::METRICS.iter().filter(|metric| metric.source.is_told_by_lines()) {
        let mut line = json!({
            "timestamp": "2026-11-18T11:06:40.000Z", "level": "INFO", "category": "system", "message": "m",
            "details": { "event": "contract_created", "active_users": 5, "method": "GET", "url": "/", "status_code": 200 },
            "_aws": { "Timestamp": TIME - 30_000, "CloudWatchMetrics": [{
                "Namespace": "Shop", "Dimensions": metric.sets,
                "Metrics": [{ "Name": metric.name, "Unit": metric.unit.as_str() }]
            }] }
        });
        line[metric.name] = json!([1, 2.5]);
        for name in metric.dimensions {
            line[name] = json!(format!("of {name}"));
        }
        let processed = process(&[&line.to_string()]);
        let pending = PendingMetrics::parse(&processed.pending.unwrap().body).unwrap();
        let derived: BTreeSet<String> =
            pending.minutes.values().flat_map(|set| set.iter()).map(|(key, _)| key.name.clone()).collect();
        let others = ["log_entries", "pipeline_bytes_received", "pipeline_lines_archived", "pipeline_lines_received"];
        assert_eq!(derived, others.map(str::to_owned).into(), "{}", metric.name);
        let [(minute, series)] = &pending.extracted.iter().collect::<Vec<_>>()[..] else { panic!("{}", metric.name) };
        assert_eq!(**minute, Minute::of_epoch_millis(TIME - 30_000));
        let dimensions = metric.dimensions.iter().map(|&name| (name.to_owned(), format!("of {name}"))).collect();
        let held = series.get(&SeriesKey { name: metric.name.to_owned(), dimensions }).unwrap();
        assert_eq!((series.len(), held.count, held.sum), (1, 2, 3.5), "{}", metric.name);
    }
}

#[test]
fn names_of_personal_fields_hide_no_metrics() {
    let fields =
        ["name", "unit", "namespace", "metrics", "dimensions", "timestamp", "aws", "_aws", "cloudwatchmetrics"];
    let personal_fields = fields.map(str::to_owned).into();
    let mut pipeline = Pipeline::new(Settings { personal_fields, ..settings("") });
    let line = json!({
        "message": "m", "name": "Анна",
        "_aws": { "Timestamp": TIME, "password": "hunter2", "CloudWatchMetrics": [{
            "Namespace": "Shop", "Dimensions": [["service"]],
            "Metrics": [{ "Name": "active_users", "Unit": "Count" }, { "Name": "anna@example.com" }]
        }] },
        "active_users": 3,
    });
    let first = processed(&mut pipeline, GROUP, &[(TIME, json!(line.to_string()))]);
    let object = &first.archive[0];
    let records = archive::lines(&object.body).unwrap();
    let record: Value = serde_json::from_str(&records[0]).unwrap();
    let directive = &record["extra"]["_aws"]["CloudWatchMetrics"][0];
    assert_eq!((&directive["Namespace"], &directive["Metrics"][0]["Name"]), (&json!("Shop"), &json!("active_users")));
    for personal in ["Анна", "anna@example.com", "hunter2"] {
        assert!(!records[0].contains(personal), "{personal} in {}", records[0]);
    }
    let extracted = |object: &Object| PendingMetrics::parse(&object.body).unwrap().extracted;
    let metrics = extracted(first.pending.as_ref().unwrap());
    assert_eq!(metrics.values().flat_map(SeriesSet::iter).map(|(_, held)| held.sum).sum::<f64>(), 3.0);
    let again = pipeline.reprocess(&object.key, &records).unwrap();
    assert_eq!((&again.archive, extracted(&again.pending)), (object, metrics));
}

#[test]
fn metrics_of_a_line_that_a_log_driver_has_split_are_put_with_the_others() {
    let line = json!({
        "_aws": { "Timestamp": TIME, "CloudWatchMetrics": [{ "Namespace": "Shop", "Metrics": [{ "Name": "active_users" }] }] },
        "active_users": 3, "message": "x".repeat(16 * 1024),
    })
    .to_string();
    let (first, rest) = line.split_at(16 * 1024);
    let first = processed(&mut pipeline(""), GROUP, &[(TIME, json!(first)), (TIME, json!(rest))]);
    let object = &first.archive[0];
    let again = pipeline("").reprocess(&object.key, &archive::lines(&object.body).unwrap()).unwrap();
    for pending in [first.pending.as_ref().unwrap(), &again.pending] {
        let pending = PendingMetrics::parse(&pending.body).unwrap();
        let sum: f64 =
            pending.minutes.values().flat_map(|set| set.named("active_users")).map(|(_, held)| held.sum).sum();
        assert_eq!((sum, pending.extracted.len()), (3.0, 0), "CloudWatch saw two pieces that are no JSON");
    }
}

#[test]
fn what_was_archived_from_the_greatest_depth_can_be_read_back() {
    let arrays = |deep: usize| format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let lines = [
        format!(r#"{{"message":"at the root","build":{}}}"#, arrays(MAX_DEPTH - 1)),
        format!(r#"{{"message":"in the context","context":{{"build":{}}}}}"#, arrays(MAX_DEPTH - 2)),
        format!(r#"{{"message":"in extra","extra":{{"build":{}}}}}"#, arrays(MAX_DEPTH - 2)),
    ];
    let first = process(&lines.each_ref().map(String::as_str));
    let object = &first.archive[0];
    let records = archive::lines(&object.body).unwrap();
    for record in &records {
        assert!(!record.contains(r#""format":"raw""#), "it is JSON: {record}");
    }
    let again = pipeline("").reprocess(&object.key, &records).unwrap();
    assert_eq!(&again.archive, object);
}

fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,60}",
        r#"\{"level":"(info|ERROR|LogLevel.WARNING)","message":"[a-zа-я@. ]{0,20}","duration_ms":(null|[0-9]{1,5})\}"#,
        r"2026-11-21 10:05:03 UTC:h\(1\):u@d:\[[1-3]\]:(LOG|ERROR|DETAIL|STATEMENT):  [a-z0-9 ':=()]{0,30}",
        "\t[a-z']{0,10}",
    ]
}

/// Lines that say the same things in turns: what the writer remembers of a batch is put to use.
fn any_repetitive_line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "a",
        "a",
        "phone",
        "fio",
        "anna@example.com",
        "user_id",
        "version",
        "x 2",
        "x",
        "имя",
    ]);
    let value = prop::sample::select(vec![
        r#""GET""#,
        r#""anna@example.com""#,
        r#""a\n\"b\"""#,
        r#""+79123456789""#,
        "79123456789",
        "null",
        r#"{"a":1,"a":2}"#,
    ]);
    let field = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let fields = || prop::collection::vec(field.clone(), 0..6).prop_map(|fields| fields.join(","));
    (fields(), fields(), fields()).prop_map(|(top, context, details)| {
        let comma = if top.is_empty() { "" } else { "," };
        format!(r#"{{{top}{comma}"context":{{{context}}},"details":{{{details}}}}}"#)
    })
}

proptest! {
    #[test]
    fn a_line_is_archived_among_others_as_it_is_alone(lines in prop::collection::vec(any_repetitive_line(), 1..12)) {
        let given: Vec<&str> = lines.iter().map(String::as_str).collect();
        for (mut record, line) in archived(&process(&given)).into_iter().zip(&given) {
            let alone = archived_as(line);
            record["source"] = alone["source"].clone();
            prop_assert_eq!(record, alone);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_line_is_somewhere_and_a_redelivery_writes_the_same(
        lines in prop::collection::vec((0..7_200_000_i64, any_line()), 0..24),
        filters in prop::sample::select(vec!["", "keep=0.5", "level=DEBUG keep=0"]),
    ) {
        let lines: Vec<(i64, Value)> = lines.iter().map(|(offset, line)| (TIME + offset, json!(line))).collect();
        let mut warm = pipeline(filters);
        let processed = processed(&mut warm, GROUP, &lines);
        let Lines { received, archived: in_archive, quarantined, filtered } = processed.lines;
        prop_assert_eq!((received, in_archive + quarantined + filtered), (lines.len(), lines.len()));
        let stands_for = |record: &Value| 1 + record["source"]["joined"].as_array().map_or(0, Vec::len);
        prop_assert_eq!(archived(&processed).iter().map(stands_for).sum::<usize>(), in_archive);
        if received > 0 {
            prop_assert_eq!(own(&processed, "pipeline_lines_received"), received as f64);
            prop_assert_eq!(own(&processed, "pipeline_lines_archived"), in_archive as f64);
        }
        // A warm pipeline has nothing left of what it did before.
        prop_assert_eq!(&super::tests::processed(&mut warm, GROUP, &lines), &processed);
        prop_assert_eq!(super::tests::processed(&mut pipeline(filters), GROUP, &lines), processed);
    }
}

const SPAN: &str = r#"{"timestamp":"2026-11-22T10:05:03.135Z","level":"INFO","category":"performance","message":"POST /contracts","context":{"request_id":"r-1","trace_id":"1-5759e988-bd862e3fe1be46a994272793","span_id":"53995c3f42cd8ad8"},"duration_ms":9000.5,"span":{"operation_name":"POST /contracts","parent_span_id":"4111111111111111","start_time":"2026-11-22T10:04:54.135456Z","end_time":"2026-11-22T10:05:03.135956Z","kind":"server","status":"ok","resource":"POST /contracts","tags":{"http.method":"POST","http.status_code":201,"buyer.email":"anna@example.com","password":"hunter2","db.statement":"SELECT * FROM users WHERE name = 'Анна' AND id = 7","db.query.text":"SELECT 'Анна'"},"logs":[{"timestamp":"2026-11-22T10:05:00.000Z","level":"INFO","message":"anna@example.com","fields":{"card":"4111 1111 1111 1111"}}],"links":[{"trace_id":"41111111111111114111111111111111","span_id":"4111111111111111"}]}}"#;

#[test]
fn a_span_is_archived_redacted_with_its_ids_as_they_are_and_goes_to_the_forwarder() {
    let processed = process(&[SPAN, "text", SPAN]);
    let records = archived(&processed);
    assert_eq!(records.len(), 3);
    let (record, span) = (&records[0], &records[0]["span"]);
    assert_eq!((&record["source"]["format"], &record["duration_ms"]), (&json!("schema_v1"), &json!(9000.5)));
    // 16 digits that could be the number of a card are an id here, and nowhere else.
    assert_eq!(
        (&span["parent_span_id"], &span["links"][0]["span_id"]),
        (&json!("4111111111111111"), &json!("4111111111111111"))
    );
    assert_eq!(span["links"][0]["trace_id"], "41111111111111114111111111111111");
    assert_eq!(
        (&span["start_time"], &span["end_time"]),
        (&json!("2026-11-22T10:04:54.135456Z"), &json!("2026-11-22T10:05:03.135956Z"))
    );
    assert_eq!(span["tags"]["http.status_code"], 201);
    assert_eq!(span["tags"]["db.statement"], "SELECT * FROM users WHERE name = ? AND id = ?");
    assert_eq!(span["tags"]["db.query.text"], "SELECT ?");
    for personal in ["anna", "hunter2", "Анна", "4111 1111"] {
        assert!(!record.to_string().contains(personal), "{personal}: {record}");
    }
    assert!(record.get("extra").is_none(), "{record}");
    // The lines of the archive, in their order.
    let spans = processed.spans.as_ref().unwrap();
    assert_eq!(spans.key, format!("spans/dt=2026-11-18/{}.ndjson.zst", processed.batch_id));
    let lines = archive::lines(&processed.archive[0].body).unwrap();
    assert_eq!(archive::lines(&spans.body).unwrap(), [lines[0].clone(), lines[2].clone()]);
    // After the lines, before what counts them.
    let keys: Vec<&str> = processed.objects().map(|object| object.key.split('/').next().unwrap()).collect();
    assert_eq!(keys, ["archive", "spans", "metrics"]);
}

#[test]
fn a_span_that_filters_leave_out_of_the_archive_is_sent_on() {
    let processed = processed(&mut pipeline("keep=0"), GROUP, &[(TIME, json!(SPAN)), (TIME, json!("text"))]);
    assert_eq!((processed.lines.filtered, processed.archive.len()), (2, 0));
    assert_eq!(archive::lines(&processed.spans.unwrap().body).unwrap().len(), 1);
}

#[test]
fn a_span_counts_as_a_line_and_as_nothing_else() {
    let line = SPAN.replacen(
        "\"duration_ms\"",
        r#""details":{"method":"POST","endpoint":"/contracts","status_code":500},"duration_ms""#,
        1,
    );
    let pending = PendingMetrics::parse(&process(&[&line]).pending.unwrap().body).unwrap();
    let names: Vec<&str> =
        pending.minutes.values().flat_map(|set| set.iter()).map(|(key, _)| key.name.as_str()).collect();
    assert!(names.contains(&"log_entries"), "{names:?}");
    assert!(names.iter().all(|name| *name == "log_entries" || name.starts_with("pipeline_")), "{names:?}");
}

#[test]
fn what_is_called_a_span_and_is_none_is_a_field_like_any_other() {
    for value in [r#"{"id":1}"#, r#"{"operation_name":7}"#, r#"{"operation_name":""}"#, r#""text""#, "[1]"] {
        let processed = process(&[&format!(r#"{{"message":"m","span":{value}}}"#)]);
        assert_eq!(processed.spans, None, "{value}");
        let expected: Value = serde_json::from_str(value).unwrap();
        assert_eq!(archived(&processed)[0]["extra"]["span"], expected);
    }
}

#[test]
fn a_span_of_the_archive_is_read_back_and_written_the_same() {
    let mut pipeline = pipeline("");
    let processed = processed(&mut pipeline, GROUP, &[(TIME, json!(SPAN))]);
    let object = &processed.archive[0];
    let again = pipeline.reprocess(&object.key, &archive::lines(&object.body).unwrap()).unwrap();
    assert_eq!(again.archive, *object);
}
