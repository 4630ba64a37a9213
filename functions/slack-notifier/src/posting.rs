//! Calls of Slack, each tried as often as it makes sense in the time that there is.

use std::time::Duration;

use anyhow::anyhow;
use domain::notifying::slack::access::Access;
use domain::notifying::slack::answer::{self, Posted, Verdict};
use domain::notifying::slack::without_blocks;
use domain::ports::{Answered, CallSlack, Retry, SecretText, SlackCall};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a run goes on trying to post, from its beginning. Beyond, a message that nobody was told yet is tried once,
/// and what was begun is told to its end: that are two calls, of ten seconds each at most, before the note.
pub const POSTING: Duration = Duration::from_secs(20);

/// How long after that it may take until it is noted what was posted. It leaves a few seconds of the function's minute,
/// since a run that is killed is taken for one that has posted nothing.
pub const NOTING: Duration = Duration::from_secs(35);

/// How often no answer is borne in a run: what got none may have been posted, and each further try posts it again.
const UNANSWERED: u32 = 2;

/// Why something was not posted.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The webhook or the token is not valid.
    Locked(String),
    /// Slack does not take it, or not there: the message that was to be changed or answered is gone, or its channel.
    Refused(String),
    /// Anything else; trying again in this run does not help.
    Failed(anyhow::Error),
}

/// Where a message goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// Into the channel.
    Channel,
    /// In the place of that message.
    Instead(&'a Posted),
    /// Below that message, and into the channel as well if so.
    Below(&'a Posted, bool),
}

/// Sends `message`. Where Slack does not like its blocks, its text alone has to do.
pub(crate) async fn send(
    slack: &impl CallSlack,
    access: &Access,
    place: Place<'_>,
    message: &Value,
    until: Instant,
) -> Result<Option<Posted>, Refusal> {
    match attempt(slack, access, place, message, until).await {
        Err(Failure::Blocks(told)) if Instant::now() >= until => {
            Err(Refusal::Failed(anyhow!("no time is left to post the text of a message without its blocks: {told}")))
        }
        Err(Failure::Blocks(told)) => {
            tracing::error!(told, "Slack does not take the blocks of a message; its text is posted");
            match attempt(slack, access, place, &without_blocks(message), until).await {
                Err(Failure::Blocks(told)) => Err(Refusal::Refused(told)),
                Err(Failure::Other(refusal)) => Err(refusal),
                Ok(posted) => Ok(posted),
            }
        }
        Err(Failure::Other(refusal)) => Err(refusal),
        Ok(posted) => Ok(posted),
    }
}

enum Failure {
    Blocks(String),
    Other(Refusal),
}

async fn attempt(
    slack: &impl CallSlack,
    access: &Access,
    place: Place<'_>,
    message: &Value,
    until: Instant,
) -> Result<Option<Posted>, Failure> {
    let (call, verdict) = call(access, place, message);
    let (mut tried, mut unanswered) = (0, 0);
    loop {
        tried += 1;
        let (after, error) = match slack.call(&call).await {
            Ok(answered) => match verdict(&answered) {
                Verdict::Done { posted } => {
                    if posted.is_none() && call.token.is_some() {
                        tracing::warn!("Slack has taken a message, but its answer does not tell where it is");
                    }
                    return Ok(posted);
                }
                Verdict::Later { after, told } => (after, anyhow!("Slack wants to be asked later: {told}")),
                Verdict::Locked(told) => return Err(Failure::Other(Refusal::Locked(told))),
                Verdict::Blocks(told) => return Err(Failure::Blocks(told)),
                Verdict::Refused(told) => return Err(Failure::Other(Refusal::Refused(told))),
            },
            Err(error) if error.retry == Retry::Permanent => return Err(Failure::Other(Refusal::Failed(error.into()))),
            Err(error) => {
                unanswered += 1;
                (None, error.into())
            }
        };
        let left = until.saturating_duration_since(Instant::now());
        let pause = answer::pause(tried, after, left).filter(|_| unanswered < UNANSWERED);
        let Some(pause) = pause else {
            return Err(Failure::Other(Refusal::Failed(error.context(format!("given up after {tried} tries")))));
        };
        tracing::warn!(error = &*error as &dyn std::error::Error, pause_ms = pause.as_millis() as u64, "trying again");
        tokio::time::sleep(pause).await;
    }
}

/// The call that sends `message`, and how to read its answer. A webhook knows no place but its channel.
fn call(access: &Access, place: Place<'_>, message: &Value) -> (SlackCall, fn(&Answered) -> Verdict) {
    let (token, channel, api) = match access {
        Access::Webhook { url } => {
            return (SlackCall { url: url.clone(), token: None, body: message.to_string() }, answer::of_webhook);
        }
        Access::Bot { token, channel, api } => (token, channel, api),
    };
    let mut body = message.clone();
    let method = match place {
        Place::Channel => {
            body["channel"] = json!(channel);
            "chat.postMessage"
        }
        Place::Instead(posted) => {
            // What is left out stays as it was.
            if body["blocks"].is_null() {
                body["blocks"] = json!([]);
            }
            (body["channel"], body["ts"]) = (json!(posted.channel), json!(posted.ts));
            "chat.update"
        }
        Place::Below(posted, in_channel) => {
            (body["channel"], body["thread_ts"]) = (json!(posted.channel), json!(posted.ts));
            if in_channel {
                body["reply_broadcast"] = json!(true);
            }
            "chat.postMessage"
        }
    };
    if method == "chat.postMessage" {
        // Links in log lines and runbooks need no preview.
        (body["unfurl_links"], body["unfurl_media"]) = (json!(false), json!(false));
    }
    let url = SecretText::new(format!("{api}/{method}"));
    (SlackCall { url, token: Some(token.clone()), body: body.to_string() }, answer::of_method)
}
