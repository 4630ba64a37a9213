//! Alerts as Slack's Block Kit, and anything else as plain text.
//!
//! Limits (Slack's block reference): a header takes 150 characters, a section 3,000, a field 2,000, a context element
//! 3,000, a message 50 blocks; a message shows about 13,200 characters in all, so what is less urgent is left out.
//! Links are text and not buttons: Slack reports a click on a button to the app, and warns the reader where nobody
//! answers.

pub mod access;
pub mod answer;
pub mod thread;

mod mrkdwn;

use serde_json::{Value, json};

use crate::alerting::history::Turned;
use crate::alerting::notification::Reason;
use crate::alerting::rules::Severity;

use super::document::{Alert, AlertDocument, Digest, DigestGroup};
use super::evidence::AlertEvidence;
use super::wording::{capital, counted, moment, one_line, time};
use super::{email, links};

pub(super) use mrkdwn::link;
use mrkdwn::{escaped, fitting, literal, something};

const MAX_HEADER: usize = 150;
const MAX_SECTION: usize = 3_000;
/// What is shown of a message, in characters of all its blocks: Slack cuts it a little beyond.
const MAX_SHOWN: usize = 13_000;

/// Characters of a field's value: all fields together leave room for a summary, whatever they hold.
const MAX_VALUE: usize = 800;

/// Sections of a plain message; more would not be shown.
const MAX_SECTIONS: usize = 4;

/// How many alerts are told at length, of several; of the others there is a line each.
const DETAILED: usize = 5;

/// Characters of a summary where several alerts are told.
const MAX_SUMMARY: usize = 600;

/// Groups of a digest, and alerts told in a line.
const MAX_LINES: usize = 40;

/// The message of an alert document: blocks, and a text for notifications and for readers that show no blocks.
pub fn alert(document: &AlertDocument) -> Value {
    let headline = format!("{} {}", sign(document), document.headline());
    let parts = match (&document.digest, document.only()) {
        (Some(digest), _) => digest_blocks(digest, document.left_out.groups),
        (None, Some(alert)) => only_blocks(document, alert),
        (None, None) => several_blocks(document),
    };
    let reason = match document.reason {
        Reason::Digest => String::new(),
        reason => format!(" \u{b7} sent because {}", reason.text()),
    };
    let left_out = if document.left_out.evidence { " \u{b7} evidence is left out, it is too long" } else { "" };
    let (class, service, environment) = (&document.class, &document.service, &document.environment);
    let place = if document.digest.is_some() {
        environment.clone()
    } else {
        format!("{} \u{b7} {class} \u{b7} {service} \u{b7} {environment}", document.severity.as_str())
    };
    let close = |cut: &str| context(escaped(&one_line(&format!("{place}{reason}{left_out}{cut}")), MAX_SECTION / 2));
    const CUT: &str = " \u{b7} the rest is too long for Slack";
    let first = header(&headline);
    let (shown, is_all) = shown(parts, MAX_SHOWN - characters(&first) - characters(&close(CUT)));
    let last = close(if is_all { "" } else { CUT });
    let blocks: Vec<Value> = [first].into_iter().chain(shown).chain([last]).collect();
    json!({"text": text(document, &headline), "blocks": blocks})
}

/// What is read where no blocks are: the news and, where it is about several, what they are.
fn text(document: &AlertDocument, headline: &str) -> String {
    let mut lines = vec![one_line(headline)];
    match &document.digest {
        Some(digest) => lines.extend(digest.groups.iter().map(group_text)),
        None if document.only().is_none() => lines.extend(document.alerts().map(|alert| one_line(&named(alert)))),
        None => {}
    }
    escaped(&lines.join("\n"), MAX_SECTION)
}

/// How much a block matters, the least first: what there is no room for is taken from there, and from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Evidence,
    List,
    Links,
    News,
}

