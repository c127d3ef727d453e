//! The parts that events are made of, and their stored forms: [`Part`] those that stand in the record,
//! [`PersonalPart`] those whose commitment stands there.

use core::net::IpAddr;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use bincode::{Decode, Encode};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use keyledger_domain::api_key::{Activation, DisabledFor, NewApiKey};
use keyledger_domain::credits::{Grant, Refill};
use keyledger_domain::id::{
    ClientId, EntitlementId, InvitationId, KeyId, OrgId, PersonId, RequestId, RevocationId,
    ServiceId, SessionId, TeamId, UserId,
};
use keyledger_domain::key_use::NetworkTag;
use keyledger_domain::revocation::{HolderKind, Reach, RevocationFilter};
use keyledger_domain::scope::{Access, ScopeEntry};
use keyledger_domain::signing::{PublicKey, SigningKeyId};
use keyledger_domain::text::{Description, DisplayName, Email, Handle, Slug};
use keyledger_domain::user::Registration;
use keyledger_domain::user_key::KeyLabel;
use keyledger_domain::{
    Actor, ClientName, CredentialId, Digest, Environment, PasswordHash, Personal, RateLimit,
    RedirectUri, Resource, Role, Scope, Scopes, SealedSecret, Timestamp,
};

use crate::record::EncodeError;
use crate::record::form::{CommitmentBytes, Fault, Open, Seal, form};

/// Something that stands in a record as it is.
pub(crate) trait Part: Sized {
    /// How it is stored.
    type Form;

    /// Stores it.
    fn keep(&self) -> Self::Form;

    /// Reads it back. What the grammar of today refuses is damage: nothing else was ever stored.
    fn give(form: Self::Form) -> Result<Self, Fault>;
}

/// Something of which the record has a commitment only.
pub(crate) trait PersonalPart: Sized {
    /// How it is stored.
    type Form;

    /// Stores it.
    fn keep(&self, person: PersonId, seal: &mut dyn Seal) -> Result<Self::Form, EncodeError>;

    /// Reads it back.
    fn give(form: Self::Form, person: PersonId, open: &mut dyn Open) -> Result<Self, Fault>;
}

/// Whose personal values are meant.
pub(crate) trait Whose {
    /// The pseudonym under which the key is kept.
    fn person(&self) -> PersonId;
}

impl Whose for UserId {
    fn person(&self) -> PersonId {
        (*self).into()
    }
}

impl Whose for InvitationId {
    fn person(&self) -> PersonId {
        (*self).into()
    }
}

impl Whose for PersonId {
    fn person(&self) -> PersonId {
        *self
    }
}

impl Whose for Actor {
    fn person(&self) -> PersonId {
        Actor::person(*self)
    }
}

macro_rules! id_parts {
    ($($id:ty),+ $(,)?) => {
        $(impl Part for $id {
            type Form = [u8; 16];

            fn keep(&self) -> [u8; 16] {
                self.to_bytes()
            }

            fn give(form: [u8; 16]) -> Result<Self, Fault> {
                Ok(Self::from_bytes(form))
            }
        })+
    };
}

id_parts! {
    OrgId, UserId, TeamId, ServiceId, KeyId, EntitlementId, InvitationId, SessionId, RequestId,
    RevocationId, ClientId,
}

macro_rules! text_parts {
    ($($text:ty),+ $(,)?) => {
        $(impl Part for $text {
            type Form = String;

            fn keep(&self) -> String {
                self.as_str().to_owned()
            }

            fn give(form: String) -> Result<Self, Fault> {
                form.parse().map_err(|_| Fault::Malformed)
            }
        })+
    };
}

text_parts!(
    Slug,
    Handle,
    DisplayName,
    Description,
    Scope,
    RedirectUri,
    Resource,
    SigningKeyId
);

impl Part for CredentialId {
    type Form = [u8; 9];

    fn keep(&self) -> [u8; 9] {
        self.to_bytes()
    }

    fn give(form: [u8; 9]) -> Result<Self, Fault> {
        Self::from_bytes(form).ok_or(Fault::Malformed)
    }
}

impl Part for NetworkTag {
    type Form = [u8; 8];

    fn keep(&self) -> [u8; 8] {
        self.to_bytes()
    }

