//! `keyledger audit reseal`: the ledger accepted as it is, by somebody who names its root.

use std::process::ExitCode;

use clap::Args;
use keyledger_ledger::merkle::Hash;
use keyledger_ledger::verify;

use super::Folder;
use crate::commands::{Outcome, say};
use crate::progress::ProgressShown;

/// What is accepted.
#[derive(Args)]
pub(crate) struct Reseal {
    #[command(flatten)]
    folder: Folder,
    /// The root that `audit verify` printed, or that a checkpoint of yours has.
    #[arg(long, value_name = "ROOT")]
    root: String,
}

/// Writes what the ledger is held to anew.
pub(super) fn run(reseal: &Reseal) -> Outcome {
    let root: Hash = reseal.root.parse()?;
    let mut shown = ProgressShown::begin("Verifying the ledger");
    let resealed = verify::reseal(&reseal.folder.path(), root, &mut |progress| {
        shown.show(progress);
    });
    shown.end();
    let resealed = resealed?;
    say(format_args!(
        "resealed: size {}, root {}",
        resealed.size, resealed.root
    ))?;
    Ok(ExitCode::SUCCESS)
}
