//! Keys of people: their owner's alone, and none of them more than the one that makes it.

use super::world::*;
use crate::actor::{Actor, Authority};
use crate::api_key::{Activation, NewApiKey, RotateApiKey};
use crate::member::RemoveMember;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::user_key::{CreateUserKey, KeyLabel, RenameUserKey, RevokeUserKey};

const SCOPE: &str = "keys:write";

fn create(api_key: NewApiKey) -> CreateUserKey {
    create_key(api_key, "new")
}

fn own_token(api_key: NewApiKey) -> CreateUserKey {
    CreateUserKey {
        label: KeyLabel::OwnToken,
        ..create(api_key)
    }
}

fn rename(name: &str, alias: Option<&str>) -> RenameUserKey {
    RenameUserKey {
        key: key_id(name),
        alias: alias.map(word),
    }
}

fn revoke(name: &str) -> RevokeUserKey {
    RevokeUserKey { key: key_id(name) }
}

fn no_key() -> Then {
    refused(Refusal::Unknown(Noun::Key))
}

#[test]
fn n107_nobody_makes_a_key_that_is_more_than_theirs() {
    let new = || unlimited("new");
    let narrow = |names: &[&str]| create(limited("new", names));
    let taken = || create_key(unlimited("new"), "full");
    let same_id = CreateUserKey {
        key: key_id("gus/full"),
        ..create(new())
    };
    let unknown = |scope: &str| invalid(Field::Scopes, Reason::UnknownScope(word(scope)));
    let far = || until(new(), micros_off(after(HOUR), 1));
    let from = |net: &str| create(from_net(unlimited("new"), net));
    table! { world();
        key("ada/old"), taken()                       => refused(Refusal::CredentialEnded);
        service_key("ops"), taken()                   => refused(Refusal::UsersOnly);
        token("pull"), taken()                        => refused(Refusal::UsersOnly);
        Authority::SYSTEM, taken()                    => refused(Refusal::UsersOnly);
        key("ada/none"), taken()                      => refused(Refusal::InsufficientScope(SCOPE));
        key("mia/keys"), create(new())                => refused(Refusal::UnlimitedFromLimited);
        key("mia/keys"), narrow(&["files:write"])     => beyond("files:write");
        password("mia"), narrow(&["audit:read"])      => beyond("audit:read");
        password("mia"), narrow(&["a:unknown", "audit:read"]) => beyond("audit:read");
        key("ada/short"), create(new())               => refused(Refusal::BeyondOwnLifetime);
        key("ada/short"), create(far())               => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), create(new())                 => refused(Refusal::BeyondOwnNetworks);
        key("ada/net"), from("11.0.0.0/8")            => refused(Refusal::BeyondOwnNetworks);
        key("ada/net"), from("10.0.0.0/7")            => refused(Refusal::BeyondOwnNetworks);
        key("ada/net"), from("::/0")                  => refused(Refusal::BeyondOwnNetworks);
        key("ada/test"), taken()                      => refused(Refusal::LiveFromTest);
        password("mia"), narrow(&["a:unknown"])       => unknown("a:unknown");
        password("mia"), create(until(new(), NOW))    => invalid(Field::ExpiresAt, Reason::InThePast);
        password("ada"), create(unlimited("mia/full")) => refused(Refusal::Taken(Field::CredentialId));
        password("ada"), create(unlimited("pull"))    => refused(Refusal::Taken(Field::CredentialId));
        password("ada"), taken()                      => refused(Refusal::Taken(Field::Handle));
        password("ada"), same_id                      => refused(Refusal::Taken(Field::CredentialId));
        // A handle is its owner's alone.
        password("tom"), taken()                      => happens("UserKeyCreated");
        password("mia"), create(until(new(), micros_off(NOW, 1))) => happens("UserKeyCreated");
        key("mia/keys"), narrow(&["files:read"])      => happens("UserKeyCreated");
        key("mia/keys"), narrow(&[])                  => happens("UserKeyCreated");
        key("mia/full"), create(new())                => happens("UserKeyCreated");
        key("ada/short"), create(until(new(), after(HOUR))) => happens("UserKeyCreated");
        key("ada/net"), from("10.0.0.0/8")            => happens("UserKeyCreated");
        key("ada/net"), from("10.20.30.40/32")        => happens("UserKeyCreated");
        key("ada/test"), create(test(new()))          => happens("UserKeyCreated");
        password("ada"), create(test(new()))          => happens("UserKeyCreated");
    }
}

/// Goal: the id of an open invitation is no key's.
#[test]
fn an_invitations_id_is_taken() {
    let open = world().given(invited("eve", crate::role::Role::Member));
    table! { open;
        password("ada"), create(unlimited("eve")) => refused(Refusal::Taken(Field::CredentialId));
    }
}

