//! The users' values in what PostgreSQL says besides statements: rows, keys, parameters, wrong input.

use crate::logs::parse::sql;

/// What comes before an input that the server repeats in double quotes.
const BEFORE_INPUT: [&str; 5] = [": \"", "value \"", "at or near \"", "Token \"", "found \""];

/// What comes before the values of a row or a key in parentheses.
const BEFORE_ROW: [&str; 3] = [")=(", ") = (", "Failing row contains ("];

/// A DETAIL or CONTEXT without values: it may hold parameters or whole statements.
pub(super) fn continuation(text: &str) -> String {
    if text.starts_with("JSON data, line ") {
        return "JSON data, line ?: ?".to_owned();
    }
    // What looks like a row may stand in a statement or in a parameter, with other values before it.
    sql::mask_embedded(&row(text).unwrap_or_else(|| input(text)))
}

/// Any other message without values. Its names (`constraint "users_email_key"`) and numbers stay.
pub(super) fn message(text: &str) -> String {
    if text.starts_with("AUDIT: ") {
        return audit(text);
    }
    sql::mask_prose(&input(text))
}

/// `Key (email)=(anna@example.com) already exists.` and its like. A value may have parentheses of its
/// own: the last one ends it, and without one it goes to the end.
fn row(text: &str) -> Option<String> {
    let start = BEFORE_ROW.iter().filter_map(|mark| Some(text.find(mark)? + mark.len())).min()?;
    let after = text[start..].rsplit_once(')').map_or("", |(_, after)| after);
    Some(format!("{}?){after}", &text[..start]))
}

/// `invalid input syntax for type integer: "Anna"`. The input may have quotes of its own: the last one
/// ends it.
fn input(text: &str) -> String {
    let Some(start) = BEFORE_INPUT.iter().filter_map(|mark| Some(text.find(mark)? + mark.len())).min() else {
        return text.to_owned();
    };
    let after = text[start..].rsplit_once('"').map_or("", |(_, after)| after);
    format!("{}?\"{after}", &text[..start])
}

/// pgaudit: kind, ids, class, command, object type and object stay; the statement and its parameters go.
fn audit(text: &str) -> String {
    match text.match_indices(',').nth(6) {
        Some((at, _)) => format!("{},?", &text[..at]),
        None => "AUDIT: ?".to_owned(),
    }
}
