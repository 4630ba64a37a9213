//! SQL and sentences without their literals.

use super::lexer::{Kind, Part, Scanner};

/// Appends `statement` with every literal (text in single quotes, dollar quotes, numbers) replaced by
/// `?`, and without comments. A literal that does not end takes the rest of the statement with it: better
/// too much than too little.
pub fn mask_literals(statement: &str, out: &mut String) {
    mask(statement, Kind::Statement, out);
}

/// Whether a quote of `statement` is missing or one too many, as in `('O'Neil', 'x')`: then nobody can tell
/// literals from what is between them. Answers where the first literal begins.
pub fn stray_quote(statement: &str) -> Option<usize> {
    let mut parts = Scanner::new(statement, Kind::Statement);
    let (mut first, mut is_stray) = (None, false);
    for (_, range) in parts.by_ref().filter(|(part, _)| *part == Part::Literal) {
        first.get_or_insert(range.start);
        let goes_on = statement[range.end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        is_stray |= goes_on && statement[..range.end].ends_with('\'');
    }
    first.filter(|_| is_stray || parts.is_cut())
}

/// The same for a text that may hold a statement or its values, also between double quotes. Answers
/// whether it ended within a literal or a comment: what follows would belong to that.
pub fn mask_embedded(text: &str, out: &mut String) -> bool {
    mask(text, Kind::Embedded, out)
}

/// Appends a message of the server without the texts in single quotes. Answers whether it ended within
/// such a text.
pub fn mask_prose(text: &str, out: &mut String) -> bool {
    mask(text, Kind::Prose, out)
}

fn mask(text: &str, kind: Kind, out: &mut String) -> bool {
    let mut parts = Scanner::new(text, kind);
    let mut copied = 0;
    for (part, range) in parts.by_ref() {
        let instead = match part {
            Part::Literal => "?",
            Part::BlockComment => " ",
            Part::LineComment => "",
            Part::Name | Part::Parameter => continue,
        };
        out.push_str(&text[copied..range.start]);
        out.push_str(instead);
        copied = range.end;
    }
    out.push_str(&text[copied..]);
    parts.is_cut()
}
