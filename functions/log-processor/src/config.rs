//! Configuration from the environment.

use aws::variables::{ConfigError, Variables};

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket it writes to.
    pub bucket_name: String,
    /// Beginning of the names of this pipeline's own log groups, which are never processed.
    pub own_log_group_prefix: String,
    /// The environment's name, with which the names of its database instances begin.
    pub environment: String,
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 3] = ["BUCKET_NAME", "OWN_LOG_GROUP_PREFIX", "ENVIRONMENT"];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let own_log_group_prefix = variables.required("OWN_LOG_GROUP_PREFIX");
        let environment = variables.required("ENVIRONMENT");
        variables.finish(|| Some(Config { bucket_name, own_log_group_prefix, environment }))
    }
}
