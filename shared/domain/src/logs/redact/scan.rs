//! One pass over a text: from one byte that may belong to something personal to the next, and what is
//! found there. A hostile line costs no more than an honest one: every finder looks at a byte a bounded
//! number of times.
//!
//! A second pass over what came out of the first must find nothing. So a finder looks back only as far
//! as the last finding or pseudonym ended, and what it refuses because of what follows, it refuses
//! whatever becomes of that.

use std::ops::Range;

use super::kind::Kind;
use super::names::FieldNames;
use super::pseudonym;
use super::triggers::{self, BLOCK};

/// A part of a text that something else is to stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands, in bytes.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// Whether it stood bare where JSON wants a text: what stands for it goes in double quotes.
    pub quoted: bool,
}

/// What a finder says.
pub(super) enum Look {
    /// This, and the pass goes on behind it.
    Found(Finding),
    /// Nothing up to here.
    Nothing(usize),
}

/// The findings of a text, ascending and apart from each other.
#[derive(Debug, Clone)]
pub struct Findings<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) names: &'a FieldNames,
    /// Where the pass is.
    pub(super) at: usize,
    /// Where the block begins whose triggers are in `bits`.
    block: usize,
    bits: u64,
    /// Nothing before it belongs to a finding: one ended here, or a pseudonym.
    pub(super) from: usize,
    /// Up to here no JSON web token can begin.
    pub(super) no_web_token_until: usize,
    /// Where the last `%40` ended.
    pub(super) encoded_at_until: usize,
    /// The password of the URL that the pass is in.
    pub(super) password: Range<usize>,
    /// Bytes looked at, for the test that says that the work is linear.
    #[cfg(test)]
    pub(super) steps: usize,
}

impl<'a> Findings<'a> {
    pub(super) fn of(text: &'a str, names: &'a FieldNames) -> Findings<'a> {
        Findings {
            text,
            bytes: text.as_bytes(),
            names,
            at: 0,
            block: 0,
            bits: triggers::of(text.as_bytes()),
            from: 0,
            no_web_token_until: 0,
            encoded_at_until: 0,
            password: 0..0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Where the next trigger is.
    #[inline]
    fn next_trigger(&mut self) -> Option<usize> {
        loop {
            // Those that were passed over are none any more.
            let passed = self.at.saturating_sub(self.block);
            if passed < BLOCK {
                self.bits &= u64::MAX << passed;
                if self.bits != 0 {
                    return Some(self.block + self.bits.trailing_zeros() as usize);
                }
            }
            self.block = self.at.max(self.block + BLOCK);
            if self.block >= self.bytes.len() {
                return None;
            }
            self.step(BLOCK);
            self.bits = triggers::of(&self.bytes[self.block..]);
        }
    }

    /// What is found at the trigger `at`.
    #[inline]
    fn look(&mut self, at: usize) -> Look {
        match self.bytes[at] {
            b'=' | b':' => self.sign(at),
            b'0'..=b'9' => self.digits(at),
            b'@' => self.found_or(at + 1, |scan| scan.email(at, 1)),
            b'%' => self.percent(at),
            b'+' => self.international(at, 1),
            b'y' => self.found_or(at + 1, |scan| scan.web_token(at)),
            b'B' | b'b' if self.bytes.get(at + 2).is_some_and(u8::is_ascii_alphabetic) => {
                self.found_or(at + 1, |scan| scan.bearer(at))
            }
            b'I' => self.found_or(at + 1, |scan| scan.aws_key(at).or_else(|| scan.iban(at))),
            b'A'..=b'Z' => self.found_or(at + 1, |scan| scan.iban(at)),
            b'\\' => Look::Nothing(at + self.unicode_escape(at).unwrap_or(1)),
            _ => Look::Nothing(at + 1),
        }
    }

    fn found_or(&mut self, next: usize, find: impl FnOnce(&mut Self) -> Option<Finding>) -> Look {
        find(self).map_or(Look::Nothing(next), Look::Found)
    }

    /// `%40` is an `@`, `%2B` a `+`, and any other escape is passed over, so that its digits are no number's.
    fn percent(&mut self, at: usize) -> Look {
        let Some(&[high, low]) = self.bytes.get(at + 1..at + 3) else { return Look::Nothing(at + 1) };
        match (high, low) {
            (b'4', b'0') => self.found_or(at + 3, |scan| scan.email(at, 3)),
            (b'2', b'B' | b'b') => self.international(at, 3),
            _ if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Look::Nothing(at + 3),
            _ => Look::Nothing(at + 1),
        }
    }

    /// Length of `\u0430` at `at`.
    fn unicode_escape(&self, at: usize) -> Option<usize> {
        let escape = self.bytes.get(at..at + 6)?;
        (escape[1] == b'u' && escape[2..].iter().all(u8::is_ascii_hexdigit)).then_some(6)
    }

    /// What stands before `at` and may be looked at.
    pub(super) fn before(&self, at: usize) -> &'a [u8] {
        &self.bytes[self.from..at]
    }

    /// Whether no letter or digit stands before `at`; escapes (`\n`, `%20`, `\u0430`) are neither.
    pub(super) fn starts_word(&self, at: usize) -> bool {
        match self.before(at) {
            [.., last] if !last.is_ascii_alphanumeric() => true,
            before => before.is_empty() || ends_with_escape(before),
        }
    }

    /// Length of the run of bytes from `at` that `fits`.
    pub(super) fn length(&mut self, at: usize, fits: impl Fn(u8) -> bool) -> usize {
        let length = self.bytes[at..].iter().take_while(|&&byte| fits(byte)).count();
        self.step(length);
        length
    }

    /// Notes that `count` bytes were looked at.
    pub(super) fn step(&mut self, count: usize) {
        #[cfg(test)]
        {
            self.steps += count;
        }
        #[cfg(not(test))]
        let _ = count;
    }

    /// Passes over the pseudonym whose colon stands at `at`.
    pub(super) fn pseudonym(&mut self, at: usize) -> Option<Look> {
        let end = pseudonym::end_at_colon(self.bytes, self.from, at)?;
        self.from = end;
        Some(Look::Nothing(end))
    }
}

impl Iterator for Findings<'_> {
    type Item = Finding;

    fn next(&mut self) -> Option<Finding> {
        loop {
            let at = self.next_trigger()?;
            self.step(1);
            match self.look(at) {
                Look::Nothing(next) => self.at = next,
                Look::Found(finding) => {
                    self.at = finding.range.end;
                    self.from = finding.range.end;
                    return Some(finding);
                }
            }
        }
    }
}

/// Whether the last bytes are an escape, which is no part of the word behind it.
fn ends_with_escape(before: &[u8]) -> bool {
    match before {
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => true,
        [.., b'\\', b'u', a, b, c, d] => [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()),
        _ => false,
    }
}
