//! The contract suites on the real adapters, against the embedded AWS.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::cloudwatch_puts::CloudWatchPuts;
use aws::cloudwatch_reads::CloudWatchReads;
use aws::log_streams::LogStreams;
use aws::s3_bucket::S3Bucket;
use aws::secrets::Secrets;
use aws::sns_topic::SnsTopic;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Statistic};
use domain::Minute;
use domain::logs::put_events::{NewEvent, plan};
use domain::metrics::put::{Datum, Values};
use domain::metrics::registry::Unit;
use domain::metrics::report::{Answer, Periods, Request};
use domain::metrics::series::Dimensions;
use domain::ports::{
    Attribute, DeleteObjects as _, GetObject as _, ListObjects as _, MAX_DELETED, MetricQuery, Object,
    PresignObject as _, Publication, Publish as _, PutMetrics as _, PutObject as _, ReadFigures as _, ReadMetrics as _,
    ReadSecret as _, ReplaceObject as _, Retry, SecretText,
};
use jiff::{SignedDuration, Timestamp};
use local::embedded_aws::EmbeddedAws;
use serde_json::json;
use testkit::contracts;
use tokio::sync::OnceCell;

/// One embedded AWS for all tests here; each uses an account of its own. It ends with this process.
async fn embedded() -> &'static EmbeddedAws {
    static EMBEDDED: OnceCell<EmbeddedAws> = OnceCell::const_new();
    EMBEDDED.get_or_init(|| async { EmbeddedAws::start("contracts", None).await.unwrap() }).await
}

async fn new_bucket(account: &str) -> S3Bucket {
    let sdk = embedded().await.sdk_config(account);
    let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build();
    let name = format!("contract-{account}");
    let location = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(local::embedded_aws::REGION.into())
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client.create_bucket().bucket(&name).create_bucket_configuration(location).send().await.unwrap();
    S3Bucket::new(&sdk, name)
}

#[tokio::test]
async fn a_real_bucket_keeps_the_contract() {
    contracts::bucket(&new_bucket("100000000001").await, "contract/").await;
}

#[tokio::test]
async fn whoever_has_a_link_reads_the_object_and_nothing_else() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let account = "100000000011";
    new_bucket(account).await;
    // Of a link the embedded AWS checks the signature, by the one key that it gives every account.
    let key = aws_sdk_s3::config::Credentials::new(account, "test", None, None, "test");
    let key = aws_sdk_s3::config::SharedCredentialsProvider::new(key);
    let sdk = embedded().await.sdk_config(account).into_builder().credentials_provider(key).build();
    let bucket = S3Bucket::new(&sdk, format!("contract-{account}"));
    let key = "alerts/charts/dt=2026-11-21/n1-f1.svg";
    let object = Object { key: key.into(), content_type: "image/svg+xml", body: b"<svg/>".to_vec() };
    bucket.put(&object).await.unwrap();
    let link = bucket.presign(key, Duration::from_secs(600)).await.unwrap();
    assert!(link.contains("X-Amz-Expires=600") && link.contains("X-Amz-Signature="), "{link}");
    assert!(link.bytes().all(|byte| byte.is_ascii_graphic()), "it stands in e-mails: {link}");
    // As a browser asks, without credentials of its own.
    let (address, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let read = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = read(path).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("image/svg+xml"), "{link}: {answer}");
    assert!(answer.ends_with("<svg/>"), "{answer}");
    let other = path.replace("n1-f1", "n2-f2");
    assert!(read(&other).await.starts_with("HTTP/1.1 403"), "the link is to one object");
    let too_long = bucket.presign(key, Duration::from_secs(8 * 24 * 60 * 60)).await.unwrap_err();
    assert_eq!(too_long.retry, Retry::Permanent, "S3 takes seven days at most");
}

#[tokio::test]
async fn every_object_is_stored_with_the_checksum_that_it_was_sent_with() {
    use aws_sdk_s3::types::ChecksumMode;
    let account = "100000000008";
    let bucket = new_bucket(account).await;
    let object = |key: &str| Object { key: key.into(), content_type: "text/plain", body: b"abc".to_vec() };
    bucket.put(&object("put")).await.unwrap();
    bucket.replace(&object("replaced"), None).await.unwrap();
    let sdk = embedded().await.sdk_config(account);
    let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    for key in ["put", "replaced"] {
        let head = client.head_object().bucket(format!("contract-{account}")).key(key);
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        // The first test vector of FIPS 180-2, in base64.
        assert_eq!(head.checksum_sha256(), Some("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="), "{key}");
        assert_eq!(head.checksum_crc32(), None, "{key}: one checksum is enough");
    }
}

