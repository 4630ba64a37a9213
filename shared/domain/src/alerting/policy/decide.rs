//! One tick of the policy: what began and ended in; what is told, and what the history notes, out.
//!
//! The order is that of Alertmanager: alerts gather in groups; a group that is due is looked at without what is muted
//! (inhibited, then out of hours, then silenced); and it is told if that is news to those who were told last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::alerting::engine::FILES;
use crate::alerting::episode::Episode;
use crate::alerting::history::{Muted, Record, SilenceTurned};
use crate::alerting::notification::{Digest, DigestLine, Group, Named, Notification, Reason};
use crate::alerting::rules::Severity;

use super::calendar::Calendar;
use super::matcher::{SECURITY, all_match, label_of};
use super::silences::{Silence, Silences};
use super::state::{GroupState, HeldAlert, InForce, PolicyState, Storm};
use super::{Inhibition, Policy, StormCap, Timing};

/// How many different causes are noted for one episode: a bound, should an inhibiting alert come and go for days.
const MAX_CAUSES: usize = 20;

/// What is decided in a tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The next state.
    pub state: PolicyState,
    /// What is to be sent, in order: the worst first.
    pub notifications: Vec<Notification>,
    /// What the history has to note: what is muted, and silences that began or ended.
    pub records: Vec<Record>,
}

/// Decides what is to be told at `now`, `changes` being what began or ended since the last time.
///
/// Ticks may be late or missing: what was due in between is told once, with what is true by now.
pub fn decide(
    policy: &Policy,
    silences: &Silences,
    mut state: PolicyState,
    changes: &[Episode],
    now: Timestamp,
) -> Decision {
    let mut records = note_silences(silences, &mut state.silences, now);
    for change in changes {
        state.take_in(policy, change, now);
    }
    let mutes = Mutes::of(policy, silences, &state, now);
    records.extend(note_muted(&mut state, &mutes, now));
    let notifications = tell(policy, &mut state, &mutes, now);
    Decision { state, notifications, records }
}

impl PolicyState {
    fn take_in(&mut self, policy: &Policy, change: &Episode, now: Timestamp) {
        let group = Group::of(change);
        if !change.is_firing() {
            let held = self.groups.get_mut(&group).and_then(|group| group.alerts.get_mut(&change.fingerprint));
            // The end of what is not held is of no interest: nobody was told that it fires.
            if let Some(held) = held {
                held.episode = change.clone();
            }
            return;
        }
        let first_look = later(now, policy.timings.of(group.severity).group_wait);
        let state = self.groups.entry(group.clone()).or_insert_with(|| GroupState {
            group,
            flush_at: first_look,
            told_at: None,
            alerts: BTreeMap::new(),
        });
        if state.alerts.is_empty() {
            // All was over and told: what comes now gathers again. Never twice in the same moment, as the moment names
            // the notification.
            let after_told = state.told_at.map(|told| later(told, Duration::from_millis(1)));
            state.flush_at = after_told.map_or(first_look, |after| after.max(first_look));
        }
        match state.alerts.get_mut(&change.fingerprint) {
            // Another episode of what people may believe to fire still.
            Some(held) => {
                if held.episode.since != change.since {
                    held.muted_by.clear();
                }
                // What else is wrong with a file is news to those who mend it.
                let is_of_file = !change.is_alarm() && FILES.iter().any(|(id, _)| *id == change.rule);
                held.listed &= !(is_of_file && held.episode.summary != change.summary);
                held.episode = change.clone();
            }
            None => {
                let held =
                    HeldAlert { episode: change.clone(), listed: false, known: false, muted_by: BTreeSet::new() };
                state.alerts.insert(change.fingerprint.clone(), held);
            }
        }
    }
}

