//! How the OAuth endpoints refuse: a code that programs read, and a sentence for people (RFC 6749
//! §5.2).

use core::fmt;
use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use keyledger_domain::credential::masked;
use keyledger_ledger::NotCommitted;
use serde::Serialize;
use utoipa::ToSchema;

use crate::decisions::Denial;
use crate::problem::Problem;

/// The challenge to a client that showed itself by Basic, or not at all (RFC 7617 §2.1).
const CHALLENGE_BASIC: &str = r#"Basic realm="keyledger", charset="UTF-8""#;

/// What went wrong, as programs read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Something is missing, stands twice or cannot be read (RFC 6749 §4.1.2.1, §5.2).
    InvalidRequest,
    /// Who asks is no client, or did not show that they are this one (RFC 6749 §5.2).
    InvalidClient,
    /// The code or refresh token is not good, or not this client's (RFC 6749 §5.2).
    InvalidGrant,
    /// The client may not ask in this way (RFC 6749 §4.1.2.1, §5.2).
    UnauthorizedClient,
    /// Nobody may ask in this way here (RFC 6749 §5.2).
    UnsupportedGrantType,
    /// A scope that there is not, or that is not the client's (RFC 6749 §4.1.2.1, §5.2).
    InvalidScope,
    /// A resource that is none, or not the client's (RFC 8707 §2).
    InvalidTarget,
    /// Only codes are given (RFC 6749 §4.1.2.1).
    UnsupportedResponseType,
    /// The kind of token that was named is not one that can be revoked (RFC 7009 §2.2.1).
    UnsupportedTokenType,
    /// The person said no (RFC 6749 §4.1.2.1).
    AccessDenied,
    /// Nobody is signed in, and nobody may be asked (OIDC Core §3.1.2.6).
    LoginRequired,
    /// Nobody consented yet, and nobody may be asked (OIDC Core §3.1.2.6).
    ConsentRequired,
    /// Request objects are not read (OIDC Core §3.1.2.6).
    RequestNotSupported,
    /// Request objects are not fetched (OIDC Core §3.1.2.6).
    RequestUriNotSupported,
    /// The key or token that was shown is not good (RFC 6750 §3.1).
    InvalidToken,
    /// The key or token that was shown does not reach so far (RFC 6750 §3.1).
    InsufficientScope,
    /// The fault is ours (RFC 6749 §4.1.2.1).
    ServerError,
    /// Later it may go (RFC 6749 §4.1.2.1).
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::InvalidTarget
            | Self::UnsupportedResponseType
            | Self::UnsupportedTokenType
            | Self::LoginRequired
            | Self::ConsentRequired
            | Self::RequestNotSupported
            | Self::RequestUriNotSupported => StatusCode::BAD_REQUEST,
            Self::InvalidClient | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::AccessDenied | Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A reason to refuse that does not know yet how it will be told: as a body, or by sending a browser
/// back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// The same for people, in the characters that both ways allow.
    pub description: Cow<'static, str>,
}

impl Refused {
    /// A refusal in these words. What may not stand in them is replaced.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        let description = if description.chars().all(may_be_told) {
            description
        } else {
            let plain = |c| if may_be_told(c) { c } else { '\'' };
            Cow::Owned(description.chars().map(plain).collect())
        };
        // People put secrets everywhere, and answers are logged by who asked.
        let description = match masked(&description) {
            Cow::Borrowed(_) => description,
            Cow::Owned(masked) => Cow::Owned(masked),
        };
        Self { code, description }
    }
}

/// RFC 6749 §5.2: printable ASCII without the quote and the backslash.
fn may_be_told(c: char) -> bool {
    matches!(c, ' '..='~') && !matches!(c, '"' | '\\')
}

/// A refused request to an endpoint. In a box, because it is rare and every answer has room for it.
#[derive(Clone, Debug)]
pub struct OauthError(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    refused: Refused,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Why, for those who may ask. The client is not told here.
    denial: Option<Denial>,
}

/// The body of a refused request (RFC 6749 §5.2).
#[derive(Serialize, ToSchema)]
pub struct OauthErrorBody<'a> {
    /// What went wrong, for programs.
    #[schema(example = "invalid_client")]
    error: &'a str,
    /// The same for people.
    #[schema(example = "Client authentication failed")]
    error_description: &'a str,
}

