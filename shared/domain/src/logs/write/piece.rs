//! Copies of a few bytes. To copy a fixed number of them and to cut off what is too many takes a few
//! instructions; a call that copies any number takes some dozens, and a line consists of a hundred pieces.

/// Bytes that a constant piece has room for.
const ROOM: usize = 40;

/// Bytes of most values and names.
const SHORT: usize = 32;

/// A text that is known beforehand.
pub(super) struct Piece {
    bytes: [u8; ROOM],
    length: usize,
}

impl Piece {
    /// Of `parts`, which must have room in it.
    pub(super) const fn of(parts: [&str; 3]) -> Piece {
        let mut piece = Piece { bytes: [0; ROOM], length: 0 };
        let mut part = 0;
        while part < parts.len() {
            let mut at = 0;
            while at < parts[part].len() {
                piece.bytes[piece.length] = parts[part].as_bytes()[at];
                piece.length += 1;
                at += 1;
            }
            part += 1;
        }
        piece
    }

    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        let length = out.len() + self.length;
        out.extend_from_slice(&self.bytes);
        out.truncate(length);
    }
}

/// Appends the bytes of `text` from `start` to `end`. What stands behind them may be copied for a moment.
#[inline]
pub(super) fn append(text: &[u8], start: usize, end: usize, out: &mut Vec<u8>) {
    let rest = &text[start..];
    match rest.first_chunk::<SHORT>() {
        Some(chunk) if end - start <= SHORT => {
            let length = out.len() + (end - start);
            out.extend_from_slice(chunk);
            out.truncate(length);
        }
        _ => out.extend_from_slice(&rest[..end - start]),
    }
}

/// Ends a list that began at `begin` and whose parts each have a comma before them: the first comma becomes
/// the opening one of the `brackets`.
#[inline]
pub(super) fn close(begin: usize, brackets: [u8; 2], out: &mut Vec<u8>) {
    match out.get_mut(begin) {
        Some(comma) => {
            *comma = brackets[0];
            out.push(brackets[1]);
        }
        None => out.extend_from_slice(&brackets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_appended_as_they_are() {
        let text = "x".repeat(SHORT).into_bytes();
        for (start, end) in [(0, 0), (0, 5), (5, SHORT), (0, SHORT), (SHORT, SHORT)] {
            let mut out = b"before".to_vec();
            append(&[&text[..], &text].concat(), start, end, &mut out);
            append(&text, start, end, &mut out);
            assert_eq!(out, [b"before", &text[start..end], &text[start..end]].concat());
        }
        let mut out = b"before".to_vec();
        Piece::of(["a", "", "b"]).append(&mut out);
        assert_eq!(out, b"beforeab");
    }

    #[test]
    fn a_list_is_closed_with_its_brackets() {
        for (parts, list) in [("", "n:{}"), (",1", "n:{1}"), (",1,2", "n:{1,2}")] {
            let mut out = format!("n:{parts}").into_bytes();
            close(2, *b"{}", &mut out);
            assert_eq!(out, list.as_bytes());
        }
    }
}
