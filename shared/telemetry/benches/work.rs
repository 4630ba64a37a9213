//! What is logged in the benchmarks, and to whom: the same statements for every subscriber.

use std::error::Error;
use std::io;

use telemetry::{Identity, Settings, Telemetry};
use tracing::{Dispatch, Span};

/// Our layer, into a sink that discards. `share` of traces is kept.
pub fn ours(share: f64) -> (Telemetry, Dispatch) {
    let mut settings = Settings::new(Identity::new("contract", "production", "1.0.0"));
    settings.traces.share = share;
    settings.traces.per_second = 0;
    // Large enough that nothing is dropped: a line that is dropped is quick.
    settings.buffer_bytes = 64 << 20;
    let telemetry = Telemetry::new(settings, io::sink()).expect("a thread for the sink");
    let dispatch = Dispatch::new(telemetry.subscriber());
    (telemetry, dispatch)
}

/// A request's span, with the ids that lines have. What our layer takes from its settings, the other takes from here.
pub fn request() -> Span {
    tracing::info_span!(
        "request",
        request_id = "0c9b1a3e-4a0f-4b57-9c53-4f6ad0c6e0f1",
        user_id = "u-4711",
        session_id = "s-0815",
        service_name = "contract",
        environment = "production",
        version = "1.0.0",
    )
}

/// An event with eight fields beside its message.
pub fn event(number: u64) {
    tracing::info!(
        category = "database",
        query_type = "SELECT",
        table = "contracts",
        rows_affected = number,
        duration_ms = 12.75,
        cached = false,
        endpoint = "/contracts/{id}/parties",
        attempt = 1_i64,
        "database query"
    );
}

/// An event with a formatted message, and an error with its cause.
pub fn failure(number: u64, error: &(dyn Error + 'static)) {
    tracing::error!(error, retries = 3_u64, "contract {number} could not be saved");
}
