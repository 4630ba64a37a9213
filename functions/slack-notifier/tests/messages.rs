//! Sample messages of the topic, posted to a webhook in memory.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use aws_lambda_events::sns::SnsEvent;
use domain::ports::Retry;
use serde_json::Value;
use slack_notifier::{Config, Summary, handle};
use testkit::{RecordedWebhook, event_file};

fn event(name: &str) -> SnsEvent {
    serde_json::from_slice(&event_file(&format!("slack-notifier/{name}.json")))
        .unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn posted(name: &str) -> (Summary, Vec<Value>) {
    let webhook = RecordedWebhook::new();
    let summary = handle(&event(name), &webhook).await.unwrap();
    (summary, webhook.taken().iter().map(|body| serde_json::from_str(body).unwrap()).collect())
}

fn header(message: &Value) -> &str {
    message["blocks"][0]["text"]["text"].as_str().unwrap()
}

#[tokio::test]
async fn an_alert_becomes_blocks() {
    let (summary, messages) = posted("firing").await;
    assert_eq!(summary, Summary { alerts: 1, plain: 0 });
    assert_eq!(header(&messages[0]), "\u{1f534} FIRING: contract_creation_failure (contract)");
    let (_, messages) = posted("resolved").await;
    assert_eq!(header(&messages[0]), "\u{2705} RESOLVED: contract_creation_failure (contract)");
}

#[tokio::test]
async fn what_is_no_alert_is_posted_as_it_came() {
    for (name, first, second) in [
        (
            "cloudwatch-alarm",
            "ALARM: \"observability-AlertEvaluatorStopped\" in EU (Ireland)",
            "\"NewStateValue\":\"ALARM\"",
        ),
        ("newer-document", "[ERROR] FIRING contract_creation_failure (contract)", "of another time"),
        ("plain-text", "The report of 2026-11-20 is ready: &lt;https://example.com/report&gt;", ""),
    ] {
        let (summary, messages) = posted(name).await;
        assert_eq!(summary, Summary { alerts: 0, plain: 1 }, "{name}");
        assert_eq!(header(&messages[0]), first, "{name}");
        let text = messages[0]["blocks"][1]["text"]["text"].as_str().unwrap_or_default();
        assert!(text.contains(second), "{name}: {text}");
    }
}

#[tokio::test]
async fn an_unreachable_webhook_fails_the_invocation_so_that_it_is_tried_again() {
    // Defect 17: a failure to send was swallowed.
    for retry in [Retry::Transient, Retry::Permanent] {
        let webhook = RecordedWebhook::new();
        webhook.fail_next([retry]);
        let error = handle(&event("firing"), &webhook).await.unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "1 of 1 messages are not posted, the first: 95df01b4-ee98-5cb9-9903-4c221d41eb51: \
             post to the webhook: injected fault"
        );
        assert_eq!(handle(&event("firing"), &webhook).await.unwrap(), Summary { alerts: 1, plain: 0 });
    }
}

#[tokio::test]
async fn one_that_fails_stops_no_other() {
    let webhook = RecordedWebhook::new();
    webhook.fail_next([Retry::Permanent]);
    let error = handle(&event("two-records"), &webhook).await.unwrap_err();
    assert!(error.to_string().starts_with("1 of 2 messages are not posted"), "{error}");
    assert_eq!(webhook.taken().len(), 1);
    assert!(webhook.taken()[0].contains("second"));
}

#[test]
fn a_wrong_url_is_named_at_cold_start_without_being_told() {
    let error = |url: &'static str| Config::from_lookup(|_| Some(url.to_owned())).unwrap_err().to_string();
    assert_eq!(error(""), "configuration: SLACK_WEBHOOK_URL is not set");
    assert_eq!(error("hooks/secret"), "configuration: SLACK_WEBHOOK_URL is `(hidden)`: not an http or https URL");
    let config = Config::from_lookup(|_| Some("https://hooks.slack.com/services/secret".to_owned())).unwrap();
    assert!(!format!("{config:?}").contains("secret"));
}
