//! Environment variables into typed configuration: every problem is told at once, at cold start.

use std::fmt::Display;
use std::str::FromStr;

/// Reads variables from any lookup: the environment, or a map in a test.
pub struct Variables<L> {
    lookup: L,
    problems: Vec<String>,
}

/// Variables that are missing or wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {}", .0.join("; "))]
pub struct ConfigError(Vec<String>);

impl<L: Fn(&str) -> Option<String>> Variables<L> {
    /// Nothing has been read yet.
    pub fn new(lookup: L) -> Variables<L> {
        Variables { lookup, problems: Vec::new() }
    }

    /// The text of `name`, or a problem and an empty text. A variable set to nothing counts as missing.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problems.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// The text of `name` where it is set to something.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|text| !text.trim().is_empty())
    }

    /// `name` read by its type; a problem and `None` where it is missing or can not be read.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.optional(name);
        let Some(text) = text else {
            self.problems.push(format!("{name} is not set"));
            return None;
        };
        text.parse().map_err(|error| self.problem(name, &text, error)).ok()
    }

    /// `name` read by `read` where it is set to something; a problem and `None` where it can not be read.
    pub fn optional_with<T, E: Display>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.optional(name)?;
        read(&text).map_err(|error| self.problem(name, &text, error)).ok()
    }

    /// Notes that `name`, set to `text`, is wrong.
    pub fn problem(&mut self, name: &str, text: &str, reason: impl Display) {
        self.problems.push(format!("{name} is `{text}`: {reason}"));
    }

    /// What was read, or every problem there was. `make` is called only where there was none.
    pub fn finish<T>(self, make: impl FnOnce() -> Option<T>) -> Result<T, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError(self.problems));
        }
        make().ok_or_else(|| ConfigError(vec!["a variable was read as nothing, and no problem was noted".to_owned()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_told_at_once() {
        let mut variables = Variables::new(|name| (name == "PORT").then(|| "x".to_owned()));
        variables.required("BUCKET_NAME");
        let port: Option<u16> = variables.parsed("PORT");
        assert_eq!(port, None);
        let error = variables.finish(|| Some(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "configuration: BUCKET_NAME is not set; PORT is `x`: invalid digit found in string"
        );
    }

    #[test]
    fn what_may_be_left_out_has_to_be_right_where_it_is_set() {
        let mut variables = Variables::new(|name| (name != "UNSET").then(|| "8x".to_owned()));
        assert_eq!(variables.optional_with("UNSET", str::parse::<u16>), None);
        assert_eq!(variables.optional_with("TEXT", |text| Ok::<_, ConfigError>(text.len())), Some(2));
        assert_eq!(variables.optional_with("PORT", str::parse::<u16>), None);
        let error = variables.finish(|| Some(())).unwrap_err();
        assert_eq!(error.to_string(), "configuration: PORT is `8x`: invalid digit found in string");
    }

    #[test]
    fn a_variable_set_to_nothing_counts_as_missing() {
        let mut variables = Variables::new(|_| Some("  ".to_owned()));
        variables.required("BUCKET_NAME");
        assert!(variables.finish(|| Some(())).is_err());
    }
}
