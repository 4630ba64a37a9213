//! Lines with metrics, right and wrong ones, and a plain reading of them as the measure.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// 2026-11-18T11:06:40Z
const AT: i64 = 1_795_000_000_000;
const NAMESPACE: &str = "LandContracts";

/// Reads lines, each with its event time.
fn read(lines: &[(i64, Value)]) -> (BTreeMap<Minute, SeriesSet>, Told) {
    let mut extracted = Extracted::new(NAMESPACE);
    let mut told = Told::default();
    for (millis, line) in lines {
        let json = line.to_string();
        let Told { refused, folded, .. } =
            extracted.add(Event { json: &json, millis: *millis, is_joined: false }, "api");
        told.refused += refused;
        told.folded += folded;
    }
    let mut others = BTreeMap::new();
    let minutes = extracted.finish(&mut others);
    assert!(others.is_empty(), "no line was put together");
    (minutes, told)
}

/// Every series as `minute offset name{dimension=value,...} count sum`.
fn series(minutes: &BTreeMap<Minute, SeriesSet>) -> Vec<String> {
    let all = minutes.iter().flat_map(|(minute, set)| set.iter().map(move |series| (minute, series)));
    all.map(|(minute, (key, held))| {
        let dimensions: Vec<String> = key.dimensions.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let offset = minute.since(Minute::of_epoch_millis(AT));
        format!("{offset} {}{{{}}} {} {}", key.name, dimensions.join(","), held.count, held.sum)
    })
    .collect()
}

fn directive(namespace: &str, metrics: &[&str]) -> Value {
    let metrics: Vec<Value> = metrics.iter().map(|name| json!({ "Name": name })).collect();
    json!({ "Namespace": namespace, "Dimensions": [[]], "Metrics": metrics })
}

/// A line with one directive for `metrics`, and `members`.
fn line(metrics: &[&str], members: Value) -> Value {
    let mut line = members;
    line["_aws"] = json!({ "Timestamp": AT, "CloudWatchMetrics": [directive(NAMESPACE, metrics)] });
    line
}

#[test]
fn a_metric_has_its_dimensions_from_the_registry_and_their_values_from_the_line() {
    let full = json!({ "service": "pay", "endpoint": "/contracts/4711?x=1", "method": "GET", "status_code": 200,
        "level": "INFO", "api_requests": 1, "api_request_duration": 12.5 });
    for (metrics, members, expected) in [
        (
            &["api_requests", "api_request_duration"][..],
            full,
            &[
                "0 api_request_duration{endpoint=/contracts/{id},method=GET,service=pay} 1 12.5",
                "0 api_requests{endpoint=/contracts/{id},method=GET,service=pay,status_code=200} 1 1",
            ][..],
        ),
        (
            &["contracts_created"],
            json!({ "contracts_created": 17, "role": ["buyer"] }),
            &["0 contracts_created{role=unknown,service=api} 1 17"],
        ),
        (
            &["contracts_created"],
            json!({ "contracts_created": 1, "role": " ", "service": null }),
            &["0 contracts_created{role=unknown,service=api} 1 1"],
        ),
        (
            &["documents_uploaded"],
            json!({ "documents_uploaded": 1, "type": "a\"\nб" }),
            &["0 documents_uploaded{service=api,type=a\"__} 1 1"],
        ),
        (&["active_users"], json!({ "active_users": [3, 4, 2], "service": "x" }), &["0 active_users{} 3 9"]),
    ] {
        let (minutes, told) = read(&[(AT, line(metrics, members.clone()))]);
        assert_eq!((series(&minutes), told), (expected.iter().map(|s| s.to_string()).collect(), Told::default()));
    }
}

