//! SQL and sentences without their literals.

use super::lexer::{Kind, Part, Scanner};

/// Appends `statement` with every literal (text in single quotes, dollar quotes, numbers) replaced by
/// `?`, and without comments. A literal that does not end takes the rest of the statement with it: better
/// too much than too little.
///
/// Where a quote is missing or one too many, as in `('O'Neil', 'x')`, nobody can tell literals from what is
/// between them: answers where in `out` the first literal stands then.
pub fn mask_literals(statement: &str, out: &mut String) -> Option<usize> {
    let masked = mask(statement, Kind::Statement, out);
    masked.first_literal.filter(|_| masked.has_stray_quote || masked.is_cut)
}

/// The same for a text that may hold a statement or its values, also between double quotes. Answers
/// whether it ended within a literal or a comment: what follows would belong to that.
pub fn mask_embedded(text: &str, out: &mut String) -> bool {
    mask(text, Kind::Embedded, out).is_cut
}

/// Appends a message of the server without the texts in single quotes. Answers whether it ended within
/// such a text.
pub fn mask_prose(text: &str, out: &mut String) -> bool {
    mask(text, Kind::Prose, out).is_cut
}

/// What was found of a text as it was masked.
struct Masked {
    /// Where in the result the first literal stands.
    first_literal: Option<usize>,
    /// Whether a text in quotes is followed by a letter at once.
    has_stray_quote: bool,
    /// Whether the text ended within a literal or a comment.
    is_cut: bool,
}

fn mask(text: &str, kind: Kind, out: &mut String) -> Masked {
    let mut parts = Scanner::new(text, kind);
    let (mut copied, mut first_literal, mut has_stray_quote) = (0, None, false);
    for (part, range) in parts.by_ref() {
        let instead = match part {
            Part::Literal => "?",
            Part::BlockComment => " ",
            Part::LineComment => "",
            Part::Name | Part::Parameter => continue,
        };
        out.push_str(&text[copied..range.start]);
        if part == Part::Literal {
            first_literal.get_or_insert(out.len());
            let goes_on = text[range.end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
            has_stray_quote |= goes_on && text[..range.end].ends_with('\'');
        }
        out.push_str(instead);
        copied = range.end;
    }
    out.push_str(&text[copied..]);
    Masked { first_literal, has_stray_quote, is_cut: parts.is_cut() }
}
