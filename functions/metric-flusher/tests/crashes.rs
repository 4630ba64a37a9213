//! Crashes between any two effects of a tick, of one flusher and of two at once: nothing is lost, and what CloudWatch
//! may have counted twice is told.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use domain::Minute;
use domain::keys;
use domain::metrics::flush::{Extraction, FlushState};
use domain::metrics::pending::{PendingMetrics, VERSION};
use domain::metrics::prometheus::Labels;
use domain::metrics::put::Refused;
use domain::metrics::recent::RecentRollups;
use domain::metrics::rollup::Rollup;
use domain::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};
use domain::ports::Retry;
use jiff::Timestamp;
use metric_flusher::{Exporter, Flusher, LEASE, TAKING_IN};
use testkit::memory_bucket::Moment;
use testkit::{InMemoryBucket, InMemoryPrometheus, Operation, RecordedMetrics, Stepwise};

/// CloudWatch refuses every call with this metric, which finds it by halves.
const REFUSED: &str = "conversion_rate";
const COUNTED: &str = "contracts_created";

fn now() -> Timestamp {
    "2026-11-21T10:07:00Z".parse().unwrap()
}

fn minute() -> Minute {
    "2026-11-21T10:05Z".parse().unwrap()
}

fn series(name: &str, value: f64) -> (SeriesKey, Aggregate) {
    let dimensions = match name {
        COUNTED => Dimensions::from([("service".into(), "contract".into()), ("role".into(), "buyer".into())]),
        _ => Dimensions::new(),
    };
    (SeriesKey { name: name.into(), dimensions }, Aggregate::of(value, 0))
}

fn batch(id: &str, points: &[(i64, &str, f64)]) -> PendingMetrics {
    let mut minutes: BTreeMap<Minute, SeriesSet> = BTreeMap::new();
    for (offset, name, value) in points {
        let (key, aggregate) = series(name, *value);
        minutes.entry(minute().plus(*offset)).or_default().add(key, &aggregate);
    }
    PendingMetrics { version: VERSION, batch_id: id.into(), minutes, extracted: BTreeMap::new() }
}

/// A bucket, a CloudWatch, and what is expected of them.
#[derive(Clone)]
struct World {
    bucket: InMemoryBucket,
    metrics: RecordedMetrics,
}

impl World {
    /// With batches in two minutes, one that can not be read, one too far ahead, and a metric that is refused.
    fn new() -> World {
        let world = World { bucket: InMemoryBucket::new(), metrics: RecordedMetrics::refusing(REFUSED) };
        let mut first = batch("a", &[(0, COUNTED, 1.0), (1, COUNTED, 2.0), (0, REFUSED, 50.0)]);
        first.extracted = batch("", &[(0, COUNTED, 4.0)]).minutes;
        world.place(&first);
        world.place(&batch("b", &[(0, COUNTED, 8.0), (600, COUNTED, 16.0)]));
        world.bucket.place("metrics/pending/broken.json", "{");
        world
    }

    fn place(&self, batch: &PendingMetrics) {
        let object = batch.to_object();
        self.bucket.place(&object.key, object.body);
    }

    fn flusher(&self) -> Flusher<InMemoryBucket, RecordedMetrics, InMemoryPrometheus> {
        let (bucket, metrics) = (self.bucket.clone(), self.metrics.clone());
        Flusher {
            bucket,
            metrics,
            namespace: "n".into(),
            extraction: Extraction::Flusher,
            prometheus: None,
            taking_in: TAKING_IN,
        }
    }

    /// Dies at the effect number `at`, before or after it is done: from there on nothing gets through. Tells whether
    /// that was where a put may have been taken without a note of it, and how many effects there were.
    fn dies_at(&self, at: usize, moment: Moment) -> Arc<Mutex<Life>> {
        let life = Arc::new(Mutex::new(Life::default()));
        let effect = move |life: &mut Life, is_put: bool, is_state: bool| {
            let number = life.effects;
            life.effects += 1;
            let was_put = std::mem::replace(&mut life.has_put, is_put);
            if number == at {
                life.is_unclear =
                    (is_put && moment == Moment::After) || (is_state && was_put && moment == Moment::Before);
            }
            match number {
                _ if number < at => None,
                _ if number == at => Some(moment),
                _ => Some(Moment::Before),
            }
        };
        let (bucket_life, metrics_life) = (life.clone(), life.clone());
        self.bucket.inject(move |operation, key| {
            let is_state = operation == Operation::Replace && key == keys::FLUSH_STATE;
            effect(&mut bucket_life.lock().unwrap(), false, is_state)
        });
        self.metrics.inject(move |_| effect(&mut metrics_life.lock().unwrap(), true, false));
        life
    }

