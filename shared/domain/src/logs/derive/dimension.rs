//! Values of dimensions: as CloudWatch takes them, and not too many of them.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use schema::dimension::sanitised;

pub(super) use crate::metrics::bound::MAX_VALUES;
use crate::metrics::bound::OTHER;

/// A value as CloudWatch takes it, hashed once for all metrics of its line.
#[derive(Debug, Clone, Copy)]
pub(super) struct DimensionValue<'a> {
    text: &'a str,
    hash: u8,
}

impl<'a> DimensionValue<'a> {
    /// Of any text. `scratch` holds the value where it is not `text` itself.
    pub(super) fn of(text: &'a str, scratch: &'a mut String) -> DimensionValue<'a> {
        let text = sanitised(text, scratch);
        DimensionValue { text, hash: FixedState::with_seed(0).hash_one(text) as u8 }
    }
}

/// The place of a value that has been folded into `other`.
const FOLDED: u8 = MAX_VALUES as u8 + 1;

/// The values of one dimension of one metric. Each has a place from 1 on; 0 is for no value.
///
/// A table of its own rather than one of the standard library: it never grows, and however an attacker
/// makes hashes collide, a look-up compares with [`MAX_VALUES`] texts at the most.
#[derive(Debug, Clone)]
pub(super) struct Known {
    texts: Vec<Box<str>>,
    /// Places by hash, with the next free slot taken where that is taken. 0 is a free slot.
    slots: [u8; 256],
}

// Some slot is always free, so that every search ends.
const _: () = assert!(MAX_VALUES < 255);

impl Known {
    /// No value.
    pub(super) const fn new() -> Known {
        Known { texts: Vec::new(), slots: [0; 256] }
    }

    /// The place of a value, and whether it had to be folded into `other`.
    pub(super) fn place(&mut self, value: DimensionValue<'_>) -> (u8, bool) {
        match self.find(value) {
            Ok(place) => (place, false),
            Err(free) if self.texts.len() < MAX_VALUES => {
                self.texts.push(value.text.into());
                self.slots[usize::from(free)] = self.texts.len() as u8;
                (self.texts.len() as u8, false)
            }
            // `other` may be a value of its own: then these are its series.
            Err(_) => (self.find(DimensionValue::of(OTHER, &mut String::new())).unwrap_or(FOLDED), true),
        }
    }

    /// The text at a place.
    pub(super) fn text(&self, place: u8) -> &str {
        if place == FOLDED { OTHER } else { &self.texts[usize::from(place) - 1] }
    }

    /// The place of a value, or the free slot where it belongs.
    fn find(&self, value: DimensionValue<'_>) -> Result<u8, u8> {
        let mut slot = value.hash;
        loop {
            match self.slots[usize::from(slot)] {
                0 => return Err(slot),
                place if *self.texts[usize::from(place) - 1] == *value.text => return Ok(place),
                _ => slot = slot.wrapping_add(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(known: &mut Known, text: &str) -> (u8, bool) {
        known.place(DimensionValue::of(text, &mut String::new()))
    }

    #[test]
    fn values_keep_their_places_and_what_is_too_many_is_folded() {
        let mut known = Known::new();
        let texts: Vec<String> = (0..MAX_VALUES).map(|n| format!("v{n}")).collect();
        for round in 0..2 {
            for (at, text) in texts.iter().enumerate() {
                let (place, folded) = place(&mut known, text);
                assert_eq!((known.text(place), usize::from(place), folded), (text.as_str(), at + 1, false), "{round}");
            }
        }
        for text in ["too many", "other"] {
            let (place, folded) = place(&mut known, text);
            assert_eq!((known.text(place), folded), ("other", true), "{text}");
        }
    }

    #[test]
    fn a_value_called_other_takes_in_what_is_folded() {
        let mut known = Known::new();
        assert_eq!(place(&mut known, "other"), (1, false));
        (1..MAX_VALUES).for_each(|n| assert!(!place(&mut known, &n.to_string()).1));
        assert_eq!(place(&mut known, "too many"), (1, true));
        assert_eq!(place(&mut known, "other"), (1, false));
    }

    #[test]
    fn values_whose_hashes_collide_are_told_apart() {
        let mut known = Known::new();
        let texts: Vec<String> = (0..=MAX_VALUES).map(|n| n.to_string()).collect();
        let places: Vec<(u8, bool)> =
            texts.iter().map(|text| known.place(DimensionValue { text, hash: 250 })).collect();
        for (at, text) in texts.iter().enumerate() {
            assert_eq!(known.place(DimensionValue { text, hash: 250 }), places[at]);
            assert_eq!(known.text(places[at].0), if at < MAX_VALUES { text } else { OTHER });
        }
    }
}
