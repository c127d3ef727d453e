//! Who is in an organization, as what, and how they get in.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::credential::CredentialId;
use crate::digest::Digest;
use crate::directory::Directory;
use crate::event::Event;
use crate::id::{InvitationId, OrgId, UserId};
use crate::org::ORGS_OF_PERSON_MAX;
use crate::personal::Personal;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::scope::built_in;
use crate::text::Email;
use crate::time::Timestamp;
use crate::user::{NewUser, Registration};

/// An invitation that waits for its addressee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The public id of its token.
    pub token: CredentialId,
    /// Whom it is for.
    pub email: Personal<Email>,
    /// What they will be.
    pub role: Role,
    /// What is kept of its token.
    pub digest: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who invited.
    pub invited_by: Actor,
}

/// Make an account for somebody and put them in the organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddMember {
    /// The organization.
    pub org: OrgId,
    /// What they will be.
    pub role: Role,
    /// Their new account.
    pub new: NewUser,
}

/// How often an address is invited at most. An erasure names all these invitations in one record, and must not be
/// refused for its size, whoever sent them.
pub const INVITATIONS_OF_ADDRESS_MAX: usize = 2_000;

/// Ask somebody in by a token that only they are to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteMember {
    /// The organization.
    pub org: OrgId,
    /// The invitation.
    pub invitation: InvitationId,
    /// Whom it is for.
    pub email: Email,
    /// What they will be.
    pub role: Role,
    /// The public id of its token.
    pub token: CredentialId,
    /// What is kept of its token.
    pub digest: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Follow an invitation, with a new account or the one that has the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptInvitation {
    /// The public id of the token that was shown.
    pub token: CredentialId,
    /// What was shown, digested.
    pub digest: Digest,
    /// The account to make where the address has none; its address is the invitation's.
    pub new: Option<NewUser>,
}

/// Take an invitation back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokeInvitation {
    /// The organization.
    pub org: OrgId,
    /// The invitation.
    pub invitation: InvitationId,
}

/// Make a member something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeMemberRole {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
    /// What they will be.
    pub role: Role,
}

/// Put a member out, or leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveMember {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
}

/// Somebody new was put in an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberAdded {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
    /// What they are.
    pub role: Role,
    /// Their account, made with it.
    pub registered: Registration,
}

/// Somebody was asked in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberInvited {
    /// The organization.
    pub org: OrgId,
    /// The invitation.
    pub invitation: InvitationId,
    /// Whom it is for.
    pub email: Personal<Email>,
    /// What they will be.
    pub role: Role,
    /// The public id of its token.
    pub token: CredentialId,
    /// What is kept of its token.
    #[serde(skip)]
    pub digest: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// An invitation was followed, and is used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvitationAccepted {
    /// The organization.
    pub org: OrgId,
    /// The invitation.
    pub invitation: InvitationId,
    /// Who is in now.
    pub user: UserId,
    /// Their account, where it was made with it.
    pub registered: Option<Registration>,
}

/// An invitation was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InvitationRevoked {
    /// The organization.
    pub org: OrgId,
    /// The invitation.
    pub invitation: InvitationId,
}

/// A member became something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemberRoleChanged {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
    /// What they are now.
    pub role: Role,
}

/// A member was put out, or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemberRemoved {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
}

