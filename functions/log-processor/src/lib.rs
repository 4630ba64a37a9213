//! CloudWatch Logs deliveries to archive objects and pending metrics, by two doors: [`handle`] takes what a
//! subscription sends to Lambda, [`handle_stream`] what it sends to a Kinesis data stream.

mod config;
mod handler;
mod pipelines;
mod start;
mod stream;

pub use config::Config;
pub use handler::{Summary, handle};
pub use pipelines::Pipelines;
pub use start::start;
pub use stream::{StreamEvent, StreamResponse, handle_stream};
