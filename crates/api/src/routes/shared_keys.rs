//! The keys of people who are in several organizations: which of these is told what such a key does.
//!
//! A person has their keys to themself, and each works in all their organizations. What it does is
//! counted once for the key, whoever asked about it. So the address and the client of its last use,
//! how often it was used and for what may come from another organization, and an auditor of one is not
//! to learn what goes on in the next: all of this is told to the person, and to whoever reads the audit
//! log of every organization that they are in. When it was last used is told in each of them, since
//! their policies and their hygiene go by it, unless they are switched off there.

use keyledger_domain::api_key::Holder;
use keyledger_domain::id::OrgId;
use keyledger_domain::org::Org;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Actor, ApiKey, Authority, Directory};

/// Why it is not told.
pub(super) const WITHHELD: &str = "Its holder is in other organizations too, and uses there are counted together with those \
     here: only they themself, and whoever has audit:read in all of these organizations, are told from \
     where, by whom and how often it is used.";

/// Whether this authority may know where a key is used and how often. Whether it may know of the key
/// at all is asked before.
pub(super) fn sees_use(directory: &Directory, authority: &Authority, key: &ApiKey) -> bool {
    match key.issued.holder {
        Holder::Service { .. }
        | Holder::Entitlement { .. }
        | Holder::Client { .. }
        | Holder::Delegate { .. } => true,
        Holder::User { user, .. } => {
            let orgs = directory.user(user).map(|user| &user.orgs);
            authority.actor == Actor::User(user)
                || orgs.is_some_and(|orgs| audits_all(directory, authority, orgs))
        }
    }
}

/// Whether this authority reads the audit log of all these organizations.
pub(super) fn audits_all<'a>(
    directory: &Directory,
    authority: &Authority,
    orgs: impl IntoIterator<Item = &'a OrgId>,
) -> bool {
    let reads = |org: &OrgId| directory.require(authority, *org, built_in::AUDIT_READ);
    orgs.into_iter().all(|org| reads(org).is_ok())
}

/// Whether what a key does is this organization's concern: not that of somebody who is switched off
/// here, and goes on elsewhere.
pub(super) fn concerns(directory: &Directory, org: &Org, key: &ApiKey) -> bool {
    match key.issued.holder {
        Holder::Service { .. }
        | Holder::Entitlement { .. }
        | Holder::Client { .. }
        | Holder::Delegate { .. } => true,
        Holder::User { user, .. } => {
            org.disabled_at(user).is_none() || directory.is_only_in(user, org.id)
        }
    }
}
