//! Objects of spans, forwarded to targets in memory.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use aws::storage_event::StorageEvent;
use domain::keys;
use domain::logs::archive::{self, Hours};
use domain::logs::pipeline::Pipeline;
use domain::logs::quarantine::Quarantined;
use domain::logs::replay;
use domain::ports::{Retry, Unprocessed};
use domain::traces::otlp::Answer;
use serde_json::{Value, json};
use testkit::{InMemoryBucket, RecordedSegments, RecordedSpans, event_file};
use trace_forwarder::{Compression, Config, Forwarder, Summary};

const DAY: &str = "2026-11-22";

fn key(to: Option<&str>) -> String {
    keys::spans(to, DAY, "0123456789abcdef0123456789abcdef")
}

fn event(key: &str) -> StorageEvent {
    let mut event: Value = serde_json::from_slice(&event_file("trace-forwarder/object-created.json")).unwrap();
    event["Records"][0]["s3"]["object"]["key"] = key.replace('=', "%3D").into();
    serde_json::from_value(event).unwrap()
}

/// A line of the archive with a span of a trace of its own.
fn line(number: u64) -> String {
    let trace = format!("1-5759e988-{number:024x}");
    json!({"timestamp": "2026-11-22T10:05:03.135Z", "level": "INFO", "category": "performance", "message": "x",
        "context": {"service_name": "api", "trace_id": trace, "span_id": format!("{number:016x}")},
        "span": {"operation_name": format!("operation {number}"), "kind": "server", "status": "ok",
            "start_time": "2026-11-22T10:05:03.1Z", "end_time": "2026-11-22T10:05:03.2Z", "tags": {}, "logs": []},
        "source": {"format": "schema_v1"}})
    .to_string()
}

fn place(bucket: &InMemoryBucket, key: &str, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    bucket.place(key, Hours::default().object(key.to_owned(), text.as_bytes()).body);
}

fn holding(lines: &[String]) -> InMemoryBucket {
    let bucket = InMemoryBucket::new();
    place(&bucket, &key(None), lines);
    bucket
}

fn forwarder(xray: &RecordedSegments, otlp: &RecordedSpans) -> Forwarder<RecordedSegments, RecordedSpans> {
    Forwarder { xray: Some(xray.clone()), otlp: Some(otlp.clone()), pause: Duration::ZERO }
}

fn quarantined(bucket: &InMemoryBucket) -> Vec<(String, Quarantined)> {
    let keys = bucket.keys_under("quarantine/");
    keys.into_iter().map(|key| (key.clone(), serde_json::from_slice(&bucket.body(&key).unwrap()).unwrap())).collect()
}

/// The ids of the segments in a call.
fn ids(call: &[String]) -> Vec<String> {
    let id = |document: &String| serde_json::from_str::<Value>(document).unwrap()["id"].as_str().unwrap().to_owned();
    call.iter().map(id).collect()
}

fn unprocessed(id: Option<&str>, code: &str) -> Unprocessed {
    Unprocessed { id: id.map(str::to_owned), code: code.to_owned(), message: "says why".to_owned() }
}

#[tokio::test]
async fn spans_go_to_both_targets() {
    // Defect 44: nothing was ever sent.
    let (xray, otlp) = (RecordedSegments::new(), RecordedSpans::new());
    let lines: Vec<String> = (1..=60).map(line).collect();
    let bucket = holding(&lines);
    let summary = forwarder(&xray, &otlp).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!(summary, Summary { spans: 60, xray: 60, otlp: 60, quarantined: 0, missing: 0 });
    assert_eq!(xray.taken().iter().map(Vec::len).collect::<Vec<_>>(), [50, 10]);
    assert_eq!((otlp.taken().len(), bucket.keys().len()), (1, 1));
    // The same event again: the same documents.
    forwarder(&xray, &otlp).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!(xray.taken()[..2], xray.taken()[2..]);
}

