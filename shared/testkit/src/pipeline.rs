//! The pipeline and the redaction as tests call them: made here and nowhere else in the tests, so that
//! a change of how they are made is a change of this file.

use domain::logs::filter::Filters;
use domain::logs::pipeline::{Lines, Outcome, Pipeline, Processed, Settings};
use domain::logs::redact::{FieldNames, PseudonymKey, Redactor};

/// A key for pseudonyms that keeps no secret.
pub const KEY: &str = "a made-up key, 64 characters long: everybody may read it, so 0123";

/// The environment that [`settings`] are of.
pub const ENVIRONMENT: &str = "production";

/// The namespace of the metrics that lines bring along.
pub const NAMESPACE: &str = "LandContracts";

/// Settings whose own log groups begin with `/aws/lambda/observability-` and `/land-contracts/observability/`; no filters.
pub fn settings() -> Settings {
    Settings {
        own_log_groups: "/aws/lambda/observability-, /land-contracts/observability/".to_owned(),
        environment: ENVIRONMENT.to_owned(),
        pseudonym_key: key(),
        personal_fields: Vec::new(),
        filters: Filters::default(),
        metric_namespace: NAMESPACE.to_owned(),
    }
}

fn key() -> PseudonymKey {
    PseudonymKey::from_secret(KEY).expect("it is long enough")
}

/// What becomes of a Lambda event.
pub fn process(event: &str) -> Outcome {
    Pipeline::new(settings()).process(event)
}

/// The same where no line is known by its shape.
pub fn process_in_full(event: &str) -> Outcome {
    Pipeline::new(settings()).with_shapes(0).process(event)
}

/// A pipeline that has processed `events`.
pub fn warm(events: &[String]) -> Pipeline {
    let mut pipeline = Pipeline::new(settings());
    for event in events {
        pipeline.process(event);
    }
    pipeline
}

/// What becomes of a Lambda event where lines are filtered.
pub fn process_filtered(filters: &str, event: &str) -> Outcome {
    let filters = Filters::parse(filters).expect("a test has filters that can be read");
    Pipeline::new(Settings { filters, ..settings() }).process(event)
}

/// What becomes of the data of a Kinesis record.
pub fn process_message(compressed: &[u8]) -> Outcome {
    Pipeline::new(settings()).process_message(compressed)
}

/// What becomes of a message that brings a business event, and was sent at `sent_millis`.
pub fn process_event(body: &str, sent_millis: i64) -> Processed {
    Pipeline::new(settings()).process_event(body, sent_millis)
}

/// Where the lines of a batch are, added up. It has to be what was received.
pub fn accounted(lines: &Lines) -> usize {
    lines.archived + lines.quarantined + lines.filtered
}

/// `text` without personal data and secrets.
pub fn redact_text(text: &str) -> String {
    Redactor::new(key(), FieldNames::new([])).text(text).into_owned()
}
