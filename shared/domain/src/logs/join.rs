//! Which log events make one line together: pieces of a line that a log driver has split, and entries of
//! PostgreSQL's log that continue another (`DETAIL`, `STATEMENT`, lines that begin with a tab).
//!
//! It looks at one batch only, so that a redelivery is joined in the same way. What continues in the next
//! batch stays a line of its own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::logs::envelope::{LogEvent, Specials};
use crate::logs::json::Reader;
use crate::logs::parse::postgres::{self, Entry};
use crate::logs::quarantine::{self, LineError};

/// Docker cuts lines into pieces of so many bytes.
const DOCKER_PIECE: usize = 16 * 1024;
/// The awslogs driver cuts into events of at most 256 KiB, of which CloudWatch counts 26 bytes as its own.
const AWSLOGS_PIECE: usize = 256 * 1024 - 26;
/// A character that is cut in two becomes two or more replacement characters, of three bytes each.
const REPLACED: usize = 12;

/// Bytes that a line may have that is put together from pieces.
pub const MAX_JOINED_BYTES: usize = 1024 * 1024;

/// A line, and the log events that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its text, or why it can not be read.
    pub text: Result<Cow<'a, str>, LineError>,
    /// Where quotes, backslashes and control characters are in it, if that is known.
    pub specials: Option<Specials<'a>>,
    /// Its events, by their place in the batch.
    pub events: Range<usize>,
    /// The place of the line that continues it; 0 for none, for the first line continues nothing.
    pub next: usize,
    /// Whether it continues another one.
    pub continues: bool,
}

/// The lines of `events`.
pub fn lines<'a>(events: &[LogEvent<'a>]) -> Vec<Line<'a>> {
    let mut lines = Vec::with_capacity(events.len());
    // Where no line begins with a date, there is nothing to stitch.
    let mut has_entries = false;
    let mut at = 0;
    while let Some(event) = events.get(at) {
        let text = quarantine::line_text(event).map(Cow::Borrowed);
        has_entries |= event.message.first().is_some_and(u8::is_ascii_digit);
        let joined = match &text {
            Ok(text) => split(text, events, at).or_else(|| indented(text, events, at)),
            Err(_) => None,
        };
        let (text, specials, end) = match joined {
            Some((joined, end)) => (Ok(Cow::Owned(joined)), None, end),
            None => (text, event.specials, at + 1),
        };
        lines.push(Line { text, specials, events: at..end, next: 0, continues: false });
        at = end;
    }
    if has_entries {
        stitch(&mut lines);
    }
    lines
}

