//! Stories of alerts, a tick at a time, and laws that hold for all of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::alerting::rules::Variables;
use crate::alerting::testing::minute;
use crate::metrics::rollup::Rollup;
use crate::metrics::series::{Aggregate, SeriesKey};

mod flusher;
mod kinds;
mod laws;

/// An evaluator with its metrics.
struct Story {
    rules: RuleSet,
    recent: RecentRollups,
    foreign: ForeignValues,
    state: Option<AlertState>,
    /// All that has changed so far.
    changes: Vec<Episode>,
    /// Where it is, the flusher's ticks do not come.
    flusher_stopped: bool,
}

impl Story {
    /// With rules that are written without the file around them.
    fn of(rules: &str) -> Story {
        let (recent, foreign) = (RecentRollups::default(), ForeignValues::new());
        Story { rules: rules_of(rules), recent, foreign, state: None, changes: Vec::new(), flusher_stopped: false }
    }

    /// A value that comes in a minute, of a metric by its `service`, or without dimensions where that is empty.
    fn put(&mut self, at: i64, name: &str, service: &str, value: f64) {
        let service = Some(("service", service)).filter(|(_, service)| !service.is_empty());
        self.put_with(at, name, service.as_slice(), value);
    }

    fn put_with(&mut self, at: i64, name: &str, dimensions: &[(&str, &str)], value: f64) {
        let dimensions = dimensions.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut rollup = Rollup::empty(minute(at));
        let aggregate = Aggregate::of(value, minute(at).start().as_millisecond());
        rollup.series.add(SeriesKey { name: name.to_owned(), dimensions }, &aggregate);
        match self.recent.minutes.get_mut(&minute(at)) {
            Some(held) => held.merge(&rollup.series.roll_up()),
            None => self.recent.update(&rollup),
        }
    }

    /// Flushes, evaluates everything up to `to` and answers what was told.
    fn tick(&mut self, to: i64) -> Vec<String> {
        self.tick_with(to, &[])
    }

    fn tick_with(&mut self, to: i64, problems: &[FileProblem]) -> Vec<String> {
        let now = minute(to + 1);
        if !self.flusher_stopped {
            self.recent.flushed(now);
            self.recent.forget(now);
        }
        let due = match due(self.state.as_ref(), now.start(), self.recent.flushed_until, Duration::ZERO) {
            Ok(due) => due,
            Err(why) => return vec![format!("{why:?}")],
        };
        let tick = Tick { problems, ..Tick::new(now.start(), Some(due), &self.rules, &self.recent, &self.foreign) };
        let outcome = evaluate(&tick, self.state.take());
        self.state = Some(outcome.state);
        outcome.changes.iter().inspect(|change| self.changes.push((*change).clone())).map(line).collect()
    }

    /// Alerts of the rules, without those about their health.
    fn alerts(&self) -> impl Iterator<Item = &Alert> {
        let alerts = self.state.iter().flat_map(|state| state.alerts.values());
        alerts.filter(|alert| ![NO_DATA, EVALUATION_ERROR].contains(&alert.rule.as_str()))
    }

    fn health(&self) -> Vec<Health> {
        self.alerts().map(|alert| alert.health).collect()
    }

    fn phases(&self) -> Vec<&'static str> {
        self.alerts().map(|alert| alert.phase.name()).collect()
    }
}

fn rules_of(rules: &str) -> RuleSet {
    let text = format!("version: 1\nrules:\n{rules}");
    RuleSet::load("rules.yaml", &text, &Variables::new()).unwrap_or_else(|error| panic!("{error}"))
}

/// `13 firing failures contract 4`
fn line(episode: &Episode) -> String {
    let transition = episode.transition();
    let turned = transition.turned.as_str().to_owned();
    let mut words = vec![transition.at.since(minute(0)).to_string(), turned, transition.rule.clone()];
    words.extend(transition.labels.values().cloned());
    words.push(transition.value.map_or_else(|| "none".to_owned(), crate::alerting::condition::display_value));
    words.join(" ")
}

