//! The head of a request, looked over once before anything else reads it.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_ENCODING, CONTENT_TYPE,
    HOST, HeaderMap, HeaderName, IF_NONE_MATCH, ORIGIN, USER_AGENT,
};

use crate::problem::Problem;

/// The largest head of a request, in bytes of names and values. The framework itself gives up at
/// 128 KiB and at 96 fields, with a bare 431 or 400.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The most parameters in a query.
const QUERY_PARAMETERS_MAX: usize = 100;

/// What may stand in a head only once: of two, a proxy and we might believe different ones. The
/// framework refuses a second `Host`, `Content-Length` and `Transfer-Encoding`; a second credential
/// is refused where credentials are read, and what proxies say where they are believed.
const ONCE: [HeaderName; 8] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    HOST,
    ORIGIN,
    USER_AGENT,
    ACCESS_CONTROL_REQUEST_METHOD,
    ACCESS_CONTROL_REQUEST_HEADERS,
    IF_NONE_MATCH,
];

/// What was seen on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// There is an `Origin`: a page asks, or a form is sent.
    pub(crate) has_origin: bool,
}

/// Looks a head over, in one walk.
///
/// # Errors
/// 431 for one that is too large, 400 for what stands twice and for too many parameters, 415 for a
/// body that would have to be unpacked: a few bytes of it can become gigabytes.
pub(crate) fn look(headers: &HeaderMap, path: &str, query: &str) -> Result<Seen, Problem> {
    let mut bytes = path.len() + query.len();
    let mut fields = 0;
    let mut has_origin = false;
    let mut encoding = None;
    for (name, value) in headers {
        let name = name.as_str();
        bytes += name.len() + value.len();
        fields += 1;
        match name {
            "origin" => has_origin = true,
            "content-encoding" => encoding = Some(value),
            _ => {}
        }
    }
    if bytes > HEAD_BYTES_MAX {
        return Err(Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("The head of a request may have at most {HEAD_BYTES_MAX} bytes."),
        ));
    }
    if fields != headers.len_keys() {
        refuse_twice(headers)?;
    }
    if encoding.is_some_and(|encoding| encoding.as_bytes() != b"identity") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the body as it is; compressed bodies (Content-Encoding) are not unpacked.",
        ));
    }
    if !query.is_empty() && query.bytes().filter(|b| *b == b'&').count() >= QUERY_PARAMETERS_MAX {
        return Err(Problem::unreadable(format!(
            "A query may have at most {QUERY_PARAMETERS_MAX} parameters."
        )));
    }
    Ok(Seen { has_origin })
}

fn refuse_twice(headers: &HeaderMap) -> Result<(), Problem> {
    for name in &ONCE {
        if headers.get_all(name).nth(1).is_some() {
            return Err(Problem::unreadable(format!(
                "The header {name} may be sent only once."
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;

    use super::*;

    fn look_at(headers: &[(&str, &str)], query: &str) -> Result<Seen, u16> {
        let request = headers.iter().fold(TestRequest::get(), |request, header| {
            request.append_header(*header)
        });
        look(request.to_http_request().headers(), "/v1/me", query)
            .map_err(|problem| problem.status_code().as_u16())
    }

    #[test]
    fn n80_what_may_stand_once_is_refused_twice_equal_or_not() {
        for name in &ONCE {
            let once = [(name.as_str(), "identity")];
            assert!(look_at(&once, "").is_ok(), "{name}");
            let twice = [(name.as_str(), "identity"), (name.as_str(), "identity")];
            assert_eq!(look_at(&twice, ""), Err(400), "{name}");
        }
        let lists = [("Accept", "a/b"), ("Accept", "c/d"), ("Cookie", "a=b")];
        assert!(look_at(&lists, "").is_ok());
    }

    #[test]
    fn n79_a_head_has_a_limit() {
        let long = "x".repeat(HEAD_BYTES_MAX - "/v1/me".len() - "a".len());
        assert!(look_at(&[("a", &long)], "").is_ok());
        assert_eq!(look_at(&[("a", &long)], "b"), Err(431));
    }

    #[test]
    fn n124_a_query_has_at_most_a_hundred_parameters() {
        let query = |count: usize| vec!["a=b"; count].join("&");
        assert!(look_at(&[], &query(100)).is_ok());
        assert_eq!(look_at(&[], &query(101)), Err(400));
    }

    #[test]
    fn n125_a_packed_body_is_not_unpacked() {
        for encoding in ["gzip", "br", "zstd", "deflate", "identity, gzip", ""] {
            let packed = look_at(&[("Content-Encoding", encoding)], "");
            assert_eq!(packed, Err(415), "{encoding}");
        }
        assert!(look_at(&[("Content-Encoding", "identity")], "").is_ok());
    }

    #[test]
    fn an_origin_is_seen() {
        let has_origin = |headers| look_at(headers, "").unwrap().has_origin;
        assert!(!has_origin(&[]));
        assert!(has_origin(&[("Origin", "https://app.example")]));
    }
}
