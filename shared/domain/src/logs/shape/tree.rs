//! The shapes as a tree, by what their lines have in common from the beginning on: a text that is the same,
//! and then a value. What stands first in a node was met last.
//!
//! Lines are looked at as they stand in the delivery's message, where they are texts in JSON: a quote of theirs
//! has a backslash before it. A line whose values have no escapes in them is read in no other form.

use std::ops::Range;

use wide::u8x16;

use crate::logs::json;
use crate::logs::parse::instant;

/// Texts that may follow one value. Where more would, the shape is not kept.
const MAX_CHOICES: usize = 64;

/// Texts that are tried in vain before a line is given up.
const MAX_MISSES: usize = 64;

/// Bytes of most texts, which are compared in blocks; and so many are behind the last text.
const ROOM: usize = 64;

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

/// Where a value stands in the message.
pub type Value = Range<u32>;

/// A line of a known shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The number of the shape.
    pub(super) number: u32,
    /// Where the line ends in the message.
    pub(super) end: usize,
    /// Backslashes before quotes: the line itself has none of them.
    pub(super) escapes: usize,
}

/// A segment, and those that may follow it.
struct Node {
    text: Range<u32>,
    /// Backslashes in it.
    escapes: u32,
    then: Then,
    /// The first of those that may follow; at the end of a line, the number of the shape.
    inner: u32,
    /// The next one in its place.
    next: u32,
}

/// Whether a shape was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    New,
    /// It was there.
    Known,
    /// There is no room for it.
    NoRoom,
}

/// All nodes, and their texts.
pub(super) struct Tree {
    nodes: Vec<Node>,
    texts: Vec<u8>,
    /// The first node that a line may begin with.
    first: u32,
    minute: Minute,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { nodes: Vec::new(), texts: vec![0; ROOM], first: NONE, minute: Minute::default() }
    }
}

impl Tree {
    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.texts.len() + self.nodes.len() * size_of::<Node>()
    }

    /// The shape of the line that begins at `at` of `message`, where it has one that is known; its values are
    /// appended to `values`. It ends where the text does that it is in the message.
    pub(super) fn find(&mut self, message: &[u8], mut at: usize, values: &mut Vec<Value>) -> Option<Found> {
        let (mut parent, mut before, mut place) = (NONE, NONE, self.first);
        let (mut misses, mut escapes) = (0, 0);
        // Behind the last choice there is no node.
        while let Some(node) = self.nodes.get(place as usize) {
            let length = (node.text.end - node.text.start) as usize;
            let text = self.texts.get(node.text.start as usize..)?;
            let start = at + length;
            let end = match has(message, at, text, length) {
                true => value(message, start, node.then, &mut self.minute),
                false => None,
            };
            let Some(end) = end else {
                misses += 1;
                if misses > MAX_MISSES {
                    return None;
                }
                (before, place) = (place, node.next);
                continue;
            };
            let (then, inner) = (node.then, node.inner);
            escapes += node.escapes as usize;
            if before != NONE {
                self.move_first(parent, before, place);
            }
            if then == Then::End {
                return Some(Found { number: inner, end, escapes });
            }
            values.push(start as u32..end as u32);
            at = end;
            (parent, before, place) = (place, NONE, inner);
        }
        None
    }

    /// Adds the shape `number` by the segments of a `line` that has it.
    pub(super) fn add(&mut self, line: &str, segments: &[Segment], number: u32) -> Added {
        let mut parent = NONE;
        let mut text = Vec::new();
        for segment in segments {
            text.clear();
            json::escape(&line[segment.text.clone()], &mut text);
            let (mut node, mut choices) = (self.first_of(parent), 0);
            while let Some(known) = self.nodes.get(node as usize) {
                if known.then == segment.then && self.texts[known.text.start as usize..known.text.end as usize] == text
                {
                    break;
                }
                (node, choices) = (known.next, choices + 1);
            }
            if node == NONE {
                if choices >= MAX_CHOICES {
                    return Added::NoRoom;
                }
                node = self.push(parent, &text, segment.then);
            }
            parent = node;
        }
        match self.nodes.get_mut(parent as usize) {
            Some(last) if last.inner == NONE => {
                last.inner = number;
                Added::New
            }
            _ => Added::Known,
        }
    }

    fn push(&mut self, parent: u32, text: &[u8], then: Then) -> u32 {
        let (node, next) = (self.nodes.len() as u32, self.first_of(parent));
        let start = (self.texts.len() - ROOM) as u32;
        self.texts.truncate(start as usize);
        self.texts.extend_from_slice(text);
        let end = self.texts.len() as u32;
        self.texts.extend_from_slice(&[0; ROOM]);
        let escapes = text.iter().filter(|byte| **byte == b'\\').count() as u32;
        self.nodes.push(Node { text: start..end, escapes, then, inner: NONE, next });
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
    fn move_first(&mut self, parent: u32, before: u32, node: u32) {
        let first = self.first_of(parent);
        self.nodes[before as usize].next = self.nodes[node as usize].next;
        self.nodes[node as usize].next = first;
        *self.first_mut(parent) = node;
    }
}

