//! What the function logs of a delivery. A process of its own: what other tests log at the same time would
//! decide which events `tracing` has switched off.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use log_processor::{Pipelines, handle};
use testkit::{InMemoryBucket, RecordedEvents, event_file};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Keeps what is logged, as text.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<String>>);

impl Visit for Logged {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0.lock().unwrap(), "{field}={value:?} ").unwrap();
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let chain: Vec<String> =
            std::iter::successors(Some(value), |error| error.source()).map(ToString::to_string).collect();
        write!(self.0.lock().unwrap(), "{field}={chain:?} ").unwrap();
    }
}

impl Subscriber for Logged {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn the_log_tells_reason_and_key_but_never_quotes_the_payload() {
    let logged = Logged::default();
    let guard = tracing::subscriber::set_default(logged.clone());
    let bucket = InMemoryBucket::new();
    let event = String::from_utf8(event_file("log-processor/log-events-not-a-list.json")).unwrap();
    handle(&event, &bucket, &RecordedEvents::new(), &Pipelines::new(testkit::pipeline::settings())).await.unwrap();
    drop(guard);
    let text = logged.0.lock().unwrap().clone();
    assert!(text.contains("reason=\"json\""), "{text}");
    assert!(text.contains(&bucket.keys_under("quarantine/")[0]), "{text}");
    assert!(!text.contains("anna"), "{text}");
}
