//! `template.yaml` and the code say the same: functions, variables, rights, times.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};

use local::artifacts;
use serde_json::Value;

#[path = "expanded.rs"]
mod expanded;

use expanded::{resources, template, text};

/// The Lambda resource of each function, by the function's name in this repository.
fn functions() -> BTreeMap<String, &'static Value> {
    let named = |resource: &'static Value| {
        let name = text(&resource["Properties"]["FunctionName"]);
        (name.strip_prefix("${AWS::StackName}-").unwrap_or(&name).to_owned(), resource)
    };
    resources("AWS::Lambda::Function").into_values().map(named).collect()
}

fn variables_of(config: &[&str]) -> BTreeSet<String> {
    let telemetry = aws::lambda::Telemetry::VARIABLES;
    config.iter().chain(&telemetry).map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_function_is_in_the_template_and_the_other_way_round() {
    let deployed: Vec<String> = functions().into_keys().collect();
    assert_eq!(deployed, artifacts::function_names().unwrap());
}

#[test]
fn the_template_sets_exactly_the_variables_that_each_config_reads() {
    let expected = BTreeMap::from([
        ("alert-evaluator", variables_of(&alert_evaluator::Config::VARIABLES)),
        ("alert-evaluator-events", variables_of(&alert_evaluator::Config::VARIABLES)),
        ("daily-reporter", variables_of(&daily_reporter::Config::VARIABLES)),
        ("event-recorder", variables_of(&event_recorder::Config::VARIABLES)),
        ("log-processor", variables_of(&log_processor::Config::VARIABLES)),
        ("log-processor-kinesis", variables_of(&log_processor::Config::VARIABLES)),
        ("metric-flusher", variables_of(&metric_flusher::Config::VARIABLES)),
        ("slack-notifier", variables_of(&slack_notifier::Config::VARIABLES)),
        ("trace-forwarder", variables_of(&trace_forwarder::Config::VARIABLES)),
    ]);
    for (name, function) in functions() {
        let variables = function["Properties"]["Environment"]["Variables"].as_object().unwrap();
        let mut set: BTreeSet<String> = variables.keys().cloned().collect();
        // The SDK reads this one, and only an embedded AWS has it.
        assert!(set.remove("AWS_ENDPOINT_URL"), "{name} can not be sent to an embedded AWS");
        assert_eq!(set.remove("AWS_ENDPOINT_URL_XRAY"), name == "trace-forwarder", "{name}");
        assert_eq!(set, expected[name.as_str()], "{name}");
    }
}

/// The role of a function.
fn role_of(function: &str) -> String {
    let role = text(&functions()[function]["Properties"]["Role"]);
    role.strip_suffix(".Arn").unwrap_or(&role).to_owned()
}

/// The rights of a role, as `action on resource`, with ` if condition` where it has one.
fn rights(role: &str) -> BTreeSet<String> {
    let mut policies = resources("AWS::IAM::Role")[role]["Properties"]["Policies"].as_array().unwrap().clone();
    // What is added to it later, since it is about something that is made after it.
    let added = resources("AWS::IAM::Policy").into_values().map(|policy| &policy["Properties"]);
    policies.extend(added.filter(|policy| text(&policy["Roles"]) == role).cloned());
    let mut rights = BTreeSet::new();
    for statement in policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap()) {
        assert_eq!(statement["Effect"], "Allow", "{role}");
        let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for action in list(&statement["Action"]) {
            for resource in list(&statement["Resource"]) {
                let condition = condition(statement);
                rights.insert(format!("{} on {}{condition}", text(&action), text(&resource)));
            }
        }
    }
    rights
}

/// ` if <operator> <key> <value>` for each condition of a policy statement.
fn condition(statement: &Value) -> String {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    let tests = operators.flat_map(|(operator, tests)| {
        tests.as_object().unwrap().iter().map(move |(key, value)| format!(" if {operator} {key} {}", text(value)))
    });
    tests.collect()
}

