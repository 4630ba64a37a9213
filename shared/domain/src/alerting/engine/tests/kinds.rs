//! Stories of rules that are not of kind metric, and of alerts about the evaluation itself.

use super::*;

pub(super) fn event(at: i64, count: u64, service: &str) -> SecurityEvent {
    SecurityEvent {
        id: format!("{at}-{service}"),
        at: minute(at).start(),
        event_type: "account_takeover".to_owned(),
        service: service.to_owned(),
        level: "WARNING".to_owned(),
        count,
    }
}

const SLO: &str = "
- id: availability
  kind: slo
  class: sla
  objective: 99
  bad: {metric: api_requests, where: {status_code: 5xx}}
  total: {metric: api_requests}
  burn:
  - {severity: critical, factor: 10, long: 1h, short: 5m}
  - {severity: warning, factor: 2, long: 6h, short: 30m}
  min_samples: 100
  group_by: [service]
  annotations: {summary: '{{labels.service}} burns {{value}} times too fast'}
";

impl Story {
    fn requests(&mut self, at: i64, good: f64, bad: f64) {
        for (status_code, count) in [("200", good), ("500", bad)] {
            if count > 0.0 {
                self.put_with(at, "api_requests", &[("service", "api"), ("status_code", status_code)], count);
            }
        }
    }
}

#[test]
fn a_budget_that_burns_fires_by_how_fast_it_burns_and_ends_with_the_short_window() {
    // Defect 20: the SLA alert had no window, no burn rate, and never ended.
    let mut story = Story::of(SLO);
    let mut told = Vec::new();
    for at in 0..600 {
        let bad = match at {
            100..120 => 100.0, // everything fails for twenty minutes
            400..460 => 3.0,   // three times too fast for an hour
            _ => 0.0,
        };
        story.requests(at, 100.0 - bad, bad);
        told.extend(story.tick(at));
    }
    let expected = [
        // A tenth of an hour has to fail for the page, and a fiftieth of six hours for the ticket; of the six hours
        // some are not known yet, which is no reason to wait where what is known is enough.
        "105 firing availability page api 10",
        "107 firing availability ticket api 7.41",
        "124 resolved availability page api 33.33",
        "149 resolved availability ticket api 13.33",
        // Twenty minutes of three in a hundred, and what had failed before is still within six hours.
        "419 firing availability ticket api 5.72",
        "470 resolved availability ticket api 3.27",
    ];
    assert_eq!(told, expected);
    let [page, ticket] = [0, 1].map(|at| &story.changes[at]);
    assert_eq!((page.severity, ticket.severity), (Severity::Critical, Severity::Warning));
    assert_eq!(page.condition, "burns >= 10x over 1h and 5m");
}

#[test]
fn of_few_requests_and_of_what_is_not_known_no_budget_burns() {
    let mut story = Story::of(SLO);
    for at in 0..120 {
        story.requests(at, 0.0, if at % 2 == 0 { 1.0 } else { 0.0 });
        assert!(story.tick(at).is_empty(), "30 an hour are fewer than 100");
    }
    // The first minutes of a system, in which a little more fails than may: that it goes on for six hours, nobody knows.
    let mut story = Story::of(SLO);
    for at in 0..30 {
        story.requests(at, 97.0, 3.0);
        assert!(story.tick(at).is_empty(), "minute {at}");
    }
}

#[test]
fn each_minute_is_added_to_a_budget_once_whenever_the_ticks_come() {
    let play = |ticks: &dyn Fn(i64) -> bool| {
        let mut story = Story::of(SLO);
        for at in 0..=240 {
            story.requests(at, 100.0, f64::from(u8::from(at % 7 == 0)));
            if ticks(at) {
                story.tick(at);
                story.tick(at); // It comes again.
            }
        }
        story.state.unwrap().budgets
    };
    let every = play(&|_| true);
    let track = every["availability"].groups.values().next().unwrap();
    let (known, bad, total) = track.buckets.iter().fold((0, 0.0, 0.0), |(known, bad, total), bucket| {
        (known + u32::from(bucket.0), bad + bucket.1, total + bucket.2)
    });
    assert_eq!((known, bad, total), (241, 35.0, 24_135.0));
    assert_eq!(play(&|at| at == 0 || at % 60 == 0), every);
}

