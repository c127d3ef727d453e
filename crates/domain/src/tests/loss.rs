//! Which event took away what somebody lacked: a story, what was lacking, and the event that a
//! reader of the whole story would name.

use core::ops::ControlFlow;

use super::world::*;
use crate::actor::Actor;
use crate::api_key::{
    Activation, ApiKeyActivated, ApiKeyEnabled, ApiKeyRestricted, RestrictApiKey,
};
use crate::credential::Environment;
use crate::entitlement::EntitlementRevoked;
use crate::event::Event;
use crate::loss::{Lack, Loss, LossSearch, Subject};
use crate::member::{InvitationAccepted, MemberRemoved, MemberRoleChanged};
use crate::offboarding::{MemberDisabled, MemberEnabled};
use crate::revocation::{ApiKeysRevocationUndone, ApiKeysRevoked, Reach, RevocationFilter};
use crate::role::Role;
use crate::service::{ServiceChanged, ServiceDeleted};
use crate::team::{TeamChanged, TeamDeleted, TeamMemberRemoved};
use crate::user::PasswordChanged;
use crate::user_key::UserKeyRevoked;

/// Somebody with a key of this name, asking in `acme`.
fn with_key(world: &World, name: &str) -> Subject {
    let key = world.api_key(name);
    Subject {
        actor: key.issued.holder.actor(),
        key: Some((credential(name), key.issued.holder)),
        org: Some(org("acme")),
    }
}

/// A person who asks in `acme`.
fn person(name: &str) -> Subject {
    Subject {
        actor: Actor::User(user(name)),
        key: None,
        org: Some(org("acme")),
    }
}

fn right(name: &str, minimum_role: Role) -> Lack {
    Lack::Right {
        right: word(name),
        minimum_role,
    }
}

/// Searches the newest `examined` records of a story.
fn search(world: &World, subject: Subject, lack: Lack, examined: usize) -> Option<Loss> {
    let mut search = LossSearch::new(subject, lack);
    let mut count = 0;
    for record in world.records.iter().rev().take(examined) {
        count += 1;
        if search.look(record) == ControlFlow::Break(()) {
            break;
        }
    }
    search.found(count == world.records.len())
}

/// The type and position of the event that a search through all finds.
fn found(world: &World, subject: Subject, lack: Lack) -> Option<(&'static str, u64)> {
    let loss = search(world, subject, lack, usize::MAX)?;
    let record = &world.records[usize::try_from(loss.position.get()).unwrap() - 1];
    assert_eq!((loss.at, loss.actor), (record.at, record.origin.actor));
    Some((loss.event, loss.position.get()))
}

/// Where the newest record of a story stands.
fn newest(world: &World) -> u64 {
    world.directory.position().get()
}

/// Asserts that the newest event of a story took it away, also with other events after it.
#[track_caller]
fn took(world: World, subject: Subject, lack: Lack) {
    let event = world.records.last().unwrap().event.name();
    let expected = Some((event, newest(&world)));
    let later = world
        .given(team_created("later", &["files:read"]))
        .given(key_created("gus/later", unlimited("gus/later")));
    assert_eq!(found(&later, subject, lack), expected);
}

fn restricted(name: &str, grants: Option<&[&str]>) -> Event {
    Event::ApiKeyRestricted(ApiKeyRestricted {
        id: credential(name),
        scopes: grants.map(scopes),
        expires_at: None,
        allowed_cidrs: [].into(),
        rate_limit: None,
    })
}

fn role_changed(name: &str, role: Role) -> Event {
    Event::MemberRoleChanged(MemberRoleChanged {
        org: org("acme"),
        user: user(name),
        role,
    })
}

fn team_changed(name: &str, grants: &[&str]) -> Event {
    Event::TeamChanged(TeamChanged {
        org: org("acme"),
        team: team(name),
        name: word(name),
        scopes: scopes(grants),
    })
}

fn out_of_team(name: &str, of: &str) -> Event {
    Event::TeamMemberRemoved(TeamMemberRemoved {
        org: org("acme"),
        team: team(of),
        user: user(name),
    })
}

fn service_changed(name: &str, role: Role, teams: &[&str]) -> Event {
    Event::ServiceChanged(ServiceChanged {
        service: service(name),
        name: word(name),
        description: word(""),
        role,
        teams: teams.iter().map(|name| team(name)).collect(),
    })
}