#[test]
fn each_function_may_do_what_its_ports_need_and_nothing_else() {
    let on_bucket = |action: &str, keys: &[&str]| -> Vec<String> {
        keys.iter().map(|key| format!("s3:{action} on ${{Bucket.Arn}}/{key}")).collect()
    };
    let list = || vec!["s3:ListBucket on Bucket.Arn".to_owned()];
    let one = |right: &str| vec![right.to_owned()];
    // What both log lines and events become, and what keeps persons out of it.
    let process = |more: &[&str]| {
        let folders = [&["archive/*", "metrics/pending/*", "quarantine/*"], more].concat();
        vec![on_bucket("PutObject", &folders), one("secretsmanager:GetSecretValue on PseudonymKey.Id")]
    };
    let tell = "events:PutEvents on EventBus.Arn if StringEquals events:source land-contracts.observability";
    let process_logs = || [process(&["spans/*", "alerts/inbox/security/*"]), vec![one(tell)]].concat();
    let evaluate = || {
        let read =
            ["rollups/recent.json", "config/rules.yaml", "config/policy.yaml", "config/silences.yaml", "archive/*"];
        let write = ["alerts/history/*", "quarantine/alert-events/*", "quarantine/notifications/*", "alerts/charts/*"];
        vec![
            on_bucket("GetObject", &read),
            on_bucket("GetObject", &["alerts/charts/*", "alerts/inbox/*", "state/alert-evaluator.json"]),
            on_bucket("PutObject", &write),
            on_bucket("PutObject", &["archive/env=${Environment}/service=alert-evaluator/*"]),
            on_bucket("PutObject", &["alerts/inbox/*", "state/alert-evaluator.json"]),
            on_bucket("DeleteObject", &["alerts/inbox/*"]),
            list(),
            one("cloudwatch:GetMetricData on *"),
            one("sns:Publish on AlertTopic"),
        ]
    };
    let read_stream = ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"]
        .map(|action| format!("kinesis:{action} on LogStreamArn"));
    let take_events = ["DeleteMessage", "GetQueueAttributes", "ReceiveMessage"]
        .map(|action| format!("sqs:{action} on EventQueue.Arn"));
    let expected: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::from([
        ("event-recorder", [process(&[]), vec![take_events.to_vec()]].concat()),
        ("log-processor", process_logs()),
        ("log-processor-kinesis", [process_logs(), vec![read_stream.to_vec()]].concat()),
        (
            "metric-flusher",
            vec![
                on_bucket(
                    "GetObject",
                    &["metrics/pending/*", "rollups/*", "state/metric-flusher.json", "state/prometheus.json"],
                ),
                on_bucket(
                    "PutObject",
                    &["quarantine/*", "rollups/*", "state/metric-flusher.json", "state/prometheus.json"],
                ),
                on_bucket("DeleteObject", &["metrics/pending/*"]),
                list(),
                one("cloudwatch:PutMetricData on * if StringEquals cloudwatch:namespace MetricNamespace"),
                one("aps:RemoteWrite on PrometheusWorkspaceArn"),
                one("secretsmanager:GetSecretValue on PrometheusSecretArn"),
            ],
        ),
        ("alert-evaluator", evaluate()),
        ("alert-evaluator-events", evaluate()),
        (
            "slack-notifier",
            vec![
                on_bucket("GetObject", &["state/slack/*"]),
                on_bucket("PutObject", &["state/slack/*"]),
                list(),
                one("secretsmanager:GetSecretValue on SlackSecretArn"),
            ],
        ),
        (
            "trace-forwarder",
            vec![
                on_bucket("GetObject", &["spans/*"]),
                on_bucket("PutObject", &["quarantine/spans/*"]),
                list(),
                one("xray:PutTraceSegments on *"),
            ],
        ),
        (
            "daily-reporter",
            vec![
                on_bucket("GetObject", &["rollups/*", "alerts/history/*"]),
                on_bucket("PutObject", &["reports/*"]),
                list(),
                one("sns:Publish on ReportTopic"),
            ],
        ),
    ]);
    assert_eq!(functions().into_keys().collect::<Vec<_>>(), expected.keys().copied().collect::<Vec<_>>());
    for (function, ports) in expected {
        let of_ports: BTreeSet<String> = ports.into_iter().flatten().collect();
        let glue =
            |right: &String| right.starts_with("logs:") || right.starts_with("sqs:SendMessage on DeadLetterQueue");
        let found: BTreeSet<String> = rights(&role_of(function)).into_iter().filter(|right| !glue(right)).collect();
        assert_eq!(found, of_ports, "{function}");
    }
}

#[test]
fn s3_invokes_the_forwarder_for_spans_only_and_the_bucket_comes_after_the_permission() {
    let bucket = resources("AWS::S3::Bucket")["Bucket"];
    let configurations = &bucket["Properties"]["NotificationConfiguration"]["LambdaConfigurations"];
    let [configuration] = &configurations.as_array().unwrap()[..] else { panic!("one: {configurations}") };
    assert_eq!(text(&configuration["Function"]), "TraceForwarderFunction.Arn");
    assert_eq!(configuration["Event"], "s3:ObjectCreated:*");
    let prefix = &configuration["Filter"]["S3Key"]["Rules"][0];
    assert_eq!((&prefix["Name"], text(&prefix["Value"]).as_str()), (&"prefix".into(), domain::keys::SPANS));
    // S3 refuses a configuration that names a function it may not invoke.
    assert_eq!(bucket["DependsOn"], "TraceForwarderPermission");
    let permission = &resources("AWS::Lambda::Permission")["TraceForwarderPermission"]["Properties"];
    assert_eq!(
        (&permission["Principal"], text(&permission["FunctionName"]).as_str()),
        (&"s3.amazonaws.com".into(), "TraceForwarderFunction")
    );
    assert_eq!(text(&permission["SourceAccount"]), "AWS::AccountId");
    // So nothing that comes before it may refer to it.
    for before in [
        "TraceForwarderFunction",
        "TraceForwarderRole",
        "TraceForwarderLogGroup",
        "TraceForwarderPermission",
        "DeadLetterQueue",
    ] {
        let resource = template()["Resources"][before].to_string();
        assert!(!resource.contains("\"Bucket\"") && !resource.contains("${Bucket"), "{before} refers to the bucket");
    }
}

