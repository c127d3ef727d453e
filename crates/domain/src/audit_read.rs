//! That somebody read the audit log of an organization: once for each reader, organization and hour.
//! What they looked for is not kept; that they looked, when, from where and with which credential, is.

use serde::Serialize;

use crate::actor::{Actor, Authority};
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::expiry::Expiring;
use crate::id::OrgId;
use crate::refusal::Refusal;
use crate::scope::built_in;
use crate::time::Timestamp;

/// For how long one record stands for all reading by the same reader, in seconds.
pub const AUDIT_READ_SECONDS: u64 = 3_600;

/// Note that whoever asks reads the audit log of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteAuditLogRead {
    /// Whose log it is.
    pub org: OrgId,
}

/// Somebody began to read the audit log of an organization. Who, and with what, the record says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AuditLogRead {
    /// Whose log it is.
    pub org: OrgId,
}

impl Directory {
    /// When it was last noted that they read this log, if the state still has it.
    fn audit_read_at(&self, reader: Actor, org: OrgId) -> Option<Timestamp> {
        let from = (org, reader, Timestamp::from_micros(i64::MIN));
        let (of, by, at) = self.audit_reads.range(from..).next()?;
        (*of == org && *by == reader).then_some(*at)
    }

    /// Whether it is on record that they read this log, and stands for their reading now. Asked before
    /// the command is submitted, so that nobody who reads page by page waits for the disk at each.
    pub fn is_audit_read_noted(&self, reader: Actor, org: OrgId, now: Timestamp) -> bool {
        // By the distance: an end would stay at the end of time, where nothing is before it.
        let micros = AUDIT_READ_SECONDS * 1_000_000;
        let noted_at = self.audit_read_at(reader, org);
        noted_at.is_some_and(|at| now.micros().abs_diff(at.micros()) < micros)
    }

    pub(crate) fn decide_note_audit_log_read(
        &self,
        authority: &Authority,
        command: NoteAuditLogRead,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let org = command.org;
        self.require(authority, org, built_in::AUDIT_READ)?;
        let is_noted = self.is_audit_read_noted(authority.actor, org, now);
        Ok((!is_noted).then_some(Event::AuditLogRead(AuditLogRead { org })))
    }

    pub(crate) fn apply_audit_log_read(&mut self, event: AuditLogRead, record: &Record) {
        let (org, reader) = (event.org, record.origin.actor);
        if let Some(at) = self.audit_read_at(reader, org) {
            self.audit_reads.remove(&(org, reader, at));
        }
        self.audit_reads.insert((org, reader, record.at));
        let over_at = record.at.plus_seconds(AUDIT_READ_SECONDS);
        self.expire_at(over_at, Expiring::AuditRead(org, reader));
    }

    /// Forgets a reading that stands for none any more.
    pub(crate) fn expire_audit_read(&mut self, org: OrgId, reader: Actor, now: Timestamp) {
        if let Some(at) = self.audit_read_at(reader, org)
            && !self.is_audit_read_noted(reader, org, now)
        {
            self.audit_reads.remove(&(org, reader, at));
        }
    }
}
