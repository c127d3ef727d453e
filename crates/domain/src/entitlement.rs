//! Entitlement tokens: read-only, for people and machines that are nobody here.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::api_key::{Holder, NewApiKey};
use crate::credential::CredentialId;
use crate::credits::{self, Credits, Grant};
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{EntitlementId, OrgId};
use crate::refusal::{Field, Reason, Refusal};
use crate::scope::{Access, Scopes, built_in, find_built_in};
use crate::text::DisplayName;
use crate::time::Timestamp;

/// An entitlement token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// Its identifier.
    pub id: EntitlementId,
    /// Its organization.
    pub org: OrgId,
    /// Its name for people.
    pub name: DisplayName,
    /// The credential itself.
    pub credential: CredentialId,
    /// How many times it may be used; without, its uses are not counted.
    pub credits: Option<Credits>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Actor,
}

/// Make an entitlement token. Its key must name scopes, all of which only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateEntitlement {
    /// Its organization.
    pub org: OrgId,
    /// Its identifier.
    pub entitlement: EntitlementId,
    /// Its name for people.
    pub name: DisplayName,
    /// The credential itself.
    pub api_key: NewApiKey,
    /// How many times it may be used; without, its uses are not counted.
    pub credits: Option<Grant>,
}

/// Revoke an entitlement token for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokeEntitlement {
    /// Its organization.
    pub org: OrgId,
    /// The token.
    pub entitlement: EntitlementId,
}

/// An entitlement token was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntitlementCreated {
    /// Its organization.
    pub org: OrgId,
    /// Its identifier.
    pub entitlement: EntitlementId,
    /// Its name for people.
    pub name: DisplayName,
    /// The credential itself.
    pub api_key: NewApiKey,
    /// How many times it may be used; without, its uses are not counted.
    pub credits: Option<Grant>,
}

/// An entitlement token was revoked for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EntitlementRevoked {
    /// The token.
    pub entitlement: EntitlementId,
}

impl Directory {
    pub(crate) fn decide_create_entitlement(
        &self,
        authority: &Authority,
        command: CreateEntitlement,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let CreateEntitlement {
            org,
            entitlement,
            name,
            api_key,
            credits,
        } = command;
        self.require(authority, org, built_in::ENTITLEMENTS_WRITE)?;
        let holder = Holder::Entitlement { org, entitlement };
        self.check_may_mint(authority, holder, &api_key)?;
        self.check_new_api_key(holder, &api_key, now)?;
        if self.entitlement(entitlement).is_some() {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let event = EntitlementCreated {
            org,
            entitlement,
            name,
            api_key,
            credits,
        };
        Ok(Some(Event::EntitlementCreated(event)))
    }

    pub(crate) fn decide_revoke_entitlement(
        &self,
        authority: &Authority,
        command: RevokeEntitlement,
    ) -> Result<Option<Event>, Refusal> {
        let entitlement = self
            .managed_entitlement(authority, command.org, command.entitlement)?
            .id;
        Ok(Some(Event::EntitlementRevoked(EntitlementRevoked {
            entitlement,
        })))
    }

    /// An entitlement token names its scopes, and none of them changes anything.
    pub(crate) fn check_read_only(
        &self,
        org: OrgId,
        scopes: Option<&Scopes>,
    ) -> Result<(), Refusal> {
        let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) else {
            return Err(Refusal::invalid(Field::Scopes, Reason::NoScope));
        };
        let added = &self.known_org(org).scopes;
        for scope in scopes {
            let access = find_built_in(scope.as_str())
                .map(|entry| entry.access)
                .or_else(|| added.get(scope.as_str()).map(|entry| entry.access));
            if access == Some(Access::Write) {
                return Err(Refusal::invalid(
                    Field::Scopes,
                    Reason::NotReadOnly(scope.clone()),
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn apply_entitlement_created(
        &mut self,
        event: &EntitlementCreated,
        record: &Record,
    ) {
        let holder = Holder::Entitlement {
            org: event.org,
            entitlement: event.entitlement,
        };
        self.insert_api_key(&event.api_key, holder, record);
        self.org_mut(event.org)
            .entitlements
            .insert(event.entitlement);
        let entitlement = Entitlement {
            id: event.entitlement,
            org: event.org,
            name: event.name.clone(),
            credential: event.api_key.id,
            credits: credits::granted(event.credits, record),
            created_at: record.at,
            created_by: record.origin.actor,
        };
        self.entitlements.insert(event.entitlement, entitlement);
    }

    pub(crate) fn apply_entitlement_revoked(&mut self, event: EntitlementRevoked, at: Timestamp) {
        let token = self.entitlements.remove(&event.entitlement);
        let token = token.expect("an event names an entitlement that exists");
        self.org_mut(token.org).entitlements.remove(&token.id);
        self.revoke_api_key(token.credential, at);
    }
}
