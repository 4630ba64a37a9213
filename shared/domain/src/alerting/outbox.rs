//! What is decided but not yet written into the history, or not yet told.
//!
//! It is committed together with the state that decided it, before anything is written or sent, and taken out after.
//! Whoever sends claims it in that commit, so that a second evaluator that comes meanwhile leaves it alone; a claim ends
//! by itself, so that a crash only delays.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::logs::quarantine::{self, Quarantined};
use crate::ports::Object;

use super::history::{Batch, Record};
use super::notification::{Group, Notification};

/// The folder in quarantine of notifications that the topic refuses for good.
pub const QUARANTINE: &str = "notifications";

/// How long a claim holds, from the time that a tick stands for. Its function is surely over by then: the
/// schedule hands a tick over at most 60 s late, Lambda starts it at most 60 s later, and it may run for 50 s.
pub const CLAIM: SignedDuration = SignedDuration::from_secs(180);

/// How many notifications one tick sends. What is beyond waits for the next one: a function that ran out of time in
/// the middle would not have noted what it had sent.
pub const MAX_CLAIMED: usize = 200;

/// How many batches of records one tick writes.
pub const MAX_BATCHES: usize = 20;

/// Records and notifications, each in the order in which they were decided.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    records: Vec<Held<Batch>>,
    notifications: Vec<Held<Notification>>,
}

/// Something that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held<T> {
    what: T,
    /// Until then whoever claimed it may be at work.
    claimed_until: Option<Timestamp>,
    /// The run that did.
    #[serde(default)]
    claimed_by: Option<String>,
}

/// What a tick has to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claimed {
    /// To be written into the history, in order.
    pub records: Vec<Batch>,
    /// To be published, in order.
    pub notifications: Vec<Notification>,
}

impl Claimed {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.notifications.is_empty()
    }
}

/// Groups of which something is not told yet. What was decided later about any of them has to wait for it: RESOLVED must
/// not overtake FIRING, be either told by itself or in a digest.
#[derive(Debug, Clone, Default)]
pub struct HeldBack(BTreeSet<Group>);

impl HeldBack {
    /// Whether `notification` has nothing to wait for.
    pub fn lets_through(&self, notification: &Notification) -> bool {
        !notification.groups().any(|group| self.0.contains(group))
    }

    /// From here on whatever concerns a group of `notification` waits.
    pub fn add(&mut self, notification: &Notification) {
        self.0.extend(notification.groups().cloned());
    }
}

impl Outbox {
    /// Adds what the history has to note, all that was decided together.
    pub fn record(&mut self, records: Vec<Record>) {
        let held = Batch::of(records).into_iter().map(|what| Held { what, claimed_until: None, claimed_by: None });
        self.records.extend(held);
    }

    /// Adds what is to be told.
    pub fn notify(&mut self, notification: Notification) {
        self.notifications.push(Held { what: notification, claimed_until: None, claimed_by: None });
    }

    /// Claims for `run`, a name of its own, what nobody else is at, up to [`MAX_BATCHES`] and [`MAX_CLAIMED`], and answers
    /// it. What concerns a group of which an earlier notification is being sent, or waits for one, stays.
    pub fn claim(&mut self, now: Timestamp, run: &str) -> Claimed {
        let mut claimed = Claimed::default();
        for held in &mut self.records {
            if held.is_free(now) && claimed.records.len() < MAX_BATCHES {
                claimed.records.push(held.claim(now, run));
            }
        }
        let mut held_back = HeldBack::default();
        for held in &mut self.notifications {
            if claimed.notifications.len() == MAX_CLAIMED {
                break;
            }
            if held.is_free(now) && held_back.lets_through(&held.what) {
                claimed.notifications.push(held.claim(now, run));
            } else {
                held_back.add(&held.what);
            }
        }
        claimed
    }

    /// Whether `run` has claimed anything: its commit has succeeded, whatever it was answered.
    pub fn is_claimed_by(&self, run: &str) -> bool {
        let records = self.records.iter().map(|held| &held.claimed_by);
        let mut claims = records.chain(self.notifications.iter().map(|held| &held.claimed_by));
        claims.any(|by| by.as_deref() == Some(run))
    }

    /// Notes what became of what was claimed: that with an id in `done` leaves, the rest can be claimed again at once.
    pub fn settle(&mut self, claimed: &Claimed, done: &BTreeSet<String>) {
        let ids: BTreeSet<String> = claimed.records.iter().map(Batch::id).collect();
        self.records.retain(|held| !done.contains(&held.what.id()));
        self.records.iter_mut().filter(|held| ids.contains(&held.what.id())).for_each(Held::release);
        let ids: BTreeSet<&str> = claimed.notifications.iter().map(|one| one.id.as_str()).collect();
        self.notifications.retain(|held| !done.contains(&held.what.id));
        self.notifications.iter_mut().filter(|held| ids.contains(held.what.id.as_str())).for_each(Held::release);
    }

