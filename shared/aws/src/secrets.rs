//! Secrets of Secrets Manager.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use domain::ports::{PortError, ReadSecret, SecretText};

use crate::failure::port_error;
use crate::measures::CountRetries;

/// The secrets of an account and region.
#[derive(Debug, Clone)]
pub struct Secrets {
    client: Client,
}

impl Secrets {
    /// Those of the configured account and region.
    pub fn new(config: &SdkConfig) -> Secrets {
        let config = aws_sdk_secretsmanager::config::Builder::from(config).interceptor(CountRetries).build();
        Secrets { client: Client::from_conf(config) }
    }
}

impl ReadSecret for Secrets {
    async fn read_secret(&self, id: &str) -> Result<SecretText, PortError> {
        let action = || format!("read secret {id}");
        let answer = self.client.get_secret_value().secret_id(id).send().await;
        let text = answer.map_err(|error| port_error(action(), error))?.secret_string;
        text.map(SecretText::new)
            .ok_or_else(|| PortError::permanent(action(), "it holds bytes, where a text is needed"))
    }
}
