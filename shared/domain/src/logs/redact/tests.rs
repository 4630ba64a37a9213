//! What is replaced by what in tables, and what holds for any text.

use std::collections::BTreeSet;
use std::ops::Range;

use super::*;
use proptest::prelude::*;

fn redactor() -> Redactor {
    let key = PseudonymKey::from_secret("made-up-secret-of-32-bytes-01234").unwrap();
    Redactor::new(key, FieldNames::default())
}

fn redacted(text: &str) -> String {
    redactor().text(text).into_owned()
}

/// `text` with `[email]` for every pseudonym of an e-mail address, and so on: what tables show.
pub(super) fn shown(text: &str) -> String {
    let (mut shown, mut at) = (String::new(), 0);
    while at < text.len() {
        match pseudonym::length(&text.as_bytes()[at..]) {
            Some(length) => {
                let token = &text[at..at + length];
                shown.push_str(token.split([':', ']']).next().unwrap());
                shown.push(']');
                at += length;
            }
            None => {
                let letter = text[at..].chars().next().unwrap();
                shown.push(letter);
                at += letter.len_utf8();
            }
        }
    }
    shown
}

fn assert_redacted(text: &str, expected: &str) {
    let once = redacted(text);
    assert_eq!(shown(&once), expected, "{text}");
    assert_eq!(redacted(&once), once, "twice is once");
}

