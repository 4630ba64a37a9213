//! log-processor-kinesis: triggered by a Kinesis data stream that log groups are subscribed to. Reads one secret;
//! writes what log-processor writes.

use aws::event_bus::EventBus;
use aws::s3_bucket::S3Bucket;
use aws::secrets::Secrets;
use log_processor::{Config, StreamEvent, handle_stream, start};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let pipelines = start(&config, &Secrets::new(&sdk)).await?;
    let bucket = S3Bucket::new(&sdk, &config.bucket_name);
    let bus = EventBus::new(&sdk, &config.event_bus_name);
    aws::lambda::run(|event: StreamEvent| {
        let (bucket, bus, pipelines) = (&bucket, &bus, &pipelines);
        async move { Ok(handle_stream(&event, bucket, bus, pipelines).await) }
    })
    .await
}
