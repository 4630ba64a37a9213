//! From series to the calls of `PutMetricData`, within its limits.
//!
//! Limits (Amazon CloudWatch API reference, PutMetricData): 1,000 metrics a call, 1 MB a call, 150
//! distinct values a metric, 30 dimensions, names and values up to 1,024 bytes of ASCII.

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::metrics::registry::{Kind, Unit};
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet, kind_of, unit_of};
use crate::metrics::sketch::{EXACT, Sketch};

/// Metrics a call takes.
pub const MAX_DATA: usize = 1_000;

/// Bytes a call takes, by [`Datum::size`], with a margin to the limit of 1 MB: gzip is not counted on.
pub const MAX_BYTES: usize = 900_000;

/// One metric of a call: some values of a series in one minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datum {
    /// Metric name.
    pub name: String,
    /// Dimensions, none of them empty.
    pub dimensions: Dimensions,
    /// Event minute.
    pub minute: Minute,
    /// Unit of the values.
    pub unit: Unit,
    /// What is put.
    pub values: Values,
}

/// The two ways CloudWatch takes more than one value at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Up to 150 distinct values with their counts: percentiles work.
    Counts(Vec<(f64, u64)>),
    /// Sum and bounds, exact, but without percentiles.
    Statistics {
        /// How many values.
        count: u64,
        /// Their sum.
        sum: f64,
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
}

impl Datum {
    /// About how many bytes it takes in a call, never less.
    pub fn size(&self) -> usize {
        let dimensions: usize = self.dimensions.iter().map(|(name, value)| name.len() + value.len() + 40).sum();
        let values = match &self.values {
            Values::Counts(values) => values.len() * 40,
            Values::Statistics { .. } => 160,
        };
        160 + self.name.len() + dimensions + values
    }
}

/// The calls that put `minutes`: as few as the limits allow, in a stable order. The series are rolled
/// up by the registry on the way.
pub fn plan<'a>(minutes: impl IntoIterator<Item = (Minute, &'a SeriesSet)>) -> Vec<Vec<Datum>> {
    let mut calls: Vec<Vec<Datum>> = Vec::new();
    let mut room = 0;
    for (minute, series) in minutes {
        for (key, aggregate) in series.roll_up().iter() {
            for datum in data(minute, key, aggregate) {
                let size = datum.size();
                match calls.last_mut() {
                    Some(call) if call.len() < MAX_DATA && size <= room => {
                        call.push(datum);
                        room -= size;
                    }
                    _ => {
                        calls.push(vec![datum]);
                        room = MAX_BYTES - size;
                    }
                }
            }
        }
    }
    calls
}

fn data(minute: Minute, key: &SeriesKey, held: &Aggregate) -> Vec<Datum> {
    let datum = |values| Datum {
        name: key.name.clone(),
        dimensions: key.dimensions.clone(),
        minute,
        unit: unit_of(&key.name),
        values,
    };
    // A counter's sum has to be exact; its percentiles mean nothing. Values are not exact in buckets, nor where only
    // their number and sum came.
    let is_exact = || match &held.sketch {
        Sketch::Buckets(_) => false,
        Sketch::Values(values) => {
            values.iter().map(|(value, count)| value * *count as f64).sum::<f64>() == held.sum
                && values.first().is_some_and(|(least, _)| *least == held.min)
                && values.last().is_some_and(|(greatest, _)| *greatest == held.max)
        }
    };
    if kind_of(&key.name) == Kind::Counter && !is_exact() {
        return vec![datum(Values::Statistics { count: held.count, sum: held.sum, min: held.min, max: held.max })];
    }
    held.sketch.points().chunks(EXACT).map(|values| datum(Values::Counts(values.to_vec()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute() -> Minute {
        "2026-11-21T10:05Z".parse().unwrap()
    }

    fn planned(name: &str, values: impl IntoIterator<Item = f64>) -> Vec<Vec<Datum>> {
        let key = SeriesKey { name: name.to_owned(), dimensions: Dimensions::new() };
        let set: SeriesSet = values.into_iter().map(|value| (key.clone(), Aggregate::of(value, 0))).collect();
        plan([(minute(), &set)])
    }

    #[test]
    fn values_keep_their_minute_and_their_counts() {
        // Defect 39: several values lost their timestamp and their percentiles.
        let calls = planned("active_users", [5.0, 7.0, 5.0]);
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0][0].minute, minute());
        assert_eq!(calls[0][0].values, Values::Counts(vec![(5.0, 2), (7.0, 1)]));
    }

    #[test]
    fn more_values_than_a_metric_takes_go_out_as_several() {
        let calls = planned("contract_value", (1..=1_000).map(|v| f64::from(v) * 1_000.0));
        let counts: u64 = calls[0]
            .iter()
            .map(|datum| match &datum.values {
                Values::Counts(values) => {
                    assert!(values.len() <= EXACT);
                    values.iter().map(|v| v.1).sum::<u64>()
                }
                Values::Statistics { .. } => panic!("a distribution is put with its values"),
            })
            .sum();
        assert_eq!(counts, 1_000);
        assert!(calls[0].len() > 1);
    }

    #[test]
    fn a_counter_keeps_its_exact_sum() {
        let calls = planned("daily_contracts", [1.0]);
        assert_eq!(calls[0][0].values, Values::Counts(vec![(1.0, 1)]));
        let calls = planned("pipeline_bytes_received", (0..1_000).map(|v| f64::from(v) + 0.5));
        assert_eq!(calls[0][0].values, Values::Statistics { count: 1_000, sum: 500_000.0, min: 0.5, max: 999.5 });
    }

    #[test]
    fn a_counter_of_which_only_number_and_sum_came_keeps_these() {
        let key = SeriesKey { name: "contracts_created".to_owned(), dimensions: Dimensions::new() };
        let told =
            Aggregate { count: 3, sum: 10.0, min: 1.0, max: 7.0, last: (0, 7.0), sketch: Sketch::of(10.0 / 3.0, 3) };
        let set = SeriesSet::from_iter([(key.clone(), told), (key, Aggregate::of(2.0, 0))]);
        let calls = plan([(minute(), &set)]);
        assert_eq!(calls[0][0].values, Values::Statistics { count: 4, sum: 12.0, min: 1.0, max: 7.0 });
    }

    #[test]
    fn many_series_are_put_in_the_fewest_calls() {
        // Defect 40: a call for every series.
        let set: SeriesSet = (0..1_700)
            .map(|n| {
                let dimensions = Dimensions::from([("n".to_owned(), n.to_string())]);
                (SeriesKey { name: "unregistered".to_owned(), dimensions }, Aggregate::of(1.0, 0))
            })
            .collect();
        let calls = plan([(minute(), &set)]);
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 700]);
        assert!(calls.iter().all(|call| call.iter().map(Datum::size).sum::<usize>() <= MAX_BYTES));
    }
}
