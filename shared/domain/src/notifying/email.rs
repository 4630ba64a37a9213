//! The alerts as plain text, for e-mail: short lines that read well on a phone, the news first; and as one line, for a
//! text message.

use std::fmt::Write as _;

use crate::alerting::notification::Reason;

use super::document::{Alert, AlertDocument, Digest};
use super::evidence::{AlertEvidence, Line};
use super::links;
use super::wording::{capital, clip, counted, moment, one_line, time};

/// How many alerts are told at length; of the others there is a line each.
const DETAILED: usize = 5;

/// Longest text message, in bytes: what is longer is paid for several times.
const MAX_SMS: usize = 140;

/// The e-mail, in UTF-8 as it is.
pub fn text(document: &AlertDocument) -> String {
    let mut text = format!("{}\n\n", one_line(&document.headline()));
    match (&document.digest, document.only()) {
        (Some(digest), _) => tell_digest(&mut text, digest, document.left_out.groups),
        (None, Some(alert)) => tell(&mut text, alert, &document.region),
        (None, None) => tell_all(&mut text, document),
    }
    if document.digest.is_none() {
        let _ = writeln!(text, "Severity: {}", document.severity.as_str());
        let _ = writeln!(text, "Class: {}", one_line(&document.class));
        let _ = writeln!(text, "Service: {}", one_line(&document.service));
    }
    let _ = writeln!(text, "Environment: {}", one_line(&document.environment));
    if document.left_out.evidence {
        text.push_str("Log lines and charts are left out: the message would be too long.\n");
    }
    if document.reason != Reason::Digest {
        let _ = writeln!(text, "Sent because {}.", document.reason.text());
    }
    text
}

/// The text message: the news and, as far as it goes, the summary.
pub fn short(document: &AlertDocument) -> String {
    let severity = document.severity.as_str().to_uppercase();
    let headline = one_line(&document.headline());
    let summary = document.only().map(|alert| one_line(&alert.summary)).unwrap_or_default();
    let text = format!("[{severity}] {headline} {summary}");
    clip(text.trim_end(), MAX_SMS)
}

/// An alert at length, with an empty line after it.
fn tell(text: &mut String, alert: &Alert, region: &str) {
    // A summary may have lines of its own.
    for line in alert.summary.lines() {
        let _ = writeln!(text, "{}", one_line(line));
    }
    let _ = writeln!(text, "\nValue: {}", one_line(&alert.value_text()));
    match (&alert.ended, alert.fired_for()) {
        (Some(end), Some(span)) => {
            let _ = writeln!(text, "Fired for: {span}");
            let _ = writeln!(text, "From: {}", time(alert.since));
            let _ = writeln!(text, "To: {}", time(end.at));
            if let Some(reason) = &end.reason {
                let _ = writeln!(text, "Ended because: {}", one_line(reason));
            }
        }
        _ => {
            let _ = writeln!(text, "Since: {}", time(alert.breaching_since));
        }
    }
    let _ = writeln!(text, "Fired before: {}", alert.before_text());
    for (name, value) in alert.labels.iter().filter(|(name, _)| *name != "service") {
        let _ = writeln!(text, "{}: {}", one_line(name), one_line(value));
    }
    text.push('\n');
    if let Some(evidence) = &alert.evidence {
        tell_lines(text, evidence);
    }
    let mut link = |title: &str, url: &str| {
        let _ = writeln!(text, "{title}:\n{}\n", one_line(url));
    };
    if let Some(url) = &alert.runbook_url {
        link("What to do", url);
    }
    if let Some(url) = &alert.alarm_url {
        link("The alarm", url);
    }
    if let Some(evidence) = &alert.evidence {
        for (place, id) in evidence.traces.iter().enumerate() {
            link(if place == 0 { "A trace" } else { "Another trace" }, &links::trace(region, id));
        }
        if let Some(url) = &evidence.chart_url {
            link("Chart (the link ends after some hours)", url);
        }
    }
}

