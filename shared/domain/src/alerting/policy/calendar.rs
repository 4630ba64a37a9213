//! When alerts are not told because of the hour: Alertmanager's time intervals, in the local time of a zone.
//!
//! An interval looks at what a clock and a calendar on the wall of the zone show, so a night lasts an hour less or more
//! where the clock is moved, and an hour that comes twice is in it twice.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::alerting::episode::Episode;

use super::matcher::{Matcher, SECURITY, all_match};

/// Times at which some alerts are not told.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// Its name, for the history.
    pub name: String,
    /// Whose local time it is in.
    pub zone: TimeZone,
    /// Which alerts it is for: those that all of them match.
    pub matchers: Vec<Matcher>,
    /// When; one of them is enough.
    pub intervals: Vec<Interval>,
}

/// When all that it says holds. Of each list one range is enough; an empty list says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interval {
    /// Minutes of the day: from the first, up to but without the last; at most 1440.
    pub times: Vec<Range>,
    /// Days of the week, both included; 0 is Sunday, 6 Saturday.
    pub weekdays: Vec<Range>,
    /// Days of the month, both included, from 1; from the end where negative: -1 is the last.
    pub days_of_month: Vec<Range>,
    /// Months, both included; 1 is January.
    pub months: Vec<Range>,
    /// Years, both included.
    pub years: Vec<Range>,
}

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its beginning.
    pub from: i16,
    /// Its end.
    pub to: i16,
}

/// Names of the days of the week, from 0.
pub const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// Names of the months, from 1.
pub const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A range that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// Not a day of the week.
    #[error("`{0}` is not a day of the week like monday, or monday:friday")]
    Weekday(String),
    /// Not a day of the month.
    #[error("`{0}` is not a day of the month like 1, 1:7 or -3:-1")]
    DayOfMonth(String),
    /// Not a month.
    #[error("`{0}` is not a month like january, 3, or may:august")]
    Month(String),
    /// Not a year.
    #[error("`{0}` is not a year like 2026, or 2026:2027")]
    Year(String),
    /// Not a time of the day.
    #[error("`{0}` is not a time of the day like 08:30; the day ends at 24:00")]
    Time(String),
    /// The end is before the beginning.
    #[error("`{0}` ends before it begins")]
    Backwards(String),
}

/// The zone of that name in the time zone database that is compiled in.
pub fn zone(name: &str) -> Option<TimeZone> {
    // The one of the machine would decide otherwise on another machine.
    TimeZoneDatabase::bundled().get(name).ok()
}

impl Calendar {
    /// Whether it keeps an alert from being told while the hour is in it. Alerts about security are told at any time.
    pub fn covers(&self, episode: &Episode) -> bool {
        episode.class != SECURITY && all_match(&self.matchers, episode)
    }

    /// Whether `now` is in it.
    pub fn contains(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let (minute, weekday) = (i16::from(local.hour()) * 60 + i16::from(local.minute()), local.weekday());
        let (day, days) = (i16::from(local.day()), i16::from(local.days_in_month()));
        let (month, year) = (i16::from(local.month()), local.year());
        let weekday = i16::from(weekday.to_sunday_zero_offset());
        self.intervals.iter().any(|interval| {
            let any = |ranges: &[Range], holds: &dyn Fn(&Range) -> bool| ranges.is_empty() || ranges.iter().any(holds);
            any(&interval.times, &|range| range.from <= minute && minute < range.to)
                && any(&interval.weekdays, &|range| range.has(weekday))
                && any(&interval.days_of_month, &|range| range.of_month(days).has(day))
                && any(&interval.months, &|range| range.has(month))
                && any(&interval.years, &|range| range.has(year))
        })
    }
}

impl Interval {
    /// Whether it says nothing, and so would be always.
    pub fn is_empty(&self) -> bool {
        [&self.times, &self.weekdays, &self.days_of_month, &self.months, &self.years].iter().all(|list| list.is_empty())
    }
}

impl Range {
    fn has(self, value: i16) -> bool {
        self.from <= value && value <= self.to
    }

    /// What it is in a month of so many days.
    fn of_month(self, days: i16) -> Range {
        let from_start = |day: i16| if day < 0 { days + day + 1 } else { day };
        Range { from: from_start(self.from), to: from_start(self.to) }
    }

    /// Reads a time range of a day.
    ///
    /// # Errors
    /// One of both is no time, or the end is not after the start.
    pub fn of_times(start: &str, end: &str) -> Result<Range, InvalidRange> {
        let range = Range { from: minute_of_day(start)?, to: minute_of_day(end)? };
        if range.from < range.to { Ok(range) } else { Err(InvalidRange::Backwards(format!("{start} to {end}"))) }
    }

    /// Reads `monday` or `monday:friday`.
    ///
    /// # Errors
    /// No such day, or the end is before the beginning in a week that begins on Sunday.
    pub fn of_weekdays(text: &str) -> Result<Range, InvalidRange> {
        let day = |text: &str| WEEKDAYS.iter().position(|name| *name == text).map(|at| at as i16);
        ordered(text, pair(text, day).ok_or_else(|| InvalidRange::Weekday(text.to_owned()))?)
    }

