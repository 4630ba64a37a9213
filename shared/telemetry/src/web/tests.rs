//! The layer around services that answer, fail, wait and panic.

use std::convert::Infallible;
use std::future::pending;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::MatchedPath;
use axum::routing::{get, post};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt as _, Empty};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::*;
use crate::testing::{lines_of, settings};

type Bytes = axum::body::Bytes;

/// A body that comes in pieces, and does not say how many are left.
struct Pieces(Vec<Result<&'static str, std::io::Error>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let next = (!self.0.is_empty()).then(|| self.0.remove(0));
        Poll::Ready(next.map(|piece| piece.map(|text| Frame::data(Bytes::from(text)))))
    }
}

/// The records and the spans that requests leave behind.
fn told<F: Future<Output = ()>>(work: F) -> (Vec<Value>, Vec<Value>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let lines = lines_of(settings(), |_| runtime.block_on(work));
    lines.into_iter().partition(|line| line.get("span").is_none())
}

fn observed() -> ObserveLayer {
    layer().route(|extensions| extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()))
}

fn app() -> Router {
    Router::new()
        .route("/contracts/{id}", get(async || "a contract"))
        .route("/contracts", post(async || (StatusCode::CREATED, "made")))
        .route("/broken", get(async || StatusCode::BAD_GATEWAY))
        .route("/slow", get(async || StatusCode::GATEWAY_TIMEOUT))
        .route("/panics", get(async || -> StatusCode { panic!("a test panics") }))
        .route("/waits", get(async || pending::<StatusCode>().await))
        .layer(observed().trusted_proxies(TrustedProxies::networks(["10.0.0.0/8"]).unwrap()))
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<AxumBody> {
    let mut request = Request::builder().method(method).uri(target).extension(SocketAddr::from(([10, 0, 0, 1], 80)));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(AxumBody::empty()).unwrap()
}

/// Sends a request and takes in the whole answer.
async fn ask(app: Router, request: Request<AxumBody>) -> (http::response::Parts, Bytes) {
    let (head, body) = app.oneshot(request).await.unwrap().into_parts();
    (head, body.collect().await.unwrap().to_bytes())
}

#[test]
fn a_request_is_one_line_with_its_metrics_and_one_span() {
    let (records, spans) = told(async {
        let headers =
            [("x-request-id", "r-42"), ("user-agent", "curl/8"), ("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.7")];
        let (head, body) = ask(app(), request("GET", "/contracts/4711?token=secret", &headers)).await;
        assert_eq!((head.status, &body[..]), (StatusCode::OK, &b"a contract"[..]));
        assert_eq!(head.headers["x-request-id"], "r-42");
    });
    let ([record], [span]) = (&records[..], &spans[..]) else { panic!("{records:?} {spans:?}") };
    assert_eq!(record["details"], json!({ "method": "GET", "endpoint": "/contracts/{id}", "status_code": 200 }));
    assert_eq!((&record["level"], &record["api_requests"]), (&json!("INFO"), &json!(1)));
    assert_eq!((&record["endpoint"], &record["method"]), (&json!("/contracts/{id}"), &json!("GET")));
    assert_eq!((&record["status_code"], &record["api_request_duration"]), (&json!("200"), &record["duration_ms"]));
    assert_eq!((&record["context"]["request_id"], &span["context"]["request_id"]), (&json!("r-42"), &json!("r-42")));
    assert_eq!(record["context"]["span_id"], span["context"]["span_id"]);
    let span = &span["span"];
    assert_eq!((&span["kind"], &span["status"]), (&json!("server"), &json!("ok")));
    assert_eq!(span["operation_name"], "GET /contracts/{id}");
    assert_eq!(
        span["tags"],
        json!({
            "http.method": "GET", "http.route": "/contracts/{id}", "http.url": "/contracts/4711",
            "http.status_code": 200, "http.client_ip": "203.0.113.9", "http.user_agent": "curl/8",
        })
    );
    assert!(!format!("{records:?}{spans:?}").contains("secret"));
}

#[test]
fn the_status_says_how_it_ended() {
    for (method, target, code, level, status, endpoint) in [
        ("POST", "/contracts", "201", "INFO", "ok", "/contracts"),
        ("GET", "/broken", "502", "ERROR", "error", "/broken"),
        ("GET", "/slow", "504", "ERROR", "timeout", "/slow"),
        ("HEAD", "/contracts/7", "200", "INFO", "ok", "/contracts/{id}"),
        ("DELETE", "/contracts", "405", "WARNING", "ok", "/contracts"),
        ("BREW", "/contracts", "405", "WARNING", "ok", "/contracts"),
    ] {
        let (records, spans) = told(async {
            ask(app(), request(method, target, &[])).await;
        });
        let ([record], [span]) = (&records[..], &spans[..]) else { panic!("{target}: {records:?}") };
        assert_eq!((&record["status_code"], &record["level"]), (&json!(code), &json!(level)), "{target}");
        assert_eq!((&record["endpoint"], &span["span"]["status"]), (&json!(endpoint), &json!(status)), "{target}");
        assert_eq!(record["method"], if method == "BREW" { "OTHER" } else { method });
    }
}

#[test]
fn what_is_not_there_makes_up_no_endpoints() {
    let (records, _) = told(async {
        let app = app().fallback(async || StatusCode::NOT_FOUND).layer(observed());
        ask(app, request("GET", "/wp-login.php", &[])).await;
    });
    assert_eq!((&records[0]["endpoint"], &records[0]["status_code"]), (&json!("unmatched"), &json!("404")));
}

#[test]
fn without_a_router_paths_become_templates() {
    let (records, _) = told(async {
        let service = ServiceBuilder::new().layer(layer()).service(service_fn(async |_: Request<AxumBody>| {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }));
        service.oneshot(request("GET", "/plots/north/documents/4711?x=1", &[])).await.unwrap();
    });
    assert_eq!(records[0]["endpoint"], "/plots/north/documents/{id}");
}

#[test]
fn a_trace_goes_on_and_is_passed_back() {
    const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);
    let cases: [Case<'_>; 5] = [
        (&[("traceparent", "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01")], Some("53995c3f42cd8ad8")),
        (
            &[("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")],
            Some("53995c3f42cd8ad8"),
        ),
        (&[("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793")], None),
        (
            &[
                ("traceparent", "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"),
                ("x-amzn-trace-id", "Root=1-00000000-000000000000000000000001"),
            ],
            Some("53995c3f42cd8ad8"),
        ),
        (
            &[
                ("traceparent", "junk"),
                ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8"),
            ],
            Some("53995c3f42cd8ad8"),
        ),
    ];
    for (headers, parent) in cases {
        let mut traceparent = String::new();
        let (_, spans) = told(async {
            let (head, _) = ask(app(), request("GET", "/contracts/1", headers)).await;
            traceparent = head.headers["traceparent"].to_str().unwrap().to_owned();
        });
        let span = &spans[0];
        assert_eq!(span["context"]["trace_id"], "1-5759e988-bd862e3fe1be46a994272793", "{headers:?}");
        assert_eq!(span["span"]["parent_span_id"].as_str(), parent, "{headers:?}");
        assert_eq!(traceparent, format!("00-{TRACE}-{}-01", span["context"]["span_id"].as_str().unwrap()));
    }
    let (_, spans) = told(async {
        let header = [("traceparent", "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00")];
        ask(app(), request("GET", "/contracts/1", &header)).await;
    });
    assert!(spans.is_empty(), "what its caller does not keep is not kept here");
}

