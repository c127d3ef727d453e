//! The user's own token: one key that a person has without naming it.

use actix_web::{HttpResponse, web};
use keyledger_domain::api_key::{Activation, Ended};
use keyledger_domain::credential::preview;
use keyledger_domain::id::UserId;
use keyledger_domain::scope::built_in;
use keyledger_domain::user_key::{KeyLabel, RevokeUserKey};
use keyledger_domain::{Actor, CredentialId, Environment, Refusal, Timestamp, refusal::Noun};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::{Caller, Visitor};
use crate::problem::{Problem, ProblemBody};
use crate::restrictions::Limits;
use crate::routes::user_keys::require_user;
use crate::usage::passage;

/// Who asks for their token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnTokenRequest {
    /// The address, or the slug.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// The password.
    #[schema(format = Password)]
    password: Option<String>,
}

/// The user's own token.
#[derive(Serialize, ToSchema)]
pub struct OwnToken {
    /// The key itself.
    token: String,
}

/// Read my own token by my password. It is made if there is none yet; that it was read is in the
/// audit log.
///
/// # Errors
/// 401 for a wrong password; 400 when the header names somebody else; 422.
#[utoipa::path(post, path = "/v1/user/token", tag = "user tokens", request_body = OwnTokenRequest,
    security((), ("basic" = [])),
    responses(
        (status = 200, body = OwnToken, description = "The token."),
        (status = 400, body = ProblemBody, description = "Header and body name two different users."),
        (status = 401, body = ProblemBody, description = "Wrong address or password."),
        (status = 422, body = ProblemBody, description = "A field is missing.")))]
pub async fn read_own_token(
    app: web::Data<App>,
    visitor: Visitor,
    Json(body): Json<OwnTokenRequest>,
) -> Result<HttpResponse, Problem> {
    let body = body?;
    let caller = match (visitor.caller, body.email, body.password) {
        // A client may send Basic alone.
        (Some(caller), None, None) if caller.authority().is_password_backed() => caller,
        (other, email, password) => {
            let mut fields = Fields::default();
            let email: Option<String> = fields.required("email", email.as_deref());
            let password = fields.password("password", password);
            let (email, password) = (fields.take(email)?, fields.take(password)?);
            let named = app
                .caller_by_password(&email, password, &visitor.origin)
                .await?;
            // Some clients send Basic as well; then both must be the same person.
            if other.is_some_and(|other| other.authority() != named.authority()) {
                return Err(Problem::several_credentials());
            }
            named
        }
    };
    let user = require_user(&caller)?;
    let own = {
        let directory = app.directory();
        let key = directory.user(user).and_then(|user| user.own_token);
        let id = key.and_then(|key| directory.credential_of(key));
        let is_over = id
            .and_then(|id| directory.api_key(id))
            .is_some_and(|token| token.standing(app.now()) == Err(Ended::Expired));
        key.zip(id).map(|(key, id)| (key, id, is_over))
    };
    let token = match own {
        Some((_, id, false)) => app.read_or_reset(&caller, id).await?,
        Some((key, _, true)) => {
            app.execute(&caller, RevokeUserKey { key }).await?;
            app.issue_own_token(&caller, user).await?
        }
        None => app.issue_own_token(&caller, user).await?,
    };
    Ok(HttpResponse::Ok().json(OwnToken { token }))
}

/// A user's own token, as a list shows it.
#[derive(Serialize, ToSchema)]
pub struct OwnTokenView {
    /// Its name that never changes, through every reset.
    slug_perm: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// The key, masked.
    #[schema(example = "sk_live_3kTMd9wQx_****")]
    key: String,
}

/// All of a user's own tokens: one, or none yet.
#[derive(Serialize, ToSchema)]
pub struct OwnTokens {
    /// How many they are.
    count: usize,
    /// The next page; there never is one.
    next: Option<String>,
    /// The page before; there never is one.
    previous: Option<String>,
    /// The tokens.
    results: Vec<OwnTokenView>,
}

/// Which page of the tokens: there is only ever one, of at most one token.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OwnTokensQuery {
    /// At most this many, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The same by another name.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    page_size: Option<String>,
}

