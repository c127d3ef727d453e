//! Passwords, which open what no key opens.

use super::world::*;
use crate::actor::Authority;
use crate::digest::PasswordHash;
use crate::event::Event;
use crate::org::OrgCreated;
use crate::personal::Personal;
use crate::refusal::Refusal;
use crate::user::{ChangePassword, Registration};

fn new_password() -> ChangePassword {
    ChangePassword {
        password: PasswordHash::from_phc("another hash".to_owned()),
    }
}

#[test]
fn only_the_password_changes_the_password() {
    table! { world();
        key("ada/old"), new_password()     => refused(Refusal::CredentialEnded);
        service_key("ops"), new_password() => refused(Refusal::UsersOnly);
        token("pull"), new_password()      => refused(Refusal::UsersOnly);
        Authority::SYSTEM, new_password()  => refused(Refusal::UsersOnly);
        key("ada/full"), new_password()    => refused(Refusal::PasswordNeeded);
        session("ada"), new_password()     => refused(Refusal::PasswordNeeded);
        password("ada"), new_password()    => happens("PasswordChanged");
    }
}

#[test]
fn a_new_password_ends_the_sessions_and_no_keys() {
    let world = world().after(password("ada"), new_password());
    let ada = world.directory.user(user("ada")).unwrap();
    assert_eq!(ada.password.known().unwrap().as_phc(), "another hash");
    assert!(ada.sessions.is_empty());
    assert!(world.directory.session(session_id("ada")).is_none());
    assert!(world.directory.session(session_id("mia")).is_some());
    table! { world;
        session("ada"), rotate("ci")  => refused(Refusal::CredentialEnded);
        key("ada/full"), rotate("ci") => happens("ApiKeyRotated");
    }
}

/// Goal: a person who was erased leaves a sensible state: nobody can log in as them or take their
/// place by their address, and what they own is still there.
#[test]
fn an_erased_person_is_found_by_no_name() {
    let erased = Registration {
        email: Personal::Erased,
        name: Personal::Erased,
        slug: Personal::Erased,
        password: Personal::Erased,
    };
    let world = World::empty().given(Event::OrgCreated(OrgCreated {
        org: org("acme"),
        slug: word("acme"),
        name: word("acme"),
        owner: user("ada"),
        registered: Some(erased),
    }));
    assert!(world.directory.user(user("ada")).is_some());
    assert!(world.directory.user_by_email("ada@example.com").is_none());
    assert!(world.directory.user_by_slug("ada").is_none());
    assert!(!world.directory.is_empty());
}
