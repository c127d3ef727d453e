//! What organizations demand of keys, and that nothing gets around it.

use super::world::*;
use crate::api_key::{DisabledFor, RestrictApiKey, RevealApiKey};
use crate::event::Event;
use crate::policy::{ChangeOrgPolicy, DisableIdleApiKey, OrgPolicyChanged};
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role::{Manager, Member};
use crate::time::Timestamp;
use crate::user_key::CreateUserKey;

const SCOPE: &str = "workspaces:write";

const NO_CHANGE: ChangeOrgPolicy = ChangeOrgPolicy {
    org: crate::id::OrgId::from_bytes([0; 16]),
    max_life_seconds: None,
    expiry_required: None,
    idle_disable_seconds: None,
    retrievable_keys: None,
};

fn demand(change: ChangeOrgPolicy) -> ChangeOrgPolicy {
    ChangeOrgPolicy {
        org: org("acme"),
        ..change
    }
}

fn max_life(seconds: u64) -> ChangeOrgPolicy {
    demand(ChangeOrgPolicy {
        max_life_seconds: Some(Some(seconds)),
        ..NO_CHANGE
    })
}

fn idle(seconds: u64) -> ChangeOrgPolicy {
    demand(ChangeOrgPolicy {
        idle_disable_seconds: Some(Some(seconds)),
        ..NO_CHANGE
    })
}

fn must_end() -> ChangeOrgPolicy {
    demand(ChangeOrgPolicy {
        expiry_required: Some(true),
        ..NO_CHANGE
    })
}

fn not_retrievable() -> ChangeOrgPolicy {
    demand(ChangeOrgPolicy {
        retrievable_keys: Some(false),
        ..NO_CHANGE
    })
}

fn ends(name: &str, end: Option<Timestamp>) -> RestrictApiKey {
    RestrictApiKey {
        expires_at: Some(end),
        ..restrict(name)
    }
}

fn too_late(end: Timestamp) -> Then {
    invalid(Field::ExpiresAt, Reason::PolicyEnd(end))
}

#[test]
fn who_changes_the_policy() {
    table! { world();
        password("gus"), must_end()    => refused(Refusal::Unknown(Noun::Organization));
        key("mia/keys"), must_end()    => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), must_end()    => role_too_low(SCOPE, Manager);
        key("ada/test"), must_end()    => refused(Refusal::LiveFromTest);
        password("ada"), max_life(0)   => invalid(Field::MaxLifeSeconds, Reason::AtLeast(1));
        password("ada"), idle(3_599)   => invalid(Field::IdleDisableSeconds, Reason::AtLeast(HOUR));
        password("ada"), demand(NO_CHANGE) => NOTHING;
        password("max"), must_end()    => happens("OrgPolicyChanged");
        key("ada/some"), max_life(1)   => happens("OrgPolicyChanged");
    }
}

#[test]
fn no_new_key_and_no_change_gets_around_the_end() {
    let world = world().after(password("ada"), must_end());
    let needs_end = || invalid(Field::ExpiresAt, Reason::PolicyNeedsEnd);
    table! { world;
        password("mia"), create_key(unlimited("mia/new"), "new") => needs_end();
        password("ada"), create_service("new", Member, &[])      => needs_end();
        key("ada/short"), ends("ada/short", None)                => refused(Refusal::BeyondOwnLifetime);
        password("ada"), ends("ada/short", None)                 => needs_end();
        password("ada"), ends("ada/full", Some(after(9 * HOUR))) => happens("ApiKeyRestricted");
        password("mia"), create_key(until(unlimited("mia/new"), after(9 * HOUR)), "new") => happens("UserKeyCreated");
        // A key of before goes on, and a new secret lengthens no life.
        password("mia"), rotate("mia/full")                      => happens("ApiKeyRotated");
    }
    let world = world.after(password("ada"), max_life(2 * HOUR));
    let late = after(2 * HOUR + 1);
    table! { world;
        password("mia"), create_key(unlimited("mia/new"), "new") => too_late(after(2 * HOUR));
        password("mia"), create_key(until(unlimited("mia/new"), late), "new") => too_late(after(2 * HOUR));
        password("mia"), create_key(until(unlimited("mia/new"), after(2 * HOUR)), "new") => happens("UserKeyCreated");
        // An earlier end is always right, even one that is still too late.
        password("ada"), ends("ada/full", Some(late))            => happens("ApiKeyRestricted");
    }
    // The end of a key counts from the making of its secret: it is not put off for ever.
    let made = micros_off(NOW, -1_000_000);
    let later = world.at(after(HOUR / 2));
    table! { later;
        password("ada"), ends("ada/short", Some(micros_off(made, 7_200_000_001))) => too_late(micros_off(made, 7_200_000_000));
        password("ada"), ends("ada/short", Some(micros_off(made, 7_200_000_000))) => happens("ApiKeyRestricted");
    }
    let rotated = later.after(password("ada"), rotate("ada/short"));
    table! { rotated;
        password("ada"), ends("ada/short", Some(after(HOUR / 2 + 2 * HOUR))) => happens("ApiKeyRestricted");
    }
}

