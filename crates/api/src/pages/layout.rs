//! How a page is answered: its HTML, a redirect, or a page that says what is wrong.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpResponse, ResponseError};
use askama::Template;
use core::fmt;

use crate::problem::Problem;

/// Answers with a page.
pub(super) fn show(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(html) => HttpResponse::build(status)
            .insert_header(ContentType::html())
            .body(html),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// 303: go there with GET, never with the form again (RFC 9700 §4.12).
pub(super) fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .finish()
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    status: u16,
    title: &'a str,
    words: &'a str,
}

/// Why a page is not shown, or a form not taken.
#[derive(Debug)]
pub(super) enum PageError {
    /// Nobody is signed in: the way leads to the login.
    Stranger,
    /// A page that says why.
    Refused {
        /// The status.
        status: StatusCode,
        /// What is wrong and what mends it.
        words: String,
        /// For 405: what may be done here.
        allow: Option<&'static str>,
        /// For 429 and 503: after how many seconds to try again.
        retry_after: Option<String>,
    },
}

impl PageError {
    /// A page with this status and these words.
    pub(super) fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self::Refused {
            status,
            words: words.into(),
            allow: None,
            retry_after: None,
        }
    }

    /// A form that did not come from us, or from another browser, or too late.
    pub(super) fn forged() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This form did not come from this site in this browser, or it is too old. Nothing was \
             changed. Load the page again; it needs cookies.",
        )
    }

    /// The page is there, the method is not.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        Self::Refused {
            status: StatusCode::METHOD_NOT_ALLOWED,
            words: "This address does not take that.".to_owned(),
            allow: Some(allow),
            retry_after: None,
        }
    }
}

/// What happened, in the words of somebody who does not know the protocol; the number stands beside.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::METHOD_NOT_ALLOWED => "Not in this way",
        StatusCode::CONFLICT => "Something is in the way",
        StatusCode::PAYLOAD_TOO_LARGE => "Too long",
        StatusCode::TOO_MANY_REQUESTS => "Too often",
        StatusCode::SERVICE_UNAVAILABLE => "Not just now",
        status if status.is_server_error() => "Something went wrong here",
        _ => "That did not work",
    }
}

impl From<Problem> for PageError {
    fn from(problem: Problem) -> Self {
        let status = problem.status_code();
        // The session ended between the look-up and the decision.
        if status == StatusCode::UNAUTHORIZED {
            return Self::Stranger;
        }
        Self::Refused {
            status,
            words: problem.detail().to_owned(),
            allow: None,
            retry_after: problem.retry_after().map(str::to_owned),
        }
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger => f.write_str("nobody is signed in"),
            Self::Refused { status, words, .. } => write!(f, "{} {words}", status.as_u16()),
        }
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Stranger => StatusCode::SEE_OTHER,
            Self::Refused { status, .. } => *status,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Stranger => see_other("/login"),
            Self::Refused {
                status,
                words,
                allow,
                retry_after,
            } => {
                let page = MessagePage {
                    status: status.as_u16(),
                    title: title(*status),
                    words,
                };
                let mut response = show(*status, &page);
                let headers = response.headers_mut();
                if let Some(allow) = allow {
                    headers.insert(header::ALLOW, header::HeaderValue::from_static(allow));
                }
                let retry_after = retry_after.as_ref().and_then(|text| text.parse().ok());
                if let Some(seconds) = retry_after {
                    headers.insert(header::RETRY_AFTER, seconds);
                }
                response
            }
        }
    }
}