#[test]
fn values_are_real_distributions() {
    let aggregate = json!({ "Values": [10, 20.5], "Counts": [3, 1], "Count": 4, "Sum": 51, "Min": 9.9, "Max": 20.5 });
    let lines = [
        (AT, line(&["operation_duration"], json!({ "operation_duration": aggregate, "operation": "sign" }))),
        (AT, line(&["operation_duration"], json!({ "operation_duration": [5, 10, 5], "operation": "sign" }))),
        (AT + 1, line(&["operation_duration"], json!({ "operation_duration": 7, "operation": "sign" }))),
    ];
    let (minutes, told) = read(&lines);
    assert_eq!(told, Told::default());
    let (_, held) = minutes[&Minute::of_epoch_millis(AT)].named("operation_duration").next().unwrap();
    assert_eq!((held.count, held.sum, held.min, held.max), (8, 78.0, 5.0, 20.5));
    assert_eq!(held.sketch, Sketch::Values(vec![(5.0, 2), (7.0, 1), (10.0, 4), (20.5, 1)]));
    assert_eq!((held.sketch.percentile(50.0), held.sketch.percentile(99.0)), (Some(10.0), Some(20.5)));
}

#[test]
fn a_gauge_shows_the_last_value_of_a_list_and_the_greatest_of_an_aggregate() {
    for (value, last) in [
        (json!(3), 3.0),
        (json!([3, 9, 4]), 4.0),
        (json!({ "Values": [1, 9, 4], "Counts": [1, 1, 1] }), 9.0),
        (json!({ "Values": [-1, -9] }), -1.0),
    ] {
        let (minutes, _) = read(&[(AT + 5, line(&["conversion_rate"], json!({ "conversion_rate": value })))]);
        let (_, held) = minutes.values().next().unwrap().named("conversion_rate").next().unwrap();
        assert_eq!(held.last, (AT, last), "{value}");
    }
}

#[test]
fn a_metric_that_is_named_twice_counts_once() {
    let metrics = ["active_users", "active_users"];
    let mut twice = line(&metrics, json!({ "active_users": 3 }));
    let directives = twice["_aws"]["CloudWatchMetrics"].as_array_mut().unwrap();
    directives.extend([directive(NAMESPACE, &metrics), directive("Others", &metrics)]);
    let (minutes, told) = read(&[(AT, twice)]);
    assert_eq!((series(&minutes), told), (vec!["0 active_users{} 1 3".to_owned()], Told::default()));
}

