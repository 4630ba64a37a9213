//! Log lines of schema v1 (the source document's `LogEntry`) from `tracing` events, one JSON object a
//! line on standard output, where Lambda and ECS collect them.
//!
//! ```no_run
//! let service = telemetry::Service { name: "log-processor", environment: "production", version: "1.0.0" };
//! telemetry::init(&service, telemetry::LevelFilter::INFO);
//! tracing::info!(category = "database", lines = 12, "batch archived");
//! ```
//!
//! Fields called `category`, `error` and `duration_ms` have their place in the schema; any other field
//! goes to `details`. `request_id`, `user_id`, `session_id`, `trace_id` and `span_id` of the surrounding
//! spans (and the request id that the Lambda runtime's span carries) go to `context`.

mod layer;
mod line;
pub mod metrics;
pub mod web;

pub use layer::LogLayer;

pub use tracing_subscriber::filter::LevelFilter;

use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

/// Who writes the lines.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// `context.service_name`.
    pub name: &'a str,
    /// `context.environment`.
    pub environment: &'a str,
    /// `context.version`.
    pub version: &'a str,
}

/// Sends every event of this process at `level` or above to
/// standard output. The first call wins: lines are never written twice.
pub fn init(service: &Service<'_>, level: LevelFilter) {
    let layer = LogLayer::new(service, std::io::stdout).with_filter(level);
    // A second call finds a subscriber in place and leaves it there.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}