#[test]
fn what_came_and_comes_no_more_is_missed_until_it_counts_as_gone() {
    let mut story = Story::of(
        "- {id: silent, kind: absence, class: availability, severity: warning, metric: api_requests, for: 15m,
            forget_after: 1d, group_by: [service], annotations: {summary: '{{value}} minutes'}}\n",
    );
    story.requests(3, 1.0, 0.0);
    let mut told: Vec<String> = (0..40).flat_map(|at| story.tick(at)).collect();
    story.requests(40, 1.0, 0.0);
    told.extend((40..1_600).flat_map(|at| story.tick(at)));
    // 40 + 15, long after the rollups have forgotten that it ever came; and then a day.
    assert_eq!(
        told,
        [
            "18 firing silent api 15",
            "40 resolved silent api 0",
            "55 firing silent api 15",
            "1480 resolved silent api 1440",
        ]
    );
    assert_eq!(
        story.changes.last().unwrap().ended.as_ref().unwrap().reason.as_deref(),
        Some("nothing came for 1d: it counts as gone for good")
    );
    assert!(story.state.unwrap().heard.is_empty());
}

const HEARTBEAT: &str = "
- {id: backup, kind: heartbeat, class: system, severity: error, metric: operations,
   where: {operation: export, service: contract}, every: 3h, grace: 10m, annotations: {summary: s}}
";

#[test]
fn what_is_not_heard_of_in_time_is_missed_also_where_it_never_was() {
    let mut story = Story::of(HEARTBEAT);
    let mut told = Vec::new();
    for at in 0..800 {
        if [250, 420].contains(&at) {
            story.put_with(at, "operations", &[("operation", "export"), ("service", "contract")], 1.0);
        }
        told.extend(story.tick(at));
    }
    assert_eq!(
        told,
        [
            "189 firing backup 190", // nothing since the first minute
            "250 resolved backup 0",
            "610 firing backup 190",
        ]
    );
}

#[test]
fn in_minutes_that_nobody_saw_a_heartbeat_may_have_come() {
    let mut story = Story::of(HEARTBEAT);
    story.put_with(0, "operations", &[("operation", "export"), ("service", "contract")], 1.0);
    assert!((0..150).all(|at| story.tick(at).is_empty()));
    // Away from 150 to 400; what is known begins at 282.
    assert!((400..471).all(|at| story.tick(at).is_empty()));
    assert_eq!(story.tick(471), ["471 firing backup 190"]);
    // And while it fires, a gap does not end it.
    assert!(story.tick(900).is_empty());
}

const COMPOSITE: &str = "
- {id: both, kind: composite, class: availability, severity: critical, expr: failures and not users, group_by: [service],
   annotations: {summary: s}}
";

#[test]
fn a_composite_rule_follows_what_it_rests_on_in_the_same_minute() {
    let mut story = Story::of(&format!("{COMPOSITE}{FAILURES}{}", gauge("for: 0s")));
    let mut told = Vec::new();
    for at in 0..12 {
        if at == 2 {
            story.put(at, "contract_creation_errors", "contract", 9.0);
        }
        if at == 3 {
            story.put(at, "active_users", "", 99.0);
        }
        told.extend(story.tick(at));
    }
    assert_eq!(
        told,
        [
            "2 firing failures contract 9",
            "2 firing both contract 1",
            "3 firing users 99",
            "3 resolved both contract 2", // the alert without labels concerns every group
            "4 resolved users none",
            "4 firing both contract 1",
            "5 resolved failures contract 0",
            "5 resolved both contract 0",
        ]
    );
}

#[test]
fn what_can_not_be_evaluated_decides_no_composite_rule() {
    let mut story = Story::of(&format!(
        "- {{id: connections, class: database, severity: warning, expr: q, window: {{over: 1m}}, when: {{gt: 75}},
           queries: {{q: {{metric: database_connections, stat: Average, where: {{DBInstanceIdentifier: db}}}}}},
           annotations: {{summary: s}}}}
- {{id: calm, kind: composite, class: database, severity: info, expr: users and not connections, annotations: {{summary: s}}}}
{}",
        gauge("for: 0s")
    ));
    story.put(0, "active_users", "", 99.0);
    assert_eq!(story.tick(0), ["0 firing users 99"], "whether it is calm, nobody knows");
    let series = foreign_read(&story.rules, Due { from: minute(0), to: minute(0), skipped: 0 }).queries[0].clone();
    story.foreign.insert(series, (0..3).map(|at| (minute(at), 10.0)).collect());
    story.put(1, "active_users", "", 99.0);
    assert_eq!(story.tick(1), ["1 firing calm 1"]);
    story.foreign.clear();
    story.put(2, "active_users", "", 99.0);
    assert!(story.tick(2).is_empty(), "it stays what it is");
}

