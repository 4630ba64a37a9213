//! Posts to addresses outside of AWS, for the adapters that have one.

use std::error::Error;
use std::time::Duration;

use domain::ports::PortError;
#[cfg(any(feature = "otlp", feature = "remote_write"))]
use domain::ports::Retry;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// How long a post may take, from the connection to the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes. Slack tells the whole message back, with six bytes for a letter that is not
/// ASCII, and nothing of an answer that is too long can be read.
const MAX_ANSWER: usize = 1024 * 1024;

/// How much of an answer is told in an error, in characters.
#[cfg(any(feature = "otlp", feature = "remote_write"))]
const MAX_TOLD: usize = 2_000;

/// Whether something can be posted to `uri`.
#[cfg(any(feature = "otlp", feature = "slack"))]
pub(crate) fn is_address(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
}

/// A client for HTTP and HTTPS.
#[derive(Debug, Clone)]
pub(crate) struct Https {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

/// What the other side said.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// How long it wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// The body; nothing where it is too long or breaks off.
    pub(crate) body: Bytes,
}

/// The other side's refusal.
#[cfg(any(feature = "otlp", feature = "remote_write"))]
#[derive(Debug, thiserror::Error)]
#[error("answered {status}: {answer}")]
struct Refused {
    status: u16,
    answer: String,
}

impl Https {
    /// A client that checks certificates against those of the system.
    ///
    /// # Errors
    ///
    /// Where the system has no certificates.
    pub(crate) fn new() -> std::io::Result<Https> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        // A function is frozen between two posts, and its connections are dead when it wakes up.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Https { client, timeout: TIMEOUT })
    }

    /// The same with another bound for a post.
    #[cfg(test)]
    pub(crate) fn with_timeout(self, timeout: Duration) -> Https {
        Https { timeout, ..self }
    }

    /// Posts `body`. `action` says what is being done, for errors.
    ///
    /// # Errors
    ///
    /// Where there is no answer in time: a transient one.
    pub(crate) async fn post(
        &self,
        action: &str,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, PortError> {
        match tokio::time::timeout(self.timeout, self.exchange(uri, headers, body)).await {
            Err(late) => Err(PortError::transient(action, late)),
            Ok(Err(broken)) => Err(PortError::transient(action, broken)),
            Ok(Ok(answer)) => Ok(answer),
        }
    }

    async fn exchange(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let mut request = Request::post(uri.clone()).body(Full::new(body))?;
        let own = concat!("land-contracts-observability/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(own));
        request.headers_mut().extend(headers.clone());
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        // Only what the answer says is lost where it is too long or breaks off; the status is known.
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs), body })
    }
}

#[cfg(any(feature = "otlp", feature = "remote_write"))]
impl Answer {
    /// The body of an answer that is a success.
    ///
    /// # Errors
    ///
    /// Any other answer: 429 and 5xx are transient, others permanent.
    pub(crate) fn taken(self, action: &str) -> Result<Bytes, PortError> {
        let retry = match self.status {
            200..=299 => return Ok(self.body),
            429 | 500.. => Retry::Transient,
            _ => Retry::Permanent,
        };
        Err(self.refusal(action, retry))
    }

    /// The error that tells of a refusal.
    pub(crate) fn refusal(&self, action: &str, retry: Retry) -> PortError {
        let answer = String::from_utf8_lossy(&self.body).chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect();
        PortError { action: action.to_owned(), retry, source: Box::new(Refused { status: self.status, answer }) }
    }
}
