//! Whose request it is: the client's address as the nearest proxy that we trust tells it.
//!
//! Anybody can write an `X-Forwarded-For` header, and each proxy appends whom it was called by. So the list is
//! read from its end, as far as proxies are trusted. (The source document took the first entry, which is whatever
//! the client chose to write.)

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The proxies whose word about their caller is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Trust);

#[derive(Debug, Clone, Default)]
enum Trust {
    #[default]
    Nobody,
    Hops(usize),
    Networks(Vec<Network>),
}

#[derive(Debug, Clone, Copy)]
struct Network {
    address: u128,
    mask: u128,
}

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network: an address, or `address/bits`")]
pub struct NetworkError(String);

impl TrustedProxies {
    /// Nobody is believed: the client is who is connected to us.
    pub fn none() -> TrustedProxies {
        TrustedProxies(Trust::Nobody)
    }

    /// There are always this many proxies between the client and us, the one that is connected to us among them:
    /// 1 behind a load balancer, 2 with a content delivery network before it.
    pub fn hops(count: usize) -> TrustedProxies {
        TrustedProxies(if count == 0 { Trust::Nobody } else { Trust::Hops(count) })
    }

    /// Proxies have addresses in these networks (`10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`).
    ///
    /// # Errors
    ///
    /// The first text that is none.
    pub fn networks<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<TrustedProxies, NetworkError> {
        let networks = networks.into_iter().map(Network::parse).collect::<Result<_, _>>()?;
        Ok(TrustedProxies(Trust::Networks(networks)))
    }

    /// The client's address. `peer` is who is connected to us, `forwarded` the values of all `X-Forwarded-For`
    /// headers in their order. Where an entry is no address, the last one that was is the answer: the nearest that
    /// somebody trusted vouches for.
    pub fn client<'a, I>(&self, peer: Option<IpAddr>, forwarded: I) -> Option<IpAddr>
    where
        I: IntoIterator<Item = &'a str>,
        I::IntoIter: DoubleEndedIterator,
    {
        let peer = peer.map(|address| address.to_canonical());
        let entries = forwarded.into_iter().rev().flat_map(|header| header.rsplit(','));
        let mut entries = entries.map_while(parse_entry);
        match &self.0 {
            Trust::Nobody => peer,
            Trust::Hops(count) => entries.by_ref().take(*count).last().or(peer),
            Trust::Networks(networks) => {
                let trusted = |address: IpAddr| networks.iter().any(|network| network.has(address));
                let mut nearest = peer?;
                while trusted(nearest) {
                    match entries.next() {
                        Some(address) => nearest = address,
                        None => break,
                    }
                }
                Some(nearest)
            }
        }
    }
}

/// An entry of the header: an address, with or without a port, brackets or quotes.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim().trim_matches('"');
    let unbracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let address = entry.parse().ok().or_else(unbracketed);
    let address = address.or_else(|| entry.parse().ok().map(|with_port: SocketAddr| with_port.ip()))?;
    Some(address.to_canonical())
}

impl Network {
    fn parse(text: &str) -> Result<Network, NetworkError> {
        let refused = || NetworkError(text.chars().take(80).collect());
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits: u32 = match bits {
            // `parse` would take a sign.
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().map_err(|_| refused())?,
            Some(_) => return Err(refused()),
            None => width,
        };
        if bits > width {
            return Err(refused());
        }
        let mask = u128::MAX.checked_shl(width - bits).unwrap_or(0);
        // Of an IPv4 network the 96 bits before it, too.
        let mask = if address.is_ipv4() && bits < width { mask | (u128::MAX << 32) } else { mask };
        Ok(Network { address: number(address) & mask, mask })
    }

    fn has(self, address: IpAddr) -> bool {
        number(address) & self.mask == self.address
    }
}

