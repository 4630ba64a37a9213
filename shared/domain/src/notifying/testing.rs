//! Builders for the tests of this folder.

use std::collections::BTreeMap;

use crate::Minute;
use crate::alerting::episode::{Ended, Episode, Origin};
use crate::alerting::rules::Severity;

use super::document::AlertDocument;

fn minute(offset: i64) -> Minute {
    "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
}

/// FIRING of the contract service.
pub fn episode() -> Episode {
    Episode {
        rule: "contract_creation_failure".to_owned(),
        fingerprint: "00ff".to_owned(),
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
        fired_before: 2,
        origin: Origin::Rule {},
        ended: None,
    }
}

/// Its end, 27 minutes later, without a value.
pub fn resolved_episode() -> Episode {
    let summary = "Ошибки создания договоров: 0".to_owned();
    episode().ended(Ended { at: minute(40), value: None, summary, reason: None })
}

/// Its document.
pub fn document() -> AlertDocument {
    AlertDocument::new(&episode(), "production", usize::MAX)
}

/// That of its end.
pub fn resolved() -> AlertDocument {
    AlertDocument::new(&resolved_episode(), "production", usize::MAX)
}