#[tokio::test]
async fn what_is_no_span_is_kept_and_the_rest_goes_on() {
    // Defect 45: what could not be serialised ended the call that it was about.
    let (xray, otlp) = (RecordedSegments::new(), RecordedSpans::new());
    let bad = line(2).replace("1-5759e988", "UUID-");
    let bucket = holding(&[line(1), bad.clone(), "42".to_owned(), line(3)]);
    let summary = forwarder(&xray, &otlp).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!(summary, Summary { spans: 2, xray: 2, otlp: 2, quarantined: 2, missing: 0 });
    let [(key, held)] = &quarantined(&bucket)[..] else { panic!("{:?}", bucket.keys()) };
    assert_eq!(key, &format!("quarantine/spans/unreadable/dt={DAY}/0123456789abcdef0123456789abcdef.json"));
    assert!(held.items[0].error.contains("is no trace id"), "{}", held.items[0].error);
    assert_eq!(held.items[0].original.bytes().unwrap(), bad.into_bytes());
}

#[tokio::test]
async fn an_object_that_can_not_be_unpacked_is_kept_whole_and_one_that_is_gone_is_told() {
    let (xray, otlp) = (RecordedSegments::new(), RecordedSpans::new());
    let bucket = InMemoryBucket::new();
    bucket.place(&key(None), "no zstd \u{ff}");
    let summary = forwarder(&xray, &otlp).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!((summary.spans, summary.quarantined), (0, 1));
    assert!(quarantined(&bucket)[0].1.items[0].error.contains("can not be unpacked"));
    let summary = forwarder(&xray, &otlp).handle(&event(&key(None)), &InMemoryBucket::new()).await.unwrap();
    assert_eq!(summary, Summary { missing: 1, ..Summary::default() });
    assert!(xray.taken().is_empty() && otlp.taken().is_empty());
}

#[tokio::test]
async fn one_target_that_fails_does_not_hide_the_other() {
    for retry in [Retry::Transient, Retry::Denied] {
        let (xray, otlp) = (RecordedSegments::new(), RecordedSpans::new());
        let bucket = holding(&[line(1)]);
        xray.fail_next([retry]);
        let error = forwarder(&xray, &otlp).handle(&event(&key(None)), &bucket).await.unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains("not sent to xray: put segment documents: injected fault"), "{told}");
        assert_eq!((otlp.taken().len(), bucket.keys().len()), (1, 1), "it is tried again, and not quarantined");
        otlp.fail_next([retry]);
        let error = forwarder(&xray, &otlp).handle(&event(&key(None)), &bucket).await.unwrap_err();
        assert!(format!("{error:#}").contains("not sent to otlp"), "{error:#}");
        assert_eq!(xray.taken().len(), 1);
        xray.fail_next([retry]);
        otlp.fail_next([retry]);
        let error = format!("{:#}", forwarder(&xray, &otlp).handle(&event(&key(None)), &bucket).await.unwrap_err());
        assert!(error.contains("xray") && error.contains("otlp"), "{error}");
    }
}

