//! What services write and the pipeline reads: the words that both have to mean the same by. Plain data, so
//! that a service takes it in without a parser, a compressor or an SDK.
//!
//! - [`Level`] and [`Category`] of a log record (schema v1, the source document's `LogEntry`);
//! - [`registry`]: every metric with its kind, unit and dimensions;
//! - [`dimension`] and [`endpoint`]: how the values of dimensions are written;
//! - [`trace`]: ids, kinds and states of spans, and the headers that carry them.

mod category;
pub mod dimension;
pub mod endpoint;
mod level;
pub mod registry;
pub mod trace;

pub use category::Category;
pub use level::Level;

/// Names of the ids in a record's `context`, in the order in which they are written and archived.
pub const CONTEXT: [&str; 8] =
    ["request_id", "user_id", "session_id", "service_name", "environment", "version", "trace_id", "span_id"];
