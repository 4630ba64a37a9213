//! What a minute says of one alert, whatever kind its rule is of, and what becomes of the alert.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::Minute;

use super::board::{Held, HeldAlert};
use super::datapoints::Verdict;
use super::episode::{Ended, Episode, Origin};
use super::history::Turned;
use super::lifecycle::Phase;
use super::rules::kind::{BURN, BurnAlert, Kind};
use super::rules::{Labels, Rule, Severity};
use super::state::{Alert, Health, fingerprint};
use super::{absence, event, heartbeat, slo};

/// For how many minutes it is remembered that an alert fired.
pub(super) const REMEMBERED: i64 = 30 * 24 * 60;

/// How many firings of one alert are remembered, the newest.
const MAX_FIRINGS: usize = 1_000;

/// How many firings of all alerts: they lie in the state, which each tick reads and writes.
const MAX_ALL_FIRINGS: usize = 20_000;

/// Value of every label of the group that stands for all those that a rule does not look at, being too many.
pub const OTHER: &str = "other";

/// What a minute says of one alert.
#[derive(Debug)]
pub(super) struct Finding {
    /// Its labels.
    pub labels: Rc<Labels>,
    /// Whether the rule's condition holds.
    pub verdict: Verdict,
    /// The value that it is told with.
    pub value: Option<f64>,
    /// Whether that can be relied on.
    pub health: Health,
    /// Why the alert is over whatever the verdict.
    pub ends: Option<String>,
}

/// How an alert is told.
pub(super) struct Told {
    pub class: String,
    pub severity: Severity,
    pub service: String,
    pub condition: String,
    pub summary: String,
    pub runbook_url: Option<String>,
    pub origin: Origin,
}

/// When alerts fired, by fingerprint, in ascending order.
pub(super) type Past = BTreeMap<String, Vec<Minute>>;

/// Whether the alert with these labels fires.
pub(super) fn is_firing(held: &Held, labels: &Labels) -> bool {
    held.get(labels).is_some_and(|held| held.alert.phase.is_firing())
}

/// Moves the alert of `finding` on to `minute`, and answers its episode if that began or ended. `hold` and
/// `keep_firing_for` are in minutes. An alert that is plainly inactive is not held.
pub(super) fn advance(
    id: &str,
    finding: Finding,
    minute: Minute,
    (hold, keep_firing_for): (i64, i64),
    held: &mut Held,
    past: &mut Past,
    told: impl Fn(&Labels, Option<f64>) -> Told,
) -> Option<Episode> {
    let Finding { labels, verdict, value, health, ends } = finding;
    if !held.contains_key(&*labels) {
        if ends.is_some() || (verdict != Verdict::Breaching && health == Health::Ok) {
            return None;
        }
        held.insert(
            (*labels).clone(),
            HeldAlert { fingerprint: fingerprint(id, &labels), alert: inactive(id, &labels) },
        );
    }
    let HeldAlert { fingerprint, alert } = held.get_mut(&*labels)?;
    let before = alert.phase;
    let (after, turned) = before.after(minute, verdict, hold, keep_firing_for);
    alert.value = value;
    alert.health = health;
    let change = match (ends, turned) {
        (Some(reason), _) => end(alert, minute, value, &reason),
        (None, turned) => {
            alert.phase = after;
            match turned {
                None => None,
                Some(Turned::Firing) => {
                    let breaching_since = if let Phase::Pending { since, .. } = before { since } else { minute };
                    let fired_before = remember(past, fingerprint, minute);
                    let Told { class, severity, service, condition, summary, runbook_url, origin } =
                        told(&labels, value);
                    let episode = Episode {
                        rule: id.to_owned(),
                        fingerprint: fingerprint.clone(),
                        class,
                        severity,
                        service,
                        labels: (*labels).clone(),
                        condition,
                        summary,
                        value,
                        runbook_url,
                        breaching_since,
                        since: minute,
                        fired_before,
                        origin,
                        ended: None,
                    };
                    alert.fired = Some(episode.clone());
                    Some(episode)
                }
                Some(Turned::Resolved) => {
                    let summary = told(&labels, value).summary;
                    alert.fired.take().map(|fired| fired.ended(Ended { at: minute, value, summary, reason: None }))
                }
            }
        }
    };
    if alert.phase == (Phase::Inactive {}) && alert.health == Health::Ok {
        held.remove(&*labels);
    }
    change
}

/// Ends an alert, whatever its rule would say. One that did not fire ends quietly.
pub(super) fn end(alert: &mut Alert, at: Minute, value: Option<f64>, reason: &str) -> Option<Episode> {
    alert.health = Health::Ok;
    alert.phase = if alert.phase.is_firing() { Phase::Resolved { at } } else { Phase::Inactive {} };
    let fired = alert.fired.take()?;
    let summary = fired.summary.clone();
    // It may have begun in a minute after the last of the metrics.
    let at = at.max(fired.since);
    Some(fired.ended(Ended { at, value, summary, reason: Some(reason.to_owned()) }))
}

fn inactive(rule: &str, labels: &Labels) -> Alert {
    let (phase, health) = (Phase::Inactive {}, Health::Ok);
    Alert { rule: rule.to_owned(), labels: labels.clone(), phase, health, value: None, fired: None }
}

