//! The alert topic to Slack, by an incoming webhook or a bot.

mod config;
mod handler;
mod posting;

pub use config::Config;
pub use handler::{Notifier, Summary};
pub use posting::{NOTING, POSTING};
