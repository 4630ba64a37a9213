//! Metrics as members of a log line, in CloudWatch's embedded metric format.
//!
//! A line has one value for each dimension, so metrics share a line where their dimensions agree. What a line may
//! hold: 100 metrics, 100 values for each, and no more bytes than log drivers leave in one piece.

use std::collections::BTreeMap;

use super::distribution::{Bin, Bins, EXACT};
use super::series::{Dimension, Series, Value};
use super::store::Taken;
use crate::json;

/// Metrics of a line at most.
const MAX_METRICS: usize = 100;

/// Bytes that the members of a line of metrics may take. Log drivers cut at 16 KiB, and CloudWatch reads no metrics
/// from pieces.
const MAX_BYTES: usize = 15_000;

/// Who measures, and where CloudWatch puts it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The value of the dimension `service`, as CloudWatch takes it.
    pub service: &'a str,
    pub namespace: &'a str,
}

/// The metrics of one line.
pub(crate) struct Members<'a> {
    origin: Origin<'a>,
    dimensions: Vec<(&'a str, &'a str)>,
    metrics: Vec<&'a Series>,
    /// The members of the metrics' values.
    values: Vec<u8>,
    bytes: usize,
}

impl<'a> Members<'a> {
    pub(crate) fn new(origin: Origin<'a>) -> Members<'a> {
        Members {
            origin,
            dimensions: Vec::with_capacity(8),
            metrics: Vec::with_capacity(4),
            values: Vec::with_capacity(128),
            bytes: 0,
        }
    }

    /// Adds a metric; `false` where it does not go into this line.
    pub(crate) fn add(&mut self, series: &'a Series, value: &Value) -> bool {
        let name = series.metric.name.as_str();
        let disagrees = |(name, value): &Dimension| {
            let value = value.as_deref().unwrap_or(self.origin.service);
            let other_value = self.dimensions.iter().any(|(known, given)| known == name && *given != value);
            other_value || self.metrics.iter().any(|series| series.metric.name == *name)
        };
        if self.metrics.len() == MAX_METRICS
            || self.metrics.iter().any(|series| series.metric.name == name)
            || self.dimensions.iter().any(|(known, _)| *known == name)
            || series.dimensions.iter().any(disagrees)
        {
            return false;
        }
        let values = self.values.len();
        member(&mut self.values, name);
        render(&mut self.values, value);
        // Its member, its name and unit; and where it is the first of its kind, its sets.
        let bytes = self.bytes + (self.values.len() - values) + series.metric.entry_json.len() + 200;
        if bytes > MAX_BYTES && !self.metrics.is_empty() {
            self.values.truncate(values);
            return false;
        }
        self.bytes = bytes;
        for (name, value) in &series.dimensions {
            if !self.dimensions.iter().any(|(known, _)| known == name) {
                self.dimensions.push((name, value.as_deref().unwrap_or(self.origin.service)));
            }
        }
        self.metrics.push(series);
        true
    }

    /// Writes them as members of an object that has others before, so beginning with a comma.
    pub(crate) fn write(&self, at_millis: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"_aws\":{\"Timestamp\":");
        plain(out, at_millis);
        out.extend_from_slice(b",\"CloudWatchMetrics\":[");
        for (at, series) in self.metrics.iter().enumerate() {
            let sets = series.metric.sets;
            if self.metrics[..at].iter().any(|before| before.metric.sets == sets) {
                continue;
            }
            out.extend_from_slice(if at == 0 { b"{\"Namespace\":" } else { b",{\"Namespace\":" });
            text(out, self.origin.namespace);
            out.extend_from_slice(b",\"Dimensions\":");
            out.extend_from_slice(series.metric.sets_json.as_bytes());
            out.extend_from_slice(b",\"Metrics\":[");
            out.extend_from_slice(series.metric.entry_json.as_bytes());
            for same in self.metrics[at + 1..].iter().filter(|later| later.metric.sets == sets) {
                out.push(b',');
                out.extend_from_slice(same.metric.entry_json.as_bytes());
            }
            out.extend_from_slice(b"]}");
        }
        out.extend_from_slice(b"]}");
        for (name, value) in &self.dimensions {
            member(out, name);
            text(out, value);
        }
        out.extend_from_slice(&self.values);
    }
}

/// What was taken, in as few lines as hold it: the members of each and what it tells.
pub(crate) fn lines(mut taken: Vec<Taken>, at_millis: i64, origin: Origin<'_>) -> Vec<(Vec<u8>, Vec<Taken>)> {
    // Lines come in an order that does not depend on chance.
    taken.sort_by(|left, right| left.series.metric.name.cmp(&right.series.metric.name));
    let mut by_dimensions: BTreeMap<Vec<Dimension>, Vec<Taken>> = BTreeMap::new();
    for one in taken {
        by_dimensions.entry(one.series.dimensions.clone()).or_default().push(one);
    }
    let mut lines = Vec::new();
    for mut rest in by_dimensions.into_values() {
        while !rest.is_empty() {
            let mut members = Members::new(origin);
            let goes_in: Vec<bool> = rest.iter().map(|one| members.add(&one.series, &one.value)).collect();
            let mut line = Vec::new();
            members.write(at_millis, &mut line);
            let mut goes_in = goes_in.into_iter();
            // The first always goes in, so this comes to an end.
            let (told, later) = rest.into_iter().partition(|_| goes_in.next() == Some(true));
            lines.push((line, told));
            rest = later;
        }
    }
    lines
}

