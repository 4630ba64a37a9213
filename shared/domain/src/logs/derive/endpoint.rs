//! Paths of requests into templates, so that the number of series does not grow with the data.

/// The path of `target` (a path or a URL, with or without a query) with ids replaced by `{id}`.
pub(super) fn template(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    };
    let segments: Vec<&str> = path.split('/').map(|segment| if is_id(segment) { "{id}" } else { segment }).collect();
    let template = segments.join("/");
    if template.is_empty() { "/".to_owned() } else { template }
}

/// Numbers, UUIDs, long hexadecimal texts, and names that end in a number of four digits or more
/// (`LC-2026-004711`).
fn is_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let hex = segment.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let trailing = segment.bytes().rev().take_while(u8::is_ascii_digit).count();
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
            ("", "/"),
        ] {
            assert_eq!(template(target), expected, "{target}");
        }
    }
}
