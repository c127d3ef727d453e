//! The appended log of Keyledger.
//!
//! The storage floor, from the disk upwards. Everything above it sees a
//! [`store`](store::AppendStore) of records that is durable when it says so, and nothing of sled.

pub mod folder;

pub mod key_file;
pub mod person_keys;
pub mod vault;

pub mod merkle;

pub mod aside;
pub mod head;
pub mod manifest;
pub mod opening;
pub mod sled_store;
pub mod store;

pub mod faulty_store;

mod files;
