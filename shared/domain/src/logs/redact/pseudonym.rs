//! What stands for a value: `[email:` and sixteen letters that depend on the value and on a key. Whoever
//! has no key can not tell the value from the letters, nor try values until the letters come out.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use super::kind::Kind;

/// One letter for every value of four bits. Consonants only: no digits, so that a pseudonym looks like no
/// number and a scan skips it at once; no vowels, so that no word comes out.
const LETTERS: &[u8; 16] = b"bcdfghjkmnprstvz";

/// Letters in a pseudonym: eight bytes of the code.
const COUNT: usize = 16;

/// What stands for any secret. It has no pseudonym: equal ones would tell who shares a password.
pub(super) const SECRET: &str = "[secret]";

/// Fewest bytes of a key's secret.
const MIN_SECRET_BYTES: usize = 32;

/// The key of all pseudonyms. With another key, the same values have other pseudonyms.
#[derive(Clone)]
pub struct PseudonymKey {
    /// HMAC-SHA256 with the key already in it.
    keyed: Hmac<Sha256>,
}

/// Why a secret is no key. It never tells the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// There is nothing but white space.
    #[error("the secret of the pseudonym key is empty")]
    Empty,
    /// It could be guessed.
    #[error("the secret of the pseudonym key has {bytes} bytes, at least {MIN_SECRET_BYTES} are needed")]
    Short {
        /// How many there are.
        bytes: usize,
    },
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PseudonymKey(..)")
    }
}

impl PseudonymKey {
    /// The key that `secret` makes, white space around it left out.
    ///
    /// # Errors
    /// When fewer than 32 bytes are left.
    pub fn from_secret(secret: &str) -> Result<PseudonymKey, KeyError> {
        match secret.trim().as_bytes() {
            [] => Err(KeyError::Empty),
            short if short.len() < MIN_SECRET_BYTES => Err(KeyError::Short { bytes: short.len() }),
            secret => {
                let keyed = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
                Ok(PseudonymKey { keyed })
            }
        }
    }

    /// Appends what stands for `value`.
    pub(super) fn append(&self, kind: Kind, value: &str, out: &mut Vec<u8>) {
        if kind == Kind::Secret {
            return out.extend_from_slice(SECRET.as_bytes());
        }
        let label = kind.label().as_bytes();
        let mut code = self.keyed.clone();
        code.update(label);
        code.update(&[0]);
        kind.canonical(value, |piece| code.update(piece));
        out.push(b'[');
        out.extend_from_slice(label);
        out.push(b':');
        let code = code.finalize().into_bytes();
        let halves = code[..COUNT / 2].iter().flat_map(|byte| [byte >> 4, byte & 15]);
        out.extend(halves.map(|half| LETTERS[usize::from(half)]));
        out.push(b']');
    }
}

/// Where the pseudonym or `[secret]` ends that `bytes` begin with.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    if bytes.first() != Some(&b'[') {
        return None;
    }
    if bytes.starts_with(SECRET.as_bytes()) {
        return Some(SECRET.len());
    }
    let colon = bytes.iter().take(LONGEST_LABEL + 2).position(|&byte| byte == b':')?;
    let is_label = Kind::ALL.iter().any(|kind| *kind != Kind::Secret && kind.label().as_bytes() == &bytes[1..colon]);
    (is_label && has_letters(&bytes[colon + 1..])).then_some(colon + 1 + COUNT + 1)
}

/// Where the pseudonym ends whose colon stands at `colon`, nothing before `from` being its own.
pub(super) fn end_at_colon(bytes: &[u8], from: usize, colon: usize) -> Option<usize> {
    if bytes.get(colon + 1 + COUNT) != Some(&b']') {
        return None;
    }
    let label = bytes[from..colon].iter().rev().take(LONGEST_LABEL + 1).position(|&byte| byte == b'[')?;
    let start = colon - label - 1;
    length(&bytes[start..]).map(|length| start + length)
}

/// Whether `value` is nothing but what stands for another.
pub(super) fn is_whole(value: &str) -> bool {
    length(value.as_bytes()) == Some(value.len())
}

/// Bytes of `birth_date`.
const LONGEST_LABEL: usize = 10;

fn has_letters(bytes: &[u8]) -> bool {
    bytes.get(COUNT) == Some(&b']') && bytes[..COUNT].iter().all(|byte| LETTERS.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET_OF_32: &str = "made-up-secret-of-32-bytes-01234";

    fn pseudonym(secret: &str, kind: Kind, value: &str) -> String {
        let mut out = Vec::new();
        PseudonymKey::from_secret(secret).unwrap().append(kind, value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pseudonym_is_sixteen_letters_of_the_code_of_label_and_value() {
        // By any other HMAC-SHA256: `email`, 0, `anna@example.com` under this key begins 3c1bae9a8ee9c8a5.
        let expected = "[email:fscrpvnpmvvnsmph]";
        assert_eq!(pseudonym(SECRET_OF_32, Kind::Email, "Anna@example.com"), expected);
    }

    #[test]
    fn the_same_value_has_the_same_pseudonym_until_kind_or_key_is_another() {
        let of = |kind, value| pseudonym(SECRET_OF_32, kind, value);
        assert_eq!(of(Kind::Phone, "+7 912 345-67-89"), of(Kind::Phone, "89123456789"));
        assert_ne!(of(Kind::Inn, "7707083893")[5..], of(Kind::Passport, "7707083893")[10..]);
        assert_ne!(of(Kind::Name, "Anna"), pseudonym("made-up-secret-of-32-bytes-01235", Kind::Name, "Anna"));
        assert_eq!(of(Kind::Secret, "a"), of(Kind::Secret, "b"));
    }

    #[test]
    fn a_short_secret_is_no_key_and_the_key_is_never_printed() {
        let error = |secret| PseudonymKey::from_secret(secret).unwrap_err().to_string();
        assert_eq!(error(" \n"), "the secret of the pseudonym key is empty");
        let short = "the secret of the pseudonym key has 31 bytes, at least 32 are needed";
        assert_eq!(error(&format!(" {}\n", &SECRET_OF_32[1..])), short);
        assert_eq!(format!("{:?}", PseudonymKey::from_secret(SECRET_OF_32).unwrap()), "PseudonymKey(..)");
        assert_eq!(
            pseudonym(&format!("{SECRET_OF_32}\n"), Kind::Inn, "1"),
            pseudonym(SECRET_OF_32, Kind::Inn, "1"),
            "a line end in the secret is none of it"
        );
    }

    #[test]
    fn only_the_exact_shape_is_recognised() {
        let letters = "bcdfghjkmnprstvz";
        assert!(is_whole("[secret]"));
        for kind in Kind::ALL {
            let token = format!("[{}:{letters}]", kind.label());
            assert_eq!(is_whole(&token), kind != Kind::Secret, "{token}");
            let end = end_at_colon(format!("x{token}y").as_bytes(), 0, 2 + kind.label().len());
            assert_eq!(end, (kind != Kind::Secret).then_some(1 + token.len()));
        }
        for text in [
            "[email:]",
            "[email:abcdefghijklmnop]",
            "[email:bcdfghjkmnprstvz",
            "[name:bcdfghjkmnprstvz] ",
            "[x:bcdfghjkmnprstvz]",
            "",
            "[",
        ] {
            assert!(!is_whole(text), "{text}");
        }
    }
}
