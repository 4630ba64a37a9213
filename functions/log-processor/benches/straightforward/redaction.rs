//! Personal data and secrets by a regex for each kind, with check digits where there are some, and by the
//! names of fields. What is found becomes a keyed pseudonym.

use std::borrow::Cow;
use std::collections::HashSet;

use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::{Captures, Regex};
use serde_json::{Value, json};
use sha2::Sha256;

/// Names of fields that hold secrets or personal data, in lower case without `_` and `-`.
const FIELDS: [&str; 31] = [
    "accesskey",
    "accesstoken",
    "accountnumber",
    "apikey",
    "authorization",
    "authtoken",
    "bearertoken",
    "cardnumber",
    "clientsecret",
    "cookie",
    "cookies",
    "csrftoken",
    "idtoken",
    "inn",
    "keyid",
    "passphrase",
    "passport",
    "passwd",
    "password",
    "phone",
    "privatekey",
    "proxyauthorization",
    "pwd",
    "refreshtoken",
    "secret",
    "secretaccesskey",
    "secretkey",
    "sessiontoken",
    "setcookie",
    "snils",
    "token",
];

/// Fields of a record that are no text of anybody's, or have to stay as they are.
const KEPT: [&str; 5] = ["timestamp", "level", "category", "duration_ms", "source"];
/// The same of its context.
const IDS: [&str; 3] = ["request_id", "trace_id", "span_id"];

/// A kind of data: its name, how it is found, and what else must hold of it. Where the pattern has a
/// group, only that is replaced.
struct Rule {
    kind: &'static str,
    pattern: Regex,
    holds: fn(&str) -> bool,
}

/// The rules, the names, and the key.
pub struct Redaction {
    rules: Vec<Rule>,
    fields: HashSet<&'static str>,
    key: Hmac<Sha256>,
}

impl Redaction {
    /// Compiles the regexes.
    pub fn new() -> Redaction {
        let rule = |kind, pattern: &str, holds| Rule {
            kind,
            pattern: Regex::new(pattern).expect("the pattern is a constant"),
            holds,
        };
        let any = |_: &str| true;
        Redaction {
            rules: vec![
                rule("token", r"(?i)(?-u:\b)bearer +([A-Za-z0-9._~+/=-]{8,})", any),
                rule("token", r"(?-u:\b)eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", any),
                rule("token", r"(?-u:\b)(?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\b)", any),
                rule(
                    "secret",
                    concat!(
                        r"(?i)(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|cookie)",
                        r#"["']?\s*[:=]\s*["']?([^\s"'&,;\[]+)"#
                    ),
                    any,
                ),
                rule("email", r"[A-Za-z0-9._%+-]+(?:@|%40)[A-Za-z0-9.-]+\.[A-Za-z]{2,}", any),
                rule("account", r"(?-u:\b)4[0-9]{19}(?-u:\b)", any),
                rule("card", r"(?-u:\b)(?:[0-9][ -]?){12,18}[0-9](?-u:\b)", is_card),
                rule("snils", r"(?-u:\b)[0-9]{3}-?[0-9]{3}-?[0-9]{3}[ -]?[0-9]{2}(?-u:\b)", is_snils),
                rule("inn", r"(?-u:\b)(?:[0-9]{12}|[0-9]{10})(?-u:\b)", is_inn),
                rule("passport", r"(?i)(?:паспорт|passport)[^0-9]{0,12}([0-9]{2} ?[0-9]{2} ?[0-9]{6})", any),
                rule(
                    "phone",
                    concat!(
                        r"(?:\+7|(?-u:\b)[78])[ (-]*9[0-9]{2}[ )-]*[0-9]{3}[ -]*[0-9]{2}[ -]*[0-9]{2}(?-u:\b)",
                        r"|\+[0-9]{10,15}(?-u:\b)"
                    ),
                    any,
                ),
            ],
            fields: HashSet::from(FIELDS),
            key: Hmac::new_from_slice(b"a key that only the benchmark has").expect("any length is a key"),
        }
    }

    /// Redacts the texts of a record.
    pub fn redact_record(&self, record: &mut Value) {
        let Some(fields) = record.as_object_mut() else { return };
        for (name, value) in fields.iter_mut().filter(|(name, _)| !KEPT.contains(&name.as_str())) {
            match value {
                Value::Object(context) if name == "context" => {
                    let texts = context.iter_mut().filter(|(name, _)| !IDS.contains(&name.as_str()));
                    texts.for_each(|(_, value)| self.redact(value));
                }
                value => self.redact(value),
            }
        }
    }

    fn redact(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(redacted) = self.redact_text(text) {
                    *text = redacted;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact(item)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    if self.is_named(name) && !value.is_null() {
                        let held = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        *value = json!(self.pseudonym("secret", &held));
                    } else {
                        self.redact(value);
                    }
                }
            }
            // A short number is nobody's.
            Value::Number(number) if number.as_u64().is_some_and(|number| number >= 1_000_000_000) => {
                if let Cow::Owned(redacted) = self.redact_text(&number.to_string()) {
                    *value = Value::String(redacted);
                }
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn is_named(&self, name: &str) -> bool {
        let name: String = name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
        self.fields.contains(name.as_str())
    }

    fn redact_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut redacted = Cow::Borrowed(text);
        for rule in &self.rules {
            if let Cow::Owned(changed) =
                rule.pattern.replace_all(&redacted, |found: &Captures<'_>| self.replaced(rule, found))
            {
                redacted = Cow::Owned(changed);
            }
        }
        redacted
    }

    fn replaced(&self, rule: &Rule, found: &Captures<'_>) -> String {
        let whole = &found[0];
        match found.get(1) {
            _ if !(rule.holds)(whole) => whole.to_owned(),
            Some(part) => whole.replace(part.as_str(), &self.pseudonym(rule.kind, part.as_str())),
            None => self.pseudonym(rule.kind, whole),
        }
    }

    /// The same for the same value, and nothing else about it.
    fn pseudonym(&self, kind: &str, value: &str) -> String {
        let mut hash = self.key.clone();
        hash.update(kind.as_bytes());
        hash.update(value.as_bytes());
        format!("[{kind}:{}]", hex::encode(&hash.finalize().into_bytes()[..8]))
    }
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn weighed(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn is_card(text: &str) -> bool {
    let doubled = |(at, digit): (usize, &u32)| match (at % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    digits(text).iter().rev().enumerate().map(doubled).sum::<u32>().is_multiple_of(10)
}

fn is_snils(text: &str) -> bool {
    let digits = digits(text);
    weighed(&digits, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100 == digits[9] * 10 + digits[10]
}

fn is_inn(text: &str) -> bool {
    let digits = digits(text);
    let check = |weights: &[u32]| weighed(&digits, weights) % 11 % 10 == digits[weights.len()];
    match digits.len() {
        10 => check(&[2, 4, 10, 3, 5, 9, 4, 6, 8]),
        _ => check(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) && check(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]),
    }
}
