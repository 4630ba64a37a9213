//! Rules and metrics to alerts, each told once.

mod config;
mod handler;
mod sending;

pub use config::Config;
pub use handler::{Evaluator, Summary};
pub use sending::SENDING;
