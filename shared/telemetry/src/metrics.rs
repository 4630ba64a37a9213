//! Metrics: counted in this process, told as lines in CloudWatch's embedded metric format.
//!
//! Code that counts through the facade of the `metrics` crate and the functions here are counted alike,
//! in the process, and flushed as lines: every minute, by [`flush()`], and when the guard of
//! [`telemetry::init`](crate::init) is dropped. A Lambda function calls [`telemetry::flush`](crate::flush) before it
//! answers. What is recorded while a flush runs is told by it or by the next; what finds a full buffer is told by
//! the next.
//!
//! | what | between two flushes | in a line |
//! |---|---|---|
//! | counter | the sum | a number |
//! | gauge | the last value | a number, if it was set since; one that is only changed by amounts, every minute |
//! | histogram, timer | up to 100 different values with their counts; beyond that in buckets of 2 % | values, or values with counts |
//!
//! A bucket is told as the mean of its values: each value within 2 %, and every sum exact.
//!
//! Metrics of the [registry](schema::registry) have its unit, dimensions and roll-up sets. `service` is filled in,
//! labels that are missing are `unknown`, others are left out. A name outside the registry is taken too: its labels
//! are its dimensions, and it is rolled up over all and by service. Whatever is odd is told once by a WARNING line.
//!
//! Bounds: 100 values for each dimension of a metric and 1,000 series a metric (what is beyond becomes `other`, and
//! is counted in `telemetry_series_overflow`), 200 names outside the registry, 10 labels for each. Values that
//! are not finite or beyond 2^360, and counters that go down, are refused and counted in `telemetry_values_refused`.
//!
//! # Who counts a call
//!
//! A call that has a record (an answered request, a query, an event of the business) has its metrics in the
//! record's line, and the pipeline derives nothing from a line that carries metrics. Where the record is not written
//! (its level is off, or it is held back), the metrics go to the next flush. So a call is counted once, by one of
//! two, which [`Source`] sets. Call `log_api_call` **or** [`track_api_request`](crate::business::track_api_request)
//! for the same call, not both: the first is a record only, which the pipeline counts.

mod distribution;
mod emf;
mod flush;
mod recorder;
mod series;
mod store;

pub use recorder::Recorder;

pub(crate) use flush::{Flusher, now_millis};
pub(crate) use store::Store;

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use schema::dimension::sanitised;
use schema::{Category, Level};

use crate::handle::Telemetry;
use crate::json;
use crate::line::with_members;
use emf::{Members, Origin};
use series::{Kind, Series, Value};
use store::Doubt;

/// Who counts the calls that have a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// The process: the record's line carries its metrics, which CloudWatch and the pipeline take from it.
    #[default]
    Emf,
    /// The pipeline, from the record's details. The line is as short as it can be, and costs no custom metrics but
    /// those that the pipeline puts. What the pipeline can't derive is told by the process still.
    Derived,
}

/// What was counted before there was a subscriber, and by libraries on threads that have none.
static PROCESS: LazyLock<Arc<Store>> = LazyLock::new(Arc::default);

/// The store of the process.
pub(crate) fn process_store() -> Arc<Store> {
    Arc::clone(&PROCESS)
}

/// Adds to a counter. Amounts below zero are refused.
pub fn increment_counter(name: &str, amount: f64, labels: &[(&str, &str)]) {
    record(Kind::Counter, name, amount, labels);
}

/// Sets a gauge.
pub fn set_gauge(name: &str, value: f64, labels: &[(&str, &str)]) {
    record(Kind::Gauge, name, value, labels);
}

/// Records a value of a distribution, in the unit of the registry.
pub fn record_histogram(name: &str, value: f64, labels: &[(&str, &str)]) {
    record(Kind::Distribution, name, value, labels);
}

/// Records a duration, in milliseconds. The name is the metric's whole name: nothing is added to it.
pub fn record_timer(name: &str, duration: Duration, labels: &[(&str, &str)]) {
    record(Kind::Distribution, name, millis(duration), labels);
}