#[test]
fn spans_are_kept_for_longer_than_the_dead_letters_that_name_them() {
    let lifecycle = &resources("AWS::S3::Bucket")["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"];
    let of_spans = lifecycle.as_array().unwrap().iter().find(|rule| rule["Prefix"] == domain::keys::SPANS).unwrap();
    let letters =
        resources("AWS::SQS::Queue")["DeadLetterQueue"]["Properties"]["MessageRetentionPeriod"].as_i64().unwrap();
    assert!(of_spans["ExpirationInDays"].as_i64().unwrap() * 86_400 > letters);
    // Nothing else that is current ends, but for charts, which are drawn of what is kept.
    let ends = lifecycle.as_array().unwrap().iter().filter(|rule| !rule["ExpirationInDays"].is_null());
    assert_eq!(ends.map(|rule| text(&rule["Prefix"])).collect::<Vec<_>>(), ["spans/", domain::keys::ALERT_CHARTS]);
}

#[test]
fn the_scheduler_may_invoke_what_is_scheduled_and_only_for_this_account() {
    let expected = [
        "lambda:InvokeFunction on AlertEvaluatorFunction.Arn",
        "lambda:InvokeFunction on DailyReporterFunction.Arn",
        "lambda:InvokeFunction on MetricFlusherFunction.Arn",
        "sqs:SendMessage on DeadLetterQueue.Arn",
    ];
    assert_eq!(rights("ScheduleRole"), expected.map(str::to_owned).into());
    let trusted = &resources("AWS::IAM::Role")["ScheduleRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"];
    let [statement] = &trusted.as_array().unwrap()[..] else { panic!("one statement: {trusted}") };
    assert_eq!(statement["Principal"]["Service"], "scheduler.amazonaws.com");
    assert_eq!(condition(statement), " if StringEquals aws:SourceAccount AWS::AccountId");
}

