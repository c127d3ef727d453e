//! `/v1/credentials/{id}`: what a credential can do, now or at an earlier moment, and why not.

use actix_web::{HttpResponse, web};
use keyledger_domain::api_key::{Ended, Holder};
use keyledger_domain::credential::preview;
use keyledger_domain::id::{EntitlementId, KeyId, OrgId, ServiceId};
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::{
    ApiKey, CredentialId, CredentialKind, Directory, Environment, Position, Refusal, Role, Scope,
    Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Caller;
use crate::past::AtQuery;
use crate::problem::{Problem, ProblemBody};
use crate::restrictions::RateLimitBody;
use crate::routes::key_state::networks_of;
use crate::routes::naming::holder_name;
use crate::routes::organization;

/// Whether a credential is good, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is.
    Valid,
    /// It was revoked, or what held it was deleted.
    Revoked,
    /// It is switched off, or its holder is.
    Disabled,
    /// Its time is over.
    Expired,
}

/// What a credential can do in an organization, and if nothing, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// It can do what `scopes` says.
    Open,
    /// It was revoked for this organization alone.
    Barred,
    /// Its holder is switched off in this organization.
    MemberDisabled,
    /// It is good nowhere.
    NotValid,
}

/// What a credential can do in one organization.
#[derive(Serialize, ToSchema)]
pub struct CredentialReach {
    /// The slug of the organization.
    organization: String,
    /// What its holder is there; `null` for what has no role.
    #[schema(value_type = Option<String>, example = "member")]
    role: Option<Role>,
    /// Whether it can do anything, and if not, why.
    standing: Reach,
    /// All that it can do there, whether the credential names it or its holder's role and teams give it.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<String>,
}

/// A credential at a moment.
#[derive(Serialize, ToSchema)]
pub struct CredentialView {
    /// Its public id.
    #[schema(example = "3kTMd9wQx")]
    id: String,
    /// What may be shown of it to anybody.
    #[schema(example = "sk_live_3kTMd9wQx_****")]
    preview: String,
    /// `user_key`, `service_key`, `entitlement_token` or `access_token`.
    kind: &'static str,
    /// `live` or `test`.
    #[schema(value_type = String)]
    environment: Environment,
    /// Who holds it.
    #[schema(example = "service:5e0f2b5c-53f7-4d2a-a1d5-5b8b2f0d7c11")]
    holder: String,
    /// Their slug or name; `null` once the person was erased, or where the holder is gone.
    holder_name: Option<String>,
    /// The moment that is told of.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// The last record that it rests on.
    position: u64,
    /// Whether it was good, and if not, why.
    standing: Standing,
    /// What it may do at most; `null` for all that its holder may.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Vec<Scope>>,
    /// The networks it may be used from; empty for any.
    allowed_cidrs: Vec<String>,
    /// How often it may be used; `null` for as often as the organization's default allows.
    rate_limit: Option<RateLimitBody>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends; `null` for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When its secret was last replaced.
    #[schema(value_type = Option<String>, format = DateTime)]
    rotated_at: Option<Timestamp>,
    /// What it could do in the organizations of its holder whose audit log the caller reads.
    organizations: Vec<CredentialReach>,
}

impl CredentialReach {
    fn of(directory: &Directory, key: &ApiKey, org: &Org, is_valid: bool) -> Self {
        let actor = key.issued.holder.actor();
        let is_disabled = match key.issued.holder {
            Holder::User { user, .. } | Holder::Delegate { user, .. } => {
                org.disabled_at(user).is_some()
            }
            Holder::Service { .. } | Holder::Entitlement { .. } | Holder::Client { .. } => false,
        };
        let standing = if !is_valid {
            Reach::NotValid
        } else if directory.bars(org.id, key.issued.id) {
            Reach::Barred
        } else if is_disabled {
            Reach::MemberDisabled
        } else {
            Reach::Open
        };
        let names = match standing {
            Reach::Open => directory.effective_scope_names(key, org),
            Reach::Barred | Reach::MemberDisabled | Reach::NotValid => Vec::new(),
        };
        Self {
            organization: org.slug.to_string(),
            role: directory.role_of(actor, org.id),
            standing,
            scopes: names.into_iter().map(ToOwned::to_owned).collect(),
        }
    }
}

