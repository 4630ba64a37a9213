//! Rules of each kind become what they say, and their own tests play them.

use super::mistakes::KINDS;
use super::*;
use crate::alerting::rules::evidence::LogFilter;
use crate::alerting::rules::kind::{Burn, BurnAlert, Indicator, Slo};
use crate::alerting::rules::pattern::Pattern;

fn kinds() -> RuleSet {
    RuleSet::load("kinds.yaml", KINDS, &variables()).unwrap_or_else(|error| panic!("{error}"))
}

fn rule_of(id: &str) -> Rule {
    kinds().rules.into_iter().find(|rule| rule.id == id).unwrap()
}

fn slo_of(id: &str) -> Slo {
    let Kind::Slo(slo) = rule_of(id).kind else { panic!("{id}") };
    slo
}

/// [`RULE`] with other queries, expression and condition.
fn metric(queries: &str, expr: &str, when: &str) -> String {
    RULE.replacen("errors: {metric: contract_creation_errors, stat: Sum, fill: zero}", queries, 1)
        .replacen("expr: errors", &format!("expr: {expr}"), 1)
        .replacen("{gt: 3}", when, 1)
}

#[test]
fn rules_of_every_kind_pass_their_tests() {
    for rule in kinds().rules {
        for (number, test) in rule.tests.iter().enumerate() {
            let mismatches: Vec<String> = test.run(&rule).iter().map(Mismatch::to_string).collect();
            assert!(mismatches.is_empty(), "{}, test {}: {mismatches:?}", rule.id, number + 1);
        }
    }
    let names: Vec<&str> = kinds().rules.iter().map(|rule| rule.kind.name()).collect();
    assert_eq!(names, ["slo", "slo", "absence", "heartbeat", "composite", "event"]);
}

#[test]
fn an_objective_without_burn_rates_has_the_usual_ones() {
    let burn = |factor, long, short| Burn { factor, long, short };
    let latency = slo_of("latency");
    assert_eq!((latency.objective, latency.period, latency.min_samples), (0.99, 30 * 24 * 60, 0));
    assert_eq!(
        latency.alerts,
        [
            BurnAlert {
                label: "page",
                severity: Severity::Critical,
                burns: vec![burn(14.4, 60, 5), burn(6.0, 360, 30)]
            },
            BurnAlert {
                label: "ticket",
                severity: Severity::Warning,
                burns: vec![burn(3.0, 1_440, 120), burn(1.0, 4_320, 360)]
            },
        ]
    );
    assert!(matches!(latency.indicator, Indicator::Within { limit: 1_000.0, .. }));
    // What can't be reached is left out: if everything fails, 90 % burns 10.
    let text = KINDS.replacen("objective: 99\n", "objective: 90\n", 1);
    let rules = RuleSet::load("kinds.yaml", &text, &variables()).unwrap();
    let Kind::Slo(slo) = &rules.rules[1].kind else { panic!() };
    assert_eq!(slo.alerts[0].burns, [burn(6.0, 360, 30)]);
}

#[test]
fn an_objective_has_an_alert_for_each_severity_and_is_as_grave_as_the_gravest() {
    let availability = slo_of("availability");
    let labels: Vec<&str> = availability.alerts.iter().map(|alert| alert.label).collect();
    assert_eq!((labels, rule_of("availability").severity), (vec!["page"], Severity::Critical));
    let Indicator::Bad { bad, total } = availability.indicator else { panic!() };
    assert!(bad.fill_zero && !total.fill_zero, "no errors are 0 errors; no requests are no share");
    assert_eq!(bad.filters["status_code"], Filter::StatusClass('5'));
}

#[test]
fn absence_heartbeat_and_event_have_waits_of_their_own() {
    let Kind::Absence(absence) = rule_of("silent").kind else { panic!() };
    assert_eq!((absence.after, absence.forget_after, rule_of("silent").hold), (15, 3 * 24 * 60, 0));
    let Kind::Heartbeat(heartbeat) = rule_of("backup").kind else { panic!() };
    assert_eq!((heartbeat.every, heartbeat.grace), (1_440, 120));
    assert_eq!(rule_of("backup").service(&Labels::new()), "contract");
    let Kind::Event(event) = rule_of("break_in").kind else { panic!() };
    assert_eq!((event.window, event.resolve_after, event.when.to_string().as_str()), (60, 60, ">= 1"));
    let patterns = [Pattern::Exact("account_takeover".to_owned()), Pattern::Prefix("mass_".to_owned())];
    assert_eq!(event.filters["event_type"], patterns);
}

