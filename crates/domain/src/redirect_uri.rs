//! Where an app gets its codes back: registered beforehand, and compared character by character.
//!
//! Three kinds are taken, and each protects the code that is sent there in its own way: `https`, the
//! loopback addresses, whose requests leave no machine (RFC 8252 §7.3), and schemes of an app's own
//! (RFC 8252 §7.1). Whatever a browser would rewrite, and whatever two readers could understand in
//! two ways, is refused at registration.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

use crate::uri::{self, HttpUri, InvalidUri};

/// The loopback addresses as they begin (RFC 8252 §7.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// The parameters of our answers (RFC 6749 §4.1.2, RFC 9207 §2). An app that finds one of them twice
/// may read the wrong one.
const ANSWER_PARAMETERS: [&[u8]; 6] = [
    b"code",
    b"state",
    b"iss",
    b"error",
    b"error_description",
    b"error_uri",
];

/// Why a text cannot be registered. The sentence names the remedy.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotARedirectUri {
    /// It is no address as we take it.
    #[error(transparent)]
    Uri(#[from] InvalidUri),
    /// Its scheme runs something, reads a file, or could be anybody's.
    #[error(
        "must begin with https://, with http://127.0.0.1, http://[::1] or http://localhost for an app on the person's \
         machine, or with a scheme of the app's own that has a dot, such as com.example.app:/"
    )]
    Scheme,
    /// Anybody on the way could read the code.
    #[error("must begin with https://; http:// is for 127.0.0.1, [::1] and localhost alone")]
    PlainHttp,
    /// It has one of our answer's parameters already.
    #[error("may not have code, state, iss or an error in its query: the answer adds them")]
    AnswerParameter,
}

/// A registered redirect URI (RFC 6749 §3.1.2), as its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RedirectUri(Arc<str>);

impl RedirectUri {
    /// The text, as it was registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a requested address is this one: the same characters (RFC 9700 §2.1), except that an
    /// app on the person's machine gets its port from the system when it starts (RFC 8252 §7.3).
    pub fn matches(&self, requested: &str) -> bool {
        if *self.0 == *requested {
            return true;
        }
        LOOPBACK.iter().any(|loopback| {
            match (
                behind_port(&self.0, loopback),
                behind_port(requested, loopback),
            ) {
                (Some(registered), Some(requested)) => registered == requested,
                _ => false,
            }
        })
    }

    /// Whether it is reached by `https`, so that a name server and a certificate say whose it is.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether it is on the person's own machine.
    pub fn is_loopback(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Where people are about to be sent, in the form in which they are asked: scheme, host and
    /// port, the host in ASCII so that no look-alike passes for another; of an app's own scheme the
    /// scheme.
    pub fn origin_for_display(&self) -> &str {
        match HttpUri::of(&self.0) {
            Ok(uri) => &self.0[..uri.origin_bytes],
            Err(_) => self.scheme(),
        }
    }

    /// What a page's `form-action` must name for its form to be redirected here (CSP 3 §6.4.2).
    ///
    /// A port of a loopback address may be any, and a policy cannot name an IPv6 address at all (CSP 3
    /// §2.3.1), so that one is covered by its scheme alone.
    pub fn form_action_source(&self) -> String {
        if self.0.starts_with("http://[") {
            "http:".to_owned()
        } else if self.0.starts_with(LOOPBACK[0]) {
            format!("{}:*", LOOPBACK[0])
        } else {
            self.origin_for_display().to_owned()
        }
    }

    /// The scheme with its colon.
    fn scheme(&self) -> &str {
        let end = self.0.find(':').map_or(0, |at| at + 1);
        &self.0[..end]
    }
}

/// What follows the port of an address that begins like this, if its port is one.
fn behind_port<'t>(text: &'t str, loopback: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(loopback)?;
    let Some(rest) = rest.strip_prefix(':') else {
        return Some(rest);
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (port, rest) = rest.split_at(digits);
    uri::port(port).is_ok().then_some(rest)
}

fn check(text: &str) -> Result<(), NotARedirectUri> {
    let query = match HttpUri::of(text) {
        Ok(uri) if uri.is_https => uri.query,
        Ok(uri) => match uri.host {
            // A name that is looked up, and might lead elsewhere (RFC 8252 §8.3); but what people write
            // while they build an app, so it is taken as it stands, with its port.
            "127.0.0.1" | "[::1]" | "localhost" => uri.query,
            _ => return Err(NotARedirectUri::PlainHttp),
        },
        Err(InvalidUri::Scheme) => private_scheme(text)?,
        Err(reason) => return Err(reason.into()),
    };
    let name = |parameter: &str| {
        let name = parameter.split('=').next().unwrap_or_default();
        uri::percent_decoded(name)
    };
    let mut parameters = query.into_iter().flat_map(|query| query.split('&'));
    if parameters.any(|parameter| ANSWER_PARAMETERS.contains(&&*name(parameter))) {
        return Err(NotARedirectUri::AnswerParameter);
    }
    Ok(())
}

/// RFC 8252 §7.1: a scheme that is a domain name of the app's makers, backwards. The dot keeps out
/// `javascript:`, `data:`, `file:` and every other scheme that means something already. Apps write
/// one slash behind it, as the RFC says, or two and a name; both are only compared.
fn private_scheme(text: &str) -> Result<Option<&str>, NotARedirectUri> {
    let (scheme, rest) = text.split_once(':').ok_or(NotARedirectUri::Scheme)?;
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let is_private = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.contains('.')
        && scheme.split('.').all(is_word);
    if !is_private || !rest.starts_with('/') {
        return Err(NotARedirectUri::Scheme);
    }
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (name, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            if name.contains('@') {
                return Err(InvalidUri::UserInfo.into());
            }
            if !name.is_empty() {
                uri::check_host(name)?;
            }
            path
        }
    };
    Ok(uri::path_and_query(path)?)
}

