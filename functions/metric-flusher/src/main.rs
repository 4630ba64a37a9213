//! metric-flusher: triggered by a schedule, every minute. Reads and deletes pending metrics, writes
//! rollups and its state in one bucket, and puts metrics to CloudWatch.

use aws::cloudwatch_puts::CloudWatchPuts;
use aws::lambda::Tick;
use aws::s3_bucket::S3Bucket;
use domain::Minute;
use jiff::Timestamp;
use metric_flusher::{Config, Flusher};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let flusher = Flusher {
        bucket: S3Bucket::new(&sdk, &config.bucket_name),
        metrics: CloudWatchPuts::new(&sdk),
        namespace: config.metric_namespace,
        extraction: config.emf_extraction,
    };
    let flusher = &flusher;
    aws::lambda::run(|tick: Tick| async move {
        let now = Timestamp::now();
        flusher.flush(Minute::of(tick.checked(now)?.time), now).await
    })
    .await
}
