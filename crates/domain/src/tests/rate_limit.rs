//! How often a key may be used, and who may say so.

use super::world::*;
use crate::actor::Authority;
use crate::api_key::{NewApiKey, RestrictApiKey};
use crate::entitlement::CreateEntitlement;
use crate::id::OrgId;
use crate::rate_limit::{ChangeOrgLimits, RateLimit};
use crate::refusal::{Noun, Refusal};
use crate::role::Role;

const SCOPE: &str = "workspaces:write";

/// The usual world, in which a key of the owner, one of a member and two of services may be used
/// ten times a minute.
fn limited_world() -> World {
    let ten = |name: &str| at_rate(unlimited(name), rate(10, 60));
    world()
        .given(key_created("ada/ten", ten("ada/ten")))
        .given(key_created("mia/ten", ten("mia/ten")))
        .given(service_created("slow", Role::Manager, &[], ten("slow")))
        .given(service_created("small", Role::Member, &[], ten("small")))
}

fn wider() -> Then {
    refused(Refusal::BeyondOwnRateLimit)
}

fn token_with(new: NewApiKey) -> CreateEntitlement {
    CreateEntitlement {
        org: org("acme"),
        entitlement: entitlement("new"),
        name: word("new"),
        api_key: new,
        credits: None,
    }
}

fn service_with(limit: Option<RateLimit>) -> crate::service::CreateService {
    let mut create = create_service("new", Role::Member, &[]);
    create.api_key.rate_limit = limit;
    create
}

fn to_rate(name: &str, limit: Option<RateLimit>) -> RestrictApiKey {
    RestrictApiKey {
        rate_limit: Some(limit),
        ..restrict(name)
    }
}

fn defaults(name: &str, limit: Option<RateLimit>) -> ChangeOrgLimits {
    ChangeOrgLimits {
        org: org(name),
        rate_limit: limit,
    }
}

#[test]
fn n107_a_limited_key_makes_none_without_a_limit_nor_with_a_wider_one() {
    let key_at = |limit| {
        let mut new = unlimited("new");
        new.rate_limit = limit;
        create_key(new, "new")
    };
    let sees = || limited("new", &["files:read"]);
    table! { limited_world();
        key("ada/ten"), key_at(None)                            => wider();
        key("ada/ten"), key_at(Some(rate(11, 60)))              => wider();
        key("ada/ten"), key_at(Some(rate(10, 59)))              => wider();
        key("ada/ten"), key_at(Some(rate(20, 120)))             => wider();
        key("ada/ten"), service_with(None)                      => wider();
        key("ada/ten"), token_with(sees())                      => wider();
        service_key("slow"), token_with(sees())                 => wider();
        service_key("slow"), service_with(Some(rate(10, 1)))    => wider();
        key("ada/ten"), key_at(Some(rate(10, 60)))              => happens("UserKeyCreated");
        key("ada/ten"), key_at(Some(rate(5, 30)))               => happens("UserKeyCreated");
        key("ada/ten"), service_with(Some(rate(1, 86_400)))     => happens("ServiceCreated");
        service_key("slow"), token_with(at_rate(sees(), rate(10, 60))) => happens("EntitlementCreated");
        // Who has none gives any.
        key("ada/full"), key_at(None)                           => happens("UserKeyCreated");
        key("ada/full"), service_with(Some(rate(1_000_000, 1))) => happens("ServiceCreated");
        password("mia"), key_at(Some(rate(1_000_000, 1)))       => happens("UserKeyCreated");
    }
}

#[test]
fn who_changes_the_limit_of_a_key() {
    let narrow = Some(rate(1, 60));
    table! { limited_world();
        key("ada/ten"), to_rate("ada/ten", None)                => wider();
        key("ada/ten"), to_rate("ada/ten", Some(rate(11, 60)))  => wider();
        key("ada/ten"), to_rate("ada/test", Some(rate(11, 60))) => happens("ApiKeyRestricted");
        key("mia/ten"), to_rate("mia/full", narrow)             => happens("ApiKeyRestricted");
        key("ada/ten"), to_rate("ada/ten", narrow)              => happens("ApiKeyRestricted");
        key("ada/ten"), to_rate("ada/ten", Some(rate(10, 60)))  => NOTHING;
        key("ada/full"), to_rate("ada/ten", None)               => happens("ApiKeyRestricted");
        password("max"), to_rate("ci", narrow)                  => happens("ApiKeyRestricted");
        password("mia"), to_rate("ci", narrow)                  => role_too_low("services:write", Role::Manager);
        password("gus"), to_rate("ci", narrow)                  => refused(Refusal::Unknown(Noun::Key));
        token("pull"), to_rate("pull", None)                    => refused(Refusal::InsufficientScope("entitlements:write"));
    }
    let narrowed = limited_world().after(key("ada/full"), to_rate("ada/ten", narrow));
    assert_eq!(narrowed.api_key("ada/ten").rate_limit(), narrow);
    // What is left out stays.
    let narrow_scopes = RestrictApiKey {
        scopes: Some(Some(scopes(&["files:read"]))),
        ..restrict("ada/ten")
    };
    let after = narrowed.after(key("ada/full"), narrow_scopes);
    assert_eq!(after.api_key("ada/ten").rate_limit(), narrow);
}

