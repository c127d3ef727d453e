//! Who may do what, and in which order they are told why not.

use super::world::*;
use crate::actor::{Actor, Authority, Proof};
use crate::credential::Environment;
use crate::member::{ChangeMemberRole, RemoveMember};
use crate::org::AddScope;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::scope::{Access, ScopeEntry, built_in};
use crate::service::{CreateService, DeleteService};
use crate::team::{CreateTeam, DeleteTeam};
use crate::user_key::RevokeUserKey;

fn create_team(name: &str, grants: &[&str]) -> CreateTeam {
    CreateTeam {
        org: org("acme"),
        team: team("new"),
        slug: word(name),
        name: word(name),
        scopes: scopes(grants),
    }
}

fn delete_ci(org_name: &str) -> DeleteService {
    DeleteService {
        org: org(org_name),
        slug: word("ci"),
    }
}

/// Goal: what ended does nothing any more, whatever it asks for. Method: the same honest command
/// by everything that can have ended.
#[test]
fn what_ended_does_nothing() {
    let revoked = world().after(
        password("max"),
        RevokeUserKey {
            key: key_id("max/full"),
        },
    );
    let deleted = world().after(
        password("ada"),
        DeleteService {
            org: org("acme"),
            slug: word("ops"),
        },
    );
    let new_team = || create_team("new", &[]);
    let ended = || refused(Refusal::CredentialEnded);
    table! { revoked;
        key("max/full"), new_team() => ended();
    }
    table! { deleted;
        service_key("ops"), new_team() => ended();
    }
    table! { world();
        key("ada/off"), new_team()     => ended();
        key("ada/old"), new_team()     => ended();
        key("ada/never"), new_team()   => ended();
        service_key("never"), new_team() => ended();
        token("never"), new_team()     => ended();
        password("nobody"), new_team() => ended();
        session("max"), new_team()     => ended();
        // A proof that belongs to somebody else, or that its actor cannot have.
        by(Actor::User(user("ada")), secret("ci", 1)), new_team()     => ended();
        by(Actor::User(user("gus")), Proof::Session(session_id("ada"))), new_team()       => ended();
        by(Actor::User(user("ada")), Proof::Own), new_team()                              => ended();
        by(Actor::System, Proof::Password), new_team()                                    => ended();
        by(Actor::Service(service("ops")), Proof::Password), new_team()                   => ended();
        by(Actor::Entitlement(entitlement("pull")), Proof::Password), new_team()          => ended();
        // And what has not ended.
        session("ada"), new_team()     => happens("TeamCreated");
        password("ada"), new_team()    => happens("TeamCreated");
        key("ada/full"), new_team()    => happens("TeamCreated");
        service_key("ops"), new_team() => happens("TeamCreated");
        Authority::SYSTEM, new_team()  => happens("TeamCreated");
    }
}

/// Goal: good while now is before the end, to the microsecond (RFC 7519 §4.1.4), keys and sessions
/// alike; and a clock that was set back revives nothing.
#[test]
fn n134_n135_the_end_is_exact() {
    let end = after(HOUR);
    let team = || create_team("new", &[]);
    for who in [key("ada/short"), session("ada")] {
        table! { world().at(micros_off(end, -1));
            who, team() => happens("TeamCreated");
        }
        for late in [0, 1] {
            table! { world().at(micros_off(end, late));
                who, team() => refused(Refusal::CredentialEnded);
            }
        }
        // Something happens after the end, then the clock is set back.
        let later = world()
            .at(after(2 * HOUR))
            .after(password("ada"), create_team("x", &[]));
        table! { later.at(NOW);
            who, team() => refused(Refusal::CredentialEnded);
        }
    }
}

