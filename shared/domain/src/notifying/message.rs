//! A notification as one publication: a body for each protocol, attributes for filter policies, and the
//! limits of SNS kept.

use std::collections::BTreeMap;

use crate::alerting::episode::Episode;
use crate::ports::Publication;

use super::document::AlertDocument;
use super::email;
use super::wording::{clip, one_line};

/// What SNS takes of subject, bodies and attributes together, in bytes.
pub const MAX_BYTES: usize = 262_144;

/// What SNS takes of a subject, in characters; they have to be ASCII.
pub const MAX_SUBJECT: usize = 99;

/// Longest attribute value, in bytes. Nobody filters by a novel.
const MAX_ATTRIBUTE: usize = 256;

/// Protocols whose subscribers are programs.
const JSON_PROTOCOLS: [&str; 3] = ["lambda", "sqs", "https"];

/// What is published for an episode.
pub fn publication(episode: &Episode, environment: &str) -> Publication {
    // The texts of one alert are in several bodies, escaped there, so their common limit is found by trying.
    let mut max_text = MAX_BYTES;
    loop {
        let publication = publication_within(episode, environment, max_text);
        if size(&publication) <= MAX_BYTES || max_text < 64 {
            return publication;
        }
        max_text /= 2;
    }
}

fn publication_within(episode: &Episode, environment: &str, max_text: usize) -> Publication {
    let document = AlertDocument::new(episode, environment, max_text);
    let json = serde_json::to_string(&document).expect("maps with text keys and finite numbers always serialise");
    let mut bodies: BTreeMap<&'static str, String> =
        JSON_PROTOCOLS.iter().map(|&protocol| (protocol, json.clone())).collect();
    bodies.insert("default", email::text(&document));
    let attributes = BTreeMap::from([
        ("severity", document.severity.as_str()),
        ("status", if document.fired_for().is_some() { "resolved" } else { "firing" }),
        ("class", document.class.as_str()),
        ("rule", document.rule.as_str()),
        ("service", document.service.as_str()),
        ("environment", document.environment.as_str()),
    ]);
    let attributes = attributes.into_iter().map(|(name, value)| (name, attribute(value))).collect();
    Publication { subject: subject(&document), bodies, attributes }
}

/// `[ERROR] FIRING contract_creation_failure (contract)`
fn subject(document: &AlertDocument) -> String {
    let mut subject = format!("[{}] {} {}", document.severity.to_uppercase(), document.status_word(), document.rule);
    if let Some(group) = document.group() {
        subject.push_str(&format!(" ({group})"));
    }
    let ascii: String = subject.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    clip(&ascii, MAX_SUBJECT)
}

/// SNS takes no empty values, and nothing filters by control characters.
fn attribute(value: &str) -> String {
    let value = clip(&one_line(value), MAX_ATTRIBUTE);
    if value.trim().is_empty() { "unknown".to_owned() } else { value }
}

/// The bodies as the one JSON text that carries them, with `MessageStructure: json`.
pub fn envelope(publication: &Publication) -> String {
    serde_json::to_string(&publication.bodies).expect("texts always serialise")
}

/// What SNS counts, and never less: the envelope, subject and attributes, in bytes.
pub fn size(publication: &Publication) -> usize {
    let attributes: usize =
        publication.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
    envelope(publication).len() + publication.subject.len() + attributes
}

#[cfg(test)]
mod tests {
    use super::super::testing::{episode, resolved_episode};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_publication_has_a_body_for_each_protocol() {
        let publication = publication(&episode(), "production");
        assert_eq!(publication.subject, "[ERROR] FIRING contract_creation_failure (contract)");
        assert!(publication.bodies["default"].starts_with("FIRING: contract_creation_failure\n"));
        for protocol in JSON_PROTOCOLS {
            let document = AlertDocument::parse(&publication.bodies[protocol]).unwrap();
            assert_eq!(document, AlertDocument::new(&episode(), "production", usize::MAX));
            // Defect 19: as it is, not as \uXXXX.
            assert!(publication.bodies[protocol].contains("Ошибки создания договоров"));
        }
    }

    #[test]
    fn attributes_are_complete_for_routing_and_never_empty() {
        // Defect 18: severity and name alone can't tell who is concerned.
        let mut episode = episode();
        let attributes = publication(&episode, "production").attributes;
        let expected = [
            ("class", "business"),
            ("environment", "production"),
            ("rule", "contract_creation_failure"),
            ("service", "contract"),
            ("severity", "error"),
            ("status", "firing"),
        ];
        assert_eq!(attributes, expected.into_iter().map(|(name, value)| (name, value.to_owned())).collect());

        episode.service = "\n".to_owned();
        let attributes = publication(&episode, "").attributes;
        assert_eq!((attributes["service"].as_str(), attributes["environment"].as_str()), ("unknown", "unknown"));
        assert_eq!(publication(&resolved_episode(), "production").attributes["status"], "resolved");
    }

    #[test]
    fn a_subject_is_ascii_and_can_not_bring_headers_of_its_own() {
        // Defect 17: the subject went out as it came.
        for (service, expected) in [
            ("x\r\nBcc: all@example.com", "[ERROR] FIRING contract_creation_failure (x??Bcc: all@example.com)"),
            ("договор", "[ERROR] FIRING contract_creation_failure (???????)"),
            (
                "a-very-long-name-of-a-service-that-somebody-thought-was-a-good-idea",
                "[ERROR] FIRING contract_creation_failure (a-very-long-name-of-a-service-that-somebody-thought-wa...",
            ),
        ] {
            let mut episode = episode();
            episode.labels.insert("service".to_owned(), service.to_owned());
            let subject = publication(&episode, "production").subject;
            assert_eq!(subject, expected);
            assert!(subject.len() <= MAX_SUBJECT);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_still_read() {
        let mut episode = episode();
        episode.summary = "ошибка \"x\"\n".repeat(40_000);
        episode.runbook_url = Some(format!("https://example.com/{}", "x".repeat(300_000)));
        episode.service = "с".repeat(300_000);
        let publication = publication(&episode, "production");
        let size = size(&publication);
        assert!(size <= MAX_BYTES && size > MAX_BYTES / 8, "{size}");
        let document = AlertDocument::parse(&publication.bodies["lambda"]).unwrap();
        assert!(document.summary.starts_with("ошибка \"x\"\n") && document.summary.ends_with("..."));
        assert_eq!(document.runbook_url, None, "half a link leads nowhere");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn no_text_breaks_a_limit(
            service in ".{0,300}",
            summary in "(?s).{0,300}",
            times in 1..600usize,
            labels in prop::collection::btree_map(".{1,20}", ".{0,2000}", 0..5),
        ) {
            let mut episode = episode();
            episode.service = service;
            episode.summary = summary.repeat(times);
            episode.labels = labels;
            let publication = publication(&episode, "production");
            prop_assert!(size(&publication) <= MAX_BYTES);
            prop_assert!(publication.subject.len() <= MAX_SUBJECT);
            prop_assert!(publication.subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            for value in publication.attributes.values() {
                prop_assert!(!value.is_empty() && !value.contains(char::is_control));
            }
            prop_assert!(AlertDocument::parse(&publication.bodies["https"]).is_ok());
        }
    }
}
