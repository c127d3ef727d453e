//! Scopes: the words for what a credential may do (RFC 6749 §3.3), and the catalogue of them.

use core::cmp::Ordering;
use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::role::Role;
use crate::text::Description;

/// The longest scope, in bytes.
const SCOPE_CHARS: usize = 64;

/// One scope token: lower-case groups joined by colons, such as `files:read`.
///
/// The built-in ones, which are nearly all, are not copied: a million keys share one text, and a
/// verification finds it where it was a moment ago.
#[derive(Clone)]
pub struct Scope(Name);

#[derive(Clone)]
enum Name {
    /// Its place in [`BUILT_IN`].
    BuiltIn(usize),
    Added(Arc<str>),
}

/// The text is not of the form of a scope.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be lower-case words joined by colons, such as files:read")]
pub struct NotAScope;

impl Scope {
    /// The token.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::BuiltIn(place) => BUILT_IN[*place].name,
            Name::Added(name) => name,
        }
    }

    /// Whether it means something only where a person is: a client that acts for itself never has it.
    pub fn is_for_people(&self) -> bool {
        self.as_str() == built_in::OFFLINE_ACCESS
    }

    /// Its entry, if it is one of the built-in scopes; known without a search.
    pub(crate) fn built_in(&self) -> Option<&'static BuiltInScope> {
        match &self.0 {
            Name::BuiltIn(place) => Some(&BUILT_IN[*place]),
            Name::Added(_) => None,
        }
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Scope {}

impl PartialOrd for Scope {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scope {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:?})", self.as_str())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.')
                })
        };
        if let Some(place) = place_of(text) {
            return Ok(Self(Name::BuiltIn(place)));
        }
        if text.len() <= SCOPE_CHARS && text.split(':').all(word) {
            Ok(Self(Name::Added(text.into())))
        } else {
            Err(NotAScope)
        }
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Some of the built-in scopes: a bit for each, by its place in the catalogue of this very binary, so
/// whoever keeps them keeps their names.
///
/// The highest bit is always set and means nothing: thereby an `Option` of them takes no more room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BuiltInSet(NonZeroU64);

/// The bit that is no scope.
const NO_SCOPE: NonZeroU64 = NonZeroU64::new(1 << 63).expect("it is not zero");

// A bit for each, and one for none.
const _: () = assert!(BUILT_IN.len() < 64);

impl BuiltInSet {
    /// Adds a scope. Gives whether it is a built-in one.
    pub fn add(&mut self, name: &str) -> bool {
        let place = place_of(name);
        if let Some(place) = place {
            self.add_place(place);
        }
        place.is_some()
    }

    /// Adds all of another set.
    pub fn add_all(&mut self, more: Self) {
        self.0 |= more.0;
    }

    /// The names in order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.places().map(|place| BUILT_IN[place].name)
    }

    fn add_place(&mut self, place: usize) {
        self.0 |= 1 << place;
    }

    fn has_place(self, place: usize) -> bool {
        self.0.get() & (1 << place) != 0
    }

    fn has_name(self, name: &str) -> bool {
        // Sets are a handful; a scan beats a search.
        self.names().any(|own| own == name)
    }

    const fn bits(self) -> u64 {
        self.0.get() & !NO_SCOPE.get()
    }

    fn places(self) -> impl Iterator<Item = usize> {
        Places(self.bits())
    }
}

impl Default for BuiltInSet {
    fn default() -> Self {
        Self(NO_SCOPE)
    }
}

