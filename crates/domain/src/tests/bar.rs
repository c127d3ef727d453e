//! No organization shields a key from another one that revokes it, and none ends what works elsewhere.

use super::world::*;
use crate::actor::{Actor, Authority};
use crate::api_key::{Activation, Ended, RotateApiKey};
use crate::event::Event;
use crate::member::{InvitationAccepted, RemoveMember};
use crate::offboarding::{DisableMember, EnableMember, HandOverUserKey};
use crate::org::CreateOrg;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::revocation::{
    ApiKeysRevoked, HolderKind, LeftAlone, NAMED_MAX, RevocationFilter, RevokeApiKeys,
    UndoRevocation,
};
use crate::role::Role::Member;
use crate::user_key::RevokeUserKey;

fn all() -> RevocationFilter {
    RevocationFilter {
        all: true,
        ..RevocationFilter::default()
    }
}

fn revoke_in(place: &str, name: &str, filter: RevocationFilter) -> RevokeApiKeys {
    RevokeApiKeys {
        org: org(place),
        revocation: revocation(name),
        filter,
        expected_count: None,
    }
}

fn undo_in(place: &str, name: &str) -> UndoRevocation {
    UndoRevocation {
        org: org(place),
        revocation: revocation(name),
    }
}

fn disable_in(place: &str, name: &str) -> DisableMember {
    DisableMember {
        org: org(place),
        user: user(name),
    }
}

fn remove_from(place: &str, name: &str) -> RemoveMember {
    RemoveMember {
        org: org(place),
        user: user(name),
    }
}

fn new_org(name: &str) -> CreateOrg {
    CreateOrg {
        org: org(name),
        slug: word(name),
        name: word(name),
    }
}

/// Somebody comes into `place`, which is not acme.
fn with_member(world: World, place: &str, name: &str) -> World {
    let Event::MemberInvited(invited) = invited(name, Member) else {
        unreachable!("it is an invitation");
    };
    let came = InvitationAccepted {
        org: org(place),
        invitation: invitation(name),
        user: user(name),
        registered: None,
    };
    let invited = crate::member::MemberInvited {
        org: org(place),
        ..invited
    };
    world
        .given(Event::MemberInvited(invited))
        .given(Event::InvitationAccepted(came))
}

fn no_org() -> Then {
    refused(Refusal::Unknown(Noun::Organization))
}

/// Somebody stole max's key and made it an organization of its own, before ada revoked everything.
fn after_the_thief() -> World {
    world()
        .given(key_created("max/two", unlimited("max/two")))
        .after(key("max/full"), new_org("thief"))
        .after(password("ada"), revoke_in("acme", "new", all()))
}

#[test]
fn an_organization_of_ones_own_is_no_shield() {
    let done = after_the_thief();
    let told = done.records.last().map(|record| &record.event);
    assert!(matches!(
        told,
        Some(Event::ApiKeysRevoked(event)) if event.barred.contains(&credential("max/full"))
    ));
    let full = done.api_key("max/full");
    assert_eq!(done.directory.standing_of(full, done.now), Ok(()));
    assert!(
        done.directory
            .effective_scopes(full, org("acme"))
            .is_empty()
    );
    assert!(
        !done
            .directory
            .effective_scopes(full, org("thief"))
            .is_empty()
    );
    let thief = || key("max/full");
    let with_grace = RotateApiKey {
        activation: Activation::Now { grace_seconds: 1 },
        ..rotate("max/full")
    };
    table! { done;
        thief(), undo_in("acme", "new")             => no_org();
        thief(), disable_in("acme", "tom")          => no_org();
        thief(), create_service("new", Member, &[]) => no_org();
        thief(), rotate("ci")                       => refused(Refusal::Unknown(Noun::Key));
        thief(), revoke_in("acme", "again", all())  => no_org();
        // It makes no key that would work where it was revoked.
        thief(), create_key(unlimited("max/new"), "new") => refused(Refusal::BeyondOwnOrganizations);
        thief(), create_key(limited("max/new", &["files:read"]), "new") => refused(Refusal::BeyondOwnOrganizations);
        thief(), new_org("lair")                    => happens("OrgCreated");
        // And it renews itself and its like, which changes nothing of where they work.
        thief(), rotate("max/two")                  => happens("ApiKeyRotated");
        password("max"), with_grace                 => happens("ApiKeyRotated");
        password("max"), create_key(unlimited("max/new"), "new") => happens("UserKeyCreated");
    }
    let rotated = done.clone().after(thief(), rotate("max/full"));
    assert!(rotated.directory.bars(org("acme"), credential("max/full")));
    let rotated = done.clone().after(
        password("max"),
        RotateApiKey {
            activation: Activation::Now { grace_seconds: 1 },
            ..rotate("max/full")
        },
    );
    assert!(rotated.directory.bars(org("acme"), credential("max/full")));
    // A key that came since is not the thief's to take over.
    let fresh = done
        .clone()
        .after(password("max"), create_key(unlimited("max/new"), "new"))
        .given(disabled("max/new"));
    table! { fresh;
        thief(), rotate("max/new")                  => refused(Refusal::BeyondOwnOrganizations);
        thief(), switch("max/new", false)           => refused(Refusal::BeyondOwnOrganizations);
        password("max"), switch("max/new", false)   => happens("ApiKeyEnabled");
    }
    // Its owner replaces the secret, at once and by password: nothing is left of what was stolen.
    let mended = done.after(password("max"), rotate("max/full"));
    assert!(!mended.directory.bars(org("acme"), credential("max/full")));
    table! { mended;
        thief(), new_org("lair")                    => refused(Refusal::CredentialEnded);
        later_key("max/full", 2), create_service("new", Member, &[]) => happens("ServiceCreated");
    }
}

