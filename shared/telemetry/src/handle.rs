//! One instance of the library: what is set, and where lines go.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tracing::dispatcher;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use schema::{Category, Level};

use crate::clock::Clock;
use crate::json;
use crate::layer::LogLayer;
use crate::line::{Place, context, with_record};
use crate::metrics::{self, Recorder, Store};
use crate::scope::Ids;
use crate::secret::MaskedNames;
use crate::settings::{Identity, Settings};
use crate::sink::Sink;
use crate::trace::Sampler;

/// How long to wait before what found no room is written again. As long as the writer lets lines gather.
const AGAIN_AFTER: Duration = Duration::from_millis(1);

/// Settings and sink, shared by all clones. A process has one ([`init`](crate::init)); tests make their own.
#[derive(Clone, Debug)]
pub struct Telemetry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    /// The members of `context` that are the same in every line.
    identity_json: Vec<u8>,
    masked: MaskedNames,
    sampler: Sampler,
    sink: Sink,
    store: Arc<Store>,
}

impl Telemetry {
    /// With lines to `writer`, which a thread of its own writes to.
    ///
    /// # Errors
    ///
    /// Where the system has no thread for it.
    pub fn new(settings: Settings, writer: impl Write + Send + 'static) -> io::Result<Telemetry> {
        Telemetry::with_store(settings, writer, Arc::default())
    }

    /// With metrics that others may have counted already.
    pub(crate) fn with_store(
        settings: Settings,
        writer: impl Write + Send + 'static,
        store: Arc<Store>,
    ) -> io::Result<Telemetry> {
        let identity_json = identity_json(&settings.identity);
        let identity = identity_json.clone();
        let mut clock = Clock::default();
        let sink = Sink::new(settings.buffer_bytes, writer, move |out, dropped| {
            tell_dropped(out, &mut clock, &identity, dropped);
        })?;
        let masked = MaskedNames::new(&settings.masked_fields);
        let sampler = Sampler::new(&settings.traces);
        Ok(Telemetry { shared: Arc::new(Shared { settings, identity_json, masked, sampler, sink, store }) })
    }

    /// The one of the subscriber that this thread's events go to.
    pub fn current() -> Option<Telemetry> {
        Telemetry::with_current(|telemetry| telemetry.cloned())
    }

    /// Works with it, without events: `tracing` drops those that come meanwhile.
    pub(crate) fn with_current<R>(mut work: impl FnMut(Option<&Telemetry>) -> R) -> R {
        dispatcher::get_default(|dispatch| work(dispatch.downcast_ref::<LogLayer>().map(LogLayer::telemetry)))
    }

    /// A layer for a subscriber. Nothing but a [`Registry`] may lie beneath it.
    pub fn layer(&self) -> LogLayer {
        LogLayer::new(self.clone())
    }

    /// A subscriber with the layer and nothing else.
    pub fn subscriber(&self) -> Layered<LogLayer, Registry> {
        tracing_subscriber::registry().with(self.layer())
    }

    /// What is set.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Where lines go.
    pub fn sink(&self) -> &Sink {
        &self.shared.sink
    }

    /// Waits until everything so far is written, what was counted among it. `false` where that takes longer than
    /// `timeout`, or where nobody is left to write to: then what was counted is kept for the next time.
    pub fn flush(&self, timeout: Duration) -> bool {
        // A time that no clock can show is waited for without one.
        let deadline = Instant::now().checked_add(timeout);
        let left = || deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
        loop {
            let all_taken = metrics::flush_of(self, metrics::now_millis(), false);
            let written = self.shared.sink.flush(left());
            if all_taken || !written || left().is_zero() {
                return all_taken && written;
            }
            // What was put back goes to the buffer that is empty now, if others have not filled it again.
            thread::sleep(AGAIN_AFTER.min(left()));
        }
    }

    pub(crate) fn identity_json(&self) -> &[u8] {
        &self.shared.identity_json
    }

    /// A recorder for the facade of the `metrics` crate. [`init`](crate::init) installs that of the process.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.shared.store))
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    pub(crate) fn masked(&self) -> &MaskedNames {
        &self.shared.masked
    }

    pub(crate) fn sampler(&self) -> &Sampler {
        &self.shared.sampler
    }

    /// Writes a line that no event stands behind: with `members`, JSON members as text with a comma before each.
    /// `false` where it is dropped.
    pub(crate) fn write_own(&self, level: Level, category: Category, message: Option<&str>, members: &[u8]) -> bool {
        self.write_own_in((None, None), level, category, message, members)
    }

    /// The same with the ids of where it happens.
    pub(crate) fn write_own_in(
        &self,
        context: (Option<&Ids>, Option<&Place>),
        level: Level,
        category: Category,
        message: Option<&str>,
        members: &[u8],
    ) -> bool {
        self.own(context, level, category, message, members, Sink::write_line)
    }

    /// The same of what is kept where there is no room for it just now: then it is not dropped.
    pub(crate) fn offer_own(&self, level: Level, category: Category, message: Option<&str>, members: &[u8]) -> bool {
        self.own((None, None), level, category, message, members, Sink::offer_line)
    }

    fn own(
        &self,
        (ids, place): (Option<&Ids>, Option<&Place>),
        level: Level,
        category: Category,
        message: Option<&str>,
        members: &[u8],
        write: impl FnOnce(&Sink, &[u8]) -> bool,
    ) -> bool {
        with_record(|record| {
            record.head(SystemTime::now(), level, category);
            let line = &mut record.line;
            if let Some(message) = message {
                json::name(line, "message");
                json::text(line, message);
            }
            end_own(line, self.identity_json(), ids, place, members);
            write(self.sink(), line)
        })
    }
}

fn end_own(line: &mut Vec<u8>, identity_json: &[u8], ids: Option<&Ids>, place: Option<&Place>, members: &[u8]) {
    line.extend_from_slice(b",\"context\":{");
    context(line, identity_json, ids, place);
    line.push(b'}');
    line.extend_from_slice(members);
    line.push(b'}');
}

fn identity_json(identity: &Identity) -> Vec<u8> {
    let mut json = Vec::new();
    let Identity { service, environment, version } = identity;
    for (name, value) in [("service_name", service), ("environment", environment), ("version", version)] {
        json::name(&mut json, name);
        json::text(&mut json, value);
    }
    json.remove(0);
    json
}

/// The line that says how many lines are missing before it.
fn tell_dropped(out: &mut Vec<u8>, clock: &mut Clock, identity_json: &[u8], dropped: u64) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    clock.millis(out, SystemTime::now());
    out.extend_from_slice(b"\",\"level\":\"WARNING\",\"category\":\"system\",\"message\":\"log lines dropped\"");
    let mut members = b",\"details\":{\"dropped\":".to_vec();
    json::unsigned(&mut members, dropped);
    members.push(b'}');
    end_own(out, identity_json, None, None, &members);
    out.push(b'\n');
}
