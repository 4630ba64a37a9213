//! Paths of requests into templates, so that the number of series does not grow with the data. Services and
//! the pipeline call a path the same.

/// The path of `target` (a path or a URL, with or without a query) with ids replaced by `{id}`. It is
/// written to `scratch` where it is not `target` itself.
pub fn template<'a>(target: &'a str, scratch: &'a mut String) -> &'a str {
    if is_template(target) {
        return target;
    }
    let end = target.bytes().position(|b| matches!(b, b'?' | b'#')).unwrap_or(target.len());
    let path = &target[..end];
    let path = match path.match_indices(':').find_map(|(at, _)| path[at..].strip_prefix("://")) {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    };
    scratch.clear();
    let (mut copied, mut start) = (0, 0);
    loop {
        // Segments are too short for a search by whole words of memory.
        let length = path.as_bytes()[start..].iter().position(|byte| *byte == b'/');
        let end = length.map_or(path.len(), |length| start + length);
        if is_id(&path[start..end]) {
            scratch.push_str(&path[copied..start]);
            scratch.push_str("{id}");
            copied = end;
        }
        if end == path.len() {
            break;
        }
        start = end + 1;
    }
    match (path, copied) {
        ("", _) => "/",
        (path, 0) => path,
        (path, copied) => {
            scratch.push_str(&path[copied..]);
            scratch
        }
    }
}

/// Whether there can be nothing to replace: no id is without a digit, no URL without a colon.
fn is_template(target: &str) -> bool {
    // Without a branch, so that many bytes are looked at at once: digits and the colon are neighbours.
    let hides = |byte: u8| (byte.wrapping_sub(b'0') <= b':' - b'0') | (byte == b'?') | (byte == b'#');
    !target.is_empty() && !target.bytes().fold(false, |any, byte| any | hides(byte))
}

/// Numbers, UUIDs, long hexadecimal texts, and names that end in a number of four digits or more
/// (`LC-2026-004711`).
pub fn is_id(segment: &str) -> bool {
    let (mut digits, mut trailing, mut hex) = (0, 0, true);
    for byte in segment.bytes() {
        if byte.is_ascii_digit() {
            digits += 1;
            trailing += 1;
        } else {
            trailing = 0;
            hex &= matches!(byte, b'a'..=b'f' | b'A'..=b'F' | b'-');
        }
    }
    digits > 0 && (digits == segment.len() || (hex && segment.len() >= 8) || trailing >= 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_templates_and_queries_go() {
        for (target, expected) in [
            ("/contracts/4711/sign?token=x", "/contracts/{id}/sign"),
            ("https://example.com/v1/parcels/77:01:0001:12#top", "/v1/parcels/77:01:0001:12"),
            ("https://example.com", "/"),
            ("/users/550e8400-e29b-41d4-a716-446655440000", "/users/{id}"),
            ("/documents/LC-2026-004711/pages/2", "/documents/{id}/pages/{id}"),
            ("/api/v2/health", "/api/v2/health"),
            ("/objects/x-2026/x-202", "/objects/{id}/x-202"),
            ("/contracts/new", "/contracts/new"),
            ("/contracts#top", "/contracts"),
            ("s3://bucket/deadbeef", "/deadbeef"),
            ("a:b", "a:b"),
            ("//x//", "//x//"),
            ("?a", "/"),
            ("", "/"),
        ] {
            assert_eq!(template(target, &mut String::from("what was before")), expected, "{target}");
        }
    }
}
