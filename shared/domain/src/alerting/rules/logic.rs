//! What rules of kind composite say of other rules: `api_down and not (maintenance or count(high_error_rate) >= 2)`.

use std::collections::BTreeSet;
use std::fmt;

/// A boolean expression over ids of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logic {
    /// An alert of this rule fires.
    Fires(String),
    /// At least so many alerts of this rule fire: `count(high_error_rate) >= 2`.
    AtLeast(String, usize),
    /// Not so.
    Not(Box<Logic>),
    /// Both.
    And(Box<Logic>, Box<Logic>),
    /// One or both.
    Or(Box<Logic>, Box<Logic>),
}

impl Logic {
    /// Whether it holds, given how many alerts of a rule fire.
    pub fn holds(&self, firing: &impl Fn(&str) -> usize) -> bool {
        match self {
            Logic::Fires(rule) => firing(rule) > 0,
            Logic::AtLeast(rule, number) => firing(rule) >= *number,
            Logic::Not(inner) => !inner.holds(firing),
            Logic::And(left, right) => left.holds(firing) && right.holds(firing),
            Logic::Or(left, right) => left.holds(firing) || right.holds(firing),
        }
    }

    /// Ids of the rules that it speaks of.
    pub fn rules(&self) -> BTreeSet<&str> {
        match self {
            Logic::Fires(rule) | Logic::AtLeast(rule, _) => BTreeSet::from([rule.as_str()]),
            Logic::Not(inner) => inner.rules(),
            Logic::And(left, right) | Logic::Or(left, right) => left.rules().union(&right.rules()).copied().collect(),
        }
    }
}

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Logic::Fires(rule) => f.write_str(rule),
            Logic::AtLeast(rule, number) => write!(f, "count({rule}) >= {number}"),
            Logic::Not(inner) => write!(f, "not {inner}"),
            Logic::And(left, right) => write!(f, "({left} and {right})"),
            Logic::Or(left, right) => write!(f, "({left} or {right})"),
        }
    }
}
