//! The one spelling in which we take an address (RFC 3986, much narrowed).
//!
//! Libraries, browsers and proxies read a sloppy address each in their own way, and most open
//! redirects live in that difference. So nothing is repaired here: an address that any of them would
//! rewrite before following it is refused where it is registered, and later compared as it stands.
//! The grammar is our own and never grows narrower, because a replay reads what was registered years
//! ago by it; a library with tables of Unicode would change its mind with each edition of them. Every check is one
//! pass over at most [`URI_BYTES_MAX`] bytes.

use core::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// The longest address, in bytes. Some browsers and proxies cut what is longer.
pub const URI_BYTES_MAX: usize = 2_000;

/// RFC 1035 §2.3.4, without the root's dot.
const HOST_BYTES_MAX: usize = 253;
/// RFC 1035 §2.3.4.
const LABEL_BYTES_MAX: usize = 63;

/// Why a text is no address as we take it. The sentence names the remedy.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidUri {
    /// Longer than is taken.
    #[error("may have at most {URI_BYTES_MAX} bytes")]
    TooLong,
    /// A character that no address has, such as a blank, a backslash or one beyond ASCII.
    #[error(
        "may have only the characters of RFC 3986: percent-encode others, and write names of hosts beyond ASCII as \
         punycode (xn--…)"
    )]
    Character,
    /// A `%` without two hexadecimal digits behind it.
    #[error("has a % without two hexadecimal digits behind it")]
    PercentEncoding,
    /// It has a fragment, if only an empty one.
    #[error("may not have a fragment (#)")]
    Fragment,
    /// A star that somebody hopes is expanded.
    #[error("may not have a *: it is compared character by character")]
    Wildcard,
    /// Not of one of the schemes that its kind allows.
    #[error("must begin with https:// or http://, in lower case")]
    Scheme,
    /// Somebody's name stands before the host, where people look for the host.
    #[error("may not have a user name before the host (@)")]
    UserInfo,
    /// The host is written with capitals, which browsers take away.
    #[error("must have its host in lower case")]
    UpperCaseHost,
    /// The host ends in a dot: the same machine, another origin.
    #[error("may not have a dot at the end of its host")]
    TrailingDot,
    /// No name of a host and no address of one in its usual form.
    #[error(
        "must have as its host a name such as app.example.com, or an IP address in its shortest usual form"
    )]
    Host,
    /// No port, or not in its usual form.
    #[error("must have as its port a number from 1 to 65535, without leading zeros")]
    Port,
    /// The port that the scheme means anyhow, which browsers take away.
    #[error("must leave out the port that its scheme has anyway")]
    DefaultPort,
    /// A segment that means this folder or the one above, however it is encoded.
    #[error("may not have the segments . and .. in its path, encoded or not")]
    DotSegment,
    /// An apostrophe in the query, which browsers encode.
    #[error("must have apostrophes in its query encoded, as %27")]
    Apostrophe,
}

/// An address by `http` or `https`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpUri<'t> {
    /// Whether it is `https`.
    pub(crate) is_https: bool,
    /// The host as it is written, an IPv6 address in its brackets.
    pub(crate) host: &'t str,
    /// The query without its question mark, if there is one.
    pub(crate) query: Option<&'t str>,
    /// How many bytes scheme, host and port take.
    pub(crate) origin_bytes: usize,
}

impl<'t> HttpUri<'t> {
    /// Takes an address apart, if it is spelt as browsers spell it.
    ///
    /// # Errors
    /// The first thing that is not.
    pub(crate) fn of(text: &'t str) -> Result<Self, InvalidUri> {
        check_characters(text)?;
        let (is_https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(InvalidUri::Scheme),
        };
        let (authority, rest) = split_before(rest, &['/', '?']);
        let (host, port) = host_and_port(authority)?;
        if port == Some(if is_https { 443 } else { 80 }) {
            return Err(InvalidUri::DefaultPort);
        }
        check_host(host)?;
        let query = path_and_query(rest)?;
        Ok(Self {
            is_https,
            host,
            query,
            origin_bytes: text.len() - rest.len(),
        })
    }
}

