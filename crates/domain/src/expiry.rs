//! What leaves the state when its time is over.
//!
//! Tokens come by the million and end by themselves. No timer takes them out, because a replay has
//! none: each record takes out some of what ended before its own time, and so the same records lead
//! to the same state whenever they are told. Until then they are there and good for nothing.

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::credential::CredentialId;
use crate::directory::Directory;
use crate::id::OrgId;
use crate::time::Timestamp;

/// How much one record takes out. More than a record can bring in, so that nothing gathers; and few
/// enough that nobody who waits for the state notices.
const PER_RECORD: usize = 64;

/// Something that ends at a time known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Expiring {
    /// An access token.
    AccessToken(CredentialId),
    /// An authorization code, redeemed or not.
    Code(CredentialId),
    /// A family of tokens. It may have been given more time since.
    Family(CredentialId),
    /// That somebody read the audit log of an organization. It may have been noted again since.
    AuditRead(OrgId, Actor),
}

impl Directory {
    /// How many tokens, codes and families are in the state, good or not yet taken out.
    pub fn expiring_count(&self) -> usize {
        self.expiring.len()
    }

    /// Notes that something is to be taken out, at this time at the earliest.
    pub(crate) fn expire_at(&mut self, at: Timestamp, what: Expiring) {
        self.expiring.insert((at, what));
    }

    /// Takes out what ended before `now`, the longest ago first.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        for _ in 0..PER_RECORD {
            let Some((at, _)) = self.expiring.first() else {
                return;
            };
            if *at > now {
                return;
            }
            let Some((_, what)) = self.expiring.pop_first() else {
                return;
            };
            match what {
                Expiring::AccessToken(id) => {
                    self.api_keys.remove(id);
                    self.audiences.remove(&id);
                }
                Expiring::Code(id) => {
                    self.codes.remove(&id);
                }
                Expiring::Family(id) => self.expire_family(id, now),
                Expiring::AuditRead(org, reader) => self.expire_audit_read(org, reader, now),
            }
        }
    }
}
