//! How a person is forgotten: what is known of them goes, what they did stays, under an identifier
//! that says nothing.
//!
//! The record names nobody but by identifier. Once it is durable, the keys under which the personal
//! fields of these identifiers were sealed are destroyed, and every record of before reads them as
//! [`Personal::Erased`]. A replay therefore meets an erased person as erased from their first record on:
//! nothing that [`Directory::apply`] does may depend on a personal value.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::actor::{Actor, Authority};
use crate::api_key::{ApiKey, Holder};
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{InvitationId, OrgId, PersonId, UserId};
use crate::personal::Personal;
use crate::position::Position;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::scope::built_in;
use crate::text::Email;
use crate::user::User;

/// Forget a person for ever: their account, their keys, their sessions, and all that is known of
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasePerson {
    /// Who.
    pub user: UserId,
    /// Their slug or address, said once more, because nothing brings them back.
    pub confirm: String,
}

/// A person was forgotten. Their personal fields can be read in no record any more, of before or
/// after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonErased {
    /// Who it was.
    pub user: UserId,
    /// Every invitation that was ever sent to their address, which stood in it.
    pub invitations: Vec<InvitationId>,
}

impl PersonErased {
    /// Under which identifiers the ledger knew them.
    pub fn persons(&self) -> impl Iterator<Item = PersonId> {
        let invitations = self.invitations.iter().copied();
        core::iter::once(self.user.into()).chain(invitations.map(PersonId::from))
    }
}

impl User {
    /// Whether they were forgotten. What is left is the identifier that records name.
    pub const fn is_erased(&self) -> bool {
        self.erased_at.is_some()
    }

    /// Whether this is their slug or their address.
    fn is_named(&self, name: &str) -> bool {
        let is_slug = self.slug.known().is_some_and(|slug| slug.as_str() == name);
        let address = name.parse::<Email>().ok();
        is_slug || address.is_some_and(|address| self.email.known() == Some(&address))
    }
}

impl Directory {
    /// Everybody who was ever forgotten, by all identifiers that they had.
    pub fn erased(&self) -> impl Iterator<Item = PersonId> {
        self.erased.keys().copied()
    }

    /// Where the record of the last erasure stands. Nothing that was made of the records before it may
    /// be kept beyond it.
    pub fn last_erasure(&self) -> Option<Position> {
        self.erased.values().max().copied()
    }

    /// Whether a key was held by somebody who was forgotten.
    pub fn is_of_erased(&self, key: &ApiKey) -> bool {
        let holder = match key.issued.holder {
            Holder::User { user, .. } | Holder::Delegate { user, .. } => self.user(user),
            Holder::Service { .. } | Holder::Entitlement { .. } | Holder::Client { .. } => None,
        };
        holder.is_some_and(User::is_erased)
    }

    /// Whose the address and the client of a request are, asked before the event is applied.
    ///
    /// That is who acted, if it is a person. What the server or an app does on behalf of a person comes from
    /// where the person is, as far as anybody knows, and is forgotten with them.
    pub fn subject_of(&self, actor: Actor, event: &Event) -> PersonId {
        let of_key = |id| {
            let key = self.api_key(id).map(|key| key.issued.holder);
            match key {
                Some(Holder::User { user, .. } | Holder::Delegate { user, .. }) => user.into(),
                Some(
                    Holder::Service { .. } | Holder::Entitlement { .. } | Holder::Client { .. },
                )
                | None => PersonId::NOBODY,
            }
        };
        if let Actor::User(user) = actor {
            return user.into();
        }
        if let Event::ApiKeyFirstUsed(e) = event {
            of_key(e.id)
        } else if let Event::ApiKeyNetworkFirstSeen(e) = event {
            of_key(e.id)
        } else if let Event::AccessTokenRevoked(e) = event {
            of_key(e.id)
        } else if let Event::InvitationAccepted(e) = event {
            e.user.into()
        } else if let Event::OrgCreated(e) = event {
            e.owner.into()
        } else if let Event::AuthorizationCodeRedeemed(e) = event {
            e.user.into()
        } else if let Event::TokensRefreshed(e) = event {
            e.user.into()
        } else if let Event::TokenFamilyRevoked(e) = event {
            e.user.into()
        } else {
            PersonId::NOBODY
        }
    }

    /// The organizations that decide about a person: all that they are in, also switched off; of
    /// somebody who is in none, that of whoever runs this server.
    fn orgs_answering_for(&self, user: &User) -> BTreeSet<OrgId> {
        if user.orgs.is_empty() {
            self.operator_org().into_iter().collect()
        } else {
            user.orgs.clone()
        }
    }

