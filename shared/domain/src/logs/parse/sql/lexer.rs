//! The tokens of SQL, as far as they are needed to know what is a literal. What PostgreSQL's own lexer
//! takes for a literal is one here.

use std::ops::Range;

/// What a text is, as far as its quotes are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A statement: names in double quotes stay whole.
    Statement,
    /// A statement somewhere in a text: double quotes may stand around it, and protect nothing.
    Embedded,
    /// A sentence: its numbers and apostrophes are none of SQL, and it has no comments.
    Prose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Space,
    /// A keyword or an unquoted name; a number of a sentence.
    Word,
    /// A name with its double quotes.
    Name,
    Literal,
    /// `$1`.
    Parameter,
    LineComment,
    BlockComment,
    /// One character of anything else; it is ASCII.
    Sign,
}

/// What stands before a text in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing that matters.
    Other,
    /// `E`, or such a text on a line before, which this one continues: backslashes escape.
    Escapes,
    /// Such a text on the same line.
    Ended,
}

/// Cuts a text into tokens without gaps, in linear time.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    kind: Kind,
    before: Before,
    cut: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Sign,
    Space,
    /// Letters, `_`, and everything outside of ASCII: they begin a name.
    Letter,
    Digit,
    Dollar,
    Quote,
    DoubleQuote,
    Dash,
    Slash,
    Dot,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Sign; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'$' => Class::Dollar,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b'-' => Class::Dash,
            b'/' => Class::Slash,
            b'.' => Class::Dot,
            _ => Class::Sign,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, kind: Kind) -> Self {
        Lexer { text, at: 0, kind, before: Before::Other, cut: false }
    }

    /// Whether the text ended within a literal or a comment: what follows it would belong to that.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    /// End of the run of bytes from `from` on that `is_part` takes.
    fn run(&self, from: usize, is_part: impl Fn(u8) -> bool) -> usize {
        let bytes = &self.text.as_bytes()[from..];
        from + bytes.iter().position(|byte| !is_part(*byte)).unwrap_or(bytes.len())
    }

    /// End of a literal or comment that ends at `end`, or never.
    fn until(&mut self, end: Option<usize>) -> usize {
        self.cut |= end.is_none();
        end.unwrap_or(self.text.len())
    }

    fn space(&mut self) -> (Token, usize) {
        let end = self.run(self.at, |byte| class(byte) == Class::Space);
        if self.before == Before::Ended && self.text[self.at..end].contains(['\n', '\r']) {
            self.before = Before::Escapes;
        }
        (Token::Space, end)
    }

    fn word(&mut self) -> (Token, usize) {
        let mut end = self.run(self.at, |byte| matches!(class(byte), Class::Letter | Class::Digit | Class::Dollar));
        let quote_follows = self.text.as_bytes().get(end) == Some(&b'\'');
        let word = &self.text[self.at..end];
        self.before = match quote_follows && word.eq_ignore_ascii_case("e") {
            true => Before::Escapes,
            false => Before::Other,
        };
        if quote_follows && self.kind == Kind::Prose && is_apostrophe(word, &self.text[end + 1..]) {
            end += 1;
        }
        (Token::Word, end)
    }

    fn number(&mut self) -> (Token, usize) {
        self.before = Before::Other;
        if self.kind == Kind::Prose {
            return (Token::Word, self.run(self.at, is_of_number));
        }
        (Token::Literal, self.end_of_number())
    }

    /// The sign of an exponent belongs to the number, but not after a hexadecimal `0x1e`.
    fn end_of_number(&self) -> usize {
        let bytes = self.text.as_bytes();
        let mantissa = self.run(self.at, |byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_'));
        let exponent = match bytes.get(mantissa..mantissa + 3) {
            Some([b'e' | b'E', b'+' | b'-', digit]) if digit.is_ascii_digit() => mantissa + 3,
            _ => mantissa,
        };
        self.run(exponent, is_of_number)
    }

    /// Without escapes a backslash is a character like any other (`standard_conforming_strings`, the
    /// default).
    fn quoted(&mut self) -> (Token, usize) {
        let escapes = self.before == Before::Escapes;
        self.before = if escapes { Before::Ended } else { Before::Other };
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let end = loop {
            at = self.run(at, |byte| byte != b'\'' && !(escapes && byte == b'\\'));
            match bytes.get(at) {
                None => break None,
                // A doubled quote, or whatever is escaped. An escaped character of several bytes is skipped
                // by its first: none of the others is a quote.
                Some(b'\\') => at = (at + 2).min(bytes.len()),
                Some(_) if bytes.get(at + 1) == Some(&b'\'') => at += 2,
                Some(_) => break Some(at + 1),
            }
        };
        (Token::Literal, self.until(end))
    }

    /// `$tag$...$tag$`, a parameter like `$1`, or nothing but the sign.
    fn dollar(&mut self) -> (Token, usize) {
        self.before = Before::Other;
        let bytes = self.text.as_bytes();
        if self.peek(1).is_ascii_digit() {
            return (Token::Parameter, self.run(self.at + 1, |byte| byte.is_ascii_digit()));
        }
        let tag_end = self.run(self.at + 1, |byte| matches!(class(byte), Class::Letter | Class::Digit));
        if bytes.get(tag_end) != Some(&b'$') {
            return (Token::Sign, self.at + 1);
        }
        let (tag, body) = (&self.text[self.at..=tag_end], tag_end + 1);
        let end = self.text[body..].find(tag).map(|end| body + end + tag.len());
        (Token::Literal, self.until(end))
    }

    /// Comments nest.
    fn block_comment(&mut self) -> (Token, usize) {
        let bytes = self.text.as_bytes();
        let (mut at, mut depth) = (self.at + 2, 1);
        let end = loop {
            at = self.run(at, |byte| !matches!(byte, b'/' | b'*'));
            match (bytes.get(at), bytes.get(at + 1)) {
                (None, _) => break None,
                (Some(b'/'), Some(b'*')) => (at, depth) = (at + 2, depth + 1),
                (Some(b'*'), Some(b'/')) if depth == 1 => break Some(at + 2),
                (Some(b'*'), Some(b'/')) => (at, depth) = (at + 2, depth - 1),
                _ => at += 1,
            }
        };
        (Token::BlockComment, self.until(end))
    }

    fn name_or_sign(&mut self) -> (Token, usize) {
        self.before = Before::Other;
        // One that does not end protects nothing. (It is the last one: the search is made once.)
        match self.text[self.at + 1..].find('"') {
            Some(end) => (Token::Name, self.at + end + 2),
            None => (Token::Sign, self.at + 1),
        }
    }

    fn sign(&mut self) -> (Token, usize) {
        self.before = Before::Other;
        (Token::Sign, self.at + 1)
    }
}

