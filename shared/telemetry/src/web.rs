//! One layer for a web service: the scope of each request, its server span, its record and its metrics.
//!
//! ```
//! use axum::extract::MatchedPath;
//!
//! let observed = telemetry::web::layer()
//!     .route(|request| request.get::<MatchedPath>().map(|path| path.as_str().to_owned()))
//!     .trusted_proxies(telemetry::web::TrustedProxies::hops(1));
//! let app: axum::Router = axum::Router::new()
//!     .route("/contracts/{id}", axum::routing::get(async || "a contract"))
//!     .layer(observed);
//! ```
//!
//! What it does with a request:
//!
//! - **Scope.** `x-request-id` is kept where it looks like an id, else there is a new one; the answer carries it. Who
//!   signs in is named by [`scope::set_user`](crate::scope::set_user), wherever that is found out, and the session by
//!   [`scope::set_session`](crate::scope::set_session).
//! - **Trace.** It goes on with the trace of `traceparent`, or else of `X-Amzn-Trace-Id`; the answer's `traceparent`
//!   names the span. Whether it is kept is decided here, unless [`TraceHeaders::Follow`] says otherwise.
//! - **Span** of kind server: `http.method`, `http.route`, `http.url` (the path: never a query), `http.status_code`,
//!   `http.client_ip`, `http.user_agent`. A status of 5xx is an `error`, 408 and 504 are a `timeout`; what is dropped
//!   before its body has ended is `cancelled`, its status 499; a panic is an `error`, its status 500. What the
//!   service sets itself with [`trace::set_status`] holds.
//! - **Record and metrics** in one line, with [`track_api_request`].
//!
//! The duration is until the last byte of the answer's body was taken, not until its headers.

mod body;
mod proxies;

pub use body::Body;
pub use proxies::{NetworkError, TrustedProxies};

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use schema::endpoint;
use schema::trace::{Parent, SpanStatus};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;
use tracing::field::Empty;
use tracing::instrument::{Instrument as _, Instrumented};

use crate::business::track_api_request;
use crate::calls::{ApiCall, Direction};
use crate::{chance, trace};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const AMZN: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a request is counted as that the router has no route for: whoever asks for what is not there must not make up
/// endpoints.
const UNMATCHED: &str = "unmatched";

/// The status of a request whose client has gone, as web servers log it.
const CLIENT_GONE: u16 = 499;

/// The layer. A service without a router needs no more than this: paths become templates by their ids.
pub fn layer() -> ObserveLayer {
    ObserveLayer { settings: Settings::default() }
}

type Route = Arc<dyn Fn(&Extensions) -> Option<String> + Send + Sync>;
type Peer = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

#[derive(Clone, Default)]
struct Settings {
    proxies: Arc<TrustedProxies>,
    route: Option<Route>,
    peer: Option<Peer>,
    trace_headers: TraceHeaders,
}

/// What the trace headers of a request are good for. Anybody can send them, and proxies pass them on as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TraceHeaders {
    /// The request is part of the trace that they name, and kept if they say so; where they don't say, the trace's id
    /// decides. For services that are called by services of the platform only: who sends the headers can have every
    /// request of theirs kept.
    Follow,
    /// The request is part of the trace that they name, so that its lines are found by the caller's id. Whether it is
    /// kept is decided here, by chance: whoever chooses the id does not choose that.
    #[default]
    KeepIdOnly,
    /// The request begins a trace of its own.
    Ignore,
}

/// Made by [`layer`].
#[derive(Clone)]
pub struct ObserveLayer {
    settings: Settings,
}

impl ObserveLayer {
    /// How to find the route's template among a request's extensions. What has none then is counted as `unmatched`.
    #[must_use]
    pub fn route(mut self, route: impl Fn(&Extensions) -> Option<String> + Send + Sync + 'static) -> ObserveLayer {
        self.settings.route = Some(Arc::new(route));
        self
    }

    /// How to find who is connected, among a request's extensions. Without it, a [`SocketAddr`] among them is.
    #[must_use]
    pub fn peer(mut self, peer: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> ObserveLayer {
        self.settings.peer = Some(Arc::new(peer));
        self
    }

    /// What the trace headers of requests are good for: [`TraceHeaders::KeepIdOnly`], unless it is set.
    #[must_use]
    pub fn trust_trace_headers(mut self, trust: TraceHeaders) -> ObserveLayer {
        self.settings.trace_headers = trust;
        self
    }

    /// Whose word about the client's address is believed. Nobody's, unless it is set.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> ObserveLayer {
        self.settings.proxies = Arc::new(proxies);
        self
    }
}

impl fmt::Debug for ObserveLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { proxies, trace_headers, .. } = &self.settings;
        let mut all = f.debug_struct("ObserveLayer");
        all.field("proxies", proxies).field("trace_headers", trace_headers).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner, settings: self.settings.clone() }
    }
}

/// A service within the layer.
#[derive(Clone)]
pub struct Observed<S> {
    inner: S,
    settings: Settings,
}

impl<S: fmt::Debug> fmt::Debug for Observed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for Observed<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: fmt::Display,
    R: http_body::Body,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Answer<S::Future> {
        let mut exchange = Exchange::begin(&self.settings, &request);
        let future = exchange.within(|| self.inner.call(request));
        Answer { future: future.instrument(exchange.span.clone()), exchange: Some(exchange) }
    }
}

/// A request that is being answered. Dropped before it has ended, its client has gone or there was a panic.
struct Exchange {
    span: Span,
    started: Instant,
    request_id: HeaderValue,
    method: Method,
    endpoint: String,
    status: Option<StatusCode>,
    /// Whether the service is at work on it right now. Dropped meanwhile, it has panicked: that the thread does not
    /// panic (any more) when it is dropped says nothing, as the panic may have been caught in between.
    at_work: bool,
    ended: bool,
}

