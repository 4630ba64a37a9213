//! Rules played over what the bucket and CloudWatch have of the past.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use domain::Minute;
use domain::alerting::backtest::{Backtest, Coverage, Diff, PastMetrics, Report, foreign_read_of, warm_up};
use domain::alerting::policy::Policy;
use domain::alerting::rules::RuleSet;
use domain::alerting::samples::ForeignValues;
use domain::keys;
use domain::metrics::recent::RecentRollups;
use domain::metrics::rollup::Rollup;
use domain::ports::{GetObject, ListObjects, ReadMetrics};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Serialize;

use super::RuleFile;
use crate::files;

/// Rollups that are read at once; each is some 100 KB.
const READ_AT_ONCE: usize = 32;

/// Minutes of a day.
const DAY: i64 = 1_440;

/// For how many days CloudWatch has minutes.
const DAYS_OF_MINUTES: i64 = 15;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) rules: RuleFile,
    /// The stack's bucket; the variable BUCKET_NAME without it
    #[arg(long)]
    pub(crate) bucket: Option<String>,
    /// Days up to the last minute that is complete
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i64).range(1..=400))]
    pub(crate) days: i64,
    /// Another file, of which the differences are told
    #[arg(long, value_name = "OTHER")]
    pub(crate) against: Option<PathBuf>,
    /// The notification policy; without it that of the bucket, or else the built-in one
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PathBuf>,
    /// That an alert fires again within so many minutes of its end is a flap
    #[arg(long, default_value_t = 30, value_name = "MINUTES")]
    pub(crate) flaps: i64,
    /// Tell when each rule fired
    #[arg(long)]
    pub(crate) episodes: bool,
    /// As JSON, which has all of it
    #[arg(long)]
    pub(crate) json: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Played {
    /// The file.
    file: String,
    /// The other file, of which the differences are told.
    against: Option<String>,
    coverage: Coverage,
    /// What should be known beside the figures.
    notes: Vec<String>,
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Diff>,
}

/// Plays the rules, and prints what they would have done. False where something of the past could not be read.
///
/// # Errors
///
/// Where a file of rules has mistakes, or the bucket can't be read.
pub(crate) async fn run(
    asked: &Arguments,
    bucket: &(impl GetObject + ListObjects),
    metrics: &impl ReadMetrics,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let rules = asked.rules.load()?;
    let variables = asked.rules.variables();
    let against = asked.against.as_ref().map(|file| super::load(file, &variables)).transpose()?;
    let sets: Vec<&RuleSet> = std::iter::once(&rules).chain(&against).collect();
    let span = Span::find(bucket, asked.days, sets.iter().map(|rules| warm_up(rules)).max().unwrap_or(0), now).await?;
    let (policy, wrong) = policy(asked, bucket).await?;
    let backtests: Vec<Backtest> =
        sets.iter().map(|rules| Backtest::new(rules, &policy, span.counted_from, asked.flaps)).collect();
    let mut past =
        Past { bucket, metrics, span, backtests, metrics_known: PastMetrics::default(), problems: Vec::new() };
    let coverage = past.play(&sets).await?;
    let Past { backtests, problems, .. } = past;
    let mut reports = backtests.into_iter().map(|backtest| backtest.report(span.until));
    let report = reports.next().context("there is a file of rules")?;
    let diff = reports.next().map(|before| Diff::between(&before, &report));
    let complete = problems.is_empty();
    let mut notes = span.notes(asked.days, &sets, now);
    notes.extend(wrong);
    notes.extend(problems);
    let against = asked.against.as_ref().map(|file| file.display().to_string());
    let played = Played { file: asked.rules.name(), against, coverage, notes, report, diff };
    match asked.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&played)?)?,
        false => played.print(asked.episodes, out)?,
    }
    Ok(complete)
}

/// The policy that decides what is told: that of a file, else the operators' own of the bucket, else the built-in one;
/// and what is to be said of it.
async fn policy(asked: &Arguments, bucket: &impl GetObject) -> anyhow::Result<(Policy, Option<String>)> {
    if let Some(file) = &asked.policy {
        return Ok((files::load(file, Policy::load)?, None));
    }
    let stored = bucket.get(keys::POLICY).await?;
    let chosen = Policy::choose(keys::POLICY, stored.as_ref().map(|stored| stored.body.as_slice()), None);
    let wrong = chosen
        .problem
        .map(|problem| format!("the built-in policy decides what is sent, since there are mistakes:\n{problem}"));
    Ok((chosen.holds, wrong))
}

