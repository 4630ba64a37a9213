//! The table itself. A row is a metric; what it says is explained in the parent module.

use super::{Definition, Exposition, Foreign, Kind, Source, Unit};

/// Metrics that AWS emits: those that rules, alarms and dashboards read.
pub const FOREIGN: &[Foreign] = &[
    Foreign {
        name: "database_connections",
        namespace: "AWS/RDS",
        metric: "DatabaseConnections",
        kind: Kind::Gauge,
        unit: Unit::Count,
        dimension: "DBInstanceIdentifier",
        help: "Connections open to a database instance.",
    },
    Foreign {
        name: "queue_messages",
        namespace: "AWS/SQS",
        metric: "ApproximateNumberOfMessagesVisible",
        kind: Kind::Gauge,
        unit: Unit::Count,
        dimension: "QueueName",
        help: "Messages that wait in a queue.",
    },
    Foreign {
        name: "queue_oldest_message_age",
        namespace: "AWS/SQS",
        metric: "ApproximateAgeOfOldestMessage",
        kind: Kind::Gauge,
        unit: Unit::Seconds,
        dimension: "QueueName",
        help: "Age of the oldest message in a queue.",
    },
    Foreign {
        name: "lambda_invocations",
        namespace: "AWS/Lambda",
        metric: "Invocations",
        kind: Kind::Counter,
        unit: Unit::Count,
        dimension: "FunctionName",
        help: "Invocations of a function, also those that failed.",
    },
    Foreign {
        name: "lambda_errors",
        namespace: "AWS/Lambda",
        metric: "Errors",
        kind: Kind::Counter,
        unit: Unit::Count,
        dimension: "FunctionName",
        help: "Invocations that failed, also for a time-out or a crash.",
    },
    Foreign {
        name: "lambda_iterator_age",
        namespace: "AWS/Lambda",
        metric: "IteratorAge",
        kind: Kind::Timer,
        unit: Unit::Milliseconds,
        dimension: "FunctionName",
        help: "Age of the last record that a function took from its stream.",
    },
    Foreign {
        name: "lambda_delivery_failures",
        namespace: "AWS/Lambda",
        metric: "DestinationDeliveryFailures",
        kind: Kind::Counter,
        unit: Unit::Count,
        dimension: "FunctionName",
        help: "Failed events that did not reach the dead letter queue either.",
    },
];

const BY_SERVICE: &[&[&str]] = &[&[], &["service"]];
/// No roll-up over all functions: it would cost as much as one more function, and tell nothing.
const BY_FUNCTION: &[&[&str]] = &[&["function"]];

/// As it is called and counted everywhere else.
const AS_IT_IS: Exposition = Exposition { suffix: "", scale: 1.0, buckets: &[] };
const TOTAL: Exposition = Exposition { suffix: "_total", scale: 1.0, buckets: &[] };

/// Milliseconds to seconds.
const fn seconds(buckets: &'static [f64]) -> Exposition {
    Exposition { suffix: "_seconds", scale: 0.001, buckets }
}

/// Requests and calls; 5 s is where an alert begins.
const REQUEST_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const QUERY_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From a function's call to the longest run of one, 15 minutes.
const OPERATION_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];
/// From at once to what Lambda keeps an event for.
const AGE_SECONDS: &[f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 21_600.0];
/// People at work: from half a minute to three days.
const SIGNING_SECONDS: &[f64] = &[30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0, 259_200.0];
const ROUBLES: Exposition =
    Exposition { suffix: "_roubles", scale: 1.0, buckets: &[1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8] };
/// Decimal megabytes to bytes.
const MEGABYTES: Exposition = Exposition {
    suffix: "_bytes",
    scale: 1e6,
    buckets: &[1e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8],
};
/// Minutes to seconds.
const MINUTES: Exposition = Exposition {
    suffix: "_seconds",
    scale: 60.0,
    buckets: &[60.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0],
};
const ROWS: Exposition = Exposition {
    suffix: "",
    scale: 1.0,
    buckets: &[0.0, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 10_000.0, 100_000.0],
};

const fn counter(
    name: &'static str,
    dimensions: &'static [&'static str],
    sets: &'static [&'static [&'static str]],
    help: &'static str,
) -> Definition {
    Definition {
        name,
        kind: Kind::Counter,
        unit: Unit::Count,
        dimensions,
        sets,
        source: Source::Services,
        exposition: TOTAL,
        help,
    }
}

