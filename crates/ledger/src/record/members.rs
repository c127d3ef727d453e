//! Stored events of people in organizations.

use keyledger_domain::member::{
    InvitationAccepted, InvitationRevoked, MemberAdded, MemberInvited, MemberRemoved,
    MemberRoleChanged,
};
use keyledger_domain::offboarding::{MemberDisabled, MemberEnabled};

use crate::record::form::{CommitmentBytes, event};
use crate::record::part::{DigestV1, RegistrationV1, RoleV1};

event! {
    MemberAdded as MemberAddedV1 {
        org: [u8; 16],
        user: [u8; 16],
        role: RoleV1,
    }
    personal of user {
        registered: RegistrationV1,
    }
}

event! {
    MemberInvited as MemberInvitedV1 {
        org: [u8; 16],
        invitation: [u8; 16],
        role: RoleV1,
        token: [u8; 9],
        digest: DigestV1,
        expires_at: i64,
    }
    personal of invitation {
        email: CommitmentBytes,
    }
}

event! {
    InvitationAccepted as InvitationAcceptedV1 {
        org: [u8; 16],
        invitation: [u8; 16],
        user: [u8; 16],
    }
    personal of user {
        registered: Option<RegistrationV1>,
    }
}

event! {
    InvitationRevoked as InvitationRevokedV1 {
        org: [u8; 16],
        invitation: [u8; 16],
    }
}

event! {
    MemberRoleChanged as MemberRoleChangedV1 {
        org: [u8; 16],
        user: [u8; 16],
        role: RoleV1,
    }
}

event! {
    MemberRemoved as MemberRemovedV1 {
        org: [u8; 16],
        user: [u8; 16],
    }
}

event! {
    MemberDisabled as MemberDisabledV1 {
        org: [u8; 16],
        user: [u8; 16],
    }
}

event! {
    MemberEnabled as MemberEnabledV1 {
        org: [u8; 16],
        user: [u8; 16],
    }
}
