//! What is shown: the one place where dashboards are defined.

use crate::expression::{
    Expression, Resource, Series, Window, but, count, highest, level, mean, quantile, rate, sum, within,
};
use crate::panel::{Board, Colour, Kind, Panel, Row, Thresholds};

/// Share of requests that are to be answered without an error of ours.
pub const AVAILABILITY: f64 = 0.999;
/// Share of requests that are to be answered within [`LATENCY_MILLIS`].
pub const LATENCY: f64 = 0.99;
/// Milliseconds that an answer may take, for the objective of latency.
pub const LATENCY_MILLIS: f64 = 1_000.0;
/// Days that the objectives are about.
pub const OBJECTIVE_DAYS: u32 = 30;

const OBJECTIVE: Window = Window::Hours(24 * OBJECTIVE_DAYS);
const LAST_HOUR: Window = Window::Hours(1);
const LAST_SIX_HOURS: Window = Window::Hours(6);

/// Sizes of panels: columns and grid rows.
const HALF: (u32, u32) = (12, 8);
const THIRD: (u32, u32) = (8, 8);
const QUARTER: (u32, u32) = (6, 8);
const TILE: (u32, u32) = (4, 4);

/// The functions of the template, by what they are called after the stack's name.
pub const FUNCTIONS: [&str; 9] = [
    "log-processor",
    "log-processor-kinesis",
    "event-recorder",
    "metric-flusher",
    "alert-evaluator",
    "alert-evaluator-events",
    "slack-notifier",
    "daily-reporter",
    "trace-forwarder",
];

/// Those that tell how old it is what they work on: `function_batch_age`.
const TELL_AGE: &[&str] = &[
    "log-processor",
    "log-processor-kinesis",
    "event-recorder",
    "metric-flusher",
    "alert-evaluator",
    "alert-evaluator-events",
    "trace-forwarder",
];

/// Those that put aside what they can not read: `function_quarantined`.
const QUARANTINE: &[&str] = &[
    "log-processor",
    "log-processor-kinesis",
    "event-recorder",
    "metric-flusher",
    "alert-evaluator",
    "alert-evaluator-events",
    "trace-forwarder",
];

/// Every dashboard.
pub fn all() -> Vec<Board> {
    vec![overview(), services()]
}

/// The source document's dashboard, and around it how the platform keeps its objectives, what its business does, and
/// whether this system itself is well.
pub fn overview() -> Board {
    Board {
        name: "overview",
        title: "Land contracts: overview",
        description: "Service levels, requests, business and the health of the monitoring pipeline.",
        hours: 6,
        rows: vec![
            Row { title: "Service levels", of_service: false, panels: service_levels() },
            Row { title: "Requests", of_service: false, panels: requests() },
            Row { title: "Business", of_service: false, panels: business() },
            Row { title: "Pipeline health", of_service: false, panels: pipeline() },
        ],
    }
}

/// Each chosen service by itself.
pub fn services() -> Board {
    Board {
        name: "services",
        title: "Land contracts: services",
        description: "A row for each chosen service: its requests, database, calls, operations and logs.",
        hours: 6,
        rows: vec![Row { title: "$service", of_service: true, panels: one_service() }],
    }
}

/// The share of requests that failed, in a window.
fn failed(window: Window) -> Expression {
    count("api_requests", window).status_class(5).or_zero() / count("api_requests", window)
}

/// The share of requests that were answered in time, in a window.
fn in_time(window: Window) -> Expression {
    within("api_request_duration", LATENCY_MILLIS, window) / count("api_request_duration", window)
}

/// What an objective leaves to fail, without the dust of binary fractions.
fn budget(objective: f64) -> f64 {
    ((1.0 - objective) * 1e6).round() / 1e6
}

