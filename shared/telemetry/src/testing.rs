//! What tests write to, and read lines from.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::{Identity, Settings, Telemetry};

/// Keeps what is written.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Settings of a service in which every trace is kept.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new(Identity::new("contract", "test", "1.2.3"));
    settings.traces.share = 1.0;
    settings
}

/// What `work` writes.
pub(crate) fn text_of(settings: Settings, work: impl FnOnce(&Telemetry)) -> String {
    let written = Written::default();
    let telemetry = Telemetry::new(settings, written.clone()).unwrap();
    tracing::subscriber::with_default(telemetry.subscriber(), || work(&telemetry));
    assert!(telemetry.flush(Duration::from_secs(60)));
    written.text()
}

/// The lines that `work` writes.
pub(crate) fn lines_of(settings: Settings, work: impl FnOnce(&Telemetry)) -> Vec<Value> {
    text_of(settings, work)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// The lines of events among them.
pub(crate) fn events_of(settings: Settings, work: impl FnOnce(&Telemetry)) -> Vec<Value> {
    lines_of(settings, work).into_iter().filter(|line| line.get("span").is_none()).collect()
}

/// The `span` of each span line among them.
pub(crate) fn spans_of(settings: Settings, work: impl FnOnce(&Telemetry)) -> Vec<Value> {
    lines_of(settings, work).into_iter().filter(|line| line.get("span").is_some()).collect()
}
