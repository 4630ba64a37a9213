//! Publications to one SNS topic.

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use domain::notifying::message::envelope;
use domain::ports::{PortError, Publication, Publish};

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
        request.send().await.map_err(|error| port_error(action(), error))?;
        Ok(())
    }
}
