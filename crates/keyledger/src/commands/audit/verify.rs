//! `keyledger audit verify`: the whole ledger read and its tree rebuilt.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keyledger_domain::Position;
use keyledger_ledger::verify;

use super::Folder;
use crate::commands::{Outcome, say};
use crate::progress::ProgressShown;

#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    folder: Folder,
    /// A checkpoint that you kept, from `GET /v1/log/checkpoint` or a witness: the ledger must extend it.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

/// Prints size and root, and up to where only hashes are here, or tells what is damaged and where.
pub(super) fn run(command: &Verify) -> Outcome {
    let known = command.checkpoint.as_ref().map(fs::read_to_string);
    let known = known.transpose()?;
    let mut shown = ProgressShown::begin("Verifying the ledger");
    let verified = verify::verify(&command.folder.path(), known.as_deref(), &mut |progress| {
        shown.show(progress);
    });
    shown.end();
    let verified = verified?;
    say(format_args!("size {}", verified.size))?;
    say(format_args!("root {}", verified.root))?;
    if verified.archived > Position::ZERO {
        say(format_args!("archived {}", verified.archived))?;
    }
    Ok(ExitCode::SUCCESS)
}