const FAILURES: &str = "
- id: failures
  class: business
  severity: error
  queries: {errors: {metric: contract_creation_errors, stat: Sum, fill: zero}}
  expr: errors
  window: {over: 3m}
  when: {gt: 3}
  group_by: [service]
  annotations: {summary: '{{value}} failures'}
";

/// A gauge with the given further fields.
fn gauge(fields: &str) -> String {
    format!(
        "- {{id: users, class: business, severity: info, queries: {{q: {{metric: active_users, stat: Maximum}}}}, \
         expr: q, window: {{over: 1m}}, when: {{gt: 80}}, annotations: {{summary: '{{{{value}}}}'}}, {fields}}}\n"
    )
}

#[test]
fn an_alert_fires_once_and_resolves_once() {
    // Defects 12 (the average of increments is 1, and never more than 3), 13 and 14.
    let mut story = Story::of(FAILURES);
    let mut told = Vec::new();
    for at in 0..20 {
        for _ in 0..if (5..8).contains(&at) { 2 } else { 0 } {
            story.put(at, "contract_creation_errors", "contract", 1.0);
        }
        told.extend(story.tick(at));
    }
    assert_eq!(told, ["6 firing failures contract 4", "9 resolved failures contract 2"]);
}

#[test]
fn each_group_is_an_alert_of_its_own() {
    let mut story = Story::of(FAILURES);
    story.put(1, "contract_creation_errors", "contract", 9.0);
    assert_eq!(story.tick(1), ["1 firing failures contract 9"]);
    story.put(2, "contract_creation_errors", "web", 5.0);
    assert_eq!(story.tick(2), ["2 firing failures web 5"]);
    assert_eq!(story.tick(5), ["4 resolved failures contract 0", "5 resolved failures web 0"]);
}

#[test]
fn a_young_system_is_not_a_silent_one() {
    // Defect 11: it has to fire on silence, but not because the system is five minutes old.
    let mut story = Story::of(
        "- {id: low, class: business, severity: warning, queries: {q: {metric: user_registrations, stat: Sum, fill: zero}},
           expr: q, window: {over: 60m}, when: {lt: 5}, annotations: {summary: s}}\n",
    );
    for at in 0..59 {
        story.put(at, "user_registrations", "user", if at == 3 { 1.0 } else { 0.0 });
        assert!(story.tick(at).is_empty(), "minute {at}");
    }
    assert_eq!(story.tick(59), ["59 firing low 1"]);
}

#[test]
fn what_is_too_much_already_fires_although_the_window_is_not_full() {
    let mut story = Story::of(FAILURES);
    story.put(0, "contract_creation_errors", "contract", 50.0);
    assert_eq!(story.tick(0), ["0 firing failures contract 50"]);
}

#[test]
fn a_part_of_a_window_says_nothing_of_what_the_rest_may_turn() {
    // One bad minute is no average of five, and what is subtracted may be yet to come.
    let cpu = "
- {id: cpu, class: performance, severity: warning, queries: {q: {metric: active_users, stat: Average}}, expr: q,
   window: {over: 5m}, when: {gt: 80}, annotations: {summary: s}}
";
    let few = "
- {id: few, class: business, severity: warning, queries: {q: {metric: user_registrations, stat: Sum, fill: zero}},
   expr: 100 - q, window: {over: 5m}, when: {gt: 50}, annotations: {summary: s}}
";
    let mut story = Story::of(&format!("{cpu}{few}"));
    let mut told = Vec::new();
    for (at, value) in (0..).zip([99.0, 10.0, 10.0, 10.0, 10.0, 10.0]) {
        story.put(at, "active_users", "", value);
        story.put(at, "user_registrations", "user", 30.0);
        told.extend(story.tick(at));
    }
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_rule_that_groups_otherwise_leaves_no_alert_that_comes_and_goes() {
    let rules = |group_by: &str| {
        format!(
            "- {{id: low, class: business, severity: warning, expr: q, window: {{over: 1m}}, when: {{lt: 1}},
               queries: {{q: {{metric: contract_creation_errors, stat: Sum, fill: zero}}}}, group_by: {group_by},
               annotations: {{summary: s}}}}\n"
        )
    };
    let mut story = Story::of(&rules("[service]"));
    story.put(0, "contract_creation_errors", "contract", 1.0);
    assert!(story.tick(0).is_empty());
    assert_eq!(story.tick(1), ["1 firing low contract 0"]);
    story.rules = rules_of(
        &rules("[service]").replace("[service]", "[]").replace("contract_creation_errors", "user_registrations"),
    );
    let told: Vec<String> = (2..8).flat_map(|at| story.tick(at)).collect();
    assert_eq!(told, ["2 resolved low contract none", "2 firing low 0"]);
}

