//! Just enough SQL to take the literals out of a statement and to name what it does to which table.

/// What a statement does.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its first word, in capitals.
    pub verb: String,
    /// The first table that it names.
    pub table: Option<String>,
}

/// What a text is, as far as its quotes are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A statement: names in double quotes stay whole.
    Statement,
    /// A statement somewhere in a text: double quotes may stand around it, and protect nothing.
    Embedded,
    /// A sentence: its numbers and apostrophes are none of SQL.
    Prose,
}

/// `statement` with every literal (text in single quotes, dollar quotes, numbers) replaced by `?`, and
/// without comments. A literal that does not end takes the rest of the statement with it: better too
/// much than too little.
pub fn mask_literals(statement: &str) -> String {
    mask(statement, Kind::Statement)
}

/// The same for a text that may hold a statement or its values, also between double quotes.
pub fn mask_embedded(text: &str) -> String {
    mask(text, Kind::Embedded)
}

/// A server message without the texts in single quotes.
pub fn mask_prose(text: &str) -> String {
    mask(text, Kind::Prose)
}

fn mask(text: &str, kind: Kind) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    let mut prefix = Prefix::None;
    while at < text.len() {
        let rest = &text[at..];
        let (length, is_literal) = token(rest, kind, prefix == Prefix::Escapes);
        let token = &rest[..length];
        if comment(rest, kind) > 0 {
            masked.push_str(if token.starts_with('/') { " " } else { "" });
        } else {
            masked.push_str(if is_literal { "?" } else { token });
            prefix = prefix.after(token, &rest[length..]);
        }
        at += length;
    }
    masked
}

/// What stands before a text in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    /// Nothing that matters.
    None,
    /// `E`, or such a text on a line before, which this one continues: backslashes escape.
    Escapes,
    /// Such a text on the same line.
    Ended,
}

impl Prefix {
    fn after(self, token: &str, rest: &str) -> Prefix {
        match self {
            _ if token.eq_ignore_ascii_case("e") && rest.starts_with('\'') => Prefix::Escapes,
            Prefix::Escapes if token.starts_with('\'') => Prefix::Ended,
            Prefix::Ended if token.starts_with(['\n', '\r']) => Prefix::Escapes,
            Prefix::Escapes | Prefix::Ended if token.starts_with(char::is_whitespace) => self,
            _ => Prefix::None,
        }
    }
}

/// Length of the token that `text` begins with, and whether it is a literal.
fn token(text: &str, kind: Kind, escapes: bool) -> (usize, bool) {
    let first = text.as_bytes()[0];
    let skipped = comment(text, kind);
    if skipped > 0 {
        return (skipped, false);
    }
    match first {
        b'\'' => (quoted(text, escapes), true),
        b'"' if kind == Kind::Statement => (text[1..].find('"').map_or(1, |end| end + 2), false),
        b'$' => match dollar_quoted(text) {
            Some(length) => (length, true),
            // A parameter, `$1`, is no literal.
            None => (1 + number(&text[1..]), false),
        },
        b'0'..=b'9' => (number(text), kind != Kind::Prose),
        _ => match word(text) {
            0 => (text.chars().next().map_or(1, char::len_utf8), false),
            length if kind == Kind::Prose && length > 1 => (length + apostrophe(&text[length..]), false),
            length => (length, false),
        },
    }
}

