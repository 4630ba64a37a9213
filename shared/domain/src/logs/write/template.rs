//! A line of the archive with gaps: what is written for all lines of one [shape](crate::logs::shape), but
//! for their values. It is made of one line that was written, and of where in it which value went.

use std::ops::Range;

use super::Place;
use crate::logs::derive::Detail;
use crate::logs::record::{Category, Level, Record};
use crate::logs::redact;

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Written as it is: a time, `true`, `false`, a duration.
    Same,
    /// A text, between its quotes.
    Text,
    /// A text under a personal name, with its quotes.
    Personal(redact::Kind),
    /// A number under a name that says nothing.
    Number,
    /// A number under a personal name.
    PersonalNumber(redact::Kind),
    /// An id of the context, with the quote after it.
    Id(u8),
    /// Replaced whatever it is, with all that is in it.
    Secret,
    /// No value of the line: the event time.
    EventTime,
    /// No value of the line: what a line is given that does not name its service or environment.
    Default(u8),
}

/// What was written for a value.
#[derive(Debug, Clone)]
struct Written {
    place: Place,
    token: u32,
    treatment: Treatment,
}

/// Where values of a line were written, if that is asked for.
#[derive(Debug, Default)]
pub(super) struct Trace {
    is_on: bool,
    begin: usize,
    /// Where the values end, and what the batch adds begins.
    end: usize,
    written: Vec<Written>,
}

impl Trace {
    /// Notes what is written from now on, for the line that begins at `begin`.
    pub(super) fn start(&mut self, begin: usize) {
        self.written.clear();
        (self.is_on, self.begin) = (true, begin);
    }

    /// Notes that all from `start` on is what is written for the value at `token`.
    #[inline]
    pub(super) fn note(&mut self, treatment: Treatment, token: u32, start: usize, out: &[u8]) {
        if self.is_on {
            self.written.push(Written { place: start as u32..out.len() as u32, token, treatment });
        }
    }

    /// The same for `text`, which is a value of `record` and was written as it is.
    #[inline]
    pub(super) fn note_text(&mut self, text: &str, record: &Record<'_>, start: usize, out: &[u8]) {
        if self.is_on {
            let is_it = |token: &u32| std::ptr::eq(record.json(*token).text, text);
            let token = (0..record.tokens.len() as u32).find(is_it).unwrap_or_default();
            self.note(Treatment::Same, token, start, out);
        }
    }

    /// Ends what [`start`](Trace::start) began.
    #[inline]
    pub(super) fn stop(&mut self, out: &[u8]) {
        self.is_on = false;
        self.end = out.len();
    }
}

/// A text, and a value after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// Where the text before it ends.
    pub(super) end: u32,
    /// Which of the values of the line.
    pub(super) value: u16,
    pub(super) treatment: Treatment,
    /// What metrics know it as.
    pub(super) detail: Option<Detail>,
}

/// A line of the archive with gaps, up to what the batch adds to it.
pub struct Template {
    pub(super) text: Vec<u8>,
    /// Where the text ends; what follows is there to be copied in large pieces.
    pub(super) end: usize,
    pub(super) gaps: Vec<Gap>,
    pub(super) level: Level,
    pub(super) category: Category,
    /// Which of the values is the duration.
    pub(super) duration: Option<u16>,
}

/// Bytes behind the text of a template.
const ROOM: usize = 32;

impl Template {
    /// Of what was written to `out` for `record`, whose values are `values`. `None` where not each of them was
    /// written once.
    pub(super) fn of(
        trace: &Trace,
        details: &[(Detail, Place)],
        record: &Record<'_>,
        values: &[u32],
        out: &[u8],
    ) -> Option<Template> {
        let (level, category) = (record.level, record.category);
        let mut template = Template { text: Vec::new(), end: 0, gaps: Vec::new(), level, category, duration: None };
        let mut covered = vec![false; values.len()];
        let mut cover = |tokens: Range<u32>| {
            let mut places = values.iter().zip(&mut covered).filter(|(value, _)| tokens.contains(value));
            places.all(|(_, covered)| !std::mem::replace(covered, true))
        };
        let mut noted = details.to_vec();
        let mut from = trace.begin;
        for Written { place, token, treatment } in &trace.written {
            let tokens = match treatment {
                Treatment::EventTime | Treatment::Default(_) => 0..0,
                _ => *token..record.tokens[*token as usize].next,
            };
            if !cover(tokens) {
                return None;
            }
            let known = noted.iter().position(|(_, noted)| noted == place);
            let detail = known.map(|known| noted.swap_remove(known).0);
            // The quotes of a text are no part of the gap.
            let quotes = usize::from(*treatment == Treatment::Text);
            let (start, end) = (place.start as usize + quotes, place.end as usize - quotes);
            if *treatment == Treatment::Secret {
                // The same for all values: a part of the text.
                if detail.is_some() {
                    return None;
                }
                continue;
            }
            let value = match treatment {
                Treatment::EventTime | Treatment::Default(_) => 0,
                // What is a part of the shape, is a part of the text.
                _ => match values.binary_search(token) {
                    Ok(value) => value as u16,
                    Err(_) => continue,
                },
            };
            template.text.extend_from_slice(out.get(from..start)?);
            template.gaps.push(Gap { end: template.text.len() as u32, value, treatment: *treatment, detail });
            if record.duration_ms.is_some_and(|duration| std::ptr::eq(duration, record.json(*token).text)) {
                template.duration = Some(value);
            }
            from = end;
        }
        // `null` is no value of a metric. Of a detail that comes twice, one is.
        let is_null = |(_, place): &(Detail, Place)| out.get(place.start as usize..place.end as usize) == Some(b"null");
        let mut all: Vec<Detail> = details.iter().map(|(detail, _)| *detail).collect();
        all.sort_unstable_by_key(|detail| *detail as u8);
        all.dedup();
        let is_known =
            noted.iter().all(is_null) && all.len() == details.len() && covered.iter().all(|covered| *covered);
        template.text.extend_from_slice(out.get(from..trace.end)?);
        template.end = template.text.len();
        template.text.resize(template.end + ROOM, 0);
        (is_known && template.duration.is_some() == record.duration_ms.is_some()).then_some(template)
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.gaps.capacity() * size_of::<Gap>() + size_of::<Template>()
    }
}
