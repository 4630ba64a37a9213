//! Minute rollups and alert history to the report of a local day, stored and announced.

mod config;
mod handler;

pub use config::Config;
pub use handler::{Detail, Reporter, Summary};
