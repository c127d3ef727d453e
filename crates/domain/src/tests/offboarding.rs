//! Who leaves, what becomes of their keys, and how many keys end at once.

use super::world::*;
use crate::actor::{Actor, Authority};
use crate::api_key::{Ended, RevealApiKey};
use crate::credential::Environment;
use crate::event::Event;
use crate::member::{ChangeMemberRole, RemoveMember};
use crate::offboarding::{DisableMember, EnableMember, HandOverUserKey};
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::revocation::{
    HolderKind, LeftAlone, RevocationFilter, RevokeApiKeys, Selection, UndoRevocation,
};
use crate::role::Role::{self, Manager, Member, Owner};
use crate::service::DeleteService;
use crate::user_key::RevokeUserKey;

const SCOPE: &str = "users:write";

fn disable(name: &str) -> DisableMember {
    DisableMember {
        org: org("acme"),
        user: user(name),
    }
}

fn enable(name: &str) -> EnableMember {
    EnableMember {
        org: org("acme"),
        user: user(name),
    }
}

fn change(name: &str, role: Role) -> ChangeMemberRole {
    ChangeMemberRole {
        org: org("acme"),
        user: user(name),
        role,
    }
}

fn no_org() -> Then {
    refused(Refusal::Unknown(Noun::Organization))
}

/// mia is in globex, too.
fn with_two_orgs() -> World {
    let mut world = world();
    let event = Event::MemberInvited(crate::member::MemberInvited {
        org: org("globex"),
        invitation: invitation("mia"),
        email: email("mia").into(),
        role: Member,
        token: credential("miatoglob"),
        digest: digest("come in"),
        expires_at: after(HOUR),
    });
    world = world.given(event);
    world.given(Event::InvitationAccepted(
        crate::member::InvitationAccepted {
            org: org("globex"),
            invitation: invitation("mia"),
            user: user("mia"),
            registered: None,
        },
    ))
}

#[test]
fn who_switches_whom_off() {
    table! { world();
        password("gus"), disable("mia")       => no_org();
        key("mia/keys"), disable("max")       => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), disable("mia")         => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), disable("mia")       => role_too_low(SCOPE, Manager);
        key("ada/test"), disable("mia")       => refused(Refusal::LiveFromTest);
        password("max"), disable("gus")       => refused(Refusal::Unknown(Noun::Member));
        password("max"), disable("ada")       => refused(Refusal::AboveOwnRole(Owner));
        password("tom"), disable("max")       => refused(Refusal::AboveOwnRole(Manager));
        key("ada/some"), disable("max")       => refused(Refusal::RoleFromLimited);
        password("ada"), disable("ada")       => refused(Refusal::LastOwner);
        Authority::SYSTEM, disable("ada")     => refused(Refusal::LastOwner);
        key("ada/some"), disable("mia")       => happens("MemberDisabled");
        password("tom"), disable("mia")       => happens("MemberDisabled");
        password("max"), disable("max")       => happens("MemberDisabled");
        service_key("ops"), disable("max")    => happens("MemberDisabled");
    }
    let off = world().after(password("ada"), disable("mia"));
    table! { off;
        password("ada"), disable("mia")       => NOTHING;
        password("gus"), enable("mia")        => no_org();
        key("ada/some"), enable("mia")        => beyond("clients:read");
        password("max"), enable("max")        => NOTHING;
        password("max"), enable("mia")        => happens("MemberEnabled");
    }
    // A second owner who is switched off leaves the first the last.
    let two = world()
        .after(password("ada"), change("max", Owner))
        .after(password("ada"), disable("max"));
    table! { two;
        password("ada"), disable("ada")       => refused(Refusal::LastOwner);
        password("ada"), change("ada", Member) => refused(Refusal::LastOwner);
        password("ada"), change("max", Member) => happens("MemberRoleChanged");
    }
}

