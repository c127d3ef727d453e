//! The appended log of Keyledger.
//!
//! Two floors. The storage floor, from the disk upwards, gives a [`store`](store::AppendStore) of
//! records that is durable when it says so; above it only what opens, publishes and backs up a ledger knows
//! of sled. On it stand the stored form of a [`record`], the [`committer`] that alone appends, and [`Ledger::open`](ledger::Ledger::open),
//! which replays what is there into the state.

pub mod clock;
pub mod committer;
pub mod ledger;
pub mod past;
pub mod record;
pub mod replay;
pub mod snapshot;
pub mod verify;

pub mod folder;
pub mod paths;

pub mod key_file;
pub mod person_keys;
pub mod vault;

pub mod checkpoint;
pub mod cosignature;
pub mod merkle;
pub mod note;
pub mod publisher;
pub mod segment;
pub mod segments;
mod stub;
pub mod tree;

pub mod archive;
pub mod aside;
pub mod backup;
pub mod credits_store;
pub mod head;
pub mod index;
pub mod manifest;
pub mod opening;
pub mod rebuild;
pub mod sled_store;
pub mod step_back;
pub mod store;
pub mod usage;
pub mod usage_store;

#[cfg(any(test, feature = "faults"))]
pub mod faulty_store;

mod builder;
mod files;

#[cfg(test)]
mod scenario;

pub use clock::Clock;
pub use committer::{
    Committed, Committer, CommitterThread, Ending, NotCommitted, Projection, StopFailure,
    Submission,
};
pub use ledger::{
    KeyFile, Ledger, OpenError, OpenOptions, Opened, ReadError, RecordReader, Started,
};
pub use past::{Moment, Past, PastError, Recalled, Then};
pub use publisher::{NotPublished, PublicLog, Published};
pub use record::{Persons, RecordHead};
pub use replay::Progress;