/// Length of the comment that `text` begins with, 0 for none. Comments nest, and one that does not end
/// takes the rest.
fn comment(text: &str, kind: Kind) -> usize {
    if kind == Kind::Prose {
        return 0;
    }
    if text.starts_with("--") {
        return text.find(['\n', '\r']).unwrap_or(text.len());
    }
    if !text.starts_with("/*") {
        return 0;
    }
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => (at, depth) = (at + 2, depth + 1),
            (b'*', Some(b'/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

/// Length of an apostrophe inside of a word (`doesn't`), 0 for anything else.
fn apostrophe(text: &str) -> usize {
    let follows = |rest: &str| rest.starts_with(char::is_alphabetic);
    usize::from(text.strip_prefix('\'').is_some_and(follows))
}

/// Length of the quoted text that `text` begins with. Without `escapes` a backslash is a character like
/// any other (`standard_conforming_strings`, the default).
fn quoted(text: &str, escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Length of `$tag$...$tag$` at the beginning of `text`; `None` for a parameter like `$1`.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = 1 + text[1..].find(|c: char| !c.is_alphanumeric() && c != '_')?;
    if text.as_bytes()[tag_end] != b'$' || text[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let tag = &text[..=tag_end];
    let body = &text[tag.len()..];
    Some(body.find(tag).map_or(text.len(), |end| tag.len() * 2 + end))
}

fn number(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_')).unwrap_or(text.len())
}

/// Length of the word (name or keyword) that `text` begins with; digits may follow, not lead.
fn word(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// What `statement` does, or `None` where it does not begin with a word.
pub fn shape(statement: &str) -> Option<Shape> {
    let mut words =
        statement.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';')).filter(|w| !w.is_empty());
    let verb = words.next().filter(|word| word.chars().all(|c| c.is_ascii_alphabetic()))?.to_ascii_uppercase();
    let name = |word: &str| {
        let name = word.rsplit('.').next().unwrap_or(word).trim_matches('"');
        (!name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then(|| name.to_lowercase())
    };
    let mut previous = if verb == "UPDATE" { "UPDATE" } else { "" };
    let table = words.find_map(|word| {
        let named = ["FROM", "INTO", "TABLE", "UPDATE"].iter().any(|key| previous.eq_ignore_ascii_case(key));
        let filler = ["ONLY", "IF", "EXISTS", "NOT"].iter().any(|key| word.eq_ignore_ascii_case(key));
        if named && filler {
            return None;
        }
        previous = word;
        // `FROM (SELECT ...`: the table comes later.
        (named && !word.eq_ignore_ascii_case("SELECT")).then(|| name(word)).flatten()
    });
    Some(Shape { verb, table })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_go_and_names_stay() {
        for (statement, masked) in [
            ("SELECT * FROM t WHERE a = 'x' AND b = 42", "SELECT * FROM t WHERE a = ? AND b = ?"),
            ("SELECT 'it''s', E'a\\'b', t1.c2 FROM t1", "SELECT ?, E?, t1.c2 FROM t1"),
            (r"WHERE path = 'C:\' AND name = 'Anna Petrova'", "WHERE path = ? AND name = ?"),
            ("SELECT e'a\\'b'\n  'c\\'d', 'e\\' FROM t", "SELECT e?\n  ?, ? FROM t"),
            ("SELECT 1 -- 'Anna\nFROM t /* it's /* Anna */ */ WHERE x = 'y'", "SELECT ? \nFROM t   WHERE x = ?"),
            ("/* never ends 'Anna'", " "),
            ("SELECT \"never ends, 'Anna'", "SELECT \"never ends, ?"),
            ("SELECT $1, $2::text", "SELECT $1, $2::text"),
            ("SELECT $1, $$body 'x'$$, $q$ $$ $q$ FROM t", "SELECT $1, ?, ? FROM t"),
            ("UPDATE \"Order 66\" SET v = -1.5e10", "UPDATE \"Order 66\" SET v = -?"),
            ("SELECT 'never ends", "SELECT ?"),
            ("SELECT имя FROM люди WHERE город='Тула'", "SELECT имя FROM люди WHERE город=?"),
        ] {
            assert_eq!(mask_literals(statement), masked);
        }
    }

    #[test]
    fn a_statement_names_its_verb_and_first_table() {
        for (statement, verb, table) in [
            ("SELECT * FROM contracts WHERE id = ?", "SELECT", Some("contracts")),
            ("insert into public.users(email) values (?)", "INSERT", Some("users")),
            ("UPDATE ONLY \"Parcels\" SET x = ?", "UPDATE", Some("parcels")),
            ("DELETE FROM sessions", "DELETE", Some("sessions")),
            ("SELECT a FROM (SELECT b FROM inner_t) x", "SELECT", Some("inner_t")),
            ("DROP TABLE IF EXISTS old", "DROP", Some("old")),
            ("COMMIT", "COMMIT", None),
        ] {
            let shape = shape(statement).unwrap();
            assert_eq!((shape.verb.as_str(), shape.table.as_deref()), (verb, table), "{statement}");
        }
        assert_eq!(shape("?"), None);
        assert_eq!(shape(""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_masked_without_a_panic_and_twice_is_once(text in ".{0,80}") {
            let masked = mask_literals(&text);
            prop_assert_eq!(mask_literals(&masked), masked.clone());
            let _ = shape(&masked);
        }

        #[test]
        fn no_quoted_text_survives(
            secret in "[a-z]{8}",
            before in "[A-Z ]{0,10}",
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    r"'C:\', ", r"E'it\'s', ", r"e'\\', ", "'it''s', ", "-- it's\n", "/* it's */ ", "/* /* ' */ */ ",
                    "$$'$$, ", "$1, ", "\"a'b\", ", "'--', ", "'/*', ", "E'a'\n'b\\'', ",
                ]),
                0..6,
            ),
        ) {
            let around = parts.concat();
            for literal in [format!("'{secret}'"), format!("E'\\'{secret}'"), format!("$q${secret}$q$")] {
                let masked = mask_literals(&format!("{before} {around} = {literal} AND x {around}"));
                prop_assert!(!masked.contains(&secret), "{}", masked);
                prop_assert!(masked.contains("AND x"), "{}", masked);
            }
        }
    }

    #[test]
    fn texts_around_a_statement_are_masked_with_it() {
        for (text, masked) in [
            ("SQL statement \"INSERT INTO t VALUES ('Anna', 7)\"", "SQL statement \"INSERT INTO t VALUES (?, ?)\""),
            ("parameters: $1 = 'Анна', $2 = NULL", "parameters: $1 = ?, $2 = NULL"),
        ] {
            assert_eq!(mask_embedded(text), masked);
        }
        let text = "constraint \"users_email_key\" doesn't allow 'Anna' in line 7";
        assert_eq!(mask_prose(text), "constraint \"users_email_key\" doesn't allow ? in line 7");
    }
}
