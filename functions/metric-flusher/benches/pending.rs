//! Pending objects as a platform of twenty services leaves them behind, and the bucket that holds them. Objects are
//! made when they are read, so that the memory of a run is the flusher's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::Minute;
use domain::keys;
use domain::metrics::pending::{PendingMetrics, VERSION};
use domain::metrics::put::Datum;
use domain::metrics::series::{Aggregate, SeriesKey, SeriesSet};
use domain::metrics::sketch::Sketch;
use domain::ports::{
    DeleteObjects, GetObject, ListObjects, Object, PortError, PutMetrics, PutObject, ReplaceObject, Replaced, Stored,
    Version,
};
use jiff::Timestamp;
use testkit::InMemoryBucket;

/// Series of an object.
pub const SERIES: usize = 50;

const SERVICES: usize = 20;
const MINUTES: usize = 3;
/// Objects of the same service and minute that differ in their values.
const VARIANTS: usize = 5;
/// What stands where the batch id goes.
const ID: &str = "00000000000000000000000000000000";

/// The instant of the tick.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_795_255_620).expect("a time in 2026")
}

/// Pending objects that differ in their batch ids, and in little else from every three-hundredth on.
#[derive(Clone)]
pub struct Pending {
    templates: Arc<Vec<String>>,
}

impl Pending {
    /// The same at every call.
    pub fn new() -> Pending {
        let templates = (0..SERVICES * MINUTES * VARIANTS).map(template).collect();
        Pending { templates: Arc::new(templates) }
    }

    /// The bytes of the object `number`.
    pub fn body(&self, number: usize) -> Vec<u8> {
        let template = &self.templates[number % self.templates.len()];
        template.replacen(ID, &format!("{number:032x}"), 1).into_bytes()
    }

    /// Bytes of an object, on average.
    pub fn bytes(&self) -> usize {
        self.templates.iter().map(String::len).sum::<usize>() / self.templates.len()
    }

    /// The key of the object `number`.
    fn key(number: usize) -> String {
        keys::pending(&format!("{number:032x}"))
    }
}

/// A batch of one service and minute: counters of requests, and timers with some values each.
fn template(number: usize) -> String {
    let (service, minute, variant) =
        (number % SERVICES, number / SERVICES % MINUTES, number / SERVICES / MINUTES % VARIANTS);
    let minute = Minute::of(now()).plus(-1 - minute as i64);
    let service = format!("service-{service}");
    let key = |name: &str, dimensions: &[(&str, &str)]| SeriesKey {
        name: name.to_owned(),
        dimensions: [("service", service.as_str())]
            .iter()
            .chain(dimensions)
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    };
    let at = minute.start().as_millisecond() + variant as i64;
    let counter = |count: usize| Aggregate { last: (at, 1.0), ..aggregate(std::iter::repeat_n(1.0, count)) };
    // Milliseconds with three decimals, as services write them: hardly one comes twice.
    let timer = |seed: usize, count: usize| {
        let value = |n: usize| ((seed * 7_919 + variant * 104_729 + n * 1_299_709) % 250_000) as f64 / 1e3 + 0.5;
        Aggregate { last: (at, value(0)), ..aggregate((0..count).map(value)) }
    };
    let mut set = SeriesSet::default();
    for endpoint in 0..10 {
        let path = format!("/api/v1/contracts/{{id}}/section-{endpoint}");
        for status in ["200", "404"] {
            let dimensions = [("endpoint", path.as_str()), ("method", "GET"), ("status_code", status)];
            set.add(key("api_requests", &dimensions), &counter(3 + endpoint));
        }
        let dimensions = [("endpoint", path.as_str()), ("method", "GET")];
        set.add(key("api_request_duration", &dimensions), &timer(endpoint, 8));
        let table = format!("table_{endpoint}");
        let dimensions = [("query_type", "SELECT"), ("table", table.as_str())];
        set.add(key("database_query_duration", &dimensions), &timer(100 + endpoint, 4));
    }
    for level in ["DEBUG", "INFO", "WARNING", "ERROR"] {
        set.add(key("log_entries", &[("level", level)]), &counter(20));
    }
    for name in ["pipeline_lines_received", "pipeline_lines_archived", "pipeline_bytes_received"] {
        set.add(key(name, &[]), &counter(1));
    }
    for role in ["buyer", "seller", "agent"] {
        set.add(key("contracts_created", &[("role", role)]), &counter(2));
    }
    assert_eq!(set.len(), SERIES);
    let minutes = BTreeMap::from([(minute, set)]);
    let pending = PendingMetrics { version: VERSION, batch_id: ID.to_owned(), minutes, extracted: BTreeMap::new() };
    String::from_utf8(pending.to_object().body).expect("JSON is UTF-8")
}

fn aggregate(values: impl Iterator<Item = f64>) -> Aggregate {
    let mut values: Vec<f64> = values.collect();
    Aggregate {
        count: values.len() as u64,
        sum: values.iter().sum(),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        last: (0, 0.0),
        sketch: Sketch::of_values(&mut values),
    }
}

/// A bucket with `count` pending objects. What is written to it is held in memory.
pub struct PendingBucket {
    pending: Pending,
    count: usize,
    deleted: AtomicUsize,
    /// Rollups and state.
    pub written: InMemoryBucket,
}

impl PendingBucket {
    /// Nothing is written yet.
    pub fn new(pending: Pending, count: usize) -> PendingBucket {
        PendingBucket { pending, count, deleted: AtomicUsize::new(0), written: InMemoryBucket::new() }
    }

    fn left(&self) -> usize {
        self.deleted.load(Ordering::Relaxed)
    }
}

impl GetObject for PendingBucket {
    async fn get(&self, key: &str) -> Result<Option<Stored>, PortError> {
        let name = key.strip_prefix(keys::PENDING_METRICS).and_then(|name| name.strip_suffix(".json"));
        let Some(number) = name.and_then(|name| usize::from_str_radix(name, 16).ok()) else {
            return self.written.get(key).await;
        };
        Ok(Some(Stored { body: self.pending.body(number), version: Version(String::new()) }))
    }
}

impl ListObjects for PendingBucket {
    async fn list(&self, _: &str, limit: usize) -> Result<Vec<String>, PortError> {
        Ok((self.left()..self.count).take(limit).map(Pending::key).collect())
    }
}

impl DeleteObjects for PendingBucket {
    async fn delete_all(&self, keys: &[String]) -> Result<(), PortError> {
        assert_eq!(keys.first(), Some(&Pending::key(self.left())), "they are taken in order");
        self.deleted.fetch_add(keys.len(), Ordering::Relaxed);
        Ok(())
    }
}

impl PutObject for PendingBucket {
    async fn put(&self, object: &Object) -> Result<(), PortError> {
        self.written.put(object).await
    }
}

impl ReplaceObject for PendingBucket {
    async fn replace(&self, object: &Object, expected: Option<&Version>) -> Result<Replaced, PortError> {
        self.written.replace(object, expected).await
    }
}

/// Counts calls.
#[derive(Default)]
pub struct Calls(pub AtomicUsize);

impl PutMetrics for &Calls {
    async fn put_metrics(&self, _: &str, data: &[Datum]) -> Result<(), PortError> {
        std::hint::black_box(data);
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
