//! Shapes of lines. A service writes few kinds of lines: names, their order, levels are the same again and
//! again, and only values differ. So what a line was found to be is kept as its shape, and the next line of
//! that shape is neither taken apart into tokens nor told apart by names: its values are found between the
//! texts that are the same, and go into the gaps of a [`Template`]. They are looked for in the message of the
//! delivery: a line of a known shape is not even decoded.
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

use crate::logs::record::Record;
use crate::logs::write::Template;
pub use tree::Value;
use tree::{Added, Found, Tree};

/// Shapes that are known at a time. One more, and all are forgotten and learned anew.
const MAX_SHAPES: usize = 1_024;

/// Bytes of their texts.
const MAX_BYTES: usize = 1 << 20;

/// Values that a line of a shape may have.
const MAX_VALUES: usize = 48;

/// Bytes that the text before a value may have.
const MAX_TEXT_BYTES: usize = 1_024;

/// Bytes that a line of a shape may have. What a log driver has cut off is longer.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// To learn a shape costs as much as to read a line. So many lines must have come for each that is learned,
/// after the first.
const LINES_A_SHAPE: usize = 32;

/// The same where it is known already.
const LINES_A_KNOWN_SHAPE: usize = 8;

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
    /// Whether there was no room for a shape.
    is_full: bool,
    /// Lines that had a known shape.
    found: u64,
}

/// A line of a known shape, which nobody has decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shaped<'a> {
    /// The message that it stands in.
    pub message: &'a str,
    /// Its values, by where they stand in the message. They have no escapes in them.
    pub values: &'a [Value],
    /// Which shape it has.
    pub shape: Shape,
    /// Bytes that it would have, decoded.
    pub bytes: usize,
}

/// One of the shapes, until others are [forgotten](Shapes::begin).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape(u32);

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
            is_full: false,
            found: 0,
        }
    }

    /// Begins a delivery. Where there is no room for more shapes, those that are known are forgotten.
    pub fn begin(&mut self) {
        if self.is_full {
            // What has no room any more, may have with fewer of them.
            let Shapes { credit, found, limit, .. } = *self;
            *self = Shapes { credit, found, is_steady: false, ..Shapes::limited(limit) };
        }
    }

    /// The shape of the line that is a text in `message` from `start` on (after its opening quote), where it ends,
    /// and how many bytes it has when it is decoded, if the shape is known. Its values are appended to `values`.
    #[inline]
    pub fn find(&mut self, message: &[u8], start: usize, values: &mut Vec<Value>) -> Option<(Shape, usize, usize)> {
        self.credit += 1;
        let first = values.len();
        let found = self.tree.find(message, start, values);
        let found = found.map(|Found { number, end, escapes }| (Shape(number), end, end - start - escapes));
        let found = found.filter(|(_, _, bytes)| *bytes <= MAX_LINE_BYTES);
        match found {
            Some(_) => self.found += 1,
            None => values.truncate(first),
        }
        found
    }

    /// How many there are, and how many lines had one of them so far.
    pub fn figures(&self) -> (usize, u64) {
        (self.templates.len(), self.found)
    }

    /// What is written for lines of `shape`.
    pub fn template(&self, shape: Shape) -> &Template {
        &self.templates[shape.0 as usize]
    }

    /// Whether the shape of `record`, which is unknown, is to be learned.
    pub fn wants(&self, record: &Record<'_>) -> bool {
        self.limit > 0 && !self.is_full && self.credit >= LINES_A_SHAPE && learn::is_regular(record)
    }

    /// Learns the shape of `record`, for which `template` makes what was written: it gets the tokens of its
    /// values.
    pub fn learn(&mut self, record: &Record<'_>, template: impl FnOnce(&[u32]) -> Option<Template>) {
        self.credit = self.credit.min(AT_ONCE * LINES_A_SHAPE) - LINES_A_SHAPE;
        let Some(path) = learn::path(record, self.is_steady) else { return };
        let Some(template) = template(&path.values) else { return };
        let is_full = self.templates.len() >= self.limit || self.bytes + self.tree.bytes() > MAX_BYTES;
        let added = match is_full {
            true => Added::NoRoom,
            false => self.tree.add(record.line, &path.segments, self.templates.len() as u32),
        };
        match added {
            Added::New => {
                self.bytes += template.bytes();
                self.templates.push(template);
            }
            // The other lines of the delivery in which a shape is new.
            Added::Known => self.credit += LINES_A_SHAPE - LINES_A_KNOWN_SHAPE,
            Added::NoRoom => self.is_full = true,
        }
    }
}
