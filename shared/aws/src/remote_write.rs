//! Prometheus' remote write 1.0: Amazon Managed Prometheus with signed requests, and whatever else takes it with a
//! token, with a password, or with neither.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use domain::ports::{PortError, ReadSecret, Retry, SecretText, WriteSamples};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Mutex;

use crate::https::{Answer, Https};

const ACTION: &str = "write samples to Prometheus";

/// How often a request is sent.
const ATTEMPTS: u32 = 4;

/// How long to wait before it is sent again, where the other side does not say; twice as long each time.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest that is waited. Whoever asks for more is left alone until the next tick.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// Where samples are written to: the whole address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

/// A text that is no address to write to. It does not say which: somebody may have put a password into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an https URL without a user and a query, like https://prometheus.example.com/api/v1/write (http is for loopback only)"
)]
pub struct InvalidEndpoint;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        let uri: Uri = text.parse().map_err(|_| InvalidEndpoint)?;
        let host = uri.host().ok_or(InvalidEndpoint)?;
        let is_safe = match uri.scheme_str() {
            Some("https") => true,
            // Credentials and business figures do not travel in the open.
            Some("http") => is_loopback(host),
            _ => false,
        };
        let has_more = text.contains(['?', '#', '@']);
        if is_safe && !has_more { Ok(Endpoint(uri)) } else { Err(InvalidEndpoint) }
    }
}

fn is_loopback(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl Endpoint {
    /// The region of a workspace of Amazon Managed Prometheus, which need not be the function's.
    fn region(&self) -> Option<&str> {
        let (service, rest) = self.0.host()?.split_once('.')?;
        let (region, _) = rest.split_once(".amazonaws.com").or_else(|| rest.split_once(".api.aws"))?;
        matches!(service, "aps-workspaces" | "aps-workspaces-fips").then_some(region)
    }
}

/// What a request shows to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A signature with the function's own rights, for Amazon Managed Prometheus.
    SigV4,
    /// A token, which is the text of this secret.
    Bearer(String),
    /// A user and a password: the text of this secret is `user:password`.
    Basic(String),
}

/// What makes the header `Authorization`.
enum Authorization<S> {
    None,
    SigV4 {
        credentials: SharedCredentialsProvider,
        region: String,
    },
    Secret {
        secrets: S,
        id: String,
        as_header: fn(&SecretText) -> String,
        /// What was read, until the other side does not take it any more: secrets are rotated.
        held: Mutex<Option<HeaderValue>>,
    },
}

impl<S> fmt::Debug for Authorization<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(..)")
    }
}

/// Requests can not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system has no certificates.
    #[error("the certificates of the system")]
    Certificates(#[source] std::io::Error),
    /// Nobody gave the function rights.
    #[error("there are no credentials to sign with")]
    Credentials,
    /// Neither the address nor the environment says which.
    #[error("there is no region to sign for")]
    Region,
}

/// One Prometheus.
#[derive(Debug)]
pub struct RemoteWrite<S> {
    https: Https,
    endpoint: Endpoint,
    authorization: Authorization<S>,
    pause: Duration,
}

impl<S: ReadSecret> RemoteWrite<S> {
    /// The one at `endpoint`. A secret is read from `secrets` when it is first needed.
    ///
    /// # Errors
    ///
    /// Where something is missing that every request needs.
    pub fn new(
        endpoint: Endpoint,
        credential: Credential,
        sdk: &SdkConfig,
        secrets: S,
    ) -> Result<RemoteWrite<S>, SetupError> {
        let secret = |id, secrets, as_header| Authorization::Secret { secrets, id, as_header, held: Mutex::new(None) };
        let authorization = match credential {
            Credential::None => Authorization::None,
            Credential::Bearer(id) => secret(id, secrets, bearer),
            Credential::Basic(id) => secret(id, secrets, basic),
            Credential::SigV4 => {
                let region = endpoint.region().map(str::to_owned);
                let region = region.or_else(|| sdk.region().map(|region| region.as_ref().to_owned()));
                Authorization::SigV4 {
                    credentials: sdk.credentials_provider().ok_or(SetupError::Credentials)?,
                    region: region.ok_or(SetupError::Region)?,
                }
            }
        };
        let https = Https::new().map_err(SetupError::Certificates)?;
        Ok(RemoteWrite { https, endpoint, authorization, pause: PAUSE })
    }

    /// Sends once. A signature holds for minutes only, so that each attempt has its own.
    async fn send(&self, body: &Bytes) -> Result<Answer, PortError> {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
            (VERSION, HeaderValue::from_static("0.1.0")),
        ]);
        match &self.authorization {
            Authorization::None => {}
            Authorization::SigV4 { credentials, region } => {
                let credentials = credentials.provide_credentials().await;
                let identity = credentials.map_err(|error| PortError::transient(ACTION, error))?.into();
                let signed = signature(&self.endpoint.0, body, &identity, region, SystemTime::now());
                headers.extend(signed.map_err(|error| waiting(PortError::permanent(ACTION, error)))?);
            }
            Authorization::Secret { secrets, id, as_header, held } => {
                let mut held = held.lock().await;
                let header = match &*held {
                    Some(header) => header.clone(),
                    None => {
                        let text = as_header(&secrets.read_secret(id).await.map_err(waiting)?);
                        let header = HeaderValue::try_from(text).map_err(|_| unusable(id))?;
                        held.insert(header).clone()
                    }
                };
                headers.insert(AUTHORIZATION, sensitive(header));
            }
        }
        let answer = self.https.post(ACTION, &self.endpoint.0, &headers, body.clone()).await?;
        if let (401 | 403, Authorization::Secret { held, .. }) = (answer.status, &self.authorization) {
            *held.lock().await = None;
        }
        Ok(answer)
    }
}

