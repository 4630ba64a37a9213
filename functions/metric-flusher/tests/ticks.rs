//! Ticks on ports in memory.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::Minute;
use domain::keys;
use domain::logs::pipeline::Pipeline;
use domain::logs::replay::{self, ReplayError};
use domain::metrics::bound::MAX_VALUES;
use domain::metrics::flush::{Extraction, FlushState};
use domain::metrics::pending::{PendingMetrics, VERSION};
use domain::metrics::put::Refused;
use domain::metrics::recent::RecentRollups;
use domain::metrics::rollup::Rollup;
use domain::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};
use domain::ports::Retry;
use jiff::Timestamp;
use metric_flusher::{Config, Flusher, LEASE, Summary};
use testkit::memory_bucket::Moment;
use testkit::{InMemoryBucket, InMemoryPrometheus, Operation, RecordedMetrics, event_file, pipeline};

type TestFlusher = Flusher<InMemoryBucket, RecordedMetrics, InMemoryPrometheus>;

fn flusher() -> TestFlusher {
    flusher_with(Extraction::CloudWatch)
}

fn flusher_with(extraction: Extraction) -> TestFlusher {
    let namespace = "LandContracts".into();
    let (bucket, metrics) = (InMemoryBucket::new(), RecordedMetrics::new());
    Flusher { bucket, metrics, namespace, extraction, prometheus: None, taking_in: Duration::from_secs(3_600) }
}

fn now() -> Timestamp {
    "2026-11-21T10:07:00Z".parse().unwrap()
}

fn tick() -> Minute {
    Minute::of(now())
}

fn minute() -> Minute {
    "2026-11-21T10:05Z".parse().unwrap()
}

fn batch(id: &str, values: &[(Minute, f64)]) -> PendingMetrics {
    let dimensions = Dimensions::from([("service".into(), "contract".into()), ("role".into(), "buyer".into())]);
    let key = SeriesKey { name: "contracts_created".into(), dimensions };
    let mut minutes: BTreeMap<Minute, SeriesSet> = BTreeMap::new();
    for (minute, value) in values {
        minutes.entry(*minute).or_default().add(key.clone(), &Aggregate::of(*value, 0));
    }
    PendingMetrics { version: VERSION, batch_id: id.into(), minutes, extracted: BTreeMap::new() }
}

/// The same with metrics that its lines have brought along.
fn with_extracted(pending: PendingMetrics, extracted: &[(Minute, f64)]) -> PendingMetrics {
    PendingMetrics { extracted: batch("", extracted).minutes, ..pending }
}

fn place(flusher: &TestFlusher, batch: &PendingMetrics) {
    let object = batch.to_object();
    flusher.bucket.place(&object.key, object.body);
}

/// What CloudWatch was given without dimensions, summed.
fn put_in_total(flusher: &TestFlusher) -> f64 {
    flusher.metrics.sum("contracts_created")
}

fn rolled_up(flusher: &TestFlusher) -> f64 {
    let keys = flusher.bucket.keys_under("rollups/dt=");
    let rollups = keys.iter().map(|key| Rollup::parse(&flusher.bucket.body(key).unwrap()).unwrap());
    rollups.map(|rollup| rollup.series.iter().map(|(_, held)| held.sum).sum::<f64>()).sum()
}

fn state(flusher: &TestFlusher) -> FlushState {
    FlushState::parse(&flusher.bucket.body(keys::FLUSH_STATE).unwrap()).unwrap()
}

#[tokio::test]
async fn pending_metrics_are_merged_put_and_rolled_up() {
    let flusher = flusher();
    place(&flusher, &batch("a", &[(minute(), 1.0), (minute().plus(1), 1.0)]));
    place(&flusher, &batch("b", &[(minute(), 2.0)]));
    let summary = flusher.flush(tick(), now()).await.unwrap();
    assert_eq!(summary, Summary { pending: 2, minutes: 2, puts: 1, ..Summary::default() });
    let (namespace, data) = &flusher.metrics.taken()[0];
    assert_eq!(namespace, "LandContracts");
    // Two minutes, each put without dimensions, by service and by role.
    assert_eq!(data.len(), 6);
    assert_eq!((put_in_total(&flusher), rolled_up(&flusher)), (4.0, 4.0));
    assert_eq!(flusher.bucket.keys_under("metrics/"), Vec::<String>::new());
    assert_eq!(state(&flusher).journal, None);
    let recent = RecentRollups::parse(&flusher.bucket.body(keys::RECENT_ROLLUPS).unwrap()).unwrap();
    assert_eq!(recent.minutes.len(), 2);
}

