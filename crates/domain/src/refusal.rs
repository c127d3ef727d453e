//! Why a command is refused: facts, in the order in which they are told.
//!
//! The order is the same everywhere and tested: the caller's own standing, then what they may not
//! even know of, then what they may not do, then what they said wrongly, then what stands in the
//! way. So a stranger learns nothing that they had no right to ask.

use core::fmt;

use thiserror::Error;

use crate::role::Role;
use crate::scope::Scope;
use crate::text::Slug;
use crate::time::Timestamp;

/// A noun of the API, for "no such …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// An organization.
    Organization,
    /// A person in an organization.
    Member,
    /// An invitation.
    Invitation,
    /// A team.
    Team,
    /// A service.
    Service,
    /// A user's key.
    Key,
    /// An entitlement token.
    Entitlement,
    /// A session.
    Session,
    /// A revocation of many keys.
    Revocation,
    /// An OAuth client.
    Client,
    /// What a person allowed a client to do.
    Consent,
    /// A key that signs tokens.
    SigningKey,
}

impl Noun {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Member => "member",
            Self::Invitation => "invitation",
            Self::Team => "team",
            Self::Service => "service",
            Self::Key => "key",
            Self::Entitlement => "entitlement",
            Self::Session => "session",
            Self::Revocation => "revocation",
            Self::Client => "client",
            Self::Consent => "consent",
            Self::SigningKey => "signing key",
        }
    }
}

/// A field of a request body, by its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `name`
    Name,
    /// `slug`
    Slug,
    /// `handle`
    Handle,
    /// `email`
    Email,
    /// `role`
    Role,
    /// `scopes`
    Scopes,
    /// `teams`
    Teams,
    /// `environment`
    Environment,
    /// `expires_at`
    ExpiresAt,
    /// `allowed_cidrs`
    AllowedCidrs,
    /// `grace_seconds`
    GraceSeconds,
    /// `filter`
    Filter,
    /// `max_life_seconds`
    MaxLifeSeconds,
    /// `idle_disable_seconds`
    IdleDisableSeconds,
    /// `grant_types`
    GrantTypes,
    /// `redirect_uris`
    RedirectUris,
    /// `resources`
    Resources,
    /// `pkce`
    Pkce,
    /// `refresh_rotation`
    RefreshRotation,
    /// `access_token_seconds`
    AccessTokenSeconds,
    /// `refresh_idle_seconds`
    RefreshIdleSeconds,
    /// `refresh_seconds`
    RefreshSeconds,
    /// `overlap_seconds`
    OverlapSeconds,
    /// `private_key_pem`
    PrivateKeyPem,
    /// `confirm`
    Confirm,
    /// An identifier, of a credential or of anything else; drawn by the server, so that a caller
    /// hardly ever sees this.
    CredentialId,
}

impl Field {
    /// Its name in bodies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Slug => "slug",
            Self::Handle => "handle",
            Self::Email => "email",
            Self::Role => "role",
            Self::Scopes => "scopes",
            Self::Teams => "teams",
            Self::Environment => "environment",
            Self::ExpiresAt => "expires_at",
            Self::AllowedCidrs => "allowed_cidrs",
            Self::GraceSeconds => "grace_seconds",
            Self::Filter => "filter",
            Self::MaxLifeSeconds => "max_life_seconds",
            Self::IdleDisableSeconds => "idle_disable_seconds",
            Self::GrantTypes => "grant_types",
            Self::RedirectUris => "redirect_uris",
            Self::Resources => "resources",
            Self::Pkce => "pkce",
            Self::RefreshRotation => "refresh_rotation",
            Self::AccessTokenSeconds => "access_token_seconds",
            Self::RefreshIdleSeconds => "refresh_idle_seconds",
            Self::RefreshSeconds => "refresh_seconds",
            Self::OverlapSeconds => "overlap_seconds",
            Self::PrivateKeyPem => "private_key_pem",
            Self::Confirm => "confirm",
            Self::CredentialId => "id",
        }
    }
}

