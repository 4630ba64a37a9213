//! Grafana's JSON of a dashboard, for either data source. (Schema version 39, of Grafana 11; newer ones read it.)

use serde_json::{Value as Json, json};

use crate::expression::{Mistake, Quantity, Resource, duration};
use crate::metric_math::{Plan, Read, Shape, Value};
use crate::panel::{Board, Colour, Kind, Panel, Place, Query, Row, Thresholds, legend, place};
use crate::promql;

/// Which store the panels ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Prometheus for what is ours, and CloudWatch for what AWS counts.
    Prometheus,
    /// CloudWatch for all.
    CloudWatch,
}

impl Flavour {
    /// As it stands in names.
    pub fn name(self) -> &'static str {
        match self {
            Flavour::Prometheus => "prometheus",
            Flavour::CloudWatch => "cloudwatch",
        }
    }
}

/// Seconds between two values of a series: the flusher's tick. Grafana takes `$__rate_interval` from it.
const STEP: &str = "1m";

/// The dashboard as Grafana imports and provisions it.
///
/// # Errors
///
/// The first mistake in it.
pub fn dashboard(board: &Board, flavour: Flavour) -> Result<Json, Mistake> {
    board.check()?;
    Ok(json!({
        "uid": uid(board.name, flavour),
        "title": format!("{} ({})", board.title, match flavour {
            Flavour::Prometheus => "Prometheus",
            Flavour::CloudWatch => "CloudWatch",
        }),
        "description": board.description,
        "tags": ["land-contracts", tag(flavour)],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": { "from": format!("now-{}", duration(board.hours)), "to": "now" },
        // Either asks CloudWatch for something, which costs.
        "refresh": "5m",
        "templating": { "list": variables(board, flavour) },
        "annotations": { "list": [of_grafana(), annotation(flavour)] },
        "links": [links(flavour)],
        "panels": panels(board, flavour)?,
    }))
}

/// Its stable id, at most 40 characters.
pub fn uid(name: &str, flavour: Flavour) -> String {
    format!("land-contracts-{name}-{}", flavour.name())
}

fn tag(flavour: Flavour) -> String {
    format!("land-contracts-{}", flavour.name())
}

/// To the other dashboards of the same store, with what is chosen here.
fn links(flavour: Flavour) -> Json {
    json!({
        "title": "Land contracts",
        "type": "dashboards",
        "icon": "external link",
        "tooltip": "",
        "url": "",
        "tags": [tag(flavour)],
        "asDropdown": false,
        "targetBlank": false,
        "includeVars": true,
        "keepTime": true,
    })
}

fn of_grafana() -> Json {
    json!({
        "name": "Annotations & Alerts",
        "builtIn": 1,
        "datasource": { "type": "grafana", "uid": "-- Grafana --" },
        "enable": true,
        "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)",
        "type": "dashboard",
    })
}

/// Marks on every graph: minutes with quarantined lines, or the stack's alarms.
fn annotation(flavour: Flavour) -> Json {
    match flavour {
        Flavour::Prometheus => json!({
            "name": "Lines quarantined",
            "datasource": source(flavour),
            "enable": true,
            "iconColor": "orange",
            "target": { "refId": "Anno", "expr": ANNOTATION, "interval": STEP },
            "titleFormat": "Lines quarantined",
            "textFormat": "of {{service}}",
        }),
        Flavour::CloudWatch => json!({
            "name": "Alarms",
            "datasource": source(flavour),
            "enable": true,
            "iconColor": "red",
            "target": {
                "queryMode": "Annotations",
                "refId": "Anno",
                "region": "default",
                "namespace": "",
                "metricName": "",
                "dimensions": {},
                "statistic": "Average",
                "period": "300",
                "prefixMatching": true,
                "actionPrefix": "",
                "alarmNamePrefix": "${stack}-",
            },
        }),
    }
}

/// What the Prometheus dashboards mark.
pub const ANNOTATION: &str = "sum by (service) (increase(\
    pipeline_lines_quarantined_total{environment=\"$environment\",service=~\"$service\"}[$__rate_interval])) > 0";

fn source(flavour: Flavour) -> Json {
    json!({ "type": flavour.name(), "uid": "${datasource}" })
}

/// For what is in CloudWatch only.
fn cloudwatch(flavour: Flavour) -> Json {
    let uid = match flavour {
        Flavour::Prometheus => "${cloudwatch}",
        Flavour::CloudWatch => "${datasource}",
    };
    json!({ "type": "cloudwatch", "uid": uid })
}