#[test]
fn an_event_counts_where_every_filter_takes_it() {
    let Kind::Event(event) = rule_of("break_in").kind else { panic!() };
    for (fields, expected) in [
        (&[("event_type", "account_takeover"), ("service", "user")][..], true),
        (&[("event_type", "mass_export")], true),
        (&[("event_type", "login_failed")], false),
        (&[("service", "user")], false),
    ] {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(event.matches(&fields), expected, "{fields:?}");
    }
}

#[test]
fn composite_rules_come_after_those_that_they_speak_of() {
    let both = KINDS.find("- id: both").unwrap();
    let break_in = KINDS.find("- id: break_in").unwrap();
    let first = KINDS.find("- id: availability").unwrap();
    let text = [&KINDS[..first], &KINDS[both..break_in], &KINDS[first..both], &KINDS[break_in..]].concat();
    let rules = RuleSet::load("kinds.yaml", &text, &variables()).unwrap();
    assert_eq!(rules.rules[0].id, "both");
    let ids: Vec<&str> = rules.in_order().into_iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["availability", "silent", "both", "latency", "backup", "break_in"]);
}

#[test]
fn composite_rules_that_rest_on_each_other_are_refused() {
    let composite = |id: &str, expr: &str| {
        format!(
            "- {{id: {id}, kind: composite, class: c, severity: info, expr: {expr}, annotations: {{summary: s}}}}\n"
        )
    };
    let text = format!("{RULE}{}{}", composite("one", "contract_creation_failure or two"), composite("two", "one"));
    assert_eq!(
        mistakes(&text),
        "rules.yaml:13:62: rule one: `one` rests on itself\nrules.yaml:14:62: rule two: `two` rests on itself"
    );
    let mut tower = format!("{RULE}{}", composite("c0", "contract_creation_failure"));
    for level in 1..12 {
        tower.push_str(&composite(&format!("c{level}"), &format!("c{}", level - 1)));
    }
    let text = mistakes(&tower);
    assert!(text.ends_with("rule c11: it rests on rules that rest on rules, more than 10 deep"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn what_counts_alerts_has_to_have_as_many() {
    let composite = |expr: &str, group_by: &str| {
        let rule = format!(
            "- {{id: c, kind: composite, class: c, severity: info, expr: '{expr}', group_by: {group_by}, \
             annotations: {{summary: s}}}}\n"
        );
        RuleSet::load("rules.yaml", &format!("{KINDS}{rule}"), &variables()).map(|_| ())
    };
    for (expr, group_by, expected) in [
        ("count(silent) >= 2", "[]", true),
        ("count(silent) >= 2", "[service]", false),
        // One alert for the page, one for the ticket.
        ("count(latency) >= 2", "[service]", true),
        ("count(latency) >= 3", "[service]", false),
        ("count(latency) >= 2", "[service, burn]", false),
        ("count(availability) >= 2", "[]", false),
        ("count(silent) >= 2 and not count(silent) >= 2", "[]", false),
        ("count(silent) >= 2 and not count(silent) >= 5", "[]", true),
    ] {
        assert_eq!(composite(expr, group_by).is_ok(), expected, "{expr} by {group_by}");
    }
}

#[test]
fn a_threshold_that_is_never_seen_is_refused() {
    let share = "part: {metric: api_requests, stat: Sum, where: {status_code: 5xx}, fill: zero}\n    \
                 whole: {metric: api_requests, stat: Sum}";
    let by_status = "part: {metric: api_requests, stat: Sum, where: {status_code: 5xx}, fill: zero}\n    \
                     whole: {metric: api_requests, stat: Sum, where: {status_code: 4xx}}";
    let cpu = "cpu: {metric: cpu_usage_percent, stat: Average}";
    for (queries, expr, when, expected) in [
        // Defect 10: the source document's 5 is percent where the metric was a share.
        (
            share,
            "part / whole",
            "{gt: 5}",
            "`part / whole` is never > 5: the rule can't fire (it lies between 0 and 1)",
        ),
        (share, "100 * part / whole", "{gt: 5}", ""),
        (share, "part / whole", "{gte: 1}", ""),
        (share, "part / whole * 100", "{gt: 100}", "is never > 100: the rule can't fire (it lies between 0 and 100)"),
        (share, "100 - 100 * part / whole", "{lt: 0}", "is never < 0: the rule can't fire (it lies between 0 and 100)"),
        (share, "whole / part", "{gt: 5}", ""),
        (share, "min(part, whole) + abs(-3)", "{lt: 3}", "is never < 3: the rule can't fire (it is at least 3)"),
        (share, "max(part / whole, 2)", "{gt: 1}", "is never <= 1: the rule can't resolve (it lies between 2 and 2)"),
        (share, "-part - whole", "{gt: 0}", "is never > 0: the rule can't fire (it is at most 0)"),
        (share, "part - whole", "{lt: -5}", ""),
        (by_status, "part / whole", "{gt: 5}", ""),
        // Whatever is divided by nothing has no value; `missing` would call that fine for ever.
        (cpu, "cpu / 0", "{gt: 5}", "`cpu / 0` never has a value (`0`, by which it divides, is always 0)"),
        (cpu, "cpu / 0", "{lt: 5}\n  missing: breaching", "`cpu / 0` never has a value"),
        (cpu, "1 + max(2, cpu / (3 - 3))", "{gt: 5}", "(`3 - 3`, by which it divides, is always 0)"),
        (share, "part / (0 * whole)", "{gt: 5}", "(`0 * whole`, by which it divides, is always 0)"),
        (cpu, "-(7 / (cpu * -0))", "{gt: 5}", "by which it divides, is always 0"),
        (cpu, "0 / cpu + cpu", "{gt: 5}", ""),
        (cpu, "cpu", "{gt: 100}", "`cpu` is never > 100: the rule can't fire (it lies between 0 and 100)"),
        (cpu, "cpu / 100", "{gt: 80}", "`cpu / 100` is never > 80: the rule can't fire"),
        (cpu, "cpu", "{gte: 100}", ""),
        ("q: {metric: api_request_duration, stat: p95}", "q", "{lte: 0}", ""),
        ("q: {metric: api_requests, stat: Sum}", "q", "{lte: 1}", ""),
        ("q: {metric: api_requests, stat: SampleCount}", "q", "{lt: 1}", "where nothing came, `q` has no value"),
    ] {
        let group_by = if queries == by_status { "" } else { "group_by: [service]" };
        let text = metric(queries, expr, when).replacen("group_by: [service]", group_by, 1);
        let text = if group_by.is_empty() { text.replacen("{{labels.service}}", "it", 1) } else { text };
        let said = RuleSet::load("rules.yaml", &text, &variables()).err().map(|error| error.to_string());
        match said {
            None => assert_eq!(expected, "", "{expr} {when}"),
            Some(said) => assert!(!expected.is_empty() && said.contains(expected), "{expr} {when}: {said}"),
        }
    }
    let breaching = metric("q: {metric: api_requests, stat: Sum}", "q", "{lt: 1}\n  missing: breaching");
    assert!(RuleSet::load("rules.yaml", &breaching, &variables()).is_ok());
}

#[test]
fn a_query_may_ask_for_one_of_several_values() {
    let codes = "q: {metric: api_requests, stat: Sum, where: {status_code: [429, 5xx, \"40*\"]}}";
    let text = metric(codes, "q", "{gt: 3}\n  tests: [{series: {q: \"5x3\"}, expect: {0m: firing}}]");
    let rule =
        RuleSet::load("rules.yaml", &text, &variables()).unwrap_or_else(|error| panic!("{error}")).rules.remove(0);
    let filter = &rule.queries()[0].1.filters["status_code"];
    for (code, expected) in [("429", true), ("503", true), ("404", true), ("422", false), ("200", false)] {
        assert_eq!(filter.matches(code), expected, "{code}");
    }
    assert_eq!(rule.tests[0].run(&rule), []);
}

#[test]
fn a_number_is_taken_as_it_is_written() {
    let text = metric("q: {metric: api_requests, stat: Sum, where: {status_code: 500}}", "q", "{gt: 3}");
    let rule =
        RuleSet::load("rules.yaml", &text, &variables()).unwrap_or_else(|error| panic!("{error}")).rules.remove(0);
    assert_eq!(rule.queries()[0].1.filters["status_code"], Filter::Exact("500".to_owned()));
}

#[test]
fn evidence_says_which_lines_how_many_traces_and_how_wide_a_chart() {
    let evidence = |yaml: &str| {
        let text = RULE.replacen("  group_by:", &format!("  evidence: {yaml}\n  group_by:"), 1);
        RuleSet::load("rules.yaml", &text, &variables()).unwrap().rules.remove(0).evidence.unwrap()
    };
    let all =
        evidence(r#"{logs: {filter: 'level="ERROR" and details.reason=~"time*"', limit: 3}, traces: 2, chart: 3h}"#);
    let logs = all.logs.unwrap();
    assert_eq!((logs.limit, all.traces, all.chart), (3, 2, Some(180)));
    assert_eq!(logs.filter, LogFilter::parse(r#"level="ERROR" and details.reason=~"time*""#).unwrap());
    let none = evidence("{}");
    assert_eq!((none.logs, none.traces, none.chart), (None, 0, None));
    assert_eq!(evidence(r#"{logs: {filter: 'level="ERROR"'}}"#).logs.unwrap().limit, 5);
}
