//! Rules and metrics to alerts, each told once.

mod config;
mod evidence;
mod handler;
mod sending;

pub use config::Config;
pub use evidence::{Known, gather};
pub use handler::{Evaluator, Summary};
pub use sending::SENDING;
