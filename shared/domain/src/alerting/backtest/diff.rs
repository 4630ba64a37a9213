//! Two backtests of the same minutes side by side.

use serde::Serialize;

use super::{Played, Report, RuleReport};

/// What is different with the rules of one file from those of another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// Notifications with the other file.
    pub notifications_before: usize,
    /// Notifications with this one.
    pub notifications_after: usize,
    /// The rules of this file in its order, then those that only the other one has.
    pub rules: Vec<RuleDiff>,
}

/// What is different with a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleDiff {
    /// Its id.
    pub rule: String,
    /// What became of it.
    pub change: Change,
    /// What it did with the other file.
    pub before: Option<RuleReport>,
    /// What it does with this one.
    pub after: Option<RuleReport>,
    /// Episodes of the other file in whose time no alert with the same labels fires with this one.
    pub gone: Vec<Played>,
    /// Episodes of this file in whose time none fired with the other.
    pub new: Vec<Played>,
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only this file has it.
    New,
    /// Only the other one has it.
    Gone,
    /// Both have it, and it does something else.
    Changed,
    /// Both have it, and it does the same.
    Same,
}

impl Change {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Gone => "gone",
            Change::Changed => "changed",
            Change::Same => "same",
        }
    }
}

impl Diff {
    /// From `before` to `after`.
    pub fn between(before: &Report, after: &Report) -> Diff {
        let find = |report: &Report, id: &str| report.rules.iter().find(|rule| rule.rule == id).cloned();
        let mut rules: Vec<RuleDiff> =
            after.rules.iter().map(|rule| RuleDiff::of(find(before, &rule.rule), Some(rule.clone()))).collect();
        let gone = before.rules.iter().filter(|rule| find(after, &rule.rule).is_none());
        rules.extend(gone.map(|rule| RuleDiff::of(Some(rule.clone()), None)));
        Diff { notifications_before: before.notifications, notifications_after: after.notifications, rules }
    }
}

impl RuleDiff {
    fn of(before: Option<RuleReport>, after: Option<RuleReport>) -> RuleDiff {
        let change = match (&before, &after) {
            (None, _) => Change::New,
            (_, None) => Change::Gone,
            (Some(before), Some(after)) if does_the_same(before, after) => Change::Same,
            _ => Change::Changed,
        };
        let episodes = |report: &Option<RuleReport>| report.as_ref().map_or(Vec::new(), |rule| rule.episodes.clone());
        let (old, new) = (episodes(&before), episodes(&after));
        let rule = after.as_ref().or(before.as_ref()).map_or(String::new(), |rule| rule.rule.clone());
        RuleDiff {
            rule,
            change,
            gone: without_counterpart(&old, &new),
            new: without_counterpart(&new, &old),
            before,
            after,
        }
    }
}

/// Whether two rules did the same, whatever they said about it.
fn does_the_same(before: &RuleReport, after: &RuleReport) -> bool {
    let when = |rule: &RuleReport| -> Vec<_> {
        rule.episodes.iter().map(|played| (played.labels.clone(), played.since, played.until)).collect()
    };
    when(before) == when(after)
        && (before.notifications, before.nodata_minutes, before.error_minutes)
            == (after.notifications, after.nodata_minutes, after.error_minutes)
}

fn without_counterpart(episodes: &[Played], others: &[Played]) -> Vec<Played> {
    let meets = |one: &Played, other: &Played| {
        one.labels == other.labels
            && other.until.is_none_or(|end| end > one.since)
            && one.until.is_none_or(|end| other.since < end)
    };
    episodes.iter().filter(|one| !others.iter().any(|other| meets(one, other))).cloned().collect()
}
