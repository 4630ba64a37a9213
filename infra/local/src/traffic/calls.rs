//! The lines that every service writes alike: a request answered, a query, a call to the outside.
//!
//! Their details are the conventions by which the pipeline derives metrics.

use super::postgresql;
use super::record::{Category, Failure, Level, Record};
use super::service::Service;
use super::stage::Stage;
use super::visit::Visit;

const SERVER_ERROR: Failure = Failure {
    kind: "UpstreamUnavailable",
    message: "no connection to upstream within 50 ms",
    traceback: "at Upstream.connect (src/upstream.rs:88)\nat Router.answer (src/router.rs:41)",
};

/// The service answered a request.
pub fn answer(
    stage: &mut Stage,
    visit: &mut Visit,
    service: Service,
    request: (&'static str, String),
    status_code: i64,
    duration_ms: f64,
) {
    let (method, endpoint) = request;
    visit.wait(3);
    let record = if service == Service::Document {
        // The Python logger has one method for calls in and out, and one level for both.
        Record::new(Level::Info, Category::ExternalApi, format!("API call: {method} {endpoint}"))
            .with("method", method)
            .with("url", endpoint)
            .with("status_code", status_code)
            .with("duration_ms", duration_ms)
    } else {
        let record = Record::new(level(status_code), Category::System, "Request answered")
            .with("method", method)
            .with("endpoint", endpoint)
            .with("status_code", status_code);
        if status_code >= 500 { record.because(SERVER_ERROR) } else { record }
    };
    stage.log(service, visit, &record.took(duration_ms));
    stage.count("api_requests");
}

fn level(status_code: i64) -> Level {
    match status_code {
        ..400 => Level::Info,
        400..500 => Level::Warning,
        _ => Level::Error,
    }
}

/// The service asked the database. Slow statements, and a few others, stand in the server's log too.
pub fn query(
    stage: &mut Stage,
    visit: &mut Visit,
    service: Service,
    query: (&'static str, &'static str),
    duration_ms: f64,
) {
    let (query_type, table) = query;
    visit.wait(4);
    let rows = if query_type == "SELECT" { stage.chance.between(0, 40) } else { 1 };
    let message = format!("Database query: {query_type} on {table}");
    let record = Record::new(Level::Debug, Category::Database, message)
        .with("query_type", query_type)
        .with("table", table)
        .with("rows_affected", rows);
    stage.log(service, visit, &record.took(duration_ms));
    if duration_ms > 250.0 || stage.chance.happens(0.06) {
        postgresql::statement(stage, visit, query, duration_ms);
    }
}

/// The service called one outside the platform.
pub fn call(
    stage: &mut Stage,
    visit: &mut Visit,
    service: Service,
    to: (&'static str, String),
    status_code: i64,
    duration_ms: f64,
) {
    let (name, endpoint) = to;
    visit.wait(5);
    let record = Record::new(level(status_code), Category::ExternalApi, "External call answered")
        .with("service", name)
        .with("endpoint", endpoint)
        .with("status_code", status_code);
    stage.log(service, visit, &record.took(duration_ms));
    stage.count("external_api_calls");
}

/// A business event, to which details may be added.
pub fn business(message: impl Into<std::borrow::Cow<'static, str>>, event: &'static str) -> Record {
    Record::new(Level::Info, Category::BusinessLogic, message).with("event", event)
}
