//! What came in from outside and waits for the evaluator: `alerts/inbox/{alarms,security}/<id>.json`.
//!
//! Whoever receives an event writes it there, under a key that depends on the event alone. A tick takes in what is there,
//! alarms first, commits that with its state, and only then deletes it. What was taken in is remembered for a day, so that an event
//! that comes again, or an object whose deletion failed, counts once.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys;
use crate::logs::quarantine::{self, Quarantined};
use crate::logs::security;
use crate::ports::Object;

use super::alarms::{self, AlarmChange, AlarmDeleted, AlarmError, Alarms, Ours};
use super::episode::Episode;
use super::event::SecurityEvent;

/// How many objects one tick takes in; each is read by a call of its own. What is beyond waits for the next one.
pub const MAX_TAKEN: usize = 200;

/// How long what was taken in is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// How many of what was taken in are remembered at most, the newest: they lie in the state, which each tick writes.
const MAX_REMEMBERED: usize = 20_000;

/// What was taken in but lies in the inbox still is remembered anew once that is older than this.
const RENEWED: SignedDuration = SignedDuration::from_hours(1);

/// How many keys of the inbox one tick looks at.
pub const MAX_LISTED: usize = 10_000;

/// The folder of alarms in the inbox. It comes before the other one in each listing, so that alarms do not wait behind an
/// attack.
const ALARMS: &str = "alarms/";

/// The folder of what services say of security.
const SECURITY: &str = "security/";

/// How many ticks events bring about in a minute at most. Beyond, as in an attack, events are only kept, and the
/// scheduled tick takes in as many as any.
pub const MAX_TICKS: usize = 10;

/// The folder in quarantine of what can not be read.
pub const QUARANTINE: &str = "alert-events";

/// Something from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incoming {
    /// An alarm of CloudWatch has changed its state.
    Alarm(AlarmChange),
    /// An alarm of CloudWatch is no more.
    Deleted(AlarmDeleted),
    /// Lines of a service tell of security.
    Security(security::SecurityEvent),
}