/// What is wrong with a field. The sentence names the remedy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Reason {
    /// The catalogue has no such scope.
    #[error(
        "{0} is not in the scope catalogue; GET /v1/scopes lists what is, and POST /v1/scopes adds to it"
    )]
    UnknownScope(Scope),
    /// An entitlement token only reads.
    #[error("{0} changes things; an entitlement token takes only scopes whose access is read")]
    NotReadOnly(Scope),
    /// Without scopes an entitlement token could do nothing.
    #[error("must name at least one scope")]
    NoScope,
    /// The organization has no such team.
    #[error("there is no team {0} in this organization")]
    UnknownTeam(Slug),
    /// The instant is not in the future.
    #[error("must be in the future")]
    InThePast,
    /// More than is allowed.
    #[error("may be at most {0}")]
    AtMost(u64),
    /// Less than is allowed.
    #[error("must be at least {0}")]
    AtLeast(u64),
    /// An empty filter would mean all keys.
    #[error("must say which keys are meant; for all of them say \"all\": true")]
    MeansAll,
    /// More keys than one record names.
    #[error(
        "means {0} keys, and with a scope one revocation ends at most {max}; leave the scope out, or narrow it by \
         owner or created_before",
        max = crate::revocation::NAMED_MAX
    )]
    TooManyKeys(usize),
    /// An organization wants every key to end.
    #[error("is required by the policy of the organization: name when the key ends")]
    PolicyNeedsEnd,
    /// An organization wants its keys to end sooner.
    #[error("may be {0} at the latest by the policy of the organization")]
    PolicyEnd(Timestamp),
    /// A service is never an owner.
    #[error("a service may be member or manager")]
    ServiceAsOwner,
    /// A client that may ask in no way.
    #[error("must name at least one of authorization_code, client_credentials, refresh_token")]
    NoGrantType,
    /// Only a client with a secret may have this.
    #[error("{0} is for confidential clients, which have a secret")]
    NeedsSecret(&'static str),
    /// A refresh token comes with a code and with nothing else.
    #[error("refresh_token goes with authorization_code; name both")]
    RefreshWithoutCode,
    /// A code must be sent somewhere.
    #[error("must name at least one address, because authorization_code sends people back to it")]
    NoRedirectUri,
    /// No token of OAuth gives this.
    #[error("{0} can be given to a key, not to an OAuth client")]
    NotForOauth(Scope),
    /// What cannot be undone is asked for twice.
    #[error("must be the slug or the email address of the person")]
    NotTheirName,
    /// Anybody could redeem a public client's code.
    #[error("is always required of a public client")]
    PublicNeedsPkce,
}

