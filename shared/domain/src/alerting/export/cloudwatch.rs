//! The rules as alarms of CloudWatch: a CloudFormation template, for whoever wants some of them there as well, or to see
//! what they would be.
//!
//! An alarm watches one series, so a rule with groups becomes an alarm for each of the values that are known when it is
//! exported ([`Values`]). (An alarm on a Metrics Insights query could find them itself, but it takes neither percentiles
//! nor arithmetic between queries, and sees the last three hours only.) Alarms have no hysteresis, no `keep_firing_for`,
//! and datapoints that follow each other instead of overlapping; whatever of a rule is lost so is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::alerting::condition::{Comparison, Condition};
use crate::alerting::rules::{Labels, Rule, RuleSet, Severity};
use crate::keys;

use super::{Note, number};

mod kinds;
mod math;

/// Known values of labels: `service` is one of `api` and `web`, say.
pub type Values = BTreeMap<String, Vec<String>>;

/// Metrics that an alarm on metric math may have.
const MAX_METRICS: usize = 10;
/// Seconds that all periods of an alarm may have together; fewer where each is shorter than an hour.
const LONGEST_EVALUATION: i64 = 7 * 86_400;
const LONGEST_EVALUATION_OF_SHORT_PERIODS: i64 = 86_400;
/// Characters of a composite alarm's rule, and other alarms that it may speak of.
const LONGEST_ALARM_RULE: usize = 10_240;
const MAX_CHILDREN: usize = 100;
/// Characters of an alarm's name after that of the stack and a hyphen: 255 together, of which a stack may have 128.
const LONGEST_NAME: usize = 126;
/// Characters of an alarm's description.
const LONGEST_DESCRIPTION: usize = 1_024;
/// Resources of a template.
const MAX_RESOURCES: usize = 500;

/// A template, and what is otherwise in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The CloudFormation template. The notes stand in its metadata, since JSON has no comments.
    pub body: Value,
    /// What is left out, and what differs.
    pub notes: Vec<Note>,
}

/// An alarm of a rule.
#[derive(Debug, Clone, PartialEq)]
struct Alarm {
    /// What tells it apart from the others of the rule: values of labels, `page`, `page-1h`.
    suffix: Vec<String>,
    /// Labels of the alert that it is, or is a part of.
    labels: Labels,
    severity: Severity,
    /// Whether it is the alert, and not only a part that a composite alarm rests on.
    is_alert: bool,
    watches: Watches,
}

/// What an alarm watches.
#[derive(Debug, Clone, PartialEq)]
enum Watches {
    /// A series, or arithmetic over some.
    Series(Series),
    /// Other alarms: `ALARM("${AWS::StackName}-a") AND ...`, with the resources that it speaks of.
    Alarms { rule: String, resources: BTreeSet<String> },
    /// Alarms before it among those of its rule, by their number: both of any pair.
    Pairs(Vec<[usize; 2]>),
}

/// What an alarm on metrics watches, and how.
#[derive(Debug, Clone, PartialEq)]
struct Series {
    math: math::Math,
    condition: Condition,
    periods: i64,
    breaching: i64,
    missing: &'static str,
}

/// What was exported of a rule.
type Exported = BTreeMap<String, Vec<Alert>>;

/// An alarm that stands for an alert of a rule.
#[derive(Debug, Clone, PartialEq)]
struct Alert {
    labels: Labels,
    made: Made,
}

/// What an alarm is called in the template.
#[derive(Debug, Clone, PartialEq)]
struct Made {
    /// Its name after the stack's.
    name: String,
    /// The logical id of its resource.
    resource: String,
}

