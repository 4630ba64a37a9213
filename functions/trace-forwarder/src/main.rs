//! trace-forwarder: triggered by objects that are written under `spans/`. Reads them, puts segments to X-Ray, posts
//! to a collector, and writes what neither takes to the quarantine of the same bucket.

use anyhow::Context as _;
use aws::otlp::Collector;
use aws::s3_bucket::S3Bucket;
use aws::storage_event::StorageEvent;
use aws::xray::XRay;
use trace_forwarder::{Compression, Config, Forwarder};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let compresses = config.otlp_compression == Compression::Gzip;
    let collector = config.otlp_endpoint.map(|endpoint| Collector::new(endpoint, config.otlp_headers, compresses));
    let forwarder = Forwarder {
        xray: config.to_xray.then(|| XRay::new(&sdk)),
        otlp: collector.transpose().context("the certificates of the system")?,
        pause: Forwarder::<XRay, Collector>::PAUSE,
    };
    let (forwarder, sdk) = (&forwarder, &sdk);
    aws::lambda::run(|event: StorageEvent| async move {
        let bucket = S3Bucket::new(sdk, event.bucket()?);
        forwarder.handle(&event, &bucket).await
    })
    .await
}