const fn timer(
    name: &'static str,
    buckets: &'static [f64],
    dimensions: &'static [&'static str],
    sets: &'static [&'static [&'static str]],
    help: &'static str,
) -> Definition {
    let exposition = seconds(buckets);
    Definition {
        name,
        kind: Kind::Timer,
        unit: Unit::Milliseconds,
        dimensions,
        sets,
        source: Source::Services,
        exposition,
        help,
    }
}

const fn histogram(
    name: &'static str,
    unit: Unit,
    exposition: Exposition,
    dimensions: &'static [&'static str],
    sets: &'static [&'static [&'static str]],
    help: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Histogram, unit, dimensions, sets, source: Source::Services, exposition, help }
}

const fn gauge(
    name: &'static str,
    unit: Unit,
    dimensions: &'static [&'static str],
    sets: &'static [&'static [&'static str]],
    help: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Gauge, unit, dimensions, sets, source: Source::Services, exposition: AS_IT_IS, help }
}

/// A count that a function keeps of its own runs.
const fn own_counter(name: &'static str, help: &'static str) -> Definition {
    by(Source::Functions, counter(name, &["function"], BY_FUNCTION, help))
}

/// The same metric, counted by `source`.
const fn by(source: Source, metric: Definition) -> Definition {
    Definition { source, ..metric }
}

/// The same metric, of bytes.
const fn of_bytes(metric: Definition) -> Definition {
    Definition { unit: Unit::Bytes, ..metric }
}

