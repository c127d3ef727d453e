//! Teams, by which one gives nothing that one does not hold.

use super::world::*;
use crate::actor::Authority;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::team::{ChangeTeam, CreateTeam, DeleteTeam, PlaceInTeam};

const SCOPE: &str = "teams:write";

fn create(name: &str, grants: &[&str]) -> CreateTeam {
    CreateTeam {
        org: org("acme"),
        team: team(name),
        slug: word(name),
        name: word(name),
        scopes: scopes(grants),
    }
}

fn change(name: &str, grants: Option<&[&str]>) -> ChangeTeam {
    ChangeTeam {
        org: org("acme"),
        slug: word(name),
        name: None,
        scopes: grants.map(scopes),
    }
}

fn rename(name: &str, to: &str) -> ChangeTeam {
    ChangeTeam {
        name: Some(word(to)),
        ..change(name, None)
    }
}

fn delete(name: &str) -> DeleteTeam {
    DeleteTeam {
        org: org("acme"),
        slug: word(name),
    }
}

fn place(who: &str, name: &str, inside: bool) -> PlaceInTeam {
    PlaceInTeam {
        org: org("acme"),
        slug: word(name),
        user: user(who),
        inside,
    }
}

fn no_org() -> Then {
    refused(Refusal::Unknown(Noun::Organization))
}

fn no_team() -> Then {
    refused(Refusal::Unknown(Noun::Team))
}

fn unknown(scope: &str) -> Then {
    invalid(Field::Scopes, Reason::UnknownScope(word(scope)))
}

#[test]
fn who_makes_a_team() {
    // The unknown scope sorts before the one that max does not hold: 403 comes first all the same.
    let both: &[&str] = &["a:unknown", "deploy:run"];
    let same_id = CreateTeam {
        team: team("helpers"),
        ..create("new", &[])
    };
    table! { world();
        password("gus"), create("auditors", both)          => no_org();
        key("mia/keys"), create("auditors", both)          => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), create("auditors", both)            => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), create("auditors", both)          => role_too_low(SCOPE, Role::Manager);
        key("ada/test"), create("auditors", both)          => refused(Refusal::LiveFromTest);
        password("max"), create("auditors", both)          => beyond("deploy:run");
        key("ada/some"), create("auditors", both)          => beyond("deploy:run");
        password("tom"), create("auditors", &["audit:read"]) => beyond("audit:read");
        password("ada"), create("auditors", both)          => unknown("a:unknown");
        password("ada"), create("auditors", &[])           => refused(Refusal::Taken(Field::Name));
        password("ada"), same_id                           => refused(Refusal::Taken(Field::CredentialId));
        password("tom"), create("new", &["users:write"])   => happens("TeamCreated");
        key("ada/some"), create("new", &["users:write"])   => happens("TeamCreated");
        service_key("ops"), create("new", &["audit:read"]) => happens("TeamCreated");
        password("ada"), create("new", &["deploy:run"])    => happens("TeamCreated");
        Authority::SYSTEM, create("new", &["deploy:run"])  => happens("TeamCreated");
    }
}

#[test]
fn who_changes_a_team() {
    table! { world();
        password("gus"), change("none", Some(&["deploy:run"]))      => no_org();
        key("mia/keys"), change("none", Some(&["deploy:run"]))      => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), change("none", Some(&["deploy:run"]))      => role_too_low(SCOPE, Role::Manager);
        key("ada/test"), change("none", Some(&["deploy:run"]))      => refused(Refusal::LiveFromTest);
        password("max"), change("none", Some(&["deploy:run"]))      => no_team();
        password("max"), change("auditors", Some(&["deploy:run"]))  => beyond("deploy:run");
        password("max"), change("deployers", Some(&["deploy:run", "files:read"])) => beyond("deploy:run");
        password("tom"), change("helpers", Some(&["teams:write", "audit:read"]))  => beyond("audit:read");
        key("ada/some"), change("auditors", Some(&["audit:read", "files:read"]))  => beyond("audit:read");
        password("max"), change("auditors", Some(&["no:such"]))     => unknown("no:such");
        password("max"), change("auditors", None)                   => NOTHING;
        password("max"), change("auditors", Some(&["audit:read"]))  => NOTHING;
        password("max"), rename("auditors", "auditors")             => NOTHING;
        // What is not given anew needs not be held.
        password("max"), rename("deployers", "Deploying")           => happens("TeamChanged");
        password("max"), change("deployers", Some(&[]))             => happens("TeamChanged");
        password("max"), change("auditors", Some(&["files:read"]))  => happens("TeamChanged");
    }
    let world = world().after(password("max"), rename("auditors", "Who look"));
    let acme = world.directory.org(org("acme")).unwrap();
    let auditors = acme.team(team("auditors")).unwrap();
    assert_eq!(auditors.name.as_str(), "Who look");
    assert_eq!(auditors.slug.as_str(), "auditors");
    assert_eq!(auditors.scopes, scopes(&["audit:read"]));
}

