//! What a daily report says. Written as JSON, field by field in this order, so that the same day gives
//! the same bytes whenever it is asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::episodes::Episode;
use super::verdict::Verdict;
use crate::Minute;

/// The only version of the format there is.
pub const VERSION: u32 = 1;

/// The report of one local day of one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DailyReport {
    /// Version of this format.
    pub version: u32,
    /// The local day, `2026-11-20`.
    pub date: String,
    /// IANA name of the zone whose day it is.
    pub zone: String,
    /// Which deployment it is about.
    pub environment: String,
    /// The day as UTC.
    pub generated_for: Interval,
    /// What to think of the day.
    pub verdict: Verdict,
    /// Whether everything that should be in the report is in it.
    pub completeness: Completeness,
    /// Log entries of all services.
    pub overall_summary: OverallSummary,
    /// By service, those expected and those that came unexpectedly.
    pub services: BTreeMap<String, ServiceReport>,
    /// What the platform is for.
    pub business: Business,
    /// Requests answered.
    pub api: Api,
    /// Database queries.
    pub database: Database,
    /// Security events.
    pub security: Security,
    /// Alerts that fired at any time of the day, in order of their beginning.
    pub alerts: Vec<Episode>,
    /// The day by local hour, in order.
    pub hourly: Vec<Hour>,
}

impl DailyReport {
    /// The bytes of `report.json`.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json =
            serde_json::to_vec_pretty(self).expect("structs and maps with text keys and finite numbers serialise");
        json.push(b'\n');
        json
    }
}

/// A half-open interval of UTC minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The first minute.
    pub from: Minute,
    /// The minute after the last one.
    pub until: Minute,
}

impl Interval {
    /// How many minutes it has.
    pub fn minutes(&self) -> u64 {
        self.until.since(self.from).unsigned_abs()
    }
}

/// Whether everything that should be in the report is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completeness {
    /// Minutes of the day.
    pub minutes_expected: u64,
    /// Minutes of which there are figures. A quiet minute has none, so this may be less on a good day.
    pub minutes_with_data: u64,
    /// The longest stretch without figures, if there is one.
    pub longest_gap: Option<Interval>,
    /// What became of the log lines.
    pub lines: Lines,
    /// Expected services that sent nothing all day.
    pub silent_services: Vec<String>,
    /// Points whose dimensions had to be folded into `other`, to bound the number of series.
    pub points_folded: u64,
    /// What could not be read, one sentence each, in order of reading.
    pub problems: Vec<String>,
}

/// The balance of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// Delivered to the pipeline.
    pub received: u64,
    /// Written to the archive.
    pub archived: u64,
    /// Kept aside because they could not be read.
    pub quarantined: u64,
    /// Left out on purpose, by filters.
    #[serde(default)]
    pub filtered: u64,
    /// Of those kept aside, archived later by a replay.
    #[serde(default)]
    pub replayed: u64,
    /// `received - archived - quarantined - filtered`: 0 when nothing is lost, negative when more came out than went in.
    pub lost: i64,
}

/// Log entries of a service: the source document's summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Entries of any level.
    pub total_entries: u64,
    /// ERROR and CRITICAL.
    pub error_count: u64,
    /// WARNING.
    pub warning_count: u64,
    /// Entries whose duration is over 5 s.
    pub performance_issues: u64,
}

/// Log entries of all services: the source document's overall summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverallSummary {
    /// Entries of any level.
    pub total_entries: u64,
    /// ERROR and CRITICAL.
    pub total_errors: u64,
    /// CRITICAL alone.
    pub total_critical: u64,
    /// WARNING.
    pub total_warnings: u64,
    /// Entries whose duration is over 5 s.
    pub total_performance_issues: u64,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceReport {
    /// Its log entries.
    pub summary: Summary,
    /// Requests that it answered.
    pub requests: u64,
    /// Share of them answered 5xx, in percent; absent without requests.
    pub error_rate_percent: Option<f64>,
    /// How long they took; absent where nothing was timed.
    pub latency: Option<Latency>,
}

