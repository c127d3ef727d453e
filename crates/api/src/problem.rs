//! How a request is refused: RFC 9457 problem documents, all of them made here.
//!
//! What the caller is told is fixed and tested; the reason on our side goes to the log, once.

use core::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpResponse, ResponseError};
use keyledger_domain::Refusal;
use keyledger_domain::refusal::Field;
use keyledger_ledger::NotCommitted;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::decisions::Denial;

/// How every challenge for a bearer token begins (RFC 6750 §3).
pub(crate) const BEARER: &str = r#"Bearer realm="keyledger""#;
/// The challenge to somebody who showed nothing (RFC 6750 §3: without an error code).
const CHALLENGE_ALL: &str = r#"Bearer realm="keyledger", Basic realm="keyledger", charset="UTF-8""#;
/// The challenge to a wrong key.
const CHALLENGE_BEARER: &str = r#"Bearer realm="keyledger", error="invalid_token""#;
/// The challenge to a wrong password.
const CHALLENGE_BASIC: &str = r#"Basic realm="keyledger", charset="UTF-8""#;

/// A refused request. In a box, because it is rare and every answer has room for it.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    detail: String,
    fields: BTreeMap<String, Vec<String>>,
    headers: Vec<(HeaderName, String)>,
    /// Why, for those who may ask. The caller is not told here.
    denial: Option<Denial>,
}

/// The body of a refused request (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct ProblemBody<'a> {
    /// Always `about:blank`: the status says the kind, `detail` the rest.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The name of the status.
    #[schema(example = "Unauthorized")]
    title: &'a str,
    /// The status code.
    #[schema(example = 401)]
    status: u16,
    /// What is wrong and what mends it.
    #[schema(example = "Invalid token.")]
    detail: &'a str,
    /// For 401 and 403: under which id those who are allowed to know find out why.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015")]
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'a str>,
    /// For 422: each field that is not right, with the reasons.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: &'a BTreeMap<String, Vec<String>>,
}

