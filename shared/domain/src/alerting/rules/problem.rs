//! What is wrong with a rule file, said so that it can be mended: where, in which rule, and how.

use std::fmt;

/// So many characters are shown of the beginning and of the end of a long message.
const QUOTED: usize = 200;

/// A place in a rule file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Place {
        Place { line: location.line(), column: location.column() }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as far as the YAML library knows.
    pub place: Option<Place>,
    /// Id of the rule; `None` for what concerns the whole file.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// A rule file that can't be used, with all its mistakes in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidRules {
    /// Name of the file.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for InvalidRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let Some(Place { line, column }) = problem.place {
                write!(f, ":{line}:{column}")?;
            }
            f.write_str(": ")?;
            if let Some(rule) = &problem.rule {
                write!(f, "rule {rule}: ")?;
            }
            f.write_str(&problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

/// The hint for a name that is none of `known`: the nearest one if it may be a slip, else all of them
/// as long as they are few.
pub fn name_hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(nearest) = slip_of(name, known.iter().copied()) {
        return Some(format!("did you mean `{nearest}`?"));
    }
    (1..=12).contains(&known.len()).then(|| format!("there is {}", known.join(", ")))
}

/// The nearest of `known`, if `name` may be a slip of it (or is it).
pub fn slip_of<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = known.into_iter().map(|candidate| (distance(name, candidate), candidate)).min()?;
    // Half of the letters wrong is another word.
    (nearest.0 <= name.chars().count().div_ceil(3)).then_some(nearest.1)
}

/// The message without the middle of it, if it is long: it quotes what is wrong, and that may be all of a file.
pub fn shortened(message: String) -> String {
    let shown = |(at, _): (usize, char)| at;
    let beginning = message.char_indices().nth(QUOTED).map(shown);
    let end = message.char_indices().rev().nth(QUOTED - 1).map(shown);
    match (beginning, end) {
        (Some(beginning), Some(end)) if beginning < end => format!("{} ... {}", &message[..beginning], &message[end..]),
        _ => message,
    }
}

/// The text of a file.
///
/// # Errors
/// It is not UTF-8.
pub fn text_of<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, InvalidRules> {
    std::str::from_utf8(bytes).map_err(|error| {
        let message = format!("not UTF-8 text: byte {} is invalid", error.valid_up_to());
        let problem = Problem { place: None, rule: None, message, hint: Some("save the file as UTF-8".to_owned()) };
        InvalidRules { file: file.to_owned(), problems: vec![problem] }
    })
}

/// Levenshtein's: insertions, deletions and replacements that lead from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_the_nearest_name_and_a_stranger_with_all() {
        let known = ["info", "warning", "error", "critical"];
        assert_eq!(name_hint("warnning", known).as_deref(), Some("did you mean `warning`?"));
        assert_eq!(name_hint("err", known), Some("there is info, warning, error, critical".to_owned()));
        assert_eq!(
            name_hint("contract_creation_error", ["contracts_created", "contract_creation_errors"]).as_deref(),
            Some("did you mean `contract_creation_errors`?")
        );
        assert_eq!(name_hint("x", []), None);
    }

    #[test]
    fn a_message_that_quotes_a_whole_file_is_cut_in_its_middle() {
        let short = format!("`{}` is wrong", "é".repeat(300));
        assert_eq!(shortened(short.clone()), short);
        let cut = shortened(format!("`{}` is wrong", "é".repeat(100_000)));
        assert_eq!(cut.chars().count(), 2 * QUOTED + 5);
        assert!(cut.starts_with("`éé") && cut.contains("é ... é") && cut.ends_with("` is wrong"), "{cut}");
    }

    #[test]
    fn what_is_no_text_is_told_by_the_first_bad_byte() {
        assert_eq!(text_of("rules.yaml", "é".as_bytes()), Ok("é"));
        let error = text_of("rules.yaml", b"version: \xff").unwrap_err().to_string();
        assert_eq!(error, "rules.yaml: not UTF-8 text: byte 9 is invalid (save the file as UTF-8)");
    }

    #[test]
    fn distance_counts_single_letter_changes() {
        for (from, to, expected) in
            [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ещё", "еще", 1)]
        {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn every_mistake_is_a_line_with_its_place() {
        let problem = |place, rule: Option<&str>, hint: Option<&str>| Problem {
            place,
            rule: rule.map(str::to_owned),
            message: "wrong".to_owned(),
            hint: hint.map(str::to_owned),
        };
        let problems =
            vec![problem(Some(Place { line: 3, column: 5 }), Some("a"), Some("do so")), problem(None, None, None)];
        let text = InvalidRules { file: "rules.yaml".to_owned(), problems }.to_string();
        assert_eq!(text, "rules.yaml:3:5: rule a: wrong (do so)\nrules.yaml: wrong");
    }
}
