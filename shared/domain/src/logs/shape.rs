//! Shapes of lines. A service writes few kinds of lines: names, their order, levels are the same again and
//! again, and only values differ. So what a line was found to be is kept as its shape, and the next line of
//! that shape is neither taken apart into tokens nor told apart by names: its values are found between the
//! texts that are the same, and go into the gaps of a [`Template`].
//!
//! What the general path (`parse`, `write`) does stays the only definition of what is right. A template is
//! made of what it has written, and a shape takes only lines for which it would write the same but for the
//! values: what decides anything by its value (a level, a category) is part of the shape, and what does not
//! fit exactly is no line of the shape. So it makes no difference to what is written which lines came before.
//!
//! Shapes are bounded in number and size, and learned at a bounded rate: lines of ever new shapes cost
//! little more than without all this.

mod learn;
mod tree;

use crate::logs::envelope::Specials;
use crate::logs::json::Token;
use crate::logs::record::Record;
use crate::logs::write::Template;
use tree::Tree;

/// Shapes that are known at a time. One more, and all are forgotten and learned anew.
const MAX_SHAPES: usize = 1_024;

/// Bytes of their texts.
const MAX_BYTES: usize = 1 << 20;

/// Values that a line of a shape may have.
const MAX_VALUES: usize = 96;

/// Bytes that the line may have from which a shape is learned.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// To learn a shape costs as much as to read a line. So many lines must have come for each that is learned,
/// after the first.
const LINES_A_SHAPE: usize = 32;

/// Shapes that are learned at once.
const AT_ONCE: usize = 256;

/// The shapes known so far.
pub struct Shapes {
    tree: Tree,
    templates: Vec<Template>,
    /// Bytes of the texts of the templates.
    bytes: usize,
    /// How many shapes are kept.
    limit: usize,
    /// Whether what seldom changes is part of a shape.
    is_steady: bool,
    /// Lines that have come and were not spent on learning.
    credit: usize,
    /// Of the line at hand.
    values: Vec<Token>,
}

/// A line of a known shape.
pub struct Shaped<'s> {
    /// What is written for it.
    pub template: &'s Template,
    /// Its values, in order.
    pub values: &'s [Token],
}

impl Default for Shapes {
    fn default() -> Shapes {
        Shapes::limited(MAX_SHAPES)
    }
}

impl Shapes {
    /// With room for `limit` shapes at a time: with 0, every line is read in full.
    pub fn limited(limit: usize) -> Shapes {
        Shapes {
            tree: Tree::default(),
            templates: Vec::new(),
            bytes: 0,
            limit: limit.min(MAX_SHAPES),
            is_steady: true,
            credit: AT_ONCE * LINES_A_SHAPE,
            values: Vec::new(),
        }
    }

    /// The shape of `line`, if it is known.
    #[inline]
    pub fn find(&mut self, line: &str, specials: Specials<'_>) -> Option<Shaped<'_>> {
        self.credit += 1;
        let template = self.tree.find(line, specials, &mut self.values)?;
        Some(Shaped { template: &self.templates[template as usize], values: &self.values })
    }

    /// Whether the shape of `record`, which is unknown, is to be learned.
    pub fn wants(&self, record: &Record<'_>) -> bool {
        self.limit > 0 && self.credit >= LINES_A_SHAPE && learn::is_regular(record)
    }

    /// Learns the shape of `record`, for which `template` makes what was written: it gets the tokens of its
    /// values.
    pub fn learn(&mut self, record: &Record<'_>, template: impl FnOnce(&[u32]) -> Option<Template>) {
        self.credit = self.credit.min(AT_ONCE * LINES_A_SHAPE) - LINES_A_SHAPE;
        let Some(path) = learn::path(record, self.is_steady) else { return };
        let Some(template) = template(&path.values) else { return };
        let is_full = self.templates.len() >= self.limit || self.bytes + self.tree.bytes() > MAX_BYTES;
        if !is_full && self.tree.add(record.line, &path.segments, self.templates.len() as u32) {
            self.bytes += template.bytes();
            self.templates.push(template);
        } else {
            // What has no room any more, may have with fewer of them.
            let credit = self.credit;
            *self = Shapes { credit, is_steady: false, ..Shapes::limited(self.limit) };
        }
    }
}