impl OauthError {
    /// An error with this code, in these words.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        Refused::new(code, description).into()
    }

    /// Something in the request is not right.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// Who asks did not show that they are this client. Whether there is such a client at all, a
    /// stranger never learns: one answer for all (RFC 6749 §5.2).
    pub fn invalid_client() -> Self {
        Self::new(ErrorCode::InvalidClient, "Client authentication failed")
    }

    /// The same to one who used Basic, or nothing: the answer says what would do (RFC 6749 §5.2).
    pub fn invalid_client_by_basic() -> Self {
        let challenge = HeaderValue::from_static(CHALLENGE_BASIC);
        Self::invalid_client().with(header::WWW_AUTHENTICATE, challenge)
    }

    /// The method is not POST.
    pub(crate) fn not_posted() -> Self {
        let mut error = Self::invalid_request("Send the parameters in the body of a POST.")
            .with(header::ALLOW, HeaderValue::from_static("POST"));
        error.0.status = StatusCode::METHOD_NOT_ALLOWED;
        error
    }

    /// The same, and why: nothing of it is in the answer.
    pub(crate) fn because(mut self, denial: Option<Denial>) -> Self {
        self.0.denial = denial;
        self
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// What went wrong, and in which words it is told.
    pub fn refused(&self) -> &Refused {
        &self.0.refused
    }
}

impl From<Refused> for OauthError {
    fn from(refused: Refused) -> Self {
        Self(Box::new(Parts {
            status: refused.code.status(),
            refused,
            headers: Vec::new(),
            denial: None,
        }))
    }
}

/// What the rest of the API would say, said as OAuth does. The status stays where a client acts by it:
/// too many, too large, too late, not now.
impl From<Problem> for OauthError {
    fn from(problem: Problem) -> Self {
        let answer = problem.error_response();
        let headers = answer.headers();
        let challenges = |error| {
            let mut challenges = headers.get_all(header::WWW_AUTHENTICATE);
            challenges.any(|value| value.to_str().is_ok_and(|text| text.contains(error)))
        };
        let status = problem.status_code();
        let (code, status) = match status {
            StatusCode::UNAUTHORIZED if challenges("invalid_token") => {
                (ErrorCode::InvalidToken, status)
            }
            StatusCode::UNAUTHORIZED => (ErrorCode::InvalidClient, status),
            StatusCode::FORBIDDEN if challenges("insufficient_scope") => {
                (ErrorCode::InsufficientScope, status)
            }
            StatusCode::FORBIDDEN => (ErrorCode::AccessDenied, status),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                (ErrorCode::TemporarilyUnavailable, status)
            }
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::METHOD_NOT_ALLOWED => (ErrorCode::InvalidRequest, status),
            _ if status.is_server_error() => (ErrorCode::ServerError, status),
            _ => (ErrorCode::InvalidRequest, StatusCode::BAD_REQUEST),
        };
        let mut error =
            Self::new(code, problem.detail().to_owned()).because(problem.denial().cloned());
        error.0.status = status;
        for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW] {
            for value in headers.get_all(&name) {
                error = error.with(name.clone(), value.clone());
            }
        }
        error
    }
}

impl From<NotCommitted> for OauthError {
    fn from(reason: NotCommitted) -> Self {
        Problem::from(reason).into()
    }
}

impl fmt::Display for OauthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { code, description } = &self.0.refused;
        write!(f, "{} {description}", code.as_str())
    }
}

impl std::error::Error for OauthError {}

