//! What of each rule is in the rule file, and what is told of the rest. (Whether Prometheus agrees is asked in `infra/ops`.)

use super::*;
use crate::alerting::rules::Variables;

fn exported(rules: &str, environment: Option<&str>) -> RuleFile {
    let text = format!("version: 1\nrules:\n{rules}");
    let rules = RuleSet::load("rules.yaml", &text, &Variables::new()).unwrap_or_else(|error| panic!("{error}"));
    rule_file(&rules, "rules.yaml", environment)
}

/// The expression of the only alert.
#[track_caller]
fn expression(file: &RuleFile) -> String {
    let (_, after) = file.text.split_once("expr: |-\n").unwrap_or_else(|| panic!("{}", file.text));
    let lines = after.lines().take_while(|line| line.starts_with("      ")).map(|line| &line[6..]);
    lines.collect::<Vec<_>>().join("\n")
}

fn metric(more: &str) -> String {
    format!("- {{id: x, class: c, severity: error, {more}, annotations: {{summary: \"{{{{value}}}} of it\"}}}}\n")
}

#[test]
fn each_statistic_is_what_prometheus_has_of_it() {
    for (query, expected) in [
        (
            "api_requests, stat: Sum",
            "sum(last_over_time(api_requests_total[5m59s999ms] offset 1m) - min_over_time((api_requests_total offset 90s)[4m59s999ms:1m]))",
        ),
        (
            "contract_value, stat: Sum",
            "sum(last_over_time(contract_value_roubles_sum[5m59s999ms] offset 1m) - min_over_time((contract_value_roubles_sum offset 90s)[4m59s999ms:1m]))",
        ),
        (
            "document_size, stat: Sum",
            "(sum(last_over_time(document_size_bytes_sum[5m59s999ms] offset 1m) - min_over_time((document_size_bytes_sum offset 90s)[4m59s999ms:1m])) / 1000000)",
        ),
        (
            "api_request_duration, stat: SampleCount",
            "sum(last_over_time(api_request_duration_seconds_count[5m59s999ms] offset 1m) - min_over_time((api_request_duration_seconds_count offset 90s)[4m59s999ms:1m]))",
        ),
        (
            "api_request_duration, stat: Average",
            "(1000 * (sum(last_over_time(api_request_duration_seconds_sum[5m59s999ms] offset 1m) - min_over_time((api_request_duration_seconds_sum offset 90s)[4m59s999ms:1m])) / \
             (sum(last_over_time(api_request_duration_seconds_count[5m59s999ms] offset 1m) - min_over_time((api_request_duration_seconds_count offset 90s)[4m59s999ms:1m])) > 0)))",
        ),
        (
            "api_request_duration, stat: p99.9",
            "(1000 * histogram_quantile(0.999, sum by (le) (last_over_time(api_request_duration_seconds_bucket[5m59s999ms] offset 1m) - min_over_time((api_request_duration_seconds_bucket offset 90s)[4m59s999ms:1m]))))",
        ),
        ("active_users, stat: Average", "avg(avg_over_time(active_users[4m59s999ms] offset 1m))"),
        ("active_users, stat: Minimum", "min(min_over_time(active_users[4m59s999ms] offset 1m))"),
        ("active_users, stat: Maximum", "max(max_over_time(active_users[4m59s999ms] offset 1m))"),
        ("active_users, stat: p50", "max(quantile_over_time(0.5, active_users[4m59s999ms] offset 1m))"),
        (
            "api_requests, stat: Sum, fill: zero",
            "(sum(last_over_time(api_requests_total[5m59s999ms] offset 1m) - min_over_time((api_requests_total offset 90s)[4m59s999ms:1m])) or vector(0))",
        ),
        (
            "api_requests, stat: Sum, min_samples: 10",
            "(sum(last_over_time(api_requests_total[5m59s999ms] offset 1m) - min_over_time((api_requests_total offset 90s)[4m59s999ms:1m])) >= 10)",
        ),
    ] {
        let rule =
            metric(&format!("queries: {{q: {{metric: {query}}}}}, expr: q, window: {{over: 5m}}, when: {{gt: 3}}"));
        let file = exported(&rule, None);
        assert_eq!(expression(&file), format!("{expected} > 3"), "{query}");
    }
}

