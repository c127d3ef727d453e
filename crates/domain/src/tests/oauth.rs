//! OAuth: what a code, a refresh token and an access token are worth, and until when.

use super::world::*;
use crate::access_token::{IssueClientToken, NewAccessToken, RevokeAccessToken};
use crate::actor::{Actor, Authority, Proof};
use crate::api_key::Ended;
use crate::authorization_code::{CODE_SECONDS, IssueAuthorizationCode, RedeemAuthorizationCode};
use crate::client::{
    AccessTokenFormat, ChangeClient, ClientChanges, ClientSettings, ClientType, DeleteClient,
    GrantType, NewClientSecret, PkcePolicy, RefreshPolicy, RefreshRotation, RegisterClient,
    RotateClientSecret, SwitchClient,
};
use crate::consent::RevokeConsent;
use crate::credential::Environment;
use crate::digest::PasswordHash;
use crate::directory::Directory;
use crate::id::ClientId;
use crate::member::RemoveMember;
use crate::offboarding::{DisableMember, EnableMember};
use crate::position::Position;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::signing::SigningAlgorithm;
use crate::time::Timestamp;
use crate::token_family::{NewRefreshToken, RefreshTokens, RevokeTokenFamily};
use crate::user::ChangePassword;

const URI: &str = "https://app.example.com/cb";
const IDLE: u64 = 86_400;
const WHOLE: u64 = 3 * 86_400;

fn client(name: &str) -> ClientId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    ClientId::from_bytes(bytes)
}

fn settings() -> ClientSettings {
    ClientSettings {
        name: word("app"),
        grant_types: [
            GrantType::AuthorizationCode,
            GrantType::ClientCredentials,
            GrantType::RefreshToken,
        ]
        .into(),
        redirect_uris: vec![word(URI)],
        scopes: scopes(&["audit:read", "files:read", "offline_access"]),
        resources: vec![word("https://api.example.com")],
        pkce: PkcePolicy::Optional,
        refresh_tokens: RefreshPolicy::Always,
        refresh_rotation: RefreshRotation::Rotate,
        access_token_format: AccessTokenFormat::Opaque,
        signing_algorithm: SigningAlgorithm::Es256,
        access_token_seconds: 3_600,
        refresh_idle_seconds: u32::try_from(IDLE).unwrap(),
        refresh_seconds: u32::try_from(WHOLE).unwrap(),
    }
}

fn register(name: &str) -> RegisterClient {
    RegisterClient {
        org: org("acme"),
        client: client(name),
        client_type: ClientType::Confidential,
        environment: Environment::Live,
        secret: Some(NewClientSecret {
            id: credential(&format!("{name}s")),
            digest: digest(name),
        }),
        settings: settings(),
    }
}

fn with(change: impl FnOnce(&mut ClientSettings)) -> RegisterClient {
    let mut register = register("app");
    change(&mut register.settings);
    register
}

/// A client with its secret.
fn shown(name: &str) -> Authority {
    let secret = Some(credential(&format!("{name}s")));
    by(Actor::Client(client(name)), Proof::Client { secret })
}

fn code(name: &str, of: &str, names: &[&str]) -> IssueAuthorizationCode {
    IssueAuthorizationCode {
        client: client(of),
        code: credential(name),
        digest: digest(name),
        scopes: scopes(names),
        resources: Vec::new(),
        redirect_uri: URI.to_owned(),
        is_redirect_uri_sent: true,
        code_challenge: Some([7; 32]),
        judged_at: Position::new(u64::MAX),
    }
}

fn token(name: &str, names: &[&str], now: Timestamp) -> NewAccessToken {
    NewAccessToken {
        id: credential(name),
        digest: digest(name),
        scopes: scopes(names),
        audience: Vec::new(),
        expires_at: now.plus_seconds(3_600),
    }
}

fn redeem(name: &str, now: Timestamp) -> RedeemAuthorizationCode {
    RedeemAuthorizationCode {
        code: credential(name),
        shown: digest(name),
        redirect_uri: Some(URI.to_owned()),
        code_challenge: Some([7; 32]),
        family: credential("family"),
        access_token: token("access1", &["files:read"], now),
        refresh_token: Some(NewRefreshToken {
            digest: digest("refresh1"),
        }),
    }
}

