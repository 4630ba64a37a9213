//! Rules and metrics, alarms and events to alerts, each told once.

mod config;
mod evidence;
mod handler;
mod sending;
mod start;

pub use config::Config;
pub use evidence::{Known, gather};
pub use handler::{Evaluator, Ports, Summary};
pub use sending::SENDING;
pub use start::{OnAws, start};