/// `rules` as alarms, for the groups that `values` name. `source` is what the description calls the file that they come
/// from.
pub fn template(rules: &RuleSet, source: &str, values: &Values) -> Template {
    let mut notes = Vec::new();
    let mut exported = Exported::new();
    let mut resources = serde_json::Map::new();
    let mut names = BTreeSet::new();
    for rule in rules.in_order() {
        let context = kinds::Context { rule, values, exported: &exported };
        let alarms = context.alarms().and_then(|(alarms, differs)| {
            let room = resources.len() + alarms.len() <= MAX_RESOURCES;
            if room { Ok((alarms, differs)) } else { Err(format!("a template has at most {MAX_RESOURCES} resources")) }
        });
        match alarms {
            Ok((alarms, differs)) => {
                let mut made: Vec<Made> = Vec::new();
                for alarm in &alarms {
                    let name = unused(&alarm.name(rule), "-", |name| names.contains(name));
                    names.insert(name.clone());
                    let resource = unused(&alarm.resource(rule), "", |name| resources.contains_key(name));
                    resources.insert(resource.clone(), alarm.resource_body(rule, &name, &made));
                    made.push(Made { name, resource });
                }
                let alerts = alarms.iter().zip(made).filter(|(alarm, _)| alarm.is_alert);
                let alerts = alerts.map(|(alarm, made)| Alert { labels: alarm.labels.clone(), made }).collect();
                exported.insert(rule.id.clone(), alerts);
                notes.extend(differs.into_iter().map(|what| Note::differs(&rule.id, what)));
            }
            Err(why) => notes.push(Note::left_out(&rule.id, why)),
        }
    }
    let told = |left_out: bool| -> Vec<String> {
        let notes = notes.iter().filter(|note| note.left_out == left_out);
        notes.map(|note| format!("{}: {}", note.rule, note.what)).collect()
    };
    let body = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("Made by `cargo ops rules export cloudwatch` from {source}"),
        "Metadata": { "NotInHere": told(true), "SaidOtherwise": told(false) },
        "Parameters": {
            "AlarmTopicArn": { "Type": "String", "Description": "SNS topic that is told of ALARM and OK" },
            "MetricNamespace": {
                "Type": "String",
                "Default": rules.namespace,
                "Description": "CloudWatch namespace of the platform's metrics",
            },
        },
        "Resources": resources,
    });
    Template { body, notes }
}

/// `name`, with a number where another has it already.
fn unused(name: &str, before_number: &str, is_used: impl Fn(&str) -> bool) -> String {
    let numbered = (2_u64..).map(|number| format!("{name}{before_number}{number}"));
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    candidates.find(|candidate| !is_used(candidate)).unwrap_or_default()
}

/// `word=value`, unless the value would not be read as one word.
fn word(name: &str, value: &str) -> String {
    if value.is_empty() || value.contains(char::is_whitespace) { String::new() } else { format!(" {name}={value}") }
}

impl Made {
    /// `ALARM("${AWS::StackName}-a")`
    fn is_in_alarm(&self) -> String {
        format!("ALARM(\"{}\")", full_name(&self.name))
    }
}

impl Alarm {
    /// Its name after the stack's.
    fn name(&self, rule: &Rule) -> String {
        let parts: Vec<&str> =
            std::iter::once(rule.id.as_str()).chain(self.suffix.iter().map(String::as_str)).collect();
        // What `Fn::Sub` would read as a variable of its own, and what would end a name in an alarm's rule.
        let name = parts.join("-").replace("${", "$-{").replace(['"', '\\'], "-").replace(char::is_control, "-");
        if name.chars().count() <= LONGEST_NAME - 4 {
            return name; // There is room for a number.
        }
        let hash = keys::fingerprint([name.as_bytes()]);
        let begin: String = name.chars().take(LONGEST_NAME - 5 - hash.len()).collect();
        format!("{begin}-{hash}")
    }

    /// The logical id of its resource, as far as letters and digits go.
    fn resource(&self, rule: &Rule) -> String {
        let parts = std::iter::once(rule.id.as_str()).chain(self.suffix.iter().map(String::as_str));
        let words = parts.flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
        let capitalised = |word: &str| {
            let mut letters = word.chars();
            letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        };
        words.map(capitalised).collect()
    }

