//! What a deployment made of the traffic, read back from where users would look: the bucket,
//! CloudWatch, the mailbox and Slack.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context as _;
use aws::s3_bucket::S3Bucket;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::Statistic;
use domain::alerting::history::{self, Record, Transition, Turned};
use domain::keys;
use domain::logs::archive;
use domain::logs::quarantine::Quarantined;
use domain::minute::Minute;
use domain::ports::{GetObject as _, ListObjects as _};
use domain::traces::refused;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize as _;
use serde_json::Value;

use crate::deployment::Deployment;
use crate::traffic::Day;

/// Objects read at the same time.
const CONCURRENCY: usize = 8;

/// No bucket of the local stack has more.
const EVERYTHING: usize = 1_000_000;

/// Seconds of a period of `GetMetricStatistics`; a day of hours is well below its 1,440 points.
const PERIOD_SECONDS: i32 = 3_600;

/// The namespace of the template's default.
pub const NAMESPACE: &str = "LandContracts";

/// What was found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Lines in the archive, by service.
    pub archived: BTreeMap<String, usize>,
    /// Records in the archive: fewer than lines where lines were joined.
    pub records: usize,
    /// Lines that the archive has more than once.
    pub duplicates: usize,
    /// Objects in the archive.
    pub archive_objects: usize,
    /// Their bytes.
    pub archive_bytes: usize,
    /// Lines in quarantine.
    pub quarantined_lines: usize,
    /// Whole deliveries in quarantine.
    pub quarantined_deliveries: usize,
    /// Objects in quarantine that hold neither: metrics that could not be read, say.
    pub quarantined_others: usize,
    /// Pieces of planted personal data that the bucket shows outside of quarantine, and where.
    pub leaks: Vec<String>,
    /// Series in the namespace.
    pub series: usize,
    /// Metric names among them.
    pub metrics: usize,
    /// Records that CloudWatch has counted (`log_entries` without dimensions).
    pub counted: f64,
    /// Operations that CloudWatch has counted. Only the example service has any, and it counts them itself: its lines
    /// bring them along.
    pub operations: f64,
    /// What alerts did, in the order of time.
    pub transitions: Vec<Transition>,
    /// The alert history as it stands in the archive; its lines are not among those above.
    pub history: Vec<Record>,
}

impl Outcome {
    /// Reads everything back.
    ///
    /// # Errors
    ///
    /// Where something can not be read.
    pub async fn collect(deployment: &Deployment, day: &Day) -> anyhow::Result<Outcome> {
        let bucket = S3Bucket::new(&deployment.sdk, deployment.bucket()?);
        let mut outcome = Outcome::default();
        outcome.read_bucket(&bucket, day).await?;
        outcome.read_metrics(deployment, day).await?;
        Ok(outcome)
    }

    /// Lines in the archive.
    pub fn archived_lines(&self) -> usize {
        self.archived.values().sum()
    }

    /// How many messages were decided on.
    pub fn notified(&self) -> usize {
        self.history.iter().filter(|record| matches!(record, Record::Notified(_))).count()
    }

    /// How often alerts turned into `turned`.
    pub fn turned(&self, turned: Turned) -> usize {
        self.transitions.iter().filter(|transition| transition.turned == turned).count()
    }

    /// Reads every object once.
    async fn read_bucket(&mut self, bucket: &S3Bucket, day: &Day) -> anyhow::Result<()> {
        let keys = bucket.list("", EVERYTHING).await?;
        let mut objects = stream::iter(&keys)
            .map(|key| async move {
                let stored = bucket.get(key).await?.with_context(|| format!("{key} was listed but is gone"))?;
                anyhow::Ok((key, stored.body))
            })
            .buffered(CONCURRENCY);
        let mut seen = HashSet::new();
        while let Some((key, body)) = objects.try_next().await? {
            if key.starts_with("archive/") {
                self.read_archive(key, &body, day, &mut seen).with_context(|| key.clone())?;
                continue;
            }
            if key.starts_with("quarantine/") {
                self.count_quarantined(&body); // What could not be read could not be redacted either.
                continue;
            }
            self.search(key, &String::from_utf8_lossy(&body), day);
            if key.starts_with(keys::ALERT_HISTORY) {
                self.transitions.push(Transition::parse(&body).with_context(|| key.clone())?);
            }
        }
        self.transitions.sort_by_key(|transition| transition.at);
        Ok(())
    }

