//! The JSON Schema for editors says what the parser says, as far as shapes go.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use super::mistakes::KINDS;
use super::{DEFAULT_RULES, RULE};
use crate::alerting::condition::Comparison;
use crate::alerting::rules::check::{FIELDS, RESERVED_IDS};
use crate::alerting::rules::file::File;
use crate::alerting::rules::kind::{Event, Kind};
use crate::alerting::rules::{Missing, Severity};
use crate::metrics::registry::{FOREIGN, METRICS};

const SCHEMA: &str = include_str!("../../../../../../infra/rules/rules.schema.json");

static COMPILED: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| {
    let mut compiler = Compiler::new();
    compiler.add_resource("rules.schema.json", schema()).unwrap();
    let mut schemas = Schemas::new();
    let index = compiler.compile("rules.schema.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
    (schemas, index)
});

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// The file as an editor sees it; `None` for what is no YAML, or has a key twice.
pub(super) fn value(text: &str) -> Option<Value> {
    serde_saphyr::from_str(text).ok()
}

pub(super) fn is_valid(file: &Value) -> bool {
    COMPILED.0.validate(file, COMPILED.1).is_ok()
}

#[test]
fn what_the_parser_takes_is_of_the_schema() {
    for (name, text) in [("default.yaml", DEFAULT_RULES), ("RULE", RULE), ("KINDS", KINDS)] {
        if let Err(error) = COMPILED.0.validate(&value(text).unwrap(), COMPILED.1) {
            panic!("{name}: {error}");
        }
    }
}

fn names(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::Object(members) => members.keys().map(String::as_str).collect(),
        Value::Array(items) => items.iter().map(|item| item.as_str().unwrap()).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn each_kind_of_rule_has_the_same_fields_in_the_schema_and_in_the_parser() {
    let schema = schema();
    let of_every_rule = ["id", "kind", "class", "service", "annotations", "evidence", "tests"];
    let required_of_every_rule = ["id", "class", "annotations"];
    assert_eq!(FIELDS.iter().map(|fields| fields.kind).collect::<Vec<_>>(), Kind::NAMES);
    for fields in FIELDS {
        let rule = &schema["$defs"][format!("{}_rule", fields.kind)];
        let expected: BTreeSet<&str> =
            [&of_every_rule[..], fields.required, fields.optional].concat().into_iter().collect();
        assert_eq!(names(&rule["properties"]), expected, "{}", fields.kind);
        let mut required: BTreeSet<&str> =
            [&required_of_every_rule[..], fields.required].concat().into_iter().collect();
        // A rule without a kind is of kind metric.
        if fields.kind != "metric" {
            required.insert("kind");
        }
        assert_eq!(names(&rule["required"]), required, "{}", fields.kind);
        assert_eq!(rule["additionalProperties"], json!(false));
    }
}

#[test]
fn the_names_of_values_are_the_same_in_the_schema_and_in_the_parser() {
    let schema = schema();
    let definitions = &schema["$defs"];
    let known = |names: Vec<&'static str>| names.into_iter().collect::<BTreeSet<&str>>();
    assert_eq!(names(&definitions["severity"]["enum"]), known(Severity::NAMES.iter().map(|(name, _)| *name).collect()));
    assert_eq!(names(&definitions["missing"]["enum"]), known(Missing::NAMES.iter().map(|(name, _)| *name).collect()));
    assert_eq!(
        names(&definitions["comparison"]["properties"]),
        known(Comparison::NAMES.iter().map(|(name, _)| *name).collect())
    );
    assert_eq!(names(&definitions["event_filters"]["properties"]), known(Event::FIELDS.to_vec()));
    assert_eq!(names(&definitions["id"]["not"]["enum"]), known(RESERVED_IDS.to_vec()));
    let own = METRICS.iter().filter(|metric| metric.is_rolled_up()).map(|metric| metric.name);
    assert_eq!(names(&definitions["own_metric"]["enum"]), known(own.clone().collect()));
    let all = own.chain(FOREIGN.iter().map(|metric| metric.name));
    assert_eq!(names(&definitions["metric"]["enum"]), known(all.collect()));
}

#[test]
fn the_parts_of_a_rule_have_the_same_fields_in_the_schema_and_in_the_parser() {
    let schema = schema();
    let definitions = &schema["$defs"];
    // serde tells the fields that it knows where it finds another one.
    for (part, file, definition) in [
        ("the file", "no_field: 1".to_owned(), &schema),
        ("defaults", "defaults: {no_field: 1}".to_owned(), &definitions["defaults"]),
        ("a query", rule("queries: {a: {no_field: 1}}"), &definitions["query"]),
        ("a selector", rule("good: {no_field: 1}"), &definitions["selector"]),
        ("a burn", rule("burn: [{no_field: 1}]"), &definitions["burn"]),
        ("a window", rule("window: {no_field: 1}"), &definitions["window"]),
        ("datapoints", rule("datapoints: {no_field: 1}"), &definitions["datapoints"]),
        ("annotations", rule("annotations: {no_field: 1}"), &definitions["annotations"]),
        ("evidence", rule("evidence: {no_field: 1}"), &definitions["evidence"]),
        ("logs", rule("evidence: {logs: {no_field: 1}}"), &definitions["evidence"]["properties"]["logs"]),
        ("a test", rule("tests: [{no_field: 1}]"), &definitions["test"]),
    ] {
        let options = serde_saphyr::options! { with_snippet: false };
        let error = serde_saphyr::from_str_with_options::<File>(&file, options).unwrap_err();
        let serde_saphyr::Error::SerdeUnknownField { expected, .. } = error else { panic!("{part}: {error}") };
        assert_eq!(names(&definition["properties"]), expected.into_iter().collect(), "{part}");
        assert_eq!(definition["additionalProperties"], json!(false), "{part}");
    }
}

fn rule(field: &str) -> String {
    format!("rules: [{{{field}}}]")
}
