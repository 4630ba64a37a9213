//! A line of any dialect into a record. Nothing is refused here: what no dialect fits is raw text.

pub mod instant;
mod json;
pub mod postgres;
pub mod sql;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::Minute;
use crate::logs::record::{Category, Context, Format, Level, Record, Source};

/// The record of `line`. `source.format` is set to what the line turned out to be.
pub fn parse(line: &str, source: Source) -> Record {
    let trimmed = line.trim();
    if trimmed.starts_with('{')
        && let Ok(Value::Object(fields)) = serde_json::from_str(trimmed)
    {
        return json::record(fields, source);
    }
    postgres::record(line, &source).unwrap_or_else(|| raw(line, source))
}

/// An event time in epoch milliseconds, moved into the calendar where it lies outside.
pub fn event_time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_else(|_| Minute::of_epoch_millis(millis).start())
}

fn raw(line: &str, source: Source) -> Record {
    Record {
        timestamp: source.event_time,
        level: level_field(line).unwrap_or_else(|| leading_level(line)),
        category: Category::System,
        message: line.to_owned(),
        context: Context::default(),
        details: Map::new(),
        error: Map::new(),
        duration_ms: None,
        extra: Map::new(),
        source: Source { format: Format::Raw, ..source },
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
pub(super) mod tests {
    use super::*;

    pub(in crate::logs) fn source() -> Source {
        Source {
            owner: "123456789012".into(),
            log_group: "/aws/ecs/production/api".into(),
            log_stream: "s".into(),
            event_id: "1".into(),
            event_time: "2026-11-21T10:05:00.5Z".parse().unwrap(),
            format: Format::Raw,
        }
    }

    #[test]
    fn what_no_dialect_fits_is_kept_as_text() {
        // Defect 30: a line `42` ended the run.
        for line in ["42", "null", "\"text\"", "[1,2]", "", "{", "{\"a\":1", "plain", "  indented", "{}{}"] {
            let record = parse(line, source());
            assert_eq!((record.message.as_str(), record.source.format), (line, Format::Raw));
            assert_eq!(record.timestamp, source().event_time);
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
            assert_eq!(parse(line, source()).level, level, "{line}");
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
            let record = parse(line, source());
            assert_eq!((record.level, record.source.format), (level, Format::Raw), "{line}");
            assert_eq!(record.message, line);
        }
    }

    #[test]
    fn an_event_time_outside_the_calendar_is_moved_into_it() {
        assert_eq!(event_time(1_795_000_000_500).to_string(), "2026-11-18T11:06:40.5Z");
        assert_eq!(event_time(i64::MAX).to_string(), "9999-12-30T22:00:00Z");
    }
}
