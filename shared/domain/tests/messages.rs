//! What people and programs are told, whole: `docs/messages.md` and the chart `docs/alert-chart.svg`, for people to
//! read. Run this test with `UPDATE_SNAPSHOTS=1` to write them anew.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use domain::Minute;
use domain::alerting::episode::{Ended, Episode, Origin};
use domain::alerting::notification::{Digest, DigestLine, Group, Named, Notification, Reason};
use domain::alerting::rules::Severity;
use domain::alerting::samples::Window;
use domain::notifying::chart::Chart;
use domain::notifying::document::AlertDocument;
use domain::notifying::evidence::{Evidence, Line};
use domain::notifying::message::{MAX_BYTES, Sender, publication, size};
use domain::notifying::slack;
use serde_json::Value;

fn minute(offset: i64) -> Minute {
    "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
}

fn sender() -> Sender {
    Sender { environment: "production".to_owned(), region: "eu-west-1".to_owned(), amazon_q: true }
}

fn failures() -> Episode {
    Episode {
        rule: "contract_creation_failure".to_owned(),
        fingerprint: "4f1c2b7a9d0e3c5b6a798897a6b5c4d3".to_owned(),
        class: "business".to_owned(),
        severity: Severity::Error,
        service: "contract".to_owned(),
        labels: [("service".to_owned(), "contract".to_owned())].into(),
        condition: "> 3".to_owned(),
        summary: "Contract creation failures in contract: 4 in 10 minutes".to_owned(),
        value: Some(4.0),
        runbook_url: Some("https://wiki.company.com/runbooks/contract-failures".to_owned()),
        breaching_since: minute(11),
        since: minute(13),
        fired_before: 3,
        origin: Origin::Rule {},
        ended: None,
    }
}

fn slow_signing() -> Episode {
    Episode {
        rule: "contract_signing_slow".to_owned(),
        fingerprint: "5e2d3c8b0e1f4d6c7b8a99a8b7c6d5e4".to_owned(),
        summary: "Signing in contract takes 9.5 s".to_owned(),
        condition: "> 5".to_owned(),
        value: Some(9.5),
        runbook_url: None,
        breaching_since: minute(18),
        since: minute(20),
        fired_before: 0,
        ..failures()
    }
}

fn alarm() -> Episode {
    Episode {
        rule: "production-contract-db-storage".to_owned(),
        fingerprint: "6f3e4d9c1f205e7d8c9baab9c8d7e6f5".to_owned(),
        summary: "Threshold Crossed: 1 datapoint [1.9 (21/11/26 10:19:00)] was less than the threshold (2.0)."
            .to_owned(),
        condition: "FreeStorageSpace < 2 GiB".to_owned(),
        value: None,
        labels: [("DBInstanceIdentifier".to_owned(), "production-contract-db".to_owned())].into(),
        runbook_url: None,
        origin: Origin::Alarm {
            url: Some("https://eu-west-1.console.aws.amazon.com/cloudwatch/home#alarmsV2:".to_owned()),
            changed: None,
        },
        ..slow_signing()
    }
}

fn told(at: i64, reason: Reason, firing: Vec<Episode>, resolved: Vec<Episode>) -> Notification {
    let group = Group::of(firing.first().or(resolved.first()).unwrap());
    let at = minute(at).start();
    Notification { id: Notification::id_of(&group, at), at, reason, group, firing, resolved, digest: None }
}

fn over(episode: Episode, at: i64, value: f64, summary: &str) -> Episode {
    episode.ended(Ended { at: minute(at), value: Some(value), summary: summary.to_owned(), reason: None })
}

fn evidence() -> Evidence {
    let mut evidence = Evidence::default();
    let line = |at: &str, message: &str| Line {
        at: format!("2026-11-21T{at}Z").parse().unwrap(),
        level: "ERROR".to_owned(),
        service: "contract".to_owned(),
        message: message.to_owned(),
    };
    let about = evidence.about(&failures().fingerprint);
    about.lines = vec![
        line("10:12:44.120", "Договор не создан: [email:jkfbhbrhnzmtzfcv]: Timeout: rosreestr"),
        line("10:12:41.003", "Contract not created: cadastral number <unknown> & no parcel"),
        line("10:12:02.500", "Contract not created: Timeout: rosreestr"),
    ];
    about.matched = 12;
    about.traces = vec!["1-5759e988-bd862e3fe1be46a994272793".to_owned()];
    let folder = "https://observability.s3.eu-west-1.amazonaws.com/alerts/charts/dt=2026-11-21";
    about.chart_url = Some(format!("{folder}/0a51-4f1c.svg?X-Amz-Expires=43200&X-Amz-Signature=..."));
    let about = evidence.about(&slow_signing().fingerprint);
    about.problems = vec!["log lines could not be read: list objects archive/ (access denied)".to_owned()];
    evidence
}

fn digest() -> Notification {
    let line = |severity, class: &str, service: &str, firing, resolved| {
        let group = Group { severity, class: class.to_owned(), service: service.to_owned() };
        DigestLine { group, firing, resolved }
    };
    let lines = vec![
        line(Severity::Critical, "availability", "api", 30, 0),
        line(Severity::Error, "business", "contract", 11, 2),
        line(Severity::Warning, "performance", "all", 0, 1),
    ];
    let group = Group { severity: Severity::Critical, class: "system".to_owned(), service: "all".to_owned() };
    let (at, digest) = (minute(35).start(), Some(Digest { from: minute(30).start(), lines, alerts: Named::default() }));
    let (firing, resolved) = (Vec::new(), Vec::new());
    Notification { id: Notification::id_of(&group, at), at, reason: Reason::Digest, group, firing, resolved, digest }
}