#[test]
fn n86_n98_who_is_switched_off_everywhere_is_out_at_once() {
    let off = world().after(password("ada"), disable("mia"));
    let ended = || refused(Refusal::CredentialEnded);
    table! { off;
        password("mia"), create_key(unlimited("mia/new"), "new") => ended();
        session("mia"), create_key(unlimited("mia/new"), "new")  => ended();
        key("mia/full"), create_key(unlimited("mia/new"), "new") => ended();
    }
    let directory = &off.directory;
    assert!(directory.session(session_id("mia")).is_none());
    assert!(directory.session(session_id("ada")).is_some());
    let full = off.api_key("mia/full");
    assert_eq!(directory.standing_of(full, off.now), Err(Ended::Disabled));
    assert!(directory.effective_scopes(full, org("acme")).is_empty());
    // What comes again is what was, apart from the sessions.
    let on = off.clone().after(password("ada"), enable("mia"));
    assert_eq!(
        on.directory.standing_of(on.api_key("mia/full"), on.now),
        Ok(())
    );
    assert!(on.directory.session(session_id("mia")).is_none());
    assert_eq!(
        on.directory.rights_of(
            Actor::User(user("mia")),
            on.directory.org(org("acme")).unwrap()
        ),
        world().directory.rights_of(
            Actor::User(user("mia")),
            world().directory.org(org("acme")).unwrap()
        ),
    );
    // Who was put out signs in to follow an invitation, and has no key for anything.
    let remove = RemoveMember {
        org: org("acme"),
        user: user("mia"),
    };
    let out = off.after(password("ada"), remove);
    assert!(out.directory.may_sign_in(user("mia")));
    table! { out;
        key("mia/full"), create_key(unlimited("mia/new"), "new") => ended();
    }
}

#[test]
fn who_is_switched_off_in_one_organization_works_in_the_other() {
    let off = with_two_orgs().after(password("ada"), disable("mia"));
    table! { off;
        key("mia/full"), create_key(unlimited("mia/new"), "new") => happens("UserKeyCreated");
        password("mia"), disable("tom")                          => no_org();
    }
    let key = off.api_key("mia/full");
    assert!(off.directory.effective_scopes(key, org("acme")).is_empty());
    assert!(
        !off.directory
            .effective_scopes(key, org("globex"))
            .is_empty()
    );
    assert!(off.directory.session(session_id("mia")).is_some());
}

#[test]
fn who_is_switched_off_may_still_leave() {
    let leave = |name: &str| RemoveMember {
        org: org("acme"),
        user: user(name),
    };
    let off = with_two_orgs().after(password("ada"), disable("mia"));
    table! { off;
        key("mia/full"), leave("mia")         => no_org();
        password("mia"), leave("tom")         => no_org();
        password("gus"), leave("gus")         => no_org();
        password("mia"), leave("mia")         => happens("MemberRemoved");
        session("mia"), leave("mia")          => happens("MemberRemoved");
    }
    // One of two owners who is switched off goes; the other stays the last.
    let two = with_two_orgs()
        .after(password("ada"), change("mia", Owner))
        .after(password("ada"), disable("mia"));
    table! { two;
        password("ada"), leave("ada")         => refused(Refusal::LastOwner);
        password("mia"), leave("mia")         => happens("MemberRemoved");
    }
}

fn hand_over(key: &str, name: &str) -> HandOverUserKey {
    HandOverUserKey {
        org: org("acme"),
        key: key_id(key),
        service: service(name),
        slug: word(name),
        name: word(name),
        description: word(""),
        role: Member,
        teams: Vec::new(),
    }
}