impl Directory {
    pub(crate) fn decide_add_member(
        &self,
        authority: &Authority,
        command: AddMember,
    ) -> Result<Option<Event>, Refusal> {
        let AddMember { org, role, new } = command;
        self.require(authority, org, built_in::USERS_WRITE)?;
        self.require_role(authority, org, role)?;
        if let Some(user) = self.user_by_email(new.email.as_str()) {
            let inside = self.known_org(org).members.contains_key(&user.id);
            return Err(if inside {
                Refusal::AlreadyMember
            } else {
                Refusal::AlreadyRegistered
            });
        }
        let user = new.user;
        if self.user(user).is_some() {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let registered = self.registration(new);
        Ok(Some(Event::MemberAdded(MemberAdded {
            org,
            user,
            role,
            registered,
        })))
    }

    pub(crate) fn decide_invite_member(
        &self,
        authority: &Authority,
        command: InviteMember,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        self.require(authority, command.org, built_in::USERS_WRITE)?;
        self.require_role(authority, command.org, command.role)?;
        if now >= command.expires_at {
            return Err(Refusal::invalid(Field::ExpiresAt, Reason::InThePast));
        }
        let org = self.known_org(command.org);
        if self
            .user_by_email(command.email.as_str())
            .is_some_and(|u| org.members.contains_key(&u.id))
        {
            return Err(Refusal::AlreadyMember);
        }
        if self.times_invited(&command.email) >= INVITATIONS_OF_ADDRESS_MAX {
            return Err(Refusal::TooManyInvitations);
        }
        if self.is_credential_taken(command.token)
            || org.invitations.contains_key(&command.invitation)
            || self.erased.contains_key(&command.invitation.into())
        {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        Ok(Some(Event::MemberInvited(MemberInvited {
            org: command.org,
            invitation: command.invitation,
            email: Personal::Known(command.email),
            role: command.role,
            token: command.token,
            digest: command.digest,
            expires_at: command.expires_at,
        })))
    }

    /// A wrong token, an ended one and one for somebody else look alike: unknown.
    pub(crate) fn decide_accept_invitation(
        &self,
        authority: &Authority,
        command: AcceptInvitation,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let unknown = Refusal::Unknown(Noun::Invitation);
        let (org, invitation) = self
            .invitation_by_token(command.token)
            .ok_or(unknown.clone())?;
        let open = &self.known_org(org).invitations[&invitation];
        let Some(email) = open.email.known() else {
            return Err(unknown);
        };
        if !command.digest.matches(&open.digest) || now >= open.expires_at {
            return Err(unknown);
        }
        // It is worth what its inviter is worth now: who was put out brings nobody in.
        if self
            .role_of(open.invited_by, org)
            .is_none_or(|role| role < open.role)
        {
            return Err(unknown);
        }
        let account = self.user_by_email(email.as_str());
        let (user, registered) = match (account, command.new) {
            // The address has an account: only its owner may bring it in.
            (Some(account), _) if authority.actor == Actor::User(account.id) => {
                // A key joins for its owner only where it may manage members at all.
                self.check_names(authority, built_in::USERS_WRITE)?;
                self.check_not_live_only(authority, built_in::USERS_WRITE)?;
                (account.id, None)
            }
            (Some(_), _) | (None, None) => return Err(unknown),
            (None, Some(new)) if self.user(new.user).is_some() => {
                return Err(Refusal::Taken(Field::CredentialId));
            }
            (None, Some(new)) => {
                let new = NewUser {
                    email: email.clone(),
                    ..new
                };
                (new.user, Some(self.registration(new)))
            }
        };
        if self.known_org(org).members.contains_key(&user) {
            return Err(Refusal::AlreadyMember);
        }
        if account.is_some_and(|account| account.orgs.len() >= ORGS_OF_PERSON_MAX) {
            return Err(Refusal::TooManyOrganizations);
        }
        Ok(Some(Event::InvitationAccepted(InvitationAccepted {
            org,
            invitation,
            user,
            registered,
        })))
    }

    pub(crate) fn decide_revoke_invitation(
        &self,
        authority: &Authority,
        command: RevokeInvitation,
    ) -> Result<Option<Event>, Refusal> {
        let RevokeInvitation { org, invitation } = command;
        self.require(authority, org, built_in::USERS_WRITE)?;
        let open = self.known_org(org).invitations.get(&invitation);
        let open = open.ok_or(Refusal::Unknown(Noun::Invitation))?;
        self.require_role(authority, org, open.role)?;
        Ok(Some(Event::InvitationRevoked(InvitationRevoked {
            org,
            invitation,
        })))
    }

    pub(crate) fn decide_change_member_role(
        &self,
        authority: &Authority,
        command: ChangeMemberRole,
    ) -> Result<Option<Event>, Refusal> {
        let ChangeMemberRole { org, user, role } = command;
        self.require(authority, org, built_in::USERS_WRITE)?;
        let current = self
            .member_role(org, user)
            .ok_or(Refusal::Unknown(Noun::Member))?;
        self.require_role(authority, org, current.max(role))?;
        if current == role {
            return Ok(None);
        }
        if self.known_org(org).is_last_owner(user) {
            return Err(Refusal::LastOwner);
        }
        Ok(Some(Event::MemberRoleChanged(MemberRoleChanged {
            org,
            user,
            role,
        })))
    }

    pub(crate) fn decide_remove_member(
        &self,
        authority: &Authority,
        command: RemoveMember,
    ) -> Result<Option<Event>, Refusal> {
        let RemoveMember { org, user } = command;
        let leaves = authority.actor == Actor::User(user) && authority.is_password_backed();
        if leaves {
            // Also who is switched off here: nobody is held where they cannot act.
            let role = self.member_role(org, user);
            role.ok_or(Refusal::Unknown(Noun::Organization))?;
        } else {
            self.require(authority, org, built_in::USERS_WRITE)?;
        }
        let current = self
            .member_role(org, user)
            .ok_or(Refusal::Unknown(Noun::Member))?;
        if !leaves {
            self.require_role(authority, org, current)?;
        }
        if self.known_org(org).is_last_owner(user) {
            return Err(Refusal::LastOwner);
        }
        Ok(Some(Event::MemberRemoved(MemberRemoved { org, user })))
    }

    /// What a person is in an organization, or would be if they were not switched off.
    pub fn member_role(&self, org: OrgId, user: UserId) -> Option<Role> {
        self.org(org)?.members.get(&user).copied()
    }

    pub(crate) fn insert_member(&mut self, org: OrgId, user: UserId, role: Role) {
        self.org_mut(org).members.insert(user, role);
        self.user_mut(user).orgs.insert(org);
    }

    pub(crate) fn apply_member_added(&mut self, event: &MemberAdded, at: Timestamp) {
        self.insert_user(event.user, &event.registered, at);
        self.insert_member(event.org, event.user, event.role);
    }

    pub(crate) fn apply_member_invited(&mut self, event: &MemberInvited, invited_by: Actor) {
        self.invitation_tokens
            .insert(event.token, (event.org, event.invitation));
        let invitation = Invitation {
            token: event.token,
            email: event.email.clone(),
            role: event.role,
            digest: event.digest,
            expires_at: event.expires_at,
            invited_by,
        };
        self.org_mut(event.org)
            .invitations
            .insert(event.invitation, invitation);
        self.note_invited(&event.email, event.invitation);
    }

    pub(crate) fn apply_invitation_accepted(&mut self, event: &InvitationAccepted, at: Timestamp) {
        let invitation = self.take_invitation(event.org, event.invitation);
        if let Some(registration) = &event.registered {
            self.insert_user(event.user, registration, at);
        }
        self.insert_member(event.org, event.user, invitation.role);
        self.end_invitations_of(event.org, event.user);
    }

    pub(crate) fn apply_invitation_revoked(&mut self, event: InvitationRevoked) {
        self.take_invitation(event.org, event.invitation);
    }

    pub(crate) fn take_invitation(&mut self, org: OrgId, invitation: InvitationId) -> Invitation {
        let open = self.org_mut(org).invitations.remove(&invitation);
        let open = open.expect("an event names an open invitation");
        self.invitation_tokens.remove(&open.token);
        open
    }

    pub(crate) fn apply_member_role_changed(&mut self, event: MemberRoleChanged) {
        self.org_mut(event.org)
            .members
            .insert(event.user, event.role);
    }

    /// Who came in or went out has no other invitation left to come in by. Of somebody who was erased
    /// since, nobody can tell any more; the record of the erasure then ends them.
    fn end_invitations_of(&mut self, org: OrgId, user: UserId) {
        let Some(email) = self.known_user(user).email.known().cloned() else {
            return;
        };
        let open = &self.known_org(org).invitations;
        let same = open
            .iter()
            .filter(|(_, invitation)| invitation.email.known() == Some(&email));
        let same: Vec<_> = same.map(|(id, _)| *id).collect();
        for invitation in same {
            self.take_invitation(org, invitation);
        }
    }

    pub(crate) fn apply_member_removed(&mut self, event: MemberRemoved) {
        self.take_member(event.org, event.user);
        self.user_mut(event.user).orgs.remove(&event.org);
        self.end_consents_in(event.org, event.user);
        self.end_sessions_if_shut_out(event.user);
        self.end_invitations_of(event.org, event.user);
    }

    /// Takes somebody out of an organization and its teams.
    pub(crate) fn take_member(&mut self, org: OrgId, user: UserId) {
        let org = self.org_mut(org);
        org.members.remove(&user);
        org.disabled.remove(&user);
        for team in org.teams.values_mut() {
            team.members.remove(&user);
        }
    }
}