/// A distribution of durations, in milliseconds, each figure within 1 % of the true one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Half took no longer.
    pub p50_ms: f64,
    /// 95 of a hundred took no longer.
    pub p95_ms: f64,
    /// 99 of a hundred took no longer.
    pub p99_ms: f64,
    /// The longest; exact.
    pub max_ms: f64,
}

/// What the platform is for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Business {
    /// Users who registered.
    pub registrations: u64,
    /// Contracts created.
    pub contracts_created: u64,
    /// Contracts signed.
    pub contracts_signed: u64,
    /// Sum of the prices in created contracts, in roubles.
    pub contract_value_sum: f64,
    /// Contracts that could not be created.
    pub creation_errors: u64,
    /// The same by reason.
    pub creation_errors_by_reason: BTreeMap<String, u64>,
    /// Documents uploaded.
    pub documents_uploaded: u64,
    /// The same by type.
    pub documents_by_type: BTreeMap<String, u64>,
    /// Size of those documents, in megabytes.
    pub documents_megabytes: f64,
}

/// Requests answered by all services.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// How many.
    pub requests: u64,
    /// Answered 5xx.
    pub server_errors: u64,
    /// Answered 4xx; not errors of ours, so they do not count in the rate.
    pub client_errors: u64,
    /// Server errors of all requests, in percent; absent without requests.
    pub error_rate_percent: Option<f64>,
    /// How long they took; absent where nothing was timed.
    pub latency: Option<Latency>,
    /// The ten with the greatest 95th percentile, the slowest first.
    pub slowest_endpoints: Vec<SlowEndpoint>,
    /// The ten with the most server errors, the worst first.
    pub error_endpoints: Vec<ErrorEndpoint>,
}

/// An endpoint by its latency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowEndpoint {
    /// Service that answers.
    pub service: String,
    /// HTTP method.
    pub method: String,
    /// Path template.
    pub endpoint: String,
    /// Requests timed.
    pub requests: u64,
    /// How long they took.
    pub latency: Latency,
}

/// An endpoint by its errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorEndpoint {
    /// Service that answers.
    pub service: String,
    /// HTTP method.
    pub method: String,
    /// Path template.
    pub endpoint: String,
    /// Requests answered.
    pub requests: u64,
    /// Answered 5xx.
    pub server_errors: u64,
    /// The same of all its requests, in percent.
    pub error_rate_percent: f64,
    /// Server errors by status code.
    pub by_status: BTreeMap<String, u64>,
}

/// Database queries of all services.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Queries timed.
    pub queries: u64,
    /// How long they took; absent without queries.
    pub latency: Option<Latency>,
    /// The ten with the greatest 95th percentile, the slowest first.
    pub slowest_tables: Vec<SlowTable>,
}

/// A table by the latency of its queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowTable {
    /// Service whose database it is in.
    pub service: String,
    /// The table.
    pub table: String,
    /// Queries timed.
    pub queries: u64,
    /// Time of all of them together, in seconds.
    pub total_seconds: f64,
    /// How long they took.
    pub latency: Latency,
}

/// Security events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// How many.
    pub events: u64,
    /// The same by type.
    pub by_type: BTreeMap<String, u64>,
}

/// One hour as the clock on the wall showed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hour {
    /// Local time with offset, `2026-11-20T10:00:00+03:00`.
    pub starts_at: String,
    /// The hour as UTC. Shorter than 60 minutes only where clocks move by half an hour.
    pub interval: Interval,
    /// Minutes of which there are figures.
    pub minutes_with_data: u64,
    /// Log entries of any level.
    pub entries: u64,
    /// WARNING entries.
    pub warnings: u64,
    /// ERROR and CRITICAL entries.
    pub errors: u64,
    /// Requests answered.
    pub requests: u64,
    /// Requests answered 5xx.
    pub server_errors: u64,
    /// 95th percentile of request latency, in milliseconds; absent where nothing was timed.
    pub p95_ms: Option<f64>,
}