const EVENTS: &str = "
- {id: takeover, kind: event, class: security, severity: critical, where: {event_type: account_*}, when: {gte: 3},
   window: {over: 5m}, resolve_after: 30m, group_by: [service], annotations: {summary: '{{value}} of {{labels.service}}'}}
";

impl Story {
    /// A tick at a minute in which no metrics are due.
    pub(super) fn take_in(&mut self, at: i64, events: &[SecurityEvent]) -> Vec<String> {
        let tick = Tick { events, ..Tick::new(minute(at).start(), None, &self.rules, &self.recent, &self.foreign) };
        let outcome = evaluate(&tick, self.state.take());
        self.state = Some(outcome.state);
        self.changes.extend(outcome.changes.iter().cloned());
        outcome.changes.iter().map(line).collect()
    }
}

#[test]
fn security_events_are_counted_at_once_and_fire_together_once() {
    // Defect 22: three events were three mails.
    let mut story = Story::of(EVENTS);
    assert!(story.take_in(0, &[event(0, 2, "api"), event(0, 1, "web")]).is_empty());
    // In the same minute, and without a flusher.
    assert_eq!(story.take_in(0, &[event(0, 1, "api")]), ["0 firing takeover api 3"]);
    assert_eq!(story.changes[0].origin, Origin::Event { count: 3 });
    assert!(story.take_in(1, &[event(1, 50, "api")]).is_empty(), "it fires already");
    assert!(story.take_in(30, &[]).is_empty(), "30 minutes after the first, not the last");
    assert_eq!(story.take_in(40, &[]), ["31 resolved takeover api 0"]);
    assert!(story.state.as_ref().unwrap().events.counts.is_empty(), "nothing is remembered for nothing");
    // Two minutes apart by more than the window are not added up.
    assert!(story.take_in(50, &[event(50, 2, "api")]).is_empty());
    assert!(story.take_in(55, &[event(55, 2, "api")]).is_empty());
    assert_eq!(story.take_in(56, &[event(56, 1, "api")]), ["56 firing takeover api 3"]);
}

#[test]
fn an_event_that_comes_late_still_counts() {
    let mut story = Story::of(EVENTS);
    assert!(story.take_in(100, &[]).is_empty());
    assert_eq!(story.take_in(101, &[event(3, 3, "api")]), ["100 firing takeover api 3"]);
    // One from the future counts now.
    assert_eq!(story.take_in(102, &[event(9_000, 3, "web")]), ["102 firing takeover web 3"]);
}

#[test]
fn events_before_the_first_metrics_begin_no_history() {
    let mut story = Story::of(&format!("{EVENTS}{FAILURES}"));
    assert_eq!(story.take_in(0, &[event(0, 3, "api")]), ["0 firing takeover api 3"]);
    assert_eq!(story.tick(100), ["30 resolved takeover api 0"]);
    let state = story.state.unwrap();
    assert_eq!((state.history_from, state.evaluated_until), (minute(100), minute(100)));
}

#[test]
fn values_of_events_without_bound_are_counted_together_at_last() {
    let mut story = Story::of(EVENTS);
    let events: Vec<SecurityEvent> = (0..600).map(|number| event(0, 1, &format!("service-{number}"))).collect();
    assert_eq!(story.take_in(0, &events), ["0 firing takeover other 100"]);
    let counts = &story.state.unwrap().events.counts["takeover"];
    assert_eq!(counts.len(), crate::alerting::event::MAX_GROUPS + 1);
    assert_eq!(counts.values().flat_map(|counted| counted.minutes.values()).sum::<u64>(), 600);
}

