//! Configuration from the environment.

use aws::variables::{ConfigError, Variables};

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of rules, rollups, state and history.
    pub bucket_name: String,
    /// The topic of notifications.
    pub alert_topic_arn: String,
    /// RDS instance, for `${DATABASE_INSTANCE}` in rules.
    pub database_instance: String,
    /// Name of the environment, as it stands in messages.
    pub environment: String,
    /// The region of its traces, for links.
    pub region: String,
}

impl Config {
    /// The variables it reads, beside `AWS_REGION`, which Lambda sets.
    pub const VARIABLES: [&str; 4] = ["BUCKET_NAME", "ALERT_TOPIC_ARN", "DATABASE_INSTANCE", "ENVIRONMENT"];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let alert_topic_arn = variables.required("ALERT_TOPIC_ARN");
        let database_instance = variables.required("DATABASE_INSTANCE");
        let environment = variables.required("ENVIRONMENT");
        let region = variables.required("AWS_REGION");
        variables.finish(|| Some(Config { bucket_name, alert_topic_arn, database_instance, environment, region }))
    }
}
