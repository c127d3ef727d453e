//! What an event is about.

use core::fmt;

use crate::credential::CredentialId;
use crate::id::{
    ClientId, EntitlementId, InvitationId, KeyId, OrgId, RevocationId, ServiceId, SessionId,
    TeamId, UserId,
};
use crate::signing::SigningKeyId;

/// The thing an event is about, written `noun:id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An organization.
    Organization(OrgId),
    /// A person.
    User(UserId),
    /// An invitation.
    Invitation(InvitationId),
    /// A team.
    Team(TeamId),
    /// A service.
    Service(ServiceId),
    /// A user's key.
    Key(KeyId),
    /// An entitlement token.
    Entitlement(EntitlementId),
    /// A browser session.
    Session(SessionId),
    /// A revocation of many keys.
    Revocation(RevocationId),
    /// An OAuth client.
    Client(ClientId),
    /// A key that signs tokens.
    SigningKey(SigningKeyId),
    /// A credential whose holder is not known.
    Credential(CredentialId),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(id) => write!(f, "organization:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Invitation(id) => write!(f, "invitation:{id}"),
            Self::Team(id) => write!(f, "team:{id}"),
            Self::Service(id) => write!(f, "service:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Entitlement(id) => write!(f, "entitlement:{id}"),
            Self::Session(id) => write!(f, "session:{id}"),
            Self::Revocation(id) => write!(f, "revocation:{id}"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::SigningKey(kid) => write!(f, "signing_key:{kid}"),
            Self::Credential(id) => write!(f, "credential:{id}"),
        }
    }
}
