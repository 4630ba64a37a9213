//! Values by the names before them in a text: `"password": "..."`, `token=...`, `Set-Cookie: ...`,
//! `full_name=...`, `Key (phone)=(...)`. JSON that was cut off or that no parser takes is a text, too.

use super::kind::Kind;
use super::names::{self, Naming};
use super::patterns::found;
use super::pseudonym;
use super::scan::{Finding, Findings, Look};

/// Spaces and backslashes that may stand beside quotes and colons.
const MAX_PADDING: usize = 8;

/// Words before credentials.
const SCHEMES: [&str; 6] = ["basic", "digest", "token", "negotiate", "bearer", "aws4-hmac-sha256"];

/// Words that are no value.
const NOTHING: [&str; 12] =
    ["null", "nil", "none", "undefined", "unknown", "missing", "empty", "required", "invalid", "true", "false", "?"];

/// Most words of a name and of an address.
const MAX_NAME_WORDS: usize = 4;
const MAX_ADDRESS_WORDS: usize = 12;

/// Most bytes of a bare number.
const MAX_NUMBER: usize = 40;

/// Most bytes of a value that tell whether it is the address of a host.
const MAX_HOST: usize = 64;

/// A name before `=` or `:`.
struct Name<'a> {
    text: &'a str,
    start: usize,
    quoted: bool,
}

