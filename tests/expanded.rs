//! `template.yaml` as CloudFormation gets it, for the tests that read it.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use local::{python, workspace};
use serde_json::Value;

/// The template as plain CloudFormation, the SAM transform applied.
pub fn template() -> &'static Value {
    static TEMPLATE: OnceLock<Value> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let interpreter = runtime.block_on(python::interpreter("infra/local/requirements.txt")).unwrap();
        let output = Command::new(interpreter)
            .arg(workspace::root().join("infra/local/expand_template.py"))
            .arg(workspace::root().join("template.yaml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    })
}

/// Resources of a type, by logical id.
pub fn resources(kind: &str) -> BTreeMap<&'static str, &'static Value> {
    let all = template()["Resources"].as_object().unwrap();
    all.iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), resource))
        .collect()
}

/// A value as text, with the values of `Fn::Sub` and `Ref` as they stand.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields.values().map(text).collect(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join("."),
        other => other.to_string(),
    }
}
