//! Spans on their way out: the real adapters against an X-Ray that somebody else wrote (moto) and a collector of
//! OpenTelemetry's protocol that somebody else wrote (rotel), a log line on its whole way to a trace, and what services
//! write by our own library as both targets get it.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::net::TcpListener as Port;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::otlp::{Collector, SecretHeaders};
use aws::s3_bucket::S3Bucket;
use aws::storage_event::StorageEvent;
use aws::xray::XRay;
use domain::logs::archive;
use domain::logs::pipeline::Outcome;
use domain::ports::{ExportSpans as _, ListObjects as _, PutSegments as _, ReadTrace as _, Retry};
use domain::traces::{Span, otlp, tree, xray};
use jiff::{SignedDuration, Timestamp};
use local::embedded_aws::EmbeddedAws;
use local::python;
use log_processor::Pipelines;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use schema::trace::{Parent, SpanKind, TraceId};
use serde_json::{Value, json};
use telemetry::{Identity, Settings, Telemetry, trace};
use testkit::{RecordedEvents, subscription};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::{OnceCell, mpsc};
use trace_forwarder::Forwarder;

/// One embedded AWS for all tests here. It ends with this process.
async fn embedded() -> &'static EmbeddedAws {
    static EMBEDDED: OnceCell<EmbeddedAws> = OnceCell::const_new();
    EMBEDDED.get_or_init(|| async { EmbeddedAws::start("traces", None).await.unwrap() }).await
}

/// The id of a trace that begins now, made from `number`.
fn trace_id(number: u8) -> TraceId {
    TraceId::begun(Timestamp::now().as_second() as u32, [number; 12])
}

/// A span line as a service writes it: of the span `id` below `parent`, which began `from` ms after `began` and took
/// `took` ms.
fn line(trace: TraceId, id: u64, parent: Option<u64>, began: Timestamp, [from, took]: [i64; 2], more: Value) -> String {
    let start = began + SignedDuration::from_millis(from);
    let end = start + SignedDuration::from_millis(took);
    let mut span = json!({"operation_name": format!("operation {id}"), "start_time": start.to_string(), "end_time": end.to_string(),
        "kind": "internal", "status": "ok", "tags": {}, "logs": []});
    if let Some(parent) = parent {
        span["parent_span_id"] = format!("{parent:016x}").into();
    }
    let mut service = json!("api");
    for (name, value) in more.as_object().unwrap() {
        match name.as_str() {
            "service" => service = value.clone(),
            _ => span[name] = value.clone(),
        }
    }
    json!({"timestamp": end.to_string(), "level": "INFO", "category": "performance", "message": span["operation_name"],
        "context": {"request_id": "r-1", "service_name": service, "trace_id": trace, "span_id": format!("{id:016x}")},
        "duration_ms": took, "span": span})
    .to_string()
}

/// A request through two services that fails in the second.
fn lines(trace: TraceId, began: Timestamp) -> Vec<String> {
    vec![
        line(
            trace,
            1,
            None,
            began,
            [0, 250],
            json!({"kind": "server", "operation_name": "POST /contracts",
            "tags": {"http.method": "POST", "http.route": "/contracts", "http.status_code": 502, "attempt": 2, "share": 0.5}}),
        ),
        line(
            trace,
            2,
            Some(1),
            began,
            [50, 150],
            json!({"kind": "client", "operation_name": "GET /owners",
            "tags": {"http.method": "GET", "http.url": "http://user:8080/owners?token=hunter2", "http.status_code": 503}}),
        ),
        line(
            trace,
            3,
            Some(2),
            began,
            [60, 120],
            json!({"kind": "server", "service": "user", "status": "error",
            "logs": [{"timestamp": began.to_string(), "level": "ERROR", "message": "no answer", "fields": {"exception.type": "Timeout"}}]}),
        ),
        line(
            trace,
            4,
            Some(1),
            began,
            [200, 20],
            json!({"kind": "client", "operation_name": "SELECT contracts",
            "tags": {"db.system": "postgresql", "db.name": "contracts", "db.statement": "SELECT * FROM contracts WHERE owner = 'Анна'"}}),
        ),
    ]
}

