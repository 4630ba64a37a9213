//! How to get into Slack: what the secret of the operators holds.
//!
//! It holds the address of an incoming webhook, as it is or as `{"webhook_url": "https://hooks.slack.com/..."}`, or the
//! token of a bot and its channel: `{"bot_token": "xoxb-...", "channel": "C0123456789"}`. With a bot, what is told of a
//! group stays together in a thread.

use serde::Deserialize;

use crate::ports::SecretText;

/// Where Slack's methods are, where the secret does not say.
const API: &str = "https://slack.com/api";

/// A way into Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// An incoming webhook: whoever knows its address can post.
    Webhook {
        /// The address.
        url: SecretText,
    },
    /// A bot, which may write to its channel (scope `chat:write`).
    Bot {
        /// Its token.
        token: SecretText,
        /// Id or name of the channel.
        channel: String,
        /// Where Slack's methods are: `https://slack.com/api`, or that of GovSlack.
        api: String,
    },
}

/// A secret that holds no way into Slack. It does not say what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAccess {
    /// Nothing is in it.
    #[error("the secret is empty: it has to hold {WANTED}")]
    Empty,
    /// Neither an address nor JSON of either form.
    #[error("the secret holds something else than {WANTED}")]
    Unknown,
    /// An address that would send what is told in the clear, or is none.
    #[error("the address in the secret is no https URL")]
    Address,
    /// A bot without a channel.
    #[error("the secret has a bot_token without a channel: {WANTED} is needed")]
    NoChannel,
    /// Both ways at once.
    #[error("the secret has both a webhook_url and a bot_token: one of them is needed")]
    Both,
}

const WANTED: &str = "the https address of a webhook, {\"webhook_url\": ...} or {\"bot_token\": ..., \"channel\": ...}";

#[derive(Deserialize)]
struct Fields {
    webhook_url: Option<String>,
    bot_token: Option<String>,
    channel: Option<String>,
    api_url: Option<String>,
}

impl Access {
    /// Reads the text of the secret.
    ///
    /// # Errors
    ///
    /// Where it holds no way into Slack; says what it should hold.
    pub fn parse(secret: &SecretText) -> Result<Access, NoAccess> {
        let text = secret.expose().trim();
        if text.is_empty() {
            return Err(NoAccess::Empty);
        }
        if !text.starts_with('{') {
            // A token, or whatever else, is no address.
            return if text.contains("://") { Access::webhook(text) } else { Err(NoAccess::Unknown) };
        }
        let fields: Fields = serde_json::from_str(text).map_err(|_| NoAccess::Unknown)?;
        let given = |field: Option<String>| field.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        match (given(fields.webhook_url), given(fields.bot_token)) {
            (Some(_), Some(_)) => Err(NoAccess::Both),
            (Some(url), None) => Access::webhook(&url),
            (None, Some(token)) => {
                let api = given(fields.api_url).unwrap_or_else(|| API.to_owned());
                let api = api.trim_end_matches('/').to_owned();
                let channel = given(fields.channel).ok_or(NoAccess::NoChannel)?;
                if !is_safe(&api) {
                    return Err(NoAccess::Address);
                }
                Ok(Access::Bot { token: SecretText::new(token), channel, api })
            }
            (None, None) => Err(NoAccess::Unknown),
        }
    }

    fn webhook(url: &str) -> Result<Access, NoAccess> {
        if is_safe(url) { Ok(Access::Webhook { url: SecretText::new(url) }) } else { Err(NoAccess::Address) }
    }
}

/// Whether what is sent there is encrypted, or never leaves the machine.
fn is_safe(url: &str) -> bool {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let loopback = |rest: &str| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let name = host.split(':').next().unwrap_or_default();
        let numbers = || name.split('.').count() == 4 && name.split('.').all(|part| part.parse::<u8>().is_ok());
        !host.contains('@') && (name == "localhost" || name.starts_with("127.") && numbers())
    };
    let host = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']);
    plain(url) && (url.strip_prefix("https://").is_some_and(host) || url.strip_prefix("http://").is_some_and(loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Access, NoAccess> {
        Access::parse(&SecretText::new(text))
    }

    #[test]
    fn a_secret_holds_a_webhook_or_a_bot() {
        let webhook = |url: &str| Ok(Access::Webhook { url: SecretText::new(url) });
        let bot = |api: &str| {
            Ok(Access::Bot { token: SecretText::new("xoxb-1"), channel: "C1".to_owned(), api: api.to_owned() })
        };
        let hook = "https://hooks.slack.com/services/T/B/x";
        for (text, expected) in [
            (format!(" {hook}\n"), webhook(hook)),
            (format!(r#"{{"webhook_url": "{hook}"}}"#), webhook(hook)),
            ("http://127.0.0.1:4000/slack".to_owned(), webhook("http://127.0.0.1:4000/slack")),
            (r#"{"bot_token": "xoxb-1", "channel": "C1", "note": "ours"}"#.to_owned(), bot("https://slack.com/api")),
            (
                r#"{"bot_token": "xoxb-1", "channel": "C1", "api_url": "https://slack-gov.com/api/"}"#.to_owned(),
                bot("https://slack-gov.com/api"),
            ),
        ] {
            assert_eq!(parsed(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_it_is_told_and_not_what_it_holds() {
        for (text, expected) in [
            (" \n", NoAccess::Empty),
            ("xoxb-secret", NoAccess::Unknown),
            ("{", NoAccess::Unknown),
            ("{}", NoAccess::Unknown),
            (r#"{"webhook_url": 1}"#, NoAccess::Unknown),
            (r#"{"webhook_url": "", "bot_token": " "}"#, NoAccess::Unknown),
            ("http://hooks.slack.com/services/secret", NoAccess::Address),
            ("http://127.0.0.1.example.com/secret", NoAccess::Address),
            ("http://localhost@example.com/secret", NoAccess::Address),
            ("https:///secret", NoAccess::Address),
            ("https://a b/secret", NoAccess::Address),
            ("ftp://secret", NoAccess::Address),
            (r#"{"bot_token": "xoxb-secret", "channel": "C1", "api_url": "http://slack.com/api"}"#, NoAccess::Address),
            (r#"{"bot_token": "xoxb-secret"}"#, NoAccess::NoChannel),
            (r#"{"bot_token": "xoxb-secret", "webhook_url": "https://x/secret"}"#, NoAccess::Both),
        ] {
            let error = parsed(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("xoxb-secret"), "{error}");
        }
    }
}
