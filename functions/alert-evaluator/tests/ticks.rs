//! Ticks on ports in memory, with faults between any two effects.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alert_evaluator::{Config, Evaluator, Ports, SENDING, Summary};
use aws::lambda::Tick;
use domain::Minute;
use domain::alerting::alarms::Ours;
use domain::alerting::history::{Transition, Turned};
use domain::alerting::lifecycle::Phase;
use domain::alerting::outbox::CLAIM;
use domain::alerting::state::{AlertState, Health};
use domain::keys;
use domain::metrics::recent::RecentRollups;
use domain::metrics::rollup::Rollup;
use domain::metrics::series::{Aggregate, Dimensions, SeriesKey};
use domain::notifying::document::AlertDocument;
use domain::ports::{MetricQuery, MinuteValues, PortError, Publication, Publish, ReadMetrics, Retry, Unanswered};
use jiff::Timestamp;
use testkit::memory_bucket::Moment;
use testkit::{FixedMetrics, InMemoryBucket, Operation, RecordedLog, RecordedPublications, event_file};

type TestEvaluator = Evaluator<InMemoryBucket, FixedMetrics, RecordedPublications, RecordedLog>;

/// An evaluator with handles on its ports.
struct Setup {
    evaluator: TestEvaluator,
    bucket: InMemoryBucket,
    topic: RecordedPublications,
    log: RecordedLog,
    recent: RecentRollups,
}

fn config() -> Config {
    Config {
        bucket_name: "bucket".into(),
        alert_topic_arn: "arn:aws:sns:eu-west-1:123456789012:alerts".into(),
        history_log_group: "/land-contracts/observability/alert-history".into(),
        database_instance: "production-contract-db".into(),
        environment: "production".into(),
        region: "eu-west-1".into(),
        amazon_q: false,
        ours: Ours { stack: "production".into(), prefixes: Vec::new() },
    }
}

/// A policy that holds nothing back and repeats nothing, so that what is told is what the engine says.
const AT_ONCE: &str = "\
version: 1
severities:
  critical: {group_wait: 0s, group_interval: 1s, repeat_interval: 30d}
  error: {group_wait: 0s, group_interval: 1s, repeat_interval: 30d}
  warning: {group_wait: 0s, group_interval: 1s, repeat_interval: 30d}
  info: {group_wait: 0s, group_interval: 1s, repeat_interval: 30d}
inhibit_rules: []
mute_calendars: []
";

fn setup_with(metrics: FixedMetrics) -> Setup {
    let (bucket, topic, log) = (InMemoryBucket::new(), RecordedPublications::new(), RecordedLog::new());
    let evaluator = evaluator(&bucket, metrics, topic.clone(), &log);
    bucket.place(keys::POLICY, AT_ONCE);
    Setup { evaluator, bucket, topic, log, recent: RecentRollups::default() }
}

fn evaluator<M, P>(
    bucket: &InMemoryBucket,
    metrics: M,
    topic: P,
    log: &RecordedLog,
) -> Evaluator<InMemoryBucket, M, P, RecordedLog>
where
    M: ReadMetrics,
    P: Publish,
{
    let ports = Ports { bucket: bucket.clone(), metrics, topic, log: log.clone() };
    Evaluator::new(ports, &config()).unwrap()
}

/// With a database that has little to do.
fn setup() -> Setup {
    let values = (-5..120).map(|at| (minute(at), 10.0)).collect();
    setup_with(FixedMetrics { series: BTreeMap::from([(connections(), values)]), ..FixedMetrics::default() })
}

/// The series of the rule database_connections_high.
fn connections() -> MetricQuery {
    MetricQuery {
        namespace: "AWS/RDS".into(),
        name: "DatabaseConnections".into(),
        dimensions: BTreeMap::from([("DBInstanceIdentifier".into(), "production-contract-db".into())]),
        statistic: "Average".into(),
    }
}

fn minute(offset: i64) -> Minute {
    "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
}

/// The tick that has the minute `offset` as its last one: the delay of the built-in rules is 90 s.
fn tick_for(offset: i64) -> Timestamp {
    minute(offset + 3).start()
}

/// The end of a budget that no test uses up.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

impl Setup {
    /// `value` contract creation errors in a minute.
    fn errors(&mut self, at: i64, service: &str, value: f64) {
        self.count(at, "contract_creation_errors", service, value);
    }

