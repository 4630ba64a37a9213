//! The stages in order: open the envelope, read each line, redact it, archive it, derive metrics from
//! it. What can not be read goes to quarantine, and the rest of the batch goes on.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::Minute;
use crate::events::{self, Event};
use crate::keys;
use crate::logs::archive::Hours;
use crate::logs::derive::{Derivation, Derived};
use crate::logs::envelope::{Batch, Decoder, Delivery, EnvelopeError, LogEvent};
use crate::logs::filter::Filters;
use crate::logs::join::{self, Line};
use crate::logs::origin::Origin;
use crate::logs::parse::postgres;
use crate::logs::quarantine::{self, LineError};
use crate::logs::record::{Category, Format, Record};
use crate::logs::redact::{self, FieldNames, PseudonymKey, Redactor};
use crate::logs::security::{Collected, SecurityEvent};
use crate::logs::shape::Shapes;
use crate::logs::write::{Source, Writer, is_id};
use crate::logs::{origin, parse};
use crate::metrics::pending::{self, PendingMetrics};
use crate::ports::Object;

/// What is to be done about one delivery.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a delivery, and nearly always it is the large one")]
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
    /// The lines of the batch that tell of spans, as they are archived, also those that filters leave out of the
    /// archive; none where no line does.
    pub spans: Option<Object>,
    /// Metrics of the batch; none for an empty batch.
    pub pending: Option<Object>,
    /// What its lines say of security, also those that filters leave out of the archive.
    pub security: Vec<SecurityEvent>,
    /// How many lines there were, and where they are.
    pub lines: Lines,
    /// Bytes of their messages.
    pub bytes: usize,
    /// When the newest of them was written, in epoch milliseconds; none for an empty batch.
    pub newest_millis: Option<i64>,
}

/// Where the lines of a batch are: received = archived + quarantined + filtered, always. A line is a log
/// event; an archived record stands for one or, where pieces were joined, for several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    /// In the delivery.
    pub received: usize,
    /// In the archive.
    pub archived: usize,
    /// In quarantine.
    pub quarantined: usize,
    /// Left out on purpose.
    pub filtered: usize,
}

/// What depends on where the pipeline runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the names of the pipeline's own log groups begin, separated by commas.
    pub own_log_groups: String,
    /// The environment's name.
    pub environment: String,
    /// Names the persons that personal data is of, without telling who they are.
    pub pseudonym_key: PseudonymKey,
    /// Names of fields that hold personal data, besides those that are known to.
    pub personal_fields: Vec<String>,
    /// What is left out of the archive.
    pub filters: Filters,
    /// CloudWatch namespace of the metrics that lines bring along; those of others are not ours.
    pub metric_namespace: String,
}

/// The stages, with the room that they work in: it is used again from delivery to delivery, and nothing of
/// one is left for the next.
pub struct Pipeline {
    decoder: Decoder,
    stages: Stages,
}

struct Stages {
    own_log_groups: Vec<String>,
    environment: String,
    redactor: Redactor,
    filters: Filters,
    metric_namespace: String,
    hours: Hours,
    shapes: Shapes,
}

/// Whether lines are counted as received by this batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// They came by subscription, or as an event.
    Delivery,
    /// They were counted when they were quarantined.
    Replay,
}

impl Pipeline {
    /// A pipeline that works by `settings`.
    pub fn new(settings: Settings) -> Pipeline {
        let Settings { own_log_groups, environment, pseudonym_key, personal_fields, filters, metric_namespace } =
            settings;
        let personal = personal_fields.into_iter().map(|name| (name, redact::Kind::Personal));
        let redactor = Redactor::new(pseudonym_key, FieldNames::new(personal));
        let own_log_groups = own_log_groups.split(',').map(str::trim).filter(|prefix| !prefix.is_empty());
        let stages = Stages {
            own_log_groups: own_log_groups.map(str::to_owned).collect(),
            environment,
            redactor,
            filters,
            metric_namespace,
            hours: Hours::default(),
            shapes: Shapes::default(),
        };
        Pipeline { decoder: Decoder::default(), stages }
    }