#[test]
fn what_ended_a_key() {
    let world = world();
    let max = with_key(&world, "max/full");
    let revoked = world.clone().given(Event::UserKeyRevoked(UserKeyRevoked {
        key: key_id("max/full"),
    }));
    took(revoked, max, Lack::Unrevoked);
    let ops = with_key(&world, "ops");
    let deleted = world.clone().given(Event::ServiceDeleted(ServiceDeleted {
        service: service("ops"),
    }));
    took(deleted, ops, Lack::Unrevoked);
    let pull = with_key(&world, "pull");
    let revoked = world
        .clone()
        .given(Event::EntitlementRevoked(EntitlementRevoked {
            entitlement: entitlement("pull"),
        }));
    took(revoked, pull, Lack::Unrevoked);

    let woken = Event::ApiKeyEnabled(ApiKeyEnabled {
        id: credential("max/full"),
    });
    let switched = world
        .clone()
        .given(disabled("max/full"))
        .given(woken)
        .given(disabled("max/full"));
    took(switched, max, Lack::Enabled);
    took(world.clone().given(disabled("ops")), ops, Lack::Enabled);
}

#[test]
fn what_limits_a_key_is_what_first_set_the_limit() {
    let world = world();
    let ada = password("ada");
    let full = with_key(&world, "ada/full");
    let end = |at| RestrictApiKey {
        expires_at: Some(Some(at)),
        ..restrict("ada/full")
    };
    let narrow = |names: &[&str]| RestrictApiKey {
        scopes: Some(Some(scopes(names))),
        ..restrict("ada/full")
    };
    let shortened = world.clone().after(ada, end(after(HOUR)));
    took(shortened.clone(), full, Lack::Unexpired(after(HOUR)));
    // What changes something else repeats the end, and did not set it.
    let expected = Some(("ApiKeyRestricted", newest(&shortened)));
    let narrowed = shortened.after(ada, narrow(&["files:read"]));
    let expired = Lack::Unexpired(after(2 * HOUR));
    assert_eq!(found(&narrowed, full, expired), expected);
    took(narrowed.clone(), full, Lack::Scope(word("files:write")));
    took(narrowed.clone(), full, Lack::NoScopes);
    assert_eq!(found(&narrowed, full, Lack::NoEnd), expected);
    assert_eq!(found(&narrowed, full, Lack::NoLimits), expected);

    let first = narrowed.after(ada, narrow(&["files:read", "keys:read"]));
    took(
        first.given(restricted("ada/full", Some(&["files:read"]))),
        full,
        Lack::Scope(word("keys:read")),
    );

    let net = with_key(&world, "ada/net");
    let elsewhere = Lack::Network(Some("192.0.2.1".parse().unwrap()));
    let made = found(&world, net, elsewhere.clone()).unwrap();
    assert_eq!(made.0, "UserKeyCreated");
    assert_eq!(found(&world, net, Lack::NoNetworks), Some(made));
    let inside = Lack::Network(Some("10.1.2.3".parse().unwrap()));
    assert_eq!(found(&world, net, inside), None);

    let slow = RestrictApiKey {
        rate_limit: Some(Some(rate(10, 60))),
        ..restrict("mia/full")
    };
    let slowed = world.after(password("mia"), slow);
    let full = with_key(&slowed, "mia/full");
    took(slowed.clone(), full, Lack::NoRateLimit);
    took(slowed, full, Lack::NoLimits);
}

#[test]
fn what_never_was_there_is_told_by_the_beginning() {
    let world = world();
    let made = |name: &str| {
        let id = credential(name);
        let makes = |event: &Event| {
            matches!(event, Event::UserKeyCreated(e) if e.api_key.id == id)
                || matches!(event, Event::EntitlementCreated(e) if e.api_key.id == id)
                || matches!(event, Event::ServiceCreated(e) if e.api_key.id == id)
        };
        let record = world.records.iter().find(|record| makes(&record.event));
        record.map(|record| (record.event.name(), record.position.get()))
    };
    let cases = [
        ("ada/none", Lack::Scope(word("files:read"))),
        ("ada/test", Lack::Live),
        ("ada/old", Lack::Unexpired(NOW)),
        ("ada/some", Lack::NoScopes),
        ("pull", right("services:write", Role::Manager)),
        ("pull", Lack::Person),
        ("ci", Lack::Person),
        ("ci", right("services:write", Role::Manager)),
        ("ops", Lack::Role(Role::Owner)),
    ];
    for (name, lack) in cases {
        let subject = with_key(&world, name);
        assert_eq!(found(&world, subject, lack.clone()), made(name), "{lack:?}");
    }
    assert_eq!(
        world.api_key("ada/test").issued.environment,
        Environment::Test
    );
    let mia = found(
        &world,
        person("mia"),
        right("services:write", Role::Manager),
    );
    assert_eq!(mia.unwrap().0, "MemberAdded");
    let mia = found(
        &world,
        with_key(&world, "mia/full"),
        Lack::Role(Role::Owner),
    );
    assert_eq!(mia.unwrap().0, "MemberAdded");
}

