//! slack-notifier: triggered by the alert topic. Posts to a Slack webhook; touches nothing else.

use anyhow::Context as _;
use aws::webhook::Webhook;
use aws_lambda_events::sns::SnsEvent;
use slack_notifier::{Config, handle};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
    let config = Config::from_lookup(aws::lambda::environment)?;
    let webhook = Webhook::new(config.webhook_url).context("the certificates of the system")?;
    aws::lambda::run(|event: SnsEvent| {
        let webhook = &webhook;
        async move { handle(&event, webhook).await }
    })
    .await
}
