//! One registry: whoever emits a metric and whoever reads one means the same name, unit and dimensions. What is emitted
//! is found by emitting it, and what the report reads by giving it to the report.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use domain::alerting::DEFAULT_RULES;
use domain::alerting::rules::{self, RuleSet};
use domain::logs::pipeline::{Outcome, Pipeline, Processed};
use domain::metrics::pending::PendingMetrics;
use domain::metrics::registry::{Definition, FOREIGN, Foreign, Kind, METRICS, Source, find};
use domain::metrics::rollup::Rollup;
use domain::metrics::series::{Aggregate, SeriesKey};
use domain::reporting::day::LocalDay;
use domain::reporting::figures::{Figures, Scope};
use local::traffic::Day;
use local::workspace;
use serde_json::{Value, json};
use telemetry::{ApiCall, DatabaseQuery, Direction, Identity, Settings, Telemetry, business, metrics};
use testkit::{pipeline, subscription};

#[path = "expanded.rs"]
mod expanded;
#[path = "told.rs"]
mod told;

use expanded::{resources, text};

// ---------------------------------------------------------------- what is emitted

/// A day's traffic in small, its events, and what else the pipeline has figures for.
fn derived() -> Vec<Processed> {
    let start: domain::Minute = "2026-11-20T21:00Z".parse().unwrap();
    let day = Day::new(start, 1_440, 7, 0.05);
    let mut all = Vec::new();
    let mut read = Pipeline::new(pipeline::settings());
    for (from, batches) in day.batches(60) {
        for batch in batches {
            let lines: Vec<(i64, &str)> =
                batch.events.iter().map(|event| (event.timestamp_millis, event.message.as_str())).collect();
            all.push(batch_of(
                read.process(&subscription::delivery(&batch.log_group, &batch.log_stream, &lines).to_string()),
            ));
        }
        for (at, event) in day.events(from, 60).iter().enumerate() {
            let body = json!({
                "id": format!("{from}-{at}"), "account": "123456789012", "source": event.source,
                "time": jiff::Timestamp::from_second(event.epoch_seconds).unwrap().to_string(),
                "detail-type": event.detail_type, "detail": serde_json::from_str::<Value>(&event.detail).unwrap(),
            });
            all.push(read.process_event(&body.to_string(), event.epoch_seconds * 1_000));
        }
    }
    let at = start.start().as_millisecond();
    let body = r#"{"id":"1","account":"123456789012","time":"2026-11-20T21:00:00Z","source":"land-contracts.user",
        "detail-type":"UserRegistered","detail":{"user_role":"buyer"}}"#;
    all.push(read.process_event("no event", at));
    all.push(read.replay_event(body, at));
    let debug = subscription::delivery("/aws/ecs/production/web", "s", &[(at, r#"{"level":"DEBUG","message":"x"}"#)]);
    all.push(batch_of(pipeline::process_filtered("level=DEBUG keep=0", &debug.to_string())));
    let failed = |reason: usize| {
        json!({ "level": "ERROR", "category": "business_logic", "message": "x",
                "details": { "event": "contract_creation_failed", "reason": format!("reason {reason}") } })
        .to_string()
    };
    let unknown = json!({ "message": "x", "contracts_made": 1, "_aws": { "Timestamp": at, "CloudWatchMetrics": [{
        "Namespace": pipeline::NAMESPACE, "Dimensions": [[]], "Metrics": [{ "Name": "contracts_made" }] }] } });
    let mut odd: Vec<String> = (0..300).map(failed).collect();
    odd.push(unknown.to_string());
    let odd: Vec<(i64, &str)> = odd.iter().map(|line| (at, line.as_str())).collect();
    all.push(batch_of(read.process(&subscription::delivery("/aws/ecs/production/contract", "s", &odd).to_string())));
    all
}

fn batch_of(outcome: Outcome) -> Processed {
    match outcome {
        Outcome::Batch(processed) => processed,
        other => panic!("{other:?}"),
    }
}

/// The series of pending metrics.
fn series_of(processed: &Processed) -> Vec<SeriesKey> {
    let Some(pending) = &processed.pending else { return Vec::new() };
    let pending = PendingMetrics::parse(&pending.body).unwrap();
    let sets = pending.minutes.values().chain(pending.extracted.values());
    sets.flat_map(|set| set.iter().map(|(key, _)| key.clone())).collect()
}

/// Where lines go, once that is allowed.
struct Output {
    allowed: Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // When the other end is gone, everything passes.
        let _ = self.allowed.recv();
        self.written.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that a process of our library writes while it does `work`; the output is stuck while `flood` is done.
fn lines_of(work: impl FnOnce(), flood: impl FnOnce()) -> Vec<String> {
    let (allow, allowed) = std::sync::mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let settings = Settings { buffer_bytes: 64 * 1024, ..Settings::new(Identity::new("contract", "test", "1")) };
    let telemetry = Telemetry::new(settings, Output { allowed, written: written.clone() }).unwrap();
    tracing::subscriber::with_default(telemetry.subscriber(), || {
        flood();
        drop(allow);
        assert!(telemetry.flush(Duration::from_secs(60)));
        work();
        assert!(telemetry.flush(Duration::from_secs(60)));
    });
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// All that the library measures for services, and of itself.
fn told_by_services() -> Vec<String> {
    let took = Duration::from_millis(12);
    let work = || {
        business::track_user_registration("seller");
        business::track_contract_creation(2.5e6, "buyer");
        business::track_contract_creation_failed("registry_timeout");
        business::track_contract_signing(took, "buyer");
        business::track_document_upload(1.5, "passport");
        let call =
            ApiCall { direction: Direction::Inbound, method: "GET", endpoint: "/a", status_code: 200, duration: took };
        business::track_api_request(&call);
        business::track_external_api_call("rosreestr", "GET", "https://host/a", 503, took);
        let query = DatabaseQuery { query_type: "SELECT", table: "contracts", duration: took, rows_affected: Some(3) };
        business::track_database_query(&query);
        business::track_user_session("u-7", took);
        business::track_system_resources(7.5, 50.0, 80.0);
        business::track_business_kpi(12, 3, 3.5);
        telemetry::operation("render").run_value(|| ());
        metrics::record_histogram("contract_value", f64::NAN, &[]);
        (0..150).for_each(|reason| {
            metrics::increment_counter("contract_creation_errors", 1.0, &[("reason", &format!("reason {reason}"))]);
        });
    };
    lines_of(work, || (0..1_000).for_each(|_| business::track_user_registration("buyer")))
}

/// Runs of functions.
static RUNS: LazyLock<Vec<told::Run>> = LazyLock::new(told::runs);

/// All that functions tell about their runs. (That whatever runs them tells how they began and ended is tested there.)
fn told_by_functions() -> Vec<String> {
    let ends = lines_of(|| aws::measures::ended(true, Duration::from_millis(1), true), || ());
    RUNS.iter().flat_map(|run| run.lines.clone()).chain(ends).collect()
}

/// What a line in the embedded metric format tells has to be what the registry says.
fn emf(line: &str) -> BTreeSet<String> {
    let line: Value = serde_json::from_str(line).unwrap();
    let mut names = BTreeSet::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let definition = find(name).unwrap_or_else(|| panic!("{name} is emitted and not registered"));
            assert_eq!(metric["Unit"], definition.unit.as_str(), "{name}");
            assert_eq!(directive["Dimensions"], json!(definition.sets), "{name}");
            assert!(definition.dimensions.iter().all(|dimension| line[*dimension].is_string()), "{name}: {line}");
            names.insert(name.to_owned());
        }
    }
    names
}

/// What the lines of a run tell of it, as [`told::Run::expected`] has it.
fn told_of(run: &told::Run) -> BTreeSet<String> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for line in &run.lines {
        let parsed: Value = serde_json::from_str(line).unwrap();
        for name in emf(line) {
            let value = parsed[name.as_str()].as_f64().unwrap_or_else(|| panic!("{name} in {line}"));
            if name == "function_batch_age" {
                // Where the clock of this machine is wrong, all is still to come, and of now.
                let (least, most) = (run.age.0.max(0) as f64, run.age.1.max(0) as f64);
                assert!((least..=most).contains(&value), "{} {}: {line}", run.function, run.run);
            }
            *sums.entry(name).or_default() += value;
        }
    }
    let told = sums.into_iter().map(|(name, sum)| {
        let name = name.strip_prefix("function_").unwrap_or(&name).to_owned();
        match name.as_str() {
            "batch_age" => name,
            "bytes" if sum > 0.0 => name,
            _ => format!("{name} {sum}"),
        }
    });
    told.collect()
}

/// Names of what is emitted, by who emits it; each with the unit and the dimensions of the registry.
static EMITTED: LazyLock<BTreeMap<&'static str, BTreeSet<String>>> = LazyLock::new(|| {
    let mut emitted: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for key in derived().iter().flat_map(series_of) {
        let definition = find(&key.name).unwrap_or_else(|| panic!("{} is derived and not registered", key.name));
        let mut dimensions: Vec<&str> = key.dimensions.keys().map(String::as_str).collect();
        let mut expected = definition.dimensions.to_vec();
        dimensions.sort_unstable();
        expected.sort_unstable();
        assert_eq!(dimensions, expected, "{}", key.name);
        let by = if definition.source == Source::Pipeline { "pipeline" } else { "lines" };
        emitted.entry(by).or_default().insert(key.name);
    }
    for (by, lines) in [("services", told_by_services()), ("functions", told_by_functions())] {
        emitted.insert(by, lines.iter().flat_map(|line| emf(line)).collect());
    }
    emitted
});

