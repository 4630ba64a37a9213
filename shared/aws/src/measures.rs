//! What every function tells about its own runs, as metrics in lines of its own log, from which CloudWatch extracts
//! them: the `function_...` of the registry. `run` tells how a run began and ended, handlers what it took in.
//!
//! These are told by the run that did it, at the time it did it, and again by a run that does it again: they say how
//! the functions fare. How many lines there were, each counted once and in its own minute, is what `pipeline_...` say.

use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use telemetry::metrics::{increment_counter, record_timer};

/// The function that this process is an instance of.
static FUNCTION: OnceLock<String> = OnceLock::new();

/// Names the function for all that is told from here on.
pub(crate) fn name_function(name: String) {
    // An instance is of one function for all its life.
    let _ = FUNCTION.set(name);
}

fn function() -> [(&'static str, &'static str); 1] {
    [("function", FUNCTION.get().map_or("unknown", String::as_str))]
}

/// Log events, business events, spans or pending objects that a run took in, and the bytes of these.
pub fn took_in(lines: usize, bytes: usize) {
    count("function_lines", lines);
    count("function_bytes", bytes);
}

/// What is kept in quarantine now: log events, business events, spans, metrics, a state.
pub fn quarantined(number: usize) {
    count("function_quarantined", number);
}

/// Events that a bus did not take, and that wait elsewhere for whom they concern.
pub fn events_refused(number: usize) {
    count("function_events_refused", number);
}

/// Attempts that were not the first: calls that are made again, messages that came before.
pub fn tried_again(times: usize) {
    count("function_retries", times);
}

/// When the newest of what a run works on was written, in epoch milliseconds. One that seems to be still to come is
/// of now: two clocks differ.
pub fn newest(millis: i64) {
    let age = Timestamp::now().as_millisecond().saturating_sub(millis);
    let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
    record_timer("function_batch_age", age, &function());
}

/// A run that has ended.
pub fn ended(is_cold_start: bool, took: Duration, failed: bool) {
    count("function_cold_starts", usize::from(is_cold_start));
    count("function_errors", usize::from(failed));
    record_timer("function_duration", took, &function());
}

/// Nothing is told of what did not happen: a metric costs for each hour in which it is told.
fn count(name: &str, number: usize) {
    if number > 0 {
        increment_counter(name, number as f64, &function());
    }
}

/// Counts the calls that an SDK makes again.
#[derive(Debug, Clone, Copy)]
pub struct CountRetries;

impl Intercept for CountRetries {
    fn name(&self) -> &'static str {
        "CountRetries"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if config.load::<RequestAttempts>().is_some_and(|attempts| attempts.attempts() > 1) {
            tried_again(1);
        }
        Ok(())
    }
}
