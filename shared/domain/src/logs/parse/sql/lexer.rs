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

/// A part of a text that is more than words, signs and space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Literal,
    /// `$1`.
    Parameter,
    /// A name with its double quotes.
    Name,
    LineComment,
    BlockComment,
}

/// What was last, as far as it decides whether backslashes escape in a text in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Other,
    /// A text `E'...'`: another one continues it on the next line.
    Escaped,
    /// The same, and a line has ended since.
    EscapedLine,
}

/// Finds the parts of a text, in linear time.
pub(super) struct Scanner<'a> {
    text: &'a str,
    kind: Kind,
    /// End of the part before.
    at: usize,
    last: Last,
    cut: bool,
}

/// Bits of a byte: what may begin a part, ...
const STOP: u8 = 1;
/// ... a digit, which begins a number unless it stands in a word, ...
const DIGIT: u8 = 2;
/// ... and what may stand in a word: letters, digits, `_`, `$`, and everything outside of ASCII.
const WORD: u8 = 4;

const STATEMENT: [u8; 256] = bits(b"'$-/\"", true);
const EMBEDDED: [u8; 256] = bits(b"'$-/", true);
const PROSE: [u8; 256] = bits(b"'$", false);

const fn bits(stops: &[u8], numbers: bool) -> [u8; 256] {
    let mut bits = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        bits[byte] = match byte as u8 {
            b'0'..=b'9' if numbers => DIGIT | WORD,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80.. => WORD,
            _ => 0,
        };
        byte += 1;
    }
    let mut at = 0;
    while at < stops.len() {
        bits[stops[at] as usize] |= STOP;
        at += 1;
    }
    bits
}

