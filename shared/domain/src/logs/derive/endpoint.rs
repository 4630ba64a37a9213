//! Paths of requests into templates, so that the number of series does not grow with the data.

/// The path of `target` (a path or a URL, with or without a query) with ids replaced by `{id}`. It is
/// written to `scratch` where it is not `target` itself.
pub(super) fn template<'a>(target: &'a str, scratch: &'a mut String) -> &'a str {
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
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            scratch.push('/');
        }
        scratch.push_str(if is_id(segment) { "{id}" } else { segment });
    }
    if scratch.is_empty() { "/" } else { scratch }
}

/// Whether there can be nothing to replace: no id is without a digit, no URL without a colon.
fn is_template(target: &str) -> bool {
    !target.is_empty() && !target.bytes().any(|b| b.is_ascii_digit() || matches!(b, b'?' | b'#' | b':'))
}

/// Numbers, UUIDs, long hexadecimal texts, and names that end in a number of four digits or more
/// (`LC-2026-004711`).
pub(super) fn is_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return false;
    }
    let hex = segment.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let trailing = segment.bytes().rev().take_while(u8::is_ascii_digit).count();
    digits == segment.len() || (hex && segment.len() >= 8) || trailing >= 4
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
