//! What a function does, told as one: its record, its metrics and its span.
//!
//! ```
//! # #[derive(Debug, thiserror::Error)]
//! # #[error("no such contract")]
//! # struct NoContract;
//! # async fn load(id: u64) -> Result<String, NoContract> { Ok(String::new()) }
//! fn parse(text: &str) -> Result<u64, std::num::ParseIntError> {
//!     telemetry::operation("parse_contract_id").run(|| text.parse())
//! }
//!
//! async fn contract(id: u64) -> Result<String, NoContract> {
//!     telemetry::operation("load_contract").instrument(load(id)).await
//! }
//! ```
//!
//! The work keeps its result and its error. How it ended is told once: `ok`; `error`, with the error and its causes;
//! `timeout`, where a cause of the error is one (an [`std::io::Error`] that timed out, or tokio's `Elapsed`);
//! `cancelled`, where the future was dropped before it was done. A panic is an `error`, and goes on. The work begins
//! when its future is polled first: one that never is was no work, and nothing is told of it.
//!
//! What is an error is said by [`AsError`]: all errors are, texts, and a status with either of them. Whatever else
//! says that work has failed goes to [`run_judged`](Operation::run_judged).
//!
//! [`operation`] counts `operations` and `operation_duration`, [`database_query`] and [`external_call`] the metrics of
//! their kind, with a span of kind client.

use std::borrow::Cow;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use schema::trace::SpanStatus;
use schema::{Level, endpoint};
use tracing::Span;
use tracing::field::Empty;

use crate::business::{count_query, track_api_request};
use crate::calls::{self, ApiCall, Direction, log_database_query};
use crate::line::MAX_CAUSES;
use crate::metrics::{Point, count_beside_record, count_with_record, millis};
use crate::trace;

/// An operation of the application, called `name`: a name of the code, not of the data.
pub fn operation(name: &str) -> Operation<'_> {
    Operation { name }
}

/// A query of `query_type` (`SELECT`) on `table`.
pub fn database_query<'a>(query_type: &'a str, table: &'a str) -> DatabaseQuery<'a> {
    DatabaseQuery { query_type, table }
}

/// A call of a service outside the platform. Of `target`, a path or URL, only the path without its ids is told.
pub fn external_call<'a>(service: &'a str, method: &'a str, target: &'a str) -> ExternalCall<'a> {
    ExternalCall { service, method, target }
}

/// Made by [`operation`].
#[derive(Debug, Clone, Copy)]
#[must_use = "it does nothing until it is run"]
pub struct Operation<'a> {
    name: &'a str,
}

impl Operation<'_> {
    /// Does the work.
    ///
    /// # Errors
    ///
    /// Those of the work.
    pub fn run<T, E: AsError<M>, M>(self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.begin().run(work, |result| Outcome::of(result, |_| None))
    }

    /// Does work that can't fail.
    pub fn run_value<T>(self, work: impl FnOnce() -> T) -> T {
        self.begin().run(work, |_| Outcome::default())
    }

    /// The future, told of when it is done or dropped.
    pub fn instrument<F, T, E, M>(self, future: F) -> impl Future<Output = Result<T, E>>
    where
        F: Future<Output = Result<T, E>>,
        E: AsError<M>,
    {
        watched(move || self.begin(), future, |result| Outcome::of(result, |_| None))
    }

    /// The same of a future that can't fail.
    pub fn instrument_value<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        watched(move || self.begin(), future, |_| Outcome::default())
    }

    /// Does work whose output itself says whether it has failed: `failure` reads what to tell of it then.
    ///
    /// ```
    /// let answer = telemetry::operation("count_plots").run_judged(
    ///     || (503, "no database"),
    ///     |(status, body)| (*status >= 500).then(|| format!("{status}: {body}")),
    /// );
    /// # assert_eq!(answer.0, 503);
    /// ```
    pub fn run_judged<T>(self, work: impl FnOnce() -> T, failure: impl FnOnce(&T) -> Option<String>) -> T {
        self.begin().run(work, |output| Outcome::failed(failure(output)))
    }

    /// The same of a future.
    pub fn instrument_judged<F: Future>(
        self,
        future: F,
        failure: impl FnOnce(&F::Output) -> Option<String>,
    ) -> impl Future<Output = F::Output> {
        watched(move || self.begin(), future, |output| Outcome::failed(failure(output)))
    }

    fn begin(self) -> Running {
        let span = tracing::info_span!("operation", span.name = self.name, span.status = Empty);
        Running::new(span, Subject::Operation { name: self.name.to_owned() })
    }
}

