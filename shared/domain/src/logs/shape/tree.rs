//! The shapes as a tree, by what their lines have in common from the beginning on: a text that is the same,
//! and then a value. What stands first in a node was met last.

use std::ops::Range;

use crate::logs::envelope::Specials;
use crate::logs::json::{self, Kind, Token};
use crate::logs::parse::instant;

/// Texts that may follow one value. Where more would, the shape is not kept.
const MAX_CHOICES: usize = 16;

/// Texts that are tried in vain before a line is given up.
const MAX_MISSES: usize = 48;

/// No node.
const NONE: u32 = u32::MAX;

/// What follows the text of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// What stands between the quotes of a string.
    Text,
    /// The same, where it is a time in the one form of the archive.
    Time,
    /// A number of a usual size, without an exponent.
    Number,
    /// `true` or `false`.
    Truth,
    /// Nothing: the line ends.
    End,
}

/// A text that is the same in all lines of a shape, and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where it stands in the line that the shape is learned from.
    pub(super) text: Range<usize>,
    pub(super) then: Then,
}

/// A segment, and those that may follow it.
struct Node {
    text: Range<u32>,
    /// Quotes, backslashes and control characters in it.
    specials: u32,
    then: Then,
    /// The first of those that may follow; at the end of a line, the number of the shape.
    inner: u32,
    /// The next one in its place.
    next: u32,
}

/// All nodes, and their texts.
pub(super) struct Tree {
    nodes: Vec<Node>,
    texts: Vec<u8>,
    /// The first node that a line may begin with.
    first: u32,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { nodes: Vec::new(), texts: Vec::new(), first: NONE }
    }
}

impl Tree {
    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.texts.len() + self.nodes.len() * size_of::<Node>()
    }

    /// The number of the shape that `line` has, and its values; `None` where it has none that is known.
    pub(super) fn find(&mut self, line: &str, specials: Specials<'_>, values: &mut Vec<Token>) -> Option<u32> {
        values.clear();
        let mut line = Line { bytes: line.as_bytes(), text: line, at: 0, positions: specials.positions, base: specials.base };
        let (mut parent, mut node) = (NONE, self.first);
        let (mut before, mut misses) = (NONE, 0);
        while node != NONE {
            let Node { text, specials, then, inner, next } = &self.nodes[node as usize];
            let text = &self.texts[text.start as usize..text.end as usize];
            let Some(value) = line.take(text, *specials, *then) else {
                misses += 1;
                if misses > MAX_MISSES {
                    return None;
                }
                (before, node) = (node, *next);
                continue;
            };
            let inner = *inner;
            if *then == Then::End {
                self.to_front(parent, before, node);
                return Some(inner);
            }
            values.push(value);
            self.to_front(parent, before, node);
            (parent, before, node) = (node, NONE, inner);
        }
        None
    }

    /// Adds the shape `number` by the segments of a `line` that has it. `false` where it can not be kept.
    pub(super) fn add(&mut self, line: &str, segments: &[Segment], number: u32) -> bool {
        let mut parent = NONE;
        for segment in segments {
            let text = &line.as_bytes()[segment.text.clone()];
            let (mut node, mut choices) = (self.first_of(parent), 0);
            while let Some(known) = self.nodes.get(node as usize) {
                if known.then == segment.then && self.texts[known.text.start as usize..known.text.end as usize] == *text {
                    break;
                }
                (node, choices) = (known.next, choices + 1);
            }
            if node == NONE {
                if choices >= MAX_CHOICES {
                    return false;
                }
                node = self.push(parent, text, segment.then);
            }
            parent = node;
        }
        match self.nodes.get_mut(parent as usize) {
            Some(last) if last.then == Then::End && last.inner == NONE => {
                last.inner = number;
                true
            }
            _ => false,
        }
    }

    fn push(&mut self, parent: u32, text: &[u8], then: Then) -> u32 {
        let (node, next) = (self.nodes.len() as u32, self.first_of(parent));
        let start = self.texts.len() as u32;
        self.texts.extend_from_slice(text);
        let specials = text.iter().filter(|byte| json::is_special(**byte)).count() as u32;
        self.nodes.push(Node { text: start..self.texts.len() as u32, specials, then, inner: NONE, next });
        *self.first_mut(parent) = node;
        node
    }

    fn first_of(&self, parent: u32) -> u32 {
        self.nodes.get(parent as usize).map_or(self.first, |node| node.inner)
    }

    fn first_mut(&mut self, parent: u32) -> &mut u32 {
        match self.nodes.get_mut(parent as usize) {
            Some(node) => &mut node.inner,
            None => &mut self.first,
        }
    }

    /// Makes `node`, which comes after `before`, the first one of `parent`.
    #[inline]
    fn to_front(&mut self, parent: u32, before: u32, node: u32) {
        if before != NONE {
            let first = self.first_of(parent);
            self.nodes[before as usize].next = self.nodes[node as usize].next;
            self.nodes[node as usize].next = first;
            *self.first_mut(parent) = node;
        }
    }
}

/// A line that is compared with shapes.
struct Line<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    /// Of quotes, backslashes and control characters, from `at` on.
    positions: &'a [u32],
    base: u32,
}

impl Line<'_> {
    /// Takes `text`, which has so many `specials`, and what follows it. `None`, and nothing is taken, where
    /// something else comes next.
    #[inline]
    fn take(&mut self, text: &[u8], specials: u32, then: Then) -> Option<Token> {
        let rest = self.bytes.get(self.at..)?.strip_prefix(text)?;
        let start = self.at + text.len();
        let positions = self.positions.get(specials as usize..)?;
        let value = |kind, end| Token { kind, start: start as u32, end: end as u32, next: 0 };
        let token = match then {
            Then::Text => {
                let (kind, end, positions) = self.string(start, positions)?;
                self.positions = positions;
                self.at = end;
                return Some(value(kind, end));
            }
            Then::Time => {
                let (kind, end, positions) = self.string(start, positions)?;
                if kind == Kind::Escaped || !instant::is_canonical(self.text.get(start..end)?) {
                    return None;
                }
                self.positions = positions;
                self.at = end;
                return Some(value(kind, end));
            }
            Then::Number => value(Kind::Number, start + json::short_number_length(rest)?),
            Then::Truth if rest.starts_with(b"true") => value(Kind::True, start + 4),
            Then::Truth if rest.starts_with(b"false") => value(Kind::False, start + 5),
            Then::End if rest.is_empty() => value(Kind::Null, start),
            Then::Truth | Then::End => return None,
        };
        self.positions = positions;
        self.at = token.end as usize;
        Some(token)
    }

    /// What kind of string goes on at `start`, where it ends, and the positions from there on.
    #[inline]
    fn string<'p>(&self, start: usize, mut positions: &'p [u32]) -> Option<(Kind, usize, &'p [u32])>
    {
        let mut kind = Kind::Plain;
        loop {
            let end = positions.first()?.wrapping_sub(self.base) as usize;
            match self.bytes.get(end)? {
                b'"' if end >= start => return Some((kind, end, positions)),
                b'\\' if end >= start => {
                    kind = Kind::Escaped;
                    let behind = end + json::escape_length(self.bytes, end)?;
                    let passed = positions.iter().take_while(|at| (at.wrapping_sub(self.base) as usize) < behind);
                    positions = &positions[passed.count()..];
                }
                _ => return None,
            }
        }
    }
}
