//! Keys as they are used: rotated in three ways, switched off, restricted, read again, and ended.

use core::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::world::*;
use crate::actor::Authority;
use crate::api_key::{
    ALLOWED_CIDRS_MAX, ActivateApiKey, Activation, ApiKeyRestricted, Ended, GRACE_SECONDS_MAX,
    OtherSecret, RestrictApiKey, RevealApiKey, RotateApiKey, Shown, UndoApiKeyRotation,
};
use crate::member::ChangeMemberRole;
use crate::rate_limit::RateLimit;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::user_key::{CreateUserKey, KeyLabel, RevokeUserKey};

const AT_ONCE: Activation = Activation::Now { grace_seconds: 0 };
const GRACE: u64 = 60;
const WITH_GRACE: Activation = Activation::Now {
    grace_seconds: GRACE,
};
const FIRST_USE: Activation = Activation::FirstUse {
    grace_seconds: GRACE,
};

fn rotate_to(version: u32, secret: &str, activation: Activation) -> RotateApiKey {
    RotateApiKey {
        version,
        digest: digest(secret),
        activation,
        ..rotate("mia/full")
    }
}

fn activate(version: u32) -> ActivateApiKey {
    let id = credential("mia/full");
    ActivateApiKey { id, version }
}

fn undo(name: &str) -> UndoApiKeyRotation {
    let id = credential(name);
    UndoApiKeyRotation { id }
}

fn reveal(name: &str) -> RevealApiKey {
    let id = credential(name);
    RevealApiKey { id }
}

fn no_key() -> Then {
    refused(Refusal::Unknown(Noun::Key))
}

fn under_way() -> Then {
    refused(Refusal::RotationUnderWay)
}

/// Which of the words is good as what, at the world's time: of the first and the later secrets.
fn good(world: &World) -> Vec<(&'static str, Shown)> {
    let words = ["mia/full", "second", "third"];
    let shown = words.map(|word| world.shown("mia/full", word).map(|shown| (word, shown)));
    shown.into_iter().flatten().collect()
}

// Rotation: who.

#[test]
fn who_rotates_a_key() {
    let long = |name: &str| RotateApiKey {
        activation: Activation::Now {
            grace_seconds: GRACE_SECONDS_MAX + 1,
        },
        ..rotate(name)
    };
    let longest = RotateApiKey {
        activation: Activation::Now {
            grace_seconds: GRACE_SECONDS_MAX,
        },
        ..rotate("ci")
    };
    let stale = RotateApiKey {
        version: 1,
        ..rotate("ci")
    };
    let ahead = RotateApiKey {
        version: 3,
        ..rotate("ci")
    };
    let too_long = invalid(Field::GraceSeconds, Reason::AtMost(GRACE_SECONDS_MAX));
    table! { world();
        key("ada/old"), long("ci")         => refused(Refusal::CredentialEnded);
        // What one may not know of is as unknown as what never was, to owners too.
        password("gus"), long("ci")        => no_key();
        password("gus"), long("pull")      => no_key();
        password("gus"), long("never")     => no_key();
        password("ada"), long("mia/full")  => no_key();
        service_key("ops"), long("mia/full") => no_key();
        key("ada/test"), long("ci")        => no_key();
        key("ada/none"), long("ci")        => refused(Refusal::InsufficientScope("services:write"));
        key("ada/none"), long("pull")      => refused(Refusal::InsufficientScope("entitlements:write"));
        key("ada/none"), long("ada/none")  => refused(Refusal::InsufficientScope("keys:write"));
        password("mia"), long("ci")        => role_too_low("services:write", Role::Manager);
        service_key("ci"), long("ci")      => role_too_low("services:write", Role::Manager);
        token("pull"), long("pull")        => refused(Refusal::InsufficientScope("entitlements:write"));
        password("max"), long("ci")        => too_long;
        password("max"), stale             => refused(Refusal::RotatedMeanwhile);
        password("max"), ahead             => refused(Refusal::RotatedMeanwhile);
        password("max"), rotate("ci")      => happens("ApiKeyRotated");
        password("max"), longest           => happens("ApiKeyRotated");
        password("max"), rotate("pull")    => happens("ApiKeyRotated");
        service_key("ops"), rotate("ops")  => happens("ApiKeyRotated");
        password("mia"), rotate("mia/full") => happens("ApiKeyRotated");
        Authority::SYSTEM, rotate("ci")    => happens("ApiKeyRotated");
        // A key that is off or out of time can be rotated by whoever may manage it.
        password("ada"), rotate("ada/off") => happens("ApiKeyRotated");
        password("ada"), rotate("ada/old") => happens("ApiKeyRotated");
    }
}

