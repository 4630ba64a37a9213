//! CloudWatch Logs deliveries to archive objects and pending metrics, by two doors: [`handle`] takes what a
//! subscription sends to Lambda, [`handle_stream`] what it sends to a Kinesis data stream.

mod config;
mod handler;
mod start;
mod stream;
mod telling;

pub use aws::pipelines::Pipelines;
pub use config::Config;
pub use handler::{Summary, handle};
pub use start::start;
pub use stream::{StreamEvent, handle_stream};
