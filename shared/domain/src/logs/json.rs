//! A reader of JSON text that builds nothing: it says where things begin and end, and whether the text
//! is JSON at all (RFC 8259, strictly). Two stages stand on it: the envelope of a delivery, and its lines.

mod block;
mod tokens;

use std::ops::Range;

use block::Marks;
pub use tokens::{Kind, Token, fields, find_specials, tokenize, tokenize_to};

/// How deep arrays and objects may lie in each other. Deeper text is no JSON to us.
pub const MAX_DEPTH: usize = 128;

/// Where a text stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {expected} expected at byte {at}")]
pub struct NotJson {
    /// Offset in the text.
    pub at: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// A JSON string, by the place of what stands between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Offset after the opening quote.
    pub start: usize,
    /// Offset of the closing quote.
    pub end: usize,
    /// Whether there is a backslash in it.
    pub escaped: bool,
}

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// The next byte that is no white space, without taking it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes `byte`, which must come next.
    #[inline]
    pub fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), NotJson> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.wrong(expected))
    }

    /// Takes a comma, or the `end` of the list. `true` for a comma.
    #[inline]
    pub fn more(&mut self, end: u8) -> Result<bool, NotJson> {
        let found = self.peek();
        if found == Some(b',') || found == Some(end) {
            self.at += 1;
            return Ok(found == Some(b','));
        }
        Err(self.wrong("a comma or the end of the list"))
    }

    /// Takes the opening bracket of a list that ends in `end`. `true` where something is in it.
    #[inline]
    pub fn open(&mut self, begin: u8, end: u8) -> Result<bool, NotJson> {
        self.take(begin, if begin == b'{' { "an object" } else { "an array" })?;
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// The name of a field and its colon.
    #[inline]
    pub fn name(&mut self) -> Result<Quoted, NotJson> {
        let name = self.string()?;
        self.take(b':', "a colon")?;
        Ok(name)
    }

    /// A string.
    #[inline]
    pub fn string(&mut self) -> Result<Quoted, NotJson> {
        self.take(b'"', "a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Quoted { start, end: self.at - 1, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += escape_length(self.bytes, self.at).ok_or_else(|| self.wrong("an escape"))?;
                }
                _ => return Err(self.wrong("no control character, and the end of the string,")),
            }
        }
    }

    /// A string, decoded into `into` from its byte `length` on, with the `positions` of what is special in
    /// it (see [`unescape`]). Returns how long `into` is filled then.
    pub fn unescaped_string(
        &mut self,
        into: &mut [u8],
        length: usize,
        positions: &mut Vec<u32>,
    ) -> Result<usize, NotJson> {
        self.take(b'"', "a string")?;
        let (end, length) = unescape(self.bytes, self.at, into, length, positions)?;
        self.at = end + 1;
        Ok(length)
    }

    /// The place of a number.
    pub fn number(&mut self) -> Result<Range<usize>, NotJson> {
        self.peek();
        let start = self.at;
        self.at += number_length(&self.bytes[start..]).map_err(|expected| self.wrong(expected))?;
        Ok(start..self.at)
    }

    /// Takes `text` if just that comes next, without any white space.
    #[inline]
    pub fn take_if(&mut self, text: &[u8]) -> bool {
        let is_next = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text));
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    /// Where it is.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The same text from `at` on.
    pub fn moved_to(&self, at: usize) -> Reader<'a> {
        Reader { bytes: self.bytes, at }
    }

    /// A number, if it is an integer.
    pub fn integer(&mut self) -> Result<Option<i64>, NotJson> {
        self.peek();
        let start = self.at;
        if let Some((value, end)) = short_integer(self.bytes, start) {
            self.at = end;
            return Ok(Some(value));
        }
        let digits = std::str::from_utf8(&self.bytes[self.number()?]);
        Ok(digits.ok().and_then(|digits| digits.parse().ok()))
    }

    /// Takes any value, and says where it was.
    pub fn value(&mut self) -> Result<Range<usize>, NotJson> {
        self.nested_value(MAX_DEPTH)
    }

    fn nested_value(&mut self, depth: usize) -> Result<Range<usize>, NotJson> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'"') => drop(self.string()?),
            Some(b'{' | b'[') if depth == 0 => return Err(self.wrong("no deeper nesting")),
            Some(b'{') => {
                let mut more = self.open(b'{', b'}')?;
                while more {
                    self.name()?;
                    self.nested_value(depth - 1)?;
                    more = self.more(b'}')?;
                }
            }
            Some(b'[') => {
                let mut more = self.open(b'[', b']')?;
                while more {
                    self.nested_value(depth - 1)?;
                    more = self.more(b']')?;
                }
            }
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            _ => return self.number(),
        }
        Ok(start..self.at)
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), NotJson> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.wrong("a value"))
    }

    /// Nothing but white space may come any more.
    pub fn end(&mut self) -> Result<(), NotJson> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("the end of the text")),
        }
    }

    /// The error that something else was `expected` here.
    pub fn wrong(&self, expected: &'static str) -> NotJson {
        NotJson { at: self.at, expected }
    }
}