    /// Oneself, by password or session; and whoever owns every organization that the person is in. A
    /// stolen key must not destroy its owner's account.
    fn check_may_erase(&self, authority: &Authority, user: &User) -> Result<(), Refusal> {
        if authority.actor == Actor::User(user.id) {
            return if authority.is_password_backed() {
                Ok(())
            } else {
                Err(Refusal::PasswordNeeded)
            };
        }
        let mut is_known = false;
        for org in self.orgs_answering_for(user) {
            if self.require_visible(authority, org).is_err() {
                continue;
            }
            is_known = true;
            self.require(authority, org, built_in::USERS_WRITE)?;
            self.require_role(authority, org, Role::Owner)?;
        }
        // Who shares no organization with them learns nothing of them.
        if is_known {
            Ok(())
        } else {
            Err(Refusal::Unknown(Noun::Member))
        }
    }

    /// Whether this authority may forget a person, apart from what stands in the way.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] to whoever shares no organization with them; what
    /// [`require`](Self::require) says, and [`Refusal::AboveOwnRole`], [`Refusal::RoleFromLimited`] or
    /// [`Refusal::PasswordNeeded`].
    pub fn require_may_erase(&self, authority: &Authority, user: UserId) -> Result<(), Refusal> {
        self.erasable(authority, user).map(|_| ())
    }

    fn erasable(&self, authority: &Authority, user: UserId) -> Result<&User, Refusal> {
        let user = self.user(user).filter(|user| !user.is_erased());
        let user = user.ok_or(Refusal::Unknown(Noun::Member))?;
        self.check_may_erase(authority, user)?;
        Ok(user)
    }

    pub(crate) fn decide_erase_person(
        &self,
        authority: &Authority,
        command: &ErasePerson,
    ) -> Result<Option<Event>, Refusal> {
        let user = self.erasable(authority, command.user)?;
        if !user.is_named(&command.confirm) {
            return Err(Refusal::invalid(Field::Confirm, Reason::NotTheirName));
        }
        let answering = self.orgs_answering_for(user);
        let is_own = authority.actor == Actor::User(user.id);
        if !is_own
            && answering
                .iter()
                .any(|org| self.require_visible(authority, *org).is_err())
        {
            return Err(Refusal::MemberElsewhere);
        }
        if answering
            .iter()
            .any(|org| self.known_org(*org).is_last_owner(user.id))
        {
            return Err(Refusal::LastOwner);
        }
        let invited = user.email.known().and_then(|email| self.invited.get(email));
        let invitations = invited.into_iter().flatten().copied().collect();
        Ok(Some(Event::PersonErased(PersonErased {
            user: user.id,
            invitations,
        })))
    }

    /// How often somebody was invited to this address, followed or taken back or not.
    pub(crate) fn times_invited(&self, email: &Email) -> usize {
        self.invited.get(email).map_or(0, BTreeSet::len)
    }

    /// Notes for whose address an invitation was, for as long as the server lives: the address stands
    /// in its record also after it was followed or taken back.
    pub(crate) fn note_invited(&mut self, email: &Personal<Email>, invitation: InvitationId) {
        if let Some(email) = email.known() {
            let invitations = self.invited.entry(email.clone()).or_default();
            invitations.insert(invitation);
        }
    }

    pub(crate) fn apply_person_erased(&mut self, event: &PersonErased, record: &Record) {
        let id = event.user;
        for org in core::mem::take(&mut self.user_mut(id).orgs) {
            self.take_member(org, id);
        }
        let user = self.user_mut(id);
        let own = user.own_token.into_iter();
        for key in own.chain(user.keys.values().copied()).collect::<Vec<_>>() {
            let key = self.take_user_key(key);
            self.revoke_api_key(key.credential, record.at);
        }
        self.end_sessions_of(id);
        self.end_families_of(id, record);
        self.consents.remove(&id);
        // In a replay they may still be open that had ended with a membership: whose address they are
        // for is not to be seen any more.
        let orgs: Vec<OrgId> = self.orgs.keys().copied().collect();
        for org in orgs {
            for invitation in &event.invitations {
                if self.known_org(org).invitations.contains_key(invitation) {
                    self.take_invitation(org, *invitation);
                }
            }
        }

        let user = self.user_mut(id);
        user.erased_at = Some(record.at);
        user.password = Personal::Erased;
        user.name = Personal::Erased;
        let email = core::mem::replace(&mut user.email, Personal::Erased);
        let slug = core::mem::replace(&mut user.slug, Personal::Erased);
        if let Some(email) = email.known() {
            self.emails.remove(email);
            self.invited.remove(email);
        }
        if let Some(slug) = slug.known() {
            self.user_slugs.remove(slug);
        }
        for person in event.persons() {
            self.erased.insert(person, record.position);
        }
    }
}
