//! Histories that are made up, played; and the law that a backtest does what the evaluator did.

use proptest::prelude::*;

use super::table::lasting;
use super::*;
use crate::alerting::engine::evaluate;
use crate::alerting::rules::Variables;
use crate::alerting::testing::minute;
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey};

fn rules(text: &str) -> RuleSet {
    let text = format!("version: 1\nrules:\n{text}");
    RuleSet::load("rules.yaml", &text, &Variables::new()).unwrap_or_else(|error| panic!("{error}"))
}

/// Contract creation errors of more than `limit` in a minute, kept firing for `keep`.
fn errors(limit: u64, keep: &str) -> String {
    format!(
        "- {{id: errors, class: business, severity: error, queries: {{e: {{metric: contract_creation_errors, stat: Sum, \
         fill: zero}}}}, expr: e, window: {{over: 1m}}, when: {{gt: {limit}}}, keep_firing_for: {keep}, group_by: \
         [service], annotations: {{summary: \"{{{{value}}}} errors\"}}}}\n"
    )
}

/// A rollup in which `service` has so many contract creation errors.
fn rollup(at: Minute, service: &str, value: f64) -> Rollup {
    let dimensions =
        Dimensions::from([("service".to_owned(), service.to_owned()), ("reason".to_owned(), "x".to_owned())]);
    let key = SeriesKey { name: "contract_creation_errors".to_owned(), dimensions };
    let mut rollup = Rollup::empty(at);
    rollup.series.add(key, &Aggregate::of(value, at.start().as_millisecond()));
    rollup
}

/// Plays a letter a minute: `.` nothing recorded, a digit so many errors of the service api.
fn played(rules: &RuleSet, history: &str, counted_from: i64, flap_within: i64) -> Report {
    let policy = Policy::default();
    let mut past = PastMetrics::default();
    let mut backtest = Backtest::new(rules, &policy, minute(counted_from), flap_within);
    for (at, letter) in history.chars().enumerate() {
        let at = minute(at as i64);
        let rollup = letter.to_digit(10).map(|errors| rollup(at, "api", f64::from(errors)));
        past.take_in(at, rollup.as_ref());
        backtest.play(at, &past);
    }
    backtest.report(minute(history.len() as i64))
}

#[test]
fn a_report_says_how_often_for_how_long_and_how_it_flaps() {
    let rules = rules(&errors(3, "0m"));
    for (why, history, counted_from, (fired, firing, longest, flaps)) in [
        ("nothing", "0000000000", 0, (0, 0, 0, 0)),
        ("once, for three minutes", "0055500000", 0, (1, 3, 3, 0)),
        ("again, two minutes later", "0550055550", 0, (2, 6, 4, 1)),
        ("again, long after", "0550000055", 0, (2, 4, 2, 0)),
        ("it fires until the end", "0000000055", 0, (1, 2, 2, 0)),
        ("what began before does not count as begun", "0555550000", 3, (0, 3, 3, 0)),
        ("what ended before does not count", "0550000000", 3, (0, 0, 0, 0)),
        ("a flap against what ended before", "0550550000", 3, (1, 2, 2, 1)),
        ("no rollup is nothing counted", "0055..5000", 0, (2, 3, 2, 1)),
    ] {
        let report = played(&rules, history, counted_from, 3);
        let rule = &report.rules[0];
        let found = (rule.fired, rule.firing_minutes, rule.longest_minutes, rule.flaps);
        assert_eq!(found, (fired, firing, longest, flaps), "{why}: {rule:?}");
    }
}

#[test]
fn notifications_are_those_of_the_policy() {
    // FIRING and RESOLVED, each of both times.
    let report = played(&rules(&errors(3, "0m")), "0550000000000000000000000000000550000000000", 0, 3);
    assert_eq!((report.notifications, report.rules[0].notifications), (4, 4));
    // Those before the first minute that counts are sent, but not counted.
    let report = played(&rules(&errors(3, "0m")), "0550000000000000000000000000000550000000000", 20, 3);
    assert_eq!((report.notifications, report.rules[0].notifications), (2, 2));
}

#[test]
fn a_lack_of_data_is_told_and_counted() {
    let rules = rules(
        "- {id: users, class: business, severity: warning, queries: {u: {metric: active_users, stat: Average}}, expr: u, \
         window: {over: 1m}, when: {lt: 1}, missing: nodata, annotations: {summary: x}}\n",
    );
    let report = played(&rules, "0000000000", 0, 3);
    assert_eq!(report.rules[0].nodata_minutes, 10);
    // The alert about it is none of the file, and is told all the same.
    let other = report.rules.iter().find(|rule| rule.rule == "no_data").unwrap();
    assert_eq!((other.severity, other.fired), ("-", 1));
}

