//! Services: keys that are tied to no person. Each has exactly one key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::api_key::{Holder, NewApiKey};
use crate::credential::CredentialId;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{OrgId, ServiceId, TeamId};
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::scope::built_in;
use crate::text::{Description, DisplayName, Slug};
use crate::time::Timestamp;

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its identifier.
    pub id: ServiceId,
    /// Its organization.
    pub org: OrgId,
    /// Its name in paths and as Basic username, unique in its organization.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// What it is for.
    pub description: Description,
    /// Member or manager.
    pub role: Role,
    /// The teams whose rights it has besides.
    pub teams: BTreeSet<TeamId>,
    /// Its key.
    pub credential: CredentialId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; it lives on without them.
    pub created_by: Actor,
}

/// Make a service and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateService {
    /// Its organization.
    pub org: OrgId,
    /// Its identifier.
    pub service: ServiceId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// What it is for.
    pub description: Description,
    /// Member or manager.
    pub role: Role,
    /// The teams whose rights it has besides.
    pub teams: Vec<Slug>,
    /// Its key.
    pub api_key: NewApiKey,
}

/// Change a service. `None` leaves a field as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeService {
    /// Its organization.
    pub org: OrgId,
    /// The service.
    pub slug: Slug,
    /// Its name for people.
    pub name: Option<DisplayName>,
    /// What it is for.
    pub description: Option<Description>,
    /// Member or manager.
    pub role: Option<Role>,
    /// The teams whose rights it has besides.
    pub teams: Option<Vec<Slug>>,
}

/// Delete a service and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteService {
    /// Its organization.
    pub org: OrgId,
    /// The service.
    pub slug: Slug,
}

/// A service and its key were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceCreated {
    /// Its organization.
    pub org: OrgId,
    /// Its identifier.
    pub service: ServiceId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// What it is for.
    pub description: Description,
    /// Member or manager.
    pub role: Role,
    /// The teams whose rights it has besides.
    pub teams: BTreeSet<TeamId>,
    /// Its key.
    pub api_key: NewApiKey,
}

/// A service was changed; all four fields as they are from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceChanged {
    /// The service.
    pub service: ServiceId,
    /// Its name for people.
    pub name: DisplayName,
    /// What it is for.
    pub description: Description,
    /// Member or manager.
    pub role: Role,
    /// The teams whose rights it has besides.
    pub teams: BTreeSet<TeamId>,
}

/// A service was deleted, and its key revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceDeleted {
    /// The service.
    pub service: ServiceId,
}

impl Directory {
    /// A living service by its organization and slug.
    pub fn service_by_slug(&self, org: OrgId, slug: &str) -> Option<&Service> {
        self.org(org)?
            .services
            .get(slug)
            .and_then(|id| self.service(*id))
    }

    /// The service that `authority` wants to change, as far as it may know of it.
    fn managed_service(
        &self,
        authority: &Authority,
        org: OrgId,
        slug: &Slug,
    ) -> Result<&Service, Refusal> {
        self.require(authority, org, built_in::SERVICES_WRITE)?;
        self.service_by_slug(org, slug.as_str())
            .filter(|service| self.sees_key(authority, service.credential))
            .ok_or(Refusal::Unknown(Noun::Service))
    }

