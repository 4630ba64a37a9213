//! One tick: finish what an earlier flusher left, then sweep what is new.
//!
//! The order is what makes each batch count once (see [`domain::metrics::flush`]): journal, rollups,
//! puts, recent rollups, deletions, journal cleared.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use aws::measures;
use domain::keys;
use domain::metrics::flush::{Extraction, FlushState, Journal, deltas};
use domain::metrics::pending::{self, PendingMetrics};
use domain::metrics::put::Datum;
use domain::minute::Minute;
use domain::ports::{
    DeleteObject, GetObject, ListObjects, Object, PortError, PutMetrics, PutObject, ReplaceObject, Replaced, Retry,
    Version, WriteSamples,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::prometheus::{Exporter, Sent};
use crate::rollups::{self, CONCURRENCY};

/// How long a flusher may be at work: longer than the function's time-out, shorter than a tick, so
/// that a tick never finds the lease of a flusher that is dead.
pub const LEASE: SignedDuration = SignedDuration::from_secs(55);

/// Pending objects of one sweep. What is beyond waits for the next tick.
const MAX_PENDING: usize = 2_000;

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
}

/// Sweeps of one tick: as many as fit into the function's time-out.
const MAX_SWEEPS: usize = 5;

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
    /// Calls of `PutMetricData`.
    pub puts: usize,
    /// What was sent to Prometheus.
    pub prometheus: Sent,
}

/// Pending metrics as they were read.
enum Read {
    Metrics(PendingMetrics),
    /// What keeps an object that can not be read.
    Unreadable(Object),
}