#[test]
fn no_right_is_given_by_a_wildcard() {
    for (name, role) in resources("AWS::IAM::Role") {
        let own = role["Properties"]["Policies"].as_array().into_iter().flatten();
        for statement in own.chain(resources("AWS::IAM::Policy").into_values().map(|policy| &policy["Properties"])) {
            let policy = statement["PolicyDocument"].to_string();
            assert!(!policy.contains(r#""Action":"*""#) && !policy.contains(":*\""), "{name}: {policy}");
        }
    }
}

#[test]
fn a_flushers_lease_outlives_it_and_is_over_at_the_next_tick() {
    let timeout = functions()["metric-flusher"]["Properties"]["Timeout"].as_i64().unwrap();
    let lease = metric_flusher::LEASE.as_secs();
    assert!(timeout < lease && lease < 60, "time-out {timeout} s, lease {lease} s, tick 60 s");
    let sending = metric_flusher::SENDING.as_secs() as i64;
    assert!(2 * sending < timeout, "{sending} s to write to Prometheus leave too little of {timeout} s");
}

#[test]
fn prometheus_is_off_and_nothing_is_granted_for_it_unless_it_is_configured() {
    let parameters = &template()["Parameters"];
    for parameter in ["PrometheusEndpoint", "PrometheusWorkspaceArn", "PrometheusSecretArn"] {
        assert_eq!(parameters[parameter]["Default"], "", "{parameter}");
    }
    let lookup = |name: &str| match name {
        "PROMETHEUS_ENDPOINT" => Some(text(&parameters["PrometheusEndpoint"]["Default"])),
        "EMF_EXTRACTION" => Some(text(&parameters["EmfExtraction"]["Default"])),
        other => Some(other.to_owned()),
    };
    assert_eq!(metric_flusher::Config::from_lookup(lookup).unwrap().prometheus, None);
    for (id, condition) in [
        ("MetricFlusherPrometheusPolicy", "HasPrometheusWorkspace"),
        ("MetricFlusherPrometheusSecretPolicy", "HasPrometheusSecret"),
    ] {
        assert_eq!(resources("AWS::IAM::Policy")[id]["Condition"], condition, "{id}");
    }
}

/// The one resource of `kind` whose property is, or refers to, `wanted`.
fn resource_of(kind: &str, property: &str, wanted: &str) -> &'static Value {
    let all = resources(kind);
    let found: Vec<_> = all.values().filter(|resource| text(&resource["Properties"][property]) == wanted).collect();
    assert_eq!(found.len(), 1, "{kind} with {property} {wanted}");
    &found[0]["Properties"]
}

#[test]
fn an_evaluators_claim_outlives_it_however_late_it_was_started() {
    let schedule = resource_of("AWS::Scheduler::Schedule", "Name", "${AWS::StackName}-alert-evaluator");
    let late = schedule["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"].as_i64().unwrap();
    let invocation = resource_of("AWS::Lambda::EventInvokeConfig", "FunctionName", "AlertEvaluatorFunction");
    let queued = invocation["MaximumEventAgeInSeconds"].as_i64().unwrap();
    let run = functions()["alert-evaluator"]["Properties"]["Timeout"].as_i64().unwrap();
    let claim = domain::alerting::outbox::CLAIM.as_secs();
    assert!(late + queued + run < claim, "{late} s late, {queued} s queued, {run} s run, claimed for {claim} s");
}

#[test]
fn an_evaluator_that_stops_sending_has_time_to_note_what_it_sent() {
    let run = functions()["alert-evaluator"]["Properties"]["Timeout"].as_u64().unwrap();
    let (sending, call) = (alert_evaluator::SENDING.as_secs(), aws::OPERATION_TIMEOUT.as_secs());
    // The last call may begin when the time is up; then the state is written.
    assert!(sending + call < run, "{sending} s of sending, a call of {call} s at its end, {run} s run");
}

#[test]
fn a_notifier_that_stops_waiting_for_slack_has_time_for_its_last_call_and_its_note() {
    let run = functions()["slack-notifier"]["Properties"]["Timeout"].as_u64().unwrap();
    let (posting, noting) = (slack_notifier::POSTING.as_secs(), slack_notifier::NOTING.as_secs());
    // What is begun late is two calls of ten seconds after a secret that took all its time; the notifier's own test plays
    // who else may be slow.
    let secret = aws::OPERATION_TIMEOUT.as_secs().max(posting);
    assert!(secret + 2 * 10 < posting + noting, "{posting} s of posting, {noting} s until the note is there");
    assert!(posting + noting < run, "{posting} s of posting, {noting} s until the note is there, {run} s run");
}

#[test]
fn a_scheduled_function_that_stops_raises_an_alarm() {
    for function in ["AlertEvaluatorFunction", "MetricFlusherFunction"] {
        let alarms = resources("AWS::CloudWatch::Alarm");
        let watched = alarms.values().map(|alarm| &alarm["Properties"]).any(|alarm| {
            alarm["MetricName"] == "Invocations"
                && alarm["TreatMissingData"] == "breaching"
                && text(&alarm["Dimensions"][0]["Value"]) == function
                && text(&alarm["AlarmActions"]) == "AlertTopic"
        });
        assert!(watched, "{function}");
    }
}

#[test]
fn every_alarm_is_heard_and_each_about_a_function_is_about_the_one_it_speaks_of() {
    let alarms = resources("AWS::CloudWatch::Alarm");
    // Each is told once: straight, or by way of the evaluator.
    let rule = resource_of("AWS::Events::Rule", "Name", "${AWS::StackName}-alarms");
    let left_out = rule["EventPattern"]["detail"]["alarmName"][0]["anything-but"].as_array().unwrap();
    let left_out: BTreeSet<String> = left_out.iter().map(text).collect();
    let straight = alarms.values().filter(|alarm| !alarm["Properties"]["AlarmActions"].is_null());
    assert_eq!(straight.map(|alarm| text(&alarm["Properties"]["AlarmName"])).collect::<BTreeSet<_>>(), left_out);
    for (id, alarm) in &alarms {
        let properties = &alarm["Properties"];
        let description = text(&properties["AlarmDescription"]);
        let severity = description.split_whitespace().find_map(|word| word.strip_prefix("severity="));
        // Of two stacks in an account each tells its own.
        assert!(description.split_whitespace().any(|word| word == "told-by=${AWS::StackName}"), "{id}: {description}");
        if properties["AlarmActions"].is_null() {
            assert_eq!(severity, Some("error"), "{id} does not say how bad it is");
        } else {
            assert_eq!(properties["AlarmActions"].as_array().map(Vec::len), Some(1), "{id}");
            assert_eq!((text(&properties["AlarmActions"]).as_str(), severity), ("AlertTopic", None), "{id}");
        }
    }
    // Straight: what watches over the evaluator and what it waits for, and what is lost or in a dead letter queue. An
    // evaluator that does not run could not tell of it.
    for id in [
        "AlertEvaluatorStopped",
        "AlertEvaluatorFailing",
        "AlertEvaluatorEventsFailing",
        "AlertEventLost",
        "AlertEventsQuarantined",
        "AlertInboxQuarantined",
        "DeadLetterAlarm",
        "EventDeadLetterAlarm",
        "LogBatchLost",
        "LogStreamBatchLost",
        "MetricFlusherFailing",
        "MetricFlusherStopped",
        "SpansLost",
    ] {
        assert!(left_out.contains(&text(&alarms[id]["Properties"]["AlarmName"])), "{id}");
    }
    assert_eq!(left_out.len(), 13);
    // Of these the registry's tests know the metric, but not which function is meant.
    let expected = [
        ("LinesQuarantined", "LogProcessorFunction", "function_quarantined", "Sum", 0, [1, 1]),
        ("LogStreamLinesQuarantined", "LogProcessorKinesisFunction", "function_quarantined", "Sum", 0, [1, 1]),
        ("AlertEventsQuarantined", "AlertEvaluatorEventsFunction", "function_quarantined", "Sum", 0, [1, 1]),
        ("AlertInboxQuarantined", "AlertEvaluatorFunction", "function_quarantined", "Sum", 0, [1, 1]),
        ("EventsQuarantined", "EventRecorderFunction", "function_quarantined", "Sum", 0, [1, 1]),
        ("MetricsQuarantined", "MetricFlusherFunction", "function_quarantined", "Sum", 0, [1, 1]),
        ("SpansQuarantined", "TraceForwarderFunction", "function_quarantined", "Sum", 0, [1, 1]),
        ("SecurityEventsRefused", "LogProcessorFunction", "function_events_refused", "Sum", 0, [1, 1]),
        ("LogStreamSecurityEventsRefused", "LogProcessorKinesisFunction", "function_events_refused", "Sum", 0, [1, 1]),
        ("LinesLate", "LogProcessorFunction", "function_batch_age", "Maximum", 15 * 60 * 1_000, [3, 5]),
        ("MetricsLate", "AlertEvaluatorFunction", "function_batch_age", "Minimum", 10 * 60 * 1_000, [3, 5]),
    ];
    for (id, function, metric, statistic, threshold, periods) in expected {
        let alarm = &alarms[id]["Properties"];
        let is = |property: &str, expected: &str| assert_eq!(text(&alarm[property]), expected, "{id} {property}");
        is("Namespace", "MetricNamespace");
        is("MetricName", metric);
        is("Statistic", statistic);
        is("ComparisonOperator", "GreaterThanThreshold");
        is("Threshold", &threshold.to_string());
        // Idle functions tell nothing.
        is("TreatMissingData", "notBreaching");
        let [dimension] = &alarm["Dimensions"].as_array().unwrap()[..] else { panic!("one dimension: {id}") };
        assert_eq!((&dimension["Name"], text(&dimension["Value"]).as_str()), (&"function".into(), function), "{id}");
        let of = |property: &str| alarm[property].as_i64();
        let evaluated = of("EvaluationPeriods").unwrap();
        assert_eq!([of("DatapointsToAlarm").unwrap_or(evaluated), evaluated], periods, "{id}");
    }
    let own: BTreeSet<&str> = alarms
        .iter()
        .filter(|(_, alarm)| text(&alarm["Properties"]["Namespace"]) == "MetricNamespace")
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(own, expected.iter().map(|(id, ..)| *id).collect());
}

#[test]
fn names_do_not_collide_between_two_stacks_of_an_account() {
    for (kind, property) in [
        ("AWS::Lambda::Function", "FunctionName"),
        ("AWS::Scheduler::Schedule", "Name"),
        ("AWS::Logs::LogGroup", "LogGroupName"),
        ("AWS::CloudWatch::Alarm", "AlarmName"),
        ("AWS::SNS::Topic", "TopicName"),
        ("AWS::SQS::Queue", "QueueName"),
        ("AWS::S3::Bucket", "BucketName"),
        ("AWS::IAM::Role", "RoleName"),
        ("AWS::SecretsManager::Secret", "Name"),
        ("AWS::Events::EventBus", "Name"),
        ("AWS::Events::Rule", "Name"),
    ] {
        let mut names = BTreeSet::new();
        for (id, resource) in resources(kind) {
            let name = &resource["Properties"][property];
            assert!(name.is_null() || text(name).contains("AWS::StackName"), "{id} is called {name}");
            assert!(name.is_null() || names.insert(text(name)), "{id} is not the only one called {name}");
        }
    }
}

#[test]
fn schedules_can_be_paused_and_send_the_time_that_they_stand_for() {
    let schedules = resources("AWS::Scheduler::Schedule");
    assert_eq!(schedules.len(), 3);
    for (id, schedule) in schedules {
        let properties = &schedule["Properties"];
        assert_eq!(text(&properties["State"]), "ScheduleState", "{id}");
        let expression = text(&properties["ScheduleExpression"]);
        // What no linter checks: cron has six fields, of which day of month or day of week is `?`.
        let fields: Vec<&str> = expression.trim_start_matches("cron(").trim_end_matches(')').split(' ').collect();
        assert!(expression.starts_with("cron(") && fields.len() == 6 && fields.contains(&"?"), "{id}: {expression}");
        let input = text(&properties["Target"]["Input"]);
        let tick: aws::lambda::Tick =
            serde_json::from_str(&input.replace("<aws.scheduler.scheduled-time>", "2026-11-21T10:05:00Z"))
                .unwrap_or_else(|error| panic!("{id}: {error}: {input}"));
        assert_eq!(tick.time.to_string(), "2026-11-21T10:05:00Z");
    }
}

#[test]
fn what_goes_by_local_time_comes_after_the_hours_that_clocks_skip() {
    // Scheduler skips a local time that does not exist; clocks go forward between midnight and four.
    let schedules = resources("AWS::Scheduler::Schedule");
    let local: Vec<_> =
        schedules.values().filter(|schedule| !schedule["Properties"]["ScheduleExpressionTimezone"].is_null()).collect();
    assert_eq!(local.len(), 1);
    for schedule in local {
        let expression = text(&schedule["Properties"]["ScheduleExpression"]);
        let hour: u8 = expression.split(' ').nth(1).unwrap().parse().unwrap();
        assert!((4..24).contains(&hour), "{expression}");
    }
}

#[test]
fn the_bucket_keeps_what_it_holds_to_itself() {
    let buckets = resources("AWS::S3::Bucket");
    assert_eq!(buckets.len(), 1);
    for bucket in buckets.values() {
        let properties = &bucket["Properties"];
        let block = properties["PublicAccessBlockConfiguration"].as_object().unwrap();
        assert_eq!(block.len(), 4);
        assert!(block.values().all(|value| value == true));
        assert!(properties["BucketEncryption"].is_object());
        assert_eq!(bucket["DeletionPolicy"], "Retain", "an archive does not go with its stack");
    }
}

/// Where a mapping or a configuration sends what fails for good.
fn on_failure(properties: &Value) -> String {
    text(&properties["DestinationConfig"]["OnFailure"]["Destination"])
}

#[test]
fn what_fails_for_good_is_kept_in_a_queue() {
    let mut configured = 0;
    for (id, configuration) in resources("AWS::Lambda::EventInvokeConfig") {
        let properties = &configuration["Properties"];
        // A tick carries nothing that the next one would not do.
        let tick = properties["MaximumRetryAttempts"] == 0;
        assert!(on_failure(properties) == "DeadLetterQueue.Arn" || tick, "{id}: {properties}");
        configured += 1;
    }
    for (id, mapping) in resources("AWS::Lambda::EventSourceMapping") {
        let source = text(&mapping["Properties"]["EventSourceArn"]);
        // A queue gives its messages up itself.
        let (kept, queue) =
            match source.strip_suffix(".Arn").and_then(|queue| resources("AWS::SQS::Queue").remove(queue)) {
                // One of its own: SQS sends back only what came from a queue.
                Some(queue) => {
                    (text(&queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]), "EventDeadLetterQueue.Arn")
                }
                None => (on_failure(&mapping["Properties"]), "DeadLetterQueue.Arn"),
            };
        assert_eq!(kept, queue, "{id}");
        configured += 1;
    }
    assert_eq!(configured, functions().len(), "each function says what becomes of its failures");
}

