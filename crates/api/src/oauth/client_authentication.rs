//! How a request names its client, and what it shows for it (RFC 6749 §2.3). Nothing is looked up
//! here.
//!
//! ```text
//! Authorization: Basic base64(form-encoded client_id:form-encoded client_secret)
//! client_id=…&client_secret=…    in the body
//! client_id=…                    in the body, of a client that has no secret
//! ```

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyledger_domain::id::ClientId;
use zeroize::Zeroizing;

use crate::oauth::error::{ErrorCode, OauthError};
use crate::oauth::parameters::{Parameters, form_decoded};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The client that a `client_id` names, in the one spelling that we gave it. Other spellings of the
/// same number would be a second name of the client, which a proxy's list of clients does not know.
pub fn client_named(text: &str) -> Option<ClientId> {
    let id: ClientId = text.parse().ok()?;
    (id.encode(&mut ClientId::buffer()) == text).then_some(id)
}

/// The way in which a client showed itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// By HTTP Basic.
    Basic,
    /// By `client_id` and `client_secret` in the body.
    Body,
    /// It only said who it is.
    NameAlone,
}

/// Which client a request says it comes from. It may hold a secret: wiped when dropped, and never
/// printed.
pub struct ClaimedClient {
    /// The `client_id`, as it was written.
    pub client_id: String,
    /// What was shown for it. A secret without a character counts as none (RFC 6749 §2.3.1).
    pub secret: Option<Zeroizing<String>>,
    /// The way in which it was shown.
    pub by: ShownBy,
}

impl ClaimedClient {
    /// Reads which client a request says it comes from.
    ///
    /// # Errors
    /// 400 `invalid_request` for more than one way at once, or two names; 401 `invalid_client` for one
    /// that cannot be read, for a way that is not offered, and for none.
    pub fn of(request: &HttpRequest, parameters: &Parameters) -> Result<Self, OauthError> {
        let in_body = |name| parameters.get(name);
        let (body_id, body_secret) = (in_body("client_id"), in_body("client_secret"));
        let headers = request.headers();
        let mut authorization = headers.get_all(AUTHORIZATION);
        let header = authorization.next();
        let asserts = in_body("client_assertion")
            .or(in_body("client_assertion_type"))
            .is_some();
        // RFC 6749 §2.3: one way a request, or a proxy and we might pick different ones.
        let ways = [header.is_some(), body_secret.is_some(), asserts];
        if authorization.next().is_some()
            || headers.contains_key(X_API_KEY)
            || ways.iter().filter(|used| **used).count() > 1
        {
            return Err(OauthError::invalid_request(
                "Authenticate the client in one way: by Basic, or by client_id and client_secret in the body.",
            ));
        }
        if asserts {
            return Err(OauthError::new(
                ErrorCode::InvalidClient,
                "Client assertions are not taken; use client_secret_basic or client_secret_post.",
            ));
        }
        if let Some(header) = header {
            let claimed = header.to_str().ok().and_then(basic);
            let claimed = claimed.ok_or_else(OauthError::invalid_client_by_basic)?;
            if body_id.is_some_and(|id| id != claimed.client_id) {
                return Err(OauthError::invalid_request(
                    "The client_id in the body is not the one in the Authorization header.",
                ));
            }
            return Ok(claimed);
        }
        match (body_id, body_secret) {
            (Some(id), secret) => Ok(Self {
                client_id: id.to_owned(),
                secret: secret.map(|secret| Zeroizing::new(secret.to_owned())),
                by: if secret.is_some() {
                    ShownBy::Body
                } else {
                    ShownBy::NameAlone
                },
            }),
            (None, Some(_)) => Err(OauthError::invalid_request(
                "The parameter client_id is missing.",
            )),
            (None, None) => Err(OauthError::invalid_client_by_basic()),
        }
    }

    /// What the request is told if the client does not turn out to be who it says: always the same,
    /// but for the challenge to one who used Basic (RFC 6749 §5.2).
    pub fn refused(&self) -> OauthError {
        match self.by {
            ShownBy::Basic => OauthError::invalid_client_by_basic(),
            ShownBy::Body | ShownBy::NameAlone => OauthError::invalid_client(),
        }
    }
}

