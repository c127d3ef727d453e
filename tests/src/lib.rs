//! The harness that runs the built `keyledger` binary and speaks to it from outside.
//!
//! It knows the public behaviour only (flags, environment, HTTP) and no crate of the product, so a
//! test written with it holds for any build that keeps that behaviour. In reading order:
//! [`Launch`] says how a server is to be started, [`Server`] is one that runs, [`Client`] speaks to
//! it, [`Reply`] is what came back. [`raw`] is for requests that no well-behaved client sends.

pub mod browser;
pub mod credential;
pub mod person;
pub mod raw;
pub mod setting;

mod client;
mod elsewhere;
mod launch;
mod port;
mod program;
mod redact;
mod reply;
mod rng;
mod server;
mod watchdog;
mod witness;

pub use client::Client;
pub use launch::{Finished, Launch, OWNER_EMAIL, OWNER_ORG, OWNER_PASSWORD};
pub use port::free_port;
pub use program::{Program, Ran};
pub use redact::redact;
pub use reply::{INVALID_PASSWORD, INVALID_TOKEN, NOT_PROVIDED, Reply};
pub use rng::Rng;
pub use server::Server;
pub use witness::{Told, Witness};

use std::io::Write;

/// Says on the real standard error, past the test runner's capture, that something was not tested.
///
/// `scripts/test` counts these lines, so that a machine on which a proof cannot be had never looks
/// like one on which it was had.
pub fn skip_loudly(what: &str, why: &str) {
    let line = format!("SKIPPED {what}: {why}\n");
    // Nothing is left to do if even standard error is closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Says a line on the real standard error: the seed of a random run, its progress.
pub fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
