//! That somebody reads an audit log: by those who may, once an hour each, and forgotten after it.

use super::world::*;
use crate::actor::Actor;
use crate::audit_read::{AUDIT_READ_SECONDS, NoteAuditLogRead};
use crate::refusal::{Noun, Refusal};
use crate::role::Role;
use crate::scope::built_in::AUDIT_READ;

fn reads(name: &str) -> NoteAuditLogRead {
    NoteAuditLogRead { org: org(name) }
}

#[test]
fn only_who_may_read_a_log_is_noted_as_its_reader() {
    table! { world();
        password("ada"), reads("acme")       => happens("AuditLogRead");
        session("ada"), reads("acme")        => happens("AuditLogRead");
        key("ada/full"), reads("acme")       => happens("AuditLogRead");
        key("max/full"), reads("acme")       => happens("AuditLogRead");
        service_key("ops"), reads("acme")    => happens("AuditLogRead");
        password("mia"), reads("acme")       => role_too_low(AUDIT_READ, Role::Manager);
        key("ada/none"), reads("acme")       => refused(Refusal::InsufficientScope(AUDIT_READ));
        password("gus"), reads("acme")       => refused(Refusal::Unknown(Noun::Organization));
        password("ada"), reads("nowhere")    => refused(Refusal::Unknown(Noun::Organization));
    }
}

#[test]
fn one_record_stands_for_an_hour_of_one_reader_in_one_organization() {
    let world = world().after(password("ada"), reads("acme"));
    table! { world;
        password("ada"), reads("acme")  => NOTHING;
        // With whichever credential: it is the same person.
        key("ada/full"), reads("acme")  => NOTHING;
        password("max"), reads("acme")  => happens("AuditLogRead");
        password("gus"), reads("globex") => happens("AuditLogRead");
    }
    table! { world.at(after(AUDIT_READ_SECONDS - 1));
        password("ada"), reads("acme") => NOTHING;
    }
    table! { world.at(after(AUDIT_READ_SECONDS));
        password("ada"), reads("acme") => happens("AuditLogRead");
    }
}

#[test]
fn what_is_over_leaves_the_state_with_a_later_record_and_what_was_renewed_stays() {
    let readers = |world: &World| -> Vec<Actor> {
        let reads = world.directory.audit_reads.iter();
        reads.map(|(_, reader, _)| *reader).collect()
    };
    let (ada, max) = (password("ada").actor, password("max").actor);
    let world = world().after(password("ada"), reads("acme"));
    let half = world.at(after(AUDIT_READ_SECONDS / 2));
    let half = half.after(password("max"), reads("acme"));
    assert_eq!(readers(&half), [ada, max]);
    let over = half.at(after(AUDIT_READ_SECONDS));
    let change = create_key(unlimited("mia/new"), "new");
    let forgotten = over.clone().after(password("mia"), change);
    assert_eq!(readers(&forgotten), [max], "he is still in his hour");
    let renewed = over.after(password("ada"), reads("acme"));
    assert_eq!(readers(&renewed), [ada, max]);
    let later = after(2 * AUDIT_READ_SECONDS - 1);
    assert!(
        renewed
            .directory
            .is_audit_read_noted(ada, org("acme"), later)
    );
    assert!(
        !renewed
            .directory
            .is_audit_read_noted(max, org("acme"), later)
    );
}
