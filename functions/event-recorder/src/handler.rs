//! A batch of messages, each by itself: decide, then write. One that could not be written is answered as a failure,
//! so that the queue brings it again, and nothing but it; after five tries it goes to the dead letter queue.

use anyhow::Context as _;
use aws::lambda::{BatchItemFailure, BatchResponse};
use aws::measures;
use aws::pipelines::Pipelines;
use domain::logs::pipeline::{Lines, Processed};
use domain::ports::PutObject;
use futures::{StreamExt as _, stream};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Messages under way at the same time: each waits for its PUTs.
const CONCURRENCY: usize = 8;

/// What Lambda reads from a queue, as far as it matters.
#[derive(Debug, Clone, Deserialize)]
pub struct QueueEvent {
    /// In no order.
    #[serde(rename = "Records")]
    pub records: Vec<QueueMessage>,
}

/// One message.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueMessage {
    /// By which it is reported.
    pub message_id: String,
    /// The event as EventBridge writes it; or whatever somebody has sent.
    pub body: String,
    /// What SQS knows of it.
    pub attributes: MessageAttributes,
}

/// What SQS knows of a message.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttributes {
    /// When it came into the queue, in epoch milliseconds: the same however often it is received.
    #[serde(deserialize_with = "number")]
    pub sent_timestamp: i64,
    /// How often it has been received, this time among them.
    #[serde(default, deserialize_with = "number")]
    pub approximate_receive_count: i64,
}

/// SQS writes numbers as texts.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Processes each message by itself. One that is no event is kept in quarantine, and is done: trying again would not
/// help. Answers which are not done.
pub async fn handle(event: &QueueEvent, bucket: &impl PutObject, pipelines: &Pipelines) -> BatchResponse {
    let messages = stream::iter(&event.records).map(|message| async move {
        record(message, bucket, pipelines).await.map_err(|error| {
            let message_id = &message.message_id;
            tracing::error!(message_id, error = format!("{error:#}"), "event not recorded, the queue brings it again");
            BatchItemFailure { item_identifier: message_id.clone() }
        })
    });
    let results: Vec<Result<Lines, BatchItemFailure>> = messages.buffered(CONCURRENCY).collect().await;
    let done = results.iter().filter_map(|result| result.as_ref().ok());
    let archived: usize = done.clone().map(|lines| lines.archived).sum();
    let quarantined: usize = done.map(|lines| lines.quarantined).sum();
    let batch_item_failures: Vec<BatchItemFailure> = results.into_iter().filter_map(Result::err).collect();
    let (messages, failed) = (event.records.len(), batch_item_failures.len());
    tracing::info!(messages, archived, quarantined, failed, "events processed");
    let came_before = event.records.iter().filter(|message| message.attributes.approximate_receive_count > 1);
    measures::tried_again(came_before.count());
    measures::took_in(messages, event.records.iter().map(|message| message.body.len()).sum());
    measures::quarantined(quarantined);
    let newest = event.records.iter().map(|message| message.attributes.sent_timestamp).max();
    newest.into_iter().for_each(measures::newest);
    BatchResponse { batch_item_failures }
}

/// The record first, then what counts it: metrics never speak of an event that is not kept.
async fn record(message: &QueueMessage, bucket: &impl PutObject, pipelines: &Pipelines) -> anyhow::Result<Lines> {
    let sent = message.attributes.sent_timestamp;
    let processed: Processed = pipelines.run(|pipeline| pipeline.process_event(&message.body, sent));
    for object in processed.objects() {
        bucket.put(object).await.with_context(|| format!("event {} is not stored completely", processed.batch_id))?;
    }
    if let Some(object) = processed.quarantine.first() {
        // Not the error's text: it may quote the payload. The quarantined object keeps it.
        tracing::error!(message_id = message.message_id, key = object.key, "event quarantined");
    }
    Ok(processed.lines)
}