    fn heal(&self) {
        self.bucket.heal();
        self.metrics.heal();
    }

    fn state(&self) -> FlushState {
        FlushState::parse(&self.bucket.body(keys::FLUSH_STATE).unwrap()).unwrap()
    }

    /// Everything is where it belongs, once; `unclear` is how often nobody could tell whether a put was taken.
    fn check(&self, total: f64, unclear: u64, told: &str) {
        let rollups: Vec<Rollup> = self
            .bucket
            .keys_under("rollups/dt=")
            .iter()
            .map(|key| Rollup::parse(&self.bucket.body(key).unwrap()).unwrap())
            .collect();
        let counted = |name: &str| -> f64 {
            rollups.iter().flat_map(|rollup| rollup.series.named(name)).map(|(_, held)| held.sum).sum()
        };
        assert_eq!((counted(COUNTED), counted(REFUSED)), (total, 50.0), "{told}: the rollups");
        let recent = RecentRollups::parse(&self.bucket.body(keys::RECENT_ROLLUPS).unwrap()).unwrap();
        for rollup in rollups.iter().filter(|rollup| rollup.minute.since(minute()) < 120) {
            assert_eq!(recent.minutes.get(&rollup.minute), Some(&rollup.series.roll_up()), "{told}: recent rollups");
        }
        let state = self.state();
        assert_eq!(state.journal, None, "{told}: work left");
        assert_eq!(self.bucket.keys_under(keys::PENDING_METRICS), Vec::<String>::new(), "{told}: work left");

        let mut times: BTreeMap<String, u64> = BTreeMap::new();
        for datum in self.metrics.taken().iter().flat_map(|(_, data)| data) {
            *times.entry(format!("{datum:?}")).or_default() += 1;
        }
        let put = self.metrics.sum(COUNTED);
        let expected = total - 16.0;
        assert!(put >= expected, "{told}: {put} put of {expected}");
        assert!(times.values().all(|times| times - 1 <= unclear), "{told}: more was doubled than can be: {times:?}");
        assert!(put == expected || unclear > 0, "{told}: {put} put of {expected} without a reason");
        assert!(put == expected || state.repeated_puts > 0, "{told}: {put} put of {expected}, and nobody told");
        assert!(state.repeated_puts >= unclear.min(1), "{told}: an unclear put was not told");

        let mut kept: Vec<String> = Vec::new();
        for key in self.bucket.keys_under("quarantine/metrics/") {
            let refused: Refused = serde_json::from_slice(&self.bucket.body(&key).unwrap()).unwrap();
            let name = |name: &str, reason: &str| format!("{name}: {reason}");
            kept.extend(refused.metrics.iter().map(|datum| name(&datum.name, &refused.reason)));
        }
        kept.sort();
        let ahead = "it is more than the two hours ahead of its time that CloudWatch takes";
        let ahead = format!("{COUNTED}: {ahead}");
        let refused = format!("{REFUSED}: put metrics: invalid parameter value");
        assert_eq!(kept, [ahead.clone(), ahead.clone(), ahead, refused], "{told}: the quarantine");
        assert_eq!(self.bucket.keys_under("quarantine/pending-metrics/").len(), 1, "{told}: the quarantine");
    }
}

/// What became of a flusher that dies.
#[derive(Default)]
struct Life {
    effects: usize,
    has_put: bool,
    is_unclear: bool,
}

const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

/// The effects of a tick that nothing disturbs.
async fn effects(world: &World) -> usize {
    let life = world.dies_at(usize::MAX, Moment::Before);
    world.flusher().flush(Minute::of(now()), now()).await.unwrap();
    life.lock().unwrap().effects
}

#[tokio::test]
async fn a_crash_between_any_two_effects_neither_loses_nor_doubles_a_count() {
    let world = World::new();
    let effects = effects(&world).await;
    world.check(31.0, 0, "no crash");
    assert!(world.metrics.taken().len() > 2, "a refused call is put by halves");
    for at in 0..effects {
        for moment in MOMENTS {
            let world = World::new();
            let life = world.dies_at(at, moment);
            world.flusher().flush(Minute::of(now()), now()).await.unwrap_err();
            world.heal();
            // A batch that was counted comes again, as it does from a dead-letter queue.
            world.place(&batch("b", &[(0, COUNTED, 8.0), (600, COUNTED, 16.0)]));
            let later = now() + LEASE;
            world.flusher().flush(Minute::of(later), later).await.unwrap();
            let unclear = u64::from(life.lock().unwrap().is_unclear);
            world.check(31.0, unclear, &format!("crash {moment:?} effect {at}"));
        }
    }
}

