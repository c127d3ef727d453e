//! `/login` and `/logout`.

use actix_web::http::StatusCode;
use actix_web::http::header::{CLEAR_SITE_DATA, RETRY_AFTER, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;
use keyledger_domain::session::EndAllSessions;
use serde::Deserialize;

use super::authorize::Onward;
use super::consent::allow_form_action;
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
    /// The app that sent them here, by the name it was registered with.
    app: Option<&'a str>,
    notice: Option<&'static str>,
    email: &'a str,
    refused: Option<&'a str>,
}

/// `?next=…`: where to go afterwards.
#[derive(Default, Deserialize)]
struct LoginQuery {
    next: Option<String>,
    /// Whether the password is asked of those who are signed in too.
    again: Option<String>,
    /// What was done before.
    done: Option<String>,
}

/// The address of the login that leads on to a page of ours.
pub(super) fn login_then(next: &LocalPath) -> String {
    format!("/login?next={}", next.as_parameter())
}

/// The same for whoever must show the password once more.
pub(super) fn login_again_then(next: &LocalPath) -> String {
    format!("{}&again=yes", login_then(next))
}

/// What was done, in words of ours: an address could say anything.
fn notice(done: &str) -> Option<&'static str> {
    match done {
        "out" => Some("You are signed out."),
        "everywhere" => Some("You are signed out everywhere."),
        _ => None,
    }
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
    if query.again.is_none() && SessionCaller::of(&app, &request).is_some() {
        return Ok(see_other(next.as_ref().map_or(FRONT, LocalPath::as_str)));
    }
    let shown = Shown {
        email: "",
        refused: None,
        notice: query.done.as_deref().and_then(notice),
    };
    form(&app, &request, StatusCode::OK, next.as_ref(), &shown)
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
            let shown = Shown {
                email: &posted.email,
                refused: Some(words),
                notice: None,
            };
            let mut again = form(&app, &request, status, next.as_ref(), &shown)?;
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
    /// Where to go once somebody has signed in again.
    next: Option<String>,
    /// Whether every other session of the person ends too.
    everywhere: Option<String>,
}

impl PageForm for LogoutForm {
    const BOND: Bond = Bond::Session;

    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// Ends the session, here and in the browser, or all that the person has.
pub(super) async fn log_out(
    app: web::Data<App>,
    request: HttpRequest,
    Posted(posted): Posted<LogoutForm>,
) -> Result<HttpResponse, PageError> {
    let everywhere = posted.everywhere.is_some();
    if let Some(session) = SessionCaller::of(&app, &request) {
        if everywhere {
            app.execute(&session.caller, EndAllSessions).await?;
        } else {
            app.end_session(&session).await?;
        }
    }
    let next = LocalPath::of(posted.next.as_deref());
    let mut response = match next {
        Some(next) => see_other(&login_then(&next)),
        None if everywhere => see_other("/login?done=everywhere"),
        None => see_other("/login?done=out"),
    };
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

/// What the form shows besides its fields.
struct Shown<'a> {
    email: &'a str,
    refused: Option<&'a str>,
    notice: Option<&'static str>,
}

fn form(
    app: &App,
    request: &HttpRequest,
    status: StatusCode,
    next: Option<&LocalPath>,
    shown: &Shown<'_>,
) -> Result<HttpResponse, PageError> {
    let visit = Visit::of(app, request)?;
    let onward = next.and_then(|next| Onward::of(app, next));
    let page = LoginPage {
        csrf: &visit.field(app),
        next: next.map(LocalPath::as_str),
        app: onward.as_ref().map(|onward| &*onward.client),
        notice: shown.notice,
        email: shown.email,
        refused: shown.refused,
    };
    let mut response = show(status, &page);
    if let Some(onward) = onward {
        allow_form_action(&mut response, &onward.form_action)?;
    }
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
