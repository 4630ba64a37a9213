//! Metrics to CloudWatch.

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit, StatisticSet};
use domain::metrics::put::{Datum, Values};
use domain::ports::{PortError, PutMetrics};

use crate::failure::port_error;

/// `PutMetricData`.
#[derive(Debug, Clone)]
pub struct CloudWatchPuts {
    client: Client,
}

impl CloudWatchPuts {
    /// CloudWatch of the configured account and region.
    pub fn new(config: &SdkConfig) -> CloudWatchPuts {
        // The SDK's retries would hide whether a put whose answer was lost had been taken: the
        // flusher's journal decides about trying again.
        let config = aws_sdk_cloudwatch::config::Builder::from(config)
            .retry_config(aws_sdk_cloudwatch::config::retry::RetryConfig::disabled())
            .build();
        CloudWatchPuts { client: Client::from_conf(config) }
    }
}

impl PutMetrics for CloudWatchPuts {
    async fn put_metrics(&self, namespace: &str, data: &[Datum]) -> Result<(), PortError> {
        self.client
            .put_metric_data()
            .namespace(namespace)
            .set_metric_data(Some(data.iter().map(metric_datum).collect()))
            .send()
            .await
            .map_err(|error| port_error(format!("put {} metrics to {namespace}", data.len()), error))?;
        Ok(())
    }
}

fn metric_datum(datum: &Datum) -> MetricDatum {
    let dimensions =
        datum.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build()).collect();
    let builder = MetricDatum::builder()
        .metric_name(&datum.name)
        .set_dimensions(Some(dimensions))
        .timestamp(DateTime::from_secs(datum.minute.start().as_second()))
        .unit(StandardUnit::from(datum.unit.as_str()));
    match &datum.values {
        Values::Counts(values) => builder
            .set_values(Some(values.iter().map(|(value, _)| *value).collect()))
            .set_counts(Some(values.iter().map(|(_, count)| *count as f64).collect()))
            .build(),
        &Values::Statistics { count, sum, min, max } => {
            let set = StatisticSet::builder().sample_count(count as f64).sum(sum).minimum(min).maximum(max).build();
            builder.statistic_values(set).build()
        }
    }
}