    fn give(form: [u8; 8]) -> Result<Self, Fault> {
        Ok(Self::from_bytes(form))
    }
}

impl Part for Timestamp {
    /// Microseconds since 1970, UTC.
    type Form = i64;

    fn keep(&self) -> i64 {
        self.micros()
    }

    fn give(form: i64) -> Result<Self, Fault> {
        Ok(Self::from_micros(form))
    }
}

impl<T: Part> Part for Option<T> {
    type Form = Option<T::Form>;

    fn keep(&self) -> Self::Form {
        self.as_ref().map(Part::keep)
    }

    fn give(form: Self::Form) -> Result<Self, Fault> {
        form.map(T::give).transpose()
    }
}

impl Part for Scopes {
    type Form = Vec<String>;

    fn keep(&self) -> Vec<String> {
        self.iter().map(Part::keep).collect()
    }

    fn give(form: Vec<String>) -> Result<Self, Fault> {
        form.into_iter().map(Scope::give).collect()
    }
}

macro_rules! plain_parts {
    ($($plain:ty),+ $(,)?) => {
        $(impl Part for $plain {
            type Form = $plain;

            fn keep(&self) -> $plain {
                *self
            }

            fn give(form: $plain) -> Result<Self, Fault> {
                Ok(form)
            }
        })+
    };
}

plain_parts!(bool, u32, u64);

impl Part for Vec<CredentialId> {
    type Form = Vec<[u8; 9]>;

    fn keep(&self) -> Self::Form {
        self.iter().map(Part::keep).collect()
    }

    fn give(form: Self::Form) -> Result<Self, Fault> {
        form.into_iter().map(CredentialId::give).collect()
    }
}

impl Part for Vec<InvitationId> {
    type Form = Vec<[u8; 16]>;

    fn keep(&self) -> Self::Form {
        self.iter().map(Part::keep).collect()
    }

    fn give(form: Self::Form) -> Result<Self, Fault> {
        Ok(form.into_iter().map(InvitationId::from_bytes).collect())
    }
}

impl Part for BTreeSet<TeamId> {
    type Form = Vec<[u8; 16]>;

    fn keep(&self) -> Self::Form {
        self.iter().map(Part::keep).collect()
    }

    fn give(form: Self::Form) -> Result<Self, Fault> {
        form.into_iter().map(TeamId::give).collect()
    }
}

form! {
    /// Who acted.
    #[derive(Clone, Copy, Encode, Decode)]
    enum ActorV1 {
        System,
        User([u8; 16]),
        Service([u8; 16]),
        Entitlement([u8; 16]),
        Client([u8; 16]),
    }
}

impl Part for Actor {
    type Form = ActorV1;

    fn keep(&self) -> ActorV1 {
        match self {
            Self::System => ActorV1::System,
            Self::User(id) => ActorV1::User(id.keep()),
            Self::Service(id) => ActorV1::Service(id.keep()),
            Self::Entitlement(id) => ActorV1::Entitlement(id.keep()),
            Self::Client(id) => ActorV1::Client(id.keep()),
        }
    }

    fn give(form: ActorV1) -> Result<Self, Fault> {
        Ok(form.into())
    }
}

impl From<ActorV1> for Actor {
    fn from(form: ActorV1) -> Self {
        match form {
            ActorV1::System => Self::System,
            ActorV1::User(id) => Self::User(UserId::from_bytes(id)),
            ActorV1::Service(id) => Self::Service(ServiceId::from_bytes(id)),
            ActorV1::Entitlement(id) => Self::Entitlement(EntitlementId::from_bytes(id)),
            ActorV1::Client(id) => Self::Client(ClientId::from_bytes(id)),
        }
    }
}

form! {
    /// A role in an organization.
    #[derive(Encode, Decode)]
    enum RoleV1 {
        Member,
        Manager,
        Owner,
    }
}

impl Part for Role {
    type Form = RoleV1;

    fn keep(&self) -> RoleV1 {
        match self {
            Self::Member => RoleV1::Member,
            Self::Manager => RoleV1::Manager,
            Self::Owner => RoleV1::Owner,
        }
    }

    fn give(form: RoleV1) -> Result<Self, Fault> {
        Ok(match form {
            RoleV1::Member => Self::Member,
            RoleV1::Manager => Self::Manager,
            RoleV1::Owner => Self::Owner,
        })
    }
}

