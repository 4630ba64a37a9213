//! Names of fields. A batch has few different ones, so what is to be known of a name is found out once; and
//! two fields of an object never get one name: of two addresses, say, that were names.

use std::collections::HashSet;
use std::io::Write as _;
use std::ops::Range;

use crate::logs::derive::Detail;
use crate::logs::redact::{Naming, Redactor};
use crate::logs::short::Short;
use crate::metrics::registry;

/// Binary logarithm of how many names are known at a time. Each has one place by its hash, so that hostile
/// names cost no more than a miss.
const SLOT_BITS: u32 = 8;

/// From so many fields on, the names of an object are looked up in a set.
const MANY: usize = 48;

/// What a name tells of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) naming: Naming,
    /// What it is among `details`.
    pub(super) detail: Option<Detail>,
    /// Whether it is a person: what is called `name` in it, is a name.
    pub(super) is_person: bool,
    /// Whether it is an amount or a metric: its number is nobody's, though a price of 79 billion has the digits of a
    /// phone number.
    pub(super) is_amount: bool,
}

impl Meaning {
    pub(super) fn of(name: &str, redactor: &Redactor) -> Meaning {
        let (naming, detail, is_person) = (redactor.naming(name), Detail::named(name), redactor.is_person(name));
        let is_amount = detail.is_some_and(Detail::is_amount) || registry::find(name).is_some();
        Meaning { naming, detail, is_person, is_amount }
    }
}

/// A short name without escapes that is written as it is: nothing in it is personal.
#[derive(Clone, Copy)]
struct Usual {
    name: Short,
    begins: u64,
    meaning: Meaning,
}

/// The names of one batch.
pub(super) struct Names {
    usual: Vec<Option<Usual>>,
    /// Of the objects that are being written: what begins them, and where they are.
    written: Vec<(u64, Range<u32>)>,
    scratch: Vec<u8>,
}

/// The names of one object.
pub(super) struct Scope {
    /// The place of its first one.
    first: usize,
    /// A bit for every usual name, by its slot: one that has none is new.
    seen: u64,
    /// Whether it has only usual names so far.
    is_usual: bool,
    /// The last number that was given to a name.
    number: usize,
    /// All of them, where there are many.
    many: Option<HashSet<Vec<u8>>>,
}

/// A usual name, and its slot.
#[derive(Clone, Copy)]
pub(super) struct Found {
    slot: usize,
    begins: u64,
    pub(super) meaning: Meaning,
}

impl Default for Names {
    fn default() -> Names {
        Names { usual: vec![None; 1 << SLOT_BITS], written: Vec::new(), scratch: Vec::new() }
    }
}

impl Names {
    /// For the names of an object that begins here.
    pub(super) fn scope(&self) -> Scope {
        Scope { first: self.written.len(), seen: 0, is_usual: true, number: 0, many: None }
    }

    /// Forgets the names of an object that ends here.
    pub(super) fn end(&mut self, scope: &Scope) {
        self.written.truncate(scope.first);
    }

    /// What is known of the name from `start` to `end` of `line`, which has no escapes, where it is a usual
    /// one.
    #[inline]
    pub(super) fn usual(&mut self, line: &str, start: usize, end: usize, redactor: &Redactor) -> Option<Found> {
        let name = Short::at(line.as_bytes(), start, end)?;
        let slot = name.slot(SLOT_BITS);
        let found = |usual: Usual| Found { slot, begins: usual.begins, meaning: usual.meaning };
        match self.usual[slot] {
            Some(usual) if usual.name == name => Some(found(usual)),
            _ => self.learn(name, slot, &line[start..end], redactor).map(found),
        }
    }

    #[cold]
    fn learn(&mut self, name: Short, slot: usize, text: &str, redactor: &Redactor) -> Option<Usual> {
        self.scratch.clear();
        if redactor.append(text, &mut self.scratch, |_, _| {}) {
            return None;
        }
        let meaning = Meaning::of(text, redactor);
        let usual = Usual { name, begins: beginning(text.as_bytes()), meaning };
        self.usual[slot] = Some(usual);
        Some(usual)
    }

    /// Notes the usual name that begins at `start` and ends `out`, and numbers it where a field before it
    /// has it already.
    #[inline]
    pub(super) fn add_usual(&mut self, found: Found, scope: &mut Scope, start: usize, out: &mut Vec<u8>) {
        let bit = 1 << (found.slot % 64);
        if scope.is_usual && scope.seen & bit == 0 {
            scope.seen |= bit;
            self.written.push((found.begins, start as u32..out.len() as u32));
        } else {
            self.add(scope, start, out);
        }
    }

    /// Notes the name that begins at `start` and ends `out`, and numbers it where a field before it has it
    /// already.
    pub(super) fn add(&mut self, scope: &mut Scope, start: usize, out: &mut Vec<u8>) {
        scope.is_usual = false;
        let length = out.len();
        // Never lower than before, so that many equal names do not all try the same numbers.
        let mut number = scope.number.max(self.written.len() - scope.first);
        while self.is_taken(scope, start, out) {
            number += 1;
            out.truncate(length);
            let _ = write!(out, " {number}");
            scope.number = number;
        }
        self.written.push((beginning(&out[start..]), start as u32..out.len() as u32));
        if let Some(many) = &mut scope.many {
            many.insert(out[start..].to_vec());
        } else if self.written.len() - scope.first > MANY {
            let written = self.written[scope.first..].iter();
            let names = written.map(|(_, place)| out[place.start as usize..place.end as usize].to_vec());
            scope.many = Some(names.collect());
        }
    }

    fn is_taken(&self, scope: &Scope, start: usize, out: &[u8]) -> bool {
        let name = &out[start..];
        if let Some(many) = &scope.many {
            return many.contains(name);
        }
        let begins = beginning(name);
        let same = |(other, place): &(u64, Range<u32>)| {
            *other == begins && &out[place.start as usize..place.end as usize] == name
        };
        self.written[scope.first..].iter().any(same)
    }
}

/// The length and the beginning of a name: two that differ in it differ.
fn beginning(name: &[u8]) -> u64 {
    let mut eight = [0; 8];
    let length = name.len().min(7);
    eight[..length].copy_from_slice(&name[..length]);
    eight[7] = name.len() as u8;
    u64::from_le_bytes(eight)
}
