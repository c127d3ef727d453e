//! `POST /oauth/token`: a code, a refresh token or the client's own name against an access token
//! (RFC 6749 §3.2).
//!
//! Everything is drawn and signed before it is decided, and decided before anything is told: what the
//! ledger did not take is thrown away, and nobody has seen it.

use actix_web::http::header::{CACHE_CONTROL, PRAGMA};
use actix_web::{HttpRequest, HttpResponse, web};
use keyledger_domain::access_token::{IssueClientToken, NewAccessToken};
use keyledger_domain::authorization_code::RedeemAuthorizationCode;
use keyledger_domain::client::{AccessTokenFormat, ClientSettings, GrantType};
use keyledger_domain::token_family::{NewRefreshToken, RefreshTokens};
use keyledger_domain::{
    Command, CredentialId, CredentialKind, Digest, Event, Plaintext, Refusal, Resource, Scope,
    Scopes, Timestamp, credential,
};
use keyledger_ledger::{Committed, NotCommitted};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::caller::Origin;
use crate::oauth::asking_client::AskingClient;
use crate::oauth::client_authentication::ClaimedClient;
use crate::oauth::error::{ErrorCode, OauthError, OauthErrorBody};
use crate::oauth::jwt::Claims;
use crate::oauth::narrowing::{resources_within, scopes_within};
use crate::oauth::parameters::Parameters;
use crate::oauth::pkce;
use crate::problem::Problem;

/// An access token, and what came with it (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub struct TokenAnswer {
    /// The access token; shown this once.
    #[schema(example = "at_live_…")]
    access_token: String,
    /// `bearer` to a form, `Bearer` to JSON; either means the same.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// For how many seconds it is good.
    #[schema(example = 3600)]
    expires_in: u32,
    /// The refresh token, where there is one; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "rt_live_…")]
    refresh_token: Option<String>,
    /// What it may do, with blanks between.
    #[schema(example = "files:read files:write")]
    scope: String,
}

/// What the token endpoint is asked; read as a form or as JSON.
#[derive(ToSchema)]
#[expect(dead_code, reason = "tells the definition what `Parameters` reads")]
pub struct TokenRequest {
    /// `client_credentials`, `authorization_code` or `refresh_token`.
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// The client, unless it is named by Basic.
    client_id: Option<String>,
    /// Its secret, unless it is shown by Basic or the client has none.
    client_secret: Option<String>,
    /// What the token may do; all that it could where it is left out.
    #[schema(example = "files:read")]
    scope: Option<String>,
    /// For which server it is to be (RFC 8707); this one where it is left out. May stand several times.
    resource: Option<String>,
    /// With `authorization_code`: the code.
    code: Option<String>,
    /// With `authorization_code`: where it was sent to.
    redirect_uri: Option<String>,
    /// With `authorization_code`: what the challenge was made of (RFC 7636).
    code_verifier: Option<String>,
    /// With `refresh_token`: the refresh token.
    refresh_token: Option<String>,
}

/// A token that was drawn and that nobody has seen.
struct Drawn {
    text: String,
    new: NewAccessToken,
}

/// What was given.
struct Given {
    committed: Committed,
    access_token: Drawn,
    refresh_token: Option<String>,
    expires_in: u32,
}

/// What a token is to be, before it is drawn.
struct Wanted<'a> {
    /// For whom it acts.
    subject: String,
    scopes: Scopes,
    audience: Vec<Resource>,
    settings: &'a ClientSettings,
}

/// Get an access token.
///
/// # Errors
/// As RFC 6749 §5.2 has them: 400, 401 for a client that is not who it says, 429 after too many of
/// these.
#[utoipa::path(post, path = "/oauth/token", tag = "oauth",
    request_body(content((TokenRequest = "application/x-www-form-urlencoded"), (TokenRequest = "application/json"))),
    security((), ("basic" = [])),
    responses(
        (status = 200, body = TokenAnswer, description = "The token."),
        (status = 400, body = OauthErrorBody, description = "The request, the grant, the scope or the resource is not right."),
        (status = 401, body = OauthErrorBody, description = "The client is not who it says.")))]