#[tokio::test]
async fn a_batch_that_comes_again_counts_once() {
    // Defect 40: what had been sent was sent again.
    for (extraction, put) in [(Extraction::CloudWatch, 1.0), (Extraction::Flusher, 111.0)] {
        let flusher = flusher_with(extraction);
        let extracted = [(minute(), 10.0), (minute().plus(-1), 100.0)];
        for _ in 0..3 {
            place(&flusher, &with_extracted(batch("a", &[(minute(), 1.0)]), &extracted));
            flusher.flush(tick(), now()).await.unwrap();
        }
        assert_eq!((put_in_total(&flusher), rolled_up(&flusher)), (put, 111.0));
        place(&flusher, &with_extracted(batch("a", &[(minute(), 1.0)]), &extracted));
        assert_eq!(flusher.flush(tick(), now()).await.unwrap().repeated, 1);
        assert_eq!(flusher.bucket.keys_under("metrics/"), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_lines_bring_along_is_in_the_rollups_and_put_by_whom_the_setting_says() {
    for (extraction, calls, put) in [(Extraction::CloudWatch, 0, 0.0), (Extraction::Flusher, 1, 5.0)] {
        let flusher = flusher_with(extraction);
        place(&flusher, &with_extracted(batch("a", &[]), &[(minute(), 5.0)]));
        let summary = flusher.flush(tick(), now()).await.unwrap();
        assert_eq!(summary, Summary { pending: 1, minutes: 1, puts: calls, ..Summary::default() });
        assert_eq!((put_in_total(&flusher), rolled_up(&flusher)), (put, 5.0));
        let recent = RecentRollups::parse(&flusher.bucket.body(keys::RECENT_ROLLUPS).unwrap()).unwrap();
        assert_eq!(recent.minutes[&minute()].len(), 3, "rules read it without dimensions, by service and by role");
    }
}

#[tokio::test]
async fn a_sweep_that_another_configuration_finishes_makes_the_calls_that_it_was_to_make() {
    for (before, after, put) in
        [(Extraction::CloudWatch, Extraction::Flusher, 1.0), (Extraction::Flusher, Extraction::CloudWatch, 6.0)]
    {
        let flusher = flusher_with(before);
        place(&flusher, &with_extracted(batch("a", &[(minute(), 1.0)]), &[(minute(), 5.0)]));
        flusher.metrics.fail_next([Retry::Transient]);
        flusher.flush(tick(), now()).await.unwrap_err();
        let flusher = TestFlusher { extraction: after, ..flusher };
        assert!(flusher.flush(tick(), now() + LEASE).await.unwrap().resumed);
        assert_eq!((put_in_total(&flusher), rolled_up(&flusher)), (put, 6.0), "{before:?}");
    }
}

#[tokio::test]
async fn late_points_go_to_their_own_minute() {
    let flusher = flusher();
    place(&flusher, &batch("a", &[(minute(), 1.0)]));
    flusher.flush(tick(), now()).await.unwrap();
    place(&flusher, &batch("late", &[(minute(), 5.0)]));
    flusher.flush(tick(), now()).await.unwrap();
    let rollup = Rollup::parse(&flusher.bucket.body(&keys::rollup(minute())).unwrap()).unwrap();
    assert_eq!(rollup.batches.len(), 2);
    assert_eq!((put_in_total(&flusher), rolled_up(&flusher)), (6.0, 6.0));
}

#[tokio::test]
async fn a_tick_without_work_only_says_that_it_was_there() {
    let flusher = flusher();
    assert_eq!(flusher.flush(tick(), now()).await.unwrap(), Summary::default());
    assert_eq!(flusher.bucket.keys(), [keys::RECENT_ROLLUPS]);
}

#[tokio::test]
async fn what_is_outside_the_limits_of_cloudwatch_goes_to_quarantine_and_the_rest_is_put() {
    let flusher = flusher();
    let ahead = minute().plus(3 * 60);
    place(&flusher, &batch("a", &[(minute(), 1.0), (minute().plus(-13 * 1_440), 2.0), (ahead, 4.0)]));
    place(&flusher, &batch("old", &[(minute().plus(-15 * 1_440), 8.0)]));
    let summary = flusher.flush(tick(), now()).await.unwrap();
    // Each is put without dimensions, by service and by role.
    assert_eq!((summary.puts, summary.refused, summary.minutes), (1, 6, 4));
    assert_eq!(put_in_total(&flusher), 3.0, "late points within two weeks go to their minute");
    assert_eq!(rolled_up(&flusher), 15.0, "rollups have all of it");
    let kept = flusher.bucket.keys_under("quarantine/");
    let [old, early] = &kept[..] else { panic!("{kept:?}") };
    assert!(old.starts_with("quarantine/metrics/dt=2026-11-06/"), "{old}");
    assert!(early.starts_with("quarantine/metrics/dt=2026-11-21/"), "{early}");
    let reason = |key: &str| serde_json::from_slice::<Refused>(&flusher.bucket.body(key).unwrap()).unwrap().reason;
    assert_eq!(reason(old), "it is older than the two weeks that CloudWatch takes");
    assert_eq!(reason(early), "it is more than the two hours ahead of its time that CloudWatch takes");
    assert_eq!(flusher.flush(tick(), now()).await.unwrap(), Summary::default());
}

#[tokio::test]
async fn free_values_of_many_batches_are_bounded_by_minute_and_what_is_folded_is_counted() {
    let flusher = flusher();
    let free = |id: usize| {
        let dimensions = Dimensions::from([
            ("service".into(), "contract".into()),
            ("reason".into(), format!("contract {id} is locked")),
        ]);
        let key = SeriesKey { name: "contract_creation_errors".into(), dimensions };
        let set = SeriesSet::from_iter([(key, Aggregate::of(1.0, 0))]);
        let minutes = BTreeMap::from([(minute(), set)]);
        PendingMetrics { version: VERSION, batch_id: id.to_string(), minutes, extracted: BTreeMap::new() }
    };
    let mut folded = 0;
    for ids in [0..80, 80..300, 0..80] {
        ids.for_each(|id| place(&flusher, &free(id)));
        folded += flusher.flush(tick(), now()).await.unwrap().folded;
    }
    assert_eq!(folded, 200);
    let rollup = Rollup::parse(&flusher.bucket.body(&keys::rollup(minute())).unwrap()).unwrap();
    let sum = |name: &str| rollup.series.named(name).map(|(_, held)| held.sum).sum::<f64>();
    assert_eq!(rollup.series.named("contract_creation_errors").count(), MAX_VALUES + 1);
    assert_eq!((sum("contract_creation_errors"), sum("pipeline_series_overflow")), (300.0, 200.0));
    assert_eq!(flusher.metrics.sum("contract_creation_errors"), 300.0);
    assert_eq!(flusher.metrics.sum("pipeline_series_overflow"), 200.0, "it is told like all others");
}

#[tokio::test]
async fn a_replay_of_many_minutes_is_taken_in_parts_that_fit_into_memory() {
    let flusher = flusher();
    for number in 0..1_000 {
        place(&flusher, &batch(&format!("b{number:04}"), &[(minute().plus(-number), 1.0)]));
    }
    let mut ticks = 1;
    while flusher.flush(tick(), now()).await.is_err() {
        ticks += 1;
        assert!(ticks < 5, "it does not get on");
    }
    assert_eq!((rolled_up(&flusher), put_in_total(&flusher)), (1_000.0, 1_000.0));
}

/// Runs ticks, a lease apart, until one succeeds without an injected fault.
async fn recover(flusher: &TestFlusher) {
    flusher.bucket.heal();
    flusher.flush(tick(), now() + LEASE + LEASE).await.unwrap();
}

#[tokio::test]
async fn no_two_states_are_the_same_so_that_a_flusher_that_slept_through_a_sweep_is_found_out() {
    let flusher = flusher();
    let mut states = std::collections::BTreeSet::new();
    for number in 0..3 {
        place(&flusher, &batch(&format!("b{number}"), &[(minute(), 1.0)]));
        flusher.flush(tick(), now()).await.unwrap();
        // S3 tells versions apart by their bytes alone.
        assert!(states.insert(flusher.bucket.body(keys::FLUSH_STATE).unwrap()));
    }
}

#[tokio::test]
async fn a_throttled_put_is_tried_again_at_the_next_tick() {
    let flusher = flusher();
    place(&flusher, &batch("a", &[(minute(), 1.0)]));
    flusher.metrics.fail_next([Retry::Transient]);
    flusher.flush(tick(), now()).await.unwrap_err();
    assert_eq!(flusher.bucket.keys_under("metrics/").len(), 1, "what is not done is not deleted");
    let summary = flusher.flush(tick(), now() + LEASE).await.unwrap();
    assert!(summary.resumed);
    assert_eq!((put_in_total(&flusher), rolled_up(&flusher)), (1.0, 1.0));
}

#[tokio::test]
async fn a_second_flusher_keeps_away_while_the_first_may_be_alive() {
    let flusher = flusher();
    place(&flusher, &batch("a", &[(minute(), 1.0)]));
    flusher.metrics.fail_next([Retry::Transient]);
    // It is killed at the put: after the journal nothing is written any more.
    let mut has_journal = false;
    flusher.bucket.inject(move |operation, key| {
        let is_state = operation == Operation::Replace && key == keys::FLUSH_STATE;
        (is_state && std::mem::replace(&mut has_journal, true)).then_some(Moment::Before)
    });
    flusher.flush(tick(), now()).await.unwrap_err();
    flusher.bucket.heal();
    assert_eq!(flusher.flush(tick(), now() + LEASE / 2).await.unwrap(), Summary { busy: true, ..Summary::default() });
    assert_eq!(flusher.metrics.taken().len(), 0);
}

#[tokio::test]
async fn a_flusher_that_fails_gives_its_lease_back() {
    let flusher = flusher();
    place(&flusher, &batch("a", &[(minute(), 1.0)]));
    flusher.metrics.fail_next([Retry::Transient]);
    flusher.flush(tick(), now()).await.unwrap_err();
    let summary = flusher.flush(tick().plus(1), now()).await.unwrap();
    assert_eq!((summary.busy, summary.resumed, put_in_total(&flusher)), (false, true, 1.0));
}

#[tokio::test]
async fn what_cloudwatch_refuses_is_kept_and_takes_nothing_along() {
    let flusher = TestFlusher { metrics: RecordedMetrics::refusing("active_users"), ..flusher() };
    let mut both = batch("a", &[(minute(), 1.0)]);
    let refused = SeriesKey { name: "active_users".into(), dimensions: Dimensions::new() };
    both.minutes.entry(minute()).or_default().add(refused, &Aggregate::of(3.0, 0));
    place(&flusher, &both);
    flusher.flush(tick(), now()).await.unwrap();
    assert_eq!(put_in_total(&flusher), 1.0, "the others of the same call are put, once");
    let kept = flusher.bucket.keys_under("quarantine/metrics/dt=2026-11-21/");
    assert_eq!(kept.len(), 1);
    let body = flusher.bucket.body(&kept[0]).unwrap();
    let told = replay::object(&mut Pipeline::new(pipeline::settings()), &kept[0], &body).unwrap_err();
    assert!(matches!(told, ReplayError::RefusedMetrics), "{told}");
    let kept: Refused = serde_json::from_slice(&body).unwrap();
    assert_eq!((kept.metrics.len(), kept.metrics[0].name.as_str()), (1, "active_users"));
    assert_eq!(kept.reason, "put metrics: invalid parameter value");
    assert_eq!(flusher.flush(tick(), now()).await.unwrap(), Summary::default());
}

#[tokio::test]
async fn metrics_that_may_not_be_put_wait_until_they_may() {
    let flusher = flusher();
    place(&flusher, &batch("a", &[(minute(), 1.0)]));
    flusher.metrics.fail_next([Retry::Denied]);
    flusher.flush(tick(), now()).await.unwrap_err();
    assert_eq!(flusher.bucket.keys_under("quarantine/"), Vec::<String>::new());
    flusher.flush(tick(), now() + LEASE).await.unwrap();
    assert_eq!((put_in_total(&flusher), rolled_up(&flusher)), (1.0, 1.0));
}

#[tokio::test]
async fn every_tick_says_up_to_when_all_is_taken_in() {
    let flusher = flusher();
    let until = || {
        let recent = flusher.bucket.body(keys::RECENT_ROLLUPS).unwrap();
        RecentRollups::parse(&recent).unwrap().flushed_until
    };
    flusher.flush(tick(), now()).await.unwrap();
    assert_eq!(until(), Some(tick()), "also where nothing came");
    place(&flusher, &batch("a", &[(minute(), 1.0)]));
    flusher.metrics.fail_next([Retry::Transient]);
    flusher.flush(tick().plus(1), now()).await.unwrap_err();
    assert_eq!(until(), Some(tick()), "a sweep that is not finished has not taken in all");
    flusher.flush(tick().plus(2), now() + LEASE).await.unwrap();
    assert_eq!(until(), Some(tick().plus(2)));
    flusher.flush(tick().plus(1), now() + LEASE).await.unwrap();
    assert_eq!(until(), Some(tick().plus(2)), "a tick that comes late does not turn time back");
}

#[tokio::test]
async fn more_than_one_sweep_takes_is_swept_in_the_same_tick() {
    let flusher = flusher();
    for number in 0..10_001 {
        place(&flusher, &batch(&format!("b{number}"), &[(minute(), 1.0)]));
    }
    let summary = flusher.flush(tick(), now()).await.unwrap();
    assert_eq!((summary.pending, rolled_up(&flusher)), (10_001, 10_001.0));
    assert_eq!((summary.puts, flusher.bucket.keys_under("metrics/").len()), (2, 0), "a call for each sweep");
}

#[tokio::test]
async fn more_than_a_tick_has_time_for_is_told_and_goes_on_at_the_next() {
    let flusher = Flusher { taking_in: Duration::ZERO, ..flusher() };
    for number in 0..100 {
        place(&flusher, &batch(&format!("b{number}"), &[(minute(), 1.0)]));
    }
    let error = flusher.flush(tick(), now()).await.unwrap_err();
    assert_eq!(error.to_string(), "more is pending than a tick has time for: the next tick goes on");
    assert_eq!(rolled_up(&flusher), 64.0, "but something is taken in, however little time there is");
    flusher.flush(tick().plus(1), now()).await.unwrap();
    assert_eq!((rolled_up(&flusher), put_in_total(&flusher)), (100.0, 100.0));
}

#[tokio::test]
async fn a_backlog_is_swept_in_parts_that_fit_into_memory() {
    let flusher = flusher();
    for number in 0..65 {
        // Each of its own service, which is never folded: 51,200 series in the first 64 objects.
        let series = (0..if number < 64 { 800 } else { 1 }).map(|service| {
            let dimensions = Dimensions::from([("service".to_owned(), format!("s{number}-{service}"))]);
            (SeriesKey { name: "daily_contracts".to_owned(), dimensions }, Aggregate::of(1.0, 0))
        });
        let minutes = BTreeMap::from([(minute(), SeriesSet::from_iter(series))]);
        place(&flusher, &PendingMetrics { minutes, ..batch(&format!("b{number:02}"), &[]) });
    }
    let sweeps = Arc::new(AtomicUsize::new(0));
    let seen = sweeps.clone();
    flusher.bucket.inject(move |operation, key| {
        let is_sweep = operation == Operation::List && key == "metrics/pending/";
        seen.fetch_add(usize::from(is_sweep), Ordering::Relaxed);
        None
    });
    flusher.flush(tick(), now()).await.unwrap();
    assert_eq!(sweeps.load(Ordering::Relaxed), 2);
    assert_eq!(rolled_up(&flusher), 64.0 * 800.0 + 1.0);
}

#[tokio::test]
async fn a_backlog_of_old_minutes_does_not_fill_what_the_evaluator_reads() {
    let flusher = Flusher { taking_in: Duration::ZERO, ..flusher() };
    for number in 0..100 {
        let values: Vec<(Minute, f64)> = (0..10).map(|at| (minute().plus(-10 * number - at), 1.0)).collect();
        place(&flusher, &batch(&format!("b{number:03}"), &values));
    }
    flusher.flush(tick(), now()).await.unwrap_err();
    let recent = RecentRollups::parse(&flusher.bucket.body(keys::RECENT_ROLLUPS).unwrap()).unwrap();
    assert!(
        !recent.minutes.is_empty() && recent.minutes.keys().all(|at| tick().since(*at) < 120),
        "{:?}",
        recent.minutes.len()
    );
    assert_eq!(rolled_up(&flusher), 640.0);
}

#[tokio::test]
async fn pending_metrics_that_can_not_be_read_are_kept_and_the_rest_goes_on() {
    let flusher = flusher();
    place(&flusher, &batch("a", &[(minute(), 1.0)]));
    flusher.bucket.place("metrics/pending/broken.json", "{\"version\":1");
    flusher.bucket.place("metrics/pending/newer.json", r#"{"version":2,"batch_id":"x","minutes":{}}"#);
    flusher.flush(tick(), now()).await.unwrap();
    assert_eq!(
        flusher.bucket.keys_under("quarantine/"),
        ["quarantine/pending-metrics/dt=unknown/broken.json", "quarantine/pending-metrics/dt=unknown/newer.json"]
    );
    assert_eq!(flusher.bucket.body("quarantine/pending-metrics/dt=unknown/broken.json").unwrap(), b"{\"version\":1");
    assert_eq!((put_in_total(&flusher), flusher.bucket.keys_under("metrics/")), (1.0, vec![]));
}

#[tokio::test]
async fn pending_metrics_that_could_not_be_read_are_replayed_under_their_name() {
    let flusher = flusher();
    let readable = batch("a", &[(minute(), 1.0)]).to_object_named("a.2026-11-21T10");
    flusher.bucket.place(&readable.key, "what an older version can not read");
    flusher.flush(tick(), now()).await.unwrap();
    let [kept] = &flusher.bucket.keys_under("quarantine/")[..] else { panic!("one object is kept") };
    let mut pipeline = Pipeline::new(pipeline::settings());
    let left = replay::object(&mut pipeline, kept, &flusher.bucket.body(kept).unwrap());
    assert!(matches!(left, Err(ReplayError::Pending(_))), "{left:?}");
    // By now it can be read.
    let replay = replay::object(&mut pipeline, kept, &readable.body).unwrap();
    assert!(replay.deletes && !replay.is_left);
    assert_eq!(replay.writes, [readable]);
    for object in replay.writes {
        flusher.bucket.place(&object.key, object.body);
    }
    flusher.flush(tick(), now()).await.unwrap();
    assert_eq!((put_in_total(&flusher), flusher.bucket.keys_under("metrics/")), (1.0, vec![]));
}

#[tokio::test]
async fn an_unreadable_state_is_an_error_not_an_empty_state() {
    let flusher = flusher();
    flusher.bucket.place(keys::FLUSH_STATE, "{}x");
    let error = flusher.flush(tick(), now()).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("state/metric-flusher.json: "), "{error:#}");
}

#[tokio::test]
async fn of_two_flushers_that_read_the_same_state_only_one_goes_on() {
    let flusher = flusher();
    place(&flusher, &batch("a", &[(minute(), 1.0)]));
    // Right before the flusher writes its journal, another one has written its own.
    let bucket = flusher.bucket.clone();
    let (send, receive) = std::sync::mpsc::channel();
    flusher.bucket.inject(move |operation, key| {
        (operation == Operation::Replace && key == keys::FLUSH_STATE && receive.try_recv().is_ok())
            .then_some(Moment::After)
    });
    send.send(()).unwrap();
    flusher.flush(tick(), now()).await.unwrap_err();
    assert_eq!(flusher.metrics.taken().len(), 0);
    bucket.heal();
    // The journal is there, so the other one is at work, as far as a newcomer can tell.
    assert!(flusher.flush(tick(), now()).await.unwrap().busy);
    recover(&flusher).await;
    assert_eq!((put_in_total(&flusher), rolled_up(&flusher)), (1.0, 1.0));
}

#[test]
fn the_sample_trigger_says_which_minute_it_stands_for() {
    let tick: aws::lambda::Tick = serde_json::from_slice(&event_file("metric-flusher/scheduled.json")).unwrap();
    assert_eq!(tick.time.to_string(), "2026-11-21T10:06:00Z");
}

#[test]
fn a_missing_variable_is_named_at_cold_start() {
    let error = Config::from_lookup(|_| None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: BUCKET_NAME is not set; METRIC_NAMESPACE is not set; EMF_EXTRACTION is not set"
    );
    let error = Config::from_lookup(|name| (!name.starts_with("PROMETHEUS")).then(|| "both".to_owned())).unwrap_err();
    assert_eq!(error.to_string(), "configuration: EMF_EXTRACTION is `both`: it is neither `cloudwatch` nor `flusher`");
}
