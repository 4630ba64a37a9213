//! JSON written straight into a buffer: texts, numbers, and whatever formats itself.

use std::fmt::{self, Write as _};

/// What one text may take in a line, in bytes as written. What is longer is cut there, and ends with `…`.
pub(crate) const MAX_TEXT_BYTES: usize = 32 * 1024;

/// What a text ends with that is cut.
pub(crate) const CUT: &str = "…";

/// A text with its quotes, cut where it is too long for a line.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    inner_text(out, text);
    out.push(b'"');
}

/// The same without quotes.
pub(crate) fn inner_text(out: &mut Vec<u8>, text: &str) {
    // One byte becomes six at most.
    if text.len() <= MAX_TEXT_BYTES / 6 {
        escaped(out, text);
    } else {
        let _ = Escaped::new(out).write_str(text);
    }
}

/// What `value` formats itself as, without quotes.
pub(crate) fn inner_formatted(out: &mut Vec<u8>, value: fmt::Arguments<'_>) {
    match value.as_str() {
        Some(text) => inner_text(out, text),
        // A value that can't format itself, or is cut, leaves what it has written until then.
        None => drop(Escaped::new(out).write_fmt(value)),
    }
}

/// The same up to a place in the line. `true` where it did not fit, and is cut.
pub(crate) fn formatted_until(out: &mut Vec<u8>, end: usize, value: fmt::Arguments<'_>) -> bool {
    let mut escaped = Escaped { out, end };
    // See above.
    let _ = escaped.write_fmt(value);
    escaped.is_cut()
}

/// Cuts a text that is written already, without its quotes, so that it takes `most` bytes and the `…`.
pub(crate) fn cut(inner: &mut Vec<u8>, most: usize) {
    if inner.len() <= most {
        return;
    }
    let (mut end, mut next) = (0, 0);
    while next <= most {
        end = next;
        next += match inner[next..] {
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            [first, ..] => first.leading_ones().max(1) as usize,
            [] => break,
        };
    }
    inner.truncate(end);
    inner.extend_from_slice(CUT.as_bytes());
}

/// A whole number.
pub(crate) fn unsigned(out: &mut Vec<u8>, value: u64) {
    // Nothing that is written to a vector fails.
    let _ = serde_json::to_writer(out, &value);
}

/// A whole number.
pub(crate) fn signed(out: &mut Vec<u8>, value: i64) {
    let _ = serde_json::to_writer(out, &value);
}

/// A number. JSON has none that is not finite: these become texts (`"NaN"`, `"Infinity"`, `"-Infinity"`), which
/// say more than null.
pub(crate) fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let _ = serde_json::to_writer(out, &value);
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

/// `true` or `false`.
pub(crate) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// `,"name":`, for a value to follow.
pub(crate) fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    // Fields named after a keyword are written `r#type`.
    escaped(out, name.strip_prefix("r#").unwrap_or(name));
    out.extend_from_slice(b"\":");
}

/// Escapes what is formatted through it, up to what one text may take.
pub(crate) struct Escaped<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
}

impl<'a> Escaped<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Escaped<'a> {
        let end = out.len() + MAX_TEXT_BYTES;
        Escaped { out, end }
    }
}

impl Escaped<'_> {
    fn characters(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let before = self.out.len();
            escaped(self.out, character.encode_utf8(&mut [0; 4]));
            if self.out.len() > self.end {
                self.out.truncate(before);
                self.out.extend_from_slice(CUT.as_bytes());
                // Whoever formats is to stop: nothing more is taken.
                self.end = 0;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }

    /// Whether something was left out.
    fn is_cut(&self) -> bool {
        self.end == 0
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const PIECE: usize = 1024;
        let mut rest = text;
        while !rest.is_empty() {
            if self.end == 0 {
                return Err(fmt::Error);
            }
            let (piece, later) = rest.split_at(rest.floor_char_boundary(PIECE));
            if self.out.len() + 6 * piece.len() <= self.end {
                escaped(self.out, piece);
            } else {
                // It may not fit.
                self.characters(piece)?;
            }
            rest = later;
        }
        Ok(())
    }
}