#[test]
fn a_stream_is_read_from_its_beginning_record_by_record_and_not_for_ever() {
    let mapping = resource_of("AWS::Lambda::EventSourceMapping", "FunctionName", "LogProcessorKinesisFunction");
    assert_eq!(text(&mapping["EventSourceArn"]), "LogStreamArn");
    assert_eq!(mapping["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(mapping["FunctionResponseTypes"], serde_json::json!(["ReportBatchItemFailures"]));
    assert_eq!(mapping["BisectBatchOnFunctionError"], true);
    let age = mapping["MaximumRecordAgeInSeconds"].as_i64().unwrap();
    // What is given up is only in the stream any more, which keeps it for a day at least.
    assert!((3_600..=12 * 3_600).contains(&age), "{age} s");
    assert!((1..=10_000).contains(&mapping["MaximumRetryAttempts"].as_i64().unwrap()));
}

#[test]
fn events_come_by_one_rule_into_an_encrypted_queue_and_are_tried_five_times_each() {
    let queues = resources("AWS::SQS::Queue");
    assert!(queues.values().all(|queue| queue["Properties"]["SqsManagedSseEnabled"] == true));
    let queue = &queues["EventQueue"]["Properties"];
    assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], 5);
    let mapping = resource_of("AWS::Lambda::EventSourceMapping", "FunctionName", "EventRecorderFunction");
    assert_eq!(text(&mapping["EventSourceArn"]), "EventQueue.Arn");
    assert_eq!(mapping["FunctionResponseTypes"], serde_json::json!(["ReportBatchItemFailures"]));
    // SQS takes a batch of more than ten only with a window.
    let of_mapping = |name: &str| mapping[name].as_i64().unwrap();
    let window = of_mapping("MaximumBatchingWindowInSeconds");
    assert!(of_mapping("BatchSize") >= 10 && window > 0);
    let timeout = functions()["event-recorder"]["Properties"]["Timeout"].as_i64().unwrap();
    let hidden = queue["VisibilityTimeout"].as_i64().unwrap();
    assert!(hidden >= 6 * timeout + window, "a message comes again while it is worked on");
    let rule = resource_of("AWS::Events::Rule", "Name", "${AWS::StackName}-events");
    // Whatever services publish, and nothing that the pipeline does: its lines are archived already.
    let source = &rule["EventPattern"]["source"];
    assert_eq!(source, &serde_json::json!([{ "anything-but": domain::logs::security::SOURCE }]));
    let [target] = &rule["Targets"].as_array().unwrap()[..] else { panic!("one target: {rule}") };
    assert_eq!(text(&target["Arn"]), "EventQueue.Arn");
    assert_eq!(text(&target["DeadLetterConfig"]["Arn"]), "DeadLetterQueue.Arn");
    for queue in ["EventQueue", "DeadLetterQueue"] {
        let policy = resource_of("AWS::SQS::QueuePolicy", "Queues", queue);
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        let from_events: Vec<_> =
            statements.iter().filter(|statement| statement["Principal"]["Service"] == "events.amazonaws.com").collect();
        let [allowed] = &from_events[..] else { panic!("one statement: {policy}") };
        assert_eq!(allowed["Action"], "sqs:SendMessage");
        let rules = if queue == "EventQueue" {
            "EventRule.Arn"
        } else {
            "EventRule.Arn.AlarmRule.Arn.AlarmDeletedRule.Arn.SecurityRule.Arn"
        };
        assert_eq!(condition(allowed), format!(" if ArnEquals aws:SourceArn {rules}"));
    }
}

