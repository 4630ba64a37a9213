//! Business events as publishers and the pipeline judge them: the JSON Schemas by the `jsonschema` package of Python,
//! and the reader. Both have to say the same of any event.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use domain::events::{self, COMMON, EventError, EventType, FieldKind, TYPES};
use local::{python, workspace};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// Reads a list of `[detail-type, JSON text]`, and prints whether each is valid, as the schema with that title says.
/// Formats are not looked at: the schemas have none.
const JUDGE: &str = r#"
import json, pathlib, sys
from jsonschema import Draft202012Validator
validators = {}
for file in pathlib.Path(sys.argv[1]).glob("*.schema.json"):
    schema = json.loads(file.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validators[schema["title"]] = Draft202012Validator(schema)
cases = json.load(sys.stdin)
print(json.dumps([validators[title].is_valid(json.loads(text)) for title, text in cases]))
"#;

/// Details as texts, so that numbers are to both what was written.
type Case = (&'static EventType, String);

fn judged_by_the_schemas(cases: &[Case]) -> Vec<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let interpreter = runtime.block_on(python::interpreter("infra/local/requirements.txt")).unwrap();
    let mut judge = Command::new(interpreter)
        .args(["-B", "-c", JUDGE])
        .arg(workspace::root().join("shared/schema/events"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(known, detail)| (known.detail_type, detail.as_str())).collect();
    judge.stdin.take().unwrap().write_all(&serde_json::to_vec(&cases).unwrap()).unwrap();
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success(), "the judge failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the reader says of an event with this detail; `None` where it takes it.
fn refusal((known, detail): &Case) -> Option<EventError> {
    let body = format!(
        r#"{{"version":"0","id":"1","detail-type":"{}","source":"land-contracts.contract","account":"123456789012",
            "time":"2026-11-21T10:05:03Z","region":"eu-west-1","resources":[],"detail":{detail}}}"#,
        known.detail_type
    );
    events::read(&body, 0).line.err()
}

fn agree(cases: &[Case]) -> (usize, usize) {
    let judged = judged_by_the_schemas(cases);
    assert_eq!(judged.len(), cases.len());
    for (case, is_valid) in cases.iter().zip(&judged) {
        let refusal = refusal(case);
        assert_eq!(
            *is_valid,
            refusal.is_none(),
            "{} {}: {}",
            case.0.detail_type,
            case.1,
            refusal.map_or_else(|| "taken".to_owned(), |error| error.to_string())
        );
    }
    let valid = judged.iter().filter(|is_valid| **is_valid).count();
    (valid, judged.len() - valid)
}

/// The smallest event of a type that is right.
fn right(known: &EventType) -> Value {
    let value = |kind| if matches!(kind, FieldKind::Amount { .. }) { json!(1) } else { json!("buyer") };
    known
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), value(field.kind)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Values at every edge that a field can have, as JSON texts.
fn edges() -> Vec<String> {
    let mut edges: Vec<String> = [
        "null",
        "true",
        "false",
        "[]",
        "{}",
        "[1]",
        "0",
        "-0",
        "-0.0",
        "1",
        "1.0",
        "-1",
        "-1e-3",
        "1e-400",
        "1e6",
        "1000000",
        "1000001",
        "1000000.0001",
        "1e11",
        "100000000001",
        "1e12",
        "1000000000000",
        "1000000000001",
        "1e13",
        "1e308",
        "1e400",
        "-1e400",
        "123456789012345678901234567890",
        r#""""#,
        r#"" ""#,
        r#""\t\r\n ""#,
        r#"" x ""#,
        r#""\u00a0""#,
        r#""\u2003""#,
        r#""\u001c""#,
        r#""\u0000""#,
        r#""x\n""#,
        r#""7""#,
        r#""😀""#,
        r#""\ud83d\ude00""#,
    ]
    .map(str::to_owned)
    .into();
    for (letter, lengths) in [("x", [64, 65, 256, 257]), ("я", [64, 65, 256, 257]), ("😀", [64, 65, 256, 257])] {
        edges.extend(lengths.map(|length| format!("\"{}\"", letter.repeat(length))));
    }
    edges
}

#[test]
fn the_schemas_and_the_reader_say_the_same_at_every_edge() {
    let mut cases: Vec<Case> = Vec::new();
    for known in &TYPES {
        cases.push((known, right(known).to_string()));
        for field in known.fields.iter().chain(&COMMON) {
            let mut without = right(known);
            without.as_object_mut().unwrap().remove(field.name);
            cases.push((known, without.to_string()));
            for edge in edges() {
                let mut event = right(known);
                event[field.name] = json!("EDGE");
                cases.push((known, event.to_string().replace("\"EDGE\"", &edge)));
            }
        }
        // Of a name that comes twice, both take the last.
        for twice in [r#""x",{}:7"#, r#"7,{}:"x""#] {
            let name = format!("\"{}\"", known.fields[0].name);
            let event = right(known)
                .to_string()
                .replace(&format!("{name}:\"buyer\""), &format!("{name}:{}", twice.replace("{}", &name)));
            cases.push((known, event));
        }
    }
    let (valid, invalid) = agree(&cases);
    assert!(valid > 300 && invalid > 300, "{valid} valid, {invalid} invalid");
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(edges()),
        2 => any::<f64>().prop_filter("JSON has no such number", |number| number.is_finite()).prop_map(|n| json!(n).to_string()),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => (0.0..2e12).prop_map(|number| json!(number).to_string()),
        3 => ".{0,300}".prop_map(|text| json!(text).to_string()),
        2 => "[ \t\r\n\u{a0}x]{0,3}".prop_map(|text| json!(text).to_string()),
    ]
}

fn any_case() -> impl Strategy<Value = Case> {
    (0..TYPES.len()).prop_flat_map(|at| {
        let known = &TYPES[at];
        let names: Vec<&str> =
            known.fields.iter().chain(&COMMON).map(|field| field.name).chain(["other", "reason"]).collect();
        let changes =
            prop::collection::vec((prop::sample::select(names), prop::option::weighted(0.9, any_value())), 0..3);
        changes.prop_map(move |changes| {
            let mut event: Vec<(String, String)> = right(known)
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.to_string()))
                .collect();
            for (name, value) in changes {
                event.retain(|(known, _)| known != name);
                event.extend(value.map(|value| (name.to_owned(), value)));
            }
            let fields: Vec<String> = event.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            (known, format!("{{{}}}", fields.join(",")))
        })
    })
}

#[test]
fn the_schemas_and_the_reader_say_the_same_of_any_event() {
    // One judge for all of them: to start it takes longer than to judge a thousand. The same events in every run.
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Case> = (0..2_000).map(|_| any_case().new_tree(&mut runner).unwrap().current()).collect();
    let (valid, invalid) = agree(&cases);
    assert!(valid > 200 && invalid > 200, "{valid} valid, {invalid} invalid");
}