/// RFC 6749 §2.3.1: both parts are form-encoded first, so that a colon may stand in them.
fn basic(header: &str) -> Option<ClaimedClient> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (id, secret) = core::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let id = form_decoded(id)?;
    let secret = Zeroizing::new(form_decoded(secret)?);
    let has_control = |text: &str| text.chars().any(char::is_control);
    if id.is_empty() || has_control(&id) || has_control(&secret) {
        return None;
    }
    Some(ClaimedClient {
        client_id: id,
        secret: (!secret.is_empty()).then_some(secret),
        by: ShownBy::Basic,
    })
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use actix_web::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
    use actix_web::test::TestRequest;
    use actix_web::{FromRequest, dev::Payload};

    use super::*;

    /// What is read of a request with these headers and this form.
    async fn claimed(headers: &[(&str, &str)], form: &str) -> Result<ClaimedClient, OauthError> {
        let request = TestRequest::post()
            .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .set_payload(form.to_owned());
        let request = headers
            .iter()
            .fold(request, |request, header| request.append_header(*header));
        let (request, mut payload): (HttpRequest, Payload) = request.to_http_parts();
        let parameters = Parameters::from_request(&request, &mut payload).await;
        ClaimedClient::of(&request, &parameters.ok().unwrap())
    }

    #[test]
    fn a_client_has_one_name() {
        let name = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(
            client_named(name).map(|id| id.to_string()).as_deref(),
            Some(name)
        );
        for other in [
            &name.to_uppercase(),
            &name.replace('-', ""),
            &format!("{{{name}}}"),
            &format!("urn:uuid:{name}"),
            &format!(" {name}"),
            "",
        ] {
            assert_eq!(client_named(other), None, "{other}");
        }
    }

    fn authorization(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[actix_web::test]
    async fn n020_a_client_shows_itself_in_one_of_three_ways() {
        use ShownBy::{Basic, Body, NameAlone};

        let whole = authorization("app:s3cret");
        let lower = whole.replace("Basic", "basic");
        let blank = whole.replace("Basic ", "BASIC  ");
        let odd = authorization("my%3Aapp:s%25+%2B%c3%a9%3A:");
        let nothing = authorization("app:");
        let header = |value| vec![("Authorization", value)];
        for (headers, form, id, secret, by) in [
            (header(&*whole), "", "app", Some("s3cret"), Basic),
            (header(&*lower), "", "app", Some("s3cret"), Basic),
            (header(&*blank), "", "app", Some("s3cret"), Basic),
            (header(&*odd), "", "my:app", Some("s% +\u{e9}::"), Basic),
            (header(&*nothing), "", "app", None, Basic),
            (
                header(&*whole),
                "client_id=app",
                "app",
                Some("s3cret"),
                Basic,
            ),
            (
                header(&*whole),
                "client_secret=",
                "app",
                Some("s3cret"),
                Basic,
            ),
            (
                vec![],
                "client_id=app&client_secret=s%26t",
                "app",
                Some("s&t"),
                Body,
            ),
            (vec![], "client_id=app", "app", None, NameAlone),
            (
                vec![],
                "client_id=app&client_secret=",
                "app",
                None,
                NameAlone,
            ),
        ] {
            let claimed = claimed(&headers, form).await.ok().unwrap();
            let shown = claimed.secret.as_ref().map(|secret| secret.as_str());
            assert_eq!(
                (&*claimed.client_id, shown, claimed.by),
                (id, secret, by),
                "{headers:?} {form}"
            );
            let challenge = claimed.refused().error_response();
            assert_eq!(
                challenge.headers().contains_key(WWW_AUTHENTICATE),
                by == Basic
            );
        }
    }

    #[actix_web::test]
    async fn n020_what_cannot_be_read_is_401_with_a_challenge() {
        for header in [
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Basic YXBw",
            "Basic YXBwOnMzY3JldA",
            "Basic Og==",
            "Basic YXBwOnMzY3JldA==x",
            "BasicYXBwOnMzY3JldA==",
            "Bearer YXBwOnMzY3JldA==",
            "Bearer sk_live_x",
            "token x",
            "Digest username=app",
            "",
            &authorization("app"),
            &authorization(":s3cret"),
            &authorization("app:%"),
            &authorization("app:%zz"),
            &authorization("app:%ff"),
            &authorization("a%00pp:x"),
            &authorization("app:x\0y"),
            &authorization("app:x\r\ny"),
            &format!("Basic {}", STANDARD.encode(b"app:\xff")),
            &format!("{}, {}", authorization("app:x"), authorization("app:x")),
        ] {
            let refused = claimed(&[("Authorization", header)], "")
                .await
                .err()
                .unwrap();
            assert_eq!(refused.status_code(), 401, "{header}");
            assert_eq!(
                refused.refused().code.as_str(),
                "invalid_client",
                "{header}"
            );
            let response = refused.error_response();
            let challenge = response.headers().get(WWW_AUTHENTICATE).unwrap();
            assert!(
                challenge.to_str().unwrap().starts_with("Basic "),
                "{header}"
            );
        }
        let nobody = claimed(&[], "grant_type=client_credentials")
            .await
            .err()
            .unwrap();
        assert_eq!(nobody.status_code(), 401);
        let response = nobody.error_response();
        assert!(response.headers().contains_key(WWW_AUTHENTICATE));
    }

    #[actix_web::test]
    async fn n006_two_ways_at_once_are_refused_however_equal() {
        let whole = authorization("app:s3cret");
        let other = authorization("app:other");
        let header = ("Authorization", &*whole);
        for (headers, form) in [
            (vec![header], "client_id=app&client_secret=s3cret"),
            (vec![header], "client_secret=s3cret"),
            (vec![header], "client_id=other"),
            (vec![header], "client_id=APP"),
            (vec![header, header], ""),
            (vec![header, ("Authorization", &*other)], ""),
            (vec![header, ("X-Api-Key", "sk_live_x")], ""),
            (
                vec![("X-Api-Key", "sk_live_x")],
                "client_id=app&client_secret=x",
            ),
            (vec![("X-Api-Key", "sk_live_x")], ""),
            (
                vec![("Authorization", "Bearer x")],
                "client_id=app&client_secret=x",
            ),
            (vec![header], "client_assertion=x"),
            (vec![], "client_id=app&client_secret=x&client_assertion=y"),
            (vec![], "client_secret=s3cret"),
        ] {
            let refused = claimed(&headers, form).await.err().unwrap();
            assert_eq!(refused.status_code(), 400, "{headers:?} {form}");
            assert_eq!(refused.refused().code.as_str(), "invalid_request");
            assert!(!refused.to_string().contains("s3cret"));
        }
        for form in [
            "client_id=app&client_assertion=x",
            "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ] {
            let refused = claimed(&[], form).await.err().unwrap();
            assert_eq!(refused.status_code(), 401, "{form}");
        }
    }
}
