//! Words and cuts that all messages share.

use jiff::Timestamp;

use crate::Minute;

/// `2026-11-21 10:13 UTC`
pub(super) fn time(minute: Minute) -> String {
    minute.to_string().replace('T', " ").replace('Z', " UTC")
}

/// `27 min`, `2 h 5 min`, `1 d 3 h`; what is negative counts as nothing.
pub(super) fn span(minutes: i64) -> String {
    match minutes.max(0) {
        minutes @ 0..60 => format!("{minutes} min"),
        minutes @ 60..1440 if minutes % 60 == 0 => format!("{} h", minutes / 60),
        minutes @ 60..1440 => format!("{} h {} min", minutes / 60, minutes % 60),
        minutes => format!("{} d {} h", minutes / 1440, minutes % 1440 / 60),
    }
}

/// `1 alert`, `3 alerts`
pub(super) fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// `text` with a capital letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// An instant to the minute: `2026-11-21 10:13 UTC`
pub(super) fn moment(at: Timestamp) -> String {
    time(Minute::of(at))
}

/// The first `max` bytes of `text`, cut between characters, with `...` in place of what is cut.
pub(super) fn clip(text: &str, max: usize) -> String {
    const CUT: &str = "...";
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max.saturating_sub(CUT.len()));
    format!("{}{CUT}", &text[..end])
}

/// `text` on one line: what a terminal or a mail program could take for a command becomes a blank.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_as_people_tell_them() {
        for (minutes, expected) in [
            (-5, "0 min"),
            (0, "0 min"),
            (59, "59 min"),
            (60, "1 h"),
            (125, "2 h 5 min"),
            (1440, "1 d 0 h"),
            (4500, "3 d 3 h"),
        ] {
            assert_eq!(span(minutes), expected);
        }
        assert_eq!(time("2026-11-21T10:13Z".parse().unwrap()), "2026-11-21 10:13 UTC");
    }

    #[test]
    fn a_cut_is_between_characters_and_says_that_it_is_one() {
        for (text, max, expected) in [
            ("short", 5, "short"),
            ("longer", 5, "lo..."),
            ("ошибка", 12, "ошибка"),
            ("ошибка", 11, "ошиб..."),
            ("ошибка", 10, "оши..."),
            ("text", 0, "..."),
        ] {
            assert_eq!(clip(text, max), expected, "{text} in {max} bytes");
        }
    }
}
