//! The whole pipeline: template.yaml deployed to the embedded AWS with the functions as they are built,
//! and a day with all its incidents played through it, at a fraction of the traffic.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod chromium;

use aws::event_bus::EventBus;
use aws::s3_bucket::S3Bucket;
use aws::secrets::Secrets;
use aws::sns_topic::SnsTopic;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use domain::Minute;
use domain::alerting::history::Turned;
use domain::ports::{
    BusEvent, ListObjects as _, Object, Publication, Publish as _, PutEvents as _, PutObject as _, ReadSecret as _,
};
use jiff::Timestamp;
use local::artifacts::{self, Profile};
use local::demo::{self, Calendar};
use local::deployment::{self, Deployment};
use local::embedded_aws::{ACCOUNT, EmbeddedAws, REGION};
use local::outcome::{self, Outcome};
use local::playback::Player;
use local::sink::Sink;
use local::traffic::incidents::Incident;
use local::workspace;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::process::Command;

/// A twentieth of the lines; incidents are as many.
const SCALE: f64 = 0.05;
const STEP_MINUTES: i64 = 30;

const STREAM: &str = "logs";

/// Everything up and running, for as long as it is held.
struct Stack {
    sink: Sink,
    deployment: Deployment,
    calendar: Calendar,
    aws: EmbeddedAws,
}

impl Stack {
    async fn up(name: &str) -> Stack {
        Stack::with(name, &[]).await
    }

    /// With a Kinesis data stream called [`STREAM`] beside it, which was there before.
    async fn up_with_a_stream(name: &str) -> Stack {
        let arn = format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{STREAM}");
        Stack::with(name, &[("LogStreamArn", &arn)]).await
    }

    async fn with(name: &str, parameters: &[(&str, &str)]) -> Stack {
        let calendar = Calendar::yesterday(Timestamp::now(), SCALE).unwrap();
        let sink = Sink::start().await.unwrap();
        let aws = EmbeddedAws::start(name, Some(&sink.mailbox_url())).await.unwrap();
        let artifacts = artifacts::build(Profile::Dev).await.unwrap();
        if !parameters.is_empty() {
            let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config(ACCOUNT));
            kinesis.create_stream().stream_name(STREAM).shard_count(1).send().await.unwrap();
        }
        let deployment = demo::deploy(&aws, &sink, &calendar.day, artifacts, parameters).await.unwrap();
        Stack { sink, deployment, calendar, aws }
    }

    async fn outcome(&self) -> Outcome {
        Outcome::collect(&self.deployment, &self.calendar.day).await.unwrap()
    }
}

