//! A whole minute of UTC: the grain of metrics, rollups and alert evaluation.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole minute, counted from the Unix epoch. Prints and parses as `2026-11-21T10:05Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(i64);

/// A text that is not a minute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a minute like 2026-11-21T10:05Z")]
pub struct InvalidMinute(String);

impl Minute {
    /// The first minute that a four-digit year can name.
    const FIRST: i64 = -30_610_224_000 / 60; // 1000-01-01T00:00Z
    /// The last one.
    const LAST: i64 = 253_402_207_200 / 60; // 9999-12-30T22:00Z, the end of jiff's range

    /// The minute that `instant` lies in.
    pub fn of(instant: Timestamp) -> Minute {
        Minute::clamped(instant.as_second().div_euclid(60))
    }

    /// The minute of a Unix time in milliseconds, as CloudWatch Logs gives it. A time that no
    /// calendar can show (before the year 1000, after 9999) is moved to the nearest that one can.
    pub fn of_epoch_millis(millis: i64) -> Minute {
        Minute::clamped(millis.div_euclid(60_000))
    }

    fn clamped(minutes: i64) -> Minute {
        Minute(minutes.clamp(Minute::FIRST, Minute::LAST))
    }

    /// The first instant of the minute.
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0 * 60).expect("a minute is clamped to the calendar when it is made")
    }

    /// This minute moved by `minutes`, which may be negative.
    pub fn plus(self, minutes: i64) -> Minute {
        Minute::clamped(self.0.saturating_add(minutes))
    }

    /// Minutes from `earlier` to this one; negative if `earlier` is later.
    pub fn since(self, earlier: Minute) -> i64 {
        self.0 - earlier.0
    }

    /// Whole hours since the Unix epoch.
    pub fn hours_since_epoch(self) -> i64 {
        self.0.div_euclid(60)
    }

    /// The UTC day, `2026-11-21`.
    pub fn day(self) -> String {
        self.to_string()[..10].to_owned()
    }

    /// The UTC hour of day, `10`.
    pub fn hour(self) -> String {
        self.to_string()[11..13].to_owned()
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.start().strftime("%Y-%m-%dT%H:%MZ"))
    }
}

impl FromStr for Minute {
    type Err = InvalidMinute;

    fn from_str(text: &str) -> Result<Minute, InvalidMinute> {
        let invalid = || InvalidMinute(text.to_owned());
        let stem = text.strip_suffix('Z').filter(|stem| stem.len() == 16).ok_or_else(invalid)?;
        let instant: Timestamp = format!("{stem}:00Z").parse().map_err(|_| invalid())?;
        Ok(Minute::of(instant))
    }
}

impl Serialize for Minute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Minute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Minute, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_time_belongs_to_the_minute_that_it_lies_in() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00Z"),
            (59_999, "1970-01-01T00:00Z"),
            (60_000, "1970-01-01T00:01Z"),
            (-1, "1969-12-31T23:59Z"),
            (1_795_000_000_000, "2026-11-18T11:06Z"),
            (i64::MAX, "9999-12-30T22:00Z"),
            (i64::MIN, "1000-01-01T00:00Z"),
        ] {
            assert_eq!(Minute::of_epoch_millis(millis).to_string(), expected, "{millis}");
        }
    }

    #[test]
    fn what_is_no_minute_is_refused_with_the_text() {
        for text in ["", "2026-11-21", "2026-11-21T10:05", "2026-11-21T10:05:00Z", "2026-13-01T00:00Z"] {
            assert_eq!(text.parse::<Minute>(), Err(InvalidMinute(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn printing_then_parsing_gives_the_same_minute(millis in any::<i64>()) {
            let minute = Minute::of_epoch_millis(millis);
            prop_assert_eq!(minute.to_string().parse::<Minute>(), Ok(minute));
        }
    }
}