impl FromStr for RedirectUri {
    type Err = NotARedirectUri;

    fn from_str(text: &str) -> Result<Self, NotARedirectUri> {
        check(text).map(|()| Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for RedirectUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    fn registered(text: &str) -> RedirectUri {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn what_apps_register() {
        // The text, what people are shown, what a policy names.
        for (text, shown, source) in [
            (
                "https://app.example",
                "https://app.example",
                "https://app.example",
            ),
            (
                "https://app.example/cb?tenant=7",
                "https://app.example",
                "https://app.example",
            ),
            (
                "https://app.example:8443/cb",
                "https://app.example:8443",
                "https://app.example:8443",
            ),
            (
                "https://xn--pple-43d.example/cb",
                "https://xn--pple-43d.example",
                "https://xn--pple-43d.example",
            ),
            (
                "https://localhost/cb",
                "https://localhost",
                "https://localhost",
            ),
            (
                "https://[2001:db8::1]/cb",
                "https://[2001:db8::1]",
                "https://[2001:db8::1]",
            ),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1",
                "http://127.0.0.1:*",
            ),
            (
                "http://127.0.0.1:8000/cb",
                "http://127.0.0.1:8000",
                "http://127.0.0.1:*",
            ),
            ("http://[::1]/cb", "http://[::1]", "http:"),
            (
                "com.example.app:/cb",
                "com.example.app:",
                "com.example.app:",
            ),
            (
                "com.example.app://callback",
                "com.example.app:",
                "com.example.app:",
            ),
            (
                "com.example.app:///cb?x=y",
                "com.example.app:",
                "com.example.app:",
            ),
        ] {
            let uri = registered(text);
            assert_eq!(uri.to_string(), text);
            assert_eq!(uri.origin_for_display(), shown, "{text}");
            assert_eq!(uri.form_action_source(), source, "{text}");
            assert_eq!(uri.is_https(), text.starts_with("https:"), "{text}");
            assert_eq!(uri.is_loopback(), text.starts_with("http:"), "{text}");
            assert!(uri.matches(text));
        }
    }

    #[test]
    fn n024_what_runs_something_or_is_read_on_the_way_is_not_registered() {
        use NotARedirectUri::{AnswerParameter, PlainHttp, Scheme};
        for (text, why) in [
            ("javascript:alert(1)", Scheme),
            ("javascript://app.example/%0aalert(1)", Scheme),
            ("JavaScript:alert(1)", Scheme),
            ("data:text/html,x", Scheme),
            ("vbscript:x", Scheme),
            ("file:///etc/passwd", Scheme),
            ("about:blank", Scheme),
            ("blob:https://app.example/x", Scheme),
            ("urn:ietf:wg:oauth:2.0:oob", Scheme),
            ("myapp:/cb", Scheme),
            ("myapp://cb", Scheme),
            ("mailto:a@app.example", Scheme),
            ("ws://app.example/cb", Scheme),
            ("", Scheme),
            ("app.example", Scheme),
            ("/cb", Scheme),
            ("//app.example/cb", Scheme),
            ("HTTPS://app.example/cb", Scheme),
            ("Com.example.app:/cb", Scheme),
            ("com.example.app:cb", Scheme),
            ("com.example.app:", Scheme),
            (".com:/cb", Scheme),
            ("com..app:/cb", Scheme),
            ("com.example+app:/cb", Scheme),
            ("http://app.example/cb", PlainHttp),
            ("http://localhost.evil/cb", PlainHttp),
            ("http://127.0.0.1.nip.io/cb", PlainHttp),
            ("http://127.0.0.2/cb", PlainHttp),
            ("http://10.0.0.1/cb", PlainHttp),
            ("http://[::2]/cb", PlainHttp),
            ("https://app.example/cb?code=x", AnswerParameter),
            ("https://app.example/cb?a=b&state", AnswerParameter),
            ("https://app.example/cb?%69ss=x", AnswerParameter),
            ("com.example.app:/cb?error=x", AnswerParameter),
            ("https://*.app.example/cb", InvalidUri::Wildcard.into()),
            ("https://*/cb", InvalidUri::Wildcard.into()),
            ("https://app.example/*", InvalidUri::Wildcard.into()),
            ("https://app.example/cb#f", InvalidUri::Fragment.into()),
            ("com.example.app:/cb#", InvalidUri::Fragment.into()),
            ("https://app@evil.example/cb", InvalidUri::UserInfo.into()),
            ("com.example.app://a@b/cb", InvalidUri::UserInfo.into()),
            ("com.example.app:/a/../b", InvalidUri::DotSegment.into()),
            (
                "com.example.app://Host/cb",
                InvalidUri::UpperCaseHost.into(),
            ),
            ("com.example.app://a:1/cb", InvalidUri::Host.into()),
            ("https://app.example:443/cb", InvalidUri::DefaultPort.into()),
            ("http://127.0.0.1:80/cb", InvalidUri::DefaultPort.into()),
            ("https://app.example./cb", InvalidUri::TrailingDot.into()),
            (
                "https://\u{430}pple.example/cb",
                InvalidUri::Character.into(),
            ),
            ("https://app.example/cb\n", InvalidUri::Character.into()),
        ] {
            assert_eq!(text.parse::<RedirectUri>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn n023_nothing_but_the_very_text_matches() {
        let registered = registered("https://app.example/cb");
        for other in [
            "",
            "https://app.example",
            "https://app.example/",
            "https://app.example/cb/",
            "https://app.example/cb/..",
            "https://app.example/cb/../evil",
            "https://app.example/cb/../cb",
            "https://app.example/./cb",
            "https://app.example/%2e%2e/cb",
            "https://app.example/cb?",
            "https://app.example/cb?x",
            "https://app.example/cb?x=1",
            "https://app.example/cb#",
            "https://app.example/cb#f",
            "https://app.example/cb;x",
            "https://app.example/c%62",
            "https://app.example/CB",
            "https://app.example/cb ",
            " https://app.example/cb",
            "https://app.example/cb\0",
            "https://app.example/cb\r\n",
            "https://app.example//cb",
            "https://app.example\\cb",
            "https://app.example:443/cb",
            "https://app.example:8443/cb",
            "https://app.example./cb",
            "https://APP.example/cb",
            "HTTPS://app.example/cb",
            "http://app.example/cb",
            "//app.example/cb",
            "https:app.example/cb",
            "https://app@evil.example/cb",
            "https://app.example@evil.example/cb",
            "https://app.example:443@evil.example/cb",
            "https://evil.example/https://app.example/cb",
            "https://app.example.evil.example/cb",
            "https://evilapp.example/cb",
            "https://\u{430}pp.example/cb",
            "https://app.ex\u{430}mple/cb",
            "https://xn--pp-6kc.example/cb",
            "https://app\u{3002}example/cb",
            "javascript:https://app.example/cb",
            "https://app.example/cb,https://app.example/cb",
        ] {
            assert!(!registered.matches(other), "{other:?}");
        }
    }

    #[test]
    fn n027_localhost_is_taken_as_it_stands() {
        let uri: RedirectUri = "http://localhost:3000/cb".parse().unwrap();
        assert!(uri.is_loopback() && uri.matches("http://localhost:3000/cb"));
        for other in [
            "http://localhost/cb",
            "http://localhost:3001/cb",
            "http://127.0.0.1:3000/cb",
            "http://localhost.evil:3000/cb",
            "https://localhost:3000/cb",
        ] {
            assert!(!uri.matches(other), "{other}");
        }
        assert_eq!(uri.form_action_source(), "http://localhost:3000");
    }

    #[test]
    fn n027_of_a_loopback_address_the_port_may_be_any_and_nothing_else() {
        for registered_as in ["http://127.0.0.1/cb", "http://127.0.0.1:8000/cb"] {
            let registered = registered(registered_as);
            for port in ["", ":1", ":80", ":8000", ":51004", ":65535"] {
                let requested = format!("http://127.0.0.1{port}/cb");
                assert!(registered.matches(&requested), "{requested}");
            }
            for other in [
                "http://127.0.0.1",
                "http://127.0.0.1/",
                "http://127.0.0.1/cb/",
                "http://127.0.0.1/cb?x",
                "http://127.0.0.1/CB",
                "http://127.0.0.1:/cb",
                "http://127.0.0.1:0/cb",
                "http://127.0.0.1:08000/cb",
                "http://127.0.0.1:65536/cb",
                "http://127.0.0.1:99999999999999999999/cb",
                "http://127.0.0.1:+80/cb",
                "http://127.0.0.1:80:80/cb",
                "http://127.0.0.1:80@evil.example/cb",
                "http://127.0.0.1@evil.example/cb",
                "http://127.0.0.1:80.evil.example/cb",
                "http://127.0.0.1.nip.io/cb",
                "http://127.0.0.1.nip.io:80/cb",
                "http://127.0.0.10/cb",
                "http://127.0.0.2/cb",
                "http://127.1/cb",
                "http://localhost/cb",
                "http://localhost.evil/cb",
                "http://[::1]/cb",
                "https://127.0.0.1/cb",
                "HTTP://127.0.0.1/cb",
            ] {
                assert!(!registered.matches(other), "{registered_as}, {other}");
            }
        }
        let six = registered("http://[::1]/cb?a=b");
        assert!(six.matches("http://[::1]:51004/cb?a=b"));
        for other in [
            "http://[::1]:51004/cb",
            "http://[0:0:0:0:0:0:0:1]:51004/cb?a=b",
            "http://[::1].evil:51004/cb?a=b",
            "http://127.0.0.1:51004/cb?a=b",
        ] {
            assert!(!six.matches(other), "{other}");
        }
        // A certificate is for a name, whatever the port; the port is part of what was registered.
        assert!(!registered("https://localhost/cb").matches("https://localhost:8443/cb"));
    }

    #[test]
    fn it_is_kept_as_its_text() {
        let uri = registered("https://app.example/cb");
        let deserializer = de::value::StrDeserializer::<de::value::Error>::new(uri.as_str());
        assert_eq!(RedirectUri::deserialize(deserializer), Ok(uri));
        let deserializer = de::value::StrDeserializer::<de::value::Error>::new("javascript:x");
        assert!(RedirectUri::deserialize(deserializer).is_err());
    }

    proptest! {
        #[test]
        fn a_private_scheme_is_read_by_browsers_as_it_stands(
            text in "[a-z][a-z0-9.-]{0,6}\\.[a-z]{1,3}:/{0,3}[a-z0-9.-]{0,6}(/[a-z0-9.%2e]{0,4}){0,2}(\\?[a-z=&]{0,6})?"
        ) {
            if text.parse::<RedirectUri>().is_ok() {
                let read = Url::parse(&text).unwrap();
                prop_assert_eq!(read.as_str(), &*text);
            }
        }

        #[test]
        fn a_match_leads_to_the_same_origin(
            requested in "http://(127.0.0.1|\\[::1\\])(:[0-9]{0,6})?[/@.:a-c]{0,4}"
        ) {
            let registered = registered("http://127.0.0.1/cb");
            if registered.matches(&requested) {
                let read = Url::parse(&requested).unwrap();
                prop_assert_eq!(read.host_str(), Some("127.0.0.1"));
                prop_assert_eq!(read.path(), "/cb");
                prop_assert_eq!(read.username(), "");
            }
        }
    }
}
