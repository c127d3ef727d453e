//! `/v1/workspaces`: the organizations that the caller is in.

use actix_web::{HttpResponse, web};
use keyledger_domain::id::OrgId;
use keyledger_domain::org::{CreateOrg, Org};
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Actor, Directory, Refusal, Role, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page, PageQuery};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::naming::name_and_slug;
use crate::routes::organization;
use crate::usage::passage;

/// An organization that the caller is in.
#[derive(Serialize, ToSchema)]
pub struct WorkspaceView {
    /// Its name in paths.
    #[schema(example = "acme")]
    slug: String,
    /// Its name for people.
    name: String,
    /// What the caller is in it.
    #[schema(value_type = String, example = "owner")]
    role: Role,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl WorkspaceView {
    fn of(directory: &Directory, org: &Org, actor: Actor) -> Option<Self> {
        Some(Self {
            slug: org.slug.to_string(),
            name: org.name.to_string(),
            role: directory.role_of(actor, org.id)?,
            created_at: org.created_at,
        })
    }
}

/// List the organizations that I am in, by slug.
///
/// # Errors
/// 401, 403, 422.
#[utoipa::path(get, path = "/v1/workspaces", tag = "workspaces", params(PageQuery),
    responses(
        (status = 200, body = Page<WorkspaceView>, description = "A page of organizations."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks workspaces:read."),
        (status = 422, body = ProblemBody, description = "The limit is not right.")))]
pub async fn list_workspaces(
    app: web::Data<App>,
    caller: Caller,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let actor = caller.authority().actor;
    let directory = app.directory();
    let mut orgs = organization::all(&directory, &caller, None, built_in::WORKSPACES_READ)?;
    orgs.sort_unstable_by(|a, b| a.slug.cmp(&b.slug));
    let after = page.after();
    let behind = orgs
        .into_iter()
        .filter(|org| after.is_none_or(|after| org.slug.as_str() > after))
        .filter_map(|org| WorkspaceView::of(&directory, org, actor));
    let page = Page::of(behind, page.limit()?, |org| org.slug.clone(), |org| org);
    Ok(HttpResponse::Ok().json(page))
}

/// An organization to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    /// Its name for people.
    #[schema(required, value_type = String, example = "Acme", max_length = 128)]
    name: Option<String>,
    /// Its name in paths, unique on this server; made of the name where it is left out.
    #[schema(example = "acme", max_length = 64)]
    slug: Option<String>,
}

/// Make an organization. I become its owner.
///
/// # Errors
/// 401, 403 without workspaces:write and for apps, 409 for a slug that is taken and beyond 200 organizations, 422.
#[utoipa::path(post, path = "/v1/workspaces", tag = "workspaces", request_body = NewWorkspace,
    responses(
        (status = 201, body = WorkspaceView, description = "The organization."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no user, or lacks workspaces:write."),
        (status = 409, body = ProblemBody, description = "The slug is taken, or the caller is in as many organizations as a person may be."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_workspace(
    app: web::Data<App>,
    caller: Caller,
    Json(body): Json<NewWorkspace>,
) -> Result<HttpResponse, Problem> {
    passage::required(built_in::WORKSPACES_WRITE);
    app.directory()
        .require_anywhere(caller.authority(), built_in::WORKSPACES_WRITE)?;
    let body = body?;
    let mut fields = Fields::default();
    let (name, slug) = name_and_slug(body.name.as_deref(), body.slug.as_deref(), &mut fields)?;
    let org = OrgId::from_random(app.random()?);
    let committed = app.execute(&caller, CreateOrg { org, slug, name }).await?;
    let directory = app.directory();
    let view = directory
        .org(org)
        .and_then(|org| WorkspaceView::of(&directory, org, caller.authority().actor))
        .ok_or(Refusal::Unknown(Noun::Organization))?;
    Ok(answer::created(committed.position, &view))
}
