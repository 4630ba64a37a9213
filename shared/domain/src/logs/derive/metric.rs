//! The metrics that lines speak of, each known by its place in the registry.

use crate::metrics::registry::{Definition, METRICS};

/// A metric of the registry. One byte, so that a series is known by a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Metric(u8);

// Looked up when this is compiled: a name that is not in the registry does not compile.
pub(super) const LOG_ENTRIES: Metric = named("log_entries");
pub(super) const PERFORMANCE_ISSUES: Metric = named("performance_issues");
pub(super) const API_REQUESTS: Metric = named("api_requests");
pub(super) const API_REQUEST_DURATION: Metric = named("api_request_duration");
pub(super) const EXTERNAL_API_CALLS: Metric = named("external_api_calls");
pub(super) const EXTERNAL_API_DURATION: Metric = named("external_api_duration");
pub(super) const DATABASE_QUERY_DURATION: Metric = named("database_query_duration");
pub(super) const DATABASE_ROWS_AFFECTED: Metric = named("database_rows_affected");
pub(super) const USER_REGISTRATIONS: Metric = named("user_registrations");
pub(super) const CONTRACTS_CREATED: Metric = named("contracts_created");
pub(super) const CONTRACT_VALUE: Metric = named("contract_value");
pub(super) const CONTRACT_CREATION_ERRORS: Metric = named("contract_creation_errors");
pub(super) const CONTRACTS_SIGNED: Metric = named("contracts_signed");
pub(super) const CONTRACT_SIGNING_DURATION: Metric = named("contract_signing_duration");
pub(super) const DOCUMENTS_UPLOADED: Metric = named("documents_uploaded");
pub(super) const DOCUMENT_SIZE: Metric = named("document_size");
pub(super) const USER_SESSION_DURATION: Metric = named("user_session_duration");
pub(super) const CPU_USAGE_PERCENT: Metric = named("cpu_usage_percent");
pub(super) const MEMORY_USAGE_PERCENT: Metric = named("memory_usage_percent");
pub(super) const DISK_USAGE_PERCENT: Metric = named("disk_usage_percent");
pub(super) const ACTIVE_USERS: Metric = named("active_users");
pub(super) const DAILY_CONTRACTS: Metric = named("daily_contracts");
pub(super) const CONVERSION_RATE: Metric = named("conversion_rate");
pub(super) const SECURITY_EVENTS: Metric = named("security_events");
pub(super) const PIPELINE_VALUES_REFUSED: Metric = named("pipeline_values_refused");
pub(super) const PIPELINE_SERIES_OVERFLOW: Metric = named("pipeline_series_overflow");

/// Dimensions that a metric has at most, beside `service`.
pub(super) const MAX_DIMENSIONS: usize = 3;

impl Metric {
    /// How many there are.
    pub(super) const COUNT: usize = METRICS.len();

    /// The one called `name`.
    pub(super) fn find(name: &str) -> Option<Metric> {
        METRICS.iter().position(|metric| metric.name == name).map(|place| Metric(place as u8))
    }

    /// Its place in the registry.
    pub(super) fn place(self) -> u8 {
        self.0
    }

    /// Its entry in the registry.
    pub(super) fn definition(self) -> &'static Definition {
        &METRICS[usize::from(self.0)]
    }

    /// Its dimensions without `service`, in the registry's order: the order in which points give values.
    pub(super) fn named_dimensions(self) -> impl Iterator<Item = &'static str> {
        self.definition().dimensions.iter().copied().filter(|&name| name != "service")
    }
}

const fn named(name: &str) -> Metric {
    let mut place = 0;
    while place < METRICS.len() {
        if same(METRICS[place].name.as_bytes(), name.as_bytes()) {
            return Metric(place as u8);
        }
        place += 1;
    }
    panic!("no such metric in the registry")
}

/// `==`, which is not `const`.
const fn same(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_one_of_its_name_with_its_dimensions() {
        assert_eq!(LOG_ENTRIES.definition().name, "log_entries");
        assert_eq!(PIPELINE_SERIES_OVERFLOW.definition().name, "pipeline_series_overflow");
        assert_eq!((Metric::find("api_requests"), Metric::find("api_request")), (Some(API_REQUESTS), None));
        assert!(API_REQUESTS.named_dimensions().eq(["endpoint", "method", "status_code"]));
    }

    #[test]
    fn places_and_dimensions_of_the_whole_registry_fit_the_key_of_a_series() {
        assert!(METRICS.len() <= usize::from(u8::MAX) + 1);
        for place in 0..METRICS.len() {
            let metric = Metric(place as u8);
            assert!(metric.named_dimensions().count() <= MAX_DIMENSIONS, "{}", metric.definition().name);
        }
    }
}
