//! A web server on loopback that stands in for Slack's webhook and for a mailbox, and remembers what
//! it was sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const SLACK: &str = "/slack";
const MAILBOX: &str = "/mailbox";

/// An e-mail as the embedded AWS hands it over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Email {
    /// Who gets it.
    pub to: String,
    /// Its subject line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The topic that it came by.
    pub topic_arn: String,
}

/// What came in.
#[derive(Debug, Clone, Default)]
struct Received {
    slack: Vec<serde_json::Value>,
    emails: Vec<Email>,
    unreadable: Vec<String>,
    /// How many of the next Slack messages are refused.
    refusals: usize,
}

/// The server; it ends when this is dropped.
pub struct Sink {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    server: JoinHandle<()>,
}

impl Sink {
    /// Starts it on a free port.
    ///
    /// # Errors
    ///
    /// Where loopback has no free port.
    pub async fn start() -> anyhow::Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the sink")?;
        let address = listener.local_addr()?;
        let received = Arc::new(Mutex::new(Received::default()));
        let server = tokio::spawn(serve(listener, received.clone()));
        Ok(Sink { address, received, server })
    }

    /// Address that takes Slack messages.
    pub fn slack_url(&self) -> String {
        format!("http://{}{SLACK}", self.address)
    }

    /// Address that takes e-mails.
    pub fn mailbox_url(&self) -> String {
        format!("http://{}{MAILBOX}", self.address)
    }

    /// Answers the next `messages` to Slack with 503, as Slack does when it is down.
    pub fn refuse_slack(&self, messages: usize) {
        lock(&self.received).refusals = messages;
    }

    /// Slack messages so far.
    pub fn slack(&self) -> Vec<serde_json::Value> {
        lock(&self.received).slack.clone()
    }

    /// E-mails so far.
    pub fn emails(&self) -> Vec<Email> {
        lock(&self.received).emails.clone()
    }

    /// What came in but was neither.
    pub fn unreadable(&self) -> Vec<String> {
        lock(&self.received).unreadable.clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn serve(listener: TcpListener, received: Arc<Mutex<Received>>) {
    // A listener on loopback fails only when the process runs out of descriptors; then the sink stops,
    // and the demo says that messages are missing.
    while let Ok((stream, _)) = listener.accept().await {
        let received = received.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, received.clone()));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    received: Arc<Mutex<Received>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut received = lock(&received);
    match path.as_str() {
        SLACK if received.refusals > 0 => {
            received.refusals -= 1;
            let mut refusal = Response::new(Full::new(Bytes::from_static(b"service_unavailable")));
            *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Ok(refusal);
        }
        SLACK => match serde_json::from_slice(&body) {
            Ok(message) => received.slack.push(message),
            Err(_) => received.unreadable.push(String::from_utf8_lossy(&body).into_owned()),
        },
        MAILBOX => match serde_json::from_slice(&body) {
            Ok(email) => received.emails.push(email),
            Err(_) => received.unreadable.push(String::from_utf8_lossy(&body).into_owned()),
        },
        _ => received.unreadable.push(path),
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"ok"))))
}
