//! The one table of every metric: what it is called, what kind it is, in which unit, with which
//! dimensions, and which dimension sets are put to CloudWatch.
//!
//! CloudWatch does not aggregate custom metrics across dimensions, and charges for each set of
//! dimension values. So the registry says, for each metric, which sets are worth it. Alert rules read
//! the same sets, so a rule means the same here and as a CloudWatch alarm.

mod table;

pub use table::{FOREIGN, METRICS};

use serde::{Deserialize, Serialize};

/// How values of a metric behave over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Increments; only the sum has a meaning.
    Counter,
    /// A level; the last value is the current one.
    Gauge,
    /// A distribution.
    Histogram,
    /// A distribution of durations.
    Timer,
}

impl Kind {
    /// The word for it in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Timer => "timer",
        }
    }
}

/// CloudWatch's unit names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Megabytes.
    Megabytes,
    /// Bytes.
    Bytes,
    /// Percent, 0 to 100.
    Percent,
    /// Without a unit CloudWatch knows (money, minutes).
    None,
}

impl Unit {
    /// The name CloudWatch takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Seconds => "Seconds",
            Unit::Milliseconds => "Milliseconds",
            Unit::Megabytes => "Megabytes",
            Unit::Bytes => "Bytes",
            Unit::Percent => "Percent",
            Unit::None => "None",
        }
    }
}

/// Who counts a metric, and so which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The platform's services: their records tell it, or lines that bring it along. By pending metrics it comes to
    /// rollups, which rules and the report read, to CloudWatch and to Prometheus.
    Services,
    /// The library that Rust services log with, about itself. It goes the same way.
    Library,
    /// The pipeline, of the lines that pass it. It goes the same way, and no line may bring it along.
    Pipeline,
    /// A function of the pipeline, about its own runs: CloudWatch extracts it from the function's own log, which
    /// nothing else reads. So it is in CloudWatch only, for alarms and dashboards.
    Functions,
}

impl Source {
    /// Whether lines of services may bring it along.
    pub fn is_told_by_lines(self) -> bool {
        matches!(self, Source::Services | Source::Library)
    }

    /// The word for it in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Services => "services",
            Source::Library => "library",
            Source::Pipeline => "pipeline",
            Source::Functions => "functions",
        }
    }
}

/// How a metric looks in Prometheus, whose units are seconds and bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposition {
    /// What the family is called after the metric's name.
    suffix: &'static str,
    /// What a value is multiplied by.
    scale: f64,
    /// Upper bounds of the classic histogram, after scaling.
    buckets: &'static [f64],
}

/// One entry of the registry.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// Name, in CloudWatch and everywhere else.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// Unit of its values.
    pub unit: Unit,
    /// Every dimension that a point carries. Rollups keep them all.
    pub dimensions: &'static [&'static str],
    /// The dimension sets put to CloudWatch and kept for alert rules.
    pub sets: &'static [&'static [&'static str]],
    /// Who counts it.
    pub source: Source,
    /// How it looks in Prometheus.
    pub exposition: Exposition,
    /// One sentence for people.
    pub help: &'static str,
}

impl Definition {
    /// Whether its points are in the rollups, which rules and the report read, and in Prometheus.
    pub fn is_rolled_up(&self) -> bool {
        self.source != Source::Functions
    }

    /// The family's name in Prometheus: `api_requests_total`, `api_request_duration_seconds`. A histogram's
    /// series are this name with `_bucket`, `_sum` and `_count`.
    pub fn prometheus_name(&self) -> String {
        format!("{}{}", self.name, self.exposition.suffix)
    }

    /// What a value is multiplied by to be in the unit that Prometheus' name says.
    pub fn prometheus_scale(&self) -> f64 {
        self.exposition.scale
    }

    /// The upper bounds of its classic histogram, ascending and in the unit of the name, without `+Inf`.
    /// Counters and gauges have none.
    pub fn buckets(&self) -> &'static [f64] {
        self.exposition.buckets
    }

    /// The set put to CloudWatch that has exactly these dimensions, in any order.
    pub fn has_set(&self, dimensions: &[&str]) -> bool {
        self.sets.iter().any(|set| set.len() == dimensions.len() && set.iter().all(|name| dimensions.contains(name)))
    }
}

