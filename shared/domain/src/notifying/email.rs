//! The alert as plain text, for e-mail: short lines that read well on a phone, the news first.

use super::document::AlertDocument;
use super::wording::{one_line, time};

/// The text, in UTF-8 as it is.
pub fn text(document: &AlertDocument) -> String {
    let mut lines = vec![format!("{}: {}", document.status_word(), document.rule)];
    lines.push(String::new());
    // A summary may have lines of its own.
    lines.extend(document.summary.lines().map(one_line));
    lines.push(String::new());
    lines.push(format!("Value: {}", document.value_text()));
    match document.fired_for() {
        Some(span) => {
            lines.push(format!("Fired for: {span}"));
            lines.push(format!("From: {}", time(document.since)));
            lines.push(format!("To: {}", time(document.at)));
        }
        None => lines.push(format!("Since: {}", time(document.breaching_since))),
    }
    if let Some(reason) = &document.reason {
        lines.push(format!("Reason: {}", one_line(reason)));
    }
    lines.push(format!("Severity: {}", document.severity));
    lines.push(format!("Environment: {}", document.environment));
    lines.push(format!("Class: {}", document.class));
    lines.extend(document.labels.iter().map(|(name, value)| format!("{}: {}", one_line(name), one_line(value))));
    if let Some(url) = &document.runbook_url {
        lines.push(String::new());
        lines.push(format!("What to do: {url}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{document, resolved};
    use super::*;

    #[test]
    fn firing_says_what_how_much_since_when_and_what_to_do() {
        // Defect 19: Cyrillic came as \uXXXX in a dump of JSON.
        let expected = "\
FIRING: contract_creation_failure

Ошибки создания договоров: 4

Value: 4 (fires when > 3)
Since: 2026-11-21 10:11 UTC
Severity: error
Environment: production
Class: business
service: contract

What to do: https://wiki.company.com/runbooks/contract-failures
";
        assert_eq!(text(&document()), expected);
    }

    #[test]
    fn resolved_says_how_long_it_fired() {
        let mut resolved = resolved();
        resolved.runbook_url = None;
        resolved.reason = Some("the rule was changed or removed".to_owned());
        let expected = "\
RESOLVED: contract_creation_failure

Ошибки создания договоров: 0

Value: no data (fires when > 3)
Fired for: 27 min
From: 2026-11-21 10:13 UTC
To: 2026-11-21 10:40 UTC
Reason: the rule was changed or removed
Severity: error
Environment: production
Class: business
service: contract
";
        assert_eq!(text(&resolved), expected);
    }

    #[test]
    fn a_label_can_not_write_lines_of_its_own() {
        let mut document = document();
        document.labels.insert("service".to_owned(), "x\r\n\r\nRunbook: http://evil\u{1b}[2J".to_owned());
        assert!(text(&document).contains("service: x    Runbook: http://evil [2J\n"));
    }
}
