//! Proofs over the tree: that a record is in it, and that a larger tree extends a smaller one.
//!
//! Made after RFC 6962 §2.1.1 and §2.1.2, checked after RFC 9162 §2.1.3.2 and §2.1.4.2: two
//! descriptions of the same thing, so that neither side can share a slip of the other.

use super::{EMPTY_ROOT, Frontier, Hash, node_hash};

/// Where the hashes of complete subtrees come from.
pub trait Nodes {
    /// Why one could not be had.
    type Error;

    /// The root of the `index`-th complete subtree of `2^level` leaves, both counted from 0.
    ///
    /// # Errors
    /// If it cannot be read.
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The root over the first `size` leaves: `MTH(D[0:size])`.
///
/// # Errors
/// If a node cannot be had.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 {
        Ok(EMPTY_ROOT)
    } else {
        subtree(nodes, 0, size)
    }
}

/// The complete subtrees of the first `size` leaves.
///
/// # Errors
/// If a node cannot be had.
///
/// # Panics
/// Never: there is one subtree for each bit that is set.
pub fn frontier<N: Nodes>(nodes: &N, size: u64) -> Result<Frontier, N::Error> {
    let mut subtrees = Vec::new();
    let mut start = 0;
    for level in (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1) {
        subtrees.push(nodes.node(level, start >> level)?);
        start += 1 << level;
    }
    Ok(Frontier::of(size, subtrees).expect("one subtree for each bit that is set"))
}

/// The audit path of the leaf at `index` in the tree of `size` leaves: `PATH(index, D[size])` of RFC 6962
/// §2.1.1, from the leaf's sibling upwards. `None` if there is no such leaf in it.
///
/// # Errors
/// If a node cannot be had.
pub fn inclusion<N: Nodes>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut width) = (0, size);
    let mut siblings = Vec::new();
    while width > 1 {
        let left = split(width);
        if index - start < left {
            siblings.push((start + left, width - left));
            width = left;
        } else {
            siblings.push((start, left));
            start += left;
            width -= left;
        }
    }
    let path = siblings.into_iter().rev();
    path.map(|(start, width)| subtree(nodes, start, width))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// That the tree of `size` leaves extends the one of `old` leaves: `PROOF(old, D[size])` of RFC 6962 §2.1.2.