impl CredentialView {
    /// A credential in a state, at a moment; the organizations of its holder that `shows` takes.
    pub fn of(
        directory: &Directory,
        key: &ApiKey,
        time: Timestamp,
        shows: impl Fn(OrgId) -> bool,
    ) -> Self {
        let issued = &key.issued;
        let standing = match directory.standing_of(key, time) {
            Ok(()) => Standing::Valid,
            Err(Ended::Revoked) => Standing::Revoked,
            Err(Ended::Disabled) => Standing::Disabled,
            Err(Ended::Expired) => Standing::Expired,
        };
        let actor = issued.holder.actor();
        let orgs = orgs_of(directory, issued.holder).into_iter();
        let mut orgs: Vec<&Org> = orgs.filter(|org| shows(org.id)).collect();
        orgs.sort_unstable_by(|a, b| a.slug.cmp(&b.slug));
        let is_valid = standing == Standing::Valid;
        let reach = orgs.into_iter();
        let reach = reach.map(|org| CredentialReach::of(directory, key, org, is_valid));
        let scopes = key.scopes.as_ref();
        let position: Position = directory.position();
        Self {
            id: issued.id.to_string(),
            preview: preview(issued.kind, issued.environment, issued.id),
            kind: kind_of(issued.kind),
            environment: issued.environment,
            holder: actor.to_string(),
            holder_name: holder_name(directory, actor),
            time,
            position: position.get(),
            standing,
            scopes: scopes.map(|scopes| scopes.iter().cloned().collect()),
            allowed_cidrs: networks_of(key),
            rate_limit: key.rate_limit().map(RateLimitBody::from),
            created_at: key.created_at,
            expires_at: key.expires_at,
            rotated_at: key.rotated_at(),
            organizations: reach.collect(),
        }
    }
}

/// The organizations that a holder is in, or was when it was deleted.
fn orgs_of(directory: &Directory, holder: Holder) -> Vec<&Org> {
    match holder {
        Holder::User { .. } => directory.member_orgs_of(holder.actor()).collect(),
        Holder::Service { org, .. }
        | Holder::Entitlement { org, .. }
        | Holder::Client { org, .. }
        | Holder::Delegate { org, .. } => directory.org(org).into_iter().collect(),
    }
}

const fn kind_of(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::UserKey => "user_key",
        CredentialKind::ServiceKey => "service_key",
        CredentialKind::EntitlementToken => "entitlement_token",
        CredentialKind::AccessToken => "access_token",
        // These are no keys, and are found by nobody here.
        CredentialKind::Invitation
        | CredentialKind::ClientSecret
        | CredentialKind::AuthorizationCode
        | CredentialKind::RefreshToken => "other",
    }
}

/// The key that somebody names: by its public id, or by the id of what holds it.
pub fn find<'d>(directory: &'d Directory, named: &str) -> Option<&'d ApiKey> {
    if let Ok(id) = named.parse::<CredentialId>() {
        return directory.api_key(id);
    }
    let of_key = named.parse::<KeyId>().ok();
    let of_key = of_key.and_then(|id| directory.credential_of(id));
    let of_service = || {
        let id = named.parse::<ServiceId>().ok()?;
        directory.service(id).map(|service| service.credential)
    };
    let of_token = || {
        let id = named.parse::<EntitlementId>().ok()?;
        directory.entitlement(id).map(|token| token.credential)
    };
    let id = of_key.or_else(of_service).or_else(of_token)?;
    directory.api_key(id)
}

/// What a credential can do, now or at an earlier moment: whether it was good, in which organizations and
/// for what, and why not.
///
/// Auditors of an organization see what the credential could do there. From where it was used, and how often,
/// is told elsewhere.
///
/// # Errors
/// 401, 403 without audit:read, 404 for one that is not there or was not yet, 410, 422.
#[utoipa::path(get, path = "/v1/credentials/{id}", tag = "events",
    params(("id" = String, Path, description = "The public id of the credential, or the id of the key, service or entitlement token that holds it."), AtQuery),
    responses(
        (status = 200, body = CredentialView, description = "The credential at that moment."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "There was no such credential in an organization of the caller's."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "`at` is not a valid moment, or lies in the future.")))]
pub async fn read_credential(
    app: web::Data<App>,
    caller: Caller,
    named: web::Path<String>,
    query: web::Query<AtQuery>,
) -> Result<HttpResponse, Problem> {
    let audited = |directory: &Directory| -> Result<Vec<OrgId>, Refusal> {
        let orgs = organization::all(directory, &caller, None, built_in::AUDIT_READ)?;
        Ok(orgs.into_iter().map(|org| org.id).collect())
    };
    audited(&app.directory())?;
    let told = app.told_as_of(app.then(&caller, query.at()).await?);
    let audited = audited(told.today())?;
    let unknown = || Refusal::Unknown(Noun::Key);
    let key = find(told.state(), &named).ok_or_else(unknown)?;
    if !told.sees(caller.authority(), key.issued.environment) {
        return Err(unknown().into());
    }
    let view = CredentialView::of(told.state(), key, told.now(), |org| audited.contains(&org));
    if view.organizations.is_empty() {
        return Err(unknown().into());
    }
    let of_slug = |reach: &CredentialReach| {
        let org = told.state().org_by_slug(&reach.organization)?;
        Some(org.id).filter(|org| audited.contains(org))
    };
    let read: Vec<OrgId> = view.organizations.iter().filter_map(of_slug).collect();
    let answer = told.answer(&view);
    // It holds the state, which waits for no record.
    drop(told);
    let count = read.len();
    if app.note_audit_read(&caller, read).await?.len() < count {
        return Err(Problem::unavailable(
            "Which organizations you may audit has just changed; ask again.",
        ));
    }
    Ok(answer)
}
