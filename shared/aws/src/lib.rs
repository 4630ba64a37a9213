//! The ports of the domain on AWS, one adapter a file, and the glue to the Lambda runtime.

pub mod failure;
pub mod lambda;
pub mod variables;

#[cfg(feature = "s3")]
pub mod s3_bucket;

#[cfg(feature = "cloudwatch")]
pub mod cloudwatch_puts;

#[cfg(feature = "cloudwatch")]
pub mod cloudwatch_reads;

#[cfg(feature = "cloudwatchlogs")]
pub mod log_streams;

#[cfg(feature = "sns")]
pub mod sns_topic;

#[cfg(feature = "webhook")]
pub mod webhook;

/// Credentials, region and endpoint from the environment, as everywhere on AWS.
pub async fn load_config() -> aws_config::SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}
