//! The glue between a handler and the Lambda runtime.

use std::fmt;
use std::future::Future;

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::variables::{ConfigError, Variables};

/// What every function reads from its environment beside its own configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// `ENVIRONMENT`: production, staging, ...
    pub environment: String,
    /// `LOG_LEVEL`: error, warn, info (the default), debug or trace.
    pub log_level: String,
}

impl Telemetry {
    /// The variables it reads.
    pub const VARIABLES: [&str; 2] = ["ENVIRONMENT", "LOG_LEVEL"];

    /// Reads them.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Telemetry, ConfigError> {
        let mut variables = Variables::new(lookup);
        let environment = variables.required("ENVIRONMENT");
        let log_level = variables.optional("LOG_LEVEL").unwrap_or_else(|| "info".to_owned());
        variables.finish(|| Some(Telemetry { environment, log_level }))
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

/// The environment as a lookup.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Starts logging for the function `name`; call it before anything that logs.
pub fn start_logging(name: &str, version: &str) -> Result<(), ConfigError> {
    let settings = Telemetry::from_lookup(environment)?;
    telemetry::init(&telemetry::Service { name, environment: &settings.environment, version }, &settings.log_level);
    Ok(())
}

/// A handler's failure as Lambda reports it: a fixed type that can be counted, and the whole chain of causes.
struct Failure(anyhow::Error);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Diagnostic {
        Diagnostic { error_type: "HandlerFailed".to_owned(), error_message: format!("{:#}", failure.0) }
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
        handler(event.payload).await.map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "invocation failed");
            Failure(error)
        })
    });
    lambda_runtime::run(service).await.map_err(|error| anyhow::anyhow!(error).context("the Lambda runtime ended"))
}
