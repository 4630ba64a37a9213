//! Pending metrics to minute rollups and CloudWatch, each counted once.

mod config;
mod handler;
mod rollups;

pub use config::Config;
pub use handler::{Flusher, LEASE, Summary};
