//! The archive as people query it: `infra/athena` says what the code writes, and DuckDB reads what the
//! pipeline wrote as it lies, with the same queries as Athena.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use domain::logs::archive;
use domain::logs::origin;
use domain::logs::pipeline::{Outcome, Processed};
use local::{python, workspace};
use serde_json::{Value, json};
use testkit::{laws, pipeline, subscription};

/// 2026-11-21T10:59:58Z.
const MILLIS: i64 = 1_795_258_798_000;

const TRACE: &str = "1-5f84c596-5c35f2b8f0a54e1a7a2b3c4d";

fn file(name: &str) -> String {
    fs::read_to_string(workspace::root().join("infra/athena").join(name)).unwrap()
}

/// The statement of `archive.sql`, without comments.
fn ddl() -> String {
    let text = file("archive.sql");
    text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n")
}

/// What stands between `before` and the bracket that closes it.
fn between<'a>(text: &'a str, before: &str, close: char) -> &'a str {
    let from = text.find(before).unwrap_or_else(|| panic!("no `{before}` in {text}")) + before.len();
    let open = before.chars().last().unwrap();
    let mut depth = 1;
    for (at, c) in text[from..].char_indices() {
        depth += match c {
            c if c == close => -1,
            c if c == open => 1,
            _ => 0,
        };
        if depth == 0 {
            return &text[from..from + at];
        }
    }
    panic!("`{before}` is not closed")
}

/// Names and types of a list like `a: string, b: array<string>`, in its order.
fn fields(list: &str, separator: char) -> Vec<(String, String)> {
    let mut depth = 0;
    let parts = list.split(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        c == ',' && depth == 0
    });
    let pair = |part: &str| {
        let (name, kind) = part.trim().split_once(separator).unwrap_or_else(|| panic!("`{part}` has no type"));
        (name.trim_matches('`').to_owned(), kind.trim().to_owned())
    };
    parts.map(pair).collect()
}

fn property(name: &str) -> String {
    let ddl = ddl();
    between(&ddl, "TBLPROPERTIES (", ')')
        .lines()
        .find_map(|line| line.trim().trim_end_matches(',').strip_prefix(&format!("'{name}' = "))?.strip_prefix('\''))
        .unwrap_or_else(|| panic!("no property {name}"))
        .trim_end_matches('\'')
        .to_owned()
}

/// A batch of one stream; event ids begin with `name`.
fn batch(name: &str, log_group: &str, lines: &[(i64, String)]) -> Processed {
    let event = |(at, (millis, line)): (usize, &(i64, String))| json!({ "id": format!("{name}-{at:03}"), "timestamp": millis, "message": line });
    let events: Vec<Value> = lines.iter().enumerate().map(event).collect();
    let payload = subscription::message("DATA_MESSAGE", log_group, "s", &Value::from(events));
    match pipeline::process(&subscription::wrap(&payload).to_string()) {
        Outcome::Batch(processed) => processed,
        other => panic!("{other:?}"),
    }
}

/// A line of schema v1 with every field that a record has, and one that it has not.
fn full_line(level: &str, request: usize) -> String {
    let line = json!({
        "timestamp": "2026-11-21T10:59:58.123Z", "level": level, "category": "business_logic",
        "message": format!("Договор «Участок № {request}» для anna.petrova@example.com"),
        "context": { "request_id": format!("r-{request}"), "user_id": "42", "session_id": "s-1", "service_name": "x",
            "environment": "production", "version": "1.2.3", "trace_id": TRACE, "span_id": "53995c3f42cd8ad8" },
        "details": { "event": "contract_creation_failed", "площадь": 12.5, "nested": { "list": [1, null] } },
        "error": { "type": "Timeout", "message": "Росреестр молчит", "code": 504, "stack": ["a", "b"] },
        "span": { "operation_name": "POST /contracts", "start_time": "2026-11-21T10:59:58.110Z", "tags": { "n": 1 } },
        "duration_ms": 12.5, "build": { "Id": 1, "id": 2 }
    });
    line.to_string()
}