/// Every metric that this system emits.
pub const METRICS: &[Definition] = &[
    // The platform's business.
    counter("user_registrations", &["service", "role"], &[&[], &["service"], &["role"]], "Users who registered."),
    counter("contracts_created", &["service", "role"], &[&[], &["service"], &["role"]], "Contracts created."),
    histogram(
        "contract_value",
        Unit::None,
        ROUBLES,
        &["service", "role"],
        BY_SERVICE,
        "Price in a created contract, in roubles.",
    ),
    counter("contract_creation_errors", &["service", "reason"], BY_SERVICE, "Contracts that could not be created."),
    counter("contracts_signed", &["service", "role"], &[&[], &["service"], &["role"]], "Contracts signed."),
    timer(
        "contract_signing_duration",
        SIGNING_SECONDS,
        &["service", "role"],
        BY_SERVICE,
        "From opening a contract to its signature.",
    ),
    counter("documents_uploaded", &["service", "type"], &[&[], &["service"], &["type"]], "Documents uploaded."),
    histogram(
        "document_size",
        Unit::Megabytes,
        MEGABYTES,
        &["service", "type"],
        BY_SERVICE,
        "Size of an uploaded document.",
    ),
    histogram(
        "user_session_duration",
        Unit::None,
        MINUTES,
        &["service"],
        BY_SERVICE,
        "Length of a user session, in minutes.",
    ),
    gauge("active_users", Unit::Count, &[], &[&[]], "Users active now."),
    gauge("daily_contracts", Unit::Count, &[], &[&[]], "Contracts created since midnight."),
    gauge("conversion_rate", Unit::Percent, &[], &[&[]], "Visitors who end up with a contract."),
    // Its requests and queries.
    counter(
        "api_requests",
        &["service", "endpoint", "method", "status_code"],
        &[&[], &["service"], &["status_code"], &["service", "status_code"]],
        "Requests that a service answered.",
    ),
    timer(
        "api_request_duration",
        REQUEST_SECONDS,
        &["service", "endpoint", "method"],
        &[&[], &["service"], &["service", "endpoint"]],
        "Time to answer a request.",
    ),
    timer(
        "database_query_duration",
        QUERY_SECONDS,
        &["service", "query_type", "table"],
        &[&[], &["service"], &["service", "table"]],
        "Time of a database query.",
    ),
    histogram(
        "database_rows_affected",
        Unit::Count,
        ROWS,
        &["service", "query_type", "table"],
        BY_SERVICE,
        "Rows that a query returned or changed.",
    ),
    counter(
        "external_api_calls",
        &["service", "external_service", "endpoint", "status_code"],
        &[&[], &["service"], &["external_service", "status_code"]],
        "Calls to services outside the platform.",
    ),
    timer(
        "external_api_duration",
        REQUEST_SECONDS,
        &["service", "external_service", "endpoint"],
        &[&[], &["service"], &["external_service"]],
        "Time of a call to a service outside the platform.",
    ),
    gauge("cpu_usage_percent", Unit::Percent, &["service"], BY_SERVICE, "CPU in use."),
    gauge("memory_usage_percent", Unit::Percent, &["service"], BY_SERVICE, "Memory in use."),
    gauge("disk_usage_percent", Unit::Percent, &["service"], BY_SERVICE, "Disk in use."),
    counter(
        "operations",
        &["service", "operation", "status"],
        &[&[], &["service"], &["status"], &["service", "operation"]],
        "Operations that functions and jobs ended, by how: ok, error, timeout, cancelled.",
    ),
    timer(
        "operation_duration",
        OPERATION_SECONDS,
        &["service", "operation"],
        &[&[], &["service"], &["service", "operation"]],
        "Time of an operation, also of one that failed.",
    ),
    // Its logs.
    by(
        Source::Pipeline,
        counter(
            "log_entries",
            &["service", "level"],
            &[&[], &["service"], &["level"], &["service", "level"]],
            "Log lines archived.",
        ),
    ),
    by(
        Source::Pipeline,
        counter("performance_issues", &["service"], BY_SERVICE, "Log lines whose duration is over 5 s."),
    ),
    counter(
        "security_events",
        &["service", "event_type"],
        &[&[], &["service"], &["event_type"]],
        "Security events, failed logins among them.",
    ),
    // The library that services log and measure with.
    by(
        Source::Library,
        counter("telemetry_lines_dropped", &["service"], BY_SERVICE, "Lines that a full buffer had no room for."),
    ),
    by(
        Source::Library,
        counter(
            "telemetry_series_overflow",
            &["service"],
            BY_SERVICE,
            "Points whose dimensions were folded into `other`.",
        ),
    ),
    by(
        Source::Library,
        counter("telemetry_values_refused", &["service"], BY_SERVICE, "Values that no metric can hold, left out."),
    ),
    // The pipeline itself. Received = archived + quarantined + filtered, for each batch.
    by(
        Source::Pipeline,
        counter("pipeline_lines_received", &["service"], BY_SERVICE, "Log lines delivered to the log processor."),
    ),
    by(
        Source::Pipeline,
        counter("pipeline_lines_archived", &["service"], BY_SERVICE, "Log lines written to the archive."),
    ),
    by(
        Source::Pipeline,
        counter(
            "pipeline_lines_quarantined",
            &["service"],
            BY_SERVICE,
            "Log lines that could not be read, kept aside.",
        ),
    ),
    by(
        Source::Pipeline,
        counter("pipeline_lines_filtered", &["service"], BY_SERVICE, "Log lines kept out of the archive on purpose."),
    ),
    by(
        Source::Pipeline,
        counter("pipeline_lines_replayed", &["service"], BY_SERVICE, "Log lines archived later, from quarantine."),
    ),
    by(
        Source::Pipeline,
        of_bytes(counter("pipeline_bytes_received", &["service"], BY_SERVICE, "Bytes of log messages delivered.")),
    ),
    by(
        Source::Pipeline,
        counter(
            "pipeline_values_refused",
            &["service"],
            BY_SERVICE,
            "Values left out: too large for any metric, or of no metric that a line may bring along.",
        ),
    ),
    by(
        Source::Pipeline,
        counter(
            "pipeline_series_overflow",
            &["service"],
            BY_SERVICE,
            "Points whose dimensions were folded into `other`.",
        ),
    ),
    // Its functions about their own runs. `function` is the name that Lambda knows it by.
    own_counter("function_cold_starts", "Runs for which Lambda had to start an instance first."),
    by(
        Source::Functions,
        timer(
            "function_duration",
            OPERATION_SECONDS,
            &["function"],
            BY_FUNCTION,
            "Time of a run, also of one that failed; without the start of the instance.",
        ),
    ),
    own_counter("function_errors", "Runs that failed. Time-outs and crashes are only in Lambda's own count."),
    own_counter(
        "function_lines",
        "Log events, business events or spans taken in, also again after a failure; of metric-flusher pending objects.",
    ),
    of_bytes(own_counter("function_bytes", "Bytes of these.")),
    own_counter(
        "function_quarantined",
        "What was put to quarantine: log events, business events, spans, metrics, states.",
    ),
    own_counter(
        "function_events_refused",
        "Security events of calls that the bus did not take; alert-evaluator finds them with its next tick.",
    ),
    own_counter("function_retries", "Calls to AWS that were tried again, and messages that came again."),
    by(
        Source::Functions,
        timer(
            "function_batch_age",
            AGE_SECONDS,
            &["function"],
            BY_FUNCTION,
            "How old the newest of what a run took in was by then.",
        ),
    ),
];
