//! Every dialect that is understood: lines as they come in, and what they become. The table is
//! `docs/dialects.md`, for people; run this test with `UPDATE_SNAPSHOTS=1` to write it anew.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use domain::logs::archive;
use domain::logs::envelope::{Decoder, Delivery};
use domain::logs::json::{self, Kind};
use domain::logs::pipeline::{Outcome, Pipeline, Processed};
use domain::metrics::pending::PendingMetrics;
use domain::metrics::series::{Aggregate, SeriesKey, SeriesSet};
use serde_json::Value;
use testkit::{event_file, pipeline, subscription};

const SERVICE: &str = "/aws/ecs/production/api";
const DATABASE: &str = "/aws/rds/instance/production-contract-db/postgresql";
/// 2026-11-21T10:05:04.250Z
const EVENT_TIME: i64 = 1_795_255_504_250;

/// Title, log group, log events.
type Case<'a> = (&'a str, &'a str, &'a [&'a str]);

const CASES: &[Case<'static>] = &[
    (
        "Schema v1, our own",
        SERVICE,
        &[
            r#"{"timestamp":"2026-11-21T10:05:03.123Z","level":"ERROR","category":"business_logic","message":"Договор не создан: anna.petrova@example.com","context":{"request_id":"9f1c2d","user_id":"u-42","service_name":"contract","trace_id":"1-5759e988-bd862e3fe1be46a994272793"},"details":{"event":"contract_creation_failed","reason":"timeout","phone":"+7 (912) 345-67-89"},"error":{"type":"Timeout","message":"rosreestr","traceback":"File \"a.py\", line 1"},"duration_ms":5200.5,"build":"abc"}"#,
        ],
    ),
    (
        "The source document's Python logger",
        SERVICE,
        &[
            r#"{"timestamp": "2026-11-21T10:05:03.123456", "level": "LogLevel.WARNING", "category": "LogCategory.PERFORMANCE", "message": "\u041e\u043f\u0435\u0440\u0430\u0446\u0438\u044f: sign", "context": {"request_id": "r-1", "user_id": null, "session_id": null, "service_name": "land-contracts", "environment": "production", "version": "1.0.0", "trace_id": null, "span_id": null}, "details": {"operation": "sign"}, "error": null, "duration_ms": null}"#,
        ],
    ),
    (
        "Pino and Bunyan: numbers for levels, epoch milliseconds",
        SERVICE,
        &[r#"{"level":50,"time":1795255503123,"pid":7,"hostname":"web-1","msg":"edge cache did not answer"}"#],
    ),
    (
        "Zap: lower-case level, seconds with a fraction",
        SERVICE,
        &[r#"{"level":"warn","ts":1795255503.5,"logger":"proxy","msg":"client went away","bytes":2048}"#],
    ),
    (
        "Google Cloud and Logback: severity, @timestamp with an offset, a stack trace",
        SERVICE,
        &[
            r#"{"severity":"CRITICAL","@timestamp":"2026-11-21T13:05:03+03:00","message":"no disk","stack_trace":"java.io.IOException"}"#,
        ],
    ),
    (
        "Ids at the top, an error as a text",
        SERVICE,
        &[r#"{"level":"info","msg":"retry","request_id":"r-2","user_id":42,"err":"connection reset"}"#],
    ),
    (
        "Our lines with their metrics, in CloudWatch's embedded format: its details are not derived from",
        SERVICE,
        &[
            r#"{"timestamp":"2026-11-21T10:05:03.123Z","level":"INFO","category":"business_logic","message":"contract created for anna.petrova@example.com","context":{"request_id":"9f1c2d","service_name":"contract"},"details":{"method":"POST","url":"/contracts","status_code":201},"duration_ms":31.25,"_aws":{"Timestamp":1795255503123,"CloudWatchMetrics":[{"Namespace":"LandContracts","Dimensions":[[],["service"],["status_code"]],"Metrics":[{"Name":"api_requests","Unit":"Count"},{"Name":"api_request_duration","Unit":"Milliseconds"},{"Name":"contracts_created","Unit":"Count"}]}]},"service":"contract","endpoint":"/contracts","method":"POST","status_code":"201","role":"buyer","api_requests":1,"api_request_duration":31.25,"contracts_created":1}"#,
        ],
    ),
    (
        "Metrics alone, aggregated over the minute before; a unit that is not the registry's is refused",
        SERVICE,
        &[
            r#"{"timestamp":"2026-11-21T10:05:03.900Z","level":"INFO","_aws":{"Timestamp":1795255499000,"CloudWatchMetrics":[{"Namespace":"LandContracts","Dimensions":[[],["service"]],"Metrics":[{"Name":"database_query_duration","Unit":"Milliseconds"},{"Name":"active_users"},{"Name":"cpu_usage_percent","Unit":"Bytes"}]}]},"service":"contract","query_type":"SELECT","table":"contracts","database_query_duration":{"Values":[1.5,20.25],"Counts":[40,2],"Max":20.25,"Min":1.5,"Count":42,"Sum":100.5},"active_users":[17,18],"cpu_usage_percent":7}"#,
        ],
    ),
    (
        "CloudWatch's embedded metric format of another namespace: archived, its metrics are not ours",
        SERVICE,
        &[
            r#"{"_aws":{"Timestamp":1795255503123,"CloudWatchMetrics":[{"Namespace":"Shop","Dimensions":[["page"]],"Metrics":[{"Name":"latency","Unit":"Milliseconds"}]}]},"page":"cart","latency":12.5}"#,
        ],
    ),
    (
        "The same with details that metrics speak of: derived from like any other line",
        SERVICE,
        &[
            r#"{"level":"INFO","category":"business_logic","message":"contract created","details":{"event":"contract_created","user_role":"buyer"},"_aws":{"Timestamp":1795255503123,"CloudWatchMetrics":[{"Namespace":"Shop","Dimensions":[["page"]],"Metrics":[{"Name":"latency","Unit":"Milliseconds"}]}]},"page":"cart","latency":12.5}"#,
        ],
    ),
    (
        "What telemetry writes of a line that was held back, whose metrics are told elsewhere: not derived from",
        SERVICE,
        &[
            r#"{"timestamp":"2026-11-21T10:05:03.123Z","level":"DEBUG","category":"business_logic","message":"contract created","details":{"event":"contract_created","user_role":"buyer"},"_aws":{"Timestamp":1795255503123,"CloudWatchMetrics":[]}}"#,
        ],
    ),
    (
        "Aggregates: of a counter number and sum suffice, and its sum is exact; of a distribution one without \
         values is refused",
        SERVICE,
        &[
            r#"{"level":"INFO","_aws":{"Timestamp":1795255503123,"CloudWatchMetrics":[{"Namespace":"LandContracts","Dimensions":[[]],"Metrics":[{"Name":"contracts_created"},{"Name":"user_registrations"},{"Name":"contract_value"}]}]},"contracts_created":{"Max":2,"Min":1,"Count":3,"Sum":4},"user_registrations":{"Values":[1],"Counts":[5],"Sum":5.1},"contract_value":{"Count":2,"Sum":3}}"#,
        ],
    ),
    (
        "A span: counted as a line, and sent to X-Ray and to a collector",
        SERVICE,
        &[
            r#"{"timestamp":"2026-11-21T10:05:03.135Z","level":"INFO","category":"performance","message":"POST /contracts","context":{"request_id":"9f1c2d","service_name":"contract","trace_id":"1-5759e988-bd862e3fe1be46a994272793","span_id":"53995c3f42cd8ad8"},"duration_ms":12.345,"span":{"operation_name":"POST /contracts","parent_span_id":"00f067aa0ba902b7","start_time":"2026-11-21T10:05:03.123456Z","end_time":"2026-11-21T10:05:03.135801Z","kind":"server","status":"ok","resource":"POST /contracts","tags":{"http.method":"POST","http.status_code":201,"db.statement":"SELECT 1 FROM users WHERE name = 'Анна'"},"logs":[{"timestamp":"2026-11-21T10:05:03.130Z","level":"INFO","message":"mailed anna.petrova@example.com","fields":{}}]}}"#,
        ],
    ),
    (
        "Wrong values are kept beside",
        SERVICE,
        &[r#"{"level":"loud","category":7,"message":{"a":1},"details":"text","duration_ms":"12","timestamp":"soon"}"#],
    ),
    (
        "A field twice, and a number beyond 64 bits",
        SERVICE,
        &[r#"{"level":"INFO","message":"m","details":{"n":123456789012345678901234567890,"a":1,"a":2}}"#],
    ),
    (
        "Secrets, by name and by what they look like",
        SERVICE,
        &[
            r#"{"level":"INFO","message":"login with Bearer abcdef.123456-XYZ","details":{"password":"hunter2","set-cookie":["sid=1"],"token_count":3,"card":"4111 1111 1111 1111"}}"#,
        ],
    ),
    (
        "PostgreSQL, the short prefix: a slow statement",
        DATABASE,
        &[
            "2026-11-21 10:05:03 UTC:10.0.1.23(41234):app@contracts:[77]:LOG:  duration: 6123.456 ms  statement: SELECT * FROM contracts WHERE owner_email = 'anna@example.com' AND id IN (1, 2, 3)",
        ],
    ),
    (
        "PostgreSQL, the long prefix: milliseconds and SQLSTATE",
        DATABASE,
        &[
            "2026-11-21 10:05:03.123 UTC:10.0.1.23(41234):app@contracts:[77]:7:22P02:2026-11-21 10:00:00 UTC:3/45:0:656f.1:app:ERROR:  invalid input syntax for type integer: \"Анна\"",
        ],
    ),
    (
        "PostgreSQL: an error, its detail and its statement, over four log events",
        DATABASE,
        &[
            "2026-11-21 10:05:03 UTC:10.0.1.23(41234):app@contracts:[77]:ERROR:  duplicate key value violates unique constraint \"users_email_key\"",
            "2026-11-21 10:05:03 UTC:10.0.1.23(41234):app@contracts:[77]:DETAIL:  Key (email)=(anna@example.com) already exists.",
            "2026-11-21 10:05:03 UTC:10.0.1.23(41234):app@contracts:[77]:STATEMENT:  INSERT INTO users (email, name)",
            "\tVALUES ('anna@example.com', 'Анна')",
        ],
    ),
    (
        "PostgreSQL: a background process",
        DATABASE,
        &["2026-11-21 10:05:03 UTC::@:[390]:LOG:  checkpoint complete: wrote 12 buffers (0.1%)"],
    ),
    ("Plain text", SERVICE, &["INFO:     Application startup complete."]),
    ("Plain text that speaks of an error and is none", SERVICE, &["retry after ERROR, паспорт 45 09 123456"]),
    (
        "A traceback",
        SERVICE,
        &[
            "Traceback (most recent call last):\n  File \"/app/main.py\", line 88, in render\nIndexError: list index out of range",
        ],
    ),
    (
        "PostgreSQL: a plan of auto_explain",
        DATABASE,
        &[
            "2026-11-21 10:05:03 UTC:10.0.1.23(41234):app@contracts:[77]:LOG:  duration: 512.250 ms  plan:\n\tQuery Text: SELECT * FROM users WHERE name = 'Анна'\n\tSeq Scan on users  (cost=0.00..1.05 rows=1)\n\t  Filter: (name = 'Анна'::text)",
        ],
    ),
    ("JSON but for a mistake", SERVICE, &[r#"{"level":"ERROR","duration_ms":NaN,"password":"hunter2"}"#]),
    ("A number", SERVICE, &["42"]),
];

/// A line that Docker has cut after 16 KiB.
fn split_line() -> [String; 2] {
    let begin = r#"{"level":"ERROR","msg":"a long message "#;
    [format!("{begin}{}", "x".repeat(16 * 1024 - begin.len())), r#"its end","request_id":"r-3"}"#.to_owned()]
}

/// What `docs/python/landlog.py` writes: a test of it keeps the sample true.
fn python_lines() -> Vec<String> {
    let event = String::from_utf8(event_file("log-processor/python-logging.json")).unwrap();
    let mut decoder = Decoder::default();
    let Delivery::Data(batch) = decoder.open(&event).unwrap() else { panic!("it has lines") };
    batch.events.iter().map(|event| String::from_utf8(event.message.to_vec()).unwrap()).collect()
}

/// `text` with the middle left out, where it is long.
fn abbreviated(text: &str) -> String {
    let (longest, head, tail) = (1_000, 80, 60);
    match text.len() > longest && text.is_ascii() {
        true => {
            format!("{} [... {} bytes ...] {}", &text[..head], text.len() - head - tail, &text[text.len() - tail..])
        }
        false => text.to_owned(),
    }
}

fn process(group: &str, lines: &[&str]) -> Processed {
    let lines: Vec<(i64, &str)> = lines.iter().map(|line| (EVENT_TIME, *line)).collect();
    let event = subscription::delivery(group, "task-1", &lines).to_string();
    match Pipeline::new(pipeline::settings()).process(&event) {
        Outcome::Batch(processed) => processed,
        other => panic!("{other:?}"),
    }
}

/// A record as it is archived, one of its fields a line; of its source what differs from case to case.
fn shown(record: &str) -> String {
    let (mut positions, mut tokens) = (Vec::new(), Vec::new());
    json::find_specials(record.as_bytes(), &mut positions);
    json::tokenize(record.as_bytes(), &positions, 0, &mut tokens).unwrap();
    let mut fields = Vec::new();
    let mut place = 1;
    while let Some(name) = tokens.get(place) {
        let value = tokens[place + 1];
        let name = &record[name.start as usize..name.end as usize];
        let text = &record[value.start as usize..value.end as usize];
        fields.push(match value.kind {
            _ if name == "source" => format!("  \"source\": {}", source(text)),
            Kind::Plain | Kind::Escaped => format!("  \"{name}\": \"{}\"", abbreviated(text)),
            _ => format!("  \"{name}\": {text}"),
        });
        place = value.next as usize;
    }
    format!("{{\n{}\n}}", fields.join(",\n"))
}

fn source(text: &str) -> String {
    let source: Value = serde_json::from_str(text).unwrap();
    let joined = source["joined"].as_array().map_or(0, Vec::len);
    let joined = if joined > 0 { format!(", \"joined\": [{joined} event ids]") } else { String::new() };
    format!("{{..., \"format\": {}{joined}}}", source["format"])
}

fn metrics(processed: &Processed) -> Vec<String> {
    let pending = PendingMetrics::parse(&processed.pending.as_ref().unwrap().body).unwrap();
    let show = |(key, held): (&SeriesKey, &Aggregate)| {
        let dimensions: Vec<String> = key.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("`{}{{{}}} {}`", key.name, dimensions.join(","), held.sum)
    };
    let is_own = |name: &str| name.starts_with("pipeline_lines") || name.starts_with("pipeline_bytes");
    let derived = pending.minutes.values().flat_map(SeriesSet::iter).filter(|(key, _)| !is_own(&key.name));
    let extracted = pending.extracted.values().flat_map(SeriesSet::iter);
    derived.map(show).chain(extracted.map(|series| format!("{} (brought along)", show(series)))).collect()
}

fn page() -> String {
    let mut page = String::from(
        "# Dialects of log lines\n\n\
         What is understood, and what becomes of it: each case shows log events as they come in, the record that is\n\
         archived, one field a line (of its `source` only what differs), and the metrics that are derived, or that the\n\
         line has brought along. The page is written by `functions/log-processor/tests/dialects.rs`, which fails where it\n\
         is not true.\n\n\
         | case | format | level | category | time | lines |\n|---|---|---|---|---|---|\n",
    );
    let mut sections = String::new();
    let split = split_line();
    let split = split.each_ref().map(String::as_str);
    let split: Case<'_> = ("A line that the log driver has split after 16 KiB", SERVICE, &split);
    let python = python_lines();
    let python: Vec<&str> = python.iter().map(String::as_str).collect();
    let python: [Case<'_>; 3] = [
        ("Python's standard logging with `docs/python/landlog.py`: metrics in the line", SERVICE, &python[..1]),
        ("Python's standard logging with `docs/python/landlog.py`: an error", SERVICE, &python[1..2]),
        ("Python's standard logging with `docs/python/landlog.py`: a span", SERVICE, &python[3..]),
    ];
    for (title, group, lines) in CASES.iter().chain([&split]).chain(&python) {
        let processed = process(group, lines);
        assert_eq!(processed.lines.archived, lines.len(), "{title}");
        let lines_out = archive::lines(&processed.archive[0].body).unwrap();
        assert_eq!(lines_out.len(), 1, "{title}");
        let record: Value = serde_json::from_str(&lines_out[0]).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        writeln!(
            page,
            "| {title} | {} | {} | {} | {} | {} |",
            text(&record["source"]["format"]),
            text(&record["level"]),
            text(&record["category"]),
            text(&record["timestamp"]),
            lines.len()
        )
        .unwrap();
        write!(
            sections,
            "\n## {title}\n\n```text\n{}\n```\n\n",
            lines.iter().map(|line| abbreviated(line)).collect::<Vec<_>>().join("\n")
        )
        .unwrap();
        writeln!(sections, "```json\n{}\n```\n", shown(&lines_out[0])).unwrap();
        writeln!(sections, "Metrics: {}", metrics(&processed).join(", ")).unwrap();
    }
    page + &sections
}

#[test]
fn the_page_of_dialects_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dialects.md");
    let page = page();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/dialects.md differs; look at what has changed with UPDATE_SNAPSHOTS=1 and git diff");
    for personal in ["anna", "hunter2", "Анна", "09 123456", "4111"] {
        assert!(!page.split("```json").skip(1).any(|after| after.split("```").next().unwrap().contains(personal)));
    }
}
