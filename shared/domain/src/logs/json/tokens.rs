//! A JSON text as a list of tokens, read once and strictly. Whoever needs a part of it again, walks over
//! tokens and no longer over bytes.
//!
//! The positions of quotes, backslashes and control characters are given: whoever decoded the text came
//! by each of them anyway ([`unescape`](super::unescape)), and with them a string ends where the next one is.

use super::{MAX_DEPTH, NotJson, block};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string without a backslash; or a number that no double can hold, which many a reader refuses: it is
    /// taken for the text of it.
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
/// Where it is no JSON, lies deeper than [`MAX_DEPTH`], or has half a surrogate pair in a string.
pub fn tokenize(text: &[u8], positions: &[u32], base: u32, tokens: &mut Vec<Token>) -> Result<(), NotJson> {
    tokenize_to(MAX_DEPTH, text, positions, base, tokens)
}

/// The same, of text that may lie as deep as `depth`.
///
/// # Errors
///
/// Likewise.
pub fn tokenize_to(
    depth: usize,
    text: &[u8],
    positions: &[u32],
    base: u32,
    tokens: &mut Vec<Token>,
) -> Result<(), NotJson> {
    let mut tokenizer = Tokenizer { bytes: text, at: 0, positions, base, tokens };
    tokenizer.whole(depth).map_err(|expected| NotJson { at: tokenizer.at, expected })
}

/// The fields of the object at the token `object`, by the tokens of their names. The value of each is the
/// token after it.
pub fn fields(tokens: &[Token], object: u32) -> impl Iterator<Item = u32> {
    let end = tokens[object as usize].next;
    let mut next = object + 1;
    std::iter::from_fn(move || {
        let place = next;
        (place < end).then(|| {
            next = tokens[place as usize + 1].next;
            place
        })
    })
}

/// Appends the positions of all quotes, backslashes and control characters of `text` to `positions`.
pub fn find_specials(text: &[u8], positions: &mut Vec<u32>) {
    let (chunks, rest) = text.as_chunks::<16>();
    for (number, chunk) in chunks.iter().enumerate() {
        let mut found = block::specials(chunk);
        while found != 0 {
            positions.push(number as u32 * 16 + found.trailing_zeros());
            found &= found - 1;
        }
    }
    let tail = (0..rest.len()).filter(|&at| block::is_special(rest[at]));
    positions.extend(tail.map(|at| (chunks.len() * 16 + at) as u32));
}

struct Tokenizer<'a, 't> {
    bytes: &'a [u8],
    /// Of the next byte, and in the end of the mistake.
    at: usize,
    /// Those that may be at or after `at`.
    positions: &'a [u32],
    base: u32,
    tokens: &'t mut Vec<Token>,
}

/// What is expected where something else is. (Where that is, the tokenizer itself knows: results that
/// fit into registers are a tenth of its time.)
type Taken = Result<(), &'static str>;

impl Tokenizer<'_, '_> {
    fn whole(&mut self, depth: usize) -> Taken {
        self.value(depth)?;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err("the end of the text"),
        }
    }

    /// The next byte that is no white space. There mostly is none.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.at) {
            Some(b'\0'..=b' ') => self.peek_behind_space(),
            other => other.copied(),
        }
    }

    #[cold]
    fn peek_behind_space(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.tokens.len() as u32 + 1;
        self.tokens.push(Token { kind, start: start as u32, end: end as u32, next });
    }

    fn value(&mut self, depth: usize) -> Taken {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') if depth == 0 => Err("no deeper nesting"),
            Some(b'{') => self.list(Kind::Object, b'}', depth),
            Some(b'[') => self.list(Kind::Array, b']', depth),
            Some(b't') => self.word(Kind::True, b"true"),
            Some(b'f') => self.word(Kind::False, b"false"),
            Some(b'n') => self.word(Kind::Null, b"null"),
            _ => self.number(),
        }
    }

    fn list(&mut self, kind: Kind, end: u8, depth: usize) -> Taken {
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
                match self.peek() {
                    Some(b'"') => self.string()?,
                    _ => self.value(depth - 1)?,
                }
                let found = self.peek();
                self.at += 1;
                match found {
                    Some(b',') => {}
                    Some(byte) if byte == end => break,
                    _ => return Err("a comma or the end of the list"),
                }
            }
        }
        let next = self.tokens.len() as u32;
        let list = &mut self.tokens[place];
        (list.end, list.next) = (self.at as u32, next);
        Ok(())
    }

    #[inline]
    fn name(&mut self) -> Taken {
        if self.peek() != Some(b'"') {
            return Err("a name");
        }
        self.string()?;
        if self.peek() != Some(b':') {
            return Err("a colon");
        }
        self.at += 1;
        Ok(())
    }

    /// The string whose opening quote is at `at`. Mostly that is the next position, and the closing quote
    /// the one after it.
    #[inline]
    fn string(&mut self) -> Taken {
        let start = self.at + 1;
        if let [open, close, rest @ ..] = self.positions {
            let end = close.wrapping_sub(self.base) as usize;
            if open.wrapping_sub(self.base) as usize == self.at && self.bytes.get(end) == Some(&b'"') {
                (self.positions, self.at) = (rest, end + 1);
                self.push(Kind::Plain, start, end);
                return Ok(());
            }
        }
        self.any_string(start)
    }

    #[inline(never)]
    fn any_string(&mut self, start: usize) -> Taken {
        let mut kind = Kind::Plain;
        let mut end = self.special_from(start)?;
        while self.bytes[end] != b'"' {
            kind = Kind::Escaped;
            self.at = end;
            let escape = super::escape_length(self.bytes, end).ok_or("an escape, and no control character,")?;
            end = self.special_from(end + escape)?;
        }
        self.at = end + 1;
        self.push(kind, start, end);
        Ok(())
    }

    /// The first quote, backslash or control character from `at` on, which is taken from the positions.
    #[inline]
    fn special_from(&mut self, at: usize) -> Result<usize, &'static str> {
        while let [position, rest @ ..] = self.positions {
            let found = position.wrapping_sub(self.base) as usize;
            self.positions = rest;
            if found >= at {
                return if found < self.bytes.len() { Ok(found) } else { Err("the end of a string") };
            }
        }
        Err("the end of a string")
    }

    fn word(&mut self, kind: Kind, word: &'static [u8]) -> Taken {
        if !self.bytes[self.at..].starts_with(word) {
            return Err("a value");
        }
        self.push(kind, self.at, self.at + word.len());
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Taken {
        let length = super::number_length(&self.bytes[self.at..])?;
        let number = &self.bytes[self.at..self.at + length];
        let kind = if super::is_too_large(number) { Kind::Plain } else { Kind::Number };
        self.push(kind, self.at, self.at + length);
        self.at += length;
        Ok(())
    }
}
