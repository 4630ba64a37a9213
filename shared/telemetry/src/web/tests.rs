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
}

#[test]
fn who_is_trusted_decides_which_traces_are_kept() {
    // A trace that is kept by its id at any share, and whether its caller keeps it.
    let header = |flag: &str| format!("00-5759e988bd862e3f0000000000000000-53995c3f42cd8ad8-{flag}");
    for (trust, share, flag, kept, same_trace) in [
        (TraceHeaders::Follow, 1.0, "00", false, true),
        (TraceHeaders::Follow, 0.0, "01", true, true),
        (TraceHeaders::KeepIdOnly, 1.0, "00", true, true),
        (TraceHeaders::KeepIdOnly, 0.0, "01", false, true),
        (TraceHeaders::KeepIdOnly, 1e-9, "01", false, true),
        (TraceHeaders::Ignore, 1.0, "00", true, false),
        (TraceHeaders::Ignore, 0.0, "01", false, false),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut settings = settings();
        (settings.traces.share, settings.traces.per_second) = (share, 0);
        let lines = lines_of(settings, |_| {
            runtime.block_on(async {
                let service = observed().trust_trace_headers(trust).layer(service_fn(async |_: Request<AxumBody>| {
                    Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                }));
                let request = request("GET", "/contracts/1", &[("traceparent", &header(flag))]);
                service.oneshot(request).await.unwrap();
            });
        });
        let case = format!("{trust:?} {share} {flag}");
        assert_eq!(lines.iter().any(|line| line.get("span").is_some()), kept, "{case}");
        let is_same = lines[0]["context"]["trace_id"] == "1-5759e988-bd862e3f0000000000000000";
        assert_eq!(is_same, same_trace, "{case}");
    }
    assert_eq!(format!("{:?}", layer()).matches("KeepIdOnly").count(), 1);
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

/// The frames that it was made of, and does not say how many are left.
struct Frames(std::collections::VecDeque<Frame<Bytes>>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

#[test]
fn an_answer_of_announced_length_has_ended_when_that_was_sent() {
    // hyper drops a body when its announced length is written, and never asks it for what comes after.
    use std::io::{Read as _, Write as _};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let lines = lines_of(settings(), |_| {
        runtime.block_on(async {
            let file = async || {
                let body = Frames(["he", "llo"].map(|text| Frame::data(Bytes::from(text))).into());
                Response::builder().header("content-length", "5").body(AxumBody::new(body)).unwrap()
            };
            let app = Router::new().route("/file", get(file)).layer(observed());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = tokio::task::spawn_blocking(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.write_all(b"GET /file HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                text
            });
            tokio::select! {
                _ = std::future::IntoFuture::into_future(axum::serve(listener, app)) => unreachable!("it serves for ever"),
                text = client => assert!(text.unwrap().ends_with("hello")),
            }
        });
    });
    let record = lines.iter().find(|line| line.get("api_requests").is_some()).unwrap();
    assert_eq!((&record["status_code"], &record["level"]), (&json!("200"), &json!("INFO")));
    assert_eq!(lines.iter().filter(|line| line.get("api_requests").is_some()).count(), 1);
}

#[test]
fn an_answer_has_ended_with_its_last_frame() {
    let data = |text: &'static str| Frame::data(Bytes::from(text));
    let trailers = || Frame::trailers(HeaderMap::new());
    // How long the head says it is, the frames, how many of them are asked for.
    type Case = (Option<&'static str>, Vec<Frame<Bytes>>, usize, &'static str);
    let cases: [Case; 6] = [
        (None, vec![data("hello"), trailers()], 2, "200"),
        (None, vec![data("hello"), trailers()], 1, "499"),
        (Some("5"), vec![data("hello")], 1, "200"),
        (Some("6"), vec![data("hello")], 1, "499"),
        (Some("0"), vec![], 0, "200"),
        (Some("junk"), vec![data("hello")], 2, "200"),
    ];
    for (length, frames, asked, status_code) in cases {
        let case = format!("{length:?} {asked}");
        let frames = std::sync::Mutex::new(Some(frames));
        let (records, _) = told(async {
            let service = layer().layer(service_fn(async |_: Request<AxumBody>| {
                let mut answer = Response::new(Frames(frames.lock().unwrap().take().unwrap().into()));
                if let Some(length) = length {
                    answer.headers_mut().insert("content-length", HeaderValue::from_static(length));
                }
                Ok::<_, Infallible>(answer)
            }));
            let mut answer = service.oneshot(request("GET", "/a", &[])).await.unwrap();
            for _ in 0..asked {
                answer.body_mut().frame().await;
            }
        });
        assert_eq!((records.len(), &records[0]["status_code"]), (1, &json!(status_code)), "{case}");
    }
}

#[test]
fn a_panic_that_is_caught_outside_is_an_error() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::task::Waker;
    /// Panics when it is asked for its first frame.
    struct Panics;
    impl HttpBody for Panics {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("a test panics")
        }
    }
    let panics = |work: &mut dyn FnMut(&mut Context<'_>)| {
        let mut context = Context::from_waker(Waker::noop());
        catch_unwind(AssertUnwindSafe(|| work(&mut context))).unwrap_err();
    };
    // Each is dropped when the panic is over: no thread panics any more.
    let lines = lines_of(settings(), |_| {
        let fails = service_fn(async |_: Request<AxumBody>| -> Result<Response<Panics>, Infallible> {
            panic!("a test panics")
        });
        let mut answer = Box::pin(layer().layer(fails).call(request("GET", "/a", &[])));
        panics(&mut |context| assert!(answer.as_mut().poll(context).is_pending()));
        drop(answer);
        let answers = service_fn(async |_: Request<AxumBody>| Ok::<_, Infallible>(Response::new(Panics)));
        let mut answer = Box::pin(layer().layer(answers).call(request("GET", "/a", &[])));
        let Poll::Ready(Ok(answer)) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
        let mut body = Box::pin(answer.into_body());
        panics(&mut |context| assert!(body.as_mut().poll_frame(context).is_pending()));
        drop(body);
        let called = service_fn(|_: Request<AxumBody>| -> std::future::Ready<Result<Response<Panics>, Infallible>> {
            panic!("a test panics")
        });
        panics(&mut |_| drop(layer().layer(called).call(request("GET", "/a", &[]))));
    });
    let records: Vec<&Value> = lines.iter().filter(|line| line.get("api_requests").is_some()).collect();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record["status_code"] == "500"), "{records:?}");
}

#[test]
fn what_a_body_lets_go_is_let_go_within_its_span() {
    struct LetGo;
    impl Drop for LetGo {
        fn drop(&mut self) {
            tracing::info!("let go");
        }
    }
    struct Streaming(LetGo, bool);
    impl HttpBody for Streaming {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.1 { Poll::Ready(None) } else { Poll::Pending }
        }
    }
    for ends in [true, false] {
        let (records, _) = told(async {
            let service = layer().layer(service_fn(async |_: Request<AxumBody>| {
                Ok::<_, Infallible>(Response::new(Streaming(LetGo, ends)))
            }));
            let mut answer = service.oneshot(request("GET", "/a", &[("x-request-id", "r-1")])).await.unwrap();
            if ends {
                assert!(answer.body_mut().frame().await.is_none());
            }
        });
        let let_go = records.iter().find(|line| line["message"] == "let go").unwrap();
        assert_eq!(let_go["context"]["request_id"], "r-1", "{ends}");
    }
}
