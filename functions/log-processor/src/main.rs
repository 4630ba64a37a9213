//! log-processor: triggered by CloudWatch Logs subscriptions. Writes the archive, pending metrics and
//! the quarantine of one bucket.

use aws::s3_bucket::S3Bucket;
use log_processor::{Config, handle};
use serde_json::value::RawValue;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let bucket = S3Bucket::new(&aws::load_config().await, &config.bucket_name);
    // The event is taken as raw text, not as a type: one that is not what it should be has to be kept as it is.
    aws::lambda::run(|event: Box<RawValue>| {
        let (bucket, config) = (&bucket, &config);
        async move { handle(event.get(), bucket, config).await }
    })
    .await
}
