//! The built-in rules do what they say, and every mistake is refused with its place and a hint.

use super::chosen::choose;
use super::scenario::Mismatch;
use super::*;
use crate::alerting::DEFAULT_RULES;

fn variables() -> Variables {
    Variables::from([("DATABASE_INSTANCE".to_owned(), "production-contract-db".to_owned())])
}

fn built_in() -> RuleSet {
    RuleSet::load("default.yaml", DEFAULT_RULES, &variables()).unwrap_or_else(|error| panic!("{error}"))
}

const RULE: &str = "\
version: 1
rules:
- id: contract_creation_failure
  class: business
  severity: error
  queries:
    errors: {metric: contract_creation_errors, stat: Sum, fill: zero}
  expr: errors
  window: {over: 10m}
  when: {gt: 3}
  group_by: [service]
  annotations: {summary: \"{{value}} in {{labels.service}}\"}
";

fn rule() -> Rule {
    RuleSet::load("rules.yaml", RULE, &variables()).unwrap().rules.remove(0)
}

fn mistakes(text: &str) -> String {
    RuleSet::load("rules.yaml", text, &variables()).expect_err(text).to_string()
}

#[test]
fn the_source_documents_rules_and_failed_logins_are_built_in() {
    let ids: Vec<String> = built_in().rules.into_iter().map(|rule| rule.id).collect();
    assert_eq!(
        ids,
        [
            "high_cpu_usage",
            "high_memory_usage",
            "high_error_rate",
            "slow_api_requests",
            "database_connections_high",
            "low_user_registrations",
            "contract_creation_failure",
            "failed_logins"
        ]
    );
}

#[test]
fn every_built_in_rule_passes_its_tests_which_show_that_it_fires_and_resolves() {
    // Defects 8 to 13: of the source document's seven rules five could not fire, and none could resolve.
    for rule in built_in().rules {
        let phases: BTreeSet<&str> = rule.tests.iter().flat_map(Scenario::expected_phases).collect();
        assert!(phases.is_superset(&BTreeSet::from(["inactive", "firing", "resolved"])), "{}: {phases:?}", rule.id);
        for (number, test) in rule.tests.iter().enumerate() {
            let mismatches: Vec<String> = test.run(&rule).iter().map(Mismatch::to_string).collect();
            assert!(mismatches.is_empty(), "{}, test {}: {mismatches:?}", rule.id, number + 1);
        }
    }
}

#[test]
fn a_test_that_expects_something_else_fails() {
    let text = format!("{RULE}  tests: [{{series: {{errors: \"0x3 4\"}}, expect: {{2m: firing, 3m: inactive}}}}]\n");
    let rule = RuleSet::load("rules.yaml", &text, &variables()).unwrap().rules.remove(0);
    let mismatches: Vec<String> = rule.tests[0].run(&rule).iter().map(Mismatch::to_string).collect();
    assert_eq!(mismatches, ["after 2m: expected firing, found inactive", "after 3m: expected inactive, found firing"]);
}

#[test]
fn what_a_rule_does_not_say_has_its_default() {
    let rule = rule();
    let threshold = rule.threshold().unwrap();
    assert_eq!(threshold.clear.to_string(), "<= 3");
    assert_eq!((threshold.m, threshold.n, rule.hold, rule.keep_firing_for), (1, 1, 0, 0));
    assert_eq!(threshold.missing, Missing::NotBreaching);
    assert_eq!((rule.runbook_url, rule.evidence, rule.concerns), (None, None, None));
    let rules = RuleSet::load("rules.yaml", RULE, &variables()).unwrap();
    assert_eq!((rules.evaluation_delay, rules.namespace.as_str()), (Duration::from_secs(90), "LandContracts"));
}

#[test]
fn a_mistake_is_refused_with_its_place_its_rule_and_a_hint() {
    let mut otherwise = Vec::new();
    for (old, new, expected) in [
        // A typo in a name.
        (
            "metric: contract_creation_errors",
            "metric: contract_creation_error",
            "7:22: unknown metric `contract_creation_error` (did you mean `contract_creation_errors`?)",
        ),
        (
            "metric: contract_creation_errors",
            "metric: function_errors",
            "7:22: function_errors is what functions tell about themselves: no rollup has it (an alarm of CloudWatch can \
             watch it)",
        ),
        // Defect 9: the source document's timers were called so.
        (
            "metric: contract_creation_errors",
            "metric: api_request_duration_duration",
            "7:22: unknown metric `api_request_duration_duration` (did you mean `api_request_duration`?)",
        ),
        ("severity: error", "severity: errror", "5:13: unknown severity `errror` (did you mean `error`?)"),
        // Defect 2: `p95` was sent as a plain statistic.
        (
            "stat: Sum",
            "stat: p195",
            "7:54: unknown statistic `p195` (there is Sum, Average, Minimum, Maximum, SampleCount, and p with a number up to 100)",
        ),
        // Defect 12: the average of increments is always 1, and never more than 3.
        (
            "stat: Sum, fill: zero",
            "stat: Average",
            "7:54: Average of contract_creation_errors, which counts: each increment is 1 (a counter has a Sum)",
        ),
        (
            "metric: contract_creation_errors, stat: Sum, fill: zero",
            "metric: cpu_usage_percent, stat: Sum",
            "7:47: Sum of cpu_usage_percent, which is a level (Average, Minimum or Maximum)",
        ),
        ("stat: Sum, fill: zero", "stat: Sum, fill: one", "7:65: unknown fill `one` (there is zero)"),
        (
            "metric: contract_creation_errors, stat: Sum, fill: zero",
            "metric: document_size, stat: p50, fill: zero",
            "7:43: `fill: zero` with p50 (only Sum and SampleCount are zero where nothing came)",
        ),
        (
            "fill: zero",
            "fill: zero, min_samples: 3",
            "7:84: a window that is filled has no samples to count (either `fill` or `min_samples`)",
        ),
        // Defect 8: a rule's dimensions were not those of any series.
        (
            "group_by: [service]\n  annotations: {summary: \"{{value}} in {{labels.service}}\"}",
            "group_by: [reason]\n  annotations: {summary: \"{{value}}\"}",
            "7:13: contract_creation_errors is not kept by (reason): `where` and `group_by` (it is kept by (), (service))",
        ),
        (
            "metric: contract_creation_errors, stat: Sum",
            "metric: api_requests, stat: Sum, where: {status_code: 9xx}",
            "7:68: `9xx` is no class of status codes (5xx, say)",
        ),
        (
            "metric: contract_creation_errors, stat: Sum",
            "metric: api_requests, stat: Sum, where: {status_code: \"\"}",
            "7:68: no value of status_code is empty",
        ),
        // Defect 10: nothing said which database.
        (
            "metric: contract_creation_errors, stat: Sum",
            "metric: database_connections, stat: Average",
            "7:50: `fill: zero` with Average",
        ),
        (
            "metric: contract_creation_errors, stat: Sum, fill: zero",
            "metric: database_connections, stat: Average",
            "7:13: database_connections is a metric of AWS: the rule has to name its one resource (where: {DBInstanceIdentifier: ...} and no group_by)",
        ),
        (
            "metric: contract_creation_errors, stat: Sum, fill: zero",
            "metric: database_connections, stat: p95",
            "7:50: p95 of database_connections by minute says nothing of the window (Sum, Average, Minimum, Maximum or SampleCount)",
        ),
        ("expr: errors", "expr: errrors", "8:9: there is no query `errrors` (did you mean `errors`?)"),
        (
            "expr: errors",
            "expr: errors +",
            "8:9: `errors +` is not an expression: a number, the name of a query, or `(` at character 9",
        ),
        ("expr: errors", "expr: 7", "7:13: the query `errors` is not in the expression"),
        ("over: 10m", "over: 0m", "9:18: a window of no minutes has no values (at least 1m)"),
        ("over: 10m", "over: 90s", "9:18: `90s` is not a whole number of minutes"),
        ("over: 10m", "over: 10", "9:18: `10` is not a duration like 90s, 10m or 1h"),
        ("over: 10m", "over: 3h", "3:3: window and datapoints together reach back 180 minutes (at most 108)"),
        // Defect 6: an unknown comparison silently never fired.
        ("gt: 3", "qt: 3", "10:9: unknown comparison `qt` (did you mean `gt`?)"),
        ("gt: 3", "eq: 3", "10:9: unknown comparison `eq` (there is gt, gte, lt, lte)"),
        ("gt: 3", "gt: 3, lt: 1", "10:9: `when` has to be one comparison ({gt: 3}, say)"),
        ("{gt: 3}", "{}", "10:9: `when` has to be one comparison ({gt: 3}, say)"),
        ("gt: 3", "gt: .nan", "10:9: the threshold NaN is not a number to compare with"),
        (
            "gt: 3}",
            "gt: 3}\n  clear: {lte: 5}",
            "11:10: a value can be > 3 and <= 5 at once (`clear` has to point the other way and must not reach `when`)",
        ),
        (
            "gt: 3}",
            "gt: 3}\n  datapoints: {m: 3, n: 2}",
            "11:15: 3 of 2 datapoints (m is at least 1 and at most n, and n is at most 120)",
        ),
        // As a number with a sign it is negative, and the reach was small.
        (
            "gt: 3}",
            "gt: 3}\n  datapoints: {m: 1, n: 18446744073709551615}",
            "11:15: 1 of 18446744073709551615 datapoints (m is at least 1 and at most n, and n is at most 120)",
        ),
        (
            "gt: 3}",
            "gt: 3}\n  datapoints: {m: 1, n: 120}",
            "3:3: window and datapoints together reach back 131 minutes (at most 108)",
        ),
        (
            "version: 1",
            "version: 1\ndefaults: {evaluation_delay: 59s}",
            "2:30: an evaluation_delay of 59s is not taken (from 1m to 10m: lines take about a minute to arrive)",
        ),
        (
            "version: 1",
            "version: 1\ndefaults: {evaluation_delay: 30d}",
            "2:30: an evaluation_delay of 30d is not taken (from 1m to 10m: lines take about a minute to arrive)",
        ),
        (
            "version: 1",
            "version: 1\ndefaults: {evaluation_delay: 99999999999999999999s}",
            "2:30: `99999999999999999999s` is longer than 30 days",
        ),
        ("gt: 3}", "gt: 3}\n  for: -1m", "11:8: `-1m` is not a duration like 90s, 10m or 1h"),
        ("gt: 3}", "gt: 3}\n  missing: no_data", "11:12: unknown missing `no_data` (did you mean `nodata`?)"),
        (
            "id: contract_creation_failure",
            "id: \"Bad id\\n\"",
            "3:7: `Bad id\n` can't be the id (lower-case letters, digits and `_`, a letter first, at most 48)",
        ),
        ("id: contract_creation_failure", "id: rules_invalid", "3:7: this id is reserved (choose another one)"),
        (
            "{{labels.service}}",
            "{{labels.role}}",
            "12:26: unknown placeholder `{{labels.role}}` in the summary (there is {{value}}, and {{labels.<name>}} for each name in group_by)",
        ),
        ("{{labels.service}}", "${DATABASE}", "12:26: there is no variable `DATABASE` (there is DATABASE_INSTANCE)"),
        ("{{labels.service}}", "${DATABASE", "12:26: `${` without `}`"),
        (
            "\"}",
            "\", runbook_url: \"javascript:alert(1)\"}",
            "12:74: `javascript:alert(1)` is not an http or https URL",
        ),
        (
            "\"}",
            "\"}\n  tests: [{series: {error: \"1\"}, expect: {1m: firing}}]",
            "13:11: the test gives a series for `error`, which is no query of the rule",
        ),
        (
            "\"}",
            "\"}\n  tests: [{series: {errors: \"1y3\"}, expect: {1m: firing}}]",
            "13:11: `1y3` in the test's series is not like 5, 0x10, _x5 or 6000*30x5",
        ),
        (
            "\"}",
            "\"}\n  tests: [{series: {errors: \"1 2x18446744073709551615\"}, expect: {1m: firing}}]",
            "13:11: the test is longer than a day",
        ),
        (
            "\"}",
            "\"}\n  tests: [{series: {errors: \"2x99999999999999999999\"}, expect: {1m: firing}}]",
            "13:11: `2x99999999999999999999` in the test's series is not like 5, 0x10, _x5 or 6000*30x5",
        ),
        (
            "\"}",
            "\"}\n  tests: [{series: {errors: \"1\"}, expect: {1m: fires}}]",
            "13:11: the test expects `fires`; there is inactive, pending, firing, resolved",
        ),
        // The shape.
        ("window:", "windw:", "9:3: unknown field `windw` (did you mean `window`?)"),
        ("  when: {gt: 3}\n", "", "3:3: missing field `when` (a rule of kind metric has severity, queries, expr, window, when)"),
        ("gt: 3", "gt: three", "10:14: invalid floating point"),
        ("  when: {gt: 3}", "  when: {gt: 3}\n  when: {gt: 4}", "11:3: duplicate mapping key `when`"),
        ("group_by: [service]", "group_by: [service", "12:14: illegal placement of ':' indicator"),
        ("version: 1", "version: 2", "1:10: version 2, this is version 1"),
    ] {
        assert!(RULE.contains(old), "{old}");
        let text = mistakes(&RULE.replacen(old, new, 1));
        let (place, message) = expected.split_once(' ').unwrap();
        if !text.starts_with(&format!("rules.yaml:{place}")) || !text.contains(message) {
            otherwise.push(format!("{new}\nexpected: {expected}\n   found: {text}"));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n\n"));
}

#[test]
fn an_unknown_field_is_answered_with_the_rule_and_the_nearest_field() {
    let text = mistakes(&RULE.replacen("window:", "windw:", 1));
    assert!(text.starts_with("rules.yaml:9:3: rule contract_creation_failure: unknown field `windw`"), "{text}");
    assert!(text.ends_with("(did you mean `window`?)"), "{text}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let second = RULE.lines().skip(2).collect::<Vec<_>>().join("\n").replacen("gt: 3", "more: 3", 1);
    let text = mistakes(&format!("{RULE}{second}\n").replacen("stat: Sum", "stat: Summ", 1).replacen("10m", "0m", 1));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("rules.yaml:7:54: rule contract_creation_failure: unknown statistic"), "{text}");
    assert!(lines[1].starts_with("rules.yaml:9:18: rule contract_creation_failure: a window of no minutes"), "{text}");
    assert!(
        lines[2].starts_with("rules.yaml:13:7: rule contract_creation_failure: another rule has the same id"),
        "{text}"
    );
    assert!(
        lines[3].starts_with("rules.yaml:20:9: rule contract_creation_failure: unknown comparison `more`"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_rule_file_is_refused() {
    for (text, expected) in [
        ("", "rules.yaml:1:1: unexpected end of file"),
        ("42", "rules.yaml:1:1: "),
        ("version: 1\nrules: []\n", "rules.yaml:2:8: no rules (without this file the built-in rules hold)"),
        ("version: 1\nrules:\n\t- id: a\n", "rules.yaml:3:2: rule a: tabs disallowed"),
        ("{\"version\": 1, \"rules\": null}", "rules.yaml:1:"),
    ] {
        let found = mistakes(text);
        assert!(found.starts_with(expected), "{text:?}: {found}");
    }
}

#[test]
fn placeholders_are_filled_from_the_variables() {
    let rules = built_in();
    let rule = rules.rules.iter().find(|rule| rule.id == "database_connections_high").unwrap();
    let series: Vec<_> = rule.foreign().collect();
    assert_eq!(series[0].dimensions["DBInstanceIdentifier"], "production-contract-db");
    assert_eq!(series[0].namespace, "AWS/RDS");
    assert_eq!(rule.summary.render(Some(80.0), &Labels::new()), "80 connections open to production-contract-db");

    let error = RuleSet::load("default.yaml", DEFAULT_RULES, &Variables::new()).unwrap_err().to_string();
    assert!(error.contains("rule database_connections_high: there is no variable `DATABASE_INSTANCE`"), "{error}");
}

#[test]
fn a_bad_file_leaves_the_last_good_rules_in_force() {
    let good = RULE.replacen("gt: 3", "gt: 30", 1);
    let bad = RULE.replacen("gt: 3", "qt: 3", 1);
    let built_in = built_in();
    let rules = |threshold: f64| move |set: &RuleSet| set.rules[0].threshold().unwrap().when.threshold == threshold;
    for (why, stored, last_good, in_force, accepted, mistakes) in [
        ("there is none", None, None, rules(80.0), None, 0),
        ("there is none any more", None, Some(good.as_str()), rules(80.0), None, 0),
        ("a good one", Some(good.as_bytes()), None, rules(30.0), Some(&good), 0),
        ("a bad one, never a good one", Some(bad.as_bytes()), None, rules(80.0), None, 1),
        ("a bad one after a good one", Some(bad.as_bytes()), Some(good.as_str()), rules(30.0), Some(&good), 1),
        ("not UTF-8", Some(b"version: \xff".as_slice()), Some(good.as_str()), rules(30.0), Some(&good), 1),
        ("empty", Some(b"".as_slice()), None, rules(80.0), None, 1),
    ] {
        let chosen = choose("config/rules.yaml", stored, last_good, &built_in, &variables());
        assert!(in_force(&chosen.rules), "{why}");
        assert_eq!(chosen.accepted.as_ref(), accepted, "{why}");
        assert_eq!(chosen.problem.map_or(0, |problem| problem.problems.len()), mistakes, "{why}");
    }
}

#[test]
fn an_alert_is_routed_by_the_service_that_it_concerns() {
    let mut rule = rule();
    let labels = Labels::from([("service".to_owned(), "web".to_owned())]);
    assert_eq!(rule.service(&labels), "web");
    assert_eq!(rule.service(&Labels::new()), "all");
    let Kind::Metric(threshold) = &mut rule.kind else { panic!("{:?}", rule.kind) };
    let query = threshold.queries.get_mut("errors").unwrap();
    query.filters.insert("service".to_owned(), Filter::Exact("contract".to_owned()));
    assert_eq!(rule.service(&Labels::new()), "contract");
    rule.concerns = Some("user".to_owned());
    assert_eq!(rule.service(&Labels::new()), "user");
    assert_eq!(rule.service(&labels), "web");
}

#[test]
fn a_status_class_takes_its_codes_only() {
    let filter = Filter::StatusClass('5');
    for (value, expected) in
        [("500", true), ("503", true), ("404", false), ("50", false), ("5000", false), ("5ё", false)]
    {
        assert_eq!(filter.matches(value), expected, "{value}");
    }
}
