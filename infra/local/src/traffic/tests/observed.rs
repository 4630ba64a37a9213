//! A day read back from its lines, by the conventions that the pipeline has: nothing here asks the
//! generator what it meant.

use std::collections::BTreeMap;

use domain::minute::Minute;
use domain::ports::BusEvent;
use serde_json::Value;

use crate::traffic::service::DATABASE_LOG_GROUP;
use crate::traffic::{Day, Line};

/// A request that a service answered.
pub struct Request {
    /// Minutes after the day's start.
    pub offset: i64,
    /// Its HTTP status.
    pub status: i64,
    service: String,
    duration_ms: f64,
}

/// All lines of a day, and what they say.
pub struct Observed {
    /// The lines.
    pub lines: Vec<Line>,
    /// The business events.
    pub events: Vec<BusEvent>,
    requests: Vec<Vec<Request>>,
    counters: Vec<BTreeMap<&'static str, u64>>,
    failed_logins: Vec<u64>,
    slowest_statement: Vec<f64>,
    resources: BTreeMap<String, Vec<(f64, f64)>>,
    indicators: Vec<(i64, u64)>,
}

impl Observed {
    /// Reads the whole day.
    pub fn of(day: &Day) -> Observed {
        let minutes = day.minutes().count();
        let mut observed = Observed {
            lines: Vec::new(),
            events: Vec::new(),
            requests: (0..minutes).map(|_| Vec::new()).collect(),
            counters: vec![BTreeMap::new(); minutes],
            failed_logins: vec![0; minutes],
            slowest_statement: vec![0.0; minutes],
            resources: BTreeMap::new(),
            indicators: Vec::new(),
        };
        for (offset, minute) in day.minutes().enumerate() {
            for line in day.minute(minute) {
                observed.read(offset, &line);
                observed.lines.push(line);
            }
            for event in day.events(minute, 1) {
                assert_eq!(Minute::of_epoch_millis(event.epoch_seconds * 1_000), minute);
                assert_eq!(event.detail_type, "UserRegistered");
                observed.count(offset, "user_registrations");
                observed.events.push(event);
            }
        }
        observed
    }

    fn read(&mut self, offset: usize, line: &Line) {
        if line.log_group == DATABASE_LOG_GROUP {
            let duration = line.message.split("duration: ").nth(1).and_then(|rest| rest.split(' ').next());
            let duration = duration.map_or(0.0, |text| text.parse().unwrap());
            self.slowest_statement[offset] = f64::max(self.slowest_statement[offset], duration);
        } else if let Ok(json) = serde_json::from_str::<Value>(&line.message) {
            self.read_record(offset, &json);
        }
    }

    fn read_record(&mut self, offset: usize, json: &Value) {
        let (details, service) = (&json["details"], json["context"]["service_name"].as_str().unwrap_or_default());
        if details["service"].is_string() {
            self.count(offset, "external_api_calls");
        } else if let Some(status) = details["status_code"].as_i64() {
            assert!(details["method"].is_string() && (details["endpoint"].is_string() || details["url"].is_string()));
            let duration_ms = json["duration_ms"].as_f64().unwrap();
            let request = Request { offset: offset as i64, status, service: service.to_owned(), duration_ms };
            self.requests[offset].push(request);
            self.count(offset, "api_requests");
        }
        if let Some(event_type) = details["event_type"].as_str() {
            self.count(offset, "security_events");
            self.failed_logins[offset] += u64::from(event_type == "login_failed");
        }
        if let Some(cpu) = details["cpu_usage"].as_f64() {
            let reading = (cpu, details["memory_usage"].as_f64().unwrap());
            self.resources.entry(service.to_owned()).or_default().push(reading);
        }
        if let Some(contracts) = details["daily_contracts"].as_u64() {
            self.indicators.push((offset as i64, contracts));
        }
        match details["event"].as_str() {
            Some("contract_created") => self.count(offset, "contracts_created"),
            Some("contract_creation_failed") => self.count(offset, "contract_creation_errors"),
            Some("contract_signed") => self.count(offset, "contracts_signed"),
            Some("document_uploaded") => self.count(offset, "documents_uploaded"),
            _ => {}
        }
    }

    fn count(&mut self, offset: usize, counter: &'static str) {
        *self.counters[offset].entry(counter).or_default() += 1;
    }

    /// Lines by log group.
    pub fn by_group(&self) -> BTreeMap<String, u64> {
        let mut groups = BTreeMap::new();
        for line in &self.lines {
            *groups.entry(line.log_group.clone()).or_default() += 1;
        }
        groups
    }

    /// Counters over the day.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let mut totals = BTreeMap::new();
        for (name, count) in self.counters.iter().flatten() {
            *totals.entry(*name).or_default() += count;
        }
        totals
    }

    /// PostgreSQL lines that only continue the one before.
    pub fn continuations(&self) -> u64 {
        let continues = |line: &&Line| {
            line.log_group == DATABASE_LOG_GROUP
                && ["]:DETAIL:  ", "]:STATEMENT:  "].iter().any(|mark| line.message.contains(mark))
        };
        self.lines.iter().filter(continues).count() as u64
    }

    /// A counter's sum over `length` minutes.
    pub fn sum(&self, counter: &str, from: i64, length: i64) -> u64 {
        span(&self.counters, from, length).iter().filter_map(|minute| minute.get(counter)).sum()
    }

    /// Failed logins in `length` minutes.
    pub fn failed_logins(&self, from: i64, length: i64) -> u64 {
        span(&self.failed_logins, from, length).iter().sum()
    }

    /// Requests of the day that `wanted` picks.
    pub fn sum_of(&self, wanted: impl Fn(&Request) -> bool) -> usize {
        self.requests.iter().flatten().filter(|request| wanted(request)).count()
    }

    /// The share of requests answered with 5xx, 0 without requests.
    pub fn error_share(&self, service: Option<&str>, from: i64, length: i64) -> f64 {
        let requests: Vec<&Request> = self.requests(service, from, length).collect();
        let errors = requests.iter().filter(|request| request.status >= 500).count();
        errors as f64 / requests.len().max(1) as f64
    }

    /// Durations of the requests answered.
    pub fn durations(&self, service: Option<&str>, from: i64, length: i64) -> Vec<f64> {
        self.requests(service, from, length).map(|request| request.duration_ms).collect()
    }

    fn requests<'a>(&'a self, service: Option<&'a str>, from: i64, length: i64) -> impl Iterator<Item = &'a Request> {
        let of_service = move |request: &&Request| service.is_none_or(|service| request.service == service);
        span(&self.requests, from, length).iter().flatten().filter(of_service)
    }

    /// The longest duration in the database's log in one minute.
    pub fn slowest_statement(&self, offset: i64) -> f64 {
        self.slowest_statement[offset as usize]
    }

    /// CPU and memory of a service, minute by minute.
    pub fn resources(&self, service: &str) -> Vec<(f64, f64)> {
        self.resources[service].clone()
    }

    /// Offsets of the lines with business indicators, and the contracts since midnight that they say.
    pub fn indicators(&self) -> Vec<(i64, u64)> {
        self.indicators.clone()
    }
}

fn span<T>(minutes: &[T], from: i64, length: i64) -> &[T] {
    &minutes[from as usize..(from + length) as usize]
}

/// The 95th percentile by nearest rank; 0 of nothing.
pub fn percentile_95(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * 0.95).ceil() as usize;
    rank.checked_sub(1).map_or(0.0, |index| values[index])
}