pub async fn issue_token(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: Parameters,
) -> Result<HttpResponse, OauthError> {
    let origin = Origin::of(&request);
    let claimed = ClaimedClient::of(&request, &parameters)?;
    let client = app.asking_client(&claimed, &origin)?;
    let given = match parameters.required("grant_type")? {
        "client_credentials" => app.token_for_client(&client, &parameters, &origin).await?,
        "authorization_code" => app.token_for_code(&client, &parameters, &origin).await?,
        "refresh_token" => app.token_for_refresh(&client, &parameters, &origin).await?,
        _ => {
            return Err(OauthError::new(
                ErrorCode::UnsupportedGrantType,
                "The grant_type is none of client_credentials, authorization_code, refresh_token.",
            ));
        }
    };
    let body = TokenAnswer {
        access_token: given.access_token.text,
        token_type: parameters.token_type(),
        expires_in: given.expires_in,
        refresh_token: given.refresh_token,
        scope: joined(&given.access_token.new.scopes),
    };
    let mut response = answer::done(given.committed.position, &body);
    uncached(&mut response);
    Ok(response)
}

/// RFC 6749 §5.1, for what stands between.
pub(super) fn uncached(response: &mut HttpResponse) {
    let no = actix_web::http::header::HeaderValue::from_static;
    response.headers_mut().insert(CACHE_CONTROL, no("no-store"));
    response.headers_mut().insert(PRAGMA, no("no-cache"));
}

/// Scopes as OAuth writes them (RFC 6749 §3.3).
pub(super) fn joined(scopes: &Scopes) -> String {
    let names: Vec<_> = scopes.iter().map(Scope::as_str).collect();
    names.join(" ")
}

fn invalid_grant() -> OauthError {
    OauthError::new(
        ErrorCode::InvalidGrant,
        "The code or refresh token is not good, or not this client's.",
    )
}

/// What a refusal is called at this endpoint.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest is told in the words of the rest of the API"
)]
fn told(reason: NotCommitted) -> OauthError {
    let NotCommitted::Refused(refusal) = reason else {
        return reason.into();
    };
    match refusal {
        Refusal::InvalidGrant => invalid_grant(),
        Refusal::GrantTypeNotAllowed => OauthError::new(
            ErrorCode::UnauthorizedClient,
            "The client is not registered for this grant_type.",
        ),
        Refusal::ScopeNotAllowed(scope) => OauthError::new(
            ErrorCode::InvalidScope,
            format!("The scope {scope} is not one that the client may have."),
        ),
        Refusal::ResourceNotAllowed => OauthError::new(
            ErrorCode::InvalidTarget,
            "The resource is not one that the client may have tokens for.",
        ),
        // It was switched off, or lost its secret, between the look and the decision.
        Refusal::CredentialEnded | Refusal::ClientsOnly => OauthError::invalid_client(),
        other => Problem::from(other).into(),
    }
}

fn without(scopes: &Scopes, other: impl Fn(&Scope) -> bool) -> Scopes {
    scopes
        .iter()
        .filter(|scope| !other(scope))
        .cloned()
        .collect()
}

impl App {
    /// The time of tokens: never before the last record, so that a clock that was set back makes none
    /// that have ended already.
    fn token_time(&self) -> Timestamp {
        self.now().max(self.directory().at())
    }

    fn settings_of(&self, client: &AskingClient) -> Result<ClientSettings, OauthError> {
        let directory = self.directory();
        let known = directory.active_client(client.id);
        let known = known.ok_or_else(OauthError::invalid_client)?;
        Ok(known.settings.clone())
    }

    async fn token_for_client(
        &self,
        client: &AskingClient,
        parameters: &Parameters,
        origin: &Origin,
    ) -> Result<Given, OauthError> {
        let settings = self.settings_of(client)?;
        require_grant(&settings, GrantType::ClientCredentials)?;
        let allowed = without(&settings.scopes, Scope::is_for_people);
        let scopes = scopes_within(parameters.get("scope"), &allowed)?;
        let issuer = &self.settings().issuer;
        let audience = resources_within(parameters.resources(), &settings.resources, issuer)?;
        let wanted = Wanted {
            subject: client.id.to_string(),
            scopes,
            audience,
            settings: &settings,
        };
        let access_token = self.draw_access_token(client, &wanted, origin).await?;
        let command = IssueClientToken {
            access_token: access_token.new.clone(),
        };
        let committed = self.give(client, command).await?;
        Ok(Given {
            committed,
            access_token,
            refresh_token: None,
            expires_in: settings.access_token_seconds,
        })
    }

