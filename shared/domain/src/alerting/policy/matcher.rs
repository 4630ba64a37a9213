//! Which alerts a silence, an inhibition rule or a calendar speaks of, in the words of Alertmanager:
//! `severity="critical"`, `service!="web"`, `rule=~"high_.+"`, `endpoint!~"/health|/ready"`.
//!
//! As there, a label that an alert does not have is the empty text, and a pattern has to match the whole value.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};

use crate::alerting::episode::Episode;

/// The class of alerts about attacks and what looks like them.
pub const SECURITY: &str = "security";

/// Labels that every alert has. They win over labels of its group that are called the same.
pub const LABELS: [&str; 5] = ["rule", "severity", "class", "service", "fingerprint"];

/// Longest label or value, in bytes.
const MAX_LENGTH: usize = 1_000;

/// What a pattern may take when it is made, in bytes: enough for a few hundred names one after the other.
const MAX_PATTERN: usize = 1 << 20;

/// One condition on one label.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// Name of the label.
    pub label: String,
    /// How its value is compared.
    pub operator: Operator,
    /// With what.
    pub value: String,
    /// `value` as a pattern, anchored at both ends; `Some` where the operator asks for one.
    pattern: Option<Regex>,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

/// A text that is not a matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMatcher {
    /// No name, or no operator.
    #[error("`{0}` is not a matcher")]
    Shape(String),
    /// A quotation mark is missing, or is where none belongs.
    #[error("the value of `{0}` is quoted on one side only, or has a quotation mark within")]
    Quotes(String),
    /// Not a regular expression.
    #[error("`{pattern}` is not a pattern: {why}")]
    Pattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// Longer than anybody needs.
    #[error("a matcher with more than {MAX_LENGTH} bytes")]
    Long,
    /// A severity that no alert has.
    #[error("no alert has the severity `{0}`")]
    Severity(String),
}

impl InvalidMatcher {
    /// How to mend it.
    pub fn hint(&self) -> String {
        match self {
            InvalidMatcher::Shape(_) => r#"a label, one of = != =~ !~, and a value: service="contract""#,
            InvalidMatcher::Quotes(_) => {
                r#"where there is a comma or a bracket in it, quote the whole: 'rule=~"a{1,2}"'"#
            }
            InvalidMatcher::Pattern { .. } => {
                "RE2's syntax, without classes of Unicode; it has to match the whole value"
            }
            InvalidMatcher::Long => "several matchers, or a pattern",
            InvalidMatcher::Severity(_) => "there is info, warning, error, critical",
        }
        .to_owned()
    }
}

impl Operator {
    /// How it is written. The longer ones first, as they begin like the shorter ones.
    const SIGNS: [(&str, Operator); 4] =
        [("=~", Operator::Matches), ("!~", Operator::MatchesNot), ("!=", Operator::NotEqual), ("=", Operator::Equal)];

    /// How it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Matches => "=~",
            Operator::MatchesNot => "!~",
        }
    }

    /// Whether it compares with a pattern.
    pub fn is_pattern(self) -> bool {
        matches!(self, Operator::Matches | Operator::MatchesNot)
    }

    /// Whether it holds where the comparison does not.
    pub fn is_negative(self) -> bool {
        matches!(self, Operator::NotEqual | Operator::MatchesNot)
    }
}

