//! What the lines of a batch say of security, summed up for whoever has to hear of it at once: an event for each
//! service, event type and level, with what is known of it already redacted. Only lines of the category `security` are looked
//! at, after they were written.

use core::net::{IpAddr, SocketAddr};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schema::Level;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _, Serialize};
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

/// Names of fields of an event.
const MAX_FIELDS: usize = 12;

/// Values of a field that are told apart; what comes after is counted as [`OTHER`].
const MAX_VALUES: usize = 5;

/// What stands for the address of a network in a field: the archive has it for whoever looks into the matter, messages and
/// labels of alerts have not (defect 22).
pub const ADDRESS: &str = "[address]";

/// Bytes that a name or a value of a field keeps.
const MAX_TEXT_BYTES: usize = 200;

/// Ids of traces of an event.
const MAX_TRACES: usize = 5;

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
    /// When the first of them was written.
    pub first: Timestamp,
    /// When the last of them was.
    pub last: Timestamp,
    /// Their level, `WARNING` say: lines of another level are another event.
    pub level: String,
    /// Values of their details (texts, numbers, truth values), each with the number of lines that have it. Redacted, as
    /// the archive is.
    pub fields: BTreeMap<String, BTreeMap<String, u64>>,
    /// Traces that they belong to, up to five.
    pub trace_ids: Vec<String>,
    /// The batch, by which their lines are found in the archive.
    pub batch_id: String,
}

impl SecurityEvent {
    /// The same within the bounds that [`Collected`] keeps: whoever may publish could send anything.
    #[must_use]
    pub fn bounded(mut self) -> SecurityEvent {
        for text in [&mut self.id, &mut self.environment, &mut self.service, &mut self.event_type, &mut self.level] {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        }
        self.batch_id.truncate(self.batch_id.floor_char_boundary(MAX_TEXT_BYTES));
        self.trace_ids.truncate(MAX_TRACES);
        self.trace_ids.iter_mut().for_each(|id| id.truncate(id.floor_char_boundary(MAX_TEXT_BYTES)));
        let cut_off = |(name, count): (String, u64)| (cut(&name).to_owned(), count);
        let fields = self.fields.into_iter().take(MAX_FIELDS);
        self.fields = fields
            .map(|(name, values)| {
                let values = values.into_iter().take(MAX_VALUES + 1).map(cut_off).collect();
                (cut(&name).to_owned(), values)
            })
            .collect();
        self
    }

    /// The event for a bus. Its time is that of the last line.
    pub fn to_bus(&self) -> BusEvent {
        BusEvent {
            source: SOURCE.to_owned(),
            detail_type: DETAIL_TYPE.to_owned(),
            detail: serde_json::to_string(self).expect("texts, numbers and maps with text keys always serialise"),
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
    first: i64,
    last: i64,
    fields: BTreeMap<String, BTreeMap<String, u64>>,
    trace_ids: Vec<String>,
}

/// What of an archived line matters, as JSON.
#[derive(Default)]
struct Line<'a> {
    level: Option<&'a str>,
    context: Option<&'a str>,
    details: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Of a line that the writer wrote. What is behind the last of these is not looked at: it is half of the line.
    fn read(line: &'a str) -> Result<Line<'a>, NotJson> {
        let (mut reader, mut read) = (Reader::new(line.as_bytes()), Line::default());
        let mut more = reader.open(b'{', b'}')?;
        while more && (read.level.is_none() || read.context.is_none() || read.details.is_none()) {
            let name = reader.name()?;
            let value = &line[reader.value()?];
            match &line[name.start..name.end] {
                "level" => read.level = Some(value.trim_matches('"')),
                "context" => read.context = Some(value),
                "details" => read.details = Some(value),
                _ => {}
            }
            more = reader.more(b'}')?;
        }
        Ok(read)
    }
}

#[derive(Default, Deserialize)]
struct Context<'a> {
    #[serde(borrow)]
    trace_id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
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
        let Ok(Line { level, context, details }) = Line::read(line) else { return };
        let context: Context<'_> = context.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let named: Details<'_> = details.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let event_type = named.event_type.and_then(|json| scalar(json.get())).unwrap_or(Cow::Borrowed(UNSPECIFIED));
        let held = self.of(&event_type, level.and_then(Level::parse).unwrap_or(Level::Info), millis);
        held.count += 1;
        held.first = held.first.min(millis);
        held.last = held.last.max(millis);
        if let Some(trace) = context.trace_id.and_then(|json| scalar(json.get()))
            && held.trace_ids.len() < MAX_TRACES
            && !held.trace_ids.iter().any(|known| *known == trace)
        {
            held.trace_ids.push(trace.into_owned());
        }
        if let Some(user) = context.user_id.and_then(|json| scalar(json.get())) {
            held.note("user_id", &user);
        }
        if let Some(details) = details {
            // An object, as all that was read of it shows; of anything else there is nothing to note.
            let _ = serde_json::Deserializer::from_str(details).deserialize_map(Fields(held));
        }
    }

