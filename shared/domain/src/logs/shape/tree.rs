//! The shapes as a tree, by what their lines have in common from the beginning on: a text that is the same,
//! and then a value. What stands first in a node was met last.

use std::ops::Range;

use wide::u8x16;

use crate::logs::envelope::Specials;
use crate::logs::json::{self, Kind, Token};
use crate::logs::parse::instant;

/// Texts that may follow one value. Where more would, the shape is not kept.
const MAX_CHOICES: usize = 64;

/// Texts that are tried in vain before a line is given up.
const MAX_MISSES: usize = 64;

/// Bytes that are compared at once, and that there are behind the last text.
const ROOM: usize = 32;

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

    /// The number of the shape that `line` has, and its values; `None` where it has none that is known.
    pub(super) fn find(&mut self, line: &str, specials: Specials<'_>, values: &mut Vec<Token>) -> Option<u32> {
        values.clear();
        let line = Line { text: line, bytes: line.as_bytes(), specials };
        let (mut at, mut passed) = (0, 0);
        let (mut parent, mut before, mut place) = (NONE, NONE, self.first);
        let mut misses = 0;
        // Behind the last choice there is no node.
        while let Some(node) = self.nodes.get(place as usize) {
            let start = at + node.length();
            let quotes = passed + node.specials as usize;
            let value = match line.has(at, self.texts.get(node.text.start as usize..)?, node.length()) {
                true => line.value(node.then, start, quotes, &mut self.minute),
                false => None,
            };
            let Some((kind, end, behind)) = value else {
                misses += 1;
                if misses > MAX_MISSES {
                    return None;
                }
                (before, place) = (place, node.next);
                continue;
            };
            let (then, inner) = (node.then, node.inner);
            if before != NONE {
                self.to_front(parent, before, place);
            }
            if then == Then::End {
                return Some(inner);
            }
            values.push(Token { kind, start: start as u32, end: end as u32, next: 0 });
            (at, passed) = (end, behind);
            (parent, before, place) = (place, NONE, inner);
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
        let start = (self.texts.len() - ROOM) as u32;
        self.texts.truncate(start as usize);
        self.texts.extend_from_slice(text);
        let end = self.texts.len() as u32;
        self.texts.extend_from_slice(&[0; ROOM]);
        let specials = text.iter().filter(|byte| json::is_special(**byte)).count() as u32;
        self.nodes.push(Node { text: start..end, specials, then, inner: NONE, next });
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
    fn to_front(&mut self, parent: u32, before: u32, node: u32) {
        let first = self.first_of(parent);
        self.nodes[before as usize].next = self.nodes[node as usize].next;
        self.nodes[node as usize].next = first;
        *self.first_mut(parent) = node;
    }
}

impl Node {
    #[inline]
    fn length(&self) -> usize {
        (self.text.end - self.text.start) as usize
    }
}

/// A line that is compared with shapes.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    bytes: &'a [u8],
    specials: Specials<'a>,
}

impl Line<'_> {
    /// Whether the `length` bytes that `text` begins with stand at `at`.
    #[inline]
    fn has(&self, at: usize, text: &[u8], length: usize) -> bool {
        let Some(rest) = self.bytes.get(at..) else { return false };
        match (rest.first_chunk(), text.first_chunk()) {
            (Some(rest), Some(text)) if length <= ROOM => have_in_common(rest, text, length),
            _ => rest.get(..length) == text.get(..length),
        }
    }

    /// What follows at `start`, if it is a value as `then` says: what kind, where it ends, and how many of the
    /// quotes, backslashes and control characters of the line are behind it, of which `passed` are before it.
    #[inline]
    fn value(&self, then: Then, start: usize, passed: usize, minute: &mut Minute) -> Option<(Kind, usize, usize)> {
        match then {
            Then::Text => self.string(start, passed),
            Then::Time => {
                let (kind, end, passed) = self.string(start, passed)?;
                (kind == Kind::Plain && minute.has(self.text.get(start..end)?)).then_some((kind, end, passed))
            }
            Then::Number => {
                let length = json::short_number_length(self.bytes.get(start..)?)?;
                Some((Kind::Number, start + length, passed))
            }
            Then::Truth => match self.bytes.get(start..)? {
                [b't', b'r', b'u', b'e', ..] => Some((Kind::True, start + 4, passed)),
                [b'f', b'a', b'l', b's', b'e', ..] => Some((Kind::False, start + 5, passed)),
                _ => None,
            },
            Then::End => (start == self.bytes.len()).then_some((Kind::Null, start, passed)),
        }
    }

    /// The same for the string that begins at `start`. It mostly ends at the next quote.
    #[inline]
    fn string(&self, start: usize, passed: usize) -> Option<(Kind, usize, usize)> {
        let end = self.special(passed)?;
        match self.bytes.get(end)? {
            b'"' if end >= start => Some((Kind::Plain, end, passed)),
            _ => self.escaped_string(start, passed),
        }
    }

    #[inline(never)]
    fn escaped_string(&self, start: usize, mut passed: usize) -> Option<(Kind, usize, usize)> {
        loop {
            let end = self.special(passed)?;
            match self.bytes.get(end)? {
                b'"' if end >= start => return Some((Kind::Escaped, end, passed)),
                b'\\' if end >= start => {
                    let behind = end + json::escape_length(self.bytes, end)?;
                    while self.special(passed).is_some_and(|at| at < behind) {
                        passed += 1;
                    }
                }
                _ => return None,
            }
        }
    }

    /// Where the quote, backslash or control character is that has so many before it.
    #[inline]
    fn special(&self, number: usize) -> Option<usize> {
        Some(self.specials.positions.get(number)?.wrapping_sub(self.specials.base) as usize)
    }
}

/// Whether `left` and `right` begin with the same `length` bytes.
#[inline]
fn have_in_common(left: &[u8; ROOM], right: &[u8; ROOM], length: usize) -> bool {
    let differ = |half: usize| {
        let of = |bytes: &[u8; ROOM]| bytes.as_chunks::<16>().0.get(half).map_or(u8x16::ZERO, |half| u8x16::new(*half));
        u64::from(!of(left).simd_eq(of(right)).to_bitmask() & 0xffff) << (16 * half)
    };
    (differ(0) | differ(1)) << (64 - length.clamp(1, ROOM)) == 0 || length == 0
}

/// The minute of the last time of a line, as it is written: most lines are of the same.
#[derive(Debug, Default)]
struct Minute {
    text: [u8; 17],
}

impl Minute {
    /// Whether `time` is in the one form of the archive.
    #[inline]
    fn has(&mut self, time: &str) -> bool {
        if let Some((minute, [s1 @ b'0'..=b'5', s2, b'.', f1, f2, f3, b'Z'])) = time.as_bytes().split_first_chunk()
            && *minute == self.text
        {
            return [s1, s2, f1, f2, f3].into_iter().all(u8::is_ascii_digit);
        }
        let is_canonical = instant::is_canonical(time);
        if is_canonical && let Some(minute) = time.as_bytes().first_chunk() {
            self.text = *minute;
        }
        is_canonical
    }
}
