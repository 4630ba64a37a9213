//! A day of traffic played through a deployment, in time-lapse: nobody waits for a minute to pass,
//! because the functions take the time from the event.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aws::cloudwatch_puts::CloudWatchPuts;
use aws::event_bus::EventBus;
use aws::log_streams::LogStreams;
use aws::s3_bucket::S3Bucket;
use aws_sdk_lambda::primitives::Blob;
use domain::keys;
use domain::logs::put_events::NewEvent;
use domain::logs::quarantine::MAX_LINE_BYTES;
use domain::metrics::put::{Datum, Values};
use domain::metrics::registry::{Unit, find_foreign};
use domain::metrics::series::Dimensions;
use domain::minute::Minute;
use domain::ports::{BusEvent, ListObjects as _, PutEvents as _, PutMetrics as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::embedded_aws::{ACCOUNT, REGION};
use crate::example::{self, Told};
use crate::traffic::Day;
use crate::traffic::batches::Batch;
use crate::traffic::service::{DATABASE_INSTANCE, Service};

/// Calls under way at the same time. The embedded AWS is one process.
const CONCURRENCY: usize = 4;

/// How long a delivery may take from `PutLogEvents` to the pending metrics that it ends in.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Metrics of the database that a call puts.
const DATABASE_POINTS: usize = 500;

/// Plays traffic through a deployment.
pub struct Player<'a> {
    deployment: &'a Deployment,
    logs: LogStreams,
    bus: EventBus,
    lambda: aws_sdk_lambda::Client,
    bucket: S3Bucket,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Log lines.
    pub lines: usize,
    /// Business events.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Calls of `PutLogEvents`.
    pub calls: usize,
}

impl Sent {
    /// What the pipeline has to account for: each line, and each event.
    pub fn total(&self) -> usize {
        self.lines + self.events
    }
}

impl std::ops::Add for Sent {
    type Output = Sent;

    fn add(self, more: Sent) -> Sent {
        Sent {
            lines: self.lines + more.lines,
            events: self.events + more.events,
            bytes: self.bytes + more.bytes,
            calls: self.calls + more.calls,
        }
    }
}

