//! A notification as one publication: a body for each protocol, attributes for filter policies, and the
//! limits of SNS kept.

use std::collections::{BTreeMap, BTreeSet};

use crate::alerting::history::Turned;
use crate::alerting::notification::{Group, Notification};
use crate::ports::{Attribute, Publication};

use super::document::{AlertDocument, Room};
use super::evidence::Evidence;
use super::wording::{clip, one_line};
use super::{amazon_q, email};

/// What SNS takes of subject, bodies and attributes together, in bytes.
pub const MAX_BYTES: usize = 262_144;

/// What SNS takes of a subject, in characters; they have to be ASCII.
pub const MAX_SUBJECT: usize = 99;

/// Longest attribute value, in bytes. Nobody filters by a novel.
const MAX_ATTRIBUTE: usize = 256;

/// Most values of an attribute.
const MAX_VALUES: usize = 50;

/// Stands for the values that there are beside those that are named.
const MANY: &str = "several";

/// The shortest that texts are cut to, in bytes.
const LEAST_TEXT: usize = 64;

/// Protocols whose subscribers are programs.
const JSON_PROTOCOLS: [&str; 3] = ["lambda", "sqs", "https"];

/// What all messages of a deployment have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The environment, `production` say.
    pub environment: String,
    /// The region of its traces, `eu-west-1` say.
    pub region: String,
    /// Whether subscribers by HTTPS are Amazon Q Developer in chat applications, which takes nothing but its own schema.
    pub amazon_q: bool,
}

/// What is published for a notification. Where it is too long, evidence is left out first, then alerts, and texts are
/// cut last.
pub fn publication(notification: &Notification, evidence: &Evidence, sender: &Sender) -> Publication {
    let within = |room: Room| {
        let publication = publication_within(notification, evidence, sender, room);
        (size(&publication) <= MAX_BYTES).then_some(publication)
    };
    let whole = within(Room::ALL).or_else(|| within(Room { evidence: false, ..Room::ALL }));
    if let Some(publication) = whole {
        return publication;
    }
    let groups = notification.digest.as_ref().map_or(0, |digest| digest.lines.len());
    let all = (notification.firing.len() + notification.resolved.len()).max(groups);
    // The most alerts that fit, found by halving: each attempt is rendered, since the same text is escaped in several
    // bodies.
    let (mut fits, mut too_many) = (0, all);
    let mut best = None;
    while fits + 1 < too_many {
        let alerts = fits.midpoint(too_many);
        match within(Room { evidence: false, alerts, ..Room::ALL }) {
            Some(publication) => (fits, best) = (alerts, Some(publication)),
            None => too_many = alerts,
        }
    }
    if let Some(publication) = best {
        return publication;
    }
    let mut room = Room { evidence: false, alerts: 1, text: MAX_BYTES };
    loop {
        let publication = publication_within(notification, evidence, sender, room);
        if size(&publication) <= MAX_BYTES || room.text < LEAST_TEXT {
            return publication;
        }
        room.text /= 2;
    }
}

fn publication_within(notification: &Notification, evidence: &Evidence, sender: &Sender, room: Room) -> Publication {
    let document = AlertDocument::within(notification, evidence, sender, room);
    let json = serde_json::to_string(&document).expect("maps with text keys and finite numbers always serialise");
    let mut bodies: BTreeMap<&'static str, String> =
        JSON_PROTOCOLS.iter().map(|&protocol| (protocol, json.clone())).collect();
    if sender.amazon_q {
        bodies.insert("https", amazon_q::body(&document));
    }
    bodies.insert("default", email::text(&document));
    bodies.insert("sms", email::short(&document));
    let status = if document.status == Turned::Firing { "firing" } else { "resolved" };
    let attributes = BTreeMap::from([
        ("severity", of_groups(notification, |group| group.severity.as_str())),
        ("status", attribute(status).into()),
        ("class", of_groups(notification, |group| &group.class)),
        ("rule", rules(notification)),
        ("service", of_groups(notification, |group| &group.service)),
        ("environment", attribute(&document.environment).into()),
    ]);
    Publication { subject: subject(&document), bodies, attributes }
}

/// What the group has; of a digest, what its groups have.
fn of_groups<'a>(notification: &'a Notification, what: impl Fn(&'a Group) -> &'a str) -> Attribute {
    match &notification.digest {
        Some(digest) if !digest.lines.is_empty() => attributes(digest.lines.iter().map(|line| what(&line.group))),
        _ => attribute(what(&notification.group)).into(),
    }
}

