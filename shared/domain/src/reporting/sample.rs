//! For tests: a working day of the platform with three incidents in it, as rollups and transitions.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

use super::day::LocalDay;
use super::figures::{Figures, Scope};
use super::report::DailyReport;
use crate::Minute;
use crate::alerting::history::{Transition, Turned};
use crate::metrics::rollup::Rollup;
use crate::metrics::series::{Aggregate, SeriesKey};
use crate::ports::Object;

/// 20 November 2026 in Moscow.
pub fn day() -> LocalDay {
    let zone = TimeZone::get("Europe/Moscow").unwrap();
    LocalDay::named("2026-11-20", &zone, "2026-11-20T23:00:00Z".parse().unwrap()).unwrap()
}

/// That day in production, with five services.
pub fn scope() -> Scope {
    let services = ["web", "api", "contract", "document", "user"].map(str::to_owned).to_vec();
    Scope { day: day(), environment: "production".to_owned(), services }
}

/// The fold of all of it.
pub fn figures() -> Figures {
    static ROLLUPS: OnceLock<Vec<Object>> = OnceLock::new();
    let mut figures = Figures::of_nothing(scope());
    for object in ROLLUPS.get_or_init(|| day().minutes().map(|minute| rollup(minute).to_object()).collect()) {
        figures.read_rollup(&object.key, &object.body);
    }
    for transition in transitions() {
        let object = transition.to_object();
        figures.read_transition(&object.key, &object.body);
    }
    figures
}

/// The report of it.
pub fn report() -> DailyReport {
    static REPORT: OnceLock<DailyReport> = OnceLock::new();
    REPORT.get_or_init(|| figures().report()).clone()
}

/// Adds to the series `name` with dimensions like `"service=api level=INFO"`.
pub fn add(rollup: &mut Rollup, name: &str, dimensions: &str, value: f64) {
    let dimensions = dimensions
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let key = SeriesKey { name: name.to_owned(), dimensions };
    rollup.series.add(key, &Aggregate::of(value, rollup.minute.start().as_millisecond()));
}

