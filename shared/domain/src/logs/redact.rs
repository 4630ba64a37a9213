//! Personal data and secrets out of texts, before their first write: what is found is replaced by its
//! kind and a keyed pseudonym, `[email:` and sixteen letters `]`. One person has one pseudonym, however
//! the value is spelled, so that an investigation still sees what belongs together; without the key
//! nobody learns the value from it. Secrets have none: equal pseudonyms would tell who shares a password.
//!
//! It works on decoded text, so that escapes hide nothing and JSON stays JSON. Whoever writes a field
//! asks first what its name tells ([`Redactor::naming`]); what no parser takes is a text, in which names
//! are found before `=` and `:`. Redacting what is redacted changes nothing.
//!
//! `scan` goes over a text, `patterns`, `numbers` and `labelled` tell what is there, `kind` what
//! is the same, `pseudonym` what stands for it. `redact/corpus.txt` has lines with all that is to be
//! found marked; the test measures what is missed and what is hit wrongly.

mod checksum;
mod groups;
mod kind;
mod labelled;
mod labels;
mod names;
mod numbers;
mod patterns;
mod pseudonym;
mod scan;
mod triggers;

use std::borrow::Cow;

pub use kind::Kind;
pub use names::{FieldNames, Naming, NotAFieldName, field_names};
pub use pseudonym::{KeyError, PseudonymKey};
pub use scan::{Finding, Findings};

/// What is personal or secret in `text`, ascending and apart from each other. Nothing is allocated.
pub fn findings<'a>(text: &'a str, names: &'a FieldNames) -> Findings<'a> {
    Findings::of(text, names)
}

/// Finds and replaces: the key of the pseudonyms, and the names of fields that tell something.
#[derive(Debug, Clone)]
pub struct Redactor {
    key: PseudonymKey,
    names: FieldNames,
}

impl Redactor {
    /// Replaces by pseudonyms of `key`, and knows the fields in `names`.
    pub fn new(key: PseudonymKey, names: FieldNames) -> Redactor {
        Redactor { key, names }
    }

    /// What the name of a field tells of its value.
    pub fn naming(&self, name: &str) -> Naming {
        self.names.of(name)
    }

    /// Whether a field with such a name holds a person, whose `name` is a name: `buyer`, `sellers`.
    pub fn is_person(&self, name: &str) -> bool {
        names::is_person(name)
    }

    /// What a JSON number is that no name tells anything of.
    pub fn number(&self, text: &str) -> Option<Kind> {
        numbers::of_json(text)
    }

    /// Whether all of `value` is to be replaced, whose field's name says that it is of `kind`: not when
    /// it is empty or as good as (`null`), when a pseudonym stands there already, or when an address is
    /// that of a host. Then it is a text as any other.
    pub fn is_personal(&self, kind: Kind, value: &str) -> bool {
        labelled::is_personal(kind, value)
    }

    /// Appends what stands for `original`: ASCII letters, `_`, `:` and brackets, which need no escape in
    /// JSON.
    pub fn replace(&self, kind: Kind, original: &str, out: &mut Vec<u8>) {
        self.key.append(kind, original, out);
    }

    /// Appends `text` with all findings replaced, and says whether there were any. The rest goes through
    /// `clean`, which may escape it, and so do the quotes around what stood bare where JSON wants a text.
    pub fn append(&self, text: &str, out: &mut Vec<u8>, mut clean: impl FnMut(&str, &mut Vec<u8>)) -> bool {
        let mut from = 0;
        let mut append = |piece: &str, out: &mut Vec<u8>| {
            if !piece.is_empty() {
                clean(piece, out);
            }
        };
        for Finding { range, kind, quoted } in findings(text, &self.names) {
            let quote = if quoted { "\"" } else { "" };
            append(&text[from..range.start], out);
            append(quote, out);
            self.replace(kind, &text[range.clone()], out);
            append(quote, out);
            from = range.end;
        }
        append(&text[from..], out);
        from > 0
    }

    /// `text` with all findings replaced.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = Vec::new();
        let mut clean = |piece: &str, out: &mut Vec<u8>| out.extend_from_slice(piece.as_bytes());
        if findings(text, &self.names).next().is_none() {
            return Cow::Borrowed(text);
        }
        self.append(text, &mut out, &mut clean);
        Cow::Owned(String::from_utf8(out).expect("texts and what stands for others are UTF-8"))
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