#[test]
fn what_is_wrong_is_left_out_and_told() {
    let of = |value: Value| line(&["contracts_created"], json!({ "contracts_created": value }));
    let level = |value: Value| line(&["active_users"], json!({ "active_users": value }));
    let aws = |aws: Value| json!({ "_aws": aws, "contracts_created": 1 });
    let entry = |entry: Value| aws(json!({ "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Metrics": [entry] }] }));
    for (line, taken, refused) in [
        // Values.
        (of(json!("NaN")), 0.0, 1),
        (of(json!(null)), 0.0, 1),
        (of(json!(true)), 0.0, 1),
        (of(json!(-1)), 0.0, 1),
        (of(json!(3e108)), 0.0, 1),
        (of(json!([])), 0.0, 0),
        (of(json!([1, "2", null, [3], { "a": 1 }, 4, -5])), 5.0, 5),
        (of(json!(vec![0.5; 100])), 50.0, 0),
        (of(json!(vec![0.5; 10_000])), 50.0, 9_900),
        (of(json!({ "Values": vec![0.5; 100] })), 50.0, 0),
        (of(json!({ "Values": vec![0.5; 101] })), 0.0, 1),
        (of(json!({})), 0.0, 1),
        // Of a counter number and sum suffice.
        (of(json!({ "Sum": 5, "Count": 2, "Min": 2, "Max": 3 })), 5.0, 0),
        (of(json!({ "Sum": 10, "Count": 3 })), 10.0, 0),
        (of(json!({ "Sum": 0, "Count": 3 })), 0.0, 0),
        (of(json!({ "Sum": 5, "Count": 2, "Min": 3, "Max": 3 })), 0.0, 1),
        (of(json!({ "Sum": 5, "Count": 2, "Max": "3" })), 0.0, 1),
        (of(json!({ "Sum": 5, "Count": 2, "Min": -1, "Max": 3 })), 0.0, 1),
        (of(json!({ "Sum": 5, "Count": 2, "Counts": [2] })), 0.0, 1),
        (of(json!({ "Sum": -5, "Count": 2 })), 0.0, 1),
        (of(json!({ "Sum": 5, "Count": 0 })), 0.0, 1),
        (of(json!({ "Sum": 5, "Count": 1.5 })), 0.0, 1),
        (of(json!({ "Sum": 5, "Count": 5e9 })), 0.0, 1),
        (of(json!({ "Sum": 5 })), 0.0, 1),
        (of(json!({ "Count": 5 })), 0.0, 1),
        (level(json!({ "Sum": 5, "Count": 2, "Min": 2, "Max": 3 })), 0.0, 1),
        (of(json!({ "Values": 5 })), 0.0, 1),
        (of(json!({ "Values": [], "Counts": [] })), 0.0, 1),
        (of(json!({ "Values": [1, 2] })), 3.0, 0),
        (of(json!({ "Values": [1, 2], "Counts": [1] })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [1, 2] })), 0.0, 1),
        (of(json!({ "Values": [1, 2], "Counts": [2, 0] })), 2.0, 0),
        (of(json!({ "Values": [1], "Counts": [0] })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [1.5] })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [-1] })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [1e18] })), 0.0, 1),
        (of(json!({ "Values": [1, 1], "Counts": [4e9, 4e9] })), 0.0, 1),
        (of(json!({ "Values": [1, "2"], "Counts": [1, 1] })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": "1" })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [5], "Count": 4 })), 0.0, 1),
        // The sum of a counter is exact; the values of others may stand for buckets.
        (of(json!({ "Values": [1], "Counts": [5], "Sum": 5.01, "Min": 1, "Max": 1.01 })), 0.0, 1),
        (of(json!({ "Values": [0.1, 0.7], "Counts": [3, 1], "Sum": 1.0 })), 1.0, 0),
        (of(json!({ "Values": [0], "Counts": [5], "Sum": 0.1 })), 0.0, 1),
        (level(json!({ "Values": [1], "Counts": [5], "Sum": 5.01, "Min": 1, "Max": 1.01 })), 5.01, 0),
        (level(json!({ "Values": [1], "Counts": [5], "Sum": 500 })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [5], "Sum": 500 })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [5], "Sum": "5" })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [5], "Min": 2, "Max": 1 })), 0.0, 1),
        (of(json!({ "Values": [1], "Counts": [5], "Min": 7, "Max": 9, "Sum": 40 })), 0.0, 1),
        (line(&["contracts_created"], json!({})), 0.0, 1),
        // Names and units.
        (line(&["contracts_made"], json!({ "contracts_made": 1 })), 0.0, 1),
        (line(&["log_entries", "performance_issues"], json!({ "log_entries": 1, "performance_issues": 1 })), 0.0, 2),
        (line(&["pipeline_lines_received"], json!({ "pipeline_lines_received": 1 })), 0.0, 1),
        (line(&["function_errors"], json!({ "function_errors": 1 })), 0.0, 1),
        (entry(json!({ "Name": "contracts_created", "Unit": "Count" })), 1.0, 0),
        (entry(json!({ "Name": "contracts_created", "Unit": "None" })), 1.0, 0),
        (entry(json!({ "Name": "contracts_created", "Unit": "Seconds" })), 0.0, 1),
        (entry(json!({ "Name": "contracts_created", "Unit": 7 })), 0.0, 1),
        (entry(json!({ "Name": 7 })), 0.0, 1),
        (entry(json!("contracts_created")), 0.0, 1),
        // The directives.
        (aws(json!({})), 0.0, 1),
        (aws(json!({ "CloudWatchMetrics": {} })), 0.0, 1),
        (aws(json!({ "CloudWatchMetrics": [] })), 0.0, 0),
        (aws(json!({ "CloudWatchMetrics": [7, {}, { "Namespace": 7 }] })), 0.0, 3),
        (aws(json!({ "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Metrics": "x" }] })), 0.0, 1),
        (aws(json!({ "CloudWatchMetrics": [directive("Others", &["contracts_created"])] })), 0.0, 0),
        (json!({ "contracts_created": 1 }), 0.0, 1),
        (json!(7), 0.0, 1),
    ] {
        let (minutes, told) = read(&[(AT, line.clone())]);
        let sum: f64 = minutes.values().flat_map(|set| set.iter()).map(|(_, held)| held.sum).sum();
        let short: String = line.to_string().chars().take(200).collect();
        assert_eq!((sum, told.refused), (taken, refused), "{short}");
    }
    let nothing = Event { json: "", millis: AT, is_joined: false };
    assert_eq!(Extracted::new(NAMESPACE).add(nothing, "api"), Told { refused: 1, ..Told::default() });
}

