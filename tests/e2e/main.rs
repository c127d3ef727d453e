//! End to end against the built binary: one module a route, its path the route's path.
//!
//! One server is shared by nearly all tests; each makes what it needs under names of its own, so
//! that they run side by side. Where names come from is in `tests/ATTACKS.md`: those named `nNN_…`,
//! here and beside the code, try the attack of that number; `dD_N_…` hold promise N of group D.

mod world;

mod audit_archive;
mod audit_command;
mod backup_command;
mod authentication {
    mod carriers;
    mod flood;
    mod forgery;
    mod guessing;
}
mod audit_past;
mod authorization;
mod definition;
mod edge {
    mod cors;
    mod headers;
    mod limits;
    mod logs;
    mod proxies;
    mod reading;
    mod tls;
}
mod health;
mod leaks;
mod matrix;
mod oauth {
    mod addresses;
    mod authorize;
    mod refresh;
    mod token;
    mod told;
}
mod openapi;
mod pages {
    mod form;
    pub(crate) mod login;
}
mod rate_limits;
mod start;
mod tenancy;
mod user {
    mod keys {
        mod create;
        mod delete;
        mod get;
        mod list;
        mod patch;
        mod rotate;
    }
    mod profile;
    mod self_;
    mod token;
    mod tokens;
}
mod v1 {
    mod decisions;
    pub(crate) mod events;
    mod invitations;
    mod keys {
        mod usage;
        mod verify;
    }
    mod log;
    mod me;
    mod orgs {
        mod credits;
        mod entitlements;
        mod hygiene;
        mod leavers;
        mod limits;
        mod members;
        mod policy;
        mod revocations;
        mod services;
        mod teams;
        mod usage;
    }
    mod past;
    mod scopes;
    mod signing_keys;
    mod users {
        mod erase;
    }
    mod user {
        mod password;
        mod sessions;
    }
    mod workspaces;
}
mod well_known;
mod witnesses;
