//! Personal data and secrets out of a record, before its first write: e-mail addresses, phone numbers,
//! bearer and JSON web tokens, AWS key ids, and the values of fields that are called like secrets.
//!
//! It works on decoded text, field by field, so that escapes hide nothing and JSON stays JSON; what no
//! parser takes is a text, in which secrets are found by the names before them.

mod labelled;
mod names;
mod patterns;
mod scan;

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::logs::record::Record;
pub use scan::redact_text;

/// Redacts the texts of `record`, names of fields included.
///
/// Left as they are: `request_id`, `trace_id` and `span_id`, because they correlate lines, and the
/// source (account, log group, log stream, event id), because it identifies the line. Whoever puts
/// personal data into one of them has it archived. `timestamp`, `level`, `category` and `duration_ms`
/// can not hold any.
pub fn redact(record: &mut Record) {
    redact_string(&mut record.message);
    let context = &mut record.context;
    let texts = [
        &mut context.user_id,
        &mut context.session_id,
        &mut context.service_name,
        &mut context.environment,
        &mut context.version,
    ];
    texts.into_iter().flatten().for_each(redact_string);
    redact_fields(&mut record.details);
    redact_fields(&mut record.error);
    redact_fields(&mut record.extra);
}

fn redact_fields(fields: &mut Map<String, Value>) {
    for (name, value) in fields.iter_mut() {
        if names::is_secret(name) && !value.is_null() {
            *value = Value::String("[secret]".to_owned());
        } else {
            redact_value(value);
        }
    }
    let renamed: Vec<(String, String)> = fields
        .keys()
        .filter_map(|name| match redact_text(name) {
            Cow::Owned(redacted) if redacted != *name => Some((name.clone(), redacted)),
            _ => None,
        })
        .collect();
    for (name, redacted) in renamed {
        if let Some(value) = fields.remove(&name) {
            let name = free_name(fields, redacted);
            fields.insert(name, value);
        }
    }
}

/// `name`, numbered where another field has it already: two addresses become one name.
fn free_name(fields: &Map<String, Value>, name: String) -> String {
    if !fields.contains_key(&name) {
        return name;
    }
    let mut number = fields.len();
    while fields.contains_key(&format!("{name} {number}")) {
        number += 1;
    }
    format!("{name} {number}")
}

