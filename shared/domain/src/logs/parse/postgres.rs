//! PostgreSQL's server log with either prefix that RDS allows: `%t:%r:%u@%d:[%p]:`, and
//! `%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a`, with or without a colon at its end, which has milliseconds
//! and the SQLSTATE. RDS logs in UTC; a prefix with any other zone is not its.

mod prefix;
mod values;

use std::iter;
use std::ops::Range;

use super::sql;
use crate::logs::record::Level;

/// What one process of the server wrote at once. Everything but `level` is as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its day in UTC, `2026-11-21`. It exists.
    pub date: &'a str,
    /// Its time of day, `10:05:03`, or with a fraction of 1 to 9 digits. It exists.
    pub time: &'a str,
    /// Address and port of the client, or `[local]`; empty for the server's own processes.
    pub remote: &'a str,
    /// Who is logged in, or `[unknown]`; empty for the server's own processes.
    pub user: &'a str,
    /// To which database, or `[unknown]`; empty for the server's own processes.
    pub database: &'a str,
    /// The server's process.
    pub pid: u32,
    /// `LOG`, `ERROR`, `STATEMENT`, ...
    pub severity: &'a str,
    /// What `severity` means; continuations carry no level of their own and have `Info`.
    pub level: Level,
    /// SQLSTATE of the long prefix.
    pub sqlstate: Option<&'a str>,
    /// What was said, with the users' values, also over several lines.
    pub text: &'a str,
}

/// What `Entry::mask` found in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked<'a> {
    /// How long it took, in milliseconds: digits, and perhaps a dot and digits. A number in JSON, too.
    pub duration_ms: Option<&'a str>,
    /// SQLSTATE of the text (`log_error_verbosity = verbose`), or else of the prefix.
    pub sqlstate: Option<&'a str>,
    /// Where in the output the statement stands.
    pub statement: Option<Range<usize>>,
}

/// The entry that `line` begins with, or `None` where it has no such prefix. It reaches to the end of
/// `line`; where that may hold several entries, see `entries`.
#[inline]
pub fn entry(line: &str) -> Option<Entry<'_>> {
    if !prefix::may_begin(line) {
        return None;
    }
    let (entry, text) = prefix::split(line)?;
    Some(entry.with(text))
}

/// The entries of one log event: the first, and one for every further line with a prefix of its own.
/// (PostgreSQL begins all other lines of a text with a tab, so that no text can pass for an entry.) None
/// where the event does not begin with one. Takes linear time.
pub fn entries(event: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut next = prefix::split(event);
    iter::from_fn(move || {
        let (entry, rest) = next.take()?;
        for at in memchr::memchr_iter(b'\n', rest.as_bytes()) {
            next = prefix::split(&rest[at + 1..]);
            if next.is_some() {
                return Some(entry.with(&rest[..=at]));
            }
        }
        Some(entry.with(rest))
    })
}

/// Whether an event is the rest of an entry whose beginning is in another event: it begins with a tab.
pub fn is_bare_continuation(event: &str) -> bool {
    event.starts_with('\t')
}

impl<'a> Entry<'a> {
    /// With `text`, but for space before it and the line break at its end.
    fn with(self, text: &'a str) -> Self {
        let text = text.trim_start();
        let text = text.strip_suffix('\n').unwrap_or(text);
        Entry { text: text.strip_suffix('\r').unwrap_or(text), ..self }
    }

    /// The name of the detail that it is of the entry which it continues.
    pub fn field(&self) -> &'static str {
        match self.severity {
            "DETAIL" => "detail",
            "HINT" => "hint",
            "CONTEXT" => "context",
            "STATEMENT" => "statement",
            "QUERY" => "query",
            "LOCATION" => "location",
            "BACKTRACE" => "backtrace",
            // An entry of its own in the same event.
            _ => "further",
        }
    }

    /// Whether it belongs to the entry that the same process wrote before.
    pub fn is_continuation(&self) -> bool {
        matches!(self.severity, "DETAIL" | "HINT" | "CONTEXT" | "STATEMENT" | "QUERY" | "LOCATION" | "BACKTRACE")
    }

    /// Whether both come from the same process for the same client.
    pub fn same_backend(&self, other: &Entry<'_>) -> bool {
        (self.pid, self.user, self.database, self.remote) == (other.pid, other.user, other.database, other.remote)
    }

    /// Appends the text without the users' values to `out`.
    pub fn mask(&self, out: &mut String) -> Masked<'a> {
        let mut text = self.text;
        let mut masked = Masked { duration_ms: None, sqlstate: self.sqlstate, statement: None };
        // With `log_error_verbosity = verbose` the SQLSTATE comes first.
        if let Some((code, rest)) = split_sqlstate(text) {
            out.push_str(code);
            out.push_str(": ");
            (masked.sqlstate, text) = (Some(code), rest);
        }
        match self.severity {
            "STATEMENT" | "QUERY" => masked.statement = Some(mask_statement(text, out)),
            "DETAIL" | "CONTEXT" => values::continuation(text, out),
            _ => {
                if let Some((duration, rest)) = split_duration(text) {
                    out.push_str("duration: ");
                    out.push_str(duration);
                    out.push_str(if rest.is_empty() { " ms" } else { " ms  " });
                    (masked.duration_ms, text) = (Some(duration), rest);
                }
                masked.statement = mask_logged(text, out);
            }
        }
        masked
    }
}

fn split_sqlstate(text: &str) -> Option<(&str, &str)> {
    let (code, rest) = text.split_at_checked(5)?;
    let rest = rest.strip_prefix(": ")?;
    prefix::is_sqlstate(code).then_some((code, rest))
}

/// The number and what follows `duration: 12.3 ms`. No duration has more digits than a float can hold.
fn split_duration(text: &str) -> Option<(&str, &str)> {
    const LONGEST: usize = 24;
    let rest = text.strip_prefix("duration: ")?;
    let whole = rest.bytes().take(LONGEST).take_while(u8::is_ascii_digit).count();
    let fraction = match rest[whole..].strip_prefix('.') {
        Some(digits) => 1 + digits.bytes().take(LONGEST).take_while(u8::is_ascii_digit).count(),
        None => 0,
    };
    let (number, rest) = rest.split_at(whole + fraction);
    let is_number = whole > 0 && fraction != 1 && (whole == 1 || !number.starts_with('0'));
    let rest = rest.strip_prefix(" ms").filter(|_| is_number)?;
    Some((number, rest.trim_start()))
}

/// Appends a statement, the same as it is prepared or executed, a plan, or a message. Answers where the
/// statement is.
fn mask_logged(text: &str, out: &mut String) -> Option<Range<usize>> {
    if let Some((kind, statement)) = split_query(text) {
        out.push_str(kind);
        out.push_str(": ");
        return Some(mask_statement(statement, out));
    }
    // auto_explain: the statement, and conditions with its values in every node.
    if let Some(plan) = text.strip_prefix("plan:") {
        out.push_str("plan:");
        sql::mask_embedded(plan, out);
    } else {
        values::message(text, out);
    }
    None
}

fn split_query(text: &str) -> Option<(&str, &str)> {
    let is_query = ["statement: ", "execute ", "parse ", "bind "].iter().any(|kind| text.starts_with(kind));
    if is_query { text.split_once(": ") } else { None }
}

fn mask_statement(statement: &str, out: &mut String) -> Range<usize> {
    let start = out.len();
    if let Some(literal) = sql::mask_literals(statement, out) {
        // Better too much than too little: from there on everything may be a value.
        out.truncate(literal);
        out.push('?');
    }
    start..out.len()
}

#[cfg(test)]
mod tests;
