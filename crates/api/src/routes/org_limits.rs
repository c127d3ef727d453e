//! `/v1/orgs/{org}/limits`: what limits the keys of an organization that have no limit of their own.

use actix_web::{HttpResponse, web};
use keyledger_domain::id::OrgId;
use keyledger_domain::rate_limit::ChangeOrgLimits;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Directory, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::object;
use crate::problem::{Problem, ProblemBody};
use crate::restrictions::RateLimitBody;
use crate::routes::organization;

/// The default limits of an organization.
#[derive(Serialize, ToSchema)]
pub struct OrgLimitsView {
    /// How often each key may be used that has no limit of its own: services and entitlements, and the
    /// keys of members where they are used in this organization. A member of several uses a key in the
    /// one that an address names, or that alone has whoever asks about the key in it too; where more
    /// may be meant, the default of none counts. `null` for as often as they like.
    rate_limit: Option<RateLimitBody>,
}

impl OrgLimitsView {
    fn of(directory: &Directory, org: OrgId) -> Result<Self, Refusal> {
        let org = directory.org(org);
        let org = org.ok_or(Refusal::Unknown(Noun::Organization))?;
        Ok(Self {
            rate_limit: org.rate_limit.map(RateLimitBody::from),
        })
    }
}

/// Read the default limits of an organization.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/v1/orgs/{org}/limits", tag = "workspaces",
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 200, body = OrgLimitsView, description = "The limits."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks workspaces:read."),
        (status = 404, body = ProblemBody, description = "No such organization.")))]
pub async fn read_org_limits(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let directory = app.directory();
    let org = organization::require(&directory, &caller, &org, built_in::WORKSPACES_READ)?.id;
    Ok(HttpResponse::Ok().json(OrgLimitsView::of(&directory, org)?))
}

/// The default limits that an organization is to have, all of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub struct NewOrgLimits {
    /// How often each key may be used that has no limit of its own; `null` for as often as it likes.
    /// It must be said: a limit is not taken off by leaving out a word.
    #[serde(default, deserialize_with = "object::given")]
    #[schema(value_type = Option<RateLimitBody>, required)]
    rate_limit: Option<Option<RateLimitBody>>,
}

/// Set the default limits of an organization. They hold from the next request on.
///
/// # Errors
/// 401, 403 for a limit wider than the caller's own, 404, 422.
#[utoipa::path(put, path = "/v1/orgs/{org}/limits", tag = "workspaces", request_body = NewOrgLimits,
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 200, body = OrgLimitsView, description = "The limits as they are now."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks workspaces:write, or has a limit and gives a wider one."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn change_org_limits(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    Json(body): Json<NewOrgLimits>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &org, built_in::WORKSPACES_WRITE)?;
    let body = body?;
    let mut fields = Fields::default();
    if body.rate_limit.is_none() {
        fields.refuse("rate_limit", "this field is required; null for no limit");
    }
    let limit = body.rate_limit.flatten();
    let rate_limit = limit.and_then(|limit| limit.check(&mut fields));
    fields.check()?;
    let change = ChangeOrgLimits { org, rate_limit };
    let position = app.execute(&caller, change).await?.position;
    let view = OrgLimitsView::of(&app.directory(), org)?;
    Ok(answer::done(position, &view))
}