/// The integer at `at` and the place after it, if it is one of a list and, as times are, positive and far
/// from overflowing.
#[inline]
fn short_integer(bytes: &[u8], mut at: usize) -> Option<(i64, usize)> {
    let last = at + 18;
    let mut value = 0;
    if let Some(eight) =
        bytes.get(at..).and_then(<[u8]>::first_chunk).and_then(eight_digits).filter(|eight| *eight >= 10_000_000)
    {
        (value, at) = (i64::from(eight), at + 8);
    }
    while let Some(digit @ b'0'..=b'9') = bytes.get(at)
        && at < last
    {
        value = value * 10 + i64::from(digit - b'0');
        // A zero comes first: alone or, by mistake, before others.
        if value == 0 {
            return None;
        }
        at += 1;
    }
    (value > 0 && matches!(bytes.get(at), Some(b',' | b'}'))).then_some((value, at))
}

/// The number that eight digits are: pairs of them, then pairs of those, are put together side by side.
#[inline]
fn eight_digits(text: &[u8; 8]) -> Option<u32> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let digits = u64::from_le_bytes(*text) ^ ZEROS;
    // Of a digit, neither the upper half is left, nor is there one when six is added.
    if (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & 0xf0f0_f0f0_f0f0_f0f0 != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) as u32)
}

/// Whether no double can hold a number: they go up to 309 digits.
fn is_too_large(number: &[u8]) -> bool {
    let is_suspect = number.len() > 300 || number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    let value = || std::str::from_utf8(number).ok()?.parse::<f64>().ok();
    is_suspect && !value().is_some_and(f64::is_finite)
}

/// Length of the number that `bytes` begin with, or what is missing there.
#[inline]
fn number_length(bytes: &[u8]) -> Result<usize, &'static str> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(bytes, sign);
    if whole == sign {
        return Err("a number");
    }
    if whole > sign + 1 && bytes[sign] == b'0' {
        return Err("no zero before a number");
    }
    match bytes.get(whole) {
        Some(b'.' | b'e' | b'E') => real_length(bytes, whole),
        _ => Ok(whole),
    }
}

/// The same of a number whose `whole` part is followed by a fraction or an exponent.
fn real_length(bytes: &[u8], whole: usize) -> Result<usize, &'static str> {
    let mut at = whole;
    if bytes[at] == b'.' {
        let end = digits(bytes, at + 1);
        if end == at + 1 {
            return Err("a digit");
        }
        at = end;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let from = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = digits(bytes, from);
        if end == from {
            return Err("a digit");
        }
        at = end;
    }
    Ok(at)
}

