//! The Prometheus in memory keeps the contract that the real one keeps.

use testkit::{InMemoryPrometheus, contracts};

#[tokio::test]
async fn the_prometheus_in_memory_keeps_the_contract() {
    contracts::samples(&InMemoryPrometheus::new(), "memory", 1_800_000_000_000).await;
}