impl Iterator for Lexer<'_> {
    type Item = (Token, Range<usize>);

    #[inline]
    fn next(&mut self) -> Option<(Token, Range<usize>)> {
        let start = self.at;
        let is_sql = self.kind != Kind::Prose;
        let (token, end) = match class(*self.text.as_bytes().get(start)?) {
            Class::Space => self.space(),
            Class::Letter => self.word(),
            Class::Digit => self.number(),
            Class::Dot if is_sql && self.peek(1).is_ascii_digit() => self.number(),
            Class::Quote => self.quoted(),
            Class::DoubleQuote if self.kind == Kind::Statement => self.name_or_sign(),
            Class::Dollar => self.dollar(),
            // To the end of the line, or of the text.
            Class::Dash if is_sql && self.peek(1) == b'-' => {
                (Token::LineComment, self.run(start, |byte| !matches!(byte, b'\n' | b'\r')))
            }
            Class::Slash if is_sql && self.peek(1) == b'*' => self.block_comment(),
            _ => self.sign(),
        };
        self.at = end;
        Some((token, start..end))
    }
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_')
}

/// Whether the quote between `word` and `rest` stands inside of a word (`doesn't`). After a single letter
/// it begins a literal (`E'...'`). What follows a sign outside of ASCII is a word of its own here.
fn is_apostrophe(word: &str, rest: &str) -> bool {
    let before = word.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
    let letters = &word[before.len()..];
    letters.len() > 1
        && !before.ends_with('$')
        && !letters.starts_with(|c: char| c.is_ascii_digit())
        && rest.starts_with(char::is_alphabetic)
}
