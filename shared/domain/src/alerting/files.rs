//! The operators' files as the evaluator finds them, so that the history notes when one changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys;

use super::history::{Configured, Record};

/// Hashes of the files that are there, by key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// What the history notes of the file `key` as it is found at `now`: its bytes (`None`: there is none), and what is
    /// wrong with it. Nothing where it is as it was.
    pub fn find(&mut self, key: &str, body: Option<&[u8]>, refused: Option<String>, now: Timestamp) -> Option<Record> {
        let hash = body.map(|body| keys::fingerprint([body]));
        if self.0.get(key) == hash.as_ref() {
            return None;
        }
        match &hash {
            Some(hash) => self.0.insert(key.to_owned(), hash.clone()),
            None => self.0.remove(key),
        };
        Some(Record::Configured(Configured { at: now, file: key.to_owned(), hash, refused }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::testing::minute;

    #[test]
    fn a_file_is_noted_when_it_changes() {
        let mut files = Files::default();
        let mut find = |at: i64, body: Option<&str>, refused: Option<&str>| {
            let body = body.map(str::as_bytes);
            let record = files.find(keys::POLICY, body, refused.map(str::to_owned), minute(at).start());
            record.map(|record| match record {
                Record::Configured(Configured { refused, hash, .. }) => (hash.is_some(), refused.is_some()),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(find(0, None, None), None, "what is built in is no news");
        assert_eq!(find(1, Some("good"), None), Some((true, false)));
        assert_eq!(find(2, Some("good"), None), None);
        assert_eq!(find(3, Some("bad"), Some("1:1: unknown field")), Some((true, true)));
        assert_eq!(find(4, Some("bad"), Some("1:1: unknown field")), None, "noted once");
        assert_eq!(find(5, None, None), Some((false, false)));
        assert_eq!(find(6, None, None), None);
    }
}
