//! Lines of the server log, as RDS writes them.

use super::*;
use crate::logs::parse::parse;
use crate::logs::parse::tests::source;

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
        let line = format!("2026-11-21 10:05:03 UTC:[local]:postgres@contracts:[7]:{severity}:  canceling statement");
        assert_eq!(record_of(&line).level, level);
    }
}

#[test]
fn hosts_of_every_kind_and_background_processes_are_read() {
    let ipv6 = record_of("2026-11-21 10:05:03 UTC:::1(5432):u@d:[9]:LOG:  connection authorized: user=u database=d");
    assert_eq!((ipv6.details["remote"].as_str(), ipv6.details["pid"].as_u64()), (Some("::1(5432)"), Some(9)));
    let checkpoint = record_of("2026-11-21 10:05:03 UTC::@:[390]:LOG:  checkpoint complete: wrote 12 buffers (0.1%)");
    assert!(!checkpoint.details.contains_key("user"));
    assert_eq!(checkpoint.message, "checkpoint complete: wrote 12 buffers (0.1%)");
}

#[test]
fn the_long_prefix_is_read_too() {
    let record = record_of(
        "2026-11-21 10:05:03.123 UTC:10.0.1.23(41234):u@d:[9]:7:23505:2026-11-21 10:00:00 UTC:3/45:0:656f.1:my:app:\
         ERROR:  invalid input syntax for type integer: \"Анна\"",
    );
    assert_eq!(record.timestamp.to_string(), "2026-11-21T10:05:03.123Z");
    assert_eq!((record.level, record.details["sqlstate"].as_str()), (Level::Error, Some("23505")));
    assert_eq!(record.message, "invalid input syntax for type integer: \"?\"");
    let line =
        "2026-11-21 10:05:03.123 UTC::@:[9]:7:00000:2026-11-21 10:00:00 UTC::0:656f.1::LOG:  statement: SELECT 'Анна'";
    assert_eq!(record_of(line).message, "statement: SELECT ?");
}

#[test]
fn values_of_a_violated_key_are_not_kept() {
    let line = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:DETAIL:  Key (email)=(anna@example.com) already exists.";
    assert_eq!(record_of(line).message, "Key (email)=(?) already exists.");
    let line = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:STATEMENT:  INSERT INTO users (email) VALUES ('a@example.com')";
    assert_eq!(record_of(line).message, "INSERT INTO users (email) VALUES (?)");
}

