//! What personal data and secrets look like that have letters in them, whatever they are called.

use super::checksum;
use super::kind::Kind;
use super::pseudonym;
use super::scan::{Finding, Findings};

/// Fewest characters of the credentials after `Bearer`.
const MIN_BEARER: usize = 8;

/// From so many on they need no digit to be told from a word.
const SURE_BEARER: usize = 24;

/// Fewest characters of a JSON web token.
const MIN_WEB_TOKEN: usize = 20;

/// Characters of an AWS key id.
const AWS_KEY: usize = 20;

/// Most characters of name and password in a URL.
const MAX_USER_INFO: usize = 256;

fn is_top(domain: &[u8]) -> bool {
    domain.len() >= 2 && domain.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

impl Findings<'_> {
    /// A local part, `@` (`sign` bytes long: a URL writes `%40`), and a domain with a dot and letters at
    /// its end. Bytes above ASCII count as letters: an address may be written in Cyrillic.
    pub(super) fn email(&mut self, at: usize, sign: usize) -> Option<Finding> {
        let floor = if sign == 1 { self.from } else { self.from.max(self.encoded_at_until) };
        let after = at + sign;
        if sign > 1 {
            self.encoded_at_until = after;
        }
        let domain = self.domain(after)?;
        let local = |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte) || byte >= 0x80;
        let length = self.bytes[floor..at].iter().rev().take_while(|&&byte| local(byte)).count();
        self.step(length);
        let start = self.local_start(at - length, at);
        (start < at).then_some(found(start..after + domain, Kind::Email))
    }

    /// Where the local part that may begin at `start` does: an escape before a letter is none of it, as
    /// the `n` of `\nanna@...`, or `%3D`, and neither are quotes and dashes.
    fn local_start(&self, start: usize, at: usize) -> usize {
        let local = &self.text[start..at];
        let mut start = at - local.trim_start_matches(|c: char| !c.is_alphanumeric() && !"_%+".contains(c)).len();
        if let [b'n' | b'r' | b't', _, ..] = self.bytes[start..at]
            && self.before(start).ends_with(b"\\")
        {
            start += 1;
        }
        // Escapes that can stand in no address: `=`, `&`, `?`, `/`, `:`, `,`, `;`, and spaces.
        let is_outside = |escape: &[u8]| {
            [
                &b"%3D"[..],
                b"%3d",
                b"%26",
                b"%3F",
                b"%3f",
                b"%2F",
                b"%2f",
                b"%3A",
                b"%3a",
                b"%2C",
                b"%2c",
                b"%3B",
                b"%20",
            ]
            .contains(&escape)
        };
        let last = self.bytes[start..at].windows(3).rposition(is_outside);
        last.map_or(start, |offset| start + offset + 3)
    }

    /// Length of the domain that begins at `after`. What can be no domain's end is left out, so that it
    /// does not matter what becomes of it.
    fn domain(&mut self, after: usize) -> Option<usize> {
        let run = self.length(after, |b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b >= 0x80);
        let mut name = &self.bytes[after..after + run];
        // Punctuation that is no ASCII ends it: `anna@example.com» ...`.
        if let Some(end) = self.text[after..after + run].find(|c: char| !c.is_alphanumeric() && c != '.' && c != '-') {
            name = &name[..end];
        }
        while let Some(cut) = name.iter().rposition(|byte| matches!(byte, b'.' | b'-')) {
            if name[cut] == b'.' && cut > 0 && name[0] != b'.' {
                let top = &name[cut + 1..];
                // After letters that are no ASCII another word may begin: `a@example.рф79123456789`.
                let first_word = top.windows(2).position(|pair| pair[0] >= 0x80 && pair[1] < 0x80);
                if let Some(top) =
                    [top.len(), first_word.map_or(0, |at| at + 1)].into_iter().find(|end| is_top(&top[..*end]))
                {
                    return Some(cut + 1 + top);
                }
            }
            name = &name[..cut];
        }
        None
    }

    /// The credentials after `Bearer `, whose `B` stands at `at`. Letters alone may be a word.
    pub(super) fn bearer(&mut self, at: usize) -> Option<Finding> {
        if !matches!(self.bytes.get(at + 1)?, b'e' | b'E') || !self.starts_word(at) {
            return None;
        }
        let start = at + 7;
        if !self.bytes.get(at..start)?.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let length = self.length(start, is_token_byte);
        let credentials = &self.bytes[start..start + length];
        let length = length - credentials.iter().rev().take_while(|&&byte| byte == b'.').count();
        let is_sure = length >= SURE_BEARER || credentials.iter().any(u8::is_ascii_digit);
        (length >= MIN_BEARER && is_sure).then_some(found(start..start + length, Kind::Token))
    }

    /// `eyJ...` with two dots, whose `y` stands at `at`: the three parts of a JSON web token. Where the run
    /// from here on is none, no shorter end of the same run is one.
    pub(super) fn web_token(&mut self, at: usize) -> Option<Finding> {
        let [.., b'e'] = self.before(at) else { return None };
        let start = at - 1;
        if start < self.no_web_token_until || !self.starts_word(start) {
            return None;
        }
        let run = self.length(start, |b| b.is_ascii_alphanumeric() || b"-_.=".contains(&b));
        self.no_web_token_until = start + run;
        let token = &self.bytes[start..start + run];
        let token = &token[..run - token.iter().rev().take_while(|&&byte| byte == b'.').count()];
        let dots = token.iter().filter(|&&byte| byte == b'.').count();
        (dots >= 2 && token.len() >= MIN_WEB_TOKEN).then_some(found(start..start + token.len(), Kind::Token))
    }

    /// `AKIA` or `ASIA`, whose `I` stands at `at`, and 16 capitals or digits.
    pub(super) fn aws_key(&mut self, at: usize) -> Option<Finding> {
        let start = at.checked_sub(2).filter(|start| *start >= self.from)?;
        (self.is_aws_key(start) && self.starts_word(start)).then_some(found(start..start + AWS_KEY, Kind::AwsKey))
    }

    /// Whether the id of an AWS key begins at `start`.
    pub(super) fn is_aws_key(&mut self, start: usize) -> bool {
        let rest = &self.bytes[start..];
        if !rest.starts_with(b"AKIA") && !rest.starts_with(b"ASIA") {
            return false;
        }
        let run = &rest[..rest.len().min(AWS_KEY + 1)];
        self.step(run.len());
        run.iter().take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit()).count() == AWS_KEY
            && run.get(AWS_KEY).is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'_')
    }

    /// Looks whether the URL whose `://` ends at `start` has a password: `user:password@host`.
    pub(super) fn note_password(&mut self, start: usize) {
        let user = start + pseudonym::length(&self.bytes[start..]).unwrap_or(0);
        let rest = &self.bytes[user..];
        let rest = &rest[..rest.len().min(MAX_USER_INFO)];
        let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || b"/?#@\"'<>`\\".contains(byte));
        let end = end.unwrap_or(rest.len());
        self.step(end);
        let colon = rest[..end].iter().position(|&byte| byte == b':');
        if let Some(colon) = colon
            && rest.get(end) == Some(&b'@')
            && colon + 1 < end
        {
            self.password = user + colon + 1..user + end;
        }
    }

    /// The password noted before, when its colon stands at `colon`.
    pub(super) fn noted_password(&self, colon: usize) -> Option<Finding> {
        let is_here = self.password.start == colon + 1 && !self.password.is_empty();
        let is_new = || !pseudonym::is_whole(&self.text[self.password.clone()]);
        (is_here && is_new()).then(|| found(self.password.clone(), Kind::Secret))
    }

    /// An IBAN that begins at `start`: in one piece, or in groups of four.
    pub(super) fn iban(&mut self, start: usize) -> Option<Finding> {
        let [first, second, ..] = self.bytes[start..] else { return None };
        if !(first.is_ascii_uppercase() && second.is_ascii_uppercase() && self.starts_word(start)) {
            return None;
        }
        let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let (mut end, mut last) = (start, None);
        while end - start < 42 {
            let group = self.length(end, fits).min(35);
            end += group;
            if !self.bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
                && checksum::is_iban(&self.bytes[start..end])
            {
                last = Some(end);
            }
            if group != 4 || self.bytes.get(end) != Some(&b' ') {
                break;
            }
            end += 1;
        }
        last.map(|end| found(start..end, Kind::Account))
    }
}

pub(super) fn found(range: std::ops::Range<usize>, kind: Kind) -> Finding {
    Finding { range, kind, quoted: false }
}