fn service_levels() -> Vec<Panel> {
    let left = |title, description, part: Expression, objective| {
        Panel::new(Kind::Gauge, title, TILE, description)
            .query("left", but(1.0, part / budget(objective)))
            .thresholds(Thresholds::above(0.1, 0.5))
    };
    // 14.4 times the budget for an hour, or 6 times for six hours, are a page.
    let burning = |title, description, window, red| {
        Panel::new(Kind::Number, title, TILE, description)
            .query("burn rate", failed(window) / budget(AVAILABILITY))
            .thresholds(Thresholds::below(1.0, red))
    };
    vec![
        Panel::new(
            Kind::Number,
            "Availability, 30 days",
            TILE,
            "Share of requests that were not answered 5xx. The objective is 99.9 %.",
        )
        .query("availability", but(1.0, failed(OBJECTIVE)))
        .thresholds(Thresholds::above(AVAILABILITY - budget(AVAILABILITY), AVAILABILITY)),
        left(
            "Error budget left, 30 days",
            "What is left of the 0.1 % of requests that may fail. Below nothing, the objective is missed.",
            failed(OBJECTIVE),
            AVAILABILITY,
        ),
        burning(
            "Burn rate, 1 hour",
            "How many times as fast as the objective allows requests fail. 14.4 use 2 % of the budget in an hour.",
            LAST_HOUR,
            14.4,
        ),
        burning(
            "Burn rate, 6 hours",
            "How many times as fast as the objective allows requests fail. 6 use 5 % of the budget in six hours.",
            LAST_SIX_HOURS,
            6.0,
        ),
        Panel::new(
            Kind::Number,
            "Answered within 1 s, 30 days",
            TILE,
            "Share of requests that were answered within a second. The objective is 99 %.",
        )
        .query("in time", in_time(OBJECTIVE))
        .thresholds(Thresholds::above(LATENCY - budget(LATENCY), LATENCY)),
        left(
            "Latency budget left, 30 days",
            "What is left of the 1 % of requests that may take longer than a second.",
            but(1.0, in_time(OBJECTIVE)),
            LATENCY,
        ),
        Panel::new(
            Kind::Graph,
            "Burn rates",
            (24, 6),
            "How fast the budgets burn; at 1 they last exactly 30 days. In CloudWatch the windows are whole hours of \
             the clock.",
        )
        .query("errors, 1 hour", failed(LAST_HOUR) / budget(AVAILABILITY))
        .query("errors, 6 hours", failed(LAST_SIX_HOURS) / budget(AVAILABILITY))
        .query("latency, 1 hour", but(1.0, in_time(LAST_HOUR)) / budget(LATENCY))
        .thresholds(Thresholds::below(1.0, 14.4)),
    ]
}

/// The six panels of the source document (its section 5.1), corrected.
fn requests() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Graph, "Request Rate", HALF, "Requests that each service answers in a second.")
            .query("{service}", rate("api_requests").by(&["service"])),
        Panel::new(
            Kind::Graph,
            "Response Time",
            HALF,
            "How long answers take. In CloudWatch that of all services; those by themselves are on the other dashboard.",
        )
        .query("95th percentile", quantile("api_request_duration", 0.95))
        .query("50th percentile", quantile("api_request_duration", 0.5))
        .thresholds(Thresholds::below(LATENCY_MILLIS, 5_000.0)),
        Panel::new(
            Kind::Graph,
            "Error Rate",
            HALF,
            "Requests answered 5xx by all requests. Above 5 % an alert fires. (CloudWatch: 500 to 511.)",
        )
        .query("Error Rate", rate("api_requests").status_class(5).or_zero() / rate("api_requests"))
        .thresholds(Thresholds::below(0.02, 0.05)),
        Panel::new(Kind::Number, "Active Users", QUARTER, "Users who are active now.")
            .query("Active Users", highest("active_users")),
        Panel::new(Kind::Number, "Contracts Created", QUARTER, "Contracts created in the last hour.")
            .query("Contracts per Hour", count("contracts_created", LAST_HOUR).or_zero()),
        Panel::new(
            Kind::Graph,
            "Database Performance",
            (24, 8),
            "The average time of a query as services see it, and the connections open to the database. Above 75 \
             connections an alert fires.",
        )
        .query("Average Query Time", mean("database_query_duration"))
        .query("Connections", level("database_connections").of(Resource::Database)),
    ]
}

