//! Configuration from the environment.

use aws::variables::{ConfigError, Variables};

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket in which it remembers what was posted.
    pub bucket_name: String,
    /// The secret that says how to get into Slack (see [`domain::notifying::slack::access`]).
    pub secret_arn: String,
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 2] = ["BUCKET_NAME", "SLACK_SECRET_ARN"];

    /// Reads them; every problem is told.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let secret_arn = variables.required("SLACK_SECRET_ARN");
        variables.finish(|| Some(Config { bucket_name, secret_arn }))
    }
}