#[test]
fn the_minute_that_is_not_over_is_not_evaluated() {
    // Defect 5. The delay is that of the rule file.
    let at = |time: &str| format!("2026-11-21T{time}Z").parse::<Timestamp>().unwrap();
    let mut state = AlertState::starting(minute(0));
    let delay = Duration::from_secs(90);
    for (why, evaluated_until, now, flushed, expected) in [
        ("the first tick ever", None, "10:05:00", Some(5), Ok((2, 2, 0))),
        ("a tick a minute", Some(1), "10:05:00", Some(5), Ok((2, 2, 0))),
        ("just before the delay is over", Some(2), "10:05:29", Some(5), Err(NotDue::UpToDate)),
        ("just when it is", Some(2), "10:05:30", Some(6), Ok((3, 3, 0))),
        ("ticks were missed", Some(1), "10:10:00", Some(10), Ok((2, 7, 0))),
        ("a tick that comes again", Some(7), "10:10:00", Some(10), Err(NotDue::UpToDate)),
        ("a tick that comes late", Some(7), "10:05:00", Some(10), Err(NotDue::UpToDate)),
        ("away for longer than the rollups reach", Some(1), "13:00:00", Some(180), Ok((61, 177, 59))),
        ("the flusher has never been there", None, "10:05:00", None, Err(NotDue::WaitingForMetrics)),
        ("it is gone", Some(1), "10:05:00", None, Err(NotDue::WaitingForMetrics)),
        ("the flusher has stopped", Some(2), "10:30:00", Some(5), Err(NotDue::WaitingForMetrics)),
        ("the flusher is a tick behind", Some(1), "10:06:00", Some(5), Ok((2, 2, 0))),
        ("the flusher is back", Some(2), "10:30:00", Some(30), Ok((3, 27, 0))),
        ("the flusher was away for longer than it keeps", Some(2), "13:00:00", Some(180), Ok((61, 177, 58))),
        ("the first tick, and the flusher is behind", None, "10:30:00", Some(5), Ok((2, 2, 0))),
        ("an old tick, of what is forgotten by now", Some(1), "10:10:00", Some(180), Err(NotDue::UpToDate)),
    ] {
        state.evaluated_until = minute(evaluated_until.unwrap_or(0));
        let state = evaluated_until.map(|_| &state);
        let expected = expected.map(|(from, to, skipped)| Due { from: minute(from), to: minute(to), skipped });
        assert_eq!(due(state, at(now), flushed.map(minute), delay), expected, "{why}");
    }
}

#[test]
fn a_breach_has_to_last_and_to_be_seen_lasting() {
    let mut story = Story::of(&gauge("for: 3m"));
    for at in 0..3 {
        story.put(at, "active_users", "", 90.0);
        assert!(story.tick(at).is_empty());
        assert_eq!(story.phases(), ["pending"]);
    }
    // Away for so long that the minutes between are gone: nobody knows whether it lasted.
    for at in 200..203 {
        story.put(at, "active_users", "", 90.0);
    }
    assert!(story.tick(202).is_empty());
    story.put(203, "active_users", "", 90.0);
    assert_eq!(story.tick(203), ["203 firing users 90"]);
    let state = story.state.unwrap();
    let fired = state.alerts.values().next().unwrap().fired.as_ref().unwrap();
    assert_eq!(fired.breaching_since, minute(200));
}