/// Empty for equal sizes and for an empty old tree; `None` if `old` is larger.
///
/// # Errors
/// If a node cannot be had.
pub fn consistency<N: Nodes>(
    nodes: &N,
    old: u64,
    size: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if old > size {
        return Ok(None);
    }
    if old == 0 || old == size {
        return Ok(Some(Vec::new()));
    }
    let (mut start, mut width) = (0, size);
    let mut siblings = Vec::new();
    // Whether what is left of the old tree is a subtree of its own, known to the other side by its root.
    let mut is_whole = true;
    while old - start < width {
        let left = split(width);
        if old - start <= left {
            siblings.push((start + left, width - left));
            width = left;
        } else {
            siblings.push((start, left));
            start += left;
            width -= left;
            is_whole = false;
        }
    }
    if !is_whole {
        siblings.push((start, width));
    }
    let path = siblings.into_iter().rev();
    path.map(|(start, width)| subtree(nodes, start, width))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Whether this path leads from the leaf at `index` to the root of the tree of `size` leaves (RFC 9162 §2.1.3.2).
pub fn includes(leaf: Hash, index: u64, size: u64, path: &[Hash], root: Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether this proof leads from the tree of `old` leaves to the one of `size` leaves (RFC 9162 §2.1.4.2).
pub fn extends(old: u64, old_root: Hash, size: u64, size_root: Hash, proof: &[Hash]) -> bool {
    if old == size {
        return proof.is_empty() && old_root == size_root;
    }
    if old == 0 {
        return proof.is_empty() && old_root == EMPTY_ROOT;
    }
    if old > size {
        return false;
    }
    let mut rest = proof.iter();
    let first = if old.is_power_of_two() {
        Some(&old_root)
    } else {
        rest.next()
    };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut from_old, mut from_new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(sibling, &from_old);
            from_new = node_hash(sibling, &from_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == old_root && from_new == size_root
}

/// The largest power of two below a width of at least two.
const fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// The root over `width` leaves from `start` on, which such a split has led to: so `start` is a multiple of
/// each complete subtree in it.
fn subtree<N: Nodes>(nodes: &N, start: u64, width: u64) -> Result<Hash, N::Error> {
    if width.is_power_of_two() {
        return nodes.node(width.ilog2(), start / width);
    }
    let left = split(width);
    Ok(node_hash(
        &nodes.node(left.ilog2(), start / left)?,
        &subtree(nodes, start + left, width - left)?,
    ))
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use proptest::prelude::*;

    use super::super::{Frontier, leaf_hash};
    use super::*;

    /// A tree whose leaves are their own numbers.
    struct Numbers;

    impl Nodes for Numbers {
        type Error = Infallible;

        fn node(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
            Ok(match level.checked_sub(1) {
                None => leaf_hash(&index.to_le_bytes()),
                Some(below) => node_hash(
                    &self.node(below, 2 * index)?,
                    &self.node(below, 2 * index + 1)?,
                ),
            })
        }
    }

    fn root_by_frontier(size: u64) -> Hash {
        let mut frontier = Frontier::new();
        (0..size).for_each(|leaf| frontier.append(leaf_hash(&leaf.to_le_bytes())));
        frontier.root()
    }

    fn flipped(hash: Hash) -> Hash {
        let mut bytes = *hash.as_bytes();
        bytes[7] ^= 1;
        Hash::from_bytes(bytes)
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_and_nothing_else_is() {
        for size in 0..40 {
            let Ok(whole) = root(&Numbers, size);
            assert_eq!(whole, root_by_frontier(size));
            let Ok(there) = frontier(&Numbers, size);
            assert_eq!((there.size(), there.root()), (size, whole));
            for index in 0..size {
                let leaf = leaf_hash(&index.to_le_bytes());
                let Ok(Some(path)) = inclusion(&Numbers, index, size) else {
                    panic!("leaf {index} of {size}")
                };
                assert!(includes(leaf, index, size, &path, whole));
                assert!(!includes(flipped(leaf), index, size, &path, whole));
                assert!(!includes(leaf, index + 1, size, &path, whole));
                assert!(!includes(leaf, index, size, &path, flipped(whole)));
                for at in 0..path.len() {
                    let mut other = path.clone();
                    other[at] = flipped(other[at]);
                    assert!(!includes(leaf, index, size, &other, whole));
                    other.remove(at);
                    assert!(!includes(leaf, index, size, &other, whole));
                }
                let longer = [&path[..], &[whole]].concat();
                assert!(!includes(leaf, index, size, &longer, whole));
            }
            let Ok(beyond) = inclusion(&Numbers, size, size);
            assert_eq!(beyond, None);
        }
    }

    #[test]
    fn every_small_tree_extends_every_smaller_one_and_no_other() {
        for size in 0..40 {
            let whole = root_by_frontier(size);
            for old in 0..=size {
                let old_root = root_by_frontier(old);
                let Ok(Some(proof)) = consistency(&Numbers, old, size) else {
                    panic!("{old} to {size}")
                };
                assert!(extends(old, old_root, size, whole, &proof), "{old} {size}");
                assert!(!extends(old, flipped(old_root), size, whole, &proof));
                if old > 0 {
                    assert!(!extends(old, old_root, size, flipped(whole), &proof));
                }
                for at in 0..proof.len() {
                    let mut other = proof.clone();
                    other[at] = flipped(other[at]);
                    assert!(!extends(old, old_root, size, whole, &other));
                    other.remove(at);
                    assert!(!extends(old, old_root, size, whole, &other));
                }
            }
            let Ok(smaller) = consistency(&Numbers, size + 1, size);
            assert_eq!(smaller, None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn large_trees_too(size in 1_u64..3_000, at in any::<prop::sample::Index>()) {
            let index = at.index(usize::try_from(size).unwrap()) as u64;
            let Ok(whole) = root(&Numbers, size);
            let Ok(path) = inclusion(&Numbers, index, size);
            let leaf = leaf_hash(&index.to_le_bytes());
            prop_assert!(includes(leaf, index, size, &path.unwrap(), whole));
            let Ok(old_root) = root(&Numbers, index);
            let Ok(proof) = consistency(&Numbers, index, size);
            prop_assert!(extends(index, old_root, size, whole, &proof.unwrap()));
        }
    }
}
