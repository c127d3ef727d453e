//! Whose word is taken for where a request came from: that of the proxies that are listed.
//!
//! Each proxy adds the address of whoever spoke to it at the right end of `X-Forwarded-For`, or as
//! the last element of `Forwarded` (RFC 7239 §4). So the list is read from the right, as long as
//! what stands there is a listed proxy; the first that is none is the client. What is left of it
//! the client may have written itself: no address there is believed. In `Forwarded` it must be well
//! written all the same (see `forwarded.rs`), since its quotes reach over what stands behind.

mod forwarded;

use core::net::{IpAddr, SocketAddr};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use self::forwarded::NotForwarded;
use crate::problem::Problem;
use crate::restrictions::canonical;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies in front of this server.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

impl TrustedProxies {
    /// Those in these networks. An IPv4 network that is written as IPv6 (`::ffff:10.0.0.0/104`) is
    /// taken for what it is.
    pub fn new(networks: Vec<IpNet>) -> Self {
        let networks = networks.into_iter().map(canonical).collect();
        Self { networks }
    }

    /// The networks that hold everybody: with one of these any client is believed wherever it says
    /// that it is.
    pub fn unbounded(&self) -> impl Iterator<Item = &IpNet> {
        self.networks
            .iter()
            .filter(|network| network.prefix_len() == 0)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Where a request came from, if it came through a listed proxy that says so; otherwise the
    /// peer's own address stays what it is.
    ///
    /// # Errors
    /// 400 for a listed proxy that contradicts itself, or says what cannot be read: it is better to
    /// serve nobody than to hold somebody for another one.
    pub(crate) fn client(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
    ) -> Result<Option<SocketAddr>, Problem> {
        if !self.holds(peer.ip()) {
            return Ok(None);
        }
        let (forwarded, listed) = (one(headers, FORWARDED)?, one(headers, X_FORWARDED_FOR)?);
        let client = match (forwarded, listed) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => Err(Unclear::Both),
            (Some(forwarded), None) => {
                let hops = forwarded::nodes(forwarded).map_err(Unclear::Forwarded)?;
                let hops = hops.iter().rev();
                let hops = hops.map(|hop| hop.as_deref().and_then(node));
                self.farthest(hops).ok_or(Unclear::NoAddress(FORWARDED))
            }
            (None, Some(listed)) => {
                let hops = listed.rsplit(',').map(|hop| node(hop.trim()));
                self.farthest(hops)
                    .ok_or(Unclear::NoAddress(X_FORWARDED_FOR))
            }
        };
        Ok(Some(SocketAddr::new(client?, 0)))
    }

    /// The first that is no listed proxy, or else the last of them all; none if one on the way there
    /// cannot be read.
    fn farthest(&self, hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut farthest = None;
        for hop in hops {
            farthest = Some(hop?);
            if farthest.is_some_and(|address| !self.holds(address)) {
                break;
            }
        }
        farthest
    }
}

/// Why it cannot be said where a request came from.
#[derive(Debug, thiserror::Error)]
enum Unclear {
    #[error("Forwarded and X-Forwarded-For were both sent, and may say different things")]
    Both,
    #[error("{0} was sent twice, and may say different things")]
    Twice(HeaderName),
    #[error("{0} is not text")]
    NotText(HeaderName),
    #[error("Forwarded is not written as RFC 7239 section 4 says: {0}")]
    Forwarded(NotForwarded),
    #[error("{0} has no address where that of a client or of a proxy must stand")]
    NoAddress(HeaderName),
}

impl From<Unclear> for Problem {
    fn from(why: Unclear) -> Self {
        Self::unreadable(format!(
            "{why}. Send neither header yourself; the proxy in front of this server must send one of \
             them, and take away or append to what its clients sent."
        ))
    }
}

fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Unclear> {
    let mut values = headers.get_all(&name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Unclear::Twice(name));
    }
    HeaderValue::to_str(value)
        .map(Some)
        .map_err(|_| Unclear::NotText(name))
}

