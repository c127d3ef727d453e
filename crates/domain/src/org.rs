//! Organizations, which paths also call workspaces, their scope catalogue, and the first one of all.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{EntitlementId, InvitationId, OrgId, RevocationId, ServiceId, TeamId, UserId};
use crate::member::Invitation;
use crate::policy::OrgPolicy;
use crate::rate_limit::RateLimit;
use crate::refusal::{Field, Refusal};
use crate::revocation::Revocation;
use crate::role::Role;
use crate::scope::{Scope, ScopeEntry, built_in, find_built_in};
use crate::team::Team;
use crate::text::{DisplayName, Slug};
use crate::time::Timestamp;
use crate::user::{NewUser, Registration};

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    /// Its identifier.
    pub id: OrgId,
    /// Its name in paths, unique on this server.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who is in it, and as what. At least one owner.
    pub members: BTreeMap<UserId, Role>,
    /// Its teams by slug.
    pub teams: BTreeMap<Slug, Team>,
    /// Its services by slug.
    pub services: BTreeMap<Slug, ServiceId>,
    /// Its living entitlement tokens.
    pub entitlements: BTreeSet<EntitlementId>,
    /// Its open invitations.
    pub invitations: BTreeMap<InvitationId, Invitation>,
    /// The scopes it added to the built-in ones, by name.
    pub scopes: BTreeMap<String, ScopeEntry>,
    /// The limit of each key that is used in it and has none of its own.
    pub rate_limit: Option<RateLimit>,
    /// The members who are switched off, and since when.
    pub disabled: BTreeMap<UserId, Timestamp>,
    /// The revocations of many keys at once.
    pub revocations: BTreeMap<RevocationId, Revocation>,
    /// What it demands of keys.
    pub policy: OrgPolicy,
    /// When it last changed after which time idle keys are disabled.
    pub policy_changed_at: Option<Timestamp>,
}

impl Org {
    /// Its team with this identifier.
    pub fn team(&self, id: TeamId) -> Option<&Team> {
        self.teams.values().find(|team| team.id == id)
    }

    /// The lowest role that holds a scope, if the catalogue has the scope at all.
    pub fn minimum_role(&self, scope: &str) -> Option<Role> {
        find_built_in(scope)
            .map(|entry| entry.minimum_role)
            .or_else(|| self.scopes.get(scope).map(|entry| entry.minimum_role))
    }

    /// The same for a scope that was parsed, which knows whether it is built in.
    pub(crate) fn minimum_role_of(&self, scope: &Scope) -> Option<Role> {
        match scope.built_in() {
            Some(entry) => Some(entry.minimum_role),
            None => self
                .scopes
                .get(scope.as_str())
                .map(|entry| entry.minimum_role),
        }
    }

    pub(crate) fn is_last_owner(&self, user: UserId) -> bool {
        let mut owners = self
            .members
            .iter()
            .filter(|(owner, role)| **role == Role::Owner && self.has_active(**owner));
        owners.next().is_some_and(|(owner, _)| *owner == user) && owners.next().is_none()
    }
}

/// How many organizations a person is in at most. A record of what they do names all of them, and has to
/// stay far below its largest size: who ends a key or a session must not be refused for it.
pub const ORGS_OF_PERSON_MAX: usize = 200;

/// Make the first organization and its owner, on a server that has nobody yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUp {
    /// The organization.
    pub org: OrgId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// Its owner.
    pub owner: NewUser,
}

/// Make an organization; whoever does becomes its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateOrg {
    /// The organization.
    pub org: OrgId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
}

/// Add a scope to the organization's catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddScope {
    /// The organization.
    pub org: OrgId,
    /// The scope.
    pub entry: ScopeEntry,
}

/// An organization was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrgCreated {
    /// The organization.
    pub org: OrgId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// Its owner.
    pub owner: UserId,
    /// The owner's account, where it was made with the organization.
    pub registered: Option<Registration>,
}

/// A scope was added to an organization's catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeAdded {
    /// The organization.
    pub org: OrgId,
    /// The scope.
    pub entry: ScopeEntry,
}

impl Directory {
    pub(crate) fn decide_set_up(&self, command: SetUp) -> Result<Option<Event>, Refusal> {
        if !self.is_empty() {
            return Err(Refusal::AlreadySetUp);
        }
        let owner = command.owner.user;
        Ok(Some(Event::OrgCreated(OrgCreated {
            org: command.org,
            slug: command.slug,
            name: command.name,
            owner,
            registered: Some(self.registration(command.owner)),
        })))
    }

    pub(crate) fn decide_create_org(
        &self,
        authority: &Authority,
        command: CreateOrg,
    ) -> Result<Option<Event>, Refusal> {
        let Actor::User(owner) = authority.actor else {
            return Err(Refusal::UsersOnly);
        };
        self.require_anywhere(authority, built_in::WORKSPACES_WRITE)?;
        // An app reaches its client's organization and nothing else, so it makes none.
        if self.is_by_delegate(authority) {
            return Err(Refusal::UsersOnly);
        }
        if self.known_user(owner).orgs.len() >= ORGS_OF_PERSON_MAX {
            return Err(Refusal::TooManyOrganizations);
        }
        if self.org_by_slug(command.slug.as_str()).is_some() {
            return Err(Refusal::Taken(Field::Slug));
        }
        if self.org(command.org).is_some() {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        Ok(Some(Event::OrgCreated(OrgCreated {
            org: command.org,
            slug: command.slug,
            name: command.name,
            owner,
            registered: None,
        })))
    }

    pub(crate) fn decide_add_scope(
        &self,
        authority: &Authority,
        command: AddScope,
    ) -> Result<Option<Event>, Refusal> {
        self.require(authority, command.org, built_in::SCOPES_WRITE)?;
        if self
            .known_org(command.org)
            .minimum_role(command.entry.scope.as_str())
            .is_some()
        {
            return Err(Refusal::Taken(Field::Name));
        }
        Ok(Some(Event::ScopeAdded(ScopeAdded {
            org: command.org,
            entry: command.entry,
        })))
    }

    pub(crate) fn apply_org_created(&mut self, event: &OrgCreated, record: &Record) {
        if let Some(registration) = &event.registered {
            self.insert_user(event.owner, registration, record.at);
        }
        let org = Org {
            id: event.org,
            slug: event.slug.clone(),
            name: event.name.clone(),
            created_at: record.at,
            members: BTreeMap::new(),
            teams: BTreeMap::new(),
            services: BTreeMap::new(),
            entitlements: BTreeSet::new(),
            invitations: BTreeMap::new(),
            scopes: BTreeMap::new(),
            rate_limit: None,
            disabled: BTreeMap::new(),
            revocations: BTreeMap::new(),
            policy: OrgPolicy::default(),
            policy_changed_at: None,
        };
        self.operator_org.get_or_insert(event.org);
        self.org_slugs.insert(event.slug.clone(), event.org);
        self.orgs.insert(event.org, org);
        self.insert_member(event.org, event.owner, Role::Owner);
    }

    pub(crate) fn apply_scope_added(&mut self, event: &ScopeAdded) {
        let name = event.entry.scope.as_str().to_owned();
        self.org_mut(event.org)
            .scopes
            .insert(name, event.entry.clone());
    }
}
