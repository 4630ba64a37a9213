//! JSON lines: schema v1, the source document's Python output, EMF, and the common dialects.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::instant;
use crate::logs::envelope::Specials;
use crate::logs::json::{self, Kind, NotJson, Token};
use crate::logs::record::{CONTEXT, Category, Format, Json, Level, Message, Record, Time};
use crate::logs::short::Short;

/// A name that means something at the top level of a line or in its `context`. The ids of a context come
/// first, as in [`CONTEXT`].
#[derive(Clone, Copy)]
enum Name {
    RequestId,
    UserId,
    SessionId,
    Service,
    Environment,
    Version,
    TraceId,
    SpanId,
    Timestamp,
    Ts,
    Time,
    AtTimestamp,
    Level,
    Severity,
    Lvl,
    LogLevel,
    Category,
    Message,
    Msg,
    Context,
    Details,
    Error,
    Err,
    DurationMs,
    Span,
    Aws,
}

const NAMES: [(Short, Name); Name::Aws as usize + 1] = {
    const fn name(text: &str, name: Name) -> (Short, Name) {
        (Short::of(text.as_bytes()).expect("all names here are short"), name)
    }
    [
        name("request_id", Name::RequestId),
        name("user_id", Name::UserId),
        name("session_id", Name::SessionId),
        name("service_name", Name::Service),
        name("environment", Name::Environment),
        name("version", Name::Version),
        name("trace_id", Name::TraceId),
        name("span_id", Name::SpanId),
        name("timestamp", Name::Timestamp),
        name("ts", Name::Ts),
        name("time", Name::Time),
        name("@timestamp", Name::AtTimestamp),
        name("level", Name::Level),
        name("severity", Name::Severity),
        name("lvl", Name::Lvl),
        name("loglevel", Name::LogLevel),
        name("category", Name::Category),
        name("message", Name::Message),
        name("msg", Name::Msg),
        name("context", Name::Context),
        name("details", Name::Details),
        name("error", Name::Error),
        name("err", Name::Err),
        name("duration_ms", Name::DurationMs),
        name("span", Name::Span),
        name("_aws", Name::Aws),
    ]
};

/// Names have slots of so many bits: enough that no two have the same one.
const SLOT_BITS: u32 = 10;

/// By slot: the place of the only name that can be meant.
const PLACES: [u8; 1 << SLOT_BITS] = {
    let mut places = [0; 1 << SLOT_BITS];
    let mut place = 0;
    while place < NAMES.len() {
        let slot = NAMES[place].0.slot(SLOT_BITS);
        // The first one is in the slots of no name: any will do.
        assert!(places[slot] == 0, "two names have the same slot");
        places[slot] = place as u8;
        place += 1;
    }
    places
};

/// Of several names for one thing the first whose value is understood counts.
const TIME: [Name; 4] = [Name::Timestamp, Name::Ts, Name::Time, Name::AtTimestamp];
const LEVEL: [Name; 4] = [Name::Level, Name::Severity, Name::Lvl, Name::LogLevel];
const MESSAGE: [Name; 2] = [Name::Message, Name::Msg];
const ERROR: [Name; 2] = [Name::Error, Name::Err];
/// The bits of the ids of a context.
const IDS: u32 = (1 << CONTEXT.len()) - 1;

/// Reads a line that is one JSON object. Fields of wrong types and unknown ones are left in `record.left`.
/// Without the positions of what is special in the line, these are looked up. It may lie as deep as `depth`.
pub(super) fn read(record: &mut Record<'_>, specials: Option<Specials<'_>>, depth: usize) -> Result<(), NotJson> {
    tokenize(record, specials, depth)?;
    let Record { line, tokens, left, left_of_context, .. } = record;
    let mut top = Known::of(line, tokens, 0, left);
    record.format = format_of(&top);
    record.time = top.first(&TIME, time).unwrap_or_default();
    record.level = top.first(&LEVEL, level).unwrap_or(Level::Info);
    let category = top.first(&[Name::Category], |value| Category::parse(value.plain()?));
    record.category = category.unwrap_or(Category::System);
    let message = top.first(&MESSAGE, |value| (value.kind != Kind::Null).then_some(Message::Json(value)));
    record.message = message.unwrap_or(Message::Plain(""));
    record.duration_ms = top.first(&[Name::DurationMs], |value| value.number().map(|_| value.text));
    record.details = top.first(&[Name::Details], Json::object);
    record.span = top.first(&[Name::Span], |value| value.object().filter(|span| is_span(line, tokens, *span)));
    record.error = top.first(&ERROR, |value| (value.kind == Kind::Object || value.quoted().is_some()).then_some(value));
    // The ids stand in `context` or, as many loggers write them, at the top.
    if let Some(context) = top.first(&[Name::Context], Json::object) {
        let mut inner = Known::of(line, tokens, context.token, left_of_context);
        inner.take_ids(&mut record.context);
        inner.leave(left_of_context);
    }
    top.take_ids(&mut record.context);
    top.leave(left);
    Ok(())
}

