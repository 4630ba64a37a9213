//! Objects of the bucket, processed once more: what was in quarantine, once the code can read it, and what
//! is in the archive, once the code redacts or derives better.
//!
//! A replay may come twice, or end in the middle: it writes the same objects at the same keys, what was
//! counted is not counted again, and what was in quarantine is deleted last.

use std::borrow::Cow;
use std::io;

use crate::alerting::history;
use crate::alerting::inbox::{self, Incoming};
use crate::alerting::outbox;
use crate::events;
use crate::keys;
use crate::logs::archive;
use crate::logs::envelope::{Batch, LogEvent};
use crate::logs::pipeline::{Outcome, Pipeline, Processed, ReprocessError};
use crate::logs::quarantine::{Item, LineOrigin, Quarantined};
use crate::metrics::pending::{self, PendingError, PendingMetrics};
use crate::ports::Object;
use crate::traces::refused::{self, Again};

/// What is to be done about an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    /// What is to be written, in this order.
    pub writes: Vec<Object>,
    /// Whether the object is to be deleted after that.
    pub deletes: bool,
    /// Whether something of it can still not be read.
    pub is_left: bool,
    /// What has happened, for people.
    pub told: String,
}

/// Why an object can not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Not under `archive/`, `quarantine/` or `spans/`.
    #[error("only what lies under archive/, quarantine/ or spans/ can be replayed")]
    Key,
    /// An archive object that can not be unpacked.
    #[error("the archive object is damaged")]
    Archive(#[from] io::Error),
    /// An archive object with something else in it.
    #[error("the archive object can not be read")]
    Reprocess(#[from] ReprocessError),
    /// A quarantined object that is none.
    #[error("not what is written to quarantine")]
    Quarantine(#[from] serde_json::Error),
    /// Pending metrics that can still not be read.
    #[error("still no pending metrics")]
    Pending(#[from] PendingError),
    /// Metrics that CloudWatch does not take.
    #[error(
        "metrics that CloudWatch has refused are not put again: the rollups have them, so that only CloudWatch's own \
         graphs lack them"
    )]
    RefusedMetrics,
    /// Samples that Prometheus would not take, or counters that could not be read.
    #[error("samples that Prometheus has refused are not sent again: each tick sends what it counts in total")]
    RefusedSamples,
    /// A notification that SNS would not take.
    #[error("a notification that was refused is not sent again: what fires is repeated, and the history has it")]
    RefusedNotification,
    /// Somebody has changed it.
    #[error("the original bytes are not base64 any more")]
    Original(#[from] base64::DecodeError),
    /// Lines of several streams.
    #[error("lines of more than one log stream, or with and without an origin")]
    Origin,
}

/// Decides about the object `body` at `key`.
///
/// # Errors
///
/// Where it is not what the pipeline writes. It is to be left alone then.
pub fn object(pipeline: &mut Pipeline, key: &str, body: &[u8]) -> Result<Replay, ReplayError> {
    if keys::ArchivePlace::parse(key).is_some_and(|place| place.service == history::SERVICE) {
        return Ok(Replay { told: "alert history, of which nothing is derived".to_owned(), ..Replay::default() });
    }
    if key.starts_with(keys::ARCHIVE) {
        return archived(pipeline, key, body);
    }
    if keys::SpansPlace::parse(key).is_some() {
        return Ok(waiting_spans(key, body));
    }
    let reason = key.strip_prefix(keys::QUARANTINE).ok_or(ReplayError::Key)?;
    if let Some(name) = pending::name_of_unreadable(key) {
        return pending_metrics(name, body);
    }
    if reason.starts_with("metrics/") {
        return Err(ReplayError::RefusedMetrics);
    }
    if reason.starts_with("prometheus/") || reason.starts_with("prometheus-state/") {
        return Err(ReplayError::RefusedSamples);
    }
    let held: Quarantined = serde_json::from_slice(body)?;
    if held.reason == inbox::QUARANTINE {
        return alert_event(&held);
    }
    if held.reason == outbox::QUARANTINE {
        return Err(ReplayError::RefusedNotification);
    }
    if let Some(again) = refused::again(key, &held) {
        return Ok(spans(again?));
    }
    match held.items.first() {
        Some(Item { origin: None, original, .. }) if held.items.len() == 1 => {
            Ok(delivery(pipeline, key, &original.bytes()?))
        }
        Some(Item { origin: Some(origin), original, .. })
            if held.items.len() == 1 && origin.log_group.starts_with(events::LOG_GROUP) =>
        {
            Ok(event(pipeline, key, origin.timestamp_millis, &original.bytes()?))
        }
        Some(Item { origin: Some(origin), .. }) => lines(pipeline, origin, &held.items),
        _ => Err(ReplayError::Origin),
    }
}

/// An event about alerts that can be read by now goes to where the evaluator finds it.
fn alert_event(held: &Quarantined) -> Result<Replay, ReplayError> {
    let [Item { original, .. }] = &held.items[..] else { return Err(ReplayError::Origin) };
    let read = String::from_utf8(original.bytes()?).ok().and_then(|event| Incoming::read(&event).ok());
    Ok(match read {
        Some(incoming) => Replay {
            writes: vec![incoming.to_object()],
            deletes: true,
            told: "an event for alert-evaluator".to_owned(),
            ..Replay::default()
        },
        None => Replay { is_left: true, told: "still no event about alerts".to_owned(), ..Replay::default() },
    })
}

fn archived(pipeline: &mut Pipeline, key: &str, body: &[u8]) -> Result<Replay, ReplayError> {
    let reprocessed = pipeline.reprocess(key, &archive::lines(body)?)?;
    let changed = reprocessed.archive.body != body;
    let told = format!("{} lines, {}", reprocessed.lines, if changed { "changed" } else { "the same" });
    let archive = changed.then_some(reprocessed.archive);
    let writes = archive.into_iter().chain([reprocessed.pending]).collect();
    Ok(Replay { writes, told, ..Replay::default() })
}

/// Metrics that another version could not read go back to where the flusher finds them, under the name that they had.
fn pending_metrics(name: &str, body: &[u8]) -> Result<Replay, ReplayError> {
    let pending = PendingMetrics::parse(body)?;
    let told = "metrics of a batch, to be flushed".to_owned();
    Ok(Replay { writes: vec![pending.to_object_named(name)], deletes: true, told, ..Replay::default() })
}

/// Spans that a target did not take in time, because it was down or a token had expired: that the object is written
/// once more is what trace-forwarder is called by.
fn waiting_spans(key: &str, body: &[u8]) -> Replay {
    let object = Object { key: key.to_owned(), content_type: archive::CONTENT_TYPE, body: body.to_vec() };
    Replay { writes: vec![object], told: "spans, to be forwarded again".to_owned(), ..Replay::default() }
}

/// Spans go where trace-forwarder finds them.
fn spans(again: Again) -> Replay {
    let told = match &again.left {
        None => format!("spans of {} lines, to be forwarded", again.lines),
        Some(_) => format!("spans of {} lines, to be forwarded; others can still not be read", again.lines),
    };
    let (deletes, is_left) = (again.left.is_none(), again.left.is_some());
    // What is left alone need not be written again.
    let left = again.left.filter(|_| again.lines > 0);
    Replay { writes: again.spans.into_iter().chain(left).collect(), deletes, is_left, told }
}

fn delivery(pipeline: &mut Pipeline, key: &str, original: &[u8]) -> Replay {
    // A Lambda event is JSON; the data of a Kinesis record is compressed.
    let outcome = match std::str::from_utf8(original) {
        Ok(event) if event.trim_start().starts_with('{') => pipeline.process(event),
        _ => pipeline.process_message(original),
    };
    match outcome {
        Outcome::Batch(processed) => done(&processed),
        Outcome::Control => Replay { deletes: true, told: "a control message".to_owned(), ..Replay::default() },
        Outcome::OwnLogs { log_group } => {
            Replay { deletes: true, told: format!("the pipeline's own logs ({log_group})"), ..Replay::default() }
        }
        // With another reason it goes to another folder.
        Outcome::Unreadable { error, object } => Replay {
            told: format!("still unreadable: {error}"),
            is_left: true,
            deletes: object.key != key,
            writes: if object.key == key { Vec::new() } else { vec![object] },
        },
    }
}

/// The message of a business event. Messages are texts.
fn event(pipeline: &mut Pipeline, key: &str, sent_millis: i64, original: &[u8]) -> Replay {
    let processed = pipeline.replay_event(&String::from_utf8_lossy(original), sent_millis);
    // With another reason it goes to another folder.
    if processed.quarantine.iter().any(|object| object.key == key) {
        return Replay { told: "still unreadable: an event".to_owned(), is_left: true, ..Replay::default() };
    }
    done(&processed)
}

fn lines(pipeline: &mut Pipeline, origin: &LineOrigin, items: &[Item]) -> Result<Replay, ReplayError> {
    let originals: Vec<Vec<u8>> = items.iter().map(|item| item.original.bytes()).collect::<Result<_, _>>()?;
    let mut events = Vec::new();
    for (item, message) in items.iter().zip(&originals) {
        let own = item.origin.as_ref().ok_or(ReplayError::Origin)?;
        let same = |part: fn(&LineOrigin) -> &String| part(own) == part(origin);
        if !(same(|o| &o.owner) && same(|o| &o.log_group) && same(|o| &o.log_stream)) {
            return Err(ReplayError::Origin);
        }
        events.push(LogEvent {
            id: &own.event_id,
            timestamp_millis: own.timestamp_millis,
            message,
            text: None,
            specials: None,
            shaped: None,
        });
    }
    let processed = pipeline.replay(&Batch {
        owner: Cow::Borrowed(&origin.owner),
        log_group: Cow::Borrowed(&origin.log_group),
        log_stream: Cow::Borrowed(&origin.log_stream),
        events,
    });
    if processed.lines.quarantined == processed.lines.received {
        let told = format!("still unreadable: {} lines", items.len());
        return Ok(Replay { told, is_left: true, ..Replay::default() });
    }
    Ok(done(&processed))
}

fn done(processed: &Processed) -> Replay {
    let lines = processed.lines;
    let told = format!("{} lines archived, {} still in quarantine", lines.archived, lines.quarantined);
    let is_left = lines.quarantined > 0;
    // What they say of security the evaluator finds in its inbox, and counts unless it is older than a day.
    let security = processed.security.iter().map(|event| Incoming::Security(event.clone()).to_object());
    Replay { writes: processed.objects().cloned().chain(security).collect(), deletes: true, is_left, told }
}