fn business() -> Vec<Panel> {
    let tile = |title, description, metric| {
        Panel::new(Kind::Number, title, TILE, description).query("shown", count(metric, Window::Shown).or_zero())
    };
    vec![
        tile("Registrations", "Users who registered in the time shown.", "user_registrations"),
        tile("Contracts created", "In the time shown.", "contracts_created"),
        tile("Contracts signed", "In the time shown.", "contracts_signed"),
        Panel::new(Kind::Number, "Value of contracts", TILE, "Prices in the contracts created in the time shown.")
            .query("value", sum("contract_value", Window::Shown).or_zero()),
        tile("Documents", "Documents uploaded in the time shown.", "documents_uploaded"),
        Panel::new(Kind::Gauge, "Conversion", TILE, "Visitors who end up with a contract.")
            .query("conversion", level("conversion_rate")),
        Panel::new(
            Kind::Graph,
            "Contracts",
            THIRD,
            "Contracts created and signed in the hour up to each point, and those that the platform says were created \
             since midnight.",
        )
        .query("created", count("contracts_created", LAST_HOUR).or_zero())
        .query("signed", count("contracts_signed", LAST_HOUR).or_zero())
        .query("since midnight", highest("daily_contracts")),
        Panel::new(
            Kind::Graph,
            "Contracts that could not be created",
            THIRD,
            "In the hour up to each point. More than 3 in ten minutes fire an alert.",
        )
        .query("failed", count("contract_creation_errors", LAST_HOUR).or_zero())
        .thresholds(Thresholds { base: Colour::Green, steps: vec![(1.0, Colour::Orange)] }),
        Panel::new(Kind::Graph, "Signing", THIRD, "From opening a contract to its signature.")
            .query("half of them", quantile("contract_signing_duration", 0.5))
            .query("95 of 100", quantile("contract_signing_duration", 0.95)),
        Panel::new(Kind::Graph, "Registrations by role", THIRD, "In the hour up to each point.")
            .query("{role}", count("user_registrations", LAST_HOUR).by(&["role"])),
        Panel::new(Kind::Graph, "Documents by type", THIRD, "In the hour up to each point.")
            .query("{type}", count("documents_uploaded", LAST_HOUR).by(&["type"])),
        Panel::new(Kind::Graph, "Sizes and sessions", THIRD, "The average document, and the average session.")
            .query("document", mean("document_size"))
            .query("session", mean("user_session_duration")),
    ]
}

