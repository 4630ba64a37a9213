//! The whole path as the function runs it, behind one call: the benchmarks and the memory test know the
//! pipeline by this file only.

use domain::logs::pipeline::{Outcome, Pipeline};

/// What a batch comes to in the archive.
pub struct Archived {
    /// Log events that are in it.
    pub lines: usize,
    /// The objects, compressed.
    pub bodies: Vec<Vec<u8>>,
}

/// The pipeline as a warm function has it.
pub struct WholePath(Pipeline);

impl WholePath {
    /// As a cold start makes it.
    pub fn new() -> WholePath {
        WholePath(Pipeline::new(testkit::pipeline::settings()))
    }

    /// Processes a Lambda event: decode, parse, redact, derive, compress.
    ///
    /// # Panics
    ///
    /// If it is no delivery of log events: the corpus has no other.
    pub fn run(&mut self, event: &str) -> Archived {
        match self.0.process(event) {
            Outcome::Batch(batch) => Archived {
                lines: batch.lines.archived,
                bodies: batch.archive.into_iter().map(|object| object.body).collect(),
            },
            other => panic!("a delivery of the corpus came to {other:?}"),
        }
    }
}
