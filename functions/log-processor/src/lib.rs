//! CloudWatch Logs deliveries to archive objects and pending metrics.

mod config;
mod handler;

pub use config::Config;
pub use handler::{Summary, handle};