/// Made by [`database_query`].
#[derive(Debug, Clone, Copy)]
#[must_use = "it does nothing until it is run"]
pub struct DatabaseQuery<'a> {
    query_type: &'a str,
    table: &'a str,
}

impl DatabaseQuery<'_> {
    /// Does the query. `rows` says how many it returned or changed.
    ///
    /// # Errors
    ///
    /// Those of the query.
    pub fn run<T, E: AsError<M>, M>(
        self,
        query: impl FnOnce() -> Result<T, E>,
        rows: impl FnOnce(&T) -> Option<u64>,
    ) -> Result<T, E> {
        self.begin().run(query, |result| Outcome::of(result, rows))
    }

    /// The same of a future.
    pub fn instrument<F, T, E, M>(
        self,
        query: F,
        rows: impl FnOnce(&T) -> Option<u64>,
    ) -> impl Future<Output = Result<T, E>>
    where
        F: Future<Output = Result<T, E>>,
        E: AsError<M>,
    {
        watched(move || self.begin(), query, |result| Outcome::of(result, rows))
    }

    fn begin(self) -> Running {
        let DatabaseQuery { query_type, table } = self;
        let span = tracing::info_span!(
            "database query",
            span.name = format_args!("{query_type} {table}"),
            span.kind = "client",
            span.status = Empty,
            db.operation = query_type,
            db.sql.table = table,
        );
        Running::new(span, Subject::Query { query_type: query_type.to_owned(), table: table.to_owned() })
    }
}

/// Made by [`external_call`].
#[derive(Debug, Clone, Copy)]
#[must_use = "it does nothing until it is run"]
pub struct ExternalCall<'a> {
    service: &'a str,
    method: &'a str,
    target: &'a str,
}

impl ExternalCall<'_> {
    /// Does the call. `status` reads the HTTP status of the answer; a call without one has the status `error`.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub fn run<T, E: AsError<M>, M>(
        self,
        call: impl FnOnce() -> Result<T, E>,
        status: impl FnOnce(&T) -> u16,
    ) -> Result<T, E> {
        self.begin().run(call, |result| Outcome::of(result, |answer| Some(u64::from(status(answer)))))
    }

    /// The same of a future. Within it, [`trace::inject`] gives the headers that tell the other service its parent.
    pub fn instrument<F, T, E, M>(self, call: F, status: impl FnOnce(&T) -> u16) -> impl Future<Output = Result<T, E>>
    where
        F: Future<Output = Result<T, E>>,
        E: AsError<M>,
    {
        watched(move || self.begin(), call, |result| Outcome::of(result, |answer| Some(u64::from(status(answer)))))
    }

    fn begin(self) -> Running {
        let ExternalCall { service, method, target } = self;
        let endpoint = endpoint::template(target, &mut String::new()).to_owned();
        let span = tracing::info_span!(
            "external call",
            span.name = format_args!("{method} {service}"),
            span.kind = "client",
            span.status = Empty,
            span.resource = endpoint,
            http.method = method,
            http.status_code = Empty,
            peer.service = service,
        );
        Running::new(span, Subject::External { service: service.to_owned(), method: method.to_owned(), endpoint })
    }
}