    /// Reads `1`, `1:7` or `-3:-1`.
    ///
    /// # Errors
    /// No such day, or the end is before the beginning in some month.
    pub fn of_days_of_month(text: &str) -> Result<Range, InvalidRange> {
        let day = |text: &str| text.parse().ok().filter(|day| (-31..=31).contains(day) && *day != 0);
        let range: Range = pair(text, day).ok_or_else(|| InvalidRange::DayOfMonth(text.to_owned()))?;
        // As Alertmanager counts it, so that what is taken here is taken there: the shortest month decides.
        let shortest = range.of_month(27);
        let mixed = range.from < 0 && range.to > 0;
        if mixed || shortest.from > shortest.to { Err(InvalidRange::Backwards(text.to_owned())) } else { Ok(range) }
    }

    /// Reads `january`, `1`, or `may:august`.
    ///
    /// # Errors
    /// No such month, or the end is before the beginning.
    pub fn of_months(text: &str) -> Result<Range, InvalidRange> {
        let month = |text: &str| {
            let named = MONTHS.iter().position(|name| *name == text).map(|at| at as i16 + 1);
            named.or_else(|| text.parse().ok()).filter(|month| (1..=12).contains(month))
        };
        ordered(text, pair(text, month).ok_or_else(|| InvalidRange::Month(text.to_owned()))?)
    }

    /// Reads `2026` or `2026:2027`.
    ///
    /// # Errors
    /// Not a year, or the end is before the beginning.
    pub fn of_years(text: &str) -> Result<Range, InvalidRange> {
        let year = |text: &str| text.parse().ok().filter(|year| (1970..=9999).contains(year));
        ordered(text, pair(text, year).ok_or_else(|| InvalidRange::Year(text.to_owned()))?)
    }
}

fn ordered(text: &str, range: Range) -> Result<Range, InvalidRange> {
    if range.from <= range.to { Ok(range) } else { Err(InvalidRange::Backwards(text.to_owned())) }
}

/// `from:to`, or one value for both.
fn pair(text: &str, value: impl Fn(&str) -> Option<i16>) -> Option<Range> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    Some(Range { from: value(from)?, to: value(to)? })
}

