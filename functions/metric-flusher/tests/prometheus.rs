//! Ticks that write to a Prometheus in memory, with crashes between any two effects.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::Minute;
use domain::keys;
use domain::metrics::flush::{Delta, Extraction};
use domain::metrics::pending::{PendingMetrics, VERSION};
use domain::metrics::prometheus::{IDLE_MINUTES, REFUSED_MINUTES};
use domain::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};
use domain::ports::Retry;
use jiff::Timestamp;
use metric_flusher::{Config, Exporter, Flusher, LEASE, Sent, TAKING_IN};
use testkit::memory_bucket::Moment;
use testkit::{InMemoryBucket, InMemoryPrometheus, Operation, RecordedMetrics};

type TestFlusher = Flusher<InMemoryBucket, RecordedMetrics, InMemoryPrometheus>;

/// What outlives a cold start.
#[derive(Clone)]
struct World {
    bucket: InMemoryBucket,
    metrics: RecordedMetrics,
    remote: InMemoryPrometheus,
}

impl World {
    fn new() -> World {
        World { bucket: InMemoryBucket::new(), metrics: RecordedMetrics::new(), remote: InMemoryPrometheus::new() }
    }

    /// A flusher that knows nothing yet.
    fn cold_start(&self) -> TestFlusher {
        let World { bucket, metrics, remote } = self.clone();
        let prometheus = Exporter::new(remote, [("environment".to_owned(), "test".to_owned())].into());
        let (namespace, extraction) = ("LandContracts".to_owned(), Extraction::CloudWatch);
        Flusher { bucket, metrics, namespace, extraction, prometheus: Some(prometheus), taking_in: TAKING_IN }
    }

    fn place(&self, id: &str, points: &[(&str, &str, f64)]) {
        let object = batch(id, points).to_object();
        self.bucket.place(&object.key, object.body);
    }

    /// What Prometheus finds that was created.
    fn created(&self) -> f64 {
        self.remote.grown(&[("__name__", "contracts_created_total")])
    }
}

fn minute(after: i64) -> Minute {
    "2026-11-21T10:05Z".parse::<Minute>().unwrap().plus(after)
}

fn now(after: i64) -> Timestamp {
    minute(after).start()
}

fn key(name: &str, service: &str) -> SeriesKey {
    SeriesKey { name: name.into(), dimensions: Dimensions::from([("service".into(), service.into())]) }
}

/// Points by metric and service, all of one minute.
fn batch(id: &str, points: &[(&str, &str, f64)]) -> PendingMetrics {
    let at = minute(0).start().as_millisecond();
    let mut series = SeriesSet::default();
    for (name, service, value) in points {
        series.add(key(name, service), &Aggregate::of(*value, at));
    }
    let minutes = BTreeMap::from([(minute(0), series)]);
    PendingMetrics { version: VERSION, batch_id: id.into(), minutes, extracted: BTreeMap::new() }
}

