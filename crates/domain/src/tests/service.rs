//! Services, which are no way to rights that their maker lacks.

use super::world::*;
use crate::actor::Authority;
use crate::api_key::NewApiKey;
use crate::member::RemoveMember;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role::{self, Manager, Member, Owner};
use crate::service::{ChangeService, CreateService, DeleteService};

const SCOPE: &str = "services:write";

fn create(role: Role, teams: &[&str]) -> CreateService {
    create_service("new", role, teams)
}

fn with(api_key: NewApiKey) -> CreateService {
    CreateService {
        api_key,
        ..create(Member, &[])
    }
}

fn change(name: &str) -> ChangeService {
    ChangeService {
        org: org("acme"),
        slug: word(name),
        name: None,
        description: None,
        role: None,
        teams: None,
    }
}

fn join(name: &str, teams: &[&str]) -> ChangeService {
    let teams = teams.iter().map(|name| word(name)).collect();
    ChangeService {
        teams: Some(teams),
        ..change(name)
    }
}

fn become_(name: &str, role: Role) -> ChangeService {
    ChangeService {
        role: Some(role),
        ..change(name)
    }
}

fn delete(name: &str) -> DeleteService {
    DeleteService {
        org: org("acme"),
        slug: word(name),
    }
}

fn no_org() -> Then {
    refused(Refusal::Unknown(Noun::Organization))
}

fn no_service() -> Then {
    refused(Refusal::Unknown(Noun::Service))
}

fn no_team(slug: &str) -> Then {
    invalid(Field::Teams, Reason::UnknownTeam(word(slug)))
}

#[test]
fn who_makes_a_service() {
    let same_id = CreateService {
        service: service("ops"),
        ..create(Member, &[])
    };
    table! { world();
        password("gus"), create(Owner, &["none"])           => no_org();
        key("mia/keys"), create(Owner, &["none"])           => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), create(Owner, &["none"])             => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), create(Owner, &["none"])           => role_too_low(SCOPE, Manager);
        service_key("ci"), create(Owner, &["none"])         => role_too_low(SCOPE, Manager);
        password("max"), create(Owner, &["none"])           => refused(Refusal::AboveOwnRole(Owner));
        password("tom"), create(Manager, &["none"])         => refused(Refusal::AboveOwnRole(Manager));
        key("ada/some"), create(Manager, &["none"])         => refused(Refusal::RoleFromLimited);
        password("max"), create(Member, &["deployers", "none"]) => beyond("deploy:run");
        password("max"), create(Member, &["none", "deployers"]) => beyond("deploy:run");
        password("tom"), create(Member, &["auditors"])      => beyond("audit:read");
        password("ada"), create(Owner, &["none"])           => invalid(Field::Role, Reason::ServiceAsOwner);
        password("ada"), create(Manager, &["none"])         => no_team("none");
        password("ada"), create_service("ci", Manager, &[]) => refused(Refusal::Taken(Field::CredentialId));
        password("ada"), same_id                            => refused(Refusal::Taken(Field::CredentialId));
        password("tom"), create(Member, &["helpers"])       => happens("ServiceCreated");
        password("max"), create(Manager, &["auditors"])     => happens("ServiceCreated");
        service_key("ops"), create(Manager, &["auditors"])  => happens("ServiceCreated");
        password("ada"), create(Manager, &["deployers"])    => happens("ServiceCreated");
        Authority::SYSTEM, create(Manager, &["deployers"])  => happens("ServiceCreated");
    }
    let taken = CreateService {
        slug: word("ci"),
        ..create(Member, &[])
    };
    table! { world();
        password("max"), taken => refused(Refusal::Taken(Field::Name));
    }
}

#[test]
fn n107_a_services_key_reaches_no_further_than_its_maker() {
    let far = || until(unlimited("new"), after(2 * HOUR));
    let near = || until(unlimited("new"), after(HOUR));
    let unknown = |scope: &str| invalid(Field::Scopes, Reason::UnknownScope(word(scope)));
    table! { world();
        key("ada/some"), with(unlimited("new"))                 => refused(Refusal::UnlimitedFromLimited);
        key("ada/some"), with(limited("new", &["audit:read"]))  => beyond("audit:read");
        password("max"), with(limited("new", &["a:unknown", "deploy:run"])) => beyond("deploy:run");
        key("ada/short"), with(unlimited("new"))                => refused(Refusal::BeyondOwnLifetime);
        key("ada/short"), with(far())                           => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), with(unlimited("new"))                  => refused(Refusal::BeyondOwnNetworks);
        key("ada/test"), with(unlimited("new"))                 => refused(Refusal::LiveFromTest);
        password("max"), with(limited("new", &["a:unknown"]))   => unknown("a:unknown");
        password("max"), with(until(unlimited("new"), NOW))     => invalid(Field::ExpiresAt, Reason::InThePast);
        password("max"), with(unlimited("ci"))                  => refused(Refusal::Taken(Field::CredentialId));
        key("ada/short"), with(near())                          => happens("ServiceCreated");
        key("ada/some"), with(limited("new", &["files:read"]))  => happens("ServiceCreated");
        key("ada/test"), with(test(unlimited("new")))           => happens("ServiceCreated");
        key("ada/net"), with(from_net(unlimited("new"), "10.1.0.0/16")) => happens("ServiceCreated");
    }
}

