//! One SNS event: each message into Slack's words, and posted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
use tokio::time::{Instant, timeout, timeout_at};

use crate::posting::{NOTING, Place, Refusal, send};

/// How often the note of what was posted is tried again when somebody else writes in between.
const NOTE_TRIES: usize = 3;

/// How long the note of what was posted before is waited for: without it a message is posted by itself.
const LOOKING_UP: Duration = Duration::from_secs(5);

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
        if let Err(Refusal::Locked(why)) = &told
            && Instant::now() < until
        {
            // The secret may have been rotated since it was read.
            let read = self.read_access().await.with_context(|| format!("Slack does not let us in: {why}"))?;
            if read == access {
                tracing::error!(why, "Slack does not let us in, and the secret holds what it held before");
            } else if Instant::now() >= until {
                return Err(anyhow!("Slack does not let us in: {why}; the secret has changed, but no time is left"));
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
            Err(Refusal::Refused(why)) => return Err(anyhow!("Slack refuses the message: {why}")),
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
                // Whatever Slack has against its old place, people are to be told.
                (Err(Refusal::Refused(why)), Place::Instead(_) | Place::Below(..)) if Instant::now() < until => {
                    tracing::warn!(why, "Slack takes no more of a thread; a new one is begun");
                    told = Told::Began(send(&self.slack, access, Place::Channel, body, until).await?);
                    break;
                }
                (Err(refusal), _) => return Err(refusal),
            }
        }
        let noted = self.note(&key, channel, document, &told, thread, version);
        if timeout_at(until + NOTING, noted).await.is_err() {
            tracing::warn!(key, "no time is left to note that a message was posted; it may be posted again");
        }
        Ok(true)
    }

    async fn load_thread(&self, key: &str, channel: &str) -> (Thread, Option<Version>) {
        let found = timeout(LOOKING_UP, self.bucket.get(key)).await;
        let error: &dyn std::error::Error = match &found {
            Ok(Ok(Some(stored))) => return (Thread::parse(&stored.body, channel), Some(stored.version.clone())),
            Ok(Ok(None)) => return (Thread::new(channel), None),
            Ok(Err(error)) => error,
            Err(late) => late,
        };
        tracing::warn!(error, "what was posted before is not known; the message is posted by itself");
        (Thread::new(channel), None)
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
