//! What services log, measure and trace with.

pub mod business;
mod calls;
mod chance;
mod clock;
mod handle;
mod json;
mod layer;
mod line;
pub mod metrics;
pub mod operation;
mod panics;
pub mod scope;
mod secret;
mod settings;
mod sink;
mod start;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod web;

pub use calls::{
    ApiCall, AuditEvent, DatabaseQuery, Direction, Outcome, SecurityEvent, log_api_call, log_audit_event,
    log_database_query, log_performance, log_security_event,
};
pub use handle::Telemetry;
pub use layer::LogLayer;
pub use line::type_name;
pub use operation::{database_query, external_call, operation};
pub use scope::RequestScope;
pub use secret::{Masked, secret};
pub use settings::{Debug, Identity, LevelsError, Settings, SettingsError, Traces, parse_levels};
pub use sink::Sink;
pub use start::{Guard, InitError, flush, global, init};

pub use schema;
pub use tracing;
