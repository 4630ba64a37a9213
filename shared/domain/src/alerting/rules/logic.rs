//! What rules of kind composite say of other rules: `api_down and not (maintenance or count(high_error_rate) >= 2)`.

use std::collections::BTreeSet;
use std::fmt;

use super::words::{InvalidText, Words};

/// Longest expression taken, in bytes. With [`MAX_DEPTH`] it bounds the depth of the tree.
const MAX_LENGTH: usize = 500;

/// How deep parentheses and `not` may nest.
const MAX_DEPTH: usize = 30;

/// A boolean expression over ids of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logic {
    /// An alert of this rule fires.
    Fires(String),
    /// At least so many alerts of this rule fire: `count(high_error_rate) >= 2`.
    AtLeast(String, usize),
    /// Not so.
    Not(Box<Logic>),
    /// Both.
    And(Box<Logic>, Box<Logic>),
    /// One or both.
    Or(Box<Logic>, Box<Logic>),
}

impl Logic {
    /// Parses ids of rules, `count(id) >= n`, `not`, `and`, `or` (which binds loosest) and parentheses.
    pub fn parse(text: &str) -> Result<Logic, InvalidText> {
        let mut words = Words::new(text, "a condition over rules");
        if text.len() > MAX_LENGTH {
            return Err(words.expected("at most 500 characters"));
        }
        let logic = alternatives(&mut words, 0)?;
        if words.is_at_end() { Ok(logic) } else { Err(words.expected("`and`, `or` or the end")) }
    }

    /// Whether it holds, given how many alerts of a rule fire.
    pub fn holds(&self, firing: &impl Fn(&str) -> usize) -> bool {
        match self {
            Logic::Fires(rule) => firing(rule) > 0,
            Logic::AtLeast(rule, number) => firing(rule) >= *number,
            Logic::Not(inner) => !inner.holds(firing),
            Logic::And(left, right) => left.holds(firing) && right.holds(firing),
            Logic::Or(left, right) => left.holds(firing) || right.holds(firing),
        }
    }

    /// Ids of the rules that it speaks of.
    pub fn rules(&self) -> BTreeSet<&str> {
        match self {
            Logic::Fires(rule) | Logic::AtLeast(rule, _) => BTreeSet::from([rule.as_str()]),
            Logic::Not(inner) => inner.rules(),
            Logic::And(left, right) | Logic::Or(left, right) => left.rules().union(&right.rules()).copied().collect(),
        }
    }
}

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Logic::Fires(rule) => f.write_str(rule),
            Logic::AtLeast(rule, number) => write!(f, "count({rule}) >= {number}"),
            Logic::Not(inner) => write!(f, "not {inner}"),
            Logic::And(left, right) => write!(f, "({left} and {right})"),
            Logic::Or(left, right) => write!(f, "({left} or {right})"),
        }
    }
}

fn alternatives(words: &mut Words, depth: usize) -> Result<Logic, InvalidText> {
    let mut left = conjunction(words, depth)?;
    while words.take_word("or") {
        left = Logic::Or(Box::new(left), Box::new(conjunction(words, depth)?));
    }
    Ok(left)
}

fn conjunction(words: &mut Words, depth: usize) -> Result<Logic, InvalidText> {
    let mut left = operand(words, depth)?;
    while words.take_word("and") {
        left = Logic::And(Box::new(left), Box::new(operand(words, depth)?));
    }
    Ok(left)
}

fn operand(words: &mut Words, depth: usize) -> Result<Logic, InvalidText> {
    if depth > MAX_DEPTH {
        return Err(words.expected("less nesting"));
    }
    if words.take_sign("(") {
        let inner = alternatives(words, depth + 1)?;
        return if words.take_sign(")") { Ok(inner) } else { Err(words.expected("`and`, `or` or `)`")) };
    }
    if words.take_word("not") {
        return Ok(Logic::Not(Box::new(operand(words, depth + 1)?)));
    }
    let before = words.clone();
    match words.take_name() {
        Some("count") if words.take_sign("(") => count(words),
        Some(id) if !["and", "or"].contains(&id) => Ok(Logic::Fires(id.to_owned())),
        _ => Err(before.expected("the id of a rule, `not`, `count(` or `(`")),
    }
}

/// What follows `count(`.
fn count(words: &mut Words) -> Result<Logic, InvalidText> {
    let Some(id) = words.take_name().map(str::to_owned) else { return Err(words.expected("the id of a rule")) };
    for sign in [")", ">="] {
        if !words.take_sign(sign) {
            let expected = if sign == ")" { "`)`" } else { "`>=`" };
            return Err(words.expected(expected));
        }
    }
    let before = words.clone();
    match words.take_name().and_then(|number| number.parse().ok()) {
        Some(number @ 1..=10_000) => Ok(Logic::AtLeast(id, number)),
        _ => Err(before.expected("a whole number of alerts, at least 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn not_binds_closest_and_or_loosest() {
        for (text, expected) in [
            ("a", "a"),
            ("a and b or c", "((a and b) or c)"),
            ("a or b and c", "(a or (b and c))"),
            ("(a or b) and not c", "((a or b) and not c)"),
            ("not not a", "not not a"),
            ("count(a) >= 2 and count", "(count(a) >= 2 and count)"),
            ("not(a or\n b)", "not (a or b)"),
        ] {
            let logic = Logic::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(logic.to_string(), expected);
            assert_eq!(Logic::parse(expected).unwrap(), logic);
        }
    }

    #[test]
    fn it_holds_by_what_fires() {
        let firing = |rule: &str| match rule {
            "one" => 1,
            "three" => 3,
            _ => 0,
        };
        for (text, expected) in [
            ("one", true),
            ("none", false),
            ("one and none", false),
            ("one or none", true),
            ("one and not none", true),
            ("count(three) >= 3", true),
            ("count(three) >= 4", false),
            ("not (one and count(one) >= 2)", true),
        ] {
            let logic = Logic::parse(text).unwrap();
            assert_eq!(logic.holds(&firing), expected, "{text}");
        }
        let rules: Vec<String> =
            Logic::parse("a or not count(b) >= 2 or a").unwrap().rules().into_iter().map(str::to_owned).collect();
        assert_eq!(rules, ["a", "b"]);
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (text, expected) in [
            ("", "the id of a rule, `not`, `count(` or `(` at character 1"),
            ("a and", "the id of a rule, `not`, `count(` or `(` at character 6"),
            ("a and or b", "the id of a rule, `not`, `count(` or `(` at character 7"),
            ("a b", "`and`, `or` or the end at character 3"),
            ("(a or b", "`and`, `or` or `)` at character 8"),
            ("a && b", "`and`, `or` or the end at character 3"),
            ("count(a) > 2", "`>=` at character 10"),
            ("count(a) >= 0", "a whole number of alerts, at least 1 at character 13"),
            ("count(a) >= 1.5", "`and`, `or` or the end at character 14"),
            ("count a", "`and`, `or` or the end at character 7"),
        ] {
            let error = Logic::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is not a condition over rules: {expected}"));
        }
    }

    #[test]
    fn an_endless_one_is_refused_before_it_exhausts_the_stack() {
        for text in ["(".repeat(400), "not ".repeat(100), "a and ".repeat(100_000)] {
            assert!(Logic::parse(&text).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-c()>=0-9 éa-z]{0,60}|.{0,60}") {
            let _ = Logic::parse(&text);
        }
    }
}