    /// What is collected of a type and level.
    fn of(&mut self, event_type: &str, level: Level, millis: i64) -> &mut Collecting {
        let place = |kinds: &[Collecting], name: &str| {
            kinds.iter().position(|held| held.event_type == name && held.level == level)
        };
        let known = place(&self.kinds, event_type);
        let name = if known.is_none() && self.kinds.len() >= MAX_TYPES { OTHER } else { event_type };
        let at = known.or_else(|| place(&self.kinds, name)).unwrap_or_else(|| {
            self.kinds.push(Collecting {
                event_type: name.to_owned(),
                level,
                count: 0,
                first: millis,
                last: millis,
                fields: BTreeMap::new(),
                trace_ids: Vec::new(),
            });
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
            first: moment(held.first),
            last: moment(held.last),
            level: held.level.as_str().to_owned(),
            fields: held.fields,
            trace_ids: held.trace_ids,
            batch_id: batch_id.to_owned(),
        };
        self.kinds.into_iter().map(event).collect()
    }
}

impl Collecting {
    fn note(&mut self, name: &str, value: &str) {
        let name = cut(name);
        if !self.fields.contains_key(name) {
            if self.fields.len() >= MAX_FIELDS {
                return;
            }
            self.fields.insert(name.to_owned(), BTreeMap::new());
        }
        let Some(values) = self.fields.get_mut(name) else { return };
        let value = if is_address(value) { ADDRESS } else { value };
        let value = if values.len() >= MAX_VALUES && !values.contains_key(value) { OTHER } else { value };
        match values.get_mut(value) {
            Some(count) => *count += 1,
            None => drop(values.insert(value.to_owned(), 1)),
        }
    }
}

/// Whether it is the address of a host, or of a network, or has a port.
fn is_address(value: &str) -> bool {
    let host = value.split_once('/').map_or(value, |(host, _)| host);
    host.parse::<IpAddr>().is_ok() || host.parse::<SocketAddr>().is_ok()
}

/// Notes the fields of `details` one by one.
struct Fields<'c>(&'c mut Collecting);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            if name != "event_type"
                && let Some(value) = scalar(value.get())
            {
                self.0.note(&name, &value);
            }
        }
        Ok(())
    }
}

