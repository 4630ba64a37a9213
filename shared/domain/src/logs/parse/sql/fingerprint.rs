//! What makes two statements the same: their words in their order. A stage each for values, for rows of
//! values, and for signs and commas between values; the last one feeds a hash.

use sha2::{Digest, Sha256};

use super::lexer::{Kind, Lexer, Token};

/// Appends the fingerprint of `statement` to `out`: 16 hexadecimal digits. It is the same for statements
/// that differ only in literals, parameters, letter case of keywords and unquoted names, white space,
/// comments, a semicolon at the end, and in the lengths of lists (`IN (?, ?)`, `VALUES (?, ?), (?, ?)`);
/// and it is the same for a statement and for what `mask_literals` makes of it.
pub fn fingerprint(statement: &str, out: &mut String) {
    let mut rows = Rows::new();
    let mut previous = "";
    let mut ended = false;
    for (token, range) in Lexer::new(statement, Kind::Statement) {
        let end = range.end;
        let text = &statement[range];
        let piece = match token {
            Token::Space | Token::LineComment | Token::BlockComment => continue,
            Token::Literal | Token::Parameter => Piece::Value,
            Token::Word if is_prefix(text, &statement[end..]) => continue,
            Token::Word if is_value(text, previous) => Piece::Value,
            Token::Word => Piece::Word(text),
            Token::Name => Piece::Name(text),
            Token::Sign => match text.as_bytes()[0] {
                b'?' => Piece::Value,
                sign => Piece::Sign(sign),
            },
        };
        previous = if let Piece::Word(word) = piece { word } else { "" };
        if std::mem::replace(&mut ended, piece == Piece::Sign(b';')) {
            rows.put(Piece::Sign(b';'));
        }
        if !ended {
            rows.put(piece);
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
    matches!(word.len(), 4 | 5)
        && is_one_of(word, &["NULL", "TRUE", "FALSE"])
        && !is_one_of(previous, &["IS", "NOT", "SET"])
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Word(&'a str),
    /// A name with its double quotes: its letter case counts.
    Name(&'a str),
    /// A literal or a parameter.
    Value,
    Sign(u8),
}

/// Leaves out all rows but the first of `VALUES (...), (...)` and `IN ((...), (...))`, whatever stands in
/// them, as long as they are no queries of their own.
struct Rows {
    state: Row,
    /// How the pieces before end: `IN`, `IN (` or `VALUES`.
    before: Before,
    lists: Lists,
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

impl Rows {
    fn new() -> Self {
        Rows { state: Row::None, before: Before::Other, lists: Lists::new() }
    }

    fn put(&mut self, piece: Piece<'_>) {
        let (open, close) = (piece == Piece::Sign(b'('), piece == Piece::Sign(b')'));
        self.state = match self.state {
            Row::None => return self.outside(piece),
            Row::First(depth) => {
                self.lists.put(piece);
                within(depth, open, close, Row::First)
            }
            Row::Further(depth) => within(depth, open, close, Row::Further),
            Row::After if piece == Piece::Sign(b',') => Row::Comma,
            Row::After => return self.outside(piece),
            Row::Comma if open => Row::Open,
            Row::Comma => {
                self.lists.put(Piece::Sign(b','));
                return self.outside(piece);
            }
            Row::Open if matches!(piece, Piece::Word(word) if is_one_of(word, &["SELECT", "WITH"])) => {
                self.lists.put(Piece::Sign(b','));
                self.lists.put(Piece::Sign(b'('));
                return self.outside(piece);
            }
            Row::Open if open => Row::Further(2),
            Row::Open if close => Row::After,
            Row::Open => Row::Further(1),
        };
    }

    fn outside(&mut self, piece: Piece<'_>) {
        self.lists.put(piece);
        (self.state, self.before) = match piece {
            Piece::Sign(b'(') if self.before == Before::Row => (Row::First(1), Before::Other),
            Piece::Sign(b'(') if self.before == Before::In => (Row::None, Before::Row),
            Piece::Word(word) if word.eq_ignore_ascii_case("VALUES") => (Row::None, Before::Row),
            Piece::Word(word) if word.eq_ignore_ascii_case("IN") => (Row::None, Before::In),
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
struct Lists {
    last: Last,
    /// A comma after a value, which another value may follow.
    comma: bool,
    /// A plus or minus that may belong to a number.
    sign: Option<u8>,
    words: Words,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Value,
    /// Something that can be subtracted from.
    Operand,
    /// An operator, a comma, a keyword, or nothing.
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

impl Lists {
    fn new() -> Self {
        Lists { last: Last::Other, comma: false, sign: None, words: Words::new() }
    }

    fn put(&mut self, piece: Piece<'_>) {
        let follows_value = self.last == Last::Value;
        match piece {
            // Another value of the list, or the rest of a literal that goes on after a line break.
            Piece::Value if follows_value => (self.comma, self.sign) = (false, None),
            Piece::Value => {
                self.sign = None;
                self.write(piece, Last::Value);
            }
            Piece::Sign(b',') if follows_value && !self.comma && self.sign.is_none() => self.comma = true,
            Piece::Sign(sign @ (b'-' | b'+')) if self.sign.is_none() && (self.comma || self.last == Last::Other) => {
                self.sign = Some(sign);
            }
            Piece::Sign(b')' | b']') | Piece::Name(_) => self.write(piece, Last::Operand),
            Piece::Word(word) if !is_one_of(word, &BEFORE_NUMBER) => self.write(piece, Last::Operand),
            Piece::Word(_) | Piece::Sign(_) => self.write(piece, Last::Other),
        }
    }

    fn write(&mut self, piece: Piece<'_>, last: Last) {
        self.end();
        self.words.put(piece);
        self.last = last;
    }

    /// Writes what was held back.
    fn end(&mut self) {
        if std::mem::take(&mut self.comma) {
            self.words.put(Piece::Sign(b','));
        }
        if let Some(sign) = self.sign.take() {
            self.words.put(Piece::Sign(sign));
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

    fn put(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Word(word) => self.write(word.as_bytes(), |byte| byte.to_ascii_lowercase()),
            Piece::Name(name) => self.write(name.as_bytes(), |byte| byte),
            Piece::Value => self.write(b"?", |byte| byte),
            Piece::Sign(sign) => self.write(&[sign], |byte| byte),
        }
        // No token has a zero in it but one that is a zero.
        self.write(&[0], |byte| byte);
    }

    fn write(&mut self, bytes: &[u8], change: impl Fn(u8) -> u8) {
        for byte in bytes {
            if self.filled == self.portion.len() {
                self.hash.update(self.portion);
                self.filled = 0;
            }
            self.portion[self.filled] = change(*byte);
            self.filled += 1;
        }
    }

    fn hash(mut self) -> [u8; 32] {
        self.hash.update(&self.portion[..self.filled]);
        self.hash.finalize().into()
    }
}
