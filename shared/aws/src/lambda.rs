//! The glue between a handler and the Lambda runtime.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use telemetry::{Identity, Settings};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::measures;
use crate::variables::{ConfigError, Variables};

/// What every function reads from its environment beside its own configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// `ENVIRONMENT`: production, staging, ...
    pub environment: String,
    /// `LOG_LEVEL`: off, error, warn, info (the default), debug or trace, also by target (`info,hyper=debug`).
    pub log_levels: Targets,
    /// `METRIC_NAMESPACE`: the CloudWatch namespace of what it tells about its runs.
    pub metric_namespace: String,
    /// What Lambda calls the function, where it says so.
    pub function: Option<String>,
}

impl Telemetry {
    /// The variables it reads, beside `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets.
    pub const VARIABLES: [&str; 3] = ["ENVIRONMENT", "LOG_LEVEL", "METRIC_NAMESPACE"];

    /// Reads them.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Telemetry, ConfigError> {
        let mut variables = Variables::new(lookup);
        let environment = variables.required("ENVIRONMENT");
        let log_levels = variables.optional_with("LOG_LEVEL", telemetry::parse_levels);
        let log_levels = log_levels.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
        let metric_namespace = variables.required("METRIC_NAMESPACE");
        let function = variables.optional("AWS_LAMBDA_FUNCTION_NAME");
        variables.finish(|| Some(Telemetry { environment, log_levels, metric_namespace, function }))
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
    let Telemetry { environment, log_levels, metric_namespace, function } = Telemetry::from_lookup(environment)?;
    measures::name_function(function.unwrap_or_else(|| name.to_owned()));
    let mut settings = Settings::new(Identity::new(name, &environment, version));
    settings.levels = log_levels;
    settings.namespace = metric_namespace;
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
    let (handler, is_cold) = (&handler, &AtomicBool::new(true));
    let service = service_fn(|event: LambdaEvent<E>| async move {
        // In a box, since the compiler's depth of nested futures has an end.
        let run = Box::pin(handler(event.payload));
        observed(is_cold.swap(false, Ordering::Relaxed), run, || telemetry::flush(FLUSH)).await
    });
    lambda_runtime::run(service).await.map_err(|error| anyhow::anyhow!(error).context("the Lambda runtime ended"))
}

/// Does one run, and tells how it went before it is answered.
async fn observed<R>(
    is_cold: bool,
    run: impl Future<Output = anyhow::Result<R>>,
    flush: impl FnOnce() -> bool,
) -> Result<R, Failure> {
    let started = Instant::now();
    let result = run.await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), error.type = HANDLER_FAILED, "invocation failed");
        Failure(error)
    });
    measures::ended(is_cold, started.elapsed(), result.is_err());
    // With the answer the function freezes, maybe for ever, and with it the thread that writes.
    flush();
    result
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_level_that_can_not_be_read_is_an_error_at_cold_start() {
        let read = |level: Option<&'static str>| {
            let lookup = |name: &str| match name {
                "ENVIRONMENT" | "METRIC_NAMESPACE" => Some("test".to_owned()),
                "LOG_LEVEL" => level.map(str::to_owned),
                _ => None,
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

    /// What is written, as JSON lines.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn lines(&self) -> Vec<Value> {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    /// Does one run, and answers what its log says once it is over.
    fn run_once(telemetry: &telemetry::Telemetry, written: &Written, is_cold: bool, fails: bool) -> Vec<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let run = async move {
            measures::took_in(7, 700);
            measures::quarantined(0);
            measures::events_refused(2);
            measures::newest(Timestamp::now().as_millisecond() + 60_000);
            if fails { Err(anyhow::anyhow!("the bucket is gone")) } else { Ok(()) }
        };
        let observed = observed(is_cold, run, || telemetry.flush(FLUSH));
        let result = tracing::subscriber::with_default(telemetry.subscriber(), || runtime.block_on(observed));
        assert_eq!(result.is_err(), fails);
        written.lines()
    }

    #[test]
    fn a_run_is_told_in_the_functions_log_before_it_is_answered() {
        let written = Written::default();
        let mut settings = Settings::new(Identity::new("log-processor", "test", "1"));
        settings.namespace = "Shop".to_owned();
        settings.flush_seconds = 0;
        let telemetry = telemetry::Telemetry::new(settings, written.clone()).unwrap();
        let told = |lines: &[Value], name: &str| lines.iter().find_map(|line| line[name].as_f64());
        for (is_cold, fails) in [(true, false), (false, true), (false, false)] {
            // A test's clock may stand still for a run: no time is asserted, but that there is one.
            let lines = run_once(&telemetry, &written, is_cold, fails);
            assert_eq!(told(&lines, "function_cold_starts"), is_cold.then_some(1.0), "{lines:?}");
            assert_eq!(told(&lines, "function_errors"), fails.then_some(1.0), "{lines:?}");
            assert!(told(&lines, "function_duration").is_some_and(|millis| millis >= 0.0), "{lines:?}");
            assert_eq!((told(&lines, "function_lines"), told(&lines, "function_bytes")), (Some(7.0), Some(700.0)));
            assert_eq!(told(&lines, "function_events_refused"), Some(2.0));
            // What has not happened is not told; what seems to be ahead of the clock is of now.
            assert_eq!((told(&lines, "function_quarantined"), told(&lines, "function_batch_age")), (None, Some(0.0)));
            for line in lines.iter().filter(|line| line.get("_aws").is_some()) {
                let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
                for directive in directives {
                    assert_eq!(
                        (&directive["Namespace"], &directive["Dimensions"]),
                        (&json!("Shop"), &json!([["function"]]))
                    );
                }
                assert_eq!(line["function"], "unknown", "only Lambda gives it a name");
            }
            assert_eq!(lines.iter().filter(|line| line["message"] == "invocation failed").count(), usize::from(fails));
        }
    }
}
