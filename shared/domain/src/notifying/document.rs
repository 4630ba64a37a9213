//! The alerts as programs get them: the JSON body for Lambda, SQS and HTTPS subscribers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::alerting::condition::display_value;
use crate::alerting::episode::{Episode, Origin};
use crate::alerting::history::Turned;
use crate::alerting::notification::{Group, Notification, Reason};
use crate::alerting::rules::Severity;
use crate::keys;

use super::addresses::masked;
use super::evidence::{AlertEvidence, Evidence};
use super::message::Sender;
use super::wording::{clip, counted, span};

/// The only version of this format. Fields may be added to it; readers skip those they don't know.
pub const VERSION: u32 = 2;

/// How many labels of an alert are told: CloudWatch has no more dimensions.
const MAX_LABELS: usize = 30;

/// One message about the alerts of one group, or of many in a digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertDocument {
    /// Version of this format.
    pub version: u32,
    /// The same message, sent again, has the same id.
    pub id: String,
    /// `firing` as long as one of the alerts does.
    pub status: Turned,
    /// The moment that decided it.
    pub at: Timestamp,
    /// Why it is sent.
    pub reason: Reason,
    /// The environment, `production` say.
    pub environment: String,
    /// The region that the deployment, its logs and traces are in.
    pub region: String,
    /// How bad the alerts are: all of a group are equally bad.
    pub severity: Severity,
    /// `business`, `performance`, ...
    pub class: String,
    /// The service concerned, or `all`.
    pub service: String,
    /// What fires, the oldest first.
    pub firing: Vec<Alert>,
    /// What is over, the oldest first.
    pub resolved: Vec<Alert>,
    /// What a storm is told as, instead of alerts.
    pub digest: Option<Digest>,
    /// What there was no room for.
    pub left_out: LeftOut,
}

/// One alert of the group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Id of the rule; of an alarm of CloudWatch, its name.
    pub rule: String,
    /// The same alert has the same one for ever.
    pub fingerprint: String,
    /// Labels of the group that it speaks of.
    pub labels: BTreeMap<String, String>,
    /// The rule's summary, with the value in it.
    pub summary: String,
    /// The value that decided it; `None` where there was none.
    pub value: Option<f64>,
    /// When the rule fires: `> 3`.
    pub condition: String,
    /// The minute in which the breach began.
    pub breaching_since: Minute,
    /// The minute in which it began to fire.
    pub since: Minute,
    /// How often it had fired in the 30 days before.
    pub fired_before: u32,
    /// How many events had come when it fired, where it speaks of events.
    pub events: Option<u64>,
    /// Whether it is an alarm of CloudWatch, which tells no value.
    pub is_alarm: bool,
    /// Where CloudWatch shows it.
    pub alarm_url: Option<String>,
    /// Where to read what to do.
    pub runbook_url: Option<String>,
    /// How it ended; `None` as long as it fires.
    pub ended: Option<End>,
    /// What was found about it.
    pub evidence: Option<AlertEvidence>,
}

/// How an alert ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The minute that ended it.
    pub at: Minute,
    /// Why, where it was not the value that ended it.
    pub reason: Option<String>,
}

/// Many groups in one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// Since when things were held back for it.
    pub from: Timestamp,
    /// A line a group, the worst first.
    pub groups: Vec<DigestGroup>,
}

/// What a digest says of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestGroup {
    /// How bad its alerts are.
    pub severity: Severity,
    /// Their class.
    pub class: String,
    /// The service concerned, or `all`.
    pub service: String,
    /// How many of them fire.
    pub firing: usize,
    /// How many are over.
    pub resolved: usize,
}

/// How much there was no room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Alerts that fire.
    pub firing: usize,
    /// Alerts that are over.
    pub resolved: usize,
    /// Groups of a digest.
    pub groups: usize,
    /// Whether evidence was.
    pub evidence: bool,
}

/// How much of a notification goes into its messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Whether evidence does.
    pub evidence: bool,
    /// How many alerts, or groups of a digest, do.
    pub alerts: usize,
    /// How many bytes of each text do.
    pub text: usize,
}

