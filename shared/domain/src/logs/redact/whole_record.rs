//! TEMPORARY, until records are written from borrowed text: redacts [`Record`]s and JSON values with a
//! fixed key. Nothing else in [`super`] depends on this file; it goes with its callers.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::{FieldNames, Kind, Naming, PseudonymKey, Redactor};
use crate::logs::record::Record;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let key = PseudonymKey::from_secret("temporary-key-of-the-old-log-path").expect("it is long enough");
    Redactor::new(key, FieldNames::default())
});

/// `text` with what is personal or secret in it replaced.
pub fn redact_text(text: &str) -> Cow<'_, str> {
    REDACTOR.text(text)
}

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
    redact_fields(&mut record.details, None);
    redact_fields(&mut record.error, None);
    redact_fields(&mut record.extra, None);
}

/// Redacts every text in `value`, and what stands under a secret's or personal name.
pub fn redact_value(value: &mut Value) {
    redact_under(value, None);
}

fn redact_fields(fields: &mut Map<String, Value>, above: Option<Kind>) {
    for (name, value) in fields.iter_mut() {
        match REDACTOR.naming(name) {
            Naming::Secret if !value.is_null() => *value = Value::String("[secret]".to_owned()),
            Naming::Personal(kind) => redact_under(value, Some(kind)),
            _ => redact_under(value, above),
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

/// `name`, numbered where another field has it already.
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

/// Redacts `value`, all of which is of kind `above`, if a name said so.
fn redact_under(value: &mut Value, above: Option<Kind>) {
    match value {
        Value::String(text) => match above.filter(|kind| REDACTOR.is_personal(*kind, text)) {
            Some(kind) => *text = replaced(kind, text),
            None => redact_string(text),
        },
        Value::Array(items) => items.iter_mut().for_each(|item| redact_under(item, above)),
        Value::Object(fields) => redact_fields(fields, above),
        // What replaces a number is a text, so the JSON stays valid.
        Value::Number(number) => {
            let text = number.to_string();
            if let Some(kind) = above.or_else(|| REDACTOR.number(&text)) {
                *value = Value::String(replaced(kind, &text));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn replaced(kind: Kind, original: &str) -> String {
    let mut out = Vec::new();
    REDACTOR.replace(kind, original, &mut out);
    String::from_utf8(out).expect("what stands for a value is ASCII")
}

fn redact_string(text: &mut String) {
    if let Cow::Owned(redacted) = redact_text(text) {
        *text = redacted;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;
    use crate::logs::parse::parse;
    use crate::logs::parse::tests::source;
    use serde_json::json;

    fn shown_value(value: &Value) -> Value {
        serde_json::from_str(&shown(&value.to_string())).unwrap()
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
            shown_value(&fields),
            json!({
                "set-cookie": "[secret]", "accessToken": "[secret]", "x-api-key": "[secret]", "privateKey": null,
                "Authorization": "[secret]", "api-key": "[secret]",
                "nested": { "PASSWORD": "[secret]", "list": ["[email]", 7] }, "token_count": 3, "phone": "[phone]"
            })
        );
    }

    #[test]
    fn fields_called_personal_are_replaced_down_to_every_scalar() {
        let mut fields = json!({
            "full_name": { "first": "Anna", "parts": ["Petrova", 1, true, null] }, "inn": 123, "email": "no address",
            "address": "10.0.1.23:80", "surname": "", "n": 79123456789_u64, "m": 1795000000123_u64
        });
        redact_value(&mut fields);
        let once = fields.clone();
        redact_value(&mut fields);
        assert_eq!(fields, once, "twice is once");
        assert_eq!(
            shown_value(&fields),
            json!({
                "full_name": { "first": "[name]", "parts": ["[name]", "[name]", true, null] }, "inn": "[inn]",
                "email": "[email]", "address": "10.0.1.23:80", "surname": "", "n": "[phone]", "m": 1795000000123_u64
            })
        );
    }

    #[test]
    fn names_of_fields_are_texts_too() {
        let mut fields = json!({ "anna@example.com": 1, "Anna@example.com": { "+79123456789": 2 }, "n": 3 });
        redact_value(&mut fields);
        assert_eq!(shown_value(&fields), json!({ "[email]": { "[phone]": 2 }, "[email] 2": 1, "n": 3 }));
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
            assert_eq!(shown(text.as_deref().unwrap()), "[email]");
        }
        assert_eq!(context.request_id.as_deref(), Some("r@example.com"));
        assert_eq!(shown(&record.message), r#"{"password":"[secret]","to":"[email]"}"#);
    }
}
