//! What is sent: the series of a state in requests of bounded size.

use std::borrow::Cow;
use std::collections::BTreeSet;

use prost::Message as _;
use serde::Serialize;

use crate::keys;
use crate::logs::quarantine::Quarantined;
use crate::metrics::registry::{Definition, Kind};
use crate::ports::Object;

use super::exposition;
use super::state::{Held, Labels, Name, State, Value};
use super::wire::{Label, MetricMetadata, STALE, Sample, TimeSeries, WriteRequest};

/// Samples of a request. (A histogram is never torn apart.)
const MAX_SAMPLES: usize = 2_000;

/// Bytes of a request before it is compressed. Amazon Managed Prometheus takes a megabyte, compressed.
const MAX_BYTES: usize = 1_000_000;

/// Folder under `quarantine/` of what a remote has refused.
pub const REFUSED: &str = "prometheus";

/// Series that go into one request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    points: Cow<'a, [Point<'a>]>,
    at: i64,
    zero_at: i64,
    shared: &'a Labels,
}

/// What one series says.
#[derive(Debug, Clone, Copy)]
struct Point<'a> {
    definition: &'static Definition,
    labels: &'a Labels,
    held: &'a Held,
}

impl State {
    /// Requests with the zeros of all new series, and what their families are. `shared` are labels that all series
    /// get that have none of that name themselves.
    pub fn zeros<'a>(&'a self, shared: &'a Labels) -> Vec<Request<'a>> {
        self.requests(self.new_series().map(|(definition, labels, held)| Point { definition, labels, held }), shared)
    }

    /// Requests with the values of all series whose zero was taken, and with the ends of those that end.
    pub fn values<'a>(&'a self, shared: &'a Labels) -> Vec<Request<'a>> {
        self.requests(self.known_series().map(|(definition, labels, held)| Point { definition, labels, held }), shared)
    }

    fn requests<'a>(&self, points: impl Iterator<Item = Point<'a>>, shared: &'a Labels) -> Vec<Request<'a>> {
        let mut requests: Vec<Vec<Point<'a>>> = Vec::new();
        let (mut samples, mut bytes) = (0, 0);
        for point in points {
            let (more_samples, more_bytes) = (point.samples(), point.max_bytes(shared));
            (samples, bytes) = (samples + more_samples, bytes + more_bytes);
            match requests.last_mut() {
                Some(last) if samples <= MAX_SAMPLES && bytes <= MAX_BYTES => last.push(point),
                _ => {
                    requests.push(vec![point]);
                    (samples, bytes) = (more_samples, more_bytes);
                }
            }
        }
        let request = |points| Request { points: Cow::Owned(points), at: self.at(), zero_at: self.zero_at(), shared };
        requests.into_iter().map(request).collect()
    }
}

impl<'a> Request<'a> {
    /// How many series it is about, a histogram as one.
    pub fn series(&self) -> usize {
        self.points.len()
    }

    /// How many samples it has.
    pub fn samples(&self) -> usize {
        self.points.iter().map(Point::samples).sum()
    }

    /// The names of its series.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        let name = |point: &Point| Name { metric: point.definition.name.to_owned(), labels: point.labels.clone() };
        self.points.iter().map(name)
    }

    /// Its halves; none where it is about a single series.
    pub fn halves(&self) -> Option<[Request<'a>; 2]> {
        if self.points.len() < 2 {
            return None;
        }
        let (first, second) = self.points.split_at(self.points.len() / 2);
        Some([first, second].map(|half| Request { points: Cow::Owned(half.to_vec()), ..*self }))
    }

    /// The message.
    pub fn message(&self) -> WriteRequest {
        let timeseries = self.points.iter().flat_map(|point| point.time_series(self)).collect();
        WriteRequest { timeseries, metadata: self.metadata() }
    }

    /// Its bytes, uncompressed.
    pub fn encode(&self) -> Vec<u8> {
        self.message().encode_to_vec()
    }

    /// Of the families that it announces a series of: more often would be a waste.
    fn metadata(&self) -> Vec<MetricMetadata> {
        let new = self.points.iter().filter(|point| point.held.is_new());
        let names: BTreeSet<&str> = new.map(|point| point.definition.name).collect();
        names.into_iter().filter_map(crate::metrics::registry::find).map(exposition::metadata).collect()
    }

    /// The object that keeps it, as people read it, where it was refused for `error`.
    pub fn refused(&self, error: &str) -> Object {
        let series = self.message().timeseries;
        let readable: Vec<Readable> = series.iter().map(Readable::of).collect();
        let original = Object::json("", &readable).body;
        let id = keys::fingerprint([original.as_slice()]);
        let day = crate::Minute::of_epoch_millis(self.at).day();
        Quarantined::kept(REFUSED, vec![(error.to_owned(), original)]).to_object(&day, &id)
    }
}

