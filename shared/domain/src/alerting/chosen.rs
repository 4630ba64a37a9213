//! Which rules, which policy and which silences hold: the operators' own if they are in order, else the last ones that
//! were, else the built-in ones.

use std::sync::Arc;

use super::policy::{Policy, Silences};
use super::rules::problem::{InvalidRules, text_of};
use super::rules::{RuleSet, Variables};

/// What is in force, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen<T> {
    /// What holds.
    pub holds: T,
    /// Text of the operators' file it comes from; `None` for what is built in.
    pub accepted: Option<String>,
    /// What is wrong with the operators' file of now, if it is not the one in force.
    pub problem: Option<InvalidRules>,
}

impl RuleSet {
    /// Chooses between the operators' file as it is stored (`None`: there is none), the last one that was in order,
    /// and the rules `built_in`. Placeholders are filled from the `variables`.
    pub fn choose(
        name: &str,
        stored: Option<&[u8]>,
        last_good: Option<&str>,
        built_in: &RuleSet,
        variables: &Variables,
    ) -> Chosen<RuleSet> {
        choose(name, stored, last_good, |name, text| RuleSet::load(name, text, variables), || built_in.clone())
    }
}

/// Chooses rules, and keeps the last choice: to parse a file of thousands of rules takes longer than to evaluate them,
/// and it rarely changes.
#[derive(Debug)]
pub struct Chooser {
    name: &'static str,
    built_in: RuleSet,
    variables: Variables,
    last: Option<Made>,
}

/// A choice, and what it was made by.
#[derive(Debug)]
struct Made {
    stored: Option<Vec<u8>>,
    last_good: Option<String>,
    chosen: Arc<Chosen<RuleSet>>,
}

impl Chooser {
    /// For the file that problems call `name`.
    pub fn new(name: &'static str, built_in: RuleSet, variables: Variables) -> Chooser {
        Chooser { name, built_in, variables, last: None }
    }

    /// Chooses as [`RuleSet::choose`] does. The same file is not parsed again; one of other bytes is, whatever its name
    /// or time.
    pub fn choose(&mut self, stored: Option<&[u8]>, last_good: Option<&str>) -> Arc<Chosen<RuleSet>> {
        // What was in order last matters only where the file is not.
        let holds = |made: &&Made| {
            made.stored.as_deref() == stored
                && (made.chosen.problem.is_none() || made.last_good.as_deref() == last_good)
        };
        if let Some(made) = self.last.as_ref().filter(holds) {
            return Arc::clone(&made.chosen);
        }
        let chosen = RuleSet::choose(self.name, stored, last_good, &self.built_in, &self.variables);
        let (chosen, stored) = (Arc::new(chosen), stored.map(<[u8]>::to_vec));
        self.last = Some(Made { stored, last_good: last_good.map(str::to_owned), chosen: Arc::clone(&chosen) });
        chosen
    }
}

impl Policy {
    /// Chooses between the operators' file as it is stored (`None`: there is none), the last one that was in order,
    /// and the built-in policy.
    pub fn choose(name: &str, stored: Option<&[u8]>, last_good: Option<&str>) -> Chosen<Policy> {
        choose(name, stored, last_good, Policy::load, Policy::built_in)
    }
}

impl Silences {
    /// Chooses between the operators' file as it is stored (`None`: there is none), the last one that was in order,
    /// and no silences.
    pub fn choose(name: &str, stored: Option<&[u8]>, last_good: Option<&str>) -> Chosen<Silences> {
        choose(name, stored, last_good, Silences::load, Silences::default)
    }
}

fn choose<T>(
    name: &str,
    stored: Option<&[u8]>,
    last_good: Option<&str>,
    load: impl Fn(&str, &str) -> Result<T, InvalidRules>,
    built_in: impl Fn() -> T,
) -> Chosen<T> {
    let Some(stored) = stored else {
        return Chosen { holds: built_in(), accepted: None, problem: None };
    };
    let problem = match text_of(name, stored).and_then(|text| Ok((load(name, text)?, text))) {
        Ok((holds, text)) => return Chosen { holds, accepted: Some(text.to_owned()), problem: None },
        Err(problem) => Some(problem),
    };
    match last_good.and_then(|text| Some((load(name, text).ok()?, text))) {
        Some((holds, text)) => Chosen { holds, accepted: Some(text.to_owned()), problem },
        None => Chosen { holds: built_in(), accepted: None, problem },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "version: 1\nsilences: []\n";

    #[test]
    fn a_file_that_is_wrong_keeps_the_last_good_one() {
        let choose = |stored: Option<&[u8]>, last_good| Silences::choose("silences.yaml", stored, last_good);
        let one = "version: 1\nsilences:\n- {id: a, matchers: [rule=x], author: b, comment: c, \
                   starts: '2026-11-21T10:00:00Z', ends: '2026-11-21T11:00:00Z'}\n";

        let chosen = choose(None, Some(one));
        assert_eq!((chosen.holds.list().len(), chosen.accepted, chosen.problem), (0, None, None), "it was taken away");
        let chosen = choose(Some(one.as_bytes()), Some(EMPTY));
        assert_eq!((chosen.holds.list().len(), chosen.accepted.as_deref(), chosen.problem), (1, Some(one), None));
        let chosen = choose(Some(b"version: 1\n"), Some(one));
        assert_eq!((chosen.holds.list().len(), chosen.accepted.as_deref()), (1, Some(one)));
        assert!(chosen.problem.unwrap().to_string().starts_with("silences.yaml:1:1: "));
        let chosen = choose(Some(b"\xff"), Some("version: 9"));
        assert_eq!((chosen.holds.list().len(), chosen.accepted), (0, None));
        let problem = chosen.problem.unwrap().to_string();
        assert_eq!(problem, "silences.yaml: not UTF-8 text: byte 0 is invalid (save the file as UTF-8)");
    }
}