#[test]
fn the_strictest_organization_of_a_person_decides() {
    let globex = OrgPolicyChanged {
        org: org("globex"),
        max_life_seconds: Some(HOUR),
        expiry_required: false,
        idle_disable_seconds: None,
        retrievable_keys: true,
    };
    let world = world()
        .given(Event::OrgPolicyChanged(globex))
        .after(password("ada"), max_life(9 * HOUR));
    let create = |name: &str| create_key(until(unlimited(name), after(2 * HOUR)), "new");
    table! { world;
        password("mia"), create("mia/new") => happens("UserKeyCreated");
        password("gus"), create("gus/new") => too_late(after(HOUR));
    }
    table! { mia_joins_globex(world);
        password("mia"), create("mia/new") => too_late(after(HOUR));
    }
}

#[test]
fn keys_that_are_not_to_be_read_again_are_neither_sealed_nor_shown() {
    let create = |name: &str, handle: &str| CreateUserKey {
        sealed: Some(sealed(name)),
        ..create_key(unlimited(name), handle)
    };
    let reveal = |name: &str| RevealApiKey {
        id: credential(name),
    };
    let world = world()
        .after(password("mia"), create("mia/old", "before"))
        .after(password("ada"), not_retrievable())
        .after(password("mia"), create("mia/new", "since"));
    assert!(world.api_key("mia/new").sealed().is_none());
    table! { world;
        password("mia"), reveal("mia/new") => NOTHING;
        password("mia"), reveal("mia/old") => NOTHING;
        key("mia/old"), reveal("mia/old")  => NOTHING;
    }
    let rotated = crate::api_key::RotateApiKey {
        sealed: Some(sealed("second")),
        ..rotate("mia/old")
    };
    let world = world.after(password("mia"), rotated);
    assert!(world.api_key("mia/old").sealed().is_none());
}

fn disable_idle(name: &str, last_used_at: Option<Timestamp>) -> DisableIdleApiKey {
    DisableIdleApiKey {
        id: credential(name),
        last_used_at,
    }
}

#[test]
fn what_lies_idle_is_switched_off_by_the_server_alone() {
    let world = world().after(password("ada"), idle(HOUR));
    let due = world.at(after(HOUR));
    let early = world.at(micros_off(after(HOUR), -1));
    let who = crate::actor::Authority::SYSTEM;
    table! { early;
        who, disable_idle("ci", None)                   => NOTHING;
    }
    table! { due;
        password("ada"), disable_idle("ci", None)       => refused(Refusal::Unknown(Noun::Key));
        who, disable_idle("no", None)                   => refused(Refusal::Unknown(Noun::Key));
        who, disable_idle("ci", Some(micros_off(NOW, 1))) => NOTHING;
        who, disable_idle("gus/full", None)             => NOTHING;
        who, disable_idle("ada/off", None)              => NOTHING;
        who, disable_idle("ci", None)                   => happens("ApiKeyDisabled");
        who, disable_idle("ci", Some(NOW))              => happens("ApiKeyDisabled");
    }
    let off = due.after(who, disable_idle("ci", None));
    let told = off.records.last().map(|record| &record.event);
    assert!(matches!(
        told,
        Some(Event::ApiKeyDisabled(event)) if event.reason == Some(DisabledFor::Idle)
    ));
    table! { off;
        who, disable_idle("ci", None)                   => NOTHING;
    }
    // Waking it starts the clock anew.
    let on = off.after(password("ada"), switch("ci", false));
    table! { on;
        who, disable_idle("ci", None)                   => NOTHING;
    }
    table! { on.at(after(2 * HOUR));
        who, disable_idle("ci", None)                   => happens("ApiKeyDisabled");
    }
}

