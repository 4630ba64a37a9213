//! From series to the calls of `PutMetricData`, within its limits.
//!
//! Limits (Amazon CloudWatch API reference, PutMetricData, MetricDatum and Dimension): 1,000 metrics and 1 MB a call,
//! 150 distinct values a metric, 30 dimensions, names up to 255 characters and dimension values up to 1,024 of printable
//! ASCII, times from two weeks ago up to two hours ahead, values from -2^360 to 2^360. One metric outside of them has
//! the whole call refused, so what is outside is set apart here, with the reason, before anything is put.
//!
//! The 1 MB are those of the body before it is compressed. The SDK compresses what is over 10 KB, and the reference
//! does not say which size it means.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::metrics::registry::{Kind, Unit};
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet, kind_of, unit_of};
use crate::metrics::sketch::{EXACT, Sketch};
use crate::ports::Object;

/// Metrics a call takes.
pub const MAX_DATA: usize = 1_000;

/// Bytes the metrics of a call may take, by [`Datum::size`]: 1 MB but for a kilobyte, which has room for the namespace
/// and for what frames them.
pub const MAX_BYTES: usize = 1_000_000 - 1_000;

/// How old a minute may be, in minutes: two weeks but for five minutes, in which a sweep has ended or given up.
pub const OLDEST_MINUTES: i64 = 14 * 24 * 60 - 5;

/// How far ahead of its time a minute may be, in minutes.
pub const AHEAD_MINUTES: i64 = 2 * 60;

const MAX_DIMENSIONS: usize = 30;
const MAX_NAME: usize = 255;
const MAX_DIMENSION_VALUE: usize = 1_024;

/// 2^360.
const GREATEST: f64 = 2.348_542_582_773_833_4e108;
/// 2^-360. What is nearer to zero, without being zero, was documented to be refused, and no longer is either way.
const LEAST: f64 = 1.0 / GREATEST;

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
    /// Up to 150 distinct values with their counts: percentiles work, where none is negative.
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

/// Why CloudWatch would not take a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// Before [`OLDEST_MINUTES`].
    #[error("it is older than the two weeks that CloudWatch takes")]
    TooOld,
    /// After [`AHEAD_MINUTES`].
    #[error("it is more than the two hours ahead of its time that CloudWatch takes")]
    Ahead,
    /// The metric's name.
    #[error("its name is not of 1 to 255 printable ASCII characters")]
    Name,
    /// How many dimensions.
    #[error("it has more than 30 dimensions")]
    Dimensions,
    /// A dimension's name.
    #[error("a dimension's name is not of 1 to 255 printable ASCII characters, or begins with a colon")]
    DimensionName,
    /// A dimension's value.
    #[error("a dimension's value is not of 1 to 1,024 printable ASCII characters")]
    DimensionValue,
    /// The values themselves.
    #[error("a value is beyond 2^360, or nearer to zero than 2^-360")]
    Value,
}

/// Metrics that are not put. Rollups have their values all the same, and so have rules, reports and Prometheus: only
/// CloudWatch lacks them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Why, for people.
    pub reason: String,
    /// What was refused.
    pub metrics: Vec<Datum>,
}

/// What is to be put, and what can not be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The calls.
    pub calls: Vec<Vec<Datum>>,
    /// By reason and day.
    pub refused: Vec<Refused>,
}

impl Datum {
    /// How many bytes it takes in the body of a call, or a few more: that is CBOR, in which a number takes 9 and a text
    /// its own length and up to 3.
    pub fn size(&self) -> usize {
        let dimensions: usize = self.dimensions.iter().map(|(name, value)| name.len() + value.len() + 19).sum();
        let values = match &self.values {
            Values::Counts(values) => 20 + values.len() * 18,
            Values::Statistics { .. } => 86,
        };
        72 + self.name.len() + dimensions + values
    }