impl<'a> Player<'a> {
    /// A player for `deployment`.
    ///
    /// # Errors
    ///
    /// Where the deployment does not name its bucket or its bus.
    pub fn new(deployment: &'a Deployment) -> anyhow::Result<Player<'a>> {
        Ok(Player {
            logs: LogStreams::new(&deployment.sdk),
            bus: EventBus::new(&deployment.sdk, deployment.output("EventBusName")?),
            lambda: aws_sdk_lambda::Client::new(&deployment.sdk),
            bucket: S3Bucket::new(&deployment.sdk, deployment.bucket()?),
            deployment,
        })
    }

    /// Makes everything ready for the day: streams, what RDS reports, and the first ticks, which mark where
    /// the flusher's and the evaluator's history begins.
    ///
    /// # Errors
    ///
    /// Where any of it fails.
    pub async fn begin(&self, day: &Day) -> anyhow::Result<()> {
        self.create_streams(day).await?;
        self.report_database(day).await?;
        self.ticks(day.start()).await
    }

    /// Makes the streams that the day's services write to.
    ///
    /// # Errors
    ///
    /// Where CloudWatch Logs refuses.
    async fn create_streams(&self, day: &Day) -> anyhow::Result<()> {
        for (group, stream) in day.log_streams() {
            self.logs.create_stream(&group, &stream).await?;
        }
        Ok(())
    }

    /// Tells CloudWatch what RDS would tell it of the day: connections to the database.
    ///
    /// # Errors
    ///
    /// Where CloudWatch refuses.
    async fn report_database(&self, day: &Day) -> anyhow::Result<()> {
        let foreign = find_foreign("database_connections").context("the registry has lost database_connections")?;
        let dimensions = Dimensions::from([(foreign.dimension.to_owned(), DATABASE_INSTANCE.to_owned())]);
        let data: Vec<Datum> = day
            .minutes()
            .map(|minute| Datum {
                name: foreign.metric.to_owned(),
                dimensions: dimensions.clone(),
                minute,
                unit: Unit::Count,
                values: Values::Counts(vec![(day.database_connections(minute), 1)]),
            })
            .collect();
        let metrics = CloudWatchPuts::new(&self.deployment.sdk);
        for call in data.chunks(DATABASE_POINTS) {
            metrics.put_metrics(foreign.namespace, call).await?;
        }
        Ok(())
    }

    /// Sends the lines and publishes the events of one step, and waits until all of them have been taken in.
    ///
    /// # Errors
    ///
    /// Where a call fails, or a delivery does not arrive.
    pub async fn send(&self, batches: &[Batch], published: &[BusEvent]) -> anyhow::Result<Sent> {
        stream::iter(batches)
            .map(|batch| self.logs.put(&batch.log_group, &batch.log_stream, &batch.events))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        self.bus.put_events(published).await?;
        // A subscription delivers each call by itself, so each ends in one object of pending metrics; and so does
        // each event.
        self.wait_for_pending(batches.len() + published.len()).await?;
        let events = batches.iter().flat_map(|batch| &batch.events);
        Ok(Sent {
            lines: events.clone().count(),
            events: published.len(),
            bytes: events.map(|event| event.message.len()).sum(),
            calls: batches.len(),
        })
    }

    async fn wait_for_pending(&self, expected: usize) -> anyhow::Result<()> {
        let wait = async {
            loop {
                let arrived = self.bucket.list(keys::PENDING_METRICS, expected + 1).await?.len();
                match arrived {
                    _ if arrived > expected => bail!("{arrived} deliveries arrived where {expected} were sent"),
                    _ if arrived == expected => return Ok(()),
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(DELIVERY_TIMEOUT, wait)
            .await
            .with_context(|| format!("{expected} deliveries did not all arrive in {} s", DELIVERY_TIMEOUT.as_secs()))?
    }

    /// Sends what the example service `told`, as if it were written at `minute`.
    ///
    /// # Errors
    ///
    /// Where a call fails, or a delivery does not arrive.
    pub async fn send_told(&self, told: &Told, minute: Minute) -> anyhow::Result<Sent> {
        let log_group = Service::Contract.log_group();
        self.logs.create_stream(&log_group, example::STREAM).await?;
        self.send(&told.batches(&log_group, minute), &[]).await
    }

    /// Sends a schedule tick to `function`, as if it were `at`, and answers what it said.
    ///
    /// # Errors
    ///
    /// Where the function fails; says what it said.
    pub async fn tick(&self, function: &str, at: Timestamp) -> anyhow::Result<Value> {
        let event = json!({
            "version": "0",
            "id": format!("tick-{}", at.as_second()),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": REGION,
            "resources": [],
            "detail": {},
        });
        self.invoke(function, &event).await
    }

    /// Invokes `function` with `event`, and answers what it said.
    ///
    /// # Errors
    ///
    /// Where the function fails; says what it said.
    pub async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let name = self.deployment.function(function);
        let payload = Blob::new(serde_json::to_vec(event)?);
        let output = self.lambda.invoke().function_name(&name).payload(payload).send().await;
        let output = output.with_context(|| format!("invoke {name}"))?;
        let answer = output.payload.map(Blob::into_inner).unwrap_or_default();
        if let Some(kind) = output.function_error {
            bail!("{name} failed ({kind}): {}", String::from_utf8_lossy(&answer));
        }
        serde_json::from_slice(&answer).with_context(|| format!("the answer of {name}"))
    }

    /// Sends what nobody can read: a line that is far too long, and a delivery that was cut off. The first
    /// is a line like any other to count; of the second nobody knows what was in it.
    ///
    /// # Errors
    ///
    /// Where a call fails, or the log processor does not take in what it should keep.
    pub async fn send_unreadable(&self, day: &Day) -> anyhow::Result<Sent> {
        let (log_group, log_stream) = day.log_streams().into_iter().next().context("the day has no streams")?;
        let message = "dump ".repeat(MAX_LINE_BYTES / 4);
        let event = NewEvent { timestamp_millis: day.end().start().as_millisecond() - 1, message };
        let sent = self.send(&[Batch { log_group, log_stream, events: vec![event] }], &[]).await?;
        let cut_off = json!({ "awslogs": { "data": "H4sIAAAAAAAC/6tWKkktLlGyUlAqS8wpTtVRSi1LLQIA" } });
        self.invoke("log-processor", &cut_off).await?;
        self.tick("metric-flusher", day.end().start()).await?;
        Ok(sent)
    }

    /// One step: the lines and events, then a tick of the flusher and one of the evaluator at `until`.
    ///
    /// # Errors
    ///
    /// Where any of it fails.
    pub async fn step(&self, batches: &[Batch], published: &[BusEvent], until: Minute) -> anyhow::Result<Sent> {
        let sent = self.send(batches, published).await?;
        self.ticks(until).await?;
        Ok(sent)
    }

    /// The ticks of a minute: the flusher's, then the evaluator's, which goes by what was flushed.
    ///
    /// # Errors
    ///
    /// Where one of the functions fails.
    pub async fn ticks(&self, minute: Minute) -> anyhow::Result<()> {
        self.tick("metric-flusher", minute.start()).await?;
        self.tick("alert-evaluator", minute.start()).await?;
        Ok(())
    }
}