#[test]
fn a_line_tells_its_metrics_in_our_namespace_or_elsewhere() {
    let of = |directives: Value| json!({ "_aws": { "Timestamp": AT, "CloudWatchMetrics": directives } });
    let (ours, others) = (directive(NAMESPACE, &["active_users"]), directive("Others", &["active_users"]));
    for (line, is_told) in [
        (of(json!([ours])), true),
        (of(json!([others, ours])), true),
        (of(json!([{ "Namespace": NAMESPACE, "Metrics": "x" }])), true),
        // What telemetry writes into a line that was held back.
        (of(json!([])), true),
        (of(json!([others])), false),
        (of(json!([7, {}])), false),
        (of(json!({})), false),
        (json!({ "_aws": { "Timestamp": AT } }), false),
        (json!({}), false),
    ] {
        let json = line.to_string();
        let told = Extracted::new(NAMESPACE).add(Event { json: &json, millis: AT, is_joined: false }, "api");
        assert_eq!(told.is_told, is_told, "{line}");
    }
}

#[test]
fn the_metrics_of_a_line_that_was_put_together_are_with_what_is_derived() {
    let json = line(&["active_users"], json!({ "active_users": 3 })).to_string();
    let mut extracted = Extracted::new(NAMESPACE);
    for is_joined in [true, false, true] {
        extracted.add(Event { json: &json, millis: AT, is_joined }, "api");
    }
    let mut others = BTreeMap::new();
    let minutes = extracted.finish(&mut others);
    assert_eq!(series(&minutes), ["0 active_users{} 1 3"]);
    assert_eq!(series(&others), ["0 active_users{} 2 6"]);
}

#[test]
fn only_a_level_or_a_distribution_may_be_below_zero() {
    for (name, taken) in [("active_users", true), ("contract_value", true), ("operation_duration", false)] {
        let (minutes, told) = read(&[(AT, line(&[name], json!({ name: -2 })))]);
        assert_eq!((minutes.len(), told.refused), (usize::from(taken), usize::from(!taken)), "{name}");
    }
}

#[test]
fn the_minute_is_that_of_the_timestamp_within_the_hour_of_the_event() {
    // The event is at 11:06:40.
    for (timestamp, offset) in [
        (json!(AT - 59_000), -1),
        (json!(AT - 400_000), -6),
        (json!(AT), 0),
        (json!(AT - 401_000), 0),
        (json!(AT + 60_000), 0),
        (json!(AT + 3_600_000), 0),
        (json!(AT - 86_400_000), 0),
        (json!(1), 0),
        (json!(-1e300), 0),
        (json!((AT - 59_000).to_string()), 0),
        (json!(null), 0),
    ] {
        let mut line = line(&["active_users"], json!({ "active_users": 3 }));
        line["_aws"]["Timestamp"] = timestamp.clone();
        let (minutes, _) = read(&[(AT, line)]);
        assert_eq!(series(&minutes), [format!("{offset} active_users{{}} 1 3")], "{timestamp}");
    }
}

