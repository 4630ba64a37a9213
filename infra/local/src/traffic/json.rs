//! JSON text in the order and spelling of the program that would have written it.
//!
//! `serde_json` sorts keys and never escapes non-ASCII; Python's `json.dumps` keeps the order, escapes,
//! and puts spaces after `,` and `:`. A parser has to read both, so the day has both.

use std::borrow::Cow;
use std::fmt::Write;

/// Whose JSON it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// No spaces, UTF-8, absent fields left out.
    Compact,
    /// `json.dumps` of a dataclass: spaces, `\uXXXX`, absent fields as `null`.
    Python,
}

/// A value of a flat object.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    Text(Cow<'static, str>),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Real(f64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Whole(number)
    }
}

impl From<f64> for Value {
    /// In hundredths, without the noise that sums of fractions leave.
    fn from(number: f64) -> Value {
        Value::Real((number * 100.0).round() / 100.0)
    }
}

/// A JSON object being written, one field after another.
pub struct Object {
    out: String,
    style: Style,
}

impl Object {
    /// An object without fields yet.
    pub fn new(style: Style) -> Object {
        Object { out: String::from("{"), style }
    }

    /// Adds a string.
    pub fn text(mut self, key: &str, text: &str) -> Object {
        self.key(key);
        push_string(&mut self.out, self.style, text);
        self
    }

    /// Adds a string if there is one; otherwise what this style does with an absent field.
    pub fn optional(self, key: &str, text: Option<&str>) -> Object {
        match text {
            Some(text) => self.text(key, text),
            None => self.absent(key),
        }
    }

    /// Adds any value.
    pub fn value(mut self, key: &str, value: &Value) -> Object {
        match value {
            Value::Text(text) => return self.text(key, text),
            Value::Whole(number) => self.raw(key, |out| write!(out, "{number}")),
            Value::Real(number) => self.raw(key, |out| write!(out, "{number:?}")),
        }
        self
    }

    /// Adds an object.
    pub fn object(mut self, key: &str, object: Object) -> Object {
        self.key(key);
        self.out.push_str(&object.close());
        self
    }

    /// Leaves a field out, or says that it is null, as the style has it.
    pub fn absent(mut self, key: &str) -> Object {
        if self.style == Style::Python {
            self.key(key);
            self.out.push_str("null");
        }
        self
    }

    /// The text.
    pub fn close(mut self) -> String {
        self.out.push('}');
        self.out
    }

    fn raw(&mut self, key: &str, value: impl FnOnce(&mut String) -> std::fmt::Result) {
        self.key(key);
        value(&mut self.out).expect("a String takes any text");
    }

    // Keys are our own and need no escaping.
    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push_str(if self.style == Style::Python { ", " } else { "," });
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str(if self.style == Style::Python { "\": " } else { "\":" });
    }
}

fn push_string(out: &mut String, style: Style, text: &str) {
    out.push('"');
    let plain =
        |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\' && (*byte < 0x80 || style == Style::Compact);
    if text.as_bytes().iter().all(plain) {
        out.push_str(text);
    } else {
        text.chars().for_each(|character| push_escaped(out, style, character));
    }
    out.push('"');
}

fn push_escaped(out: &mut String, style: Style, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        ' '..='~' => out.push(character),
        _ if style == Style::Compact && !character.is_control() => out.push(character),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a String takes any text");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Договор \"№ 7\"\n\\ 🏡\u{1}";

    #[test]
    fn python_style_is_what_json_dumps_writes() {
        let object = Object::new(Style::Python).text("m", TEXT).absent("error").value("n", &Value::Real(2.0));
        assert_eq!(
            object.close(),
            r#"{"m": "\u0414\u043e\u0433\u043e\u0432\u043e\u0440 \"\u2116 7\"\n\\ \ud83c\udfe1\u0001", "error": null, "n": 2.0}"#
        );
    }

    #[test]
    fn both_styles_mean_the_same_text() {
        for style in [Style::Compact, Style::Python] {
            let json = Object::new(style).text("m", TEXT).close();
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(parsed["m"], TEXT);
        }
    }

    #[test]
    fn compact_style_leaves_absent_fields_out() {
        let object = Object::new(Style::Compact).optional("a", None).value("b", &Value::Whole(1));
        assert_eq!(object.close(), r#"{"b":1}"#);
    }
}
