//! JSON to a webhook. Its URL is a secret: whoever knows it can post.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use domain::ports::{PortError, PostWebhook, Retry};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// How long a post may take, from the connection to the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes: it only serves to say why a post was refused.
const MAX_ANSWER: usize = 4_096;

const ACTION: &str = "post to the webhook";

/// A URL that does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Uri);

/// A text that is not a URL to post to. It does not say which text: that may be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https URL")]
pub struct InvalidUrl;

impl FromStr for SecretUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<SecretUrl, InvalidUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUrl)?;
        let posts = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if posts { Ok(SecretUrl(uri)) } else { Err(InvalidUrl) }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl(..)")
    }
}

/// One webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: SecretUrl,
    timeout: Duration,
}

/// The other side's refusal.
#[derive(Debug, thiserror::Error)]
#[error("answered {status}: {answer}")]
struct Refused {
    status: u16,
    answer: String,
}

impl Webhook {
    /// The webhook at `url`. Certificates are checked against those of the system.
    ///
    /// # Errors
    ///
    /// Where the system has no certificates.
    pub fn new(url: SecretUrl) -> std::io::Result<Webhook> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        // A function is frozen between two posts, and its connections are dead when it wakes up.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Webhook { client, url, timeout: TIMEOUT })
    }

    async fn exchange(&self, body: &str) -> Result<(u16, String), Box<dyn Error + Send + Sync>> {
        let request = Request::post(self.url.0.clone())
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header(USER_AGENT, concat!("land-contracts-observability/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        // Only what the answer says is lost where it is too long or breaks off; the status is known.
        let answer = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let answer = answer.map(|body| body.to_bytes()).unwrap_or_default();
        Ok((status, String::from_utf8_lossy(&answer).chars().filter(|c| !c.is_control()).collect()))
    }
}

impl PostWebhook for Webhook {
    async fn post(&self, body: &str) -> Result<(), PortError> {
        match tokio::time::timeout(self.timeout, self.exchange(body)).await {
            Err(late) => Err(PortError::transient(ACTION, late)),
            Ok(Err(broken)) => Err(PortError::transient(ACTION, broken)),
            Ok(Ok((200..=299, _))) => Ok(()),
            Ok(Ok((status, answer))) => {
                let retry = if matches!(status, 429 | 500..) { Retry::Transient } else { Retry::Permanent };
                Err(PortError { action: ACTION.to_owned(), retry, source: Box::new(Refused { status, answer }) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    const SECRET: &str = "/services/T00/B00/secret-token";

    /// A server that takes one request, gives `answer`, and hands out what it got. An empty answer is
    /// none at all: the connection stays open.
    async fn server(answer: &'static str) -> (SecretUrl, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{SECRET}", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            // The body is the last thing that comes, and ends in `}`.
            while !request.ends_with(b"}") {
                let mut bytes = [0; 1_024];
                let read = stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "the request broke off");
                request.extend_from_slice(&bytes[..read]);
            }
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (url, server)
    }

    /// The whole chain, as it is logged.
    fn told(error: &PortError) -> String {
        let mut text = error.to_string();
        let mut cause: Option<&dyn Error> = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }

    #[tokio::test]
    async fn a_message_is_posted_as_json() {
        let (url, server) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        Webhook::new(url).unwrap().post(r#"{"text":"договор"}"#).await.unwrap();
        let request = server.await.unwrap();
        assert!(request.starts_with(&format!("POST {SECRET} HTTP/1.1\r\n")), "{request}");
        assert!(request.contains("content-type: application/json"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"text\":\"договор\"}"), "{request}");
    }

    #[tokio::test]
    async fn a_refusal_says_what_was_answered_and_whether_to_try_again() {
        for (answer, retry, expected) in [
            (
                "HTTP/1.1 400 Bad Request\r\ncontent-length: 14\r\n\r\ninvalid_blocks",
                Retry::Permanent,
                "post to the webhook: answered 400: invalid_blocks",
            ),
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                Retry::Permanent,
                "post to the webhook: answered 404: ",
            ),
            (
                "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
                Retry::Permanent,
                "post to the webhook: answered 302: ",
            ),
            (
                "HTTP/1.1 429 Too Many Requests\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n",
                Retry::Transient,
                "post to the webhook: answered 429: ",
            ),
            ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", Retry::Transient, "post to the webhook: answered 503: "),
        ] {
            let (url, _server) = server(answer).await;
            let error = Webhook::new(url).unwrap().post("{}").await.unwrap_err();
            assert_eq!((told(&error).as_str(), error.retry), (expected, retry));
        }
    }

    #[tokio::test]
    async fn an_unreachable_webhook_may_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: SecretUrl = format!("http://{}{SECRET}", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let error = Webhook::new(url).unwrap().post("{}").await.unwrap_err();
        assert_eq!(error.retry, Retry::Transient);
        assert!(told(&error).contains("refused"), "{}", told(&error));
    }

    #[tokio::test]
    async fn a_webhook_that_does_not_answer_is_given_up() {
        let (url, _server) = server("").await;
        let webhook = Webhook { timeout: Duration::from_millis(50), ..Webhook::new(url).unwrap() };
        let error = webhook.post("{}").await.unwrap_err();
        assert_eq!(
            (told(&error).as_str(), error.retry),
            ("post to the webhook: deadline has elapsed", Retry::Transient)
        );
    }

    #[tokio::test]
    async fn the_secret_does_not_leak() {
        let url: SecretUrl = format!("http://localhost:1{SECRET}").parse().unwrap();
        let webhook = Webhook::new(url).unwrap();
        let error = webhook.post("{}").await.unwrap_err();
        for text in [told(&error), format!("{error:?}"), format!("{webhook:?}")] {
            assert!(!text.contains("secret-token"), "{text}");
        }
    }

    #[test]
    fn what_can_not_be_posted_to_is_refused_without_saying_it() {
        for text in
            ["", "hooks.slack.com/secret-token", "ftp://host/secret-token", "https://", "/secret-token", "http://a b"]
        {
            assert_eq!(text.parse::<SecretUrl>(), Err(InvalidUrl), "{text}");
        }
        assert!("https://hooks.slack.com/services/T/B/x".parse::<SecretUrl>().is_ok());
    }
}
