//! A rule file for Prometheus, over the series that metric-flusher's remote write exports, and the rules' own tests as
//! one for `promtool test rules`.
//!
//! Values are in the units of our registry and not in those of Prometheus, so that thresholds and summaries read the
//! same in both. Hysteresis, silence that keeps an alert firing, and composite rules look at `ALERTS`, the series in
//! which Prometheus keeps what fires; so the rules are in one group, in which one sees what those before it have said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::alerting::rules::kind::{BURN, Kind};
use crate::alerting::rules::{Labels, Rule, RuleSet};

use super::{Note, duration};

mod kinds;
mod promql;
mod unit_tests;

pub use unit_tests::{UnitTests, unit_tests};

/// The name of the group of rules.
const GROUP: &str = "land-contracts";

/// A rule file, and what is otherwise in it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleFile {
    /// The YAML. The notes stand in it as comments.
    pub text: String,
    /// What is left out, and what differs.
    pub notes: Vec<Note>,
    /// Ids of the rules that it has.
    pub exported: BTreeSet<String>,
}

/// One alerting rule of Prometheus.
#[derive(Debug, Clone, PartialEq)]
struct Alert {
    name: String,
    expression: String,
    hold: i64,
    keep_firing_for: i64,
    labels: Labels,
    annotations: Labels,
}

/// `rules` for Prometheus, of the series with the label `environment` of that value (of all, without one). `source` is
/// what comments call the file that they come from.
pub fn rule_file(rules: &RuleSet, source: &str, environment: Option<&str>) -> RuleFile {
    let mut notes = Vec::new();
    let mut exported = BTreeMap::new();
    let mut alerts = Vec::new();
    for rule in rules.in_order() {
        let context = kinds::Context { rule, environment, exported: &exported };
        match context.alerts() {
            Ok((own, differs)) => {
                notes.extend(differs.into_iter().map(|what| Note::differs(&rule.id, what)));
                alerts.extend(own);
                exported.insert(rule.id.clone(), label_names(rule));
            }
            Err(why) => notes.push(Note::left_out(&rule.id, why)),
        }
    }
    let text = file(source, &notes, &alerts);
    RuleFile { text, notes, exported: exported.into_keys().collect() }
}

/// Names of the labels that tell the alerts of a rule apart.
fn label_names(rule: &Rule) -> BTreeSet<String> {
    let burn = matches!(rule.kind, Kind::Slo(_)).then(|| BURN.to_owned());
    rule.group_by.iter().cloned().chain(burn).collect()
}

fn file(source: &str, notes: &[Note], alerts: &[Alert]) -> String {
    let mut text = format!(
        "# Made by `cargo ops rules export prometheus` from {source}: change it there.\n\
         # For Prometheus 2.42 and later (keep_firing_for). It looks at what was a minute ago: by then all samples have come.\n"
    );
    for (left_out, title) in
        [(true, "Not in here, since Prometheus can't say it:"), (false, "Said otherwise than in the rules:")]
    {
        let told: Vec<&Note> = notes.iter().filter(|note| note.left_out == left_out).collect();
        if !told.is_empty() {
            text.push_str(&format!("#\n# {title}\n"));
        }
        for note in told {
            text.push_str(&format!("# - {}: {}\n", note.rule, note.what));
        }
    }
    if alerts.is_empty() {
        text.push_str("groups: []\n");
        return text;
    }
    text.push_str(&format!("groups:\n- name: {GROUP}\n  interval: 1m\n  rules:\n"));
    alerts.iter().for_each(|alert| alert.write(&mut text));
    text
}

impl Alert {
    fn write(&self, text: &mut String) {
        text.push_str(&format!("  - alert: {}\n    expr: |-\n", self.name));
        for line in self.expression.lines() {
            text.push_str(&format!("      {line}\n"));
        }
        for (name, minutes) in [("for", self.hold), ("keep_firing_for", self.keep_firing_for)] {
            if minutes > 0 {
                text.push_str(&format!("    {name}: {}\n", duration(minutes)));
            }
        }
        for (name, values) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            text.push_str(&format!("    {name}:\n"));
            for (name, value) in values {
                text.push_str(&format!("      {name}: {}\n", quoted(value)));
            }
        }
    }
}

/// A text of ours where Prometheus expands templates: it has none.
fn plain(text: &str) -> String {
    text.replace("{{", r#"{{ "{{" }}"#)
}

/// A text in YAML: JSON's quotes are among its own.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
