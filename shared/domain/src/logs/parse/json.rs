//! JSON lines: schema v1, the source document's Python output, EMF, and the common dialects.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::logs::record::{Category, Context, Format, Level, Record, Source};
use crate::logs::redact;

/// The record of a JSON object. Fields of wrong types and unknown ones are kept under `extra`.
pub(super) fn record(mut fields: Map<String, Value>, source: Source) -> Record {
    let format = format_of(&fields);
    let timestamp = first(&mut fields, &["timestamp", "ts", "time", "@timestamp"], instant);
    let level = first(&mut fields, &["level", "severity", "lvl", "loglevel"], |value| match value {
        Value::String(name) => Level::parse(name),
        Value::Number(number) => number.as_f64().and_then(Level::of_number),
        _ => None,
    });
    let category = first(&mut fields, &["category"], |value| value.as_str().and_then(Category::parse));
    // An object loses its field names as it becomes text, and the names tell what is a secret.
    for name in ["message", "msg"] {
        if let Some(message @ (Value::Object(_) | Value::Array(_))) = fields.get_mut(name) {
            redact::redact_value(message);
        }
    }
    let message = first(&mut fields, &["message", "msg"], text);
    let duration_ms = first(&mut fields, &["duration_ms"], |value| value.as_f64().filter(|ms| ms.is_finite()));
    let details = object(&mut fields, "details");
    let error = error(&mut fields);
    let context = context(&mut fields);
    // `null` says that there is nothing: it is no unknown value to be kept.
    fields.retain(|_, value| !value.is_null());
    Record {
        timestamp: timestamp.unwrap_or(source.event_time),
        level: level.unwrap_or(Level::Info),
        category: category.unwrap_or(Category::System),
        message: message.unwrap_or_default(),
        context,
        details,
        error,
        duration_ms,
        extra: fields,
        source: Source { format, ..source },
    }
}

fn format_of(fields: &Map<String, Value>) -> Format {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if fields.get("_aws").is_some_and(Value::is_object) {
        Format::Emf
    } else if text("level").is_some_and(|level| level.starts_with("LogLevel.")) {
        Format::Python
    } else if text("level").is_some() && text("category").is_some() && text("message").is_some() {
        Format::SchemaV1
    } else {
        Format::Json
    }
}