/// What an error says, with its causes. Any [`Error`] does, what holds one (`anyhow::Error`, `Box<dyn Error>`), a
/// text, and a tuple of a status and any of these (`(StatusCode, String)`). `M` tells them apart and is always
/// inferred; a crate can say how an error of another one is told, with a type of its own as `M`.
pub trait AsError<M> {
    /// The error.
    fn as_error(&self) -> Told<'_>;
}

/// An error that is told.
#[derive(Debug)]
pub enum Told<'a> {
    /// It is one.
    Error(&'a (dyn Error + 'static)),
    /// It is only told as one.
    Text(Box<dyn Error>),
}

impl Told<'_> {
    fn error(&self) -> &(dyn Error + 'static) {
        match self {
            Told::Error(error) => *error,
            Told::Text(error) => error.as_ref(),
        }
    }
}

impl From<String> for Told<'_> {
    fn from(text: String) -> Self {
        Told::Text(text.into())
    }
}

/// Marks what is an error itself.
#[derive(Debug)]
pub enum Itself {}

/// Marks what holds one.
#[derive(Debug)]
pub enum Held {}

/// Marks what holds one that stays on its thread.
#[derive(Debug)]
pub enum HeldHere {}

/// Marks a text.
#[derive(Debug)]
pub enum AText {}

/// Marks an error beside a status.
#[derive(Debug)]
pub struct WithStatus<S, M>(S, M);

impl<E: Error + 'static> AsError<Itself> for E {
    fn as_error(&self) -> Told<'_> {
        Told::Error(self)
    }
}

impl<E: AsRef<dyn Error + Send + Sync + 'static>> AsError<Held> for E {
    fn as_error(&self) -> Told<'_> {
        Told::Error(self.as_ref())
    }
}

impl AsError<HeldHere> for Box<dyn Error> {
    fn as_error(&self) -> Told<'_> {
        Told::Error(self.as_ref())
    }
}

impl AsError<AText> for String {
    fn as_error(&self) -> Told<'_> {
        self.clone().into()
    }
}

impl AsError<AText> for &str {
    fn as_error(&self) -> Told<'_> {
        (*self).to_owned().into()
    }
}

impl AsError<AText> for Cow<'_, str> {
    fn as_error(&self) -> Told<'_> {
        self.clone().into_owned().into()
    }
}

impl<S, M, E: AsError<M>> AsError<WithStatus<S, M>> for (S, E) {
    fn as_error(&self) -> Told<'_> {
        self.1.as_error()
    }
}

/// How work ended.
#[derive(Default)]
struct Outcome<'a> {
    told: Option<Told<'a>>,
    /// Rows of a query, HTTP status of a call.
    number: Option<u64>,
}

impl<'a> Outcome<'a> {
    fn of<T, E: AsError<M>, M>(result: &'a Result<T, E>, number: impl FnOnce(&T) -> Option<u64>) -> Outcome<'a> {
        match result {
            Ok(value) => Outcome { told: None, number: number(value) },
            Err(error) => Outcome { told: Some(error.as_error()), number: None },
        }
    }

    fn failed(failure: Option<String>) -> Outcome<'a> {
        Outcome { told: failure.map(Told::from), number: None }
    }

    fn error(&self) -> Option<&(dyn Error + 'static)> {
        self.told.as_ref().map(Told::error)
    }

    fn status(&self) -> SpanStatus {
        match (self.error(), self.number) {
            (Some(error), _) if is_timeout(error) => SpanStatus::Timeout,
            (Some(_), _) => SpanStatus::Error,
            (None, _) => SpanStatus::Ok,
        }
    }
}

/// Whether an error or one of its causes says that something took too long.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    // An error may be its own cause.
    for _ in 0..=MAX_CAUSES {
        let Some(error) = next else { break };
        let timed_out = match error.downcast_ref::<io::Error>() {
            Some(error) => error.kind() == io::ErrorKind::TimedOut,
            None => format!("{error:?}").starts_with("Elapsed("),
        };
        if timed_out {
            return true;
        }
        next = error.source();
    }
    false
}

/// What is done, and what its record and metrics are about.
enum Subject {
    Operation { name: String },
    Query { query_type: String, table: String },
    External { service: String, method: String, endpoint: String },
}