form! {
    /// What is kept of a secret.
    struct DigestV1 {
        pub(crate) pepper_version: u32,
        pub(crate) tag: [u8; 32],
    }
}

impl Part for Digest {
    type Form = DigestV1;

    fn keep(&self) -> DigestV1 {
        DigestV1 {
            pepper_version: self.pepper_version,
            tag: self.tag,
        }
    }

    fn give(form: DigestV1) -> Result<Self, Fault> {
        Ok(Self {
            pepper_version: form.pepper_version,
            tag: form.tag,
        })
    }
}

impl Part for SealedSecret {
    type Form = Vec<u8>;

    fn keep(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn give(form: Vec<u8>) -> Result<Self, Fault> {
        Ok(Self::from_bytes(form))
    }
}

form! {
    /// The public half of a signing key, in the numbers of its JWK.
    #[derive(Encode, Decode)]
    enum PublicKeyV1 {
        P256([u8; 32], [u8; 32]),
        Ed25519([u8; 32]),
        Rsa(Vec<u8>, Vec<u8>),
    }
}

impl Part for PublicKey {
    type Form = PublicKeyV1;

    fn keep(&self) -> PublicKeyV1 {
        match self {
            Self::P256 { x, y } => PublicKeyV1::P256(*x, *y),
            Self::Ed25519 { x } => PublicKeyV1::Ed25519(*x),
            Self::Rsa { modulus, exponent } => {
                PublicKeyV1::Rsa(modulus.to_vec(), exponent.to_vec())
            }
        }
    }

    fn give(form: PublicKeyV1) -> Result<Self, Fault> {
        Ok(match form {
            PublicKeyV1::P256(x, y) => Self::P256 { x, y },
            PublicKeyV1::Ed25519(x) => Self::Ed25519 { x },
            PublicKeyV1::Rsa(modulus, exponent) => Self::Rsa {
                modulus: modulus.into(),
                exponent: exponent.into(),
            },
        })
    }
}

form! {
    /// A scope of an organization's own catalogue.
    struct ScopeEntryV1 {
        pub(crate) scope: String,
        pub(crate) description: String,
        pub(crate) changes_things: bool,
        pub(crate) minimum_role: RoleV1,
    }
}

impl Part for ScopeEntry {
    type Form = ScopeEntryV1;

    fn keep(&self) -> ScopeEntryV1 {
        ScopeEntryV1 {
            scope: self.scope.keep(),
            description: self.description.keep(),
            changes_things: match self.access {
                Access::Read => false,
                Access::Write => true,
            },
            minimum_role: self.minimum_role.keep(),
        }
    }

    fn give(form: ScopeEntryV1) -> Result<Self, Fault> {
        Ok(Self {
            scope: Part::give(form.scope)?,
            description: Part::give(form.description)?,
            access: if form.changes_things {
                Access::Write
            } else {
                Access::Read
            },
            minimum_role: Part::give(form.minimum_role)?,
        })
    }
}

form! {
    /// A network: its first address and the length of its prefix, in bits.
    #[derive(Encode, Decode)]
    enum NetV1 {
        V4([u8; 4], u8),
        V6([u8; 16], u8),
    }
}

impl Part for Arc<[IpNet]> {
    type Form = Vec<NetV1>;

    fn keep(&self) -> Vec<NetV1> {
        self.iter()
            .map(|net| match net {
                IpNet::V4(net) => NetV1::V4(net.addr().octets(), net.prefix_len()),
                IpNet::V6(net) => NetV1::V6(net.addr().octets(), net.prefix_len()),
            })
            .collect()
    }

    fn give(form: Vec<NetV1>) -> Result<Self, Fault> {
        form.into_iter()
            .map(|net| match net {
                NetV1::V4(octets, bits) => Ipv4Net::new(octets.into(), bits).map(IpNet::V4),
                NetV1::V6(octets, bits) => Ipv6Net::new(octets.into(), bits).map(IpNet::V6),
            })
            .collect::<Result<_, _>>()
            .map_err(|_| Fault::Malformed)
    }
}

form! {
    /// So many requests in so many seconds.
    struct RateLimitV1 {
        pub(crate) requests: u32,
        pub(crate) per_seconds: u32,
    }
}

impl Part for RateLimit {
    type Form = RateLimitV1;

