//! A collector of OpenTelemetry's protocol, by HTTP and protobuf.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use domain::ports::{ExportSpans, PortError, Retry};
use domain::traces::otlp::Answer;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use libdeflater::{CompressionLvl, Compressor};

use crate::https::{self, Https, is_address};
use crate::measures;
use crate::storage_event::percent_decoded;

const ACTION: &str = "export spans by OTLP";

/// How often a request is sent.
const ATTEMPTS: u32 = 3;

/// How long to wait before it is sent again, where the collector does not say; twice as long each time.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest that is waited. A collector that asks for more is left alone: Lambda tries again in a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Bytes from which on a request is compressed.
const WORTH_COMPRESSING: usize = 1_024;

/// Where a collector takes spans: the base address with `/v1/traces` behind it, or the whole address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

/// A text that is no base address of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https URL without a query, like https://collector.example.com:4318")]
pub struct InvalidEndpoint;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(base: &str) -> Result<Endpoint, InvalidEndpoint> {
        if base.contains(['?', '#']) {
            return Err(InvalidEndpoint);
        }
        let base = base.trim_end_matches('/');
        let base = base.strip_suffix("/v1/traces").unwrap_or(base).trim_end_matches('/');
        let uri: Uri = format!("{base}/v1/traces").parse().map_err(|_| InvalidEndpoint)?;
        if is_address(&uri) { Ok(Endpoint(uri)) } else { Err(InvalidEndpoint) }
    }
}

/// Headers that a collector wants, a token say. They do not print.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretHeaders(HeaderMap);

/// A text that is no list of headers. It does not say which: that may be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not headers like name=value,other=value")]
pub struct InvalidHeaders;

impl FromStr for SecretHeaders {
    type Err = InvalidHeaders;

    fn from_str(text: &str) -> Result<SecretHeaders, InvalidHeaders> {
        let header = |part: &str| {
            let (name, value) = part.split_once('=')?;
            // As OpenTelemetry's variables have them: a comma within a value is `%2C`.
            let value = percent_decoded(value.trim())?;
            let mut value = HeaderValue::from_bytes(&value).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        };
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let headers: Option<HeaderMap> = parts.map(header).collect();
        headers.map(SecretHeaders).ok_or(InvalidHeaders)
    }
}

impl fmt::Debug for SecretHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHeaders({} of them)", self.0.len())
    }
}

/// One collector.
#[derive(Debug, Clone)]
pub struct Collector {
    https: Https,
    endpoint: Endpoint,
    headers: SecretHeaders,
    compresses: bool,
    pause: Duration,
}

impl Collector {
    /// The collector at `endpoint`. Requests are compressed with gzip, if it `compresses`.
    ///
    /// # Errors
    ///
    /// Where the system has no certificates.
    pub fn new(endpoint: Endpoint, headers: SecretHeaders, compresses: bool) -> std::io::Result<Collector> {
        Ok(Collector { https: Https::new()?, endpoint, headers, compresses, pause: PAUSE })
    }

    async fn send(&self, headers: &HeaderMap, body: &Bytes) -> Result<https::Answer, PortError> {
        self.https.post(ACTION, &self.endpoint.0, headers, body.clone()).await
    }
}

