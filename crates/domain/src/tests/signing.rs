//! Keys that sign tokens: who rotates them, and how long the old ones are good.

use super::world::*;
use std::collections::BTreeSet;

use crate::actor::Authority;
use crate::client::{
    AccessTokenFormat, ClientSettings, ClientType, GrantType, PkcePolicy, RefreshPolicy,
    RefreshRotation, RegisterClient,
};
use crate::credential::Environment;
use crate::event::Event;
use crate::id::ClientId;
use crate::org::CreateOrg;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::signing::{
    CreateSigningKey, OVERLAP_SECONDS_DEFAULT, OVERLAP_SECONDS_MAX, PUBLISHED_MAX, PublicKey,
    RetireSigningKey, SigningAlgorithm, SigningKeyId,
};
use crate::target::Target;
use crate::time::Timestamp;

const RIGHT: &str = "signing_keys:write";
const ES: SigningAlgorithm = SigningAlgorithm::Es256;

fn kid(name: &str) -> SigningKeyId {
    word(&format!("{name:A<43}"))
}

/// A key of P-256 with this name.
fn create(name: &str) -> CreateSigningKey {
    CreateSigningKey {
        kid: kid(name),
        public_key: PublicKey::P256 {
            x: [1; 32],
            y: [2; 32],
        },
        sealed: sealed(name),
        overlap_seconds: OVERLAP_SECONDS_DEFAULT,
    }
}

fn overlapping(name: &str, overlap_seconds: u64) -> CreateSigningKey {
    CreateSigningKey {
        overlap_seconds,
        ..create(name)
    }
}

fn ed25519(name: &str) -> CreateSigningKey {
    CreateSigningKey {
        public_key: PublicKey::Ed25519 { x: [3; 32] },
        ..create(name)
    }
}

fn retire(name: &str) -> RetireSigningKey {
    RetireSigningKey { kid: kid(name) }
}

/// The names of the keys that are published at an instant, and of the one that signs.
fn published(world: &World, now: Timestamp) -> (Vec<SigningKeyId>, Option<SigningKeyId>) {
    let all = world.directory.signing_keys(now).map(|key| key.kid);
    let active = world.directory.active_signing_key(ES).map(|key| key.kid);
    (all.collect(), active)
}

#[test]
fn who_rotates_the_keys_of_the_server() {
    let world = world().after(Authority::SYSTEM, create("one"));
    let too_low = || role_too_low(RIGHT, Role::Owner);
    table! { world;
        password("nobody"), create("two")  => refused(Refusal::CredentialEnded);
        key("ada/some"), create("two")     => refused(Refusal::InsufficientScope(RIGHT));
        key("ada/some"), retire("one")     => refused(Refusal::InsufficientScope(RIGHT));
        // An owner, but of another organization than the first.
        password("gus"), create("two")     => too_low();
        password("gus"), retire("one")     => too_low();
        password("gus"), retire("none")    => too_low();
        password("max"), create("two")     => too_low();
        password("mia"), retire("one")     => too_low();
        service_key("ops"), create("two")  => too_low();
        token("pull"), create("two")       => refused(Refusal::InsufficientScope(RIGHT));
        key("ada/test"), create("two")     => refused(Refusal::LiveFromTest);
        password("ada"), retire("none")    => refused(Refusal::Unknown(Noun::SigningKey));
        password("ada"), overlapping("two", OVERLAP_SECONDS_MAX + 1) => invalid(Field::OverlapSeconds, Reason::AtMost(OVERLAP_SECONDS_MAX));
        password("ada"), create("one")     => refused(Refusal::Taken(Field::PrivateKeyPem));
        // The server makes the first of each algorithm, and no second.
        Authority::SYSTEM, create("two")   => NOTHING;
        Authority::SYSTEM, ed25519("ed")   => happens("SigningKeyCreated");
        password("ada"), create("two")     => happens("SigningKeyCreated");
        session("ada"), overlapping("two", OVERLAP_SECONDS_MAX) => happens("SigningKeyCreated");
        key("ada/full"), retire("one")     => happens("SigningKeyRetired");
    }
}

/// Goal: an organization that was made later is nobody's way to the keys of the server, and the
/// right in a team of another organization is none here.
#[test]
fn the_operator_is_the_first_organization() {
    assert_eq!(World::empty().directory.operator_org(), None);
    let initech = CreateOrg {
        org: org("initech"),
        slug: word("initech"),
        name: word("Initech"),
    };
    let world = world().after(password("max"), initech);
    assert_eq!(world.directory.operator_org(), Some(org("acme")));
    table! { world;
        password("max"), create("one") => role_too_low(RIGHT, Role::Owner);
    }
}