#[tokio::test]
async fn defect_46_what_x_ray_does_not_process_is_put_again_and_what_it_never_will_is_kept() {
    // Defect 46: unprocessed segments were ignored.
    let xray = RecordedSegments::judged(|call| {
        let bad = |document: &&&str| document.contains("\"id\":\"0000000000000002\"");
        call.iter().filter(bad).map(|_| unprocessed(Some("0000000000000002"), "InvalidSegment")).collect()
    });
    let bucket = holding(&[line(1), line(2), line(3)]);
    let otlp = RecordedSpans::new();
    let summary = forwarder(&xray, &otlp).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!(summary, Summary { spans: 3, xray: 2, otlp: 3, quarantined: 1, missing: 0 });
    assert_eq!(xray.taken().iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 1]);
    let (key, held) = quarantined(&bucket).remove(0);
    assert!(key.starts_with("quarantine/spans/xray/dt="), "{key}");
    assert_eq!(held.items[0].error, "X-Ray did not process it: InvalidSegment says why");
    assert_eq!(held.items[0].original.bytes().unwrap(), line(2).into_bytes());

    // Replayed, it goes to X-Ray alone.
    let replayed =
        replay::object(&mut Pipeline::new(testkit::pipeline::settings()), &key, &bucket.body(&key).unwrap()).unwrap();
    assert!(replayed.deletes && !replayed.is_left);
    let [object] = &replayed.writes[..] else { panic!("{replayed:?}") };
    assert!(object.key.starts_with("spans/xray/"), "{}", object.key);
    bucket.place(&object.key, object.body.clone());
    let (mended, untouched) = (RecordedSegments::new(), RecordedSpans::new());
    let summary = forwarder(&mended, &untouched).handle(&event(&object.key), &bucket).await.unwrap();
    assert_eq!((summary.xray, summary.otlp, untouched.taken().len()), (1, 0, 0));
    assert_eq!(archive::lines(&object.body).unwrap(), [line(2)]);
}

#[tokio::test]
async fn what_x_ray_has_no_time_for_is_tried_again_by_lambda() {
    let xray =
        RecordedSegments::judged(|call| vec![unprocessed(Some(&ids(&[call[0].to_owned()])[0]), "ThrottledException")]);
    let bucket = holding(&[line(1), line(2)]);
    let error = forwarder(&xray, &RecordedSpans::new()).handle(&event(&key(None)), &bucket).await.unwrap_err();
    assert!(format!("{error:#}").contains("ThrottledException"), "{error:#}");
    assert_eq!((xray.taken().len(), bucket.keys().len()), (3, 1));
}

#[tokio::test]
async fn a_document_that_x_ray_does_not_name_is_found() {
    // Once without an id, once by refusing the call.
    let nameless = RecordedSegments::judged(|call| {
        let is_bad = call.iter().any(|document| document.contains("\"id\":\"0000000000000007\""));
        if is_bad { vec![unprocessed(None, "ParseError")] } else { Vec::new() }
    });
    let bucket = holding(&(1..=10).map(line).collect::<Vec<_>>());
    let summary = forwarder(&nameless, &RecordedSpans::new()).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!((summary.xray, summary.quarantined), (9, 1));
    assert_eq!(quarantined(&bucket)[0].1.items[0].original.bytes().unwrap(), line(7).into_bytes());

    let refusing = RecordedSegments::new();
    // All, the first half, and the first of it: then there is only one.
    refusing.fail_next([Retry::Permanent, Retry::Permanent]);
    let bucket = holding(&[line(1), line(2)]);
    let summary = forwarder(&refusing, &RecordedSpans::new()).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!((summary.xray, summary.quarantined), (1, 1));
    assert!(quarantined(&bucket)[0].1.items[0].error.contains("injected fault"));
}

#[tokio::test]
async fn what_a_collector_refuses_is_kept_with_the_reason() {
    let answer = Answer { rejected: 1, message: "too old".to_owned() };
    let otlp = RecordedSpans::answering(answer);
    let bucket = holding(&[line(1), line(2)]);
    let summary = forwarder(&RecordedSegments::new(), &otlp).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!(summary, Summary { spans: 2, xray: 2, otlp: 0, quarantined: 2, missing: 0 });
    let (key_, held) = quarantined(&bucket).remove(0);
    assert!(key_.starts_with("quarantine/spans/otlp/"), "{key_}");
    assert_eq!(held.items[0].error, "the collector rejected 1 of 2 spans: too old");

    // Both, then the first alone: only that is refused.
    let otlp = RecordedSpans::new();
    otlp.fail_next([Retry::Permanent, Retry::Permanent]);
    let bucket = holding(&[line(1), line(2)]);
    let summary = forwarder(&RecordedSegments::new(), &otlp).handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!((summary.otlp, summary.quarantined), (1, 1));
    assert_eq!(quarantined(&bucket)[0].1.items[0].original.bytes().unwrap(), line(1).into_bytes());
}

