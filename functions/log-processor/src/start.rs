//! What both doors do once, at cold start: the key of the pseudonyms, and with it the pipeline. Without a key
//! nothing is processed, since what is archived by then could not be correlated later.

use anyhow::Context as _;
use domain::logs::redact::PseudonymKey;
use domain::ports::{PortError, ReadSecret, Retry};

use crate::{Config, Pipelines};

/// Reads the key, and makes the pipeline.
///
/// # Errors
///
/// Where the secret can not be read, or is no key; says what to do. Never tells the key.
pub async fn start(config: &Config, secrets: &impl ReadSecret) -> anyhow::Result<Pipelines> {
    let id = &config.pseudonym_key_secret;
    let secret = secrets.read_secret(id).await.map_err(|error| {
        let todo = what_to_do(&error);
        anyhow::Error::new(error).context(format!("no key for pseudonyms (PSEUDONYM_KEY_SECRET): {todo}"))
    })?;
    let key = PseudonymKey::from_secret(secret.expose()).with_context(|| {
        format!(
            "the secret {id} (PSEUDONYM_KEY_SECRET) is no key for pseudonyms: put a random text of 64 characters there"
        )
    })?;
    Ok(Pipelines::new(config.settings(key)))
}

fn what_to_do(error: &PortError) -> &'static str {
    match error.retry {
        Retry::Transient => "Secrets Manager does not answer, and Lambda tries again",
        Retry::Denied => "let the function's role do secretsmanager:GetSecretValue on this secret",
        Retry::Permanent => "have the variable name a secret of this region that holds a text",
    }
}
