//! Addresses of networks are masked in what messages show. The archive has them, for whoever looks into a matter; mail
//! boxes and chats, which many read and nobody clears, have not (defect 22).

use core::net::Ipv6Addr;
use std::borrow::Cow;
use std::ops::Range;

/// What stands for an address.
pub const ADDRESS: &str = "[address]";

/// The longest text of an IPv6 address, in bytes.
const MAX_IPV6: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// `text` with [`ADDRESS`] in place of each IPv4 and IPv6 address. Ports, lengths of prefixes and brackets beside them
/// stay. What only looks like one, as a version of four numbers does, is masked as well.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(found) = find(rest) {
        out.push_str(&rest[..found.start]);
        out.push_str(ADDRESS);
        rest = &rest[found.end..];
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where the first address is.
fn find(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find_map(|at| {
        let end = ipv6_end(text, at).or_else(|| ipv4_end(bytes, at))?;
        Some(at..end)
    })
}

/// The end of the IPv4 address that begins at `at`: four numbers that are not part of more of them. Zeros before a
/// number are taken, as some programs write all three digits.
fn ipv4_end(bytes: &[u8], at: usize) -> Option<usize> {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let has_before = |back: usize| at.checked_sub(back).is_some_and(is_digit);
    if !is_digit(at) || has_before(1) || (has_before(2) && bytes[at - 1] == b'.') {
        return None;
    }
    let mut end = at;
    for number in 0..4 {
        if number > 0 {
            if bytes.get(end) != Some(&b'.') {
                return None;
            }
            end += 1;
        }
        let from = end;
        let mut value = 0;
        while is_digit(end) && end - from < 4 {
            value = value * 10 + u32::from(bytes[end] - b'0');
            end += 1;
        }
        if end == from || end - from > 3 || value > 255 {
            return None;
        }
    }
    let goes_on = bytes.get(end) == Some(&b'.') && is_digit(end + 1);
    (!goes_on).then_some(end)
}

/// The end of the longest IPv6 address that begins at `at`, as a word or after a colon (`ip:2001:db8::1`), and ends with
/// a word or before a colon (a port without brackets).
fn ipv6_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    if !bytes[at].is_ascii_hexdigit() && !bytes[at..].starts_with(b"::") || is_within_word(&bytes[..at]) {
        return None;
    }
    let run = bytes[at..].iter().take(MAX_IPV6).take_while(|byte| is_part(byte)).count();
    // Most words end here.
    if bytes[at..at + run].iter().filter(|byte| **byte == b':').count() < 2 {
        return None;
    }
    let is_end = |end: &usize| match &bytes[*end..] {
        [b'.', next, ..] => !next.is_ascii_digit(),
        [next, ..] => !is_of_word(next),
        [] => true,
    };
    let is_address = |end: &usize| {
        let word = &text[at..*end];
        // `::` alone is no host, and joins names in code.
        word.bytes().any(|byte| byte.is_ascii_hexdigit()) && word.parse::<Ipv6Addr>().is_ok()
    };
    (at + 2..=at + run).rev().filter(is_end).find(is_address)
}

/// Whether a letter, a digit or `_` ends what is `before`. One that is the end of an escape (`\n` in a JSON text within a
/// text) ends no word.
fn is_within_word(before: &[u8]) -> bool {
    match before {
        [.., b'\\', _] => false,
        [.., last] => is_of_word(last),
        [] => false,
    }
}

fn is_of_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_masked_word_by_word() {
        for (text, expected) in [
            ("93.184.216.34", "[address]"),
            ("5 failed logins from 93.184.216.34.", "5 failed logins from [address]."),
            ("X-Forwarded-For: 93.184.216.34, 10.0.0.1,2001:db8::1", "X-Forwarded-For: [address], [address],[address]"),
            ("ip=10.0.1.23;port=1", "ip=[address];port=1"),
            (r#"{"ip":"10.0.1.23","to":"::1"}"#, r#"{"ip":"[address]","to":"[address]"}"#),
            (r"a\n93.184.216.34\n2001:db8::1\f2001:db8::2", r"a\n[address]\n[address]\f[address]"),
            ("http://10.0.0.1:8080/a (10.0.0.0/8)", "http://[address]:8080/a ([address]/8)"),
            ("010.001.002.003 с93.184.216.34ю", "[address] с[address]ю"),
            ("from=[2001:DB8::1]:443 fe80::1%eth0", "from=[[address]]:443 [address]%eth0"),
            ("2001:db8::1.Refused 93.184.216.34.Refused", "[address].Refused [address].Refused"),
            ("ip:2001:db8::1. ip6:2001:db8:0:1:2:3:4:5", "ip:[address]. ip6:[address]"),
            ("2001:db8:0:0:0:0:0:1:443, ::ffff:93.184.216.34", "[address]:443, [address]"),
            ("fe80:: is, 2001:db8::/32", "[address] is, [address]/32"),
            ("app@10.0.1.23(51234)", "app@[address](51234)"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_stays_as_it_is() {
        for text in [
            "",
            "договор 12 не создан",
            "2026-11-21T10:05:03.120Z, 10:05:03, 10:05",
            "1.2.3, 1.2.3.4.5, 1.2.3.256, 1.2.3.4444, 1..2.3.4",
            "std::fs::File, db::Error, dead::beef_, crate::a, ::, a:b",
            "12:34:56:78:9a:bc",
            "1-5759e988-bd862e3fe1be46a994272793",
            "50:01:0000001:1 in 77:01:0001001:1002",
            "[address]",
        ] {
            assert!(matches!(masked(text), Cow::Borrowed(same) if same == text), "{text}: {}", masked(text));
        }
    }

    fn addresses() -> impl Strategy<Value = IpAddr> {
        // With few zeros there is no `::`, with many there is.
        let groups = prop_oneof![Just([0u16; 8]), any::<[u16; 8]>(), prop::array::uniform8(0..2u16)];
        prop_oneof![
            any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
            groups.prop_map(|g| Ipv6Addr::from(g).into())
        ]
    }

    proptest! {
        #[test]
        fn no_address_is_left_whatever_stands_beside_it(
            found in prop::collection::vec((addresses(), "[ ,;=()\"'<>|]{1,3}"), 1..5),
        ) {
            let text: String = found.iter().map(|(address, beside)| format!("{address}{beside}")).collect();
            let told = masked(&text);
            // `::` alone is nobody's.
            let hosts = found.iter().filter(|(address, _)| address.to_string() != "::").count();
            prop_assert_eq!(told.matches(ADDRESS).count(), hosts, "{} of {}", told, text);
        }

        #[test]
        fn masking_what_is_masked_changes_nothing(text in "[a-f0-9.:\\\\/ nя_-]{0,60}") {
            let once = masked(&text).into_owned();
            prop_assert_eq!(masked(&once), once.as_str(), "{}", text);
        }
    }
}
