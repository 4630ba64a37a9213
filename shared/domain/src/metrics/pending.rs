//! Metrics of one batch that wait to be flushed: `metrics/pending/<name>.json`. The name is the batch id,
//! but where lines of a batch are counted again later, apart from the rest of it. What can not be read as such is
//! kept under the same name, as `quarantine/pending-metrics/dt=unknown/<name>.json`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::metrics::series::{SeriesSet, SeriesView};
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
    /// Series that lines have brought along in CloudWatch's embedded metric format, likewise: rollups hold them with
    /// the others, but where CloudWatch extracts them itself they must not be put to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extracted: BTreeMap<Minute, SeriesSet>,
}

/// Folder under `quarantine/` of pending metrics that can not be read.
const UNREADABLE: &str = "pending-metrics";

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
    /// The minutes that it adds to.
    pub fn all_minutes(&self) -> BTreeSet<Minute> {
        self.minutes.keys().chain(self.extracted.keys()).copied().collect()
    }

    /// The object to be written, named after its batch.
    pub fn to_object(&self) -> Object {
        self.to_object_named(&self.batch_id)
    }

    /// The object to be written as `metrics/pending/<name>.json`.
    pub fn to_object_named(&self, name: &str) -> Object {
        Object::json(keys::pending(name), self)
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

/// [`PendingMetrics`] as they lie in the object, with their texts where they are: for whoever only merges them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingView<'a> {
    version: u32,
    #[serde(borrow)]
    batch_id: Cow<'a, str>,
    #[serde(borrow)]
    minutes: BTreeMap<Minute, Vec<SeriesView<'a>>>,
    #[serde(borrow, default)]
    extracted: BTreeMap<Minute, Vec<SeriesView<'a>>>,
}

impl<'a> PendingView<'a> {
    /// Reads the bytes of such an object.
    ///
    /// # Errors
    ///
    /// For what [`PendingMetrics::parse`] refuses.
    pub fn parse(body: &'a [u8]) -> Result<PendingView<'a>, PendingError> {
        let pending: PendingView<'a> = serde_json::from_slice(body)?;
        match pending.version {
            VERSION => Ok(pending),
            other => Err(PendingError::Version(other)),
        }
    }

    /// The batch that they were derived from.
    pub fn batch_id(&self) -> &str {
        &self.batch_id
    }

    /// The minutes that they add to.
    pub fn all_minutes(&self) -> BTreeSet<Minute> {
        self.minutes.keys().chain(self.extracted.keys()).copied().collect()
    }

    /// What they say of a minute.
    pub fn series(&self, minute: Minute) -> &[SeriesView<'a>] {
        self.minutes.get(&minute).map_or(&[], Vec::as_slice)
    }

    /// What lines have brought along of a minute.
    pub fn extracted(&self, minute: Minute) -> &[SeriesView<'a>] {
        self.extracted.get(&minute).map_or(&[], Vec::as_slice)
    }
}

/// The object that keeps pending metrics that can not be read: the bytes `body` from the key `key`.
pub fn unreadable(key: &str, body: Vec<u8>) -> Object {
    let name = key.strip_prefix(keys::PENDING_METRICS).unwrap_or(key);
    let name = name.strip_suffix(".json").unwrap_or(name);
    Object { key: keys::quarantine(UNREADABLE, None, name), content_type: "application/json", body }
}

/// The name that pending metrics had which are kept at `key` by [`unreadable`]; `None` for any other key.
pub fn name_of_unreadable(key: &str) -> Option<&str> {
    let name = key.strip_prefix(keys::QUARANTINE)?.strip_prefix(UNREADABLE)?.strip_prefix('/')?;
    name.split_once('/')?.1.strip_suffix(".json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_is_kept_under_its_name() {
        for name in ["b1", "b1.2026-11-18T11", "b1.json"] {
            let kept = unreadable(&keys::pending(name), b"x".to_vec());
            assert_eq!(kept.key, format!("quarantine/pending-metrics/dt=unknown/{name}.json"));
            assert_eq!((name_of_unreadable(&kept.key), &kept.body[..]), (Some(name), &b"x"[..]));
        }
        for key in ["metrics/pending/b1.json", "quarantine/metrics/dt=2026-11-18/b1.json", "quarantine/pending-metrics"]
        {
            assert_eq!(name_of_unreadable(key), None, "{key}");
        }
    }

    #[test]
    fn a_name_of_its_own_changes_the_key_alone() {
        let pending = PendingMetrics {
            version: VERSION,
            batch_id: "b1".to_owned(),
            minutes: BTreeMap::new(),
            extracted: BTreeMap::new(),
        };
        let (usual, named) = (pending.to_object(), pending.to_object_named("b1-replayed"));
        assert_eq!(
            (usual.key.as_str(), named.key.as_str()),
            ("metrics/pending/b1.json", "metrics/pending/b1-replayed.json")
        );
        assert_eq!(usual.body, named.body);
        assert_eq!(PendingMetrics::parse(&named.body).unwrap(), pending);
    }

    #[test]
    fn an_object_without_extracted_metrics_reads_as_one_that_has_none() {
        let before = br#"{"version":1,"batch_id":"b1","minutes":{"2026-11-21T10:05Z":[]}}"#;
        let read = PendingMetrics::parse(before).unwrap();
        assert_eq!((read.minutes.len(), read.extracted.len()), (1, 0));
        assert_eq!(read.to_object().body, before);
    }
}
