//! One tick: load, decide, commit, tell.
//!
//! What is to be told is committed with the state before anything is sent, so of two evaluators only one
//! sends; and it stays in the state until it is sent, so a failure only delays it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, bail};
use aws::measures;
use domain::Minute;
use domain::alerting::DEFAULT_RULES;
use domain::alerting::engine::{self, Due, FileProblem, ForeignRead, NotDue, Outcome, RULES_INVALID, Tick};
use domain::alerting::history::{Notified, Record};
use domain::alerting::outbox::Claimed;
use domain::alerting::policy::{self, Policy, Silences};
use domain::alerting::rules::chosen::{Chosen, choose};
use domain::alerting::rules::problem::InvalidRules;
use domain::alerting::rules::{RuleSet, Variables};
use domain::alerting::samples::ForeignValues;
use domain::alerting::state::AlertState;
use domain::keys;
use domain::metrics::recent::RecentRollups;
use domain::ports::{
    GetObject, MetricQuery, Publish, PutObject, ReadMetrics, ReplaceObject, Replaced, Unanswered, Version,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::Config;
use crate::sending::{self, Sent};

/// How often the note of what was sent is tried again when other evaluators write in between.
const SETTLE_TRIES: usize = 5;

/// An evaluator on its ports.
pub struct Evaluator<B, M, P> {
    bucket: B,
    metrics: M,
    topic: P,
    environment: String,
    variables: Variables,
    built_in: RuleSet,
}

/// What a tick did, for the log and for whoever invokes the function by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Minutes evaluated.
    pub evaluated: i64,
    /// Minutes that never will be: the evaluator was away for longer than the recent rollups reach.
    pub skipped: i64,
    /// Alerts that fired or resolved.
    pub transitions: usize,
    /// Notifications sent, those that earlier ticks had left among them.
    pub sent: usize,
    /// Whether minutes are over, but none could be evaluated: the flusher has not yet taken in what came.
    pub waiting_for_metrics: bool,
    /// Whether the time for sending was up before all was sent; the next tick goes on.
    pub cut_short: bool,
    /// Whether another evaluator was faster, so that nothing was done.
    pub conflict: bool,
}