impl Matcher {
    /// Makes one of its parts.
    ///
    /// # Errors
    /// The value is not the pattern that the operator asks for, or the severity that the label does.
    pub fn new(label: &str, operator: Operator, value: &str) -> Result<Matcher, InvalidMatcher> {
        if !is_label(label) {
            return Err(InvalidMatcher::Shape(label.to_owned()));
        }
        if label.len() > MAX_LENGTH || value.len() > MAX_LENGTH {
            return Err(InvalidMatcher::Long);
        }
        // It would never match, or always.
        let known = ["info", "warning", "error", "critical"];
        if label == "severity" && !operator.is_pattern() && !known.contains(&value) {
            return Err(InvalidMatcher::Severity(value.to_owned()));
        }
        let built = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(MAX_PATTERN)
                .build()
                .map_err(|error| InvalidMatcher::Pattern { pattern: value.to_owned(), why: error.to_string() })
        };
        let pattern = if operator.is_pattern() {
            // By itself first: `a)|(b` would become one by what is put around it.
            built(value)?;
            Some(built(&format!("^(?:{value})$"))?)
        } else {
            None
        };
        Ok(Matcher { label: label.to_owned(), operator, value: value.to_owned(), pattern })
    }

    /// Reads `label="value"`; the quotation marks may be left out where the value has none in it. Within them `\"`,
    /// `\\` and `\n` stand for `"`, `\` and a new line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Matcher, InvalidMatcher> {
        let shape = || InvalidMatcher::Shape(text.to_owned());
        let at = text.find(['=', '!']).ok_or_else(shape)?;
        let (label, rest) = text.split_at(at);
        let (sign, operator) =
            Operator::SIGNS.into_iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(shape)?;
        let value = unquoted(rest[sign.len()..].trim()).ok_or_else(|| InvalidMatcher::Quotes(text.to_owned()))?;
        Matcher::new(label.trim(), operator, &value).map_err(|error| match error {
            InvalidMatcher::Shape(_) => shape(),
            other => other,
        })
    }

    /// Whether it holds for an alert.
    pub fn matches(&self, episode: &Episode) -> bool {
        self.matches_value(label_of(episode, &self.label))
    }

    /// Whether it holds for a value of its label.
    pub fn matches_value(&self, value: &str) -> bool {
        let same = match &self.pattern {
            Some(pattern) => pattern.is_match(value),
            None => self.value == value,
        };
        same != self.operator.is_negative()
    }

    /// Whether it asks for alerts about security by their class, and for no others.
    pub fn asks_for_security(&self) -> bool {
        self.label == "class" && self.operator == Operator::Equal && self.value == SECURITY
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        // The pattern is made of the rest.
        (&self.label, self.operator, &self.value) == (&other.label, other.operator, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.label, self.operator.sign())
    }
}

/// Whether all of them hold.
pub fn all_match(matchers: &[Matcher], episode: &Episode) -> bool {
    matchers.iter().all(|matcher| matcher.matches(episode))
}

/// The value of a label; empty where the alert has none.
pub fn label_of<'a>(episode: &'a Episode, label: &str) -> &'a str {
    match label {
        "rule" => &episode.rule,
        "severity" => episode.severity.as_str(),
        "class" => &episode.class,
        "service" => &episode.service,
        "fingerprint" => &episode.fingerprint,
        other => episode.labels.get(other).map_or("", String::as_str),
    }
}