    fn count(&mut self, at: i64, name: &str, service: &str, value: f64) {
        let dimensions = Dimensions::from([("service".into(), service.into())]);
        let key = SeriesKey { name: name.into(), dimensions };
        let mut rollup = Rollup::empty(minute(at));
        rollup.series.add(key, &Aggregate::of(value, minute(at).start().as_millisecond()));
        match self.recent.minutes.get_mut(&minute(at)) {
            Some(held) => held.merge(&rollup.series.roll_up()),
            None => self.recent.update(&rollup),
        }
    }

    /// The flusher has taken in all that came before `now`.
    fn flush(&self, now: Timestamp) {
        let mut recent = self.recent.clone();
        recent.flushed(Minute::of(now));
        recent.forget(Minute::of(now));
        self.bucket.place(keys::RECENT_ROLLUPS, recent.to_object().body);
    }

    /// The flusher's tick, and then the evaluator's.
    async fn tick(&self, offset: i64) -> anyhow::Result<Summary> {
        self.flush(tick_for(offset));
        self.tick_without_flusher(offset).await
    }

    async fn tick_without_flusher(&self, offset: i64) -> anyhow::Result<Summary> {
        self.evaluator.tick(tick_for(offset), soon()).await
    }

    fn subjects(&self) -> Vec<String> {
        self.topic.taken().into_iter().map(|publication| publication.subject).collect()
    }

    fn history(&self) -> Vec<Transition> {
        let keys = self.bucket.keys_under(keys::ALERT_HISTORY);
        keys.iter().map(|key| Transition::parse(&self.bucket.body(key).unwrap()).unwrap()).collect()
    }

    fn state(&self) -> AlertState {
        AlertState::parse(&self.bucket.body(keys::ALERT_STATE).unwrap()).unwrap()
    }
}

const FIRING: &str = "[ERROR] FIRING contract_creation_failure (contract)";
const RESOLVED: &str = "[ERROR] RESOLVED contract_creation_failure (contract)";

#[tokio::test]
async fn an_alert_is_told_once_when_it_fires_and_once_when_it_is_over() {
    // Defects 13 and 14: ten evaluations sent ten messages, and nothing ever resolved.
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    let summary = setup.tick(0).await.unwrap();
    assert_eq!(summary, Summary { evaluated: 1, transitions: 1, sent: 1, ..Summary::default() });
    for offset in 1..=25 {
        setup.tick(offset).await.unwrap();
    }
    assert_eq!(setup.subjects(), [FIRING, RESOLVED]);
    assert!(setup.state().outbox.is_empty());
    let history = setup.history();
    let told: Vec<(Minute, Turned)> = history.iter().map(|transition| (transition.at, transition.turned)).collect();
    // The window of ten minutes is clear of the errors in minute 10, and the alert is kept for ten more.
    assert_eq!(told, [(minute(0), Turned::Firing), (minute(20), Turned::Resolved)]);
    assert_eq!((history[1].since, history[1].value), (minute(0), Some(0.0)));
}

#[tokio::test]
async fn each_protocol_gets_its_body_and_filters_their_attributes() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.tick(0).await.unwrap();
    let publication = &setup.topic.taken()[0];
    assert!(publication.bodies["default"].contains("Contract creation failures in contract: 5 in 10 minutes"));
    let document = AlertDocument::parse(&publication.bodies["lambda"]).unwrap();
    assert_eq!((document.environment.as_str(), document.firing[0].value), ("production", Some(5.0)));
    assert_eq!(publication.attributes["service"].text(), "contract");
    assert_eq!(publication.attributes["environment"].text(), "production");
}

#[tokio::test]
async fn the_same_tick_twice_does_nothing_twice() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.tick(0).await.unwrap();
    let before = setup.bucket.operations().len();
    assert_eq!(setup.tick(0).await.unwrap(), Summary::default());
    let is_write = |what: Operation| !matches!(what, Operation::Get | Operation::List);
    let writes = setup.bucket.operations()[before..].iter().filter(|(what, _)| is_write(*what)).count();
    assert_eq!((writes, setup.subjects().len()), (0, 1));
}