impl Room {
    /// Room for everything.
    pub const ALL: Room = Room { evidence: true, alerts: usize::MAX, text: usize::MAX };
}

/// A text that is not an alert document of this version.
#[derive(Debug, thiserror::Error)]
pub enum NotADocument {
    /// Not JSON, or not of this format.
    #[error("not an alert document")]
    Json(#[from] serde_json::Error),
    /// Of another version.
    #[error("alert document of version {0}, this is version {VERSION}")]
    Version(u32),
}

impl AlertDocument {
    /// The document of a notification, whole.
    pub fn new(notification: &Notification, evidence: &Evidence, sender: &Sender) -> AlertDocument {
        AlertDocument::within(notification, evidence, sender, Room::ALL)
    }

    /// The document, with what there is room for.
    pub(super) fn within(
        notification: &Notification,
        evidence: &Evidence,
        sender: &Sender,
        room: Room,
    ) -> AlertDocument {
        let Notification { id, at, reason, group, firing, resolved, digest } = notification;
        let Group { severity, class, service } = group;
        let fires = if let Some(digest) = digest {
            digest.lines.iter().any(|line| line.firing > 0)
        } else {
            !firing.is_empty()
        };
        let alert = |episode: &Episode| Alert::within(episode, evidence, room);
        let told_firing: Vec<Alert> = firing.iter().take(room.alerts).map(alert).collect();
        let told_resolved: Vec<Alert> =
            resolved.iter().take(room.alerts.saturating_sub(told_firing.len())).map(alert).collect();
        let lines = digest.as_ref().map_or(&[][..], |digest| &digest.lines);
        let groups: Vec<DigestGroup> = lines
            .iter()
            .take(room.alerts)
            .map(|line| DigestGroup {
                severity: line.group.severity,
                class: clip(&line.group.class, room.text),
                service: clip(&line.group.service, room.text),
                firing: line.firing,
                resolved: line.resolved,
            })
            .collect();
        let left_out = LeftOut {
            firing: firing.len() - told_firing.len(),
            resolved: resolved.len() - told_resolved.len(),
            groups: lines.len() - groups.len(),
            evidence: !room.evidence && firing.iter().chain(resolved).any(|e| evidence.of(&e.fingerprint).is_some()),
        };
        AlertDocument {
            version: VERSION,
            id: id.clone(),
            status: if fires { Turned::Firing } else { Turned::Resolved },
            at: *at,
            reason: *reason,
            environment: sender.environment.clone(),
            region: sender.region.clone(),
            severity: *severity,
            class: clip(class, room.text),
            service: clip(service, room.text),
            firing: told_firing,
            resolved: told_resolved,
            digest: digest.as_ref().map(|digest| Digest { from: digest.from, groups }),
            left_out,
        }
    }

    /// Reads a document back.
    ///
    /// # Errors
    ///
    /// Where it is no document, or one of another version.
    pub fn parse(text: &str) -> Result<AlertDocument, NotADocument> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // The version first: another one may have other fields.
        match serde_json::from_str::<Versioned>(text)?.version {
            VERSION => Ok(serde_json::from_str(text)?),
            other => Err(NotADocument::Version(other)),
        }
    }

    /// What names the thread that it belongs to: all that is told of a group has the same one. A digest has one of its
    /// own, also where what it is about has all of a group in common.
    pub(super) fn thread(&self) -> String {
        let group = [self.environment.as_str(), self.severity.as_str(), &self.class, &self.service];
        let digest = (self.reason == Reason::Digest).then_some("digest");
        keys::fingerprint(group.into_iter().chain(digest).map(str::as_bytes))
    }