    fn keep(&self) -> RateLimitV1 {
        RateLimitV1 {
            requests: self.requests().get(),
            per_seconds: self.per_seconds().get(),
        }
    }

    fn give(form: RateLimitV1) -> Result<Self, Fault> {
        Self::new(form.requests, form.per_seconds).map_err(|_| Fault::Malformed)
    }
}

form! {
    /// Uses that are granted, and come back by themselves where `refill` says how many and how
    /// often: up to so many, each so many seconds.
    struct GrantV1 {
        pub(crate) remaining: u64,
        pub(crate) refill: Option<(u64, u32)>,
    }
}

impl Part for Grant {
    type Form = GrantV1;

    fn keep(&self) -> GrantV1 {
        let refill = self.refill;
        GrantV1 {
            remaining: self.remaining,
            refill: refill.map(|refill| (refill.amount.get(), refill.per_seconds.get())),
        }
    }

    fn give(form: GrantV1) -> Result<Self, Fault> {
        let refill = form.refill.map(|(amount, per)| Refill::new(amount, per));
        refill
            .transpose()
            .and_then(|refill| Self::new(form.remaining, refill))
            .map_err(|_| Fault::Malformed)
    }
}

form! {
    /// A new credential, as long as there were no limits.
    struct NewApiKeyV1 {
        pub(crate) id: [u8; 9],
        pub(crate) is_test: bool,
        pub(crate) digest: DigestV1,
        pub(crate) scopes: Option<Vec<String>>,
        pub(crate) expires_at_micros: Option<i64>,
        pub(crate) allowed_cidrs: Vec<NetV1>,
    }
}

form! {
    /// A new credential that may have a limit.
    struct NewApiKeyV2 {
        pub(crate) id: [u8; 9],
        pub(crate) is_test: bool,
        pub(crate) digest: DigestV1,
        pub(crate) scopes: Option<Vec<String>>,
        pub(crate) expires_at_micros: Option<i64>,
        pub(crate) allowed_cidrs: Vec<NetV1>,
        pub(crate) rate_limit: Option<RateLimitV1>,
    }
}

impl From<NewApiKeyV1> for NewApiKeyV2 {
    /// There were no limits then.
    fn from(form: NewApiKeyV1) -> Self {
        let NewApiKeyV1 {
            id,
            is_test,
            digest,
            scopes,
            expires_at_micros,
            allowed_cidrs,
        } = form;
        Self {
            id,
            is_test,
            digest,
            scopes,
            expires_at_micros,
            allowed_cidrs,
            rate_limit: None,
        }
    }
}

/// Whether it is the one for tests.
impl Part for Environment {
    type Form = bool;

    fn keep(&self) -> bool {
        match self {
            Self::Live => false,
            Self::Test => true,
        }
    }

    fn give(is_test: bool) -> Result<Self, Fault> {
        Ok(if is_test { Self::Test } else { Self::Live })
    }
}

impl Part for NewApiKey {
    type Form = NewApiKeyV2;

    fn keep(&self) -> NewApiKeyV2 {
        NewApiKeyV2 {
            id: self.id.keep(),
            is_test: self.environment.keep(),
            digest: self.digest.keep(),
            scopes: self.scopes.keep(),
            expires_at_micros: self.expires_at.keep(),
            allowed_cidrs: self.allowed_cidrs.keep(),
            rate_limit: self.rate_limit.keep(),
        }
    }

    fn give(form: NewApiKeyV2) -> Result<Self, Fault> {
        Ok(Self {
            id: Part::give(form.id)?,
            environment: Part::give(form.is_test)?,
            digest: Part::give(form.digest)?,
            scopes: Part::give(form.scopes)?,
            expires_at: Part::give(form.expires_at_micros)?,
            allowed_cidrs: Part::give(form.allowed_cidrs)?,
            rate_limit: Part::give(form.rate_limit)?,
        })
    }
}

form! {
    /// When the old secret of a rotated key ends; the numbers are its grace in seconds.
    #[derive(Encode, Decode)]
    enum ActivationV1 {
        Now(u64),
        FirstUse(u64),
    }
}

impl Part for Activation {
    type Form = ActivationV1;

