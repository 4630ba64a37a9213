//! Telling what was decided: into the history, and to the topic.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::alerting::history::{self, Batch};
use domain::alerting::outbox::Claimed;
use domain::notifying::message::publication;
use domain::ports::{AppendLog, Object, PortError, Publish, PutObject};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

/// How long a tick goes on taking notifications to be sent, from its beginning. The last call that is
/// begun then, and the note of what was sent, have to fit into what is left of the function's time: a
/// function that is ended in the middle has sent what nobody knows of, and it is sent again.
pub const SENDING: Duration = Duration::from_secs(20);

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
    /// Name of the environment.
    pub environment: &'a str,
}

impl<B: PutObject, P: Publish, L: AppendLog> Receivers<'_, B, P, L> {
    /// Publishes and records, as long as it is not `until`. People first. One notification that fails stops no other,
    /// but those of the same group: RESOLVED must not overtake FIRING.
    pub async fn send(&self, claimed: &Claimed, now: Timestamp, until: Instant) -> Sent {
        let mut sent = Sent::default();
        let mut held_back = BTreeSet::new();
        for notification in &claimed.notifications {
            if held_back.contains(&notification.group) {
                continue;
            }
            // The time is asked each time: each call may take all that a call can take.
            if Instant::now() >= until {
                sent.cut_short = true;
                break;
            }
            let episodes = notification.firing.iter().chain(&notification.resolved);
            let Some(episode) = episodes.into_iter().next() else { continue };
            match self.topic.publish(&publication(episode, self.environment)).await {
                Ok(()) => {
                    sent.done.insert(notification.id.clone());
                    sent.published += 1;
                }
                Err(error) => {
                    held_back.insert(&notification.group);
                    sent.failures.push(failure(&notification.group.to_string(), error));
                }
            }
        }
        for batch in &claimed.records {
            if Instant::now() >= until {
                sent.cut_short = true;
                break;
            }
            match self.note(batch, now).await {
                Ok(()) => drop(sent.done.insert(batch.id())),
                Err(error) => sent.failures.push(failure("the alert history", error)),
            }
        }
        sent
    }

    /// All three places that have the history. A batch that comes again writes the same objects; the log has its lines
    /// twice then, with the same ids.
    async fn note(&self, batch: &Batch, now: Timestamp) -> Result<(), PortError> {
        let objects: Vec<Object> = batch.archived(self.environment).into_iter().chain(batch.transitions()).collect();
        stream::iter(objects)
            .map(|object| async move { self.bucket.put(&object).await })
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        self.log.append(&history::log_stream(now), batch.logged(self.environment, now)).await
    }
}

fn failure(what: &str, error: PortError) -> anyhow::Error {
    let retry = error.retry;
    tracing::error!(error = &error as &dyn std::error::Error, what, ?retry, "a notification or record is not done");
    anyhow::Error::new(error).context(what.to_owned())
}