#[test]
fn where_the_owner_is_switched_off_is_no_other_organization() {
    let two = with_member(world(), "globex", "mia");
    let of_mia = RevocationFilter {
        owner: Some(Actor::User(user("mia"))),
        ..RevocationFilter::default()
    };
    let revoke = || revoke_in("acme", "new", of_mia.clone());
    let off = two
        .clone()
        .after(password("gus"), disable_in("globex", "mia"))
        .after(password("ada"), revoke());
    assert!(off.api_key("mia/full").revoked_at().is_some());
    assert!(off.directory.barred.is_empty());
    // Barred here, and then put out there: nothing is left.
    let barred = two.after(password("ada"), revoke());
    assert!(barred.directory.bars(org("acme"), credential("mia/full")));
    assert!(!barred.directory.bars(org("globex"), credential("mia/full")));
    let out = barred
        .clone()
        .after(password("gus"), remove_from("globex", "mia"));
    let full = out.api_key("mia/full");
    assert_eq!(
        out.directory.standing_of(full, out.now),
        Err(Ended::Revoked)
    );
    table! { out;
        key("mia/full"), create_key(unlimited("mia/new"), "new") => refused(Refusal::CredentialEnded);
    }
    // What both have barred is revoked, and each gives back its own.
    let both = barred.after(password("gus"), revoke_in("globex", "new", of_mia.clone()));
    let full = both.api_key("mia/full");
    assert!(full.revoked_at().is_some());
    let lifted = both.clone().after(password("ada"), undo_in("acme", "new"));
    let full = lifted.api_key("mia/full");
    assert_eq!(
        lifted.directory.standing_of(full, lifted.now),
        Err(Ended::Revoked)
    );
    assert!(lifted.directory.barred.is_empty());
}

#[test]
fn an_undo_lifts_what_the_revocation_barred() {
    let before = with_member(world(), "globex", "mia");
    let done = before
        .clone()
        .after(password("ada"), revoke_in("acme", "new", all()));
    assert_ne!(done.directory.barred, before.directory.barred);
    table! { done;
        password("tom"), undo_in("acme", "new")     => role_too_low("entitlements:write", crate::role::Role::Manager);
        password("max"), undo_in("acme", "new")     => refused(Refusal::AboveOwnRole(crate::role::Role::Owner));
    }
    let undone = done.clone().after(password("ada"), undo_in("acme", "new"));
    assert_eq!(undone.directory.barred, before.directory.barred);
    assert_eq!(undone.directory.api_keys, before.directory.api_keys);
    // A bar outlasts that its owner leaves and comes again, and ends with the key.
    let back = done
        .clone()
        .after(password("mia"), remove_from("acme", "mia"));
    assert!(back.directory.bars(org("acme"), credential("mia/full")));
    let gone = done.after(
        password("mia"),
        RevokeUserKey {
            key: key_id("mia/full"),
        },
    );
    assert!(!gone.directory.bars(org("acme"), credential("mia/full")));
    assert!(gone.directory.bars(org("acme"), credential("mia/keys")));
}

#[test]
fn whoever_undoes_holds_what_the_barred_keys_can_do() {
    let two = with_member(world(), "globex", "ada");
    let services_and_all = two.after(password("ada"), revoke_in("acme", "new", all()));
    table! { services_and_all;
        password("max"), undo_in("acme", "new")     => refused(Refusal::AboveOwnRole(crate::role::Role::Owner));
        password("ada"), undo_in("acme", "new")     => happens("ApiKeysRevocationUndone");
    }
}