#[test]
fn alarms_and_security_events_reach_the_evaluator_and_what_it_fails_on_is_kept() {
    let function = "AlertEvaluatorEventsFunction";
    let rule = |name: &str| resource_of("AWS::Events::Rule", "Name", &format!("${{AWS::StackName}}-{name}"));
    for (name, id, bus, detail_type) in [
        ("alarms", "AlarmRule", "null", domain::alerting::alarms::DETAIL_TYPE),
        ("alarms-deleted", "AlarmDeletedRule", "null", domain::alerting::alarms::CHANGED_DETAIL_TYPE),
        ("security", "SecurityRule", "EventBus", domain::logs::security::DETAIL_TYPE),
    ] {
        let rule = rule(name);
        assert_eq!(text(&rule["EventBusName"]), bus, "{name}");
        assert_eq!(rule["EventPattern"]["detail-type"], serde_json::json!([detail_type]), "{name}");
        let [target] = &rule["Targets"].as_array().unwrap()[..] else { panic!("one target: {rule}") };
        assert_eq!(text(&target["Arn"]), format!("{function}.Arn"));
        assert_eq!(text(&target["DeadLetterConfig"]["Arn"]), "DeadLetterQueue.Arn");
        let permission = resource_of("AWS::Lambda::Permission", "SourceArn", &format!("{id}.Arn"));
        assert_eq!(permission["Principal"], "events.amazonaws.com");
        assert_eq!(text(&permission["FunctionName"]), function);
    }
    assert_eq!(rule("alarms-deleted")["EventPattern"]["detail"]["operation"], serde_json::json!(["delete"]));
    assert_eq!(rule("security")["EventPattern"]["source"], serde_json::json!([domain::logs::security::SOURCE]));
    let direct = resource_of("AWS::Lambda::Permission", "Principal", "lambda.alarms.cloudwatch.amazonaws.com");
    assert_eq!(
        (text(&direct["FunctionName"]), text(&direct["SourceAccount"])),
        (function.into(), "AWS::AccountId".into())
    );
    let invocation = resource_of("AWS::Lambda::EventInvokeConfig", "FunctionName", function);
    assert_eq!(
        (on_failure(invocation), &invocation["MaximumRetryAttempts"]),
        ("DeadLetterQueue.Arn".into(), &2.into())
    );
}