fn pipeline() -> Vec<Panel> {
    let lines = |metric| rate(metric).or_zero();
    let shown = |metric| count(metric, Window::Shown).or_zero();
    let none = || Thresholds { base: Colour::Green, steps: vec![(1.0, Colour::Red)] };
    vec![
        Panel::new(
            Kind::Graph,
            "Log lines",
            HALF,
            "Lines received are archived, quarantined or filtered; nothing else can become of them.",
        )
        .query("received", rate("pipeline_lines_received"))
        .query("archived", lines("pipeline_lines_archived"))
        .query("quarantined", lines("pipeline_lines_quarantined"))
        .query("filtered", lines("pipeline_lines_filtered")),
        Panel::new(Kind::Graph, "Log lines by level", HALF, "Lines archived in a second.")
            .query("{level}", rate("log_entries").by(&["level"])),
        Panel::new(
            Kind::Number,
            "Lines accounted for",
            TILE,
            "Archived, quarantined and filtered by received, in the time shown. Not 100 %: look for a batch that is \
             being tried again.",
        )
        .query(
            "accounted for",
            (shown("pipeline_lines_archived") + shown("pipeline_lines_quarantined") + shown("pipeline_lines_filtered"))
                / count("pipeline_lines_received", Window::Shown),
        )
        .thresholds(Thresholds::above(0.98, 0.99)),
        Panel::new(
            Kind::Number,
            "Quarantined",
            TILE,
            "Lines that could not be read, in the time shown. They are kept: `ops replay` sends them again.",
        )
        .query("lines", shown("pipeline_lines_quarantined"))
        .thresholds(none()),
        Panel::new(
            Kind::Number,
            "Points folded",
            TILE,
            "Points whose dimensions were folded into `other`: some name has too many values.",
        )
        .query("folded", shown("pipeline_series_overflow") + shown("telemetry_series_overflow"))
        .thresholds(none()),
        Panel::new(Kind::Number, "Values refused", TILE, "Values that no metric can hold, left out.")
            .query("refused", shown("pipeline_values_refused") + shown("telemetry_values_refused"))
            .thresholds(none()),
        Panel::new(Kind::Number, "Lines dropped", TILE, "Lines that services had no room for in their buffers.")
            .query("dropped", shown("telemetry_lines_dropped"))
            .thresholds(none()),
        Panel::new(
            Kind::Number,
            "Security events",
            TILE,
            "Security events in the time shown, failed logins among them.",
        )
        .query("events", shown("security_events")),
        of_functions("Failed runs", "Runs that failed; a time-out or a crash, too.", &FUNCTIONS, |function| {
            count("lambda_errors", Window::Point).of(function)
        }),
        of_functions("Run time", "The 95th percentile of each function's runs.", &FUNCTIONS, |function| {
            quantile("function_duration", 0.95).of(function)
        }),
        of_functions(
            "Age of batches",
            "How old the newest is of what a run takes in, in 95 of 100 runs: how late the archive, metrics, alerts \
             and traces are.",
            TELL_AGE,
            |function| quantile("function_batch_age", 0.95).of(function),
        ),
        of_functions(
            "Quarantined by functions",
            "Lines, events, spans and metrics kept aside.",
            QUARANTINE,
            |function| count("function_quarantined", Window::Point).of(function),
        ),
        of_functions(
            "Retries",
            "Calls to AWS and to other targets that were tried again, and messages that came again.",
            &FUNCTIONS,
            |function| count("function_retries", Window::Point).of(function),
        ),
        Panel::new(
            Kind::Graph,
            "Bytes received",
            THIRD,
            "Bytes of log messages in a second: what most of the costs follow.",
        )
        .query("bytes", rate("pipeline_bytes_received")),
        Panel::new(Kind::Graph, "Queues", THIRD, "How long the oldest event has waited, and what was given up.")
            .query("oldest event", highest("queue_oldest_message_age").of(Resource::Queue("events")))
            .query("dead events", highest("queue_messages").of(Resource::Queue("event-dead-letters")))
            .query("dead letters", highest("queue_messages").of(Resource::Queue("dead-letters"))),
    ]
}

