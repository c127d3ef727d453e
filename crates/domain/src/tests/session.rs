//! Sessions: opened by a password, closed by their owner, never by a key.

use super::world::*;
use crate::actor::Authority;
use crate::refusal::{Field, Refusal};
use crate::session::{EndSession, SESSION_SECONDS, StartSession};

fn start(name: &str) -> StartSession {
    StartSession {
        session: session_id(name),
        digest: digest("cookie"),
    }
}

fn end(name: &str) -> EndSession {
    EndSession {
        session: session_id(name),
    }
}

#[test]
fn only_a_password_opens_a_session() {
    table! { world();
        password("nobody"), start("new") => refused(Refusal::CredentialEnded);
        key("ada/full"), start("new")    => refused(Refusal::PasswordNeeded);
        session("ada"), start("new")     => refused(Refusal::PasswordNeeded);
        service_key("ops"), start("new") => refused(Refusal::PasswordNeeded);
        token("pull"), start("new")      => refused(Refusal::PasswordNeeded);
        Authority::SYSTEM, start("new")  => refused(Refusal::PasswordNeeded);
        password("gus"), start("ada")    => refused(Refusal::Taken(Field::CredentialId));
        password("gus"), start("new")    => happens("SessionStarted");
    }
    let world = world().after(password("gus"), start("new"));
    let session = world.directory.session(session_id("new")).unwrap();
    assert_eq!(session.user, user("gus"));
    assert_eq!(session.started_at, NOW);
    assert_eq!(session.expires_at, after(SESSION_SECONDS));
}

#[test]
fn only_their_owner_ends_a_session_and_twice_is_once() {
    table! { world();
        key("ada/full"), end("ada")    => refused(Refusal::PasswordNeeded);
        key("ada/none"), end("ada")    => refused(Refusal::PasswordNeeded);
        service_key("ops"), end("ada") => refused(Refusal::PasswordNeeded);
        // Another's looks like one that is not there, and that is no error.
        password("gus"), end("ada")    => NOTHING;
        session("mia"), end("ada")     => NOTHING;
        password("ada"), end("none")   => NOTHING;
        password("ada"), end("ada")    => happens("SessionEnded");
        session("ada"), end("ada")     => happens("SessionEnded");
    }
    let ended = world().after(session("ada"), end("ada"));
    assert!(ended.directory.session(session_id("ada")).is_none());
    assert!(
        ended
            .directory
            .user(user("ada"))
            .unwrap()
            .sessions
            .is_empty()
    );
    table! { ended;
        session("ada"), end("ada")  => refused(Refusal::CredentialEnded);
        password("ada"), end("ada") => NOTHING;
    }
}

#[test]
fn sessions_that_ran_out_leave_with_the_next_login() {
    let open = |at| world().at(at).after(password("ada"), start("new"));
    let sessions = |world: &World| world.directory.user(user("ada")).unwrap().sessions.clone();
    assert_eq!(sessions(&open(micros_off(after(HOUR), -1))).len(), 2);
    let later = open(after(HOUR));
    assert_eq!(
        sessions(&later).into_iter().collect::<Vec<_>>(),
        [session_id("new")]
    );
    assert!(later.directory.session(session_id("ada")).is_none());
}