impl Problem {
    /// A problem with this status and these words.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            detail: detail.into(),
            fields: BTreeMap::new(),
            headers: Vec::new(),
            denial: None,
        }))
    }

    /// The same, and why: nothing of it is in the answer.
    pub(crate) fn because(mut self, denial: Denial) -> Self {
        self.0.denial = Some(denial);
        self
    }

    /// Why somebody was refused, where that is known.
    pub(crate) fn denial(&self) -> Option<&Denial> {
        self.0.denial.as_ref()
    }

    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// Nothing was shown where something must be (RFC 9110 §15.5.2).
    pub fn not_authenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Authentication credentials were not provided.",
        )
        .with(header::WWW_AUTHENTICATE, CHALLENGE_ALL)
    }

    /// The key or token that was shown is none, or no longer one. Which, a stranger never learns.
    pub fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid token.")
            .with(header::WWW_AUTHENTICATE, CHALLENGE_BEARER)
    }

    /// The password is wrong, or there is no such account. Which, a stranger never learns.
    pub fn invalid_password() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid username/password.")
            .with(header::WWW_AUTHENTICATE, CHALLENGE_BASIC)
    }

    /// More than one credential: we never guess which was meant.
    pub fn several_credentials() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Multiple credentials supplied.")
    }

    /// There is nothing at this address.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found.")
    }

    /// The address is good, the method is not.
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.").with(header::ALLOW, allow)
    }

    /// The body cannot be read at all.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// One field is not right.
    pub fn field(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::fields(BTreeMap::from([(name.into(), vec![reason.into()])]))
    }

    /// Some fields are not right. The detail names the first, for those who read nothing else.
    pub fn fields(fields: BTreeMap<String, Vec<String>>) -> Self {
        let first = fields.iter().next();
        let detail = first.map_or_else(String::new, |(name, reasons)| {
            format!(
                "{name}: {}",
                reasons.first().map_or("not right", String::as_str)
            )
        });
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        problem.0.fields = fields;
        problem
    }

    /// The key was used as often as it may be (RFC 6585 §4); the next request passes so much later.
    pub(crate) fn rate_limited(retry_after_seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!("The key's rate_limit is reached; try again in {retry_after_seconds} s."),
        )
        .with(header::RETRY_AFTER, retry_after_seconds.to_string())
    }

    /// We could take this later, not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with(header::RETRY_AFTER, "1")
    }

    /// Too many credentials were wrong; the next one is looked at after so many seconds (RFC 6585 §4).
    pub(crate) fn too_many_failures(retry_after_seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong credentials; try again later.",
        )
        .with(header::RETRY_AFTER, retry_after_seconds.to_string())
    }

    /// When to try again, as the header says it.
    pub(crate) fn retry_after(&self) -> Option<&str> {
        let mut headers = self.0.headers.iter();
        let (_, value) = headers.find(|(name, _)| *name == header::RETRY_AFTER)?;
        Some(value)
    }

    /// The fault is ours; the log has the reason.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The server failed; its log says why.",
        )
    }

    /// The body of the answer, with the id of its decision, if it has one.
    pub(crate) fn body(&self, decision: Option<&str>) -> Vec<u8> {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.0.status.canonical_reason().unwrap_or("Error"),
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            decision,
            fields: &self.0.fields,
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// Whether it is the caller's to mend, and nothing was done.
    pub(crate) fn is_refusal(&self) -> bool {
        self.0.status.is_client_error()
    }

    /// The words that the caller is told.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is wrong with this field, for a page that tells it beside the field.
    pub(crate) fn reason(&self, field: &str) -> Option<&str> {
        self.0.fields.get(field)?.first().map(String::as_str)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let words = refusal.to_string();
        let denial = Denial::Refused(refusal.clone());
        let with = |status| Self::new(status, words.clone());
        match refusal {
            Refusal::CredentialEnded => Self::invalid_token().because(denial),
            Refusal::Unknown(_) => with(StatusCode::NOT_FOUND),
            Refusal::InsufficientScope(scope) => with(StatusCode::FORBIDDEN)
                .with(
                    header::WWW_AUTHENTICATE,
                    format!(
                        r#"Bearer realm="keyledger", error="insufficient_scope", scope="{scope}""#
                    ),
                )
                .because(denial),
            Refusal::RoleTooLow { .. }
            | Refusal::BeyondOwnRights(_)
            | Refusal::UnlimitedFromLimited
            | Refusal::BeyondOwnLifetime
            | Refusal::BeyondOwnNetworks
            | Refusal::BeyondOwnOrganizations
            | Refusal::BeyondOwnRateLimit
            | Refusal::LiveFromTest
            | Refusal::AboveOwnRole(_)
            | Refusal::RoleFromLimited
            | Refusal::UsersOnly
            | Refusal::ClientsOnly
            | Refusal::GrantTypeNotAllowed
            | Refusal::ScopeNotAllowed(_)
            | Refusal::ResourceNotAllowed
            | Refusal::RedirectUriNotAllowed
            | Refusal::InvalidGrant
            | Refusal::PasswordNeeded => with(StatusCode::FORBIDDEN).because(denial),
            Refusal::Invalid { field, reason } => Self::field(field.as_str(), reason.to_string()),
            // The server draws the id; a caller who meets a draw that was taken tries again.
            Refusal::Taken(Field::CredentialId) => Self::unavailable("Try again."),
            Refusal::Taken(_)
            | Refusal::TooManyOrganizations
            | Refusal::TooManyInvitations
            | Refusal::AlreadyMember
            | Refusal::AlreadyRegistered
            | Refusal::LastOwner
            | Refusal::AlreadySetUp
            | Refusal::RotationUnderWay
            | Refusal::RotatedMeanwhile
            | Refusal::MemberNotDisabled
            | Refusal::KeyWorksElsewhere
            | Refusal::MemberElsewhere
            | Refusal::OtherCount(_)
            | Refusal::TooLateToUndo
            | Refusal::PublicClient
            | Refusal::TooManySigningKeys
            | Refusal::NoRotationToUndo => with(StatusCode::CONFLICT),
        }
    }
}

impl From<NotCommitted> for Problem {
    fn from(reason: NotCommitted) -> Self {
        let words = reason.to_string();
        match reason {
            NotCommitted::Refused(refusal) => refusal.into(),
            NotCommitted::OutOfSpace { .. } => Self::unavailable(
                "The disk is nearly full: nothing can be changed until there is room. Verification goes on.",
            ),
            NotCommitted::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, words),
            NotCommitted::Busy => Self::unavailable("Too many changes are waiting; try again."),
            NotCommitted::Stopped => Self::unavailable("The server is stopping; try again."),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
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
            response.append_header((name.clone(), value.as_str()));
        }
        response
            .content_type("application/problem+json")
            .body(self.body(None))
    }
}
