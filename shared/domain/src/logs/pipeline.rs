//! The stages in order: open the envelope, read each line, redact it, archive it, derive metrics from
//! it. What can not be read goes to quarantine, and the rest of the batch goes on.

use std::collections::{BTreeMap, HashSet};

use crate::Minute;
use crate::keys;
use crate::logs::derive::Derivation;
use crate::logs::envelope::{self, Batch, Delivery, EnvelopeError, LogEvent};
use crate::logs::origin::Origin;
use crate::logs::quarantine::{self, LineError};
use crate::logs::record::{Format, Record, Source};
use crate::logs::{archive, origin, parse, redact};
use crate::metrics::pending::{self, PendingMetrics};
use crate::ports::Object;

/// What is to be done about one Lambda event.
#[derive(Debug)]
pub enum Outcome {
    /// Lines were read.
    Batch(Processed),
    /// A control message: nothing is to be kept.
    Control,
    /// The pipeline's own log group. Reading it would make new lines for ever.
    OwnLogs {
        /// The log group.
        log_group: String,
    },
    /// The delivery could not be opened; `object` keeps it.
    Unreadable {
        /// What is wrong with it.
        error: EnvelopeError,
        /// What keeps it.
        object: Object,
    },
}

/// What one batch comes to. All keys and bytes depend on the batch alone, so that a redelivery writes
/// the same again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    /// Hash of the batch's identity.
    pub batch_id: String,
    /// Whose lines they are.
    pub origin: Origin,
    /// The archive, one object an hour.
    pub archive: Vec<Object>,
    /// Lines that could not be read, one object a reason and day.
    pub quarantine: Vec<Object>,
    /// Metrics of the batch; none for an empty batch.
    pub pending: Option<Object>,
    /// How many lines there were, and where they are.
    pub lines: Lines,
}

/// Where the lines of a batch are: received = archived + quarantined, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    /// In the delivery.
    pub received: usize,
    /// In the archive.
    pub archived: usize,
    /// In quarantine.
    pub quarantined: usize,
    /// Not kept, because the configuration says so.
    pub filtered: usize,
}

/// What depends on where the pipeline runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Beginning of the names of the pipeline's own log groups.
    pub own_log_groups: String,
    /// The environment's name.
    pub environment: String,
    /// Key of the pseudonyms.
    pub pseudonym_key: PseudonymKey,
    /// Names of further fields that hold personal data.
    pub personal_fields: Vec<String>,
    /// What is not archived.
    pub filters: Filters,
}

// STAND-IN, replaced at the merge: from here to `process_delivery`.

/// Key of the pseudonyms (stand-in).
#[derive(Clone)]
pub struct PseudonymKey;

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PseudonymKey(..)")
    }
}

/// A text that is no key (stand-in).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key has {0} bytes, at least 32 are needed")]
pub struct KeyError(usize);

impl PseudonymKey {
    /// The key that is the text of a secret.
    pub fn from_secret(secret: &str) -> Result<PseudonymKey, KeyError> {
        if secret.len() < 32 { Err(KeyError(secret.len())) } else { Ok(PseudonymKey) }
    }
}

/// What is not archived (stand-in).
#[derive(Debug, Clone, Default)]
pub struct Filters(());

/// A text that is no filters (stand-in).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a filter")]
pub struct FilterError;

impl Filters {
    /// Reads filters; an empty text is none.
    pub fn parse(text: &str) -> Result<Filters, FilterError> {
        if text.is_empty() { Ok(Filters(())) } else { Err(FilterError) }
    }
}

/// The stages, with what they keep from event to event (stand-in).
pub struct Pipeline {
    settings: Settings,
}

impl Pipeline {
    /// A pipeline.
    pub fn new(settings: Settings) -> Pipeline {
        Pipeline { settings }
    }

    /// Decides what becomes of a Lambda event.
    pub fn process(&mut self, event: &str) -> Outcome {
        let keep = |error: &EnvelopeError| quarantine::delivery(event, error);
        process_delivery(envelope::open(event), &self.settings, keep)
    }

    /// Decides what becomes of the gzip member that a Kinesis record holds.
    pub fn process_message(&mut self, gzip: &[u8]) -> Outcome {
        let keep = |error: &EnvelopeError| quarantine::delivery(gzip, error);
        process_delivery(envelope::open_data(gzip), &self.settings, keep)
    }
}