#[test]
fn who_changes_a_service() {
    let renamed = || ChangeService {
        name: Some(word("CI")),
        ..change("ci")
    };
    let same = ChangeService {
        name: Some(word("ci")),
        description: Some(word("")),
        role: Some(Member),
        teams: Some(vec![]),
        ..change("ci")
    };
    table! { world();
        password("gus"), renamed()                      => no_org();
        key("mia/keys"), renamed()                      => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), renamed()                        => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), renamed()                      => role_too_low(SCOPE, Manager);
        service_key("ci"), renamed()                    => role_too_low(SCOPE, Manager);
        key("ada/test"), renamed()                      => no_service();
        password("max"), change("none")                 => no_service();
        password("max"), become_("ci", Owner)           => refused(Refusal::AboveOwnRole(Owner));
        password("tom"), become_("ci", Manager)         => refused(Refusal::AboveOwnRole(Manager));
        // Down is a touch as well.
        password("tom"), become_("ops", Member)         => refused(Refusal::AboveOwnRole(Manager));
        key("ada/some"), become_("ci", Manager)         => refused(Refusal::RoleFromLimited);
        password("max"), join("ci", &["none", "deployers"]) => beyond("deploy:run");
        password("tom"), join("ci", &["auditors"])      => beyond("audit:read");
        key("ada/some"), join("ci", &["auditors"])      => beyond("audit:read");
        password("ada"), become_("ci", Owner)           => invalid(Field::Role, Reason::ServiceAsOwner);
        password("max"), join("ci", &["none"])          => no_team("none");
        password("max"), change("ci")                   => NOTHING;
        password("max"), same                           => NOTHING;
        password("tom"), renamed()                      => happens("ServiceChanged");
        password("max"), become_("ci", Manager)         => happens("ServiceChanged");
        password("max"), become_("ops", Member)         => happens("ServiceChanged");
        password("max"), join("ci", &["auditors", "auditors"]) => happens("ServiceChanged");
        service_key("ops"), join("ci", &["auditors"])   => happens("ServiceChanged");
        password("ada"), join("ci", &["deployers"])     => happens("ServiceChanged");
    }
}

/// Goal: teams and services name each other, through every change; and a team that is there already
/// needs not be held to be kept.
#[test]
fn teams_and_services_agree() {
    let members = |world: &World, name: &str| {
        let acme = world.directory.org(org("acme")).unwrap();
        acme.team(team(name)).unwrap().services.clone()
    };
    let joined = world().after(password("ada"), join("ci", &["deployers"]));
    assert!(members(&joined, "deployers").contains(&service("ci")));
    table! { joined;
        password("max"), join("ci", &["deployers"])             => NOTHING;
        password("max"), join("ci", &["deployers", "auditors"]) => happens("ServiceChanged");
    }
    let moved = joined.after(password("max"), join("ci", &["auditors"]));
    assert!(members(&moved, "deployers").is_empty());
    assert!(members(&moved, "auditors").contains(&service("ci")));
    let gone = moved.after(password("max"), delete("ci"));
    assert!(members(&gone, "auditors").is_empty());
}

#[test]
fn a_deleted_service_is_gone_and_its_key_dead() {
    table! { world();
        password("gus"), delete("ci")  => no_org();
        key("mia/keys"), delete("ci")  => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), delete("ci")  => role_too_low(SCOPE, Manager);
        key("ada/test"), delete("ci")  => no_service();
        password("max"), delete("none") => no_service();
        password("max"), delete("ci")  => happens("ServiceDeleted");
        key("ada/test"), delete("box") => happens("ServiceDeleted");
        service_key("ops"), delete("ops") => happens("ServiceDeleted");
    }
    let gone = world().after(password("max"), delete("ci"));
    let key = gone.api_key("ci");
    assert_eq!(key.revoked_at(), Some(NOW));
    assert!(gone.directory.service_by_slug(org("acme"), "ci").is_none());
    let again = CreateService {
        api_key: unlimited("ci2"),
        ..create_service("ci", Member, &[])
    };
    table! { gone;
        password("max"), delete("ci")                   => no_service();
        password("max"), change("ci")                   => no_service();
        password("max"), rotate("ci")                   => refused(Refusal::Unknown(Noun::Key));
        // Its name is free, the id of its key is not.
        password("max"), create_service("ci", Member, &[]) => refused(Refusal::Taken(Field::CredentialId));
        password("max"), again                          => happens("ServiceCreated");
    }
}

/// Goal: a service is not tied to whoever made it.
#[test]
fn a_service_outlives_its_maker() {
    let made = world().after(password("max"), create(Manager, &[]));
    let gone = RemoveMember {
        org: org("acme"),
        user: user("max"),
    };
    table! { made.after(password("ada"), gone);
        service_key("new"), delete("ci") => happens("ServiceDeleted");
        password("max"), delete("ci")    => no_org();
    }
}
