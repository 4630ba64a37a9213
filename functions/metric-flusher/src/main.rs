//! metric-flusher: triggered by a schedule, every minute. Reads and deletes pending metrics, writes
//! rollups and its state in one bucket, puts metrics to CloudWatch, and writes them to a Prometheus where there is one.

use anyhow::Context as _;
use aws::cloudwatch_puts::CloudWatchPuts;
use aws::lambda::Tick;
use aws::remote_write::RemoteWrite;
use aws::s3_bucket::S3Bucket;
use aws::secrets::Secrets;
use domain::Minute;
use jiff::Timestamp;
use metric_flusher::{Config, Exporter, Flusher, PrometheusConfig, TAKING_IN};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let sdk = aws::load_config().await;
    let prometheus = config.prometheus.map(|PrometheusConfig { endpoint, credential, environment }| {
        let remote = RemoteWrite::new(endpoint, credential, &sdk, Secrets::new(&sdk))?;
        anyhow::Ok(Exporter::new(remote, [("environment".to_owned(), environment)].into()))
    });
    let flusher = Flusher {
        bucket: S3Bucket::new(&sdk, &config.bucket_name),
        metrics: CloudWatchPuts::new(&sdk),
        namespace: config.metric_namespace,
        extraction: config.emf_extraction,
        taking_in: TAKING_IN,
        prometheus: prometheus.transpose().context("Prometheus")?,
    };
    let flusher = &flusher;
    aws::lambda::run(|tick: Tick| async move {
        let now = Timestamp::now();
        // In a box: nested as deep as this, the compiler would not look into it.
        Box::pin(flusher.flush(Minute::of(tick.checked(now)?.time), now)).await
    })
    .await
}
