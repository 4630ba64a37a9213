//! Lines of the server log, as RDS writes them.

use proptest::prelude::*;

use super::*;

/// The entry of `line` and its text without values.
fn read(line: &str) -> (Entry<'_>, String, Masked<'_>) {
    let entry = entry(line).unwrap_or_else(|| panic!("no entry: {line}"));
    let mut text = String::new();
    let masked = entry.mask(&mut text);
    (entry, text, masked)
}

fn message(line: &str) -> String {
    read(line).1
}

#[test]
fn a_slow_statement_gives_its_duration_and_its_place_but_no_literals() {
    let (entry, text, masked) = read(
        "2026-11-21 10:05:03 UTC:10.0.1.23(41234):app_user@contracts:[12345]:LOG:  duration: 6123.456 ms  \
         statement: SELECT * FROM contracts WHERE owner_email = 'anna@example.com' AND id = 42",
    );
    assert_eq!((entry.date, entry.time, entry.pid), ("2026-11-21", "10:05:03", 12345));
    assert_eq!((entry.remote, entry.user, entry.database), ("10.0.1.23(41234)", "app_user", "contracts"));
    assert_eq!((entry.severity, entry.level, entry.sqlstate), ("LOG", Level::Info, None));
    assert_eq!(text, "duration: 6123.456 ms  statement: SELECT * FROM contracts WHERE owner_email = ? AND id = ?");
    assert_eq!((masked.duration_ms, masked.sqlstate), (Some("6123.456"), None));
    let statement = &text[masked.statement.unwrap()];
    assert_eq!(statement, "SELECT * FROM contracts WHERE owner_email = ? AND id = ?");
}

#[test]
fn levels_are_the_servers_own() {
    // Defect 34: RDS text counted as INFO.
    for (severity, level) in [
        ("ERROR", Level::Error),
        ("FATAL", Level::Critical),
        ("PANIC", Level::Critical),
        ("WARNING", Level::Warning),
        ("DEBUG3", Level::Debug),
        ("HINT", Level::Info),
    ] {
        let line = format!("2026-11-21 10:05:03 UTC:[local]:postgres@contracts:[7]:{severity}:  canceling statement");
        let entry = entry(&line).unwrap();
        assert_eq!((entry.severity, entry.level, entry.remote), (severity, level, "[local]"));
    }
}

#[test]
fn hosts_of_every_kind_and_background_processes_are_read() {
    for (session, remote, user, database) in [
        ("10.0.1.23(41234):app@contracts", "10.0.1.23(41234)", "app", "contracts"),
        ("::1(5432):app@contracts", "::1(5432)", "app", "contracts"),
        ("2001:db8::7(5432):app@contracts", "2001:db8::7(5432)", "app", "contracts"),
        ("[local]:rdsadmin@rdsadmin", "[local]", "rdsadmin", "rdsadmin"),
        ("10.0.1.23(41234):[unknown]@[unknown]", "10.0.1.23(41234)", "[unknown]", "[unknown]"),
        ("host-7.example.com(5432):app@contracts", "host-7.example.com(5432)", "app", "contracts"),
        ("h(1):anna@EXAMPLE.COM@contracts", "h(1)", "anna@EXAMPLE.COM", "contracts"),
        (":@", "", "", ""),
    ] {
        let line = format!("2026-11-21 10:05:03 UTC:{session}:[390]:LOG:  checkpoint starting: time");
        let entry = entry(&line).unwrap();
        assert_eq!((entry.remote, entry.user, entry.database, entry.pid), (remote, user, database, 390));
        assert_eq!(entry.text, "checkpoint starting: time");
    }
}

