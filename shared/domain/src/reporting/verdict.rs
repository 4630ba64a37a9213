//! What to think of a day, with the reasons.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::episodes::{Episode, gravity};
use super::report::{Completeness, Interval, Lines, OverallSummary};

/// A stretch without any figures that is as long as this many minutes is taken for an outage of the
/// platform or of the pipeline, not for a quiet hour.
pub const GAP_MINUTES: u64 = 60;

/// What to think of a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// In one word.
    pub status: Status,
    /// Why; empty for a good day.
    pub reasons: Vec<Reason>,
}

/// The verdict in one word, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is in, nothing to look at.
    Good,
    /// Everything is in, and something wants looking at.
    Attention,
    /// Something is missing, so the other figures may be too low.
    Incomplete,
}

impl Status {
    /// As in the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Good => "good",
            Status::Attention => "attention",
            Status::Incomplete => "incomplete",
        }
    }
}

/// One reason for a verdict. Prints as a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// There are no figures at all.
    NoData,
    /// Objects that could not be read; `completeness.problems` names them.
    Unreadable {
        /// How many.
        problems: u64,
    },
    /// More lines were received than archived and quarantined, or fewer.
    Unbalanced {
        /// The balance.
        lines: Lines,
    },
    /// Expected services that sent nothing.
    Silent {
        /// Their names.
        services: Vec<String>,
    },
    /// A long stretch without figures.
    Gap {
        /// From when to when.
        interval: Interval,
    },
    /// Alerts fired.
    Alerts {
        /// How many times, those of severity info aside.
        episodes: u64,
        /// The gravest severity among them.
        severity: String,
        /// How many still fire at the end of the day.
        still_firing: u64,
    },
    /// CRITICAL log entries.
    CriticalEntries {
        /// How many.
        entries: u64,
    },
    /// Lines that could not be read; they are kept aside.
    Quarantined {
        /// How many.
        lines: u64,
    },
}

impl Reason {
    /// The best that a day with this reason can be.
    pub fn status(&self) -> Status {
        match self {
            Reason::NoData
            | Reason::Unreadable { .. }
            | Reason::Unbalanced { .. }
            | Reason::Silent { .. }
            | Reason::Gap { .. } => Status::Incomplete,
            Reason::Alerts { .. } | Reason::CriticalEntries { .. } | Reason::Quarantined { .. } => Status::Attention,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoData => write!(f, "there are no figures for this day"),
            Reason::Unreadable { problems: 1 } => write!(f, "one object could not be read"),
            Reason::Unreadable { problems } => write!(f, "{problems} objects could not be read"),
            Reason::Unbalanced { lines } if lines.lost < 0 => {
                write!(f, "{} more log lines came out than were received", -lines.lost)
            }
            Reason::Unbalanced { lines: Lines { lost: 1, .. } } => write!(f, "1 log line is not accounted for"),
            Reason::Unbalanced { lines } => write!(f, "{} log lines are not accounted for", lines.lost),
            Reason::Silent { services } => write!(f, "nothing came from {}", services.join(", ")),
            Reason::Gap { interval } => write!(f, "no figures for {} minutes on end", interval.minutes()),
            Reason::Alerts { episodes, severity, still_firing } => {
                let (times, gravest) = match episodes {
                    1 => ("1 alert".to_owned(), format!("of severity {severity}")),
                    _ => (format!("{episodes} alerts"), format!("the gravest of severity {severity}")),
                };
                write!(f, "{times} fired, {gravest}")?;
                match still_firing {
                    0 => write!(f, ", all over by the end of the day"),
                    count => write!(f, ", {count} not over at the end of the day"),
                }
            }
            Reason::CriticalEntries { entries: 1 } => write!(f, "1 log entry is CRITICAL"),
            Reason::CriticalEntries { entries } => write!(f, "{entries} log entries are CRITICAL"),
            Reason::Quarantined { lines: 1 } => write!(f, "1 log line could not be read and is kept aside"),
            Reason::Quarantined { lines } => write!(f, "{lines} log lines could not be read and are kept aside"),
        }
    }
}

/// The verdict on a day, its gravest reasons first.
pub fn of_day(completeness: &Completeness, summary: &OverallSummary, alerts: &[Episode]) -> Verdict {
    let mut reasons = missing(completeness);
    reasons.extend(wants_looking_at(completeness, summary, alerts));
    let status = reasons.iter().map(Reason::status).max().unwrap_or(Status::Good);
    Verdict { status, reasons }
}

fn missing(completeness: &Completeness) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !completeness.problems.is_empty() {
        reasons.push(Reason::Unreadable { problems: completeness.problems.len() as u64 });
    }
    if completeness.minutes_with_data == 0 {
        // That nothing came from any service follows.
        reasons.push(Reason::NoData);
        return reasons;
    }
    if completeness.lines.lost != 0 {
        reasons.push(Reason::Unbalanced { lines: completeness.lines });
    }
    if !completeness.silent_services.is_empty() {
        reasons.push(Reason::Silent { services: completeness.silent_services.clone() });
    }
    if let Some(interval) = completeness.longest_gap.filter(|gap| gap.minutes() >= GAP_MINUTES) {
        reasons.push(Reason::Gap { interval });
    }
    reasons
}

