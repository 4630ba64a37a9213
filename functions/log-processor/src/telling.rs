//! What the lines of an invocation say of security: onto the bus, or into the evaluator's inbox where the bus is away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use aws::measures;
use domain::alerting::inbox::Incoming;
use domain::logs::pipeline::Processed;
use domain::logs::security::SecurityEvent;
use domain::ports::{BusEvent, PortError, PutEvents, PutObject};
use tokio::time::timeout;

/// How long the bus may take for the events of a batch. An invocation may have a hundred of them to tell.
const PATIENCE: Duration = Duration::from_secs(3);

/// The bus, for one invocation. Once it has not taken something, it is not asked again: a bus that refuses, or does not
/// answer, must not stop a shard.
pub(crate) struct Teller<'a, B> {
    bus: &'a B,
    is_away: AtomicBool,
}

impl<'a, B: PutEvents> Teller<'a, B> {
    /// Nothing told yet.
    pub(crate) fn new(bus: &'a B) -> Teller<'a, B> {
        Teller { bus, is_away: AtomicBool::new(false) }
    }

    /// Tells what the lines of a batch say of security. What the bus does not take waits in the inbox: the evaluator
    /// finds it with its next tick, and counts once what the bus has taken after all.
    ///
    /// # Errors
    ///
    /// Where the inbox does not take it either.
    pub(crate) async fn tell(&self, processed: &Processed, bucket: &impl PutObject) -> anyhow::Result<()> {
        let Processed { batch_id, security, .. } = processed;
        if security.is_empty() {
            return Ok(());
        }
        let events: Vec<BusEvent> = security.iter().map(SecurityEvent::to_bus).collect();
        if !self.is_away.load(Ordering::Relaxed) {
            match self.put(&events).await {
                Ok(()) => {
                    tracing::info!(batch_id, events = events.len(), "security events told");
                    return Ok(());
                }
                Err(error) => {
                    self.is_away.store(true, Ordering::Relaxed);
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, batch_id, "the bus takes no security events: they wait");
                }
            }
        }
        measures::events_refused(events.len());
        for event in security {
            let object = Incoming::Security(event.clone()).to_object();
            bucket.put(&object).await.with_context(|| format!("security events of batch {batch_id} are not told"))?;
        }
        tracing::warn!(batch_id, events = events.len(), "security events wait in the inbox");
        Ok(())
    }

    async fn put(&self, events: &[BusEvent]) -> Result<(), PortError> {
        timeout(PATIENCE, self.bus.put_events(events))
            .await
            .unwrap_or_else(|late| Err(PortError::transient("put events", late)))
    }
}
