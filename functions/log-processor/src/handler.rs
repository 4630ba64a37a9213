//! One delivery: decide, then write. Whatever fails is tried again by Lambda with the same event, and
//! writes the same objects again.

use anyhow::Context as _;
use aws::measures;
use domain::logs::pipeline::{Outcome, Processed};
use domain::ports::{PutEvents, PutObject};
use serde::Serialize;

use crate::Pipelines;
use crate::telling::Teller;

/// What became of the lines of a delivery, for the log and for who invokes the function by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Lines in the delivery.
    pub received: usize,
    /// Lines in the archive.
    pub archived: usize,
    /// Lines in quarantine.
    pub quarantined: usize,
    /// Lines that the configuration has left out.
    pub filtered: usize,
    /// Whole deliveries in quarantine: nobody knows how many lines were in them.
    pub quarantined_deliveries: usize,
}

/// Processes the Lambda event `event`.
///
/// # Errors
///
/// Where an object could not be written. An event that can not be read is no error:
/// it is kept in quarantine, and trying again would not help.
pub async fn handle(
    event: &str,
    bucket: &impl PutObject,
    bus: &impl PutEvents,
    pipelines: &Pipelines,
) -> anyhow::Result<Summary> {
    keep(pipelines.run(|pipeline| pipeline.process(event)), bucket, &Teller::new(bus)).await
}

/// Writes what a delivery comes to.
pub(crate) async fn keep<B: PutEvents>(
    outcome: Outcome,
    bucket: &impl PutObject,
    teller: &Teller<'_, B>,
) -> anyhow::Result<Summary> {
    match outcome {
        Outcome::Control => {
            tracing::info!("control message acknowledged");
            Ok(Summary::default())
        }
        Outcome::OwnLogs { log_group } => {
            tracing::warn!(log_group, "delivery of the pipeline's own logs ignored: remove its subscription filter");
            Ok(Summary::default())
        }
        Outcome::Unreadable { error, object } => {
            bucket.put(&object).await.context("a delivery that can not be read could not be kept")?;
            // Not the error's text: it may quote the payload. The quarantined object keeps it.
            tracing::error!(reason = error.reason(), key = object.key, "delivery quarantined");
            measures::quarantined(1);
            Ok(Summary { quarantined_deliveries: 1, ..Summary::default() })
        }
        Outcome::Batch(processed) => store(&processed, bucket, teller).await,
    }
}

/// Lines first, then what counts them: metrics never speak of a line that is not kept. What the lines say of security
/// goes out at last, so that a bus which is away holds nothing back: the events are left in the evaluator's inbox then.
async fn store<B: PutEvents>(
    processed: &Processed,
    bucket: &impl PutObject,
    teller: &Teller<'_, B>,
) -> anyhow::Result<Summary> {
    let (batch_id, lines) = (&processed.batch_id, processed.lines);
    // A run that fails tells it too: that its lines grow old is what the age is for.
    measures::took_in(lines.received, processed.bytes);
    processed.newest_millis.into_iter().for_each(measures::newest);
    for object in processed.objects() {
        bucket.put(object).await.with_context(|| format!("batch {batch_id} is not stored completely"))?;
    }
    measures::quarantined(lines.quarantined);
    teller.tell(processed, bucket).await?;
    if lines.quarantined > 0 {
        tracing::error!(batch_id, lines = lines.quarantined, key = processed.quarantine[0].key, "lines quarantined");
    }
    tracing::info!(batch_id, service = processed.origin.service, lines = lines.archived, "batch archived");
    Ok(Summary {
        received: lines.received,
        archived: lines.archived,
        quarantined: lines.quarantined,
        filtered: lines.filtered,
        quarantined_deliveries: 0,
    })
}
