//! Pending metrics to minute rollups, CloudWatch and Prometheus, each counted once.

mod config;
mod handler;
mod prometheus;
mod rollups;

pub use config::{Config, PrometheusConfig};
pub use handler::{Flusher, LEASE, Summary, TAKING_IN};
pub use prometheus::{Exporter, SENDING, Sent};
