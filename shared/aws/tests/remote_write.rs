//! Remote write against a server that gives prepared answers and keeps what it got.
#![cfg(feature = "remote_write")]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws::remote_write::{Credential, RemoteWrite};
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use domain::ports::{PortError, ReadSecret, Retry, SecretText, WriteSamples};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const PATH: &str = "/workspaces/ws-1/api/v1/remote_write";
const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
const THROTTLED: &str = "HTTP/1.1 429 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 400 No\r\ncontent-length: 19\r\n\r\nout of order sample";
const DENIED: &str = "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n";

/// A request as it came.
#[derive(Clone)]
struct Got {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Secrets that are another one at each reading.
#[derive(Debug)]
struct Rotated(Mutex<Vec<&'static str>>);

impl ReadSecret for Rotated {
    async fn read_secret(&self, id: &str) -> Result<SecretText, PortError> {
        assert_eq!(id, "the-secret");
        let mut left = self.0.lock().unwrap();
        if left.is_empty() {
            return Err(PortError::transient("read secret the-secret", "injected fault"));
        }
        Ok(SecretText::new(left.remove(0)))
    }
}

/// A server that gives these answers, one a connection.
async fn server(
    credential: Credential,
    secrets: &[&'static str],
    answers: &'static [&'static str],
) -> (RemoteWrite<Rotated>, Arc<Mutex<Vec<Got>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = got.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let whole = loop {
                if let Some(whole) = whole(&request) {
                    break whole;
                }
                let mut bytes = [0; 4_096];
                let read = stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "the request broke off");
                request.extend_from_slice(&bytes[..read]);
            };
            kept.lock().unwrap().push(whole);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let credentials = Credentials::new("AKIDEXAMPLE", "a-made-up-key", Some("a-token".to_owned()), None, "test");
    let sdk = SdkConfig::builder()
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let secrets = Rotated(Mutex::new(secrets.to_vec()));
    (RemoteWrite::new(url.parse().unwrap(), credential, &sdk, secrets).unwrap(), got)
}

fn whole(request: &[u8]) -> Option<Got> {
    let end = request.windows(4).position(|part| part == b"\r\n\r\n")?;
    let head = String::from_utf8(request[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let body = request[end + 4..].to_vec();
    (headers["content-length"].parse::<usize>().unwrap() == body.len()).then_some(Got { line, headers, body })
}

#[tokio::test]
async fn a_request_is_compressed_and_says_what_it_is() {
    let (remote, got) = server(Credential::None, &[], &[OK]).await;
    let request = vec![7; 5_000];
    remote.write(&request).await.unwrap();
    let got = got.lock().unwrap()[0].clone();
    assert_eq!(got.line, format!("POST {PATH} HTTP/1.1"));
    for (name, value) in [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ] {
        assert_eq!(got.headers[name], value);
    }
    assert!(got.headers["user-agent"].starts_with("land-contracts-observability/"));
    assert!(!got.headers.contains_key("authorization"));
    assert!(got.body.len() < 1_000);
    assert_eq!(snap::raw::Decoder::new().decompress_vec(&got.body).unwrap(), request);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_nothing_else() {
    for (answers, result, sent) in [
        (&[BUSY, THROTTLED, OK][..], Ok(()), 3),
        (&[BUSY, BUSY, BUSY, BUSY, OK], Err(Retry::Transient), 4),
        (&["HTTP/1.1 429 No\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n", OK], Err(Retry::Transient), 1),
        (&[REFUSED, OK], Err(Retry::Permanent), 1),
        (&["HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n", OK], Err(Retry::Permanent), 1),
        (&[DENIED, OK], Err(Retry::Denied), 1),
        (&["HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", OK], Err(Retry::Denied), 1),
    ] {
        let (remote, got) = server(Credential::None, &[], answers).await;
        let taken = remote.write(b"x").await;
        assert_eq!(taken.map_err(|error| error.retry), result, "{answers:?}");
        assert_eq!(got.lock().unwrap().len(), sent, "{answers:?}");
    }
    let (remote, _) = server(Credential::None, &[], &[REFUSED]).await;
    let error = remote.write(b"x").await.unwrap_err();
    assert_eq!(error.source.to_string(), "answered 400: out of order sample");
}

#[tokio::test]
async fn a_secret_is_read_once_and_again_when_it_is_not_taken_any_more() {
    let secret = || "the-secret".to_owned();
    let (remote, got) = server(Credential::Bearer(secret()), &["old", "new"], &[OK, DENIED, OK, OK]).await;
    remote.write(b"x").await.unwrap();
    assert_eq!(remote.write(b"x").await.unwrap_err().retry, Retry::Denied);
    remote.write(b"x").await.unwrap();
    remote.write(b"x").await.unwrap();
    let sent: Vec<String> = got.lock().unwrap().iter().map(|got| got.headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]);
    assert!(!format!("{remote:?}").contains("new"));

    let (remote, got) = server(Credential::Basic(secret()), &["flusher:hunter2\n"], &[OK]).await;
    remote.write(b"x").await.unwrap();
    assert_eq!(got.lock().unwrap()[0].headers["authorization"], "Basic Zmx1c2hlcjpodW50ZXIy");

    let (remote, _) = server(Credential::Bearer(secret()), &["two\nlines"], &[]).await;
    let error = remote.write(b"x").await.unwrap_err();
    assert_eq!(error.retry, Retry::Denied);
    assert!(!format!("{error:?}").contains("two"), "{error:?}");
}

/// Whoever deletes the secret has not made the samples bad: they wait until there is one again.
#[tokio::test]
async fn a_secret_that_is_not_there_is_no_refusal_of_the_samples() {
    #[derive(Debug)]
    struct Gone;
    impl ReadSecret for Gone {
        async fn read_secret(&self, _: &str) -> Result<SecretText, PortError> {
            Err(PortError::permanent("read secret", "there is no such secret"))
        }
    }
    let sdk = SdkConfig::builder().build();
    let endpoint = "http://127.0.0.1:9/api/v1/write".parse().unwrap();
    let remote = RemoteWrite::new(endpoint, Credential::Bearer("the-secret".to_owned()), &sdk, Gone).unwrap();
    let error = remote.write(b"x").await.unwrap_err();
    assert_eq!((error.retry, error.source.to_string()), (Retry::Denied, "there is no such secret".to_owned()));
}

/// Signature version 4 as its documentation has it, computed here once more.
#[tokio::test]
async fn a_request_to_amazon_is_signed() {
    let (remote, got) = server(Credential::SigV4, &[], &[OK]).await;
    remote.write(b"samples").await.unwrap();
    let got = got.lock().unwrap()[0].clone();
    let authorization = &got.headers["authorization"];
    let (day, time) = (&got.headers["x-amz-date"][..8], &got.headers["x-amz-date"]);
    let scope = format!("{day}/eu-west-1/aps/aws4_request");
    let part = |name: &str| {
        let rest = authorization.split_once(&format!("{name}=")).unwrap().1;
        rest.split(',').next().unwrap().trim().to_owned()
    };
    assert_eq!(part("Credential"), format!("AKIDEXAMPLE/{scope}"));
    assert_eq!(got.headers["x-amz-security-token"], "a-token");
    let signed = part("SignedHeaders");
    assert_eq!(signed, "host;x-amz-date;x-amz-security-token");
    let headers: String = signed.split(';').map(|name| format!("{name}:{}\n", got.headers[name])).collect();
    let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let canonical = format!("POST\n{PATH}\n\n{headers}\n{signed}\n{}", hash(&got.body));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = scope.split('/').fold(b"AWS4a-made-up-key".to_vec(), |key, part| mac(&key, part));
    assert_eq!(part("Signature"), hex::encode(mac(&key, &to_sign)));
}
