//! Durations as rule files write them: `90s`, `10m`, `1h`.

use std::time::Duration;

/// A text that is not such a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Not a number with a unit.
    #[error("`{0}` is not a duration like 90s, 10m or 1h")]
    Shape(String),
    /// Not a whole number of minutes, where the evaluation goes by minutes.
    #[error("`{0}` is not a whole number of minutes")]
    Seconds(String),
    /// Longer than [`LONGEST`].
    #[error("`{0}` is longer than 30 days")]
    Long(String),
}

/// The longest duration taken.
pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// Parses a whole number with one of the units s, m, h, d.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let shape = || InvalidDuration::Shape(text.to_owned());
    let seconds_each = match text.chars().next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(shape()),
    };
    // The unit is ASCII, so its last byte is its only one.
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(shape());
    }
    let number: Option<u64> = digits.parse().ok();
    let seconds = number.and_then(|number| number.checked_mul(seconds_each));
    match seconds.map(Duration::from_secs) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(InvalidDuration::Long(text.to_owned())),
    }
}

/// Parses a duration that has to be a whole number of minutes, and says how many.
pub fn parse_minutes(text: &str) -> Result<i64, InvalidDuration> {
    let seconds = parse(text)?.as_secs() as i64;
    if seconds % 60 == 0 { Ok(seconds / 60) } else { Err(InvalidDuration::Seconds(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_unit_is_a_duration() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("10m", 600), ("1h", 3_600), ("30d", 2_592_000)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_minutes("2h"), Ok(120));
        assert_eq!(parse_minutes("120s"), Ok(2));
    }

    #[test]
    fn anything_else_is_refused_and_says_why() {
        for (text, expected) in [
            ("", "`` is not a duration like 90s, 10m or 1h"),
            ("60", "`60` is not a duration like 90s, 10m or 1h"),
            ("m", "`m` is not a duration like 90s, 10m or 1h"),
            ("-5m", "`-5m` is not a duration like 90s, 10m or 1h"),
            ("1.5h", "`1.5h` is not a duration like 90s, 10m or 1h"),
            ("10 m", "`10 m` is not a duration like 90s, 10m or 1h"),
            ("10м", "`10м` is not a duration like 90s, 10m or 1h"),
            ("31d", "`31d` is longer than 30 days"),
            ("99999999999999999999s", "`99999999999999999999s` is longer than 30 days"),
            ("90s", "`90s` is not a whole number of minutes"),
        ] {
            assert_eq!(parse_minutes(text).unwrap_err().to_string(), expected);
        }
    }
}