#[test]
fn who_deletes_a_team() {
    table! { world();
        password("gus"), delete("auditors") => no_org();
        key("mia/keys"), delete("auditors") => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), delete("auditors") => role_too_low(SCOPE, Role::Manager);
        key("ada/test"), delete("auditors") => refused(Refusal::LiveFromTest);
        password("max"), delete("none")     => no_team();
        password("max"), delete("auditors") => happens("TeamDeleted");
    }
    // Nothing points to what is gone, and what it granted is gone with it.
    let aud = service_created(
        "aud",
        Role::Member,
        &["auditors", "helpers"],
        unlimited("aud"),
    );
    let world = world()
        .given(aud)
        .after(password("max"), delete("auditors"));
    let service = world.directory.service(service("aud")).unwrap();
    assert_eq!(service.teams.iter().collect::<Vec<_>>(), [&team("helpers")]);
    let key = world.api_key("aud");
    assert!(
        !world
            .directory
            .effective_scopes(key, org("acme"))
            .contains("audit:read")
    );
    table! { world;
        password("max"), delete("auditors")               => no_team();
        password("max"), place("mia", "auditors", true)   => no_team();
        password("max"), create("auditors", &["users:read"]) => happens("TeamCreated");
    }
}

#[test]
fn n114_nobody_places_others_or_themselves_above_what_they_hold() {
    table! { world();
        password("gus"), place("mia", "none", true)       => no_org();
        key("mia/keys"), place("mia", "none", true)       => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), place("mia", "deployers", true)  => role_too_low(SCOPE, Role::Manager);
        key("ada/test"), place("mia", "none", true)       => refused(Refusal::LiveFromTest);
        password("max"), place("gus", "none", true)       => no_team();
        password("max"), place("gus", "deployers", true)  => refused(Refusal::Unknown(Noun::Member));
        password("max"), place("max", "deployers", true)  => beyond("deploy:run");
        password("max"), place("mia", "deployers", true)  => beyond("deploy:run");
        password("tom"), place("tom", "auditors", true)   => beyond("audit:read");
        key("ada/some"), place("mia", "auditors", true)   => beyond("audit:read");
        password("max"), place("tom", "helpers", true)    => NOTHING;
        password("max"), place("mia", "helpers", false)   => NOTHING;
        password("tom"), place("mia", "helpers", true)    => happens("TeamMemberAdded");
        password("max"), place("mia", "auditors", true)   => happens("TeamMemberAdded");
        password("ada"), place("mia", "deployers", true)  => happens("TeamMemberAdded");
        // Out needs no more than the right to manage teams.
        key("ada/some"), place("tom", "helpers", false)   => happens("TeamMemberRemoved");
    }
    let inside = world().after(password("max"), place("mia", "auditors", true));
    let rights = |world: &World| {
        let acme = world.directory.org(org("acme")).unwrap();
        world.directory.rights_of(password("mia").actor, acme)
    };
    assert!(rights(&inside).contains("audit:read"));
    let outside = inside.after(password("max"), place("mia", "auditors", false));
    assert!(!rights(&outside).contains("audit:read"));
}