/// Which minutes are played.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// The first that is played.
    from: Minute,
    /// The first that counts.
    counted_from: Minute,
    /// The minute after the last.
    until: Minute,
}

impl Span {
    /// The `days` before what the flusher has taken in, and `warm_up` minutes before that; later where no rollup is as
    /// old.
    async fn find(
        bucket: &(impl GetObject + ListObjects),
        days: i64,
        warm_up: i64,
        now: Timestamp,
    ) -> anyhow::Result<Span> {
        let recent = bucket.get(keys::RECENT_ROLLUPS).await?;
        let recent =
            recent.map(|stored| RecentRollups::parse(&stored.body)).transpose().context(keys::RECENT_ROLLUPS)?;
        // What the flusher has not taken in yet is not silence.
        let flushed = recent.and_then(|recent| recent.flushed_until);
        let until = flushed.map_or(Minute::of(now), |flushed| flushed.min(Minute::of(now)));
        let counted_from = until.plus(-days * DAY);
        let from = counted_from.plus(-warm_up);
        for day in days_of(from, until) {
            let first = rollups_of(bucket, day).await?.into_keys().find(|minute| (from..until).contains(minute));
            if let Some(first) = first {
                return Ok(Span { from: first, counted_from: counted_from.max(first), until });
            }
        }
        bail!("there is no rollup from {from} to {until}: nothing to play")
    }

    /// What of the figures follows from the span.
    fn notes(&self, days: i64, sets: &[&RuleSet], now: Timestamp) -> Vec<String> {
        let mut notes = Vec::new();
        if self.until.since(self.counted_from) < days * DAY {
            notes.push(format!("history begins at {}: before it nothing is stored", self.from));
        }
        let reads_foreign = sets.iter().flat_map(|rules| &rules.rules).any(|rule| rule.foreign().next().is_some());
        if reads_foreign && Minute::of(now).since(self.from) > DAYS_OF_MINUTES * DAY {
            notes.push(format!(
                "CloudWatch keeps minutes for {DAYS_OF_MINUTES} days: rules on metrics of AWS have no values before"
            ));
        }
        let events: BTreeSet<&str> = sets
            .iter()
            .flat_map(|rules| &rules.rules)
            .filter(|rule| rule.kind.name() == "event")
            .map(|rule| rule.id.as_str())
            .collect();
        if !events.is_empty() {
            let events: Vec<&str> = events.into_iter().collect();
            notes.push(format!("rules on events are not played, since rollups have no events: {}", events.join(", ")));
        }
        notes
    }
}

/// The days that the minutes from `from` to before `until` are of, each by its first minute.
fn days_of(from: Minute, until: Minute) -> impl Iterator<Item = Minute> {
    let first = from.plus(-(from.since(Minute::of(Timestamp::UNIX_EPOCH))).rem_euclid(DAY));
    (0..).map(move |day| first.plus(day * DAY)).take_while(move |day| *day < until)
}

/// Keys of the rollups of the UTC day that `midnight` begins.
async fn rollups_of(bucket: &impl ListObjects, midnight: Minute) -> anyhow::Result<BTreeMap<Minute, String>> {
    let prefix = format!("{}dt={}/", keys::ROLLUPS, midnight.day());
    let keys: BTreeSet<String> = bucket.list(&prefix, 10 * DAY as usize).await?.into_iter().collect();
    let minutes = (0..DAY).map(|offset| midnight.plus(offset)).map(|minute| (minute, keys::rollup(minute)));
    Ok(minutes.filter(|(_, key)| keys.contains(key)).collect())
}

/// The rules at play over what is stored.
struct Past<'a, B, M> {
    bucket: &'a B,
    metrics: &'a M,
    span: Span,
    backtests: Vec<Backtest<'a>>,
    metrics_known: PastMetrics,
    problems: Vec<String>,
}

