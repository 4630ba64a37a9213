//! Laws of what Prometheus is told.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};

use domain::Minute;
use domain::metrics::flush::Delta;
use domain::metrics::prometheus::wire::{MetricType, WriteRequest};
use domain::metrics::prometheus::{FOLDED, Labels, MAX_SERIES, Name, State, StateError};
use domain::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};
use proptest::prelude::*;

fn tick(after: i64) -> Minute {
    "2026-11-21T10:05Z".parse::<Minute>().unwrap().plus(after)
}

fn key(name: &str, service: &str) -> SeriesKey {
    SeriesKey { name: name.into(), dimensions: Dimensions::from([("service".into(), service.into())]) }
}

fn delta(series: impl IntoIterator<Item = (SeriesKey, Aggregate)>) -> BTreeMap<Minute, Delta> {
    let mut set = SeriesSet::default();
    for (key, aggregate) in series {
        set.add(key, &aggregate);
    }
    BTreeMap::from([(tick(0), Delta { series: set, ..Delta::default() })])
}

/// What a tick sends where all is taken, by labels: first the zeros, then the values.
fn send(state: &mut State, tick: Minute) -> Vec<BTreeMap<Labels, (i64, f64)>> {
    let (shared, none) = (Labels::new(), BTreeSet::<Name>::new());
    let all = |requests: Vec<WriteRequest>| {
        let series = requests.into_iter().flat_map(|request| request.timeseries);
        series
            .map(|series| {
                let labels = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
                (labels, (series.samples[0].timestamp, series.samples[0].value))
            })
            .collect()
    };
    let messages = |requests: &[domain::metrics::prometheus::Request]| -> Vec<WriteRequest> {
        requests.iter().map(|request| WriteRequest::parse(&request.encode()).unwrap()).collect()
    };
    let zeros = messages(&state.zeros(&shared));
    state.announced(&none, &none, tick);
    let values = messages(&state.values(&shared));
    state.delivered(&none, &none, tick);
    vec![all(zeros), all(values)]
}

proptest! {
    #[test]
    fn what_is_cumulative_never_falls_and_comes_to_the_sum_of_all_sweeps(
        sweeps in prop::collection::vec(
            prop::collection::vec((0..3usize, 0..3usize, 1..100_000u32), 0..12), 1..12
        ),
        repeated in any::<u64>(),
    ) {
        let mut state = State::default();
        let mut last: BTreeMap<Labels, (i64, f64)> = BTreeMap::new();
        let (mut requests, mut count, mut milliseconds) = (0.0, 0.0, 0.0);
        for (number, points) in sweeps.iter().enumerate() {
            let series = points.iter().map(|&(metric, service, value)| {
                let name = ["api_requests", "api_request_duration", "cpu_usage_percent"][metric];
                (key(name, ["api", "web", "contract"][service]), Aggregate::of(f64::from(value), number as i64))
            });
            let of = |wanted: usize| points.iter().filter(move |point| point.0 == wanted).map(|point| f64::from(point.2));
            requests += of(0).sum::<f64>();
            count += of(1).count() as f64;
            milliseconds += of(1).sum::<f64>();
            let delta = delta(series);
            let now = tick(number as i64);
            prop_assert!(state.apply(number as u64, now, &delta).is_some());
            if repeated >> number & 1 == 1 {
                prop_assert_eq!(state.apply(number as u64, now, &delta), None);
            }
            state.decide(now);
            state = State::parse(&state.to_object().body).unwrap();
            for told in send(&mut state, now) {
                for (labels, (at, value)) in told {
                    let is_gauge = labels["__name__"] == "cpu_usage_percent";
                    let (before, held) = last.insert(labels.clone(), (at, value)).unwrap_or((i64::MIN, 0.0));
                    prop_assert!(at > before, "{labels:?} at {at} after {before}");
                    prop_assert!(is_gauge || before > i64::MIN || value == 0.0, "{labels:?} begins with {value}");
                    prop_assert!(is_gauge || value >= held, "{labels:?} falls from {held} to {value}");
                }
            }
            // Buckets are cumulative as well.
            for (labels, (_, value)) in last.iter().filter(|(labels, _)| labels.contains_key("le")) {
                let bound = |labels: &Labels| labels["le"].parse::<f64>().unwrap();
                let same = |other: &Labels| other.get("service") == labels.get("service") && other.contains_key("le");
                let lower = last.iter().filter(|(other, _)| same(other) && bound(other) < bound(labels));
                prop_assert!(lower.into_iter().all(|(_, (_, lower))| lower <= value), "{labels:?}");
            }
        }
        let total = |name: &str| -> f64 {
            let of_name = last.iter().filter(|(labels, _)| labels["__name__"] == name);
            of_name.map(|(_, (_, value))| value).sum()
        };
        prop_assert_eq!(total("api_requests_total"), requests);
        prop_assert_eq!(total("api_request_duration_seconds_count"), count);
        prop_assert!((total("api_request_duration_seconds_sum") - milliseconds / 1000.0).abs() < 1e-6);
    }
}