#[test]
fn a_person_has_one_own_token() {
    table! { world();
        // A stolen key puts nothing in the place of what its owner will ask for by password.
        key("ada/full"), own_token(unlimited("new"))       => refused(Refusal::PasswordNeeded);
        key("ada/test"), own_token(test(unlimited("new"))) => refused(Refusal::PasswordNeeded);
        key("mia/keys"), own_token(unlimited("new"))       => refused(Refusal::UnlimitedFromLimited);
        session("ada"), own_token(unlimited("new"))        => happens("UserKeyCreated");
        password("ada"), own_token(unlimited("new"))       => happens("UserKeyCreated");
    }
    let has = world().after(password("ada"), own_token(unlimited("new")));
    let ada = has.directory.user(user("ada")).unwrap();
    assert_eq!(ada.own_token, Some(key_id("new")));
    assert_eq!(
        has.directory.credential_of(key_id("new")),
        Some(credential("new"))
    );
    let another = || CreateUserKey {
        key: key_id("2"),
        ..own_token(unlimited("new2"))
    };
    table! { has;
        password("ada"), another() => refused(Refusal::Taken(Field::Handle));
        password("gus"), another() => happens("UserKeyCreated");
    }
    let reset = || RotateApiKey {
        id: credential("new"),
        version: 2,
        digest: digest("second"),
        sealed: None,
        activation: Activation::Now { grace_seconds: 0 },
    };
    let itself = by(Actor::User(user("ada")), secret("new", 1));
    table! { has;
        key("ada/full"), reset() => refused(Refusal::PasswordNeeded);
        itself, reset()          => happens("ApiKeyRotated");
        password("ada"), reset() => happens("ApiKeyRotated");
    }
    let gone = has.after(password("ada"), revoke("new"));
    assert_eq!(gone.directory.user(user("ada")).unwrap().own_token, None);
    table! { gone;
        password("ada"), another() => happens("UserKeyCreated");
    }
}

#[test]
fn who_renames_a_key() {
    let key_name = "mia/full";
    table! { world();
        service_key("ops"), rename(key_name, Some("x")) => refused(Refusal::UsersOnly);
        key("ada/none"), rename(key_name, Some("x"))    => refused(Refusal::InsufficientScope(SCOPE));
        // Nobody renames another's, however high they stand.
        password("ada"), rename(key_name, Some("x"))    => no_key();
        password("mia"), rename("none", Some("x"))      => no_key();
        key("ada/test"), rename("ada/full", Some("x"))  => no_key();
        password("mia"), rename(key_name, None)         => NOTHING;
        password("mia"), rename(key_name, Some("x"))    => happens("UserKeyRenamed");
        key("mia/keys"), rename(key_name, Some("x"))    => happens("UserKeyRenamed");
    }
    let renamed = world().after(password("mia"), rename(key_name, Some("x")));
    table! { renamed;
        password("mia"), rename(key_name, Some("x")) => NOTHING;
        password("mia"), rename(key_name, None)      => happens("UserKeyRenamed");
    }
}

#[test]
fn a_revoked_key_is_dead_and_its_handle_free() {
    table! { world();
        service_key("ops"), revoke("mia/full") => refused(Refusal::UsersOnly);
        key("ada/none"), revoke("mia/full")    => refused(Refusal::InsufficientScope(SCOPE));
        password("ada"), revoke("mia/full")    => no_key();
        password("mia"), revoke("none")        => no_key();
        key("ada/test"), revoke("ada/full")    => no_key();
        key("mia/keys"), revoke("mia/full")    => happens("UserKeyRevoked");
        key("mia/full"), revoke("mia/full")    => happens("UserKeyRevoked");
        // Revoking asks for nothing that the key itself must still be able to do.
        password("ada"), revoke("ada/old")     => happens("UserKeyRevoked");
        password("ada"), revoke("ada/off")     => happens("UserKeyRevoked");
    }
    let gone = world().after(password("mia"), revoke("mia/full"));
    assert!(gone.directory.key_by_handle(user("mia"), "full").is_none());
    let key_now = gone.api_key("mia/full");
    assert_eq!(key_now.revoked_at(), Some(NOW));
    table! { gone;
        password("mia"), revoke("mia/full")                => no_key();
        password("mia"), rename("mia/full", None)          => no_key();
        key("mia/full"), create(unlimited("new"))          => refused(Refusal::CredentialEnded);
        password("mia"), create_key(unlimited("mia/full"), "full") => refused(Refusal::Taken(Field::CredentialId));
        password("mia"), create_key(unlimited("new"), "full")      => happens("UserKeyCreated");
    }
}

/// Goal: somebody who is in no organization any more still rules their own keys.
#[test]
fn who_left_still_ends_their_keys() {
    let left = RemoveMember {
        org: org("acme"),
        user: user("mia"),
    };
    let gone = world().after(password("mia"), left);
    let unknown = invalid(Field::Scopes, Reason::UnknownScope(word("files:read")));
    table! { gone;
        password("mia"), create(limited("new", &["files:read"])) => unknown;
        password("mia"), revoke("mia/full")                      => happens("UserKeyRevoked");
        password("mia"), rotate("mia/keys")                      => happens("ApiKeyRotated");
    }
}
