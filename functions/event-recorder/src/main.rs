//! event-recorder: triggered by a queue of business events. Reads one secret; writes the archive, pending metrics and
//! the quarantine of one bucket.

use aws::pipelines::{Pipelines, pseudonym_key};
use aws::s3_bucket::S3Bucket;
use aws::secrets::Secrets;
use event_recorder::{Config, QueueEvent, handle};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let key = pseudonym_key(&config.pseudonym_key_secret, &Secrets::new(&sdk)).await?;
    let pipelines = Pipelines::new(config.settings(key));
    let bucket = S3Bucket::new(&sdk, &config.bucket_name);
    aws::lambda::run(|event: QueueEvent| {
        let (bucket, pipelines) = (&bucket, &pipelines);
        async move { Ok(handle(&event, bucket, pipelines).await) }
    })
    .await
}
