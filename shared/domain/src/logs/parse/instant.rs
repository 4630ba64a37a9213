//! Dates and times as text: whether they exist, and how an instant is written. By hand, because every
//! line has one and a date library does far more for it than is needed here.

/// Whether `text` is an existing day of the Gregorian calendar (proleptic, years 0001 to 9999), as
/// `2026-11-21`.
pub fn is_date(text: &[u8]) -> bool {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return false };
    let (Some(century), Some(year)) = (two_digits(y1, y2), two_digits(y3, y4)) else { return false };
    let (Some(month), Some(day)) = (two_digits(m1, m2), two_digits(d1, d2)) else { return false };
    let year = u16::from(century) * 100 + u16::from(year);
    year > 0 && (1..=days_in_month(year, month)).contains(&day)
}

/// Whether `text` is a time of day as `10:05:03`, or with one to nine digits of a fraction as
/// `10:05:03.123`. There are no leap seconds.
pub fn is_time(text: &[u8]) -> bool {
    time_length(text) == Some(text.len())
}

/// How long the time of day is that `text` begins with, as [`is_time`] has it.
pub fn time_length(text: &[u8]) -> Option<usize> {
    let (&[h1, h2, b':', m1, m2, b':', s1, s2], fraction) = text.split_first_chunk::<8>()? else { return None };
    let below = |tens, ones, limit| two_digits(tens, ones).is_some_and(|number| number < limit);
    let exists = below(h1, h2, 24) && below(m1, m2, 60) && below(s1, s2, 60);
    exists.then(|| 8 + fraction_length(fraction))
}

/// Whether `text` is RFC 3339 in the one form that the archive has: `YYYY-MM-DDTHH:MM:SS[.f{1,9}]Z`.
pub fn is_canonical(text: &str) -> bool {
    let Some((date, rest)) = text.as_bytes().split_first_chunk::<10>() else { return false };
    matches!(rest, [b'T', time @ .., b'Z'] if is_time(time)) && is_date(date)
}

/// With its dot; 0 for none.
fn fraction_length(text: &[u8]) -> usize {
    let [b'.', digits @ ..] = text else { return 0 };
    let length = digits.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    if length > 0 { 1 + length } else { 0 }
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// 0 for a month that does not exist.
fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Appends epoch milliseconds as RFC 3339 in UTC, `2026-11-21T10:05:03.5Z`: without a fraction where
/// there is none, and without zeros at its end. Years before 0 are written as `-000001`. `millis` must
/// lie within the years -9999 to 9999, as `jiff::Timestamp` has them.
pub fn append_millis(millis: i64, out: &mut Vec<u8>) {
    let (days, millis) = (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY) as u32);
    let (year, month, day) = civil(days);
    if year < 0 {
        out.extend_from_slice(b"-00");
    }
    let year = year.unsigned_abs() as u32;
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let [y1, y2] = pair(year / 100);
    let [y3, y4] = pair(year % 100);
    let [n1, n2] = pair(month);
    let [d1, d2] = pair(day);
    let [h1, h2] = pair(minutes / 60);
    let [m1, m2] = pair(minutes % 60);
    out.extend_from_slice(&[y1, y2, y3, y4, b'-', n1, n2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':']);
    append_seconds(millis, out);
}

/// Writes instants, most of which lie in the same minute as the one before.
#[derive(Debug, Default)]
pub struct Clock {
    /// Minutes since the epoch.
    minute: Option<i64>,
    /// How instants of it begin.
    text: Vec<u8>,
}

impl Clock {
    /// Appends the same as [`append_millis`].
    #[inline]
    pub fn append(&mut self, millis: i64, out: &mut Vec<u8>) {
        const MILLIS_PER_MINUTE: i64 = 60_000;
        let (minute, rest) = (millis.div_euclid(MILLIS_PER_MINUTE), millis.rem_euclid(MILLIS_PER_MINUTE) as u32);
        if self.minute != Some(minute) {
            self.minute = Some(minute);
            self.text.clear();
            append_millis(minute * MILLIS_PER_MINUTE, &mut self.text);
            // Without the seconds, `00Z`.
            self.text.truncate(self.text.len() - 3);
        }
        out.extend_from_slice(&self.text);
        append_seconds(rest, out);
    }
}

/// The last part of an instant, by milliseconds since its minute began.
fn append_seconds(millis: u32, out: &mut Vec<u8>) {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let [s1, s2] = pair(seconds);
    let f1 = b'0' + (millis / 100) as u8;
    let [f2, f3] = pair(millis % 100);
    // As an array of a known length it is written at once; what is too much is taken away again.
    out.extend_from_slice(&[s1, s2, b'.', f1, f2, f3, b'Z']);
    if f3 == b'0' {
        let fraction = match (f1, f2) {
            (b'0', b'0') => 0,
            (_, b'0') => 2,
            _ => 3,
        };
        out.truncate(out.len() - 5 + fraction);
        out.push(b'Z');
    }
}

/// Two digits; of a number of more, the last ones.
fn pair(number: u32) -> [u8; 2] {
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[0; 2]; 100];
        let mut number = 0;
        while number < 100 {
            pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
            number += 1;
        }
        pairs
    };
    PAIRS[number as usize % 100]
}