fn refresh(shown: u8, names: &[&str], now: Timestamp) -> RefreshTokens {
    let next = shown + 1;
    RefreshTokens {
        family: credential("family"),
        shown: digest(&format!("refresh{shown}")),
        access_token: token(&format!("access{next}"), names, now),
        refresh_token: Some(NewRefreshToken {
            digest: digest(&format!("refresh{next}")),
        }),
    }
}

/// `app` and `other` are clients of acme, and mia has just allowed `app` to read files.
fn asked() -> World {
    world()
        .after(password("max"), register("app"))
        .after(password("max"), register("other"))
        .after(session("mia"), code("code", "app", &["files:read"]))
}

fn redeemed() -> World {
    asked().after(shown("app"), redeem("code", NOW))
}

fn standing(world: &World, name: &str) -> Result<(), Ended> {
    let key = world
        .directory
        .api_key(credential(name))
        .ok_or(Ended::Expired)?;
    world.directory.standing_of(key, world.now)
}

#[test]
fn who_registers_a_client_and_what_it_can_be() {
    let scoped = || with(|settings| settings.scopes = scopes(&["files:read"]));
    let never = |name: &str| with(|settings| settings.scopes = scopes(&[name]));
    let public = |register: RegisterClient| RegisterClient {
        client_type: ClientType::Public,
        ..register
    };
    let right = "clients:write";
    table! { world();
        password("gus"), register("app") => refused(Refusal::Unknown(Noun::Organization));
        password("mia"), register("app") => role_too_low(right, Role::Manager);
        key("ada/some"), register("app") => refused(Refusal::InsufficientScope(right));
        key("ada/test"), register("app") => refused(Refusal::LiveFromTest);
        key("ada/short"), register("app") => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), register("app") => refused(Refusal::BeyondOwnNetworks);
        shown("app"), register("app") => refused(Refusal::CredentialEnded);
        password("max"), never("deploy:run") => beyond("deploy:run");
        password("max"), never("no:such") => invalid(Field::Scopes, Reason::UnknownScope(word("no:such")));
        password("max"), never("users:read") => invalid(Field::Scopes, Reason::NotForOauth(word("users:read")));
        password("max"), never("keys:write") => invalid(Field::Scopes, Reason::NotForOauth(word("keys:write")));
        password("max"), with(|s| s.scopes = scopes(&[])) => invalid(Field::Scopes, Reason::NoScope);
        password("max"), with(|s| s.grant_types.clear()) => invalid(Field::GrantTypes, Reason::NoGrantType);
        password("max"), with(|s| s.redirect_uris.clear()) => invalid(Field::RedirectUris, Reason::NoRedirectUri);
        password("max"), with(|s| s.access_token_seconds = 0) => invalid(Field::AccessTokenSeconds, Reason::AtLeast(1));
        password("max"), public(scoped()) => invalid(Field::GrantTypes, Reason::NeedsSecret("client_credentials"));
        password("max"), public(with(|s| {
            s.grant_types.remove(&GrantType::ClientCredentials);
        })) => invalid(Field::Pkce, Reason::PublicNeedsPkce);
        password("max"), scoped() => happens("ClientRegistered");
        service_key("ops"), scoped() => happens("ClientRegistered");
    }
}

#[test]
fn a_client_has_two_secrets_during_a_grace_and_no_more() {
    let rotate = |name: &str, grace_seconds| RotateClientSecret {
        org: org("acme"),
        client: client("app"),
        secret: NewClientSecret {
            id: credential(name),
            digest: digest(name),
        },
        grace_seconds,
    };
    let by_new = by(
        Actor::Client(client("app")),
        Proof::Client {
            secret: Some(credential("second")),
        },
    );
    let ask = |now| IssueClientToken {
        access_token: token("own", &["files:read"], now),
    };
    let rotated = asked().after(password("max"), rotate("second", HOUR));
    table! { rotated;
        shown("app"), ask(NOW) => happens("ClientTokenIssued");
        by_new, ask(NOW) => happens("ClientTokenIssued");
        password("max"), rotate("third", HOUR) => refused(Refusal::RotationUnderWay);
        password("max"), rotate("third", 0) => happens("ClientSecretRotated");
    }
    table! { rotated.at(after(HOUR));
        shown("app"), ask(after(HOUR)) => refused(Refusal::CredentialEnded);
        by_new, ask(after(HOUR)) => happens("ClientTokenIssued");
    }
}

