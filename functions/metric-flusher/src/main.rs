//! metric-flusher: triggered by a schedule, every minute. Reads and deletes pending metrics, writes
//! rollups and its state in one bucket, and puts metrics to CloudWatch.

use aws::cloudwatch_puts::CloudWatchPuts;
use aws::s3_bucket::S3Bucket;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use metric_flusher::{Config, Flusher};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let flusher = Flusher {
        bucket: S3Bucket::new(&sdk, &config.bucket_name),
        metrics: CloudWatchPuts::new(&sdk),
        namespace: config.metric_namespace,
    };
    // The lease runs on the wall clock, whatever time the tick stands for: it is about two flushers
    // being alive at the same time.
    aws::lambda::run(|_tick: EventBridgeEvent| flusher.flush(Timestamp::now())).await
}
