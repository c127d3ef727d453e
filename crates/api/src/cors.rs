//! Which pages of other origins may ask the API (Fetch, "CORS protocol"): none, unless listed.
//!
//! Written here although there is `actix-cors`: that one answers every `OPTIONS` with an
//! `Access-Control-Request-Method` as a preflight, also one that carries a credential and so must
//! authenticate; it refuses with 400; and it boxes a future for each request, in front of the one
//! that the edge has anyway.

use core::fmt;
use core::str::FromStr;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{
    self, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::{HttpResponse, ResponseError};

use crate::oauth::metadata;
use crate::problem::Problem;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What a listed page may use: everything of the API, and the carriers of keys that are headers.
/// Cookies are never allowed: they are for our own pages.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, x-api-key");
/// What a listed page may read besides the body.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "keyledger-decision, keyledger-position, x-request-id, retry-after, www-authenticate, x-ratelimit-limit, \
     x-ratelimit-remaining, x-ratelimit-reset, x-ratelimit-interval",
);
/// How long a browser may keep the answer to a preflight, in seconds.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

/// An origin as browsers write it: `https://app.example` or `https://app.example:8443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin(HeaderValue);

/// What was given is no origin.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAnOrigin;

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be written as browsers write an origin, such as https://app.example: http or \
             https, a host in lower case, a port unless it is the usual one, and nothing behind it; \
             neither * nor null",
        )
    }
}

impl std::error::Error for NotAnOrigin {}

impl FromStr for WebOrigin {
    type Err = NotAnOrigin;

    /// Takes only what a browser would send byte for byte (RFC 6454 §6.2), so that comparing bytes
    /// is comparing origins.
    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let (authority, default_port) = match text.split_once("://") {
            Some(("https", authority)) => (authority, "443"),
            Some(("http", authority)) => (authority, "80"),
            Some(_) | None => return Err(NotAnOrigin),
        };
        let uri: Uri = text.parse().map_err(|_| NotAnOrigin)?;
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16();
        let rebuilt = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let good = !host.is_empty()
            && rebuilt == authority
            && authority == authority.to_ascii_lowercase()
            && !authority.contains('*')
            && port.is_none_or(|port| port.to_string() != default_port);
        if good {
            HeaderValue::from_str(text)
                .map(Self)
                .map_err(|_| NotAnOrigin)
        } else {
            Err(NotAnOrigin)
        }
    }
}

/// The origins whose pages may ask the API.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    allowed: Vec<WebOrigin>,
}

/// What a request from a page means for its answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leave {
    /// The listed origin, which the answer names.
    origin: Option<HeaderValue>,
    /// Whether the answer to another origin would be another one.
    varies: bool,
}

impl Cors {
    /// Exactly these.
    pub fn new(allowed: Vec<WebOrigin>) -> Self {
        Self { allowed }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.allowed.iter().any(|allowed| allowed.0 == *origin)
    }

    /// The answer to a preflight, if a request is one: a browser asks in a page's name whether the
    /// page may ask. It carries no credential, so there is nobody to authenticate; any other
    /// `OPTIONS` is authenticated as every method is.
    pub(crate) fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let headers = request.headers();
        let is_preflight = *request.method() == Method::OPTIONS
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && !headers.contains_key(AUTHORIZATION)
            && !headers.contains_key(X_API_KEY);
        let origin = headers.get(ORIGIN).filter(|_| is_preflight)?;
        let mut response = if metadata::is_public(request.path()) {
            everybody()
        } else if self.allows(origin) && is_api(request.path()) {
            let mut response = HttpResponse::NoContent().finish();
            let answer = response.headers_mut();
            for (name, value) in [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
                (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
                (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
            ] {
                answer.insert(name, value);
            }
            response
        } else {
            let words = "Pages of this origin may not ask this server.";
            Problem::new(StatusCode::FORBIDDEN, words).error_response()
        };
        response.headers_mut().insert(header::VARY, VARY_PREFLIGHT);
        Some(response)
    }

    /// What the answer to a request will say to the browser. Nothing, where no origin is listed.
    pub(crate) fn leave(&self, request: &ServiceRequest, has_origin: bool) -> Leave {
        if self.allowed.is_empty() || !is_api(request.path()) {
            return Leave::default();
        }
        let origin = request.headers().get(ORIGIN).filter(|_| has_origin);
        Leave {
            origin: origin.filter(|origin| self.allows(origin)).cloned(),
            varies: true,
        }
    }
}

/// The answer to a preflight for what everybody may read: some clients ask with headers of their own.
/// A star never stands for a credential (Fetch, "CORS non-wildcard request-header name").
fn everybody() -> HttpResponse {
    let any = HeaderValue::from_static("*");
    let mut response = HttpResponse::NoContent().finish();
    let answer = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone()),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD"),
        ),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, any),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
    ] {
        answer.insert(name, value);
    }
    response
}

