//! The parameters of a request to an endpoint: read from its body, each once (RFC 6749 §3.2).
//!
//! The standard's form, or the same as one JSON object of strings. Whatever two readers could
//! understand in two ways (a parameter twice, one in the address, bytes that are no text) is refused:
//! a proxy in front and this server must not see two different clients.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{self, Context, Poll};

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::body::{self, ReadBody};
use crate::oauth::error::OauthError;

/// The most parameters of a request, known or not.
pub const PARAMETERS_MAX: usize = 100;

/// The one parameter that may stand more than once (RFC 8707 §2).
pub(super) const RESOURCE: &str = "resource";

/// How a body was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-www-form-urlencoded` (RFC 6749 App. B).
    Form,
    /// `application/json`.
    Json,
}

/// What a request brought. It may hold secrets: wiped when dropped, and never printed.
pub struct Parameters {
    pairs: Vec<(String, Zeroizing<String>)>,
    encoding: Encoding,
}

impl Parameters {
    /// The value of a parameter. One without a value counts as left out (RFC 6749 §3.2).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// 400 `invalid_request` that names it.
    pub fn required(&self, name: &'static str) -> Result<&str, OauthError> {
        self.get(name)
            .ok_or_else(|| OauthError::invalid_request(format!("The parameter {name} is missing.")))
    }

    /// The resources that are asked for (RFC 8707 §2).
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        self.all(RESOURCE)
    }

    /// How the body was written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The `token_type` of the answer. RFC 6749 §5.1 takes both spellings for one; clients that
    /// post forms were written against the first, those that post JSON against the second.
    pub fn token_type(&self) -> &'static str {
        match self.encoding {
            Encoding::Form => "bearer",
            Encoding::Json => "Bearer",
        }
    }

    fn all(&self, wanted: &str) -> impl Iterator<Item = &str> {
        let pairs = self.pairs.iter().filter(move |(name, _)| name == wanted);
        pairs
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn of(encoding: Encoding, body: &[u8]) -> Result<Self, OauthError> {
        let pairs = match encoding {
            Encoding::Form => form_pairs(body)?,
            Encoding::Json => {
                let members = serde_json::from_slice::<Members>(body);
                members.map_err(|_| Unreadable::NotAnObjectOfStrings)?.0
            }
        };
        // RFC 6749 App. A has none of them in any parameter.
        if pairs
            .iter()
            .any(|(name, value)| has_control(name) || has_control(value))
        {
            return Err(OauthError::invalid_request(
                "The parameters may not have control characters.",
            ));
        }
        if let Some(name) = first_repeated(&pairs) {
            return Err(repeated(name));
        }
        Ok(Self { pairs, encoding })
    }
}

/// Why parameters cannot be read. Nothing of them is told: they may be secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// More than [`PARAMETERS_MAX`].
    TooMany,
    /// No text in UTF-8, or a `%` without two hexadecimal digits.
    NotAForm,
    /// Not one object, or not of strings.
    NotAnObjectOfStrings,
}

impl From<Unreadable> for OauthError {
    fn from(reason: Unreadable) -> Self {
        Self::invalid_request(match reason {
            Unreadable::TooMany => "There are more than 100 parameters.",
            Unreadable::NotAForm => "The body is not form-encoded text in UTF-8.",
            Unreadable::NotAnObjectOfStrings => {
                "The body is not one JSON object of at most 100 strings."
            }
        })
    }
}

/// The names and values of a form, in their order.
pub(super) fn form_pairs(form: &[u8]) -> Result<Vec<(String, Zeroizing<String>)>, Unreadable> {
    let form = core::str::from_utf8(form).map_err(|_| Unreadable::NotAForm)?;
    let written = || form.split('&').filter(|pair| !pair.is_empty());
    if written().nth(PARAMETERS_MAX).is_some() {
        return Err(Unreadable::TooMany);
    }
    let decoded = |text: &str| form_decoded(text).ok_or(Unreadable::NotAForm);
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name)?, Zeroizing::new(decoded(value)?)))
    };
    written().map(pair).collect()
}