fn began() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond() - 1_000).unwrap()
}

fn spans(lines: &[String]) -> Vec<Span> {
    lines.iter().map(|line| Span::parse(line).unwrap()).collect()
}

/// The lines of a tree after its title, without the numbers.
fn shape(tree: &str) -> Vec<String> {
    let lines = tree.lines().skip_while(|line| !line.trim_start().starts_with("begins")).skip(1);
    lines.map(|line| line[27..].to_owned()).collect()
}

const TREE: [&str; 6] = [
    "[api] POST /contracts  FAULT 502",
    "├─ · in no span",
    "├─ GET /owners > user:8080  FAULT 503",
    "│  └─ [user] operation 3  FAULT (Timeout: no answer)",
    "├─ SELECT contracts > contracts  ok",
    "└─ · in no span",
];

#[tokio::test]
async fn defect_44_segments_put_by_the_real_sdk_are_a_trace() {
    // Defect 44: nothing was ever sent; only a real endpoint tells.
    let xray = XRay::new(&embedded().await.xray_config());
    let trace = trace_id(1);
    let began = began();
    let documents = xray::documents(&spans(&lines(trace, began)));
    // Put twice, as a retry does: it is one trace all the same.
    for _ in 0..2 {
        let texts: Vec<&str> = documents.iter().map(|document| document.json.as_str()).collect();
        assert_eq!(xray.put_segments(&texts).await.unwrap(), []);
    }
    let read = xray.read_trace(trace).await.unwrap().unwrap();
    let tree = tree::render(trace, &read);
    assert!(tree.contains("took 250.000 ms; spans: 4, services: 2"), "{tree}");
    assert!(tree.contains(&format!("began {began}")), "{tree}");
    assert_eq!(shape(&tree), TREE, "{tree}");
    assert_eq!(xray.read_trace(trace_id(9)).await.unwrap(), None);
}

#[tokio::test]
async fn an_x_ray_that_can_not_be_reached_is_worth_another_try() {
    let nowhere = embedded().await.xray_config().into_builder().endpoint_url("http://127.0.0.1:9").build();
    let xray = XRay::new(&nowhere);
    assert_eq!(xray.put_segments(&["{}"]).await.unwrap_err().retry, Retry::Transient);
    assert_eq!(xray.read_trace(trace_id(1)).await.unwrap_err().retry, Retry::Transient);
}

#[tokio::test]
async fn a_log_line_becomes_a_trace() {
    let aws = embedded().await;
    let sdk = aws.sdk_config("100000000021");
    let name = "spans-of-a-log-line";
    let client = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build());
    let location = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(local::embedded_aws::REGION.into())
        .build();
    client.create_bucket().bucket(name).create_bucket_configuration(location).send().await.unwrap();
    let bucket = S3Bucket::new(&sdk, name);

    // A delivery of CloudWatch Logs, with lines that are none between the spans.
    let (trace, began) = (trace_id(2), began());
    let millis = began.as_millisecond();
    let mut written = lines(trace, began);
    written.insert(1, "a line that is no span".to_owned());
    let events: Vec<(i64, &str)> = written.iter().map(|line| (millis, line.as_str())).collect();
    let delivery = subscription::delivery("/aws/ecs/production/api", "s", &events).to_string();
    let pipelines = Pipelines::new(testkit::pipeline::settings());
    let summary = log_processor::handle(&delivery, &bucket, &RecordedEvents::new(), &pipelines).await.unwrap();
    assert_eq!(summary.archived, 5);

    // What S3 tells of the object that was written.
    let keys = bucket.list("spans/", 10).await.unwrap();
    assert_eq!(keys.len(), 1);
    let event: StorageEvent = serde_json::from_value(json!({"Records": [{"s3": {"bucket": {"name": name},
        "object": {"key": keys[0].replace('=', "%3D")}}}]}))
    .unwrap();
    let forwarder: Forwarder<XRay, Collector> =
        Forwarder { xray: Some(XRay::new(&aws.xray_config())), otlp: None, pause: Duration::ZERO };
    let summary = forwarder.handle(&event, &bucket).await.unwrap();
    assert_eq!((summary.spans, summary.xray, summary.quarantined), (4, 4, 0));

    let read = XRay::new(&aws.xray_config()).read_trace(trace).await.unwrap().unwrap();
    assert_eq!(shape(&tree::render(trace, &read)), TREE);
    let all = read.join("\n");
    assert!(all.contains("WHERE owner = ?") && !all.contains("Анна") && !all.contains("hunter2"), "{all}");
}

