//! The pipeline, which takes one event at a time, for handlers that only share it; and the key that it needs, which
//! functions read once, at cold start. Without a key nothing is processed, since what is archived by then could not
//! be correlated later.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use domain::logs::pipeline::{Pipeline, Settings};
use domain::logs::redact::PseudonymKey;
use domain::ports::{PortError, ReadSecret, Retry};

/// A pipeline for whoever has an event. There is one, unless two have an event at the same time.
pub struct Pipelines {
    settings: Settings,
    // Only ever held to take the pipeline out or to put it back.
    idle: Mutex<Option<Pipeline>>,
}

impl Pipelines {
    /// Pipelines with these settings.
    pub fn new(settings: Settings) -> Pipelines {
        let first = Pipeline::new(settings.clone());
        Pipelines { settings, idle: Mutex::new(Some(first)) }
    }

    /// Has `work` done by a pipeline. One that panics is not used again, so that nothing which it still holds
    /// of an event gets into the next.
    pub fn run<T>(&self, work: impl FnOnce(&mut Pipeline) -> T) -> T {
        let mut pipeline = self.idle().take().unwrap_or_else(|| Pipeline::new(self.settings.clone()));
        let outcome = work(&mut pipeline);
        *self.idle() = Some(pipeline);
        outcome
    }

    fn idle(&self) -> MutexGuard<'_, Option<Pipeline>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the key of the pseudonyms, the text of the secret `id`.
///
/// # Errors
///
/// Where the secret can not be read, or is no key; says what to do. Never tells the key.
pub async fn pseudonym_key(id: &str, secrets: &impl ReadSecret) -> anyhow::Result<PseudonymKey> {
    let secret = secrets.read_secret(id).await.map_err(|error| {
        let todo = what_to_do(&error);
        anyhow::Error::new(error).context(format!("no key for pseudonyms (PSEUDONYM_KEY_SECRET): {todo}"))
    })?;
    PseudonymKey::from_secret(secret.expose()).with_context(|| {
        format!(
            "the secret {id} (PSEUDONYM_KEY_SECRET) is no key for pseudonyms: put a random text of 64 characters there"
        )
    })
}

fn what_to_do(error: &PortError) -> &'static str {
    match error.retry {
        Retry::Transient => "Secrets Manager does not answer, and Lambda tries again",
        Retry::Denied => "let the function's role do secretsmanager:GetSecretValue on this secret",
        Retry::Permanent => "have the variable name a secret of this region that holds a text",
    }
}
