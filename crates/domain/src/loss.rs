//! Which event took away what somebody lacked when they were refused.
//!
//! The records are read backwards from the refusal, as far as somebody is willing to read; those
//! that bear on the question are kept and told forwards again, and the event that is looked for is
//! the last one after which it was no longer there. Where it never was there, that is the event
//! with which the key, the service or the membership began.

use core::net::IpAddr;
use core::ops::ControlFlow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use crate::access_token::NewAccessToken;
use crate::actor::Actor;
use crate::api_key::{Activation, ApiKeyRotated, Holder, NewApiKey, admits};
use crate::credential::{CredentialId, Environment};
use crate::event::{Event, Record};
use crate::id::{ClientId, EntitlementId, InvitationId, KeyId, OrgId, ServiceId, TeamId, UserId};
use crate::position::Position;
use crate::rate_limit::RateLimit;
use crate::role::Role;
use crate::scope::{Scope, Scopes};
use crate::time::Timestamp;

/// What somebody lacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// A key that is not revoked.
    Unrevoked,
    /// A key that was not revoked for an organization alone.
    Unbarred,
    /// A key that is switched on.
    Enabled,
    /// A person who is switched on.
    Active,
    /// A key that is good at this instant.
    Unexpired(Timestamp),
    /// A key that may be used from this address.
    Network(Option<IpAddr>),
    /// The secret of a key. If the one that was shown was good once, a rotation took it away.
    Secret,
    /// The password of an account. If the one that was shown was good once, a change took it away.
    Password,
    /// A key whose scopes name this one.
    Scope(Scope),
    /// A key that no scopes limit.
    NoScopes,
    /// A key that never ends.
    NoEnd,
    /// A key that no networks limit.
    NoNetworks,
    /// A key that may be used as often as its organization's default allows.
    NoRateLimit,
    /// A key that nothing of these limits.
    NoLimits,
    /// A key of the live environment.
    Live,
    /// To be a person.
    Person,
    /// A right, by role or through a team.
    Right {
        /// The right.
        right: Scope,
        /// The lowest role that has it.
        minimum_role: Role,
    },
    /// A role, or one above it.
    Role(Role),
}

impl Lack {
    /// The lowest role with which it is not lacking, where it is a matter of roles.
    const fn minimum_role(&self) -> Option<Role> {
        match self {
            Self::Right { minimum_role, .. } => Some(*minimum_role),
            Self::Role(role) => Some(*role),
            Self::Unrevoked
            | Self::Unbarred
            | Self::Enabled
            | Self::Active
            | Self::Unexpired(_)
            | Self::Network(_)
            | Self::Secret
            | Self::Password
            | Self::Scope(_)
            | Self::NoScopes
            | Self::NoEnd
            | Self::NoNetworks
            | Self::NoRateLimit
            | Self::NoLimits
            | Self::Live
            | Self::Person => None,
        }
    }
}

/// Who lacked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Who asked.
    pub actor: Actor,
    /// The key they asked with, if it was one, and who holds it.
    pub key: Option<(CredentialId, Holder)>,
    /// The organization in which they asked; `None` where any of theirs would have done.
    pub org: Option<OrgId>,
}

/// The event that took it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where it stands.
    pub position: Position,
    /// When it was.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The name of its type.
    pub event: &'static str,
}

/// What an event did to what was lacking.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Effect {
    /// From then on it was there, or it was not.
    Had(bool),
    /// It was taken away by this very event, whatever was before.
    Taken,
    /// The subject's role in an organization.
    Role(OrgId, Role),
    /// Who asked for it with this invitation came in.
    Accepted(OrgId, InvitationId),
    /// What an invitation is for.
    Invited(InvitationId, Role),
    /// The subject went out of an organization and of all its teams.
    Left(OrgId),
    /// Whether the subject is switched on in an organization.
    Active(OrgId, bool),
    /// Whether the key that was shown is barred from an organization.
    Barred(OrgId, bool),
    /// It is barred from none any more.
    BarsLifted,
    /// Whether a team grants the right.
    Grants(TeamId, bool),
    /// Whether the subject is in a team.
    Inside(OrgId, TeamId, bool),
    /// The subject is a service with this role, in these teams.
    Service(OrgId, Role, BTreeSet<TeamId>),
}

