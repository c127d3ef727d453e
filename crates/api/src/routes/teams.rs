//! `/v1/orgs/{org}/teams`: what an organization gives to several people and services at once.

use std::ops::Bound;

use actix_web::{HttpResponse, web};
use keyledger_domain::id::{OrgId, TeamId};
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::team::{ChangeTeam, CreateTeam, DeleteTeam, PlaceInTeam, Team};
use keyledger_domain::text::{DisplayName, Slug};
use keyledger_domain::{Refusal, Scope, Scopes, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page, PageAtQuery};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::past::{AtQuery, Told};
use crate::problem::{Problem, ProblemBody};
use crate::routes::naming::name_and_slug;
use crate::routes::paging::behind_name;
use crate::routes::{members, organization};

/// A team.
#[derive(Serialize, ToSchema)]
pub struct TeamView {
    /// The identifier.
    id: String,
    /// Its name in paths.
    #[schema(example = "build")]
    slug: String,
    /// Its name for people.
    name: String,
    /// What it grants its members and services, on top of their roles.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// The ids of the people in it.
    members: Vec<String>,
    /// The slugs of the services in it.
    services: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl TeamView {
    fn of(told: &Told<'_>, caller: &Caller, team: &Team) -> Self {
        let services = team
            .services
            .iter()
            .filter_map(|id| told.state().service(*id))
            .filter(|service| told.sees_key(caller.authority(), service.credential));
        Self {
            id: team.id.to_string(),
            slug: team.slug.to_string(),
            name: team.name.to_string(),
            scopes: team.scopes.iter().cloned().collect(),
            members: team.members.iter().map(ToString::to_string).collect(),
            services: services.map(|service| service.slug.to_string()).collect(),
            created_at: team.created_at,
        }
    }
}

fn find<'d>(org: &'d Org, slug: &str) -> Result<&'d Team, Refusal> {
    org.teams.get(slug).ok_or(Refusal::Unknown(Noun::Team))
}

impl App {
    /// The team that a path names, for whoever may change teams.
    fn find_team(&self, caller: &Caller, path: (&str, &str)) -> Result<(OrgId, Slug), Problem> {
        let directory = self.directory();
        let org = organization::require(&directory, caller, path.0, built_in::TEAMS_WRITE)?;
        Ok((org.id, find(org, path.1)?.slug.clone()))
    }

    fn view_team(&self, caller: &Caller, org: OrgId, slug: &Slug) -> Result<TeamView, Problem> {
        let told = self.told_now();
        let team = told.state().org(org).map(|org| find(org, slug.as_str()));
        let team = team.ok_or(Refusal::Unknown(Noun::Organization))??;
        Ok(TeamView::of(&told, caller, team))
    }
}

/// List the teams of an organization, by slug.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/teams", tag = "teams",
    params(("org" = String, Path, description = "The organization's slug."), PageAtQuery),
    responses(
        (status = 200, body = Page<TeamView>, description = "A page of teams."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks teams:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "The limit or the moment is not right.")))]
pub async fn list_teams(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    page: web::Query<PageAtQuery>,
) -> Result<HttpResponse, Problem> {
    let (page, at) = page.into_inner().into_parts();
    let right = built_in::TEAMS_READ;
    let told = app.told_in(&caller, &org, right, at.as_deref()).await?;
    let org = told.org(&caller, &org, right)?;
    let limit = page.limit()?;
    let teams = org
        .teams
        .range::<str, _>((behind_name(&page), Bound::Unbounded));
    let page = Page::of(
        teams,
        limit,
        |(slug, _)| slug.to_string(),
        |(_, team)| TeamView::of(&told, &caller, team),
    );
    Ok(told.answer(&page))
}

/// A team to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTeam {
    /// Its name for people.
    #[schema(required, value_type = String, example = "Build", max_length = 128)]
    name: Option<String>,
    /// Its name in paths, unique in its organization; made of the name where it is left out.
    #[schema(example = "build", max_length = 64)]
    slug: Option<String>,
    /// What it grants; nothing where it is left out.
    #[schema(example = json!(["files:write"]))]
    scopes: Option<Vec<String>>,
}

/// Make a team.
///
/// # Errors
/// 401, 403 for granting more than the caller has, 404, 409 for a slug that is taken, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/teams", tag = "teams", request_body = NewTeam,
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 201, body = TeamView, description = "The team."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks teams:write, or grants more than they have."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 409, body = ProblemBody, description = "The slug is taken."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_team(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    Json(body): Json<NewTeam>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &org, built_in::TEAMS_WRITE)?;
    let body = body?;
    let mut fields = Fields::default();
    let scopes = scopes(body.scopes.as_deref().unwrap_or_default(), &mut fields);
    let (name, slug) = name_and_slug(body.name.as_deref(), body.slug.as_deref(), &mut fields)?;
    let command = CreateTeam {
        org,
        team: TeamId::from_random(app.random()?),
        slug: slug.clone(),
        name,
        scopes,
    };
    let committed = app.execute(&caller, command).await?;
    let view = app.view_team(&caller, org, &slug)?;
    Ok(answer::created(committed.position, &view))
}

