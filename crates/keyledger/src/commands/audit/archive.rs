//! `keyledger audit archive`: old segments to another disk.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keyledger_domain::Position;
use keyledger_ledger::archive;

use super::Folder;
use crate::commands::{Outcome, say};

#[derive(Args)]
pub(crate) struct Archive {
    #[command(flatten)]
    folder: Folder,
    /// The folder they go to. Each is verifiable there by itself; moved back, its records can be read again.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Move those whose records are all at or before this position.
    #[arg(long, value_name = "POSITION")]
    up_to: u64,
}

/// Prints where each of them is now.
pub(super) fn run(command: &Archive) -> Outcome {
    let up_to = Position::new(command.up_to);
    let moved = archive::archive(&command.folder.path(), &command.to, up_to)?;
    if moved.is_empty() {
        say(format_args!(
            "nothing was moved: no segment ends at or before position {up_to}"
        ))?;
    }
    for moved in moved {
        say(moved.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
