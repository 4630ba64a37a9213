//! What was posted of a group, so that a redelivery is known and, with a bot, the end changes the message that told the
//! beginning, and what is told in between stays below it.
//!
//! It is remembered after the posting: where that fails, the same is posted once more. So Slack gets a message at least
//! once, and a redelivery posts nothing as long as the note of it could be written.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alerting::history::Turned;
use crate::alerting::notification::Reason;
use crate::keys;
use crate::notifying::document::AlertDocument;
use crate::ports::Object;

use super::answer::Posted;

/// The only version of this format.
const VERSION: u32 = 1;

/// How many messages are remembered: SNS delivers again within hours.
const REMEMBERED: usize = 20;

/// What was posted of a group: `state/slack/<group>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// Version of this format.
    pub version: u32,
    /// The channel that was asked for; another one begins anew.
    pub channel: String,
    /// The first message of what is going on, or of what was last; `None` where Slack did not tell it.
    pub first: Option<First>,
    /// Ids of the last messages, the newest last.
    pub posted: Vec<String>,
}

/// A message that others belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct First {
    /// Id of its channel.
    pub channel: String,
    /// Which message of it.
    pub ts: String,
    /// Whether something fires, by what was told last.
    pub open: bool,
    /// The moment of the newest that was told.
    pub at: Timestamp,
}

/// What is done to tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A message of its own.
    Post,
    /// The first message says how things stand now. That notifies nobody.
    Update,
    /// A message below the first one.
    Reply {
        /// Whether it is shown in the channel as well.
        in_channel: bool,
    },
}

impl Thread {
    /// Nothing was posted to `channel` yet.
    pub fn new(channel: &str) -> Thread {
        Thread { version: VERSION, channel: channel.to_owned(), first: None, posted: Vec::new() }
    }

    /// Reads the stored note. One that can't be read, of another version or about another channel says nothing: it is
    /// only good for keeping messages together.
    pub fn parse(body: &[u8], channel: &str) -> Thread {
        let thread = serde_json::from_slice::<Thread>(body).ok();
        thread
            .filter(|thread| thread.version == VERSION && thread.channel == channel)
            .unwrap_or_else(|| Thread::new(channel))
    }

    /// The object to be written at `key`.
    pub fn to_object(&self, key: &str) -> Object {
        Object::json(key, self)
    }

    /// What is to be done to tell `document`; nothing where it was told already. What can be done twice without harm
    /// comes first.
    pub fn steps(&self, document: &AlertDocument) -> Vec<Step> {
        if self.posted.contains(&document.id) {
            return Vec::new();
        }
        let Some(first) = &self.first else { return vec![Step::Post] };
        // SNS keeps no order: what is older than what was told last belongs below it, and changes nothing.
        if document.at < first.at {
            return vec![Step::Reply { in_channel: false }];
        }
        match document.reason {
            _ if !first.open => vec![Step::Post],
            Reason::First | Reason::Digest => vec![Step::Post],
            Reason::NewAlerts => vec![Step::Update, Step::Reply { in_channel: true }],
            Reason::SomeResolved | Reason::AllResolved => vec![Step::Update, Step::Reply { in_channel: false }],
            Reason::Repeat => vec![Step::Reply { in_channel: false }],
        }
    }

    /// Notes that `document` was told by a message of its own, and where that is, if Slack has told it.
    pub fn began(&mut self, document: &AlertDocument, posted: Option<Posted>) {
        let (open, at) = (is_open(document), document.at);
        self.first = posted.map(|Posted { channel, ts }| First { channel, ts, open, at });
        self.note(document);
    }

    /// Notes that `document` was told by changing the first message, or below it.
    pub fn went_on(&mut self, document: &AlertDocument) {
        if let Some(first) = &mut self.first
            && document.at >= first.at
        {
            (first.open, first.at) = (is_open(document), document.at);
        }
        self.note(document);
    }

    fn note(&mut self, document: &AlertDocument) {
        self.posted.push(document.id.clone());
        let surplus = self.posted.len().saturating_sub(REMEMBERED);
        self.posted.drain(..surplus);
    }
}

/// Whether more is to come of what `document` tells.
fn is_open(document: &AlertDocument) -> bool {
    document.status == Turned::Firing && document.reason != Reason::Digest
}

