//! PostgreSQL's server log with either prefix that RDS allows: `%t:%r:%u@%d:[%p]:`, and
//! `%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:`, which has milliseconds and the SQLSTATE.

mod values;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::sql;
use crate::logs::record::{Category, Context, Format, Level, Record, Source};

/// The prefix of a line.
struct Prefix<'a> {
    timestamp: Timestamp,
    remote: &'a str,
    user: &'a str,
    database: &'a str,
    pid: u32,
}

/// The record of `line`, or `None` where it has no such prefix. Literals in SQL are replaced: they are
/// the users' data.
pub(super) fn record(line: &str, source: &Source) -> Option<Record> {
    let (prefix, rest) = prefix(line)?;
    let (severity, level, text, code) = severity(rest)?;
    let mut details = Map::new();
    if let Some(code) = code {
        details.insert("sqlstate".to_owned(), json!(code));
    }
    details.insert("severity".to_owned(), json!(severity));
    details.insert("pid".to_owned(), json!(prefix.pid));
    for (name, value) in [("user", prefix.user), ("database", prefix.database), ("remote", prefix.remote)] {
        if !value.is_empty() && value != "[unknown]" {
            details.insert(name.to_owned(), json!(value));
        }
    }
    let (duration_ms, message) = message(severity, text, &mut details);
    Some(Record {
        timestamp: prefix.timestamp,
        level,
        category: Category::Database,
        message,
        context: Context::default(),
        details,
        error: Map::new(),
        duration_ms,
        extra: Map::new(),
        source: Source { format: Format::Postgresql, ..source.clone() },
    })
}

/// `2026-11-21 10:05:03 UTC:10.0.1.23(41234):app_user@contracts:[12345]:`. RDS logs in UTC.
fn prefix(line: &str) -> Option<(Prefix<'_>, &str)> {
    let (time, rest) = line.split_at_checked(19)?;
    let fraction = rest.len() - rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()).len();
    let (fraction, rest) = rest.split_at(fraction);
    let timestamp = format!("{}T{}{fraction}Z", time.get(..10)?, time.get(11..)?).parse().ok()?;
    let rest = rest.strip_prefix(" UTC:")?;
    // The remote host may have colons in it (IPv6) and brackets (`[local]`): the process id is the
    // first bracket with nothing but digits.
    let (at, pid) = rest.match_indices(":[").find_map(|(at, _)| {
        let digits = rest[at + 2..].split_once("]:")?.0;
        Some((at, digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?))
    })?;
    let (remote, session) = rest[..at].rsplit_once(':')?;
    let (user, database) = session.split_once('@')?;
    let after = rest[at..].split_once("]:")?.1;
    Some((Prefix { timestamp, remote, user, database, pid }, after))
}

/// Severity, level, text, and SQLSTATE, of what follows the process id. With the long prefix, the first
/// known severity with two spaces after it ends the prefix: a client may call itself whatever it likes.
fn severity(rest: &str) -> Option<(&str, Level, &str, Option<&str>)> {
    if let Some((severity, text)) = rest.split_once(':')
        && let Some(level) = level(severity)
    {
        return Some((severity, level, text.trim_start(), None));
    }
    let code = rest.split(':').nth(1).filter(|code| is_sqlstate(code))?;
    rest.match_indices(":  ").find_map(|(at, mark)| {
        let severity = rest[..at].rsplit(':').next()?;
        Some((severity, level(severity)?, rest[at + mark.len()..].trim_start(), Some(code)))
    })
}

fn level(severity: &str) -> Option<Level> {
    Some(match severity {
        "DEBUG" | "DEBUG1" | "DEBUG2" | "DEBUG3" | "DEBUG4" | "DEBUG5" => Level::Debug,
        // The continuation lines of an entry carry no level of their own.
        "LOG" | "INFO" | "NOTICE" | "STATEMENT" | "DETAIL" | "HINT" | "CONTEXT" | "QUERY" | "LOCATION" => Level::Info,
        "WARNING" => Level::Warning,
        "ERROR" => Level::Error,
        "FATAL" | "PANIC" => Level::Critical,
        _ => return None,
    })
}

/// The text without the users' values, the duration that it tells, and (in `details`) what it says of a
/// query.
fn message(severity: &str, text: &str, details: &mut Map<String, Value>) -> (Option<f64>, String) {
    // With `log_error_verbosity = verbose` the SQLSTATE comes first.
    let (code, text) = match text.split_once(": ").filter(|(code, _)| is_sqlstate(code)) {
        Some((code, text)) => (Some(code), text),
        None => (None, text),
    };
    let (duration_ms, masked) = match severity {
        "STATEMENT" | "QUERY" => (None, statement(text, details)),
        "DETAIL" | "CONTEXT" => (None, values::continuation(text)),
        _ => logged(text, details),
    };
    match code {
        Some(code) => {
            details.insert("sqlstate".to_owned(), json!(code));
            (duration_ms, format!("{code}: {masked}"))
        }
        None => (duration_ms, masked),
    }
}

fn is_sqlstate(code: &str) -> bool {
    code.len() == 5
        && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && code.bytes().any(|b| b.is_ascii_digit())
}

/// `duration: 12.3 ms  statement: SELECT ...`, the same without a duration, a plan, or a message.
fn logged(text: &str, details: &mut Map<String, Value>) -> (Option<f64>, String) {
    let timed = text.strip_prefix("duration: ").and_then(|text| text.split_once(" ms")).and_then(|(number, rest)| {
        let duration = number.parse().ok().filter(|ms: &f64| ms.is_finite())?;
        Some((number, duration, rest.trim_start()))
    });
    match timed {
        Some((number, duration, "")) => (Some(duration), format!("duration: {number} ms")),
        Some((number, duration, rest)) => (Some(duration), format!("duration: {number} ms  {}", what(rest, details))),
        None => (None, what(text, details)),
    }
}

fn what(text: &str, details: &mut Map<String, Value>) -> String {
    let is_query =
        |kind: &str| kind == "statement" || ["execute ", "parse ", "bind "].iter().any(|k| kind.starts_with(k));
    if let Some((kind, query)) = text.split_once(": ").filter(|(kind, _)| is_query(kind)) {
        return format!("{kind}: {}", statement(query, details));
    }
    // auto_explain: the statement, and conditions with its values in every node.
    if let Some(plan) = text.strip_prefix("plan:") {
        return format!("plan:{}", sql::mask_embedded(plan));
    }
    values::message(text)
}

fn statement(text: &str, details: &mut Map<String, Value>) -> String {
    let masked = sql::mask_literals(text);
    if let Some(shape) = sql::shape(&masked) {
        details.insert("query_type".to_owned(), json!(shape.verb));
        if let Some(table) = shape.table {
            details.insert("table".to_owned(), json!(table));
        }
    }
    masked
}

#[cfg(test)]
mod tests;
