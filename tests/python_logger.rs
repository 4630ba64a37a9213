//! The source document's own logger (its section 1.1), run as it stands there, and its output through
//! the pipeline.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use domain::logs::pipeline::Outcome;
use local::workspace;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use testkit::{laws, pipeline, subscription};

/// 2026-11-21T10:05:03Z. It is not what the logger's clock says: that is the time of the run.
const MILLIS: i64 = 1_795_255_503_000;

fn source_document() -> PathBuf {
    workspace::root().join("tests/source_document")
}

/// What the logger prints when `drive.py` calls all of it, with no environment that could change it.
fn lines() -> Vec<String> {
    let output = Command::new("python3")
        // Its own clock function is deprecated from Python 3.12 on, and no byte code is to be left here.
        .args(["-W", "ignore", "-B"])
        .arg(source_document().join("drive.py"))
        .env_remove("PYTHONPATH")
        .env("PYTHONIOENCODING", "utf-8")
        .env("TZ", "Asia/Vladivostok")
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().lines().chain(errors.lines()).map(str::to_owned).collect()
}

/// The records of the lines, in their order.
fn records(lines: &[String]) -> Vec<Value> {
    let events: Vec<subscription::Line<'_>> = lines.iter().map(|line| (MILLIS, line.as_str())).collect();
    let delivery = subscription::delivery("/aws/ecs/production/contract", "s", &events).to_string();
    let Outcome::Batch(processed) = pipeline::process(&delivery) else { panic!("it has lines") };
    assert_eq!((processed.lines.archived, processed.lines.received), (lines.len(), lines.len()));
    laws::records(&processed)
}

#[test]
fn each_line_is_a_record_with_the_level_the_category_and_the_text_that_were_meant() {
    let lines = lines();
    let records = records(&lines);
    let found: Vec<[&str; 3]> = records
        .iter()
        .map(|record| ["level", "category", "message"].map(|name| record[name].as_str().unwrap()))
        .map(|[level, category, message]| [level, category, message.split('[').next().unwrap()])
        .collect();
    let expected = [
        ["DEBUG", "system", "Начало"],
        ["INFO", "business_logic", "Договор создан: «Участок № 7»"],
        ["WARNING", "authentication", "Second try of "],
        ["ERROR", "database", "No error given"],
        ["CRITICAL", "system", "Диск заполнен"],
        ["INFO", "authorization", "Телефон "],
        ["ERROR", "external_api", "Ответ Росреестра не читается"],
        ["INFO", "performance", "Operation: contract_creation"],
        ["INFO", "external_api", "API call: GET /api/contracts/7"],
        ["DEBUG", "database", "Database query: SELECT on contracts"],
        ["DEBUG", "database", "Database query: UPDATE on contracts"],
        ["INFO", "security", "Security event: failed_login"],
        ["INFO", "performance", "Operation: работа"],
        ["ERROR", "business_logic", "Operation failed: работа"],
        ["INFO", "external_api", "API call: POST /api/contracts?notify="],
        ["INFO", "external_api", "API call: POST /api/contracts?notify="],
    ];
    assert_eq!(found, expected);
    for (line, record) in lines.iter().zip(&records) {
        let printed: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["source"]["format"], "python", "{line}");
        assert_eq!(record.get("extra"), None, "nothing is unknown of {line}");
        // It prints UTC and does not say so. A fraction of zero is left out by it and by us.
        let time = printed["timestamp"].as_str().unwrap();
        assert!(record["timestamp"].as_str().unwrap().ends_with('Z'));
        let digits = |text: &str| text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.').to_owned();
        assert_eq!(digits(record["timestamp"].as_str().unwrap()), digits(time), "{line}");
        assert_eq!(record["context"]["request_id"], printed["context"]["request_id"], "{line}");
        assert_eq!(record["context"]["service_name"], "contract");
    }
}

#[test]
fn durations_are_numbers_or_nothing_and_errors_keep_their_parts() {
    let records = records(&lines());
    let of = |id: &str| records.iter().find(|record| record["context"]["request_id"] == id).unwrap();
    let durations = [("call-01", None), ("call-08", Some(125.5)), ("call-09", Some(35.25)), ("call-11", Some(8.0))];
    for (id, duration) in durations {
        assert_eq!(of(id).get("duration_ms").and_then(Value::as_f64), duration, "{id}");
    }
    assert_eq!(of("call-02")["details"]["площадь"], 12.5);
    assert_eq!(of("call-02")["context"]["trace_id"], "1-5f84c596-5c35f2b8f0a54e1a7a2b3c4d");
    assert_eq!(of("call-04").get("error"), None, "no error was given");
    assert_eq!(
        (&of("call-05")["error"]["type"], &of("call-05")["error"]["message"]),
        (&"OSError".into(), &"[Errno 28] no space".into())
    );
    assert!(of("call-07")["error"]["traceback"].as_str().unwrap().starts_with("Traceback (most recent call last)"));
}

#[test]
fn nothing_personal_of_it_is_archived() {
    let lines = lines();
    let planted = ["anna.petrova", "912 345-67-89", "hunter-2-hunter", "t0p-s3cret"];
    for secret in planted {
        assert!(lines.iter().any(|line| line.contains(secret)), "{secret} is not printed, and so tests nothing");
        let found = records(&lines).into_iter().find(|record| record.to_string().contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}

#[test]
fn the_code_kept_here_is_the_source_documents() {
    let kept = fs::read_to_string(source_document().join("structured_logger.py")).unwrap();
    let (header, code) = kept.split_once("# ----\n").unwrap();
    assert!(header.starts_with("# A test input"), "{header}");
    // Of the code block in section 1.1 of the document.
    let digest = hex::encode(Sha256::digest(code.as_bytes()));
    assert_eq!(digest, "76e11c09d0725ddbab23bfdd338324c0b937d39b7986f5d22214c5df23fed279");
    // It is one input of several parts: all of them are there.
    let parts: BTreeMap<&str, usize> =
        ["class StructuredLogger", "def log_api_call"].map(|part| (part, code.matches(part).count())).into();
    assert_eq!(parts.into_values().collect::<Vec<_>>(), [1, 2]);
}
