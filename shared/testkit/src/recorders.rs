//! Ports that remember what they were given, and can be told to refuse it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use domain::Minute;
use domain::logs::put_events::NewEvent;
use domain::metrics::put::{Datum, Values};
use domain::metrics::report::Periods;
use domain::ports::{
    AppendLog, BusEvent, ExportSpans, MetricQuery, MinuteValues, PortError, Publication, Publish, PutEvents,
    PutMetrics, PutSegments, ReadFigures, ReadMetrics, ReadSecret, Retry, SecretText, Unanswered, Unprocessed,
};
use domain::traces::otlp::Answer;

use crate::memory_bucket::Moment;

/// A log of what came in, with failures to give first.
struct Recorder<T> {
    taken: Vec<T>,
    failures: VecDeque<Retry>,
}

impl<T> Default for Recorder<T> {
    fn default() -> Recorder<T> {
        Recorder { taken: Vec::new(), failures: VecDeque::new() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn take<T>(recorder: &Mutex<Recorder<T>>, action: &str, item: T) -> Result<(), PortError> {
    let mut recorder = lock(recorder);
    match recorder.failures.pop_front() {
        Some(retry) => Err(PortError { action: action.to_owned(), retry, source: "injected fault".into() }),
        None => {
            recorder.taken.push(item);
            Ok(())
        }
    }
}

macro_rules! recorder {
    ($(#[$doc:meta])* $name:ident of $item:ty) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        pub struct $name(Arc<Mutex<Recorder<$item>>>);

        impl $name {
            /// Nothing taken yet, and nothing refused.
            pub fn new() -> $name {
                $name::default()
            }

            /// The next calls fail, one for each of `failures`; then calls succeed again.
            pub fn fail_next(&self, failures: impl IntoIterator<Item = Retry>) {
                lock(&self.0).failures.extend(failures);
            }

            /// What was taken, in order.
            pub fn taken(&self) -> Vec<$item> {
                lock(&self.0).taken.clone()
            }
        }
    };
}

recorder!(
    /// Messages published.
    RecordedPublications of Publication
);

recorder!(
    /// Events put on a bus, by call.
    RecordedEvents of Vec<BusEvent>
);
recorder!(
    /// Lines appended to a log, by call, with the stream.
    RecordedLog of (String, Vec<NewEvent>)
);

impl PutEvents for RecordedEvents {
    async fn put_events(&self, events: &[BusEvent]) -> Result<(), PortError> {
        take(&self.0, "put events", events.to_vec())
    }
}

impl AppendLog for RecordedLog {
    async fn append(&self, stream: &str, lines: Vec<NewEvent>) -> Result<(), PortError> {
        take(&self.0, "append to the log", (stream.to_owned(), lines))
    }
}

/// A call's namespace and its metrics.
pub type Call = (String, Vec<Datum>);

type Fault = Box<dyn FnMut(&[Datum]) -> Option<Moment> + Send>;

/// Metrics put, by namespace and call.
#[derive(Clone, Default)]
pub struct RecordedMetrics {
    recorder: Arc<Mutex<Recorder<Call>>>,
    fault: Arc<Mutex<Option<Fault>>>,
    refused: Option<&'static str>,
}

impl RecordedMetrics {
    /// Nothing taken yet, and nothing refused.
    pub fn new() -> RecordedMetrics {
        RecordedMetrics::default()
    }

    /// Like CloudWatch, refuses every call that has a metric of this name in it.
    pub fn refusing(name: &'static str) -> RecordedMetrics {
        RecordedMetrics { refused: Some(name), ..RecordedMetrics::default() }
    }

    /// The next calls fail, one for each of `failures`; then calls succeed again.
    pub fn fail_next(&self, failures: impl IntoIterator<Item = Retry>) {
        lock(&self.recorder).failures.extend(failures);
    }

    /// What was taken, in order.
    pub fn taken(&self) -> Vec<Call> {
        lock(&self.recorder).taken.clone()
    }

    /// From now on asks `fault` at every call whether, and when, to fail with a transient error.
    pub fn inject(&self, fault: impl FnMut(&[Datum]) -> Option<Moment> + Send + 'static) {
        *lock(&self.fault) = Some(Box::new(fault));
    }

    /// No more injected faults.
    pub fn heal(&self) {
        *lock(&self.fault) = None;
    }

    /// What was put of the metric `name` without dimensions, summed.
    pub fn sum(&self, name: &str) -> f64 {
        let calls = self.taken();
        let data = calls.iter().flat_map(|(_, data)| data);
        data.filter(|datum| datum.name == name && datum.dimensions.is_empty())
            .map(|datum| match &datum.values {
                Values::Counts(values) => values.iter().map(|(value, count)| value * *count as f64).sum(),
                Values::Statistics { sum, .. } => *sum,
            })
            .sum()
    }
}

impl PutMetrics for RecordedMetrics {
    async fn put_metrics(&self, namespace: &str, data: &[Datum]) -> Result<(), PortError> {
        let moment = lock(&self.fault).as_mut().and_then(|fault| fault(data));
        let lost = || Err(PortError::transient("put metrics", "injected fault"));
        if moment == Some(Moment::Before) {
            return lost();
        }
        if data.iter().any(|datum| self.refused == Some(datum.name.as_str())) {
            return Err(PortError::permanent("put metrics", "invalid parameter value"));
        }
        take(&self.recorder, "put metrics", (namespace.to_owned(), data.to_vec()))?;
        if moment.is_some() { lost() } else { Ok(()) }
    }
}

impl Publish for RecordedPublications {
    async fn publish(&self, publication: &Publication) -> Result<(), PortError> {
        take(&self.0, "publish", publication.clone())
    }
}

/// Secrets Manager with one text for every secret, or none at all.
#[derive(Clone)]
pub struct FixedSecret(pub Result<SecretText, Retry>);

impl ReadSecret for FixedSecret {
    async fn read_secret(&self, id: &str) -> Result<SecretText, PortError> {
        let refuse = |retry| PortError { action: format!("read secret {id}"), retry, source: "injected fault".into() };
        self.0.clone().map_err(refuse)
    }
}

/// CloudWatch with fixed contents.
#[derive(Clone, Default)]
pub struct FixedMetrics {
    /// What each query is answered with; a query that is not here has no values.
    pub series: BTreeMap<MetricQuery, MinuteValues>,
    /// Whether every call fails.
    pub unavailable: bool,
    /// Names of metrics that no query is answered about.
    pub unanswered: BTreeSet<String>,
}

impl FixedMetrics {
    fn answer(&self, query: &MetricQuery, asked: Range<Minute>) -> Result<MinuteValues, Unanswered> {
        if self.unavailable || self.unanswered.contains(&query.name) {
            return Err(Unanswered { reason: "injected fault".to_owned() });
        }
        let values = self.series.get(query).into_iter().flatten();
        Ok(values.filter(|(at, _)| asked.contains(at)).map(|(&at, &value)| (at, value)).collect())
    }
}

impl ReadFigures for FixedMetrics {
    async fn read_figures(&self, queries: &[MetricQuery], periods: Periods) -> Vec<Result<MinuteValues, Unanswered>> {
        queries.iter().map(|query| self.answer(query, periods.from()..periods.until())).collect()
    }
}

impl ReadMetrics for FixedMetrics {
    async fn read_metrics(
        &self,
        queries: &[MetricQuery],
        from: Minute,
        until: Minute,
    ) -> Vec<Result<MinuteValues, Unanswered>> {
        queries.iter().map(|query| self.answer(query, from..until)).collect()
    }
}

/// What X-Ray says of a call, by the documents in it.
type Judge = dyn Fn(&[&str]) -> Vec<Unprocessed> + Send + Sync;

/// Documents put to X-Ray, by call, which can be told not to process some.
#[derive(Clone, Default)]
pub struct RecordedSegments {
    recorder: Arc<Mutex<Recorder<Vec<String>>>>,
    judge: Option<Arc<Judge>>,
}

impl RecordedSegments {
    /// Processes everything.
    pub fn new() -> RecordedSegments {
        RecordedSegments::default()
    }

    /// Processes what `judge` does not name.
    pub fn judged(judge: impl Fn(&[&str]) -> Vec<Unprocessed> + Send + Sync + 'static) -> RecordedSegments {
        RecordedSegments { judge: Some(Arc::new(judge)), ..RecordedSegments::default() }
    }

    /// The next calls fail, one for each of `failures`; then calls succeed again.
    pub fn fail_next(&self, failures: impl IntoIterator<Item = Retry>) {
        lock(&self.recorder).failures.extend(failures);
    }

    /// The documents of each call that succeeded.
    pub fn taken(&self) -> Vec<Vec<String>> {
        lock(&self.recorder).taken.clone()
    }
}

impl PutSegments for RecordedSegments {
    async fn put_segments(&self, documents: &[&str]) -> Result<Vec<Unprocessed>, PortError> {
        let call = documents.iter().map(|document| (*document).to_owned()).collect();
        take(&self.recorder, "put segment documents", call)?;
        Ok(self.judge.as_ref().map(|judge| judge(documents)).unwrap_or_default())
    }
}

/// Requests sent to a collector, which can be told to reject spans of them.
#[derive(Clone, Default)]
pub struct RecordedSpans {
    recorder: Arc<Mutex<Recorder<Vec<u8>>>>,
    answer: Answer,
}

impl RecordedSpans {
    /// Takes everything.
    pub fn new() -> RecordedSpans {
        RecordedSpans::default()
    }

    /// Takes every request, and says this of it.
    pub fn answering(answer: Answer) -> RecordedSpans {
        RecordedSpans { answer, ..RecordedSpans::default() }
    }

    /// The next calls fail, one for each of `failures`; then calls succeed again.
    pub fn fail_next(&self, failures: impl IntoIterator<Item = Retry>) {
        lock(&self.recorder).failures.extend(failures);
    }

    /// The requests taken, in order.
    pub fn taken(&self) -> Vec<Vec<u8>> {
        lock(&self.recorder).taken.clone()
    }
}

impl ExportSpans for RecordedSpans {
    async fn export(&self, request: &[u8]) -> Result<Answer, PortError> {
        take(&self.recorder, "export spans by OTLP", request.to_vec())?;
        Ok(self.answer.clone())
    }
}