impl<B, M, P> Evaluator<B, M, P>
where
    B: GetObject + PutObject + ReplaceObject,
    M: ReadMetrics,
    P: Publish,
{
    /// On its ports.
    ///
    /// # Errors
    ///
    /// Where the built-in rules can't be used with this configuration.
    pub fn new(bucket: B, metrics: M, topic: P, config: &Config) -> anyhow::Result<Evaluator<B, M, P>> {
        let variables = Variables::from([("DATABASE_INSTANCE".to_owned(), config.database_instance.clone())]);
        let built_in = RuleSet::load("the built-in rules", DEFAULT_RULES, &variables)?;
        Ok(Evaluator { bucket, metrics, topic, environment: config.environment.clone(), variables, built_in })
    }

    /// Does one tick that stands for `now`, and begins to send nothing once it is `send_until`.
    ///
    /// # Errors
    ///
    /// Where something could not be read, or not everything could be told. The next tick does what is left.
    pub async fn tick(&self, now: Timestamp, send_until: Instant) -> anyhow::Result<Summary> {
        let (stored, version) = self.load_state().await?;
        let chosen = self.choose_rules(stored.as_ref()).await?;
        let recent = self.load_recent().await?;
        recent.flushed_until.into_iter().for_each(|minute| measures::newest(minute.start().as_millisecond()));
        let due = engine::due(stored.as_ref(), now, recent.flushed_until, chosen.rules.evaluation_delay);
        let mut summary = Summary::default();
        let state = match due {
            Ok(due) => Some(self.evaluate(&chosen, &recent, due, stored, now, &mut summary).await),
            Err(why) => {
                summary.waiting_for_metrics = why == NotDue::WaitingForMetrics;
                stored
            }
        };
        if summary.waiting_for_metrics {
            report_waiting(recent.flushed_until, now);
        }
        let Some(mut state) = state else { return Ok(summary) };
        let claimed = state.outbox.claim(now);
        if due.is_err() && claimed.is_empty() {
            return Ok(summary);
        }
        let Some(version) = self.commit(&state, version.as_ref()).await? else {
            tracing::info!("another evaluator was faster; it tells what there is to tell");
            return Ok(Summary { conflict: true, ..Summary::default() });
        };
        let sent = sending::send(&self.bucket, &self.topic, &self.environment, &claimed, send_until).await;
        (summary.sent, summary.cut_short) = (sent.published, sent.cut_short);
        self.settle(state, version, &claimed, &sent.done).await?;
        report(&summary);
        failures_of(sent, &claimed)?;
        Ok(summary)
    }

    async fn load_state(&self) -> anyhow::Result<(Option<AlertState>, Option<Version>)> {
        match self.bucket.get(keys::ALERT_STATE).await? {
            None => Ok((None, None)),
            Some(stored) => {
                let state = AlertState::parse(&stored.body).context(keys::ALERT_STATE)?;
                Ok((Some(state), Some(stored.version)))
            }
        }
    }

    async fn choose_rules(&self, state: Option<&AlertState>) -> anyhow::Result<Chosen> {
        let stored = self.bucket.get(keys::RULES).await?;
        let last_good = state.and_then(|state| state.accepted_rules.as_deref());
        let body = stored.as_ref().map(|stored| stored.body.as_slice());
        let chosen = choose(keys::RULES, body, last_good, &self.built_in, &self.variables);
        if let Some(problem) = &chosen.problem {
            let error = problem as &dyn std::error::Error;
            tracing::error!(error, mistakes = problem.problems.len(), "the rule file is not used");
        }
        Ok(chosen)
    }

    async fn load_recent(&self) -> anyhow::Result<RecentRollups> {
        match self.bucket.get(keys::RECENT_ROLLUPS).await? {
            Some(stored) => RecentRollups::parse(&stored.body).context(keys::RECENT_ROLLUPS),
            None => Ok(RecentRollups::default()), // The flusher has not been there yet.
        }
    }

    async fn evaluate(
        &self,
        chosen: &Chosen,
        recent: &RecentRollups,
        due: Due,
        state: Option<AlertState>,
        now: Timestamp,
        summary: &mut Summary,
    ) -> AlertState {
        let (foreign, unanswered) = self.read_foreign(&engine::foreign_read(&chosen.rules, due)).await;
        let problem = |problem: &InvalidRules| FileProblem {
            alert: RULES_INVALID,
            mistakes: problem.problems.len(),
            text: problem.to_string(),
        };
        let problems: Vec<FileProblem> = chosen.problem.iter().map(problem).collect();
        let tick = Tick {
            unanswered: &unanswered,
            problems: &problems,
            ..Tick::new(now, Some(due), &chosen.rules, recent, &foreign)
        };
        let Outcome { mut state, changes } = engine::evaluate(&tick, state);
        state.accepted_rules = chosen.accepted.clone();
        let told = std::mem::take(&mut state.policy);
        let decision = policy::decide(&Policy::default(), &Silences::default(), told, &changes, now);
        state.policy = decision.state;
        changes.iter().for_each(|change| state.outbox.record(Record::Transition(change.transition())));
        decision.records.into_iter().for_each(|record| state.outbox.record(record));
        for notification in decision.notifications {
            state.outbox.record(Record::Notified(Notified::of(&notification)));
            state.outbox.notify(notification);
        }
        summary.evaluated = due.to.since(due.from) + 1;
        summary.skipped = due.skipped;
        summary.transitions = changes.len();
        state
    }

    /// What CloudWatch says, and of which series it says nothing: the rules that read one of these are in error, and
    /// the others go on.
    async fn read_foreign(&self, read: &ForeignRead) -> (ForeignValues, BTreeMap<MetricQuery, Unanswered>) {
        let (mut values, mut unanswered) = (ForeignValues::new(), BTreeMap::new());
        if read.queries.is_empty() {
            return (values, unanswered);
        }
        let answers = self.metrics.read_metrics(&read.queries, read.from, read.until).await;
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
        match self.bucket.replace(&state.to_object(), version).await? {
            Replaced::Done(version) => Ok(Some(version)),
            Replaced::Conflict => Ok(None),
        }
    }

    /// Notes what was sent, in whatever the state is by now.
    async fn settle(
        &self,
        state: AlertState,
        version: Version,
        claimed: &Claimed,
        done: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        if claimed.is_empty() {
            return Ok(());
        }
        let (mut state, mut version) = (state, Some(version));
        for _ in 0..SETTLE_TRIES {
            state.outbox.settle(claimed, done);
            if self.commit(&state, version.as_ref()).await?.is_some() {
                return Ok(());
            }
            let (stored, stored_version) = self.load_state().await?;
            state = stored.with_context(|| format!("{} is gone", keys::ALERT_STATE))?;
            version = stored_version;
        }
        bail!("{} changes too often to note what was sent, which may be sent again", keys::ALERT_STATE)
    }
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
        transitions = summary.transitions,
        sent = summary.sent,
        "alerts evaluated"
    );
}

/// What could not be told fails the invocation, so that it is seen; the next tick tries again.
fn failures_of(sent: Sent, claimed: &Claimed) -> anyhow::Result<()> {
    let (failed, claimed) = (sent.failures.len(), claimed.notifications.len());
    match sent.failures.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(first.context(format!("{failed} of {claimed} notifications are not done, the first"))),
    }
}
