//! Secrets by their names in a text: `"password": "..."`, `token=...`, `Set-Cookie: ...`. JSON that was
//! cut off or that no parser takes is a text, too.

use super::names;
use super::scan::{Finding, Scan};

/// What stands for a value.
const SECRET: &str = "[secret]";
/// The same where JSON wants a text and the value was none.
const QUOTED_SECRET: &str = "\"[secret]\"";

/// Spaces and backslashes that may stand beside quotes and colons.
const MAX_PADDING: usize = 8;

/// Words before credentials.
const SCHEMES: [&str; 6] = ["basic", "digest", "token", "negotiate", "bearer", "aws4-hmac-sha256"];

pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl Scan<'_> {
    /// The value after the name that begins at `at`, if that is a secret's.
    pub(super) fn labelled_secret(&mut self, at: usize) -> Option<Finding> {
        let length = self.length(at, is_name_byte);
        // In `\npassword` the `n` is not the name's.
        let escaped = at > self.from && self.bytes[at - 1] == b'\\' && length > 1;
        self.names_until = at + length;
        let end = at + length;
        let (value, quoted_name) = self.value_after(end)?;
        let name = &self.text[at + usize::from(escaped)..end];
        if !names::is_secret(name) && !names::is_secret(&self.text[at..end]) {
            return None;
        }
        self.value(value, name, quoted_name)
    }

    /// Where the value begins that a name which ended at `end` is for, and whether the name is quoted:
    /// `="`, `": `, `\": `.
    fn value_after(&mut self, end: usize) -> Option<(usize, bool)> {
        let closed = end + self.padding(end, b'\\');
        let quoted_name = matches!(self.bytes.get(closed), Some(b'"' | b'\''));
        let at = if quoted_name { closed + 1 } else { end };
        let at = at + self.padding(at, b' ');
        match self.bytes.get(at)? {
            b'=' | b':' => {}
            _ => return None,
        }
        let value = at + 1 + self.padding(at + 1, b' ');
        (!matches!(self.bytes.get(value), None | Some(b':' | b'='))).then_some((value, quoted_name))
    }

    /// The value that begins at `start`.
    fn value(&mut self, start: usize, name: &str, quoted_name: bool) -> Option<Finding> {
        // Rust's `Some("...")`.
        let start = start + if self.bytes[start..].starts_with(b"Some(") { 5 } else { 0 };
        let backslashes = self.padding(start, b'\\');
        let open = start + backslashes;
        match self.bytes.get(open)? {
            quote @ (b'"' | b'\'') => {
                let length = self.quoted(open + 1, *quote, backslashes);
                (length > 0).then_some((open + 1..open + 1 + length, SECRET))
            }
            b'[' | b'{' => Some((start..self.nested(open), if quoted_name { QUOTED_SECRET } else { SECRET })),
            _ => self.bare(start, name, quoted_name),
        }
    }

    /// Length of the text up to the quote that ends it: one that is not escaped, or, for text in a text,
    /// one that has as many backslashes before it as the one that began it. The rest where there is none.
    fn quoted(&mut self, start: usize, quote: u8, backslashes: usize) -> usize {
        let mut before = 0;
        for (offset, &byte) in self.bytes[start..].iter().enumerate() {
            self.steps += 1;
            match byte {
                b'\\' => before += 1,
                _ if byte == quote && backslashes == 0 && before % 2 == 0 => return offset,
                _ if byte == quote && before < backslashes + usize::from(backslashes > 0) => return offset - before,
                _ => before = 0,
            }
        }
        self.bytes.len() - start
    }

    /// Where the array or object that begins at `open` ends; the end of the text where it does not.
    fn nested(&mut self, open: usize) -> usize {
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        for (offset, &byte) in self.bytes[open..].iter().enumerate() {
            self.steps += 1;
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = in_text,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => depth += 1,
                b']' | b'}' if !in_text => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return open + offset + 1;
            }
        }
        self.bytes.len()
    }

    /// A value without quotes: up to a delimiter, or up to the end of the line for a header.
    fn bare(&mut self, start: usize, name: &str, quoted_name: bool) -> Option<Finding> {
        let word = self.length(start, |b| !b.is_ascii_whitespace() && !b",;&\"'<>()[]{}`\\".contains(&b));
        let first = &self.text[start..start + word];
        let is_redacted = || self.text[start + word..].starts_with(" [token]");
        if is_nothing(first)
            || (first.eq_ignore_ascii_case("bearer") && (is_redacted() || self.bearer(start).is_some()))
        {
            return None;
        }
        let has_scheme = SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(first));
        let length =
            if has_scheme || names::is_cookie(name) { self.length(start, |b| !b"\n\r\"'".contains(&b)) } else { word };
        let mark = if quoted_name { QUOTED_SECRET } else { SECRET };
        (length > 0).then_some((start..start + length, mark))
    }

    fn padding(&mut self, at: usize, byte: u8) -> usize {
        self.bytes[at..].iter().take(MAX_PADDING).take_while(|&&found| found == byte).count()
    }
}