#[test]
fn who_hands_a_key_over() {
    let off = world().after(password("ada"), disable("mia"));
    let no_key = || refused(Refusal::Unknown(Noun::Key));
    let as_owner = HandOverUserKey {
        role: Owner,
        ..hand_over("mia/full", "new")
    };
    let in_team = HandOverUserKey {
        teams: vec![word("deployers")],
        ..hand_over("mia/full", "new")
    };
    let nowhere = HandOverUserKey {
        teams: vec![word("nobody")],
        ..hand_over("mia/full", "new")
    };
    table! { off;
        password("gus"), hand_over("mia/full", "ci")  => no_org();
        key("mia/keys"), hand_over("mia/full", "ci")  => refused(Refusal::CredentialEnded);
        key("ada/none"), hand_over("mia/full", "ci")  => refused(Refusal::InsufficientScope("services:write"));
        password("max"), hand_over("gus/full", "ci")  => no_key();
        password("max"), hand_over("no/such", "ci")   => no_key();
        password("tom"), hand_over("max/full", "ci")  => refused(Refusal::AboveOwnRole(Manager));
        password("max"), in_team                      => beyond("deploy:run");
        key("ada/some"), hand_over("mia/full", "new") => beyond("clients:read");
        key("ada/short"), hand_over("mia/full", "new") => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), hand_over("mia/full", "new")  => refused(Refusal::BeyondOwnNetworks);
        password("ada"), as_owner                     => invalid(Field::Role, Reason::ServiceAsOwner);
        password("ada"), nowhere                      => invalid(Field::Teams, Reason::UnknownTeam(word("nobody")));
        password("ada"), hand_over("max/full", "new") => refused(Refusal::MemberNotDisabled);
        password("max"), hand_over("mia/full", "ci")  => refused(Refusal::Taken(Field::Name));
        password("max"), hand_over("mia/full", "new") => happens("UserKeyHandedOver");
        service_key("ops"), hand_over("mia/keys", "new") => happens("UserKeyHandedOver");
    }
    let elsewhere = with_two_orgs().after(password("ada"), disable("mia"));
    table! { elsewhere;
        password("ada"), hand_over("mia/full", "new") => refused(Refusal::KeyWorksElsewhere);
    }
}

#[test]
fn a_key_that_is_handed_over_goes_on_working_for_what_it_could_do() {
    let off = world().after(password("ada"), disable("mia"));
    let could = {
        let before = world();
        before
            .directory
            .effective_scopes(before.api_key("mia/full"), org("acme"))
    };
    let on = off.after(password("ada"), hand_over("mia/full", "nightly"));
    let key = on.api_key("mia/full");
    assert_eq!(on.directory.standing_of(key, on.now), Ok(()));
    assert_eq!(
        key.issued.holder.actor(),
        Actor::Service(service("nightly"))
    );
    assert_eq!(key.scopes.as_ref(), Some(&could));
    assert_eq!(on.directory.effective_scopes(key, org("acme")), could);
    assert!(on.shown("mia/full", "mia/full").is_some());
    assert!(on.directory.user_key(key_id("mia/full")).is_none());
    // Its old owner has nothing of it any more, and it is rotated as any service's.
    let on = on.after(password("ada"), enable("mia"));
    table! { on;
        password("mia"), RevokeUserKey { key: key_id("mia/full") } => refused(Refusal::Unknown(Noun::Key));
        password("mia"), rotate("mia/full")           => role_too_low("services:write", Manager);
        password("mia"), RevealApiKey { id: credential("mia/full") } => refused(Refusal::Unknown(Noun::Key));
        password("max"), rotate("mia/full")           => happens("ApiKeyRotated");
        password("max"), DeleteService { org: org("acme"), slug: word("nightly") } => happens("ServiceDeleted");
    }
}

fn revoke(filter: RevocationFilter) -> RevokeApiKeys {
    RevokeApiKeys {
        org: org("acme"),
        revocation: revocation("new"),
        filter,
        expected_count: None,
    }
}

fn of_kind(kind: HolderKind) -> RevocationFilter {
    RevocationFilter {
        kind: Some(kind),
        ..RevocationFilter::default()
    }
}

