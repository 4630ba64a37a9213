//! What the flusher writes to a real Prometheus is queried back: every series has the value that the pending metrics
//! add up to, after crashes, cold starts and outages as well.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod prometheus_server;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws::remote_write::{Credential, RemoteWrite};
use aws_config::SdkConfig;
use domain::keys;
use domain::metrics::flush::Extraction;
use domain::metrics::pending::PendingMetrics;
use domain::metrics::prometheus::IDLE_MINUTES;
use domain::metrics::registry::{Kind, find};
use domain::metrics::series::{Aggregate, SeriesKey};
use domain::minute::Minute;
use domain::ports::{PortError, Retry, WriteSamples};
use jiff::{SignedDuration, Timestamp};
use log_processor::{Pipelines, handle};
use metric_flusher::{Exporter, Flusher, TAKING_IN};
use prometheus_server::{PrometheusServer, Vector};
use serde_json::json;
use testkit::memory_bucket::Moment;
use testkit::pipeline::{NAMESPACE, settings};
use testkit::{FixedSecret, InMemoryBucket, RecordedEvents, RecordedMetrics, contracts, subscription};

type Remote = RemoteWrite<FixedSecret>;

fn remote(server: &PrometheusServer) -> Remote {
    let endpoint = server.write_url().parse().unwrap();
    // Nobody asks for it.
    let secrets = FixedSecret(Err(Retry::Denied));
    RemoteWrite::new(endpoint, Credential::None, &SdkConfig::builder().build(), secrets).unwrap()
}

/// A remote whose answers may be lost.
struct Lossy {
    remote: Remote,
    /// The number of the request whose answer is lost; from then on nothing gets through.
    lost: Option<usize>,
    sent: AtomicUsize,
}

impl WriteSamples for Lossy {
    async fn write(&self, request: &[u8]) -> Result<(), PortError> {
        let number = self.sent.fetch_add(1, Ordering::SeqCst);
        let lost = || Err(PortError::transient("write samples to Prometheus", "injected fault"));
        match self.lost {
            Some(at) if number > at => lost(),
            Some(at) if number == at => self.remote.write(request).await.and_then(|()| lost()),
            _ => self.remote.write(request).await,
        }
    }
}

/// The whole way from a line to Prometheus, and what it is to say there.
struct World {
    server: PrometheusServer,
    bucket: InMemoryBucket,
    /// The tick that is next.
    tick: Minute,
    deliveries: i64,
    expected: BTreeMap<SeriesKey, Aggregate>,
    /// Values with how often they came. (What a merged sketch knows within 1 % only is known better batch by batch.)
    points: BTreeMap<SeriesKey, Vec<(f64, u64)>>,
}

impl World {
    /// As long ago as all ticks of a test take, since Prometheus knows no future.
    fn new(server: PrometheusServer, minutes: i64) -> World {
        let tick = Minute::of(Timestamp::now()).plus(-minutes);
        World {
            server,
            bucket: InMemoryBucket::new(),
            tick,
            deliveries: 0,
            expected: BTreeMap::new(),
            points: BTreeMap::new(),
        }
    }

    /// The milliseconds of requests that a service has answered, as it logs them, and a few other lines.
    async fn log(&mut self, service: &str, milliseconds: &[f64]) {
        self.deliveries += 1;
        let at = self.tick.plus(-1).start().as_millisecond();
        let mut lines: Vec<String> = Vec::new();
        for took in milliseconds {
            let metrics =
                json!([{ "Name": "api_request_duration", "Unit": "Milliseconds" }, { "Name": "api_requests" }]);
            lines.push(
                json!({
                    "level": "INFO", "message": "request", "service": service, "endpoint": "/contracts/{id}",
                    "method": "GET", "status_code": "200", "api_request_duration": took, "api_requests": 1,
                    "_aws": { "Timestamp": at, "CloudWatchMetrics": [{
                        "Namespace": NAMESPACE, "Metrics": metrics,
                        "Dimensions": [["service", "endpoint", "method", "status_code"]],
                    }]},
                })
                .to_string(),
            );
        }
        lines.push(
            json!({
                "level": "ERROR", "message": "gauge", "active_users": 40 + self.deliveries,
                "_aws": { "Timestamp": at, "CloudWatchMetrics": [
                    { "Namespace": NAMESPACE, "Dimensions": [[]], "Metrics": [{ "Name": "active_users" }] }
                ]},
            })
            .to_string(),
        );
        let events: Vec<(i64, &str)> = lines.iter().map(|line| (at, line.as_str())).collect();
        let stream = format!("stream-{}", self.deliveries);
        let event = subscription::delivery(&format!("/aws/ecs/production/{service}"), &stream, &events).to_string();
        let before = self.bucket.keys_under(keys::PENDING_METRICS);
        handle(&event, &self.bucket, &RecordedEvents::new(), &Pipelines::new(settings())).await.unwrap();
        for key in self.bucket.keys_under(keys::PENDING_METRICS).into_iter().filter(|key| !before.contains(key)) {
            let pending = PendingMetrics::parse(&self.bucket.body(&key).unwrap()).unwrap();
            for (key, aggregate) in
                pending.minutes.values().chain(pending.extracted.values()).flat_map(|set| set.iter())
            {
                self.points.entry(key.clone()).or_default().extend(aggregate.sketch.points());
                let held = self.expected.entry(key.clone());
                held.and_modify(|held| held.merge(aggregate)).or_insert_with(|| aggregate.clone());
            }
        }
    }

