//! The alerts of the state while a tick works on them: by rule and group, where the state has them by fingerprint.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::rules::Labels;
use super::state::Alert;

/// All alerts that are not plainly inactive, and those of which the minute at hand says nothing.
#[derive(Debug, Default)]
pub(super) struct Board {
    held: BTreeMap<String, Held>,
    unknown: BTreeMap<String, BTreeSet<Rc<Labels>>>,
}

/// Those of one rule.
pub(super) type Held = BTreeMap<Labels, HeldAlert>;

/// One of them.
#[derive(Debug)]
pub(super) struct HeldAlert {
    /// Its name in the state.
    pub fingerprint: String,
    /// Itself.
    pub alert: Alert,
}

impl Board {
    pub fn of(alerts: BTreeMap<String, Alert>) -> Board {
        let mut board = Board::default();
        for (fingerprint, alert) in alerts {
            let held = board.held.entry(alert.rule.clone()).or_default();
            held.insert(alert.labels.clone(), HeldAlert { fingerprint, alert });
        }
        board
    }

    pub fn into_alerts(self) -> BTreeMap<String, Alert> {
        let held = self.held.into_values().flat_map(BTreeMap::into_values);
        held.map(|held| (held.fingerprint, held.alert)).collect()
    }

    /// Those of `rule`, which has none until they are put back.
    pub fn take(&mut self, rule: &str) -> Held {
        self.held.get_mut(rule).map(std::mem::take).unwrap_or_default()
    }

    pub fn put(&mut self, rule: &str, held: Held) {
        match self.held.get_mut(rule) {
            Some(place) => *place = held,
            None if held.is_empty() => {}
            None => {
                self.held.insert(rule.to_owned(), held);
            }
        }
    }

    /// Notes the alerts of `rule` of which nobody can say whether their condition holds in this minute.
    pub fn set_unknown(&mut self, rule: &str, labels: BTreeSet<Rc<Labels>>) {
        if !labels.is_empty() {
            self.unknown.insert(rule.to_owned(), labels);
        } else if !self.unknown.is_empty() {
            self.unknown.remove(rule);
        }
    }

    /// Labels of the alerts of `rule` of which nobody can say whether their condition holds, held or not.
    pub fn unknown_of(&self, rule: &str) -> impl Iterator<Item = &Labels> {
        self.unknown.get(rule).into_iter().flatten().map(|labels| &**labels)
    }

    /// The alert of `rule` with these labels, if it is held.
    pub fn alert(&self, rule: &str, labels: &Labels) -> Option<&Alert> {
        self.held.get(rule)?.get(labels).map(|held| &held.alert)
    }

    /// The alerts of `rule`.
    pub fn alerts_of(&self, rule: &str) -> impl Iterator<Item = &Alert> {
        self.held.get(rule).into_iter().flat_map(BTreeMap::values).map(|held| &held.alert)
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut HeldAlert> {
        self.held.values_mut().flat_map(BTreeMap::values_mut)
    }

    pub fn retain(&mut self, mut kept: impl FnMut(&HeldAlert) -> bool) {
        self.held.values_mut().for_each(|held| held.retain(|_, held| kept(held)));
    }
}