#[test]
fn personal_data_and_secrets_are_replaced_by_what_they_were() {
    for (text, expected) in [
        ("mail anna.petrova@example.com, now", "mail [email], now"),
        ("<a@example.com>b@example.org.", "<[email]>[email]."),
        ("почта анна@пример.рф!", "почта [email]!"),
        ("call +7 (912) 345-67-89.", "call [phone]."),
        ("call 8 912 345-67-89 or 89123456789", "call [phone] or [phone]"),
        ("+442071838750", "[phone]"),
        ("Authorization: Bearer abcdef.123456-XYZ", "Authorization: Bearer [token]"),
        ("jwt=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "jwt=[token]"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key [aws_key] used"),
        ("\nivan@example.com", "\n[email]"),
        (r"\nivan@example.com", r"\n[email]"),
        ("/users?email=anna%40example.com&x=1", "/users?email=[email]&x=1"),
        ("email=i.sidorov%2Bland%40example.org", "email=[email]"),
        ("/users?phone=%2B79123456789", "/users?phone=[phone]"),
        ("phone=%2b7%20912%20345-67-89&x", "phone=[phone]&x"),
        ("q=%2079123456789", "q=%20[phone]"),
        ("phone:89123456789 tel:89123456789", "phone:[phone] tel:[phone]"),
        ("/by-phone/79123456789?x", "/by-phone/[phone]?x"),
        ("{\"phone\":79123456789,", "{\"phone\":\"[phone]\","),
        ("+7\u{a0}(912)\u{a0}345\u{2011}67\u{2011}89", "[phone]"),
        ("8\u{202f}912\u{202f}345\u{2013}67\u{2013}89.", "[phone]."),
        (r#""m":"call\n+79123456789""#, r#""m":"call\n[phone]""#),
        ("-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "-[token]"),
        (r"тел.\u043089123456789", r"тел.\u0430[phone]"),
        ("79123456789@example.com", "[email]"),
        ("paid 4242-4242-4242-4242, 4242424242424242", "paid [card], [card]"),
        ("СНИЛС 112-233-445 95", "СНИЛС [snils]"),
        ("р/с 40817810099910004312", "р/с [account]"),
        ("GB82 WEST 1234 5698 7654 32 PAID", "[account] PAID"),
        ("passport 72 1234567", "passport [passport]"),
        ("https://user:pass@example.com/", "https://user:[secret]@example.com/"),
    ] {
        assert_redacted(text, expected);
    }
}

#[test]
fn ids_times_and_numbers_are_left_alone() {
    for text in [
        "2026-11-21T10:05:03.123Z",
        "1-5759e988-bd862e3fe1be46a994272793",
        "contract 4711 for 8 500 000 roubles",
        "at 1795000000123 ms",
        "550e8400-e29b-41d4-a716-446655440000",
        "89123456789012",
        "10.0.1.23(41234):app_user@contracts:[12345]",
        "user@localhost",
        "the bearer of this",
        "value 7912345.67",
        "rate 0.89123456789",
        "77:01:0001:12",
        "77:01:79123456789",
        "77:01:0001:12 and 89123456789:12",
        "/contracts/4711/pages/79",
        "21/11/79123456789",
        "order_79123456789",
        "100%40 of it",
        "/search?q=a%40b&n=%2B7",
        "2026-11-21T10:05:03+00:00",
        "/v1/parcels/77:01:0001:12?at=2026-11-21T10%3A05",
    ] {
        assert_eq!(redacted(text), text);
        assert!(matches!(redactor().text(text), Cow::Borrowed(_)));
    }
}

#[test]
fn values_after_names_of_secrets_are_replaced_in_any_spelling() {
    for (text, expected) in [
        (r#"{"a":NaN,"password":"hunter2","b":1}"#, r#"{"a":NaN,"password":"[secret]","b":1}"#),
        (r#"{"a":NaN,"password": 12345, "b":1}"#, r#"{"a":NaN,"password": "[secret]", "b":1}"#),
        (r#"{"set-cookie":["sid=1; Path=/","a=[2]"],"b":1"#, r#"{"set-cookie":"[secret]","b":1"#),
        (r#"{"clientSecret":{"a":"b"#, r#"{"clientSecret":"[secret]""#),
        (r#"{"password":"it is \"x\" \\","b":1"#, r#"{"password":"[secret]","b":1"#),
        (r#"{"password":"cut o"#, r#"{"password":"[secret]"#),
        (r#"{"m":"{\"accessToken\": \"abc\"}","#, r#"{"m":"{\"accessToken\": \"[secret]\"}","#),
        (r#""m":"x\npassword=hunter2""#, r#""m":"x\npassword=[secret]""#),
        ("{'password': 'hunter2', 'n': 1}", "{'password': '[secret]', 'n': 1}"),
        ("GET /login?token=abc&x=1", "GET /login?token=[secret]&x=1"),
        ("run --api-key=abc --password: def", "run --api-key=[secret] --password: [secret]"),
        ("password: Some(\"hunter2\")", "password: Some(\"[secret]\")"),
        ("Cookie: sid=1; theme=dark\nHost: x", "Cookie: [secret]\nHost: x"),
        ("Authorization: Basic abc==\nHost: x", "Authorization: [secret]\nHost: x"),
        ("Authorization: Bearer abc", "Authorization: [secret]"),
        ("authorization: Bearer abcdef.123456-XYZ", "authorization: Bearer [token]"),
    ] {
        assert_redacted(text, expected);
    }
}

#[test]
fn values_after_personal_names_are_replaced_as_far_as_they_go() {
    for (text, expected) in [
        (r#"{"full_name":"Анна Петрова","id":1"#, r#"{"full_name":"[name]","id":1"#),
        ("full_name=Анна Петрова status=200", "full_name=[name] status=200"),
        ("full_name=анна петрова status=200", "full_name=[name] status=200"),
        ("surname: Petrova logged in", "surname: [name] logged in"),
        ("/x?surname=Petrova&y=1", "/x?surname=[name]&y=1"),
        ("/x?surname=Petrova HTTP/1.1", "/x?surname=[name] HTTP/1.1"),
        ("owner_name='О'Нил', n=1", "owner_name='[name]', n=1"),
        ("Key (full_name)=(Анна) already exists", "Key (full_name)=([name]) already exists"),
        (r#"{"inn":123,"#, r#"{"inn":"[inn]","#),
        (r#"{"inn":"123""#, r#"{"inn":"[inn]""#),
        ("address: Москва, Примерная 5; x", "address: [address]; x"),
        ("birth_date=1990-01-02 x", "birth_date=[birth_date] x"),
        (r#"{"full_name":{"first":"Anna","last":"#, r#"{"full_name":"[name]""#),
        (r#"{"phone":["+79123456789","x"]"#, r#"{"phone":["[phone]","x"]"#),
        ("phone=9123456789,", "phone=[phone],"),
    ] {
        assert_redacted(text, expected);
    }
}

#[test]
fn names_without_a_value_and_other_names_are_left_alone() {
    for text in [
        "password authentication failed for user x",
        "invalid token",
        "token::parse failed",
        "WHERE token = $1 AND secret = ?",
        r#"{"password":null,"token_count":3,"category":"authorization","#,
        r#"{"password":"","#,
        "password=",
        r#"{"full_name":null,"surname":"","#,
        "email: failed to send",
        "phone: unknown",
        "address: 10.0.1.23:8080, port 1",
        "birth_date=?",
        "surname=",
    ] {
        assert_eq!(redacted(text), text);
    }
}

#[test]
fn one_person_has_one_pseudonym_however_a_value_is_spelled_and_wherever_it_stands() {
    for spellings in [
        &["+7 (912) 345-67-89", "89123456789", "%2B79123456789", "phone=9123456789", "\"phone\":\"8(912)3456789\""][..],
        &["Anna@Example.com", "anna%40example.com", "email=\"anna@example.com\"", "Key (email)=(ANNA@example.com) "],
        &["full_name=Анна Петрова x=1", "\"fullName\":\"АННА  ПЕТРОВА\"", "ФИО: Анна Петрова", "?fio=Анна+Петрова&"],
        &["112-233-445 95", "11223344595", "snils=112-233-445-95"],
        &[
            "4509 123456",
            "45 09 123456",
            "паспорт 4509123456",
            "серия 4509 номер 123456",
            "\"passport\":\"4509 123456\"",
        ],
        &["4242 4242 4242 4242", "4242-4242-4242-4242", "4242424242424242", "card_number=4242424242424242"],
    ] {
        let tokens: BTreeSet<String> = spellings
            .iter()
            .map(|text| {
                let redacted = redacted(text);
                let at = redacted.find('[').unwrap_or_else(|| panic!("{redacted}"));
                redacted[at..=redacted.find(']').unwrap()].to_owned()
            })
            .collect();
        assert_eq!(tokens.len(), 1, "{tokens:?}");
    }
}

#[test]
fn another_key_gives_other_pseudonyms() {
    let other = PseudonymKey::from_secret("made-up-secret-of-32-bytes-56789").unwrap();
    let other = Redactor::new(other, FieldNames::default());
    assert_ne!(other.text("a@example.com"), redacted("a@example.com"));
    assert_eq!(other.text(&redacted("a@example.com")), redacted("a@example.com"), "a pseudonym is one under any key");
}

#[test]
fn what_is_clean_goes_through_the_writer_and_so_do_quotes() {
    let mut out = Vec::new();
    let escape = |piece: &str, out: &mut Vec<u8>| out.extend_from_slice(piece.replace('"', "\\\"").as_bytes());
    assert!(redactor().append(r#"{"password": 1, "#, &mut out, escape));
    assert_eq!(String::from_utf8(out).unwrap(), r#"{\"password\": \"[secret]\", "#);
    assert!(!redactor().append("clean", &mut Vec::new(), escape));
}

#[test]
fn a_json_number_is_a_phone_a_card_or_nothing() {
    for (number, kind) in [
        ("79123456789", Some(Kind::Phone)),
        ("89123456789", Some(Kind::Phone)),
        ("4242424242424242", Some(Kind::Card)),
        ("1795000000123", None),
        ("1795000000123456789", None),
        ("4242424242424243", None),
        ("7707083893", None),
        ("-79123456789", None),
        ("7912345678.9", None),
        ("7e10", None),
    ] {
        assert_eq!(redactor().number(number), kind, "{number}");
    }
}

#[test]
fn a_hostile_line_takes_no_more_steps_for_a_byte_than_a_short_one() {
    let names = FieldNames::default();
    for pattern in [
        "-eyJ",
        "+7",
        "@",
        "a@a@",
        "a%40",
        "%2B7",
        "bearer ",
        "AKIA",
        "8 9",
        "eyJ.",
        "password",
        "\"token\":",
        "token=",
        "\\",
        "[",
        "'",
        "cookie:",
        "a",
        "n\\n",
        "basic authorization: ",
        "phone=",
        "address=[::1",
        "address=\"1.1 ",
        "address: 1.1 ",
        "7 ",
        "4509 ",
        "4509 123456 ",
        "79123456789-1 ",
        "паспорт 1234567890 ",
        "паспорт",
        "серия № ",
        "://a:",
        "://a:b@",
        "GB82 ",
        "AA11",
        "Key (token)=(",
        "(address)=(1.1 ",
        "date of birth: ",
        "name: ",
        "a b name=",
        "full_name=",
        "full_name=a ",
        "surname: \"",
        "dob=12 ",
        "\\u0430",
        "x.a@b.",
        "1-1-",
        "[email:bcdfghjkmnprstvz]",
        "[email:",
        "9 9 9 9 9 9 9 9 9 9 9 9-",
        "40817 ",
        "%",
        "%20",
        "о'",
        "surname='о'",
    ] {
        let line = pattern.repeat(256 * 1024 / pattern.len());
        let mut scan = findings(&line, &names);
        scan.by_ref().for_each(drop);
        assert!(scan.steps <= 24 * line.len(), "{pattern}: {} steps for {} bytes", scan.steps, line.len());
    }
}

/// Text of pieces that mean something, in any order.
fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "password",
            "token",
            "\"",
            "'",
            ":",
            "=",
            " ",
            "\\",
            "[",
            "]",
            "{",
            "}",
            "x",
            "@a.com",
            "+79123456789",
            "Bearer ",
            "cookie",
            "authorization",
            "Basic ",
            "abcdefgh1",
            "%40",
            "%2B",
            ",",
            "\n",
            "я",
            "-",
            ".",
            "/",
            "_",
            "(",
            ")",
            "a@b.ru",
            "4509 123456",
            "45 09",
            "4509",
            "123456",
            " № ",
            "номер ",
            "паспорт ",
            "ИНН ",
            "серия ",
            "7707083893",
            "500100732259",
            "112-233-445 95",
            "11223344595",
            "4242424242424242",
            "4242 4242",
            "40817810099910004312",
            "8 912 345-67-89",
            "79123456789",
            "912",
            "GB82WEST12345698765432",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.eHg",
            "full_name",
            "ФИО",
            "address",
            "birth_date",
            "date of birth",
            "1990-01-02",
            "10.0.0.1",
            "phone",
            "inn",
            "email",
            "\"full_name\":\"",
            "Анна",
            "Петрова",
            "null",
            "Some(\"",
            "https://",
            "user:",
            "pw@",
            "[email:bcdfghjkmnprstvz]",
            "[secret]",
            "[name:",
            "%D0%90",
            "\\n",
            "\\u0430",
            "?",
            "&",
            ";",
            "=>",
            "Key (email)=(",
            "1795000000",
            "2026-11-21T10:05:03Z",
            "№",
            "'",
            "\u{a0}",
            "ee",
            "№ 1",
        ]),
        0..12,
    )
    .prop_map(|pieces| pieces.concat())
}

fn assert_in_order(text: &str) -> Result<(), TestCaseError> {
    let names = FieldNames::default();
    let mut last = 0;
    for Finding { range: Range { start, end }, .. } in findings(text, &names) {
        prop_assert!(last <= start && start < end && end <= text.len(), "{text}");
        prop_assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{text}");
        last = end;
    }
    Ok(())
}

/// Valid numbers, made from any digits.
fn with_check_digits(digits: &str, kind: Kind) -> String {
    let numbers = (0..1000).map(|check| match kind {
        Kind::Inn => format!("{digits}{}", check % 10),
        Kind::Snils => format!("{digits}{:02}", check % 100),
        _ => format!("{digits}{}", check % 10),
    });
    let is_valid = |number: &String| match kind {
        Kind::Inn => checksum::is_inn(number.as_bytes()),
        Kind::Snils => checksum::is_snils(number.as_bytes()),
        _ => checksum::is_card(number.as_bytes()),
    };
    numbers.into_iter().find(is_valid).expect("some check digits are right")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60_000))]

    #[test]
    fn pieces_of_anything_are_redacted_once_and_twice_is_once(text in pieces()) {
        assert_in_order(&text)?;
        let once = redacted(&text);
        prop_assert_eq!(redacted(&once), once, "{}", text);
    }

    #[test]
    fn any_text_is_redacted_without_a_panic_and_twice_is_once(text in "[ -~а-я@.+789№]{0,60}") {
        assert_in_order(&text)?;
        let once = redacted(&text);
        prop_assert_eq!(redacted(&once), once, "{}", text);
    }

    #[test]
    fn no_character_at_all_makes_it_panic(text in "\\PC{0,40}") {
        assert_in_order(&text)?;
    }

    #[test]
    fn an_address_never_survives(local in "[a-z][a-z0-9.]{0,8}[a-z]", domain in "[a-z]{2,8}", around in "[ ,;<>\"'(\\[=/:]") {
        let address = format!("{local}@{domain}.com");
        let redacted = redacted(&format!("x{around}{address}{around}y"));
        prop_assert!(!redacted.contains(&address), "{}", redacted);
    }

    #[test]
    fn a_valid_number_never_survives(
        kind in prop::sample::select(vec![Kind::Phone, Kind::Card, Kind::Snils, Kind::Inn]),
        digits in "[0-9]{12}",
        before in prop::sample::select(vec!["", " ", "x ", "n=", "n: ", "\"", "'", "(", "/", "№", "и ", ",", "\\n", "%20"]),
        after in prop::sample::select(vec!["", " ", ", ", ".", "\"", "'", ")", "/x", "?", "&a=b", " я", "; ", "\\n", " 12"]),
    ) {
        let number = match kind {
            Kind::Phone => format!("79{}", &digits[..9]),
            Kind::Card => with_check_digits(&format!("427{digits}"), kind),
            Kind::Snils => with_check_digits(&format!("1{}", &digits[..8]), kind),
            _ => with_check_digits(&format!("77{}", &digits[..7]), kind),
        };
        let redacted = redacted(&format!("{before}{number}{after}"));
        prop_assert!(!redacted.contains(&number), "{}", redacted);
        prop_assert!(shown(&redacted).contains(&format!("[{}]", kind.label())) || kind != Kind::Phone, "{}", redacted);
    }
}

/// Not a test of a rule: prints how fast clean text is scanned. `cargo test --release -p domain -- --ignored speed`
#[test]
#[ignore = "prints a speed, which is of use in release only"]
fn speed_of_a_scan_over_clean_texts() {
    let names = FieldNames::default();
    let corpus = include_str!("corpus.txt");
    let corpus_lines: Vec<&str> =
        corpus.lines().filter(|line| !line.contains('⟦') && !line.starts_with("# ")).collect();
    let messages = [
        "Contract created",
        "Договор создан за 123 ms",
        "GET /api/v1/contracts/4711 200",
        "request finished",
        "api",
        "production",
        "cache miss for key contracts:4711",
        "Operation completed successfully in 35 ms",
        "550e8400-e29b-41d4-a716-446655440000",
        "SELECT id, status FROM contracts WHERE id = $1 AND tenant_id = $2 ORDER BY created_at DESC LIMIT 50",
        "connection pool: 12 of 20 in use",
        "LC-2026-004711",
        "1-5759e988-bd862e3fe1be46a994272793",
        "rosreestr",
        "POST",
        "Downstream service responded with status 503, retrying in 200 ms (attempt 2 of 5)",
        "contract_created",
        "10.0.1.23",
    ];
    let raw: Vec<&str> = messages.iter().copied().filter(|text| text.len() > 30).collect();
    for (title, texts) in
        [("messages", &messages[..]), ("long messages", &raw[..]), ("clean lines of the corpus", &corpus_lines[..])]
    {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let rounds = 200_000_000 / bytes;
        let started = std::time::Instant::now();
        let mut found = 0;
        for _ in 0..rounds {
            for text in texts {
                found += findings(std::hint::black_box(text), &names).count();
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{title}: {:.0} MB/s, {} bytes a text, {found} found",
            (rounds * bytes) as f64 / seconds / 1e6,
            bytes / texts.len()
        );
    }
    let fields = [
        "level",
        "message",
        "timestamp",
        "service_name",
        "request_id",
        "duration_ms",
        "status",
        "category",
        "user_id",
        "event",
    ];
    let started = std::time::Instant::now();
    let plain = (0..2_000_000)
        .flat_map(|_| fields)
        .filter(|name| names.of(std::hint::black_box(name)) == Naming::Plain)
        .count();
    println!("names: {:.1} ns, {plain}", started.elapsed().as_secs_f64() * 1e9 / 20e6);
}

#[test]
#[ignore = "tmp"]
fn speed_parts() {
    let names = FieldNames::default();
    for text in [
        "the quick red fox jumps over the lazy dog and runs away again",
        "the quick brown bear jumbles about by the big barn, obey baby",
        "a=b c=d e=f gh=ij klm=no pqrst=uvw xyz=abc def=ghi jkl=mno p",
        "level=info status=ok path=/api/v1 service_name=contract done",
        "12 3 45 678 9 a12 b13 c 14 ms d 15 e f 17 g h 18 i j 19 k ll",
        "2026-11-21T10:05:03.123Z 2026-11-21 10:05:03 2026-11-21 10:0",
        "550e8400-e29b-41d4-a716-446655440000 550e8400-e29b-41d4-a716",
        "took 35 ms at 1795000000123 status 200 for id 4711 and so on",
    ] {
        let mut best = f64::MAX;
        for _ in 0..10 {
            let started = std::time::Instant::now();
            for _ in 0..200_000 {
                std::hint::black_box(findings(std::hint::black_box(text), &names).count());
            }
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!(
            "PART {:.0} MB/s {:.1} ns a text: {text}",
            200_000.0 * text.len() as f64 / best / 1e6,
            best / 200_000.0 * 1e9
        );
    }
    for name in [
        "level",
        "message",
        "timestamp",
        "service_name",
        "request_id",
        "duration_ms",
        "status",
        "category",
        "user_id",
        "event",
        "full_name",
    ] {
        let mut best = f64::MAX;
        for _ in 0..10 {
            let started = std::time::Instant::now();
            for _ in 0..200_000 {
                std::hint::black_box(names.of(std::hint::black_box(name)));
            }
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!("PART {:.1} ns {name}", best / 200_000.0 * 1e9);
    }
}