#[test]
fn every_metric_is_emitted_by_whoever_the_registry_says_and_nothing_else_is() {
    for metric in METRICS {
        let by: &[&str] = match metric.source {
            // Records of any language say it, or our library does.
            Source::Services => &["lines", "services"],
            Source::Library => &["services"],
            Source::Pipeline => &["pipeline"],
            Source::Functions => &["functions"],
        };
        for (emitter, names) in EMITTED.iter() {
            let may = by.contains(emitter);
            assert!(may || !names.contains(metric.name), "{emitter} emits {}, which is not its", metric.name);
        }
        assert!(by.iter().any(|by| EMITTED[by].contains(metric.name)), "{} is never emitted", metric.name);
    }
}

#[test]
fn each_function_tells_what_it_took_in_and_what_it_kept() {
    let all = |told: fn(&told::Run) -> BTreeSet<String>| -> Vec<_> {
        RUNS.iter().map(|run| (run.function, run.run, told(run))).collect()
    };
    let expected = |run: &told::Run| run.expected.iter().map(|&told| told.to_owned()).collect();
    let (found, expected) = (all(told_of), all(expected));
    let differ: Vec<_> = found.iter().zip(&expected).filter(|(found, expected)| found != expected).collect();
    assert!(differ.is_empty(), "found and expected: {differ:#?}");
}