/// A number, an array of up to 100 values, or values with their counts.
fn render(out: &mut Vec<u8>, value: &Value) {
    let bins = match value {
        Value::Number(value) => return number(out, *value),
        Value::Bins(bins) => bins,
    };
    match bins.bins[..] {
        [Bin { value, count: 1 }] => number(out, value),
        _ if bins.count() <= EXACT as u64 => {
            list(out, bins.bins.iter().flat_map(|bin| (0..bin.count).map(|_| bin.value)));
        }
        _ => aggregate(out, bins),
    }
}

fn aggregate(out: &mut Vec<u8>, bins: &Bins) {
    out.extend_from_slice(b"{\"Values\":");
    list(out, bins.bins.iter().map(|bin| bin.value));
    out.extend_from_slice(b",\"Counts\":");
    list(out, bins.bins.iter().map(|bin| bin.count as f64));
    for (name, value) in [("Max", bins.max), ("Min", bins.min), ("Count", bins.count() as f64), ("Sum", bins.sum())] {
        member(out, name);
        number(out, value);
    }
    out.push(b'}');
}

fn list(out: &mut Vec<u8>, values: impl Iterator<Item = f64>) {
    out.push(b'[');
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        number(out, value);
    }
    out.push(b']');
}

/// A finite number, without a fraction where it has none.
fn number(out: &mut Vec<u8>, value: f64) {
    const WHOLE: f64 = (1u64 << 53) as f64;
    if value.fract() == 0.0 && value.abs() <= WHOLE { plain(out, value as i64) } else { plain(out, value) }
}

fn member(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    text(out, name);
    out.push(b':');
}

/// A text of printable ASCII, as all names and values of dimensions are; a namespace may be another.
fn text(out: &mut Vec<u8>, text: &str) {
    json::text(out, text);
}

