//! Where somebody goes after signing in: only to pages of ours, whatever the address bar says.

use core::fmt;
use core::fmt::Write as _;
use core::str::FromStr;

use actix_web::web::Query;

/// The pages that may be returned to. A prefix would be a guess at what comes below it.
const PAGES: &[&str] = &[FRONT, AUTHORIZE];

/// Where apps send people who are to allow something.
pub(super) const AUTHORIZE: &str = "/oauth/authorize";

/// The longest path with its query, in bytes; an authorization request has long parameters, of which
/// `state` alone may have 8,192. Written as a parameter itself it still fits in a head.
const BYTES_MAX: usize = 12 * 1024;

/// The path and query of a page of ours.
///
/// Not a URL that is resolved and then judged: browsers and libraries read `//evil`, `/\evil` or a
/// tab in between differently, and that difference is the attack. What is
/// not spelt exactly like one of our own links is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalPath(String);

/// Where everybody goes who came for nothing in particular.
pub(super) const FRONT: &str = "/dashboard";

/// The text leads nowhere that we send people to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotLocal;

impl LocalPath {
    /// The path as it stands in `Location` or in a hidden field.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as the value of a parameter, for another address of ours.
    pub(super) fn as_parameter(&self) -> String {
        let mut written = String::with_capacity(self.0.len() * 5 / 4);
        for c in self.0.chars() {
            match c {
                // What a query would take for its own; all else that a path of ours has may stand in
                // a query as it is (RFC 3986 §3.4).
                '%' => written.push_str("%25"),
                '&' => written.push_str("%26"),
                '+' => written.push_str("%2B"),
                '=' => written.push_str("%3D"),
                c => written.push(c),
            }
        }
        written
    }

    /// The way back to an authorization request, written anew so that it passes here whatever the
    /// app left unencoded. `replace` may give a parameter another value; one that is empty goes.
    pub(super) fn to_authorize(
        query: &str,
        replace: impl Fn(&str, &str) -> Option<String>,
    ) -> Option<Self> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query).ok()?;
        let mut path = AUTHORIZE.to_owned();
        let mut joint = '?';
        for (name, value) in pairs.into_inner() {
            let value = match replace(&name, &value) {
                Some(other) if other.is_empty() => continue,
                Some(other) => other,
                None => value,
            };
            path.push(joint);
            push_encoded(&mut path, &name);
            path.push('=');
            push_encoded(&mut path, &value);
            joint = '&';
        }
        path.parse().ok()
    }

    /// The path that a parameter names, or none where it leads elsewhere.
    pub(super) fn of(parameter: Option<&str>) -> Option<Self> {
        parameter?.parse().ok()
    }
}

/// Everything but what is never reserved, and the colon and slash, is encoded (RFC 3986 §2.3, §3.4).
fn push_encoded(written: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            written.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(written, "%{byte:02X}");
        }
    }
}

impl FromStr for LocalPath {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let path = text.split('?').next().unwrap_or_default();
        // RFC 3986 §3.4 with what browsers change on the way left out; no fragment.
        let plain = |b: u8| b.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&b);
        if text.len() > BYTES_MAX || !text.bytes().all(plain) || !PAGES.contains(&path) {
            return Err(NotLocal);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn n40_nobody_is_sent_elsewhere() {
        for hostile in [
            "",
            "/",
            "dashboard",
            "//evil.example",
            "//evil.example/dashboard",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " /dashboard",
            "/dashboard\r\nSet-Cookie: a=b",
            "/dashboard#x",
            "/dashboard?a=\\",
            "/dashboard/",
            "/dashboard/../login",
            "/dashboard/..//evil.example",
            "/dashboard%2f..",
            "/%2f/evil.example",
            "/dashboardx",
            "/dashboard@evil.example",
            "/oauth/authorizer",
            "/oauth/authorize/..",
            "https:evil.example",
            "https://evil.example/dashboard",
            "javascript:alert(1)",
            "/login",
            "/logout",
            "/dashboard?\u{202e}",
            "/d\u{0430}shboard",
        ] {
            assert_eq!(LocalPath::of(Some(hostile)), None, "for {hostile:?}");
        }
        let long = format!("/dashboard?{}", "x".repeat(BYTES_MAX));
        assert_eq!(LocalPath::of(Some(&long)), None);
        assert_eq!(LocalPath::of(None), None);
    }

    #[test]
    fn a_path_comes_back_from_a_parameter_as_it_went_in() {
        let long = format!("/oauth/authorize?state={}", "%2B".repeat(4_000));
        for ours in ["/dashboard?a=b&c=d+e%20f?/:@!$'()*,;~", &long] {
            let path: LocalPath = ours.parse().unwrap();
            let query = format!("next={}", path.as_parameter());
            let read = Query::<HashMap<String, String>>::from_query(&query).unwrap();
            assert_eq!(read["next"], ours);
            let line = format!("/login?{query}");
            assert!(line.parse::<actix_web::http::Uri>().is_ok());
        }
    }

    #[test]
    fn an_authorization_request_comes_back_as_it_was_meant() {
        let path = |query: &str| {
            let path = LocalPath::to_authorize(query, |name, value| {
                (name == "prompt").then(|| value.replace("login", ""))
            });
            path.map(|path| path.to_string())
        };
        for (query, back) in [
            ("client_id=a&state=x%20y+z", "?client_id=a&state=x%20y%20z"),
            ("state={\"a\":1}|", "?state=%7B%22a%22:1%7D%7C"),
            ("a=1&a=2&b=&c", "?a=1&a=2&b=&c="),
            ("prompt=login", ""),
            ("%70rompt=login&a=%26prompt%3Dlogin", "?a=%26prompt%3Dlogin"),
            (
                "prompt=consent&redirect_uri=https://a/b?c=d",
                "?prompt=consent&redirect_uri=https://a/b%3Fc%3Dd",
            ),
        ] {
            assert_eq!(path(query), Some(format!("{AUTHORIZE}{back}")), "{query}");
        }
        assert_eq!(
            path(&format!("state={}", "+".repeat(8_192))),
            None,
            "too long"
        );
    }

    #[test]
    fn our_own_links_pass_unchanged() {
        for ours in [
            "/dashboard",
            "/dashboard?at=2026",
            "/oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fyour-app.com%2Fcallback&state=x%20y",
            "/oauth/authorize?redirect_uri=https://your-app.com/callback?a=b",
        ] {
            let path = LocalPath::of(Some(ours)).map(|path| path.to_string());
            assert_eq!(path.as_deref(), Some(ours));
        }
    }
}