    /// `before` are the alarms of the rule that stand before it.
    fn resource_body(&self, rule: &Rule, name: &str, before: &[Made]) -> Value {
        let mut properties = serde_json::Map::new();
        properties.insert("AlarmName".to_owned(), json!({ "Fn::Sub": full_name(name) }));
        properties.insert("AlarmDescription".to_owned(), Value::from(self.description(rule)));
        if self.is_alert {
            for actions in ["AlarmActions", "OKActions"] {
                properties.insert(actions.to_owned(), json!([{ "Ref": "AlarmTopicArn" }]));
            }
        }
        let (alarm_rule, resources) = match &self.watches {
            Watches::Series(series) => {
                properties.extend(series.properties());
                return json!({ "Type": "AWS::CloudWatch::Alarm", "Properties": properties });
            }
            Watches::Alarms { rule, resources } => (rule.clone(), resources.clone()),
            Watches::Pairs(pairs) => {
                let both = |[one, two]: &[usize; 2]| {
                    format!("({} AND {})", before[*one].is_in_alarm(), before[*two].is_in_alarm())
                };
                let parts = pairs.iter().flatten().map(|number| before[*number].resource.clone());
                (pairs.iter().map(both).collect::<Vec<_>>().join(" OR "), parts.collect())
            }
        };
        properties.insert("AlarmRule".to_owned(), json!({ "Fn::Sub": alarm_rule }));
        // A composite alarm is refused as long as those that it speaks of are not there.
        json!({ "Type": "AWS::CloudWatch::CompositeAlarm", "DependsOn": resources, "Properties": properties })
    }

    /// What it is, with the words that the evaluator reads ([`crate::alerting::alarms`]) at the end: of two words of one
    /// name the last is taken.
    fn description(&self, rule: &Rule) -> String {
        let (text, words) = if self.is_alert {
            let label = |name: &str| self.labels.get(name).cloned().unwrap_or_else(|| format!("<{name}>"));
            let service = rule.service(&self.labels);
            let runbook = rule.runbook_url.as_deref().unwrap_or_default();
            let words = [
                ("severity", self.severity.as_str()),
                ("class", rule.class.as_str()),
                ("service", &service),
                ("runbook", runbook),
            ];
            (rule.summary.filled("<value>", label), words.map(|(name, value)| word(name, value)).concat())
        } else {
            (format!("A part of {}, which tells nobody by itself.", rule.id), word("told", "no"))
        };
        let room = LONGEST_DESCRIPTION.saturating_sub(words.chars().count());
        text.chars().take(room).chain(words.chars()).take(LONGEST_DESCRIPTION).collect()
    }
}

/// An alarm's name with that of the stack, which makes it the account's only one.
fn full_name(name: &str) -> String {
    format!("${{AWS::StackName}}-{name}")
}

impl Series {
    /// What of it CloudWatch would refuse.
    fn check(self) -> Result<Series, String> {
        let period = self.math.period;
        let limit = if period < 3_600 { LONGEST_EVALUATION_OF_SHORT_PERIODS } else { LONGEST_EVALUATION };
        if period * self.periods > limit {
            let minutes = super::duration(period * self.periods / 60);
            return Err(format!("it looks back {minutes}, and an alarm of its period {}", super::duration(limit / 60)));
        }
        let metrics = self.math.metrics.len();
        if metrics > MAX_METRICS {
            return Err(format!("it reads {metrics} series, and an alarm at most {MAX_METRICS}"));
        }
        Ok(self)
    }

    fn properties(&self) -> serde_json::Map<String, Value> {
        let operator = match self.condition.comparison {
            Comparison::Gt => "GreaterThanThreshold",
            Comparison::Gte => "GreaterThanOrEqualToThreshold",
            Comparison::Lt => "LessThanThreshold",
            Comparison::Lte => "LessThanOrEqualToThreshold",
        };
        let threshold: f64 = number(self.condition.threshold).parse().unwrap_or(self.condition.threshold);
        let mut properties = serde_json::Map::new();
        let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
        set("ComparisonOperator", Value::from(operator));
        set("Threshold", Value::from(threshold));
        set("EvaluationPeriods", Value::from(self.periods));
        set("DatapointsToAlarm", Value::from(self.breaching));
        set("TreatMissingData", Value::from(self.missing));
        properties.extend(self.math.properties());
        properties
    }
}

#[cfg(test)]
mod tests;