/// Redacts every text in `value`, and what stands under a secret's name.
pub fn redact_value(value: &mut Value) {
    match value {
        Value::String(text) => redact_string(text),
        Value::Array(items) => items.iter_mut().for_each(redact_value),
        Value::Object(fields) => redact_fields(fields),
        // A phone number may be written as a number; what replaces it is a text, so the JSON stays valid.
        Value::Number(number) => {
            if let Cow::Owned(redacted) = redact_text(&number.to_string()) {
                *value = Value::String(redacted);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn redact_string(text: &mut String) {
    if let Cow::Owned(redacted) = redact_text(text) {
        *text = redacted;
    }
}

#[cfg(test)]
mod tests {
    use super::scan::Scan;
    use super::*;
    use crate::logs::parse::parse;
    use crate::logs::parse::tests::source;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn personal_data_and_secrets_are_replaced_by_what_they_were() {
        for (text, redacted) in [
            ("mail anna.petrova@example.com, now", "mail [email], now"),
            ("<a@example.com>b@example.org.", "<[email]>[email]."),
            ("почта анна@пример.рф!", "почта [email]!"),
            ("call +7 (912) 345-67-89.", "call [phone]."),
            ("call 8 912 345-67-89 or 89123456789", "call [phone] or [phone]"),
            ("+442071838750", "[phone]"),
            ("Authorization: Bearer abcdef.123456-XYZ", "Authorization: Bearer [token]"),
            ("jwt=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "jwt=[token]"),
            ("key AKIAIOSFODNN7EXAMPLE used", "key [token] used"),
            ("\nivan@example.com", "\n[email]"),
            ("/users?email=anna%40example.com&x=1", "/users?email=[email]&x=1"),
            ("email=i.sidorov%2Bland%40example.org", "email=[email]"),
            ("/users?phone=%2B79123456789", "/users?phone=[phone]"),
            ("phone=%2b7%20912%20345-67-89&x", "phone=[phone]&x"),
            ("q=%2079123456789", "q=%20[phone]"),
            ("phone:89123456789 tel:89123456789", "phone:[phone] tel:[phone]"),
            ("/by-phone/79123456789?x", "/by-phone/[phone]?x"),
            ("{\"phone\":79123456789,", "{\"phone\":[phone],"),
            ("+7\u{a0}(912)\u{a0}345\u{2011}67\u{2011}89", "[phone]"),
            ("8\u{202f}912\u{202f}345\u{2013}67\u{2013}89.", "[phone]."),
            (r#""m":"call\n+79123456789""#, r#""m":"call\n[phone]""#),
            ("-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "-[token]"),
        ] {
            assert_eq!(redact_text(text), redacted);
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
            assert_eq!(redact_text(text), text);
        }
    }

    #[test]
    fn fields_called_like_secrets_are_emptied_whatever_they_hold() {
        let mut fields = json!({
            "set-cookie": ["sid=1", "a=2"], "accessToken": { "value": "x" }, "x-api-key": true, "privateKey": null,
            "Authorization": "Basic abc", "api-key": 12345, "nested": { "PASSWORD": "x", "list": ["a@example.com", 7] },
            "token_count": 3, "phone": 79123456789_u64
        });
        redact_value(&mut fields);
        assert_eq!(
            fields,
            json!({
                "set-cookie": "[secret]", "accessToken": "[secret]", "x-api-key": "[secret]", "privateKey": null,
                "Authorization": "[secret]", "api-key": "[secret]",
                "nested": { "PASSWORD": "[secret]", "list": ["[email]", 7] }, "token_count": 3, "phone": "[phone]"
            })
        );
    }

    #[test]
    fn names_of_fields_are_texts_too() {
        let mut fields = json!({ "anna@example.com": 1, "ivan@example.com": { "+79123456789": 2 }, "n": 3 });
        redact_value(&mut fields);
        assert_eq!(fields, json!({ "[email]": 1, "[email] 2": { "[phone]": 2 }, "n": 3 }));
    }

    #[test]
    fn what_is_called_a_context_is_redacted_but_for_the_ids_that_correlate() {
        let line = r#"{"context":{"service_name":"a@example.com","environment":"a@example.com",
            "version":"a@example.com","user_id":"a@example.com","request_id":"r@example.com"},
            "message":{"password":"x","to":"a@example.com"}}"#;
        let mut record = parse(line, source());
        redact(&mut record);
        let context = &record.context;
        for text in [&context.service_name, &context.environment, &context.version, &context.user_id] {
            assert_eq!(text.as_deref(), Some("[email]"));
        }
        assert_eq!(context.request_id.as_deref(), Some("r@example.com"));
        assert_eq!(record.message, r#"{"password":"[secret]","to":"[email]"}"#);
    }

    #[test]
    fn a_hostile_line_takes_no_more_steps_for_a_byte_than_a_short_one() {
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
        ] {
            let line = pattern.repeat(256 * 1024 / pattern.len());
            let mut scan = Scan::of(&line);
            let _ = scan.run();
            assert!(scan.steps <= 24 * line.len(), "{pattern}: {} steps for {} bytes", scan.steps, line.len());
        }
    }

    proptest! {
        #[test]
        fn secrets_around_anything_are_redacted_once(parts in prop::collection::vec(prop::sample::select(vec![
            "password", "token", "\"", "'", ":", "=", " ", "\\", "[", "]", "{", "}", "x", "@a.com", "+79123456789", "Bearer ",
            "cookie", "authorization", "Basic ", "abcdefgh", "%40", "%2B", ",", "\n", "я",
        ]), 0..14)) {
            let once = redact_text(&parts.concat()).into_owned();
            prop_assert!(!once.contains("password=x"), "{}", once);
            let _ = redact_text(&once);
        }

        #[test]
        fn any_text_is_redacted_without_a_panic_and_twice_is_once(text in "[ -~а-я@.+789]{0,60}") {
            let once = redact_text(&text).into_owned();
            prop_assert_eq!(redact_text(&once).into_owned(), once);
        }

        #[test]
        fn an_address_never_survives(local in "[a-z][a-z0-9.]{0,8}[a-z]", domain in "[a-z]{2,8}", around in "[ ,;<>\"']") {
            let address = format!("{local}@{domain}.com");
            let text = format!("x{around}{address}{around}y");
            let redacted = redact_text(&text).into_owned();
            prop_assert!(!redacted.contains(&address), "{}", redacted);
        }
    }
}
