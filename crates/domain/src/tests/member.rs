//! Who gets in, becomes something else, and gets out.

use super::world::*;
use crate::actor::Authority;
use crate::event::Event;
use crate::member::{
    AcceptInvitation, AddMember, ChangeMemberRole, INVITATIONS_OF_ADDRESS_MAX, InviteMember,
    MemberInvited, RemoveMember, RevokeInvitation,
};
use crate::org::CreateOrg;
use crate::personal::Personal;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role::{self, Manager, Member, Owner};
use crate::user::NewUser;

const SCOPE: &str = "users:write";

fn no_org() -> Then {
    refused(Refusal::Unknown(Noun::Organization))
}

fn above(role: Role) -> Then {
    refused(Refusal::AboveOwnRole(role))
}

fn add(name: &str, role: Role) -> AddMember {
    AddMember {
        org: org("acme"),
        role,
        new: new_user(name),
    }
}

fn invite(name: &str, role: Role) -> InviteMember {
    InviteMember {
        org: org("acme"),
        invitation: invitation("new"),
        email: email(name),
        role,
        token: credential("new"),
        digest: digest("come in"),
        expires_at: after(HOUR),
    }
}

fn accept(name: &str, secret: &str, new: Option<NewUser>) -> AcceptInvitation {
    AcceptInvitation {
        token: credential(name),
        digest: digest(secret),
        new,
    }
}

fn take_back(name: &str) -> RevokeInvitation {
    RevokeInvitation {
        org: org("acme"),
        invitation: invitation(name),
    }
}

fn change(name: &str, role: Role) -> ChangeMemberRole {
    ChangeMemberRole {
        org: org("acme"),
        user: user(name),
        role,
    }
}

fn remove(name: &str) -> RemoveMember {
    RemoveMember {
        org: org("acme"),
        user: user(name),
    }
}

#[test]
fn who_makes_accounts_for_others() {
    let taken_id = AddMember {
        new: NewUser {
            user: user("gus"),
            ..new_user("new")
        },
        ..add("new", Member)
    };
    table! { world();
        password("gus"), add("mia", Owner)   => no_org();
        key("mia/keys"), add("mia", Owner)   => refused(Refusal::InsufficientScope(SCOPE));
        token("pull"), add("mia", Owner)     => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), add("mia", Owner)   => role_too_low(SCOPE, Manager);
        service_key("ci"), add("mia", Owner) => role_too_low(SCOPE, Manager);
        key("ada/test"), add("mia", Owner)   => refused(Refusal::LiveFromTest);
        password("max"), add("mia", Owner)   => above(Owner);
        service_key("ops"), add("x", Owner)  => above(Owner);
        password("tom"), add("mia", Manager) => above(Manager);
        key("ada/some"), add("mia", Manager) => refused(Refusal::RoleFromLimited);
        key("ada/net"), add("mia", Manager)  => refused(Refusal::RoleFromLimited);
        later_key("ada/full", 9), add("mia", Manager) => refused(Refusal::CredentialEnded);
        password("max"), add("mia", Manager) => refused(Refusal::AlreadyMember);
        password("max"), add("gus", Manager) => refused(Refusal::AlreadyRegistered);
        password("max"), taken_id            => refused(Refusal::Taken(Field::CredentialId));
        password("tom"), add("new", Member)  => happens("MemberAdded");
        key("ada/some"), add("new", Member)  => happens("MemberAdded");
        password("max"), add("new", Manager) => happens("MemberAdded");
        service_key("ops"), add("x", Manager) => happens("MemberAdded");
        password("ada"), add("new", Owner)   => happens("MemberAdded");
        Authority::SYSTEM, add("new", Owner) => happens("MemberAdded");
    }
}

#[test]
fn slugs_are_numbered_until_nobody_else_has_them() {
    let elsewhere = |name: &str| AddMember {
        new: NewUser {
            email: word(&format!("mia@{name}")),
            ..new_user(name)
        },
        ..add(name, Member)
    };
    let world = world()
        .after(password("ada"), elsewhere("a.example"))
        .after(password("ada"), elsewhere("b.example"));
    let slug_of = |name: &str| world.directory.user(user(name)).unwrap().slug.clone();
    assert_eq!(slug_of("a.example"), Personal::Known(word("mia-2")));
    assert_eq!(slug_of("b.example"), Personal::Known(word("mia-3")));
    // A local part without letters or digits.
    let odd = AddMember {
        new: NewUser {
            email: word("!@example.com"),
            ..new_user("odd")
        },
        ..add("odd", Member)
    };
    let world = world.after(password("ada"), odd);
    assert_eq!(
        world.directory.user_by_slug("user").unwrap().id,
        user("odd")
    );
}

