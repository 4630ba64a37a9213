//! Statements in; masked statements, shapes and fingerprints out.

use super::*;
use proptest::prelude::*;

fn masked(statement: &str) -> String {
    let mut out = String::new();
    mask_literals(statement, &mut out);
    out
}

fn print(statement: &str) -> String {
    let mut out = String::new();
    fingerprint(statement, &mut out);
    out
}

#[test]
fn literals_go_and_names_stay() {
    for (statement, expected) in [
        ("SELECT * FROM t WHERE a = 'x' AND b = 42", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("SELECT 'it''s', E'a\\'b', t1.c2 FROM t1", "SELECT ?, E?, t1.c2 FROM t1"),
        (r"WHERE path = 'C:\' AND name = 'Anna Petrova'", "WHERE path = ? AND name = ?"),
        ("SELECT e'a\\'b'\n  'c\\'d', 'e\\' FROM t", "SELECT e?\n  ?, ? FROM t"),
        ("SELECT 1 -- 'Anna\nFROM t /* it's /* Anna */ */ WHERE x = 'y'", "SELECT ? \nFROM t   WHERE x = ?"),
        ("/* never ends 'Anna'", " "),
        ("SELECT \"never ends, 'Anna'", "SELECT \"never ends, ?"),
        ("SELECT $1, $2::text", "SELECT $1, $2::text"),
        ("SELECT $1, $$body 'x'$$, $q$ $$ $q$ FROM t", "SELECT $1, ?, ? FROM t"),
        ("UPDATE \"Order 66\" SET v = -1.5e10, w = 2e-7, x = 0x1e-5", "UPDATE \"Order 66\" SET v = -?, w = ?, x = ?-?"),
        ("SELECT 'never ends", "SELECT ?"),
        ("SELECT имя FROM люди WHERE город='Тула'", "SELECT имя FROM люди WHERE город=?"),
        // A dollar within a name begins no text: the one in quotes would end it.
        ("SELECT a$x$, '$x$ Anna' FROM t", "SELECT a$x$, ? FROM t"),
        ("SELECT $тег$ Anna $тег$, $😀$ Anna $😀$", "SELECT ?, ?"),
        ("SELECT .5, 1., 1..10, a.b, t.\"c\".d", "SELECT ?, ?, ?, a.b, t.\"c\".d"),
    ] {
        assert_eq!(masked(statement), expected);
    }
}

#[test]
fn texts_around_a_statement_are_masked_with_it() {
    for (text, masked, is_cut) in [
        ("SQL statement \"INSERT INTO t VALUES ('Anna', 7)\"", "SQL statement \"INSERT INTO t VALUES (?, ?)\"", false),
        ("parameters: $1 = 'Анна', $2 = NULL", "parameters: $1 = ?, $2 = NULL", false),
        ("parameters: $1 = 'Анна", "parameters: $1 = ?", true),
        ("statement /* Анна", "statement  ", true),
    ] {
        let mut out = "before ".to_owned();
        assert_eq!(mask_embedded(text, &mut out), is_cut);
        assert_eq!(out, format!("before {masked}"));
    }
}

#[test]
fn apostrophes_of_a_sentence_are_no_quotes() {
    for (text, masked) in [
        (
            "constraint \"users_email_key\" doesn't allow 'Anna' in line 7",
            "constraint \"users_email_key\" doesn't allow ? in line 7",
        ),
        ("клиент 'Анна' … не найден", "клиент ? … не найден"),
        ("5abc'Anna' a$b'Anna' E'Anna' «'Anna'", "5abc? a$b? E? «?"),
        ("it's 'Anna", "it's ?"),
    ] {
        let mut out = String::new();
        mask_prose(text, &mut out);
        assert_eq!(out, masked);
    }
}

#[test]
fn a_statement_names_its_verb_and_first_table() {
    for (statement, verb, table) in [
        ("SELECT * FROM contracts WHERE id = ?", "SELECT", Some("contracts")),
        ("insert into public.users(email) values (?)", "INSERT", Some("users")),
        ("UPDATE ONLY \"Parcels\" SET x = ?", "UPDATE", Some("Parcels")),
        ("DELETE FROM sessions", "DELETE", Some("sessions")),
        ("DELETE\nFROM \"app\".\"sessions\";", "DELETE", Some("sessions")),
        ("SELECT a FROM (SELECT b FROM inner_t) x", "SELECT", Some("inner_t")),
        ("(SELECT a FROM t) UNION (SELECT b FROM u)", "SELECT", Some("t")),
        ("SELECT extract(day FROM d), trim(both from e) FROM t", "SELECT", Some("t")),
        ("SELECT a IS DISTINCT FROM b FROM t", "SELECT", Some("t")),
        ("WITH x AS (SELECT 1 FROM y) SELECT * FROM x", "WITH", Some("y")),
        ("WITH x AS (UPDATE y SET a = ? RETURNING *) SELECT 1", "WITH", Some("y")),
        ("COPY users (a, b) FROM STDIN", "COPY", Some("users")),
        ("COPY (SELECT a FROM users) TO STDOUT", "COPY", Some("users")),
        ("TRUNCATE TABLE ONLY logs", "TRUNCATE", Some("logs")),
        ("SELECT ? FOR UPDATE NOWAIT", "SELECT", None),
        ("EXPLAIN DELETE FROM t", "EXPLAIN", Some("t")),
        ("DROP TABLE IF EXISTS old", "DROP", Some("old")),
        ("UPDATE \"Order 66\" SET a = ?", "UPDATE", None),
        ("COMMIT", "COMMIT", None),
        ("frobnicate it", "FROBNICATE", None),
        ("SELECT * FROM", "SELECT", None),
        ("SELECT * FROM a.", "SELECT", Some("a")),
    ] {
        let shape = shape(statement).unwrap();
        assert_eq!((shape.verb.as_ref(), shape.table), (verb, table), "{statement}");
    }
    assert_eq!(shape("?"), None);
    assert_eq!(shape(""), None);
    assert_eq!(shape("\"SELECT\""), None);
}

#[test]
fn statements_of_one_form_have_one_fingerprint() {
    for same in [
        vec!["SELECT 1", "select 'Anna'", "SELECT $1;", "SELECT\n\t?", "SELECT -1.5e-7", "/* c */ SELECT E'\\'' -- c"],
        vec![
            "SELECT a FROM t WHERE b = 1 AND c = 'x'",
            "select A from T where B=$1 and C=$2",
            "SELECT a FROM t WHERE b=NULL AND c=true",
        ],
        vec![
            "SELECT a FROM t WHERE b IN (1)",
            "SELECT a FROM t WHERE b IN (1, -2, +3)",
            "SELECT a FROM t WHERE b IN ($1,$2,$3)",
        ],
        vec!["SELECT a FROM t WHERE b = ANY(ARRAY[1])", "SELECT a FROM t WHERE b = ANY(ARRAY[1, 2])"],
        vec!["SELECT a FROM t WHERE (b, c) IN ((1, 2))", "SELECT a FROM t WHERE (b, c) IN ((1, 2), (3, 4))"],
        vec![
            "INSERT INTO t (a, b) VALUES (1, DEFAULT) ON CONFLICT DO NOTHING",
            "INSERT INTO t (a, b) VALUES ($1, DEFAULT), (now(), f(2)), (3, DEFAULT) ON CONFLICT DO NOTHING",
        ],
        vec!["SELECT 'a'\n'b'", "SELECT 'ab'"],
        vec!["SELECT a - 1", "SELECT a-.5"],
    ] {
        for statement in &same {
            assert_eq!(print(statement), print(same[0]), "{statement}");
        }
    }
}

#[test]
fn statements_of_different_forms_have_different_fingerprints() {
    let statements = [
        "SELECT a FROM t",
        "SELECT b FROM t",
        "SELECT a FROM u",
        "SELECT a, b FROM t",
        "SELECT ab FROM t",
        "SELECT \"A\" FROM t",
        "SELECT a FROM t WHERE b = 1",
        "SELECT a FROM t WHERE b = -c",
        "SELECT a FROM t WHERE b = c",
        "SELECT a FROM t WHERE b IS NULL",
        "SELECT a FROM t WHERE b IS NOT NULL",
        "SELECT a FROM t WHERE b IN (1)",
        "SELECT a FROM t WHERE b IN (SELECT c FROM u)",
        "SELECT a FROM t WHERE (b) IN ((1), (SELECT c FROM u))",
        "SELECT a FROM t WHERE (b) IN ((1), (SELECT c FROM v))",
        "SELECT a FROM t; SELECT b FROM t",
        "SELECT a, 1 FROM t",
        "SELECT 1, a FROM t",
        "SELECT a - 1 FROM t",
        "SELECT a, -1 + b FROM t",
        "",
    ];
    for (at, one) in statements.iter().enumerate() {
        for other in &statements[at + 1..] {
            assert_ne!(print(one), print(other), "{one} | {other}");
        }
    }
    assert_eq!(print("SELECT").len(), 16);
}

/// Parts that a lexer may stumble over.
fn nasty() -> impl Strategy<Value = String> {
    let parts = [
        "'", "''", "\"", "$", "$$", "$a$", "$1", "--", "/*", "*/", "\n", "\r\n", " ", "\\", "e", "E'", "x'", "n", "5",
        "1e", "1e-", ".", ".5", "?", ",", "(", ")", "-", "+", ";", "SELECT", "in", "VALUES", "null", "is", "_", "é",
        "…", "\u{a0}", "\0", "Ω'", "a",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..24).prop_map(|parts| parts.concat())
}

/// Literals of every kind with `planted` in them, and numbers.
fn literal(planted: &'static str) -> impl Strategy<Value = String> {
    let forms =
        ["'#'", "'it''s #'", "E'\\'#'", "E'#\\\\'", "$$#$$", "$q$ '#$$ $q$", "'-- #'", "'/* #'", "n'#'", "'\"#\"'"];
    prop_oneof![
        prop::sample::select(forms.to_vec()).prop_map(move |form| form.replace('#', planted)),
        prop::sample::select(vec!["42", "-7", "1.5e-3", ".5", "$1", "$23", "true", "NULL"]).prop_map(str::to_owned),
    ]
}

fn list(planted: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(literal(planted), 1..5).prop_map(|literals| literals.join(", "))
}

const MARKER: &str = "planted";

/// Two statements that differ only in what does not count, for names that are given. `~` is white space.
fn twins() -> impl Strategy<Value = (String, String)> {
    let forms = [
        "SELECT~@a,~\"B\"~FROM~@t~WHERE~@c~=~#~AND~@d~IN~(~%~)~LIMIT~#",
        "INSERT~INTO~@s.@t~(@a,~@b)~VALUES~^~RETURNING~@id",
        "UPDATE~@t~SET~@a~=~#,~@b~=~coalesce(@b,~#)~WHERE~@x~BETWEEN~#~AND~#",
        "DELETE~FROM~@t~WHERE~(@a,~@b)~IN~(^)~OR~@c~=~ANY(ARRAY[%])",
    ];
    let space = || prop::sample::select(vec![" ", "\n\t", "  ", " /* it's a $$ comment */ ", " -- it's\n"]);
    let side = move || {
        (
            prop::collection::vec(literal(MARKER), 8),
            list(MARKER),
            prop::collection::vec(list(MARKER), 1..4),
            space(),
            any::<bool>(),
        )
    };
    let write =
        |form: &str, (literals, list, rows, space, capitals): (Vec<String>, String, Vec<String>, &str, bool)| {
            let mut literals = literals.into_iter().cycle();
            let rows = rows.iter().map(|row| format!("({row})")).collect::<Vec<_>>().join(", ");
            let mut quoted = false;
            form.chars().fold(String::new(), |out, c| {
                quoted ^= c == '"';
                match c {
                    '~' => out + space,
                    '#' => out + &literals.next().unwrap(),
                    '%' => out + &list,
                    '^' => out + &rows,
                    '@' => out,
                    c if capitals && !quoted => out + &c.to_ascii_uppercase().to_string(),
                    c if !quoted => out + &c.to_ascii_lowercase().to_string(),
                    c => out + &c.to_string(),
                }
            })
        };
    (prop::sample::select(forms.to_vec()), side(), side())
        .prop_map(move |(form, one, other)| (write(form, one), write(form, other)))
}

proptest! {
    #[test]
    fn any_text_is_masked_without_a_panic_and_twice_is_once(text in prop_oneof![nasty(), ".{0,80}"]) {
        let once = masked(&text);
        prop_assert_eq!(masked(&once), once.clone());
        let _ = shape(&text);
        for mask in [mask_embedded, mask_prose] {
            let mut out = String::new();
            mask(&text, &mut out);
        }
    }

    #[test]
    fn a_statement_has_the_fingerprint_of_its_masked_form(text in prop_oneof![nasty(), ".{0,80}"]) {
        prop_assert_eq!(print(&masked(&text)), print(&text));
    }

    #[test]
    fn what_does_not_count_leaves_the_fingerprint_alone((one, other) in twins()) {
        prop_assert_eq!(print(&one), print(&other), "{} | {}", one, other);
        prop_assert_eq!(print(&masked(&one)), print(&other));
    }

    #[test]
    fn no_literal_and_no_comment_of_a_statement_survives((one, _) in twins()) {
        for text in [masked(&one), { let mut out = String::new(); mask_embedded(&one, &mut out); out }] {
            prop_assert!(!text.contains(MARKER) && !text.contains("comment"), "{}", text);
            prop_assert!(!text.chars().filter(|c| c.is_ascii_digit()).any(|c| !"123".contains(c)), "{}", text);
        }
        let text = masked(&one);
        prop_assert_eq!(shape(&one), shape(&text));
        prop_assert_eq!(shape(&one).unwrap().table.map(str::to_lowercase), Some("t".to_owned()));
    }

    #[test]
    fn another_name_is_another_fingerprint(one in "[a-z]{1,8}", other in "[a-z]{1,8}") {
        prop_assume!(one != other);
        for form in ["SELECT a FROM x_# WHERE b = 1", "SELECT x_# FROM t", "SELECT \"#\" FROM t WHERE a IN (1, 2)"] {
            prop_assert_ne!(print(&form.replace('#', &one)), print(&form.replace('#', &other)));
        }
    }

    #[test]
    fn no_quoted_text_survives(
        secret in "[a-z]{8}",
        before in "[A-Z ]{0,10}",
        parts in prop::collection::vec(
            prop::sample::select(vec![
                r"'C:\', ", r"E'it\'s', ", r"e'\\', ", "'it''s', ", "-- it's\n", "/* it's */ ", "/* /* ' */ */ ",
                "$$'$$, ", "$1, ", "\"a'b\", ", "'--', ", "'/*', ", "E'a'\n'b\\'', ",
            ]),
            0..6,
        ),
    ) {
        let around = parts.concat();
        for literal in [format!("'{secret}'"), format!("E'\\'{secret}'"), format!("$q${secret}$q$")] {
            let masked = masked(&format!("{before} {around} = {literal} AND x {around}"));
            prop_assert!(!masked.contains(&secret), "{}", masked);
            prop_assert!(masked.contains("AND x"), "{}", masked);
        }
    }
}

#[test]
fn hostile_statements_take_linear_time() {
    let start = std::time::Instant::now();
    for part in ["$a", "$a$b", "/*", "\"", "'", "E'\\", "(", "VALUES (", ",(", "e", "a'", "$", "1e-", "--", ".5"] {
        let text = part.repeat(400_000 / part.len());
        let mut out = String::new();
        mask_literals(&text, &mut out);
        mask_embedded(&text, &mut out);
        mask_prose(&text, &mut out);
        fingerprint(&text, &mut out);
        let _ = shape(&text);
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