#[test]
fn what_cloudwatch_does_not_answer_is_an_error_of_the_rule() {
    let text = "- {id: connections, class: database, severity: warning, queries: {c: {metric: database_connections, stat: \
                Average, where: {DBInstanceIdentifier: db}}}, expr: c, window: {over: 2m}, when: {gt: 75}, annotations: \
                {summary: x}}\n";
    let (rules, policy) = (rules(text), Policy::default());
    let read = foreign_read_of(&rules, minute(0), minute(9));
    assert_eq!((read.queries.len(), read.from, read.until), (1, minute(-1), minute(10)));
    let answer = |values: [f64; 10]| {
        let values = values.iter().enumerate().map(|(at, value)| (minute(at as i64), *value)).collect();
        ForeignValues::from([(read.queries[0].clone(), values)])
    };
    for (answers, (fired, firing, errors)) in [
        (ForeignValues::new(), (0, 0, 10)),
        (answer([30.0, 30.0, 90.0, 90.0, 90.0, 30.0, 30.0, 30.0, 30.0, 30.0]), (1, 2, 0)),
    ] {
        let mut past = PastMetrics::default();
        past.answered(answers);
        let mut backtest = Backtest::new(&rules, &policy, minute(0), 3);
        for at in 0..10 {
            past.take_in(minute(at), None);
            backtest.play(minute(at), &past);
        }
        let report = backtest.report(minute(10));
        let rule = &report.rules[0];
        assert_eq!((rule.fired, rule.firing_minutes, rule.error_minutes), (fired, firing, errors));
    }
}

#[test]
fn no_more_is_held_than_the_engine_looks_at() {
    let mut past = PastMetrics::default();
    for at in 0..3_000 {
        past.take_in(minute(at), Some(&rollup(minute(at), "api", 1.0)));
        assert!(past.recent.minutes.len() as i64 <= SPAN_MINUTES);
    }
    assert_eq!(past.recent.minutes.keys().next(), Some(&minute(3_001 - SPAN_MINUTES)));
}

#[test]
fn a_rule_is_warm_once_it_has_seen_what_it_waits_for() {
    let slo = "- {id: slo, kind: slo, class: availability, objective: 99.9, bad: {metric: api_requests, where: {status_code: \
               5xx}}, total: {metric: api_requests}, annotations: {summary: x}}\n";
    let heartbeat = "- {id: job, kind: heartbeat, class: business, severity: warning, metric: contracts_created, every: 1d, \
                     grace: 1h, annotations: {summary: x}}\n";
    for (text, expected) in [
        (errors(3, "0m"), SPAN_MINUTES),
        (errors(3, "3h"), 181),
        (slo.to_owned(), 4_320),
        (heartbeat.to_owned(), 1_500),
    ] {
        assert_eq!(warm_up(&rules(&text)), expected, "{text}");
    }
}

#[test]
fn long_silences_of_everything_are_told() {
    let mut coverage = Coverage::default();
    let recorded = |at: i64| !matches!(at, 10..25 | 30..44 | 80..100);
    (0..100).for_each(|at| coverage.note(minute(at), recorded(at)));
    coverage.end(minute(100));
    let gap = |from, until| Gap { from: minute(from), until: minute(until) };
    assert_eq!(coverage.gaps, [gap(10, 25), gap(80, 100)], "14 minutes are no gap");
    assert_eq!((coverage.played, coverage.recorded), (100, 51));
}