impl Exchange {
    fn begin<B>(settings: &Settings, request: &Request<B>) -> Exchange {
        let started = Instant::now();
        let headers = request.headers();
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = match text(&REQUEST_ID).filter(|id| is_id(id)) {
            Some(id) => id.to_owned(),
            None => format!("{:016x}{:016x}", chance::bits(), chance::bits()),
        };
        let parent = || {
            let parent = text(&TRACEPARENT).and_then(Parent::of_traceparent);
            parent.or_else(|| text(&AMZN).and_then(Parent::of_amzn))
        };
        let path = request.uri().path();
        let endpoint = match &settings.route {
            Some(route) => route(request.extensions()).unwrap_or_else(|| UNMATCHED.to_owned()),
            None => endpoint::template(path, &mut String::new()).to_owned(),
        };
        let method = method_name(request.method());
        let client = client(settings, request.extensions(), headers).map(|address| address.to_string());
        let make = || {
            tracing::info_span!(
                "request",
                request_id,
                user_id = Empty,
                session_id = Empty,
                span.name = format_args!("{method} {endpoint}"),
                span.kind = "server",
                span.status = Empty,
                http.method = method,
                http.route = endpoint,
                http.url = path,
                http.status_code = Empty,
                http.client_ip = client,
                http.user_agent = text(&header::USER_AGENT),
            )
        };
        let span = match (settings.trace_headers, parent()) {
            (TraceHeaders::Follow, Some(parent)) => trace::with_parent(parent, make),
            (TraceHeaders::KeepIdOnly, Some(parent)) => trace::with_foreign_parent(parent, make),
            (TraceHeaders::Ignore, _) | (_, None) => make(),
        };
        Exchange {
            span,
            started,
            request_id: HeaderValue::try_from(&request_id).unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            method: request.method().clone(),
            endpoint,
            status: None,
            at_work: false,
            ended: false,
        }
    }

    /// Lets the service work on it, within the span.
    fn within<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.at_work = true;
        let result = self.span.in_scope(work);
        self.at_work = false;
        result
    }

    /// Takes in the head of the answer, and tells the client the ids.
    fn answered(&mut self, status: StatusCode, headers: &mut HeaderMap) {
        self.status = Some(status);
        headers.insert(REQUEST_ID, self.request_id.clone());
        let traceparent = trace::context(&self.span).and_then(|place| place.traceparent());
        if let Some(value) = traceparent.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// Whether an answer of this kind has no body to wait for.
    fn has_no_body(&self) -> bool {
        let empty = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        let is_empty = |status: StatusCode| status.is_informational() || empty.contains(&status);
        self.method == Method::HEAD || self.status.is_some_and(is_empty)
    }

    /// It was answered as a whole.
    fn end(&mut self) {
        let status = self.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let ended = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => SpanStatus::Timeout,
            status if status.is_server_error() => SpanStatus::Error,
            _ => SpanStatus::Ok,
        };
        self.tell(status.as_u16(), ended);
    }

    /// It could not be answered, or only in part.
    fn fail(&mut self, error: &dyn fmt::Display) {
        // The error may panic when it is asked what it says.
        self.within(|| tracing::error!(error = %error, "request failed"));
        self.tell(StatusCode::INTERNAL_SERVER_ERROR.as_u16(), SpanStatus::Error);
    }

    /// Tells how it ended, once.
    fn tell(&mut self, status_code: u16, ended: SpanStatus) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.span.record("http.status_code", status_code);
        trace::set_status_if_unset(&self.span, ended);
        let call = ApiCall {
            direction: Direction::Inbound,
            method: method_name(&self.method),
            endpoint: &self.endpoint,
            status_code,
            duration: self.started.elapsed(),
        };
        self.span.in_scope(|| track_api_request(&call));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.at_work {
            // The panic itself has been told where it happened.
            self.tell(StatusCode::INTERNAL_SERVER_ERROR.as_u16(), SpanStatus::Error);
        } else {
            self.tell(CLIENT_GONE, SpanStatus::Cancelled);
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of an answer.
    pub struct Answer<F> {
        // First, so that it is gone when its end is told.
        #[pin]
        future: Instrumented<F>,
        exchange: Option<Exchange>,
    }
}

impl<F> fmt::Debug for Answer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body,
    E: fmt::Display,
{
    type Output = Result<Response<Body<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.exchange {
            Some(exchange) => ready!(exchange.within(|| this.future.poll(context))),
            None => ready!(this.future.poll(context)),
        };
        let mut exchange = this.exchange.take();
        match result {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                let length =
                    head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
                if let Some(exchange) = &mut exchange {
                    exchange.answered(head.status, &mut head.headers);
                }
                Poll::Ready(Ok(Response::from_parts(head, Body::new(body, length, exchange))))
            }
            Err(error) => {
                if let Some(exchange) = &mut exchange {
                    exchange.fail(&error);
                }
                Poll::Ready(Err(error))
            }
        }
    }
}

fn client(settings: &Settings, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
    let peer = match &settings.peer {
        Some(peer) => peer(extensions),
        None => extensions.get::<SocketAddr>().map(SocketAddr::ip),
    };
    // A header that is no text names nobody: an entry that is none ends the walk.
    let forwarded = headers.get_all(FORWARDED).iter().map(|value| value.to_str().unwrap_or("unknown"));
    settings.proxies.client(peer, forwarded)
}

/// The same that the pipeline takes for an id.
fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(fits)
}

/// A method as a dimension of metrics: anybody can make up others.
fn method_name(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    if known.contains(method) { method.as_str() } else { "OTHER" }
}

#[cfg(test)]
mod tests;
