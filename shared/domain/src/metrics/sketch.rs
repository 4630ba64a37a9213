//! The distribution of a series' values within a minute, in bounded space, mergeable in any order.
//!
//! Up to [`EXACT`] distinct values are kept as they are. Beyond that, values fall into buckets whose
//! width grows by 2 % a step (the idea of DDSketch), so that any value read back is within 1 % of the
//! true one. Which of the two forms a merge ends in depends only on the set of values, not on the
//! order of merging: the number of distinct values only grows, and a bucket is a function of its value.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Distinct values kept exactly. CloudWatch takes at most 150 a datum.
pub const EXACT: usize = 150;

/// Ratio of neighbouring bucket bounds. The value in the middle of a bucket is within 1 % of its ends.
const GAMMA: f64 = 1.02;

/// Values with their counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sketch {
    /// Each distinct value (ascending) with how often it came.
    Values(Vec<(f64, u64)>),
    /// Each bucket (ascending) with how many values fell into it.
    Buckets(Vec<(i32, u64)>),
}

impl Sketch {
    /// Of one value that came `count` times.
    pub fn of(value: f64, count: u64) -> Sketch {
        Sketch::Values(vec![(value, count)])
    }

    /// Of finite values in any order, which are sorted for it: the same as merging them one by one.
    pub fn of_values(values: &mut [f64]) -> Sketch {
        values.sort_unstable_by(f64::total_cmp);
        let runs = || values.chunk_by(|left, right| left.total_cmp(right).is_eq());
        let mut counted = Vec::with_capacity(runs().count());
        counted.extend(runs().map(|run| (run[0], run.len() as u64)));
        if counted.len() <= EXACT { Sketch::Values(counted) } else { Sketch::Buckets(bucketed(&counted)) }
    }

    /// Of finite values, each with how often it came, in any order: the same as merging them one by one. They are
    /// sorted for it, and equal ones counted together.
    pub fn of_counted(values: &mut Vec<(f64, u64)>) -> Sketch {
        values.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        values.dedup_by(|next, held| {
            let is_same = held.0.total_cmp(&next.0).is_eq();
            held.1 += if is_same { next.1 } else { 0 };
            is_same
        });
        if values.len() <= EXACT { Sketch::Values(values.clone()) } else { Sketch::Buckets(bucketed(values)) }
    }

    /// Adds what `other` holds.
    pub fn merge(&mut self, other: &Sketch) {
        // Most of what comes is a few values that are there already.
        match (&mut *self, other) {
            (Sketch::Values(mine), Sketch::Values(theirs))
                if theirs.len() <= FEW && mine.len() + theirs.len() <= EXACT =>
            {
                insert_few(mine, theirs.iter().copied(), f64::total_cmp);
                return;
            }
            (Sketch::Buckets(mine), Sketch::Values(theirs)) if theirs.len() <= FEW => {
                let buckets = theirs.iter().map(|&(value, count)| (bucket_of(value), count));
                insert_few(mine, buckets, i32::cmp);
                return;
            }
            (Sketch::Buckets(mine), Sketch::Buckets(theirs)) if theirs.len() <= FEW => {
                insert_few(mine, theirs.iter().copied(), i32::cmp);
                return;
            }
            _ => {}
        }
        if let (Sketch::Values(mine), Sketch::Values(theirs)) = (&*self, other) {
            let merged = merge_sorted(mine, theirs, f64::total_cmp);
            *self = if merged.len() <= EXACT { Sketch::Values(merged) } else { Sketch::Buckets(bucketed(&merged)) };
        } else {
            *self = Sketch::Buckets(merge_sorted(&self.buckets(), &other.buckets(), i32::cmp));
        }
    }

    fn buckets(&self) -> Cow<'_, [(i32, u64)]> {
        match self {
            Sketch::Buckets(buckets) => Cow::Borrowed(buckets),
            Sketch::Values(values) => Cow::Owned(bucketed(values)),
        }
    }

    /// Values (ascending) with counts, each within 1 % of what was recorded.
    pub fn points(&self) -> Vec<(f64, u64)> {
        match self {
            Sketch::Values(values) => values.clone(),
            Sketch::Buckets(buckets) => buckets.iter().map(|&(bucket, count)| (middle_of(bucket), count)).collect(),
        }
    }

    /// The value below which `percent` of the recorded ones lie (nearest rank). `None` when empty.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let points = self.points();
        let total: u64 = points.iter().map(|(_, count)| count).sum();
        let rank = ((percent / 100.0) * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        points.iter().find_map(|&(value, count)| {
            seen += count;
            (seen >= rank).then_some(value)
        })
    }
}

/// So many are looked up one by one; more are merged in one pass.
const FEW: usize = 8;

/// Adds a few things with counts to an ascending list of such.
fn insert_few<K: Copy>(
    mine: &mut Vec<(K, u64)>,
    theirs: impl Iterator<Item = (K, u64)>,
    order: impl Fn(&K, &K) -> Ordering,
) {
    for (wanted, count) in theirs {
        match mine.binary_search_by(|held| order(&held.0, &wanted)) {
            Ok(at) => mine[at].1 += count,
            Err(at) => mine.insert(at, (wanted, count)),
        }
    }
}