#[tokio::test]
async fn the_failure_of_every_object_is_told() {
    let mut event_ = event("archive/x.ndjson.zst");
    event_.records.extend(event("spans/jaeger/dt=2026-11-22/b.ndjson.zst").records);
    event_.records.extend(event("100%").records);
    event_.records.extend(event(&key(None)).records);
    let (xray, otlp) = (RecordedSegments::new(), RecordedSpans::new());
    let error = forwarder(&xray, &otlp).handle(&event_, &holding(&[line(1)])).await.unwrap_err();
    let told = format!("{error:#}");
    assert!(told.contains("archive/x") && told.contains("no target `jaeger`") && told.contains("100%"), "{told}");
    assert_eq!((xray.taken().len(), otlp.taken().len()), (1, 1));
}

#[tokio::test]
async fn a_target_that_is_switched_off_gets_nothing_and_says_so_where_only_it_is_meant() {
    let xray = RecordedSegments::new();
    let bucket = holding(&[line(1)]);
    let without: Forwarder<RecordedSegments, RecordedSpans> =
        Forwarder { xray: Some(xray.clone()), otlp: None, pause: Duration::ZERO };
    let summary = without.handle(&event(&key(None)), &bucket).await.unwrap();
    assert_eq!((summary.xray, summary.otlp), (1, 0));
    place(&bucket, &key(Some("otlp")), &[line(1)]);
    let error = without.handle(&event(&key(Some("otlp"))), &bucket).await.unwrap_err();
    assert!(format!("{error:#}").contains("for otlp only, which is switched off"), "{error:#}");
    for key in ["spans/jaeger/dt=2026-11-22/b.ndjson.zst", "archive/x.ndjson.zst"] {
        without.handle(&event(key), &bucket).await.unwrap_err();
    }
}

#[tokio::test]
async fn quarantine_that_can_not_be_written_is_an_error() {
    let bucket = holding(&["42".to_owned()]);
    bucket.inject(|operation, _| {
        (operation == testkit::Operation::Put).then_some(testkit::memory_bucket::Moment::Before)
    });
    let forwarder = forwarder(&RecordedSegments::new(), &RecordedSpans::new());
    let error = forwarder.handle(&event(&key(None)), &bucket).await.unwrap_err();
    assert!(format!("{error:#}").contains("could not be kept"), "{error:#}");
}

#[test]
fn the_configuration_tells_every_problem_and_no_secret() {
    let config = |pairs: &[(&'static str, &'static str)]| {
        let pairs = pairs.to_vec();
        Config::from_lookup(move |name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        })
    };
    let default = config(&[]).unwrap();
    assert_eq!((default.to_xray, default.otlp_endpoint, default.otlp_compression), (true, None, Compression::Gzip));
    let full = config(&[
        ("XRAY", "off"),
        ("OTLP_ENDPOINT", "https://c:4318"),
        ("OTLP_HEADERS", "t=secret"),
        ("OTLP_COMPRESSION", "none"),
    ]);
    let full = full.unwrap();
    assert!(!full.to_xray && full.otlp_endpoint.is_some() && full.otlp_compression == Compression::None);
    assert!(!format!("{full:?}").contains("secret"));
    let wrong =
        config(&[("XRAY", "yes"), ("OTLP_ENDPOINT", "c"), ("OTLP_HEADERS", "secret"), ("OTLP_COMPRESSION", "br")]);
    let told = wrong.unwrap_err().to_string();
    assert!(
        told.contains("XRAY") && told.contains("OTLP_ENDPOINT") && told.contains("OTLP_HEADERS is `(hidden)`"),
        "{told}"
    );
    assert!(told.contains("OTLP_COMPRESSION") && !told.contains("`secret`"), "{told}");
}
