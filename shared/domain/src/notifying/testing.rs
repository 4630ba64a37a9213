//! Builders for the tests of this folder.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::Minute;
use crate::alerting::episode::{Ended, Episode, Origin};
use crate::alerting::notification::{Digest, DigestLine, Group, Named, Notification, Reason};
use crate::alerting::rules::Severity;

use super::document::AlertDocument;
use super::evidence::{Evidence, Line};
use super::message::Sender;

fn minute(offset: i64) -> Minute {
    "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
}

/// An alert of the contract service.
pub fn episode(rule: &str) -> Episode {
    Episode {
        rule: rule.to_owned(),
        fingerprint: crate::keys::fingerprint([rule.as_bytes()]),
        class: "business".to_owned(),
        severity: Severity::Error,
        service: "contract".to_owned(),
        labels: BTreeMap::from([("service".to_owned(), "contract".to_owned())]),
        condition: "> 3".to_owned(),
        summary: "Ошибки создания договоров: 4".to_owned(),
        value: Some(4.0),
        runbook_url: Some("https://wiki.company.com/runbooks/contract-failures".to_owned()),
        breaching_since: minute(11),
        since: minute(13),
        fired_before: 3,
        origin: Origin::Rule {},
        ended: None,
    }
}

fn about(at: i64, reason: Reason, firing: Vec<Episode>, resolved: Vec<Episode>) -> Notification {
    let group = Group::of(firing.first().or(resolved.first()).unwrap());
    let at = minute(at).start();
    Notification { id: Notification::id_of(&group, at), at, reason, group, firing, resolved, digest: None }
}

/// One alert begins to fire.
pub fn notification() -> Notification {
    about(14, Reason::First, vec![episode("contract_creation_failure")], Vec::new())
}

/// The same is over after 27 minutes, without a value.
pub fn resolved() -> Notification {
    let summary = "Ошибки создания договоров: 0".to_owned();
    let ended = Ended { at: minute(40), value: None, summary, reason: None };
    about(41, Reason::AllResolved, Vec::new(), vec![episode("contract_creation_failure").ended(ended)])
}

/// Two alerts fire, and a third is over.
pub fn several() -> Notification {
    let mut slow = episode("contract_signing_slow");
    (slow.summary, slow.condition, slow.value) = ("Signing takes 9.5 s".to_owned(), "> 5".to_owned(), Some(9.5));
    (slow.fired_before, slow.runbook_url) = (0, None);
    let mut over = resolved().resolved.remove(0);
    (over.rule, over.fingerprint) = ("contract_backlog".to_owned(), "0b".to_owned());
    about(41, Reason::NewAlerts, vec![episode("contract_creation_failure"), slow], vec![over])
}

/// A storm in one message.
pub fn digest() -> Notification {
    let group =
        |severity, class: &str, service: &str| Group { severity, class: class.to_owned(), service: service.to_owned() };
    let line = |group: Group, firing, resolved| DigestLine { group, firing, resolved };
    let lines = vec![
        line(group(Severity::Critical, "availability", "api"), 30, 0),
        line(group(Severity::Error, "business", "contract"), 11, 2),
        line(group(Severity::Warning, "performance", "all"), 0, 1),
    ];
    let digest = Digest { from: minute(30).start(), lines, alerts: Named::default() };
    let (group, at) = (group(Severity::Critical, "system", "all"), minute(35).start());
    let id = Notification::id_of(&group, at);
    let (firing, resolved) = (Vec::new(), Vec::new());
    Notification { id, at, reason: Reason::Digest, group, firing, resolved, digest: Some(digest) }
}

/// What was found about the first.
pub fn evidence() -> Evidence {
    let mut evidence = Evidence::default();
    let about = evidence.about(&episode("contract_creation_failure").fingerprint);
    let line = |at: &str, message: &str| Line {
        at: format!("2026-11-21T{at}Z").parse::<Timestamp>().unwrap(),
        level: "ERROR".to_owned(),
        service: "contract".to_owned(),
        message: message.to_owned(),
    };
    about.lines = vec![
        line("10:12:44.120", "Договор не создан: [email:jkfbhbrhnzmtzfcv]: Timeout: rosreestr"),
        line("10:12:41.003", "Contract not created: cadastral number not found"),
    ];
    about.matched = 12;
    about.traces = vec!["1-5759e988-bd862e3fe1be46a994272793".to_owned()];
    about.chart_url =
        Some("https://bucket.s3.eu-west-1.amazonaws.com/alerts/charts/x.svg?X-Amz-Expires=43200".to_owned());
    evidence
}

/// A deployment.
pub fn sender() -> Sender {
    Sender { environment: "production".to_owned(), region: "eu-west-1".to_owned(), amazon_q: false }
}

/// The whole document of a notification.
pub fn document(notification: &Notification) -> AlertDocument {
    AlertDocument::new(notification, &evidence(), &sender())
}
