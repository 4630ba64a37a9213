//! Who is told what, and when: what began and ended in, notifications out. It does what Alertmanager does
//! (docs/notifications.md says where it does not, and why).
//!
//! Alerts of the same severity, class and service are a group. A group waits for its first alerts to gather, and is then
//! looked at in intervals; it is told where people would learn something, or where they have heard nothing for long.
//! What is inhibited, silenced or muted by a calendar is left out of that as if it were not there.

pub mod decide;
pub mod matcher;

pub mod calendar;
pub mod silences;

mod file;
mod state;
mod yaml;

use std::time::Duration;

use crate::alerting::rules::Severity;

pub use decide::{Decision, decide};
pub use silences::Silences;
pub use state::PolicyState;

use calendar::Calendar;
use matcher::Matcher;

/// The built-in policy, in force where the operators have no file of their own.
pub const DEFAULT_POLICY: &str = include_str!("../../../../infra/rules/policy.yaml");

/// The operators' wishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How often is told what is how bad.
    pub timings: Timings,
    /// Which alerts keep which others from being told.
    pub inhibitions: Vec<Inhibition>,
    /// At which times which alerts are not told; with distinct names.
    pub calendars: Vec<Calendar>,
    /// How much is told one by one; `None`: however much it is.
    pub storm: Option<StormCap>,
}

/// For each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// For [`Severity::Info`].
    pub info: Timing,
    /// For [`Severity::Warning`].
    pub warning: Timing,
    /// For [`Severity::Error`].
    pub error: Timing,
    /// For [`Severity::Critical`].
    pub critical: Timing,
}

/// When a group is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long after its first alert: others may come with it.
    pub group_wait: Duration,
    /// How long after that, and after each time that it was looked at, it is looked at again; not zero.
    pub group_interval: Duration,
    /// How long nothing is said where nothing has changed and something still fires; at least the group interval.
    pub repeat_interval: Duration,
}

/// As long as some alert matches `source`, alerts that match `target` are not told, if the two have the same values of
/// the labels `equal`. An alert that matches both sides is not kept back by another one that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibition {
    /// What the alerts that keep others back have to match.
    pub source: Vec<Matcher>,
    /// What the alerts that are kept back have to match.
    pub target: Vec<Matcher>,
    /// Labels that have to have the same values in both; one that both do not have counts as the same.
    pub equal: Vec<String>,
}

/// More than `notifications` `within` that time are told as one digest, and from then on there is one digest in that
/// time until there is less to tell. What is critical or concerns security is told by itself and does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StormCap {
    /// How many are told one by one; at least 1.
    pub notifications: usize,
    /// In which time; not zero.
    pub within: Duration,
}

impl Timings {
    /// That of a severity.
    pub fn of(&self, severity: Severity) -> Timing {
        match severity {
            Severity::Info => self.info,
            Severity::Warning => self.warning,
            Severity::Error => self.error,
            Severity::Critical => self.critical,
        }
    }
}

impl Policy {
    /// The policy that is compiled in.
    pub fn built_in() -> Policy {
        Policy::load("infra/rules/policy.yaml", DEFAULT_POLICY).expect("a test reads the built-in policy")
    }

    /// The policy that is in no one's way: everything is told in the tick that decides it, and nothing is repeated for
    /// 30 days.
    pub fn at_once() -> Policy {
        let timing = Timing {
            group_wait: Duration::ZERO,
            group_interval: Duration::from_secs(1),
            repeat_interval: Duration::from_secs(30 * 86_400),
        };
        let timings = Timings { info: timing, warning: timing, error: timing, critical: timing };
        Policy { timings, inhibitions: Vec::new(), calendars: Vec::new(), storm: None }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::at_once()
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