#[test]
fn a_diff_says_what_fires_no_more_what_is_new_and_when() {
    let history = "0055500000000000000900000000000";
    let both = |limit: u64, more: &str| rules(&format!("{}{more}", errors(limit, "0m")));
    let more = errors(0, "0m").replace("id: errors", "id: any_error");
    let before = played(&both(3, &more), history, 0, 3);
    let after = played(&both(7, &more.replace("any_error", "one_error")), history, 0, 3);
    let diff = Diff::between(&before, &after);
    let changes: Vec<(&str, Change)> = diff.rules.iter().map(|rule| (rule.rule.as_str(), rule.change)).collect();
    assert_eq!(changes, [("errors", Change::Changed), ("one_error", Change::New), ("any_error", Change::Gone)]);
    let errors = &diff.rules[0];
    let since = |episodes: &[Played]| episodes.iter().map(|played| played.since.since(minute(0))).collect::<Vec<_>>();
    assert_eq!((since(&errors.gone), since(&errors.new)), (vec![2], vec![]));
    let same = Diff::between(&before, &before);
    assert!(same.rules.iter().all(|rule| rule.change == Change::Same && rule.gone.is_empty() && rule.new.is_empty()));
    assert_eq!(same.to_string(), "no rule does anything else\n2 rules do the same; 4 notifications become 4\n");
    let expected = [
        "          rule       fired   firing  longest  flaps   sent  nodata   error",
        "changed - errors         2       4m       3m      0      4       0       0",
        "        +                1       1m       1m      0      2       0       0",
        "        -   2026-11-21T10:02Z to 2026-11-21T10:05Z (3m) service=api",
    ];
    let told = diff.to_string();
    assert_eq!(told.lines().take(4).collect::<Vec<_>>(), expected, "{told}");
}

#[test]
fn tables_fit_a_hundred_columns_whatever_the_rules_are_called() {
    let long = "a".repeat(48);
    let text = format!("{}{}", errors(3, "0m"), errors(3, "0m").replace("id: errors", &format!("id: {long}")));
    let report = played(&rules(&text), "05550000000", 0, 3);
    let none = Report { rules: Vec::new(), ..report.clone() };
    for told in
        [report.to_string(), Diff::between(&none, &report).to_string(), Diff::between(&report, &none).to_string()]
    {
        assert!(told.lines().all(|line| line.len() <= 100), "{told}");
        assert!(told.contains(&long), "{told}");
    }
    let total = report.to_string();
    let total = total.lines().last().unwrap();
    assert!(total.starts_with("all ") && total.contains(" 6m ") && total.contains(" 3m "), "{total}");
}

#[test]
fn lengths_of_time_are_short() {
    for (minutes, expected) in [
        (0, "0"),
        (40, "40m"),
        (60, "1h"),
        (72, "1h12m"),
        (1_439, "23h59m"),
        (1_440, "1d"),
        (4_560, "3d4h"),
        (575_999, "399d23h"),
    ] {
        assert_eq!(lasting(minutes), expected);
        assert!(expected.len() <= 7);
    }
}

proptest! {
    /// However the evaluator's ticks came (each minute, or some at once after a pause), it has told the same.
    #[test]
    fn a_backtest_does_what_the_evaluator_did(
        history in prop::collection::vec((0..3u8, 0..6u32), 30..90),
        pauses in prop::collection::vec(1..9i64, 90),
    ) {
        let rules = rules(&errors(3, "3m"));
        let policy = Policy::default();
        let rollup_of = |at: usize| {
            let (recorded, value) = history[at];
            (recorded > 0).then(|| rollup(minute(at as i64), if recorded == 1 { "api" } else { "web" }, f64::from(value)))
        };
        let mut past = PastMetrics::default();
        let mut backtest = Backtest::new(&rules, &policy, minute(0), 3);
        for at in 0..history.len() {
            past.take_in(minute(at as i64), rollup_of(at).as_ref());
            backtest.play(minute(at as i64), &past);
        }
        let last = history.len() as i64;
        let played = backtest.report(minute(last)).rules.swap_remove(0).episodes;

        let mut recent = RecentRollups::default();
        let (mut state, mut told, mut from) = (None, Vec::new(), 0);
        for pause in pauses {
            let to = (from + pause - 1).min(last - 1);
            if from > to {
                break;
            }
            (from..=to).filter_map(|at| rollup_of(at as usize)).for_each(|rollup| recent.update(&rollup));
            recent.flushed(minute(to + 3));
            recent.forget(minute(to + 3));
            let foreign = ForeignValues::new();
            let due = Due { from: minute(from), to: minute(to), skipped: 0 };
            let tick = Tick::new(minute(to + 3).start(), Some(due), &rules, &recent, &foreign);
            let outcome = evaluate(&tick, state.take());
            told.extend(outcome.changes);
            state = Some(outcome.state);
            from = to + 1;
        }
        let mut turned: Vec<(Minute, &Labels, bool)> =
            told.iter().map(|episode| (episode.at(), &episode.labels, episode.is_firing())).collect();
        let mut expected: Vec<(Minute, &Labels, bool)> = played
            .iter()
            .flat_map(|one| [Some((one.since, &one.labels, true)), one.until.map(|end| (end, &one.labels, false))])
            .flatten()
            .collect();
        turned.sort();
        expected.sort();
        prop_assert_eq!(turned, expected);
    }
}
