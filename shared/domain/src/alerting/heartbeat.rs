//! Rules of kind heartbeat: something that has to be heard of every so often.

use std::rc::Rc;

use crate::Minute;

use super::absence::{Heard, Silence};
use super::datapoints::Verdict;
use super::evaluation::{Finding, span};
use super::rules::kind::Heartbeat;
use super::rules::{Labels, Rule};
use super::samples::Samples;
use super::state::{Health, fingerprint};

/// What `minute` says. What was never heard of is missed from the first minute on that the evaluator knows of.
pub(super) fn findings<'a>(
    rule: &'a Rule,
    heartbeat: &'a Heartbeat,
    minute: Minute,
    samples: &Samples<'a>,
    heard: &mut Heard,
) -> Vec<Finding> {
    let selection = samples.select(&heartbeat.query, &[]);
    let labels: Rc<Labels> = Rc::default();
    let fingerprint = fingerprint(&rule.id, &labels);
    let before = heard.groups.get(&fingerprint);
    let Some(silence) = Silence::after(before, rule, &heartbeat.query, &labels, &selection, minute) else {
        return vec![Finding { labels, verdict: Verdict::Open, value: None, health: Health::Error, ends: None }];
    };
    let minutes = silence.minutes;
    let verdict = silence.verdict(minute, longest(heartbeat));
    heard.groups.insert(fingerprint, silence);
    vec![Finding { labels, verdict, value: Some(minutes as f64), health: Health::Ok, ends: None }]
}

/// When it fires, as text.
pub(super) fn condition(heartbeat: &Heartbeat) -> String {
    format!("not heard of for {}", span(longest(heartbeat)))
}

fn longest(heartbeat: &Heartbeat) -> i64 {
    heartbeat.every + heartbeat.grace
}