#[tokio::test]
async fn a_secret_is_read_as_text_and_what_is_wrong_with_it_is_told() {
    let account = "100000000009";
    let sdk = embedded().await.sdk_config(account);
    let client = aws_sdk_secretsmanager::Client::new(&sdk);
    let text = client.create_secret().name("text").secret_string("the text").send().await.unwrap();
    let bytes = aws_sdk_secretsmanager::primitives::Blob::new([0xff]);
    client.create_secret().name("bytes").secret_binary(bytes).send().await.unwrap();
    let secrets = Secrets::new(&sdk);
    for id in ["text", text.arn().unwrap()] {
        assert_eq!(secrets.read_secret(id).await.unwrap().expose(), "the text");
    }
    client.put_secret_value().secret_id("text").secret_string("another").send().await.unwrap();
    assert_eq!(secrets.read_secret("text").await.unwrap(), SecretText::new("another"), "the current one");
    for (id, says) in [("bytes", "a text is needed"), ("nobody-made-this", "can't find the specified secret")] {
        let error = secrets.read_secret(id).await.unwrap_err();
        assert_eq!((error.to_string(), error.retry), (format!("read secret {id}"), Retry::Permanent));
        assert!(format!("{:#}", anyhow::Error::new(error)).contains(says), "{id}");
    }
}

#[tokio::test]
async fn a_secret_without_the_right_to_read_it_is_denied_and_one_out_of_reach_may_come_back() {
    let sdk = embedded().await.sdk_config("100000000010");
    // A key that was never given out: AWS answers that with a 400.
    let unknown = aws_sdk_s3::config::Credentials::new("AKIANOBODYHASTHISKEY", "made-up", None, None, "test");
    let unknown = aws_sdk_s3::config::SharedCredentialsProvider::new(unknown);
    let stranger = sdk.clone().into_builder().credentials_provider(unknown).build();
    let error = Secrets::new(&stranger).read_secret("text").await.unwrap_err();
    assert_eq!(error.retry, Retry::Denied, "{error:?}");
    let nowhere = sdk.into_builder().endpoint_url("http://127.0.0.1:9").build();
    let error = Secrets::new(&nowhere).read_secret("text").await.unwrap_err();
    assert_eq!(error.retry, Retry::Transient, "{error:?}");
}

/// What the functions count about themselves, one line a metric.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_call_that_an_sdk_makes_again_is_a_retry_of_the_function() {
    let written = Written::default();
    let settings = telemetry::Settings::new(telemetry::Identity::new("daily-reporter", "test", "1"));
    let telemetry = telemetry::Telemetry::new(settings, written.clone()).unwrap();
    let scope = tracing::subscriber::set_default(telemetry.subscriber());
    let sdk = embedded().await.sdk_config("100000000012");
    let sdk = sdk.into_builder().endpoint_url("http://127.0.0.1:9").build();
    let error = Secrets::new(&sdk).read_secret("text").await.unwrap_err();
    assert_eq!(error.retry, Retry::Transient);
    telemetry.flush(Duration::from_secs(10));
    drop(scope);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let retries: Vec<f64> = lines.filter_map(|line| line["function_retries"].as_f64()).collect();
    assert_eq!(retries, [2.0], "three attempts are the SDK's usual: {text}");
}

#[tokio::test]
async fn a_listing_goes_over_pages() {
    let bucket = new_bucket("100000000002").await;
    for number in 0..1_100 {
        let object = Object { key: format!("p/{number:05}"), content_type: "text/plain", body: vec![] };
        bucket.put(&object).await.unwrap();
    }
    let keys = bucket.list("p/", 1_050).await.unwrap();
    assert_eq!((keys.len(), keys.last().map(String::as_str)), (1_050, Some("p/01049")));
    assert!(keys.is_sorted());
}