#[test]
fn n112_only_a_person_gives_a_code_and_no_more_than_they_may_themselves() {
    let world = world().after(password("max"), register("app"));
    let read = || code("code", "app", &["files:read"]);
    table! { world;
        password("mia"), read() => refused(Refusal::PasswordNeeded);
        key("mia/full"), read() => refused(Refusal::PasswordNeeded);
        service_key("ops"), read() => refused(Refusal::UsersOnly);
        session("mia"), code("code", "none", &["files:read"]) => refused(Refusal::Unknown(Noun::Client));
        session("mia"), code("code", "app", &["files:write"]) => refused(Refusal::ScopeNotAllowed(word("files:write")));
        session("mia"), code("code", "app", &["audit:read"]) => beyond("audit:read");
        session("mia"), IssueAuthorizationCode { redirect_uri: format!("{URI}/"), ..read() } => refused(Refusal::RedirectUriNotAllowed);
        session("mia"), read() => happens("AuthorizationCodeIssued");
    }
}

#[test]
fn n012_n014_n015_n016_n041_a_code_is_good_once_for_a_minute_and_for_its_own_client() {
    let no = || refused(Refusal::InvalidGrant);
    let other = |change: fn(&mut RedeemAuthorizationCode)| {
        let mut redeem = redeem("code", NOW);
        change(&mut redeem);
        redeem
    };
    table! { asked();
        session("mia"), redeem("code", NOW) => refused(Refusal::ClientsOnly);
        shown("other"), redeem("code", NOW) => no();
        shown("app"), other(|r| r.shown = digest("guess")) => no();
        shown("app"), other(|r| r.code_challenge = None) => no();
        shown("app"), other(|r| r.code_challenge = Some([8; 32])) => no();
        shown("app"), other(|r| r.redirect_uri = Some(format!("{URI}/"))) => no();
        shown("app"), other(|r| r.access_token.scopes = scopes(&["audit:read"])) => refused(Refusal::ScopeNotAllowed(word("audit:read")));
        // The challenge says more than the address.
        shown("app"), other(|r| r.redirect_uri = None) => happens("AuthorizationCodeRedeemed");
        shown("app"), redeem("code", NOW) => happens("AuthorizationCodeRedeemed");
    }
    let end = after(CODE_SECONDS);
    let last = micros_off(end, -1);
    table! { asked().at(last); shown("app"), redeem("code", last) => happens("AuthorizationCodeRedeemed"); }
    table! { asked().at(end); shown("app"), redeem("code", end) => no(); }
    table! { redeemed(); shown("app"), redeem("code", NOW) => happens("TokenFamilyRevoked"); }
    let replayed = redeemed().after(shown("app"), redeem("code", NOW));
    assert_eq!(standing(&replayed, "access1"), Err(Ended::Revoked));
    table! { replayed;
        shown("app"), redeem("code", NOW) => no();
        shown("app"), refresh(1, &["files:read"], NOW) => no();
    }
}

