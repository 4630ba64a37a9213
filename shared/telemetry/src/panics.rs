//! Panics as lines.

use std::panic;
use std::time::Duration;

use schema::{Category, Level};

use crate::handle::Telemetry;
use crate::json;
use crate::line::with_members;

/// How long a thread that panics waits for its line to be written, which may be the last of the process. No longer:
/// a panic may be caught, again and again.
const FLUSH: Duration = Duration::from_millis(100);

/// How long where the process ends with the panic: nobody else will tell what was counted.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// From now on a panic is a CRITICAL line, with the ids of what panicked, and is written at once. What was called on
/// a panic before is called after.
pub(crate) fn log(telemetry: &Telemetry) {
    let telemetry = telemetry.clone();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("a value that is no text");
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let written = with_members(b"", || {
            tracing::error!(critical = true, error = message, error.type = "panic", location, thread, "panic");
        });
        if !written {
            // The panic may come from where events are switched off, from the midst of one, say.
            let mut members = b",\"details\":{\"location\":".to_vec();
            json::text(&mut members, &location);
            json::name(&mut members, "thread");
            json::text(&mut members, thread);
            members.extend_from_slice(b"},\"error\":{\"type\":\"panic\"");
            json::name(&mut members, "message");
            json::text(&mut members, message);
            members.push(b'}');
            telemetry.write_own(Level::Critical, Category::System, Some("panic"), &members);
        }
        if cfg!(panic = "abort") {
            telemetry.flush(LAST_FLUSH);
        } else {
            telemetry.sink().flush(FLUSH);
        }
        before(info);
    }));
}