/// The place after the digits that begin at `at`.
#[inline]
fn digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// The value of a JSON number, the same as `str::parse` has: at once where it is one of a few digits, which a
/// double holds exactly, and so does it the power of ten that they are divided by.
pub fn number(text: &str) -> Option<f64> {
    const MOST_DIGITS: usize = 15;
    const POWERS: [f64; MOST_DIGITS + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let bytes = text.as_bytes();
    if bytes.len() <= MOST_DIGITS && bytes.first().is_some_and(u8::is_ascii_digit) {
        let (mut value, mut decimals, mut is_fraction) = (0_u64, 0, false);
        for &byte in bytes {
            match byte {
                b'0'..=b'9' => {
                    value = value * 10 + u64::from(byte - b'0');
                    decimals += usize::from(is_fraction);
                }
                b'.' if !is_fraction => is_fraction = true,
                _ => return text.parse().ok(),
            }
        }
        return Some(value as f64 / POWERS[decimals]);
    }
    text.parse().ok()
}

/// Length of the number that `bytes` begin with, if it is one that any double can hold: short, and without an
/// exponent.
#[inline]
pub fn short_number_length(bytes: &[u8]) -> Option<usize> {
    const LONGEST: usize = 24;
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let mut end = digits(bytes, sign);
    if end == sign || end > sign + 1 && bytes[sign] == b'0' {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        let fraction = end + 1;
        end = digits(bytes, fraction);
        if end == fraction {
            return None;
        }
    }
    (end <= LONGEST && !matches!(bytes.get(end), Some(b'e' | b'E'))).then_some(end)
}

/// How many bytes there are before the first quote, backslash or control character.
#[inline]
pub fn plain_length(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<16>();
    for (number, chunk) in chunks.iter().enumerate() {
        let found = block::specials(chunk);
        if found != 0 {
            return number * 16 + found.trailing_zeros() as usize;
        }
    }
    match bytes.last_chunk::<16>() {
        // What was looked at already has nothing to be found.
        Some(_) if rest.is_empty() => bytes.len(),
        Some(last) => match block::specials(last) {
            0 => bytes.len(),
            found => bytes.len() - 16 + found.trailing_zeros() as usize,
        },
        None => rest.iter().take_while(|&&byte| !block::is_special(byte)).count(),
    }
}

/// Length of the escape at `at`, if one is there.
fn escape_length(bytes: &[u8], at: usize) -> Option<usize> {
    match (bytes.get(at)?, bytes.get(at + 1)?) {
        (b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Some(2),
        // Half a surrogate pair is no character, and a string of it no text.
        (b'\\', b'u') => {
            code_point(bytes, at).filter(|(_, code)| char::from_u32(*code).is_some()).map(|(length, _)| length)
        }
        _ => None,
    }
}

/// Four hexadecimal digits at `at`.
fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |value, &byte| Some(value * 16 + (byte as char).to_digit(16)?))
}

/// Bytes that [`unescape`] needs beyond its result: blocks are stored whole.
pub const ROOM: usize = block::WINDOW;

/// Decodes the string that begins at `from` of `json` (after its opening quote) into `into`, from its
/// byte `length` on. Returns the offset of the closing quote, and how long `into` is filled. What is a
/// quote, a backslash or a control character when it is decoded, is noted in `positions` by where it is.
///
/// `into` needs [`ROOM`] beyond the rest of `json`: decoded text is never longer than encoded. Half a
/// surrogate pair becomes the three bytes that UTF-8 would have for it, which are no UTF-8: whoever checks
/// that sees it.
///
/// Most of a delivery is such strings, and most of these are JSON again: its quotes, escaped, are nearly
/// all that there is to decode. So blocks are taken as long as there is nothing else in them.
pub fn unescape(
    json: &[u8],
    mut from: usize,
    into: &mut [u8],
    mut length: usize,
    positions: &mut Vec<u32>,
) -> Result<(usize, usize), NotJson> {
    loop {
        let plain = match json.get(from..).and_then(<[u8]>::first_chunk) {
            Some(window) => {
                let (taken, stored, ends) = unescape_quotes(window, &mut into[length..], length, positions);
                (from, length) = (from + taken, length + stored);
                if !ends {
                    continue;
                }
                0
            }
            None => plain_length(&json[from..]),
        };
        into[length..length + plain].copy_from_slice(&json[from..from + plain]);
        (from, length) = (from + plain, length + plain);
        match json.get(from) {
            Some(b'"') => return Ok((from, length)),
            Some(b'\\') => {
                let (taken, stored) = unescape_one(json, from, &mut into[length..])?;
                if block::is_special(into[length]) {
                    positions.push(length as u32);
                }
                from += taken;
                length += stored;
            }
            _ => return Err(NotJson { at: from, expected: "no control character, and the end of the string," }),
        }
    }
}

/// Decodes the block that `window` begins with, up to the first thing that is no escaped quote. Returns
/// how many bytes were taken and stored, and whether there is such a thing.
#[inline]
fn unescape_quotes(
    window: &[u8; block::WINDOW],
    into: &mut [u8],
    length: usize,
    positions: &mut Vec<u32>,
) -> (usize, usize, bool) {
    let into = into.first_chunk_mut().expect("there is ROOM beyond the result");
    let marks = Marks::of(window);
    // What an escape at the last byte is of, the next block tells.
    let stop = marks.first_but_escaped_quotes();
    let end = stop.min(block::LAST);
    let mut escapes = marks.backslashes & ((1 << end) - 1);
    // In place: what is stored in small pieces and then read in large ones, the processor waits for.
    let before = positions.len();
    positions.extend_from_slice(&[0; block::LENGTH / 2]);
    let found: &mut [u32; block::LENGTH / 2] = positions.last_chunk_mut().expect("just appended");
    let (mut run, mut count) = (0, 0);
    while escapes != 0 {
        let at = escapes.trailing_zeros() as usize;
        // The quote that follows begins the next run; what is left out is a backslash each.
        block::copy(window, run, into, run - count, at - run);
        found[count % found.len()] = (length + at - count) as u32;
        count += 1;
        run = at + 1;
        escapes &= escapes - 1;
    }
    // A quote may be the last byte of the block.
    let end = end.max(run + usize::from(count > 0));
    block::copy(window, run, into, run - count, end - run);
    positions.truncate(before + count);
    (end, end - count, stop < block::LAST)
}

