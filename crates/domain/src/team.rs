//! Teams: what an organization gives to several people and services at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::actor::Authority;
use crate::directory::Directory;
use crate::event::Event;
use crate::id::{OrgId, ServiceId, TeamId, UserId};
use crate::refusal::{Field, Noun, Refusal};
use crate::scope::{Scopes, built_in};
use crate::text::{DisplayName, Slug};
use crate::time::Timestamp;

/// A team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Its identifier.
    pub id: TeamId,
    /// Its name in paths, unique in its organization.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// What it grants its members and services, on top of their roles.
    pub scopes: Scopes,
    /// The people in it.
    pub members: BTreeSet<UserId>,
    /// The services in it.
    pub services: BTreeSet<ServiceId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Make a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTeam {
    /// Its organization.
    pub org: OrgId,
    /// Its identifier.
    pub team: TeamId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// What it grants.
    pub scopes: Scopes,
}

/// Change a team. `None` leaves a field as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeTeam {
    /// Its organization.
    pub org: OrgId,
    /// The team.
    pub slug: Slug,
    /// Its name for people.
    pub name: Option<DisplayName>,
    /// What it grants.
    pub scopes: Option<Scopes>,
}

/// Delete a team; what it granted is gone with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTeam {
    /// Its organization.
    pub org: OrgId,
    /// The team.
    pub slug: Slug,
}

/// Put a person of the organization in a team, or out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceInTeam {
    /// The organization.
    pub org: OrgId,
    /// The team.
    pub slug: Slug,
    /// Who.
    pub user: UserId,
    /// Whether they are to be in it.
    pub inside: bool,
}

/// A team was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TeamCreated {
    /// Its organization.
    pub org: OrgId,
    /// Its identifier.
    pub team: TeamId,
    /// Its name in paths.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// What it grants.
    pub scopes: Scopes,
}

/// A team was changed; both fields as they are from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TeamChanged {
    /// Its organization.
    pub org: OrgId,
    /// The team.
    pub team: TeamId,
    /// Its name for people.
    pub name: DisplayName,
    /// What it grants.
    pub scopes: Scopes,
}

/// A team was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TeamDeleted {
    /// Its organization.
    pub org: OrgId,
    /// The team.
    pub team: TeamId,
}

/// A person came into a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TeamMemberAdded {
    /// The organization.
    pub org: OrgId,
    /// The team.
    pub team: TeamId,
    /// Who.
    pub user: UserId,
}

/// A person left a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TeamMemberRemoved {
    /// The organization.
    pub org: OrgId,
    /// The team.
    pub team: TeamId,
    /// Who.
    pub user: UserId,
}

impl Directory {
    fn team(&self, org: OrgId, slug: &Slug) -> Result<&Team, Refusal> {
        self.known_org(org)
            .teams
            .get(slug)
            .ok_or(Refusal::Unknown(Noun::Team))
    }

    pub(crate) fn decide_create_team(
        &self,
        authority: &Authority,
        command: CreateTeam,
    ) -> Result<Option<Event>, Refusal> {
        self.require(authority, command.org, built_in::TEAMS_WRITE)?;
        self.check_grantable(authority, command.org, &command.scopes)?;
        self.check_known(command.org, &command.scopes)?;
        let known = self.known_org(command.org);
        if known.teams.contains_key(&command.slug) {
            return Err(Refusal::Taken(Field::Name));
        }
        if known.team(command.team).is_some() {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let CreateTeam {
            org,
            team,
            slug,
            name,
            scopes,
        } = command;
        Ok(Some(Event::TeamCreated(TeamCreated {
            org,
            team,
            slug,
            name,
            scopes,
        })))
    }

    pub(crate) fn decide_change_team(
        &self,
        authority: &Authority,
        command: ChangeTeam,
    ) -> Result<Option<Event>, Refusal> {
        self.require(authority, command.org, built_in::TEAMS_WRITE)?;
        let team = self.team(command.org, &command.slug)?;
        let name = command.name.unwrap_or_else(|| team.name.clone());
        let scopes = command.scopes.unwrap_or_else(|| team.scopes.clone());
        if scopes != team.scopes {
            self.check_grantable(authority, command.org, &scopes)?;
            self.check_known(command.org, &scopes)?;
        }
        if name == team.name && scopes == team.scopes {
            return Ok(None);
        }
        let event = TeamChanged {
            org: command.org,
            team: team.id,
            name,
            scopes,
        };
        Ok(Some(Event::TeamChanged(event)))
    }

    pub(crate) fn decide_delete_team(
        &self,
        authority: &Authority,
        command: &DeleteTeam,
    ) -> Result<Option<Event>, Refusal> {
        self.require(authority, command.org, built_in::TEAMS_WRITE)?;
        let team = self.team(command.org, &command.slug)?.id;
        Ok(Some(Event::TeamDeleted(TeamDeleted {
            org: command.org,
            team,
        })))
    }

    /// Whoever puts somebody in a team gives them what it grants, so they must hold it themselves.
    pub(crate) fn decide_place_in_team(
        &self,
        authority: &Authority,
        command: &PlaceInTeam,
    ) -> Result<Option<Event>, Refusal> {
        let (org, user) = (command.org, command.user);
        self.require(authority, org, built_in::TEAMS_WRITE)?;
        let team = self.team(org, &command.slug)?;
        self.member_role(org, user)
            .ok_or(Refusal::Unknown(Noun::Member))?;
        if team.members.contains(&user) == command.inside {
            return Ok(None);
        }
        let team_id = team.id;
        if command.inside {
            self.check_grantable(authority, org, &team.scopes)?;
            Ok(Some(Event::TeamMemberAdded(TeamMemberAdded {
                org,
                team: team_id,
                user,
            })))
        } else {
            Ok(Some(Event::TeamMemberRemoved(TeamMemberRemoved {
                org,
                team: team_id,
                user,
            })))
        }
    }

    pub(crate) fn team_mut(&mut self, org: OrgId, id: TeamId) -> &mut Team {
        let mut teams = self.org_mut(org).teams.values_mut();
        teams
            .find(|team| team.id == id)
            .expect("an event names a team that exists")
    }

    pub(crate) fn apply_team_created(&mut self, event: &TeamCreated, at: Timestamp) {
        let team = Team {
            id: event.team,
            slug: event.slug.clone(),
            name: event.name.clone(),
            scopes: event.scopes.clone(),
            members: BTreeSet::new(),
            services: BTreeSet::new(),
            created_at: at,
        };
        self.org_mut(event.org)
            .teams
            .insert(event.slug.clone(), team);
    }

    pub(crate) fn apply_team_changed(&mut self, event: &TeamChanged) {
        let team = self.team_mut(event.org, event.team);
        team.name = event.name.clone();
        team.scopes = event.scopes.clone();
    }

    pub(crate) fn apply_team_deleted(&mut self, event: TeamDeleted) {
        let services = core::mem::take(&mut self.team_mut(event.org, event.team).services);
        for service in services {
            self.service_mut(service).teams.remove(&event.team);
        }
        self.org_mut(event.org)
            .teams
            .retain(|_, team| team.id != event.team);
    }

    pub(crate) fn apply_team_member_added(&mut self, event: TeamMemberAdded) {
        self.team_mut(event.org, event.team)
            .members
            .insert(event.user);
    }

    pub(crate) fn apply_team_member_removed(&mut self, event: TeamMemberRemoved) {
        self.team_mut(event.org, event.team)
            .members
            .remove(&event.user);
    }
}
