//! The pipeline's settings, as tests have them.

use domain::logs::filter::Filters;
use domain::logs::pipeline::Settings;
use domain::logs::redact::PseudonymKey;

/// A key for pseudonyms that keeps no secret.
pub const KEY: &str = "a made-up key, 64 characters long: everybody may read it, so 0123";

/// The production environment, whose own log groups begin with `/aws/lambda/observability-`; no filters.
pub fn settings() -> Settings {
    Settings {
        own_log_groups: "/aws/lambda/observability-".to_owned(),
        environment: "production".to_owned(),
        pseudonym_key: PseudonymKey::from_secret(KEY).expect("it is long enough"),
        personal_fields: Vec::new(),
        filters: Filters::default(),
    }
}
