//! The caller as a person: `/user/self`, `/user`, and the password.

use actix_web::{HttpResponse, web};
use keyledger_domain::user::ChangePassword;
use keyledger_domain::{Actor, Refusal, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::{Caller, Visitor};
use crate::problem::{Problem, ProblemBody};

/// Who is there. Strangers are told that they are strangers.
#[derive(Default, Serialize, ToSchema)]
pub struct Identity {
    /// Whether the caller showed who they are.
    authenticated: bool,
    /// A user's address.
    email: Option<String>,
    /// The name for people.
    name: Option<String>,
    /// The name in addresses.
    slug: Option<String>,
    /// The name that never changes.
    slug_perm: Option<String>,
    /// Where this answer is.
    self_url: Option<String>,
    /// Where the profile is.
    profile_url: Option<String>,
}

/// Who is there?
///
/// # Errors
/// 401 for a wrong credential, never a silent stranger.
#[utoipa::path(get, path = "/v1/user/self", tag = "user", security((), ("basic" = []), ("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, body = Identity, description = "Who the caller is, or that they are a stranger."),
        (status = 401, body = ProblemBody, description = "The credential is wrong.")))]
pub async fn read_self(app: web::Data<App>, visitor: Visitor) -> Result<HttpResponse, Problem> {
    let Some(caller) = visitor.caller else {
        return Ok(HttpResponse::Ok().json(Identity::default()));
    };
    let issuer = &app.settings().issuer;
    let directory = app.directory();
    let mut identity = Identity {
        authenticated: true,
        self_url: Some(format!("{issuer}/user/self/")),
        ..Identity::default()
    };
    match caller.authority().actor {
        Actor::User(id) => {
            let user = directory.user(id).ok_or(Refusal::CredentialEnded)?;
            identity.email = user.email.known().map(ToString::to_string);
            identity.name = user.name.known().map(ToString::to_string);
            identity.slug = user.slug.known().map(ToString::to_string);
            identity.slug_perm = Some(id.to_string());
            identity.profile_url = Some(format!("{issuer}/user/"));
        }
        Actor::Service(id) => {
            let service = directory.service(id).ok_or(Refusal::CredentialEnded)?;
            identity.name = Some(service.name.to_string());
            identity.slug = Some(service.slug.to_string());
            identity.slug_perm = Some(id.to_string());
        }
        Actor::Entitlement(id) => {
            let token = directory.entitlement(id).ok_or(Refusal::CredentialEnded)?;
            identity.name = Some(token.name.to_string());
            identity.slug_perm = Some(id.to_string());
        }
        Actor::Client(id) => {
            let client = directory.client(id).ok_or(Refusal::CredentialEnded)?;
            identity.name = Some(client.settings.name.to_string());
            identity.slug_perm = Some(id.to_string());
        }
        Actor::System => return Err(Problem::internal()),
    }
    Ok(HttpResponse::Ok().json(identity))
}

/// An organization that the user is in.
#[derive(Serialize, ToSchema)]
pub struct UserOrganization {
    /// Its slug.
    slug: String,
    /// The user's role in it.
    #[schema(value_type = String, example = "owner")]
    role: Role,
}

/// A user, to themselves.
#[derive(Serialize, ToSchema)]
pub struct UserDetails {
    /// The identifier.
    id: String,
    /// The address.
    email: Option<String>,
    /// The name for people.
    name: Option<String>,
    /// The name in addresses.
    slug: Option<String>,
    /// Where they are a member.
    organizations: Vec<UserOrganization>,
}

/// My details.
///
/// # Errors
/// 401; 403 for a caller that is no user.
#[utoipa::path(get, path = "/v1/user", tag = "user",
    responses(
        (status = 200, body = UserDetails, description = "The user."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no user.")))]
pub async fn read_user(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let Actor::User(id) = caller.authority().actor else {
        return Err(Refusal::UsersOnly.into());
    };
    let directory = app.directory();
    let user = directory.user(id).ok_or(Refusal::CredentialEnded)?;
    let open = directory.orgs_open_to(caller.authority());
    let organizations = open.filter_map(|org| {
        let role = *org.members.get(&id)?;
        Some(UserOrganization {
            slug: org.slug.to_string(),
            role,
        })
    });
    Ok(HttpResponse::Ok().json(UserDetails {
        id: id.to_string(),
        email: user.email.known().map(ToString::to_string),
        name: user.name.known().map(ToString::to_string),
        slug: user.slug.known().map(ToString::to_string),
        organizations: organizations.collect(),
    }))
}

/// A new password. The old one comes as the caller's own Basic credentials.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// At least 8 characters.
    #[schema(required, value_type = String, format = Password)]
    password: Option<String>,
}

/// Change my password. All my sessions end; my keys live on.
///
/// # Errors
/// 403 unless the old password was shown as Basic: a key changes no password.
#[utoipa::path(post, path = "/v1/user/password", tag = "user", request_body = NewPassword,
    security(("basic" = [])),
    responses(
        (status = 204, description = "Changed."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "Only the old password opens this."),
        (status = 422, body = ProblemBody, description = "The new one is too short or too long.")))]
pub async fn change_password(
    app: web::Data<App>,
    caller: Caller,
    Json(body): Json<NewPassword>,
) -> Result<HttpResponse, Problem> {
    if !caller.authority().is_password_backed() {
        return Err(Refusal::PasswordNeeded.into());
    }
    let body = body?;
    let mut fields = Fields::default();
    let password = fields.new_password("password", body.password);
    let password = app.passwords().hash(fields.take(password)?).await?;
    let committed = app.execute(&caller, ChangePassword { password }).await?;
    Ok(answer::gone(committed.position))
}
