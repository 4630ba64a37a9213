//! Calls of Slack over HTTPS. The address of a webhook is a secret: whoever knows it can post.

use domain::ports::{Answered, CallSlack, PortError, SlackCall};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::https::{Https, is_address};

const ACTION: &str = "call Slack";

/// Slack, wherever a call says it is.
#[derive(Debug, Clone)]
pub struct Slack {
    https: Https,
}

/// What can't be called. It does not say which text: that may be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Uncallable {
    #[error("not an http or https URL")]
    Address,
    #[error("the token has characters that no header takes")]
    Token,
}

impl Slack {
    /// Certificates are checked against those of the system.
    ///
    /// # Errors
    ///
    /// Where the system has no certificates.
    pub fn new() -> std::io::Result<Slack> {
        Ok(Slack { https: Https::new()? })
    }
}

impl CallSlack for Slack {
    async fn call(&self, call: &SlackCall) -> Result<Answered, PortError> {
        let uri = call.url.expose().parse::<Uri>().ok().filter(is_address);
        let uri = uri.ok_or_else(|| PortError::permanent(ACTION, Uncallable::Address))?;
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
        if let Some(token) = &call.token {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut bearer = bearer.map_err(|_| PortError::permanent(ACTION, Uncallable::Token))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let body = Bytes::copy_from_slice(call.body.as_bytes());
        let answer = self.https.post(ACTION, &uri, &headers, body).await?;
        Ok(Answered { status: answer.status, retry_after: answer.retry_after, body: answer.body.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::time::Duration;

    use super::*;
    use domain::ports::{Retry, SecretText};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    const SECRET: &str = "/services/T00/B00/secret-token";

    fn call(url: &str, token: Option<&str>) -> SlackCall {
        let body = r#"{"text":"договор"}"#.to_owned();
        SlackCall { url: SecretText::new(url), token: token.map(SecretText::new), body }
    }

    /// A server that takes one request, gives `answer`, and hands out what it got. An empty answer is
    /// none at all: the connection stays open.
    async fn server(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{SECRET}", listener.local_addr().unwrap());
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
    async fn a_message_is_posted_as_json_with_the_token_that_there_is() {
        for token in [None, Some("xoxb-1")] {
            let (url, server) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let answered = Slack::new().unwrap().call(&call(&url, token)).await.unwrap();
            assert_eq!(answered, Answered { status: 200, retry_after: None, body: b"ok".to_vec() });
            let request = server.await.unwrap();
            assert!(request.starts_with(&format!("POST {SECRET} HTTP/1.1\r\n")), "{request}");
            assert!(request.contains("content-type: application/json"), "{request}");
            assert_eq!(request.contains("authorization: Bearer xoxb-1\r\n"), token.is_some(), "{request}");
            assert!(request.ends_with("\r\n\r\n{\"text\":\"договор\"}"), "{request}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_tells_a_long_message_back_is_read() {
        // 12,000 letters of Cyrillic, as Slack writes them.
        let body = format!(r#"{{"ok":true,"message":{{"text":"{}"}}}}"#, r"\u0434".repeat(13_000));
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (url, _server) = server(Box::leak(answer.into_boxed_str())).await;
        let answered = Slack::new().unwrap().call(&call(&url, None)).await.unwrap();
        assert!(answered.body == body.as_bytes(), "{} of {} bytes", answered.body.len(), body.len());
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let (url, _server) =
            server("HTTP/1.1 429 Too Many Requests\r\nretry-after: 30\r\ncontent-length: 4\r\n\r\nslow").await;
        let answered = Slack::new().unwrap().call(&call(&url, None)).await.unwrap();
        let retry_after = Some(Duration::from_secs(30));
        assert_eq!(answered, Answered { status: 429, retry_after, body: b"slow".to_vec() });
    }

    #[tokio::test]
    async fn where_there_is_no_answer_slack_may_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{SECRET}", listener.local_addr().unwrap());
        drop(listener);
        let error = Slack::new().unwrap().call(&call(&url, None)).await.unwrap_err();
        assert_eq!(error.retry, Retry::Transient);
        assert!(told(&error).contains("refused"), "{}", told(&error));
        let (url, _server) = server("").await;
        let slack = Slack { https: Https::new().unwrap().with_timeout(Duration::from_millis(50)) };
        let error = slack.call(&call(&url, None)).await.unwrap_err();
        assert_eq!((told(&error).as_str(), error.retry), ("call Slack: deadline has elapsed", Retry::Transient));
    }

    #[tokio::test]
    async fn what_can_not_be_called_is_refused_without_saying_it() {
        let slack = Slack::new().unwrap();
        for (url, token) in [
            ("", None),
            ("hooks.slack.com/secret-token", None),
            ("ftp://host/secret-token", None),
            ("/secret-token", None),
            ("http://a b/secret-token", None),
            ("http://127.0.0.1:9/", Some("secret-token\n")),
        ] {
            let call = call(url, token);
            let error = slack.call(&call).await.unwrap_err();
            assert_eq!(error.retry, Retry::Permanent, "{url}");
            for text in [told(&error), format!("{error:?}"), format!("{call:?}")] {
                assert!(!text.contains("secret-token"), "{text}");
            }
        }
    }
}