/// The entry called `name`.
pub fn find(name: &str) -> Option<&'static Definition> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// A metric that a service of AWS emits in a namespace of its own: rules read it through `GetMetricData`, alarms of
/// the template and dashboards as it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What rules call it.
    pub name: &'static str,
    /// CloudWatch namespace.
    pub namespace: &'static str,
    /// CloudWatch metric name.
    pub metric: &'static str,
    /// How its values behave, and so which statistics mean something.
    pub kind: Kind,
    /// Unit of its values.
    pub unit: Unit,
    /// The one dimension that names the resource.
    pub dimension: &'static str,
    /// One sentence for people.
    pub help: &'static str,
}

/// The foreign metric that rules call `name`.
pub fn find_foreign(name: &str) -> Option<&'static Foreign> {
    FOREIGN.iter().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_say_duration_once() {
        let names: BTreeSet<_> = METRICS.iter().map(|m| m.name).chain(FOREIGN.iter().map(|m| m.name)).collect();
        assert_eq!(names.len(), METRICS.len() + FOREIGN.len());
        // Defect 9 of the source document: its timers added a second `_duration`.
        assert!(names.iter().all(|name| name.matches("_duration").count() <= 1));
    }

    #[test]
    fn every_metric_of_rules_is_put_without_dimensions_and_by_sets_of_its_own() {
        for metric in METRICS {
            // Defect 8: a rule without dimensions has to find a series without dimensions.
            assert_eq!(metric.has_set(&[]), metric.is_rolled_up(), "{}: roll-up without dimensions", metric.name);
            assert!(!metric.sets.is_empty(), "{} is put nowhere", metric.name);
            for set in metric.sets {
                for name in *set {
                    assert!(metric.dimensions.contains(name), "{} has no dimension {name}", metric.name);
                }
            }
        }
    }

    #[test]
    fn counters_of_bytes_say_so() {
        for metric in METRICS.iter().filter(|metric| metric.kind == Kind::Counter) {
            let unit = if metric.name.contains("_bytes") { Unit::Bytes } else { Unit::Count };
            assert_eq!(metric.unit, unit, "{}", metric.name);
        }
    }

    #[test]
    fn prometheus_names_are_unique_and_in_base_units() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            let name = metric.prometheus_name();
            match metric.kind {
                Kind::Counter => assert!(name.ends_with("_total"), "{name}"),
                Kind::Timer => assert!(name.ends_with("_seconds") && metric.prometheus_scale() == 0.001, "{name}"),
                Kind::Histogram | Kind::Gauge => {}
            }
            assert_eq!(metric.buckets().is_empty(), matches!(metric.kind, Kind::Counter | Kind::Gauge), "{name}");
            assert!(metric.buckets().windows(2).all(|pair| pair[0] < pair[1]), "{name}");
            assert!(metric.buckets().iter().all(|bound| bound.is_finite()), "{name}");
            assert!(names.insert(name));
        }
        // The source document's panels name these, and nothing else that we count.
        for name in [
            "api_requests_total",
            "api_request_duration_seconds",
            "active_users",
            "contracts_created_total",
            "database_query_duration_seconds",
        ] {
            assert!(names.contains(name), "{name}");
        }
        let size = find("document_size").unwrap();
        assert_eq!((size.prometheus_name().as_str(), size.prometheus_scale()), ("document_size_bytes", 1e6));
        let session = find("user_session_duration").unwrap();
        assert_eq!(
            (session.prometheus_name().as_str(), session.prometheus_scale()),
            ("user_session_duration_seconds", 60.0)
        );
    }

    #[test]
    fn every_metric_of_the_source_document_is_here() {
        for name in [
            "user_registrations",
            "contracts_created",
            "contract_value",
            "contracts_signed",
            "contract_signing_duration",
            "documents_uploaded",
            "document_size",
            "api_requests",
            "api_request_duration",
            "database_query_duration",
            "database_rows_affected",
            "external_api_calls",
            "external_api_duration",
            "user_session_duration",
            "cpu_usage_percent",
            "memory_usage_percent",
            "disk_usage_percent",
            "active_users",
            "daily_contracts",
            "conversion_rate",
            "contract_creation_errors",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
        assert!(find_foreign("database_connections").is_some());
    }
}