/// A time that no calendar shows is as good as its end.
fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The text of a JSON text that is not blank, of a number or of a truth value, as long as a field's may be.
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
            "message": "m", "context": {"service_name": "user", "trace_id": "1-5759e988-000000000000000000000001"},
            "details": details});
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
    fn lines_of_one_type_are_one_event_with_their_number_and_what_they_say() {
        // Defect 22: three events, three mails.
        let bad = json!({"reason": "bad_password", "attempt": 3, "remembered": false, "nothing": null, "list": [1]});
        let events = collected(&[
            (line(Some("login_failed"), "WARNING", &bad), 2_000),
            (line(Some("login_failed"), "WARNING", &json!({"reason": "locked"})), 1_000),
            (line(Some("login_failed"), "WARNING", &bad), 3_000),
            (line(Some("login_failed"), "CRITICAL", &bad), 3_000),
            (line(None, "WARNING", &json!({"reason": "?"})), 4_000),
        ]);
        let [failed, critical, unspecified] = &events[..] else { panic!("three: {events:?}") };
        assert_eq!((failed.event_type.as_str(), failed.count, failed.level.as_str()), ("login_failed", 3, "WARNING"));
        assert_eq!(
            (critical.event_type.as_str(), critical.count, critical.level.as_str()),
            ("login_failed", 1, "CRITICAL")
        );
        assert_eq!((failed.first.as_millisecond(), failed.last.as_millisecond()), (1_000, 3_000));
        let of = |name: &str| failed.fields[name].iter().map(|(v, n)| format!("{v}:{n}")).collect::<Vec<_>>();
        assert_eq!(failed.fields.keys().collect::<Vec<_>>(), ["attempt", "reason", "remembered"]);
        assert_eq!(
            (of("attempt"), of("reason"), of("remembered")),
            (
                vec!["3:2".to_owned()],
                vec!["bad_password:2".to_owned(), "locked:1".to_owned()],
                vec!["false:2".to_owned()]
            )
        );
        assert_eq!(failed.trace_ids, ["1-5759e988-000000000000000000000001"]);
        assert_eq!((unspecified.event_type.as_str(), unspecified.count), (UNSPECIFIED, 1));
        assert!(failed.id != unspecified.id && failed.id != critical.id);
        let read: SecurityEvent = serde_json::from_str(&failed.to_bus().detail).unwrap();
        assert_eq!(&read, failed);
        assert_eq!(failed.to_bus().epoch_seconds, 3);
    }

    #[test]
    fn an_address_is_not_told() {
        for (value, expected) in [
            ("93.184.216.34", ADDRESS),
            ("10.0.0.1/8", ADDRESS),
            ("10.0.0.1:8080", ADDRESS),
            ("2001:db8::1", ADDRESS),
            ("[2001:db8::1]:443", ADDRESS),
            ("1.2.3", "1.2.3"),
            ("role/admin", "role/admin"),
        ] {
            let events = collected(&[(line(Some("t"), "INFO", &json!({ "from": value })), 0)]);
            assert_eq!(events[0].fields["from"].keys().collect::<Vec<_>>(), [expected], "{value}");
        }
    }

    #[test]
    fn free_texts_make_no_event_without_bound_and_nothing_is_left_uncounted() {
        let lines: Vec<_> = (0..200)
            .map(|at| (line(Some(&format!("type {at:03}")), "INFO", &json!({"reason": "x".repeat(1_000)})), at))
            .collect();
        let events = collected(&lines);
        assert_eq!(events.len(), MAX_TYPES + 1);
        assert_eq!(events.iter().map(|event| event.count).sum::<u64>(), 200);
        assert!(events.iter().any(|event| event.event_type == OTHER && event.count == 150));
        assert!(events.iter().all(|event| event.fields["reason"].keys().all(|text| text.len() <= MAX_TEXT_BYTES)));

        let mut details = serde_json::Map::new();
        (0..100).for_each(|at| drop(details.insert(format!("field {at:03}"), json!(at))));
        let lines: Vec<_> = (0..20)
            .map(|at| {
                details["field 000"] = json!(format!("value {at:02}"));
                (line(Some("t"), "INFO", &details.clone().into()), at)
            })
            .collect();
        let events = collected(&lines);
        assert_eq!(events[0].fields.len(), MAX_FIELDS);
        let values = &events[0].fields["field 000"];
        assert_eq!((values.len(), values.values().sum::<u64>(), values[OTHER]), (MAX_VALUES + 1, 20, 15));
        assert!(events[0].to_bus().detail.len() < 64 * 1024);
    }
}