fn is_word_byte(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b",;&\"'<>()[]{}`\\".contains(&byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl<'a> Findings<'a> {
    /// The value after the name before the `=` or `:` at `at`.
    pub(super) fn sign(&mut self, at: usize) -> Look {
        let next = self.bytes.get(at + 1).copied().unwrap_or(b' ');
        if self.bytes[at] == b':' {
            if next == b'/' && self.bytes.get(at + 2) == Some(&b'/') {
                self.note_password(at + 3);
                return Look::Nothing(at + 3);
            }
            if let Some(passed) = self.pseudonym(at) {
                return passed;
            }
            if let Some(password) = self.noted_password(at) {
                return Look::Found(password);
            }
        }
        if matches!(next, b':' | b'=') || self.ends_plain_name(at) {
            return Look::Nothing(at + 1);
        }
        self.value_of_name(at).map_or(Look::Nothing(at + 1), Look::Found)
    }

    /// Whether what stands right before the sign at `at` ends no name that tells anything. Most do not.
    #[inline]
    fn ends_plain_name(&self, at: usize) -> bool {
        match self.before(at) {
            [.., third, before, last] if is_name_byte(*last) => self.names.is_plain_end(*third, *before, *last),
            [before, last] if is_name_byte(*last) => self.names.is_plain_end(b' ', *before, *last),
            [.., last] => !matches!(last, b' ' | b'"' | b'\'' | b')' | 0x80..),
            [] => true,
        }
    }

    fn value_of_name(&mut self, at: usize) -> Option<Finding> {
        // PostgreSQL's `Key (email)=(...)`.
        let is_key = self.bytes[at - 1] == b')' && self.bytes.get(at + 1) == Some(&b'(');
        let name = self.name_before(if is_key { at - 1 } else { at })?;
        let naming = self.naming(&name);
        if naming == Naming::Plain {
            return None;
        }
        if is_key {
            return self.key_value(at + 2, naming);
        }
        // Ruby's `=>`.
        let sign = if self.bytes[at] == b'=' && self.bytes.get(at + 1) == Some(&b'>') { 2 } else { 1 };
        let start = at + sign + self.padding(at + sign, b' ');
        if matches!(self.bytes.get(start)?, b':' | b'=') {
            return None;
        }
        self.value(start, &name, naming)
    }

    /// The name that ends at `end`, quotes and spaces between left out.
    fn name_before(&mut self, end: usize) -> Option<Name<'a>> {
        let end = end - self.padding_before(end, b' ');
        let quoted = matches!(self.before(end), [.., b'"' | b'\'']);
        let end = if quoted { end - 1 - self.padding_before(end - 1, b'\\') } else { end };
        let before = self.before(end);
        let before = &before[before.len().saturating_sub(names::MAX_BYTES + 1)..];
        let run = |fits: fn(u8) -> bool| before.iter().rev().take_while(|&&byte| fits(byte)).count();
        let length = match before.last()? {
            0x80.. => run(|byte| byte >= 0x80),
            byte if is_name_byte(*byte) => run(is_name_byte),
            _ => return None,
        };
        self.step(length);
        let start = end - length;
        let text = self.text.get(start..end)?.trim_start_matches('-');
        Some(Name { text, start: end - text.len(), quoted })
    }

    fn naming(&mut self, name: &Name<'_>) -> Naming {
        let naming = self.names.of(name.text);
        if naming != Naming::Plain {
            return naming;
        }
        // In `\npassword` the `n` is not the name's.
        if self.before(name.start).ends_with(b"\\") && name.text.starts_with(['n', 'r', 't']) {
            return self.names.of(&name.text[1..]);
        }
        if !name.quoted && self.names.is_tail(name.text) { self.naming_of_words(name) } else { Naming::Plain }
    }

    /// What a name of two or three words tells: `date of birth`.
    fn naming_of_words(&mut self, name: &Name<'_>) -> Naming {
        let mut words = [name.text; 3];
        let mut start = name.start;
        for count in 2..=words.len() {
            let [.., b' '] = self.before(start) else { break };
            let Some(word) = self.name_before(start - 1) else { break };
            start = word.start;
            words[words.len() - count] = word.text;
            let naming = self.names.of_words(&words[words.len() - count..]);
            if naming != Naming::Plain {
                return naming;
            }
        }
        Naming::Plain
    }

    /// The value in the parentheses that open before `start`.
    fn key_value(&mut self, start: usize, naming: Naming) -> Option<Finding> {
        let length = self.length(start, |byte| !matches!(byte, b')' | b'\n'));
        self.whole(start, length, naming)
    }

    /// `length` bytes from `start` on as the value, unless something stands for it already.
    fn whole(&self, start: usize, length: usize, naming: Naming) -> Option<Finding> {
        let kind = match naming {
            Naming::Plain => return None,
            Naming::Secret => Kind::Secret,
            Naming::Personal(kind) => kind,
        };
        let value = &self.text[start..start + length];
        let is_value = if kind == Kind::Secret { is_secret(value) } else { is_personal(kind, value) };
        is_value.then(|| found(start..start + length, kind))
    }

    /// The value that begins at `start`.
    fn value(&mut self, start: usize, name: &Name<'_>, naming: Naming) -> Option<Finding> {
        // Rust's `Some("...")`.
        let start = start + if self.bytes[start..].starts_with(b"Some(") { 5 } else { 0 };
        let backslashes = self.padding(start, b'\\');
        let open = start + backslashes;
        match self.bytes.get(open)? {
            quote @ (b'"' | b'\'') => {
                let length = self.quoted(open + 1, *quote, backslashes);
                if naming == Naming::Secret && length == 20 && self.is_aws_key(open + 1) {
                    return None;
                }
                self.whole(open + 1, length, naming)
            }
            b'[' | b'{' => self.nested(open, name.quoted, naming),
            _ => {
                let found = match naming {
                    Naming::Plain => None,
                    Naming::Secret => self.bare_secret(start, name),
                    Naming::Personal(kind) => self.bare_personal(start, name, kind),
                };
                found.map(|found| Finding { quoted: name.quoted && found.range.start == start, ..found })
            }
        }
    }

    /// Length of the text up to the quote that ends it: one that is not escaped, or, for text in a text,
    /// one that has as many backslashes before it as the one that began it. The rest where there is none.
    fn quoted(&mut self, start: usize, quote: u8, backslashes: usize) -> usize {
        let mut before = 0;
        for (offset, &byte) in self.bytes[start..].iter().enumerate() {
            let at = start + offset;
            match byte {
                b'\\' => before += 1,
                _ if byte == quote && backslashes == 0 && before % 2 == 0 && !self.is_apostrophe(at) => {
                    self.step(offset);
                    return offset;
                }
                _ if byte == quote && before < backslashes + usize::from(backslashes > 0) => {
                    self.step(offset);
                    return offset - before;
                }
                _ => before = 0,
            }
        }
        self.step(self.bytes.len() - start);
        self.bytes.len() - start
    }

    /// Whether the quote at `at` is one within a word: `О'Нил`.
    fn is_apostrophe(&self, at: usize) -> bool {
        let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte >= 0x80;
        self.bytes[at] == b'\''
            && at > 0
            && is_letter(self.bytes[at - 1])
            && self.bytes.get(at + 1).is_some_and(|b| is_letter(*b))
    }

    /// An array or object as the value. What a number or an address is, is found in it by itself.
    fn nested(&mut self, open: usize, quoted: bool, naming: Naming) -> Option<Finding> {
        let is_found_inside = matches!(
            naming,
            Naming::Personal(
                Kind::Email | Kind::Phone | Kind::Passport | Kind::Inn | Kind::Snils | Kind::Card | Kind::Account
            )
        );
        if is_found_inside || pseudonym::length(&self.bytes[open..]).is_some() {
            return None;
        }
        let kind = match naming {
            // `[::1]:8080`; looked at before its end is looked for, which may be far.
            Naming::Personal(Kind::Address) if is_host(&self.text[open..]) => return None,
            Naming::Personal(kind) => kind,
            _ => Kind::Secret,
        };
        Some(Finding { range: open..self.end_of_nested(open), kind, quoted })
    }

    /// Where the array or object that begins at `open` ends; the end of the text where it does not.
    fn end_of_nested(&mut self, open: usize) -> usize {
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        for (offset, &byte) in self.bytes[open..].iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = in_text,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => depth += 1,
                b']' | b'}' if !in_text => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.step(offset);
                return open + offset + 1;
            }
        }
        self.step(self.bytes.len() - open);
        self.bytes.len()
    }

    /// Length of the word at `start`, up to white space or a delimiter.
    fn word(&mut self, start: usize) -> usize {
        self.length(start, is_word_byte)
    }

    /// Whether something that was replaced goes on a bare value at `end`: then it was looked at whole.
    fn goes_on_replaced(&self, end: usize) -> bool {
        pseudonym::length(&self.bytes[end..]).is_some()
    }

    /// A secret without quotes: up to a delimiter, or up to the end of the line for a header.
    fn bare_secret(&mut self, start: usize, name: &Name<'_>) -> Option<Finding> {
        let word = self.word(start);
        let first = &self.text[start..start + word];
        let is_bearer = first.eq_ignore_ascii_case("bearer");
        let is_replaced = |scan: &Self| {
            let rest = &scan.bytes[start + word..];
            rest.first() == Some(&b' ') && pseudonym::length(&rest[1..]).is_some()
        };
        if is_nothing(first)
            || (is_bearer && (is_replaced(self) || self.bearer(start).is_some()))
            || (word == 20 && self.is_aws_key(start))
        {
            return None;
        }
        let has_scheme = SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(first));
        let to_line_end = has_scheme || names::is_cookie(name.text);
        let length = if to_line_end { self.length(start, |b| !b"\n\r\"'".contains(&b)) } else { word };
        (length > 0).then(|| found(start..start + length, Kind::Secret))
    }

    /// A personal value without quotes. Words may follow a name that is no field's (`email: failed`), so
    /// numbers are taken only where there are digits, and e-mail addresses are found by themselves.
    fn bare_personal(&mut self, start: usize, name: &Name<'_>, kind: Kind) -> Option<Finding> {
        match kind {
            Kind::Email => None,
            Kind::Phone | Kind::Passport | Kind::Inn | Kind::Snils | Kind::Card | Kind::Account | Kind::BirthDate => {
                // A field of JSON has one value; after any other name, a few digits may be a count.
                let fewest = if name.quoted { 1 } else { 4 };
                self.number_after_name(start, kind).or_else(|| self.word_with_digits(start, kind, fewest))
            }
            Kind::Name | Kind::Address | Kind::Personal => self.words(start, name, kind),
            Kind::Token | Kind::AwsKey | Kind::Secret => {
                let length = self.word(start);
                self.whole(start, length, Naming::Personal(kind))
            }
        }
    }

    fn word_with_digits(&mut self, start: usize, kind: Kind, fewest: usize) -> Option<Finding> {
        let length = self.bytes[start..].iter().take(MAX_NUMBER + 1).take_while(|byte| is_word_byte(**byte)).count();
        self.step(length);
        if length > MAX_NUMBER || self.goes_on_replaced(start + length) {
            return None;
        }
        let word = &self.bytes[start..start + length];
        let word = &word[..word.len() - word.iter().rev().take_while(|byte| b".:".contains(byte)).count()];
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_number = word.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'+')
            && digits >= fewest
            && word.iter().filter(|byte| byte.is_ascii_alphabetic()).count() <= 4;
        (is_number && !word.contains(&b'@')).then(|| found(start..start + word.len(), kind))
    }

    /// The words of a name or an address: up to a delimiter, the end of the line, or the next name.
    fn words(&mut self, start: usize, name: &Name<'_>, kind: Kind) -> Option<Finding> {
        let in_url = matches!(self.before(name.start), [.., b'?' | b'&']);
        let most = match kind {
            _ if in_url => 1,
            Kind::Address => MAX_ADDRESS_WORDS,
            _ => MAX_NAME_WORDS,
        };
        let (mut at, mut end) = (start, start);
        let is_capitalised = starts_with_capital(&self.text[start..]);
        for count in 0..most {
            let length = self.word_of_value(at);
            let word = &self.text[at..at + length];
            let delimiter = self.bytes.get(at + length).copied();
            let is_next_name = matches!(delimiter, Some(b'=' | b':'));
            let goes_on = kind == Kind::Address || !is_capitalised || starts_with_capital(word);
            // A word that goes on as something that was replaced belongs to that.
            let is_rest = self.goes_on_replaced(at + length);
            if word.is_empty() || is_next_name || is_rest || count > 0 && !goes_on {
                break;
            }
            end = at + length;
            let comma = usize::from(kind == Kind::Address && delimiter == Some(b','));
            if self.bytes.get(end + comma) != Some(&b' ') {
                break;
            }
            at = end + comma + 1;
        }
        let value = self.text[start..end].trim_end_matches([',', '.', ' ']);
        self.whole(start, value.len(), Naming::Personal(kind))
    }

    fn word_of_value(&mut self, start: usize) -> usize {
        let mut end = start;
        loop {
            end += self.length(end, |byte| !byte.is_ascii_whitespace() && !b",;&\"'<>()[]{}|`\\=:".contains(&byte));
            if end == start || end >= self.bytes.len() || !self.is_apostrophe(end) {
                return end - start;
            }
            end += 1;
        }
    }

    fn padding(&mut self, at: usize, byte: u8) -> usize {
        self.bytes[at..].iter().take(MAX_PADDING).take_while(|&&found| found == byte).count()
    }

    fn padding_before(&mut self, at: usize, byte: u8) -> usize {
        self.before(at).iter().rev().take(MAX_PADDING).take_while(|&&found| found == byte).count()
    }
}

