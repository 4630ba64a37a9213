//! Times as RFC 3339 writes them in UTC, quickly: most lines of a thread are of the second of the last one.

use std::time::{SystemTime, UNIX_EPOCH};

/// The last second of year 9999, the last that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_300_799;

/// The text of the second that was written last.
#[derive(Debug)]
pub(crate) struct Clock {
    second: u64,
    text: [u8; 19],
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { second: 0, text: *b"1970-01-01T00:00:00" }
    }
}

impl Clock {
    /// `2026-11-22T10:05:03.123Z`. A time before 1970 or after 9999 becomes the first or the last of these.
    pub(crate) fn millis(&mut self, out: &mut Vec<u8>, at: SystemTime) {
        let micros = self.seconds(out, at);
        let mut fraction = *b".000Z";
        digits(&mut fraction[1..4], micros / 1_000);
        out.extend_from_slice(&fraction);
    }

    /// `2026-11-22T10:05:03.123456Z`.
    pub(crate) fn micros(&mut self, out: &mut Vec<u8>, at: SystemTime) {
        let micros = self.seconds(out, at);
        let mut fraction = *b".000000Z";
        digits(&mut fraction[1..7], micros);
        out.extend_from_slice(&fraction);
    }

    /// Writes up to the second, and gives the microseconds beyond it.
    fn seconds(&mut self, out: &mut Vec<u8>, at: SystemTime) -> u64 {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (second, micros) = match since.as_secs() {
            second if second > LAST_SECOND => (LAST_SECOND, 999_999),
            second => (second, u64::from(since.subsec_micros())),
        };
        if second != self.second {
            self.text = text_of(second);
            self.second = second;
        }
        out.extend_from_slice(&self.text);
        micros
    }
}

fn text_of(second: u64) -> [u8; 19] {
    let (year, month, day) = civil(second / 86_400);
    let of_day = second % 86_400;
    let mut text = *b"0000-00-00T00:00:00";
    for (place, number) in [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, of_day / 3_600),
        (14..16, of_day / 60 % 60),
        (17..19, of_day % 60),
    ] {
        digits(&mut text[place], number);
    }
    text
}

/// Year, month and day of the Gregorian calendar, of days since 1970. Years are taken to begin in March, so that
/// the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_ERA: u64 = 146_097; // 400 years
    let days = days + 719_468; // since the first of March of year 0
    let (era, of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The decimal digits of `number`, as many as there is room for.
fn digits(room: &mut [u8], mut number: u64) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use std::time::Duration;

    fn written(clock: &mut Clock, at: SystemTime) -> [String; 2] {
        let (mut millis, mut micros) = (Vec::new(), Vec::new());
        clock.millis(&mut millis, at);
        clock.micros(&mut micros, at);
        [millis, micros].map(|text| String::from_utf8(text).unwrap())
    }

    fn jiffs(at: SystemTime) -> [String; 2] {
        let at = Timestamp::try_from(at).unwrap();
        ["%Y-%m-%dT%H:%M:%S%.3fZ", "%Y-%m-%dT%H:%M:%S%.6fZ"].map(|format| at.strftime(format).to_string())
    }

    #[test]
    fn every_day_of_800_years_is_the_day_that_jiff_has() {
        let mut clock = Clock::default();
        for day in 0..292_194 {
            let at = UNIX_EPOCH + Duration::from_secs(day * 86_400 + day % 86_400);
            assert_eq!(written(&mut clock, at), jiffs(at));
        }
    }

    #[test]
    fn times_that_can_not_be_written_become_the_nearest_that_can() {
        let mut clock = Clock::default();
        assert_eq!(written(&mut clock, UNIX_EPOCH - Duration::from_secs(1))[0], "1970-01-01T00:00:00.000Z");
        let late = UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(written(&mut clock, late)[1], "9999-12-31T23:59:59.999999Z");
    }

    proptest! {
        #[test]
        fn any_time_is_written_as_jiff_writes_it(
            times in prop::collection::vec((0..LAST_SECOND - 90_000, 0..3u64, 0..1_000_000_000u32), 1..20)
        ) {
            let mut clock = Clock::default();
            for (second, later, nanos) in times {
                for at in [second, second + later] {
                    let at = UNIX_EPOCH + Duration::new(at, nanos);
                    prop_assert_eq!(written(&mut clock, at), jiffs(at));
                }
            }
        }
    }
}
