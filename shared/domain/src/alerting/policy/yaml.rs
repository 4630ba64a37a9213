//! Reading the operators' files of notifications: the shape at first, then all mistakes at once.

use serde::de::DeserializeOwned;
use serde_saphyr::{Location, Spanned, options};

use crate::alerting::duration;
use crate::alerting::rules::file::said;
use crate::alerting::rules::problem::{InvalidRules, Place, Problem, shortened};

use super::matcher::Matcher;

/// The only version of these files.
pub const VERSION: u32 = 1;

/// Reads the shape. A mistake here is the only one that is reported: the rest can't be understood.
pub fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, InvalidRules> {
    serde_saphyr::from_str_with_options(text, options! { with_snippet: false }).map_err(|error| {
        let (message, hint) = said(&error);
        let problem =
            Problem { place: error.location().map(Place::from), rule: None, message: shortened(message), hint };
        InvalidRules { file: name.to_owned(), problems: vec![problem] }
    })
}

/// The mistakes of one file. What finds one answers `None`.
#[derive(Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// What was read, if nothing was wrong with it.
    pub fn none_in<T>(mut self, name: &str, read: Option<T>) -> Result<T, InvalidRules> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => {
                self.0.sort_by_key(|problem| problem.place);
                Err(InvalidRules { file: name.to_owned(), problems: self.0 })
            }
        }
    }

    /// Notes one.
    pub fn note<T>(&mut self, at: Location, message: impl Into<String>, hint: Option<String>) -> Option<T> {
        self.0.push(Problem { place: Some(Place::from(at)), rule: None, message: shortened(message.into()), hint });
        None
    }

    /// Whether the file is of this version.
    pub fn version(&mut self, version: &Spanned<u32>) -> Option<()> {
        if version.value == VERSION {
            return Some(());
        }
        self.note(version.referenced, format!("version {}, this is version {VERSION}", version.value), None)
    }

    /// All of them, or `None` if one is wrong.
    pub fn matchers(&mut self, texts: &[Spanned<String>]) -> Option<Vec<Matcher>> {
        let read = |text: &Spanned<String>| match Matcher::parse(&text.value) {
            Ok(matcher) => Some(matcher),
            Err(error) => self.note(text.referenced, error.to_string(), Some(error.hint())),
        };
        let matchers: Vec<Option<Matcher>> = texts.iter().map(read).collect();
        matchers.into_iter().collect()
    }

    /// A duration like `30s`.
    pub fn duration(&mut self, text: &Spanned<String>) -> Option<std::time::Duration> {
        match duration::parse(&text.value) {
            Ok(duration) => Some(duration),
            Err(error) => self.note(text.referenced, error.to_string(), None),
        }
    }
}