fn escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let Some((byte, later)) = special.split_first() else { return };
        escape(out, *byte);
        rest = later;
    }
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// How many bytes come before the first that JSON has escaped, eight at a time.
fn plain_length(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<8>();
    for (number, block) in blocks.iter().enumerate() {
        let found = special(u64::from_le_bytes(*block));
        if found != 0 {
            return number * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'));
    blocks.len() * 8 + plain.unwrap_or(rest.len())
}

/// The high bit of each byte that is a control character, a quote or a backslash. A borrow may set bits above the
/// first, never below it, and only the first is looked at.
fn special(block: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let control = below(block, 0x20);
    let quote = below(block ^ (ONES * b'"' as u64), 1);
    let backslash = below(block ^ (ONES * b'\\' as u64), 1);
    (control | quote | backslash) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn formatted(value: fmt::Arguments<'_>) -> String {
        format!("\"{}\"", written(|out| inner_formatted(out, value)))
    }

    #[test]
    fn only_what_json_demands_is_escaped() {
        // Defect 24: text was written as \u escapes.
        let line = written(|out| text(out, "договор \u{7f}\u{2028}\"\\/\n\r\t\u{8}\u{c}\u{1}"));
        assert_eq!(line, "\"договор \u{7f}\u{2028}\\\"\\\\/\\n\\r\\t\\b\\f\\u0001\"");
    }

    #[test]
    fn numbers_that_json_lacks_are_texts() {
        for (value, expected) in [
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
            (12.5, "12.5"),
            (-0.0, "-0.0"),
            (3.0, "3.0"),
        ] {
            assert_eq!(written(|out| float(out, value)), expected);
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_at_a_character_and_says_so() {
        let long = "ж\u{1}".repeat(MAX_TEXT_BYTES);
        for line in [written(|out| text(out, &long)), formatted(format_args!("{long:?}"))] {
            assert!(line.len() <= MAX_TEXT_BYTES + 8, "{}", line.len());
            let read: String = serde_json::from_str(&line).unwrap();
            assert!(read.ends_with('…') && read.len() > MAX_TEXT_BYTES / 8);
        }
    }

    #[test]
    fn a_text_of_32_kib_is_written_whole_and_no_longer_one() {
        for (length, read) in [(MAX_TEXT_BYTES, MAX_TEXT_BYTES), (MAX_TEXT_BYTES + 1, MAX_TEXT_BYTES + CUT.len())] {
            let long = "a".repeat(length);
            for line in [written(|out| text(out, &long)), formatted(format_args!("{}{}", &long[..9], &long[9..]))] {
                assert_eq!(line.len() - 2, read, "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back(any: String, before in "\\PC{0,9}", control in "[\\x00-\\x1f\"\\\\]{0,3}") {
            let any = format!("{before}{control}{any}");
            let as_text = |line: String| serde_json::from_str::<String>(&line).unwrap();
            prop_assert_eq!(&as_text(written(|out| text(out, &any))), &any);
            prop_assert_eq!(&as_text(formatted(format_args!("{any}"))), &any);
        }

        #[test]
        fn what_is_cut_later_is_a_text_still(any: String, control in "[\\x00-\\x1f\"\\\\]{0,9}", most in 0_usize..40) {
            let mut line = written(|out| inner_text(out, &format!("{control}{any}{control}"))).into_bytes();
            let whole = line.len() <= most;
            cut(&mut line, most);
            prop_assert!(line.len() <= most + CUT.len());
            let read: String = serde_json::from_str(&format!("\"{}\"", String::from_utf8(line).unwrap())).unwrap();
            let kept = read.strip_suffix(CUT).filter(|_| !whole).unwrap_or(&read);
            let begins = format!("{control}{any}{control}").starts_with(kept);
            prop_assert!(begins);
        }

        #[test]
        fn any_number_reads_back(number: f64, whole: i64, natural: u64) {
            let read = |line: String| serde_json::from_str::<Value>(&line).unwrap();
            prop_assert!(!number.is_finite() || read(written(|out| float(out, number))).as_f64() == Some(number));
            prop_assert_eq!(read(written(|out| signed(out, whole))).as_i64(), Some(whole));
            prop_assert_eq!(read(written(|out| unsigned(out, natural))).as_u64(), Some(natural));
        }
    }
}
