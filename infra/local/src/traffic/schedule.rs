//! What happens in a minute: how many visits of which kind, and the few things that are placed by
//! slot rather than by chance, so that no rule fires outside an incident.

use super::Day;
use super::chance::Chance;
use super::incidents::{API_ERRORS, LOGIN_ATTACK, NO_REGISTRATIONS, REGISTRY_OUTAGE, SLOW_API};

/// What a visitor comes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// Looks at pages.
    Browse,
    /// Searches parcels through the API.
    Search,
    /// Opens a contract: web, then api, then contract.
    ViewContract,
    /// Signs a contract.
    SignContract,
    /// Uploads a document.
    Upload,
    /// Reads a document.
    Download,
    /// Logs in, or tries to.
    LogIn,
    /// Opens the account page.
    Account,
    /// Pays a fee.
    Pay,
    /// Leaves: the session ends.
    Leave,
}

impl Errand {
    fn calls_api(self) -> bool {
        matches!(self, Errand::Search | Errand::ViewContract | Errand::Pay)
    }
}

/// All that happens in one minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Visits, in no order.
    pub errands: Vec<Errand>,
    /// Users who register.
    pub registrations: usize,
    /// Contracts created.
    pub creations: usize,
    /// Contract creations that fail.
    pub failed_creations: usize,
    /// Passwords that the attacker tries.
    pub attacks: usize,
    /// Whether one API request is answered with 5xx though nothing is wrong.
    pub stray_error: bool,
    /// Whether one API request takes 1-3 s though nothing is wrong.
    pub stray_delay: bool,
}

/// Visits in a minute of full activity, at scale 1.
const PEAK_VISITS: f64 = 56.0;
/// Contracts created in such a minute.
const PEAK_CREATIONS: f64 = 1.6;
/// Registrations in such a minute, besides the one in each slot.
const PEAK_REGISTRATIONS: f64 = 0.25;
/// Minutes in which one user registers at least, at any scale: 4 an hour, and never 30 minutes without.
const REGISTRATION_SLOT: i64 = 15;
/// Minutes in which the API may be wrong once by itself.
const STRAY_SLOT: i64 = 15;
/// With so many API requests in the minute, one that is wrong is at most 4 % of them.
const STRAY_AMONG: usize = 25;
/// API requests in a minute of an API incident, at any scale, so that shares mean something.
const INCIDENT_API_REQUESTS: usize = 6;

/// Share of each errand, of 100.
const ERRANDS: [(Errand, u64); 10] = [
    (Errand::Browse, 25),
    (Errand::Search, 30),
    (Errand::ViewContract, 15),
    (Errand::SignContract, 2),
    (Errand::Upload, 4),
    (Errand::Download, 7),
    (Errand::LogIn, 6),
    (Errand::Account, 5),
    (Errand::Pay, 3),
    (Errand::Leave, 3),
];

/// Activity at each full hour of the day, 1 at the most.
const ACTIVITY: [f64; 24] = [
    0.07, 0.05, 0.04, 0.04, 0.05, 0.07, 0.13, 0.28, 0.50, 0.75, 0.90, 1.00, 0.97, 0.94, 1.00, 0.98, 0.90, 0.78, 0.66,
    0.56, 0.44, 0.30, 0.19, 0.12,
];

/// How busy the platform is `offset` minutes after the day's start.
pub fn activity(offset: i64) -> f64 {
    let minute = offset.rem_euclid(24 * 60);
    let (hour, past) = ((minute / 60) as usize, (minute % 60) as f64 / 60.0);
    ACTIVITY[hour] * (1.0 - past) + ACTIVITY[(hour + 1) % 24] * past
}

