//! What the functions need from the outside, named by the need. Each handler takes only the ports
//! that it uses, and `template.yaml` grants it the one matching action for each.
//!
//! | port | action |
//! |---|---|
//! | [`PutObject`] | `s3:PutObject` |
//! | [`GetObject`] | `s3:GetObject` (and `s3:ListBucket`, without which a missing key answers 403) |
//! | [`ListObjects`], [`ListDated`] | `s3:ListBucket` |
//! | [`DeleteObject`], [`DeleteObjects`] | `s3:DeleteObject` |
//! | [`ReplaceObject`] | `s3:PutObject`, conditional |
//! | [`PutMetrics`] | `cloudwatch:PutMetricData` |
//! | [`ReadMetrics`] | `cloudwatch:GetMetricData` |
//! | [`Publish`] | `sns:Publish` |
//! | [`PutEvents`] | `events:PutEvents` |
//! | [`AppendLog`] | `logs:CreateLogStream`, `logs:PutLogEvents` |
//! | [`ReadSecret`] | `secretsmanager:GetSecretValue` |
//! | [`PresignObject`] | `s3:GetObject`, when the link is used |
//! | [`CallSlack`] | none: HTTPS to the outside |
//! | [`PutSegments`] | `xray:PutTraceSegments` |
//! | [`ReadTrace`] | `xray:BatchGetTraces` |
//! | [`ExportSpans`] | none: HTTPS to the outside |
//! | [`WriteSamples`] | `aps:RemoteWrite` for Amazon Managed Prometheus; none for others: HTTPS to the outside |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use schema::trace::TraceId;
use serde::Serialize;

use crate::Minute;
use crate::logs::put_events::NewEvent;
use crate::metrics::put::Datum;
use crate::metrics::report::Periods;
use crate::traces::otlp::Answer;

/// What went wrong outside, and whether trying again can help.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct PortError {
    /// What was being done, on what: `put object metrics/pending/x.json`.
    pub action: String,
    /// Whether the same call may succeed later.
    pub retry: Retry,
    /// What the other side or the network said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Throttled, unavailable, timed out, or the network failed.
    Transient,
    /// Refused for who asks, not for what is asked: it works once the right is given.
    Denied,
    /// The request itself was refused.
    Permanent,
}

impl PortError {
    /// A failure that may pass.
    pub fn transient(
        action: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> PortError {
        PortError { action: action.into(), retry: Retry::Transient, source: source.into() }
    }

    /// A failure that will not pass by itself.
    pub fn permanent(
        action: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> PortError {
        PortError { action: action.into(), retry: Retry::Permanent, source: source.into() }
    }
}

/// An object to be written: everything about it follows from the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Full key in the bucket.
    pub key: String,
    /// MIME type, for browsers and consoles.
    pub content_type: &'static str,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Object {
    /// `value` as a JSON object at `key`. The formats of this crate are structs, texts, finite numbers
    /// and maps with text keys, which always serialise.
    pub fn json(key: impl Into<String>, value: &impl Serialize) -> Object {
        let body = serde_json::to_vec(value).expect("a format of this crate always serialises");
        Object { key: key.into(), content_type: "application/json", body }
    }
}

/// Writes an object, replacing whatever is there.
pub trait PutObject: Sync {
    /// Returns once the object is durable.
    fn put(&self, object: &Object) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// A version of an object that a later write can insist on (S3's ETag).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The bytes.
    pub body: Vec<u8>,
    /// What a conditional write has to name.
    pub version: Version,
}

/// Reads an object.
pub trait GetObject: Sync {
    /// `None` where there is no such object.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Stored>, PortError>> + Send;
}

/// Lists keys.
pub trait ListObjects: Sync {
    /// Keys that begin with `prefix`, in ascending order, at most `limit` of them.
    fn list(&self, prefix: &str, limit: usize) -> impl Future<Output = Result<Vec<String>, PortError>> + Send;
}

/// An object as a listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Full key in the bucket.
    pub key: String,
    /// When it was written last.
    pub written: Timestamp,
    /// How long it is, in bytes.
    pub size: u64,
}

/// Lists objects with their age.
pub trait ListDated: Sync {
    /// Objects whose keys begin with `prefix`, in ascending order of keys, at most `limit` of them.
    fn list_dated(&self, prefix: &str, limit: usize) -> impl Future<Output = Result<Vec<Listed>, PortError>> + Send;
}

/// Makes links that whoever has them can read an object by.
pub trait PresignObject: Sync {
    /// A link to the object at `key`, whether it is there or not, that ends after `lifetime`, or with the credentials
    /// that it is signed with: those of a function end after some hours.
    fn presign(&self, key: &str, lifetime: Duration) -> impl Future<Output = Result<String, PortError>> + Send;
}