    /// The same, with `limit` shapes of lines known at a time. With 0 every line is read in full: that takes
    /// longer, and nothing else differs.
    pub fn with_shapes(mut self, limit: usize) -> Pipeline {
        self.stages.shapes = Shapes::limited(limit);
        self
    }

    /// How many shapes of lines are known, and how many lines had one of them so far.
    pub fn shapes(&self) -> (usize, u64) {
        self.stages.shapes.figures()
    }

    /// Decides what becomes of a Lambda event, `{"awslogs":{"data":"..."}}`.
    pub fn process(&mut self, event: &str) -> Outcome {
        let Pipeline { decoder, stages } = self;
        let opened = decoder.open_shaped(event, stages.begin());
        stages.decide(opened, event.as_bytes())
    }

    /// Decides what becomes of the data of a Kinesis record: the same message, compressed only.
    pub fn process_message(&mut self, compressed: &[u8]) -> Outcome {
        let Pipeline { decoder, stages } = self;
        let opened = decoder.open_compressed(compressed, stages.begin());
        stages.decide(opened, compressed)
    }

    /// Decides what becomes of a message that brings a business event, and was sent at `sent_millis` (epoch
    /// milliseconds): the event is a batch of its own, whatever it comes with. Filters are about log lines only.
    pub fn process_event(&mut self, body: &str, sent_millis: i64) -> Processed {
        self.stages.event(body, sent_millis, Occasion::Delivery)
    }

    /// Processes an event that was in quarantine. Where the same event was published again meanwhile and could be
    /// read, it comes to the same batch, and counts once.
    pub fn replay_event(&mut self, body: &str, sent_millis: i64) -> Processed {
        self.stages.event(body, sent_millis, Occasion::Replay)
    }

    /// Processes lines that were in quarantine. They become a batch of their own: the one that they came
    /// in has been counted.
    pub fn replay(&mut self, batch: &Batch<'_>) -> Processed {
        self.stages.batch(batch, Occasion::Replay)
    }

    /// Processes the lines of an archive object again.
    ///
    /// # Errors
    ///
    /// Where `key` is none of an archive object, or a line no archived record.
    pub fn reprocess(&mut self, key: &str, lines: &[String]) -> Result<Reprocessed, ReprocessError> {
        self.stages.reprocess(key, lines)
    }
}

impl Processed {
    /// All objects, in the order in which they have to be written: lines first, then what counts them.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.archive.iter().chain(&self.quarantine).chain(&self.spans).chain(&self.pending)
    }
}

/// What an archive object comes to when it is processed again. Where nothing has changed, the object is the
/// same, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reprocessed {
    /// The archive object, at the same key.
    pub archive: Object,
    /// The metrics of its hour, under the id of its batch: where they were counted they are not again.
    pub pending: Object,
    /// How many log lines it holds.
    pub lines: usize,
}

/// Why an archive object can not be processed again.
#[derive(Debug, thiserror::Error)]
pub enum ReprocessError {
    /// Not a name that the archive has.
    #[error("`{0}` is no key of an archive object")]
    Key(String),
    /// Not what the archive has.
    #[error("line {line}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: parse::ArchivedError,
    },
}

/// Identity of a batch: owner, group, stream, first and last event id, and how many events; for a replay,
/// that it is one.
fn batch_id(batch: &Batch<'_>, occasion: Occasion) -> String {
    let id = |event: Option<&LogEvent<'_>>| event.map_or(String::new(), |event| event.id.to_owned());
    let (first, last) = (id(batch.events.first()), id(batch.events.last()));
    let count = batch.events.len().to_string();
    let parts = [&*batch.owner, &*batch.log_group, &*batch.log_stream, &first, &last, &count];
    let replay = (occasion == Occasion::Replay).then_some("replay");
    keys::fingerprint(parts.into_iter().chain(replay).map(str::as_bytes))
}

