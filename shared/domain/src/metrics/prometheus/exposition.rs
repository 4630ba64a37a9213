//! How a metric of the registry looks in Prometheus: units, buckets, labels.

use crate::metrics::registry::{Definition, Kind};
use crate::metrics::series::{Aggregate, Dimensions};

use super::state::Labels;
use super::wire::{MetricMetadata, MetricType};

/// A value in the unit that the family's name says. A scale below one divides, so that 9 ms are 0.009 s to the last
/// bit, which 9 times 0.001 is not.
pub(crate) fn scaled(definition: &Definition, value: f64) -> f64 {
    let scale = definition.prometheus_scale();
    if scale < 1.0 { value / (1.0 / scale) } else { value * scale }
}

/// How many of the values fall into each bucket of the family and not into a lower one, and above the last. A value
/// that the sketch knows within 1 % only is where the sketch has it, but between the least and the greatest.
pub(super) fn bucketed(definition: &Definition, aggregate: &Aggregate) -> Vec<u64> {
    let bounds = definition.buckets();
    let mut counts = vec![0_u64; bounds.len() + 1];
    for (value, count) in aggregate.sketch.points() {
        // Not `clamp`, which panics where an object says that the least is above the greatest.
        let value = scaled(definition, value.max(aggregate.min).min(aggregate.max));
        let bucket = bounds.partition_point(|bound| *bound < value);
        counts[bucket] = counts[bucket].saturating_add(count);
    }
    counts
}

/// Dimensions as labels: names that Prometheus takes, and no empty values, which mean there that the label is missing.
pub(super) fn labels(dimensions: &Dimensions) -> Labels {
    let mut labels = Labels::new();
    for (name, value) in dimensions.iter().filter(|(_, value)| !value.is_empty()) {
        // Two names may become one. Both values are told then, for the series must stay apart.
        let held: &mut String = labels.entry(label_name(name)).or_default();
        if !held.is_empty() {
            held.push(';');
        }
        held.push_str(value);
    }
    labels
}

/// A label's name: letters, digits and `_`, not beginning with a digit, and neither reserved (`__...`) nor a bucket's.
pub(super) fn label_name(name: &str) -> String {
    let mut label: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if label.starts_with(|c: char| c.is_ascii_digit()) || label.is_empty() {
        label.insert(0, '_');
    }
    if label.starts_with("__") || label == "le" {
        label.insert_str(0, "dimension_");
    }
    label
}

/// What a family is, for people who ask Prometheus.
pub(super) fn metadata(definition: &Definition) -> MetricMetadata {
    let family = definition.prometheus_name();
    let unit =
        ["seconds", "bytes", "roubles", "percent"].into_iter().find(|unit| family.ends_with(&format!("_{unit}")));
    let kind = match definition.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram | Kind::Timer => MetricType::Histogram,
    };
    MetricMetadata {
        r#type: kind as i32,
        metric_family_name: family,
        help: definition.help.to_owned(),
        unit: unit.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::registry::find;
    use proptest::prelude::*;

    #[test]
    fn durations_are_seconds_to_the_last_bit() {
        let timer = find("api_request_duration").unwrap();
        for (milliseconds, seconds) in [(9.0, 0.009), (7.0, 0.007), (5.0, 0.005), (250.0, 0.25), (30_000.0, 30.0)] {
            assert_eq!(scaled(timer, milliseconds), seconds);
        }
        assert_eq!(scaled(find("document_size").unwrap(), 2.5), 2_500_000.0);
        assert_eq!(scaled(find("user_session_duration").unwrap(), 2.0), 120.0);
    }

    #[test]
    fn a_bucket_holds_what_is_at_most_its_bound() {
        let timer = find("api_request_duration").unwrap();
        let mut aggregate = Aggregate::of(5.0, 0);
        for milliseconds in [5.0, 5.1, 10.0, 30_000.0, 30_001.0] {
            aggregate.merge(&Aggregate::of(milliseconds, 0));
        }
        let counts = bucketed(timer, &aggregate);
        assert_eq!((counts[0], counts[1], counts[11], counts[12]), (2, 2, 1, 1));
        assert_eq!(counts.len(), timer.buckets().len() + 1);
    }

    #[test]
    fn labels_are_what_prometheus_takes() {
        for (name, label) in [
            ("service", "service"),
            ("status code", "status_code"),
            ("5xx", "_5xx"),
            ("", "_"),
            ("__name__", "dimension___name__"),
            ("le", "dimension_le"),
            ("услуга", "dimension_______"),
        ] {
            assert_eq!(label_name(name), label);
        }
        let dimensions: Dimensions =
            [("a-b", "1"), ("a_b", "2"), ("empty", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(labels(&dimensions), Labels::from([("a_b".to_owned(), "1;2".to_owned())]));
    }

    proptest! {
        #[test]
        fn no_count_is_lost_in_buckets(values in prop::collection::vec(0.01..1e5f64, 1..400)) {
            let mut aggregate = Aggregate::of(values[0], 0);
            for value in &values[1..] {
                aggregate.merge(&Aggregate::of(*value, 0));
            }
            let timer = find("api_request_duration").unwrap();
            let counts = bucketed(timer, &aggregate);
            prop_assert_eq!(counts.iter().sum::<u64>(), values.len() as u64);
            // Within 1 % of a bound a value may lie on either side of it.
            for (at, bound) in timer.buckets().iter().enumerate() {
                let at_most = |limit: f64| values.iter().filter(|value| **value / 1000.0 <= limit).count() as u64;
                let told: u64 = counts[..=at].iter().sum();
                prop_assert!((at_most(bound * 0.985)..=at_most(bound * 1.015)).contains(&told), "{told} to {bound}");
            }
        }
    }
}
