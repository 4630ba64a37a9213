//! Configuration from the environment.

use aws::variables::{ConfigError, Variables};

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of pending metrics and rollups.
    pub bucket_name: String,
    /// CloudWatch namespace of the metrics.
    pub metric_namespace: String,
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 2] = ["BUCKET_NAME", "METRIC_NAMESPACE"];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let metric_namespace = variables.required("METRIC_NAMESPACE");
        variables.finish(|| Some(Config { bucket_name, metric_namespace }))
    }
}