/// 5,000 series as a busy platform has them: two fifths of them histograms.
fn many() -> BTreeMap<Minute, Delta> {
    delta((0..5_000).map(|number| {
        let name = ["api_requests", "api_request_duration", "log_entries", "cpu_usage_percent", "operation_duration"]
            [number % 5];
        let dimensions = [
            ("service", format!("service-{}", number % 20)),
            ("endpoint", format!("/contracts/{{id}}/documents/{}", number / 20)),
            ("method", "GET".to_owned()),
        ];
        let dimensions = dimensions.map(|(name, value)| (name.to_owned(), value)).into();
        let mut aggregate = Aggregate::of(1.0, tick(0).start().as_millisecond());
        for value in 1..100 {
            aggregate.merge(&Aggregate::of(f64::from(value * value * (number as i32 % 7 + 1)), 0));
        }
        (SeriesKey { name: name.into(), dimensions }, aggregate)
    }))
}

#[test]
fn the_state_of_five_thousand_series_and_its_requests_stay_small() {
    let mut state = State::default();
    let minutes = many();
    let counted = state.apply(1, tick(1), &minutes).unwrap();
    assert_eq!((counted.series, counted.folded, counted.left_out), (5_000, 0, 0));
    state.decide(tick(1));
    let body = state.to_object().body;
    let shared = Labels::new();
    let zeros = state.zeros(&shared).len();
    state.announced(&BTreeSet::new(), &BTreeSet::new(), tick(1));
    let requests = state.values(&shared);
    let samples: usize = requests.iter().map(|request| request.samples()).sum();
    let largest = requests.iter().map(|request| request.encode().len()).max().unwrap();
    println!(
        "5,000 series: a state of {} bytes; {zeros} requests of zeros, {} of {samples} samples, the largest {largest} bytes",
        body.len(),
        requests.len()
    );
    assert!(body.len() < 1_500_000, "{} bytes", body.len());
    assert!(largest <= 1_000_000 && requests.iter().all(|request| request.samples() <= 2_000));
    assert_eq!(samples, 3_000 + 1_000 * (13 + 2) + 1_000 * (16 + 2));
    assert_eq!(State::parse(&body).unwrap().len(), 5_000);
}

#[test]
fn series_beyond_the_limit_are_counted_together() {
    let mut state = State::default();
    let series = (0..MAX_SERIES + 50).map(|number| (key("api_requests", &format!("s{number}")), Aggregate::of(2.0, 0)));
    let now = tick(0).start().as_millisecond();
    let gauge = (key("cpu_usage_percent", "too-many"), Aggregate::of(1.0, now));
    let counted = state.apply(1, tick(0), &delta(series.chain([gauge]))).unwrap();
    // The gauge comes last, by its name, and finds no room.
    assert_eq!((counted.series, counted.folded, counted.left_out), (MAX_SERIES + 50, 50, 1));
    assert_eq!(state.len(), MAX_SERIES + 1);
    state.decide(tick(0));
    let [_, values] = &send(&mut state, tick(0))[..] else { panic!("two phases") };
    assert_eq!(values.values().map(|(_, value)| value).sum::<f64>(), 2.0 * (MAX_SERIES + 50) as f64);
    let folded = values.iter().find(|(labels, _)| labels["service"] == FOLDED).unwrap();
    assert_eq!(folded.1.1, 100.0);
}

#[test]
fn what_has_no_place_is_left_out_and_told() {
    let mut state = State::default();
    let now = tick(0).start().as_millisecond();
    let counted = state.apply(
        1,
        tick(61),
        &delta([
            (key("nobody_registered_this", "api"), Aggregate::of(1.0, now)),
            (key("api_requests", "api"), Aggregate::of(-1.0, now)),
            (key("cpu_usage_percent", "old"), Aggregate::of(1.0, now)),
            (key("cpu_usage_percent", "new"), Aggregate::of(1.0, now + 120_000)),
        ]),
    );
    assert_eq!(counted.map(|counted| (counted.series, counted.left_out)), Some((1, 3)));
}