/// Year, month and day of a day counted from 1970-01-01. The count is moved to a year that begins in
/// March, so that the leap day is its last, and taken apart by periods of 400, 100, 4 and 1 years.
fn civil(days: i64) -> (i64, u32, u32) {
    const FROM_MARCH_OF_YEAR_0: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let days = days + FROM_MARCH_OF_YEAR_0;
    let (period, days) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS) as u32);
    // The last century of a period and the last year of four have a day more than the others: they would
    // begin a next one on that day.
    let century = (days / 36_524).min(3);
    let days = days - century * 36_524;
    let (four, days) = (days / 1_461, days % 1_461);
    let single = (days / 365).min(3);
    let days = days - single * 365;
    // Months from March on have 31, 30, 31, 30, 31 days, then the same again: 153 in five.
    let from_march = (days * 5 + 2) / 153;
    let day = days - (from_march * 153 + 2) / 5 + 1;
    let year = period * 400 + i64::from(century * 100 + four * 4 + single);
    match from_march {
        0..=9 => (year, from_march + 3, day),
        _ => (year + 1, from_march - 9, day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use jiff::civil::Date;
    use proptest::prelude::*;

    /// The milliseconds that jiff takes.
    const FIRST: i64 = -377_705_023_201_000;
    const LAST: i64 = 253_402_207_200_000;

    fn written(millis: i64) -> String {
        let mut out = Vec::new();
        append_millis(millis, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_time_of_day_has_existing_hours_minutes_and_seconds() {
        for (text, is) in [
            ("00:00:00", true),
            ("23:59:59.999999999", true),
            ("10:05:03.1", true),
            ("24:00:00", false),
            ("10:60:00", false),
            ("10:05:60", false),
            ("10:05:03.", false),
            ("10:05:03.1234567890", false),
            ("10:05:03,1", false),
            ("1:05:03", false),
            ("10:05", false),
            ("", false),
        ] {
            assert_eq!(is_time(text.as_bytes()), is, "{text}");
        }
    }

    #[test]
    fn a_time_of_day_ends_where_something_else_follows() {
        for (text, length) in [
            ("10:05:03 UTC", Some(8)),
            ("10:05:03. UTC", Some(8)),
            ("10:05:03.12 UTC", Some(11)),
            ("10:05:03.1234567890", Some(18)),
            ("10:05:03:04", Some(8)),
            ("10:05:60 UTC", None),
            ("10:05", None),
        ] {
            assert_eq!(time_length(text.as_bytes()), length, "{text}");
        }
    }

    #[test]
    fn the_canonical_form_is_in_utc_with_a_capital_t_and_z() {
        for (text, is) in [
            ("2026-11-21T10:05:03Z", true),
            ("2026-11-21T10:05:03.120Z", true),
            ("2026-11-21 10:05:03Z", false),
            ("2026-11-21T10:05:03+00:00", false),
            ("2026-11-21T10:05:03z", false),
            ("2026-11-31T10:05:03Z", false),
            ("2026-11-21TZ", false),
            ("2026-11-21T10:05:03.Z", false),
            ("договор о продаже", false),
        ] {
            assert_eq!(is_canonical(text), is, "{text}");
        }
    }

    #[test]
    fn the_ends_of_the_calendar_are_written_as_jiff_writes_them() {
        for millis in [0, -1, 951_782_400_000, FIRST, LAST, -62_167_219_200_000, -62_167_219_200_001] {
            assert_eq!(written(millis), Timestamp::from_millisecond(millis).unwrap().to_string());
        }
    }

    #[test]
    fn every_day_of_four_hundred_years_is_written_as_jiff_writes_it() {
        for day in 0..146_097 {
            let millis = day * MILLIS_PER_DAY;
            assert_eq!(written(millis), Timestamp::from_millisecond(millis).unwrap().to_string());
        }
    }

    proptest! {
        #[test]
        fn a_clock_writes_the_same(all in prop::collection::vec(prop_oneof![FIRST..=LAST, -90_000..90_000_i64], 1..9)) {
            let mut clock = Clock::default();
            for millis in all {
                let mut out = Vec::new();
                clock.append(millis, &mut out);
                prop_assert_eq!(String::from_utf8(out).unwrap(), written(millis));
            }
        }

        #[test]
        fn an_instant_is_written_as_jiff_writes_it(
            millis in FIRST..=LAST,
            zeros in prop::sample::select(vec![1, 10, 100, 1000]),
        ) {
            let millis = millis / zeros * zeros;
            let text = written(millis);
            prop_assert_eq!(&text, &Timestamp::from_millisecond(millis).unwrap().to_string());
            prop_assert_eq!(is_canonical(&text), millis >= -62_135_596_800_000);
        }

        #[test]
        fn a_date_exists_where_jiff_says_so(year in 0i16..=9999, month in 0i8..=13, day in 0i8..=32) {
            let text = format!("{year:04}-{month:02}-{day:02}");
            prop_assert_eq!(is_date(text.as_bytes()), year > 0 && Date::new(year, month, day).is_ok());
        }

        #[test]
        fn any_bytes_are_looked_at_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..40), line in ".{0,40}") {
            let _ = (is_date(&text), is_time(&text), is_canonical(&line));
        }
    }
}
