//! The one table of every metric: what it is called, what kind it is, in which unit, with which
//! dimensions, and which dimension sets are put to CloudWatch.
//!
//! CloudWatch does not aggregate custom metrics across dimensions, and charges for each set of
//! dimension values. So the registry says, for each metric, which sets are worth it. Alert rules read
//! the same sets, so a rule means the same here and as a CloudWatch alarm.

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

/// CloudWatch's unit names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// A number of things.
    Count,
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
            Unit::Milliseconds => "Milliseconds",
            Unit::Megabytes => "Megabytes",
            Unit::Bytes => "Bytes",
            Unit::Percent => "Percent",
            Unit::None => "None",
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
    /// How it looks in Prometheus.
    pub exposition: Exposition,
    /// One sentence for people.
    pub help: &'static str,
}

impl Definition {
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

/// A metric of another namespace that rules may read through `GetMetricData`.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What rules call it.
    pub name: &'static str,
    /// CloudWatch namespace.
    pub namespace: &'static str,
    /// CloudWatch metric name.
    pub metric: &'static str,
    /// The one dimension that names the resource.
    pub dimension: &'static str,
    /// One sentence for people.
    pub help: &'static str,
}

/// The foreign metric that rules call `name`.
pub fn find_foreign(name: &str) -> Option<&'static Foreign> {
    FOREIGN.iter().find(|metric| metric.name == name)
}

/// Metrics that AWS emits.
pub const FOREIGN: &[Foreign] = &[Foreign {
    name: "database_connections",
    namespace: "AWS/RDS",
    metric: "DatabaseConnections",
    dimension: "DBInstanceIdentifier",
    help: "Connections open to a database instance.",
}];

const BY_SERVICE: &[&[&str]] = &[&[], &["service"]];

/// As it is called and counted everywhere else.
const AS_IT_IS: Exposition = Exposition { suffix: "", scale: 1.0, buckets: &[] };
const TOTAL: Exposition = Exposition { suffix: "_total", scale: 1.0, buckets: &[] };

/// Milliseconds to seconds.
const fn seconds(buckets: &'static [f64]) -> Exposition {
    Exposition { suffix: "_seconds", scale: 0.001, buckets }
}

/// Requests and calls; 5 s is where an alert begins.
const REQUEST_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const QUERY_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From a function's call to the longest run of one, 15 minutes.
const OPERATION_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];
/// People at work: from half a minute to three days.
const SIGNING_SECONDS: &[f64] = &[30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0, 259_200.0];
const ROUBLES: Exposition =
    Exposition { suffix: "_roubles", scale: 1.0, buckets: &[1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8] };
/// Decimal megabytes to bytes.
const MEGABYTES: Exposition = Exposition {
    suffix: "_bytes",
    scale: 1e6,
    buckets: &[1e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8],
};
/// Minutes to seconds.
const MINUTES: Exposition = Exposition {
    suffix: "_seconds",
    scale: 60.0,
    buckets: &[60.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0],
};
const ROWS: Exposition = Exposition {
    suffix: "",
    scale: 1.0,
    buckets: &[0.0, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 10_000.0, 100_000.0],
};

const fn counter(
    name: &'static str,
    dimensions: &'static [&'static str],
    sets: &'static [&'static [&'static str]],
    help: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Counter, unit: Unit::Count, dimensions, sets, exposition: TOTAL, help }
}

const fn timer(
    name: &'static str,
    buckets: &'static [f64],
    dimensions: &'static [&'static str],
    sets: &'static [&'static [&'static str]],
    help: &'static str,
) -> Definition {
    let exposition = seconds(buckets);
    Definition { name, kind: Kind::Timer, unit: Unit::Milliseconds, dimensions, sets, exposition, help }
}

const fn histogram(
    name: &'static str,
    unit: Unit,
    exposition: Exposition,
    dimensions: &'static [&'static str],
    sets: &'static [&'static [&'static str]],
    help: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Histogram, unit, dimensions, sets, exposition, help }
}

const fn gauge(
    name: &'static str,
    unit: Unit,
    dimensions: &'static [&'static str],
    sets: &'static [&'static [&'static str]],
    help: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Gauge, unit, dimensions, sets, exposition: AS_IT_IS, help }
}