/// Takes the first of `names` whose value `read` understands out of `fields`.
fn first<T>(fields: &mut Map<String, Value>, names: &[&str], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    names.iter().find_map(|name| {
        let value = read(fields.get(*name)?)?;
        fields.remove(*name);
        Some(value)
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Takes an object out of `fields`; anything else that stands there is left to `extra`.
fn object(fields: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    if !fields.get(name).is_some_and(Value::is_object) {
        return Map::new();
    }
    match fields.remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// `error`, or Pino's `err`. A text is the error's message.
fn error(fields: &mut Map<String, Value>) -> Map<String, Value> {
    for name in ["error", "err"] {
        let found = match fields.get(name) {
            Some(Value::Object(_)) => object(fields, name),
            Some(Value::String(_)) => Map::from_iter(fields.remove(name).map(|text| ("message".to_owned(), text))),
            _ => continue,
        };
        return found;
    }
    Map::new()
}

/// The request's ids, from `context` or, as many loggers write them, from the top. Numbers are taken
/// as text; what `context` has beyond is kept there.
fn context(fields: &mut Map<String, Value>) -> Context {
    let mut inner = object(fields, "context");
    let mut take = |name: &str| {
        let id = |value: &Value| text(value).filter(|_| value.is_string() || value.is_number());
        first(&mut inner, &[name], id).or_else(|| first(fields, &[name], id))
    };
    let context = Context {
        request_id: take("request_id"),
        user_id: take("user_id"),
        session_id: take("session_id"),
        service_name: take("service_name"),
        environment: take("environment"),
        version: take("version"),
        trace_id: take("trace_id"),
        span_id: take("span_id"),
    };
    inner.retain(|_, value| !value.is_null());
    if !inner.is_empty() {
        fields.insert("context".to_owned(), Value::Object(inner));
    }
    context
}

/// RFC 3339, the same without an offset (UTC: the source document's `utcnow().isoformat()`), or a
/// number of seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by size.
fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok().or_else(|| {
            let local: DateTime = text.parse().ok()?;
            local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        }),
        Value::Number(number) => {
            let number = number.as_f64().filter(|number| *number > 0.0)?;
            let millis = match number {
                n if n < 1e11 => n * 1e3,
                n if n < 1e14 => n,
                n if n < 1e17 => n / 1e3,
                n => n / 1e6,
            };
            Timestamp::from_millisecond(millis.round() as i64).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::tests::source;
    use super::*;
    use serde_json::json;

    fn record_of(line: &Value) -> Record {
        parse(&line.to_string(), source())
    }

    #[test]
    fn schema_v1_is_read_field_by_field() {
        let record = record_of(&json!({
            "timestamp": "2026-11-21T10:05:03.123Z", "level": "ERROR", "category": "business_logic",
            "message": "Договор не создан",
            "context": { "request_id": "r-1", "user_id": 42, "service_name": "contract", "tenant": "north" },
            "details": { "event": "contract_creation_failed" },
            "error": { "type": "Timeout", "message": "rosreestr" },
            "duration_ms": 12.5, "build": "abc"
        }));
        assert_eq!(record.timestamp.to_string(), "2026-11-21T10:05:03.123Z");
        assert_eq!((record.level, record.category), (Level::Error, Category::BusinessLogic));
        assert_eq!(record.message, "Договор не создан");
        assert_eq!(record.context.user_id.as_deref(), Some("42"));
        assert_eq!(record.context.service_name.as_deref(), Some("contract"));
        assert_eq!(record.error["type"], "Timeout");
        assert_eq!(record.duration_ms, Some(12.5));
        assert_eq!(Value::Object(record.extra), json!({ "build": "abc", "context": { "tenant": "north" } }));
        assert_eq!(record.source.format, Format::SchemaV1);
    }

    #[test]
    fn the_source_documents_own_output_is_read_as_it_is_printed() {
        // Defects 23 and 24: enum names, a time without an offset.
        let record = record_of(&json!({
            "timestamp": "2026-11-21T10:05:03.123456", "level": "LogLevel.ERROR", "category": "LogCategory.PERFORMANCE",
            "message": "Operation: x", "context": { "request_id": "r", "user_id": null }, "details": null,
            "error": null, "duration_ms": null
        }));
        assert_eq!(record.timestamp.to_string(), "2026-11-21T10:05:03.123456Z");
        assert_eq!((record.level, record.category), (Level::Error, Category::Performance));
        assert_eq!((record.duration_ms, record.source.format), (None, Format::Python));
        assert!(record.extra.is_empty(), "{:?}", record.extra);
    }

    #[test]
    fn null_fields_are_nothing_and_no_crash() {
        // Defect 34: `duration_ms: null` was a TypeError.
        let record = record_of(&json!({
            "timestamp": null, "level": null, "category": null, "message": null, "context": null, "details": null,
            "error": null, "duration_ms": null
        }));
        assert_eq!(record.timestamp, source().event_time);
        assert_eq!((record.level, record.message.as_str()), (Level::Info, ""));
        assert!(record.extra.is_empty());
    }

    #[test]
    fn common_dialects_are_understood() {
        let pino = record_of(&json!({ "level": 50, "time": 1_795_000_000_123_i64, "msg": "x", "pid": 7 }));
        assert_eq!((pino.level, pino.message.as_str()), (Level::Error, "x"));
        assert_eq!(pino.timestamp.to_string(), "2026-11-18T11:06:40.123Z");
        assert_eq!(pino.extra["pid"], 7);
        let other = record_of(&json!({ "severity": "warn", "ts": 1_795_000_000.5, "message": { "a": 1 } }));
        assert_eq!((other.level, other.message.as_str()), (Level::Warning, r#"{"a":1}"#));
        assert_eq!(other.timestamp.to_string(), "2026-11-18T11:06:40.5Z");
        let emf = record_of(&json!({ "_aws": { "Timestamp": 1 }, "latency": 3 }));
        assert_eq!(emf.source.format, Format::Emf);
        assert_eq!(emf.extra["latency"], 3);
        let failed = record_of(&json!({ "level": "info", "msg": "x", "error": "broken" }));
        assert_eq!(failed.error["message"], "broken");
        assert_eq!(failed.level, Level::Info, "the level is the field, not a guess");
    }

    #[test]
    fn values_of_wrong_types_are_kept_beside() {
        let line = json!({ "level": "loud", "category": 7, "message": "m", "details": "d", "duration_ms": "12", "timestamp": "soon", "context": [1] });
        let record = record_of(&line);
        assert_eq!((record.level, record.category), (Level::Info, Category::System));
        for name in ["level", "category", "details", "duration_ms", "timestamp", "context"] {
            assert_eq!(record.extra[name], line[name], "{name}");
        }
    }
}
