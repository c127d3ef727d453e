//! Where everything lies in a data folder, as [`folder`](crate::folder) explains it.

use std::path::{Path, PathBuf};

/// Where everything lies in a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Of the data folder at this path; nothing is looked at.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The lock and the number of the process that holds it.
    pub fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    /// Revision and check value.
    pub fn format(&self) -> PathBuf {
        self.root.join("FORMAT")
    }

    /// How far the ledger has come.
    pub fn head(&self) -> PathBuf {
        self.root.join("head")
    }

    /// sled's folder: the ledger.
    pub fn events(&self) -> PathBuf {
        self.root.join("events")
    }

    /// sled's file in it.
    pub fn db(&self) -> PathBuf {
        self.events().join(crate::sled_store::DB_FILE)
    }

    /// Lengths and hashes of sled's files after a clean stop.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("events.manifest")
    }

    /// The states of the ledger from which a start goes on.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// The sealed segments.
    pub fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    /// The hashes of the tree.
    pub fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    /// The last checkpoint that was signed.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// What witnesses answered who know another history than this one.
    pub fn witness_evidence(&self) -> PathBuf {
        self.root.join("witness-evidence")
    }

    /// The last checkpoint of a history that an operator gave up.
    pub(crate) fn checkpoint_given_up(&self) -> PathBuf {
        self.root.join("checkpoint.given-up")
    }

    /// The folder of the keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The secrets.
    pub fn master_key(&self) -> PathBuf {
        self.keys().join("master.key")
    }

    /// The keys of persons.
    pub fn people_keys(&self) -> PathBuf {
        self.keys().join("people.key")
    }

    /// The head once more, where whoever puts back the rest of the folder does not reach.
    pub fn head_witness(&self) -> PathBuf {
        self.keys().join("head.key")
    }

    /// The one-time code of whoever makes the first owner; it is gone once there is one.
    pub fn setup_code(&self) -> PathBuf {
        self.keys().join("setup.key")
    }

    /// sled's folder of the counters; see [`usage_store`](crate::usage_store).
    pub fn usage(&self) -> PathBuf {
        self.root.join("usage")
    }

    /// sled's folder of the index of events; see [`index`](crate::index).
    pub fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// sled's folder of the credits; see [`credits_store`](crate::credits_store).
    pub fn credits(&self) -> PathBuf {
        self.root.join("credits")
    }

    /// How far the counting of credits had come, where whoever puts back the rest of the folder does
    /// not reach.
    pub fn credits_head(&self) -> PathBuf {
        self.keys().join("credits.key")
    }

    /// Counters that did not open, until the next that do not.
    pub(crate) fn usage_damaged(&self) -> PathBuf {
        self.root.join("usage.damaged")
    }

    /// Whether something that lies in the folder is what a start finds or leaves there.
    pub(crate) fn is_ours(&self, path: &Path) -> bool {
        let ours = [
            self.lock(),
            self.format(),
            self.head(),
            self.events(),
            self.aside(),
            self.snapshots(),
            self.keys(),
            self.keys_unfinished(),
        ];
        ours.iter().any(|own| own == path)
    }

    pub(crate) fn keys_unfinished(&self) -> PathBuf {
        self.root.join("keys.new")
    }

    pub(crate) fn aside(&self) -> PathBuf {
        self.root.join("events.aside")
    }

    pub(crate) fn aside_unfinished(&self) -> PathBuf {
        self.root.join("events.aside.tmp")
    }

    pub(crate) fn opened(&self) -> PathBuf {
        self.root.join("events.opened.tmp")
    }
}