impl<B: GetObject + ListObjects, M: ReadMetrics> Past<'_, B, M> {
    /// Plays the span. A day's keys are all that is held at once, beside what the rules look at.
    async fn play(&mut self, sets: &[&RuleSet]) -> anyhow::Result<Coverage> {
        let mut coverage = Coverage::default();
        for day in days_of(self.span.from, self.span.until) {
            let (from, until) = (day.max(self.span.from), day.plus(DAY).min(self.span.until));
            self.read_foreign(sets, from, until).await;
            let keys = rollups_of(self.bucket, day).await?;
            let minutes = (0..until.since(from)).map(|offset| from.plus(offset));
            let bucket = self.bucket;
            let mut rollups = futures::stream::iter(minutes)
                .map(|minute| {
                    let key = keys.get(&minute);
                    async move { (minute, read_rollup(bucket, key).await) }
                })
                .buffered(READ_AT_ONCE);
            while let Some((minute, rollup)) = rollups.next().await {
                let rollup = match rollup? {
                    Ok(rollup) => rollup,
                    Err(unreadable) => {
                        self.problems.push(unreadable);
                        None
                    }
                };
                self.metrics_known.take_in(minute, rollup.as_ref());
                if minute >= self.span.counted_from {
                    coverage.note(minute, rollup.is_some());
                }
                self.backtests.iter_mut().for_each(|backtest| backtest.play(minute, &self.metrics_known));
            }
        }
        coverage.end(self.span.until);
        Ok(coverage)
    }

    /// What CloudWatch has of the minutes from `from` to before `until`, and of those that rules look back at from
    /// there. If it does not answer, the rules that need it are in error, as they are in the evaluator.
    async fn read_foreign(&mut self, sets: &[&RuleSet], from: Minute, until: Minute) {
        let reads: Vec<_> = sets.iter().map(|rules| foreign_read_of(rules, from, until.plus(-1))).collect();
        let queries: BTreeSet<_> = reads.iter().flat_map(|read| &read.queries).cloned().collect();
        let queries: Vec<_> = queries.into_iter().collect();
        let Some(from) = reads.iter().map(|read| read.from).min().filter(|_| !queries.is_empty()) else { return };
        let answers = self.metrics.read_metrics(&queries, from, until).await;
        let mut answered = ForeignValues::new();
        for (query, answer) in queries.into_iter().zip(answers) {
            match answer {
                Ok(values) => {
                    answered.insert(query, values);
                }
                Err(unanswered) => self.problems.push(format!("{from} to {until}: {unanswered}")),
            }
        }
        self.metrics_known.answered(answered);
    }
}

/// The rollup at `key`; `None` where there is none, and in words why one can't be used. What can't be read from the
/// bucket is an error of the whole.
async fn read_rollup(bucket: &impl GetObject, key: Option<&String>) -> anyhow::Result<Result<Option<Rollup>, String>> {
    let Some(key) = key else { return Ok(Ok(None)) };
    let Some(stored) = bucket.get(key).await? else { return Ok(Ok(None)) };
    Ok(Rollup::parse(&stored.body)
        .map(Some)
        .map_err(|error| format!("{key} can't be read, and counts as nothing: {error}")))
}

impl Played {
    fn print(&self, episodes: bool, out: &mut impl Write) -> anyhow::Result<()> {
        let Coverage { recorded, played, gaps, .. } = &self.coverage;
        let (from, until) = (self.report.from, self.report.until);
        writeln!(out, "{}, played from {from} to {until}: {played} minutes, {recorded} with metrics", self.file)?;
        for gap in gaps.iter().take(GAPS_TOLD) {
            let minutes = gap.until.since(gap.from);
            writeln!(
                out,
                "nothing at all is stored from {} to {} ({minutes} minutes): played as silence",
                gap.from, gap.until
            )?;
        }
        if gaps.len() > GAPS_TOLD {
            writeln!(out, "and {} more such gaps", gaps.len() - GAPS_TOLD)?;
        }
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "\n{}", self.report)?;
        if episodes {
            for rule in &self.report.rules {
                for played in &rule.episodes {
                    writeln!(out, "{}: {played}: {}", rule.rule, played.summary)?;
                }
            }
            writeln!(out)?;
        }
        if let (Some(diff), Some(against)) = (&self.diff, &self.against) {
            writeln!(out, "against {against} (-):\n\n{diff}")?;
        }
        Ok(())
    }
}

/// Gaps that are told one by one. All are in the JSON.
const GAPS_TOLD: usize = 5;

#[cfg(test)]
mod tests;
