//! `/v1/orgs/{org}/entitlements`: read-only tokens for people and machines that are nobody
//! here.

use std::ops::Bound;

use actix_web::{HttpResponse, web};
use keyledger_domain::api_key::{RestrictApiKey, SwitchApiKey, UndoApiKeyRotation};
use keyledger_domain::credits::ChangeCredits;
use keyledger_domain::entitlement::{CreateEntitlement, Entitlement, RevokeEntitlement};
use keyledger_domain::id::{EntitlementId, OrgId};
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::text::DisplayName;
use keyledger_domain::{Command, CredentialId, CredentialKind, Refusal};
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
use crate::routes::grant::{GrantBody, GrantView};
use crate::routes::key_state::{KeyState, networks_of};
use crate::routes::paging::behind;
use crate::routes::rotation::Rotation;

/// What is to limit an entitlement token besides its scopes and its end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEntitlementLimits {
    /// The networks it may be used from; empty, or left out, for any.
    #[serde(default)]
    #[schema(example = json!(["203.0.113.0/24"]))]
    allowed_cidrs: Vec<String>,
    /// How many times it may be used; `null`, or left out, for as many as its holder likes.
    #[serde(default, deserialize_with = "object::optional")]
    credits: Option<GrantBody>,
}

/// What limits an entitlement token besides its scopes and its end.
#[derive(Serialize, ToSchema)]
pub struct EntitlementLimits {
    /// The networks it may be used from; empty for any.
    #[schema(example = json!(["203.0.113.0/24"]))]
    allowed_cidrs: Vec<String>,
    /// How many more times it may be used; `null` for as many as its holder likes.
    credits: Option<GrantView>,
}

/// An entitlement token.
#[derive(Serialize, ToSchema)]
pub struct EntitlementView {
    /// The identifier; it stays the same through every refresh.
    id: String,
    /// Its name for people.
    name: String,
    /// The token itself, where it was just made; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// What limits it besides its scopes and its end.
    limits: EntitlementLimits,
    /// What else there is to know of it.
    #[serde(flatten)]
    state: KeyState,
}

impl EntitlementView {
    fn of(told: &Told<'_>, entitlement: &Entitlement, token: Option<String>) -> Option<Self> {
        let api_key = told.state().api_key(entitlement.credential)?;
        Some(Self {
            id: entitlement.id.to_string(),
            name: entitlement.name.to_string(),
            token,
            limits: EntitlementLimits {
                allowed_cidrs: networks_of(api_key),
                credits: entitlement.credits.map(|credits| {
                    let left = told.credits_left(entitlement.id, &credits);
                    GrantView::of(credits.grant, left)
                }),
            },
            state: KeyState::of(api_key, told),
        })
    }
}

fn find<'d>(
    told: &'d Told<'_>,
    caller: &Caller,
    org: &Org,
    id: &str,
) -> Result<&'d Entitlement, Refusal> {
    let id = id.parse::<EntitlementId>().ok();
    id.filter(|id| org.entitlements.contains(id))
        .and_then(|id| told.state().entitlement(id))
        .filter(|token| told.sees_key(caller.authority(), token.credential))
        .ok_or(Refusal::Unknown(Noun::Entitlement))
}

/// An entitlement that a path named, once the directory is let go.
struct Found {
    org: OrgId,
    entitlement: EntitlementId,
    credential: CredentialId,
}

impl App {
    /// The entitlement that a path names, for whoever may change entitlements.
    fn find_entitlement(&self, caller: &Caller, path: &(String, String)) -> Result<Found, Problem> {
        let told = self.told_now();
        let org = told.org(caller, &path.0, built_in::ENTITLEMENTS_WRITE)?;
        let entitlement = find(&told, caller, org, &path.1)?;
        Ok(Found {
            org: org.id,
            entitlement: entitlement.id,
            credential: entitlement.credential,
        })
    }

    fn view_entitlement(
        &self,
        id: EntitlementId,
        token: Option<String>,
    ) -> Result<EntitlementView, Problem> {
        let told = self.told_now();
        let entitlement = told.state().entitlement(id);
        entitlement
            .and_then(|found| EntitlementView::of(&told, found, token))
            .ok_or_else(|| Refusal::Unknown(Noun::Entitlement).into())
    }
}

/// List the entitlement tokens of an organization, by id. The tokens themselves are not in it.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/entitlements", tag = "entitlements",
    params(("org" = String, Path, description = "The organization's slug."), PageAtQuery),
    responses(
        (status = 200, body = Page<EntitlementView>, description = "A page of entitlement tokens."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks entitlements:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "The limit, the place or the moment is not right.")))]
pub async fn list_entitlements(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    page: web::Query<PageAtQuery>,
) -> Result<HttpResponse, Problem> {
    let (page, at) = page.into_inner().into_parts();
    let right = built_in::ENTITLEMENTS_READ;
    let told = app.told_in(&caller, &org, right, at.as_deref()).await?;
    let org = told.org(&caller, &org, right)?;
    let limit = page.limit()?;
    let from = behind::<EntitlementId>(&page)?;
    let tokens = org
        .entitlements
        .range((from, Bound::Unbounded))
        .filter_map(|id| told.state().entitlement(*id))
        .filter(|token| told.sees_key(caller.authority(), token.credential))
        .filter_map(|token| EntitlementView::of(&told, token, None));
    let page = Page::of(tokens, limit, |view| view.id.clone(), |view| view);
    Ok(told.answer(&page))
}

