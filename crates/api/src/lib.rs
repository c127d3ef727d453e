//! Keyledger over HTTP: who calls, what they asked for, and how they are answered.
//!
//! Reading order: [`app`] is where effects meet; [`caller`] turns what a request carries into
//! somebody who may act; [`routes`] is the table of contents; [`verify`] is the hot path. This
//! crate knows nothing of sled, of stored records or of the process it runs in: the binary hands
//! it a committer, look-ups, a clock and randomness.

mod all_keys;
pub mod answer;
pub mod app;
pub mod body;
pub mod caller;
mod carrier;
pub mod cors;
mod credits;
mod decisions;
pub mod difference;
mod direct;
pub mod edge;
mod event_index;
pub mod gate;
mod hash_memory;
mod head;
mod idle_keys;
mod idle_sessions;
mod in_time;
mod json;
mod limits;
mod listen;
mod lookup;
pub mod oauth;
mod object;
mod openapi;
mod outbox;
pub mod pages;
mod panicked;
pub mod passwords;
mod past;
mod pieces;
mod places;
pub mod problem;
pub mod proxies;
mod resource;
mod restrictions;
mod retrievable;
pub mod routes;
mod seats;
pub mod server;
pub mod setup_code;
mod throttles;
pub mod tls;
pub mod usage;
pub mod verify;
mod watched;

pub use app::{App, Lookups, LookupsFeed, Parts, Settings};
pub use event_index::indexer;
pub use setup_code::SetUpCode;
pub use throttles::ThrottleSettings;
pub use usage::{KeeperParts, Usage, UsageKeeper};