#[test]
fn the_long_prefix_is_read_with_and_without_a_colon_at_its_end() {
    let start = "2026-11-21 10:05:03.123 UTC:10.0.1.23(41234):u@d:[9]:7:23505:2026-11-21 10:00:00 UTC:";
    for (rest, severity, text) in [
        ("3/45:0:656f.1:my:app:ERROR:  division by zero", "ERROR", "division by zero"),
        ("3/45:0:656f.1:psqlERROR:  division by zero", "ERROR", "division by zero"),
        ("3/45:0:656f.1::psqlDEBUG1:  division by zero", "DEBUG1", "division by zero"),
        (":0:656f.1:[unknown]:LOG:  connection received: host=h", "LOG", "connection received: host=h"),
        ("3/45:0:656f.1::LOG:  no name", "LOG", "no name"),
        ("3/45:0:656f.1:LOG:  a process of the server", "LOG", "a process of the server"),
        ("3/45:0:656f.1:a:LOUD:  b:STATEMENT:  SELECT ERROR:  x", "STATEMENT", "SELECT ERROR:  x"),
    ] {
        let line = format!("{start}{rest}");
        let entry = entry(&line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!((entry.time, entry.pid, entry.sqlstate), ("10:05:03.123", 9, Some("23505")));
        assert_eq!((entry.severity, entry.text), (severity, text));
    }
    let line = format!("{start}3/45:0:656f.1:app:LOG:  statement: SELECT 'Анна'");
    let (_, text, masked) = read(&line);
    assert_eq!((text.as_str(), masked.sqlstate), ("statement: SELECT ?", Some("23505")));
    let line = format!("{start}3/45:0:656f.1:app:ERROR:  22012: division by zero");
    assert_eq!(read(&line).2.sqlstate, Some("22012"));
}

#[test]
fn values_of_a_violated_key_are_not_kept() {
    let line = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:DETAIL:  Key (email)=(anna@example.com) already exists.";
    assert_eq!(message(line), "Key (email)=(?) already exists.");
    let line = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:STATEMENT:  INSERT INTO users (email) VALUES ('a@example.com')";
    assert_eq!(message(line), "INSERT INTO users (email) VALUES (?)");
}

#[test]
fn values_are_masked_wherever_the_server_writes_them() {
    for (text, expected) in [
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
        (
            "LOG:  duration: 0.080 ms  bind S_1/C_2: SELECT * FROM users WHERE name = $1 AND age > 18",
            "duration: 0.080 ms  bind S_1/C_2: SELECT * FROM users WHERE name = $1 AND age > ?",
        ),
        ("LOG:  duration: 0.080 ms  parse <unnamed>: SELECT 'Анна'", "duration: 0.080 ms  parse <unnamed>: SELECT ?"),
        ("LOG:  execute fetch from S_1/C_2: SELECT 'Анна'", "execute fetch from S_1/C_2: SELECT ?"),
        ("STATEMENT:  \n\tSELECT 'Анна\n\tПетрова',\n\t  1", "SELECT ?,\n\t  ?"),
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
        assert_eq!(message(&format!("2026-11-21 10:05:03 UTC:h(1):u@d:[9]:{text}")), expected, "{text}");
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
        "LOG:  connection authenticated: identity=\"app\" method=md5 (/rdsdbdata/config/pg_hba.conf:13)",
        "LOG:  disconnection: session time: 0:00:09.234 user=app database=contracts host=10.0.1.23 port=41234",
        "LOG:  automatic vacuum of table \"d.public.t\": index scans: 1\n\tpages: 0 removed, 7 remain\n\ttuples: 3 removed",
        "LOG:  checkpoint complete: wrote 12 buffers (0.1%); write=1.2 s, sync=0.003 s, total=1.3 s; sync files=4",
        "LOG:  duration: 5.1 ms",
        "HINT:  See server log for query details.",
    ] {
        let message = message(&format!("2026-11-21 10:05:03 UTC:h(1):u@d:[9]:{text}"));
        assert_eq!(Some(message.as_str()), text.split_once(":  ").map(|(_, message)| message));
    }
}

#[test]
fn a_duration_is_a_number_that_json_has_too() {
    for (text, duration) in [
        ("duration: 5.125 ms", Some("5.125")),
        ("duration: 0 ms  statement: SELECT 1", Some("0")),
        ("duration: NaN ms", None),
        ("duration: inf ms", None),
        ("duration: 1e3 ms", None),
        ("duration: 007 ms", None),
        ("duration: 5. ms", None),
        ("duration: .5 ms", None),
        ("duration: -5 ms", None),
        ("duration: 5 s", None),
        ("duration: 1111111111111111111111111111111111111111 ms", None),
        ("took 5 ms", None),
    ] {
        let line = format!("2026-11-21 10:05:03 UTC:h(1):u@d:[9]:LOG:  {text}");
        assert_eq!(read(&line).2.duration_ms, duration, "{text}");
    }
}

#[test]
fn a_statement_without_a_duration_is_found_too() {
    for text in ["statement: UPDATE users SET a = 1", "execute <unnamed>: UPDATE users SET a = 1"] {
        let line = format!("2026-11-21 10:05:03 UTC:h(1):u@d:[9]:LOG:  {text}");
        let (_, text, masked) = read(&line);
        assert_eq!((&text[masked.statement.unwrap()], masked.duration_ms), ("UPDATE users SET a = ?", None));
    }
}

#[test]
fn what_only_looks_like_it_is_no_entry() {
    for line in [
        "",
        "2026-11-21 10:05:03 UTC:",
        "2026-11-21 10:05:03 UTC:h(1):u@d:[x]:LOG:  text",
        "2026-11-21 10:05:03 UTC:h(1):u@d:[99999999999]:LOG:  text",
        "2026-11-21 10:05:03 UTC:h(1):u@d:[]:LOG:  text",
        "2026-11-21 10:05:03 UTC:h(1):ud:[1]:LOG:  text",
        "2026-11-21 10:05:03 UTC:h(1)\n:u@d:[1]:LOG:  text",
        "2026-11-21 10:05:03 UTC:h(1):u@d:[1]:SHOUT:  text",
        "2026-99-21 10:05:03 UTC:h(1):u@d:[1]:LOG:  text",
        "2026-11-21 10:05:60 UTC:h(1):u@d:[1]:LOG:  text",
        "2026-11-21 10:05:03. UTC:h(1):u@d:[1]:LOG:  text",
        "2026-11-21 10:05:03 MSK:h(1):u@d:[1]:LOG:  text",
        "2026-11-21 10:05:03.123 UTC:h(1):u@d:[9]:7:23505:3/45:0:656f.1:app:ERROR:  text",
        "2026-11-21T10:05:03 UTC:h(1):u@d:[1]:LOG:  text",
        "договор договор договор",
    ] {
        assert_eq!(entry(line), None, "{line}");
        assert_eq!(entries(line).count(), 0, "{line}");
    }
}

#[test]
fn an_event_may_hold_several_entries() {
    let prefix = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:";
    let event = format!(
        "{prefix}ERROR:  duplicate key\n{prefix}DETAIL:  Key (a)=(1) exists.\r\n{prefix}STATEMENT:  \n\tINSERT\n\t{prefix}\n\
         2026-11-21 no prefix\n{prefix}LOG:  \n{prefix}LOG:  last\n"
    );
    let entries: Vec<_> = entries(&event).collect();
    let found: Vec<_> = entries.iter().map(|entry| (entry.severity, entry.text, entry.is_continuation())).collect();
    let statement = format!("INSERT\n\t{prefix}\n2026-11-21 no prefix");
    assert_eq!(
        found,
        [
            ("ERROR", "duplicate key", false),
            ("DETAIL", "Key (a)=(1) exists.", true),
            ("STATEMENT", statement.as_str(), true),
            ("LOG", "", false),
            ("LOG", "last", false),
        ]
    );
    assert!(entries[0].same_backend(&entries[1]));
    let other = entry("2026-11-21 10:05:03 UTC:h(2):u@d:[9]:DETAIL:  text").unwrap();
    assert!(!entries[0].same_backend(&other));
}

#[test]
fn the_rest_of_an_entry_begins_with_a_tab() {
    assert!(is_bare_continuation("\tFROM t"));
    assert!(!is_bare_continuation("FROM t"));
    assert!(!is_bare_continuation(""));
}

const PREFIXES: [&str; 3] = [
    "2026-11-21 10:05:03 UTC:10.0.1.23(41234):u@d:[9]:",
    "2026-11-21 10:05:03 UTC::@:[390]:",
    "2026-11-21 10:05:03.123 UTC:[local]:u@d:[9]:7:23505:2026-11-21 10:00:00 UTC:3/45:0:656f.1:app:",
];

fn prefix() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PREFIXES.to_vec())
}