/// The rules of all alerts, also of those that there is no room for. A digest knows none.
fn rules(notification: &Notification) -> Attribute {
    let rules = notification.firing.iter().chain(&notification.resolved).map(|episode| episode.rule.as_str());
    if notification.digest.is_some() { MANY.into() } else { attributes(rules) }
}

/// Each value once, in order of the alphabet. Where there are too many the last is [`MANY`].
fn attributes<'a>(values: impl Iterator<Item = &'a str>) -> Attribute {
    let values: BTreeSet<String> = values.map(attribute).collect();
    let surplus = values.len() > MAX_VALUES;
    let mut values: Vec<String> = values.into_iter().take(MAX_VALUES).collect();
    if surplus {
        values.push(MANY.to_owned());
    }
    if values.len() > 1 { Attribute::Several(values) } else { values.pop().unwrap_or_else(|| attribute("")).into() }
}

/// `[ERROR] FIRING contract_creation_failure (contract)`
fn subject(document: &AlertDocument) -> String {
    // Short as it is: 99 characters are few.
    let headline = document.headline().replacen(": ", " ", 1);
    let subject = format!("[{}] {headline}", document.severity.as_str().to_uppercase());
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
    let length = |(name, value): (&&str, &Attribute)| name.len() + value.data_type().len() + value.text().len();
    let attributes: usize = publication.attributes.iter().map(length).sum();
    envelope(publication).len() + publication.subject.len() + attributes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::testing::{digest, episode, evidence, notification, resolved, sender, several};
    use super::super::{evidence, slack};
    use super::*;
    use crate::alerting::rules::{RuleSet, Variables};
    use crate::metrics::recent::RecentRollups;

    fn published(notification: &Notification) -> Publication {
        publication(notification, &evidence(), &sender())
    }

    #[test]
    fn one_publication_has_a_body_for_each_protocol() {
        let publication = published(&notification());
        assert_eq!(publication.subject, "[ERROR] FIRING contract_creation_failure (contract)");
        assert!(publication.bodies["default"].starts_with("FIRING: contract_creation_failure (contract)\n"));
        assert!(publication.bodies["sms"].starts_with("[ERROR] FIRING: contract_creation_failure (contract) "));
        for protocol in JSON_PROTOCOLS {
            let document = AlertDocument::parse(&publication.bodies[protocol]).unwrap();
            assert_eq!(document, AlertDocument::new(&notification(), &evidence(), &sender()));
            // Defect 19: as it is, not as \uXXXX.
            assert!(publication.bodies[protocol].contains("Ошибки создания договоров"));
        }
        let keys: Vec<_> = publication.bodies.keys().copied().collect();
        assert_eq!(keys, ["default", "https", "lambda", "sms", "sqs"]);
    }

    #[test]
    fn amazon_q_takes_the_place_of_https_and_of_nothing_else() {
        let chat = Sender { amazon_q: true, ..sender() };
        let chat = publication(&notification(), &evidence(), &chat);
        let mut usual = published(&notification());
        let body: Value = serde_json::from_str(&chat.bodies["https"]).unwrap();
        assert_eq!(body["source"], "custom");
        usual.bodies.insert("https", chat.bodies["https"].clone());
        assert_eq!(chat, usual);
    }

    #[test]
    fn no_body_tells_an_address() {
        // Defect 22: from where somebody came was mailed to everybody.
        let rules = "{version: 1, rules: [{id: security_incident, class: security, severity: critical, kind: event, \
             where: {level: CRITICAL}, when: {gte: 1}, window: {over: 15m}, resolve_after: 1h, \
             evidence: {logs: {filter: 'category=\"security\"', limit: 5}}, annotations: {summary: s}}]}";
        let rules = RuleSet::load("rules.yaml", rules, &Variables::new()).unwrap_or_else(|error| panic!("{error}"));
        let address = ["93.184.216.34", "10.0.1.23", "2001:db8::7", "fe80::1"];
        let mut firing = episode("security_incident");
        firing.labels.insert("event_type".to_owned(), format!("login from {}", address[0]));
        firing.summary = format!("Logins from {}, {}:443 and [{}]:443", address[0], address[1], address[2]);
        let mut over = firing.clone();
        over.fingerprint = "0b".to_owned();
        let (summary, reason) =
            (format!("no more from {}", address[3]), Some(format!("the host {} is gone", address[1])));
        let ended = crate::alerting::episode::Ended { at: over.since.plus(5), value: None, summary, reason };
        let over = over.ended(ended);
        let mut notification = notification();
        (notification.firing, notification.resolved) = (vec![firing], vec![over]);

        let now = notification.at;
        let searches = evidence::searches(&notification, &rules, &RecentRollups::default(), now);
        let mut finder = evidence::Finder::new(&searches[0]);
        finder.look_at(&serde_json::json!({
            "timestamp": now.to_string(), "level": "ERROR", "category": "security",
            "message": format!("5 failed logins from {}, {} for user", address[0], address[2]),
            "error": {"type": "Refused", "message": format!("ip={} via {}", address[1], address[3])},
        }));
        let mut found = Evidence::default();
        finder.put_into(&mut found);
        for amazon_q in [false, true] {
            let publication = publication(&notification, &found, &Sender { amazon_q, ..sender() });
            let slack = slack::alert(&AlertDocument::parse(&publication.bodies["sqs"]).unwrap()).to_string();
            let texts = publication.bodies.iter().map(|(protocol, body)| (*protocol, body.as_str()));
            for (protocol, text) in texts.chain([("slack", slack.as_str()), ("subject", &publication.subject)]) {
                assert!(!address.iter().any(|address| text.contains(address)), "{protocol}: {text}");
                let shows_lines = !["sms", "subject"].contains(&protocol);
                assert!(!shows_lines || text.contains("5 failed logins from [address], [address] for user"), "{text}");
            }
        }
    }

    #[test]
    fn attributes_are_complete_for_routing_and_never_empty() {
        // Defect 18: severity and name alone can't tell who is concerned.
        let mut notification = notification();
        let attributes = published(&notification).attributes;
        let expected = [
            ("class", "business"),
            ("environment", "production"),
            ("rule", "contract_creation_failure"),
            ("service", "contract"),
            ("severity", "error"),
            ("status", "firing"),
        ];
        assert_eq!(attributes, expected.into_iter().map(|(name, value)| (name, value.into())).collect());
        // Whoever filters by them gets RESOLVED exactly where FIRING went.
        let end = published(&resolved()).attributes;
        assert_eq!(end["status"], "resolved".into());
        assert!(end.iter().all(|(name, value)| *name == "status" || attributes[name] == *value));
        notification.group.service = "\n".to_owned();
        let nowhere = Sender { environment: String::new(), ..sender() };
        let attributes = publication(&notification, &evidence(), &nowhere).attributes;
        assert_eq!((&attributes["service"], &attributes["environment"]), (&"unknown".into(), &"unknown".into()));
    }

    #[test]
    fn whoever_filters_by_one_of_several_gets_the_message() {
        // The end of an alert that others had joined did not reach who had got its beginning.
        let several_of = |values: &[&str]| Attribute::Several(values.iter().map(|&value| value.to_owned()).collect());
        let attributes = published(&several()).attributes;
        let rules = ["contract_backlog", "contract_creation_failure", "contract_signing_slow"];
        assert_eq!(attributes["rule"], several_of(&rules));
        assert_eq!((&attributes["class"], &attributes["status"]), (&"business".into(), &"firing".into()));
        let attributes = published(&digest()).attributes;
        assert_eq!(attributes["class"], several_of(&["availability", "business", "performance"]));
        assert_eq!(attributes["service"], several_of(&["all", "api", "contract"]));
        assert_eq!(attributes["severity"], several_of(&["critical", "error", "warning"]));
        assert_eq!((&attributes["rule"], &attributes["status"]), (&"several".into(), &"firing".into()));
        let mut many = notification();
        many.firing = (10..99).map(|number| episode(&format!("rule_{number}"))).collect();
        let Attribute::Several(rules) = &published(&many).attributes["rule"] else { panic!("there are several") };
        assert_eq!((rules.len(), rules[0].as_str(), rules[50].as_str()), (51, "rule_10", "several"));
    }

    #[test]
    fn a_subject_is_ascii_and_can_not_bring_headers_of_its_own() {
        // Defect 17: the subject went out as it came.
        for (service, expected) in [
            ("x\r\nBcc: all@example.com", "[ERROR] FIRING contract_creation_failure (x??Bcc: all@example.com)"),
            ("договор", "[ERROR] FIRING contract_creation_failure (???????)"),
            ("\u{7f}\u{2028}", "[ERROR] FIRING contract_creation_failure (??)"),
        ] {
            let mut notification = notification();
            notification.firing[0].labels.insert("service".to_owned(), service.to_owned());
            assert_eq!(published(&notification).subject, expected);
        }
    }

    #[test]
    fn what_is_too_long_loses_evidence_first_then_alerts_and_texts_last() {
        let mut notification = notification();
        let long = |bytes: usize| "ошибка \"x\"\n".repeat(bytes / 18);
        let parse = |publication: &Publication| {
            assert!(size(publication) <= MAX_BYTES, "{}", size(publication));
            AlertDocument::parse(&publication.bodies["lambda"]).unwrap()
        };
        notification.firing[0].summary = long(30_000);
        let document = parse(&published(&notification));
        assert!(document.firing[0].evidence.is_some() && !document.left_out.evidence);

        let mut told_at_length = evidence();
        let about = told_at_length.about(&notification.firing[0].fingerprint);
        about.lines[0].message = long(30_000);
        let publication = super::publication(&notification, &told_at_length, &sender());
        let document = parse(&publication);
        assert!(document.firing[0].evidence.is_none() && document.left_out.evidence);
        assert_eq!(document.firing[0].summary, notification.firing[0].summary);
        assert!(publication.bodies["default"].contains("Log lines and charts are left out"));

        notification.firing = vec![notification.firing[0].clone(); 40];
        notification.resolved = several().resolved;
        let publication = published(&notification);
        let document = parse(&publication);
        let told = document.firing.len();
        assert!((1..40).contains(&told) && document.resolved.is_empty());
        assert_eq!((document.left_out.firing, document.left_out.resolved), (40 - told, 1));
        assert!(publication.bodies["default"].contains(&format!("and {} more\n", 41 - told)));
        assert_eq!(document.firing[0].summary, notification.firing[0].summary);

        notification.firing[0].summary = long(1_000_000);
        notification.firing[0].runbook_url = Some(format!("https://wiki/{}", "a".repeat(MAX_BYTES)));
        let publication = published(&notification);
        let document = parse(&publication);
        assert_eq!(document.firing.len(), 1);
        assert!(size(&publication) > MAX_BYTES / 8, "{}", size(&publication));
        assert!(document.firing[0].summary.starts_with("ошибка \"x\"\n"));
        assert!(document.firing[0].summary.ends_with("..."));
        assert_eq!(document.firing[0].runbook_url, None, "half a link leads nowhere");
    }

    #[test]
    fn a_long_digest_loses_its_last_groups() {
        let mut digest = digest();
        let lines = &mut digest.digest.as_mut().unwrap().lines;
        *lines = vec![lines[0].clone(); 20_000];
        let publication = published(&digest);
        assert!(size(&publication) <= MAX_BYTES && size(&publication) > MAX_BYTES * 9 / 10, "{}", size(&publication));
        let document = AlertDocument::parse(&publication.bodies["sqs"]).unwrap();
        assert_eq!(document.digest.unwrap().groups.len() + document.left_out.groups, 20_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_text_breaks_a_limit(
            service in ".{0,300}",
            class in ".{0,50}",
            summary in "(?s).{0,300}",
            times in 1..120usize,
            alerts in 1..20usize,
            labels in prop::collection::btree_map(".{1,20}", ".{0,2000}", 0..5),
            amazon_q: bool,
        ) {
            let mut notification = several();
            (notification.group.service, notification.group.class) = (service, class);
            notification.firing[0].summary = summary.repeat(times);
            notification.firing[0].labels = labels;
            notification.firing = vec![notification.firing[0].clone(); alerts];
            let publication = publication(&notification, &evidence(), &Sender { amazon_q, ..sender() });
            prop_assert!(size(&publication) <= MAX_BYTES);
            prop_assert!(publication.subject.len() <= MAX_SUBJECT);
            prop_assert!(publication.subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert!(publication.bodies["sms"].len() <= 140);
            for value in publication.attributes.values().map(Attribute::text) {
                prop_assert!(!value.is_empty() && !value.contains(char::is_control));
            }
            let document = AlertDocument::parse(&publication.bodies["lambda"]);
            prop_assert!(document.is_ok_and(|document| document.counts() == (alerts, 1)));
            prop_assert!(serde_json::from_str::<Value>(&publication.bodies["https"]).is_ok());
        }
    }
}
