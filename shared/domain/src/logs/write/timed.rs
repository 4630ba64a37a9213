//! Entries of PostgreSQL's log that say how long a statement took, and that is most of them. But for their time, the
//! number and the session few of them differ, so what is the same is written once: the next one is put together from
//! that, and neither looked at for what is personal nor told apart again.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::{Entry, Masked, Record, Writer, json, open_server_details};
use crate::logs::derive::Detail;

/// What comes before the number.
const DURATION: &str = "duration: ";

/// Binary logarithm of how many texts are known at a time. Each has one place by its hash.
const BITS: u32 = 8;

/// Bytes of the longest text that is kept.
const LONGEST: usize = 1024;

/// Bytes of all that is kept. Where there are more, all of it is forgotten.
const MAX_BYTES: usize = 1 << 20;

/// Bytes of a number that is nobody's, whatever its digits are: a number of a person has more of them.
const LONGEST_NUMBER: usize = 8;

/// The texts that came last, with what is written for them.
#[derive(Default)]
pub(super) struct TimedEntries {
    /// Empty until the first entry: most batches have none.
    slots: Vec<Option<Timed>>,
    /// What the places of all of them are in.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Timed {
    severity: [u32; 2],
    /// What follows the number in the message, without the users' values.
    text: [u32; 2],
    /// `None` where something is personal in the message, or is written with an escape.
    written: Option<Written>,
}

#[derive(Clone, Copy)]
struct Written {
    /// From behind the number up to the process.
    until_session: [u32; 2],
    /// From behind the session up to the number that tells the duration once more.
    since_session: [u32; 2],
    /// Details that stand in it, by where they do: what is done to which table.
    details: [Option<(Detail, [u32; 2])>; 2],
}

impl TimedEntries {
    fn at(&self, [start, end]: [u32; 2]) -> &[u8] {
        &self.bytes[start as usize..end as usize]
    }

    /// The slot of an entry of `severity` with `text`, and what is known of it.
    fn find(&mut self, severity: &str, text: &str) -> (usize, Option<Timed>) {
        if self.slots.is_empty() || self.bytes.len() > MAX_BYTES {
            self.slots.clear();
            self.slots.resize(1 << BITS, None);
            self.bytes.clear();
        }
        let slot = FixedState::with_seed(0).hash_one(text) as usize % (1 << BITS);
        let is_it =
            |known: &Timed| self.at(known.text) == text.as_bytes() && self.at(known.severity) == severity.as_bytes();
        (slot, self.slots[slot].filter(is_it))
    }
}

