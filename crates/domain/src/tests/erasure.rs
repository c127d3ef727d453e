//! Forgetting a person: who may, and what is left.

use super::world::*;
use crate::actor::{Actor, Authority};
use crate::erasure::ErasePerson;
use crate::event::{Event, Record};
use crate::id::PersonId;
use crate::key_use::ApiKeyFirstUsed;
use crate::member::{ChangeMemberRole, InvitationAccepted};
use crate::offboarding::DisableMember;
use crate::personal::Personal;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::user::Registration;
use std::collections::BTreeSet;

fn erase(name: &str) -> ErasePerson {
    confirmed(name, name)
}

fn confirmed(name: &str, confirm: &str) -> ErasePerson {
    ErasePerson {
        user: user(name),
        confirm: confirm.to_owned(),
    }
}

/// Mia is in globex too.
fn shared() -> World {
    let accepted = InvitationAccepted {
        org: org("globex"),
        invitation: invitation("mia"),
        user: user("mia"),
        registered: None,
    };
    let Event::MemberInvited(invited) = invited("mia", Role::Member) else {
        unreachable!("an invitation")
    };
    world()
        .given(Event::MemberInvited(crate::member::MemberInvited {
            org: org("globex"),
            ..invited
        }))
        .given(Event::InvitationAccepted(accepted))
}

#[test]
fn only_whoever_owns_all_their_organizations_and_they_themselves_erase_somebody() {
    let unknown = || refused(Refusal::Unknown(Noun::Member));
    let not_their_name = || invalid(Field::Confirm, Reason::NotTheirName);
    table! { world();
        key("ada/old"), erase("mia")      => refused(Refusal::CredentialEnded);
        password("gus"), erase("mia")     => unknown();
        password("ada"), erase("nobody")  => unknown();
        token("pull"), erase("mia")       => refused(Refusal::InsufficientScope("users:write"));
        password("tom"), erase("mia")     => refused(Refusal::AboveOwnRole(Role::Owner));
        password("max"), erase("mia")     => refused(Refusal::AboveOwnRole(Role::Owner));
        service_key("ops"), erase("mia")  => refused(Refusal::AboveOwnRole(Role::Owner));
        key("ada/test"), erase("mia")     => refused(Refusal::LiveFromTest);
        key("ada/some"), erase("mia")     => refused(Refusal::RoleFromLimited);
        key("ada/short"), erase("mia")    => refused(Refusal::RoleFromLimited);
        key("mia/full"), erase("mia")     => refused(Refusal::PasswordNeeded);
        password("ada"), confirmed("mia", "max")              => not_their_name();
        password("ada"), confirmed("mia", "")                 => not_their_name();
        password("mia"), confirmed("mia", "max@example.com")  => not_their_name();
        password("ada"), erase("ada")     => refused(Refusal::LastOwner);
        password("ada"), erase("mia")     => happens("PersonErased");
        key("ada/full"), erase("mia")     => happens("PersonErased");
        session("mia"), erase("mia")      => happens("PersonErased");
        password("ada"), confirmed("mia", "Mia@EXAMPLE.com")  => happens("PersonErased");
        Authority::SYSTEM, erase("mia")   => happens("PersonErased");
    }
    table! { shared();
        password("max"), erase("mia") => refused(Refusal::AboveOwnRole(Role::Owner));
        password("ada"), confirmed("mia", "no") => not_their_name();
        password("ada"), erase("mia") => refused(Refusal::MemberElsewhere);
        password("gus"), erase("mia") => refused(Refusal::MemberElsewhere);
        password("mia"), erase("mia") => happens("PersonErased");
    }
    // Who is switched off is still somebody that an organization answers for.
    let disable = DisableMember {
        org: org("globex"),
        user: user("mia"),
    };
    table! { shared().after(password("gus"), disable);
        password("ada"), erase("mia") => refused(Refusal::MemberElsewhere);
    }
    // Whoever is in no organization any more is forgotten by whoever runs the server.
    let alone = world().after(
        password("ada"),
        crate::member::RemoveMember {
            org: org("acme"),
            user: user("mia"),
        },
    );
    table! { alone;
        password("gus"), erase("mia") => unknown();
        password("max"), erase("mia") => refused(Refusal::AboveOwnRole(Role::Owner));
        password("ada"), erase("mia") => happens("PersonErased");
        password("mia"), erase("mia") => happens("PersonErased");
    }
}

