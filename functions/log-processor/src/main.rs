//! log-processor: triggered by CloudWatch Logs subscriptions. Reads one secret; writes the archive, pending
//! metrics and the quarantine of one bucket, and puts security events on a bus.

use aws::event_bus::EventBus;
use aws::s3_bucket::S3Bucket;
use aws::secrets::Secrets;
use log_processor::{Config, handle, start};
use serde_json::value::RawValue;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let pipelines = start(&config, &Secrets::new(&sdk)).await?;
    let bucket = S3Bucket::new(&sdk, &config.bucket_name);
    let bus = EventBus::new(&sdk, &config.event_bus_name);
    // The event is taken as raw text, not as a type: one that is not what it should be has to be kept as it is.
    aws::lambda::run(|event: Box<RawValue>| {
        let (bucket, bus, pipelines) = (&bucket, &bus, &pipelines);
        async move { handle(event.get(), bucket, bus, pipelines).await }
    })
    .await
}