#[test]
fn three_of_five_minutes_fire_and_one_does_not() {
    // Defect 3: one bad minute of five fired.
    let play = |values: &[f64]| {
        let mut story = Story::of(&gauge("datapoints: {m: 3, n: 5}"));
        let minutes = values.iter().enumerate();
        minutes
            .flat_map(|(at, &value)| {
                story.put(at as i64, "active_users", "", value);
                story.tick(at as i64)
            })
            .collect::<Vec<String>>()
    };
    assert_eq!(play(&[10.0, 99.0, 10.0, 10.0, 10.0, 10.0]), Vec::<String>::new());
    assert_eq!(play(&[10.0, 99.0, 10.0, 99.0, 10.0, 99.0]), ["5 firing users 99"]);
    assert_eq!(
        play(&[99.0, 99.0, 99.0, 10.0, 10.0, 10.0, 10.0]),
        ["2 firing users 99", "5 resolved users 10"],
        "it is over when three of five are fine"
    );
}

#[test]
fn between_firing_and_clear_an_alert_stays_what_it_is() {
    let mut story = Story::of(&gauge("clear: {lte: 70}"));
    let mut told = Vec::new();
    for (at, value) in [75.0, 81.0, 75.0, 79.0, 71.0, 70.0, 75.0].into_iter().enumerate() {
        story.put(at as i64, "active_users", "", value);
        told.extend(story.tick(at as i64));
    }
    assert_eq!(told, ["1 firing users 81", "5 resolved users 70"]);
}

#[test]
fn a_series_that_vanishes_follows_the_policy() {
    // Defect 4: whatever it meant, the source document returned.
    for (policy, told, phase, health) in [
        ("not_breaching", vec!["1 resolved users none"], "resolved", Health::Ok),
        ("breaching", vec![], "firing", Health::Ok),
        ("ignore", vec![], "firing", Health::Ok),
        ("nodata", vec![], "firing", Health::NoData),
    ] {
        let mut story = Story::of(&gauge(&format!("missing: {policy}")));
        story.put(0, "active_users", "", 90.0);
        assert_eq!(story.tick(0), ["0 firing users 90"]);
        assert_eq!(story.tick(1), told, "{policy}");
        assert_eq!(story.phases(), [phase], "{policy}");
        assert_eq!(story.health(), [health], "{policy}");
    }
    let mut story = Story::of(&gauge("missing: breaching"));
    assert_eq!(story.tick(0), ["0 firing users none"], "silence itself is the breach");
}

#[test]
fn metrics_that_can_not_be_read_stop_no_other_rule_and_resolve_nothing() {
    // Defect 16: errors were only logged. Invariant 8: a query error never resolves an alert.
    let mut story = Story::of(&format!(
        "- {{id: connections, class: database, severity: warning, expr: q, window: {{over: 1m}}, when: {{gt: 75}},
           queries: {{q: {{metric: database_connections, stat: Average, where: {{DBInstanceIdentifier: db}}}}}},
           annotations: {{summary: s}}}}\n{}",
        gauge("for: 0s")
    ));
    let read = foreign_read(&story.rules, Due { from: minute(0), to: minute(0), skipped: 0 });
    let series = read.queries[0].clone();
    story.foreign.insert(series.clone(), BTreeMap::from([(minute(0), 90.0)]));
    assert_eq!(story.tick(0), ["0 firing connections 90"]);

    story.foreign.clear();
    story.put(1, "active_users", "", 90.0);
    assert_eq!(story.tick(1), ["1 firing users 90"]);
    // That it can't be evaluated is told, and what fires goes on firing.
    assert_eq!(story.tick(30), ["2 resolved users none", "6 firing evaluation_error connections none"]);
    assert!(story.health().contains(&Health::Error));

    story.foreign.insert(series, BTreeMap::from([(minute(31), 10.0)]));
    assert_eq!(story.tick(31), ["31 resolved connections 10", "31 resolved evaluation_error connections none"]);
}

