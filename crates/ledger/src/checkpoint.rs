//! Checkpoints (C2SP tlog-checkpoint): how large the tree was and what its root was, signed.
//!
//! Whoever keeps one can later prove that the log was cut, changed or put back: a tree that does not
//! extend it is another one.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::merkle::Hash;
use crate::note::{NotANote, NoteSigner, SignedNote, VerifierKey};

/// A tree at one size, in the name of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: the address of its tiles without the scheme.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
}

/// Why a text is no checkpoint of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotACheckpoint {
    /// It is no signed note.
    #[error(transparent)]
    Note(#[from] NotANote),
    /// Its text is not origin, size and root.
    #[error("not a checkpoint (C2SP tlog-checkpoint): origin, size and root, a line each")]
    Text,
    /// The log's key has not signed it.
    #[error("this checkpoint was not signed by this log's key")]
    NotSigned,
}

impl Checkpoint {
    /// The note that vouches for it.
    pub fn sign(&self, signer: &NoteSigner) -> String {
        signer.sign(&self.to_string())
    }

    /// Reads a checkpoint that this key has signed. Signatures of others on it are left alone.
    ///
    /// # Errors
    /// See [`NotACheckpoint`].
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NotACheckpoint> {
        let note = SignedNote::parse(note)?;
        let text = key.open(&note).ok_or(NotACheckpoint::NotSigned)?;
        let checkpoint: Self = text.parse()?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(NotACheckpoint::NotSigned)
        }
    }

    /// Reads a checkpoint that this key has signed under whatever name the log had then: it moves to
    /// another address with its key.
    ///
    /// # Errors
    /// See [`NotACheckpoint`].
    pub fn open_of_any_origin(note: &str, key: &VerifierKey) -> Result<Self, NotACheckpoint> {
        let unverified: Self = SignedNote::parse(note)?.unverified_text().parse()?;
        Self::open(note, &key.named(&unverified.origin)?)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = NotACheckpoint;

    /// Further lines are extensions, which are ours to ignore.
    fn from_str(text: &str) -> Result<Self, NotACheckpoint> {
        let wrong = NotACheckpoint::Text;
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong);
        };
        let has_leading_zero = size.len() > 1 && size.starts_with('0');
        if origin.is_empty() || has_leading_zero || !size.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(wrong);
        }
        let root: [u8; 32] = STANDARD
            .decode(root)
            .ok()
            .and_then(|root| root.try_into().ok())
            .ok_or(wrong)?;
        Ok(Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| wrong)?,
            root: Hash::from_bytes(root),
        })
    }
}

/// That a record is in the log, for whoever has the log's verifier key and nothing else: a `tlog-proof@v1`
/// file (C2SP tlog-proof).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// The place of the record's leaf, from 0: one less than its position.
    pub index: u64,
    /// The audit path, from the leaf's sibling upwards.
    pub path: Vec<Hash>,
    /// The checkpoint with its signatures.
    pub checkpoint: String,
}

/// The first line of a proof file.
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PROOF_HEADER}\nindex {}\n", self.index)?;
        self.path
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for ProofFile {
    type Err = NotACheckpoint;

    fn from_str(text: &str) -> Result<Self, NotACheckpoint> {
        let wrong = NotACheckpoint::Text;
        let (proof, checkpoint) = text.split_once("\n\n").ok_or(wrong)?;
        let mut lines = proof.lines();
        if lines.next() != Some(PROOF_HEADER) {
            return Err(wrong);
        }
        let mut lines = lines.skip_while(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(|index| index.parse().ok()).ok_or(wrong)?;
        let path = lines
            .map(|line| line.parse().map_err(|_| wrong))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            index,
            path,
            checkpoint: checkpoint.to_owned(),
        })
    }
}
