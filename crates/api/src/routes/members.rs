//! `/v1/orgs/{org}/members`: who is in an organization, and as what.

use std::ops::Bound;

use actix_web::{HttpResponse, web};
use keyledger_domain::id::{OrgId, UserId};
use keyledger_domain::member::{AddMember, ChangeMemberRole, RemoveMember};
use keyledger_domain::offboarding::{DisableMember, EnableMember};
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::text::{DisplayName, Email};
use keyledger_domain::user::NewUser;
use keyledger_domain::{Actor, Command, Directory, Position, Refusal, Role, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page, PageAtQuery};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::passwords::Password;
use crate::past::AtQuery;
use crate::problem::{Problem, ProblemBody};
use crate::routes::invitations::InvitedView;
use crate::routes::leavers::{self, LeaversKeys, OffboardingView, Wish};
use crate::routes::organization;
use crate::routes::paging::behind;
use crate::routes::set_up::local_part;
use crate::usage::passage;

/// The words of a role, for whoever wrote another.
pub(crate) const ROLE_WORDS: &str = "member, manager or owner";

/// Somebody in an organization.
#[derive(Serialize, ToSchema)]
pub struct MemberView {
    /// The identifier.
    id: String,
    /// The address; `null` once the person was erased.
    email: Option<String>,
    /// The name for people; `null` once the person was erased.
    name: Option<String>,
    /// The name in paths; `null` once the person was erased.
    slug: Option<String>,
    /// What they are here.
    #[schema(value_type = String, example = "member")]
    role: Role,
    /// Since when they are switched off here.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// Whether they were erased since: then they are told of as members of an earlier moment only, and
    /// without their names.
    erased: bool,
}

impl MemberView {
    fn of(directory: &Directory, org: &Org, id: UserId, role: Role) -> Option<Self> {
        let user = directory.user(id)?;
        Some(Self {
            id: id.to_string(),
            email: user.email.known().map(ToString::to_string),
            name: user.name.known().map(ToString::to_string),
            slug: user.slug.known().map(ToString::to_string),
            role,
            disabled_at: org.disabled_at(id),
            erased: user.email.known().is_none(),
        })
    }
}

/// The member of an organization that a path names by id or slug.
pub(crate) fn find(directory: &Directory, org: &Org, named: &str) -> Result<UserId, Refusal> {
    let user = named
        .parse::<UserId>()
        .ok()
        .or_else(|| directory.user_by_slug(named).map(|user| user.id));
    user.filter(|user| org.members.contains_key(user))
        .ok_or(Refusal::Unknown(Noun::Member))
}

impl App {
    pub(crate) fn view_member(&self, org: OrgId, user: UserId) -> Result<MemberView, Problem> {
        let directory = self.directory();
        let role = directory.member_role(org, user);
        let member = directory.org(org).zip(role);
        member
            .and_then(|(org, role)| MemberView::of(&directory, org, user, role))
            .ok_or_else(|| Refusal::Unknown(Noun::Member).into())
    }
}

/// List who is in an organization, by id.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/members", tag = "members",
    params(("org" = String, Path, description = "The organization's slug."), PageAtQuery),
    responses(
        (status = 200, body = Page<MemberView>, description = "A page of members."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks users:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "The limit, the place or the moment is not right.")))]
pub async fn list_members(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    page: web::Query<PageAtQuery>,
) -> Result<HttpResponse, Problem> {
    let (page, at) = page.into_inner().into_parts();
    let right = built_in::USERS_READ;
    let told = app.told_in(&caller, &org, right, at.as_deref()).await?;
    let org = told.org(&caller, &org, right)?;
    let limit = page.limit()?;
    let from = behind::<UserId>(&page)?;
    let members = org
        .members
        .range((from, Bound::Unbounded))
        .filter_map(|(user, role)| MemberView::of(told.state(), org, *user, *role));
    let page = Page::of(members, limit, |member| member.id.clone(), |member| member);
    Ok(told.answer(&page))
}

/// Somebody to be put in an organization.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Their address.
    #[schema(required, value_type = String, example = "ada@example.com")]
    email: Option<String>,
    /// The password of their new account, at least 8 characters. Left out, they are invited and
    /// choose their own.
    #[schema(format = Password)]
    password: Option<String>,
    /// `member`, `manager` or `owner`; `member` where it is left out.
    role: Option<String>,
    /// Their name for people, together with a password; made of the address where it is left out.
    name: Option<String>,
}

