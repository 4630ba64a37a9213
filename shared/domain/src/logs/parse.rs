//! A line of any dialect into a record. Nothing is refused here: what no dialect fits is raw text.

mod archived;
pub mod instant;
pub(crate) mod json;
pub mod postgres;
pub mod sql;

use crate::Minute;
use crate::logs::envelope::Specials;
use crate::logs::json::MAX_DEPTH;
use crate::logs::record::{Category, Format, Level, Message, Record, Time};
pub use archived::{ArchivedError, ArchivedSource, parse_archived};

/// Reads `line` into `record`, which is overwritten. `specials` says where quotes, backslashes and control
/// characters are in it, where that is known.
pub fn parse<'a>(line: &'a str, specials: Option<Specials<'_>>, record: &mut Record<'a>) {
    record.begin(line);
    if line.trim_ascii_start().starts_with('{') {
        if json::read(record, specials, MAX_DEPTH).is_ok() {
            return;
        }
        record.begin(line);
    }
    record.entries.extend(postgres::entries(line));
    if let Some(first) = record.entries.first().copied() {
        record.format = Format::Postgresql;
        record.time = Time::Parts(first.date, first.time);
        record.level = first.level;
        record.category = Category::Database;
        record.message = Message::Server;
        return;
    }
    record.message = Message::Plain(line);
    record.level = level_field(line).unwrap_or_else(|| leading_level(line));
}

/// The milliseconds that `jiff::Timestamp` has.
const FIRST_MILLIS: i64 = -377_705_023_201_000;
const LAST_MILLIS: i64 = 253_402_207_200_999;

/// An event time in epoch milliseconds, moved into the calendar where it lies outside.
pub fn event_millis(millis: i64) -> i64 {
    match millis {
        FIRST_MILLIS..=LAST_MILLIS => millis,
        _ => Minute::of_epoch_millis(millis).start().as_millisecond(),
    }
}

/// The level that a line tells which is JSON but for a mistake: `NaN`, half a surrogate pair, cut off.
fn level_field(line: &str) -> Option<Level> {
    if !line.trim_start().starts_with('{') {
        return None;
    }
    let of = |name: &str| {
        line.match_indices(name).find_map(|(at, _)| {
            let value = line[at + name.len()..].trim_start().strip_prefix(':')?.trim_start();
            match value.strip_prefix('"') {
                Some(text) => Level::parse(&text[..text.find('"')?]),
                None => {
                    let end = value.find(|c: char| !c.is_ascii_digit())?;
                    value[..end].parse().ok().and_then(Level::of_number)
                }
            }
        })
    };
    ["\"level\"", "\"levelname\"", "\"severity\""].into_iter().find_map(of)
}

/// The level of a raw line, by its first word only: a line that speaks of an ERROR is not one.
fn leading_level(line: &str) -> Level {
    let word = line.trim_start_matches(|c: char| !c.is_alphanumeric());
    let end = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
    if word.starts_with("Traceback (most recent call last)") {
        return Level::Error;
    }
    Level::parse(&word[..end]).unwrap_or(Level::Info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn parsed(line: &str) -> Record<'_> {
        let mut record = Record::default();
        parse(line, None, &mut record);
        record
    }

    #[test]
    fn what_no_dialect_fits_is_kept_as_text() {
        // Defect 30: a line `42` ended the run.
        for line in ["42", "null", "\"text\"", "[1,2]", "", "{", "{\"a\":1", "plain", "  indented", "{}{}"] {
            let record = parsed(line);
            assert_eq!((record.format, record.level, record.time), (Format::Raw, Level::Info, Time::Unknown));
            assert_eq!((record.message, record.left.len()), (Message::Plain(line), 0));
        }
    }

    #[test]
    fn the_level_of_raw_text_is_its_first_word_or_info() {
        for (line, level) in [
            ("ERROR something", Level::Error),
            ("[warn] something", Level::Warning),
            ("FATAL: no disk", Level::Critical),
            ("no ERROR here", Level::Info),
            ("errors: 0", Level::Info),
            ("Traceback (most recent call last):\n  File ...", Level::Error),
            ("", Level::Info),
        ] {
            assert_eq!(parsed(line).level, level, "{line}");
        }
    }

    #[test]
    fn json_that_no_parser_takes_keeps_its_level() {
        let deep = format!(r#"{{"level":"ERROR","a":{}"#, "[".repeat(1_000));
        for (line, level) in [
            (r#"{"level":"ERROR","duration_ms":NaN}"#, Level::Error),
            (r#"{"duration_ms": NaN, "level": "LogLevel.WARNING"}"#, Level::Warning),
            (r#"{"levelname":"CRITICAL","message":"\ud800"}"#, Level::Critical),
            (r#"{"level":50,"msg":"cut o"#, Level::Error),
            (r#"{"level":"loud","severity":"warn","msg":"cut o"#, Level::Warning),
            (r#"{"level":"#, Level::Info),
            (r#"{"level":"ERR"#, Level::Info),
            (r#"text with "level":"ERROR""#, Level::Info),
            (&deep, Level::Error),
        ] {
            let record = parsed(line);
            assert_eq!((record.level, record.format), (level, Format::Raw), "{line}");
            assert_eq!(record.message, Message::Plain(line));
        }
    }

    #[test]
    fn an_event_time_outside_the_calendar_is_moved_into_it() {
        assert_eq!((FIRST_MILLIS, LAST_MILLIS), (Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond()));
        let text = |millis| Timestamp::from_millisecond(event_millis(millis)).unwrap().to_string();
        assert_eq!(text(1_795_000_000_500), "2026-11-18T11:06:40.5Z");
        assert_eq!(text(i64::MAX), "9999-12-30T22:00:00Z");
        assert_eq!(text(i64::MIN), "1000-01-01T00:00:00Z");
    }
}
