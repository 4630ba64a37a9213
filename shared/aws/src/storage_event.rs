//! What S3 tells a function when an object was written.

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// A notification of S3, as far as it matters.
#[derive(Debug, Clone, Deserialize)]
pub struct StorageEvent {
    /// One an object. S3 sends one at a time, and does not promise to.
    #[serde(rename = "Records")]
    pub records: Vec<StorageRecord>,
}

/// One object that was written.
#[derive(Debug, Clone, Deserialize)]
pub struct StorageRecord {
    /// Where it is.
    pub s3: Place,
}

/// The bucket and the key.
#[derive(Debug, Clone, Deserialize)]
pub struct Place {
    /// The bucket.
    pub bucket: BucketName,
    /// The object.
    pub object: ObjectKey,
}

/// Name of a bucket.
#[derive(Debug, Clone, Deserialize)]
pub struct BucketName {
    /// The name.
    pub name: String,
}

/// Key of an object.
#[derive(Debug, Clone, Deserialize)]
pub struct ObjectKey {
    /// As S3 writes it here: in the way of a form, spaces as `+` and others as `%XX`.
    pub key: String,
}

impl ObjectKey {
    /// The key itself.
    ///
    /// # Errors
    ///
    /// Where an escape is none, or what comes out is no UTF-8.
    pub fn decoded(&self) -> anyhow::Result<String> {
        let bytes = percent_decoded(&self.key.replace('+', " "))
            .with_context(|| format!("the key `{}` of an S3 event has a % without two digits", self.key))?;
        String::from_utf8(bytes).with_context(|| format!("the key `{}` of an S3 event", self.key))
    }
}

/// `text`, in which each `%XX` is a byte; `None` where one has not two digits.
pub(crate) fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
                let byte = (digit(0)? << 4 | digit(1)?) as u8;
                rest = after.get(2..).unwrap_or_default();
                byte
            }
            other => other,
        });
    }
    Some(bytes)
}

impl StorageEvent {
    /// The bucket that all records are of.
    ///
    /// # Errors
    ///
    /// Where there is no record, or they are of several buckets.
    pub fn bucket(&self) -> anyhow::Result<&str> {
        let mut names = self.records.iter().map(|record| record.s3.bucket.name.as_str());
        let first = names.next().context("an S3 event without records")?;
        match names.find(|name| *name != first) {
            Some(other) => bail!("an S3 event of two buckets, {first} and {other}"),
            None => Ok(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(key: &str) -> Option<String> {
        ObjectKey { key: key.to_owned() }.decoded().ok()
    }

    #[test]
    fn a_key_is_decoded_as_s3_writes_it() {
        for (written, key) in [
            ("spans/dt%3D2026-11-22/b1.ndjson.zst", Some("spans/dt=2026-11-22/b1.ndjson.zst")),
            ("a+b%2Bc", Some("a b+c")),
            ("%D0%B8", Some("и")),
            ("%ff", None),
            ("100%", None),
            ("%4", None),
            ("%zz", None),
        ] {
            assert_eq!(decoded(written).as_deref(), key, "{written}");
        }
    }

    #[test]
    fn an_event_is_of_one_bucket() {
        let event = |names: &[&str]| {
            let record = |name: &&str| serde_json::json!({"s3": {"bucket": {"name": name}, "object": {"key": "k"}}});
            let records: Vec<_> = names.iter().map(record).collect();
            serde_json::from_value::<StorageEvent>(serde_json::json!({ "Records": records })).unwrap()
        };
        assert_eq!(event(&["a", "a"]).bucket().unwrap(), "a");
        assert!(event(&["a", "b"]).bucket().is_err() && event(&[]).bucket().is_err());
    }
}