#[test]
fn dimension_values_are_bounded_and_the_overflow_is_told() {
    let lines: Vec<(i64, Value)> = (0..150)
        .map(|n| (AT, line(&["contracts_created"], json!({ "contracts_created": 2, "service": format!("s{n}") }))))
        .collect();
    let (minutes, told) = read(&lines);
    assert_eq!(told, Told { folded: 50, ..Told::default() });
    let series = series(&minutes);
    assert_eq!(series.len(), super::super::dimension::MAX_VALUES + 1);
    assert!(series.contains(&"0 contracts_created{role=unknown,service=other} 50 100".to_owned()));
}

/// The same, as plainly as it can be said.
fn plainly(lines: &[(i64, Value)]) -> (BTreeMap<Minute, SeriesSet>, usize) {
    let mut minutes: BTreeMap<Minute, SeriesSet> = BTreeMap::new();
    let mut refused = 0;
    for (event, line) in lines {
        let said = line["_aws"]["Timestamp"].as_f64().map(|at| at as i64);
        let at = said.filter(|at| at <= event && at.div_euclid(3_600_000) == event.div_euclid(3_600_000));
        let at = at.unwrap_or(*event);
        let Some(directives) = line["_aws"]["CloudWatchMetrics"].as_array() else {
            refused += 1;
            continue;
        };
        let mut seen = Vec::new();
        for directive in directives {
            let metrics = directive["Metrics"].as_array();
            match (directive["Namespace"].as_str(), metrics) {
                (Some(other), _) if other != NAMESPACE => {}
                (Some(_), Some(metrics)) => {
                    for name in metrics.iter().map(|metric| metric["Name"].as_str()) {
                        let Some(definition) = name.and_then(crate::metrics::registry::find) else {
                            refused += 1;
                            continue;
                        };
                        if seen.contains(&name) {
                            continue;
                        }
                        seen.push(name);
                        let mut dimensions = Dimensions::new();
                        for &dimension in definition.dimensions {
                            let missing = if dimension == "service" { "api" } else { "unknown" };
                            let value = line[dimension].as_str().unwrap_or(missing);
                            dimensions.insert(dimension.to_owned(), value.to_owned());
                        }
                        let values = match &line[definition.name] {
                            Value::Array(values) => {
                                refused += values.len().saturating_sub(100);
                                values.iter().take(100).cloned().collect()
                            }
                            Value::Object(held) => {
                                let repeat = |(value, count): (&Value, &Value)| {
                                    vec![value.clone(); count.as_u64().unwrap() as usize]
                                };
                                let (values, counts) = (held["Values"].as_array(), held["Counts"].as_array());
                                values.unwrap().iter().zip(counts.unwrap()).flat_map(repeat).collect()
                            }
                            other => vec![other.clone()],
                        };
                        for value in values {
                            match value.as_f64() {
                                Some(value) => {
                                    let key =
                                        SeriesKey { name: definition.name.to_owned(), dimensions: dimensions.clone() };
                                    let set = minutes.entry(Minute::of_epoch_millis(at)).or_default();
                                    set.add(key, &Aggregate::of(value, 0));
                                }
                                None => refused += 1,
                            }
                        }
                    }
                }
                _ => refused += 1,
            }
        }
    }
    (minutes, refused)
}

/// Whole numbers, so that sums do not depend on the order of adding.
fn any_value() -> impl Strategy<Value = Value> {
    let number = || (0..400_u32).prop_map(|number| json!(number));
    let wrong = || select(vec![json!(null), json!("NaN"), json!(true), json!("7"), json!([1])]);
    let counted = prop::collection::vec((0..400_u32, 1..9_u32), 1..20).prop_map(|points| {
        let (values, counts): (Vec<u32>, Vec<u32>) = points.into_iter().unzip();
        json!({ "Values": values, "Counts": counts })
    });
    prop_oneof![
        4 => number(),
        2 => prop::collection::vec(prop_oneof![9 => number(), 1 => wrong()], 0..120).prop_map(Value::Array),
        2 => counted,
        1 => select(vec![json!(null), json!("NaN"), json!(true)]),
    ]
}

