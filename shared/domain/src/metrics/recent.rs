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

/// `rollups/recent.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecentRollups {
    /// The flusher's last tick that took in all there was: what came before it is in here. `None` before
    /// the first. Without it, a flusher that has stopped would look like a platform where nothing happens.
    pub flushed_until: Option<Minute>,
    /// Series by the registry's dimension sets, by minute. A minute in which nothing came is absent.
    pub minutes: BTreeMap<Minute, SeriesSet>,
}

impl RecentRollups {
    /// Reads the stored object.
    pub fn parse(body: &[u8]) -> Result<RecentRollups, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Replaces the minute of `rollup`.
    pub fn update(&mut self, rollup: &Rollup) {
        self.minutes.insert(rollup.minute, rollup.series.roll_up());
    }

    /// Notes that the tick `now` has taken in all there was, and forgets what is older than
    /// [`SPAN_MINUTES`] by then. A line that is ahead of its time (CloudWatch Logs takes them up to two
    /// hours early) does not push out what is current, and a tick that comes late does not turn time back.
    pub fn flushed(&mut self, now: Minute) {
        self.flushed_until = self.flushed_until.max(Some(now));
        if let Some(until) = self.flushed_until {
            self.minutes = self.minutes.split_off(&until.plus(1 - SPAN_MINUTES));
        }
    }

    /// The object to be written.
    pub fn to_object(&self) -> Object {
        Object::json(keys::RECENT_ROLLUPS, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_older_than_the_span_are_forgotten_but_not_for_one_that_is_ahead_of_its_time() {
        let start: Minute = "2026-11-21T10:00Z".parse().unwrap();
        let mut recent = RecentRollups::default();
        for offset in [0, 1, SPAN_MINUTES, SPAN_MINUTES + 90] {
            recent.update(&Rollup::empty(start.plus(offset)));
        }
        recent.flushed(start.plus(SPAN_MINUTES));
        recent.flushed(start.plus(5));
        let kept: Vec<i64> = recent.minutes.keys().map(|minute| minute.since(start)).collect();
        assert_eq!(kept, [1, SPAN_MINUTES, SPAN_MINUTES + 90]);
        let read_back = RecentRollups::parse(&recent.to_object().body).unwrap();
        assert_eq!(read_back, recent);
    }
}
