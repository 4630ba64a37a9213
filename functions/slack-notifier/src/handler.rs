//! One SNS event: each message into Slack's words, and posted.

use aws_lambda_events::sns::{SnsEvent, SnsMessage};
use domain::notifying::document::{AlertDocument, NotADocument};
use domain::notifying::slack;
use domain::ports::{PortError, PostWebhook};
use serde::Serialize;

/// What became of the messages of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Alerts posted.
    pub alerts: usize,
    /// Other messages posted, as they came.
    pub plain: usize,
}

/// Posts every message of `event`.
///
/// # Errors
///
/// Where a message could not be posted, after all others were tried. Lambda tries the event again, and
/// then parks it in the dead-letter queue: whether Slack may come back or has refused for good, somebody
/// has to hear of it. SNS puts one message into an event, so none is posted twice for another's sake.
pub async fn handle(event: &SnsEvent, webhook: &impl PostWebhook) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    let mut failures = Vec::new();
    for record in &event.records {
        let message = &record.sns;
        let (body, posted) = match AlertDocument::parse(&message.message) {
            Ok(document) => (slack::alert(&document), &mut summary.alerts),
            Err(reason) => (plain(message, &reason), &mut summary.plain),
        };
        match webhook.post(&body.to_string()).await {
            Ok(()) => *posted += 1,
            Err(error) => failures.push(failure(message, error)),
        }
    }
    tracing::info!(alerts = summary.alerts, plain = summary.plain, "messages posted");
    let (failed, all) = (failures.len(), event.records.len());
    match failures.into_iter().next() {
        None => Ok(summary),
        Some(first) => Err(first.context(format!("{failed} of {all} messages are not posted, the first"))),
    }
}

/// CloudWatch's own alarms and notices of SNS come as they are; dropping them would lose them.
fn plain(message: &SnsMessage, reason: &NotADocument) -> serde_json::Value {
    let reason = reason as &dyn std::error::Error;
    tracing::info!(message_id = message.message_id, reason, "posting a message that is no alert as plain text");
    slack::plain(message.subject.as_deref(), &message.message)
}

fn failure(message: &SnsMessage, error: PortError) -> anyhow::Error {
    let (message_id, retry) = (&message.message_id, error.retry);
    tracing::error!(error = &error as &dyn std::error::Error, message_id, ?retry, "a message is not posted");
    anyhow::Error::new(error).context(message_id.clone())
}
