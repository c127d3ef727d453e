//! `GET /v1/me`: who am I, whoever I am.

use actix_web::{HttpResponse, web};
use keyledger_domain::{Actor, ApiKey, Environment, Refusal, Scope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};

/// Who the caller is.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// `user`, `service` or `entitlement`.
    #[schema(example = "user")]
    r#type: &'static str,
    /// The identifier.
    id: String,
    /// A user's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// A user's or service's slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    slug: Option<String>,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The scopes of the credential; `null` for all that its holder may do.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Vec<Scope>>,
    /// `live` or `test`.
    #[schema(value_type = String)]
    environment: Environment,
}

/// Who am I?
///
/// # Errors
/// 401.
#[utoipa::path(get, path = "/v1/me", tag = "user",
    responses(
        (status = 200, body = Me, description = "Who the caller is."),
        (status = 401, body = ProblemBody, description = "The caller is not known.")))]
pub async fn read_me(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let directory = app.directory();
    let authority = caller.authority();
    let key = authority.credential().and_then(|id| directory.api_key(id));
    let scopes = key.and_then(|key: &ApiKey| key.scopes.as_ref());
    let mut me = Me {
        r#type: "user",
        id: String::new(),
        email: None,
        slug: None,
        name: None,
        scopes: scopes.map(|scopes| scopes.iter().cloned().collect()),
        environment: directory.environment_of(authority),
    };
    let ended = || Problem::from(Refusal::CredentialEnded);
    match authority.actor {
        Actor::User(id) => {
            let user = directory.user(id).ok_or_else(ended)?;
            me.id = id.to_string();
            me.email = user.email.known().map(ToString::to_string);
            me.slug = user.slug.known().map(ToString::to_string);
            me.name = user.name.known().map(ToString::to_string);
        }
        Actor::Service(id) => {
            let service = directory.service(id).ok_or_else(ended)?;
            me.r#type = "service";
            me.id = id.to_string();
            me.slug = Some(service.slug.to_string());
            me.name = Some(service.name.to_string());
        }
        Actor::Entitlement(id) => {
            let token = directory.entitlement(id).ok_or_else(ended)?;
            me.r#type = "entitlement";
            me.id = id.to_string();
            me.name = Some(token.name.to_string());
        }
        Actor::System => return Err(Problem::internal()),
    }
    Ok(HttpResponse::Ok().json(me))
}