impl ResponseError for OauthError {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.status);
        // The rest of the body may never come, or never end: there is no next request to wait for.
        if matches!(
            self.0.status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE
        ) {
            response.force_close();
        }
        for (name, value) in &self.0.headers {
            response.append_header((name.clone(), value.clone()));
        }
        // RFC 6749 §5.1, for what stands between.
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        response.insert_header((header::PRAGMA, "no-cache"));
        let mut response = response.json(OauthErrorBody {
            error: self.0.refused.code.as_str(),
            error_description: &self.0.refused.description,
        });
        // What is kept for those who may ask is found beside the answer: this is no `Problem`.
        if let Some(denial) = &self.0.denial {
            response.extensions_mut().insert(denial.clone());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody;
    use keyledger_domain::Refusal;
    use keyledger_domain::refusal::Noun;
    use proptest::prelude::*;

    use super::*;

    fn body(error: &OauthError) -> String {
        let bytes = error.error_response().into_body().try_into_bytes().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn header_of(error: &OauthError, name: HeaderName) -> Option<String> {
        let response = error.error_response();
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn n007_a_client_that_is_not_let_in_is_told_one_thing_only() {
        for error in [
            OauthError::invalid_client(),
            OauthError::invalid_client_by_basic(),
        ] {
            assert_eq!(error.status_code(), 401);
            assert_eq!(
                body(&error),
                r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#
            );
            assert_eq!(
                header_of(&error, header::CACHE_CONTROL).as_deref(),
                Some("no-store")
            );
        }
        let challenge = header_of(&OauthError::invalid_client(), header::WWW_AUTHENTICATE);
        assert_eq!(challenge, None);
        let basic = OauthError::invalid_client_by_basic();
        assert_eq!(
            header_of(&basic, header::WWW_AUTHENTICATE).as_deref(),
            Some(CHALLENGE_BASIC)
        );
    }

    #[test]
    fn problems_of_the_rest_of_the_api_are_told_as_oauth_does() {
        use StatusCode as S;
        let problem = |status| Problem::new(status, "Words.");
        for (problem, status, code) in [
            (Problem::invalid_token(), 401, "invalid_token"),
            (Problem::invalid_password(), 401, "invalid_client"),
            (Problem::not_authenticated(), 401, "invalid_client"),
            (
                Refusal::InsufficientScope("keys:verify").into(),
                403,
                "insufficient_scope",
            ),
            (problem(S::FORBIDDEN), 403, "access_denied"),
            (Refusal::Unknown(Noun::Key).into(), 400, "invalid_request"),
            (Problem::field("name", "is bad"), 400, "invalid_request"),
            (problem(S::CONFLICT), 400, "invalid_request"),
            (problem(S::UNSUPPORTED_MEDIA_TYPE), 400, "invalid_request"),
            (problem(S::PAYLOAD_TOO_LARGE), 413, "invalid_request"),
            (problem(S::REQUEST_TIMEOUT), 408, "invalid_request"),
            (
                Problem::too_many_failures(7),
                429,
                "temporarily_unavailable",
            ),
            (NotCommitted::Busy.into(), 503, "temporarily_unavailable"),
            (Problem::internal(), 500, "server_error"),
        ] {
            let words = problem.detail().to_owned();
            let error = OauthError::from(problem);
            assert_eq!(error.status_code().as_u16(), status, "{words}");
            assert_eq!(error.refused().code.as_str(), code, "{words}");
        }
        let waits = OauthError::from(Problem::too_many_failures(7));
        assert_eq!(header_of(&waits, header::RETRY_AFTER).as_deref(), Some("7"));
        let stopped = OauthError::from(NotCommitted::Stopped);
        assert_eq!(
            header_of(&stopped, header::RETRY_AFTER).as_deref(),
            Some("1")
        );
        let wrong = OauthError::from(Problem::invalid_token());
        assert!(header_of(&wrong, header::WWW_AUTHENTICATE).is_some());
    }

    #[test]
    fn why_somebody_was_refused_is_kept_beside_the_answer() {
        let problem = Problem::from(Refusal::CredentialEnded);
        let answer = OauthError::from(problem).error_response();
        assert!(answer.extensions().get::<Denial>().is_some());
        let answer = OauthError::invalid_client().error_response();
        assert!(answer.extensions().get::<Denial>().is_none());
    }

    #[test]
    fn no_secret_is_told() {
        let key = "cs_live_3kTMd9wQx_0123456789secret";
        let secret = format!("the scope sk_{} is none", &key[3..]);
        let told = Refused::new(ErrorCode::InvalidScope, secret).description;
        assert!(!told.contains("0123456789secret"), "{told}");
    }

    proptest! {
        #[test]
        fn a_description_has_only_the_characters_that_it_may(words in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            let told = Refused::new(ErrorCode::InvalidRequest, words).description;
            // RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E.
            prop_assert!(told.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
        }
    }
}
