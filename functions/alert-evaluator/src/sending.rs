//! Telling what was decided: into the history, and to the topic.

use std::collections::BTreeSet;

use domain::alerting::outbox::Outgoing;
use domain::notifying::message::publication;
use domain::ports::{PortError, Publish, PutObject};

/// What became of the notifications of a tick.
pub(crate) struct Sent {
    /// All of them, with what is done of each.
    pub tried: Vec<Outgoing>,
    /// How many were published.
    pub published: usize,
    /// What went wrong, each with its causes.
    pub failures: Vec<anyhow::Error>,
}

/// Records and publishes each; one that fails stops no other, but those of the same alert: RESOLVED must
/// not overtake FIRING.
pub(crate) async fn send(
    history: &impl PutObject,
    topic: &impl Publish,
    environment: &str,
    claimed: Vec<Outgoing>,
) -> Sent {
    let mut sent = Sent { tried: Vec::with_capacity(claimed.len()), published: 0, failures: Vec::new() };
    let mut held_back = BTreeSet::new();
    for mut outgoing in claimed {
        let transition = &outgoing.notification.transition;
        if !outgoing.recorded {
            match history.put(&transition.to_object()).await {
                Ok(()) => outgoing.recorded = true,
                Err(error) => sent.failures.push(failure(&outgoing, error)),
            }
        }
        if !outgoing.published && !held_back.contains(&transition.fingerprint) {
            match topic.publish(&publication(&outgoing.notification, environment)).await {
                Ok(()) => {
                    outgoing.published = true;
                    sent.published += 1;
                }
                Err(error) => {
                    held_back.insert(transition.fingerprint.clone());
                    sent.failures.push(failure(&outgoing, error));
                }
            }
        }
        sent.tried.push(outgoing);
    }
    sent
}

fn failure(outgoing: &Outgoing, error: PortError) -> anyhow::Error {
    let rule = &outgoing.notification.transition.rule;
    let retry = error.retry;
    tracing::error!(error = &error as &dyn std::error::Error, rule, ?retry, "a notification is not done");
    anyhow::Error::new(error).context(rule.clone())
}
