//! What Slack's answer means, and how long to wait before the next try.
//!
//! A webhook answers with a status and a word (`invalid_payload`); a method of the API with 200 and
//! `{"ok": false, "error": "..."}`, but for 429 and what is broken.

use std::time::Duration;

use serde::Deserialize;

use crate::ports::Answered;

/// How often one message is tried within one run of the function; Lambda tries the run again later.
pub const TRIES: u32 = 4;

/// The first pause where Slack does not say how long to wait; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(250);

/// What Slack asks to be left alone where it does not say for how long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done {
        /// Where the message is; a webhook does not tell.
        posted: Option<Posted>,
    },
    /// Not now.
    Later {
        /// How long Slack wants to be left alone, where it says so.
        after: Option<Duration>,
        /// What it said.
        told: String,
    },
    /// The webhook or the token is not, or no more, valid: the secret may have changed.
    Locked(String),
    /// The blocks are not to Slack's liking.
    Blocks(String),
    /// Anything else: trying again does not help.
    Refused(String),
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Id of the channel, whatever name was used to post to it.
    pub channel: String,
    /// Which message of the channel: its time.
    pub ts: String,
}

/// What a method of the API answers.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

const LOCKED: [&str; 8] = [
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
    "invalid_token",
    "no_service",
    "no_team",
];
const BLOCKS: [&str; 4] = ["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_payload"];
const LATER: [&str; 7] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
];

/// What a webhook's answer means.
pub fn of_webhook(answered: &Answered) -> Verdict {
    let word = word(&answered.body);
    match answered.status {
        200..=299 => Verdict::Done { posted: None },
        429 => Verdict::Later { after: Some(answered.retry_after.unwrap_or(RETRY_AFTER)), told: told(answered) },
        500.. => Verdict::Later { after: answered.retry_after, told: told(answered) },
        401 | 403 | 404 => Verdict::Locked(told(answered)),
        400 if BLOCKS.contains(&word.as_str()) => Verdict::Blocks(told(answered)),
        _ => Verdict::Refused(told(answered)),
    }
}