/// Every metric that this system emits.
pub const METRICS: &[Definition] = &[
    // The platform's business.
    counter("user_registrations", &["service", "role"], &[&[], &["service"], &["role"]], "Users who registered."),
    counter("contracts_created", &["service", "role"], &[&[], &["service"], &["role"]], "Contracts created."),
    histogram(
        "contract_value",
        Unit::None,
        ROUBLES,
        &["service", "role"],
        BY_SERVICE,
        "Price in a created contract, in roubles.",
    ),
    counter("contract_creation_errors", &["service", "reason"], BY_SERVICE, "Contracts that could not be created."),
    counter("contracts_signed", &["service", "role"], &[&[], &["service"], &["role"]], "Contracts signed."),
    timer(
        "contract_signing_duration",
        SIGNING_SECONDS,
        &["service", "role"],
        BY_SERVICE,
        "From opening a contract to its signature.",
    ),
    counter("documents_uploaded", &["service", "type"], &[&[], &["service"], &["type"]], "Documents uploaded."),
    histogram(
        "document_size",
        Unit::Megabytes,
        MEGABYTES,
        &["service", "type"],
        BY_SERVICE,
        "Size of an uploaded document.",
    ),
    histogram(
        "user_session_duration",
        Unit::None,
        MINUTES,
        &["service"],
        BY_SERVICE,
        "Length of a user session, in minutes.",
    ),
    gauge("active_users", Unit::Count, &[], &[&[]], "Users active now."),
    gauge("daily_contracts", Unit::Count, &[], &[&[]], "Contracts created since midnight."),
    gauge("conversion_rate", Unit::Percent, &[], &[&[]], "Visitors who end up with a contract."),
    // Its requests and queries.
    counter(
        "api_requests",
        &["service", "endpoint", "method", "status_code"],
        &[&[], &["service"], &["status_code"], &["service", "status_code"]],
        "Requests that a service answered.",
    ),
    timer(
        "api_request_duration",
        REQUEST_SECONDS,
        &["service", "endpoint", "method"],
        &[&[], &["service"], &["service", "endpoint"]],
        "Time to answer a request.",
    ),
    timer(
        "database_query_duration",
        QUERY_SECONDS,
        &["service", "query_type", "table"],
        &[&[], &["service"], &["service", "table"]],
        "Time of a database query.",
    ),
    histogram(
        "database_rows_affected",
        Unit::Count,
        ROWS,
        &["service", "query_type", "table"],
        BY_SERVICE,
        "Rows that a query returned or changed.",
    ),
    counter(
        "external_api_calls",
        &["service", "external_service", "endpoint", "status_code"],
        &[&[], &["service"], &["external_service", "status_code"]],
        "Calls to services outside the platform.",
    ),
    timer(
        "external_api_duration",
        REQUEST_SECONDS,
        &["service", "external_service", "endpoint"],
        &[&[], &["service"], &["external_service"]],
        "Time of a call to a service outside the platform.",
    ),
    gauge("cpu_usage_percent", Unit::Percent, &["service"], BY_SERVICE, "CPU in use."),
    gauge("memory_usage_percent", Unit::Percent, &["service"], BY_SERVICE, "Memory in use."),
    gauge("disk_usage_percent", Unit::Percent, &["service"], BY_SERVICE, "Disk in use."),
    counter(
        "operations",
        &["service", "operation", "status"],
        &[&[], &["service"], &["status"], &["service", "operation"]],
        "Operations that functions and jobs ended, by how: ok, error, timeout, cancelled.",
    ),
    timer(
        "operation_duration",
        OPERATION_SECONDS,
        &["service", "operation"],
        &[&[], &["service"], &["service", "operation"]],
        "Time of an operation, also of one that failed.",
    ),
    // Its logs.
    counter(
        "log_entries",
        &["service", "level"],
        &[&[], &["service"], &["level"], &["service", "level"]],
        "Log lines archived.",
    ),
    counter("performance_issues", &["service"], BY_SERVICE, "Log lines whose duration is over 5 s."),
    counter(
        "security_events",
        &["service", "event_type"],
        &[&[], &["service"], &["event_type"]],
        "Security events, failed logins among them.",
    ),
    // The library that services log and measure with.
    counter("telemetry_lines_dropped", &["service"], BY_SERVICE, "Lines that a full buffer had no room for."),
    counter("telemetry_series_overflow", &["service"], BY_SERVICE, "Points whose dimensions were folded into `other`."),
    counter("telemetry_values_refused", &["service"], BY_SERVICE, "Values that no metric can hold, left out."),
    // The pipeline itself. Received = archived + quarantined + filtered, for each batch.
    counter("pipeline_lines_received", &["service"], BY_SERVICE, "Log lines delivered to the log processor."),
    counter("pipeline_lines_archived", &["service"], BY_SERVICE, "Log lines written to the archive."),
    counter("pipeline_lines_quarantined", &["service"], BY_SERVICE, "Log lines that could not be read, kept aside."),
    counter("pipeline_lines_filtered", &["service"], BY_SERVICE, "Log lines kept out of the archive on purpose."),
    counter("pipeline_lines_replayed", &["service"], BY_SERVICE, "Log lines archived later, from quarantine."),
    counter("pipeline_bytes_received", &["service"], BY_SERVICE, "Bytes of log messages delivered."),
    counter(
        "pipeline_values_refused",
        &["service"],
        BY_SERVICE,
        "Values left out: too large for any metric, or of no metric that a line may bring along.",
    ),
    counter("pipeline_series_overflow", &["service"], BY_SERVICE, "Points whose dimensions were folded into `other`."),
];

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
    fn every_metric_is_put_without_dimensions_and_by_sets_of_its_own() {
        for metric in METRICS {
            // Defect 8: a rule without dimensions has to find a series without dimensions.
            assert!(metric.has_set(&[]), "{} has no roll-up without dimensions", metric.name);
            for set in metric.sets {
                for name in *set {
                    assert!(metric.dimensions.contains(name), "{} has no dimension {name}", metric.name);
                }
            }
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