/// The tokens of the line, which is an object and nothing else.
fn tokenize(record: &mut Record<'_>, specials: Option<Specials<'_>>, depth: usize) -> Result<(), NotJson> {
    let text = record.line.as_bytes();
    match specials {
        Some(Specials { positions, base }) => json::tokenize_to(depth, text, positions, base, &mut record.tokens),
        None => {
            let mut positions = Vec::new();
            json::find_specials(text, &mut positions);
            json::tokenize_to(depth, text, &positions, 0, &mut record.tokens)
        }
    }
}

/// The fields of an object whose names are known, until they are taken.
struct Known<'t, 'a> {
    line: &'a str,
    tokens: &'t [Token],
    /// Which of them there are, one bit each.
    present: u32,
    /// Of those, the tokens of their names.
    places: [u32; NAMES.len()],
}

impl<'t, 'a> Known<'t, 'a> {
    /// Of the object at the token `object`. What is unknown, or comes again, is appended to `left`.
    fn of(line: &'a str, tokens: &'t [Token], object: u32, left: &mut Vec<u32>) -> Known<'t, 'a> {
        let mut known = Known { line, tokens, present: 0, places: [0; NAMES.len()] };
        for place in json::fields(tokens, object) {
            match known_name(line.as_bytes(), tokens[place as usize]) {
                Some(name) if !known.has(name) => {
                    known.present |= 1 << name as u32;
                    known.places[name as usize] = place;
                }
                _ => known.leave_one(place, left),
            }
        }
        known
    }

    fn has(&self, name: Name) -> bool {
        self.present >> name as u32 & 1 != 0
    }