/// Whether an answer says that the remote has later samples of a series, or finds these too old. That is not about the
/// series: another flusher was quicker, or an answer was lost, and the next tick's samples are later than all.
pub fn is_about_time(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    // Words of Prometheus, Mimir and Cortex (which Amazon's is).
    [
        "out of order",
        "out-of-order",
        "duplicate sample",
        "duplicate-timestamp",
        "new-value-for-timestamp",
        "out of bounds",
        "too old",
        "too-old",
    ]
    .iter()
    .any(|words| answer.contains(words))
}

/// A series of a request that was refused.
#[derive(Serialize)]
struct Readable<'a> {
    labels: std::collections::BTreeMap<&'a str, &'a str>,
    /// Times in milliseconds since the Unix epoch, with the values as texts.
    samples: Vec<(i64, String)>,
}

impl<'a> Readable<'a> {
    fn of(series: &'a TimeSeries) -> Readable<'a> {
        let value = |sample: &Sample| if sample.is_stale() { "stale".to_owned() } else { sample.value.to_string() };
        Readable {
            labels: series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect(),
            samples: series.samples.iter().map(|sample| (sample.timestamp, value(sample))).collect(),
        }
    }
}

impl Point<'_> {
    /// How many series of Prometheus it is, and therefore samples.
    fn samples(&self) -> usize {
        match &self.held.value {
            Value::Counter(_) | Value::Gauge(..) => 1,
            Value::Histogram(counts, _) => counts.len() + 2,
        }
    }

    /// No less than its bytes in a request.
    fn max_bytes(&self, shared: &Labels) -> usize {
        /// Tags and lengths of a label (12), and of a text that may be longer than 127 bytes.
        const LABEL: usize = 16;
        let labels: usize =
            self.labels.iter().chain(shared).map(|(name, value)| name.len() + value.len() + LABEL).sum();
        // `__name__` with its longest suffix, `le` with the longest bound, and a sample.
        self.samples() * (labels + self.definition.name.len() + 128)
    }

    fn time_series(&self, request: &Request) -> Vec<TimeSeries> {
        let family = self.definition.prometheus_name();
        let scaled = |value: f64| exposition::scaled(self.definition, value);
        let series = |suffix: &str, le: Option<String>, value: f64| {
            let labels = self.sorted_labels(format!("{family}{suffix}"), le, request.shared);
            TimeSeries { labels, samples: vec![self.sample(request, value)] }
        };
        match &self.held.value {
            Value::Counter(sum) => vec![series("", None, scaled(*sum))],
            Value::Gauge(_, value) => vec![series("", None, scaled(*value))],
            Value::Histogram(counts, sum) => {
                let bounds = self.definition.buckets().iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                let mut all = Vec::with_capacity(counts.len() + 2);
                let mut so_far = 0_u64;
                for (bound, count) in bounds.zip(counts) {
                    so_far = so_far.saturating_add(*count);
                    all.push(series("_bucket", Some(bound), so_far as f64));
                }
                all.push(series("_sum", None, scaled(*sum)));
                all.push(series("_count", None, so_far as f64));
                all
            }
        }
    }

    fn sample(&self, request: &Request, value: f64) -> Sample {
        if self.held.is_new() && self.definition.kind != Kind::Gauge {
            Sample { value: 0.0, timestamp: request.zero_at }
        } else if self.held.is_ending() {
            Sample { value: f64::from_bits(STALE), timestamp: request.at }
        } else {
            Sample { value, timestamp: request.at }
        }
    }

    fn sorted_labels(&self, name: String, le: Option<String>, shared: &Labels) -> Vec<Label> {
        let label = |(name, value): (&String, &String)| Label { name: name.clone(), value: value.clone() };
        let mut labels: Vec<Label> = self.labels.iter().map(label).collect();
        labels.extend(shared.iter().filter(|(name, _)| !self.labels.contains_key(*name)).map(label));
        labels.push(Label { name: "__name__".to_owned(), value: name });
        labels.extend(le.map(|value| Label { name: "le".to_owned(), value }));
        labels.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        labels
    }
}