    fn keep(&self) -> ActivationV1 {
        match *self {
            Self::Now { grace_seconds } => ActivationV1::Now(grace_seconds),
            Self::FirstUse { grace_seconds } => ActivationV1::FirstUse(grace_seconds),
        }
    }

    fn give(form: ActivationV1) -> Result<Self, Fault> {
        Ok(match form {
            ActivationV1::Now(grace_seconds) => Self::Now { grace_seconds },
            ActivationV1::FirstUse(grace_seconds) => Self::FirstUse { grace_seconds },
        })
    }
}

form! {
    /// Why a key was switched off, where nobody asked for it.
    #[derive(Encode, Decode)]
    enum DisabledForV1 {
        Idle,
    }
}

impl Part for DisabledFor {
    type Form = DisabledForV1;

    fn keep(&self) -> DisabledForV1 {
        match self {
            Self::Idle => DisabledForV1::Idle,
        }
    }

    fn give(form: DisabledForV1) -> Result<Self, Fault> {
        Ok(match form {
            DisabledForV1::Idle => Self::Idle,
        })
    }
}

form! {
    /// What kind of holder keys have.
    #[derive(Encode, Decode)]
    enum HolderKindV1 {
        User,
        Service,
        Entitlement,
    }
}

impl Part for HolderKind {
    type Form = HolderKindV1;

    fn keep(&self) -> HolderKindV1 {
        match self {
            Self::User => HolderKindV1::User,
            Self::Service => HolderKindV1::Service,
            Self::Entitlement => HolderKindV1::Entitlement,
        }
    }

    fn give(form: HolderKindV1) -> Result<Self, Fault> {
        Ok(match form {
            HolderKindV1::User => Self::User,
            HolderKindV1::Service => Self::Service,
            HolderKindV1::Entitlement => Self::Entitlement,
        })
    }
}

form! {
    /// Which keys of an organization a revocation means.
    struct RevocationFilterV1 {
        pub(crate) all: bool,
        pub(crate) created_before_micros: Option<i64>,
        pub(crate) created_by: Option<ActorV1>,
        pub(crate) scope: Option<String>,
        pub(crate) owner: Option<ActorV1>,
        pub(crate) is_test: Option<bool>,
        pub(crate) kind: Option<HolderKindV1>,
        pub(crate) include_self: bool,
    }
}

impl Part for RevocationFilter {
    type Form = RevocationFilterV1;

    fn keep(&self) -> RevocationFilterV1 {
        RevocationFilterV1 {
            all: self.all,
            created_before_micros: self.created_before.keep(),
            created_by: self.created_by.keep(),
            scope: self.scope.keep(),
            owner: self.owner.keep(),
            is_test: self.environment.keep(),
            kind: self.kind.keep(),
            include_self: self.include_self,
        }
    }

    fn give(form: RevocationFilterV1) -> Result<Self, Fault> {
        Ok(Self {
            all: form.all,
            created_before: Part::give(form.created_before_micros)?,
            created_by: Part::give(form.created_by)?,
            scope: Part::give(form.scope)?,
            owner: Part::give(form.owner)?,
            environment: Part::give(form.is_test)?,
            kind: Part::give(form.kind)?,
            include_self: form.include_self,
        })
    }
}

form! {
    /// What decides besides the filter which keys a revocation means.
    struct ReachV1 {
        pub(crate) up_to: RoleV1,
        pub(crate) test_only: bool,
        pub(crate) except: Option<[u8; 9]>,
    }
}

impl Part for Reach {
    type Form = ReachV1;

    fn keep(&self) -> ReachV1 {
        ReachV1 {
            up_to: self.up_to.keep(),
            test_only: self.test_only,
            except: self.except.keep(),
        }
    }

    fn give(form: ReachV1) -> Result<Self, Fault> {
        Ok(Self {
            up_to: Part::give(form.up_to)?,
            test_only: form.test_only,
            except: Part::give(form.except)?,
        })
    }
}

form! {
    /// What a user's key is called.
    #[derive(Encode, Decode)]
    enum KeyLabelV1 {
        Handle(String),
        OwnToken,
    }
}

impl Part for KeyLabel {
    type Form = KeyLabelV1;

    fn keep(&self) -> KeyLabelV1 {
        match self {
            Self::Handle(handle) => KeyLabelV1::Handle(handle.keep()),
            Self::OwnToken => KeyLabelV1::OwnToken,
        }
    }

