//! Slack on loopback: a webhook and two methods of its API, which keep what they are sent, check what Slack checks, and
//! can be told to refuse.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Id of the channel, whatever name is used to post to it.
pub const CHANNEL: &str = "C0ALERTS";

/// A call that came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `webhook`, `chat.postMessage` or `chat.update`.
    pub method: String,
    /// What was sent.
    pub body: Value,
    /// What was answered.
    pub status: u16,
    /// What was said.
    pub answer: String,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// The token, or the last part of the webhook's address, that is valid.
    key: String,
    messages: usize,
    scripted: VecDeque<(u16, &'static str)>,
    busy_until: Option<(Instant, Duration)>,
}

/// The server; it ends when this is dropped.
pub struct SlackDouble {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl SlackDouble {
    /// Starts on a free port, with a webhook and a token of which `key` is the secret part.
    pub async fn start(key: &str) -> SlackDouble {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { key: key.to_owned(), ..State::default() }));
        let served = state.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, served.clone()));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        SlackDouble { address, state, server }
    }

    /// The text of a secret with the webhook of which `key` is the secret part.
    pub fn webhook(&self, key: &str) -> String {
        format!("http://{}/services/{key}", self.address)
    }

    /// The text of a secret with the bot of which `key` is the token.
    pub fn bot(&self, key: &str) -> String {
        let api = format!("http://{}/api/", self.address);
        json!({"bot_token": key, "channel": "#alerts", "api_url": api}).to_string()
    }

    /// From now on `key` is valid, and what was before is not.
    pub fn rotate(&self, key: &str) {
        self.state().key = key.to_owned();
    }

    /// The next calls are answered so, whatever they are.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = (u16, &'static str)>) {
        self.state().scripted.extend(answers);
    }

    /// Wants to be left alone for `time` from the next call on, and says so.
    pub fn be_busy(&self, time: Duration) {
        self.state().busy_until = Some((Instant::now() + Duration::from_secs(3_600), time));
    }

    /// What came in.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Methods of the calls, with the message that they were about.
    pub fn told(&self) -> Vec<String> {
        let line = |call: &Call| match ["ts", "thread_ts"].into_iter().find_map(|name| call.body[name].as_str()) {
            Some(ts) => format!("{} {ts}", call.method),
            None => call.method.clone(),
        };
        self.calls().iter().map(line).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SlackDouble {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let bytes = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let method = path.strip_prefix("/api/").unwrap_or("webhook").to_owned();
    let mut retry_after = None;
    let (status, text) = if let Some(scripted) = state.scripted.pop_front() {
        (scripted.0, scripted.1.to_owned())
    } else if let Some(seconds) = busy(&mut state) {
        retry_after = Some(seconds);
        (429, String::new())
    } else if method == "webhook" {
        webhook(&state, &path, &body)
    } else {
        (200, api(&mut state, &method, token.as_deref(), &body).to_string())
    };
    state.calls.push(Call { method, body, status, answer: text.clone() });
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    Ok(response.body(Full::new(Bytes::from(text))).unwrap())
}

/// For how long it wants to be left alone, in seconds.
fn busy(state: &mut State) -> Option<u64> {
    let (until, time) = state.busy_until?;
    let now = Instant::now();
    // The first call begins it.
    let until = until.min(now + time);
    state.busy_until = (now < until).then_some((until, Duration::from_secs(3_600)));
    (now < until).then(|| (until - now).as_secs_f64().ceil() as u64)
}

fn webhook(state: &State, path: &str, body: &Value) -> (u16, String) {
    if path != format!("/services/{}", state.key) {
        return (404, "no_service".to_owned());
    }
    match refused(body) {
        Some(error) => (400, error.to_owned()),
        None => (200, "ok".to_owned()),
    }
}

fn api(state: &mut State, method: &str, token: Option<&str>, body: &Value) -> Value {
    let refuse = |error: &str| json!({"ok": false, "error": error});
    if token != Some(format!("Bearer {}", state.key).as_str()) {
        return refuse("invalid_auth");
    }
    if let Some(error) = refused(body) {
        return refuse(error);
    }
    let known = |ts: &Value| {
        let number = ts.as_str().and_then(|ts| ts.strip_prefix("1763720000.")?.parse::<usize>().ok());
        number.is_some_and(|number| number < state.messages)
    };
    match method {
        // It knows the channel by its id only.
        "chat.update" if body["channel"] != CHANNEL => refuse("channel_not_found"),
        "chat.update" if !known(&body["ts"]) => refuse("message_not_found"),
        "chat.update" => json!({"ok": true, "channel": CHANNEL, "ts": body["ts"]}),
        "chat.postMessage" if !body["thread_ts"].is_null() && !known(&body["thread_ts"]) => refuse("thread_not_found"),
        "chat.postMessage" => {
            let ts = format!("1763720000.{:06}", state.messages);
            state.messages += 1;
            json!({"ok": true, "channel": CHANNEL, "ts": ts, "message": {}})
        }
        _ => refuse("unknown_method"),
    }
}

/// What Slack says of a message that is none.
fn refused(body: &Value) -> Option<&'static str> {
    let no_text = body["text"].as_str().is_none_or(str::is_empty);
    match body["blocks"].as_array() {
        Some(blocks) if blocks.len() > 50 => Some("invalid_blocks"),
        Some(blocks) if blocks.iter().any(|block| block["type"].is_null()) => Some("invalid_blocks"),
        _ if body.is_null() => Some("invalid_payload"),
        _ if no_text => Some("no_text"),
        _ => None,
    }
}