/// One name or value of a form as it was meant (RFC 6749 App. B). The framework's own reader lets
/// pass what is no encoding at all.
pub(super) fn form_decoded(text: &str) -> Option<String> {
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|n| u8::try_from(n).ok())
    };
    // Never longer than before, so that nothing of a secret is left behind by growing.
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => nibble(bytes.next()?)? << 4 | nibble(bytes.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// The first name that stands more than once and may not.
pub(super) fn first_repeated<T>(pairs: &[(String, T)]) -> Option<&str> {
    let mut names = pairs.iter().enumerate();
    // A hundred at most: cheaper than a set.
    let (_, (name, _)) = names.find(|(at, (name, _))| {
        name != RESOURCE && pairs[..*at].iter().any(|(earlier, _)| earlier == name)
    })?;
    Some(name)
}

fn repeated(name: &str) -> OauthError {
    // A name is said again only if it is one that a standard could have.
    let is_plain = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    OauthError::invalid_request(if is_plain {
        format!("The parameter {name} stands more than once.")
    } else {
        "A parameter stands more than once.".to_owned()
    })
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// The members of one JSON object, all of them strings.
struct Members(Vec<(String, Zeroizing<String>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyStrings;

        impl<'de> Visitor<'de> for OnlyStrings {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.len() == PARAMETERS_MAX {
                        return Err(de::Error::custom("too many"));
                    }
                    members.push((name, Zeroizing::new(value)));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(OnlyStrings)
    }
}

/// By which of the two ways a body says that it is written. It stands once: the edge sees to that.
fn encoding_of(request: &HttpRequest) -> Result<Encoding, OauthError> {
    let given = request.headers().get(CONTENT_TYPE);
    let given = given
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let encoding = if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Some(Encoding::Form)
    } else if essence.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else {
        None
    };
    // Read as UTF-8, whatever else it claims to be; who claims another means other characters.
    let is_utf8 = parts
        .filter_map(|part| part.split_once('='))
        .all(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        });
    encoding.filter(|_| is_utf8).ok_or_else(|| {
        OauthError::invalid_request(
            "Send the parameters as application/x-www-form-urlencoded or application/json, in UTF-8.",
        )
    })
}

impl FromRequest for Parameters {
    type Error = OauthError;
    type Future = ReadParameters;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // Addresses are kept in histories and logs (RFC 6749 §2.3.1, §3.2).
        let encoding = if request.query_string().is_empty() {
            encoding_of(request)
        } else {
            Err(OauthError::invalid_request(
                "Send the parameters in the body, none in the address.",
            ))
        };
        ReadParameters {
            encoding: Some(encoding),
            body: body::read(request, payload),
        }
    }
}

/// Reads [`Parameters`]. The body is read also where it is refused for its head: the next request
/// stands behind it.
pub struct ReadParameters {
    encoding: Option<Result<Encoding, OauthError>>,
    body: ReadBody,
}

