//! `/login` and `/logout`.

use actix_web::http::StatusCode;
use actix_web::http::header::{CLEAR_SITE_DATA, RETRY_AFTER, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;
use serde::Deserialize;

use super::cookie;
use super::csrf::{Bond, PageForm, Posted, Visit};
use super::layout::{PageError, see_other, show};
use super::local_path::{FRONT, LocalPath};
use super::session::SessionCaller;
use crate::app::App;
use crate::caller::Origin;
use crate::passwords::Password;
use crate::problem::Problem;

/// What a stranger is told whose name or password is wrong. Which, they never learn.
const WRONG: &str = "Wrong email or password.";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    csrf: &'a str,
    next: Option<&'a str>,
    email: &'a str,
    refused: Option<&'a str>,
}

/// `?next=…`: where to go afterwards.
#[derive(Default, Deserialize)]
struct LoginQuery {
    next: Option<String>,
}

/// The form as it comes back. No `Debug`: it holds a password.
#[derive(Deserialize)]
pub(super) struct LoginForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    next: Option<String>,
}

impl PageForm for LoginForm {
    const BOND: Bond = Bond::Visit;

    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// The login form; whoever is signed in already goes on at once.
pub(super) async fn show_login(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let query = web::Query::<LoginQuery>::from_query(request.query_string());
    let query = query.map(web::Query::into_inner).unwrap_or_default();
    let next = LocalPath::of(query.next.as_deref());
    if SessionCaller::of(&app, &request).is_some() {
        return Ok(see_other(next.as_ref().map_or(FRONT, LocalPath::as_str)));
    }
    form(&app, &request, StatusCode::OK, "", next.as_ref(), None)
}

/// Opens a session for whoever has the password, and for nobody else: a key is no password.
pub(super) async fn log_in(
    app: web::Data<App>,
    request: HttpRequest,
    Posted(posted): Posted<LoginForm>,
) -> Result<HttpResponse, PageError> {
    let next = LocalPath::of(posted.next.as_deref());
    let origin = Origin::of(&request);
    let password = Password::new(posted.password);
    let shown = app
        .caller_by_password(&posted.email, password, &origin)
        .await;
    let caller = match shown {
        Ok(caller) => caller,
        Err(problem) => {
            let (status, words) = refusal(&problem);
            let email = &posted.email;
            let mut again = form(&app, &request, status, email, next.as_ref(), Some(words))?;
            if let Some(seconds) = problem.retry_after() {
                let seconds = seconds.parse().map_err(|_| Problem::internal())?;
                again.headers_mut().insert(RETRY_AFTER, seconds);
            }
            // For the edge, which keeps why: a wrong password is told to the account's auditors.
            if let Some(denial) = problem.denial() {
                again.extensions_mut().insert(denial.clone());
            }
            return Ok(again);
        }
    };
    let cookie = app.start_session(&caller).await?;
    // The browser forgets the session that it had; nobody else may still have it. Should this fail,
    // it ends by itself in time.
    if let Some(before) = SessionCaller::of(&app, &request)
        && let Err(problem) = app.end_session(&before).await
    {
        tracing::warn!(%problem, "the session before this login was left to run out");
    }
    let mut response = see_other(next.as_ref().map_or(FRONT, LocalPath::as_str));
    add_cookie(&mut response, &cookie)?;
    Ok(response)
}

/// Whose form it was that somebody signs out with.
#[derive(Deserialize)]
pub(super) struct LogoutForm {
    #[serde(default)]
    csrf: String,
}

impl PageForm for LogoutForm {
    const BOND: Bond = Bond::Session;

    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// Ends the session, here and in the browser.
pub(super) async fn log_out(
    app: web::Data<App>,
    request: HttpRequest,
    _: Posted<LogoutForm>,
) -> Result<HttpResponse, PageError> {
    if let Some(session) = SessionCaller::of(&app, &request) {
        app.end_session(&session).await?;
    }
    let mut response = see_other("/login");
    add_cookie(&mut response, &cookie::take_back(cookie::SESSION))?;
    // Should the browser keep cookies in other places too (ASVS 14.3.1).
    let cookies = actix_web::http::header::HeaderValue::from_static("\"cookies\"");
    response.headers_mut().insert(CLEAR_SITE_DATA, cookies);
    Ok(response)
}

/// The status and the words for somebody who was not let in. 403, not 401: that would need a
/// challenge, and browsers answer one with a window of their own (RFC 9110 §15.5.2, §15.5.4).
fn refusal(problem: &Problem) -> (StatusCode, &str) {
    match problem.status_code() {
        StatusCode::UNAUTHORIZED => (StatusCode::FORBIDDEN, WRONG),
        status => (status, problem.detail()),
    }
}

fn form(
    app: &App,
    request: &HttpRequest,
    status: StatusCode,
    email: &str,
    next: Option<&LocalPath>,
    refused: Option<&str>,
) -> Result<HttpResponse, PageError> {
    let visit = Visit::of(app, request)?;
    let page = LoginPage {
        csrf: &visit.field(app),
        next: next.map(LocalPath::as_str),
        email,
        refused,
    };
    let mut response = show(status, &page);
    if let Some(cookie) = visit.cookie() {
        add_cookie(&mut response, &cookie)?;
    }
    Ok(response)
}

/// Sends a cookie along.
///
/// # Errors
/// 500 if it holds what no header may hold; ours never do.
pub(super) fn add_cookie(response: &mut HttpResponse, line: &str) -> Result<(), PageError> {
    let value = line.parse().map_err(|_| Problem::internal())?;
    response.headers_mut().append(SET_COOKIE, value);
    Ok(())
}