/// What the protocol's specification says may be tried again.
fn may_pass(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

impl ExportSpans for Collector {
    async fn export(&self, request: &[u8]) -> Result<Answer, PortError> {
        let mut headers = self.headers.0.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let body = match compressed(request).filter(|_| self.compresses) {
            Some(body) => {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                Bytes::from(body)
            }
            None => Bytes::copy_from_slice(request),
        };
        let mut pause = self.pause;
        for attempt in 1.. {
            let sent = self.send(&headers, &body).await;
            let asked = match &sent {
                Ok(answer) if may_pass(answer.status) => answer.retry_after,
                Ok(_) => return taken(sent?),
                Err(_) => None,
            };
            let wait = asked.unwrap_or(pause);
            if attempt == ATTEMPTS || wait > LONGEST_PAUSE {
                return taken(sent?);
            }
            tokio::time::sleep(wait).await;
            measures::tried_again(1);
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }
}

/// Only some refusals are about the spans. A missing right can be given, a wrong address or encoding (415) mended, so
/// that others wait.
fn taken(answer: https::Answer) -> Result<Answer, PortError> {
    match answer.status {
        200..=299 | 400 | 413 | 422 | 429 | 500.. => answer.taken(ACTION).map(|body| Answer::of(&body)),
        _ => Err(answer.refusal(ACTION, Retry::Denied)),
    }
}

/// `request` as a gzip member, where that is worth the work.
fn compressed(request: &[u8]) -> Option<Vec<u8>> {
    if request.len() < WORTH_COMPRESSING {
        return None;
    }
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut member = vec![0; compressor.gzip_compress_bound(request.len())];
    let length = compressor.gzip_compress(request, &mut member).ok()?;
    member.truncate(length);
    Some(member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A collector that gives these answers, one a connection, and keeps what it got.
    async fn collector(answers: &'static [&'static str]) -> (Collector, Arc<Mutex<Vec<Vec<u8>>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint: Endpoint = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = got.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !is_whole(&request) {
                    let mut bytes = [0; 4_096];
                    let read = stream.read(&mut bytes).await.unwrap();
                    assert!(read > 0, "the request broke off");
                    request.extend_from_slice(&bytes[..read]);
                }
                kept.lock().unwrap().push(request);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let headers = "x-token=secret-token".parse().unwrap();
        let collector = Collector::new(endpoint, headers, true).unwrap();
        (Collector { pause: Duration::ZERO, ..collector }, got)
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let Some(head) = text.find("\r\n\r\n") else { return false };
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.unwrap_or("0").trim().parse().unwrap();
        request.len() >= request.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(head) + 4 + length
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const BUSY: &str = "HTTP/1.1 503 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";

    #[tokio::test]
    async fn a_request_is_posted_with_its_headers_and_compressed_where_it_is_long() {
        let (collector, got) = collector(&[OK, OK]).await;
        assert_eq!(collector.export(b"short").await.unwrap(), Answer::default());
        collector.export(&[7; 5_000]).await.unwrap();
        let got = got.lock().unwrap();
        let head = String::from_utf8_lossy(&got[0]).to_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1\r\n") && head.ends_with("\r\n\r\nshort"), "{head}");
        assert!(
            head.contains("content-type: application/x-protobuf") && head.contains("x-token: secret-token"),
            "{head}"
        );
        assert!(String::from_utf8_lossy(&got[1]).to_lowercase().contains("content-encoding: gzip"));
        assert!(got[1].len() < 1_000);
    }

    #[tokio::test]
    async fn a_collector_that_is_busy_is_asked_again_and_one_that_wants_peace_is_left_alone() {
        let (collector_, got) = collector(&[BUSY, "HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n", OK]).await;
        collector_.export(b"x").await.unwrap();
        assert_eq!(got.lock().unwrap().len(), 3);
        let (busy, got) = collector(&[BUSY, BUSY, BUSY, OK]).await;
        let error = busy.export(b"x").await.unwrap_err();
        assert_eq!((error.retry, got.lock().unwrap().len()), (Retry::Transient, 3));
        let (resting, got) =
            collector(&["HTTP/1.1 429 No\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n", OK]).await;
        assert_eq!(resting.export(b"x").await.unwrap_err().retry, Retry::Transient);
        assert_eq!(got.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_refusal_says_why_and_whether_it_is_about_who_asks() {
        for (answer, retry) in [
            ("HTTP/1.1 400 Bad\r\ncontent-length: 3\r\n\r\nwhy", Retry::Permanent),
            ("HTTP/1.1 413 Long\r\ncontent-length: 3\r\n\r\nwhy", Retry::Permanent),
            ("HTTP/1.1 422 No\r\ncontent-length: 3\r\n\r\nwhy", Retry::Permanent),
            ("HTTP/1.1 301 Moved\r\ncontent-length: 3\r\n\r\nwhy", Retry::Denied),
            ("HTTP/1.1 404 Not found\r\ncontent-length: 3\r\n\r\nwhy", Retry::Denied),
            ("HTTP/1.1 405 Not so\r\ncontent-length: 3\r\n\r\nwhy", Retry::Denied),
            ("HTTP/1.1 415 Zip\r\ncontent-length: 3\r\n\r\nwhy", Retry::Denied),
            ("HTTP/1.1 401 Who\r\ncontent-length: 3\r\n\r\nwhy", Retry::Denied),
            ("HTTP/1.1 500 Oh\r\ncontent-length: 3\r\n\r\nwhy", Retry::Transient),
        ] {
            let answers: &'static [&'static str] = Vec::leak(vec![answer]);
            let (collector, _) = collector(answers).await;
            let error = collector.export(b"x").await.unwrap_err();
            assert_eq!(error.retry, retry, "{answer}");
            let told = format!("{:#}", anyhow::Error::new(error));
            assert!(told.starts_with("export spans by OTLP: answered ") && told.ends_with(": why"), "{told}");
        }
    }

    #[test]
    fn an_endpoint_is_a_base_address_and_headers_do_not_print() {
        for base in ["http://h:4318", "http://h:4318/", "http://h:4318/v1/traces", "http://h:4318/v1/traces/"] {
            assert_eq!(base.parse::<Endpoint>().unwrap().0, "http://h:4318/v1/traces");
        }
        for text in ["", "h:4318", "ftp://h", "http://h?x=1", "http://h#x"] {
            assert_eq!(text.parse::<Endpoint>(), Err(InvalidEndpoint), "{text}");
        }
        let headers: SecretHeaders = "authorization=Bearer secret=token, x-scope=a".parse().unwrap();
        assert_eq!(headers.0["authorization"], "Bearer secret=token");
        assert_eq!(format!("{headers:?}"), "SecretHeaders(2 of them)");
        assert_eq!("".parse(), Ok(SecretHeaders::default()));
        let headers: SecretHeaders = "authorization=Basic%20a%2Cb%3D".parse().unwrap();
        assert_eq!(headers.0["authorization"], "Basic a,b=");
        for text in ["secret", "name=secret%", "name=secret%0A", "a b=secret", "name=se\ncret"] {
            let error = text.parse::<SecretHeaders>().unwrap_err().to_string();
            assert!(!error.contains("cret"), "{error}");
        }
    }
}
