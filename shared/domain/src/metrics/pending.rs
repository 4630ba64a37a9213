//! Metrics of one batch that wait to be flushed: `metrics/pending/<batch id>.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::metrics::series::SeriesSet;
use crate::ports::Object;

/// What one batch of log lines says, by event minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingMetrics {
    /// Version of this format.
    pub version: u32,
    /// The batch that it was derived from.
    pub batch_id: String,
    /// Series by event minute.
    pub minutes: BTreeMap<Minute, SeriesSet>,
}

/// The only version there is.
pub const VERSION: u32 = 1;

/// An object under `metrics/pending/` that can not be read.
#[derive(Debug, thiserror::Error)]
pub enum PendingError {
    /// Not the JSON of this format.
    #[error("not pending metrics")]
    Json(#[from] serde_json::Error),
    /// Written by another version.
    #[error("pending metrics of version {0}, this is version {VERSION}")]
    Version(u32),
}

impl PendingMetrics {
    /// The object to be written.
    pub fn to_object(&self) -> Object {
        Object::json(keys::pending(&self.batch_id), self)
    }

    /// Reads such an object back.
    pub fn parse(body: &[u8]) -> Result<PendingMetrics, PendingError> {
        let pending: PendingMetrics = serde_json::from_slice(body)?;
        match pending.version {
            VERSION => Ok(pending),
            other => Err(PendingError::Version(other)),
        }
    }
}
