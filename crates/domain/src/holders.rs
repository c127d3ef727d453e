//! Who holds the keys of an organization, and which they are.
//!
//! An organization may have a hundred thousand of them: whoever looks at all while others want to write
//! takes the holders first, and then their keys some at a time.

use crate::actor::Actor;
use crate::api_key::ApiKey;
use crate::credential::CredentialId;
use crate::directory::Directory;
use crate::org::Org;

impl Org {
    /// Whoever can hold keys here: its members, its services and its entitlement tokens.
    pub fn holders(&self) -> impl Iterator<Item = Actor> {
        let members = self.members.keys().copied().map(Actor::User);
        let services = self.services.values().copied().map(Actor::Service);
        let tokens = self.entitlements.iter().copied().map(Actor::Entitlement);
        members.chain(services).chain(tokens)
    }
}

impl Directory {
    /// All keys of a holder, dead or alive; none of one who is not there.
    pub fn keys_of(&self, holder: Actor) -> impl Iterator<Item = &ApiKey> {
        let (user, only): (_, Option<CredentialId>) = match holder {
            // Tokens are no keys that anybody holds: they are made and end by themselves.
            Actor::System | Actor::Client(_) => (None, None),
            Actor::User(id) => (self.user(id), None),
            Actor::Service(id) => (None, self.service(id).map(|service| service.credential)),
            Actor::Entitlement(id) => (None, self.entitlement(id).map(|token| token.credential)),
        };
        let of_user = user
            .into_iter()
            .flat_map(|user| user.keys.values().chain(&user.own_token))
            .filter_map(|key| self.credential_of(*key));
        of_user.chain(only).filter_map(|id| self.api_key(id))
    }

    /// All keys of an organization, dead or alive, whose holders are there.
    pub fn keys_in<'d>(&'d self, org: &'d Org) -> impl Iterator<Item = &'d ApiKey> {
        org.holders().flat_map(|holder| self.keys_of(holder))
    }
}