#[test]
fn a_key_that_is_barred_is_not_handed_over() {
    let off = with_member(world(), "globex", "mia")
        .after(password("ada"), revoke_in("acme", "new", all()))
        .after(password("gus"), remove_from("globex", "mia"))
        .after(password("ada"), disable_in("acme", "mia"));
    let hand_over = HandOverUserKey {
        org: org("acme"),
        key: key_id("mia/full"),
        service: service("new"),
        slug: word("new"),
        name: word("new"),
        description: word(""),
        role: Member,
        teams: Vec::new(),
    };
    table! { off;
        password("ada"), hand_over => refused(Refusal::Unknown(Noun::Key));
        password("ada"), EnableMember { org: org("acme"), user: user("mia") } => happens("MemberEnabled");
    }
}

/// One key more than an event names.
fn many() -> World {
    let mut world = with_member(world(), "globex", "mia");
    for number in 0..=NAMED_MAX {
        let name = format!("s{number}x");
        world = world.given(service_created(&name, Member, &[], unlimited(&name)));
    }
    world
}

#[test]
fn more_keys_than_an_event_names_are_revoked_all_the_same() {
    let before = many();
    let by_scope = RevocationFilter {
        scope: Some(word("files:read")),
        kind: Some(HolderKind::Service),
        ..RevocationFilter::default()
    };
    let count = NAMED_MAX + 4;
    table! { before;
        password("ada"), revoke_in("acme", "new", by_scope) => invalid(Field::Filter, Reason::TooManyKeys(count));
    }
    let who = Authority {
        proof: secret("max/full", 1),
        ..password("max")
    };
    let done = before.clone().after(who, revoke_in("acme", "new", all()));
    let Some(Event::ApiKeysRevoked(event)) = done.records.last().map(|record| &record.event) else {
        panic!("it is revoked");
    };
    assert!(event.keys.is_empty() && event.barred.is_empty() && event.unnamed.is_some());
    let dead = |name: &str| done.api_key(name).revoked_at().is_some();
    assert!(dead("ci") && dead("s0x") && dead(&format!("s{NAMED_MAX}x")));
    assert!(!dead("mia/full") && done.directory.bars(org("acme"), credential("mia/full")));
    // A manager's: not an owner's, and not the one that asked.
    assert!(!dead("ada/full") && !dead("max/full"));
    let undone = done.after(password("ada"), undo_in("acme", "new"));
    assert_eq!(undone.directory.api_keys, before.directory.api_keys);
    assert!(undone.directory.barred.is_empty());
}

#[test]
fn what_is_found_again_is_what_would_have_been_named() {
    let before = with_member(world(), "globex", "mia").after(key("max/full"), new_org("thief"));
    let filters = [
        all(),
        RevocationFilter {
            kind: Some(HolderKind::User),
            created_by: Some(Actor::System),
            ..RevocationFilter::default()
        },
        RevocationFilter {
            include_self: true,
            ..all()
        },
    ];
    for filter in filters {
        for who in [password("ada"), key("ada/full"), key("max/full")] {
            let directory = &before.directory;
            let command = revoke_in("acme", "new", filter.clone());
            let Ok(Some(Event::ApiKeysRevoked(named))) = before.decide(who, command) else {
                panic!("they may");
            };
            let credential = who.credential();
            let reach = crate::revocation::Reach {
                up_to: directory.role_of(who.actor, org("acme")).unwrap(),
                test_only: false,
                except: credential.filter(|_| !filter.include_self),
            };
            let unnamed = ApiKeysRevoked {
                keys: Vec::new(),
                barred: Vec::new(),
                unnamed: Some(reach),
                ..named.clone()
            };
            let mut one = before.clone();
            one.record(who.actor, credential, Event::ApiKeysRevoked(named));
            let mut other = before.clone();
            other.record(who.actor, credential, Event::ApiKeysRevoked(unnamed));
            assert_eq!(one.directory, other.directory);
        }
    }
}

#[test]
fn a_key_of_somebody_above_is_left_alone_wherever_it_works() {
    let two = with_member(world(), "globex", "ada");
    let selection = two
        .directory
        .select_for_revocation(&password("max"), org("acme"), &all())
        .unwrap();
    let own = (credential("ada/full"), LeftAlone::AboveOwnRole);
    assert!(selection.left_alone.contains(&own));
    assert!(!selection.barred.contains(&own.0));
}