#[test]
fn n071_a_key_that_was_replaced_is_good_until_its_overlap_ends() {
    let world = world()
        .after(Authority::SYSTEM, create("one"))
        .after(Authority::SYSTEM, ed25519("ed"))
        .after(password("ada"), overlapping("two", HOUR));
    let (one, two, ed) = (kid("one"), kid("two"), kid("ed"));
    assert_eq!(published(&world, NOW), (vec![ed, one, two], Some(two)));
    // Good while now is before the end (RFC 7519 §4.1.4).
    let end = after(HOUR);
    let last = micros_off(end, -1);
    assert!(world.directory.signing_key(one, last).is_some());
    assert!(world.directory.signing_key(one, end).is_none());
    assert_eq!(published(&world, end), (vec![ed, two], Some(two)));
    table! { world.at(end);
        password("ada"), retire("one") => refused(Refusal::Unknown(Noun::SigningKey));
    }

    // A second rotation leaves the end of the first as it is.
    let twice = world.after(password("ada"), overlapping("three", 2 * HOUR));
    let three = kid("three");
    assert_eq!(published(&twice, last).0, [ed, one, three, two]);
    assert_eq!(published(&twice, end).0, [ed, three, two]);
    assert_eq!(published(&twice, after(2 * HOUR)).0, [ed, three]);
    // Whose time is over leaves the state with the next key.
    let later = twice.at(end).after(password("ada"), create("four"));
    assert_eq!(later.directory.signing_keys.len(), 4);
}

#[test]
fn n071_a_key_that_was_retired_is_gone_at_once() {
    let at_once = world()
        .after(Authority::SYSTEM, create("one"))
        .after(password("ada"), overlapping("two", 0));
    assert_eq!(
        published(&at_once, NOW),
        (vec![kid("two")], Some(kid("two")))
    );

    let retired = at_once.after(password("ada"), retire("two"));
    assert_eq!(published(&retired, NOW), (vec![], None));
    // Nothing signs, and so the server makes a new one when it is needed.
    table! { retired;
        password("ada"), retire("two")     => refused(Refusal::Unknown(Noun::SigningKey));
        Authority::SYSTEM, create("three") => happens("SigningKeyCreated");
    }
}

/// A client whose tokens are signed, and live for two hours.
fn signed_client() -> RegisterClient {
    RegisterClient {
        org: org("acme"),
        client: ClientId::from_bytes([7; 16]),
        client_type: ClientType::Public,
        environment: Environment::Live,
        secret: None,
        settings: ClientSettings {
            name: word("An app"),
            grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
            redirect_uris: vec![word("https://app.example/callback")],
            scopes: scopes(&["files:read"]),
            resources: Vec::new(),
            pkce: PkcePolicy::Required,
            refresh_tokens: RefreshPolicy::Never,
            refresh_rotation: RefreshRotation::Rotate,
            access_token_format: AccessTokenFormat::Jwt,
            signing_algorithm: ES,
            access_token_seconds: 7_200,
            refresh_idle_seconds: 3_600,
            refresh_seconds: 3_600,
        },
    }
}

/// Goal: nobody ends good tokens by a number that they thought was long enough.
#[test]
fn an_overlap_is_as_long_as_the_tokens_or_outright_none() {
    let first = world().after(password("ada"), signed_client());
    let too_short = || invalid(Field::OverlapSeconds, Reason::AtLeast(7_200));
    table! { first;
        // There is nothing before it.
        password("ada"), overlapping("one", 1)     => happens("SigningKeyCreated");
    }
    let world = first.after(Authority::SYSTEM, create("one"));
    table! { world;
        password("ada"), overlapping("two", 1)     => too_short();
        password("ada"), overlapping("two", 7_199) => too_short();
        password("ada"), overlapping("two", 7_200) => happens("SigningKeyCreated");
        password("ada"), overlapping("two", 0)     => happens("SigningKeyCreated");
    }
    let ed = world.after(Authority::SYSTEM, ed25519("ed"));
    table! { ed;
        // Nothing is signed with this one.
        password("ada"), CreateSigningKey { overlap_seconds: 1, ..ed25519("new") } => happens("SigningKeyCreated");
    }
}

#[test]
fn only_so_many_keys_are_published() {
    let mut full = world();
    for number in 0..PUBLISHED_MAX {
        full = full.after(password("ada"), create(&format!("k{number}")));
    }
    table! { full;
        password("ada"), create("more") => refused(Refusal::TooManySigningKeys);
        password("ada"), ed25519("ed")  => happens("SigningKeyCreated");
        password("ada"), retire("k0")   => happens("SigningKeyRetired");
    }
    let room = full.after(password("ada"), retire("k0"));
    table! { room;
        password("ada"), create("more") => happens("SigningKeyCreated");
    }
}

/// Goal: the record is the operator's, names the key, and tells nothing of its private half.
#[test]
fn the_event_of_a_new_key() {
    let world = world()
        .after(Authority::SYSTEM, create("one"))
        .after(password("ada"), overlapping("two", 60));
    let record = world.records.last().unwrap();
    assert_eq!(record.organizations, [org("acme")]);
    let Event::SigningKeyCreated(event) = &record.event else {
        panic!("recorded {:?}", record.event);
    };
    assert_eq!(event.sealed, sealed("two"));
    assert_eq!(event.previous_retires_at, Some(after(60)));
    let target = world.directory.target_of(&record.event);
    assert_eq!(target, Target::SigningKey(kid("two")));
    assert_eq!(target.to_string(), format!("signing_key:{}", kid("two")));
}
