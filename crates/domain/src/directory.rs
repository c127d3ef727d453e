//! The whole state, and the one fold that makes it out of the records.

use std::collections::{BTreeMap, BTreeSet};

use ahash::HashMap;
use serde::{Deserialize, Serialize};

use crate::access_token::Audience;
use crate::actor::Actor;
use crate::api_key::{ApiKey, Holder};
use crate::authorization_code::AuthorizationCode;
use crate::by_credential::ByCredential;
use crate::client::Client;
use crate::consent::Consent;
use crate::credential::CredentialId;
use crate::entitlement::Entitlement;
use crate::event::{Event, Record};
use crate::expiry::Expiring;
use crate::id::{
    ClientId, EntitlementId, InvitationId, KeyId, OrgId, PersonId, ServiceId, SessionId, UserId,
};
use crate::key_use::KeyUse;
use crate::org::Org;
use crate::position::Position;
use crate::service::Service;
use crate::session::Session;
use crate::signing::{SigningKey, SigningKeyId};
use crate::target::Target;
use crate::text::{Email, Slug};
use crate::time::Timestamp;
use crate::token_family::TokenFamily;
use crate::user::User;
use crate::user_key::UserKey;

/// Everything that is true after the record at [`Directory::position`].
///
/// It is folded twice: once ahead of the disk, for deciding, and once behind it, for reading.
/// Fields are open inside this crate only, so that each noun's file changes its own part and
/// nothing else changes anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    position: Position,
    at: Timestamp,
    pub(crate) orgs: HashMap<OrgId, Org>,
    pub(crate) org_slugs: HashMap<Slug, OrgId>,
    pub(crate) users: HashMap<UserId, User>,
    pub(crate) emails: HashMap<Email, UserId>,
    pub(crate) user_slugs: HashMap<Slug, UserId>,
    pub(crate) invitation_tokens: HashMap<CredentialId, (OrgId, InvitationId)>,
    pub(crate) services: HashMap<ServiceId, Service>,
    pub(crate) user_keys: HashMap<KeyId, UserKey>,
    pub(crate) entitlements: HashMap<EntitlementId, Entitlement>,
    /// Every key that ever was; the dead ones too, so that they are told from those that never were.
    pub(crate) api_keys: ByCredential<ApiKey>,
    pub(crate) sessions: HashMap<SessionId, Session>,
    /// Of every key that was ever used.
    pub(crate) key_uses: HashMap<CredentialId, KeyUse>,
    /// When a key was last switched on again, for the few that ever were.
    pub(crate) enabled_at: HashMap<CredentialId, Timestamp>,
    /// The keys that were revoked for some organizations alone, for which, and since when.
    pub(crate) barred: HashMap<CredentialId, BTreeMap<OrgId, Timestamp>>,
    pub(crate) clients: HashMap<ClientId, Client>,
    pub(crate) clients_of_orgs: HashMap<OrgId, BTreeSet<ClientId>>,
    /// Whose secret it is, of every secret that a client still has.
    pub(crate) client_secrets: HashMap<CredentialId, ClientId>,
    pub(crate) consents: HashMap<UserId, BTreeMap<ClientId, Consent>>,
    /// The codes that are open, and those that were redeemed a little while ago.
    pub(crate) codes: HashMap<CredentialId, AuthorizationCode>,
    pub(crate) families: HashMap<CredentialId, TokenFamily>,
    /// Where the record stands that ended all tokens of a person that were given before it.
    pub(crate) families_ended: HashMap<UserId, Position>,
    /// For which servers a token is, of those that are not for this one.
    pub(crate) audiences: HashMap<CredentialId, Audience>,
    /// What is to be taken out, and when at the earliest.
    pub(crate) expiring: BTreeSet<(Timestamp, Expiring)>,
    /// The first organization of all: of whoever runs this server.
    pub(crate) operator_org: Option<OrgId>,
    pub(crate) signing_keys: BTreeMap<SigningKeyId, SigningKey>,
    /// Every invitation that was ever sent to an address, as long as the address is known.
    pub(crate) invited: HashMap<Email, BTreeSet<InvitationId>>,
    /// Who was forgotten, and where the record of it stands.
    pub(crate) erased: BTreeMap<PersonId, Position>,
    /// When it was last noted that somebody read the audit log of an organization, for an hour.
    pub(crate) audit_reads: BTreeSet<(OrgId, Actor, Timestamp)>,
}