fn severity() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["LOG", "ERROR", "DETAIL", "CONTEXT", "STATEMENT", "HINT", "QUERY"])
}

proptest! {
    #[test]
    fn any_line_is_read_without_a_panic(
        prefix in prefix(), cut in 0usize..120, severity in severity(),
        text in prop_oneof![".{0,80}", "[ :'\"$()=,a-c1\n\t-]{0,60}"],
    ) {
        let line = format!("{prefix}{severity}:  {text}");
        let cut = line.floor_char_boundary(cut);
        for line in [line.as_str(), &line[..cut], &line[cut..], &text] {
            for entry in entries(line) {
                let mut out = "kept".to_owned();
                let masked = entry.mask(&mut out);
                prop_assert!(out.starts_with("kept"));
                prop_assert!(masked.statement.is_none_or(|range| out.get(range).is_some()));
            }
        }
    }

    #[test]
    fn the_entries_of_an_event_cover_all_of_it(
        parts in prop::collection::vec((prefix(), severity(), "[^\\s]{1,8}(\n\t[^\n\r]{1,8}){0,2}"), 1..6)
    ) {
        let event: Vec<_> = parts.iter().map(|(prefix, severity, text)| format!("{prefix}{severity}:  {text}")).collect();
        let event = event.join("\n");
        let found: Vec<_> = entries(&event).map(|entry| (entry.severity, entry.text)).collect();
        let expected: Vec<_> = parts.iter().map(|(_, severity, text)| (*severity, text.as_str())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_value_survives_wherever_the_server_writes_it(
        before in prop::sample::select(vec![
            "LOG:  statement: ", "LOG:  duration: 0.5 ms  execute a: ", "STATEMENT:  ", "CONTEXT:  SQL statement \"", "ERROR:  ",
            "DETAIL:  parameters: $1 = ", "DETAIL:  Key (a)=(", "ERROR:  invalid input syntax for type integer: \"",
            "LOG:  duration: 0.5 ms  plan:\n\tFilter: ",
        ]),
        around in prop::sample::select(vec![" ", "'it''s' ", "'(' ", "')' ", "(a)=(", "$$'$$ ", "E'\\'' ", "'value \"' "]),
        literal in prop::sample::select(vec!["'planted'", "'a '' planted'", "E'\\' planted'", "$q$ planted $q$"]),
    ) {
        let text = message(&format!("{}{before}{around}{literal} {around}", PREFIXES[0]));
        prop_assert!(!text.contains("planted"), "{}", text);
    }
}

#[test]
fn hostile_events_take_linear_time() {
    let start = std::time::Instant::now();
    let prefix = PREFIXES[2];
    for part in
        [":[", ":[1", "\n2026-11-21 10:05:03 UTC:", ":  ", "A:  ", "\n", "\"", ": \"", ")=(", prefix, "\nLOG:  "]
    {
        for head in [
            "2026-11-21 10:05:03 UTC:",
            prefix,
            "2026-11-21 10:05:03 UTC::@:[1]:LOG:  ",
            "2026-11-21 10:05:03 UTC::@:[1]:DETAIL:  ",
        ] {
            let event = format!("{head}{}", part.repeat(400_000 / part.len()));
            for entry in entries(&event) {
                entry.mask(&mut String::new());
            }
        }
    }
    let event = format!("{prefix}LOG:  \n").repeat(4_000);
    assert_eq!(entries(&event).count(), 4_000);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn of_a_statement_with_a_quote_too_many_nothing_is_kept_from_the_first_literal_on() {
    let masked = |statement: &str| {
        let line = format!("2026-11-21 10:05:03 UTC:h(1):u@d:[1]:STATEMENT:  {statement}");
        let mut out = String::new();
        entry(&line).unwrap().mask(&mut out);
        out
    };
    assert_eq!(masked("INSERT INTO t VALUES ('O'Neil', 'Anna Semenova', 'Lenina 5')"), "INSERT INTO t VALUES (?");
    assert_eq!(masked("INSERT INTO t VALUES ('O' Neil', 'Anna Semenova')"), "INSERT INTO t VALUES (?");
    assert_eq!(masked("SELECT 'a'::text, 'b' FROM t WHERE x = 'c'"), "SELECT ?::text, ? FROM t WHERE x = ?");
}
