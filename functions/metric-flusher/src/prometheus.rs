//! What is counted, to Prometheus (see [`domain::metrics::prometheus`]): each sweep once into the state, and at the end
//! of a tick everything that the state says to the remote.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws::measures;
use domain::keys;
use domain::metrics::flush::Delta;
use domain::metrics::prometheus::request::is_about_time;
use domain::metrics::prometheus::{Counted, Labels, Name, Request, State};
use domain::minute::Minute;
use domain::ports::{
    GetObject, Object, PortError, PutObject, ReplaceObject, Replaced, Retry, Stored, Version, WriteSamples,
};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long all that a tick sends may take. What is not sent by then is sent by the next tick, since its values hold
/// it all. With it a tick has to end before its lease does.
pub const SENDING: Duration = Duration::from_secs(15);

/// How often a state that another flusher changes meanwhile is read again.
const ATTEMPTS: usize = 5;

/// Refused requests of a tick that are halved to find the series it is about. (One takes ten.) Those beyond are kept
/// whole.
const HALVINGS: usize = 100;

/// And how long they may take: what was refused has to be noted within [`SENDING`], or it would be the same at each tick.
const HALVING: Duration = Duration::from_secs(4);

/// Sends what is counted to a Prometheus.
#[derive(Debug)]
pub struct Exporter<R> {
    remote: R,
    shared: Labels,
    /// The state as it was last written, which saves a tick the reading: whoever writes insists on its version.
    held: Mutex<Option<StoredState>>,
}

/// The state with the version that the next write replaces.
#[derive(Debug)]
struct StoredState {
    state: State,
    version: Option<Version>,
}

/// What a tick sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Samples that were taken.
    pub samples: usize,
    /// Requests.
    pub requests: usize,
    /// Series that were refused. They are in quarantine, and are left out for an hour.
    pub refused: usize,
    /// Series that the remote had later samples of. They are in quarantine; the next tick's values hold them.
    pub late: usize,
}

/// What a phase came to.
#[derive(Default)]
struct Answers {
    sent: Sent,
    refused: BTreeSet<Name>,
    late: BTreeSet<Name>,
}

impl<R: WriteSamples> Exporter<R> {
    /// To `remote`; all series get the labels `shared`, where they have none of that name.
    pub fn new(remote: R, shared: Labels) -> Exporter<R> {
        Exporter { remote, shared, held: Mutex::new(None) }
    }

    /// Adds what the sweep numbered `sweep` brings to the state, unless it is in it.
    ///
    /// # Errors
    ///
    /// Where the bucket fails. The sweep must not be forgotten then, and is to be counted again.
    pub async fn count<B>(
        &self,
        bucket: &B,
        tick: Minute,
        sweep: u64,
        minutes: &BTreeMap<Minute, Delta>,
    ) -> anyhow::Result<()>
    where
        B: GetObject + PutObject + ReplaceObject,
    {
        let mut held = self.held.lock().await;
        for _ in 0..ATTEMPTS {
            let mut stored = take(&mut held, bucket).await?;
            let Some(counted) = stored.state.apply(sweep, tick, minutes) else {
                *held = Some(stored);
                return Ok(());
            };
            stored.state.decide(tick);
            if save(bucket, &mut stored).await? {
                *held = Some(stored);
                tell(counted);
                return Ok(());
            }
        }
        bail!("{} is changed by other flushers all the time", keys::PROMETHEUS_STATE)
    }

    /// Sends what the state says in the tick `tick`. Where nothing has been counted yet there is nothing to be sent.
    ///
    /// # Errors
    ///
    /// Where the remote or the bucket fails: the next tick sends it all.
    pub async fn send<B>(&self, bucket: &B, tick: Minute) -> anyhow::Result<Sent>
    where
        B: GetObject + PutObject + ReplaceObject,
    {
        let mut held = self.held.lock().await;
        let mut stored = self.decided(&mut held, bucket, tick).await?;
        if stored.state.is_empty() {
            *held = Some(stored);
            return Ok(Sent::default());
        }
        let sent = tokio::time::timeout(SENDING, self.send_all(bucket, &mut stored, tick)).await;
        let sent = sent.context("Prometheus takes too long")??;
        *held = Some(stored);
        let Sent { samples, requests, refused, late } = sent;
        tracing::info!(samples, requests, refused, late, "samples written to Prometheus");
        Ok(sent)
    }

    /// The state with a decision about `tick`, stored.
    async fn decided<B>(&self, held: &mut Option<StoredState>, bucket: &B, tick: Minute) -> anyhow::Result<StoredState>
    where
        B: GetObject + PutObject + ReplaceObject,
    {
        for _ in 0..ATTEMPTS {
            let mut stored = take(held, bucket).await?;
            if stored.state.is_decided(tick) || stored.state.is_empty() {
                return Ok(stored);
            }
            stored.state.decide(tick);
            if save(bucket, &mut stored).await? {
                return Ok(stored);
            }
        }
        bail!("{} is changed by other flushers all the time", keys::PROMETHEUS_STATE)
    }

