//! Configuration from the environment.

use aws::variables::{ConfigError, Variables};
use aws::webhook::SecretUrl;

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The webhook; whoever knows it can post.
    pub webhook_url: SecretUrl,
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 1] = ["SLACK_WEBHOOK_URL"];

    /// Reads them; every problem is told, but not the secret.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let text = variables.required("SLACK_WEBHOOK_URL");
        let webhook_url = match text.parse::<SecretUrl>() {
            Ok(url) => Some(url),
            Err(_) if text.is_empty() => None, // That it is missing is noted already.
            Err(error) => {
                variables.problem("SLACK_WEBHOOK_URL", "(hidden)", error);
                None
            }
        };
        variables.finish(|| Some(Config { webhook_url: webhook_url? }))
    }
}
