//! Spans of log lines to AWS X-Ray and to a collector of OpenTelemetry's protocol (Jaeger, or any other).

mod config;
mod handler;
mod sending;

pub use config::{Compression, Config};
pub use handler::{Forwarder, Summary};
