//! One tick: finish what an earlier flusher left, then sweep what is new.
//!
//! The order is what makes each batch count once (see [`domain::metrics::flush`]): journal, rollups, quarantine of what
//! CloudWatch would not take, puts, recent rollups, Prometheus' counters, deletions, journal cleared.

use std::time::{Duration, Instant};

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use aws::measures;
use domain::keys;
use domain::metrics::bound::bound;
use domain::metrics::flush::{Extraction, FlushState, Journal};
use domain::metrics::merge::Merge;
use domain::metrics::pending::{self, PendingView};
use domain::metrics::put::Refused;
use domain::minute::Minute;
use domain::ports::{
    DeleteObjects, GetObject, ListObjects, MAX_DELETED, PutMetrics, PutObject, ReplaceObject, Replaced, Retry, Stored,
    Version, WriteSamples,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::prometheus::{Exporter, Sent};
use crate::rollups;

/// How long a flusher may be at work: longer than the function's time-out, shorter than a tick. One that fails gives its
/// lease back; one that was killed keeps it for as long.
pub const LEASE: SignedDuration = SignedDuration::from_secs(55);

/// Pending objects of one sweep: what they say is merged before it is put, so the more, the fewer calls.
const MAX_PENDING: usize = 10_000;

/// Pending objects that are in memory at the same time, of a dozen kilobytes each.
const CHUNK: usize = 64;

/// Minutes of one sweep, each of which is a rollup to be read and written: a replay of old days has many.
const MAX_MINUTES: usize = 500;

/// Series of one sweep, those of each minute by themselves, in what is new and in the rollups: about 1 KB each, twice.
/// It may be passed by what the last [`CHUNK`] brings.
const MAX_SERIES: usize = 50_000;

/// How long a tick takes things in: with what it does about them, and with Prometheus, that is within its lease.
pub const TAKING_IN: Duration = Duration::from_secs(20);

/// A flusher on its ports.
pub struct Flusher<B, M, R> {
    /// The bucket of pending metrics, rollups and state.
    pub bucket: B,
    /// Where metrics are put.
    pub metrics: M,
    /// CloudWatch namespace.
    pub namespace: String,
    /// Who puts the metrics that lines have brought along.
    pub extraction: Extraction,
    /// Prometheus, where there is one.
    pub prometheus: Option<Exporter<R>>,
    /// How long a tick takes things in, [`TAKING_IN`]. What is left waits for the next.
    pub taking_in: Duration,
}

/// What a tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whether another flusher was at work, so that nothing was done.
    pub busy: bool,
    /// Whether an earlier sweep was finished first.
    pub resumed: bool,
    /// Pending objects taken in.
    pub pending: usize,
    /// Batches among them that had been counted before.
    pub repeated: usize,
    /// Minutes that were added to.
    pub minutes: usize,
    /// Calls of `PutMetricData` that were acknowledged.
    pub puts: usize,
    /// Calls put again because an earlier flusher noted no acknowledgement: CloudWatch may have counted them twice.
    pub repeated_puts: usize,
    /// Metrics that CloudWatch does not take, in quarantine.
    pub refused: usize,
    /// Pending objects that could not be read, in quarantine.
    pub unreadable: usize,
    /// Points whose dimensions were folded into `other`, since their minute has too many values of them.
    pub folded: u64,
    /// What was sent to Prometheus.
    pub prometheus: Sent,
}

