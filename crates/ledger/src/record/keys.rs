//! Stored events of users' keys, and of what happens to any key.

use keyledger_domain::api_key::{
    ApiKeyActivated, ApiKeyDisabled, ApiKeyEnabled, ApiKeyRestricted, ApiKeyRevealed,
    ApiKeyRotated, ApiKeyRotationUndone,
};
use keyledger_domain::key_use::{ApiKeyFirstUsed, ApiKeyNetworkFirstSeen};
use keyledger_domain::user_key::{UserKeyCreated, UserKeyRenamed, UserKeyRevoked};

use crate::record::form::{CommitmentBytes, event};
use crate::record::part::{ActivationV1, DigestV1, KeyLabelV1, NetV1, NewApiKeyV1};

event! {
    UserKeyCreated as UserKeyCreatedV1 {
        user: [u8; 16],
        key: [u8; 16],
        label: KeyLabelV1,
        alias: Option<String>,
        api_key: NewApiKeyV1,
    }
    personal of user {
        sealed: Option<CommitmentBytes>,
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

event! {
    ApiKeyDisabled as ApiKeyDisabledV1 {
        id: [u8; 9],
    }
}

event! {
    ApiKeyEnabled as ApiKeyEnabledV1 {
        id: [u8; 9],
    }
}

event! {
    ApiKeyRestricted as ApiKeyRestrictedV1 {
        id: [u8; 9],
        scopes: Option<Vec<String>>,
        expires_at: Option<i64>,
        allowed_cidrs: Vec<NetV1>,
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
