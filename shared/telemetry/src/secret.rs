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

/// Names of fields that are masked, whoever writes them.
#[derive(Debug)]
pub(crate) struct MaskedNames {
    names: Vec<String>,
    /// A bit for each length and for each first letter that one of them has: most names are told apart by these.
    lengths: u64,
    initials: u32,
}

impl MaskedNames {
    pub(crate) fn new(names: &[String]) -> MaskedNames {
        let lengths = names.iter().fold(0, |lengths, name| lengths | 1 << name.len().min(63));
        let initials = names.iter().fold(0, |initials, name| initials | initial(name));
        MaskedNames { names: names.to_vec(), lengths, initials }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.lengths >> name.len().min(63) & 1 == 1
            && self.initials & initial(name) != 0
            && self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// The bit of the first letter, the same in upper and lower case.
fn initial(name: &str) -> u32 {
    1 << (name.as_bytes().first().unwrap_or(&0) & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_masked_in_any_case() {
        let names = MaskedNames::new(&["password".to_owned(), "x".repeat(80)]);
        for (name, masked) in
            [("password", true), ("Password", true), ("passwort", false), ("", false), (&"X".repeat(80), true)]
        {
            assert_eq!(names.contains(name), masked, "{name}");
        }
    }
}