#[test]
fn who_invites() {
    let past = || InviteMember {
        expires_at: NOW,
        ..invite("mia", Member)
    };
    let soon = || InviteMember {
        expires_at: micros_off(NOW, 1),
        ..invite("new", Member)
    };
    let open = world().given(invited("eve", Member));
    let same_token = InviteMember {
        token: credential("eve"),
        ..invite("new", Member)
    };
    let keys_id = InviteMember {
        token: credential("ada/full"),
        ..invite("new", Member)
    };
    let same_id = InviteMember {
        invitation: invitation("eve"),
        ..invite("new", Member)
    };
    table! { open;
        password("gus"), past()                => no_org();
        key("mia/keys"), past()                => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), past()                => role_too_low(SCOPE, Manager);
        key("ada/test"), past()                => refused(Refusal::LiveFromTest);
        password("max"), invite("mia", Owner)  => above(Owner);
        key("ada/some"), invite("mia", Owner)  => refused(Refusal::RoleFromLimited);
        password("max"), past()                => invalid(Field::ExpiresAt, Reason::InThePast);
        password("max"), invite("mia", Member) => refused(Refusal::AlreadyMember);
        password("max"), same_token            => refused(Refusal::Taken(Field::CredentialId));
        password("max"), keys_id               => refused(Refusal::Taken(Field::CredentialId));
        password("max"), same_id               => refused(Refusal::Taken(Field::CredentialId));
        password("max"), soon()                => happens("MemberInvited");
        // Somebody who has an account elsewhere, and somebody who was asked before.
        password("max"), invite("gus", Manager) => happens("MemberInvited");
        password("max"), invite("eve", Member)  => happens("MemberInvited");
    }
}

#[test]
fn n123_no_number_of_invitations_stands_in_the_way_of_an_erasure() {
    let mut world = world();
    for number in 0..INVITATIONS_OF_ADDRESS_MAX {
        let again = InviteMember {
            invitation: invitation(&format!("again-{number}")),
            token: credential(&format!("t{number}")),
            ..invite("gus", Member)
        };
        let id = again.invitation;
        world = world.after(password("max"), again);
        let back = RevokeInvitation {
            org: org("acme"),
            invitation: id,
        };
        world = world.after(password("max"), back);
    }
    table! { world;
        password("max"), invite("gus", Member) => refused(Refusal::TooManyInvitations);
        password("max"), invite("eve", Member) => happens("MemberInvited");
    }
}

#[test]
fn n115_an_invitation_is_for_one_address_and_one_use() {
    let unknown = || refused(Refusal::Unknown(Noun::Invitation));
    let eve = || Some(new_user("eve"));
    let open = world()
        .given(invited("eve", Manager))
        .given(invited("gus", Member));
    table! { open;
        Authority::SYSTEM, accept("never", "come in", eve()) => unknown();
        Authority::SYSTEM, accept("eve", "guess", eve())     => unknown();
        Authority::SYSTEM, accept("eve", "come in", None)    => unknown();
        // The address has an account: only its owner brings it in, and nobody makes another.
        Authority::SYSTEM, accept("gus", "come in", eve())   => unknown();
        password("mia"), accept("gus", "come in", None)      => unknown();
        service_key("ops"), accept("gus", "come in", None)   => unknown();
        password("gus"), accept("gus", "guess", None)        => unknown();
        password("gus"), accept("gus", "come in", None)      => happens("InvitationAccepted");
        key("gus/full"), accept("gus", "come in", None)      => happens("InvitationAccepted");
        Authority::SYSTEM, accept("eve", "come in", eve())   => happens("InvitationAccepted");
    }
    let last = micros_off(after(HOUR), -1);
    table! { open.at(last);
        Authority::SYSTEM, accept("eve", "come in", eve()) => happens("InvitationAccepted");
    }
    for late in [0, 1] {
        table! { open.at(micros_off(after(HOUR), late));
            Authority::SYSTEM, accept("eve", "come in", eve()) => unknown();
        }
    }
    let inside = open.after(Authority::SYSTEM, accept("eve", "come in", eve()));
    assert_eq!(
        inside.directory.member_role(org("acme"), user("eve")),
        Some(Manager)
    );
    assert_eq!(
        inside.directory.invitation_by_token(credential("eve")),
        None
    );
    table! { inside;
        password("eve"), accept("eve", "come in", None)    => unknown();
        Authority::SYSTEM, accept("eve", "come in", eve()) => unknown();
        password("max"), take_back("eve")                  => unknown();
    }
}