/// Why an event is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// Not JSON, or a security event without all that it has to have.
    #[error("no event")]
    Json(#[from] serde_json::Error),
    /// An alarm's, but not as CloudWatch writes them.
    #[error("no alarm state change")]
    Alarm(#[from] AlarmError),
    /// Another version of security event.
    #[error("a security event of version {0}, and not 1")]
    Version(u32),
    /// Nothing that is expected here.
    #[error("an event of the type `{0}`, which nobody asked for")]
    Unexpected(String),
}

impl Incoming {
    /// Reads what Lambda is invoked with: an event of EventBridge, or what an alarm's Lambda action sends; or such an
    /// event as the inbox keeps it, since what is in quarantine may be either.
    ///
    /// # Errors
    ///
    /// Where it is neither a change nor the end of an alarm nor a security event.
    pub fn read(event: &str) -> Result<Incoming, IncomingError> {
        Incoming::of(&serde_json::from_str(event)?)
    }

    /// The same for the stack that receives the event: an alarm that another one tells is marked so, unless the alarm
    /// has named our function among its actions.
    ///
    /// # Errors
    ///
    /// As [`Incoming::read`].
    pub fn receive(event: &str, ours: &Ours) -> Result<Incoming, IncomingError> {
        let event: Value = serde_json::from_str(event)?;
        let mut incoming = Incoming::of(&event)?;
        if let Incoming::Alarm(change) = &mut incoming {
            change.about.is_of_others = !alarms::is_direct(&event) && !ours.has(change);
        }
        Ok(incoming)
    }

    fn of(event: &Value) -> Result<Incoming, IncomingError> {
        if let Ok(kept) = Incoming::deserialize(event) {
            return kept.checked();
        }
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("detail-type") {
            alarms::DETAIL_TYPE => Ok(Incoming::Alarm(AlarmChange::read(event)?)),
            _ if alarms::is_direct(event) => Ok(Incoming::Alarm(AlarmChange::read(event)?)),
            alarms::CHANGED_DETAIL_TYPE => Ok(Incoming::Deleted(AlarmDeleted::read(event)?)),
            security::DETAIL_TYPE if text("source") == security::SOURCE => {
                Incoming::Security(security::SecurityEvent::deserialize(&event["detail"])?).checked()
            }
            other => Err(IncomingError::Unexpected(other.chars().take(100).collect())),
        }
    }

    /// The same, if it is of the version that is known, and within bounds.
    fn checked(self) -> Result<Incoming, IncomingError> {
        match self {
            Incoming::Security(event) if event.version != 1 => Err(IncomingError::Version(event.version)),
            Incoming::Security(event) => Ok(Incoming::Security(event.bounded())),
            other => Ok(other),
        }
    }

    /// Whether people never hear of it here at once, so that it waits for the next tick.
    pub fn is_quiet(&self) -> bool {
        matches!(self, Incoming::Alarm(change) if change.is_quiet())
    }

    /// A name of its own: the same event has the same one, by whichever door and however often it comes.
    pub fn id(&self) -> String {
        match self {
            Incoming::Alarm(change) => change.id(),
            Incoming::Deleted(deleted) => deleted.id(),
            // Anybody who may publish could choose it.
            Incoming::Security(event) => keys::fingerprint([b"security".as_slice(), event.id.as_bytes()]),
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Incoming::Alarm(change) => change.at,
            Incoming::Deleted(deleted) => deleted.at,
            Incoming::Security(event) => event.last,
        }
    }

    /// The object to be written.
    pub fn to_object(&self) -> Object {
        let folder = match self {
            Incoming::Alarm(_) | Incoming::Deleted(_) => ALARMS,
            Incoming::Security(_) => SECURITY,
        };
        Object::json(format!("{}{folder}{}.json", keys::ALERT_INBOX, self.id()), self)
    }
}

/// The id of what lies in the inbox at `key`, in whichever folder of it; `None` where nothing was put there by us.
pub fn id_in(key: &str) -> Option<&str> {
    let (_, file) = key.strip_prefix(keys::ALERT_INBOX)?.rsplit_once('/')?;
    file.strip_suffix(".json")
}

/// The object that keeps, with what is wrong with it, an event that can not be read. Its day is that which the event
/// itself tells.
pub fn quarantined(event: &[u8], error: &(dyn std::error::Error + 'static)) -> Object {
    let time = serde_json::from_slice::<Value>(event).ok();
    let time = time.as_ref().and_then(|event| event.get("time")?.as_str());
    let day = time.and_then(|time| time.get(..10)?.parse::<jiff::civil::Date>().ok()).map(|day| day.to_string());
    let kept = Quarantined::kept(QUARANTINE, vec![(quarantine::reason(error), event.to_vec())]);
    Object::json(keys::quarantine(QUARANTINE, day.as_deref(), &keys::fingerprint([event])), &kept)
}

/// What the evaluator remembers of what came in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbox {
    /// Ids of what was taken in, and from when on that is remembered.
    taken: BTreeMap<String, Timestamp>,
    /// The last known state of alarms.
    alarms: Alarms,
    /// When events brought about ticks in the last minute, by the wall clock.
    ticks: Vec<Timestamp>,
}

impl Inbox {
    /// Whether the event `id` has not been taken in before.
    pub fn is_new(&self, id: &str) -> bool {
        !self.taken.contains_key(id)
    }

    /// Whether an event that comes at `wall`, by the wall clock, brings about a tick.
    pub fn is_open(&self, wall: Timestamp) -> bool {
        self.ticks.iter().filter(|tick| is_within_a_minute(**tick, wall)).count() < MAX_TICKS
    }

    /// Notes that it does.
    pub fn note_tick(&mut self, wall: Timestamp) {
        self.ticks.retain(|tick| is_within_a_minute(*tick, wall));
        self.ticks.push(wall);
    }

    /// Remembers for longer what was taken in but still lies in the inbox at `now`: it would count again else.
    pub fn still_there<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>, now: Timestamp) {
        for id in ids {
            let taken = self.taken.get_mut(id).filter(|taken| now.duration_since(**taken) > RENEWED);
            taken.into_iter().for_each(|taken| *taken = now);
        }
    }

    /// Takes in what has come, in the order in which it happened, at `now`. Answers what alarms begin and end, and the
    /// security events, which rules decide about. What was taken in before changes nothing; nor do security events that
    /// happened longer ago than what came is remembered, as they may have counted.
    pub fn take(&mut self, mut incoming: Vec<Incoming>, now: Timestamp) -> (Vec<Episode>, Vec<SecurityEvent>) {
        incoming.sort_by_cached_key(|one| (one.at(), one.id()));
        let (mut episodes, mut events) = (Vec::new(), Vec::new());
        for one in incoming {
            let id = one.id();
            if !self.is_new(&id) {
                continue;
            }
            self.taken.insert(id, remembered_from(&one, now));
            match one {
                Incoming::Alarm(change) => episodes.extend(self.alarms.take(&change)),
                Incoming::Deleted(deleted) => episodes.extend(self.alarms.delete(&deleted)),
                Incoming::Security(event) if is_too_old(&event, now) => {}
                Incoming::Security(event) => events.push(for_rules(event)),
            }
        }
        episodes.extend(self.alarms.overdue(now));
        (episodes, events)
    }

    /// Drops what nobody needs to remember at `now`.
    pub fn forget(&mut self, now: Timestamp) {
        self.taken.retain(|_, taken| now.duration_since(*taken) <= REMEMBERED);
        if self.taken.len() > MAX_REMEMBERED {
            let mut times: Vec<(Timestamp, String)> = self.taken.iter().map(|(id, at)| (*at, id.clone())).collect();
            times.sort_unstable();
            for (_, id) in times.iter().take(times.len() - MAX_REMEMBERED) {
                self.taken.remove(id);
            }
        }
        self.alarms.forget(now);
    }
}