/// No value, or the place of one in a statement.
fn is_nothing(word: &str) -> bool {
    let is_parameter = || {
        word.strip_prefix('$').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    ["null", "None", "?"].contains(&word) || is_parameter()
}

#[cfg(test)]
mod tests {
    use super::super::scan::redact_text;

    #[test]
    fn values_after_names_of_secrets_are_replaced_in_any_spelling() {
        for (text, redacted) in [
            (r#"{"a":NaN,"password":"hunter2","b":1}"#, r#"{"a":NaN,"password":"[secret]","b":1}"#),
            (r#"{"a":NaN,"password": 12345, "b":1}"#, r#"{"a":NaN,"password": "[secret]", "b":1}"#),
            (r#"{"set-cookie":["sid=1; Path=/","a=[2]"],"b":1"#, r#"{"set-cookie":"[secret]","b":1"#),
            (r#"{"clientSecret":{"a":"b"#, r#"{"clientSecret":"[secret]""#),
            (r#"{"password":"it is \"x\" \\","b":1"#, r#"{"password":"[secret]","b":1"#),
            (r#"{"password":"cut o"#, r#"{"password":"[secret]"#),
            (r#"{"m":"{\"accessToken\": \"abc\"}","#, r#"{"m":"{\"accessToken\": \"[secret]\"}","#),
            (r#""m":"x\npassword=hunter2""#, r#""m":"x\npassword=[secret]""#),
            ("{'password': 'hunter2', 'n': 1}", "{'password': '[secret]', 'n': 1}"),
            ("GET /login?token=abc&x=1", "GET /login?token=[secret]&x=1"),
            ("run --api-key=abc --password: def", "run --api-key=[secret] --password: [secret]"),
            ("password: Some(\"hunter2\")", "password: Some(\"[secret]\")"),
            ("Cookie: sid=1; theme=dark\nHost: x", "Cookie: [secret]\nHost: x"),
            ("Authorization: Basic abc==\nHost: x", "Authorization: [secret]\nHost: x"),
            ("Authorization: Bearer abc", "Authorization: [secret]"),
            ("authorization: Bearer abcdef.123456-XYZ", "authorization: Bearer [token]"),
        ] {
            assert_eq!(redact_text(text), redacted);
            assert_eq!(redact_text(redacted), redacted, "twice is once");
        }
    }

    #[test]
    fn names_without_a_value_and_other_names_are_left_alone() {
        for text in [
            "password authentication failed for user x",
            "invalid token",
            "token::parse failed",
            "WHERE token = $1 AND secret = ?",
            r#"{"password":null,"token_count":3,"category":"authorization","#,
            r#"{"password":"","#,
            "password=",
        ] {
            assert_eq!(redact_text(text), text);
        }
    }
}