/// Of either kind of address, IPv4 mapped into IPv6.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client(proxies: &TrustedProxies, peer: &str, forwarded: &[&str]) -> Option<String> {
        let address = proxies.client(peer.parse().ok(), forwarded.iter().copied());
        address.map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_whom_the_nearest_trusted_proxy_names() {
        // Defect 47: the first entry was believed, which the client writes itself.
        let networks = TrustedProxies::networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]).unwrap();
        type Case<'a> = (&'a str, &'a TrustedProxies, &'a str, &'a [&'a str], Option<&'a str>);
        let cases: [Case<'_>; 22] = [
            ("nobody is trusted", &TrustedProxies::none(), "198.51.100.1", &["1.2.3.4"], Some("198.51.100.1")),
            ("no header", &networks, "10.0.0.1", &[], Some("10.0.0.1")),
            ("one proxy", &networks, "10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
            ("a forged first entry", &networks, "10.0.0.1", &["6.6.6.6, 203.0.113.9"], Some("203.0.113.9")),
            ("two proxies", &networks, "10.0.0.1", &["203.0.113.9, 10.9.9.9"], Some("203.0.113.9")),
            ("two headers", &networks, "10.0.0.1", &["6.6.6.6,203.0.113.9", "10.9.9.9"], Some("203.0.113.9")),
            ("a peer that is no proxy", &networks, "198.51.100.1", &["203.0.113.9"], Some("198.51.100.1")),
            ("only proxies", &networks, "10.0.0.1", &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            ("ports", &networks, "10.0.0.1", &["203.0.113.9:4711, 10.0.0.2:80"], Some("203.0.113.9")),
            ("IPv6", &networks, "2001:db8::1", &["2001:db9::7"], Some("2001:db9::7")),
            ("IPv6 in brackets", &networks, "10.0.0.1", &["[2001:db9::7], [2001:db8::2]:80"], Some("2001:db9::7")),
            ("IPv6 in quotes", &networks, "10.0.0.1", &["\"[2001:db9::7]:80\""], Some("2001:db9::7")),
            ("IPv4 in IPv6", &networks, "::ffff:10.0.0.1", &["::ffff:203.0.113.9"], Some("203.0.113.9")),
            ("junk next to us", &networks, "10.0.0.1", &["203.0.113.9, unknown"], Some("10.0.0.1")),
            ("junk behind a proxy", &networks, "10.0.0.1", &["<script>, 10.0.0.2"], Some("10.0.0.2")),
            ("an empty entry", &networks, "10.0.0.1", &["203.0.113.9,"], Some("10.0.0.1")),
            ("no peer is known", &networks, "", &["203.0.113.9"], None),
            ("a single address", &networks, "192.0.2.7", &["203.0.113.9"], Some("203.0.113.9")),
            ("its neighbour", &networks, "192.0.2.8", &["203.0.113.9"], Some("192.0.2.8")),
            ("one hop", &TrustedProxies::hops(1), "198.51.100.1", &["6.6.6.6, 203.0.113.9"], Some("203.0.113.9")),
            ("two hops", &TrustedProxies::hops(2), "", &["6.6.6.6, 203.0.113.9, 10.0.0.2"], Some("203.0.113.9")),
            ("fewer than there should be", &TrustedProxies::hops(3), "10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
        ];
        for (case, proxies, peer, forwarded, expected) in cases {
            assert_eq!(client(proxies, peer, forwarded).as_deref(), expected, "{case}");
        }
        assert_eq!(client(&TrustedProxies::hops(0), "10.0.0.1", &["1.2.3.4"]).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn networks_are_read_or_refused() {
        for text in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "", "/8", "example.com"] {
            assert_eq!(TrustedProxies::networks([text]).unwrap_err(), NetworkError(text.to_owned()));
        }
        let everybody = TrustedProxies::networks(["0.0.0.0/0"]).unwrap();
        assert_eq!(client(&everybody, "1.1.1.1", &["2.2.2.2"]).as_deref(), Some("2.2.2.2"));
        assert_eq!(client(&everybody, "2001::1", &["2.2.2.2"]).as_deref(), Some("2001::1"), "of IPv4 only");
        let all = TrustedProxies::networks(["::/0", " 10.1.2.3/8 "]).unwrap();
        assert_eq!(client(&all, "2001::1", &["2.2.2.2"]).as_deref(), Some("2.2.2.2"));
    }

    proptest! {
        #[test]
        fn nobody_outside_the_trusted_networks_chooses_the_answer(
            forged in prop::collection::vec("[0-9a-f.:,\\[\\] ]{0,20}|\\PC{0,8}", 0..4),
            client_address: [u8; 4],
            proxies in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            prop_assume!(client_address[0] != 10);
            let address = IpAddr::from(client_address);
            let mut header: Vec<String> = forged;
            header.push(address.to_string());
            header.extend(proxies.iter().map(|last| format!("10.0.0.{last}")));
            let header = header.join(", ");
            let trusted = TrustedProxies::networks(["10.0.0.0/8"]).unwrap();
            prop_assert_eq!(trusted.client("10.0.0.1".parse().ok(), [header.as_str()]), Some(address));
            let by_count = TrustedProxies::hops(proxies.len() + 1);
            prop_assert_eq!(by_count.client(None, [header.as_str()]), Some(address));
        }
    }
}