/// A series limit passes: what was counted meanwhile is told then, also of a series that does not grow any more.
#[test]
fn a_new_series_that_was_refused_is_tried_again_before_it_is_forgotten() {
    let mut state = State::default();
    let (shared, none) = (Labels::new(), BTreeSet::<Name>::new());
    state.apply(1, tick(0), &delta([(key("contracts_created", "api"), Aggregate::of(5.0, 0))]));
    state.decide(tick(0));
    let refused: BTreeSet<Name> = state.zeros(&shared).iter().flat_map(|request| request.names()).collect();
    assert_eq!(refused.len(), 1);
    state.announced(&refused, &none, tick(0));
    for after in 1..60 {
        state.decide(tick(after));
        assert_eq!(send(&mut state, tick(after)), [BTreeMap::new(), BTreeMap::new()], "minute {after}");
    }
    state.decide(tick(60));
    let [zeros, values] = &send(&mut state, tick(60))[..] else { panic!("two phases") };
    assert_eq!(zeros.values().map(|(_, value)| *value).collect::<Vec<_>>(), [0.0]);
    assert_eq!(values.values().map(|(_, value)| *value).collect::<Vec<_>>(), [5.0]);
}

#[test]
fn a_gauge_that_is_ahead_of_its_time_hides_no_later_one() {
    let mut state = State::default();
    let at = |after: i64| tick(after).start().as_millisecond();
    state.apply(1, tick(0), &delta([(key("cpu_usage_percent", "api"), Aggregate::of(99.0, at(120)))]));
    state.apply(2, tick(3), &delta([(key("cpu_usage_percent", "api"), Aggregate::of(10.0, at(3)))]));
    state.decide(tick(3));
    assert_eq!(send(&mut state, tick(3))[1].values().next(), Some(&(at(3), 10.0)));
}

#[test]
fn a_gauge_shows_the_value_with_the_latest_event_whatever_order_they_come_in() {
    let mut state = State::default();
    let now = tick(0).start().as_millisecond();
    for (sweep, after, value) in [(1, 5, 10.0), (2, 3, 99.0), (3, 9, 20.0), (4, 8, 98.0)] {
        state.apply(sweep, tick(0), &delta([(key("cpu_usage_percent", "api"), Aggregate::of(value, now + after))]));
    }
    state.decide(tick(0));
    assert_eq!(send(&mut state, tick(0))[1].values().next(), Some(&(now, 20.0)));
}

#[test]
fn a_family_with_other_buckets_begins_anew_and_another_version_is_an_error() {
    let mut state = State::default();
    let slow = [
        (key("api_request_duration", "api"), Aggregate::of(1.0, 0)),
        (key("api_requests", "api"), Aggregate::of(1.0, 0)),
    ];
    state.apply(1, tick(0), &delta(slow));
    let body = String::from_utf8(state.to_object().body).unwrap();
    let other = body.replace("\"bounds\":[0.005,", "\"bounds\":[0.004,");
    assert_ne!(body, other);
    assert_eq!(State::parse(other.as_bytes()).unwrap().len(), 1);
    let other = body.replace("\"version\":1", "\"version\":2");
    assert!(matches!(State::parse(other.as_bytes()), Err(StateError::Version(2))));
    assert!(matches!(State::parse(b"{}x"), Err(StateError::Json(_))));
}

#[test]
fn what_is_refused_is_kept_as_people_read_it() {
    let mut state = State::default();
    state.apply(1, tick(0), &delta([(key("api_requests", "api"), Aggregate::of(1.5, 0))]));
    state.decide(tick(0));
    let shared = Labels::from([("environment".to_owned(), "test".to_owned()), ("service".to_owned(), "x".to_owned())]);
    let requests = state.zeros(&shared);
    let [request] = &requests[..] else { panic!("one request") };
    assert_eq!(request.message().metadata[0].r#type, MetricType::Counter as i32);
    let object = request.refused("answered 400: no");
    assert!(object.key.starts_with("quarantine/prometheus/dt=2026-11-21/"), "{}", object.key);
    let text = String::from_utf8(object.body).unwrap();
    let labels = r#"{\"__name__\":\"api_requests_total\",\"environment\":\"test\",\"service\":\"api\"}"#;
    assert!(text.contains("answered 400: no") && text.contains(labels), "{text}");
}