/// Lines that can not be read, by reason and day.
type Unreadable<'a> = BTreeMap<(&'static str, String), Vec<(LogEvent<'a>, LineError)>>;

/// The pipeline's own figures of one minute of a batch.
#[derive(Default)]
struct Own {
    received: usize,
    quarantined: usize,
    filtered: usize,
    bytes: usize,
}

/// The pipeline's own figures of a batch. Those of one minute are at hand, for most events are of the same as
/// the one before.
#[derive(Default)]
struct Figures {
    others: BTreeMap<Minute, Own>,
    at_hand: Option<(Minute, Own)>,
}

impl Figures {
    /// Those of the minute of `event`.
    fn of(&mut self, event: &LogEvent<'_>) -> &mut Own {
        let minute = Minute::of_epoch_millis(event.timestamp_millis);
        if self.at_hand.as_ref().is_none_or(|(at_hand, _)| *at_hand != minute) {
            let own = self.others.remove(&minute).unwrap_or_default();
            self.others.extend(self.at_hand.replace((minute, own)));
        }
        &mut self.at_hand.get_or_insert_with(|| (minute, Own::default())).1
    }

    /// All of them.
    fn finish(mut self) -> BTreeMap<Minute, Own> {
        self.others.extend(self.at_hand);
        self.others
    }
}

/// Lines of a batch that tell of spans.
#[derive(Default)]
struct Spans {
    /// When the first of them was written.
    first: Option<Minute>,
    lines: Vec<u8>,
}

impl Spans {
    fn add(&mut self, minute: Minute, line: &[u8]) {
        self.first.get_or_insert(minute);
        self.lines.extend_from_slice(line);
    }
}

impl Stages {
    /// Begins a delivery. What filters look at, only a record has.
    fn begin(&mut self) -> Option<&mut Shapes> {
        self.shapes.begin();
        self.filters.are_none().then_some(&mut self.shapes)
    }

    fn decide(&mut self, opened: Result<Delivery<'_>, EnvelopeError>, delivery: &[u8]) -> Outcome {
        match opened {
            Ok(Delivery::Control) => Outcome::Control,
            Ok(Delivery::Data(batch)) if self.own_log_groups.iter().any(|own| batch.log_group.starts_with(own)) => {
                Outcome::OwnLogs { log_group: batch.log_group.into_owned() }
            }
            Ok(Delivery::Data(batch)) => Outcome::Batch(self.batch(&batch, Occasion::Delivery)),
            Err(error) => Outcome::Unreadable { object: quarantine::delivery(delivery, &error), error },
        }
    }

    fn batch(&mut self, batch: &Batch<'_>, occasion: Occasion) -> Processed {
        self.lines(batch, batch_id(batch, occasion), &join::lines(&batch.events), occasion)
    }

    fn event(&mut self, body: &str, sent_millis: i64, occasion: Occasion) -> Processed {
        let Event { owner, log_group, log_stream, id, millis, line } = events::read(body, sent_millis);
        let message = line.as_deref().unwrap_or(body).as_bytes();
        let mut batch = Batch {
            owner: Cow::Owned(owner),
            log_group: Cow::Owned(log_group),
            log_stream: Cow::Owned(log_stream),
            events: vec![LogEvent {
                id: &id,
                timestamp_millis: millis,
                message,
                text: None,
                specials: None,
                shaped: None,
            }],
        };
        let text = line.as_deref().map(Cow::Borrowed).map_err(|error| LineError::Event(error.clone()));
        let line = Line { text, specials: None, events: 0..1, next: 0, continues: false };
        // Not another batch for a replay: what can be read by now is the event, and not what was counted before.
        let batch_id = batch_id(&batch, Occasion::Delivery);
        // What names an event is its publisher's choice, and is archived as it is: nothing personal may be in it.
        batch.log_group = Cow::Owned(self.redactor.text(&batch.log_group).into_owned());
        batch.log_stream = Cow::Owned(self.redactor.text(&batch.log_stream).into_owned());
        let is_plain = is_id(id.as_bytes()) && matches!(self.redactor.text(&id), Cow::Borrowed(_));
        let known_as = if is_plain { id.clone() } else { keys::fingerprint([id.as_bytes()]) };
        batch.events[0].id = &known_as;
        let filters = std::mem::take(&mut self.filters);
        let processed = self.lines(&batch, batch_id, &[line], occasion);
        self.filters = filters;
        processed
    }

    fn lines(&mut self, batch: &Batch<'_>, batch_id: String, lines: &[Line<'_>], occasion: Occasion) -> Processed {
        let Stages { redactor, environment, filters, metric_namespace, hours, shapes, .. } = self;
        let origin = origin::of(&batch.log_group, environment);
        let mut writer = Writer::new(redactor, batch, &origin);
        let mut derivation = Derivation::of(&origin.service, metric_namespace);
        let mut unreadable: Unreadable<'_> = BTreeMap::new();
        let mut own = Figures::default();
        let mut record = Record::default();
        let mut joined = Vec::new();
        let mut spans = Spans::default();
        let mut security = Collected::default();
        for line in lines {
            let events = &batch.events[line.events.clone()];
            for event in events {
                let own = own.of(event);
                own.received += 1;
                own.bytes += event.bytes();
            }
            if line.continues {
                continue;
            }
            let first = events[0];
            let millis = parse::event_millis(first.timestamp_millis);
            if let Some(shaped) = &first.shaped {
                let out = hours.lines_of(Minute::of_epoch_millis(millis));
                let start = out.len();
                let source = Source::Events { id: first.id, millis, joined: &[] };
                let facts = writer.fill(shapes.template(shaped.shape), shaped, source, out);
                let is_about_security = facts.category == Category::Security;
                derivation.add(&facts);
                if is_about_security {
                    security.add(&out[start..], millis);
                }
                continue;
            }
            let is_read = line.text.as_ref().is_ok_and(|text| {
                parse::parse(text, line.specials, &mut record);
                !(origin.is_database && is_fragment(&record))
            });
            if !is_read {
                for event in events {
                    let fragment = || LineError::Fragment { event_id: event.id.to_owned() };
                    let error = line.text.as_ref().err().cloned().unwrap_or_else(fragment);
                    own.of(event).quarantined += 1;
                    let place = (error.reason(), quarantine::day_of(event));
                    unreadable.entry(place).or_default().push((*event, error));
                }
                continue;
            }
            joined.clear();
            joined.extend(&events[1..]);
            continue_with(&mut record, line, lines, &batch.events, &mut joined);
            let out = hours.lines_of(Minute::of_epoch_millis(millis));
            let start = out.len();
            let source = Source::Events { id: first.id, millis, joined: &joined };
            let is_learned = line.specials.is_some() && filters.are_none() && shapes.wants(&record);
            if is_learned {
                writer.watch(out);
            }
            derivation.add(&writer.write(&record, source, out));
            if record.category == Category::Security {
                security.add(&out[start..], millis);
            }
            if is_learned {
                shapes.learn(&record, |values| writer.template(&record, values, out));
            }
            if record.span.is_some() {
                spans.add(Minute::of_epoch_millis(millis), &out[start..]);
            }
            if !filters.keeps(&record, &origin.service, first.id) {
                out.truncate(start);
                for event in std::iter::once(&first).chain(joined.iter().copied()) {
                    own.of(event).filtered += 1;
                }
            }
        }
        let own = own.finish();
        let lines = count(&own);
        let bytes = own.values().map(|own| own.bytes).sum();
        count_own(&mut derivation, &own, occasion);
        let pending = pending_metrics(batch_id.clone(), derivation);
        let spans = spans.first.map(|minute| hours.object(keys::spans(None, &minute.day(), &batch_id), &spans.lines));
        Processed {
            archive: hours.finish(&origin, &batch_id),
            quarantine: unreadable
                .iter()
                .map(|((reason, day), held)| quarantine::lines(batch, &batch_id, reason, day, held))
                .collect(),
            spans,
            security: security.finish(&batch_id, &origin.environment, &origin.service),
            pending: (lines.received > 0).then(|| pending.to_object()),
            batch_id,
            origin,
            lines,
            bytes,
            newest_millis: batch.events.iter().map(|event| event.timestamp_millis).max(),
        }
    }

    fn reprocess(&mut self, key: &str, lines: &[String]) -> Result<Reprocessed, ReprocessError> {
        let place = keys::ArchivePlace::parse(key).ok_or_else(|| ReprocessError::Key(key.to_owned()))?;
        let (environment, service) = (place.environment.to_owned(), place.service.to_owned());
        let origin = Origin { environment, service, is_database: false };
        let mut writer = Writer::new(&self.redactor, &Batch::default(), &origin);
        let mut derivation = Derivation::of(&origin.service, &self.metric_namespace);
        let (mut record, mut out, mut own) = (Record::default(), Vec::new(), BTreeMap::<Minute, Own>::new());
        for (number, line) in (1..).zip(lines) {
            let source = parse::parse_archived(line, &mut record)
                .map_err(|source| ReprocessError::Line { line: number, source })?;
            own.entry(Minute::of_epoch_millis(source.event_millis)).or_default().received += source.lines;
            let is_joined = source.lines > 1;
            let archived = Source::Archived { json: source.json, millis: source.event_millis, is_joined };
            derivation.add(&writer.write(&record, archived, &mut out));
        }
        count_own(&mut derivation, &own, Occasion::Delivery);
        let batch_id = place.batch_id.to_owned();
        let pending = pending_metrics(batch_id, derivation);
        Ok(Reprocessed {
            archive: self.hours.object(key.to_owned(), &out),
            pending: pending.to_object_named(&format!("{}.{}T{}", place.batch_id, place.day, place.hour)),
            lines: count(&own).received,
        })
    }
}

