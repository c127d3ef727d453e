//! `/v1/orgs/{org}/invitations`, and following one: how somebody gets in who chooses their own
//! password, or has an account already.

use std::ops::Bound;

use actix_web::{HttpResponse, web};
use keyledger_domain::credential::{self, CredentialClaim};
use keyledger_domain::id::{InvitationId, OrgId};
use keyledger_domain::member::{AcceptInvitation, Invitation, InviteMember, RevokeInvitation};
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::text::{DisplayName, Email};
use keyledger_domain::{
    Actor, CredentialKind, Digest, Environment, Position, Refusal, Role, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page, PageQuery};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::{Caller, Visitor};
use crate::problem::{Problem, ProblemBody};
use crate::routes::members::MemberView;
use crate::routes::organization;
use crate::routes::paging::behind;

/// How long an invitation may be followed: 7 days, in seconds.
const INVITATION_SECONDS: u64 = 7 * 24 * 3_600;

/// Somebody who was invited.
#[derive(Serialize, ToSchema)]
pub struct InvitedView {
    /// Their address.
    email: String,
    /// What they will be.
    #[schema(value_type = String, example = "member")]
    role: Role,
    /// The invitation to hand to them.
    invitation: NewInvitation,
}

/// An invitation with its token.
#[derive(Serialize, ToSchema)]
pub struct NewInvitation {
    /// The identifier.
    id: String,
    /// What lets them in, shown this once. Whoever has it may follow the invitation.
    token: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// An invitation that waits.
#[derive(Serialize, ToSchema)]
pub struct InvitationView {
    /// The identifier.
    id: String,
    /// Whom it is for; `null` once they were erased.
    email: Option<String>,
    /// What they will be.
    #[schema(value_type = String, example = "member")]
    role: Role,
    /// When it ends, or ended.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Who invited.
    #[schema(example = "user:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10")]
    invited_by: String,
}

impl InvitationView {
    fn of(id: InvitationId, invitation: &Invitation) -> Self {
        Self {
            id: id.to_string(),
            email: invitation.email.known().map(ToString::to_string),
            role: invitation.role,
            expires_at: invitation.expires_at,
            invited_by: invitation.invited_by.to_string(),
        }
    }
}

impl App {
    /// Invites an address; the token is in the answer, this once.
    pub(crate) async fn invite(
        &self,
        caller: &Caller,
        org: OrgId,
        role: Role,
        email: Email,
    ) -> Result<(Position, InvitedView), Problem> {
        let token = self.draw(CredentialKind::Invitation, Environment::Live, None)?;
        let invitation = InvitationId::from_random(self.random()?);
        let expires_at = self.now().plus_seconds(INVITATION_SECONDS);
        let command = InviteMember {
            org,
            invitation,
            email: email.clone(),
            role,
            token: token.id(),
            digest: self.digest(token.as_bytes())?,
            expires_at,
        };
        let committed = self.execute(caller, command).await?;
        let invited = InvitedView {
            email: email.to_string(),
            role,
            invitation: NewInvitation {
                id: invitation.to_string(),
                token: token.expose_once(),
                expires_at,
            },
        };
        Ok((committed.position, invited))
    }
}

/// List the invitations that nobody followed yet, by id. Ended ones stay until they are deleted.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/invitations", tag = "members",
    params(("org" = String, Path, description = "The organization's slug."), PageQuery),
    responses(
        (status = 200, body = Page<InvitationView>, description = "A page of invitations."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks users:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "The limit or the place is not right.")))]
pub async fn list_invitations(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let directory = app.directory();
    let org = organization::require(&directory, &caller, &org, built_in::USERS_READ)?;
    let limit = page.limit()?;
    let from = behind::<InvitationId>(&page)?;
    let open = org
        .invitations
        .range((from, Bound::Unbounded))
        .map(|(id, invitation)| InvitationView::of(*id, invitation));
    let page = Page::of(open, limit, |view| view.id.clone(), |view| view);
    Ok(HttpResponse::Ok().json(page))
}

/// Take an invitation back.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(delete, path = "/v1/orgs/{org}/invitations/{id}", tag = "members",
    params(("org" = String, Path, description = "The organization's slug."),
        ("id" = String, Path, description = "The invitation's id.")),
    responses(
        (status = 204, description = "Nobody gets in by it any more."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks users:write, or the role is above their own."),
        (status = 404, body = ProblemBody, description = "No such organization or invitation.")))]
pub async fn delete_invitation(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &path.0, built_in::USERS_WRITE)?;
    let id = path.1.parse::<InvitationId>();
    let invitation = id.map_err(|_| Refusal::Unknown(Noun::Invitation))?;
    let revoke = RevokeInvitation { org, invitation };
    let committed = app.execute(&caller, revoke).await?;
    Ok(answer::gone(committed.position))
}

