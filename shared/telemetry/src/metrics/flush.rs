//! When and how what was recorded becomes lines.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use super::emf::{self, Origin};
use super::store::Store;

const MINUTE_MILLIS: i64 = 60_000;

/// Tells what was recorded since the last time, as the members of a line each, with a comma before each member. What
/// `write` does not take is put back, for the next time.
pub(crate) fn flush(
    store: &Store,
    origin: Origin<'_>,
    at_interval: bool,
    at_millis: i64,
    mut write: impl FnMut(&[u8]) -> bool,
) {
    for (members, told) in emf::lines(store.take(at_interval), at_millis, origin) {
        if !write(&members) {
            told.iter().for_each(|taken| taken.put_back());
        }
    }
}

/// How long before the end of a minute its last flush is. The line is to reach the log within the minute that it is
/// about, since the pipeline believes a line's own time only within the hour in which it came.
const MARGIN_MILLIS: i64 = 250;

/// When to flush next. Intervals begin and end with the minute, but for the margin.
fn next_flush(now_millis: i64, interval: Duration) -> i64 {
    let length = i64::try_from(interval.as_millis()).unwrap_or(MINUTE_MILLIS).clamp(1_000, MINUTE_MILLIS);
    let now = now_millis + MARGIN_MILLIS;
    let minute = minute_of(now);
    let end = minute + ((now - minute) / length + 1) * length;
    end.min(minute + MINUTE_MILLIS) - MARGIN_MILLIS
}

/// The time of a flush that was due at `end` and happens now. In the minute that it is about, unless the process was
/// suspended meanwhile: then that minute is long over.
fn stamp(now_millis: i64, end: i64) -> i64 {
    if now_millis - end > MINUTE_MILLIS { now_millis } else { now_millis.min(minute_of(end) + MINUTE_MILLIS - 1) }
}

fn minute_of(millis: i64) -> i64 {
    millis.div_euclid(MINUTE_MILLIS) * MINUTE_MILLIS
}

/// The wall clock, in epoch milliseconds.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A thread that flushes at the end of every interval, until this is dropped.
pub(crate) struct Flusher {
    stopped: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Flusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flusher")
    }
}