fn tell_lines(text: &mut String, evidence: &AlertEvidence) {
    if !evidence.lines.is_empty() {
        let of = match evidence.matched {
            matched if matched > evidence.lines.len() => format!("The last {} of {matched}", evidence.lines.len()),
            1 => "The".to_owned(),
            matched => format!("The {matched}"),
        };
        let lines = if evidence.matched == 1 { "log line" } else { "log lines" };
        let _ = writeln!(text, "{of} {lines}:");
        evidence.lines.iter().for_each(|line| {
            let _ = writeln!(text, "{}", line_text(line));
        });
        text.push('\n');
    }
    if !evidence.problems.is_empty() {
        for problem in &evidence.problems {
            let _ = writeln!(text, "{}.", one_line(&capital(problem)));
        }
        text.push('\n');
    }
}

/// `10:12:44 ERROR contract: timeout`
pub(super) fn line_text(line: &Line) -> String {
    let service = if line.service.is_empty() { String::new() } else { format!(" {}", line.service) };
    one_line(&format!("{} {}{service}: {}", line.at.strftime("%H:%M:%S"), line.level, line.message))
}

/// Several alerts: the first at length, then a line each.
fn tell_all(text: &mut String, document: &AlertDocument) {
    for alert in document.alerts().take(DETAILED) {
        let _ = writeln!(text, "--- {}\n", one_line(&headline(alert)));
        tell(text, alert, &document.region);
    }
    let mut rest = document.alerts().skip(DETAILED).peekable();
    let is_list = rest.peek().is_some();
    for alert in rest {
        let _ = writeln!(text, "- {}: {}", one_line(&headline(alert)), one_line(&alert.value_text()));
    }
    let left_out = document.left_out.firing + document.left_out.resolved;
    if left_out > 0 {
        let _ = writeln!(text, "and {left_out} more");
    }
    if is_list || left_out > 0 {
        text.push('\n');
    }
}

fn headline(alert: &Alert) -> String {
    let status = if alert.ended.is_some() { "RESOLVED" } else { "FIRING" };
    format!("{status}: {}", alert.name())
}

