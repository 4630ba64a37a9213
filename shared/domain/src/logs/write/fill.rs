//! A line of a known shape: the values of it into the gaps of its template.

use std::ops::Range;

use super::template::{Gap, Template, Treatment};
use super::{Source, Writer, append};
use crate::logs::derive::{Details, Facts};
use crate::logs::json::{self, Kind, Token};
use crate::logs::record::{Format, Record};
use crate::logs::redact::Naming;
use crate::logs::shape::Shaped;

impl Writer<'_> {
    /// Notes what is written for the next record, which begins at the end of `out`, for
    /// [`template`](Writer::template).
    pub fn watch(&mut self, out: &[u8]) {
        self.trace.start(out.len());
    }

    /// What has been written to `out` for `record`, which was watched, with gaps for its `values` (their
    /// tokens). `None` where it depends on the values in another way.
    pub fn template(&self, record: &Record<'_>, values: &[u32], out: &[u8]) -> Option<Template> {
        Template::of(&self.trace, &self.details, record, values, out)
    }

    /// Appends `line` to `out`, whose values go into the gaps of `template`: the same bytes as
    /// [`write`](Writer::write) appends for its record, and the same facts.
    pub fn fill<'o>(
        &mut self,
        template: &Template,
        line: &Shaped<'o>,
        source: Source<'_>,
        out: &'o mut Vec<u8>,
    ) -> Facts<'o> {
        let Shaped { message: line, values, .. } = *line;
        let mut details = Details::default();
        self.details.clear();
        let mut from = 0;
        for gap in &template.gaps {
            append(&template.text, from, gap.end as usize, out);
            from = gap.end as usize;
            let begin = out.len();
            let Range { start, end } = values.get(gap.value as usize).cloned().unwrap_or(0..0);
            let value = Token { kind: Kind::Plain, start, end, next: 0 };
            let is_changed = self.fill_gap(gap, line, value, source, out);
            if let Some(detail) = gap.detail {
                let is_text = gap.treatment == Treatment::Text;
                let quotes = usize::from(is_text);
                match &line[start as usize..end as usize] {
                    _ if is_changed => {
                        self.details.push((detail, (begin - quotes) as u32..(out.len() + quotes) as u32))
                    }
                    text if is_text => details.set_text(detail, text),
                    json => details.set(detail, json),
                }
            }
        }
        append(&template.text, from, template.end, out);
        self.source(Format::SchemaV1, source, out);
        self.add_noted(&mut details, out);
        let duration = template.duration.and_then(|value| values.get(value as usize));
        Facts {
            level: template.level,
            category: template.category,
            at_millis: source.millis(),
            emf: None,
            is_joined: false,
            duration_ms: duration.and_then(|place| json::number(&line[place.start as usize..place.end as usize])),
            details,
        }
    }

    /// What becomes of `value`. Says whether that is anything but itself.
    #[inline]
    fn fill_gap(&mut self, gap: &Gap, line: &str, value: Token, source: Source<'_>, out: &mut Vec<u8>) -> bool {
        let (start, end) = (value.start as usize, value.end as usize);
        match gap.treatment {
            Treatment::Same => {
                append(line.as_bytes(), start, end, out);
                return false;
            }
            Treatment::Text => return self.contents(line, value, out),
            Treatment::Personal(kind) => self.personal(kind, line, value, out),
            Treatment::Number => return self.number(&line[start..end], Naming::Plain, out),
            Treatment::PersonalNumber(kind) => return self.number(&line[start..end], Naming::Personal(kind), out),
            Treatment::Id(place) => self.id(line, value, place as usize, out),
            Treatment::EventTime => self.clock.append(source.millis(), out),
            Treatment::Default(place) => out.extend_from_slice(&self.defaults[place as usize]),
            // Never a gap: the template has it.
            Treatment::Secret => {}
        }
        true
    }
}
