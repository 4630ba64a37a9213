//! Business events to archive objects and pending metrics. Services publish them to an EventBridge bus, whose rule
//! puts them into a queue, from which they come here. What is in them: `domain::events`.

mod config;
mod handler;

pub use config::Config;
pub use handler::{QueueEvent, QueueMessage, handle};