/// Writes what was counted since the last flush to the buffer of lines. [`telemetry::flush`](crate::flush) does that
/// and waits until it is written.
pub fn flush() {
    if let Some(telemetry) = Telemetry::current() {
        flush_of(&telemetry, now_millis(), false);
    }
}

/// A duration as metrics and records have it.
pub(crate) fn millis(duration: Duration) -> f64 {
    // Whole microseconds: what is finer is noise, and long to write.
    duration.as_micros() as f64 / 1_000.0
}

fn record(kind: Kind, name: &str, value: f64, labels: &[(&str, &str)]) {
    let record = |store: &Store| store.with(kind, name, labels.iter().copied(), |handle| handle.record(value, 1));
    Telemetry::with_current(|telemetry| match telemetry {
        Some(telemetry) => record(telemetry.store()),
        None => record(&PROCESS),
    });
}

/// Writes what was counted since the last flush, as of an instant. `false` where there was no room for all of it: the
/// rest is told by the next.
pub(crate) fn flush_of(telemetry: &Telemetry, at_millis: i64, at_interval: bool) -> bool {
    let store = telemetry.store();
    // One after the other: what another one has taken may come back still.
    let _alone = store.flushing();
    let mut all_taken = true;
    for doubt in store.doubts() {
        let Doubt { metric, about } = &doubt;
        let mut members = b",\"details\":{\"metric\":".to_vec();
        json::text(&mut members, metric);
        members.extend_from_slice(b",\"doubt\":");
        json::text(&mut members, about);
        members.push(b'}');
        let message = Some("a metric is not as it should be");
        if !telemetry.offer_own(Level::Warning, Category::System, message, &members) {
            store.put_back(doubt);
            all_taken = false;
        }
    }
    let dropped = telemetry.sink().dropped();
    if dropped > 0 {
        let none = std::iter::empty();
        store.with(Kind::Counter, "telemetry_lines_dropped", none, |handle| handle.raise(dropped));
    }
    let mut scratch = String::new();
    let origin = origin(telemetry, &mut scratch);
    flush::flush(store, origin, at_interval, at_millis, |members| {
        let taken = telemetry.offer_own(Level::Info, Category::Performance, None, members);
        all_taken &= taken;
        taken
    });
    all_taken
}

/// Flushes at the intervals that are set.
///
/// # Errors
///
/// Where the system has no thread for it.
pub(crate) fn flush_at_intervals(telemetry: &Telemetry) -> io::Result<Option<Flusher>> {
    let seconds = telemetry.settings().flush_seconds;
    let telemetry = telemetry.clone();
    let flush = move |at_millis| {
        // What finds no room is told a minute later.
        flush_of(&telemetry, at_millis, true);
    };
    (seconds > 0).then(|| Flusher::start(Duration::from_secs(seconds.into()), flush)).transpose()
}

fn origin<'a>(telemetry: &'a Telemetry, scratch: &'a mut String) -> Origin<'a> {
    let settings = telemetry.settings();
    Origin { service: sanitised(&settings.identity.service, scratch), namespace: &settings.namespace }
}

/// A value of a call.
pub(crate) struct Point<'a> {
    kind: Kind,
    name: &'static str,
    labels: &'a [(&'a str, &'a str)],
    value: f64,
}

impl<'a> Point<'a> {
    /// One more of something.
    pub(crate) fn count(name: &'static str, labels: &'a [(&'a str, &'a str)]) -> Point<'a> {
        Point { kind: Kind::Counter, name, labels, value: 1.0 }
    }

    /// A level.
    pub(crate) fn level(name: &'static str, value: f64, labels: &'a [(&'a str, &'a str)]) -> Point<'a> {
        Point { kind: Kind::Gauge, name, labels, value }
    }

    /// One of many values.
    pub(crate) fn value(name: &'static str, value: f64, labels: &'a [(&'a str, &'a str)]) -> Point<'a> {
        Point { kind: Kind::Distribution, name, labels, value }
    }
}

