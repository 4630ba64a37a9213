//! One report: read what the day left, add it up, store the report, and say so.

use std::collections::BTreeSet;

use anyhow::Context as _;
use aws::lambda::Tick;
use domain::alerting::history::history_day;
use domain::keys;
use domain::ports::{GetObject, ListObjects, PortError, Publish, PutObject, Retry, Stored};
use domain::reporting::day::{DayError, LocalDay};
use domain::reporting::figures::{Figures, Scope};
use domain::reporting::notice::notice;
use domain::reporting::objects;
use domain::reporting::verdict::Status;
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::Config;

/// Objects read at the same time.
const CONCURRENCY: usize = 16;

/// Keys taken of one folder: an hour has 60 rollups, and a UTC day this many transitions only when
/// something is badly wrong with the rules.
const MAX_KEYS: usize = 10_000;

/// Days before the day whose history is read as well: an alert that began in them and is not over
/// fires during the day, and no transition of the day itself says so. One that began still earlier is
/// missing from the report; a listing a day is what looking further back costs.
const HISTORY_DAYS_BEFORE: u8 = 31;

/// What is asked for. A field that is not known is refused: it may be a date misspelt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// The day to report again, `2026-11-20`.
    pub date: Option<String>,
}

/// A reporter on its ports.
pub struct Reporter<B, T> {
    /// The bucket of rollups, alert history and reports.
    pub bucket: B,
    /// Where the notice goes.
    pub topic: T,
    /// What is reported.
    pub config: Config,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The day that was reported.
    pub date: String,
    /// What to think of it.
    pub verdict: Status,
    /// Rollups that the report is made of.
    pub rollups: usize,
    /// Transitions of alerts that it is made of.
    pub transitions: usize,
    /// What could not be read.
    pub problems: usize,
}

impl<B, T> Reporter<B, T>
where
    B: GetObject + ListObjects + PutObject,
    T: Publish,
{
    /// Reports the day that `tick` asks for. The notice goes last: whoever reads it finds the report.
    ///
    /// # Errors
    ///
    /// Where the day is not over, or a port failed and may work later. What is refused, for good or until
    /// somebody gives the right, is named in the report instead. Doing it again writes the same report.
    pub async fn report(&self, tick: Tick<Detail>) -> anyhow::Result<Summary> {
        let day = self.day_of(&tick)?;
        let mut figures = Figures::of_nothing(Scope {
            day: day.clone(),
            environment: self.config.environment.clone(),
            services: self.config.services.clone(),
        });
        // Where the zone is off by half an hour, the first and the last UTC hour have minutes of other days.
        let minutes: BTreeSet<String> = day.minutes().map(keys::rollup).collect();
        let hours: Vec<String> = day.utc_hours().into_iter().map(keys::rollup_hour).collect();
        let of_the_day = |key: &str| minutes.contains(key);
        let rollups = self.read(&hours, of_the_day, &mut figures, Figures::read_rollup).await?;
        let days: Vec<String> = day.utc_days(HISTORY_DAYS_BEFORE).iter().map(|day| history_day(day)).collect();
        let transitions = self.read(&days, |_| true, &mut figures, Figures::read_transition).await?;
        let report = figures.report();
        for object in objects(&report, &day) {
            self.bucket.put(&object).await.context("the report could not be stored")?;
        }
        let notice = notice(&report, &self.config.bucket_name);
        self.topic.publish(&notice).await.context("the report is stored, but its notice could not be published")?;
        let (verdict, problems) = (report.verdict.status, report.completeness.problems.len());
        tracing::info!(date = report.date, verdict = verdict.as_str(), rollups, transitions, problems, "day reported");
        Ok(Summary { date: report.date, verdict, rollups, transitions, problems })
    }

    fn day_of(&self, tick: &Tick<Detail>) -> Result<LocalDay, DayError> {
        let zone = &self.config.time_zone;
        match &tick.detail.date {
            Some(date) => LocalDay::named(date, zone, tick.time),
            None => LocalDay::last_finished(zone, tick.time),
        }
    }

    /// Reads the wanted objects of `folders`, in order, and hands each to `add`. Answers how many there
    /// were.
    async fn read(
        &self,
        folders: &[String],
        wanted: impl Fn(&str) -> bool,
        figures: &mut Figures,
        add: fn(&mut Figures, &str, &[u8]),
    ) -> anyhow::Result<usize> {
        let mut keys = self.list(folders, figures).await?;
        keys.retain(|key| wanted(key));
        // Ordered, so that the problems and the rounding of sums are the same each time.
        let mut objects =
            stream::iter(&keys).map(|key| async move { (key, self.bucket.get(key).await) }).buffered(CONCURRENCY);
        let mut read = 0;
        while let Some((key, answer)) = objects.next().await {
            match unless_refused(answer, figures)? {
                Some(Some(Stored { body, .. })) => {
                    add(figures, key, &body);
                    read += 1;
                }
                Some(None) => figures.add_problem(format!("{key} was listed, but is not there")),
                None => {}
            }
        }
        Ok(read)
    }

    async fn list(&self, folders: &[String], figures: &mut Figures) -> anyhow::Result<Vec<String>> {
        let mut listings = stream::iter(folders)
            .map(|folder| async move { (folder, self.bucket.list(folder, MAX_KEYS).await) })
            .buffered(CONCURRENCY);
        let mut keys = Vec::new();
        while let Some((folder, answer)) = listings.next().await {
            let Some(listed) = unless_refused(answer, figures)? else { continue };
            if listed.len() == MAX_KEYS {
                figures.add_problem(format!("{folder} has {MAX_KEYS} objects or more; the rest is left out"));
            }
            keys.extend(listed);
        }
        Ok(keys)
    }
}

/// The answer, or `None` where it was refused, which becomes a problem in the report. A failure that may
/// pass by itself is an error: the report can still become complete.
fn unless_refused<A>(answer: Result<A, PortError>, figures: &mut Figures) -> anyhow::Result<Option<A>> {
    let error = match answer {
        Ok(answer) => return Ok(Some(answer)),
        Err(error) => error,
    };
    let reason = match error.retry {
        Retry::Transient => return Err(error.into()),
        Retry::Denied => "access denied",
        Retry::Permanent => "refused",
    };
    // What the other side said has request ids in it, and the same report has to have the same bytes.
    tracing::error!(error = &error as &dyn std::error::Error, reason, "something of the report could not be read");
    figures.add_problem(format!("{}: {reason}", error.action));
    Ok(None)
}