/// The blocks that `room` characters hold, in their order, and whether these are all.
fn shown(mut parts: Vec<(Weight, Value)>, room: usize) -> (Vec<Value>, bool) {
    let all = parts.len();
    let mut length: usize = parts.iter().map(|(_, block)| characters(block)).sum();
    while length > room {
        // The last of the least: of those that are equal `min_by_key` takes the first.
        let Some((least, _)) = parts.iter().enumerate().rev().min_by_key(|(_, (weight, _))| *weight) else { break };
        length -= characters(&parts.remove(least).1);
    }
    let is_all = parts.len() == all;
    (parts.into_iter().map(|(_, block)| block).collect(), is_all)
}

/// How many characters of text a block has.
fn characters(block: &Value) -> usize {
    let length = |text: &Value| text["text"].as_str().map_or(0, |text| text.chars().count());
    let several = [&block["fields"], &block["elements"]].into_iter().filter_map(Value::as_array).flatten();
    length(&block["text"]) + several.map(length).sum::<usize>()
}

fn weighed(weight: Weight, blocks: impl IntoIterator<Item = Value>) -> impl Iterator<Item = (Weight, Value)> {
    blocks.into_iter().map(move |block| (weight, block))
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

/// `message` without its blocks: what is left to try where Slack refuses them.
pub fn without_blocks(message: &Value) -> Value {
    json!({"text": message["text"]})
}

/// What is over looks otherwise than what is not, and bad otherwise than worse.
pub(super) fn sign(document: &AlertDocument) -> &'static str {
    match (document.status, document.severity) {
        (Turned::Resolved, _) => "\u{2705}",
        (Turned::Firing, severity) => sign_of(severity),
    }
}

fn sign_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "\u{1f6a8}",
        Severity::Error => "\u{1f534}",
        Severity::Warning => "\u{1f7e0}",
        Severity::Info => "\u{1f535}",
    }
}

/// The one alert, at length.
fn only_blocks(document: &AlertDocument, alert: &Alert) -> Vec<(Weight, Value)> {
    let mut fields = vec![("Value", alert.value_text())];
    match (&alert.ended, alert.fired_for()) {
        (Some(end), Some(span)) => {
            fields.push(("Fired for", format!("{span}, until {}", time(end.at))));
            fields.extend(end.reason.clone().map(|reason| ("Ended because", reason)));
        }
        _ => fields.push(("Since", time(alert.breaching_since))),
    }
    fields.push(("Fired before", alert.before_text()));
    fields.push(("Service", document.service.clone()));
    fields.push(("Severity", document.severity.as_str().to_owned()));
    let further = alert.labels.iter().filter(|(name, _)| *name != "service");
    let further: Vec<String> = further.map(|(name, value)| format!("{name}: {value}")).collect();
    if !further.is_empty() {
        fields.push(("Concerns", further.join(", ")));
    }
    let news = [section(&alert.summary), section_of_fields(&fields)];
    let mut blocks: Vec<(Weight, Value)> = weighed(Weight::News, news).collect();
    blocks.extend(weighed(Weight::Evidence, alert.evidence.iter().flat_map(line_blocks)));
    blocks.extend(weighed(Weight::Links, link_block(alert, &document.region)));
    blocks
}

/// Several alerts: the first with their evidence, then a line each.
fn several_blocks(document: &AlertDocument) -> Vec<(Weight, Value)> {
    let mut blocks = Vec::new();
    for alert in document.alerts().take(DETAILED) {
        let summary = escaped(something(&alert.summary), MAX_SUMMARY);
        let (name, value) = (escaped(&one_line(&named(alert)), 300), escaped(&one_line(&alert.value_text()), 300));
        let when = match (&alert.ended, alert.fired_for()) {
            (Some(end), Some(span)) => format!("fired for {span}, until {}", time(end.at)),
            _ => format!("since {}; before: {}", time(alert.breaching_since), alert.before_text()),
        };
        let news = [json!({"type": "divider"}), marked(format!("*{name}*\n{summary}\n{value}\n{when}"))];
        blocks.extend(weighed(Weight::News, news));
        blocks.extend(weighed(Weight::Evidence, alert.evidence.iter().flat_map(line_blocks)));
        blocks.extend(weighed(Weight::Links, link_block(alert, &document.region)));
    }
    let line = |alert: &Alert| escaped(&one_line(&format!("\u{2022} {}: {}", named(alert), alert.value_text())), 200);
    let (firing, resolved) = document.counts();
    let lines: Vec<String> = document.alerts().skip(DETAILED).take(MAX_LINES).map(line).collect();
    let list = list_blocks(lines, (firing + resolved).saturating_sub(DETAILED), "alert");
    blocks.extend(weighed(Weight::List, list));
    blocks
}