impl Flusher {
    /// Calls `flush` at the end of each interval, with a time in the minute that the interval is of.
    ///
    /// # Errors
    ///
    /// Where the system has no thread for it.
    pub(crate) fn start(interval: Duration, flush: impl Fn(i64) + Send + 'static) -> io::Result<Flusher> {
        let stopped = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = Arc::clone(&stopped);
        let run = move || {
            let (stopped, wake) = &*shared;
            let mut end = next_flush(now_millis(), interval);
            let mut guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
            while !*guard {
                let now = now_millis();
                if now < end {
                    // No longer than an interval: the clock may be set back meanwhile.
                    let left = u64::try_from(end - now).unwrap_or(0).min(MINUTE_MILLIS.unsigned_abs());
                    let waited = wake.wait_timeout(guard, Duration::from_millis(left));
                    guard = waited.unwrap_or_else(PoisonError::into_inner).0;
                    if now_millis() < now {
                        end = next_flush(now_millis(), interval);
                    }
                    continue;
                }
                drop(guard);
                flush(stamp(now, end));
                end = next_flush(now_millis(), interval);
                guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
            }
        };
        let thread = thread::Builder::new().name("telemetry-metrics".to_owned()).spawn(run)?;
        Ok(Flusher { stopped, thread: Some(thread) })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        let (stopped, wake) = &*self.stopped;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // It panics only where writing does, which has been told by then.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::series::Kind;
    use serde_json::Value;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;

    const ORIGIN: Origin<'_> = Origin { service: "contract", namespace: "LandContracts" };

    #[test]
    fn intervals_end_with_the_minute_but_for_a_margin() {
        let minute = 1_795_000_020_000;
        assert_eq!(minute % MINUTE_MILLIS, 0);
        for (after, seconds, expected) in [
            (0, 60, 60_000),
            (59_749, 60, 60_000),
            (59_750, 60, 120_000),
            (0, 10, 10_000),
            (9_750, 10, 20_000),
            (45_000, 40, 60_000),
            (1, 300, 60_000),
            (1, 0, 1_000),
        ] {
            let end = next_flush(minute + after, Duration::from_secs(seconds));
            assert_eq!(end - minute, expected - MARGIN_MILLIS, "{after} {seconds}");
        }
    }

    #[test]
    fn a_flush_is_of_its_minute_unless_that_is_long_over() {
        let minute = 1_795_000_020_000;
        let end = minute + 59_750;
        for (late, expected) in [(0, 59_750), (100, 59_850), (2_000, 59_999), (60_000, 59_999), (3_600_000, 3_659_750)]
        {
            assert_eq!(stamp(end + late, end) - minute, expected, "{late}");
        }
    }

    /// Adds up what the lines say of each metric: how many values, and their sum.
    fn told(lines: &[Vec<u8>]) -> BTreeMap<String, (u64, f64)> {
        let mut told = BTreeMap::<String, (u64, f64)>::new();
        for line in lines {
            let line: Value = serde_json::from_slice(line).unwrap();
            let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
            for metric in directives.iter().flat_map(|directive| directive["Metrics"].as_array().unwrap()) {
                let name = metric["Name"].as_str().unwrap();
                let (count, sum) = match &line[name] {
                    Value::Array(values) => {
                        (values.len() as u64, values.iter().map(|value| value.as_f64().unwrap()).sum())
                    }
                    Value::Object(told) => (told["Count"].as_u64().unwrap(), told["Sum"].as_f64().unwrap()),
                    number => (1, number.as_f64().unwrap()),
                };
                let entry = told.entry(name.to_owned()).or_default();
                entry.0 += count;
                entry.1 += sum;
            }
        }
        told
    }

    #[test]
    fn nothing_recorded_during_a_flush_is_lost_or_told_twice() {
        // Defect 40: what came between sending and clearing was dropped, and what had been sent was sent again.
        const THREADS: usize = 4;
        const CALLS: usize = 20_000;
        let (store, done, refused) = (Store::default(), AtomicUsize::new(0), AtomicBool::new(false));
        let mut lines = Vec::new();
        let flush_once = |lines: &mut Vec<Vec<u8>>, refuse: bool| {
            let write = |members: &[u8]| {
                // Every other line finds a full buffer.
                let taken = !refuse || refused.fetch_xor(true, Ordering::Relaxed);
                if taken {
                    lines.push([b"{\"level\":\"INFO\"", members, b"}"].concat());
                }
                taken
            };
            flush(&store, ORIGIN, true, 0, write);
        };
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (store, done) = (&store, &done);
                scope.spawn(move || {
                    for call in 0..CALLS {
                        let endpoint = format!("/{}", call % 7);
                        let labels = [("endpoint", endpoint.as_str())];
                        store.with(Kind::Counter, "api_requests", labels.into_iter(), |handle| handle.record(1.0, 1));
                        store.with(Kind::Distribution, "api_request_duration", labels.into_iter(), |handle| {
                            handle.record((call * (thread + 1)) as f64, 1);
                        });
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                });
            }
            while done.load(Ordering::Relaxed) < THREADS {
                flush_once(&mut lines, true);
            }
        });
        flush_once(&mut lines, false);
        let told = told(&lines);
        let calls = (THREADS * CALLS) as f64;
        let sum = (1..=THREADS).sum::<usize>() as f64 * (0..CALLS).sum::<usize>() as f64;
        assert_eq!(told["api_requests"].1, calls);
        let (count, durations) = told["api_request_duration"];
        assert_eq!(count as f64, calls);
        assert!((durations - sum).abs() < 1e-9 * sum, "{durations} for {sum}");
    }

    #[test]
    fn a_flusher_flushes_when_an_interval_is_over_and_stops_when_it_is_dropped() {
        let (sender, received) = mpsc::channel();
        let flusher = Flusher::start(Duration::from_secs(1), move |at| sender.send(at).unwrap()).unwrap();
        let at = received.recv().unwrap();
        assert!((now_millis() - at).abs() < MINUTE_MILLIS);
        drop(flusher);
        assert!(received.iter().count() <= 1, "the thread is gone, and what it sent with it");
    }
}