/// Two ascending lists of things with counts into one: what is in both is counted together.
fn merge_sorted<K: Copy>(mine: &[(K, u64)], theirs: &[(K, u64)], order: impl Fn(&K, &K) -> Ordering) -> Vec<(K, u64)> {
    let mut merged = Vec::with_capacity(mine.len() + theirs.len());
    let (mut mine, mut theirs) = (mine.iter().copied().peekable(), theirs.iter().copied().peekable());
    while let (Some(left), Some(right)) = (mine.peek(), theirs.peek()) {
        match order(&left.0, &right.0) {
            Ordering::Less => merged.extend(mine.next()),
            Ordering::Greater => merged.extend(theirs.next()),
            Ordering::Equal => {
                merged.push((left.0, left.1 + right.1));
                mine.next();
                theirs.next();
            }
        }
    }
    merged.extend(mine);
    merged.extend(theirs);
    merged
}

/// Ascending values into ascending buckets.
fn bucketed(values: &[(f64, u64)]) -> Vec<(i32, u64)> {
    let mut buckets: Vec<(i32, u64)> = Vec::with_capacity(values.len());
    for &(value, count) in values {
        let bucket = bucket_of(value);
        match buckets.last_mut() {
            Some(last) if last.0 == bucket => last.1 += count,
            _ => buckets.push((bucket, count)),
        }
    }
    buckets
}

/// Bucket 0 is zero alone; positive values are above it, negative ones below, by magnitude from about
/// 1e-9 up. Smaller magnitudes count as zero.
fn bucket_of(value: f64) -> i32 {
    const SMALLEST: f64 = 1e-9;
    if value.abs() < SMALLEST {
        return 0;
    }
    let step = (value.abs() / SMALLEST).ln() / GAMMA.ln();
    (step.ceil() as i32 + 1) * if value < 0.0 { -1 } else { 1 }
}

fn middle_of(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let upper = 1e-9 * GAMMA.powi(bucket.abs() - 1);
    let middle = 2.0 * upper / (GAMMA + 1.0);
    if bucket < 0 { -middle } else { middle }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::Values(Vec::new());
        for &value in values {
            sketch.merge(&Sketch::of(value, 1));
        }
        sketch
    }

    #[test]
    fn few_distinct_values_stay_exact() {
        let held = sketch(&[1.0, 5000.5, 1.0, 0.0]);
        assert_eq!(held, Sketch::Values(vec![(0.0, 1), (1.0, 2), (5000.5, 1)]));
        assert_eq!(held.percentile(50.0), Some(1.0));
        assert_eq!(held.percentile(100.0), Some(5000.5));
    }

    #[test]
    fn an_empty_sketch_has_no_percentile() {
        assert_eq!(sketch(&[]).percentile(95.0), None);
    }

    proptest! {
        #[test]
        fn merging_in_any_order_gives_the_same(
            a in prop::collection::vec(-1e6..1e6f64, 0..120),
            b in prop::collection::vec(-1e6..1e6f64, 0..120),
            c in prop::collection::vec(-1e6..1e6f64, 0..120),
        ) {
            let (a, b, c) = (sketch(&a), sketch(&b), sketch(&c));
            let mut left = a.clone();
            left.merge(&b);
            left.merge(&c);
            let mut right = c;
            right.merge(&b);
            right.merge(&a);
            prop_assert_eq!(left, right);
        }

        #[test]
        fn values_all_at_once_give_what_merging_one_by_one_gives(
            mut few in prop::collection::vec(prop_oneof![-3..3i32, -200..200i32].prop_map(f64::from), 0..400),
            mut many in prop::collection::vec(prop_oneof![any::<i32>().prop_map(f64::from), -1e-7..1e-7f64], 140..400),
        ) {
            few.extend([0.0, -0.0]);
            for values in [&mut few, &mut many] {
                let merged = sketch(values);
                let mut counted: Vec<(f64, u64)> = values.iter().map(|value| (*value, 1)).collect();
                prop_assert_eq!(format!("{:?}", Sketch::of_counted(&mut counted)), format!("{merged:?}"));
                prop_assert_eq!(format!("{:?}", Sketch::of_values(values)), format!("{merged:?}"));
            }
        }

        #[test]
        fn no_count_is_lost_and_values_stay_within_one_percent(
            mut values in prop::collection::vec(0.001..1e9f64, 151..400),
        ) {
            let held = sketch(&values);
            let points = held.points();
            prop_assert_eq!(points.iter().map(|p| p.1).sum::<u64>(), values.len() as u64);
            values.sort_by(f64::total_cmp);
            let mut recorded = values.iter();
            for (value, count) in points {
                for _ in 0..count {
                    let original = recorded.next().unwrap();
                    prop_assert!((value - original).abs() <= 0.0101 * original, "{} for {}", value, original);
                }
            }
        }
    }
}
