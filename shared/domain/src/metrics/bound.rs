//! How many series a metric may have in one minute.
//!
//! A batch bounds the values of a dimension by itself, but a minute is made of many batches, each with values of its
//! own: a dimension with free values (`reason`, `role`, what lines bring along) would have no bound. So the same
//! rule holds again where batches come together: of one service, a dimension of a metric has [`MAX_VALUES`] values in a
//! minute, the first ones; what comes after them is folded into [`OTHER`], and counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::Minute;
use crate::metrics::flush::Delta;
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};

/// Different values that a dimension of a metric may have, in one batch and, of one service, in one minute.
pub const MAX_VALUES: usize = 100;

/// What further values become.
pub const OTHER: &str = "other";

/// What folded points are counted in.
const OVERFLOW: &str = "pipeline_series_overflow";

/// The dimension that is no free text, and is not folded: of a log group's name, or of one's own configuration.
const SERVICE: &str = "service";

/// Folds what `delta` has beyond the bound, given what the rollup of its `minute` holds already. Answers how many
/// points were folded; `delta` has them as `pipeline_series_overflow` as well, by service.
pub fn bound(minute: Minute, delta: &mut Delta, held: &SeriesSet) -> u64 {
    let mut admitted = Admitted::default();
    for (key, _) in held.iter() {
        for (name, value) in &key.dimensions {
            admitted.values(key, name).insert(value);
        }
    }
    let [folds, folds_extracted] = [&delta.series, &delta.extracted]
        .map(|series| series.iter().filter_map(|(key, _)| admitted.fold(key)).collect());
    let mut overflow: BTreeMap<Dimensions, u64> = BTreeMap::new();
    for (series, folds) in [(&mut delta.series, folds), (&mut delta.extracted, folds_extracted)] {
        let folds: Vec<(SeriesKey, SeriesKey)> = folds;
        for (key, folded) in folds {
            let service = key.dimensions.get_key_value(SERVICE).map(|(name, value)| (name.clone(), value.clone()));
            let points = series.rename(&key, folded);
            *overflow.entry(Dimensions::from_iter(service)).or_default() += points;
        }
    }
    for (dimensions, points) in &overflow {
        let key = SeriesKey { name: OVERFLOW.to_owned(), dimensions: dimensions.clone() };
        delta.series.add(key, &Aggregate::of(*points as f64, minute.start().as_millisecond()));
    }
    overflow.values().sum()
}

/// Values that need not be folded, by metric, service and dimension.
#[derive(Default)]
struct Admitted<'a>(BTreeMap<(&'a str, &'a str, &'a str), BTreeSet<&'a str>>);

impl<'a> Admitted<'a> {
    fn values(&mut self, key: &'a SeriesKey, dimension: &'a str) -> &mut BTreeSet<&'a str> {
        let service = key.dimensions.get(SERVICE).map_or("", String::as_str);
        self.0.entry((&key.name, service, dimension)).or_default()
    }

    /// The key to be folded with what it is folded into, where one of its values is one too many.
    fn fold(&mut self, key: &'a SeriesKey) -> Option<(SeriesKey, SeriesKey)> {
        let mut folded: Option<SeriesKey> = None;
        for (name, value) in key.dimensions.iter().filter(|(name, value)| *name != SERVICE && *value != OTHER) {
            let values = self.values(key, name);
            if values.contains(value.as_str()) {
                continue;
            }
            // `other` takes no place of its own, whether it was folded here or by a batch.
            if values.len() - usize::from(values.contains(OTHER)) < MAX_VALUES {
                values.insert(value);
                continue;
            }
            folded.get_or_insert_with(|| key.clone()).dimensions.insert(name.clone(), OTHER.to_owned());
        }
        folded.map(|folded| (key.clone(), folded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute() -> Minute {
        "2026-11-21T10:05Z".parse().unwrap()
    }

    fn errors(service: &str, reason: &str) -> (SeriesKey, Aggregate) {
        let dimensions = [("service", service), ("reason", reason)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let key = SeriesKey { name: "contract_creation_errors".to_owned(), dimensions: dimensions.into() };
        (key, Aggregate::of(1.0, 0))
    }

    fn sum(set: &SeriesSet, name: &str, dimension: &str, value: &str) -> f64 {
        let has = |dimensions: &Dimensions| dimensions.get(dimension).is_some_and(|held| held == value);
        set.named(name).filter(|(dimensions, _)| has(dimensions)).map(|(_, held)| held.sum).sum()
    }

    #[test]
    fn what_comes_after_the_first_values_of_a_minute_is_folded_and_counted() {
        let held: SeriesSet = (0..60).map(|n| errors("contract", &format!("held {n}"))).collect();
        let mut delta = Delta {
            series: (0..60)
                .map(|n| errors("contract", &format!("new {n:02}")))
                .chain([errors("contract", "held 3"), errors("other-service", "new 59"), errors("contract", OTHER)])
                .collect(),
            extracted: [errors("contract", "brought along")].into_iter().collect(),
            ..Delta::default()
        };
        assert_eq!(bound(minute(), &mut delta, &held), 21);
        let name = "contract_creation_errors";
        assert_eq!(sum(&delta.series, name, "reason", OTHER), 21.0, "20 that are folded, and one that was");
        assert_eq!(sum(&delta.extracted, name, "reason", OTHER), 1.0);
        assert_eq!(sum(&delta.series, name, "reason", "new 39"), 1.0, "the first ones in order");
        assert_eq!(sum(&delta.series, name, "reason", "held 3"), 1.0, "what the minute knows stays");
        assert_eq!(sum(&delta.series, name, "service", "other-service"), 1.0, "another service has its own");
        assert_eq!(sum(&delta.series, name, "service", "contract"), 62.0, "nothing is lost");
        assert_eq!(sum(&delta.series, OVERFLOW, "service", "contract"), 21.0);
    }

    #[test]
    fn the_bound_of_a_minute_holds_however_many_batches_come() {
        let mut held = SeriesSet::default();
        let mut folded = 0;
        for batch in 0..30 {
            let series = (0..10).map(|n| errors("contract", &format!("{batch} {n}"))).collect();
            let mut delta = Delta { series, ..Delta::default() };
            folded += bound(minute(), &mut delta, &held);
            held.merge(&delta.series);
        }
        assert_eq!(folded, 200);
        assert_eq!(held.named("contract_creation_errors").count(), MAX_VALUES + 1);
        assert_eq!(sum(&held, "contract_creation_errors", "service", "contract"), 300.0);
        assert_eq!(sum(&held, OVERFLOW, "service", "contract"), 200.0);
    }

    #[test]
    fn what_is_within_the_bound_is_left_as_it_is() {
        let series: SeriesSet = (0..MAX_VALUES).map(|n| errors("contract", &n.to_string())).collect();
        let mut delta = Delta { series: series.clone(), ..Delta::default() };
        assert_eq!(bound(minute(), &mut delta, &series), 0);
        assert_eq!(delta, Delta { series, ..Delta::default() });
    }
}