/// A line for each of `functions`: those that tell the figure. A line that can never be drawn would look like all is
/// well, and its metric is asked for all the same.
fn of_functions(
    title: &'static str,
    description: &'static str,
    functions: &[&'static str],
    figure: fn(Resource) -> Series,
) -> Panel {
    functions.iter().fold(Panel::new(Kind::Graph, title, THIRD, description), |panel, function| {
        panel.query(function, figure(Resource::Function(function)))
    })
}

fn one_service() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Graph, "Requests by endpoint", THIRD, "Answered in a second.")
            .query("{endpoint}", rate("api_request_duration").by(&["endpoint"])),
        Panel::new(Kind::Graph, "Response time", THIRD, "Of all its endpoints.")
            .query("99th percentile", quantile("api_request_duration", 0.99))
            .query("95th percentile", quantile("api_request_duration", 0.95))
            .query("50th percentile", quantile("api_request_duration", 0.5))
            .thresholds(Thresholds::below(LATENCY_MILLIS, 5_000.0)),
        Panel::new(Kind::Graph, "Error rate", THIRD, "Requests answered 5xx by all requests.")
            .query("errors", rate("api_requests").status_class(5).or_zero() / rate("api_requests"))
            .thresholds(Thresholds::below(0.02, 0.05)),
        Panel::new(Kind::Table, "Slow endpoints", THIRD, "The 95th percentile of each, now.")
            .query("{endpoint}", quantile("api_request_duration", 0.95).by(&["endpoint"]))
            .thresholds(Thresholds::below(LATENCY_MILLIS, 5_000.0)),
        Panel::new(Kind::Graph, "Answers by status", THIRD, "In a second.")
            .query("{status_code}", rate("api_requests").by(&["status_code"])),
        Panel::new(Kind::Graph, "Database queries", THIRD, "The 95th percentile by table.")
            .query("{table}", quantile("database_query_duration", 0.95).by(&["table"])),
        Panel::new(Kind::Graph, "Rows", THIRD, "Rows that a query returns or changes, on average.")
            .query("rows", mean("database_rows_affected")),
        Panel::new(Kind::Graph, "Calls to others", THIRD, "How many in a second, and how long 95 of 100 take.")
            .query("calls", rate("external_api_calls"))
            .query("95th percentile", quantile("external_api_duration", 0.95)),
        Panel::new(Kind::Graph, "Operations", THIRD, "The 95th percentile of each, of those that failed, too.")
            .query("{operation}", quantile("operation_duration", 0.95).by(&["operation"])),
        Panel::new(Kind::Graph, "Operations ended", THIRD, "In a second, however they ended.")
            .query("{operation}", rate("operations").by(&["operation"])),
        Panel::new(Kind::Graph, "CPU, memory, disk", THIRD, "In use. Above 80, 85 and 90 % alerts fire.")
            .query("CPU", level("cpu_usage_percent"))
            .query("memory", level("memory_usage_percent"))
            .query("disk", level("disk_usage_percent"))
            .thresholds(Thresholds::below(80.0, 90.0)),
        Panel::new(Kind::Graph, "Log lines by level", THIRD, "Archived in a second.")
            .query("{level}", rate("log_entries").by(&["level"])),
        Panel::new(Kind::Graph, "Slow and suspicious", THIRD, "Lines in the hour up to each point.")
            .query("slower than 5 s", count("performance_issues", LAST_HOUR).or_zero())
            .query("security events", count("security_events", LAST_HOUR).or_zero()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_dashboard_is_as_the_registry_says() {
        for board in all() {
            board.check().unwrap_or_else(|mistake| {
                panic!(
                    "{mistake}: {}",
                    std::error::Error::source(&mistake).map(ToString::to_string).unwrap_or_default()
                )
            });
        }
    }

    #[test]
    fn the_source_documents_panels_stand_where_they_stood() {
        let (places, _) = crate::panel::place(&requests(), 0);
        let found: Vec<_> =
            requests().iter().zip(places).map(|(panel, at)| (panel.title, (at.x, at.y, at.width, at.height))).collect();
        assert_eq!(
            found,
            [
                ("Request Rate", (0, 0, 12, 8)),
                ("Response Time", (12, 0, 12, 8)),
                ("Error Rate", (0, 8, 12, 8)),
                ("Active Users", (12, 8, 6, 8)),
                ("Contracts Created", (18, 8, 6, 8)),
                ("Database Performance", (0, 16, 24, 8)),
            ]
        );
    }

    #[test]
    fn names_are_unique_and_every_panel_says_what_it_is() {
        let boards = all();
        let names: BTreeSet<_> = boards.iter().map(|board| board.name).collect();
        assert_eq!(names.len(), boards.len());
        for row in boards.iter().flat_map(|board| &board.rows) {
            let titles: BTreeSet<_> = row.panels.iter().map(|panel| panel.title).collect();
            assert_eq!(titles.len(), row.panels.len(), "{}", row.title);
            for panel in &row.panels {
                assert!(panel.description.ends_with('.') || panel.description.ends_with(')'), "{}", panel.title);
                let legends: BTreeSet<_> = panel.queries.iter().map(|query| query.legend).collect();
                assert_eq!(legends.len(), panel.queries.len(), "{}", panel.title);
                for query in &panel.queries {
                    for series in query.expression.series() {
                        let named = series.by.iter().all(|name| query.legend.contains(&format!("{{{name}}}")));
                        assert!(named, "{}: `{}` does not tell {:?} apart", panel.title, query.legend, series.by);
                    }
                }
            }
        }
    }
}
