//! One tick: load, decide, commit, tell. And what comes in between ticks: keep, then tick.
//!
//! What is to be told is committed with the state before anything is sent, so of two evaluators only one
//! sends; and it stays in the state until it is sent, so a failure only delays it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use aws::measures;
use domain::Minute;
use domain::alerting::DEFAULT_RULES;
use domain::alerting::alarms::Ours;
use domain::alerting::chosen::{Chooser, Chosen};
use domain::alerting::engine::{
    self, FileProblem, ForeignRead, NotDue, Outcome, POLICY_INVALID, RULES_INVALID, SILENCES_INVALID, Tick,
};
use domain::alerting::episode::Episode;
use domain::alerting::history::{Notified, Record};
use domain::alerting::inbox::{self, Incoming};
use domain::alerting::outbox::Claimed;
use domain::alerting::policy::{self, Policy, Silences};
use domain::alerting::rules::problem::InvalidRules;
use domain::alerting::rules::{RuleSet, Variables};
use domain::alerting::samples::ForeignValues;
use domain::alerting::state::AlertState;
use domain::keys;
use domain::metrics::recent::RecentRollups;
use domain::notifying::message::Sender;
use domain::ports::{
    AppendLog, DeleteObjects, GetObject, ListDated, ListObjects, MAX_DELETED, MetricQuery, PortError, PresignObject,
    Publish, PutObject, ReadMetrics, ReplaceObject, Replaced, Retry, Stored, Unanswered, Version,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use crate::Config;
use crate::evidence::Known;
use crate::sending::{Receivers, SENDING, Sent};

/// How often a tick that an event has brought about is tried again when other evaluators write in between. The event is
/// kept, so that the next tick takes it in.
const TRIES_OF_EVENTS: usize = 3;

/// Of [`SENDING`], how long CloudWatch is waited for. What it has not answered by then is unknown for this tick: alerts on
/// our own metrics, and what waits to be told, do not wait for it.
const READING: Duration = Duration::from_secs(8);

/// How long after the end of sending it is tried to note what was sent, when other evaluators write in between or S3 fails.
const SETTLING: Duration = Duration::from_secs(15);

/// Mistakes in a file of the operators that are told and noted.
const MAX_MISTAKES: usize = 20;

/// Bytes of the text with them.
const MAX_MISTAKES_BYTES: usize = 16 * 1024;

/// Objects of the inbox that are read at the same time.
const CONCURRENCY: usize = 16;

/// What an evaluator works on.
pub struct Ports<B, M, P, L> {
    /// Rules, rollups, state, inbox and history.
    pub bucket: B,
    /// Metrics of AWS.
    pub metrics: M,
    /// The topic of notifications.
    pub topic: P,
    /// The history as a log of CloudWatch.
    pub log: L,
}

/// An evaluator on its ports.
pub struct Evaluator<B, M, P, L> {
    ports: Ports<B, M, P, L>,
    sender: Sender,
    rules: Mutex<Chooser>,
    ours: Ours,
}

/// What a tick did, for the log and for whoever invokes the function by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Minutes evaluated.
    pub evaluated: i64,
    /// Minutes that never will be: the evaluator was away for longer than the recent rollups reach.
    pub skipped: i64,
    /// Events from outside that were taken in.
    pub taken_in: usize,
    /// Alerts that fired or resolved.
    pub transitions: usize,
    /// Notifications sent, those that earlier ticks had left among them.
    pub sent: usize,
    /// Whether minutes are over, but none could be evaluated: the flusher has not yet taken in what came.
    pub waiting_for_metrics: bool,
    /// Whether the time for sending was up before all was sent; the next tick goes on.
    pub cut_short: bool,
    /// Whether the event that came is kept, but was left to the next tick: nobody is told of it at once, too many came
    /// at once, or something failed.
    pub kept: bool,
    /// Whether the event that came could not be read, and is in quarantine.
    pub quarantined: bool,
}

