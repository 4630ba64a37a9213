//! Tests of the metric report.

use super::*;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn periods(from: &str, until: &str, minutes: i64, now: &str) -> Result<Periods, String> {
    Periods::between(at(from), at(until), minutes, at(now)).map_err(|error| error.to_string())
}

#[test]
fn only_whole_periods_that_are_over_and_still_kept_are_asked_for() {
    let (now, ten, noon) = ("2026-11-22T12:30:30Z", "2026-11-22T10:00:00Z", "2026-11-22T12:00:00Z");
    for (from, until, minutes, expected) in [
        (ten, noon, 60, "2026-11-22T10:00Z 2026-11-22T12:00Z 2"),
        ("2026-11-22T09:00:00.000000001Z", "2026-11-22T11:59:59Z", 60, "2026-11-22T10:00Z 2026-11-22T11:00Z 1"),
        // Defect 5: the hour that has only begun was taken for a whole one.
        (ten, "2027-01-01T00:00:00Z", 60, "2026-11-22T10:00Z 2026-11-22T12:00Z 2"),
        (ten, now, 1, "2026-11-22T10:00Z 2026-11-22T12:30Z 150"),
        ("2026-11-20T00:00:00Z", noon, 1_440, "2026-11-20T00:00Z 2026-11-22T00:00Z 2"),
        ("2026-11-08T00:00:00Z", "2026-11-08T12:00:00Z", 12, "2026-11-08T00:00Z 2026-11-08T12:00Z 60"),
        ("2026-11-02T00:00:00Z", "2026-11-02T12:00:00Z", 90, "2026-11-02T00:00Z 2026-11-02T12:00Z 8"),
        ("2026-09-03T00:00:00Z", "2026-09-03T12:00:00Z", 120, "2026-09-03T00:00Z 2026-09-03T12:00Z 6"),
    ] {
        let found = periods(from, until, minutes, now).unwrap();
        assert_eq!(format!("{} {} {}", found.from(), found.until(), found.number()), expected);
        assert_eq!(found.starts().count(), found.number());
    }
    for (from, until, minutes, says) in [
        (noon, ten, 60, "no whole period of 60 min lies between 2026-11-22T12:00Z and 2026-11-22T10:00Z"),
        (ten, "2026-11-22T10:59:59Z", 60, "no whole period of 60 min"),
        (ten, noon, 7, "a period of 7 min is none of 1 min to a day"),
        (ten, noon, 0, "a period of 0 min"),
        (ten, noon, 2_880, "a period of 2880 min"),
        ("2026-11-21T00:00:00Z", noon, 1, "2160 periods are more than 1440"),
        ("2026-11-07T12:00:00Z", "2026-11-07T13:00:00Z", 1, "keeps periods of 1 min for 15 days"),
        ("2026-09-18T12:00:00Z", "2026-09-18T13:00:00Z", 5, "keeps periods of 5 min for 63 days"),
        ("2025-08-01T00:00:00Z", "2025-08-03T00:00:00Z", 60, "keeps periods of 60 min for 455 days"),
        // What is put together of 5 or 60 min makes no period that is not a multiple of these.
        ("2026-11-02T00:00:00Z", "2026-11-02T12:00:00Z", 12, "keeps periods of 12 min for 15 days"),
        ("2026-11-02T00:00:00Z", "2026-11-02T12:00:00Z", 72, "keeps periods of 72 min for 15 days"),
        ("2026-09-03T00:00:00Z", "2026-09-03T12:00:00Z", 90, "keeps periods of 90 min for 63 days"),
    ] {
        let error = periods(from, until, minutes, now).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

fn two_hours() -> Periods {
    periods("2026-11-22T10:00:00Z", "2026-11-22T13:00:00Z", 60, "2026-11-22T13:00:00Z").unwrap()
}

fn request(names: &[&str], dimensions: &[(&str, &str)]) -> Result<Request, String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Request::new(&names, &dimensions, "Shop", two_hours()).map_err(|error| error.to_string())
}

/// Values of the hours from 10:00 on; `None` is an hour without data.
fn hours(values: &[Option<f64>]) -> Result<MinuteValues, Unanswered> {
    let starts = two_hours().starts();
    Ok(starts.zip(values).filter_map(|(at, value)| value.map(|value| (at, value))).collect())
}

#[test]
fn what_is_asked_follows_from_the_kind_and_is_a_series_that_exists() {
    // Defect 42: of everything there were sums, averages and maxima, without dimensions.
    let statistics = |name: &str, dimensions: &[(&str, &str)]| {
        let queries = request(&[name], dimensions).unwrap().queries();
        assert!(queries.iter().all(|query| query.dimensions.len() == dimensions.len()));
        let place = format!("{} {}", queries[0].namespace, queries[0].name);
        (place, queries.into_iter().map(|query| query.statistic).collect::<Vec<_>>().join(" "))
    };
    for (name, dimensions, place, expected) in [
        ("contracts_created", &[][..], "Shop contracts_created", "Sum"),
        ("active_users", &[], "Shop active_users", "Average Maximum SampleCount"),
        ("api_request_duration", &[("service", "api")], "Shop api_request_duration", "p50 p95 p99 Maximum SampleCount"),
        ("contract_value", &[], "Shop contract_value", "p50 p95 p99 Maximum SampleCount"),
        ("function_errors", &[("function", "f")], "Shop function_errors", "Sum"),
        (
            "database_connections",
            &[("DBInstanceIdentifier", "db")],
            "AWS/RDS DatabaseConnections",
            "Average Maximum SampleCount",
        ),
        ("lambda_errors", &[("FunctionName", "f")], "AWS/Lambda Errors", "Sum"),
    ] {
        assert_eq!(statistics(name, dimensions), (place.to_owned(), expected.to_owned()), "{name}");
    }
    for (name, dimensions, says) in [
        ("contracts_made", &[][..], "there is no metric `contracts_made`"),
        ("contracts_created", &[("type", "x")], "is not put to CloudWatch by (type), but by (), (service), (role)"),
        ("function_errors", &[], "is not put to CloudWatch by (), but by (function)"),
        ("database_connections", &[], "is not put to CloudWatch by (), but by (DBInstanceIdentifier)"),
    ] {
        let error = request(&[name], dimensions).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn without_names_all_that_have_such_a_series_are_reported_in_their_order() {
    for dimensions in [&[][..], &[("service", "api")], &[("function", "f")]] {
        let request = request(&[], dimensions).unwrap();
        let names: Vec<&str> = request.series.iter().map(|asked| asked.name).collect();
        assert!(names.len() > 5 && names.is_sorted(), "{names:?}");
        assert_eq!(names.contains(&"active_users"), dimensions.is_empty());
        assert_eq!(names.contains(&"function_errors"), dimensions == [("function", "f")]);
    }
    // Those of AWS are by a dimension of AWS.
    let of_lambda = request(&[], &[("FunctionName", "f")]).unwrap();
    let names: Vec<&str> = of_lambda.series.iter().map(|asked| asked.name).collect();
    assert_eq!(names, ["lambda_delivery_failures", "lambda_errors", "lambda_invocations", "lambda_iterator_age"]);
    let queries = of_lambda.queries();
    assert!(queries.iter().all(|query| query.namespace == "AWS/Lambda" && query.dimensions["FunctionName"] == "f"));
    // No series at all is a mistake of whoever asks, and no report.
    for (dimensions, says) in [
        (&[("servce", "api")][..], "no metric is put to CloudWatch by (servce)"),
        (&[("FunctionName", "f"), ("service", "api")], "no metric is put to CloudWatch by (FunctionName, service)"),
    ] {
        let error = request(&[], dimensions).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    let twice = request(&["contracts_signed", "contracts_created", "contracts_signed"], &[]).unwrap();
    assert_eq!(
        twice.series.iter().map(|asked| asked.name).collect::<Vec<_>>(),
        ["contracts_created", "contracts_signed"]
    );
}

#[test]
fn a_gap_is_no_zero_and_an_error_is_no_gap() {
    let names = ["active_users", "api_request_duration", "contracts_created", "contracts_signed", "user_registrations"];
    let request = request(&names, &[]).unwrap();
    let refused = || Err(Unanswered { reason: "Forbidden".to_owned() });
    let answers = vec![
        // active_users: Average, Maximum, SampleCount
        hours(&[Some(10.0), None, Some(40.0)]),
        hours(&[Some(12.0), None, Some(55.0)]),
        hours(&[Some(3.0), None, Some(1.0)]),
        // api_request_duration
        hours(&[Some(100.0), Some(90.0), Some(120.0)]),
        refused(),
        hours(&[Some(900.0), Some(900.0), Some(900.0)]),
        hours(&[Some(6_000.5), Some(1_000.0), Some(900.0)]),
        hours(&[Some(10.0), Some(20.0), Some(30.0)]),
        // The counters
        hours(&[Some(0.0), Some(5.0), Some(2.5)]),
        hours(&[]),
        refused(),
    ];
    assert_eq!(request.queries().len(), answers.len());
    let report = request.report(answers);
    assert!(!report.is_complete());
    assert_eq!(
        report.to_string(),
        "\
2026-11-22T10:00Z to 2026-11-22T13:00Z, by 1 h (3), namespace Shop
active_users                   Count        last_average 40  average 17.5  maximum 55  (1 of 3 periods without data)
api_request_duration           Milliseconds p50 90 to 120  p99 900  maximum 6000.5  count 60  p95 NOT ANSWERED: Forbidden
contracts_created              Count        sum 7.5
contracts_signed               Count        no data
user_registrations             Count        Sum NOT ANSWERED: Forbidden
"
    );
    let json = serde_json::to_value(&report).unwrap();
    let metric = |at: usize| &json["metrics"][at];
    let gap = &metric(0)["statistics"]["Average"];
    assert_eq!(gap["gaps"], serde_json::json!(["2026-11-22T11:00Z"]));
    assert_eq!(gap["points"][1], serde_json::json!({ "at": "2026-11-22T12:00Z", "value": 40.0 }));
    let figures = serde_json::json!({ "last_average": 40.0, "average": 17.5, "maximum": 55.0 });
    assert_eq!(metric(0)["figures"], figures);
    assert_eq!(metric(1)["statistics"]["p95"], serde_json::json!({ "status": "error", "error": "Forbidden" }));
    assert_eq!(metric(1)["figures"].get("p95_highest"), None);
    assert_eq!(metric(3)["statistics"]["Sum"], serde_json::json!({ "status": "no_data" }));
    assert_eq!(metric(3)["figures"], serde_json::json!({}));
}

#[test]
fn an_answer_too_few_is_an_error_and_not_silence() {
    let report = request(&["contracts_created", "contracts_signed"], &[]).unwrap().report(vec![hours(&[Some(1.0)])]);
    assert!(!report.is_complete());
    assert_eq!(report.metrics[1].statistics["Sum"], Answer::Error { error: "there is no answer".to_owned() });
}

/// What CloudWatch says of its own: for 15 days it has each minute, then each five, and after 63 days each hour.
fn is_kept(from: Minute, minutes: i64, now: Timestamp) -> bool {
    let unit = match Minute::of(now).since(from) {
        ..=21_600 => 1,
        21_601..=90_720 => 5,
        90_721..=655_200 => 60,
        _ => return false,
    };
    minutes % unit == 0
}

proptest! {
    #[test]
    fn periods_are_whole_within_what_was_asked_and_miss_nothing_that_is(
        from in 0..2_000_000i64, length in 0..2_000_000i64, later in 4_000_000..45_000_000i64,
        minutes in prop::sample::select(vec![1, 5, 12, 15, 60, 72, 90, 360, 1_440]),
    ) {
        let base = at("2026-11-01T00:00:00Z");
        let (from, now) = (base + SignedDuration::from_secs(from), base + SignedDuration::from_secs(later));
        let until = from + SignedDuration::from_secs(length);
        let step = SignedDuration::from_mins(minutes);
        match Periods::between(from, until, minutes, now) {
            Ok(found) => {
                prop_assert!(found.from().start() >= from && found.from().start() < from + step);
                prop_assert!(found.until().start() <= until && found.until().start() + step > until);
                prop_assert!(found.starts().all(|start| start.start().as_second() % (minutes * 60) == 0));
                prop_assert!(is_kept(found.from(), minutes, now));
            }
            Err(RequestError::Empty { .. }) => prop_assert!(length < 2 * minutes * 60),
            Err(RequestError::Gone { from, .. }) => prop_assert!(!is_kept(from, minutes, now)),
            Err(error) => prop_assert!(matches!(error, RequestError::TooMany(_)), "{}", error),
        }
    }
}
