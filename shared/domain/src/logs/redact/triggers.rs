//! Where a text may have something to find: a bitmap of up to 64 bytes at once, without a branch, so that
//! the compiler makes vector instructions of it. Most bytes of a log are told plain here.

use wide::u8x16;

/// Bytes of a bitmap.
pub(super) const BLOCK: usize = 64;

/// Bytes whose bits are made together.
const LANE: usize = 16;

/// How many bytes behind its own a bit depends on.
const AHEAD: usize = 3;

/// A bit for every byte of `bytes`, up to [`BLOCK`], at which something may begin or be recognised.
pub(super) fn of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<{ BLOCK + AHEAD }>() {
        Some(block) => bits(block, BLOCK),
        None => {
            // Behind the end nothing is found.
            let mut block = [0; BLOCK + AHEAD];
            block[..bytes.len()].copy_from_slice(bytes);
            bits(&block, bytes.len().min(BLOCK))
        }
    }
}

fn bits(block: &[u8; BLOCK + AHEAD], length: usize) -> u64 {
    let mut bits = 0;
    for lane in 0..length.div_ceil(LANE) {
        let start = lane * LANE;
        if let Some(bytes) = block[start..].first_chunk() {
            bits |= u64::from(lane_bits(bytes)) << start;
        }
    }
    bits
}

fn lane_bits(bytes: &[u8; LANE + AHEAD]) -> u16 {
    let mut marks = [0; LANE];
    for (at, mark) in marks.iter_mut().enumerate() {
        *mark = u8::from(is_trigger(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])).wrapping_neg();
    }
    u8x16::new(marks).to_bitmask() as u16
}

/// Whether something may be found by `byte`, before `next`, `second` and `third`. No branch in here (`|`
/// and `&`, not `||` and `&&`), and a few bytes too many where that takes fewer instructions.
#[inline(always)]
fn is_trigger(byte: u8, next: u8, second: u8, third: u8) -> bool {
    let digit = |byte: u8| byte.wrapping_sub(b'0') < 10;
    let lower = |byte: u8| byte | 0x20;
    // `=` and `:` after a name; `@`; `%` and `\` of escapes; `+` of a phone number.
    let sign = (byte == b'=') | (byte == b':') | (byte == b'@') | (byte == b'%') | (byte == b'+') | (byte == b'\\');
    // Four digits in a row, or a separator and more digits behind one: fewer are no number of a person.
    let two = digit(second) & digit(third);
    let row = digit(next) & two;
    let separated = (next.wrapping_sub(b' ') <= b'-' - b' ') & (digit(second) | (second == b'('));
    let number = digit(byte) & (row | separated | (next & second >= 0x80));
    let iban = (byte & next & 0xe0 == 0x40) & two;
    let bearer = (lower(byte) == b'b') & (lower(next) == b'e') & (lower(second) == b'a');
    let web_token = (byte == b'y') & (next == b'J');
    let aws_key = (byte == b'I') & (next == b'A');
    sign | number | iban | bearer | web_token | aws_key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_may_begin_something_is_marked_and_the_rest_is_not() {
        for (text, marks) in [
            ("the quick brown bee", ""),
            ("a=b c: d@e % + \\", "1 5 8 11 13 15"),
            ("35 ms, 200, 10:05", "14"),
            ("4711, 1795000000", "0 6 7 8 9 10 11 12"),
            ("45 09", "1"),
            ("8-9 8(9 8) 8", "0 2 4 6"),
            ("8 (9 мс 8\u{a0}9", "0 10"),
            ("Bearer bead B", "0 7"),
            ("eyJ JI AKIA", "1 9"),
            ("GB82 HTTP2 V12", "0"),
        ] {
            let bits = of(text.as_bytes());
            let found: Vec<String> = (0..64).filter(|at| bits >> at & 1 == 1).map(|at| at.to_string()).collect();
            assert_eq!(found.join(" "), marks, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_bit_depends_on_its_byte_and_the_next_three_only(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
            let bits = of(&bytes);
            let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
            for at in 0..BLOCK {
                let expected = at < bytes.len() && is_trigger(byte(at), byte(at + 1), byte(at + 2), byte(at + 3));
                prop_assert_eq!(bits >> at & 1 == 1, expected, "{}", at);
            }
        }
    }
}