/// The variables at the top of a dashboard.
fn variables(board: &Board, flavour: Flavour) -> Vec<Json> {
    let data_source = |name: &str, label: &str, kind: &str| {
        json!({
            "type": "datasource", "name": name, "label": label, "query": kind, "refresh": 1, "regex": "", "hide": 0,
            "multi": false, "includeAll": false, "current": {}, "options": [], "skipUrlSync": false,
        })
    };
    let all = json!({ "text": ["All"], "value": ["$__all"] });
    let query = |name: &str, label: &str, query: Json| {
        let several = name == "service";
        let mut variable = json!({
            "type": "query", "name": name, "label": label, "datasource": source(flavour), "query": query,
            "refresh": 2, "regex": "", "sort": 1, "hide": 0, "options": [], "skipUrlSync": false,
            "multi": several, "includeAll": several, "current": if several { all.clone() } else { json!({}) },
        });
        // A metric may lack the dimension; whoever chose all wants to see it, too.
        if several && flavour == Flavour::Prometheus {
            variable["allValue"] = json!(".*");
        }
        variable
    };
    let text = |name: &str, label: &str, value: &str| {
        let option = json!({ "selected": true, "text": value, "value": value });
        json!({
            "type": "textbox", "name": name, "label": label, "query": value, "current": option, "options": [option],
            "hide": 0, "skipUrlSync": false,
        })
    };
    let mut list = match flavour {
        Flavour::Prometheus => {
            let label_values = |metric: &str, label: &str| json!({ "qryType": 1, "query": format!("label_values({metric}, {label})"), "refId": "Variable" });
            vec![
                data_source("datasource", "Prometheus", "prometheus"),
                query("environment", "Environment", label_values("log_entries_total", "environment")),
                query(
                    "service",
                    "Service",
                    label_values(r#"log_entries_total{environment="$environment"}"#, "service"),
                ),
            ]
        }
        Flavour::CloudWatch => vec![
            data_source("datasource", "CloudWatch", "cloudwatch"),
            text("namespace", "Namespace", "LandContracts"),
            query("service", "Service", dimension_values("$namespace", "log_entries", "service")),
        ],
    };
    let resources = board.resources();
    if flavour == Flavour::Prometheus && !resources.is_empty() {
        list.push(data_source("cloudwatch", "CloudWatch", "cloudwatch"));
        list.push(text("namespace", "Namespace", "LandContracts"));
    }
    if flavour == Flavour::CloudWatch || !resources.is_empty() {
        list.push(text("stack", "Stack", "land-contracts"));
    }
    // (The others are named after the stack.)
    if resources.contains(&Resource::Database) {
        list.push(text("database", "Database", "production-contract-db"));
    }
    list
}

/// CloudWatch's values of a dimension.
fn dimension_values(namespace: &str, metric: &str, dimension: &str) -> Json {
    json!({
        "queryType": "dimensionValues", "refId": "CloudWatchVariableQueryEditor-VariableQuery", "region": "default",
        "namespace": namespace, "metricName": metric, "dimensionKey": dimension, "dimensionFilters": {},
    })
}

fn panels(board: &Board, flavour: Flavour) -> Result<Vec<Json>, Mistake> {
    let mut list = vec![];
    let mut y = 0;
    for row in &board.rows {
        list.push(heading(row, y, list.len() + 1));
        let (places, next) = place(&row.panels, y + 1);
        for (panel, place) in row.panels.iter().zip(places) {
            let id = list.len() + 1;
            list.push(self::panel(panel, place, id, row.of_service, flavour)?);
        }
        y = next;
    }
    Ok(list)
}

fn heading(row: &Row, y: u32, id: usize) -> Json {
    let mut heading = json!({
        "type": "row", "id": id, "title": row.title, "collapsed": false, "panels": [],
        "gridPos": { "x": 0, "y": y, "w": 24, "h": 1 },
    });
    if row.of_service {
        heading["repeat"] = json!("service");
    }
    heading
}

fn panel(panel: &Panel, at: Place, id: usize, of_service: bool, flavour: Flavour) -> Result<Json, Mistake> {
    let plans = panel.plans(of_service)?;
    let mut targets = vec![];
    let mut stores = vec![];
    for ((query, plan), first) in panel.queries.iter().zip(&plans).zip('A'..='Z') {
        let only_there = !query.expression.is_in_prometheus()?;
        if flavour == Flavour::Prometheus && !only_there {
            targets.push(prometheus_target(query, panel.kind, first)?);
            stores.push(source(flavour));
        } else {
            let store = if only_there { cloudwatch(flavour) } else { source(flavour) };
            targets.extend(cloudwatch_targets(query, plan, first, &store));
            stores.push(store);
        }
    }
    stores.dedup();
    let store = match &stores[..] {
        [one] => one.clone(),
        _ => json!({ "type": "datasource", "uid": "-- Mixed --" }),
    };
    let mut panel_json = json!({
        "id": id,
        "type": kind(panel.kind),
        "title": panel.title,
        "description": panel.description,
        "datasource": store,
        "gridPos": { "x": at.x, "y": at.y, "w": at.width, "h": at.height },
        "interval": STEP,
        "targets": targets,
        "fieldConfig": field_config(panel, flavour)?,
        "options": options(panel.kind),
    });
    if panel.kind == Kind::Table {
        // One line a series, with its last value.
        panel_json["transformations"] = json!([
            { "id": "reduce", "options": { "reducers": ["lastNotNull"], "labelsToFields": false } },
            { "id": "sortBy", "options": { "fields": {}, "sort": [{ "field": "Last *", "desc": true }] } },
        ]);
    }
    if let (Flavour::CloudWatch, Some(hours)) = (flavour, plans.iter().find_map(|plan| plan.back)) {
        panel_json["timeFrom"] = json!(duration(hours));
        panel_json["hideTimeOverride"] = json!(true);
    }
    Ok(panel_json)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Graph => "timeseries",
        Kind::Number => "stat",
        Kind::Gauge => "gauge",
        Kind::Table => "table",
    }
}