/// An invitation to be followed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowedInvitation {
    /// The token that was handed over.
    #[schema(required, value_type = String)]
    token: Option<String>,
    /// The password of the account to be made, at least 8 characters; none where the address has
    /// an account.
    #[schema(format = Password)]
    password: Option<String>,
    /// The name of the account to be made; made of the address where it is left out.
    name: Option<String>,
}

/// Somebody who got in.
#[derive(Serialize, ToSchema)]
pub struct AcceptedInvitation {
    /// The organization's slug.
    organization: String,
    /// The new member.
    #[serde(flatten)]
    member: MemberView,
}

/// Follow an invitation. Somebody new chooses a password; somebody who has an account shows who
/// they are, and gets in as that.
///
/// # Errors
/// 401 where the address has an account and nobody is shown; 404 for a token that is no good or is
/// somebody else's; 422.
#[utoipa::path(post, path = "/v1/invitations/accept", tag = "members", request_body = FollowedInvitation,
    security((), ("basic" = []), ("bearer" = []), ("api_key" = [])),
    responses(
        (status = 201, body = AcceptedInvitation, description = "They are in."),
        (status = 401, body = ProblemBody, description = "The address has an account, which must be shown."),
        (status = 403, body = ProblemBody, description = "The key that was shown is too narrow."),
        (status = 404, body = ProblemBody, description = "No such invitation for the caller."),
        (status = 409, body = ProblemBody, description = "They are in already."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn accept_invitation(
    app: web::Data<App>,
    visitor: Visitor,
    Json(body): Json<FollowedInvitation>,
) -> Result<HttpResponse, Problem> {
    let body = body?;
    let mut fields = Fields::default();
    let token = fields.given("token", body.token);
    let token = fields.take(token)?;
    let source = visitor.origin.source();
    let open = app
        .open_invitation(&token)
        .map_err(|problem| app.wrong_code(problem, &token, source))?;
    let (caller, new) = if let Some(account) = open.account {
        let caller = visitor.caller.ok_or_else(Problem::not_authenticated)?;
        if caller.authority().actor != account {
            return Err(Refusal::Unknown(Noun::Invitation).into());
        }
        if body.password.is_some() || body.name.is_some() {
            let reason = "is for an account that is there already; send nothing else";
            return Err(Problem::field("token", reason));
        }
        (caller, None)
    } else {
        let name: Option<DisplayName> = fields.optional("name", body.name.as_deref());
        let password = fields.new_password("password", body.password);
        let password = fields.take(password)?;
        let new = app.new_user(open.email, name, password).await?;
        (Caller::system(visitor.origin), Some(new))
    };
    let user = match (&new, caller.authority().actor) {
        (Some(new), _) => new.user,
        (None, Actor::User(user)) => user,
        (None, Actor::System | Actor::Service(_) | Actor::Entitlement(_) | Actor::Client(_)) => {
            return Err(Refusal::UsersOnly.into());
        }
    };
    let accept = AcceptInvitation {
        token: open.claim.id,
        digest: open.digest,
        new,
    };
    let committed = app.execute(&caller, accept).await?;
    let answer = AcceptedInvitation {
        organization: app
            .directory()
            .org(open.org)
            .ok_or(Refusal::Unknown(Noun::Organization))?
            .slug
            .to_string(),
        member: app.view_member(open.org, user)?,
    };
    Ok(answer::created(committed.position, &answer))
}

/// An invitation whose token was just shown.
struct Shown {
    claim: CredentialClaim,
    digest: Digest,
    org: OrgId,
    email: Email,
    /// Whoever has an account at this address.
    account: Option<Actor>,
}

impl App {
    /// The open invitation that this is the token of. Asked before a password is hashed, so that a
    /// stranger without a token costs next to nothing; the domain asks again.
    fn open_invitation(&self, token: &str) -> Result<Shown, Problem> {
        let unknown = || Refusal::Unknown(Noun::Invitation);
        let claim = credential::parse(token).map_err(|_| unknown())?;
        let directory = self.directory();
        let (org, id) = directory
            .invitation_by_token(claim.id)
            .ok_or_else(unknown)?;
        let open = directory
            .org(org)
            .and_then(|org| org.invitations.get(&id))
            .ok_or_else(unknown)?;
        let pepper_version = open.digest.pepper_version;
        let tag = self.peppers().tag(pepper_version, token.as_bytes());
        let digest = Digest {
            pepper_version,
            tag: tag.ok_or_else(unknown)?,
        };
        let email = open.email.known().ok_or_else(unknown)?.clone();
        if !digest.matches(&open.digest) || self.now() >= open.expires_at {
            return Err(unknown().into());
        }
        let account = directory.user_by_email(email.as_str());
        let account = account.map(|user| Actor::User(user.id));
        Ok(Shown {
            claim,
            digest,
            org,
            email,
            account,
        })
    }
}