/// Why a command is refused. Each is the caller's to mend; what is ours to mend is no refusal.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The credential or session ended between its check and the decision. (401)
    #[error("the credential is no longer good")]
    CredentialEnded,
    /// There is none, or none that the caller may know of. (404)
    #[error("there is no such {}", .0.as_str())]
    Unknown(Noun),
    /// The credential's scopes do not name it. (403; RFC 6750 §3.1 `insufficient_scope`)
    #[error("this needs the scope {0}, which the credential does not have")]
    InsufficientScope(&'static str),
    /// The caller's role and teams do not grant it. (403)
    #[error("this needs the right {right}, which the role {minimum_role} has")]
    RoleTooLow {
        /// The right.
        right: &'static str,
        /// The lowest role that has it.
        minimum_role: Role,
    },
    /// Nobody gives more than they hold. (403)
    #[error("the scope {0} is more than you hold yourself")]
    BeyondOwnRights(Scope),
    /// A credential with scopes makes none without. (403)
    #[error("a credential with scopes can only give scopes out of its own; name them")]
    UnlimitedFromLimited,
    /// No key outlives the one that makes it. (403)
    #[error("it would live longer than the credential that makes it")]
    BeyondOwnLifetime,
    /// No key is good where the one that makes it is not. (403)
    #[error(
        "it could be used from networks that the credential that makes it may not be used from"
    )]
    BeyondOwnNetworks,
    /// No key may be used more often than the one that makes it. (403)
    #[error(
        "it could be used more often than the credential that makes it; give it a rate_limit within the \
         credential's own"
    )]
    BeyondOwnRateLimit,
    /// No person's key works where the one that makes it, or takes it over, was revoked. (403)
    #[error(
        "it would work in an organization in which the credential that asks was revoked; use the password"
    )]
    BeyondOwnOrganizations,
    /// A test credential changes nothing live. (403)
    #[error("a test credential can make and change only what is in the test environment")]
    LiveFromTest,
    /// Nobody gives or touches a role above their own. (403)
    #[error("this needs the role {0}")]
    AboveOwnRole(Role),
    /// A credential that is limited by scopes, time, networks or a rotation could otherwise make
    /// itself an account that is not. (403)
    #[error(
        "a credential that is limited gives no role above member; use one without limits, or the password"
    )]
    RoleFromLimited,
    /// Only a person has this. (403)
    #[error("only a user can do this")]
    UsersOnly,
    /// Only the password or a session opens this. (403)
    #[error("this needs the account's password or a session; a key cannot do it")]
    PasswordNeeded,
    /// A field says something that cannot be. (422)
    #[error("{} {reason}", field.as_str())]
    Invalid {
        /// The field.
        field: Field,
        /// What is wrong with it.
        reason: Reason,
    },
    /// Another has this name already. (409)
    #[error("this {} is taken", .0.as_str())]
    Taken(Field),
    /// Whatever a person does is recorded in each of their organizations, so these are bounded. (409)
    #[error("a person is in at most {max} organizations; leave one first", max = crate::org::ORGS_OF_PERSON_MAX)]
    TooManyOrganizations,
    /// An erasure names all invitations to an address, so these are bounded. (409)
    #[error("this address was invited {max} times, which is as often as it can be", max = crate::member::INVITATIONS_OF_ADDRESS_MAX)]
    TooManyInvitations,
    /// The person is in the organization already. (409)
    #[error("this user is a member already")]
    AlreadyMember,
    /// The address has an account, whose password is not the caller's to choose. (409)
    #[error("this address has an account already; leave out the password to invite it")]
    AlreadyRegistered,
    /// An organization never loses its last owner. (409)
    #[error("an organization keeps at least one owner; make another one first")]
    LastOwner,
    /// The first owner is there. (409)
    #[error("this server is set up already")]
    AlreadySetUp,
    /// The old secret still has its grace, or the new one waits for its first use. (409)
    #[error(
        "a rotation is under way; wait for its end, undo it while the new secret waits for its first use, or rotate at once with grace_seconds 0"
    )]
    RotationUnderWay,
    /// Somebody else rotated the key between the reading and the deciding. (409)
    #[error("the key was rotated meanwhile; read it and try again")]
    RotatedMeanwhile,
    /// Only the keys of somebody who was switched off are handed over. (409)
    #[error("this member is not disabled; disable them first")]
    MemberNotDisabled,
    /// The key's owner is active in other organizations too. (409)
    #[error("the owner of this key is active in other organizations too, where it goes on working")]
    KeyWorksElsewhere,
    /// The filter comes to other keys than the caller was told. (409)
    #[error("the filter means {0} keys by now; look again before you revoke them")]
    OtherCount(usize),
    /// The hour in which a revocation can be taken back is over. (409)
    #[error("a revocation can be undone within an hour; this one is older")]
    TooLateToUndo,
    /// A public client cannot keep a secret, and has none. (409)
    #[error("a public client has no secret")]
    PublicClient,
    /// Only a client that showed who it is asks for tokens. (403)
    #[error("only an OAuth client can do this")]
    ClientsOnly,
    /// The client was not registered for this grant. (403; RFC 6749 §5.2 `unauthorized_client`)
    #[error("the client is not registered for this grant type")]
    GrantTypeNotAllowed,
    /// The client was not registered for this scope. (403; RFC 6749 §5.2 `invalid_scope`)
    #[error("the scope {0} cannot be had here")]
    ScopeNotAllowed(Scope),
    /// The client was not registered for this resource. (403; RFC 8707 §2 `invalid_target`)
    #[error("the resource cannot be had here")]
    ResourceNotAllowed,
    /// The client was not registered for this address. (403)
    #[error("the address is none of the client's redirect_uris")]
    RedirectUriNotAllowed,
    /// The code or refresh token is no good, or none of the client's, or what was shown with it is
    /// wrong. Which, nobody is told. (403; RFC 6749 §5.2 `invalid_grant`)
    #[error("the code or token is not good, or not this client's")]
    InvalidGrant,
    /// Organizations that the caller is not in answer for this person too. (409)
    #[error(
        "the person is in other organizations too; they can erase themselves, or leave those first"
    )]
    MemberElsewhere,
    /// No new secret waits for its first use. (409)
    #[error("there is no rotation that could be undone")]
    NoRotationToUndo,
    /// Everybody who checks tokens reads all keys that are published. (409)
    #[error(
        "{max} keys of this algorithm are published already; wait for the end of one, or retire it",
        max = crate::signing::PUBLISHED_MAX
    )]
    TooManySigningKeys,
}

impl Refusal {
    pub(crate) const fn invalid(field: Field, reason: Reason) -> Self {
        Self::Invalid { field, reason }
    }
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
