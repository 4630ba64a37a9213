//! The values of a histogram or timer between two flushes, in bounded space.
//!
//! Up to [`EXACT`] distinct values are kept as they are. Beyond that, values share buckets whose bounds are 2 %
//! apart. A bucket is told as the mean of its values, so each value is told within 2 % and every sum is exact.

use std::collections::BTreeMap;

/// Distinct values kept as they are. A metric of a line holds no more than these in the embedded metric format.
pub(crate) const EXACT: usize = 100;

/// Buckets at most: with bounds 2 % apart they span 17 powers of ten. What lies outside of all of them, where
/// there is no room for another, is told as if it lay in the nearest.
const MAX_BUCKETS: usize = 2_000;

/// Ratio of neighbouring bounds.
const GAMMA: f64 = 1.02;

/// Magnitudes below count as zero when they are put into buckets.
const SMALLEST: f64 = 1e-9;

/// A value and how often it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bin {
    pub value: f64,
    pub count: u64,
}

/// Some of the values of a distribution, ascending, with the smallest and the largest recorded among them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bins {
    pub bins: Vec<Bin>,
    pub min: f64,
    pub max: f64,
}

impl Bins {
    /// How many values were recorded.
    pub(crate) fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// What they add up to.
    pub(crate) fn sum(&self) -> f64 {
        self.bins.iter().map(|bin| bin.value * bin.count as f64).sum()
    }
}

/// Finite values with their counts.
#[derive(Debug, Default)]
pub(crate) struct Distribution {
    /// Ascending. Empty once there are buckets.
    values: Vec<Bin>,
    buckets: BTreeMap<i32, Bucket>,
    bounds: Option<(f64, f64)>,
}

#[derive(Debug, Default)]
struct Bucket {
    count: u64,
    sum: f64,
}

impl Distribution {
    /// Adds a finite value that came `count` times.
    pub(crate) fn record(&mut self, value: f64, count: u64) {
        if count == 0 {
            return;
        }
        let (min, max) = self.bounds.unwrap_or((value, value));
        self.bounds = Some((min.min(value), max.max(value)));
        if !self.buckets.is_empty() {
            return self.put(value, count);
        }
        match self.values.binary_search_by(|bin| bin.value.total_cmp(&value)) {
            Ok(at) => self.values[at].count += count,
            Err(at) if self.values.len() < EXACT => self.values.insert(at, Bin { value, count }),
            Err(_) => {
                for bin in std::mem::take(&mut self.values) {
                    self.put(bin.value, bin.count);
                }
                self.put(value, count);
            }
        }
    }

    fn put(&mut self, value: f64, count: u64) {
        let mut place = place_of(value);
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&place) {
            let above = self.buckets.range(place..).next().map(|(at, _)| *at);
            let below = self.buckets.range(..place).next_back().map(|(at, _)| *at);
            place = [above, below].into_iter().flatten().min_by_key(|at| at.abs_diff(place)).unwrap_or(place);
        }
        let bucket = self.buckets.entry(place).or_default();
        bucket.count += count;
        bucket.sum += value * count as f64;
    }

    /// Takes what was recorded, in parts of at most [`EXACT`] bins.
    pub(crate) fn take(&mut self) -> Vec<Bins> {
        let Some((min, max)) = self.bounds.take() else { return Vec::new() };
        let mut bins = std::mem::take(&mut self.values);
        for bucket in std::mem::take(&mut self.buckets).into_values() {
            // The mean of huge values may be rounded out of what was recorded.
            let value = (bucket.sum / bucket.count as f64).clamp(min, max);
            bins.push(Bin { value, count: bucket.count });
        }
        let parts: Vec<&[Bin]> = bins.chunks(EXACT).collect();
        let last = parts.len() - 1;
        let part = |(at, part): (usize, &&[Bin])| Bins {
            bins: part.to_vec(),
            min: if at == 0 { min } else { part[0].value },
            max: if at == last { max } else { part[part.len() - 1].value },
        };
        parts.iter().enumerate().map(part).collect()
    }

    /// Puts back what was taken and could not be told.
    pub(crate) fn put_back(&mut self, taken: &Bins) {
        for bin in &taken.bins {
            self.record(bin.value, bin.count);
        }
        if let Some((min, max)) = self.bounds {
            self.bounds = Some((min.min(taken.min), max.max(taken.max)));
        }
    }
}

/// The bucket of a value: 0 is zero alone, positive values are above, negative ones below.
fn place_of(value: f64) -> i32 {
    if value.abs() < SMALLEST {
        return 0;
    }
    let step = (value.abs().ln() - SMALLEST.ln()) / GAMMA.ln();
    (step.floor() as i32 + 1) * if value < 0.0 { -1 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Distribution {
        let mut held = Distribution::default();
        values.iter().for_each(|value| held.record(*value, 1));
        held
    }

    #[test]
    fn few_distinct_values_stay_as_they_are() {
        let taken = of(&[2.0, 0.5, 2.0]).take();
        let bins = vec![Bin { value: 0.5, count: 1 }, Bin { value: 2.0, count: 2 }];
        assert_eq!(taken, [Bins { bins, min: 0.5, max: 2.0 }]);
        assert_eq!((taken[0].count(), taken[0].sum()), (3, 4.5));
    }

    #[test]
    fn what_was_taken_is_gone_and_can_be_put_back() {
        let mut held = of(&[1.0, 3.0]);
        let taken = held.take();
        assert!(held.take().is_empty());
        held.record(2.0, 1);
        held.put_back(&taken[0]);
        assert_eq!(held.take(), of(&[1.0, 2.0, 3.0]).take());
    }

    #[test]
    fn space_is_bounded_whatever_comes() {
        let mut held = Distribution::default();
        (-300..300).for_each(|power| (10..100).for_each(|n| held.record(f64::from(n) * 10f64.powi(power), 1)));
        assert!(held.buckets.len() <= MAX_BUCKETS);
        let taken = held.take();
        assert_eq!(taken.iter().map(Bins::count).sum::<u64>(), 600 * 90);
        assert!(taken.iter().all(|part| part.bins.len() <= EXACT));
        assert_eq!((taken[0].min, taken[taken.len() - 1].max), (10.0 * 10f64.powi(-300), 99.0 * 10f64.powi(299)));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_every_value_is_told_within_two_percent(
            mut values in prop::collection::vec(prop_oneof![0.001..1e7f64, -1e4..1e4f64, Just(0.0)], 1..600),
        ) {
            let taken = of(&values).take();
            values.sort_by(f64::total_cmp);
            let sum: f64 = values.iter().sum();
            let magnitude: f64 = values.iter().map(|value| value.abs()).sum();
            prop_assert!((taken.iter().map(Bins::sum).sum::<f64>() - sum).abs() <= 1e-9 * magnitude.max(1.0));
            prop_assert_eq!(taken[0].min, values[0]);
            prop_assert_eq!(taken[taken.len() - 1].max, values[values.len() - 1]);
            let mut recorded = values.iter();
            for Bin { value, count } in taken.iter().flat_map(|part| &part.bins) {
                for _ in 0..*count {
                    let original = recorded.next().unwrap();
                    prop_assert!((value - original).abs() <= 0.0201 * original.abs() + SMALLEST, "{value} for {original}");
                }
            }
            prop_assert_eq!(recorded.next(), None);
        }
    }
}
