//! `POST /oauth/revoke`: a client gives a token back (RFC 7009).

use actix_web::{HttpRequest, HttpResponse, web};
use keyledger_domain::access_token::RevokeAccessToken;
use keyledger_domain::token_family::RevokeTokenFamily;
use keyledger_domain::{Command, CredentialKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Origin;
use crate::lookup;
use crate::oauth::asking_client::AskingClient;
use crate::oauth::client_authentication::ClaimedClient;
use crate::oauth::error::{OauthError, OauthErrorBody};
use crate::oauth::parameters::Parameters;
use crate::oauth::token::{claimed, uncached};

/// A token that somebody shows; read as a form or as JSON.
#[derive(ToSchema)]
#[expect(dead_code, reason = "tells the definition what `Parameters` reads")]
pub struct TokenShown {
    /// The token.
    token: String,
    /// Of which kind it is thought to be. It is found without.
    token_type_hint: Option<String>,
    /// The client, unless it is named by Basic.
    client_id: Option<String>,
    /// Its secret, unless it is shown by Basic or the client has none.
    client_secret: Option<String>,
}

/// The answer to a revocation. Nothing is to be said, but an empty body would be no JSON, and clients
/// that take nothing else would count the revocation as failed (RFC 7009 §2.2 leaves the body free).
#[derive(Serialize, ToSchema)]
pub struct Revoked {}

/// Revoke a token.
///
/// A refresh token ends its whole family, the access tokens too. A token that is not there, or not the
/// client's, is answered alike, and nothing happens to it (RFC 7009 §2.2).
///
/// # Errors
/// 400, and 401 for a client that is not who it says.
#[utoipa::path(post, path = "/oauth/revoke", tag = "oauth",
    request_body(content((TokenShown = "application/x-www-form-urlencoded"), (TokenShown = "application/json"))),
    security((), ("basic" = [])),
    responses(
        (status = 200, body = Revoked, description = "It is not good, whether or not it was."),
        (status = 400, body = OauthErrorBody, description = "The request is not right."),
        (status = 401, body = OauthErrorBody, description = "The client is not who it says.")))]
pub async fn revoke_token(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: Parameters,
) -> Result<HttpResponse, OauthError> {
    let origin = Origin::of(&request);
    let claimed = ClaimedClient::of(&request, &parameters)?;
    let client = app.asking_client(&claimed, &origin)?;
    let token = parameters.required("token")?;
    if let Some(command) = app.revocation_of(&client, token) {
        app.execute(&client.caller, command).await?;
    }
    let mut response = HttpResponse::Ok().json(Revoked {});
    uncached(&mut response);
    Ok(response)
}

impl App {
    /// What ends this token, if it is one of the client's.
    fn revocation_of(&self, client: &AskingClient, token: &str) -> Option<Command> {
        let directory = self.directory();
        if let Some(family) = claimed(token, CredentialKind::RefreshToken) {
            let known = directory.family(family);
            let known = known.filter(|known| known.client == client.id)?;
            let kept = known.refresh.as_ref()?.digest;
            let is_shown = self.digest_as(&kept, token)?.matches(&kept);
            return is_shown.then(|| RevokeTokenFamily { family }.into());
        }
        let key = lookup::shown_token(&directory, self.peppers(), token)?;
        let is_own = directory.client_of(key) == Some(client.id);
        is_own.then(|| RevokeAccessToken { id: key.issued.id }.into())
    }
}