fn tell_digest(text: &mut String, digest: &Digest, left_out: usize) {
    let since = moment(digest.from);
    let _ = writeln!(text, "There is too much to tell each by itself.\nSince {since}:\n");
    for group in &digest.groups {
        let severity = group.severity.as_str().to_uppercase();
        let _ = writeln!(text, "{severity} {}, {}", one_line(&group.class), one_line(&group.service));
        let told = [(group.firing, "firing"), (group.resolved, "resolved")];
        let told: Vec<String> =
            told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let _ = writeln!(text, "  {}", told.join(", "));
    }
    if left_out > 0 {
        let _ = writeln!(text, "and {} more", counted(left_out, "group"));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Evidence;
    use super::super::testing::{digest, document, evidence, notification, resolved, sender, several};
    use super::*;
    use crate::alerting::notification::Notification;

    fn text_of(notification: &Notification) -> String {
        text(&document(notification))
    }

    #[test]
    fn firing_says_what_how_much_since_when_and_what_to_do() {
        // Defect 19: Cyrillic came as \uXXXX in a dump of JSON.
        let expected = "\
FIRING: contract_creation_failure (contract)

Ошибки создания договоров: 4

Value: 4 (fires when > 3)
Since: 2026-11-21 10:11 UTC
Fired before: 3 times in 30 days

The last 2 of 12 log lines:
10:12:44 ERROR contract: Договор не создан: [email:jkfbhbrhnzmtzfcv]: Timeout: rosreestr
10:12:41 ERROR contract: Contract not created: cadastral number not found

What to do:
https://wiki.company.com/runbooks/contract-failures

A trace:
https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#xray:traces/1-5759e988-bd862e3fe1be46a994272793

Chart (the link ends after some hours):
https://bucket.s3.eu-west-1.amazonaws.com/alerts/charts/x.svg?X-Amz-Expires=43200

Severity: error
Class: business
Service: contract
Environment: production
Sent because it began to fire.
";
        assert_eq!(text_of(&notification()), expected);
    }

    #[test]
    fn resolved_says_how_long_it_fired() {
        let mut resolved = resolved();
        let alert = &mut resolved.resolved[0];
        alert.runbook_url = None;
        alert.ended.as_mut().unwrap().reason = Some("the rule was changed or removed".to_owned());
        let expected = "\
RESOLVED: contract_creation_failure (contract)

Ошибки создания договоров: 0

Value: no data (fires when > 3)
Fired for: 27 min
From: 2026-11-21 10:13 UTC
To: 2026-11-21 10:40 UTC
Ended because: the rule was changed or removed
Fired before: 3 times in 30 days

Severity: error
Class: business
Service: contract
Environment: production
Sent because all alerts of the group are over.
";
        let document = AlertDocument::new(&resolved, &Evidence::default(), &sender());
        assert_eq!(text(&document), expected);
    }

    #[test]
    fn a_digest_has_a_line_a_group() {
        let expected = "\
DIGEST: 41 firing, 3 resolved in 3 groups

There is too much to tell each by itself.
Since 2026-11-21 10:30 UTC:

CRITICAL availability, api
  30 firing
ERROR business, contract
  11 firing, 2 resolved
WARNING performance, all
  1 resolved

Environment: production
";
        assert_eq!(text_of(&digest()), expected);
    }

    #[test]
    fn several_are_told_one_after_the_other_and_the_last_in_a_line_each() {
        let text = text_of(&several());
        assert!(text.starts_with("2 FIRING, 1 RESOLVED (business, contract)\n\n--- FIRING: contract_creation_failure"));
        for part in
            ["\n--- FIRING: contract_signing_slow (contract)\n", "\n--- RESOLVED: contract_backlog (contract)\n"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.ends_with("Sent because more alerts of the group fire.\n"), "{text}");
        let mut many = several();
        many.firing = vec![many.firing[0].clone(); 12];
        let text = text_of(&many);
        assert_eq!(text.matches("\n--- ").count(), DETAILED);
        let line = "\n- FIRING: contract_creation_failure (contract): 4 (fires when > 3)";
        assert_eq!(text.matches(line).count(), 12 - DETAILED, "{text}");
        assert!(text.contains("\n- RESOLVED: contract_backlog (contract): no data (fires when > 3)\n"));
    }

    #[test]
    fn what_could_not_be_found_is_said() {
        let mut found = evidence();
        let about = found.about(&notification().firing[0].fingerprint);
        about.lines.clear();
        about.problems.push("log lines could not be read: list objects archive/: access denied".to_owned());
        let document = AlertDocument::new(&notification(), &found, &sender());
        let text = text(&document);
        assert!(text.contains("\n\nLog lines could not be read: list objects archive/: access denied.\n\n"), "{text}");
    }

    #[test]
    fn no_text_can_write_lines_of_its_own() {
        let mut notification = notification();
        let alert = &mut notification.firing[0];
        alert.labels.insert("endpoint".to_owned(), "x\r\n\r\nWhat to do: http://evil\u{1b}[2J".to_owned());
        alert.runbook_url = Some("https://wiki\r\nBcc: all".to_owned());
        let text = text_of(&notification);
        assert!(text.contains("endpoint: x    What to do: http://evil [2J\n"), "{text}");
        assert!(text.contains("https://wiki  Bcc: all\n"), "{text}");
    }

    #[test]
    fn a_text_message_is_short() {
        let expected = "[ERROR] FIRING: contract_creation_failure (contract) Ошибки создания договоров: 4";
        assert_eq!(short(&document(&notification())), expected);
        assert_eq!(short(&document(&digest())), "[CRITICAL] DIGEST: 41 firing, 3 resolved in 3 groups");
    }
}