#[tokio::test]
async fn missed_ticks_are_caught_up() {
    let mut setup = setup();
    setup.errors(0, "user", 1.0);
    setup.tick(0).await.unwrap();
    setup.errors(5, "contract", 5.0);
    let summary = setup.tick(40).await.unwrap();
    assert_eq!(summary, Summary { evaluated: 40, transitions: 2, ..Summary::default() });
    assert_eq!(setup.subjects(), Vec::<String>::new(), "what is over by now is no news");
    let at: Vec<Minute> = setup.history().iter().map(|transition| transition.at).collect();
    assert_eq!(at, [minute(5), minute(25)], "as if each tick had come in time");
    assert_eq!(setup.tick(400).await.unwrap().skipped, 243, "what the rollups no longer have is gone, and told so");
}

#[tokio::test]
async fn a_flusher_that_has_stopped_resolves_nothing_and_alerts_of_nothing() {
    let mut setup = setup();
    let waiting = Summary { waiting_for_metrics: true, ..Summary::default() };
    assert_eq!(setup.tick_without_flusher(0).await.unwrap(), waiting);
    assert!(!setup.state().has_evaluated(), "the history has not begun");

    setup.errors(0, "contract", 5.0);
    setup.errors(30, "web", 5.0);
    setup.count(40, "user_registrations", "user", 9.0); // With fewer than five in an hour there would be an alert.
    setup.tick(0).await.unwrap();
    for offset in 1..=60 {
        assert_eq!(setup.tick_without_flusher(offset).await.unwrap(), waiting, "minute {offset}");
    }
    assert_eq!(setup.subjects(), [FIRING]);

    assert_eq!(setup.tick(61).await.unwrap().evaluated, 61);
    let history = setup.history();
    let told = history.iter().filter(|told| told.rule == "contract_creation_failure");
    let told: Vec<(Minute, Turned)> = told.map(|told| (told.at, told.turned)).collect();
    let expected = [(0, Turned::Firing), (20, Turned::Resolved), (30, Turned::Firing), (50, Turned::Resolved)];
    assert_eq!(told, expected.map(|(at, turned)| (minute(at), turned)), "as if the flusher had never been away");
}

#[tokio::test]
async fn what_waits_to_be_told_does_not_wait_for_the_flusher() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.topic.fail_next([Retry::Transient]);
    setup.tick(0).await.unwrap_err();
    let summary = setup.tick_without_flusher(1).await.unwrap();
    assert_eq!(summary, Summary { sent: 1, waiting_for_metrics: true, ..Summary::default() });
    assert_eq!(setup.subjects(), [FIRING]);
}

/// A topic that takes its time.
struct Slow {
    topic: RecordedPublications,
    answers_at: Instant,
}

impl Publish for Slow {
    async fn publish(&self, publication: &Publication) -> Result<(), PortError> {
        std::thread::sleep(self.answers_at.saturating_duration_since(Instant::now()));
        self.topic.publish(publication).await
    }
}

#[tokio::test]
async fn when_the_time_is_up_what_was_sent_is_noted_and_the_next_tick_goes_on() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.errors(0, "web", 5.0);
    setup.flush(tick_for(0));
    let until = Instant::now() + Duration::from_secs(1);
    let topic = Slow { topic: setup.topic.clone(), answers_at: until };
    let slow = evaluator(&setup.bucket, FixedMetrics::default(), topic, &setup.log);
    let summary = slow.tick(tick_for(0), until).await.unwrap();
    assert_eq!(summary, Summary { evaluated: 1, transitions: 2, sent: 1, cut_short: true, ..Summary::default() });
    assert_eq!(
        (setup.subjects(), setup.history().len()),
        (vec!["[ERROR] FIRING contract_creation_failure (web)".to_owned()], 0),
        "people come first"
    );

    let summary = setup.tick(0).await.unwrap();
    assert_eq!(summary, Summary { sent: 1, ..Summary::default() }, "at once: no claim holds it back");
    assert_eq!(setup.subjects()[1..], [FIRING]);
    assert_eq!((setup.history().len(), setup.state().outbox.len()), (2, 0));
}

#[tokio::test]
async fn what_can_not_be_published_waits_and_stops_nothing_else() {
    // Defect 17: a failure to send was swallowed.
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.errors(0, "web", 5.0);
    setup.topic.fail_next([Retry::Transient]);
    let error = setup.tick(0).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "1 of 3 notifications and batches of records are not done, the first: error/business/web: publish: injected \
         fault"
    );
    assert_eq!(setup.subjects(), [FIRING]);
    assert_eq!((setup.history().len(), setup.state().outbox.len()), (2, 1));

    assert_eq!(setup.tick(1).await.unwrap().sent, 1);
    assert_eq!(setup.subjects()[1..], ["[ERROR] FIRING contract_creation_failure (web)"]);
    assert_eq!((setup.history().len(), setup.state().outbox.len()), (2, 0));
}