/// Batches of three services that go over an hour's end, in several dialects.
fn batches() -> Vec<Processed> {
    let levels = ["INFO", "ERROR", "CRITICAL", "DEBUG", "WARNING"];
    let api = (0..40).map(|at| (MILLIS + at as i64 * 150, full_line(levels[at % 5], at))).collect::<Vec<_>>();
    let user = (0..10).map(|at| {
        let line = match at % 3 {
            0 => format!(r#"{{"level":50,"time":{MILLIS},"msg":"отказ","trace_id":"{TRACE}","err":{{"stack":"s"}}}}"#),
            1 => {
                r#"{"level":"LogLevel.ERROR","category":"LogCategory.SYSTEM","message":"\u0434\u0430","details":null}"#
                    .to_owned()
            }
            _ => "ERROR в строке \"без схемы\" anna.petrova@example.com\u{2028}".to_owned(),
        };
        (MILLIS + at * 500, line)
    });
    let postgres = (0..12).flat_map(|at| {
        let prefix = "2026-11-21 10:59:58 UTC:10.0.1.23(41234):app_user@contracts:[12345]:";
        [
            format!("{prefix}LOG:  duration: {at}.5 ms  statement: SELECT * FROM contracts"),
            format!("\tWHERE id = {at}"),
            format!("{prefix}ERROR:  relation \"nothing\" does not exist at character {at}"),
            format!("{prefix}STATEMENT:  SELECT * FROM nothing"),
        ]
        .map(|line| (MILLIS + at * 300, line))
    });
    vec![
        batch("api", "/aws/ecs/production/api", &api),
        batch("user", "/aws/ecs/production/user", &user.collect::<Vec<_>>()),
        batch("rds", "/aws/rds/instance/production-contract-db/postgresql", &postgres.collect::<Vec<_>>()),
        batch("other", "/aws/ecs/staging/api", &[(MILLIS, full_line("ERROR", 1))]),
    ]
}

/// A folder with the archive of `batches`, laid out as in the bucket.
fn folder(name: &str, batches: &[Processed]) -> PathBuf {
    let folder = workspace::scratch().join(name);
    let _ = fs::remove_dir_all(&folder); // Of an earlier run.
    for object in batches.iter().flat_map(|batch| &batch.archive) {
        let path = folder.join(&object.key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &object.body).unwrap();
    }
    folder
}

fn run(folder: &Path, query: &str) -> Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let interpreter = runtime.block_on(python::interpreter("infra/athena/requirements.txt")).unwrap();
    let script = workspace::root().join("infra/athena/query.py");
    Command::new(interpreter).arg(script).arg(folder).arg(query).output().unwrap()
}