/// What the answer of a method of the API means.
pub fn of_method(answered: &Answered) -> Verdict {
    match answered.status {
        429 => {
            return Verdict::Later { after: Some(answered.retry_after.unwrap_or(RETRY_AFTER)), told: told(answered) };
        }
        500.. => return Verdict::Later { after: answered.retry_after, told: told(answered) },
        401 | 403 | 404 => return Verdict::Locked(told(answered)),
        _ => {}
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(&answered.body) else {
        return match answered.status {
            // The answer broke off, or was too long to be read: a refusal is short, so it is most likely done, and a
            // further try would tell it twice.
            200..=299 if answered.body.is_empty() => Verdict::Done { posted: None },
            // A proxy's page, say. Slack does not write such, so that it may never have got the message.
            _ => Verdict::Refused(told(answered)),
        };
    };
    if answer.ok {
        let posted = answer.channel.zip(answer.ts).map(|(channel, ts)| Posted { channel, ts });
        return Verdict::Done { posted };
    }
    let error = answer.error.unwrap_or_default();
    let is_one_of = |errors: &[&str]| errors.contains(&error.as_str());
    if is_one_of(&LATER) {
        Verdict::Later { after: answered.retry_after, told: error }
    } else if is_one_of(&LOCKED) {
        Verdict::Locked(error)
    } else if is_one_of(&BLOCKS) {
        Verdict::Blocks(error)
    } else {
        Verdict::Refused(if error.is_empty() { told(answered) } else { error })
    }
}

/// How long to wait before the next try, after `tried` of them (1 is the first): `None` to leave it to Lambda. `after`
/// is what Slack asks for, `left` the time that is left to begin a try in.
pub fn pause(tried: u32, after: Option<Duration>, left: Duration) -> Option<Duration> {
    let own = PAUSE * 2u32.saturating_pow(tried.saturating_sub(1));
    let pause = after.unwrap_or(own);
    (tried < TRIES && pause < left).then_some(pause)
}

/// The status and the beginning of what was said; it goes into a log, on one line.
fn told(answered: &Answered) -> String {
    format!("answered {}: {}", answered.status, word(&answered.body)).trim_end_matches([' ', ':']).to_owned()
}

fn word(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().chars().filter(|c| !c.is_control()).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, retry_after: Option<u64>, body: &str) -> Answered {
        Answered { status, retry_after: retry_after.map(Duration::from_secs), body: body.as_bytes().to_vec() }
    }

    fn later(after: Option<u64>, told: &str) -> Verdict {
        Verdict::Later { after: after.map(Duration::from_secs), told: told.to_owned() }
    }

    #[test]
    fn a_webhook_says_it_by_status_and_word() {
        for (status, retry_after, body, expected) in [
            (200, None, "ok", Verdict::Done { posted: None }),
            (429, Some(30), "", later(Some(30), "answered 429")),
            (429, None, "rate_limited", later(Some(1), "answered 429: rate_limited")),
            (503, None, "no", later(None, "answered 503: no")),
            (401, None, "", Verdict::Locked("answered 401".to_owned())),
            (403, None, "invalid_token", Verdict::Locked("answered 403: invalid_token".to_owned())),
            (404, None, "no_service", Verdict::Locked("answered 404: no_service".to_owned())),
            (400, None, "invalid_blocks\n", Verdict::Blocks("answered 400: invalid_blocks".to_owned())),
            (400, None, "no_text", Verdict::Refused("answered 400: no_text".to_owned())),
            (410, None, "channel_is_archived", Verdict::Refused("answered 410: channel_is_archived".to_owned())),
            (302, None, "", Verdict::Refused("answered 302".to_owned())),
        ] {
            assert_eq!(of_webhook(&answered(status, retry_after, body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_method_says_it_in_its_answer() {
        let posted = Posted { channel: "C1".to_owned(), ts: "1.2".to_owned() };
        for (status, body, expected) in [
            (200, r#"{"ok":true,"channel":"C1","ts":"1.2","message":{}}"#, Verdict::Done { posted: Some(posted) }),
            (200, r#"{"ok":true}"#, Verdict::Done { posted: None }),
            (200, r#"{"ok":false,"error":"invalid_auth"}"#, Verdict::Locked("invalid_auth".to_owned())),
            (200, r#"{"ok":false,"error":"internal_error"}"#, later(None, "internal_error")),
            (200, r#"{"ok":false,"error":"invalid_blocks"}"#, Verdict::Blocks("invalid_blocks".to_owned())),
            (200, r#"{"ok":false,"error":"not_in_channel"}"#, Verdict::Refused("not_in_channel".to_owned())),
            (200, r#"{"ok":false}"#, Verdict::Refused(r#"answered 200: {"ok":false}"#.to_owned())),
            (200, "<html>", Verdict::Refused("answered 200: <html>".to_owned())),
            // What there is of an answer that broke off.
            (200, "", Verdict::Done { posted: None }),
            (302, "", Verdict::Refused("answered 302".to_owned())),
            (403, "", Verdict::Locked("answered 403".to_owned())),
            (502, "<html>", later(None, "answered 502: <html>")),
            (
                429,
                r#"{"ok":false,"error":"ratelimited"}"#,
                later(Some(1), r#"answered 429: {"ok":false,"error":"ratelimited"}"#),
            ),
        ] {
            assert_eq!(of_method(&answered(status, None, body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn slack_is_left_alone_for_as_long_as_it_asks_and_there_is_time() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let millis = |millis| Some(Duration::from_millis(millis));
        for (tried, after, left, expected) in [
            (1, None, 20, millis(250)),
            (2, None, 20, millis(500)),
            (3, None, 20, millis(1_000)),
            (4, None, 20, None),
            (1, seconds(5), 20, seconds(5)),
            (1, seconds(30), 20, None),
            (1, None, 0, None),
            (u32::MAX, None, 20, None),
        ] {
            assert_eq!(pause(tried, after, Duration::from_secs(left)), expected, "{tried} {after:?} {left}");
        }
    }
}