/// Goal: whoever rotates a key gets its secret, so nobody rotates one that can do more than they.
#[test]
fn n107_nobody_rotates_a_key_that_is_more_than_theirs() {
    let narrow = limited("mia/none", &["keys:write"]);
    let deploys = service_created("dep", Role::Member, &["deployers"], unlimited("dep"));
    let reads = service_created("rd", Role::Manager, &[], limited("rd", &["files:read"]));
    let sees = entitlement_created("see", &["deploy:see"]);
    // tom holds each right of a manager by a team, and is none.
    let acme = world();
    let all = {
        let org = acme.directory.org(org("acme")).unwrap();
        acme.directory.rights_of(password("max").actor, org)
    };
    let names: Vec<&str> = all.iter().map(crate::scope::Scope::as_str).collect();
    let every = limited("max/every", &names);
    let world = acme
        .given(key_created("mia/none", narrow))
        .given(deploys)
        .given(reads)
        .given(sees)
        .given(team_created("almighty", &names))
        .given(in_team("tom", "almighty"))
        .given(key_created("max/every", every));
    table! { world;
        key("mia/keys"), rotate("mia/full")   => refused(Refusal::UnlimitedFromLimited);
        key("mia/none"), rotate("mia/keys")   => beyond("files:read");
        key("ada/short"), rotate("ada/full")  => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), rotate("ada/full")    => refused(Refusal::BeyondOwnNetworks);
        password("max"), rotate("dep")        => beyond("deploy:run");
        password("max"), rotate("see")        => beyond("deploy:see");
        // By its role a service may give roles, which no sum of scopes is.
        password("tom"), rotate("ops")        => refused(Refusal::AboveOwnRole(Role::Manager));
        key("max/every"), rotate("ops")       => refused(Refusal::UnlimitedFromLimited);
        key("max/every"), rotate("ci")        => refused(Refusal::UnlimitedFromLimited);
        key("ada/short"), rotate("ci")        => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), rotate("pull")        => refused(Refusal::BeyondOwnNetworks);
        key("mia/keys"), rotate("mia/none")   => happens("ApiKeyRotated");
        key("mia/keys"), rotate("mia/keys")   => happens("ApiKeyRotated");
        key("ada/short"), rotate("ada/short") => happens("ApiKeyRotated");
        key("ada/net"), rotate("ada/net")     => happens("ApiKeyRotated");
        password("tom"), rotate("ci")         => happens("ApiKeyRotated");
        password("tom"), rotate("rd")         => happens("ApiKeyRotated");
        key("max/every"), rotate("rd")        => happens("ApiKeyRotated");
        key("ada/some"), rotate("pull")       => happens("ApiKeyRotated");
        password("ada"), rotate("dep")        => happens("ApiKeyRotated");
    }
}

/// Goal: a person who was demoted can still rotate a key that names more than they have left.
#[test]
fn a_demoted_person_rotates_their_own() {
    let demote = ChangeMemberRole {
        org: org("acme"),
        user: user("max"),
        role: Role::Member,
    };
    let world = world()
        .given(key_created(
            "max/wide",
            limited("max/wide", &["audit:read"]),
        ))
        .after(password("ada"), demote);
    table! { world;
        password("max"), rotate("max/wide")   => happens("ApiKeyRotated");
        key("max/full"), rotate("max/wide")   => happens("ApiKeyRotated");
    }
}

// Rotation: how.

#[test]
fn at_once_the_old_secret_dies() {
    let world = world();
    assert_eq!(good(&world), [("mia/full", Shown::Current)]);
    let rotated = world.after(password("mia"), rotate_to(2, "second", AT_ONCE));
    assert_eq!(good(&rotated), [("second", Shown::Current)]);
    let key = rotated.api_key("mia/full");
    assert_eq!((key.version(), key.rotated_at()), (2, Some(NOW)));
    assert_eq!(key.other(), None);
}

