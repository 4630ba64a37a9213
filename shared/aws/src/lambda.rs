//! The glue between a handler and the Lambda runtime.

use std::fmt;
use std::future::Future;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
