//! A text taken apart from its beginning, word by word: what the small languages inside of rule files have in common.

/// A text that is not what it has to be, and from which of its characters on (counted from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {expected} at character {at}")]
pub struct InvalidText {
    text: String,
    what: &'static str,
    expected: &'static str,
    at: usize,
}

/// What is left of a text.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    text: &'a str,
    what: &'static str,
    /// Where the rest begins; never at a blank.
    at: usize,
}

impl<'a> Words<'a> {
    /// `what` it has to be is for messages.
    pub(super) fn new(text: &'a str, what: &'static str) -> Words<'a> {
        let mut words = Words { text, what, at: 0 };
        words.skip_blanks();
        words
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Takes ASCII letters, digits and `_`, if there is at least one.
    pub(super) fn take_name(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.advance(length);
        (length > 0).then(|| &rest[..length])
    }

    /// Takes `word`, if it is the next whole one.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let before = self.at;
        let is_next = self.take_name() == Some(word);
        if !is_next {
            self.at = before;
        }
        is_next
    }

    /// Takes `sign`, if it comes next.
    pub(super) fn take_sign(&mut self, sign: &str) -> bool {
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.advance(sign.len());
        }
        is_next
    }

    /// Takes a text in double quotes, in which `\\` makes the next character stand for itself.
    pub(super) fn take_quoted(&mut self) -> Option<String> {
        let rest = self.rest().strip_prefix('"')?;
        let mut taken = String::new();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.advance(1 + at + 1);
                    return Some(taken);
                }
                '\\' => taken.push(letters.next()?.1),
                other => taken.push(other),
            }
        }
        None
    }

    pub(super) fn expected(&self, expected: &'static str) -> InvalidText {
        let at = self.text[..self.at].chars().count() + 1;
        InvalidText { text: self.text.to_owned(), what: self.what, expected, at }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.skip_blanks();
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }
}