#[test]
fn what_prometheus_does_not_know_is_left_out_with_the_reason() {
    for (query, expected) in [
        ("api_requests, stat: SampleCount", "Prometheus knows what api_requests counts, not in how many increments"),
        (
            "api_request_duration, stat: Maximum",
            "a histogram does not know the least and the greatest value of api_request_duration",
        ),
        (
            "cpu_usage_percent, stat: p90",
            "Prometheus has no percentile of cpu_usage_percent over several series and a window",
        ),
        (
            "database_connections, stat: Average, where: {DBInstanceIdentifier: db}",
            "AWS/RDS DatabaseConnections is a metric of AWS",
        ),
    ] {
        let rule =
            metric(&format!("queries: {{q: {{metric: {query}}}}}, expr: q, window: {{over: 5m}}, when: {{gt: 3}}"));
        let file = exported(&rule, None);
        assert_eq!(file.notes, [Note::left_out("x", expected)]);
        assert!(
            file.text.contains(&format!("# - x: {expected}\n")) && file.text.ends_with("groups: []\n"),
            "{}",
            file.text
        );
    }
    let slo = "- {id: x, kind: slo, class: c, objective: 99, duration: {metric: api_request_duration}, within: 1500, \
               annotations: {summary: s}}\n";
    let file = exported(slo, None);
    assert!(
        file.notes[0].what.starts_with("no bucket of api_request_duration ends at 1500; they end at 5, 10"),
        "{:?}",
        file.notes
    );
}

#[test]
fn only_one_environment_is_asked_for_where_there_are_several() {
    let rule = metric(
        "queries: {q: {metric: api_requests, stat: Sum, where: {status_code: 5xx}}}, expr: q, window: {over: 1h}, when: {gt: \
         3}, clear: {lte: 1}, for: 90m, keep_firing_for: 1d, group_by: [service]",
    );
    let file = exported(&rule, Some("staging"));
    let series = r#"api_requests_total{environment="staging", status_code=~"5[0-9][0-9]"}"#;
    let least = format!("min_over_time(({series} offset 90s)[59m59s999ms:1m])");
    let increase = format!("sum by (service) (last_over_time({series}[1h59s999ms] offset 1m) - {least})");
    let firing = r#"ALERTS{alertname="x", alertstate="firing", environment="staging"}"#;
    assert_eq!(expression(&file), format!("{increase} > 3\nor\n({increase} > 1 and on (service) {firing})"));
    let rest = "    for: 90m
    keep_firing_for: 1d
    labels:
      class: \"c\"
      environment: \"staging\"
      severity: \"error\"
    annotations:
      summary: \"{{ printf \\\"%.2f\\\" $value }} of it\"
";
    assert!(file.text.ends_with(rest), "{}", file.text);
}

#[test]
fn composite_rules_come_after_those_that_they_speak_of() {
    let cpu = |id: &str, by: &str| {
        format!(
            "- {{id: {id}, class: c, severity: error, queries: {{q: {{metric: cpu_usage_percent, stat: Average}}}}, expr: q, \
             window: {{over: 1m}}, when: {{gt: 80}}{by}, annotations: {{summary: s}}}}\n"
        )
    };
    let both = "- {id: both, kind: composite, class: c, severity: error, expr: one and not all, group_by: [service], \
                annotations: {summary: s}}\n";
    let file = exported(&[both, &cpu("one", ", group_by: [service]"), &cpu("all", "")].concat(), None);
    let alerts: Vec<&str> = file.text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts, ["all", "one", "both"]);
    let [one, all] = ["one", "all"].map(|id| format!("ALERTS{{alertname=\"{id}\", alertstate=\"firing\"}}"));
    let universe = format!("(group by (service) ({one}))");
    let expected = format!(
        "((group by (service) ({one})) and on (service) ({universe} unless on (service) ({universe} and on () (group({all})))))"
    );
    assert!(file.text.contains(&expected), "{}", file.text);
    // What rests on a rule that is left out is left out as well.
    let foreign = "- {id: all, class: c, severity: error, queries: {q: {metric: database_connections, stat: Average, where: \
                   {DBInstanceIdentifier: db}}}, expr: q, window: {over: 1m}, when: {gt: 80}, annotations: {summary: s}}\n";
    let file = exported(&[both, &cpu("one", ", group_by: [service]"), foreign].concat(), None);
    let left_out: Vec<&str> = file.notes.iter().filter(|note| note.left_out).map(|note| note.rule.as_str()).collect();
    assert_eq!(left_out, ["all", "both"]);
}