#[test]
fn n134_grace_ends_to_the_microsecond() {
    let rotated = world().after(password("mia"), rotate_to(2, "second", WITH_GRACE));
    let both = [("mia/full", Shown::Retiring), ("second", Shown::Current)];
    let until = after(GRACE);
    assert_eq!(good(&rotated), both);
    assert_eq!(good(&rotated.at(micros_off(until, -1))), both);
    assert_eq!(good(&rotated.at(until)), both[1..]);
    assert_eq!(good(&rotated.at(micros_off(until, 1))), both[1..]);
    let next = || rotate_to(3, "third", WITH_GRACE);
    table! { rotated.at(micros_off(until, -1));
        password("mia"), next() => under_way();
    }
    for late in [0, 1] {
        table! { rotated.at(micros_off(until, late));
            password("mia"), next() => happens("ApiKeyRotated");
        }
    }
}

#[test]
fn a_second_rotation_waits_or_is_at_once() {
    let rotated = world().after(password("mia"), rotate_to(2, "second", WITH_GRACE));
    table! { rotated;
        password("mia"), rotate_to(3, "third", WITH_GRACE) => under_way();
        password("mia"), rotate_to(3, "third", FIRST_USE)  => under_way();
        password("mia"), rotate_to(2, "third", FIRST_USE)  => under_way();
        password("mia"), rotate_to(2, "third", AT_ONCE)    => refused(Refusal::RotatedMeanwhile);
        password("mia"), undo("mia/full")                  => refused(Refusal::NoRotationToUndo);
        password("mia"), rotate_to(3, "third", AT_ONCE)    => happens("ApiKeyRotated");
    }
    // In an emergency the promised grace is cut short: only the newest is good.
    let twice = rotated.after(password("mia"), rotate_to(3, "third", AT_ONCE));
    assert_eq!(good(&twice), [("third", Shown::Current)]);
}

#[test]
fn a_pending_secret_waits_for_its_first_use_and_only_then_grace_begins() {
    let waiting = world().after(password("mia"), rotate_to(2, "second", FIRST_USE));
    let stored = waiting.api_key("mia/full");
    assert_eq!(
        (
            stored.version(),
            stored.newest_version(),
            stored.rotated_at()
        ),
        (1, 2, None)
    );
    let week = after(7 * 24 * HOUR);
    for at in [NOW, week] {
        let good = good(&waiting.at(at));
        assert_eq!(
            good,
            [("mia/full", Shown::Current), ("second", Shown::Pending)]
        );
    }
    table! { waiting.at(week);
        password("mia"), rotate_to(3, "third", FIRST_USE)  => under_way();
        password("mia"), rotate_to(3, "third", WITH_GRACE) => under_way();
        // Whoever shows the secret has it; nothing else is asked.
        key("mia/full"), activate(1) => NOTHING;
        key("mia/full"), activate(3) => refused(Refusal::CredentialEnded);
        key("mia/full"), activate(2) => happens("ApiKeyActivated");
    }
    let active = waiting.at(week).after(key("mia/full"), activate(2));
    let until = week.plus_seconds(GRACE);
    let both = [("mia/full", Shown::Retiring), ("second", Shown::Current)];
    assert_eq!(good(&active), both);
    assert_eq!(good(&active.at(micros_off(until, -1))), both);
    assert_eq!(good(&active.at(until)), both[1..]);
    let stored = active.api_key("mia/full");
    assert_eq!((stored.version(), stored.rotated_at()), (2, Some(week)));
    table! { active;
        key("mia/full"), activate(2)      => NOTHING;
        password("mia"), undo("mia/full") => refused(Refusal::NoRotationToUndo);
    }
}

#[test]
fn without_grace_the_first_use_ends_the_old_secret() {
    let no_grace = Activation::FirstUse { grace_seconds: 0 };
    let waiting = world().after(password("mia"), rotate_to(2, "second", no_grace));
    assert_eq!(good(&waiting).len(), 2);
    let active = waiting.after(key("mia/full"), activate(2));
    assert_eq!(good(&active), [("second", Shown::Current)]);
    table! { active;
        key("mia/full"), activate(1) => refused(Refusal::CredentialEnded);
    }
}

