//! The fold: what it refuses to go on from, and what a record says about its event.

use super::world::*;
use crate::actor::{Actor, Authority};
use crate::api_key::{Activation, ApiKeyActivated};
use crate::directory::Directory;
use crate::event::Event;
use crate::org::CreateOrg;
use crate::position::Position;
use crate::service::DeleteService;
use crate::target::Target;
use crate::user_key::RevokeUserKey;

#[test]
fn an_empty_directory_is_empty() {
    let directory = Directory::default();
    assert!(directory.is_empty());
    assert_eq!(directory.position(), Position::ZERO);
    assert!(!world().directory.is_empty());
}

#[test]
#[should_panic(expected = "a position is missing")]
fn a_hole_in_the_ledger_stops_the_fold() {
    let world = world();
    let mut directory = Directory::default();
    directory.apply(&world.records[1]);
}

#[test]
#[should_panic(expected = "activated without a pending secret")]
fn an_event_that_cannot_have_happened_stops_the_fold() {
    let id = credential("ci");
    let _ = world().given(Event::ApiKeyActivated(ApiKeyActivated { id }));
}

/// Goal: a clock that was set back is seen in the record, and time there never runs backwards.
#[test]
fn n135_recorded_time_never_runs_backwards() {
    let org = |name: &str| CreateOrg {
        org: org(name),
        slug: word(name),
        name: word(name),
    };
    let back = world()
        .at(after(HOUR))
        .after(password("ada"), org("one"))
        .at(NOW)
        .after(password("ada"), org("two"));
    let last = back.records.last().unwrap();
    assert_eq!(
        (last.at, last.clock_behind_micros),
        (after(HOUR), HOUR * 1_000_000)
    );
    assert_eq!(back.directory.at(), after(HOUR));
    assert!(back.records.is_sorted_by_key(|record| record.at));
}

/// Goal: each record names its organizations and its target as they were when it happened.
#[test]
fn n110_a_record_is_for_the_auditors_concerned() {
    let acme = vec![org("acme")];
    let told = |world: &World| {
        let record = world.records.last().unwrap().clone();
        (record.organizations, record.event)
    };
    let deleted = world().after(
        password("max"),
        DeleteService {
            org: org("acme"),
            slug: word("ci"),
        },
    );
    assert_eq!(told(&deleted).0, acme);
    let revoked = world().after(
        password("mia"),
        RevokeUserKey {
            key: key_id("mia/full"),
        },
    );
    assert_eq!(told(&revoked).0, acme);
    let rotated = world().after(password("gus"), rotate("gus/full"));
    let (organizations, event) = told(&rotated);
    assert_eq!(organizations, [org("globex")]);
    let target = rotated.directory.target_of(&event);
    assert_eq!(target, Target::Key(key_id("gus/full")));
    let of_service = world().after(password("max"), rotate("ci"));
    let (_, event) = told(&of_service);
    assert_eq!(
        of_service.directory.target_of(&event),
        Target::Service(service("ci"))
    );
    let of_token = world().after(password("max"), rotate("pull"));
    let (_, event) = told(&of_token);
    let target = of_token.directory.target_of(&event);
    assert_eq!(target, Target::Entitlement(entitlement("pull")));
    // A key of nobody known is still named.
    let event = super::world::rotated("never", "x", Activation::Now { grace_seconds: 0 });
    assert_eq!(
        world().directory.target_of(&event),
        Target::Credential(credential("never"))
    );
    assert!(world().directory.organizations_of(&event).is_empty());
}

/// Goal: in each organization that a person belongs to, its auditors see what the person does with
/// their own keys.
#[test]
fn a_persons_own_doings_are_told_to_all_their_organizations() {
    let two = CreateOrg {
        org: org("two"),
        slug: word("two"),
        name: word("two"),
    };
    let world = world()
        .after(password("ada"), two)
        .after(password("ada"), rotate("ada/full"));
    let organizations = &world.records.last().unwrap().organizations;
    assert_eq!(organizations, &[org("acme"), org("two")]);
}

#[test]
fn names_of_events_are_told_apart() {
    let mut names = Event::NAMES.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Event::NAMES.len());
    assert!(
        world()
            .records
            .iter()
            .all(|record| names.contains(&record.event.name()))
    );
}

/// Goal: a live fold and the replay of its records end in the same state.
#[test]
fn a_replay_gives_the_same_state() {
    let world = world().after(Authority::SYSTEM, rotate("ci"));
    let mut replayed = Directory::default();
    for record in &world.records {
        replayed.apply(record);
    }
    assert_eq!(replayed, world.directory);
    assert_eq!(
        replayed.role_of(Actor::System, org("acme")),
        Some(crate::role::Role::Owner)
    );
}