#[test]
fn a_rule_without_data_says_so_and_is_no_worse_than_a_warning() {
    let mut story = Story::of(&gauge("missing: nodata").replace("severity: info", "severity: critical"));
    story.put(0, "active_users", "", 90.0);
    let mut told: Vec<String> = (0..20).flat_map(|at| story.tick(at)).collect();
    story.put(20, "active_users", "", 10.0);
    told.extend(story.tick(20));
    assert_eq!(
        told,
        [
            "0 firing users 90",
            "6 firing no_data users none", // the alert itself goes on firing
            "20 resolved users 10",
            "20 resolved no_data users none",
        ]
    );
    let told = &story.changes[1];
    assert_eq!((told.severity, told.class.as_str(), told.breaching_since), (Severity::Warning, "system", minute(1)));
    assert_eq!(told.summary, "users has no data to be evaluated on");
}

#[test]
fn alerts_about_a_rule_that_is_gone_end_with_it() {
    let mut story = Story::of(&gauge("missing: nodata"));
    story.put(0, "active_users", "", 10.0);
    let told: Vec<String> = (0..10).flat_map(|at| story.tick(at)).collect();
    assert_eq!(told, ["6 firing no_data users none"]);
    story.rules = rules_of(FAILURES);
    assert_eq!(story.tick(10), ["10 resolved no_data users none"]);
}

#[test]
fn an_alert_knows_how_often_it_has_fired_in_30_days() {
    let mut story = Story::of(&gauge("for: 0s"));
    let days = |days: i64| days * 24 * 60;
    for at in [0, 10, days(20), days(31), days(90)] {
        story.put(at, "active_users", "", 90.0);
        story.tick(at);
        story.tick(at + 1);
    }
    let fired: Vec<u32> =
        story.changes.iter().filter(|change| change.is_firing()).map(|change| change.fired_before).collect();
    assert_eq!(fired, [0, 1, 2, 1, 0]);
}

#[test]
fn that_a_rule_can_not_be_evaluated_is_told_with_the_reason() {
    let story = Story::of(
        "- {id: connections, class: database, severity: critical, expr: q, window: {over: 1m}, when: {gt: 75},
           queries: {q: {metric: database_connections, stat: Average, where: {DBInstanceIdentifier: db}}},
           annotations: {summary: s}}\n",
    );
    let due = Due { from: minute(0), to: minute(9), skipped: 0 };
    let series = foreign_read(&story.rules, due).queries[0].clone();
    let unanswered = BTreeMap::from([(series, Unanswered { reason: "AWS/RDS: Forbidden".to_owned() })]);
    let tick = Tick::new(minute(11).start(), Some(due), &story.rules, &story.recent, &story.foreign);
    let changes = evaluate(&Tick { unanswered: &unanswered, ..tick }, None).changes;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].summary, "connections can't be evaluated: AWS/RDS: Forbidden");
    assert_eq!((changes[0].severity, changes[0].since), (Severity::Error, minute(5)));
}

#[test]
fn a_rule_that_groups_otherwise_has_other_alerts_and_another_history() {
    let rules = |group_by: &str| {
        let silent = format!(
            "- {{id: silent, kind: absence, class: availability, severity: warning, metric: api_requests, for: 3m,
                forget_after: 1d, group_by: {group_by}, annotations: {{summary: s}}}}\n"
        );
        format!("{silent}{}", SLO.replace("[service]", group_by).replace("{{labels.service}} burns ", ""))
    };
    let mut story = Story::of(&rules("[service]"));
    story.requests(0, 1.0, 999.0);
    let told: Vec<String> = (0..5).flat_map(|at| story.tick(at)).collect();
    assert_eq!(told.last().unwrap(), "3 firing silent api 3");
    story.rules = rules_of(&rules("[]"));
    let told = story.tick(5);
    assert!(told.contains(&"5 resolved silent api none".to_owned()), "{told:?}");
    assert!(told.contains(&"5 firing silent 5".to_owned()), "{told:?}");
    let state = story.state.unwrap();
    let labels: Vec<&Labels> = state.heard["silent"].groups.values().map(|silence| &silence.labels).collect();
    assert_eq!(labels, [&Labels::new()]);
    let groups = &state.budgets["availability"].groups;
    assert_eq!(groups.values().map(|track| track.labels.len()).collect::<Vec<_>>(), [0]);
}

