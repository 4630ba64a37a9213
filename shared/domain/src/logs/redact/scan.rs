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
    at: usize,
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

/// What a byte may be the sign of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Digit,
    /// `=` or `:`, after a name.
    Sign,
    /// `@`, of an address.
    At,
    /// `%`, of an escape.
    Percent,
    /// `+`, of a phone number.
    Plus,
    /// `B`, of Bearer.
    Bearer,
    /// `J`, of a web token's `eyJ`.
    WebToken,
    /// `I`, of AKIA and ASIA.
    AwsKey,
    /// `\`, of `\u0430`.
    Escape,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        classes[digit as usize] = Class::Digit;
        digit += 1;
    }
    classes[b'=' as usize] = Class::Sign;
    classes[b':' as usize] = Class::Sign;
    classes[b'@' as usize] = Class::At;
    classes[b'%' as usize] = Class::Percent;
    classes[b'+' as usize] = Class::Plus;
    classes[b'B' as usize] = Class::Bearer;
    classes[b'b' as usize] = Class::Bearer;
    classes[b'J' as usize] = Class::WebToken;
    classes[b'I' as usize] = Class::AwsKey;
    classes[b'\\' as usize] = Class::Escape;
    classes
};

impl<'a> Findings<'a> {
    pub(super) fn of(text: &'a str, names: &'a FieldNames) -> Findings<'a> {
        Findings {
            text,
            bytes: text.as_bytes(),
            names,
            at: 0,
            from: 0,
            no_web_token_until: 0,
            encoded_at_until: 0,
            password: 0..0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// What is found at the byte `at`, which is of `class`.
    fn look(&mut self, class: Class, at: usize) -> Look {
        match class {
            Class::Plain => Look::Nothing(at + 1),
            Class::Digit => self.digits(at),
            Class::Sign => self.sign(at),
            Class::At => self.found_or(at + 1, |scan| scan.email(at, 1)),
            Class::Percent => self.percent(at),
            Class::Plus => self.international(at, 1),
            Class::Bearer => self.found_or(at + 1, |scan| scan.bearer(at)),
            Class::WebToken => self.found_or(at + 1, |scan| scan.web_token(at)),
            Class::AwsKey => self.found_or(at + 1, |scan| scan.aws_key(at)),
            Class::Escape => Look::Nothing(at + self.unicode_escape(at).unwrap_or(1)),
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
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "only tests count"))]
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
            let rest = &self.bytes[self.at..];
            let plain = rest.iter().position(|&byte| CLASSES[usize::from(byte)] != Class::Plain)?;
            let at = self.at + plain;
            self.step(plain + 1);
            match self.look(CLASSES[usize::from(self.bytes[at])], at) {
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