    fn give(form: KeyLabelV1) -> Result<Self, Fault> {
        Ok(match form {
            KeyLabelV1::Handle(handle) => Self::Handle(Part::give(handle)?),
            KeyLabelV1::OwnToken => Self::OwnToken,
        })
    }
}

/// A personal value as the bytes that are salted, committed to and sealed.
pub(crate) trait Value: Sized {
    /// Its bytes.
    fn to_value(&self) -> Cow<'_, [u8]>;

    /// The value of these bytes.
    fn from_value(bytes: &[u8]) -> Option<Self>;
}

macro_rules! text_values {
    ($($text:ty),+ $(,)?) => {
        $(impl Value for $text {
            fn to_value(&self) -> Cow<'_, [u8]> {
                self.as_str().as_bytes().into()
            }

            fn from_value(bytes: &[u8]) -> Option<Self> {
                str::from_utf8(bytes).ok()?.parse().ok()
            }
        })+
    };
}

text_values!(Email, DisplayName, Slug, ClientName);

impl Value for PasswordHash {
    fn to_value(&self) -> Cow<'_, [u8]> {
        self.as_phc().as_bytes().into()
    }

    fn from_value(bytes: &[u8]) -> Option<Self> {
        let phc = str::from_utf8(bytes).ok()?;
        Some(Self::from_phc(phc.to_owned()))
    }
}

impl Value for SealedSecret {
    fn to_value(&self) -> Cow<'_, [u8]> {
        self.as_bytes().into()
    }

    fn from_value(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_bytes(bytes.to_vec()))
    }
}

impl Value for IpAddr {
    fn to_value(&self) -> Cow<'_, [u8]> {
        match self {
            Self::V4(ip) => ip.octets().to_vec().into(),
            Self::V6(ip) => ip.octets().to_vec().into(),
        }
    }

    fn from_value(bytes: &[u8]) -> Option<Self> {
        let v4 = <[u8; 4]>::try_from(bytes).ok().map(Self::from);
        v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(Self::from))
    }
}

impl<T: Value> PersonalPart for Personal<T> {
    type Form = CommitmentBytes;

    fn keep(&self, person: PersonId, seal: &mut dyn Seal) -> Result<Self::Form, EncodeError> {
        let value = self.known().map(Value::to_value);
        seal.seal(person, value.as_deref())
    }

    fn give(form: Self::Form, person: PersonId, open: &mut dyn Open) -> Result<Self, Fault> {
        let Some(value) = open.open(person, &form)? else {
            return Ok(Self::Erased);
        };
        let value = T::from_value(&value).ok_or(Fault::Malformed)?;
        Ok(Self::Known(value))
    }
}

impl<T: PersonalPart> PersonalPart for Option<T> {
    type Form = Option<T::Form>;

    fn keep(&self, person: PersonId, seal: &mut dyn Seal) -> Result<Self::Form, EncodeError> {
        self.as_ref()
            .map(|part| part.keep(person, seal))
            .transpose()
    }

    fn give(form: Self::Form, person: PersonId, open: &mut dyn Open) -> Result<Self, Fault> {
        form.map(|form| T::give(form, person, open)).transpose()
    }
}

form! {
    /// Commitments to what makes an account.
    struct RegistrationV1 {
        pub(crate) email: CommitmentBytes,
        pub(crate) name: CommitmentBytes,
        pub(crate) slug: CommitmentBytes,
        pub(crate) password: CommitmentBytes,
    }
}

impl PersonalPart for Registration {
    type Form = RegistrationV1;

    fn keep(&self, person: PersonId, seal: &mut dyn Seal) -> Result<RegistrationV1, EncodeError> {
        Ok(RegistrationV1 {
            email: self.email.keep(person, seal)?,
            name: self.name.keep(person, seal)?,
            slug: self.slug.keep(person, seal)?,
            password: self.password.keep(person, seal)?,
        })
    }

    fn give(form: RegistrationV1, person: PersonId, open: &mut dyn Open) -> Result<Self, Fault> {
        Ok(Self {
            email: PersonalPart::give(form.email, person, open)?,
            name: PersonalPart::give(form.name, person, open)?,
            slug: PersonalPart::give(form.slug, person, open)?,
            password: PersonalPart::give(form.password, person, open)?,
        })
    }
}
