//! `/user/keys`: a person's own keys.

use std::collections::BTreeMap;
use std::ops::Bound;

use actix_web::{HttpResponse, web};
use keyledger_domain::api_key::{RestrictApiKey, SwitchApiKey, UndoApiKeyRotation};
use keyledger_domain::credential::preview;
use keyledger_domain::id::{KeyId, UserId};
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::text::{DisplayName, Handle};
use keyledger_domain::user_key::{CreateUserKey, KeyLabel, RenameUserKey, RevokeUserKey, UserKey};
use keyledger_domain::{
    Actor, Command, CredentialId, CredentialKind, Environment, Position, Refusal, Scope, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page, PageAtQuery};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::object;
use crate::past::{AtQuery, Told};
use crate::problem::{Problem, ProblemBody};
use crate::restrictions::{self, RateLimitBody, Restrictions};
use crate::routes::paging::behind_name;
use crate::routes::rotation::{Rotation, RotationView};
use crate::usage::passage;

/// A key of the caller's own.
#[derive(Serialize, ToSchema)]
pub struct UserKeyView {
    /// The identifier; it stays the same through every rotation.
    id: String,
    /// The name that its owner chose.
    handle: Option<String>,
    /// A longer name for people.
    alias: Option<String>,
    /// The key itself, to its owner only.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// What may be shown of it to anybody.
    #[schema(example = "sk_live_3kTMd9wQx_****")]
    preview: String,
    /// `live` or `test`.
    #[schema(value_type = String)]
    environment: Environment,
    /// What it may do; `null` for all that its owner may.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Vec<Scope>>,
    /// The networks it may be used from; empty for any.
    allowed_cidrs: Vec<String>,
    /// How often it may be used; `null` for as often as the organization's default allows.
    rate_limit: Option<RateLimitBody>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The same as `created_at`, for clients that expect it by this name.
    #[serde(rename = "createdAt")]
    #[schema(value_type = String, format = DateTime)]
    created_at_camel_case: Timestamp,
    /// When it ends; `null` for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was last used, as far as is known; `null` for not yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When its secret was last replaced.
    #[schema(value_type = Option<String>, format = DateTime)]
    rotated_at: Option<Timestamp>,
    /// Since when it is switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// Since when it is revoked, by a revocation of many keys that can be undone.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// The slugs of the organizations that revoked it for themselves alone. A rotation at once, by
    /// password or session, makes it good there again.
    barred_from: Vec<String>,
    /// A rotation that is not over.
    rotation: Option<RotationView>,
}