#[test]
fn a_limited_key_takes_over_none_that_has_none() {
    let off = limited_world().given(disabled("mia/full"));
    table! { off;
        key("ada/ten"), rotate("ada/full")          => wider();
        service_key("slow"), rotate("ci")           => wider();
        key("mia/ten"), switch("mia/full", false)   => wider();
        // Itself, and what is no wider.
        key("ada/ten"), rotate("ada/ten")           => happens("ApiKeyRotated");
        key("ada/ten"), rotate("small")             => happens("ApiKeyRotated");
    }
}

#[test]
fn a_limited_key_makes_no_manager() {
    table! { limited_world();
        service_key("slow"), create_service("new", Role::Manager, &[]) => refused(Refusal::RoleFromLimited);
        service_key("ops"), create_service("new", Role::Manager, &[])  => happens("ServiceCreated");
    }
}

#[test]
fn who_sets_the_default_of_an_organization() {
    let some = Some(rate(100, 60));
    let unset = limited_world();
    table! { unset;
        password("gus"), defaults("acme", some)      => refused(Refusal::Unknown(Noun::Organization));
        password("ada"), defaults("none", some)      => refused(Refusal::Unknown(Noun::Organization));
        key("mia/keys"), defaults("acme", some)      => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), defaults("acme", some)        => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), defaults("acme", some)      => role_too_low(SCOPE, Role::Manager);
        key("ada/test"), defaults("acme", some)      => refused(Refusal::LiveFromTest);
        password("max"), defaults("acme", None)      => NOTHING;
        password("max"), defaults("acme", some)      => happens("OrgLimitsChanged");
        key("ada/some"), defaults("acme", some)      => happens("OrgLimitsChanged");
        service_key("ops"), defaults("acme", some)   => happens("OrgLimitsChanged");
        // From none to any is no wider, whoever does it.
        key("ada/ten"), defaults("acme", some)       => happens("OrgLimitsChanged");
        Authority::SYSTEM, defaults("acme", some)    => happens("OrgLimitsChanged");
    }
    let set = unset.after(password("max"), defaults("acme", some));
    table! { set;
        password("max"), defaults("acme", some)               => NOTHING;
        key("ada/ten"), defaults("acme", None)                => wider();
        key("ada/ten"), defaults("acme", Some(rate(101, 60))) => wider();
        key("ada/ten"), defaults("acme", Some(rate(99, 60)))  => happens("OrgLimitsChanged");
        key("ada/full"), defaults("acme", None)               => happens("OrgLimitsChanged");
        // A default binds nobody in what they make.
        service_key("ops"), service_with(None)                => happens("ServiceCreated");
        service_key("ops"), service_with(Some(rate(500, 1)))  => happens("ServiceCreated");
    }
}

#[test]
fn the_own_limit_goes_before_the_default() {
    let limit_in = |world: &World, key: &str, of: OrgId| {
        let org = world.directory.org(of).expect("it is there");
        world.api_key(key).rate_limit_in(org)
    };
    let some = Some(rate(100, 60));
    let set = limited_world().after(password("ada"), defaults("acme", some));
    assert_eq!(limit_in(&set, "ada/full", org("acme")), some);
    assert_eq!(limit_in(&set, "ci", org("acme")), some);
    assert_eq!(limit_in(&set, "ada/ten", org("acme")), Some(rate(10, 60)));
    assert_eq!(limit_in(&set, "gus/full", org("globex")), None);
    let unset = set.after(password("ada"), defaults("acme", None));
    assert_eq!(limit_in(&unset, "ci", org("acme")), None);
}
