//! Stored events of services and entitlement tokens.

use keyledger_domain::entitlement::{EntitlementCreated, EntitlementRevoked};
use keyledger_domain::service::{ServiceChanged, ServiceCreated, ServiceDeleted};

use crate::record::form::event;
use crate::record::part::{NewApiKeyV1, RoleV1};

event! {
    ServiceCreated as ServiceCreatedV1 {
        org: [u8; 16],
        service: [u8; 16],
        slug: String,
        name: String,
        description: String,
        role: RoleV1,
        teams: Vec<[u8; 16]>,
        api_key: NewApiKeyV1,
    }
}

event! {
    ServiceChanged as ServiceChangedV1 {
        service: [u8; 16],
        name: String,
        description: String,
        role: RoleV1,
        teams: Vec<[u8; 16]>,
    }
}

event! {
    ServiceDeleted as ServiceDeletedV1 {
        service: [u8; 16],
    }
}

event! {
    EntitlementCreated as EntitlementCreatedV1 {
        org: [u8; 16],
        entitlement: [u8; 16],
        name: String,
        api_key: NewApiKeyV1,
    }
}

event! {
    EntitlementRevoked as EntitlementRevokedV1 {
        entitlement: [u8; 16],
    }
}