#[test]
fn what_is_not_known_yet_decides_no_composite_rule() {
    // At the start, and after a gap: whether there are few registrations in five minutes, nobody knows before.
    let mut story = Story::of(&format!(
        "- {{id: low, class: business, severity: info, queries: {{q: {{metric: user_registrations, stat: Sum, fill: zero}}}},
           expr: q, window: {{over: 5m}}, when: {{lt: 1}}, annotations: {{summary: s}}}}
- {{id: odd, kind: composite, class: business, severity: info, expr: users and not low, annotations: {{summary: s}}}}
{}",
        gauge("for: 0s")
    ));
    let mut told = Vec::new();
    for at in (0..7).chain(300..307) {
        story.put(at, "active_users", "", 99.0);
        told.extend(story.tick(at));
    }
    told.retain(|line| line.contains(" odd "));
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn where_no_data_keep_an_alert_what_it_is_a_composite_rule_goes_by_that() {
    let mut story = Story::of(&format!(
        "- {{id: busy, class: business, severity: info, queries: {{q: {{metric: user_registrations, stat: Sum}}}}, missing: ignore,
           expr: q, window: {{over: 1m}}, when: {{gt: 9}}, annotations: {{summary: s}}}}
- {{id: odd, kind: composite, class: business, severity: info, expr: users and not busy, annotations: {{summary: s}}}}
{}",
        gauge("for: 0s")
    ));
    story.put(0, "active_users", "", 99.0);
    assert_eq!(story.tick(0), ["0 firing users 99", "0 firing odd 1"]);
}

#[test]
fn a_rule_that_waits_for_something_else_has_heard_nothing_yet() {
    let silent = |metric: &str| {
        format!(
            "- {{id: silent, kind: absence, class: availability, severity: warning, metric: {metric}, for: 5m,
                forget_after: 1d, group_by: [service], annotations: {{summary: s}}}}\n"
        )
    };
    let mut story = Story::of(&silent("contract_creation_errors"));
    story.put(0, "contract_creation_errors", "contract", 1.0);
    assert!((0..4).all(|at| story.tick(at).is_empty()));
    story.rules = rules_of(&silent("api_requests"));
    let told: Vec<String> = (4..20).flat_map(|at| story.tick(at)).collect();
    assert!(told.is_empty(), "no request was ever heard of: {told:?}");
}

#[test]
fn counters_that_jitter_burn_no_budget() {
    let mut story = Story::of(
        "- {id: availability, kind: slo, class: sla, objective: 99, good: {metric: api_requests, where: {status_code: 200}},
            total: {metric: api_requests}, burn: [{severity: warning, factor: 2, long: 6h, short: 2h}], group_by: [service],
            annotations: {summary: s}}\n",
    );
    let counter = |story: &mut Story, at, status_code, value| {
        story.put_with(at, "api_requests", &[("service", "api"), ("status_code", status_code)], value);
    };
    // The total of each pair of minutes is that of its good ones; but it comes a little before them.
    for at in 0..400 {
        counter(&mut story, at, "200", if at % 2 == 0 { 8.0 } else { 12.0 });
        counter(&mut story, at, "404", if at % 2 == 0 { 2.0 } else { -2.0 });
        assert!(story.tick(at).is_empty(), "minute {at}");
    }
}

#[test]
fn a_rule_that_is_evaluated_again_says_so_also_where_its_alert_is_over() {
    // The alert has resolved and its group is gone while the alert about its evaluation still fires.
    let rules = gauge("missing: nodata");
    let mut story = Story::of(&rules);
    story.put(0, "active_users", "", 90.0);
    (0..10).for_each(|at| drop(story.tick(at)));
    assert!(
        story.state.as_ref().unwrap().alerts.values().any(|alert| alert.rule == NO_DATA && alert.phase.is_firing())
    );
    let state = story.state.as_mut().unwrap();
    for alert in state.alerts.values_mut().filter(|alert| alert.rule == "users") {
        alert.phase = Phase::Resolved { at: minute(9) };
        alert.fired = None;
    }
    // A rule that has a finding only for groups that it has heard of.
    story.rules = rules_of(
        "- {id: users, kind: absence, class: business, severity: info, metric: user_registrations, for: 5m,
            forget_after: 1d, annotations: {summary: s}}\n",
    );
    assert_eq!(story.tick(10), ["10 resolved no_data users none"]);
}

