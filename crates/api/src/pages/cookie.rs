//! The two cookies of the pages, both bound to this host and hidden from scripts.

use actix_web::HttpRequest;
use actix_web::http::header::COOKIE;

/// The session: its id and its secret.
pub(super) const SESSION: &str = "__Host-keyledger-session";
/// A stranger's visit, to which the forms in front of the login are bound.
pub(super) const VISIT: &str = "__Host-keyledger-visit";

/// The value of a cookie. Sent twice, it counts as not sent: one of the two is not ours.
pub(super) fn read<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let mut values = request
        .headers()
        .get_all(COOKIE)
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(its, _)| *its == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The `Set-Cookie` line that gives a cookie until the browser is closed.
///
/// `__Host-` makes the browser refuse it without `Secure` and `Path=/` or with a domain (RFC 6265bis
/// §4.1.3.2), so no neighbouring host can plant one. `Lax`, not `Strict`: somebody who follows a
/// link to the dashboard is not asked for the password again.
pub(super) fn give(name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

/// The `Set-Cookie` line that takes it back.
pub(super) fn take_back(name: &str) -> String {
    format!("{}; Max-Age=0", give(name, ""))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_only_when_it_is_alone() {
        for (header, expected) in [
            ("__Host-keyledger-visit=a", Some("a")),
            ("x=1; __Host-keyledger-visit=a=b ;y=2", Some("a=b")),
            ("__Host-keyledger-visit=", Some("")),
            ("__host-keyledger-visit=a", None),
            ("X__Host-keyledger-visit=a", None),
            ("__Host-keyledger-visit=a; __Host-keyledger-visit=a", None),
            ("__Host-keyledger-visit", None),
        ] {
            let request = TestRequest::default().insert_header((COOKIE, header));
            assert_eq!(
                read(&request.to_http_request(), VISIT),
                expected,
                "in {header}"
            );
        }
    }

    #[test]
    fn n98_cookies_are_bound_to_the_host_and_hidden_from_scripts() {
        assert_eq!(
            give(SESSION, "v"),
            "__Host-keyledger-session=v; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert!(take_back(SESSION).ends_with("; Max-Age=0"));
    }
}
