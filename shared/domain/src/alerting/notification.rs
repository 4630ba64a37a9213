//! What people are sent: one message about the alerts of one group.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys;

use super::episode::Episode;
use super::rules::Severity;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// Hash of group and moment: the same decision, made again, has the same one.
    pub id: String,
    /// The moment that decided it.
    pub at: Timestamp,
    /// Why it is sent.
    pub reason: Reason,
    /// Whom it concerns.
    pub group: Group,
    /// What fires, the oldest first.
    pub firing: Vec<Episode>,
    /// What was told to fire and is over, the oldest first.
    pub resolved: Vec<Episode>,
    /// What a storm is told as; `firing` and `resolved` are empty then.
    pub digest: Option<Digest>,
}

/// Alerts that are told together. All of a group have the same severity, so that whoever filters by it is told of the
/// end of exactly what he was told had begun.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// How bad they are.
    pub severity: Severity,
    /// `business`, `performance`, ...
    pub class: String,
    /// The service concerned, or `all`.
    pub service: String,
}

/// Why a notification is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The group's first alert fires.
    First,
    /// Another alert of the group fires.
    NewAlerts,
    /// Some of the group's alerts are over.
    SomeResolved,
    /// All of them are.
    AllResolved,
    /// Nothing has changed for as long as the policy says is long enough to be told again.
    Repeat,
    /// There is too much to tell it one by one.
    Digest,
}

/// Many groups in one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Since when things were held back for it.
    pub from: Timestamp,
    /// A line a group, the worst first.
    pub lines: Vec<DigestLine>,
    /// The alerts that these count, for the history: those of the worst groups, as many as it has room for.
    #[serde(default)]
    pub alerts: Named,
}

/// How many alerts of each kind a [`Named`] names.
pub const MAX_NAMED: usize = 500;

/// Alerts by their fingerprints. Bounded, as a line of the history has to fit into a log event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Of what fires, up to [`MAX_NAMED`].
    pub firing: Vec<String>,
    /// Of what is over, up to as many.
    pub resolved: Vec<String>,
    /// How many more there are.
    pub beyond: usize,
}

/// What a digest says of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestLine {
    /// The group.
    pub group: Group,
    /// How many of its alerts fire.
    pub firing: usize,
    /// How many are over.
    pub resolved: usize,
}

impl Reason {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Reason::First => "it began to fire",
            Reason::NewAlerts => "more alerts of the group fire",
            Reason::SomeResolved => "some alerts of the group are over",
            Reason::AllResolved => "all alerts of the group are over",
            Reason::Repeat => "it still fires",
            Reason::Digest => "too many notifications to send each by itself",
        }
    }
}

impl Notification {
    /// The id of what is told about `group` at `at`.
    pub fn id_of(group: &Group, at: Timestamp) -> String {
        let (severity, at) = (group.severity.as_str(), at.as_millisecond().to_be_bytes());
        keys::fingerprint([severity.as_bytes(), group.class.as_bytes(), group.service.as_bytes(), &at])
    }

    /// The groups that it speaks of: its own, and those that a digest stands for.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        let lines = self.digest.iter().flat_map(|digest| &digest.lines);
        std::iter::once(&self.group).chain(lines.map(|line| &line.group))
    }
}

impl Named {
    /// The alerts that `told` tell one by one, in their order.
    pub fn of<'a>(told: impl IntoIterator<Item = &'a Notification>) -> Named {
        let mut named = Named::default();
        for notification in told {
            let Notification { firing, resolved, .. } = notification;
            for (names, episodes) in [(&mut named.firing, firing), (&mut named.resolved, resolved)] {
                let room = MAX_NAMED - names.len();
                names.extend(episodes.iter().take(room).map(|episode| episode.fingerprint.clone()));
                named.beyond += episodes.len().saturating_sub(room);
            }
        }
        named
    }
}

impl Group {
    /// The group that `episode` belongs to.
    pub fn of(episode: &Episode) -> Group {
        Group { severity: episode.severity, class: episode.class.clone(), service: episode.service.clone() }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.severity.as_str(), self.class, self.service)
    }
}
