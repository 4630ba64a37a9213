//! The glue between a handler and the Lambda runtime.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use anyhow::ensure;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use telemetry::{Identity, Settings};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::variables::{ConfigError, Variables};

/// What every function reads from its environment beside its own configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// `ENVIRONMENT`: production, staging, ...
    pub environment: String,
    /// `LOG_LEVEL`: off, error, warn, info (the default), debug or trace, also by target (`info,hyper=debug`).
    pub log_levels: Targets,
}

impl Telemetry {
    /// The variables it reads.
    pub const VARIABLES: [&str; 2] = ["ENVIRONMENT", "LOG_LEVEL"];

    /// Reads them.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Telemetry, ConfigError> {
        let mut variables = Variables::new(lookup);
        let environment = variables.required("ENVIRONMENT");
        let log_levels = variables.optional_with("LOG_LEVEL", telemetry::parse_levels);
        let log_levels = log_levels.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
        variables.finish(|| Some(Telemetry { environment, log_levels }))
    }
}

/// A tick of a schedule, or the same sent by hand: what matters of EventBridge's event. It must have a
/// time (in `aws_lambda_events` that is optional): from the time follows what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Tick<D = IgnoredAny> {
    /// The time that the tick stands for, whenever it arrives.
    pub time: Timestamp,
    /// What is asked for; a schedule asks for nothing.
    pub detail: D,
}

/// Which items of a stream's or a queue's batch are not done: Lambda sends these again. (Of a stream also what comes
/// after the first of them.)
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// A failure for each item, in their order.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// An item that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// A record's sequence number, or a message's id.
    pub item_identifier: String,
}

/// How far a tick may be ahead of the wall clock: as far as two clocks may differ, and no further.
const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);

impl<D> Tick<D> {
    /// The tick, unless it stands for a time that is still to come by the wall clock's `now`. Whatever
    /// happens until then would count as done before it happened. One that is late is as good as ever.
    ///
    /// # Errors
    ///
    /// Where it is more than five minutes ahead.
    pub fn checked(self, now: Timestamp) -> anyhow::Result<Tick<D>> {
        let ahead = self.time.duration_since(now);
        ensure!(ahead <= MAX_AHEAD, "the tick stands for {}, but it is only {now}: more than 5 min ahead", self.time);
        Ok(self)
    }
}

/// The environment as a lookup.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How long an invocation waits at most for its log lines to be written.
const FLUSH: Duration = Duration::from_secs(2);

/// Starts logging for the function `name`; call it before anything that logs, and keep what it gives until `main`
/// ends. The pipeline's own functions write no span lines: nothing would forward them.
pub fn start_logging(name: &str, version: &str) -> anyhow::Result<telemetry::Guard> {
    let Telemetry { environment, log_levels } = Telemetry::from_lookup(environment)?;
    let mut settings = Settings::new(Identity::new(name, &environment, version));
    settings.levels = log_levels;
    settings.traces.spans = Targets::new();
    // `run` flushes after each invocation; a thread would be frozen in between.
    settings.flush_seconds = 0;
    Ok(telemetry::init(settings)?)
}

/// The type of every failure of a handler, by which they are counted.
const HANDLER_FAILED: &str = "HandlerFailed";

/// A handler's failure as Lambda reports it: a fixed type that can be counted, and the whole chain of causes.
struct Failure(anyhow::Error);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Diagnostic {
        Diagnostic { error_type: HANDLER_FAILED.to_owned(), error_message: format!("{:#}", failure.0) }
    }
}

/// Hands every invocation to `handler` until the runtime ends. A failure is logged with its causes and
/// reported to Lambda, which then tries again or parks the event, as the trigger has it.
pub async fn run<E, R, F>(handler: impl Fn(E) -> F) -> anyhow::Result<()>
where
    E: DeserializeOwned,
    R: Serialize,
    F: Future<Output = anyhow::Result<R>>,
{
    let handler = &handler;
    let service = service_fn(|event: LambdaEvent<E>| async move {
        let result = handler(event.payload).await.map_err(|error| {
            tracing::error!(error = format!("{error:#}"), error.type = HANDLER_FAILED, "invocation failed");
            Failure(error)
        });
        // With the answer the function freezes, maybe for ever, and with it the thread that writes.
        telemetry::flush(FLUSH);
        result
    });
    lambda_runtime::run(service).await.map_err(|error| anyhow::anyhow!(error).context("the Lambda runtime ended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_can_not_be_read_is_an_error_at_cold_start() {
        let read = |level: Option<&'static str>| {
            let lookup = |name: &str| match name {
                "ENVIRONMENT" => Some("test".to_owned()),
                _ => level.map(str::to_owned),
            };
            Telemetry::from_lookup(lookup).map_err(|error| error.to_string())
        };
        for (level, hyper_debugs) in [(None, false), (Some("debug"), true), (Some("info,hyper=debug"), true)] {
            let levels = read(level).unwrap().log_levels;
            assert_eq!(levels.would_enable("hyper::client", &tracing::Level::DEBUG), hyper_debugs, "{level:?}");
        }
        // `Targets` itself would take it for the name of a target.
        let error = read(Some("loud")).unwrap_err();
        assert!(error.starts_with("configuration: LOG_LEVEL is `loud`: `loud` is neither a level"), "{error}");
    }

    #[test]
    fn a_tick_that_is_ahead_of_the_wall_clock_is_refused() {
        let now = "2026-11-21T10:05:00Z".parse().unwrap();
        for (time, refusal) in [
            ("2026-11-21T10:05:00Z", None),
            ("2026-11-21T10:10:00Z", None),
            ("1970-01-01T00:00:00Z", None),
            ("-009999-01-02T01:59:59Z", None),
            (
                "2026-11-21T10:10:01Z",
                Some(
                    "the tick stands for 2026-11-21T10:10:01Z, but it is only 2026-11-21T10:05:00Z: more than 5 min ahead",
                ),
            ),
            (
                "9999-12-30T22:00:00Z",
                Some(
                    "the tick stands for 9999-12-30T22:00:00Z, but it is only 2026-11-21T10:05:00Z: more than 5 min ahead",
                ),
            ),
        ] {
            let tick = Tick { time: time.parse().unwrap(), detail: "detail" };
            let checked = tick.checked(now);
            assert_eq!(checked.as_ref().err().map(ToString::to_string).as_deref(), refusal, "{time}");
            assert!(checked.is_err() || checked.is_ok_and(|passed| passed == tick), "{time}");
        }
    }
}
