//! What a statement does to which table.

use std::borrow::Cow;

use super::lexer::{Token, Tokens};

/// What a statement does.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape<'m> {
    /// Its first word, in capitals.
    pub verb: Cow<'m, str>,
    /// The first table that it names, as it is written there, without schema and quotes. Only letters,
    /// digits, `_` and `$`.
    pub table: Option<&'m str>,
}

/// Longer words than any verb are not one.
const LONGEST_VERB: usize = 32;

const VERBS: [&str; 40] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SET",
    "SHOW",
    "WITH",
    "COPY",
    "MERGE",
    "TRUNCATE",
    "CREATE",
    "ALTER",
    "DROP",
    "GRANT",
    "REVOKE",
    "VACUUM",
    "ANALYZE",
    "EXPLAIN",
    "CALL",
    "DO",
    "LOCK",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "DISCARD",
    "RESET",
    "SAVEPOINT",
    "RELEASE",
    "START",
    "END",
    "ABORT",
    "DECLARE",
    "FETCH",
    "CLOSE",
    "REFRESH",
    "REINDEX",
    "VALUES",
];

/// What a statement (masked or not) does, or `None` where it does not begin with a word of ASCII letters.
pub fn shape(statement: &str) -> Option<Shape<'_>> {
    let mut tokens = Tokens::of(statement).map(|(token, _)| token);
    let first = tokens.by_ref().find(|token| !matches!(token, Token::Sign(b'(' | b')' | b',' | b';')))?;
    let Token::Word(first) = first else { return None };
    let verb = verb(first)?;
    let table = table(&verb, tokens);
    Some(Shape { verb, table })
}

fn verb(word: &str) -> Option<Cow<'_, str>> {
    if word.len() > LONGEST_VERB || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    Some(match VERBS.iter().find(|verb| verb.eq_ignore_ascii_case(word)) {
        Some(verb) => Cow::Borrowed(*verb),
        None if word.bytes().all(|byte| byte.is_ascii_uppercase()) => Cow::Borrowed(word),
        None => Cow::Owned(word.to_ascii_uppercase()),
    })
}

/// Where in a statement the search for its table is.
#[derive(Clone, Copy)]
enum Search<'m> {
    /// Before a word that a table follows.
    Keyword,
    /// After such a word.
    Named,
    /// After a name, which is a schema if a dot follows.
    Found(&'m str),
    /// After a name and a dot.
    Dot(&'m str),
}

fn table<'m>(verb: &str, tokens: impl Iterator<Item = Token<'m>>) -> Option<&'m str> {
    let mut search = if matches!(verb, "UPDATE" | "COPY" | "TRUNCATE") { Search::Named } else { Search::Keyword };
    // A bit for each open parenthesis, whether FROM names a table in it: not so in `extract(day FROM d)`.
    let mut selects = u64::from(matches!(verb, "SELECT" | "DELETE"));
    let mut previous = verb;
    for token in tokens {
        if let Search::Found(found) = search
            && !matches!(token, Token::Sign(b'.'))
        {
            return Some(found);
        }
        search = match (search, token) {
            (Search::Found(found) | Search::Dot(found), Token::Sign(b'.')) => Search::Dot(found),
            (Search::Dot(_), Token::Word(name)) => named(name),
            (Search::Dot(_), Token::Name(name)) => named(name.trim_matches('"')),
            (Search::Dot(found), _) => return Some(found),
            (Search::Named, Token::Word(word)) if is_one_of(word, &["ONLY", "IF", "EXISTS", "NOT", "TABLE"]) => search,
            (Search::Named, Token::Word(word)) if !is_one_of(word, &["SELECT", "LATERAL", "WITH"]) => named(word),
            (Search::Named, Token::Name(name)) => named(name.trim_matches('"')),
            // `FROM (SELECT ...`: the table comes later.
            (Search::Named, Token::Sign(b'(')) => Search::Named,
            (_, Token::Word(word)) if names_a_table(word, previous, selects & 1 == 1) => Search::Named,
            _ => Search::Keyword,
        };
        match token {
            Token::Sign(b'(') => selects <<= 1,
            Token::Sign(b')') => selects >>= 1,
            Token::Word(word) if is_one_of(word, &["SELECT", "DELETE"]) => selects |= 1,
            _ => {}
        }
        previous = if let Token::Word(word) = token { word } else { "" };
    }
    match search {
        Search::Found(found) | Search::Dot(found) => Some(found),
        Search::Keyword | Search::Named => None,
    }
}

fn named(name: &str) -> Search<'_> {
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
    if is_plain { Search::Found(name) } else { Search::Keyword }
}

fn names_a_table(word: &str, previous: &str, in_select: bool) -> bool {
    match word.len() {
        4 if word.eq_ignore_ascii_case("FROM") => in_select && !previous.eq_ignore_ascii_case("DISTINCT"),
        4 => word.eq_ignore_ascii_case("INTO"),
        5 => word.eq_ignore_ascii_case("TABLE"),
        // `FOR UPDATE`, `ON CONFLICT DO UPDATE`, a trigger's `BEFORE INSERT OR UPDATE`.
        6 if word.eq_ignore_ascii_case("UPDATE") => {
            !is_one_of(previous, &["FOR", "KEY", "DO", "ON", "OR", "AFTER", "BEFORE"])
        }
        _ => false,
    }
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}
