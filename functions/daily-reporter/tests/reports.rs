//! Reports on ports in memory, of a small day: 20 November 2026 in Moscow.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws::lambda::Tick;
use daily_reporter::{Config, Detail, Reporter};
use domain::Minute;
use domain::alerting::history::{Transition, Turned};
use domain::keys;
use domain::metrics::rollup::Rollup;
use domain::metrics::series::{Aggregate, SeriesKey};
use domain::ports::{GetObject, ListObjects, Object, PortError, PutObject, Retry, Stored};
use domain::reporting::report::DailyReport;
use domain::reporting::verdict::Status;
use testkit::memory_bucket::Moment;
use testkit::{InMemoryBucket, Operation, RecordedPublications, event_file};

const JSON: &str = "reports/dt=2026-11-20/report.json";
const HTML: &str = "reports/dt=2026-11-20/report.html";

fn config() -> Config {
    let lookup = |name: &str| {
        let value = match name {
            "BUCKET_NAME" => "land-logs",
            "REPORT_TOPIC_ARN" => "arn:aws:sns:eu-west-1:123456789012:reports",
            "TIME_ZONE" => "Europe/Moscow",
            "SERVICES" => "web,api",
            "ENVIRONMENT" => "production",
            _ => return None,
        };
        Some(value.to_owned())
    };
    Config::from_lookup(lookup).unwrap()
}

fn reporter<B>(bucket: B) -> Reporter<B, RecordedPublications> {
    Reporter { bucket, topic: RecordedPublications::new(), config: config() }
}

fn tick(file: &str) -> Tick<Detail> {
    serde_json::from_slice(&event_file(&format!("daily-reporter/{file}.json"))).unwrap()
}

/// The minute of that day at a local time.
fn at(hour: i64, minute: i64) -> Minute {
    let midnight: Minute = "2026-11-19T21:00Z".parse().unwrap();
    midnight.plus(hour * 60 + minute)
}