fn wants_looking_at(completeness: &Completeness, summary: &OverallSummary, alerts: &[Episode]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let grave: Vec<&Episode> = alerts.iter().filter(|episode| gravity(&episode.severity) > 0).collect();
    if let Some(gravest) = grave.iter().max_by_key(|episode| gravity(&episode.severity)) {
        reasons.push(Reason::Alerts {
            episodes: grave.len() as u64,
            severity: gravest.severity.clone(),
            still_firing: grave.iter().filter(|episode| episode.still_firing).count() as u64,
        });
    }
    if summary.total_critical > 0 {
        reasons.push(Reason::CriticalEntries { entries: summary.total_critical });
    }
    if completeness.lines.quarantined > 0 {
        reasons.push(Reason::Quarantined { lines: completeness.lines.quarantined });
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Minute;

    fn complete() -> Completeness {
        Completeness {
            minutes_expected: 1440,
            minutes_with_data: 1440,
            longest_gap: None,
            lines: Lines { received: 10, archived: 10, ..Lines::default() },
            silent_services: Vec::new(),
            points_folded: 0,
            problems: Vec::new(),
        }
    }

    fn gap(minutes: i64) -> Option<Interval> {
        let from: Minute = "2026-11-20T02:00Z".parse().unwrap();
        Some(Interval { from, until: from.plus(minutes) })
    }

    fn episode(severity: &str, still_firing: bool) -> Episode {
        let from: Minute = "2026-11-20T02:00Z".parse().unwrap();
        Episode {
            from,
            to: None,
            still_firing,
            minutes: 5,
            rule: "r".to_owned(),
            class: "c".to_owned(),
            severity: severity.to_owned(),
            labels: Default::default(),
            value: None,
            condition: String::new(),
            summary: String::new(),
            fingerprint: "f".to_owned(),
        }
    }

    #[test]
    fn the_verdict_gives_its_reasons_the_gravest_first() {
        type Change = fn(&mut Completeness, &mut OverallSummary, &mut Vec<Episode>);
        let table: &[(&str, Change, Status, &[&str])] = &[
            ("a good day", |_, _, _| {}, Status::Good, &[]),
            ("a quiet stretch is no outage", |c, _, _| c.longest_gap = gap(59), Status::Good, &[]),
            (
                "an alert of severity info is for information",
                |_, _, a| a.push(episode("info", true)),
                Status::Good,
                &[],
            ),
            (
                "an alert",
                |_, _, a| a.push(episode("warning", false)),
                Status::Attention,
                &["1 alert fired, of severity warning, all over by the end of the day"],
            ),
            (
                "several alerts",
                |_, _, a| *a = vec![episode("info", true), episode("critical", false), episode("error", true)],
                Status::Attention,
                &["2 alerts fired, the gravest of severity critical, 1 not over at the end of the day"],
            ),
            (
                "critical and unreadable lines",
                |c, s, _| (s.total_critical, c.lines.quarantined) = (1, 2),
                Status::Attention,
                &["1 log entry is CRITICAL", "2 log lines could not be read and are kept aside"],
            ),
            (
                "a line lost",
                |c, _, a| {
                    c.lines.lost = 1;
                    a.push(episode("error", false));
                },
                Status::Incomplete,
                &[
                    "1 log line is not accounted for",
                    "1 alert fired, of severity error, all over by the end of the day",
                ],
            ),
            (
                "more came out than went in",
                |c, _, _| c.lines.lost = -3,
                Status::Incomplete,
                &["3 more log lines came out than were received"],
            ),
            (
                "an outage, and a service that was never there",
                |c, _, _| (c.longest_gap, c.silent_services) = (gap(60), vec!["user".to_owned(), "web".to_owned()]),
                Status::Incomplete,
                &["nothing came from user, web", "no figures for 60 minutes on end"],
            ),
            (
                "no data",
                |c, _, _| {
                    c.minutes_with_data = 0;
                    c.longest_gap = gap(1440);
                    c.silent_services = vec!["web".to_owned()];
                    c.problems = vec!["x".to_owned()];
                },
                Status::Incomplete,
                &["one object could not be read", "there are no figures for this day"],
            ),
        ];
        for (what, change, status, reasons) in table {
            let (mut completeness, mut summary, mut alerts) = (complete(), OverallSummary::default(), Vec::new());
            change(&mut completeness, &mut summary, &mut alerts);
            let verdict = of_day(&completeness, &summary, &alerts);
            assert_eq!(verdict.status, *status, "{what}");
            assert_eq!(verdict.reasons.iter().map(Reason::to_string).collect::<Vec<_>>(), *reasons, "{what}");
        }
    }

    #[test]
    fn the_status_reads_the_same_in_json_and_elsewhere() {
        for status in [Status::Good, Status::Attention, Status::Incomplete] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