    /// All alerts that it tells of, those that fire first.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.firing.iter().chain(&self.resolved)
    }

    /// How many alerts fire and how many are over, with those that there was no room for.
    pub fn counts(&self) -> (usize, usize) {
        (self.firing.len() + self.left_out.firing, self.resolved.len() + self.left_out.resolved)
    }

    /// The one alert that it is about, if it is one.
    pub fn only(&self) -> Option<&Alert> {
        if self.counts().0 + self.counts().1 == 1 { self.alerts().next() } else { None }
    }

    /// The news, in a line: `FIRING: contract_creation_failure (contract)`, `2 FIRING, 1 RESOLVED (business, contract)`.
    pub fn headline(&self) -> String {
        if let Some(digest) = &self.digest {
            let count = |of: fn(&DigestGroup) -> usize| digest.groups.iter().map(of).sum::<usize>();
            let (firing, resolved) = (count(|group| group.firing), count(|group| group.resolved));
            let groups = counted(digest.groups.len() + self.left_out.groups, "group");
            return match self.left_out.groups {
                0 => format!("DIGEST: {firing} firing, {resolved} resolved in {groups}"),
                _ => format!("DIGEST: more than {firing} firing, {resolved} resolved in {groups}"),
            };
        }
        let firing = if self.reason == Reason::Repeat { "STILL FIRING" } else { "FIRING" };
        if let Some(alert) = self.only() {
            let status = if alert.ended.is_some() { "RESOLVED" } else { firing };
            return format!("{status}: {}", alert.name());
        }
        let of = format!("({}, {})", self.class, self.service);
        match self.counts() {
            (0, resolved) => format!("RESOLVED: {} {of}", counted(resolved, "alert")),
            (count, 0) => format!("{firing}: {} {of}", counted(count, "alert")),
            (count, resolved) => format!("{count} FIRING, {resolved} RESOLVED {of}"),
        }
    }

    /// What all its alerts are of: the rule, or `several`.
    pub fn rule(&self) -> &str {
        let mut rules = self.alerts().map(|alert| alert.rule.as_str());
        let first = rules.next();
        match first.filter(|first| rules.all(|rule| rule == *first)) {
            Some(rule) if self.left_out.firing + self.left_out.resolved == 0 => rule,
            _ => "several",
        }
    }
}

impl Alert {
    fn within(episode: &Episode, evidence: &Evidence, room: Room) -> Alert {
        let cut = |text: &str| clip(text, room.text);
        // Whatever a line or a rule has put there, who is told need not know from where somebody came.
        let told = |text: &str| cut(&masked(text));
        // Half a link leads nowhere.
        let link = |url: &Option<String>| url.clone().filter(|url| url.len() <= room.text);
        let (events, alarm_url) = match &episode.origin {
            Origin::Rule {} => (None, None),
            Origin::Alarm { url, .. } => (None, link(url)),
            Origin::Event { count } => (Some(*count), None),
        };
        let (value, summary) = match &episode.ended {
            None => (episode.value, &episode.summary),
            Some(ended) => (ended.value, &ended.summary),
        };
        let end =
            |ended: &crate::alerting::episode::Ended| End { at: ended.at, reason: ended.reason.as_deref().map(told) };
        Alert {
            rule: cut(&episode.rule),
            fingerprint: cut(&episode.fingerprint),
            labels: episode.labels.iter().take(MAX_LABELS).map(|(name, value)| (cut(name), told(value))).collect(),
            summary: told(summary),
            value,
            condition: cut(&episode.condition),
            breaching_since: episode.breaching_since,
            since: episode.since,
            fired_before: episode.fired_before,
            events,
            is_alarm: episode.is_alarm(),
            alarm_url,
            runbook_url: link(&episode.runbook_url),
            ended: episode.ended.as_ref().map(end),
            evidence: evidence.of(&episode.fingerprint).filter(|_| room.evidence).cloned(),
        }
    }

    /// Its rule and what of it is concerned: `high_cpu_usage (api)`.
    pub fn name(&self) -> String {
        let values: Vec<&str> = self.labels.values().map(String::as_str).collect();
        if values.is_empty() { self.rule.clone() } else { format!("{} ({})", self.rule, values.join(", ")) }
    }

    /// The value against the threshold: `4 (fires when > 3)`.
    pub fn value_text(&self) -> String {
        if self.is_alarm && self.value.is_none() && !self.condition.is_empty() {
            return format!("fires when {}", self.condition);
        }
        let value = match (self.value, self.events) {
            (Some(value), _) => display_value(value),
            (None, Some(events)) => counted(events as usize, "event"),
            (None, None) => "no data".to_owned(),
        };
        if self.condition.is_empty() { value } else { format!("{value} (fires when {})", self.condition) }
    }

