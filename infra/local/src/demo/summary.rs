//! What the demo says at the end: what went in, what came out, and whether that is right.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use domain::alerting::history::{Transition, Turned};
use domain::minute::Minute;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::example::Told;
use crate::outcome::Outcome;
use crate::playback::Sent;
use crate::sink::Email;
use crate::traffic::incidents::Incident;

/// How long after its incident an alert may last: windows have to empty, and alerts to be kept firing.
const AFTERMATH_MINUTES: i64 = 90;

/// Everything there is to tell.
pub(super) struct Summary<'a> {
    pub date: String,
    pub sent: Sent,
    pub example: Told,
    pub trace: String,
    pub outcome: &'a Outcome,
    pub incidents: &'a [Incident],
    pub start: Minute,
    pub zone: TimeZone,
    pub alert_topic: String,
    pub emails: Vec<Email>,
    pub slack: Vec<Value>,
    pub report: PathBuf,
    pub took: Duration,
}

impl Summary<'_> {
    /// What did not come out as it went in; nothing, if all is well.
    pub(super) fn problems(&self) -> Vec<String> {
        let outcome = self.outcome;
        let kept = outcome.archived_lines() + outcome.quarantined_lines;
        let alerts = outcome.notified();
        let alert_emails = self.alert_emails().count();
        let mut problems = Vec::new();
        let mut check = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        check(kept == self.sent.total(), format!("{} lines in, {kept} lines out", self.sent.total()));
        check(outcome.duplicates == 0, format!("{} lines are in the archive twice", outcome.duplicates));
        check(outcome.quarantined_others == 0, format!("{} metrics in quarantine", outcome.quarantined_others));
        check(outcome.leaks.is_empty(), format!("personal data in the bucket: {:?}", outcome.leaks));
        check(
            outcome.counted == outcome.records as f64,
            format!("CloudWatch counted {} records, the archive has {}", outcome.counted, outcome.records),
        );
        check(
            outcome.operations == self.example.operations as f64,
            format!(
                "{} operations of the example service, CloudWatch counted {}",
                self.example.operations, outcome.operations
            ),
        );
        for incident in self.incidents {
            for turned in [Turned::Firing, Turned::Resolved] {
                let told = self
                    .outcome
                    .transitions
                    .iter()
                    .filter(|transition| transition.turned == turned && self.tells(transition, incident));
                let times = told.count();
                check(times == 1, format!("{}: {} {turned:?} {times} times", incident.name, incident.expects));
            }
        }
        for transition in &self.outcome.transitions {
            let explains = |incident: &Incident| self.tells(transition, incident) || self.follows(transition, incident);
            let expected = self.incidents.iter().any(explains);
            check(
                expected,
                format!("{} {:?} at {} without a reason", transition.rule, transition.turned, transition.at),
            );
        }
        check(alert_emails == alerts, format!("{alerts} alert messages, {alert_emails} e-mails"));
        check(self.slack.len() == alerts, format!("{alerts} alert messages, {} in Slack", self.slack.len()));
        problems
    }

    fn alert_emails(&self) -> impl Iterator<Item = &Email> {
        self.emails.iter().filter(|email| email.topic_arn == self.alert_topic)
    }

    /// Whether a transition is of the rule that an incident has to trigger, within it or soon after it.
    fn tells(&self, transition: &Transition, incident: &Incident) -> bool {
        let until = incident.ends(self.start).plus(AFTERMATH_MINUTES);
        transition.rule == incident.expects && (incident.starts(self.start)..until).contains(&transition.at)
    }

    /// Whether a transition is of a rule that rightly fires as well, and began to in time. It may end hours later.
    fn follows(&self, transition: &Transition, incident: &Incident) -> bool {
        let until = incident.ends(self.start).plus(AFTERMATH_MINUTES);
        incident.also.contains(&transition.rule.as_str())
            && (incident.starts(self.start)..until).contains(&transition.since)
    }

    /// The whole of it as text.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        self.render_lines(&mut text);
        self.render_example(&mut text);
        self.render_alerts(&mut text);
        self.render_messages(&mut text);
        let problems = self.problems();
        let _ = writeln!(text, "\nREPORT\n  {}", self.report.display());
        let verdict = if problems.is_empty() {
            "OK: every line is kept once, counted once; every incident was told once."
        } else {
            "NOT OK"
        };
        let _ = writeln!(text, "\n{verdict}  ({:.0} s)", self.took.as_secs_f64());
        for problem in problems {
            let _ = writeln!(text, "  - {problem}");
        }
        text
    }

    fn render_lines(&self, text: &mut String) {
        let (sent, outcome) = (&self.sent, self.outcome);
        let archived = outcome.archived_lines();
        let lost = sent.total() as i64 - (archived + outcome.quarantined_lines) as i64;
        let rows = [
            (
                "lines in",
                thousands(sent.lines),
                format!("{:.1} MB, by {} calls of PutLogEvents", megabytes(sent.bytes), thousands(sent.calls)),
            ),
            (
                "events in",
                thousands(sent.events),
                "business events, by PutEvents, a rule and a queue; each is a line from here on".to_owned(),
            ),
            (
                "archived",
                thousands(archived),
                format!(
                    "as {} records (a statement and its error are one) in {} objects, {:.1} MB compressed",
                    thousands(outcome.records),
                    thousands(outcome.archive_objects),
                    megabytes(outcome.archive_bytes)
                ),
            ),
            (
                "quarantined",
                thousands(outcome.quarantined_lines),
                format!(
                    "lines that could not be read; and {} deliveries that could not be opened",
                    outcome.quarantined_deliveries
                ),
            ),
            (
                "lost",
                lost.to_string(),
                format!("{} twice, {} with personal data left in", outcome.duplicates, outcome.leaks.len()),
            ),
            (
                "in CloudWatch",
                thousands(outcome.series),
                format!(
                    "series of {} metrics; log_entries adds up to {}",
                    outcome.metrics,
                    thousands(outcome.counted as usize)
                ),
            ),
        ];
        let _ = writeln!(text, "\nLOG LINES of {}", self.date);
        for (name, number, more) in rows {
            let _ = writeln!(text, "  {name:<14} {number:>9}   {more}");
        }
        let services: Vec<String> =
            outcome.archived.iter().map(|(name, lines)| format!("{name} {}", thousands(*lines))).collect();
        let _ = writeln!(text, "  {:<14} {:>9}   {}", "by service", "", services.join(", "));
    }

    /// What the example service did, as its own lines brought it to CloudWatch and X-Ray.
    fn render_example(&self, text: &mut String) {
        let Told { requests, lines, operations, .. } = &self.example;
        let _ = writeln!(
            text,
            "\nTHE EXAMPLE SERVICE: {requests} requests, {} lines; {operations} operations, {} in CloudWatch; a trace from X-Ray:",
            lines.len(),
            self.outcome.operations
        );
        for line in self.trace.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }

    fn render_alerts(&self, text: &mut String) {
        let fired = self.outcome.turned(Turned::Firing);
        let resolved = self.outcome.turned(Turned::Resolved);
        let _ = writeln!(
            text,
            "\nALERTS: {fired} fired, {resolved} resolved; {} e-mails, {} Slack messages",
            self.emails.len(),
            self.slack.len()
        );
        for transition in &self.outcome.transitions {
            let turned = match transition.turned {
                Turned::Firing => "FIRING",
                Turned::Resolved => "resolved",
            };
            let time = transition.at.start().to_zoned(self.zone.clone()).strftime("%H:%M");
            let (rule, severity, summary) = (&transition.rule, &transition.severity, &transition.summary);
            let _ = writeln!(text, "  {time}  {turned:<8}  {severity:<8}  {rule:<26}  {summary}");
        }
    }

    /// One alert as it reached people: the e-mail, and what Slack shows of the same.
    fn render_messages(&self, text: &mut String) {
        let Some(email) = self.alert_emails().next() else { return };
        let _ = writeln!(text, "\nTHE FIRST E-MAIL to {}\n  Subject: {}", email.to, email.subject);
        for line in email.text.lines() {
            let _ = writeln!(text, "  | {line}");
        }
        if let Some(message) = self.slack.first() {
            let _ = writeln!(text, "\nTHE FIRST SLACK MESSAGE");
            for line in slack_text(message).lines() {
                let _ = writeln!(text, "  | {line}");
            }
        }
        if let Some(notice) = self.emails.iter().find(|email| email.topic_arn != self.alert_topic) {
            let _ = writeln!(text, "\nTHE REPORT'S NOTICE\n  Subject: {}", notice.subject);
        }
    }
}