/// A number.
fn plain<T: serde::Serialize>(out: &mut Vec<u8>, value: T) {
    // Numbers always serialise, and a vector takes everything.
    let _ = serde_json::to_writer(out, &value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::series::Kind;
    use crate::metrics::store::Store;
    use proptest::prelude::*;
    use serde_json::{Map, Value as Json, json as value};
    use std::collections::BTreeMap;

    const AT: i64 = 1_795_000_000_000;
    const ORIGIN: Origin<'_> = Origin { service: "contract", namespace: "LandContracts" };

    fn record(store: &Store, kind: Kind, name: &str, labels: &[(&str, &str)], of: f64) {
        store.with(kind, name, labels.iter().copied(), |handle| handle.record(of, 1));
    }

    fn parsed(members: &[u8]) -> Json {
        serde_json::from_str(&format!("{{\"level\":\"INFO\"{}}}", std::str::from_utf8(members).unwrap())).unwrap()
    }

    fn flushed(store: &Store) -> Vec<Json> {
        lines(store.take(true), AT, ORIGIN).iter().map(|(line, _)| parsed(line)).collect()
    }

    #[test]
    fn metrics_with_the_same_dimensions_are_one_line_with_the_sets_of_the_registry() {
        let store = Store::default();
        record(&store, Kind::Counter, "contracts_created", &[("role", "seller")], 2.0);
        for price in [3e6, 2.5e6, 3e6] {
            record(&store, Kind::Distribution, "contract_value", &[("role", "seller")], price);
        }
        let expected = value!({
            "level": "INFO",
            "_aws": { "Timestamp": AT, "CloudWatchMetrics": [
                { "Namespace": "LandContracts", "Dimensions": [[], ["service"]],
                  "Metrics": [{ "Name": "contract_value", "Unit": "None" }] },
                { "Namespace": "LandContracts", "Dimensions": [[], ["service"], ["role"]],
                  "Metrics": [{ "Name": "contracts_created", "Unit": "Count" }] },
            ] },
            "service": "contract",
            "role": "seller",
            "contract_value": [2_500_000, 3_000_000, 3_000_000],
            "contracts_created": 2,
        });
        assert_eq!(flushed(&store), [expected]);
    }

    #[test]
    fn values_beyond_a_hundred_are_told_with_their_counts() {
        let store = Store::default();
        (0..300).for_each(|n| record(&store, Kind::Distribution, "user_session_duration", &[], f64::from(n % 3) + 0.5));
        let line = &flushed(&store)[0];
        let expected = value!({
            "Values": [0.5, 1.5, 2.5], "Counts": [100, 100, 100], "Max": 2.5, "Min": 0.5, "Count": 300, "Sum": 450,
        });
        assert_eq!(line["user_session_duration"], expected);
    }

    #[test]
    fn the_metrics_of_a_call_share_its_line_where_their_dimensions_agree() {
        let store = Store::default();
        record(&store, Kind::Counter, "api_requests", &[("endpoint", "/a"), ("status_code", "200")], 1.0);
        record(&store, Kind::Distribution, "api_request_duration", &[("endpoint", "/a")], 12.5);
        record(&store, Kind::Distribution, "external_api_duration", &[("endpoint", "/b")], 1.0);
        let taken = store.take(false);
        let named = |name: &str| taken.iter().find(|one| one.series.metric.name == name).unwrap();
        let mut members = Members::new(ORIGIN);
        for (name, fits) in [
            ("api_requests", true),
            ("api_request_duration", true),
            ("external_api_duration", false),
            ("api_requests", false),
        ] {
            assert_eq!(members.add(&named(name).series, &named(name).value), fits, "{name}");
        }
        let mut out = Vec::new();
        members.write(AT, &mut out);
        let line = parsed(&out);
        assert_eq!((&line["api_requests"], &line["api_request_duration"]), (&value!(1), &value!(12.5)));
        assert_eq!(line["_aws"]["CloudWatchMetrics"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_metric_called_as_a_dimension_or_a_field_keeps_out_of_its_way() {
        // Defect 41: a dimension called `name` or `value` took the metric's own.
        let store = Store::default();
        for name in ["service", "level", "region", "_aws"] {
            record(&store, Kind::Counter, name, &[("region", "77"), ("message", "m")], 1.0);
        }
        for line in flushed(&store) {
            assert_eq!((&line["service"], &line["level"]), (&value!("contract"), &value!("INFO")), "{line}");
            check(&line);
        }
    }

    /// Checks a line against the published limits, and gives what it says: metric, dimensions, count and sum.
    fn check(line: &Json) -> Vec<(String, Map<String, Json>, f64, f64)> {
        assert!(line.to_string().len() < 16_000);
        assert!(line["_aws"]["Timestamp"].is_i64());
        let mut told = Vec::new();
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            let metrics = directive["Metrics"].as_array().unwrap();
            assert!((1..=100).contains(&metrics.len()));
            for name in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap()) {
                let text = line[name.as_str().unwrap()].as_str().unwrap();
                assert!((1..=1024).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
            for metric in metrics {
                let name = metric["Name"].as_str().unwrap().to_owned();
                let dimensions: Map<String, Json> = line
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(name, value)| value.is_string() && *name != "level")
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                let numbers = |values: &Json| -> Vec<f64> {
                    let values: Vec<f64> = values.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
                    assert!((1..=100).contains(&values.len()));
                    values
                };
                let (count, sum) = match &line[&name] {
                    Json::Number(number) => (1.0, number.as_f64().unwrap()),
                    list @ Json::Array(_) => (numbers(list).len() as f64, numbers(list).iter().sum()),
                    object => {
                        let (values, counts) = (numbers(&object["Values"]), numbers(&object["Counts"]));
                        assert_eq!(values.len(), counts.len());
                        assert!(
                            object["Min"].as_f64() <= Some(values[0])
                                && object["Max"].as_f64() >= values.last().copied()
                        );
                        let sum: f64 = values.iter().zip(&counts).map(|(value, count)| value * count).sum();
                        assert_eq!(object["Count"].as_f64(), Some(counts.iter().sum()));
                        assert!((object["Sum"].as_f64().unwrap() - sum).abs() <= 1e-9 * sum.abs().max(1.0));
                        (counts.iter().sum(), sum)
                    }
                };
                told.push((name, dimensions, count, sum));
            }
        }
        told
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_line_keeps_the_limits_and_all_of_them_say_what_was_recorded(
            calls in prop::collection::vec(
                (0..6usize, prop::collection::vec(("[a-c]|service|level|\\PC{0,3}", "[xy]|\\PC{0,9}"), 0..4), 0..5_000u32),
                1..200,
            ),
        ) {
            let store = Store::default();
            let mut recorded: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
            for (which, labels, value) in &calls {
                let (kind, name) = [
                    (Kind::Counter, "contracts_created"), (Kind::Distribution, "contract_value"), (Kind::Counter, "own"),
                    (Kind::Distribution, "own"), (Kind::Distribution, "api_request_duration"), (Kind::Counter, "level"),
                ][*which];
                let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                record(&store, kind, name, &labels, f64::from(*value) / 4.0);
                let entry = recorded.entry(name).or_default();
                entry.0 += f64::from(kind == Kind::Distribution);
                entry.1 += f64::from(*value) / 4.0;
            }
            let mut told: BTreeMap<String, (f64, f64)> = BTreeMap::new();
            for (name, dimensions, count, sum) in flushed(&store).iter().flat_map(check) {
                prop_assert_eq!(&dimensions["service"].is_string(), &true);
                let entry = told.entry(name).or_default();
                entry.0 += count;
                entry.1 += sum;
            }
            for (name, (count, sum)) in recorded {
                let known = told.get(if name == "level" { "level_" } else { name }).copied().unwrap_or_default();
                prop_assert!((known.1 - sum).abs() < 1e-6, "{name}: {} for {sum}", known.1);
                if matches!(name, "contract_value" | "api_request_duration") {
                    prop_assert_eq!(known.0, count);
                }
            }
            prop_assert!(flushed(&store).is_empty());
        }
    }
}