fn named(alert: &Alert) -> String {
    let status = if alert.ended.is_some() { "\u{2705} RESOLVED" } else { "FIRING" };
    format!("{status}: {}", alert.name())
}

fn digest_blocks(digest: &Digest, left_out: usize) -> Vec<(Weight, Value)> {
    let since = section(&format!("There is too much to tell each by itself, since {}.", moment(digest.from)));
    let lines = digest.groups.iter().take(MAX_LINES).map(|group| escaped(&group_text(group), 200));
    let list = list_blocks(lines.collect(), digest.groups.len() + left_out, "group");
    weighed(Weight::News, [since]).chain(weighed(Weight::List, list)).collect()
}

fn group_text(group: &DigestGroup) -> String {
    let sign = if group.firing > 0 { sign_of(group.severity) } else { "\u{2705}" };
    let (class, service, firing, resolved) = (&group.class, &group.service, group.firing, group.resolved);
    one_line(&format!("{sign} {class}, {service}: {firing} firing, {resolved} resolved"))
}

/// Lines in as few sections as they fit into, and how many of `all` there are beside.
fn list_blocks(mut lines: Vec<String>, all: usize, what: &str) -> Vec<Value> {
    if all > lines.len() {
        lines.push(format!("and {}", counted(all - lines.len(), &format!("more {what}"))));
    }
    let mut texts: Vec<String> = Vec::new();
    for line in lines {
        match texts.last_mut() {
            Some(text) if text.chars().count() + 1 + line.chars().count() <= MAX_SECTION => {
                text.push('\n');
                text.push_str(&line);
            }
            _ => texts.push(line),
        }
    }
    texts.into_iter().map(marked).collect()
}

/// Lines of the archive, as they are: nothing in them is markup.
fn line_blocks(evidence: &AlertEvidence) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !evidence.lines.is_empty() {
        let head = match evidence.matched {
            matched if matched > evidence.lines.len() => {
                format!("The last {} of {matched} log lines", evidence.lines.len())
            }
            matched => counted(matched, "log line"),
        };
        let lines: Vec<String> = evidence.lines.iter().map(email::line_text).collect();
        blocks.push(marked(format!("{head}:\n```{}```", literal(&lines.join("\n"), MAX_SECTION - 200))));
    }
    if !evidence.problems.is_empty() {
        let problems: Vec<String> =
            evidence.problems.iter().map(|problem| format!("{}.", capital(&one_line(problem)))).collect();
        blocks.push(context(escaped(&problems.join(" "), MAX_SECTION)));
    }
    blocks
}

/// Where to read on, if there is anything.
fn link_block(alert: &Alert, region: &str) -> Option<Value> {
    let mut links: Vec<String> = alert.runbook_url.iter().map(|url| link(url, "What to do")).collect();
    links.extend(alert.alarm_url.iter().map(|url| link(url, "The alarm")));
    if let Some(evidence) = &alert.evidence {
        links.extend(evidence.chart_url.iter().map(|url| link(url, "Chart")));
        let trace = |id: &String| link(&links::trace(region, id), &format!("Trace {}", id.get(11..19).unwrap_or(id)));
        links.extend(evidence.traces.iter().map(trace));
    }
    // Half a link leads nowhere: what does not fit is left out.
    let mut text = String::new();
    for link in links {
        let separator = if text.is_empty() { "" } else { " \u{b7} " };
        if text.chars().count() + separator.chars().count() + link.chars().count() <= MAX_SECTION {
            text.push_str(separator);
            text.push_str(&link);
        }
    }
    (!text.is_empty()).then(|| context(text))
}

