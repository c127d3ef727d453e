//! `/v1/orgs/{org}/services`: keys that are tied to no person.

use std::ops::Bound;

use actix_web::{HttpResponse, web};
use keyledger_domain::api_key::{RestrictApiKey, SwitchApiKey, UndoApiKeyRotation};
use keyledger_domain::id::{OrgId, ServiceId};
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::service::{ChangeService, CreateService, DeleteService, Service};
use keyledger_domain::text::{Description, DisplayName, Slug};
use keyledger_domain::{Command, CredentialId, CredentialKind, Refusal, Role};
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
use crate::routes::key_state::{KeyState, networks_of};
use crate::routes::naming::name_and_slug;
use crate::routes::paging::behind_name;
use crate::routes::rotation::Rotation;

/// The words of a service's role, for whoever wrote another.
const ROLE_WORDS: &str = "member or manager";

/// A service.
#[derive(Serialize, ToSchema)]
pub struct ServiceView {
    /// The identifier.
    id: String,
    /// Its name in paths, and as Basic username.
    #[schema(example = "ci-pipeline")]
    slug: String,
    /// Its name for people.
    name: String,
    /// What it is for.
    description: String,
    /// Member or manager.
    #[schema(value_type = String, example = "member")]
    role: Role,
    /// The slugs of the teams whose rights it has besides.
    teams: Vec<String>,
    /// Its key, where it was just made; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The networks it may be used from; empty for any.
    allowed_cidrs: Vec<String>,
    /// What else there is to know of its key.
    #[serde(flatten)]
    state: KeyState,
}

impl ServiceView {
    fn of(told: &Told<'_>, service: &Service, key: Option<String>) -> Option<Self> {
        let directory = told.state();
        let api_key = directory.api_key(service.credential)?;
        let org = directory.org(service.org)?;
        let teams = service.teams.iter().filter_map(|id| org.team(*id));
        Some(Self {
            id: service.id.to_string(),
            slug: service.slug.to_string(),
            name: service.name.to_string(),
            description: service.description.to_string(),
            role: service.role,
            teams: teams.map(|team| team.slug.to_string()).collect(),
            key,
            allowed_cidrs: networks_of(api_key),
            state: KeyState::of(api_key, told),
        })
    }
}

fn find<'d>(
    told: &'d Told<'_>,
    caller: &Caller,
    org: &Org,
    slug: &str,
) -> Result<&'d Service, Refusal> {
    told.state()
        .service_by_slug(org.id, slug)
        .filter(|service| told.sees_key(caller.authority(), service.credential))
        .ok_or(Refusal::Unknown(Noun::Service))
}

/// A service that a path named, once the directory is let go.
struct Found {
    org: OrgId,
    service: ServiceId,
    slug: Slug,
    credential: CredentialId,
}

impl App {
    /// The service that a path names, for whoever may change services.
    fn find_service(&self, caller: &Caller, path: &(String, String)) -> Result<Found, Problem> {
        let told = self.told_now();
        let org = told.org(caller, &path.0, built_in::SERVICES_WRITE)?;
        let service = find(&told, caller, org, &path.1)?;
        Ok(Found {
            org: org.id,
            service: service.id,
            slug: service.slug.clone(),
            credential: service.credential,
        })
    }

    fn view_service(&self, id: ServiceId, key: Option<String>) -> Result<ServiceView, Problem> {
        let told = self.told_now();
        let service = told.state().service(id);
        service
            .and_then(|service| ServiceView::of(&told, service, key))
            .ok_or_else(|| Refusal::Unknown(Noun::Service).into())
    }
}

/// List the services of an organization, by slug. Their keys are not in it.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/services", tag = "services",
    params(("org" = String, Path, description = "The organization's slug."), PageAtQuery),
    responses(
        (status = 200, body = Page<ServiceView>, description = "A page of services."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks services:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "The limit or the moment is not right.")))]
pub async fn list_services(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    page: web::Query<PageAtQuery>,
) -> Result<HttpResponse, Problem> {
    let (page, at) = page.into_inner().into_parts();
    let right = built_in::SERVICES_READ;
    let told = app.told_in(&caller, &org, right, at.as_deref()).await?;
    let org = told.org(&caller, &org, right)?;
    let limit = page.limit()?;
    let services = org
        .services
        .range::<str, _>((behind_name(&page), Bound::Unbounded))
        .filter_map(|(_, id)| told.state().service(*id))
        .filter(|service| told.sees_key(caller.authority(), service.credential))
        .filter_map(|service| ServiceView::of(&told, service, None));
    let page = Page::of(services, limit, |view| view.slug.clone(), |view| view);
    Ok(told.answer(&page))
}

