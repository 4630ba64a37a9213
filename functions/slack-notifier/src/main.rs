//! slack-notifier: triggered by the alert topic. Reads one secret, posts to Slack, and remembers in the bucket
//! (`state/slack/`) what was posted.

use anyhow::Context as _;
use aws::s3_bucket::S3Bucket;
use aws::secrets::Secrets;
use aws::slack::Slack;
use aws_lambda_events::sns::SnsEvent;
use slack_notifier::{Config, Notifier, POSTING};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let slack = Slack::new().context("the certificates of the system")?;
    let bucket = S3Bucket::new(&sdk, &config.bucket_name);
    let notifier = Notifier::new(Secrets::new(&sdk), config.secret_arn, slack, bucket);
    let notifier = &notifier;
    // The wall clock only ends the waiting for Slack.
    aws::lambda::run(|event: SnsEvent| async move { notifier.handle(&event, Instant::now() + POSTING).await }).await
}