/// What keeps anything from being sent is not about the samples, and can be mended: until then they wait.
fn waiting(error: PortError) -> PortError {
    match error.retry {
        Retry::Permanent => PortError { retry: Retry::Denied, ..error },
        Retry::Transient | Retry::Denied => error,
    }
}

/// The secret can be mended; until then the samples wait.
fn unusable(id: &str) -> PortError {
    PortError {
        action: ACTION.to_owned(),
        retry: Retry::Denied,
        source: format!("the text of the secret {id} can not stand in a header").into(),
    }
}

fn bearer(token: &SecretText) -> String {
    format!("Bearer {}", token.expose().trim())
}

fn basic(user_and_password: &SecretText) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    format!("Basic {}", BASE64_STANDARD.encode(user_and_password.expose().trim()))
}

fn sensitive(mut header: HeaderValue) -> HeaderValue {
    header.set_sensitive(true);
    header
}

type SigningFailure = Box<dyn std::error::Error + Send + Sync>;

/// The headers that sign a request.
fn signature(
    uri: &Uri,
    body: &[u8],
    identity: &Identity,
    region: &str,
    now: SystemTime,
) -> Result<HeaderMap, SigningFailure> {
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name("aps")
        .time(now)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let request = SignableRequest::new("POST", uri.to_string(), std::iter::empty(), SignableBody::Bytes(body))?;
    let (instructions, _) = http_request::sign(request, &params)?.into_parts();
    let header =
        |(name, value): (&str, &str)| Ok((name.parse::<HeaderName>()?, sensitive(HeaderValue::from_str(value)?)));
    instructions.headers().map(header).collect()
}

/// How long to wait after the attempt numbered `attempt`, from 1: between half of the pause and all of it, by `chance`
/// (0 to 1), so that not all who were turned away together come back together.
fn backoff(pause: Duration, attempt: u32, chance: f64) -> Duration {
    let pause = pause.saturating_mul(1 << (attempt - 1).min(16));
    pause.mul_f64(0.5 + 0.5 * chance)
}

/// Chance enough for waiting: the keys of the standard library's hashes are random.
fn chance() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}

impl<S: ReadSecret> WriteSamples for RemoteWrite<S> {
    async fn write(&self, request: &[u8]) -> Result<(), PortError> {
        let compressed = snap::raw::Encoder::new().compress_vec(request);
        let body = Bytes::from(compressed.map_err(|error| PortError::permanent(ACTION, error))?);
        for attempt in 1.. {
            let sent = self.send(&body).await;
            let asked = match &sent {
                Ok(answer) if matches!(answer.status, 429 | 500..) => answer.retry_after,
                Ok(_) => return taken(sent?),
                Err(error) if error.retry == Retry::Transient => None,
                Err(_) => return taken(sent?),
            };
            let wait = asked.unwrap_or_else(|| backoff(self.pause, attempt, chance()));
            if attempt == ATTEMPTS || wait > LONGEST_PAUSE {
                return taken(sent?);
            }
            crate::measures::tried_again(1);
            tokio::time::sleep(wait).await;
        }
        unreachable!("the last attempt returns")
    }
}

/// Only some refusals are about the samples. A missing right can be given and a wrong address mended; the next tick
/// sends what waits.
fn taken(answer: Answer) -> Result<(), PortError> {
    match answer.status {
        200..=299 | 400 | 413 | 415 | 422 | 429 | 500.. => answer.taken(ACTION).map(drop),
        _ => Err(answer.refusal(ACTION, Retry::Denied)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_travel_in_the_open_on_loopback_only() {
        for (text, is_address) in [
            ("https://prometheus.example.com/api/v1/write", true),
            ("http://127.0.0.1:9090/api/v1/write", true),
            ("http://[::1]:9090/api/v1/write", true),
            ("http://localhost:9090/api/v1/write", true),
            ("http://prometheus.example.com/api/v1/write", false),
            ("http://127.0.0.1.example.com/", false),
            ("http://localhost.example.com/", false),
            ("https://user:password@prometheus.example.com/", false),
            ("https://prometheus.example.com/?token=x", false),
            ("ftp://prometheus.example.com/", false),
            ("/api/v1/write", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Endpoint>().is_ok(), is_address, "{text}");
        }
    }

    #[test]
    fn a_workspace_of_amazon_says_its_region() {
        let region = |text: &str| text.parse::<Endpoint>().unwrap().region().map(str::to_owned);
        let path = "workspaces/ws-1/api/v1/remote_write";
        assert_eq!(region(&format!("https://aps-workspaces.eu-west-1.amazonaws.com/{path}")), Some("eu-west-1".into()));
        assert_eq!(
            region(&format!("https://aps-workspaces.cn-north-1.amazonaws.com.cn/{path}")),
            Some("cn-north-1".into())
        );
        assert_eq!(region("https://prometheus.example.com/api/v1/write"), None);
    }

    #[test]
    fn pauses_grow_and_differ_by_chance() {
        let pause = Duration::from_millis(200);
        for (attempt, chance, expected) in [(1, 0.0, 100), (1, 1.0, 200), (2, 0.0, 200), (3, 1.0, 800)] {
            assert_eq!(backoff(pause, attempt, chance), Duration::from_millis(expected));
        }
        assert!((0..100).all(|_| (0.0..1.0).contains(&chance())));
    }
}