/// Globex takes mia in.
fn mia_joins_globex(world: World) -> World {
    let invited = Event::MemberInvited(crate::member::MemberInvited {
        org: org("globex"),
        invitation: invitation("mia"),
        email: email("mia").into(),
        role: Member,
        token: credential("invite"),
        digest: digest("come in"),
        expires_at: after(HOUR),
    });
    let accepted = Event::InvitationAccepted(crate::member::InvitationAccepted {
        org: org("globex"),
        invitation: invitation("mia"),
        user: user("mia"),
        registered: None,
    });
    world.given(invited).given(accepted)
}

/// mia comes into globex, where gus demands this of keys.
fn with_globex(demanded: OrgPolicyChanged) -> World {
    mia_joins_globex(world()).given(Event::OrgPolicyChanged(demanded))
}

/// All that somebody can demand who wants others to do without keys.
const HARSHEST: OrgPolicyChanged = OrgPolicyChanged {
    org: crate::id::OrgId::from_bytes(*b"globex\0\0\0\0\0\0\0\0\0\0"),
    max_life_seconds: Some(1),
    expiry_required: true,
    idle_disable_seconds: Some(HOUR),
    retrievable_keys: false,
};

#[test]
fn where_one_is_switched_off_nothing_is_demanded_of_ones_keys() {
    let create = |name: &str| CreateUserKey {
        sealed: Some(sealed(name)),
        ..create_key(unlimited(name), "new")
    };
    let bound = with_globex(HARSHEST);
    assert_eq!(
        bound.directory.end_for_policy(user("mia"), NOW),
        Some(NOW.plus_seconds(1))
    );
    table! { bound;
        password("mia"), create("mia/new") => too_late(NOW.plus_seconds(1));
    }
    let switch_off = |on_off: bool| {
        let (org, user) = (org("globex"), user("mia"));
        if on_off {
            Event::MemberDisabled(crate::offboarding::MemberDisabled { org, user })
        } else {
            Event::MemberEnabled(crate::offboarding::MemberEnabled { org, user })
        }
    };
    let off = bound.given(switch_off(true));
    assert_eq!(off.directory.end_for_policy(user("mia"), NOW), None);
    let made = off.clone().after(password("mia"), create("mia/new"));
    let key = made.api_key("mia/new");
    assert!(key.sealed().is_some() && made.directory.is_retrievable(key));
    assert_eq!(made.directory.idle_until(key, None), None);
    // And it binds again with the day on which one acts there again.
    let on = off.given(switch_off(false));
    table! { on;
        password("mia"), create("mia/new") => too_late(NOW.plus_seconds(1));
    }
}

#[test]
fn a_key_is_switched_off_for_lying_idle_where_all_its_organizations_want_it() {
    let who = crate::actor::Authority::SYSTEM;
    let alone = with_globex(HARSHEST);
    let due = alone.at(after(9 * HOUR));
    table! { due;
        who, disable_idle("mia/full", None)    => NOTHING;
        who, disable_idle("gus/full", None)    => happens("ApiKeyDisabled");
    }
    let globex = due.directory.org(org("globex")).unwrap();
    let spared = |name: &str| {
        let key = due.api_key(name);
        due.directory
            .is_spared_by_others(globex, key, None, due.now)
    };
    assert!(spared("mia/full") && !spared("gus/full"));
    // Both want it: after the longer of their times.
    let both = alone.after(password("ada"), idle(3 * HOUR));
    table! { both.at(micros_off(after(3 * HOUR), -1));
        who, disable_idle("mia/full", None)    => NOTHING;
    }
    table! { both.at(after(3 * HOUR));
        who, disable_idle("mia/full", None)    => happens("ApiKeyDisabled");
    }
}