#[test]
fn what_an_alarm_watches_of_a_function_is_told_by_it() {
    let told: BTreeSet<(&str, String)> = RUNS
        .iter()
        .flat_map(|run| run.lines.iter().flat_map(|line| emf(line)).map(|name| (run.function, name)))
        .collect();
    let functions = resources("AWS::Lambda::Function");
    let mut watched = 0;
    for (id, alarm) in resources("AWS::CloudWatch::Alarm") {
        let alarm = &alarm["Properties"];
        if text(&alarm["Namespace"]) != "MetricNamespace" {
            continue;
        }
        let function = text(&alarm["Dimensions"][0]["Value"]);
        let name = text(&functions[function.as_str()]["Properties"]["FunctionName"]);
        let name = name.strip_prefix("${AWS::StackName}-").unwrap();
        let metric = text(&alarm["MetricName"]);
        assert!(told.contains(&(name, metric.clone())), "{id} watches {metric}, which {name} does not tell");
        watched += 1;
    }
    assert!(watched >= 7, "{watched}");
}

#[test]
fn what_our_library_tells_is_what_the_pipeline_takes() {
    let lines = told_by_services();
    let at = jiff::Timestamp::now().as_millisecond();
    let delivered: Vec<(i64, &str)> = lines.iter().map(|line| (at, line.as_str())).collect();
    let delivery = subscription::delivery("/aws/ecs/production/contract", "s", &delivered);
    let taken: BTreeSet<String> =
        series_of(&batch_of(pipeline::process(&delivery.to_string()))).into_iter().map(|key| key.name).collect();
    assert!(!taken.contains("pipeline_values_refused"), "{taken:?}");
    assert!(EMITTED["services"].is_subset(&taken), "{:?}", EMITTED["services"].difference(&taken));
}

// ---------------------------------------------------------------- what is read

