//! The body of a CloudWatch dashboard, for `Fn::Sub` in template.yaml. Rows that stand for one service are left out:
//! CloudWatch can not repeat a row.

use serde_json::{Value as Json, json};

use crate::expression::{Mistake, Quantity, Resource};
use crate::metric_math::{Plan, Read, Value};
use crate::panel::{Board, Colour, Kind, Panel, Place, Thresholds, legend, place};

/// Widgets that a dashboard takes.
pub const MAX_WIDGETS: usize = 500;
/// Metrics that a widget takes, those behind a formula included.
pub const MAX_METRICS_OF_WIDGET: usize = 500;
/// Metrics that all widgets of a dashboard take together.
pub const MAX_METRICS: usize = 2_500;

/// Seconds of a point in a graph.
const PERIOD: u32 = 300;

/// The body, with the template's parameters and CloudFormation's pseudo parameters in it; one widget a line.
///
/// # Errors
///
/// The first mistake in it, and where it is more than CloudWatch takes.
pub fn body(board: &Board) -> Result<String, Mistake> {
    board.check()?;
    let widgets = widgets(board)?;
    within("widgets", widgets.len(), MAX_WIDGETS)?;
    let metrics: Vec<usize> =
        widgets.iter().map(|widget| widget["properties"]["metrics"].as_array().map_or(0, Vec::len)).collect();
    for count in &metrics {
        within("metrics in a widget", *count, MAX_METRICS_OF_WIDGET)?;
    }
    within("metrics", metrics.iter().sum(), MAX_METRICS)?;
    let lines: Vec<String> = widgets.iter().map(ToString::to_string).collect();
    let start = back_by(board.hours);
    Ok(format!("{{\"start\":\"{start}\",\"periodOverride\":\"inherit\",\"widgets\":[\n{}\n]}}", lines.join(",\n")))
}

fn within(what: &'static str, count: usize, limit: usize) -> Result<(), Mistake> {
    if count > limit { Err(Mistake::TooMany { what, count, limit }) } else { Ok(()) }
}

fn widgets(board: &Board) -> Result<Vec<Json>, Mistake> {
    let mut list = vec![];
    let mut y = 0;
    for row in board.rows.iter().filter(|row| !row.of_service) {
        let heading = Place { x: 0, y, width: 24, height: 1 };
        list.push(widget("text", heading, json!({ "markdown": format!("## {}", row.title) })));
        let (places, next) = place(&row.panels, y + 1);
        for (panel, place) in row.panels.iter().zip(places) {
            list.push(widget("metric", place, properties(panel)?));
        }
        y = next;
    }
    Ok(list)
}

fn widget(kind: &str, at: Place, properties: Json) -> Json {
    json!({ "type": kind, "x": at.x, "y": at.y, "width": at.width, "height": at.height, "properties": properties })
}

fn properties(panel: &Panel) -> Result<Json, Mistake> {
    let plans = panel.plans(false)?;
    let quantities = panel.quantities()?;
    let back = plans.iter().find_map(|plan| plan.back);
    let period = back.map_or(PERIOD, period_within);
    let mut metrics = vec![];
    for ((query, plan), quantity) in panel.queries.iter().zip(&plans).zip(&quantities) {
        let axis = if axis_unit(*quantity) == axis_unit(quantities[0]) { "left" } else { "right" };
        let label = legend(query.legend, |dimension| format!("${{!PROP('Dim.{dimension}')}}"));
        metrics.extend(rows(plan, &label, axis, period));
    }
    let mut properties = json!({
        "title": panel.title,
        "region": "${AWS::Region}",
        "metrics": metrics,
        "period": period,
        "view": match panel.kind {
            Kind::Graph => "timeSeries",
            Kind::Number => "singleValue",
            Kind::Gauge => "gauge",
            Kind::Table => "table",
        },
    });
    match panel.kind {
        Kind::Graph => {
            properties["stacked"] = json!(false);
            properties["yAxis"] =
                json!({ "left": { "min": 0, "label": axis_unit(quantities[0]), "showUnits": false } });
            if let Some(other) =
                quantities.iter().map(|other| axis_unit(*other)).find(|unit| *unit != axis_unit(quantities[0]))
            {
                properties["yAxis"]["right"] = json!({ "min": 0, "label": other, "showUnits": false });
            }
        }
        Kind::Gauge => {
            let max = if quantities[0] == Quantity::Percent { 100 } else { 1 };
            properties["yAxis"] = json!({ "left": { "min": 0, "max": max } });
        }
        Kind::Number => {
            properties["sparkline"] = json!(false);
            if quantities[0] == Quantity::Share {
                // Rounded, 0.9989 would be the objective of 0.999.
                properties["singleValueFullPrecision"] = json!(true);
            }
        }
        Kind::Table => {}
    }
    if !panel.thresholds.steps.is_empty() && matches!(panel.kind, Kind::Graph | Kind::Gauge) {
        properties["annotations"] = json!({ "horizontal": lines(&panel.thresholds) });
    }
    if let Some(hours) = back {
        properties["start"] = json!(back_by(hours));
    }
    Ok(properties)
}