/// Where the note about the group of `document` is.
pub fn key(document: &AlertDocument) -> String {
    keys::slack_thread(&document.thread())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifying::testing::{digest, document, notification, resolved, several};

    fn at(minute: i64, reason: Reason, mut document: AlertDocument) -> AlertDocument {
        document.at = crate::Minute::of(document.at).plus(minute).start();
        (document.reason, document.id) = (reason, format!("{minute}"));
        document
    }

    fn posted(ts: &str) -> Option<Posted> {
        Some(Posted { channel: "C1".to_owned(), ts: ts.to_owned() })
    }

    #[test]
    fn a_group_is_told_in_one_thread_from_its_beginning_to_its_end() {
        let mut thread = Thread::new("#alerts");
        let reply = |in_channel| Step::Reply { in_channel };
        let fires = || document(&several());
        let over = || document(&resolved());
        for (document, steps, ts) in [
            (at(0, Reason::First, fires()), vec![Step::Post], "1"),
            (at(5, Reason::NewAlerts, fires()), vec![Step::Update, reply(true)], "1"),
            (at(6, Reason::SomeResolved, fires()), vec![Step::Update, reply(false)], "1"),
            (at(60, Reason::Repeat, fires()), vec![reply(false)], "1"),
            // It comes late: what is told above it is newer.
            (at(59, Reason::NewAlerts, fires()), vec![reply(false)], "1"),
            (at(90, Reason::AllResolved, over()), vec![Step::Update, reply(false)], "1"),
            (at(89, Reason::Repeat, fires()), vec![reply(false)], "1"),
            // The next time is another story.
            (at(100, Reason::First, fires()), vec![Step::Post], "2"),
            (at(110, Reason::Repeat, fires()), vec![reply(false)], "2"),
        ] {
            assert_eq!(thread.steps(&document), steps, "{:?} {}", document.reason, document.id);
            match steps[..] {
                [Step::Post] => thread.began(&document, posted(ts)),
                _ => thread.went_on(&document),
            }
            assert_eq!(thread.first.as_ref().unwrap().ts, ts);
            assert_eq!(thread.steps(&document), Vec::new(), "it is told once");
        }
    }

    #[test]
    fn an_end_whose_beginning_was_never_posted_is_a_message_of_its_own() {
        let mut thread = Thread::new("#alerts");
        let end = document(&resolved());
        assert_eq!(thread.steps(&end), [Step::Post]);
        thread.began(&end, posted("1"));
        assert_eq!(thread.steps(&at(90, Reason::First, document(&notification()))), [Step::Post]);
    }

    #[test]
    fn a_digest_is_always_a_message_of_its_own() {
        let mut thread = Thread::new("#alerts");
        for minute in [0, 5] {
            let digest = at(minute, Reason::Digest, document(&digest()));
            assert_eq!(thread.steps(&digest), [Step::Post]);
            thread.began(&digest, posted("1"));
        }
    }

    #[test]
    fn a_note_is_about_its_channel_and_is_not_kept_for_ever() {
        let mut thread = Thread::new("#alerts");
        for minute in 0..50 {
            thread.began(&at(minute, Reason::Repeat, document(&notification())), posted("1"));
        }
        assert_eq!(thread.posted.len(), REMEMBERED);
        let object = thread.to_object("k");
        assert_eq!(Thread::parse(&object.body, "#alerts"), thread);
        assert_eq!(Thread::parse(&object.body, "#others"), Thread::new("#others"));
        for body in ["", "{}", r#"{"version":2}"#] {
            assert_eq!(Thread::parse(body.as_bytes(), "#alerts"), Thread::new("#alerts"));
        }
    }

    #[test]
    fn all_messages_of_a_group_have_the_same_key() {
        // What a storm tells of one group is not told of that group: it would take its thread over.
        let mut alone = digest();
        alone.group = notification().group;
        let [fires, over, storm, alone] = [notification(), resolved(), digest(), alone].map(|n| key(&document(&n)));
        assert_eq!(fires, over);
        assert!(fires != storm && fires != alone && alone != storm);
        assert!(fires.starts_with("state/slack/") && fires.ends_with(".json"), "{fires}");
    }
}