fn is_of_word(byte: u8) -> bool {
    STATEMENT[usize::from(byte)] & WORD != 0
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, kind: Kind) -> Self {
        Scanner { text, kind, at: 0, last: Last::Other, cut: false }
    }

    /// Whether the text ended within a literal or a comment: what follows it would belong to that.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// The next part. In it, `floor` is where the word around a stop may begin at the earliest.
    fn part(&mut self) -> Option<(Part, Range<usize>)> {
        let bytes = self.text.as_bytes();
        let bits = match self.kind {
            Kind::Statement => &STATEMENT,
            Kind::Embedded => &EMBEDDED,
            Kind::Prose => &PROSE,
        };
        let (mut floor, mut at) = (self.at, self.at);
        let mut is_in_word = 0;
        loop {
            // No branch for each kind of byte: their order can't be foretold.
            let stop = bytes[at..].iter().position(|byte| {
                let bits = bits[usize::from(*byte)];
                let stops = bits & (STOP | (DIGIT & !is_in_word));
                is_in_word = (bits & WORD) >> 1;
                stops != 0
            });
            at += stop?;
            let found = match bytes[at] {
                b'\'' if self.kind == Kind::Prose && is_apostrophe(&self.text[floor..at], &self.text[at + 1..]) => None,
                b'\'' => Some((Part::Literal, at, self.quoted(floor, at))),
                b'$' if self.is_within_word(floor, at) => None,
                b'$' => match self.dollar(at) {
                    Some((part, end)) => Some((part, at, end)),
                    None => {
                        (floor, is_in_word) = (at + 1, 0);
                        None
                    }
                },
                // One that does not end protects nothing. (It is the last one: the search is made once.)
                b'"' => self.text[at + 1..].find('"').map(|end| (Part::Name, at, at + end + 2)),
                b'-' if bytes.get(at + 1) == Some(&b'-') => {
                    Some((Part::LineComment, at, self.run(at, |byte| !matches!(byte, b'\n' | b'\r'))))
                }
                b'/' if bytes.get(at + 1) == Some(&b'*') => Some((Part::BlockComment, at, self.block_comment(at))),
                b'-' | b'/' => None,
                _ => {
                    let start = at - usize::from(at > floor && bytes[at - 1] == b'.');
                    Some((Part::Literal, start, self.number(start)))
                }
            };
            match found {
                Some((part, start, end)) => return Some((part, start..end)),
                None => at += 1,
            }
        }
    }

    fn is_within_word(&self, floor: usize, at: usize) -> bool {
        let before = &self.text.as_bytes()[floor..at];
        // A sentence has numbers that are no literals: a name does not begin with a digit.
        before.last().is_some_and(|byte| is_of_word(*byte) && !(self.kind == Kind::Prose && byte.is_ascii_digit()))
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

    /// End of the text in quotes that begins at `start`. Without escapes a backslash is a character like
    /// any other (`standard_conforming_strings`, the default).
    fn quoted(&mut self, floor: usize, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let has_e = match &bytes[floor..start] {
            [.., before, b'e' | b'E'] => !is_of_word(*before),
            [b'e' | b'E'] => true,
            _ => false,
        };
        let escapes = has_e || self.last_until(start) == Last::EscapedLine;
        // Looked at when the next part is found.
        self.last = if escapes { Last::Escaped } else { Last::Other };
        let mut at = start + 1;
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
        self.until(end)
    }

    /// `self.last` after the text between the part before and `start`.
    fn last_until(&self, start: usize) -> Last {
        if self.last == Last::Other {
            return Last::Other;
        }
        let between = &self.text.as_bytes()[self.at..start];
        match between.iter().all(|byte| is_space(*byte)) {
            true if between.iter().any(|byte| matches!(byte, b'\n' | b'\r')) => Last::EscapedLine,
            true => self.last,
            false => Last::Other,
        }
    }

    /// `$tag$...$tag$`, a parameter like `$1`, or `None` for nothing but the sign.
    fn dollar(&mut self, start: usize) -> Option<(Part, usize)> {
        let bytes = self.text.as_bytes();
        if bytes.get(start + 1).is_some_and(u8::is_ascii_digit) {
            return Some((Part::Parameter, self.run(start + 1, |byte| byte.is_ascii_digit())));
        }
        let tag_end = self.run(start + 1, |byte| byte != b'$' && is_of_word(byte));
        if bytes.get(tag_end) != Some(&b'$') {
            return None;
        }
        let (tag, body) = (&self.text[start..=tag_end], tag_end + 1);
        let end = self.text[body..].find(tag).map(|end| body + end + tag.len());
        Some((Part::Literal, self.until(end)))
    }

    /// Comments nest.
    fn block_comment(&mut self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let (mut at, mut depth) = (start + 2, 1);
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
        self.until(end)
    }

    /// The sign of an exponent belongs to the number, but not after a hexadecimal `0x1e`.
    fn number(&self, start: usize) -> usize {
        let mantissa = self.run(start, |byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_'));
        let exponent = match self.text.as_bytes().get(mantissa..mantissa + 3) {
            Some([b'e' | b'E', b'+' | b'-', digit]) if digit.is_ascii_digit() => mantissa + 3,
            _ => mantissa,
        };
        self.run(exponent, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
    }
}

impl Iterator for Scanner<'_> {
    type Item = (Part, Range<usize>);

    fn next(&mut self) -> Option<(Part, Range<usize>)> {
        let (part, range) = self.part()?;
        match part {
            Part::LineComment | Part::BlockComment => self.last = self.last_until(range.start),
            Part::Literal if self.text.as_bytes()[range.start] == b'\'' => {}
            _ => self.last = Last::Other,
        }
        self.at = range.end;
        Some((part, range))
    }
}

/// Whether the quote between `before` and `rest` stands inside of a word (`doesn't`). After a single
/// letter it begins a literal (`E'...'`).
fn is_apostrophe(before: &str, rest: &str) -> bool {
    if !rest.starts_with(char::is_alphabetic) {
        return false;
    }
    let start = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
    let letters = &before[start.len()..];
    letters.len() > 1 && !start.ends_with(['$', '.']) && !letters.starts_with(|c: char| c.is_ascii_digit())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or an unquoted name.
    Word(&'a str),
    /// A name with its double quotes: its letter case counts.
    Name(&'a str),
    /// A literal or a parameter.
    Value,
    /// One character of anything else, of ASCII.
    Sign(u8),
}

/// The tokens of a statement without space and comments, each with what follows it.
pub(super) struct Tokens<'a> {
    scanner: Scanner<'a>,
    at: usize,
    /// The part that is next, or an empty one at the end.
    next: (Part, Range<usize>),
}

impl<'a> Tokens<'a> {
    pub(super) fn of(statement: &'a str) -> Self {
        let mut tokens =
            Tokens { scanner: Scanner::new(statement, Kind::Statement), at: 0, next: (Part::LineComment, 0..0) };
        tokens.find_part();
        tokens
    }

    fn find_part(&mut self) {
        let end = self.scanner.text.len();
        self.next = self.scanner.next().unwrap_or((Part::LineComment, end..end));
    }

    fn plain(&mut self) -> (Token<'a>, &'a str) {
        let text = self.scanner.text;
        let (byte, start) = (text.as_bytes()[self.at], self.at);
        let mut length = 1;
        if byte != b'$' && is_of_word(byte) {
            let rest = &text.as_bytes()[start..self.next.1.start];
            length = rest.iter().position(|byte| !is_of_word(*byte)).unwrap_or(rest.len());
        }
        self.at += length;
        let (token, rest) = text[start..].split_at(length);
        (if byte != b'$' && is_of_word(byte) { Token::Word(token) } else { Token::Sign(byte) }, rest)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (Token<'a>, &'a str);

    fn next(&mut self) -> Option<(Token<'a>, &'a str)> {
        let text = self.scanner.text;
        loop {
            let part = self.next.1.clone();
            while self.at < part.start && is_space(text.as_bytes()[self.at]) {
                self.at += 1;
            }
            if self.at < part.start {
                return Some(self.plain());
            }
            if self.at == text.len() {
                return None;
            }
            let kind = self.next.0;
            self.at = part.end;
            self.find_part();
            let rest = &text[part.end..];
            match kind {
                Part::Literal | Part::Parameter => return Some((Token::Value, rest)),
                Part::Name => return Some((Token::Name(&text[part]), rest)),
                Part::LineComment | Part::BlockComment => {}
            }
        }
    }
}
