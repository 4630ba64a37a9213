//! Which rules hold: the operators' own if they are in order, else the last ones that were, else the
//! built-in ones.

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

/// Chooses between the operators' file as it is stored (`None`: there is none), the last one that was
/// in order, and the built-in rules.
pub fn choose(
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