/// Counts a call whose record `emit` writes, and from which the pipeline can derive the same.
pub(crate) fn count_with_record(points: &[Point<'_>], emit: impl FnOnce()) {
    count(points, true, emit);
}

/// Counts a call whose record `emit` writes, but from which nothing is derived.
pub(crate) fn count_beside_record(points: &[Point<'_>], emit: impl FnOnce()) {
    count(points, false, emit);
}

fn count(points: &[Point<'_>], derivable: bool, emit: impl FnOnce()) {
    let telemetry = Telemetry::current();
    let store = telemetry.as_ref().map_or(&*PROCESS, |telemetry| telemetry.store());
    let mut counted: Vec<(Arc<Series>, f64)> = Vec::with_capacity(points.len());
    for Point { kind, name, labels, value } in points {
        let series = store.with(*kind, name, labels.iter().copied(), |handle| handle.for_value(*value, 1).cloned());
        counted.extend(series.map(|series| (series, *value)));
    }
    // What no line tells is recorded, also where the record panics: an error may when it is asked what it says.
    let mut left = Left(counted.iter().collect());
    let Some(telemetry) = &telemetry else { return emit() };
    if derivable && telemetry.settings().metrics == Source::Derived {
        if with_members(&[], emit) {
            left.0.clear();
        }
        return;
    }
    let mut scratch = String::new();
    let mut members = Members::new(origin(telemetry, &mut scratch));
    let mut is_told = counted.iter().map(|(series, value)| members.add(series, &Value::Number(*value)));
    let others: Vec<_> = counted.iter().filter(|_| is_told.next() == Some(false)).collect();
    // What two metrics take.
    let mut text = Vec::with_capacity(1_024);
    members.write(now_millis(), &mut text);
    if with_members(&text, emit) {
        left.0 = others;
    }
}

/// What is still to be recorded when it is dropped.
struct Left<'a>(Vec<&'a (Arc<Series>, f64)>);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|(series, value)| series.record(*value, 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Written, lines_of, settings};
    use crate::{Settings, log_performance, parse_levels};
    use serde_json::{Value as Json, json};

    #[test]
    fn what_is_counted_is_told_with_the_registrys_unit_dimensions_and_sets() {
        // Defect 9: a timer was called `api_request_duration_duration`.
        let lines = lines_of(settings(), |_| {
            for ms in [12, 13, 12] {
                record_timer(
                    "api_request_duration",
                    Duration::from_millis(ms),
                    &[("endpoint", "/a"), ("method", "GET")],
                );
            }
            set_gauge("active_users", 7.0, &[]);
            set_gauge("active_users", 5.0, &[]);
            increment_counter("contracts_created", 2.0, &[("role", "buyer")]);
        });
        let named = |name: &str| lines.iter().find(|line| line.get(name).is_some()).unwrap();
        let timer = named("api_request_duration");
        assert_eq!(timer["api_request_duration"], json!([12, 12, 13]));
        assert_eq!((&timer["service"], &timer["endpoint"]), (&json!("contract"), &json!("/a")));
        assert_eq!(
            timer["_aws"]["CloudWatchMetrics"],
            json!([{
                "Namespace": "LandContracts", "Dimensions": [[], ["service"], ["service", "endpoint"]],
                "Metrics": [{ "Name": "api_request_duration", "Unit": "Milliseconds" }],
            }])
        );
        // As schema v1 begins a line.
        assert_eq!((&timer["level"], &timer["category"]), (&json!("INFO"), &json!("performance")));
        assert_eq!(timer["context"], json!({ "service_name": "contract", "environment": "test", "version": "1.2.3" }));
        let gauge = named("active_users");
        assert_eq!((&gauge["active_users"], gauge.get("service")), (&json!(5), None));
        assert_eq!(gauge["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([[]]));
        assert_eq!(named("contracts_created")["contracts_created"], 2);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_flush_tells_once_and_what_is_odd_is_a_warning() {
        let lines = lines_of(settings(), |_| {
            for _ in 0..2 {
                increment_counter("parcels_checked", 1.0, &[("region", "77")]);
                flush();
            }
        });
        let warnings: Vec<&Json> = lines.iter().filter(|line| line["level"] == "WARNING").collect();
        assert_eq!((warnings.len(), &warnings[0]["details"]["metric"]), (1, &json!("parcels_checked")));
        let told: Vec<&Json> = lines.iter().filter_map(|line| line.get("parcels_checked")).collect();
        assert_eq!((told, lines.len()), (vec![&json!(1), &json!(1)], 3));
    }

    #[test]
    fn metrics_that_do_not_fit_a_line_go_to_the_next_flush() {
        let lines = lines_of(settings(), |_| {
            let (one, other) = ([("operation", "a")], [("operation", "b")]);
            let points = [Point::count("operations", &one), Point::value("operation_duration", 2.0, &other)];
            count_beside_record(&points, || log_performance("a", Duration::from_millis(2)));
        });
        assert_eq!((&lines[0]["operations"], lines[0].get("operation_duration")), (&json!(1), None));
        assert_eq!((&lines[1]["operation_duration"], &lines[1]["operation"]), (&json!(2), &json!("b")));
    }

    /// Takes nothing until it is let.
    struct Stuck(std::sync::mpsc::Receiver<()>, Written);

    impl io::Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // When the other end is gone, everything passes.
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flush_is_done_only_when_all_that_was_counted_is_told() {
        let (let_pass, stuck) = std::sync::mpsc::channel();
        let written = Written::default();
        let telemetry =
            Telemetry::new(Settings { buffer_bytes: 4_000, ..settings() }, Stuck(stuck, written.clone())).unwrap();
        tracing::subscriber::with_default(telemetry.subscriber(), || {
            increment_counter("parcels_checked", 1.0, &[("region", "77")]);
            for _ in 0..100 {
                crate::business::track_user_registration("buyer");
            }
        });
        assert!(!telemetry.flush(Duration::from_millis(1)), "nothing is written yet");
        // Passes while the flush waits, or before.
        let passes = std::thread::spawn(move || drop(let_pass));
        assert!(telemetry.flush(Duration::from_secs(60)));
        passes.join().unwrap();
        let text = written.text();
        let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_f64()).sum::<f64>();
        assert_eq!((sum("user_registrations"), sum("parcels_checked")), (100.0, 1.0));
        let doubts = lines.iter().filter(|line| line["details"]["metric"] == "parcels_checked");
        assert_eq!(doubts.count(), 1, "also a doubt that finds no room is told once there is some");
    }

    #[test]
    fn a_line_of_metrics_that_finds_no_room_is_not_one_that_is_dropped() {
        let written = Written::default();
        // No line fits.
        let telemetry = Telemetry::new(Settings { buffer_bytes: 10, ..settings() }, written.clone()).unwrap();
        tracing::subscriber::with_default(telemetry.subscriber(), || increment_counter("contracts_created", 1.0, &[]));
        assert!(!telemetry.flush(Duration::from_millis(20)));
        assert_eq!((telemetry.sink().dropped(), written.text()), (0, String::new()));
    }

    #[test]
    fn lines_that_are_dropped_are_counted_and_their_metrics_are_not_lost() {
        let (let_pass, stuck) = std::sync::mpsc::channel();
        let written = Written::default();
        let telemetry = Telemetry::new(
            Settings { levels: parse_levels("info").unwrap(), buffer_bytes: 4_000, ..settings() },
            Stuck(stuck, written.clone()),
        )
        .unwrap();
        tracing::subscriber::with_default(telemetry.subscriber(), || {
            for _ in 0..100 {
                crate::business::track_user_registration("buyer");
            }
            // Finds no room either.
            flush();
        });
        drop(let_pass);
        assert!(telemetry.flush(Duration::from_secs(60)));
        let text = written.text();
        let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_f64()).sum::<f64>();
        assert_eq!(sum("user_registrations"), 100.0);
        assert_eq!(sum("telemetry_lines_dropped"), telemetry.sink().dropped() as f64);
        assert!(telemetry.sink().dropped() > 0);
    }
}
