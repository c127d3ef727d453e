//! `/v1/user/consents`: what a person has allowed OAuth clients to do for them.

use actix_web::{HttpResponse, web};
use keyledger_domain::consent::{Consent, RevokeConsent};
use keyledger_domain::id::ClientId;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Directory, Refusal, Scopes, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::user_keys::require_user;

/// What a person has allowed a client to do.
#[derive(Serialize, ToSchema)]
pub struct ConsentView {
    /// The client.
    #[schema(format = Uuid)]
    client_id: String,
    /// Its name for people.
    name: String,
    /// The slug of the organization that registered it.
    organization: String,
    /// All that it was allowed.
    #[schema(value_type = Vec<String>, example = json!(["files:read"]))]
    scopes: Scopes,
    /// When it was first allowed.
    #[schema(value_type = String, format = DateTime)]
    granted_at: Timestamp,
    /// When it last asked.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
}

impl ConsentView {
    fn of(directory: &Directory, client: ClientId, consent: &Consent) -> Option<Self> {
        let client = directory.client(client)?;
        Some(Self {
            client_id: client.id.to_string(),
            name: client.settings.name.to_string(),
            organization: directory.org(client.org)?.slug.to_string(),
            scopes: consent.scopes.clone(),
            granted_at: consent.granted_at,
            last_used_at: consent.last_used_at,
        })
    }
}

/// All that a person has allowed.
#[derive(Serialize, ToSchema)]
pub struct Consents {
    /// By the client's id.
    items: Vec<ConsentView>,
}

/// List what you have allowed OAuth clients to do for you.
///
/// # Errors
/// 401, 403 to anything but a person.
#[utoipa::path(get, path = "/v1/user/consents", tag = "oauth",
    responses(
        (status = 200, body = Consents, description = "What the caller has allowed."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no person, or lacks keys:read.")))]
pub async fn list_consents(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let directory = app.directory();
    let user = require_user(&caller)?;
    directory.require_own(caller.authority(), built_in::KEYS_READ)?;
    let items = directory
        .consents_of(user)
        .filter_map(|(client, consent)| ConsentView::of(&directory, client, consent))
        .collect();
    Ok(HttpResponse::Ok().json(Consents { items }))
}

/// Take back what you have allowed an OAuth client. All its tokens for you end at once.
///
/// # Errors
/// 401, 403 to anything but the account's password or a session, 404.
#[utoipa::path(delete, path = "/v1/user/consents/{client_id}", tag = "oauth",
    params(("client_id" = String, Path, description = "The client.")),
    responses(
        (status = 204, description = "Taken back."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no person, or showed no password."),
        (status = 404, body = ProblemBody, description = "Nothing was allowed to such a client.")))]
pub async fn delete_consent(
    app: web::Data<App>,
    caller: Caller,
    client: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::from(Refusal::Unknown(Noun::Consent));
    require_user(&caller)?;
    let client = client.parse::<ClientId>().map_err(|_| unknown())?;
    let committed = app.execute(&caller, RevokeConsent { client }).await?;
    Ok(answer::gone(committed.position))
}
