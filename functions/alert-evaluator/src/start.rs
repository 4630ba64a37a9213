//! What both doors do once, at cold start.

use aws::cloudwatch_reads::CloudWatchReads;
use aws::log_streams::LogGroup;
use aws::s3_bucket::S3Bucket;
use aws::sns_topic::SnsTopic;

use crate::{Config, Evaluator, Ports};

/// The evaluator as it runs on AWS.
pub type OnAws = Evaluator<S3Bucket, CloudWatchReads, SnsTopic, LogGroup>;

/// Makes it, from the environment.
///
/// # Errors
///
/// Where the environment lacks something, or the built-in rules can't be used with it.
pub async fn start() -> anyhow::Result<OnAws> {
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let ports = Ports {
        bucket: S3Bucket::new(&sdk, &config.bucket_name),
        metrics: CloudWatchReads::new(&sdk),
        topic: SnsTopic::new(&sdk, &config.alert_topic_arn),
        log: LogGroup::new(&sdk, &config.history_log_group),
    };
    Evaluator::new(ports, &config)
}