    /// A flusher that knows nothing yet. The answer to its request `lost` does not arrive.
    fn cold_start(&self, lost: Option<usize>) -> Flusher<InMemoryBucket, RecordedMetrics, Lossy> {
        let remote = Lossy { remote: remote(&self.server), lost, sent: AtomicUsize::new(0) };
        Flusher {
            bucket: self.bucket.clone(),
            metrics: RecordedMetrics::new(),
            namespace: NAMESPACE.to_owned(),
            extraction: Extraction::CloudWatch,
            taking_in: TAKING_IN,
            prometheus: Some(Exporter::new(remote, [("environment".to_owned(), "test".to_owned())].into())),
        }
    }

    async fn flush(&mut self, lost: Option<usize>) -> anyhow::Result<()> {
        let flusher = self.cold_start(lost);
        self.flush_with(&flusher).await
    }

    async fn flush_with(&mut self, flusher: &Flusher<InMemoryBucket, RecordedMetrics, Lossy>) -> anyhow::Result<()> {
        let tick = self.tick;
        self.tick = tick.plus(1);
        // In a box: nested as deep as this, the compiler would not look into it.
        Box::pin(flusher.flush(tick, tick.start())).await.map(drop)
    }

    fn last_tick(&self) -> Timestamp {
        self.tick.plus(-1).start()
    }

    /// Everything that Prometheus has to know, series by series.
    fn expected(&self) -> Vector {
        let mut expected = Vector::new();
        for (key, held) in &self.expected {
            let definition = find(&key.name).unwrap();
            let name = definition.prometheus_name();
            let mut insert = |suffix: &str, le: Option<String>, value: f64| {
                let mut labels = key.dimensions.clone();
                labels.insert("__name__".to_owned(), format!("{name}{suffix}"));
                labels.insert("environment".to_owned(), "test".to_owned());
                labels.extend(le.map(|le| ("le".to_owned(), le)));
                expected.insert(labels, value);
            };
            match definition.kind {
                Kind::Counter => insert("", None, held.sum),
                Kind::Gauge => insert("", None, held.last.1),
                Kind::Histogram | Kind::Timer => {
                    assert_eq!(definition.prometheus_scale(), 0.001, "this test knows durations only");
                    for bound in definition.buckets().iter().copied().chain([f64::INFINITY]) {
                        let at_most =
                            self.points[key].iter().filter(|(value, _)| value / 1000.0 <= bound).map(|(_, n)| n);
                        let le = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
                        insert("_bucket", Some(le), at_most.sum::<u64>() as f64);
                    }
                    insert("_sum", None, held.sum / 1000.0);
                    insert("_count", None, held.count as f64);
                }
            }
        }
        expected
    }