fn header(text: &str) -> Value {
    let text = escaped(&one_line(something(text)), MAX_HEADER);
    json!({"type": "header", "text": {"type": "plain_text", "text": text, "emoji": true}})
}

fn section(text: &str) -> Value {
    marked(escaped(something(text), MAX_SECTION))
}

/// A section of a text that is Slack's markup already.
fn marked(text: String) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

/// Small print, of a text that is Slack's markup already.
fn context(text: String) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
}

/// At most ten fields.
fn section_of_fields(fields: &[(&str, String)]) -> Value {
    let field = |(name, value): &(&str, String)| {
        let value = escaped(&one_line(value), MAX_VALUE);
        json!({"type": "mrkdwn", "text": format!("*{name}*\n{value}")})
    };
    json!({"type": "section", "fields": fields.iter().map(field).collect::<Vec<Value>>()})
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::evidence::{Evidence, Line};
    use super::super::testing::{digest, document, episode, evidence, notification, resolved, sender, several};
    use super::*;
    use crate::alerting::notification::Notification;

    /// What Slack takes of a field, in characters.
    const MAX_FIELD: usize = 2_000;

    fn message(notification: &Notification) -> Value {
        alert(&document(notification))
    }

    #[test]
    fn resolved_looks_otherwise_and_says_how_long_it_fired() {
        let message = message(&resolved());
        assert_eq!(message["text"], "\u{2705} RESOLVED: contract_creation_failure (contract)");
        assert_eq!(message["blocks"][2]["fields"][1]["text"], "*Fired for*\n27 min, until 2026-11-21 10:40 UTC");
    }

    #[test]
    fn what_is_worse_looks_otherwise() {
        let signs = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical].map(|severity| {
            let mut notification = notification();
            notification.group.severity = severity;
            message(&notification)["text"].as_str().unwrap().chars().next().unwrap()
        });
        assert_eq!(signs, ['\u{1f535}', '\u{1f7e0}', '\u{1f534}', '\u{1f6a8}']);
    }

    #[test]
    fn no_text_calls_the_channel_or_hides_a_link() {
        let mut notification = notification();
        let alert = &mut notification.firing[0];
        alert.summary = "<!channel> & <https://evil|bank>".to_owned();
        alert.labels.insert("service".to_owned(), "<@U1>".to_owned());
        alert.runbook_url = Some("https://example.com/?a=1&b=<x>|y".to_owned());
        let mut found = evidence();
        found.about(&alert.fingerprint).lines[0].message = "``` <!here> ```*bold*".to_owned();
        let document = AlertDocument::new(&notification, &found, &sender());
        let message = super::alert(&document);
        assert_eq!(message["blocks"][1]["text"]["text"], "&lt;!channel&gt; &amp; &lt;https://evil|bank&gt;");
        assert!(message["blocks"][0]["text"]["text"].as_str().unwrap().ends_with("(&lt;@U1&gt;)"));
        let lines = message["blocks"][3]["text"]["text"].as_str().unwrap();
        assert_eq!(lines.matches("```").count(), 2, "a line can not end the literal text: {lines}");
        assert!(lines.contains("''' &lt;!here&gt; '''*bold*"), "{lines}");
        let links = message["blocks"][4]["elements"][0]["text"].as_str().unwrap();
        assert!(links.starts_with("<https://example.com/?a=1&amp;b=%3Cx%3E%7Cy|What to do> \u{b7} "), "{links}");
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

    #[test]
    fn of_many_alerts_the_last_are_counted() {
        let mut many = several();
        many.firing = vec![many.firing[0].clone(); 60];
        let message = message(&many);
        let text = message.to_string();
        assert_eq!(text.matches("The last 2 of 12 log lines").count(), DETAILED);
        assert_eq!(text.matches("\u{2022} FIRING").count(), MAX_LINES);
        assert!(text.contains("and 16 more alerts"), "{text}");
    }

    #[test]
    fn what_slack_does_not_show_is_left_out_where_it_matters_least() {
        // Five alerts with long evidence were cut by Slack at any place, the last of them altogether.
        let mut many = several();
        many.resolved.clear();
        let mut found = Evidence::default();
        many.firing = (0..5).map(|number| episode(&format!("rule_{number}"))).collect();
        for alert in &many.firing {
            *found.about(&alert.fingerprint) = evidence().of(&notification().firing[0].fingerprint).unwrap().clone();
            let about = found.about(&alert.fingerprint);
            about.lines = vec![Line { message: "x".repeat(290), ..about.lines[0].clone() }; 10];
        }
        let message = super::alert(&AlertDocument::new(&many, &found, &sender()));
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks.iter().map(characters).sum::<usize>() <= MAX_SHOWN);
        let text = message.to_string();
        assert!((1..5).contains(&text.matches("The last 10 of 12 log lines").count()), "{text}");
        assert!((0..5).all(|number| text.contains(&format!("*FIRING: rule_{number} (contract)*"))), "{text}");
        assert_eq!(text.matches("|Chart>").count(), 5);
        assert!(blocks.last().unwrap().to_string().contains("the rest is too long for Slack"));
        let first = |part: &str| text.find(part).unwrap();
        assert!(first("log lines:") < first("*FIRING: rule_1"), "the first alert keeps its lines");
    }

    #[test]
    fn without_blocks_it_is_still_told_which_alerts_there_are() {
        let text =
            |notification: &Notification| without_blocks(&message(notification))["text"].as_str().unwrap().to_owned();
        let told = text(&several());
        for line in ["\nFIRING: contract_signing_slow (contract)", "\n\u{2705} RESOLVED: contract_backlog (contract)"] {
            assert!(told.contains(line), "{told}");
        }
        assert!(text(&digest()).contains("\n\u{1f534} business, contract: 11 firing, 2 resolved"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_text_breaks_a_limit(
            text in "(?s).{0,50}",
            times in 0..200usize,
            alerts in 1..60usize,
            labels in prop::collection::btree_map(".{1,9}", "[&<>`\\n]{0,400}", 0..5),
        ) {
            let mut notification = several();
            let alert = &mut notification.firing[0];
            alert.labels = labels;
            alert.summary = text.repeat(times);
            alert.runbook_url = Some(text.repeat(times));
            let mut found = evidence();
            let about = found.about(&alert.fingerprint);
            about.lines[0].message = text.repeat(times);
            about.problems.push(text.repeat(times));
            about.chart_url = Some(text.repeat(times));
            notification.firing = vec![alert.clone(); alerts];
            notification.group.service = text.repeat(times);
            let mut only = notification.clone();
            (only.firing, only.resolved) = (vec![only.firing[0].clone()], Vec::new());
            let mut storm = digest();
            let line = &mut storm.digest.as_mut().unwrap().lines;
            line[0].group.service = text.repeat(times);
            *line = vec![line[0].clone(); alerts];
            let service = text.repeat(times);
            let documents = [notification, only, storm].map(|n| AlertDocument::new(&n, &found, &sender()));
            let messages = documents.iter().map(super::alert);
            for message in messages.chain([plain(Some(&service), &text.repeat(times))]) {
                let blocks = message["blocks"].as_array().unwrap();
                prop_assert!(!blocks.is_empty() && blocks.len() <= 50);
                prop_assert!(blocks.iter().map(characters).sum::<usize>() <= MAX_SHOWN);
                prop_assert!(message["text"].as_str().unwrap().chars().count() <= MAX_SECTION);
                for block in blocks {
                    let max = if block["type"] == "header" { MAX_HEADER } else { MAX_SECTION };
                    if let Some(text) = block["text"]["text"].as_str() {
                        prop_assert!(!text.trim().is_empty() && text.chars().count() <= max);
                    }
                    let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
                    prop_assert!(fields.len() <= 10);
                    for field in fields {
                        prop_assert!(field["text"].as_str().unwrap().chars().count() <= MAX_FIELD);
                    }
                    for element in block["elements"].as_array().into_iter().flatten() {
                        prop_assert!(element["text"].as_str().unwrap().chars().count() <= MAX_SECTION);
                    }
                }
            }
        }
    }
}