#[test]
fn until_its_first_use_a_rotation_can_be_undone() {
    let waiting = world().after(password("mia"), rotate_to(2, "second", FIRST_USE));
    let service = world().given(rotated("ci", "second", FIRST_USE));
    table! { service;
        password("gus"), undo("ci")        => no_key();
        key("ada/none"), undo("ci")        => refused(Refusal::InsufficientScope("services:write"));
        password("mia"), undo("ci")        => role_too_low("services:write", Role::Manager);
        password("max"), undo("ops")       => refused(Refusal::NoRotationToUndo);
        password("max"), undo("ci")        => happens("ApiKeyRotationUndone");
    }
    table! { waiting;
        password("ada"), undo("mia/full")  => no_key();
        password("mia"), undo("mia/full")  => happens("ApiKeyRotationUndone");
    }
    let undone = waiting.after(password("mia"), undo("mia/full"));
    assert_eq!(good(&undone), [("mia/full", Shown::Current)]);
    // No version is given twice: the first use of the secret that was taken back may still be on
    // its way, and must not pass for that of its successor.
    table! { undone;
        password("mia"), undo("mia/full")                 => refused(Refusal::NoRotationToUndo);
        password("mia"), rotate_to(2, "third", FIRST_USE) => refused(Refusal::RotatedMeanwhile);
        password("mia"), rotate_to(3, "third", FIRST_USE) => happens("ApiKeyRotated");
        key("mia/full"), activate(2)                      => refused(Refusal::CredentialEnded);
    }
    let again = undone.after(password("mia"), rotate_to(3, "third", FIRST_USE));
    table! { again;
        key("mia/full"), activate(2) => refused(Refusal::CredentialEnded);
        key("mia/full"), activate(3) => happens("ApiKeyActivated");
    }
}

#[test]
fn at_once_replaces_a_pending_secret_too() {
    let waiting = world().after(password("mia"), rotate_to(2, "second", FIRST_USE));
    table! { waiting;
        password("mia"), rotate_to(2, "third", AT_ONCE) => refused(Refusal::RotatedMeanwhile);
    }
    let replaced = waiting.after(password("mia"), rotate_to(3, "third", AT_ONCE));
    assert_eq!(good(&replaced), [("third", Shown::Current)]);
    table! { replaced;
        key("mia/full"), activate(2) => refused(Refusal::CredentialEnded);
    }
}

#[test]
fn an_activation_that_comes_late_does_no_harm() {
    let waiting = world().after(password("mia"), rotate_to(2, "second", FIRST_USE));
    let never = ActivateApiKey {
        id: credential("never"),
        version: 1,
    };
    let off = waiting.clone().given(disabled("mia/full"));
    let dead = waiting.clone().after(
        password("mia"),
        RevokeUserKey {
            key: key_id("mia/full"),
        },
    );
    table! { waiting;
        password("mia"), never => refused(Refusal::Unknown(Noun::Key));
    }
    for ended in [off, dead] {
        table! { ended;
            Authority::SYSTEM, activate(2) => refused(Refusal::CredentialEnded);
        }
    }
    // Used, and rotated out again before the first use was decided: still in its grace.
    let moved = waiting
        .after(key("mia/full"), activate(2))
        .at(after(GRACE))
        .after(password("mia"), rotate_to(3, "third", WITH_GRACE));
    table! { moved;
        later_key("mia/full", 2), activate(2) => NOTHING;
        later_key("mia/full", 2), activate(1) => refused(Refusal::CredentialEnded);
        later_key("mia/full", 1), activate(1) => refused(Refusal::CredentialEnded);
    }
    table! { moved.at(after(2 * GRACE));
        later_key("mia/full", 2), activate(2) => refused(Refusal::CredentialEnded);
    }
}

/// Goal: a digest made with another pepper is asked for by its version, and one that cannot be made
/// matches nothing.
#[test]
fn the_pepper_is_asked_for_by_version() {
    let world = world();
    let key = world.api_key("mia/full");
    let of = |version| move |asked: u32| (asked == version).then(|| digest("mia/full"));
    assert_eq!(key.shown(NOW, of(1)), Some(Shown::Current));
    assert_eq!(key.shown(NOW, of(2)), None);
    assert_eq!(world.shown("mia/full", "guess"), None);
}

// Ends.

