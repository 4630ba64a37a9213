//! Configuration from the environment.

use aws::variables::{ConfigError, Variables};
use domain::metrics::flush::Extraction;

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of pending metrics and rollups.
    pub bucket_name: String,
    /// CloudWatch namespace of the metrics.
    pub metric_namespace: String,
    /// Who puts the metrics that log lines carry to CloudWatch.
    pub emf_extraction: Extraction,
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 3] = ["BUCKET_NAME", "METRIC_NAMESPACE", "EMF_EXTRACTION"];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let metric_namespace = variables.required("METRIC_NAMESPACE");
        // No default: the wrong one would count twice, or not at all.
        let emf_extraction = variables.parsed("EMF_EXTRACTION");
        variables.finish(|| Some(Config { bucket_name, metric_namespace, emf_extraction: emf_extraction? }))
    }
}