    async fn token_for_code(
        &self,
        client: &AskingClient,
        parameters: &Parameters,
        origin: &Origin,
    ) -> Result<Given, OauthError> {
        let settings = self.settings_of(client)?;
        require_grant(&settings, GrantType::AuthorizationCode)?;
        let text = parameters.required("code")?;
        let verifier = parameters.get("code_verifier").map(pkce::s256);
        let code_challenge = verifier.transpose().map_err(|_| invalid_grant())?;
        let id = claimed(text, CredentialKind::AuthorizationCode).ok_or_else(invalid_grant)?;
        let (user, scopes, resources, shown) = {
            let directory = self.directory();
            let code = directory
                .authorization_code(id)
                .filter(|code| code.client == client.id)
                .ok_or_else(invalid_grant)?;
            let shown = self
                .digest_as(&code.digest, text)
                .ok_or_else(invalid_grant)?;
            (
                code.user,
                code.scopes.clone(),
                code.resources.clone(),
                shown,
            )
        };
        let scopes = without(&scopes, |scope| !settings.scopes.contains(scope.as_str()));
        let issuer = &self.settings().issuer;
        let asked = resources_within(parameters.resources(), &resources, issuer)?;
        let is_asked = parameters.resources().next().is_some();
        let wanted = Wanted {
            subject: user.to_string(),
            scopes,
            audience: if is_asked { asked } else { resources },
            settings: &settings,
        };
        let access_token = self.draw_access_token(client, &wanted, origin).await?;
        let refresh = self.draw(CredentialKind::RefreshToken, client.environment, None)?;
        let command = RedeemAuthorizationCode {
            code: id,
            shown,
            redirect_uri: parameters.get("redirect_uri").map(str::to_owned),
            code_challenge,
            family: refresh.id(),
            access_token: access_token.new.clone(),
            refresh_token: Some(self.new_refresh_token(&refresh)?),
        };
        let committed = self.give(client, command).await?;
        let is_given = committed.record.as_ref().is_some_and(|record| {
            matches!(&record.event, Event::AuthorizationCodeRedeemed(e) if e.refresh_token.is_some())
        });
        Ok(Given {
            committed,
            access_token,
            refresh_token: is_given.then(|| refresh.expose_once()),
            expires_in: settings.access_token_seconds,
        })
    }

    async fn token_for_refresh(
        &self,
        client: &AskingClient,
        parameters: &Parameters,
        origin: &Origin,
    ) -> Result<Given, OauthError> {
        let settings = self.settings_of(client)?;
        require_grant(&settings, GrantType::RefreshToken)?;
        let text = parameters.required("refresh_token")?;
        let id = claimed(text, CredentialKind::RefreshToken).ok_or_else(invalid_grant)?;
        let (user, scopes, resources, shown) = {
            let directory = self.directory();
            let family = directory
                .family(id)
                .filter(|family| family.client == client.id)
                .ok_or_else(invalid_grant)?;
            let refresh = family.refresh.as_ref().ok_or_else(invalid_grant)?;
            let shown = self
                .digest_as(&refresh.digest, text)
                .ok_or_else(invalid_grant)?;
            (
                family.user,
                family.scopes.clone(),
                family.resources.clone(),
                shown,
            )
        };
        let allowed = without(&scopes, |scope| !settings.scopes.contains(scope.as_str()));
        let scopes = scopes_within(parameters.get("scope"), &allowed)?;
        let issuer = &self.settings().issuer;
        let asked = resources_within(parameters.resources(), &resources, issuer)?;
        let is_asked = parameters.resources().next().is_some();
        let wanted = Wanted {
            subject: user.to_string(),
            scopes,
            audience: if is_asked { asked } else { resources },
            settings: &settings,
        };
        let access_token = self.draw_access_token(client, &wanted, origin).await?;
        let refresh = self.draw(CredentialKind::RefreshToken, client.environment, Some(id))?;
        let command = RefreshTokens {
            family: id,
            shown,
            access_token: access_token.new.clone(),
            refresh_token: Some(self.new_refresh_token(&refresh)?),
        };
        let committed = self.give(client, command).await?;
        let is_new = committed.record.as_ref().is_some_and(|record| {
            matches!(&record.event, Event::TokensRefreshed(e) if e.refresh_token.is_some())
        });
        Ok(Given {
            committed,
            access_token,
            // A client that keeps its refresh token is told it again, so that all of them can store
            // what they are told.
            refresh_token: Some(if is_new {
                refresh.expose_once()
            } else {
                text.to_owned()
            }),
            expires_in: settings.access_token_seconds,
        })
    }