#[tokio::test]
async fn as_many_objects_as_a_call_takes_are_deleted_at_once() {
    let bucket = new_bucket("100000000014").await;
    let keys: Vec<String> = (0..MAX_DELETED + 1).map(|number| format!("d/{number:05}")).collect();
    for key in &keys {
        bucket.put(&Object { key: key.clone(), content_type: "text/plain", body: vec![] }).await.unwrap();
    }
    bucket.delete_all(&keys[..MAX_DELETED]).await.unwrap();
    assert_eq!(bucket.list("d/", 10).await.unwrap(), keys[MAX_DELETED..]);
    let error = S3Bucket::new(&embedded().await.sdk_config("100000000014"), "nobody-made-this");
    let error = error.delete_all(&keys[..2]).await.unwrap_err();
    assert_eq!(error.to_string(), "delete 2 objects, d/00000 the first");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_an_error_that_names_the_object() {
    let sdk = embedded().await.sdk_config("100000000003");
    let bucket = S3Bucket::new(&sdk, "nobody-made-this");
    let object = Object { key: "some/key".into(), content_type: "text/plain", body: vec![] };
    let error = bucket.put(&object).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.retry), ("put object some/key", Retry::Permanent));
    let read = bucket.get("some/key").await;
    assert!(read.is_err(), "a missing bucket is not a missing object: {read:?}");
}

#[tokio::test]
async fn an_aws_that_can_not_be_reached_is_worth_another_try() {
    let sdk = embedded().await.sdk_config("100000000004");
    let nowhere = sdk.into_builder().endpoint_url("http://127.0.0.1:9").build();
    let error = S3Bucket::new(&nowhere, "b").get("k").await.unwrap_err();
    assert_eq!(error.retry, Retry::Transient, "{error:?}");
}

#[tokio::test]
async fn metrics_that_are_put_are_there_with_their_minute_counts_and_percentiles() {
    let sdk = embedded().await.sdk_config("100000000005");
    let minute = Minute::of(Timestamp::now()).plus(-60);
    let dimensions = Dimensions::from([("service".to_owned(), "api".to_owned())]);
    let datum = |values| Datum {
        name: "api_request_duration".into(),
        dimensions: dimensions.clone(),
        minute,
        unit: Unit::Milliseconds,
        values,
    };
    let puts = CloudWatchPuts::new(&sdk);
    puts.put_metrics("Contract", &[datum(Values::Counts(vec![(10.0, 98), (5_000.0, 2)]))]).await.unwrap();
    puts.put_metrics("Contract", &[datum(Values::Statistics { count: 2, sum: 20.0, min: 5.0, max: 15.0 })])
        .await
        .unwrap();
    // A call that is large enough to be compressed.
    let many = (0..200).map(|n| Datum { name: format!("other_{n}"), ..datum(Values::Counts(vec![(1.0, 1)])) });
    puts.put_metrics("Contract", &many.collect::<Vec<_>>()).await.unwrap();
    let client = aws_sdk_cloudwatch::Client::new(&sdk);
    let listed = client.list_metrics().namespace("Contract").metric_name("other_199").send().await.unwrap();
    assert_eq!(listed.metrics().len(), 1, "a compressed call is read as well");
    let ask = |dimensions: Vec<Dimension>| {
        let request = client.get_metric_statistics().namespace("Contract").metric_name("api_request_duration");
        request
            .set_dimensions(Some(dimensions))
            .start_time(DateTime::from_secs(minute.start().as_second()))
            .end_time(DateTime::from_secs(minute.plus(1).start().as_second()))
            .period(60)
            .statistics(Statistic::Sum)
            .statistics(Statistic::SampleCount)
            .statistics(Statistic::Maximum)
            .send()
    };
    let by_service = ask(vec![Dimension::builder().name("service").value("api").build()]).await.unwrap();
    let point = &by_service.datapoints()[0];
    assert_eq!((point.sum(), point.sample_count(), point.maximum()), (Some(11_000.0), Some(102.0), Some(5_000.0)));
    // CloudWatch does not add up over dimensions: what was not put is not there.
    assert!(ask(vec![]).await.unwrap().datapoints().is_empty());
}

