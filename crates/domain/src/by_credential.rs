//! Things that know whose credential they are about, found by it.
//!
//! A map beside them would keep the id twice, and in an entry that is not laid out by us: each
//! verification would fetch one or two lines more from memory, and each of a million keys would take
//! sixteen bytes more of it.

use core::fmt;
use core::marker::PhantomData;

use ahash::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::credential::CredentialId;

/// What knows its credential.
pub trait Named {
    /// Its public id, which never changes while it is in a table.
    fn credential(&self) -> CredentialId;
}

/// A table of things, at most one of each credential, in no order.
#[derive(Clone)]
pub struct ByCredential<T> {
    table: HashTable<T>,
    seeds: RandomState,
}

/// Room for so many is never given back.
const ROOM_KEPT: usize = 1_024;

fn hash(seeds: &RandomState, id: CredentialId) -> u64 {
    // The first eight characters were drawn from 62 to the power of 8 possibilities; those few that
    // share them are told apart when they are compared.
    let [first @ .., _] = id.to_bytes();
    seeds.hash_one(u64::from_ne_bytes(first))
}

impl<T: Named> ByCredential<T> {
    /// The thing of this credential.
    pub fn get(&self, id: CredentialId) -> Option<&T> {
        let is_it = |thing: &T| thing.credential() == id;
        self.table.find(hash(&self.seeds, id), is_it)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: CredentialId) -> Option<&mut T> {
        let is_it = |thing: &T| thing.credential() == id;
        self.table.find_mut(hash(&self.seeds, id), is_it)
    }

    /// The same, made by `make` if it is not there.
    pub fn get_or_insert_with(&mut self, id: CredentialId, make: impl FnOnce() -> T) -> &mut T {
        match self.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(make()).into_mut(),
        }
    }

    /// Whether there is one.
    pub fn contains(&self, id: CredentialId) -> bool {
        self.get(id).is_some()
    }

    /// Puts a thing in, and gives the one that was in its place.
    pub fn insert(&mut self, thing: T) -> Option<T> {
        match self.entry(thing.credential()) {
            Entry::Occupied(mut entry) => Some(core::mem::replace(entry.get_mut(), thing)),
            Entry::Vacant(entry) => {
                entry.insert(thing);
                None
            }
        }
    }

    /// Takes a thing out. Where nearly all have gone, their room is given back: tokens come by the
    /// million and go again.
    pub fn remove(&mut self, id: CredentialId) -> Option<T> {
        let removed = match self.entry(id) {
            Entry::Occupied(entry) => entry.remove().0,
            Entry::Vacant(_) => return None,
        };
        let Self { table, seeds } = self;
        if table.capacity() > ROOM_KEPT && table.len() < table.capacity() / 8 {
            let room = table.len() * 2;
            table.shrink_to(room, |thing| hash(seeds, thing.credential()));
        }
        Some(removed)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.table.iter()
    }

    /// All of them, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.table.iter_mut()
    }

    fn entry(&mut self, id: CredentialId) -> Entry<'_, T> {
        let Self { table, seeds } = self;
        let is_it = |thing: &T| thing.credential() == id;
        table.entry(hash(seeds, id), is_it, |thing| {
            hash(seeds, thing.credential())
        })
    }
}

impl<T> Default for ByCredential<T> {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            seeds: RandomState::default(),
        }
    }
}

impl<T: Named + PartialEq> PartialEq for ByCredential<T> {
    fn eq(&self, other: &Self) -> bool {
        let is_there = |thing: &T| other.get(thing.credential()) == Some(thing);
        self.len() == other.len() && self.iter().all(is_there)
    }
}

impl<T: Named + Eq> Eq for ByCredential<T> {}

impl<T: Named + fmt::Debug> fmt::Debug for ByCredential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let things = self.iter().map(|thing| (thing.credential(), thing));
        f.debug_map().entries(things).finish()
    }
}

/// As the map that it stands for.
impl<T: Named + Serialize> Serialize for ByCredential<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let things = self.table.iter();
        serializer.collect_map(things.map(|thing| (thing.credential(), thing)))
    }
}

impl<'de, T: Named + Deserialize<'de>> Deserialize<'de> for ByCredential<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Things(PhantomData))
    }
}

struct Things<T>(PhantomData<T>);

impl<'de, T: Named + Deserialize<'de>> Visitor<'de> for Things<T> {
    type Value = ByCredential<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map by credential")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut things = ByCredential::default();
        while let Some((_, thing)) = map.next_entry::<CredentialId, T>()? {
            things.insert(thing);
        }
        Ok(things)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Thing(CredentialId, u32);

    impl Named for Thing {
        fn credential(&self) -> CredentialId {
            self.0
        }
    }

    fn thing(number: u32) -> Thing {
        // Hundreds share their first eight characters with nine others.
        Thing(format!("a{number:08}").parse().unwrap(), number)
    }

    #[test]
    fn it_is_a_map() {
        let mut things = ByCredential::default();
        assert!(things.is_empty() && things.get(thing(1).0).is_none());
        for number in 0..10_000 {
            assert_eq!(things.insert(thing(number)), None);
        }
        assert_eq!(things.len(), 10_000);
        for number in 0..10_000 {
            assert_eq!(things.get(thing(number).0), Some(&thing(number)));
        }
        assert!(!things.contains(thing(10_000).0));

        let mut other = ByCredential::default();
        (0..10_000).rev().for_each(|number| {
            other.insert(thing(number));
        });
        assert_eq!(things, other);

        let id = thing(7).0;
        assert_eq!(things.insert(Thing(id, 70)), Some(thing(7)));
        assert_ne!(things, other);
        things.get_mut(id).unwrap().1 = 7;
        assert_eq!(things, other);
        assert_eq!(things.remove(id), Some(thing(7)));
        assert_eq!((things.remove(id), things.len()), (None, 9_999));
        assert_eq!(things.get_or_insert_with(id, || thing(7)).1, 7);
        assert_eq!(things.get_or_insert_with(id, || Thing(id, 8)).1, 7);
        things.iter_mut().for_each(|thing| thing.1 += 1);
        assert!(things.iter().all(|thing| thing.1 > 0));

        let room = things.table.capacity();
        for number in 100..10_000 {
            assert!(things.remove(thing(number).0).is_some());
        }
        assert_eq!(things.len(), 100);
        assert!(things.table.capacity() < room / 4);
        assert!((0..100).all(|number| things.contains(thing(number).0)));
    }
}