/// What is stored, as a tick finds it.
struct Loaded {
    state: Option<AlertState>,
    version: Option<Version>,
    rules: Option<Stored>,
    policy: Option<Stored>,
    silences: Option<Stored>,
    recent: RecentRollups,
    inbox: Waiting,
}

/// What waits in the inbox.
#[derive(Default)]
struct Waiting {
    /// What has not been taken in.
    new: Vec<Incoming>,
    /// Keys that can be deleted once what is new is committed.
    keys: Vec<String>,
    /// Ids of what was taken in before.
    known: Vec<String>,
}

/// What an attempt at a tick has committed, and has still to do.
struct Committed {
    state: AlertState,
    version: Version,
    claimed: Claimed,
    now: Timestamp,
    summary: Summary,
    /// Why what was taken in could not be deleted.
    uncleared: Option<anyhow::Error>,
    /// What evidence is looked for in.
    chosen: Arc<Chosen<RuleSet>>,
    recent: RecentRollups,
    foreign: ForeignValues,
}

/// What an attempt at a tick came to.
enum Attempt {
    /// There was nothing to do.
    Nothing(Summary),
    /// The event waits for the scheduled tick: nobody would be told more now, or events have brought about enough ticks.
    Kept,
    /// Another evaluator has written meanwhile.
    Conflict,
    /// It is decided.
    Committed(Box<Committed>),
}

