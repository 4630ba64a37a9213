//! One event of S3: the spans of each object to each target. Both are tried whatever the other does; what a target
//! will never take is kept in quarantine, and what it does not take now is an error, so that Lambda tries the object
//! again. X-Ray knows a span that comes again by its id; a collector gets it twice then (at least once, that is).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws::measures;
use aws::storage_event::StorageEvent;
use domain::keys::SpansPlace;
use domain::logs::archive;
use domain::ports::{ExportSpans, GetObject, PutObject, PutSegments};
use domain::traces::refused::{self, Refusal, Refused};
use domain::traces::{Span, Target};
use serde::Serialize;

use crate::sending::{self, Sent};

/// A forwarder on its ports.
#[derive(Debug)]
pub struct Forwarder<X, O> {
    /// X-Ray; `None` where spans do not go there.
    pub xray: Option<X>,
    /// The collector; `None` where there is none.
    pub otlp: Option<O>,
    /// How long to wait before what X-Ray did not process is put again.
    pub pause: Duration,
}

/// What became of the spans of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Lines with spans.
    pub spans: usize,
    /// Spans that X-Ray has taken.
    pub xray: usize,
    /// Spans that the collector has taken.
    pub otlp: usize,
    /// Lines in quarantine; one that neither target takes counts twice.
    pub quarantined: usize,
    /// Objects that are there no more.
    pub missing: usize,
}

/// What is not sent, and why not.
type Kept = BTreeMap<Refusal, Vec<Refused>>;

impl<X: PutSegments, O: ExportSpans> Forwarder<X, O> {
    /// What is usual for [`Forwarder::pause`].
    pub const PAUSE: Duration = Duration::from_millis(200);

    /// Forwards the spans of every object of `event`, all of which lie in `bucket`.
    ///
    /// # Errors
    ///
    /// Where a target does not take spans now, or the bucket fails, after all objects and targets were tried.
    pub async fn handle(&self, event: &StorageEvent, bucket: &(impl GetObject + PutObject)) -> anyhow::Result<Summary> {
        let mut summary = Summary::default();
        let mut failures = Vec::new();
        for record in &event.records {
            let forwarded = match record.s3.object.decoded() {
                Ok(key) => {
                    let forwarded = self.forward(&key, bucket, &mut summary).await;
                    forwarded.with_context(|| format!("spans of {key}"))
                }
                Err(error) => Err(error),
            };
            failures.extend(forwarded.err().map(|error| format!("{error:#}")));
        }
        let Summary { spans, xray, otlp, quarantined, missing } = summary;
        tracing::info!(spans, xray, otlp, quarantined, missing, "spans forwarded");
        if failures.is_empty() { Ok(summary) } else { bail!(failures.join("; ")) }
    }

    async fn forward(
        &self,
        key: &str,
        bucket: &(impl GetObject + PutObject),
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let place = SpansPlace::parse(key).context("not a key of spans: is the notification for spans/ only?")?;
        let (to_xray, to_otlp) = self.targets(place.to)?;
        let Some(stored) = bucket.get(key).await? else {
            // Deleted or expired since. Nothing can be sent, however often it is tried.
            tracing::error!(key, "spans that are there no more are not forwarded");
            summary.missing += 1;
            return Ok(());
        };
        let mut kept = Kept::new();
        let (lines, spans) = read(stored.body, &mut kept);
        measures::took_in(lines.len(), lines.iter().map(String::len).sum());
        let ends = spans.iter().map(|span| span.end.unwrap_or(span.start));
        ends.max().into_iter().for_each(|end| measures::newest(end.as_millisecond()));
        summary.spans += lines.len();
        let (xray, otlp) = futures::join!(
            async {
                match to_xray {
                    Some(xray) => sending::to_xray(xray, &spans, self.pause).await,
                    None => Sent::default(),
                }
            },
            async {
                match to_otlp {
                    Some(otlp) => sending::to_collector(otlp, &spans).await,
                    None => Sent::default(),
                }
            },
        );
        summary.xray += xray.taken;
        summary.otlp += otlp.taken;
        let mut failures = Vec::new();
        for (target, sent) in [(Target::XRay, xray), (Target::Otlp, otlp)] {
            for (span, error) in sent.refused {
                let original = lines[span].clone().into_bytes();
                kept.entry(Refusal::of(target)).or_default().push(Refused { error, original });
            }
            failures.extend(sent.failure.map(|failure| failure.context(format!("not sent to {}", target.as_str()))));
        }
        // First this: whatever fails below is tried again, and refused again.
        for (refusal, refused) in kept {
            let count = refused.len();
            let object = refused::object(&place, refusal, refused);
            bucket.put(&object).await.context("spans that are not taken could not be kept")?;
            tracing::error!(key = object.key, count, "spans quarantined");
            measures::quarantined(count);
            summary.quarantined += count;
        }
        let told: Vec<String> = failures.iter().map(|failure| format!("{failure:#}")).collect();
        if told.is_empty() { Ok(()) } else { bail!(told.join("; ")) }
    }

    /// Where the spans of an object go.
    fn targets(&self, to: Option<&str>) -> anyhow::Result<(Option<&X>, Option<&O>)> {
        let (xray, otlp) = (self.xray.as_ref(), self.otlp.as_ref());
        let Some(name) = to else { return Ok((xray, otlp)) };
        let only = match Target::parse(name).with_context(|| format!("there is no target `{name}`"))? {
            Target::XRay => (xray, None),
            Target::Otlp => (None, otlp),
        };
        if only.0.is_none() && only.1.is_none() {
            bail!("they are for {name} only, which is switched off");
        }
        Ok(only)
    }
}

/// The lines of an object that are spans, and these; what is none is kept.
fn read(body: Vec<u8>, kept: &mut Kept) -> (Vec<String>, Vec<Span>) {
    let mut unreadable = |error: String, original: Vec<u8>| {
        kept.entry(Refusal::Unreadable).or_default().push(Refused { error, original });
    };
    let all = match archive::lines(&body) {
        Ok(lines) => lines,
        Err(error) => {
            unreadable(format!("an object with spans that can not be unpacked: {error}"), body);
            Vec::new()
        }
    };
    let (mut lines, mut spans) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
    for line in all {
        match Span::parse(&line) {
            Ok(span) => {
                lines.push(line);
                spans.push(span);
            }
            Err(error) => unreadable(error.to_string(), line.into_bytes()),
        }
    }
    (lines, spans)
}
