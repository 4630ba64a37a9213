//! Adding up: counts that come as sums of increments, distributions that come by minute.

use crate::metrics::series::{Aggregate, Dimensions};
use crate::reporting::report::Latency;

/// The value of a dimension; `unknown` where a point lacks it.
pub fn dimension<'a>(dimensions: &'a Dimensions, name: &str) -> &'a str {
    dimensions.get(name).map_or("unknown", String::as_str)
}

/// A sum of increments as a number of things.
pub fn whole(sum: f64) -> u64 {
    sum.round() as u64
}

/// `value` to that many decimal places: no more than a reader needs, and no trace of the order in
/// which floating point numbers were added.
pub fn rounded(value: f64, places: i32) -> f64 {
    let scale = 10f64.powi(places);
    (value * scale).round() / scale
}

/// `part` of `all` in percent, to three places; `None` where there is nothing to have a part of.
pub fn percent(part: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| rounded(100.0 * part / all, 3))
}

/// A distribution, to which minutes are added.
#[derive(Debug, Default)]
pub struct Spread(Option<Aggregate>);

impl Spread {
    /// Adds the values of a minute.
    pub fn add(&mut self, minute: &Aggregate) {
        match &mut self.0 {
            Some(held) => held.merge(minute),
            None => self.0 = Some(minute.clone()),
        }
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |held| held.count)
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |held| held.sum)
    }

    /// Its figures in milliseconds, to a tenth; `None` without values.
    pub fn latency(&self) -> Option<Latency> {
        let held = self.0.as_ref()?;
        // The middle of a bucket may lie above the greatest value in it.
        let at = |percent: f64| held.sketch.percentile(percent).map(|value| rounded(value.min(held.max), 1));
        Some(Latency { p50_ms: at(50.0)?, p95_ms: at(95.0)?, p99_ms: at(99.0)?, max_ms: rounded(held.max, 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_minutes_together() {
        // Not the average of the minutes' percentiles, which would be 505 here.
        let mut spread = Spread::default();
        for _ in 0..99 {
            spread.add(&Aggregate::of(10.0, 0));
        }
        spread.add(&Aggregate::of(1000.04, 60_000));
        assert_eq!(spread.latency(), Some(Latency { p50_ms: 10.0, p95_ms: 10.0, p99_ms: 10.0, max_ms: 1000.0 }));
        assert_eq!((spread.count(), spread.sum()), (100, 1990.04));
    }

    #[test]
    fn no_percentile_is_above_the_greatest_value() {
        let mut spread = Spread::default();
        for value in 1..=500 {
            spread.add(&Aggregate::of(f64::from(value), 0));
        }
        let latency = spread.latency().unwrap();
        assert!(latency.p99_ms <= latency.max_ms && latency.max_ms == 500.0, "{latency:?}");
        assert!((latency.p50_ms - 250.0).abs() <= 2.5, "{latency:?}");
    }

    #[test]
    fn nothing_has_neither_percentiles_nor_a_share() {
        assert_eq!(Spread::default().latency(), None);
        assert_eq!(percent(0.0, 0.0), None);
        assert_eq!(percent(1.0, 3.0), Some(33.333));
    }
}