/// A search, from the newest record to the oldest.
#[derive(Debug)]
pub struct LossSearch {
    subject: Subject,
    lack: Lack,
    /// When the key was revoked or barred, as far as that is known otherwise.
    ended_at: Vec<Timestamp>,
    /// The newest first.
    steps: Vec<(Loss, Effect)>,
    /// Whether older records can matter no more.
    is_complete: bool,
}

impl LossSearch {
    /// Begins a search.
    pub const fn new(subject: Subject, lack: Lack) -> Self {
        Self {
            subject,
            lack,
            ended_at: Vec::new(),
            steps: Vec::new(),
            is_complete: false,
        }
    }

    /// The same for a key that was revoked or barred at these instants: a revocation of very many
    /// names none, and is known by its own.
    #[must_use]
    pub fn ended_at(self, ended_at: Vec<Timestamp>) -> Self {
        Self { ended_at, ..self }
    }

    /// Looks at the next older record. `Break` says that none before it matters.
    pub fn look(&mut self, record: &Record) -> ControlFlow<()> {
        let Some(effect) = self.effect(record) else {
            return ControlFlow::Continue(());
        };
        self.is_complete = self.ends_with(&record.event, &effect);
        let loss = Loss {
            position: record.position,
            at: record.at,
            actor: record.origin.actor,
            event: record.event.name(),
        };
        self.steps.push((loss, effect));
        if self.is_complete {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// The event that took it away, as far as the records went that were looked at.
    ///
    /// `reached_start` says that they went to the first of all. Without it, what an organization
    /// gave before is not known, and an event is told only if it took something itself.
    pub fn found(self, reached_start: bool) -> Option<Loss> {
        let knows_start = reached_start || self.is_complete;
        let mut state = State::new(&self.lack);
        let mut had = None;
        let mut found = None;
        for (loss, effect) in self.steps.into_iter().rev() {
            let is_taken = effect == Effect::Taken;
            let tells_all = matches!(
                effect,
                Effect::Had(_) | Effect::Role(..) | Effect::Service(..)
            );
            let Some(has) = state.apply(effect) else {
                continue;
            };
            let never_had = had.is_none() && (knows_start || tells_all);
            if has {
                found = None;
            } else if is_taken || never_had || had == Some(true) {
                found = Some(loss);
            }
            had = Some(has);
        }
        found
    }

    /// Whether nothing older than this event matters.
    fn ends_with(&self, event: &Event, effect: &Effect) -> bool {
        match effect {
            Effect::Had(true) | Effect::Taken => true,
            Effect::Had(false) => is_beginning(event),
            // With the membership it began, unless teams were seen, whose rights are older.
            Effect::Role(..) => {
                is_beginning(event) && self.subject.org.is_some() && !self.saw_teams()
            }
            Effect::Service(_, _, teams) => {
                is_beginning(event) && teams.is_empty() && !self.saw_teams()
            }
            Effect::Accepted(..)
            | Effect::Invited(..)
            | Effect::Left(_)
            | Effect::Active(..)
            | Effect::Barred(..)
            | Effect::BarsLifted
            | Effect::Grants(..)
            | Effect::Inside(..) => false,
        }
    }

    fn saw_teams(&self) -> bool {
        self.steps.iter().any(|(_, effect)| match effect {
            Effect::Inside(..) => true,
            Effect::Service(_, _, teams) => !teams.is_empty(),
            Effect::Had(_)
            | Effect::Taken
            | Effect::Role(..)
            | Effect::Accepted(..)
            | Effect::Invited(..)
            | Effect::Left(_)
            | Effect::Active(..)
            | Effect::Barred(..)
            | Effect::BarsLifted
            | Effect::Grants(..) => false,
        })
    }

    /// What an event did to what was lacking; `None` where it has nothing to do with it.
    ///
    /// Whoever adds an event says here what it takes away and what it gives.
    #[expect(clippy::too_many_lines, reason = "a list: what each event does")]
    fn effect(&self, record: &Record) -> Option<Effect> {
        match &record.event {
            Event::OrgCreated(e) => {
                self.came_in(e.org, e.owner, Role::Owner, e.registered.is_some())
            }
            Event::MemberAdded(e) => self.came_in(e.org, e.user, e.role, true),
            Event::MemberInvited(e) => self
                .asks_for_role(e.org)
                .then_some(Effect::Invited(e.invitation, e.role)),
            Event::InvitationAccepted(e) => {
                let made_account = self.lack == Lack::Password && e.registered.is_some();
                if made_account && self.is_user(e.user) {
                    return Some(Effect::Had(true));
                }
                let comes = self.asks_for_role(e.org) && self.is_user(e.user);
                comes.then_some(Effect::Accepted(e.org, e.invitation))
            }
            Event::MemberRoleChanged(e) => (self.asks_for_role(e.org) && self.is_user(e.user))
                .then_some(Effect::Role(e.org, e.role)),
            Event::MemberRemoved(e) => {
                (self.asks_for_role(e.org) && self.is_user(e.user)).then_some(Effect::Left(e.org))
            }
            Event::PasswordChanged(e) => {
                let password = self.lack == Lack::Password && self.is_user(e.user);
                password
                    .then_some(Effect::Taken)
                    .or_else(|| self.holder_gone(|holder| holder.is_for(e.user)))
            }
            // What apps had for them ended with both.
            Event::AllSessionsEnded(e) => self.holder_gone(|holder| holder.is_for(e.user)),
            Event::PersonErased(e) => self.person_gone(e.user),
            Event::TeamCreated(e) => self.team_grants(e.org, e.team, &e.scopes),
            Event::TeamChanged(e) => self.team_grants(e.org, e.team, &e.scopes),
            Event::TeamDeleted(e) => self.team_grants(e.org, e.team, &Scopes::default()),
            Event::TeamMemberAdded(e) => self.in_team(e.org, e.team, e.user, true),
            Event::TeamMemberRemoved(e) => self.in_team(e.org, e.team, e.user, false),
            Event::ServiceCreated(e) => self
                .service(e.service, e.role, &e.teams)
                .or_else(|| self.key_made(&e.api_key)),
            Event::ServiceChanged(e) => self.service(e.service, e.role, &e.teams),
            Event::ServiceDeleted(e) => self.holder_gone(|holder| holder.is_service(e.service)),
            Event::UserKeyCreated(e) => self.key_made(&e.api_key),
            Event::UserKeyRevoked(e) => self.holder_gone(|holder| holder.is_user_key(e.key)),
            Event::EntitlementCreated(e) => self.key_made(&e.api_key),
            Event::EntitlementRevoked(e) => {
                self.holder_gone(|holder| holder.is_entitlement(e.entitlement))
            }
            Event::ApiKeyRotated(e) => self.rotated(e, record.origin.credential),
            Event::ApiKeyActivated(e) => self.asks_for_secret(e.id).then_some(Effect::Taken),
            Event::ApiKeyDisabled(e) => self.switched(e.id, false),
            Event::ApiKeyEnabled(e) => self.switched(e.id, true),
            Event::ApiKeyRestricted(e) => {
                let limits = Limits {
                    environment: None,
                    scopes: e.scopes.as_ref(),
                    expires_at: e.expires_at,
                    allowed_cidrs: &e.allowed_cidrs,
                    rate_limit: e.rate_limit,
                };
                self.is_key(e.id).then(|| self.limited(&limits)).flatten()
            }
            Event::MemberDisabled(e) => self.person_switched(e.org, e.user, false),
            Event::MemberEnabled(e) => self.person_switched(e.org, e.user, true),
            Event::ApiKeysRevoked(e) => {
                let by_time = e.unnamed.is_some() && self.ended_at.contains(&record.at);
                let dead = by_time || self.is_among(&e.keys);
                self.revoked(e.org, dead, by_time || self.is_among(&e.barred), true)
            }
            Event::ApiKeysRevocationUndone(e) => self.revoked(
                e.org,
                self.is_among(&e.keys),
                self.is_among(&e.barred),
                false,
            ),
            Event::UserKeyHandedOver(e) => {
                self.service(e.service, e.role, &e.teams).or_else(|| {
                    self.is_key(e.id)
                        .then(|| self.narrowed(&e.scopes))
                        .flatten()
                })
            }
            Event::OrgPolicyChanged(_)
            | Event::ScopeAdded(_)
            | Event::ApiKeyFirstUsed(_)
            | Event::ApiKeyNetworkFirstSeen(_)
            | Event::InvitationRevoked(_)
            | Event::UserKeyRenamed(_)
            | Event::ApiKeyRotationUndone(_)
            | Event::ApiKeyRevealed(_)
            | Event::AuditLogRead(_)
            | Event::SessionStarted(_)
            | Event::SessionEnded(_)
            | Event::OrgLimitsChanged(_)
            | Event::EntitlementCreditsChanged(_)
            | Event::AuthorizationCodeIssued(_)
            | Event::ClientSecretRotated(_)
            | Event::SigningKeyCreated(_)
            | Event::SigningKeyRetired(_) => None,
            Event::ClientRegistered(e) => self.client(e.client, &e.settings.scopes),
            Event::ClientChanged(e) => self.client(e.client, &e.settings.scopes),
            Event::ClientDeleted(e) => self.holder_gone(|holder| holder.is_client(e.client)),
            Event::ClientDisabled(e) => self.client_switched(e.client, false),
            Event::ClientEnabled(e) => self.client_switched(e.client, true),
            Event::ClientTokenIssued(e) => self.token_made(&e.access_token),
            Event::AuthorizationCodeRedeemed(e) => self.token_made(&e.access_token),
            Event::TokensRefreshed(e) => self.token_made(&e.access_token),
            Event::TokenFamilyRevoked(e) => self.holder_gone(|holder| holder.is_family(e.family)),
            Event::AccessTokenRevoked(e) => {
                (self.lack == Lack::Unrevoked && self.is_key(e.id)).then_some(Effect::Taken)
            }
            // The person's own doing, whichever of their clients it was: what is told is that they
            // ended it.
            Event::ConsentRevoked(e) => self.holder_gone(|holder| holder.is_for(e.user)),
        }
    }

    /// What a client may do at all, after an event that said so.
    fn client(&self, id: ClientId, scopes: &Scopes) -> Option<Effect> {
        let Lack::Right { right, .. } = &self.lack else {
            return None;
        };
        (self.subject.actor == Actor::Client(id))
            .then(|| Effect::Had(scopes.contains(right.as_str())))
    }

    fn client_switched(&self, id: ClientId, on: bool) -> Option<Effect> {
        let held = self
            .subject
            .key
            .is_some_and(|(_, holder)| holder.is_client(id));
        (held && self.lack == Lack::Enabled).then_some(Effect::Had(on))
    }

    fn token_made(&self, new: &NewAccessToken) -> Option<Effect> {
        if !self.is_key(new.id) {
            return None;
        }
        match &self.lack {
            Lack::Unrevoked | Lack::Unbarred | Lack::Enabled | Lack::Secret => {
                Some(Effect::Had(true))
            }
            Lack::Unexpired(now) => Some(Effect::Had(now.is_before(Some(new.expires_at)))),
            Lack::Scope(scope) => Some(Effect::Had(new.scopes.contains(scope.as_str()))),
            Lack::NoScopes | Lack::NoEnd | Lack::NoLimits => Some(Effect::Had(false)),
            Lack::Person => {
                let person = matches!(self.subject.actor, Actor::User(_));
                (!person).then_some(Effect::Had(false))
            }
            Lack::Network(_)
            | Lack::Active
            | Lack::Password
            | Lack::NoNetworks
            | Lack::NoRateLimit
            | Lack::Live
            | Lack::Right { .. }
            | Lack::Role(_) => None,
        }
    }

    fn is_user(&self, user: UserId) -> bool {
        self.subject.actor == Actor::User(user)
    }

    fn is_key(&self, id: CredentialId) -> bool {
        self.subject.key.is_some_and(|(own, _)| own == id)
    }

    fn is_among(&self, keys: &[CredentialId]) -> bool {
        self.subject.key.is_some_and(|(own, _)| keys.contains(&own))
    }

    fn asks_for_secret(&self, id: CredentialId) -> bool {
        self.lack == Lack::Secret && self.is_key(id)
    }

    /// Whether it is a matter of what somebody is in this organization.
    fn asks_for_role(&self, org: OrgId) -> bool {
        let by_role = self.lack.minimum_role().is_some();
        by_role && self.subject.org.is_none_or(|asked| asked == org)
    }

    fn came_in(&self, org: OrgId, user: UserId, role: Role, is_new: bool) -> Option<Effect> {
        if !self.is_user(user) {
            return None;
        }
        if self.lack == Lack::Password {
            return is_new.then_some(Effect::Had(true));
        }
        self.asks_for_role(org).then_some(Effect::Role(org, role))
    }

    fn team_grants(&self, org: OrgId, team: TeamId, scopes: &Scopes) -> Option<Effect> {
        let Lack::Right { right, .. } = &self.lack else {
            return None;
        };
        self.asks_for_role(org)
            .then(|| Effect::Grants(team, scopes.contains(right.as_str())))
    }

    fn in_team(&self, org: OrgId, team: TeamId, user: UserId, inside: bool) -> Option<Effect> {
        let concerned = self.is_user(user) && self.asks_for_role(org);
        concerned.then_some(Effect::Inside(org, team, inside))
    }

    fn service(&self, id: ServiceId, role: Role, teams: &BTreeSet<TeamId>) -> Option<Effect> {
        let Some((_, Holder::Service { org, service })) = self.subject.key else {
            return None;
        };
        (service == id && self.asks_for_role(org))
            .then(|| Effect::Service(org, role, teams.clone()))
    }

    fn switched(&self, id: CredentialId, on: bool) -> Option<Effect> {
        (self.lack == Lack::Enabled && self.is_key(id)).then_some(Effect::Had(on))
    }

    /// What a rotation by this key, or by password or session, did.
    fn rotated(&self, event: &ApiKeyRotated, by: Option<CredentialId>) -> Option<Effect> {
        // One that waits for its first use has replaced nothing yet.
        let at_once = matches!(event.activation, Activation::Now { .. });
        if !at_once || !self.is_key(event.id) {
            return None;
        }
        if self.lack == Lack::Unrevoked {
            // A key that a revocation of many ended lives again with another secret.
            return Some(Effect::Had(true));
        }
        if self.lack == Lack::Secret {
            return Some(Effect::Taken);
        }
        if !event.renews(by) {
            return None;
        }
        if self.lack == Lack::Unbarred {
            return Some(Effect::Had(true));
        }
        let by_role = matches!(self.lack, Lack::Right { .. } | Lack::Role(_));
        by_role.then_some(Effect::BarsLifted)
    }

    /// What a revocation of many, or its undo, did to the key.
    fn revoked(&self, org: OrgId, dead: bool, barred: bool, is_end: bool) -> Option<Effect> {
        let effect = if is_end {
            Effect::Taken
        } else {
            Effect::Had(true)
        };
        if self.lack == Lack::Unrevoked {
            return dead.then_some(effect);
        }
        if self.lack == Lack::Unbarred {
            return barred.then_some(effect);
        }
        (barred && self.asks_for_role(org)).then_some(Effect::Barred(org, is_end))
    }

    /// A person is switched off altogether with the last of their organizations, so the newest
    /// event did it.
    fn person_switched(&self, org: OrgId, user: UserId, on: bool) -> Option<Effect> {
        if !self.is_user(user) {
            return None;
        }
        if self.lack == Lack::Active {
            return (!on).then_some(Effect::Taken);
        }
        self.asks_for_role(org).then_some(Effect::Active(org, on))
    }

    /// What a key has after an event that gave it these scopes and left its other limits alone.
    fn narrowed(&self, scopes: &Scopes) -> Option<Effect> {
        match &self.lack {
            Lack::Scope(scope) => Some(Effect::Had(scopes.contains(scope.as_str()))),
            Lack::NoScopes | Lack::NoLimits => Some(Effect::Had(false)),
            Lack::Unrevoked
            | Lack::Unbarred
            | Lack::Enabled
            | Lack::Active
            | Lack::Unexpired(_)
            | Lack::Network(_)
            | Lack::Secret
            | Lack::Password
            | Lack::NoEnd
            | Lack::NoNetworks
            | Lack::NoRateLimit
            | Lack::Live
            | Lack::Person
            | Lack::Right { .. }
            | Lack::Role(_) => None,
        }
    }

    /// Somebody was forgotten: their keys, their password and their place in every organization went.
    fn person_gone(&self, user: UserId) -> Option<Effect> {
        if self.is_user(user) && (self.lack == Lack::Password || self.lack == Lack::Active) {
            return Some(Effect::Taken);
        }
        if self.is_user(user) && self.lack.minimum_role().is_some() {
            return Some(Effect::Taken);
        }
        self.holder_gone(|holder| {
            holder.is_for(user)
                || matches!(holder, Holder::User { user: owner, .. } if owner == user)
        })
    }

    fn holder_gone(&self, is_it: impl Fn(Holder) -> bool) -> Option<Effect> {
        let held = self.subject.key.is_some_and(|(_, holder)| is_it(holder));
        (held && self.lack == Lack::Unrevoked).then_some(Effect::Had(false))
    }

    fn key_made(&self, new: &NewApiKey) -> Option<Effect> {
        if !self.is_key(new.id) {
            return None;
        }
        let limits = Limits {
            environment: Some(new.environment),
            scopes: new.scopes.as_ref(),
            expires_at: new.expires_at,
            allowed_cidrs: &new.allowed_cidrs,
            rate_limit: new.rate_limit,
        };
        self.limited(&limits).or(match &self.lack {
            Lack::Unrevoked | Lack::Unbarred | Lack::Enabled | Lack::Secret => {
                Some(Effect::Had(true))
            }
            // An entitlement token has no role, and is no person, from the first day on.
            Lack::Person | Lack::Right { .. } | Lack::Role(_) => {
                let person = matches!(self.subject.actor, Actor::User(_));
                (!person).then_some(Effect::Had(false))
            }
            Lack::Unexpired(_)
            | Lack::Network(_)
            | Lack::Active
            | Lack::Password
            | Lack::Scope(_)
            | Lack::NoScopes
            | Lack::NoEnd
            | Lack::NoNetworks
            | Lack::NoRateLimit
            | Lack::NoLimits
            | Lack::Live => None,
        })
    }

    /// Whether a key with these limits has it.
    fn limited(&self, limits: &Limits<'_>) -> Option<Effect> {
        let had = match &self.lack {
            Lack::Unexpired(now) => now.is_before(limits.expires_at),
            Lack::Network(source) => admits(limits.allowed_cidrs, *source),
            Lack::Scope(scope) => limits
                .scopes
                .is_none_or(|scopes| scopes.contains(scope.as_str())),
            Lack::NoScopes => limits.scopes.is_none(),
            Lack::NoEnd => limits.expires_at.is_none(),
            Lack::NoNetworks => limits.allowed_cidrs.is_empty(),
            Lack::NoRateLimit => limits.rate_limit.is_none(),
            Lack::NoLimits => {
                limits.scopes.is_none()
                    && limits.expires_at.is_none()
                    && limits.allowed_cidrs.is_empty()
                    && limits.rate_limit.is_none()
            }
            Lack::Live => limits.environment? == Environment::Live,
            Lack::Unrevoked
            | Lack::Unbarred
            | Lack::Enabled
            | Lack::Active
            | Lack::Secret
            | Lack::Password
            | Lack::Person
            | Lack::Right { .. }
            | Lack::Role(_) => return None,
        };
        Some(Effect::Had(had))
    }
}

/// What limits a key after an event.
struct Limits<'e> {
    /// Told by the event that made it; no other changes it.
    environment: Option<Environment>,
    scopes: Option<&'e Scopes>,
    expires_at: Option<Timestamp>,
    allowed_cidrs: &'e Arc<[IpNet]>,
    rate_limit: Option<RateLimit>,
}

/// Whether a key, a service, an account or a membership begins with this event.
fn is_beginning(event: &Event) -> bool {
    matches!(
        event,
        Event::OrgCreated(_)
            | Event::MemberAdded(_)
            | Event::ServiceCreated(_)
            | Event::UserKeyHandedOver(_)
            | Event::UserKeyCreated(_)
            | Event::EntitlementCreated(_)
            | Event::ClientRegistered(_)
            | Event::ClientTokenIssued(_)
            | Event::AuthorizationCodeRedeemed(_)
            | Event::TokensRefreshed(_)
    )
}

impl Holder {
    fn is_service(self, id: ServiceId) -> bool {
        matches!(self, Self::Service { service, .. } if service == id)
    }

