//! Whole deliveries through all stages.

use super::*;
use crate::logs::envelope::tests::{event, gzip};
use crate::metrics::series::{Dimensions, SeriesKey};
use proptest::prelude::*;

const ENVIRONMENT: &str = "production";
const GROUP: &str = "/aws/ecs/production/api";
const TIME: i64 = 1_795_000_000_000; // 2026-11-18T11:06:40Z

fn batch(lines: &[(i64, &[u8])]) -> Batch {
    let events = lines.iter().enumerate();
    Batch {
        owner: "123456789012".into(),
        log_group: GROUP.into(),
        log_stream: "s".into(),
        events: events
            .map(|(at, (millis, line))| LogEvent {
                id: at.to_string(),
                timestamp_millis: *millis,
                message: line.to_vec(),
            })
            .collect(),
    }
}

fn settings(own_log_groups: &str) -> Settings<'_> {
    Settings { own_log_groups, environment: ENVIRONMENT }
}

fn archived(processed: &Processed) -> Vec<serde_json::Value> {
    let lines = processed.archive.iter().flat_map(|object| archive::lines(&object.body).unwrap());
    lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
}

fn own(processed: &Processed, name: &str) -> f64 {
    let pending = PendingMetrics::parse(&processed.pending.as_ref().unwrap().body).unwrap();
    let dimensions = Dimensions::from([("service".to_owned(), "api".to_owned())]);
    let key = SeriesKey { name: name.to_owned(), dimensions };
    pending.minutes.values().filter_map(|series| series.get(&key)).map(|held| held.sum).sum()
}

#[test]
fn a_line_is_archived_redacted_with_its_source() {
    let processed =
        process_batch(&batch(&[(TIME, b"{\"level\":\"error\",\"msg\":\"mail a@example.com\"}")]), ENVIRONMENT);
    assert_eq!(
        processed.archive[0].key,
        format!("archive/env=production/service=api/dt=2026-11-18/hour=11/{}.ndjson.zst", processed.batch_id)
    );
    let record = &archived(&processed)[0];
    let message = record["message"].as_str().unwrap();
    assert!(message.starts_with("mail [email:"), "{message}");
    assert_eq!(record["level"], "ERROR");
    assert_eq!(record["context"]["service_name"], "api");
    assert_eq!(record["source"]["log_group"], GROUP);
    assert_eq!(record["source"]["event_id"], "0");
    // Defect 30: event id, stream and event time were lost.
    assert_eq!(record["source"]["event_time"], "2026-11-18T11:06:40Z");
}

#[test]
fn a_batch_that_spans_hours_is_split_by_event_time() {
    let next_hour = TIME + 3_600_000;
    let processed = process_batch(&batch(&[(TIME, b"a"), (next_hour, b"b"), (TIME, b"c")]), ENVIRONMENT);
    let keys: Vec<&str> = processed.archive.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].contains("hour=11/") && keys[1].contains("hour=12/"), "{keys:?}");
    assert_eq!(archive::lines(&processed.archive[0].body).unwrap().len(), 2);
}

#[test]
fn an_empty_batch_writes_nothing() {
    let processed = process_batch(&batch(&[]), ENVIRONMENT);
    assert_eq!((processed.archive.len(), processed.pending, processed.lines), (0, None, Lines::default()));
}

#[test]
fn a_line_that_can_not_be_read_is_kept_and_the_rest_goes_on() {
    let long = vec![b'x'; 300 * 1024];
    let processed = process_batch(&batch(&[(TIME, b"good"), (TIME, &[b'a', 0xff]), (TIME, &long)]), ENVIRONMENT);
    assert_eq!(processed.lines, Lines { received: 3, archived: 1, quarantined: 2 });
    let kept: Vec<quarantine::Quarantined> =
        processed.quarantine.iter().map(|object| serde_json::from_slice(&object.body).unwrap()).collect();
    assert_eq!(kept[0].reason, "not-utf-8");
    assert_eq!(kept[0].items[0].error, "line of log event 1 is not UTF-8 from byte 1 on");
    assert_eq!(kept[0].items[0].original, quarantine::Original::Base64("Yf8=".into()));
    assert_eq!(kept[1].reason, "oversize");
    assert_eq!(kept[1].items[0].error, "line of log event 2 has 307200 bytes, at most 262144 are taken");
    assert_eq!(processed.quarantine[1].key, format!("quarantine/oversize/dt=2026-11-18/{}.json", processed.batch_id));
    assert_eq!(own(&processed, "pipeline_lines_quarantined"), 2.0);
}

#[test]
fn the_pipelines_own_logs_are_not_processed() {
    let message = concat!(
        r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/lambda/obs-log-processor","#,
        r#""logStream":"s","logEvents":[]}"#
    );
    let event = event(&gzip(message.as_bytes()));
    let outcome = process(&event, settings("/aws/lambda/obs-"));
    assert!(matches!(outcome, Outcome::OwnLogs { log_group } if log_group == "/aws/lambda/obs-log-processor"));
    assert!(matches!(process(&event, settings("/aws/lambda/other-")), Outcome::Batch(_)));
}

#[test]
fn a_delivery_that_can_not_be_opened_is_kept_whole() {
    let event = r#"{"awslogs":{"data":"%%%"}}"#;
    let Outcome::Unreadable { object, .. } = process(event, settings("/own")) else { panic!("it can not be opened") };
    assert!(object.key.starts_with("quarantine/base64/dt=unknown/"), "{}", object.key);
    let kept: quarantine::Quarantined = serde_json::from_slice(&object.body).unwrap();
    assert_eq!(kept.items[0].original, quarantine::Original::Text(event.to_owned()));
    assert!(kept.items[0].error.starts_with("`awslogs.data` is not base64: "), "{}", kept.items[0].error);
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[ -~]{0,60}".prop_map(String::into_bytes),
        r#"\{"level":"(info|ERROR|LogLevel.WARNING)","message":"[a-zа-я@. ]{0,20}","duration_ms":(null|[0-9]{1,5})\}"#
            .prop_map(String::into_bytes),
        r"2026-11-21 10:05:03 UTC:h\(1\):u@d:\[9\]:(LOG|ERROR|DETAIL):  [a-z0-9 ':=()]{0,30}"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn every_line_is_archived_or_quarantined_and_a_redelivery_writes_the_same(
        lines in prop::collection::vec((0..7_200_000_i64, any_line()), 0..40),
    ) {
        let lines: Vec<(i64, &[u8])> = lines.iter().map(|(offset, line)| (TIME + offset, line.as_slice())).collect();
        let processed = process_batch(&batch(&lines), ENVIRONMENT);
        let Lines { received, archived: in_archive, quarantined } = processed.lines;
        prop_assert_eq!((received, in_archive + quarantined), (lines.len(), lines.len()));
        prop_assert_eq!(archived(&processed).len(), in_archive);
        if received > 0 {
            prop_assert_eq!(own(&processed, "pipeline_lines_received"), received as f64);
            prop_assert_eq!(own(&processed, "pipeline_lines_archived"), in_archive as f64);
        }
        prop_assert_eq!(process_batch(&batch(&lines), ENVIRONMENT), processed);
    }
}
