//! One SNS event: each message into Slack's words, and posted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use aws_lambda_events::sns::{SnsEvent, SnsMessage};
use domain::notifying::document::{AlertDocument, NotADocument};
use domain::notifying::slack;
use domain::notifying::slack::access::Access;
use domain::notifying::slack::answer::Posted;
use domain::notifying::slack::thread::{self, Step, Thread};
use domain::ports::{CallSlack, GetObject, ReadSecret, ReplaceObject, Replaced, Version};
use serde::Serialize;
use serde_json::Value;

use crate::posting::{Place, Refusal, send};

/// How often the note of what was posted is tried again when somebody else writes in between.
const NOTE_TRIES: usize = 3;

/// Stands for the channel of a webhook, which is known to Slack alone. No channel is called so.
const WEBHOOK: &str = "(webhook)";

/// What became of the messages of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Alerts posted.
    pub alerts: usize,
    /// Other messages posted, as they came.
    pub plain: usize,
    /// Alerts that were posted before: the topic delivers at least once.
    pub repeated: usize,
}

/// A notifier on its ports.
pub struct Notifier<S, C, B> {
    secrets: S,
    secret_id: String,
    slack: C,
    bucket: B,
    /// What the secret held when it was read last.
    access: Mutex<Option<Arc<Access>>>,
}

/// What a thread was told.
enum Told {
    /// By a message of its own.
    Began(Option<Posted>),
    /// By changing or answering the first one.
    WentOn,
}

