//! The day seen from outside: its lines are read back, and held against what was promised.

mod alerts;
mod observed;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use domain::events;
use domain::logs::archive;
use domain::logs::pipeline::Outcome;
use domain::logs::put_events::NewEvent;
use domain::metrics::registry::{self, Kind};
use serde_json::{Value, json};
use testkit::{pipeline, subscription};

use super::service::{DATABASE_LOG_GROUP, Service};
use super::*;
use observed::Observed;

static FULL: LazyLock<Observed> = LazyLock::new(|| Observed::of(&day(1.0)));
static TENTH: LazyLock<Observed> = LazyLock::new(|| Observed::of(&day(0.1)));

fn day(scale: f64) -> Day {
    // Midnight in Moscow.
    Day::new("2026-11-20T21:00Z".parse().unwrap(), 1440, 42, scale)
}

fn observed() -> [&'static Observed; 2] {
    [&FULL, &TENTH]
}

#[test]
fn a_day_has_a_hundred_to_a_hundred_and_fifty_thousand_lines() {
    let total = FULL.lines.len();
    assert!((100_000..150_000).contains(&total), "{total}");
    assert_eq!(FULL.by_group().len(), 6);
    assert!(TENTH.lines.len() * 4 < total);
}

#[test]
fn any_minute_is_the_same_whoever_asks_and_in_whatever_order() {
    let (one, other) = (day(1.0), day(1.0));
    for offset in [845, 0, 1439, 190, 620, 845] {
        let minute = one.start().plus(offset);
        let from_the_whole_day: Vec<Line> =
            FULL.lines.iter().filter(|line| Minute::of_epoch_millis(line.timestamp_ms) == minute).cloned().collect();
        assert_eq!(one.minute(minute), from_the_whole_day);
        assert_eq!(one.minute(minute), other.minute(minute));
    }
    let reseeded = Day::new(one.start(), 1440, 43, 1.0);
    assert_ne!(one.minute(one.start()), reseeded.minute(one.start()));
    assert!(one.minute(one.start().plus(-1)).is_empty() && one.minute(one.start().plus(1440)).is_empty());
}

#[test]
fn lines_stay_in_their_minute_and_in_the_order_of_time() {
    let day = day(1.0);
    for minute in day.minutes().step_by(7) {
        let mut last: BTreeMap<(String, String), i64> = BTreeMap::new();
        for line in day.minute(minute) {
            assert_eq!(Minute::of_epoch_millis(line.timestamp_ms), minute);
            let before = last.insert((line.log_group, line.log_stream), line.timestamp_ms);
            assert!(before.is_none_or(|before| before <= line.timestamp_ms));
        }
    }
}

#[test]
fn batches_hold_every_line_of_the_day_once_and_in_order() {
    let mut seen: BTreeMap<(String, String), Vec<NewEvent>> = BTreeMap::new();
    for (_, batches) in day(0.1).batches(7) {
        for batch in batches {
            seen.entry((batch.log_group, batch.log_stream)).or_default().extend(batch.events);
        }
    }
    assert!(seen.values().all(|lines| lines.is_sorted_by_key(|line| line.timestamp_millis)));
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), TENTH.lines.len());
    assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), day(0.1).log_streams().into_iter().collect());
}

#[test]
fn what_is_expected_is_what_reading_the_lines_finds() {
    for (observed, scale) in [(&*FULL, 1.0), (&*TENTH, 0.1)] {
        let expected = day(scale).expected();
        assert_eq!(expected.lines, observed.by_group());
        assert_eq!(expected.events, observed.events.len() as u64);
        assert_eq!(expected.total(), (observed.lines.len() + observed.events.len()) as u64);
        assert_eq!(expected.counters, observed.counters());
        assert_eq!(expected.continuations, observed.continuations());
        for counter in expected.counters.keys() {
            assert_eq!(registry::find(counter).unwrap().kind, Kind::Counter, "{counter}");
        }
    }
}

#[test]
fn events_are_what_their_schema_says_and_are_not_logged_too() {
    assert!(FULL.events.len() > 50 && TENTH.events.len() > 50);
    for event in &FULL.events {
        let body = json!({ "id": "1", "account": "123456789012", "time": "2026-11-21T10:05:03Z", "source": event.source,
                           "detail-type": event.detail_type,
                           "detail": serde_json::from_str::<Value>(&event.detail).unwrap() });
        let read = events::read(&body.to_string(), 0);
        assert!(read.line.is_ok(), "{:?}", read.line);
    }
    assert!(FULL.lines.iter().all(|line| !line.message.contains("user_registered")));
}

#[test]
fn lines_are_what_their_service_writes() {
    let mut plain = 0;
    for line in &FULL.lines {
        assert!(line.message.len() < 16 * 1024);
        match serde_json::from_str::<Value>(&line.message) {
            Ok(json) if json.get("context").is_some() => well_formed(line, &json),
            Ok(_) => assert_eq!(line.log_group, Service::Web.log_group()),
            Err(_) if line.log_group == DATABASE_LOG_GROUP => assert!(line.message[19..].starts_with(" UTC:")),
            Err(_) => plain += 1,
        }
    }
    assert!(plain > 20 && plain * 100 < FULL.lines.len(), "{plain}");
}

fn well_formed(line: &Line, json: &Value) {
    let service = json["context"]["service_name"].as_str().unwrap();
    assert_eq!(line.log_group, format!("/aws/ecs/production/{service}"));
    let timestamp = json["timestamp"].as_str().unwrap();
    let zoned = if service == "document" { format!("{timestamp}Z") } else { timestamp.to_owned() };
    let at: jiff::Timestamp = zoned.parse().unwrap();
    assert_eq!(at.as_millisecond(), line.timestamp_ms);
    if service == "document" {
        assert!(line.message.is_ascii());
        assert!(line.message.starts_with("{\"timestamp\": \"2026-11-2"));
        assert!(json["level"].as_str().unwrap().starts_with("LogLevel."));
        assert!(json.get("error").is_some() && json.get("duration_ms").is_some());
    }
}

#[test]
fn personal_data_is_in_the_lines_at_any_scale() {
    for observed in observed() {
        for planted in day(1.0).planted() {
            let found: BTreeSet<&str> = observed
                .lines
                .iter()
                .filter(|line| line.message.contains(planted))
                .map(|line| line.log_group.as_str())
                .collect();
            let groups = if planted::IN_PLACE.contains(planted) { 1 } else { 5 };
            assert!(found.len() >= groups, "{planted} in {found:?}");
        }
        assert!(observed.lines.iter().any(|line| line.message.contains("Договор")));
        assert!(observed.lines.iter().any(|line| line.message.contains("\\u0414\\u043e")));
    }
}

#[test]
fn personal_data_is_gone_once_a_line_is_read_and_redacted() {
    let (planted, mut searched) = (planted::PLANTED, 0);
    for line in FULL.lines.iter().filter(|line| planted.iter().any(|piece| line.message.contains(piece))) {
        let event = subscription::delivery(&line.log_group, &line.log_stream, &[(line.timestamp_ms, &line.message)]);
        let Outcome::Batch(processed) = pipeline::process(&event.to_string()) else { panic!("{event}") };
        let archived = archive::lines(&processed.archive[0].body).unwrap();
        assert!(!planted.iter().any(|piece| archived[0].contains(piece)), "{archived:?}");
        searched += 1;
    }
    assert!(searched > 300, "{searched}");
}