fn is_within_a_minute(tick: Timestamp, wall: Timestamp) -> bool {
    wall.duration_since(tick).abs() < SignedDuration::from_mins(1)
}

/// From when on it is remembered that `incoming` was taken in at `now`: by then it is forgotten, a security event is too
/// old to count (see [`is_too_old`]), also one of a clock that is ahead. CloudWatch takes lines of up to two hours ahead;
/// what claims to be of after tomorrow is none, and is not remembered for so long.
fn remembered_from(incoming: &Incoming, now: Timestamp) -> Timestamp {
    let at_most = now.checked_add(REMEMBERED).unwrap_or(now);
    now.max(incoming.at().min(at_most))
}

/// Whether a security event that is new at `now` is told by nobody any more.
pub fn is_too_old(event: &security::SecurityEvent, now: Timestamp) -> bool {
    now.duration_since(event.last) > REMEMBERED
}

/// A security event as rules look at it.
fn for_rules(event: security::SecurityEvent) -> SecurityEvent {
    let security::SecurityEvent { id, last, event_type, service, level, count, .. } = event;
    SecurityEvent { id, at: last, event_type, service, level, count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    fn security(id: &str, time: &str) -> security::SecurityEvent {
        security::SecurityEvent {
            version: 1,
            id: id.to_owned(),
            environment: "production".to_owned(),
            service: "user".to_owned(),
            event_type: "login_failed".to_owned(),
            count: 2,
            last: at(time),
            level: "WARNING".to_owned(),
        }
    }

    fn bridged(detail: &security::SecurityEvent) -> Value {
        let bus = detail.to_bus();
        json!({"version": "0", "id": "x", "detail-type": bus.detail_type, "source": bus.source, "account": "1",
            "time": "2026-11-21T10:05:03Z", "region": "eu-west-1", "resources": [],
            "detail": serde_json::from_str::<Value>(&bus.detail).unwrap()})
    }

    #[test]
    fn a_security_event_is_read_back_as_it_was_published() {
        let event = security("a", "10:00:00");
        let read = Incoming::read(&bridged(&event).to_string()).unwrap();
        assert_eq!(read, Incoming::Security(event));
        let object = read.to_object();
        assert_eq!(object.key, format!("alerts/inbox/security/{}.json", read.id()));
        assert_eq!(id_in(&object.key), Some(read.id().as_str()));
        let body = String::from_utf8(object.body).unwrap();
        assert_eq!(Incoming::read(&body).unwrap(), read, "as the inbox keeps it");
        // The id that a publisher chose can not lead out of the folder.
        let odd = Incoming::Security(security("../../state/alert-evaluator", "10:00:00"));
        assert!(!odd.to_object().key.contains(".."), "{}", odd.to_object().key);
    }

    #[test]
    fn an_alarm_of_another_stack_is_quiet_unless_it_names_us_among_its_actions() {
        let sample = |name: &str| {
            let file = format!("{}/../../events/alert-evaluator-events/{name}.json", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(file).unwrap().replace("severity=error", "told-by=staging severity=error")
        };
        for (name, stack, is_quiet) in [
            ("alarm", "production", true),
            ("alarm", "staging", false),
            ("alarm-direct", "production", false),
            ("security", "production", false),
        ] {
            let ours = Ours { stack: stack.to_owned(), prefixes: Vec::new() };
            let incoming = Incoming::receive(&sample(name), &ours).unwrap();
            assert_eq!(incoming.is_quiet(), is_quiet, "{name} {stack}");
            let kept = String::from_utf8(incoming.to_object().body).unwrap();
            assert_eq!(Incoming::read(&kept).unwrap(), incoming, "the inbox keeps the mark");
        }
    }

    #[test]
    fn what_is_no_such_event_is_refused_and_kept_with_what_is_wrong() {
        let of = |change: &dyn Fn(&mut Value)| {
            let mut event = bridged(&security("a", "10:00:00"));
            change(&mut event);
            event.to_string()
        };
        for (event, says) in [
            ("42 ".to_owned() + "x", "no event: trailing characters"),
            ("{}".to_owned(), "an event of the type ``, which nobody asked for"),
            (of(&|event| event["source"] = json!("somebody.else")), "an event of the type `SecurityEvent`"),
            (of(&|event| event["detail"]["version"] = json!(2)), "a security event of version 2, and not 1"),
            (of(&|event| event["detail"]["count"] = json!(-1)), "no event: invalid value"),
            (of(&|event| event["detail"] = json!(null)), "no event: invalid type: null"),
            (of(&|event| event["detail-type"] = json!(alarms::DETAIL_TYPE)), "no alarm state change: no alarm"),
        ] {
            let error = Incoming::read(&event).unwrap_err();
            let object = quarantined(event.as_bytes(), &error);
            let kept: Quarantined = serde_json::from_slice(&object.body).unwrap();
            assert!(kept.items[0].error.starts_with(says), "{} for {says}", kept.items[0].error);
            assert_eq!(kept.items[0].original.bytes().unwrap(), event.as_bytes());
            let day = if event.contains("2026") { "2026-11-21" } else { "unknown" };
            assert!(object.key.starts_with(&format!("quarantine/alert-events/dt={day}/")), "{}", object.key);
        }
    }

    #[test]
    fn alarms_are_listed_first() {
        let alarm = Incoming::Deleted(AlarmDeleted { arn: "arn".to_owned(), at: at("10:00:00") });
        let attack = (0..100).map(|number| Incoming::Security(security(&number.to_string(), "10:00:00")));
        let key = alarm.to_object().key;
        assert!(attack.map(|one| one.to_object().key).all(|other| key < other));
        assert_eq!(id_in(&key), Some(alarm.id().as_str()));
        for key in ["alerts/inbox/x.txt", "alerts/inbox/alarms/x", "alerts/history/alarms/x.json"] {
            assert_eq!(id_in(key), None, "{key}");
        }
    }

    #[test]
    fn an_event_of_a_clock_that_is_ahead_is_remembered_until_it_is_too_old_to_count() {
        let mut inbox = Inbox::default();
        let event = || vec![Incoming::Security(security("a", "12:00:00"))];
        assert_eq!(inbox.take(event(), at("10:00:00")).1.len(), 1);
        for hours in 0..60 {
            let now = at("10:00:00") + SignedDuration::from_hours(hours);
            inbox.forget(now);
            assert_eq!(inbox.take(event(), now).1, [], "after {hours} h");
        }
        inbox.forget(at("10:00:00") + SignedDuration::from_hours(60 + 24));
        assert!(inbox.is_new(&event()[0].id()), "it is not remembered for ever");
    }

    #[test]
    fn what_comes_again_counts_once_for_a_day() {
        let mut inbox = Inbox::default();
        let events =
            || vec![Incoming::Security(security("b", "10:00:02")), Incoming::Security(security("a", "10:00:01"))];
        let (_, taken) = inbox.take(events(), at("10:01:00"));
        let ids: Vec<&str> = taken.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"], "in the order in which it happened");
        assert!(!inbox.is_new(&events()[0].id()));
        inbox.forget(at("10:01:00") + REMEMBERED);
        assert_eq!(inbox.take(events(), at("10:02:00")).1, []);
        let mut listed = inbox.clone();
        let (id, later) = (events()[0].id(), at("10:02:01") + REMEMBERED);
        listed.still_there([id.as_str(), "never taken"], at("11:01:01"));
        listed.forget(later);
        assert!(!listed.is_new(&id), "it may lie there still");
        inbox.forget(later);
        assert!(inbox.is_new(&id));
        assert_eq!(inbox.take(events(), later).1, [], "too old to count");
        inbox.forget(later + REMEMBERED * 2);
        let text = serde_json::to_string(&inbox).unwrap();
        assert_eq!(serde_json::from_str::<Inbox>(&text).unwrap(), inbox);
    }

    #[test]
    fn a_flood_fills_no_state_and_brings_about_few_ticks() {
        let mut inbox = Inbox::default();
        let start = at("10:00:00");
        for number in 0..MAX_REMEMBERED + 5 {
            let now = start + SignedDuration::from_millis(number as i64);
            inbox.take(vec![Incoming::Security(security(&number.to_string(), "10:00:00"))], now);
        }
        inbox.forget(at("10:01:00"));
        assert_eq!(inbox.taken.len(), MAX_REMEMBERED);
        let id = |number: usize| Incoming::Security(security(&number.to_string(), "10:00:00")).id();
        assert!(inbox.is_new(&id(4)) && !inbox.is_new(&id(5)), "the oldest are forgotten");
        let mut ticks = 0;
        for second in 0..120 {
            let wall = start + SignedDuration::from_secs(second);
            if inbox.is_open(wall) {
                inbox.note_tick(wall);
                ticks += 1;
            }
        }
        assert_eq!((ticks, inbox.ticks.len()), (2 * MAX_TICKS, MAX_TICKS));
    }

    #[test]
    fn an_event_that_somebody_made_up_is_bounded() {
        let mut event = security("a", "10:00:00");
        let text = |number: usize| format!("{number:03}{}", "я".repeat(500));
        (event.event_type, event.count) = (text(0), u64::MAX);
        (event.service, event.level, event.environment) = (text(1), text(2), text(3));
        event.id = text(4);
        let read = Incoming::read(&bridged(&event).to_string()).unwrap();
        assert!(read.to_object().body.len() < 2_000, "{}", read.to_object().body.len());
    }
}
