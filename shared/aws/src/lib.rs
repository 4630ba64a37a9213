//! The ports of the domain on AWS, one adapter a file, and the glue to the Lambda runtime.

pub mod failure;
pub mod lambda;
pub mod measures;
pub mod pipelines;
pub mod storage_event;
pub mod variables;

#[cfg(feature = "s3")]
pub mod s3_bucket;

#[cfg(feature = "cloudwatch")]
pub mod cloudwatch_puts;

#[cfg(feature = "cloudwatch")]
pub mod cloudwatch_reads;

#[cfg(feature = "cloudwatchlogs")]
pub mod log_streams;

#[cfg(feature = "eventbridge")]
pub mod event_bus;

#[cfg(feature = "secretsmanager")]
pub mod secrets;

#[cfg(feature = "sns")]
pub mod sns_topic;

#[cfg(feature = "https")]
mod https;

#[cfg(feature = "slack")]
pub mod slack;

#[cfg(feature = "otlp")]
pub mod otlp;

#[cfg(feature = "remote_write")]
pub mod remote_write;

#[cfg(feature = "xray")]
pub mod xray;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

/// How long one attempt of a call may take to be answered. The SDK has no bound of its own.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a call may take with all its attempts: one that hangs does not eat the run of its function.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(25);

/// Credentials, region and endpoint from the environment, as everywhere on AWS.
pub async fn load_config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await
}