fn starts_with_capital(text: &str) -> bool {
    text.chars().next().is_some_and(char::is_uppercase)
}

/// No value, or the place of one in a statement.
fn is_nothing(word: &str) -> bool {
    let is_parameter = || {
        word.strip_prefix('$').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    ["null", "None", "?"].contains(&word) || is_parameter()
}

fn is_secret(value: &str) -> bool {
    !value.is_empty() && !pseudonym::is_whole(value)
}

/// Whether `value`, under a name that says that it is of `kind`, tells something of a person: not when it
/// is nothing, when something stands for it already, or when it is the address of a host.
pub(super) fn is_personal(kind: Kind, value: &str) -> bool {
    let value = value.trim();
    let is_word = |word: &&str| word.eq_ignore_ascii_case(value);
    let is_none = value.is_empty() || is_nothing(value) || NOTHING.iter().any(is_word);
    let is_clean = pseudonym::is_whole(value) || kind == Kind::Address && is_host(value);
    !is_none && !is_clean
}

/// Whether the first word of an address is a host's: `10.0.1.23:8080`, `[::1]`, `0x7ffd...`,
/// `db.internal`, `https://...`.
fn is_host(value: &str) -> bool {
    let bytes = &value.as_bytes()[..value.len().min(MAX_HOST)];
    let end = bytes.iter().position(|byte| b" ,;\"'".contains(byte)).unwrap_or(bytes.len());
    let word = bytes[..end].trim_ascii_end();
    let word = word.strip_suffix(b".").unwrap_or(word);
    let is_of_hosts = word.iter().all(|byte| byte.is_ascii_alphanumeric() || b".:-_/[]*".contains(byte));
    is_of_hosts && (word.starts_with(b"0x") || word.iter().any(|byte| b".:".contains(byte)))
}
