//! What the ledger may not know yet: that a key is used at all, and from a network it was not used from
//! before. Gathered in the path of requests and told to the ledger behind their backs.

use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use keyledger_domain::id::RequestId;
use keyledger_domain::key_use::{NetworkTag, NoteApiKeyUse};
use keyledger_domain::{Authority, ClientName, CredentialId};
use keyledger_ledger::Submission;
use keyledger_ledger::key_file::SubKey;
use parking_lot::Mutex;

use crate::usage::Showing;

/// How many wait to be told at the most; beyond it the next use of the key tells.
const WAITING_MAX: usize = 1_024;

/// A network: an IPv4 /24, an IPv6 /48. Packed, so that a list of them is searched in no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(u64);

impl Network {
    /// The network that an address lies in; IPv4 written as IPv6 is what it is.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits() >> 8)),
            // The top bit, which is free after the shift, tells the two apart.
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Self(u64::from(a) << 32 | u64::from(b) << 16 | u64::from(c) | 1 << 63)
            }
        }
    }

    /// What the ledger keeps of it. Tags of two keys are not alike for the same network, so nobody
    /// finds by them who sits beside whom.
    fn tag(self, id: CredentialId, key: &SubKey) -> NetworkTag {
        let mut bytes = [0; 17];
        bytes[..9].copy_from_slice(&id.to_bytes());
        bytes[9..].copy_from_slice(&self.0.to_be_bytes());
        let tag = key.tag(&bytes);
        let first = tag.as_bytes().first_chunk().copied();
        NetworkTag::from_bytes(first.expect("a hash of 32 bytes has eight"))
    }
}

/// Where the record will say that it came from, besides the address.
pub(crate) struct NewsOrigin {
    pub(crate) request: RequestId,
    pub(crate) client: Option<ClientName>,
}

/// A use that the ledger may not know yet.
pub(crate) struct FirstUse {
    pub(crate) id: CredentialId,
    pub(crate) source: Option<IpAddr>,
    origin: NewsOrigin,
}

impl FirstUse {
    pub(crate) fn network(&self) -> Option<Network> {
        self.source.map(Network::of)
    }

    /// The command that tells of it.
    pub(crate) fn note(&self, key: &SubKey) -> NoteApiKeyUse {
        NoteApiKeyUse {
            id: self.id,
            network: self.network().map(|network| network.tag(self.id, key)),
        }
    }

    /// The command with what its record will say of the use.
    pub(crate) fn submission(&self, note: NoteApiKeyUse) -> Submission {
        Submission {
            authority: Authority::SYSTEM,
            request: self.origin.request,
            source: self.source,
            client: self.origin.client.clone(),
            command: note.into(),
        }
    }
}

/// The uses that wait to be told.
#[derive(Default)]
pub(crate) struct News {
    waiting: Mutex<Vec<FirstUse>>,
    /// Whether there is no room. Where a hundred thousand keys are new, nearly every use is turned away
    /// here, and need not wait for the lock to be.
    is_full: AtomicBool,
}

impl News {
    /// Takes a use, if there is room.
    pub(crate) fn offer(&self, showing: &Showing<'_>, origin: impl FnOnce() -> NewsOrigin) -> bool {
        if self.is_full.load(Ordering::Relaxed) {
            return false;
        }
        let mut waiting = self.waiting.lock();
        let has_room = waiting.len() < WAITING_MAX;
        if has_room {
            waiting.push(FirstUse {
                id: showing.id,
                source: showing.source,
                origin: origin(),
            });
        }
        let is_full = waiting.len() >= WAITING_MAX;
        self.is_full.store(is_full, Ordering::Relaxed);
        has_room
    }

    pub(crate) fn take(&self) -> Vec<FirstUse> {
        let mut waiting = self.waiting.lock();
        self.is_full.store(false, Ordering::Relaxed);
        core::mem::take(&mut waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_24_and_48_bits_and_never_mixed_up() {
        let of = |text: &str| Network::of(text.parse().expect("an address"));
        assert_eq!(of("203.0.113.7"), of("203.0.113.255"));
        assert_eq!(of("203.0.113.7"), of("::ffff:203.0.113.9"));
        assert_ne!(of("203.0.113.7"), of("203.0.112.7"));
        assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
        assert_ne!(of("0.0.1.1"), of("::1"));
    }
}
