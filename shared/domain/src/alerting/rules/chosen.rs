//! Which rules hold: the operators' own if they are in order, else the last ones that were, else the
//! built-in ones.

use std::sync::Arc;

use super::problem::{InvalidRules, Problem};
use super::{RuleSet, Variables};

/// The rules in force, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The rules.
    pub rules: RuleSet,
    /// Text of the operators' file they come from; `None` for the built-in ones.
    pub accepted: Option<String>,
    /// What is wrong with the operators' file of now, if it is not the one in force.
    pub problem: Option<InvalidRules>,
}

/// Chooses, and keeps the last choice: to parse a file of thousands of rules takes longer than to evaluate them, and it
/// rarely changes.
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
    chosen: Arc<Chosen>,
}

impl Chooser {
    /// For the file that problems call `name`.
    pub fn new(name: &'static str, built_in: RuleSet, variables: Variables) -> Chooser {
        Chooser { name, built_in, variables, last: None }
    }

    /// Chooses between the operators' file as it is stored (`None`: there is none), the last one that was in order, and
    /// the built-in rules. The same file is not parsed again; one of other bytes is, whatever its name or time.
    pub fn choose(&mut self, stored: Option<&[u8]>, last_good: Option<&str>) -> Arc<Chosen> {
        // What was in order last matters only where the file is not.
        let holds = |made: &&Made| {
            made.stored.as_deref() == stored
                && (made.chosen.problem.is_none() || made.last_good.as_deref() == last_good)
        };
        if let Some(made) = self.last.as_ref().filter(holds) {
            return Arc::clone(&made.chosen);
        }
        let chosen = Arc::new(choose(self.name, stored, last_good, &self.built_in, &self.variables));
        let (stored, last_good) = (stored.map(<[u8]>::to_vec), last_good.map(str::to_owned));
        self.last = Some(Made { stored, last_good, chosen: Arc::clone(&chosen) });
        chosen
    }
}

/// Chooses anew.
pub(super) fn choose(
    name: &str,
    stored: Option<&[u8]>,
    last_good: Option<&str>,
    built_in: &RuleSet,
    variables: &Variables,
) -> Chosen {
    let Some(stored) = stored else {
        return Chosen { rules: built_in.clone(), accepted: None, problem: None };
    };
    let problem = match load(name, stored, variables) {
        Ok((rules, text)) => return Chosen { rules, accepted: Some(text), problem: None },
        Err(problem) => Some(problem),
    };
    let kept = last_good.and_then(|text| Some((RuleSet::load(name, text, variables).ok()?, text)));
    match kept {
        Some((rules, text)) => Chosen { rules, accepted: Some(text.to_owned()), problem },
        None => Chosen { rules: built_in.clone(), accepted: None, problem },
    }
}

fn load(name: &str, stored: &[u8], variables: &Variables) -> Result<(RuleSet, String), InvalidRules> {
    let text = std::str::from_utf8(stored).map_err(|error| {
        let message = format!("not UTF-8 text: byte {} is invalid", error.valid_up_to());
        let problem = Problem { place: None, rule: None, message, hint: Some("save the file as UTF-8".to_owned()) };
        InvalidRules { file: name.to_owned(), problems: vec![problem] }
    })?;
    Ok((RuleSet::load(name, text, variables)?, text.to_owned()))
}
