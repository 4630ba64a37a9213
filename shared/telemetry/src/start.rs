//! The one instance of a process.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::handle::Telemetry;
use crate::metrics::{self, Flusher};
use crate::panics;
use crate::records;
use crate::settings::{self, Settings};

static GLOBAL: OnceLock<Telemetry> = OnceLock::new();

/// Held while it is made: of two threads at once one waits for the other.
static MAKING: Mutex<()> = Mutex::new(());

/// How long a guard that is dropped waits for standard output.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is no thread to write with.
    #[error("no thread to write log lines with")]
    Thread(#[source] io::Error),
    /// Another library's subscriber was set before.
    #[error("another subscriber of `tracing` is in place")]
    OtherSubscriber,
    /// Metrics would be dropped by CloudWatch.
    #[error("the namespace of metrics {0}")]
    Namespace(String),
}

/// Writes what is still to be written when it is dropped: keep it as long as `main` runs.
#[derive(Debug)]
#[must_use = "what is still to be written when `main` ends is written when this is dropped"]
pub struct Guard {
    telemetry: Telemetry,
    /// That of the first guard.
    flusher: Option<Flusher>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.flusher.take());
        self.telemetry.flush(LAST_FLUSH);
    }
}

/// Sends every event and span of this process to standard output, and panics, metrics and records of the `log` crate
/// too. The first call wins: lines are never written twice, and the guard of a later call is one of the first.
///
/// # Errors
///
/// Where another subscriber is in place, the system has no thread for it, or CloudWatch would not take the namespace.
/// Then nothing is in place.
pub fn init(settings: Settings) -> Result<Guard, InitError> {
    let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(telemetry) = GLOBAL.get() {
        return Ok(Guard { telemetry: telemetry.clone(), flusher: None });
    }
    settings::namespace(&settings.namespace).map_err(InitError::Namespace)?;
    let telemetry =
        Telemetry::with_store(settings, io::stdout(), metrics::process_store()).map_err(InitError::Thread)?;
    // What may fail comes first: a subscriber stays for ever.
    let flusher = metrics::flush_at_intervals(&telemetry).map_err(InitError::Thread)?;
    tracing::subscriber::set_global_default(telemetry.subscriber()).map_err(|_| InitError::OtherSubscriber)?;
    let telemetry = GLOBAL.get_or_init(|| telemetry).clone();
    panics::log(&telemetry);
    if ::metrics::set_global_recorder(telemetry.recorder()).is_err() {
        tracing::warn!("another recorder of `metrics` is in place: what is counted through it is not told here");
    }
    if !records::install(&telemetry) {
        tracing::warn!("another logger of `log` is in place: what is logged through it is not written here");
    }
    Ok(Guard { telemetry, flusher })
}

/// The instance that [`init`] made.
pub fn global() -> Option<&'static Telemetry> {
    GLOBAL.get()
}

/// Waits until everything so far is written, before a function is frozen or a process ends. `false` where that takes
/// longer than `timeout`. Without [`init`] there is nothing to write.
pub fn flush(timeout: Duration) -> bool {
    GLOBAL.get().is_none_or(|telemetry| telemetry.flush(timeout))
}
