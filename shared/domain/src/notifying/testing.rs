//! Builders for the tests of this folder.

use std::collections::BTreeMap;

use crate::Minute;
use crate::alerting::history::{Transition, Turned};
use crate::alerting::notification::Notification;

use super::document::AlertDocument;

fn minute(offset: i64) -> Minute {
    "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
}

/// FIRING of the contract service.
pub fn notification() -> Notification {
    let transition = Transition {
        version: 1,
        at: minute(13),
        rule: "contract_creation_failure".to_owned(),
        fingerprint: "00ff".to_owned(),
        class: "business".to_owned(),
        severity: "error".to_owned(),
        labels: BTreeMap::from([("service".to_owned(), "contract".to_owned())]),
        turned: Turned::Firing,
        value: Some(4.0),
        condition: "> 3".to_owned(),
        summary: "Ошибки создания договоров: 4".to_owned(),
        since: minute(13),
    };
    Notification {
        transition,
        breaching_since: minute(11),
        service: "contract".to_owned(),
        runbook_url: Some("https://wiki.company.com/runbooks/contract-failures".to_owned()),
        reason: None,
    }
}

/// Its document.
pub fn document() -> AlertDocument {
    AlertDocument::new(&notification(), "production", usize::MAX)
}

/// That of its end, 27 minutes later, without a value.
pub fn resolved() -> AlertDocument {
    let summary = "Ошибки создания договоров: 0".to_owned();
    AlertDocument::new(&notification().resolved(minute(40), None, summary, None), "production", usize::MAX)
}
