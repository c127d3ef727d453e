//! Entitlement tokens: they read, and that is all.

use super::world::*;
use crate::actor::Authority;
use crate::api_key::NewApiKey;
use crate::entitlement::{CreateEntitlement, RevokeEntitlement};
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;

const SCOPE: &str = "entitlements:write";

fn create(api_key: NewApiKey) -> CreateEntitlement {
    CreateEntitlement {
        org: org("acme"),
        entitlement: entitlement("new"),
        name: word("new"),
        api_key,
        credits: None,
    }
}

fn reads(names: &[&str]) -> CreateEntitlement {
    create(limited("new", names))
}

fn revoke(name: &str) -> RevokeEntitlement {
    RevokeEntitlement {
        org: org("acme"),
        entitlement: entitlement(name),
    }
}

fn no_org() -> Then {
    refused(Refusal::Unknown(Noun::Organization))
}

fn scopes_are(reason: Reason) -> Then {
    invalid(Field::Scopes, reason)
}

#[test]
fn who_makes_an_entitlement_token() {
    let unlimited = || create(unlimited("new"));
    let seen = || limited("new", &["files:read"]);
    let same_id = CreateEntitlement {
        entitlement: entitlement("pull"),
        ..reads(&["files:read"])
    };
    table! { world();
        password("gus"), unlimited()                        => no_org();
        key("mia/keys"), unlimited()                        => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), unlimited()                          => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), unlimited()                        => role_too_low(SCOPE, Role::Manager);
        key("ada/some"), unlimited()                        => refused(Refusal::UnlimitedFromLimited);
        password("max"), reads(&["deploy:see"])             => beyond("deploy:see");
        password("max"), reads(&["deploy:run"])             => beyond("deploy:run");
        password("max"), reads(&["a:unknown", "deploy:see"]) => beyond("deploy:see");
        key("ada/some"), reads(&["users:read"])             => beyond("users:read");
        key("ada/short"), create(seen())                    => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), create(seen())                      => refused(Refusal::BeyondOwnNetworks);
        key("ada/test"), create(seen())                     => refused(Refusal::LiveFromTest);
        password("max"), unlimited()                        => scopes_are(Reason::NoScope);
        password("max"), reads(&[])                         => scopes_are(Reason::NoScope);
        password("max"), reads(&["files:read", "files:write"]) => scopes_are(Reason::NotReadOnly(word("files:write")));
        password("ada"), reads(&["deploy:run"])             => scopes_are(Reason::NotReadOnly(word("deploy:run")));
        password("max"), reads(&["no:such"])                => scopes_are(Reason::UnknownScope(word("no:such")));
        password("max"), create(until(seen(), NOW))         => invalid(Field::ExpiresAt, Reason::InThePast);
        password("max"), create(limited("ci", &["files:read"])) => refused(Refusal::Taken(Field::CredentialId));
        password("max"), same_id                            => refused(Refusal::Taken(Field::CredentialId));
        key("ada/some"), create(seen())                     => happens("EntitlementCreated");
        key("ada/test"), create(test(seen()))               => happens("EntitlementCreated");
        key("ada/short"), create(until(seen(), after(HOUR))) => happens("EntitlementCreated");
        service_key("ops"), create(seen())                  => happens("EntitlementCreated");
        password("ada"), reads(&["deploy:see"])             => happens("EntitlementCreated");
        Authority::SYSTEM, reads(&["deploy:see"])           => happens("EntitlementCreated");
    }
}

#[test]
fn who_revokes_an_entitlement_token() {
    let elsewhere = RevokeEntitlement {
        org: org("globex"),
        ..revoke("pull")
    };
    let unknown = || refused(Refusal::Unknown(Noun::Entitlement));
    table! { world();
        password("gus"), revoke("pull") => no_org();
        key("mia/keys"), revoke("pull") => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), revoke("pull")   => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), revoke("pull") => role_too_low(SCOPE, Role::Manager);
        key("ada/test"), revoke("pull") => unknown();
        password("max"), revoke("none") => unknown();
        // Under the wrong organization it is not there.
        password("gus"), elsewhere      => unknown();
        password("max"), revoke("pull") => happens("EntitlementRevoked");
        key("ada/some"), revoke("pull") => happens("EntitlementRevoked");
    }
    let gone = world().after(password("max"), revoke("pull"));
    let key = gone.api_key("pull");
    assert_eq!(key.revoked_at(), Some(NOW));
    assert!(
        gone.directory
            .org(org("acme"))
            .unwrap()
            .entitlements
            .is_empty()
    );
    table! { gone;
        password("max"), revoke("pull") => unknown();
        password("max"), rotate("pull") => refused(Refusal::Unknown(Noun::Key));
        token("pull"), rotate("pull")   => refused(Refusal::CredentialEnded);
    }
}
