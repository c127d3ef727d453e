//! The personal values beside a record: `[length 2, big-endian][sealed bytes]` each, in the order of
//! the fields, those of the head first.
//!
//! A value whose person was erased before it was written has the length 0 and a random commitment, so
//! that nothing but the missing key tells it from the others.

use std::sync::{PoisonError, RwLock};

use keyledger_domain::id::PersonId;
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::key_file::NoRandomness;
use crate::person_keys::{PersonKeyError, PersonKeys, Pseudonym};
use crate::record::EncodeError;
use crate::record::form::{CommitmentBytes, Fault, Open, Seal};
use crate::vault::{Commitment, PersonKey, SealedField};

/// The keys of persons, shared by the one who appends and all who read.
pub struct Persons(RwLock<PersonKeys>);

/// What there is of the key of a person.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack, for each record that is read: no allocation"
)]
enum KeyOf {
    Known(PersonKey),
    Destroyed,
    NeverMade,
}

impl Persons {
    /// Shares the keys.
    pub fn new(keys: PersonKeys) -> Self {
        Self(RwLock::new(keys))
    }

    /// Makes and syncs the keys that these persons lack; see [`PersonKeys::prepare`].
    ///
    /// # Errors
    /// As [`PersonKeys::prepare`].
    pub(crate) fn prepare(
        &self,
        persons: &[PersonId],
        rng: &dyn SecureRandom,
    ) -> Result<(), PersonKeyError> {
        let persons: Vec<Pseudonym> = persons.iter().copied().map(pseudonym).collect();
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.prepare(&persons, rng)
    }

    /// Whether this person was erased.
    pub fn is_erased(&self, person: PersonId) -> bool {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.is_erased(pseudonym(person))
    }

    /// Destroys the keys of persons for ever; see [`PersonKeys::destroy`]. Every record stays as it
    /// is, and what it held of them reads as erased.
    ///
    /// # Errors
    /// As [`PersonKeys::destroy`].
    pub(crate) fn erase(
        &self,
        persons: impl Iterator<Item = PersonId>,
    ) -> Result<usize, PersonKeyError> {
        let persons: Vec<Pseudonym> = persons.map(pseudonym).collect();
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.destroy(&persons)
    }

    /// Seals something of a person that stands in no record: `None` for whoever was erased, or of whom
    /// nothing is known at all. Once the key is destroyed nobody opens it, wherever a copy lies.
    ///
    /// # Errors
    /// If the key does not open, or no randomness is left.
    pub(crate) fn seal(
        &self,
        person: PersonId,
        plain: &[u8],
        rng: &dyn SecureRandom,
    ) -> Result<Option<SealedField>, PersonKeyError> {
        match self.key_of(person)? {
            KeyOf::Known(key) => Ok(Some(key.seal(plain, rng)?)),
            KeyOf::Destroyed | KeyOf::NeverMade => Ok(None),
        }
    }

    /// Opens it again; `None` for whoever was erased, and for what was changed.
    pub(crate) fn open(
        &self,
        person: PersonId,
        commitment: &Commitment,
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        match self.key_of(person).ok()? {
            KeyOf::Known(key) => key.open(commitment, sealed).ok(),
            KeyOf::Destroyed | KeyOf::NeverMade => None,
        }
    }

    fn key_of(&self, person: PersonId) -> Result<KeyOf, PersonKeyError> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match keys.get(pseudonym(person)) {
            Ok(Some(key)) => Ok(KeyOf::Known(key)),
            Ok(None) => Ok(KeyOf::NeverMade),
            Err(PersonKeyError::Erased { .. }) => Ok(KeyOf::Destroyed),
            Err(error) => Err(error),
        }
    }
}

fn pseudonym(person: PersonId) -> Pseudonym {
    Pseudonym::from(person.to_bytes())
}

/// The key that was used last: a record has several values of one person.
struct LastKey<'a> {
    persons: &'a Persons,
    last: Option<(PersonId, KeyOf)>,
}

impl<'a> LastKey<'a> {
    const fn new(persons: &'a Persons) -> Self {
        Self {
            persons,
            last: None,
        }
    }

    fn get(&mut self, person: PersonId) -> Result<&KeyOf, PersonKeyError> {
        if self.last.as_ref().is_none_or(|(of, _)| *of != person) {
            self.last = Some((person, self.persons.key_of(person)?));
        }
        let (_, key) = self.last.as_ref().expect("it was just put there");
        Ok(key)
    }
}