/// A service to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    /// Its name for people.
    #[schema(required, value_type = String, example = "CI Pipeline", max_length = 128)]
    name: Option<String>,
    /// Its name in paths, unique in its organization; made of the name where it is left out.
    #[schema(example = "ci-pipeline", max_length = 64)]
    slug: Option<String>,
    /// What it is for.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The slugs of the teams whose rights it has besides its role's.
    teams: Option<Vec<String>>,
    /// `member` or `manager`; `member` where it is left out.
    role: Option<String>,
    /// What its key may do; left out, all that the service may.
    #[schema(example = json!(["files:write"]))]
    scopes: Option<Vec<String>>,
    /// `live` or `test`; `live` where it is left out.
    environment: Option<String>,
    /// When its key ends: it is good while now is before.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The networks its key may be used from; left out, any.
    #[schema(example = json!(["203.0.113.0/24"]))]
    allowed_cidrs: Option<Vec<String>>,
    /// How often its key may be used; left out, as often as the organization's default allows.
    #[serde(default, deserialize_with = "object::optional")]
    rate_limit: Option<RateLimitBody>,
}

/// Make a service. Its key is in the answer, this once.
///
/// # Errors
/// 401, 403 for more than the caller has, 404, 409 for a slug that is taken, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/services", tag = "services", request_body = NewService,
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 201, body = ServiceView, description = "The service, with its key."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks services:write, or gives more than they have."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 409, body = ProblemBody, description = "The slug is taken."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_service(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    Json(body): Json<NewService>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &org, built_in::SERVICES_WRITE)?;
    let body = body?;
    let mut fields = Fields::default();
    let description = body.description.as_deref().unwrap_or_default();
    let description: Option<Description> = fields.optional("description", Some(description));
    let teams = fields.each("teams", body.teams.as_deref().unwrap_or_default());
    let role = fields.word("role", body.role.as_deref(), ROLE_WORDS);
    let (name, slug) = name_and_slug(body.name.as_deref(), body.slug.as_deref(), &mut fields)?;
    let restrictions = Restrictions {
        scopes: body.scopes,
        environment: body.environment,
        expires_at: body.expires_at,
        allowed_cidrs: body.allowed_cidrs,
        rate_limit: body.rate_limit,
    };
    let limits = restrictions.check(&mut fields)?;
    let (key, api_key) = app.mint(CredentialKind::ServiceKey, &limits)?;
    let service = ServiceId::from_random(app.random()?);
    let command = CreateService {
        org,
        service,
        slug,
        name,
        description: fields.take(description)?,
        role: role.unwrap_or(Role::Member),
        teams,
        api_key,
    };
    let committed = app.execute(&caller, command).await?;
    let view = app.view_service(service, Some(key.expose_once()))?;
    Ok(answer::created(committed.position, &view))
}

/// Read a service. Its key is not in it.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/v1/orgs/{org}/services/{service}", tag = "services",
    params(("org" = String, Path, description = "The organization's slug."),
        ("service" = String, Path, description = "The service's slug."), AtQuery),
    responses(
        (status = 200, body = ServiceView, description = "The service."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks services:read."),
        (status = 404, body = ProblemBody, description = "No such organization or service."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "`at` is not a valid moment, or lies in the future.")))]
pub async fn read_service(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    query: web::Query<AtQuery>,
) -> Result<HttpResponse, Problem> {
    let right = built_in::SERVICES_READ;
    let told = app.told_in(&caller, &path.0, right, query.at()).await?;
    let org = told.org(&caller, &path.0, right)?;
    let service = find(&told, &caller, org, &path.1)?;
    let view = ServiceView::of(&told, service, None);
    let view = view.ok_or(Refusal::Unknown(Noun::Service))?;
    Ok(told.answer(&view))
}

/// What is to be changed of a service; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub struct ChangedService {
    /// Its name for people; the slug stays.
    name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// `member` or `manager`.
    role: Option<String>,
    /// The slugs of the teams whose rights it has besides, all of them.
    teams: Option<Vec<String>>,
    /// What its key may do; `null` for all that the service may.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Option<Vec<String>>>,
    /// When its key ends; `null` for never.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
    /// The networks its key may be used from; empty, or `null`, for any.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["203.0.113.0/24"]))]
    allowed_cidrs: Option<Option<Vec<String>>>,
    /// How often its key may be used; `null` for as often as the organization's default allows.
    #[serde(default, deserialize_with = "object::given")]
    #[schema(value_type = Option<RateLimitBody>)]
    rate_limit: Option<Option<RateLimitBody>>,
    /// `true` switches its key off, `false` on again.
    disabled: Option<bool>,
}

