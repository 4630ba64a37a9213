//! One pass over a text: what is found in it is replaced by what it was. A hostile line costs no more
//! than an honest one: every finder looks at a byte a bounded number of times.

use std::borrow::Cow;
use std::ops::Range;

use super::labelled;

/// A pass.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    /// Nothing before it belongs to a finding: it was replaced already.
    pub(super) from: usize,
    /// Up to here names of fields were looked at.
    pub(super) names_until: usize,
    /// Up to here no JSON web token can begin.
    pub(super) no_web_token_until: usize,
    /// Where the last `%40` ended.
    pub(super) encoded_at_until: usize,
    /// Bytes looked at, for the test that says that the work is linear.
    pub(super) steps: usize,
}

/// A part of the text, and what stands for it.
pub(super) type Finding = (Range<usize>, &'static str);

/// `text` with what is personal or secret in it replaced by what it was.
pub fn redact_text(text: &str) -> Cow<'_, str> {
    Scan::of(text).run()
}

impl<'a> Scan<'a> {
    pub(super) fn of(text: &'a str) -> Scan<'a> {
        let bytes = text.as_bytes();
        Scan { text, bytes, from: 0, names_until: 0, no_web_token_until: 0, encoded_at_until: 0, steps: 0 }
    }

    pub(super) fn run(&mut self) -> Cow<'a, str> {
        let mut redacted = String::new();
        let mut at = 0;
        while at < self.bytes.len() {
            self.steps += 1;
            match self.finding(at) {
                Some((range, kind)) => {
                    redacted.push_str(&self.text[self.from..range.start]);
                    redacted.push_str(kind);
                    self.from = range.end;
                    at = range.end;
                }
                None => at += 1,
            }
        }
        if self.from == 0 {
            return Cow::Borrowed(self.text);
        }
        redacted.push_str(&self.text[self.from..]);
        Cow::Owned(redacted)
    }

    /// What is found at the byte `at`.
    fn finding(&mut self, at: usize) -> Option<Finding> {
        if at >= self.names_until
            && labelled::is_name_byte(self.bytes[at])
            && let Some(found) = self.labelled_secret(at)
        {
            return Some(found);
        }
        match self.bytes[at] {
            b'@' => self.email(at, 1),
            b'%' if self.bytes[at..].starts_with(b"%40") => self.email(at, 3),
            b'%' if self.is_encoded_plus(at) && self.starts_word(at) => self.phone(at),
            b'B' | b'b' if self.starts_word(at) => self.bearer(at),
            b'e' if self.starts_word(at) => self.web_token(at),
            b'A' if self.starts_word(at) => self.aws_key(at),
            b'+' | b'7' | b'8' if self.starts_word(at) => self.phone(at),
            _ => None,
        }
    }

    /// Whether no letter or digit stands before `at`; escapes (`\n`, `%20`) are neither.
    pub(super) fn starts_word(&self, at: usize) -> bool {
        let before = &self.bytes[self.from..at];
        match before {
            [.., b'\\', b'n' | b'r' | b't'] => true,
            [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => true,
            [.., last] => !last.is_ascii_alphanumeric(),
            [] => true,
        }
    }

    /// Length of the run of bytes from `at` that `fits`.
    pub(super) fn length(&mut self, at: usize, fits: impl Fn(u8) -> bool) -> usize {
        let length = self.bytes[at..].iter().take_while(|&&byte| fits(byte)).count();
        self.steps += length;
        length
    }

    /// Whether `+` stands at `at` as it is written in a URL.
    pub(super) fn is_encoded_plus(&self, at: usize) -> bool {
        self.bytes[at..].get(..3).is_some_and(|escape| escape.eq_ignore_ascii_case(b"%2B"))
    }
}