/// Work that has begun. Dropped before it has ended, it was cancelled or has panicked.
struct Running {
    span: Span,
    subject: Subject,
    started: Instant,
    /// Whether the work is being done right now. Dropped meanwhile, it has panicked: that the thread does not panic
    /// (any more) when it is dropped says nothing, as the panic may have been caught in between.
    at_work: bool,
    ended: bool,
}

impl Running {
    fn new(span: Span, subject: Subject) -> Running {
        Running { span, subject, started: Instant::now(), at_work: false, ended: false }
    }

    fn run<T>(mut self, work: impl FnOnce() -> T, judge: impl FnOnce(&T) -> Outcome<'_>) -> T {
        self.at_work = true;
        let result = self.span.in_scope(work);
        self.end(&judge(&result));
        result
    }

    fn end(&mut self, outcome: &Outcome<'_>) {
        self.tell(outcome.status(), outcome);
    }

    fn tell(&mut self, status: SpanStatus, outcome: &Outcome<'_>) {
        self.ended = true;
        let duration = self.started.elapsed();
        // Before the record, whose error would be how the span ended.
        let failed = matches!((&self.subject, outcome.number), (Subject::External { .. }, Some(500..)));
        let ended = if failed { SpanStatus::Error } else { status };
        trace::set_status_if_unset(&self.span, ended);
        let _in = self.span.enter();
        match &self.subject {
            Subject::Operation { name } => tell_operation(name, status, duration, outcome.error()),
            Subject::Query { query_type, table } => tell_query(query_type, table, status, duration, outcome),
            Subject::External { service, method, endpoint } => {
                if let Some(code) = outcome.number {
                    self.span.record("http.status_code", code);
                }
                tell_call((service, method, endpoint), status, duration, outcome);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // A panic has been told where it happened.
        let status = if self.at_work { SpanStatus::Error } else { SpanStatus::Cancelled };
        self.tell(status, &Outcome::default());
    }
}

pin_project_lite::pin_project! {
    struct Watched<B, F, J> {
        // There until it is dropped: it is taken out within the span, so that what it lets go is part of it.
        #[pin]
        future: Option<F>,
        // Who made it. It may be polled first by somebody else.
        outer: Span,
        begin: Option<B>,
        running: Option<Running>,
        judge: Option<J>,
    }

    impl<B, F, J> PinnedDrop for Watched<B, F, J> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let span = this.running.as_ref().map_or(&*this.outer, |running| &running.span);
            span.in_scope(|| this.future.set(None));
        }
    }
}

/// A future that begins when it is polled first, as part of the span in which it was made.
fn watched<B, F, J>(begin: B, future: F, judge: J) -> Watched<B, F, J>
where
    B: FnOnce() -> Running,
    F: Future,
    J: FnOnce(&F::Output) -> Outcome<'_>,
{
    Watched { future: Some(future), outer: Span::current(), begin: Some(begin), running: None, judge: Some(judge) }
}

impl<B, F, J> Future for Watched<B, F, J>
where
    B: FnOnce() -> Running,
    F: Future,
    J: FnOnce(&F::Output) -> Outcome<'_>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(begin) = this.begin.take() {
            *this.running = Some(this.outer.in_scope(begin));
        }
        let (Some(running), Some(future)) = (this.running, this.future.as_pin_mut()) else { return Poll::Pending };
        running.at_work = true;
        let polled = running.span.in_scope(|| future.poll(context));
        if let (Poll::Ready(output), Some(judge)) = (&polled, this.judge.take_if(|_| polled.is_ready())) {
            running.end(&judge(output));
        }
        running.at_work = false;
        polled
    }
}

