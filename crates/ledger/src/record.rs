//! The stored form of a record. The domain knows nothing of it. Of bincode only this and the
//! [snapshots](crate::snapshot) know.
//!
//! ```text
//! type 2, big-endian | revision 1 | head revision 1 | head (bincode) | body (bincode)
//! ```
//!
//! These bytes, at most 65,535, are the leaf of the Merkle tree, so they never change. bincode does
//! not describe itself: a field put in between decodes to nonsense without an error. Hence one number a
//! type (`table`), one struct a type and revision (`form`) that is never edited once published, and
//! the golden bytes of each in `data/golden`. What is unknown refuses the start.
//!
//! Personal values are no part of these bytes: the record has a salted commitment in their place, and
//! the value lies beside it, sealed under the key of its person (`personal`).

mod access;
mod form;
mod head;
mod keys;
mod members;
mod oauth;
mod orgs;
mod part;
mod personal;
mod services;
mod signing;
mod table;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod laws;

use keyledger_domain::id::PersonId;
use keyledger_domain::{Position, Record};
use thiserror::Error;

pub use crate::record::head::RecordHead;
pub(crate) use crate::record::part::{ActorV1, Part};
pub use crate::record::personal::Persons;

use crate::key_file::NoRandomness;
use crate::person_keys::PersonKeyError;
use crate::record::form::Fault;
use crate::record::head::{HEAD_REVISION, HeadV2};
pub(crate) use crate::record::personal::Depth;
use crate::record::personal::{Measuring, Opening, Sealing};
use crate::vault::UnsealError;

/// `type 2 | revision 1 | head revision 1`.
const PREFIX_BYTES: usize = 4;

/// Why stored bytes are no record that this version can read. Whoever meets one must not go on.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A newer version wrote it.
    #[error(
        "record {position} is of type {number}, which this version does not know; use a newer one"
    )]
    UnknownType {
        /// Where it stands.
        position: Position,
        /// The number of its type.
        number: u16,
    },
    /// A newer version wrote it.
    #[error(
        "record {position} is of type {number} in revision {revision}, which this version does not \
         know; use a newer one"
    )]
    UnknownRevision {
        /// Where it stands.
        position: Position,
        /// The number of its type.
        number: u16,
        /// The revision of its body, or of its head.
        revision: u8,
    },
    /// Its bytes are not what a record of its type has.
    #[error("record {position} is damaged: its bytes are no record")]
    Malformed {
        /// Where it stands.
        position: Position,
    },
    /// It says that it stands elsewhere.
    #[error("record {position} is damaged: it says that it stands at position {found}")]
    Misplaced {
        /// Where it stands.
        position: Position,
        /// Where it says it does.
        found: Position,
    },
    /// A personal value is gone though the key of its person is there.
    #[error("record {position} is damaged: a personal value of {person} beside it is missing")]
    PersonalMissing {
        /// Where it stands.
        position: Position,
        /// Whose value.
        person: PersonId,
    },
    /// A personal value is not the one that the record commits to.
    #[error("record {position} is damaged: a personal value of {person} beside it does not open")]
    PersonalDamaged {
        /// Where it stands.
        position: Position,
        /// Whose value.
        person: PersonId,
        /// Why.
        source: UnsealError,
    },
    /// There are more sealed bytes beside it than it has personal values.
    #[error("record {position} is damaged: there is more beside it than it tells of")]
    PersonalLeftOver {
        /// Where it stands.
        position: Position,
    },
    /// The key of a person was neither destroyed nor is it there.
    #[error(
        "record {position} needs the key of person {person}, which the file of personal keys does not \
         have; put back the right one"
    )]
    PersonKeyMissing {
        /// Where it stands.
        position: Position,
        /// Whose key.
        person: PersonId,
    },
    /// The key of a person does not open.
    #[error("record {position} cannot be read")]
    PersonKey {
        /// Where it stands.
        position: Position,
        /// Why.
        source: PersonKeyError,
    },
}

impl RecordError {
    fn of(fault: Fault, position: Position) -> Self {
        match fault {
            Fault::UnknownType(number) => Self::UnknownType { position, number },
            Fault::UnknownRevision(number, revision) => Self::UnknownRevision {
                position,
                number,
                revision,
            },
            Fault::Malformed => Self::Malformed { position },
            Fault::PersonalMissing(person) => Self::PersonalMissing { position, person },
            Fault::PersonalDamaged(person, source) => Self::PersonalDamaged {
                position,
                person,
                source,
            },
            Fault::PersonalLeftOver => Self::PersonalLeftOver { position },
            Fault::PersonKeyMissing(person) => Self::PersonKeyMissing { position, person },
            Fault::PersonKey(source) => Self::PersonKey { position, source },
        }
    }
}