#[tokio::test]
async fn what_is_counted_is_told_in_seconds_with_a_zero_before() {
    let world = World::new();
    world.place("a", &[("contracts_created", "contract", 3.0), ("api_request_duration", "api", 250.0)]);
    world.place("b", &[("cpu_usage_percent", "api", 71.5), ("api_request_duration", "api", 9.0)]);
    let summary = world.cold_start().flush(minute(1), now(1)).await.unwrap();
    // A counter, 13 buckets with sum and count, and a gauge; and the zeros of the former two.
    assert_eq!(summary.prometheus, Sent { samples: 16 + 17, requests: 2, refused: 0, late: 0 });
    let at = now(1).as_millisecond();
    let told = |labels: &[(&str, &str)]| -> Vec<(i64, f64)> {
        world.remote.samples(labels).iter().map(|sample| (sample.timestamp - at, sample.value)).collect()
    };
    let created = [("__name__", "contracts_created_total"), ("environment", "test"), ("service", "contract")];
    assert_eq!(told(&created), [(-30_000, 0.0), (0, 3.0)]);
    assert_eq!(told(&[("__name__", "cpu_usage_percent")]), [(0, 71.5)]);
    let bucket = |le| told(&[("__name__", "api_request_duration_seconds_bucket"), ("le", le)])[1].1;
    assert_eq!(["0.005", "0.01", "0.1", "0.25", "30", "+Inf"].map(bucket), [0.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    assert_eq!(told(&[("__name__", "api_request_duration_seconds_sum")]), [(-30_000, 0.0), (0, 0.259)]);
    assert_eq!(told(&[("__name__", "api_request_duration_seconds_count")])[1], (0, 2.0));
    let metadata = &world.remote.requests()[0].metadata;
    let families: Vec<_> = metadata.iter().map(|m| (m.metric_family_name.as_str(), m.unit.as_str())).collect();
    assert_eq!(families, [("api_request_duration_seconds", "seconds"), ("contracts_created_total", "")]);
}

#[tokio::test]
async fn a_cold_start_goes_on_with_the_same_counters_and_an_idle_tick_sends_them_again() {
    let world = World::new();
    for tick in 1..4 {
        world.place(&format!("batch-{tick}"), &[("contracts_created", "contract", 2.0)]);
        world.cold_start().flush(minute(tick), now(tick)).await.unwrap();
    }
    world.cold_start().flush(minute(4), now(4)).await.unwrap();
    let values: Vec<f64> =
        world.remote.samples(&[("__name__", "contracts_created_total")]).iter().map(|sample| sample.value).collect();
    assert_eq!(values, [0.0, 2.0, 4.0, 6.0, 6.0]);
}

#[tokio::test]
async fn a_tick_costs_one_write_of_the_state_and_no_reading_once_it_is_known() {
    let world = World::new();
    let flusher = world.cold_start();
    let of_state = || {
        let all = world.bucket.operations();
        all.into_iter().filter(|(_, key)| key == keys::PROMETHEUS_STATE).map(|(what, _)| what).collect::<Vec<_>>()
    };
    world.place("a", &[("contracts_created", "contract", 1.0)]);
    flusher.flush(minute(1), now(1)).await.unwrap();
    // Counted, and the zero noted.
    assert_eq!(of_state(), [Operation::Get, Operation::Replace, Operation::Replace]);
    world.place("b", &[("contracts_created", "contract", 1.0)]);
    flusher.flush(minute(2), now(2)).await.unwrap();
    flusher.flush(minute(3), now(3)).await.unwrap();
    assert_eq!(of_state()[3..], [Operation::Replace, Operation::Replace]);
}

#[tokio::test]
async fn a_tick_that_comes_twice_says_nothing_else() {
    let world = World::new();
    world.place("a", &[("contracts_created", "contract", 1.0)]);
    world.cold_start().flush(minute(1), now(1)).await.unwrap();
    world.cold_start().flush(minute(1), now(1)).await.unwrap();
    world.place("b", &[("contracts_created", "contract", 1.0), ("contracts_created", "web", 1.0)]);
    let summary = world.cold_start().flush(minute(1), now(1)).await.unwrap();
    assert_eq!((summary.prometheus.refused, summary.prometheus.late), (0, 0));
    assert_eq!((world.created(), world.bucket.keys_under("quarantine/")), (3.0, vec![]));
}

/// Runs cold starts, more than a lease apart, until all is told.
async fn recover(world: &World) {
    world.bucket.heal();
    world.remote.heal();
    for tick in [4, 8] {
        world.cold_start().flush(minute(tick), now(tick)).await.unwrap();
    }
}

#[tokio::test]
async fn a_crash_between_any_two_effects_neither_loses_nor_doubles_a_count() {
    // Whatever goes outside is an effect: operations of the bucket and requests to Prometheus alike.
    let mut crash_at = 0;
    loop {
        let mut is_over = true;
        for moment in [Moment::Before, Moment::After] {
            let world = World::new();
            world.place("a", &[("contracts_created", "contract", 1.0), ("api_request_duration", "api", 250.0)]);
            world.cold_start().flush(minute(1), now(1)).await.unwrap();
            // A series that is known and one that is new.
            world.place("b", &[("contracts_created", "contract", 2.0), ("contracts_created", "web", 4.0)]);
            world.place("c", &[("api_request_duration", "api", 9.0), ("contracts_signed", "web", 1.0)]);
            let effects = Arc::new(AtomicUsize::new(0));
            let fault = |effects: Arc<AtomicUsize>| {
                // From the crash on nothing gets through.
                move || match effects.fetch_add(1, Ordering::SeqCst) {
                    at if at == crash_at => Some(moment),
                    at if at > crash_at => Some(Moment::Before),
                    _ => None,
                }
            };
            let (of_bucket, of_remote) = (fault(effects.clone()), fault(effects.clone()));
            world.bucket.inject(move |_, _| of_bucket());
            world.remote.inject(of_remote);
            if world.cold_start().flush(minute(2), now(2)).await.is_err() {
                is_over = false;
            } else {
                assert!(effects.load(Ordering::SeqCst) <= crash_at, "a failure was not told");
            }
            recover(&world).await;
            let told = format!("crash {moment:?} effect {crash_at}");
            assert_eq!(world.created(), 7.0, "{told}");
            assert_eq!(world.remote.grown(&[("__name__", "contracts_signed_total")]), 1.0, "{told}");
            assert_eq!(world.remote.grown(&[("__name__", "api_request_duration_seconds_count")]), 2.0, "{told}");
            assert_eq!(world.remote.grown(&[("__name__", "api_request_duration_seconds_sum")]), 0.259, "{told}");
            assert_eq!(world.bucket.keys_under("quarantine/"), Vec::<String>::new(), "{told}");
            assert_eq!(world.bucket.keys_under("metrics/"), Vec::<String>::new(), "{told}");
        }
        if is_over {
            break;
        }
        crash_at += 1;
    }
    assert!(crash_at > 15, "only {crash_at} effects");
}

#[tokio::test]
async fn a_remote_that_is_away_loses_nothing_and_holds_up_nothing_else() {
    let world = World::new();
    world.remote.inject(|| Some(Moment::Before));
    let flusher = world.cold_start();
    // Longer than a series may be idle.
    for tick in 1..=IDLE_MINUTES + 10 {
        if tick <= 3 {
            world.place(&format!("batch-{tick}"), &[("contracts_created", "contract", 1.0)]);
        }
        let error = flusher.flush(minute(tick), now(tick)).await.unwrap_err();
        assert!(format!("{error:#}").starts_with("not all was sent to Prometheus"), "{error:#}");
    }
    assert_eq!(world.metrics.sum("contracts_created"), 3.0);
    assert_eq!(world.bucket.keys_under("metrics/"), Vec::<String>::new());
    world.remote.heal();
    let tick = IDLE_MINUTES + 11;
    flusher.flush(minute(tick), now(tick)).await.unwrap();
    assert_eq!(world.created(), 3.0);
}

#[tokio::test]
async fn what_fails_elsewhere_does_not_hide_series_from_prometheus() {
    let world = World::new();
    let flusher = world.cold_start();
    world.place("a", &[("contracts_created", "contract", 1.0)]);
    flusher.flush(minute(1), now(1)).await.unwrap();
    world.place("b", &[("contracts_created", "contract", 1.0)]);
    world.metrics.fail_next([Retry::Transient]);
    flusher.flush(minute(2), now(2)).await.unwrap_err();
    let samples = world.remote.samples(&[("__name__", "contracts_created_total")]);
    assert_eq!(samples.last().unwrap().timestamp, now(2).as_millisecond());
    flusher.flush(minute(3), now(2) + LEASE).await.unwrap();
    assert_eq!(world.created(), 2.0);
}

#[tokio::test]
async fn a_series_that_is_idle_ends_and_begins_again_at_zero() {
    let world = World::new();
    let flusher = world.cold_start();
    world.place("a", &[("contracts_created", "contract", 5.0), ("cpu_usage_percent", "api", 50.0)]);
    flusher.flush(minute(1), now(1)).await.unwrap();
    for tick in 2..=IDLE_MINUTES + 2 {
        flusher.flush(minute(tick), now(tick)).await.unwrap();
    }
    let ends = |name: &str| {
        let samples = world.remote.samples(&[("__name__", name)]);
        let stale: Vec<i64> = samples.iter().filter(|s| s.is_stale()).map(|s| s.timestamp).collect();
        (stale, samples.len() as i64)
    };
    // Told in the first tick; a gauge by its event, the minute before.
    let ended = |after: i64| vec![minute(after).start().as_millisecond()];
    assert_eq!(ends("contracts_created_total"), (ended(1 + IDLE_MINUTES), IDLE_MINUTES + 2));
    assert_eq!(ends("cpu_usage_percent"), (ended(IDLE_MINUTES), IDLE_MINUTES));
    // Right in the next tick.
    let tick = IDLE_MINUTES + 2;
    world.place("b", &[("contracts_created", "contract", 7.0)]);
    flusher.flush(minute(tick), now(tick)).await.unwrap();
    assert_eq!((world.created(), world.bucket.keys_under("quarantine/")), (12.0, vec![]));
}

#[tokio::test]
async fn a_series_that_is_refused_goes_to_quarantine_and_holds_up_no_other() {
    let world = World::new();
    world.remote.refuse("service", "bad");
    let flusher = world.cold_start();
    let services = ["api", "bad", "contract", "web", "user"];
    world.place("a", &services.map(|service| ("contracts_created", service, 1.0)));
    let sent = flusher.flush(minute(1), now(1)).await.unwrap().prometheus;
    assert_eq!((sent.refused, sent.late), (1, 0));
    assert_eq!(world.created(), 4.0);
    let [kept] = &world.bucket.keys_under("quarantine/prometheus/dt=2026-11-21/")[..] else { panic!("one is kept") };
    let kept = String::from_utf8(world.bucket.body(kept).unwrap()).unwrap();
    assert!(kept.contains("per-metric series limit exceeded") && kept.contains("bad"), "{kept}");
    // It is left alone for an hour, and then tried again.
    for tick in 2..=REFUSED_MINUTES {
        world.place(&format!("batch-{tick}"), &[("contracts_created", "bad", 1.0)]);
        assert_eq!(flusher.flush(minute(tick), now(tick)).await.unwrap().prometheus.refused, 0);
    }
    world.remote.refuse("service", "worse");
    let tick = REFUSED_MINUTES + 1;
    flusher.flush(minute(tick), now(tick)).await.unwrap();
    assert_eq!(world.remote.grown(&[("service", "bad")]), REFUSED_MINUTES as f64);
    assert_eq!(world.bucket.keys_under("quarantine/").len(), 1);
}

#[tokio::test]
async fn samples_that_come_too_late_are_kept_and_the_next_tick_heals() {
    let world = World::new();
    world.place("a", &[("contracts_created", "contract", 1.0)]);
    world.cold_start().flush(minute(1), now(1)).await.unwrap();
    let state = world.bucket.body(keys::PROMETHEUS_STATE).unwrap();
    world.cold_start().flush(minute(5), now(5)).await.unwrap();
    // Another flusher, whose clock is behind, goes on from a state that was brought back.
    world.bucket.place(keys::PROMETHEUS_STATE, state);
    world.place("b", &[("contracts_created", "contract", 1.0), ("contracts_signed", "web", 1.0)]);
    let sent = world.cold_start().flush(minute(3), now(3)).await.unwrap().prometheus;
    assert_eq!((sent.refused, sent.late), (0, 2));
    assert_eq!(world.bucket.keys_under("quarantine/prometheus/").len(), 1);
    world.cold_start().flush(minute(6), now(6)).await.unwrap();
    assert_eq!((world.created(), world.remote.grown(&[("__name__", "contracts_signed_total")])), (2.0, 1.0));
}

#[tokio::test]
async fn a_lost_state_is_a_reset_and_one_that_can_not_be_read_is_kept() {
    for lost in [None, Some("{}x")] {
        let world = World::new();
        world.place("a", &[("contracts_created", "contract", 5.0)]);
        world.cold_start().flush(minute(1), now(1)).await.unwrap();
        let bucket = InMemoryBucket::new();
        for key in world.bucket.keys().into_iter().filter(|key| key != keys::PROMETHEUS_STATE) {
            bucket.place(&key, world.bucket.body(&key).unwrap());
        }
        if let Some(text) = lost {
            bucket.place(keys::PROMETHEUS_STATE, text);
        }
        let world = World { bucket, ..world };
        world.place("b", &[("contracts_created", "contract", 6.0)]);
        world.cold_start().flush(minute(2), now(2)).await.unwrap();
        assert_eq!(world.created(), 11.0);
        assert_eq!(world.bucket.keys_under("quarantine/prometheus-state/").len(), usize::from(lost.is_some()));
    }
}

#[tokio::test]
async fn a_lost_journal_does_not_hide_later_sweeps() {
    let world = World::new();
    world.place("a", &[("contracts_created", "contract", 5.0)]);
    world.cold_start().flush(minute(1), now(1)).await.unwrap();
    let bucket = InMemoryBucket::new();
    bucket.place(keys::PROMETHEUS_STATE, world.bucket.body(keys::PROMETHEUS_STATE).unwrap());
    let world = World { bucket, ..world };
    world.place("b", &[("contracts_created", "contract", 6.0)]);
    world.cold_start().flush(minute(2), now(2)).await.unwrap();
    assert_eq!(world.created(), 11.0);
}

#[tokio::test]
async fn of_two_flushers_each_sweep_counts_once() {
    let world = World::new();
    let (first, second) = (world.cold_start(), world.cold_start());
    let delta = |value: f64| {
        let series = SeriesSet::from_iter([(key("contracts_created", "contract"), Aggregate::of(value, 0))]);
        BTreeMap::from([(minute(0), Delta { series, ..Delta::default() })])
    };
    let [first, second] = [&first, &second].map(|flusher| flusher.prometheus.as_ref().unwrap());
    for (exporter, tick, sweep, value) in
        [(first, 1, 7, 1.0), (second, 1, 7, 1.0), (second, 2, 9, 2.0), (first, 2, 7, 1.0), (first, 3, 12, 4.0)]
    {
        exporter.count(&world.bucket, minute(tick), sweep, &delta(value)).await.unwrap();
        exporter.send(&world.bucket, minute(tick)).await.unwrap();
    }
    second.send(&world.bucket, minute(4)).await.unwrap();
    assert_eq!(world.created(), 7.0);
}

#[test]
fn a_prometheus_is_configured_whole_or_not_at_all() {
    const WELL: &[(&str, &str)] = &[("BUCKET_NAME", "b"), ("METRIC_NAMESPACE", "n"), ("EMF_EXTRACTION", "flusher")];
    let read = |more: &[(&str, &str)]| {
        let all: BTreeMap<String, String> =
            WELL.iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Config::from_lookup(|name| all.get(name).cloned())
    };
    assert_eq!(read(&[]).unwrap().prometheus, None);
    assert_eq!(read(&[("PROMETHEUS_ENDPOINT", ""), ("PROMETHEUS_AUTH", "none")]).unwrap().prometheus, None);
    let endpoint = ("PROMETHEUS_ENDPOINT", "https://prometheus.example.com/api/v1/write");
    let environment = ("ENVIRONMENT", "test");
    for auth in ["none", "sigv4"] {
        assert!(read(&[endpoint, environment, ("PROMETHEUS_AUTH", auth)]).unwrap().prometheus.is_some());
    }
    let secret = ("PROMETHEUS_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:x");
    assert!(read(&[endpoint, environment, secret, ("PROMETHEUS_AUTH", "basic")]).unwrap().prometheus.is_some());
    for (more, problem) in [
        (&[endpoint, environment][..], "PROMETHEUS_AUTH is not set"),
        (
            &[endpoint, environment, ("PROMETHEUS_AUTH", "token")],
            "PROMETHEUS_AUTH is `token`: not `none`, `sigv4`, `bearer` or `basic`",
        ),
        (&[endpoint, environment, ("PROMETHEUS_AUTH", "bearer")], "PROMETHEUS_SECRET_ARN is not set"),
        (&[endpoint, ("PROMETHEUS_AUTH", "none")], "ENVIRONMENT is not set"),
        (
            &[("PROMETHEUS_ENDPOINT", "http://prometheus.example.com/"), environment, ("PROMETHEUS_AUTH", "none")],
            "PROMETHEUS_ENDPOINT is `(hidden)`: not an https URL without a user and a query, like \
             https://prometheus.example.com/api/v1/write (http is for loopback only)",
        ),
    ] {
        assert_eq!(read(more).unwrap_err().to_string(), format!("configuration: {problem}"));
    }
}
