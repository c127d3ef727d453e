//! `/setup?code=…`: the first owner comes in by the link that the server printed.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;
use serde::Deserialize;

use super::csrf::{Bond, PageForm, Posted, Visit};
use super::layout::{PageError, see_other, show};
use super::login::add_cookie;
use crate::app::App;
use crate::caller::Origin;
use crate::problem::Problem;
use crate::routes::set_up::FirstOwner;

#[derive(Template)]
#[template(path = "set_up.html")]
struct SetUpPage<'a> {
    csrf: &'a str,
    code: &'a str,
    fields: [FieldView<'a>; 3],
}

/// One field of the form, and what is wrong with it.
struct FieldView<'a> {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    hint: &'static str,
    value: &'a str,
    wrong: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct SetUpQuery {
    #[serde(default)]
    code: String,
}

/// The form as it comes back. No `Debug`: it holds a password and the code.
#[derive(Default, Deserialize)]
pub(super) struct SetUpForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    organization: String,
}

impl PageForm for SetUpForm {
    const BOND: Bond = Bond::Visit;

    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// The form, for whoever has the code; 404 for everybody else, and for ever once it is used.
pub(super) async fn show_set_up(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let query = web::Query::<SetUpQuery>::from_query(request.query_string());
    let query = query.map(web::Query::into_inner).unwrap_or_default();
    app.check_setup_code(&query.code, Origin::of(&request).source())?;
    let empty = SetUpForm {
        code: query.code,
        ..SetUpForm::default()
    };
    form(&app, &request, &empty, None)
}

/// Makes the first owner, as `POST /v1/setup` does, and sends them to the login.
pub(super) async fn set_up(
    app: web::Data<App>,
    request: HttpRequest,
    Posted(mut posted): Posted<SetUpForm>,
) -> Result<HttpResponse, PageError> {
    let owner = FirstOwner {
        code: Some(posted.code.clone()),
        email: Some(posted.email.clone()),
        password: Some(core::mem::take(&mut posted.password)),
        organization: Some(posted.organization.clone()),
        name: None,
    };
    match app.set_up(Origin::of(&request), owner).await {
        Ok(_) => Ok(see_other("/login")),
        Err(problem) if problem.status_code() == StatusCode::UNPROCESSABLE_ENTITY => {
            form(&app, &request, &posted, Some(&problem))
        }
        Err(problem) => Err(problem.into()),
    }
}

fn form(
    app: &App,
    request: &HttpRequest,
    filled: &SetUpForm,
    refused: Option<&Problem>,
) -> Result<HttpResponse, PageError> {
    let visit = Visit::of(app, request)?;
    let wrong = |name| refused.and_then(|problem| problem.reason(name));
    let page = SetUpPage {
        csrf: &visit.field(app),
        code: &filled.code,
        fields: [
            FieldView {
                name: "email",
                label: "Email",
                kind: "email",
                autocomplete: "username",
                hint: "What you sign in with.",
                value: &filled.email,
                wrong: wrong("email"),
            },
            FieldView {
                name: "password",
                label: "Password",
                kind: "password",
                autocomplete: "new-password",
                hint: "At least 8 characters; 15 are better.",
                // A password is never sent back, not even to whoever typed it.
                value: "",
                wrong: wrong("password"),
            },
            FieldView {
                name: "organization",
                label: "Organization",
                kind: "text",
                autocomplete: "organization",
                hint: "Its name in addresses: lower-case letters, digits and hyphens, such as acme.",
                value: &filled.organization,
                wrong: wrong("organization"),
            },
        ],
    };
    let status = refused.map_or(StatusCode::OK, ResponseError::status_code);
    let mut response = show(status, &page);
    if let Some(cookie) = visit.cookie() {
        add_cookie(&mut response, &cookie)?;
    }
    Ok(response)
}
