//! One alert, one minute: inactive > pending > firing > resolved.
//!
//! As Prometheus does it: `for` holds back the beginning, `keep_firing_for` the end, and the latter
//! never concerns an alert that is only pending.
//!
//! Both count minutes that somebody saw. A minute that could not be evaluated, because of a query error
//! say, neither makes a breach last nor its end come nearer.

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::alerting::datapoints::Verdict;
use crate::alerting::history::Turned;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Phase {
    /// All is well.
    Inactive {},
    /// It breaches, but not long enough.
    Pending {
        /// The minute in which the breach began.
        since: Minute,
        /// How many minutes since then nobody saw.
        #[serde(default)]
        unseen: i64,
    },
    /// It fires.
    Firing {
        /// The minute in which it began to fire.
        since: Minute,
        /// Since when it has been fine again, if it is only kept firing; later by each unknown minute.
        fine_since: Option<Minute>,
    },
    /// It is over.
    Resolved {
        /// The minute that ended it.
        at: Minute,
    },
}

impl Phase {
    /// Its name in rule tests and for people.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Inactive {} => "inactive",
            Phase::Pending { .. } => "pending",
            Phase::Firing { .. } => "firing",
            Phase::Resolved { .. } => "resolved",
        }
    }

    /// Whether it fires.
    pub fn is_firing(self) -> bool {
        matches!(self, Phase::Firing { .. })
    }

    /// Whether it neither fires nor waits to.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Phase::Inactive {} | Phase::Resolved { .. })
    }

    /// Where the alert stands after the minute `at`, and what it turned into, if it did. `hold` and
    /// `keep_firing_for` are in minutes.
    pub fn after(self, at: Minute, verdict: Verdict, hold: i64, keep_firing_for: i64) -> (Phase, Option<Turned>) {
        match (self, verdict) {
            (_, Verdict::Open | Verdict::Kept | Verdict::NoData) => (self.unseen_for_a_minute(), None),
            (Phase::Inactive {} | Phase::Resolved { .. }, Verdict::Breaching) => Phase::breached(at, 0, at, hold),
            (Phase::Pending { since, unseen }, Verdict::Breaching) => Phase::breached(since, unseen, at, hold),
            (Phase::Firing { since, .. }, Verdict::Breaching) => (Phase::Firing { since, fine_since: None }, None),
            (Phase::Inactive {} | Phase::Pending { .. }, Verdict::Fine) => (Phase::Inactive {}, None),
            (Phase::Resolved { .. }, Verdict::Fine) => (self, None),
            (Phase::Firing { since, fine_since }, Verdict::Fine) => {
                let fine_since = fine_since.unwrap_or(at);
                if at.since(fine_since) >= keep_firing_for {
                    (Phase::Resolved { at }, Some(Turned::Resolved))
                } else {
                    (Phase::Firing { since, fine_since: Some(fine_since) }, None)
                }
            }
        }
    }

    /// Where it stands after a gap of minutes that nobody will ever see: whether a breach or its end lasted
    /// through it is not known, so both waits begin again.
    pub fn after_gap(self) -> Phase {
        match self {
            Phase::Pending { .. } => Phase::Inactive {},
            Phase::Firing { since, .. } => Phase::Firing { since, fine_since: None },
            Phase::Inactive {} | Phase::Resolved { .. } => self,
        }
    }

    fn unseen_for_a_minute(self) -> Phase {
        match self {
            Phase::Pending { since, unseen } => Phase::Pending { since, unseen: unseen + 1 },
            Phase::Firing { since, fine_since } => {
                Phase::Firing { since, fine_since: fine_since.map(|fine_since| fine_since.plus(1)) }
            }
            Phase::Inactive {} | Phase::Resolved { .. } => self,
        }
    }

    fn breached(since: Minute, unseen: i64, at: Minute, hold: i64) -> (Phase, Option<Turned>) {
        if at.since(since) - unseen >= hold {
            (Phase::Firing { since: at, fine_since: None }, Some(Turned::Firing))
        } else {
            (Phase::Pending { since, unseen }, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays one letter a minute (`X` breaching, `.` fine, `?` unknown) and answers one letter a minute:
    /// `i`nactive, `p`ending, `F`iring, `r`esolved.
    fn play(minutes: &str, hold: i64, keep_firing_for: i64) -> String {
        let start: Minute = "2026-11-21T10:00Z".parse().unwrap();
        let mut phase = Phase::Inactive {};
        let mut firing = false;
        let mut told = String::new();
        for (offset, letter) in minutes.chars().enumerate() {
            let verdict = match letter {
                'X' => Verdict::Breaching,
                '.' => Verdict::Fine,
                _ => Verdict::Open,
            };
            let (next, turned) = phase.after(start.plus(offset as i64), verdict, hold, keep_firing_for);
            match turned {
                Some(Turned::Firing) => assert!(!std::mem::replace(&mut firing, true), "fired twice: {minutes}"),
                Some(Turned::Resolved) => assert!(std::mem::replace(&mut firing, false), "resolved twice: {minutes}"),
                None => {}
            }
            assert_eq!(next.is_firing(), firing, "{minutes}");
            phase = next;
            told.push(if firing { 'F' } else { phase.name().chars().next().unwrap() });
        }
        told
    }

    #[test]
    fn an_alert_goes_through_its_phases() {
        for (why, minutes, hold, keep, expected) in [
            ("fires at once without `for`", "..X.", 0, 0, "iiFr"),
            ("defect 3: one bad minute of five does not fire", "..X..", 4, 0, "iipii"),
            ("a breach that holds fires", "XXXX.", 3, 0, "pppFr"),
            ("a pause starts the wait again", "XX.XXX", 3, 0, "ppippp"),
            ("defect 13: it resolves, and may fire again", "X.X.", 0, 0, "FrFr"),
            ("defect 14: it fires once, however long", "XXXXXXXXXX", 0, 0, "FFFFFFFFFF"),
            ("keep_firing_for holds back the end", "X....", 0, 3, "FFFFr"),
            ("a breach while kept starts the keeping again", "X..X....", 0, 3, "FFFFFFFr"),
            ("keep_firing_for does not keep a pending alert", "X..", 2, 5, "pii"),
            ("the unknown never resolves", "X?????.", 0, 0, "FFFFFFr"),
            ("the unknown never fires", "?????", 0, 0, "iiiii"),
            ("the unknown leaves a pending alert pending", "X?X.", 2, 0, "pppi"),
            ("a breach lasts as long as it was seen", "X??X?X", 2, 0, "pppppF"),
            ("the unknown does not bring the end nearer", "X.??..", 0, 2, "FFFFFr"),
            ("the unknown does not begin the end", "X??..", 0, 1, "FFFFr"),
        ] {
            assert_eq!(play(minutes, hold, keep), expected, "{why}");
        }
    }

    #[test]
    fn after_a_gap_every_wait_begins_again() {
        let minute: Minute = "2026-11-21T10:00Z".parse().unwrap();
        let firing = |fine_since| Phase::Firing { since: minute, fine_since };
        for (before, after) in [
            (Phase::Inactive {}, Phase::Inactive {}),
            (Phase::Pending { since: minute, unseen: 0 }, Phase::Inactive {}),
            (firing(Some(minute)), firing(None)),
            (firing(None), firing(None)),
            (Phase::Resolved { at: minute }, Phase::Resolved { at: minute }),
        ] {
            assert_eq!(before.after_gap(), after);
        }
    }
}