    fn is_user_key(self, id: KeyId) -> bool {
        matches!(self, Self::User { key, .. } if key == id)
    }

    fn is_entitlement(self, id: EntitlementId) -> bool {
        matches!(self, Self::Entitlement { entitlement, .. } if entitlement == id)
    }

    fn is_client(self, id: ClientId) -> bool {
        matches!(self, Self::Client { client, .. } if client == id)
    }

    fn is_family(self, id: CredentialId) -> bool {
        matches!(self, Self::Delegate { family, .. } if family == id)
    }

    fn is_for(self, id: UserId) -> bool {
        matches!(self, Self::Delegate { user, .. } if user == id)
    }
}

/// What the records told so far, from the oldest on.
struct State<'l> {
    lack: &'l Lack,
    invited: BTreeMap<InvitationId, Role>,
    roles: BTreeMap<OrgId, Role>,
    grants: BTreeSet<TeamId>,
    inside: BTreeSet<(OrgId, TeamId)>,
    /// Where the subject is switched off.
    off: BTreeSet<OrgId>,
    /// Where the key that was shown is barred.
    barred: BTreeSet<OrgId>,
    /// Whether anything was told of the subject itself yet.
    known: bool,
}

impl<'l> State<'l> {
    const fn new(lack: &'l Lack) -> Self {
        Self {
            lack,
            invited: BTreeMap::new(),
            roles: BTreeMap::new(),
            grants: BTreeSet::new(),
            inside: BTreeSet::new(),
            off: BTreeSet::new(),
            barred: BTreeSet::new(),
            known: false,
        }
    }