impl Directory {
    /// The position of the last record that was applied.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The time of the last record that was applied.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether nobody was ever here.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.orgs.is_empty()
    }

    /// An organization.
    pub fn org(&self, id: OrgId) -> Option<&Org> {
        self.orgs.get(&id)
    }

    /// All organizations, in no order.
    pub fn orgs(&self) -> impl Iterator<Item = &Org> {
        self.orgs.values()
    }

    /// An organization by its name in paths.
    pub fn org_by_slug(&self, slug: &str) -> Option<&Org> {
        self.org_slugs.get(slug).and_then(|id| self.orgs.get(id))
    }

    /// A person.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    /// A person by the canonical spelling of their address.
    pub fn user_by_email(&self, email: &str) -> Option<&User> {
        self.emails.get(email).and_then(|id| self.users.get(id))
    }

    /// A person by their slug.
    pub fn user_by_slug(&self, slug: &str) -> Option<&User> {
        self.user_slugs.get(slug).and_then(|id| self.users.get(id))
    }

    /// A living service.
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.services.get(&id)
    }

    /// A living key of a person.
    pub fn user_key(&self, id: KeyId) -> Option<&UserKey> {
        self.user_keys.get(&id)
    }

    /// A living entitlement token.
    pub fn entitlement(&self, id: EntitlementId) -> Option<&Entitlement> {
        self.entitlements.get(&id)
    }

    /// A key, living or dead, by its public id.
    pub fn api_key(&self, id: CredentialId) -> Option<&ApiKey> {
        self.api_keys.get(id)
    }

    /// How many keys and access tokens are in the state, living or dead.
    pub fn api_key_count(&self) -> usize {
        self.api_keys.len()
    }

    /// An open session.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// The open invitation that a token belongs to.
    pub fn invitation_by_token(&self, token: CredentialId) -> Option<(OrgId, InvitationId)> {
        self.invitation_tokens.get(&token).copied()
    }

    pub(crate) fn known_org(&self, id: OrgId) -> &Org {
        self.org(id).expect("the organization was found before")
    }

    pub(crate) fn known_user(&self, id: UserId) -> &User {
        self.user(id).expect("the user was found before")
    }

    pub(crate) fn org_mut(&mut self, id: OrgId) -> &mut Org {
        self.orgs
            .get_mut(&id)
            .expect("an event names an organization that exists")
    }

    pub(crate) fn user_mut(&mut self, id: UserId) -> &mut User {
        self.users
            .get_mut(&id)
            .expect("an event names a user that exists")
    }

    /// Whose auditors may read an event: asked before it is applied, and written in its record.
    pub fn organizations_of(&self, event: &Event) -> Vec<OrgId> {
        match event {
            Event::OrgCreated(e) => vec![e.org],
            Event::ScopeAdded(e) => vec![e.org],
            Event::MemberAdded(e) => vec![e.org],
            Event::MemberInvited(e) => vec![e.org],
            Event::InvitationAccepted(e) => vec![e.org],
            Event::InvitationRevoked(e) => vec![e.org],
            Event::MemberRoleChanged(e) => vec![e.org],
            Event::MemberRemoved(e) => vec![e.org],
            Event::TeamCreated(e) => vec![e.org],
            Event::TeamChanged(e) => vec![e.org],
            Event::TeamDeleted(e) => vec![e.org],
            Event::TeamMemberAdded(e) => vec![e.org],
            Event::TeamMemberRemoved(e) => vec![e.org],
            Event::ServiceCreated(e) => vec![e.org],
            Event::ServiceChanged(e) => self.orgs_of_actor(Actor::Service(e.service)),
            Event::ServiceDeleted(e) => self.orgs_of_actor(Actor::Service(e.service)),
            Event::EntitlementCreated(e) => vec![e.org],
            Event::EntitlementRevoked(e) => self.orgs_of_actor(Actor::Entitlement(e.entitlement)),
            Event::PasswordChanged(e) => self.orgs_of_actor(Actor::User(e.user)),
            Event::UserKeyCreated(e) => self.orgs_of_actor(Actor::User(e.user)),
            Event::UserKeyRenamed(e) => self.orgs_of_user_key(e.key),
            Event::UserKeyRevoked(e) => self.orgs_of_user_key(e.key),
            Event::ApiKeyRotated(e) => self.orgs_of_api_key(e.id),
            Event::ApiKeyRotationUndone(e) => self.orgs_of_api_key(e.id),
            Event::ApiKeyActivated(e) => self.orgs_of_api_key(e.id),
            Event::ApiKeyDisabled(e) => self.orgs_of_api_key(e.id),
            Event::ApiKeyEnabled(e) => self.orgs_of_api_key(e.id),
            Event::ApiKeyRestricted(e) => self.orgs_of_api_key(e.id),
            Event::ApiKeyRevealed(e) => self.orgs_of_api_key(e.id),
            Event::SessionStarted(e) => self.orgs_of_actor(Actor::User(e.user)),
            Event::SessionEnded(e) => self.orgs_of_actor(Actor::User(e.user)),
            Event::AllSessionsEnded(e) => self.orgs_of_actor(Actor::User(e.user)),
            Event::PersonErased(e) => self.orgs_of_erased(e.user),
            Event::AuditLogRead(e) => vec![e.org],
            Event::ApiKeyFirstUsed(e) => self.orgs_of_api_key(e.id),
            Event::ApiKeyNetworkFirstSeen(e) => self.orgs_of_api_key(e.id),
            Event::OrgLimitsChanged(e) => vec![e.org],
            Event::EntitlementCreditsChanged(e) => {
                self.orgs_of_actor(Actor::Entitlement(e.entitlement))
            }
            Event::OrgPolicyChanged(e) => vec![e.org],
            Event::ApiKeysRevoked(e) => vec![e.org],
            Event::ApiKeysRevocationUndone(e) => vec![e.org],
            Event::MemberDisabled(e) => vec![e.org],
            Event::MemberEnabled(e) => vec![e.org],
            Event::UserKeyHandedOver(e) => vec![e.org],
            Event::ClientRegistered(e) => vec![e.org],
            Event::ClientChanged(e) => vec![e.org],
            Event::ClientDeleted(e) => vec![e.org],
            Event::ClientDisabled(e) => vec![e.org],
            Event::ClientEnabled(e) => vec![e.org],
            Event::ClientSecretRotated(e) => vec![e.org],
            Event::AuthorizationCodeIssued(e) => vec![e.org],
            Event::AuthorizationCodeRedeemed(e) => vec![e.org],
            Event::ClientTokenIssued(e) => vec![e.org],
            Event::TokensRefreshed(e) => vec![e.org],
            Event::TokenFamilyRevoked(e) => vec![e.org],
            Event::AccessTokenRevoked(e) => vec![e.org],
            Event::ConsentRevoked(e) => {
                let org = self.client(e.client).map(|client| client.org);
                org.into_iter().collect()
            }
            Event::SigningKeyCreated(_) | Event::SigningKeyRetired(_) => {
                self.operator_org().into_iter().collect()
            }
        }
    }

    /// Of somebody who is in none, whoever runs the server is told.
    fn orgs_of_erased(&self, user: UserId) -> Vec<OrgId> {
        let orgs = self.orgs_of_actor(Actor::User(user));
        if orgs.is_empty() {
            self.operator_org().into_iter().collect()
        } else {
            orgs
        }
    }

    fn orgs_of_actor(&self, actor: Actor) -> Vec<OrgId> {
        self.member_orgs_of(actor).map(|org| org.id).collect()
    }

    fn orgs_of_user_key(&self, key: KeyId) -> Vec<OrgId> {
        self.user_key(key)
            .map(|key| self.orgs_of_actor(Actor::User(key.user)))
            .unwrap_or_default()
    }

    fn orgs_of_api_key(&self, id: CredentialId) -> Vec<OrgId> {
        let holder = self.api_key(id).map(|key| key.issued.holder);
        holder
            .map(|holder| self.orgs_of_actor(holder.actor()))
            .unwrap_or_default()
    }

    /// What an event is about, for those who look for it.
    pub fn target_of(&self, event: &Event) -> Target {
        let of_api_key = |id: CredentialId| match self.api_key(id).map(|key| key.issued.holder) {
            Some(Holder::User { key, .. }) => Target::Key(key),
            Some(Holder::Service { service, .. }) => Target::Service(service),
            Some(Holder::Entitlement { entitlement, .. }) => Target::Entitlement(entitlement),
            Some(Holder::Client { client, .. }) => Target::Client(client),
            Some(Holder::Delegate { .. }) | None => Target::Credential(id),
        };
        match event {
            Event::OrgCreated(e) => Target::Organization(e.org),
            Event::ScopeAdded(e) => Target::Organization(e.org),
            Event::PasswordChanged(e) => Target::User(e.user),
            Event::MemberAdded(e) => Target::User(e.user),
            Event::MemberInvited(e) => Target::Invitation(e.invitation),
            Event::InvitationAccepted(e) => Target::Invitation(e.invitation),
            Event::InvitationRevoked(e) => Target::Invitation(e.invitation),
            Event::MemberRoleChanged(e) => Target::User(e.user),
            Event::MemberRemoved(e) => Target::User(e.user),
            Event::TeamCreated(e) => Target::Team(e.team),
            Event::TeamChanged(e) => Target::Team(e.team),
            Event::TeamDeleted(e) => Target::Team(e.team),
            Event::TeamMemberAdded(e) => Target::Team(e.team),
            Event::TeamMemberRemoved(e) => Target::Team(e.team),
            Event::ServiceCreated(e) => Target::Service(e.service),
            Event::ServiceChanged(e) => Target::Service(e.service),
            Event::ServiceDeleted(e) => Target::Service(e.service),
            Event::UserKeyCreated(e) => Target::Key(e.key),
            Event::UserKeyRenamed(e) => Target::Key(e.key),
            Event::UserKeyRevoked(e) => Target::Key(e.key),
            Event::EntitlementCreated(e) => Target::Entitlement(e.entitlement),
            Event::EntitlementRevoked(e) => Target::Entitlement(e.entitlement),
            Event::ApiKeyRotated(e) => of_api_key(e.id),
            Event::ApiKeyRotationUndone(e) => of_api_key(e.id),
            Event::ApiKeyActivated(e) => of_api_key(e.id),
            Event::ApiKeyDisabled(e) => of_api_key(e.id),
            Event::ApiKeyEnabled(e) => of_api_key(e.id),
            Event::ApiKeyRestricted(e) => of_api_key(e.id),
            Event::ApiKeyRevealed(e) => of_api_key(e.id),
            Event::SessionStarted(e) => Target::Session(e.session),
            Event::SessionEnded(e) => Target::Session(e.session),
            Event::AllSessionsEnded(e) => Target::User(e.user),
            Event::PersonErased(e) => Target::User(e.user),
            Event::AuditLogRead(e) => Target::Organization(e.org),
            Event::ApiKeyFirstUsed(e) => of_api_key(e.id),
            Event::ApiKeyNetworkFirstSeen(e) => of_api_key(e.id),
            Event::OrgLimitsChanged(e) => Target::Organization(e.org),
            Event::EntitlementCreditsChanged(e) => Target::Entitlement(e.entitlement),
            Event::OrgPolicyChanged(e) => Target::Organization(e.org),
            Event::ApiKeysRevoked(e) => Target::Revocation(e.revocation),
            Event::ApiKeysRevocationUndone(e) => Target::Revocation(e.revocation),
            Event::MemberDisabled(e) => Target::User(e.user),
            Event::MemberEnabled(e) => Target::User(e.user),
            Event::UserKeyHandedOver(e) => Target::Service(e.service),
            Event::ClientRegistered(e) => Target::Client(e.client),
            Event::ClientChanged(e) => Target::Client(e.client),
            Event::ClientDeleted(e) => Target::Client(e.client),
            Event::ClientDisabled(e) => Target::Client(e.client),
            Event::ClientEnabled(e) => Target::Client(e.client),
            Event::ClientSecretRotated(e) => Target::Client(e.client),
            Event::AuthorizationCodeIssued(e) => Target::Client(e.client),
            Event::AuthorizationCodeRedeemed(e) => Target::Client(e.client),
            Event::ClientTokenIssued(e) => Target::Client(e.client),
            Event::TokensRefreshed(e) => Target::Client(e.client),
            Event::TokenFamilyRevoked(e) => Target::Client(e.client),
            Event::AccessTokenRevoked(e) => Target::Client(e.client),
            Event::ConsentRevoked(e) => Target::Client(e.client),
            Event::SigningKeyCreated(e) => Target::SigningKey(e.kid),
            Event::SigningKeyRetired(e) => Target::SigningKey(e.kid),
        }
    }

    /// Applies the next record. It cannot fail: what is recorded has happened.
    ///
    /// # Panics
    /// When a position is missing, or an event names what is not there. Either means that the
    /// ledger and this program disagree, and a server that guesses on is worse than one that stops.
    pub fn apply(&mut self, record: &Record) {
        assert_eq!(
            record.position,
            self.position.next(),
            "a position is missing in the ledger"
        );
        self.position = record.position;
        self.at = record.at;
        let at = record.at;
        match &record.event {
            Event::OrgCreated(e) => self.apply_org_created(e, record),
            Event::ScopeAdded(e) => self.apply_scope_added(e),
            Event::PasswordChanged(e) => self.apply_password_changed(e, record),
            Event::MemberAdded(e) => self.apply_member_added(e, at),
            Event::MemberInvited(e) => self.apply_member_invited(e, record.origin.actor),
            Event::InvitationAccepted(e) => self.apply_invitation_accepted(e, at),
            Event::InvitationRevoked(e) => self.apply_invitation_revoked(*e),
            Event::MemberRoleChanged(e) => self.apply_member_role_changed(*e),
            Event::MemberRemoved(e) => self.apply_member_removed(*e),
            Event::TeamCreated(e) => self.apply_team_created(e, at),
            Event::TeamChanged(e) => self.apply_team_changed(e),
            Event::TeamDeleted(e) => self.apply_team_deleted(*e),
            Event::TeamMemberAdded(e) => self.apply_team_member_added(*e),
            Event::TeamMemberRemoved(e) => self.apply_team_member_removed(*e),
            Event::ServiceCreated(e) => self.apply_service_created(e, record),
            Event::ServiceChanged(e) => self.apply_service_changed(e),
            Event::ServiceDeleted(e) => self.apply_service_deleted(*e, at),
            Event::UserKeyCreated(e) => self.apply_user_key_created(e, record),
            Event::UserKeyRenamed(e) => self.apply_user_key_renamed(e),
            Event::UserKeyRevoked(e) => self.apply_user_key_revoked(*e, at),
            Event::EntitlementCreated(e) => self.apply_entitlement_created(e, record),
            Event::EntitlementRevoked(e) => self.apply_entitlement_revoked(*e, at),
            Event::ApiKeyRotated(e) => self.apply_api_key_rotated(e, record),
            Event::ApiKeyRotationUndone(e) => self.apply_api_key_rotation_undone(*e),
            Event::ApiKeyActivated(e) => self.apply_api_key_activated(*e, at),
            Event::ApiKeyDisabled(e) => self.apply_api_key_disabled(*e, at),
            Event::ApiKeyEnabled(e) => self.apply_api_key_enabled(*e, at),
            Event::ApiKeyRestricted(e) => self.apply_api_key_restricted(e),
            // Reading a key changes nothing; that it was read is kept in the ledger only.
            Event::ApiKeyRevealed(_) => {}
            Event::SessionStarted(e) => self.apply_session_started(e, at),
            Event::SessionEnded(e) => self.apply_session_ended(*e),
            Event::AllSessionsEnded(e) => self.apply_all_sessions_ended(*e, record),
            Event::PersonErased(e) => self.apply_person_erased(e, record),
            Event::AuditLogRead(e) => self.apply_audit_log_read(*e, record),
            Event::ApiKeyFirstUsed(e) => self.apply_api_key_first_used(*e),
            Event::ApiKeyNetworkFirstSeen(e) => self.apply_api_key_network_first_seen(*e),
            Event::OrgLimitsChanged(e) => self.apply_org_limits_changed(*e),
            Event::EntitlementCreditsChanged(e) => {
                self.apply_entitlement_credits_changed(*e, record);
            }
            Event::OrgPolicyChanged(e) => self.apply_org_policy_changed(*e, at),
            Event::ApiKeysRevoked(e) => self.apply_api_keys_revoked(e, record),
            Event::ApiKeysRevocationUndone(e) => self.apply_api_keys_revocation_undone(e, at),
            Event::MemberDisabled(e) => self.apply_member_disabled(*e, at),
            Event::MemberEnabled(e) => self.apply_member_enabled(*e),
            Event::UserKeyHandedOver(e) => self.apply_user_key_handed_over(e, record),
            Event::ClientRegistered(e) => self.apply_client_registered(e, record),
            Event::ClientChanged(e) => self.apply_client_changed(e, record),
            Event::ClientDeleted(e) => self.apply_client_deleted(*e),
            Event::ClientDisabled(e) => self.apply_client_disabled(*e, at),
            Event::ClientEnabled(e) => self.apply_client_enabled(*e),
            Event::ClientSecretRotated(e) => self.apply_client_secret_rotated(*e, at),
            Event::AuthorizationCodeIssued(e) => self.apply_authorization_code_issued(e, record),
            Event::AuthorizationCodeRedeemed(e) => {
                self.apply_authorization_code_redeemed(e, record);
            }
            Event::ClientTokenIssued(e) => self.apply_client_token_issued(e, record),
            Event::TokensRefreshed(e) => self.apply_tokens_refreshed(e, record),
            Event::TokenFamilyRevoked(e) => self.apply_token_family_revoked(*e),
            Event::AccessTokenRevoked(e) => self.apply_access_token_revoked(*e, at),
            Event::ConsentRevoked(e) => self.apply_consent_revoked(*e),
            Event::SigningKeyCreated(e) => self.apply_signing_key_created(e, at),
            Event::SigningKeyRetired(e) => self.apply_signing_key_retired(*e),
        }
        // Only now: what was decided was decided while it was still there.
        self.expire(at);
    }
}
