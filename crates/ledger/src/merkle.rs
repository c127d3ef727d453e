//! The Merkle tree over the records: RFC 6962 §2.1 (the same in RFC 9162 §2.1) with SHA-256.
//!
//! A leaf is exactly the bytes of a stored record. Two different ledgers have two different roots,
//! so one hash of 32 bytes proves every record, and a cut, a hole or a changed byte is found.

pub mod proof;

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Put before the bytes of a leaf, so that no leaf can be passed off as a node (RFC 6962 §2.1).
const LEAF_PREFIX: &[u8] = &[0x00];

/// Put before the two children of a node.
const NODE_PREFIX: &[u8] = &[0x01];

/// The root of a tree without leaves: SHA-256 of nothing (RFC 6962 §2.1).
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// A SHA-256 hash: of a leaf, of a node, or the root of the tree.
///
/// It is shown as base64 with padding, as checkpoints write it (C2SP tlog-checkpoint);
/// `{:x}` gives hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash([u8; 32]);

impl Hash {
    /// A hash that was computed elsewhere or read back.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// The text is not a hash in base64 with padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a SHA-256 hash in base64, such as `audit verify` prints")]
pub struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let bytes = STANDARD.decode(text).map_err(|_| NotAHash)?;
        bytes.try_into().map(Self).map_err(|_| NotAHash)
    }
}

impl fmt::LowerHex for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self:x})")
    }
}

/// The hash of one leaf: `SHA-256(0x00 || record)` (RFC 6962 §2.1).
pub fn leaf_hash(record: &[u8]) -> Hash {
    Hash::of(&[LEAF_PREFIX, record])
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)` (RFC 6962 §2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of(&[NODE_PREFIX, &left.0, &right.0])
}

/// All that must be known of a tree to go on growing it: the roots of its complete subtrees.
///
/// At most 64 hashes whatever the size, one for each bit that is set in the size. It is stored
/// with a snapshot, and goes on from there with the records behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Frontier {
    size: u64,
    /// From the largest subtree (the oldest leaves) to the smallest.
    subtrees: Vec<Hash>,
}

/// The stored form of a [`Frontier`], before it is known to be one.
#[derive(Serialize, Deserialize)]
struct Parts {
    size: u64,
    subtrees: Vec<Hash>,
}

/// What was read is no frontier: the number of subtrees does not follow from the number of leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a tree of {size} leaves has {wanted} complete subtrees, not {found}")]
pub struct NotAFrontier {
    size: u64,
    wanted: u32,
    found: usize,
}

impl TryFrom<Parts> for Frontier {
    type Error = NotAFrontier;

    fn try_from(Parts { size, subtrees }: Parts) -> Result<Self, NotAFrontier> {
        let wanted = size.count_ones();
        if usize::try_from(wanted).is_ok_and(|wanted| wanted == subtrees.len()) {
            Ok(Self { size, subtrees })
        } else {
            Err(NotAFrontier {
                size,
                wanted,
                found: subtrees.len(),
            })
        }
    }
}

impl From<Frontier> for Parts {
    fn from(Frontier { size, subtrees }: Frontier) -> Self {
        Self { size, subtrees }
    }
}

impl Frontier {
    /// The tree without leaves.
    pub const fn new() -> Self {
        Self {
            size: 0,
            subtrees: Vec::new(),
        }
    }

    /// The frontier of a tree whose complete subtrees have these roots; `None` if they are too many or too
    /// few for its size.
    pub fn of(size: u64, subtrees: Vec<Hash>) -> Option<Self> {
        Parts { size, subtrees }.try_into().ok()
    }

    /// The roots of the complete subtrees, from the largest to the smallest.
    pub fn subtrees(&self) -> &[Hash] {
        &self.subtrees
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of the next leaf ([`leaf_hash`]). On average one node is hashed.
    pub fn append(&mut self, leaf: Hash) {
        // Each set bit at the low end of the size is a complete subtree as large as the one that
        // just became complete, so the two become one: the carry of a binary addition.
        let mut subtree = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                subtree = node_hash(&left, &subtree);
            }
        }
        self.subtrees.push(subtree);
        self.size += 1;
    }

    /// The root over all leaves so far: `MTH(D[n])` of RFC 6962 §2.1.
    pub fn root(&self) -> Hash {
        self.subtrees
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or(EMPTY_ROOT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The definition of RFC 6962 §2.1, word for word: split at the largest power of two below n.
    fn by_definition(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => EMPTY_ROOT,
            [leaf] => leaf_hash(leaf),
            several => {
                let split = several.len().next_power_of_two() / 2;
                let (left, right) = several.split_at(split);
                node_hash(&by_definition(left), &by_definition(right))
            }
        }
    }

    fn from_hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
            .collect()
    }

    /// The eight leaves that the certificate-transparency project tests with, and its roots.
    #[test]
    fn the_known_vectors_hold() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), EMPTY_ROOT);
        for (leaf, root) in leaves.iter().zip(roots) {
            frontier.append(leaf_hash(&from_hex(leaf)));
            assert_eq!(
                format!("{:x}", frontier.root()),
                root,
                "size {}",
                frontier.size()
            );
        }
        assert_eq!(frontier.size(), 8);
    }

    #[test]
    fn the_empty_root_is_the_hash_of_nothing_and_is_shown_as_checkpoints_want_it() {
        assert_eq!(Hash::of(&[]), EMPTY_ROOT);
        assert_eq!(
            EMPTY_ROOT.to_string(),
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
    }

    #[test]
    fn a_frontier_with_a_subtree_too_few_is_not_read() {
        let parts = Parts {
            size: 3,
            subtrees: vec![EMPTY_ROOT],
        };
        assert_eq!(
            Frontier::try_from(parts),
            Err(NotAFrontier {
                size: 3,
                wanted: 2,
                found: 1
            })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_size_agrees_with_the_definition(leaves in vec(vec(any::<u8>(), 0..6), 0..70)) {
            let mut frontier = Frontier::new();
            for (at, leaf) in leaves.iter().enumerate() {
                prop_assert_eq!(frontier.root(), by_definition(&leaves[..at]));
                frontier.append(leaf_hash(leaf));
            }
            prop_assert_eq!(frontier.root(), by_definition(&leaves));
        }

        #[test]
        fn a_stored_frontier_goes_on_where_it_was(before in 0_u64..40, after in 0_u64..40) {
            let mut whole = Frontier::new();
            (0..before).for_each(|leaf| whole.append(leaf_hash(&leaf.to_le_bytes())));
            let config = bincode::config::standard();
            let stored = bincode::serde::encode_to_vec(&whole, config).expect("a frontier encodes");
            let (mut resumed, _): (Frontier, _) =
                bincode::serde::decode_from_slice(&stored, config).expect("it decodes");
            for leaf in before..before + after {
                whole.append(leaf_hash(&leaf.to_le_bytes()));
                resumed.append(leaf_hash(&leaf.to_le_bytes()));
            }
            prop_assert_eq!(resumed.root(), whole.root());
        }
    }
}
