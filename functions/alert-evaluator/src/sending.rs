//! Telling what was decided: into the history, and to the topic.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::alerting::outbox::Outgoing;
use domain::notifying::message::publication;
use domain::ports::{PortError, Publish, PutObject};

/// How long a tick goes on taking notifications to be sent, from its beginning. The last call that is
/// begun then, and the note of what was sent, have to fit into what is left of the function's time: a
/// function that is ended in the middle has sent what nobody knows of, and it is sent again.
pub const SENDING: Duration = Duration::from_secs(20);

/// What became of the notifications of a tick.
pub(crate) struct Sent {
    /// All of them, with what is done of each.
    pub claimed: Vec<Outgoing>,
    /// How many were published.
    pub published: usize,
    /// Whether the time was up before all were told.
    pub cut_short: bool,
    /// What went wrong, each with its causes.
    pub failures: Vec<anyhow::Error>,
}

/// Records and publishes each, as long as it is not `until`; one that fails stops no other, but those of
/// the same alert: RESOLVED must not overtake FIRING.
pub(crate) async fn send(
    history: &impl PutObject,
    topic: &impl Publish,
    environment: &str,
    mut claimed: Vec<Outgoing>,
    until: Instant,
) -> Sent {
    let (mut published, mut cut_short, mut failures) = (0, false, Vec::new());
    let mut held_back = BTreeSet::new();
    let mut time_is_up = || {
        cut_short |= Instant::now() >= until;
        cut_short
    };
    for outgoing in &mut claimed {
        let transition = &outgoing.notification.transition;
        if !outgoing.recorded && !time_is_up() {
            match history.put(&transition.to_object()).await {
                Ok(()) => outgoing.recorded = true,
                Err(error) => failures.push(failure(outgoing, error)),
            }
        }
        // The time is asked again: each call may take all that a call can take.
        if !outgoing.published && !held_back.contains(&transition.fingerprint) && !time_is_up() {
            match topic.publish(&publication(&outgoing.notification, environment)).await {
                Ok(()) => {
                    outgoing.published = true;
                    published += 1;
                }
                Err(error) => {
                    held_back.insert(transition.fingerprint.clone());
                    failures.push(failure(outgoing, error));
                }
            }
        }
    }
    Sent { claimed, published, cut_short, failures }
}

fn failure(outgoing: &Outgoing, error: PortError) -> anyhow::Error {
    let rule = &outgoing.notification.transition.rule;
    let retry = error.retry;
    tracing::error!(error = &error as &dyn std::error::Error, rule, ?retry, "a notification is not done");
    anyhow::Error::new(error).context(rule.clone())
}
