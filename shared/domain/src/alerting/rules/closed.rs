//! Fields whose values are known beforehand: levels, categories, status codes. What a rule asks of them has to be
//! something that can come; comparison is exact, so `error` for `ERROR` would never fire and nobody would be told.

use schema::{Category, Level};

use super::pattern::Pattern;
use super::problem::name_hint;

const LEVELS: [&str; 5] = [
    Level::Debug.as_str(),
    Level::Info.as_str(),
    Level::Warning.as_str(),
    Level::Error.as_str(),
    Level::Critical.as_str(),
];

/// What stands for a status code where there were too many different ones, or none.
const NO_CODES: [&str; 2] = ["other", "unknown"];

/// A value that never comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Impossible {
    /// What is wrong with it.
    pub(super) message: String,
    /// How to mend it.
    pub(super) hint: Option<String>,
}

/// Why `field` is never so; `None` where it may be, as that of any field without a closed set of values may.
pub(super) fn impossible(field: &str, pattern: &Pattern) -> Option<Impossible> {
    match field {
        "level" => none_of("level", pattern, &LEVELS, |text| {
            // Other systems' words for it, `warn` say, and other letters.
            Level::parse(text).map(Level::as_str).map(meant).or_else(|| name_hint(&text.to_uppercase(), LEVELS))
        }),
        "category" => none_of("category", pattern, &Category::NAMES.map(|(name, _)| name), |text| {
            let names = Category::NAMES.map(|(name, _)| name);
            Category::parse(text).map(Category::as_str).map(meant).or_else(|| name_hint(&text.to_lowercase(), names))
        }),
        "status_code" if !may_be_status(pattern) => {
            Some(Impossible { message: format!("`{pattern}` is no status code"), hint: Some(status_hint(pattern)) })
        }
        _ => None,
    }
}

fn none_of(what: &str, pattern: &Pattern, known: &[&str], hint: impl Fn(&str) -> Option<String>) -> Option<Impossible> {
    if known.iter().any(|name| pattern.matches(name)) {
        return None;
    }
    let hint = match pattern {
        Pattern::Exact(text) => hint(text),
        Pattern::Prefix(_) => Some(format!("there is {}", known.join(", "))),
    };
    Some(Impossible { message: format!("`{pattern}` is no {what}"), hint })
}

fn meant(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// Whether it is a code of HTTP, or the beginning of one.
fn may_be_status(pattern: &Pattern) -> bool {
    let begins_one = |text: &str| {
        text.len() <= 3
            && text.starts_with(|c| matches!(c, '1'..='5'))
            && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_code = match pattern {
        Pattern::Exact(text) => text.len() == 3 && begins_one(text),
        Pattern::Prefix(text) => text.is_empty() || begins_one(text),
    };
    is_code || NO_CODES.iter().any(|name| pattern.matches(name))
}

fn status_hint(pattern: &Pattern) -> String {
    let (Pattern::Exact(text) | Pattern::Prefix(text)) = pattern;
    match text.chars().next() {
        Some(class @ '1'..='5') if text[1..].chars().all(|c| matches!(c, 'x' | 'X')) => meant(&format!("{class}xx")),
        _ => "a code (503), a class (5xx), or a beginning (50*)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_come_is_taken_and_what_can_not_is_told() {
        for (field, value, expected) in [
            ("level", "ERROR", None),
            ("level", "E*", None),
            ("level", "*", None),
            ("level", "error", Some("`error` is no level (did you mean `ERROR`?)")),
            ("level", "warn", Some("`warn` is no level (did you mean `WARNING`?)")),
            ("level", "EROR", Some("`EROR` is no level (did you mean `ERROR`?)")),
            ("level", "loud", Some("`loud` is no level (there is DEBUG, INFO, WARNING, ERROR, CRITICAL)")),
            ("level", "err*", Some("`err*` is no level (there is DEBUG, INFO, WARNING, ERROR, CRITICAL)")),
            ("category", "business_logic", None),
            ("category", "bussiness_logic", Some("`bussiness_logic` is no category (did you mean `business_logic`?)")),
            ("category", "Security", Some("`Security` is no category (did you mean `security`?)")),
            ("status_code", "503", None),
            ("status_code", "50*", None),
            ("status_code", "503*", None),
            ("status_code", "*", None),
            ("status_code", "other", None),
            ("status_code", "unknown", None),
            ("status_code", "5XX", Some("`5XX` is no status code (did you mean `5xx`?)")),
            ("status_code", "5x", Some("`5x` is no status code (did you mean `5xx`?)")),
            ("status_code", "5", Some("`5` is no status code (did you mean `5xx`?)")),
            ("status_code", "50", Some("`50` is no status code (a code (503), a class (5xx), or a beginning (50*))")),
            ("status_code", "600", Some("`600` is no status code (a code (503), a class (5xx), or a beginning (50*))")),
            ("status_code", "5xx*", Some("`5xx*` is no status code (did you mean `5xx`?)")),
            (
                "status_code",
                "5030*",
                Some("`5030*` is no status code (a code (503), a class (5xx), or a beginning (50*))"),
            ),
            ("status_code", "é", Some("`é` is no status code (a code (503), a class (5xx), or a beginning (50*))")),
            ("endpoint", "anything", None),
        ] {
            let found = impossible(field, &Pattern::parse(value).unwrap());
            let found = found.map(|found| format!("{} ({})", found.message, found.hint.unwrap_or_default()));
            assert_eq!(found.as_deref(), expected, "{field} {value}");
        }
    }
}
