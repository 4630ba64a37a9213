//! The short message that says what the day was like and where the report is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::numbers::{millis, percent, thousands};
use super::report::DailyReport;
use super::verdict::{Reason, Status};
use super::{html_key, json_key};
use crate::ports::Publication;

/// Longest subject that SNS takes.
const SUBJECT: usize = 99;

/// The notice of `report`, which is stored in `bucket`: plain text for people, JSON for programs.
pub fn notice(report: &DailyReport, bucket: &str) -> Publication {
    let text = text(report, bucket);
    let json = json(report, bucket);
    let mut bodies: BTreeMap<&'static str, String> =
        ["https", "sqs", "lambda"].into_iter().map(|protocol| (protocol, json.clone())).collect();
    bodies.insert("default", text);
    Publication {
        subject: subject(report),
        bodies,
        attributes: BTreeMap::from([
            ("kind", "daily_report".into()),
            ("environment", report.environment.clone().into()),
            ("verdict", report.verdict.status.as_str().into()),
        ]),
    }
}

fn subject(report: &DailyReport) -> String {
    let status = report.verdict.status.as_str();
    let alerts = match report.alerts.len() {
        0 => "no alerts".to_owned(),
        1 => "1 alert".to_owned(),
        count => format!("{count} alerts"),
    };
    let lost = report.completeness.lines.lost;
    let environment = &report.environment;
    let subject = format!("[{environment}] Daily report {}: {status}, {alerts}, {lost} lines lost", report.date);
    // SNS refuses line breaks, control characters and all that is not ASCII.
    subject.chars().map(|letter| if matches!(letter, ' '..='~') { letter } else { '?' }).take(SUBJECT).collect()
}

fn text(report: &DailyReport, bucket: &str) -> String {
    let status = match report.verdict.status {
        Status::Good => "GOOD: everything is in, and nothing wants attention",
        Status::Attention => "ATTENTION: everything is in, and something wants looking at",
        Status::Incomplete => "INCOMPLETE: something is missing, so figures may be too low",
    };
    let mut text = format!("{} ({}), {}\n{status}\n", report.date, report.zone, report.environment);
    for reason in &report.verdict.reasons {
        line(&mut text, format_args!("- {reason}"));
    }
    let (business, api, lines) = (&report.business, &report.api, &report.completeness.lines);
    let latency = api.latency.map_or("not timed".to_owned(), |latency| millis(latency.p95_ms));
    let error_rate = api.error_rate_percent.map_or("none".to_owned(), percent);
    line(&mut text, format_args!(""));
    line(
        &mut text,
        format_args!(
            "Contracts: {} created, {} signed, {} failed; {} new users",
            thousands(business.contracts_created),
            thousands(business.contracts_signed),
            thousands(business.creation_errors),
            thousands(business.registrations),
        ),
    );
    line(
        &mut text,
        format_args!("Requests: {}, error rate {error_rate}, 95th percentile {latency}", thousands(api.requests)),
    );
    line(
        &mut text,
        format_args!(
            "Log lines: {} received, {} archived, {} unreadable and kept aside, {} lost",
            thousands(lines.received),
            thousands(lines.archived),
            thousands(lines.quarantined),
            lines.lost,
        ),
    );
    line(&mut text, format_args!(""));
    line(&mut text, format_args!("Report: s3://{bucket}/{}", html_key(&report.date)));
    line(&mut text, format_args!("Figures: s3://{bucket}/{}", json_key(&report.date)));
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string can not fail");
}

/// What programs are told.
#[derive(Serialize)]
struct Told<'a> {
    kind: &'static str,
    version: u32,
    date: &'a str,
    zone: &'a str,
    environment: &'a str,
    verdict: Status,
    reasons: &'a [Reason],
    bucket: &'a str,
    html: String,
    json: String,
}

fn json(report: &DailyReport, bucket: &str) -> String {
    let told = Told {
        kind: "daily_report",
        version: report.version,
        date: &report.date,
        zone: &report.zone,
        environment: &report.environment,
        verdict: report.verdict.status,
        reasons: &report.verdict.reasons,
        bucket,
        html: html_key(&report.date),
        json: json_key(&report.date),
    };
    serde_json::to_string(&told).expect("texts, numbers and enums of them serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporting::sample;

    #[test]
    fn the_notice_says_the_verdict_the_key_figures_and_where_the_report_is() {
        let mut report = sample::report();
        report.business.contracts_created = 1_234;
        report.completeness.lines.received = 61_055;
        let notice = notice(&report, "land-logs");
        assert_eq!(notice.subject, "[production] Daily report 2026-11-20: attention, 5 alerts, 0 lines lost");
        let text = &notice.bodies["default"];
        for expected in [
            "2026-11-20 (Europe/Moscow), production\nATTENTION: everything is in",
            "\n- 5 alerts fired, the gravest of severity critical, 1 not over at the end of the day\n",
            "\nContracts: 1,234 created, ",
            "\nRequests: ",
            "\nLog lines: 61,055 received, ",
            "\nReport: s3://land-logs/reports/dt=2026-11-20/report.html\n",
            "\nFigures: s3://land-logs/reports/dt=2026-11-20/report.json\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert_eq!(notice.attributes["verdict"].text(), "attention");
    }

    #[test]
    fn programs_are_told_in_json() {
        let notice = notice(&sample::report(), "land-logs");
        for protocol in ["https", "sqs", "lambda"] {
            let told: serde_json::Value = serde_json::from_str(&notice.bodies[protocol]).unwrap();
            assert_eq!(told["kind"], "daily_report");
            assert_eq!(told["html"], "reports/dt=2026-11-20/report.html");
            assert_eq!(told["reasons"][0]["reason"], "alerts");
        }
    }

    #[test]
    fn a_subject_is_what_sns_takes() {
        for environment in ["production", "прод\r\nBcc: x", &"long".repeat(60)] {
            let mut report = sample::report();
            report.environment = environment.to_owned();
            let subject = subject(&report);
            assert!(subject.len() <= 99 && subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{subject}");
        }
    }

    #[test]
    fn a_day_without_figures_has_a_notice_too() {
        let report = crate::reporting::figures::Figures::of_nothing(sample::scope()).report();
        let notice = notice(&report, "land-logs");
        assert_eq!(notice.subject, "[production] Daily report 2026-11-20: incomplete, no alerts, 0 lines lost");
        assert!(notice.bodies["default"].contains("Requests: 0, error rate none, 95th percentile not timed"));
    }
}