#[test]
fn a_rule_that_could_never_be_read_is_in_the_state_as_an_error() {
    let mut story = Story::of(
        "- {id: connections, class: database, severity: warning, expr: q, window: {over: 1m}, when: {gt: 75},
           queries: {q: {metric: database_connections, stat: Average, where: {DBInstanceIdentifier: db}}},
           annotations: {summary: s}}\n",
    );
    assert!(story.tick(0).is_empty());
    assert_eq!((story.phases(), story.health()), (vec!["inactive"], vec![Health::Error]));
}

#[test]
fn resolved_goes_where_firing_went() {
    let mut story = Story::of(FAILURES);
    story.put(0, "contract_creation_errors", "contract", 9.0);
    assert_eq!(story.tick(0).len(), 1);
    story.rules = rules_of(&FAILURES.replace("severity: error", "severity: info").replace("business", "security"));
    assert_eq!(story.tick(3), ["3 resolved failures contract 0"]);
    let [began, ended] = &story.changes[..] else { panic!("{:?}", story.changes) };
    let routing = |episode: &Episode| (episode.severity, episode.class.clone(), episode.fingerprint.clone());
    assert_eq!(routing(began), routing(ended));
    assert_eq!(ended.since, minute(0));
}

#[test]
fn an_alert_whose_rule_is_gone_ends_and_says_so() {
    let mut story = Story::of(FAILURES);
    story.put(0, "contract_creation_errors", "contract", 9.0);
    story.tick(0);
    story.rules = rules_of(&gauge("for: 0s"));
    assert_eq!(story.tick(1), ["1 resolved failures contract none"]);
    assert!(story.tick(2).is_empty());
    let ended = story.changes[1].ended.as_ref().unwrap();
    assert_eq!(ended.reason.as_deref(), Some("the rule was changed or removed"));
}

#[test]
fn a_pending_alert_whose_rule_is_gone_ends_quietly() {
    let mut story = Story::of(&gauge("for: 5m"));
    story.put(0, "active_users", "", 90.0);
    story.tick(0);
    assert_eq!(story.phases(), ["pending"]);
    story.rules = rules_of(FAILURES);
    assert!(story.tick(1).is_empty());
    assert!(story.phases().is_empty());
}

#[test]
fn a_bad_rule_file_is_an_alert_until_it_is_mended() {
    let error = RuleSet::load("config/rules.yaml", "version: 1\nrules: []", &Variables::new()).unwrap_err();
    let mut story = Story::of(FAILURES);
    assert!(story.tick(0).is_empty());
    let problem = FileProblem { alert: RULES_INVALID, mistakes: error.problems.len(), text: error.to_string() };
    let problems = [problem];
    // By the tick's own time, which is a minute after that of the metrics.
    assert_eq!(story.tick_with(1, &problems), ["2 firing rules_invalid 1"]);
    assert!(story.tick_with(2, &problems).is_empty(), "once");
    assert_eq!(story.tick(3), ["4 resolved rules_invalid 0"]);
    let summary = &story.changes[0].summary;
    assert!(summary.contains("config/rules.yaml:2:8: no rules"), "{summary}");
    assert!(summary.starts_with("The rule file has mistakes; the built-in one is in force."), "{summary}");
}