#[tokio::test]
async fn a_crash_of_the_flusher_that_finishes_what_a_crash_has_left_does_no_harm_either() {
    let effects = effects(&World::new()).await;
    for first in 0..effects {
        for moments in [[Moment::Before, Moment::After], [Moment::After, Moment::Before], [Moment::After; 2]] {
            let mut second = 0;
            // Every third, from another one each time: with all of them it would take too long.
            loop {
                let world = World::new();
                let lives = [world.dies_at(first, moments[0])];
                world.flusher().flush(Minute::of(now()), now()).await.unwrap_err();
                let later = now() + LEASE;
                let at = 3 * second + first % 3;
                let resumed = world.dies_at(at, moments[1]);
                let is_done = world.flusher().flush(Minute::of(later), later).await.is_ok();
                world.heal();
                let last = later + LEASE;
                world.flusher().flush(Minute::of(last), last).await.unwrap();
                let is_unclear = |life: &Arc<Mutex<Life>>| u64::from(life.lock().unwrap().is_unclear);
                let unclear = lives.iter().chain([&resumed]).map(is_unclear).sum();
                world.check(31.0, unclear, &format!("crashes {moments:?} effects {first} and {at}"));
                if is_done {
                    break;
                }
                second += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_throttle_at_any_put_only_delays() {
    for throttled in 1..6 {
        let world = World::new();
        world.metrics.fail_next(std::iter::repeat_n(Retry::Transient, throttled));
        let mut at = now();
        while world.flusher().flush(Minute::of(at), at).await.is_err() {
            at += LEASE;
        }
        world.check(31.0, 0, &format!("{throttled} throttled"));
    }
}

/// SplitMix64: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Two flushers at once, each step of which chance decides on; the second comes when the lease of the first is over,
/// though that one may be alive, and may get on only when the second has long been done. Then one that is alone.
fn interleaved(seed: u64) {
    let mut chance = Chance(seed);
    let world = World::new();
    let prometheus = InMemoryPrometheus::new();
    let flusher = || Flusher {
        bucket: Stepwise(world.bucket.clone()),
        metrics: Stepwise(world.metrics.clone()),
        namespace: "n".into(),
        extraction: Extraction::Flusher,
        taking_in: TAKING_IN,
        prometheus: Some(Exporter::new(Stepwise(prometheus.clone()), Labels::new())),
    };
    let (first, second) = (flusher(), flusher());
    let later = if chance.below(3) == 0 { now() } else { now() + LEASE };
    let mut first = pin!(first.flush(Minute::of(now()), now()));
    let mut second = pin!(second.flush(Minute::of(later), later));
    let mut done = [false; 2];
    // How long one of them goes on before the other has its turn: from step by step to all at once.
    let longest = [1, 5, 40, 400][chance.below(4) as usize];
    let mut context = Context::from_waker(Waker::noop());
    let mut comes_again = chance.below(200);
    let mut total = 31.0;
    while done != [true; 2] {
        let which = chance.below(2) as usize;
        for _ in 0..=chance.below(longest) {
            if !done[which] {
                let polled = if which == 0 {
                    first.as_mut().poll(&mut context).map(|ended| ended.is_ok())
                } else {
                    second.as_mut().poll(&mut context).map(|ended| ended.is_ok())
                };
                done[which] = matches!(polled, Poll::Ready(_));
            }
            if comes_again == 0 {
                world.place(&batch("b", &[(0, COUNTED, 8.0), (600, COUNTED, 16.0)]));
                world.place(&batch("new", &[(0, COUNTED, 32.0)]));
                total = 63.0;
            }
            comes_again = comes_again.wrapping_sub(1);
        }
        // One of them ends in the middle, now and then: what it has begun is not done.
        if chance.below(300) == 0 {
            done[which] = true;
        }
    }
    let last = later + LEASE + LEASE;
    let mut alone = pin!(async { flusher().flush(Minute::of(last), last).await.unwrap() });
    while alone.as_mut().poll(&mut context).is_pending() {}
    let grown = prometheus.grown(&[("__name__", "contracts_created_total")]);
    assert_eq!(grown, total, "seed {seed}: what Prometheus was told");
    // Where the first was alive when its lease was over, both may have put.
    let unclear = world.state().repeated_puts;
    world.check(total, unclear, &format!("seed {seed}"));
}

#[test]
fn of_two_flushers_at_once_however_they_are_interleaved_each_count_is_of_one() {
    // It is polled by hand, but what is sent has a time-out.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _clock = runtime.enter();
    for seed in 0..2_000 {
        interleaved(seed);
    }
}