impl Writer<'_> {
    /// Appends the fields of an entry from its message up to `source`, as [`fields`](Writer::fields) does, if it is one
    /// of these. Otherwise nothing is appended. `self.sql` is its masked text.
    pub(super) fn timed_entry(
        &mut self,
        record: &Record<'_>,
        entry: &Entry<'_>,
        masked: &Masked<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(duration) = masked.duration_ms.filter(|number| number.len() <= LONGEST_NUMBER) else { return false };
        // An SQLSTATE stands before the text, or among the details.
        let text = self.sql.strip_prefix(DURATION).and_then(|rest| rest.strip_prefix(duration));
        let Some(text) = text.filter(|text| text.len() <= LONGEST) else { return false };
        if masked.sqlstate.is_some() || record.entries.len() != 1 || record.duration_ms.is_some() {
            return false;
        }
        let (slot, known) = self.timed.find(entry.severity, text);
        let text = self.sql.len() - text.len();
        let Some(written) = known.unwrap_or_else(|| self.learn(slot, record, entry, masked, text)).written else {
            return false;
        };
        out.push(b'"');
        out.extend_from_slice(DURATION.as_bytes());
        out.extend_from_slice(duration.as_bytes());
        out.extend_from_slice(self.timed.at(written.until_session));
        self.session(entry, out);
        let base = out.len() as u32;
        out.extend_from_slice(self.timed.at(written.since_session));
        out.extend_from_slice(duration.as_bytes());
        let details = written.details.into_iter().flatten();
        self.details.extend(details.map(|(detail, [start, end])| (detail, start + base..end + base)));
        true
    }

    /// Finds out what is written for `self.sql`, which goes on behind the number at `text`, and keeps it in `slot`.
    fn learn(
        &mut self,
        slot: usize,
        record: &Record<'_>,
        entry: &Entry<'_>,
        masked: &Masked<'_>,
        text: usize,
    ) -> Timed {
        let sql = std::mem::take(&mut self.sql);
        let mut bytes = std::mem::take(&mut self.timed.bytes);
        let start = bytes.len();
        bytes.extend_from_slice(entry.severity.as_bytes());
        let severity = [start as u32, bytes.len() as u32];
        let start = bytes.len();
        // Where nothing is found with one number, nothing is with any other so short: it is followed by its unit, so
        // that no number goes on behind it, and no name of a field begins with it.
        let is_found = self.redactor.append(&sql, &mut bytes, json::escape);
        let is_clean = !is_found && bytes[start..] == *sql.as_bytes();
        if !is_clean {
            bytes.truncate(start);
            bytes.extend_from_slice(sql.as_bytes());
        }
        let begin = (start + text) as u32;
        let mut timed = Timed { severity, text: [begin, bytes.len() as u32], written: None };
        if is_clean {
            bytes.push(b'"');
            self.context(record, &mut bytes);
            open_server_details(entry.severity, &mut bytes);
            let middle = bytes.len() as u32;
            if let Some(place) = masked.statement.clone() {
                self.statement(&sql[place], &mut bytes);
            }
            bytes.extend_from_slice(b"},\"duration_ms\":");
            let mut noted = self.details.drain(..);
            let mut next = || noted.next().map(|(detail, place)| (detail, [place.start - middle, place.end - middle]));
            let details = [next(), next()];
            timed.written =
                Some(Written { until_session: [begin, middle], since_session: [middle, bytes.len() as u32], details });
        }
        self.timed.slots[slot] = Some(timed);
        (self.sql, self.timed.bytes) = (sql, bytes);
        timed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logs::envelope::Batch;
    use crate::logs::origin::Origin;
    use crate::logs::parse;
    use crate::logs::redact::{FieldNames, PseudonymKey, Redactor, findings};
    use crate::logs::write::Place;

    fn redactor() -> Redactor {
        Redactor::new(PseudonymKey::from_secret("made-up-secret-of-32-bytes-01234").unwrap(), FieldNames::new([]))
    }

    fn origin() -> Origin {
        Origin { environment: "production".to_owned(), service: "contract".to_owned(), is_database: true }
    }

    /// The fields of the entry `line` and the places of its details, as `write` appends them.
    fn written(
        writer: &mut Writer<'_>,
        line: &str,
        write: impl FnOnce(&mut Writer<'_>, &Record<'_>, &Entry<'_>, Masked<'_>, &mut Vec<u8>) -> bool,
    ) -> Option<(String, Vec<(Detail, Place)>)> {
        let mut record = Record::default();
        parse::parse(line, None, &mut record);
        let entry = record.entries[0];
        writer.details.clear();
        writer.sql.clear();
        let masked = entry.mask(&mut writer.sql);
        let mut out = b"what is before".to_vec();
        let is_written = write(writer, &record, &entry, masked, &mut out);
        assert!(is_written || out == b"what is before");
        is_written.then(|| (String::from_utf8(out).unwrap(), writer.details.clone()))
    }

    fn in_full(writer: &mut Writer<'_>, line: &str) -> Option<(String, Vec<(Detail, Place)>)> {
        written(writer, line, |writer, record, entry, masked, out| {
            let duration = masked.duration_ms;
            writer.fields(record, Some(&(*entry, masked)), duration, out);
            true
        })
    }

    fn from_pieces(writer: &mut Writer<'_>, line: &str) -> Option<(String, Vec<(Detail, Place)>)> {
        written(writer, line, |writer, record, entry, masked, out| writer.timed_entry(record, entry, &masked, out))
    }

    /// A text with what may be personal, what is escaped, and what looks like the beginning or end of another part.
    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("SELECT * FROM users WHERE id = "),
            Just("UPDATE \"Sales\".contracts SET a = "),
            Just("'anna@example.com'"),
            Just("anna@example.com "),
            Just("$1"),
            Just("42"),
            Just("9161234567"),
            Just(" 916 123-45-67"),
            Just("password="),
            Just("phone: "),
            Just("\n\tx"),
            Just("'"),
            Just("\\"),
            Just(" -- "),
            Just("duration: 1 ms"),
        ];
        prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
    }

    fn line() -> impl Strategy<Value = String> {
        let session = prop::sample::select(vec!["10.0.1.2(5):app@db:[9]", "[local]:a@b.ru@[unknown]:[10]", ":@:[1]"]);
        let severity = prop::sample::select(vec!["LOG", "LOG", "ERROR", "DETAIL", "STATEMENT"]);
        let number = "[1-9]?[0-9]{1,3}(\\.[0-9]{1,3})?|[0-9]{1,12}\\.?[0-9]{0,6}";
        let kind =
            prop::sample::select(vec!["  statement: ", "  execute a: ", "  bind a@b.ru: ", "  plan:", "  ", "", ": "]);
        let code = prop::sample::select(vec!["", "", "00000: "]);
        (session, severity, code, number, kind, text()).prop_map(|(session, severity, code, number, kind, text)| {
            format!("2026-11-21 10:05:03 UTC:{session}:{severity}:  {code}duration: {number} ms{kind}{text}")
        })
    }

    #[test]
    fn what_is_said_again_with_another_number_is_written_from_pieces() {
        let (redactor, batch, origin) = (redactor(), Batch::default(), origin());
        let mut writer = Writer::new(&redactor, &batch, &origin);
        let line = |number: &str, behind: &str| {
            format!(
                "2026-11-21 10:05:03 UTC:h(1):u@d:[9]:LOG:  duration: {number} ms  statement: SELECT * FROM t{behind}"
            )
        };
        for (number, behind, is_from_pieces) in [
            ("1.5", " WHERE a = 1", true),
            ("87654.32", " WHERE a = 'anna@example.com'", true),
            ("987654.32", "", false),
            ("1", " WHERE \"A\" = 1", false),
            ("1", ", anna@example.com", false),
        ] {
            let line = line(number, behind);
            for _ in 0..2 {
                let written = from_pieces(&mut writer, &line);
                assert_eq!(written.is_some(), is_from_pieces, "{line}");
                let expected = in_full(&mut Writer::new(&redactor, &batch, &origin), &line);
                assert!(written.is_none() || written == expected, "{line}");
            }
        }
        let known = writer.timed.slots.iter().flatten().filter(|known| known.written.is_some());
        assert_eq!(known.count(), 1, "statements differ by their values only");
    }

    proptest! {
        #[test]
        fn an_entry_is_written_as_it_would_be_in_full(lines in prop::collection::vec(line(), 1..24)) {
            let (redactor, batch, origin) = (redactor(), Batch::default(), origin());
            let (mut knowing, mut plain) =
                (Writer::new(&redactor, &batch, &origin), Writer::new(&redactor, &batch, &origin));
            for line in lines.iter().chain(&lines) {
                if let Some(written) = from_pieces(&mut knowing, line) {
                    prop_assert_eq!(Some(written), in_full(&mut plain, line), "{}", line);
                }
            }
        }

        #[test]
        fn the_digits_of_a_duration_decide_nothing(
            one in "[0-9]{1,8}|[0-9]{1,4}\\.[0-9]{1,3}",
            other in "[0-9]{1,8}|[0-9]{1,4}\\.[0-9]{1,3}",
            text in text(),
            behind in "( ms|  |=|@|:|[0-9]|-|[a-zA-Z]){0,6}",
        ) {
            let names = FieldNames::new([("ms_statement".to_owned(), crate::logs::redact::Kind::Personal)]);
            let found = |number: &str| {
                let sql = format!("{DURATION}{number} ms{behind}{text}");
                let first = sql.len() - behind.len() - text.len();
                let places = findings(&sql, &names).map(|found| (found.range.start.saturating_sub(first), found.kind));
                places.collect::<Vec<_>>()
            };
            prop_assert_eq!(found(&one).is_empty(), found(&other).is_empty(), "{}{}", behind, text);
        }
    }
}