fn rows(folder: &Path, query: &str) -> Vec<Value> {
    let output = run(folder, query);
    assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Records with the service and the hour under which they are archived.
fn archived(batches: &[Processed]) -> Vec<(String, i64, Value)> {
    let production = batches.iter().filter(|batch| batch.origin.environment == "production");
    let placed = |batch: &Processed| {
        let hour = |record: &Value| record["source"]["event_time"].as_str().unwrap()[11..13].parse().unwrap();
        laws::records(batch).into_iter().map(|r| (batch.origin.service.clone(), hour(&r), r)).collect::<Vec<_>>()
    };
    production.flat_map(placed).collect()
}

/// Names below `value`'s `name`, or at its top.
fn names(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn declared(list: &str, separator: char) -> BTreeSet<String> {
    fields(list, separator).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn the_tables_columns_are_the_fields_of_a_record() {
    let ddl = ddl();
    let columns = between(&ddl, "archive (", ')');
    let records = archived(&batches());
    let fields_of = |part: Option<&str>| {
        let of = |record: &Value| names(part.map_or(record, |name| &record[name]));
        records.iter().flat_map(|(_, _, record)| of(record)).collect::<BTreeSet<_>>()
    };
    assert_eq!(declared(columns, ' '), fields_of(None));
    assert_eq!(declared(between(columns, "`context` struct<", '>'), ':'), fields_of(Some("context")));
    // Only a record that is made of several log events has `joined`.
    let mut source = fields_of(Some("source"));
    source.insert("joined".to_owned());
    assert_eq!(declared(between(columns, "`source` struct<", '>'), ':'), source);
}

#[test]
fn the_tables_partitions_are_the_layout_of_the_archive() {
    let minute: domain::Minute = "2026-11-21T09:05Z".parse().unwrap();
    let key = domain::keys::archive("production", "api", minute, "b");
    let folder = format!("s3://<bucket>/{}", &key[..=key.rfind('/').unwrap()]);
    let values = [("${env}", "production"), ("${service}", "api"), ("${dt}", "2026-11-21"), ("${hour}", "09")];
    let template = property("storage.location.template");
    assert_eq!(values.iter().fold(template.clone(), |text, (name, value)| text.replace(name, value)), folder);
    assert!(template.starts_with(between(&ddl(), "LOCATION '", '\'')), "{template}");
    assert!(key.ends_with(".zst"), "Athena tells the compression by the ending");
    let partitions = fields(between(&ddl(), "PARTITIONED BY (", ')'), ' ');
    let named: Vec<String> = partitions.iter().map(|(name, _)| format!("${{{name}}}")).collect();
    assert_eq!(named, values.map(|(name, _)| name));
    assert_eq!(
        (property("projection.hour.range").as_str(), property("projection.hour.digits").as_str()),
        ("0,23", "2")
    );
    assert_eq!(
        (property("projection.dt.type").as_str(), property("projection.dt.format").as_str()),
        ("date", "yyyy-MM-dd")
    );
}

#[test]
fn the_table_shows_every_service_that_the_template_subscribes() {
    let template = fs::read_to_string(workspace::root().join("template.yaml")).unwrap();
    let groups: Vec<&str> = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix("LogGroupName: !Sub "))
        .filter(|group| group.starts_with("/aws/ecs/") || group.starts_with("/aws/rds/"))
        .collect();
    assert!(groups.len() >= 6, "{groups:?}");
    let listed = property("projection.service.values");
    for group in groups {
        let group =
            group.replace("${Environment}", "production").replace("${DatabaseInstance}", "production-contract-db");
        let service = origin::of(&group, "production").service;
        assert!(listed.split(',').any(|name| name == service), "{service} of {group} is not in {listed}");
    }
}

#[test]
fn duckdb_counts_what_was_archived() {
    let batches = batches();
    let folder = folder("athena-counts", &batches);
    let mut expected: BTreeMap<(String, i64, String), i64> = BTreeMap::new();
    for (service, hour, record) in archived(&batches) {
        *expected.entry((service, hour, record["level"].as_str().unwrap().to_owned())).or_default() += 1;
    }
    assert!(expected.keys().any(|(_, hour, _)| *hour == 10) && expected.keys().any(|(_, hour, _)| *hour == 11));
    let key = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        ((text("service"), row["hour"].as_i64().unwrap(), text("level")), row["lines"].as_i64().unwrap())
    };
    let all = "SELECT service, hour, level, count(*) AS lines FROM archive WHERE env = 'production' GROUP BY ALL";
    let found: BTreeMap<_, _> = rows(&folder, all).iter().map(key).collect();
    assert_eq!(found, expected);
    let errors: Vec<_> = rows(&folder, "@errors").iter().map(key).collect();
    expected.retain(|(_, _, level), _| level == "ERROR" || level == "CRITICAL");
    assert_eq!(errors, expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn duckdb_finds_every_log_event_once() {
    let batches = batches();
    let folder = folder("athena-events", &batches);
    let ids: BTreeSet<String> = archived(&batches).iter().flat_map(|(_, _, record)| laws::event_ids(record)).collect();
    let production = || batches.iter().filter(|batch| batch.origin.environment == "production");
    assert_eq!(ids.len(), production().map(|batch| batch.lines.received).sum::<usize>());
    let all =
        "SELECT unnest(list_concat([source.event_id], source.joined)) AS id FROM archive WHERE env = 'production'";
    let found: Vec<String> = rows(&folder, all).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((found.len(), found.into_iter().collect()), (ids.len(), ids));
    assert_eq!(rows(&folder, "@doubles"), Vec::<Value>::new());
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for batch in production() {
        *expected.entry(batch.origin.service.clone()).or_default() += batch.lines.archived as i64;
    }
    let mut counted: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows(&folder, "@lines") {
        *counted.entry(row["service"].as_str().unwrap().to_owned()).or_default() += row["lines"].as_i64().unwrap();
    }
    assert_eq!(counted, expected);
    // The same batch under another name is what must not be.
    let object = &batches[0].archive[0];
    fs::write(folder.join(object.key.replace(&batches[0].batch_id, "again")), &object.body).unwrap();
    assert_eq!(rows(&folder, "@doubles").len(), archive::lines(&object.body).unwrap().len());
}

#[test]
fn duckdb_reads_fields_in_fields_and_any_alphabet() {
    let batches = batches();
    let folder = folder("athena-fields", &batches);
    let query = "SELECT message, context.user_id AS user_id, source.format AS format, duration_ms, dt,
        from_iso8601_timestamp(\"timestamp\") AS at, json_extract_scalar(details, '$.площадь') AS area,
        json_extract_scalar(details, '$.nested.list[0]') AS first, json_extract_scalar(error, '$.message') AS error,
        json_extract_scalar(extra, '$.build.Id') AS build
        FROM archive WHERE env = 'production' AND service = 'api' AND source.event_id = 'api-001'";
    let found = rows(&folder, query);
    let record = archived(&batches).into_iter().find(|(_, _, r)| r["source"]["event_id"] == "api-001").unwrap().2;
    let expected = json!([{
        "message": record["message"], "user_id": record["context"]["user_id"], "format": "schema_v1", "duration_ms": 12.5,
        "dt": "2026-11-21", "at": "2026-11-21 10:59:58.123+00", "area": "12.5", "first": "1",
        "error": "Росреестр молчит", "build": "1"
    }]);
    assert_eq!(Value::from(found), expected);
    assert!(record["message"].as_str().unwrap().starts_with("Договор «Участок № 1» для ["), "{record}");
}

#[test]
fn a_request_a_trace_and_a_person_are_followed_through_the_services() {
    let batches = batches();
    let folder = folder("athena-follow", &batches);
    let services =
        |rows: &[Value]| rows.iter().map(|row| row["service"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    let request = rows(&folder, "@request");
    let traced = archived(&batches).iter().filter(|(_, _, r)| r["context"]["trace_id"] == TRACE).count();
    assert_eq!((request.len(), services(&request)), (traced, BTreeSet::from(["api".to_owned(), "user".to_owned()])));
    assert!(request.windows(2).all(|two| two[0]["timestamp"].as_str() <= two[1]["timestamp"].as_str()));
    // The query names the pseudonym that this person has by the key of the tests.
    let pseudonym = testkit::pipeline::redact_text("anna.petrova@example.com");
    assert!(file("queries.sql").contains(&pseudonym), "{pseudonym}");
    let person = rows(&folder, "@person");
    assert_eq!(services(&person), BTreeSet::from(["api".to_owned(), "user".to_owned()]));
}

#[test]
fn statements_that_take_long_come_first() {
    let folder = folder("athena-slow", &batches());
    let slow = rows(&folder, "@slow_statements");
    let calls: i64 = slow.iter().map(|row| row["calls"].as_i64().unwrap()).sum();
    assert_eq!(calls, 12);
    assert_eq!(slow[0]["max_ms"], 11.5);
    assert!(slow[0]["example"].as_str().unwrap().contains("SELECT * FROM contracts"), "{slow:?}");
}

#[test]
fn every_ready_query_runs_and_a_wrong_one_says_what_is_wrong() {
    let folder = folder("athena-ready", &batches());
    let queries = file("queries.sql");
    for text in queries.split(";\n").filter(|text| text.contains("SELECT")) {
        let named = |line: &'_ str| {
            let (name, _) = line.strip_prefix("-- ")?.split_once(": ")?;
            (!name.contains(' ')).then(|| name.to_owned())
        };
        let name = text.lines().find_map(named).unwrap_or_else(|| panic!("without a name: {text}"));
        assert!(text.contains("env = 'production' AND dt "), "{name} does not say environment and day");
        rows(&folder, &format!("@{name}"));
    }
    let output = run(&folder, "SELECT nothing FROM archive");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing"));
}
