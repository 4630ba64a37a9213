//! alert-evaluator-events: triggered by EventBridge with changes of CloudWatch alarms and security events, and by alarms
//! whose action it is. Keeps what comes in the inbox, then does what alert-evaluator does.

use std::time::Instant;

use alert_evaluator::{SENDING, start};
use jiff::Timestamp;
use serde_json::value::RawValue;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"))?;
    let evaluator = &start().await?;
    // The event is taken as raw text, not as a type: one that is not what it should be has to be kept as it is.
    aws::lambda::run(|event: Box<RawValue>| async move {
        evaluator.receive(event.get(), Timestamp::now(), Instant::now() + SENDING).await
    })
    .await
}