#[tokio::test]
async fn metrics_are_read_by_minute_and_a_series_that_is_not_there_is_empty() {
    let sdk = embedded().await.sdk_config("100000000007");
    let from = Minute::of(Timestamp::now()).plus(-60);
    let instance = |name: &str| Dimensions::from([("DBInstanceIdentifier".to_owned(), name.to_owned())]);
    let datum = |offset: i64, value: f64| Datum {
        name: "DatabaseConnections".into(),
        dimensions: instance("db"),
        minute: from.plus(offset),
        unit: Unit::Count,
        values: Values::Counts(vec![(value, 1)]),
    };
    CloudWatchPuts::new(&sdk).put_metrics("AWS/RDS", &[datum(3, 30.0), datum(0, 10.0), datum(1, 20.0)]).await.unwrap();
    let query = |name: &str| MetricQuery {
        namespace: "AWS/RDS".into(),
        name: "DatabaseConnections".into(),
        dimensions: instance(name),
        statistic: "Average".into(),
    };
    let reads = CloudWatchReads::new(&sdk);
    let answers = reads.read_metrics(&[query("db"), query("other")], from, from.plus(3)).await;
    // The minute after the last is not asked for.
    assert_eq!(answers, [Ok(BTreeMap::from([(from, 10.0), (from.plus(1), 20.0)])), Ok(BTreeMap::new())]);
}

#[tokio::test]
async fn a_report_has_the_figures_of_each_kind_and_tells_a_gap_from_an_error() {
    let sdk = embedded().await.sdk_config("100000000013");
    let now = Timestamp::now();
    let from = Periods::between(now - SignedDuration::from_hours(3), now, 60, now).unwrap().from();
    let datum = |name: &str, at: i64, unit: Unit, counts: &[(f64, u64)]| Datum {
        name: name.into(),
        dimensions: Dimensions::default(),
        minute: from.plus(at),
        unit,
        values: Values::Counts(counts.to_vec()),
    };
    let put = [
        datum("contracts_created", 1, Unit::Count, &[(1.0, 4)]),
        datum("contracts_created", 59, Unit::Count, &[(1.0, 1)]),
        datum("contracts_created", 60, Unit::Count, &[(1.0, 2)]),
        datum("active_users", 3, Unit::Count, &[(10.0, 1), (30.0, 1)]),
        datum("active_users", 100, Unit::Count, &[(50.0, 1)]),
        datum("api_request_duration", 5, Unit::Milliseconds, &[(100.0, 98), (900.0, 2)]),
    ];
    CloudWatchPuts::new(&sdk).put_metrics("Shop", &put).await.unwrap();
    let names = ["active_users", "api_request_duration", "contracts_created", "contracts_signed"].map(str::to_owned);
    let periods = Periods::between(from.start(), from.plus(120).start(), 60, now).unwrap();
    let request = Request::new(&names, &BTreeMap::new(), "Shop", periods).unwrap();
    let report = async |sdk| request.report(CloudWatchReads::new(sdk).read_figures(&request.queries(), periods).await);
    let told = report(&sdk).await;
    assert!(told.is_complete(), "{told}");
    let figures = |at: usize| told.metrics[at].figures.clone();
    let of = |figures: &[(&str, f64)]| figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let averages: BTreeMap<String, f64> = of(&[("last_average", 50.0), ("average", 30.0), ("maximum", 50.0)]);
    assert_eq!((figures(0), figures(2)), (averages, of(&[("sum", 7.0)])));
    assert_eq!((figures(1)["count"], figures(1)["maximum"], figures(1)["p50_highest"]), (100.0, 900.0, 100.0));
    let Answer::Data { points, gaps } = &told.metrics[1].statistics["Maximum"] else { panic!("{told}") };
    assert_eq!((points.len(), &gaps[..]), (1, &[from.plus(60)][..]));
    assert_eq!(told.metrics[3].statistics["Sum"], Answer::NoData);
    // More than one call takes, each answered in its place.
    let many: Vec<MetricQuery> = (0..501).map(|at| request.queries()[if at == 500 { 8 } else { 9 }].clone()).collect();
    let answers = CloudWatchReads::new(&sdk).read_figures(&many, periods).await;
    assert_eq!(answers.len(), 501);
    assert!(answers[..500].iter().all(|answer| answer.as_ref().unwrap().is_empty()));
    assert_eq!(answers[500].as_ref().unwrap().values().sum::<f64>(), 7.0);
    // And where CloudWatch can't be asked, nothing looks like silence.
    let nowhere = report(&sdk.clone().into_builder().endpoint_url("http://127.0.0.1:9").build()).await;
    let answers = nowhere.metrics.iter().flat_map(|metric| metric.statistics.values());
    let is_told =
        |answer: &Answer| matches!(answer, Answer::Error { error } if error.starts_with("read 10 metrics from"));
    assert!(!nowhere.is_complete() && answers.into_iter().all(is_told), "{nowhere}");
}

