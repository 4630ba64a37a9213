//! Lines of the archive.

use std::io::Write;

use anyhow::Context as _;
use domain::logs::archive;
use domain::ports::{GetObject, ListObjects};
use jiff::civil::Date;

/// Objects of one listing. A day of a busy service has fewer.
const MAX_OBJECTS: usize = 1_000_000;

/// Reads a day as it stands in the keys.
pub(crate) fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("`{text}` is not a day like 2026-11-21"))
}

/// Where the lines of a service on a UTC day, or in an hour of it, are.
pub(crate) fn prefix(environment: &str, service: &str, date: Date, hour: Option<u8>) -> String {
    let hour = hour.map(|hour| format!("hour={hour:02}/")).unwrap_or_default();
    format!("archive/env={environment}/service={service}/dt={date}/{hour}")
}

/// Prints every line under `prefix`; false where there is none.
pub(crate) async fn print(
    bucket: &(impl GetObject + ListObjects),
    prefix: &str,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let keys = bucket.list(prefix, MAX_OBJECTS).await?;
    for key in &keys {
        let stored = bucket.get(key).await?.with_context(|| format!("{key} was listed but is gone"))?;
        for line in archive::lines(&stored.body).with_context(|| key.clone())? {
            writeln!(out, "{line}")?;
        }
    }
    if keys.is_empty() {
        eprintln!("nothing is archived under {prefix}");
    }
    Ok(!keys.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::InMemoryBucket;

    #[test]
    fn the_prefix_is_the_archives_layout() {
        let minute: domain::Minute = "2026-11-21T09:05Z".parse().unwrap();
        let date = day("2026-11-21").unwrap();
        let key = domain::keys::archive("production", "api", minute, "b");
        assert!(key.starts_with(&prefix("production", "api", date, Some(9))));
        assert!(key.starts_with(&prefix("production", "api", date, None)));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["21.11.2026", "2026-11-31", "2026-11", "", "yesterday"] {
            assert_eq!(day(text), Err(format!("`{text}` is not a day like 2026-11-21")));
        }
    }

    #[tokio::test]
    async fn an_empty_archive_is_told_by_the_exit_code_and_a_broken_object_by_its_key() {
        let bucket = InMemoryBucket::new();
        assert!(!print(&bucket, "archive/", &mut Vec::new()).await.unwrap());
        bucket.place("archive/x.ndjson.zst", "not zstd");
        let error = print(&bucket, "archive/", &mut Vec::new()).await.unwrap_err();
        assert!(format!("{error:#}").starts_with("archive/x.ndjson.zst: "), "{error:#}");
    }
}
