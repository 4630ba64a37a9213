//! What of each rule is in the template, and what is told of the rest.

use super::*;
use crate::alerting::alarms::{AlarmChange, Alarms};
use crate::alerting::rules::Variables;

fn exported(rules: &str, values: &[(&str, &[&str])]) -> Template {
    let text = format!("version: 1\nrules:\n{rules}");
    let rules = RuleSet::load("rules.yaml", &text, &Variables::new()).unwrap_or_else(|error| panic!("{error}"));
    let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let values = values.iter().map(|(name, values)| ((*name).to_owned(), list(values))).collect();
    template(&rules, "rules.yaml", &values)
}

/// A rule of kind metric with more fields, or others.
fn metric(id: &str, more: &str) -> String {
    format!("- {{id: {id}, class: c, severity: error, {more}, annotations: {{summary: \"{{{{value}}}} of it\"}}}}\n")
}

fn notes(template: &Template) -> Vec<String> {
    template.notes.iter().map(|note| format!("{}: {}", note.rule, note.what)).collect()
}

const CPU: &str = "queries: {cpu: {metric: cpu_usage_percent, stat: Average}}, expr: cpu, when: {gt: 80}";

#[test]
fn a_single_series_is_a_plain_alarm_and_arithmetic_is_metric_math() {
    let plain = exported(
        &metric("cpu", &format!("{CPU}, window: {{over: 5m}}, group_by: [service]")),
        &[("service", &["api"])],
    );
    let alarm = &plain.body["Resources"]["CpuApi"]["Properties"];
    assert_eq!(alarm["Statistic"], "Average");
    assert_eq!((&alarm["Period"], &alarm["EvaluationPeriods"]), (&json!(300), &json!(1)));
    assert_eq!(alarm["Dimensions"], json!([{ "Name": "service", "Value": "api" }]));
    assert_eq!(alarm["AlarmName"], json!({ "Fn::Sub": "${AWS::StackName}-cpu-api" }));
    assert_eq!(alarm["AlarmDescription"], "<value> of it severity=error class=c service=api");
    assert!(plain.notes.is_empty(), "{:?}", plain.notes);

    let p95 = metric(
        "slow",
        "queries: {d: {metric: api_request_duration, stat: p99.9}}, expr: d, window: {over: 1m}, when: {gt: 5000}",
    );
    let alarm = &exported(&p95, &[]).body["Resources"]["Slow"]["Properties"];
    // Defect 2: percentiles are extended statistics.
    assert_eq!((&alarm["ExtendedStatistic"], &alarm["Statistic"]), (&json!("p99.9"), &Value::Null));

    let rate = metric(
        "errors",
        "queries: {e: {metric: api_requests, stat: Sum, where: {status_code: 5xx}, fill: zero}, r: {metric: api_requests, \
         stat: Sum, min_samples: 10}}, expr: '100 * e / max(r, 1)', window: {over: 2m}, when: {gt: 5}",
    );
    let template = exported(&rate, &[("status_code", &["200", "500", "503"])]);
    let metrics = template.body["Resources"]["Errors"]["Properties"]["Metrics"].as_array().unwrap();
    let expression = "((100 * SUM([FILL(m1, 0), FILL(m2, 0)])) / IF((m3 / (m3 >= 10)) > 1, (m3 / (m3 >= 10)), 1))";
    assert_eq!(metrics[0], json!({ "Id": "e1", "Expression": expression, "ReturnData": true }));
    let codes: Vec<&Value> =
        metrics[1..3].iter().map(|metric| &metric["MetricStat"]["Metric"]["Dimensions"][0]["Value"]).collect();
    assert_eq!(codes, ["500", "503"]);
    assert!(metrics[3]["MetricStat"]["Metric"].get("Dimensions").is_none(), "of all, without dimensions");
    assert_eq!(notes(&template), ["errors: of a filter by pattern only the values that were known are seen"]);
}