#[test]
fn what_took_a_role_or_a_team() {
    let manages = || right("services:write", Role::Manager);
    let demoted = world().given(role_changed("max", Role::Member));
    took(demoted.clone(), person("max"), manages());
    took(demoted.clone(), person("max"), Lack::Role(Role::Manager));
    took(
        demoted
            .given(role_changed("max", Role::Owner))
            .given(role_changed("max", Role::Member)),
        person("max"),
        manages(),
    );

    // Through a team alone: out of it, or the team lost the right, or the team is gone.
    took(
        world().given(out_of_team("tom", "helpers")),
        person("tom"),
        manages(),
    );
    took(
        world().given(team_changed("helpers", &["teams:write"])),
        person("tom"),
        manages(),
    );
    let gone = Event::TeamDeleted(TeamDeleted {
        org: org("acme"),
        team: team("helpers"),
    });
    took(world().given(gone), person("tom"), manages());

    // Whoever has it twice loses it with the second.
    let twice = world().given(in_team("max", "helpers"));
    let demoted = twice.given(role_changed("max", Role::Member));
    assert_eq!(
        found(&demoted, person("max"), manages()),
        None,
        "they have it"
    );
    took(
        demoted.given(out_of_team("max", "helpers")),
        person("max"),
        manages(),
    );
    // A team that never granted it took nothing.
    let other = world()
        .given(in_team("mia", "auditors"))
        .given(out_of_team("mia", "auditors"));
    let loss = found(&other, person("mia"), manages()).unwrap();
    assert_eq!(loss.0, "MemberAdded");
}

#[test]
fn what_took_it_from_a_service() {
    let world = world();
    let ops = with_key(&world, "ops");
    let manages = || right("services:write", Role::Manager);
    took(
        world
            .clone()
            .given(service_changed("ops", Role::Member, &[])),
        ops,
        manages(),
    );
    let in_helpers = service_changed("ops", Role::Member, &["helpers"]);
    let helped = world.given(in_helpers);
    assert_eq!(found(&helped, ops, manages()), None, "it has it");
    took(
        helped
            .clone()
            .given(service_changed("ops", Role::Member, &[])),
        ops,
        manages(),
    );
    took(
        helped.given(team_changed("helpers", &["teams:write"])),
        ops,
        manages(),
    );
}

#[test]
fn who_was_put_out_and_came_back() {
    let anywhere = Subject {
        org: None,
        ..person("max")
    };
    let out = world().given(Event::MemberRemoved(MemberRemoved {
        org: org("acme"),
        user: user("max"),
    }));
    took(out.clone(), anywhere, right("keys:verify", Role::Member));
    let back = out
        .given(invited("max", Role::Member))
        .given(Event::InvitationAccepted(InvitationAccepted {
            org: org("acme"),
            invitation: invitation("max"),
            user: user("max"),
            registered: None,
        }));
    let loss = found(&back, anywhere, right("services:write", Role::Manager));
    assert_eq!(loss.unwrap().0, "MemberRemoved", "it was lost before");
    assert_eq!(
        found(&back, anywhere, right("keys:verify", Role::Member)),
        None
    );
}

#[test]
fn who_was_switched_off() {
    let switched = |name: &str, on: bool| {
        let (org, user) = (org("acme"), user(name));
        if on {
            Event::MemberEnabled(MemberEnabled { org, user })
        } else {
            Event::MemberDisabled(MemberDisabled { org, user })
        }
    };
    let off = world().given(switched("max", false));
    let max = with_key(&off, "max/full");
    took(off.clone(), max, Lack::Active);
    // A key that was switched off itself before the person was off for a while.
    let before = world().given(disabled("max/full"));
    let expected = Some(("ApiKeyDisabled", newest(&before)));
    let back = before
        .given(switched("max", false))
        .given(switched("max", true));
    assert_eq!(found(&back, max, Lack::Enabled), expected);
    // Where they are off they are nothing.
    let anywhere = Subject {
        org: None,
        ..person("max")
    };
    let manages = || right("services:write", Role::Manager);
    took(off.clone(), anywhere, manages());
    let back = off.given(switched("max", true));
    assert_eq!(found(&back, anywhere, manages()), None);
}

#[test]
fn many_keys_at_once_and_one_that_lives_again() {
    let ended = |world: World| {
        let keys = vec![credential("mia/full"), credential("max/full")];
        world.given(Event::ApiKeysRevoked(ApiKeysRevoked {
            org: org("acme"),
            revocation: revocation("leak"),
            filter: RevocationFilter::default(),
            count: 2,
            keys,
            barred: vec![],
            unnamed: None,
        }))
    };
    let once = ended(world());
    let max = with_key(&once, "max/full");
    took(once.clone(), max, Lack::Unrevoked);
    let now = Activation::Now { grace_seconds: 0 };
    let again = once.given(rotated("max/full", "second", now));
    assert_eq!(found(&again, max, Lack::Unrevoked), None, "it is good");
    took(
        again.given(Event::UserKeyRevoked(UserKeyRevoked {
            key: key_id("max/full"),
        })),
        max,
        Lack::Unrevoked,
    );
}

