//! The example service of the telemetry library, run for real: requests go in over loopback, and the lines of its
//! standard output are what a container's log driver would send to CloudWatch Logs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use domain::logs::put_events::{self, NewEvent};
use domain::minute::Minute;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use schema::trace::{Parent, TraceId};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use crate::traffic::batches::Batch;

/// Its name among the examples of `telemetry`.
pub const NAME: &str = "contracts_service";

/// Contracts that are created, shown and signed.
const CONTRACTS: usize = 12;

/// The number that the service gives the first of them.
const FIRST_CONTRACT: usize = 4_711;

/// How long it may take to start, to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was asked of it and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The lines of its standard output, in order.
    pub lines: Vec<String>,
    /// Requests that it answered.
    pub requests: usize,
    /// Operations within them (`telemetry::operation`).
    pub operations: usize,
    /// The trace of the first request.
    pub trace_id: TraceId,
}

impl Told {
    /// Its lines as calls of `PutLogEvents`, one a millisecond from `minute` on. Its clock is the real one, and the
    /// demo's day is over.
    pub fn batches(&self, log_group: &str, minute: Minute) -> Vec<Batch> {
        let first = minute.start().as_millisecond();
        let event =
            |(millis, line): (i64, &String)| NewEvent { timestamp_millis: first + millis, message: line.clone() };
        let events = (0..).zip(&self.lines).map(event).collect();
        let batch = |events| Batch { log_group: log_group.to_owned(), log_stream: STREAM.to_owned(), events };
        put_events::plan(events).into_iter().map(batch).collect()
    }
}

/// The stream that it would write to.
pub const STREAM: &str = "example/contracts-service";

/// One request, and the status that it is answered with.
struct Ask {
    method: Method,
    path: String,
    body: Option<Value>,
    status: u16,
}

impl Ask {
    fn get(path: &str, status: u16) -> Ask {
        Ask { method: Method::GET, path: path.to_owned(), body: None, status }
    }

    fn post(path: &str, body: Value, status: u16) -> Ask {
        Ask { method: Method::POST, path: path.to_owned(), body: Some(body), status }
    }
}

/// The requests: contracts from beginning to end, documents, and one of everything that goes wrong.
fn requests() -> Vec<Ask> {
    let contract = |plot: &str, role: &str| json!({ "plot": plot, "price": 2_500_000, "role": role });
    let mut asks = Vec::new();
    for number in 0..CONTRACTS {
        let id = FIRST_CONTRACT + number;
        let role = if number % 3 == 0 { "buyer" } else { "seller" };
        asks.push(Ask::post("/contracts", contract(&format!("77:01:0001:{number}"), role), 201));
        asks.push(Ask::get(&format!("/contracts/{id}?view=full"), 200));
        asks.push(Ask::post(&format!("/contracts/{id}/sign"), json!({ "role": "notary" }), 200));
        asks.push(Ask::post("/documents", json!({ "type": "passport_scan", "size_mb": 1.5 }), 201));
    }
    asks.push(Ask::post("/contracts", contract("none", "seller"), 422));
    asks.push(Ask::post(&format!("/contracts/{FIRST_CONTRACT}/sign"), json!({ "role": "seller" }), 403));
    asks.push(Ask::get("/contracts/1", 404));
    asks.push(Ask::get("/report", 500));
    asks
}

/// Starts `program`, asks it for everything that it does, and has it stop.
///
/// # Errors
///
/// Where it does not start, answers otherwise than it should, or does not end well; says what it said.
pub async fn run(program: &Path) -> anyhow::Result<Told> {
    let mut service = Command::new(program)
        .env_clear()
        .envs([("SERVICE_NAME", "contract"), ("ENVIRONMENT", "production"), ("SERVICE_VERSION", "1.0.0")])
        .envs([("LOG_LEVEL", "info"), ("TRACE_SHARE", "1")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let lifeline = service.stdin.take();
    let mut stdout = service.stdout.take().context("the example has no standard output")?;
    let mut stderr = BufReader::new(service.stderr.take().context("the example has no standard error")?);
    // Read all the while: a service whose output nobody reads has to drop it in the end.
    let written = tokio::spawn(async move {
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.map(|_| text)
    });
    let mut first = String::new();
    tokio::time::timeout(PATIENCE, stderr.read_line(&mut first)).await.context("the example did not start")??;
    let Some(address) = first.trim().strip_prefix("listening on ") else { bail!("the example said: {first}") };
    let asks = requests();
    let trace_id = ask_all(address, &asks).await?;
    drop(lifeline);
    let status = tokio::time::timeout(PATIENCE, service.wait()).await.context("the example did not end")??;
    let mut said = String::new();
    stderr.read_to_string(&mut said).await?;
    ensure!(status.success(), "the example ended with {status}: {said}");
    let lines = written.await??.lines().map(str::to_owned).collect();
    // One for each contract asked for, and the report.
    let operations = asks.iter().filter(|ask| ask.path == "/contracts" || ask.path == "/report").count();
    Ok(Told { lines, requests: asks.len(), operations, trace_id })
}

/// Answers the trace of the first request.
async fn ask_all(address: &str, asks: &[Ask]) -> anyhow::Result<TraceId> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut trace_id = None;
    for Ask { method, path, body, status } in asks {
        let text = body.as_ref().map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"))
            .header(CONTENT_TYPE, "application/json")
            .header("x-forwarded-for", "203.0.113.7")
            .header("x-user-id", "user-17")
            .body(Full::new(Bytes::from(text)))?;
        let answer = tokio::time::timeout(PATIENCE, client.request(request)).await;
        let answer = answer.with_context(|| format!("{method} {path} was not answered"))??;
        ensure!(answer.status() == *status, "{method} {path}: {} instead of {status}", answer.status());
        let header = answer.headers().get("traceparent").and_then(|header| header.to_str().ok());
        trace_id = trace_id.or_else(|| header.and_then(Parent::of_traceparent).map(|parent| parent.trace_id));
        answer.into_body().collect().await?;
    }
    trace_id.context("the example names no trace in its answers")
}
