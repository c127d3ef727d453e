//! Where somebody goes after signing in: only to pages of ours, whatever the address bar says.

use core::fmt;
use core::str::FromStr;

/// The pages that may be returned to. A prefix would be a guess at what comes below it.
const PAGES: &[&str] = &["/dashboard", "/oauth/authorize"];

/// The longest path with its query, in bytes; an authorization request has long parameters.
const BYTES_MAX: usize = 8 * 1024;

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

    /// The path that a parameter names, or none where it leads elsewhere.
    pub(super) fn of(parameter: Option<&str>) -> Option<Self> {
        parameter?.parse().ok()
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