#[tokio::test]
async fn lines_that_are_put_are_in_the_log_group_in_the_order_of_time() {
    let sdk = embedded().await.sdk_config("100000000006");
    let logs = LogStreams::new(&sdk);
    for _ in 0..2 {
        logs.create_group("/contract").await.unwrap(); // Made twice: what is there is fine.
        logs.create_stream("/contract", "s").await.unwrap();
    }
    let now = Timestamp::now().as_millisecond();
    let event = |offset: i64, message: &str| NewEvent { timestamp_millis: now + offset, message: message.to_owned() };
    for call in plan(vec![event(2, "второе"), event(1, "first")]) {
        logs.put("/contract", "s", &call).await.unwrap();
    }
    let client = aws_sdk_cloudwatchlogs::Client::new(&sdk);
    let found = client.filter_log_events().log_group_name("/contract").send().await.unwrap();
    let lines: Vec<_> = found.events().iter().map(|event| event.message().unwrap_or_default()).collect();
    assert_eq!(lines, ["first", "второе"]);
    let error = logs.put("/nobody-made-this", "s", &[event(0, "x")]).await.unwrap_err();
    assert_eq!(error.to_string(), "put 1 log events into /nobody-made-this s");
}

#[tokio::test]
async fn whoever_filters_by_one_of_several_values_gets_the_message() {
    let sdk = embedded().await.sdk_config("100000000015");
    let (sns, sqs) = (aws_sdk_sns::Client::new(&sdk), aws_sdk_sqs::Client::new(&sdk));
    let topic = sns.create_topic().name("alerts").send().await.unwrap().topic_arn.unwrap();
    let mut queues = Vec::new();
    for (name, policy) in [
        ("first", r#"{"rule": ["failures"]}"#),
        ("joined", r#"{"rule": ["slow"], "class": ["business"]}"#),
        ("other", r#"{"rule": ["several", "failures, slow", "slo"]}"#),
    ] {
        let arn = format!("arn:aws:sqs:{}:100000000015:{name}", local::embedded_aws::REGION);
        let access = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
        }]});
        let queue = sqs.create_queue().queue_name(name);
        let queue = queue.attributes(aws_sdk_sqs::types::QueueAttributeName::Policy, access.to_string());
        let url = queue.send().await.unwrap().queue_url.unwrap();
        let subscription = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn);
        subscription.attributes("FilterPolicy", policy).send().await.unwrap();
        queues.push(url);
    }
    let publish = async |subject: &str, rule: Attribute| {
        let attributes = BTreeMap::from([("class", "business".into()), ("rule", rule)]);
        let bodies = BTreeMap::from([("default", subject.to_owned())]);
        let publication = Publication { subject: subject.to_owned(), bodies, attributes };
        SnsTopic::new(&sdk, &topic).publish(&publication).await.unwrap();
    };
    publish("both", Attribute::Several(vec!["failures".to_owned(), "slow".to_owned()])).await;
    publish("one", "failures".into()).await;
    let mut told = Vec::new();
    for url in &queues {
        let received = sqs.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(1);
        let messages = received.send().await.unwrap().messages.unwrap_or_default();
        let body = |message: aws_sdk_sqs::types::Message| {
            serde_json::from_str::<serde_json::Value>(message.body().unwrap()).unwrap()
        };
        let bodies: Vec<_> = messages.into_iter().map(body).collect();
        let both = bodies.iter().find(|body| body["Subject"] == "both");
        if let Some(both) = both {
            let rule = &both["MessageAttributes"]["rule"];
            assert_eq!((&rule["Type"], &rule["Value"]), (&"String.Array".into(), &r#"["failures","slow"]"#.into()));
        }
        let mut subjects: Vec<String> =
            bodies.iter().map(|body| body["Subject"].as_str().unwrap().to_owned()).collect();
        subjects.sort();
        told.push(subjects);
    }
    assert_eq!(told, [vec!["both", "one"], vec!["both"], vec![]]);
}

#[tokio::test]
async fn an_embedded_aws_leaves_no_process_behind() {
    let embedded = EmbeddedAws::start("ends", None).await.unwrap();
    let addresses = [embedded.url(), embedded.xray_url()].map(|url| url.trim_start_matches("http://").to_owned());
    assert!(addresses.iter().all(|address| std::net::TcpStream::connect(address).is_ok()));
    drop(embedded);
    for address in addresses {
        assert!(std::net::TcpStream::connect(&address).is_err(), "{address} still answers");
    }
}
