//! A line of a known shape: the values of it into the gaps of its template.

use super::template::{Gap, Template, Treatment};
use super::{Source, Writer, append};
use crate::logs::derive::{Details, Facts};
use crate::logs::json::{self, Kind, Token};
use crate::logs::record::{Format, Record};
use crate::logs::redact::Naming;

/// Stands in a gap that no value of the line goes into.
const NO_VALUE: Token = Token { kind: Kind::Null, start: 0, end: 0, next: 0 };

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

    /// Appends `line` to `out`, whose `values` go into the gaps of `template`: the same bytes as
    /// [`write`](Writer::write) appends for its record, and the same facts.
    pub fn fill<'o>(
        &mut self,
        template: &Template,
        line: &'o str,
        values: &[Token],
        source: Source<'_>,
        out: &'o mut Vec<u8>,
    ) -> Facts<'o> {
        let mut details = Details::default();
        self.details.clear();
        let mut from = 0;
        for gap in &template.gaps {
            append(&template.text, from, gap.end as usize, out);
            from = gap.end as usize;
            let (begin, value) = (out.len(), values.get(gap.value as usize).copied().unwrap_or(NO_VALUE));
            let is_changed = self.fill_gap(gap, line, value, source, out);
            if let Some(detail) = gap.detail {
                let quotes = usize::from(gap.treatment == Treatment::Text);
                match is_changed {
                    false => details.set(detail, &line[value.start as usize - quotes..value.end as usize + quotes]),
                    true => self.details.push((detail, (begin - quotes) as u32..(out.len() + quotes) as u32)),
                }
            }
        }
        append(&template.text, from, template.end, out);
        self.source(Format::SchemaV1, source, out);
        self.add_noted(&mut details, out);
        let duration = template.duration.map(|value| values[value as usize]);
        Facts {
            level: template.level,
            category: template.category,
            at_millis: source.millis(),
            counted_by_cloudwatch: false,
            duration_ms: duration.and_then(|token| json::number(&line[token.start as usize..token.end as usize])),
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
