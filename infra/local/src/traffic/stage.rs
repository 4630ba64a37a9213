//! Where the lines of one minute come together.

use std::collections::BTreeMap;

use domain::ports::BusEvent;
use serde_json::Value;

use super::chance::Chance;
use super::record::Record;
use super::service::{DATABASE_LOG_GROUP, DATABASE_LOG_STREAM, Service};
use super::visit::Visit;
use super::{Day, Line};

/// One minute while it is being written.
pub struct Stage<'a> {
    /// The day it belongs to.
    pub day: &'a Day,
    /// Minutes after the day's start.
    pub offset: i64,
    /// Chance for the details of visits.
    pub chance: Chance,
    /// API requests answered so far.
    pub api_answers: usize,
    /// Logins that failed so far, other than the attacker's.
    pub failed_logins: usize,
    lines: Vec<Line>,
    events: Vec<BusEvent>,
    counters: BTreeMap<&'static str, u64>,
    continuations: u64,
    start_ms: i64,
    stamp: String,
}

/// What a minute comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Lines, sorted by group, stream and time.
    pub lines: Vec<Line>,
    /// Business events, sorted by time.
    pub events: Vec<BusEvent>,
    /// Increments of the registry's counters.
    pub counters: BTreeMap<&'static str, u64>,
    /// How many of the lines only continue a PostgreSQL message.
    pub continuations: u64,
}

impl<'a> Stage<'a> {
    /// An empty minute.
    pub fn new(day: &'a Day, offset: i64) -> Stage<'a> {
        let start = day.start.plus(offset).start();
        Stage {
            day,
            offset,
            chance: day.chance(b"stage", offset),
            api_answers: 0,
            failed_logins: 0,
            lines: Vec::new(),
            events: Vec::new(),
            counters: BTreeMap::new(),
            continuations: 0,
            start_ms: start.as_millisecond(),
            stamp: start.strftime("%Y-%m-%dT%H:%M:").to_string(),
        }
    }

    /// A visitor's request, somewhere in the minute.
    pub fn visit(&mut self) -> Visit {
        Visit::of_user(&mut self.chance, self.start_ms / 1_000)
    }

    /// A service's own work, at `at_ms` into the minute.
    pub fn own_work(&mut self, at_ms: i64) -> Visit {
        Visit::of_service(&mut self.chance, at_ms)
    }

    /// Writes a record of `service`, in its dialect.
    pub fn log(&mut self, service: Service, visit: &Visit, record: &Record) {
        let (seconds, millis) = (visit.at_ms / 1_000, visit.at_ms % 1_000);
        let timestamp = match service {
            // `datetime.utcnow().isoformat()`: microseconds, and no word on the zone.
            Service::Document => format!("{}{seconds:02}.{millis:03}{:03}", self.stamp, self.chance.between(1, 1_000)),
            _ => format!("{}{seconds:02}.{millis:03}Z", self.stamp),
        };
        let message = record.line(service, self.day.version(self.offset), visit, &timestamp);
        self.text(service, visit, message);
    }

    /// Publishes a business event of `service`, with the ids of the visit.
    pub fn publish(&mut self, service: Service, visit: &Visit, detail_type: &str, mut detail: Value) {
        detail["request_id"] = visit.request_id.as_str().into();
        let ids = [
            ("user_id", visit.user.map(|number| format!("user-{number}"))),
            ("session_id", visit.session_id.clone()),
            ("trace_id", visit.trace_id.clone()),
            ("span_id", visit.span_id(service)),
        ];
        for (name, id) in ids.into_iter().filter_map(|(name, id)| Some((name, id?))) {
            detail[name] = id.into();
        }
        self.events.push(BusEvent {
            source: format!("land-contracts.{}", service.name()),
            detail_type: detail_type.to_owned(),
            detail: detail.to_string(),
            epoch_seconds: (self.start_ms + visit.at_ms) / 1_000,
        });
    }

    /// Writes a line that is no record.
    pub fn text(&mut self, service: Service, visit: &Visit, message: String) {
        self.lines.push(Line {
            log_group: service.log_group(),
            log_stream: self.day.streams[service as usize][visit.task].clone(),
            timestamp_ms: self.start_ms + visit.at_ms,
            message,
        });
    }

    /// Writes a line of the database server. `who` is `host(port):user@database:[pid]`, as in the prefix.
    pub fn database(&mut self, at_ms: i64, who: &str, message: &str) {
        let stamp = self.stamp.replace('T', " ");
        self.lines.push(Line {
            log_group: DATABASE_LOG_GROUP.to_owned(),
            log_stream: DATABASE_LOG_STREAM.to_owned(),
            timestamp_ms: self.start_ms + at_ms,
            message: format!("{stamp}{:02} UTC:{who}:{message}", at_ms / 1_000),
        });
    }

    /// Writes a line that belongs to the database line before it.
    pub fn continuation(&mut self, at_ms: i64, who: &str, message: &str) {
        self.continuations += 1;
        self.database(at_ms, who, message);
    }

    /// Epoch milliseconds of `visit`'s clock.
    pub fn epoch_ms(&self, visit: &Visit) -> i64 {
        self.start_ms + visit.at_ms
    }

    /// Counts one of what the pipeline has to find in the lines.
    pub fn count(&mut self, counter: &'static str) {
        *self.counters.entry(counter).or_default() += 1;
    }

    /// The minute, sorted. Lines of the same millisecond keep the order in which they were written.
    pub fn finish(mut self) -> Written {
        self.lines.sort_by(|a, b| {
            (&a.log_group, &a.log_stream, a.timestamp_ms).cmp(&(&b.log_group, &b.log_stream, b.timestamp_ms))
        });
        self.events.sort_by_key(|event| event.epoch_seconds);
        Written { lines: self.lines, events: self.events, counters: self.counters, continuations: self.continuations }
    }
}