#[test]
fn spans_in_quarantine_are_told_in_the_words_that_the_alarm_looks_for() {
    let lines = written(|| {
        let key = domain::keys::spans(None, "2026-11-22", "b1");
        let bucket = testkit::InMemoryBucket::new();
        bucket.place(&key, "no spans");
        let forwarder: Forwarder<testkit::RecordedSegments, testkit::RecordedSpans> =
            Forwarder { xray: Some(testkit::RecordedSegments::new()), otlp: None, pause: Duration::ZERO };
        let event = json!({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": key}}}]});
        let event: StorageEvent = serde_json::from_value(event).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(forwarder.handle(&event, &bucket)).unwrap();
    });
    // The metric filter of template.yaml: { $.message = "spans quarantined" && $.details.count > 0 }
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = lines.iter().find(|line| line["message"] == "spans quarantined").unwrap();
    assert_eq!(told["details"]["count"], 1, "{told}");
}

/// What a service that is called `contract` writes while it does `work`, all of it sampled.
fn written(work: impl FnOnce()) -> Vec<String> {
    let mut settings = Settings::new(Identity::new("contract", "test", "1.2.3"));
    settings.traces.share = 1.0;
    let written = Written::default();
    let telemetry = Telemetry::new(settings, written.clone()).unwrap();
    tracing::subscriber::with_default(telemetry.subscriber(), work);
    assert!(telemetry.flush(Duration::from_secs(60)));
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The spans of lines, as the pipeline hands them on.
fn forwarded(lines: &[String]) -> Vec<Span> {
    let events: Vec<(i64, &str)> = lines.iter().map(|line| (1_795_341_903_000, line.as_str())).collect();
    let delivery = subscription::delivery("/aws/ecs/production/contract", "s", &events).to_string();
    let Outcome::Batch(batch) = testkit::pipeline::process(&delivery) else { panic!("no batch") };
    spans(&archive::lines(&batch.spans.unwrap().body).unwrap())
}

fn refused() -> Result<u64, std::io::Error> {
    Err(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused"))
}

fn called() -> Parent {
    Parent::of_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap()
}

#[test]
fn what_our_library_writes_is_what_both_targets_need() {
    /// What is done, what X-Ray's first document has of it, and the status that a collector is told.
    type Case = (&'static str, fn(), &'static [(&'static str, &'static str)], Option<&'static str>);
    let cases: [Case; 7] = [
        (
            "ok",
            || drop(telemetry::operation("save").run(|| Ok::<_, std::io::Error>(()))),
            &[("/name", "contract"), ("/annotations/operation", "save"), ("/annotations/status", "ok")],
            None,
        ),
        (
            "failing",
            || drop(telemetry::operation("save").run(refused)),
            &[("/cause/exceptions/0/message", "connection refused"), ("/annotations/status", "error")],
            Some("connection refused"),
        ),
        (
            "remote parent without a kind",
            || {
                let scope = telemetry::RequestScope::new("r-1").with_trace(called());
                scope.in_scope(|| drop(telemetry::operation("consume").run(|| Ok::<_, std::io::Error>(()))));
            },
            &[("/name", "contract"), ("/parent_id", "00f067aa0ba902b7"), ("/annotations/request_id", "r-1")],
            None,
        ),
        (
            "remote parent of a span",
            || {
                drop(trace::with_parent(called(), || tracing::info_span!("job")));
            },
            &[("/name", "contract"), ("/annotations/operation", "job")],
            None,
        ),
        (
            "query",
            || {
                let request = tracing::info_span!("request", span.kind = "server");
                request.in_scope(|| {
                    drop(telemetry::database_query("SELECT", "contracts").run(refused, |rows| Some(*rows)))
                });
            },
            &[
                ("/subsegments/0/name", "database"),
                ("/subsegments/0/namespace", "remote"),
                ("/subsegments/0/cause/exceptions/0/message", "connection refused"),
            ],
            None,
        ),
        (
            "call",
            || {
                let request = tracing::info_span!("request", span.kind = "server");
                request.in_scope(|| {
                    let call = telemetry::external_call("egrn", "GET", "/plots/1");
                    drop(call.run(|| Ok::<_, std::io::Error>(404_u16), |status| *status));
                });
            },
            &[("/subsegments/0/name", "egrn"), ("/subsegments/0/http/request/method", "GET")],
            None,
        ),
        (
            "in progress",
            || {
                let job = tracing::info_span!("job");
                job.in_scope(|| drop(telemetry::operation("save").run(|| Ok::<_, std::io::Error>(()))));
                trace::write_in_progress(&job);
                // It never ends here: the process may be killed.
                std::mem::forget(job);
            },
            &[("/name", "contract"), ("/annotations/operation", "job")],
            None,
        ),
    ];
    for (case, work, has, status) in cases {
        let sent = forwarded(&written(work));
        let documents: Vec<Value> =
            xray::documents(&sent).iter().map(|document| serde_json::from_str(&document.json).unwrap()).collect();
        let first = documents.iter().find(|document| document.get("type").is_none()).unwrap();
        for (pointer, value) in has {
            assert_eq!(first.pointer(pointer).and_then(Value::as_str), Some(*value), "{case} {pointer}: {first}");
        }
        let requests = otlp::requests(&sent);
        let messages = &decoded(&requests[0].body).resource_spans[0].scope_spans[0].spans;
        let told = messages[messages.len() - 1].status.as_ref().map(|status| status.message.as_str());
        assert_eq!(told, status, "{case}: {messages:?}");
        let exceptions = messages.iter().flat_map(|span| &span.events).filter(|event| event.name == "exception");
        let failed = sent.iter().filter(|span| span.error.is_some()).count();
        assert_eq!(exceptions.count(), failed, "{case}: {messages:?}");
        if case == "in progress" {
            assert_eq!((documents.len(), &first["in_progress"], first.get("subsegments")), (2, &json!(true), None));
            let below = documents.iter().find(|document| document["type"] == "subsegment").unwrap();
            assert_eq!(below["metadata"]["span"]["service"], "contract", "{below}");
        }
    }
}

/// A collector, and what it passes on.
struct Rotel {
    _process: tokio::process::Child,
    url: String,
    passed_on: mpsc::UnboundedReceiver<Vec<u8>>,
}

fn free_port() -> Port {
    Port::bind("127.0.0.1:0").unwrap()
}

impl Rotel {
    async fn start() -> Rotel {
        let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let exporter = format!("http://{}", behind.local_addr().unwrap());
        let (sender, passed_on) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = behind.accept().await.unwrap();
                tokio::spawn(take_requests(stream, sender.clone()));
            }
        });
        let interpreter = python::interpreter("tests/otlp/requirements.txt").await.unwrap();
        let output = Command::new(interpreter)
            .args(["-c", "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))"])
            .output()
            .await
            .unwrap();
        let agent = String::from_utf8(output.stdout).unwrap();
        // Both are held until both are known.
        let (grpc, http) = (free_port(), free_port());
        let (grpc, http) = (grpc.local_addr().unwrap(), http.local_addr().unwrap());
        let folder = local::workspace::scratch();
        let process = Command::new(agent.trim())
            .arg("start")
            .args(["--otlp-grpc-endpoint", &grpc.to_string(), "--otlp-http-endpoint", &http.to_string()])
            .args(["--exporter", "otlp", "--otlp-exporter-endpoint", &exporter, "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-compression", "none", "--batch-timeout", "50ms"])
            .arg("--pid-file")
            .arg(folder.join("rotel.pid"))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut tries = 0;
        while TcpStream::connect(http).await.is_err() {
            tries += 1;
            assert!(tries < 400, "the collector does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Rotel { _process: process, url: format!("http://{http}"), passed_on }
    }
}

/// Answers 200 to every request, and hands the bodies out.
async fn take_requests(mut stream: TcpStream, bodies: mpsc::UnboundedSender<Vec<u8>>) {
    let mut held = Vec::new();
    loop {
        let mut bytes = [0; 16_384];
        match stream.read(&mut bytes).await {
            Ok(read) if read > 0 => held.extend_from_slice(&bytes[..read]),
            _ => return,
        }
        while let Some(head) = held.windows(4).position(|part| part == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&held[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let end = head + 4 + length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
            if held.len() < end {
                break;
            }
            let body = &held[head + 4..end];
            // It compresses, whatever it is told.
            let body = if body.starts_with(&[0x1f, 0x8b]) { gunzip(body) } else { body.to_vec() };
            held.drain(..end);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let _ = bodies.send(body);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_collector_takes_the_spans_and_passes_them_on_as_they_were_sent() {
    let mut rotel = Rotel::start().await;
    let sent = spans(&lines(trace_id(3), began()));
    let [request] = &otlp::requests(&sent)[..] else { panic!("one request") };
    // Short requests go as they are, long ones compressed.
    let long = Span { tags: serde_json::from_value(json!({"text": "x".repeat(5_000)})).unwrap(), ..sent[0].clone() };
    let long_request = &otlp::requests(&[long])[0];
    for compresses in [true, false] {
        let collector = Collector::new(rotel.url.parse().unwrap(), SecretHeaders::default(), compresses).unwrap();
        for (request, spans) in [(request, 4), (long_request, 1)] {
            let answer = collector.export(&request.body).await.unwrap();
            assert_eq!(answer.rejected, 0, "{}", answer.message);
            let passed_on =
                tokio::time::timeout(Duration::from_secs(20), rotel.passed_on.recv()).await.unwrap().unwrap();
            let (ours, theirs) = (decoded(&request.body), decoded(&passed_on));
            assert_eq!(all_spans(&theirs).len(), spans);
            // Equal, but for how they are grouped.
            assert_eq!(all_spans(&theirs), all_spans(&ours));
        }
    }
    // What is no request is refused, and that is for good.
    let collector = Collector::new(rotel.url.parse().unwrap(), SecretHeaders::default(), true).unwrap();
    let error = collector.export(b"\xff\xff\xff").await.unwrap_err();
    assert_eq!(error.retry, Retry::Permanent, "{error:?}");
    assert_eq!(sent[0].kind, SpanKind::Server);
}

fn gunzip(member: &[u8]) -> Vec<u8> {
    let size = member.last_chunk::<4>().copied().map(u32::from_le_bytes).unwrap();
    let mut bytes = vec![0; size as usize];
    libdeflater::Decompressor::new().gzip_decompress(member, &mut bytes).unwrap();
    bytes
}

fn decoded(body: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(body).unwrap()
}

/// Every span, with its resource, in the order of their ids.
fn all_spans(request: &ExportTraceServiceRequest) -> Vec<String> {
    let mut all = Vec::new();
    for resource in &request.resource_spans {
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            all.push((span.span_id.clone(), format!("{:?} {span:?}", resource.resource)));
        }
    }
    all.sort();
    all.into_iter().map(|(_, text)| text).collect()
}