fn place_entries(bucket: &InMemoryBucket, minute: Minute, service: &str, count: u32) {
    let key = |name: &str, dimensions: &[(&str, &str)]| SeriesKey {
        name: name.to_owned(),
        dimensions: dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    let mut rollup = Rollup::empty(minute);
    for _ in 0..count {
        let one = Aggregate::of(1.0, minute.start().as_millisecond());
        rollup.series.add(key("log_entries", &[("service", service), ("level", "INFO")]), &one);
        rollup.series.add(key("pipeline_lines_received", &[("service", service)]), &one);
        rollup.series.add(key("pipeline_lines_archived", &[("service", service)]), &one);
    }
    let object = rollup.to_object();
    bucket.place(&object.key, object.body);
}

fn place_transition(bucket: &InMemoryBucket, rule: &str, turned: Turned, since: Minute, at: Minute) {
    let transition = Transition {
        version: 1,
        instant: None,
        fired_before: 0,
        at,
        rule: rule.to_owned(),
        fingerprint: rule.to_owned(),
        class: "business".to_owned(),
        severity: "error".to_owned(),
        labels: BTreeMap::new(),
        turned,
        value: Some(4.0),
        condition: "> 3".to_owned(),
        summary: "Contract creation failures: 4 in 10 min".to_owned(),
        since,
    };
    let object = transition.to_object();
    bucket.place(&object.key, object.body);
}

/// Every half hour two lines from each service.
fn full_day() -> InMemoryBucket {
    let bucket = InMemoryBucket::new();
    for half_hour in 0..48 {
        place_entries(&bucket, at(0, half_hour * 30), "web", 2);
        place_entries(&bucket, at(0, half_hour * 30 + 1), "api", 2);
    }
    bucket
}

fn stored(bucket: &InMemoryBucket) -> DailyReport {
    serde_json::from_slice(&bucket.body(JSON).unwrap()).unwrap()
}

#[tokio::test]
async fn the_last_finished_day_is_stored_and_then_announced() {
    let reporter = reporter(full_day());
    let summary = reporter.report(tick("scheduled")).await.unwrap();
    assert_eq!((summary.date.as_str(), summary.verdict), ("2026-11-20", Status::Good));
    assert_eq!((summary.rollups, summary.problems), (96, 0));
    let report = stored(&reporter.bucket);
    assert_eq!((report.overall_summary.total_entries, report.completeness.lines.lost), (192, 0));
    assert_eq!(report.hourly.iter().map(|hour| hour.entries).collect::<Vec<_>>(), [8; 24]);
    let page = String::from_utf8(reporter.bucket.body(HTML).unwrap()).unwrap();
    assert!(page.contains("Friday, 20 November 2026"));
    let [notice] = &reporter.topic.taken()[..] else { panic!("one notice") };
    assert_eq!(notice.subject, "[production] Daily report 2026-11-20: good, no alerts, 0 lines lost");
    assert!(notice.bodies["default"].contains("s3://land-logs/reports/dt=2026-11-20/report.html"));
}

#[tokio::test]
async fn what_lies_just_outside_of_the_local_day_is_left_out() {
    // Defect 31: the source document's interval had both its ends in it, so midnight was in two days.
    let bucket = full_day();
    place_entries(&bucket, at(0, -1), "web", 1000);
    place_entries(&bucket, at(24, 0), "web", 1000);
    let reporter = reporter(bucket);
    reporter.report(tick("scheduled")).await.unwrap();
    assert_eq!(stored(&reporter.bucket).overall_summary.total_entries, 192);
}

#[tokio::test]
async fn a_zone_off_by_half_an_hour_takes_half_of_the_outer_utc_hours() {
    let mut reporter = reporter(InMemoryBucket::new());
    reporter.config.time_zone = jiff::tz::TimeZone::get("Asia/Kolkata").unwrap();
    for (minute, count) in [("18:29", 1000), ("18:30", 1), ("18:59", 1)] {
        place_entries(&reporter.bucket, format!("2026-11-19T{minute}Z").parse().unwrap(), "web", count);
    }
    for (minute, count) in [("18:00", 1), ("18:29", 1), ("18:30", 1000)] {
        place_entries(&reporter.bucket, format!("2026-11-20T{minute}Z").parse().unwrap(), "web", count);
    }
    reporter.report(tick("scheduled")).await.unwrap();
    assert_eq!(stored(&reporter.bucket).overall_summary.total_entries, 4);
}

#[tokio::test]
async fn an_alert_that_began_on_an_earlier_day_is_known() {
    let bucket = full_day();
    // Over at ten in the morning; still firing, since three days and since a month before; over before the day began.
    place_transition(&bucket, "a", Turned::Firing, at(-2, 0), at(-2, 0));
    place_transition(&bucket, "a", Turned::Resolved, at(-2, 0), at(10, 0));
    place_transition(&bucket, "b", Turned::Firing, at(-72, 0), at(-72, 0));
    place_transition(&bucket, "d", Turned::Firing, at(-30 * 24, 0), at(-30 * 24, 0));
    place_transition(&bucket, "c", Turned::Firing, at(-72, 0), at(-72, 0));
    place_transition(&bucket, "c", Turned::Resolved, at(-72, 0), at(-71, 0));
    let reporter = reporter(bucket);
    let summary = reporter.report(tick("scheduled")).await.unwrap();
    assert_eq!((summary.transitions, summary.verdict), (6, Status::Attention));
    let alerts: Vec<_> =
        stored(&reporter.bucket).alerts.into_iter().map(|alert| (alert.rule, alert.from, alert.to)).collect();
    let expected = [("d", at(-30 * 24, 0), None), ("b", at(-72, 0), None), ("a", at(-2, 0), Some(at(10, 0)))];
    assert_eq!(alerts, expected.map(|(rule, from, to)| (rule.to_owned(), from, to)));
}

#[tokio::test]
async fn a_day_can_be_reported_again_and_gives_the_same_bytes() {
    let bucket = full_day();
    place_transition(&bucket, "a", Turned::Firing, at(9, 0), at(9, 0));
    let reporter = reporter(bucket);
    reporter.report(tick("scheduled")).await.unwrap();
    let first = (reporter.bucket.body(JSON), reporter.bucket.body(HTML));
    // Days later, when more is known of other days.
    place_entries(&reporter.bucket, at(30, 0), "web", 5);
    place_transition(&reporter.bucket, "a", Turned::Resolved, at(9, 0), at(24, 0));
    reporter.report(tick("again-for-a-date")).await.unwrap();
    assert_eq!((reporter.bucket.body(JSON), reporter.bucket.body(HTML)), first);
    let notices = reporter.topic.taken();
    assert_eq!((notices.len(), &notices[0]), (2, &notices[1]));
}

#[tokio::test]
async fn a_day_that_can_not_be_reported_is_refused_and_nothing_is_written() {
    for (file, expected) in [
        ("unfinished-day", "2026-11-20 in Europe/Moscow is not over before 2026-11-20T21:00Z; it is 2026-11-20T20:59Z"),
        ("not-a-date", "`20.11.2026` is not a date like 2026-11-20"),
    ] {
        let reporter = reporter(InMemoryBucket::new());
        let error = reporter.report(tick(file)).await.unwrap_err();
        assert_eq!(format!("{error:#}"), expected);
        assert!(reporter.bucket.operations().is_empty() && reporter.topic.taken().is_empty(), "{file}");
    }
}

#[test]
fn a_misspelt_request_is_refused_and_does_not_report_yesterday() {
    let error = serde_json::from_slice::<Tick<Detail>>(&event_file("daily-reporter/misspelt-date.json")).unwrap_err();
    assert!(error.to_string().starts_with("unknown field `day`, expected `date`"), "{error}");
}

#[tokio::test]
async fn a_day_of_nothing_is_reported_as_incomplete() {
    let reporter = reporter(InMemoryBucket::new());
    let summary = reporter.report(tick("scheduled")).await.unwrap();
    assert_eq!((summary.verdict, summary.rollups, summary.problems), (Status::Incomplete, 0, 0));
    assert_eq!(stored(&reporter.bucket).completeness.silent_services, ["web", "api"]);
}

#[tokio::test]
async fn what_can_not_be_read_is_named_and_the_rest_is_reported() {
    // Defect 35: one section that could not be read ended the source document's report.
    let bucket = full_day();
    bucket.place(&keys::rollup(at(12, 0)), b"{".as_slice());
    bucket.place("alerts/history/dt=2026-11-20/x.json", b"null".as_slice());
    let reporter = reporter(bucket);
    let summary = reporter.report(tick("scheduled")).await.unwrap();
    assert_eq!((summary.verdict, summary.problems), (Status::Incomplete, 2));
    let report = stored(&reporter.bucket);
    assert_eq!(report.overall_summary.total_entries, 190);
    assert!(report.completeness.problems[0].starts_with("rollup rollups/dt=2026-11-20/hour=09/00.json could not be"));
    assert!(report.completeness.problems[1].starts_with("alert transition alerts/history/dt=2026-11-20/x.json"));
}

/// A bucket that refuses some key, as S3 does without a permission: with another request id each time.
struct Refusing {
    bucket: InMemoryBucket,
    refused: &'static str,
    retry: Retry,
    requests: AtomicUsize,
}

impl Refusing {
    fn check(&self, action: &str, key: &str) -> Result<(), PortError> {
        if key != self.refused {
            return Ok(());
        }
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let source = format!("unhandled error (AccessDenied), request id {request}").into();
        Err(PortError { action: format!("{action} {key}"), retry: self.retry, source })
    }
}

impl GetObject for Refusing {
    async fn get(&self, key: &str) -> Result<Option<Stored>, PortError> {
        self.check("get object", key)?;
        self.bucket.get(key).await
    }
}

impl ListObjects for Refusing {
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>, PortError> {
        self.check("list objects", prefix)?;
        self.bucket.list(prefix, limit).await
    }
}

impl PutObject for Refusing {
    async fn put(&self, object: &Object) -> Result<(), PortError> {
        self.check("put object", &object.key)?;
        self.bucket.put(object).await
    }
}

#[tokio::test]
async fn what_is_refused_is_named_and_named_the_same_again() {
    for (refused, retry, entries, problem) in [
        (
            "rollups/dt=2026-11-20/hour=09/00.json",
            Retry::Denied,
            190,
            "get object rollups/dt=2026-11-20/hour=09/00.json: access denied",
        ),
        (
            "rollups/dt=2026-11-20/hour=09/00.json",
            Retry::Permanent,
            190,
            "get object rollups/dt=2026-11-20/hour=09/00.json: refused",
        ),
        (
            "rollups/dt=2026-11-20/hour=09/",
            Retry::Denied,
            184,
            "list objects rollups/dt=2026-11-20/hour=09/: access denied",
        ),
        (
            "alerts/history/dt=2026-11-19/",
            Retry::Denied,
            192,
            "list objects alerts/history/dt=2026-11-19/: access denied",
        ),
    ] {
        let reporter = reporter(Refusing { bucket: full_day(), refused, retry, requests: AtomicUsize::new(0) });
        reporter.report(tick("scheduled")).await.unwrap();
        let pages = || (reporter.bucket.bucket.body(JSON), reporter.bucket.bucket.body(HTML));
        let first = pages();
        reporter.report(tick("scheduled")).await.unwrap();
        assert_eq!(pages(), first, "{refused}");
        let report = stored(&reporter.bucket.bucket);
        assert_eq!(report.overall_summary.total_entries, entries, "{refused}");
        assert_eq!(report.completeness.problems, [problem]);
        assert_eq!(report.verdict.status, Status::Incomplete);
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_is_an_error_and_no_report_is_written() {
    for operation in [Operation::List, Operation::Get] {
        let reporter = reporter(full_day());
        reporter.bucket.inject(move |now, key| (now == operation && key.contains("hour=09")).then_some(Moment::Before));
        let error = reporter.report(tick("scheduled")).await.unwrap_err();
        assert!(format!("{error:#}").contains("hour=09"), "{error:#}");
        assert!(reporter.bucket.body(JSON).is_none() && reporter.topic.taken().is_empty());
        reporter.bucket.heal();
        assert_eq!(reporter.report(tick("scheduled")).await.unwrap().verdict, Status::Good);
    }
}

#[tokio::test]
async fn an_object_that_vanishes_after_it_was_listed_is_named() {
    let vanishing = Vanishing(full_day());
    let summary = reporter(vanishing).report(tick("scheduled")).await.unwrap();
    assert_eq!((summary.verdict, summary.rollups, summary.problems), (Status::Incomplete, 0, 96));
}

/// A bucket whose objects are all gone when they are to be read.
struct Vanishing(InMemoryBucket);

impl GetObject for Vanishing {
    async fn get(&self, _: &str) -> Result<Option<Stored>, PortError> {
        Ok(None)
    }
}

impl ListObjects for Vanishing {
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>, PortError> {
        self.0.list(prefix, limit).await
    }
}

impl PutObject for Vanishing {
    async fn put(&self, object: &Object) -> Result<(), PortError> {
        self.0.put(object).await
    }
}

#[tokio::test]
async fn a_report_that_could_not_be_stored_is_not_announced() {
    for key in [JSON, HTML] {
        let reporter = reporter(full_day());
        reporter.bucket.inject(move |_, at| (at == key).then_some(Moment::Before));
        let error = reporter.report(tick("scheduled")).await.unwrap_err();
        assert!(format!("{error:#}").starts_with("the report could not be stored: "), "{error:#}");
        assert!(reporter.topic.taken().is_empty());
    }
}

#[tokio::test]
async fn a_notice_that_could_not_be_published_is_an_error_and_is_made_up_for() {
    let reporter = reporter(full_day());
    reporter.topic.fail_next([Retry::Transient]);
    let error = reporter.report(tick("scheduled")).await.unwrap_err();
    assert!(
        format!("{error:#}").starts_with("the report is stored, but its notice could not be published: "),
        "{error:#}"
    );
    let first = reporter.bucket.body(JSON);
    assert!(first.is_some());
    reporter.report(tick("scheduled")).await.unwrap();
    assert_eq!(reporter.bucket.body(JSON), first);
    assert_eq!(reporter.topic.taken().len(), 1);
}
