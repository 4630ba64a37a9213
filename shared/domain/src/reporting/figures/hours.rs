//! The day by local hour, for charts.

use super::logs::Grade;
use super::tally::{Spread, whole};
use crate::Minute;
use crate::metrics::series::Aggregate;
use crate::reporting::day::LocalHour;
use crate::reporting::report::{Hour, Interval};

/// What is counted of one hour.
#[derive(Debug)]
pub struct HourTally {
    hour: LocalHour,
    minutes: u64,
    entries: f64,
    warnings: f64,
    errors: f64,
    requests: f64,
    server_errors: f64,
    latency: Spread,
}

impl HourTally {
    /// Nothing yet.
    pub fn of(hour: LocalHour) -> HourTally {
        HourTally {
            hour,
            minutes: 0,
            entries: 0.0,
            warnings: 0.0,
            errors: 0.0,
            requests: 0.0,
            server_errors: 0.0,
            latency: Spread::default(),
        }
    }

    /// The minute after the last one of the hour.
    pub fn until(&self) -> Minute {
        self.hour.until
    }

    /// Counts a minute of which there are figures.
    pub fn add_minute(&mut self) {
        self.minutes += 1;
    }

    /// Adds durations of requests.
    pub fn add_durations(&mut self, minute: &Aggregate) {
        self.latency.add(minute);
    }

    /// Adds log entries.
    pub fn add_entries(&mut self, grade: Grade, count: f64) {
        self.entries += count;
        if grade == Grade::Warning {
            self.warnings += count;
        }
        if grade.is_error() {
            self.errors += count;
        }
    }

    /// Adds requests, answered 5xx or not.
    pub fn add_requests(&mut self, failed: bool, count: f64) {
        self.requests += count;
        if failed {
            self.server_errors += count;
        }
    }

    /// The hour as the report has it.
    pub fn figures(self) -> Hour {
        Hour {
            interval: Interval { from: self.hour.from, until: self.hour.until },
            starts_at: self.hour.starts_at,
            minutes_with_data: self.minutes,
            entries: whole(self.entries),
            warnings: whole(self.warnings),
            errors: whole(self.errors),
            requests: whole(self.requests),
            server_errors: whole(self.server_errors),
            p95_ms: self.latency.latency().map(|latency| latency.p95_ms),
        }
    }
}