/// Whether a statistic of a series says something: it is put, by exactly these dimensions, and of that kind.
fn judge(namespace: &str, name: &str, dimensions: &[&str], statistic: &str) -> Result<&'static str, String> {
    let (called, kind) = if namespace.starts_with("AWS/") {
        let is_it = |metric: &&Foreign| metric.namespace == namespace && metric.metric == name;
        let foreign = FOREIGN.iter().find(is_it).ok_or_else(|| format!("{namespace} {name} is not registered"))?;
        if dimensions != [foreign.dimension] {
            return Err(format!("{namespace} {name} is of one {}, not by {dimensions:?}", foreign.dimension));
        }
        (foreign.name, foreign.kind)
    } else if ["MetricNamespace", "${MetricNamespace}", "$namespace"].contains(&namespace) {
        let metric = find(name).ok_or_else(|| format!("{name} is not registered"))?;
        if !metric.has_set(dimensions) {
            return Err(format!("{name} is not put by {dimensions:?}"));
        }
        (metric.name, metric.kind)
    } else {
        return Err(format!("{name} is of {namespace}, where nothing is put"));
    };
    let fits = match kind {
        Kind::Counter => ["Sum", "SampleCount"].contains(&statistic),
        Kind::Gauge => ["Average", "Minimum", "Maximum", "SampleCount"].contains(&statistic),
        Kind::Histogram | Kind::Timer => true,
    };
    if fits { Ok(called) } else { Err(format!("{statistic} of {name}, a {}, says nothing", kind.as_str())) }
}

/// The alarms of the template: logical id, and the metric that each watches, as the registry calls it.
fn alarms() -> BTreeMap<&'static str, &'static str> {
    let alarms = resources("AWS::CloudWatch::Alarm").into_iter().map(|(id, alarm)| {
        let alarm = &alarm["Properties"];
        let dimensions: Vec<&str> = alarm["Dimensions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|dimension| dimension["Name"].as_str().unwrap())
            .collect();
        let statistic = alarm["Statistic"].as_str().or(alarm["ExtendedStatistic"].as_str()).unwrap();
        let name = alarm["MetricName"].as_str().unwrap();
        let judged = judge(&text(&alarm["Namespace"]), name, &dimensions, statistic);
        (id, judged.unwrap_or_else(|mistake| panic!("{id}: {mistake}")))
    });
    alarms.collect()
}

/// What the rules read. That they read it rightly is checked when they are loaded.
fn rules() -> BTreeSet<&'static str> {
    let variables = BTreeMap::from([("DATABASE_INSTANCE".to_owned(), "db".to_owned())]);
    let rules = RuleSet::load("the built-in rules", DEFAULT_RULES, &variables).unwrap();
    let queries = rules.rules.iter().flat_map(rules::Rule::queries).map(|(_, query)| query);
    let name = |query: &rules::Query| match &query.source {
        rules::Source::Own(definition) => definition.name,
        rules::Source::Foreign(query) => {
            let dimensions: Vec<&str> = query.dimensions.keys().map(String::as_str).collect();
            judge(&query.namespace, &query.name, &dimensions, &query.statistic).unwrap()
        }
    };
    queries.map(name).collect()
}

/// Whether the daily report says something else where `metric` was counted.
fn is_reported(metric: &Definition) -> bool {
    let zone = jiff::tz::TimeZone::UTC;
    let day = LocalDay::named("2026-11-20", &zone, "2026-11-21T12:00:00Z".parse().unwrap()).unwrap();
    let report = |name: &str| {
        let mut figures =
            Figures::of_nothing(Scope { day: day.clone(), environment: "test".to_owned(), services: Vec::new() });
        let mut rollup = Rollup::empty(day.from());
        let value = |name: &str| if name == "status_code" { "500" } else { "x" };
        let dimensions = metric.dimensions.iter().map(|name| ((*name).to_owned(), value(name).to_owned())).collect();
        let key = SeriesKey { name: name.to_owned(), dimensions };
        rollup.series.add(key, &Aggregate::of(3.0, day.from().start().as_millisecond()));
        let object = rollup.to_object();
        figures.read_rollup(&object.key, &object.body);
        figures.report()
    };
    report(metric.name) != report("no_metric")
}