#[test]
fn an_invitation_makes_no_second_account_and_no_other_address() {
    let open = world().given(invited("eve", Member));
    let as_gus = Some(NewUser {
        user: user("gus"),
        ..new_user("eve")
    });
    let other_address = Some(NewUser {
        user: user("eve"),
        ..new_user("zoe")
    });
    table! { open;
        Authority::SYSTEM, accept("eve", "come in", as_gus) => refused(Refusal::Taken(Field::CredentialId));
    }
    let inside = open.after(Authority::SYSTEM, accept("eve", "come in", other_address));
    assert!(inside.directory.user_by_email("eve@example.com").is_some());
    assert!(inside.directory.user_by_email("zoe@example.com").is_none());
    // Two invitations of one person: the second ended with the first.
    let twice = world()
        .given(invited("gus", Member))
        .given(Event::MemberInvited(MemberInvited {
            org: org("acme"),
            invitation: invitation("gus-2"),
            email: email("gus").into(),
            role: Owner,
            token: credential("gus2"),
            digest: digest("come in"),
            expires_at: after(HOUR),
        }));
    let once = twice.after(password("gus"), accept("gus", "come in", None));
    table! { once;
        password("gus"), accept("gus2", "come in", None) => refused(Refusal::Unknown(Noun::Invitation));
    }
    // So who is put out again has no way back in.
    let put_out = once.after(
        password("ada"),
        RemoveMember {
            org: org("acme"),
            user: user("gus"),
        },
    );
    table! { put_out;
        password("gus"), accept("gus2", "come in", None) => refused(Refusal::Unknown(Noun::Invitation));
    }
}

/// Goal: a key joins for its owner only where it may manage members, and never a test key.
#[test]
fn a_narrow_key_follows_no_invitation() {
    let open = world()
        .given(key_created("gus/test", test(unlimited("gus/test"))))
        .given(key_created(
            "gus/files",
            limited("gus/files", &["files:read"]),
        ))
        .given(invited("gus", Owner));
    table! { open;
        key("gus/files"), accept("gus", "come in", None) => refused(Refusal::InsufficientScope(SCOPE));
        key("gus/test"), accept("gus", "come in", None)  => refused(Refusal::LiveFromTest);
        key("gus/full"), accept("gus", "come in", None)  => happens("InvitationAccepted");
    }
}

/// Goal: an invitation whose addressee was erased opens nothing, and can still be taken back.
#[test]
fn an_erased_invitation_is_no_longer_one() {
    let open = world().given(Event::MemberInvited(MemberInvited {
        org: org("acme"),
        invitation: invitation("eve"),
        email: Personal::Erased,
        role: Member,
        token: credential("eve"),
        digest: digest("come in"),
        expires_at: after(HOUR),
    }));
    let eve = Some(new_user("eve"));
    table! { open;
        Authority::SYSTEM, accept("eve", "come in", eve) => refused(Refusal::Unknown(Noun::Invitation));
        password("max"), take_back("eve")                => happens("InvitationRevoked");
    }
}

#[test]
fn who_takes_an_invitation_back() {
    let open = world()
        .given(invited("eve", Manager))
        .given(invited("boss", Owner));
    table! { open;
        password("gus"), take_back("eve")  => no_org();
        key("mia/keys"), take_back("eve")  => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), take_back("eve")  => role_too_low(SCOPE, Manager);
        key("ada/test"), take_back("eve")  => refused(Refusal::LiveFromTest);
        password("max"), take_back("none") => refused(Refusal::Unknown(Noun::Invitation));
        password("tom"), take_back("eve")  => above(Manager);
        password("max"), take_back("boss") => above(Owner);
        key("ada/some"), take_back("eve")  => refused(Refusal::RoleFromLimited);
        password("max"), take_back("eve")  => happens("InvitationRevoked");
        password("ada"), take_back("boss") => happens("InvitationRevoked");
    }
    let gone = open.after(password("max"), take_back("eve"));
    let eve = Some(new_user("eve"));
    table! { gone;
        Authority::SYSTEM, accept("eve", "come in", eve) => refused(Refusal::Unknown(Noun::Invitation));
    }
}

