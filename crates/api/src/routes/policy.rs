//! `/v1/orgs/{org}/policy`: what an organization demands of keys.

use actix_web::{HttpResponse, web};
use keyledger_domain::Refusal;
use keyledger_domain::id::OrgId;
use keyledger_domain::policy::{ChangeOrgPolicy, OrgPolicy};
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::body::Json;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::restrictions;

/// What an organization demands of keys. Of a person in several organizations the strictest holds.
#[derive(Serialize, ToSchema)]
pub struct PolicyView {
    /// How long a key lives at most from the making of its secret, in seconds; `null` for any time.
    max_life_seconds: Option<u64>,
    /// Whether every new key must end.
    expiry_required: bool,
    /// How long a key may lie idle until it is switched off, in seconds; `null` for ever.
    idle_disable_seconds: Option<u64>,
    /// Whether people may read their keys again.
    retrievable_keys: bool,
}

impl From<OrgPolicy> for PolicyView {
    fn from(policy: OrgPolicy) -> Self {
        Self {
            max_life_seconds: policy.max_life_seconds,
            expiry_required: policy.expiry_required,
            idle_disable_seconds: policy.idle_disable_seconds,
            retrievable_keys: policy.retrievable_keys,
        }
    }
}

impl App {
    fn view_policy(&self, org: OrgId) -> Result<PolicyView, Problem> {
        let directory = self.directory();
        let org = directory
            .org(org)
            .ok_or(Refusal::Unknown(Noun::Organization))?;
        Ok(org.policy.into())
    }
}

/// Read what an organization demands of keys.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/v1/orgs/{org}/policy", tag = "policy",
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 200, body = PolicyView, description = "The policy."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks workspaces:read."),
        (status = 404, body = ProblemBody, description = "No such organization.")))]
pub async fn read_policy(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &org, built_in::WORKSPACES_READ)?;
    Ok(HttpResponse::Ok().json(app.view_policy(org)?))
}

/// What is to be changed of a policy; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub struct ChangedPolicy {
    /// How long a key lives at most from the making of its secret, in seconds; `null` for any time.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 3_153_600_000_u64)]
    max_life_seconds: Option<Option<u64>>,
    /// Whether every new key must end.
    expiry_required: Option<bool>,
    /// How long a key may lie idle until it is switched off, in seconds; `null` for ever.
    #[serde(default, deserialize_with = "restrictions::given")]
    #[schema(value_type = Option<u64>, minimum = 3600, maximum = 3_153_600_000_u64)]
    idle_disable_seconds: Option<Option<u64>>,
    /// Whether people may read their keys again.
    retrievable_keys: Option<bool>,
}

/// Change what an organization demands of keys. Keys that are there go on: the ends of new keys, and
/// ends that are put off, are held to it. A rotation changes no end.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(patch, path = "/v1/orgs/{org}/policy", tag = "policy", request_body = ChangedPolicy,
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 200, body = PolicyView, description = "The policy as it is now."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks workspaces:write."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn change_policy(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    Json(body): Json<ChangedPolicy>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &org, built_in::WORKSPACES_WRITE)?;
    let body = body?;
    let command = ChangeOrgPolicy {
        org,
        max_life_seconds: body.max_life_seconds,
        expiry_required: body.expiry_required,
        idle_disable_seconds: body.idle_disable_seconds,
        retrievable_keys: body.retrievable_keys,
    };
    let committed = app.execute(&caller, command).await?;
    Ok(answer::done(committed.position, &app.view_policy(org)?))
}
