//! Values of dimensions as CloudWatch takes them. Services and the pipeline write them the same.

/// Characters a value is cut to.
pub const MAX_CHARS: usize = 200;

/// `text` as CloudWatch takes it: printable ASCII, not empty, not beginning with a colon, at most [`MAX_CHARS`].
/// It is written to `scratch` where it is not `text` itself. What is so already stays as it is.
pub fn sanitised<'a>(text: &'a str, scratch: &'a mut String) -> &'a str {
    if is_sane(text.as_bytes()) {
        return text;
    }
    let ascii = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '_' };
    scratch.clear();
    let begun = text.trim_start_matches(|c: char| c == ':' || c.is_whitespace()).trim_end();
    scratch.extend(begun.chars().take(MAX_CHARS).map(ascii));
    // What was cut may have left a space at the end.
    match scratch.trim_end() {
        "" => "unknown",
        sane => sane,
    }
}

/// Whether there is nothing to change.
fn is_sane(text: &[u8]) -> bool {
    text.len() <= MAX_CHARS
        && !matches!(text.first(), None | Some(b' ' | b':'))
        && text.last() != Some(&b' ')
        && text.iter().all(|b| matches!(b, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_as_cloudwatch_takes_it() {
        for (text, expected) in [
            ("GET", "GET"),
            ("a b~", "a b~"),
            (" :: a ", "a"),
            (":", "unknown"),
            ("", "unknown"),
            (" \t", "unknown"),
            ("Таймаут", "_______"),
            ("a\u{7f}b", "a_b"),
            ("\u{a0}x\u{a0}", "x"),
        ] {
            assert_eq!(sanitised(text, &mut String::from("what was before")), expected, "{text:?}");
        }
        for text in ["x".repeat(200), "ё".repeat(200)] {
            assert_eq!(sanitised(&text.repeat(2), &mut String::new()).len(), 200);
            assert_eq!(sanitised(&text, &mut String::new()).len(), 200);
        }
        let cut = format!("{} b", "x".repeat(199));
        assert_eq!(sanitised(&cut, &mut String::new()), "x".repeat(199));
    }

    proptest! {
        #[test]
        fn a_value_that_is_as_it_should_be_stays(
            text in prop_oneof!["[ :aя\\t\u{a0}]{0,8}", "[ a]{195,205}", "\\PC{0,20}", any::<String>()],
        ) {
            let mut scratch = String::new();
            let once = sanitised(&text, &mut scratch);
            prop_assert!(is_sane(once.as_bytes()), "{:?}", once);
            prop_assert_eq!(sanitised(once, &mut String::from("what was before")).to_owned(), once);
        }
    }
}