fn pending_metrics(batch_id: String, derivation: Derivation) -> PendingMetrics {
    let Derived { minutes, extracted } = derivation.finish();
    PendingMetrics { version: pending::VERSION, batch_id, minutes, extracted }
}

/// Whether a line of a database's log is none of its entries: it may begin in the middle of a literal.
fn is_fragment(record: &Record<'_>) -> bool {
    record.format == Format::Raw && !record.line.trim_ascii_start().starts_with('{')
}

/// Adds to `record`, which `line` begins, what continues it further down the batch.
fn continue_with<'a>(
    record: &mut Record<'a>,
    line: &Line<'_>,
    lines: &'a [Line<'_>],
    events: &'a [LogEvent<'a>],
    joined: &mut Vec<&'a LogEvent<'a>>,
) {
    let mut next = line.next;
    while let Some(further) = lines.get(next).filter(|_| next > 0) {
        record.entries.extend(further.text.iter().flat_map(|text| postgres::entries(text)));
        joined.extend(&events[further.events.clone()]);
        next = further.next;
    }
}

fn count(own: &BTreeMap<Minute, Own>) -> Lines {
    let sum = |figure: fn(&Own) -> usize| own.values().map(figure).sum::<usize>();
    let (received, quarantined, filtered) =
        (sum(|own| own.received), sum(|own| own.quarantined), sum(|own| own.filtered));
    Lines { received, archived: received - quarantined - filtered, quarantined, filtered }
}

fn count_own(derivation: &mut Derivation, own: &BTreeMap<Minute, Own>, occasion: Occasion) {
    for (minute, own) in own {
        let archived = own.received - own.quarantined - own.filtered;
        match occasion {
            Occasion::Delivery => {
                derivation.add_own("pipeline_lines_received", *minute, own.received);
                derivation.add_own("pipeline_lines_archived", *minute, archived);
                derivation.add_own("pipeline_lines_quarantined", *minute, own.quarantined);
                derivation.add_own("pipeline_lines_filtered", *minute, own.filtered);
                derivation.add_own("pipeline_bytes_received", *minute, own.bytes);
            }
            Occasion::Replay => derivation.add_own("pipeline_lines_replayed", *minute, archived),
        }
    }
}

#[cfg(test)]
mod tests;