impl OwnTokensQuery {
    /// A size that no page has is refused although no page could be too large: a client that sends
    /// one has a fault, and another list would not forgive it.
    fn check(&self) -> Result<(), Problem> {
        for (name, size) in [("limit", &self.limit), ("page_size", &self.page_size)] {
            answer::size(name, size.as_deref())?;
        }
        Ok(())
    }
}

/// List my own tokens, masked.
///
/// # Errors
/// 401, 403.
#[utoipa::path(get, path = "/v1/user/tokens", tag = "user tokens", params(OwnTokensQuery),
    responses(
        (status = 200, body = OwnTokens, description = "The tokens."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no user, or lacks keys:read."),
        (status = 422, body = ProblemBody, description = "A parameter is not right.")))]
pub async fn list_own_tokens(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<OwnTokensQuery>,
) -> Result<HttpResponse, Problem> {
    let user = require_user(&caller)?;
    query.check()?;
    let directory = app.directory();
    passage::required(built_in::KEYS_READ);
    directory.require_own(caller.authority(), built_in::KEYS_READ)?;
    let own = directory.user(user).and_then(|user| user.own_token);
    let key = own
        .and_then(|key| directory.credential_of(key))
        .filter(|id| directory.sees_key(caller.authority(), *id))
        .and_then(|id| directory.api_key(id));
    let results: Vec<_> = key
        .into_iter()
        .map(|key| OwnTokenView {
            slug_perm: key.issued.id.to_string(),
            created: key.created_at,
            key: preview(key.issued.kind, key.issued.environment, key.issued.id),
        })
        .collect();
    let count = results.len();
    Ok(HttpResponse::Ok().json(OwnTokens {
        count,
        next: None,
        previous: None,
        results,
    }))
}

/// A token that was reset.
#[derive(Serialize, ToSchema)]
pub struct RefreshedToken {
    /// Its name, the same as before.
    slug_perm: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// The new key.
    key: String,
}

/// Reset my own token: a new key, and the old one is dead at once.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(put, path = "/v1/user/tokens/{slug_perm}/refresh", tag = "user tokens",
    params(("slug_perm" = String, Path, description = "The token's permanent name.")),
    responses(
        (status = 200, body = RefreshedToken, description = "The new key."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no user, or lacks keys:write."),
        (status = 404, body = ProblemBody, description = "No such token.")))]
pub async fn refresh_own_token(
    app: web::Data<App>,
    caller: Caller,
    slug_perm: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::from(Refusal::Unknown(Noun::Key));
    let id: CredentialId = slug_perm.parse().map_err(|_| unknown())?;
    let created = {
        let directory = app.directory();
        passage::required(built_in::KEYS_WRITE);
        directory.require_own(caller.authority(), built_in::KEYS_WRITE)?;
        let Actor::User(user) = caller.authority().actor else {
            return Err(unknown());
        };
        let own = directory.user(user).and_then(|user| user.own_token);
        let own = own
            .and_then(|key| directory.credential_of(key))
            .ok_or_else(unknown)?;
        if own != id || !directory.sees_key(caller.authority(), id) {
            return Err(unknown());
        }
        directory.api_key(id).ok_or_else(unknown)?.created_at
    };
    let (key, position) = app
        .rotate(&caller, id, Activation::Now { grace_seconds: 0 })
        .await?;
    Ok(answer::done(
        position,
        &RefreshedToken {
            slug_perm: id.to_string(),
            created,
            key,
        },
    ))
}

impl App {
    /// A token that can be read again is read; for one that cannot, asking for it is resetting it.
    async fn read_or_reset(&self, caller: &Caller, id: CredentialId) -> Result<String, Problem> {
        if let Some(token) = self.reveal(caller, id).await? {
            return Ok(token);
        }
        let at_once = Activation::Now { grace_seconds: 0 };
        Ok(self.rotate(caller, id, at_once).await?.0)
    }

    async fn issue_own_token(&self, caller: &Caller, user: UserId) -> Result<String, Problem> {
        let limits = Limits {
            scopes: None,
            environment: Environment::Live,
            // It ends only where the policy of an organization wants it to, and then is made anew.
            expires_at: self.directory().end_for_policy(user, self.now()),
            allowed_cidrs: [].into(),
            rate_limit: None,
        };
        let issued = self
            .issue_user_key(caller, user, KeyLabel::OwnToken, None, &limits)
            .await?;
        Ok(issued.0)
    }
}