fn minute_of_day(text: &str) -> Result<i16, InvalidRange> {
    let number = |digits: &str| -> Option<i16> {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    let parsed = text.split_once(':').and_then(|(hour, minute)| Some((number(hour)?, number(minute)?)));
    match parsed {
        Some((hour, minute)) if minute < 60 && (hour < 24 || (hour, minute) == (24, 0)) => Ok(hour * 60 + minute),
        _ => Err(InvalidRange::Time(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::testing::episode;

    fn calendar(zone_name: &str, interval: Interval) -> Calendar {
        let zone = zone(zone_name).unwrap();
        Calendar { name: "test".to_owned(), zone, matchers: Vec::new(), intervals: vec![interval] }
    }

    fn check(zone: &str, interval: Interval, moments: &[(&str, bool)]) {
        let calendar = calendar(zone, interval);
        for (moment, expected) in moments {
            assert_eq!(calendar.contains(moment.parse().unwrap()), *expected, "{moment}: {:?}", calendar.intervals);
        }
    }

    #[test]
    fn times_are_of_the_zone_and_end_before_their_end() {
        let times = vec![Range::of_times("22:00", "24:00").unwrap(), Range::of_times("00:00", "06:30").unwrap()];
        check(
            "Europe/Moscow",
            Interval { times, ..Interval::default() },
            &[
                ("2026-11-21T18:59:59Z", false),
                ("2026-11-21T19:00:00Z", true),
                ("2026-11-21T20:59:59Z", true),
                ("2026-11-21T21:00:00Z", true),
                ("2026-11-22T03:29:59.999Z", true),
                ("2026-11-22T03:30:00Z", false),
            ],
        );
    }

    #[test]
    fn a_night_follows_the_clock_when_it_is_moved() {
        // Berlin 2026: forward on 29 March at 02:00, back on 25 October at 03:00.
        let times = vec![Range::of_times("01:00", "03:00").unwrap()];
        check(
            "Europe/Berlin",
            Interval { times: times.clone(), ..Interval::default() },
            &[
                ("2026-03-28T23:59:59Z", false),
                ("2026-03-29T00:00:00Z", true),
                ("2026-03-29T00:59:59Z", true),
                ("2026-03-29T01:00:00Z", false), // 03:00 in summer: the second hour is left out.
                ("2026-10-24T22:59:59Z", false),
                ("2026-10-24T23:00:00Z", true),
                ("2026-10-25T00:30:00Z", true),
                ("2026-10-25T01:30:00Z", true), // 02:30 for the second time.
                ("2026-10-25T02:00:00Z", false),
            ],
        );
        let weekdays = vec![Range::of_weekdays("saturday").unwrap()];
        check(
            "Pacific/Kiritimati", // 14 hours ahead of UTC.
            Interval { times, weekdays, ..Interval::default() },
            &[("2026-11-20T11:00:00Z", true), ("2026-11-21T11:00:00Z", false)],
        );
    }

    #[test]
    fn days_are_counted_from_both_ends_of_the_month() {
        let days = |text: &str| Interval {
            days_of_month: vec![Range::of_days_of_month(text).unwrap()],
            ..Interval::default()
        };
        for (text, moments) in [
            (
                "-1",
                &[("2026-02-28T12:00:00Z", true), ("2028-02-28T12:00:00Z", false), ("2028-02-29T12:00:00Z", true)][..],
            ),
            (
                "-3:-1",
                &[("2026-11-27T23:59:59Z", false), ("2026-11-28T00:00:00Z", true), ("2026-11-30T00:00:00Z", true)],
            ),
            ("1:7", &[("2026-11-07T12:00:00Z", true), ("2026-11-08T12:00:00Z", false)]),
            ("25:-1", &[("2026-11-24T12:00:00Z", false), ("2026-11-30T12:00:00Z", true)]),
            // No such day in a short month, as in Alertmanager: it is not moved to another one.
            ("30:31", &[("2026-02-28T12:00:00Z", false), ("2026-03-30T12:00:00Z", true)]),
            ("-31:-30", &[("2026-02-01T12:00:00Z", false), ("2026-03-01T12:00:00Z", true)]),
        ] {
            check("UTC", days(text), moments);
        }
    }

    #[test]
    fn all_that_an_interval_says_has_to_hold_and_one_range_of_each() {
        // The example of Alertmanager's documentation, more or less.
        let interval = Interval {
            times: vec![Range::of_times("09:00", "17:00").unwrap()],
            weekdays: vec![Range::of_weekdays("monday:friday").unwrap(), Range::of_weekdays("sunday").unwrap()],
            days_of_month: Vec::new(),
            months: vec![Range::of_months("1").unwrap(), Range::of_months("may:august").unwrap()],
            years: vec![Range::of_years("2026:2027").unwrap()],
        };
        check(
            "UTC",
            interval,
            &[
                ("2026-01-05T09:00:00Z", true),
                ("2026-01-05T17:00:00Z", false),
                ("2026-01-03T12:00:00Z", false), // Saturday.
                ("2026-01-04T12:00:00Z", true),  // Sunday.
                ("2026-02-02T12:00:00Z", false),
                ("2026-08-31T12:00:00Z", true),
                ("2025-01-06T12:00:00Z", false),
                ("2028-01-03T12:00:00Z", false),
            ],
        );
    }

    #[test]
    fn security_is_told_at_any_time() {
        let always = Interval { years: vec![Range::of_years("2026").unwrap()], ..Interval::default() };
        let (calendar, alert) = (calendar("UTC", always), episode("a", 0));
        assert!(calendar.covers(&alert));
        assert!(!calendar.covers(&Episode { class: SECURITY.to_owned(), ..alert }));
    }

    #[test]
    fn a_range_that_is_none_is_refused() {
        let said = |found: Result<Range, InvalidRange>| found.unwrap_err().to_string();
        for (found, expected) in [
            (Range::of_times("8:00", "17:00"), "`8:00` is not a time of the day like 08:30; the day ends at 24:00"),
            (Range::of_times("08:00", "24:01"), "`24:01` is not a time of the day like 08:30; the day ends at 24:00"),
            (Range::of_times("08:60", "24:00"), "`08:60` is not a time of the day like 08:30; the day ends at 24:00"),
            (Range::of_times("+8:00", "24:00"), "`+8:00` is not a time of the day like 08:30; the day ends at 24:00"),
            (Range::of_times("22:00", "06:00"), "`22:00 to 06:00` ends before it begins"),
            (Range::of_times("06:00", "06:00"), "`06:00 to 06:00` ends before it begins"),
            (Range::of_weekdays("mon"), "`mon` is not a day of the week like monday, or monday:friday"),
            (Range::of_weekdays("friday:monday"), "`friday:monday` ends before it begins"),
            (Range::of_days_of_month("0"), "`0` is not a day of the month like 1, 1:7 or -3:-1"),
            (Range::of_days_of_month("32"), "`32` is not a day of the month like 1, 1:7 or -3:-1"),
            (Range::of_days_of_month("-1:1"), "`-1:1` ends before it begins"),
            (Range::of_days_of_month("-1:-3"), "`-1:-3` ends before it begins"),
            (Range::of_days_of_month("28:-1"), "`28:-1` ends before it begins"), // In some February.
            (Range::of_days_of_month("9:3"), "`9:3` ends before it begins"),
            (Range::of_months("13"), "`13` is not a month like january, 3, or may:august"),
            (Range::of_months("may:april"), "`may:april` ends before it begins"),
            (Range::of_years("26"), "`26` is not a year like 2026, or 2026:2027"),
            (Range::of_years("2027:2026"), "`2027:2026` ends before it begins"),
        ] {
            assert_eq!(said(found), expected);
        }
        assert!(zone("Europe/Moscow").is_some() && zone("Europe/Nowhere").is_none());
    }
}
