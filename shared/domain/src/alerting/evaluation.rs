//! One alert in one minute: from readings to a verdict, and to what is told if it turned.

use crate::Minute;

use super::condition::Datapoint;
use super::engine::RULES_INVALID;
use super::episode::{Ended, Episode, Origin};
use super::history::Turned;
use super::lifecycle::Phase;
use super::rules::kind::Threshold;
use super::rules::problem::InvalidRules;
use super::rules::{Labels, Missing, Rule, Severity};
use super::samples::{Reading, Samples, Window};
use super::state::{Alert, Health};

/// What one minute shows.
struct Observation {
    /// The value of the expression.
    value: Option<f64>,
    /// Whether all metrics of the window could be read.
    answered: bool,
    /// Whether the window lies in what is known, so that silence means something.
    known: bool,
}

/// Moves the alert of the group on by one minute.
pub(super) fn evaluate_alert(
    rule: &Rule,
    threshold: &Threshold,
    fingerprint: &str,
    alert: &mut Alert,
    minute: Minute,
    samples: &Samples,
) -> Option<Episode> {
    let newest = observe(threshold, &alert.labels, minute, samples);
    let earlier = (1..threshold.n as i64).map(|back| observe(threshold, &alert.labels, minute.plus(-back), samples));
    let firing = alert.phase.is_firing();
    let mut datapoints = vec![datapoint(threshold, &newest, firing)];
    datapoints.extend(earlier.map(|observation| datapoint(threshold, &observation, firing)));
    let verdict = Datapoint::m_of_n(&datapoints, threshold.m);

    let before = alert.phase;
    let (after, turned) = before.after(minute, verdict, rule.hold, rule.keep_firing_for);
    alert.phase = after;
    alert.value = newest.value;
    alert.health = match newest {
        Observation { answered: false, .. } => Health::Error,
        Observation { value: None, known: true, .. } if threshold.missing == Missing::NoData => Health::NoData,
        _ => Health::Ok,
    };
    match turned? {
        Turned::Firing => {
            let breaching_since = if let Phase::Pending { since } = before { since } else { minute };
            let episode = firing_of(rule, threshold, fingerprint, alert, minute, breaching_since);
            alert.fired = Some(episode.clone());
            Some(episode)
        }
        Turned::Resolved => {
            let summary = rule.summary.render(alert.value, &alert.labels);
            Some(alert.fired.take()?.ended(Ended { at: minute, value: alert.value, summary, reason: None }))
        }
    }
}

fn observe(rule: &Threshold, labels: &Labels, minute: Minute, samples: &Samples) -> Observation {
    let window = Window::ending(minute, rule.window);
    let known = rule.queries.values().all(|query| samples.knows(query, window));
    let mut answered = true;
    let mut value_of = |name: &str| {
        let query = &rule.queries[name];
        match samples.read(query, labels, window) {
            Reading::Value(value) => Some(value),
            Reading::Nothing if query.fill_zero && known => Some(0.0),
            Reading::Nothing => None,
            Reading::Unanswered => {
                answered = false;
                None
            }
        }
    };
    let values: Vec<(&str, Option<f64>)> = rule.queries.keys().map(|name| (name.as_str(), value_of(name))).collect();
    let value = rule.expression.evaluate(&|name| values.iter().find(|(known, _)| *known == name)?.1);
    Observation { value, answered, known }
}

/// What an observation says. A firing alert stays in breach until `clear` holds.
fn datapoint(rule: &Threshold, observation: &Observation, firing: bool) -> Datapoint {
    let breaches = |value| if firing { !rule.clear.holds(value) } else { rule.when.holds(value) };
    match *observation {
        Observation { answered: false, .. } => Datapoint::Unknown,
        Observation { value: Some(value), known: true, .. } => {
            if breaches(value) {
                Datapoint::Breaching
            } else {
                Datapoint::Fine
            }
        }
        Observation { value: None, known: true, .. } => match rule.missing {
            Missing::NotBreaching => Datapoint::Fine,
            Missing::Breaching => Datapoint::Breaching,
            Missing::Ignore | Missing::NoData | Missing::Missing => Datapoint::Unknown,
        },
        // Of a window that began before the history does, only a part is known. What is too much already
        // is too much; that too little came, nobody can say.
        Observation { value: Some(value), known: false, .. } if rule.when.is_upward() && breaches(value) => {
            Datapoint::Breaching
        }
        Observation { known: false, .. } => Datapoint::Unknown,
    }
}

fn firing_of(
    rule: &Rule,
    threshold: &Threshold,
    fingerprint: &str,
    alert: &Alert,
    at: Minute,
    breaching_since: Minute,
) -> Episode {
    Episode {
        rule: rule.id.clone(),
        fingerprint: fingerprint.to_owned(),
        class: rule.class.clone(),
        severity: rule.severity,
        service: rule.service(&alert.labels),
        labels: alert.labels.clone(),
        condition: threshold.when.to_string(),
        summary: rule.summary.render(alert.value, &alert.labels),
        value: alert.value,
        runbook_url: rule.runbook_url.clone(),
        breaching_since,
        since: at,
        fired_before: 0,
        origin: Origin::Rule {},
        ended: None,
    }
}

/// Ends an alert that no rule evaluates any more. One that did not fire ends quietly.
pub(super) fn resolve_without_value(alert: &mut Alert, at: Minute, reason: &str) -> Option<Episode> {
    alert.health = Health::Ok;
    alert.phase = if alert.phase.is_firing() { Phase::Resolved { at } } else { Phase::Inactive {} };
    let fired = alert.fired.take()?;
    let summary = fired.summary.clone();
    Some(fired.ended(Ended { at, value: None, summary, reason: Some(reason.to_owned()) }))
}

/// Moves the alert about the operators' rule file on by one minute.
pub(super) fn rules_alert(
    problem: Option<&InvalidRules>,
    fingerprint: &str,
    alert: &mut Alert,
    at: Minute,
) -> Option<Episode> {
    let mistakes = problem.map_or(0, |problem| problem.problems.len());
    let verdict = if mistakes > 0 { Datapoint::Breaching } else { Datapoint::Fine };
    let (after, turned) = alert.phase.after(at, verdict, 0, 0);
    alert.phase = after;
    alert.value = Some(mistakes as f64);
    match turned? {
        Turned::Firing => {
            let problem = problem?;
            let fired = Episode {
                rule: RULES_INVALID.to_owned(),
                fingerprint: fingerprint.to_owned(),
                class: "system".to_owned(),
                severity: Severity::Error,
                service: "all".to_owned(),
                labels: Labels::new(),
                condition: "> 0".to_owned(),
                summary: format!("The rule file has mistakes; the last good rules stay in force.\n{problem}"),
                value: alert.value,
                runbook_url: None,
                breaching_since: at,
                since: at,
                fired_before: 0,
                origin: Origin::Rule {},
                ended: None,
            };
            alert.fired = Some(fired.clone());
            Some(fired)
        }
        Turned::Resolved => {
            let summary = "The rule file is in order again.".to_owned();
            Some(alert.fired.take()?.ended(Ended { at, value: alert.value, summary, reason: None }))
        }
    }
}