    pub(crate) fn decide_create_service(
        &self,
        authority: &Authority,
        command: CreateService,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let org = command.org;
        self.require(authority, org, built_in::SERVICES_WRITE)?;
        self.require_role(authority, org, command.role)?;
        self.check_joinable(authority, org, &command.teams, &BTreeSet::new())?;
        let holder = Holder::Service {
            org,
            service: command.service,
        };
        self.check_may_mint(authority, holder, &command.api_key)?;
        check_service_role(command.role)?;
        let teams = self.teams_named(org, &command.teams)?;
        self.check_new_api_key(holder, &command.api_key, now)?;
        if self.service_by_slug(org, command.slug.as_str()).is_some() {
            return Err(Refusal::Taken(Field::Name));
        }
        if self.service(command.service).is_some() {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let CreateService {
            org,
            service,
            slug,
            name,
            description,
            role,
            api_key,
            ..
        } = command;
        Ok(Some(Event::ServiceCreated(ServiceCreated {
            org,
            service,
            slug,
            name,
            description,
            role,
            teams,
            api_key,
        })))
    }

    pub(crate) fn decide_change_service(
        &self,
        authority: &Authority,
        command: ChangeService,
    ) -> Result<Option<Event>, Refusal> {
        let org = command.org;
        let service = self.managed_service(authority, org, &command.slug)?;
        let role = command.role.unwrap_or(service.role);
        if role != service.role {
            self.require_role(authority, org, role.max(service.role))?;
        }
        if let Some(slugs) = &command.teams {
            self.check_joinable(authority, org, slugs, &service.teams)?;
        }
        check_service_role(role)?;
        let teams = match &command.teams {
            Some(slugs) => self.teams_named(org, slugs)?,
            None => service.teams.clone(),
        };
        let event = ServiceChanged {
            service: service.id,
            name: command.name.unwrap_or_else(|| service.name.clone()),
            description: command
                .description
                .unwrap_or_else(|| service.description.clone()),
            role,
            teams,
        };
        let same = event.name == service.name
            && event.description == service.description
            && event.role == service.role
            && event.teams == service.teams;
        Ok((!same).then_some(Event::ServiceChanged(event)))
    }

    pub(crate) fn decide_delete_service(
        &self,
        authority: &Authority,
        command: &DeleteService,
    ) -> Result<Option<Event>, Refusal> {
        let service = self
            .managed_service(authority, command.org, &command.slug)?
            .id;
        Ok(Some(Event::ServiceDeleted(ServiceDeleted { service })))
    }

    /// Whether `authority` may give what the new ones among these teams grant: a service is no way
    /// to rights that its maker lacks.
    pub(crate) fn check_joinable(
        &self,
        authority: &Authority,
        org: OrgId,
        slugs: &[Slug],
        already: &BTreeSet<TeamId>,
    ) -> Result<(), Refusal> {
        let known = &self.known_org(org).teams;
        for team in slugs.iter().filter_map(|slug| known.get(slug)) {
            if !already.contains(&team.id) {
                self.check_grantable(authority, org, &team.scopes)?;
            }
        }
        Ok(())
    }

    pub(crate) fn teams_named(
        &self,
        org: OrgId,
        slugs: &[Slug],
    ) -> Result<BTreeSet<TeamId>, Refusal> {
        let known = &self.known_org(org).teams;
        let id_of = |slug: &Slug| {
            let unknown = || Refusal::invalid(Field::Teams, Reason::UnknownTeam(slug.clone()));
            known.get(slug).map(|team| team.id).ok_or_else(unknown)
        };
        slugs.iter().map(id_of).collect()
    }

    pub(crate) fn service_mut(&mut self, id: ServiceId) -> &mut Service {
        self.services
            .get_mut(&id)
            .expect("an event names a service that exists")
    }

    pub(crate) fn apply_service_created(&mut self, event: &ServiceCreated, record: &Record) {
        let holder = Holder::Service {
            org: event.org,
            service: event.service,
        };
        self.insert_api_key(&event.api_key, holder, record);
        let service = Service {
            id: event.service,
            org: event.org,
            slug: event.slug.clone(),
            name: event.name.clone(),
            description: event.description.clone(),
            role: event.role,
            teams: event.teams.clone(),
            credential: event.api_key.id,
            created_at: record.at,
            created_by: record.origin.actor,
        };
        self.insert_service(service);
    }

    pub(crate) fn insert_service(&mut self, service: Service) {
        for team in &service.teams {
            self.team_mut(service.org, *team)
                .services
                .insert(service.id);
        }
        self.org_mut(service.org)
            .services
            .insert(service.slug.clone(), service.id);
        self.services.insert(service.id, service);
    }

    pub(crate) fn apply_service_changed(&mut self, event: &ServiceChanged) {
        let service = self.service_mut(event.service);
        let org = service.org;
        let before = core::mem::replace(&mut service.teams, event.teams.clone());
        service.name = event.name.clone();
        service.description = event.description.clone();
        service.role = event.role;
        for team in before.difference(&event.teams) {
            self.team_mut(org, *team).services.remove(&event.service);
        }
        for team in event.teams.difference(&before) {
            self.team_mut(org, *team).services.insert(event.service);
        }
    }

    pub(crate) fn apply_service_deleted(&mut self, event: ServiceDeleted, at: Timestamp) {
        let service = self.services.remove(&event.service);
        let service = service.expect("an event names a service that exists");
        for team in &service.teams {
            self.team_mut(service.org, *team)
                .services
                .remove(&service.id);
        }
        self.org_mut(service.org).services.remove(&service.slug);
        self.revoke_api_key(service.credential, at);
    }
}

pub(crate) fn check_service_role(role: Role) -> Result<(), Refusal> {
    if role == Role::Owner {
        return Err(Refusal::invalid(Field::Role, Reason::ServiceAsOwner));
    }
    Ok(())
}