    /// Takes in the next event; whether it was there afterwards, if that is known.
    fn apply(&mut self, effect: Effect) -> Option<bool> {
        match effect {
            Effect::Had(had) => return Some(had),
            Effect::Taken => return Some(false),
            Effect::Invited(invitation, role) => {
                self.invited.insert(invitation, role);
                return None;
            }
            Effect::Accepted(org, invitation) => {
                // An invitation out of reach: the lowest is what they have at least.
                let role = self.invited.get(&invitation).copied();
                self.roles.insert(org, role.unwrap_or(Role::Member));
                self.known = true;
            }
            Effect::Role(org, role) => {
                self.roles.insert(org, role);
                self.known = true;
            }
            Effect::Left(org) => {
                self.roles.remove(&org);
                self.inside.retain(|(of, _)| *of != org);
                self.off.remove(&org);
                self.known = true;
            }
            Effect::Active(org, true) => {
                self.off.remove(&org);
            }
            Effect::Active(org, false) => {
                self.off.insert(org);
                self.known = true;
            }
            Effect::Barred(org, true) => {
                self.barred.insert(org);
                self.known = true;
            }
            Effect::Barred(org, false) => {
                self.barred.remove(&org);
            }
            Effect::BarsLifted => self.barred.clear(),
            Effect::Grants(team, true) => {
                self.grants.insert(team);
            }
            Effect::Grants(team, false) => {
                self.grants.remove(&team);
            }
            Effect::Inside(org, team, true) => {
                self.inside.insert((org, team));
                self.known = true;
            }
            Effect::Inside(org, team, false) => {
                self.inside.remove(&(org, team));
                self.known = true;
            }
            Effect::Service(org, role, teams) => {
                self.roles.insert(org, role);
                self.inside = teams.into_iter().map(|team| (org, team)).collect();
                self.known = true;
            }
        }
        if !self.known {
            return None;
        }
        let minimum = self.lack.minimum_role()?;
        let is_open = |org| !self.off.contains(org) && !self.barred.contains(org);
        let by_role = self
            .roles
            .iter()
            .any(|(org, role)| *role >= minimum && is_open(org));
        let by_team = self
            .inside
            .iter()
            .any(|(org, team)| self.grants.contains(team) && is_open(org));
        Some(by_role || by_team)
    }
}