    /// Why CloudWatch would not take it at `now`, if that can be told.
    fn refusal(&self, now: Minute) -> Option<Refusal> {
        let is_printable = |text: &str, most: usize| {
            (1..=most).contains(&text.len())
                && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
                && text.bytes().any(|byte| byte != b' ')
        };
        let is_value = |value: f64| value == 0.0 || (LEAST..=GREATEST).contains(&value.abs());
        let has_values = match &self.values {
            Values::Counts(values) => values.iter().all(|(value, _)| is_value(*value)),
            Values::Statistics { sum, min, max, .. } => [*sum, *min, *max].into_iter().all(is_value),
        };
        let ahead = self.minute.since(now);
        if ahead < -OLDEST_MINUTES {
            return Some(Refusal::TooOld);
        }
        if ahead > AHEAD_MINUTES {
            return Some(Refusal::Ahead);
        }
        if !is_printable(&self.name, MAX_NAME) {
            return Some(Refusal::Name);
        }
        if self.dimensions.len() > MAX_DIMENSIONS {
            return Some(Refusal::Dimensions);
        }
        if self.dimensions.keys().any(|name| !is_printable(name, MAX_NAME) || name.starts_with(':')) {
            return Some(Refusal::DimensionName);
        }
        if self.dimensions.values().any(|value| !is_printable(value, MAX_DIMENSION_VALUE)) {
            return Some(Refusal::DimensionValue);
        }
        (!has_values).then_some(Refusal::Value)
    }
}

impl Refused {
    /// The object that keeps them, under `quarantine/metrics/`: of the sweep `sweep`, so that what another sweep adds to
    /// the same series lies beside it. The reason is not in the key: CloudWatch words it anew at every try.
    pub fn to_object(&self, sweep: u64) -> Object {
        let content = serde_json::to_vec(&self.metrics).expect("a format of this crate always serialises");
        let id = keys::fingerprint([&sweep.to_be_bytes()[..], &content]);
        let day = self.metrics.first().map(|datum| datum.minute.day());
        Object::json(keys::quarantine("metrics", day.as_deref(), &id), self)
    }
}

/// The calls that put `minutes`, and what CloudWatch would not take at `now`. The series are rolled up by the registry
/// on the way.
pub fn plan<'a>(minutes: impl IntoIterator<Item = (Minute, &'a SeriesSet)>, now: Minute) -> Plan {
    let mut refused: BTreeMap<(Refusal, String), Vec<Datum>> = BTreeMap::new();
    let mut taken = Vec::new();
    for (minute, series) in minutes {
        for (key, aggregate) in series.roll_up().iter() {
            for datum in data(minute, key, aggregate) {
                match datum.refusal(now) {
                    None => taken.push(datum),
                    Some(refusal) => refused.entry((refusal, minute.day())).or_default().push(datum),
                }
            }
        }
    }
    let refused =
        refused.into_iter().map(|((refusal, _), metrics)| Refused { reason: refusal.to_string(), metrics }).collect();
    Plan { calls: packed(taken), refused }
}

