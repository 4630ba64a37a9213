//! Publications to one SNS topic.

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;
use domain::notifying::message::envelope;
use domain::ports::{PortError, Publication, Publish, Retry};

use crate::failure::port_error;
use crate::measures::CountRetries;

/// One topic.
#[derive(Debug, Clone)]
pub struct SnsTopic {
    client: Client,
    arn: String,
}

impl SnsTopic {
    /// The topic `arn`, in the configured region.
    pub fn new(config: &SdkConfig, arn: impl Into<String>) -> SnsTopic {
        let config = aws_sdk_sns::config::Builder::from(config).interceptor(CountRetries).build();
        SnsTopic { client: Client::from_conf(config), arn: arn.into() }
    }
}

impl Publish for SnsTopic {
    async fn publish(&self, publication: &Publication) -> Result<(), PortError> {
        let action = || format!("publish `{}` to {}", publication.subject, self.arn);
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(&publication.subject)
            .message_structure("json")
            .message(envelope(publication));
        for (&name, value) in &publication.attributes {
            let value =
                MessageAttributeValue::builder().data_type(value.data_type()).string_value(value.text()).build();
            let value = value.map_err(|error| PortError::permanent(action(), error))?;
            request = request.message_attributes(name, value);
        }
        request.send().await.map_err(|error| {
            let refused = error.as_service_error().map(ProvideErrorMetadata::meta);
            let is_for_the_message = refused.is_some_and(|meta| is_for_the_message(meta.code(), meta.message()));
            let error = port_error(action(), error);
            // A topic that is gone, or a key that can't be used, refuses every message, and is mended for all of them.
            let is_for_all = error.retry == Retry::Permanent && !is_for_the_message;
            if is_for_all { PortError { retry: Retry::Denied, ..error } } else { error }
        })?;
        Ok(())
    }
}

/// Whether a refusal is for what the message is.
fn is_for_the_message(code: Option<&str>, message: Option<&str>) -> bool {
    matches!(code, Some("InvalidParameter" | "InvalidParameterValue" | "ParameterValueInvalid"))
        && !message.is_some_and(|message| message.contains("TopicArn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_for_the_message_or_for_all() {
        for (code, message, expected) in [
            (Some("InvalidParameter"), Some("Invalid parameter: Message too long"), true),
            (Some("InvalidParameter"), Some("Invalid parameter: Subject"), true),
            (Some("ParameterValueInvalid"), None, true),
            (Some("InvalidParameter"), Some("Invalid parameter: TopicArn Reason: An ARN must have 6 elements"), false),
            (Some("NotFound"), Some("Topic does not exist"), false),
            (Some("KMSDisabled"), None, false),
            (Some("AuthorizationError"), None, false),
            (None, None, false),
        ] {
            assert_eq!(is_for_the_message(code, message), expected, "{code:?} {message:?}");
        }
    }
}
