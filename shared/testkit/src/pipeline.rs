//! The pipeline and the redaction as tests call them: made here and nowhere else in the tests, so that
//! a change of how they are made is a change of this file.

use domain::logs::pipeline::{self, Lines, Outcome, Settings};
use domain::logs::redact;

/// The environment that [`process`] runs in.
pub const ENVIRONMENT: &str = "production";

/// What becomes of a Lambda event.
pub fn process(event: &str) -> Outcome {
    let settings = Settings { own_log_groups: "/aws/lambda/observability-", environment: ENVIRONMENT };
    pipeline::process(event, settings)
}

/// Where the lines of a batch are, added up. It has to be what was received.
pub fn accounted(lines: &Lines) -> usize {
    lines.archived + lines.quarantined
}

/// `text` without personal data and secrets.
pub fn redact_text(text: &str) -> String {
    redact::redact_text(text).into_owned()
}
