//! Organizations, their catalogue, and the first owner of all.

use super::world::*;
use crate::actor::Authority;
use crate::event::Event;
use crate::member::RemoveMember;
use crate::org::{AddScope, CreateOrg, ORGS_OF_PERSON_MAX, SetUp};
use crate::refusal::{Field, Noun, Refusal};
use crate::role::Role;
use crate::scope::{Access, ScopeEntry};

fn set_up() -> SetUp {
    SetUp {
        org: org("acme"),
        slug: word("acme"),
        name: word("Acme"),
        owner: new_user("ada"),
    }
}

fn create_org(name: &str) -> CreateOrg {
    CreateOrg {
        org: org(name),
        slug: word(name),
        name: word(name),
    }
}

fn add_scope(org_name: &str, scope: &str) -> AddScope {
    AddScope {
        org: org(org_name),
        entry: ScopeEntry {
            scope: word(scope),
            description: word("new"),
            access: Access::Read,
            minimum_role: Role::Member,
        },
    }
}

#[test]
fn n116_the_first_owner_is_made_once() {
    table! { World::empty();
        password("ada"), set_up()   => refused(Refusal::CredentialEnded);
        key("ada/full"), set_up()   => refused(Refusal::CredentialEnded);
        Authority::SYSTEM, set_up() => happens("OrgCreated");
    }
    let world = World::empty().after(Authority::SYSTEM, set_up());
    table! { world;
        Authority::SYSTEM, set_up() => refused(Refusal::AlreadySetUp);
        password("ada"), set_up()   => refused(Refusal::AlreadySetUp);
    }
    let acme = world.directory.org_by_slug("acme").unwrap();
    assert_eq!(acme.members.get(&user("ada")), Some(&Role::Owner));
    assert_eq!(
        world.directory.user_by_email("ada@example.com").unwrap().id,
        user("ada")
    );
    assert_eq!(world.directory.user_by_slug("ada").unwrap().id, user("ada"));
}

#[test]
fn who_makes_an_organization_owns_it() {
    let scope = "workspaces:write";
    let same_id = CreateOrg {
        org: org("globex"),
        ..create_org("initech")
    };
    table! { world();
        service_key("ops"), create_org("initech") => refused(Refusal::UsersOnly);
        token("pull"), create_org("initech")      => refused(Refusal::UsersOnly);
        Authority::SYSTEM, create_org("initech")  => refused(Refusal::UsersOnly);
        key("mia/keys"), create_org("acme")       => refused(Refusal::InsufficientScope(scope));
        password("mia"), create_org("acme")       => role_too_low(scope, Role::Manager);
        key("ada/test"), create_org("acme")       => refused(Refusal::LiveFromTest);
        password("max"), create_org("acme")       => refused(Refusal::Taken(Field::Slug));
        // One that the caller may not see is taken all the same: slugs are the server's.
        password("max"), create_org("globex")     => refused(Refusal::Taken(Field::Slug));
        password("max"), same_id                  => refused(Refusal::Taken(Field::CredentialId));
        key("ada/some"), create_org("initech")    => happens("OrgCreated");
        password("max"), create_org("initech")    => happens("OrgCreated");
    }
    let world = world().after(password("max"), create_org("initech"));
    assert_eq!(
        world.directory.member_role(org("initech"), user("max")),
        Some(Role::Owner)
    );
    assert_eq!(world.directory.user(user("max")).unwrap().orgs.len(), 2);
    assert_eq!(
        world.directory.member_role(org("acme"), user("max")),
        Some(Role::Manager)
    );
}

#[test]
fn n130_a_person_is_in_so_many_organizations_and_can_leave_again() {
    let mut world = world();
    for number in 1..ORGS_OF_PERSON_MAX {
        world = world.after(password("max"), create_org(&format!("org-{number}")));
    }
    let orgs = &world.directory.user(user("max")).unwrap().orgs;
    assert_eq!(orgs.len(), ORGS_OF_PERSON_MAX);
    let leave = RemoveMember {
        org: org("acme"),
        user: user("max"),
    };
    table! { world;
        password("max"), create_org("one-more") => refused(Refusal::TooManyOrganizations);
        password("ada"), create_org("one-more") => happens("OrgCreated");
    }
    let world = world.after(password("max"), leave);
    table! { world;
        password("max"), create_org("one-more") => happens("OrgCreated");
    }
}

#[test]
fn who_adds_to_the_catalogue() {
    let scope = "scopes:write";
    table! { world();
        password("gus"), add_scope("acme", "files:read") => refused(Refusal::Unknown(Noun::Organization));
        key("ada/some"), add_scope("acme", "files:read") => refused(Refusal::InsufficientScope(scope));
        password("max"), add_scope("acme", "files:read") => role_too_low(scope, Role::Owner);
        service_key("ops"), add_scope("acme", "new:one") => role_too_low(scope, Role::Owner);
        key("ada/test"), add_scope("acme", "files:read") => refused(Refusal::LiveFromTest);
        password("ada"), add_scope("acme", "files:read") => refused(Refusal::Taken(Field::Name));
        password("ada"), add_scope("acme", "deploy:run") => refused(Refusal::Taken(Field::Name));
        password("ada"), add_scope("acme", "new:one")    => happens("ScopeAdded");
        // Each organization has its own.
        password("gus"), add_scope("globex", "deploy:run") => happens("ScopeAdded");
    }
    let world = world().after(password("ada"), add_scope("acme", "new:one"));
    let acme = world.directory.org(org("acme")).unwrap();
    assert_eq!(acme.minimum_role("new:one"), Some(Role::Member));
    assert_eq!(acme.minimum_role("files:read"), Some(Role::Member));
    assert_eq!(acme.minimum_role("no:such"), None);
    let globex = world.directory.org(org("globex")).unwrap();
    assert_eq!(globex.minimum_role("new:one"), None);
}

/// Goal: an event is told whole where nobody else would notice a missing field.
#[test]
fn the_event_of_a_new_organization() {
    let decided = world().decide(password("max"), create_org("initech"));
    let Ok(Some(Event::OrgCreated(event))) = decided else {
        panic!("decided {decided:?}");
    };
    assert_eq!(event.org, org("initech"));
    assert_eq!(event.slug.as_str(), "initech");
    assert_eq!(event.owner, user("max"));
    assert_eq!(event.registered, None);
}
