//! `keyledger audit key`: what a verifier must have, by another way than the log itself.

use std::process::ExitCode;

use clap::Args;
use keyledger_ledger::key_file::MasterKey;
use keyledger_ledger::paths::Paths;
use keyledger_ledger::publisher;

use super::Folder;
use crate::boot::origin_of;
use crate::commands::{Outcome, say};

#[derive(Args)]
pub(crate) struct Key {
    #[command(flatten)]
    folder: Folder,
    /// The address that the server is known by; the log is named after it.
    #[arg(
        long,
        env = "KEYLEDGER_ISSUER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    issuer: String,
}

/// Prints the verifier key (C2SP signed-note). A server may have the folder meanwhile.
pub(super) fn run(command: &Key) -> Outcome {
    let master_key = MasterKey::read(&Paths::new(&command.folder.path()).master_key())?;
    let signer = publisher::signer(&master_key, &origin_of(&command.issuer))?;
    say(signer.verifier())?;
    Ok(ExitCode::SUCCESS)
}
