//! Text in blocks, of which every byte is looked at by the same instruction.

use wide::u8x16;

/// Bytes of a block: one for each bit of a number.
pub(super) const LENGTH: usize = 64;

/// The last byte of a block.
pub(super) const LAST: usize = LENGTH - 1;

/// Bytes that must follow the beginning of a block, so that [`copy`] needs no care at its end.
pub(super) const WINDOW: usize = 2 * LENGTH;

/// Bytes that a run is copied by at once. Longer runs are rare.
const RUN: usize = 16;

/// Whether `byte` is a quote, a backslash or a control character.
#[inline]
pub(super) fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// A bit for each of sixteen bytes that is special.
#[inline]
pub(super) fn specials(bytes: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*bytes);
    (controls(bytes) | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

#[inline]
fn controls(bytes: u8x16) -> u8x16 {
    bytes.min(u8x16::splat(0x1f)).simd_eq(bytes)
}

/// What is special in a block, a bit for each byte.
pub(super) struct Marks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// Mostly there are none, and where they are does not matter.
    controls: u64,
}

impl Marks {
    #[inline]
    pub(super) fn of(window: &[u8; WINDOW]) -> Marks {
        let mut marks = Marks { quotes: 0, backslashes: 0, controls: 0 };
        let (chunks, _) = window[..LENGTH].as_chunks::<16>();
        for (number, chunk) in chunks.iter().enumerate() {
            let bytes = u8x16::new(*chunk);
            let bits = |found: u8x16| u64::from(found.to_bitmask()) << (number * 16);
            marks.quotes |= bits(bytes.simd_eq(u8x16::splat(b'"')));
            marks.backslashes |= bits(bytes.simd_eq(u8x16::splat(b'\\')));
            marks.controls |= bits(controls(bytes));
        }
        marks
    }

    /// The place of the first special byte that is neither the backslash nor the quote of an escaped
    /// quote; `LENGTH` where there is none.
    #[inline]
    pub(super) fn first_but_escaped_quotes(&self) -> usize {
        let not_escaped = self.quotes & !(self.backslashes << 1);
        let not_quotes = self.backslashes & !(self.quotes >> 1);
        (not_escaped | not_quotes | self.controls).trailing_zeros() as usize
    }
}

/// Copies `length` bytes (and what follows them) from `from` of one window to `to` of another; both begin
/// in the block of their window.
#[inline]
pub(super) fn copy(window: &[u8; WINDOW], from: usize, into: &mut [u8; WINDOW], to: usize, length: usize) {
    let (from, to) = (from % LENGTH, to % LENGTH);
    into[to..to + RUN].copy_from_slice(&window[from..from + RUN]);
    if length > RUN {
        into[to + RUN..to + LENGTH].copy_from_slice(&window[from + RUN..from + LENGTH]);
    }
}