fn cases() -> Vec<(&'static str, Notification)> {
    let summary = "Contract creation failures in contract: 0 in 10 minutes";
    vec![
        ("An alert fires", told(15, Reason::First, vec![failures()], Vec::new())),
        (
            "Another joins it, and one is over",
            told(22, Reason::NewAlerts, vec![slow_signing(), alarm()], vec![over(failures(), 21, 0.0, summary)]),
        ),
        ("It is over", told(42, Reason::AllResolved, Vec::new(), vec![over(failures(), 40, 0.0, summary)])),
        ("A storm", digest()),
    ]
}

fn pretty(json: &str) -> String {
    serde_json::to_string_pretty(&serde_json::from_str::<Value>(json).unwrap()).unwrap()
}

fn page() -> String {
    let mut page = "\
# Messages

What is told of alerts, to whom: one publication on the alert topic has a body for each protocol, and attributes to
filter by. The page is written by `shared/domain/tests/messages.rs`, which fails where it is not true; the chart that the
first message links to is [alert-chart.svg](alert-chart.svg).

| protocol | body |
|---|---|
| e-mail and whatever is not below (`default`) | plain text: the news first |
| `sms` | the news in at most 140 bytes |
| `lambda`, `sqs`, `https` | an alert document, version 2, as JSON |
| `https`, with the parameter `AmazonQ` | a custom notification of Amazon Q Developer in chat applications, instead of the document |

A publication has at most 262,144 bytes. What is longer loses its evidence first (log lines, traces, charts), then its
last alerts (\"and 12 more\"), and texts are cut last. Filter policies find `severity`, `class`, `service`, `status`
(`firing` as long as one of the alerts does), `environment` and `rule`. Where there are several values (rules of alerts
that are told together; severities, classes and services of a digest) the attribute is a `String.Array`, and a policy
that asks for any of them is met: so the end of an alert reaches whoever got its beginning. The rule of a digest is
`several`, which is also the last value where there are more than 50: who filters by rule should ask for it as well.

Log lines are those of the archive, so they are masked. Links to charts are signed with the credentials of the function,
and end with them after some hours. Amazon Q Developer subscribes by HTTPS, so other HTTPS subscribers of the topic get
its schema as well: they take the document by SQS or Lambda. CloudWatch's own alarms, which it knows, come by the same topic.

slack-notifier makes blocks of the document. With a bot's token (see `SlackSecretArn` in template.yaml) a group has one
message that says how things stand, and what is told in between lies in its thread; with a webhook each is a message of
its own. Slack gets a message at least once: what was posted is noted, so that a redelivery of SNS is known, but where
Slack's answer is lost, or the note can't be written, the same is posted again.
"
    .to_owned();
    for (title, notification) in cases() {
        let publication = publication(&notification, &evidence(), &sender());
        assert!(size(&publication) <= MAX_BYTES);
        writeln!(page, "\n## {title}\n\nSubject: `{}`\n", publication.subject).unwrap();
        let attributes = publication.attributes.iter().map(|(name, value)| format!("`{name}={}`", value.text()));
        writeln!(page, "Attributes: {}\n", attributes.collect::<Vec<_>>().join(", ")).unwrap();
        writeln!(page, "SMS: `{}`\n", publication.bodies["sms"]).unwrap();
        writeln!(page, "### E-mail\n\n```text\n{}```\n", publication.bodies["default"]).unwrap();
        writeln!(page, "### Lambda, SQS\n\n```json\n{}\n```\n", pretty(&publication.bodies["sqs"])).unwrap();
        let document = AlertDocument::parse(&publication.bodies["lambda"]).unwrap();
        let blocks = serde_json::to_string_pretty(&slack::alert(&document)).unwrap();
        writeln!(page, "### Slack\n\n```json\n{blocks}\n```\n").unwrap();
        writeln!(page, "### Amazon Q\n\n```json\n{}\n```", pretty(&publication.bodies["https"])).unwrap();
    }
    page
}

fn chart() -> String {
    let shape = [
        0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 9.0, 8.0, 7.0, 5.0, 4.0, 4.0, 3.0, 2.0,
        1.0, 1.0,
    ];
    let values = (0..120).filter(|at| !(40..46).contains(at)).map(|at| (minute(at - 90), shape[at as usize / 5]));
    let chart = Chart {
        title: "contract_creation_failure (contract)".to_owned(),
        caption: "each point is over 10 min; fires when > 3".to_owned(),
        window: Window { from: minute(-90), to: minute(29) },
        values: values.collect(),
        threshold: Some(3.0),
        fired: (minute(-35), Some(minute(20))),
    };
    chart.svg()
}

#[test]
fn the_page_of_messages_is_true() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, text) in [("messages.md", page()), ("alert-chart.svg", chart())] {
        let path = docs.join(name);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "docs/{name} differs; look at what has changed with UPDATE_SNAPSHOTS=1 and git diff");
    }
}