impl<B, M, P, L> Evaluator<B, M, P, L>
where
    B: GetObject + PutObject + ReplaceObject + ListObjects + ListDated + DeleteObjects + PresignObject,
    M: ReadMetrics,
    P: Publish,
    L: AppendLog,
{
    /// On its ports.
    ///
    /// # Errors
    ///
    /// Where the built-in rules can't be used with this configuration.
    pub fn new(ports: Ports<B, M, P, L>, config: &Config) -> anyhow::Result<Evaluator<B, M, P, L>> {
        let variables = Variables::from([("DATABASE_INSTANCE".to_owned(), config.database_instance.clone())]);
        let built_in = RuleSet::load("the built-in rules", DEFAULT_RULES, &variables)?;
        let Config { environment, region, amazon_q, ours, .. } = config.clone();
        let rules = Mutex::new(Chooser::new(keys::RULES, built_in, variables));
        Ok(Evaluator { ports, sender: Sender { environment, region, amazon_q }, rules, ours })
    }

    /// Keeps an event from outside, an alarm's or about security, and does a tick with it, unless no alarm begins or ends
    /// anything by it and no rule asks for it, or events have brought about [`inbox::MAX_TICKS`] within the minute: the
    /// scheduled tick takes in what is kept. `wall` is the wall clock's time: an event that claims to be of a later one is
    /// of now.
    ///
    /// # Errors
    ///
    /// Where it could not be kept, or its tick failed for a reason that does not pass by itself (a state that can't be
    /// read, a right that is missing), so that an alarm tells of it. Of what may pass it is none: the next tick does what
    /// this one could not, and a retry would only be in its way. Nor is an event that can't be read: it is in quarantine.
    pub async fn receive(&self, event: &str, wall: Timestamp, send_until: Instant) -> anyhow::Result<Summary> {
        let incoming = match Incoming::receive(event, &self.ours) {
            Ok(incoming) => incoming,
            Err(error) => {
                let object = inbox::quarantined(event.as_bytes(), &error);
                self.ports.bucket.put(&object).await.context("an event that can not be read could not be kept")?;
                // Not the error's text: it may quote the event. The quarantined object keeps it.
                tracing::error!(key = object.key, "an event for alerts is in quarantine");
                measures::quarantined(1);
                return Ok(Summary { quarantined: true, ..Summary::default() });
            }
        };
        self.ports.bucket.put(&incoming.to_object()).await.context("an event is not kept")?;
        let kept = Summary { kept: true, ..Summary::default() };
        if incoming.is_quiet() {
            tracing::info!("an alarm that is not told here is kept; the next tick takes it in");
            return Ok(kept);
        }
        let (now, read_until) = (incoming.at().min(wall), read_until(send_until));
        for _ in 0..TRIES_OF_EVENTS {
            let ticked = match self.attempt(now, Some(wall), read_until).await {
                Ok(Attempt::Nothing(summary)) => Ok(summary),
                Ok(Attempt::Committed(committed)) => self.tell(*committed, send_until).await,
                Ok(Attempt::Kept) => break,
                Ok(Attempt::Conflict) => {
                    pause().await;
                    continue;
                }
                Err(error) => Err(error),
            };
            return match ticked {
                Err(error) if may_pass(&error) => {
                    tracing::error!(error = format!("{error:#}"), "the event is kept; the next tick does what is left");
                    Ok(kept)
                }
                ticked => ticked.context("the event is kept, but its tick failed"),
            };
        }
        tracing::info!("the event is kept; the next tick takes it in");
        Ok(kept)
    }

    /// Does one tick that stands for `now`, and begins to send nothing once it is `send_until`. One that stands for an
    /// earlier time than the last did is late, and decides what it decides as of then.
    ///
    /// # Errors
    ///
    /// Where something could not be read, other evaluators were faster until `send_until`, not everything could be told,
    /// or nothing at all in time, or what was taken in could not be deleted. The next tick does what is left.
    pub async fn tick(&self, now: Timestamp, send_until: Instant) -> anyhow::Result<Summary> {
        loop {
            match self.attempt(now, None, read_until(send_until)).await? {
                Attempt::Nothing(summary) => return Ok(summary),
                Attempt::Committed(committed) => return self.tell(*committed, send_until).await,
                // That nobody else is in the way for so long is sure: events bring about few ticks.
                Attempt::Conflict | Attempt::Kept if Instant::now() < send_until => pause().await,
                Attempt::Conflict | Attempt::Kept => {
                    bail!("other evaluators were faster each time, so that nothing was evaluated")
                }
            }
        }
    }

    /// `wall` is the wall clock's time of the event that has brought it about, if one has. CloudWatch is waited for until
    /// `read_until`.
    async fn attempt(
        &self,
        now: Timestamp,
        wall: Option<Timestamp>,
        read_until: tokio::time::Instant,
    ) -> anyhow::Result<Attempt> {
        if let Some(wall) = wall
            && let (Some(state), _) = self.load_state().await?
            && !state.inbox.is_open(wall)
        {
            return Ok(Attempt::Kept);
        }
        let Loaded { state: stored, version, rules, policy, silences, recent, inbox } = self.load().await?;
        let last = stored.as_ref().and_then(|state| state.ticked_at);
        let now = last.map_or(now, |last| last.max(now));
        recent.flushed_until.into_iter().for_each(|minute| measures::newest(minute.start().as_millisecond()));
        let mut summary = Summary { taken_in: inbox.new.len(), ..Summary::default() };
        let before = stored.clone();
        let mut state = stored.unwrap_or_else(|| AlertState::starting(Minute::of(now)));
        state.ticked_at = Some(now);
        state.inbox.still_there(inbox.known.iter().map(String::as_str), now);

        let body = |stored: &Option<Stored>| stored.as_ref().map(|stored| stored.body.clone());
        let (rules, policy, silences) = (body(&rules), body(&policy), body(&silences));
        let last_good = state.accepted_rules.as_deref();
        // A choice that panicked has changed nothing.
        let chosen = self.rules.lock().unwrap_or_else(PoisonError::into_inner).choose(rules.as_deref(), last_good);
        let policy_of = Policy::choose(keys::POLICY, policy.as_deref(), state.accepted_policy.as_deref());
        let silences_of = Silences::choose(keys::SILENCES, silences.as_deref(), state.accepted_silences.as_deref());
        let (mut records, mut problems) = (Vec::new(), Vec::new());
        for (key, body, problem, alert) in [
            (keys::RULES, &rules, &chosen.problem, RULES_INVALID),
            (keys::POLICY, &policy, &policy_of.problem, POLICY_INVALID),
            (keys::SILENCES, &silences, &silences_of.problem, SILENCES_INVALID),
        ] {
            let text = problem.as_ref().map(told_of);
            records.extend(state.files.find(key, body.as_deref(), text, now));
            problems.extend(problem.as_ref().map(|problem| refused(key, problem, alert)));
        }
        state.accepted_rules.clone_from(&chosen.accepted);
        state.accepted_policy = policy_of.accepted;
        state.accepted_silences = silences_of.accepted;

        for one in &inbox.new {
            if let Incoming::Security(event) = one
                && inbox::is_too_old(event, now)
            {
                tracing::warn!(id = event.id, last = %event.last, "a security event is too old to count");
            }
        }
        let (mut changes, events) = state.take_in(inbox.new, now);
        let is_asked_for = || events.iter().any(|event| event.is_asked_for(&chosen.holds));
        if wall.is_some() && changes.is_empty() && !is_asked_for() {
            if summary.taken_in == 0 {
                self.clear(&inbox.keys).await?; // It came once more: nobody waits for what lies there.
            }
            return Ok(Attempt::Kept);
        }
        let due = engine::due(Some(&state), now, recent.flushed_until, chosen.holds.evaluation_delay);
        if due == Err(NotDue::WaitingForMetrics) {
            summary.waiting_for_metrics = true;
            report_waiting(recent.flushed_until, now);
        }
        let due = due.ok();
        (summary.evaluated, summary.skipped) = due.map_or((0, 0), |due| (due.to.since(due.from) + 1, due.skipped));
        let (foreign, unanswered) = match due {
            Some(due) => self.read_foreign(&engine::foreign_read(&chosen.holds, due), read_until).await,
            None => (ForeignValues::new(), BTreeMap::new()),
        };
        let tick = Tick {
            unanswered: &unanswered,
            events: &events,
            problems: &problems,
            ..Tick::new(now, due, &chosen.holds, &recent, &foreign)
        };
        let Outcome { mut state, changes: evaluated } = engine::evaluate(&tick, Some(state));
        changes.extend(evaluated);
        summary.transitions = changes.len();
        decide(&mut state, &policy_of.holds, &silences_of.holds, &changes, records, now);

        // An event may come long after it happened, and whoever sends has to have the time of a claim from now on.
        let run = format!("{:016x}", RandomState::new().hash_one(0_u8));
        let claimed = state.outbox.claim(wall.map_or(now, |wall| wall.max(now)), &run);
        if before.as_ref() == Some(&state) {
            self.clear(&inbox.keys).await?;
            return Ok(Attempt::Nothing(summary));
        }
        wall.into_iter().for_each(|wall| state.inbox.note_tick(wall));
        let committed = self.commit_for(&run, state, version.as_ref()).await?;
        let Some((state, version)) = committed else { return Ok(Attempt::Conflict) };
        let uncleared = self.clear(&inbox.keys).await.err();
        let committed = Committed { state, version, claimed, now, summary, uncleared, chosen, recent, foreign };
        Ok(Attempt::Committed(Box::new(committed)))
    }

    /// Tells what is claimed, and notes it.
    async fn tell(&self, committed: Committed, send_until: Instant) -> anyhow::Result<Summary> {
        let Committed { state, version, claimed, now, mut summary, uncleared, chosen, recent, foreign } = committed;
        let Ports { bucket, topic, log, .. } = &self.ports;
        let receivers = Receivers { bucket, topic, log, sender: &self.sender };
        let (environment, history_from) = (&self.sender.environment, state.history_from);
        let known = Known { environment, rules: &chosen.holds, recent: &recent, foreign: &foreign, history_from, now };
        let sent = receivers.send(&claimed, known, send_until).await;
        (summary.sent, summary.cut_short) = (sent.published, sent.cut_short);
        self.settle(state, version, &claimed, &sent.done, send_until + SETTLING).await?;
        report(&summary);
        failures_of(sent, &claimed)?;
        uncleared.map_or(Ok(summary), Err)
    }

    async fn load(&self) -> anyhow::Result<Loaded> {
        let get = |key| self.ports.bucket.get(key);
        let stored = async {
            let (state, version) = self.load_state().await?;
            let inbox = self.load_inbox(state.as_ref()).await?;
            anyhow::Ok((state, version, inbox))
        };
        let files = futures::future::try_join3(get(keys::RULES), get(keys::POLICY), get(keys::SILENCES));
        let files = async { files.await.map_err(anyhow::Error::new) };
        let (stored, files, recent) = futures::future::try_join3(stored, files, self.load_recent()).await?;
        let ((state, version, inbox), (rules, policy, silences)) = (stored, files);
        Ok(Loaded { state, version, rules, policy, silences, recent, inbox })
    }

    async fn load_state(&self) -> anyhow::Result<(Option<AlertState>, Option<Version>)> {
        match self.ports.bucket.get(keys::ALERT_STATE).await? {
            None => Ok((None, None)),
            Some(stored) => {
                let state = AlertState::parse(&stored.body).context(keys::ALERT_STATE)?;
                Ok((Some(state), Some(stored.version)))
            }
        }
    }

    async fn load_recent(&self) -> anyhow::Result<RecentRollups> {
        match self.ports.bucket.get(keys::RECENT_ROLLUPS).await? {
            Some(stored) => RecentRollups::parse(&stored.body).context(keys::RECENT_ROLLUPS),
            None => Ok(RecentRollups::default()), // The flusher has not been there yet.
        }
    }

    /// What waits in the inbox, but for what was taken in before.
    async fn load_inbox(&self, state: Option<&AlertState>) -> anyhow::Result<Waiting> {
        let listed = self.ports.bucket.list(keys::ALERT_INBOX, inbox::MAX_LISTED).await?;
        let mut waiting = Waiting::default();
        let mut unread = Vec::new();
        for key in listed {
            let known = inbox::id_in(&key).zip(state).filter(|(id, state)| !state.inbox.is_new(id));
            if let Some((id, _)) = known {
                waiting.known.push(id.to_owned());
                waiting.keys.push(key);
            } else if unread.len() < inbox::MAX_TAKEN {
                unread.push(key);
            }
        }
        let bodies: Vec<(String, Option<Stored>)> = stream::iter(unread)
            .map(|key| async move {
                let stored = self.ports.bucket.get(&key).await?;
                Ok::<_, PortError>((key, stored))
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        for (key, stored) in bodies {
            // Another evaluator may have been faster.
            let Some(stored) = stored else { continue };
            match Incoming::read(&String::from_utf8_lossy(&stored.body)) {
                Ok(incoming) => waiting.new.push(incoming),
                Err(error) => {
                    let object = inbox::quarantined(&stored.body, &error);
                    self.ports.bucket.put(&object).await.context("what can not be read could not be kept")?;
                    tracing::error!(from = key, key = object.key, "an object of the inbox is in quarantine");
                    measures::quarantined(1);
                }
            }
            waiting.keys.push(key);
        }
        Ok(waiting)
    }

    /// Deletes what was taken in. What stays is known by its id, and deleted by the next tick.
    async fn clear(&self, keys: &[String]) -> anyhow::Result<()> {
        for keys in keys.chunks(MAX_DELETED) {
            let deleted = self.ports.bucket.delete_all(keys).await;
            deleted.context("what was taken in still lies in the inbox; the next tick deletes it")?;
        }
        Ok(())
    }

    /// What CloudWatch says, and of which series it says nothing: the rules that read one of these are in error, and
    /// the others go on.
    async fn read_foreign(
        &self,
        read: &ForeignRead,
        until: tokio::time::Instant,
    ) -> (ForeignValues, BTreeMap<MetricQuery, Unanswered>) {
        let (mut values, mut unanswered) = (ForeignValues::new(), BTreeMap::new());
        if read.queries.is_empty() {
            return (values, unanswered);
        }
        let asked = self.ports.metrics.read_metrics(&read.queries, read.from, read.until);
        let late = || Err(Unanswered { reason: "CloudWatch has not answered in time".to_owned() });
        let answers = tokio::time::timeout_at(until, asked).await;
        let answers = answers.unwrap_or_else(|_| read.queries.iter().map(|_| late()).collect());
        for (query, answer) in read.queries.iter().cloned().zip(answers) {
            match answer {
                Ok(answer) => drop(values.insert(query, answer)),
                Err(error) => drop(unanswered.insert(query, error)),
            }
        }
        if let Some(error) = unanswered.values().next() {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, series = unanswered.len(), "rules on metrics of AWS can't be evaluated");
        }
        (values, unanswered)
    }

    /// Writes the state; `None` where another evaluator has written since it was read.
    async fn commit(&self, state: &AlertState, version: Option<&Version>) -> anyhow::Result<Option<Version>> {
        match self.ports.bucket.replace(&state.to_object(), version).await? {
            Replaced::Done(version) => Ok(Some(version)),
            Replaced::Conflict => Ok(None),
        }
    }

    /// Writes the state in which `run` has its claims, and answers how it is then; `None` where another evaluator has
    /// written since it was read. What has claims of the run in it was written by it, whatever the answer was: one may be
    /// lost, and the SDK's second try is refused because the first was taken.
    async fn commit_for(
        &self,
        run: &str,
        state: AlertState,
        version: Option<&Version>,
    ) -> anyhow::Result<Option<(AlertState, Version)>> {
        let failed = match self.commit(&state, version).await {
            Ok(Some(version)) => return Ok(Some((state, version))),
            Ok(None) => None,
            Err(error) if may_pass(&error) => Some(error),
            Err(error) => return Err(error),
        };
        match self.load_state().await {
            Ok((Some(stored), Some(version))) if stored.outbox.is_claimed_by(run) => Ok(Some((stored, version))),
            Ok(_) => failed.map_or(Ok(None), Err),
            Err(error) => Err(failed.unwrap_or(error)),
        }
    }

    /// Notes what was sent, in whatever the state is by now.
    async fn settle(
        &self,
        state: AlertState,
        version: Version,
        claimed: &Claimed,
        done: &BTreeSet<String>,
        until: Instant,
    ) -> anyhow::Result<()> {
        if claimed.is_empty() {
            return Ok(());
        }
        let until = tokio::time::Instant::from_std(until);
        let mut known = Some((state, Some(version)));
        loop {
            let failed = match self.note(known.take(), claimed, done).await {
                Ok(true) => return Ok(()),
                Ok(false) => anyhow!("{} changes too often", keys::ALERT_STATE),
                Err(error) if may_pass(&error) => error,
                Err(error) => return Err(error),
            };
            if tokio::time::Instant::now() >= until {
                return Err(failed.context("it could not be noted what was sent, which may be sent again"));
            }
            pause().await;
        }
    }

    /// Notes once what was sent, in the state that is `known`, or else in the one that is stored. Answers whether nobody has
    /// written in between. To note it twice changes nothing.
    async fn note(
        &self,
        known: Option<(AlertState, Option<Version>)>,
        claimed: &Claimed,
        done: &BTreeSet<String>,
    ) -> anyhow::Result<bool> {
        let (mut state, version) = match known {
            Some(known) => known,
            None => {
                let (stored, version) = self.load_state().await?;
                (stored.with_context(|| format!("{} is gone", keys::ALERT_STATE))?, version)
            }
        };
        state.outbox.settle(claimed, done);
        Ok(self.commit(&state, version.as_ref()).await?.is_some())
    }
}

/// What the engine is told of a file that can't be used. It is logged as well.
fn refused(key: &str, problem: &InvalidRules, alert: &'static str) -> FileProblem {
    let error = problem as &dyn std::error::Error;
    tracing::error!(error, mistakes = problem.problems.len(), key, "a file of the operators is not used");
    FileProblem { alert, mistakes: problem.problems.len(), text: told_of(problem) }
}

/// The first of the mistakes, so that a line of the history and a message can hold them.
fn told_of(problem: &InvalidRules) -> String {
    let (shown, beyond) = (&problem.problems[..], problem.problems.len().saturating_sub(MAX_MISTAKES));
    let shown = shown[..shown.len() - beyond].to_vec();
    let mut text = InvalidRules { file: problem.file.clone(), problems: shown }.to_string();
    text.truncate(text.floor_char_boundary(MAX_MISTAKES_BYTES));
    if beyond > 0 {
        text.push_str(&format!("\nand {beyond} more mistakes"));
    }
    text
}

/// Until when a tick that sends until `send_until` waits for CloudWatch.
fn read_until(send_until: Instant) -> tokio::time::Instant {
    let kept_for_sending = SENDING.saturating_sub(READING);
    tokio::time::Instant::from_std(send_until.checked_sub(kept_for_sending).unwrap_or(send_until))
}

/// Whether it may be otherwise at the next try: a call has failed in passing.
fn may_pass(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<PortError>());
    causes.any(|cause| cause.retry == Retry::Transient)
}

