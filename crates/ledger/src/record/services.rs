//! Stored events of services and entitlement tokens.

use keyledger_domain::Actor;
use keyledger_domain::credits::EntitlementCreditsChanged;
use keyledger_domain::entitlement::{EntitlementCreated, EntitlementRevoked};
use keyledger_domain::offboarding::UserKeyHandedOver;
use keyledger_domain::service::{ServiceChanged, ServiceCreated, ServiceDeleted};

use crate::record::form::{Fault, Open, Revision, event, form};
use crate::record::part::{GrantV1, NewApiKeyV1, NewApiKeyV2, RoleV1};

event! {
    ServiceCreated as ServiceCreatedV2 {
        org: [u8; 16],
        service: [u8; 16],
        slug: String,
        name: String,
        description: String,
        role: RoleV1,
        teams: Vec<[u8; 16]>,
        api_key: NewApiKeyV2,
    }
}

form! {
    struct ServiceCreatedV1 {
        pub(crate) org: [u8; 16],
        pub(crate) service: [u8; 16],
        pub(crate) slug: String,
        pub(crate) name: String,
        pub(crate) description: String,
        pub(crate) role: RoleV1,
        pub(crate) teams: Vec<[u8; 16]>,
        pub(crate) api_key: NewApiKeyV1,
    }
}

impl Revision for ServiceCreatedV1 {
    type Event = ServiceCreated;

    fn restore(self, actor: Actor, open: &mut dyn Open) -> Result<ServiceCreated, Fault> {
        let next = ServiceCreatedV2 {
            org: self.org,
            service: self.service,
            slug: self.slug,
            name: self.name,
            description: self.description,
            role: self.role,
            teams: self.teams,
            api_key: self.api_key.into(),
        };
        next.restore(actor, open)
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
    EntitlementCreated as EntitlementCreatedV2 {
        org: [u8; 16],
        entitlement: [u8; 16],
        name: String,
        api_key: NewApiKeyV2,
        credits: Option<GrantV1>,
    }
}

form! {
    struct EntitlementCreatedV1 {
        pub(crate) org: [u8; 16],
        pub(crate) entitlement: [u8; 16],
        pub(crate) name: String,
        pub(crate) api_key: NewApiKeyV1,
    }
}

impl Revision for EntitlementCreatedV1 {
    type Event = EntitlementCreated;

    fn restore(self, actor: Actor, open: &mut dyn Open) -> Result<EntitlementCreated, Fault> {
        let next = EntitlementCreatedV2 {
            org: self.org,
            entitlement: self.entitlement,
            name: self.name,
            api_key: self.api_key.into(),
            credits: None,
        };
        next.restore(actor, open)
    }
}

event! {
    EntitlementCreditsChanged as EntitlementCreditsChangedV1 {
        entitlement: [u8; 16],
        credits: Option<GrantV1>,
    }
}

event! {
    EntitlementRevoked as EntitlementRevokedV1 {
        entitlement: [u8; 16],
    }
}

event! {
    UserKeyHandedOver as UserKeyHandedOverV1 {
        org: [u8; 16],
        user: [u8; 16],
        key: [u8; 16],
        id: [u8; 9],
        service: [u8; 16],
        slug: String,
        name: String,
        description: String,
        role: RoleV1,
        teams: Vec<[u8; 16]>,
        scopes: Vec<String>,
    }
}
