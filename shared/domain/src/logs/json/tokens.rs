//! A JSON text as a list of tokens, read once and strictly. Whoever needs a part of it again, walks over
//! tokens and no longer over bytes.
//!
//! The positions of quotes, backslashes and control characters are given: whoever decoded the text came
//! by each of them anyway ([`unescape`](super::unescape)), and with them a string ends where the next one is.

use super::{MAX_DEPTH, NotJson, code_point, specials};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string without a backslash.
    Plain,
    /// A string with escapes.
    Escaped,
    /// A number.
    Number,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// An object: names and values follow in turn.
    Object,
    /// An array: its values follow.
    Array,
}

/// A value, or the name of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Offset of its first byte; of a string, after the opening quote.
    pub start: u32,
    /// Offset after its last byte; of a string, of the closing quote.
    pub end: u32,
    /// The place of the token that comes after it and all that is in it.
    pub next: u32,
}

/// Appends the tokens of `text`, one JSON value, to `tokens`. `positions` are those of all quotes,
/// backslashes and control characters, in order, counted from `base`.
///
/// # Errors
///
/// Where it is no JSON, or has half a surrogate pair in a string.
pub fn tokenize(text: &[u8], positions: &[u32], base: u32, tokens: &mut Vec<Token>) -> Result<(), NotJson> {
    let mut tokenizer = Tokenizer { bytes: text, at: 0, positions, base, special: 0, tokens };
    tokenizer.value(MAX_DEPTH)?;
    match tokenizer.peek() {
        None => Ok(()),
        Some(_) => Err(tokenizer.wrong("the end of the text")),
    }
}

/// Appends the positions of all quotes, backslashes and control characters of `text` to `positions`.
pub fn find_specials(text: &[u8], positions: &mut Vec<u32>) {
    let (chunks, rest) = text.as_chunks::<8>();
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    for (number, chunk) in chunks.iter().enumerate() {
        if specials(u64::from_le_bytes(*chunk)) != 0 {
            let found = (0..8).filter(|&at| is_special(chunk[at]));
            positions.extend(found.map(|at| (number * 8 + at) as u32));
        }
    }
    let tail = (0..rest.len()).filter(|&at| is_special(rest[at]));
    positions.extend(tail.map(|at| (chunks.len() * 8 + at) as u32));
}

struct Tokenizer<'a, 't> {
    bytes: &'a [u8],
    at: usize,
    positions: &'a [u32],
    base: u32,
    /// The first of the positions that may be at or after `at`.
    special: usize,
    tokens: &'t mut Vec<Token>,
}

impl Tokenizer<'_, '_> {
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[cold]
    fn wrong(&self, expected: &'static str) -> NotJson {
        NotJson { at: self.at, expected }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.tokens.len() as u32 + 1;
        self.tokens.push(Token { kind, start: start as u32, end: end as u32, next });
    }

    fn value(&mut self, depth: usize) -> Result<(), NotJson> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') if depth == 0 => Err(self.wrong("no deeper nesting")),
            Some(b'{') => self.list(Kind::Object, b'}', depth),
            Some(b'[') => self.list(Kind::Array, b']', depth),
            Some(b't') => self.word(Kind::True, b"true"),
            Some(b'f') => self.word(Kind::False, b"false"),
            Some(b'n') => self.word(Kind::Null, b"null"),
            _ => self.number(),
        }
    }

    fn list(&mut self, kind: Kind, end: u8, depth: usize) -> Result<(), NotJson> {
        let place = self.tokens.len();
        self.push(kind, self.at, 0);
        self.at += 1;
        if self.peek() == Some(end) {
            self.at += 1;
        } else {
            loop {
                if kind == Kind::Object {
                    self.name()?;
                }
                self.value(depth - 1)?;
                let found = self.peek();
                self.at += 1;
                match found {
                    Some(b',') => {}
                    Some(byte) if byte == end => break,
                    _ => return Err(self.wrong("a comma or the end of the list")),
                }
            }
        }
        let next = self.tokens.len() as u32;
        let list = &mut self.tokens[place];
        (list.end, list.next) = (self.at as u32, next);
        Ok(())
    }

    #[inline]
    fn name(&mut self) -> Result<(), NotJson> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a name"));
        }
        self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.wrong("a colon"));
        }
        self.at += 1;
        Ok(())
    }

    /// The string whose opening quote is at `at`.
    #[inline]
    fn string(&mut self) -> Result<(), NotJson> {
        let start = self.at + 1;
        let mut kind = Kind::Plain;
        let mut end = self.special_from(start)?;
        while self.bytes[end] != b'"' {
            kind = Kind::Escaped;
            self.at = end;
            end = self.special_from(end + self.escape()?)?;
        }
        self.special += 1;
        self.at = end + 1;
        self.push(kind, start, end);
        Ok(())
    }

    /// The first quote, backslash or control character from `at` on.
    #[inline]
    fn special_from(&mut self, at: usize) -> Result<usize, NotJson> {
        while let Some(&position) = self.positions.get(self.special) {
            let found = (position - self.base) as usize;
            if found >= at {
                return if found < self.bytes.len() { Ok(found) } else { Err(self.wrong("the end of a string")) };
            }
            self.special += 1;
        }
        Err(self.wrong("the end of a string"))
    }

    /// Length of the escape at `at`.
    fn escape(&self) -> Result<usize, NotJson> {
        match (self.bytes[self.at], self.bytes.get(self.at + 1)) {
            (b'\\', Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => Ok(2),
            // Half a surrogate pair is no character, and a string of it no text.
            (b'\\', Some(b'u')) => match code_point(self.bytes, self.at) {
                Some((length, code)) if char::from_u32(code).is_some() => Ok(length),
                _ => Err(self.wrong("an escape")),
            },
            _ => Err(self.wrong("an escape, and no control character,")),
        }
    }

    fn word(&mut self, kind: Kind, word: &'static [u8]) -> Result<(), NotJson> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.wrong("a value"));
        }
        self.push(kind, self.at, self.at + word.len());
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), NotJson> {
        match super::number_length(&self.bytes[self.at..]) {
            Ok(length) => {
                self.push(Kind::Number, self.at, self.at + length);
                self.at += length;
                Ok(())
            }
            Err(expected) => Err(self.wrong(expected)),
        }
    }
}
