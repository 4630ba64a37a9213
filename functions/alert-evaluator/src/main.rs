//! alert-evaluator: triggered by a schedule, every minute. Reads rules, policy, silences and recent rollups, takes in
//! the inbox, reads and writes its state and writes the alert history in one bucket and one log group, asks CloudWatch
//! for the metrics of AWS, and publishes to the alert topic.

use std::time::Instant;

use alert_evaluator::{SENDING, start};
use aws::lambda::Tick;
use jiff::Timestamp;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _written_at_the_end = aws::lambda::start_logging(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"))?;
    let evaluator = &start().await?;
    // What is decided follows from the time that the tick stands for, so a tick that comes again decides the
    // same. The wall clock only refuses what is ahead of it, and ends the sending.
    aws::lambda::run(|tick: Tick| async move {
        let send_until = Instant::now() + SENDING;
        evaluator.tick(tick.checked(Timestamp::now())?.time, send_until).await
    })
    .await
}