#[test]
fn n074_why_a_key_is_no_good_in_order() {
    let standing = |world: &World, name: &str| {
        let key = world.api_key(name);
        key.standing(world.now)
    };
    let world = world();
    assert_eq!(standing(&world, "mia/full"), Ok(()));
    assert_eq!(standing(&world, "ada/old"), Err(Ended::Expired));
    assert_eq!(standing(&world, "ada/off"), Err(Ended::Disabled));
    let both = world.clone().given(disabled("ada/old"));
    assert_eq!(standing(&both, "ada/old"), Err(Ended::Disabled));
    let old = RevokeUserKey {
        key: key_id("ada/old"),
    };
    let all = both.after(password("ada"), old);
    assert_eq!(standing(&all, "ada/old"), Err(Ended::Revoked));
    for (micros, then) in [
        (-1, Ok(())),
        (0, Err(Ended::Expired)),
        (1, Err(Ended::Expired)),
    ] {
        let at = micros_off(after(HOUR), micros);
        assert_eq!(standing(&world.at(at), "ada/short"), then, "{micros}");
    }
}

#[test]
fn n074_one_digest_is_made_whatever_is_wrong_with_a_key() {
    let world = world();
    let dead = RevokeUserKey {
        key: key_id("mia/full"),
    };
    let dead = world.clone().after(password("mia"), dead);
    for (world, name) in [
        (&world, "mia/full"),
        (&world, "ada/old"),
        (&world, "ada/off"),
        (&dead, "mia/full"),
    ] {
        let count = core::cell::Cell::new(0);
        let wrong = |pepper_version| {
            count.set(count.get() + 1);
            Some(crate::Digest {
                pepper_version,
                tag: [0xee; 32],
            })
        };
        assert_eq!(world.api_key(name).shown(world.now, wrong), None, "{name}");
        assert_eq!(count.get(), 1, "{name}");
    }
}

#[test]
fn a_dead_key_keeps_no_secret_that_can_be_read() {
    let retrievable = CreateUserKey {
        sealed: Some(sealed("first")),
        ..create_key(unlimited("new"), "new")
    };
    let world = world().after(password("mia"), retrievable);
    let waiting = RotateApiKey {
        sealed: Some(sealed("second")),
        activation: FIRST_USE,
        ..rotate("new")
    };
    let waiting = world.after(password("mia"), waiting);
    let dead = RevokeUserKey { key: key_id("new") };
    let dead = waiting.after(password("mia"), dead);
    let key = dead.api_key("new");
    assert_eq!((key.sealed(), key.other().as_ref()), (None, None));
}

// On and off.

#[test]
fn who_switches_a_key_off_and_on() {
    table! { world();
        password("gus"), switch("ci", true)        => no_key();
        password("ada"), switch("mia/full", true)  => no_key();
        key("ada/test"), switch("ci", true)        => no_key();
        key("ada/none"), switch("ci", true)        => refused(Refusal::InsufficientScope("services:write"));
        password("mia"), switch("ci", true)        => role_too_low("services:write", Role::Manager);
        password("max"), switch("ci", false)       => NOTHING;
        password("ada"), switch("ada/off", true)   => NOTHING;
        password("max"), switch("ci", true)        => happens("ApiKeyDisabled");
        password("max"), switch("pull", true)      => happens("ApiKeyDisabled");
        key("mia/keys"), switch("mia/full", true)  => happens("ApiKeyDisabled");
        key("mia/full"), switch("mia/full", true)  => happens("ApiKeyDisabled");
        password("ada"), switch("ada/off", false)  => happens("ApiKeyEnabled");
        key("ada/full"), switch("ada/off", false)  => happens("ApiKeyEnabled");
        // Off is for everybody who may manage it; on, for those who could have made it.
        key("ada/some"), switch("ada/off", false)  => refused(Refusal::UnlimitedFromLimited);
        key("ada/short"), switch("ada/off", false) => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), switch("ada/off", false)   => refused(Refusal::BeyondOwnNetworks);
    }
    let woken = world().after(password("ada"), switch("ada/off", false));
    table! { woken;
        key("ada/off"), rotate("ci") => happens("ApiKeyRotated");
    }
}

// Limits.

fn to_scopes(name: &str, names: Option<&[&str]>) -> RestrictApiKey {
    let scopes = Some(names.map(scopes));
    RestrictApiKey {
        scopes,
        ..restrict(name)
    }
}

fn to_end(name: &str, seconds: Option<u64>) -> RestrictApiKey {
    let expires_at = Some(seconds.map(after));
    RestrictApiKey {
        expires_at,
        ..restrict(name)
    }
}

