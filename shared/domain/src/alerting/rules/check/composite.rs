//! Checks of rules of kind composite: what they speak of has to exist, and they have to be able to fire and to end.

use std::collections::{BTreeMap, BTreeSet};

use serde_saphyr::Spanned;

use crate::alerting::rules::Rule;
use crate::alerting::rules::file::RawRule;
use crate::alerting::rules::kind::{BURN, Composite, Kind, references};
use crate::alerting::rules::logic::Logic;
use crate::alerting::rules::problem::name_hint;

use super::Check;

/// How many rules one may speak of: every combination of them is tried.
const MOST_RULES: usize = 8;

/// How many composite rules may rest on each other.
const DEEPEST: usize = 10;

impl Check<'_> {
    pub(super) fn composite(&mut self, raw: &RawRule) -> Option<Composite> {
        let expr = raw.expr.as_ref()?;
        let logic = self.parsed(expr, Logic::parse)?;
        let rules = logic.rules().len();
        if rules <= MOST_RULES {
            return Some(Composite { logic });
        }
        let hint = Some(format!("at most {MOST_RULES}; a part of it can be a rule of its own"));
        self.problem(expr, format!("it speaks of {rules} rules"), hint)
    }

    /// Checks what can only be told when all rules are known: `rules` are those that are in order by themselves, by
    /// their places in the file; `ids` are all of the file.
    pub(super) fn references(
        &mut self,
        raws: &[Spanned<RawRule>],
        ids: &BTreeSet<&str>,
        rules: &BTreeMap<usize, Rule>,
    ) {
        let by_id: BTreeMap<&str, &Rule> = rules.values().map(|rule| (rule.id.as_str(), rule)).collect();
        for (at, rule) in rules {
            let Kind::Composite(composite) = &rule.kind else { continue };
            let raw = &raws[*at].value;
            let Some(expr) = &raw.expr else { continue };
            self.rule = Some(rule.id.clone());
            let unknown: Vec<&str> = composite.logic.rules().into_iter().filter(|id| !ids.contains(id)).collect();
            for id in &unknown {
                let hint = name_hint(id, ids.iter().copied());
                self.problem::<()>(expr, format!("there is no rule `{id}`"), hint);
            }
            let known: Option<Vec<&Rule>> = composite.logic.rules().iter().map(|id| by_id.get(id).copied()).collect();
            if let (true, Some(known)) = (unknown.is_empty(), known) {
                self.composite_of(raw, expr, rule, composite, &known, &by_id);
            }
        }
        self.rule = None;
    }

    fn composite_of(
        &mut self,
        raw: &RawRule,
        expr: &Spanned<String>,
        rule: &Rule,
        composite: &Composite,
        known: &[&Rule],
        by_id: &BTreeMap<&str, &Rule>,
    ) {
        if let Some(problem) = loop_or_tower(&rule.id, by_id) {
            self.problem::<()>(expr, problem, None);
            return; // What it can be is not to be told then.
        }
        let labels: BTreeSet<&str> = known.iter().flat_map(|rule| labels_of(rule)).collect();
        for name in raw.group_by.iter().filter(|name| !labels.contains(name.value.as_str())) {
            let message = format!("none of the rules has alerts with the label `{}`", name.value);
            self.problem::<()>(name, message, name_hint(&name.value, labels.iter().copied()));
        }
        if composite.logic.holds(&|_| 0) {
            let hint = Some("`a and not b`, say".to_owned());
            self.problem::<()>(expr, "it would fire while no other rule does, and could not end", hint);
        } else if !can_hold(&composite.logic, rule, known) {
            let hint = "of a rule that is not grouped, or grouped as this one, a group has one alert".to_owned();
            self.problem::<()>(expr, "whatever fires, it does not hold: the rule can't fire", Some(hint));
        }
    }
}

/// Labels that alerts of the rule have.
fn labels_of(rule: &Rule) -> impl Iterator<Item = &str> {
    let burn = matches!(rule.kind, Kind::Slo(_)).then_some(BURN);
    rule.group_by.iter().map(String::as_str).chain(burn)
}

/// Follows what the rule `id` rests on.
fn loop_or_tower(id: &str, by_id: &BTreeMap<&str, &Rule>) -> Option<String> {
    let mut level = BTreeSet::from([id]);
    for _ in 0..=DEEPEST + 1 {
        level = level.iter().filter_map(|id| by_id.get(id)).flat_map(|rule| references(&rule.kind)).collect();
        if level.contains(id) {
            return Some(format!("`{id}` rests on itself"));
        }
        if level.is_empty() {
            return None;
        }
    }
    Some(format!("it rests on rules that rest on rules, more than {DEEPEST} deep"))
}

/// Whether some number of alerts of each rule makes it hold.
fn can_hold(logic: &Logic, rule: &Rule, known: &[&Rule]) -> bool {
    let counted = counts(logic);
    let numbers: Vec<(&str, Vec<usize>)> = known
        .iter()
        .map(|other| {
            let most = most_alerts(other, &rule.group_by);
            let mut numbers: BTreeSet<usize> = BTreeSet::from([0, 1]);
            for (_, number) in counted.iter().filter(|(id, _)| *id == other.id) {
                numbers.extend([number - 1, *number]);
            }
            (other.id.as_str(), numbers.into_iter().filter(|&number| number <= most).collect())
        })
        .collect();
    tried(logic, &numbers, &mut BTreeMap::new())
}

/// Tries every combination of what is left.
fn tried<'a>(logic: &Logic, left: &[(&'a str, Vec<usize>)], firing: &mut BTreeMap<&'a str, usize>) -> bool {
    let Some(((id, numbers), left)) = left.split_first() else {
        return logic.holds(&|id| firing.get(id).copied().unwrap_or(0));
    };
    numbers.iter().any(|&number| {
        firing.insert(id, number);
        tried(logic, left, firing)
    })
}

/// How many alerts of `rule` a group of a composite rule may have.
fn most_alerts(rule: &Rule, group_by: &[String]) -> usize {
    if labels_of(rule).any(|label| label != BURN && !group_by.iter().any(|name| name == label)) {
        return usize::MAX;
    }
    match &rule.kind {
        Kind::Slo(slo) if !group_by.iter().any(|name| name == BURN) => slo.alerts.len(),
        _ => 1,
    }
}

/// Each `count(id) >= n` in it.
fn counts(logic: &Logic) -> Vec<(&str, usize)> {
    match logic {
        Logic::Fires(_) => Vec::new(),
        Logic::AtLeast(id, number) => vec![(id, *number)],
        Logic::Not(inner) => counts(inner),
        Logic::And(left, right) | Logic::Or(left, right) => [counts(left), counts(right)].concat(),
    }
}
