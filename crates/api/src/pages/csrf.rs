//! What proves that a form came from us and was sent by the browser that we gave it to.
//!
//! Three checks, each enough against another kind of attacker: the browser's own word for where a
//! request comes from, the cookies' `SameSite`, and a hidden field that is a keyed hash of a cookie.
//! A handler that changes something takes a [`Posted`]; without all of it, it is never called.

use core::future::Future;
use core::net::IpAddr;
use core::pin::Pin;

use actix_web::http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use actix_web::http::uri::Authority;
use actix_web::http::{StatusCode, Uri};
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

use super::cookie;
use super::layout::PageError;
use crate::app::App;
use crate::in_time::in_time;
use crate::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How many characters 256 random bits have in base64url.
const VISIT_CHARS: usize = 43;

/// Which cookie a form is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    /// The visit: forms that a stranger fills in.
    Visit,
    /// The session: forms of somebody who is signed in.
    Session,
}

impl Bond {
    const fn cookie(self) -> &'static str {
        match self {
            Self::Visit => cookie::VISIT,
            Self::Session => cookie::SESSION,
        }
    }

    /// The hidden field of a form bound to this cookie. The purpose is part of what is hashed, so
    /// that a field of the login form never passes in the dashboard.
    fn field(self, app: &App, value: &str) -> blake3::Hash {
        app.csrf()
            .tag(format!("form\0{}\0{value}", self.cookie()).as_bytes())
    }
}

/// A form with its hidden field.
pub(super) trait PageForm: DeserializeOwned + 'static {
    /// Which cookie it is bound to.
    const BOND: Bond;

    /// The hidden field as it came back.
    fn csrf(&self) -> &str;
}

/// The visit of a stranger: the cookie that they have, or one for them to take.
pub(super) struct Visit {
    value: String,
    /// Whether the browser has it already.
    known: bool,
}

impl Visit {
    /// The visit that a request belongs to.
    ///
    /// # Errors
    /// 500 when the system gives no randomness.
    pub(super) fn of(app: &App, request: &HttpRequest) -> Result<Self, Problem> {
        let known = cookie::read(request, cookie::VISIT).filter(|value| {
            let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            value.len() == VISIT_CHARS && value.bytes().all(base64url)
        });
        Ok(match known {
            Some(value) => Self {
                value: value.to_owned(),
                known: true,
            },
            None => Self {
                value: URL_SAFE_NO_PAD.encode(app.random::<32>()?),
                known: false,
            },
        })
    }

    /// The hidden field for its forms.
    pub(super) fn field(&self, app: &App) -> String {
        Bond::Visit.field(app, &self.value).to_hex().to_string()
    }

    /// The cookie to send along, if the browser has none.
    pub(super) fn cookie(&self) -> Option<String> {
        (!self.known).then(|| cookie::give(cookie::VISIT, &self.value))
    }
}

/// The hidden field for the forms of a session.
pub(super) fn session_field(app: &App, cookie: &str) -> String {
    Bond::Session.field(app, cookie).to_hex().to_string()
}

/// A form that came from us.
pub(super) struct Posted<F>(pub(super) F);

impl<F: PageForm> FromRequest for Posted<F> {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = web::Form::<F>::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let app = request
                .app_data::<web::Data<App>>()
                .expect("every page has the application");
            let settings = app.settings();
            if !comes_from_us(&request, &settings.issuer, settings.is_on_loopback) {
                return Err(PageError::forged());
            }
            let value = cookie::read(&request, F::BOND.cookie()).ok_or_else(PageError::forged)?;
            let form = in_time(form).await.map_err(Problem::from)?;
            let form = form.map_err(|error| unreadable(&error))?.into_inner();
            // Comparing two hashes is constant in time.
            match blake3::Hash::from_hex(form.csrf()) {
                Ok(given) if given == F::BOND.field(app, value) => Ok(Self(form)),
                Ok(_) | Err(_) => Err(PageError::forged()),
            }
        })
    }
}

/// Why a form could not be read. What was in it is not repeated: it may be a password.
fn unreadable(error: &actix_web::Error) -> PageError {
    let status = error.as_response_error().status_code();
    let words = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "The form is too long.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "This is not a form.",
        _ => "The form could not be read.",
    };
    let known = [
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    ];
    let status = if known.contains(&status) {
        status
    } else {
        StatusCode::BAD_REQUEST
    };
    PageError::new(status, words)
}

/// Whether a browser says that this request was made by a page of ours. Clients that say nothing
/// pass: they are no browsers of today, and the hidden field is asked of them too.
fn comes_from_us(request: &HttpRequest, issuer: &str, is_on_loopback: bool) -> bool {
    let headers = request.headers();
    let host = request.uri().authority().map_or_else(
        || headers.get(HOST)?.to_str().ok(),
        |authority| Some(authority.as_str()),
    );
    // A name that somebody made to point at us (DNS rebinding) is no address of ours, and whatever
    // its pages say of themselves is said in that name.
    if host.is_some_and(|host| !is_our_host(host, issuer, is_on_loopback)) {
        return false;
    }
    // `none` is the person's own doing, such as sending a form again from the history.
    let sites: Vec<&[u8]> = headers
        .get_all(SEC_FETCH_SITE)
        .map(HeaderValue::as_bytes)
        .collect();
    if sites
        .iter()
        .any(|site| !matches!(*site, b"same-origin" | b"none"))
    {
        return false;
    }
    let vouched = !sites.is_empty();
    headers.get_all(ORIGIN).all(|origin| match origin.to_str() {
        // Our own `Referrer-Policy: no-referrer` makes browsers say `null` here (Fetch, "append a
        // request `Origin` header"); so does a sandboxed frame, whose site is another one.
        Ok("null") => vouched,
        Ok(origin) => is_ours(origin, host, issuer),
        Err(_) => false,
    })
}

