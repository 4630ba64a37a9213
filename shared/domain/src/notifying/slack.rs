//! Alerts as Slack's Block Kit, and anything else as plain text.
//!
//! Limits (Slack's block reference): a header takes 150 characters, a section 3,000, a field 2,000, a
//! message 50 blocks, of which we use few; a message shows about 13,200 characters in all.

use serde_json::{Value, json};

use crate::alerting::history::Turned;

use super::document::AlertDocument;
use super::wording::{one_line, time};

const MAX_HEADER: usize = 150;
const MAX_SECTION: usize = 3_000;
const MAX_FIELD: usize = 2_000;

/// Sections of a plain message; more would not be shown.
const MAX_SECTIONS: usize = 4;

/// The message of an alert.
pub fn alert(document: &AlertDocument) -> Value {
    let group = document.group().map(|group| format!(" ({group})")).unwrap_or_default();
    let headline = format!("{} {}: {}{group}", sign(document), document.status_word(), document.rule);
    let mut fields = vec![("Value", document.value_text())];
    match document.fired_for() {
        Some(span) => fields.push(("Fired for", format!("{span}, until {}", time(document.at)))),
        None => fields.push(("Since", time(document.breaching_since))),
    }
    fields.push(("Severity", document.severity.clone()));
    fields.push(("Service", document.service.clone()));
    fields.push(("Environment", document.environment.clone()));
    if let Some(reason) = &document.reason {
        fields.push(("Reason", reason.clone()));
    }
    let mut blocks = vec![header(&headline), section(&document.summary), section_of_fields(&fields)];
    if let Some(url) = &document.runbook_url {
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": link(url, "What to do")}]}));
    }
    json!({"text": escaped(&one_line(&headline), MAX_SECTION), "blocks": blocks})
}

/// The message of a text that is not an alert, with the subject it came with.
pub fn plain(subject: Option<&str>, text: &str) -> Value {
    let subject = subject.filter(|subject| !subject.trim().is_empty());
    let mut blocks: Vec<Value> = subject.map(header).into_iter().collect();
    let text = something(text);
    let mut rest = text;
    while !rest.is_empty() && blocks.len() < MAX_SECTIONS {
        let taken = fitting(rest, MAX_SECTION);
        blocks.push(section(&rest[..taken]));
        rest = &rest[taken..];
    }
    if !rest.is_empty() {
        blocks.push(section("(the rest is too long for Slack)"));
    }
    json!({"text": escaped(&one_line(subject.unwrap_or(text)), MAX_SECTION), "blocks": blocks})
}

/// What is over looks otherwise than what is not, and bad otherwise than worse.
fn sign(document: &AlertDocument) -> &'static str {
    match (document.status, document.severity.as_str()) {
        (Turned::Resolved, _) => "\u{2705}",
        (Turned::Firing, "critical") => "\u{1f6a8}",
        (Turned::Firing, "error") => "\u{1f534}",
        (Turned::Firing, "warning") => "\u{1f7e0}",
        (Turned::Firing, _) => "\u{1f535}",
    }
}

/// Slack refuses a message with an empty text in it.
fn something(text: &str) -> &str {
    if text.chars().all(|c| c.is_whitespace() || c.is_control()) { "(no text)" } else { text }
}

fn header(text: &str) -> Value {
    let text = escaped(&one_line(something(text)), MAX_HEADER);
    json!({"type": "header", "text": {"type": "plain_text", "text": text, "emoji": true}})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": escaped(something(text), MAX_SECTION)}})
}

fn section_of_fields(fields: &[(&str, String)]) -> Value {
    let field = |(name, value): &(&str, String)| {
        let value = escaped(&one_line(value), MAX_FIELD - 100);
        json!({"type": "mrkdwn", "text": format!("*{name}*\n{value}")})
    };
    json!({"type": "section", "fields": fields.iter().map(field).collect::<Vec<Value>>()})
}

/// A link can't contain what ends it.
fn link(url: &str, text: &str) -> String {
    let url = url.replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C");
    if url.len() > MAX_FIELD - 100 { text.to_owned() } else { format!("<{url}|{text}>") }
}

/// `text` with what is markup to Slack written out (`<!channel>` would call everybody), at most `max`
/// characters of it.
fn escaped(text: &str, max: usize) -> String {
    let fits = fitting(text, max);
    if fits == text.len() {
        return text.chars().map(escape).collect();
    }
    let fits = fitting(text, max - 1);
    text[..fits].chars().map(escape).chain(["\u{2026}".to_owned()]).collect()
}

/// How many bytes of `text` are at most `max` characters when escaped.
fn fitting(text: &str, max: usize) -> usize {
    let mut length = 0;
    for (at, c) in text.char_indices() {
        length += escape(c).chars().count();
        if length > max {
            return at;
        }
    }
    text.len()
}

