//! Stored events of users' keys, and of what happens to any key.

use keyledger_domain::Actor;
use keyledger_domain::api_key::{
    ApiKeyActivated, ApiKeyDisabled, ApiKeyEnabled, ApiKeyRestricted, ApiKeyRevealed,
    ApiKeyRotated, ApiKeyRotationUndone,
};
use keyledger_domain::key_use::{ApiKeyFirstUsed, ApiKeyNetworkFirstSeen};
use keyledger_domain::revocation::{ApiKeysRevocationUndone, ApiKeysRevoked};
use keyledger_domain::user_key::{UserKeyCreated, UserKeyRenamed, UserKeyRevoked};

use crate::record::form::{CommitmentBytes, Fault, Open, Revision, event, form};
use crate::record::part::{
    ActivationV1, DigestV1, DisabledForV1, KeyLabelV1, NetV1, NewApiKeyV1, NewApiKeyV2,
    RateLimitV1, ReachV1, RevocationFilterV1,
};

event! {
    UserKeyCreated as UserKeyCreatedV2 {
        user: [u8; 16],
        key: [u8; 16],
        label: KeyLabelV1,
        alias: Option<String>,
        api_key: NewApiKeyV2,
    }
    personal of user {
        sealed: Option<CommitmentBytes>,
    }
}

form! {
    struct UserKeyCreatedV1 {
        pub(crate) user: [u8; 16],
        pub(crate) key: [u8; 16],
        pub(crate) label: KeyLabelV1,
        pub(crate) alias: Option<String>,
        pub(crate) api_key: NewApiKeyV1,
        pub(crate) sealed: Option<CommitmentBytes>,
    }
}

impl Revision for UserKeyCreatedV1 {
    type Event = UserKeyCreated;

    fn restore(self, actor: Actor, open: &mut dyn Open) -> Result<UserKeyCreated, Fault> {
        let next = UserKeyCreatedV2 {
            user: self.user,
            key: self.key,
            label: self.label,
            alias: self.alias,
            api_key: self.api_key.into(),
            sealed: self.sealed,
        };
        next.restore(actor, open)
    }
}

event! {
    UserKeyRenamed as UserKeyRenamedV1 {
        key: [u8; 16],
        alias: Option<String>,
    }
}

event! {
    UserKeyRevoked as UserKeyRevokedV1 {
        key: [u8; 16],
    }
}

// Only users' keys may be read again, and only their owner rotates them: the actor is the owner.
event! {
    ApiKeyRotated as ApiKeyRotatedV1 {
        id: [u8; 9],
        digest: DigestV1,
        activation: ActivationV1,
    }
    personal of the actor {
        sealed: Option<CommitmentBytes>,
    }
}

event! {
    ApiKeyRotationUndone as ApiKeyRotationUndoneV1 {
        id: [u8; 9],
    }
}

event! {
    ApiKeyActivated as ApiKeyActivatedV1 {
        id: [u8; 9],
    }
}

form! {
    struct ApiKeyDisabledV1 {
        pub(crate) id: [u8; 9],
    }
}

impl Revision for ApiKeyDisabledV1 {
    type Event = ApiKeyDisabled;

    // Before there were policies somebody had always asked for it.
    fn restore(self, actor: Actor, open: &mut dyn Open) -> Result<ApiKeyDisabled, Fault> {
        let reason = None;
        ApiKeyDisabledV2 {
            id: self.id,
            reason,
        }
        .restore(actor, open)
    }
}

event! {
    ApiKeyDisabled as ApiKeyDisabledV2 {
        id: [u8; 9],
        reason: Option<DisabledForV1>,
    }
}

event! {
    ApiKeysRevoked as ApiKeysRevokedV2 {
        org: [u8; 16],
        revocation: [u8; 16],
        filter: RevocationFilterV1,
        count: u64,
        keys: Vec<[u8; 9]>,
        barred: Vec<[u8; 9]>,
        unnamed: Option<ReachV1>,
    }
}

form! {
    struct ApiKeysRevokedV1 {
        pub(crate) org: [u8; 16],
        pub(crate) revocation: [u8; 16],
        pub(crate) filter: RevocationFilterV1,
        pub(crate) keys: Vec<[u8; 9]>,
    }
}

impl Revision for ApiKeysRevokedV1 {
    type Event = ApiKeysRevoked;

    // Then every key was named, and one that worked elsewhere was left alone.
    fn restore(self, actor: Actor, open: &mut dyn Open) -> Result<ApiKeysRevoked, Fault> {
        let next = ApiKeysRevokedV2 {
            org: self.org,
            revocation: self.revocation,
            filter: self.filter,
            count: self.keys.len() as u64,
            keys: self.keys,
            barred: Vec::new(),
            unnamed: None,
        };
        next.restore(actor, open)
    }
}

event! {
    ApiKeysRevocationUndone as ApiKeysRevocationUndoneV2 {
        org: [u8; 16],
        revocation: [u8; 16],
        count: u64,
        keys: Vec<[u8; 9]>,
        barred: Vec<[u8; 9]>,
        unnamed: bool,
    }
}

form! {
    struct ApiKeysRevocationUndoneV1 {
        pub(crate) org: [u8; 16],
        pub(crate) revocation: [u8; 16],
        pub(crate) keys: Vec<[u8; 9]>,
    }
}

impl Revision for ApiKeysRevocationUndoneV1 {
    type Event = ApiKeysRevocationUndone;

    fn restore(self, actor: Actor, open: &mut dyn Open) -> Result<ApiKeysRevocationUndone, Fault> {
        let next = ApiKeysRevocationUndoneV2 {
            org: self.org,
            revocation: self.revocation,
            count: self.keys.len() as u64,
            keys: self.keys,
            barred: Vec::new(),
            unnamed: false,
        };
        next.restore(actor, open)
    }
}

event! {
    ApiKeyEnabled as ApiKeyEnabledV1 {
        id: [u8; 9],
    }
}

event! {
    ApiKeyRestricted as ApiKeyRestrictedV2 {
        id: [u8; 9],
        scopes: Option<Vec<String>>,
        expires_at: Option<i64>,
        allowed_cidrs: Vec<NetV1>,
        rate_limit: Option<RateLimitV1>,
    }
}

form! {
    struct ApiKeyRestrictedV1 {
        pub(crate) id: [u8; 9],
        pub(crate) scopes: Option<Vec<String>>,
        pub(crate) expires_at: Option<i64>,
        pub(crate) allowed_cidrs: Vec<NetV1>,
    }
}

impl Revision for ApiKeyRestrictedV1 {
    type Event = ApiKeyRestricted;

    fn restore(self, actor: Actor, open: &mut dyn Open) -> Result<ApiKeyRestricted, Fault> {
        let next = ApiKeyRestrictedV2 {
            id: self.id,
            scopes: self.scopes,
            expires_at: self.expires_at,
            allowed_cidrs: self.allowed_cidrs,
            rate_limit: None,
        };
        next.restore(actor, open)
    }
}

event! {
    ApiKeyRevealed as ApiKeyRevealedV1 {
        id: [u8; 9],
    }
}

event! {
    ApiKeyFirstUsed as ApiKeyFirstUsedV1 {
        id: [u8; 9],
        network: Option<[u8; 8]>,
    }
}

event! {
    ApiKeyNetworkFirstSeen as ApiKeyNetworkFirstSeenV1 {
        id: [u8; 9],
        network: [u8; 8],
    }
}
