//! daily-reporter: triggered by a schedule, every night. Reads minute rollups and alert history, writes
//! the report into the same bucket, and publishes a notice of it.

use aws::lambda::Tick;
use aws::s3_bucket::S3Bucket;
use aws::sns_topic::SnsTopic;
use daily_reporter::{Config, Detail, Reporter};
use jiff::Timestamp;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let reporter = Reporter {
        bucket: S3Bucket::new(&sdk, &config.bucket_name),
        topic: SnsTopic::new(&sdk, &config.report_topic_arn),
        config,
    };
    let reporter = &reporter;
    aws::lambda::run(|tick: Tick<Detail>| async move { reporter.report(tick.checked(Timestamp::now())?).await }).await
}
