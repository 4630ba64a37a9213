//! PostgreSQL's server log with the short prefix of RDS, `%t:%r:%u@%d:[%p]:`.

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
    let (severity, text) = rest.split_once(':')?;
    let level = level(severity)?;
    let text = text.trim_start();
    let mut details = Map::new();
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
    let timestamp = format!("{}T{}Z", time.get(..10)?, time.get(11..)?).parse().ok()?;
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

/// The text without literals, and what it says of a query: `duration: 12.3 ms  statement: SELECT ...`,
/// `duration: 12.3 ms  execute <name>: ...`, or a bare statement.
fn message(severity: &str, text: &str, details: &mut Map<String, Value>) -> (Option<f64>, String) {
    if matches!(severity, "STATEMENT" | "QUERY") {
        return (None, statement(text, details));
    }
    if severity == "DETAIL" {
        return (None, mask_key_values(text));
    }
    let Some((number, rest)) = text.strip_prefix("duration: ").and_then(|text| text.split_once(" ms")) else {
        return (None, text.to_owned());
    };
    let Some(duration) = number.parse().ok().filter(|ms: &f64| ms.is_finite()) else { return (None, text.to_owned()) };
    match rest.trim_start().split_once(": ") {
        Some((kind, query))
            if kind == "statement"
                || kind.starts_with("execute")
                || kind.starts_with("parse")
                || kind.starts_with("bind") =>
        {
            let query = statement(query, details);
            (Some(duration), format!("duration: {number} ms  {kind}: {query}"))
        }
        _ => (Some(duration), text.to_owned()),
    }
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

/// `Key (email)=(anna@example.com) already exists.` without the values.
fn mask_key_values(text: &str) -> String {
    match text.split_once(")=(").and_then(|(names, rest)| Some((names, rest.rsplit_once(')')?.1))) {
        Some((names, rest)) => format!("{names})=(?){rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::tests::source;
    use super::*;

    fn record_of(line: &str) -> Record {
        let record = parse(line, source());
        assert_eq!(record.source.format, Format::Postgresql, "{line}");
        record
    }

    #[test]
    fn a_slow_statement_gives_its_duration_and_shape_but_no_literals() {
        let record = record_of(
            "2026-11-21 10:05:03 UTC:10.0.1.23(41234):app_user@contracts:[12345]:LOG:  duration: 6123.456 ms  \
             statement: SELECT * FROM contracts WHERE owner_email = 'anna@example.com' AND id = 42",
        );
        assert_eq!(record.timestamp.to_string(), "2026-11-21T10:05:03Z");
        assert_eq!((record.level, record.duration_ms), (Level::Info, Some(6123.456)));
        assert_eq!(
            record.message,
            "duration: 6123.456 ms  statement: SELECT * FROM contracts WHERE owner_email = ? AND id = ?"
        );
        assert_eq!(
            Value::Object(record.details),
            json!({ "severity": "LOG", "pid": 12345, "user": "app_user", "database": "contracts",
                    "remote": "10.0.1.23(41234)", "query_type": "SELECT", "table": "contracts" })
        );
    }

    #[test]
    fn levels_are_the_servers_own() {
        // Defect 34: RDS text counted as INFO.
        for (severity, level) in
            [("ERROR", Level::Error), ("FATAL", Level::Critical), ("WARNING", Level::Warning), ("HINT", Level::Info)]
        {
            let line =
                format!("2026-11-21 10:05:03 UTC:[local]:postgres@contracts:[7]:{severity}:  canceling statement");
            assert_eq!(record_of(&line).level, level);
        }
    }

    #[test]
    fn hosts_of_every_kind_and_background_processes_are_read() {
        let ipv6 =
            record_of("2026-11-21 10:05:03 UTC:::1(5432):u@d:[9]:LOG:  connection authorized: user=u database=d");
        assert_eq!((ipv6.details["remote"].as_str(), ipv6.details["pid"].as_u64()), (Some("::1(5432)"), Some(9)));
        let checkpoint =
            record_of("2026-11-21 10:05:03 UTC::@:[390]:LOG:  checkpoint complete: wrote 12 buffers (0.1%)");
        assert!(!checkpoint.details.contains_key("user"));
        assert_eq!(checkpoint.message, "checkpoint complete: wrote 12 buffers (0.1%)");
    }

    #[test]
    fn values_of_a_violated_key_are_not_kept() {
        let line = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:DETAIL:  Key (email)=(anna@example.com) already exists.";
        assert_eq!(record_of(line).message, "Key (email)=(?) already exists.");
        let line =
            "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:STATEMENT:  INSERT INTO users (email) VALUES ('a@example.com')";
        assert_eq!(record_of(line).message, "INSERT INTO users (email) VALUES (?)");
    }

    #[test]
    fn what_only_looks_like_it_is_raw_text() {
        for line in [
            "2026-11-21 10:05:03 UTC:",
            "2026-11-21 10:05:03 UTC:h(1):u@d:[x]:LOG:  text",
            "2026-11-21 10:05:03 UTC:h(1):u@d:[1]:SHOUT:  text",
            "2026-99-21 10:05:03 UTC:h(1):u@d:[1]:LOG:  text",
            "2026-11-21 10:05:03 MSK:h(1):u@d:[1]:LOG:  text",
            "договор договор договор",
        ] {
            assert_eq!(parse(line, source()).source.format, Format::Raw, "{line}");
        }
    }
}