/// Between two tries: of two that are in each other's way one comes first.
async fn pause() {
    let chance = RandomState::new().hash_one(0_u8) % 200;
    tokio::time::sleep(Duration::from_millis(20 + chance)).await;
}

/// Has the policy decide about what has changed, and puts into the outbox what is to be told and noted of it. Minutes that
/// are made up for are decided about together: what people are told is what is true by now.
fn decide(
    state: &mut AlertState,
    policy: &Policy,
    silences: &Silences,
    changes: &[Episode],
    mut records: Vec<Record>,
    now: Timestamp,
) {
    records.extend(changes.iter().map(|change| Record::Transition(change.transition())));
    let decision = policy::decide(policy, silences, std::mem::take(&mut state.policy), changes, now);
    state.policy = decision.state;
    records.extend(decision.records);
    records.extend(decision.notifications.iter().map(|one| Record::Notified(Notified::of(one))));
    decision.notifications.into_iter().for_each(|notification| state.outbox.notify(notification));
    state.outbox.record(records);
}

/// A tick behind is nothing: both functions run on the minute, and the evaluator may read before the
/// flusher writes.
fn report_waiting(flushed_until: Option<Minute>, now: Timestamp) {
    let behind = flushed_until.map(|minute| Minute::of(now).since(minute));
    if behind.is_some_and(|minutes| minutes <= 2) {
        tracing::info!(minutes = behind, "nothing is evaluated yet: metric-flusher is at work");
    } else {
        tracing::warn!(minutes = behind, "nothing is evaluated: metric-flusher has stopped or has a backlog");
    }
}

fn report(summary: &Summary) {
    if summary.skipped > 0 {
        tracing::warn!(minutes = summary.skipped, "minutes were not evaluated: their metrics are gone");
    }
    if summary.cut_short {
        tracing::warn!("the time for sending is up; what is left waits for the next tick");
    }
    tracing::info!(
        evaluated = summary.evaluated,
        taken_in = summary.taken_in,
        transitions = summary.transitions,
        sent = summary.sent,
        "alerts evaluated"
    );
}

/// What could not be told fails the invocation, so that it is seen; the next tick tries again. So does a run that had no
/// time to tell anything: the next may have none either.
fn failures_of(sent: Sent, claimed: &Claimed) -> anyhow::Result<()> {
    let had_no_time = sent.cut_short && sent.done.is_empty() && sent.failures.is_empty();
    ensure!(!had_no_time, "the time was up before anything could be told");
    let (failed, claimed) = (sent.failures.len(), claimed.notifications.len() + claimed.records.len());
    match sent.failures.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(first
            .context(format!("{failed} of {claimed} notifications and batches of records are not done, the first"))),
    }
}