fn scopes(texts: &[String], fields: &mut Fields) -> Scopes {
    fields.each::<Scope>("scopes", texts).into_iter().collect()
}

/// Read a team.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/v1/orgs/{org}/teams/{team}", tag = "teams",
    params(("org" = String, Path, description = "The organization's slug."),
        ("team" = String, Path, description = "The team's slug."), AtQuery),
    responses(
        (status = 200, body = TeamView, description = "The team."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks teams:read."),
        (status = 404, body = ProblemBody, description = "No such organization or team."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "`at` is not a valid moment, or lies in the future.")))]
pub async fn read_team(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    query: web::Query<AtQuery>,
) -> Result<HttpResponse, Problem> {
    let right = built_in::TEAMS_READ;
    let told = app.told_in(&caller, &path.0, right, query.at()).await?;
    let org = told.org(&caller, &path.0, right)?;
    let team = find(org, &path.1)?;
    Ok(told.answer(&TeamView::of(&told, &caller, team)))
}

/// What is to be changed of a team; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedTeam {
    /// Its name for people; the slug stays.
    name: Option<String>,
    /// What it grants.
    scopes: Option<Vec<String>>,
}

/// Change a team. Whoever is in it feels it with the very next call.
///
/// # Errors
/// 401, 403 for granting more than the caller has, 404, 422.
#[utoipa::path(patch, path = "/v1/orgs/{org}/teams/{team}", tag = "teams", request_body = ChangedTeam,
    params(("org" = String, Path, description = "The organization's slug."),
        ("team" = String, Path, description = "The team's slug.")),
    responses(
        (status = 200, body = TeamView, description = "The team as it is now."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks teams:write, or grants more than they have."),
        (status = 404, body = ProblemBody, description = "No such organization or team."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn change_team(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    Json(body): Json<ChangedTeam>,
) -> Result<HttpResponse, Problem> {
    let (org, slug) = app.find_team(&caller, (&path.0, &path.1))?;
    let body = body?;
    let mut fields = Fields::default();
    let name: Option<DisplayName> = fields.optional("name", body.name.as_deref());
    let scopes = body.scopes.map(|texts| scopes(&texts, &mut fields));
    fields.check()?;
    let command = ChangeTeam {
        org,
        slug: slug.clone(),
        name,
        scopes,
    };
    let committed = app.execute(&caller, command).await?;
    let view = app.view_team(&caller, org, &slug)?;
    Ok(answer::done(committed.position, &view))
}

/// Delete a team. What it granted is gone with it; who was in it stays in the organization.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(delete, path = "/v1/orgs/{org}/teams/{team}", tag = "teams",
    params(("org" = String, Path, description = "The organization's slug."),
        ("team" = String, Path, description = "The team's slug.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks teams:write."),
        (status = 404, body = ProblemBody, description = "No such organization or team.")))]
pub async fn delete_team(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (org, slug) = app.find_team(&caller, (&path.0, &path.1))?;
    let committed = app.execute(&caller, DeleteTeam { org, slug }).await?;
    Ok(answer::gone(committed.position))
}

/// Put a member of the organization in a team. It is done when they are in it already.
///
/// # Errors
/// 401, 403 for a team that grants more than the caller has, 404.
#[utoipa::path(put, path = "/v1/orgs/{org}/teams/{team}/members/{user}", tag = "teams",
    params(("org" = String, Path, description = "The organization's slug."),
        ("team" = String, Path, description = "The team's slug."),
        ("user" = String, Path, description = "The member's id or slug.")),
    responses(
        (status = 204, description = "They are in it."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks teams:write, or something that the team grants."),
        (status = 404, body = ProblemBody, description = "No such organization, team or member.")))]
pub async fn add_team_member(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    app.place_in_team(&caller, &path, true).await
}

/// Take a member out of a team. It is done when they are not in it.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(delete, path = "/v1/orgs/{org}/teams/{team}/members/{user}", tag = "teams",
    params(("org" = String, Path, description = "The organization's slug."),
        ("team" = String, Path, description = "The team's slug."),
        ("user" = String, Path, description = "The member's id or slug.")),
    responses(
        (status = 204, description = "They are out of it."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks teams:write."),
        (status = 404, body = ProblemBody, description = "No such organization, team or member.")))]
pub async fn delete_team_member(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    app.place_in_team(&caller, &path, false).await
}

impl App {
    async fn place_in_team(
        &self,
        caller: &Caller,
        (org, team, user): &(String, String, String),
        inside: bool,
    ) -> Result<HttpResponse, Problem> {
        let command = {
            let directory = self.directory();
            let org = organization::require(&directory, caller, org, built_in::TEAMS_WRITE)?;
            PlaceInTeam {
                org: org.id,
                slug: find(org, team)?.slug.clone(),
                user: members::find(&directory, org, user)?,
                inside,
            }
        };
        let committed = self.execute(caller, command).await?;
        Ok(answer::gone(committed.position))
    }
}
