//! The alert topic to a Slack webhook.

mod config;
mod handler;

pub use config::Config;
pub use handler::{Summary, handle};