/// Decodes the escape at `at`. Returns how many bytes it had, and how many it has become.
fn unescape_one(json: &[u8], at: usize, into: &mut [u8]) -> Result<(usize, usize), NotJson> {
    into[0] = match json.get(at + 1) {
        Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'u') => return unescape_unicode(json, at, into),
        _ => return Err(NotJson { at, expected: "an escape" }),
    };
    Ok((2, 1))
}

fn unescape_unicode(json: &[u8], at: usize, into: &mut [u8]) -> Result<(usize, usize), NotJson> {
    let (taken, code) = code_point(json, at).ok_or(NotJson { at, expected: "four hexadecimal digits" })?;
    let stored = match char::from_u32(code) {
        Some(decoded) => decoded.encode_utf8(into).len(),
        None => {
            let continuation = |bits: u32| 0x80 | (bits & 0x3f) as u8;
            into[..3].copy_from_slice(&[0xe0 | (code >> 12) as u8, continuation(code >> 6), continuation(code)]);
            3
        }
    };
    Ok((taken, stored))
}

/// The code point of the `\u` escape at `at`, and how many bytes the escape has: two of them are one where
/// they are a surrogate pair. Half of one is a code point that is no character.
fn code_point(json: &[u8], at: usize) -> Option<(usize, u32)> {
    let unit = hex(json, at + 2)?;
    let low = || {
        let unit = json[at + 6..].starts_with(b"\\u").then(|| hex(json, at + 8)).flatten()?;
        (0xdc00..0xe000).contains(&unit).then_some(unit - 0xdc00)
    };
    match unit {
        0xd800..0xdc00 => Some(low().map_or((6, unit), |low| (12, 0x10000 + (unit - 0xd800) * 0x400 + low))),
        _ => Some((6, unit)),
    }
}

/// The text of a JSON string whose contents are `escaped`, in `into`, which is overwritten. `None` where
/// an escape is half a surrogate pair: such a string is no text.
pub fn unescape_text<'a>(escaped: &str, into: &'a mut Vec<u8>) -> Option<&'a str> {
    into.clear();
    into.resize(escaped.len() + 4, 0);
    let mut length = 0;
    let json = escaped.as_bytes();
    let mut from = 0;
    while from < json.len() {
        let plain = plain_length(&json[from..]);
        into[length..length + plain].copy_from_slice(&json[from..from + plain]);
        (from, length) = (from + plain, length + plain);
        if from < json.len() {
            let (taken, stored) = unescape_one(json, from, &mut into[length..]).ok()?;
            (from, length) = (from + taken, length + stored);
        }
    }
    std::str::from_utf8(&into[..length]).ok()
}

