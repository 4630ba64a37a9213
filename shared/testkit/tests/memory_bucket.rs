//! The bucket in memory keeps the contract of the real one.

use testkit::{InMemoryBucket, contracts};

#[tokio::test]
async fn the_bucket_in_memory_keeps_the_contract() {
    contracts::bucket(&InMemoryBucket::new(), "contract/").await;
}
