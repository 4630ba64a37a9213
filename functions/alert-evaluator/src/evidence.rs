//! Evidence for what is about to be told: lines of the archive, ids of traces, a chart. It is looked for while sending,
//! within bounds, and decides nothing: what can't be found is said in the message.
//!
//! Of the archive only objects of the service and the hours of the alert are read, the newest first. Its lines are
//! redacted already, and nothing else is ever read.

use std::time::{Duration, Instant};

use domain::Minute;
use domain::alerting::notification::Notification;
use domain::alerting::rules::RuleSet;
use domain::alerting::samples::{ForeignValues, Samples};
use domain::keys;
use domain::logs::archive;
use domain::metrics::recent::RecentRollups;
use domain::notifying::chart::Chart;
use domain::notifying::evidence::{Evidence, Finder, Search, folders, newest, searches};
use domain::ports::{GetObject, ListDated, Listed, Object, PortError, PresignObject, PutObject, Retry};
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde_json::Value;

/// How many objects of one folder are listed. They come in the order of their names, which tells nothing of their age: of
/// what is not listed, nothing is known.
const MAX_LISTED: usize = 10_000;

/// How many objects are read for one notification.
const MAX_OBJECTS: usize = 32;

/// How many bytes of them, as they are stored.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How many bytes of lines are read of one object; what follows is not looked at.
const MAX_UNPACKED: usize = 16 * 1024 * 1024;

/// How many bytes of lines are read of all objects.
const MAX_UNPACKED_IN_ALL: usize = 32 * 1024 * 1024;

/// What is said where there is more than was looked at.
const NOT_ALL: &str = "not all log lines were looked at";

/// How many objects are read at once.
const AT_ONCE: usize = 8;

/// How long a chart's link lives at most. It ends earlier, with the credentials of the function.
const LINK: Duration = Duration::from_secs(12 * 60 * 60);

/// What the alerts were decided by.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The environment whose archive is read.
    pub environment: &'a str,
    /// The rules in force.
    pub rules: &'a RuleSet,
    /// The last hours of our metrics.
    pub recent: &'a RecentRollups,
    /// What CloudWatch answered.
    pub foreign: &'a ForeignValues,
    /// The first minute that the evaluator has ever seen.
    pub history_from: Minute,
    /// The time that the tick stands for.
    pub now: Timestamp,
}

/// Looks for the evidence of `notification`, and puts its charts into the bucket. No call is waited for beyond `until`.
pub async fn gather<B>(bucket: &B, known: Known<'_>, notification: &Notification, until: Instant) -> Evidence
where
    B: GetObject + ListDated + PutObject + PresignObject,
{
    let mut evidence = Evidence::default();
    let searches = searches(notification, known.rules, known.recent, known.now);
    if searches.is_empty() {
        return evidence;
    }
    if Instant::now() >= until {
        let note = |search: &Search<'_>| {
            evidence
                .about(&search.episode.fingerprint)
                .problems
                .push("there was no time to look for log lines".to_owned());
        };
        searches.iter().for_each(note);
        return evidence;
    }
    // All charts are drawn before the first call: what they are drawn of stays in this thread.
    let charts = charts(&searches, known, notification);
    let (found, ()) = futures::join!(look_for_lines(bucket, known, &searches, until), async {
        for (fingerprint, chart) in charts {
            let link = within(until, put_chart(bucket, &chart)).await;
            let about = evidence.about(&fingerprint);
            match link {
                Ok(url) => about.chart_url = Some(url),
                Err(error) => about.problems.push(told("the chart could not be put", &error)),
            }
        }
    });
    let Found { finders, problem } = found;
    finders.into_iter().for_each(|finder| finder.put_into(&mut evidence));
    if let Some(problem) = problem {
        tracing::info!(problem, "evidence is incomplete");
        for search in searches.iter().filter(|search| !search.services.is_empty()) {
            evidence.about(&search.episode.fingerprint).problems.push(problem.clone());
        }
    }
    evidence
}

/// The charts that the rules ask for, with their alerts' fingerprints.
fn charts<'a>(searches: &[Search<'a>], known: Known<'a>, notification: &Notification) -> Vec<(String, Object)> {
    let samples = Samples::new(known.recent, known.foreign, known.history_from);
    // The last minute that is known: the tick's own is not over.
    let to = known.recent.flushed_until.map_or(Minute::of(known.now), |flushed| flushed.plus(-1));
    let decided = Minute::of(notification.at);
    let chart = |search: &Search<'a>| {
        let chart = Chart::of(search.rule, search.episode, &samples, search.wanted.chart?, to)?;
        let fingerprint = &search.episode.fingerprint;
        let object = chart.to_object(keys::alert_chart(decided, &notification.id, fingerprint));
        Some((fingerprint.clone(), object))
    };
    searches.iter().filter_map(chart).collect()
}

