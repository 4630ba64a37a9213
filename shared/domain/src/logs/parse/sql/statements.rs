//! What is known of a statement, remembered: an application runs few different ones.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::{fingerprint, shape};

/// Statements that are remembered at once, at most.
const SLOTS: usize = 1024;

/// Longer statements are looked at each time. (With [`SLOTS`], what all that is remembered may take: a
/// megabyte of texts.)
const LONGEST: usize = 1024;

/// What a masked statement comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it does, as in [`Shape`](super::Shape).
    pub verb: Option<String>,
    /// To which table, in small letters (of ASCII).
    pub table: Option<String>,
    /// Its [`fingerprint()`].
    pub fingerprint: String,
}

impl Known {
    /// Of a masked statement.
    fn of(statement: &str) -> Known {
        let shape = shape(statement);
        let mut known = Known { verb: None, table: None, fingerprint: String::new() };
        if let Some(shape) = shape {
            known.verb = Some(shape.verb.into_owned());
            known.table = shape.table.map(str::to_ascii_lowercase);
        }
        fingerprint(statement, &mut known.fingerprint);
        known
    }
}

/// The statements that came last, with what is known of them. No answer depends on what came before.
///
/// Each text has one slot, by its hash, and takes it from the text that was there: a look-up compares with
/// one text, whatever an attacker sends.
#[derive(Default)]
pub struct Statements {
    /// Empty until the first statement: most batches have none.
    slots: Vec<Option<Box<(String, Known)>>>,
    /// The last one that was too long for a slot.
    long: Option<Known>,
}

impl Statements {
    /// What is known of the masked statement `statement`.
    pub fn of(&mut self, statement: &str) -> &Known {
        if statement.len() > LONGEST {
            return self.long.insert(Known::of(statement));
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, None);
        }
        let hash = FixedState::with_seed(0).hash_one(statement);
        let slot = &mut self.slots[hash as usize % SLOTS];
        if slot.as_ref().is_none_or(|held| held.0 != statement) {
            *slot = Some(Box::new((statement.to_owned(), Known::of(statement))));
        }
        &slot.as_ref().expect("it has just been filled").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_statement_is_known_by_what_it_does_to_which_table() {
        let mut statements = Statements::default();
        for _ in 0..2 {
            let known = statements.of("select * from Sales.\"Contracts\" where id = ?");
            assert_eq!((known.verb.as_deref(), known.table.as_deref()), (Some("SELECT"), Some("contracts")));
            let known = statements.of("?");
            assert_eq!((known.verb.as_deref(), known.table.as_deref()), (None, None));
        }
    }

    #[test]
    fn statements_that_share_a_slot_or_are_too_long_for_one_are_told_apart() {
        let mut statements = Statements::default();
        let texts: Vec<String> = (0..3 * SLOTS)
            .map(|number| format!("SELECT * FROM t{number}{}", " ".repeat(if number % 8 == 0 { LONGEST } else { 0 })))
            .collect();
        for text in texts.iter().chain(texts.iter().rev()) {
            assert_eq!(*statements.of(text), Known::of(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_would_be_found_again(
            texts in prop::collection::vec("(SELECT|update|) [a-c] (FROM|) [a-c]?", 1..60),
        ) {
            let mut statements = Statements::default();
            for text in &texts {
                prop_assert_eq!(statements.of(text), &Known::of(text));
            }
        }
    }
}