/// Repeatable noise between 0 and 1.
fn noise(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Share of the busiest traffic at a minute of the day.
fn load(offset: i64) -> f64 {
    let hour = offset as f64 / 60.0;
    let bump = |centre: f64, width: f64| (-((hour - centre) / width).powi(2)).exp();
    0.06 + 0.75 * bump(11.5, 3.2) + 0.6 * bump(16.5, 3.0)
}

/// One minute of that day.
pub fn rollup(minute: Minute) -> Rollup {
    let offset = minute.since(day().from());
    let mut rollup = Rollup::empty(minute);
    for (index, (service, share)) in
        [("web", 1.0), ("api", 0.9), ("contract", 0.5), ("document", 0.3), ("user", 0.4)].into_iter().enumerate()
    {
        let seed = offset as u64 * 16 + index as u64;
        let slow = (870..920).contains(&offset) && matches!(service, "api" | "contract");
        let failing = service == "contract" && (680..715).contains(&offset);
        traffic(&mut rollup, service, share * load(offset) * 18.0, seed, slow, failing);
    }
    business(&mut rollup, offset);
    if (190..200).contains(&offset) {
        add(&mut rollup, "security_events", "service=user event_type=failed_login", 14.0);
    }
    if offset % 300 == 17 {
        add(&mut rollup, "security_events", "service=user event_type=permission_denied", 1.0);
    }
    rollup
}

fn traffic(rollup: &mut Rollup, service: &str, busy: f64, seed: u64, slow: bool, failing: bool) {
    let requests = (busy * (0.8 + 0.4 * noise(seed))).floor();
    let warnings = f64::from(noise(seed + 5) < 0.12) + if slow { 3.0 } else { 0.0 };
    let errors = f64::from(noise(seed + 9) < 0.03) + if failing { 2.0 } else { 0.0 };
    let entries = [("INFO", requests * 2.0 + 1.0), ("WARNING", warnings), ("ERROR", errors)];
    for (level, count) in entries.into_iter().filter(|(_, count)| *count > 0.0) {
        add(rollup, "log_entries", &format!("service={service} level={level}"), count);
        add(rollup, "pipeline_lines_received", &format!("service={service}"), count);
        add(rollup, "pipeline_lines_archived", &format!("service={service}"), count);
    }
    let paths: &[(&str, &str)] = match service {
        "web" => &[("GET", "/"), ("GET", "/search")],
        "api" => &[("GET", "/contracts"), ("GET", "/parcels/{id}")],
        "contract" => &[("POST", "/contracts"), ("POST", "/contracts/{id}/sign")],
        "document" => &[("POST", "/documents"), ("GET", "/documents/{id}")],
        _ => &[("POST", "/login"), ("GET", "/users/{id}")],
    };
    for (index, (method, endpoint)) in paths.iter().enumerate() {
        let path = format!("service={service} method={method} endpoint={endpoint}");
        for request in 0..(requests as u64).div_ceil(2) {
            let seed = seed * 1_000 + request * 7 + index as u64;
            let status = match (failing && index == 0, noise(seed)) {
                (true, n) if n < 0.4 => 500,
                (_, n) if n < 0.002 => 503,
                (_, n) if n < 0.02 => 404,
                _ => 200,
            };
            add(rollup, "api_requests", &format!("{path} status_code={status}"), 1.0);
            let base = 40.0 + 90.0 * index as f64 + if service == "document" { 160.0 } else { 0.0 };
            let millis = base * (0.5 + 6.0 * noise(seed + 3).powi(6)) * if slow { 22.0 } else { 1.0 };
            add(rollup, "api_request_duration", &path, millis);
            if millis > 5000.0 {
                add(rollup, "performance_issues", &format!("service={service}"), 1.0);
            }
            let table = ["contracts", "parcels", "users", "documents"][(seed % 4) as usize];
            let query = format!("service={service} table={table} query_type=SELECT");
            add(rollup, "database_query_duration", &query, millis * 0.3);
        }
    }
}

fn business(rollup: &mut Rollup, offset: i64) {
    let seed = offset as u64;
    let failing = (680..715).contains(&offset);
    if noise(seed + 31) < load(offset) * 0.6 {
        add(rollup, "user_registrations", "service=user role=buyer", 1.0);
    }
    if !failing && noise(seed + 77) < load(offset) * 0.8 {
        add(rollup, "contracts_created", "service=contract role=seller", 1.0);
        add(rollup, "contract_value", "service=contract role=seller", (noise(seed + 1) * 9e6).round() + 450_000.0);
    }
    if noise(seed + 99) < load(offset) * 0.6 {
        add(rollup, "contracts_signed", "service=contract role=buyer", 1.0);
    }
    if failing {
        let reason = if offset % 5 == 0 { "timeout" } else { "registry_unavailable" };
        add(rollup, "contract_creation_errors", &format!("service=contract reason={reason}"), 1.0);
    }
    if noise(seed + 123) < load(offset) {
        let kind = ["passport", "cadastral_plan", "extract"][(seed % 3) as usize];
        add(rollup, "documents_uploaded", &format!("service=document type={kind}"), 1.0);
        add(rollup, "document_size", &format!("service=document type={kind}"), 0.3 + 6.0 * noise(seed));
    }
}

/// What the alerts did: one from the evening before, three of the day, one that lasts.
pub fn transitions() -> Vec<Transition> {
    let mut all = Vec::new();
    for (rule, class, severity, labels, from, to, value, condition, summary) in [
        (
            "high_memory_usage",
            "performance",
            "warning",
            "service=document",
            -25,
            Some(18),
            88.4,
            "> 85",
            "Memory in use: 88.4 %",
        ),
        (
            "failed_logins",
            "security",
            "critical",
            "service=user event_type=failed_login",
            192,
            Some(209),
            42.0,
            "> 20",
            "Failed logins: 42 in 3 min",
        ),
        (
            "contract_creation_failure",
            "business",
            "error",
            "service=contract",
            684,
            Some(726),
            4.0,
            "> 3",
            "Contract creation failures: 4 in 10 min",
        ),
        (
            "slow_api_requests",
            "performance",
            "warning",
            "service=api",
            875,
            Some(926),
            6_480.0,
            "> 5000",
            "95th percentile of request time: 6480 ms",
        ),
        ("low_user_registrations", "business", "warning", "", 1_371, None, 0.0, "< 1", "No user registered in 60 min"),
    ] {
        let began = Transition {
            version: 1,
            instant: None,
            fired_before: 0,
            at: day().from().plus(from),
            rule: rule.to_owned(),
            fingerprint: crate::keys::fingerprint([rule.as_bytes(), labels.as_bytes()]),
            class: class.to_owned(),
            severity: severity.to_owned(),
            labels: labels
                .split(' ')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect::<BTreeMap<_, _>>(),
            turned: Turned::Firing,
            value: Some(value),
            condition: condition.to_owned(),
            summary: summary.to_owned(),
            since: day().from().plus(from),
        };
        if let Some(to) = to {
            all.push(Transition { at: day().from().plus(to), turned: Turned::Resolved, value: None, ..began.clone() });
        }
        all.push(began);
    }
    all
}
