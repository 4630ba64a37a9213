//! Digits with separators between, as people write numbers: read once, then looked at by all finders.

use super::scan::Findings;

/// Most groups that are read at once.
const MAX_GROUPS: usize = 12;

/// Most digits of a number of a person, and so of a group of one.
const MAX_DIGITS: usize = 20;

/// What stands before a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// Nothing that belongs to the number.
    Start,
    /// One space.
    Space,
    /// One hyphen.
    Hyphen,
    /// Parentheses, or two separators.
    Other,
}

/// Digits without anything between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) joint: Joint,
}

impl Group {
    pub(super) fn length(&self) -> usize {
        self.end - self.start
    }
}

/// Groups that follow one another.
#[derive(Debug)]
pub(super) struct Groups {
    groups: [Group; MAX_GROUPS],
    count: usize,
}

/// The digits of a few groups.
pub(super) struct Digits {
    bytes: [u8; MAX_DIGITS],
    count: usize,
}

impl std::ops::Deref for Digits {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

impl Groups {
    /// The groups from `start` on, where a digit stands.
    pub(super) fn read(scan: &mut Findings<'_>, start: usize) -> Groups {
        let none = Group { start, end: start, joint: Joint::Start };
        let mut groups = Groups { groups: [none; MAX_GROUPS], count: 0 };
        let (mut at, mut joint) = (start, Joint::Start);
        while groups.count < MAX_GROUPS {
            let length = scan.length(at, |byte| byte.is_ascii_digit());
            groups.groups[groups.count] = Group { start: at, end: at + length, joint };
            groups.count += 1;
            match next_group(scan, at + length) {
                Some(next) if length <= MAX_DIGITS => (at, joint) = next,
                _ => break,
            }
        }
        groups
    }

    /// The groups from the one at `first` on.
    pub(super) fn from(&self, first: usize) -> &[Group] {
        &self.groups[first.min(self.count)..self.count]
    }

    /// Where to go on when nothing was found: behind them, or at the middle where there may be more.
    pub(super) fn end(&self) -> usize {
        if self.count == MAX_GROUPS { self.groups[MAX_GROUPS / 2].start } else { self.groups[self.count - 1].end }
    }
}

/// The digits of `groups`; at most 20.
pub(super) fn digits(bytes: &[u8], groups: &[Group]) -> Digits {
    let mut digits = Digits { bytes: [0; MAX_DIGITS], count: 0 };
    for group in groups {
        let length = group.length().min(MAX_DIGITS - digits.count);
        digits.bytes[digits.count..digits.count + length].copy_from_slice(&bytes[group.start..group.start + length]);
        digits.count += length;
    }
    digits
}

/// How many of `groups` have `count` digits together.
pub(super) fn with_digits(groups: &[Group], count: usize) -> Option<usize> {
    let mut sum = 0;
    let at = groups.iter().position(|group| {
        sum += group.length();
        sum >= count
    })?;
    (sum == count).then_some(at + 1)
}

/// Where the next group begins behind at most two separators, and what they are.
fn next_group(scan: &mut Findings<'_>, end: usize) -> Option<(usize, Joint)> {
    let (mut at, mut joint) = (end, Joint::Start);
    for _ in 0..3 {
        scan.step(1);
        if scan.bytes.get(at)?.is_ascii_digit() {
            return (at > end).then_some((at, joint));
        }
        let (length, found) = separator(&scan.bytes[at..])?;
        joint = if at == end { found } else { Joint::Other };
        at += length;
    }
    None
}

/// Length of the separator that `bytes` begin with: space, hyphen, parentheses, as a URL writes them, too,
/// and the spaces and hyphens that do not break a line.
fn separator(bytes: &[u8]) -> Option<(usize, Joint)> {
    Some(match *bytes {
        [b' ', ..] => (1, Joint::Space),
        [b'-', ..] => (1, Joint::Hyphen),
        [b'(' | b')', ..] => (1, Joint::Other),
        [b'%', b'2', b'0', ..] => (3, Joint::Space),
        [b'%', b'2', b'8' | b'9', ..] => (3, Joint::Other),
        // No-break space.
        [0xc2, 0xa0, ..] => (2, Joint::Space),
        // Thin and narrow spaces; hyphens and the shorter dash.
        [0xe2, 0x80, 0x89 | 0xaf, ..] => (3, Joint::Space),
        [0xe2, 0x80, 0x90..=0x93, ..] => (3, Joint::Hyphen),
        _ => return None,
    })
}