/// Notes that the alert fires at `minute`, and answers how often it had fired in the 30 days before.
pub(super) fn remember(past: &mut Past, fingerprint: &str, minute: Minute) -> u32 {
    let firings = past.entry(fingerprint.to_owned()).or_default();
    firings.retain(|at| minute.since(*at) <= REMEMBERED);
    let before = firings.len();
    if before == MAX_FIRINGS {
        firings.remove(0);
    }
    firings.push(minute);
    u32::try_from(before).unwrap_or(u32::MAX)
}

/// Forgets firings that are too long ago at `minute`, and more than are remembered: those of alerts that fired last the
/// longest ago.
pub(super) fn forget_firings(past: &mut Past, minute: Minute) {
    past.retain(|_, firings| firings.last().is_some_and(|last| minute.since(*last) <= REMEMBERED));
    let mut remembered: usize = past.values().map(Vec::len).sum();
    if remembered <= MAX_ALL_FIRINGS {
        return;
    }
    let last = |(fingerprint, firings): (&String, &Vec<Minute>)| Some((*firings.last()?, fingerprint.clone()));
    let mut oldest_first: Vec<(Minute, String)> = past.iter().filter_map(last).collect();
    oldest_first.sort_unstable();
    for (_, fingerprint) in oldest_first {
        if remembered <= MAX_ALL_FIRINGS {
            break;
        }
        remembered -= past.remove(&fingerprint).map_or(0, |firings| firings.len());
    }
}

/// Labels of the group that stands for those that the rule does not look at.
pub(super) fn other(rule: &Rule) -> Labels {
    rule.group_by.iter().map(|name| (name.clone(), OTHER.to_owned())).collect()
}

/// Says that a rule has more groups than it looks at, by the alert with the labels `other`, in `findings` of a minute.
/// One for all: an alert for each would be what the bound is there against.
pub(super) fn add_overflow(findings: &mut Vec<Finding>, other: Labels) {
    findings.retain(|finding| *finding.labels != other);
    let labels = Rc::new(other);
    findings.push(Finding { labels, verdict: Verdict::Open, value: None, health: Health::Error, ends: None });
}

/// How an alert of `rule` is told.
pub(super) fn told(rule: &Rule, labels: &Labels, value: Option<f64>) -> Told {
    let burn = burn_of(rule, labels);
    let condition = match &rule.kind {
        Kind::Metric(threshold) => threshold.when.to_string(),
        Kind::Slo(_) => burn.map(slo::condition).unwrap_or_default(),
        Kind::Absence(absence) => absence::condition(absence),
        Kind::Heartbeat(heartbeat) => heartbeat::condition(heartbeat),
        Kind::Composite(composite) => composite.logic.to_string(),
        Kind::Event(event) => event::condition(event),
    };
    let origin = match (&rule.kind, value) {
        (Kind::Event(_), Some(count)) => Origin::Event { count: count as u64 },
        _ => Origin::Rule {},
    };
    Told {
        class: rule.class.clone(),
        severity: burn.map_or(rule.severity, |alert| alert.severity),
        service: rule.service(labels),
        condition,
        summary: rule.summary.render(value, labels),
        runbook_url: rule.runbook_url.clone(),
        origin,
    }
}

/// The alert of a service level objective that has these labels.
fn burn_of<'a>(rule: &'a Rule, labels: &Labels) -> Option<&'a BurnAlert> {
    let Kind::Slo(slo) = &rule.kind else { return None };
    slo.alerts.iter().find(|alert| labels.get(BURN).is_some_and(|label| label == alert.label))
}

/// Whether the rule, as it is now, has an alert with these labels.
pub(super) fn has_alert(rule: &Rule, labels: &Labels) -> bool {
    let is_slo = matches!(rule.kind, Kind::Slo(_));
    labels.len() == rule.group_by.len() + usize::from(is_slo)
        && rule.group_by.iter().all(|name| labels.contains_key(name))
        && (!is_slo || burn_of(rule, labels).is_some())
}

/// A number of minutes as rule files write it: `1d`, `90m`.
pub(super) fn span(minutes: i64) -> String {
    match minutes {
        minutes if minutes > 0 && minutes % 1_440 == 0 => format!("{}d", minutes / 1_440),
        minutes if minutes > 0 && minutes % 60 == 0 => format!("{}h", minutes / 60),
        minutes => format!("{minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::testing::minute;

    #[test]
    fn firings_are_remembered_within_bounds_the_newest() {
        let mut past = Past::new();
        for number in 0..MAX_ALL_FIRINGS as i64 {
            remember(&mut past, &format!("{number:05}"), minute(number));
        }
        for at in 0..3 {
            remember(&mut past, "flaps", minute(25_000 + at));
        }
        forget_firings(&mut past, minute(26_000));
        let remembered: usize = past.values().map(Vec::len).sum();
        assert_eq!((remembered, past["flaps"].len()), (MAX_ALL_FIRINGS, 3));
        assert_eq!(past.keys().next().unwrap(), "00003", "those that fired last the longest ago are forgotten");
        forget_firings(&mut past, minute(25_002 + REMEMBERED));
        assert_eq!(past.keys().collect::<Vec<_>>(), ["flaps"]);
    }
}
