//! alert-evaluator: triggered by a schedule, every minute. Reads rules and recent rollups, reads and
//! writes its state and writes the alert history in one bucket, asks CloudWatch for the metrics of AWS,
//! and publishes to the alert topic.

use std::time::Instant;

use alert_evaluator::{Config, Evaluator, SENDING};
use aws::cloudwatch_reads::CloudWatchReads;
use aws::lambda::Tick;
use aws::s3_bucket::S3Bucket;
use aws::sns_topic::SnsTopic;
use jiff::Timestamp;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let bucket = S3Bucket::new(&sdk, &config.bucket_name);
    let topic = SnsTopic::new(&sdk, &config.alert_topic_arn);
    let evaluator = Evaluator::new(bucket, CloudWatchReads::new(&sdk), topic, &config)?;
    // What is decided follows from the time that the tick stands for, so a tick that comes again decides the
    // same. The wall clock only refuses what is ahead of it, and ends the sending.
    let evaluator = &evaluator;
    aws::lambda::run(|tick: Tick| async move {
        let send_until = Instant::now() + SENDING;
        evaluator.tick(tick.checked(Timestamp::now())?.time, send_until).await
    })
    .await
}