fn prometheus_target(query: &Query, kind: Kind, name: char) -> Result<Json, Mistake> {
    let graph = kind.shape() == Shape::Graph;
    Ok(json!({
        "refId": name.to_string(),
        "datasource": source(Flavour::Prometheus),
        "editorMode": "code",
        "expr": promql::render(&query.expression)?,
        "legendFormat": legend(query.legend, |dimension| format!("{{{{{dimension}}}}}")),
        "range": graph,
        "instant": !graph,
        "interval": STEP,
    }))
}

/// A target for each metric that is read, and one for the formula; only what is shown is not hidden.
fn cloudwatch_targets(query: &Query, plan: &Plan, name: char, store: &Json) -> Vec<Json> {
    let label = legend(query.legend, |dimension| format!("${{PROP('Dim.{dimension}')}}"));
    let mut targets: Vec<Json> = plan
        .reads
        .iter()
        .enumerate()
        .map(|(number, read)| {
            let shown = plan.formula.is_none();
            let reference = if shown { name.to_string() } else { format!("{name}{}", number + 1) };
            cloudwatch_target(read, &reference, !shown, &label, store)
        })
        .collect();
    if let Some(formula) = &plan.formula {
        targets.push(json!({
            "refId": name.to_string(),
            "id": name.to_ascii_lowercase().to_string(),
            "datasource": store,
            "queryMode": "Metrics",
            "metricQueryType": 0,
            "metricEditorMode": 1,
            "expression": formula,
            "label": label,
            "hide": false,
            "region": "default",
            "namespace": "",
            "metricName": "",
            "dimensions": {},
            "matchExact": true,
            "statistic": "Average",
            "period": plan.reads.iter().find_map(|read| read.period).map(|seconds| seconds.to_string()).unwrap_or_default(),
        }));
    }
    targets
}

fn cloudwatch_target(read: &Read, reference: &str, hide: bool, label: &str, store: &Json) -> Json {
    let dimensions: serde_json::Map<String, Json> =
        read.dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(dimension(name, value)))).collect();
    json!({
        "refId": reference,
        "id": read.id,
        "datasource": store,
        "queryMode": "Metrics",
        "metricQueryType": 0,
        "metricEditorMode": 0,
        "expression": "",
        "label": label,
        "hide": hide,
        "region": "default",
        "namespace": read.namespace.unwrap_or("$namespace"),
        "metricName": read.metric,
        "dimensions": dimensions,
        "matchExact": true,
        "statistic": read.statistic,
        "period": read.period.map(|seconds| seconds.to_string()).unwrap_or_default(),
    })
}

fn dimension(name: &str, value: &Value) -> String {
    match value {
        Value::Exact(value) => value.clone(),
        Value::RowsService => "$service".to_owned(),
        // Lines by service are those that are chosen.
        Value::Each if name == "service" => "$service".to_owned(),
        Value::Each => "*".to_owned(),
        Value::Of(Resource::Database) => "$database".to_owned(),
        Value::Of(Resource::Function(name) | Resource::Queue(name)) => format!("${{stack}}-{name}"),
    }
}