impl<B, M, R> Flusher<B, M, R>
where
    B: PutObject + GetObject + ListObjects + DeleteObjects + ReplaceObject,
    M: PutMetrics,
    R: WriteSamples,
{
    /// Does the tick of the minute `tick`. The lease runs on `now`, the wall clock, whatever minute the
    /// tick stands for: it is about two flushers being alive at the same time. So does what is too old for CloudWatch.
    ///
    /// # Errors
    ///
    /// Where a port failed. The journal stays, and the next tick goes on from it.
    pub async fn flush(&self, tick: Minute, now: Timestamp) -> anyhow::Result<Summary> {
        let swept = self.sweep_all(tick, now).await;
        if swept.as_ref().is_ok_and(|summary| summary.busy) {
            return swept;
        }
        // Whatever else failed: series that are not sent at each tick are hidden.
        let sent = match &self.prometheus {
            Some(prometheus) => prometheus.send(&self.bucket, tick).await.context("not all was sent to Prometheus"),
            None => Ok(Sent::default()),
        };
        match (swept, sent) {
            (Ok(summary), sent) => Ok(Summary { prometheus: sent?, ..summary }),
            (Err(error), Ok(_)) => Err(error),
            (Err(error), Err(unsent)) => Err(error.context(format!("{unsent:#}, and besides"))),
        }
    }

    async fn sweep_all(&self, tick: Minute, now: Timestamp) -> anyhow::Result<Summary> {
        let mut state = self.load_state(now).await?;
        let swept = self.sweep_from(&mut state, tick, now).await;
        if let (Err(_), Some(journal)) = (&swept, &mut state.state.journal) {
            // The next tick need not wait for it. If this fails as well, it waits.
            journal.lease_until = now;
            let _ = self.save(&mut state).await;
        }
        swept
    }

    async fn sweep_from(&self, state: &mut StoredState, tick: Minute, now: Timestamp) -> anyhow::Result<Summary> {
        let until = Instant::now() + self.taking_in;
        let mut summary = Summary::default();
        if let Some(journal) = &mut state.state.journal {
            if journal.lease_until > now {
                tracing::info!(lease_until = %journal.lease_until, "another flusher is at work");
                return Ok(Summary { busy: true, ..summary });
            }
            tracing::warn!(
                sweep = journal.sweep,
                minutes = journal.minutes.len(),
                calls = journal.calls.len(),
                "finishing the sweep that an earlier flusher left"
            );
            measures::tried_again(1);
            summary.resumed = true;
            journal.lease_until = now + LEASE;
            self.resume(state, tick, &mut summary).await?;
        }
        let mut is_complete = false;
        while !is_complete {
            is_complete = self.sweep(state, tick, now, until, &mut summary).await?;
            if Instant::now() >= until {
                break;
            }
        }
        tracing::info!(
            pending = summary.pending,
            repeated = summary.repeated,
            minutes = summary.minutes,
            puts = summary.puts,
            repeated_puts = summary.repeated_puts,
            repeated_puts_ever = state.state.repeated_puts,
            refused = summary.refused,
            unreadable = summary.unreadable,
            folded = summary.folded,
            "metrics flushed"
        );
        if !is_complete {
            // What was swept is done. But alerts wait for the rest, and an error is what an alarm sees.
            bail!("more is pending than a tick has time for: the next tick goes on");
        }
        Ok(summary)
    }

    async fn load_state(&self, now: Timestamp) -> anyhow::Result<StoredState> {
        Ok(match self.bucket.get(keys::FLUSH_STATE).await? {
            None => StoredState { state: FlushState::default().not_before(now), version: None },
            Some(stored) => StoredState {
                // An unreadable state must not look like an empty one: that would count a sweep twice.
                state: FlushState::parse(&stored.body).context(keys::FLUSH_STATE)?.not_before(now),
                version: Some(stored.version),
            },
        })
    }

    async fn resume(&self, state: &mut StoredState, tick: Minute, summary: &mut Summary) -> anyhow::Result<()> {
        if !state.journal()?.calls.is_empty() {
            // The first of them may have been taken all the same.
            state.state.repeated_puts += 1;
            summary.repeated_puts += 1;
        }
        self.save(state).await?;
        let mut stored = rollups::Stored::new();
        rollups::load(&self.bucket, state.journal()?.minutes.keys().copied(), &mut stored).await?;
        self.finish(state, stored, tick, false, summary).await
    }

    /// Takes in what is pending. Answers whether that was all.
    async fn sweep(
        &self,
        state: &mut StoredState,
        tick: Minute,
        now: Timestamp,
        until: Instant,
        summary: &mut Summary,
    ) -> anyhow::Result<bool> {
        let pending = self.bucket.list(keys::PENDING_METRICS, MAX_PENDING).await?;
        if pending.is_empty() {
            // The evaluator goes by this: that nothing came is news as well.
            rollups::refresh_recent(&self.bucket, &rollups::Stored::new(), tick, true).await?;
            return Ok(true);
        }
        let mut taken = Taken::new(self.extraction);
        for keys in pending.chunks(CHUNK) {
            // The first of them always, or there would be no end.
            if !taken.pending.is_empty() && (taken.is_full() || Instant::now() >= until) {
                break;
            }
            self.take_in(keys, &mut taken, summary).await?;
        }
        let is_complete = taken.pending.len() == pending.len() && pending.len() < MAX_PENDING;
        drop(pending);
        let mut minutes = taken.merge.finish();
        for (&minute, delta) in &mut minutes {
            summary.folded += taken.stored.get(&minute).map_or(0, |(held, _)| bound(minute, delta, &held.series));
        }
        summary.pending += taken.pending.len();
        summary.minutes += minutes.len();
        let sweep = state.state.generation + 1; // What saving raises it to.
        let journal = Journal::new(sweep, now + LEASE, taken.pending, minutes, Minute::of(now));
        state.state.journal = Some(journal);
        self.save(state).await?;
        self.finish(state, taken.stored, tick, is_complete, summary).await?;
        Ok(is_complete)
    }

    /// Reads the objects `keys`, and merges what is new in them.
    async fn take_in(&self, keys: &[String], taken: &mut Taken, summary: &mut Summary) -> anyhow::Result<()> {
        let read: Vec<(&String, Option<Stored>)> = stream::iter(keys)
            .map(|key| async move { anyhow::Ok((key, self.bucket.get(key).await?)) })
            .buffered(rollups::CONCURRENCY)
            .try_collect()
            .await?;
        let (mut views, mut bytes) = (Vec::with_capacity(read.len()), 0);
        for (key, stored) in &read {
            // Somebody deleted it since it was listed: whoever did has counted it.
            let Some(stored) = stored else { continue };
            match PendingView::parse(&stored.body) {
                Ok(view) => {
                    views.push(view);
                    bytes += stored.body.len();
                }
                Err(error) => {
                    let object = pending::unreadable(key, stored.body.clone());
                    self.bucket.put(&object).await.context("pending metrics that can not be read could not be kept")?;
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(key, error, kept = object.key, "pending metrics that can not be read quarantined");
                    summary.unreadable += 1;
                    measures::quarantined(1);
                }
            }
        }
        let minutes: BTreeSet<Minute> = views.iter().flat_map(PendingView::all_minutes).collect();
        measures::took_in(views.len(), bytes);
        minutes.last().into_iter().for_each(|minute| measures::newest(minute.start().as_millisecond()));
        rollups::load(&self.bucket, minutes, &mut taken.stored).await?;
        for view in &views {
            let counted = |minute: Minute, batch: &str| {
                taken.stored.get(&minute).is_some_and(|(rollup, _)| rollup.batches.contains(batch))
            };
            summary.repeated += usize::from(!taken.merge.add(view, counted));
        }
        taken.pending.extend_from_slice(keys);
        Ok(())
    }

    /// Does what the journal says, and clears it. With it, all that had come before the tick is taken in, if that
    /// `is_complete`. `stored` are the rollups of its minutes.
    async fn finish(
        &self,
        state: &mut StoredState,
        mut stored: rollups::Stored,
        tick: Minute,
        is_complete: bool,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let journal = state.journal()?;
        rollups::merge(&self.bucket, &mut stored, &journal.minutes).await?;
        for refused in &journal.refused {
            self.quarantine(journal.sweep, refused, summary).await?;
        }
        self.put_calls(state, summary).await?;
        rollups::refresh_recent(&self.bucket, &stored, tick, is_complete).await?;
        let journal = state.journal()?;
        if let Some(prometheus) = &self.prometheus {
            prometheus.count(&self.bucket, tick, journal.sweep, &journal.minutes).await?;
        }
        for keys in journal.pending.chunks(MAX_DELETED) {
            self.bucket.delete_all(keys).await?;
        }
        state.state.journal = None;
        self.save(state).await
    }

    /// Puts the journal's calls. CloudWatch refuses all of a call for one metric that it does not take: halves find
    /// it, and it goes to quarantine, so that it holds up nothing else.
    async fn put_calls(&self, state: &mut StoredState, summary: &mut Summary) -> anyhow::Result<()> {
        while let Some(call) = state.journal()?.calls.first() {
            match self.metrics.put_metrics(&self.namespace, call).await {
                Ok(()) => {
                    summary.puts += 1;
                    state.journal()?.done();
                }
                Err(error) if error.retry == Retry::Permanent && call.len() > 1 => state.journal()?.halve(),
                Err(error) if error.retry == Retry::Permanent => {
                    let reason = format!("{:#}", anyhow::Error::new(error));
                    let refused = Refused { reason, metrics: call.clone() };
                    self.quarantine(state.journal()?.sweep, &refused, summary).await?;
                    state.journal()?.done();
                }
                Err(error) => return Err(error.into()),
            }
            // Noted at once: whatever fails from here on must not have it put again.
            self.save(state).await?;
        }
        Ok(())
    }

    async fn quarantine(&self, sweep: u64, refused: &Refused, summary: &mut Summary) -> anyhow::Result<()> {
        let object = refused.to_object(sweep);
        self.bucket.put(&object).await.context("refused metrics could not be kept")?;
        summary.refused += refused.metrics.len();
        let (reason, metrics) = (refused.reason.as_str(), refused.metrics.len());
        tracing::error!(reason, metrics, key = object.key, "metrics quarantined that CloudWatch does not take");
        measures::quarantined(metrics);
        Ok(())
    }

    async fn save(&self, state: &mut StoredState) -> anyhow::Result<()> {
        state.state.generation += 1;
        match self.bucket.replace(&state.state.to_object(), state.version.as_ref()).await? {
            Replaced::Done(version) => {
                state.version = Some(version);
                Ok(())
            }
            Replaced::Conflict => bail!("{} was changed by another flusher, which goes on", keys::FLUSH_STATE),
        }
    }
}

/// What a sweep has read so far.
struct Taken {
    pending: Vec<String>,
    merge: Merge,
    /// The rollups of their minutes.
    stored: rollups::Stored,
}

impl Taken {
    fn new(extraction: Extraction) -> Taken {
        Taken { pending: Vec::new(), merge: Merge::new(extraction), stored: rollups::Stored::new() }
    }

    /// Whether memory has no room for more.
    fn is_full(&self) -> bool {
        let held: usize = self.stored.values().map(|(rollup, _)| rollup.series.len()).sum();
        self.stored.len() >= MAX_MINUTES || self.merge.len() + held >= MAX_SERIES
    }
}

/// The state with the version that the next write replaces.
struct StoredState {
    state: FlushState,
    version: Option<Version>,
}

impl StoredState {
    /// The journal of the sweep that is under way.
    fn journal(&mut self) -> anyhow::Result<&mut Journal> {
        self.state.journal.as_mut().context("no sweep is under way")
    }
}
