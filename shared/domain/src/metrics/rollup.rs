//! Everything counted for one event minute, with the ids of the batches that were counted.
//!
//! The ids are what makes counting exact: a batch that comes again, after a crash, or days later from
//! a dead-letter queue, is found here and skipped.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::metrics::series::SeriesSet;
use crate::ports::Object;

/// `rollups/dt=/hour=/<minute>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollup {
    /// Version of this format.
    pub version: u32,
    /// The minute.
    pub minute: Minute,
    /// Ids of the batches counted.
    pub batches: BTreeSet<String>,
    /// The series, with all their dimensions.
    pub series: SeriesSet,
}

/// The only version there is.
pub const VERSION: u32 = 1;

impl Rollup {
    /// A minute without anything.
    pub fn empty(minute: Minute) -> Rollup {
        Rollup { version: VERSION, minute, batches: BTreeSet::new(), series: SeriesSet::default() }
    }

    /// Reads a stored rollup. Anything but version 1 of this format is an error.
    pub fn parse(body: &[u8]) -> Result<Rollup, serde_json::Error> {
        let rollup: Rollup = serde_json::from_slice(body)?;
        if rollup.version != VERSION {
            return Err(serde::de::Error::custom(format!("rollup of version {}, this is {VERSION}", rollup.version)));
        }
        Ok(rollup)
    }

    /// The object to be written.
    pub fn to_object(&self) -> Object {
        Object::json(keys::rollup(self.minute), self)
    }
}
