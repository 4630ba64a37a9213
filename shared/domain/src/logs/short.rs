//! Short texts as machine words. Names of fields are looked up many times a line, and two words are compared
//! in less time than it takes to call what compares any two texts.

/// Bytes of the longest short text.
const MAX_BYTES: usize = 24;

/// A text of at most 24 bytes: two are equal where their texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    length: usize,
    /// Its beginning, its middle and its end; they overlap where the length is no multiple of eight.
    words: [u64; 3],
}

impl Short {
    /// `None` for a text that is longer.
    #[inline]
    pub const fn of(text: &[u8]) -> Option<Short> {
        Short::at(text, 0, text.len())
    }

    /// The piece of `text` from `start` to `end`. What stands behind it costs nothing and makes it faster.
    #[inline]
    pub const fn at(text: &[u8], start: usize, end: usize) -> Option<Short> {
        let length = end - start;
        let words = match length {
            0..8 => [beginning(text, start, length), 0, 0],
            8..=16 => [word(text, start), word(text, end - 8), 0],
            17..=MAX_BYTES => [word(text, start), word(text, start + 8), word(text, end - 8)],
            _ => return None,
        };
        Some(Short { length, words })
    }

    /// A number below 2 to the power of `bits`, which differs for most texts.
    #[inline]
    pub const fn slot(self, bits: u32) -> usize {
        let mixed = self.words[0] ^ self.words[1].rotate_left(21) ^ self.words[2].rotate_left(42) ^ self.length as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
    }
}

/// Eight bytes from `at` on.
#[inline]
const fn word(text: &[u8], at: usize) -> u64 {
    match text.split_at(at).1.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => 0,
    }
}

/// The `length` bytes from `start` on, fewer than eight, and zeros.
#[inline]
const fn beginning(text: &[u8], start: usize, length: usize) -> u64 {
    let rest = text.split_at(start).1;
    match rest.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight) & ((1 << (8 * length)) - 1),
        None => {
            let mut word = 0;
            let mut at = length;
            while at > 0 {
                at -= 1;
                word = word << 8 | rest[at] as u64;
            }
            word
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_texts_are_equal_where_their_bytes_are(one in "[ab]{0,26}", other in "[ab\0]{0,26}", around in "[ab]{0,9}") {
            let is_short = |text: &str| text.len() <= MAX_BYTES;
            let (left, right) = (Short::of(one.as_bytes()), Short::of(other.as_bytes()));
            prop_assert_eq!(left.is_some(), is_short(&one));
            prop_assert_eq!(left == right, one == other || !is_short(&one) && !is_short(&other));
            let text = format!("{around}{one}{around}");
            prop_assert_eq!(Short::at(text.as_bytes(), around.len(), around.len() + one.len()), left);
        }

        #[test]
        fn a_slot_lies_below_its_bound(text in any::<[u8; 24]>(), length in 0_usize..=24, bits in 1_u32..16) {
            let short = Short::of(&text[..length]).unwrap();
            prop_assert!(short.slot(bits) < 1 << bits);
        }
    }
}