impl Plan {
    /// The plan for the minute `offset` after the day's start.
    pub fn of(day: &Day, offset: i64) -> Plan {
        let errands = errands(day, offset);
        let calls = errands.iter().filter(|errand| errand.calls_api()).count();
        let calm = calls >= STRAY_AMONG && !SLOW_API.covers(offset) && !API_ERRORS.covers(offset);
        Plan {
            errands,
            registrations: registrations(day, offset),
            creations: creations(day, offset),
            failed_creations: failed_creations(day, offset),
            attacks: if LOGIN_ATTACK.covers(offset) { 40 } else { 0 },
            stray_error: calm && stray(day, offset, b"error"),
            stray_delay: calm && stray(day, offset, b"delay"),
        }
    }
}

fn errands(day: &Day, offset: i64) -> Vec<Errand> {
    let mut chance = day.chance(b"errands", offset);
    let visits = chance.count(PEAK_VISITS * activity(offset) * day.scale);
    let mut errands: Vec<Errand> = (0..visits).map(|_| errand(&mut chance)).collect();
    if SLOW_API.covers(offset) || API_ERRORS.covers(offset) {
        let calls = errands.iter().filter(|errand| errand.calls_api()).count();
        errands.resize(errands.len() + INCIDENT_API_REQUESTS.saturating_sub(calls), Errand::Search);
    }
    errands
}

fn errand(chance: &mut Chance) -> Errand {
    let mut drawn = chance.next() % 100;
    for (errand, share) in ERRANDS {
        match drawn.checked_sub(share) {
            Some(rest) => drawn = rest,
            None => return errand,
        }
    }
    Errand::Browse
}

fn registrations(day: &Day, offset: i64) -> usize {
    if NO_REGISTRATIONS.covers(offset) {
        return 0;
    }
    let slot = offset.div_euclid(REGISTRATION_SLOT);
    // The first minute of the day has one, so that a window that reaches back over the day's start is
    // not empty just because nothing was played before.
    let place = if slot == 0 { 0 } else { day.chance(b"regslot", slot).between(0, REGISTRATION_SLOT) };
    let more = day.chance(b"regmore", offset).count(PEAK_REGISTRATIONS * activity(offset) * day.scale);
    usize::from(offset.rem_euclid(REGISTRATION_SLOT) == place) + more
}

/// Contracts created in the minute. Needs nothing but the minute: the KPI line adds them up since midnight.
pub fn creations(day: &Day, offset: i64) -> usize {
    if REGISTRY_OUTAGE.covers(offset) {
        return 0;
    }
    day.chance(b"creation", offset).count(PEAK_CREATIONS * activity(offset) * day.scale)
}

fn failed_creations(day: &Day, offset: i64) -> usize {
    if REGISTRY_OUTAGE.covers(offset) {
        return 2;
    }
    // Elsewhere at most one an hour, in every other hour or so; none around the outage, which then
    // begins and ends sharply.
    let hour = offset.div_euclid(60);
    let mut chance = day.chance(b"failure", hour);
    let placed = chance.between(0, 60) == offset.rem_euclid(60) && chance.happens(0.6);
    usize::from(placed && !(9..12).contains(&hour))
}

// Never in the first or last minutes of a slot, so that two never meet in a window of two minutes.
fn stray(day: &Day, offset: i64, what: &[u8; 5]) -> bool {
    let slot = offset.div_euclid(STRAY_SLOT);
    day.chance(what, slot).between(3, STRAY_SLOT - 3) == offset.rem_euclid(STRAY_SLOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_errands_make_a_hundred() {
        assert_eq!(ERRANDS.iter().map(|(_, share)| share).sum::<u64>(), 100);
    }

    #[test]
    fn activity_peaks_from_eleven_to_sixteen_and_sleeps_at_night() {
        let busiest = (0..1440).max_by(|a, b| activity(*a).total_cmp(&activity(*b))).unwrap();
        assert!((11 * 60..16 * 60).contains(&busiest));
        assert!((11 * 60..16 * 60).all(|offset| activity(offset) > 0.9));
        assert!((0..5 * 60).all(|offset| activity(offset) < 0.08));
    }
}