    /// Draws an access token in the form that the client wants, and what the ledger is to keep of it.
    async fn draw_access_token(
        &self,
        client: &AskingClient,
        wanted: &Wanted<'_>,
        origin: &Origin,
    ) -> Result<Drawn, OauthError> {
        let plaintext = self.draw(CredentialKind::AccessToken, client.environment, None)?;
        let id = plaintext.id();
        // Whole seconds, so that the ledger, the JWT and the introspection tell the same end.
        let issued = self.token_time().seconds();
        let ends = issued.saturating_add(wanted.settings.access_token_seconds.into());
        let text = match wanted.settings.access_token_format {
            AccessTokenFormat::Opaque => plaintext.expose_once(),
            AccessTokenFormat::Jwt => {
                let claims = self.claims(id, client, wanted, (issued, ends));
                let algorithm = wanted.settings.signing_algorithm;
                let jwt = self.sign_access_token(origin, algorithm, &claims).await?;
                jwt.expose_once()
            }
        };
        let new = NewAccessToken {
            id,
            digest: self.digest(text.as_bytes())?,
            scopes: wanted.scopes.clone(),
            audience: wanted.audience.clone(),
            expires_at: Timestamp::from_micros(ends.saturating_mul(1_000_000)),
        };
        Ok(Drawn { text, new })
    }

    /// What a JWT says (RFC 9068 §2.2).
    fn claims(
        &self,
        id: CredentialId,
        client: &AskingClient,
        wanted: &Wanted<'_>,
        (iat, exp): (i64, i64),
    ) -> Claims {
        let issuer = self.settings().issuer.clone();
        let audience = wanted.audience.iter().map(ToString::to_string);
        let mut aud: Vec<String> = audience.collect();
        if aud.is_empty() {
            aud.push(issuer.clone());
        }
        Claims {
            iss: issuer,
            sub: wanted.subject.clone(),
            aud,
            exp,
            iat,
            jti: id,
            client_id: client.id.to_string(),
            scope: Some(joined(&wanted.scopes)),
            environment: Some(client.environment),
        }
    }

    fn new_refresh_token(&self, plaintext: &Plaintext) -> Result<NewRefreshToken, Problem> {
        let digest = self.digest(plaintext.as_bytes())?;
        Ok(NewRefreshToken { digest })
    }

    /// What was shown, digested as something is kept.
    pub(super) fn digest_as(&self, kept: &Digest, shown: &str) -> Option<Digest> {
        let pepper_version = kept.pepper_version;
        let tag = self.peppers().tag(pepper_version, shown.as_bytes())?;
        Some(Digest {
            pepper_version,
            tag,
        })
    }

    /// Has the ledger take it. A code or refresh token that came a second time ended a family: that is
    /// recorded, and the answer is no.
    async fn give(
        &self,
        client: &AskingClient,
        command: impl Into<Command>,
    ) -> Result<Committed, OauthError> {
        let committed = self.submit(&client.caller, command).await.map_err(told)?;
        match committed.record.as_ref().map(|record| &record.event) {
            Some(Event::TokenFamilyRevoked(ended)) => {
                tracing::warn!(
                    client = %ended.client, user = %ended.user, family = %ended.family, reason = ?ended.reason,
                    "a code or refresh token was shown twice: its family ended"
                );
                Err(invalid_grant())
            }
            Some(_) => Ok(committed),
            None => Err(Problem::internal().into()),
        }
    }
}

/// Said before anything is drawn; decided again with the rest.
fn require_grant(settings: &ClientSettings, grant_type: GrantType) -> Result<(), OauthError> {
    if settings.grant_types.contains(&grant_type) {
        Ok(())
    } else {
        Err(told(Refusal::GrantTypeNotAllowed.into()))
    }
}

/// The public id of something of this kind, if it has its form.
pub(super) fn claimed(text: &str, kind: CredentialKind) -> Option<CredentialId> {
    let claim = credential::parse(text).ok()?;
    (claim.kind == kind).then_some(claim.id)
}