impl fmt::Debug for BuiltInSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The places of the bits that are set, the lowest first.
struct Places(u64);

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = (self.0 != 0).then(|| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

/// A set of scopes, sorted, each once. Cheap to clone.
///
/// Nearly all hold built-in ones only. They are bits in place, because every verification reads them and
/// a list elsewhere would be one more line to fetch from memory, for each of a million keys.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<Scope>")]
pub struct Scopes {
    built_in: BuiltInSet,
    /// The others, sorted; `None` if there are none. The list is behind one more pointer so that the
    /// set is two words.
    added: Option<Arc<Vec<Scope>>>,
}

impl Scopes {
    /// Whether the set has this scope.
    pub fn contains(&self, scope: &str) -> bool {
        self.built_in.has_name(scope) || self.added().iter().any(|own| own.as_str() == scope)
    }

    /// The scopes in order.
    pub fn iter(&self) -> ScopesIter<'_> {
        ScopesIter {
            built_in: self.built_in.bits(),
            added: self.added(),
        }
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// The first scope here that `wider` does not have.
    pub fn first_beyond(&self, wider: &Self) -> Option<&Scope> {
        self.iter().find(|scope| !wider.has(scope))
    }

    fn has(&self, scope: &Scope) -> bool {
        match scope.0 {
            Name::BuiltIn(place) => self.built_in.has_place(place),
            Name::Added(_) => self.added().contains(scope),
        }
    }

    fn added(&self) -> &[Scope] {
        self.added.as_ref().map_or(&[], |added| added)
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        scopes.into_iter().collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut built_in = BuiltInSet::default();
        let mut added = Vec::new();
        for scope in scopes {
            match scope.0 {
                Name::BuiltIn(place) => built_in.add_place(place),
                Name::Added(_) => added.push(scope),
            }
        }
        added.sort_unstable();
        added.dedup();
        added.shrink_to_fit();
        Self {
            built_in,
            added: (!added.is_empty()).then(|| Arc::new(added)),
        }
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(Scope::as_str);
        f.debug_set().entries(names).finish()
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a Scope;
    type IntoIter = ScopesIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The scopes of a set in order.
#[derive(Clone)]
pub struct ScopesIter<'a> {
    /// The bits of those that are still to come.
    built_in: u64,
    added: &'a [Scope],
}

impl<'a> Iterator for ScopesIter<'a> {
    type Item = &'a Scope;

    fn next(&mut self) -> Option<&'a Scope> {
        let mut places = Places(self.built_in);
        let built_in = places.next().map(|place| &BUILT_IN_SCOPES[place]);
        match (built_in, self.added.split_first()) {
            (Some(built_in), added) if added.is_none_or(|(added, _)| built_in < added) => {
                self.built_in = places.0;
                Some(built_in)
            }
            (_, Some((added, rest))) => {
                self.added = rest;
                Some(added)
            }
            (_, None) => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.built_in.count_ones() as usize + self.added.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for ScopesIter<'_> {}

/// Whether a scope only looks or also changes; entitlement tokens hold only what looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Looks.
    Read,
    /// Changes.
    Write,
}

/// A scope that an organization added to its catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeEntry {
    /// Its name.
    pub scope: Scope,
    /// What it allows, for people.
    pub description: Description,
    /// Whether it only looks.
    pub access: Access,
    /// Who holds it by role; everyone else needs a team that grants it.
    pub minimum_role: Role,
}

/// A scope that every organization has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltInScope {
    /// Its name.
    pub name: &'static str,
    /// What it allows, for people.
    pub description: &'static str,
    /// Whether it only looks.
    pub access: Access,
    /// Who holds it by role.
    pub minimum_role: Role,
}

/// The scopes of Keyledger's own API.
pub mod built_in {
    macro_rules! names {
        ($($constant:ident = $name:literal),+ $(,)?) => {
            $(#[doc = concat!("`", $name, "`")] pub const $constant: &str = $name;)+
        };
    }

    names! {
        AUDIT_READ = "audit:read",
        CLIENTS_READ = "clients:read",
        CLIENTS_WRITE = "clients:write",
        ENTITLEMENTS_READ = "entitlements:read",
        ENTITLEMENTS_WRITE = "entitlements:write",
        KEYS_READ = "keys:read",
        KEYS_VERIFY = "keys:verify",
        KEYS_WRITE = "keys:write",
        OFFLINE_ACCESS = "offline_access",
        SCOPES_READ = "scopes:read",
        SCOPES_WRITE = "scopes:write",
        SERVICES_READ = "services:read",
        SERVICES_WRITE = "services:write",
        SIGNING_KEYS_WRITE = "signing_keys:write",
        TEAMS_READ = "teams:read",
        TEAMS_WRITE = "teams:write",
        USERS_READ = "users:read",
        USERS_WRITE = "users:write",
        WORKSPACES_READ = "workspaces:read",
        WORKSPACES_WRITE = "workspaces:write",
    }
}

const fn entry(
    name: &'static str,
    access: Access,
    minimum_role: Role,
    description: &'static str,
) -> BuiltInScope {
    BuiltInScope {
        name,
        description,
        access,
        minimum_role,
    }
}

/// Every built-in scope, by name: those of our own API, and those of a usual one as the catalogue
/// that an operator starts with.
pub const BUILT_IN: &[BuiltInScope] = &{
    use Access::{Read, Write};
    use Role::{Manager, Member, Owner};
    use built_in as name;
    [
        entry(
            name::AUDIT_READ,
            Read,
            Manager,
            "Read the audit log of the organization",
        ),
        entry(
            name::CLIENTS_READ,
            Read,
            Member,
            "List and view OAuth clients",
        ),
        entry(
            name::CLIENTS_WRITE,
            Write,
            Manager,
            "Register and manage OAuth clients",
        ),
        entry(
            name::ENTITLEMENTS_READ,
            Read,
            Member,
            "List and view entitlement tokens",
        ),
        entry(
            name::ENTITLEMENTS_WRITE,
            Write,
            Manager,
            "Create and manage entitlement tokens",
        ),
        entry("files:read", Read, Member, "Read file contents"),
        entry("files:write", Write, Member, "Create and modify files"),
        entry(
            name::KEYS_READ,
            Read,
            Member,
            "List and view one's own keys",
        ),
        entry(name::KEYS_VERIFY, Read, Member, "Ask whether a key is good"),
        entry(
            name::KEYS_WRITE,
            Write,
            Member,
            "Create, rotate and revoke one's own keys",
        ),
        entry(name::OFFLINE_ACCESS, Read, Member, "Get refresh tokens"),
        entry(name::SCOPES_READ, Read, Member, "List the scope catalogue"),
        entry(
            name::SCOPES_WRITE,
            Write,
            Owner,
            "Add to the scope catalogue",
        ),
        entry(name::SERVICES_READ, Read, Member, "List and view services"),
        entry(
            name::SERVICES_WRITE,
            Write,
            Manager,
            "Create and manage services and their keys",
        ),
        entry(
            name::SIGNING_KEYS_WRITE,
            Write,
            Owner,
            "Rotate the keys that sign tokens, on a server of one's own",
        ),
        entry(name::TEAMS_READ, Read, Member, "List and view teams"),
        entry(name::TEAMS_WRITE, Write, Manager, "Create and manage teams"),
        entry(name::USERS_READ, Read, Member, "View workspace members"),
        entry(
            name::USERS_WRITE,
            Write,
            Manager,
            "Manage workspace members",
        ),
        entry(
            name::WORKSPACES_READ,
            Read,
            Member,
            "List and view workspaces",
        ),
        entry(
            name::WORKSPACES_WRITE,
            Write,
            Manager,
            "Create and manage workspaces",
        ),
    ]
};

/// What no OAuth token ever gives: whoever holds one of these makes credentials, accounts and rights
/// for themselves, and would keep them when the token has long ended.
const NEVER_DELEGATED: &[&str] = &[
    built_in::CLIENTS_READ,
    built_in::CLIENTS_WRITE,
    built_in::ENTITLEMENTS_WRITE,
    built_in::KEYS_WRITE,
    built_in::SCOPES_WRITE,
    built_in::SERVICES_WRITE,
    built_in::SIGNING_KEYS_WRITE,
    built_in::TEAMS_WRITE,
    built_in::USERS_READ,
    built_in::USERS_WRITE,
];

/// Whether an OAuth client may ask for a scope at all.
pub fn is_delegable(scope: &Scope) -> bool {
    !NEVER_DELEGATED.contains(&scope.as_str())
}

/// The scopes of [`BUILT_IN`], at the same places.
static BUILT_IN_SCOPES: [Scope; BUILT_IN.len()] = {
    let mut scopes = [const { Scope(Name::BuiltIn(0)) }; BUILT_IN.len()];
    let mut place = 0;
    while place < scopes.len() {
        let first = core::mem::replace(&mut scopes[place], Scope(Name::BuiltIn(place)));
        // Nothing can be dropped here, and there is nothing to drop.
        core::mem::forget(first);
        place += 1;
    }
    scopes
};

/// The built-in scope of this name.
pub fn find_built_in(name: &str) -> Option<&'static BuiltInScope> {
    place_of(name).map(|place| &BUILT_IN[place])
}

fn place_of(name: &str) -> Option<usize> {
    // Nearly all differ in length: a scan beats a search.
    BUILT_IN.iter().position(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sorted_and_well_formed() {
        assert!(BUILT_IN.is_sorted_by(|a, b| a.name < b.name));
        for entry in BUILT_IN {
            assert!(entry.name.parse::<Scope>().is_ok(), "{}", entry.name);
            assert!(entry.description.parse::<Description>().is_ok());
            assert_eq!(find_built_in(entry.name), Some(entry));
        }
        let documented = [
            "files:read",
            "files:write",
            "workspaces:read",
            "workspaces:write",
            "users:read",
            "users:write",
        ];
        assert!(documented.iter().all(|name| find_built_in(name).is_some()));
    }

    #[test]
    fn scope_tokens() {
        for good in ["files:read", "offline_access", "a", "a:b:c-1.x"] {
            assert!(good.parse::<Scope>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ":",
            "a:",
            ":a",
            "A:b",
            "a b",
            "a:\"",
            "1a",
            "a::b",
            &"a".repeat(65),
        ] {
            assert_eq!(bad.parse::<Scope>(), Err(NotAScope), "{bad}");
        }
    }

    #[test]
    fn sets_are_sorted_and_compared() {
        let set = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect::<Scopes>();
        let wide = set(&["files:write", "files:read", "files:read"]);
        assert_eq!(wide.len(), 2);
        assert_eq!(set(&["files:read"]).first_beyond(&wide), None);
        assert_eq!(
            wide.first_beyond(&set(&["files:read"])).unwrap().as_str(),
            "files:write"
        );
    }
    #[test]
    fn own_scopes_and_built_in_ones_are_one_order() {
        let names = [
            "aa:first",
            "audit:read",
            "billing:read",
            "files:read",
            "files:reads",
            "workspaces:write",
            "zz",
        ];
        let set = |names: &mut dyn Iterator<Item = &str>| -> Scopes {
            names.map(|name| name.parse::<Scope>().unwrap()).collect()
        };
        // Every part of them, put in backwards and twice.
        for part in 0_usize..1 << names.len() {
            let some: Vec<_> = (0..names.len())
                .filter(|place| part & (1 << place) != 0)
                .map(|place| names[place])
                .collect();
            let scopes = set(&mut some.iter().rev().chain(&some).copied());
            let told: Vec<_> = scopes.iter().map(Scope::as_str).collect();
            assert_eq!(told, some);
            assert_eq!((scopes.len(), scopes.is_empty()), (some.len(), part == 0));
            for (place, name) in names.iter().enumerate() {
                assert_eq!(
                    scopes.contains(name),
                    part & (1 << place) != 0,
                    "{name} {part}"
                );
                let without = set(&mut some.iter().filter(|own| *own != name).copied());
                let beyond = scopes.first_beyond(&without).map(Scope::as_str);
                assert_eq!(beyond, scopes.contains(name).then_some(*name));
            }
        }
    }

    #[test]
    fn a_set_of_scopes_is_two_words_in_a_key() {
        assert_eq!(size_of::<Option<Scopes>>(), 2 * size_of::<usize>());
    }
}
