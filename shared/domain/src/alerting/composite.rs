//! Rules of kind composite: what the alerts of other rules say together, in the same minute.
//!
//! An alert that fires counts as firing even where its last minute could not be evaluated: that is the state that
//! everybody is told. One that does not fire and could not be evaluated may be either, and where the answer hangs on
//! it, the composite alert stays what it is.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::board::{Board, Held};
use super::datapoints::Verdict;
use super::evaluation::Finding;
use super::rules::kind::Composite;
use super::rules::logic::Logic;
use super::rules::{Labels, Rule};
use super::state::{Alert, Health};

/// How many alerts of a rule fire: surely, and at most.
#[derive(Debug, Clone, Copy, Default)]
struct Firing {
    surely: usize,
    perhaps: usize,
}

/// What the other rules' alerts say of each group.
pub(super) fn findings(rule: &Rule, composite: &Composite, board: &Board, held: &Held) -> Vec<Finding> {
    let rules = composite.logic.rules();
    let mut groups: BTreeSet<Labels> = held.keys().cloned().collect();
    if rule.group_by.is_empty() {
        groups.insert(Labels::new());
    } else {
        let alerts = rules.iter().flat_map(|id| board.alerts_of(id));
        groups.extend(alerts.filter_map(|alert| group_of(&rule.group_by, &alert.labels)));
    }
    let finding = |labels: Labels| {
        let firing = |id: &str| firing(board, id, &labels);
        let verdict = match (surely(&composite.logic, &firing), perhaps(&composite.logic, &firing)) {
            (true, _) => Verdict::Breaching,
            (false, false) => Verdict::Fine,
            (false, true) => Verdict::Open,
        };
        let value = rules.iter().map(|id| firing(id).surely).sum::<usize>() as f64;
        Finding { labels: Rc::new(labels), verdict, value: Some(value), health: Health::Ok, ends: None }
    };
    groups.into_iter().map(finding).collect()
}

/// The group that an alert with these labels belongs to; `None` where it lacks one of them.
fn group_of(group_by: &[String], labels: &Labels) -> Option<Labels> {
    group_by.iter().map(|name| Some((name.clone(), labels.get(name)?.clone()))).collect()
}

/// How many alerts of the rule fire of those that have the same value for each label that both have.
fn firing(board: &Board, rule: &str, labels: &Labels) -> Firing {
    let counts =
        |alert: &&Alert| alert.labels.iter().all(|(name, value)| labels.get(name).is_none_or(|of| of == value));
    let mut firing = Firing::default();
    for alert in board.alerts_of(rule).filter(counts) {
        let fires = alert.phase.is_firing();
        firing.surely += usize::from(fires);
        firing.perhaps += usize::from(fires || alert.health != Health::Ok);
    }
    firing
}

/// Whether it holds, whatever the uncertain alerts are.
fn surely(logic: &Logic, firing: &impl Fn(&str) -> Firing) -> bool {
    match logic {
        Logic::Fires(rule) => firing(rule).surely > 0,
        Logic::AtLeast(rule, number) => firing(rule).surely >= *number,
        Logic::Not(inner) => !perhaps(inner, firing),
        Logic::And(left, right) => surely(left, firing) && surely(right, firing),
        Logic::Or(left, right) => surely(left, firing) || surely(right, firing),
    }
}

/// Whether it holds for something that the uncertain alerts could be.
fn perhaps(logic: &Logic, firing: &impl Fn(&str) -> Firing) -> bool {
    match logic {
        Logic::Fires(rule) => firing(rule).perhaps > 0,
        Logic::AtLeast(rule, number) => firing(rule).perhaps >= *number,
        Logic::Not(inner) => !surely(inner, firing),
        Logic::And(left, right) => perhaps(left, firing) && perhaps(right, firing),
        Logic::Or(left, right) => perhaps(left, firing) || perhaps(right, firing),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logic() -> impl Strategy<Value = Logic> {
        let rule = || "[abc]".prop_map(String::from);
        let leaf = prop_oneof![
            rule().prop_map(Logic::Fires),
            (rule(), 1..3usize).prop_map(|(rule, number)| Logic::AtLeast(rule, number)),
        ];
        leaf.prop_recursive(4, 16, 2, |inner| {
            let pair = (inner.clone(), inner.clone());
            prop_oneof![
                inner.prop_map(|inner| Logic::Not(Box::new(inner))),
                pair.clone().prop_map(|(left, right)| Logic::And(Box::new(left), Box::new(right))),
                pair.prop_map(|(left, right)| Logic::Or(Box::new(left), Box::new(right))),
            ]
        })
    }

    proptest! {
        /// Against everything that the uncertain alerts could be.
        #[test]
        fn what_holds_surely_holds_whatever_the_uncertain_alerts_are(
            logic in logic(),
            sure in prop::array::uniform3(0..3usize),
            uncertain in prop::array::uniform3(0..3usize),
            turned_out in prop::array::uniform3(0..3usize),
        ) {
            let at = |rule: &str| usize::from(rule.as_bytes()[0] - b'a');
            let bounds = |rule: &str| Firing { surely: sure[at(rule)], perhaps: sure[at(rule)] + uncertain[at(rule)] };
            let truth = |rule: &str| sure[at(rule)] + turned_out[at(rule)].min(uncertain[at(rule)]);
            let holds = logic.holds(&truth);
            prop_assert!(!surely(&logic, &bounds) || holds, "{logic}");
            prop_assert!(perhaps(&logic, &bounds) || !holds, "{logic}");
        }
    }
}