/// An entitlement token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEntitlement {
    /// Its name for people.
    #[schema(required, value_type = String, example = "Customer A", max_length = 128)]
    name: Option<String>,
    /// What it may do; at least one scope, and only such as read.
    #[schema(required, value_type = Vec<String>, example = json!(["files:read"]))]
    scopes: Option<Vec<String>>,
    /// `live` or `test`; `live` where it is left out.
    environment: Option<String>,
    /// When it ends: it is good while now is before.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// How often it may be used; left out, as often as the organization's default allows.
    #[serde(default, deserialize_with = "object::optional")]
    rate_limit: Option<RateLimitBody>,
    /// What else limits it.
    #[serde(default, deserialize_with = "object::optional")]
    limits: Option<NewEntitlementLimits>,
}

/// Make an entitlement token. It is in the answer, this once.
///
/// # Errors
/// 401, 403 for more than the caller has, 404, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/entitlements", tag = "entitlements", request_body = NewEntitlement,
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 201, body = EntitlementView, description = "The entitlement, with its token."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks entitlements:write, or gives more than they have."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_entitlement(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    Json(body): Json<NewEntitlement>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &org, built_in::ENTITLEMENTS_WRITE)?;
    let body = body?;
    let mut fields = Fields::default();
    let name: Option<DisplayName> = fields.required("name", body.name.as_deref());
    let scopes = fields.given("scopes", body.scopes);
    let (allowed_cidrs, credits) = body
        .limits
        .map(|limits| (limits.allowed_cidrs, limits.credits))
        .unzip();
    let credits = credits.flatten().and_then(|grant| grant.check(&mut fields));
    let restrictions = Restrictions {
        scopes,
        environment: body.environment,
        expires_at: body.expires_at,
        allowed_cidrs,
        rate_limit: body.rate_limit,
    };
    let limits = restrictions.check(&mut fields)?;
    let (token, api_key) = app.mint(CredentialKind::EntitlementToken, &limits)?;
    let entitlement = EntitlementId::from_random(app.random()?);
    let command = CreateEntitlement {
        org,
        entitlement,
        name: fields.take(name)?,
        api_key,
        credits,
    };
    let committed = app.execute(&caller, command).await?;
    let view = app.view_entitlement(entitlement, Some(token.expose_once()))?;
    Ok(answer::created(committed.position, &view))
}

/// Read an entitlement. The token itself is not in it.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/v1/orgs/{org}/entitlements/{id}", tag = "entitlements",
    params(("org" = String, Path, description = "The organization's slug."),
        ("id" = String, Path, description = "The entitlement's id."), AtQuery),
    responses(
        (status = 200, body = EntitlementView, description = "The entitlement."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks entitlements:read."),
        (status = 404, body = ProblemBody, description = "No such organization or entitlement."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "`at` is not a valid moment, or lies in the future.")))]
pub async fn read_entitlement(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    query: web::Query<AtQuery>,
) -> Result<HttpResponse, Problem> {
    let right = built_in::ENTITLEMENTS_READ;
    let told = app.told_in(&caller, &path.0, right, query.at()).await?;
    let org = told.org(&caller, &path.0, right)?;
    let entitlement = find(&told, &caller, org, &path.1)?;
    let view = EntitlementView::of(&told, entitlement, None);
    let view = view.ok_or(Refusal::Unknown(Noun::Entitlement))?;
    Ok(told.answer(&view))
}

/// What is to be changed of what limits an entitlement token besides its scopes and its end; what is
/// left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub struct ChangedEntitlementLimits {
    /// The networks it may be used from; empty, or `null`, for any.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["203.0.113.0/24"]))]
    allowed_cidrs: Option<Option<Vec<String>>>,
    /// How many times it may be used from now on, whatever was used before; `null` for as many as its
    /// holder likes. Left out, what was granted stays, and so does what is left of it.
    #[serde(default, deserialize_with = "object::given")]
    #[schema(value_type = Option<GrantBody>)]
    credits: Option<Option<GrantBody>>,
}

/// What is to be changed of an entitlement; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub struct ChangedEntitlement {
    /// What it may do; at least one scope, and only such as read.
    scopes: Option<Vec<String>>,
    /// When it ends; `null` for never.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
    /// How often it may be used; `null` for as often as the organization's default allows.
    #[serde(default, deserialize_with = "object::given")]
    #[schema(value_type = Option<RateLimitBody>)]
    rate_limit: Option<Option<RateLimitBody>>,
    /// What else limits it; `null` takes off all of these limits.
    #[serde(default, deserialize_with = "object::given")]
    #[schema(value_type = Option<ChangedEntitlementLimits>)]
    limits: Option<Option<ChangedEntitlementLimits>>,
    /// `true` switches it off, `false` on again.
    disabled: Option<bool>,
}

