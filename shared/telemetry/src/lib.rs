//! What services log, measure and trace with: log lines and span lines of schema v1 (the source document's
//! `LogEntry` and `Span`) from `tracing`, one JSON object a line on standard output, where Lambda and ECS collect
//! them. No AWS SDK, no parser: a service adds this crate and nothing else.
//!
//! # Start
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // SERVICE_NAME, ENVIRONMENT, LOG_LEVEL (`info,sqlx=warn`) and so on; all that is wrong is told at once.
//! let settings = telemetry::Settings::from_lookup(|name| std::env::var(name).ok())?;
//! // What is still to be written is written when the guard is dropped, and on a panic.
//! let _written_at_the_end = telemetry::init(settings)?;
//! tracing::info!(category = "business_logic", contract_id = 4711, "contract created");
//! # Ok(())
//! # }
//! ```
//!
//! A function that is frozen between invocations calls [`flush`] after each. Tests make a [`Telemetry`] of their own,
//! with any writer, and set its [`subscriber`](Telemetry::subscriber) for their thread.
//!
//! # Events
//!
//! Everything that `tracing` logs is written, of whatever crate, from the level on that is set; and so are records of
//! the `log` crate, with their `target` as a detail. Fields go to `details`, but for these. (A name that is given
//! twice is written twice: readers have the last.)
//!
//! | field | is |
//! |---|---|
//! | `category` | a name of [`schema::Category`]; `system` where there is none. What is no category is a detail |
//! | `error` | an error with its causes (`a: b: c`), as `error = &error as &dyn Error`, or a text. Its type is the name that its `Debug` begins with |
//! | `error.type`, `error.traceback` | the rest of it, where it is known better ([`type_name`]) |
//! | `duration_ms` | the duration, in milliseconds |
//! | `critical = true` | makes an ERROR a CRITICAL; [`critical!`] does the same |
//! | `request_id`, `user_id`, `session_id`, `trace_id`, `span_id` | the context of this one line |
//! | `span.log` | whether the event is added to the logs of its span; WARN and above are, unless it says `false` |
//!
//! Numbers that are not finite become texts (`"NaN"`); texts are cut at 32 KiB, with a `…`; of a record over 256 KiB
//! the details are left out, which `details.truncated` tells. A field whose value is marked as [`secret()`], or whose
//! name is one of [`Settings::masked_fields`], is written as `[secret]`.
//!
//! Ids that are the same for all of a request are set once: by a [`RequestScope`], or by fields of a span. Typed
//! functions ([`log_api_call`] and its like) write what the pipeline derives metrics from.
//!
//! # What is not written, and how it is known
//!
//! A slow standard output stops nobody: lines wait in a bounded buffer, and when it is full they are dropped, counted
//! ([`Sink::dropped`]) and told in a WARNING of their own. DEBUG lines below the level can be written for a share of
//! requests, or held back until something fails ([`DebugLines`]).
//!
//! # Traces
//!
//! See [`trace`]. When a span of a trace that is kept closes, it is written as a line.
//!
//! # The source document's classes
//!
//! | there (1.1) | here |
//! |---|---|
//! | `LogLevel`, `LogCategory` | [`schema::Level`], [`schema::Category`], which has `audit` too |
//! | `LogContext`, `_create_context` | [`RequestScope`] and [`Identity`]; once a request, not once a line |
//! | `LogEntry`, `_log` | an event of `tracing`, written by the [`LogLayer`] |
//! | `StructuredLogger.__init__` | [`init`] with [`Settings`]; the first call wins |
//! | `debug`, `info`, `warning`, `error` | `tracing::{debug, info, warn, error}!` |
//! | `critical` | [`critical!`] |
//! | `log_performance` | [`log_performance`] |
//! | `log_api_call` | [`log_api_call`] with an [`ApiCall`]; level and category by direction and status, never the query |
//! | `log_database_query` | [`log_database_query`] with a [`DatabaseQuery`] |
//! | `log_security_event` | [`log_security_event`] with a [`SecurityEvent`]; and [`log_audit_event`] for the record |
//! | `_serialize_error` | a field `error`, with its causes |
//! | `@log_performance` | [`operation()`], which tells how it ended, too |
//! | `@log_api_call` | [`web::layer`] |
//!
//! | there (2.1) | here |
//! |---|---|
//! | `MetricType` | [`schema::registry::Kind`] |
//! | `Metric` | [`schema::registry::Definition`]: name, kind, unit, dimensions; its values are in [`mod@metrics`] |
//! | `MetricsCollector` | [`mod@metrics`]: how they are kept, told and bounded |
//! | `BusinessMetricsCollector`, `@track_performance` | [`business`] has the table of its methods |
//!
//! | there (3.1) | here |
//! |---|---|
//! | `SpanKind`, `SpanStatus` | [`schema::trace::SpanKind`], [`schema::trace::SpanStatus`] |
//! | `Span` | a span of `tracing`, and the span line that it becomes |
//! | `DistributedTracer.__init__`, `active_spans` | [`init`]; `tracing` knows which spans are open |
//! | `start_trace` | [`trace::start_trace`], or any span that is in no other |
//! | `create_child_span` | [`trace::create_child_span`], or any span within another |
//! | `finish_span` | [`trace::finish_span`], or dropping the span |
//! | `add_span_tag` | `Span::record`; [`trace::add_span_tag`] where the name is known at run time only |
//! | `add_span_log` | an event within the span; [`trace::add_span_log`] |
//! | `_send_segment_to_xray` | the span line, which the pipeline's trace-forwarder sends |
//! | `get_trace_summary` | `ops trace <id>` |
//! | `@trace_operation` | [`operation()`], for functions and futures, with record and metrics; [`trace::traced`] for a span only |
//! | `@trace_api_request` | [`web::layer`] |
//! | `get_client_ip` | [`web::TrustedProxies`], in a layer or by itself |

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
mod records;
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
pub use settings::{DebugLines, Identity, LevelsError, Settings, SettingsError, Traces, parse_levels};
pub use sink::Sink;
pub use start::{Guard, InitError, flush, global, init};

pub use schema;
pub use tracing;
