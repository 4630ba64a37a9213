//! Rules of each kind become what they say.

use super::mistakes::KINDS;
use super::*;
use crate::alerting::rules::kind::{Burn, Indicator};
use crate::alerting::rules::pattern::Pattern;

fn kinds() -> RuleSet {
    RuleSet::load("kinds.yaml", KINDS, &variables()).unwrap_or_else(|error| panic!("{error}"))
}

fn rule_of(id: &str) -> Rule {
    kinds().rules.into_iter().find(|rule| rule.id == id).unwrap()
}