/// Waits until `holds`, and panics with `what` where it does not come to that.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_goes_in_and_archive_metrics_alerts_and_a_report_come_out() {
    let stack = Stack::up("pipeline-day").await;
    let day = &stack.calendar.day;
    let player = Player::new(&stack.deployment).unwrap();
    player.begin(day).await.unwrap();
    let (mut lines, mut published) = (0, 0);
    for (from, batches) in day.batches(STEP_MINUTES) {
        let events = day.events(from, STEP_MINUTES);
        let sent = player.step(&batches, &events, from.plus(STEP_MINUTES)).await.unwrap();
        (lines, published) = (lines + sent.total(), published + sent.events);
    }
    assert!(published > 0, "events come by the bus");
    player.ticks(day.end().plus(5)).await.unwrap();

    // Every line is kept once, counted once, and tells nothing personal.
    let outcome = stack.outcome().await;
    let expected = day.expected();
    assert_eq!(lines as u64, expected.total());
    assert_eq!((outcome.archived_lines(), outcome.duplicates, outcome.quarantined_lines), (lines, 0, 0));
    assert_eq!(outcome.counted, outcome.records as f64);
    let continuations = day.expected().continuations as usize;
    assert!((lines - continuations..lines).contains(&outcome.records), "{} of {lines}", outcome.records);
    assert_eq!((outcome.leaks.as_slice(), outcome.quarantined_others), (&[][..], 0));
    for (counter, increments) in expected.counters {
        let counted = outcome::sum(&stack.deployment, counter, day.start(), day.end()).await.unwrap();
        assert_eq!(counted, increments as f64, "{counter}");
    }

    // Every incident was told, once when it began and once when it was over; nothing else was, but what rightly
    // follows from it.
    let also: Vec<&str> = day.incidents().iter().flat_map(|incident| incident.also).copied().collect();
    let mut by_rule: BTreeMap<&str, Vec<Turned>> = BTreeMap::new();
    for transition in outcome.transitions.iter().filter(|transition| !also.contains(&transition.rule.as_str())) {
        by_rule.entry(&transition.rule).or_default().push(transition.turned);
    }
    let once = |incident: &Incident| (incident.expects, vec![Turned::Firing, Turned::Resolved]);
    assert_eq!(by_rule, day.incidents().iter().map(once).collect());
    // Alerts of a group are told together, and what fires for long is told again.
    let told = outcome.notified();
    assert!(told > 0);
    eventually("every message, by e-mail and in Slack", async || {
        stack.sink.slack().len() == told && stack.sink.emails().len() == told
    })
    .await;
    assert_eq!(stack.sink.unreadable(), Vec::<String>::new());

    // The report says what happened, and a second run says the same.
    let first = report(&stack, &player).await;
    assert_eq!(first, report(&stack, &player).await);
    let figures: Value = serde_json::from_slice(&first.0).unwrap();
    assert_eq!(figures["date"], stack.calendar.date.to_string());
    assert_eq!(figures["overall_summary"]["total_entries"], outcome.records);
    let balance =
        json!({"received": lines, "archived": lines, "quarantined": 0, "filtered": 0, "replayed": 0, "lost": 0});
    assert_eq!(figures["completeness"]["lines"], balance);
    let page = String::from_utf8(first.1).unwrap();
    assert!(page.matches("<svg").count() >= 2, "the report has charts");
    assert!(!page.contains("<script"), "the report has no scripts");
    chromium::check_that_it_can_be_read_on_a_phone(&page);
    eventually("a notice of each report", async || stack.sink.emails().len() == told + 2).await;
}

