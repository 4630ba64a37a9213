//! The one instance of a process.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use crate::handle::Telemetry;
use crate::panics;
use crate::settings::Settings;

static GLOBAL: OnceLock<Telemetry> = OnceLock::new();

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
}

/// Writes what is still to be written when it is dropped: keep it as long as `main` runs.
#[derive(Debug)]
#[must_use = "what is still to be written when `main` ends is written when this is dropped"]
pub struct Guard(Telemetry);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.flush(LAST_FLUSH);
    }
}

/// Sends every event and span of this process to standard output, and panics too. The first call wins: lines are
/// never written twice, and the guard of a later call is one of the first.
///
/// # Errors
///
/// Where another subscriber is in place, or the system has no thread for it.
pub fn init(settings: Settings) -> Result<Guard, InitError> {
    if let Some(telemetry) = GLOBAL.get() {
        return Ok(Guard(telemetry.clone()));
    }
    let telemetry = Telemetry::new(settings, io::stdout()).map_err(InitError::Thread)?;
    match tracing::subscriber::set_global_default(telemetry.subscriber()) {
        Ok(()) => {
            panics::log(&telemetry);
            Ok(Guard(GLOBAL.get_or_init(|| telemetry).clone()))
        }
        // Two threads at once: the other was first, and may be just about to say so.
        Err(_) => GLOBAL.get().cloned().map(Guard).ok_or(InitError::OtherSubscriber),
    }
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