/// Deletes an object.
pub trait DeleteObject: Sync {
    /// Deleting what is not there succeeds.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Deletes many objects.
pub trait DeleteObjects: Sync {
    /// At most [`MAX_DELETED`] keys, in one call. Deleting what is not there succeeds. After an error some may be
    /// deleted.
    fn delete_all(&self, keys: &[String]) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Keys that a call of [`DeleteObjects`] takes.
pub const MAX_DELETED: usize = 1_000;

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// Written; this is its new version.
    Done(Version),
    /// Somebody else wrote meanwhile; nothing was changed.
    Conflict,
}

/// Compare-and-swap on one object.
pub trait ReplaceObject: Sync {
    /// Writes `object` only if the stored version is still `expected` (`None`: only if there is none).
    fn replace(
        &self,
        object: &Object,
        expected: Option<&Version>,
    ) -> impl Future<Output = Result<Replaced, PortError>> + Send;
}

/// Puts metrics to CloudWatch.
pub trait PutMetrics: Sync {
    /// One call; `data` is within the limits of one call (see [`crate::metrics::put`]).
    fn put_metrics(&self, namespace: &str, data: &[Datum]) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// One series asked of CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricQuery {
    /// CloudWatch namespace, `AWS/RDS` say.
    pub namespace: String,
    /// Metric name there.
    pub name: String,
    /// Exactly the dimensions of the series.
    pub dimensions: BTreeMap<String, String>,
    /// `Average`, `Sum`, `Maximum`, `p95`, ...
    pub statistic: String,
}

/// What CloudWatch knows of one series, by minute.
pub type MinuteValues = BTreeMap<Minute, f64>;

/// Why CloudWatch has not answered a query, or not completely.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unanswered {
    /// In its words.
    pub reason: String,
}

/// Reads metrics from CloudWatch.
pub trait ReadMetrics: Sync {
    /// One answer a query, in the same order, of the minutes from `from` up to but without `until`. A query that
    /// CloudWatch could not answer completely, also when asked once more, is an error of its own, not an empty series.
    fn read_metrics(
        &self,
        queries: &[MetricQuery],
        from: Minute,
        until: Minute,
    ) -> impl Future<Output = Vec<Result<MinuteValues, Unanswered>>> + Send;
}

/// Reads figures of metrics from CloudWatch.
pub trait ReadFigures: Sync {
    /// One answer a query, in the same order: the value of each period of which there is data, by its beginning.
    fn read_figures(
        &self,
        queries: &[MetricQuery],
        periods: Periods,
    ) -> impl Future<Output = Vec<Result<MinuteValues, Unanswered>>> + Send;
}

/// A message for a topic, with a body for each protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Subject line of e-mails: at most 99 ASCII characters, none of them a control character.
    pub subject: String,
    /// Body by protocol (`default`, `lambda`, `sqs`, `https`, ...); `default` is what e-mail shows.
    pub bodies: BTreeMap<&'static str, String>,
    /// For filter policies; no value is empty.
    pub attributes: BTreeMap<&'static str, Attribute>,
}

/// The value of an attribute. A filter policy that asks for one of several values is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// One text.
    One(String),
    /// Several texts.
    Several(Vec<String>),
}

impl Attribute {
    /// How SNS calls its type.
    pub fn data_type(&self) -> &'static str {
        match self {
            Attribute::One(_) => "String",
            Attribute::Several(_) => "String.Array",
        }
    }

    /// As SNS takes it: several as a JSON array.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Attribute::One(value) => Cow::Borrowed(value),
            Attribute::Several(values) => {
                Cow::Owned(serde_json::to_string(values).expect("a list of texts always serialises"))
            }
        }
    }
}

impl From<String> for Attribute {
    fn from(value: String) -> Attribute {
        Attribute::One(value)
    }
}

impl From<&str> for Attribute {
    fn from(value: &str) -> Attribute {
        Attribute::One(value.to_owned())
    }
}

/// Publishes to a topic.
pub trait Publish: Sync {
    /// Sends once; the caller decides about trying again.
    fn publish(&self, publication: &Publication) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// An event for an EventBridge bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusEvent {
    /// Who publishes it: `land-contracts.contract`.
    pub source: String,
    /// Its type: `ContractCreated`.
    pub detail_type: String,
    /// What happened: a JSON object.
    pub detail: String,
    /// When it happened, in epoch seconds; EventBridge has no finer time.
    pub epoch_seconds: i64,
}

impl BusEvent {
    /// Bytes that count against [`MAX_BUS_BYTES`]: the time takes 14.
    pub fn bytes(&self) -> usize {
        14 + self.source.len() + self.detail_type.len() + self.detail.len()
    }
}

/// Events that a call of EventBridge's `PutEvents` takes.
pub const MAX_BUS_EVENTS: usize = 10;

