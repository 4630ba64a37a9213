//! The second door: records of a Kinesis data stream that log groups are subscribed to. The data of a record
//! is the same message as at the first door, so it comes to the same objects at the same keys, and a message
//! that came through both is there once. (A log group should have one door all the same: CloudWatch Logs may cut
//! its lines into other messages for the one than for the other, and these are different batches.)

use aws::lambda::{BatchItemFailure, BatchResponse};
use aws::pipelines::Pipelines;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::logs::pipeline::{Outcome, Pipeline};
use domain::ports::{PutEvents, PutObject};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;

use crate::Summary;
use crate::handler::keep;
use crate::telling::Teller;

/// Records under way at the same time: each waits for its PUTs, and holds its objects meanwhile.
const CONCURRENCY: usize = 4;

/// What Lambda reads from a stream, as far as it matters. Not the type of `aws_lambda_events`: that one decodes
/// the data of all records at once, so that a bad one would take the others along.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamEvent {
    /// In the order of the shard.
    #[serde(rename = "Records")]
    pub records: Vec<StreamRecord>,
}

/// One record.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamRecord {
    /// What Kinesis knows of it.
    pub kinesis: RecordData,
}

/// The data of a record, and which one it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordData {
    /// Its place in the shard.
    pub sequence_number: String,
    /// The message: gzip, in base64.
    pub data: String,
}

/// Processes each record by itself. One that can not be opened is kept in quarantine, and is done; one whose objects
/// could not be written is answered as a failure, for Lambda to send it again. (What its lines say of security is an
/// object only where the bus does not take it.) Lambda goes on from the first of them; what it sends again along with it,
/// and was done, is written again to the same keys.
pub async fn handle_stream(
    event: &StreamEvent,
    bucket: &impl PutObject,
    bus: &impl PutEvents,
    pipelines: &Pipelines,
) -> BatchResponse {
    let teller = &Teller::new(bus);
    let records = stream::iter(&event.records).map(|record| async move {
        let RecordData { sequence_number, data } = &record.kinesis;
        let kept = keep(pipelines.run(|pipeline| open(data, pipeline)), bucket, teller).await;
        kept.map_err(|error| {
            tracing::error!(sequence_number, error = format!("{error:#}"), "record not done, Lambda sends it again");
            BatchItemFailure { item_identifier: sequence_number.clone() }
        })
    });
    let results: Vec<Result<Summary, BatchItemFailure>> = records.buffered(CONCURRENCY).collect().await;
    let batch_item_failures: Vec<BatchItemFailure> = results.into_iter().filter_map(Result::err).collect();
    tracing::info!(records = event.records.len(), failed = batch_item_failures.len(), "records processed");
    BatchResponse { batch_item_failures }
}

fn open(data: &str, pipeline: &mut Pipeline) -> Outcome {
    match STANDARD.decode(data) {
        Ok(message) => pipeline.process_message(&message),
        // What is not base64 goes through the first door, which says so and keeps it.
        Err(_) => pipeline.process(&json!({ "awslogs": { "data": data } }).to_string()),
    }
}