    fn read_archive(&mut self, key: &str, body: &[u8], day: &Day, seen: &mut HashSet<String>) -> anyhow::Result<()> {
        if keys::ArchivePlace::parse(key).is_some_and(|place| place.service == history::SERVICE) {
            for line in archive::lines(body)? {
                self.search(key, &line, day);
                let line: Value = serde_json::from_str(&line)?;
                self.history.push(Record::deserialize(&line["details"])?);
            }
            return Ok(());
        }
        self.archive_objects += 1;
        self.archive_bytes += body.len();
        let service = key.split('/').find_map(|part| part.strip_prefix("service=")).unwrap_or("unknown");
        for line in archive::lines(body)? {
            self.search(key, &line, day);
            let record: Value = serde_json::from_str(&line)?;
            let source = &record["source"];
            self.records += 1;
            // A record stands for the line that it begins in and for those that were joined to it.
            let joined = source["joined"].as_array().into_iter().flatten();
            for event_id in [&source["event_id"]].into_iter().chain(joined) {
                let identity = format!("{}{}{event_id}", source["log_group"], source["log_stream"]);
                if seen.insert(identity) {
                    *self.archived.entry(service.to_owned()).or_default() += 1;
                } else {
                    self.duplicates += 1;
                }
            }
        }
        Ok(())
    }

    fn search(&mut self, key: &str, text: &str, day: &Day) {
        let shown = day.planted().iter().filter(|planted| text.contains(**planted));
        self.leaks.extend(shown.map(|planted| format!("{planted} in {key}")));
    }

    fn count_quarantined(&mut self, body: &[u8]) {
        let held = serde_json::from_slice::<Quarantined>(body).ok().filter(|held| !refused::is_refused(&held.reason));
        let Some(held) = held else {
            self.quarantined_others += 1;
            return;
        };
        let lines = held.items.iter().filter(|item| item.origin.is_some()).count();
        self.quarantined_lines += lines;
        self.quarantined_deliveries += held.items.len() - lines;
    }

    async fn read_metrics(&mut self, deployment: &Deployment, day: &Day) -> anyhow::Result<()> {
        let client = aws_sdk_cloudwatch::Client::new(&deployment.sdk);
        let mut names = HashSet::new();
        let mut pages = client.list_metrics().namespace(NAMESPACE).into_paginator().send();
        while let Some(page) = pages.next().await {
            for metric in page.context("list the metrics")?.metrics.unwrap_or_default() {
                self.series += 1;
                names.extend(metric.metric_name);
            }
        }
        self.metrics = names.len();
        self.counted = sum(deployment, "log_entries", day.start(), day.end()).await?;
        self.operations = sum(deployment, "operations", day.start(), day.end()).await?;
        Ok(())
    }
}

/// The sum of a metric without dimensions from `from` up to `until`, as CloudWatch has it.
///
/// # Errors
///
/// Where CloudWatch does not answer.
pub async fn sum(deployment: &Deployment, metric: &str, from: Minute, until: Minute) -> anyhow::Result<f64> {
    let statistics = aws_sdk_cloudwatch::Client::new(&deployment.sdk)
        .get_metric_statistics()
        .namespace(NAMESPACE)
        .metric_name(metric)
        .start_time(DateTime::from_secs(from.start().as_second()))
        .end_time(DateTime::from_secs(until.start().as_second()))
        .period(PERIOD_SECONDS)
        .statistics(Statistic::Sum);
    let points = statistics.send().await.with_context(|| format!("sum of {metric}"))?.datapoints.unwrap_or_default();
    Ok(points.iter().filter_map(|point| point.sum).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::logs::envelope::Decoder;
    use domain::logs::quarantine::delivery;

    #[test]
    fn what_is_no_line_in_quarantine_is_counted_beside() {
        let mut outcome = Outcome::default();
        let error = Decoder::default().open("{}").unwrap_err();
        outcome.count_quarantined(&delivery(b"{}", &error).body);
        for body in ["", "not JSON", r#"{"version":1,"minutes":{}}"#] {
            outcome.count_quarantined(body.as_bytes());
        }
        assert_eq!((outcome.quarantined_lines, outcome.quarantined_deliveries, outcome.quarantined_others), (0, 1, 3));
    }

    #[test]
    fn what_was_planted_is_found_in_any_object() {
        let day = Day::new("2026-11-21T00:00Z".parse().unwrap(), 60, 42, 0.1);
        let mut outcome = Outcome::default();
        outcome.search("rollups/recent.json", "anna.petrova@example.com", &day);
        outcome.search("state/metric-flusher.json", "[email:bcdfghjkmnpqrstv]", &day);
        assert_eq!(outcome.leaks, ["anna.petrova@example.com in rollups/recent.json"]);
    }
}