/// Whether the `length` bytes that `text` begins with stand at `at` of `message`.
#[inline]
fn has(message: &[u8], at: usize, text: &[u8], length: usize) -> bool {
    let Some(rest) = message.get(at..) else { return false };
    match (rest.first_chunk(), text.first_chunk()) {
        (Some(rest), Some(text)) if length <= ROOM => have_in_common(rest, text, length),
        _ => rest.get(..length) == text.get(..length),
    }
}

/// Whether `left` and `right` begin with the same `length` bytes.
#[inline]
fn have_in_common(left: &[u8; ROOM], right: &[u8; ROOM], length: usize) -> bool {
    const BLOCK: usize = 16;
    let (left, right) = (left.as_chunks::<BLOCK>().0, right.as_chunks::<BLOCK>().0);
    let mut begin = 0;
    for (left, right) in left.iter().zip(right) {
        let same = u8x16::new(*left).simd_eq(u8x16::new(*right)).to_bitmask();
        let wanted = length - begin;
        if wanted <= BLOCK {
            return same.trailing_ones() as usize >= wanted;
        }
        if same & 0xffff != 0xffff {
            return false;
        }
        begin += BLOCK;
    }
    false
}

/// Where the value ends that begins at `start` of `message`, if it is one as `then` says.
#[inline]
fn value(message: &[u8], start: usize, then: Then, minute: &mut Minute) -> Option<usize> {
    let rest = message.get(start..)?;
    match then {
        Then::Text => text_length(rest).map(|length| start + length),
        Then::Time => text_length(rest).filter(|length| minute.has(&rest[..*length])).map(|length| start + length),
        Then::Number => json::short_number_length(rest).map(|length| start + length),
        Then::Truth if rest.starts_with(b"true") => Some(start + 4),
        Then::Truth if rest.starts_with(b"false") => Some(start + 5),
        Then::End if rest.first() == Some(&b'"') => Some(start),
        Then::Truth | Then::End => None,
    }
}

/// Length of a text without escapes: it ends in a backslash, and the quote behind that is the next text's.
#[inline]
fn text_length(rest: &[u8]) -> Option<usize> {
    let length = json::plain_length(rest);
    (rest.get(length) == Some(&b'\\')).then_some(length)
}

/// The minute of the last time of a line, as it is written: most lines are of the same.
#[derive(Debug, Default)]
struct Minute {
    text: [u8; 17],
}

impl Minute {
    /// Whether `time` is in the one form of the archive.
    #[inline]
    fn has(&mut self, time: &[u8]) -> bool {
        if let Some((minute, [s1 @ b'0'..=b'5', s2, b'.', f1, f2, f3, b'Z'])) = time.split_first_chunk()
            && *minute == self.text
        {
            return [s1, s2, f1, f2, f3].into_iter().all(u8::is_ascii_digit);
        }
        let is_canonical = std::str::from_utf8(time).is_ok_and(instant::is_canonical);
        if is_canonical && let Some(minute) = time.first_chunk() {
            self.text = *minute;
        }
        is_canonical
    }
}
