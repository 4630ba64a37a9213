//! Seeded chance: the same seed draws the same, on every machine.

/// A SplitMix64 generator: small, quick, and good enough for made-up lines.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from `low` up to, but not including, `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low).max(1)
    }

    /// True once in `times` draws.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }

    /// A number with two places after the point, as loggers write durations.
    pub(super) fn hundredths(&mut self, low: u64, high: u64) -> f64 {
        self.between(low * 100, high * 100) as f64 / 100.0
    }

    /// A duration in milliseconds: mostly short, now and then long, seldom over five seconds.
    pub(super) fn duration(&mut self) -> f64 {
        match self.between(0, 200) {
            0 => self.hundredths(5_000, 9_000),
            1..10 => self.hundredths(400, 2_000),
            _ => self.hundredths(1, 300),
        }
    }

    /// `length` decimal digits; the first is not 0.
    pub(super) fn digits(&mut self, length: usize) -> String {
        let digit =
            |at: usize, bits: u64| char::from(b'0' + if at == 0 { 1 + (bits % 9) as u8 } else { (bits % 10) as u8 });
        (0..length).map(|at| digit(at, self.next() >> 8)).collect()
    }

    /// `length` characters of `alphabet`, which must be ASCII and not empty.
    pub(super) fn word(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(alphabet))).collect()
    }

    /// A version 4 UUID.
    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        let variant = 0x8000 | ((low >> 48) & 0x3fff);
        format!(
            "{:08x}-{:04x}-4{:03x}-{variant:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }
}
