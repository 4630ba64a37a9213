//! What the lines of a batch say of security, summed up for whoever has to hear of it at once: an event for each
//! service, event type and level, with how many lines say so. What else they say lies in the archive alone: no rule can
//! ask for it, and whoever may read the bus or the inbox need not know who it was. Only lines of the category `security`
//! are looked at, after they were written.

use std::borrow::Cow;

use jiff::Timestamp;
use schema::Level;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::keys;
use crate::logs::json::{NotJson, Reader};
use crate::ports::BusEvent;

/// Who publishes these events, as EventBridge's `source`.
pub const SOURCE: &str = "land-contracts.observability";

/// EventBridge's `detail-type` of these events.
pub const DETAIL_TYPE: &str = "SecurityEvent";

/// The type of lines that tell none.
pub const UNSPECIFIED: &str = "unspecified";

/// The type that all types of a batch beyond [`MAX_TYPES`] have.
pub const OTHER: &str = "other";

/// Event types of a batch that are told apart: free texts are no types.
const MAX_TYPES: usize = 50;

/// Bytes that a text of an event keeps.
const MAX_TEXT_BYTES: usize = 200;

/// What one batch says of one type of security event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityEvent {
    /// Version of this format, 1.
    pub version: u32,
    /// Hash of batch, service, type and level: a batch that comes again tells the same event again.
    pub id: String,
    /// Environment.
    pub environment: String,
    /// Service.
    pub service: String,
    /// `login_failed`, say.
    pub event_type: String,
    /// How many lines say so.
    pub count: u64,
    /// When the last of them was written.
    pub last: Timestamp,
    /// Their level, `WARNING` say: lines of another level are another event.
    pub level: String,
}

impl SecurityEvent {
    /// The same within the bounds that [`Collected`] keeps: whoever may publish could send anything.
    #[must_use]
    pub fn bounded(mut self) -> SecurityEvent {
        for text in [&mut self.id, &mut self.environment, &mut self.service, &mut self.event_type, &mut self.level] {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        }
        self
    }

    /// The event for a bus. Its time is that of the last line.
    pub fn to_bus(&self) -> BusEvent {
        BusEvent {
            source: SOURCE.to_owned(),
            detail_type: DETAIL_TYPE.to_owned(),
            detail: serde_json::to_string(self).expect("texts and numbers always serialise"),
            epoch_seconds: self.last.as_second(),
        }
    }
}

/// The security events of a batch in the making. What is seen again allocates nothing.
#[derive(Debug, Default)]
pub struct Collected {
    /// Few: see [`MAX_TYPES`].
    kinds: Vec<Collecting>,
}

#[derive(Debug)]
struct Collecting {
    event_type: String,
    level: Level,
    count: u64,
    last: i64,
}

/// What of an archived line matters, as JSON.
#[derive(Default)]
struct Line<'a> {
    level: Option<&'a str>,
    details: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Of a line that the writer wrote. What is behind the last of these is not looked at: it is half of the line.
    fn read(line: &'a str) -> Result<Line<'a>, NotJson> {
        let (mut reader, mut read) = (Reader::new(line.as_bytes()), Line::default());
        let mut more = reader.open(b'{', b'}')?;
        while more && (read.level.is_none() || read.details.is_none()) {
            let name = reader.name()?;
            let value = &line[reader.value()?];
            match &line[name.start..name.end] {
                "level" => read.level = Some(value.trim_matches('"')),
                "details" => read.details = Some(value),
                _ => {}
            }
            more = reader.more(b'}')?;
        }
        Ok(read)
    }
}

#[derive(Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    event_type: Option<&'a RawValue>,
}

/// A name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Collected {
    /// Adds a line of the category `security`, as it was written for the archive, with its event time.
    pub fn add(&mut self, line: &[u8], millis: i64) {
        // What the writer writes is JSON of this form.
        let Ok(line) = simdutf8::basic::from_utf8(line) else { return };
        let Ok(Line { level, details }) = Line::read(line) else { return };
        let named: Details<'_> = details.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let event_type = named.event_type.and_then(|json| scalar(json.get())).unwrap_or(Cow::Borrowed(UNSPECIFIED));
        let held = self.of(&event_type, level.and_then(Level::parse).unwrap_or(Level::Info), millis);
        held.count += 1;
        held.last = held.last.max(millis);
    }

    /// What is collected of a type and level.
    fn of(&mut self, event_type: &str, level: Level, millis: i64) -> &mut Collecting {
        let place = |kinds: &[Collecting], name: &str| {
            kinds.iter().position(|held| held.event_type == name && held.level == level)
        };
        let known = place(&self.kinds, event_type);
        let name = if known.is_none() && self.kinds.len() >= MAX_TYPES { OTHER } else { event_type };
        let at = known.or_else(|| place(&self.kinds, name)).unwrap_or_else(|| {
            self.kinds.push(Collecting { event_type: name.to_owned(), level, count: 0, last: millis });
            self.kinds.len() - 1
        });
        &mut self.kinds[at]
    }

    /// The events of the batch, by type and level.
    pub fn finish(mut self, batch_id: &str, environment: &str, service: &str) -> Vec<SecurityEvent> {
        self.kinds.sort_by(|a, b| (&a.event_type, a.level).cmp(&(&b.event_type, b.level)));
        let event = |held: Collecting| SecurityEvent {
            version: 1,
            id: keys::fingerprint([batch_id, service, &held.event_type, held.level.as_str()].map(str::as_bytes)),
            environment: environment.to_owned(),
            service: service.to_owned(),
            event_type: held.event_type,
            count: held.count,
            last: moment(held.last),
            level: held.level.as_str().to_owned(),
        };
        self.kinds.into_iter().map(event).collect()
    }
}

