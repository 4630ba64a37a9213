//! What personal data and secrets look like, whatever they are called.

use super::scan::{Finding, Scan};

/// What may stand between the digits of a phone number, also as a URL writes it: space, hyphen,
/// parentheses, and the spaces and hyphens that do not break a line.
const SEPARATORS: [&str; 14] = [
    " ", "-", "(", ")", "\u{a0}", "\u{202f}", "\u{2009}", "\u{2010}", "\u{2011}", "\u{2012}", "\u{2013}", "%20", "%28",
    "%29",
];

impl Scan<'_> {
    /// A local part, `@` (`sign` bytes long: a URL writes `%40`), and a domain with a dot and letters at
    /// its end. Bytes above ASCII count as letters: an address may be written in Cyrillic.
    pub(super) fn email(&mut self, at: usize, sign: usize) -> Option<Finding> {
        let local = |b: u8| b.is_ascii_alphanumeric() || b"._%+-".contains(&b) || b >= 0x80;
        let floor = if sign == 1 { self.from } else { self.from.max(self.encoded_at_until) };
        let before = self.bytes[floor..at].iter().rev().take_while(|&&byte| local(byte)).count();
        self.steps += before;
        let (start, after) = (at - before, at + sign);
        if sign > 1 {
            self.encoded_at_until = after;
        }
        let domain = self.length(after, |b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b >= 0x80);
        let name = &self.bytes[after..after + domain];
        let name = &name[..name.len() - name.iter().rev().take_while(|b| matches!(b, b'.' | b'-')).count()];
        let top = name.rsplit(|&b| b == b'.').next()?;
        let valid = start < at
            && name.contains(&b'.')
            && !name.starts_with(b".")
            && top.len() >= 2
            && top.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80);
        valid.then(|| (start..after + name.len(), "[email]"))
    }

    /// The credentials after `Bearer `.
    pub(super) fn bearer(&mut self, at: usize) -> Option<Finding> {
        let word = self.bytes.get(at..at + 7)?;
        if !word.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let length = self.length(at + 7, |b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
        (length >= 8).then(|| (at + 7..at + 7 + length, "[token]"))
    }

    /// `eyJ...` with two dots: the three parts of a JSON web token. Where the run from here on is none,
    /// no shorter end of the same run is one.
    pub(super) fn web_token(&mut self, at: usize) -> Option<Finding> {
        if at < self.no_web_token_until || !self.bytes[at..].starts_with(b"eyJ") {
            return None;
        }
        let length = self.length(at, |b| b.is_ascii_alphanumeric() || b"-_.=".contains(&b));
        self.no_web_token_until = at + length;
        let dots = self.bytes[at..at + length].iter().filter(|&&byte| byte == b'.').count();
        (dots >= 2 && length >= 20).then_some((at..at + length, "[token]"))
    }

    /// `AKIA` or `ASIA` and 16 capitals or digits.
    pub(super) fn aws_key(&mut self, at: usize) -> Option<Finding> {
        let rest = &self.bytes[at..];
        if !rest.starts_with(b"AKIA") && !rest.starts_with(b"ASIA") {
            return None;
        }
        let length = self.length(at, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
        (length == 20).then_some((at..at + length, "[token]"))
    }

    /// An international number (`+`, 10 to 15 digits), or a Russian mobile one (7 or 8, then 9, then nine
    /// digits), with separators between. Longer runs of digits are no phone numbers.
    pub(super) fn phone(&mut self, at: usize) -> Option<Finding> {
        let sign = match self.bytes[at] {
            b'+' => 1,
            b'%' => 3,
            _ => 0,
        };
        let (digits, end) = self.digits(at + sign)?;
        let ends_word = !self.bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
        let valid = if sign > 0 { (10..=15).contains(&digits.len()) } else { self.is_mobile(at, end, &digits) };
        (valid && ends_word).then_some((at..end, "[phone]"))
    }

    /// The digits from `start` on and where they end; `None` for too many.
    fn digits(&mut self, start: usize) -> Option<(Vec<u8>, usize)> {
        let mut digits: Vec<u8> = Vec::with_capacity(16);
        let (mut at, mut end, mut separators) = (start, start, 0);
        while let Some(&byte) = self.bytes.get(at) {
            self.steps += 1;
            if byte.is_ascii_digit() {
                digits.push(byte);
                at += 1;
                (end, separators) = (at, 0);
            } else {
                let between = separators < 2 && !digits.is_empty() && digits.len() < 11;
                let Some(length) = separator(&self.bytes[at..]).filter(|_| between) else { break };
                separators += 1;
                at += length;
            }
            if digits.len() > 15 {
                return None;
            }
        }
        Some((digits, end))
    }

    /// Whether `digits`, which stand at `at..end`, are a Russian mobile number and no part of another one.
    fn is_mobile(&self, at: usize, end: usize, digits: &[u8]) -> bool {
        let is_digit = |at: usize| self.bytes.get(at).is_some_and(u8::is_ascii_digit);
        let part_of_number = match &self.bytes[..at] {
            [.., b'.' | b'-' | b'_'] => true,
            // `77:01:0001:...` and `21/11/2026`, but not `tel:` and `/by-phone/`.
            [.., before, b':' | b'/'] => before.is_ascii_digit(),
            _ => false,
        };
        let goes_on = matches!(self.bytes.get(end), Some(b'.' | b':')) && is_digit(end + 1);
        digits.len() == 11 && digits[1] == b'9' && !part_of_number && !goes_on
    }
}

/// Length of the separator that `bytes` begin with.
fn separator(bytes: &[u8]) -> Option<usize> {
    SEPARATORS.iter().find(|separator| bytes.starts_with(separator.as_bytes())).map(|separator| separator.len())
}