/// Whether Prometheus takes it as the name of a label.
pub fn is_label(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                // A pattern's own, as in `\d`.
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alerting::testing::episode;

    fn matcher(text: &str) -> Matcher {
        Matcher::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_matcher_is_a_label_an_operator_and_a_value() {
        for (text, label, operator, value) in [
            (r#"service="contract""#, "service", Operator::Equal, "contract"),
            (r#" service != "a b" "#, "service", Operator::NotEqual, "a b"),
            ("service=contract", "service", Operator::Equal, "contract"),
            (r#"rule=~"high_.+""#, "rule", Operator::Matches, "high_.+"),
            (r#"path!~"/a=b|\d+\.x""#, "path", Operator::MatchesNot, r"/a=b|\d+\.x"),
            (r#"endpoint="a\"b\\c\nd""#, "endpoint", Operator::Equal, "a\"b\\c\nd"),
            (r#"endpoint="""#, "endpoint", Operator::Equal, ""),
            ("endpoint=", "endpoint", Operator::Equal, ""),
            (r#"label="контракт""#, "label", Operator::Equal, "контракт"),
        ] {
            let found = matcher(text);
            assert_eq!(
                (found.label.as_str(), found.operator, found.value.as_str()),
                (label, operator, value),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_none_is_refused_and_says_why() {
        for (text, expected) in [
            ("", "`` is not a matcher"),
            ("service", "`service` is not a matcher"),
            ("service!contract", "`service!contract` is not a matcher"),
            ("=contract", "`=contract` is not a matcher"),
            ("1st=a", "`1st=a` is not a matcher"),
            ("a-b=a", "`a-b=a` is not a matcher"),
            ("a b=a", "`a b=a` is not a matcher"),
            ("a=\"b", "the value of `a=\"b` is quoted on one side only, or has a quotation mark within"),
            ("a=b\"", "the value of `a=b\"` is quoted on one side only, or has a quotation mark within"),
            ("a=\"b\"c\"", "the value of `a=\"b\"c\"` is quoted on one side only, or has a quotation mark within"),
            ("a=\"b\\\"", "the value of `a=\"b\\\"` is quoted on one side only, or has a quotation mark within"),
            ("a=\"", "the value of `a=\"` is quoted on one side only, or has a quotation mark within"),
            ("severity=warn", "no alert has the severity `warn`"),
            ("severity!=fatal", "no alert has the severity `fatal`"),
        ] {
            assert_eq!(Matcher::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
        let error = Matcher::parse("a=~\"(\"").unwrap_err().to_string();
        assert!(error.starts_with("`(` is not a pattern: "), "{error}");
        let error = Matcher::parse("a=~\"b)|(c\"").unwrap_err().to_string();
        assert!(error.starts_with("`b)|(c` is not a pattern: "), "{error}");
        let bomb = format!("a=~\"{}\"", "((x{99}){99}){99}");
        assert!(Matcher::parse(&bomb).unwrap_err().to_string().starts_with("`((x{99}){99}){99}` is not a pattern: "));
        assert_eq!(Matcher::parse(&format!("a={}", "x".repeat(2_000))).unwrap_err(), InvalidMatcher::Long);
    }

    #[test]
    fn matchers_match_as_alertmanagers_do() {
        for (text, value, expected) in [
            ("a=\"b\"", "b", true),
            ("a=\"b\"", "B", false),
            ("a=\"\"", "", true),
            ("a!=\"b\"", "", true),
            ("a!=\"b\"", "b", false),
            // Anchored at both ends, the alternatives too.
            ("a=~\"b|c\"", "b", true),
            ("a=~\"b|c\"", "bc", false),
            ("a=~\"b|c\"", "xc", false),
            ("a=~\"b.*\"", "bcd", true),
            ("a=~\".+\"", "", false),
            ("a=~\".*\"", "", true),
            ("a=~\"\"", "", true),
            ("a=~\"b\"", "b\nc", false),
            ("a!~\"b|c\"", "b", false),
            ("a!~\"b|c\"", "", true),
            ("a=~\"(?i)warn\"", "WARN", true),
            // As in Go: digits are those of ASCII.
            ("a=~\"\\d+\"", "١", false),
        ] {
            assert_eq!(matcher(text).matches_value(value), expected, "{text} of {value:?}");
        }
    }

    #[test]
    fn an_alert_has_labels_of_its_own_and_those_of_its_group() {
        let mut alert = Episode { service: "contract".to_owned(), ..episode("high_cpu_usage", 0) };
        alert.labels.insert("endpoint".to_owned(), "/x".to_owned());
        alert.labels.insert("rule".to_owned(), "another".to_owned());
        for (text, expected) in [
            ("rule=high_cpu_usage", true),
            ("rule=another", false),
            ("severity=error", true),
            ("class=business", true),
            ("service=contract", true),
            ("endpoint=/x", true),
            ("nothing=\"\"", true),
            ("nothing=~.+", false),
        ] {
            assert_eq!(matcher(text).matches(&alert), expected, "{text}");
        }
        assert!(matcher(&format!("fingerprint={}", alert.fingerprint)).matches(&alert));
        for label in LABELS {
            assert_ne!(label_of(&alert, label), "", "{label}");
        }
    }

    proptest! {
        #[test]
        fn a_matcher_reads_back_as_it_is_shown(value in "[ab\"\\\\n\\n ё=~!]{0,12}", sign in 0..2_usize) {
            let operator = [Operator::Equal, Operator::NotEqual][sign];
            let made = Matcher::new("label", operator, &value).unwrap();
            prop_assert_eq!(Matcher::parse(&made.to_string()).unwrap(), made);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[a=!~\"\\\\ (){}*]{0,12}|\\PC{0,20}") {
            let _ = Matcher::parse(&text);
        }
    }
}
