//! Texts in Slack's markup, cut to what Slack takes.

/// Longest link, in characters: one that is signed with the credentials of a role has almost two thousand.
const MAX_LINK: usize = 2_800;

/// Slack refuses a message with an empty text in it.
pub(super) fn something(text: &str) -> &str {
    if text.chars().all(|c| c.is_whitespace() || c.is_control()) { "(no text)" } else { text }
}

/// A link can't contain what ends it. One that is too long is left out, with its title in its place.
pub(in crate::notifying) fn link(url: &str, text: &str) -> String {
    let url: String = url.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
    let url = url.replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C");
    if url.is_empty() || url.chars().count() > MAX_LINK { text.to_owned() } else { format!("<{url}|{text}>") }
}

/// `text` with what is markup to Slack written out (`<!channel>` would call everybody), at most `max`
/// characters of it.
pub(super) fn escaped(text: &str, max: usize) -> String {
    let fits = fitting(text, max);
    if fits == text.len() {
        return text.chars().map(escape).collect();
    }
    let fits = fitting(text, max - 1);
    text[..fits].chars().map(escape).chain(["\u{2026}".to_owned()]).collect()
}

/// The same for a literal text: a backquote would end it.
pub(super) fn literal(text: &str, max: usize) -> String {
    escaped(&text.replace('`', "'"), max)
}

/// How many bytes of `text` are at most `max` characters when escaped.
pub(super) fn fitting(text: &str, max: usize) -> usize {
    let mut length = 0;
    for (at, c) in text.char_indices() {
        length += escape(c).chars().count();
        if length > max {
            return at;
        }
    }
    text.len()
}

fn escape(c: char) -> String {
    match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        // A tab or a line break is text, anything else of that kind is not.
        c if c.is_control() && !matches!(c, '\n' | '\t') => " ".to_owned(),
        c => c.to_string(),
    }
}