    /// How often it had fired in the 30 days before, in words.
    pub fn before_text(&self) -> String {
        match self.fired_before {
            0 => "not in 30 days".to_owned(),
            1 => "once in 30 days".to_owned(),
            times => format!("{times} times in 30 days"),
        }
    }

    /// How long it fired: `27 min`; `None` while it does.
    pub fn fired_for(&self) -> Option<String> {
        self.ended.as_ref().map(|end| span(end.at.since(self.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{digest, evidence, notification, resolved, sender, several};
    use super::*;

    fn whole(notification: &Notification) -> AlertDocument {
        AlertDocument::new(notification, &evidence(), &sender())
    }

    #[test]
    fn a_document_reads_back_as_it_was_written_and_skips_what_it_does_not_know() {
        for notification in [notification(), resolved(), several(), digest()] {
            let document = whole(&notification);
            let mut json = serde_json::to_value(&document).unwrap();
            json["new"] = true.into();
            assert_eq!(AlertDocument::parse(&json.to_string()).unwrap(), document);
            json["version"] = 3.into();
            json["status"] = "another".into();
            let error = AlertDocument::parse(&json.to_string()).unwrap_err().to_string();
            assert_eq!(error, "alert document of version 3, this is version 2");
        }
        assert_eq!(AlertDocument::parse("42").unwrap_err().to_string(), "not an alert document");
    }

    #[test]
    fn the_headline_is_the_news() {
        let mut repeat = notification();
        repeat.reason = Reason::Repeat;
        let mut all_over = several();
        all_over.firing.clear();
        all_over.resolved.push(all_over.resolved[0].clone());
        let mut all_fire = several();
        all_fire.resolved.clear();
        for (notification, expected) in [
            (notification(), "FIRING: contract_creation_failure (contract)"),
            (repeat, "STILL FIRING: contract_creation_failure (contract)"),
            (resolved(), "RESOLVED: contract_creation_failure (contract)"),
            (several(), "2 FIRING, 1 RESOLVED (business, contract)"),
            (all_over, "RESOLVED: 2 alerts (business, contract)"),
            (all_fire, "FIRING: 2 alerts (business, contract)"),
            (digest(), "DIGEST: 41 firing, 3 resolved in 3 groups"),
        ] {
            assert_eq!(whole(&notification).headline(), expected);
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let room = Room { evidence: false, alerts: 1, text: usize::MAX };
        let document = AlertDocument::within(&several(), &evidence(), &sender(), room);
        assert_eq!((document.firing.len(), document.resolved.len()), (1, 0));
        assert_eq!(document.left_out, LeftOut { firing: 1, resolved: 1, groups: 0, evidence: true });
        assert_eq!((document.counts(), document.rule()), ((2, 1), "several"));
        assert_eq!(document.headline(), "2 FIRING, 1 RESOLVED (business, contract)");
        let document = AlertDocument::within(&digest(), &evidence(), &sender(), room);
        assert_eq!(document.left_out, LeftOut { groups: 2, ..LeftOut::default() });
        assert_eq!(document.headline(), "DIGEST: more than 30 firing, 0 resolved in 3 groups");
    }

    #[test]
    fn a_value_is_told_against_its_threshold() {
        let alert = |value, condition: &str, events| {
            let mut alert = whole(&notification()).firing.remove(0);
            (alert.value, alert.condition, alert.events) = (value, condition.to_owned(), events);
            alert.value_text()
        };
        for (told, expected) in [
            (alert(Some(4.0), "> 3", None), "4 (fires when > 3)"),
            (alert(None, "> 3", None), "no data (fires when > 3)"),
            (alert(None, "", Some(1)), "1 event"),
            (alert(None, "", Some(12)), "12 events"),
            (alert(Some(0.5), "", None), "0.5"),
        ] {
            assert_eq!(told, expected);
        }
        let mut alarm = whole(&notification()).firing.remove(0);
        (alarm.value, alarm.is_alarm) = (None, true);
        assert_eq!(alarm.value_text(), "fires when > 3", "CloudWatch does not tell the value");
    }
}
