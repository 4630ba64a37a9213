//! Values that are not to be written.

use std::fmt;

/// What stands in a line for a value that may not. The pipeline writes the same for secrets that it finds.
pub(crate) const MASK: &str = "[secret]";

/// A value that prints as `[secret]`, so that it can be carried, compared and passed on, but not logged.
///
/// ```
/// let password = telemetry::secret("hunter2");
/// assert_eq!(format!("{password} {password:?}"), "[secret] [secret]");
/// tracing::info!(login = "anna", %password, "signed in");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Masked<T>(T);

/// Marks a value as one that is not to be written.
pub const fn secret<T>(value: T) -> Masked<T> {
    Masked(value)
}

impl<T> Masked<T> {
    /// The value itself, for the one who needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<T> fmt::Display for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Names of fields that are masked, whoever writes them: also as the last word of another (`access_token`,
/// `X-Api-Key`, `clientSecret`).
#[derive(Debug)]
pub(crate) struct MaskedNames {
    names: Vec<String>,
    /// A bit for each letter that the last one, or the one before it, is of some name: most are told apart by these.
    last: u32,
    last_but_one: u32,
}

impl MaskedNames {
    pub(crate) fn new(names: &[String]) -> MaskedNames {
        let bits = |from_end| names.iter().fold(0, |bits, name| bits | letter(name, from_end));
        MaskedNames { last: bits(1), last_but_one: bits(2), names: names.to_vec() }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.last & letter(name, 1) != 0
            && self.last_but_one & letter(name, 2) != 0
            && self.names.iter().any(|known| ends_with_word(name.as_bytes(), known.as_bytes()))
    }
}

/// The bit of a letter, counted from the end: the same in upper and lower case.
fn letter(name: &str, from_end: usize) -> u32 {
    let at = name.len().checked_sub(from_end);
    1 << (at.and_then(|at| name.as_bytes().get(at)).unwrap_or(&0) & 31)
}

/// Whether `name` is `word` or ends with it, in any case and with any of `_-. ` between words.
fn ends_with_word(name: &[u8], word: &[u8]) -> bool {
    let Some(at) = name.len().checked_sub(word.len()) else { return false };
    let (before, end) = name.split_at(at);
    let is_gap = |byte: u8| matches!(byte, b'_' | b'-' | b'.' | b' ');
    let same = |(one, other): (&u8, &u8)| one.eq_ignore_ascii_case(other) || (is_gap(*one) && is_gap(*other));
    let begins = match (before.last(), end.first()) {
        (None, _) => true,
        (Some(last), Some(first)) => is_gap(*last) || (last.is_ascii_lowercase() && first.is_ascii_uppercase()),
        (Some(_), None) => false,
    };
    begins && end.iter().zip(word).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_masked_in_any_case() {
        let names = ["password", "token", "secret", "api_key", &"x".repeat(80)].map(str::to_owned);
        let names = MaskedNames::new(&names);
        for (name, masked) in [
            ("password", true),
            ("Password", true),
            ("passwort", false),
            ("", false),
            ("n", false),
            (&"X".repeat(80), true),
            // The last word of a name.
            ("access_token", true),
            ("client-secret", true),
            ("clientSecret", true),
            ("x_api_key", true),
            ("X-Api-Key", true),
            ("db.password", true),
            ("tokens_used", false),
            ("max_tokens", false),
            ("nosecret", false),
            ("ключ_token", true),
        ] {
            assert_eq!(names.contains(name), masked, "{name}");
        }
    }
}