impl<S, C, B> Notifier<S, C, B>
where
    S: ReadSecret,
    C: CallSlack,
    B: GetObject + ReplaceObject,
{
    /// On its ports. The secret is read when it is needed first.
    pub fn new(secrets: S, secret_id: impl Into<String>, slack: C, bucket: B) -> Notifier<S, C, B> {
        Notifier { secrets, secret_id: secret_id.into(), slack, bucket, access: Mutex::new(None) }
    }

    /// Posts every message of `event`, and waits for Slack only as long as it is not `until`.
    ///
    /// # Errors
    ///
    /// Where a message could not be posted, after all others were tried. Lambda tries the event again, and
    /// then parks it in the dead-letter queue: whether Slack may come back or has refused for good, somebody
    /// has to hear of it. SNS puts one message into an event, so none is posted twice for another's sake.
    pub async fn handle(&self, event: &SnsEvent, until: Instant) -> anyhow::Result<Summary> {
        let mut summary = Summary::default();
        let mut failures = Vec::new();
        for record in &event.records {
            let message = &record.sns;
            match self.tell(message, &mut summary, until).await {
                Ok(()) => {}
                Err(error) => {
                    let message_id = &message.message_id;
                    tracing::error!(error = &*error as &dyn std::error::Error, message_id, "a message is not posted");
                    failures.push(error.context(message_id.clone()));
                }
            }
        }
        let Summary { alerts, plain, repeated } = summary;
        tracing::info!(alerts, plain, repeated, "messages posted");
        let (failed, all) = (failures.len(), event.records.len());
        match failures.into_iter().next() {
            None => Ok(summary),
            Some(first) => Err(first.context(format!("{failed} of {all} messages are not posted, the first"))),
        }
    }

    async fn tell(&self, message: &SnsMessage, summary: &mut Summary, until: Instant) -> anyhow::Result<()> {
        let (body, document) = match AlertDocument::parse(&message.message) {
            Ok(document) => (slack::alert(&document), Some(document)),
            Err(reason) => (plain(message, &reason), None),
        };
        let access = self.access().await?;
        let mut told = self.post(&access, &body, document.as_ref(), until).await;
        if let Err(Refusal::Locked(why)) = &told {
            // The secret may have been rotated since it was read.
            let read = self.read_access().await.with_context(|| format!("Slack does not let us in: {why}"))?;
            if read == access {
                tracing::error!(why, "Slack does not let us in, and the secret holds what it held before");
            } else {
                tracing::info!(why, "Slack does not let us in; the secret has changed");
                told = self.post(&read, &body, document.as_ref(), until).await;
            }
        }
        match told {
            Ok(true) if document.is_some() => summary.alerts += 1,
            Ok(true) => summary.plain += 1,
            Ok(false) => summary.repeated += 1,
            Err(Refusal::Failed(error)) => return Err(error),
            Err(Refusal::Locked(why)) => {
                return Err(anyhow!("Slack does not let us in: {why}; secret {} has to be renewed", self.secret_id));
            }
            Err(Refusal::Gone(why)) => return Err(anyhow!("Slack refuses the message: {why}")),
        }
        Ok(())
    }

    /// Posts it, or answers false where it was posted already.
    async fn post(
        &self,
        access: &Access,
        body: &Value,
        document: Option<&AlertDocument>,
        until: Instant,
    ) -> Result<bool, Refusal> {
        let Some(document) = document else {
            return send(&self.slack, access, Place::Channel, body, until).await.map(|_| true);
        };
        let channel = match access {
            Access::Bot { channel, .. } => channel,
            // It does not tell where a message is, so that each is one of its own; that it was posted is noted as well.
            Access::Webhook { .. } => WEBHOOK,
        };
        self.post_of_group(access, channel, body, document, until).await
    }

    /// Posts it where it belongs. That it could not be noted or looked up is told in the log, and fails nothing: the
    /// retry would post it twice.
    async fn post_of_group(
        &self,
        access: &Access,
        channel: &str,
        body: &Value,
        document: &AlertDocument,
        until: Instant,
    ) -> Result<bool, Refusal> {
        let key = thread::key(document);
        let (thread, version) = self.load_thread(&key, channel).await;
        let steps = thread.steps(document);
        if steps.is_empty() {
            tracing::info!(id = document.id, "a message was posted before");
            return Ok(false);
        }
        let first = thread.first.as_ref().map(|first| Posted { channel: first.channel.clone(), ts: first.ts.clone() });
        let mut told = Told::WentOn;
        for step in steps {
            let place = match (step, &first) {
                (Step::Update, Some(first)) => Place::Instead(first),
                (Step::Reply { in_channel }, Some(first)) => Place::Below(first, in_channel),
                _ => Place::Channel,
            };
            match (send(&self.slack, access, place, body, until).await, place) {
                (Ok(posted), Place::Channel) => told = Told::Began(posted),
                (Ok(_), _) => {}
                (Err(Refusal::Gone(why)), Place::Instead(_) | Place::Below(..)) => {
                    tracing::warn!(why, "the message that began a thread is gone; a new one is posted");
                    told = Told::Began(send(&self.slack, access, Place::Channel, body, until).await?);
                    break;
                }
                (Err(refusal), _) => return Err(refusal),
            }
        }
        self.note(&key, channel, document, &told, thread, version).await;
        Ok(true)
    }

    async fn load_thread(&self, key: &str, channel: &str) -> (Thread, Option<Version>) {
        match self.bucket.get(key).await {
            Ok(Some(stored)) => (Thread::parse(&stored.body, channel), Some(stored.version)),
            Ok(None) => (Thread::new(channel), None),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "what was posted before is not known; the message is posted by itself");
                (Thread::new(channel), None)
            }
        }
    }

    async fn note(
        &self,
        key: &str,
        channel: &str,
        document: &AlertDocument,
        told: &Told,
        mut thread: Thread,
        mut version: Option<Version>,
    ) {
        for _ in 0..NOTE_TRIES {
            match told {
                Told::Began(posted) => thread.began(document, posted.clone()),
                Told::WentOn => thread.went_on(document),
            }
            match self.bucket.replace(&thread.to_object(key), version.as_ref()).await {
                Ok(Replaced::Done(_)) => return,
                // Another message of the group was posted meanwhile.
                Ok(Replaced::Conflict) => (thread, version) = self.load_thread(key, channel).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "that a message was posted is not noted; it may be posted again");
                    return;
                }
            }
        }
        tracing::warn!(key, "changes too often to note that a message was posted; it may be posted again");
    }

    /// What the secret holds, or held when it was read last.
    async fn access(&self) -> anyhow::Result<Arc<Access>> {
        let held = self.access.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match held {
            Some(access) => Ok(access),
            None => self.read_access().await,
        }
    }

    async fn read_access(&self) -> anyhow::Result<Arc<Access>> {
        let secret = self.secrets.read_secret(&self.secret_id).await?;
        let access = Access::parse(&secret).with_context(|| format!("secret {}", self.secret_id))?;
        let access = Arc::new(access);
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = Some(access.clone());
        Ok(access)
    }
}

/// CloudWatch's own alarms and notices of SNS come as they are; dropping them would lose them.
fn plain(message: &SnsMessage, reason: &NotADocument) -> Value {
    let reason = reason as &dyn std::error::Error;
    tracing::info!(message_id = message.message_id, reason, "posting a message that is no alert as plain text");
    slack::plain(message.subject.as_deref(), &message.message)
}