    /// How many notifications and batches of records wait.
    pub fn len(&self) -> usize {
        self.records.len() + self.notifications.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Held<T> {
    fn is_free(&self, now: Timestamp) -> bool {
        self.claimed_until.is_none_or(|until| until <= now)
    }

    fn claim(&mut self, now: Timestamp, run: &str) -> T {
        // A moment that no calendar can show can't be waited for.
        self.claimed_until = now.checked_add(CLAIM).ok();
        self.claimed_by = Some(run.to_owned());
        self.what.clone()
    }

    fn release(&mut self) {
        (self.claimed_until, self.claimed_by) = (None, None);
    }
}

/// The object that keeps a notification that the topic refuses for good, with the reason: it is told by nobody any more.
pub fn refused(notification: &Notification, error: &(dyn std::error::Error + 'static)) -> Object {
    // What is plain data is always JSON.
    let told = serde_json::to_vec(notification).unwrap_or_default();
    let kept = Quarantined::kept(QUARANTINE, vec![(quarantine::reason(error), told)]);
    kept.to_object(&Minute::of(notification.at).day(), &notification.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::notification::{Digest, DigestLine, Named, Reason};
    use crate::alerting::testing::{episode, notification};
    use proptest::prelude::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    fn services(claimed: &Claimed) -> Vec<&str> {
        claimed.notifications.iter().map(|one| one.group.service.as_str()).collect()
    }

    fn outbox(services: &[&str]) -> Outbox {
        let mut outbox = Outbox::default();
        for (minute, service) in services.iter().enumerate() {
            outbox.notify(notification(service, minute as i64));
        }
        outbox
    }

    #[test]
    fn what_one_evaluator_sends_another_leaves_alone_until_the_claim_ends() {
        let mut outbox = outbox(&["a", "b"]);
        outbox.record(vec![Record::Transition(episode("a", 0).transition())]);
        let claimed = outbox.claim(at("10:00:00"), "a");
        assert_eq!((services(&claimed), claimed.records.len()), (vec!["a", "b"], 1));
        assert!(outbox.claim(at("10:00:00"), "a").is_empty());
        assert!(outbox.claim(at("10:02:59"), "a").is_empty());
        let claimed = outbox.claim(at("10:03:00"), "a");
        assert_eq!((services(&claimed), claimed.records.len()), (vec!["a", "b"], 1), "after a crash");
    }

    #[test]
    fn a_run_finds_its_own_claim_until_it_is_settled_or_taken_over() {
        let mut outbox = outbox(&["a", "b"]);
        assert!(!outbox.is_claimed_by("a"));
        let claimed = outbox.claim(at("10:00:00"), "a");
        assert!(outbox.is_claimed_by("a") && !outbox.is_claimed_by("b"));
        let mut settled = outbox.clone();
        settled.settle(&claimed, &BTreeSet::new());
        assert!(!settled.is_claimed_by("a"));
        outbox.claim(at("10:03:00"), "b");
        assert!(outbox.is_claimed_by("b") && !outbox.is_claimed_by("a"));
        // As the version before wrote it.
        let text = serde_json::to_string(&settled).unwrap();
        assert!(text.contains(r#","claimed_by":null"#), "{text}");
        let before = text.replace(r#","claimed_by":null"#, "");
        assert_eq!(serde_json::from_str::<Outbox>(&before).unwrap(), settled);
    }

    #[test]
    fn what_the_topic_refuses_is_kept_with_the_reason() {
        let notification = notification("a", 0);
        let error = crate::ports::PortError::permanent("publish", "InvalidParameter");
        let object = refused(&notification, &error);
        assert_eq!(object.key, format!("quarantine/notifications/dt=2026-11-21/{}.json", notification.id));
        let kept: Quarantined = serde_json::from_slice(&object.body).unwrap();
        assert_eq!(kept.items[0].error, "publish: InvalidParameter");
        let told: Notification = serde_json::from_slice(&kept.items[0].original.bytes().unwrap()).unwrap();
        assert_eq!(told, notification);
    }

    #[test]
    fn what_is_done_leaves_and_what_failed_may_be_tried_at_once() {
        // Defect 17: a failed send was swallowed.
        let mut outbox = outbox(&["a", "b"]);
        outbox.record(vec![Record::Transition(episode("a", 0).transition())]);
        outbox.record(vec![Record::Transition(episode("b", 0).transition())]);
        outbox.record(Vec::new());
        let claimed = outbox.claim(at("10:00:00"), "a");
        let done = [claimed.notifications[0].id.clone(), claimed.records[1].id()].into();
        outbox.settle(&claimed, &done);
        let again = outbox.claim(at("10:00:01"), "a");
        assert_eq!((services(&again), &again.records[..]), (vec!["b"], &claimed.records[..1]));
    }

    #[test]
    fn a_storm_is_sent_over_several_ticks_in_order() {
        let names: Vec<String> = (0..MAX_CLAIMED + 1).map(|number| format!("rule_{number}")).collect();
        let mut outbox = outbox(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(services(&outbox.claim(at("10:00:00"), "a")), names[..MAX_CLAIMED]);
        assert_eq!(services(&outbox.claim(at("10:01:00"), "a")), names[MAX_CLAIMED..]);
    }

    #[test]
    fn a_later_notification_of_the_same_group_does_not_overtake() {
        let mut outbox = outbox(&["a"]);
        outbox.claim(at("10:00:00"), "a");
        outbox.notify(notification("a", 5));
        outbox.notify(notification("b", 5));
        assert_eq!(services(&outbox.claim(at("10:01:00"), "a")), ["b"]);
    }

    /// One that stands for the groups of these services.
    fn digest(services: &[&str], minute: i64) -> Notification {
        let line = |service: &&str| DigestLine { group: notification(service, minute).group, firing: 1, resolved: 0 };
        let lines = services.iter().map(line).collect();
        let told = notification("all", minute);
        let digest = Digest { from: told.at, lines, alerts: Named::default() };
        Notification { reason: Reason::Digest, firing: Vec::new(), digest: Some(digest), ..told }
    }

    #[test]
    fn nothing_overtakes_a_digest_of_its_group_nor_a_digest_what_came_before_of_its_groups() {
        for (digests, claimed) in [
            (vec![digest(&["a", "b"], 0)], vec!["c"]),
            (vec![digest(&["a"], 0), digest(&["c"], 1)], vec!["b"]),
            (vec![digest(&["d"], 0)], vec!["a", "b", "c"]),
        ] {
            let mut outbox = Outbox::default();
            digests.into_iter().for_each(|one| outbox.notify(one));
            outbox.claim(at("10:00:00"), "a");
            ["a", "b", "c"].into_iter().for_each(|service| outbox.notify(notification(service, 5)));
            assert_eq!(services(&outbox.claim(at("10:01:00"), "a")), claimed);
        }
        let mut outbox = outbox(&["a"]);
        outbox.claim(at("10:00:00"), "a");
        outbox.notify(digest(&["a", "b"], 5));
        outbox.notify(notification("b", 6));
        outbox.notify(notification("c", 6));
        assert_eq!(services(&outbox.claim(at("10:01:00"), "a")), ["c"], "b waits for the digest, which waits for a");
    }

    proptest! {
        /// Whatever fails to be sent, and whichever claims end: about each group people hear in the order in which it
        /// was decided, and all of it.
        #[test]
        fn each_group_is_told_of_in_order(
            decided in proptest::collection::vec(proptest::collection::btree_set(0..4_usize, 1..4), 1..12),
            steps in proptest::collection::vec((0..4_usize, any::<bool>(), proptest::collection::vec(any::<bool>(), 12)), 1..30),
        ) {
            const SERVICES: [&str; 4] = ["a", "b", "c", "d"];
            let named = |places: &BTreeSet<usize>| places.iter().map(|at| SERVICES[*at]).collect::<Vec<_>>();
            let mut waiting = decided.iter().enumerate().map(|(minute, places)| match &named(places)[..] {
                [one] => notification(one, minute as i64),
                many => digest(many, minute as i64),
            });
            let (mut outbox, mut told, mut now) = (Outbox::default(), Vec::<Notification>::new(), at("10:00:00"));
            let send = |outbox: &mut Outbox, claimed: &Claimed, works: &[bool], told: &mut Vec<Notification>| {
                let (mut done, mut held_back) = (BTreeSet::new(), HeldBack::default());
                for (one, works) in claimed.notifications.iter().zip(works.iter().chain(std::iter::repeat(&true))) {
                    if *works && held_back.lets_through(one) {
                        told.push(one.clone());
                        done.insert(one.id.clone());
                    } else {
                        held_back.add(one);
                    }
                }
                outbox.settle(claimed, &done);
            };
            for (new, crashes, works) in steps {
                waiting.by_ref().take(new).for_each(|one| outbox.notify(one));
                let claimed = outbox.claim(now, "a");
                if !crashes {
                    send(&mut outbox, &claimed, &works, &mut told);
                }
                now = now.checked_add(SignedDuration::from_mins(1)).unwrap();
            }
            waiting.for_each(|one| outbox.notify(one));
            for _ in 0..=decided.len() {
                now = now.checked_add(CLAIM).unwrap();
                let claimed = outbox.claim(now, "a");
                send(&mut outbox, &claimed, &[], &mut told);
            }
            prop_assert!(outbox.is_empty());
            for service in SERVICES {
                let of = |one: &&Notification| one.groups().any(|group| group.service == service);
                let heard: Vec<Timestamp> = told.iter().filter(of).map(|one| one.at).collect();
                prop_assert!(heard.is_sorted(), "{service}: {heard:?}");
                prop_assert_eq!(heard.len(), decided.iter().filter(|places| named(places).contains(&service)).count());
            }
        }
    }
}
