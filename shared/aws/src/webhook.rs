//! JSON to a webhook. Its URL is a secret: whoever knows it can post.

use std::fmt;
use std::str::FromStr;

use domain::ports::{PortError, PostWebhook};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::https::{Https, is_address};

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
        if is_address(&uri) { Ok(SecretUrl(uri)) } else { Err(InvalidUrl) }
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
    https: Https,
    url: SecretUrl,
}

impl Webhook {
    /// The webhook at `url`. Certificates are checked against those of the system.
    ///
    /// # Errors
    ///
    /// Where the system has no certificates.
    pub fn new(url: SecretUrl) -> std::io::Result<Webhook> {
        Ok(Webhook { https: Https::new()?, url })
    }
}

impl PostWebhook for Webhook {
    async fn post(&self, body: &str) -> Result<(), PortError> {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.https.post(ACTION, &self.url.0, &headers, body).await?.taken(ACTION).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::time::Duration;

    use super::*;
    use domain::ports::Retry;
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
        let webhook = Webhook { https: Https::new().unwrap().with_timeout(Duration::from_millis(50)), url };
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
