//! `GET /v1/me`: who am I, whoever I am.

use actix_web::{HttpResponse, web};
use keyledger_domain::text::{DisplayName, Email, Slug};
use keyledger_domain::{Actor, ApiKey, Environment, Refusal, Scopes};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::verify::OwnerId;

/// Who the caller is.
#[derive(Serialize, ToSchema)]
pub struct Me<'d> {
    /// `user`, `service`, `entitlement` or `client`.
    #[schema(example = "user")]
    r#type: &'static str,
    /// The identifier.
    #[schema(value_type = String)]
    id: OwnerId,
    /// A user's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'d str>,
    /// A user's or service's slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    slug: Option<&'d str>,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'d str>,
    /// The scopes of the credential; `null` for all that its holder may do.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<&'d Scopes>,
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
    let me = |r#type, id| Me {
        r#type,
        id,
        email: None,
        slug: None,
        name: None,
        scopes,
        environment: directory.environment_of(authority),
    };
    let ended = || Problem::from(Refusal::CredentialEnded);
    let me = match authority.actor {
        Actor::User(id) => {
            let user = directory.user(id).ok_or_else(ended)?;
            Me {
                email: user.email.known().map(Email::as_str),
                slug: user.slug.known().map(Slug::as_str),
                name: user.name.known().map(DisplayName::as_str),
                ..me("user", OwnerId::User(id))
            }
        }
        Actor::Service(id) => {
            let service = directory.service(id).ok_or_else(ended)?;
            Me {
                slug: Some(service.slug.as_str()),
                name: Some(service.name.as_str()),
                ..me("service", OwnerId::Service(id))
            }
        }
        Actor::Entitlement(id) => {
            let token = directory.entitlement(id).ok_or_else(ended)?;
            Me {
                name: Some(token.name.as_str()),
                ..me("entitlement", OwnerId::Entitlement(id))
            }
        }
        Actor::Client(id) => {
            let client = directory.client(id).ok_or_else(ended)?;
            Me {
                name: Some(client.settings.name.as_str()),
                ..me("client", OwnerId::Client(id))
            }
        }
        Actor::System => return Err(Problem::internal()),
    };
    let me = answer::write(&me)?;
    drop(directory);
    Ok(answer::found(me))
}
