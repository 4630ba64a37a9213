//! Configuration from the environment, the same for both doors.

use aws::variables::{ConfigError, Variables};
use domain::logs::filter::Filters;
use domain::logs::pipeline::Settings;
use domain::logs::redact::{self, PseudonymKey};

/// What the function has to know.
#[derive(Debug)]
pub struct Config {
    /// The bucket it writes to.
    pub bucket_name: String,
    /// The bus that hears of security events.
    pub event_bus_name: String,
    /// How the names of this pipeline's own log groups begin, separated by commas; they are never processed.
    pub own_log_group_prefix: String,
    /// The environment's name, with which the names of its database instances begin.
    pub environment: String,
    /// The secret whose text is the key of the pseudonyms: its ARN.
    pub pseudonym_key_secret: String,
    /// Names of further fields that hold personal data.
    pub personal_fields: Vec<String>,
    /// What is not archived; by default nothing.
    pub filters: Filters,
    /// CloudWatch namespace of the metrics that lines bring along.
    pub metric_namespace: String,
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 8] = [
        "BUCKET_NAME",
        "EVENT_BUS_NAME",
        "OWN_LOG_GROUP_PREFIX",
        "ENVIRONMENT",
        "PSEUDONYM_KEY_SECRET",
        "PERSONAL_FIELDS",
        "LOG_FILTERS",
        "METRIC_NAMESPACE",
    ];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let event_bus_name = variables.required("EVENT_BUS_NAME");
        let own_log_group_prefix = variables.required("OWN_LOG_GROUP_PREFIX");
        let environment = variables.required("ENVIRONMENT");
        let pseudonym_key_secret = variables.required("PSEUDONYM_KEY_SECRET");
        let personal_fields = variables.optional_with("PERSONAL_FIELDS", redact::field_names).unwrap_or_default();
        let filters = variables.optional_with("LOG_FILTERS", Filters::parse).unwrap_or_default();
        let metric_namespace = variables.required("METRIC_NAMESPACE");
        variables.finish(|| {
            Some(Config {
                bucket_name,
                event_bus_name,
                own_log_group_prefix,
                environment,
                pseudonym_key_secret,
                personal_fields,
                filters,
                metric_namespace,
            })
        })
    }

    /// What the pipeline has to know, with the key that its secret holds.
    pub fn settings(&self, pseudonym_key: PseudonymKey) -> Settings {
        Settings {
            own_log_groups: self.own_log_group_prefix.clone(),
            environment: self.environment.clone(),
            pseudonym_key,
            personal_fields: self.personal_fields.clone(),
            filters: self.filters.clone(),
            metric_namespace: self.metric_namespace.clone(),
        }
    }
}