/// Counts what would have to be sealed.
#[derive(Default)]
pub(crate) struct Measuring {
    pub(crate) persons: Vec<PersonId>,
}

impl Seal for Measuring {
    fn seal(
        &mut self,
        person: PersonId,
        value: Option<&[u8]>,
    ) -> Result<CommitmentBytes, EncodeError> {
        if value.is_some() {
            self.persons.push(person);
        }
        Ok([0; 32])
    }
}

/// Seals, and gathers what lies beside the record.
pub(crate) struct Sealing<'a> {
    keys: LastKey<'a>,
    rng: &'a dyn SecureRandom,
    side: Vec<u8>,
}

impl<'a> Sealing<'a> {
    pub(crate) const fn new(persons: &'a Persons, rng: &'a dyn SecureRandom) -> Self {
        Self {
            keys: LastKey::new(persons),
            rng,
            side: Vec::new(),
        }
    }

    pub(crate) fn into_side(self) -> Vec<u8> {
        self.side
    }
}

impl Seal for Sealing<'_> {
    fn seal(
        &mut self,
        person: PersonId,
        value: Option<&[u8]>,
    ) -> Result<CommitmentBytes, EncodeError> {
        match (self.keys.get(person)?, value) {
            (KeyOf::Known(key), Some(value)) => {
                let field = key.seal(value, self.rng)?;
                let length = u16::try_from(field.sealed.len()).map_err(|_| {
                    bincode::error::EncodeError::Other("a personal value is too long")
                })?;
                self.side.extend_from_slice(&length.to_be_bytes());
                self.side.extend_from_slice(&field.sealed);
                Ok(*field.commitment.as_bytes())
            }
            (KeyOf::Destroyed, None) => {
                let mut random = [0; 32];
                self.rng.fill(&mut random).map_err(|_| NoRandomness)?;
                self.side.extend_from_slice(&0_u16.to_be_bytes());
                Ok(random)
            }
            (KeyOf::Known(_) | KeyOf::NeverMade, None)
            | (KeyOf::Destroyed | KeyOf::NeverMade, Some(_)) => {
                Err(EncodeError::ErasedOrNot(person))
            }
        }
    }
}

/// How much of a record is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// All of it.
    Everything,
    /// What the state is made of. The source address and the client, which are in every record and in
    /// no state, stay sealed and read as erased: such a record is for
    /// [`Directory::apply`](keyledger_domain::Directory::apply) and nothing else.
    State,
}

/// Opens what lies beside a record.
pub(crate) struct Opening<'a> {
    keys: LastKey<'a>,
    side: &'a [u8],
    depth: Depth,
    in_head: bool,
}

impl<'a> Opening<'a> {
    pub(crate) const fn new(persons: &'a Persons, side: &'a [u8], depth: Depth) -> Self {
        Self {
            keys: LastKey::new(persons),
            side,
            depth,
            in_head: true,
        }
    }

    /// From here on it is the event's values that are opened.
    pub(crate) const fn end_head(&mut self) {
        self.in_head = false;
    }

    /// Nothing may be left over.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        if self.side.is_empty() {
            Ok(())
        } else {
            Err(Fault::PersonalLeftOver)
        }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.side.split_first_chunk::<2>()?;
        let (sealed, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        self.side = rest;
        Some(sealed)
    }
}

impl Open for Opening<'_> {
    fn open(
        &mut self,
        person: PersonId,
        commitment: &CommitmentBytes,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let sealed = self.next();
        if self.in_head && self.depth == Depth::State {
            return match sealed {
                Some(_) => Ok(None),
                None => Err(Fault::PersonalMissing(person)),
            };
        }
        match self.keys.get(person).map_err(Fault::PersonKey)? {
            // What lies beside the record may have been removed with the key.
            KeyOf::Destroyed => Ok(None),
            KeyOf::NeverMade => Err(Fault::PersonKeyMissing(person)),
            KeyOf::Known(key) => {
                let sealed = sealed
                    .filter(|sealed| !sealed.is_empty())
                    .ok_or(Fault::PersonalMissing(person))?;
                key.open(&Commitment::from_bytes(*commitment), sealed)
                    .map(Some)
                    .map_err(|error| Fault::PersonalDamaged(person, error))
            }
        }
    }
}
