//! The messages of remote write 1.0, as far as we write them. (The specification's `prometheus.WriteRequest`.)

use prost::Message;

/// The value that says that a series has ended: a NaN of its own.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// One request.
#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    /// Samples by series.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// What the families are.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

/// Samples of one series.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// In ascending order of their names; `__name__` is one of them.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// In ascending order of their times.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

/// A label. Neither name nor value is empty.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Label {
    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Any text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A value at a time.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// The value; [`STALE`] where the series ends.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// What a family is.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MetricMetadata {
    /// How its values behave.
    #[prost(enumeration = "MetricType", tag = "1")]
    pub r#type: i32,
    /// Its name, `api_request_duration_seconds` say.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// A sentence for people.
    #[prost(string, tag = "4")]
    pub help: String,
    /// Its unit, `seconds` say, where it has one.
    #[prost(string, tag = "5")]
    pub unit: String,
}

/// How the values of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    /// Not known.
    Unknown = 0,
    /// It only grows.
    Counter = 1,
    /// A level.
    Gauge = 2,
    /// A distribution in buckets.
    Histogram = 3,
}

impl WriteRequest {
    /// Reads a request, uncompressed.
    ///
    /// # Errors
    ///
    /// Where the bytes are no such message.
    pub fn parse(body: &[u8]) -> Result<WriteRequest, prost::DecodeError> {
        WriteRequest::decode(body)
    }
}

impl Sample {
    /// Whether it says that the series has ended.
    pub fn is_stale(&self) -> bool {
        self.value.to_bits() == STALE
    }
}
