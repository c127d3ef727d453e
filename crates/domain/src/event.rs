//! Everything that can have happened, and the record that tells it.
//!
//! One command leads to one event at the most, one event is one record, one record has one
//! position: so a crash can cut only between commands, and a position names one fact.

use serde::Serialize;

use crate::access_token::{AccessTokenRevoked, ClientTokenIssued};
use crate::actor::Origin;
use crate::api_key::{
    ApiKeyActivated, ApiKeyDisabled, ApiKeyEnabled, ApiKeyRestricted, ApiKeyRevealed,
    ApiKeyRotated, ApiKeyRotationUndone,
};
use crate::audit_read::AuditLogRead;
use crate::authorization_code::{AuthorizationCodeIssued, AuthorizationCodeRedeemed};
use crate::client::{
    ClientChanged, ClientDeleted, ClientDisabled, ClientEnabled, ClientRegistered,
    ClientSecretRotated,
};
use crate::consent::ConsentRevoked;
use crate::credits::EntitlementCreditsChanged;
use crate::entitlement::{EntitlementCreated, EntitlementRevoked};
use crate::erasure::PersonErased;
use crate::id::OrgId;
use crate::key_use::{ApiKeyFirstUsed, ApiKeyNetworkFirstSeen};
use crate::member::{
    InvitationAccepted, InvitationRevoked, MemberAdded, MemberInvited, MemberRemoved,
    MemberRoleChanged,
};
use crate::offboarding::{MemberDisabled, MemberEnabled, UserKeyHandedOver};
use crate::org::{OrgCreated, ScopeAdded};
use crate::policy::OrgPolicyChanged;
use crate::position::Position;
use crate::rate_limit::OrgLimitsChanged;
use crate::revocation::{ApiKeysRevocationUndone, ApiKeysRevoked};
use crate::service::{ServiceChanged, ServiceCreated, ServiceDeleted};
use crate::session::{AllSessionsEnded, SessionEnded, SessionStarted};
use crate::signing::{SigningKeyCreated, SigningKeyRetired};
use crate::team::{TeamChanged, TeamCreated, TeamDeleted, TeamMemberAdded, TeamMemberRemoved};
use crate::time::Timestamp;
use crate::token_family::{TokenFamilyRevoked, TokensRefreshed};
use crate::user::PasswordChanged;
use crate::user_key::{UserKeyCreated, UserKeyRenamed, UserKeyRevoked};

/// One event with where it stands, when it was and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands: one after the record before it.
    pub position: Position,
    /// When the server decided it, by its wall clock, but never before the record in front of it.
    /// Information only: order comes from the position.
    pub at: Timestamp,
    /// How far the wall clock stood behind the record in front, in microseconds; 0 is the rule.
    /// So a clock that was set back is seen in the log and revives nothing.
    pub clock_behind_micros: u64,
    /// Who did it, with what, from where.
    pub origin: Origin,
    /// Whose auditors may read it: its organization, or all of which the person concerned was a
    /// member at that moment.
    pub organizations: Vec<OrgId>,
    /// What happened.
    pub event: Event,
}

/// Declares [`Event`] and the name of each variant.
macro_rules! events {
    ($($variant:ident),+ $(,)?) => {
        /// What happened. The variants are the table of contents of the domain.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $(#[doc = concat!("See [`", stringify!($variant), "`].")] $variant($variant)),+
        }

        impl Event {
            /// The name of its type, as `GET /v1/events` tells it.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant)),+
                }
            }

            /// The names of all types.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),+];
        }
    };
}

events! {
    OrgCreated,
    ScopeAdded,
    PasswordChanged,
    MemberAdded,
    MemberInvited,
    InvitationAccepted,
    InvitationRevoked,
    MemberRoleChanged,
    MemberRemoved,
    TeamCreated,
    TeamChanged,
    TeamDeleted,
    TeamMemberAdded,
    TeamMemberRemoved,
    ServiceCreated,
    ServiceChanged,
    ServiceDeleted,
    UserKeyCreated,
    UserKeyRenamed,
    UserKeyRevoked,
    EntitlementCreated,
    EntitlementRevoked,
    ApiKeyRotated,
    ApiKeyRotationUndone,
    ApiKeyActivated,
    ApiKeyDisabled,
    ApiKeyEnabled,
    ApiKeyRestricted,
    ApiKeyRevealed,
    SessionStarted,
    SessionEnded,
    ApiKeyFirstUsed,
    ApiKeyNetworkFirstSeen,
    OrgLimitsChanged,
    EntitlementCreditsChanged,
    OrgPolicyChanged,
    ApiKeysRevoked,
    ApiKeysRevocationUndone,
    MemberDisabled,
    MemberEnabled,
    UserKeyHandedOver,
    ClientRegistered,
    ClientChanged,
    ClientDeleted,
    ClientDisabled,
    ClientEnabled,
    ClientSecretRotated,
    AuthorizationCodeIssued,
    AuthorizationCodeRedeemed,
    ClientTokenIssued,
    TokensRefreshed,
    TokenFamilyRevoked,
    AccessTokenRevoked,
    ConsentRevoked,
    SigningKeyCreated,
    SigningKeyRetired,
    AllSessionsEnded,
    PersonErased,
    AuditLogRead,
}