#[tokio::test]
async fn resolved_does_not_overtake_firing() {
    let mut setup = setup();
    setup.tick(0).await.unwrap();
    setup.errors(5, "contract", 5.0);
    setup.topic.fail_next([Retry::Denied]);
    setup.tick(5).await.unwrap_err();
    setup.topic.fail_next([Retry::Transient]);
    setup.tick(40).await.unwrap_err();
    assert_eq!(setup.subjects(), Vec::<String>::new());
    assert_eq!(setup.history().len(), 2, "the history does not wait for the topic");
    setup.tick(41).await.unwrap();
    assert_eq!(setup.subjects(), [FIRING, RESOLVED]);
}

#[tokio::test]
async fn what_the_topic_refuses_for_good_is_in_quarantine_and_holds_nothing_back() {
    let mut setup = setup();
    setup.tick(0).await.unwrap();
    setup.errors(5, "contract", 5.0);
    setup.topic.fail_next([Retry::Permanent]);
    let summary = setup.tick(5).await.unwrap();
    assert_eq!((summary.transitions, summary.sent, summary.cut_short), (1, 0, false));
    assert!(setup.state().outbox.is_empty());
    let kept = setup.bucket.keys_under("quarantine/notifications/dt=2026-11-21/");
    assert_eq!(kept.len(), 1);
    setup.tick(40).await.unwrap();
    assert_eq!(setup.subjects(), [RESOLVED]);

    // Where it can't be kept, it waits.
    setup.errors(45, "contract", 5.0);
    setup.topic.fail_next([Retry::Permanent]);
    setup.bucket.inject(|_, key| key.starts_with("quarantine/").then_some(Moment::Before));
    setup.tick(45).await.unwrap_err();
    setup.bucket.heal();
    setup.tick(46).await.unwrap();
    let told = setup.subjects();
    let told: Vec<&str> = told.iter().map(String::as_str).filter(|told| told.contains("contract")).collect();
    assert_eq!(told, [RESOLVED, FIRING]);
    assert_eq!(setup.bucket.keys_under("quarantine/"), kept);
}

#[tokio::test]
async fn resolved_does_not_overtake_the_digest_that_tells_of_firing() {
    let mut setup = setup();
    setup.bucket.place(keys::POLICY, format!("{AT_ONCE}storm: {{notifications: 1, within: 10m}}\n"));
    setup.errors(0, "contract", 5.0);
    setup.errors(0, "web", 5.0);
    // The digest of both fails, so that no end of either may be told.
    setup.topic.fail_next([Retry::Transient]);
    setup.tick(0).await.unwrap_err();
    // It fails again when one of both is over, which would be told by itself; that waits in the same tick.
    setup.errors(20, "web", 5.0);
    setup.topic.fail_next([Retry::Transient]);
    let error = setup.tick(35).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("1 of "), "{error:#}");
    assert_eq!((setup.subjects(), setup.state().outbox.len()), (Vec::new(), 2));
    setup.tick(36).await.unwrap();
    let digest = "[ERROR] DIGEST 2 firing, 0 resolved in 2 groups".to_owned();
    assert_eq!(setup.subjects(), [digest, RESOLVED.to_owned()]);
}

#[tokio::test]
async fn a_history_that_can_not_be_written_waits_as_well() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.bucket.inject(|_, key| key.starts_with(keys::ALERT_HISTORY).then_some(Moment::Before));
    setup.tick(0).await.unwrap_err();
    assert_eq!((setup.subjects().len(), setup.history().len()), (1, 0));
    setup.bucket.heal();
    setup.tick(1).await.unwrap();
    assert_eq!((setup.subjects().len(), setup.history().len()), (1, 1));
}

/// A port during whose call another evaluator does a whole tick.
struct Meanwhile<P> {
    port: P,
    rival: TestEvaluator,
    now: Timestamp,
}