/// Length, characters, percent-encoding, and what no address of ours has anywhere.
pub(crate) fn check_characters(text: &str) -> Result<(), InvalidUri> {
    if text.len() > URI_BYTES_MAX {
        return Err(InvalidUri::TooLong);
    }
    // RFC 3986 §2.2 and §2.3, and the percent sign.
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    if !text.bytes().all(known) {
        return Err(InvalidUri::Character);
    }
    if text.contains('#') {
        return Err(InvalidUri::Fragment);
    }
    if text.contains('*') {
        return Err(InvalidUri::Wildcard);
    }
    let is_encoded = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_encoded) {
        return Err(InvalidUri::PercentEncoding);
    }
    Ok(())
}

/// The name of a host, or an address of one, in the form that browsers give it.
pub(crate) fn check_host(host: &str) -> Result<(), InvalidUri> {
    if let Some(address) = host.strip_prefix('[') {
        return check_ipv6(address.strip_suffix(']').ok_or(InvalidUri::Host)?);
    }
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(InvalidUri::UpperCaseHost);
    }
    if host.len() > 1 && host.ends_with('.') {
        return Err(InvalidUri::TrailingDot);
    }
    let well_formed = host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label);
    if !well_formed || (ends_in_number(host) && host.parse::<Ipv4Addr>().is_err()) {
        return Err(InvalidUri::Host);
    }
    Ok(())
}

/// The path and what follows it. Gives the query.
pub(crate) fn path_and_query(rest: &str) -> Result<Option<&str>, InvalidUri> {
    let (path, query) = split_before(rest, &['?']);
    // RFC 3986 §3.3 knows no brackets in a path; browsers leave them or do not.
    if rest.contains(['[', ']']) {
        return Err(InvalidUri::Character);
    }
    // Servers decode before they look for segments; some cut what is behind a semicolon first.
    let decoded = percent_decoded(path);
    let is_dots = |segment: &[u8]| {
        let name = segment.split(|b| *b == b';').next();
        matches!(name, Some(b"." | b".."))
    };
    if decoded.split(|b| matches!(b, b'/' | b'\\')).any(is_dots) {
        return Err(InvalidUri::DotSegment);
    }
    let query = query.strip_prefix('?');
    if query.is_some_and(|query| query.contains('\'')) {
        return Err(InvalidUri::Apostrophe);
    }
    Ok(query)
}

/// What somebody sees who decodes a text once. It was checked before.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|n| u8::try_from(n).ok())
    };
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        if let [high, low, rest @ ..] = part.as_bytes()
            && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
        {
            decoded.push(high << 4 | low);
            decoded.extend_from_slice(rest);
        }
    }
    decoded
}

/// The number of a port as browsers write it.
pub(crate) fn port(text: &str) -> Result<u16, InvalidUri> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(port) if plain => Ok(port),
        Ok(_) | Err(_) => Err(InvalidUri::Port),
    }
}

/// Splits a text before the first of these characters.
fn split_before<'t>(text: &'t str, ends: &[char]) -> (&'t str, &'t str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), InvalidUri> {
    if authority.contains('@') {
        return Err(InvalidUri::UserInfo);
    }
    // The colons of an IPv6 address stand within its brackets.
    let end_of_address = authority.rfind(']').map_or(0, |at| at + 1);
    let (address, rest) = authority.split_at(end_of_address);
    match rest.split_once(':') {
        None => Ok((authority, None)),
        Some((name, digits)) => {
            let host = &authority[..address.len() + name.len()];
            Ok((host, Some(port(digits)?)))
        }
    }
}

fn check_ipv6(address: &str) -> Result<(), InvalidUri> {
    // What ends in an IPv4 address is written in two ways; neither is needed.
    if address.contains('.') {
        return Err(InvalidUri::Host);
    }
    let parsed: Ipv6Addr = address.parse().map_err(|_| InvalidUri::Host)?;
    // RFC 5952: there is one spelling.
    if parsed.to_string() != address {
        return Err(InvalidUri::Host);
    }
    Ok(())
}

/// RFC 1123 §2.1, in lower case.
fn is_label(label: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(known)
}