/// Change the limits of an entitlement token, grant it uses, then switch it off or on.
///
/// Each of them is asked about on the present state before the first is carried out, but is a record
/// of its own: a crash or another caller in between can leave the first done and the rest not.
///
/// # Errors
/// 401, 403 for more than the caller has, 404, 422.
#[utoipa::path(patch, path = "/v1/orgs/{org}/entitlements/{id}", tag = "entitlements", request_body = ChangedEntitlement,
    params(("org" = String, Path, description = "The organization's slug."),
        ("id" = String, Path, description = "The entitlement's id.")),
    responses(
        (status = 200, body = EntitlementView, description = "The entitlement as it is now."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks entitlements:write, or gives more than they have."),
        (status = 404, body = ProblemBody, description = "No such organization or entitlement."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn change_entitlement(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    Json(body): Json<ChangedEntitlement>,
) -> Result<HttpResponse, Problem> {
    let found = app.find_entitlement(&caller, &path)?;
    let id = found.credential;
    let body = body?;
    let mut fields = Fields::default();
    let (allowed_cidrs, credits) = match body.limits {
        None => (None, None),
        Some(None) => (Some(None), Some(None)),
        Some(Some(limits)) => (limits.allowed_cidrs, limits.credits),
    };
    let grant = credits.map(|credits| ChangeCredits {
        org: found.org,
        entitlement: found.entitlement,
        credits: credits.and_then(|grant| grant.check(&mut fields)),
    });
    let restrict = restrictions::change(
        id,
        body.scopes.map(Some),
        body.expires_at,
        allowed_cidrs,
        body.rate_limit,
        &mut fields,
    )?;
    let switch = body.disabled.map(|disabled| SwitchApiKey { id, disabled });
    let mut commands: Vec<Command> = Vec::new();
    commands.extend(restrict.map(RestrictApiKey::into));
    commands.extend(grant.map(ChangeCredits::into));
    commands.extend(switch.map(SwitchApiKey::into));
    let position = app.execute_all(&caller, commands).await?;
    let view = app.view_entitlement(found.entitlement, None)?;
    Ok(answer::done(position, &view))
}

/// Revoke an entitlement token for ever.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(delete, path = "/v1/orgs/{org}/entitlements/{id}", tag = "entitlements",
    params(("org" = String, Path, description = "The organization's slug."),
        ("id" = String, Path, description = "The entitlement's id.")),
    responses(
        (status = 204, description = "Revoked."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks entitlements:write."),
        (status = 404, body = ProblemBody, description = "No such organization or entitlement.")))]
pub async fn delete_entitlement(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let found = app.find_entitlement(&caller, &path)?;
    let revoke = RevokeEntitlement {
        org: found.org,
        entitlement: found.entitlement,
    };
    let committed = app.execute(&caller, revoke).await?;
    Ok(answer::gone(committed.position))
}

/// Give an entitlement a new token, in the answer this once. The old one is dead at once, unless
/// the body says otherwise.
///
/// # Errors
/// 401, 403, 404, 409 while an earlier refresh is under way, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/entitlements/{id}/refresh", tag = "entitlements", request_body = Rotation,
    params(("org" = String, Path, description = "The organization's slug."),
        ("id" = String, Path, description = "The entitlement's id.")),
    responses(
        (status = 200, body = EntitlementView, description = "The entitlement with its new token."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks entitlements:write, or something that the token may do."),
        (status = 404, body = ProblemBody, description = "No such organization or entitlement."),
        (status = 409, body = ProblemBody, description = "An earlier refresh is under way."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn refresh_entitlement(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    Json(body): Json<Rotation>,
) -> Result<HttpResponse, Problem> {
    let found = app.find_entitlement(&caller, &path)?;
    let activation = body?.activation()?;
    let (token, position) = app.rotate(&caller, found.credential, activation).await?;
    let view = app.view_entitlement(found.entitlement, Some(token))?;
    Ok(answer::done(position, &view))
}

/// Take back a refresh whose new token was not used yet.
///
/// # Errors
/// 401, 403, 404, 409 when there is none to take back.
#[utoipa::path(delete, path = "/v1/orgs/{org}/entitlements/{id}/refresh", tag = "entitlements",
    params(("org" = String, Path, description = "The organization's slug."),
        ("id" = String, Path, description = "The entitlement's id.")),
    responses(
        (status = 200, body = EntitlementView, description = "The entitlement as it was before."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks entitlements:write."),
        (status = 404, body = ProblemBody, description = "No such organization or entitlement."),
        (status = 409, body = ProblemBody, description = "Nothing waits to be taken back.")))]
pub async fn undo_entitlement_refresh(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let found = app.find_entitlement(&caller, &path)?;
    let undo = UndoApiKeyRotation {
        id: found.credential,
    };
    let committed = app.execute(&caller, undo).await?;
    let view = app.view_entitlement(found.entitlement, None)?;
    Ok(answer::done(committed.position, &view))
}
