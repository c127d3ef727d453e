//! How many times an entitlement token may be used: granted, granted anew, taken off.

use super::world::*;
use crate::credits::{ChangeCredits, Credits, Grant, Refill};
use crate::entitlement::CreateEntitlement;
use crate::id::OrgId;
use crate::refusal::{Noun, Refusal};
use crate::role::Role;

const SCOPE: &str = "entitlements:write";

fn uses(remaining: u64) -> Grant {
    let refill = Refill::new(10, 3_600).expect("numbers of a refill");
    Grant::new(remaining, Some(refill)).expect("a grant")
}

fn grant(name: &str, credits: Option<Grant>) -> ChangeCredits {
    grant_in(org("acme"), name, credits)
}

fn grant_in(org: OrgId, name: &str, credits: Option<Grant>) -> ChangeCredits {
    ChangeCredits {
        org,
        entitlement: entitlement(name),
        credits,
    }
}

fn credits_of(world: &World, name: &str) -> Option<Credits> {
    let token = world.directory.entitlement(entitlement(name));
    token.expect("the world has this token").credits
}

#[test]
fn who_grants_uses() {
    let unknown = || refused(Refusal::Unknown(Noun::Entitlement));
    table! { world();
        password("gus"), grant("pull", Some(uses(5))) => refused(Refusal::Unknown(Noun::Organization));
        password("gus"), grant_in(org("globex"), "pull", None) => unknown();
        key("mia/keys"), grant("pull", Some(uses(5))) => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), grant("pull", Some(uses(5)))   => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), grant("pull", Some(uses(5))) => role_too_low(SCOPE, Role::Manager);
        key("ada/test"), grant("pull", Some(uses(5))) => unknown();
        password("max"), grant("none", Some(uses(5))) => unknown();
        password("max"), grant("pull", None)          => NOTHING;
        password("max"), grant("pull", Some(uses(5))) => happens("EntitlementCreditsChanged");
        key("ada/some"), grant("pull", Some(uses(0))) => happens("EntitlementCreditsChanged");
        service_key("ops"), grant("pull", Some(uses(5))) => happens("EntitlementCreditsChanged");
    }
}

#[test]
fn n107_more_uses_are_given_by_those_only_who_could_do_the_same() {
    let narrow = limited("ada/ents", &[SCOPE]);
    let counted = world()
        .given(key_created("ada/ents", narrow))
        .after(password("max"), grant("pull", Some(uses(5))));
    table! { counted;
        key("ada/ents"), grant("pull", None)           => beyond("files:read");
        key("ada/ents"), grant("pull", Some(uses(9)))  => beyond("files:read");
        key("ada/short"), grant("pull", Some(uses(9))) => refused(Refusal::BeyondOwnLifetime);
        key("ada/net"), grant("pull", Some(uses(9)))   => refused(Refusal::BeyondOwnNetworks);
        key("ada/some"), grant("pull", Some(uses(9)))  => happens("EntitlementCreditsChanged");
        password("max"), grant("pull", None)           => happens("EntitlementCreditsChanged");
    }
}

#[test]
fn each_grant_begins_a_count_of_its_own() {
    let first = world().after(password("max"), grant("pull", Some(uses(5))));
    let one = credits_of(&first, "pull").expect("granted");
    assert_eq!((one.grant, one.granted_at), (uses(5), NOW));
    assert_eq!(one.generation, first.directory.position());
    // The same once more is another grant.
    let second = first
        .at(after(60))
        .after(password("max"), grant("pull", Some(uses(5))));
    let two = credits_of(&second, "pull").expect("granted");
    assert_eq!((two.grant, two.granted_at), (uses(5), after(60)));
    assert!(two.generation > one.generation);
    let none = second.after(password("max"), grant("pull", None));
    assert_eq!(credits_of(&none, "pull"), None);
}

#[test]
fn a_token_may_be_made_with_uses() {
    let create = CreateEntitlement {
        org: org("acme"),
        entitlement: entitlement("new"),
        name: word("new"),
        api_key: limited("new", &["files:read"]),
        credits: Some(uses(7)),
    };
    let made = world().after(password("max"), create);
    let credits = credits_of(&made, "new").expect("granted");
    assert_eq!((credits.grant, credits.granted_at), (uses(7), NOW));
    assert_eq!(credits.generation, made.directory.position());
    assert_eq!(credits_of(&made, "pull"), None);
}