fn process_delivery(
    delivery: Result<Delivery, EnvelopeError>,
    settings: &Settings,
    keep: impl FnOnce(&EnvelopeError) -> Object,
) -> Outcome {
    match delivery {
        Ok(Delivery::Control) => Outcome::Control,
        Ok(Delivery::Data(batch)) if batch.log_group.starts_with(&settings.own_log_groups) => {
            Outcome::OwnLogs { log_group: batch.log_group }
        }
        Ok(Delivery::Data(batch)) => Outcome::Batch(process_batch(&batch, &settings.environment)),
        Err(error) => Outcome::Unreadable { object: keep(&error), error },
    }
}

/// Identity of a batch: owner, group, stream, first and last event id, and how many events.
pub fn batch_id(batch: &Batch) -> String {
    let id = |event: Option<&LogEvent>| event.map_or(String::new(), |event| event.id.clone());
    let (first, last) = (id(batch.events.first()), id(batch.events.last()));
    let count = batch.events.len().to_string();
    let parts = [&batch.owner, &batch.log_group, &batch.log_stream, &first, &last, &count];
    keys::fingerprint(parts.map(|part| part.as_bytes()))
}

fn process_batch(batch: &Batch, environment: &str) -> Processed {
    let batch_id = batch_id(batch);
    let origin = origin::of(&batch.log_group, environment);
    let (records, unreadable) = read(batch, &origin);
    let lines = Lines {
        received: batch.events.len(),
        archived: records.len(),
        quarantined: batch.events.len() - records.len(),
        filtered: 0,
    };
    let quarantine: Vec<Object> =
        unreadable.iter().map(|((reason, day), held)| quarantine::lines(batch, &batch_id, reason, day, held)).collect();
    let pending = (lines.received > 0).then(|| pending(batch, &batch_id, &origin, &records, &unreadable));
    Processed { archive: archive::objects(&origin, &batch_id, &records), batch_id, origin, quarantine, pending, lines }
}

/// Lines that can not be read, by reason and day.
type Unreadable<'a> = BTreeMap<(&'static str, String), Vec<(&'a LogEvent, LineError)>>;

fn read<'a>(batch: &'a Batch, origin: &Origin) -> (Vec<Record>, Unreadable<'a>) {
    let mut records = Vec::with_capacity(batch.events.len());
    let mut unreadable: Unreadable<'a> = BTreeMap::new();
    for event in &batch.events {
        match quarantine::line_text(event) {
            Ok(line) => records.push(record(line, event, batch, origin)),
            Err(error) => {
                let place = (error.reason(), quarantine::day_of(event));
                unreadable.entry(place).or_default().push((event, error));
            }
        }
    }
    (records, unreadable)
}

fn record(line: &str, event: &LogEvent, batch: &Batch, origin: &Origin) -> Record {
    let source = Source {
        owner: batch.owner.clone(),
        log_group: batch.log_group.clone(),
        log_stream: batch.log_stream.clone(),
        event_id: event.id.clone(),
        event_time: parse::event_time(event.timestamp_millis),
        format: Format::Raw,
    };
    let mut record = parse::parse(line, source);
    // A line that does not say whose it is belongs to whom the log group belongs to.
    record.context.service_name.get_or_insert_with(|| origin.service.clone());
    record.context.environment.get_or_insert_with(|| origin.environment.clone());
    redact::redact(&mut record);
    record
}

/// The pipeline's own figures of one minute of a batch.
#[derive(Default)]
struct Own {
    received: usize,
    quarantined: usize,
    bytes: usize,
}

fn pending(batch: &Batch, batch_id: &str, origin: &Origin, records: &[Record], unreadable: &Unreadable<'_>) -> Object {
    let mut derivation = Derivation::of(&origin.service);
    records.iter().for_each(|record| derivation.add(record));
    let unreadable: HashSet<&str> = unreadable.values().flatten().map(|(event, _)| event.id.as_str()).collect();
    let mut own: BTreeMap<Minute, Own> = BTreeMap::new();
    for event in &batch.events {
        let own = own.entry(Minute::of_epoch_millis(event.timestamp_millis)).or_default();
        own.received += 1;
        own.bytes += event.message.len();
        own.quarantined += usize::from(unreadable.contains(event.id.as_str()));
    }
    for (minute, own) in own {
        derivation.add_own("pipeline_lines_received", minute, own.received);
        derivation.add_own("pipeline_lines_archived", minute, own.received - own.quarantined);
        derivation.add_own("pipeline_lines_quarantined", minute, own.quarantined);
        derivation.add_own("pipeline_bytes_received", minute, own.bytes);
    }
    PendingMetrics { version: pending::VERSION, batch_id: batch_id.to_owned(), minutes: derivation.finish() }
        .to_object()
}

#[cfg(test)]
mod tests;