impl Leave {
    /// Says it.
    pub(crate) fn say(&mut self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(header::VARY, VARY_ORIGIN);
        }
        if let Some(origin) = self.origin.take() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

/// Whether an address is of the API. The pages, the definition and the health of the server are not:
/// no page of another origin has business there.
fn is_api(path: &str) -> bool {
    let first = path.split('/').nth(1);
    matches!(first, Some("v1" | "api" | "user" | "orgs"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::routes::paths;

    const APP: &str = "https://app.example";

    fn cors() -> Cors {
        Cors::new(vec![APP.parse().unwrap()])
    }

    fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> ServiceRequest {
        let request = TestRequest::with_uri(path).method(method);
        headers
            .iter()
            .fold(request, |request, header| request.append_header(*header))
            .to_srv_request()
    }

    #[test]
    fn n106_what_may_be_listed() {
        for good in [
            APP,
            "http://app.example",
            "http://localhost:3000",
            "https://app.example:8443",
            "https://127.0.0.1",
            "http://[::1]:3000",
        ] {
            assert!(good.parse::<WebOrigin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example",
            "https://",
            "https://*",
            "https://*.app.example",
            "https://app.example/",
            "https://app.example/path",
            "https://app.example?x",
            "https://app.example#x",
            "https://App.example",
            "HTTPS://app.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://app.example:",
            "https://app.example:0443",
            "https://user@app.example",
            "ftp://app.example",
            "https://app.example, https://b.example",
            "https://app example",
        ] {
            assert_eq!(bad.parse::<WebOrigin>(), Err(NotAnOrigin), "{bad}");
        }
    }

    #[test]
    fn n106_only_a_listed_origin_is_named_and_never_a_star() {
        for origin in [
            "null",
            "*",
            "https://app.example.",
            "https://app.example.evil.example",
            "https://evilapp.example",
            "https://sub.app.example",
            "https://app.example:443",
            "https://app.example:8443",
            "https://app.example/",
            "http://app.example",
            "https://APP.example",
            "https://app.example, https://evil.example",
            "",
        ] {
            let preflight = [("Origin", origin), ("Access-Control-Request-Method", "GET")];
            let request = request(Method::OPTIONS, "/v1/me", &preflight);
            let answer = cors().preflight(&request).unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin}");
            let named = header::ACCESS_CONTROL_ALLOW_ORIGIN;
            assert!(!answer.headers().contains_key(&named), "{origin}");
            assert!(answer.headers().contains_key(header::VARY), "{origin}");
            let mut headers = HeaderMap::new();
            cors().leave(&request, true).say(&mut headers);
            assert!(!headers.contains_key(&named), "{origin}");
            assert_eq!(headers.get(header::VARY), Some(&VARY_ORIGIN), "{origin}");
        }
        let mut headers = HeaderMap::new();
        let request = request(Method::GET, "/v1/me", &[("Origin", APP)]);
        cors().leave(&request, true).say(&mut headers);
        assert_eq!(
            headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(),
            APP
        );
        assert_eq!(headers.get(header::VARY), Some(&VARY_ORIGIN));
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[test]
    fn n106_a_preflight_of_a_listed_origin_is_answered_to_nobody_in_particular() {
        let method = ("Access-Control-Request-Method", "POST");
        let preflight = request(
            Method::OPTIONS,
            "/v1/keys/verify",
            &[("Origin", APP), method],
        );
        let answer = cors().preflight(&preflight).unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let headers = answer.headers();
        assert_eq!(
            headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(),
            APP
        );
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert_eq!(headers.get(header::VARY), Some(&VARY_PREFLIGHT));
        // With a credential, without an origin or without a method it is none, and authenticates.
        for (asked, headers) in [
            (
                Method::OPTIONS,
                vec![("Origin", APP), method, ("X-Api-Key", "foobar")],
            ),
            (
                Method::OPTIONS,
                vec![("Origin", APP), method, ("Authorization", "token foobar")],
            ),
            (Method::OPTIONS, vec![("Origin", APP)]),
            (Method::OPTIONS, vec![method]),
            (Method::GET, vec![("Origin", APP), method]),
        ] {
            let request = request(asked, "/v1/me", &headers);
            assert!(cors().preflight(&request).is_none(), "with {headers:?}");
        }
    }

    #[test]
    fn n106_pages_are_for_no_other_origin() {
        let method = ("Access-Control-Request-Method", "POST");
        for path in [
            "/",
            "/login",
            "/dashboard",
            "/setup",
            "/logout",
            "/openapi.json",
            "/health/live",
        ] {
            let request = request(Method::OPTIONS, path, &[("Origin", APP), method]);
            let answer = cors().preflight(&request).unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
            assert_eq!(cors().leave(&request, true), Leave::default(), "{path}");
        }
        let api = paths::ALL.iter().copied().flatten();
        let others = ["/health/", "/oauth/", "/.well-known/"];
        for path in api.filter(|path| !others.iter().any(|other| path.starts_with(other))) {
            assert!(is_api(path), "{path}");
        }
    }

    #[test]
    fn n106_what_is_everybodys_is_read_by_any_page_without_credentials() {
        for path in [
            "/oauth/jwks",
            "/.well-known/oauth-authorization-server",
            "/.well-known/oauth-protected-resource/keys",
        ] {
            let method = ("Access-Control-Request-Method", "GET");
            let preflight = [("Origin", "https://evil.example"), method];
            let request = request(Method::OPTIONS, path, &preflight);
            let answer = Cors::default().preflight(&request).unwrap();
            assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{path}");
            let headers = answer.headers();
            let origin = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(origin, Some(&HeaderValue::from_static("*")));
            let methods = headers.get(header::ACCESS_CONTROL_ALLOW_METHODS);
            assert_eq!(methods, Some(&HeaderValue::from_static("GET, HEAD")));
            assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        }
    }

    #[test]
    fn n106_without_a_list_nothing_is_said() {
        let request = request(Method::GET, "/v1/me", &[("Origin", APP)]);
        assert_eq!(Cors::default().leave(&request, true), Leave::default());
        let preflight = [("Origin", APP), ("Access-Control-Request-Method", "GET")];
        let request = self::request(Method::OPTIONS, "/v1/me", &preflight);
        let answer = Cors::default().preflight(&request).unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
}
