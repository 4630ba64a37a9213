//! Business events to an EventBridge bus, for whoever publishes some: the local stack, tests.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use domain::ports::PortError;

use crate::failure::port_error;

/// Events that a call of `PutEvents` takes.
const MAX_ENTRIES: usize = 10;

/// An event to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Who publishes it: `land-contracts.contract`.
    pub source: String,
    /// Its type: `ContractCreated`.
    pub detail_type: String,
    /// What happened: a JSON object.
    pub detail: String,
    /// When it happened, in epoch seconds; EventBridge has no finer time.
    pub epoch_seconds: i64,
}

/// A bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// The bus `name` of the configured account and region.
    pub fn new(config: &SdkConfig, name: &str) -> EventBus {
        EventBus { client: Client::new(config), name: name.to_owned() }
    }

    /// Publishes events, ten a call.
    ///
    /// # Errors
    ///
    /// Where EventBridge refuses a call, or answers that it did not take some of its events: those are lost unless
    /// somebody hears of it.
    pub async fn publish(&self, events: &[NewEvent]) -> Result<(), PortError> {
        for call in events.chunks(MAX_ENTRIES) {
            let action = || format!("put {} events on the bus {}", call.len(), self.name);
            let entries = call.iter().map(|event| self.entry(event)).collect();
            let put = self.client.put_events().set_entries(Some(entries)).send().await;
            let put = put.map_err(|error| port_error(action(), error))?;
            let mut refused = put.entries().iter().filter_map(|entry| entry.error_message().or(entry.error_code()));
            if put.failed_entry_count() > 0 {
                let reason = refused.next().unwrap_or("EventBridge does not say why").to_owned();
                return Err(PortError::transient(action(), format!("{} refused: {reason}", put.failed_entry_count())));
            }
        }
        Ok(())
    }

    fn entry(&self, event: &NewEvent) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(&event.source)
            .detail_type(&event.detail_type)
            .detail(&event.detail)
            .time(DateTime::from_secs(event.epoch_seconds))
            .build()
    }
}