/// What came of it: a member, or an invitation.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum AddedMember {
    /// With a password: they are in.
    Member(MemberView),
    /// Without: they are invited.
    Invited(InvitedView),
}

/// Put somebody in an organization: with a password their account is made, without one they are
/// invited.
///
/// # Errors
/// 401, 403, 404, 409 for an address that is there already, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/members", tag = "members", request_body = NewMember,
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 201, body = AddedMember, description = "The member, or the invitation with its token, this once."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks users:write, or the role is above their own."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 409, body = ProblemBody, description = "The address is a member or has an account."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_member(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    Json(body): Json<NewMember>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &org, built_in::USERS_WRITE)?;
    let body = body?;
    let mut fields = Fields::default();
    let email: Option<Email> = fields.required("email", body.email.as_deref());
    let role = fields.word("role", body.role.as_deref(), ROLE_WORDS);
    let role = role.unwrap_or(Role::Member);
    let name: Option<DisplayName> = fields.optional("name", body.name.as_deref());
    let (position, added) = if body.password.is_some() {
        let password = fields.new_password("password", body.password);
        let (email, password) = (fields.take(email)?, fields.take(password)?);
        let new = app.new_user(email, name, password).await?;
        let (position, member) = app.add_member(&caller, org, role, new).await?;
        (position, AddedMember::Member(member))
    } else {
        if body.name.is_some() {
            fields.refuse("name", "is chosen by whoever is invited; leave it out");
        }
        let email = fields.take(email)?;
        let (position, invited) = app.invite(&caller, org, role, email).await?;
        (position, AddedMember::Invited(invited))
    };
    Ok(answer::created(position, &added))
}

impl App {
    /// The account of somebody new; the password is hashed here.
    pub(crate) async fn new_user(
        &self,
        email: Email,
        name: Option<DisplayName>,
        password: Password,
    ) -> Result<NewUser, Problem> {
        let from_address = || local_part(&email).parse().map_err(|_| Problem::internal());
        let name = name.map_or_else(from_address, Ok)?;
        let password = self.passwords().hash(password).await?;
        Ok(NewUser {
            user: UserId::from_random(self.random()?),
            email,
            name,
            password,
        })
    }

    async fn add_member(
        &self,
        caller: &Caller,
        org: OrgId,
        role: Role,
        new: NewUser,
    ) -> Result<(Position, MemberView), Problem> {
        let user = new.user;
        let committed = self.execute(caller, AddMember { org, role, new }).await?;
        Ok((committed.position, self.view_member(org, user)?))
    }
}

/// Read a member.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/v1/orgs/{org}/members/{user}", tag = "members",
    params(("org" = String, Path, description = "The organization's slug."),
        ("user" = String, Path, description = "The member's id or slug."), AtQuery),
    responses(
        (status = 200, body = MemberView, description = "The member."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks users:read."),
        (status = 404, body = ProblemBody, description = "No such organization or member."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "`at` is not a valid moment, or lies in the future.")))]
pub async fn read_member(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    query: web::Query<AtQuery>,
) -> Result<HttpResponse, Problem> {
    let right = built_in::USERS_READ;
    let told = app.told_in(&caller, &path.0, right, query.at()).await?;
    let org = told.org(&caller, &path.0, right)?;
    let user = find(told.state(), org, &path.1)?;
    let role = org.members.get(&user).copied();
    let view = role.and_then(|role| MemberView::of(told.state(), org, user, role));
    let view = view.ok_or(Refusal::Unknown(Noun::Member))?;
    Ok(told.answer(&view))
}

/// What a member is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedMember {
    /// `member`, `manager` or `owner`.
    #[schema(example = "manager")]
    role: Option<String>,
    /// `true` switches them off here, `false` on again.
    disabled: Option<bool>,
    /// With `disabled: true`, what becomes of the keys that they own: `keep` (where it is left
    /// out), `revoke`, or a service to hand them over to.
    #[serde(default, deserialize_with = "leavers::wished_keys")]
    keys: Option<LeaversKeys>,
}

/// A member who was changed, and what became of their keys.
#[derive(Serialize, ToSchema)]
pub struct ChangedMemberView {
    /// The member as they are now.
    #[serde(flatten)]
    member: MemberView,
    /// With `disabled: true`: the live keys that they own or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    offboarding: Option<OffboardingView>,
}