/// Why a record could not be brought into its stored form.
#[derive(Debug, Error)]
pub(crate) enum EncodeError {
    /// The key of a person cannot be had.
    #[error("a personal value could not be sealed")]
    PersonKey(#[from] PersonKeyError),
    /// A value reads as erased, but the key of its person is there; or it is the other way round.
    #[error(
        "a personal value of {0} and the key of that person do not agree on whether they were erased"
    )]
    ErasedOrNot(PersonId),
    /// No salt or nonce could be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// bincode does not take it.
    #[error("the record could not be encoded")]
    Codec(#[from] bincode::error::EncodeError),
}

/// A record in its stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The leaf of the Merkle tree.
    pub(crate) record: Vec<u8>,
    /// The sealed personal values.
    pub(crate) side: Vec<u8>,
}

/// What must be known of a record before it is applied: whether it fits, and whose keys it needs.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The length of its stored form without what lies beside it.
    pub(crate) record_bytes: usize,
    /// The persons of its personal values, each as often as it has values.
    pub(crate) persons: Vec<PersonId>,
}

/// Measures a record without sealing anything: commitments are all of one length.
pub(crate) fn measure(record: &Record) -> Result<Measured, EncodeError> {
    let mut measuring = Measuring::default();
    let record_bytes = encode_with(record, &mut measuring)?.len();
    Ok(Measured {
        record_bytes,
        persons: measuring.persons,
    })
}

/// Encodes a record and seals its personal values under keys that [`Persons::prepare`] has made.
pub(crate) fn encode(
    record: &Record,
    persons: &Persons,
    rng: &dyn ring::rand::SecureRandom,
) -> Result<Stored, EncodeError> {
    let mut sealing = Sealing::new(persons, rng);
    let bytes = encode_with(record, &mut sealing)?;
    Ok(Stored {
        record: bytes,
        side: sealing.into_side(),
    })
}

fn encode_with(record: &Record, seal: &mut dyn form::Seal) -> Result<Vec<u8>, EncodeError> {
    let (number, revision) = table::newest_of(&record.event);
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&[revision, HEAD_REVISION]);
    form::append(&HeadV2::of(record, seal)?, &mut bytes)?;
    table::append_body(&record.event, record.origin.actor, seal, &mut bytes)?;
    Ok(bytes)
}

/// A stored record whose head has been read and whose body has not.
pub(crate) struct Parsed<'a> {
    position: Position,
    number: u16,
    revision: u8,
    event: &'static str,
    head: HeadV2,
    body: &'a [u8],
}

impl<'a> Parsed<'a> {
    /// Reads the head of the record that is stored at `position`.
    pub(crate) fn parse(position: Position, record: &'a [u8]) -> Result<Self, RecordError> {
        let fail = |fault| RecordError::of(fault, position);
        let Some((prefix, rest)) = record.split_first_chunk::<PREFIX_BYTES>() else {
            return Err(fail(Fault::Malformed));
        };
        let [type_high, type_low, revision, head_revision] = *prefix;
        let number = u16::from_be_bytes([type_high, type_low]);
        let event = table::name_of(number).ok_or_else(|| fail(Fault::UnknownType(number)))?;
        let (head, body) = HeadV2::take(head_revision, rest)
            .unwrap_or(Err(Fault::UnknownRevision(number, head_revision)))
            .map_err(fail)?;
        let found = Position::new(head.position);
        if found != position {
            return Err(RecordError::Misplaced { position, found });
        }
        Ok(Self {
            position,
            number,
            revision,
            event,
            head,
            body,
        })
    }

    /// What can be told without the body.
    pub(crate) fn head(&self) -> RecordHead {
        self.head.to_head(self.event)
    }

    /// The whole record, with its personal values opened as far as `depth` goes.
    pub(crate) fn open(
        self,
        side: &[u8],
        persons: &Persons,
        depth: Depth,
    ) -> Result<Record, RecordError> {
        let position = self.position;
        let mut opening = Opening::new(persons, side, depth);
        self.open_with(&mut opening)
            .and_then(|record| opening.finish().map(|()| record))
            .map_err(|fault| RecordError::of(fault, position))
    }

    fn open_with(self, opening: &mut Opening<'_>) -> Result<Record, Fault> {
        let (organizations, at, clock_behind_micros) = self.head.circumstances();
        let origin = self.head.into_origin(opening)?;
        opening.end_head();
        let event = table::restore(self.number, self.revision, self.body, origin.actor, opening)?;
        Ok(Record {
            position: self.position,
            at,
            clock_behind_micros,
            origin,
            organizations,
            event,
        })
    }
}

/// Reads a record back, all of it.
pub(crate) fn decode(
    position: Position,
    record: &[u8],
    side: &[u8],
    persons: &Persons,
) -> Result<Record, RecordError> {
    Parsed::parse(position, record)?.open(side, persons, Depth::Everything)
}