#[test]
fn values_are_masked_wherever_the_server_writes_them() {
    for (text, message) in [
        ("DETAIL:  parameters: $1 = 'Анна', $2 = '4509 123456'", "parameters: $1 = ?, $2 = ?"),
        ("DETAIL:  Parameters: $1 = 'O''Hara', $2 = NULL", "Parameters: $1 = ?, $2 = NULL"),
        ("DETAIL:  Failing row contains (1, Анна, (2), null).", "Failing row contains (?)."),
        ("DETAIL:  parameters: $1 = 'Анна)=(', $2 = 'x'", "parameters: $1 = ?"),
        (
            "CONTEXT:  SQL statement \"UPDATE t SET n = 'Анна' WHERE (a) = (1)\"",
            "SQL statement \"UPDATE t SET n = ? WHERE (a) = (?)\"",
        ),
        ("DETAIL:  Key (email)=(анна cut off", "Key (email)=(?)"),
        (
            "DETAIL:  Key (lower(email))=(анна) is not present in table \"users\".",
            "Key (lower(email))=(?) is not present in table \"users\".",
        ),
        (
            "DETAIL:  Partition key of the failing row contains (name) = (Анна).",
            "Partition key of the failing row contains (name) = (?).",
        ),
        ("DETAIL:  Token \"Анна\" is invalid.", "Token \"?\" is invalid."),
        ("LOG:  statement: INSERT INTO users VALUES ('Анна')", "statement: INSERT INTO users VALUES (?)"),
        ("LOG:  00000: statement: SELECT 'Анна'", "00000: statement: SELECT ?"),
        (
            "LOG:  execute s_1: SELECT * FROM users WHERE name = 'Анна'",
            "execute s_1: SELECT * FROM users WHERE name = ?",
        ),
        ("CONTEXT:  unnamed portal with parameters: $1 = 'Анна'", "unnamed portal with parameters: $1 = ?"),
        ("CONTEXT:  SQL statement \"DELETE FROM t WHERE n = 'Анна'\"", "SQL statement \"DELETE FROM t WHERE n = ?\""),
        ("CONTEXT:  COPY users, line 3, column name: \"Анна \"\"\"", "COPY users, line ?, column name: \"?\""),
        ("CONTEXT:  JSON data, line 1: {\"name\": Анна...", "JSON data, line ?: ?"),
        ("QUERY:  SELECT 'Анна'", "SELECT ?"),
        ("ERROR:  invalid input syntax for type integer: \"Анна\"", "invalid input syntax for type integer: \"?\""),
        (
            "ERROR:  invalid input syntax for type json: \"{\"a\": \"Анна\"}\" at character 8",
            "invalid input syntax for type json: \"?\" at character 8",
        ),
        (
            "ERROR:  22003: value \"4509123456\" is out of range for type integer",
            "22003: value \"?\" is out of range for type integer",
        ),
        ("ERROR:  syntax error at or near \"Анна\" at character 15", "syntax error at or near \"?\" at character 15"),
        ("ERROR:  Не найден клиент 'Анна'", "Не найден клиент ?"),
        (
            "LOG:  AUDIT: SESSION,1,1,WRITE,INSERT,TABLE,public.users,\"INSERT INTO users VALUES ('a,b')\",\"Анна\"",
            "AUDIT: SESSION,1,1,WRITE,INSERT,TABLE,public.users,?",
        ),
        (
            "LOG:  duration: 5.1 ms  plan:\n\tQuery Text: SELECT * FROM users WHERE name = 'Анна'\n\t  Filter: (name = 'Анна'::text)",
            "duration: 5.1 ms  plan:\n\tQuery Text: SELECT * FROM users WHERE name = ?\n\t  Filter: (name = ?::text)",
        ),
        (
            "LOG:  duration: 5.1 ms  plan:\n{\"Query Text\": \"SELECT 'Анна'\"}",
            "duration: 5.1 ms  plan:\n{\"Query Text\": \"SELECT ?\"}",
        ),
    ] {
        let record = record_of(&format!("2026-11-21 10:05:03 UTC:h(1):u@d:[9]:{text}"));
        assert_eq!(record.message, message, "{text}");
    }
}

#[test]
fn names_and_figures_of_the_server_stay() {
    for text in [
        "ERROR:  duplicate key value violates unique constraint \"users_email_key\"",
        "ERROR:  new row for relation \"users\" violates check constraint \"users_age_check\"",
        "ERROR:  column \"nmae\" of relation \"users\" doesn't exist",
        "FATAL:  password authentication failed for user \"app_user\"",
        "LOG:  automatic vacuum of table \"contracts.public.sessions\": index scans: 1",
        "LOG:  connection received: host=10.0.1.23 port=41234",
        "LOG:  duration: 5.1 ms",
        "HINT:  See server log for query details.",
    ] {
        let record = record_of(&format!("2026-11-21 10:05:03 UTC:h(1):u@d:[9]:{text}"));
        assert_eq!(Some(record.message.as_str()), text.split_once(":  ").map(|(_, message)| message));
    }
}

#[test]
fn a_statement_without_a_duration_has_its_shape_too() {
    for text in ["statement: UPDATE users SET a = 1", "execute <unnamed>: UPDATE users SET a = $1"] {
        let record = record_of(&format!("2026-11-21 10:05:03 UTC:h(1):u@d:[9]:LOG:  {text}"));
        assert_eq!(
            (record.details["query_type"].as_str(), record.details["table"].as_str()),
            (Some("UPDATE"), Some("users"))
        );
        assert_eq!(record.duration_ms, None);
    }
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