impl ReadMetrics for Meanwhile<FixedMetrics> {
    async fn read_metrics(
        &self,
        queries: &[MetricQuery],
        from: Minute,
        until: Minute,
    ) -> Vec<Result<MinuteValues, Unanswered>> {
        self.rival.tick(self.now, soon()).await.unwrap();
        self.port.read_metrics(queries, from, until).await
    }
}

impl Publish for Meanwhile<RecordedPublications> {
    async fn publish(&self, publication: &Publication) -> Result<(), PortError> {
        self.rival.tick(self.now, soon()).await.unwrap();
        self.port.publish(publication).await
    }
}

fn rival(setup: &Setup) -> TestEvaluator {
    evaluator(&setup.bucket, FixedMetrics::default(), setup.topic.clone(), &setup.log)
}

#[tokio::test]
async fn of_two_evaluators_that_read_the_same_state_only_one_tells() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.flush(tick_for(0));
    let metrics = Meanwhile { port: FixedMetrics::default(), rival: rival(&setup), now: tick_for(0) };
    let slower = evaluator(&setup.bucket, metrics, setup.topic.clone(), &setup.log);
    let summary = slower.tick(tick_for(0), soon()).await.unwrap();
    assert_eq!(summary, Summary::default(), "it looks again, and there is nothing left to do");
    assert_eq!((setup.subjects(), setup.history().len()), (vec![FIRING.to_owned()], 1));
}

#[tokio::test]
async fn an_evaluator_that_comes_while_another_one_sends_leaves_it_alone() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.flush(tick_for(1));
    let topic = Meanwhile { port: setup.topic.clone(), rival: rival(&setup), now: tick_for(1) };
    let sender = evaluator(&setup.bucket, FixedMetrics::default(), topic, &setup.log);
    sender.tick(tick_for(0), soon()).await.unwrap();
    assert_eq!(setup.subjects(), [FIRING]);
    let state = setup.state();
    assert_eq!((state.evaluated_until, state.outbox.len()), (minute(1), 0), "both have been noted");
}

