//! The `tracing` layer that turns events and spans into lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as Values};
use tracing::subscriber::Interest;
use tracing::{Event, Level as TracingLevel, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use schema::Level;
use schema::trace::SpanId;

use crate::chance;
use crate::handle::Telemetry;
use crate::line::{self, Fields, Place, Record, with_record};
use crate::records;
use crate::scope::{self, Ids, Request, SharedIds};
use crate::trace::{self, Found, Next, OpenSpan, SpanFields, SpanState, Tags};

/// Writes events as log lines and spans of kept traces as span lines, of schema v1.
///
/// It is a filter for the whole subscriber, too: what is written by none of its settings is switched off where it
/// is logged.
#[derive(Debug)]
pub struct LogLayer {
    telemetry: Telemetry,
    /// Whether events below the level may be written after all.
    wants_debug: bool,
    /// The level of spans of a trace, where it is the same for all targets: then none is looked up.
    spans_of_all: Option<LevelFilter>,
    /// Open spans that are of a kept trace, or of none: what is in them may be a line, or begin a trace. Mostly there
    /// are none, and then neither a span within another nor one that closes is looked at.
    watched: AtomicUsize,
}

/// What becomes of an event.
enum Way {
    Write,
    /// Kept back until something fails.
    Hold(Arc<Request>),
    Skip,
}

impl LogLayer {
    pub(crate) fn new(telemetry: Telemetry) -> LogLayer {
        let debug = &telemetry.settings().debug;
        let wants_debug = debug.share > 0.0 || debug.hold_bytes > 0;
        let spans = &telemetry.settings().traces.spans;
        // What is listed besides the default is listed without a target.
        let spans_of_all = match spans.iter().count() {
            0 => Some(spans.default_level().unwrap_or(LevelFilter::OFF)),
            _ => None,
        };
        LogLayer { telemetry, wants_debug, spans_of_all, watched: AtomicUsize::new(0) }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if matches!(metadata.target(), records::TARGET | records::TARGET_BELOW) {
            return true;
        }
        let settings = self.telemetry.settings();
        let lets = |targets: &Targets| targets.would_enable(metadata.target(), metadata.level());
        let wanted = lets(&settings.levels) || (self.wants_debug && lets(&settings.debug.levels));
        // Ids of a request are inherited through spans, whatever level is logged.
        wanted || (metadata.is_span() && (*metadata.level() <= TracingLevel::INFO || lets(&settings.traces.spans)))
    }

    /// What becomes of an event that may be below the level.
    fn way<S>(&self, event: &Event<'_>, context: &Context<'_, S>) -> Way
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let (metadata, settings) = (event.metadata(), self.telemetry.settings());
        let is_on = match metadata.target() {
            records::TARGET => true,
            records::TARGET_BELOW => false,
            target => settings.levels.would_enable(target, metadata.level()),
        };
        if is_on {
            return Way::Write;
        }
        let Some(span) = context.event_span(event) else { return Way::Skip };
        let way = trace::nearest(&span, |state| {
            let ids = state.ids.as_ref().map(|ids| ids.read());
            match (&ids, state.place) {
                (Some(ids), _) if ids.request.debug => Way::Write,
                (Some(ids), _) if settings.debug.hold_bytes > 0 => Way::Hold(Arc::clone(&ids.request)),
                (None, Some(place)) if self.debugs_trace(place) => Way::Write,
                _ => Way::Skip,
            }
        });
        way.unwrap_or(Way::Skip)
    }

    fn debugs_trace(&self, place: Place) -> bool {
        self.debugs(trace::bits_of(place.trace_id))
    }

    /// Whether all DEBUG lines of something with an id of these bits are written. Nobody can choose an id of which
    /// they are: another process decides otherwise.
    fn debugs(&self, bits: u64) -> bool {
        chance::is_in_share(chance::stirred(bits), self.telemetry.settings().debug.share)
    }

    /// Whether a span is one of a trace, and not only hands on what it is handed.
    fn traces(&self, metadata: &Metadata<'_>) -> bool {
        let lets = match self.spans_of_all {
            Some(level) => *metadata.level() <= level,
            None => self.telemetry.settings().traces.spans.would_enable(metadata.target(), metadata.level()),
        };
        lets && metadata.target() != scope::TARGET
    }

    /// Where a span stands, and its parent.
    fn place(
        &self,
        metadata: &Metadata<'_>,
        traced: bool,
        found: &Found,
        outer: Option<Place>,
        now: &mut Now,
    ) -> Placed {
        let name = found.name.as_deref().unwrap_or(metadata.name());
        let sampler = self.telemetry.sampler();
        let decide = |trace_id, now: &mut Now| sampler.decide(trace::bits_of(trace_id), name, || now.get());
        let around = match (found.remote, outer) {
            (Some(remote), outer) => {
                // Decided once for each trace, also where several spans here name it.
                let outer = outer.filter(|outer| outer.trace_id == remote.trace_id);
                let sampled = remote.sampled.or(outer.map(|outer| outer.sampled));
                let sampled = sampled.unwrap_or_else(|| match found.is_foreign {
                    true => sampler.decide(chance::bits(), name, || now.get()),
                    false => decide(remote.trace_id, now),
                });
                Some(Place { trace_id: remote.trace_id, span_id: remote.span_id, sampled, is_remote: true })
            }
            (None, outer) => outer,
        };
        if !traced {
            return Placed { place: around, parent: (None, false) };
        }
        let span_id = Some(trace::span_id());
        let (place, parent) = match around {
            Some(around) => {
                let is_remote = around.is_remote && around.span_id.is_some();
                (Place { span_id, is_remote: false, ..around }, (around.span_id, is_remote))
            }
            None => {
                let trace_id = trace::trace_id(now.get());
                (Place { trace_id, span_id, sampled: decide(trace_id, now), is_remote: false }, (None, false))
            }
        };
        Placed { place: Some(place), parent }
    }

    /// What is new in a span, on top of the ids around it.
    fn ids(&self, found: &mut Found, outer: Option<&Ids>, place: Option<Place>) -> Ids {
        let values = std::mem::take(&mut found.ids);
        let request = match (outer, &values[0]) {
            (Some(outer), None) => Arc::clone(&outer.request),
            (Some(outer), same) if outer.get(0) == same.as_deref() => Arc::clone(&outer.request),
            (_, request_id) => {
                let bits = place.map(|place| trace::bits_of(place.trace_id));
                let bits = bits.or_else(|| request_id.as_deref().map(chance::bits_of));
                Arc::new(Request::new(bits.is_some_and(|bits| self.debugs(bits))))
            }
        };
        Ids::within(outer, values, request)
    }

    /// Writes what was held back for a request in which something has failed now.
    fn release(&self, ids: &Ids, place: Option<&Place>) {
        let held = ids.request.release();
        if held.discarded > 0 {
            let members = format!(",\"details\":{{\"discarded\":{}}}", held.discarded);
            let message = Some("older DEBUG lines of the request were discarded");
            let of_request = (Some(ids), place);
            self.telemetry.write_own_in(
                of_request,
                Level::Warning,
                schema::Category::System,
                message,
                members.as_bytes(),
            );
        }
        for line in held.lines {
            self.telemetry.sink().write_line(&line);
        }
    }
}