    fn get(&self, name: Name) -> Option<Json<'a>> {
        self.has(name).then(|| Json::at(self.line, self.tokens, self.places[name as usize] + 1))
    }

    /// Takes the first of `names` whose value `read` understands.
    fn first<T>(&mut self, names: &[Name], read: impl Fn(Json<'a>) -> Option<T>) -> Option<T> {
        names.iter().find_map(|&name| {
            let value = read(self.get(name)?)?;
            self.present &= !(1 << name as u32);
            Some(value)
        })
    }

    /// Takes the ids that `context` has not.
    fn take_ids(&mut self, context: &mut [Option<Json<'a>>; CONTEXT.len()]) {
        let mut ids = self.present & IDS;
        while ids != 0 {
            let id = ids.trailing_zeros() as usize;
            ids &= ids - 1;
            let value = Json::at(self.line, self.tokens, self.places[id] + 1);
            if context[id].is_none() && value.is_scalar() {
                context[id] = Some(value);
                self.present &= !(1 << id);
            }
        }
    }

    /// Appends what was not taken to `left`, which is in order then.
    fn leave(mut self, left: &mut Vec<u32>) {
        if self.present == 0 {
            return;
        }
        while self.present != 0 {
            let name = self.present.trailing_zeros();
            self.present &= self.present - 1;
            self.leave_one(self.places[name as usize], left);
        }
        left.sort_unstable();
    }

    fn leave_one(&self, place: u32, left: &mut Vec<u32>) {
        if self.tokens[place as usize + 1].kind != Kind::Null {
            left.push(place);
        }
    }
}

/// Whether an object says what was done, as every span does. Others may call something a span that is none.
fn is_span(line: &str, tokens: &[Token], span: Json<'_>) -> bool {
    let is_name = |place: u32| Json::at(line, tokens, place).text == "operation_name";
    json::fields(tokens, span.token)
        .any(|place| is_name(place) && Json::at(line, tokens, place + 1).quoted().is_some_and(|text| !text.is_empty()))
}

fn known_name(line: &[u8], name: Token) -> Option<Name> {
    let short = Short::at(line, name.start as usize, name.end as usize)?;
    let (known, name) = NAMES[PLACES[short.slot(SLOT_BITS)] as usize];
    (known == short).then_some(name)
}

fn format_of(fields: &Known<'_, '_>) -> Format {
    let text = |name| fields.get(name).and_then(Json::quoted);
    if fields.get(Name::Aws).is_some_and(|value| value.kind == Kind::Object) {
        Format::Emf
    } else if text(Name::Level).is_some_and(|level| level.starts_with("LogLevel.")) {
        Format::Python
    } else if text(Name::Level).is_some() && text(Name::Category).is_some() && text(Name::Message).is_some() {
        Format::SchemaV1
    } else {
        Format::Json
    }
}

fn level(value: Json<'_>) -> Option<Level> {
    match value.plain() {
        Some(name) => Level::parse(name),
        None => value.number().and_then(Level::of_number),
    }
}

/// RFC 3339, the same without an offset (UTC: the source document's `utcnow().isoformat()`), or a
/// number of seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by size.
fn time(value: Json<'_>) -> Option<Time<'_>> {
    let Some(text) = value.plain() else { return value.number().and_then(of_epoch).map(Time::At) };
    if instant::is_canonical(text) {
        return Some(Time::Written(text));
    }
    time_of_text(text).map(Time::At)
}

/// RFC 3339, or the same without an offset, which is UTC.
pub(crate) fn time_of_text(text: &str) -> Option<Timestamp> {
    let zoned = || {
        let local: DateTime = text.parse().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    text.parse().ok().or_else(zoned)
}

fn of_epoch(number: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds_of_epoch(number)? * 1e3).round() as i64).ok()
}

/// Seconds since the epoch of a number of them, or of milliseconds, microseconds or nanoseconds, told apart by size.
pub(crate) fn seconds_of_epoch(number: f64) -> Option<f64> {
    match number {
        n if n <= 0.0 => None,
        n if n < 1e11 => Some(n),
        n if n < 1e14 => Some(n / 1e3),
        n if n < 1e17 => Some(n / 1e6),
        n => Some(n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(line: &str) -> Record<'_> {
        let mut record = Record::default();
        parse(line, None, &mut record);
        record
    }

    /// Names and values of the fields `left`.
    fn fields<'a>(record: &Record<'a>, left: &[u32]) -> Vec<(&'a str, &'a str)> {
        left.iter().map(|&place| (record.json(place).text, record.json(place + 1).text)).collect()
    }

    fn message<'a>(record: &Record<'a>) -> &'a str {
        match record.message {
            Message::Json(value) => value.text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn schema_v1_is_read_field_by_field() {
        let line = r#"{"timestamp": "2026-11-21T10:05:03.123Z", "level": "ERROR", "category": "business_logic",
            "message": "Договор не создан", "details": { "event": "contract_creation_failed" }, "duration_ms": 12.5,
            "context": { "request_id": "r-1", "user_id": 42, "service_name": "contract", "tenant": "north" },
            "error": { "type": "Timeout", "message": "rosreestr" }, "build": "abc"}"#;
        let record = read(line);
        assert_eq!(record.format, Format::SchemaV1);
        assert_eq!(record.time, Time::Written("2026-11-21T10:05:03.123Z"));
        assert_eq!((record.level, record.category), (Level::Error, Category::BusinessLogic));
        assert_eq!(message(&record), "Договор не создан");
        let ids = [Some("r-1"), Some("42"), None, Some("contract"), None, None, None, None];
        assert_eq!(record.context.map(|id| id.map(|id| id.text)), ids);
        let text = |value: Option<Json<'_>>| value.map(|value| value.text.to_owned()).unwrap_or_default();
        assert_eq!(text(record.error), r#"{ "type": "Timeout", "message": "rosreestr" }"#);
        assert_eq!(text(record.details), r#"{ "event": "contract_creation_failed" }"#);
        assert_eq!(record.duration_ms, Some("12.5"));
        assert_eq!(fields(&record, &record.left), [("build", "abc")]);
        assert_eq!(fields(&record, &record.left_of_context), [("tenant", "north")]);
    }

    #[test]
    fn the_source_documents_own_output_is_read_as_it_is_printed() {
        // Defects 23 and 24: enum names, a time without an offset.
        let record = read(
            r#"{"timestamp": "2026-11-21T10:05:03.123456", "level": "LogLevel.ERROR", "category": "LogCategory.PERFORMANCE",
            "message": "Operation: x", "context": {"request_id": "r", "user_id": null}, "details": null,
            "error": null, "duration_ms": null}"#,
        );
        assert_eq!(record.time, Time::At("2026-11-21T10:05:03.123456Z".parse().unwrap()));
        assert_eq!((record.level, record.category), (Level::Error, Category::Performance));
        assert_eq!((record.duration_ms, record.details, record.format), (None, None, Format::Python));
        assert_eq!(fields(&record, &record.left), []);
    }

    #[test]
    fn every_name_is_known_by_itself_and_the_ids_as_in_a_context() {
        for (place, (name, of)) in NAMES.into_iter().enumerate() {
            assert_eq!(of as usize, place);
            assert!(CONTEXT.get(place).is_none_or(|id| Short::of(id.as_bytes()) == Some(name)));
        }
        let token = |end| Token { kind: Kind::Plain, start: 0, end, next: 1 };
        assert!(matches!(known_name(b"request_id", token(10)), Some(Name::RequestId)));
        assert!(matches!(known_name(b"_aws", token(4)), Some(Name::Aws)));
        assert!(known_name(b"_aws", token(3)).is_none() && known_name(b"tenant", token(6)).is_none());
    }

    #[test]
    fn null_fields_are_nothing_and_no_crash() {
        // Defect 34: `duration_ms: null` was a TypeError.
        let record = read(
            r#"{"timestamp":null,"level":null,"category":null,"message":null,"context":null,"details":null,"error":null,"duration_ms":null}"#,
        );
        assert_eq!((record.time, record.level), (Time::Unknown, Level::Info));
        assert_eq!((record.message, record.details, record.duration_ms), (Message::Plain(""), None, None));
    }

    #[test]
    fn common_dialects_are_understood() {
        let at = |text: &str| Time::At(text.parse().unwrap());
        for (line, level, time, message, format) in [
            (
                r#"{"level":50,"time":1795000000123,"msg":"x","pid":7}"#,
                Level::Error,
                at("2026-11-18T11:06:40.123Z"),
                "x",
                Format::Json,
            ),
            (
                r#"{"severity":"warn","ts":1795000000.5,"message":{"a":1}}"#,
                Level::Warning,
                at("2026-11-18T11:06:40.5Z"),
                r#"{"a":1}"#,
                Format::Json,
            ),
            (
                r#"{"level":"info","@timestamp":"2026-11-21T13:05:03+03:00","msg":"x","error":"broken"}"#,
                Level::Info,
                at("2026-11-21T10:05:03Z"),
                "x",
                Format::Json,
            ),
            (r#"{"_aws":{"Timestamp":1},"message":7}"#, Level::Info, Time::Unknown, "7", Format::Emf),
        ] {
            let record = read(line);
            assert_eq!((record.level, record.time, record.format), (level, time, format), "{line}");
            assert_eq!(super::tests::message(&record), message, "{line}");
        }
    }

    #[test]
    fn values_of_wrong_types_are_left() {
        let line = r#"{"level":"loud","category":7,"message":"m","details":"d","duration_ms":"12","timestamp":"soon","context":[1]}"#;
        let record = read(line);
        assert_eq!((record.level, record.category), (Level::Info, Category::System));
        let names: Vec<&str> = fields(&record, &record.left).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["level", "category", "details", "duration_ms", "timestamp", "context"]);
    }

    #[test]
    fn of_a_field_that_comes_twice_the_first_counts_and_the_other_is_left() {
        let record = read(r#"{"level":"ERROR","level":"INFO","message":"m"}"#);
        assert_eq!(record.level, Level::Error);
        assert_eq!(fields(&record, &record.left), [("level", "INFO")]);
    }
}