#[test]
fn datapoints_waits_and_missing_data_are_cloudwatchs_where_it_has_them() {
    for (more, (periods, breaching, missing), expected) in [
        ("window: {over: 1m}", (1, 1, "notBreaching"), &[][..]),
        ("window: {over: 1m}, datapoints: {m: 3, n: 5}, missing: breaching", (5, 3, "breaching"), &[]),
        ("window: {over: 1m}, for: 4m, missing: ignore", (5, 5, "ignore"), &[]),
        ("window: {over: 1m}, missing: nodata", (1, 1, "missing"), &[]),
        ("window: {over: 1m}, missing: missing", (1, 1, "missing"), &[]),
        (
            "window: {over: 5m}, for: 12m",
            (4, 4, "notBreaching"),
            &["cpu: its datapoints are 5m long, one after another, and do not overlap"],
        ),
        (
            "window: {over: 1m}, datapoints: {m: 2, n: 3}, for: 5m",
            (3, 2, "notBreaching"),
            &["cpu: it does not wait for 5m beside its datapoints"],
        ),
        (
            "window: {over: 1m}, clear: {lte: 70}, keep_firing_for: 5m",
            (1, 1, "notBreaching"),
            &[
                "cpu: it is not kept firing for 5m",
                "cpu: it ends as soon as it is not > 80, and does not wait for <= 70",
            ],
        ),
    ] {
        let template = exported(&metric("cpu", &format!("{CPU}, {more}")), &[]);
        let alarm = &template.body["Resources"]["Cpu"]["Properties"];
        let found = (&alarm["EvaluationPeriods"], &alarm["DatapointsToAlarm"], &alarm["TreatMissingData"]);
        assert_eq!(found, (&json!(periods), &json!(breaching), &json!(missing)), "{more}");
        assert_eq!(notes(&template), expected, "{more}");
    }
}

#[test]
fn every_known_group_has_an_alarm_and_without_known_groups_there_is_none() {
    let rule = metric(
        "slow",
        "queries: {d: {metric: api_request_duration, stat: p95}}, expr: d, window: {over: 5m}, when: {gt: 5000}, group_by: \
         [service, endpoint]",
    );
    let template = exported(&rule, &[("service", &["api", "web"]), ("endpoint", &["/a-b", "/a_b"])]);
    let resources: Vec<&String> = template.body["Resources"].as_object().unwrap().keys().collect();
    // Names of resources are letters and digits: what differs only in others is numbered.
    assert_eq!(resources, ["SlowApiAB", "SlowApiAB2", "SlowWebAB", "SlowWebAB2"]);
    let template = exported(&rule, &[("service", &["api"])]);
    assert!(template.body["Resources"].as_object().unwrap().is_empty());
    assert!(
        template.notes[0].left_out && template.notes[0].what.contains("--values endpoint="),
        "{:?}",
        template.notes
    );
    assert_eq!(template.body["Metadata"]["NotInHere"][0], format!("slow: {}", template.notes[0].what));
}

#[test]
fn an_objective_is_an_alarm_for_each_window_and_one_that_puts_them_together() {
    let slo = "- {id: slo, kind: slo, class: c, objective: 99.9, bad: {metric: api_requests, where: {status_code: 500}}, \
               total: {metric: api_requests}, min_samples: 100, burn: [{severity: critical, factor: 14.4, long: 1h, short: \
               5m}, {severity: critical, factor: 6, long: 6h, short: 30m}], annotations: {summary: s}}\n";
    let resources = exported(slo, &[]).body["Resources"].clone();
    let long = &resources["SloPage144x1h"]["Properties"];
    assert_eq!((&long["Threshold"], &long["Metrics"][1]["MetricStat"]["Period"]), (&json!(0.0144), &json!(3_600)));
    assert_eq!(long["Metrics"][0]["Expression"], "(FILL(m1, 0) / m2) / (m2 >= 100)");
    assert_eq!(long.get("AlarmActions"), None, "a part tells nobody");
    assert_eq!(resources["SloPage144x5m"]["Properties"]["Metrics"][0]["Expression"], "FILL(m1, 0) / m2");
    let both = &resources["SloPage"];
    let name = |suffix: &str| format!("ALARM(\"${{AWS::StackName}}-slo-page-{suffix}\")");
    let expected =
        format!("({} AND {}) OR ({} AND {})", name("14.4x-1h"), name("14.4x-5m"), name("6x-6h"), name("6x-30m"));
    assert_eq!(both["Properties"]["AlarmRule"], json!({ "Fn::Sub": expected }));
    assert_eq!(both["DependsOn"].as_array().unwrap().len(), 4);
    assert_eq!(both["Properties"]["AlarmActions"], json!([{ "Ref": "AlarmTopicArn" }]));
}

