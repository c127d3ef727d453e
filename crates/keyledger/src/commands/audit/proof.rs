//! `keyledger audit proof`: that an event is in the log, for whoever has the log's verifier key.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keyledger_ledger::checkpoint::{Checkpoint, ProofFile};
use keyledger_ledger::merkle::{leaf_hash, proof};
use keyledger_ledger::note::VerifierKey;
use thiserror::Error;

use super::log::{Found, Place};
use crate::commands::{Outcome, say};

/// The longest record or proof that is read.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Subcommand)]
pub(crate) enum Proof {
    /// Fetch an event's record and its proof from a server.
    Fetch(Fetch),
    /// Check that a record is in the log. It asks nobody.
    Check(Check),
}

#[derive(Args)]
pub(crate) struct Fetch {
    #[command(flatten)]
    place: Place,
    /// Where the event stands.
    position: u64,
    /// Where the proof goes (C2SP tlog-proof).
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// Where the record goes: the bytes that the proof is about.
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
}

#[derive(Args)]
pub(crate) struct Check {
    /// The proof.
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// The record.
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    /// The log's verifier key, as `audit key` prints it on the server. Have it from there, not from the log.
    #[arg(long, value_name = "VERIFIER_KEY")]
    log_key: VerifierKey,
}

/// Why a proof proves nothing.
#[derive(Debug, Error)]
enum ProofFailure {
    #[error("only a server gives proofs, which sees who asks: name it with --url")]
    NoServer,
    #[error(
        "the record is not in the log of this checkpoint: it, the proof or the checkpoint was changed"
    )]
    NotIncluded,
}

pub(super) fn run(command: &Proof) -> Outcome {
    match command {
        Proof::Fetch(command) => fetch(command),
        Proof::Check(command) => check(command),
    }
}

fn fetch(command: &Fetch) -> Outcome {
    let Found::Server(remote) = command.place.find()? else {
        return Err(ProofFailure::NoServer.into());
    };
    let event = format!("/v1/events/{}", command.position);
    for (part, path) in [("proof", &command.proof), ("record", &command.record)] {
        let mut bytes = Vec::new();
        let body = remote.download(&format!("{event}/{part}"))?;
        body.take(BYTES_MAX).read_to_end(&mut bytes)?;
        write(path, &bytes)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Prints where the record stands, and in which tree.
fn check(command: &Check) -> Outcome {
    let file: ProofFile = fs::read_to_string(&command.proof)?.parse()?;
    let record = fs::read(&command.record)?;
    let signed = Checkpoint::open(&file.checkpoint, &command.log_key)?;
    let leaf = leaf_hash(&record);
    if !proof::includes(leaf, file.index, signed.size, &file.path, signed.root) {
        return Err(ProofFailure::NotIncluded.into());
    }
    say(format_args!("position {}", file.index + 1))?;
    say(format_args!("size {}", signed.size))?;
    say(format_args!("root {}", signed.root))?;
    Ok(ExitCode::SUCCESS)
}
