//! Configuration from the environment.

use aws::variables::{ConfigError, Variables};
use domain::logs::filter::Filters;
use domain::logs::pipeline::Settings;
use domain::logs::redact::{self, PseudonymKey};

/// What the function has to know. Each variable means the same as log-processor's of that name.
#[derive(Debug)]
pub struct Config {
    /// The bucket it writes to.
    pub bucket_name: String,
    /// The environment that the events are of.
    pub environment: String,
    /// The secret whose text is the key of the pseudonyms: its ARN.
    pub pseudonym_key_secret: String,
    /// Names of further fields that hold personal data.
    pub personal_fields: Vec<String>,
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 4] = ["BUCKET_NAME", "ENVIRONMENT", "PSEUDONYM_KEY_SECRET", "PERSONAL_FIELDS"];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let environment = variables.required("ENVIRONMENT");
        let pseudonym_key_secret = variables.required("PSEUDONYM_KEY_SECRET");
        let personal_fields = variables.optional_with("PERSONAL_FIELDS", redact::field_names).unwrap_or_default();
        variables.finish(|| Some(Config { bucket_name, environment, pseudonym_key_secret, personal_fields }))
    }

    /// What the pipeline has to know, with the key that its secret holds. Events come from no log group, and none is
    /// filtered.
    pub fn settings(&self, pseudonym_key: PseudonymKey) -> Settings {
        Settings {
            own_log_groups: String::new(),
            environment: self.environment.clone(),
            pseudonym_key,
            personal_fields: self.personal_fields.clone(),
            filters: Filters::default(),
            // An event brings no metrics along: they are derived from it.
            metric_namespace: String::new(),
        }
    }
}