fn escape(c: char) -> String {
    match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        // A tab or a line break is text, anything else of that kind is not.
        c if c.is_control() && !matches!(c, '\n' | '\t') => " ".to_owned(),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{document, resolved};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn firing_is_a_few_blocks_with_the_news_first() {
        let expected = json!({
            "text": "\u{1f534} FIRING: contract_creation_failure (contract)",
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "emoji": true,
                    "text": "\u{1f534} FIRING: contract_creation_failure (contract)"}},
                {"type": "section", "text": {"type": "mrkdwn", "text": "Ошибки создания договоров: 4"}},
                {"type": "section", "fields": [
                    {"type": "mrkdwn", "text": "*Value*\n4 (fires when &gt; 3)"},
                    {"type": "mrkdwn", "text": "*Since*\n2026-11-21 10:11 UTC"},
                    {"type": "mrkdwn", "text": "*Severity*\nerror"},
                    {"type": "mrkdwn", "text": "*Service*\ncontract"},
                    {"type": "mrkdwn", "text": "*Environment*\nproduction"}
                ]},
                {"type": "context", "elements": [{"type": "mrkdwn",
                    "text": "<https://wiki.company.com/runbooks/contract-failures|What to do>"}]}
            ]
        });
        assert_eq!(alert(&document()), expected);
    }

    #[test]
    fn resolved_looks_otherwise_and_says_how_long_it_fired() {
        let message = alert(&resolved());
        assert_eq!(message["text"], "\u{2705} RESOLVED: contract_creation_failure (contract)");
        assert_eq!(message["blocks"][2]["fields"][1]["text"], "*Fired for*\n27 min, until 2026-11-21 10:40 UTC");
    }

    #[test]
    fn no_text_calls_the_channel_or_hides_a_link() {
        let mut document = document();
        document.summary = "<!channel> & <https://evil|bank>".to_owned();
        document.labels.insert("service".to_owned(), "<@U1>".to_owned());
        document.runbook_url = Some("https://example.com/?a=1&b=<x>|y".to_owned());
        let message = alert(&document);
        assert_eq!(message["blocks"][1]["text"]["text"], "&lt;!channel&gt; &amp; &lt;https://evil|bank&gt;");
        assert!(message["blocks"][0]["text"]["text"].as_str().unwrap().ends_with("(&lt;@U1&gt;)"));
        assert_eq!(
            message["blocks"][3]["elements"][0]["text"],
            "<https://example.com/?a=1&amp;b=%3Cx%3E%7Cy|What to do>"
        );
    }

    #[test]
    fn what_is_no_alert_is_told_as_it_is() {
        let message = plain(Some("ALARM: \"watchdog\" in EU (Ireland)"), "{\"NewStateValue\":\"ALARM\"}");
        assert_eq!(message["blocks"][0]["text"]["text"], "ALARM: \"watchdog\" in EU (Ireland)");
        assert_eq!(message["blocks"][1]["text"]["text"], "{\"NewStateValue\":\"ALARM\"}");
        let nothing = plain(None, " ");
        assert_eq!(nothing["blocks"], json!([{"type": "section", "text": {"type": "mrkdwn", "text": "(no text)"}}]));
    }

    #[test]
    fn a_long_text_is_split_and_its_end_is_named() {
        let message = plain(Some("s"), &"a".repeat(20_000));
        let lengths: Vec<usize> = message["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["text"]["text"].as_str().unwrap().len())
            .collect();
        assert_eq!(lengths, [1, 3_000, 3_000, 3_000, 32]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn no_text_breaks_a_limit(
            text in "(?s).{0,50}",
            times in 0..400usize,
            labels in prop::collection::btree_map(".{1,9}", "[&<>\\n]{0,400}", 0..5),
        ) {
            let mut document = document();
            document.labels = labels;
            document.summary = text.repeat(times);
            document.service = text.repeat(times);
            document.reason = Some(text.repeat(times));
            for message in [alert(&document), plain(Some(&document.service), &document.summary)] {
                let blocks = message["blocks"].as_array().unwrap();
                prop_assert!(!blocks.is_empty() && blocks.len() <= 50);
                for block in blocks {
                    let max = if block["type"] == "header" { MAX_HEADER } else { MAX_SECTION };
                    if let Some(text) = block["text"]["text"].as_str() {
                        prop_assert!(!text.trim().is_empty() && text.chars().count() <= max);
                    }
                    for field in block["fields"].as_array().into_iter().flatten() {
                        prop_assert!(field["text"].as_str().unwrap().chars().count() <= MAX_FIELD);
                    }
                }
            }
        }
    }
}