impl UserKeyView {
    pub(crate) fn of(told: &Told<'_>, key: &UserKey, token: Option<String>) -> Option<Self> {
        let directory = told.state();
        let api_key = directory.api_key(key.credential)?;
        let issued = &api_key.issued;
        let rotation = RotationView::of(api_key, told.now());
        Some(Self {
            id: key.id.to_string(),
            handle: match &key.label {
                KeyLabel::Handle(handle) => Some(handle.to_string()),
                KeyLabel::OwnToken => None,
            },
            alias: key.alias.as_ref().map(ToString::to_string),
            token,
            preview: preview(issued.kind, issued.environment, issued.id),
            environment: issued.environment,
            scopes: api_key
                .scopes
                .as_ref()
                .map(|scopes| scopes.iter().cloned().collect()),
            allowed_cidrs: api_key
                .allowed_cidrs()
                .iter()
                .map(ToString::to_string)
                .collect(),
            rate_limit: api_key.rate_limit().map(RateLimitBody::from),
            created_at: api_key.created_at,
            created_at_camel_case: api_key.created_at,
            expires_at: api_key.expires_at,
            last_used_at: told.last_used_at(issued.id),
            rotated_at: api_key.rotated_at(),
            disabled_at: api_key.disabled_at(),
            revoked_at: api_key.revoked_at(),
            barred_from: directory
                .barred_from(issued.id)
                .filter_map(|(org, _)| Some(directory.org(org)?.slug.to_string()))
                .collect(),
            rotation,
        })
    }
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUserKey {
    /// Its name: lower-case letters and digits, in groups joined by hyphens.
    #[schema(required, value_type = String, example = "laptop", max_length = 64)]
    handle: Option<String>,
    /// A longer name for people.
    alias: Option<String>,
    /// What it may do; left out, all that its owner may.
    #[schema(example = json!(["files:read"]))]
    scopes: Option<Vec<String>>,
    /// `live` or `test`; `live` where it is left out.
    environment: Option<String>,
    /// When it ends: it is good while now is before.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The networks it may be used from; left out, any.
    #[schema(example = json!(["203.0.113.0/24"]))]
    allowed_cidrs: Option<Vec<String>>,
    /// How often it may be used; left out, as often as the organization's default allows.
    #[serde(default, deserialize_with = "object::optional")]
    rate_limit: Option<RateLimitBody>,
}

/// Make a key for myself. Its token comes back here, and again from `GET`.
///
/// # Errors
/// 401, 403 for more than the caller has, 409 for a handle that is taken, 422.
#[utoipa::path(post, path = "/v1/user/keys", tag = "user keys", request_body = NewUserKey,
    responses(
        (status = 201, body = UserKeyView, description = "The key, with its token."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "More than the caller has."),
        (status = 409, body = ProblemBody, description = "The handle is taken."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_user_key(
    app: web::Data<App>,
    caller: Caller,
    Json(body): Json<NewUserKey>,
) -> Result<HttpResponse, Problem> {
    let user = require_user(&caller)?;
    passage::required(built_in::KEYS_WRITE);
    app.directory()
        .require_own(caller.authority(), built_in::KEYS_WRITE)?;
    let body = body?;
    let mut fields = Fields::default();
    let handle: Option<Handle> = fields.required("handle", body.handle.as_deref());
    let alias: Option<DisplayName> = fields.optional("alias", body.alias.as_deref());
    let restrictions = Restrictions {
        scopes: body.scopes,
        environment: body.environment,
        expires_at: body.expires_at,
        allowed_cidrs: body.allowed_cidrs,
        rate_limit: body.rate_limit,
    };
    let limits = restrictions.check(&mut fields)?;
    let label = KeyLabel::Handle(fields.take(handle)?);
    let (token, key, position) = app
        .issue_user_key(&caller, user, label, alias, &limits)
        .await?;
    let view = app.view_user_key(key, Some(token))?;
    Ok(answer::created(position, &view))
}

/// List my keys, by handle. Tokens are not in lists.
///
/// # Errors
/// 401, 403, 422.
#[utoipa::path(get, path = "/v1/user/keys", tag = "user keys", params(PageAtQuery),
    responses(
        (status = 200, body = Page<UserKeyView>, description = "A page of keys."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no user, or lacks keys:read."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "The limit or the moment is not right.")))]
pub async fn list_user_keys(
    app: web::Data<App>,
    caller: Caller,
    page: web::Query<PageAtQuery>,
) -> Result<HttpResponse, Problem> {
    let user = require_user(&caller)?;
    let (page, at) = page.into_inner().into_parts();
    let told = app.told_of_own_keys(&caller, at.as_deref()).await?;
    let limit = page.limit()?;
    let none = BTreeMap::new();
    let keys = match told.state().user(user) {
        Some(user) => &user.keys,
        None if told.is_past() => &none,
        None => return Err(Refusal::CredentialEnded.into()),
    };
    let seen = keys
        .range::<str, _>((behind_name(&page), Bound::Unbounded))
        .filter_map(|(handle, id)| Some((handle, told.state().user_key(*id)?)))
        .filter(|(_, key)| told.sees_key(caller.authority(), key.credential))
        .filter_map(|(handle, key)| Some((handle, UserKeyView::of(&told, key, None)?)));
    let page = Page::of(
        seen,
        limit,
        |(handle, _)| handle.to_string(),
        |(_, view)| view,
    );
    Ok(told.answer(&page))
}

/// Read one of my keys. With the password, or with that very key, its token is in the answer, and
/// that it was read is in the audit log.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/v1/user/keys/{handle}", tag = "user keys",
    params(("handle" = String, Path, description = "The key's handle."), AtQuery),
    responses(
        (status = 200, body = UserKeyView, description = "The key."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no user, or lacks keys:read."),
        (status = 404, body = ProblemBody, description = "No such key."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "`at` is not a valid moment, or lies in the future.")))]
pub async fn read_user_key(
    app: web::Data<App>,
    caller: Caller,
    handle: web::Path<String>,
    query: web::Query<AtQuery>,
) -> Result<HttpResponse, Problem> {
    let (key, credential) = {
        let told = app.told_of_own_keys(&caller, query.at()).await?;
        let key = find(&told, &caller, &handle)?;
        if told.is_past() {
            let view = UserKeyView::of(&told, key, None);
            let view = view.ok_or(Refusal::Unknown(Noun::Key))?;
            return Ok(told.answer(&view));
        }
        (key.id, key.credential)
    };
    let opens = caller.authority().is_password_backed()
        || caller.authority().credential() == Some(credential);
    let token = if opens {
        app.reveal(&caller, credential).await?
    } else {
        None
    };
    Ok(HttpResponse::Ok().json(app.view_user_key(key, token)?))
}

/// What is to be changed of a key; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub struct ChangedUserKey {
    /// A longer name for people; `null` for none.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<String>)]
    alias: Option<Option<String>>,
    /// What it may do; `null` for all that its owner may.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Option<Vec<String>>>,
    /// When it ends; `null` for never.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
    /// The networks it may be used from; empty, or `null`, for any.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["203.0.113.0/24"]))]
    allowed_cidrs: Option<Option<Vec<String>>>,
    /// How often it may be used; `null` for as often as the organization's default allows.
    #[serde(default, deserialize_with = "object::given")]
    #[schema(value_type = Option<RateLimitBody>)]
    rate_limit: Option<Option<RateLimitBody>>,
    /// `true` switches it off, `false` on again.
    disabled: Option<bool>,
}

/// Change one of my keys: its limits, then its alias, then switch it off or on.
///
/// Each of them is asked about on the present state before the first is carried out, but is a record
/// of its own: a crash or another caller in between can leave the first done and the rest not.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(patch, path = "/v1/user/keys/{handle}", tag = "user keys", request_body = ChangedUserKey,
    params(("handle" = String, Path, description = "The key's handle.")),
    responses(
        (status = 200, body = UserKeyView, description = "The key as it is now."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "More than the caller has."),
        (status = 404, body = ProblemBody, description = "No such key."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn change_user_key(
    app: web::Data<App>,
    caller: Caller,
    handle: web::Path<String>,
    Json(body): Json<ChangedUserKey>,
) -> Result<HttpResponse, Problem> {
    let (key, id) = app.find_user_key(&caller, &handle)?;
    let body = body?;
    let mut fields = Fields::default();
    let alias = body
        .alias
        .map(|alias| alias.and_then(|alias| fields.optional::<DisplayName>("alias", Some(&alias))));
    let restrict = restrictions::change(
        id,
        body.scopes,
        body.expires_at,
        body.allowed_cidrs,
        body.rate_limit,
        &mut fields,
    )?;
    let mut commands: Vec<Command> = Vec::new();
    // The limits first: they are what can be refused.
    commands.extend(restrict.map(RestrictApiKey::into));
    commands.extend(alias.map(|alias| RenameUserKey { key, alias }.into()));
    commands.extend(
        body.disabled
            .map(|disabled| SwitchApiKey { id, disabled }.into()),
    );
    let position = app.execute_all(&caller, commands).await?;
    Ok(answer::done(position, &app.view_user_key(key, None)?))
}

/// Revoke one of my keys for ever. Its handle is free again.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(delete, path = "/v1/user/keys/{handle}", tag = "user keys",
    params(("handle" = String, Path, description = "The key's handle.")),
    responses(
        (status = 204, description = "Revoked."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no user, or lacks keys:write."),
        (status = 404, body = ProblemBody, description = "No such key.")))]
pub async fn delete_user_key(
    app: web::Data<App>,
    caller: Caller,
    handle: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (key, _) = app.find_user_key(&caller, &handle)?;
    let committed = app.execute(&caller, RevokeUserKey { key }).await?;
    Ok(answer::gone(committed.position))
}

/// Give one of my keys a new secret; it keeps its id.
///
/// # Errors
/// 401, 403, 404, 409 while an earlier rotation is under way, 422.
#[utoipa::path(post, path = "/v1/user/keys/{handle}/rotate", tag = "user keys", request_body = Rotation,
    params(("handle" = String, Path, description = "The key's handle.")),
    responses(
        (status = 200, body = UserKeyView, description = "The key with its new token."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "More than the caller has."),
        (status = 404, body = ProblemBody, description = "No such key."),
        (status = 409, body = ProblemBody, description = "An earlier rotation is under way."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn rotate_user_key(
    app: web::Data<App>,
    caller: Caller,
    handle: web::Path<String>,
    Json(body): Json<Rotation>,
) -> Result<HttpResponse, Problem> {
    let (key, id) = app.find_user_key(&caller, &handle)?;
    let (token, position) = app.rotate(&caller, id, body?.activation()?).await?;
    Ok(answer::done(
        position,
        &app.view_user_key(key, Some(token))?,
    ))
}

/// Take back a rotation whose new secret was not used yet.
///
/// # Errors
/// 401, 403, 404, 409 when there is none to take back.
#[utoipa::path(delete, path = "/v1/user/keys/{handle}/rotate", tag = "user keys",
    params(("handle" = String, Path, description = "The key's handle.")),
    responses(
        (status = 200, body = UserKeyView, description = "The key as it was before."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no user, or lacks keys:write."),
        (status = 404, body = ProblemBody, description = "No such key."),
        (status = 409, body = ProblemBody, description = "Nothing waits to be taken back.")))]
pub async fn undo_user_key_rotation(
    app: web::Data<App>,
    caller: Caller,
    handle: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (key, id) = app.find_user_key(&caller, &handle)?;
    let committed = app.execute(&caller, UndoApiKeyRotation { id }).await?;
    Ok(answer::done(
        committed.position,
        &app.view_user_key(key, None)?,
    ))
}

/// The person who calls; nobody else has keys of their own.
pub(crate) fn require_user(caller: &Caller) -> Result<UserId, Problem> {
    match caller.authority().actor {
        Actor::User(user) => Ok(user),
        Actor::System | Actor::Service(_) | Actor::Entitlement(_) | Actor::Client(_) => {
            Err(Refusal::UsersOnly.into())
        }
    }
}

fn find<'d>(told: &'d Told<'_>, caller: &Caller, handle: &str) -> Result<&'d UserKey, Problem> {
    let user = require_user(caller)?;
    told.state()
        .key_by_handle(user, handle)
        .filter(|key| told.sees_key(caller.authority(), key.credential))
        .ok_or_else(|| Refusal::Unknown(Noun::Key).into())
}

impl App {
    /// What the caller is told of their own keys, as they are or as they were.
    async fn told_of_own_keys(
        &self,
        caller: &Caller,
        at: Option<&str>,
    ) -> Result<Told<'_>, Problem> {
        let require = || {
            passage::required(built_in::KEYS_READ);
            let directory = self.directory();
            directory.require_own(caller.authority(), built_in::KEYS_READ)
        };
        require()?;
        let told = self.told_as_of(self.then(caller, at).await?);
        if told.is_past() {
            told.today()
                .require_own(caller.authority(), built_in::KEYS_READ)?;
        }
        Ok(told)
    }

    fn find_user_key(
        &self,
        caller: &Caller,
        handle: &str,
    ) -> Result<(KeyId, CredentialId), Problem> {
        let told = self.told_now();
        // A stranger to the right learns nothing of the handle; the domain asks again.
        passage::required(built_in::KEYS_WRITE);
        told.today()
            .require_own(caller.authority(), built_in::KEYS_WRITE)?;
        let key = find(&told, caller, handle)?;
        Ok((key.id, key.credential))
    }

    /// Makes a key for a person and gives its plaintext, this once.
    ///
    /// # Errors
    /// As [`create_user_key`].
    pub(crate) async fn issue_user_key(
        &self,
        caller: &Caller,
        user: UserId,
        label: KeyLabel,
        alias: Option<DisplayName>,
        limits: &restrictions::Limits,
    ) -> Result<(String, KeyId, Position), Problem> {
        let (plaintext, api_key) = self.mint(CredentialKind::UserKey, limits)?;
        let key = KeyId::from_random(self.random()?);
        let command = CreateUserKey {
            key,
            label,
            alias,
            sealed: Some(self.seal(user, api_key.id, 1, &plaintext)?),
            api_key,
        };
        let committed = self.execute(caller, command).await?;
        Ok((plaintext.expose_once(), key, committed.position))
    }

    pub(crate) fn view_user_key(
        &self,
        key: KeyId,
        token: Option<String>,
    ) -> Result<UserKeyView, Problem> {
        let told = self.told_now();
        let key = told.state().user_key(key);
        key.and_then(|key| UserKeyView::of(&told, key, token))
            .ok_or_else(|| Refusal::Unknown(Noun::Key).into())
    }
}