/// Everything in `json` that is an object or an array.
fn walk<'a>(json: &'a Value, see: &mut impl FnMut(&'a Value)) {
    see(json);
    match json {
        Value::Object(members) => members.values().for_each(|member| walk(member, see)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        _ => {}
    }
}

/// What panels read: of Grafana's files and of the template's dashboard, as far as there are any.
fn panels() -> BTreeSet<&'static str> {
    let mut read = BTreeSet::new();
    let folder = workspace::root().join("infra/grafana");
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let place = path.file_name().unwrap().to_string_lossy().into_owned();
            walk(&json, &mut |part| read.extend(grafana(part, &place)));
        }
    }
    for (id, dashboard) in resources("AWS::CloudWatch::Dashboard") {
        let json: Value = serde_json::from_str(&text(&dashboard["Properties"]["DashboardBody"])).unwrap();
        walk(&json, &mut |part| {
            let default = part["stat"].as_str().unwrap_or("Average");
            read.extend(
                part["metrics"].as_array().into_iter().flatten().filter_map(|row| cloudwatch(row, default, id)),
            );
        });
    }
    read
}

/// What a query of a panel of Grafana's reads.
fn grafana(part: &Value, place: &str) -> Vec<&'static str> {
    if let Some(expression) = part["expr"].as_str() {
        return promql(expression).unwrap_or_else(|mistake| panic!("{place}: {mistake} in {expression}"));
    }
    let Some(name) = part["metricName"].as_str().filter(|name| !name.is_empty()) else { return Vec::new() };
    // A variable lists the values of one dimension.
    let (dimensions, statistic) = match part["dimensionKey"].as_str() {
        Some(dimension) => (vec![dimension], "SampleCount"),
        None => {
            let dimensions = part["dimensions"].as_object().unwrap().keys().map(String::as_str).collect();
            (dimensions, part["statistic"].as_str().unwrap())
        }
    };
    let judged = judge(part["namespace"].as_str().unwrap(), name, &dimensions, statistic);
    vec![judged.unwrap_or_else(|mistake| panic!("{place}: {mistake}"))]
}

/// What a row of a widget reads: `[namespace, metric, dimension, value, ..., options]`; none where it computes.
fn cloudwatch(row: &Value, default: &str, place: &str) -> Option<&'static str> {
    let row = row.as_array()?;
    let options = row.last().filter(|last| last.is_object());
    let texts: Vec<&str> = row.iter().filter_map(Value::as_str).collect();
    let [namespace, name, dimensions @ ..] = &texts[..] else { return None };
    let dimensions: Vec<&str> = dimensions.iter().step_by(2).copied().collect();
    let statistic = options.and_then(|options| options["stat"].as_str()).unwrap_or(default);
    Some(judge(namespace, name, &dimensions, statistic).unwrap_or_else(|mistake| panic!("{place}: {mistake}")))
}

/// The metrics that a PromQL expression selects: names that are neither called nor words of the language. Each is one
/// that we send, and each label that is matched is one of its.
fn promql(expression: &str) -> Result<Vec<&'static str>, String> {
    const WORDS: [&str; 12] = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "and",
        "or",
        "unless",
        "bool",
        "offset",
        "inf",
    ];
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_:$".contains(c);
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let after = |text: &str, end: char| text.find(end).map_or(text.len(), |at| at + 1);
        if first == '"' {
            rest = &rest[1 + after(&rest[1..], '"')..];
        } else if first == '[' || first == '{' {
            rest = &rest[after(rest, if first == '[' { ']' } else { '}' })..];
        } else if is_part(first) {
            let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
            rest = rest[word.len()..].trim_start();
            if ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&word) && rest.starts_with('(')
            {
                rest = &rest[after(rest, ')')..];
            } else if first.is_ascii_alphabetic()
                && !["(", "by", "without"].iter().any(|next| rest.starts_with(next))
                && !WORDS.contains(&word)
            {
                let matchers =
                    rest.strip_prefix('{').map_or("", |inner| &inner[..inner.find('}').unwrap_or(inner.len())]);
                found.push(selected(word, matchers)?);
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(found)
}

fn selected(name: &str, matchers: &str) -> Result<&'static str, String> {
    let is_it = |metric: &&Definition| {
        let family = metric.prometheus_name();
        match metric.kind {
            Kind::Counter | Kind::Gauge => name == family,
            Kind::Histogram | Kind::Timer => {
                ["_bucket", "_sum", "_count"].iter().any(|series| name == format!("{family}{series}"))
            }
        }
    };
    let sent = METRICS.iter().filter(|metric| metric.is_rolled_up());
    let metric = sent.into_iter().find(is_it).ok_or_else(|| format!("nobody sends {name}"))?;
    // Label names stand before an operator; what is between quotes is no name.
    for label in matchers.split('"').step_by(2).map(|part| part.trim_matches([',', '=', '!', '~', ' '])) {
        let is_known = ["", "le", "environment"].contains(&label) || metric.dimensions.contains(&label);
        if !is_known {
            return Err(format!("{name} has no label {label}"));
        }
    }
    Ok(metric.name)
}