#[test]
fn other_mistakes_of_a_file_are_told_anew() {
    let problem = |text: &str| [FileProblem { alert: RULES_INVALID, mistakes: 1, text: text.to_owned() }];
    let mut story = Story::of(FAILURES);
    story.tick(0);
    story.state.as_mut().unwrap().accepted_rules = Some("version: 1".to_owned());
    assert_eq!(story.tick_with(1, &problem("one")), ["2 firing rules_invalid 1"]);
    assert_eq!(story.tick_with(2, &problem("two")), ["3 resolved rules_invalid 1", "3 firing rules_invalid 1"]);
    let summary = &story.changes[2].summary;
    assert_eq!(summary, "The rule file has mistakes; the last good one stays in force.\ntwo");
    assert_eq!(story.tick(3), ["4 resolved rules_invalid 0"]);
}

#[test]
fn a_resolved_alert_is_forgotten_after_a_day() {
    let mut story = Story::of(&gauge("for: 0s"));
    story.put(0, "active_users", "", 90.0);
    story.tick(0);
    story.tick(1);
    assert_eq!(story.phases(), ["resolved"]);
    story.tick(1 + RESOLVED_KEPT);
    assert_eq!(story.phases(), ["resolved"]);
    story.tick(2 + RESOLVED_KEPT);
    assert!(story.phases().is_empty());
}

#[test]
fn cloudwatch_is_asked_once_for_each_series_and_for_no_more_than_is_needed() {
    // Defect 7: a call a rule.
    let rule = |id: &str, db: &str, over: &str, n: u32| {
        format!(
            "- {{id: {id}, class: database, severity: warning, expr: q, window: {{over: {over}}}, when: {{gt: 75}},
               queries: {{q: {{metric: database_connections, stat: Average, where: {{DBInstanceIdentifier: {db}}}}}}},
               datapoints: {{m: 1, n: {n}}}, annotations: {{summary: s}}}}\n"
        )
    };
    let rules = [rule("a", "db2", "5m", 3), rule("b", "db1", "1m", 1), rule("c", "db2", "1m", 1)].concat();
    let read = foreign_read(&rules_of(&rules), Due { from: minute(10), to: minute(12), skipped: 0 });
    let resources: Vec<&str> =
        read.queries.iter().map(|query| query.dimensions["DBInstanceIdentifier"].as_str()).collect();
    assert_eq!(resources, ["db1", "db2"]);
    assert_eq!((read.from, read.until), (minute(2), minute(13)));
    assert!(foreign_read(&rules_of(FAILURES), Due { from: minute(0), to: minute(0), skipped: 0 }).queries.is_empty());
}

proptest! {
    /// Whatever the values and whenever the ticks come, as long as none is so late that minutes are gone.
    #[test]
    fn missed_ticks_change_nothing_of_what_is_told(
        values in prop::collection::vec(prop::option::of(0.0..100.0f64), 40),
        ticks in prop::collection::btree_set(0..39i64, 0..20),
        hold in 0..4u8,
        keep in 0..4u8,
        m in 1..4u8,
        policy in prop::sample::select(vec!["not_breaching", "breaching", "ignore", "nodata", "missing"]),
    ) {
        let fields = format!(
            "clear: {{lte: 60}}, for: {hold}m, keep_firing_for: {keep}m, datapoints: {{m: {m}, n: 3}}, missing: {policy}"
        );
        let play = |ticks: &dyn Fn(i64) -> bool| {
            let mut story = Story::of(&gauge(&fields));
            let mut told = Vec::new();
            for (at, value) in values.iter().enumerate() {
                let at = at as i64;
                if let Some(value) = value {
                    story.put(at, "active_users", "", *value);
                }
                if ticks(at) {
                    told.extend(story.tick(at));
                }
            }
            told
        };
        // The first tick decides where the history begins, and the last one that all is evaluated.
        let every = play(&|_| true);
        let some = play(&|at| at == 0 || at == 39 || ticks.contains(&at));
        prop_assert_eq!(&every, &some);
        // FIRING and RESOLVED take turns.
        for (number, line) in every.iter().filter(|line| line.contains(" users ") && !line.contains(NO_DATA)).enumerate() {
            prop_assert_eq!(line.contains("firing"), number % 2 == 0, "{:?}", every);
        }
    }
}
