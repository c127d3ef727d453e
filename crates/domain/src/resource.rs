//! What an access token is for: the address of an API (RFC 8707), which becomes the token's `aud`.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::uri::{HttpUri, InvalidUri};

/// The address of a resource server (RFC 8707 §2): absolute, without a fragment, by `https` or,
/// within a network of one's own, `http`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Resource(Arc<str>);

impl Resource {
    /// The text, as it was registered and as it stands in `aud`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a requested address is this one: the same characters, except that a host without a
    /// path may have a slash behind it or not (RFC 3986 §6.2.3). Clients that keep addresses in a
    /// browser's `URL` cannot send one without.
    pub fn matches(&self, requested: &str) -> bool {
        let is_host =
            |text: &str| HttpUri::of(text).is_ok_and(|uri| uri.origin_bytes == text.len());
        *self.0 == *requested
            || (requested.strip_suffix('/') == Some(&self.0) && is_host(&self.0))
            || (self.0.strip_suffix('/') == Some(requested) && is_host(requested))
    }
}

impl FromStr for Resource {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        HttpUri::of(text).map(|_| Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n019_a_resource_is_an_absolute_address_without_a_fragment() {
        for good in [
            "https://api.example",
            "https://api.example/files",
            "https://api.example/files?tenant=7",
            "http://files.internal:8080/",
            "http://127.0.0.1:8080",
        ] {
            assert_eq!(good.parse::<Resource>().unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", InvalidUri::Scheme),
            ("files", InvalidUri::Scheme),
            ("/files", InvalidUri::Scheme),
            ("//api.example/", InvalidUri::Scheme),
            ("urn:example:files", InvalidUri::Scheme),
            ("https://api.example/#files", InvalidUri::Fragment),
            ("https://api.example#", InvalidUri::Fragment),
            ("https://api.example/*", InvalidUri::Wildcard),
            ("https://API.example/", InvalidUri::UpperCaseHost),
            ("https://ada@api.example/", InvalidUri::UserInfo),
            ("https://api.example/../b", InvalidUri::DotSegment),
        ] {
            assert_eq!(bad.parse::<Resource>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn only_the_slash_behind_a_host_does_not_matter() {
        let matches = |own: &str, requested| own.parse::<Resource>().unwrap().matches(requested);
        for (own, requested, expected) in [
            ("https://api.example", "https://api.example", true),
            ("https://api.example", "https://api.example/", true),
            ("https://api.example/", "https://api.example", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", true),
            ("https://api.example", "https://api.example//", false),
            ("https://api.example/a", "https://api.example/a/", false),
            ("https://api.example/a/", "https://api.example/a", false),
            ("https://api.example", "https://api.example/a", false),
            ("https://api.example", "https://api.example:443", false),
            ("https://api.example", "https://API.example", false),
            ("https://api.example", "https://api.example#", false),
            ("https://api.example?a", "https://api.example?a/", false),
            ("https://api.example", "", false),
        ] {
            assert_eq!(matches(own, requested), expected, "{own}, {requested}");
        }
    }
}
