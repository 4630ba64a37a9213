//! Every mistake is refused at load, with its place, its rule and a hint; what is a matter of shape, by the JSON Schema
//! as well.

use Is::{Sense, Shape};

use super::schema::{is_valid, value};
use super::{RULE, RuleSet, Variables, mistakes, variables};

/// A rule of each of the kinds that [`RULE`] is not.
pub(super) const KINDS: &str = include_str!("kinds.yaml");

/// What a mistake is a matter of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    /// Names, types and bounds of fields: an editor with the schema sees it.
    Shape,
    /// How they go together, and with the registry.
    Sense,
}

/// What is replaced by what in [`RULE`], and what is said of it then.
const OF_METRICS: &[(Is, &str, &str, &str)] = &[
    // A typo in a name.
    (
        Shape,
        "metric: contract_creation_errors",
        "metric: contract_creation_error",
        "7:22: unknown metric `contract_creation_error` (did you mean `contract_creation_errors`?)",
    ),
    (
        Shape,
        "metric: contract_creation_errors",
        "metric: function_errors",
        "7:22: function_errors is what functions tell about themselves: no rollup has it (an alarm of CloudWatch can \
             watch it)",
    ),
    // Defect 9: the source document's timers were called so.
    (
        Shape,
        "metric: contract_creation_errors",
        "metric: api_request_duration_duration",
        "7:22: unknown metric `api_request_duration_duration` (did you mean `api_request_duration`?)",
    ),
    (Shape, "severity: error", "severity: errror", "5:13: unknown severity `errror` (did you mean `error`?)"),
    // Defect 2: `p95` was sent as a plain statistic.
    (
        Shape,
        "stat: Sum",
        "stat: p195",
        "7:54: unknown statistic `p195` (there is Sum, Average, Minimum, Maximum, SampleCount, and p with a number up to 100)",
    ),
    // Defect 12: the average of increments is always 1, and never more than 3.
    (
        Sense,
        "stat: Sum, fill: zero",
        "stat: Average",
        "7:54: Average of contract_creation_errors, which counts: each increment is 1 (a counter has a Sum)",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum, fill: zero",
        "metric: cpu_usage_percent, stat: Sum",
        "7:47: Sum of cpu_usage_percent, which is a level (Average, Minimum or Maximum)",
    ),
    (Shape, "stat: Sum, fill: zero", "stat: Sum, fill: one", "7:65: unknown fill `one` (there is zero)"),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum, fill: zero",
        "metric: document_size, stat: p50, fill: zero",
        "7:43: `fill: zero` with p50 (only Sum and SampleCount are zero where nothing came)",
    ),
    (
        Sense,
        "fill: zero",
        "fill: zero, min_samples: 3",
        "7:84: a window that is filled has no samples to count (either `fill` or `min_samples`)",
    ),
    // Defect 8: a rule's dimensions were not those of any series.
    (
        Sense,
        "group_by: [service]\n  annotations: {summary: \"{{value}} in {{labels.service}}\"}",
        "group_by: [reason]\n  annotations: {summary: \"{{value}}\"}",
        "7:13: contract_creation_errors is not kept by (reason): `where` and `group_by` (it is kept by (), (service))",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: api_requests, stat: Sum, where: {status_code: 9xx}",
        "7:68: `9xx` is no class of status codes (5xx, say)",
    ),
    (
        Shape,
        "metric: contract_creation_errors, stat: Sum",
        "metric: api_requests, stat: Sum, where: {status_code: \"\"}",
        "7:68: no value of status_code is empty",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: database_connections, stat: SampleCount",
        "7:69: `fill: zero` of database_connections, whose newest minutes CloudWatch has late",
    ),
    // Defect 10: nothing said which database.
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: database_connections, stat: Average",
        "7:50: `fill: zero` with Average",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum, fill: zero",
        "metric: database_connections, stat: Average",
        "7:13: database_connections is a metric of AWS: the rule has to name its one resource (where: {DBInstanceIdentifier: ...} and no group_by)",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum, fill: zero",
        "metric: database_connections, stat: p95",
        "7:50: p95 of database_connections by minute says nothing of the window (Sum, Average, Minimum, Maximum or SampleCount)",
    ),
    (Sense, "expr: errors", "expr: errrors", "8:9: there is no query `errrors` (did you mean `errors`?)"),
    (
        Sense,
        "expr: errors",
        "expr: errors +",
        "8:9: `errors +` is not an expression: a number, the name of a query, or `(` at character 9",
    ),
    (Shape, "expr: errors", "expr: 7", "7:13: the query `errors` is not in the expression"),
    (Sense, "over: 10m", "over: 0m", "9:18: a window of no minutes has no values (at least 1m)"),
    (Sense, "over: 10m", "over: 90s", "9:18: `90s` is not a whole number of minutes"),
    (Shape, "over: 10m", "over: 10", "9:18: `10` is not a duration like 90s, 10m or 1h"),
    (Sense, "over: 10m", "over: 3h", "3:3: window and datapoints together reach back 180 minutes (at most 108)"),
    // Defect 6: an unknown comparison silently never fired.
    (Shape, "gt: 3", "qt: 3", "10:9: unknown comparison `qt` (did you mean `gt`?)"),
    (Shape, "gt: 3", "eq: 3", "10:9: unknown comparison `eq` (there is gt, gte, lt, lte)"),
    (Shape, "gt: 3", "gt: 3, lt: 1", "10:9: `when` has to be one comparison ({gt: 3}, say)"),
    (Shape, "{gt: 3}", "{}", "10:9: `when` has to be one comparison ({gt: 3}, say)"),
    (Shape, "gt: 3", "gt: .nan", "10:9: the threshold NaN is not a number to compare with"),
    (
        Sense,
        "gt: 3}",
        "gt: 3}\n  clear: {lte: 5}",
        "11:10: a value can be > 3 and <= 5 at once (`clear` has to point the other way and must not reach `when`)",
    ),
    (
        Sense,
        "gt: 3}",
        "gt: 3}\n  datapoints: {m: 3, n: 2}",
        "11:15: 3 of 2 datapoints (m is at least 1 and at most n, and n is at most 120)",
    ),
    // As a number with a sign it is negative, and the reach was small.
    (
        Shape,
        "gt: 3}",
        "gt: 3}\n  datapoints: {m: 1, n: 18446744073709551615}",
        "11:15: 1 of 18446744073709551615 datapoints (m is at least 1 and at most n, and n is at most 120)",
    ),
    (
        Sense,
        "gt: 3}",
        "gt: 3}\n  datapoints: {m: 1, n: 120}",
        "3:3: window and datapoints together reach back 131 minutes (at most 108)",
    ),
    (
        Sense,
        "version: 1",
        "version: 1\ndefaults: {evaluation_delay: 59s}",
        "2:30: an evaluation_delay of 59s is not taken (from 1m to 10m: lines take about a minute to arrive)",
    ),
    (
        Sense,
        "version: 1",
        "version: 1\ndefaults: {evaluation_delay: 30d}",
        "2:30: an evaluation_delay of 30d is not taken (from 1m to 10m: lines take about a minute to arrive)",
    ),
    (
        Sense,
        "version: 1",
        "version: 1\ndefaults: {evaluation_delay: 99999999999999999999s}",
        "2:30: `99999999999999999999s` is longer than 30 days",
    ),
    (Shape, "gt: 3}", "gt: 3}\n  for: -1m", "11:8: `-1m` is not a duration like 90s, 10m or 1h"),
    (Shape, "gt: 3}", "gt: 3}\n  missing: no_data", "11:12: unknown missing `no_data` (did you mean `nodata`?)"),
    (
        Shape,
        "id: contract_creation_failure",
        "id: \"Bad id\\n\"",
        "3:7: `Bad id\n` can't be the id (lower-case letters, digits and `_`, a letter first, at most 48)",
    ),
    (Shape, "id: contract_creation_failure", "id: rules_invalid", "3:7: this id is reserved (choose another one)"),
    (
        Sense,
        "{{labels.service}}",
        "{{labels.role}}",
        "12:26: unknown placeholder `{{labels.role}}` in the summary (there is {{value}}, and {{labels.<name>}} for each name in group_by)",
    ),
    (Sense, "{{labels.service}}", "${DATABASE}", "12:26: there is no variable `DATABASE` (there is DATABASE_INSTANCE)"),
    (Sense, "{{labels.service}}", "${DATABASE", "12:26: `${` without `}`"),
    (
        Shape,
        "\"}",
        "\", runbook_url: \"javascript:alert(1)\"}",
        "12:74: `javascript:alert(1)` is not an http or https URL",
    ),
    (
        Shape,
        "\"}",
        "\", runbook_url: \"https://wiki.company.com/{{labels.service}}-sla\"}",
        "12:74: `https://wiki.company.com/{{labels.service}}-sla` has a placeholder (only the summary is filled in",
    ),
    (
        Sense,
        "class: business",
        "class: securty",
        "4:10: `securty` looks like `security`, whose alerts are never muted (did you mean `security`?",
    ),
    (Shape, "class: business", "class: Security", "4:10: `Security` looks like `security`, whose alerts"),
    // What no line, event or series is.
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: log_entries, stat: Sum, where: {level: error}",
        "7:61: `error` is no level (did you mean `ERROR`?)",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: log_entries, stat: Sum, where: {level: [ERROR, CRIT*, FATAL*]}",
        "7:61: `FATAL*` is no level (there is DEBUG, INFO, WARNING, ERROR, CRITICAL)",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: api_requests, stat: Sum, where: {status_code: [429, 5XX]}",
        "7:68: `5XX` is no status code (did you mean `5xx`?)",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: api_requests, stat: Sum, where: {status_code: 50}",
        "7:68: `50` is no status code (a code (503), a class (5xx), or a beginning (50*))",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  evidence: {logs: {filter: 'message=~\"Pay*\" and level!=\"EROR\"'}}",
        "13:29: `EROR` is no level (did you mean `ERROR`?)",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  evidence: {logs: {filter: 'category=\"bussiness_logic\"'}}",
        "13:29: `bussiness_logic` is no category (did you mean `business_logic`?)",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  tests: [{series: {error: \"1\"}, expect: {1m: firing}}]",
        "13:11: the test gives a series for `error`, which is no query of the rule",
    ),
    (
        Shape,
        "\"}",
        "\"}\n  tests: [{series: {errors: \"1y3\"}, expect: {1m: firing}}]",
        "13:11: `1y3` in the test's series is not like 5, 0x10, _x5 or 6000*30x5",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  tests: [{series: {errors: \"1 2x18446744073709551615\"}, expect: {1m: firing}}]",
        "13:11: the test is longer than 4000 steps, or than 10 days",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  tests: [{series: {errors: \"2x99999999999999999999\"}, expect: {1m: firing}}]",
        "13:11: `2x99999999999999999999` in the test's series is not like 5, 0x10, _x5 or 6000*30x5",
    ),
    (
        Shape,
        "\"}",
        "\"}\n  tests: [{series: {errors: \"1\"}, expect: {1m: fires}}]",
        "13:11: the test expects `fires`; there is inactive, pending, firing, resolved",
    ),
    // The shape.
    (Shape, "window:", "windw:", "9:3: unknown field `windw` (did you mean `window`?)"),
    (
        Shape,
        "  when: {gt: 3}\n",
        "",
        "3:3: missing field `when` (a rule of kind metric has severity, queries, expr, window, when)",
    ),
    (Shape, "gt: 3", "gt: three", "10:14: not a number (99.9, say, without a unit)"),
    (Shape, "gt: 3", "gt: 3%", "10:14: not a number (99.9, say, without a unit)"),
    (Shape, "group_by: [service]", "group_by: service", "11:13: a list is expected ([a, b], say)"),
    (Shape, "when: {gt: 3}", "when: 3", "10:9: fields are expected ({name: value}, say)"),
    (Shape, "gt: 3}", "gt: 3}\n  datapoints: {m: -1, n: 3}", "11:19: not a whole number (at least 0, without a unit)"),
    (Shape, "\"}", "\"}\n  evidence: {traces: 1.5}", "13:22: not a whole number (at least 0, without a unit)"),
    (Shape, "class: business", "class:", "4:8: nothing stands here (a text is expected)"),
    (Shape, "id: contract_creation_failure", "id: [a, b]", "3:7: a text is expected (no list, and no fields)"),
    (Sense, "  when: {gt: 3}", "  when: {gt: 3}\n  when: {gt: 4}", "11:3: duplicate mapping key `when`"),
    (Sense, "group_by: [service]", "group_by: [service", "12:14: illegal placement of ':' indicator"),
    (Shape, "version: 1", "version: 2", "1:10: version 2, this is version 1"),
    (Sense, "expr: errors", "expr: max(errors)", "8:9: `max(errors)` is not an expression: `,` and another argument"),
    (
        Shape,
        "stat: Sum, fill: zero",
        "stat: tm90",
        "7:54: the trimmed statistic `tm90` is not computed (there is Sum, Average,",
    ),
    (Shape, "stat: Sum, fill: zero", "stat: TM(5%:95%)", "7:54: the trimmed statistic `TM(5%:95%)` is not computed"),
    (Shape, "stat: Sum", "stat: p1e1", "7:54: unknown statistic `p1e1`"),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: api_requests, stat: Sum, where: {status_code: [5xx, 5xx]}",
        "7:68: `5xx` stands there twice",
    ),
    (
        Shape,
        "metric: contract_creation_errors, stat: Sum",
        "metric: api_requests, stat: Sum, where: {status_code: []}",
        "7:68: no value of status_code is in an empty list",
    ),
    (
        Sense,
        "metric: contract_creation_errors, stat: Sum",
        "metric: api_requests, stat: Sum, where: {status_code: \"5*3\"}",
        "7:68: `5*3` is no value of status_code (a value, or a beginning with `*` after it)",
    ),
    (
        Shape,
        "metric: contract_creation_errors, stat: Sum",
        "metric: api_requests, stat: Sum, where: {status_code: {is: 500}}",
        "7:68: invalid type",
    ),
    // What can't fire, or can't end.
    (Sense, "gt: 3", "lt: 0", "10:9: `errors` is never < 0: the rule can't fire (it is at least 0)"),
    (Sense, "gt: 3", "gte: 0", "10:9: `errors` is never < 0: the rule can't resolve (it is at least 0)"),
    (
        Sense,
        "gt: 3}",
        "gt: 3}\n  clear: {lt: 0}",
        "11:10: `errors` is never < 0: the rule can't resolve (it is at least 0)",
    ),
    // Defect 11: no data is no value, so low_user_registrations could not fire.
    (
        Sense,
        "stat: Sum, fill: zero}\n  expr: errors\n  window: {over: 10m}\n  when: {gt: 3}",
        "stat: Sum}\n  expr: errors\n  window: {over: 10m}\n  when: {lt: 1}",
        "10:9: where nothing came, `errors` has no value, so it is never < 1 (`fill: zero` makes nothing 0;",
    ),
    (
        Sense,
        "version: 1",
        "version: 1\ndefaults: {period: 5m}",
        "2:20: a period of 5m is not taken (only 60s: rollups are by the minute; `window` and `datapoints` say over how many)",
    ),
    (
        Sense,
        "version: 1",
        "version: 1\ndefaults: {namespace: AWS/RDS}",
        "2:23: nothing is put to the namespace AWS/RDS (the one that our metrics are put to; metrics of AWS know theirs)",
    ),
    (Shape, "version: 1", "version: 1\ndefaults: {namespace: \"\"}", "2:23: `` is no namespace of CloudWatch"),
    (Shape, "version: 1", "version: 1\ndefaults: {perod: 60s}", "2:12: unknown field `perod` (did you mean `period`?)"),
    (Sense, "group_by: [service]", "group_by: [service, service]", "11:23: `service` is in group_by twice"),
    (
        Sense,
        "group_by: [service]",
        "group_by: [service]\n  service: contract",
        "12:12: the rule is grouped by service (leave it out: each alert has that of its group)",
    ),
    (
        Shape,
        "group_by: [service]\n  annotations: {summary: \"{{value}} in {{labels.service}}\"}",
        "service: \"the api\"\n  annotations: {summary: \"{{value}}\"}",
        "11:12: `the api` can't be the service (letters, digits and _ - ., at most 64)",
    ),
    (
        Shape,
        "class: business",
        "class: business\n  kind: metrics",
        "5:9: unknown kind `metrics` (did you mean `metric`?)",
    ),
    (
        Shape,
        "class: business",
        "class: business\n  kind: slo",
        "3:3: missing field `objective` (a rule of kind slo has objective)",
    ),
    (
        Shape,
        "class: business",
        "class: business\n  every: 1d",
        "5:10: a rule of kind metric has no `every` (that is of kind heartbeat)",
    ),
    // Evidence.
    (
        Sense,
        "\"}",
        "\"}\n  evidence: {logs: {filter: 'level=ERROR'}}",
        "13:29: `level=ERROR` is not a filter of lines: a value in double quotes at character 7",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  evidence: {logs: {filter: 'levl=\"ERROR\"'}}",
        "13:29: no archived line has the field `levl` (did you mean `level`?)",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  evidence: {logs: {filter: 'context.service=\"x\"'}}",
        "13:29: no archived line has the field `context.service` (there is request_id,",
    ),
    (
        Shape,
        "\"}",
        "\"}\n  evidence: {logs: {filter: 'level=\"ERROR\"', limit: 6}}",
        "13:53: limit of 6 (from 1 to 5: that is what a message has room for)",
    ),
    (Shape, "\"}", "\"}\n  evidence: {traces: 9}", "13:22: traces of 9 (from 0 to 5"),
    (Sense, "\"}", "\"}\n  evidence: {chart: 2d}", "13:21: a chart of 2d is not drawn (from 5m to 1d)"),
    (Shape, "\"}", "\"}\n  evidence: {charts: 1h}", "13:14: unknown field `charts` (did you mean `chart`?)"),
    // Tests.
    (
        Sense,
        "\"}",
        "\"}\n  tests: [{step: 1h, series: {errors: \"1\"}, expect: {1m: firing}}]",
        "13:11: a step of 60 minutes is not taken (from 1m to 30m for this rule)",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  tests: [{series: {errors: \"1\"}, expect: {1m: {page: firing}}}]",
        "13:11: the test expects something of `page`, but the rule has one alert: write the phase alone",
    ),
    (
        Sense,
        "\"}",
        "\"}\n  tests: [{series: {errors: \"1\"}, expect: {60m: firing, 1h: inactive}}]",
        "13:11: the test expects something after 60m twice",
    ),
    (Shape, "\"}", "\"}\n  tests: [{series: {errors: \"1\"}, expect: {}}]", "13:11: the test expects nothing"),
];

/// The same of [`KINDS`].
const OF_OTHERS: &[(Is, &str, &str, &str)] = &[
    // Objectives.
    (
        Shape,
        "objective: 99.9",
        "objective: 0.999",
        "7:14: an objective of 0.999 can't be held (in percent: did you mean 99.9?)",
    ),
    (
        Shape,
        "objective: 99.9",
        "objective: 100",
        "7:14: an objective of 100 can't be held (in percent, from 50 up to 100",
    ),
    (
        Shape,
        "objective: 99.9",
        "severity: error\n  objective: 99.9",
        "7:13: a rule of kind slo has no `severity` (each entry of `burn` has its own)",
    ),
    (
        Sense,
        "  total: {metric: api_requests}\n",
        "",
        "7:14: it does not say what is good, of what (either `good` and `total`, or `bad` and `total`, or",
    ),
    (
        Sense,
        "bad: {metric: api_requests, where: {status_code: 5xx}}",
        "bad: {metric: api_requests}",
        "8:8: it counts the same as `total` (its `where` has to leave some out)",
    ),
    (
        Sense,
        "total: {metric: api_requests}",
        "total: {metric: api_request_duration}",
        "9:19: api_request_duration is a timer: it does not count (a counter)",
    ),
    (
        Shape,
        "bad: {metric: api_requests, where: {status_code: 5xx}}",
        "bad: {metric: lambda_errors, where: {FunctionName: f}}",
        "8:17: lambda_errors is a metric of AWS (an objective is over metrics of ours, which are kept for days)",
    ),
    (
        Sense,
        "duration: {metric: api_request_duration}",
        "duration: {metric: api_requests}",
        "22:22: api_requests is a counter: it has no distribution (a timer or a histogram)",
    ),
    (
        Shape,
        "within: 1000",
        "within: 0",
        "23:11: nothing is within 0 (in the unit of the metric: milliseconds of a timer)",
    ),
    (
        Sense,
        "factor: 14.4",
        "factor: 1000",
        "11:34: a burn rate above 1000 can't be reached (if everything fails, an objective of 99.9 % burns 1000)",
    ),
    (
        Shape,
        "factor: 14.4",
        "factor: 0",
        "11:34: a factor of 0 burns nothing (1 uses up the budget in exactly its period)",
    ),
    (
        Sense,
        "short: 5m",
        "short: 1h",
        "11:57: the short window is not shorter than the long one (a twelfth of it is usual)",
    ),
    (
        Sense,
        "long: 6h",
        "long: 61m",
        "12:43: a window of 61m is not kept (from 1m to 3d, and whole 5 minutes if over an hour)",
    ),
    (Sense, "long: 6h", "long: 4d", "12:43: a window of 4d is not kept"),
    (
        Sense,
        "severity: critical, factor: 6",
        "severity: error, factor: 6",
        "11:5: critical and error are both the page of this objective",
    ),
    (
        Sense,
        "period: 30d",
        "period: 1h",
        "14:11: the period of the budget is shorter than a window of `burn` (30d is usual)",
    ),
    (
        Shape,
        "period: 30d",
        "period: 30d\n  for: 5m",
        "15:8: a rule of kind slo has no `for` (the windows of `burn` are its wait)",
    ),
    (
        Shape,
        "2h: {page: firing}",
        "2h: {pages: firing}",
        "17:5: the test expects something of `pages`, but the rule has page",
    ),
    // Absence and heartbeat.
    (Sense, "for: 15m", "for: 0m", "31:8: no time at all (at least 1m)"),
    (
        Sense,
        "forget_after: 3d",
        "forget_after: 10m",
        "32:17: forget_after is not longer than `for`: the rule can't fire",
    ),
    (
        Sense,
        "every: 1d",
        "every: 8d",
        "43:10: every and grace together are longer than 8 days (a weekly job, a day late, say)",
    ),
    (
        Shape,
        "every: 1d",
        "every: 1d\n  group_by: [service]",
        "44:14: a rule of kind heartbeat has no `group_by` (a group that was never heard of could not be missed: name it in `where`)",
    ),
    (
        Sense,
        "where: {operation: nightly_export, service: contract}",
        "where: {operation: nightly_export}",
        "41:11: operations is not kept by (operation): `where` and `group_by` (it is kept by ()",
    ),
    // Composite.
    (Sense, "silent and", "silence and", "52:9: there is no rule `silence` (did you mean `silent`?)"),
    (
        Sense,
        "silent and",
        "silent & ",
        "52:9: `silent &  not availability` is not a condition over rules: `and`, `or` or the end",
    ),
    (
        Sense,
        "silent and not availability",
        "silent and not silent",
        "52:9: whatever fires, it does not hold: the rule can't fire",
    ),
    (
        Sense,
        "silent and not availability",
        "not availability",
        "52:9: it would fire while no other rule does, and could not end (`a and not b`, say)",
    ),
    (Sense, "silent and not availability", "silent and both", "52:9: `both` rests on itself"),
    (
        Sense,
        "silent and not availability",
        "count(silent) >= 2",
        "52:9: whatever fires, it does not hold: the rule can't fire",
    ),
    (
        Sense,
        "silent and not availability",
        "a or b or c or d or e or f or g or h or i",
        "52:9: it speaks of 9 rules (at most 8; a part",
    ),
    (
        Sense,
        "[service] # both\n  annotations: {summary: \"{{labels.service}}",
        "[endpoint]\n  annotations: {summary: \"it",
        "55:14: none of the rules has alerts with the label `endpoint` (there is burn, service)",
    ),
    (
        Sense,
        "silent: \"0x3 1x4 0x5\"",
        "silent: \"-1\"",
        "58:5: `-1` is a number of alerts that fire, so it is not negative, and whole",
    ),
    (
        Sense,
        "silent: \"0x3 1x4 0x5\"",
        "backup: \"1\"",
        "58:5: the test gives a series for `backup`, which is no query of the rule (there is availability, silent)",
    ),
    // Events.
    (
        Shape,
        "where: {event_type: [account_takeover, mass_*]}",
        "where: {user: x}",
        "64:17: no security event has the field `user` (there is event_type, service, level)",
    ),
    (
        Shape,
        "group_by: [service, event_type]",
        "group_by: [servce]",
        "66:14: no security event has the field `servce` (did you mean `service`?)",
    ),
    (
        Sense,
        "when: {gte: 1}",
        "when: {lt: 1}",
        "65:9: a count of events < 1 is not something that happens ({gte: 1}, say;",
    ),
    (Sense, "when: {gte: 1}", "when: {gte: 0}", "65:9: a count of events >= 0 is not something that happens"),
    (
        Sense,
        "when: {gte: 1}",
        "when: {gte: 1}\n  window: {over: 2h}",
        "68:18: resolve_after is shorter than the window: it would end while there are too many (at least the window)",
    ),
    (
        Sense,
        "when: {gte: 1}",
        "when: {gte: 1}\n  window: {over: 2d}",
        "66:18: events are counted for a day (at most 1d)",
    ),
    (
        Shape,
        "when: {gte: 1}",
        "when: {gte: 1}\n  for: 5m",
        "66:8: a rule of kind event has no `for` (events fire at once)",
    ),
    (
        Shape,
        "  resolve_after: 1h\n",
        "",
        "60:3: missing field `resolve_after` (a rule of kind event has severity, resolve_after)",
    ),
    (Shape, "mass_*]", "[mass_*]]", "64:42: a text is expected (no list, and no fields)"),
    (
        Sense,
        "where: {event_type: [account_takeover, mass_*]}",
        "where: {level: [error, critical]}",
        "64:18: `error` is no level (did you mean `ERROR`?)",
    ),
    (
        Sense,
        "bad: {metric: api_requests, where: {status_code: 5xx}}",
        "bad: {metric: api_requests, where: {status_code: 5x}}",
        "8:52: `5x` is no status code (did you mean `5xx`?)",
    ),
];

#[test]
fn what_is_too_long_is_neither_taken_nor_echoed() {
    for (old, new) in [
        ("{{value}} in {{labels.service}}", "x".repeat(1_000_000)),
        ("expr: errors", format!("expr: {}", "errors + ".repeat(10_000))),
        ("id: contract_creation_failure", format!("id: {}", "x".repeat(100_000))),
        ("id: contract_creation_failure", format!("id: {}\n  no_field: 1", "x".repeat(100_000))),
        ("{{labels.service}}", format!("${{{}}}", "x".repeat(100_000))),
        ("\"}", format!("\", runbook_url: \"https://{}\"}}", "x".repeat(10_000))),
    ] {
        let said = mistakes(&RULE.replacen(old, &new, 1));
        assert!(said.len() < 1_500, "{} bytes", said.len());
    }
}

#[test]
fn who_gives_no_variables_is_told_how() {
    let text = RULE.replacen("{{labels.service}}", "${DATABASE_INSTANCE}", 1);
    let said = RuleSet::load("rules.yaml", &text, &Variables::new()).unwrap_err().to_string();
    assert!(
        said.contains("no variable `DATABASE_INSTANCE` (`cargo ops` takes it as `--set DATABASE_INSTANCE=...`)"),
        "{said}"
    );
}

#[test]
fn a_mistake_is_refused_with_its_place_its_rule_and_a_hint() {
    let mut otherwise = Vec::new();
    let samples = OF_METRICS.iter().map(|sample| (RULE, sample)).chain(OF_OTHERS.iter().map(|sample| (KINDS, sample)));
    for (base, (is, old, new, expected)) in samples {
        assert!(base.contains(old), "{old}");
        let file = base.replacen(old, new, 1);
        let text =
            RuleSet::load("rules.yaml", &file, &variables()).err().map_or_else(String::new, |error| error.to_string());
        let (place, message) = expected.split_once(' ').unwrap();
        if !text.contains(&format!("rules.yaml:{place} ")) || !text.contains(message) {
            otherwise.push(format!("{new}\nexpected: {expected}\n   found: {text}"));
        }
        // What is no YAML, or says a thing twice, no schema gets to see.
        if let Some(value) = value(&file)
            && is_valid(&value) == (*is == Shape)
        {
            otherwise.push(format!("{new}\nis of {is:?}, which the schema sees otherwise"));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n\n"));
}