#[test]
fn an_owner_erases_themselves_where_another_is() {
    let two = world().after(
        password("ada"),
        ChangeMemberRole {
            org: org("acme"),
            user: user("max"),
            role: Role::Owner,
        },
    );
    table! { two;
        password("ada"), erase("ada") => happens("PersonErased");
        password("max"), erase("ada") => happens("PersonErased");
    }
}

#[test]
fn n123_nothing_is_left_of_whoever_was_erased_but_what_they_did() {
    let before = shared().given(invited("mia", Role::Manager));
    let world = before.after(password("mia"), erase("mia"));
    let directory = &world.directory;

    let mia = directory.user(user("mia")).unwrap();
    assert!(mia.is_erased());
    assert_eq!(
        (&mia.email, &mia.name),
        (&Personal::Erased, &Personal::Erased)
    );
    assert_eq!(mia.slug, Personal::Erased);
    assert_eq!(mia.password, Personal::Erased);
    assert!(mia.orgs.is_empty() && mia.keys.is_empty() && mia.sessions.is_empty());
    assert!(directory.user_by_email("mia@example.com").is_none());
    assert!(directory.user_by_slug("mia").is_none());
    for name in ["acme", "globex"] {
        assert_eq!(directory.member_role(org(name), user("mia")), None);
    }
    assert!(directory.org(org("acme")).unwrap().invitations.is_empty());
    assert!(directory.invitation_by_token(credential("mia")).is_none());
    assert!(directory.invited.is_empty());
    let erased: BTreeSet<PersonId> = directory.erased().collect();
    assert!(erased.contains(&user("mia").into()));
    assert!(
        erased.contains(&invitation("mia").into()),
        "followed long ago"
    );
    assert_eq!(directory.last_erasure(), Some(directory.position()));
    assert!(world.api_key("mia/full").revoked_at().is_some());
    assert!(
        !format!("{directory:?}").contains("mia@"),
        "nowhere in the state"
    );

    table! { world;
        password("mia"), crate::session::StartSession { session: session_id("new"), digest: digest("c") }
                                      => refused(Refusal::CredentialEnded);
        session("mia"), crate::session::EndAllSessions => refused(Refusal::CredentialEnded);
        key("mia/full"), rotate("mia/full")            => refused(Refusal::CredentialEnded);
        password("ada"), erase("mia")                  => refused(Refusal::Unknown(Noun::Member));
    }
    // The address and the slug are free again, for somebody else.
    let new = crate::member::AddMember {
        org: org("acme"),
        role: Role::Member,
        new: crate::user::NewUser {
            user: user("mia2"),
            ..new_user("mia")
        },
    };
    let again = world.after(password("ada"), new);
    let found = again.directory.user_by_slug("mia").unwrap();
    assert_eq!(found.id, user("mia2"));
}

#[test]
fn n123_from_where_a_persons_key_was_used_is_the_persons() {
    let world = world();
    let directory = &world.directory;
    let used = |name| {
        Event::ApiKeyFirstUsed(ApiKeyFirstUsed {
            id: credential(name),
            network: None,
        })
    };
    let of = |event: &Event| directory.subject_of(Actor::System, event);
    assert_eq!(of(&used("mia/full")), user("mia").into());
    assert_eq!(of(&used("ci")), PersonId::NOBODY);
    assert_eq!(of(&used("nobody")), PersonId::NOBODY);
    assert_eq!(
        of(&Event::InvitationAccepted(InvitationAccepted {
            org: org("acme"),
            invitation: invitation("x"),
            user: user("mia"),
            registered: None,
        })),
        user("mia").into()
    );
    let by_max = directory.subject_of(Actor::User(user("max")), &used("mia/full"));
    assert_eq!(by_max, user("max").into());
}