/// An address, with a port or without. `unknown` and names that hide the address (RFC 7239 §6.2,
/// §6.3) are none.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(address) => address.parse().ok().map(IpAddr::V6),
        None => text
            .parse::<IpAddr>()
            .or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()))
            .ok(),
    };
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// Whom a request from `peer` is taken to be from; 400 for none.
    fn client(peer: &str, headers: &[(&str, &str)]) -> Result<String, ()> {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let request = headers.iter().fold(TestRequest::get(), |request, header| {
            request.append_header(*header)
        });
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        let found =
            TrustedProxies::new(proxies.to_vec()).client(peer, request.to_http_request().headers());
        match found {
            Ok(found) => Ok(found.unwrap_or(peer).ip().to_string()),
            Err(_) => Err(()),
        }
    }

    #[test]
    fn from_strangers_nothing_is_believed_nor_even_read() {
        for headers in [
            vec![("X-Forwarded-For", "203.0.113.7")],
            vec![("Forwarded", "for=203.0.113.7")],
            vec![("X-Forwarded-For", "junk"), ("X-Forwarded-For", "more")],
            vec![("Forwarded", "for=1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")],
        ] {
            assert_eq!(client("192.0.2.1", &headers), Ok("192.0.2.1".into()));
        }
    }

    #[test]
    fn n106_a_network_that_is_written_as_ipv6_is_the_one_it_means() {
        for (written, meant, peer) in [
            ("::ffff:10.0.0.1/128", "10.0.0.1/32", "10.0.0.1"),
            ("::ffff:10.0.0.1/128", "10.0.0.1/32", "::ffff:10.0.0.1"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8", "10.200.0.1"),
            ("10.0.0.7/8", "10.0.0.0/8", "10.200.0.1"),
            ("fd00::7/8", "fd00::/8", "fd12::1"),
        ] {
            let proxies = TrustedProxies::new(vec![written.parse().unwrap()]);
            assert_eq!(proxies.networks[0].to_string(), meant);
            assert!(proxies.holds(peer.parse().unwrap()), "{written} {peer}");
        }
        let unbounded = |written: &str| {
            let proxies = TrustedProxies::new(vec![written.parse().unwrap()]);
            proxies.unbounded().count() == 1
        };
        for everybody in ["0.0.0.0/0", "::/0", "::ffff:0:0/96", "10.0.0.0/0"] {
            assert!(unbounded(everybody), "{everybody}");
        }
        for some in ["10.0.0.0/8", "127.0.0.1/32", "::ffff:10.0.0.0/104"] {
            assert!(!unbounded(some), "{some}");
        }
    }

    #[test]
    fn the_rightmost_that_is_no_listed_proxy_is_the_client() {
        for (listed, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            (" 203.0.113.7 ", "203.0.113.7"),
            ("203.0.113.7:50123", "203.0.113.7"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            // What the client wrote itself, to pass for another one.
            ("127.0.0.1, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.9, 203.0.113.7", "203.0.113.7"),
            ("junk, 203.0.113.7", "203.0.113.7"),
            // Two proxies in a row, and a client inside their network.
            ("203.0.113.7, 10.0.0.2", "203.0.113.7"),
            ("203.0.113.7, 10.0.0.2, fd00::2", "203.0.113.7"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ] {
            let headers = [("X-Forwarded-For", listed)];
            assert_eq!(
                client("10.0.0.1", &headers),
                Ok(expected.into()),
                "{listed}"
            );
            assert_eq!(client("::ffff:10.0.0.1", &headers), Ok(expected.into()));
        }
        assert_eq!(client("10.0.0.1", &[]), Ok("10.0.0.1".into()));
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (forwarded, expected) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=\"203.0.113.7:47011\"", "203.0.113.7"),
            ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("proto=https; for=192.0.2.60", "192.0.2.60"),
            ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
            ("for=192.0.2.43, for=10.0.0.2", "192.0.2.43"),
            // A separator inside quotes, written by the client, makes no element of its own.
            ("for=192.0.2.43;host=\"a, for=1.2.3.4\"", "192.0.2.43"),
            ("host=\"\\\", for=1.2.3.4\", for=192.0.2.43", "192.0.2.43"),
            // What a client left of the proxy says is well written, and believed all the same not.
            ("for=unknown, for=_hidden, for=192.0.2.43", "192.0.2.43"),
            (", proto=x, for=192.0.2.43", "192.0.2.43"),
            ("for=\"192.0.\\2.43\"", "192.0.2.43"),
        ] {
            let headers = [("Forwarded", forwarded)];
            assert_eq!(
                client("10.0.0.1", &headers),
                Ok(expected.into()),
                "{forwarded}"
            );
        }
    }

    #[test]
    fn n106_a_client_cannot_swallow_the_element_that_the_proxy_appends() {
        for written in [
            "for=1.2.3.4;x=\"",
            "for=1.2.3.4;x=\\\"",
            "for=1.2.3.4;x=\"\\",
            "for=1.2.3.4;x=\"\\\"",
            "host=\"a\\\"",
            "for=1.2.3.4, x=\"a\"b\"",
            "for=1.2.3.4;x",
            "for=1.2.3.4;x=",
            "for=1.2.3.4 x=\"",
            "for=\"1.2.3.4",
            "\"",
            "\\",
            "'\"",
        ] {
            for appended in [
                "for=198.51.100.9",
                "for=\"198.51.100.9\"",
                "for=198.51.100.9;host=\"keys.example\"",
                "for=198.51.100.9;host=\", for=1.2.3.4;x=\"",
                "for=198.51.100.9, for=10.0.0.2",
            ] {
                let value = format!("{written}, {appended}");
                let found = client("10.0.0.1", &[("Forwarded", &value)]);
                assert_eq!(found, Err(()), "{value}");
            }
        }
    }

    #[test]
    fn n106_a_refusal_names_the_header_and_says_what_to_do() {
        for (headers, named) in [
            (vec![("Forwarded", "for=1.1.1.1;x=\"")], "Forwarded is not"),
            (vec![("Forwarded", "proto=https")], "forwarded has no"),
            (vec![("X-Forwarded-For", "junk")], "x-forwarded-for has no"),
        ] {
            let request = headers.iter().fold(TestRequest::get(), |request, header| {
                request.append_header(*header)
            });
            let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
            let peer = "10.0.0.1:4711".parse().unwrap();
            let problem = proxies
                .client(peer, request.to_http_request().headers())
                .unwrap_err();
            let words = problem.detail();
            assert!(words.starts_with(named), "{words}");
            assert!(words.contains("Send neither header yourself"), "{words}");
        }
    }

    #[test]
    fn n139_a_proxy_that_contradicts_itself_is_refused() {
        for headers in [
            vec![("Forwarded", "for=1.1.1.1"), ("X-Forwarded-For", "1.1.1.1")],
            vec![
                ("X-Forwarded-For", "1.1.1.1"),
                ("X-Forwarded-For", "1.1.1.1"),
            ],
            vec![("Forwarded", "for=1.1.1.1"), ("Forwarded", "for=2.2.2.2")],
            vec![("Forwarded", "for=1.1.1.1;for=2.2.2.2")],
            vec![("Forwarded", "for=unknown")],
            vec![("Forwarded", "for=_hidden")],
            vec![("Forwarded", "proto=https")],
            vec![("Forwarded", "for=\"1.1.1.1")],
            vec![("Forwarded", "")],
            vec![("X-Forwarded-For", "")],
            vec![("X-Forwarded-For", "1.1.1.1,")],
            vec![("X-Forwarded-For", "unknown")],
            vec![("X-Forwarded-For", "256.1.1.1")],
            vec![("X-Forwarded-For", "1.1.1.1, junk, 10.0.0.2")],
        ] {
            assert_eq!(client("10.0.0.1", &headers), Err(()), "{headers:?}");
        }
    }
}