/// Allowing something at another server allows nothing at this one.
#[test]
fn n019_a_yes_for_another_server_is_no_yes_for_this_one() {
    let api = || vec![word("https://api.example.com")];
    let elsewhere = IssueAuthorizationCode {
        resources: api(),
        ..code("code", "app", &["files:read"])
    };
    let asked = world()
        .after(password("max"), register("app"))
        .after(session("mia"), elsewhere);
    let mia = user("mia");
    let remembered = asked.directory.remembered_scopes(mia, client("app"));
    assert!(remembered.unwrap().is_empty());
    let at_api = |mut redeem: RedeemAuthorizationCode| {
        redeem.access_token.audience = api();
        redeem
    };
    table! { asked;
        shown("app"), redeem("code", NOW) => refused(Refusal::ResourceNotAllowed);
        shown("app"), at_api(redeem("code", NOW)) => happens("AuthorizationCodeRedeemed");
    }
    let given = asked.after(shown("app"), at_api(redeem("code", NOW)));
    let mut next = refresh(1, &["files:read"], NOW);
    table! { given; shown("app"), next.clone() => refused(Refusal::ResourceNotAllowed); }
    next.access_token.audience = api();
    table! { given; shown("app"), next => happens("TokensRefreshed"); }
}

#[test]
fn a_yes_is_not_remembered_over_a_new_password() {
    let mia = user("mia");
    let remembers = |world: &World| {
        let directory = &world.directory;
        directory.remembered_scopes(mia, client("app")).is_some()
    };
    let changed = asked().after(
        password("mia"),
        ChangePassword {
            password: PasswordHash::from_phc("another".to_owned()),
        },
    );
    assert!(remembers(&asked()) && !remembers(&changed));
    let again = changed
        .given(session_started("mia"))
        .after(session("mia"), code("code2", "app", &["files:read"]));
    assert!(remembers(&again));
}

/// Who may change a client could else have codes of all who ever said yes sent to themselves, and nobody
/// would be asked.
#[test]
fn n112_a_yes_is_not_remembered_over_another_address_of_the_app() {
    const OTHER: &str = "https://other.example/cb";
    let change = |what: &dyn Fn(&mut ClientChanges)| {
        let mut changes = ClientChanges::default();
        what(&mut changes);
        ChangeClient {
            org: org("acme"),
            client: client("app"),
            changes,
        }
    };
    let to = |uris: &[&str]| {
        let uris: Vec<_> = uris.iter().copied().map(word).collect();
        change(&|changes| changes.redirect_uris = Some(uris.clone()))
    };
    let remembered = |world: &World| {
        let directory = &world.directory;
        directory
            .remembered_scopes(user("mia"), client("app"))
            .cloned()
    };
    let both = asked().after(password("max"), to(&[URI, OTHER]));
    let all = remembered(&asked()).unwrap();
    for (what, is_remembered) in [
        (to(&[URI, OTHER]), false),
        (to(&[OTHER]), false),
        (to(&[OTHER, URI]), false),
        (to(&[&format!("{URI}/")]), false),
        (change(&|changes| changes.name = Some(word("Other"))), true),
        (
            change(&|changes| changes.pkce = Some(PkcePolicy::Required)),
            true,
        ),
    ] {
        let text = format!("{what:?}");
        let changed = asked().after(password("max"), what);
        assert_eq!(
            remembered(&changed),
            is_remembered.then(|| all.clone()),
            "{text}"
        );
    }
    // It is not taken back: what was given is good, and can be looked up and taken back.
    let given = redeemed().after(password("max"), to(&[OTHER]));
    assert_eq!(standing(&given, "access1"), Ok(()));
    assert!(
        given
            .directory
            .consent(user("mia"), client("app"))
            .is_some()
    );
    // One that is taken away leads nobody elsewhere; one that comes back does.
    let again =
        |world: World, names: &[&str]| world.after(session("mia"), code("code2", "app", names));
    let less = again(both, &["files:read"]);
    assert_eq!(
        remembered(&less),
        Some(scopes(&["files:read"])),
        "only what was asked since"
    );
    let less = less.after(password("max"), to(&[URI]));
    assert_eq!(remembered(&less), Some(scopes(&["files:read"])));
    assert_eq!(
        remembered(&less.after(password("max"), to(&[URI, OTHER]))),
        None
    );
    // A page that found a yes just before gives nothing after.
    let before = asked();
    let found = IssueAuthorizationCode {
        judged_at: before.directory.position(),
        ..code("code2", "app", &["files:read"])
    };
    table! { before; session("mia"), found.clone() => happens("AuthorizationCodeIssued"); }
    let changed = before.after(password("max"), to(&[URI, OTHER]));
    table! { changed; session("mia"), found => refused(Refusal::RedirectUriNotAllowed); }
}