    async fn check(&self) {
        // Where a tick has several sweeps its samples are a few milliseconds later.
        let at = self.last_tick() + SignedDuration::from_secs(1);
        let found = self.server.query(r#"{environment="test"}"#, at).await;
        let expected = self.expected();
        for (labels, value) in &expected {
            assert_eq!(found.get(labels), Some(value), "{labels:?}");
        }
        let more: Vec<_> = found.keys().filter(|labels| !expected.contains_key(*labels)).collect();
        assert!(more.is_empty(), "{more:?}");
        assert_eq!(self.bucket.keys_under(keys::QUARANTINE), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_was_counted_is_what_prometheus_says_whatever_happens_between() {
    let Some(server) = PrometheusServer::start().await else { return };
    let mut world = World::new(server, 30);
    let first = world.tick;
    world.log("api", &[3.0, 9.0, 250.0, 251.0]).await;
    world.flush(None).await.unwrap();
    world.check().await;

    // The answer to the values is lost; and, in another tick, that to the zeros of what is new.
    world.log("api", &[0.5, 45_000.0]).await;
    world.flush(Some(0)).await.unwrap_err();
    world.log("contract", &[1_200.0]).await;
    world.flush(Some(0)).await.unwrap_err();
    world.flush(None).await.unwrap();
    world.check().await;

    // The flusher ends in the middle of a sweep.
    world.log("web", &[70.0]).await;
    let mut operations = 0;
    world.bucket.inject(move |_, _| {
        operations += 1;
        (operations > 8).then_some(Moment::After)
    });
    world.flush(None).await.unwrap_err();
    world.bucket.heal();
    world.log("web", &[80.0]).await;
    world.flush(None).await.unwrap();
    world.check().await;

    // Prometheus is down for three ticks.
    world.server.stop();
    for took in [10.0, 20.0, 30.0] {
        world.log("document", &[took]).await;
        world.flush(None).await.unwrap_err();
    }
    assert_eq!(world.bucket.keys_under(keys::PENDING_METRICS), Vec::<String>::new(), "it holds up nothing else");
    world.server.start_again().await;
    world.flush(None).await.unwrap();
    world.check().await;

    // More values than a sketch keeps as they are.
    let many: Vec<f64> = (1..=400).map(|number| f64::from(number) * 1.7).collect();
    world.log("api", &many).await;
    world.flush(None).await.unwrap();
    world.check().await;
    functions_say_the_same(&world, first).await;
}

/// Where a range begins with a zero and ends with the last sample nothing is extrapolated, and an increase is exact.
async fn functions_say_the_same(world: &World, first: Minute) {
    let at = world.last_tick();
    let milliseconds = at.as_millisecond() - first.start().as_millisecond() + 30_000;
    let increase = |what: &str| format!("sum(increase({what}[{milliseconds}ms]))");
    let requests: f64 = world.expected.iter().filter(|(key, _)| key.name == "api_requests").map(|(_, a)| a.sum).sum();
    let api = |name: &str| increase(&format!(r#"{name}{{service="api"}}"#));
    let of_api = |key: &&SeriesKey| key.name == "api_requests" && key.dimensions["service"] == "api";
    let requests_of_api: f64 = world.expected.iter().filter(|(key, _)| of_api(key)).map(|(_, held)| held.sum).sum();
    assert_eq!(world.server.value(&api("api_requests_total"), at).await, requests_of_api);
    assert_eq!(world.server.value(&api("api_request_duration_seconds_count"), at).await, requests_of_api);
    assert_eq!(world.server.value("sum(api_requests_total)", at).await, requests);
    let quantile = format!(
        r#"histogram_quantile(0.5, sum by (le) (increase(api_request_duration_seconds_bucket{{service="api"}}[{milliseconds}ms])))"#
    );
    // The median of api is one of 1.7, 3.4, ... 680 ms: about 340, between the bounds 250 and 500 ms.
    let median = world.server.value(&quantile, at).await;
    assert!((0.25..=0.5).contains(&median), "{median}");
}

#[tokio::test]
async fn a_series_that_has_ended_is_gone_and_counts_on_when_it_comes_back() {
    let Some(server) = PrometheusServer::start().await else { return };
    let mut world = World::new(server, IDLE_MINUTES + 20);
    let first = world.tick;
    world.log("api", &[3.0]).await;
    world.flush(None).await.unwrap();
    // The same flusher all the time: that all was taken is noted with the next tick.
    let flusher = world.cold_start(None);
    for _ in 0..=IDLE_MINUTES {
        world.check().await;
        world.flush_with(&flusher).await.unwrap();
        if world.tick.plus(-1).since(first) == IDLE_MINUTES - 1 {
            // A gauge is as old as its event.
            world.expected.retain(|key, _| key.name != "active_users");
        }
    }
    world.expected.clear();
    world.points.clear();
    // At once, and not after the five minutes for which Prometheus goes on to show what it had.
    world.check().await;
    world.log("api", &[4.0, 5.0]).await;
    world.flush_with(&flusher).await.unwrap();
    world.check().await;
    let range = world.last_tick().as_millisecond() - first.start().as_millisecond() + 30_000;
    let increase = format!(r#"increase(api_requests_total[{range}ms])"#);
    assert_eq!(world.server.value(&increase, world.last_tick()).await, 3.0);
}

#[tokio::test]
async fn a_real_prometheus_keeps_the_contract_of_the_one_in_memory() {
    let Some(server) = PrometheusServer::start().await else { return };
    let at = Minute::of(Timestamp::now()).plus(-10).start().as_millisecond();
    contracts::samples(&remote(&server), "real", at).await;
}
