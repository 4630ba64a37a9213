//! What both doors do once, at cold start: the key of the pseudonyms, and with it the pipeline.

use aws::pipelines::{Pipelines, pseudonym_key};
use domain::ports::ReadSecret;

use crate::Config;

/// Reads the key, and makes the pipeline.
///
/// # Errors
///
/// Where the secret can not be read, or is no key; says what to do. Never tells the key.
pub async fn start(config: &Config, secrets: &impl ReadSecret) -> anyhow::Result<Pipelines> {
    let key = pseudonym_key(&config.pseudonym_key_secret, secrets).await?;
    Ok(Pipelines::new(config.settings(key)))
}