/// Change the limits of a service's key, then the service, then switch its key off or on.
///
/// Each of them is asked about on the present state before the first is carried out, but is a record
/// of its own: a crash or another caller in between can leave the first done and the rest not.
///
/// # Errors
/// 401, 403 for more than the caller has, 404, 422.
#[utoipa::path(patch, path = "/v1/orgs/{org}/services/{service}", tag = "services", request_body = ChangedService,
    params(("org" = String, Path, description = "The organization's slug."),
        ("service" = String, Path, description = "The service's slug.")),
    responses(
        (status = 200, body = ServiceView, description = "The service as it is now."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks services:write, or gives more than they have."),
        (status = 404, body = ProblemBody, description = "No such organization or service."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn change_service(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    Json(body): Json<ChangedService>,
) -> Result<HttpResponse, Problem> {
    let found = app.find_service(&caller, &path)?;
    let id = found.credential;
    let body = body?;
    let mut fields = Fields::default();
    let name: Option<DisplayName> = fields.optional("name", body.name.as_deref());
    let description = fields.optional("description", body.description.as_deref());
    let role = fields.word("role", body.role.as_deref(), ROLE_WORDS);
    let teams = body.teams.map(|teams| fields.each("teams", &teams));
    let restrict = restrictions::change(
        id,
        body.scopes,
        body.expires_at,
        body.allowed_cidrs,
        body.rate_limit,
        &mut fields,
    )?;
    let change = ChangeService {
        org: found.org,
        slug: found.slug,
        name,
        description,
        role,
        teams,
    };
    let switch = body.disabled.map(|disabled| SwitchApiKey { id, disabled });
    let mut commands: Vec<Command> = Vec::new();
    commands.extend(restrict.map(RestrictApiKey::into));
    commands.push(change.into());
    commands.extend(switch.map(SwitchApiKey::into));
    let position = app.execute_all(&caller, commands).await?;
    let view = app.view_service(found.service, None)?;
    Ok(answer::done(position, &view))
}

/// Delete a service. Its key is dead with it; its slug is free again.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(delete, path = "/v1/orgs/{org}/services/{service}", tag = "services",
    params(("org" = String, Path, description = "The organization's slug."),
        ("service" = String, Path, description = "The service's slug.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks services:write."),
        (status = 404, body = ProblemBody, description = "No such organization or service.")))]
pub async fn delete_service(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let Found { org, slug, .. } = app.find_service(&caller, &path)?;
    let committed = app.execute(&caller, DeleteService { org, slug }).await?;
    Ok(answer::gone(committed.position))
}

/// Give a service a new key, in the answer this once. The old one is dead at once, unless the body
/// says otherwise.
///
/// # Errors
/// 401, 403, 404, 409 while an earlier rotation is under way, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/services/{service}/refresh", tag = "services", request_body = Rotation,
    params(("org" = String, Path, description = "The organization's slug."),
        ("service" = String, Path, description = "The service's slug.")),
    responses(
        (status = 200, body = ServiceView, description = "The service with its new key."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks services:write, or something that the key may do."),
        (status = 404, body = ProblemBody, description = "No such organization or service."),
        (status = 409, body = ProblemBody, description = "An earlier rotation is under way."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn refresh_service(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    Json(body): Json<Rotation>,
) -> Result<HttpResponse, Problem> {
    let found = app.find_service(&caller, &path)?;
    let activation = body?.activation()?;
    let (key, position) = app.rotate(&caller, found.credential, activation).await?;
    let view = app.view_service(found.service, Some(key))?;
    Ok(answer::done(position, &view))
}

/// Take back a refresh whose new key was not used yet.
///
/// # Errors
/// 401, 403, 404, 409 when there is none to take back.
#[utoipa::path(delete, path = "/v1/orgs/{org}/services/{service}/refresh", tag = "services",
    params(("org" = String, Path, description = "The organization's slug."),
        ("service" = String, Path, description = "The service's slug.")),
    responses(
        (status = 200, body = ServiceView, description = "The service as it was before."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks services:write."),
        (status = 404, body = ProblemBody, description = "No such organization or service."),
        (status = 409, body = ProblemBody, description = "Nothing waits to be taken back.")))]
pub async fn undo_service_refresh(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let found = app.find_service(&caller, &path)?;
    let undo = UndoApiKeyRotation {
        id: found.credential,
    };
    let committed = app.execute(&caller, undo).await?;
    let view = app.view_service(found.service, None)?;
    Ok(answer::done(committed.position, &view))
}
