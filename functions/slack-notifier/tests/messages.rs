//! Sample messages of the topic, posted to a Slack on loopback through the real client.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod slack_double;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::slack::Slack;
use aws_lambda_events::sns::SnsEvent;
use domain::ports::{
    Answered, CallSlack, GetObject, Object, PortError, ReadSecret, ReplaceObject, Replaced, SecretText, SlackCall,
    Stored, Version,
};
use serde_json::Value;
use slack_double::SlackDouble;
use slack_notifier::{Config, Notifier, POSTING, Summary};
use testkit::memory_bucket::Moment;
use testkit::{InMemoryBucket, Operation, event_file};
use tokio::time::{Instant, sleep};

const KEY: &str = "secret-key";

/// A secret that can be changed, and counts how often it is read.
#[derive(Clone, Default)]
struct Secret(Arc<Mutex<(String, usize)>>);

impl Secret {
    fn of(text: String) -> Secret {
        Secret(Arc::new(Mutex::new((text, 0))))
    }

    fn change(&self, text: String) {
        self.0.lock().unwrap().0 = text;
    }

    fn reads(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

impl ReadSecret for Secret {
    async fn read_secret(&self, _id: &str) -> Result<SecretText, PortError> {
        let mut secret = self.0.lock().unwrap();
        secret.1 += 1;
        Ok(SecretText::new(secret.0.clone()))
    }
}

/// A notifier, what it reads and writes, and Slack.
struct World {
    slack: SlackDouble,
    secret: Secret,
    bucket: InMemoryBucket,
    notifier: Notifier<Secret, Slack, InMemoryBucket>,
}

impl World {
    async fn new(text: impl Fn(&SlackDouble) -> String) -> World {
        let slack = SlackDouble::start(KEY).await;
        let (secret, bucket) = (Secret::of(text(&slack)), InMemoryBucket::new());
        let notifier = Notifier::new(secret.clone(), "slack", Slack::new().unwrap(), bucket.clone());
        World { slack, secret, bucket, notifier }
    }

    async fn with_webhook() -> World {
        World::new(|slack| slack.webhook(KEY)).await
    }

    async fn with_bot() -> World {
        World::new(|slack| slack.bot(KEY)).await
    }

    async fn handle(&self, event: &SnsEvent) -> anyhow::Result<Summary> {
        self.notifier.handle(event, Instant::now() + Duration::from_secs(20)).await
    }

    /// Posts a sample, and answers what Slack was sent for it.
    async fn posted(&self, name: &str) -> (Summary, Vec<Value>) {
        let before = self.slack.calls().len();
        let summary = self.handle(&event(name)).await.unwrap();
        (summary, self.slack.calls().split_off(before).into_iter().map(|call| call.body).collect())
    }

    /// What went wrong, with its causes.
    async fn failure(&self, name: &str) -> String {
        format!("{:#}", self.handle(&event(name)).await.unwrap_err())
    }
}

fn event(name: &str) -> SnsEvent {
    serde_json::from_slice(&event_file(&format!("slack-notifier/{name}.json")))
        .unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn header(message: &Value) -> &str {
    message["blocks"][0]["text"]["text"].as_str().unwrap()
}

const ONE_ALERT: Summary = Summary { alerts: 1, plain: 0, repeated: 0 };
const ONE_PLAIN: Summary = Summary { alerts: 0, plain: 1, repeated: 0 };

#[tokio::test]
async fn an_alert_becomes_blocks() {
    for world in [World::with_webhook().await, World::with_bot().await] {
        let (summary, messages) = world.posted("firing").await;
        assert_eq!(summary, ONE_ALERT);
        assert_eq!(header(&messages[0]), "\u{1f534} FIRING: contract_creation_failure (contract)");
        let (_, messages) = world.posted("resolved").await;
        assert_eq!(header(&messages[0]), "\u{2705} RESOLVED: contract_creation_failure (contract)");
        let (_, messages) = world.posted("digest").await;
        assert!(header(&messages[0]).contains("DIGEST: "), "{messages:?}");
        assert_eq!(world.secret.reads(), 1, "it is kept");
    }
}

#[tokio::test]
async fn what_is_no_alert_is_posted_as_it_came() {
    for world in [World::with_webhook().await, World::with_bot().await] {
        for (name, first, second) in [
            (
                "cloudwatch-alarm",
                "ALARM: \"observability-AlertEvaluatorStopped\" in EU (Ireland)",
                "\"NewStateValue\":\"ALARM\"",
            ),
            ("newer-document", "[ERROR] FIRING contract_creation_failure (contract)", "of another time"),
            ("plain-text", "The report of 2026-11-20 is ready: &lt;https://example.com/report&gt;", ""),
        ] {
            let (summary, messages) = world.posted(name).await;
            assert_eq!(summary, ONE_PLAIN, "{name}");
            assert_eq!(header(&messages[0]), first, "{name}");
            let text = messages[0]["blocks"][1]["text"]["text"].as_str().unwrap_or_default();
            assert!(text.contains(second), "{name}: {text}");
        }
        assert_eq!(world.bucket.keys(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_bot_keeps_a_group_in_one_thread_from_its_beginning_to_its_end() {
    let world = World::with_bot().await;
    let first = "1763720000.000000";
    for (name, expected) in [
        ("firing", vec!["chat.postMessage".to_owned()]),
        ("more", vec![format!("chat.update {first}"), format!("chat.postMessage {first}")]),
        ("repeat", vec![format!("chat.postMessage {first}")]),
        ("resolved", vec![format!("chat.update {first}"), format!("chat.postMessage {first}")]),
        // SNS delivers at least once.
        ("resolved", vec![]),
        ("firing", vec![]),
    ] {
        let before = world.slack.calls().len();
        let summary = world.handle(&event(name)).await.unwrap();
        assert_eq!(world.slack.told().split_off(before), expected, "{name}");
        assert_eq!(summary.repeated, usize::from(expected.is_empty()), "{name}");
    }
    let calls = world.slack.calls();
    assert!(calls.iter().all(|call| call.answer.contains(r#""ok":true"#)), "{calls:?}");
    assert_eq!(calls[0].body["channel"], "#alerts");
    // The update says how things stand, and only what is new calls the channel.
    assert!(header(&calls[4].body).contains("RESOLVED"), "{}", calls[4].body);
    let broadcast: Vec<bool> = calls.iter().map(|call| call.body["reply_broadcast"] == true).collect();
    assert_eq!(broadcast, [false, false, true, false, false, false]);
    assert_eq!(world.bucket.keys_under("state/slack/").len(), 1);
}

#[tokio::test]
async fn a_webhook_posts_each_message_by_itself_and_no_redelivery() {
    let world = World::with_webhook().await;
    for (name, posted) in [("firing", 1), ("firing", 0), ("more", 1), ("resolved", 1), ("firing", 0), ("resolved", 0)] {
        let (summary, calls) = world.posted(name).await;
        assert_eq!((calls.len(), summary.repeated), (posted, 1 - posted), "{name}");
    }
    for key in world.bucket.keys() {
        let note = String::from_utf8(world.bucket.body(&key).unwrap()).unwrap();
        assert!(!note.contains(KEY), "the address of the webhook is a secret: {note}");
    }
}

/// A Slack that takes what it is sent, and whose answers are lost.
#[derive(Clone, Default)]
struct Mute(Arc<Mutex<usize>>);

impl CallSlack for Mute {
    async fn call(&self, _: &SlackCall) -> Result<Answered, PortError> {
        *self.0.lock().unwrap() += 1;
        Err(PortError::transient("call Slack", "no answer in time"))
    }
}

#[tokio::test]
async fn what_gets_no_answer_is_tried_once_more_and_then_left_to_lambda() {
    // Each try may have been posted: four of them were four messages.
    let (slack, secret) = (Mute::default(), Secret::of("https://hooks.slack.com/services/T/B/x".to_owned()));
    let notifier = Notifier::new(secret, "slack", slack.clone(), InMemoryBucket::new());
    let until = Instant::now() + Duration::from_secs(20);
    let failure = notifier.handle(&event("firing"), until).await.unwrap_err();
    assert!(format!("{failure:#}").contains("given up after 2 tries"), "{failure:#}");
    assert_eq!(*slack.0.lock().unwrap(), 2);
}

#[tokio::test]
async fn where_slack_takes_no_more_of_a_thread_there_is_a_new_one() {
    // The channel was made anew under its name, so that the note has the id of the old one.
    const GONE: [&str; 4] = [
        r#"{"ok":false,"error":"message_not_found"}"#,
        r#"{"ok":false,"error":"channel_not_found"}"#,
        r#"{"ok":false,"error":"is_archived"}"#,
        r#"{"ok":false,"error":"of_a_kind_that_nobody_knows"}"#,
    ];
    for gone in GONE {
        let world = World::with_bot().await;
        world.posted("firing").await;
        world.slack.answer_next([(200, gone)]);
        assert_eq!(world.posted("more").await.0, ONE_ALERT, "{gone}");
        let told = world.slack.told();
        assert_eq!(told, ["chat.postMessage", "chat.update 1763720000.000000", "chat.postMessage"], "{gone}");
        // What follows belongs to the new one.
        world.posted("resolved").await;
        assert_eq!(world.slack.told()[3], "chat.update 1763720000.000001");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_no_refusal() {
    let world = World::with_bot().await;
    world.slack.answer_next([(200, "")]);
    assert_eq!(world.posted("firing").await.0, ONE_ALERT);
    assert_eq!(world.posted("firing").await.0.repeated, 1);
}

/// A Slack that takes nine seconds for each answer: the first are as scripted, the others that all is well.
#[derive(Clone, Default)]
struct Late(Arc<Mutex<(Vec<&'static str>, Vec<&'static str>)>>);

impl CallSlack for Late {
    async fn call(&self, call: &SlackCall) -> Result<Answered, PortError> {
        let method = if call.url.expose().ends_with("update") { "update" } else { "post" };
        sleep(Duration::from_secs(9)).await;
        let mut state = self.0.lock().unwrap();
        state.1.push(method);
        let fine = r#"{"ok":true,"channel":"C","ts":"1.2"}"#;
        let answer = if state.0.is_empty() { fine } else { state.0.remove(0) };
        Ok(Answered { status: 200, retry_after: None, body: answer.as_bytes().to_vec() })
    }
}

/// A bucket, or a secret, that answers after so long.
#[derive(Clone)]
struct Slow<T>(T, Duration);

impl ReadSecret for Slow<Secret> {
    async fn read_secret(&self, id: &str) -> Result<SecretText, PortError> {
        sleep(self.1).await;
        self.0.read_secret(id).await
    }
}

impl GetObject for Slow<InMemoryBucket> {
    async fn get(&self, key: &str) -> Result<Option<Stored>, PortError> {
        sleep(self.1).await;
        self.0.get(key).await
    }
}

impl ReplaceObject for Slow<InMemoryBucket> {
    async fn replace(&self, object: &Object, version: Option<&Version>) -> Result<Replaced, PortError> {
        sleep(self.1).await;
        self.0.replace(object, version).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_before_it_is_killed_whoever_is_slow() {
    let blocks = r#"{"ok":false,"error":"invalid_blocks"}"#;
    let gone = r#"{"ok":false,"error":"message_not_found"}"#;
    let locked = r#"{"ok":false,"error":"invalid_auth"}"#;
    for (answers, secret, bucket, calls, is_told) in [
        // At once, but for Slack: all that there is.
        (vec![], 0, 0, vec!["update", "post"], true),
        (vec![blocks], 0, 0, vec!["update", "update", "post"], true),
        (vec![gone], 0, 0, vec!["update", "post"], true),
        // With two answers the time is over: no third way is tried, but what is begun is told to its end.
        (vec![blocks, gone], 0, 3, vec!["update", "update"], false),
        (vec![], 25, 4, vec!["update", "post"], true),
        (vec![blocks], 25, 4, vec!["update"], false),
        (vec![gone], 25, 4, vec!["update"], false),
        (vec![locked], 25, 4, vec!["update"], false),
        // What was posted before is waited for, but not for ever; then it is a message by itself.
        (vec![], 25, 25, vec!["post"], true),
        (vec![blocks], 25, 25, vec!["post"], false),
    ] {
        let bot = r#"{"bot_token": "xoxb-1", "channel": "C"}"#.to_owned();
        let kept = InMemoryBucket::new();
        let before = Notifier::new(Secret::of(bot.clone()), "slack", Late::default(), kept.clone());
        before.handle(&event("firing"), Instant::now() + POSTING).await.unwrap();
        let slack = Late::default();
        slack.0.lock().unwrap().0.clone_from(&answers);
        let (secret, bucket) = (Duration::from_secs(secret), Duration::from_secs(bucket));
        let notifier = Notifier::new(Slow(Secret::of(bot), secret), "slack", slack.clone(), Slow(kept, bucket));
        let began = Instant::now();
        let summary = notifier.handle(&event("more"), began + POSTING).await;
        let case = format!("{answers:?} {secret:?} {bucket:?}: {summary:?}");
        assert_eq!(slack.0.lock().unwrap().1, calls, "{case}");
        assert_eq!(summary.is_ok(), is_told, "{case}");
        // By the paused clock. Lambda kills it after a minute.
        assert!(began.elapsed() <= Duration::from_secs(56), "{case} {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_bucket_that_is_away_keeps_nobody_from_being_told() {
    for operation in [Operation::Get, Operation::Replace] {
        let world = World::with_bot().await;
        world.bucket.inject(move |found, _| (found == operation).then_some(Moment::Before));
        assert_eq!(world.posted("firing").await.0, ONE_ALERT, "{operation:?}");
        world.bucket.heal();
        assert_eq!(world.posted("resolved").await.0, ONE_ALERT, "{operation:?}");
    }
}

#[tokio::test]
async fn slack_is_left_alone_for_as_long_as_it_asks() {
    for world in [World::with_webhook().await, World::with_bot().await] {
        // Whoever comes too early uses up the tries that there are.
        world.slack.be_busy(Duration::from_secs(1));
        assert_eq!(world.posted("firing").await.0, ONE_ALERT);
        let statuses: Vec<u16> = world.slack.calls().iter().map(|call| call.status).collect();
        assert_eq!(statuses, [429, 200]);
    }
}

#[tokio::test]
async fn where_slack_asks_for_more_time_than_there_is_lambda_tries_again() {
    let world = World::with_webhook().await;
    world.slack.be_busy(Duration::from_secs(3_000));
    let failure = world.failure("firing").await;
    assert!(failure.ends_with("given up after 1 tries: Slack wants to be asked later: answered 429"), "{failure}");
    assert_eq!(world.slack.calls().len(), 1);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_at_once_and_what_lasts_is_left_to_lambda() {
    // Defect 17: a failure to send was swallowed.
    for world in [World::with_webhook().await, World::with_bot().await] {
        world.slack.answer_next([(503, "no"), (500, "")]);
        assert_eq!(world.posted("firing").await.0, ONE_ALERT);
        assert_eq!(world.slack.calls().len(), 3);
    }
    let world = World::with_webhook().await;
    world.slack.answer_next([(503, "no"); 4]);
    assert_eq!(
        world.failure("firing").await,
        "1 of 1 messages are not posted, the first: 95df01b4-ee98-5cb9-9903-4c221d41eb51: given up after 4 tries: \
         Slack wants to be asked later: answered 503: no"
    );
    assert_eq!(world.posted("firing").await.0, ONE_ALERT, "and then it works");
}

#[tokio::test]
async fn what_slack_refuses_fails_the_invocation_at_once() {
    let world = World::with_bot().await;
    world.slack.answer_next([(200, r#"{"ok":false,"error":"not_in_channel"}"#)]);
    let failure = world.failure("firing").await;
    assert!(failure.ends_with("Slack refuses the message: not_in_channel"), "{failure}");
    assert_eq!(world.slack.calls().len(), 1);
}

#[tokio::test]
async fn where_slack_does_not_like_the_blocks_the_text_is_posted() {
    for (world, refusal) in [
        (World::with_webhook().await, (400, "invalid_blocks")),
        (World::with_bot().await, (200, r#"{"ok":false,"error":"invalid_blocks"}"#)),
    ] {
        world.slack.answer_next([refusal]);
        let (summary, messages) = world.posted("firing").await;
        assert_eq!((summary, messages.len()), (ONE_ALERT, 2));
        assert!(messages[1]["blocks"].is_null());
        assert_eq!(messages[1]["text"], "\u{1f534} FIRING: contract_creation_failure (contract)");
    }
}

#[tokio::test]
async fn a_secret_that_was_rotated_is_read_again() {
    for is_bot in [false, true] {
        let text = move |slack: &SlackDouble, key: &str| if is_bot { slack.bot(key) } else { slack.webhook(key) };
        let world = World::new(|slack| text(slack, KEY)).await;
        world.posted("firing").await;
        world.slack.rotate("another");
        world.secret.change(text(&world.slack, "another"));
        assert_eq!(world.posted("resolved").await.0, ONE_ALERT, "bot: {is_bot}");
        assert_eq!(world.secret.reads(), 2);
        // Now it is Slack alone that has another.
        world.slack.rotate("a third");
        let failure = world.failure("two-records").await;
        assert!(failure.contains("Slack does not let us in: "), "{failure}");
        assert!(failure.ends_with("; secret slack has to be renewed"), "{failure}");
        for key in [KEY, "another", "a third"] {
            assert!(!failure.contains(key), "{failure}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_holds_nothing_of_use_is_named_with_what_it_should_hold() {
    let world = World::new(|_| String::new()).await;
    let failure = world.failure("firing").await;
    assert!(failure.contains("secret slack: the secret is empty: it has to hold the https address"), "{failure}");
    // Once it is filled, the retry succeeds.
    world.secret.change(world.slack.webhook(KEY));
    assert_eq!(world.posted("firing").await.0, ONE_ALERT);
}

#[tokio::test]
async fn one_that_fails_stops_no_other() {
    let world = World::with_webhook().await;
    world.slack.answer_next([(400, "no_text")]);
    let failure = world.failure("two-records").await;
    assert!(failure.starts_with("1 of 2 messages are not posted"), "{failure}");
    let calls = world.slack.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].body.to_string().contains("second"));
}

#[test]
fn what_is_missing_is_named_at_cold_start() {
    let error = Config::from_lookup(|_| None).unwrap_err().to_string();
    assert_eq!(error, "configuration: BUCKET_NAME is not set; SLACK_SECRET_ARN is not set");
}
