//! In-memory ports, and the contract suites that both they and the real adapters pass, so that a test
//! on the fakes may be trusted; and the laws of the log pipeline. A dev-dependency only.

pub mod contracts;
pub mod corpus;
pub mod laws;
pub mod memory_bucket;
pub mod memory_prometheus;
pub mod pipeline;
pub mod recorders;
pub mod stepwise;
pub mod subscription;

pub use memory_bucket::{InMemoryBucket, Operation};
pub use memory_prometheus::InMemoryPrometheus;
pub use recorders::{
    FixedMetrics, FixedSecret, RecordedEvents, RecordedLog, RecordedMetrics, RecordedPublications, RecordedSegments,
    RecordedSpans,
};
pub use stepwise::Stepwise;

use std::path::PathBuf;

/// The bytes of `events/<path>`, a sample trigger.
///
/// # Panics
///
/// If there is no such file.
pub fn event_file(path: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events").join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