/// Notes which silences began and ended since the last tick.
fn note_silences(silences: &Silences, before: &mut BTreeMap<String, InForce>, now: Timestamp) -> Vec<Record> {
    let in_force = |silence: &Silence| InForce {
        matchers: silence.what(),
        author: silence.author.clone(),
        comment: silence.comment.clone(),
        ends: silence.ends,
    };
    let after: BTreeMap<String, InForce> =
        silences.active(now).map(|silence| (silence.id.clone(), in_force(silence))).collect();
    let record = |id: &String, noted: &InForce, began: bool| {
        let InForce { matchers, author, comment, ends } = noted.clone();
        Record::Silence(SilenceTurned { at: now, silence: id.clone(), began, matchers, author, comment, ends })
    };
    let ended = before.iter().filter(|(id, _)| !after.contains_key(*id)).map(|(id, noted)| record(id, noted, false));
    let began = after.iter().filter(|(id, _)| !before.contains_key(*id)).map(|(id, noted)| record(id, noted, true));
    let records = ended.chain(began).collect();
    *before = after;
    records
}

/// What is muted in a tick, and by what.
struct Mutes(BTreeMap<Group, BTreeMap<String, String>>);

impl Mutes {
    fn of(policy: &Policy, silences: &Silences, state: &PolicyState, now: Timestamp) -> Mutes {
        let inhibitors: Vec<Inhibitor> = policy.inhibitions.iter().map(|rule| Inhibitor::of(rule, state)).collect();
        // The hour is the same for all alerts.
        let calendars: Vec<&Calendar> = policy.calendars.iter().filter(|calendar| calendar.contains(now)).collect();
        let silences: Vec<&Silence> = silences.active(now).collect();
        let cause = |episode: &Episode| -> Option<String> {
            if let Some(source) = inhibitors.iter().find_map(|inhibitor| inhibitor.source_of(episode)) {
                return Some(format!("inhibited by {} ({})", source.rule, Group::of(source)));
            }
            if let Some(calendar) = calendars.iter().find(|calendar| calendar.covers(episode)) {
                return Some(format!("calendar {}", calendar.name));
            }
            let silence = silences.iter().find(|silence| silence.covers(episode))?;
            Some(format!("silence {}", silence.id))
        };
        let muted_of = |group: &GroupState| -> BTreeMap<String, String> {
            let alerts = group.alerts.iter();
            alerts.filter_map(|(fingerprint, held)| Some((fingerprint.clone(), cause(&held.episode)?))).collect()
        };
        Mutes(state.groups.iter().map(|(group, held)| (group.clone(), muted_of(held))).collect())
    }

    fn of_group(&self, group: &Group) -> impl Fn(&str) -> bool {
        let muted = self.0.get(group);
        move |fingerprint| muted.is_some_and(|muted| muted.contains_key(fingerprint))
    }
}

/// An inhibition rule, with the alerts of a tick that are its sources, by the values that have to be equal.
struct Inhibitor<'a> {
    rule: &'a Inhibition,
    sources: HashMap<Vec<&'a str>, Sources<'a>>,
}

/// Of some sources, the first ones by rule and fingerprint.
struct Sources<'a> {
    any: &'a Episode,
    /// One that is not a target itself.
    one_sided: Option<&'a Episode>,
}

impl<'a> Inhibitor<'a> {
    fn of(rule: &'a Inhibition, state: &'a PolicyState) -> Inhibitor<'a> {
        let mut firing: Vec<&Episode> = state.firing().filter(|episode| all_match(&rule.source, episode)).collect();
        firing.sort_by_key(|episode| (&episode.rule, &episode.fingerprint));
        let mut sources: HashMap<Vec<&str>, Sources> = HashMap::new();
        for episode in firing {
            let one_sided = (!all_match(&rule.target, episode)).then_some(episode);
            let values = Inhibitor::values(rule, episode);
            let found = sources.entry(values).or_insert(Sources { any: episode, one_sided });
            found.one_sided = found.one_sided.or(one_sided);
        }
        Inhibitor { rule, sources }
    }

    fn values<'b>(rule: &Inhibition, episode: &'b Episode) -> Vec<&'b str> {
        rule.equal.iter().map(|label| label_of(episode, label)).collect()
    }

    /// The alert that keeps `target` back.
    fn source_of(&self, target: &Episode) -> Option<&'a Episode> {
        if self.sources.is_empty() || !all_match(&self.rule.target, target) {
            return None;
        }
        let sources = self.sources.get(&Inhibitor::values(self.rule, target))?;
        // What matches both sides can't keep back another that does, nor itself.
        if all_match(&self.rule.source, target) { sources.one_sided } else { Some(sources.any) }
    }
}

