//! Seeded chance: the same seed gives the same day, on every machine.

/// A SplitMix64 generator. Small, quick, and good enough for made-up traffic.
pub struct Chance(u64);

impl Chance {
    /// The generator for one purpose: `parts` say what is drawn and for which minute, so that a draw
    /// never depends on what was drawn before it.
    pub fn new(seed: u64, parts: &[i64]) -> Chance {
        let mut chance = Chance(seed);
        for part in parts {
            chance.0 = chance.next() ^ part.cast_unsigned();
        }
        chance
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from `low` up to, but not including, `high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.abs_diff(low).max(1);
        low + (self.next() % width).cast_signed()
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `low..high`, in hundredths, as people and loggers write it.
    pub fn hundredths(&mut self, low: f64, high: f64) -> f64 {
        ((low + self.unit() * (high - low)) * 100.0).floor() / 100.0
    }

    /// True in the share `probability` of all draws.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }

    /// A whole number near `rate`: a quarter more or less, and the fraction decided by chance, so that
    /// rates under one a minute keep their average.
    pub fn count(&mut self, rate: f64) -> usize {
        let near = rate * (0.75 + 0.5 * self.unit());
        near as usize + usize::from(self.happens(near.fract()))
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}

/// Spreads the bits of a counter.
pub fn mix(counter: u64) -> u64 {
    let bits = (counter ^ (counter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fractional_rate_keeps_its_average() {
        let mut chance = Chance::new(1, &[]);
        let total: usize = (0..10_000).map(|_| chance.count(0.3)).sum();
        assert!((2_800..3_200).contains(&total), "{total}");
    }

    #[test]
    fn draws_stay_inside_their_bounds() {
        let mut chance = Chance::new(7, &[1, 2]);
        for _ in 0..1_000 {
            assert!((-3..4).contains(&chance.between(-3, 4)));
            assert!((0.0..1.0).contains(&chance.unit()));
            assert_eq!(chance.uuid().len(), 36);
        }
    }
}
