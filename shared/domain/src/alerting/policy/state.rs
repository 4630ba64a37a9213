//! What the policy remembers from tick to tick: what fires in which group, and what people know of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::alerting::episode::Episode;
use crate::alerting::notification::Group;

/// All of it. It is as large as what fires: a group without alerts is forgotten after its next flush.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyState {
    /// Groups with alerts.
    #[serde(serialize_with = "groups_as_list", deserialize_with = "groups_of_list")]
    pub(super) groups: BTreeMap<Group, GroupState>,
    /// Silences in force, by id, so that their beginning and end are noted once.
    pub(super) silences: BTreeMap<String, InForce>,
    /// When notifications were sent that count for the storm cap, in ascending order; at most as many as it allows.
    pub(super) recent: Vec<Timestamp>,
    /// While there is too much to tell it one by one.
    pub(super) storm: Option<Storm>,
}

/// One group: Alertmanager's aggregation group, and its entry in the notification log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupState {
    /// Which.
    pub group: Group,
    /// When it is next looked at: after the group wait at first, then after each group interval.
    pub flush_at: Timestamp,
    /// When something was last told.
    pub told_at: Option<Timestamp>,
    /// What fires, and what has ended since the last flush, by fingerprint.
    pub alerts: BTreeMap<String, HeldAlert>,
}

/// One alert of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeldAlert {
    /// Its last episode.
    pub episode: Episode,
    /// Whether it was among what fires in the group's last notification: telling it again would be no news.
    pub listed: bool,
    /// Whether people were told that it fires, and not that it is over.
    pub known: bool,
    /// What has kept this episode from being told, each noted once.
    pub muted_by: BTreeSet<String>,
}

/// A silence in force, with what is noted when it ends, even if it is no longer in the file by then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InForce {
    /// What it matches.
    pub matchers: String,
    /// Who wanted it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// When it was to end.
    pub ends: Timestamp,
}

/// A storm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storm {
    /// When the last digest was.
    pub digest_at: Timestamp,
    /// When the next one is due.
    pub next_at: Timestamp,
}

impl PolicyState {
    /// How many alerts it holds.
    pub fn len(&self) -> usize {
        self.groups.values().map(|group| group.alerts.len()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything that fires.
    pub fn firing(&self) -> impl Iterator<Item = &Episode> {
        let held = self.groups.values().flat_map(|group| group.alerts.values());
        held.map(|held| &held.episode).filter(|episode| episode.is_firing())
    }
}

/// JSON has no groups as keys.
fn groups_as_list<S: Serializer>(groups: &BTreeMap<Group, GroupState>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(groups.values())
}

fn groups_of_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Group, GroupState>, D::Error> {
    let groups = Vec::<GroupState>::deserialize(deserializer)?;
    Ok(groups.into_iter().map(|state| (state.group.clone(), state)).collect())
}