/// Notes each cause once for an episode that would be told without it: while it fires, and of its end if people know
/// that it fires.
fn note_muted(state: &mut PolicyState, mutes: &Mutes, now: Timestamp) -> Vec<Record> {
    let mut records = Vec::new();
    for (group, muted) in &mutes.0 {
        let Some(alerts) = state.groups.get_mut(group).map(|group| &mut group.alerts) else { continue };
        for (fingerprint, by) in muted {
            let Some(held) = alerts.get_mut(fingerprint) else { continue };
            let noted = held.muted_by.contains(by) || held.muted_by.len() >= MAX_CAUSES;
            if noted || !(held.episode.is_firing() || held.known) {
                continue;
            }
            held.muted_by.insert(by.clone());
            let (rule, fingerprint) = (held.episode.rule.clone(), fingerprint.clone());
            records.push(Record::Muted(Muted { at: now, rule, fingerprint, by: by.clone() }));
        }
    }
    records
}

/// Looks at the groups that are due, and holds back what is too much.
fn tell(policy: &Policy, state: &mut PolicyState, mutes: &Mutes, now: Timestamp) -> Vec<Notification> {
    state.groups.retain(|_, group| !group.alerts.is_empty() || group.flush_at > now);
    if policy.storm.is_none() {
        state.storm = None;
    }
    if let (Some(storm), Some(cap)) = (&mut state.storm, policy.storm) {
        storm.next_at = storm.next_at.min(later(now, cap.within));
    }
    let in_storm = state.storm.as_ref().is_some_and(|storm| storm.next_at > now);
    let (mut notifications, mut capped) = (Vec::new(), Vec::new());
    for (key, group) in state.groups.iter_mut().rev() {
        let timing = policy.timings.of(key.severity);
        // A policy of shorter waits, or a clock that was put back, must not leave a group waiting.
        group.flush_at = group.flush_at.min(later(now, timing.group_wait.max(timing.group_interval)));
        if group.flush_at > now || (in_storm && is_capped(key)) {
            continue;
        }
        let told = if is_capped(key) { &mut capped } else { &mut notifications };
        told.extend(group.flush(timing, mutes.of_group(key), now));
    }
    match policy.storm {
        Some(cap) if !in_storm => notifications.extend(cap_storm(cap, state, capped, now)),
        // In a storm nothing was looked at that could be too much.
        _ => notifications.extend(capped),
    }
    notifications
}

/// Whether it may be told in a digest: nothing critical, and nothing about security.
fn is_capped(group: &Group) -> bool {
    group.severity != Severity::Critical && group.class != SECURITY
}

impl GroupState {
    fn flush(&mut self, timing: Timing, is_muted: impl Fn(&str) -> bool, now: Timestamp) -> Option<Notification> {
        self.flush_at = later(now, timing.group_interval);
        let repeat = self.told_at.is_none_or(|told| later(told, timing.repeat_interval) <= now);
        let reason = self.reason(&is_muted, repeat);
        let notification = reason.map(|reason| self.notification(reason, &is_muted, now));
        if notification.is_some() {
            self.told_at = Some(now);
            for (fingerprint, held) in &mut self.alerts {
                held.listed = held.episode.is_firing() && !is_muted(fingerprint);
                held.known |= held.listed;
            }
        }
        // What has ended is told now or never: a later one would be of another episode.
        self.alerts.retain(|_, held| held.episode.is_firing());
        notification
    }

