//! Events to an EventBridge bus.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use domain::ports::{BusEvent, PortError, PutEvents, bus_calls};

use crate::failure::port_error;

/// How often what EventBridge did not take of a call is put again.
const TRIES: u32 = 3;

/// Before the first time; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(100);

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

    /// One call. Answers which events were not taken, and why.
    async fn call(&self, events: &[&BusEvent]) -> Result<Vec<(usize, String)>, PortError> {
        let action = || format!("put {} events on the bus {}", events.len(), self.name);
        let entries = events.iter().map(|event| self.entry(event)).collect();
        let put = self.client.put_events().set_entries(Some(entries)).send().await;
        let put = put.map_err(|error| port_error(action(), error))?;
        if put.failed_entry_count() > 0 && put.entries().len() != events.len() {
            return Err(PortError::transient(action(), "EventBridge does not say which it has not taken"));
        }
        let refused = put.entries().iter().enumerate().filter_map(|(at, entry)| {
            let reason = entry.error_message().or(entry.error_code())?;
            Some((at, reason.to_owned()))
        });
        Ok(refused.collect())
    }

    fn entry(&self, event: &BusEvent) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(&event.source)
            .detail_type(&event.detail_type)
            .detail(&event.detail)
            .time(DateTime::from_secs(event.epoch_seconds))
            .build()
    }
}

impl PutEvents for EventBus {
    async fn put_events(&self, events: &[BusEvent]) -> Result<(), PortError> {
        for call in bus_calls(events) {
            let mut left: Vec<&BusEvent> = call.iter().collect();
            let mut tries = 0;
            loop {
                let refused = self.call(&left).await?;
                let Some((_, reason)) = refused.first() else { break };
                tries += 1;
                if tries == TRIES {
                    let action = format!("put {} events on the bus {}", left.len(), self.name);
                    return Err(PortError::transient(action, format!("{} refused: {reason}", refused.len())));
                }
                left = refused.iter().map(|(at, _)| left[*at]).collect();
                tokio::time::sleep(PAUSE * 2_u32.pow(tries - 1)).await;
            }
        }
        Ok(())
    }
}