#[test]
fn texts_of_rules_can_not_break_out_of_the_yaml() {
    let rule = "- {id: x, class: c, severity: error, queries: {q: {metric: api_requests, stat: Sum, where: {service: \"a\\\"b\\\\n\"}}}, \
                expr: q, window: {over: 1m}, when: {gt: 3}, annotations: {summary: \"a: 'b' \\\"c\\\" # d\\ne\"}}\n";
    let file = exported(rule, None);
    assert_eq!(
        expression(&file),
        r#"sum(last_over_time(api_requests_total{service="a\"b\\n"}[1m59s999ms] offset 1m) - min_over_time((api_requests_total{service="a\"b\\n"} offset 90s)[59s999ms:1m])) > 3"#
    );
    assert!(file.text.ends_with("      summary: \"a: 'b' \\\"c\\\" # d\\ne\"\n"), "{}", file.text);
}

#[test]
fn texts_of_rules_are_no_templates() {
    let rule = "- {id: x, class: c, severity: error, queries: {q: {metric: api_requests, stat: Sum, where: {service: '{{b}}'}}}, \
                expr: q, window: {over: 1m}, when: {gt: 3}, annotations: {summary: s, runbook_url: \"https://a/b\"}}\n";
    let mut set = RuleSet::load("rules.yaml", &format!("version: 1\nrules:\n{rule}"), &Variables::new()).unwrap();
    set.rules[0].runbook_url = Some("https://a/{{labels.service}}".to_owned());
    let text = rule_file(&set, "rules.yaml", Some("{{e}}")).text;
    let (_, texts) = text.split_once("labels:").unwrap();
    for expected in [r#""{{ \"{{\" }}b}}""#, r#""https://a/{{ \"{{\" }}labels.service}}""#, r#""{{ \"{{\" }}e}}""#] {
        assert!(texts.contains(expected), "{expected}: {texts}");
    }
}

#[test]
fn over_an_hour_a_series_may_begin_again() {
    let rule = metric("queries: {q: {metric: api_requests, stat: Sum}}, expr: q, window: {over: 100m}, when: {gt: 3}");
    let range = "api_requests_total[100m59s999ms] offset 1m";
    let difference = format!("last_over_time({range}) - min_over_time({range})");
    let expected = format!("sum({difference} unless resets({range}) > 0 or increase({range}) * 100 / 101) > 3");
    assert_eq!(expression(&exported(&rule, None)), expected);
}

/// What a summary with a value says where Prometheus has none.
#[test]
fn a_value_that_is_not_the_rules_is_told() {
    let gauge = "queries: {q: {metric: active_users, stat: Average}}, expr: q, window: {over: 5m}, when: {gt: 3}";
    let silent = "metric: api_requests, group_by: [service]";
    let without_value = "x: while it fires without a value, its summary says NaN for it";
    for (rule, expected, note) in [
        (metric(&format!("{gauge}, missing: ignore")), "(NaN * group(ALERTS{alertname=", Some(without_value)),
        (metric(&format!("{gauge}, missing: breaching")), "(NaN * absent(avg(", Some(without_value)),
        (metric(gauge), "avg(", None),
        (
            metric(&format!("kind: absence, {silent}, for: 1h, forget_after: 1d")),
            "60 * group by (service) (",
            Some("x: the value in its summary is always 60: for so many minutes at least nothing came"),
        ),
        (
            metric("kind: heartbeat, metric: api_requests, every: 30m, grace: 15m"),
            "45 * absent(",
            Some("x: the value in its summary is always 45: for so many minutes at least nothing came"),
        ),
    ] {
        let file = exported(&rule, None);
        assert!(expression(&file).contains(expected), "{}", file.text);
        let told = file
            .notes
            .iter()
            .map(|note| format!("{}: {}", note.rule, note.what))
            .filter(|text| text.contains("summary"));
        assert_eq!(told.collect::<Vec<_>>(), note.map(str::to_owned).into_iter().collect::<Vec<_>>());
        let silent = exported(&rule.replace("{{value}} of it", "it"), None);
        assert!(silent.notes.iter().all(|note| !note.what.contains("summary")), "{:?}", silent.notes);
    }
}

#[test]
fn of_some_datapoints_those_without_a_value_are_told() {
    let rule = |more: &str| {
        metric(&format!(
            "queries: {{q: {{metric: api_requests, stat: Sum{more}}}}}, expr: q, window: {{over: 1m}}, when: {{gt: 3}}, \
             datapoints: {{m: 2, n: 3}}"
        ))
    };
    let what = "its 3 minutes are the last 3, and those without a value do not breach";
    assert_eq!(exported(&rule(""), None).notes, [Note::differs("x", what)]);
    assert_eq!(exported(&rule(", fill: zero"), None).notes, []);
}