fn all() -> RevocationFilter {
    RevocationFilter {
        all: true,
        ..RevocationFilter::default()
    }
}

fn undo(name: &str) -> UndoRevocation {
    UndoRevocation {
        org: org("acme"),
        revocation: revocation(name),
    }
}

#[test]
fn who_revokes_many_keys() {
    let nothing = || revoke(RevocationFilter::default());
    let services = || revoke(of_kind(HolderKind::Service));
    let expecting = |count| RevokeApiKeys {
        expected_count: Some(count),
        ..services()
    };
    let of_gus = RevocationFilter {
        owner: Some(Actor::User(user("gus"))),
        ..RevocationFilter::default()
    };
    table! { world();
        password("gus"), nothing()        => no_org();
        key("mia/keys"), nothing()        => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), nothing()        => role_too_low(SCOPE, Manager);
        password("mia"), services()       => role_too_low("services:write", Manager);
        key("ada/test"), revoke(all())    => refused(Refusal::LiveFromTest);
        // tom's team grants users:write and services:write, and no entitlements:write.
        password("tom"), revoke(all())    => role_too_low("entitlements:write", Manager);
        password("ada"), nothing()        => invalid(Field::Filter, Reason::MeansAll);
        password("ada"), expecting(2)     => refused(Refusal::OtherCount(3));
        password("ada"), revoke(of_gus)   => NOTHING;
        password("ada"), expecting(3)     => happens("ApiKeysRevoked");
        password("tom"), services()       => happens("ApiKeysRevoked");
        key("ada/test"), services()       => happens("ApiKeysRevoked");
        password("max"), revoke(all())    => happens("ApiKeysRevoked");
    }
}

fn select(world: &World, who: Authority, filter: &RevocationFilter) -> Selection {
    let directory = &world.directory;
    let selection = directory.select_for_revocation(&who, org("acme"), filter);
    selection.expect("they may")
}

#[test]
fn what_a_filter_means() {
    let world = with_two_orgs();
    let ids = |names: &[&str]| {
        let mut ids: Vec<_> = names.iter().map(|name| credential(name)).collect();
        ids.sort_unstable();
        ids
    };
    let selected = |who, filter: &RevocationFilter| {
        let mut keys = select(&world, who, filter).keys;
        keys.sort_unstable();
        keys
    };
    let owner = || password("ada");
    assert_eq!(
        selected(owner(), &of_kind(HolderKind::Service)),
        ids(&["ci", "ops", "box"])
    );
    // A test credential sees test keys alone.
    assert_eq!(
        selected(key("ada/test"), &of_kind(HolderKind::Service)),
        ids(&["box"])
    );
    assert_eq!(
        selected(owner(), &of_kind(HolderKind::Entitlement)),
        ids(&["pull"])
    );
    let test = RevocationFilter {
        environment: Some(Environment::Test),
        ..RevocationFilter::default()
    };
    assert_eq!(selected(owner(), &test), ids(&["ada/test", "box"]));
    let of_max = RevocationFilter {
        owner: Some(Actor::User(user("max"))),
        ..RevocationFilter::default()
    };
    assert_eq!(selected(owner(), &of_max), ids(&["max/full"]));
    let early = RevocationFilter {
        created_before: Some(micros_off(NOW, -1_000_000)),
        ..RevocationFilter::default()
    };
    assert!(selected(owner(), &early).is_empty());
    // Only an owner's keys run deployments, and only those that no scopes narrow.
    let deploying = RevocationFilter {
        scope: Some(word("deploy:run")),
        kind: Some(HolderKind::User),
        ..RevocationFilter::default()
    };
    assert_eq!(
        selected(owner(), &deploying),
        ids(&[
            "ada/full",
            "ada/test",
            "ada/short",
            "ada/net",
            "ada/off",
            "ada/old"
        ])
    );
    // A manager leaves an owner's keys alone, and a credential itself; what works elsewhere is barred
    // from here.
    let users = of_kind(HolderKind::User);
    let by_manager = select(&world, key("max/full"), &users);
    assert!(by_manager.keys.is_empty());
    assert!(by_manager.barred.contains(&credential("mia/full")));
    for (name, reason) in [
        ("ada/full", LeftAlone::AboveOwnRole),
        ("max/full", LeftAlone::OwnCredential),
    ] {
        assert!(
            by_manager.left_alone.contains(&(credential(name), reason)),
            "{name}"
        );
    }
    let with_self = RevocationFilter {
        include_self: true,
        ..users
    };
    assert_eq!(selected(key("max/full"), &with_self), ids(&["max/full"]));
}

