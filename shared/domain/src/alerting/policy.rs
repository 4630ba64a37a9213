//! Who is told what, and when: the engine's changes in, notifications out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::episode::Episode;
use super::history::Record;
use super::notification::{Group, Notification, Reason};

/// The operators' wishes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {}

/// What the operators do not want to hear of for a while.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Silences {}

/// What is remembered from tick to tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyState {}

/// What is decided in a tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The next state.
    pub state: PolicyState,
    /// What is to be sent, in order.
    pub notifications: Vec<Notification>,
    /// What the history has to note.
    pub records: Vec<Record>,
}

/// Decides what is to be told at `now`, `changes` being what began or ended since the last time.
pub fn decide(
    _policy: &Policy,
    _silences: &Silences,
    state: PolicyState,
    changes: &[Episode],
    now: Timestamp,
) -> Decision {
    let notification = |episode: &Episode| {
        let group = Group::of(episode);
        let (firing, resolved, reason) = if episode.is_firing() {
            (vec![episode.clone()], Vec::new(), Reason::First)
        } else {
            (Vec::new(), vec![episode.clone()], Reason::AllResolved)
        };
        let id = format!("{}-{}-{}", Notification::id_of(&group, now), episode.fingerprint, episode.at());
        Notification { id, at: now, reason, group, firing, resolved, digest: None }
    };
    Decision { state, notifications: changes.iter().map(notification).collect(), records: Vec::new() }
}
