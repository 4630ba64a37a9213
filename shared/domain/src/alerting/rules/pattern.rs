//! What a text has to be: a word, or how it begins.

use std::fmt;

/// What a text has to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// Exactly this.
    Exact(String),
    /// It begins so; written with `*` at its end.
    Prefix(String),
}

impl Pattern {
    /// Reads `word` or `prefix*`. `None` for what is empty or has a `*` anywhere but at its end: it would be taken for
    /// more than it is.
    pub fn parse(text: &str) -> Option<Pattern> {
        let pattern = match text.strip_suffix('*') {
            Some(prefix) => Pattern::Prefix(prefix.to_owned()),
            None => Pattern::Exact(text.to_owned()),
        };
        let (Pattern::Exact(word) | Pattern::Prefix(word)) = &pattern;
        (!text.is_empty() && !word.contains('*')).then_some(pattern)
    }

    /// Whether `text` is so.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Exact(word) => text == word,
            Pattern::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(word) => f.write_str(word),
            Pattern::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_at_the_end_for_whatever_follows() {
        for (pattern, text, expected) in [
            ("login_failed", "login_failed", true),
            ("login_failed", "login_failed_twice", false),
            ("login_*", "login_failed", true),
            ("login_*", "login_", true),
            ("login_*", "logout", false),
            ("*", "", true),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(text), expected, "{pattern} {text}");
            assert_eq!(parsed.to_string(), pattern);
        }
        for text in ["", "*failed", "a*b*", "**"] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }
}
