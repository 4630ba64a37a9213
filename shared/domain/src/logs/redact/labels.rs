//! Words before a number that say what it is: `паспорт`, `ИНН`. They are looked for only where there is a
//! number that can be that.

use super::kind::Kind;
use super::scan::Findings;

/// Most bytes before a number that are looked at.
const MAX_BYTES: usize = 64;

/// Most words before a number that are looked at.
const MAX_WORDS: usize = 4;

/// Beginnings of words, in lower case. Endings of a case may follow.
const LABELS: [(&str, Kind); 11] = [
    ("паспорт", Kind::Passport),
    ("загранпаспорт", Kind::Passport),
    ("passport", Kind::Passport),
    ("серия", Kind::Passport),
    ("series", Kind::Passport),
    ("инн", Kind::Inn),
    ("inn", Kind::Inn),
    ("телефон", Kind::Phone),
    ("тел", Kind::Phone),
    ("phone", Kind::Phone),
    ("tel", Kind::Phone),
];

/// Bytes of the endings.
const MAX_ENDING: usize = 6;

/// Words that may stand between a label and its number.
const BETWEEN: [&str; 18] = [
    "номер",
    "номера",
    "данные",
    "рф",
    "россии",
    "гражданина",
    "клиента",
    "и",
    "n",
    "no",
    "nr",
    "num",
    "number",
    "data",
    "rf",
    "ru",
    "is",
    "кпп",
];

/// What the words before `at` say that the number there is.
pub(super) fn before(scan: &mut Findings<'_>, at: usize) -> Option<Kind> {
    let mut end = at;
    let floor = scan.from.max(at.saturating_sub(MAX_BYTES));
    for _ in 0..MAX_WORDS {
        let gap = scan.bytes[floor..end].iter().rev().take_while(|byte| b" :=#.,(\"'/_-".contains(byte)).count();
        // The sign of a number, if there is one, is no letter.
        let gap = gap + if scan.bytes[floor..end - gap].ends_with("№".as_bytes()) { "№".len() } else { 0 };
        let spaces = scan.bytes[floor..end - gap].iter().rev().take_while(|byte| **byte == b' ').count();
        end -= gap + spaces;
        let length = scan.bytes[floor..end].iter().rev().take_while(|b| b.is_ascii_alphabetic() || **b >= 0x80).count();
        scan.step(gap + spaces + length);
        let word = scan.text.get(end - length..end).filter(|word| !word.is_empty())?;
        if let Some((_, kind)) = LABELS.iter().find(|(label, _)| begins_with(word, label, MAX_ENDING)) {
            return Some(*kind);
        }
        if !BETWEEN.iter().any(|between| begins_with(word, between, 0)) {
            return None;
        }
        end -= length;
    }
    None
}

/// Length of what `bytes` begin with that says that the number of a passport follows.
pub(super) fn number_sign(bytes: &[u8]) -> Option<usize> {
    let signs = ["№", "номер", "Номер", "number", "no.", "No.", "no", "No", "N"];
    signs.iter().find(|sign| bytes.starts_with(sign.as_bytes())).map(|sign| sign.len())
}

/// Whether `word` is `start` (in lower case) and an ending of at most `ending` bytes.
fn begins_with(word: &str, start: &str, ending: usize) -> bool {
    if word.len() < start.len() || word.len() > start.len() + ending {
        return false;
    }
    let mut letters = word.chars().flat_map(char::to_lowercase);
    start.chars().all(|expected| letters.next() == Some(expected))
}