fn tell_operation(name: &str, status: SpanStatus, duration: Duration, error: Option<&(dyn Error + 'static)>) {
    let labels = [("operation", name), ("status", status.as_str())];
    let points =
        [Point::count("operations", &labels), Point::value("operation_duration", millis(duration), &labels[..1])];
    let level = level_of(status);
    let (category, status, duration_ms) = ("performance", status.as_str(), millis(duration));
    count_beside_record(&points, || match level {
        Level::Info => tracing::info!(category, operation = name, status, duration_ms, "operation"),
        Level::Warning => tracing::warn!(category, operation = name, status, duration_ms, "operation"),
        _ => tracing::error!(category, error, operation = name, status, duration_ms, "operation"),
    });
}

fn tell_query(query_type: &str, table: &str, status: SpanStatus, duration: Duration, outcome: &Outcome<'_>) {
    let rows = outcome.number;
    count_query(query_type, table, duration, rows, || {
        let (category, duration_ms) = ("database", millis(duration));
        let status_text = status.as_str();
        match level_of(status) {
            Level::Info => {
                log_database_query(&calls::DatabaseQuery { query_type, table, duration, rows_affected: rows })
            }
            Level::Warning => {
                tracing::warn!(category, query_type, table, status = status_text, duration_ms, "database query");
            }
            _ => {
                let error = outcome.error();
                tracing::error!(
                    category,
                    error,
                    query_type,
                    table,
                    status = status_text,
                    duration_ms,
                    "database query"
                );
            }
        }
    });
}

/// `call` is the service, the method and the endpoint's template.
fn tell_call(call: (&str, &str, &str), status: SpanStatus, duration: Duration, outcome: &Outcome<'_>) {
    let (service, method, endpoint) = call;
    if let Some(status_code) = outcome.number.and_then(|code| u16::try_from(code).ok()) {
        let direction = Direction::Outbound { service };
        return track_api_request(&ApiCall { direction, method, endpoint, status_code, duration });
    }
    // Without an answer, how it ended stands in the place of its status.
    let status_code = status.as_str();
    let labels = [("external_service", service), ("endpoint", endpoint), ("status_code", status_code)];
    let points = [
        Point::count("external_api_calls", &labels),
        Point::value("external_api_duration", millis(duration), &labels[..2]),
    ];
    let (category, duration_ms) = ("external_api", millis(duration));
    count_with_record(&points, || match level_of(status) {
        Level::Warning => {
            tracing::warn!(category, service, method, endpoint, status_code, duration_ms, "api call");
        }
        _ => {
            let error = outcome.error();
            tracing::error!(category, error, service, method, endpoint, status_code, duration_ms, "api call");
        }
    });
}

fn level_of(status: SpanStatus) -> Level {
    match status {
        SpanStatus::Ok => Level::Info,
        SpanStatus::Cancelled => Level::Warning,
        SpanStatus::Error | SpanStatus::Timeout => Level::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{lines_of, settings};
    use crate::{RequestScope, Settings, parse_levels};
    use serde_json::{Value, json};
    use std::future::{pending, ready};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::Waker;

    #[derive(Debug, thiserror::Error)]
    #[error("could not save")]
    struct SaveError(#[source] io::Error);

    fn refused() -> SaveError {
        SaveError(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"))
    }

    fn timed_out() -> SaveError {
        SaveError(io::Error::new(io::ErrorKind::TimedOut, "nobody answered"))
    }

    /// The record of an operation, and its span.
    fn told(work: impl FnOnce()) -> (Value, Value) {
        let levels = parse_levels("debug").unwrap();
        let lines = lines_of(Settings { levels, ..settings() }, |_| work());
        let (mut spans, mut records): (Vec<Value>, Vec<Value>) =
            lines.into_iter().partition(|line| line.get("span").is_some());
        assert_eq!((records.len(), spans.len()), (1, 1), "{records:?} {spans:?}");
        (records.remove(0), spans.remove(0))
    }

    fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn finished<T>(future: impl Future<Output = T>) -> T {
        let Poll::Ready(output) = poll_once(future) else { panic!("it waits") };
        output
    }

    #[test]
    fn how_work_ended_is_told_in_record_metrics_and_span() {
        // Defect 43: an error was counted as a duration of another name, and by nothing else.
        type Work = fn();
        let cases: [(Work, &str, &str, Option<&str>); 8] = [
            (|| drop(operation("save").run(|| Ok::<_, SaveError>(1))), "ok", "INFO", None),
            (|| assert_eq!(operation("save").run_value(|| 7), 7), "ok", "INFO", None),
            (
                || drop(operation("save").run(|| Err::<(), _>(refused()))),
                "error",
                "ERROR",
                Some("could not save: connection refused"),
            ),
            (
                || drop(operation("save").run(|| Err::<(), _>(timed_out()))),
                "timeout",
                "ERROR",
                Some("could not save: nobody answered"),
            ),
            (
                || drop(finished(operation("save").instrument(ready(Err::<(), _>(refused()))))),
                "error",
                "ERROR",
                Some("could not save: connection refused"),
            ),
            (|| assert_eq!(finished(operation("save").instrument_value(ready(7))), 7), "ok", "INFO", None),
            (
                || assert!(poll_once(operation("save").instrument_value(pending::<()>())).is_pending()),
                "cancelled",
                "WARNING",
                None,
            ),
            (|| drop(catch_unwind(|| operation("save").run_value(|| panic!("a test panics")))), "error", "ERROR", None),
        ];
        for (at, (work, status, level, error)) in cases.into_iter().enumerate() {
            let (record, span) = told(work);
            assert_eq!((&record["level"], &record["category"]), (&json!(level), &json!("performance")), "{at}");
            assert_eq!(record["details"], json!({ "operation": "save", "status": status }), "{at}");
            assert_eq!(record["error"].get("message").and_then(Value::as_str), error, "{at}");
            let metrics = (&record["operation"], &record["status"], &record["operations"]);
            assert_eq!(metrics, (&json!("save"), &json!(status), &json!(1)), "{at}");
            assert_eq!(record["operation_duration"], record["duration_ms"], "{at}");
            assert_eq!((&span["message"], &span["span"]["status"]), (&json!("save"), &json!(status)), "{at}");
            assert_eq!(record["context"]["span_id"], span["context"]["span_id"], "{at}");
        }
    }

    #[test]
    fn what_a_dropped_future_lets_go_is_let_go_within_its_span() {
        struct LetGo;
        impl Drop for LetGo {
            fn drop(&mut self) {
                tracing::info!("let go");
            }
        }
        let lines = lines_of(settings(), |_| {
            let held = LetGo;
            let work = operation("save").instrument_value(async move {
                let _held = held;
                pending::<()>().await;
            });
            assert!(poll_once(work).is_pending());
        });
        let seen: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(seen, ["let go", "operation", "save"]);
        assert_eq!(lines[0]["context"]["span_id"], lines[2]["context"]["span_id"]);
    }

    #[test]
    fn a_panic_that_is_caught_outside_is_an_error() {
        let (record, span) = told(|| {
            let mut work = Box::pin(operation("save").instrument_value(async { panic!("a test panics") }));
            let poll = || work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            catch_unwind(AssertUnwindSafe(poll)).unwrap_err();
            drop(work);
        });
        assert_eq!((&record["details"]["status"], &span["span"]["status"]), (&json!("error"), &json!("error")));
        // One that is only let go by a panic has not panicked itself.
        let (record, _) = told(|| {
            let mut work = Box::pin(operation("save").instrument_value(pending::<()>()));
            assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let panics = || {
                let _work = work;
                panic!("a test panics");
            };
            catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        });
        assert_eq!(record["details"]["status"], "cancelled");
    }

    #[test]
    fn a_future_that_is_never_polled_is_no_operation() {
        let lines = lines_of(settings(), |_| {
            drop(operation("save").instrument_value(async {}));
            // It is part of where it was made, wherever it is polled.
            let outer = tracing::info_span!("outer");
            let work = outer.in_scope(|| operation("save").instrument_value(async {}));
            finished(work);
        });
        let spans: Vec<&Value> = lines.iter().filter(|line| line.get("span").is_some()).collect();
        assert_eq!((lines.len(), spans.len()), (3, 2), "{lines:?}");
        assert_eq!(spans[0]["span"]["parent_span_id"], spans[1]["context"]["span_id"]);
    }

    #[test]
    fn an_error_that_panics_when_it_is_asked_is_counted() {
        #[derive(Debug)]
        struct Panics;
        impl std::fmt::Display for Panics {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("a test panics")
            }
        }
        impl Error for Panics {}
        let lines = lines_of(settings(), |_| {
            let work = || operation("save").run(|| Err::<(), _>(Panics));
            catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        });
        let counted: Vec<&Value> = lines.iter().filter(|line| line.get("operations").is_some()).collect();
        let [counted] = counted[..] else { panic!("{lines:?}") };
        assert_eq!((&counted["operations"], &counted["status"]), (&json!(1), &json!("error")));
    }

    #[test]
    fn what_says_that_work_has_failed_need_not_be_an_error() {
        type Work = fn();
        let cases: [(Work, &str); 8] = [
            (|| drop(operation("save").run(|| Err::<(), _>("no such plot".to_owned()))), "no such plot"),
            (|| assert!(operation("save").run(|| Err::<(), _>("no such plot")).is_err()), "no such plot"),
            (|| drop(operation("save").run(|| Err::<(), _>(Cow::Borrowed("no such plot")))), "no such plot"),
            (
                || drop(operation("save").run(|| Err::<(), _>((http::StatusCode::NOT_FOUND, "no plot".to_owned())))),
                "no plot",
            ),
            (
                || drop(operation("save").run(|| Err::<(), _>((http::StatusCode::CONFLICT, refused())))),
                "could not save: connection refused",
            ),
            (
                || drop(operation("save").run(|| Err::<(), Box<dyn Error>>(Box::new(refused())))),
                "could not save: connection refused",
            ),
            (|| assert_eq!(operation("save").run_judged(|| 7, |seven| Some(format!("it is {seven}"))), 7), "it is 7"),
            (
                || {
                    finished(operation("save").instrument_judged(ready(Err::<u8, _>(())), |result| {
                        result.is_err().then(|| "refused".to_owned())
                    }))
                    .unwrap_err();
                },
                "refused",
            ),
        ];
        for (work, message) in cases {
            let (record, span) = told(work);
            assert_eq!((&record["error"]["message"], &record["level"]), (&json!(message), &json!("ERROR")));
            assert_eq!((&record["status"], &span["span"]["status"]), (&json!("error"), &json!("error")));
        }
        let (record, _) = told(|| assert_eq!(operation("save").run_judged(|| 7, |_| None), 7));
        assert_eq!((&record["status"], record.get("error")), (&json!("ok"), None));
    }

    #[test]
    fn a_panic_goes_on() {
        let (_, span) = told(|| {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                finished(operation("save").instrument_value(async { panic!("a test panics") }));
            }));
            assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"a test panics"));
        });
        assert_eq!(span["span"]["status"], "error");
    }

    #[test]
    fn errors_of_any_kind_stay_what_they_are() {
        let (record, _) = told(|| {
            let error: anyhow::Error = anyhow::Error::new(refused()).context("contract 7");
            let result = operation("save").run(|| Err::<(), _>(error));
            assert!(result.unwrap_err().downcast_ref::<SaveError>().is_some());
        });
        assert_eq!(record["error"]["message"], "contract 7: could not save: connection refused");
        let (record, _) = told(|| {
            let error: Box<dyn Error + Send + Sync> = "no such plot".into();
            assert_eq!(operation("save").run(|| Err::<(), _>(error)).unwrap_err().to_string(), "no such plot");
        });
        assert_eq!(record["error"]["message"], "no such plot");
    }

    #[test]
    fn what_the_work_says_of_its_span_holds() {
        let (_, span) = told(|| {
            operation("save").run_value(|| trace::set_status(&Span::current(), SpanStatus::Timeout));
        });
        assert_eq!(span["span"]["status"], "timeout");
    }

    #[test]
    fn nested_work_is_one_trace() {
        // Defect 45: each nested call began a trace of its own.
        let lines = lines_of(settings(), |_| {
            RequestScope::new("r-1")
                .in_scope(|| {
                    operation("outer").run_value(|| {
                        finished(external_call("egrn", "GET", "/plots/4711").instrument(
                            async {
                                let mut headers = Vec::new();
                                trace::inject(|name, value| headers.push((name, value)));
                                assert_eq!(headers.len(), 2);
                                Ok::<_, SaveError>(())
                            },
                            |()| 200,
                        ))
                    })
                })
                .unwrap();
        });
        let spans: Vec<&Value> = lines.iter().filter(|line| line.get("span").is_some()).collect();
        let [inner, outer] = spans[..] else { panic!("{spans:?}") };
        assert_eq!(inner["span"]["parent_span_id"], outer["context"]["span_id"]);
        assert_eq!(inner["context"]["trace_id"], outer["context"]["trace_id"]);
        assert!(lines.iter().all(|line| line["context"]["request_id"] == "r-1"));
    }

    #[test]
    fn a_query_is_told_with_its_rows_and_its_error() {
        let (record, span) = told(|| {
            let rows = database_query("SELECT", "contracts")
                .run(|| Ok::<_, SaveError>(vec![1, 2]), |rows| Some(rows.len() as u64));
            assert_eq!(rows.unwrap(), [1, 2]);
        });
        assert_eq!(record["details"], json!({ "query_type": "SELECT", "table": "contracts", "rows_affected": 2 }));
        assert_eq!((&record["level"], &record["database_rows_affected"]), (&json!("DEBUG"), &json!(2)));
        assert_eq!((&span["message"], &span["span"]["kind"]), (&json!("SELECT contracts"), &json!("client")));
        let (record, span) = told(|| {
            let query = database_query("INSERT", "contracts").instrument(ready(Err::<(), _>(refused())), |()| None);
            assert!(finished(query).is_err());
        });
        assert_eq!((&record["level"], &span["span"]["status"]), (&json!("ERROR"), &json!("error")));
        assert_eq!(record["error"]["message"], "could not save: connection refused");
        assert!(record["database_query_duration"].is_number() && record.get("database_rows_affected").is_none());
    }

    #[test]
    fn a_call_is_told_with_its_status_or_how_it_ended() {
        let call = || external_call("egrn", "POST", "https://egrn.example/v1/plots/4711?key=secret");
        type Work<'a> = &'a dyn Fn();
        let answered = |status: u16| move || drop(call().run(|| Ok::<_, SaveError>(()), |()| status));
        let cases: [(Work<'_>, Value, &str, &str); 5] = [
            (&answered(201), json!("201"), "INFO", "ok"),
            (&answered(404), json!("404"), "WARNING", "ok"),
            (&answered(503), json!("503"), "ERROR", "error"),
            (&|| drop(call().run(|| Err::<(), _>(timed_out()), |()| 0)), json!("timeout"), "ERROR", "timeout"),
            (
                &|| drop(poll_once(call().instrument(pending::<Result<(), SaveError>>(), |()| 0))),
                json!("cancelled"),
                "WARNING",
                "cancelled",
            ),
        ];
        for (work, status_code, level, status) in cases {
            let (record, span) = told(work);
            assert_eq!(
                (&record["level"], &record["category"]),
                (&json!(level), &json!("external_api")),
                "{status_code}"
            );
            assert_eq!((&record["status_code"], &record["external_api_calls"]), (&status_code, &json!(1)));
            assert_eq!(record["endpoint"], "/v1/plots/{id}");
            assert_eq!((&span["span"]["status"], &span["span"]["kind"]), (&json!(status), &json!("client")));
            assert!(!record.to_string().contains("secret") && !span.to_string().contains("secret"));
        }
    }
}