#[tokio::test]
async fn what_was_sent_is_told_once_though_the_note_of_it_fails_in_passing() {
    // The note itself, and the state that it is to be noted in.
    for (operation, failing) in [(Operation::Replace, 2), (Operation::Replace, 3), (Operation::Get, 2)] {
        for moment in [Moment::Before, Moment::After] {
            let mut setup = setup();
            setup.errors(0, "contract", 5.0);
            let mut replaced = 0;
            let mut seen = 0;
            setup.bucket.inject(move |what, key| {
                let is_state = key == keys::ALERT_STATE;
                replaced += usize::from(is_state && what == Operation::Replace);
                // Once the first of them has failed the second is read, and so on.
                let is_first_note = is_state && what == Operation::Replace && replaced == 2;
                seen += usize::from(is_state && what == operation);
                (is_first_note || (is_state && what == operation && seen == failing)).then_some(moment)
            });
            setup.tick(0).await.unwrap();
            setup.bucket.heal();
            assert!(setup.state().outbox.is_empty(), "{operation:?} {failing} {moment:?}");
            setup.flush(tick_for(0) + CLAIM);
            setup.evaluator.tick(tick_for(0) + CLAIM, soon()).await.unwrap();
            assert_eq!(setup.subjects(), [FIRING], "{operation:?} {failing} {moment:?}");
        }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_delays_nothing() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    let mut replaced = 0;
    setup.bucket.inject(move |what, _| {
        replaced += usize::from(what == Operation::Replace);
        (what == Operation::Replace && replaced == 1).then_some(Moment::After)
    });
    assert_eq!(setup.tick(0).await.unwrap().sent, 1);
    assert_eq!((setup.subjects(), setup.state().outbox.len()), (vec![FIRING.to_owned()], 0));
    // What did not get there is an error, and nobody's.
    let mut setup = self::setup();
    setup.errors(0, "contract", 5.0);
    setup.bucket.inject(|what, _| (what == Operation::Replace).then_some(Moment::Before));
    let error = setup.tick(0).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("Replace state/alert-evaluator.json"), "{error:#}");
    assert_eq!(setup.subjects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_crash_between_any_two_effects_loses_nothing() {
    let operations = {
        let mut setup = setup();
        setup.errors(0, "contract", 5.0);
        setup.tick(0).await.unwrap();
        setup.bucket.operations().len()
    };
    for crash_at in 0..operations {
        for moment in [Moment::Before, Moment::After] {
            let mut setup = setup();
            setup.errors(0, "contract", 5.0);
            let mut seen = 0;
            setup.bucket.inject(move |_, _| {
                seen += 1;
                // From the crash on nothing gets through.
                match seen - 1 {
                    at if at == crash_at => Some(moment),
                    at if at > crash_at => Some(Moment::Denied),
                    _ => None,
                }
            });
            setup.tick(0).await.unwrap_err();
            setup.bucket.heal();
            let told_before = setup.subjects().len();
            let later = tick_for(0) + CLAIM;
            setup.flush(later);
            setup.evaluator.tick(later, soon()).await.unwrap();
            setup.evaluator.tick(later, soon()).await.unwrap();
            let subjects = setup.subjects();
            // Only what was sent while the note of it was lost can be sent twice.
            let expected = if told_before == 0 { 1..=1 } else { 1..=2 };
            assert!(expected.contains(&subjects.len()), "crash {moment:?} operation {crash_at}: {subjects:?}");
            assert!(subjects.iter().all(|subject| subject == FIRING));
            let firing = setup.state().alerts.values().filter(|alert| alert.phase.is_firing()).count();
            assert_eq!(firing, 1, "crash {moment:?} operation {crash_at}");
            assert_eq!((setup.history().len(), setup.state().outbox.len()), (1, 0));
        }
    }
}

#[tokio::test]
async fn a_rule_file_with_a_typo_is_told_and_the_last_good_one_holds() {
    let mut setup = setup();
    let rules = |threshold: &str| {
        format!(
            "version: 1\nrules:\n- id: failures\n  class: business\n  severity: critical\n  \
             queries: {{errors: {{metric: contract_creation_errors, stat: Sum, fill: zero}}}}\n  expr: errors\n  \
             window: {{over: 1m}}\n  when: {threshold}\n  annotations: {{summary: \"{{{{value}}}}\"}}\n"
        )
    };
    setup.bucket.place(keys::RULES, rules("{gt: 3}"));
    setup.tick(0).await.unwrap();
    setup.bucket.place(keys::RULES, rules("{qt: 3}"));
    setup.errors(1, "contract", 5.0);
    setup.tick(1).await.unwrap();
    assert_eq!(setup.subjects(), ["[CRITICAL] FIRING failures", "[ERROR] FIRING rules_invalid"]);
    let text = &setup.topic.taken()[1].bodies["default"];
    assert!(
        text.contains("config/rules.yaml:9:9: rule failures: unknown comparison `qt` (did you mean `gt`?)"),
        "{text}"
    );
    setup.tick(2).await.unwrap();
    setup.bucket.place(keys::RULES, rules("{gt: 4}"));
    setup.tick(3).await.unwrap();
    let told = ["[CRITICAL] RESOLVED failures", "[ERROR] RESOLVED rules_invalid"];
    assert_eq!(setup.subjects()[2..], told);
}

#[tokio::test]
async fn metrics_of_aws_are_read_and_their_absence_stops_no_other_rule() {
    let values = (-5..1).map(|at| (minute(at), 90.0)).collect();
    let series = BTreeMap::from([(connections(), values)]);
    let setup = setup_with(FixedMetrics { series, ..FixedMetrics::default() });
    setup.tick(0).await.unwrap();
    assert_eq!(setup.subjects(), ["[WARNING] FIRING database_connections_high"]);

    let mut setup = setup_with(FixedMetrics { unavailable: true, ..FixedMetrics::default() });
    setup.errors(0, "contract", 5.0);
    setup.tick(0).await.unwrap();
    assert_eq!(setup.subjects(), [FIRING]);
    let state = setup.state();
    let alert = state.alerts.values().find(|alert| alert.rule == "database_connections_high").unwrap();
    assert_eq!((alert.phase, alert.health), (Phase::Inactive {}, Health::Error));

    // Where it lasts, people are told why; that CloudWatch answers again ends it.
    setup.tick(5).await.unwrap();
    assert_eq!(setup.subjects()[1..], ["[WARNING] FIRING evaluation_error (database_connections_high)"]);
    let text = &setup.topic.taken()[1].bodies["default"];
    assert!(text.contains("database_connections_high can't be evaluated: injected fault"), "{text}");
    let answering = rival(&setup);
    setup.flush(tick_for(6));
    answering.tick(tick_for(6), soon()).await.unwrap();
    assert_eq!(setup.subjects()[2..], ["[WARNING] RESOLVED evaluation_error (database_connections_high)"]);
}

/// CloudWatch that never answers.
struct Hanging;

impl ReadMetrics for Hanging {
    async fn read_metrics(&self, _: &[MetricQuery], _: Minute, _: Minute) -> Vec<Result<MinuteValues, Unanswered>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn while_cloudwatch_does_not_answer_the_others_are_told() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.flush(tick_for(0));
    let evaluator = evaluator(&setup.bucket, Hanging, setup.topic.clone(), &setup.log);
    // The time for reading is up, that for sending is not.
    let send_until = Instant::now() + SENDING - Duration::from_secs(8);
    let summary = evaluator.tick(tick_for(0), send_until).await.unwrap();
    assert_eq!((summary.sent, summary.cut_short), (1, false));
    assert_eq!(setup.subjects(), [FIRING]);
    let state = setup.state();
    let alert = state.alerts.values().find(|alert| alert.rule == "database_connections_high").unwrap();
    assert_eq!((alert.phase, alert.health), (Phase::Inactive {}, Health::Error));
}

#[tokio::test]
async fn a_run_that_has_no_time_to_tell_anything_is_an_error() {
    let mut setup = setup();
    setup.errors(0, "contract", 5.0);
    setup.flush(tick_for(0));
    let error = setup.evaluator.tick(tick_for(0), Instant::now()).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "the time was up before anything could be told");
    assert_eq!((setup.subjects().len(), setup.state().outbox.len()), (0, 2), "all of it waits, and nobody is at it");
    assert_eq!(setup.tick(0).await.unwrap().sent, 1);
}

#[tokio::test]
async fn what_is_stored_and_can_not_be_read_is_an_error_that_names_it() {
    for (key, body, expected) in [
        (keys::ALERT_STATE, "{}", "state/alert-evaluator.json: not an alert state: "),
        (keys::ALERT_STATE, "{\"version\": 9}", "state/alert-evaluator.json: alert state of version 9"),
        (keys::RECENT_ROLLUPS, "{\"minutes\":", "rollups/recent.json: "),
    ] {
        let setup = setup();
        setup.bucket.place(key, body);
        let error = format!("{:#}", setup.tick_without_flusher(0).await.unwrap_err());
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(setup.bucket.body(key).unwrap(), body.as_bytes(), "it is left as it is");
    }
}

#[tokio::test]
async fn the_sample_trigger_evaluates_the_minute_that_is_due() {
    let tick: Tick = serde_json::from_slice(&event_file("alert-evaluator/scheduled.json")).unwrap();
    let setup = setup();
    setup.flush(tick.time);
    let summary = setup.evaluator.tick(tick.time, soon()).await.unwrap();
    assert_eq!(summary, Summary { evaluated: 1, ..Summary::default() });
    // 10:06:00 less 90 s lies in 10:04, so 10:03 is the last minute that is surely complete.
    assert_eq!(setup.state().evaluated_until, minute(3));
}

#[test]
fn an_event_without_a_time_is_refused() {
    // Without it nobody knows which minutes are due.
    let error = serde_json::from_slice::<Tick>(&event_file("alert-evaluator/without-time.json")).unwrap_err();
    assert!(error.to_string().starts_with("missing field `time`"), "{error}");
}

#[test]
fn prefixes_of_alarms_stand_between_commas() {
    for (text, prefixes) in [("", &[][..]), ("web-", &["web-"]), (" web-, ,db ", &["web-", "db"])] {
        let lookup = |name: &str| match name {
            "ALARM_PREFIXES" => Some(text.to_owned()),
            "AMAZON_Q" => None,
            _ => Some("x".to_owned()),
        };
        assert_eq!(Config::from_lookup(lookup).unwrap().ours.prefixes, prefixes, "{text}");
    }
}

#[test]
fn missing_variables_are_named_at_cold_start() {
    let error = Config::from_lookup(|name| (name == "ENVIRONMENT").then(|| "production".into())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: BUCKET_NAME is not set; ALERT_TOPIC_ARN is not set; HISTORY_LOG_GROUP is not set; \
         DATABASE_INSTANCE is not set; AWS_REGION is not set; STACK_NAME is not set"
    );
}