#[test]
fn an_undo_restores_exactly_what_the_revocation_ended() {
    let before = world();
    let done = before.clone().after(password("ada"), revoke(all()));
    for name in ["ci", "pull", "ada/full", "mia/full", "ada/off"] {
        assert_eq!(
            done.api_key(name).standing(done.now),
            Err(Ended::Revoked),
            "{name}"
        );
    }
    assert!(done.directory.service(service("ci")).is_some());
    table! { done;
        password("gus"), undo("new")       => no_org();
        password("mia"), undo("new")       => role_too_low(SCOPE, Manager);
        password("ada"), undo("other")     => refused(Refusal::Unknown(Noun::Revocation));
        password("max"), undo("new")       => refused(Refusal::AboveOwnRole(Owner));
        password("ada"), undo("new")       => happens("ApiKeysRevocationUndone");
    }
    let late = done.at(after(HOUR));
    let in_time = done.at(micros_off(after(HOUR), -1_000_000));
    table! { late;
        password("ada"), undo("new")       => refused(Refusal::TooLateToUndo);
    }
    table! { in_time;
        password("ada"), undo("new")       => happens("ApiKeysRevocationUndone");
    }
    let undone = done.clone().after(password("ada"), undo("new"));
    for key in before.directory.api_keys.iter() {
        let id = &key.issued.id;
        assert_eq!(undone.directory.api_key(*id), Some(key));
    }
    table! { undone;
        password("ada"), undo("new")       => NOTHING;
    }
    // What was ended or replaced by itself meanwhile stays so.
    let meanwhile = done
        .after(password("ada"), rotate("ci"))
        .after(
            password("mia"),
            RevokeUserKey {
                key: key_id("mia/full"),
            },
        )
        .after(
            password("ada"),
            DeleteService {
                org: org("acme"),
                slug: word("ops"),
            },
        );
    let ci = meanwhile.api_key("ci").clone();
    assert_eq!(ci.standing(meanwhile.now), Ok(()));
    assert!(
        meanwhile.shown("ci", "ci").is_none(),
        "no grace for a revoked secret"
    );
    let undone = meanwhile.after(password("ada"), undo("new"));
    assert_eq!(undone.api_key("ci"), &ci);
    for name in ["mia/full", "ops"] {
        assert_eq!(
            undone.api_key(name).standing(undone.now),
            Err(Ended::Revoked),
            "{name}"
        );
    }
    assert_eq!(undone.api_key("pull").standing(undone.now), Ok(()));
}

#[test]
fn a_later_revocation_keeps_what_an_earlier_one_gives_back() {
    let services = || revoke(of_kind(HolderKind::Service));
    let again = RevokeApiKeys {
        revocation: revocation("again"),
        ..services()
    };
    let world = world()
        .after(password("ada"), services())
        .after(password("ada"), rotate("ci"))
        .after(password("ada"), again)
        .after(password("ada"), undo("new"));
    assert_eq!(world.api_key("ci").standing(world.now), Err(Ended::Revoked));
    assert_eq!(world.api_key("ops").standing(world.now), Ok(()));
    let world = world.after(password("ada"), undo("again"));
    assert_eq!(world.api_key("ci").standing(world.now), Ok(()));
}
