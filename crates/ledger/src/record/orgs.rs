//! Stored events of organizations and their teams, and of who reads what they did.

use keyledger_domain::audit_read::AuditLogRead;
use keyledger_domain::org::{OrgCreated, ScopeAdded};
use keyledger_domain::policy::OrgPolicyChanged;
use keyledger_domain::rate_limit::OrgLimitsChanged;
use keyledger_domain::team::{
    TeamChanged, TeamCreated, TeamDeleted, TeamMemberAdded, TeamMemberRemoved,
};

use crate::record::form::event;
use crate::record::part::{RateLimitV1, RegistrationV1, ScopeEntryV1};

event! {
    OrgCreated as OrgCreatedV1 {
        org: [u8; 16],
        slug: String,
        name: String,
        owner: [u8; 16],
    }
    personal of owner {
        registered: Option<RegistrationV1>,
    }
}

event! {
    ScopeAdded as ScopeAddedV1 {
        org: [u8; 16],
        entry: ScopeEntryV1,
    }
}

event! {
    OrgLimitsChanged as OrgLimitsChangedV1 {
        org: [u8; 16],
        rate_limit: Option<RateLimitV1>,
    }
}

event! {
    TeamCreated as TeamCreatedV1 {
        org: [u8; 16],
        team: [u8; 16],
        slug: String,
        name: String,
        scopes: Vec<String>,
    }
}

event! {
    TeamChanged as TeamChangedV1 {
        org: [u8; 16],
        team: [u8; 16],
        name: String,
        scopes: Vec<String>,
    }
}

event! {
    TeamDeleted as TeamDeletedV1 {
        org: [u8; 16],
        team: [u8; 16],
    }
}

event! {
    TeamMemberAdded as TeamMemberAddedV1 {
        org: [u8; 16],
        team: [u8; 16],
        user: [u8; 16],
    }
}

event! {
    TeamMemberRemoved as TeamMemberRemovedV1 {
        org: [u8; 16],
        team: [u8; 16],
        user: [u8; 16],
    }
}

event! {
    OrgPolicyChanged as OrgPolicyChangedV1 {
        org: [u8; 16],
        max_life_seconds: Option<u64>,
        expiry_required: bool,
        idle_disable_seconds: Option<u64>,
        retrievable_keys: bool,
    }
}

event! {
    AuditLogRead as AuditLogReadV1 {
        org: [u8; 16],
    }
}
