//! Random numbers for ids: from a generator of each thread, seeded by the system. Not for secrets; and shares by ids.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

thread_local! {
    static STATE: Cell<(u64, u64)> = Cell::new((seed(), seed()));
}

/// The standard library takes the keys of its hashes from the system's random numbers.
fn seed() -> u64 {
    RandomState::new().hash_one(std::thread::current().id()).max(1)
}

/// 64 random bits (xoroshiro128++).
pub(crate) fn bits() -> u64 {
    STATE.with(|state| {
        let (first, second) = state.get();
        let bits = first.wrapping_add(second).rotate_left(17).wrapping_add(first);
        let mixed = first ^ second;
        state.set((first.rotate_left(49) ^ mixed ^ (mixed << 21), mixed.rotate_left(28)));
        bits
    })
}

/// Whether `bits`, evenly spread, are among the `share` (0 to 1) that is kept.
pub(crate) fn is_in_share(bits: u64, share: f64) -> bool {
    // 53 bits are what a double holds.
    share >= 1.0 || ((bits >> 11) as f64) < share * (1u64 << 53) as f64
}

/// Other bits, evenly spread, which nobody outside of this process can foresee.
pub(crate) fn stirred(bits: u64) -> u64 {
    static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    SECRET.hash_one(bits)
}

/// Evenly spread bits of a text, the same on every machine (FNV-1a, and its last bits stirred in).
pub(crate) fn bits_of(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn threads_draw_different_numbers() {
        let draw = || (0..1_000).map(|_| bits()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let all: BTreeSet<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.len(), 4_000);
    }

    #[test]
    fn a_share_of_ids_is_that_share() {
        for share in [0.0, 0.05, 0.5, 1.0] {
            let kept = (0..10_000).filter(|id| is_in_share(bits_of(&format!("request-{id}")), share)).count();
            assert!((kept as f64 / 10_000.0 - share).abs() < 0.02, "{kept} of 10,000 for {share}");
        }
    }
}