const FEW_OR_NONE: &str = "
- {id: errors, class: business, severity: info, expr: q, window: {over: 1m}, when: {gt: 3}, missing: nodata,
   queries: {q: {metric: contract_creation_errors, stat: Sum}}, group_by: [service], annotations: {summary: s}}
";

#[test]
fn that_a_group_has_no_data_is_over_when_it_has_some_however_late() {
    // The alert of the group resolved more than a day before.
    let mut story = Story::of(FEW_OR_NONE);
    let mut told = Vec::new();
    for at in 0..=1_500 {
        if let Some(value) = [(0, 9.0), (1, 1.0), (1_500, 1.0)].iter().find(|(minute, _)| *minute == at) {
            story.put(at, "contract_creation_errors", "api", value.1);
        }
        told.extend(story.tick(at));
    }
    let expected = [
        "0 firing errors api 9",
        "1 resolved errors api 1",
        "7 firing no_data errors api none",
        "1500 resolved no_data errors api none",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_says_that_an_alert_has_no_data_ends_with_the_alert_itself() {
    let mut story = Story::of(FEW_OR_NONE);
    story.put(0, "contract_creation_errors", "api", 1.0);
    story.put(0, "contract_creation_errors", "web", 1.0);
    story.tick(0);
    story.put(1, "contract_creation_errors", "api", 9.0);
    story.put(1, "contract_creation_errors", "web", 9.0);
    (1..9).for_each(|at| drop(story.tick(at)));
    // However it came that one of them is not held any more.
    story
        .state
        .as_mut()
        .unwrap()
        .alerts
        .retain(|_, alert| alert.rule == NO_DATA || alert.labels.values().any(|value| value == "web"));
    story.recent = RecentRollups::default();
    assert_eq!(story.tick(9), ["9 resolved no_data errors api none"]);
    assert!(story.tick(10).is_empty(), "the other one has no data still");
}

#[test]
fn a_rule_that_counts_events_now_is_not_without_data() {
    let mut story = Story::of(&gauge("missing: nodata"));
    story.put(0, "active_users", "", 10.0);
    let told: Vec<String> = (0..10).flat_map(|at| story.tick(at)).collect();
    assert_eq!(told, ["6 firing no_data users none"]);
    let events = EVENTS.replace("id: takeover", "id: users").replace("group_by: [service], ", "");
    story.rules = rules_of(&events.replace(" of {{labels.service}}", ""));
    assert_eq!(story.tick(10), ["10 resolved no_data users none"]);
}

#[test]
fn more_groups_than_are_watched_fill_no_state_and_are_told_once() {
    let silent = "
- {id: silent, kind: absence, class: availability, severity: warning, metric: contract_creation_errors, for: 15m,
   forget_after: 1d, group_by: [service], annotations: {summary: s}}
";
    for (rules, most) in [(FAILURES, 1_000), (silent, 1_000), (&SLO.replace("min_samples: 100", "min_samples: 1"), 200)]
    {
        let mut story = Story::of(rules);
        let mut told = Vec::new();
        for at in 0..8 {
            let (mut rollup, value) =
                (Rollup::empty(minute(at)), Aggregate::of(9.0, minute(at).start().as_millisecond()));
            for number in 0..1_500 {
                for (name, dimensions) in
                    [("contract_creation_errors", &[][..]), ("api_requests", &[("status_code", "500")])]
                {
                    let dimensions = dimensions.iter().map(|(name, value)| (name.to_string(), value.to_string()));
                    let service = ("service".to_owned(), format!("{number:04}"));
                    let dimensions = dimensions.chain([service]).collect();
                    rollup.series.add(SeriesKey { name: name.to_owned(), dimensions }, &value);
                }
            }
            story.recent.update(&rollup);
            told.extend(story.tick(at));
        }
        let alerts = &story.state.as_ref().unwrap().alerts;
        assert!(alerts.len() <= most + 4, "{} of {rules}", alerts.len());
        let errors: Vec<&String> = told.iter().filter(|line| line.contains(EVALUATION_ERROR)).collect();
        assert!((1..=2).contains(&errors.len()), "{errors:?}");
        let about = story.changes.iter().find(|change| change.rule == EVALUATION_ERROR).unwrap();
        assert!(about.summary.ends_with("it has more groups than are watched"), "{}", about.summary);
    }
}

#[test]
fn what_fires_is_seen_to_its_end_whatever_else_comes() {
    let mut story = Story::of(FAILURES);
    story.put(0, "contract_creation_errors", "web", 9.0);
    assert_eq!(story.tick(0), ["0 firing failures web 9"]);
    // All of them before it in the order of labels, and gone again after two hours.
    for number in 0..1_200 {
        story.put(1, "contract_creation_errors", &format!("{number:04}"), 1.0);
    }
    let told: Vec<String> = (1..200).flat_map(|at| story.tick(at)).collect();
    let expected = [
        "3 resolved failures web 0",
        "6 firing evaluation_error failures other none",
        "120 resolved evaluation_error failures other none",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_breach_is_told_from_when_it_began_also_where_minutes_of_it_were_not_seen() {
    let mut story = Story::of(
        "- {id: connections, class: database, severity: warning, expr: q, window: {over: 1m}, when: {gt: 75}, for: 2m,
           queries: {q: {metric: database_connections, stat: Average, where: {DBInstanceIdentifier: db}}},
           annotations: {summary: s}}\n",
    );
    let due = Due { from: minute(0), to: minute(0), skipped: 0 };
    let series = foreign_read(&story.rules, due).queries[0].clone();
    for at in 0..=4 {
        story.foreign = ForeignValues::new();
        if ![1, 2].contains(&at) {
            story.foreign.insert(series.clone(), (0..=at).map(|at| (minute(at), 90.0)).collect());
        }
        story.tick(at);
    }
    let fired: Vec<_> = story.changes.iter().map(|change| (change.since, change.breaching_since)).collect();
    assert_eq!(fired, [(minute(4), minute(0))]);
}

#[test]
fn an_alert_whose_rule_is_taken_away_and_put_back_fires_after_its_end() {
    let mut story = Story::of(FAILURES);
    story.put(0, "contract_creation_errors", "contract", 9.0);
    assert_eq!(story.tick(0), ["0 firing failures contract 9"]);
    let rules = std::mem::replace(&mut story.rules, rules_of(&gauge("for: 0s")));
    // Ticks in which no metrics are due, long after the last that were.
    assert_eq!(story.take_in(5, &[]), ["1 resolved failures contract none"]);
    story.rules = rules;
    assert_eq!(story.tick(1), ["1 firing failures contract 9"]);
    // An alert of events ends when that is noticed.
    story.rules = rules_of(EVENTS);
    story.take_in(6, &[event(6, 3, "api")]);
    story.rules = rules_of(FAILURES);
    let told = story.take_in(8, &[]);
    assert!(told.contains(&"8 resolved takeover api none".to_owned()), "{told:?}");
}

#[test]
fn of_transitions_in_one_minute_each_has_a_name_of_its_own() {
    let mut story = Story::of(FAILURES);
    let mut tick = |text: Option<&str>| {
        let mistakes = |text: &str| FileProblem { alert: RULES_INVALID, mistakes: 1, text: text.to_owned() };
        let problems: Vec<FileProblem> = text.map(mistakes).into_iter().collect();
        let tick = Tick::new(minute(0).start(), None, &story.rules, &story.recent, &story.foreign);
        let outcome = evaluate(&Tick { problems: &problems, ..tick }, story.state.take());
        story.state = Some(outcome.state);
        story.changes.extend(outcome.changes);
    };
    for text in [Some("one"), Some("two"), None, Some("one"), None] {
        tick(text);
    }
    let transitions: Vec<_> = story.changes.iter().map(Episode::transition).collect();
    let keys: BTreeSet<String> = transitions.iter().map(|transition| transition.to_object().key).collect();
    let ids: BTreeSet<String> = transitions
        .iter()
        .map(|transition| crate::alerting::history::Record::Transition(transition.clone()).id())
        .collect();
    assert_eq!((transitions.len(), keys.len(), ids.len()), (6, 6, 6), "{keys:?}");
}