/// Grafana's unit, and what a value in the registry's unit is multiplied by for it.
fn unit(quantity: Quantity, flavour: Flavour) -> (&'static str, f64) {
    let prometheus = flavour == Flavour::Prometheus;
    match quantity {
        Quantity::Count | Quantity::Number => ("short", 1.0),
        Quantity::PerSecond => ("cps", 1.0),
        Quantity::BytesPerSecond => ("Bps", 1.0),
        Quantity::Share => ("percentunit", 1.0),
        Quantity::Times => ("suffix:x", 1.0),
        Quantity::Percent => ("percent", 1.0),
        Quantity::Milliseconds if prometheus => ("s", 0.001),
        Quantity::Milliseconds => ("ms", 1.0),
        Quantity::Minutes if prometheus => ("s", 60.0),
        Quantity::Minutes => ("m", 1.0),
        Quantity::Megabytes if prometheus => ("decbytes", 1e6),
        Quantity::Megabytes => ("decmbytes", 1.0),
        Quantity::Bytes => ("decbytes", 1.0),
        Quantity::Seconds => ("s", 1.0),
        Quantity::Roubles => ("currencyRUB", 1.0),
    }
}

fn colour(colour: Colour) -> &'static str {
    match colour {
        Colour::Green => "green",
        Colour::Orange => "orange",
        Colour::Red => "red",
        Colour::Blue => "blue",
    }
}

fn thresholds(thresholds: &Thresholds, scale: f64) -> Json {
    let base = json!({ "color": colour(thresholds.base), "value": null });
    let steps = thresholds.steps.iter().map(|(from, to)| json!({ "color": colour(*to), "value": from * scale }));
    json!({ "mode": "absolute", "steps": std::iter::once(base).chain(steps).collect::<Vec<_>>() })
}

fn field_config(panel: &Panel, flavour: Flavour) -> Result<Json, Mistake> {
    let quantities = panel.quantities()?;
    // What is in CloudWatch only comes from there in both.
    let units: Vec<(&str, f64)> = panel
        .queries
        .iter()
        .zip(&quantities)
        .map(|(query, quantity)| {
            let flavour = if query.expression.is_in_prometheus()? { flavour } else { Flavour::CloudWatch };
            Ok(unit(*quantity, flavour))
        })
        .collect::<Result<_, Mistake>>()?;
    let (first, scale) = units[0];
    let mut defaults = json!({
        "unit": first,
        "thresholds": thresholds(&panel.thresholds, scale),
        "color": { "mode": if panel.kind == Kind::Graph { "palette-classic" } else { "thresholds" } },
        "noValue": "no data",
    });
    if quantities[0] == Quantity::Share {
        // An objective of 99.9 % is missed at 99.89 %.
        defaults["decimals"] = json!(2);
    }
    if panel.kind == Kind::Graph {
        defaults["min"] = json!(0);
        defaults["custom"] = json!({
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 8,
            "showPoints": "auto",
            "spanNulls": 180_000,
            "thresholdsStyle": { "mode": if panel.thresholds.steps.is_empty() { "off" } else { "line" } },
        });
    }
    if panel.kind == Kind::Gauge {
        defaults["min"] = json!(0);
        defaults["max"] = json!(if quantities[0] == Quantity::Percent { 100 } else { 1 });
    }
    let overrides: Vec<Json> = units
        .iter()
        .zip('A'..='Z')
        .filter(|((unit, _), _)| *unit != first)
        .map(|((unit, _), name)| {
            json!({
                "matcher": { "id": "byFrameRefID", "options": name.to_string() },
                "properties": [
                    { "id": "unit", "value": unit },
                    { "id": "custom.axisPlacement", "value": "right" },
                ],
            })
        })
        .collect();
    Ok(json!({ "defaults": defaults, "overrides": overrides }))
}

fn options(kind: Kind) -> Json {
    let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    match kind {
        Kind::Graph => json!({
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::Number => json!({
            "reduceOptions": last,
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
        }),
        Kind::Gauge => json!({
            "reduceOptions": last,
            "orientation": "auto",
            "showThresholdLabels": false,
            "showThresholdMarkers": true,
        }),
        Kind::Table => json!({ "showHeader": true, "cellHeight": "sm" }),
    }
}