/// Make a member something else, or switch them off or on. Their keys feel it with the very next
/// call.
///
/// Who is switched off has no right in the organization any more. If it was the last in which they
/// could act, their password, sessions and keys stop working at once, and the sessions end for good.
/// The answer lists the live keys that they own or made. What `keys` asks for comes after it, as
/// records of their own: a crash in between leaves them switched off and the keys as they were, and
/// the same request again goes on. `revoke` ends all of them, however many, by one record; those of
/// somebody who is active in other organizations too are `barred_here`: they end in this one. A
/// service takes over at most 1,000 keys at once, and none that works elsewhere.
///
/// # Errors
/// 401, 403 for a role above one's own, 404, 409 for the last owner, 422.
#[utoipa::path(patch, path = "/v1/orgs/{org}/members/{user}", tag = "members", request_body = ChangedMember,
    params(("org" = String, Path, description = "The organization's slug."),
        ("user" = String, Path, description = "The member's id or slug.")),
    responses(
        (status = 200, body = ChangedMemberView, description = "The member as they are now."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks users:write (or services:write to hand keys over), or a role is above their own."),
        (status = 404, body = ProblemBody, description = "No such organization or member."),
        (status = 409, body = ProblemBody, description = "They are the last owner."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn change_member(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    Json(body): Json<ChangedMember>,
) -> Result<HttpResponse, Problem> {
    let (org, user) = {
        let directory = app.directory();
        let org = organization::require(&directory, &caller, &path.0, built_in::USERS_WRITE)?;
        (org.id, find(&directory, org, &path.1)?)
    };
    let body = body?;
    let mut fields = Fields::default();
    if body.role.is_none() && body.disabled.is_none() {
        fields.refuse("role", format!("is required: {ROLE_WORDS}; or disabled"));
    }
    if body.keys.is_some() && body.disabled != Some(true) {
        fields.refuse("keys", "goes with disabled: true");
    }
    let role = fields.word("role", body.role.as_deref(), ROLE_WORDS);
    let wish = Wish::read(body.keys, &mut fields);
    fields.check()?;
    let is_leaving = body.disabled == Some(true);
    let leaver = if is_leaving {
        let (directory, authority) = (app.directory(), caller.authority());
        wish.check(&directory, authority, org)?;
        let leaver = app.leaver(&directory, authority, org, user);
        wish.check_count(&leaver)?;
        Some(leaver)
    } else {
        None
    };
    let mut commands: Vec<Command> = Vec::new();
    commands.extend(body.disabled.map(|disabled| {
        if disabled {
            Command::from(DisableMember { org, user })
        } else {
            EnableMember { org, user }.into()
        }
    }));
    commands.extend(role.map(|role| ChangeMemberRole { org, user, role }.into()));
    let mut position = app.execute_all(&caller, commands).await?;
    let offboarding = match leaver {
        Some(leaver) => {
            let (last, done) = app.carry_out(&caller, leaver, wish).await?;
            position = last.unwrap_or(position);
            Some(done)
        }
        None => None,
    };
    let member = app.view_member(org, user)?;
    Ok(answer::done(
        position,
        &ChangedMemberView {
            member,
            offboarding,
        },
    ))
}

/// Put a member out, or leave: whoever shows their own password leaves without asking anybody, also
/// who is switched off.
///
/// # Errors
/// 401, 403, 404, 409 for the last owner.
#[utoipa::path(delete, path = "/v1/orgs/{org}/members/{user}", tag = "members",
    params(("org" = String, Path, description = "The organization's slug."),
        ("user" = String, Path, description = "The member's id or slug.")),
    responses(
        (status = 204, description = "They are out."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks users:write, or the member's role is above their own."),
        (status = 404, body = ProblemBody, description = "No such organization or member."),
        (status = 409, body = ProblemBody, description = "They are the last owner.")))]
pub async fn delete_member(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let command = {
        let directory = app.directory();
        let org = directory
            .org_by_slug(&path.0)
            .ok_or(Refusal::Unknown(Noun::Organization))?;
        let authority = caller.authority();
        let found = find(&directory, org, &path.1);
        // Who is switched off here may still leave.
        let leaves = authority.is_password_backed()
            && found
                .as_ref()
                .is_ok_and(|user| authority.actor == Actor::User(*user));
        if !leaves {
            passage::required(built_in::USERS_WRITE);
            directory.require(authority, org.id, built_in::USERS_WRITE)?;
        }
        RemoveMember {
            org: org.id,
            user: found?,
        }
    };
    let committed = app.execute(&caller, command).await?;
    Ok(answer::gone(committed.position))
}