/// Bytes that a call takes, of all its events together.
pub const MAX_BUS_BYTES: usize = 256 * 1024;

/// The calls that put `events`, in their order, each within the limits. An event that is too large for any call gets a
/// call of its own, which EventBridge refuses, so that the caller hears of it.
pub fn bus_calls(events: &[BusEvent]) -> Vec<&[BusEvent]> {
    let mut calls = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, event) in events.iter().enumerate() {
        if at > from && (at - from == MAX_BUS_EVENTS || bytes + event.bytes() > MAX_BUS_BYTES) {
            calls.push(&events[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += event.bytes();
    }
    calls.extend(events.get(from..).filter(|rest| !rest.is_empty()));
    calls
}

/// Puts events on an EventBridge bus.
pub trait PutEvents: Sync {
    /// Succeeds once all of them were taken. After an error some may have been: whoever takes them knows them again.
    fn put_events(&self, events: &[BusEvent]) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Appends lines to a log group of CloudWatch.
pub trait AppendLog: Sync {
    /// Succeeds once all lines are in the stream, which is made where it is not there. After an error some may be.
    fn append(&self, stream: &str, lines: Vec<NewEvent>) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The text of a secret. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> SecretText {
        SecretText(text.into())
    }

    /// Hands the text out, to whoever has a use for it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Reads a secret.
pub trait ReadSecret: Sync {
    /// The current text of the secret `id`. One that is not there, or holds no text, is an error.
    fn read_secret(&self, id: &str) -> impl Future<Output = Result<SecretText, PortError>> + Send;
}

/// Where Slack is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackCall {
    /// The address; that of a webhook is a secret.
    pub url: SecretText,
    /// The token of a bot, for a method of the API.
    pub token: Option<SecretText>,
    /// What is sent, as JSON.
    pub body: String,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The body; nothing where it is too long or breaks off.
    pub body: Vec<u8>,
}

/// Calls Slack: an incoming webhook, or a method of its API.
pub trait CallSlack: Sync {
    /// Posts once. Any answer is one, whatever it says (see [`crate::notifying::slack::answer`]); where there is none, the
    /// error is transient, and what was sent may have arrived. What can't be called is a permanent error, which does not
    /// tell the address.
    fn call(&self, call: &SlackCall) -> impl Future<Output = Result<Answered, PortError>> + Send;
}

/// A segment document that X-Ray has not processed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unprocessed {
    /// Id of the segment, where X-Ray could read it.
    pub id: Option<String>,
    /// What kind of trouble it was.
    pub code: String,
    /// What it says.
    pub message: String,
}

/// Puts segment documents to X-Ray.
pub trait PutSegments: Sync {
    /// One call; `documents` are within the limits of one (see [`crate::traces::xray`]). Answers those that were not
    /// processed; putting one twice does no harm.
    fn put_segments(&self, documents: &[&str]) -> impl Future<Output = Result<Vec<Unprocessed>, PortError>> + Send;
}

/// Reads a trace from X-Ray.
pub trait ReadTrace: Sync {
    /// The segment documents of the trace; `None` where X-Ray has none of it, or could not read it now.
    fn read_trace(&self, id: TraceId) -> impl Future<Output = Result<Option<Vec<String>>, PortError>> + Send;
}

/// Sends spans to a collector of OpenTelemetry's protocol.
pub trait ExportSpans: Sync {
    /// Sends one request, an `ExportTraceServiceRequest` as protobuf. What may pass was tried again already.
    fn export(&self, request: &[u8]) -> impl Future<Output = Result<Answer, PortError>> + Send;
}

/// Writes samples to Prometheus, or whatever takes its remote write 1.0.
pub trait WriteSamples: Sync {
    /// Writes one request, a `prometheus.WriteRequest` as protobuf, uncompressed. What may pass was tried again
    /// already. A request that the other side will not take is a permanent error; it has then taken nothing of it.
    fn write(&self, request: &[u8]) -> impl Future<Output = Result<(), PortError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_put_events_stay_within_its_limits_and_in_order() {
        let event = |bytes: usize| BusEvent {
            source: String::new(),
            detail_type: String::new(),
            detail: "x".repeat(bytes - 14),
            epoch_seconds: 0,
        };
        let half = MAX_BUS_BYTES / 2;
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![14; 11], vec![10, 1]),
            (vec![half, half, 14], vec![2, 1]),
            (vec![half, half + 1], vec![1, 1]),
            (vec![14, MAX_BUS_BYTES + 1, 14], vec![1, 1, 1]),
        ] {
            let events: Vec<BusEvent> = sizes.iter().map(|bytes| event(*bytes)).collect();
            let calls = bus_calls(&events);
            assert_eq!(calls.iter().map(|call| call.len()).collect::<Vec<_>>(), expected, "{sizes:?}");
            assert_eq!(calls.concat(), events);
        }
    }
}
