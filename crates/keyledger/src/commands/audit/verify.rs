//! `keyledger audit verify`: the whole ledger read and its tree rebuilt.

use std::process::ExitCode;

use keyledger_ledger::verify;

use super::Folder;
use crate::commands::{Outcome, say};
use crate::progress::ProgressShown;

/// Prints size and root, or tells what is damaged and where.
pub(super) fn run(folder: &Folder) -> Outcome {
    let mut shown = ProgressShown::begin("Verifying the ledger");
    let verified = verify::verify(&folder.path(), None, &mut |progress| shown.show(progress));
    shown.end();
    let verified = verified?;
    say(format_args!("size {}", verified.size))?;
    say(format_args!("root {}", verified.root))?;
    Ok(ExitCode::SUCCESS)
}