/// Whether a host that was asked for is the issuer's, or, for a server on loopback, the machine that
/// the browser runs on: there it may go by another name than the issuer's, or behind a tunnel.
fn is_our_host(host: &str, issuer: &str, is_on_loopback: bool) -> bool {
    let is_issuers = origin_of(issuer).is_some_and(|(scheme, authority)| {
        authority.eq_ignore_ascii_case(without_default_port(scheme, host))
    });
    is_issuers || (is_on_loopback && is_loopback_name(host))
}

fn is_loopback_name(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether an origin is the issuer's, or that of the host of ours that the request was sent to.
fn is_ours(origin: &str, host: Option<&str>, issuer: &str) -> bool {
    let Some((scheme, authority)) = origin_of(issuer) else {
        return false;
    };
    let Some((its_scheme, its_authority)) = origin_of(origin) else {
        return false;
    };
    its_scheme == scheme
        && (its_authority.eq_ignore_ascii_case(authority)
            || host.is_some_and(|host| {
                its_authority.eq_ignore_ascii_case(without_default_port(scheme, host))
            }))
}

/// Scheme and authority of an address, without the scheme's default port, as browsers write it
/// (RFC 6454 §6.2).
fn origin_of(address: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split('/').next()?;
    // Whatever is no URI has no origin.
    address.parse::<Uri>().ok()?;
    Some((scheme, without_default_port(scheme, authority)))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn passes(issuer: &str, headers: &[(&str, &str)]) -> bool {
        let request = headers.iter().fold(TestRequest::post(), |request, header| {
            request.append_header(*header)
        });
        comes_from_us(&request.to_http_request(), issuer, true)
    }

    #[test]
    fn n100_a_form_of_another_site_is_refused() {
        let issuer = "https://keys.example";
        let host = ("Host", "keys.example");
        for (headers, expected) in [
            (vec![], true),
            (vec![("Origin", "https://keys.example")], true),
            (vec![("Origin", "https://KEYS.example:443")], true),
            (vec![("Sec-Fetch-Site", "same-origin")], true),
            (vec![("Sec-Fetch-Site", "none")], true),
            (
                vec![("Origin", "null"), ("Sec-Fetch-Site", "same-origin")],
                true,
            ),
            (vec![("Origin", "null")], false),
            (
                vec![("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
                false,
            ),
            (vec![("Origin", "http://keys.example")], false),
            (vec![("Origin", "https://keys.example.evil.example")], false),
            (vec![("Origin", "https://keys.example:444")], false),
            (vec![("Origin", "https://keys.example@evil.example")], false),
            (vec![("Origin", "https://evil.example")], false),
            (vec![("Origin", "")], false),
            (vec![("Origin", "keys.example")], false),
            (
                vec![
                    ("Origin", "https://keys.example"),
                    ("Origin", "https://evil.example"),
                ],
                false,
            ),
            (
                vec![
                    ("Origin", "https://keys.example"),
                    ("Sec-Fetch-Site", "cross-site"),
                ],
                false,
            ),
            (vec![("Sec-Fetch-Site", "same-site")], false),
            (
                vec![
                    ("Sec-Fetch-Site", "same-origin"),
                    ("Sec-Fetch-Site", "cross-site"),
                ],
                false,
            ),
        ] {
            let mut all = vec![host];
            all.extend(headers);
            assert_eq!(passes(issuer, &all), expected, "with {all:?}");
        }
    }

    #[test]
    fn the_host_that_was_asked_counts_as_ours_too() {
        let issuer = "http://127.0.0.1:8080";
        let localhost = ("Host", "localhost:8080");
        assert!(passes(
            issuer,
            &[localhost, ("Origin", "http://localhost:8080")]
        ));
        assert!(!passes(
            issuer,
            &[localhost, ("Origin", "https://localhost:8080")]
        ));
        assert!(!passes(
            issuer,
            &[localhost, ("Origin", "http://localhost:8081")]
        ));
    }

    #[test]
    fn n100_a_name_that_was_made_to_point_at_us_is_refused_whatever_its_page_says() {
        for issuer in ["http://127.0.0.1:8080", "http://keys.example"] {
            for host in [
                "evil.example",
                "evil.example:8080",
                "127.0.0.1.evil.example",
                "localhost.evil.example",
                "keys.example.evil.example",
                "localhost@evil.example",
                "",
            ] {
                let origin = format!("http://{host}");
                for headers in [
                    vec![("Host", host), ("Origin", &*origin)],
                    vec![("Host", host), ("Sec-Fetch-Site", "same-origin")],
                    vec![
                        ("Host", host),
                        ("Origin", "null"),
                        ("Sec-Fetch-Site", "same-origin"),
                    ],
                ] {
                    assert!(!passes(issuer, &headers), "{issuer} with {headers:?}");
                }
            }
        }
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:8080",
        ] {
            assert!(is_our_host(host, "https://keys.example", true), "{host}");
            assert!(!is_our_host(host, "https://keys.example", false), "{host}");
        }
        assert!(is_our_host(
            "KEYS.example:443",
            "https://keys.example",
            false
        ));
    }
}
