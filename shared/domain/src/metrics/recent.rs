//! The last hours of every rolled-up series in one object, so that a tick of the alert evaluator costs
//! one read, however many rules there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Minute;
use crate::keys;
use crate::metrics::rollup::Rollup;
use crate::metrics::series::SeriesSet;
use crate::ports::Object;

/// How far back it reaches, in minutes before its newest one.
pub const SPAN_MINUTES: i64 = 120;

/// `rollups/recent.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecentRollups {
    /// Series by the registry's dimension sets, by minute. A minute in which nothing came is absent.
    pub minutes: BTreeMap<Minute, SeriesSet>,
}

impl RecentRollups {
    /// Reads the stored object.
    pub fn parse(body: &[u8]) -> Result<RecentRollups, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Replaces the minute of `rollup`, and forgets what is older than [`SPAN_MINUTES`].
    pub fn update(&mut self, rollup: &Rollup) {
        self.minutes.insert(rollup.minute, rollup.series.roll_up());
        if let Some(newest) = self.minutes.keys().next_back().copied() {
            self.minutes = self.minutes.split_off(&newest.plus(1 - SPAN_MINUTES));
        }
    }

    /// The object to be written.
    pub fn to_object(&self) -> Object {
        Object {
            key: keys::RECENT_ROLLUPS.to_owned(),
            content_type: "application/json",
            body: serde_json::to_vec(self).expect("maps with text keys and finite numbers always serialise"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_older_than_the_span_are_forgotten_and_late_ones_not_taken_back() {
        let start: Minute = "2026-11-21T10:00Z".parse().unwrap();
        let mut recent = RecentRollups::default();
        for offset in [0, 1, SPAN_MINUTES, 0] {
            recent.update(&Rollup::empty(start.plus(offset)));
        }
        assert_eq!(recent.minutes.keys().copied().collect::<Vec<_>>(), [start.plus(1), start.plus(SPAN_MINUTES)]);
        let read_back = RecentRollups::parse(&recent.to_object().body).unwrap();
        assert_eq!(read_back, recent);
    }
}