/// Has the report written; answers its JSON and its page.
async fn report(stack: &Stack, player: &Player<'_>) -> (Vec<u8>, Vec<u8>) {
    use domain::ports::GetObject as _;
    player.tick("daily-reporter", stack.calendar.report_at).await.unwrap();
    let bucket = S3Bucket::new(&stack.deployment.sdk, stack.deployment.bucket().unwrap());
    let folder = format!("reports/dt={}", stack.calendar.date);
    let read = async |name: &str| bucket.get(&format!("{folder}/{name}")).await.unwrap().expect(name).body;
    (read("report.json").await, read("report.html").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_come_again_or_can_not_be_read_lose_nothing_and_count_nothing_twice() {
    let stack = Stack::up("pipeline-redelivery").await;
    let player = Player::new(&stack.deployment).unwrap();
    let now = Timestamp::now().as_millisecond();
    let line = r#"{"level":"INFO","category":"business_logic","message":"ok","details":{"event":"contract_created","user_role":"buyer","contract_value":1}}"#;
    let good = testkit::subscription::delivery("/aws/ecs/production/contract", "s", &[(now, line), (now, "42")]);
    for _ in 0..3 {
        assert_eq!(player.invoke("log-processor", &good).await.unwrap()["archived"], 2);
        player.tick("metric-flusher", Timestamp::now()).await.unwrap();
    }
    // What can not be read is answered with success, because it is kept: trying again would not help.
    let mut deliveries = 0;
    for name in ["truncated-gzip", "bad-base64", "not-json", "no-awslogs"] {
        let event: Value = serde_json::from_slice(&testkit::event_file(&format!("log-processor/{name}.json"))).unwrap();
        let summary = player.invoke("log-processor", &event).await.unwrap();
        assert_eq!(summary["quarantined_deliveries"], 1, "{name}");
        deliveries += 1;
    }
    let event: Value = serde_json::from_slice(&testkit::event_file("log-processor/invalid-utf-8.json")).unwrap();
    let summary = player.invoke("log-processor", &event).await.unwrap();
    assert_eq!((&summary["archived"], &summary["quarantined"]), (&json!(2), &json!(1)));
    for name in ["control-message", "empty-batch"] {
        let event: Value = serde_json::from_slice(&testkit::event_file(&format!("log-processor/{name}.json"))).unwrap();
        assert_eq!(player.invoke("log-processor", &event).await.unwrap()["received"], 0, "{name}");
    }
    let outcome = stack.outcome().await;
    assert_eq!((outcome.archived_lines(), outcome.duplicates), (2 + 2, 0));
    assert_eq!((outcome.quarantined_lines, outcome.quarantined_deliveries), (1, deliveries));
    let now = Minute::of(Timestamp::now());
    let created = outcome::sum(&stack.deployment, "contracts_created", now.plus(-60), now.plus(1)).await.unwrap();
    assert_eq!(created, 1.0, "three deliveries of one batch count once");

    // What an older version could not read is archived by the operator's replay, and leaves quarantine.
    let bucket = S3Bucket::new(&stack.deployment.sdk, stack.deployment.bucket().unwrap());
    let line = r#"{"level":"INFO","message":"late","details":{"event":"contract_created","user_role":"buyer"}}"#;
    let late =
        testkit::subscription::delivery("/aws/ecs/production/contract", "s2", &[(now.start().as_millisecond(), line)]);
    let held = json!({"version": 1, "reason": "gzip", "items": [
        {"error": "could not be read", "origin": null, "original": {"text": late.to_string()}}]});
    bucket.put(&Object::json("quarantine/gzip/dt=unknown/late.json", &held)).await.unwrap();
    // Once for what is in quarantine, and the whole archive twice: it is the same, and counts as before.
    for prefix in ["quarantine/gzip/", "archive/", "archive/"] {
        let (done, told) =
            ops(&stack, &["replay", "--function", &stack.deployment.function("log-processor"), prefix]).await;
        let is_same = told.lines().count() > 0 && told.lines().all(|line| line.ends_with("lines, the same"));
        // Some of what is in quarantine can still not be read, and that is told by the exit code.
        assert_eq!((done, is_same), if prefix == "archive/" { (true, true) } else { (false, false) }, "{told}");
        player.tick("metric-flusher", Timestamp::now()).await.unwrap();
    }
    let outcome = stack.outcome().await;
    assert_eq!((outcome.archived_lines(), outcome.duplicates), (2 + 2 + 1, 0));
    assert_eq!((outcome.quarantined_lines, outcome.quarantined_deliveries), (1, deliveries));
    let created = outcome::sum(&stack.deployment, "contracts_created", now.plus(-60), now.plus(1)).await.unwrap();
    assert_eq!(created, 2.0, "a replay of the archive counts nothing again");
}

/// What `cargo ops` says with these arguments, and whether it says that all is well.
async fn ops(stack: &Stack, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(workspace::cargo())
        .current_dir(workspace::root())
        .args(["run", "--quiet", "--locked", "--package", "ops", "--"])
        .args(arguments)
        .envs([
            ("AWS_ENDPOINT_URL", stack.aws.url()),
            ("AWS_ENDPOINT_URL_XRAY", stack.aws.xray_url()),
            ("AWS_ACCESS_KEY_ID", ACCOUNT),
            ("AWS_SECRET_ACCESS_KEY", "made-up"),
        ])
        .envs([("AWS_REGION", REGION), ("AWS_EC2_METADATA_DISABLED", "true")])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(!told.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_slack_refuses_is_sent_again_and_comes_once() {
    let stack = Stack::up("pipeline-slack").await;
    let topic = SnsTopic::new(&stack.deployment.sdk, stack.deployment.output("AlertTopicArn").unwrap());
    let publication = Publication {
        subject: "a test".into(),
        bodies: BTreeMap::from([("default", "words".to_owned())]),
        attributes: BTreeMap::from([("severity", "info".into())]),
    };
    // Lambda tries twice more; what fails then goes to the dead-letter queue.
    stack.sink.refuse_slack(2);
    topic.publish(&publication).await.unwrap();
    eventually("the message in Slack", async || !stack.sink.slack().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stack.sink.slack().len(), 1);
    assert_eq!(stack.sink.emails().len(), 1, "that Slack is down does not keep the e-mail");
    assert!(stack.sink.slack()[0].to_string().contains("words"));
}

/// Puts messages on the stream in one call, as CloudWatch Logs does: gzip, one message a record.
async fn put_on_stream(stack: &Stack, messages: &[Vec<u8>]) {
    let client = aws_sdk_kinesis::Client::new(&stack.deployment.sdk);
    let entry = |message: &Vec<u8>| {
        PutRecordsRequestEntry::builder().partition_key("any").data(Blob::new(message.as_slice())).build().unwrap()
    };
    let records = messages.iter().map(entry).collect();
    let put = client.put_records().stream_name(STREAM).set_records(Some(records)).send().await.unwrap();
    assert_eq!(put.failed_record_count(), Some(0));
}

/// The bucket's policy with one more statement in it: nobody may write under `prefix`.
async fn nobody_may_write(stack: &Stack, prefix: &str) -> impl AsyncFnOnce() {
    let config = aws_sdk_s3::config::Builder::from(&stack.deployment.sdk).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let bucket = stack.deployment.bucket().unwrap().to_owned();
    let stored = client.get_bucket_policy().bucket(&bucket).send().await.unwrap();
    let policy = stored.policy().unwrap().to_owned();
    let mut closed: Value = serde_json::from_str(&policy).unwrap();
    closed["Statement"].as_array_mut().unwrap().push(json!({
        "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": format!("arn:aws:s3:::{bucket}/{prefix}*"),
    }));
    client.put_bucket_policy().bucket(&bucket).policy(closed.to_string()).send().await.unwrap();
    async move || {
        client.put_bucket_policy().bucket(&bucket).policy(policy).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_stream_are_kept_once_and_those_that_can_not_be_written_come_again() {
    let stack = Stack::up_with_a_stream("pipeline-stream").await;
    let player = Player::new(&stack.deployment).unwrap();
    let bucket = S3Bucket::new(&stack.deployment.sdk, stack.deployment.bucket().unwrap());
    let keys = async |prefix: &str| bucket.list(prefix, 100).await.unwrap();
    let now = Timestamp::now().as_millisecond();
    let of = |service: &str, lines: usize| {
        let lines: Vec<_> = (0..lines).map(|_| (now, "a line")).collect();
        testkit::subscription::message_of(&format!("/aws/ecs/production/{service}"), "s", &lines)
    };
    let control = testkit::subscription::message("CONTROL_MESSAGE", "", "", &json!([]));
    let (api, contract) = (of("api", 3), of("contract", 2));
    let whole = [api, control, contract].map(|message| testkit::subscription::gzip(&message));
    let [api, control, contract] = whole;
    let cut_off = contract[..contract.len() / 2].to_vec();
    let own =
        testkit::subscription::message_of("/aws/lambda/observability-log-processor-kinesis", "s", &[(now, "own")]);
    let records = [contract, api, control, cut_off, testkit::subscription::gzip(&own)];

    // One record can not be written, and those behind it are none the worse for it.
    let open_again = nobody_may_write(&stack, "archive/env=production/service=contract/").await;
    put_on_stream(&stack, &records).await;
    eventually("the record that was cut off in quarantine", async || keys("quarantine/gzip/").await.len() == 1).await;
    eventually("the lines of api", async || keys("archive/env=production/service=api/").await.len() == 1).await;
    assert_eq!(keys("archive/").await.len(), 1);
    // It is sent again until it can be.
    open_again().await;
    eventually("the lines of contract", async || keys("archive/env=production/service=contract/").await.len() == 1)
        .await;
    eventually("their metrics", async || keys("metrics/pending/").await.len() == 2).await;
    player.tick("metric-flusher", Timestamp::now()).await.unwrap();

    // The same records once more are the same objects, and are not counted again.
    put_on_stream(&stack, &records).await;
    eventually("their metrics once more", async || keys("metrics/pending/").await.len() == 2).await;
    player.tick("metric-flusher", Timestamp::now()).await.unwrap();
    let outcome = stack.outcome().await;
    assert_eq!((outcome.archived_lines(), outcome.duplicates), (3 + 2, 0));
    assert_eq!((outcome.quarantined_lines, outcome.quarantined_deliveries), (0, 1));
    let now = Minute::of(Timestamp::now());
    let received =
        outcome::sum(&stack.deployment, "pipeline_lines_received", now.plus(-60), now.plus(1)).await.unwrap();
    assert_eq!(received, 5.0, "put twice, and counted once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_in_log_lines_are_a_trace_in_x_ray_that_ops_shows() {
    let stack = Stack::up("pipeline-spans").await;
    let player = Player::new(&stack.deployment).unwrap();
    let now = Timestamp::now();
    let trace = schema::trace::TraceId::begun(now.as_second() as u32, [7; 12]);
    let span = |id: u32, parent: &str, kind: &str| {
        json!({"timestamp": now.to_string(), "level": "INFO", "category": "performance", "message": "x",
            "context": {"service_name": "api", "trace_id": trace, "span_id": format!("{id:016x}")}, "duration_ms": 0,
            "span": {"operation_name": format!("operation {id}"), "parent_span_id": parent, "kind": kind, "status": "ok",
                "start_time": now.to_string(), "end_time": now.to_string(), "tags": {}, "logs": []}})
        .to_string()
    };
    let millis = now.as_millisecond();
    let bad = span(3, "no id", "internal");
    let (first, second) = (span(1, "00000000000000ff", "server"), span(2, "0000000000000001", "internal"));
    let lines = [(millis, first.as_str()), (millis, second.as_str()), (millis, "text"), (millis, bad.as_str())];
    let event = testkit::subscription::delivery("/aws/ecs/production/api", "s", &lines);
    assert_eq!(player.invoke("log-processor", &event).await.unwrap()["archived"], 4);
    // S3 tells the forwarder, and that puts it.
    let bucket = S3Bucket::new(&stack.deployment.sdk, stack.deployment.bucket().unwrap());
    let kept = async || bucket.list("quarantine/spans/unreadable/", 10).await.unwrap().len() == 1;
    eventually("the span with a bad id in quarantine", kept).await;
    let id = trace.to_string();
    let (found, told) = ops(&stack, &["trace", &id]).await;
    assert!(found && told.contains("spans: 2, services: 1") && told.contains("└─ operation 2  ok"), "{told}");
    let (found, told) = ops(&stack, &["trace", "1-00000001-000000000000000000000001"]).await;
    assert!(!found && told.starts_with("X-Ray has no trace"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_goes_leaves_the_archive_and_the_key_behind() {
    let stack = Stack::up("pipeline-undeploy").await;
    let player = Player::new(&stack.deployment).unwrap();
    let event: Value = serde_json::from_slice(&testkit::event_file("log-processor/schema-v1.json")).unwrap();
    assert_eq!(player.invoke("log-processor", &event).await.unwrap()["archived"], 4);
    deployment::undeploy(&stack.deployment).await.unwrap();
    assert!(player.invoke("log-processor", &event).await.is_err(), "the function is gone");
    let key = stack.deployment.output("PseudonymKeyArn").unwrap();
    let secret = Secrets::new(&stack.deployment.sdk).read_secret(key).await.unwrap();
    assert_eq!(secret.expose().len(), 64);
    let bucket = S3Bucket::new(&stack.deployment.sdk, stack.deployment.bucket().unwrap());
    assert_eq!(bucket.list("archive/", 100).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_come_twice_or_out_of_order_or_are_none_are_kept_and_counted_once() {
    let stack = Stack::up("pipeline-events").await;
    let player = Player::new(&stack.deployment).unwrap();
    let bus = EventBus::new(&stack.deployment.sdk, stack.deployment.output("EventBusName").unwrap());
    let bucket = S3Bucket::new(&stack.deployment.sdk, stack.deployment.bucket().unwrap());
    let count = async |prefix: &str| bucket.list(prefix, 100).await.unwrap().len();
    let now = Minute::of(Timestamp::now());
    let event = |detail_type: &str, minutes_ago: i64, detail: Value| BusEvent {
        source: "land-contracts.contract".to_owned(),
        detail_type: detail_type.to_owned(),
        detail: detail.to_string(),
        epoch_seconds: now.plus(-minutes_ago).start().as_second(),
    };
    let created = |id: u32| {
        let detail = json!({ "event_id": id.to_string(), "user_role": "buyer", "contract_value": 1_000, "email": "anna@example.com" });
        event("ContractCreated", i64::from(id), detail)
    };
    let bad = event("ContractCreated", 1, json!({ "event_id": "9", "user_role": "buyer", "contract_value": "a lot" }));
    let unheard = event("ContractArchived", 2, json!({ "event_id": "10", "active_users": 7 }));
    // The newest first, the second twice, and among them what violates its schema and what has none.
    bus.put_events(&[created(1), created(3), bad.clone(), created(2), created(2), unheard.clone()]).await.unwrap();
    let queue = aws_sdk_sqs::Client::new(&stack.deployment.sdk);
    let url = stack.deployment.output("EventQueueUrl").unwrap();
    // What could not be written comes again after a second, and not after six minutes.
    let visibility = aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout;
    queue.set_queue_attributes().queue_url(url).attributes(visibility, "1").send().await.unwrap();
    queue.send_message().queue_url(url).message_body("no event at all").send().await.unwrap();
    eventually("what is no event in quarantine", async || count("quarantine/").await == 2).await;
    // Three contracts, the event of an unknown type, and two in quarantine.
    eventually("the metrics of all", async || count("metrics/pending/").await == 6).await;
    player.tick("metric-flusher", Timestamp::now()).await.unwrap();

    // Published again, after all has been counted; and one that could not be written at first.
    let open_again = nobody_may_write(&stack, "archive/").await;
    bus.put_events(&[created(2), bad, unheard, created(4)]).await.unwrap();
    eventually("the quarantined one again", async || count("metrics/pending/").await == 1).await;
    open_again().await;
    eventually("the events that could not be written", async || count("metrics/pending/").await == 4).await;
    player.tick("metric-flusher", Timestamp::now()).await.unwrap();

    let outcome = stack.outcome().await;
    assert_eq!((outcome.archived_lines(), outcome.duplicates), (4 + 1, 0));
    assert_eq!((outcome.quarantined_lines, outcome.quarantined_deliveries, outcome.quarantined_others), (2, 0, 0));
    for (metric, total) in [
        ("contracts_created", 4.0),
        ("contract_value", 4_000.0),
        ("log_entries", 5.0),
        ("active_users", 0.0),
        ("pipeline_lines_received", 7.0),
        ("pipeline_lines_archived", 5.0),
        ("pipeline_lines_quarantined", 2.0),
    ] {
        let counted = outcome::sum(&stack.deployment, metric, now.plus(-60), now.plus(5)).await.unwrap();
        assert_eq!(counted, total, "{metric}");
    }
}

/// An alarm's change of state that came now, as CloudWatch would tell it by the door of `sample`.
fn alarm_now(sample: &str, former: &str, now: Timestamp) -> Value {
    let text = String::from_utf8(testkit::event_file(&format!("alert-evaluator-events/{sample}.json"))).unwrap();
    let written = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    serde_json::from_str(&text.replace(former, &written(now))).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_and_security_events_are_told_like_any_alert_and_once() {
    let stack = Stack::up("pipeline-outside").await;
    let player = Player::new(&stack.deployment).unwrap();
    let bucket = S3Bucket::new(&stack.deployment.sdk, stack.deployment.bucket().unwrap());
    let now = Timestamp::now();
    let policy = "version: 1\nseverities:\n  critical: {group_wait: 0s, group_interval: 1s, repeat_interval: 4h}\n  \
                  error: {group_wait: 0s, group_interval: 1s, repeat_interval: 4h}\n  \
                  warning: {group_wait: 0s, group_interval: 1s, repeat_interval: 4h}\n  \
                  info: {group_wait: 0s, group_interval: 1s, repeat_interval: 4h}\ninhibit_rules: []\nmute_calendars: []\n";
    let file = |key: &str, body: &[u8]| Object { key: key.to_owned(), content_type: "text/yaml", body: body.to_vec() };
    bucket.put(&file(domain::keys::POLICY, policy.as_bytes())).await.unwrap();

    // The local stack stands in for CloudWatch, by both doors.
    for sample in ["alarm", "alarm-direct"] {
        let event = alarm_now(sample, "2026-11-21T10:05:14", now);
        player.invoke("alert-evaluator-events", &event).await.unwrap();
    }
    let subjects = || stack.sink.emails().into_iter().map(|email| email.subject).collect::<Vec<_>>();
    eventually("the alarm by e-mail", async || subjects().len() == 1).await;
    assert!(subjects()[0].contains("FIRING database-memory-low"), "{:?}", subjects());

    // A line of a service goes by EventBridge, and by nobody's hand.
    let line = json!({"level": "CRITICAL", "category": "security", "message": "security event",
        "details": {"event_type": "permission_escalation", "ip_address": "93.184.216.34"}})
    .to_string();
    let event = testkit::subscription::delivery("/aws/ecs/production/user", "s", &[(now.as_millisecond(), &line)]);
    for _ in 0..2 {
        assert_eq!(player.invoke("log-processor", &event).await.unwrap()["archived"], 1);
    }
    eventually("the security event by e-mail", async || subjects().len() == 2).await;
    assert!(subjects()[1].contains("[CRITICAL] FIRING security_incident"), "{:?}", subjects());
    assert!(!stack.sink.emails()[1].text.contains("93.184.216.34"));

    // What is none is kept, and what the events were is in the history, in the archive as in the log.
    let odd = player.invoke("alert-evaluator-events", &json!({"detail-type": "Something Else"})).await.unwrap();
    assert_eq!(odd["quarantined"], true);
    eventually("an empty inbox", async || bucket.list("alerts/inbox/", 10).await.unwrap().is_empty()).await;
    player.tick("alert-evaluator", Timestamp::now()).await.unwrap();
    assert_eq!(bucket.list("alerts/history/", 10).await.unwrap().len(), 2);
    assert_eq!(bucket.list("quarantine/alert-events/", 10).await.unwrap().len(), 1);
    assert_eq!(stack.outcome().await.notified(), 2);
    let logs = aws_sdk_cloudwatchlogs::Client::new(&stack.deployment.sdk);
    let group = stack.deployment.output("AlertHistoryLogGroupName").unwrap();
    let logged = logs.filter_log_events().log_group_name(group).send().await.unwrap();
    let lines = logged.events().iter().filter_map(|event| event.message());
    let alarms = lines.filter(|line| line.contains("alert database-memory-low firing"));
    assert_eq!(alarms.count(), 1);
    assert_eq!(subjects().len(), 2, "each is told once");
}