/// The whole of a line whose first piece is the event `at`, and where it ends.
fn split(first: &str, events: &[LogEvent<'_>], at: usize) -> Option<(String, usize)> {
    if !is_piece(first) || is_json(first) {
        return None;
    }
    let mut whole = String::new();
    for (end, event) in (at + 1..).zip(&events[at..]) {
        if event.shaped.is_some() {
            // JSON itself, and so the end of neither.
            return None;
        }
        let piece = quarantine::line_text(event).ok().filter(|piece| whole.len() + piece.len() <= MAX_JOINED_BYTES)?;
        whole.push_str(piece);
        if is_piece(piece) {
            continue;
        }
        // JSON proves that it belongs together. Raw text goes on in what comes next, unless that is a
        // record of its own.
        let is_whole = match first.trim_start().starts_with('{') {
            true => is_json(&whole),
            false => !is_json(piece) && postgres::entry(piece).is_none(),
        };
        return is_whole.then_some((whole, end));
    }
    None
}

/// Whether a log driver may have cut `text` off here.
fn is_piece(text: &str) -> bool {
    if text.len() < DOCKER_PIECE {
        return false;
    }
    let was_cut = text.starts_with(char::REPLACEMENT_CHARACTER) || text.ends_with(char::REPLACEMENT_CHARACTER);
    let room = if was_cut { REPLACED } else { 0 };
    [DOCKER_PIECE, AWSLOGS_PIECE].iter().any(|&piece| (piece..=piece + room).contains(&text.len()))
}

fn is_json(text: &str) -> bool {
    let mut reader = Reader::new(text.as_bytes());
    text.trim_start().starts_with('{') && reader.value().is_ok() && reader.end().is_ok()
}

/// An entry of PostgreSQL's log, and the events after it that begin with a tab: its further lines.
fn indented(first: &str, events: &[LogEvent<'_>], at: usize) -> Option<(String, usize)> {
    let next = events.get(at + 1)?;
    if !next.message.starts_with(b"\t") || postgres::entry(first).is_none() {
        return None;
    }
    let mut whole = first.to_owned();
    let mut end = at + 1;
    for event in &events[at + 1..] {
        match quarantine::line_text(event) {
            Ok(text) if postgres::is_bare_continuation(text) && whole.len() + text.len() < MAX_JOINED_BYTES => {
                whole.push('\n');
                whole.push_str(text);
                end += 1;
            }
            _ => break,
        }
    }
    (end > at + 1).then_some((whole, end))
}

/// Links the entries of PostgreSQL's log that continue another one of the same backend.
fn stitch(lines: &mut [Line<'_>]) {
    let mut links = Vec::new();
    // By process: its last entry, and the place of what last continued that.
    let mut last: HashMap<u32, (Entry<'_>, usize)> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(entry) = entry_of(line) else { continue };
        if !entry.is_continuation() {
            last.insert(entry.pid, (entry, at));
        } else if let Some((_, end)) = last.get_mut(&entry.pid).filter(|(first, _)| first.same_backend(&entry)) {
            links.push((std::mem::replace(end, at), at));
        }
    }
    for (end, at) in links {
        lines[end].next = at;
        lines[at].continues = true;
    }
}

fn entry_of<'t>(line: &'t Line<'_>) -> Option<Entry<'t>> {
    postgres::entry(line.text.as_ref().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event<'a>(id: &'a str, message: &'a str) -> LogEvent<'a> {
        LogEvent { id, timestamp_millis: 0, message: message.as_bytes(), text: None, specials: None, shaped: None }
    }

    /// The events of each line, and for a continuation the line that it continues.
    fn joined(messages: &[&str]) -> Vec<(Range<usize>, usize, bool)> {
        let events: Vec<LogEvent<'_>> = messages.iter().map(|message| event("1", message)).collect();
        lines(&events).into_iter().map(|line| (line.events, line.next, line.continues)).collect()
    }

    const fn alone(at: usize) -> (Range<usize>, usize, bool) {
        (at..at + 1, 0, false)
    }

    #[test]
    fn json_that_docker_has_split_is_one_line() {
        let line = format!(r#"{{"level":"ERROR","message":"{}"}}"#, "я".repeat(20_000));
        let (first, rest) = line.split_at(DOCKER_PIECE);
        let (second, third) = rest.split_at(DOCKER_PIECE);
        let events = [event("1", "{}"), event("2", first), event("3", second), event("4", third), event("5", "text")];
        let lines = lines(&events);
        assert_eq!(lines.iter().map(|line| line.events.clone()).collect::<Vec<_>>(), [0..1, 1..4, 4..5]);
        assert_eq!(lines[1].text, Ok(Cow::Borrowed(line.as_str())));
    }

    #[test]
    fn a_character_that_was_cut_in_two_does_not_hide_the_cut() {
        // The driver writes a replacement character for each byte that is no whole character.
        let text = format!(r#"{{"message":"{}"#, "x".repeat(DOCKER_PIECE - 13));
        let first = format!("{text}\u{fffd}");
        assert_eq!(joined(&[&first, "\u{fffd}\"}"]), [(0..2, 0, false)]);
    }

    #[test]
    fn what_is_not_proven_to_belong_together_stays_apart() {
        let piece = "x".repeat(DOCKER_PIECE);
        let json_piece = format!("{{{}", "x".repeat(DOCKER_PIECE - 1));
        let entry = "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:LOG:  x";
        for messages in [
            [piece.as_str(), r#"{"a":1}"#],
            [piece.as_str(), entry],
            [json_piece.as_str(), "no end"],
            [r#"{"a":"#, "1}"],
            ["a", "\tb"],
        ] {
            assert_eq!(joined(&messages), [alone(0), alone(1)]);
        }
        assert_eq!(joined(&[&piece, "the end"]), [(0..2, 0, false)]);
        assert_eq!(joined(&[&piece, &piece]), [alone(0), alone(1)], "the end is in another batch");
    }

    #[test]
    fn entries_of_the_database_are_stitched_by_backend() {
        let entry = |pid: u32, text: &str| format!("2026-11-21 10:05:03 UTC:h(1):u@d:[{pid}]:{text}");
        let messages = [
            entry(1, "ERROR:  one"),
            entry(2, "ERROR:  two"),
            entry(1, "DETAIL:  of one"),
            entry(2, "STATEMENT:  of two"),
            entry(1, "STATEMENT:  of one"),
            entry(3, "DETAIL:  of an entry in another batch"),
            entry(1, "LOG:  another"),
            "2026-11-21 10:05:03 UTC:h(1):other@d:[1]:HINT:  of another backend".to_owned(),
        ];
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        assert_eq!(
            joined(&messages),
            [
                (0..1, 2, false),
                (1..2, 3, false),
                (2..3, 4, true),
                (3..4, 0, true),
                (4..5, 0, true),
                alone(5),
                alone(6),
                alone(7),
            ]
        );
    }

    #[test]
    fn indented_events_are_further_lines_of_an_entry() {
        let first = "2026-11-21 10:05:03 UTC:h(1):u@d:[1]:LOG:  statement: SELECT";
        let events = [event("1", first), event("2", "\t1"), event("3", "\t2"), event("4", "x")];
        let lines = lines(&events);
        assert_eq!(lines.iter().map(|line| line.events.clone()).collect::<Vec<_>>(), [0..3, 3..4]);
        assert_eq!(lines[0].text.as_deref(), Ok(format!("{first}\n\t1\n\t2").as_str()));
    }
}
