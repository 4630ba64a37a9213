//! A day of a time zone's calendar, as the half-open interval of UTC minutes that a report covers.
//!
//! A local day has 24 hours, except when the clocks change: then it has 23 or 25 (or, where they move
//! by half an hour, something between), and its midnight may not exist at all.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::Minute;

/// A day that is over, so that nothing more can happen in it.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalDay {
    date: Date,
    zone: TimeZone,
    from: Minute,
    until: Minute,
}

/// One hour as the clock on the wall showed it. When the clocks go back, an hour comes twice, with two
/// UTC offsets; when they go forward, one is absent.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalHour {
    /// The first minute.
    pub from: Minute,
    /// The minute after the last one.
    pub until: Minute,
    /// Local time of the first minute with its offset, `2026-11-20T10:00:00+03:00`.
    pub starts_at: String,
}

/// Why there is no such day to report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// The text is no date.
    #[error("`{0}` is not a date like 2026-11-20")]
    NotADate(String),
    /// The zone went from the day before to the day after (Samoa had no 30 December 2011).
    #[error("there was no {date} in {zone}")]
    NoSuchDay {
        /// The date asked for.
        date: String,
        /// The zone that left it out.
        zone: String,
    },
    /// Something may still happen in it.
    #[error("{date} in {zone} is not over before {until}; it is {now}")]
    Unfinished {
        /// The date asked for.
        date: String,
        /// Its zone.
        zone: String,
        /// The first minute of the next day.
        until: Minute,
        /// The minute of the event that asked.
        now: Minute,
    },
}

impl LocalDay {
    /// The day that `date` (`2026-11-20`) names, if it is over at `now`.
    pub fn named(date: &str, zone: &TimeZone, now: Timestamp) -> Result<LocalDay, DayError> {
        let not_a_date = || DayError::NotADate(date.to_owned());
        let parsed: Date = date.parse().map_err(|_| not_a_date())?;
        // jiff also reads `20261120` and dates with a time; object keys must have one spelling of a day.
        if parsed.to_string() != date {
            return Err(not_a_date());
        }
        let day = LocalDay::of(parsed, zone).ok_or_else(not_a_date)?;
        let (date, zone) = (day.date(), day.zone().to_owned());
        if day.from == day.until {
            return Err(DayError::NoSuchDay { date, zone });
        }
        if day.until.start() > now {
            return Err(DayError::Unfinished { date, zone, until: day.until, now: Minute::of(now) });
        }
        Ok(day)
    }

    /// The newest day that is over at `now`. An error only at the very beginning of the calendar.
    pub fn last_finished(zone: &TimeZone, now: Timestamp) -> Result<LocalDay, DayError> {
        let today = now.to_zoned(zone.clone()).date();
        let before = |days: i64| LocalDay::named(&today.saturating_sub(days.days()).to_string(), zone, now);
        match before(1) {
            // No zone has left out two days in a row.
            Err(DayError::NoSuchDay { .. }) => before(2),
            day => day,
        }
    }

    /// `None` at the ends of the calendar, where the next day can not be named.
    fn of(date: Date, zone: &TimeZone) -> Option<LocalDay> {
        let begins = |date: Date| -> Option<Minute> {
            // Midnight moves to the first instant that exists, where the clocks jump over it.
            let start = date.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
            Some(Minute::of(start.timestamp()))
        };
        let (from, until) = (begins(date)?, begins(date.tomorrow().ok()?)?);
        Some(LocalDay { date, zone: zone.clone(), from, until: until.max(from) })
    }

    /// `2026-11-20`.
    pub fn date(&self) -> String {
        self.date.to_string()
    }

    /// The weekday and date in words, `Friday, 20 November 2026`.
    pub fn date_in_words(&self) -> String {
        self.date.strftime("%A, %-d %B %Y").to_string()
    }

