//! How somebody leaves work: switched off in an organization, their keys handed to a service.
//!
//! Disabling comes first and is one event: whatever is done about keys after it, or not done
//! because the server died, the person can do nothing there any more.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::actor::{Actor, Authority};
use crate::api_key::{ApiKey, Ended, Holder};
use crate::credential::CredentialId;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{KeyId, OrgId, ServiceId, TeamId, UserId};
use crate::org::Org;
use crate::refusal::{Field, Noun, Refusal};
use crate::role::Role;
use crate::scope::{Scopes, built_in};
use crate::service::{Service, check_service_role};
use crate::text::{Description, DisplayName, Slug};
use crate::time::Timestamp;

/// Switch a member off: at the next request they have no right in the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisableMember {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
}

/// Switch a member on again, with the role and the teams that they had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnableMember {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
}

/// Make a service that takes over a key of a disabled member. The secret goes on working.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOverUserKey {
    /// The organization.
    pub org: OrgId,
    /// The key.
    pub key: KeyId,
    /// The service to be made.
    pub service: ServiceId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// What it is for.
    pub description: Description,
    /// Member or manager.
    pub role: Role,
    /// The teams whose rights it has besides.
    pub teams: Vec<Slug>,
}

/// A member was switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemberDisabled {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
}

/// A member was switched on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemberEnabled {
    /// The organization.
    pub org: OrgId,
    /// Who.
    pub user: UserId,
}

/// A service took over a person's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserKeyHandedOver {
    /// The organization.
    pub org: OrgId,
    /// Whose key it was.
    pub user: UserId,
    /// The key, which is none of theirs any more.
    pub key: KeyId,
    /// The credential, which stays what it is.
    pub id: CredentialId,
    /// The service that holds it now.
    pub service: ServiceId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// What it is for.
    pub description: Description,
    /// Member or manager.
    pub role: Role,
    /// The teams whose rights it has besides.
    pub teams: BTreeSet<TeamId>,
    /// What the key may do at most: what it could do in this organization before its owner was
    /// switched off.
    pub scopes: Scopes,
}

impl Org {
    /// Since when a member is switched off here.
    pub fn disabled_at(&self, user: UserId) -> Option<Timestamp> {
        self.disabled.get(&user).copied()
    }

    /// What a member is here, unless they are switched off.
    pub fn active_role(&self, user: UserId) -> Option<Role> {
        let role = self.members.get(&user).copied();
        role.filter(|_| !self.disabled.contains_key(&user))
    }

    /// Whether this person is a member and not switched off.
    pub fn has_active(&self, user: UserId) -> bool {
        self.active_role(user).is_some()
    }
}

impl Directory {
    /// The organizations of an actor, those too in which a person is switched off.
    pub fn member_orgs_of(&self, actor: Actor) -> impl Iterator<Item = &Org> {
        let of_user = match actor {
            Actor::User(user) => self.user(user).map(|user| user.orgs.iter()),
            Actor::System | Actor::Service(_) | Actor::Entitlement(_) | Actor::Client(_) => None,
        };
        let of_token = match actor {
            Actor::Service(id) => self.service(id).map(|service| &service.org),
            Actor::Entitlement(id) => self.entitlement(id).map(|token| &token.org),
            Actor::Client(id) => self.client(id).map(|client| &client.org),
            Actor::System | Actor::User(_) => None,
        };
        of_user
            .into_iter()
            .flatten()
            .chain(of_token)
            .filter_map(|id| self.org(*id))
    }

    /// Whether an organization lets this person act in it. Their keys are good for nothing where
    /// none does.
    pub fn is_active(&self, user: UserId) -> bool {
        self.orgs_of(Actor::User(user)).next().is_some()
    }

    /// Whether this person may sign in: not where every organization of theirs has switched them
    /// off. Who is in none may, to follow an invitation; who was forgotten may not.
    pub fn may_sign_in(&self, id: UserId) -> bool {
        self.user(id)
            .is_some_and(|user| !user.is_erased() && (user.orgs.is_empty() || self.is_active(id)))
    }

    /// Whether a key is good at `now`: by itself, and by whose it is. One that is barred from every
    /// organization in which its owner is active is revoked.
    ///
    /// # Errors
    /// The first of [`Ended`] that applies.
    pub fn standing_of(&self, key: &ApiKey, now: Timestamp) -> Result<(), Ended> {
        let standing = key.standing(now);
        let (Holder::User { user, .. }, Ok(()) | Err(Ended::Disabled | Ended::Expired)) =
            (key.issued.holder, standing)
        else {
            // What a token was issued for may have ended before it did.
            return match standing {
                Ok(()) | Err(Ended::Expired) => self.standing_of_token(key).and(standing),
                Err(Ended::Revoked | Ended::Disabled) => standing,
            };
        };
        let mut none = Ended::Disabled;
        for org in self.orgs_of(Actor::User(user)) {
            if !self.bars(org.id, key.issued.id) {
                return standing;
            }
            none = Ended::Revoked;
        }
        Err(none)
    }