/// What ends what a person allowed, and whether it comes back with what was taken away.
#[test]
fn n017_n050_n113_what_was_allowed_ends_with_whoever_allowed_it() {
    let acme = org("acme");
    let mia = user("mia");
    let new_password = ChangePassword {
        password: PasswordHash::from_phc("another".to_owned()),
    };
    let no = || refused(Refusal::InvalidGrant);
    for (who, command) in [
        (
            session("mia"),
            crate::Command::from(RevokeConsent {
                client: client("app"),
            }),
        ),
        (password("mia"), new_password.into()),
        (
            password("max"),
            RemoveMember {
                org: acme,
                user: mia,
            }
            .into(),
        ),
        (
            password("max"),
            DisableMember {
                org: acme,
                user: mia,
            }
            .into(),
        ),
    ] {
        let line = format!("{command:?}");
        table! { asked().after(who, command.clone()); shown("app"), redeem("code", NOW) => no(); }
        let ended = redeemed().after(who, command);
        assert!(standing(&ended, "access1").is_err(), "{line}");
        table! { ended; shown("app"), refresh(1, &["files:read"], NOW) => no(); }
    }
    // Whoever is switched on again goes on; whoever allowed it again begins anew.
    let off = redeemed().after(
        password("max"),
        DisableMember {
            org: acme,
            user: mia,
        },
    );
    let on = off.after(
        password("max"),
        EnableMember {
            org: acme,
            user: mia,
        },
    );
    assert_eq!(standing(&on, "access1"), Ok(()));
    let again = redeemed()
        .after(
            session("mia"),
            RevokeConsent {
                client: client("app"),
            },
        )
        .after(session("mia"), code("code2", "app", &["files:read"]));
    assert_eq!(standing(&again, "access1"), Err(Ended::Revoked));
    for command in [
        crate::Command::from(DeleteClient {
            org: acme,
            client: client("app"),
        }),
        SwitchClient {
            org: acme,
            client: client("app"),
            disabled: true,
        }
        .into(),
    ] {
        let ended = redeemed().after(password("max"), command);
        assert!(standing(&ended, "access1").is_err());
        table! { ended; shown("app"), refresh(1, &["files:read"], NOW) => refused(Refusal::CredentialEnded); }
    }
}

#[test]
fn n046_n048_n049_a_refresh_token_is_good_once_and_coming_again_ends_its_family() {
    let no = || refused(Refusal::InvalidGrant);
    let once = redeemed().after(shown("app"), refresh(1, &["files:read"], NOW));
    let guess = RefreshTokens {
        shown: digest("guess"),
        ..refresh(2, &["files:read"], NOW)
    };
    table! { once;
        shown("other"), refresh(2, &["files:read"], NOW) => no();
        shown("app"), guess => no();
        shown("app"), refresh(2, &["audit:read"], NOW) => refused(Refusal::ScopeNotAllowed(word("audit:read")));
        shown("other"), RevokeTokenFamily { family: credential("family") } => NOTHING;
        shown("app"), RevokeTokenFamily { family: credential("family") } => happens("TokenFamilyRevoked");
        shown("app"), refresh(2, &["files:read"], NOW) => happens("TokensRefreshed");
        shown("app"), RefreshTokens { shown: digest("refresh1"), ..refresh(2, &["files:read"], NOW) } => happens("TokenFamilyRevoked");
    }
    assert_eq!(
        (standing(&once, "access1"), standing(&once, "access2")),
        (Ok(()), Ok(()))
    );
    let reused = once.after(
        shown("app"),
        RefreshTokens {
            shown: digest("refresh1"),
            ..refresh(2, &["files:read"], NOW)
        },
    );
    assert!(standing(&reused, "access1").is_err() && standing(&reused, "access2").is_err());
    table! { reused; shown("app"), refresh(2, &["files:read"], NOW) => no(); }
}