impl<B, M, R> Flusher<B, M, R>
where
    B: PutObject + GetObject + ListObjects + DeleteObject + ReplaceObject,
    M: PutMetrics,
    R: WriteSamples,
{
    /// Does the tick of the minute `tick`. The lease runs on `now`, the wall clock, whatever minute the
    /// tick stands for: it is about two flushers being alive at the same time.
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
        let mut summary = Summary::default();
        if let Some(journal) = &mut state.state.journal {
            if journal.lease_until > now {
                tracing::info!(lease_until = %journal.lease_until, "another flusher is at work");
                return Ok(Summary { busy: true, ..summary });
            }
            tracing::warn!(minutes = journal.minutes.len(), "finishing the sweep that an earlier flusher left");
            measures::tried_again(1);
            summary.resumed = true;
            journal.lease_until = now + LEASE;
            if journal.sweep == 0 {
                journal.sweep = state.state.generation + 1;
            }
            let journal = journal.clone();
            summary.puts += self.resume(&mut state, &journal, tick).await?;
        }
        let mut complete = false;
        for _ in 0..MAX_SWEEPS {
            complete = self.sweep(&mut state, tick, now, &mut summary).await?;
            if complete {
                break;
            }
        }
        tracing::info!(
            pending = summary.pending,
            repeated = summary.repeated,
            minutes = summary.minutes,
            puts = summary.puts,
            "metrics flushed"
        );
        if !complete {
            // What was swept is done. But alerts wait for the rest, and an error is what an alarm sees.
            bail!("more is pending than {MAX_SWEEPS} sweeps of {MAX_PENDING} take in: the next tick goes on");
        }
        Ok(summary)
    }

    async fn load_state(&self, now: Timestamp) -> anyhow::Result<StoredState> {
        Ok(match self.bucket.get(keys::FLUSH_STATE).await? {
            None => {
                // Later than any that there was before, should the state have been lost: Prometheus' counters go by it.
                let generation = u64::try_from(now.as_millisecond()).unwrap_or_default();
                StoredState { state: FlushState { generation, ..FlushState::default() }, version: None }
            }
            Some(stored) => StoredState {
                // An unreadable state must not look like an empty one: that would count a sweep twice.
                state: FlushState::parse(&stored.body).context(keys::FLUSH_STATE)?,
                version: Some(stored.version),
            },
        })
    }

    async fn resume(&self, state: &mut StoredState, journal: &Journal, tick: Minute) -> anyhow::Result<usize> {
        let calls = journal.calls();
        if journal.acknowledged < calls.len() {
            // The first call without an acknowledgement may have been taken all the same.
            state.state.repeated_puts += 1;
        }
        self.save(state).await?;
        let stored = rollups::load(&self.bucket, journal.minutes.keys().copied()).await?;
        self.finish(state, journal, &calls, stored, tick, None).await
    }

    /// Takes in what is pending. Answers whether that was all.
    async fn sweep(
        &self,
        state: &mut StoredState,
        tick: Minute,
        now: Timestamp,
        summary: &mut Summary,
    ) -> anyhow::Result<bool> {
        let pending = self.bucket.list(keys::PENDING_METRICS, MAX_PENDING).await?;
        if pending.is_empty() {
            // The evaluator goes by this: that nothing came is news as well.
            rollups::refresh_recent(&self.bucket, &rollups::Stored::new(), Some(tick)).await?;
            return Ok(true);
        }
        let complete = (pending.len() < MAX_PENDING).then_some(tick);
        let batches = self.read_pending(&pending).await?;
        let minutes: BTreeSet<Minute> = batches.iter().flat_map(PendingMetrics::all_minutes).collect();
        let stored = rollups::load(&self.bucket, minutes).await?;
        let new = deltas(&batches, self.extraction, |minute, batch| {
            stored.get(&minute).is_some_and(|(rollup, _)| rollup.batches.contains(batch))
        });
        let counted: BTreeSet<&String> = new.values().flat_map(|delta| &delta.batches).collect();
        summary.pending += pending.len();
        summary.repeated += batches.iter().filter(|batch| !counted.contains(&batch.batch_id)).count();
        summary.minutes += new.len();
        let sweep = state.state.generation + 1; // What saving raises it to.
        let journal = Journal { sweep, lease_until: now + LEASE, pending, minutes: new, acknowledged: 0 };
        state.state.journal = Some(journal.clone());
        self.save(state).await?;
        summary.puts += self.finish(state, &journal, &journal.calls(), stored, tick, complete).await?;
        Ok(complete.is_some())
    }

    async fn read_pending(&self, keys: &[String]) -> anyhow::Result<Vec<PendingMetrics>> {
        let read: Vec<Read> = stream::iter(keys)
            .map(|key| self.read_one(key))
            .buffered(CONCURRENCY)
            .try_filter_map(|read| async move { Ok(read) })
            .try_collect()
            .await?;
        let mut batches = Vec::with_capacity(read.len());
        for read in read {
            match read {
                Read::Metrics(pending) => batches.push(pending),
                Read::Unreadable(object) => {
                    self.bucket.put(&object).await.context("pending metrics that can not be read could not be kept")?;
                    tracing::error!(key = object.key, "pending metrics quarantined");
                    measures::quarantined(1);
                }
            }
        }
        Ok(batches)
    }

    async fn read_one(&self, key: &str) -> anyhow::Result<Option<Read>> {
        let Some(stored) = self.bucket.get(key).await? else {
            return Ok(None); // Somebody deleted it since it was listed: whoever did has counted it.
        };
        Ok(Some(match PendingMetrics::parse(&stored.body) {
            Ok(pending) => Read::Metrics(pending),
            Err(error) => {
                tracing::error!(key, error = &error as &dyn std::error::Error, "pending metrics can not be read");
                Read::Unreadable(pending::unreadable(key, stored.body))
            }
        }))
    }

    /// Does what `journal`, which is the one in `state`, says, and clears it. With it, all that had come
    /// before the tick `complete` is taken in, if that is known. Answers how many of its `calls` were put.
    async fn finish(
        &self,
        state: &mut StoredState,
        journal: &Journal,
        calls: &[Vec<Datum>],
        mut stored: rollups::Stored,
        tick: Minute,
        complete: Option<Minute>,
    ) -> anyhow::Result<usize> {
        rollups::merge(&self.bucket, &mut stored, &journal.minutes).await?;
        for (at, call) in calls.iter().enumerate().skip(journal.acknowledged) {
            self.put(call).await?;
            // Noted at once: whatever fails from here on must not have it put again.
            if let Some(noted) = &mut state.state.journal {
                noted.acknowledged = at + 1;
            }
            self.save(state).await?;
        }
        rollups::refresh_recent(&self.bucket, &stored, complete).await?;
        if let Some(prometheus) = &self.prometheus {
            prometheus.count(&self.bucket, tick, journal.sweep, &journal.minutes).await?;
        }
        stream::iter(&journal.pending)
            .map(|key| self.bucket.delete(key))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        state.state.journal = None;
        self.save(state).await?;
        Ok(calls.len().saturating_sub(journal.acknowledged))
    }

    /// Puts one call. CloudWatch refuses all of a call for one metric that it does not take: halves find
    /// it, and it goes to quarantine, so that it holds up nothing else.
    async fn put(&self, call: &[Datum]) -> anyhow::Result<()> {
        let mut left = vec![call];
        while let Some(part) = left.pop() {
            match self.metrics.put_metrics(&self.namespace, part).await {
                Err(error) if error.retry == Retry::Permanent && part.len() == 1 => {
                    self.quarantine(part, &error).await?
                }
                Err(error) if error.retry == Retry::Permanent => {
                    let (first, second) = part.split_at(part.len() / 2);
                    left.extend([second, first]);
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn quarantine(&self, call: &[Datum], error: &PortError) -> anyhow::Result<()> {
        let body = serde_json::to_vec(call).context("refused metrics could not be written as JSON")?;
        let day = call.first().map(|datum| datum.minute.day());
        let object = Object {
            key: keys::quarantine("metrics", day.as_deref(), &keys::fingerprint([body.as_slice()])),
            content_type: "application/json",
            body,
        };
        self.bucket.put(&object).await.context("refused metrics could not be kept")?;
        tracing::error!(error = error as &dyn std::error::Error, key = object.key, "metrics quarantined");
        measures::quarantined(call.len());
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

/// The state with the version that the next write replaces.
struct StoredState {
    state: FlushState,
    version: Option<Version>,
}
