//! Lines to CloudWatch Logs, for whoever has no agent that does it: the alert history, the local stack, tests.

use std::sync::{Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use domain::logs::put_events::{NewEvent, plan};
use domain::ports::{AppendLog, PortError};

use crate::failure::port_error;

/// Log groups and streams of one account.
#[derive(Debug, Clone)]
pub struct LogStreams {
    client: Client,
}

impl LogStreams {
    /// CloudWatch Logs of the configured account and region.
    pub fn new(config: &SdkConfig) -> LogStreams {
        LogStreams { client: Client::new(config) }
    }

    /// Makes a group. One that is there already is fine.
    ///
    /// # Errors
    ///
    /// Where CloudWatch refuses.
    pub async fn create_group(&self, group: &str) -> Result<(), PortError> {
        match self.client.create_log_group().log_group_name(group).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_already_exists_exception()) => Ok(()),
            Err(error) => Err(port_error(format!("create log group {group}"), error)),
        }
    }

    /// Makes a stream. One that is there already is fine.
    ///
    /// # Errors
    ///
    /// Where CloudWatch refuses.
    pub async fn create_stream(&self, group: &str, stream: &str) -> Result<(), PortError> {
        match self.client.create_log_stream().log_group_name(group).log_stream_name(stream).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_already_exists_exception()) => Ok(()),
            Err(error) => Err(port_error(format!("create log stream {group} {stream}"), error)),
        }
    }

    /// Puts one call's worth of events (see [`domain::logs::put_events::plan`]) into a stream.
    ///
    /// # Errors
    ///
    /// Where CloudWatch refuses the call, or answers that it rejected events for being too old or too
    /// new: those are lost unless somebody hears of it.
    pub async fn put(&self, group: &str, stream: &str, events: &[NewEvent]) -> Result<(), PortError> {
        let action = || format!("put {} log events into {group} {stream}", events.len());
        let events: Result<Vec<InputLogEvent>, _> = events
            .iter()
            .map(|event| InputLogEvent::builder().timestamp(event.timestamp_millis).message(&event.message).build())
            .collect();
        let events = events.map_err(|error| PortError::permanent(action(), error))?;
        let request = self.client.put_log_events().log_group_name(group).log_stream_name(stream);
        let output = request.set_log_events(Some(events)).send().await.map_err(|error| port_error(action(), error))?;
        match output.rejected_log_events_info {
            None => Ok(()),
            Some(rejected) => Err(PortError::permanent(action(), format!("some were rejected: {rejected:?}"))),
        }
    }
}

/// One log group, to whose streams lines are appended.
#[derive(Debug)]
pub struct LogGroup {
    streams: LogStreams,
    name: String,
    /// The stream that was made last: it is there.
    made: Mutex<Option<String>>,
}

impl LogGroup {
    /// The group `name` of the configured account and region.
    pub fn new(config: &SdkConfig, name: &str) -> LogGroup {
        LogGroup { streams: LogStreams::new(config), name: name.to_owned(), made: Mutex::new(None) }
    }

    fn is_made(&self, stream: &str) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(stream)
    }
}

impl AppendLog for LogGroup {
    async fn append(&self, stream: &str, lines: Vec<NewEvent>) -> Result<(), PortError> {
        if !self.is_made(stream) {
            self.streams.create_stream(&self.name, stream).await?;
            *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.to_owned());
        }
        for call in plan(lines) {
            self.streams.put(&self.name, stream, &call).await?;
        }
        Ok(())
    }
}