/// A time that no calendar shows is as good as its end.
fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The text of a JSON text that is not blank, of a number or of a truth value, as long as an event's may be.
fn scalar(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => {
            let Name(text) = serde_json::from_str(json).ok()?;
            let text = match text {
                Cow::Borrowed(text) => Cow::Borrowed(cut(text.trim())),
                Cow::Owned(text) => Cow::Owned(cut(text.trim()).to_owned()),
            };
            Some(text).filter(|text| !text.is_empty())
        }
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(cut(json))),
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(event_type: Option<&str>, level: &str, details: &serde_json::Value) -> Vec<u8> {
        let mut line = json!({"timestamp": "2026-11-21T10:05:03.120Z", "level": level, "category": "security",
            "message": "m", "context": {"service_name": "user", "user_id": "u-42",
                "trace_id": "1-5759e988-000000000000000000000001"}, "details": details});
        if let Some(event_type) = event_type {
            line["details"]["event_type"] = json!(event_type);
        }
        let mut bytes = serde_json::to_vec(&line).unwrap();
        bytes.push(b'\n');
        bytes
    }

    fn collected(lines: &[(Vec<u8>, i64)]) -> Vec<SecurityEvent> {
        let mut collected = Collected::default();
        lines.iter().for_each(|(line, millis)| collected.add(line, *millis));
        collected.finish("b1", "production", "user")
    }

    #[test]
    fn lines_of_one_type_are_one_event_with_their_number() {
        // Defect 22: three events, three mails.
        let bad = json!({"reason": "bad_password", "attempt": 3});
        let events = collected(&[
            (line(Some("login_failed"), "WARNING", &bad), 2_000),
            (line(Some("login_failed"), "WARNING", &json!({"reason": "locked"})), 3_000),
            (line(Some("login_failed"), "WARNING", &bad), 1_000),
            (line(Some("login_failed"), "CRITICAL", &bad), 3_000),
            (line(None, "WARNING", &json!({"reason": "?"})), 4_000),
            (line(None, "WARNING", &json!("no object")), 4_000),
        ]);
        let told: Vec<_> = events.iter().map(|event| (&*event.event_type, &*event.level, event.count)).collect();
        let expected = [("login_failed", "WARNING", 3), ("login_failed", "CRITICAL", 1), (UNSPECIFIED, "WARNING", 2)];
        assert_eq!(told, expected);
        assert_eq!(events[0].last.as_millisecond(), 3_000);
        assert!(events[0].id != events[1].id && events[0].id != events[2].id);
        let read: SecurityEvent = serde_json::from_str(&events[0].to_bus().detail).unwrap();
        assert_eq!(read, events[0]);
        assert_eq!(events[0].to_bus().epoch_seconds, 3);
    }

    #[test]
    fn who_it_was_and_from_where_is_not_told() {
        // Whoever may make a rule on the bus reads it.
        let details = json!({"reason": "bad_password", "ip_address": "93.184.216.34", "from": ["10.0.0.1"]});
        let detail = collected(&[(line(Some("login_failed"), "WARNING", &details), 0)])[0].to_bus().detail;
        let told: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&detail).unwrap();
        let names: Vec<&str> = told.keys().map(String::as_str).collect();
        let mut expected = ["version", "id", "environment", "service", "event_type", "count", "last", "level"];
        expected.sort_unstable();
        assert_eq!(names.into_iter().collect::<std::collections::BTreeSet<_>>(), expected.into_iter().collect());
        for personal in ["93.184", "10.0.0.1", "bad_password", "u-42", "5759e988"] {
            assert!(!detail.contains(personal), "{personal} in {detail}");
        }
    }

    #[test]
    fn free_texts_make_no_event_without_bound_and_nothing_is_left_uncounted() {
        let of = |at: i64| line(Some(&format!("type {at:03} {}", "x".repeat(1_000))), "INFO", &json!({}));
        let events = collected(&(0..200).map(|at| (of(at), at)).collect::<Vec<_>>());
        assert_eq!(events.len(), MAX_TYPES + 1);
        assert_eq!(events.iter().map(|event| event.count).sum::<u64>(), 200);
        assert!(events.iter().any(|event| event.event_type == OTHER && event.count == 150));
        assert!(events.iter().all(|event| event.event_type.len() <= MAX_TEXT_BYTES));
    }
}