#[test]
fn a_request_id_that_is_none_is_replaced() {
    let too_long = "x".repeat(129);
    for header in ["", "a b", "<script>", "anna@example.com", &too_long] {
        let mut answered = String::new();
        let (records, _) = told(async {
            let (head, _) = ask(app(), request("GET", "/contracts/1", &[("x-request-id", header)])).await;
            answered = head.headers["x-request-id"].to_str().unwrap().to_owned();
        });
        assert!(is_id(&answered) && answered.len() == 32, "{answered}");
        assert_eq!(records[0]["context"]["request_id"], answered);
    }
}

#[test]
fn a_client_that_goes_is_told_of() {
    // While the service works,
    let (records, spans) = told(async {
        let waits = app().oneshot(request("GET", "/waits", &[]));
        tokio::select! {
            biased;
            _ = waits => unreachable!("it waits for ever"),
            () = async {} => {}
        }
    });
    assert_eq!((&records[0]["status_code"], &spans[0]["span"]["status"]), (&json!("499"), &json!("cancelled")));
    // and while the answer is sent.
    let (records, spans) = told(async {
        let service = layer().layer(service_fn(async |_: Request<AxumBody>| {
            Ok::<_, Infallible>(Response::new(Pieces(vec![Ok("a"), Ok("b")])))
        }));
        let mut answer = service.oneshot(request("GET", "/a", &[])).await.unwrap();
        answer.body_mut().frame().await.unwrap().unwrap();
    });
    assert_eq!((&records[0]["status_code"], &spans[0]["span"]["status"]), (&json!("499"), &json!("cancelled")));
}

#[test]
fn an_answer_has_ended_when_its_body_has() {
    let (records, spans) = told(async {
        let service = layer().layer(service_fn(async |_: Request<AxumBody>| {
            Ok::<_, Infallible>(Response::new(Pieces(vec![Ok("a"), Ok("b")])))
        }));
        let answer = service.oneshot(request("GET", "/a", &[])).await.unwrap();
        tracing::info!("headers are there");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ab");
        tracing::info!("the body has come");
    });
    let messages: Vec<&str> = records.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["headers are there", "api call", "the body has come"]);
    assert_eq!(spans[0]["span"]["status"], "ok");
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    let (records, spans) = told(async {
        let service = layer().layer(service_fn(async |_: Request<AxumBody>| {
            let broken = std::io::Error::other("the disk is gone");
            Ok::<_, Infallible>(Response::new(Pieces(vec![Ok("a"), Err(broken)])))
        }));
        let answer = service.oneshot(request("GET", "/a", &[])).await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
    });
    assert_eq!(records[0]["error"]["message"], "the disk is gone");
    assert_eq!((&records[1]["status_code"], &spans[0]["span"]["status"]), (&json!("500"), &json!("error")));
}

#[test]
fn an_error_of_the_service_stays_what_it_is() {
    let (records, spans) = told(async {
        let service = layer().layer(service_fn(async |_: Request<AxumBody>| {
            Err::<Response<Empty<Bytes>>, _>(std::io::Error::new(std::io::ErrorKind::BrokenPipe, "gone"))
        }));
        let error: std::io::Error = service.oneshot(request("GET", "/a", &[])).await.err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    });
    assert_eq!(records[0]["error"]["message"], "gone");
    assert_eq!((&records[1]["status_code"], &spans[0]["span"]["status"]), (&json!("500"), &json!("error")));
    assert_eq!(records.len(), 2);
}

#[test]
fn a_panic_is_an_error_and_goes_on() {
    let (records, spans) = told(async {
        let answer = tokio::spawn(app().oneshot(request("GET", "/panics", &[])));
        assert!(answer.await.unwrap_err().is_panic());
    });
    let record = records.iter().find(|line| line.get("api_requests").is_some()).unwrap();
    assert_eq!((&record["status_code"], &spans[0]["span"]["status"]), (&json!("500"), &json!("error")));
}