    /// Whoever manages members and may touch this member's role.
    fn manages_member(
        &self,
        authority: &Authority,
        org: OrgId,
        user: UserId,
    ) -> Result<(), Refusal> {
        self.require(authority, org, built_in::USERS_WRITE)?;
        let role = self
            .member_role(org, user)
            .ok_or(Refusal::Unknown(Noun::Member))?;
        self.require_role(authority, org, role)
    }

    pub(crate) fn decide_disable_member(
        &self,
        authority: &Authority,
        command: DisableMember,
    ) -> Result<Option<Event>, Refusal> {
        let DisableMember { org, user } = command;
        self.manages_member(authority, org, user)?;
        let known = self.known_org(org);
        if known.disabled_at(user).is_some() {
            return Ok(None);
        }
        if known.is_last_owner(user) {
            return Err(Refusal::LastOwner);
        }
        Ok(Some(Event::MemberDisabled(MemberDisabled { org, user })))
    }

    /// Switching on gives role and teams again, so whoever does it must hold all of that.
    pub(crate) fn decide_enable_member(
        &self,
        authority: &Authority,
        command: EnableMember,
    ) -> Result<Option<Event>, Refusal> {
        let EnableMember { org, user } = command;
        self.manages_member(authority, org, user)?;
        if self.known_org(org).disabled_at(user).is_none() {
            return Ok(None);
        }
        self.check_grantable(authority, org, &self.rights_as_member(org, user))?;
        Ok(Some(Event::MemberEnabled(MemberEnabled { org, user })))
    }

    pub(crate) fn decide_hand_over_user_key(
        &self,
        authority: &Authority,
        command: HandOverUserKey,
    ) -> Result<Option<Event>, Refusal> {
        let org = command.org;
        self.require(authority, org, built_in::SERVICES_WRITE)?;
        self.require(authority, org, built_in::USERS_WRITE)?;
        let unknown = || Refusal::Unknown(Noun::Key);
        let key = self.user_key(command.key).ok_or_else(unknown)?;
        let (user, id) = (key.user, key.credential);
        let owner_role = self.member_role(org, user).ok_or_else(unknown)?;
        let api_key = self
            .api_key(id)
            .filter(|key| {
                key.revoked_at().is_none() && !self.bars(org, id) && self.sees_key(authority, id)
            })
            .ok_or_else(unknown)?;
        self.require_role(authority, org, owner_role.max(command.role))?;
        self.check_joinable(authority, org, &command.teams, &BTreeSet::new())?;
        let scopes = self.scopes_as_member(api_key, org, user);
        self.check_grantable(authority, org, &scopes)?;
        self.check_within_own(authority, api_key)?;
        check_service_role(command.role)?;
        let teams = self.teams_named(org, &command.teams)?;
        if self.known_org(org).disabled_at(user).is_none() {
            return Err(Refusal::MemberNotDisabled);
        }
        if self.works_elsewhere(api_key, org) {
            return Err(Refusal::KeyWorksElsewhere);
        }
        if self.service_by_slug(org, command.slug.as_str()).is_some() {
            return Err(Refusal::Taken(Field::Name));
        }
        if self.service(command.service).is_some() {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let HandOverUserKey {
            key,
            service,
            slug,
            name,
            description,
            role,
            ..
        } = command;
        Ok(Some(Event::UserKeyHandedOver(UserKeyHandedOver {
            org,
            user,
            key,
            id,
            service,
            slug,
            name,
            description,
            role,
            teams,
            scopes,
        })))
    }

    /// Whether a person is in this organization and in no other, not even switched off.
    pub fn is_only_in(&self, user: UserId, org: OrgId) -> bool {
        self.user(user)
            .is_some_and(|user| user.orgs.len() == 1 && user.orgs.contains(&org))
    }

    pub(crate) fn apply_member_disabled(&mut self, event: MemberDisabled, at: Timestamp) {
        self.org_mut(event.org).disabled.insert(event.user, at);
        self.end_sessions_if_shut_out(event.user);
    }

    pub(crate) fn apply_member_enabled(&mut self, event: MemberEnabled) {
        self.org_mut(event.org).disabled.remove(&event.user);
    }

    /// Who may no longer sign in is signed out for good: switching them on again revives no session.
    pub(crate) fn end_sessions_if_shut_out(&mut self, user: UserId) {
        if !self.may_sign_in(user) {
            self.end_sessions_of(user);
        }
    }

    pub(crate) fn apply_user_key_handed_over(
        &mut self,
        event: &UserKeyHandedOver,
        record: &Record,
    ) {
        self.take_user_key(event.key);
        self.lift_bars(event.id);
        let holder = Holder::Service {
            org: event.org,
            service: event.service,
        };
        self.api_key_mut(event.id)
            .hand_over(holder, event.scopes.clone());
        self.insert_service(Service {
            id: event.service,
            org: event.org,
            slug: event.slug.clone(),
            name: event.name.clone(),
            description: event.description.clone(),
            role: event.role,
            teams: event.teams.clone(),
            credential: event.id,
            created_at: record.at,
            created_by: record.origin.actor,
        });
    }
}