#[test]
fn a_promql_expression_is_read_as_prometheus_does() {
    let read = |expression: &str| promql(expression).map_err(|mistake| mistake.replace("nobody", "none"));
    let p95 = r#"histogram_quantile(0.95, sum by (le, service) (rate(api_request_duration_seconds_bucket{service=~"a,b"}[5m])))"#;
    assert_eq!(read(p95), Ok(vec!["api_request_duration"]));
    let rate =
        r#"sum(increase(api_requests_total{status_code=~"5..",environment="$environment"}[$__rate_interval])) / 1e3"#;
    assert_eq!(read(rate), Ok(vec!["api_requests"]));
    let joined = "active_users > bool 5 and on (environment) contracts_created_total offset 1h or vector(0)";
    assert_eq!(read(joined), Ok(vec!["active_users", "contracts_created"]));
    // Defect 49: names that nothing exports.
    assert_eq!(read("rate(database_connections[5m])"), Err("none sends database_connections".to_owned()));
    assert_eq!(read("api_requests"), Err("none sends api_requests".to_owned()));
    assert_eq!(read("api_request_duration_seconds"), Err("none sends api_request_duration_seconds".to_owned()));
    let label = r#"active_users{service="a"}"#;
    assert_eq!(read(label), Err("active_users has no label service".to_owned()));
}

#[test]
fn what_is_not_put_by_these_dimensions_or_of_another_kind_is_a_mistake() {
    for (namespace, name, dimensions, statistic, is_right) in [
        ("$namespace", "api_requests", &[][..], "Sum", true),
        ("$namespace", "api_requests", &["service"], "Average", false),
        ("$namespace", "api_requests", &["endpoint"], "Sum", false),
        ("$namespace", "active_users", &[], "Sum", false),
        ("$namespace", "error_rate", &[], "Average", false), // Defect 10.
        ("MetricNamespace", "function_errors", &["function"], "Sum", true),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", &["QueueName"], "Maximum", true),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", &[], "Maximum", false),
        ("AWS/SQS", "NumberOfMessagesSent", &["QueueName"], "Sum", false),
        ("Shop", "api_requests", &[], "Sum", false),
    ] {
        let judged = judge(namespace, name, dimensions, statistic);
        assert_eq!(judged.is_ok(), is_right, "{namespace} {name} {dimensions:?} {statistic}: {judged:?}");
    }
}

/// Rows of the table in docs/self-metrics.md: a metric, and the alarms that ship for it.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(workspace::root().join("docs/self-metrics.md")).unwrap();
    let named = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [metric, _, alarms] = cells[..] else { panic!("three columns: {row}") };
        (named(metric).remove(0), named(alarms).into_iter().collect())
    })
    .collect()
}

#[test]
fn the_page_about_the_pipeline_itself_has_every_metric_and_every_alarm() {
    let documented = documented();
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for metric in METRICS.iter().filter(|metric| metric.source == Source::Functions) {
        expected.entry(metric.name.to_owned()).or_default();
    }
    for (alarm, metric) in alarms() {
        expected.entry(metric.to_owned()).or_default().insert(alarm.to_owned());
    }
    assert_eq!(documented, expected);
}

#[test]
fn every_metric_is_read_by_a_rule_a_panel_the_report_or_an_alarm() {
    let mut read = rules();
    read.extend(panels());
    read.extend(alarms().into_values());
    read.extend(METRICS.iter().filter(|metric| metric.is_rolled_up() && is_reported(metric)).map(|metric| metric.name));
    // What a function tells about itself is on the page of what to watch.
    let documented = documented();
    let unread = |name: &str| !read.contains(name) && !documented.contains_key(name);
    let names = METRICS.iter().map(|metric| metric.name).chain(FOREIGN.iter().map(|metric| metric.name));
    let nobody: Vec<&str> = names.filter(|name| unread(name)).collect();
    assert!(nobody.is_empty(), "nobody reads {nobody:?}");
}