async fn put_chart<B: PutObject + PresignObject>(bucket: &B, chart: &Object) -> Result<String, PortError> {
    bucket.put(chart).await?;
    bucket.presign(&chart.key, LINK).await
}

/// What was found of the archive.
struct Found<'a> {
    finders: Vec<Finder<'a>>,
    /// What could not be looked at, if anything.
    problem: Option<String>,
}

async fn look_for_lines<'a, B>(bucket: &B, known: Known<'_>, searches: &'a [Search<'a>], until: Instant) -> Found<'a>
where
    B: GetObject + ListDated,
{
    let mut finders: Vec<Finder<'a>> = searches.iter().map(Finder::new).collect();
    let (listed, mut problem) = list(bucket, &folders(searches, known.environment), until).await;
    let (chosen, is_all) = newest(listed, MAX_OBJECTS, MAX_BYTES);
    if !is_all {
        problem.get_or_insert_with(|| format!("{NOT_ALL}, only the newest"));
    }
    let reads = stream::iter(chosen).map(|key| async move {
        let read = within(until, bucket.get(&key)).await;
        (key, read)
    });
    let mut reads = reads.buffered(AT_ONCE);
    let mut room = MAX_UNPACKED_IN_ALL;
    while let Some((key, read)) = reads.next().await {
        match read {
            // What a lifecycle rule has deleted since it was listed.
            Ok(None) => {}
            // Unpacking and reading lines takes time as well, and nothing interrupts it.
            Ok(Some(_)) if room == 0 || Instant::now() >= until => {
                problem.get_or_insert_with(|| NOT_ALL.to_owned());
                break;
            }
            Ok(Some(stored)) => match look_at(&mut finders, &key, &stored.body, room.min(MAX_UNPACKED), until) {
                Ok(Looked { bytes, to_its_end }) => {
                    room -= bytes;
                    if !to_its_end {
                        problem.get_or_insert_with(|| NOT_ALL.to_owned());
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, key, "an archive object is damaged");
                    problem = Some(format!("log lines could not be read: {key} is damaged"));
                }
            },
            Err(error) => problem = Some(told("log lines could not be read", &error)),
        }
    }
    Found { finders, problem }
}

/// Objects of the folders, whichever of them there are, and what could not be listed.
async fn list(bucket: &impl ListDated, folders: &[String], until: Instant) -> (Vec<Listed>, Option<String>) {
    let list = |folder: String| async move { within(until, bucket.list_dated(&folder, MAX_LISTED)).await };
    let listings = stream::iter(folders.to_vec()).map(list);
    let mut listings = listings.buffered(AT_ONCE);
    let (mut listed, mut problem) = (Vec::new(), None);
    while let Some(listing) = listings.next().await {
        match listing {
            Ok(found) => {
                if found.len() >= MAX_LISTED {
                    problem.get_or_insert_with(|| NOT_ALL.to_owned());
                }
                listed.extend(found);
            }
            Err(error) => problem = Some(told("log lines could not be read", &error)),
        }
    }
    (listed, problem)
}

/// How much of an object was looked at.
struct Looked {
    /// Bytes of its lines.
    bytes: usize,
    /// Whether these are all.
    to_its_end: bool,
}

/// Shows the lines of an archive object to those that ask for them: at most `max` bytes of them, and until `until`.
fn look_at(finders: &mut [Finder<'_>], key: &str, body: &[u8], max: usize, until: Instant) -> std::io::Result<Looked> {
    let text = archive::text_within(body, max)?;
    let bytes = text.len().min(max);
    for line in text.lines() {
        if Instant::now() >= until {
            return Ok(Looked { bytes, to_its_end: false });
        }
        // Where it was cut, the last line is none.
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        finders.iter_mut().filter(|finder| finder.asks_for(key)).for_each(|finder| finder.look_at(&line));
    }
    Ok(Looked { bytes, to_its_end: bytes < max })
}

/// What `call` answers, if that is before `until`.
async fn within<T>(until: Instant, call: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
    match tokio::time::timeout_at(until.into(), call).await {
        Ok(answer) => answer,
        Err(late) => Err(PortError::transient("look for evidence in the time that there is", late)),
    }
}

/// What the message says of a failure: what was tried, and whether it may pass. What AWS said names accounts and roles,
/// and goes into the log.
fn told(what: &str, error: &PortError) -> String {
    tracing::warn!(error = error as &dyn std::error::Error, what, "evidence is incomplete");
    let kind = match error.retry {
        Retry::Transient => "there was no answer",
        Retry::Denied => "access denied",
        Retry::Permanent => "refused",
    };
    format!("{what}: {} ({kind})", error.action)
}