    /// First the zeros of what is new, which is noted; then the values.
    async fn send_all<B>(&self, bucket: &B, stored: &mut StoredState, tick: Minute) -> anyhow::Result<Sent>
    where
        B: PutObject + ReplaceObject,
    {
        let zeros = stored.state.zeros(&self.shared);
        let mut sent = Sent::default();
        if !zeros.is_empty() {
            let answers = self.write(bucket, zeros).await.context("zeros of new series")?;
            stored.state.announced(&answers.refused, &answers.late, tick);
            if !save(bucket, stored).await? {
                bail!("{} was changed by another flusher, which goes on", keys::PROMETHEUS_STATE);
            }
            sent = answers.sent;
        }
        let answers = self.write(bucket, stored.state.values(&self.shared)).await?;
        stored.state.delivered(&answers.refused, &answers.late, tick);
        Ok(sent.plus(answers.sent))
    }

    async fn write(&self, bucket: &impl PutObject, requests: Vec<Request<'_>>) -> anyhow::Result<Answers> {
        let mut answers = Answers::default();
        let (mut halvings, halve_until) = (HALVINGS, Instant::now() + HALVING);
        for request in requests {
            let mut left = vec![request];
            while let Some(request) = left.pop() {
                answers.sent.requests += 1;
                let error = match self.remote.write(&request.encode()).await {
                    Ok(()) => {
                        answers.sent.samples += request.samples();
                        continue;
                    }
                    Err(error) if error.retry == Retry::Permanent => error,
                    Err(error) => return Err(error.into()),
                };
                let is_late = is_about_time(&error.source.to_string());
                // A remote refuses all of a request for one series that it does not take.
                if let Some([first, second]) =
                    request.halves().filter(|_| halvings > 0 && !is_late && Instant::now() < halve_until)
                {
                    halvings -= 1;
                    left.extend([second, first]);
                    continue;
                }
                quarantine(bucket, &request, &error).await?;
                measures::quarantined(request.series());
                if is_late {
                    answers.sent.late += request.series();
                    answers.late.extend(request.names());
                } else {
                    answers.sent.refused += request.series();
                    answers.refused.extend(request.names());
                }
            }
        }
        Ok(answers)
    }
}

impl Sent {
    fn plus(self, other: Sent) -> Sent {
        Sent {
            samples: self.samples + other.samples,
            requests: self.requests + other.requests,
            refused: self.refused + other.refused,
            late: self.late + other.late,
        }
    }
}

/// The state that is held, or the stored one.
async fn take<B>(held: &mut Option<StoredState>, bucket: &B) -> anyhow::Result<StoredState>
where
    B: GetObject + PutObject,
{
    if let Some(stored) = held.take() {
        return Ok(stored);
    }
    let Some(Stored { body, version }) = bucket.get(keys::PROMETHEUS_STATE).await? else {
        return Ok(StoredState { state: State::default(), version: None });
    };
    let version = Some(version);
    match State::parse(&body) {
        Ok(state) => Ok(StoredState { state, version }),
        Err(error) => {
            // Unlike the journal it may begin anew: for Prometheus that is a counter reset. To wait until somebody mends
            // it would hold up the sweeps, and with them the alerts.
            let id = keys::fingerprint([body.as_slice()]);
            let key = keys::quarantine("prometheus-state", None, &id);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                key,
                "Prometheus' counters can not be read and begin anew"
            );
            let object = Object { key, content_type: "application/json", body };
            bucket.put(&object).await.context("counters that can not be read could not be kept")?;
            measures::quarantined(1);
            Ok(StoredState { state: State::default(), version })
        }
    }
}

/// Answers whether it was stored: else another flusher has changed it.
async fn save(bucket: &impl ReplaceObject, stored: &mut StoredState) -> anyhow::Result<bool> {
    match bucket.replace(&stored.state.to_object(), stored.version.as_ref()).await? {
        Replaced::Done(version) => {
            stored.version = Some(version);
            Ok(true)
        }
        Replaced::Conflict => Ok(false),
    }
}

fn tell(counted: Counted) {
    let Counted { series, folded, left_out } = counted;
    if folded > 0 || left_out > 0 {
        tracing::warn!(series, folded, left_out, "not all series could be counted for Prometheus");
    }
}

async fn quarantine(bucket: &impl PutObject, request: &Request<'_>, error: &PortError) -> anyhow::Result<()> {
    let object = request.refused(&error.source.to_string());
    bucket.put(&object).await.context("refused samples could not be kept")?;
    tracing::error!(error = error as &dyn std::error::Error, key = object.key, "samples quarantined");
    Ok(())
}
