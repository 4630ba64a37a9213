//! The prefix of an entry, and the severity behind it.

use super::Entry;
use crate::logs::parse::instant;
use crate::logs::record::Level;

/// Digits of the largest number of 32 bits.
const LONGEST_PID: usize = 10;

/// `STATEMENT`.
const LONGEST_SEVERITY: usize = 9;

/// The entry that `line` begins with, still without its text, and all that follows its severity.
pub(super) fn split(line: &str) -> Option<(Entry<'_>, &str)> {
    let (date, time, rest) = instant(line)?;
    let rest = rest.strip_prefix(':')?;
    let (session, pid, rest) = split_pid(rest)?;
    // The remote host may have colons in it (IPv6), a user an at sign (Kerberos).
    let (remote, session) = split_at_last(session, b':')?;
    let (user, database) = split_at_last(session, b'@')?;
    let Severity { severity, level, sqlstate, rest } = short(rest).or_else(|| long(rest))?;
    Some((Entry { date, time, remote, user, database, pid, severity, level, sqlstate, text: "" }, rest))
}

/// The same as `rsplit_once` of an ASCII `sign`, in less time where the last part is a short one.
fn split_at_last(text: &str, sign: u8) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == sign)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Whether `text` may begin with a date: two of its bytes tell most other lines.
pub(super) fn may_begin(text: &str) -> bool {
    matches!(text.as_bytes(), [_, _, _, _, b'-', _, _, _, _, _, b' ', ..])
}

/// `2026-11-21 10:05:03.123 UTC`, as day, time of day, and what follows.
fn instant(text: &str) -> Option<(&str, &str, &str)> {
    if !may_begin(text) || !instant::is_date(&text.as_bytes()[..10]) {
        return None;
    }
    let time_end = 11 + instant::time_length(&text.as_bytes()[11..])?;
    Some((&text[..10], &text[11..time_end], text[time_end..].strip_prefix(" UTC")?))
}

/// Cuts at the process id, the first brackets with nothing but digits between colons (a host may be
/// `[local]`, a user `[unknown]`): what stands before, the id, and what follows.
fn split_pid(text: &str) -> Option<(&str, u32, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|byte| matches!(byte, b'[' | b'\n'))?;
        if bytes[at] == b'\n' {
            return None;
        }
        if at > 0
            && bytes[at - 1] == b':'
            && let Some((pid, rest)) = pid(&text[at + 1..])
        {
            return Some((&text[..at - 1], pid, rest));
        }
        at += 1;
    }
}

/// `4711]:`, as number and what follows.
fn pid(text: &str) -> Option<(u32, &str)> {
    let (mut number, mut length) = (0, 0);
    for digit in text.bytes().take(LONGEST_PID).take_while(u8::is_ascii_digit) {
        number = number * 10 + u64::from(digit - b'0');
        length += 1;
    }
    let number = u32::try_from(number).ok().filter(|_| length > 0)?;
    Some((number, text[length..].strip_prefix("]:")?))
}

struct Severity<'a> {
    severity: &'a str,
    level: Level,
    sqlstate: Option<&'a str>,
    rest: &'a str,
}

/// `LOG:  text`, after the short prefix.
fn short(text: &str) -> Option<Severity<'_>> {
    let end = text.bytes().take(LONGEST_SEVERITY + 1).position(|byte| byte == b':')?;
    let severity = &text[..end];
    Some(Severity { severity, level: level(severity)?, sqlstate: None, rest: &text[end + 1..] })
}

/// `7:23505:2026-11-21 10:00:00 UTC:3/45:0:656f.1:app:ERROR:  text`: number of the line, SQLSTATE, start
/// of the process, virtual and real transaction, session, and what the client calls itself. The last is
/// missing in the server's own processes, and has no colon behind it in one form of the prefix.
fn long(text: &str) -> Option<Severity<'_>> {
    let (number, rest) = text.split_once(':')?;
    let (code, rest) = rest.split_at_checked(5)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) || !is_sqlstate(code) {
        return None;
    }
    let (_, _, rest) = instant(rest.strip_prefix(':')?)?;
    let rest = rest.strip_prefix(':')?.splitn(4, ':').nth(3)?;
    let found = short(rest.strip_prefix(':').unwrap_or(rest)).or_else(|| after_application(rest))?;
    Some(Severity { sqlstate: Some(code), ..found })
}

/// The first severity with two spaces after it ends the name of the client, which may call itself
/// whatever it likes.
fn after_application(text: &str) -> Option<Severity<'_>> {
    let line = text.split('\n').next().unwrap_or(text);
    line.match_indices(":  ").find_map(|(at, _)| {
        // Without a colon the name may end in capitals, too: the longest known severity counts.
        let is_of_severity = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let letters = line.as_bytes()[..at].iter().rev().take(LONGEST_SEVERITY).take_while(is_of_severity).count();
        let mut ends = (at - letters..at).map(|start| &line[start..at]);
        let (severity, level) = ends.find_map(|end| Some((end, level(end)?)))?;
        Some(Severity { severity, level, sqlstate: None, rest: &text[at + 1..] })
    })
}

/// What a severity means; the continuation lines of an entry carry no level of their own.
fn level(severity: &str) -> Option<Level> {
    Some(match severity {
        "LOG" | "INFO" | "NOTICE" => Level::Info,
        "STATEMENT" | "DETAIL" | "HINT" | "CONTEXT" | "QUERY" | "LOCATION" | "BACKTRACE" => Level::Info,
        "DEBUG" | "DEBUG1" | "DEBUG2" | "DEBUG3" | "DEBUG4" | "DEBUG5" => Level::Debug,
        "WARNING" => Level::Warning,
        "ERROR" => Level::Error,
        "FATAL" | "PANIC" => Level::Critical,
        _ => return None,
    })
}

/// Whether `code` is five capitals or digits, a digit among them.
pub(super) fn is_sqlstate(code: &str) -> bool {
    code.len() == 5
        && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && code.bytes().any(|byte| byte.is_ascii_digit())
}