/// Goal: the order of precedence, on one command that can meet every kind of refusal. Method: each
/// line mends what the line before was refused for.
#[test]
fn each_refusal_hides_those_after_it() {
    let wrong = |name: &str| CreateService {
        api_key: until(unlimited("ci"), NOW),
        ..create_service(name, Role::Owner, &["no-team", "deployers"])
    };
    let elsewhere = CreateService {
        org: org("globex"),
        ..wrong("ci")
    };
    let nowhere = CreateService {
        org: org("none"),
        ..wrong("ci")
    };
    let no_org = || refused(Refusal::Unknown(Noun::Organization));
    let as_manager = || CreateService {
        role: Role::Manager,
        ..wrong("ci")
    };
    let no_deploying = || CreateService {
        teams: vec![word("no-team")],
        ..as_manager()
    };
    let known_teams = || CreateService {
        teams: vec![],
        ..as_manager()
    };
    let alive = || CreateService {
        api_key: unlimited("ci"),
        ..known_teams()
    };
    let fresh_key = || CreateService {
        api_key: unlimited("new"),
        ..alive()
    };
    let unknown_team = || invalid(Field::Teams, Reason::UnknownTeam(word("no-team")));
    table! { world();
        key("ada/old"), elsewhere.clone()  => refused(Refusal::CredentialEnded);
        key("ada/none"), elsewhere.clone() => no_org();
        password("ada"), elsewhere         => no_org();
        password("ada"), nowhere           => no_org();
        key("ada/none"), wrong("ci")       => refused(Refusal::InsufficientScope("services:write"));
        password("mia"), wrong("ci")       => role_too_low("services:write", Role::Manager);
        token("pull"), wrong("ci")         => refused(Refusal::InsufficientScope("services:write"));
        password("max"), wrong("ci")       => refused(Refusal::AboveOwnRole(Role::Owner));
        password("max"), as_manager()      => beyond("deploy:run");
        key("ada/test"), as_manager()      => refused(Refusal::LiveFromTest);
        password("ada"), wrong("ci")       => invalid(Field::Role, Reason::ServiceAsOwner);
        password("ada"), as_manager()      => unknown_team();
        password("max"), no_deploying()    => unknown_team();
        password("max"), known_teams()     => invalid(Field::ExpiresAt, Reason::InThePast);
        password("max"), alive()           => refused(Refusal::Taken(Field::CredentialId));
        password("max"), fresh_key()       => refused(Refusal::Taken(Field::Name));
    }
}

/// Goal: an organization is seen by those in it; for everybody else it is as if it were not
/// there.
#[test]
fn n110_strangers_learn_nothing() {
    let elsewhere = CreateService {
        org: org("globex"),
        ..create_service("far", Role::Manager, &[])
    };
    let world = world().after(password("gus"), elsewhere);
    for stranger in [
        password("gus"),
        key("gus/full"),
        service_key("far"),
        password("nobody"),
        service_key("never"),
        token("never"),
    ] {
        for name in ["acme", "none"] {
            let seen = world.directory.require_visible(&stranger, org(name));
            assert_eq!(seen.err(), Some(Refusal::Unknown(Noun::Organization)));
        }
    }
    for inside in [
        password("mia"),
        session("mia"),
        key("mia/keys"),
        service_key("ci"),
        token("pull"),
        Authority::SYSTEM,
    ] {
        let seen = world.directory.require_visible(&inside, org("acme"));
        assert!(seen.is_ok(), "{inside:?}");
    }
}

/// Goal: an entitlement token manages nothing, even where its scopes are called like it.
#[test]
fn an_entitlement_token_only_reads_what_others_serve() {
    let world = world().given(entitlement_created("wide", &["keys:verify", "users:read"]));
    let directory = &world.directory;
    let key = directory.api_key(credential("wide")).unwrap();
    assert!(directory.key_holds(key, directory.org(org("acme")).unwrap(), "users:read"));
    assert!(!directory.key_holds(key, directory.org(org("globex")).unwrap(), "users:read"));
    let too_low = |right| role_too_low(right, Role::Member).map(|_| ());
    let who = token("wide");
    assert_eq!(
        directory.require(&who, org("acme"), built_in::USERS_READ),
        too_low(built_in::USERS_READ)
    );
    assert_eq!(
        directory.require_anywhere(&who, built_in::KEYS_VERIFY),
        too_low(built_in::KEYS_VERIFY)
    );
}

/// Goal: what a refusal says of the role that would do is true.
#[test]
fn the_right_role_is_named() {
    let directory = world().directory;
    let cases = [
        (password("mia"), built_in::WORKSPACES_WRITE, Role::Manager),
        (password("nobody"), built_in::KEYS_VERIFY, Role::Member),
        (Authority::SYSTEM, built_in::SCOPES_WRITE, Role::Owner),
    ];
    for (who, right, minimum) in cases {
        let then = role_too_low(right, minimum).map(|_| ());
        assert_eq!(directory.require_anywhere(&who, right), then);
    }
}