/// A record as a replay reads it once these persons were erased.
pub(super) fn forgotten(record: &Record, erased: &BTreeSet<PersonId>) -> Record {
    let mut record = record.clone();
    let gone = |person: PersonId| erased.contains(&person);
    let forget = |registered: &mut Registration| {
        registered.email = Personal::Erased;
        registered.name = Personal::Erased;
        registered.slug = Personal::Erased;
        registered.password = Personal::Erased;
    };
    let actor = record.origin.actor.person();
    if let Event::OrgCreated(e) = &mut record.event {
        let owner = gone(e.owner.into());
        e.registered.iter_mut().filter(|_| owner).for_each(forget);
    } else if let Event::MemberAdded(e) = &mut record.event {
        if gone(e.user.into()) {
            forget(&mut e.registered);
        }
    } else if let Event::InvitationAccepted(e) = &mut record.event {
        let user = gone(e.user.into());
        e.registered.iter_mut().filter(|_| user).for_each(forget);
    } else if let Event::MemberInvited(e) = &mut record.event {
        if gone(e.invitation.into()) {
            e.email = Personal::Erased;
        }
    } else if let Event::PasswordChanged(e) = &mut record.event {
        if gone(e.user.into()) {
            e.password = Personal::Erased;
        }
    } else if let Event::UserKeyCreated(e) = &mut record.event {
        if gone(e.user.into()) && e.sealed.is_some() {
            e.sealed = Some(Personal::Erased);
        }
    } else if let Event::ApiKeyRotated(e) = &mut record.event
        && gone(actor)
        && e.sealed.is_some()
    {
        e.sealed = Some(Personal::Erased);
    }
    record
}

/// Goal: a restart after an erasure finds the state that was there before it. Method: an invitation of
/// hers is open when she leaves by another, and one of somebody else who is erased later too.
#[test]
fn n123_a_replay_without_what_was_erased_gives_the_same_state() {
    let open = |name: &str, number: &str| {
        let Event::MemberInvited(first) = invited(name, Role::Member) else {
            unreachable!("an invitation")
        };
        Event::MemberInvited(crate::member::MemberInvited {
            invitation: invitation(number),
            token: credential(number),
            ..first
        })
    };
    let accept = |number: &str| {
        Event::InvitationAccepted(InvitationAccepted {
            org: org("acme"),
            invitation: invitation(number),
            user: user("eve"),
            registered: Some(Registration {
                email: email("eve").into(),
                name: Personal::Known(word("Eve")),
                slug: Personal::Known(word("eve")),
                password: Personal::Known(crate::digest::PasswordHash::from_phc("p".into())),
            }),
        })
    };
    let world = world()
        .given(open("eve", "one"))
        .given(open("eve", "two"))
        .given(open("zoe", "three"));
    let mut other = accept("three");
    if let Event::InvitationAccepted(e) = &mut other {
        e.user = user("zoe");
        if let Some(registered) = &mut e.registered {
            registered.email = email("zoe").into();
            registered.slug = Personal::Known(word("zoe"));
        }
    }
    let world = world
        .given(accept("one"))
        .given(other)
        .after(password("ada"), erase("eve"))
        .after(password("zoe"), erase("zoe"));
    let erased: BTreeSet<PersonId> = world.directory.erased().collect();
    assert_eq!(erased.len(), 5, "two people, three invitations");
    let mut replayed = crate::directory::Directory::default();
    for record in &world.records {
        replayed.apply(&forgotten(record, &erased));
    }
    assert_eq!(replayed, world.directory);
}