fn to_nets(name: &str, nets: &[&str]) -> RestrictApiKey {
    let nets: Vec<IpNet> = nets.iter().map(|net| word(net)).collect();
    RestrictApiKey {
        allowed_cidrs: Some(nets.into()),
        ..restrict(name)
    }
}

#[test]
fn who_restricts_a_key() {
    let unknown = invalid(Field::Scopes, Reason::UnknownScope(word("no:such")));
    let writing = invalid(Field::Scopes, Reason::NotReadOnly(word("files:write")));
    let past = invalid(Field::ExpiresAt, Reason::InThePast);
    let net = |i: usize| format!("10.0.{i}.0/24");
    let nets = |n: usize| RestrictApiKey {
        allowed_cidrs: Some((0..n).map(|i| word(&net(i))).collect::<Vec<IpNet>>().into()),
        ..restrict("ci")
    };
    let too_many = invalid(
        Field::AllowedCidrs,
        Reason::AtMost(ALLOWED_CIDRS_MAX as u64),
    );
    table! { world();
        password("gus"), to_end("ci", Some(0))          => no_key();
        password("ada"), to_end("mia/full", Some(0))    => no_key();
        key("ada/none"), to_end("ci", Some(0))          => refused(Refusal::InsufficientScope("services:write"));
        password("mia"), to_end("ci", Some(0))          => role_too_low("services:write", Role::Manager);
        password("max"), to_scopes("ci", Some(&["deploy:run"])) => beyond("deploy:run");
        password("max"), to_scopes("ci", Some(&["no:such"]))    => unknown;
        password("max"), to_scopes("pull", None)        => invalid(Field::Scopes, Reason::NoScope);
        password("max"), to_scopes("pull", Some(&["files:write"])) => writing;
        password("max"), to_end("ci", Some(0))          => past;
        password("max"), nets(ALLOWED_CIDRS_MAX + 1)    => too_many;
        password("max"), nets(ALLOWED_CIDRS_MAX)        => happens("ApiKeyRestricted");
        password("max"), restrict("ci")                 => NOTHING;
        password("max"), to_scopes("ci", None)          => NOTHING;
        password("max"), to_end("ci", None)             => NOTHING;
        password("max"), to_nets("ci", &[])             => NOTHING;
        password("max"), to_end("ci", Some(1))          => happens("ApiKeyRestricted");
        password("max"), to_scopes("ci", Some(&["files:read"])) => happens("ApiKeyRestricted");
        password("max"), to_scopes("ci", Some(&[]))     => happens("ApiKeyRestricted");
        key("mia/keys"), to_nets("mia/full", &["10.0.0.0/8"]) => happens("ApiKeyRestricted");
    }
}

/// Goal: whoever widens anything of a key answers for the whole of it, also for what they leave as
/// it is: a key that expired must not live again by the word of a narrower one.
#[test]
fn n107_nobody_widens_a_key_beyond_their_own() {
    let files = limited("ada/files", &["files:read"]);
    let world = world().given(key_created("ada/files", files));
    table! { world;
        key("ada/some"), to_end("ada/old", None)            => refused(Refusal::UnlimitedFromLimited);
        key("ada/some"), to_end("ada/short", Some(2 * HOUR)) => refused(Refusal::UnlimitedFromLimited);
        key("ada/some"), to_nets("ada/net", &[])            => refused(Refusal::UnlimitedFromLimited);
        key("ada/some"), to_scopes("ada/files", None)       => refused(Refusal::UnlimitedFromLimited);
        key("ada/some"), to_scopes("ada/files", Some(&["audit:read"])) => beyond("audit:read");
        key("ada/some"), to_scopes("ada/some", None)        => refused(Refusal::UnlimitedFromLimited);
        key("ada/short"), to_end("ada/short", None)         => refused(Refusal::BeyondOwnLifetime);
        key("ada/short"), to_scopes("ada/files", None)      => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), to_nets("ada/net", &[])             => refused(Refusal::BeyondOwnNetworks);
        key("ada/net"), to_nets("ada/net", &["10.0.0.0/8", "11.0.0.0/8"]) => refused(Refusal::BeyondOwnNetworks);
        key("ada/net"), to_scopes("ada/files", None)        => refused(Refusal::BeyondOwnNetworks);
        key("ada/net"), to_nets("ada/net", &["10.1.0.0/16"]) => happens("ApiKeyRestricted");
        key("ada/some"), to_scopes("ada/files", Some(&["files:read", "users:write"])) => happens("ApiKeyRestricted");
        key("ada/some"), to_scopes("ada/some", Some(&["keys:write"])) => happens("ApiKeyRestricted");
        key("ada/some"), to_end("ada/full", Some(1))        => happens("ApiKeyRestricted");
        key("ada/full"), to_end("ada/old", None)            => happens("ApiKeyRestricted");
        password("ada"), to_nets("ada/net", &[])            => happens("ApiKeyRestricted");
        password("ada"), to_scopes("ada/files", None)       => happens("ApiKeyRestricted");
    }
}