/// As few calls as the limits allow, or one more for every fifty.
///
/// Small and large metrics are dealt out evenly: a call full of small ones would use up their number and leave the large
/// ones to calls that are full by their bytes. Dealt in the order of their sizes, two calls differ by one metric at the
/// most, so whatever fits into some number of calls but for that one is done in that number.
fn packed(mut data: Vec<Datum>) -> Vec<Vec<Datum>> {
    let mut count = data.len().div_ceil(MAX_DATA).max(data.iter().map(Datum::size).sum::<usize>().div_ceil(MAX_BYTES));
    if count > 1 {
        data.sort_by_cached_key(|datum| Reverse(datum.size()));
        let sizes: Vec<usize> = data.iter().map(Datum::size).collect();
        // The first is the largest. With as many calls as metrics each has its own, and no metric is near the limit.
        while sizes.iter().step_by(count).sum::<usize>() > MAX_BYTES {
            count += 1;
        }
    }
    let mut calls: Vec<Vec<Datum>> = vec![Vec::new(); count];
    for (at, datum) in data.into_iter().enumerate() {
        calls[at % count].push(datum);
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
    use proptest::prelude::*;

    fn minute() -> Minute {
        "2026-11-21T10:05Z".parse().unwrap()
    }

    fn planned(name: &str, values: impl IntoIterator<Item = f64>) -> Vec<Vec<Datum>> {
        let key = SeriesKey { name: name.to_owned(), dimensions: Dimensions::new() };
        let set: SeriesSet = values.into_iter().map(|value| (key.clone(), Aggregate::of(value, 0))).collect();
        calls_of(&set)
    }

    /// The calls for a set of which nothing is refused.
    fn calls_of(set: &SeriesSet) -> Vec<Vec<Datum>> {
        let Plan { calls, refused } = plan([(minute(), set)], minute());
        assert_eq!(refused, []);
        calls
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
        let calls = calls_of(&set);
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
        let calls = calls_of(&set);
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [850, 850]);
        assert!(calls.iter().all(|call| call.iter().map(Datum::size).sum::<usize>() <= MAX_BYTES));
    }

    fn datum(n: usize, values: usize, dimensions: usize) -> Datum {
        let dimension = |at: usize| (format!("{at:0255}"), format!("{n:01024}"));
        Datum {
            name: n.to_string(),
            dimensions: (0..dimensions).map(dimension).collect(),
            minute: minute(),
            unit: Unit::None,
            values: Values::Counts((0..values).map(|value| (value as f64, 1)).collect()),
        }
    }

    #[test]
    fn small_and_large_metrics_share_calls_so_that_neither_limit_is_wasted() {
        // One after the other, 4,000 small ones would fill 4 calls and 1,500 large ones 5 more.
        let data: Vec<Datum> = (0..5_500).map(|n| datum(n, if n < 4_000 { 1 } else { EXACT }, 0)).collect();
        let bytes: usize = data.iter().map(Datum::size).sum();
        assert_eq!((data.len().div_ceil(MAX_DATA), bytes.div_ceil(MAX_BYTES)), (6, 5));
        assert_eq!(packed(data).len(), 6);
        assert!(packed(Vec::new()).is_empty());
    }

    #[test]
    fn what_cloudwatch_would_not_take_is_set_apart_with_the_reason_and_holds_up_nothing() {
        let series = |name: &str, dimensions: &[(&str, &str)], value: f64| {
            let dimensions = dimensions.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            (SeriesKey { name: name.to_owned(), dimensions }, Aggregate::of(value, 0))
        };
        let long = "x".repeat(1_025);
        let many: Vec<String> = (0..31).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
        let refused = [
            (Refusal::Name, series("", &[], 1.0)),
            (Refusal::Name, series(&long[..256], &[], 1.0)),
            (Refusal::Name, series("имя", &[], 1.0)),
            (Refusal::Name, series("a\nb", &[], 1.0)),
            (Refusal::Dimensions, series("a", &many, 1.0)),
            (Refusal::DimensionName, series("a", &[(":k", "v")], 1.0)),
            (Refusal::DimensionName, series("a", &[("", "v")], 1.0)),
            (Refusal::DimensionName, series("a", &[(&long[..256], "v")], 1.0)),
            (Refusal::DimensionValue, series("a", &[("k", "")], 1.0)),
            (Refusal::DimensionValue, series("a", &[("k", "  ")], 1.0)),
            (Refusal::DimensionValue, series("a", &[("k", "договор")], 1.0)),
            (Refusal::DimensionValue, series("a", &[("k", &long)], 1.0)),
            (Refusal::Value, series("a", &[], GREATEST * 1.01)),
            (Refusal::Value, series("a", &[], -GREATEST * 1.01)),
            (Refusal::Value, series("a", &[], LEAST / 1.01)),
        ];
        let taken = [
            series(&long[..255], &many[..30], GREATEST),
            series("b", &[(&long[..255], &long[..1_024])], -GREATEST),
            series("b", &[("k", "a b")], LEAST),
            series("b", &[], 0.0),
        ];
        for (refusal, series) in refused {
            let name = series.0.name.clone();
            let set: SeriesSet = taken.iter().cloned().chain([series]).collect();
            let plan = plan([(minute(), &set)], minute());
            assert_eq!(plan.calls.iter().flatten().count(), taken.len(), "{refusal}");
            let [told] = &plan.refused[..] else { panic!("{refusal}: {:?}", plan.refused) };
            assert_eq!(
                (told.reason.as_str(), told.metrics[0].name.as_str()),
                (refusal.to_string().as_str(), &name[..])
            );
        }
    }

    #[test]
    fn late_metrics_are_put_within_two_weeks_and_early_ones_within_two_hours() {
        let set: SeriesSet =
            [(SeriesKey { name: "a".to_owned(), dimensions: Dimensions::new() }, Aggregate::of(1.0, 0))]
                .into_iter()
                .collect();
        for (ahead, refusal) in [
            (-14 * 1_440, Some(Refusal::TooOld)),
            (-OLDEST_MINUTES - 1, Some(Refusal::TooOld)),
            (-OLDEST_MINUTES, None),
            (-13 * 1_440, None),
            (0, None),
            (120, None),
            (121, Some(Refusal::Ahead)),
            (5_000_000, Some(Refusal::Ahead)),
        ] {
            let plan = plan([(minute().plus(ahead), &set)], minute());
            let told: Vec<&str> = plan.refused.iter().map(|refused| refused.reason.as_str()).collect();
            assert_eq!(told, refusal.map(|refusal| refusal.to_string()).as_slice(), "{ahead}");
            assert_eq!(plan.calls.len(), usize::from(refusal.is_none()), "{ahead}");
        }
    }

    #[test]
    fn what_is_refused_lies_in_quarantine_by_day_and_of_each_sweep() {
        let refused = Refused { reason: "x".to_owned(), metrics: vec![datum(1, 1, 0)] };
        let object = refused.to_object(7);
        assert!(object.key.starts_with("quarantine/metrics/dt=2026-11-21/"), "{}", object.key);
        assert_eq!(serde_json::from_slice::<Refused>(&object.body).unwrap(), refused);
        assert_eq!(Refused { reason: "in other words".to_owned(), ..refused.clone() }.to_object(7).key, object.key);
        assert_ne!(refused.to_object(8).key, object.key, "another sweep's would replace it");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn calls_keep_the_limits_lose_nothing_and_are_the_fewest_or_one_more(
            sizes in prop::collection::vec((1..EXACT + 1, 0..MAX_DIMENSIONS + 1), 0..400),
            small in 0..3_000usize,
        ) {
            let data: Vec<Datum> = (0..small).map(|n| datum(n, 1, 0))
                .chain(sizes.into_iter().enumerate().map(|(n, (values, dimensions))| datum(n, values, dimensions)))
                .collect();
            let bytes: usize = data.iter().map(Datum::size).sum();
            let fewest = data.len().div_ceil(MAX_DATA).max(bytes.div_ceil(MAX_BYTES));
            let calls = packed(data.clone());
            prop_assert!(calls.len() <= fewest + 1, "{} for {fewest}", calls.len());
            for call in &calls {
                prop_assert!(!call.is_empty() && call.len() <= MAX_DATA);
                prop_assert!(call.iter().map(Datum::size).sum::<usize>() <= MAX_BYTES);
            }
            let sorted = |data: Vec<Datum>| {
                let mut texts: Vec<String> = data.iter().map(|datum| format!("{datum:?}")).collect();
                texts.sort();
                texts
            };
            prop_assert_eq!(sorted(calls.into_iter().flatten().collect()), sorted(data));
        }
    }
}