#[test]
fn both_doors_of_the_evaluator_do_the_same_in_the_same_time() {
    let functions = functions();
    let of = |name: &str| &functions[name]["Properties"];
    for property in ["Environment", "MemorySize", "Timeout"] {
        assert_eq!(of("alert-evaluator")[property], of("alert-evaluator-events")[property], "{property}");
    }
}

#[test]
fn only_its_queue_gives_events_up_into_their_dead_letter_queue_which_somebody_hears_of() {
    let queues = resources("AWS::SQS::Queue");
    let letters = |queue: &str| queues[queue]["Properties"]["MessageRetentionPeriod"].as_i64().unwrap();
    assert_eq!(letters("EventDeadLetterQueue"), 1_209_600);
    // What comes from elsewhere can not be moved back.
    let policy = resource_of("AWS::SQS::QueuePolicy", "Queues", "EventDeadLetterQueue");
    let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
    assert!(statements.iter().all(|statement| statement["Effect"] == "Deny"), "{policy}");
    let alarms = resources("AWS::CloudWatch::Alarm");
    let [of_all, of_events] = ["DeadLetterAlarm", "EventDeadLetterAlarm"].map(|id| alarms[id]["Properties"].clone());
    assert_eq!(text(&of_events["Dimensions"][0]["Value"]), "EventDeadLetterQueue.QueueName");
    let told = text(&of_events["AlarmDescription"]);
    assert!(told.contains("aws sqs start-message-move-task --source-arn ${EventDeadLetterQueue.Arn}"), "{told}");
    let same =
        ["Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "ComparisonOperator", "Threshold"];
    for property in same.into_iter().chain(["TreatMissingData", "AlarmActions"]) {
        assert_eq!(of_events[property], of_all[property], "{property}");
    }
    assert_eq!(text(&template()["Outputs"]["EventDeadLetterQueueUrl"]["Value"]), "EventDeadLetterQueue");
}

#[test]
fn all_that_process_records_redact_alike() {
    let functions = functions();
    let of = |name: &str| &functions[name]["Properties"]["Environment"]["Variables"];
    for variable in ["BUCKET_NAME", "ENVIRONMENT", "PSEUDONYM_KEY_SECRET", "PERSONAL_FIELDS"] {
        assert_eq!(of("event-recorder")[variable], of("log-processor")[variable], "{variable}");
    }
}

#[test]
fn both_doors_of_the_log_processor_do_the_same() {
    let functions = functions();
    let of = |name: &str| &functions[name]["Properties"];
    let (lambda, kinesis) = (of("log-processor"), of("log-processor-kinesis"));
    assert_eq!(lambda["Environment"], kinesis["Environment"]);
    assert_eq!(lambda["MemorySize"], kinesis["MemorySize"]);
}

#[test]
fn what_can_lose_lines_raises_an_alarm() {
    // event-recorder's queue gives its messages up itself: it has no destination.
    for function in [
        "AlertEvaluatorEventsFunction",
        "LogProcessorFunction",
        "LogProcessorKinesisFunction",
        "TraceForwarderFunction",
    ] {
        let alarms = resources("AWS::CloudWatch::Alarm");
        let watched = alarms.values().map(|alarm| &alarm["Properties"]).any(|alarm| {
            alarm["MetricName"] == "DestinationDeliveryFailures"
                && text(&alarm["Dimensions"][0]["Value"]) == function
                && text(&alarm["AlarmActions"]) == "AlertTopic"
        });
        assert!(watched, "{function}");
    }
}

#[test]
fn nothing_of_the_second_door_is_there_without_a_stream() {
    for (id, resource) in template()["Resources"].as_object().unwrap() {
        let of_stream = resource.to_string().contains("LogStreamArn")
            || id.starts_with("LogProcessorKinesis")
            || id.starts_with("LogStream");
        assert_eq!(of_stream, resource["Condition"] == "HasLogStream", "{id}");
    }
}

#[test]
fn the_pipelines_own_log_groups_are_refused_by_name_and_never_subscribed_to() {
    let groups = resources("AWS::Logs::LogGroup");
    for door in ["log-processor", "log-processor-kinesis"] {
        let own = text(&functions()[door]["Properties"]["Environment"]["Variables"]["OWN_LOG_GROUP_PREFIX"]);
        assert_eq!(
            groups.len(),
            functions().len() + 1,
            "each function has a log group of its own, and so has the history"
        );
        for (id, group) in &groups {
            let name = text(&group["Properties"]["LogGroupName"]);
            let is_own = own.split(',').any(|own| !own.is_empty() && name.starts_with(own));
            assert!(is_own, "{door} takes {id}: {name} does not begin with one of {own}");
        }
    }
    let subscriptions = resources("AWS::Logs::SubscriptionFilter");
    assert!(!subscriptions.is_empty());
    for (id, subscription) in subscriptions {
        let name = text(&subscription["Properties"]["LogGroupName"]);
        // A reference to a log group of the stack is its id; other functions' logs are as bad: a Lambda that reads
        // Lambda logs may read its own under another name.
        assert!(!groups.contains_key(name.as_str()), "{id} subscribes to {name}");
        assert!(name.starts_with("/aws/") && !name.starts_with("/aws/lambda"), "{id} subscribes to {name}");
    }
}

#[test]
fn the_key_of_the_pseudonyms_outlives_the_stack_and_is_strong_enough() {
    let secrets = resources("AWS::SecretsManager::Secret");
    let [(_, secret)] = &secrets.iter().collect::<Vec<_>>()[..] else { panic!("one secret: {secrets:?}") };
    assert_eq!((&secret["DeletionPolicy"], &secret["UpdateReplacePolicy"]), (&"Retain".into(), &"Retain".into()));
    let generated = &secret["Properties"]["GenerateSecretString"];
    assert_eq!((&generated["PasswordLength"], &generated["ExcludePunctuation"]), (&64.into(), &true.into()));
    assert!(resources("AWS::SecretsManager::RotationSchedule").is_empty(), "another key is another pseudonym");
    assert!(secret["Properties"]["SecretString"].is_null(), "a key in the template is known to all its readers");
    domain::logs::redact::PseudonymKey::from_secret(&"x".repeat(64)).unwrap();
}

#[test]
fn nothing_is_filtered_and_no_further_field_is_personal_unless_it_is_configured() {
    let parameters = &template()["Parameters"];
    let lookup = |name: &str| match name {
        "PERSONAL_FIELDS" => Some(text(&parameters["PersonalFields"]["Default"])),
        "LOG_FILTERS" => Some(text(&parameters["LogFilters"]["Default"])),
        other => Some(other.to_owned()),
    };
    assert_eq!(parameters["LogFilters"]["Default"], "");
    assert_eq!(log_processor::Config::from_lookup(lookup).unwrap().personal_fields, Vec::<String>::new());
}