#[test]
fn n109_nobody_gives_or_touches_a_role_above_their_own() {
    table! { world();
        password("gus"), change("ada", Member)     => no_org();
        key("mia/keys"), change("ada", Member)     => refused(Refusal::InsufficientScope(SCOPE));
        password("mia"), change("mia", Owner)      => role_too_low(SCOPE, Manager);
        key("ada/test"), change("mia", Owner)      => refused(Refusal::LiveFromTest);
        password("max"), change("gus", Member)     => refused(Refusal::Unknown(Noun::Member));
        password("max"), change("max", Owner)      => above(Owner);
        password("max"), change("ada", Member)     => above(Owner);
        password("max"), change("ada", Owner)      => above(Owner);
        password("tom"), change("mia", Manager)    => above(Manager);
        password("tom"), change("max", Member)     => above(Manager);
        service_key("ops"), change("ada", Manager) => above(Owner);
        key("ada/some"), change("mia", Manager)    => refused(Refusal::RoleFromLimited);
        key("ada/some"), change("max", Member)     => refused(Refusal::RoleFromLimited);
        password("ada"), change("ada", Manager)    => refused(Refusal::LastOwner);
        password("ada"), change("ada", Owner)      => NOTHING;
        password("max"), change("mia", Member)     => NOTHING;
        password("max"), change("mia", Manager)    => happens("MemberRoleChanged");
        password("max"), change("max", Member)     => happens("MemberRoleChanged");
        password("ada"), change("max", Owner)      => happens("MemberRoleChanged");
    }
}

#[test]
fn n109_an_organization_keeps_an_owner() {
    let two = world().after(password("ada"), change("max", Owner));
    table! { two;
        password("max"), change("ada", Member) => happens("MemberRoleChanged");
        password("ada"), change("ada", Member) => happens("MemberRoleChanged");
        password("max"), remove("ada")         => happens("MemberRemoved");
        password("ada"), remove("ada")         => happens("MemberRemoved");
    }
    let one = two.after(password("max"), remove("ada"));
    table! { one;
        password("max"), remove("max")            => refused(Refusal::LastOwner);
        password("max"), change("max", Member)    => refused(Refusal::LastOwner);
        Authority::SYSTEM, remove("max")          => refused(Refusal::LastOwner);
        Authority::SYSTEM, change("max", Manager) => refused(Refusal::LastOwner);
    }
}

#[test]
fn who_puts_members_out() {
    table! { world();
        password("gus"), remove("mia")    => no_org();
        password("gus"), remove("gus")    => no_org();
        key("mia/keys"), remove("mia")    => refused(Refusal::InsufficientScope(SCOPE));
        key("mia/full"), remove("mia")    => role_too_low(SCOPE, Manager);
        password("mia"), remove("tom")    => role_too_low(SCOPE, Manager);
        key("ada/test"), remove("mia")    => refused(Refusal::LiveFromTest);
        password("max"), remove("gus")    => refused(Refusal::Unknown(Noun::Member));
        password("max"), remove("ada")    => above(Owner);
        password("tom"), remove("max")    => above(Manager);
        service_key("ops"), remove("ada") => above(Owner);
        key("ada/some"), remove("max")    => refused(Refusal::RoleFromLimited);
        password("ada"), remove("ada")    => refused(Refusal::LastOwner);
        password("tom"), remove("mia")    => happens("MemberRemoved");
        key("ada/some"), remove("mia")    => happens("MemberRemoved");
        password("max"), remove("mia")    => happens("MemberRemoved");
        // Whoever wants to, leaves.
        password("mia"), remove("mia")    => happens("MemberRemoved");
        session("mia"), remove("mia")     => happens("MemberRemoved");
        password("max"), remove("max")    => happens("MemberRemoved");
    }
}

/// Goal: nothing points to a member who left, and they do not come back into their teams.
#[test]
fn who_left_is_in_no_team() {
    let gone = world().after(password("max"), remove("tom"));
    let acme = gone.directory.org(org("acme")).unwrap();
    assert!(
        acme.teams
            .values()
            .all(|team| !team.members.contains(&user("tom")))
    );
    assert!(gone.directory.user(user("tom")).unwrap().orgs.is_empty());
    table! { gone;
        password("tom"), remove("tom")         => no_org();
        password("max"), remove("tom")         => refused(Refusal::Unknown(Noun::Member));
        password("max"), change("tom", Member) => refused(Refusal::Unknown(Noun::Member));
    }
    let back = gone.given(invited("tom", Member));
    let back = back.after(password("tom"), accept("tom", "come in", None));
    table! { back;
        password("tom"), remove("mia") => role_too_low(SCOPE, Manager);
    }
}

/// Goal: what one is elsewhere counts for nothing here.
#[test]
fn an_owner_elsewhere_is_a_member_here() {
    let initech = CreateOrg {
        org: org("initech"),
        slug: word("initech"),
        name: word("I"),
    };
    let world = world()
        .after(password("max"), initech)
        .after(password("ada"), change("max", Member));
    table! { world;
        password("max"), change("mia", Member) => role_too_low(SCOPE, Manager);
        key("max/full"), remove("mia")         => role_too_low(SCOPE, Manager);
    }
}