/// Goal: nothing that no environment divides is changed by a test credential.
#[test]
fn n107_a_test_credential_changes_nothing_live() {
    let live = || refused(Refusal::LiveFromTest);
    let ada = key("ada/test");
    let add_scope = AddScope {
        org: org("acme"),
        entry: ScopeEntry {
            scope: word("new:scope"),
            description: word("new"),
            access: Access::Read,
            minimum_role: Role::Member,
        },
    };
    let mia = user("mia");
    let promote = ChangeMemberRole {
        org: org("acme"),
        user: mia,
        role: Role::Owner,
    };
    let in_test = || CreateService {
        api_key: test(unlimited("new")),
        ..create_service("new", Role::Member, &[])
    };
    table! { world();
        ada, create_team("new", &[])                                           => live();
        ada, DeleteTeam { org: org("acme"), slug: word("helpers") }            => live();
        ada, RemoveMember { org: org("acme"), user: mia }                      => live();
        ada, promote                                                           => live();
        ada, add_scope                                                         => live();
        ada, create_service("new", Role::Member, &[])                          => live();
        ada, create_key(unlimited("new"), "new")                               => live();
        // What is live is not there for it.
        ada, RevokeUserKey { key: key_id("ada/full") } => refused(Refusal::Unknown(Noun::Key));
        ada, delete_ci("acme")                         => refused(Refusal::Unknown(Noun::Service));
        ada, rotate("ci")                              => refused(Refusal::Unknown(Noun::Key));
        // What is in its own environment, is.
        ada, rotate("box")                                                     => happens("ApiKeyRotated");
        ada, in_test()                                                         => happens("ServiceCreated");
        ada, create_key(test(unlimited("new")), "new")                         => happens("UserKeyCreated");
    }
    let world = world();
    assert_eq!(world.directory.environment_of(&ada), Environment::Test);
    assert_eq!(
        world.directory.environment_of(&password("ada")),
        Environment::Live
    );
    assert!(world.directory.sees_key(&ada, credential("box")));
    assert!(!world.directory.sees_key(&ada, credential("ci")));
    assert!(!world.directory.sees_key(&ada, credential("never")));
    assert!(
        world
            .directory
            .sees_key(&key("ada/full"), credential("box"))
    );
}

/// Goal: what a key may do is its holder's rights, narrowed by its scopes, looked up at each
/// request: a demotion is felt by the very next one.
#[test]
fn n113_a_demotion_is_felt_at_once() {
    let demote = |name: &str| ChangeMemberRole {
        org: org("acme"),
        user: user(name),
        role: Role::Member,
    };
    let wide = limited("max/wide", &["audit:read", "files:read"]);
    let before = world().given(key_created("max/wide", wide));
    let held = |world: &World, name: &str| {
        let key = world.api_key(name);
        world.directory.effective_scopes(key, org("acme"))
    };
    assert_eq!(
        held(&before, "max/wide"),
        scopes(&["audit:read", "files:read"])
    );
    assert!(held(&before, "max/full").contains("users:write"));
    let after = before.after(password("ada"), demote("max"));
    assert_eq!(held(&after, "max/wide"), scopes(&["files:read"]));
    assert!(!held(&after, "max/full").contains("users:write"));
    // A team gives it back.
    let back = after.given(in_team("max", "auditors"));
    assert_eq!(
        held(&back, "max/wide"),
        scopes(&["audit:read", "files:read"])
    );
    let gone = RemoveMember {
        org: org("acme"),
        user: user("max"),
    };
    let gone = back.after(password("ada"), gone);
    assert!(held(&gone, "max/wide").is_empty());
    assert!(held(&gone, "max/full").is_empty());
    table! { gone;
        // In no organization a key is good for nothing; the password still follows an invitation.
        key("max/full"), create_team("new", &[]) => refused(Refusal::CredentialEnded);
        password("max"), create_team("new", &[]) => refused(Refusal::Unknown(Noun::Organization));
    }
}

/// Goal: the rights of each role are those below it and more; a service has its teams' besides.
#[test]
fn roles_rise() {
    let world = world().given(service_created(
        "aud",
        Role::Member,
        &["auditors"],
        unlimited("aud"),
    ));
    let acme = world.directory.org(org("acme")).unwrap();
    let of = |actor| world.directory.rights_of(actor, acme);
    let [ada, max, mia] = ["ada", "max", "mia"].map(|name| of(Actor::User(user(name))));
    assert!(mia.first_beyond(&max).is_none() && max.first_beyond(&ada).is_none());
    assert!(ada.contains("deploy:run") && !max.contains("deploy:run"));
    assert!(max.contains("audit:read") && !mia.contains("audit:read"));
    assert_eq!(of(Actor::Service(service("ci"))), mia);
    assert_eq!(of(Actor::Service(service("ops"))), max);
    let aud = of(Actor::Service(service("aud")));
    assert_eq!(aud.first_beyond(&mia), Some(&word("audit:read")));
    assert!(of(Actor::User(user("gus"))).is_empty());
    assert!(of(Actor::Entitlement(entitlement("pull"))).is_empty());
    assert_eq!(of(Actor::System), ada);
}