#[test]
fn what_is_restricted_holds_from_the_next_request_on() {
    let world = world().after(
        password("mia"),
        to_scopes("mia/full", Some(&["files:read"])),
    );
    let held = |world: &World| {
        let key = world.api_key("mia/full");
        world.directory.effective_scopes(key, org("acme"))
    };
    assert_eq!(held(&world), scopes(&["files:read"]));
    table! { world;
        key("mia/full"), rotate("mia/full") => refused(Refusal::InsufficientScope("keys:write"));
    }
    let ended = world.after(password("mia"), to_end("mia/full", Some(1)));
    table! { ended.at(after(1));
        key("mia/full"), rotate("mia/full") => refused(Refusal::CredentialEnded);
    }
    let again = ended
        .at(after(2))
        .after(password("mia"), to_end("mia/full", None));
    let key = again.api_key("mia/full");
    assert_eq!(key.standing(after(2)), Ok(()));
    assert_eq!(
        held(&again),
        scopes(&["files:read"]),
        "the end was changed and nothing else"
    );
}

/// Goal: what is rare is behind a pointer, and what is said about it beside it is always true.
#[test]
fn a_key_that_is_again_as_it_was_is_equal_to_what_it_was() {
    let world = world();
    let mut key = world.api_key("mia/full").clone();
    let before = key.clone();
    let limited = |cidrs: &[IpNet], rate_limit| ApiKeyRestricted {
        id: before.issued.id,
        scopes: before.scopes.clone(),
        expires_at: before.expires_at,
        allowed_cidrs: cidrs.into(),
        rate_limit,
    };
    key.set_disabled_at(Some(NOW));
    assert_eq!(key.standing(NOW), Err(Ended::Disabled));
    key.set_revoked_at(Some(NOW));
    assert_eq!(key.standing(NOW), Err(Ended::Revoked));
    key.set_disabled_at(None);
    assert_eq!(key.standing(NOW), Err(Ended::Revoked));
    key.set_revoked_at(None);
    assert_eq!((key.standing(NOW), &key), (Ok(()), &before));
    let limit = RateLimit::new(1, 1).ok();
    for (cidrs, limit) in [(vec![word("10.0.0.0/8")], None), (vec![], limit)] {
        key.restrict(&limited(&cidrs, limit));
        assert_eq!((key.allowed_cidrs(), key.rate_limit()), (&cidrs[..], limit));
        assert_ne!(key, before);
        key.restrict(&limited(&[], None));
        assert_eq!(key, before);
    }
}

#[test]
fn an_allow_list_admits_what_it_names() {
    let mut key = {
        let world = world();
        world.api_key("mia/full").clone()
    };
    let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    assert!(key.admits(None) && key.admits(ip("192.0.2.1")) && key.admits(ip("2001:db8::1")));
    key.restrict(&ApiKeyRestricted {
        id: key.issued.id,
        scopes: key.scopes.clone(),
        expires_at: key.expires_at,
        allowed_cidrs: Arc::new([word("10.0.0.0/8"), word("2001:db8::/32")]),
        rate_limit: None,
    });
    for (source, admitted) in [
        (ip("10.0.0.0"), true),
        (ip("10.255.255.255"), true),
        (ip("9.255.255.255"), false),
        (ip("11.0.0.0"), false),
        (ip("2001:db8::1"), true),
        (ip("2001:db9::1"), false),
        // An IPv4 address written as IPv6 counts as what it is.
        (ip("::ffff:10.1.2.3"), true),
        (ip("::ffff:11.1.2.3"), false),
        (ip("::10.1.2.3"), false),
        // Nobody comes from nowhere.
        (None, false),
    ] {
        assert_eq!(key.admits(source), admitted, "{source:?}");
    }
}

