//! What makes two statements the same: their words in their order. A stage each for values, for rows of
//! values, and for signs and commas between values; the last one feeds a hash.

use sha2::{Digest, Sha256};

use super::lexer::{Token, Tokens};

/// Appends the fingerprint of `statement` to `out`: 16 hexadecimal digits. It is the same for statements
/// that differ only in literals, parameters, letter case of keywords and unquoted names, white space,
/// comments, a semicolon at the end, and in the lengths of lists (`IN (?, ?)`, `VALUES (?, ?), (?, ?)`);
/// and it is the same for a statement and for what `mask_literals` makes of it.
pub fn fingerprint(statement: &str, out: &mut String) {
    let mut rows = Rows::new();
    let mut previous = "";
    let mut ended = false;
    for (token, rest) in Tokens::of(statement) {
        let token = match token {
            Token::Word(word) if is_prefix(word, rest) => continue,
            Token::Word(word) if is_value(word, previous) => Token::Value,
            Token::Sign(b'?') => Token::Value,
            token => token,
        };
        previous = if let Token::Word(word) = token { word } else { "" };
        if std::mem::replace(&mut ended, token == Token::Sign(b';')) {
            rows.put(Token::Sign(b';'));
        }
        if !ended {
            rows.put(token);
        }
    }
    rows.lists.end();
    let hash = rows.lists.words.hash();
    for byte in &hash[..8] {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
}

/// `E`, `B`, `X` and `N` right before a literal belong to it.
fn is_prefix(word: &str, rest: &str) -> bool {
    let &[letter] = word.as_bytes() else { return false };
    matches!(letter.to_ascii_lowercase(), b'e' | b'b' | b'x' | b'n')
        && match rest.as_bytes() {
            [b'\'' | b'?', ..] => true,
            // The lexer takes this for a number, wherever it stands.
            [b'.', digit, ..] => digit.is_ascii_digit(),
            _ => false,
        }
}

/// NULL, TRUE and FALSE, but not in `IS NULL`, `NOT NULL` and `SET NULL`.
fn is_value(word: &str, previous: &str) -> bool {
    // Most words are not worth three comparisons.
    matches!(word.as_bytes()[0] | 0x20, b'n' | b't' | b'f')
        && is_one_of(word, &["NULL", "TRUE", "FALSE"])
        && !is_one_of(previous, &["IS", "NOT", "SET"])
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Leaves out all rows but the first of `VALUES (...), (...)` and `IN ((...), (...))`, whatever stands in
/// them, as long as they are no queries of their own.
struct Rows<'a> {
    state: Row,
    /// How the tokens before end: `IN`, `IN (` or `VALUES`.
    before: Before,
    lists: Lists<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Outside of rows.
    None,
    /// In the first row, with this many open parentheses.
    First(usize),
    /// After a row.
    After,
    /// After a row and a comma.
    Comma,
    /// After a row, a comma and a parenthesis.
    Open,
    /// In a further row, with this many open parentheses.
    Further(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Other,
    In,
    /// A parenthesis would begin a row.
    Row,
}

impl<'a> Rows<'a> {
    fn new() -> Self {
        Rows { state: Row::None, before: Before::Other, lists: Lists::new() }
    }

    fn put(&mut self, token: Token<'a>) {
        let (open, close) = (token == Token::Sign(b'('), token == Token::Sign(b')'));
        self.state = match self.state {
            Row::None => return self.outside(token),
            Row::First(depth) => {
                self.lists.put(token);
                within(depth, open, close, Row::First)
            }
            Row::Further(depth) => within(depth, open, close, Row::Further),
            Row::After if token == Token::Sign(b',') => Row::Comma,
            Row::After => return self.outside(token),
            Row::Comma if open => Row::Open,
            Row::Comma => {
                self.lists.put(Token::Sign(b','));
                return self.outside(token);
            }
            Row::Open if matches!(token, Token::Word(word) if is_one_of(word, &["SELECT", "WITH"])) => {
                self.lists.put(Token::Sign(b','));
                self.lists.put(Token::Sign(b'('));
                return self.outside(token);
            }
            Row::Open if open => Row::Further(2),
            Row::Open if close => Row::After,
            Row::Open => Row::Further(1),
        };
    }

    fn outside(&mut self, token: Token<'a>) {
        self.lists.put(token);
        (self.state, self.before) = match token {
            Token::Sign(b'(') if self.before == Before::Row => (Row::First(1), Before::Other),
            Token::Sign(b'(') if self.before == Before::In => (Row::None, Before::Row),
            Token::Word(word) if word.eq_ignore_ascii_case("VALUES") => (Row::None, Before::Row),
            Token::Word(word) if word.eq_ignore_ascii_case("IN") => (Row::None, Before::In),
            _ => (Row::None, Before::Other),
        };
    }
}

fn within(depth: usize, open: bool, close: bool, row: fn(usize) -> Row) -> Row {
    match depth + usize::from(open) - usize::from(close) {
        0 => Row::After,
        depth => row(depth),
    }
}

/// Makes one value of a list of them, and leaves out the signs of numbers.
struct Lists<'a> {
    last: Last<'a>,
    /// A comma after a value, which another value may follow.
    comma: bool,
    /// A plus or minus that may belong to a number.
    sign: Option<u8>,
    words: Words,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last<'a> {
    Value,
    /// Something that can be subtracted from.
    Operand,
    /// The same, unless it is a keyword.
    Word(&'a str),
    /// An operator, a comma, or nothing.
    Other,
}

/// After these words a minus is a number's own.
const BEFORE_NUMBER: [&str; 22] = [
    "SELECT",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "THEN",
    "ELSE",
    "WHEN",
    "CASE",
    "IN",
    "BETWEEN",
    "LIMIT",
    "OFFSET",
    "RETURNING",
    "BY",
    "ON",
    "LIKE",
    "IS",
    "TO",
    "SET",
    "HAVING",
    "DEFAULT",
];

impl<'a> Lists<'a> {
    fn new() -> Self {
        Lists { last: Last::Other, comma: false, sign: None, words: Words::new() }
    }

    fn put(&mut self, token: Token<'a>) {
        let follows_value = self.last == Last::Value;
        match token {
            // Another value of the list, or the rest of a literal that goes on after a line break.
            Token::Value if follows_value => (self.comma, self.sign) = (false, None),
            Token::Value => {
                self.sign = None;
                self.write(token, Last::Value);
            }
            Token::Sign(b',') if follows_value && !self.comma && self.sign.is_none() => self.comma = true,
            Token::Sign(sign @ (b'-' | b'+')) if self.sign.is_none() && (self.comma || self.expects_value()) => {
                self.sign = Some(sign);
            }
            Token::Sign(b')' | b']') | Token::Name(_) => self.write(token, Last::Operand),
            Token::Word(word) => self.write(token, Last::Word(word)),
            Token::Sign(_) => self.write(token, Last::Other),
        }
    }

    fn expects_value(&self) -> bool {
        match self.last {
            Last::Other => true,
            Last::Word(word) => is_one_of(word, &BEFORE_NUMBER),
            Last::Value | Last::Operand => false,
        }
    }

    fn write(&mut self, token: Token<'a>, last: Last<'a>) {
        self.end();
        self.words.put(token);
        self.last = last;
    }

    /// Writes what was held back.
    fn end(&mut self) {
        if std::mem::take(&mut self.comma) {
            self.words.put(Token::Sign(b','));
        }
        if let Some(sign) = self.sign.take() {
            self.words.put(Token::Sign(sign));
        }
    }
}

/// Feeds the hash in larger portions than words are: it has a cost for each.
struct Words {
    hash: Sha256,
    portion: [u8; 256],
    filled: usize,
}

impl Words {
    fn new() -> Self {
        Words { hash: Sha256::new(), portion: [0; 256], filled: 0 }
    }

    fn put(&mut self, token: Token<'_>) {
        match token {
            Token::Word(word) => self.write(word.as_bytes(), |byte| byte.to_ascii_lowercase()),
            Token::Name(name) => self.write(name.as_bytes(), |byte| byte),
            Token::Value => self.write(b"?", |byte| byte),
            Token::Sign(sign) => self.write(&[sign], |byte| byte),
        }
    }

    /// Writes a token and a zero behind it. (No token has a zero in it but one that is a zero.)
    #[inline]
    fn write(&mut self, token: &[u8], change: impl Fn(u8) -> u8) {
        // A long token goes in pieces, each of which leaves room for the zero.
        let mut pieces = token.chunks(self.portion.len() / 2).peekable();
        while let Some(piece) = pieces.next() {
            if self.portion.len() - self.filled <= piece.len() {
                self.hash.update(&self.portion[..self.filled]);
                self.filled = 0;
            }
            let room = &mut self.portion[self.filled..=self.filled + piece.len()];
            for (to, byte) in room.iter_mut().zip(piece) {
                *to = change(*byte);
            }
            room[piece.len()] = 0;
            self.filled += piece.len() + usize::from(pieces.peek().is_none());
        }
    }

    fn hash(mut self) -> [u8; 32] {
        self.hash.update(&self.portion[..self.filled]);
        self.hash.finalize().into()
    }
}