#[test]
fn an_organization_that_revoked_a_key_for_itself_took_its_rights() {
    let barred = |world: World, unnamed: Option<Reach>| {
        let named = unnamed.is_none();
        world.given(Event::ApiKeysRevoked(ApiKeysRevoked {
            org: org("acme"),
            revocation: revocation("leak"),
            filter: RevocationFilter {
                owner: Some(Actor::User(user("max"))),
                ..RevocationFilter::default()
            },
            count: 1,
            keys: vec![],
            barred: if named {
                vec![credential("max/full")]
            } else {
                vec![]
            },
            unnamed,
        }))
    };
    let before = world().after(
        key("max/full"),
        crate::org::CreateOrg {
            org: org("other"),
            slug: word("other"),
            name: word("other"),
        },
    );
    let reach = Reach {
        up_to: Role::Owner,
        test_only: false,
        except: None,
    };
    let max = with_key(&before, "max/full");
    let anywhere = Subject { org: None, ..max };
    let once = barred(before.clone(), None);
    took(once.clone(), max, right("services:write", Role::Manager));
    took(once.clone(), max, Lack::Unbarred);
    assert_eq!(found(&once, max, Lack::Unrevoked), None);
    // In the other organization it can do what an owner can.
    assert_eq!(
        found(&once, anywhere, right("services:write", Role::Manager)),
        None
    );
    let undone = once
        .clone()
        .given(Event::ApiKeysRevocationUndone(ApiKeysRevocationUndone {
            org: org("acme"),
            revocation: revocation("leak"),
            count: 1,
            keys: vec![],
            barred: vec![credential("max/full")],
            unnamed: false,
        }));
    assert_eq!(
        found(&undone, max, right("services:write", Role::Manager)),
        None
    );
    assert_eq!(found(&undone, max, Lack::Unbarred), None);
    let renewed = once.after(password("max"), rotate("max/full"));
    assert_eq!(
        found(&renewed, max, right("services:write", Role::Manager)),
        None
    );
    // One of very many is known by when it was.
    let unnamed = barred(before, Some(reach));
    assert_eq!(found(&unnamed, max, Lack::Unbarred), None);
    let (org, id) = (org("acme"), credential("max/full"));
    let at = unnamed.directory.barred_at(org, id).unwrap();
    let mut search = LossSearch::new(max, Lack::Unbarred).ended_at(vec![at]);
    let newest = unnamed.records.last().unwrap();
    assert_eq!(search.look(newest), ControlFlow::Break(()));
    assert_eq!(search.found(false).unwrap().position, newest.position);
}

#[test]
fn what_replaced_a_secret_or_a_password() {
    let world = world();
    let max = with_key(&world, "max/full");
    assert_eq!(found(&world, max, Lack::Secret), None, "never replaced");
    let now = Activation::Now { grace_seconds: 0 };
    let once = world.clone().given(rotated("max/full", "second", now));
    took(once.clone(), max, Lack::Secret);
    took(
        once.clone().given(rotated("max/full", "third", now)),
        max,
        Lack::Secret,
    );
    let expected = Some(("ApiKeyRotated", newest(&once)));
    let waiting = once.given(rotated(
        "max/full",
        "third",
        Activation::FirstUse { grace_seconds: 0 },
    ));
    assert_eq!(found(&waiting, max, Lack::Secret), expected, "still waits");
    let used = Event::ApiKeyActivated(ApiKeyActivated {
        id: credential("max/full"),
    });
    took(waiting.given(used), max, Lack::Secret);

    let changed = || {
        Event::PasswordChanged(PasswordChanged {
            user: user("max"),
            password: new_user("max").password.into(),
        })
    };
    assert_eq!(found(&world, person("max"), Lack::Password), None);
    took(
        world.given(changed()).given(changed()),
        person("max"),
        Lack::Password,
    );
}

/// Goal: a search that ends early says nothing that the rest of the story could deny. Method: the
/// newest records of a story alone.
#[test]
fn a_search_that_ends_early_claims_no_beginning() {
    let manages = || right("services:write", Role::Manager);
    let story = world()
        .given(in_team("mia", "auditors"))
        .given(out_of_team("mia", "auditors"));
    assert_eq!(search(&story, person("mia"), manages(), 2), None);
    assert!(search(&story, person("mia"), manages(), usize::MAX).is_some());
    // What set the role itself is told, with however little behind it.
    let demoted = world().given(role_changed("max", Role::Member));
    let loss = search(&demoted, person("max"), manages(), 1).unwrap();
    assert_eq!(loss.event, "MemberRoleChanged");
}
