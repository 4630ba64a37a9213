//! The last hours of every rolled-up series in one object, so that a tick of the alert evaluator costs
//! one read, however many rules there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::metrics::rollup::Rollup;
use crate::metrics::series::SeriesSet;
use crate::ports::Object;

/// How far back it reaches, in minutes before the flusher's last tick.
pub const SPAN_MINUTES: i64 = 120;

/// How far ahead of the flusher's last tick it reaches, in minutes: as far as CloudWatch takes lines ahead of their time.
const AHEAD_MINUTES: i64 = 120;

/// `rollups/recent.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecentRollups {
    /// The flusher's last tick that took in all there was: what came before it is in here. `None` before
    /// the first. Without it, a flusher that has stopped would look like a platform where nothing happens.
    pub flushed_until: Option<Minute>,
    /// Series by the registry's dimension sets, by minute. A minute in which nothing came is absent.
    pub minutes: BTreeMap<Minute, SeriesSet>,
    /// How many batches a minute is made of. A rollup only grows, so this tells an older one from a newer.
    #[serde(default)]
    pub batches: BTreeMap<Minute, usize>,
}

impl RecentRollups {
    /// Reads the stored object.
    pub fn parse(body: &[u8]) -> Result<RecentRollups, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Replaces the minute of `rollup`, but not by an older state of it: a flusher that has slept through another's
    /// sweep may still have one.
    pub fn update(&mut self, rollup: &Rollup) {
        let held = self.batches.get(&rollup.minute).copied().unwrap_or_default();
        if rollup.batches.len() >= held {
            self.batches.insert(rollup.minute, rollup.batches.len());
            self.minutes.insert(rollup.minute, rollup.series.roll_up());
        }
    }

    /// Notes that the tick `now` has taken in all there was.
    pub fn flushed(&mut self, now: Minute) {
        self.flushed_until = self.flushed_until.max(Some(now));
    }

    /// Forgets what is older than [`SPAN_MINUTES`] by the tick `now`. A line that is ahead of its time (CloudWatch Logs
    /// takes them up to two hours early) does not push out what is current, and a tick that comes late does not turn time
    /// back. What is further ahead than that is forgotten as well: nothing would ever make it old.
    pub fn forget(&mut self, now: Minute) {
        let until = self.flushed_until.map_or(now, |flushed| flushed.max(now));
        let kept = until.plus(1 - SPAN_MINUTES)..=until.plus(AHEAD_MINUTES);
        self.minutes.retain(|minute, _| kept.contains(minute));
        self.batches.retain(|minute, _| kept.contains(minute));
    }

    /// The object to be written.
    pub fn to_object(&self) -> Object {
        Object::json(keys::RECENT_ROLLUPS, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::series::{Aggregate, Dimensions, SeriesKey};

    #[test]
    fn minutes_older_than_the_span_are_forgotten_but_not_for_one_that_is_ahead_of_its_time() {
        let start: Minute = "2026-11-21T10:00Z".parse().unwrap();
        let mut recent = RecentRollups::default();
        for offset in [0, 1, SPAN_MINUTES, SPAN_MINUTES + 90, SPAN_MINUTES + 1_000] {
            recent.update(&Rollup::empty(start.plus(offset)));
        }
        for tick in [SPAN_MINUTES, 5] {
            recent.flushed(start.plus(tick));
            recent.forget(start.plus(tick));
        }
        let kept: Vec<i64> = recent.minutes.keys().map(|minute| minute.since(start)).collect();
        assert_eq!(kept, [1, SPAN_MINUTES, SPAN_MINUTES + 90]);
        let read_back = RecentRollups::parse(&recent.to_object().body).unwrap();
        assert_eq!(read_back, recent);
    }

    #[test]
    fn an_older_state_of_a_minute_does_not_replace_a_newer_one() {
        let minute: Minute = "2026-11-21T10:00Z".parse().unwrap();
        let mut newer = Rollup::empty(minute);
        newer.batches.extend(["a".to_owned(), "b".to_owned()]);
        let key = SeriesKey { name: "active_users".to_owned(), dimensions: Dimensions::new() };
        newer.series.add(key, &Aggregate::of(1.0, 0));
        let mut recent = RecentRollups::default();
        recent.update(&newer);
        recent.update(&Rollup { batches: ["a".to_owned()].into(), ..Rollup::empty(minute) });
        assert_eq!(recent.minutes[&minute].len(), 1);
        // What a version has written that did not count batches is replaced by whatever comes.
        recent.batches.clear();
        recent.update(&Rollup::empty(minute));
        assert_eq!(recent.minutes[&minute].len(), 0);
    }
}
