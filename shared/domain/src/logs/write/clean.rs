//! Texts that nothing personal was found in and nothing needs an escape in: methods, tables, regions, messages
//! come again and again, and to compare is less work than to look for what is personal.

use crate::logs::short::Short;

/// Binary logarithm of how many texts of either size are known. Each has one place by its hash.
const BITS: u32 = 8;

/// Bytes of the longest text.
const LONGEST: usize = 64;

/// Texts that are written as they are.
pub(super) struct Clean {
    short: Vec<Option<Short>>,
    long: Vec<Long>,
}

/// A text that is too long for a [`Short`].
#[derive(Clone, Copy)]
struct Long {
    length: u8,
    bytes: [u8; LONGEST],
}

/// A text that may be clean.
#[derive(Clone, Copy)]
pub(super) enum Suspect {
    Short(Short),
    /// Its slot.
    Long(usize),
    TooLong,
}

impl Default for Clean {
    fn default() -> Clean {
        Clean { short: vec![None; 1 << BITS], long: vec![Long { length: 0, bytes: [0; LONGEST] }; 1 << BITS] }
    }
}

impl Clean {
    /// Whether the piece of `text` from `start` to `end` is known to be clean; if not, what it is to be
    /// [added](Clean::add) by.
    #[inline]
    pub(super) fn has(&self, text: &[u8], start: usize, end: usize) -> Result<(), Suspect> {
        if let Some(short) = Short::at(text, start, end) {
            let is_known = self.short[short.slot(BITS)] == Some(short);
            return if is_known { Ok(()) } else { Err(Suspect::Short(short)) };
        }
        let piece = &text[start..end];
        if piece.len() > LONGEST {
            return Err(Suspect::TooLong);
        }
        let slot = slot(piece);
        let known = &self.long[slot];
        let is_known = known.bytes.get(..known.length as usize) == Some(piece);
        if is_known { Ok(()) } else { Err(Suspect::Long(slot)) }
    }

    /// Notes that `text` is clean.
    pub(super) fn add(&mut self, suspect: Suspect, text: &[u8]) {
        match suspect {
            Suspect::Short(short) => self.short[short.slot(BITS)] = Some(short),
            Suspect::Long(slot) => {
                let known = &mut self.long[slot];
                if let Some(bytes) = known.bytes.get_mut(..text.len()) {
                    bytes.copy_from_slice(text);
                    known.length = text.len() as u8;
                }
            }
            Suspect::TooLong => {}
        }
    }
}

/// A slot for a text of 24 bytes at least, by its beginning, middle and end.
#[inline]
fn slot(text: &[u8]) -> usize {
    let word =
        |at: usize| text.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word));
    let ends = word(0) ^ word(8).rotate_left(13) ^ word(text.len().saturating_sub(8)).rotate_left(31);
    let mixed = ends ^ word(text.len() / 2).rotate_left(47) ^ text.len() as u64;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_clean_where_it_was_found_so(texts in prop::collection::vec("[ab]{0,3}|a{20,70}|[ab]{24,66}", 1..40)) {
            let mut clean = Clean::default();
            let mut added = std::collections::HashSet::new();
            for text in &texts {
                let around = format!("x{text}y");
                match clean.has(around.as_bytes(), 1, 1 + text.len()) {
                    Ok(()) => prop_assert!(added.contains(text)),
                    Err(suspect) => {
                        clean.add(suspect, text.as_bytes());
                        prop_assert_eq!(clean.has(text.as_bytes(), 0, text.len()).is_ok(), text.len() <= LONGEST);
                        added.insert(text.clone());
                    }
                }
            }
        }
    }
}
