//! Telling what was decided: into the history, and to the topic.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws::measures;
use domain::alerting::history::{self, Batch};
use domain::alerting::notification::Notification;
use domain::alerting::outbox::{self, Claimed, HeldBack};
use domain::notifying::message::{Sender, publication};
use domain::ports::{AppendLog, GetObject, ListDated, Object, PortError, PresignObject, Publish, PutObject, Retry};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::evidence::{self, Known};

/// How long a tick goes on taking notifications to be sent, from its beginning. The last call that is
/// begun then, and the note of what was sent, have to fit into what is left of the function's time: a
/// function that is ended in the middle has sent what nobody knows of, and it is sent again.
pub const SENDING: Duration = Duration::from_secs(20);

/// Of that, how long evidence is looked for. After it messages go out with what they say of themselves: an alert does not
/// wait for its evidence.
const EVIDENCE: Duration = Duration::from_secs(10);

/// How long evidence for one notification is looked for at most.
const EVIDENCE_OF_ONE: Duration = Duration::from_secs(3);

/// How long after the end of sending the history is written at most, so that it can be noted what was sent.
const NOTING: Duration = Duration::from_secs(10);

/// Objects under way at the same time.
const CONCURRENCY: usize = 16;

/// What became of what was claimed.
#[derive(Default)]
pub(crate) struct Sent {
    /// Ids of what is done.
    pub done: BTreeSet<String>,
    /// How many notifications were published.
    pub published: usize,
    /// Whether the time was up before all was done.
    pub cut_short: bool,
    /// What went wrong, each with its causes.
    pub failures: Vec<anyhow::Error>,
}

/// Whom things are told to.
pub(crate) struct Receivers<'a, B, P, L> {
    /// The history in the bucket.
    pub bucket: &'a B,
    /// People.
    pub topic: &'a P,
    /// The history in CloudWatch.
    pub log: &'a L,
    /// What all messages have in common.
    pub sender: &'a Sender,
}

impl<B, P, L> Receivers<'_, B, P, L>
where
    B: GetObject + PutObject + ListDated + PresignObject,
    P: Publish,
    L: AppendLog,
{
    /// Publishes and records, as long as it is not `until`. People first. One notification that fails stops no other,
    /// but those that speak of the same groups.
    pub async fn send(&self, claimed: &Claimed, known: Known<'_>, until: Instant) -> Sent {
        let evidence_until = until.checked_sub(SENDING.saturating_sub(EVIDENCE)).unwrap_or(until);
        let mut sent = Sent::default();
        let mut held_back = HeldBack::default();
        for notification in &claimed.notifications {
            if !held_back.lets_through(notification) {
                held_back.add(notification);
                continue;
            }
            // The time is asked each time: each call may take all that a call can take.
            if Instant::now() >= until {
                sent.cut_short = true;
                break;
            }
            match self.tell(notification, known, evidence_until).await {
                Ok(is_published) => {
                    sent.done.insert(notification.id.clone());
                    sent.published += usize::from(is_published);
                }
                Err(error) => {
                    held_back.add(notification);
                    sent.failures.push(failure(&notification.group.to_string(), error));
                }
            }
        }
        for batch in &claimed.records {
            if Instant::now() >= until {
                sent.cut_short = true;
                break;
            }
            let noting = (until + NOTING).saturating_duration_since(Instant::now());
            let noted = tokio::time::timeout(noting, self.note(batch, known.now)).await;
            match noted.unwrap_or_else(|late| Err(PortError::transient("write the alert history in time", late))) {
                Ok(()) => drop(sent.done.insert(batch.id())),
                Err(error) => sent.failures.push(failure("the alert history", error)),
            }
        }
        sent
    }

    /// Whether it is published. One that the topic refuses for what it is would be refused at each tick, and hold back
    /// what comes after it of its group for ever: it is in quarantine then, and done.
    async fn tell(&self, notification: &Notification, known: Known<'_>, until: Instant) -> Result<bool, PortError> {
        let until = until.min(Instant::now() + EVIDENCE_OF_ONE);
        let evidence = evidence::gather(self.bucket, known, notification, until).await;
        let (id, group) = (&notification.id, notification.group.to_string());
        match self.topic.publish(&publication(notification, &evidence, self.sender)).await {
            Ok(()) => {
                tracing::info!(id, group, "told");
                Ok(true)
            }
            Err(error) if error.retry == Retry::Permanent => {
                let object = outbox::refused(notification, &error);
                self.bucket.put(&object).await?;
                let (error, key) = (&error as &dyn std::error::Error, object.key);
                tracing::error!(error, id, group, key, "a notification is refused for good, and in quarantine");
                measures::quarantined(1);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// All three places that have the history. A batch that comes again writes the same objects; the log has its lines
    /// twice then, with the same ids. What the log refuses for good is in the archive, and holds nothing else back.
    async fn note(&self, batch: &Batch, now: jiff::Timestamp) -> Result<(), PortError> {
        let environment = &self.sender.environment;
        let objects: Vec<Object> = batch.archived(environment).into_iter().chain(batch.transitions()).collect();
        stream::iter(objects)
            .map(|object| async move { self.bucket.put(&object).await })
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        match self.log.append(&history::log_stream(now), batch.logged(environment, now)).await {
            Err(error) if error.retry == Retry::Permanent => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, batch = batch.id(), "the log refuses records, which the archive has");
                Ok(())
            }
            result => result,
        }
    }
}

fn failure(what: &str, error: PortError) -> anyhow::Error {
    let retry = error.retry;
    tracing::error!(error = &error as &dyn std::error::Error, what, ?retry, "a notification or record is not done");
    anyhow::Error::new(error).context(what.to_owned())
}