/// The texts of a Block Kit message, in order.
fn slack_text(message: &Value) -> String {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::Object(fields) => match fields.get("text") {
                Some(Value::String(text)) => texts.push(text.clone()),
                _ => fields.values().for_each(|value| collect(value, texts)),
            },
            Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
            _ => {}
        }
    }
    let mut texts = Vec::new();
    collect(message.get("blocks").or_else(|| message.get("attachments")).unwrap_or(message), &mut texts);
    texts.join("\n")
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::incidents::INCIDENTS;

    fn summary(outcome: &Outcome, lines: usize) -> Summary<'_> {
        Summary {
            date: "2026-11-21".into(),
            sent: Sent { lines: lines - 1, events: 1, bytes: 100, calls: 1 },
            example: Told {
                lines: Vec::new(),
                requests: 0,
                operations: 0,
                trace_id: "1-5759e988-bd862e3fe1be46a994272793".parse().unwrap(),
            },
            trace: String::new(),
            outcome,
            incidents: &[],
            start: "2026-11-20T21:00Z".parse().unwrap(),
            zone: TimeZone::UTC,
            alert_topic: "arn:alerts".into(),
            emails: vec![],
            slack: vec![],
            report: "/report.html".into(),
            took: Duration::from_secs(61),
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            archived: [("api".to_owned(), 9)].into(),
            records: 8,
            quarantined_lines: 1,
            counted: 8.0,
            ..Outcome::default()
        }
    }

    #[test]
    fn lines_that_do_not_add_up_are_a_problem() {
        assert_eq!(summary(&outcome(), 10).problems(), Vec::<String>::new());
        assert_eq!(summary(&outcome(), 11).problems(), ["11 lines in, 10 lines out"]);
        let twice = Outcome { duplicates: 1, counted: 10.0, ..outcome() };
        assert_eq!(
            summary(&twice, 10).problems(),
            ["1 lines are in the archive twice", "CloudWatch counted 10 records, the archive has 8"]
        );
    }

    #[test]
    fn an_incident_that_nobody_was_told_of_is_a_problem() {
        let outcome = outcome();
        let summary = Summary { incidents: &INCIDENTS[..1], ..summary(&outcome, 10) };
        let problems = summary.problems();
        assert_eq!(problems.len(), 2);
        assert!(problems[0].ends_with("Firing 0 times"), "{problems:?}");
        assert!(summary.render().contains("NOT OK"));
    }

    #[test]
    fn an_alert_that_nothing_explains_is_a_problem() {
        let transition = Transition {
            version: 1,
            instant: None,
            fired_before: 0,
            at: "2026-11-21T10:00Z".parse().unwrap(),
            rule: "high_cpu_usage".into(),
            fingerprint: "f".into(),
            class: "performance".into(),
            severity: "warning".into(),
            labels: [].into(),
            turned: Turned::Firing,
            value: Some(90.0),
            condition: "> 80".into(),
            summary: "CPU".into(),
            since: "2026-11-21T10:00Z".parse().unwrap(),
        };
        let outcome = Outcome { transitions: vec![transition], ..outcome() };
        let problems = summary(&outcome, 10).problems();
        assert_eq!(problems[0], "high_cpu_usage Firing at 2026-11-21T10:00Z without a reason");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([thousands(0), thousands(999), thousands(1_234_567)], ["0", "999", "1,234,567"]);
    }
}
