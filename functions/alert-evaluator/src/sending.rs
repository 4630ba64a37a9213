//! Telling what was decided: into the history, and to the topic.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::alerting::history::Record;
use domain::alerting::outbox::Claimed;
use domain::notifying::evidence::Evidence;
use domain::notifying::message::{Sender, publication};
use domain::ports::{PortError, Publish, PutObject};

/// How long a tick goes on taking notifications to be sent, from its beginning. The last call that is
/// begun then, and the note of what was sent, have to fit into what is left of the function's time: a
/// function that is ended in the middle has sent what nobody knows of, and it is sent again.
pub const SENDING: Duration = Duration::from_secs(20);

/// What became of what was claimed.
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

/// Records and publishes each, as long as it is not `until`; one that fails stops no other, but those of
/// the same group: RESOLVED must not overtake FIRING.
pub(crate) async fn send(
    history: &impl PutObject,
    topic: &impl Publish,
    sender: &Sender,
    claimed: &Claimed,
    until: Instant,
) -> Sent {
    let mut sent = Sent { done: BTreeSet::new(), published: 0, cut_short: false, failures: Vec::new() };
    for record in &claimed.records {
        if Instant::now() >= until {
            sent.cut_short = true;
            break;
        }
        let Record::Transition(transition) = record else {
            sent.done.insert(record.id());
            continue;
        };
        match history.put(&transition.to_object()).await {
            Ok(()) => drop(sent.done.insert(record.id())),
            Err(error) => sent.failures.push(failure(&record.id(), error)),
        }
    }
    let mut held_back = BTreeSet::new();
    for notification in &claimed.notifications {
        if held_back.contains(&notification.group) {
            continue;
        }
        // The time is asked again: each call may take all that a call can take.
        if Instant::now() >= until {
            sent.cut_short = true;
            break;
        }
        match topic.publish(&publication(notification, &Evidence::default(), sender)).await {
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
    sent
}

fn failure(what: &str, error: PortError) -> anyhow::Error {
    let retry = error.retry;
    tracing::error!(error = &error as &dyn std::error::Error, what, ?retry, "a notification or record is not done");
    anyhow::Error::new(error).context(what.to_owned())
}
