//! The users' values in what PostgreSQL says besides statements: rows, keys, parameters, wrong input.

use crate::logs::parse::sql;

/// What comes before an input that the server repeats in double quotes.
const BEFORE_INPUT: [&str; 5] = [": ", "value ", "at or near ", "Token ", "found "];

/// What comes before the values of a row or a key in parentheses.
const BEFORE_ROW: [&str; 3] = [")=", ") = ", "Failing row contains "];

/// Appends a DETAIL or CONTEXT without values: it may hold parameters or whole statements.
pub(super) fn continuation(text: &str, out: &mut String) {
    if text.starts_with("JSON data, line ") {
        out.push_str("JSON data, line ?: ?");
        return;
    }
    // What looks like a row may stand in a statement or in a parameter, with other values before it.
    match row(text).or_else(|| input(text)) {
        Some(parts) => parts.mask(sql::mask_embedded, out),
        None => _ = sql::mask_embedded(text, out),
    }
}

/// Appends any other message without values. Its names (`constraint "users_email_key"`) and numbers stay.
pub(super) fn message(text: &str, out: &mut String) {
    if text.starts_with("AUDIT: ") {
        return audit(text, out);
    }
    match input(text) {
        Some(parts) => parts.mask(sql::mask_prose, out),
        None => _ = sql::mask_prose(text, out),
    }
}

/// A text whose middle is a user's.
struct Parts<'a> {
    before: &'a str,
    /// Instead of the user's part and what ends it.
    instead: &'static str,
    after: &'a str,
}

impl Parts<'_> {
    /// What stands before the user's part may end within a literal, or seem so: then nothing is known of
    /// what follows.
    fn mask(&self, mask: fn(&str, &mut String) -> bool, out: &mut String) {
        let is_cut = mask(self.before, out);
        if !is_cut {
            out.push_str(self.instead);
            mask(self.after, out);
        }
    }
}

/// `Key (email)=(anna@example.com) already exists.` and its like. A value may have parentheses of its
/// own: the last one ends it, and without one it goes to the end.
fn row(text: &str) -> Option<Parts<'_>> {
    let (before, rest) = split_after(text, '(', &BEFORE_ROW)?;
    let after = rest.rsplit_once(')').map_or("", |(_, after)| after);
    Some(Parts { before, instead: "?)", after })
}

/// `invalid input syntax for type integer: "Anna"`. The input may have quotes of its own: the last one
/// ends it.
fn input(text: &str) -> Option<Parts<'_>> {
    let (before, rest) = split_after(text, '"', &BEFORE_INPUT)?;
    let after = rest.rsplit_once('"').map_or("", |(_, after)| after);
    Some(Parts { before, instead: "?\"", after })
}

/// Splits `text` after the first `mark` that stands behind one of `known`.
fn split_after<'a>(text: &'a str, mark: char, known: &[&str]) -> Option<(&'a str, &'a str)> {
    let is_known = |at: &usize| known.iter().any(|known| text[..*at].ends_with(known));
    let (at, _) = text.match_indices(mark).find(|(at, _)| is_known(at))?;
    Some(text.split_at(at + 1))
}

/// pgaudit: kind, ids, class, command, object type and object stay; the statement and its parameters go.
fn audit(text: &str, out: &mut String) {
    match text.match_indices(',').nth(6) {
        Some((at, _)) => {
            out.push_str(&text[..at]);
            out.push_str(",?");
        }
        None => out.push_str("AUDIT: ?"),
    }
}