struct Placed {
    place: Option<Place>,
    /// And whether it is another service's.
    parent: (Option<SpanId>, bool),
}

/// The time, asked for once and only where it is needed.
#[derive(Default)]
struct Now(Option<SystemTime>);

impl Now {
    fn get(&mut self) -> SystemTime {
        *self.0.get_or_insert_with(SystemTime::now)
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let settings = self.telemetry.settings();
        let highest = |targets: &Targets| {
            let named = targets.iter().map(|(_, level)| level).max();
            named.max(targets.default_level()).unwrap_or(LevelFilter::OFF)
        };
        let debug = if self.wants_debug { highest(&settings.debug.levels) } else { LevelFilter::OFF };
        let spans = highest(&settings.traces.spans).max(LevelFilter::INFO);
        Some(highest(&settings.levels).max(debug).max(spans))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let traced = self.traces(metadata);
        let next = trace::take_next();
        let inherits = next.is_none() && !metadata.fields().iter().any(|field| trace::is_inherited(field.name()));
        if inherits && self.watched.load(Ordering::Relaxed) == 0 {
            let has_parent = attributes.is_contextual() && context.current_span().id().is_some();
            if has_parent || attributes.parent().is_some() {
                return;
            }
        }
        let parent = match attributes.parent() {
            Some(id) => context.span(id),
            None if attributes.is_contextual() => context.lookup_current(),
            None => None,
        };
        let outer = parent.as_ref().and_then(|parent| {
            trace::nearest(parent, |state| {
                if inherits && !(traced && state.is_watched()) { None } else { Some((state.ids.clone(), state.place)) }
            })
        });
        let (outer_ids, outer_place) = match outer {
            // Nothing of its own to hand on: what is in it looks at what is around it.
            Some(None) => return,
            Some(Some(outer)) => outer,
            None => (None, None),
        };
        let Some(span) = context.span(id) else { return };
        let masked = self.telemetry.masked();
        let (mut found, mut tags) = (Found::default(), Tags::default());
        attributes.record(&mut SpanFields { found: &mut found, tags: None, masked });
        let Next { parent: remote, is_foreign, ids: next_ids } = next.unwrap_or_default();
        (found.remote, found.is_foreign) = (remote.or(found.remote), is_foreign);
        let outer_ids = next_ids.or(outer_ids);
        let mut now = Now::default();
        let Placed { place, parent } = self.place(metadata, traced, &found, outer_place, &mut now);
        // A span that says that it will name some has ids of its own already, for what is in it to share.
        let adds_ids = metadata.fields().iter().any(|field| trace::is_id(field.name()));
        let ids = if adds_ids {
            let ids = self.ids(&mut found, outer_ids.as_ref().map(|outer| outer.read()).as_deref(), place);
            Some(Arc::new(SharedIds::new(ids, outer_ids)))
        } else {
            outer_ids
        };
        let open = (traced && place.is_some_and(|place| place.sampled)).then(|| {
            attributes.record(&mut SpanFields { found: &mut Found::default(), tags: Some(&mut tags), masked });
            Box::new(OpenSpan::begin(now.get(), parent, found, tags))
        });
        let state = SpanState { ids, place, open };
        if state.is_watched() {
            self.watched.fetch_add(1, Ordering::Relaxed);
        }
        span.extensions_mut().insert(state);
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // Values are asked what they are before anything is locked: they may log themselves.
        let (mut found, mut tags) = (Found { is_late: true, ..Found::default() }, Tags::default());
        values.record(&mut SpanFields { found: &mut found, tags: Some(&mut tags), masked: self.telemetry.masked() });
        let mut extensions = span.extensions_mut();
        let Some(state) = extensions.get_mut::<SpanState>() else { return };
        if found.has_ids() {
            let ids = self.ids(&mut found, state.ids.as_ref().map(|ids| ids.read()).as_deref(), state.place);
            match &state.ids {
                Some(shared) => shared.replace(ids),
                None => state.ids = Some(Arc::new(SharedIds::new(ids, None))),
            }
        }
        if let Some(open) = &mut state.open {
            open.update(found, &tags);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let way = if self.wants_debug { self.way(event, &context) } else { Way::Write };
        if matches!(way, Way::Skip) {
            return;
        }
        let members = line::take_members();
        with_record(|record| {
            event.record(&mut Fields { record, masked: self.telemetry.masked() });
            let level = level_of(*event.metadata().level(), record.critical);
            let at = SystemTime::now();
            let span = context.event_span(event);
            let Made { failed_in, sampled } = self.make_line(record, at, level, span.as_ref(), members.len());
            match way {
                Way::Hold(request) => {
                    members.end_held(&mut record.line);
                    request.hold(&record.line, self.telemetry.settings().debug.hold_bytes);
                    members.written(false);
                }
                Way::Write | Way::Skip => {
                    if let Some((ids, place)) = failed_in {
                        self.release(&ids.read(), place.as_ref());
                    }
                    members.end(&mut record.line);
                    members.written(self.telemetry.sink().write_line(&record.line));
                }
            }
            if sampled && record.span_log.unwrap_or(level >= Level::Warning) {
                add_to_span(record, at, level, span);
            }
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if self.watched.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Some(span) = context.span(&id) else { return };
        let extensions = span.extensions();
        let Some(state) = extensions.get::<SpanState>() else { return };
        state.write(&self.telemetry, span.name(), false);
        if state.is_watched() {
            self.watched.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl LogLayer {
    /// Makes the line of an event.
    fn make_line<S>(
        &self,
        record: &mut Record,
        at: SystemTime,
        level: Level,
        span: Option<&SpanRef<'_, S>>,
        more: usize,
    ) -> Made
    where
        S: for<'a> LookupSpan<'a>,
    {
        let identity = self.telemetry.identity_json();
        let releases = level >= Level::Error && self.telemetry.settings().debug.hold_bytes > 0;
        let made = span.and_then(|span| {
            trace::nearest(span, |state| {
                let ids = state.ids.as_ref().map(|ids| ids.read());
                record.make_line(at, level, identity, ids.as_deref(), state.place.as_ref(), more);
                Made {
                    failed_in: state.ids.as_ref().filter(|_| releases).map(|ids| (Arc::clone(ids), state.place)),
                    sampled: state.place.is_some_and(|place| place.sampled),
                }
            })
        });
        made.unwrap_or_else(|| {
            record.make_line(at, level, identity, None, None, more);
            Made { failed_in: None, sampled: false }
        })
    }
}

/// What is to be done with a line beside writing it.
struct Made {
    /// The request whose held lines are to be written before it, and where it failed.
    failed_in: Option<(Arc<SharedIds>, Option<Place>)>,
    /// Whether a span around it will be a line.
    sampled: bool,
}

/// Adds the record to the nearest span around it that will be a line.
fn add_to_span<S>(record: &mut Record, at: SystemTime, level: Level, innermost: Option<SpanRef<'_, S>>)
where
    S: for<'a> LookupSpan<'a>,
{
    for span in innermost.iter().flat_map(SpanRef::scope) {
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<SpanState>() {
            Some(SpanState { open: Some(open), .. }) => return open.add_event(record, at, level),
            // No span around it is kept.
            Some(SpanState { place: None | Some(Place { sampled: false, .. }), .. }) => return,
            Some(_) | None => {}
        }
    }
}

fn level_of(level: TracingLevel, critical: bool) -> Level {
    match level {
        TracingLevel::ERROR if critical => Level::Critical,
        TracingLevel::ERROR => Level::Error,
        TracingLevel::WARN => Level::Warning,
        TracingLevel::INFO => Level::Info,
        TracingLevel::DEBUG | TracingLevel::TRACE => Level::Debug,
    }
}

#[cfg(test)]
mod tests;