#[test]
fn composite_rules_speak_of_the_alarms_with_the_same_labels() {
    let cpu = metric("cpu", &format!("{CPU}, window: {{over: 5m}}, group_by: [service]"));
    let all = metric("all_cpu", &format!("{CPU}, window: {{over: 5m}}"));
    let both = "- {id: both, kind: composite, class: c, severity: error, expr: cpu and not all_cpu, group_by: [service], \
                annotations: {summary: s}}\n";
    let any = "- {id: any, kind: composite, class: c, severity: error, expr: cpu or both, annotations: {summary: s}}\n";
    let many =
        "- {id: many, kind: composite, class: c, severity: error, expr: count(cpu) >= 2, annotations: {summary: s}}\n";
    let values: &[(&str, &[&str])] = &[("service", &["api", "web"])];
    // In whatever order they stand in the file.
    let template = exported(&[any, both, many, &cpu, &all].concat(), values);
    let rule = |resource: &str| {
        let rule = template.body["Resources"][resource]["Properties"]["AlarmRule"]["Fn::Sub"].as_str().unwrap();
        rule.replace("${AWS::StackName}-", "")
    };
    assert_eq!(rule("BothWeb"), r#"(ALARM("cpu-web") AND NOT ALARM("all_cpu"))"#);
    let expected = r#"((ALARM("cpu-api") OR ALARM("cpu-web")) OR (ALARM("both-api") OR ALARM("both-web")))"#;
    assert_eq!(rule("Any"), expected);
    assert_eq!(notes(&template), ["many: alarms do not count how many of cpu are at least 2"]);
    let without = exported(&[both, &cpu, &all].concat(), &[]);
    assert!(
        notes(&without).contains(
            &"both: an alarm is for one series: give the values of service that there are, \
                                       --values service=..."
                .to_owned()
        ),
        "{:?}",
        without.notes
    );
}

#[test]
fn silence_and_events_are_alarms_on_counts() {
    let heartbeat = "- {id: job, kind: heartbeat, class: c, severity: error, metric: contracts_created, every: 1d, grace: 1h, \
                     annotations: {summary: s}}\n";
    let alarm = &exported(heartbeat, &[]).body["Resources"]["Job"]["Properties"];
    assert_eq!((&alarm["Threshold"], &alarm["TreatMissingData"]), (&json!(0.0), &json!("breaching")));
    assert_eq!(alarm["Metrics"][0]["Expression"], "FILL(m1, 0)");
    assert_eq!(alarm["Metrics"][1]["MetricStat"]["Period"], 90_000);
    let event = "- {id: logins, kind: event, class: security, severity: critical, where: {event_type: login_failed}, when: \
                 {gte: 5}, window: {over: 5m}, resolve_after: 10m, annotations: {summary: s}}\n";
    let template = exported(event, &[]);
    let alarm = &template.body["Resources"]["Logins"]["Properties"];
    assert_eq!(
        (&alarm["ComparisonOperator"], &alarm["Threshold"]),
        (&json!("GreaterThanOrEqualToThreshold"), &json!(5.0))
    );
    assert_eq!(notes(&template), ["logins: it ends 5m after the last event"]);
}

#[test]
fn what_cloudwatch_would_refuse_is_left_out() {
    for (rule, expected) in [
        (
            "- {id: x, kind: heartbeat, class: c, severity: error, metric: contracts_created, every: 7d, grace: 1h, \
             annotations: {summary: s}}\n"
                .to_owned(),
            "x: it looks back 169h, and an alarm of its period 7d",
        ),
        (
            metric(
                "x",
                "queries: {r: {metric: api_requests, stat: Sum, where: {status_code: [2xx, 3xx, 4xx]}}}, expr: r, window: \
                 {over: 1m}, when: {gt: 5}",
            ),
            "x: it reads 13 series, and an alarm at most 10",
        ),
        (
            "- {id: x, kind: event, class: security, severity: error, where: {level: ERROR}, when: {gte: 5}, window: {over: \
             5m}, resolve_after: 10m, annotations: {summary: s}}\n"
                .to_owned(),
            "x: CloudWatch does not have security_events by (level)",
        ),
    ] {
        let template = exported(&rule, &[]);
        assert_eq!(notes(&template), [expected]);
        assert!(template.notes[0].left_out && template.body["Resources"].as_object().unwrap().is_empty());
    }
}

#[test]
fn names_can_not_break_out_of_where_they_stand() {
    let rule = metric("cpu", &format!("{CPU}, window: {{over: 5m}}, group_by: [service]"));
    let any = "- {id: any, kind: composite, class: c, severity: error, expr: cpu, annotations: {summary: s}}\n";
    let template = exported(&[&rule, any].concat(), &[("service", &["a\") OR ALARM(\"b", "${x}"])]);
    let alarm_rule = template.body["Resources"]["Any"]["Properties"]["AlarmRule"]["Fn::Sub"].as_str().unwrap();
    assert_eq!(
        alarm_rule,
        "(ALARM(\"${AWS::StackName}-cpu-a-) OR ALARM(-b\") OR ALARM(\"${AWS::StackName}-cpu-$-{x}\"))"
    );
}

/// An exported description as the evaluator reads it, of the alarm `resource`.
fn read_back(template: &Template, resource: &str) -> AlarmChange {
    let description = &template.body["Resources"][resource]["Properties"]["AlarmDescription"];
    let event = json!({
        "time": "2026-11-21T10:05:14Z", "region": "eu-west-1",
        "resources": ["arn:aws:cloudwatch:eu-west-1:123456789012:alarm:x"],
        "detail": {
            "alarmName": "x",
            "state": { "value": "ALARM", "timestamp": "2026-11-21T10:05:14.120+0000", "reason": "" },
            "previousState": { "value": "OK" },
            "configuration": { "description": description },
        },
    });
    AlarmChange::read(&event).unwrap_or_else(|error| panic!("{error}: {description}"))
}

#[test]
fn the_evaluator_reads_what_an_exported_alarm_says_of_itself() {
    let slo = "- {id: slo, kind: slo, class: sla, objective: 99.9, bad: {metric: api_requests, where: {status_code: 500}}, \
               total: {metric: api_requests}, group_by: [service], burn: [{severity: error, factor: 14.4, long: 1h, short: \
               5m}, {severity: warning, factor: 1, long: 3d, short: 6h}], annotations: {summary: \"{{labels.service}} burns \
               ({{labels.burn}})\", runbook_url: \"https://wiki.company.com/slo\"}}\n";
    let template = exported(slo, &[("service", &["api"])]);
    for (resource, severity, label) in
        [("SloApiPage", Severity::Error, "page"), ("SloApiTicket", Severity::Warning, "ticket")]
    {
        let change = read_back(&template, resource);
        let about = &change.about;
        assert_eq!((about.severity, about.class.as_str(), about.service.as_str()), (severity, "sla", "api"));
        assert_eq!(about.runbook_url.as_deref(), Some("https://wiki.company.com/slo"));
        assert_eq!(about.summary, format!("api burns ({label})"));
        assert_eq!(Alarms::default().take(&change).len(), 1);
    }
    for part in ["SloApiPage144x1h", "SloApiPage144x5m", "SloApiTicket1x3d"] {
        assert_eq!(Alarms::default().take(&read_back(&template, part)), [], "{part} tells nobody");
    }
    let service = "a service".to_owned();
    let long = metric("cpu", &format!("{CPU}, window: {{over: 5m}}, group_by: [service]"))
        .replace("{{value}} of it", &format!("severity=info {{{{labels.service}}}} {}", "x".repeat(900)));
    for value in [service.as_str(), &"y".repeat(500)] {
        let template = exported(&long, &[("service", &[value])]);
        let resource = template.body["Resources"].as_object().unwrap().keys().next().unwrap();
        let about = read_back(&template, resource).about;
        assert_ne!(about.severity, Severity::Info, "what stands at the end is taken");
        assert!(about.service == value || about.service == "all", "{}", about.service);
    }
}

/// Names differ where only letters and digits are alike, and what speaks of an alarm speaks of it by the name that it got.
#[test]
fn an_alarm_is_spoken_of_by_the_name_that_it_got() {
    let slo = "- {id: slo, kind: slo, class: c, objective: 99.9, bad: {metric: api_requests, where: {status_code: 500}}, \
               total: {metric: api_requests}, group_by: [service], burn: [{severity: critical, factor: 2, long: 1h, short: \
               5m}], annotations: {summary: s}}\n";
    let long = "z".repeat(1_024);
    let template = exported(slo, &[("service", &["api.v1", "api-v1", "a\"b", "a\\b", &long])]);
    let resources = template.body["Resources"].as_object().unwrap();
    assert_eq!(resources.len(), 15);
    let mut names = std::collections::BTreeSet::new();
    let name = |body: &Value| body["Properties"]["AlarmName"]["Fn::Sub"].as_str().unwrap().to_owned();
    for (resource, body) in resources {
        let name = name(body);
        assert!(name.len() <= "${AWS::StackName}".len() + 127, "{name}");
        assert!(names.insert(name), "{resource}");
        let Some(parts) = body["DependsOn"].as_array() else { continue };
        let alarms = parts.iter().map(|part| resources[part.as_str().unwrap()].clone());
        let rule = body["Properties"]["AlarmRule"]["Fn::Sub"].as_str().unwrap();
        assert_eq!(parts.len(), 2);
        for alarm in alarms {
            let name = alarm["Properties"]["AlarmName"]["Fn::Sub"].as_str().unwrap().to_owned();
            assert!(rule.contains(&format!("ALARM(\"{name}\")")), "{rule} {name}");
        }
    }
    assert_eq!(resources["SloApiV1Page2"]["DependsOn"], json!(["SloApiV1Page2x1h2", "SloApiV1Page2x5m2"]));
}
