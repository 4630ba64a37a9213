//! Metrics to CloudWatch. The SDK compresses calls of more than 10 KB by itself.

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::put_metric_data::builders::PutMetricDataFluentBuilder;
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

    fn request(&self, namespace: &str, data: &[Datum]) -> PutMetricDataFluentBuilder {
        let data = data.iter().map(metric_datum).collect();
        self.client.put_metric_data().namespace(namespace).set_metric_data(Some(data))
    }
}

impl PutMetrics for CloudWatchPuts {
    async fn put_metrics(&self, namespace: &str, data: &[Datum]) -> Result<(), PortError> {
        self.request(namespace, data)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use aws_config::{BehaviorVersion, Region};
    use aws_sdk_cloudwatch::config::interceptors::BeforeTransmitInterceptorContextRef;
    use aws_sdk_cloudwatch::config::{ConfigBag, Credentials, Intercept, RuntimeComponents, SharedCredentialsProvider};
    use aws_smithy_runtime_api::box_error::BoxError;
    use domain::Minute;
    use domain::metrics::put::{MAX_BYTES, MAX_DATA};
    use domain::metrics::registry::Unit;
    use jiff::Timestamp;

    /// What a request was like: bytes of its body before it is compressed, and how it was compressed.
    #[derive(Debug, Clone, Default)]
    struct Seen(Arc<Mutex<(usize, Option<String>)>>);

    impl Intercept for Seen {
        fn name(&self) -> &'static str {
            "Seen"
        }

        fn read_after_serialization(
            &self,
            context: &BeforeTransmitInterceptorContextRef<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            self.0.lock().unwrap().0 = context.request().body().bytes().unwrap().len();
            Ok(())
        }

        fn read_before_transmit(
            &self,
            context: &BeforeTransmitInterceptorContextRef<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            self.0.lock().unwrap().1 = context.request().headers().get("content-encoding").map(str::to_owned);
            Ok(())
        }
    }

    async fn sent(data: &[Datum]) -> (usize, Option<String>) {
        let credentials = Credentials::new("x", "x", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url("http://127.0.0.1:9")
            .build();
        let seen = Seen::default();
        let namespace = "n".repeat(255);
        let request = CloudWatchPuts::new(&config).request(&namespace, data).customize().interceptor(seen.clone());
        request.send().await.unwrap_err();
        let seen = seen.0.lock().unwrap();
        seen.clone()
    }

    #[tokio::test]
    async fn a_call_is_as_large_as_planned_and_goes_out_compressed() {
        let datum = |dimensions: usize, values: Values| Datum {
            name: "x".repeat(255),
            dimensions: (0..dimensions).map(|n| (format!("{n:0255}"), "v".repeat(1_024))).collect(),
            minute: Minute::of(Timestamp::UNIX_EPOCH),
            unit: Unit::Milliseconds,
            values,
        };
        let counts = |count: usize| Values::Counts((0..count).map(|n| (n as f64 + 0.1, u64::MAX)).collect());
        let statistics = Values::Statistics { count: u64::MAX, sum: 1e300, min: -1e300, max: 0.1 };
        for datum in [datum(0, counts(1)), datum(0, counts(150)), datum(30, counts(3)), datum(2, statistics)] {
            let fitting = MAX_DATA.min(MAX_BYTES / datum.size());
            let data = vec![datum; fitting];
            let planned: usize = data.iter().map(Datum::size).sum();
            let (bytes, encoding) = sent(&data).await;
            assert!(bytes <= planned + 1_000, "{bytes} bytes, and {planned} planned for {}", fitting);
            assert!(bytes <= 1_000_000, "{bytes}");
            assert!(bytes * 100 >= planned * 90, "{bytes} bytes: {planned} were planned, and calls are not the fewest");
            assert_eq!(encoding.as_deref(), Some("gzip"));
        }
    }
}
