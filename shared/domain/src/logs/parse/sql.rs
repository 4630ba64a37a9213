//! Just enough SQL to take the literals out of a statement and to name what it does to which table.

/// What a statement does.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its first word, in capitals.
    pub verb: String,
    /// The first table that it names.
    pub table: Option<String>,
}

/// `statement` with every literal (text in single quotes, dollar quotes, numbers) replaced by `?`.
/// A literal that does not end takes the rest of the statement with it: better too much than too little.
pub fn mask_literals(statement: &str) -> String {
    let bytes = statement.as_bytes();
    let mut masked = String::with_capacity(statement.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &statement[at..];
        let length = match bytes[at] {
            b'\'' => {
                // `E'...'` has backslash escapes, and so might any text with old settings: treat
                // every backslash as one.
                masked.push('?');
                quoted(rest)
            }
            b'"' => {
                let length = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
                masked.push_str(&rest[..length]);
                length
            }
            b'$' => match dollar_quoted(rest) {
                Some(length) => {
                    masked.push('?');
                    length
                }
                None => {
                    // A parameter, `$1`, is no literal.
                    let length = number(&rest[1..]) + 1;
                    masked.push_str(&rest[..length]);
                    length
                }
            },
            b'0'..=b'9' => {
                masked.push('?');
                number(rest)
            }
            _ if word(rest) > 0 => {
                masked.push_str(&rest[..word(rest)]);
                word(rest)
            }
            _ => {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                masked.push_str(&rest[..length]);
                length
            }
        };
        at += length;
    }
    masked
}

/// Length of the quoted text that `text` begins with.
fn quoted(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
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
        fn no_quoted_text_survives(secret in "[a-z]{8}", before in "[A-Z ]{0,10}") {
            let masked = mask_literals(&format!("{before} = '{secret}' AND x"));
            prop_assert!(!masked.contains(&secret));
        }
    }
}