/// Appends `text` to `out` as the contents of a JSON string. What JSON allows as it is stays: no `\u`
/// for anything but control characters.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let plain = plain_length(&bytes[from..]);
        out.extend_from_slice(&bytes[from..from + plain]);
        from += plain;
        match bytes.get(from) {
            None => return,
            Some(b'"') => out.extend_from_slice(b"\\\""),
            Some(b'\\') => out.extend_from_slice(b"\\\\"),
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            Some(b'\t') => out.extend_from_slice(b"\\t"),
            Some(b'\r') => out.extend_from_slice(b"\\r"),
            Some(&control) => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[DIGITS[usize::from(control >> 4)], DIGITS[usize::from(control & 0xf)]]);
            }
        }
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Whether both readers of JSON take `text`: they always agree.
    fn accepts(text: &str) -> bool {
        let mut reader = Reader::new(text.as_bytes());
        let is_read = reader.value().is_ok() && reader.end().is_ok();
        let (mut positions, mut tokens) = (Vec::new(), Vec::new());
        find_specials(text.as_bytes(), &mut positions);
        assert_eq!(tokenize(text.as_bytes(), &positions, 0, &mut tokens).is_ok(), is_read, "{text}");
        is_read
    }

    /// The value that `tokens` from `at` on are, and the place after it.
    fn value_of(text: &str, tokens: &[Token], at: usize) -> Value {
        let token = tokens[at];
        let part = &text[token.start as usize..token.end as usize];
        let mut inner = at + 1;
        match token.kind {
            Kind::Plain | Kind::Escaped => {
                assert_eq!(token.kind == Kind::Escaped, part.contains('\\'));
                unescape_text(part, &mut Vec::new()).unwrap().into()
            }
            Kind::Object => {
                let mut fields = serde_json::Map::new();
                while inner < token.next as usize {
                    let name = value_of(text, tokens, inner).as_str().unwrap().to_owned();
                    fields.insert(name, value_of(text, tokens, inner + 1));
                    inner = tokens[inner + 1].next as usize;
                }
                Value::Object(fields)
            }
            Kind::Array => {
                let mut items = Vec::new();
                while inner < token.next as usize {
                    items.push(value_of(text, tokens, inner));
                    inner = tokens[inner].next as usize;
                }
                Value::Array(items)
            }
            _ => serde_json::from_str(part).unwrap(),
        }
    }

    #[test]
    fn what_is_json_is_what_the_standard_says() {
        for text in [
            "null",
            " true ",
            "false",
            "0",
            "-0",
            "-12.50e+3",
            "1E5",
            "\"\"",
            "\"a\\u00e9\\n\"",
            "[]",
            "[ ]",
            "{}",
            "{ }",
            "[1,[2,{}],\"x\"]",
            "{\"a\":{\"b\":[null]},\"c\":1}",
            "\"я\"",
        ] {
            assert!(accepts(text), "{text}");
        }
        for text in [
            "",
            "nul",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "NaN",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "{}{}",
            "'a'",
        ] {
            assert!(!accepts(text), "{text}");
        }
        assert!(accepts(&format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH))));
        assert!(!accepts(&format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1))));
        assert!(!accepts(&"[".repeat(1_000_000)));
    }

    #[test]
    fn a_number_that_no_double_can_hold_is_a_text() {
        let long = "9".repeat(400);
        for (text, kind) in [
            ("1e308", Kind::Number),
            ("-1.5E+308", Kind::Number),
            ("1e309", Kind::Plain),
            ("1e-999", Kind::Number),
            (&long, Kind::Plain),
        ] {
            let mut tokens = Vec::new();
            tokenize(text.as_bytes(), &[], 0, &mut tokens).unwrap();
            assert_eq!((tokens[0].kind, tokens[0].end as usize), (kind, text.len()), "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        for (escaped, is) in
            [("a", true), ("\\ud83d\\ude00", true), ("\\ud83d", false), ("\\ude00x", false), ("\\\\ud83d", true)]
        {
            assert_eq!(accepts(&format!("\"{escaped}\"")), is, "{escaped}");
            assert_eq!(unescape_text(escaped, &mut Vec::new()).is_some(), is, "{escaped}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,24}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,12}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_number_has_the_value_that_the_standard_library_reads(
            text in "-?(0|[1-9][0-9]{0,17})([.][0-9]{1,17})?([eE][+-]?[0-9]{1,3})?|[-0-9.eE]{0,6}",
        ) {
            if text.parse::<f64>().is_ok() && number_length(text.as_bytes()) == Ok(text.len()) {
                prop_assert_eq!(number(&text).map(f64::to_bits), text.parse().ok().map(f64::to_bits));
            }
            let length = number_length(text.as_bytes()).ok().filter(|length| !text[..*length].contains(['e', 'E']));
            prop_assert_eq!(short_number_length(text.as_bytes()), length.filter(|length| *length <= 24));
        }

        #[test]
        fn an_integer_is_read_whole(value in any::<i64>(), digits in 0_u32..63, sign in any::<bool>(), end in "[,} ]?") {
            let value = (value >> digits).unsigned_abs().min(i64::MAX as u64) as i64 * if sign { -1 } else { 1 };
            prop_assert_eq!(Reader::new(format!("{value}{end}").as_bytes()).integer(), Ok(Some(value)));
        }

        #[test]
        fn a_plain_text_ends_at_the_first_special_byte(text in "[a-zя\"\\\\\n]{0,20}|[a-z]{0,40}\"?[a-z]{0,20}") {
            let bytes = text.as_bytes();
            let first = bytes.iter().position(|byte| block::is_special(*byte));
            prop_assert_eq!(plain_length(bytes), first.unwrap_or(bytes.len()));
        }

        #[test]
        fn what_serde_writes_is_read_and_what_it_refuses_is_refused(
            value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let text = if at.index(2) == 0 { value.to_string() } else { format!("{value:#}") };
            prop_assert!(accepts(&text));
            let (mut positions, mut tokens) = (Vec::new(), Vec::new());
            find_specials(text.as_bytes(), &mut positions);
            tokenize(text.as_bytes(), &positions, 0, &mut tokens).unwrap();
            prop_assert_eq!(value_of(&text, &tokens, 0), value);
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                // serde refuses lone surrogates and numbers beyond f64 too; that is not the reader's business.
                let surrogate = text.contains("\\u") || text.contains(['e', 'E']);
                prop_assert!(accepts(text) == serde_json::from_str::<Value>(text).is_ok() || surrogate, "{}", text);
            }
        }

        #[test]
        fn escapes_are_found_wherever_they_are_in_a_block(
            parts in prop::collection::vec(prop_oneof![
                4 => "[a-z\u{430}]{0,20}".prop_map(String::from),
                4 => prop::sample::select(vec!["\"", "\"\"", "\\", "\n", "\u{1}"]).prop_map(String::from),
                1 => "[a-z]{60,70}".prop_map(String::from),
            ], 0..60),
            after in 0_usize..200,
        ) {
            let text = parts.concat();
            let mut json = serde_json::to_string(&text).unwrap();
            let end = json.len() - 1;
            json.push_str(&"\\\"x".repeat(after));
            let (mut into, mut positions) = (vec![0xff; json.len() + ROOM], Vec::new());
            let (closed, length) = unescape(json.as_bytes(), 1, &mut into, 0, &mut positions).unwrap();
            prop_assert_eq!((closed, &into[..length]), (end, text.as_bytes()));
            let special = |&(_, byte): &(usize, u8)| block::is_special(byte);
            let expected: Vec<u32> = text.bytes().enumerate().filter(special).map(|(at, _)| at as u32).collect();
            prop_assert_eq!(&positions, &expected);
            let mut found = Vec::new();
            find_specials(text.as_bytes(), &mut found);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn an_integer_is_what_the_standard_library_reads(
            text in prop_oneof!["-?[0-9]{1,21}", "[0-9]{1,3}[.eE][0-9]{0,2}", "0{0,2}[1-9]{0,2}"], end in ",|\\}| |a|",
        ) {
            let json = format!("{text}{end}");
            let read = Reader::new(json.as_bytes()).integer();
            match Reader::new(json.as_bytes()).number() {
                Ok(place) => prop_assert_eq!(read, Ok(json[place].parse().ok())),
                Err(error) => prop_assert_eq!(read, Err(error)),
            }
        }

        #[test]
        fn a_control_character_ends_the_text_wherever_it_is(before in 0_usize..150, after in 0_usize..150, control in 0_u8..32) {
            let json = format!("{}{}{}\"", "\\\"".repeat(before / 2), "x".repeat(before % 2), char::from(control)) + &"y".repeat(after);
            let at = before / 2 * 2 + before % 2;
            let error = unescape(json.as_bytes(), 0, &mut vec![0; json.len() + ROOM], 0, &mut Vec::new()).unwrap_err();
            prop_assert_eq!(error.at, at);
        }

        #[test]
        fn escaping_and_unescaping_are_inverse_and_as_serde_does_them(text in any::<String>()) {
            let mut escaped = Vec::new();
            escape(&text, &mut escaped);
            let escaped = String::from_utf8(escaped).unwrap();
            let mut into = Vec::new();
            prop_assert_eq!(unescape_text(&escaped, &mut into), Some(text.as_str()));
            let json = format!("\"{escaped}\"");
            prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
            let (mut into, mut positions) = (vec![0xff; json.len() + ROOM], Vec::new());
            let (end, length) = unescape(json.as_bytes(), 1, &mut into, 0, &mut positions).unwrap();
            prop_assert_eq!((end, &into[..length]), (json.len() - 1, text.as_bytes()));
            let mut found = Vec::new();
            find_specials(text.as_bytes(), &mut found);
            prop_assert_eq!(positions, found);
        }
    }
}