/// A time before now, as ISO 8601 says it.
fn back_by(hours: u32) -> String {
    if hours.is_multiple_of(24) { format!("-P{}D", hours / 24) } else { format!("-PT{hours}H") }
}

/// Fine enough for a window of so many hours, and few enough points.
fn period_within(hours: u32) -> u32 {
    match hours {
        0..=1 => 60,
        2..=24 => 300,
        _ => 3_600,
    }
}

fn rows(plan: &Plan, label: &str, axis: &str, period: u32) -> Vec<Json> {
    let shown = plan.formula.is_none();
    let mut rows: Vec<Json> = plan.reads.iter().map(|read| row(read, shown, label, axis, period)).collect();
    if let Some(formula) = &plan.formula {
        let period = plan.reads.iter().find_map(|read| read.period).unwrap_or(period);
        rows.push(json!([{ "expression": formula, "label": label, "yAxis": axis, "period": period }]));
    }
    rows
}

fn row(read: &Read, shown: bool, label: &str, axis: &str, period: u32) -> Json {
    let namespace = read.namespace.unwrap_or("${MetricNamespace}");
    let period = read.period.unwrap_or(period);
    let mut rendering = json!({ "id": read.id, "visible": shown, "period": period });
    if shown {
        rendering["label"] = json!(label);
        rendering["yAxis"] = json!(axis);
    }
    if read.dimensions.iter().any(|(_, value)| *value == Value::Each) {
        rendering["expression"] = json!(search(read, namespace, period));
        return json!([rendering]);
    }
    rendering["stat"] = json!(read.statistic);
    let mut row = vec![json!(namespace), json!(read.metric)];
    for (name, value) in &read.dimensions {
        row.extend([json!(name), json!(exact(value))]);
    }
    row.push(rendering);
    Json::Array(row)
}

/// All series of exactly these dimensions.
fn search(read: &Read, namespace: &str, period: u32) -> String {
    let names: String = read.dimensions.iter().map(|(name, _)| format!(",\"{name}\"")).collect();
    let chosen: String = read
        .dimensions
        .iter()
        .filter(|(_, value)| *value != Value::Each)
        .map(|(name, value)| format!(" \"{name}\"=\"{}\"", exact(value)))
        .collect();
    let query = format!("{{\"{namespace}\"{names}}} MetricName=\"{}\"{chosen}", read.metric);
    format!("SEARCH('{query}', '{}', {period})", read.statistic)
}

fn exact(value: &Value) -> String {
    match value {
        Value::Exact(value) => value.clone(),
        Value::Of(Resource::Database) => "${DatabaseInstance}".to_owned(),
        Value::Of(Resource::Function(name) | Resource::Queue(name)) => format!("${{AWS::StackName}}-{name}"),
        // Rows of a service are left out, and a series for each value is searched.
        Value::RowsService | Value::Each => "*".to_owned(),
    }
}

fn lines(thresholds: &Thresholds) -> Vec<Json> {
    let colour = |colour| match colour {
        Colour::Green => "#2ca02c",
        Colour::Orange => "#ff7f0e",
        Colour::Red => "#d62728",
        Colour::Blue => "#1f77b4",
    };
    thresholds.steps.iter().map(|(from, to)| json!({ "value": from, "color": colour(*to) })).collect()
}

/// What stands at an axis: CloudWatch has no unit for what a formula comes to.
fn axis_unit(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Count => "Count",
        Quantity::PerSecond => "1/s",
        Quantity::BytesPerSecond => "Bytes/s",
        Quantity::Share => "Share (0 to 1)",
        Quantity::Times => "Times",
        Quantity::Percent => "%",
        Quantity::Milliseconds => "ms",
        Quantity::Minutes => "min",
        Quantity::Megabytes => "MB",
        Quantity::Bytes => "Bytes",
        Quantity::Seconds => "s",
        Quantity::Roubles => "RUB",
        Quantity::Number => "",
    }
}