    /// The zone's IANA name.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("a zone without a name")
    }

    /// The first minute.
    pub fn from(&self) -> Minute {
        self.from
    }

    /// The minute after the last one.
    pub fn until(&self) -> Minute {
        self.until
    }

    /// Whether `minute` is in the day.
    pub fn contains(&self, minute: Minute) -> bool {
        self.from <= minute && minute < self.until
    }

    /// Its minutes, in order: 1,440 but for the days on which the clocks change.
    pub fn minutes(&self) -> impl Iterator<Item = Minute> + use<> {
        let from = self.from;
        (0..self.until.since(from)).map(move |offset| from.plus(offset))
    }

    /// Its hours, in order.
    pub fn hours(&self) -> Vec<LocalHour> {
        let mut hours: Vec<LocalHour> = Vec::with_capacity(25);
        let mut shown = None;
        for minute in self.minutes() {
            let local = self.local(minute);
            let now_shown = (local.hour(), local.offset());
            if shown == Some(now_shown) {
                if let Some(hour) = hours.last_mut() {
                    hour.until = minute.plus(1);
                }
                continue;
            }
            shown = Some(now_shown);
            let starts_at = local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
            hours.push(LocalHour { from: minute, until: minute.plus(1), starts_at });
        }
        hours
    }

    /// `minute` as the clock on the wall showed it, `10:05`; the end of the day is `24:00`.
    pub fn clock(&self, minute: Minute) -> String {
        if minute == self.until {
            return "24:00".to_owned();
        }
        self.local(minute).strftime("%H:%M").to_string()
    }

    /// Like [`LocalDay::clock`], with the date where it is another day: `19 Nov 23:50`.
    pub fn clock_and_day(&self, minute: Minute) -> String {
        let format = if self.contains(minute) { "%H:%M" } else { "%-d %b %H:%M" };
        self.local(minute).strftime(format).to_string()
    }

    fn local(&self, minute: Minute) -> Zoned {
        minute.start().to_zoned(self.zone.clone())
    }

    /// The UTC days (`2026-11-20`) that this day touches, and `before` days before them.
    pub fn utc_days(&self, before: u8) -> Vec<String> {
        let utc_date = |minute: Minute| minute.start().to_zoned(TimeZone::UTC).date();
        let last = utc_date(self.until.plus(-1));
        let first = utc_date(self.from).saturating_sub(i64::from(before).days());
        first.series(1.day()).take_while(|date| *date <= last).map(|date| date.to_string()).collect()
    }

    /// A minute of each UTC hour that this day touches.
    pub fn utc_hours(&self) -> Vec<Minute> {
        let mut hours: Vec<Minute> = Vec::with_capacity(26);
        for minute in self.minutes() {
            if hours.last().is_none_or(|last| (last.day(), last.hour()) != (minute.day(), minute.hour())) {
                hours.push(minute);
            }
        }
        hours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn day(date: &str, name: &str) -> LocalDay {
        LocalDay::named(date, &zone(name), at("2035-01-01T00:00:00Z")).unwrap()
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_says() {
        // Defect 37: the source document's day was midnight + 24 h of whatever zone the host was in.
        for (what, name, date, from, until, hours) in [
            ("an ordinary day", "Europe/Berlin", "2026-11-20", "2026-11-19T23:00Z", "2026-11-20T23:00Z", 24),
            ("the clocks go forward", "Europe/Berlin", "2026-03-29", "2026-03-28T23:00Z", "2026-03-29T22:00Z", 23),
            ("the clocks go back", "Europe/Berlin", "2026-10-25", "2026-10-24T22:00Z", "2026-10-25T23:00Z", 25),
            ("no summer time any more", "Europe/Moscow", "2026-03-29", "2026-03-28T21:00Z", "2026-03-29T21:00Z", 24),
            ("its last change", "Europe/Moscow", "2014-10-26", "2014-10-25T20:00Z", "2014-10-26T21:00Z", 25),
            ("no midnight: 00:00 is 01:00", "Africa/Cairo", "2026-04-24", "2026-04-23T22:00Z", "2026-04-24T21:00Z", 23),
            ("midnight twice", "America/Havana", "2026-11-01", "2026-11-01T04:00Z", "2026-11-02T05:00Z", 25),
            ("an offset of half an hour", "Asia/Kolkata", "2026-11-20", "2026-11-19T18:30Z", "2026-11-20T18:30Z", 24),
            ("a leap day", "UTC", "2028-02-29", "2028-02-29T00:00Z", "2028-03-01T00:00Z", 24),
        ] {
            let day = day(date, name);
            assert_eq!((day.from().to_string(), day.until().to_string()), (from.into(), until.into()), "{what}");
            assert_eq!(day.minutes().count(), hours * 60, "{what}");
            assert_eq!(day.hours().len(), hours, "{what}");
        }
    }

    #[test]
    fn days_follow_each_other_without_a_gap_or_an_overlap() {
        for name in ["Europe/Berlin", "Europe/Moscow", "Africa/Cairo", "Australia/Lord_Howe"] {
            let mut date: Date = "2026-01-01".parse().unwrap();
            for _ in 0..400 {
                let (today, next) = (day(&date.to_string(), name), day(&date.tomorrow().unwrap().to_string(), name));
                assert_eq!(today.until(), next.from(), "{name} {date}");
                date = date.tomorrow().unwrap();
            }
        }
    }

    #[test]
    fn hours_are_those_that_the_clock_on_the_wall_showed() {
        let starts = |date: &str, name: &str| -> Vec<String> {
            day(date, name).hours().into_iter().map(|hour| hour.starts_at[11..].to_owned()).collect()
        };
        assert_eq!(starts("2026-03-29", "Europe/Berlin")[1..4], ["01:00:00+01:00", "03:00:00+02:00", "04:00:00+02:00"]);
        assert_eq!(starts("2026-10-25", "Europe/Berlin")[2..5], ["02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"]);
        assert_eq!(starts("2026-04-24", "Africa/Cairo")[0], "01:00:00+03:00");
        // Half an hour back at 02:00: half past one comes twice.
        assert_eq!(
            starts("2026-04-05", "Australia/Lord_Howe")[1..4],
            ["01:00:00+11:00", "01:30:00+10:30", "02:00:00+10:30"]
        );
    }

    #[test]
    fn hours_cover_the_day() {
        for name in ["Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"] {
            let day = day("2026-04-05", name);
            let mut next = day.from();
            for hour in day.hours() {
                assert_eq!(hour.from, next, "{name}");
                next = hour.until;
            }
            assert_eq!(next, day.until(), "{name}");
        }
    }

    #[test]
    fn the_last_finished_day_is_the_one_before_the_local_date() {
        for (what, name, now, expected) in [
            ("a night run", "Europe/Moscow", "2026-11-21T02:30:00Z", "2026-11-20"),
            ("23:59 local is still the same day", "Europe/Moscow", "2026-11-21T20:59:59Z", "2026-11-20"),
            ("midnight ends the day", "Europe/Moscow", "2026-11-21T21:00:00Z", "2026-11-21"),
            ("behind UTC", "America/New_York", "2026-11-21T02:30:00Z", "2026-11-19"),
            ("after a day that never was", "Pacific/Apia", "2011-12-30T10:00:01Z", "2011-12-29"),
        ] {
            let day = LocalDay::last_finished(&zone(name), at(now)).unwrap();
            assert_eq!(day.date(), expected, "{what}");
        }
    }

    #[test]
    fn a_day_that_can_not_be_reported_is_refused_and_says_why() {
        // Defect 37: the source document would report a day that is not over.
        for (date, name, now, expected) in [
            (
                "2026-11-21",
                "Europe/Moscow",
                "2026-11-21T20:59:00Z",
                "2026-11-21 in Europe/Moscow is not over before 2026-11-21T21:00Z; it is 2026-11-21T20:59Z",
            ),
            (
                "2030-01-01",
                "UTC",
                "2026-11-21T00:00:00Z",
                "2030-01-01 in UTC is not over before 2030-01-02T00:00Z; it is 2026-11-21T00:00Z",
            ),
            ("2011-12-30", "Pacific/Apia", "2026-11-21T00:00:00Z", "there was no 2011-12-30 in Pacific/Apia"),
            ("2026-02-30", "UTC", "2026-11-21T00:00:00Z", "`2026-02-30` is not a date like 2026-11-20"),
            ("20261120", "UTC", "2026-11-21T00:00:00Z", "`20261120` is not a date like 2026-11-20"),
            ("2026-11-20T10:00", "UTC", "2026-11-21T00:00:00Z", "`2026-11-20T10:00` is not a date like 2026-11-20"),
            ("../../x", "UTC", "2026-11-21T00:00:00Z", "`../../x` is not a date like 2026-11-20"),
            ("", "UTC", "2026-11-21T00:00:00Z", "`` is not a date like 2026-11-20"),
            ("9999-12-31", "UTC", "2026-11-21T00:00:00Z", "`9999-12-31` is not a date like 2026-11-20"),
        ] {
            let error = LocalDay::named(date, &zone(name), at(now)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_local_day_spans_utc_days_and_hours() {
        let moscow = day("2026-11-20", "Europe/Moscow");
        assert_eq!(moscow.utc_days(0), ["2026-11-19", "2026-11-20"]);
        assert_eq!(moscow.utc_days(1), ["2026-11-18", "2026-11-19", "2026-11-20"]);
        assert_eq!(moscow.utc_hours().len(), 24);
        assert_eq!(moscow.utc_hours()[0].to_string(), "2026-11-19T21:00Z");
        assert_eq!(day("2026-11-20", "UTC").utc_days(0), ["2026-11-20"]);
        // Half-hour offsets touch an hour more.
        assert_eq!(day("2026-11-20", "Asia/Kolkata").utc_hours().len(), 25);
    }

    #[test]
    fn times_of_other_days_say_so() {
        let moscow = day("2026-11-20", "Europe/Moscow");
        assert_eq!(moscow.clock_and_day("2026-11-20T10:05Z".parse().unwrap()), "13:05");
        assert_eq!(moscow.clock_and_day("2026-11-19T20:50Z".parse().unwrap()), "19 Nov 23:50");
        assert_eq!((moscow.clock(moscow.from()).as_str(), moscow.clock(moscow.until()).as_str()), ("00:00", "24:00"));
        assert_eq!(moscow.date_in_words(), "Friday, 20 November 2026");
    }
}