#[test]
fn n050_a_refresh_token_ends_when_it_lies_idle_and_when_it_is_old() {
    let ask = |world: &World, shown_number, at| {
        let decided = world
            .at(at)
            .decide(shown("app"), refresh(shown_number, &["files:read"], at));
        decided.is_ok_and(|event| event.is_some())
    };
    let world = redeemed();
    assert!(ask(&world, 1, micros_off(after(IDLE), -1)));
    assert!(!ask(&world, 1, after(IDLE)));
    let mut now = NOW;
    let mut used = world;
    for number in 1..=3 {
        now = now.plus_seconds(IDLE - 1);
        used = used
            .at(now)
            .after(shown("app"), refresh(number, &["files:read"], now));
    }
    // However often it is used: three days after the code, less than a day after the last use.
    assert!(ask(&used, 4, micros_off(after(WHOLE), -1)));
    assert!(!ask(&used, 4, after(WHOLE)));
}

#[test]
fn n018_n058_a_client_asks_for_itself_and_ends_its_own() {
    let ask = |names: &[&str]| IssueClientToken {
        access_token: token("own", names, NOW),
    };
    let late = IssueClientToken {
        access_token: NewAccessToken {
            expires_at: after(2 * HOUR),
            ..token("own", &["files:read"], NOW)
        },
    };
    let narrowed = ChangeClient {
        org: org("acme"),
        client: client("app"),
        changes: ClientChanges {
            scopes: Some(scopes(&["files:read"])),
            ..ClientChanges::default()
        },
    };
    table! { asked();
        shown("app"), ask(&["offline_access"]) => refused(Refusal::ScopeNotAllowed(word("offline_access")));
        shown("app"), ask(&["files:write"]) => refused(Refusal::ScopeNotAllowed(word("files:write")));
        shown("app"), late => refused(Refusal::BeyondOwnLifetime);
        by(Actor::Client(client("app")), Proof::Client { secret: None }), ask(&["files:read"]) => refused(Refusal::CredentialEnded);
        shown("app"), ask(&["files:read", "audit:read"]) => happens("ClientTokenIssued");
    }
    let issued = asked().after(shown("app"), ask(&["files:read", "audit:read"]));
    let own = credential("own");
    table! { issued;
        shown("other"), RevokeAccessToken { id: own } => NOTHING;
        shown("app"), RevokeAccessToken { id: own } => happens("AccessTokenRevoked");
    }
    let reach = |world: &World| {
        world
            .directory
            .effective_scopes(world.api_key("own"), org("acme"))
    };
    assert_eq!(reach(&issued), scopes(&["audit:read", "files:read"]));
    assert_eq!(
        reach(&issued.after(password("max"), narrowed)),
        scopes(&["files:read"])
    );
}

/// Goal: what expired leaves nothing behind, and a replay has the same state at every record.
#[test]
fn tokens_that_ended_leave_with_later_records() {
    let mut world = asked();
    let sizes = |d: &Directory| {
        (
            d.api_keys.iter().count(),
            d.families.len(),
            d.codes.len(),
            d.expiring.len(),
        )
    };
    let before = sizes(&world.directory);
    for number in 0..500_u32 {
        let name = format!("t{number:04}");
        let issue = IssueClientToken {
            access_token: token(&name, &["files:read"], world.now),
        };
        world = world.after(shown("app"), issue);
    }
    assert_eq!(sizes(&world.directory).0, before.0 + 500);
    // All have ended by then; each record takes out 64, and brings in one.
    world = world.at(after(2 * HOUR));
    for number in 0..9_u32 {
        let name = format!("u{number:04}");
        let issue = IssueClientToken {
            access_token: token(&name, &["files:read"], world.now),
        };
        world = world.after(shown("app"), issue);
    }
    let (keys, families, codes, expiring) = sizes(&world.directory);
    assert_eq!((keys, families, codes, expiring), (before.0 + 9, 0, 0, 9));
    let mut replayed = Directory::default();
    for record in &world.records {
        replayed.apply(record);
    }
    assert!(replayed == world.directory);
}