/// Whether browsers read a host as an IPv4 address, such as 127.1 or 0x7f000001 (WHATWG URL §3.5).
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    last.bytes().all(|b| b.is_ascii_digit()) || last.strip_prefix("0x").is_some_and(is_hex)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for good in [
            "https://app.example",
            "https://app.example/",
            "https://app.example?x=1",
            "https://app.example/cb",
            "https://app.example:8443/a/b.c/~d/e%20f?g=h&i=%2F/?",
            "https://xn--bcher-kva.example/",
            "https://192.0.2.1/cb",
            "https://[2001:db8::1]:8443/cb",
            "https://localhost/cb",
            "https://a--b.example/...",
            "https://1.2.3.4.example/",
            "http://files.internal:8080/a;b=c",
        ] {
            assert!(HttpUri::of(good).is_ok(), "{good}: {:?}", HttpUri::of(good));
        }
        for (bad, why) in [
            ("", InvalidUri::Scheme),
            ("app.example/cb", InvalidUri::Scheme),
            ("//app.example/cb", InvalidUri::Scheme),
            ("/cb", InvalidUri::Scheme),
            ("https:/app.example/cb", InvalidUri::Scheme),
            ("https:app.example", InvalidUri::Scheme),
            ("HTTPS://app.example/cb", InvalidUri::Scheme),
            ("ftp://app.example/cb", InvalidUri::Scheme),
            (" https://app.example", InvalidUri::Character),
            ("https://app.example/a b", InvalidUri::Character),
            ("https://app.example\\@evil.example", InvalidUri::Character),
            ("https://app.example/\t", InvalidUri::Character),
            ("https://app.example/\r\nX: y", InvalidUri::Character),
            ("https://app.example/\0", InvalidUri::Character),
            ("https://app.example/\"", InvalidUri::Character),
            ("https://app.example/|", InvalidUri::Character),
            ("https://\u{430}pp.example/", InvalidUri::Character),
            ("https://app\u{3002}example/", InvalidUri::Character),
            ("https://app.example/[x]", InvalidUri::Character),
            ("https://app.example/%", InvalidUri::PercentEncoding),
            ("https://app.example/%2", InvalidUri::PercentEncoding),
            ("https://app.example/%zz", InvalidUri::PercentEncoding),
            ("https://app.example/%+1", InvalidUri::PercentEncoding),
            ("https://app.example/#", InvalidUri::Fragment),
            ("https://app.example/cb#f", InvalidUri::Fragment),
            ("https://*.app.example/cb", InvalidUri::Wildcard),
            ("https://app.example/*", InvalidUri::Wildcard),
            ("https://app@evil.example/cb", InvalidUri::UserInfo),
            ("https://app.example:x@evil.example/", InvalidUri::UserInfo),
            ("https://@app.example/cb", InvalidUri::UserInfo),
            ("https://App.example/cb", InvalidUri::UpperCaseHost),
            ("https://app.example./cb", InvalidUri::TrailingDot),
            ("https://", InvalidUri::Host),
            ("https:///cb", InvalidUri::Host),
            ("https://./cb", InvalidUri::Host),
            ("https://app..example/", InvalidUri::Host),
            ("https://-app.example/", InvalidUri::Host),
            ("https://app_1.example/", InvalidUri::Host),
            ("https://app%2eexample/", InvalidUri::Host),
            ("https://127.1/", InvalidUri::Host),
            ("https://2130706433/", InvalidUri::Host),
            ("https://0x7f000001/", InvalidUri::Host),
            ("https://0x7f.0.0.0x1/", InvalidUri::Host),
            ("https://127.0.0.01/", InvalidUri::Host),
            ("https://1.2.3.4.5/", InvalidUri::Host),
            ("https://256.0.0.1/", InvalidUri::Host),
            ("https://[::1/", InvalidUri::Port),
            ("https://[0:0:0:0:0:0:0:1]/", InvalidUri::Host),
            ("https://[2001:DB8::1]/", InvalidUri::Host),
            ("https://[::ffff:127.0.0.1]/", InvalidUri::Host),
            ("https://[::1%25eth0]/", InvalidUri::Host),
            ("https://[::1]x/", InvalidUri::Host),
            ("https://[v1.x]/", InvalidUri::Host),
            ("https://x[::1]/", InvalidUri::Host),
            ("https://app.example:/", InvalidUri::Port),
            ("https://app.example:0/", InvalidUri::Port),
            ("https://app.example:08443/", InvalidUri::Port),
            ("https://app.example:65536/", InvalidUri::Port),
            ("https://app.example:+1/", InvalidUri::Port),
            ("https://app.example:1:2/", InvalidUri::Port),
            ("https://app.example:443/cb", InvalidUri::DefaultPort),
            ("http://app.example:80/cb", InvalidUri::DefaultPort),
            ("https://app.example/..", InvalidUri::DotSegment),
            ("https://app.example/./cb", InvalidUri::DotSegment),
            ("https://app.example/cb/../evil", InvalidUri::DotSegment),
            ("https://app.example/%2e%2E/evil", InvalidUri::DotSegment),
            ("https://app.example/.%2e?x", InvalidUri::DotSegment),
            ("https://app.example/cb%2f..%2fevil", InvalidUri::DotSegment),
            ("https://app.example/cb%5C..", InvalidUri::DotSegment),
            ("https://app.example/cb/..;x/evil", InvalidUri::DotSegment),
            ("https://app.example/?a='b'", InvalidUri::Apostrophe),
        ] {
            assert_eq!(HttpUri::of(bad), Err(why), "{bad:?}");
        }
        let label = format!("https://{}.example/", "a".repeat(64));
        assert_eq!(HttpUri::of(&label), Err(InvalidUri::Host));
        let host = format!("https://{}example/", "a.".repeat(124));
        assert_eq!(HttpUri::of(&host), Err(InvalidUri::Host));
    }

    #[test]
    fn the_origin_is_what_stands_before_the_path() {
        for (text, host, origin, query) in [
            ("https://a.example", "a.example", "https://a.example", None),
            (
                "https://a.example:1/b?",
                "a.example",
                "https://a.example:1",
                Some(""),
            ),
            ("http://[::1]:2?c=d", "[::1]", "http://[::1]:2", Some("c=d")),
        ] {
            let uri = HttpUri::of(text).unwrap();
            assert_eq!((uri.host, uri.query), (host, query), "{text}");
            assert_eq!(&text[..uri.origin_bytes], origin, "{text}");
        }
    }

    #[test]
    fn n129_what_is_too_long_is_not_even_looked_at() {
        // Each is refused for something else when it is short; long, it is refused for its length
        // alone, which is known without reading it.
        for bait in ["/..", "%", "a.", "@", "[", ":1", "\u{430}", "%2e%2e/", "\\"] {
            let short = format!("https://{bait}");
            assert_ne!(HttpUri::of(&short), Err(InvalidUri::TooLong), "{short}");
            let long = format!("https://{}", bait.repeat(1 << 20));
            assert_eq!(HttpUri::of(&long), Err(InvalidUri::TooLong), "{bait}");
        }
        let longest = format!("https://a.example/{}", "%2e".repeat(660));
        assert!(longest.len() <= URI_BYTES_MAX);
        assert!(HttpUri::of(&longest).is_ok());
    }

    /// Goal: a browser follows exactly the address that was registered and compared. Method: what is
    /// accepted is read by the rules that browsers have, and must come out as it went in.
    fn check_that_browsers_change_nothing(text: &str) {
        if HttpUri::of(text).is_err() {
            return;
        }
        let read = match Url::parse(text) {
            Ok(read) => read,
            // Whether punycode means anything depends on the edition of Unicode; one that means
            // nothing leads nowhere.
            Err(_) if text.contains("xn--") => return,
            Err(error) => panic!("{text}: {error}"),
        };
        // An empty path is written as a slash in the request anyhow.
        let origin = &text[..HttpUri::of(text).unwrap().origin_bytes];
        let rest = &text[origin.len()..];
        let slash = if rest.starts_with('/') { "" } else { "/" };
        assert_eq!(read.as_str(), format!("{origin}{slash}{rest}"));
        assert_eq!(read.username(), "");
        assert_eq!(read.fragment(), None);
    }

    proptest! {
        #[test]
        fn browsers_change_nothing_in_what_is_accepted(
            text in "https?://([a-z0-9.-]{1,12}|[0-9.x]{1,9}|\\[[0-9a-f:]{2,9}\\])(:[0-9]{1,5})?([/?][a-z0-9./%2eE'&=;+\\[\\]-]{0,12}){0,2}"
        ) {
            check_that_browsers_change_nothing(&text);
        }

        #[test]
        fn browsers_change_nothing_in_what_is_accepted_of_anything(text in "https://a\\PC{0,20}") {
            check_that_browsers_change_nothing(&text);
        }
    }
}