impl Future for ReadParameters {
    type Output = Result<Parameters, OauthError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let body = task::ready!(Pin::new(&mut self.body).poll(context));
        let encoding = self
            .encoding
            .take()
            .expect("polled until it was ready, no further");
        Poll::Ready((|| Parameters::of(encoding?, &body?))())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::ALLOW;
    use actix_web::http::{Method, StatusCode};
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, HttpResponse, ResponseError};
    use proptest::prelude::*;

    use crate::body::BODY_BYTES_MAX;
    use crate::oauth::post_only;

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";

    /// What is read of a body, or the words with which it is refused.
    fn read(media_type: &str, body: &[u8]) -> Result<Parameters, String> {
        let request = TestRequest::post().insert_header((CONTENT_TYPE, media_type));
        let request = request.to_http_request();
        encoding_of(&request)
            .and_then(|encoding| Parameters::of(encoding, body))
            .map_err(|error| {
                assert_eq!(error.status_code(), 400);
                error.to_string()
            })
    }

    fn pairs(parameters: &Parameters) -> Vec<(&str, &str)> {
        let pairs = parameters.pairs.iter();
        pairs
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn a_form_and_an_object_say_the_same() {
        let form = b"grant_type=client_credentials&client_id=a%20b&scope=files%3aread+files:write&empty=&flag";
        let json = br#"{"grant_type":"client_credentials","client_id":"a b","scope":"files:read files:write","empty":""}"#;
        for (media_type, body, token_type) in [
            (FORM, &form[..], "bearer"),
            (
                "Application/X-WWW-Form-Urlencoded ; charset=UTF-8",
                form,
                "bearer",
            ),
            (JSON, json, "Bearer"),
            (
                "application/json;charset=\"utf-8\"; version=1",
                json,
                "Bearer",
            ),
        ] {
            let read = read(media_type, body).ok().unwrap();
            assert_eq!(read.get("grant_type"), Some("client_credentials"));
            assert_eq!(read.get("client_id"), Some("a b"));
            assert_eq!(read.get("scope"), Some("files:read files:write"));
            assert_eq!(read.get("empty"), None, "without a value it is left out");
            assert_eq!(read.get("flag"), None);
            assert_eq!(read.get("unknown"), None);
            assert_eq!(read.token_type(), token_type);
            let missing = read.required("code").unwrap_err();
            assert_eq!(
                missing.to_string(),
                "invalid_request The parameter code is missing."
            );
        }
    }

    #[test]
    fn n003_what_stands_twice_is_refused_and_resources_are_not() {
        for body in [
            "scope=a&scope=b",
            "scope=a&scope=a",
            "scope=&scope=a",
            "scope&scope",
            "scope=a&%73cope=b",
            "unknown=1&unknown=2",
        ] {
            let words = read(FORM, body.as_bytes()).err().unwrap();
            assert!(
                words.starts_with("invalid_request The parameter"),
                "{words}"
            );
        }
        for body in [
            r#"{"scope":"a","scope":"b"}"#,
            r#"{"scope":"a","sc\u006fpe":"a"}"#,
        ] {
            let words = read(JSON, body.as_bytes()).err().unwrap();
            assert_eq!(
                words,
                "invalid_request The parameter scope stands more than once."
            );
        }
        let secret = read(FORM, b"cs_live_Secret=1&cs_live_Secret=2")
            .err()
            .unwrap();
        assert_eq!(secret, "invalid_request A parameter stands more than once.");
        let read = read(
            FORM,
            b"resource=https://a.example&resource=https://b.example&resource=",
        );
        let read = read.ok().unwrap();
        let resources: Vec<&str> = read.resources().collect();
        assert_eq!(resources, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn n004_other_media_types_are_refused() {
        for media_type in [
            "",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/jsonp",
            "application/vnd.api+json",
            "text/json",
            "application/x-www-form-urlencoded, application/json",
            "application/x-www-form-urlencoded; charset=utf-16",
            "application/json; charset=iso-8859-1",
            "*/*",
        ] {
            let words = read(media_type, b"grant_type=x").err().unwrap();
            assert!(
                words.contains("Send the parameters as"),
                "{media_type}: {words}"
            );
        }
        let request = TestRequest::post().to_http_request();
        assert!(encoding_of(&request).is_err());
    }

    #[test]
    fn n005_only_one_object_of_strings_is_read() {
        let deep = format!("{}{}", r#"{"a":"#.repeat(100), "1");
        let deeper = "[".repeat(30_000);
        let many: Vec<String> = (0..=PARAMETERS_MAX)
            .map(|i| format!(r#""p{i}":"""#))
            .collect();
        let many = format!("{{{}}}", many.join(","));
        for body in [
            "",
            "[]",
            r#"["grant_type","x"]"#,
            r#"[{"grant_type":"x"}]"#,
            "null",
            r#""grant_type""#,
            r#"{"client_secret":7}"#,
            r#"{"client_secret":1e308}"#,
            r#"{"client_secret":null}"#,
            r#"{"client_secret":true}"#,
            r#"{"client_secret":["x"]}"#,
            r#"{"resource":["https://a.example"]}"#,
            r#"{"client_secret":{"$ne":""}}"#,
            r#"{"grant_type":"x"}{}"#,
            r#"{"grant_type":"x"} x"#,
            "{\"grant_type\":\"x\"}\0",
            "\u{feff}{\"grant_type\":\"x\"}",
            r#"{"grant_type":"x",}"#,
            r#"{"grant_type":"\ud800"}"#,
            r"{'grant_type':'x'}",
            "{grant_type:\"x\"}",
            "grant_type=x",
            &deep,
            &deeper,
            &many,
        ] {
            let words = read(JSON, body.as_bytes()).err().unwrap();
            assert!(words.contains("not one JSON object"), "{body}: {words}");
        }
        let utf16: Vec<u8> =
            r#"{"grant_type":"x"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(read(JSON, &utf16).is_err());
        assert!(read(JSON, b"{\"a\":\"\xff\"}").is_err());
        for (media_type, body) in [
            (JSON, r#"{"client_id":"a\u0000b"}"#),
            (JSON, r#"{"a\u0000b":"x"}"#),
            (JSON, r#"{"client_id":"a\r\nb"}"#),
            (FORM, "client_id=a%00b"),
            (FORM, "client_id=a\0b"),
            (FORM, "client_id=a%0d%0aSet-Cookie:x"),
            (FORM, "client_secret=x\n"),
            (FORM, "client_id=%c2%85"),
        ] {
            let words = read(media_type, body.as_bytes()).err().unwrap();
            assert!(words.contains("control characters"), "{body}: {words}");
        }
    }

    #[test]
    fn forms_are_read_in_one_way_only() {
        for body in [
            &b"client_id=%"[..],
            b"client_id=%4",
            b"client_id=%4g",
            b"client_id=%%41",
            b"client_id=%+1",
            b"client_id=%u0041",
            b"client_id=%ff",
            b"client_id=\xff",
            b"%zz=1",
        ] {
            let words = read(FORM, body).err().unwrap();
            assert!(words.contains("not form-encoded"), "{words}");
        }
        let read = read(FORM, b"&&a=1&=x&;b=2;c=3&a%3d=b&d==&e=%e2%82%ac&")
            .ok()
            .unwrap();
        assert_eq!(
            pairs(&read),
            [
                ("a", "1"),
                ("", "x"),
                (";b", "2;c=3"),
                ("a=", "b"),
                ("d", "="),
                ("e", "\u{20ac}")
            ]
        );
    }

    #[test]
    fn n124_a_hundred_parameters_and_no_more() {
        let form = |count: usize| {
            let pairs: Vec<String> = (0..count).map(|i| format!("p{i}=x")).collect();
            pairs.join("&")
        };
        assert!(read(FORM, form(PARAMETERS_MAX).as_bytes()).is_ok());
        let words = read(FORM, form(PARAMETERS_MAX + 1).as_bytes())
            .err()
            .unwrap();
        assert_eq!(words, "invalid_request There are more than 100 parameters.");
        assert!(read(FORM, "&".repeat(60_000).as_bytes()).is_ok());
    }

    async fn echo(parameters: Parameters) -> HttpResponse {
        HttpResponse::Ok().body(parameters.get("scope").unwrap_or("none").to_owned())
    }

    /// Sends a request to an endpoint of this form. Gives status, body and `Allow`.
    async fn send(request: TestRequest) -> (StatusCode, String, Option<String>) {
        let app = init_service(App::new().service(post_only(&["/oauth/token"], echo))).await;
        let response = call_service(&app, request.to_request()).await;
        let (status, allow) = (response.status(), response.headers().get(ALLOW).cloned());
        let body = read_body(response).await;
        let allow = allow.map(|value| value.to_str().unwrap().to_owned());
        (status, String::from_utf8(body.to_vec()).unwrap(), allow)
    }

    #[actix_web::test]
    async fn n001_it_is_posted_to_and_nothing_else() {
        let post = TestRequest::post()
            .uri("/oauth/token")
            .insert_header((CONTENT_TYPE, FORM));
        let (status, body, _) = send(post.set_payload("scope=files:read")).await;
        assert_eq!((status.as_u16(), &*body), (200, "files:read"));
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let request = TestRequest::default()
                .method(method.clone())
                .uri("/oauth/token");
            let (status, body, allow) = send(request).await;
            assert_eq!(status, 405, "{method}");
            assert_eq!(allow.as_deref(), Some("POST"), "{method}");
            assert!(
                body.contains(r#""error":"invalid_request""#),
                "{method}: {body}"
            );
        }
    }

    #[actix_web::test]
    async fn n002_what_stands_in_the_address_is_refused() {
        for query in [
            "grant_type=x",
            "client_secret=s3cret",
            "unknown",
            "=",
            "scope=files:read",
        ] {
            let post = TestRequest::post().uri(&format!("/oauth/token?{query}"));
            let post = post
                .insert_header((CONTENT_TYPE, FORM))
                .set_payload("scope=files:read");
            let (status, body, _) = send(post).await;
            assert_eq!(status, 400, "{query}");
            assert!(body.contains("none in the address"), "{query}: {body}");
            assert!(!body.contains("s3cret"));
        }
    }

    #[actix_web::test]
    async fn n125_a_body_that_is_too_large_is_refused() {
        for (bytes, expected) in [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)] {
            let body = format!("x={}", "x".repeat(bytes - 2));
            let post = TestRequest::post()
                .uri("/oauth/token")
                .insert_header((CONTENT_TYPE, FORM));
            let (status, body, _) = send(post.set_payload(body)).await;
            assert_eq!(status, expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_is_a_fault_of_ours(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(FORM, &body);
            let _ = read(JSON, &body);
        }

        #[test]
        fn what_was_encoded_is_read_again(text in "\\PC{0,20}") {
            let digits: Vec<String> = text.bytes().map(|b| format!("%{b:02x}")).collect();
            let encoded = digits.concat();
            prop_assert_eq!(form_decoded(&encoded), Some(text));
        }
    }
}
