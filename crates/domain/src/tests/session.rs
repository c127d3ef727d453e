//! Sessions: opened by a password, closed by their owner, never by a key.

use super::world::*;
use crate::actor::{Actor, Authority, Proof};
use crate::authorization_code::IssueAuthorizationCode;
use crate::client::{
    AccessTokenFormat, ClientSettings, ClientType, GrantType, PkcePolicy, RefreshPolicy,
    RefreshRotation, RegisterClient,
};
use crate::credential::Environment;
use crate::id::ClientId;
use crate::refusal::{Field, Refusal};
use crate::session::{EndAllSessions, EndSession, SESSION_SECONDS, StartSession};
use crate::signing::SigningAlgorithm;

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
fn n098_logging_out_everywhere_ends_every_session_and_takes_a_password_or_a_session() {
    let world = world().after(password("ada"), start("phone"));
    table! { world;
        key("ada/full"), EndAllSessions    => refused(Refusal::PasswordNeeded);
        service_key("ops"), EndAllSessions => refused(Refusal::PasswordNeeded);
        token("pull"), EndAllSessions      => refused(Refusal::PasswordNeeded);
        Authority::SYSTEM, EndAllSessions  => refused(Refusal::PasswordNeeded);
        password("gus"), EndAllSessions    => NOTHING;
        password("ada"), EndAllSessions    => happens("AllSessionsEnded");
        session("ada"), EndAllSessions     => happens("AllSessionsEnded");
    }
    let ended = world.after(session("ada"), EndAllSessions);
    let directory = &ended.directory;
    assert!(directory.user(user("ada")).unwrap().sessions.is_empty());
    for name in ["ada", "phone"] {
        assert!(directory.session(session_id(name)).is_none(), "{name}");
    }
    assert!(directory.session(session_id("mia")).is_some(), "another's");
    table! { ended;
        session("ada"), EndAllSessions  => refused(Refusal::CredentialEnded);
        password("ada"), EndAllSessions => NOTHING;
        session("mia"), EndAllSessions  => happens("AllSessionsEnded");
    }
}

#[test]
fn n050_logging_out_everywhere_ends_what_apps_were_given() {
    let client = ClientId::from_bytes([7; 16]);
    let register = RegisterClient {
        org: org("acme"),
        client,
        client_type: ClientType::Public,
        environment: Environment::Live,
        secret: None,
        settings: ClientSettings {
            name: "App".parse().unwrap(),
            grant_types: [GrantType::AuthorizationCode].into(),
            redirect_uris: vec!["https://app.example/cb".parse().unwrap()],
            scopes: scopes(&["files:read"]),
            resources: Vec::new(),
            pkce: PkcePolicy::Required,
            refresh_tokens: RefreshPolicy::Never,
            refresh_rotation: RefreshRotation::Rotate,
            access_token_format: AccessTokenFormat::Opaque,
            signing_algorithm: SigningAlgorithm::Es256,
            access_token_seconds: 3_600,
            refresh_idle_seconds: 3_600,
            refresh_seconds: 3_600,
        },
    };
    let issue = |name| IssueAuthorizationCode {
        client,
        code: credential(name),
        digest: digest(name),
        scopes: scopes(&["files:read"]),
        resources: Vec::new(),
        redirect_uri: "https://app.example/cb".to_owned(),
        is_redirect_uri_sent: true,
        code_challenge: Some([1; 32]),
        judged_at: crate::position::Position::new(u64::MAX),
    };
    let stands = |world: &World, name| {
        let code = world
            .directory
            .authorization_code(credential(name))
            .unwrap();
        let standing = world
            .directory
            .stands(code.user, client, code.org, code.issued);
        standing.is_ok()
    };
    let world = world()
        .after(password("ada"), register)
        .after(session("ada"), issue("before"));
    assert!(stands(&world, "before"));
    // Whoever has no session open any more, but apps, still needs it.
    let world = world.after(session("ada"), end("ada"));
    let world = world.after(password("ada"), EndAllSessions);
    assert!(!stands(&world, "before"));
    let world = world.after(password("ada"), start("new")).after(
        by(Actor::User(user("ada")), Proof::Session(session_id("new"))),
        issue("later"),
    );
    assert!(stands(&world, "later"));
    assert!(!stands(&world, "before"));
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
