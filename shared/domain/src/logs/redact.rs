//! Personal data and secrets out of a record, before its first write: e-mail addresses, phone numbers,
//! bearer and JSON web tokens, AWS key ids, and the values of fields that are called like secrets.
//!
//! It works on decoded text, field by field, so that escapes hide nothing and JSON stays JSON.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::logs::record::Record;

/// Fields whose value is a secret, whatever it looks like; `-` counts as `_`, case does not matter.
const SECRET_FIELDS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "client_secret",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "set_cookie",
    "private_key",
];

/// Redacts every text of `record` but the ids that correlate lines, and its source.
pub fn redact(record: &mut Record) {
    redact_string(&mut record.message);
    for id in [&mut record.context.user_id, &mut record.context.session_id].into_iter().flatten() {
        redact_string(id);
    }
    redact_fields(&mut record.details);
    redact_fields(&mut record.error);
    redact_fields(&mut record.extra);
}

fn redact_fields(fields: &mut Map<String, Value>) {
    for (name, value) in fields.iter_mut() {
        if is_secret(name) && (value.is_string() || value.is_number()) {
            *value = Value::String("[secret]".to_owned());
        } else {
            redact_value(value);
        }
    }
}

fn redact_value(value: &mut Value) {
    match value {
        Value::String(text) => redact_string(text),
        Value::Array(items) => items.iter_mut().for_each(redact_value),
        Value::Object(fields) => redact_fields(fields),
        // A phone number may be written as a number; what replaces it is a text, so the JSON stays valid.
        Value::Number(number) => {
            if let Cow::Owned(redacted) = redact_text(&number.to_string()) {
                *value = Value::String(redacted);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn redact_string(text: &mut String) {
    if let Cow::Owned(redacted) = redact_text(text) {
        *text = redacted;
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.replace('-', "_");
    SECRET_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(&name))
}

/// `text` with what is personal or secret in it replaced by what it was.
pub fn redact_text(text: &str) -> Cow<'_, str> {
    let mut redacted = String::new();
    let mut done = 0;
    let mut at = 0;
    while at < text.len() {
        match finding(text, at, done) {
            Some((range, kind)) => {
                redacted.push_str(&text[done..range.start]);
                redacted.push_str(kind);
                done = range.end;
                at = range.end;
            }
            None => at += 1,
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[done..]);
    Cow::Owned(redacted)
}

/// What is found at the byte `at`; nothing before `from` belongs to it.
fn finding(text: &str, at: usize, from: usize) -> Option<(Range<usize>, &'static str)> {
    let bytes = text.as_bytes();
    let starts_word = at == from || !bytes[at - 1].is_ascii_alphanumeric();
    match bytes[at] {
        b'@' => email(bytes, at, from).map(|range| (range, "[email]")),
        b'B' | b'b' if starts_word => bearer(bytes, at).map(|range| (range, "[token]")),
        b'e' if starts_word => web_token(bytes, at).map(|range| (range, "[token]")),
        b'A' if starts_word => aws_key(bytes, at).map(|range| (range, "[token]")),
        b'+' | b'7' | b'8' if starts_word => phone(bytes, at).map(|range| (range, "[phone]")),
        _ => None,
    }
}

/// Length of the run of bytes from `at` that `fits`.
fn run(bytes: &[u8], at: usize, fits: impl Fn(u8) -> bool) -> usize {
    bytes[at..].iter().take_while(|&&byte| fits(byte)).count()
}

/// A local part, `@`, and a domain with a dot and letters at its end. Bytes above ASCII count as
/// letters: an address may be written in Cyrillic.
fn email(bytes: &[u8], at: usize, from: usize) -> Option<Range<usize>> {
    let local = |b: u8| b.is_ascii_alphanumeric() || b"._%+-".contains(&b) || b >= 0x80;
    let start = at - bytes[from..at].iter().rev().take_while(|&&byte| local(byte)).count();
    let domain = run(bytes, at + 1, |b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b >= 0x80);
    let name = &bytes[at + 1..at + 1 + domain];
    let name = &name[..name.len() - name.iter().rev().take_while(|b| matches!(b, b'.' | b'-')).count()];
    let top = name.rsplit(|&b| b == b'.').next()?;
    let valid = start < at
        && name.contains(&b'.')
        && !name.starts_with(b".")
        && top.len() >= 2
        && top.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80);
    valid.then(|| start..at + 1 + name.len())
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// The credentials after `Bearer `.
fn bearer(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let word = bytes.get(at..at + 7)?;
    if !word.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    let length = run(bytes, at + 7, is_token_byte);
    (length >= 8).then(|| at + 7..at + 7 + length)
}

/// `eyJ...` with two dots: the three parts of a JSON web token.
fn web_token(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    if !bytes[at..].starts_with(b"eyJ") {
        return None;
    }
    let length = run(bytes, at, |b| b.is_ascii_alphanumeric() || b"-_.=".contains(&b));
    let dots = bytes[at..at + length].iter().filter(|&&byte| byte == b'.').count();
    (dots >= 2 && length >= 20).then_some(at..at + length)
}

/// `AKIA` or `ASIA` and 16 capitals or digits.
fn aws_key(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = &bytes[at..];
    let length = run(bytes, at, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
    ((rest.starts_with(b"AKIA") || rest.starts_with(b"ASIA")) && length == 20).then_some(at..at + length)
}

/// An international number (`+`, 10 to 15 digits), or a Russian mobile one (7 or 8, then 9, then nine
/// digits), with spaces, dashes and parentheses between. Longer runs of digits are no phone numbers.
fn phone(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let international = bytes[at] == b'+';
    let mut digits: Vec<u8> = Vec::with_capacity(16);
    let mut end = at;
    let mut separators = 0;
    for (offset, &byte) in bytes[at..].iter().enumerate().skip(usize::from(international)) {
        match byte {
            b'0'..=b'9' => {
                digits.push(byte);
                end = at + offset + 1;
                separators = 0;
            }
            b' ' | b'-' | b'(' | b')' if separators < 2 && !digits.is_empty() && digits.len() < 11 => separators += 1,
            _ => break,
        }
        if digits.len() > 15 {
            return None;
        }
    }
    let ends_word = !bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
    let before = at.checked_sub(1).map(|before| bytes[before]);
    let part_of_number = before.is_some_and(|byte| b".-:/_".contains(&byte));
    let valid = if international {
        (10..=15).contains(&digits.len())
    } else {
        digits.len() == 11
            && digits[1] == b'9'
            && !part_of_number
            && !(bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit))
    };
    (valid && ends_word).then_some(at..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn personal_data_and_secrets_are_replaced_by_what_they_were() {
        for (text, redacted) in [
            ("mail anna.petrova@example.com, now", "mail [email], now"),
            ("<a@example.com>b@example.org.", "<[email]>[email]."),
            ("почта анна@пример.рф!", "почта [email]!"),
            ("call +7 (912) 345-67-89.", "call [phone]."),
            ("call 8 912 345-67-89 or 89123456789", "call [phone] or [phone]"),
            ("+442071838750", "[phone]"),
            ("Authorization: Bearer abcdef.123456-XYZ", "Authorization: Bearer [token]"),
            ("jwt=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "jwt=[token]"),
            ("key AKIAIOSFODNN7EXAMPLE used", "key [token] used"),
            ("\nivan@example.com", "\n[email]"),
        ] {
            assert_eq!(redact_text(text), redacted);
        }
    }

    #[test]
    fn ids_times_and_numbers_are_left_alone() {
        for text in [
            "2026-11-21T10:05:03.123Z",
            "1-5759e988-bd862e3fe1be46a994272793",
            "contract 4711 for 8 500 000 roubles",
            "at 1795000000123 ms",
            "550e8400-e29b-41d4-a716-446655440000",
            "89123456789012",
            "10.0.1.23(41234):app_user@contracts:[12345]",
            "user@localhost",
            "the bearer of this",
            "value 7912345.67",
            "rate 0.89123456789",
        ] {
            assert_eq!(redact_text(text), text);
        }
    }

    #[test]
    fn fields_called_like_secrets_are_emptied_whatever_they_hold() {
        let mut fields = json!({
            "Authorization": "Basic abc", "api-key": 12345, "nested": { "PASSWORD": "x", "list": ["a@example.com", 7] },
            "token_count": 3, "phone": 79123456789_u64
        });
        redact_value(&mut fields);
        assert_eq!(
            fields,
            json!({
                "Authorization": "[secret]", "api-key": "[secret]",
                "nested": { "PASSWORD": "[secret]", "list": ["[email]", 7] }, "token_count": 3, "phone": "[phone]"
            })
        );
    }

    proptest! {
        #[test]
        fn any_text_is_redacted_without_a_panic_and_twice_is_once(text in "[ -~а-я@.+789]{0,60}") {
            let once = redact_text(&text).into_owned();
            prop_assert_eq!(redact_text(&once).into_owned(), once);
        }

        #[test]
        fn an_address_never_survives(local in "[a-z][a-z0-9.]{0,8}[a-z]", domain in "[a-z]{2,8}", around in "[ ,;<>\"']") {
            let address = format!("{local}@{domain}.com");
            let text = format!("x{around}{address}{around}y");
            let redacted = redact_text(&text).into_owned();
            prop_assert!(!redacted.contains(&address), "{}", redacted);
        }
    }
}