    /// Why people are to be told, if they are.
    fn reason(&self, is_muted: &impl Fn(&str) -> bool, repeat: bool) -> Option<Reason> {
        let heard = || self.alerts.iter().filter(|(fingerprint, _)| !is_muted(fingerprint)).map(|(_, held)| held);
        let firing = || heard().filter(|held| held.episode.is_firing());
        let any_resolved = heard().any(|held| !held.episode.is_firing() && held.known);
        let any_known = self.alerts.values().any(|held| held.known);
        // Muted or not.
        let any_known_fires = self.alerts.values().any(|held| held.known && held.episode.is_firing());
        if firing().any(|held| !held.listed) {
            Some(if any_known { Reason::NewAlerts } else { Reason::First })
        } else if any_resolved {
            Some(if any_known_fires { Reason::SomeResolved } else { Reason::AllResolved })
        } else if firing().next().is_some() && repeat {
            Some(Reason::Repeat)
        } else {
            None
        }
    }

    fn notification(&self, reason: Reason, is_muted: &impl Fn(&str) -> bool, now: Timestamp) -> Notification {
        let heard = || self.alerts.iter().filter(|(fingerprint, _)| !is_muted(fingerprint)).map(|(_, held)| held);
        let oldest_first = |mut episodes: Vec<Episode>| {
            // By fingerprint they are in order already.
            episodes.sort_by_key(|episode| episode.since);
            episodes
        };
        let firing = heard().filter(|held| held.episode.is_firing()).map(|held| held.episode.clone());
        let resolved = heard().filter(|held| !held.episode.is_firing() && held.known).map(|held| held.episode.clone());
        Notification {
            id: Notification::id_of(&self.group, now),
            at: now,
            reason,
            group: self.group.clone(),
            firing: oldest_first(firing.collect()),
            resolved: oldest_first(resolved.collect()),
            digest: None,
        }
    }
}

/// Lets through what may be told one by one, and makes a digest of it if that is too much.
fn cap_storm(cap: StormCap, state: &mut PolicyState, told: Vec<Notification>, now: Timestamp) -> Vec<Notification> {
    state.recent.retain(|at| later(*at, cap.within) > now);
    if state.recent.len() + told.len() <= cap.notifications {
        state.storm = None;
        state.recent.extend(told.iter().map(|_| now));
        return told;
    }
    if told.is_empty() {
        // The cap was lowered; what was told before is no reason for a digest.
        return told;
    }
    let from = state.storm.as_ref().map_or(now, |storm| storm.digest_at);
    state.storm = Some(Storm { digest_at: now, next_at: later(now, cap.within) });
    state.recent.clear();
    vec![digest(&told, from, now)]
}

fn digest(told: &[Notification], from: Timestamp, now: Timestamp) -> Notification {
    let line = |told: &Notification| DigestLine {
        group: told.group.clone(),
        firing: told.firing.len(),
        resolved: told.resolved.len(),
    };
    let mut lines: Vec<DigestLine> = told.iter().map(line).collect();
    // The worst first.
    lines.sort_by(|a, b| (b.group.severity, b.firing).cmp(&(a.group.severity, a.firing)).then(a.group.cmp(&b.group)));
    // What they share, else `all`: whoever filters by it gets what concerns nobody else.
    let shared = |of: fn(&Group) -> &String| {
        let mut values = lines.iter().map(|line| of(&line.group));
        let first = values.next().cloned().unwrap_or_default();
        if values.all(|value| *value == first) { first } else { "all".to_owned() }
    };
    let group = Group {
        severity: lines.iter().map(|line| line.group.severity).max().unwrap_or(Severity::Info),
        class: shared(|group| &group.class),
        service: shared(|group| &group.service),
    };
    Notification {
        id: Notification::id_of(&group, now),
        at: now,
        reason: Reason::Digest,
        group,
        firing: Vec::new(),
        resolved: Vec::new(),
        digest: Some(Digest { from, lines, alerts: Named::of(told) }),
    }
}

/// The moment that much later, or the last one there is.
fn later(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}