const NAMES: [&str; 5] = ["active_users", "contract_value", "contracts_created", "external_api_duration", "unheard_of"];

fn any_directive() -> impl Strategy<Value = Value> {
    let names = prop::collection::vec(select(NAMES.to_vec()), 0..5);
    let namespace = select(vec![NAMESPACE, NAMESPACE, "Others"]);
    let well_formed = (namespace, names).prop_map(|(namespace, names)| directive(namespace, &names));
    let wrong = vec![json!(7), json!({ "Namespace": NAMESPACE }), json!({ "Metrics": [] })];
    prop_oneof![8 => well_formed, 1 => select(wrong)]
}

fn any_line() -> impl Strategy<Value = (i64, Value)> {
    let dimension = || select(vec![json!("a"), json!("b"), json!(null), json!([])]);
    let timestamp = prop_oneof![4 => (0..900_000_i64).prop_map(|late| json!(AT - late)), 1 => Just(json!("soon"))];
    let directives = prop::collection::vec(any_directive(), 0..4);
    let values = prop::array::uniform5(any_value());
    let dimensions = prop::array::uniform3(dimension());
    (0..900_000_i64, timestamp, directives, values, dimensions).prop_map(
        |(early, timestamp, directives, values, named)| {
            let mut line = json!({ "_aws": { "Timestamp": timestamp, "CloudWatchMetrics": directives } });
            for (name, value) in
                NAMES.into_iter().zip(values).chain(["service", "role", "endpoint"].into_iter().zip(named))
            {
                line[name] = value;
            }
            (AT - early, line)
        },
    )
}

/// Any JSON, of names that mean something here.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        select(vec!["active_users", "contracts_created", NAMESPACE, "Count", "NaN", ""]).prop_map(|text| json!(text)),
        ".{0,4}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        let names = [
            "_aws",
            "CloudWatchMetrics",
            "Timestamp",
            "Namespace",
            "Metrics",
            "Name",
            "Unit",
            "Values",
            "Counts",
            "Sum",
            "Count",
            "Min",
            "Max",
            "active_users",
            "contracts_created",
            "service",
            "role",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((select(names.to_vec()), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(name, v)| (name.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn lines_are_read_as_the_plain_reading_has_it(lines in prop::collection::vec(any_line(), 0..12)) {
        let (mut minutes, told) = read(&lines);
        let (plain, refused) = plainly(&lines);
        // Which value is the latest is not the plain reading's business.
        for set in minutes.values_mut() {
            *set = set.iter().map(|(key, held)| (key.clone(), Aggregate { last: (0, held.max), ..held.clone() })).collect();
        }
        prop_assert_eq!(minutes, plain);
        prop_assert_eq!(told, Told { refused, ..Told::default() });
    }

    #[test]
    fn whatever_stands_there_comes_to_finite_figures(members in any_json(), value in any_json(), millis in any::<i64>()) {
        let mut lines = vec![(millis, members.clone())];
        let aws = json!({ "Timestamp": members.clone(), "CloudWatchMetrics": [directive(NAMESPACE, &["active_users"])] });
        lines.push((AT, json!({ "_aws": aws, "active_users": value })));
        lines.push((AT, json!({ "_aws": members, "active_users": 1 })));
        let (minutes, _) = read(&lines);
        for (_, held) in minutes.values().flat_map(|set| set.iter()) {
            prop_assert!(held.count > 0 && held.sum.is_finite() && held.min <= held.max);
            let points = held.sketch.points();
            prop_assert_eq!(points.iter().map(|point| point.1).sum::<u64>(), held.count);
        }
    }
}