// Reading again.

#[test]
fn only_the_password_or_that_very_key_reads_a_key_again() {
    let retrievable = |name: &str| CreateUserKey {
        sealed: Some(sealed(name)),
        ..create_key(unlimited(name), "again")
    };
    let mut made = retrievable("mia/again");
    made.key = key_id("mia/again");
    let world = world().after(password("mia"), made);
    let narrow = to_scopes("mia/again", Some(&[]));
    let world = world.after(password("mia"), narrow);
    table! { world;
        password("ada"), reveal("mia/again")     => no_key();
        key("ada/full"), reveal("mia/again")     => no_key();
        password("mia"), reveal("never")         => no_key();
        password("ada"), reveal("ci")            => no_key();
        service_key("ci"), reveal("ci")          => no_key();
        token("pull"), reveal("pull")            => no_key();
        Authority::SYSTEM, reveal("mia/again")   => no_key();
        // A stolen key opens no other.
        key("mia/full"), reveal("mia/again")     => refused(Refusal::PasswordNeeded);
        key("mia/again"), reveal("mia/again")    => happens("ApiKeyRevealed");
        password("mia"), reveal("mia/again")     => happens("ApiKeyRevealed");
        session("mia"), reveal("mia/again")      => happens("ApiKeyRevealed");
        // Where nothing was kept, nothing is read, and the log does not say that it was.
        password("mia"), reveal("mia/full")      => NOTHING;
    }
    let dead = RevokeUserKey {
        key: key_id("mia/again"),
    };
    table! { world.after(password("mia"), dead);
        password("mia"), reveal("mia/again")     => no_key();
    }
}

#[test]
fn the_newest_secret_is_the_one_to_read_again() {
    let made = CreateUserKey {
        sealed: Some(sealed("first")),
        ..create_key(unlimited("new"), "new")
    };
    let to_second = |activation| RotateApiKey {
        sealed: Some(sealed("second")),
        activation,
        ..rotate("new")
    };
    let world = world().after(password("mia"), made);
    let current = |world: &World| {
        let key = world.api_key("new");
        key.sealed().and_then(|sealed| sealed.known().cloned())
    };
    assert_eq!(current(&world), Some(sealed("first")));
    let graced = world.clone().after(password("mia"), to_second(WITH_GRACE));
    assert_eq!(current(&graced), Some(sealed("second")));
    let key = graced.api_key("new");
    match key.other() {
        Some(OtherSecret::Retiring { secret, .. }) => assert_eq!(secret.sealed, None),
        other => panic!("the old secret retires: {other:?}"),
    }
    let waiting = world.after(password("mia"), to_second(FIRST_USE));
    assert_eq!(current(&waiting), Some(sealed("first")));
    let undone = waiting.after(password("mia"), undo("new"));
    assert_eq!(current(&undone), Some(sealed("first")));
}

/// Goal: whoever stole a secret loses it with the rotation, whatever they do during the grace.
#[test]
fn an_old_secret_in_its_grace_cannot_outlive_it() {
    let graced = world().after(password("mia"), rotate_to(2, "second", WITH_GRACE));
    let (old, new) = (later_key("mia/full", 1), later_key("mia/full", 2));
    table! { graced;
        old, rotate_to(3, "third", AT_ONCE)      => refused(Refusal::BeyondOwnLifetime);
        old, create_unending()                   => refused(Refusal::BeyondOwnLifetime);
        old, reveal("mia/full")                  => refused(Refusal::PasswordNeeded);
        new, rotate_to(3, "third", AT_ONCE)      => happens("ApiKeyRotated");
        new, create_unending()                   => happens("UserKeyCreated");
    }
    // A request that came in with a secret before it ended is decided after it did.
    let at_once = world().after(password("mia"), rotate_to(2, "second", AT_ONCE));
    table! { at_once;
        old, create_unending()                   => refused(Refusal::CredentialEnded);
    }
    table! { graced.at(after(GRACE));
        old, create_unending()                   => refused(Refusal::CredentialEnded);
    }
}

fn create_unending() -> CreateUserKey {
    CreateUserKey {
        key: key_id("mia/more"),
        label: KeyLabel::Handle(word("more")),
        alias: None,
        sealed: None,
        api_key: unlimited("mia/more"),
    }
}
